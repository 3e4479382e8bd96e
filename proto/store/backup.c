#include "proto/base/failpoint.h"
#include "proto/base/file.h"
#include "proto/base/wire.h"
#include "proto/feed/escrow.h"
#include "proto/store/backup_impl.h"
#include "proto/store/feed_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAG_MANIFEST "lt1.manifest"
#define TAG_FILE "lt1.backup-file"
#define CHUNK ((size_t)256 * 1024)
#define ARENA ((size_t)4 * 1024 * 1024)
#define UNFINISHED ".unfinished" /* behind the name of a backup that is being made */
#define HEADS_MAX ((size_t)256 * 1024 * 1024)

static const char *const names[] = { LT_BACKUP_STORE, LT_BACKUP_ESCROW, LT_BACKUP_HEADS,
	LT_BACKUP_IDENTITY, LT_BACKUP_CONF };
#define NAMES (sizeof(names) / sizeof(names[0]))

void
lt_backup_put(struct lt_backup_error *e, enum lt_backup_why why, const char *fmt, ...)
{
	char text[LT_ERR_TEXT];
	va_list ap;

	e->why = why;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	lt_err_put(&e->err, "%s", text);
}

int
lt_backup_code(int e)
{
	switch (e) {
	case ENOENT:
		return LT_E_NOTFOUND;
	case EEXIST:
	case ENOTEMPTY:
		return LT_E_EXISTS;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return LT_E_NOSPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return LT_E_DENIED;
	case ENOMEM:
		return LT_E_NOMEM;
	case ENAMETOOLONG:
		return LT_E_INVALID;
	default:
		return LT_E_IO;
	}
}

int
lt_backup_medium(struct lt_backup_error *e, int err, const char *what, const char *path)
{
	char en[LT_ERR_TEXT], vi[LT_ERR_TEXT];

	e->why = LT_BACKUP_MEDIUM;
	(void)snprintf(en, sizeof(en), "%s \"%s\": %s", what, path, strerror(err));
	(void)snprintf(vi, sizeof(vi), "\"%s\": %s", path, lt_errno_vi(err));
	return lt_err_pair(&e->err, lt_backup_code(err), en, vi);
}

int
lt_backup_folder(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The same of what we make and clear away ourselves: not where a link leads to. */
static int
own_folder(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* ---- files ---- */

static int
write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno != EINTR)
			return errno;
		p += done < 0 ? 0 : done;
		n -= done < 0 ? 0 : (size_t)done;
	}
	return 0;
}

int
lt_backup_hash(int from, int to, struct lt_hash *hash, uint64_t *size, bool *reading)
{
	static const uint8_t tag[] = "\x0f" TAG_FILE;
	uint8_t *buf = malloc(CHUNK);
	crypto_generichash_state st;
	int rc = buf == NULL ? ENOMEM : 0;
	ssize_t n = 1;

	*size = 0;
	*reading = true;
	(void)crypto_generichash_init(&st, NULL, 0, LT_HASH_LEN);
	(void)crypto_generichash_update(&st, tag, sizeof(tag) - 1);
	while (rc == 0 && n != 0) {
		n = read(from, buf, CHUNK);
		if (n < 0 && errno != EINTR)
			rc = errno;
		if (n <= 0)
			continue;
		(void)crypto_generichash_update(&st, buf, (size_t)n);
		*size += (uint64_t)n;
		if (to >= 0)
			rc = write_all(to, buf, (size_t)n);
		*reading = rc == 0;
	}
	(void)crypto_generichash_final(&st, hash->b, LT_HASH_LEN);
	if (buf != NULL)
		sodium_memzero(buf, CHUNK); /* keys may have passed through */
	free(buf);
	return rc;
}

static bool
is_ours(const char *name)
{
	static const char *const more[] = { ".", "..", LT_BACKUP_MANIFEST, "lock.mdb", "guard" };
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	for (i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		if (strcmp(name, more[i]) == 0)
			return true;
	/* A small file that was not written to its end. */
	return strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".tmp") == 0;
}

