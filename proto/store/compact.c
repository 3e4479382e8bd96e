#include "proto/store/compact.h"
#include "proto/base/failpoint.h"
#include "proto/base/log.h"
#include "proto/base/text.h"
#include "proto/store/tables.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DATA_FILE "data.mdb"
#define OLD_FILE "before.mdb" /* the file of before, until it is overwritten */
#define WORK_DIR "compacting"
#define ZEROS ((size_t)256 * 1024)
#define INDEX_BYTES_MAX ((size_t)512 * 1024 * 1024) /* of a node's keys: five million entries */
#define INDEX_ENTRY \
	16u /* bytes of an entry beside its key: 8 before it, 2 that point to it, an 8-byte checksum; 4 are counted with the key */
#define ROOM ((uint64_t)16 * 1024 * 1024) /* that is left on the disk in any case */

/* A store's folder, held against everybody who opens it. */
struct place {
	char path[PATH_MAX];
	int dir, lock; /* -1: not open */
	struct lt_err *err;
};

static int
failed(const struct place *p, int e, const char *what, const char *file)
{
	char en[LT_ERR_TEXT], vi[LT_ERR_TEXT];
	int rc = e == ENOSPC || e == EDQUOT  ? LT_E_NOSPACE
		 : e == EACCES || e == EPERM ? LT_E_DENIED
		 : e == ENOENT               ? LT_E_NOTFOUND
					     : LT_E_IO;

	(void)snprintf(en, sizeof(en), "%s \"%.300s/%s\": %s", what, p->path, file, strerror(e));
	(void)snprintf(vi, sizeof(vi), "không nén được kho, vì \"%.300s/%s\": %s", p->path, file,
	    lt_errno_vi(e));
	return lt_err_pair(p->err, rc, en, vi);
}

static int
place_open(struct place *p, const char *dir, const char *name, struct lt_err *err)
{
	p->err = err;
	p->dir = p->lock = -1;
	if (snprintf(p->path, sizeof(p->path), "%s/%s", dir, name) >= (int)sizeof(p->path) - 32)
		return lt_err_set(err, LT_E_INVALID, "the path is too long");
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->dir < 0 ? failed(p, errno, "cannot open folder", "") : LT_OK;
}

static void
place_close(struct place *p)
{
	if (p->lock >= 0)
		(void)close(p->lock);
	if (p->dir >= 0)
		(void)close(p->dir);
}

/* Nobody who opens it gets in from here on: who writes takes the lock of the folder (kv_lmdb.c), whoever reads that of LMDB's file. */
static int
place_hold(struct place *p)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	bool free_of_readers = true;

	p->lock = openat(p->dir, "lock.mdb", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (p->lock >= 0)
		free_of_readers = fcntl(p->lock, F_SETLK, &all) == 0;
	else if (errno != ENOENT)
		return failed(p, errno, "cannot open", "lock.mdb");
	if (free_of_readers && flock(p->dir, LOCK_EX | LOCK_NB) == 0)
		return LT_OK;
	return lt_err_both(p->err, LT_E_BUSY, "another process has the store in \"%s\" open",
	    "kho trong \"%s\" đang được một chương trình khác mở; hãy dừng nó trước", p->path);
}

static void
place_release(struct place *p)
{
	if (p->lock >= 0)
		(void)close(p->lock);
	p->lock = -1;
	if (p->dir >= 0)
		(void)flock(p->dir, LOCK_UN);
}

static int
sync_dir(const struct place *p, int dir)
{
	return fsync(dir) == 0 || errno == EINVAL ? LT_OK
						  : failed(p, errno, "cannot sync folder", "");
}

/* ---- overwriting ---- */

static int
write_zeros(int fd, uint64_t len)
{
	static const uint8_t zeros[ZEROS];
	uint64_t at = 0;

	while (at < len) {
		size_t n = len - at < ZEROS ? (size_t)(len - at) : ZEROS;
		ssize_t w = pwrite(fd, zeros, n, (off_t)at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w == 0 ? EIO : errno;
		at += (uint64_t)w;
	}
	return fdatasync(fd) == 0 ? 0 : errno;
}

/* Overwritten where it lies, synced, removed. *bytes (NULL allowed) is raised by its size. Not there: LT_OK. What has another name as
 * well is in use under that, and only loses this one: a stop between link and rename leaves the store itself under both. */
static int
wipe_in(const struct place *p, int dir, const char *name, uint64_t *bytes)
{
	struct stat st;
	int fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC), e = 0;

	if (fd < 0)
		return errno == ENOENT ? LT_OK : failed(p, errno, "cannot open", name);
	if (fstat(fd, &st) != 0)
		e = errno;
	if (e == 0 && st.st_nlink == 1)
		e = write_zeros(fd, (uint64_t)st.st_size);
	(void)close(fd);
	if (e == 0 && unlinkat(dir, name, 0) != 0)
		e = errno;
	if (e != 0)
		return failed(p, e, "cannot overwrite", name);
	if (bytes != NULL)
		*bytes += (uint64_t)st.st_size;
	return sync_dir(p, dir);
}

