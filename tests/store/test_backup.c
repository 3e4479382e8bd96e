/* Backups: what is copied comes back, in new epochs; what is damaged, foreign, unfinished or unsigned is found out before anything
 * is put in place; and a power cut at any step leaves the old state or the new. */
#include "world.h"

#include "proto/base/clock.h"
#include "proto/base/file.h"
#include "proto/feed/escrow.h"
#include "proto/store/author.h"
#include "proto/store/backup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW INT64_C(1795305600000)
#define STAMP(n) LT_STAMP(LT_BUILD_FLOOR_MS + 1000, n)

struct place {
	char root[64], dir[96], path[96], to[96];
	struct lt_identity *id;
	struct lt_sign_key root_key;
	struct lt_buf certificate;
	bool hub;
};

static void
certify(struct place *p)
{
	Ltpb__CertificateBody b = LTPB__CERTIFICATE_BODY__INIT;

	b.federation.data = p->id->federation.b;
	b.federation.len = LT_FED_LEN;
	b.principal.data = p->id->principal.b;
	b.principal.len = LT_ID_LEN;
	b.role = LTPB__ROLE__ROLE_HUB;
	b.key_no = p->id->key_no;
	b.sign_key.data = p->id->sign.pk;
	b.sign_key.len = 32;
	b.line_key.data = p->id->line_pk;
	b.line_key.len = 32;
	b.generation = 1;
	b.purpose = (char *)(uintptr_t) "hub";
	lt_buf_init(&p->certificate, 4096);
	ok(lt_certificate_make(&b, &p->root_key, &p->certificate));
	p->id->certificate.data = malloc(p->certificate.len);
	memcpy((void *)(uintptr_t)p->id->certificate.data, p->certificate.data, p->certificate.len);
	p->id->certificate.len = p->certificate.len;
}

static void
open_store(const struct place *p, const char *dir, struct lt_kv **kv)
{
	struct lt_err err = { "" };

	if (lt_tables_open(dir, p->hub ? "log" : "store", p->hub ? LT_KV_HUB_LOG : LT_KV_NODE,
		&p->id->federation, (uint64_t)1 << 30, kv, &err) != LT_OK)
		fail_msg("%s", err.text);
}

static void
put(struct lt_kv_txn *txn, unsigned table, const void *k, size_t klen, const void *v, size_t vlen)
{
	ok(lt_kv_put(txn, table, lt_slice(k, klen), lt_slice(v, vlen)));
}

/* An invitation's row as FORMAT.md 9.7 has it, under a token hash of one byte's value. */
static void
put_invitation(struct lt_kv_txn *txn, uint8_t token, uint8_t used)
{
	uint8_t key[32];
	struct lt_buf b;

	memset(key, token, sizeof(key));
	lt_buf_init(&b, 256);
	lt_buf_u8(&b, 2);
	lt_buf_u64(&b, 99);
	lt_buf_u8(&b, 1);
	lt_buf_framed8(&b, lt_slice_str("17254"));
	lt_buf_framed8(&b, lt_slice_str(""));
	lt_buf_framed8(&b, lt_slice_str("may 1"));
	lt_buf_u8(&b, 1);
	lt_buf_u8(&b, used);
	lt_buf_put(&b, "0123456789abcdef", 16);
	lt_buf_framed(&b, lt_slice_str(""));
	put(txn, LT_T_ENROL, key, 32, b.data, b.len);
	lt_buf_fini(&b);
}

/* 40 change-sets, some state, epochs. */
static void
fill_store(const struct place *p)
{
	struct lt_arena arena;
	struct author a;
	struct feed f;
	struct lt_kv_txn *txn;
	struct lt_kv *kv;
	uint64_t i, position;

	lt_arena_init(&arena, (size_t)64 << 20);
	author_init(&a, 7);
	feed_init(&f, &a, WORLD_UNIT, LT_LANE_NORMAL, 5);
	open_store(p, p->dir, &kv);
	ok(lt_kv_begin_write(kv, &txn));
	for (i = 1; i <= 40; i++) {
		struct lt_draft d =
		    world_draft(&arena, "thing", "17254/1", fs_int(&arena, "c", (int64_t)i), NULL);
		struct lt_buf b = { 0 };
		struct lt_changeset cs;

		feed_seal(&f, STAMP(i), &d, 1, &b);
		world_append(txn, lt_buf_slice(&b), &arena, &cs, &position);
		lt_buf_fini(&b);
	}
	ok(lt_local_put_u64(txn, "epoch/17254/2", 5));
	ok(lt_local_put_u64(txn, "epoch/_/1", 6));
	ok(lt_local_put_u64(txn, "epochs", 7)); /* another name */
	ok(lt_local_put_u64(txn, "hlc", STAMP(40)));
	put_invitation(txn, 1, 0);
	put_invitation(txn, 2, 1);
	put_invitation(txn, 3, 0);
	put(txn, LT_T_ENROL, "p0123456789abcdef", 17, "x", 1);
	put(txn, LT_T_REQUEST, "0123456789abcdef", 16, "y", 1);
	ok(lt_kv_commit(txn));
	lt_kv_close(kv);
	lt_arena_fini(&arena);
}

