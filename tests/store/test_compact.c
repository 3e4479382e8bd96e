/* A store written anew: what counts is there, no byte of what does not, and a kill at any point leaves one or the other. */
#include "proto/store/compact.h"
#include "proto/base/file.h"
#include "proto/store/kv_test.h"
#include "proto/store/registry.h"
#include "proto/store/scrubber.h"
#include "proto/store/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STAYS "day-la-gia-tri-con-lai"
#define GONE "gia-tri-da-xoa-roi"
#define ROWS 3000

static const struct lt_fed fed = { { 7 } };

/* What the disk says it has left; 0: the truth. The linker's names: what it makes of a call, and what was called. */
static uint64_t disk_free;
int real_fstatvfs(int fd, struct statvfs *out) __asm__("__real_fstatvfs");
int wrap_fstatvfs(int fd, struct statvfs *out) __asm__("__wrap_fstatvfs");

int
wrap_fstatvfs(int fd, struct statvfs *out)
{
	int rc = real_fstatvfs(fd, out);

	if (rc == 0 && disk_free != 0)
		out->f_bavail = (fsblkcnt_t)(disk_free / out->f_frsize);
	return rc;
}

static void
ok(int rc)
{
	assert_int_equal(rc, LT_OK);
}

static struct lt_kv *
open_store(const char *dir)
{
	struct lt_err err = { "" };
	struct lt_kv *kv;

	if (lt_tables_open(dir, "store", LT_KV_NODE, &fed, 0, &kv, &err) != LT_OK)
		fail_msg("%s", err.text);
	return kv;
}

/* Long, so that pages are many and their bounds are whole keys. */
static struct lt_slice
key_of(unsigned i, char out[400])
{
	int n = snprintf(
	    out, 400, "thing%cfield%c%06u-%s-%0300u", 0, 0, i, i % 2 == 0 ? GONE : STAYS, i);

	return lt_slice(out, (size_t)n);
}

/* Every second row goes again. */
static void
fill(const char *dir)
{
	struct lt_kv *kv = open_store(dir);
	struct lt_kv_txn *txn;
	char key[400];
	unsigned i;

	ok(lt_kv_begin_write(kv, &txn));
	for (i = 0; i < ROWS; i++) {
		struct lt_slice k = key_of(i, key);

		ok(lt_kv_put(txn, LT_T_INDEX, k, lt_slice(NULL, 0)));
		ok(lt_kv_put(txn, LT_T_LOCAL, k, k));
	}
	ok(lt_kv_commit(txn));
	ok(lt_kv_begin_write(kv, &txn));
	for (i = 0; i < ROWS; i += 2) {
		struct lt_slice k = key_of(i, key);

		ok(lt_kv_del(txn, LT_T_INDEX, k));
		ok(lt_kv_put(txn, LT_T_LOCAL, k, lt_slice_str("short")));
	}
	ok(lt_kv_commit(txn));
	lt_kv_close(kv);
}

#define PIECE ((size_t)16384)

static size_t
count_in_file(const char *path, const char *text)
{
	struct lt_buf b;
	struct lt_err err = { "" };
	const uint8_t *p;
	size_t n = 0, len = strlen(text), at, piece;

	lt_buf_init(&b, (size_t)64 << 20);
	if (lt_file_read(path, (size_t)64 << 20, &b, &err) != LT_OK)
		fail_msg("%s", err.text);
	/* In pieces that overlap: the thread sanitizer looks at all of the bytes given, for each that is found. */
	for (at = 0; at + len <= b.len; at += PIECE) {
		piece = b.len - at < PIECE + len - 1 ? b.len - at : PIECE + len - 1;
		for (p = b.data + at;
		     (p = memmem(p, piece - (size_t)(p - (b.data + at)), text, len)) != NULL; p++)
			n++;
	}
	lt_buf_fini(&b);
	return n;
}

