/* The disk of a machine that crashes: an image holds what was committed when it was taken, nothing of what was not, and no
 * store opened over it changes it or another. */
#include "proto/store/kv_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ok(expr) assert_int_equal(expr, LT_OK)

enum { ALPHA, BETA };

static const char *const tables[] = { "alpha", "beta", NULL };
static const uint8_t federation[32] = { 3, 1 };

static struct lt_kv_options
options(void)
{
	struct lt_kv_options o = { .kind = LT_KV_TEST, .federation = federation, .tables = tables };

	return o;
}

static struct lt_kv *
fresh(void)
{
	struct lt_kv_options o = options();
	struct lt_kv *kv;

	ok(lt_kv_open_mem(&o, &kv, NULL));
	return kv;
}

static struct lt_kv *
over(const struct lt_kv_image *img)
{
	struct lt_kv_options o = options();
	struct lt_kv *kv;

	ok(lt_kv_open_image(&o, img, &kv, NULL));
	return kv;
}

static struct lt_kv_image *
take(struct lt_kv *kv)
{
	struct lt_kv_image *img;

	ok(lt_kv_image_take(kv, &img));
	return img;
}

static int
set(struct lt_kv_txn *txn, unsigned table, unsigned key, const char *value)
{
	char k[16];

	(void)snprintf(k, sizeof(k), "%08u", key);
	return lt_kv_put(txn, table, lt_slice_str(k), lt_slice_str(value));
}

static void
put(struct lt_kv *kv, unsigned table, unsigned from, unsigned n, const char *value)
{
	struct lt_kv_txn *txn;
	unsigned i;

	ok(lt_kv_begin_write(kv, &txn));
	for (i = from; i < from + n; i++)
		ok(set(txn, table, i, value));
	ok(lt_kv_commit(txn));
}

/* Keys from..from+n-1 have the value, and the table nothing else. */
static void
expect(struct lt_kv *kv, unsigned table, unsigned from, unsigned n, const char *value)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	uint64_t count;
	char k[16];
	unsigned i;

	ok(lt_kv_begin_read(kv, &txn));
	ok(lt_kv_count(txn, table, &count));
	assert_int_equal(count, n);
	for (i = from; i < from + n; i++) {
		(void)snprintf(k, sizeof(k), "%08u", i);
		ok(lt_kv_get(txn, table, lt_slice_str(k), &v));
		assert_true(lt_slice_eq(v, lt_slice_str(value)));
	}
	lt_kv_abort(txn);
}

static void
what_was_committed_survives(void **state)
{
	struct lt_kv *kv = fresh(), *again;
	uint8_t incarnation[16];
	struct lt_kv_image *img;
	struct lt_kv_txn *txn;

	(void)state;
	put(kv, ALPHA, 0, 500, "old");
	ok(lt_kv_begin_write(kv, &txn));
	ok(set(txn, ALPHA, 7, "new"));
	ok(set(txn, BETA, 1, "new"));
	img = take(kv); /* in the middle of a transaction */
	lt_kv_abort(txn);
	memcpy(incarnation, lt_kv_incarnation(kv), sizeof(incarnation));
	lt_kv_close(kv);
	again = over(img);
	expect(again, ALPHA, 0, 500, "old");
	expect(again, BETA, 0, 0, "");
	assert_memory_equal(lt_kv_incarnation(again), incarnation, sizeof(incarnation));
	lt_kv_close(again);
	lt_kv_image_free(img);
	lt_kv_image_free(NULL);
}

