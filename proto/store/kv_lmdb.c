/* The store on disk: one LMDB environment in a folder.
 *
 *   data.mdb  the environment. It appears by rename when it is complete, so a power cut while it is
 *             made leaves none, and an empty or short one is always damage.
 *   lock.mdb  LMDB's reader table and writer mutex, made anew when missing.
 *   made      says that data.mdb was here: without it the folder may be filled, with it a missing
 *             data.mdb is a loss that somebody must hear of.
 *   guard     says whether it was closed, and what its last commit was (kv_check.h).
 *   damaged-N.mdb  a data.mdb that was damaged: of derived tables, made anew from the log, or of a node's store, made anew of what could be
 *             read of it (salvage.h), where it may be the only one that has something. Nothing reads it.
 *
 * The folder itself is held with flock by the one process that may write: lock.mdb can be deleted under
 * a running daemon, and two writers with different lock files would destroy the environment.
 * LMDB's locks are fcntl locks: while an environment is open, nothing here opens and closes data.mdb or
 * lock.mdb by hand, which would drop them. */
#include "proto/base/daemon.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/store/kv_check.h"
#include "proto/store/kv_sums.h"
#include "proto/store/kv_test.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAP_BYTES_DEFAULT ((uint64_t)64 << 30)
#define READERS_MAX 256
/* At least LMDB's header and READERS_MAX slots of 64 bytes, in whole pages. */
#define LOCK_FILE_BYTES ((off_t)20480)
#define FORMAT_MAGIC "LTST"
#define FORMAT_VERSION 2
#define DATA_FILE "data.mdb"
#define NEW_FILE "new.mdb"
#define LOCK_FILE "lock.mdb"
#define MADE_FILE "made"
#define MADE_TEXT "this folder has held a store of lienthong; if data.mdb is gone, data was lost\n"
#define PROBE_FILE "probe"
/* A file system that cannot give this much is full: a commit writes runs of at most 64 pages, or one
 * value of at most LT_KV_VALUE_MAX; a short write takes what was left. */
#define PROBE_BYTES ((off_t)1 << 20)
#define GUARD_FILE "guard"
/* What people are to do, behind a semicolon. */
#define RESTORE_VI "hãy gọi người phụ trách máy để phục hồi từ bản sao lưu ('ltctl restore')"
#define UPDATE_VI "hãy dùng chương trình đúng phiên bản (thường là bản mới nhất)"
#define ASIDE_FORMAT "damaged-%u.mdb"
#define ASIDE_MAX 100000
#define LOCK_TRIES 20
/* Read transactions kept for the next who reads, of READERS_MAX places: as many as read at once in a hub. */
#define READS_KEPT 16

struct env_txn;

struct env {
	struct lt_kv base;
	MDB_env *env;
	MDB_dbi dbi[LT_KV_TABLES_MAX];
	struct lt_kv_table meta;
	int dir; /* folder, locked unless read_only */
	int guard_fd; /* -1: read_only, or not that far */
	pthread_mutex_t
	    guard_mx; /* of the next: a commit is noted when LMDB's own lock is free again */
	struct lt_kv_guard guard;
	atomic_bool opened; /* and given out, and nothing is known against it */
	pthread_mutex_t reads_mx; /* guards the next two */
	/* Over and reset: such a one holds a place among the readers, no page, and is begun anew for a fraction of the price. */
	struct env_txn *read[READS_KEPT];
	unsigned nread;
	dev_t dev;
	ino_t ino; /* of the folder, while it stands in the list below */
	pid_t pid; /* that opened it: a child inherits the list, but not LMDB's locks */
	struct env *next;
};

struct env_txn {
	struct lt_kv_txn base;
	MDB_txn *mt;
	bool spoiled; /* LMDB failed in it: not to be used again */
	/* One of each table that is used often, kept where it was last: the next key of a sorted batch lies mostly in the
	 * page at hand, and need not be looked for from the root. NULL until used often. */
	MDB_cursor *at[LT_KV_TABLES_MAX];
	uint8_t used[LT_KV_TABLES_MAX];
};

/* A cursor costs memory and time to make: not for the few calls of a short transaction. */
#define USED_OFTEN 16

struct env_cursor {
	struct lt_kv_cursor base;
	MDB_cursor *mc;
};

uint64_t lt_kv_test_check_always = LT_KV_CHECK_ALWAYS;
unsigned lt_kv_test_check_samples = LT_KV_CHECK_SAMPLES;
atomic_int lt_kv_test_read_fails;

/* LMDB breaks when one process opens an environment twice. */
static pthread_mutex_t open_mx = PTHREAD_MUTEX_INITIALIZER; /* guards open_list */
static struct env *open_list;

static int
code_of(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return LT_OK;
	case MDB_NOTFOUND:
	case ENOENT:
		return LT_E_NOTFOUND;
	case MDB_KEYEXIST:
		return LT_E_EXISTS;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return LT_E_NOSPACE;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_CURSOR_FULL:
	case MDB_PAGE_FULL:
	case MDB_BAD_DBI:
	case MDB_INCOMPATIBLE:
		return LT_E_CORRUPT;
	case MDB_VERSION_MISMATCH:
		return LT_E_VERSION;
	case MDB_READERS_FULL:
	case EBUSY:
	case EAGAIN:
		return LT_E_BUSY;
	case MDB_TXN_FULL:
		return LT_E_TOOBIG;
	case MDB_BAD_VALSIZE:
		return LT_E_INVALID;
	case ENOMEM:
		return LT_E_NOMEM;
	case EACCES:
	case EPERM:
	case EROFS:
		return LT_E_DENIED;
	default: /* EIO, MDB_PANIC, MDB_BAD_TXN, MDB_MAP_RESIZED and whatever else the system says */
		return LT_E_IO;
	}
}