static void
is_whole(const char *dir)
{
	struct lt_kv *kv = open_store(dir);
	struct lt_kv_txn *txn;
	struct lt_slice v;
	char key[400];
	uint64_t n;
	unsigned i;

	ok(lt_kv_begin_read(kv, &txn));
	ok(lt_kv_count(txn, LT_T_INDEX, &n));
	assert_int_equal(n, ROWS / 2);
	ok(lt_kv_count(txn, LT_T_LOCAL, &n));
	assert_int_equal(n, ROWS);
	for (i = 0; i < ROWS; i++) {
		struct lt_slice k = key_of(i, key);

		assert_int_equal(
		    lt_kv_get(txn, LT_T_INDEX, k, &v), i % 2 == 0 ? LT_E_NOTFOUND : LT_OK);
		ok(lt_kv_get(txn, LT_T_LOCAL, k, &v));
		assert_true(lt_slice_eq(v, i % 2 == 0 ? lt_slice_str("short") : k));
	}
	lt_kv_abort(txn);
	lt_kv_close(kv);
}

struct place {
	char dir[64], data[128];
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/lt-compact-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->data, sizeof(p->data), "%s/store/data.mdb", p->dir);
	fill(p->dir);
	disk_free = 0;
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", p->dir);
	assert_int_equal(system(cmd), 0);
	free(p);
	return 0;
}

static int
compact(const struct place *p, struct lt_compact_report *r)
{
	struct lt_err err = { "" };
	int rc = lt_store_compact(p->dir, "store", LT_KV_NODE, &fed, r, &err);

	if (rc != LT_OK)
		print_message("%s\n%s\n", err.text, lt_err_vi(&err));
	/* Whoever compacts is at a commune, or runs a hub. */
	assert_true(rc == LT_OK || lt_err_vi(&err)[0] != '\0');
	return rc;
}

static bool
there(const struct place *p, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/store/%s", p->dir, name);
	return access(path, F_OK) == 0;
}

