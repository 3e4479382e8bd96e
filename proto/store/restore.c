#include "proto/base/failpoint.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/store/author.h"
#include "proto/store/backup_impl.h"
#include "proto/store/erase_list.h"
#include "proto/store/feed_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENA ((size_t)4 * 1024 * 1024)
#define STAGING "restoring" /* in the data folder: same file system, same owner */
#define HEADS_MAX ((size_t)256 * 1024 * 1024)

/* ---- a copy made fit to go on ---- */

/* Rows whose key begins so; fn says which go. Of what cannot be read nobody can say that it may stay: it goes. */
static int
drop_rows(struct lt_kv_txn *txn, unsigned table, struct lt_slice prefix,
    bool (*goes)(struct lt_slice k, struct lt_slice v), uint64_t *n)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	uint8_t key[LT_KV_KEY_MAX];
	size_t len = prefix.len;
	int rc;

	if (len != 0)
		memcpy(key, prefix.data, len);
	for (;;) {
		rc = lt_kv_cursor_open(txn, table, &c);
		if (rc != LT_OK)
			return rc;
		rc = lt_kv_seek_at(c, prefix, lt_slice(key, len), &k, &v);
		while (rc == LT_OK && !goes(k, v))
			rc = lt_kv_next_at(c, prefix, &k, &v);
		if (rc == LT_E_CORRUPT && k.len != 0)
			rc = LT_OK;
		if (rc == LT_OK) {
			memcpy(key, k.data, k.len);
			len = k.len;
		}
		lt_kv_cursor_close(c);
		if (rc != LT_OK)
			return rc == LT_E_NOTFOUND ? LT_OK : rc;
		rc = lt_kv_del(txn, table, lt_slice(key, len));
		if (rc != LT_OK)
			return rc;
		++*n;
	}
}

static bool
always(struct lt_slice k, struct lt_slice v)
{
	(void)k;
	(void)v;
	return true;
}

/* Of table enrol (FORMAT.md 9.7). What cannot be read is left to who reads it. */
static bool
is_open_invitation(struct lt_slice k, struct lt_slice v)
{
	struct lt_reader r;
	uint8_t version, used;

	if (k.len != LT_HASH_LEN)
		return false;
	lt_reader_init(&r, v);
	version = lt_read_u8(&r);
	(void)lt_read_u64(&r);
	(void)lt_read_u8(&r);
	(void)lt_read_framed8(&r);
	(void)lt_read_framed8(&r);
	(void)lt_read_framed8(&r);
	(void)lt_read_u8(&r);
	used = lt_read_u8(&r);
	return r.err == LT_OK && version >= 1 && version <= 3 && used == 0;
}

int
lt_restore_mark(struct lt_kv_txn *txn, bool hub, const uint8_t id[LT_BACKUP_ID_LEN], int64_t now_ms,
    uint64_t *voided)
{
	struct lt_buf b;
	uint64_t n = 0;
	int rc = LT_SIM_BUG(EPOCH_KEPT) || (hub && LT_SIM_BUG(HUB_EPOCH_KEPT))
		     ? LT_OK
		     : drop_rows(txn, LT_T_LOCAL, lt_slice_str("epoch/"), always, &n);

	*voided = 0;
	if (rc != LT_OK || !hub)
		return rc;
	/* A wait that was under way when the copy was made begins anew. */
	rc = drop_rows(txn, LT_T_LOCAL, lt_slice_str(LT_LOCAL_RESTORED), always, &n);
	if (rc == LT_OK)
		rc = drop_rows(txn, LT_T_ENROL, lt_slice(NULL, 0), is_open_invitation, voided);
	if (rc != LT_OK)
		return rc;
	lt_buf_init(&b, 64);
	lt_buf_u8(&b, 1);
	lt_buf_u64(&b, (uint64_t)now_ms);
	lt_buf_put(&b, id, LT_BACKUP_ID_LEN);
	rc = b.err != LT_OK ? b.err : lt_local_put(txn, LT_LOCAL_RESTORED, lt_buf_slice(&b));
	lt_buf_fini(&b);
	return rc;
}