/* Is there no room left in the folder's file system (or quota, or inodes)? */
static bool
disk_full(int dir)
{
	int fd, rc, e;

	fd = openat(dir, PROBE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOSPC || errno == EDQUOT;
	rc = posix_fallocate(fd, 0, PROBE_BYTES);
	(void)unlinkat(dir, PROBE_FILE, 0);
	e = close(fd) == 0 ? 0 : errno;
	return rc == ENOSPC || rc == EDQUOT || e == ENOSPC || e == EDQUOT;
}

/* As code_of, after a call that writes: LMDB reports a write cut short by a full disk as EIO. */
static int
write_code_of(const struct env *e, int rc)
{
	if (rc == EIO && disk_full(e->dir))
		return LT_E_NOSPACE;
	return code_of(rc);
}

static MDB_val
to_val(struct lt_slice s)
{
	MDB_val v = { s.len, (void *)(uintptr_t)s.data };

	return v;
}

static struct lt_slice
from_val(MDB_val v)
{
	return lt_slice(v.mv_data, v.mv_size);
}

/* The file is to reach as far as the pages LMDB counts: pages at its end that were taken and given
 * back within one transaction are never written, and would look like a cut file at the next start. */
static void
stretch(const struct env *e)
{
	MDB_envinfo info;
	MDB_stat st;
	struct stat sb;
	mdb_filehandle_t fd;
	uint64_t want;

	if (mdb_env_info(e->env, &info) != 0 || mdb_env_stat(e->env, &st) != 0 ||
	    mdb_env_get_fd(e->env, &fd) != 0 || fstat(fd, &sb) != 0)
		return;
	want = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
	if ((uint64_t)sb.st_size < want && ftruncate(fd, (off_t)want) != 0)
		lt_warn("cannot stretch the store's file: %s", strerror(errno));
}

/* ---- the note beside the file (kv_check.h) ---- */

/* The newest meta page, read from the file: LMDB's own descriptor, since another one that is closed drops its locks. names NULL: not
 * wanted. */
static bool
read_meta(const struct env *e, uint64_t *txnid, uint64_t *meta, uint64_t *names)
{
	uint8_t page[2][LT_PAGES_META_LEN], root[LT_PAGES_PAGE];
	mdb_filehandle_t fd;
	MDB_stat st;
	uint64_t at;

	if (mdb_env_stat(e->env, &st) != 0 || mdb_env_get_fd(e->env, &fd) != 0 ||
	    pread(fd, page[0], sizeof(page[0]), 0) != (ssize_t)sizeof(page[0]) ||
	    pread(fd, page[1], sizeof(page[1]), (off_t)st.ms_psize) != (ssize_t)sizeof(page[1]) ||
	    !lt_pages_meta(page[0], page[1], txnid, meta))
		return false;
	if (names == NULL)
		return true;
	at = lt_pages_names_at(page[0], page[1]);
	*names = at != 0 && pread(fd, root, sizeof(root), (off_t)(at * LT_PAGES_PAGE)) ==
				(ssize_t)sizeof(root)
		     ? lt_pages_names(root)
		     : 0;
	return true;
}

static int
note(struct env *e, bool clean, bool sync)
{
	struct lt_kv_guard *g = &e->guard;
	int rc = EIO;

	(void)pthread_mutex_lock(&e->guard_mx);
	if (read_meta(e, &g->txnid, &g->meta, clean ? &g->names : NULL)) {
		g->clean = clean;
		rc = lt_kv_guard_write(e->guard_fd, g, sync);
	}
	(void)pthread_mutex_unlock(&e->guard_mx);
	return rc;
}

static uint64_t
env_used_bytes(struct lt_kv *kv)
{
	struct env *e = (struct env *)kv;
	MDB_envinfo info;
	MDB_stat st;

	if (mdb_env_info(e->env, &info) != 0 || mdb_env_stat(e->env, &st) != 0)
		return 0;
	return ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
}

/* ---- read transactions kept ---- */

static void
read_free(struct env_txn *t)
{
	mdb_txn_abort(t->mt);
	free(t);
}

/* One that was kept, begun anew; NULL: there is none. */
static struct env_txn *
read_again(struct env *e)
{
	struct env_txn *t = NULL;
	MDB_txn *mt;

	(void)pthread_mutex_lock(&e->reads_mx);
	if (e->nread > 0)
		t = e->read[--e->nread];
	(void)pthread_mutex_unlock(&e->reads_mx);
	if (t == NULL)
		return NULL;
	if (mdb_txn_renew(t->mt) != 0) {
		read_free(t);
		return NULL;
	}
	mt = t->mt;
	memset(t, 0, sizeof(*t));
	t->mt = mt;
	return t;
}

/* It is over. */
static void
read_over(struct env *e, struct env_txn *t)
{
	if (t->spoiled) {
		read_free(t);
		return;
	}
	mdb_txn_reset(t->mt);
	(void)pthread_mutex_lock(&e->reads_mx);
	if (e->nread < READS_KEPT) {
		e->read[e->nread++] = t;
		t = NULL;
	}
	(void)pthread_mutex_unlock(&e->reads_mx);
	if (t != NULL)
		read_free(t);
}

static void
reads_free(struct env *e)
{
	while (e->nread > 0)
		read_free(e->read[--e->nread]);
}

unsigned
lt_kv_test_reads_kept(struct lt_kv *kv)
{
	struct env *e = (struct env *)kv;
	unsigned n;

	(void)pthread_mutex_lock(&e->reads_mx);
	n = e->nread;
	(void)pthread_mutex_unlock(&e->reads_mx);
	return n;
}

/* As code_of, after a call that reads. */
static int
read_code_of(struct lt_kv_txn *txn, int rc)
{
	struct env_txn *t = (struct env_txn *)txn;

	if (atomic_load_explicit(&lt_kv_test_read_fails, memory_order_relaxed) != 0)
		rc = atomic_exchange(&lt_kv_test_read_fails, 0);
	if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND)
		t->spoiled = true;
	return code_of(rc);
}

static int
env_begin(struct lt_kv *kv, bool write, struct lt_kv_txn **out)
{
	struct env *e = (struct env *)kv;
	struct env_txn *t = write ? NULL : read_again(e);
	int rc, dead;

	if (t != NULL) {
		*out = &t->base;
		return LT_OK;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return LT_E_NOMEM;
	/* A reader that was killed pins its pages until somebody looks. */
	if (write)
		(void)mdb_reader_check(e->env, &dead);
	rc = mdb_txn_begin(e->env, NULL, write ? 0 : MDB_RDONLY, &t->mt);
	if (rc == MDB_READERS_FULL && mdb_reader_check(e->env, &dead) == 0 && dead > 0)
		rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &t->mt);
	if (rc != 0) {
		free(t);
		return code_of(rc);
	}
	*out = &t->base;
	return LT_OK;
}

static void
close_cursors(struct env_txn *t)
{
	unsigned i;

	for (i = 0; i < t->base.kv->ntables; i++) {
		if (t->at[i] != NULL)
			mdb_cursor_close(t->at[i]);
	}
}

static int
env_commit(struct lt_kv_txn *txn)
{
	struct env_txn *t = (struct env_txn *)txn;
	struct env *e = (struct env *)txn->kv;
	int rc;

	close_cursors(t);
	if (!txn->write) {
		read_over(e, t);
		return LT_OK;
	}
	rc = mdb_txn_commit(t->mt);
	if (rc == 0) {
		stretch(e);
		/* Not synced, so as not to cost a commit another one; it outlives the death of the program at least. */
		(void)note(e, false, false);
	}
	free(t);
	return write_code_of(e, rc);
}

static void
env_abort(struct lt_kv_txn *txn)
{
	struct env_txn *t = (struct env_txn *)txn;

	close_cursors(t);
	if (!txn->write) {
		read_over((struct env *)txn->kv, t);
		return;
	}
	mdb_txn_abort(t->mt);
	free(t);
}

static MDB_txn *
mt_of(struct lt_kv_txn *txn)
{
	return ((struct env_txn *)txn)->mt;
}

static MDB_dbi
dbi_of(struct lt_kv_txn *txn, unsigned table)
{
	return ((struct env *)txn->kv)->dbi[table];
}

/* The table's cursor, once it is used often; NULL: not yet, or no memory for it. */
static MDB_cursor *
often(struct lt_kv_txn *txn, unsigned table)
{
	struct env_txn *t = (struct env_txn *)txn;

	if (t->at[table] != NULL)
		return t->at[table];
	if (t->used[table]++ < USED_OFTEN)
		return NULL;
	t->used[table] = 0;
	if (mdb_cursor_open(t->mt, dbi_of(txn, table), &t->at[table]) != 0)
		t->at[table] = NULL;
	return t->at[table];
}