static void
place_init(struct place *p, bool hub)
{
	struct lt_err err = { "" };
	uint8_t seed[32];
	char path[160];

	memset(p, 0, sizeof(*p));
	p->hub = hub;
	strcpy(p->root, "/tmp/lt-backup-XXXXXX");
	assert_non_null(mkdtemp(p->root));
	(void)snprintf(p->dir, sizeof(p->dir), "%s/data", p->root);
	(void)snprintf(p->path, sizeof(p->path), "%s/copy", p->root);
	(void)snprintf(p->to, sizeof(p->to), "%s/new", p->root);
	p->id = lt_identity_new();
	memset(seed, 3, sizeof(seed));
	lt_sign_key_from_seed(seed, &p->root_key);
	memcpy(p->id->root_key, p->root_key.pk, 32);
	memset(p->id->salt, 4, 16);
	lt_federation_id(p->id->root_key, p->id->salt, &p->id->federation);
	p->id->role = hub ? LTPB__ROLE__ROLE_HUB : LTPB__ROLE__ROLE_NODE;
	ok(lt_unit_set(&p->id->unit, lt_slice_str(hub ? WORLD_PROVINCE : WORLD_UNIT)));
	lt_identity_keys(p->id);
	memcpy(p->id->hub_line_key, p->id->line_pk, 32);
	if (hub)
		certify(p);
	ok(lt_dir_make(p->dir, 0700, &err));
	ok(lt_identity_write(p->id, p->dir, false, &err));
	(void)snprintf(path, sizeof(path), "%s/lienthong.conf", p->dir);
	ok(lt_file_write(path, lt_slice_str("[node]\n"), 0600, true, &err));
	fill_store(p);
}

static void
place_fini(struct place *p)
{
	char cmd[128];

	lt_identity_free(p->id);
	lt_buf_fini(&p->certificate);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", p->root);
	assert_int_equal(system(cmd), 0);
}

static int
make(struct place *p, struct lt_backup_error *e)
{
	struct lt_backup_options o = {
		.dir = p->dir, .path = p->path, .identity = p->id, .keys = !p->hub, .now_ms = NOW
	};
	struct lt_backup_info info;

	return lt_backup_make(&o, &info, e);
}

static void
made(struct place *p)
{
	struct lt_backup_error e;

	if (make(p, &e) != LT_OK)
		fail_msg("%s", e.err.text);
}

static int
verify(const struct place *p, struct lt_backup_error *e)
{
	struct lt_backup_info info;

	return lt_backup_verify(p->path, &info, e);
}

static int
restore_as(const struct place *p, const struct lt_identity *id, struct lt_backup_error *e)
{
	struct lt_restore_options o = {
		.path = p->path, .dir = p->to, .identity = id, .now_ms = NOW + 5
	};
	struct lt_backup_info info;

	return lt_restore(&o, &info, e);
}

static int
restore(const struct place *p, struct lt_backup_error *e)
{
	return restore_as(p, p->hub ? p->id : NULL, e);
}

static bool
there(const char *dir, const char *name)
{
	struct stat st;
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return lstat(path, &st) == 0;
}

static bool
has_row(struct lt_kv *kv, unsigned table, const void *k, size_t klen)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	int rc;

	ok(lt_kv_begin_read(kv, &txn));
	rc = lt_kv_get(txn, table, lt_slice(k, klen), &v);
	lt_kv_abort(txn);
	assert_true(rc == LT_OK || rc == LT_E_NOTFOUND);
	return rc == LT_OK;
}