int
lt_backup_remove(const char *path)
{
	int fd = own_folder(path), turn, rc = LT_OK;
	struct dirent *d;
	DIR *dir;

	if (fd < 0)
		return errno == ENOENT ? LT_OK : lt_backup_code(errno);
	dir = fdopendir(fd);
	if (dir == NULL) {
		(void)close(fd);
		return LT_E_NOMEM;
	}
	for (turn = 0; turn < 2 && rc == LT_OK; turn++) {
		rewinddir(dir);
		while (rc == LT_OK && (d = readdir(dir)) != NULL) {
			if (!is_ours(d->d_name))
				rc = LT_E_EXISTS;
			else if (turn == 1 && d->d_name[0] != '.' &&
				 unlinkat(fd, d->d_name, 0) != 0 && errno != ENOENT)
				rc = lt_backup_code(errno);
		}
	}
	(void)closedir(dir);
	if (rc == LT_OK && rmdir(path) != 0)
		rc = lt_backup_code(errno);
	return rc;
}

/* ---- heads ---- */

struct heads {
	struct lt_buf *out;
	uint64_t n;
};

static int
put_head(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct heads *h = ctx;

	lt_key_feed(h->out, unit, feed);
	lt_buf_u64(h->out, head->seq);
	lt_buf_put(h->out, head->hash.b, LT_HASH_LEN);
	h->n++;
	return h->out->err;
}

int
lt_backup_heads(struct lt_kv_txn *txn, struct lt_buf *out, uint64_t *n)
{
	struct heads h = { out, 0 };
	int rc = lt_feed_log_each(txn, NULL, put_head, &h);

	*n = h.n;
	return rc;
}

/* ---- making ---- */

struct making {
	const struct lt_backup_options *o;
	struct lt_backup_error *e;
	char tmp[PATH_MAX];
	int dir; /* of tmp, locked */
	Ltpb__BackupBody body;
	Ltpb__BackupFile file[NAMES], *files[NAMES];
	struct lt_hash hash[NAMES];
	uint8_t id[LT_BACKUP_ID_LEN], incarnation[16];
	uint64_t bytes;
};

static int
path_in(struct making *m, const char *name, char out[PATH_MAX])
{
	if ((size_t)snprintf(out, PATH_MAX, "%s/%s", m->tmp, name) >= PATH_MAX)
		return lt_backup_fail(m->e, LT_BACKUP_TARGET, LT_E_INVALID, "the path is too long");
	return LT_OK;
}

/* Nobody else works at it, and nothing is in it: an attempt that broke off is cleared away. */
static int
take_unfinished(struct making *m)
{
	size_t n = strlen(m->o->path);
	struct stat st;

	while (n > 1 && m->o->path[n - 1] == '/')
		n--;
	if ((size_t)snprintf(m->tmp, sizeof(m->tmp), "%.*s" UNFINISHED, (int)n, m->o->path) >=
	    sizeof(m->tmp))
		return lt_backup_fail(m->e, LT_BACKUP_TARGET, LT_E_INVALID, "the path is too long");
	if (lstat(m->o->path, &st) == 0)
		return lt_backup_fail(m->e, LT_BACKUP_TARGET, LT_E_EXISTS,
		    "\"%s\" is there already; nothing was changed", m->o->path);
	if (mkdir(m->tmp, 0700) != 0 && errno != EEXIST)
		return lt_backup_medium(m->e, errno, "cannot make folder", m->tmp);
	m->dir = own_folder(m->tmp);
	if (m->dir < 0)
		return lt_backup_medium(m->e, errno, "cannot open folder", m->tmp);
	if (flock(m->dir, LOCK_EX | LOCK_NB) != 0)
		return lt_backup_fail(m->e, LT_BACKUP_IN_USE, LT_E_BUSY,
		    "another backup to \"%s\" is under way", m->o->path);
	if (lt_backup_remove(m->tmp) != LT_OK)
		return lt_backup_fail(m->e, LT_BACKUP_TARGET, LT_E_EXISTS,
		    "\"%s\" holds other things than a backup that broke off", m->tmp);
	(void)close(m->dir);
	m->dir = -1;
	if (mkdir(m->tmp, 0700) != 0)
		return lt_backup_medium(m->e, errno, "cannot make folder", m->tmp);
	m->dir = own_folder(m->tmp);
	if (m->dir < 0 || flock(m->dir, LOCK_EX | LOCK_NB) != 0)
		return lt_backup_medium(m->e, errno, "cannot open folder", m->tmp);
	return LT_OK;
}