static void
stores_over_one_image_go_their_own_ways(void **state)
{
	struct lt_kv *kv = fresh(), *a, *b;
	struct lt_kv_image *img, *later;
	struct lt_kv_txn *txn;
	struct lt_slice v;

	(void)state;
	put(kv, ALPHA, 0, 300, "0");
	img = take(kv);
	put(kv, ALPHA, 0, 300, "k");
	a = over(img);
	b = over(img);
	ok(lt_kv_begin_read(b, &txn));
	put(a, ALPHA, 0, 300, "a");
	put(a, BETA, 0, 10, "a");
	ok(lt_kv_get(txn, ALPHA, lt_slice_str("00000005"), &v));
	assert_true(lt_slice_eq(v, lt_slice_str("0")));
	lt_kv_abort(txn);
	ok(lt_kv_begin_write(b, &txn));
	ok(lt_kv_clear(txn, ALPHA));
	ok(lt_kv_commit(txn));
	later = take(a);
	lt_kv_close(a);
	expect(b, ALPHA, 0, 0, "");
	expect(kv, ALPHA, 0, 300, "k");
	expect(kv, BETA, 0, 0, "");
	lt_kv_close(kv);
	lt_kv_close(b);
	a = over(img);
	expect(a, ALPHA, 0, 300, "0");
	lt_kv_close(a);
	lt_kv_image_free(img);
	a = over(later);
	expect(a, ALPHA, 0, 300, "a");
	expect(a, BETA, 0, 10, "a");
	lt_kv_close(a);
	lt_kv_image_free(later);
}

struct crash {
	uint64_t at; /* ordinal of the store call from which on nothing works */
	bool fired;
};

static int
crash_at(void *ctx, uint64_t ordinal)
{
	struct crash *c = ctx;

	c->fired = c->fired || ordinal == c->at;
	return c->fired ? LT_E_IO : LT_OK;
}

/* Two transactions, cut at every store call: the image has none of a transaction or all of it. */
static void
a_crash_at_any_call_leaves_whole_transactions(void **state)
{
	struct crash c = { 0 };
	unsigned seen[3] = { 0 };

	(void)state;
	do {
		struct lt_kv *kv = fresh();
		struct lt_kv_image *img;
		struct lt_kv_txn *txn;
		unsigned i, round, whole = 0;
		uint64_t n;
		int rc = LT_OK;

		c.fired = false;
		c.at++;
		lt_kv_set_fault(kv, crash_at, &c);
		for (round = 0; round < 2 && rc == LT_OK; round++) {
			rc = lt_kv_begin_write(kv, &txn);
			if (rc != LT_OK)
				break;
			for (i = 0; rc == LT_OK && i < 5; i++)
				rc = set(txn, ALPHA, 5 * round + i, "v");
			rc = lt_kv_commit(txn);
			whole += rc == LT_OK;
		}
		img = take(kv);
		lt_kv_set_fault(kv, NULL, NULL);
		lt_kv_close(kv);
		kv = over(img);
		expect(kv, ALPHA, 0, 5 * whole, "v");
		ok(lt_kv_begin_read(kv, &txn));
		ok(lt_kv_count(txn, ALPHA, &n));
		lt_kv_abort(txn);
		seen[n / 5]++;
		put(kv, BETA, 0, 3, "after"); /* and it can be written to again */
		expect(kv, BETA, 0, 3, "after");
		lt_kv_close(kv);
		lt_kv_image_free(img);
	} while (c.fired);
	/* begin, 5 puts and commit of each; then one without a crash. */
	assert_int_equal(seen[0], 7);
	assert_int_equal(seen[1], 7);
	assert_int_equal(seen[2], 1);
	assert_int_equal(c.at, 15);
}

static void
another_stores_image_is_refused(void **state)
{
	static const uint8_t other[32] = { 4 };
	static const char *const more[] = { "alpha", "beta", "gamma", NULL };
	struct lt_kv *kv = fresh(), *out;
	struct lt_kv_image *img = take(kv);
	struct lt_kv_options o = options();

	(void)state;
	o.kind = LT_KV_NODE;
	assert_int_equal(lt_kv_open_image(&o, img, &out, NULL), LT_E_VERSION);
	assert_null(out);
	o = options();
	o.federation = other;
	assert_int_equal(lt_kv_open_image(&o, img, &out, NULL), LT_E_VERSION);
	o = options();
	o.tables = more;
	assert_int_equal(lt_kv_open_image(&o, img, &out, NULL), LT_E_VERSION);
	lt_kv_image_free(img);
	lt_kv_close(kv);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_committed_survives),
		cmocka_unit_test(stores_over_one_image_go_their_own_ways),
		cmocka_unit_test(a_crash_at_any_call_leaves_whole_transactions),
		cmocka_unit_test(another_stores_image_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
