/* The contract of proto/store/kv.h, run on both implementations, and what only the one on disk owes:
 * persistence, refusal of what is not its own, damage noticed, kill -9, a full disk. */
#include "proto/store/kv.h"
#include "proto/store/kv_test.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ok(expr) assert_int_equal(expr, LT_OK)

enum { ALPHA, BETA, GAMMA };

static const char *const tables[] = { "alpha", "beta", "gamma", NULL };
static const uint8_t federation[32] = { 1, 2, 3, 0xfe };

struct fix {
	bool disk;
	char dir[64]; /* temporary folder */
	char path[80]; /* the store in it */
	struct lt_kv *kv;
};

static struct lt_kv_options
options(const char *path)
{
	struct lt_kv_options o = { 0 };

	o.path = path;
	o.kind = LT_KV_TEST;
	o.federation = federation;
	o.tables = tables;
	return o;
}

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
run(const char *fmt, ...)
{
	char cmd[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	assert_int_equal(system(cmd), 0);
}

static void
open_disk(struct fix *f)
{
	struct lt_kv_options o = options(f->path);
	struct lt_err err = { "" };
	int rc = lt_kv_open_lmdb(&o, &f->kv, &err);

	if (rc != LT_OK)
		print_error("%s\n", err.text);
	ok(rc);
}

static int
setup_disk(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->disk = true;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/lt_kv.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/store", f->dir);
	open_disk(f);
	*state = f;
	return 0;
}

static int
setup_mem(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct lt_kv_options o = options(NULL);

	assert_non_null(f);
	ok(lt_kv_open_mem(&o, &f->kv, NULL));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_kv_close(f->kv);
	if (f->disk) {
		(void)umount2(f->path, MNT_DETACH); /* of a test that failed half-way */
		run("rm -rf %s", f->dir);
	}
	free(f);
	return 0;
}

static void
reopen(struct fix *f)
{
	lt_kv_close(f->kv);
	f->kv = NULL;
	open_disk(f);
}

static struct lt_slice
str(const char *s)
{
	return lt_slice_str(s);
}

static void
assert_slice(struct lt_slice a, struct lt_slice b)
{
	assert_int_equal(a.len, b.len);
	if (a.len != 0)
		assert_memory_equal(a.data, b.data, a.len);
}

static void
put1(struct lt_kv *kv, unsigned table, const char *k, const char *v)
{
	struct lt_kv_txn *t;

	ok(lt_kv_begin_write(kv, &t));
	ok(lt_kv_put(t, table, str(k), str(v)));
	ok(lt_kv_commit(t));
}

static void
expect1(struct lt_kv *kv, unsigned table, const char *k, const char *v)
{
	struct lt_kv_txn *t;
	struct lt_slice got;

	ok(lt_kv_begin_read(kv, &t));
	if (v == NULL) {
		assert_int_equal(lt_kv_get(t, table, str(k), &got), LT_E_NOTFOUND);
	} else {
		ok(lt_kv_get(t, table, str(k), &got));
		assert_slice(got, str(v));
	}
	lt_kv_abort(t);
}

static void
expect_count(struct lt_kv *kv, unsigned table, uint64_t want)
{
	struct lt_kv_txn *t;
	uint64_t n = 99;

	ok(lt_kv_begin_read(kv, &t));
	ok(lt_kv_count(t, table, &n));
	assert_int_equal(n, want);
	ok(lt_kv_commit(t)); /* ends a read transaction as well */
}

/* ---- contract ---- */

/* Expected: checksum() of tests/vectors/golden_base.py (FORMAT.md 9.2). */
static void
checksum_is_the_formats(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_slice s;
	uint8_t key[511], value[4096];
	char hex[17];
	size_t i;

	for (i = 0; i < sizeof(key); i++)
		key[i] = i == 510 ? 'z' : (i % 2 == 0 ? 0x00 : 0xff);
	for (i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t)i;
	ok(lt_kv_begin_write(f->kv, &t));
	ok(lt_kv_put(t, ALPHA, str("k"), str("")));
	ok(lt_kv_test_get_raw(t, ALPHA, str("k"), &s));
	assert_int_equal(s.len, 8);
	lt_hex(hex, s.data, 8);
	assert_string_equal(hex, "c9dfc15bd7771ce6");
	ok(lt_kv_put(t, ALPHA, str("k"), str("value")));
	ok(lt_kv_test_get_raw(t, ALPHA, str("k"), &s));
	assert_int_equal(s.len, 13);
	lt_hex(hex, s.data + 5, 8);
	assert_string_equal(hex, "5a5c68a0af37c5d6");
	ok(lt_kv_put(t, BETA, lt_slice(key, 511), lt_slice(value, 4096)));
	ok(lt_kv_test_get_raw(t, BETA, lt_slice(key, 511), &s));
	lt_hex(hex, s.data + 4096, 8);
	assert_string_equal(hex, "4c5ec1595ffed1e5");
	lt_kv_abort(t);
}

static void
key_bounds(void **state)
{
	static const struct {
		size_t len;
		int rc;
	} row[] = { { 0, LT_E_INVALID }, { 1, LT_OK }, { 2, LT_OK }, { 510, LT_OK }, { 511, LT_OK },
		{ 512, LT_E_INVALID }, { 4096, LT_E_INVALID } };
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_kv_cursor *c;
	struct lt_slice v, k, key;
	uint8_t bytes[4096];
	size_t i;

	memset(bytes, 0xff, sizeof(bytes));
	ok(lt_kv_begin_write(f->kv, &t));
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		key = lt_slice(bytes, row[i].len);
		assert_int_equal(lt_kv_put(t, ALPHA, key, str("v")), row[i].rc);
		assert_int_equal(lt_kv_append(t, BETA, key, str("v")), row[i].rc);
		assert_int_equal(lt_kv_get(t, ALPHA, key, &v), row[i].rc);
	}
	ok(lt_kv_cursor_open(t, ALPHA, &c));
	ok(lt_kv_seek(c, lt_slice(bytes, 511), &k, &v));
	assert_int_equal(k.len, 511);
	assert_int_equal(lt_kv_seek(c, lt_slice(bytes, 512), &k, &v), LT_E_INVALID);
	assert_int_equal(lt_kv_seek_before(c, lt_slice(bytes, 512), &k, &v), LT_E_INVALID);
	lt_kv_cursor_close(c);
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_int_equal(lt_kv_del(t, ALPHA, lt_slice(bytes, row[i].len)), row[i].rc);
	/* Refusals of keys leave the transaction usable. */
	ok(lt_kv_commit(t));
	expect_count(f->kv, ALPHA, 0);
	expect_count(f->kv, BETA, 4);
}

static void
value_bounds(void **state)
{
	static const size_t len[] = { 0, 1, 1000, 2000, 4096, 100 * 1000, 1024 * 1024,
		LT_KV_VALUE_MAX };
	struct fix *f = *state;
	uint8_t *big = malloc(LT_KV_VALUE_MAX + 1);
	struct lt_kv_txn *t;
	struct lt_slice v;
	char key[8];
	size_t i;

	assert_non_null(big);
	for (i = 0; i <= LT_KV_VALUE_MAX; i++)
		big[i] = (uint8_t)(i * 31 >> 3);
	ok(lt_kv_begin_write(f->kv, &t));
	for (i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		(void)snprintf(key, sizeof(key), "%zu", i);
		ok(lt_kv_put(t, GAMMA, str(key), lt_slice(big, len[i])));
	}
	assert_int_equal(
	    lt_kv_put(t, GAMMA, str("over"), lt_slice(big, LT_KV_VALUE_MAX + 1)), LT_E_TOOBIG);
	ok(lt_kv_commit(t));
	ok(lt_kv_begin_read(f->kv, &t));
	for (i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		(void)snprintf(key, sizeof(key), "%zu", i);
		ok(lt_kv_get(t, GAMMA, str(key), &v));
		assert_slice(v, lt_slice(big, len[i]));
	}
	assert_int_equal(lt_kv_get(t, GAMMA, str("over"), &v), LT_E_NOTFOUND);
	lt_kv_abort(t);
	free(big);
}

static void
append_only_at_the_end(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;

	ok(lt_kv_begin_write(f->kv, &t));
	ok(lt_kv_append(t, ALPHA, str("b"), str("1")));
	assert_int_equal(lt_kv_append(t, ALPHA, str("b"), str("2")), LT_E_EXISTS);
	assert_int_equal(lt_kv_append(t, ALPHA, str("a"), str("2")), LT_E_EXISTS);
	assert_int_equal(lt_kv_append(t, ALPHA, str("azzz"), str("2")), LT_E_EXISTS);
	ok(lt_kv_append(t, ALPHA, str("b\x01"), str("3")));
	ok(lt_kv_put(t, ALPHA, str("a"), str("0")));
	assert_int_equal(lt_kv_append(t, ALPHA, str("b"), str("2")), LT_E_EXISTS);
	ok(lt_kv_del(t, ALPHA, str("b\x01")));
	ok(lt_kv_append(t, ALPHA, str("c"), str("4")));
	ok(lt_kv_commit(t));
	expect1(f->kv, ALPHA, "a", "0");
	expect1(f->kv, ALPHA, "b", "1");
	expect1(f->kv, ALPHA, "b\x01", NULL);
	expect1(f->kv, ALPHA, "c", "4");
	expect_count(f->kv, ALPHA, 3);
}

static bool
zeros(const void *p)
{
	static const uint8_t none[LT_KV_NOTE_BYTES];

	return memcmp(p, none, sizeof(none)) == 0;
}

/* What was found out about a table is forgotten by each kind of write to it, by a note about another one, and with the
 * transaction; reading and writing elsewhere leave it. */
static void
a_note_lasts_until_its_table_is_written_to(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_slice v;
	unsigned i;

	for (i = 0; i < 5; i++) {
		ok(lt_kv_begin_write(f->kv, &t));
		ok(lt_kv_put(t, ALPHA, str("a"), str("1")));
		assert_true(zeros(lt_kv_note(t, ALPHA)));
		memset(lt_kv_note(t, ALPHA), 0xee, LT_KV_NOTE_BYTES);
		ok(lt_kv_get(t, ALPHA, str("a"), &v));
		ok(lt_kv_put(t, BETA, str("a"), str("1")));
		assert_false(zeros(lt_kv_note(t, ALPHA)));
		if (i == 0)
			ok(lt_kv_put(t, ALPHA, str("a"), str("1")));
		if (i == 1)
			ok(lt_kv_append(t, ALPHA, str("b"), str("1")));
		if (i == 2)
			ok(lt_kv_del(t, ALPHA, str("a")));
		if (i == 3)
			ok(lt_kv_clear(t, ALPHA));
		if (i == 4)
			assert_true(zeros(lt_kv_note(t, BETA)));
		assert_true(zeros(lt_kv_note(t, ALPHA)));
		memset(lt_kv_note(t, ALPHA), 0xee, LT_KV_NOTE_BYTES);
		lt_kv_abort(t);
	}
	ok(lt_kv_begin_read(f->kv, &t));
	assert_true(zeros(lt_kv_note(t, ALPHA)));
	lt_kv_abort(t);
}