const char *
lt_backup_store_name(bool hub)
{
	return hub ? "log" : "store";
}

enum lt_kv_kind
lt_backup_store_kind(bool hub)
{
	return hub ? LT_KV_HUB_LOG : LT_KV_NODE;
}

static int
copy_store(struct making *m)
{
	bool hub = m->o->identity->role == LTPB__ROLE__ROLE_HUB;
	struct lt_kv_options ko = { .kind = lt_backup_store_kind(hub),
		.federation = m->o->identity->federation.b,
		.tables = lt_table_names,
		.read_only = true };
	char path[PATH_MAX];
	struct lt_kv *kv;
	int fd, rc;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", m->o->dir, lt_backup_store_name(hub)) >=
	    sizeof(path))
		return lt_backup_fail(m->e, LT_BACKUP_SOURCE, LT_E_INVALID, "the path is too long");
	ko.path = path;
	m->e->why = LT_BACKUP_SOURCE;
	rc = lt_kv_open_lmdb(&ko, &kv, &m->e->err);
	if (rc != LT_OK)
		return rc;
	memcpy(m->incarnation, lt_kv_incarnation(kv), sizeof(m->incarnation));
	fd = openat(m->dir, LT_BACKUP_STORE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = fd < 0 ? lt_backup_code(errno) : lt_kv_copy(kv, fd);
	if (rc == LT_OK && fsync(fd) != 0)
		rc = lt_backup_code(errno);
	if (fd >= 0)
		(void)close(fd);
	lt_kv_close(kv);
	if (rc != LT_OK)
		return lt_backup_fail(m->e,
		    rc == LT_E_CORRUPT ? LT_BACKUP_SOURCE : LT_BACKUP_MEDIUM, rc,
		    "the store cannot be copied to \"%s\": %s", m->tmp, lt_strerror(rc));
	LT_FAILPOINT("backup.copied");
	return LT_OK;
}

static int
write_small(struct making *m, const char *name, struct lt_slice bytes)
{
	char path[PATH_MAX];
	int rc = path_in(m, name, path);

	if (rc == LT_OK) {
		rc = lt_file_write(path, bytes, 0600, true, &m->e->err);
		if (rc != LT_OK)
			m->e->why = LT_BACKUP_MEDIUM;
	}
	return rc;
}

/* Of the copy, which is of one moment; all of it is read before. */
static int
write_heads(struct making *m)
{
	bool hub = m->o->identity->role == LTPB__ROLE__ROLE_HUB;
	struct lt_kv_options ko = { .path = m->tmp,
		.kind = lt_backup_store_kind(hub),
		.federation = m->o->identity->federation.b,
		.tables = lt_table_names,
		.read_only = true };
	struct lt_kv_txn *txn = NULL;
	struct lt_kv *kv;
	struct lt_buf b;
	uint64_t bad;
	int rc;

	m->e->why = LT_BACKUP_SOURCE;
	rc = lt_kv_look(&ko, &bad, &m->e->err);
	if (rc == LT_OK && bad != 0)
		rc = lt_backup_fail(m->e, LT_BACKUP_SOURCE, LT_E_CORRUPT,
		    "the store has %llu damaged values", (unsigned long long)bad);
	if (rc == LT_OK)
		rc = lt_kv_open_lmdb(&ko, &kv, &m->e->err);
	if (rc != LT_OK)
		return rc;
	lt_buf_init(&b, HEADS_MAX);
	rc = lt_kv_begin_read(kv, &txn);
	if (rc == LT_OK)
		rc = lt_feed_log_last(txn, &m->body.position);
	if (rc == LT_OK)
		rc = lt_backup_heads(txn, &b, &m->body.feeds);
	lt_kv_abort(txn);
	lt_kv_close(kv);
	(void)unlinkat(m->dir, "lock.mdb", 0);
	if (rc == LT_OK)
		rc = write_small(m, LT_BACKUP_HEADS, lt_buf_slice(&b));
	else if (m->e->err.text[0] == '\0')
		(void)lt_backup_fail(
		    m->e, LT_BACKUP_SOURCE, rc, "the copy cannot be read: %s", lt_strerror(rc));
	lt_buf_fini(&b);
	return rc;
}