/* The tables that no restore touches are the same, byte for byte. */
static void
same_tables(struct lt_kv *a, struct lt_kv *b)
{
	static const unsigned tables[] = { LT_T_FEED, LT_T_ENTRY, LT_T_SEQ, LT_T_OPENING,
		LT_T_JUDGEMENT, LT_T_HELD, LT_T_RECEIPT, LT_T_REQUEST, LT_T_COUNT };
	struct lt_buf x = { 0 }, y = { 0 };
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_read(a, &txn));
	env_dump(txn, tables, &x);
	lt_kv_abort(txn);
	ok(lt_kv_begin_read(b, &txn));
	env_dump(txn, tables, &y);
	lt_kv_abort(txn);
	assert_true(x.len > 40 * 100);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	lt_buf_fini(&x);
	lt_buf_fini(&y);
}

static void
check_restored(const struct place *p)
{
	struct lt_identity *id = NULL;
	struct lt_err err = { "" };
	struct lt_kv *old, *new;
	uint8_t token[32];
	uint64_t bad = lt_identity_load(p->to, &id, &err) == LT_OK ? 0 : 1;

	assert_int_equal(bad, 0);
	assert_memory_equal(id->sign.sk, p->id->sign.sk, sizeof(id->sign.sk));
	assert_memory_equal(id->line_sk, p->id->line_sk, 32);
	lt_identity_free(id);
	assert_true(there(p->to, "lienthong.conf"));
	assert_false(there(p->to, "restoring"));
	open_store(p, p->dir, &old);
	open_store(p, p->to, &new);
	same_tables(old, new);
	assert_memory_not_equal(lt_kv_incarnation(old), lt_kv_incarnation(new), 16);
	/* No epoch of before is written in again. */
	assert_false(has_row(new, LT_T_LOCAL, "epoch/17254/2", 13));
	assert_false(has_row(new, LT_T_LOCAL, "epoch/_/1", 9));
	assert_true(has_row(new, LT_T_LOCAL, "epochs", 6));
	assert_true(has_row(new, LT_T_LOCAL, "hlc", 3));
	assert_int_equal(
	    has_row(new, LT_T_LOCAL, LT_LOCAL_RESTORED, strlen(LT_LOCAL_RESTORED)), p->hub);
	memset(token, 1, 32);
	assert_int_equal(has_row(new, LT_T_ENROL, token, 32), !p->hub);
	memset(token, 2, 32);
	assert_true(has_row(new, LT_T_ENROL, token, 32));
	memset(token, 3, 32);
	assert_int_equal(has_row(new, LT_T_ENROL, token, 32), !p->hub);
	assert_true(has_row(new, LT_T_ENROL, "p0123456789abcdef", 17));
	lt_kv_close(old);
	lt_kv_close(new);
}

static void
test_there_and_back(void **state)
{
	struct lt_backup_error e;
	struct lt_backup_info info;
	struct place p;
	int hub;

	(void)state;
	for (hub = 0; hub < 2; hub++) {
		place_init(&p, hub == 1);
		made(&p);
		ok(lt_backup_verify(p.path, &info, &e));
		assert_int_equal(info.role, p.id->role);
		assert_int_equal(info.position, 40);
		assert_int_equal(info.feeds, 1);
		assert_int_equal(info.made_ms, NOW);
		assert_int_equal(info.keys, !hub);
		assert_int_equal(info.escrow, hub);
		assert_memory_equal(info.root_key, p.root_key.pk, 32);
		/* Nothing but what the manifest names, and no key of a hub. */
		assert_false(there(p.path, "lock.mdb"));
		assert_int_equal(there(p.path, "identity"), !hub);
		ok(restore(&p, &e));
		check_restored(&p);
		place_fini(&p);
	}
}

/* A second restore from one backup is a machine of its own kind: each has its own incarnation. */
static void
test_twice(void **state)
{
	uint8_t first[16];
	struct lt_backup_error e;
	struct lt_kv *kv;
	struct place p;

	(void)state;
	place_init(&p, false);
	made(&p);
	ok(restore(&p, &e));
	open_store(&p, p.to, &kv);
	memcpy(first, lt_kv_incarnation(kv), 16);
	lt_kv_close(kv);
	(void)snprintf(p.to, sizeof(p.to), "%s/other", p.root);
	ok(restore(&p, &e));
	check_restored(&p);
	open_store(&p, p.to, &kv);
	assert_memory_not_equal(first, lt_kv_incarnation(kv), 16);
	lt_kv_close(kv);
	place_fini(&p);
}

