/* proto/store/backup_impl.h - for backup.c and restore.c only. */
#ifndef LT_STORE_BACKUP_IMPL_H
#define LT_STORE_BACKUP_IMPL_H

#include "proto/base/arena.h"
#include "proto/store/backup.h"

#define LT_BACKUP_VERSION 1
#define LT_BACKUP_MANIFEST_MAX ((size_t)64 * 1024)
#define LT_BACKUP_SMALL_MAX ((size_t)64 * 1024) /* of the settings, identity and escrow */
#define LT_BACKUP_MANIFEST "manifest"
#define LT_BACKUP_STORE "data.mdb"
#define LT_BACKUP_HEADS "heads"
#define LT_BACKUP_CONF "lienthong.conf"
#define LT_BACKUP_IDENTITY "identity"
#define LT_BACKUP_ESCROW "escrow"

/* Its folder within the data folder, and what it is. */
const char *lt_backup_store_name(bool hub);
enum lt_kv_kind lt_backup_store_kind(bool hub);
/* Set both, and return rc. A macro as lt_err_set() is. */
#define lt_backup_fail(e, why, rc, ...) (lt_backup_put((e), (why), __VA_ARGS__), lt_err_code(rc))
void lt_backup_put(struct lt_backup_error *e, enum lt_backup_why why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* An errno as one of ours. */
int lt_backup_code(int err);
/* What is written to failed: with the errno, what was tried, and where. */
int lt_backup_medium(struct lt_backup_error *e, int err, const char *what, const char *path);
/* Open a folder; -1 with errno. */
int lt_backup_folder(const char *path);
/* H("lt1.backup-file", content) and the length; with to >= 0 what is read is written there too. An errno; *reading: of which side. */
int lt_backup_hash(int from, int to, struct lt_hash *hash, uint64_t *size, bool *reading);
/* Read and verify the manifest of the folder; the body lives in the arena. */
int lt_backup_manifest(
    int dir, struct lt_arena *arena, Ltpb__BackupBody **body, struct lt_backup_error *e);
void lt_backup_tell(const Ltpb__BackupBody *b, struct lt_backup_info *info);
const Ltpb__BackupFile *lt_backup_file(const Ltpb__BackupBody *b, const char *name);
/* The heads of every feed as file `heads` has them, appended to out. */
int lt_backup_heads(struct lt_kv_txn *txn, struct lt_buf *out, uint64_t *n);
/* Remove a folder that holds files with these names only; LT_E_EXISTS: it holds another, and nothing was removed. */
int lt_backup_remove(const char *path);

#endif