/* ---- the tool ---- */

struct restoring {
	const struct lt_restore_options *o;
	struct lt_backup_error *e;
	struct lt_arena arena;
	Ltpb__BackupBody *body;
	struct lt_identity *own; /* of the backup; NULL: the caller's is used */
	bool hub;
	int lock;
	int from; /* the backup's folder */
	uid_t uid;
	gid_t gid;
	char staging[PATH_MAX - 64];
	bool staged; /* ours to clear away */
};

static int
in(char out[PATH_MAX], const char *dir, const char *name)
{
	return (size_t)snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? LT_OK
									      : LT_E_INVALID;
}

/* Files only, and the folder itself. */
static int
remove_folder(const char *path)
{
	char file[PATH_MAX];
	struct dirent *d;
	DIR *dir = opendir(path);
	int rc = 0;

	if (dir == NULL)
		return errno == ENOENT ? 0 : errno;
	while (rc == 0 && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (in(file, path, d->d_name) != LT_OK)
			rc = ENAMETOOLONG;
		else if (unlink(file) != 0)
			rc = errno;
	}
	(void)closedir(dir);
	return rc == 0 && rmdir(path) != 0 ? errno : rc;
}

static int
clear_staging(struct restoring *r)
{
	char sub[PATH_MAX];
	int rc;

	if (in(sub, r->staging, lt_backup_store_name(false)) != LT_OK)
		return ENAMETOOLONG;
	rc = remove_folder(sub);
	if (rc == 0 && in(sub, r->staging, lt_backup_store_name(true)) == LT_OK)
		rc = remove_folder(sub);
	return rc == 0 ? remove_folder(r->staging) : rc;
}

/* What an attempt that broke off had put in place already: without an identity it is nobody's. */
static int
clear_placed(struct restoring *r)
{
	char path[PATH_MAX];
	int rc = LT_OK, i;

	for (i = 0; rc == LT_OK && i < 2; i++) {
		rc = in(path, r->o->dir, lt_backup_store_name(i == 1));
		if (rc == LT_OK && remove_folder(path) != 0)
			rc = lt_backup_medium(r->e, errno, "cannot clear away", path);
	}
	if (rc == LT_OK && in(path, r->o->dir, LT_BACKUP_CONF) == LT_OK && unlink(path) != 0 &&
	    errno != ENOENT)
		rc = lt_backup_medium(r->e, errno, "cannot clear away", path);
	return rc;
}

struct found {
	bool identity, staging, placed, other;
	char name[128]; /* of the other, or of what was placed */
};

static int
look_around(struct restoring *r, struct found *f)
{
	static const char *const may[] = { "store", "log", LT_BACKUP_CONF };
	struct dirent *d;
	DIR *dir = opendir(r->o->dir);
	size_t i;

	memset(f, 0, sizeof(*f));
	if (dir == NULL)
		return lt_backup_medium(r->e, errno, "cannot open folder", r->o->dir);
	while ((d = readdir(dir)) != NULL) {
		bool known = false;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    strcmp(d->d_name, "lock") == 0 || strcmp(d->d_name, "lost+found") == 0)
			continue;
		for (i = 0; i < sizeof(may) / sizeof(may[0]); i++)
			known |= strcmp(d->d_name, may[i]) == 0;
		if (strcmp(d->d_name, STAGING) == 0)
			f->staging = true;
		else if (strcmp(d->d_name, LT_BACKUP_IDENTITY) == 0)
			f->identity = true;
		else if (known)
			f->placed = true;
		else
			f->other = true;
		if (strcmp(d->d_name, STAGING) != 0)
			lt_slice_to_text(f->name, sizeof(f->name), lt_slice_str(d->d_name));
	}
	(void)closedir(dir);
	return LT_OK;
}