/* All that counts, and the file is as it was to everybody. */
static void
nothing_but_what_counts(void **state)
{
	struct place *p = *state;
	struct lt_compact_report r;
	struct lt_kv *kv = open_store(p->dir);
	uint8_t was[16];
	struct stat st;

	memcpy(was, lt_kv_incarnation(kv), sizeof(was));
	lt_kv_close(kv);
	assert_true(count_in_file(p->data, "thing") > ROWS);
	assert_int_equal(chmod(p->data, 0640), 0);
	ok(compact(p, &r));
	assert_int_equal(r.bad, 0);
	assert_true(r.after < r.before);
	assert_false(there(p, "before.mdb"));
	assert_false(there(p, "compacting"));
	assert_int_equal(stat(p->data, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	is_whole(p->dir);
	kv = open_store(p->dir);
	assert_memory_equal(lt_kv_incarnation(kv), was, sizeof(was));
	lt_kv_close(kv);
	ok(compact(p, &r));
	is_whole(p->dir);
}

/* The bounds between pages of the index are keys that are there. */
static void
no_bound_is_left(void **state)
{
	struct place *p = *state;
	struct lt_compact_report r;
	struct lt_kv *kv = open_store(p->dir);
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_write(kv, &txn));
	ok(lt_kv_clear(txn, LT_T_LOCAL));
	ok(lt_kv_commit(txn));
	lt_kv_close(kv);
	assert_true(count_in_file(p->data, GONE) != 0);
	ok(compact(p, &r));
	assert_int_equal(count_in_file(p->data, GONE), 0);
	assert_true(count_in_file(p->data, STAYS) >= ROWS / 2);
}

static void
put_rows(struct lt_kv *kv, struct lt_slice value)
{
	struct lt_kv_txn *txn;
	char key[16];
	unsigned i;

	ok(lt_kv_begin_write(kv, &txn));
	for (i = 0; i < 40; i++) {
		(void)snprintf(key, sizeof(key), "row %u", i);
		ok(lt_kv_put(txn, LT_T_LOCAL, lt_slice_str(key), value));
	}
	ok(lt_kv_commit(txn));
}

/* What LMDB made a large value's page of had something else in it before. */
static void
nothing_behind_a_value(void **state)
{
	struct place *p = *state;
	struct lt_compact_report r;
	struct lt_kv *kv = open_store(p->dir);
	struct lt_kv_txn *txn;
	struct lt_slice v;
	char text[3600];
	unsigned i;

	ok(lt_kv_begin_write(kv, &txn));
	ok(lt_kv_clear(txn, LT_T_LOCAL));
	ok(lt_kv_clear(txn, LT_T_INDEX));
	ok(lt_kv_commit(txn));
	for (i = 0; i + 20 < sizeof(text); i += 18)
		memcpy(text + i, GONE, 18);
	/* The pages of one transaction's values are those of the next one's. */
	put_rows(kv, lt_slice(text, sizeof(text) - 40));
	memset(text, 's', sizeof(text));
	put_rows(kv, lt_slice(text, 2300));
	lt_kv_close(kv);
	ok(compact(p, &r));
	assert_int_equal(r.bad, 0);
	assert_int_equal(count_in_file(p->data, GONE), 0);
	kv = open_store(p->dir);
	ok(lt_kv_begin_read(kv, &txn));
	ok(lt_kv_get(txn, LT_T_LOCAL, lt_slice_str("row 7"), &v));
	assert_true(lt_slice_eq(v, lt_slice(text, 2300)));
	lt_kv_abort(txn);
	lt_kv_close(kv);
}

/* Who has it open, to write or to read, is not pulled the file away from under. */
static void
somebody_has_it_open(void **state)
{
	struct place *p = *state;
	struct lt_compact_report r;
	int to[2], from[2], status;
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct lt_kv_options o = { .kind = LT_KV_NODE,
			.federation = fed.b,
			.tables = lt_table_names,
			.read_only = true };
		struct lt_err err = { "" };
		struct lt_kv *kv;
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/store", p->dir);
		o.path = path;
		byte = lt_kv_open_lmdb(&o, &kv, &err) == LT_OK ? 'y' : 'n';
		if (write(from[1], &byte, 1) != 1 || read(to[0], &byte, 1) != 1)
			_exit(2);
		_exit(0);
	}
	assert_int_equal(read(from[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(compact(p, &r), LT_E_BUSY);
	assert_int_equal(write(to[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(to[0]);
	(void)close(to[1]);
	(void)close(from[0]);
	(void)close(from[1]);
	is_whole(p->dir);
	ok(compact(p, &r));
}

static void
killed_at(const struct place *p, const char *what, const char *point)
{
	char *argv[] = { (char *)"test_compact", (char *)(uintptr_t)what, (char *)p->dir, NULL };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setenv("LIENTHONG_FAILPOINT", point, 1);
		(void)execv("/proc/self/exe", argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Killed, it is whole, and the next one ends what was begun: no file of before is left anywhere. */
static void
killed(void **state)
{
	static const char *const points[] = { "compact.copied", "compact.linked",
		"compact.in_place" };
	struct place *p = *state;
	struct lt_compact_report r;
	size_t i;

	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		killed_at(p, "compact", points[i]);
		is_whole(p->dir);
		assert_true(there(p, "before.mdb") || there(p, "compacting"));
		ok(compact(p, &r));
		assert_false(there(p, "before.mdb"));
		assert_false(there(p, "compacting"));
		is_whole(p->dir);
	}
}

/* What is damaged is copied as it is, and counted; where there is no store nothing is made. */
static void
damaged_and_missing(void **state)
{
	struct place *p = *state, none = { .dir = "/tmp/lt-compact-none" };
	struct lt_compact_report r;
	struct lt_kv *kv = open_store(p->dir);
	struct lt_kv_txn *txn;
	struct lt_slice v;
	char key[400];

	ok(lt_kv_test_flip(kv, LT_T_LOCAL, key_of(1, key), 3, NULL));
	lt_kv_close(kv);
	ok(compact(p, &r));
	assert_int_equal(r.bad, 1);
	kv = open_store(p->dir);
	ok(lt_kv_begin_read(kv, &txn));
	assert_int_equal(lt_kv_get(txn, LT_T_LOCAL, key_of(1, key), &v), LT_E_CORRUPT);
	ok(lt_kv_get(txn, LT_T_LOCAL, key_of(3, key), &v));
	lt_kv_abort(txn);
	lt_kv_close(kv);
	assert_int_equal(compact(&none, &r), LT_E_NOTFOUND);
	assert_int_not_equal(access(none.dir, F_OK), 0);
}

/* Derived tables go whole, with what was set aside; without any there is nothing to do. */
static void
derived_tables(void **state)
{
	struct place *p = *state;
	struct lt_err err = { "" };
	char path[128];
	uint64_t bytes;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/store/damaged-1.mdb", p->dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "old", 3), 3);
	(void)close(fd);
	ok(lt_store_drop_derived(p->dir, "store", &bytes, &err));
	assert_true(bytes > 4096);
	assert_false(there(p, "data.mdb"));
	assert_false(there(p, "damaged-1.mdb"));
	assert_false(there(p, "made"));
	lt_kv_close(open_store(p->dir)); /* begun anew */
	ok(lt_store_drop_derived(p->dir, "none", &bytes, &err));
	assert_int_equal(bytes, 0);
}

/* Killed when the derived tables are half gone: a start takes what is there, and the next call ends it. */
static void
derived_tables_killed(void **state)
{
	struct place *p = *state;
	struct lt_err err = { "" };
	uint64_t bytes;

	killed_at(p, "derived", "compact.derived");
	assert_false(there(p, "data.mdb"));
	assert_true(there(p, "before.mdb"));
	lt_kv_close(open_store(p->dir));
	ok(lt_store_drop_derived(p->dir, "store", &bytes, &err));
	assert_false(there(p, "before.mdb"));
	assert_false(there(p, "data.mdb"));
}

/* ---- by itself ---- */

/* Something was erased; nothing of it is in another table. */
static void
owe(const struct place *p)
{
	struct lt_kv *kv = open_store(p->dir);
	struct lt_kv_txn *txn;
	char key[400];
	unsigned i;

	ok(lt_kv_begin_write(kv, &txn));
	for (i = 0; i < ROWS; i++)
		ok(lt_kv_del(txn, LT_T_LOCAL, key_of(i, key)));
	ok(lt_compact_owe(txn));
	ok(lt_kv_commit(txn));
	lt_kv_close(kv);
}

static void
owe_again(const struct place *p)
{
	struct lt_kv *kv = open_store(p->dir);
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_write(kv, &txn));
	ok(lt_compact_owe(txn));
	ok(lt_kv_commit(txn));
	lt_kv_close(kv);
}

static bool
is_owed(const struct place *p)
{
	struct lt_kv *kv = open_store(p->dir);
	bool yes = lt_compact_is_owed(kv);

	lt_kv_close(kv);
	return yes;
}

static enum lt_compact_due
due(const struct place *p)
{
	struct lt_kv *kv = open_store(p->dir);
	enum lt_compact_due d = lt_compact_due(kv);

	lt_kv_close(kv);
	return d;
}

/* What a daemon does as it opens its store. */
static void
start(const char *dir, const char *derived)
{
	struct lt_kv *kv = open_store(dir);
	enum lt_compact_due d = lt_compact_due(kv);

	lt_kv_close(kv);
	lt_compact_owed(d, dir, "store", derived, LT_KV_NODE, &fed);
}

static void
index_is_whole(const struct place *p)
{
	struct lt_kv *kv = open_store(p->dir);
	struct lt_kv_txn *txn;
	uint64_t n;

	ok(lt_kv_begin_read(kv, &txn));
	ok(lt_kv_count(txn, LT_T_INDEX, &n));
	assert_int_equal(n, ROWS / 2);
	lt_kv_abort(txn);
	lt_kv_close(kv);
	assert_false(there(p, "before.mdb"));
	assert_false(there(p, "compacting"));
}

static void
what_is_owed(void **state)
{
	struct place *p = *state;

	assert_false(is_owed(p));
	owe(p);
	assert_true(is_owed(p));
	assert_true(count_in_file(p->data, GONE) != 0);
	start(p->dir, NULL);
	assert_false(is_owed(p));
	assert_int_equal(count_in_file(p->data, GONE), 0);
	index_is_whole(p);
}

/* Killed at any point, it is owed as long as it is not done. */
static void
what_is_owed_killed(void **state)
{
	static const char *const points[] = { "compact.copied", "compact.linked",
		"compact.in_place", "compact.settle" };
	struct place *p = *state;
	size_t i;

	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		if (i == 0)
			owe(p);
		else
			owe_again(p);
		killed_at(p, "owed", points[i]);
		assert_true(is_owed(p));
		start(p->dir, NULL);
		assert_false(is_owed(p));
		assert_int_equal(count_in_file(p->data, GONE), 0);
		index_is_whole(p);
	}
}

static void
scrubbed(const struct place *p)
{
	struct lt_kv *kv = open_store(p->dir);
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_write(kv, &txn));
	ok(lt_compact_scrubbed(txn));
	ok(lt_kv_commit(txn));
	lt_kv_close(kv);
}

static void
flip(const struct place *p, unsigned table, struct lt_slice key)
{
	struct lt_kv *kv = open_store(p->dir);

	ok(lt_kv_test_flip(kv, table, key, 3, NULL));
	lt_kv_close(kv);
}

/* Nothing is touched where something is damaged, and it stays owed until that is repaired. No start makes a copy for that, until a scrub has
 * found nothing. */
static void
owed_and_damaged(void **state)
{
	struct place *p = *state;
	char key[400];

	owe(p);
	flip(p, LT_T_INDEX, key_of(1, key));
	assert_int_equal(due(p), LT_COMPACT_ALL);
	start(p->dir, NULL);
	assert_true(is_owed(p));
	assert_true(count_in_file(p->data, GONE) != 0);
	assert_false(there(p, "before.mdb"));
	assert_false(there(p, "compacting"));
	assert_int_equal(due(p), LT_COMPACT_NOTHING);
	owe_again(p);
	assert_int_equal(due(p), LT_COMPACT_NOTHING);
	scrubbed(p);
	assert_int_equal(due(p), LT_COMPACT_ALL);
	start(p->dir, NULL);
	assert_int_equal(due(p), LT_COMPACT_NOTHING);
	assert_true(is_owed(p));
	flip(p, LT_T_INDEX, key_of(1, key)); /* whole again */
	scrubbed(p);
	start(p->dir, NULL);
	assert_false(is_owed(p));
	assert_int_equal(count_in_file(p->data, GONE), 0);
	scrubbed(p);
	assert_false(is_owed(p));
	index_is_whole(p);
}

/* The row itself: nobody can tell that nothing is owed. */
static void
owed_row_damaged(void **state)
{
	struct place *p = *state;

	owe(p);
	flip(p, LT_T_LOCAL, lt_slice_str("uncompacted"));
	assert_true(is_owed(p));
	start(p->dir, NULL);
	assert_true(is_owed(p));
	assert_true(count_in_file(p->data, GONE) != 0);
	scrubbed(p);
	start(p->dir, NULL);
	assert_false(is_owed(p));
	assert_int_equal(count_in_file(p->data, GONE), 0);
}

static int
world(void *ctx, struct lt_scrub_world *out)
{
	struct lt_scrub_world *w = ctx;

	*out = (struct lt_scrub_world){ .catalogue = lt_catalogue_ref(w->catalogue),
		.registry = lt_registry_ref(w->registry) };
	return LT_OK;
}

static void
a_round(struct lt_kv *kv)
{
	const struct timespec pause = { 0, 10000000 };
	const struct lt_id author = { { 1 } };
	struct lt_scrub_world w = { .catalogue = NULL };
	struct lt_scrub_options so = { .log = kv,
		.derived = kv,
		.federation = &fed,
		.author = &author,
		.clock = lt_clock_system(),
		.world = world,
		.ctx = &w };
	struct lt_scrubber_options o = { .scrub = &so, .percent = 100 };
	struct lt_scrub_status *st = calloc(1, sizeof(*st));
	struct lt_err err = { "" };
	struct lt_scrubber *s;
	struct lt_kv_txn *txn;
	unsigned tries;
	bool asked = true;

	assert_non_null(st);
	ok(lt_catalogue_builtin(&w.catalogue));
	ok(lt_kv_begin_read(kv, &txn));
	ok(lt_registry_load(txn, NULL, 0, &w.registry, &err));
	lt_kv_abort(txn);
	ok(lt_writer_start(kv, NULL, &o.writer));
	ok(lt_scrubber_start(&o, &s));
	lt_scrubber_ask(s, true);
	for (tries = 0; asked || st->rounds == 0; tries++) {
		assert_true(tries < 12000);
		(void)nanosleep(&pause, NULL);
		lt_scrubber_status(s, st, &asked);
	}
	lt_scrubber_stop(s);
	lt_writer_stop(o.writer);
	lt_registry_unref(w.registry);
	lt_catalogue_unref(w.catalogue);
	free(st);
}

/* Another daemon's compaction met damage; the scrub of this one finds none any more, or does. */
static void
a_scrub_comes_by(void **state)
{
	static const uint8_t damaged = 2; /* FORMAT.md 9.8 */
	struct place *p = *state;
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct lt_kv *kv;

	ok(lt_tables_open(p->dir, "other", LT_KV_NODE, &fed, 0, &kv, &err));
	ok(lt_kv_begin_write(kv, &txn));
	ok(lt_kv_put(txn, LT_T_LOCAL, lt_slice_str("uncompacted"), lt_slice(&damaged, 1)));
	ok(lt_kv_put(txn, LT_T_LOCAL, lt_slice_str("row"), lt_slice(&damaged, 1)));
	ok(lt_kv_commit(txn));
	ok(lt_kv_test_flip(kv, LT_T_LOCAL, lt_slice_str("row"), 0, NULL));
	a_round(kv);
	assert_int_equal(lt_compact_due(kv), LT_COMPACT_NOTHING);
	ok(lt_kv_test_flip(kv, LT_T_LOCAL, lt_slice_str("row"), 0, NULL));
	a_round(kv);
	assert_int_equal(lt_compact_due(kv), LT_COMPACT_ALL);
	lt_kv_close(kv);
}

static void
make_file(const struct place *p, const char *name, off_t size)
{
	char path[160];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/derived/%s", p->dir, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	(void)close(fd);
}

static bool
has_derived(const struct place *p, const char *name)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/derived/%s", p->dir, name);
	return access(path, F_OK) == 0;
}

/* A hub's log is done; its tables, with those set aside, are larger than it has time to build, and are left, without doing the log once more. */
static void
derived_too_large(void **state)
{
	struct place *p = *state;
	const off_t most = (off_t)LT_COMPACT_START_MAX;
	struct stat was, is;
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/derived", p->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	make_file(p, "data.mdb", 4096);
	make_file(p, "damaged-1.mdb", most - 4095);
	owe(p);
	start(p->dir, "derived");
	assert_true(is_owed(p));
	assert_int_equal(due(p), LT_COMPACT_DERIVED);
	assert_int_equal(count_in_file(p->data, GONE), 0);
	assert_true(has_derived(p, "data.mdb"));
	assert_int_equal(stat(p->data, &was), 0);
	start(p->dir, "derived");
	assert_int_equal(due(p), LT_COMPACT_DERIVED);
	assert_int_equal(stat(p->data, &is), 0);
	assert_true(is.st_ino == was.st_ino);
	owe_again(p); /* of the log, too */
	assert_int_equal(due(p), LT_COMPACT_ALL);
	start(p->dir, "derived");
	assert_int_equal(due(p), LT_COMPACT_DERIVED);
	make_file(p, "damaged-1.mdb", 4096);
	start(p->dir, "derived");
	assert_false(is_owed(p));
	assert_false(has_derived(p, "data.mdb"));
	assert_false(has_derived(p, "damaged-1.mdb"));
	index_is_whole(p);
}

/* As much as a start has time for goes. */
static void
derived_as_large_as_may_be(void **state)
{
	struct place *p = *state;
	char path[160], to[160];

	(void)snprintf(path, sizeof(path), "%s/derived", p->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	make_file(p, "data.mdb", (off_t)LT_COMPACT_START_MAX);
	/* So that it is not overwritten: nobody waits for that here. */
	(void)snprintf(to, sizeof(to), "%s/derived/in-use", p->dir);
	(void)snprintf(path, sizeof(path), "%s/derived/data.mdb", p->dir);
	assert_int_equal(link(path, to), 0);
	owe(p);
	start(p->dir, "derived");
	assert_false(is_owed(p));
	assert_false(has_derived(p, "data.mdb"));
}

/* The index stands twice in the old file before there is a copy, and that file never shrinks: it is not touched where the disk has no room for
 * both. */
static void
no_room_for_the_index(void **state)
{
	struct place *p = *state;
	struct lt_compact_report r;
	struct stat was, is;
	uint64_t index = (uint64_t)ROWS / 2 * 350; /* its keys alone have more: see key_of() */

	assert_int_equal(stat(p->data, &was), 0);
	disk_free = (uint64_t)was.st_size + ((uint64_t)16 << 20) + index;
	assert_int_equal(compact(p, &r), LT_E_NOSPACE);
	assert_int_equal(stat(p->data, &is), 0);
	assert_true(is.st_size == was.st_size);
	is_whole(p->dir);
	disk_free = (uint64_t)was.st_size + ((uint64_t)16 << 20) + 2 * index;
	ok(compact(p, &r));
	disk_free = (uint64_t)r.after + ((uint64_t)16 << 20) - 4096;
	assert_int_equal(compact(p, &r), LT_E_NOSPACE);
	disk_free = 0;
	is_whole(p->dir);
}

/* Nor where it is larger than a start has time for, or there is no room for the copy. */
static void
owed_and_not_done(void **state)
{
	struct place *p = *state;
	struct stat st;
	int status;
	pid_t pid;

	owe(p);
	assert_int_equal(stat(p->data, &st), 0);
	assert_int_equal(truncate(p->data, (off_t)LT_COMPACT_START_MAX + 1), 0);
	start(p->dir, NULL);
	assert_int_equal(truncate(p->data, st.st_size), 0);
	assert_true(is_owed(p));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit little = { 200 * 1024, 200 * 1024 };

		(void)signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &little) != 0)
			_exit(1);
		start(p->dir, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(is_owed(p));
	index_is_whole(p);
	start(p->dir, NULL);
	assert_false(is_owed(p));
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_owed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_owed_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(owed_and_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(owed_row_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(a_scrub_comes_by, setup, teardown),
		cmocka_unit_test_setup_teardown(owed_and_not_done, setup, teardown),
		cmocka_unit_test_setup_teardown(derived_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(derived_as_large_as_may_be, setup, teardown),
		cmocka_unit_test_setup_teardown(no_room_for_the_index, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_but_what_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(no_bound_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_behind_a_value, setup, teardown),
		cmocka_unit_test_setup_teardown(somebody_has_it_open, setup, teardown),
		cmocka_unit_test_setup_teardown(killed, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_and_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(derived_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(derived_tables_killed, setup, teardown),
	};

	if (argc == 3 && strcmp(argv[1], "derived") == 0) {
		struct lt_err err = { "" };
		uint64_t bytes;

		return lt_store_drop_derived(argv[2], "store", &bytes, &err) == LT_OK ? 0 : 1;
	}

	if (argc == 3 && strcmp(argv[1], "owed") == 0) {
		start(argv[2], NULL);
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "compact") == 0) {
		struct lt_compact_report r;
		struct lt_err err = { "" };

		return lt_store_compact(argv[2], "store", LT_KV_NODE, &fed, &r, &err) == LT_OK ? 0
											       : 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