static int
copy_settings(struct making *m)
{
	char path[PATH_MAX];
	struct lt_buf b;
	int rc;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", m->o->dir, LT_BACKUP_CONF) >=
	    sizeof(path))
		return lt_backup_fail(m->e, LT_BACKUP_SOURCE, LT_E_INVALID, "the path is too long");
	lt_buf_init(&b, LT_BACKUP_SMALL_MAX);
	m->e->why = LT_BACKUP_SOURCE;
	rc = lt_file_read(path, LT_BACKUP_SMALL_MAX, &b, &m->e->err);
	if (rc == LT_OK)
		rc = write_small(m, LT_BACKUP_CONF, lt_buf_slice(&b));
	else if (rc == LT_E_NOTFOUND)
		rc = LT_OK;
	lt_buf_fini(&b);
	return rc;
}

/* They may have been followed by others while the store was copied; those that are given are then good for nothing that is signed from
 * now on. No keys there: they are kept elsewhere. */
static int
check_current(struct making *m)
{
	struct lt_identity *now;
	struct lt_err err = { "" };
	uint32_t no;
	int rc = lt_identity_load(m->o->dir, &now, &err);

	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	if (rc != LT_OK)
		return lt_backup_fail(m->e, LT_BACKUP_SOURCE, rc, "%s", err.text);
	no = now->key_no;
	lt_identity_free(now);
	if (no != m->o->identity->key_no)
		return lt_backup_fail(m->e, LT_BACKUP_OTHER, LT_E_BUSY,
		    "this machine has new keys (%u) since the backup began: begin again", no);
	return LT_OK;
}

static int
write_keys(struct making *m)
{
	struct lt_buf b;
	int rc = LT_OK;

	if (m->o->keys) {
		rc = lt_identity_write(m->o->identity, m->tmp, false, &m->e->err);
		if (rc != LT_OK)
			m->e->why = LT_BACKUP_MEDIUM;
	}
	if (rc != LT_OK || m->o->identity->role != LTPB__ROLE__ROLE_HUB)
		return rc;
	lt_buf_init(&b, LT_ESCROW_BYTES_MAX);
	rc = lt_escrow_seal(m->o->identity, m->o->now_ms, &b);
	if (rc == LT_OK)
		rc = write_small(m, LT_BACKUP_ESCROW, lt_buf_slice(&b));
	else
		(void)lt_backup_fail(m->e, LT_BACKUP_OTHER, rc, "the hub's keys cannot be sealed");
	lt_buf_fini(&b);
	return rc;
}

/* What lies there now, read back. */
static int
list_files(struct making *m)
{
	size_t i;

	m->body.file = m->files;
	for (i = 0; i < NAMES; i++) {
		int fd = openat(m->dir, names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW), err;
		size_t n = m->body.n_file;
		bool reading;

		if (fd < 0 && errno == ENOENT)
			continue;
		ltpb__backup_file__init(&m->file[n]);
		err = fd < 0 ? errno
			     : lt_backup_hash(fd, -1, &m->hash[n], &m->file[n].size, &reading);
		if (fd >= 0)
			(void)close(fd);
		if (err != 0)
			return lt_backup_medium(
			    m->e, err, "cannot read back what was written to", m->tmp);
		m->file[n].name = (char *)(uintptr_t)names[i];
		m->file[n].hash.data = m->hash[n].b;
		m->file[n].hash.len = LT_HASH_LEN;
		m->files[n] = &m->file[n];
		m->bytes += m->file[n].size;
		m->body.n_file++;
	}
	return LT_OK;
}