/* An empty folder, or one where a restore broke off; locked. */
static int
take_folder(struct restoring *r)
{
	struct found f;
	struct stat st;
	int rc = lt_dir_make(r->o->dir, 0700, &r->e->err);

	r->e->why = LT_BACKUP_MEDIUM;
	if (rc != LT_OK)
		return rc;
	rc = lt_dir_lock(r->o->dir, &r->lock, &r->e->err);
	if (rc == LT_E_BUSY)
		r->e->why = LT_BACKUP_IN_USE;
	if (rc == LT_OK)
		rc = look_around(r, &f);
	if (rc != LT_OK)
		return rc;
	if (f.identity || f.other || (f.placed && !f.staging)) {
		r->e->why = LT_BACKUP_NOT_EMPTY;
		return lt_err_both(&r->e->err, LT_E_EXISTS,
		    "there is \"%s\" in \"%s\"; nothing was changed",
		    "đã có \"%s\" trong \"%s\"; chưa thay đổi gì", f.name, r->o->dir);
	}
	if (stat(r->o->dir, &st) != 0)
		return lt_backup_medium(r->e, errno, "cannot examine", r->o->dir);
	r->uid = st.st_uid;
	r->gid = st.st_gid;
	if ((size_t)snprintf(r->staging, sizeof(r->staging), "%s/%s", r->o->dir, STAGING) >=
	    sizeof(r->staging))
		return lt_backup_fail(r->e, LT_BACKUP_OTHER, LT_E_INVALID, "the path is too long");
	/* The staging folder goes last: while it is there, what lies beside it is known to be a restore's. */
	if (f.staging) {
		rc = clear_placed(r);
		if (rc == LT_OK && clear_staging(r) != 0)
			rc = lt_backup_medium(r->e, errno, "cannot clear away", r->staging);
	}
	if (rc == LT_OK && mkdir(r->staging, 0700) != 0)
		rc = lt_backup_medium(r->e, errno, "cannot make folder", r->staging);
	r->staged = rc == LT_OK;
	return rc;
}