static void
del_count_clear_abort(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_slice v;
	uint64_t n;
	char key[16];
	int i;

	ok(lt_kv_begin_write(f->kv, &t));
	assert_int_equal(lt_kv_del(t, ALPHA, str("x")), LT_E_NOTFOUND);
	ok(lt_kv_clear(t, ALPHA)); /* an empty table */
	for (i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "k%04d", i);
		ok(lt_kv_append(t, ALPHA, str(key), str(key)));
		ok(lt_kv_put(t, BETA, str(key), str("beta")));
	}
	ok(lt_kv_commit(t));
	expect_count(f->kv, ALPHA, 1000);

	ok(lt_kv_begin_write(f->kv, &t));
	ok(lt_kv_clear(t, ALPHA));
	ok(lt_kv_count(t, ALPHA, &n));
	assert_int_equal(n, 0);
	assert_int_equal(lt_kv_get(t, ALPHA, str("k0001"), &v), LT_E_NOTFOUND);
	ok(lt_kv_put(t, ALPHA, str("new"), str("1")));
	ok(lt_kv_put(t, BETA, str("k0000"), str("changed")));
	lt_kv_abort(t);
	expect_count(f->kv, ALPHA, 1000);
	expect1(f->kv, ALPHA, "new", NULL);
	expect1(f->kv, BETA, "k0000", "beta");

	ok(lt_kv_begin_write(f->kv, &t));
	ok(lt_kv_clear(t, ALPHA));
	ok(lt_kv_put(t, ALPHA, str("new"), str("1")));
	ok(lt_kv_commit(t));
	expect_count(f->kv, ALPHA, 1);
	expect_count(f->kv, BETA, 1000);
	lt_kv_abort(NULL);
	lt_kv_cursor_close(NULL);
}