static int
env_get(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice *stored)
{
	MDB_cursor *c = often(txn, table);
	MDB_val k = to_val(key), v;
	int rc;

	rc = c != NULL ? mdb_cursor_get(c, &k, &v, MDB_SET)
		       : mdb_get(mt_of(txn), dbi_of(txn, table), &k, &v);
	rc = read_code_of(txn, rc);
	if (rc == LT_OK)
		*stored = from_val(v);
	return rc;
}

static int
put(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored,
    unsigned flags)
{
	MDB_val k = to_val(key), v = to_val(stored);
	MDB_cursor *c = often(txn, table);
	uint8_t copy[LT_KV_KEY_MAX];

	/* The key may lie in a page that this very call moves. */
	memcpy(copy, key.data, key.len);
	k.mv_data = copy;
	return write_code_of((struct env *)txn->kv,
	    c != NULL ? mdb_cursor_put(c, &k, &v, flags)
		      : mdb_put(mt_of(txn), dbi_of(txn, table), &k, &v, flags));
}

static int
env_put(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored)
{
	return put(txn, table, key, stored, 0);
}

static int
env_append(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored)
{
	return put(txn, table, key, stored, MDB_APPEND);
}

static int
env_del(struct lt_kv_txn *txn, unsigned table, struct lt_slice key)
{
	uint8_t copy[LT_KV_KEY_MAX];
	MDB_val k = { key.len, copy };

	memcpy(copy, key.data, key.len);
	return write_code_of(
	    (struct env *)txn->kv, mdb_del(mt_of(txn), dbi_of(txn, table), &k, NULL));
}

static int
env_count(struct lt_kv_txn *txn, unsigned table, uint64_t *n)
{
	MDB_stat st;
	int rc;

	rc = read_code_of(txn, mdb_stat(mt_of(txn), dbi_of(txn, table), &st));
	if (rc == LT_OK)
		*n = st.ms_entries;
	return rc;
}

static int
env_clear(struct lt_kv_txn *txn, unsigned table)
{
	return write_code_of((struct env *)txn->kv, mdb_drop(mt_of(txn), dbi_of(txn, table), 0));
}

static int
env_cursor_open(struct lt_kv_txn *txn, unsigned table, struct lt_kv_cursor **out)
{
	struct env_cursor *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return LT_E_NOMEM;
	rc = mdb_cursor_open(mt_of(txn), dbi_of(txn, table), &c->mc);
	if (rc != 0) {
		free(c);
		return read_code_of(txn, rc);
	}
	*out = &c->base;
	return LT_OK;
}

static void
env_cursor_close(struct lt_kv_cursor *cur)
{
	struct env_cursor *c = (struct env_cursor *)cur;

	mdb_cursor_close(c->mc);
	free(c);
}

static int
move(struct lt_kv_cursor *cur, struct lt_slice key, MDB_cursor_op op, struct lt_slice *k,
    struct lt_slice *s)
{
	MDB_val mk = to_val(key), mv;
	int rc;

	rc = read_code_of(cur->txn, mdb_cursor_get(((struct env_cursor *)cur)->mc, &mk, &mv, op));
	if (rc == LT_OK) {
		*k = from_val(mk);
		*s = from_val(mv);
	}
	return rc;
}

static int
env_seek(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *s)
{
	return move(c, key, key.len == 0 ? MDB_FIRST : MDB_SET_RANGE, k, s);
}

static int
env_seek_before(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *s)
{
	int rc;

	if (key.len == 0)
		return move(c, key, MDB_LAST, k, s);
	rc = move(c, key, MDB_SET_RANGE, k, s);
	if (rc == LT_E_NOTFOUND)
		return move(c, key, MDB_LAST, k, s);
	return rc != LT_OK ? rc : move(c, key, MDB_PREV, k, s);
}

static int
env_next(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *s)
{
	return move(c, lt_slice(NULL, 0), MDB_NEXT, k, s);
}

static int
env_prev(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *s)
{
	return move(c, lt_slice(NULL, 0), MDB_PREV, k, s);
}

/* ---- the folder ---- */