/* A copy with the content that the manifest names, on disk. */
static int
copy_file(struct restoring *r, const char *name, const char *to_dir)
{
	const Ltpb__BackupFile *f = lt_backup_file(r->body, name);
	char path[PATH_MAX];
	struct lt_hash h = { { 0 } };
	uint64_t size = 0;
	bool reading = true;
	int from, to = -1, err = 0;

	if (f == NULL)
		return LT_OK;
	if (in(path, to_dir, name) != LT_OK)
		return lt_backup_fail(r->e, LT_BACKUP_OTHER, LT_E_INVALID, "the path is too long");
	from = openat(r->from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (from < 0)
		err = errno;
	if (err == 0) {
		reading = false;
		to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		err = to < 0 ? errno : lt_backup_hash(from, to, &h, &size, &reading);
	}
	if (err == 0 && fsync(to) != 0)
		err = errno;
	if (from >= 0)
		(void)close(from);
	if (to >= 0 && close(to) != 0 && err == 0)
		err = errno;
	if (err != 0 && reading)
		return lt_backup_fail(r->e, LT_BACKUP_DAMAGED, lt_backup_code(err),
		    "file \"%s\" of the backup cannot be read: %s", name, strerror(err));
	if (err != 0)
		return lt_backup_medium(r->e, err, "cannot write", path);
	if (size != f->size || memcmp(h.b, f->hash.data, LT_HASH_LEN) != 0)
		return lt_backup_fail(r->e, LT_BACKUP_DAMAGED, LT_E_CORRUPT,
		    "file \"%s\" is not the one that the manifest names", name);
	return LT_OK;
}

/* The keys must be those that signed. */
static int
check_identity(struct restoring *r, const struct lt_identity *id)
{
	const Ltpb__BackupBody *b = r->body;

	if (memcmp(id->federation.b, b->federation.data, LT_FED_LEN) != 0)
		return lt_backup_fail(r->e, LT_BACKUP_FOREIGN, LT_E_DENIED,
		    "the backup is of another federation than the keys");
	if (id->role != b->role || memcmp(id->principal.b, b->principal.data, LT_ID_LEN) != 0)
		return lt_backup_fail(r->e, LT_BACKUP_FOREIGN, LT_E_DENIED,
		    "the backup is of another machine than the keys");
	/* Keys change in a machine's life: those of the backup itself are known to be its. */
	if (id == r->own && memcmp(id->sign.pk, b->sign_key.data, 32) != 0)
		return lt_backup_fail(r->e, LT_BACKUP_UNSIGNED, LT_E_BADSIG,
		    "the keys in the backup did not sign its manifest");
	return LT_OK;
}

static int
stage_identity(struct restoring *r)
{
	int rc = LT_OK;

	if (r->o->federation != NULL &&
	    memcmp(r->o->federation->b, r->body->federation.data, LT_FED_LEN) != 0)
		return lt_backup_fail(
		    r->e, LT_BACKUP_FOREIGN, LT_E_DENIED, "the backup is of another federation");
	if (r->o->identity != NULL) {
		rc = check_identity(r, r->o->identity);
		if (rc == LT_OK)
			rc = lt_identity_write(r->o->identity, r->staging, false, &r->e->err);
		return rc;
	}
	if (lt_backup_file(r->body, LT_BACKUP_IDENTITY) == NULL)
		return lt_backup_fail(r->e, LT_BACKUP_NO_KEYS, LT_E_NOTFOUND,
		    "the keys of the machine are not in the backup");
	rc = copy_file(r, LT_BACKUP_IDENTITY, r->staging);
	if (rc == LT_OK) {
		rc = lt_identity_load(r->staging, &r->own, &r->e->err);
		if (rc != LT_OK)
			r->e->why = LT_BACKUP_DAMAGED;
	}
	return rc == LT_OK ? check_identity(r, r->own) : rc;
}

/* The store is of the moment that the manifest tells. */
static int
check_heads(struct restoring *r, struct lt_kv *kv)
{
	struct lt_buf is, said;
	struct lt_kv_txn *txn;
	char path[PATH_MAX];
	uint64_t n;
	int rc = in(path, r->staging, LT_BACKUP_HEADS);

	lt_buf_init(&is, HEADS_MAX);
	lt_buf_init(&said, HEADS_MAX);
	if (rc == LT_OK)
		rc = lt_file_read(path, HEADS_MAX, &said, &r->e->err);
	if (rc == LT_OK)
		rc = lt_kv_begin_read(kv, &txn);
	if (rc == LT_OK) {
		rc = lt_backup_heads(txn, &is, &n);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK && (is.len != said.len || memcmp(is.data, said.data, is.len) != 0))
		rc = lt_backup_fail(r->e, LT_BACKUP_DAMAGED, LT_E_CORRUPT,
		    "the store's feeds are not those that the backup names");
	if (rc == LT_OK && unlink(path) != 0)
		rc = lt_backup_medium(r->e, errno, "cannot clear away", path);
	lt_buf_fini(&is);
	lt_buf_fini(&said);
	return rc;
}

/* What was to be forgotten since the copy was made. */
static int
erase_again(struct restoring *r, struct lt_kv_txn *txn)
{
	struct lt_fed fed;
	uint64_t acts, values;
	int rc;

	if (r->o->erasures.len == 0)
		return LT_OK;
	memcpy(fed.b, r->body->federation.data, LT_FED_LEN);
	rc = lt_erasures_apply(
	    txn, !r->hub, r->o->erasures, r->body->root_key.data, &fed, &acts, &values, &r->e->err);
	if (rc == LT_OK)
		lt_info("%llu change-sets with erasures obeyed, %llu personal values are gone",
		    (unsigned long long)acts, (unsigned long long)values);
	if (rc == LT_E_INVALID || rc == LT_E_BADSIG || rc == LT_E_DENIED || rc == LT_E_BADHASH ||
	    rc == LT_E_TOOBIG)
		r->e->why = LT_BACKUP_ERASURES;
	return rc;
}

static int
mark(struct restoring *r, struct lt_kv *kv)
{
	struct lt_kv_txn *txn;
	uint64_t voided;
	int rc = lt_kv_renew(kv);

	if (rc == LT_OK)
		rc = lt_kv_begin_write(kv, &txn);
	if (rc == LT_OK) {
		rc = lt_restore_mark(txn, r->hub, r->body->id.data, r->o->now_ms, &voided);
		if (rc == LT_OK)
			rc = erase_again(r, txn);
		if (rc == LT_OK)
			rc = lt_kv_commit(txn);
		else
			lt_kv_abort(txn);
	}
	if (rc != LT_OK && r->e->why == LT_BACKUP_ERASURES)
		return rc;
	if (rc != LT_OK)
		return lt_backup_fail(r->e, LT_BACKUP_MEDIUM, rc,
		    "the restored store cannot be written to: %s", lt_strerror(rc));
	LT_FAILPOINT("restore.marked");
	return LT_OK;
}

static int
stage_store(struct restoring *r)
{
	struct lt_kv *kv = NULL;
	struct lt_fed fed;
	char path[PATH_MAX];
	int rc = in(path, r->staging, lt_backup_store_name(r->hub));

	if (rc == LT_OK && mkdir(path, 0700) != 0)
		return lt_backup_medium(r->e, errno, "cannot make folder", path);
	if (rc == LT_OK)
		rc = copy_file(r, LT_BACKUP_STORE, path);
	if (rc == LT_OK)
		rc = copy_file(r, LT_BACKUP_HEADS, r->staging);
	if (rc != LT_OK)
		return rc;
	LT_FAILPOINT("restore.copied");
	memcpy(fed.b, r->body->federation.data, LT_FED_LEN);
	rc = lt_tables_open(r->staging, lt_backup_store_name(r->hub), lt_backup_store_kind(r->hub),
	    &fed, 0, &kv, &r->e->err);
	if (rc != LT_OK) {
		r->e->why = rc == LT_E_VERSION   ? LT_BACKUP_NEWER
			    : rc == LT_E_NOSPACE ? LT_BACKUP_MEDIUM
						 : LT_BACKUP_DAMAGED;
		return rc;
	}
	if (lt_kv_bad_at_open(kv) != 0)
		rc = lt_backup_fail(r->e, LT_BACKUP_DAMAGED, LT_E_CORRUPT,
		    "%llu values of the store do not verify",
		    (unsigned long long)lt_kv_bad_at_open(kv));
	if (rc == LT_OK)
		rc = check_heads(r, kv);
	if (rc == LT_OK)
		rc = mark(r, kv);
	lt_kv_close(kv);
	return rc;
}

/* ---- in place ---- */

static int
own_it(struct restoring *r, const char *path)
{
	return geteuid() != 0 || r->uid == 0 || lchown(path, r->uid, r->gid) == 0 ? 0 : errno;
}

/* Made by root for the daemon's user. */
static int
own_all(struct restoring *r, const char *folder)
{
	char path[PATH_MAX];
	struct dirent *d;
	DIR *dir = opendir(folder);
	int rc = dir == NULL ? errno : own_it(r, folder);

	while (rc == 0 && dir != NULL && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		rc = in(path, folder, d->d_name) != LT_OK ? ENAMETOOLONG : own_it(r, path);
	}
	if (dir != NULL)
		(void)closedir(dir);
	return rc;
}

static int
sync_folder(const char *path)
{
	int fd = lt_backup_folder(path), rc;

	if (fd < 0)
		return errno;
	rc = fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
	(void)close(fd);
	return rc;
}

static int
move_one(struct restoring *r, const char *name)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (in(from, r->staging, name) != LT_OK || in(to, r->o->dir, name) != LT_OK)
		return lt_backup_fail(r->e, LT_BACKUP_OTHER, LT_E_INVALID, "the path is too long");
	if (rename(from, to) != 0 && errno != ENOENT)
		return lt_backup_medium(r->e, errno, "cannot put in place", to);
	return LT_OK;
}