/* ---- while somebody writes ---- */

static void
child_writes(const struct place *p, int ready)
{
	struct lt_kv_txn *txn;
	struct lt_kv *kv;
	uint64_t i;
	uint8_t key[8];
	char value[3000];

	open_store(p, p->dir, &kv);
	memset(value, 'v', sizeof(value));
	for (i = 0;; i++) {
		if (lt_kv_begin_write(kv, &txn) != LT_OK)
			_exit(1);
		/* Two tables in one transaction: a copy has both or neither. */
		lt_store_u64(key, i);
		if (lt_kv_put(txn, LT_T_QUARANTINE, lt_slice(key, 8),
			lt_slice(value, sizeof(value))) != LT_OK ||
		    lt_kv_put(txn, LT_T_HELD, lt_slice(key, 8), lt_slice(value, 1)) != LT_OK ||
		    lt_kv_commit(txn) != LT_OK)
			_exit(1);
		if (i == 20)
			(void)!write(ready, "r", 1);
	}
}

static void
test_hot(void **state)
{
	struct lt_backup_error e;
	uint64_t held, quarantined, before = 0;
	struct lt_kv_txn *txn;
	struct lt_kv *kv;
	struct place p;
	int pipefd[2], i;
	pid_t pid;
	char c;

	(void)state;
	place_init(&p, false);
	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (pid == 0)
		child_writes(&p, pipefd[1]);
	assert_int_equal(read(pipefd[0], &c, 1), 1);
	for (i = 0; i < 5; i++) {
		(void)snprintf(p.path, sizeof(p.path), "%s/copy%d", p.root, i);
		(void)snprintf(p.to, sizeof(p.to), "%s/new%d", p.root, i);
		made(&p);
		ok(verify(&p, &e));
		ok(restore(&p, &e));
		open_store(&p, p.to, &kv);
		ok(lt_kv_begin_read(kv, &txn));
		ok(lt_kv_count(txn, LT_T_HELD, &held));
		ok(lt_kv_count(txn, LT_T_QUARANTINE, &quarantined));
		lt_kv_abort(txn);
		lt_kv_close(kv);
		assert_int_equal(held, quarantined);
		assert_true(held >= 20 && held >= before);
		before = held;
	}
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* it goes on writing */
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)close(pipefd[0]);
	(void)close(pipefd[1]);
	place_fini(&p);
}

/* ---- damage ---- */

static void
flip(const char *file, off_t at, uint8_t mask)
{
	int fd = open(file, O_RDWR);
	uint8_t b;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &b, 1, at), 1);
	b ^= mask;
	assert_int_equal(pwrite(fd, &b, 1, at), 1);
	assert_int_equal(close(fd), 0);
}

static void
never_in_place(const struct place *p)
{
	assert_false(there(p->to, "identity"));
	assert_false(there(p->to, "store"));
	assert_false(there(p->to, "restoring"));
}

/* One bit anywhere: refused, by verify and by restore, and nothing is in place. */
static void
test_flips(void **state)
{
	static const char *const names[] = { "manifest", "heads", "identity", "lienthong.conf",
		"data.mdb" };
	struct lt_backup_error e;
	struct lt_backup_info info;
	unsigned n = 0, k = 0;
	struct place p;
	size_t i;

	(void)state;
	place_init(&p, false);
	made(&p);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stat st;
		char file[200];
		off_t at, step;

		(void)snprintf(file, sizeof(file), "%s/%s", p.path, names[i]);
		assert_int_equal(stat(file, &st), 0);
		/* Every bit of the manifest, a few hundred of the others. */
		step = i == 0 ? 1 : st.st_size / 40 + 1;
		for (at = 0; at < st.st_size; at += step) {
			unsigned bit, from = i == 0 ? 0 : (unsigned)at % 8,
				      to = i == 0 ? 8 : from + 1;

			for (bit = from; bit < to; bit++) {
				flip(file, at, (uint8_t)(1u << bit));
				if (i == 0)
					assert_int_not_equal(
					    lt_backup_read(p.path, &info, &e), LT_OK);
				else
					assert_int_not_equal(verify(&p, &e), LT_OK);
				assert_true(e.why == LT_BACKUP_DAMAGED ||
					    e.why == LT_BACKUP_UNSIGNED ||
					    e.why == LT_BACKUP_NEWER);
				if (k++ % 97 == 0) {
					assert_int_not_equal(restore(&p, &e), LT_OK);
					never_in_place(&p);
				}
				flip(file, at, (uint8_t)(1u << bit));
				n++;
			}
		}
	}
	assert_true(n > 3000);
	ok(verify(&p, &e));
	ok(restore(&p, &e));
	place_fini(&p);
}