static void
cursor_edges(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_kv_cursor *c, *d;
	struct lt_slice k, v;

	ok(lt_kv_begin_write(f->kv, &t));
	ok(lt_kv_cursor_open(t, ALPHA, &c));
	assert_int_equal(lt_kv_next(c, &k, &v), LT_E_NOTFOUND); /* never placed */
	assert_int_equal(lt_kv_prev(c, &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_seek(c, str(""), &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_seek(c, str("a"), &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_seek_before(c, str(""), &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_seek_before(c, str("a"), &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_next(c, &k, &v), LT_E_NOTFOUND);
	lt_kv_cursor_close(c);
	ok(lt_kv_put(t, ALPHA, str("b"), str("1")));
	ok(lt_kv_put(t, ALPHA, str("bb"), str("2")));
	ok(lt_kv_put(t, ALPHA, str("d"), str("3")));
	ok(lt_kv_commit(t));

	ok(lt_kv_begin_read(f->kv, &t));
	ok(lt_kv_cursor_open(t, ALPHA, &c));
	ok(lt_kv_cursor_open(t, ALPHA, &d)); /* two at once keep apart */
	ok(lt_kv_seek(d, str("d"), &k, &v));
	ok(lt_kv_seek(c, str(""), &k, &v));
	assert_slice(k, str("b"));
	assert_slice(v, str("1"));
	assert_int_equal(lt_kv_prev(c, &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_next(c, &k, &v), LT_E_NOTFOUND); /* until a new seek */
	ok(lt_kv_seek(c, str("ba"), &k, &v));
	assert_slice(k, str("bb"));
	ok(lt_kv_next(c, &k, &v));
	assert_slice(k, str("d"));
	assert_int_equal(lt_kv_next(c, &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_next(c, &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_prev(c, &k, &v), LT_E_NOTFOUND);
	ok(lt_kv_seek(c, str("d"), &k, &v));
	assert_int_equal(lt_kv_seek(c, str("d\x01"), &k, &v), LT_E_NOTFOUND);
	ok(lt_kv_seek_before(c, str(""), &k, &v));
	assert_slice(k, str("d"));
	ok(lt_kv_prev(c, &k, &v));
	assert_slice(k, str("bb"));
	assert_slice(v, str("2"));
	ok(lt_kv_next(c, &k, &v));
	assert_slice(k, str("d"));
	ok(lt_kv_seek_before(c, str("d"), &k, &v)); /* strictly below */
	assert_slice(k, str("bb"));
	ok(lt_kv_seek_before(c, str("zzz"), &k, &v));
	assert_slice(k, str("d"));
	assert_int_equal(lt_kv_next(c, &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_seek_before(c, str("b"), &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_prev(c, &k, &v), LT_E_NOTFOUND);
	ok(lt_kv_prev(d, &k, &v));
	assert_slice(k, str("bb"));
	lt_kv_cursor_close(d);
	lt_kv_cursor_close(c);
	lt_kv_abort(t);
}

/* A loop that deletes what its cursor stands on must seek again; going on without is refused, not
 * answered with an entry skipped. A write to another table does not matter. */
static void
cursor_stale_after_write(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	uint8_t copy[8];
	int n = 0;

	put1(f->kv, ALPHA, "a", "1");
	put1(f->kv, ALPHA, "b", "2");
	put1(f->kv, ALPHA, "c", "3");
	ok(lt_kv_begin_write(f->kv, &t));
	ok(lt_kv_cursor_open(t, ALPHA, &c));
	ok(lt_kv_seek(c, str(""), &k, &v));
	ok(lt_kv_put(t, BETA, str("a"), str("1")));
	ok(lt_kv_next(c, &k, &v));
	ok(lt_kv_put(t, ALPHA, str("zz"), str("4")));
	assert_int_equal(lt_kv_next(c, &k, &v), LT_E_USAGE);
	assert_int_equal(lt_kv_prev(c, &k, &v), LT_E_USAGE);
	while (lt_kv_seek(c, str(""), &k, &v) == LT_OK) {
		memcpy(copy, k.data, k.len);
		ok(lt_kv_del(t, ALPHA, lt_slice(copy, k.len)));
		n++;
	}
	assert_int_equal(n, 4);
	lt_kv_cursor_close(c);
	ok(lt_kv_commit(t));
	expect_count(f->kv, ALPHA, 0);
}

/* Key and value straight from a get or a cursor, into the same table: the put moves the very page they
 * lie in. */
static void
put_of_what_was_just_read(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	char key[16], want[300];
	int i;

	ok(lt_kv_begin_write(f->kv, &t));
	for (i = 0; i < 500; i++) {
		(void)snprintf(key, sizeof(key), "k%03d", i);
		memset(want, 'a' + i % 26, sizeof(want));
		ok(lt_kv_put(t, ALPHA, str(key), lt_slice(want, sizeof(want))));
	}
	ok(lt_kv_commit(t));
	ok(lt_kv_begin_write(f->kv, &t));
	ok(lt_kv_cursor_open(t, ALPHA, &c));
	for (i = 0; i < 500; i++) {
		(void)snprintf(key, sizeof(key), "k%03d", i);
		ok(lt_kv_seek(c, str(key), &k, &v));
		ok(lt_kv_put(t, ALPHA, str("a copy"), v));
		ok(lt_kv_seek(c, str(key), &k, &v));
		ok(lt_kv_put(t, ALPHA, k, lt_slice(v.data, v.len / 2)));
		ok(lt_kv_seek(c, str(key), &k, &v));
		ok(lt_kv_put(t, BETA, k, v));
	}
	lt_kv_cursor_close(c);
	for (i = 0; i < 500; i++) {
		(void)snprintf(key, sizeof(key), "k%03d", i);
		memset(want, 'a' + i % 26, sizeof(want));
		ok(lt_kv_get(t, ALPHA, str(key), &v));
		assert_slice(v, lt_slice(want, sizeof(want) / 2));
		ok(lt_kv_get(t, BETA, str(key), &v));
		assert_slice(v, lt_slice(want, sizeof(want) / 2));
		ok(lt_kv_get(t, ALPHA, str(key), &v));
		ok(lt_kv_put(t, GAMMA, v, v));
		ok(lt_kv_test_get_raw(t, ALPHA, str(key), &v));
	}
	ok(lt_kv_get(t, ALPHA, str("a copy"), &v));
	memset(want, 'a' + 499 % 26, sizeof(want));
	assert_slice(v, lt_slice(want, sizeof(want)));
	ok(lt_kv_commit(t));
}

static void
snapshots_stay(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *r1, *r2, *w;
	struct lt_slice v;

	put1(f->kv, ALPHA, "a", "1");
	ok(lt_kv_begin_read(f->kv, &r1));
	ok(lt_kv_begin_write(f->kv, &w));
	ok(lt_kv_put(w, ALPHA, str("a"), str("2")));
	ok(lt_kv_put(w, ALPHA, str("b"), str("2")));
	ok(lt_kv_get(r1, ALPHA, str("a"), &v)); /* nothing seen before the commit */
	assert_slice(v, str("1"));
	ok(lt_kv_get(w, ALPHA, str("a"), &v)); /* a writer sees its own */
	assert_slice(v, str("2"));
	ok(lt_kv_commit(w));
	ok(lt_kv_begin_read(f->kv, &r2));
	ok(lt_kv_get(r1, ALPHA, str("a"), &v));
	assert_slice(v, str("1"));
	assert_int_equal(lt_kv_get(r1, ALPHA, str("b"), &v), LT_E_NOTFOUND);
	ok(lt_kv_get(r2, ALPHA, str("a"), &v));
	assert_slice(v, str("2"));
	lt_kv_abort(r1);
	ok(lt_kv_begin_write(f->kv, &w));
	ok(lt_kv_clear(w, ALPHA));
	ok(lt_kv_commit(w));
	ok(lt_kv_get(r2, ALPHA, str("b"), &v));
	assert_slice(v, str("2"));
	lt_kv_abort(r2);
	expect_count(f->kv, ALPHA, 0);
}

struct fault_plan {
	uint64_t at;
	int code;
	uint64_t calls;
};

static int
fault_at(void *ctx, uint64_t ordinal)
{
	struct fault_plan *p = ctx;

	p->calls++;
	assert_int_equal(ordinal, p->calls);
	return ordinal == p->at ? p->code : LT_OK;
}

/* Seven calls: begin, put, append, put, del, clear, commit. */
static int
sample_transaction(struct lt_kv *kv)
{
	struct lt_kv_txn *t;
	int rc;

	rc = lt_kv_begin_write(kv, &t);
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_put(t, ALPHA, str("new"), str("1"));
	if (rc == LT_OK)
		rc = lt_kv_append(t, ALPHA, str("zz"), str("1"));
	if (rc == LT_OK)
		rc = lt_kv_put(t, ALPHA, str("old"), str("2"));
	if (rc == LT_OK)
		rc = lt_kv_del(t, ALPHA, str("gone"));
	if (rc == LT_OK)
		rc = lt_kv_clear(t, BETA);
	if (rc != LT_OK) {
		/* Even a caller that forgot to look cannot commit half. */
		assert_int_equal(lt_kv_commit(t), rc);
		return rc;
	}
	return lt_kv_commit(t);
}

static void
fault_sweep(void **state)
{
	struct fix *f = *state;
	struct fault_plan p = { 0 };
	int rc;

	put1(f->kv, ALPHA, "old", "1");
	put1(f->kv, ALPHA, "gone", "1");
	put1(f->kv, BETA, "b", "1");
	for (p.at = 1;; p.at++) {
		p.calls = 0;
		p.code = p.at % 2 == 0 ? LT_E_NOSPACE : LT_E_IO;
		lt_kv_set_fault(f->kv, fault_at, &p);
		rc = sample_transaction(f->kv);
		lt_kv_set_fault(f->kv, NULL, NULL);
		if (rc == LT_OK)
			break;
		assert_int_equal(rc, p.code);
		expect1(f->kv, ALPHA, "old", "1");
		expect1(f->kv, ALPHA, "gone", "1");
		expect1(f->kv, ALPHA, "new", NULL);
		expect1(f->kv, BETA, "b", "1");
		expect_count(f->kv, ALPHA, 2);
	}
	assert_int_equal(p.at, 8);
	assert_int_equal(p.calls, 7);
	expect1(f->kv, ALPHA, "old", "2");
	expect1(f->kv, ALPHA, "gone", NULL);
	expect_count(f->kv, ALPHA, 3);
	expect_count(f->kv, BETA, 0);
}

/* ---- random model ---- */

#define NKEYS 700
#define NSNAPS 4
#define NOPS 120000

struct rng {
	uint64_t s;
};

static uint64_t
rnd(struct rng *r)
{
	r->s ^= r->s << 13;
	r->s ^= r->s >> 7;
	r->s ^= r->s << 17;
	return r->s;
}

static size_t
rnd_below(struct rng *r, size_t n)
{
	return (size_t)((rnd(r) >> 11) % n);
}

struct model_key {
	uint8_t b[LT_KV_KEY_MAX];
	size_t len;
};

/* version[i] of key i, 0: absent. The value follows from both. */
struct model {
	uint32_t version[2][NKEYS];
};

struct world {
	struct lt_kv *kv;
	struct rng rng;
	struct model_key key[NKEYS]; /* sorted */
	struct model now, work, snap[NSNAPS];
	struct lt_kv_txn *reader[NSNAPS], *writer;
	uint32_t next_version;
	uint8_t *buf;
	unsigned long ops, seeks, found;
};

#define MODEL_VALUE_MAX 40000

static int
key_order(const void *a, const void *b)
{
	const struct model_key *x = a, *y = b;

	return lt_slice_cmp(lt_slice(x->b, x->len), lt_slice(y->b, y->len));
}

/* Few distinct bytes and shared beginnings, so that keys are prefixes of one another and neighbours. */
static void
make_keys(struct world *w)
{
	size_t n = 0, i, j;

	while (n < NKEYS) {
		struct model_key *k = &w->key[n];
		static const size_t lens[] = { 1, 2, 3, 4, 8, 16, 100, 255, 510, 511 };

		k->len = lens[rnd_below(&w->rng, 10)];
		for (i = 0; i < k->len; i++)
			k->b[i] = (uint8_t[]){ 0, 1, 0x7f, 0x80, 0xff }[rnd_below(&w->rng, 5)];
		if (k->len > 100 && n > 0)
			memcpy(k->b, w->key[0].b, w->key[0].len < 90 ? w->key[0].len : 90);
		for (j = 0; j < n && key_order(&w->key[j], k) != 0; j++)
			;
		if (j == n)
			n++;
	}
	qsort(w->key, NKEYS, sizeof(w->key[0]), key_order);
}

static struct lt_slice
key_of(const struct world *w, size_t i)
{
	return lt_slice(w->key[i].b, w->key[i].len);
}

static struct lt_slice
value_of(struct world *w, size_t i, uint32_t version)
{
	struct rng r = { (uint64_t)version * UINT64_C(0x9e3779b97f4a7c15) + i + 1 };
	size_t len, j, kind;

	for (j = 0; j < 8; j++)
		(void)rnd(&r);
	kind = rnd_below(&r, 100);
	len = kind < 80   ? rnd_below(&r, 120)
	      : kind < 98 ? rnd_below(&r, 3000)
			  : rnd_below(&r, MODEL_VALUE_MAX);
	for (j = 0; j < len; j++)
		w->buf[j] = (uint8_t)(rnd(&r) >> 24);
	return lt_slice(w->buf, len);
}

static const uint32_t *
versions(const struct model *m, unsigned table)
{
	return m->version[table];
}

static void
check_entry(
    struct world *w, const uint32_t *ver, long i, int rc, struct lt_slice k, struct lt_slice v)
{
	if (i < 0 || i >= NKEYS) {
		assert_int_equal(rc, LT_E_NOTFOUND);
		return;
	}
	ok(rc);
	assert_slice(k, key_of(w, (size_t)i));
	assert_slice(v, value_of(w, (size_t)i, ver[i]));
	w->found++;
}

static long
up(const uint32_t *ver, long i)
{
	while (i < NKEYS && ver[i] == 0)
		i++;
	return i;
}

static long
down(const uint32_t *ver, long i)
{
	while (i >= 0 && ver[i] == 0)
		i--;
	return i;
}

/* A walk of some steps, up and down, from a random place. */
static void
check_walk(struct world *w, struct lt_kv_txn *t, const struct model *m)
{
	unsigned table = (unsigned)rnd_below(&w->rng, 2);
	const uint32_t *ver = versions(m, table);
	size_t at = rnd_below(&w->rng, NKEYS + 1), steps = rnd_below(&w->rng, 12);
	bool before = rnd_below(&w->rng, 2) == 0;
	struct lt_slice k = { NULL, 0 }, v = { NULL, 0 }, key;
	struct lt_kv_cursor *c;
	long i;
	int rc;

	key = at == NKEYS ? lt_slice(NULL, 0) : key_of(w, at);
	ok(lt_kv_cursor_open(t, table, &c));
	if (before) {
		i = down(ver, (long)at - 1);
		rc = lt_kv_seek_before(c, key, &k, &v);
	} else {
		i = up(ver, at == NKEYS ? 0 : (long)at);
		rc = lt_kv_seek(c, key, &k, &v);
	}
	check_entry(w, ver, i, rc, k, v);
	while (rc == LT_OK && steps-- > 0) {
		if (rnd_below(&w->rng, 3) != 0) {
			i = up(ver, i + 1);
			rc = lt_kv_next(c, &k, &v);
		} else {
			i = down(ver, i - 1);
			rc = lt_kv_prev(c, &k, &v);
		}
		check_entry(w, ver, i, rc, k, v);
	}
	lt_kv_cursor_close(c);
	w->seeks++;
}

static void
check_get(struct world *w, struct lt_kv_txn *t, const struct model *m)
{
	unsigned table = (unsigned)rnd_below(&w->rng, 2);
	size_t i = rnd_below(&w->rng, NKEYS);
	uint32_t ver = versions(m, table)[i];
	struct lt_slice v = { NULL, 0 };
	int rc = lt_kv_get(t, table, key_of(w, i), &v);

	if (ver == 0)
		assert_int_equal(rc, LT_E_NOTFOUND);
	else
		check_entry(w, versions(m, table), (long)i, rc, key_of(w, i), v);
}

static void
check_all(struct world *w, struct lt_kv_txn *t, const struct model *m)
{
	struct lt_slice k = { NULL, 0 }, v = { NULL, 0 };
	struct lt_kv_cursor *c;
	unsigned table;
	uint64_t n, want;
	long i;
	int rc;

	for (table = 0; table < 2; table++) {
		const uint32_t *ver = versions(m, table);

		ok(lt_kv_cursor_open(t, table, &c));
		rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
		want = 0;
		for (i = up(ver, 0); i < NKEYS; i = up(ver, i + 1)) {
			check_entry(w, ver, i, rc, k, v);
			want++;
			rc = lt_kv_next(c, &k, &v);
		}
		assert_int_equal(rc, LT_E_NOTFOUND);
		lt_kv_cursor_close(c);
		ok(lt_kv_count(t, table, &n));
		assert_int_equal(n, want);
	}
}

static void
write_op(struct world *w)
{
	unsigned table = (unsigned)rnd_below(&w->rng, 2);
	uint32_t *ver = w->work.version[table];
	size_t i = rnd_below(&w->rng, NKEYS), kind = rnd_below(&w->rng, 1000);
	struct lt_slice v;

	if (kind < 520) {
		v = value_of(w, i, w->next_version);
		ok(lt_kv_put(w->writer, table, key_of(w, i), v));
		ver[i] = w->next_version++;
	} else if (kind < 850) {
		assert_int_equal(
		    lt_kv_del(w->writer, table, key_of(w, i)), ver[i] == 0 ? LT_E_NOTFOUND : LT_OK);
		ver[i] = 0;
	} else if (kind < 999) {
		bool end = down(ver, NKEYS - 1) < (long)i;

		v = value_of(w, i, w->next_version);
		assert_int_equal(
		    lt_kv_append(w->writer, table, key_of(w, i), v), end ? LT_OK : LT_E_EXISTS);
		if (end)
			ver[i] = w->next_version++;
	} else {
		ok(lt_kv_clear(w->writer, table));
		memset(ver, 0, sizeof(w->work.version[0]));
	}
}

static void
model_step(struct world *w)
{
	size_t kind = rnd_below(&w->rng, 1000), s = rnd_below(&w->rng, NSNAPS);

	if (w->writer == NULL && kind < 300) {
		ok(lt_kv_begin_write(w->kv, &w->writer));
		w->work = w->now;
	} else if (w->writer != NULL && kind < 6) {
		ok(lt_kv_commit(w->writer));
		w->writer = NULL;
		w->now = w->work;
	} else if (w->writer != NULL && kind < 9) {
		lt_kv_abort(w->writer);
		w->writer = NULL;
	} else if (w->writer != NULL && kind < 850) {
		write_op(w);
	} else if (w->writer != NULL && kind < 880) {
		check_walk(w, w->writer, &w->work);
	} else if (w->writer != NULL && kind < 900) {
		check_get(w, w->writer, &w->work);
	} else if (w->reader[s] == NULL) {
		ok(lt_kv_begin_read(w->kv, &w->reader[s]));
		w->snap[s] = w->now;
	} else if (kind < 985) {
		check_walk(w, w->reader[s], &w->snap[s]);
		check_get(w, w->reader[s], &w->snap[s]);
	} else if (kind < 987) {
		check_all(w, w->reader[s], &w->snap[s]);
		lt_kv_abort(w->reader[s]);
		w->reader[s] = NULL;
	}
	w->ops++;
}

/* One thread, and long: nothing that the thread sanitizer could see (as in tests/CMakeLists.txt). */
static void
one_thread(void)
{
#ifdef __SANITIZE_THREAD__
	skip();
#endif
}

static void
random_model(void **state)
{
	struct fix *f = *state;
	struct world *w;
	struct lt_kv_txn *t;
	size_t i;

	one_thread();
	w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->buf = malloc(MODEL_VALUE_MAX);
	assert_non_null(w->buf);
	w->kv = f->kv;
	w->rng.s = UINT64_C(0x6c69656e74686f6e);
	w->next_version = 1;
	make_keys(w);
	while (w->ops < NOPS)
		model_step(w);
	for (i = 0; i < NSNAPS; i++) {
		if (w->reader[i] != NULL)
			check_all(w, w->reader[i], &w->snap[i]);
		lt_kv_abort(w->reader[i]);
	}
	lt_kv_abort(w->writer);
	if (f->disk)
		reopen(f);
	ok(lt_kv_begin_read(f->kv, &t));
	check_all(w, t, &w->now);
	lt_kv_abort(t);
	assert_true(w->seeks > 5000);
	assert_true(w->found > 50000);
	assert_true(w->next_version > 20000);
	free(w->buf);
	free(w);
}

/* ---- damage ---- */

/* Every bit of a stored value, checksum included, in every table, by get and by cursor. */
static void
every_flipped_bit_is_noticed(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t bit, nbits = 0, n = 0;
	unsigned table;

	for (table = ALPHA; table <= GAMMA; table++) {
		put1(f->kv, table, "a", "before");
		put1(f->kv, table, "key", "some value");
		put1(f->kv, table, "z", "behind");
		ok(lt_kv_test_flip(f->kv, table, str("key"), 0, &nbits));
		ok(lt_kv_test_flip(f->kv, table, str("key"), 0, NULL));
		assert_int_equal(nbits, (10 + 8) * 8);
		for (bit = 0; bit < nbits; bit++) {
			ok(lt_kv_test_flip(f->kv, table, str("key"), bit, NULL));
			ok(lt_kv_begin_read(f->kv, &t));
			assert_int_equal(lt_kv_get(t, table, str("key"), &v), LT_E_CORRUPT);
			ok(lt_kv_cursor_open(t, table, &c));
			assert_int_equal(lt_kv_seek(c, str("b"), &k, &v), LT_E_CORRUPT);
			assert_slice(k, str("key")); /* named */
			ok(lt_kv_next(c, &k, &v)); /* and a scrub goes on */
			assert_slice(v, str("behind"));
			assert_int_equal(lt_kv_prev(c, &k, &v), LT_E_CORRUPT);
			assert_int_equal(lt_kv_seek_before(c, str("z"), &k, &v), LT_E_CORRUPT);
			ok(lt_kv_prev(c, &k, &v));
			assert_slice(v, str("before"));
			assert_int_equal(lt_kv_next(c, &k, &v), LT_E_CORRUPT);
			lt_kv_cursor_close(c);
			lt_kv_abort(t);
			ok(lt_kv_test_flip(f->kv, table, str("key"), bit, NULL));
			n++;
		}
		expect1(f->kv, table, "key", "some value");
	}
	assert_int_equal(n, 3 * 18 * 8);
	assert_int_equal(lt_kv_test_flip(f->kv, ALPHA, str("key"), nbits, NULL), LT_E_INVALID);
	assert_int_equal(lt_kv_test_flip(f->kv, ALPHA, str("none"), 0, NULL), LT_E_NOTFOUND);
}

/* A walk in a prefix: damaged entries of it are passed over, or named, as asked for; what is behind it is nobody's matter. */
static void
walks_in_a_prefix(void **state)
{
	static const char *const keys[] = { "p", "p/1", "p/2", "p/3", "p/4", "p0" };
	const struct lt_slice in = str("p/");
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t i;

	for (i = 0; i < 6; i++)
		put1(f->kv, ALPHA, keys[i], keys[i]);
	ok(lt_kv_test_flip(f->kv, ALPHA, str("p/1"), 3, NULL));
	ok(lt_kv_test_flip(f->kv, ALPHA, str("p/3"), 3, NULL));
	ok(lt_kv_test_flip(f->kv, ALPHA, str("p0"), 3, NULL));
	ok(lt_kv_begin_read(f->kv, &t));
	ok(lt_kv_cursor_open(t, ALPHA, &c));
	ok(lt_kv_seek_in(c, in, &k, &v));
	assert_slice(k, str("p/2"));
	ok(lt_kv_next_in(c, in, &k, &v));
	assert_slice(k, str("p/4"));
	assert_int_equal(lt_kv_next_in(c, in, &k, &v), LT_E_NOTFOUND);

	assert_int_equal(lt_kv_seek_at(c, in, in, &k, &v), LT_E_CORRUPT);
	assert_slice(k, str("p/1"));
	ok(lt_kv_next_at(c, in, &k, &v));
	assert_slice(k, str("p/2"));
	assert_slice(v, str("p/2"));
	assert_int_equal(lt_kv_next_at(c, in, &k, &v), LT_E_CORRUPT);
	assert_slice(k, str("p/3"));
	ok(lt_kv_next_at(c, in, &k, &v));
	assert_slice(k, str("p/4"));
	assert_int_equal(lt_kv_next_at(c, in, &k, &v), LT_E_NOTFOUND);
	ok(lt_kv_seek_at(c, in, str("p/31"), &k, &v));
	assert_slice(k, str("p/4"));
	assert_int_equal(lt_kv_seek_at(c, in, str("p/5"), &k, &v), LT_E_NOTFOUND);
	assert_int_equal(lt_kv_seek_at(c, str("q"), str("q"), &k, &v), LT_E_NOTFOUND);
	lt_kv_cursor_close(c);
	lt_kv_abort(t);
}

static void
move_raw(struct lt_kv *kv, unsigned from, const char *fk, unsigned to, const char *tk, size_t cut)
{
	struct lt_kv_txn *t;
	struct lt_slice s;

	ok(lt_kv_begin_write(kv, &t));
	ok(lt_kv_test_get_raw(t, from, str(fk), &s));
	ok(lt_kv_test_put_raw(t, to, str(tk), lt_slice(s.data, s.len - cut)));
	ok(lt_kv_commit(t));
}

static void
a_moved_or_cut_value_is_noticed(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_slice v;
	size_t cut;

	put1(f->kv, ALPHA, "one", "value 1");
	put1(f->kv, ALPHA, "two", "value 2");
	move_raw(f->kv, ALPHA, "one", ALPHA, "two", 0);
	move_raw(f->kv, ALPHA, "one", BETA, "one", 0);
	move_raw(f->kv, ALPHA, "one", GAMMA, "one", 0);
	ok(lt_kv_begin_read(f->kv, &t));
	ok(lt_kv_get(t, ALPHA, str("one"), &v));
	assert_int_equal(lt_kv_get(t, ALPHA, str("two"), &v), LT_E_CORRUPT);
	assert_int_equal(lt_kv_get(t, BETA, str("one"), &v), LT_E_CORRUPT);
	assert_int_equal(lt_kv_get(t, GAMMA, str("one"), &v), LT_E_CORRUPT);
	lt_kv_abort(t);
	for (cut = 1; cut <= 15; cut++) { /* down to nothing, and to less than a checksum */
		move_raw(f->kv, ALPHA, "one", BETA, "cut", cut);
		ok(lt_kv_begin_read(f->kv, &t));
		assert_int_equal(lt_kv_get(t, BETA, str("cut"), &v), LT_E_CORRUPT);
		lt_kv_abort(t);
	}
}

/* ---- disk only ---- */

static void
reopened_store_has_everything(void **state)
{
	struct fix *f = *state;
	uint8_t first[16];

	put1(f->kv, ALPHA, "a", "1");
	put1(f->kv, GAMMA, "g", "3");
	memcpy(first, lt_kv_incarnation(f->kv), 16);
	assert_true(lt_kv_used_bytes(f->kv) >= 4096 * 4);
	assert_true(lt_kv_used_bytes(f->kv) < 1024 * 1024);
	reopen(f);
	expect1(f->kv, ALPHA, "a", "1");
	expect1(f->kv, BETA, "a", NULL);
	expect1(f->kv, GAMMA, "g", "3");
	assert_memory_equal(first, lt_kv_incarnation(f->kv), 16);
}

static void
incarnations_differ(void **state)
{
	struct fix *f = *state;
	struct fix g = *f;
	struct lt_kv_options o = options(NULL);
	struct lt_kv *m1, *m2;

	(void)snprintf(g.path, sizeof(g.path), "%s/other", f->dir);
	open_disk(&g);
	assert_memory_not_equal(lt_kv_incarnation(f->kv), lt_kv_incarnation(g.kv), 16);
	lt_kv_close(g.kv);
	ok(lt_kv_open_mem(&o, &m1, NULL));
	ok(lt_kv_open_mem(&o, &m2, NULL));
	assert_memory_not_equal(lt_kv_incarnation(m1), lt_kv_incarnation(m2), 16);
	lt_kv_close(m1);
	lt_kv_close(m2);
}

static void
more_tables_later(void **state)
{
	static const char *const more[] = { "gamma", "delta", "alpha", NULL };
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	struct lt_err err = { "" };
	struct lt_kv *kv;

	put1(f->kv, ALPHA, "a", "1");
	lt_kv_close(f->kv);
	f->kv = NULL;
	o.tables = more;
	o.read_only = true;
	assert_int_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_E_VERSION);
	assert_non_null(strstr(err.text, "delta"));
	o.read_only = false;
	ok(lt_kv_open_lmdb(&o, &kv, &err));
	expect1(kv, 2, "a", "1");
	put1(kv, 1, "d", "4");
	lt_kv_close(kv);
	open_disk(f);
	expect1(f->kv, ALPHA, "a", "1");
}

/* Put raw bytes into the meta table by LMDB itself. */
static void
meta_set(const struct fix *f, const char *name, const void *data, size_t len)
{
	MDB_val k = { strlen(name), (void *)(uintptr_t)name }, v = { len, (void *)(uintptr_t)data };
	MDB_env *env;
	MDB_txn *t;
	MDB_dbi dbi;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
	assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
	assert_int_equal(mdb_dbi_open(t, "meta", 0, &dbi), 0);
	assert_int_equal(data == NULL ? mdb_del(t, dbi, &k, NULL) : mdb_put(t, dbi, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(t), 0);
	mdb_env_close(env);
}

/* value || checksum of FORMAT.md 9.2, by way of a store in memory that has a table "meta". */
static void
meta_set_sealed(const struct fix *f, const char *name, const void *data, size_t len)
{
	static const char *const meta[] = { "meta", NULL };
	struct lt_kv_options o = { .kind = LT_KV_TEST, .federation = federation, .tables = meta };
	struct lt_kv_txn *t;
	struct lt_slice s;
	struct lt_kv *kv;

	ok(lt_kv_open_mem(&o, &kv, NULL));
	ok(lt_kv_begin_write(kv, &t));
	ok(lt_kv_put(t, 0, str(name), lt_slice(data, len)));
	ok(lt_kv_test_get_raw(t, 0, str(name), &s));
	meta_set(f, name, s.data, s.len);
	lt_kv_abort(t);
	lt_kv_close(kv);
}

/* len zeros when data is NULL. Only while the store is closed. */
static void
write_file(const struct fix *f, const char *name, const void *data, size_t len)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", f->path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	if (data != NULL)
		assert_int_equal(write(fd, data, len), (ssize_t)len);
	else
		assert_int_equal(ftruncate(fd, (off_t)len), 0);
	assert_int_equal(close(fd), 0);
}

static uint8_t *
read_whole(const struct fix *f, size_t *len)
{
	char path[128];
	struct stat st;
	uint8_t *p;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/data.mdb", f->path);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	p = malloc(*len);
	assert_non_null(p);
	assert_int_equal(read(fd, p, *len), (ssize_t)*len);
	assert_int_equal(close(fd), 0);
	return p;
}

/* Said in Vietnamese as well, with its letters. */
static void
assert_said_twice(const struct lt_err *err)
{
	const char *p = lt_err_vi(err);

	while (*p != '\0' && (unsigned char)*p < 0x80)
		p++;
	if (*p == '\0' || strcmp(lt_err_vi(err), err->text) == 0)
		fail_msg("\"%s\" is not said in Vietnamese: \"%s\"", err->text, lt_err_vi(err));
}

static void
refused(struct fix *f, const struct lt_kv_options *o, int code, const char *word)
{
	struct lt_err err = { "" };
	struct lt_kv_options ro = *o;
	struct lt_kv *kv = NULL;

	assert_int_equal(lt_kv_open_lmdb(o, &kv, &err), code);
	assert_null(kv);
	if (strstr(err.text, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
	assert_said_twice(&err);
	ro.read_only = true;
	assert_int_equal(lt_kv_open_lmdb(&ro, &kv, &err), code);
	assert_said_twice(&err);
	(void)f;
}

static void
foreign_and_newer_stores_are_refused(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path), other;
	uint8_t fed[32] = { 9 };
	/* LTST, version 2, kind 9, framed "0.9.24", framed "0" */
	uint8_t format[] = "LTST\0\2\x09\0\0\0\x06"
			   "0.9.24"
			   "\0\0\0\1"
			   "0";
	const size_t len = sizeof(format) - 1;

	lt_kv_close(f->kv);
	f->kv = NULL;
	other = o;
	other.federation = fed;
	refused(f, &other, LT_E_VERSION, "0900000000000000");
	other = o;
	other.kind = LT_KV_NODE;
	refused(f, &other, LT_E_VERSION, "a node's store");
	meta_set_sealed(f, "format", format, len); /* as made by us: fine */
	open_disk(f);
	lt_kv_close(f->kv);
	f->kv = NULL;
	format[5] = 3;
	meta_set_sealed(f, "format", format, len);
	refused(f, &o, LT_E_VERSION, "version 3");
	format[5] = 1;
	meta_set_sealed(f, "format", format, len);
	refused(f, &o, LT_E_VERSION, "version 1");
	format[5] = 2;
	format[11] = '1';
	meta_set_sealed(f, "format", format, len);
	refused(f, &o, LT_E_VERSION, "1.9.24");
	format[11] = '0';
	format[0] = 'X';
	meta_set_sealed(f, "format", format, len);
	refused(f, &o, LT_E_VERSION, "another program");
	format[0] = 'L';
	meta_set(f, "format", "something else", 14);
	refused(f, &o, LT_E_VERSION, "another program");
	meta_set(f, "format", format, len); /* ours, without its checksum */
	refused(f, &o, LT_E_CORRUPT, "format");
	meta_set_sealed(f, "format", format, 9);
	refused(f, &o, LT_E_CORRUPT, "format");
	meta_set(f, "format", NULL, 0);
	refused(f, &o, LT_E_VERSION, "another program");
	meta_set_sealed(f, "format", format, len);
	meta_set(f, "incarnation", NULL, 0);
	refused(f, &o, LT_E_CORRUPT, "incarnation");
	meta_set_sealed(f, "incarnation", fed, 16);
	meta_set(f, "federation", NULL, 0);
	refused(f, &o, LT_E_CORRUPT, "federation");
	meta_set_sealed(f, "federation", federation, 32);
	open_disk(f); /* and nothing was changed by all that */
	assert_memory_equal(lt_kv_incarnation(f->kv), fed, 16);
}

static void
other_programs_files_are_refused(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	MDB_val k = { 6, (void *)(uintptr_t) "format" }, v = { 4, (void *)(uintptr_t) "LTST" };
	MDB_env *env;
	MDB_txn *t;
	MDB_dbi dbi;

	lt_kv_close(f->kv);
	f->kv = NULL;
	run("rm -rf %s/store/*", f->dir);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
	mdb_env_close(env);
	refused(f, &o, LT_E_VERSION, "another program"); /* nothing in it, not even a table */
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
	assert_int_equal(mdb_dbi_open(t, NULL, 0, &dbi), 0);
	assert_int_equal(mdb_put(t, dbi, &k, &v, 0), 0);
	k.mv_data = (void *)(uintptr_t) "meta";
	k.mv_size = 4;
	assert_int_equal(mdb_put(t, dbi, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(t), 0);
	mdb_env_close(env);
	refused(f, &o, LT_E_VERSION, "another program"); /* "meta" is a value, not a table */
	run("test ! -e %s/made", f->path); /* their folder is not marked as ours */
	run("rm -rf %s/store/*", f->dir);
	write_file(f, "data.mdb", "this is a letter", 16);
	refused(f, &o, LT_E_VERSION, "not a store of lienthong");
	write_file(f, "data.mdb", NULL, 100000); /* zeros */
	refused(f, &o, LT_E_VERSION, "not a store of lienthong");
	write_file(f, "made", "", 0);
	refused(f, &o, LT_E_CORRUPT, "damaged");
	run("rm -rf %s/store", f->dir);
	open_disk(f);
}

/* Tables with big and small values; with_holes leaves free pages, also at the end of the file. */
static void
fill(struct lt_kv *kv, bool with_holes)
{
	static uint8_t big[20000];
	struct lt_kv_txn *t;
	char key[16];
	int i;

	memset(big, 'B', sizeof(big));
	ok(lt_kv_begin_write(kv, &t));
	for (i = 0; i < 300; i++) {
		(void)snprintf(key, sizeof(key), "k%04d", i);
		ok(lt_kv_put(t, ALPHA, str(key), lt_slice(big, 200)));
		if (i % 40 == 0)
			ok(lt_kv_put(t, BETA, str(key), lt_slice(big, sizeof(big))));
	}
	ok(lt_kv_commit(t));
	if (!with_holes)
		return;
	ok(lt_kv_begin_write(kv, &t));
	for (i = 0; i < 300; i++) {
		(void)snprintf(key, sizeof(key), "x%04d", i);
		ok(lt_kv_put(t, GAMMA, str(key), lt_slice(big, 5000)));
	}
	for (i = 1; i < 300; i++) {
		(void)snprintf(key, sizeof(key), "x%04d", i);
		ok(lt_kv_del(t, GAMMA, str(key)));
	}
	ok(lt_kv_commit(t));
}

/* Every entry of a store that opened must read; returns how many. */
static uint64_t
read_everything(struct lt_kv *kv)
{
	struct lt_kv_cursor *c;
	struct lt_kv_txn *t;
	struct lt_slice k, v;
	uint64_t n = 0;
	unsigned table;
	int rc;

	ok(lt_kv_begin_read(kv, &t));
	for (table = ALPHA; table <= GAMMA; table++) {
		ok(lt_kv_cursor_open(t, table, &c));
		for (rc = lt_kv_seek(c, str(""), &k, &v); rc == LT_OK; rc = lt_kv_next(c, &k, &v))
			n++;
		assert_int_equal(rc, LT_E_NOTFOUND);
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(t);
	return n;
}

/* Whatever the length: refused, or nothing is missing (the end held free pages only). */
static void
check_cut(struct fix *f, const uint8_t *file, size_t len, uint64_t entries, unsigned *nrefused)
{
	struct lt_kv_options o = options(f->path);
	struct lt_err err = { "" };
	struct lt_kv *kv;
	int i, rc;

	for (i = 0; i < 2; i++) {
		write_file(f, "data.mdb", file, len);
		o.read_only = i == 0;
		rc = lt_kv_open_lmdb(&o, &kv, &err);
		if (rc == LT_OK) {
			assert_int_equal(read_everything(kv), entries);
			lt_kv_close(kv);
		} else {
			assert_int_equal(rc, LT_E_CORRUPT);
			assert_non_null(strstr(err.text, "damaged"));
			++*nrefused;
		}
	}
}

static void
a_cut_file_is_refused(void **state)
{
	struct fix *f = *state;
	unsigned nrefused, round;
	uint64_t entries;
	uint8_t *file;
	size_t len, cut;

	one_thread();
	for (round = 0; round < 2; round++) {
		fill(f->kv, round == 1);
		entries = read_everything(f->kv);
		lt_kv_close(f->kv);
		f->kv = NULL;
		file = read_whole(f, &len);
		assert_int_equal(len % 4096, 0);
		nrefused = 0;
		for (cut = 0; cut < len; cut += 4096)
			check_cut(f, file, cut, entries, &nrefused);
		check_cut(f, file, 1, entries, &nrefused);
		check_cut(f, file, 4095, entries, &nrefused);
		check_cut(f, file, 8191, entries, &nrefused);
		/* In the first round the last page was just written, so that every page hurts; in the
		 * second the end is free pages, and a daemon must not refuse its store for them. */
		if (round == 0)
			assert_int_equal(nrefused, (len / 4096 + 3) * 2);
		else
			assert_in_range(nrefused, 60, (len / 4096 + 3) * 2 - 40);
		for (cut = 1; cut < 4096; cut += 111)
			check_cut(f, file, len - cut, entries, &nrefused);
		write_file(f, "data.mdb", file, len);
		free(file);
		open_disk(f);
		assert_int_equal(read_everything(f->kv), entries);
	}
}

/* The file of a store that was committed to reaches as far as LMDB counts, so that a start after it does
 * not have to walk. */
static void
the_file_is_never_short_by_itself(void **state)
{
	struct fix *f = *state;
	uint64_t used;
	uint8_t *file;
	size_t len;

	fill(f->kv, true);
	used = lt_kv_used_bytes(f->kv);
	lt_kv_close(f->kv);
	f->kv = NULL;
	file = read_whole(f, &len);
	free(file);
	assert_true(len >= used);
	open_disk(f);
}

static void
a_lost_file_is_not_replaced(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	struct lt_err err = { "" };
	struct lt_kv *kv;

	put1(f->kv, ALPHA, "a", "1");
	lt_kv_close(f->kv);
	f->kv = NULL;
	run("rm %s/store/data.mdb", f->dir);
	refused(f, &o, LT_E_CORRUPT, "lost");
	write_file(f, "data.mdb", "", 0);
	refused(f, &o, LT_E_CORRUPT, "empty");
	run("rm %s/store/made", f->dir);
	refused(f, &o, LT_E_CORRUPT, "empty"); /* with or without the mark */
	run("rm %s/store/*", f->dir);
	o.read_only = true;
	assert_int_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_E_NOTFOUND);
	o.path = "/tmp/lt_kv_no_such_folder";
	assert_int_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_E_NOTFOUND);
	assert_int_not_equal(access(o.path, F_OK), 0);
	open_disk(f); /* an emptied folder may be filled again */
	expect1(f->kv, ALPHA, "a", NULL);
}

/* A power cut while the store is made leaves pieces under other names; they do no harm. */
static void
pieces_of_an_unfinished_store_are_cleared(void **state)
{
	struct fix *f = *state;

	lt_kv_close(f->kv);
	f->kv = NULL;
	run("rm %s/store/*", f->dir);
	write_file(f, "new.mdb", "half", 4);
	open_disk(f);
	put1(f->kv, ALPHA, "a", "1");
	reopen(f);
	expect1(f->kv, ALPHA, "a", "1");
	run("test ! -e %s/new.mdb", f->path);
	/* Between the rename and the mark: opens, and is marked then. */
	lt_kv_close(f->kv);
	f->kv = NULL;
	run("rm %s/store/made", f->dir);
	open_disk(f);
	expect1(f->kv, ALPHA, "a", "1");
	run("test -e %s/store/made", f->dir);
}

/* Bits flipped in the file itself, in each place where the value stands. */
static void
rot_in_the_file_is_noticed(void **state)
{
	static const char marker[] = "Trần Thị Bưởi, Lượng Minh";
	struct fix *f = *state;
	struct lt_kv_txn *t;
	struct lt_slice v;
	uint8_t *file;
	size_t len, i, n = 0, places;

	put1(f->kv, BETA, "k", marker);
	for (i = 0; i < (sizeof(marker) - 1) * 8; i += 7) {
		size_t p;

		lt_kv_close(f->kv);
		f->kv = NULL;
		file = read_whole(f, &len);
		places = 0;
		for (p = 0; p + sizeof(marker) - 1 <= len; p++) {
			if (memcmp(file + p, marker, sizeof(marker) - 1) != 0)
				continue;
			file[p + i / 8] ^= (uint8_t)(1u << i % 8);
			places++;
		}
		assert_true(places >= 1);
		write_file(f, "data.mdb", file, len);
		free(file);
		open_disk(f);
		ok(lt_kv_begin_read(f->kv, &t));
		assert_int_equal(lt_kv_get(t, BETA, str("k"), &v), LT_E_CORRUPT);
		lt_kv_abort(t);
		put1(f->kv, BETA, "k", marker); /* repaired by writing it again */
		n++;
	}
	assert_true(n > 20);
}

static void
one_open_a_process(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	struct lt_err err = { "" };
	char alias[96];
	struct lt_kv *kv;

	refused(f, &o, LT_E_BUSY, "this process");
	(void)snprintf(alias, sizeof(alias), "%s/alias", f->dir);
	assert_int_equal(symlink(f->path, alias), 0);
	o.path = alias; /* the same folder by another name */
	assert_int_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_E_BUSY);
	lt_kv_close(f->kv);
	ok(lt_kv_open_lmdb(&o, &f->kv, &err));
	o.path = f->path;
	refused(f, &o, LT_E_BUSY, "this process");
}

static void
cannot_make_says_why(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(NULL);
	struct lt_err err = { "" };
	struct lt_kv *kv;
	char path[96];

	write_file(f, "plain", "x", 1);
	(void)snprintf(path, sizeof(path), "%s/plain", f->path);
	o.path = path;
	assert_int_not_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_OK);
	assert_non_null(strstr(err.text, "plain"));
	assert_said_twice(&err);
	o.read_only = true;
	assert_int_not_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_OK);
	assert_non_null(strstr(lt_err_vi(&err), "không mở được thư mục"));
	o.read_only = false;
	(void)snprintf(path, sizeof(path), "%s/deep/er/store", f->dir);
	ok(lt_kv_open_lmdb(&o, &kv, &err));
	lt_kv_close(kv);
}

/* ---- other processes ---- */

/* Exit code of fn in a child; the child never touches the parent's environment. */
static int
in_child(int (*fn)(void *), void *ctx)
{
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(ctx));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
try_open(void *ctx)
{
	struct lt_kv_options *o = ctx;
	struct lt_err err = { "" };
	struct lt_kv *kv;
	int rc = lt_kv_open_lmdb(o, &kv, &err);

	if (rc == LT_OK)
		lt_kv_close(kv);
	return rc == LT_E_BUSY && strstr(lt_err_vi(&err), "hãy dừng nó trước") == NULL ? 99 : -rc;
}

static void
one_writing_process(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);

	assert_int_equal(in_child(try_open, &o), -LT_E_BUSY);
	run("rm %s/store/lock.mdb", f->dir); /* somebody tidies up under a running daemon */
	assert_int_equal(in_child(try_open, &o), -LT_E_BUSY);
	lt_kv_close(f->kv);
	assert_int_equal(in_child(try_open, &o), LT_OK);
	open_disk(f);
	o.read_only = true;
	assert_int_equal(in_child(try_open, &o), LT_OK);
}

/* Commit n = 1, 2, ... for ever: key n, and "last" = n, the same in two tables. Each n is told on the pipe
 * after its commit, as an acknowledgement. */
static int
commit_for_ever(const char *path, int ack)
{
	static uint8_t big[9000];
	struct lt_kv_options o = options(path);
	struct lt_kv_txn *t;
	struct lt_slice v;
	struct lt_kv *kv;
	uint64_t n = 0;
	uint8_t key[8];

	if (lt_kv_open_lmdb(&o, &kv, NULL) != LT_OK || lt_kv_begin_read(kv, &t) != LT_OK)
		return 1;
	if (lt_kv_get(t, BETA, str("last"), &v) == LT_OK)
		n = lt_load_u64(v.data);
	lt_kv_abort(t);
	for (;;) {
		lt_store_u64(key, ++n);
		memset(big, (int)(n & 0xff), sizeof(big));
		if (lt_kv_begin_write(kv, &t) != LT_OK ||
		    lt_kv_append(t, ALPHA, lt_slice(key, 8),
			lt_slice(big, n * 977 % sizeof(big))) != LT_OK ||
		    lt_kv_put(t, BETA, str("last"), lt_slice(key, 8)) != LT_OK ||
		    lt_kv_put(t, GAMMA, str("last"), lt_slice(key, 8)) != LT_OK ||
		    lt_kv_commit(t) != LT_OK)
			return 1;
		if (write(ack, key, 8) != 8)
			return 1;
	}
}

static pid_t
spawn_writer(const char *path, int *acks)
{
	int p[2];
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(p[0]);
		_exit(commit_for_ever(path, p[1]));
	}
	(void)close(p[1]);
	*acks = p[0];
	return pid;
}

/* In any snapshot: last is the same in both tables, and keys 1..last are there whole. */
static uint64_t
check_chain(struct lt_kv *kv, bool all)
{
	struct lt_slice b, g, v;
	uint64_t last, n, count;
	struct lt_kv_txn *t;
	uint8_t key[8];
	size_t i;

	ok(lt_kv_begin_read(kv, &t));
	if (lt_kv_get(t, BETA, str("last"), &b) == LT_E_NOTFOUND) {
		lt_kv_abort(t);
		return 0;
	}
	ok(lt_kv_get(t, BETA, str("last"), &b));
	ok(lt_kv_get(t, GAMMA, str("last"), &g));
	assert_slice(b, g);
	last = lt_load_u64(b.data);
	ok(lt_kv_count(t, ALPHA, &count));
	assert_int_equal(count, last);
	for (n = all || last < 3 ? 1 : last - 2; n <= last; n++) {
		lt_store_u64(key, n);
		ok(lt_kv_get(t, ALPHA, lt_slice(key, 8), &v));
		assert_int_equal(v.len, n * 977 % 9000);
		for (i = 0; i < v.len; i++)
			if (v.data[i] != (uint8_t)n)
				fail_msg("byte %zu of entry %llu", i, (unsigned long long)n);
	}
	lt_kv_abort(t);
	return last;
}

static void
kill_loop(void **state)
{
	struct fix *f = *state;
	struct rng r = { 88172645463325252u };
	uint64_t acked = 0, last, rounds_ahead = 0;
	int round, acks, status;
	uint8_t key[8];
	size_t i, n;
	pid_t pid;

	lt_kv_close(f->kv);
	f->kv = NULL;
	for (round = 0; round < 40; round++) {
		pid = spawn_writer(f->path, &acks);
		n = rnd_below(&r, 60);
		for (i = 0; i < n; i++) {
			assert_int_equal(read(acks, key, 8), 8);
			acked = lt_load_u64(key);
		}
		for (i = rnd_below(&r, 200000); i > 0; i--) /* some part of a commit */
			__asm__ volatile("");
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(acks, key, 8) == 8)
			acked = lt_load_u64(key);
		(void)close(acks);
		open_disk(f);
		last = check_chain(f->kv, true);
		/* Everything acknowledged, and at most the one commit whose word did not get out. */
		assert_in_range(last, acked, acked + 1);
		rounds_ahead += last == acked + 1;
		acked = last;
		lt_kv_close(f->kv);
		f->kv = NULL;
	}
	assert_true(acked > 200);
	print_message("%llu commits, %llu kills between commit and word\n",
	    (unsigned long long)acked, (unsigned long long)rounds_ahead);
	open_disk(f);
}

static void
read_only_beside_a_writer(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	struct lt_kv_txn *t, *held;
	uint64_t acked = 0, last = 0, first;
	struct lt_kv *kv;
	int acks, status, i;
	uint8_t key[8];
	pid_t pid;

	lt_kv_close(f->kv);
	f->kv = NULL;
	pid = spawn_writer(f->path, &acks);
	assert_int_equal(read(acks, key, 8), 8);
	o.read_only = true;
	o.federation = NULL; /* an inspector may not know it */
	ok(lt_kv_open_lmdb(&o, &kv, NULL));
	assert_int_equal(lt_kv_begin_write(kv, &t), LT_E_DENIED);
	first = check_chain(kv, true);
	ok(lt_kv_begin_read(kv, &held));
	for (i = 0; i < 200; i++) {
		assert_int_equal(read(acks, key, 8), 8);
		acked = lt_load_u64(key);
		last = check_chain(kv, i % 20 == 0);
		assert_true(last >= acked); /* what was acknowledged is seen */
	}
	assert_true(last > first);
	lt_kv_abort(held);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(acks);
	assert_true(check_chain(kv, true) >= acked); /* nor does its death matter */
	lt_kv_close(kv);
	open_disk(f);
}

static int
hold_snapshot(const char *path, int ready)
{
	struct lt_kv_options o = options(path);
	struct lt_kv_txn *t;
	struct lt_kv *kv;

	o.read_only = true;
	if (lt_kv_open_lmdb(&o, &kv, NULL) != LT_OK || lt_kv_begin_read(kv, &t) != LT_OK ||
	    write(ready, "r", 1) != 1)
		return 1;
	for (;;)
		(void)pause();
}

/* A reader that was killed must not pin its pages: the file would grow with every commit. */
static void
a_killed_reader_pins_nothing(void **state)
{
	struct fix *f = *state;
	uint64_t before;
	int p[2], status, i;
	char one;
	pid_t pid;

	for (i = 0; i < 50; i++)
		put1(f->kv, ALPHA, "k", "warm");
	before = lt_kv_used_bytes(f->kv);
	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(hold_snapshot(f->path, p[1]));
	(void)close(p[1]);
	assert_int_equal(read(p[0], &one, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(p[0]);
	for (i = 0; i < 600; i++)
		put1(f->kv, ALPHA, "k", i % 2 == 0 ? "even" : "odd");
	assert_true(lt_kv_used_bytes(f->kv) <= 2 * before);
}

/* ---- no space ---- */

static void
map_full(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	static uint8_t big[30000];
	struct lt_kv_txn *t;
	uint64_t n = 0, got;
	char key[16];
	int rc;

	lt_kv_close(f->kv);
	f->kv = NULL;
	o.map_bytes = 1 << 20;
	ok(lt_kv_open_lmdb(&o, &f->kv, NULL));
	for (;;) {
		(void)snprintf(key, sizeof(key), "%05llu", (unsigned long long)n);
		ok(lt_kv_begin_write(f->kv, &t));
		rc = lt_kv_put(t, ALPHA, str(key), lt_slice(big, sizeof(big)));
		if (rc == LT_OK) {
			ok(lt_kv_commit(t));
			n++;
			continue;
		}
		assert_int_equal(rc, LT_E_NOSPACE);
		assert_int_equal(lt_kv_put(t, ALPHA, str("x"), str("y")), LT_E_NOSPACE);
		assert_int_equal(lt_kv_commit(t), LT_E_NOSPACE);
		break;
	}
	assert_in_range(n, 20, 36);
	ok(lt_kv_begin_read(f->kv, &t));
	ok(lt_kv_count(t, ALPHA, &got));
	assert_int_equal(got, n);
	lt_kv_abort(t);
	reopen(f); /* with the usual map there is room */
	assert_int_equal(read_everything(f->kv), n);
	put1(f->kv, ALPHA, "x", "y");
}

/* Take the file system's space but `left` bytes. */
static void
fill_disk(const char *path, off_t left)
{
	static uint8_t zero[4096];
	struct statvfs s;
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fstatvfs(fd, &s), 0);
	while ((off_t)(s.f_bavail * s.f_frsize) > left) {
		assert_int_equal(write(fd, zero, sizeof(zero)), (ssize_t)sizeof(zero));
		assert_int_equal(fstatvfs(fd, &s), 0);
	}
	assert_int_equal(close(fd), 0);
}

/* With 0, 1, 2, ... pages left, so that writes are refused, or cut short at every place. */
static void
disk_full(void **state)
{
	struct fix *f = *state;
	static uint8_t big[50000];
	struct lt_kv_txn *t;
	char filler[96], key[16];
	unsigned pages, failed = 0;
	uint64_t n = 0;
	int rc;

	lt_kv_close(f->kv);
	f->kv = NULL;
	if (mkdir(f->path, 0700) != 0 && errno != EEXIST)
		fail();
	if (mount("tmpfs", f->path, "tmpfs", 0, "size=6m") != 0) {
		print_message(
		    "skipped: a small file system cannot be mounted here: %s\n", strerror(errno));
		open_disk(f);
		skip();
	}
	(void)snprintf(filler, sizeof(filler), "%s/filler", f->path);
	open_disk(f);
	for (pages = 0; pages < 24; pages++) {
		fill_disk(filler, (off_t)pages * 4096);
		do {
			(void)snprintf(key, sizeof(key), "%05llu", (unsigned long long)n);
			ok(lt_kv_begin_write(f->kv, &t));
			ok(lt_kv_put(t, ALPHA, str(key), lt_slice(big, sizeof(big))));
			rc = lt_kv_commit(t);
			n += rc == LT_OK;
		} while (rc == LT_OK);
		assert_int_equal(rc, LT_E_NOSPACE);
		failed++;
		assert_int_equal(read_everything(f->kv), n); /* reads go on, nothing half-written */
		if (pages % 6 == 5) {
			reopen(f);
			assert_int_equal(read_everything(f->kv), n);
		}
		assert_int_equal(unlink(filler), 0);
		put1(f->kv, BETA, "space", "is back");
		ok(lt_kv_begin_write(f->kv, &t));
		ok(lt_kv_del(t, BETA, str("space")));
		ok(lt_kv_commit(t));
	}
	assert_int_equal(failed, 24);
	lt_kv_close(f->kv);
	f->kv = NULL;
	assert_int_equal(umount2(f->path, MNT_DETACH), 0);
	open_disk(f);
}

/* A store that cannot be made for want of space is not made at all, and can be made later. */
static void
disk_full_while_making(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	char filler[96];
	unsigned pages, failed = 0;
	struct lt_err err = { "" };
	int rc;

	lt_kv_close(f->kv);
	f->kv = NULL;
	if (mount("tmpfs", f->path, "tmpfs", 0, "size=2m") != 0) {
		print_message(
		    "skipped: a small file system cannot be mounted here: %s\n", strerror(errno));
		open_disk(f);
		skip();
	}
	(void)snprintf(filler, sizeof(filler), "%s/filler", f->path);
	for (pages = 0; pages < 12; pages++) {
		fill_disk(filler, (off_t)pages * 4096);
		rc = lt_kv_open_lmdb(&o, &f->kv, &err);
		if (rc == LT_OK)
			lt_kv_close(f->kv);
		else
			assert_int_equal(rc, LT_E_NOSPACE);
		failed += rc != LT_OK;
		f->kv = NULL;
		assert_int_equal(unlink(filler), 0);
		open_disk(f);
		put1(f->kv, ALPHA, "a", "1");
		lt_kv_close(f->kv);
		f->kv = NULL;
		run("rm -f %s/store/*", f->dir);
	}
	assert_in_range(failed, 1, 11);
	assert_int_equal(umount2(f->path, MNT_DETACH), 0);
	open_disk(f);
}

/* ---- threads (last: everything that forks stands before) ---- */

struct race {
	struct lt_kv *kv;
	atomic_int stop;
	atomic_ulong looked;
};

static void *
write_pairs(void *arg)
{
	struct race *r = arg;
	struct lt_kv_txn *t;
	uint8_t key[8];
	int i, j;

	for (i = 0; i < 150; i++) {
		if (lt_kv_begin_write(r->kv, &t) != LT_OK)
			abort();
		for (j = 0; j < 5; j++) {
			struct lt_slice v;
			uint64_t n = 0;

			/* Add one to a counter that the other writers add to as well. */
			if (lt_kv_get(t, ALPHA, str("n"), &v) == LT_OK)
				n = lt_load_u64(v.data);
			lt_store_u64(key, n + 1);
			if (lt_kv_put(t, ALPHA, str("n"), lt_slice(key, 8)) != LT_OK ||
			    lt_kv_put(t, BETA, str("n"), lt_slice(key, 8)) != LT_OK ||
			    lt_kv_put(t, GAMMA, lt_slice(key, 8), lt_slice(key, 8)) != LT_OK)
				abort();
		}
		if (i % 10 == 9)
			lt_kv_abort(t);
		else if (lt_kv_commit(t) != LT_OK)
			abort();
	}
	return NULL;
}

static void *
look_at_pairs(void *arg)
{
	struct race *r = arg;
	struct lt_slice a, b;
	struct lt_kv_txn *t;
	uint64_t n;

	while (!atomic_load(&r->stop)) {
		if (lt_kv_begin_read(r->kv, &t) != LT_OK)
			abort();
		if (lt_kv_get(t, ALPHA, str("n"), &a) == LT_OK) {
			if (lt_kv_get(t, BETA, str("n"), &b) != LT_OK || !lt_slice_eq(a, b) ||
			    lt_kv_count(t, GAMMA, &n) != LT_OK || n != lt_load_u64(a.data) ||
			    lt_kv_get(t, GAMMA, a, &b) != LT_OK)
				abort();
		}
		lt_kv_abort(t);
		atomic_fetch_add(&r->looked, 1);
	}
	return NULL;
}

static void
readers_and_writers_at_once(void **state)
{
	struct fix *f = *state;
	struct race r = { .kv = f->kv };
	pthread_t reader[3], writer[2];
	struct lt_kv_txn *t;
	struct lt_slice v;
	int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&reader[i], NULL, look_at_pairs, &r), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&writer[i], NULL, write_pairs, &r), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(writer[i], NULL), 0);
	atomic_store(&r.stop, 1);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_join(reader[i], NULL), 0);
	ok(lt_kv_begin_read(f->kv, &t));
	ok(lt_kv_get(t, ALPHA, str("n"), &v));
	/* Two writers, 135 of 150 transactions committed, five steps each. */
	assert_int_equal(lt_load_u64(v.data), 2 * 135 * 5);
	lt_kv_abort(t);
}

/* ---- read transactions that are used again ---- */

#define READS_KEPT 16
#define PAGES 64

static void
put_number(struct lt_kv *kv, uint32_t n)
{
	struct lt_kv_txn *txn;
	uint8_t b[4];

	lt_store_u32(b, n);
	ok(lt_kv_begin_write(kv, &txn));
	ok(lt_kv_put(txn, 0, lt_slice_str("number"), lt_slice(b, sizeof(b))));
	ok(lt_kv_commit(txn));
}

static uint32_t
number_in(struct lt_kv_txn *txn)
{
	struct lt_slice v;

	ok(lt_kv_get(txn, 0, lt_slice_str("number"), &v));
	assert_int_equal(v.len, 4);
	return lt_load_u32(v.data);
}

/* Whoever reads next sees what is there then, however the one before ended; no more are kept than is said. */
static void
reads_used_again(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *txn[READS_KEPT + 4], *held;
	unsigned i;

	put_number(f->kv, 0);
	ok(lt_kv_begin_read(f->kv, &held));
	for (i = 1; i <= 50; i++) {
		put_number(f->kv, i);
		ok(lt_kv_begin_read(f->kv, &txn[0]));
		assert_int_equal(number_in(txn[0]), i);
		/* Nothing of what the one before noted is left. */
		assert_memory_equal(
		    lt_kv_note(txn[0], 0), (uint8_t[LT_KV_NOTE_BYTES]){ 0 }, LT_KV_NOTE_BYTES);
		memset(lt_kv_note(txn[0], 0), 0xff, LT_KV_NOTE_BYTES);
		if (i % 2 == 0)
			ok(lt_kv_commit(txn[0]));
		else
			lt_kv_abort(txn[0]);
		assert_int_equal(lt_kv_test_reads_kept(f->kv), 1);
	}
	assert_int_equal(number_in(held), 0);
	lt_kv_abort(held);
	assert_int_equal(lt_kv_test_reads_kept(f->kv), 2);
	for (i = 0; i < READS_KEPT + 4; i++)
		ok(lt_kv_begin_read(f->kv, &txn[i]));
	assert_int_equal(lt_kv_test_reads_kept(f->kv), 0);
	for (i = 0; i < READS_KEPT + 4; i++) {
		assert_int_equal(number_in(txn[i]), 50);
		lt_kv_abort(txn[i]);
	}
	assert_int_equal(lt_kv_test_reads_kept(f->kv), READS_KEPT);
}

/* A read that LMDB failed: its code is told, and its transaction is not given to anybody else. What is not there is no failure. */
static void
a_failed_read_is_not_used_again(void **state)
{
	static const int codes[] = { MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_BAD_TXN, EIO };
	static const int ours[] = { LT_E_CORRUPT, LT_E_CORRUPT, LT_E_IO, LT_E_IO };
	struct fix *f = *state;
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	uint64_t n;
	unsigned i, way;

	put_number(f->kv, 7);
	ok(lt_kv_begin_read(f->kv, &txn));
	lt_kv_abort(txn);
	for (i = 0; i < 4; i++) {
		for (way = 0; way < 3; way++) {
			assert_int_equal(lt_kv_test_reads_kept(f->kv), 1);
			ok(lt_kv_begin_read(f->kv, &txn));
			ok(lt_kv_cursor_open(txn, 0, &c));
			assert_int_equal(
			    lt_kv_get(txn, 0, lt_slice_str("none"), &v), LT_E_NOTFOUND);
			lt_kv_test_read_fails = codes[i];
			if (way == 0)
				assert_int_equal(
				    lt_kv_get(txn, 0, lt_slice_str("number"), &v), ours[i]);
			else if (way == 1)
				assert_int_equal(lt_kv_seek(c, lt_slice(NULL, 0), &k, &v), ours[i]);
			else
				assert_int_equal(lt_kv_count(txn, 0, &n), ours[i]);
			assert_int_equal(lt_kv_test_read_fails, 0);
			lt_kv_cursor_close(c);
			lt_kv_abort(txn);
			assert_int_equal(lt_kv_test_reads_kept(f->kv), 0);
			ok(lt_kv_begin_read(f->kv, &txn));
			assert_int_equal(number_in(txn), 7);
			assert_int_equal(
			    lt_kv_get(txn, 0, lt_slice_str("none"), &v), LT_E_NOTFOUND);
			lt_kv_abort(txn);
		}
	}
}

static void
rewrite_pages(struct lt_kv *kv, unsigned times)
{
	static uint8_t value[3000];
	struct lt_kv_txn *txn;
	uint8_t key[4];
	unsigned i, n;

	for (n = 0; n < times; n++) {
		ok(lt_kv_begin_write(kv, &txn));
		for (i = 0; i < PAGES; i++) {
			lt_store_u32(key, i);
			memset(value, (int)n, sizeof(value));
			ok(lt_kv_put(
			    txn, 1, lt_slice(key, sizeof(key)), lt_slice(value, sizeof(value))));
		}
		ok(lt_kv_commit(txn));
	}
}

/* Those that are kept hold back no page: the file grows under one that reads, and not under one that is over. */
static void
kept_reads_pin_nothing(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *txn[4];
	uint64_t before, after;
	unsigned i;

	rewrite_pages(f->kv, 4);
	for (i = 0; i < 4; i++)
		ok(lt_kv_begin_read(f->kv, &txn[i]));
	for (i = 0; i < 4; i++)
		lt_kv_abort(txn[i]);
	assert_int_equal(lt_kv_test_reads_kept(f->kv), 4);
	rewrite_pages(f->kv, 4);
	before = lt_kv_used_bytes(f->kv);
	rewrite_pages(f->kv, 40);
	after = lt_kv_used_bytes(f->kv);
	assert_true(after <= before + (uint64_t)PAGES * 4096);
	ok(lt_kv_begin_read(f->kv, &txn[0]));
	rewrite_pages(f->kv, 40);
	assert_true(lt_kv_used_bytes(f->kv) > after + (uint64_t)20 * PAGES * 4096);
	lt_kv_abort(txn[0]);
}

#define CONTRACT(setup) \
	cmocka_unit_test_setup_teardown(checksum_is_the_formats, setup, teardown), \
	    cmocka_unit_test_setup_teardown(key_bounds, setup, teardown), \
	    cmocka_unit_test_setup_teardown(value_bounds, setup, teardown), \
	    cmocka_unit_test_setup_teardown(append_only_at_the_end, setup, teardown), \
	    cmocka_unit_test_setup_teardown( \
		a_note_lasts_until_its_table_is_written_to, setup, teardown), \
	    cmocka_unit_test_setup_teardown(del_count_clear_abort, setup, teardown), \
	    cmocka_unit_test_setup_teardown(cursor_edges, setup, teardown), \
	    cmocka_unit_test_setup_teardown(cursor_stale_after_write, setup, teardown), \
	    cmocka_unit_test_setup_teardown(put_of_what_was_just_read, setup, teardown), \
	    cmocka_unit_test_setup_teardown(snapshots_stay, setup, teardown), \
	    cmocka_unit_test_setup_teardown(fault_sweep, setup, teardown), \
	    cmocka_unit_test_setup_teardown(random_model, setup, teardown), \
	    cmocka_unit_test_setup_teardown(every_flipped_bit_is_noticed, setup, teardown), \
	    cmocka_unit_test_setup_teardown(walks_in_a_prefix, setup, teardown), \
	    cmocka_unit_test_setup_teardown(a_moved_or_cut_value_is_noticed, setup, teardown)
#define DISK(test) cmocka_unit_test_setup_teardown(test, setup_disk, teardown)

int
main(void)
{
	const struct CMUnitTest memory[] = { CONTRACT(setup_mem) };
	const struct CMUnitTest disk[] = {
		CONTRACT(setup_disk),
		DISK(reopened_store_has_everything),
		DISK(incarnations_differ),
		DISK(more_tables_later),
		DISK(foreign_and_newer_stores_are_refused),
		DISK(other_programs_files_are_refused),
		DISK(a_cut_file_is_refused),
		DISK(the_file_is_never_short_by_itself),
		DISK(a_lost_file_is_not_replaced),
		DISK(pieces_of_an_unfinished_store_are_cleared),
		DISK(rot_in_the_file_is_noticed),
		DISK(one_open_a_process),
		DISK(cannot_make_says_why),
		DISK(one_writing_process),
		DISK(kill_loop),
		DISK(read_only_beside_a_writer),
		DISK(a_killed_reader_pins_nothing),
		DISK(reads_used_again),
		DISK(a_failed_read_is_not_used_again),
		DISK(kept_reads_pin_nothing),
		DISK(map_full),
		DISK(disk_full),
		DISK(disk_full_while_making),
	};
	const struct CMUnitTest threads[] = {
		cmocka_unit_test_setup_teardown(readers_and_writers_at_once, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(readers_and_writers_at_once, setup_disk, teardown),
	};
	int bad = 0;

	bad += cmocka_run_group_tests_name("memory", memory, NULL, NULL);
	bad += cmocka_run_group_tests_name("disk", disk, NULL, NULL);
	bad += cmocka_run_group_tests_name("threads", threads, NULL, NULL);
	return bad == 0 ? 0 : 1;
}
