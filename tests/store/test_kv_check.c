/* The look at a store's file before it is opened, and the note beside it. What damage of every kind leads to is tests/damage's. */
#include "proto/base/log.h"
#include "proto/store/kv_check.h"
#include "proto/store/kv_test.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ok(expr) assert_int_equal(expr, LT_OK)
#define PAGE 4096

static const char *const tables[] = { "alpha", "beta", NULL };
static const uint8_t federation[32] = { 7 };

struct fix {
	char dir[64], data[96], guard[96];
	struct lt_kv_table table[3];
	enum lt_kv_kind kind;
	struct lt_kv *kv;
};

static struct lt_kv_options
options(const struct fix *f)
{
	return (struct lt_kv_options){
		.path = f->dir, .kind = f->kind, .federation = federation, .tables = tables
	};
}

static int
try_open(struct fix *f, bool read_only, struct lt_err *err)
{
	struct lt_kv_options o = options(f);

	o.read_only = read_only;
	return lt_kv_open_lmdb(&o, &f->kv, err);
}

static void
open_it(struct fix *f)
{
	struct lt_err err = { "" };

	if (try_open(f, false, &err) != LT_OK)
		fail_msg("%s", err.text);
}

static void
close_it(struct fix *f)
{
	lt_kv_close(f->kv);
	f->kv = NULL;
}

/* n entries of 100 bytes in alpha, and a large one in beta. */
static void
fill(struct fix *f, unsigned n)
{
	static uint8_t v[9000];
	struct lt_kv_txn *t;
	char key[16];
	unsigned i;

	ok(lt_kv_begin_write(f->kv, &t));
	for (i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "k%06u", i);
		ok(lt_kv_put(t, 0, lt_slice_str(key), lt_slice(v, 100)));
	}
	ok(lt_kv_put(t, 1, lt_slice_str("large"), lt_slice(v, sizeof(v))));
	ok(lt_kv_commit(t));
}

static void
fix_make(void **state, enum lt_kv_kind kind)
{
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/lt_kv_check.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->data, sizeof(f->data), "%s/data.mdb", f->dir);
	(void)snprintf(f->guard, sizeof(f->guard), "%s/guard", f->dir);
	lt_kv_table_init(&f->table[0], "alpha");
	lt_kv_table_init(&f->table[1], "beta");
	lt_kv_table_init(&f->table[2], "meta");
	f->kind = kind;
	open_it(f);
	fill(f, 400);
	close_it(f);
	*state = f;
}

static int
setup(void **state)
{
	fix_make(state, LT_KV_TEST);
	return 0;
}