static void
test_cut(void **state)
{
	struct lt_backup_error e;
	struct lt_backup_info info;
	struct place p;
	struct stat st;
	char file[200];
	off_t n;

	(void)state;
	place_init(&p, false);
	made(&p);
	(void)snprintf(file, sizeof(file), "%s/manifest", p.path);
	assert_int_equal(stat(file, &st), 0);
	for (n = st.st_size - 1; n >= 0; n--) {
		assert_int_equal(truncate(file, n), 0);
		assert_int_not_equal(lt_backup_read(p.path, &info, &e), LT_OK);
	}
	assert_int_equal(unlink(file), 0);
	assert_int_equal(verify(&p, &e), LT_E_NOTFOUND);
	assert_int_equal(e.why, LT_BACKUP_NO_BACKUP);
	assert_int_equal(restore(&p, &e), LT_E_NOTFOUND);
	never_in_place(&p);
	place_fini(&p);
}

static void
test_missing_file(void **state)
{
	struct lt_backup_error e;
	struct place p;
	char file[200], other[200];

	(void)state;
	place_init(&p, false);
	made(&p);
	(void)snprintf(file, sizeof(file), "%s/data.mdb", p.path);
	(void)snprintf(other, sizeof(other), "%s/elsewhere", p.root);
	assert_int_equal(rename(file, other), 0);
	assert_int_not_equal(verify(&p, &e), LT_OK);
	assert_int_equal(e.why, LT_BACKUP_DAMAGED);
	/* A link is not followed, even to the right content. */
	assert_int_equal(symlink(other, file), 0);
	assert_int_not_equal(verify(&p, &e), LT_OK);
	assert_int_not_equal(restore(&p, &e), LT_OK);
	never_in_place(&p);
	place_fini(&p);
}

/* A damaged store is not backed up, and nothing is left of the attempt. */
static void
test_damaged_source(void **state)
{
	struct lt_backup_error e;
	struct place p;
	char file[200], left[128];
	struct stat st;
	off_t at;
	unsigned refused = 0;

	(void)state;
	place_init(&p, false);
	(void)snprintf(file, sizeof(file), "%s/store/data.mdb", p.dir);
	assert_int_equal(stat(file, &st), 0);
	for (at = 16384; at < st.st_size; at += 2053) {
		(void)snprintf(p.path, sizeof(p.path), "%s/of%ld", p.root, (long)at);
		(void)snprintf(left, sizeof(left), "%s.unfinished", p.path);
		flip(file, at, 0x10);
		if (make(&p, &e) != LT_OK) {
			assert_int_equal(e.why, LT_BACKUP_SOURCE);
			assert_int_not_equal(access(p.path, F_OK), 0);
			assert_int_not_equal(access(left, F_OK), 0);
			refused++;
		} else { /* it fell where nothing is */
			ok(verify(&p, &e));
		}
		flip(file, at, 0x10);
	}
	assert_true(refused > 5);
	place_fini(&p);
}

/* ---- refusals ---- */

