#include "proto/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int
code_of(int e)
{
	switch (e) {
	case ENOENT:
		return LT_E_NOTFOUND;
	case EEXIST:
		return LT_E_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return LT_E_DENIED;
	case ENOSPC:
	case EDQUOT:
		return LT_E_NOSPACE;
	case ENOMEM:
		return LT_E_NOMEM;
	case ENAMETOOLONG:
		return LT_E_INVALID;
	default:
		return LT_E_IO;
	}
}

enum doing { OPEN, READ, WRITE, NAME, OPEN_FOLDER, SYNC_FOLDER, MAKE_FOLDER, LOCK_FOLDER };

static const struct {
	const char *en, *vi;
} doings[] = {
	[OPEN] = { "cannot open", "không mở được" },
	[READ] = { "cannot read", "không đọc được" },
	[WRITE] = { "cannot write", "không ghi được" },
	[NAME] = { "cannot name", "không đặt tên được" },
	[OPEN_FOLDER] = { "cannot open folder", "không mở được thư mục" },
	[SYNC_FOLDER] = { "cannot sync folder", "đĩa không nhận thư mục" },
	[MAKE_FOLDER] = { "cannot make folder", "không tạo được thư mục" },
	[LOCK_FOLDER] = { "cannot lock folder", "không khóa được thư mục" },
};

static int
fail(struct lt_err *err, enum doing what, const char *path, int e)
{
	char en[LT_ERR_TEXT], vi[LT_ERR_TEXT];

	(void)snprintf(en, sizeof(en), "%s \"%s\": %s", doings[what].en, path, strerror(e));
	(void)snprintf(vi, sizeof(vi), "%s \"%s\": %s", doings[what].vi, path, lt_errno_vi(e));
	return lt_err_pair(err, code_of(e), en, vi);
}

static int
too_long(struct lt_err *err, const char *path, size_t max)
{
	return lt_err_both(err, LT_E_TOOBIG, "file \"%s\" is longer than %zu bytes",
	    "tệp \"%s\" dài hơn %zu byte; hãy xem lại tên", path, max);
}

/* Everything up to the end of the file, at most max bytes. */
static int
read_all(int fd, const char *path, size_t max, struct lt_buf *out, struct lt_err *err)
{
	uint8_t chunk[8192];
	size_t total = 0;
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(err, READ, path, errno);
		if (n == 0)
			return LT_OK;
		/* It may have grown since it was measured. */
		if ((size_t)n > max - total)
			return too_long(err, path, max);
		lt_buf_put(out, chunk, (size_t)n);
		if (out->err != LT_OK)
			return lt_err_set(
			    err, out->err, "cannot read \"%s\": %s", path, lt_strerror(out->err));
		total += (size_t)n;
	}
}

int
lt_file_read(const char *path, size_t max, struct lt_buf *out, struct lt_err *err)
{
	size_t start = out->len;
	struct stat st;
	int fd, rc;

	/* A pipe left in place of the file must not block us. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(err, OPEN, path, errno);
	if (fstat(fd, &st) != 0)
		rc = fail(err, READ, path, errno);
	else if (!S_ISREG(st.st_mode))
		rc = lt_err_both(err, LT_E_IO, "\"%s\" is not a regular file",
		    "\"%s\" không phải tệp thường; hãy xem lại tên", path);
	else if (st.st_size < 0 || (uintmax_t)st.st_size > max)
		rc =
		    lt_err_set(err, LT_E_TOOBIG, "file \"%s\" is longer than %zu bytes", path, max);
	else
		rc = read_all(fd, path, max, out, err);
	if (rc != LT_OK)
		out->len = start;
	(void)close(fd);
	return rc;
}

int
lt_dir_sync(const char *path, struct lt_err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = LT_OK;

	if (fd < 0)
		return fail(err, OPEN_FOLDER, path, errno);
	/* EINVAL: this file system has no such thing as syncing a folder. */
	if (fsync(fd) != 0 && errno != EINVAL)
		rc = fail(err, SYNC_FOLDER, path, errno);
	(void)close(fd);
	return rc;
}

/* The folder that holds path, as a path of its own. */
static int
parent_of(const char *path, char *out, size_t cap)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n >= cap)
		return LT_E_INVALID;
	if (n == 0) {
		out[0] = '.';
		out[1] = '\0';
		return LT_OK;
	}
	memcpy(out, path, n);
	out[n] = '\0';
	return LT_OK;
}