static void
borrow(ProtobufCBinaryData *b, const void *data, size_t len)
{
	b->data = (uint8_t *)(uintptr_t)data;
	b->len = len;
}

static void
fill_body(struct making *m)
{
	const struct lt_identity *id = m->o->identity;
	Ltpb__BackupBody *b = &m->body;

	randombytes_buf(m->id, sizeof(m->id));
	b->version = LT_BACKUP_VERSION;
	borrow(&b->federation, id->federation.b, LT_FED_LEN);
	b->role = id->role;
	borrow(&b->principal, id->principal.b, LT_ID_LEN);
	b->unit = (char *)(uintptr_t)id->unit.s;
	b->key_no = id->key_no;
	borrow(&b->sign_key, id->sign.pk, 32);
	borrow(&b->root_key, id->root_key, 32);
	borrow(&b->salt, id->salt, 16);
	borrow(&b->certificate, id->certificate.data, id->certificate.len);
	borrow(&b->id, m->id, sizeof(m->id));
	borrow(&b->incarnation, m->incarnation, sizeof(m->incarnation));
	b->made_ms = m->o->now_ms;
	b->program = (char *)(uintptr_t)LT_VERSION;
}

static int
write_manifest(struct making *m)
{
	Ltpb__Backup outer = LTPB__BACKUP__INIT;
	uint8_t sig[LT_SIG_LEN];
	struct lt_buf body, b;
	int rc;

	lt_buf_init(&body, LT_BACKUP_MANIFEST_MAX);
	lt_buf_init(&b, LT_BACKUP_MANIFEST_MAX);
	rc = lt_wire_pack(&m->body.base, LT_BACKUP_MANIFEST_MAX / 2, &body);
	if (rc == LT_OK) {
		lt_sign(&m->o->identity->sign, TAG_MANIFEST, lt_buf_slice(&body), sig);
		borrow(&outer.body, body.data, body.len);
		borrow(&outer.signature, sig, sizeof(sig));
		rc = lt_wire_pack(&outer.base, LT_BACKUP_MANIFEST_MAX, &b);
	}
	LT_FAILPOINT("backup.before_manifest");
	if (rc == LT_OK)
		rc = write_small(m, LT_BACKUP_MANIFEST, lt_buf_slice(&b));
	lt_buf_fini(&body);
	lt_buf_fini(&b);
	return rc;
}

/* The folder that holds path. */
static int
sync_parent(const char *path)
{
	char parent[PATH_MAX];
	char *slash;
	int fd, rc;

	(void)snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash == NULL)
		(void)snprintf(parent, sizeof(parent), ".");
	else if (slash == parent)
		parent[1] = '\0';
	else
		*slash = '\0';
	fd = lt_backup_folder(parent);
	if (fd < 0)
		return errno;
	rc = fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
	(void)close(fd);
	return rc;
}

static int
put_in_place(struct making *m)
{
	int err;

	if (fsync(m->dir) != 0 && errno != EINVAL)
		return lt_backup_medium(m->e, errno, "cannot sync folder", m->tmp);
	LT_FAILPOINT("backup.before_rename");
	err = renameat2(AT_FDCWD, m->tmp, AT_FDCWD, m->o->path, RENAME_NOREPLACE) == 0 ? 0 : errno;
	if (err == EINVAL || err == ENOSYS)
		err = rename(m->tmp, m->o->path) == 0 ? 0 : errno;
	if (err == EEXIST)
		return lt_backup_fail(
		    m->e, LT_BACKUP_TARGET, LT_E_EXISTS, "\"%s\" is there already", m->o->path);
	if (err != 0)
		return lt_backup_medium(m->e, err, "cannot rename to", m->o->path);
	LT_FAILPOINT("backup.after_rename");
	err = sync_parent(m->tmp);
	if (err == 0)
		return LT_OK;
	(void)lt_backup_remove(m->o->path);
	return lt_backup_medium(m->e, err, "cannot sync the folder of", m->o->path);
}