static void
test_refused(void **state)
{
	struct lt_backup_error e;
	struct lt_err err = { "" };
	struct lt_fed fed;
	struct lt_restore_options o;
	struct lt_backup_info info;
	struct place p, other;
	char file[200];
	int lock;

	(void)state;
	place_init(&p, false);
	place_init(&other, false);
	made(&p);
	/* Something is there already. */
	assert_int_equal(make(&p, &e), LT_E_EXISTS);
	assert_int_equal(e.why, LT_BACKUP_TARGET);
	ok(verify(&p, &e));
	/* Not where a backup broke off, but somebody's folder. */
	(void)snprintf(other.path, sizeof(other.path), "%s/copy", other.root);
	(void)snprintf(file, sizeof(file), "%s/copy.unfinished", other.root);
	ok(lt_dir_make(file, 0700, &err));
	(void)snprintf(file, sizeof(file), "%s/copy.unfinished/photo", other.root);
	ok(lt_file_write(file, lt_slice_str("x"), 0600, true, &err));
	assert_int_equal(make(&other, &e), LT_E_EXISTS);
	assert_true(access(file, F_OK) == 0);
	/* Keys of another machine, and another federation. */
	assert_int_equal(restore_as(&p, other.id, &e), LT_E_DENIED);
	assert_int_equal(e.why, LT_BACKUP_FOREIGN);
	memset(fed.b, 9, sizeof(fed.b));
	o = (struct lt_restore_options){
		.path = p.path, .dir = p.to, .federation = &fed, .now_ms = NOW
	};
	assert_int_equal(lt_restore(&o, &info, &e), LT_E_DENIED);
	assert_int_equal(e.why, LT_BACKUP_FOREIGN);
	never_in_place(&p);
	/* A folder that is in use, and one with something in it. */
	ok(lt_dir_lock(p.to, &lock, &err));
	assert_int_equal(restore(&p, &e), LT_E_BUSY);
	assert_int_equal(e.why, LT_BACKUP_IN_USE);
	(void)close(lock);
	(void)snprintf(file, sizeof(file), "%s/notes", p.to);
	ok(lt_file_write(file, lt_slice_str("x"), 0600, true, &err));
	assert_int_equal(restore(&p, &e), LT_E_EXISTS);
	assert_int_equal(e.why, LT_BACKUP_NOT_EMPTY);
	assert_int_equal(unlink(file), 0);
	/* A store without the sign of a restore beside it is somebody's. */
	(void)snprintf(file, sizeof(file), "%s/store", p.to);
	ok(lt_dir_make(file, 0700, &err));
	assert_int_equal(restore(&p, &e), LT_E_EXISTS);
	assert_int_equal(rmdir(file), 0);
	ok(restore(&p, &e));
	/* Done twice over itself: refused. */
	assert_int_equal(restore(&p, &e), LT_E_EXISTS);
	check_restored(&p);
	place_fini(&p);
	place_fini(&other);
}

/* A hub's keys are not in its backup. */
static void
test_no_keys(void **state)
{
	struct lt_backup_error e;
	struct place p;

	(void)state;
	place_init(&p, true);
	made(&p);
	assert_int_equal(restore_as(&p, NULL, &e), LT_E_NOTFOUND);
	assert_int_equal(e.why, LT_BACKUP_NO_KEYS);
	never_in_place(&p);
	place_fini(&p);
}

static void
test_full_disk(void **state)
{
	struct lt_backup_error e;
	struct place p;
	rlim_t at;
	unsigned failed = 0;

	(void)state;
	place_init(&p, false);
	for (at = 0; at < 600000; at += 12289) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			struct rlimit l = { at, at };
			int rc;

			(void)signal(SIGXFSZ, SIG_IGN);
			(void)setrlimit(RLIMIT_FSIZE, &l);
			rc = make(&p, &e);
			_exit(rc == LT_OK ? 0 : e.why == LT_BACKUP_MEDIUM ? 7 : 9);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7);
		assert_false(there(p.root, "copy.unfinished"));
		if (WEXITSTATUS(status) == 0) {
			ok(verify(&p, &e));
			break;
		}
		assert_false(there(p.root, "copy"));
		failed++;
	}
	assert_true(failed >= 3 && there(p.root, "copy"));
	for (at = 0, failed = 0; at < 600000; at += 12289) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			struct rlimit l = { at, at };
			int rc;

			(void)signal(SIGXFSZ, SIG_IGN);
			(void)setrlimit(RLIMIT_FSIZE, &l);
			rc = restore(&p, &e);
			_exit(rc == LT_OK ? 0 : e.why == LT_BACKUP_MEDIUM ? 7 : 9);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7);
		if (WEXITSTATUS(status) == 0)
			break;
		never_in_place(&p);
		failed++;
	}
	assert_true(failed >= 3);
	check_restored(&p);
	place_fini(&p);
}

/* ---- kill -9 ---- */

/* This program again, as the one that is killed: ROOT PATH TO make|restore. */
static int
be_killed(char **argv)
{
	struct lt_backup_error e;
	struct lt_err err;
	struct place p = { 0 };

	(void)snprintf(p.dir, sizeof(p.dir), "%s/data", argv[2]);
	(void)snprintf(p.path, sizeof(p.path), "%s", argv[3]);
	(void)snprintf(p.to, sizeof(p.to), "%s", argv[4]);
	if (lt_identity_load(p.dir, &p.id, &err) != LT_OK)
		return 2;
	p.hub = p.id->role == LTPB__ROLE__ROLE_HUB;
	return strcmp(argv[5], "make") == 0 ? make(&p, &e) != LT_OK : restore(&p, &e) != LT_OK;
}