static int
path_in(char out[PATH_MAX], const char *dir, const char *name, struct lt_err *err)
{
	if ((size_t)snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return lt_err_set(err, LT_E_INVALID, "path \"%s\" is too long", dir);
	return LT_OK;
}

/* What could not be done to a store; its path follows. */
enum doing { MAKE, SET_ASIDE, WRITE_BESIDE, LOCK_ROOM, OPEN, OPEN_TABLES, READ, OPEN_FOLDER };
static const struct {
	const char *en, *vi;
} doings[] = {
	[MAKE] = { "cannot make store", "không tạo được kho" },
	[SET_ASIDE] = { "cannot set aside the damaged store", "không cất riêng được kho bị hỏng" },
	[WRITE_BESIDE] = { "cannot write beside store", "không ghi được bên cạnh kho" },
	[LOCK_ROOM] = { "no room for the lock file of store", "không đủ chỗ cho tệp khóa của kho" },
	[OPEN] = { "cannot open store", "không mở được kho" },
	[OPEN_TABLES] = { "cannot open tables of store", "không mở được các bảng của kho" },
	[READ] = { "cannot read store", "không đọc được kho" },
	[OPEN_FOLDER] = { "cannot open folder", "không mở được thư mục" },
};

/* What LMDB or the system says, in Vietnamese; of what only a programmer understands what LMDB says. */
static const char *
reason_vi(int rc)
{
	switch (rc) {
	case MDB_MAP_FULL:
		return "kho đã dùng hết dung lượng dành cho nó; hãy gọi người phụ trách máy";
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_PANIC:
	case MDB_INVALID:
		return "kho bị hỏng; hãy gọi người phụ trách máy";
	case MDB_READERS_FULL:
		return "quá nhiều chương trình đang đọc; hãy đóng bớt rồi làm lại";
	default:
		return rc > 0 ? lt_errno_vi(rc) : mdb_strerror(rc);
	}
}

static int
fail(struct lt_err *err, int code, enum doing what, const char *path, int rc)
{
	char en[LT_ERR_TEXT], vi[LT_ERR_TEXT];

	(void)snprintf(en, sizeof(en), "%s \"%s\": %s", doings[what].en, path, mdb_strerror(rc));
	(void)snprintf(vi, sizeof(vi), "%s \"%s\": %s", doings[what].vi, path, reason_vi(rc));
	return lt_err_pair(err, code, en, vi);
}

static bool
exists(int dir, const char *name, off_t *size)
{
	struct stat st;

	if (fstatat(dir, name, &st, 0) != 0)
		return false;
	if (size != NULL)
		*size = st.st_size;
	return true;
}

/* Enter the folder into the list of open ones. LT_E_BUSY: it is in there. */
static int
list_enter(struct env *e)
{
	struct env *i;
	struct stat st;
	int rc = LT_OK;

	if (fstat(e->dir, &st) != 0)
		return LT_E_IO;
	(void)pthread_mutex_lock(&open_mx);
	for (i = open_list; i != NULL && rc == LT_OK; i = i->next)
		if (i->dev == st.st_dev && i->ino == st.st_ino && i->pid == getpid())
			rc = LT_E_BUSY;
	if (rc == LT_OK) {
		e->dev = st.st_dev;
		e->ino = st.st_ino;
		e->pid = getpid();
		e->next = open_list;
		open_list = e;
	}
	(void)pthread_mutex_unlock(&open_mx);
	return rc;
}

static void
list_leave(struct env *e)
{
	struct env **p;

	(void)pthread_mutex_lock(&open_mx);
	for (p = &open_list; *p != NULL; p = &(*p)->next) {
		if (*p == e) {
			*p = e->next;
			break;
		}
	}
	(void)pthread_mutex_unlock(&open_mx);
}

/* Who opens for reading asks for the lock for a moment, to see whether somebody writes. */
static bool
lock_folder(int dir)
{
	const struct timespec pause = { 0, 10 * 1000000 };
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (flock(dir, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	errno = EWOULDBLOCK;
	return false;
}

/* Open the folder, make sure this process opens it once, and that only one process writes. */
static int
folder_take(struct env *e, const struct lt_kv_options *o, struct lt_err *err)
{
	int rc;

	if (!o->read_only) {
		rc = lt_dir_make(o->path, 0700, err);
		if (rc != LT_OK)
			return rc;
	}
	e->dir = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->dir < 0)
		return fail(err, code_of(errno), OPEN_FOLDER, o->path, errno);
	rc = list_enter(e);
	if (rc == LT_E_BUSY)
		return lt_err_both(err, rc, "store \"%s\" is open in this process already",
		    "kho \"%s\" đang mở trong chính chương trình này", o->path);
	if (rc != LT_OK)
		return lt_err_set(err, rc, "cannot examine folder \"%s\"", o->path);
	if (!o->read_only && !lock_folder(e->dir))
		return errno == EWOULDBLOCK ? lt_err_both(err, LT_E_BUSY,
						  "store \"%s\" is in use by another process",
						  "kho \"%s\" đang được một chương trình khác "
						  "dùng; hãy dừng nó trước",
						  o->path)
					    : fail(err, LT_E_IO, OPEN, o->path, errno);
	return LT_OK;
}

static int
mark_made(const char *path, struct lt_err *err)
{
	char file[PATH_MAX];
	int rc;

	rc = path_in(file, path, MADE_FILE, err);
	if (rc != LT_OK)
		return rc;
	return lt_file_write(file, lt_slice_str(MADE_TEXT), 0600, false, err);
}

/* ---- opening ---- */

static int
env_make(MDB_env **out, const struct lt_kv_options *o, unsigned ntables)
{
	uint64_t map = o->map_bytes != 0 ? o->map_bytes : MAP_BYTES_DEFAULT;
	int rc;

	rc = mdb_env_create(out);
	if (rc != 0)
		return rc;
	rc = mdb_env_set_maxdbs(*out, ntables + 1);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(*out, READERS_MAX);
	if (rc == 0)
		rc = mdb_env_set_mapsize(*out, (size_t)map);
	if (rc == 0)
		return 0;
	mdb_env_close(*out);
	*out = NULL;
	return rc;
}

static int
meta_put(const struct env *e, MDB_txn *mt, MDB_dbi dbi, const char *name, struct lt_slice value)
{
	struct lt_slice key = lt_slice_str(name);
	struct lt_buf b = { 0 };
	MDB_val k = to_val(key), v;
	int rc;

	if (lt_kv_seal(&e->meta, key, value, &b) != LT_OK) {
		lt_buf_fini(&b);
		return ENOMEM;
	}
	v = to_val(lt_buf_slice(&b));
	rc = mdb_put(mt, dbi, &k, &v, 0);
	lt_buf_fini(&b);
	return rc;
}

static int
meta_fill(const struct env *e, MDB_txn *mt, const struct lt_kv_options *o)
{
	uint8_t incarnation[LT_KV_INCARNATION_LEN];
	struct lt_buf b = { 0 };
	char mdb[32];
	int major, minor, patch, rc;
	MDB_dbi dbi;

	(void)mdb_version(&major, &minor, &patch);
	(void)snprintf(mdb, sizeof(mdb), "%d.%d.%d", major, minor, patch);
	lt_buf_str(&b, FORMAT_MAGIC);
	lt_buf_u16(&b, FORMAT_VERSION);
	lt_buf_u8(&b, (uint8_t)o->kind);
	lt_buf_framed(&b, lt_slice_str(mdb));
	lt_buf_framed(&b, lt_slice_str(LT_VERSION));
	randombytes_buf(incarnation, sizeof(incarnation));
	rc = b.err != LT_OK ? ENOMEM : mdb_dbi_open(mt, e->meta.name, MDB_CREATE, &dbi);
	if (rc == 0)
		rc = meta_put(e, mt, dbi, "format", lt_buf_slice(&b));
	if (rc == 0)
		rc = meta_put(e, mt, dbi, "federation", lt_slice(o->federation, 32));
	if (rc == 0)
		rc =
		    meta_put(e, mt, dbi, "incarnation", lt_slice(incarnation, sizeof(incarnation)));
	lt_buf_fini(&b);
	return rc;
}

/* Write a whole new environment to the file: durable when this returns 0. */
static int
create_file(const struct env *e, const struct lt_kv_options *o, const char *file)
{
	MDB_env *env = NULL;
	MDB_txn *mt = NULL;
	MDB_dbi dbi;
	unsigned i;
	int rc;

	rc = env_make(&env, o, e->base.ntables);
	if (rc == 0)
		/* No lock file: nobody else knows this name, and the folder is held. */
		rc = mdb_env_open(env, file, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK, 0600);
	if (rc == 0)
		rc = mdb_txn_begin(env, NULL, 0, &mt);
	if (rc == 0)
		rc = meta_fill(e, mt, o);
	for (i = 0; rc == 0 && i < e->base.ntables; i++)
		rc = mdb_dbi_open(mt, e->base.table[i].name, MDB_CREATE, &dbi);
	if (rc == 0) {
		rc = mdb_txn_commit(mt);
		mt = NULL;
	}
	if (mt != NULL)
		mdb_txn_abort(mt);
	if (env != NULL)
		mdb_env_close(env);
	return rc;
}

static int
create(const struct env *e, const struct lt_kv_options *o, struct lt_err *err)
{
	char file[PATH_MAX];
	int rc;

	rc = path_in(file, o->path, NEW_FILE, err);
	if (rc != LT_OK)
		return rc;
	(void)unlinkat(e->dir, NEW_FILE, 0);
	rc = create_file(e, o, file);
	if (rc != 0) {
		/* Before the file is removed: it is what fills the disk. */
		int code = write_code_of(e, rc);

		(void)unlinkat(e->dir, NEW_FILE, 0);
		return fail(err, code, MAKE, o->path, rc);
	}
	if (renameat(e->dir, NEW_FILE, e->dir, DATA_FILE) != 0 || fsync(e->dir) != 0)
		return fail(err, code_of(errno), MAKE, o->path, errno);
	return LT_OK;
}

/* Is there a store to open? Makes one where that is right. */
static int
find_or_create(const struct env *e, const struct lt_kv_options *o, struct lt_err *err)
{
	off_t size = 0;

	if (exists(e->dir, DATA_FILE, &size)) {
		if (size == 0)
			return lt_err_both(err, LT_E_CORRUPT,
			    "store \"%s\" is damaged: " DATA_FILE " is empty",
			    "kho \"%s\" bị hỏng: tệp " DATA_FILE " trống; " RESTORE_VI, o->path);
		return LT_OK;
	}
	if (exists(e->dir, MADE_FILE, NULL))
		return lt_err_both(err, LT_E_CORRUPT,
		    "store \"%s\" is lost: the folder has held one, but " DATA_FILE " is gone",
		    "kho \"%s\" đã mất: thư mục từng có kho, nhưng tệp " DATA_FILE
		    " không còn; " RESTORE_VI,
		    o->path);
	if (o->read_only)
		return lt_err_both(err, LT_E_NOTFOUND, "no store in \"%s\"",
		    "không có kho trong \"%s\"; hãy xem lại thư mục", o->path);
	return create(e, o, err);
}

/* ---- what a look at the file finds ---- */

static bool
is_derived(const struct lt_kv_options *o)
{
	return o->kind == LT_KV_HUB_DERIVED && !o->read_only;
}

/* Out of the way, under a name that nothing here reads. The note about the file goes: it speaks of that one. */
static int
set_aside(const struct env *e, const struct lt_kv_options *o, const char *why, struct lt_err *err)
{
	char name[64];
	unsigned n;
	int rc;

	for (n = 1; n < ASIDE_MAX; n++) {
		(void)snprintf(name, sizeof(name), ASIDE_FORMAT, n);
		if (!exists(e->dir, name, NULL))
			break;
	}
	if (renameat(e->dir, DATA_FILE, e->dir, name) != 0 ||
	    (unlinkat(e->dir, GUARD_FILE, 0) != 0 && errno != ENOENT))
		return fail(err, code_of(errno), SET_ASIDE, o->path, errno);
	lt_warn("store \"%s\" is damaged: %s; it is set aside as %s/%s, and its tables, which all "
		"come from the "
		"log, are made anew",
	    o->path, why, o->path, name);
	rc = create(e, o, err);
	return rc;
}

static bool
is_ours_alone(const struct env *e)
{
	bool taken = flock(e->dir, LOCK_SH | LOCK_NB) == 0;

	if (taken)
		(void)flock(e->dir, LOCK_UN);
	return taken;
}

/* What the file lacks is not to be taken for something that never was; what only cannot be read is answered so. */
static int
refuse(
    struct env *e, const struct lt_kv_options *o, const struct lt_kv_check *c, struct lt_err *err)
{
	char why[256];

	lt_kv_check_text(c, why, sizeof(why));
	if (!exists(e->dir, MADE_FILE, NULL) && c->look != LT_KV_LOOK_FAILED &&
	    c->look != LT_KV_LOOK_UNREAD)
		return lt_err_both(err, LT_E_VERSION,
		    "\"%s/" DATA_FILE
		    "\" is not a store of lienthong, but another program's or a broken one: %s",
		    "\"%s/" DATA_FILE
		    "\" không phải kho của lienthong, mà của chương trình khác hoặc đã hỏng; hãy "
		    "xem lại thư mục (chi tiết: %s)",
		    o->path, why);
	if (c->look == LT_KV_LOOK_FAILED)
		return lt_err_both(err, c->error == ECANCELED ? LT_E_CLOSED : code_of(c->error),
		    "cannot open store \"%s\": %s", "không mở được kho \"%s\" (chi tiết: %s)",
		    o->path, why);
	if (is_derived(o))
		return set_aside(e, o, why, err);
	/* Too slow is not damaged: the next start looks again. */
	if (c->look == LT_KV_LOOK_TIMEOUT)
		return lt_err_both(err, LT_E_TIMEOUT, "cannot open store \"%s\": %s",
		    "không mở được kho \"%s\" (chi tiết: %s)", o->path, why);
	return lt_err_both(err, LT_E_CORRUPT,
	    "store \"%s\" is damaged and is not opened: %s; nothing was changed in it",
	    "kho \"%s\" bị hỏng nên không mở (chi tiết: %s); không có gì trong kho bị thay "
	    "đổi; " RESTORE_VI,
	    o->path, why);
}

/* What each table of a look needs: everything that cannot be worked out from the log again must be there. */
static void
needs(const struct env *e, uint8_t need[LT_PAGES_TABLES_MAX])
{
	static const char *const again[] = { "record", "shown", "index", "history", "digest",
		"cursor", "sums" };
	unsigned t, i;

	memset(need, 0, LT_PAGES_TABLES_MAX);
	need[e->base.ntables] = LT_PAGES_NEED_KEYS; /* meta */
	for (t = 0; t < e->base.ntables; t++) {
		need[t] = LT_PAGES_NEED_KEYS;
		for (i = 0; i < sizeof(again) / sizeof(again[0]); i++)
			if (strcmp(e->base.table[t].name, again[i]) == 0)
				need[t] = 0;
		if (lt_kv_summed(&e->base, t))
			need[t] |= LT_PAGES_NEED_SUMS;
		if (t == e->base.sums_table)
			need[t] = LT_PAGES_IS_SUMS;
	}
}

/* A daemon that is told to stop before it serves. */
static bool
is_told(void *ctx)
{
	(void)ctx;
	return lt_daemon_told();
}

/* Let a child look at the file. */
static int
look_first(struct env *e, const struct lt_kv_options *o, struct lt_err *err)
{
	struct lt_kv_table table[LT_PAGES_TABLES_MAX];
	uint8_t need[LT_PAGES_TABLES_MAX];
	struct lt_kv_check c = { .dir = e->dir,
		.file = DATA_FILE,
		.table = table,
		.need = need,
		.always = lt_kv_test_check_always,
		.samples = lt_kv_test_check_samples };
	bool known;
	char why[256];

	c.stop = is_told;
	/* Who writes has looked, and the file moves on under a look of ours. */
	if (o->read_only && !is_ours_alone(e))
		return LT_OK;
	memcpy(table, e->base.table, sizeof(table[0]) * e->base.ntables);
	table[e->base.ntables] = e->meta;
	needs(e, need);
	c.ntable = e->base.ntables + 1;
	c.now_s = (uint64_t)time(NULL);
	known = lt_kv_guard_read(e->dir, &e->guard);
	lt_kv_check(&c, known ? &e->guard : NULL);
	/* A cable, a controller that begins anew: that may pass. */
	if (c.look == LT_KV_LOOK_UNREAD)
		lt_kv_check(&c, known ? &e->guard : NULL);
	if (c.look != LT_KV_LOOK_WHOLE && o->read_only && !is_ours_alone(e))
		return LT_OK;
	if (!known)
		memset(&e->guard, 0, sizeof(e->guard));
	e->guard.opens = c.full ? 0 : e->guard.opens + 1;
	e->guard.full_s = c.full ? c.now_s : e->guard.full_s;
	/* The values of another version have other sums, and are none of ours: check_format() says so, and refuses it. */
	if (c.look == LT_KV_LOOK_WHOLE && c.report.version != 0 &&
	    c.report.version != FORMAT_VERSION)
		return LT_OK;
	e->base.bad_at_open = c.report.bad;
	if (c.look != LT_KV_LOOK_WHOLE || (c.report.bad != 0 && is_derived(o)))
		return refuse(e, o, &c, err);
	if (c.report.bad != 0) {
		lt_kv_check_text(&c, why, sizeof(why));
		lt_error("store \"%s\" has damage: %s; they are not used", o->path, why);
	}
	return LT_OK;
}

/* ---- the note, from opening to closing ---- */

/* From here on the file may be written to. */
static int
note_open(struct env *e, const struct lt_kv_options *o, struct lt_err *err)
{
	int rc;

	e->guard_fd = lt_kv_guard_open(e->dir);
	rc = e->guard_fd < 0 ? errno : note(e, false, true);
	return rc == 0 ? LT_OK : fail(err, code_of(rc), WRITE_BESIDE, o->path, rc);
}

static void
note_closed(struct env *e)
{
	if (e->guard_fd < 0)
		return;
	/* After a commit that failed the next start is to look at everything. */
	if (e->opened && atomic_load(&e->base.broken) == LT_OK && note(e, true, true) != 0)
		lt_warn("that the store was closed cannot be written down; the next start reads "
			"all of it");
	(void)close(e->guard_fd);
}

/* LMDB maps its lock file and writes through the map: on a full disk the first touch of a block not yet
 * there would kill the process. Returns an errno. */
static int
reserve_lock_file(const struct env *e)
{
	int fd, rc = 0;

	fd = openat(e->dir, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) /* LMDB may still read without locks; if not, it says so itself */
		return errno == ENOSPC || errno == EDQUOT ? errno : 0;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LOCK_FILE_BYTES) != 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		rc = errno;
	(void)close(fd);
	return rc;
}

static int
open_env(struct env *e, const struct lt_kv_options *o, struct lt_err *err)
{
	unsigned flags = MDB_NOTLS | (o->read_only ? MDB_RDONLY : 0);
	int rc;

	rc = reserve_lock_file(e);
	if (rc != 0)
		return fail(err, code_of(rc), LOCK_ROOM, o->path, rc);
	rc = env_make(&e->env, o, e->base.ntables);
	if (rc == 0)
		rc = mdb_env_open(e->env, o->path, flags, 0600);
	if (rc == MDB_INVALID && !exists(e->dir, MADE_FILE, NULL))
		return lt_err_both(err, LT_E_VERSION,
		    "\"%s/" DATA_FILE "\" is not a store of lienthong",
		    "\"%s/" DATA_FILE "\" không phải kho của lienthong; hãy xem lại thư mục",
		    o->path);
	if (rc == MDB_INVALID)
		return lt_err_both(err, LT_E_CORRUPT,
		    "store \"%s\" is damaged: " DATA_FILE " does not begin as it must",
		    "kho \"%s\" bị hỏng ở đầu tệp " DATA_FILE "; " RESTORE_VI, o->path);
	if (rc == MDB_VERSION_MISMATCH)
		return lt_err_both(err, LT_E_VERSION,
		    "store \"%s\" has a file format that %s does not read",
		    "kho \"%s\" có dạng tệp mà %s không đọc được; " UPDATE_VI, o->path,
		    mdb_version(NULL, NULL, NULL));
	return rc == 0 ? LT_OK : fail(err, code_of(rc), OPEN, o->path, rc);
}

static int
open_whole(struct env *e, const struct lt_kv_options *o, struct lt_err *err)
{
	int rc = look_first(e, o, err);

	if (rc == LT_OK)
		rc = open_env(e, o, err);
	return rc;
}

/* ---- what the meta table says ---- */

/* mdb codes; *out lives as long as the transaction. LT_E_CORRUPT for a value that does not verify. */
static int
meta_get(const struct env *e, MDB_txn *mt, MDB_dbi dbi, const char *name, struct lt_slice *raw,
    struct lt_slice *out)
{
	struct lt_slice key = lt_slice_str(name);
	MDB_val k = to_val(key), v;
	int rc;

	rc = mdb_get(mt, dbi, &k, &v);
	if (rc != 0)
		return code_of(rc);
	*raw = from_val(v);
	return lt_kv_unseal(&e->meta, key, *raw, out);
}

static int
foreign(const struct lt_kv_options *o, struct lt_err *err)
{
	return lt_err_both(err, LT_E_VERSION,
	    "\"%s\" holds the data of another program, not a store of lienthong",
	    "\"%s\" chứa dữ liệu của chương trình khác, không phải kho của lienthong; hãy xem lại "
	    "thư mục",
	    o->path);
}

static int
damaged(const struct lt_kv_options *o, const char *what, struct lt_err *err)
{
	return lt_err_both(err, LT_E_CORRUPT, "store \"%s\" is damaged: %s",
	    "kho \"%s\" bị hỏng (chi tiết: %s); " RESTORE_VI, o->path, what);
}

static const char *
kind_name(unsigned kind, bool vi)
{
	switch (kind) {
	case LT_KV_NODE:
		return vi ? "kho của máy xã" : "a node's store";
	case LT_KV_HUB_LOG:
		return vi ? "nhật ký của đầu mối" : "a hub's log";
	case LT_KV_HUB_DERIVED:
		return vi ? "bảng dẫn xuất của đầu mối" : "a hub's derived tables";
	case LT_KV_TEST:
		return vi ? "kho thử" : "a test's store";
	default:
		return vi ? "kho loại lạ" : "a store of an unknown kind";
	}
}

static int
other_kind(const struct lt_kv_options *o, unsigned kind, struct lt_err *err)
{
	char en[LT_ERR_TEXT], vi[LT_ERR_TEXT];

	(void)snprintf(en, sizeof(en), "\"%s\" holds %s (kind %u), not %s (kind %u)", o->path,
	    kind_name(kind, false), kind, kind_name((unsigned)o->kind, false), (unsigned)o->kind);
	(void)snprintf(vi, sizeof(vi), "\"%s\" là %s, không phải %s; hãy xem lại thư mục", o->path,
	    kind_name(kind, true), kind_name((unsigned)o->kind, true));
	return lt_err_pair(err, LT_E_VERSION, en, vi);
}

static int
check_mdb(const struct lt_kv_options *o, struct lt_slice mdb, struct lt_err *err)
{
	char want[32];
	int major, minor, patch, n;

	(void)mdb_version(&major, &minor, &patch);
	n = snprintf(want, sizeof(want), "%d.%d.", major, minor);
	if (mdb.len >= (size_t)n && memcmp(mdb.data, want, (size_t)n) == 0)
		return LT_OK;
	return lt_err_both(err, LT_E_VERSION,
	    "store \"%s\" was made with LMDB %.*s; this program works with %s",
	    "kho \"%s\" được tạo bằng LMDB %.*s, chương trình này dùng %s; " UPDATE_VI, o->path,
	    (int)(mdb.len < 32 ? mdb.len : 32), (const char *)mdb.data,
	    mdb_version(NULL, NULL, NULL));
}

static int
check_format(const struct lt_kv_options *o, struct lt_slice format, struct lt_err *err)
{
	struct lt_slice magic, mdb, program;
	struct lt_reader r;
	unsigned version, kind;

	lt_reader_init(&r, format);
	magic = lt_read_bytes(&r, 4);
	version = lt_read_u16(&r);
	if (r.err != LT_OK || !lt_slice_eq(magic, lt_slice_str(FORMAT_MAGIC)))
		return foreign(o, err);
	if (version != FORMAT_VERSION)
		return lt_err_both(err, LT_E_VERSION,
		    "store \"%s\" has format version %u; this program (%s) understands version %d",
		    "kho \"%s\" có định dạng phiên bản %u; chương trình này (%s) hiểu phiên bản "
		    "%d; " UPDATE_VI,
		    o->path, version, LT_VERSION, FORMAT_VERSION);
	kind = lt_read_u8(&r);
	mdb = lt_read_framed(&r);
	program = lt_read_framed(&r);
	(void)program;
	if (r.err != LT_OK)
		return damaged(o, "format is cut", err);
	if (kind != (unsigned)o->kind)
		return other_kind(o, kind, err);
	return check_mdb(o, mdb, err);
}

static int
check_federation(const struct lt_kv_options *o, struct lt_slice federation, struct lt_err *err)
{
	char have[17], want[17];

	if (federation.len != 32)
		return damaged(o, "federation is cut", err);
	if (o->federation == NULL || memcmp(federation.data, o->federation, 32) == 0)
		return LT_OK;
	lt_hex(have, federation.data, 8);
	lt_hex(want, o->federation, 8);
	return lt_err_both(err, LT_E_VERSION,
	    "store \"%s\" belongs to federation %s..., this program works for %s...",
	    "kho \"%s\" thuộc liên thông %s..., chương trình này làm cho %s...; hãy xem lại thư "
	    "mục",
	    o->path, have, want);
}

static int
check_meta(struct env *e, MDB_txn *mt, const struct lt_kv_options *o, struct lt_err *err)
{
	struct lt_slice raw = { NULL, 0 }, v = { NULL, 0 };
	MDB_dbi dbi;
	int rc;

	rc = mdb_dbi_open(mt, e->meta.name, 0, &dbi);
	if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
		return foreign(o, err);
	if (rc != 0)
		return fail(err, code_of(rc), READ, o->path, rc);
	rc = meta_get(e, mt, dbi, "format", &raw, &v);
	/* What does not even carry our magic was never ours. */
	if (rc == LT_E_NOTFOUND ||
	    (rc == LT_E_CORRUPT && (raw.len < 4 || memcmp(raw.data, FORMAT_MAGIC, 4) != 0)))
		return foreign(o, err);
	if (rc != LT_OK)
		return damaged(o, "format in its meta table", err);
	rc = check_format(o, v, err);
	if (rc != LT_OK)
		return rc;
	if (meta_get(e, mt, dbi, "federation", &raw, &v) != LT_OK)
		return damaged(o, "federation in its meta table", err);
	rc = check_federation(o, v, err);
	if (rc != LT_OK)
		return rc;
	if (meta_get(e, mt, dbi, "incarnation", &raw, &v) != LT_OK ||
	    v.len != LT_KV_INCARNATION_LEN)
		return damaged(o, "incarnation in its meta table", err);
	memcpy(e->base.incarnation, v.data, v.len);
	return LT_OK;
}

/* Check the meta table, then open (a newer program: add) the tables. Handles live as long as the
 * environment once this transaction has committed. */
static int
open_tables(struct env *e, const struct lt_kv_options *o, struct lt_err *err)
{
	MDB_txn *mt;
	unsigned i;
	int rc, mrc;

	mrc = mdb_txn_begin(e->env, NULL, o->read_only ? MDB_RDONLY : 0, &mt);
	if (mrc != 0)
		return fail(err, code_of(mrc), READ, o->path, mrc);
	rc = check_meta(e, mt, o, err);
	if (rc == LT_OK && !o->read_only) {
		rc = note_open(e, o, err);
		if (rc == LT_OK)
			stretch(e);
	}
	for (i = 0; rc == LT_OK && i < e->base.ntables; i++) {
		mrc = mdb_dbi_open(
		    mt, e->base.table[i].name, o->read_only ? 0 : MDB_CREATE, &e->dbi[i]);
		if (mrc == MDB_NOTFOUND)
			rc = lt_err_both(err, LT_E_VERSION,
			    "store \"%s\" was made by an older program: it has no table \"%s\"",
			    "kho \"%s\" do chương trình cũ hơn tạo, chưa có bảng \"%s\"; hãy khởi "
			    "động dịch vụ một lần bằng chương trình này",
			    o->path, e->base.table[i].name);
		else if (mrc != 0)
			rc = fail(err, write_code_of(e, mrc), OPEN_TABLES, o->path, mrc);
	}
	if (rc != LT_OK) {
		mdb_txn_abort(mt);
		return rc;
	}
	mrc = mdb_txn_commit(mt);
	return mrc == 0 ? LT_OK : fail(err, write_code_of(e, mrc), OPEN, o->path, mrc);
}

static void
env_close(struct lt_kv *kv)
{
	struct env *e = (struct env *)kv;

	reads_free(e);
	if (e->env != NULL) {
		note_closed(e);
		mdb_env_close(e->env);
	}
	list_leave(e);
	if (e->dir >= 0)
		(void)close(e->dir);
	lt_kv_fini(kv);
	(void)pthread_mutex_destroy(&e->guard_mx);
	(void)pthread_mutex_destroy(&e->reads_mx);
	free(e);
}

static const struct lt_kv_ops env_ops = {
	.close = env_close,
	.used_bytes = env_used_bytes,
	.begin = env_begin,
	.commit = env_commit,
	.abort = env_abort,
	.get = env_get,
	.put = env_put,
	.append = env_append,
	.del = env_del,
	.count = env_count,
	.clear = env_clear,
	.cursor_open = env_cursor_open,
	.cursor_close = env_cursor_close,
	.seek = env_seek,
	.seek_before = env_seek_before,
	.next = env_next,
	.prev = env_prev,
};

int
lt_kv_open_lmdb(const struct lt_kv_options *o, struct lt_kv **out, struct lt_err *err)
{
	struct env *e;
	int rc, dead;

	*out = NULL;
	assert(o->path != NULL);
	assert(o->read_only || o->federation != NULL);
	if (sodium_init() < 0)
		return lt_err_set(err, LT_E_IO, "cannot start the cryptographic library");
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	e->dir = e->guard_fd = -1;
	(void)pthread_mutex_init(&e->guard_mx, NULL);
	(void)pthread_mutex_init(&e->reads_mx, NULL);
	lt_kv_init(&e->base, &env_ops, o);
	lt_kv_table_init(&e->meta, "meta");
	rc = folder_take(e, o, err);
	if (rc == LT_OK)
		rc = find_or_create(e, o, err);
	if (rc == LT_OK)
		rc = open_whole(e, o, err);
	if (rc == LT_OK)
		rc = open_tables(e, o, err);
	/* Only now: another program's folder stays as it is. */
	if (rc == LT_OK && !o->read_only && !exists(e->dir, MADE_FILE, NULL))
		rc = mark_made(o->path, err);
	if (rc == LT_OK) {
		rc = lt_kv_sums_begin(&e->base);
		if (rc != LT_OK)
			(void)lt_err_both(err, rc,
			    "the tables of store \"%s\" cannot be summed up: %s",
			    "không cộng được các bảng của kho \"%s\" (chi tiết: %s); hãy xem đĩa "
			    "có "
			    "đầy không rồi làm lại",
			    o->path, lt_strerror(rc));
	}
	if (rc != LT_OK) {
		env_close(&e->base);
		return rc;
	}
	(void)mdb_reader_check(e->env, &dead);
	e->opened = true;
	*out = &e->base;
	return LT_OK;
}

/* ---- copies ---- */

int
lt_kv_copy(struct lt_kv *kv, int fd)
{
	assert(kv->ops == &env_ops);
	return code_of(mdb_env_copyfd2(((struct env *)kv)->env, fd, MDB_CP_COMPACT));
}

int
lt_kv_look(const struct lt_kv_options *o, uint64_t *bad, struct lt_err *err)
{
	struct lt_kv_table table[LT_PAGES_TABLES_MAX];
	uint8_t need[LT_PAGES_TABLES_MAX];
	struct lt_kv_check c = { .file = DATA_FILE, .table = table, .need = need };
	struct env *e = calloc(1, sizeof(*e));
	char why[256];
	int rc = LT_OK;

	*bad = 0;
	if (e == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	lt_kv_init(&e->base, &env_ops, o);
	lt_kv_table_init(&e->meta, "meta");
	memcpy(table, e->base.table, sizeof(table[0]) * e->base.ntables);
	table[e->base.ntables] = e->meta;
	needs(e, need);
	c.ntable = e->base.ntables + 1;
	c.dir = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.dir < 0)
		rc = fail(err, code_of(errno), OPEN_FOLDER, o->path, errno);
	if (rc == LT_OK)
		lt_kv_check(&c, NULL);
	if (rc == LT_OK && c.look != LT_KV_LOOK_WHOLE) {
		lt_kv_check_text(&c, why, sizeof(why));
		rc = lt_err_both(err,
		    c.look == LT_KV_LOOK_FAILED || c.look == LT_KV_LOOK_UNREAD ? code_of(c.error)
		    : c.look == LT_KV_LOOK_TIMEOUT                             ? LT_E_TIMEOUT
									       : LT_E_CORRUPT,
		    "\"%s/%s\": %s", "\"%s/%s\" bị hỏng hoặc không đọc được (chi tiết: %s)",
		    o->path, c.file, why);
	}
	if (rc == LT_OK)
		*bad = c.report.bad;
	if (c.dir >= 0)
		(void)close(c.dir);
	lt_kv_fini(&e->base);
	free(e);
	return rc;
}

/* The first two pages, and a transaction that sees what they say: while we could write, nobody commits. */
static int
hold(struct env *e, uint8_t meta[2 * LT_PAGES_PAGE], struct lt_kv_txn **out)
{
	const ssize_t len = (ssize_t)2 * LT_PAGES_PAGE;
	struct lt_kv_txn *writing;
	mdb_filehandle_t fd;
	int rc = lt_kv_begin_write(&e->base, &writing);

	*out = NULL;
	if (rc != LT_OK)
		return rc;
	if (mdb_env_get_fd(e->env, &fd) != 0 || pread(fd, meta, (size_t)len, 0) != len)
		rc = LT_E_IO;
	if (rc == LT_OK)
		rc = lt_kv_begin_read(&e->base, out);
	lt_kv_abort(writing);
	return rc;
}

static bool
is_stopped(void *ctx)
{
	return atomic_load((const atomic_bool *)ctx);
}

/* Of a look that did not find the pages whole. */
static int
pages_code(const struct lt_kv_check *c)
{
	if (c->look == LT_KV_LOOK_TIMEOUT)
		return LT_E_TIMEOUT;
	if (c->look == LT_KV_LOOK_UNREAD)
		return LT_E_IO;
	if (c->look != LT_KV_LOOK_FAILED)
		return LT_E_CORRUPT;
	/* Not read: of the file that says nothing. */
	if (c->error == ECANCELED)
		return LT_E_CLOSED;
	return c->error == ECHILD || c->error == EINTR ? LT_E_UNAVAILABLE : code_of(c->error);
}

int
lt_kv_look_pages(struct lt_kv *kv, atomic_bool *stop, struct lt_err *err)
{
	struct lt_kv_table table[LT_PAGES_TABLES_MAX];
	uint8_t need[LT_PAGES_TABLES_MAX], meta[2 * LT_PAGES_PAGE];
	struct lt_kv_check c = { .file = DATA_FILE, .table = table, .need = need, .meta = meta };
	struct env *e = (struct env *)kv;
	struct lt_kv_txn *txn;
	char why[256];
	unsigned t;
	int rc;

	if (kv->ops != &env_ops)
		return LT_OK;
	rc = hold(e, meta, &txn);
	if (rc != LT_OK)
		return lt_err_set(err, rc, "the pages of the store cannot be looked at");
	memcpy(table, e->base.table, sizeof(table[0]) * e->base.ntables);
	table[e->base.ntables] = e->meta;
	needs(e, need);
	/* What is missing without a trace in the pages is what a repair is for. */
	for (t = 0; t < LT_PAGES_TABLES_MAX; t++)
		need[t] &= LT_PAGES_NEED_KEYS;
	c.ntable = e->base.ntables + 1;
	c.dir = e->dir;
	c.stop = stop == NULL ? NULL : is_stopped;
	c.stop_ctx = stop;
	lt_kv_check(&c, NULL);
	lt_kv_abort(txn);
	if (c.look == LT_KV_LOOK_WHOLE)
		return LT_OK;
	/* The next start is to look at all of it, however cleanly this one ends. */
	if (c.look != LT_KV_LOOK_FAILED && c.look != LT_KV_LOOK_TIMEOUT)
		e->opened = false;
	lt_kv_check_text(&c, why, sizeof(why));
	return lt_err_set(err, pages_code(&c), "the pages of the store %s: %s",
	    c.look == LT_KV_LOOK_FAILED || c.look == LT_KV_LOOK_UNREAD ? "cannot be read"
								       : "do not hold together",
	    why);
}

int
lt_kv_unsettle(struct lt_kv *kv)
{
	assert(kv->ops == &env_ops);
	return code_of(mdb_env_set_flags(((struct env *)kv)->env, MDB_NOSYNC, 1));
}

int
lt_kv_settle(struct lt_kv *kv)
{
	struct env *e = (struct env *)kv;
	int rc;

	assert(kv->ops == &env_ops);
	rc = mdb_env_sync(e->env, 1);
	if (rc == 0)
		rc = mdb_env_set_flags(e->env, MDB_NOSYNC, 0);
	return rc == 0 ? LT_OK : write_code_of(e, rc);
}

int
lt_kv_renew(struct lt_kv *kv)
{
	struct env *e = (struct env *)kv;
	uint8_t incarnation[LT_KV_INCARNATION_LEN];
	MDB_txn *mt;
	MDB_dbi dbi;
	int rc;

	assert(kv->ops == &env_ops);
	randombytes_buf(incarnation, sizeof(incarnation));
	rc = mdb_txn_begin(e->env, NULL, 0, &mt);
	if (rc != 0)
		return code_of(rc);
	rc = mdb_dbi_open(mt, e->meta.name, 0, &dbi);
	if (rc == 0)
		rc =
		    meta_put(e, mt, dbi, "incarnation", lt_slice(incarnation, sizeof(incarnation)));
	if (rc != 0) {
		mdb_txn_abort(mt);
		return write_code_of(e, rc);
	}
	rc = mdb_txn_commit(mt);
	if (rc != 0)
		return write_code_of(e, rc);
	stretch(e);
	(void)note(e, false, false);
	memcpy(kv->incarnation, incarnation, sizeof(incarnation));
	return LT_OK;
}