static int
write_all(int fd, struct lt_slice data)
{
	size_t off = 0;
	ssize_t n;

	while (off < data.len) {
		n = write(fd, data.data + off, data.len - off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		off += (size_t)n;
	}
	return fsync(fd) == 0 ? 0 : errno;
}

static int
put_in_place(const char *tmp, const char *path, bool excl)
{
	if (!excl)
		return rename(tmp, path) == 0 ? 0 : errno;
	if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	if (link(tmp, path) != 0)
		return errno;
	(void)unlink(tmp);
	return 0;
}

int
lt_file_name(const char *from, const char *to, struct lt_err *err)
{
	int e = put_in_place(from, to, true);

	return e == 0 ? LT_OK : fail(err, NAME, to, e);
}

/* A new file beside path, under a name nobody else has; fd or -1 with errno. */
static int
open_temporary(const char *path, unsigned mode, char *tmp, size_t cap)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	uint8_t random[6];
	char hex[2 * sizeof(random) + 1];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -1;
	lt_hex(hex, random, sizeof(random));
	if ((size_t)snprintf(tmp, cap, "%s.%s.tmp", path, hex) >= cap) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(tmp, flags, (mode_t)mode);
}

int
lt_file_write(const char *path, struct lt_slice data, unsigned mode, bool excl, struct lt_err *err)
{
	char tmp[PATH_MAX], dir[PATH_MAX];
	int fd, e;

	if (parent_of(path, dir, sizeof(dir)) != LT_OK)
		return fail(err, WRITE, path, ENAMETOOLONG);
	/* Asked again below, by the rename; here it spares the work. */
	if (excl && access(path, F_OK) == 0)
		return fail(err, WRITE, path, EEXIST);
	fd = open_temporary(path, mode, tmp, sizeof(tmp));
	if (fd < 0)
		return fail(err, WRITE, path, errno);
	e = write_all(fd, data);
	if (close(fd) != 0 && e == 0)
		e = errno;
	if (e == 0)
		e = put_in_place(tmp, path, excl);
	if (e != 0) {
		(void)unlink(tmp);
		return fail(err, WRITE, path, e);
	}
	return lt_dir_sync(dir, err);
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
make_one(const char *path, unsigned mode, struct lt_err *err)
{
	char dir[PATH_MAX];
	int e;

	if (is_dir(path))
		return LT_OK;
	if (mkdir(path, (mode_t)mode) != 0) {
		e = errno;
		/* Another process may have made it meanwhile. */
		return is_dir(path) ? LT_OK : fail(err, MAKE_FOLDER, path, e);
	}
	if (parent_of(path, dir, sizeof(dir)) != LT_OK)
		return fail(err, MAKE_FOLDER, path, ENAMETOOLONG);
	return lt_dir_sync(dir, err);
}

int
lt_dir_make(const char *path, unsigned mode, struct lt_err *err)
{
	char part[PATH_MAX];
	size_t i, n = strlen(path);
	int rc = LT_OK;

	if (n == 0 || n >= sizeof(part))
		return fail(err, MAKE_FOLDER, path, n == 0 ? ENOENT : ENAMETOOLONG);
	memcpy(part, path, n + 1);
	for (i = 1; i < n && rc == LT_OK; i++) {
		if (part[i] != '/' || part[i - 1] == '/')
			continue;
		part[i] = '\0';
		rc = make_one(part, mode | 0700, err);
		part[i] = '/';
	}
	return rc == LT_OK ? make_one(path, mode, err) : rc;
}

static int
busy(int fd, const char *dir, struct lt_err *err)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;

	if (pid <= 0)
		return lt_err_both(err, LT_E_BUSY, "folder \"%s\" is in use by another process",
		    "thư mục \"%s\" đang được một chương trình khác dùng; hãy dừng nó trước", dir);
	return lt_err_both(err, LT_E_BUSY, "folder \"%s\" is in use by process %ld",
	    "thư mục \"%s\" đang được tiến trình %ld dùng; hãy dừng nó trước", dir, pid);
}

int
lt_dir_lock(const char *dir, int *fd, struct lt_err *err)
{
	char path[PATH_MAX], pid[24];
	int f, n, rc;

	*fd = -1;
	if ((size_t)snprintf(path, sizeof(path), "%s/lock", dir) >= sizeof(path))
		return fail(err, LOCK_FOLDER, dir, ENAMETOOLONG);
	f = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f < 0)
		return fail(err, LOCK_FOLDER, dir, errno);
	if (flock(f, LOCK_EX | LOCK_NB) != 0) {
		rc = errno == EWOULDBLOCK ? busy(f, dir, err) : fail(err, LOCK_FOLDER, dir, errno);
		(void)close(f);
		return rc;
	}
	/* Only for people; a full disk must not keep the daemon from starting. */
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(f, 0) == 0)
		(void)!pwrite(f, pid, (size_t)n, 0);
	*fd = f;
	return LT_OK;
}