static int
setup_derived(void **state)
{
	fix_make(state, LT_KV_HUB_DERIVED);
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[128];

	lt_kv_close(f->kv);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

/* Change bytes of the file in place. */
static void
poke(const char *path, off_t at, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static void
peek(const char *path, off_t at, void *bytes, size_t len)
{
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, len, at), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

/* A look at the closed store with this note. */
static struct lt_kv_check
look(struct fix *f, const struct lt_kv_guard *g, uint64_t now_s, uint64_t always, unsigned seconds)
{
	struct lt_kv_check c = { .file = "data.mdb",
		.table = f->table,
		.ntable = 3,
		.now_s = now_s,
		.always = always,
		.samples = 4,
		.seconds = seconds };

	c.dir = open(f->dir, O_RDONLY | O_DIRECTORY);
	assert_true(c.dir >= 0);
	lt_kv_check(&c, g);
	assert_int_equal(close(c.dir), 0);
	return c;
}

static bool
guard_of(const struct fix *f, struct lt_kv_guard *g)
{
	int dir = open(f->dir, O_RDONLY | O_DIRECTORY);
	bool is = lt_kv_guard_read(dir, g);

	assert_int_equal(close(dir), 0);
	return is;
}

/* ---- tests ---- */

/* What LMDB itself says of the store is what the walk counts. */
static void
a_whole_store_is_walked_whole(void **state)
{
	struct fix *f = *state;
	struct lt_kv_check c = look(f, NULL, 1000, 0, 0);

	assert_int_equal(c.look, LT_KV_LOOK_WHOLE);
	assert_true(c.full);
	assert_int_equal(c.report.bad, 0);
	assert_int_equal(c.report.table[0].entries, 400);
	assert_int_equal(c.report.table[1].entries, 1);
	assert_int_equal(c.report.table[2].entries, 3); /* format, federation, incarnation */
	assert_true(c.report.table[0].sums == c.report.table[0].right);
	assert_true(c.report.pages * PAGE <= (uint64_t)size_of(f->data));
	assert_true(c.report.read >= 400 * 100 / PAGE);
}

/* Every case: is the whole file read? A large file is meant, so `always` is 0. */
static void
when_all_of_it_is_read(void **state)
{
	struct fix *f = *state;
	const uint64_t day = 24 * 3600, now = 2000000000;
	struct lt_kv_guard g, x;

	assert_true(guard_of(f, &g));
	assert_true(g.clean);
	g.full_s = now - 6 * day;
	g.opens = 6;
	assert_false(look(f, &g, now, 0, 0).full);
	assert_int_equal(look(f, &g, now, 0, 0).look, LT_KV_LOOK_WHOLE);
	assert_true(look(f, &g, now, (uint64_t)size_of(f->data), 0).full); /* small */
	assert_false(look(f, &g, now, (uint64_t)size_of(f->data) - 1, 0).full);
	assert_true(look(f, NULL, now, 0, 0).full);
	x = g;
	x.clean = false;
	assert_true(look(f, &x, now, 0, 0).full);
	x = g;
	x.full_s = now - 7 * day;
	assert_true(look(f, &x, now, 0, 0).full);
	x.full_s = now - 7 * day + 1;
	assert_false(look(f, &x, now, 0, 0).full);
	x.full_s = now + 1; /* the clock went back */
	assert_true(look(f, &x, now, 0, 0).full);
	x = g;
	x.opens = 7;
	assert_true(look(f, &x, now, 0, 0).full);
	x = g;
	x.txnid--; /* written to by somebody who leaves no note, or the note got lost in a power cut */
	assert_true(look(f, &x, now, 0, 0).full);
	assert_int_equal(look(f, &x, now, 0, 0).look, LT_KV_LOOK_WHOLE);
	x.clean = false;
	assert_int_equal(look(f, &x, now, 0, 0).look, LT_KV_LOOK_WHOLE);
}

/* A file of before the last commit is found by the note, also after the program died. */
static void
an_older_file_is_found(void **state)
{
	struct fix *f = *state;
	struct lt_kv_check c;
	struct lt_kv_guard g;

	assert_true(guard_of(f, &g));
	g.txnid++;
	c = look(f, &g, 1000, 0, 0);
	assert_int_equal(c.look, LT_KV_LOOK_DAMAGED);
	assert_int_equal(c.report.fault, LT_PAGES_OLDER);
	g.clean = false;
	assert_int_equal(look(f, &g, 1000, 0, 0).report.fault, LT_PAGES_OLDER);
	g.txnid--;
	g.meta ^= 1; /* the same commit, and another root */
	assert_int_equal(look(f, &g, 1000, 0, 0).report.fault, LT_PAGES_META);
}

static void
the_note_says_what_happened(void **state)
{
	struct fix *f = *state;
	struct lt_kv_guard g, before;
	uint64_t now = (uint64_t)time(NULL);
	uint8_t byte = 0xff;

	assert_true(guard_of(f, &before));
	assert_true(before.clean);
	assert_in_range(before.full_s, now - 100, now);
	open_it(f);
	assert_true(guard_of(f, &g));
	assert_false(g.clean); /* before anything was written */
	assert_int_equal(g.txnid, before.txnid);
	fill(f, 3);
	assert_true(guard_of(f, &g));
	assert_false(g.clean);
	assert_int_equal(g.txnid, before.txnid + 1);
	close_it(f);
	assert_true(guard_of(f, &g));
	assert_true(g.clean);
	assert_int_equal(g.txnid, before.txnid + 1);
	assert_int_equal(look(f, &g, now, 0, 0).look, LT_KV_LOOK_WHOLE);
	poke(f->guard, 20, &byte, 1); /* damaged: as if there were none */
	assert_false(guard_of(f, &g));
	open_it(f);
	close_it(f);
	assert_true(guard_of(f, &g));
	assert_int_equal(truncate(f->guard, 10), 0);
	assert_false(guard_of(f, &g));
	open_it(f);
}

/* Byte for byte (FORMAT.md 9.1); the sums by an implementation of SipHash of its own. */
static void
the_notes_bytes(void **state)
{
	static const char hex[] =
	    "4c54475541524431010000000000000001020304050607081112131415161718"
	    "000000007735940000000000000000063b8535cea81c69c0554c4b0a21a0a156";
	struct fix *f = *state;
	struct lt_kv_guard g = { true, 0x0102030405060708, 0x1112131415161718, 2000000000, 6, 0 },
			   r;
	uint8_t page[PAGE], want[64], have[65];
	size_t i;
	int fd;

	for (i = 0; i < sizeof(page); i++)
		page[i] = (uint8_t)(i * 7 + i / 256);
	g.names = lt_pages_names(page);
	assert_true(g.names == 0x3b8535cea81c69c0);
	ok(lt_unhex(want, sizeof(want), hex));
	fd = open(f->guard, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(lt_kv_guard_write(fd, &g, true), 0);
	assert_int_equal(pread(fd, have, sizeof(have), 0), sizeof(want));
	assert_memory_equal(have, want, sizeof(want));
	assert_true(guard_of(f, &r));
	assert_true(r.clean && r.txnid == g.txnid && r.meta == g.meta && r.full_s == g.full_s &&
		    r.opens == g.opens && r.names == g.names);
	g.clean = false; /* of an open store the page is not noted */
	assert_int_equal(lt_kv_guard_write(fd, &g, true), 0);
	assert_true(guard_of(f, &r));
	assert_int_equal(r.names, 0);
	assert_int_equal(close(fd), 0);
}

/* The page with the tables' names as it was one commit before: every tree that it names is whole. A look that is not full finds it by the
 * note alone. */
static void
an_older_page_of_names_is_found(void **state)
{
	struct fix *f = *state;
	uint8_t old[PAGE], new[PAGE], meta[2][PAGE];
	struct lt_kv_guard g;
	uint64_t at[2];
	int fd = open(f->data, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, meta, sizeof(meta), 0), sizeof(meta));
	at[0] = lt_pages_names_at(meta[0], meta[1]);
	assert_int_equal(pread(fd, old, PAGE, (off_t)(at[0] * PAGE)), PAGE);
	open_it(f);
	fill(f, 410);
	close_it(f);
	assert_int_equal(pread(fd, meta, sizeof(meta), 0), sizeof(meta));
	at[1] = lt_pages_names_at(meta[0], meta[1]);
	assert_true(at[1] != 0 && at[1] != at[0]);
	assert_int_equal(pread(fd, new, PAGE, (off_t)(at[1] * PAGE)), PAGE);
	assert_int_equal(close(fd), 0);
	assert_true(guard_of(f, &g));
	assert_true(g.clean && g.names == lt_pages_names(new));
	assert_int_equal(look(f, &g, 1000, 0, 0).look, LT_KV_LOOK_WHOLE);
	memcpy(old, &at[1], sizeof(at[1])); /* a page says its own number */
	poke(f->data, (off_t)(at[1] * PAGE), old, PAGE);
	assert_int_equal(look(f, &g, 1000, 0, 0).report.fault, LT_PAGES_NAMES);
	assert_int_equal(look(f, &g, 1000, 0, 0).look, LT_KV_LOOK_DAMAGED);
	poke(f->data, (off_t)(at[1] * PAGE), new, PAGE);
	g.txnid--; /* written to since */
	g.names ^= 1;
	assert_int_equal(look(f, &g, 1000, 0, 0).look, LT_KV_LOOK_WHOLE);
	g.txnid++;
	assert_int_equal(look(f, &g, 1000, 0, 0).report.fault, LT_PAGES_NAMES);
	g.names = 0; /* of a program that did not note it */
	assert_int_equal(look(f, &g, 1000, 0, 0).look, LT_KV_LOOK_WHOLE);
	poke(f->data, 0, meta[0], PAGE);
}

/* A process that is killed leaves no clean note. */
static void
a_killed_writer_is_no_clean_stop(void **state)
{
	struct fix *f = *state;
	struct lt_kv_guard before, g;
	int p[2], status;
	char one;
	pid_t pid;

	assert_true(guard_of(f, &before));
	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		open_it(f);
		fill(f, 5);
		_exit(write(p[1], "x", 1) == 1 && pause());
	}
	assert_int_equal(read(p[0], &one, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(close(p[0]) + close(p[1]), 0);
	assert_true(guard_of(f, &g));
	assert_false(g.clean);
	assert_int_equal(g.txnid, before.txnid + 1);
	open_it(f);
}

/* Both pages with the roots are gone: nothing is opened, nothing changed, and a second start says the same. */
static void
truth_is_refused_and_left_alone(void **state)
{
	struct fix *f = *state;
	struct lt_err err = { "" };
	static const uint8_t zero[2 * PAGE];
	off_t size = size_of(f->data);
	int i;

	poke(f->data, 0, zero, sizeof(zero));
	for (i = 0; i < 3; i++) {
		assert_int_equal(try_open(f, i == 1, &err), LT_E_CORRUPT);
		assert_non_null(strstr(err.text, "damaged"));
		assert_non_null(strstr(err.text, "nothing was changed"));
		assert_non_null(strstr(lt_err_vi(&err), "bị hỏng nên không mở"));
		assert_non_null(strstr(lt_err_vi(&err), "ltctl restore"));
		assert_int_equal(size_of(f->data), size);
	}
}

static unsigned
aside(const struct fix *f)
{
	char path[128];
	unsigned n;

	for (n = 0;; n++) {
		(void)snprintf(path, sizeof(path), "%s/damaged-%u.mdb", f->dir, n + 1);
		if (access(path, F_OK) != 0)
			return n;
	}
}

static uint64_t
entries(struct fix *f)
{
	struct lt_kv_txn *t;
	uint64_t n;

	ok(lt_kv_begin_read(f->kv, &t));
	ok(lt_kv_count(t, 0, &n));
	lt_kv_abort(t);
	return n;
}

static void
derived_tables_are_set_aside_and_begun_anew(void **state)
{
	struct fix *f = *state;
	struct lt_err err = { "" };
	uint8_t byte = 0x55;
	struct lt_kv_txn *t;
	unsigned n;

	for (n = 1; n <= 3; n++) {
		off_t size = size_of(f->data);

		poke(f->data, n % 2 == 0 ? 10 : PAGE + 10, &byte, 1);
		/* An inspector changes nothing. */
		assert_int_equal(try_open(f, true, &err), LT_E_CORRUPT);
		assert_int_equal(aside(f), n - 1);
		open_it(f);
		assert_int_equal(aside(f), n);
		assert_int_equal(entries(f), 0);
		fill(f, 200);
		close_it(f);
		assert_true(size > 0);
	}
	/* A value that cannot be read as well: the log has it. */
	open_it(f);
	ok(lt_kv_begin_write(f->kv, &t));
	ok(lt_kv_test_put_raw(t, 0, lt_slice_str("k000001"), lt_slice_str("without a checksum")));
	ok(lt_kv_commit(t));
	close_it(f);
	open_it(f);
	assert_int_equal(aside(f), 4);
	assert_int_equal(entries(f), 0);
}

/* The checksum of version 1, which that of `meta` still is. */
static void
sum_of_version_1(const char *table, MDB_val k, const uint8_t *value, size_t len, uint8_t sum[8])
{
	static const uint8_t tag[16] = "lt1.value";
	struct lt_buf m = { 0 };
	uint8_t place[16];

	lt_buf_framed(&m, lt_slice_str(table));
	lt_buf_framed(&m, lt_slice(k.mv_data, k.mv_size));
	ok(m.err);
	assert_int_equal(crypto_shorthash(place, m.data, m.len, tag), 0);
	memcpy(place + 8, place, 8);
	assert_int_equal(crypto_shorthash(sum, value, len, place), 0);
	lt_buf_fini(&m);
}

/* Every value of the table as version 1 had it. */
static void
to_version_1(MDB_txn *t, const char *table)
{
	static uint8_t value[16384];
	MDB_cursor *c;
	MDB_val k, v;
	MDB_dbi dbi;

	assert_int_equal(mdb_dbi_open(t, table, 0, &dbi), 0);
	assert_int_equal(mdb_cursor_open(t, dbi, &c), 0);
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0) {
		assert_in_range(v.mv_size, 8, sizeof(value));
		memcpy(value, v.mv_data, v.mv_size);
		if (memcmp(value, "LTST", 4) == 0)
			value[5] = 1;
		sum_of_version_1(table, k, value, v.mv_size - 8, value + v.mv_size - 8);
		v.mv_data = value;
		assert_int_equal(mdb_cursor_put(c, &k, &v, MDB_CURRENT), 0);
	}
	mdb_cursor_close(c);
}

/* A store of before, whose values have other checksums, is told from a damaged one, even of tables that could be made anew, and
 * nothing is changed in it. */
static void
a_store_of_version_1_is_refused(void **state)
{
	static const char *const all[] = { "alpha", "beta", "meta" };
	struct fix *f = *state;
	struct lt_err err = { "" };
	struct lt_kv_guard g;
	MDB_env *env;
	MDB_txn *t;
	off_t size;
	uint8_t *before, *after;
	size_t i;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
	assert_int_equal(mdb_env_open(env, f->dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
	for (i = 0; i < 3; i++)
		to_version_1(t, all[i]);
	assert_int_equal(mdb_txn_commit(t), 0);
	mdb_env_close(env);
	size = size_of(f->data);
	before = malloc((size_t)size);
	after = malloc((size_t)size);
	assert_true(before != NULL && after != NULL);
	peek(f->data, 0, before, (size_t)size);
	for (i = 0; i < 4; i++) {
		/* With the note of the program that closed it, and without. */
		if (i == 2)
			assert_int_equal(unlink(f->guard), 0);
		assert_int_equal(try_open(f, i % 2 == 0, &err), LT_E_VERSION);
		if (strstr(err.text, "format version 1") == NULL)
			fail_msg("\"%s\"", err.text);
		assert_int_equal(guard_of(f, &g), i < 2);
	}
	assert_int_equal(aside(f), 0);
	assert_int_equal(size_of(f->data), size);
	peek(f->data, 0, after, (size_t)size);
	assert_memory_equal(before, after, (size_t)size);
	free(before);
	free(after);
}

/* Of what cannot be had again a value that does not verify is answered as such, and the rest goes on. */
static void
one_bad_value_closes_no_store(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_slice v;

	open_it(f);
	assert_int_equal(lt_kv_bad_at_open(f->kv), 0);
	ok(lt_kv_begin_write(f->kv, &t));
	ok(lt_kv_test_put_raw(t, 0, lt_slice_str("k000001"), lt_slice_str("without a checksum")));
	ok(lt_kv_commit(t));
	close_it(f);
	open_it(f);
	assert_int_equal(lt_kv_bad_at_open(f->kv), 1);
	ok(lt_kv_begin_read(f->kv, &t));
	assert_int_equal(lt_kv_get(t, 0, lt_slice_str("k000001"), &v), LT_E_CORRUPT);
	ok(lt_kv_get(t, 0, lt_slice_str("k000002"), &v));
	lt_kv_abort(t);
}

/* A file that cannot be read to its end in time, here a pipe's end that nobody writes to, is not waited for. */
static void
a_file_that_never_ends_is_given_up(void **state)
{
	struct fix *f = *state;
	struct lt_kv_check c;

	assert_int_equal(unlink(f->data), 0);
	assert_int_equal(mkfifo(f->data, 0600), 0);
	c = look(f, NULL, 1000, 0, 1);
	assert_int_equal(c.look, LT_KV_LOOK_TIMEOUT);
}

/* The child of this process that looks. */
static pid_t
child(void)
{
	char path[64], text[32] = "";
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		(void)close(fd);
	return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static void *
ends_it(void *arg)
{
	const int *sig = arg;
	const struct timespec pause = { 0, 5000000 };
	unsigned tries;
	pid_t pid = 0;

	for (tries = 0; pid == 0 && tries < 4000; tries++) {
		(void)nanosleep(&pause, NULL);
		pid = child();
	}
	return pid != 0 && kill(pid, *sig) == 0 ? arg : NULL;
}

/* A child that was ended from outside, as when memory is short, says nothing of the file. */
static void
a_child_that_is_ended_says_nothing(void **state)
{
	static const int sig[] = { SIGKILL, SIGTERM, SIGINT };
	struct fix *f = *state;
	struct lt_kv_check c;
	pthread_t thread;
	char why[128];
	void *did;
	size_t i;

	assert_int_equal(unlink(f->data), 0);
	assert_int_equal(mkfifo(f->data, 0600), 0);
	for (i = 0; i < sizeof(sig) / sizeof(sig[0]); i++) {
		int s = sig[i];

		assert_int_equal(pthread_create(&thread, NULL, ends_it, &s), 0);
		c = look(f, NULL, 1000, 0, 60);
		assert_int_equal(pthread_join(thread, &did), 0);
		assert_non_null(did);
		assert_int_equal(c.signal, s);
		assert_int_equal(c.look, LT_KV_LOOK_FAILED);
		lt_kv_check_text(&c, why, sizeof(why));
		assert_non_null(strstr(why, "could not be looked at"));
	}
}

#define LARGE ((uint64_t)64 << 30) /* a file of holes */

static bool
at_third(void *ctx)
{
	unsigned *times = ctx;

	return ++*times == 3;
}

/* Whoever waits for the child may say that it is to wait no more: the child has gone then, and of the file nothing is known. Who says nothing
 * learns what there is to know. */
static void
a_look_is_stopped(void **state)
{
	struct fix *f = *state;
	unsigned times = 0;
	struct lt_kv_check c = { .file = "data.mdb",
		.table = f->table,
		.ntable = 3,
		.now_s = 1000,
		.seconds = 60,
		.stop = at_third,
		.stop_ctx = &times };
	char aside[128];
	int status;

	(void)snprintf(aside, sizeof(aside), "%s/aside", f->dir);
	assert_int_equal(rename(f->data, aside), 0);
	assert_int_equal(mkfifo(f->data, 0600), 0);
	c.dir = open(f->dir, O_RDONLY | O_DIRECTORY);
	lt_kv_check(&c, NULL);
	assert_int_equal(times, 3);
	assert_int_equal(c.look, LT_KV_LOOK_FAILED);
	assert_int_equal(c.error, ECANCELED);
	assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(rename(aside, f->data), 0);
	times = 3; /* not before it has counted round */
	lt_kv_check(&c, NULL);
	assert_int_equal(c.look, LT_KV_LOOK_WHOLE);
	assert_int_equal(c.report.table[0].entries, 400);
	assert_int_equal(close(c.dir), 0);
}

/* A daemon that is told to stop while its store is read: the store is not opened, and nothing is done to it. */
static void
an_opening_is_stopped(void **state)
{
	struct fix *f = *state;
	const struct timespec none = { 0, 0 };
	struct lt_err err = { "" };
	const off_t size = size_of(f->data);
	sigset_t set, was;
	struct lt_kv_txn *t;
	struct lt_slice v;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &was), 0);
	assert_int_equal(raise(SIGTERM), 0);
	/* All of it is read, which takes half a minute. */
	lt_kv_test_check_always = UINT64_MAX;
	assert_int_equal(truncate(f->data, (off_t)LARGE), 0);
	assert_int_equal(try_open(f, false, &err), LT_E_CLOSED);
	assert_int_equal(truncate(f->data, size), 0);
	lt_kv_test_check_always = LT_KV_CHECK_ALWAYS;
	assert_int_equal(sigtimedwait(&set, NULL, &none), SIGTERM);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &was, NULL), 0);
	open_it(f);
	ok(lt_kv_begin_read(f->kv, &t));
	ok(lt_kv_get(t, 0, lt_slice_str("k000002"), &v));
	lt_kv_abort(t);
}

/* Which descriptors has the child that looks? The one at fault is a pipe: it ends when the last that holds it has gone. */
static void
the_child_holds_nothing_of_ours(void **state)
{
	struct fix *f = *state;
	int p[2], status, i, lock;
	char one, cmd[160];
	pid_t pid;

	assert_int_equal(unlink(f->data), 0);
	assert_int_equal(
	    mkfifo(f->data, 0600), 0); /* the child waits in here, before it has closed anything */
	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		lock = open(f->dir, O_RDONLY | O_DIRECTORY);
		if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0 || write(p[1], "x", 1) != 1)
			_exit(1);
		(void)look(f, NULL, 1000, 0, 60);
		_exit(0);
	}
	assert_int_equal(close(p[1]), 0);
	assert_int_equal(read(p[0], &one, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* The grandchild dies with its parent: the pipe ends, the lock is free. */
	assert_int_equal(read(p[0], &one, 1), 0);
	lock = open(f->dir, O_RDONLY | O_DIRECTORY);
	for (i = 0; i < 1000 && flock(lock, LOCK_EX | LOCK_NB) != 0; i++)
		(void)usleep(1000);
	assert_int_not_equal(i, 1000);
	assert_int_equal(close(lock) + close(p[0]), 0);
	(void)snprintf(cmd, sizeof(cmd), "rm -f %s", f->data);
	assert_int_equal(system(cmd), 0);
}

/* An empty table, one page, and trees with branch pages, with free pages: each is whole, and each of its pages is something. */
static void
every_page_is_accounted_for(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_kv_check c;
	char key[400];
	unsigned round, i;
	static uint8_t v[30000];

	for (round = 0; round < 60; round++) {
		open_it(f);
		ok(lt_kv_begin_write(f->kv, &t));
		for (i = 0; i < 60; i++) {
			unsigned n = (round * 7919 + i * 104729) % 3000;
			size_t len = 7 + n % 300;

			memset(key, 'x', sizeof(key));
			(void)snprintf(key, 7, "%06u", n);
			key[6] = 'x';
			if (n % 3 == 0)
				(void)lt_kv_del(t, n % 2, lt_slice(key, len));
			else
				ok(lt_kv_put(t, n % 2, lt_slice(key, len),
				    lt_slice(v, n % 17 == 0 ? n * 10 : n % 500)));
		}
		if (round == 40)
			ok(lt_kv_clear(t, 0));
		ok(lt_kv_commit(t));
		close_it(f);
		c = look(f, NULL, 1000, 0, 0);
		if (c.look != LT_KV_LOOK_WHOLE)
			fail_msg("round %u: %s (page %llu)", round,
			    lt_pages_fault_text(c.report.fault),
			    (unsigned long long)c.report.fault_page);
	}
}

/* Found while the store was open: the next start reads all of it, however cleanly this one ends. */
static void
broken_while_open(void **state)
{
	struct fix *f = *state;
	struct lt_err err = { "" };
	struct lt_kv_guard g;
	const uint16_t none = 0;
	off_t at = 2 * PAGE;
	int rc = LT_OK;

	assert_true(guard_of(f, &g));
	assert_true(g.clean);
	open_it(f);
	ok(lt_kv_look_pages(f->kv, NULL, &err));
	for (; rc == LT_OK && at < size_of(f->data); at += PAGE) {
		poke(f->data, at + 10, &none, sizeof(none));
		rc = lt_kv_look_pages(f->kv, NULL, &err);
	}
	assert_int_equal(rc, LT_E_CORRUPT);
	close_it(f);
	assert_true(guard_of(f, &g));
	assert_false(g.clean);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(broken_while_open, setup, teardown),
		cmocka_unit_test_setup_teardown(a_whole_store_is_walked_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(when_all_of_it_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_file_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(the_note_says_what_happened, setup, teardown),
		cmocka_unit_test_setup_teardown(the_notes_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_page_of_names_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(a_killed_writer_is_no_clean_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(truth_is_refused_and_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    derived_tables_are_set_aside_and_begun_anew, setup_derived, teardown),
		cmocka_unit_test_setup_teardown(a_store_of_version_1_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_store_of_version_1_is_refused, setup_derived, teardown),
		cmocka_unit_test_setup_teardown(one_bad_value_closes_no_store, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_file_that_never_ends_is_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_child_that_is_ended_says_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_look_is_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(an_opening_is_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(an_opening_is_stopped, setup_derived, teardown),
		cmocka_unit_test_setup_teardown(the_child_holds_nothing_of_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(every_page_is_accounted_for, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