static int
wipe(const struct place *p, const char *name, uint64_t *bytes)
{
	return wipe_in(p, p->dir, name, bytes);
}

static int
drop(const struct place *p, int dir, const char *name, int flags)
{
	return unlinkat(dir, name, flags) == 0 || errno == ENOENT
		   ? LT_OK
		   : failed(p, errno, "cannot remove", name);
}

/* What a compaction that broke off left: a copy that is not whole, or the file of before that is to go. Both have what was erased. */
static int
clear_left(const struct place *p)
{
	int rc = LT_OK, work = openat(p->dir, WORK_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (work >= 0) {
		rc = wipe_in(p, work, DATA_FILE, NULL);
		(void)close(work);
		if (rc == LT_OK)
			rc = drop(p, p->dir, WORK_DIR, AT_REMOVEDIR);
	}
	return rc == LT_OK ? wipe(p, OLD_FILE, NULL) : rc;
}

/* ---- room ---- */

static int
check_room(const struct place *p, uint64_t bytes)
{
	struct statvfs fs;
	uint64_t free_bytes;

	if (fstatvfs(p->dir, &fs) != 0)
		return failed(p, errno, "cannot ask about", "");
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (free_bytes >= bytes + ROOM)
		return LT_OK;
	return lt_err_both(p->err, LT_E_NOSPACE,
	    "a compact copy of \"%s\" may need %llu MiB, and %llu MiB are free",
	    "bản nén của \"%s\" có thể cần %llu MiB, mà đĩa chỉ còn %llu MiB; hãy dọn bớt đĩa rồi "
	    "làm lại",
	    p->path, (unsigned long long)((bytes + ROOM) >> 20),
	    (unsigned long long)(free_bytes >> 20));
}

/* ---- the index ---- */

struct keys {
	struct lt_buf bytes; /* each: u16 length || key || value */
	size_t n;
};

static int
keys_read(struct lt_kv_txn *txn, struct keys *keys)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_INDEX, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
	/* Of one that is damaged the key may be what is: it would be sealed anew. */
	while (rc == LT_OK && keys->bytes.err == LT_OK) {
		lt_buf_u32(&keys->bytes, (uint32_t)k.len);
		lt_buf_put_slice(&keys->bytes, k);
		keys->n++;
		k = lt_slice(NULL, 0);
		rc = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? keys->bytes.err : rc;
}

static int
keys_write(struct lt_kv_txn *txn, const struct keys *keys)
{
	struct lt_reader r;
	size_t i;
	int rc = lt_kv_clear(txn, LT_T_INDEX);

	lt_reader_init(&r, lt_buf_slice(&keys->bytes));
	for (i = 0; rc == LT_OK && i < keys->n; i++) {
		uint32_t len = lt_read_u32(&r);

		rc = lt_kv_append(txn, LT_T_INDEX, lt_read_bytes(&r, len), lt_slice(NULL, 0));
	}
	return rc;
}

/* What it may take while the old one is still there. Pages that are filled in order are full but for one key of 511 bytes, and each has a key in
 * the page above. */
static uint64_t
index_bytes(const struct keys *keys)
{
	uint64_t entries = keys->bytes.len + (uint64_t)keys->n * INDEX_ENTRY;

	return entries + entries / 2;
}

/* A tree made anew of its entries has no bounds but theirs. The file grows by it, and never shrinks again: not where the copy, of up to
 * `copy` bytes, has no room afterwards. */
static int
lay_index(const struct place *p, struct lt_kv *kv, uint64_t copy)
{
	struct keys keys = { .n = 0 };
	struct lt_kv_txn *txn;
	int rc = lt_kv_begin_write(kv, &txn);

	if (rc != LT_OK)
		return rc;
	lt_buf_init(&keys.bytes, INDEX_BYTES_MAX);
	rc = keys_read(txn, &keys);
	if (rc == LT_OK)
		rc = check_room(p, copy + index_bytes(&keys));
	if (rc == LT_OK)
		rc = keys_write(txn, &keys);
	if (rc == LT_OK)
		rc = lt_kv_commit(txn);
	else
		lt_kv_abort(txn);
	lt_buf_fini(&keys.bytes);
	return rc;
}

/* ---- the copy ---- */

static int
check_size(const struct place *p)
{
	struct stat st;

	if (fstatat(p->dir, DATA_FILE, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return failed(p, errno, "there is no store", DATA_FILE);
	return (uint64_t)st.st_size <= LT_COMPACT_START_MAX
		   ? LT_OK
		   : lt_err_set(p->err, LT_E_TOOBIG, "the store in \"%s\" has %llu MiB", p->path,
			 (unsigned long long)st.st_size >> 20);
}

/* To whom it belongs, and who may what. A service under systemd may not call chown(2), and has no need to. */
static bool
as_before(int fd, const struct stat *st)
{
	struct stat own;

	if (fchmod(fd, st->st_mode & 0777) != 0 || fstat(fd, &own) != 0)
		return false;
	return (own.st_uid == st->st_uid && own.st_gid == st->st_gid) ||
	       fchown(fd, st->st_uid, st->st_gid) == 0;
}

static int
copy_to(const struct place *p, struct lt_kv *kv, const struct stat *st)
{
	int work, fd, rc;

	if (mkdirat(p->dir, WORK_DIR, 0700) != 0)
		return failed(p, errno, "cannot make folder", WORK_DIR);
	work = openat(p->dir, WORK_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = work < 0 ? -1 : openat(work, DATA_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = failed(p, errno, "cannot make", WORK_DIR "/" DATA_FILE);
	} else {
		rc = lt_kv_copy(kv, fd);
		if (rc == LT_OK && (!as_before(fd, st) || fsync(fd) != 0))
			rc = failed(p, errno, "cannot write", WORK_DIR "/" DATA_FILE);
		(void)close(fd);
	}
	if (rc == LT_OK)
		rc = sync_dir(p, work);
	if (work >= 0)
		(void)close(work);
	return rc;
}

/* ---- what is left within pages ----
 *
 * LMDB makes a page in memory that had another one before. Of a page of nodes its copy takes the used parts alone; of a value on pages of its own
 * it takes them whole, with whatever stood behind the value's end. The file's layout is that of LMDB 0.9: kv_check.h looks at the same. */

#define PAGE_HEAD \
	16u /* u64 number, u16 pad, u16 flags, u16 lower, u16 upper, or u32 pages of an overflow */
#define PAGE_LEAF 0x02
#define PAGE_OVERFLOW 0x04
#define PAGE_META 0x08
#define NODE_HEAD 8u /* u16 and u16: size of the value, u16 flags, u16 length of the key */
#define NODE_BIG 0x01
#define PSIZE_MAX 65536u
#define META_PSIZE 40u /* where in the file its page size stands, u32 */

struct cleaning {
	const struct place *p;
	int fd;
	uint64_t len;
	uint32_t psize;
	uint8_t *page;
};

static uint16_t
u16_at(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int
odd(const struct cleaning *c)
{
	return lt_err_both(c->p->err, LT_E_CORRUPT,
	    "the copy of the store in \"%s\" is no file of LMDB as this program knows it",
	    "bản chép của kho trong \"%s\" không phải tệp LMDB mà chương trình này biết; kho cũ "
	    "vẫn "
	    "nguyên, hãy gọi người phụ trách máy",
	    c->p->path);
}

static int
zero_range(const struct cleaning *c, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[65536];

	while (from < to) {
		size_t n = to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);
		ssize_t w = pwrite(c->fd, zeros, n, (off_t)from);

		if (w <= 0)
			return failed(
			    c->p, w == 0 ? EIO : errno, "cannot write", WORK_DIR "/" DATA_FILE);
		from += (uint64_t)w;
	}
	return LT_OK;
}

/* Behind the end of a value that has pages of its own. */
static int
clean_big(const struct cleaning *c, const uint8_t *node)
{
	uint64_t size = u16_at(node) | (uint64_t)u16_at(node + 2) << 16, pgno, end;
	const uint8_t *data = node + NODE_HEAD + u16_at(node + 6);

	memcpy(&pgno, data, sizeof(pgno));
	if (pgno >= c->len / c->psize)
		return odd(c);
	end = (pgno + (PAGE_HEAD - 1 + size) / c->psize + 1) * c->psize;
	if (end > c->len)
		return odd(c);
	return zero_range(c, pgno * c->psize + PAGE_HEAD + size, end);
}

static int
clean_leaf(const struct cleaning *c, uint16_t lower)
{
	uint32_t i, n = (lower - PAGE_HEAD) / 2;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < n; i++) {
		uint32_t at = u16_at(c->page + PAGE_HEAD + (size_t)2 * i);

		if (at + NODE_HEAD > c->psize)
			return odd(c);
		if ((u16_at(c->page + at + 4) & NODE_BIG) == 0)
			continue;
		if (at + NODE_HEAD + u16_at(c->page + at + 6) + sizeof(uint64_t) > c->psize)
			return odd(c);
		rc = clean_big(c, c->page + at);
	}
	return rc;
}

/* *pages: how many it is the first of. */
static int
clean_page(const struct cleaning *c, uint64_t pgno, uint64_t *pages)
{
	uint16_t flags = u16_at(c->page + 10), lower = u16_at(c->page + 12),
		 upper = u16_at(c->page + 14);
	uint32_t n;
	int rc;

	*pages = 1;
	if (flags & PAGE_META)
		return LT_OK;
	if (flags & PAGE_OVERFLOW) {
		memcpy(&n, c->page + 12, sizeof(n));
		*pages = n;
		return n == 0 ? odd(c) : LT_OK;
	}
	if (lower < PAGE_HEAD || lower > upper || upper > c->psize)
		return odd(c);
	rc = zero_range(c, pgno * c->psize + lower, pgno * c->psize + upper);
	return rc == LT_OK && (flags & PAGE_LEAF) != 0 ? clean_leaf(c, lower) : rc;
}

static int
clean_all(struct cleaning *c)
{
	uint64_t pgno = 0, pages = 1;
	int rc = LT_OK;

	while (rc == LT_OK && (pgno + 1) * c->psize <= c->len) {
		if (pread(c->fd, c->page, c->psize, (off_t)(pgno * c->psize)) != (ssize_t)c->psize)
			return failed(c->p, EIO, "cannot read", WORK_DIR "/" DATA_FILE);
		rc = clean_page(c, pgno, &pages);
		pgno += pages;
	}
	if (rc == LT_OK && fsync(c->fd) != 0)
		rc = failed(c->p, errno, "cannot sync", WORK_DIR "/" DATA_FILE);
	return rc;
}

static int
clean_copy(const struct place *p)
{
	struct cleaning c = { .p = p };
	struct stat st;
	int rc = LT_OK;

	c.fd = openat(p->dir, WORK_DIR "/" DATA_FILE, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (c.fd < 0)
		return failed(p, errno, "cannot open", WORK_DIR "/" DATA_FILE);
	if (fstat(c.fd, &st) != 0 ||
	    pread(c.fd, &c.psize, sizeof(c.psize), META_PSIZE) != (ssize_t)sizeof(c.psize))
		rc = failed(p, EIO, "cannot read", WORK_DIR "/" DATA_FILE);
	else if (c.psize < 512 || c.psize > PSIZE_MAX || (c.psize & (c.psize - 1)) != 0)
		rc = odd(&c);
	if (rc == LT_OK) {
		c.len = (uint64_t)st.st_size;
		c.page = malloc(PSIZE_MAX);
		rc = c.page == NULL ? LT_E_NOMEM : clean_all(&c);
		free(c.page);
	}
	(void)close(c.fd);
	return rc;
}

/* All of the copy is read before it counts. */
static int
check_copy(
    const struct place *p, enum lt_kv_kind kind, const struct lt_fed *federation, uint64_t *bad)
{
	char path[PATH_MAX + 16];
	struct lt_kv_options o = { .path = path,
		.kind = kind,
		.federation = federation->b,
		.tables = lt_table_names,
		.read_only = true };

	(void)snprintf(path, sizeof(path), "%s/%s", p->path, WORK_DIR);
	return lt_kv_look(&o, bad, p->err);
}

/* The note about the file of before goes first: without one all of the file is read at the next start, of either. */
static int
put_in_place(const struct place *p, struct lt_compact_report *out)
{
	struct stat st;
	int rc = drop(p, p->dir, "guard", 0);

	if (rc == LT_OK)
		rc = sync_dir(p, p->dir);
	if (rc == LT_OK && linkat(p->dir, DATA_FILE, p->dir, OLD_FILE, 0) != 0)
		rc = failed(p, errno, "cannot link", OLD_FILE);
	if (rc != LT_OK)
		return rc;
	LT_FAILPOINT("compact.linked");
	if (renameat(p->dir, WORK_DIR "/" DATA_FILE, p->dir, DATA_FILE) != 0)
		return failed(p, errno, "cannot put in place", DATA_FILE);
	rc = sync_dir(p, p->dir);
	if (rc == LT_OK && fstatat(p->dir, DATA_FILE, &st, 0) == 0)
		out->after = (uint64_t)st.st_size;
	LT_FAILPOINT("compact.in_place");
	return rc == LT_OK ? clear_left(p) : rc;
}

static int
make_copy(struct place *p, const char *dir, const char *name, enum lt_kv_kind kind,
    const struct lt_fed *federation, struct lt_compact_report *out)
{
	struct lt_kv *kv;
	struct stat st;
	int rc;

	if (fstatat(p->dir, DATA_FILE, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return failed(p, errno, "there is no store", DATA_FILE);
	out->before = (uint64_t)st.st_size;
	rc = check_room(p, out->before);
	if (rc == LT_OK)
		rc = lt_tables_open(dir, name, kind, federation, 0, &kv, p->err);
	if (rc != LT_OK)
		return rc;
	if (kind == LT_KV_NODE)
		rc = lay_index(p, kv, out->before);
	if (rc == LT_OK)
		rc = copy_to(p, kv, &st);
	lt_kv_close(kv);
	if (rc != LT_OK && p->err != NULL && p->err->text[0] == '\0')
		(void)(rc == LT_E_NOSPACE
			   ? lt_err_both(p->err, rc, "cannot copy the store in \"%s\": %s",
				 "không chép được kho trong \"%s\": đĩa đầy (%s); hãy dọn bớt, rồi "
				 "làm lại",
				 p->path, lt_strerror(rc))
			   : lt_err_both(p->err, rc, "cannot copy the store in \"%s\": %s",
				 "không chép được kho trong \"%s\" (chi tiết: %s); kho cũ vẫn "
				 "nguyên",
				 p->path, lt_strerror(rc)));
	return rc;
}

/* A copy that did not come into use goes at once: it takes the disk's room, and has what was erased. Where somebody else has the store by
 * now it stays until the next compaction. */
static void
give_up(struct place *p)
{
	struct lt_err *err = p->err;

	p->err = NULL; /* why it was given up is told already */
	place_release(p);
	if (place_hold(p) == LT_OK)
		(void)clear_left(p);
	p->err = err;
}

static int
compact(const char *dir, const char *name, enum lt_kv_kind kind, const struct lt_fed *federation,
    bool sound, struct lt_compact_report *out, struct lt_err *err)
{
	struct place p;
	bool begun;
	int rc = place_open(&p, dir, name, err);

	memset(out, 0, sizeof(*out));
	if (rc == LT_OK)
		rc = place_hold(&p);
	if (rc == LT_OK)
		rc = clear_left(&p);
	place_release(&p); /* who opens it to copy takes the locks himself */
	begun = rc == LT_OK;
	if (rc == LT_OK && sound)
		rc = check_size(&p);
	if (rc == LT_OK)
		rc = make_copy(&p, dir, name, kind, federation, out);
	if (rc == LT_OK) {
		LT_FAILPOINT("compact.copied");
		rc = place_hold(&p);
	}
	if (rc == LT_OK)
		rc = clean_copy(&p);
	if (rc == LT_OK)
		rc = check_copy(&p, kind, federation, &out->bad);
	if (rc == LT_OK && sound && out->bad != 0)
		rc = lt_err_set(err, LT_E_CORRUPT, "%llu values of the store in \"%s\" are damaged",
		    (unsigned long long)out->bad, p.path);
	if (rc == LT_OK)
		rc = put_in_place(&p, out);
	else if (begun)
		give_up(&p);
	place_close(&p);
	return rc;
}

int
lt_store_compact(const char *dir, const char *name, enum lt_kv_kind kind,
    const struct lt_fed *federation, struct lt_compact_report *out, struct lt_err *err)
{
	return compact(dir, name, kind, federation, false, out, err);
}

int
lt_store_compact_sound(const char *dir, const char *name, enum lt_kv_kind kind,
    const struct lt_fed *federation, struct lt_compact_report *out, struct lt_err *err)
{
	return compact(dir, name, kind, federation, true, out, err);
}

/* ---- derived tables ---- */

typedef int file_fn(const struct place *p, const char *name, uint64_t *bytes);

static int
each_damaged(const struct place *p, file_fn *fn, uint64_t *bytes)
{
	int fd = dup(p->dir), rc = LT_OK;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (d == NULL) {
		rc = failed(p, errno, "cannot read folder", "");
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	rewinddir(d);
	while (rc == LT_OK && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "damaged-", 8) == 0)
			rc = fn(p, e->d_name, bytes);
	(void)closedir(d);
	return rc;
}

static int
add_size(const struct place *p, const char *name, uint64_t *bytes)
{
	struct stat st;

	if (fstatat(p->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		*bytes += (uint64_t)st.st_size;
	else if (errno != ENOENT)
		return failed(p, errno, "cannot ask about", name);
	return LT_OK;
}

int
lt_store_drop_derived(const char *dir, const char *name, uint64_t *bytes, struct lt_err *err)
{
	struct place p;
	int rc = place_open(&p, dir, name, err);

	*bytes = 0;
	if (rc == LT_OK)
		rc = place_hold(&p);
	/* Without `made` a store that is gone is begun anew, and is no loss. */
	if (rc == LT_OK)
		rc = drop(&p, p.dir, "made", 0);
	if (rc == LT_OK)
		rc = drop(&p, p.dir, "guard", 0);
	if (rc == LT_OK)
		rc = sync_dir(&p, p.dir);
	if (rc == LT_OK)
		rc = clear_left(&p);
	/* Under another name before it is overwritten: half overwritten under its own no start would take it. */
	if (rc == LT_OK && renameat(p.dir, DATA_FILE, p.dir, OLD_FILE) != 0 && errno != ENOENT)
		rc = failed(&p, errno, "cannot rename", DATA_FILE);
	if (rc == LT_OK)
		rc = sync_dir(&p, p.dir);
	LT_FAILPOINT("compact.derived");
	if (rc == LT_OK)
		rc = wipe(&p, OLD_FILE, bytes);
	if (rc == LT_OK)
		rc = each_damaged(&p, wipe, bytes);
	place_close(&p);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* ---- by itself ---- */

static const char owed_row[] = "uncompacted";

/* Its values (FORMAT.md 9.8). */
#define OWED_ALL 1
#define OWED_DAMAGED 2
#define OWED_DERIVED 3

static int
owed_get(struct lt_kv_txn *txn, uint8_t *state)
{
	struct lt_slice v;
	int rc = lt_kv_get(txn, LT_T_LOCAL, lt_slice_str(owed_row), &v);

	*state = OWED_ALL;
	if (rc == LT_OK && v.len == 1 && (v.data[0] == OWED_DAMAGED || v.data[0] == OWED_DERIVED))
		*state = v.data[0];
	return rc;
}

static int
owed_put(struct lt_kv_txn *txn, uint8_t state)
{
	return lt_kv_put(txn, LT_T_LOCAL, lt_slice_str(owed_row), lt_slice(&state, 1));
}

int
lt_compact_owe(struct lt_kv_txn *txn)
{
	uint8_t state;

	/* What stands in the way does so still. */
	if (owed_get(txn, &state) == LT_OK && state == OWED_DAMAGED)
		return LT_OK;
	return owed_put(txn, OWED_ALL);
}

int
lt_compact_scrubbed(struct lt_kv_txn *txn)
{
	uint8_t state;
	int rc = owed_get(txn, &state);

	if (rc != LT_OK || state != OWED_DAMAGED)
		return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
	return owed_put(txn, OWED_ALL);
}

/* A row that cannot be read is one; so is one that nobody can look for. */
static bool
owed_read(struct lt_kv *kv, uint8_t *state)
{
	struct lt_kv_txn *txn;
	bool owed;

	*state = OWED_ALL;
	if (lt_kv_begin_read(kv, &txn) != LT_OK)
		return true;
	owed = owed_get(txn, state) != LT_E_NOTFOUND;
	lt_kv_abort(txn);
	return owed;
}

bool
lt_compact_is_owed(struct lt_kv *kv)
{
	uint8_t state;

	return owed_read(kv, &state);
}

enum lt_compact_due
lt_compact_due(struct lt_kv *kv)
{
	uint8_t state;

	if (!owed_read(kv, &state))
		return LT_COMPACT_NOTHING;
	if (state != OWED_DAMAGED)
		return state == OWED_DERIVED ? LT_COMPACT_DERIVED : LT_COMPACT_ALL;
	lt_warn("bytes of what was erased stay in the store's files, as damage was found in it: "
		"run 'ltctl "
		"compact' while the service is stopped, or it is tried at the first start after a "
		"scrub that finds nothing");
	return LT_COMPACT_NOTHING;
}

/* state 0: no row. */
static int
owed_set(const char *dir, const char *name, enum lt_kv_kind kind, const struct lt_fed *federation,
    uint8_t state, struct lt_err *err)
{
	struct lt_kv_txn *txn;
	struct lt_kv *kv;
	int rc = lt_tables_open(dir, name, kind, federation, 0, &kv, err);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_begin_write(kv, &txn);
	if (rc == LT_OK) {
		rc = state != 0 ? owed_put(txn, state)
				: lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(owed_row));
		if (rc == LT_OK)
			rc = lt_kv_commit(txn);
		else
			lt_kv_abort(txn);
	}
	lt_kv_close(kv);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_compact_settle(const char *dir, const char *name, enum lt_kv_kind kind,
    const struct lt_fed *federation, struct lt_err *err)
{
	return owed_set(dir, name, kind, federation, 0, err);
}

/* The hub knows nobody until it has built them anew, which takes as long as they are large. */
static int
drop_small_derived(const char *dir, const char *name, struct lt_err *err)
{
	struct place p;
	uint64_t bytes = 0;
	int rc = place_open(&p, dir, name, err);

	if (rc == LT_OK)
		rc = each_damaged(&p, add_size, &bytes);
	if (rc == LT_OK)
		rc = add_size(&p, DATA_FILE, &bytes);
	if (rc == LT_OK && bytes > LT_COMPACT_START_MAX)
		rc = lt_err_set(err, LT_E_TOOBIG, "the derived tables in \"%s\" have %llu MiB",
		    p.path, (unsigned long long)bytes >> 20);
	place_close(&p);
	if (rc == LT_E_NOTFOUND)
		return LT_OK; /* there are none */
	return rc == LT_OK ? lt_store_drop_derived(dir, name, &bytes, err) : rc;
}

static int
do_due(enum lt_compact_due due, const char *dir, const char *name, const char *derived,
    enum lt_kv_kind kind, const struct lt_fed *federation, struct lt_err *err)
{
	struct lt_compact_report r = { 0 };
	int rc = LT_OK;

	if (due == LT_COMPACT_ALL) {
		lt_info(
		    "values were erased: the store in \"%s\" is written anew without their bytes",
		    dir);
		rc = lt_store_compact_sound(dir, name, kind, federation, &r, err);
	}
	if (rc == LT_E_CORRUPT)
		(void)owed_set(dir, name, kind, federation, OWED_DAMAGED, NULL);
	if (rc != LT_OK)
		return rc;
	if (due == LT_COMPACT_ALL)
		lt_info("the store has %llu KiB, before it had %llu KiB",
		    (unsigned long long)r.after / 1024, (unsigned long long)r.before / 1024);
	if (derived != NULL)
		rc = drop_small_derived(dir, derived, err);
	if (rc == LT_E_TOOBIG && due == LT_COMPACT_ALL)
		(void)owed_set(dir, name, kind, federation, OWED_DERIVED, NULL);
	LT_FAILPOINT("compact.settle");
	return rc == LT_OK ? lt_compact_settle(dir, name, kind, federation, err) : rc;
}

void
lt_compact_owed(enum lt_compact_due due, const char *dir, const char *name, const char *derived,
    enum lt_kv_kind kind, const struct lt_fed *federation)
{
	struct lt_err err = { "" };
	int rc;

	if (due == LT_COMPACT_NOTHING)
		return;
	rc = do_due(due, dir, name, derived, kind, federation, &err);
	if (rc != LT_OK)
		lt_warn("bytes of what was erased stay in the files in \"%s\" (%s): run 'ltctl "
			"compact' while the service is stopped, or it is tried again at %s",
		    dir, err.text[0] != '\0' ? err.text : lt_strerror(rc),
		    rc == LT_E_CORRUPT ? "the first start after a scrub that finds nothing"
				       : "the next start");
}