static int
put_in_place(struct restoring *r)
{
	const char *store = lt_backup_store_name(r->hub);
	char path[PATH_MAX];
	int err = in(path, r->staging, store) == LT_OK ? own_all(r, path) : ENAMETOOLONG, rc;

	if (err == 0)
		err = own_all(r, r->staging);
	if (err == 0)
		err = sync_folder(path);
	if (err == 0)
		err = sync_folder(r->staging);
	if (err != 0)
		return lt_backup_medium(r->e, err, "cannot make ready", r->staging);
	if (in(path, r->o->dir, "lock") == LT_OK)
		(void)own_it(r, path);
	rc = move_one(r, store);
	if (rc == LT_OK)
		rc = move_one(r, LT_BACKUP_CONF);
	if (rc == LT_OK && (err = sync_folder(r->o->dir)) != 0)
		rc = lt_backup_medium(r->e, err, "cannot sync folder", r->o->dir);
	LT_FAILPOINT("restore.before_identity");
	if (rc == LT_OK)
		rc = move_one(r, LT_BACKUP_IDENTITY);
	if (rc == LT_OK)
		r->staged = false; /* it is done: what fails from here on takes nothing back */
	LT_FAILPOINT("restore.after_identity");
	if (rc == LT_OK && (err = sync_folder(r->o->dir)) != 0)
		return lt_backup_medium(r->e, err, "cannot sync folder", r->o->dir);
	if (rc == LT_OK)
		(void)remove_folder(r->staging);
	return rc;
}

