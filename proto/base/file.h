/* proto/base/file.h - whole small files, written so that a power cut leaves the old or the new.
 *
 * Errors of all: LT_E_NOTFOUND, LT_E_DENIED (rights, read-only), LT_E_NOSPACE, LT_E_INVALID (path too
 * long), LT_E_IO, LT_E_NOMEM, and what stands with each. Any thread. */
#ifndef LT_BASE_FILE_H
#define LT_BASE_FILE_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdbool.h>

/* Read at most max bytes of a regular file, appended to out, which is as before on
 * error. LT_E_TOOBIG: longer than max; LT_E_IO also: not a regular file. */
int lt_file_read(const char *path, size_t max, struct lt_buf *out, struct lt_err *err);
/* Temporary name beside it, fsync, rename, fsync of the folder. mode as in open(2).
 * excl: LT_E_EXISTS when the file is there. On error the old file is as it was, only after a failed
 * fsync of the folder it may be the new one. */
int lt_file_write(
    const char *path, struct lt_slice data, unsigned mode, bool excl, struct lt_err *err);
/* fsync of a folder: names that were given, taken away or changed in it are on the disk. */
int lt_dir_sync(const char *path, struct lt_err *err);
/* Give a file its name, in the same folder, and never over what has that name: LT_E_EXISTS, and both are as they were. The folder
 * is not synced. */
int lt_file_name(const char *from, const char *to, struct lt_err *err);
/* mkdir with parents; an existing folder is fine; fsync of the parent. LT_E_EXISTS: the name is
 * taken by something else. */
int lt_dir_make(const char *path, unsigned mode, struct lt_err *err);
/* Take the exclusive lock of a data directory (file "lock", flock). *fd stays open for the life of
 * the process. LT_E_BUSY: another process has it; err names its pid. */
int lt_dir_lock(const char *dir, int *fd, struct lt_err *err);

#endif