int
lt_backup_make(
    const struct lt_backup_options *o, struct lt_backup_info *info, struct lt_backup_error *e)
{
	struct making *m = calloc(1, sizeof(*m));
	bool made;
	int rc;

	memset(e, 0, sizeof(*e));
	if (m == NULL)
		return lt_backup_fail(e, LT_BACKUP_OTHER, LT_E_NOMEM, "no memory");
	m->o = o;
	m->e = e;
	m->dir = -1;
	ltpb__backup_body__init(&m->body);
	rc = take_unfinished(m);
	made = rc == LT_OK;
	if (rc == LT_OK)
		rc = copy_store(m);
	if (rc == LT_OK)
		rc = write_heads(m);
	if (rc == LT_OK)
		rc = copy_settings(m);
	if (rc == LT_OK)
		rc = write_keys(m);
	if (rc == LT_OK)
		rc = list_files(m);
	if (rc == LT_OK) {
		fill_body(m);
		rc = write_manifest(m);
	}
	if (rc == LT_OK)
		rc = check_current(m);
	if (rc == LT_OK)
		rc = put_in_place(m);
	if (rc == LT_OK)
		lt_backup_tell(&m->body, info);
	else if (made)
		(void)lt_backup_remove(m->tmp);
	if (m->dir >= 0)
		(void)close(m->dir);
	free(m);
	return rc;
}

/* ---- reading ---- */

void
lt_backup_tell(const Ltpb__BackupBody *b, struct lt_backup_info *info)
{
	size_t i;

	memset(info, 0, sizeof(*info));
	info->role = b->role;
	memcpy(info->federation.b, b->federation.data, LT_FED_LEN);
	memcpy(info->principal.b, b->principal.data, LT_ID_LEN);
	(void)lt_unit_set(&info->unit, lt_slice_str(b->unit));
	memcpy(info->root_key, b->root_key.data, sizeof(info->root_key));
	memcpy(info->id, b->id.data, sizeof(info->id));
	info->made_ms = b->made_ms;
	info->position = b->position;
	info->feeds = b->feeds;
	info->keys = lt_backup_file(b, LT_BACKUP_IDENTITY) != NULL;
	info->escrow = lt_backup_file(b, LT_BACKUP_ESCROW) != NULL;
	lt_slice_to_text(info->program, sizeof(info->program), lt_slice_str(b->program));
	for (i = 0; i < b->n_file; i++)
		info->bytes += b->file[i]->size;
}

const Ltpb__BackupFile *
lt_backup_file(const Ltpb__BackupBody *b, const char *name)
{
	size_t i;

	for (i = 0; i < b->n_file; i++)
		if (strcmp(b->file[i]->name, name) == 0)
			return b->file[i];
	return NULL;
}

/* Names that we know, rising, with hashes; no way out of the folder. */
static bool
files_sane(const Ltpb__BackupBody *b)
{
	size_t i, k;

	for (i = 0; i < b->n_file; i++) {
		for (k = 0; k < NAMES && strcmp(b->file[i]->name, names[k]) != 0; k++)
			;
		if (k == NAMES || b->file[i]->hash.len != LT_HASH_LEN ||
		    b->file[i]->size > INT64_MAX / 8 ||
		    (i > 0 && strcmp(b->file[i - 1]->name, b->file[i]->name) >= 0))
			return false;
	}
	return lt_backup_file(b, LT_BACKUP_STORE) != NULL &&
	       lt_backup_file(b, LT_BACKUP_HEADS) != NULL;
}

static bool
body_sane(const Ltpb__BackupBody *b)
{
	struct lt_fed fed;
	struct lt_unit unit;

	if (b->federation.len != LT_FED_LEN || b->principal.len != LT_ID_LEN ||
	    b->sign_key.len != 32 || b->root_key.len != 32 || b->salt.len != 16 ||
	    b->id.len != LT_BACKUP_ID_LEN || b->incarnation.len != 16 || b->key_no == 0 ||
	    (b->role != LTPB__ROLE__ROLE_NODE && b->role != LTPB__ROLE__ROLE_HUB) ||
	    lt_unit_set(&unit, lt_slice_str(b->unit)) != LT_OK)
		return false;
	lt_federation_id(b->root_key.data, b->salt.data, &fed);
	return memcmp(fed.b, b->federation.data, LT_FED_LEN) == 0 && files_sane(b);
}