static int
restore(struct restoring *r)
{
	int rc;

	r->from = lt_backup_folder(r->o->path);
	if (r->from < 0)
		return lt_backup_fail(r->e, LT_BACKUP_NO_BACKUP, LT_E_NOTFOUND,
		    "cannot open folder \"%s\": %s", r->o->path, strerror(errno));
	rc = lt_backup_manifest(r->from, &r->arena, &r->body, r->e);
	if (rc != LT_OK)
		return rc;
	r->hub = r->body->role == LTPB__ROLE__ROLE_HUB;
	rc = take_folder(r);
	if (rc == LT_OK)
		rc = stage_identity(r);
	if (rc == LT_OK)
		rc = stage_store(r);
	if (rc == LT_OK)
		rc = copy_file(r, LT_BACKUP_CONF, r->staging);
	return rc == LT_OK ? put_in_place(r) : rc;
}

int
lt_restore(
    const struct lt_restore_options *o, struct lt_backup_info *info, struct lt_backup_error *e)
{
	struct restoring *r = calloc(1, sizeof(*r));
	int rc;

	memset(e, 0, sizeof(*e));
	if (r == NULL)
		return lt_backup_fail(e, LT_BACKUP_OTHER, LT_E_NOMEM, "no memory");
	r->o = o;
	r->e = e;
	r->lock = r->from = -1;
	lt_arena_init(&r->arena, ARENA);
	rc = restore(r);
	if (rc == LT_OK) {
		lt_backup_tell(r->body, info);
	} else if (r->staged) {
		(void)clear_placed(r);
		(void)clear_staging(r);
	}
	if (r->from >= 0)
		(void)close(r->from);
	if (r->lock >= 0)
		(void)close(r->lock);
	lt_identity_free(r->own);
	lt_arena_fini(&r->arena);
	free(r);
	return rc;
}