static bool
killed_at(const struct place *p, const char *point, const char *what)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)setenv("LIENTHONG_FAILPOINT", point, 1);
		(void)execl("/proc/self/exe", "test_store_backup", "--killed", p->root, p->path,
		    p->to, what, (char *)NULL);
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void
test_killed_backup(void **state)
{
	static const char *const points[] = { "backup.copied", "backup.before_manifest",
		"backup.before_rename", "backup.after_rename" };
	struct lt_backup_error e;
	struct place p;
	size_t i;

	(void)state;
	place_init(&p, false);
	for (i = 0; i < 4; i++) {
		char cmd[160];

		assert_true(killed_at(&p, points[i], "make"));
		assert_int_equal(there(p.root, "copy"), i == 3);
		if (i < 3)
			made(&p); /* over what is left */
		ok(verify(&p, &e));
		assert_false(there(p.root, "copy.unfinished"));
		(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", p.path);
		assert_int_equal(system(cmd), 0);
	}
	place_fini(&p);
}

/* What the next start does not mind. */
static void
rm_staging(const struct place *p)
{
	char cmd[160];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s/restoring'", p->to);
	assert_int_equal(system(cmd), 0);
}

static void
test_killed_restore(void **state)
{
	static const char *const points[] = { "restore.copied", "restore.marked",
		"restore.before_identity", "restore.after_identity" };
	struct lt_backup_error e;
	struct place p;
	size_t i;
	int hub;

	(void)state;
	for (hub = 0; hub < 2; hub++) {
		place_init(&p, hub == 1);
		made(&p);
		for (i = 0; i < 4; i++) {
			(void)snprintf(p.to, sizeof(p.to), "%s/new%zu", p.root, i);
			assert_true(killed_at(&p, points[i], "restore"));
			assert_int_equal(there(p.to, "identity"), i == 3);
			if (i < 3)
				ok(restore(&p, &e));
			else
				rm_staging(&p);
			check_restored(&p);
		}
		place_fini(&p);
	}
}

/* ---- the hub's keys ---- */

static void
test_escrow(void **state)
{
	struct lt_identity *id = NULL;
	struct lt_err err = { "" };
	struct lt_fed fed;
	struct lt_buf sealed, again, words;
	struct place p;
	uint8_t seed[32];
	size_t i;

	(void)state;
	place_init(&p, true);
	lt_buf_init(&sealed, LT_ESCROW_BYTES_MAX);
	lt_buf_init(&again, LT_ESCROW_BYTES_MAX);
	lt_buf_init(&words, 4096);
	ok(lt_escrow_seal(p.id, NOW, &sealed));
	ok(lt_escrow_seal(p.id, NOW, &again));
	assert_memory_not_equal(sealed.data, again.data, sealed.len);
	memset(seed, 3, sizeof(seed));
	lt_root_words(&words, seed);
	lt_buf_u8(&words, 0);
	ok(lt_escrow_federation(lt_buf_slice(&sealed), &fed, &err));
	assert_memory_equal(fed.b, p.id->federation.b, LT_FED_LEN);
	ok(lt_escrow_open(lt_buf_slice(&sealed), (const char *)words.data, &id, &err));
	assert_memory_equal(id->sign.sk, p.id->sign.sk, sizeof(id->sign.sk));
	assert_memory_equal(id->line_sk, p.id->line_sk, 32);
	assert_memory_equal(id->principal.b, p.id->principal.b, LT_ID_LEN);
	assert_true(lt_slice_eq(id->certificate, p.id->certificate));
	assert_int_equal(id->key_no, p.id->key_no);
	lt_identity_free(id);
	/* A word that is none, a word that is another (the check word), one too few. */
	words.data[0] = 'w';
	assert_int_equal(lt_escrow_open(lt_buf_slice(&sealed), (const char *)words.data, &id, &err),
	    LT_E_INVALID);
	words.data[0] = words.data[0] == 'w' ? 'd' : 'c';
	assert_int_equal(lt_escrow_open(lt_buf_slice(&sealed), (const char *)words.data, &id, &err),
	    LT_E_INVALID);
	assert_int_equal(
	    lt_escrow_open(lt_buf_slice(&sealed), "ba ba ba", &id, &err), LT_E_INVALID);
	/* The words of another federation's root. */
	memset(seed, 5, sizeof(seed));
	words.len = 0;
	lt_root_words(&words, seed);
	lt_buf_u8(&words, 0);
	assert_int_equal(lt_escrow_open(lt_buf_slice(&sealed), (const char *)words.data, &id, &err),
	    LT_E_DENIED);
	memset(seed, 3, sizeof(seed));
	words.len = 0;
	lt_root_words(&words, seed);
	lt_buf_u8(&words, 0);
	/* Any byte of it that is another: never other keys. */
	for (i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= 0x21;
		if (lt_escrow_open(lt_buf_slice(&sealed), (const char *)words.data, &id, &err) ==
		    LT_OK) {
			assert_memory_equal(id->sign.sk, p.id->sign.sk, sizeof(id->sign.sk));
			lt_identity_free(id);
		}
		sealed.data[i] ^= 0x21;
		assert_int_not_equal(
		    lt_escrow_open(lt_slice(sealed.data, i), (const char *)words.data, &id, &err),
		    LT_OK);
	}
	/* A node has no keys that anybody could use in its place; a certificate of other keys is none. */
	p.id->role = LTPB__ROLE__ROLE_NODE;
	assert_int_equal(lt_escrow_seal(p.id, NOW, &again), LT_E_INVALID);
	p.id->role = LTPB__ROLE__ROLE_HUB;
	memset(seed, 8, sizeof(seed));
	lt_sign_key_from_seed(seed, &p.id->sign);
	again.len = 0;
	ok(lt_escrow_seal(p.id, NOW, &again));
	assert_int_equal(lt_escrow_open(lt_buf_slice(&again), (const char *)words.data, &id, &err),
	    LT_E_INVALID);
	lt_buf_fini(&sealed);
	lt_buf_fini(&again);
	lt_buf_fini(&words);
	place_fini(&p);
}

/* New keys while the store is copied: the backup would hold those that nothing more may be signed with. */
static void
test_new_keys_meanwhile(void **state)
{
	struct lt_identity *next = lt_identity_new();
	struct lt_backup_error e;
	struct lt_err err = { "" };
	struct place p;

	(void)state;
	assert_non_null(next);
	place_init(&p, false);
	*next = *p.id;
	next->certificate = lt_slice(NULL, 0);
	next->key_no++;
	lt_identity_keys(next);
	ok(lt_identity_write_next(next, p.dir, &err));
	made(&p); /* they are not in force yet */
	(void)snprintf(p.path, sizeof(p.path), "%s/copy2", p.root);
	ok(lt_identity_follow(next, p.dir, &err));
	assert_int_equal(make(&p, &e), LT_E_BUSY);
	assert_int_equal(e.why, LT_BACKUP_OTHER);
	assert_false(there(p.root, "copy2"));
	assert_false(there(p.root, "copy2.unfinished"));
	lt_identity_free(p.id);
	p.id = next;
	made(&p);
	place_fini(&p);
}

/* What is cleared away is what we made, not what a link leads to. */
static void
test_link_in_the_way(void **state)
{
	char link[160], folder[160], file[200];
	struct lt_backup_error e;
	struct lt_err err = { "" };
	struct place p;

	(void)state;
	place_init(&p, false);
	(void)snprintf(folder, sizeof(folder), "%s/elsewhere", p.root);
	(void)snprintf(file, sizeof(file), "%s/heads", folder);
	(void)snprintf(link, sizeof(link), "%s.unfinished", p.path);
	ok(lt_dir_make(folder, 0700, &err));
	ok(lt_file_write(file, lt_slice_str("x"), 0600, true, &err));
	assert_int_equal(symlink(folder, link), 0);
	assert_int_not_equal(make(&p, &e), LT_OK);
	assert_int_equal(access(file, F_OK), 0);
	assert_int_not_equal(access(p.path, F_OK), 0);
	assert_int_equal(unlink(link), 0);
	made(&p);
	place_fini(&p);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_hot),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_damaged_source),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_new_keys_meanwhile),
		cmocka_unit_test(test_link_in_the_way),
		cmocka_unit_test(test_no_keys),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_killed_backup),
		cmocka_unit_test(test_killed_restore),
		cmocka_unit_test(test_escrow),
	};

	if (sodium_init() < 0)
		return 2;
	if (argc == 6 && strcmp(argv[1], "--killed") == 0)
		return be_killed(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