/* Of a hub the key counts that the root certified. */
static int
check_signer(const Ltpb__BackupBody *b, struct lt_arena *arena, struct lt_backup_error *e)
{
	Ltpb__CertificateBody *c;
	struct lt_fed fed;
	int rc;

	if (b->role != LTPB__ROLE__ROLE_HUB)
		return LT_OK;
	memcpy(fed.b, b->federation.data, LT_FED_LEN);
	rc = lt_certificate_verify(lt_slice(b->certificate.data, b->certificate.len),
	    b->root_key.data, &fed, arena, &c, &e->err);
	if (rc == LT_OK && c->role == LTPB__ROLE__ROLE_HUB && c->key_no == b->key_no &&
	    memcmp(c->principal.data, b->principal.data, LT_ID_LEN) == 0 &&
	    memcmp(c->sign_key.data, b->sign_key.data, 32) == 0)
		return LT_OK;
	return lt_backup_fail(e, LT_BACKUP_UNSIGNED, LT_E_BADSIG,
	    "the manifest's key is not the hub's that the root key certified");
}

static int
read_manifest(int dir, struct lt_arena *arena, struct lt_slice *out, struct lt_backup_error *e)
{
	int fd = openat(dir, LT_BACKUP_MANIFEST, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint8_t *p = lt_arena_alloc(arena, LT_BACKUP_MANIFEST_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return lt_backup_fail(e, LT_BACKUP_NO_BACKUP, LT_E_NOTFOUND, "it has no manifest");
	if (fd < 0 || p == NULL)
		return lt_backup_fail(e, LT_BACKUP_MEDIUM,
		    fd < 0 ? lt_backup_code(errno) : LT_E_NOMEM, "the manifest cannot be read: %s",
		    strerror(fd < 0 ? errno : ENOMEM));
	while (n > 0 && len <= LT_BACKUP_MANIFEST_MAX) {
		n = read(fd, p + len, LT_BACKUP_MANIFEST_MAX + 1 - len);
		len += n > 0 ? (size_t)n : 0;
		if (n < 0 && errno == EINTR)
			n = 1;
	}
	(void)close(fd);
	if (n < 0)
		return lt_backup_fail(e, LT_BACKUP_MEDIUM, LT_E_IO, "the manifest cannot be read");
	*out = lt_slice(p, len);
	return LT_OK;
}

int
lt_backup_manifest(
    int dir, struct lt_arena *arena, Ltpb__BackupBody **body, struct lt_backup_error *e)
{
	static const char damaged[] = "the manifest is damaged";
	struct lt_slice bytes;
	ProtobufCMessage *msg;
	Ltpb__Backup *outer;
	Ltpb__BackupBody *b;
	int rc = read_manifest(dir, arena, &bytes, e);

	if (rc != LT_OK)
		return rc;
	if (lt_wire_unpack(&ltpb__backup__descriptor, bytes, LT_BACKUP_MANIFEST_MAX, arena, &msg,
		NULL) != LT_OK)
		return lt_backup_fail(e, LT_BACKUP_DAMAGED, LT_E_CORRUPT, damaged);
	outer = (Ltpb__Backup *)msg;
	if (lt_wire_unpack(&ltpb__backup_body__descriptor,
		lt_slice(outer->body.data, outer->body.len), LT_BACKUP_MANIFEST_MAX, arena, &msg,
		NULL) != LT_OK)
		return lt_backup_fail(e, LT_BACKUP_DAMAGED, LT_E_CORRUPT, damaged);
	b = (Ltpb__BackupBody *)msg;
	if (b->version > LT_BACKUP_VERSION)
		return lt_backup_fail(e, LT_BACKUP_NEWER, LT_E_VERSION,
		    "it has version %u, made by program %.32s", b->version, b->program);
	if (b->version != LT_BACKUP_VERSION || !body_sane(b))
		return lt_backup_fail(e, LT_BACKUP_DAMAGED, LT_E_CORRUPT, damaged);
	if (lt_sign_verify(b->sign_key.data, TAG_MANIFEST,
		lt_slice(outer->body.data, outer->body.len),
		lt_slice(outer->signature.data, outer->signature.len)) != LT_OK)
		return lt_backup_fail(
		    e, LT_BACKUP_UNSIGNED, LT_E_BADSIG, "the manifest's signature does not verify");
	rc = check_signer(b, arena, e);
	*body = b;
	return rc;
}

static int
open_backup(const char *path, struct lt_backup_error *e)
{
	int dir;

	memset(e, 0, sizeof(*e));
	dir = lt_backup_folder(path);
	if (dir < 0)
		(void)lt_backup_fail(e,
		    errno == ENOENT || errno == ENOTDIR ? LT_BACKUP_NO_BACKUP : LT_BACKUP_MEDIUM,
		    lt_backup_code(errno), "cannot open folder \"%s\": %s", path, strerror(errno));
	return dir;
}

int
lt_backup_read(const char *path, struct lt_backup_info *info, struct lt_backup_error *e)
{
	int dir = open_backup(path, e), rc;
	struct lt_arena arena;
	Ltpb__BackupBody *b;

	if (dir < 0)
		return LT_E_NOTFOUND;
	lt_arena_init(&arena, ARENA);
	rc = lt_backup_manifest(dir, &arena, &b, e);
	if (rc == LT_OK)
		lt_backup_tell(b, info);
	lt_arena_fini(&arena);
	(void)close(dir);
	return rc;
}

static int
verify_file(int dir, const Ltpb__BackupFile *f, struct lt_backup_error *e)
{
	int fd = openat(dir, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err;
	struct lt_hash h;
	uint64_t size;
	bool reading;

	if (fd < 0)
		return lt_backup_fail(e, LT_BACKUP_DAMAGED, lt_backup_code(errno),
		    "file \"%s\" cannot be read: %s", f->name, strerror(errno));
	err = lt_backup_hash(fd, -1, &h, &size, &reading);
	(void)close(fd);
	if (err != 0)
		return lt_backup_fail(e, LT_BACKUP_DAMAGED, lt_backup_code(err),
		    "file \"%s\" cannot be read: %s", f->name, strerror(err));
	if (size != f->size || memcmp(h.b, f->hash.data, LT_HASH_LEN) != 0)
		return lt_backup_fail(e, LT_BACKUP_DAMAGED, LT_E_CORRUPT,
		    "file \"%s\" is not the one that the manifest names", f->name);
	return LT_OK;
}

static int
verify_pages(const char *path, const Ltpb__BackupBody *b, struct lt_backup_error *e)
{
	struct lt_kv_options o = { .path = path,
		.kind = lt_backup_store_kind(b->role == LTPB__ROLE__ROLE_HUB),
		.federation = b->federation.data,
		.tables = lt_table_names,
		.read_only = true };
	uint64_t bad;
	int rc;

	e->why = LT_BACKUP_DAMAGED;
	rc = lt_kv_look(&o, &bad, &e->err);
	if (rc == LT_OK && bad != 0)
		rc = lt_backup_fail(e, LT_BACKUP_DAMAGED, LT_E_CORRUPT,
		    "%llu values of the store do not verify", (unsigned long long)bad);
	return rc;
}

int
lt_backup_verify(const char *path, struct lt_backup_info *info, struct lt_backup_error *e)
{
	int dir = open_backup(path, e), rc;
	struct lt_arena arena;
	Ltpb__BackupBody *b;
	size_t i;

	if (dir < 0)
		return LT_E_NOTFOUND;
	lt_arena_init(&arena, ARENA);
	rc = lt_backup_manifest(dir, &arena, &b, e);
	for (i = 0; rc == LT_OK && i < b->n_file; i++)
		rc = verify_file(dir, b->file[i], e);
	if (rc == LT_OK)
		rc = verify_pages(path, b, e);
	if (rc == LT_OK)
		lt_backup_tell(b, info);
	lt_arena_fini(&arena);
	(void)close(dir);
	return rc;
}
