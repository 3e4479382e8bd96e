/* Which receipts people are shown when there are more than fit: the newest of each feed, oldest first. */
#include "node/receipts.h"
#include "proto/base/error.h"
#include "proto/base/wire.h"
#include "proto/store/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BYTES \
	12 /* of each receipt below: tag, length, and eight bytes of body; the same and nothing of signature */

struct store {
	struct lt_kv *kv;
	struct lt_kv_txn *txn;
	struct lt_arena arena;
};

static void
key_of(struct lt_buf *b, uint8_t author, enum lt_lane lane)
{
	struct lt_unit unit = { "17254" };
	struct lt_id id;
	struct lt_feed_id feed;

	memset(id.b, author, sizeof(id.b));
	feed = lt_feed_id_make(id, lane, 7);
	lt_buf_clear(b);
	lt_key_feed(b, &unit, &feed);
}

/* Receipts 1..n of a feed; the body is the number. */
static void
put_feed(struct store *s, uint8_t author, enum lt_lane lane, uint64_t n)
{
	uint8_t value[BYTES] = { 0x0a, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0 };
	struct lt_buf key = { 0 };
	uint64_t i;

	for (i = 1; i <= n; i++) {
		key_of(&key, author, lane);
		lt_buf_u64(&key, i);
		lt_store_u64(value + 2, i);
		assert_int_equal(lt_kv_put(s->txn, LT_T_RECEIPT, lt_buf_slice(&key),
				     lt_slice(value, sizeof(value))),
		    LT_OK);
	}
	lt_buf_fini(&key);
}

static void
start(struct store *s)
{
	static const uint8_t federation[32];
	const struct lt_kv_options o = {
		.kind = LT_KV_NODE, .federation = federation, .tables = lt_table_names
	};

	assert_int_equal(lt_kv_open_mem(&o, &s->kv, NULL), LT_OK);
	assert_int_equal(lt_kv_begin_write(s->kv, &s->txn), LT_OK);
	lt_arena_init(&s->arena, 1024 * 1024);
}

static void
stop(struct store *s)
{
	lt_arena_fini(&s->arena);
	lt_kv_abort(s->txn);
	lt_kv_close(s->kv);
}

static void
expect(const struct lt_receipts *r, size_t at, uint64_t from, uint64_t to)
{
	for (; from <= to; from++, at++) {
		assert_true(at < r->n);
		assert_int_equal(r->receipt[at]->body.len, 8);
		assert_int_equal(lt_load_u64(r->receipt[at]->body.data), from);
	}
}

static void
newest_of_each_feed(void **state)
{
	struct lt_receipts r;
	struct store s;

	(void)state;
	start(&s);
	put_feed(&s, 3, LT_LANE_NORMAL, 300);
	put_feed(&s, 3, LT_LANE_BULK, 2);
	put_feed(&s, 9, LT_LANE_URGENT, 11);
	assert_int_equal(
	    lt_receipts_newest(s.txn, lt_slice(NULL, 0), 10, 100000, &s.arena, &r), LT_OK);
	assert_int_equal(r.n, 10 + 2 + 10);
	expect(&r, 0, 291, 300);
	expect(&r, 10, 1, 2);
	expect(&r, 12, 2, 11);
	assert_int_equal(r.bytes, r.n * BYTES);
	stop(&s);
}

static void
newest_of_one_feed(void **state)
{
	struct lt_buf key = { 0 };
	struct lt_receipts r;
	struct store s;

	(void)state;
	start(&s);
	put_feed(&s, 3, LT_LANE_NORMAL, 300);
	put_feed(&s, 3, LT_LANE_BULK, 2);
	key_of(&key, 3, LT_LANE_NORMAL);
	assert_int_equal(
	    lt_receipts_newest(s.txn, lt_buf_slice(&key), 299, 100000, &s.arena, &r), LT_OK);
	assert_int_equal(r.n, 299);
	expect(&r, 0, 2, 300);
	/* The bytes bind before the number does: on the bound, and one below it. */
	assert_int_equal(
	    lt_receipts_newest(s.txn, lt_buf_slice(&key), 299, 3 * BYTES, &s.arena, &r), LT_OK);
	assert_int_equal(r.n, 3);
	expect(&r, 0, 298, 300);
	assert_int_equal(
	    lt_receipts_newest(s.txn, lt_buf_slice(&key), 299, 3 * BYTES - 1, &s.arena, &r), LT_OK);
	assert_int_equal(r.n, 2);
	expect(&r, 0, 299, 300);
	key_of(&key, 4, LT_LANE_NORMAL);
	assert_int_equal(
	    lt_receipts_newest(s.txn, lt_buf_slice(&key), 299, 100000, &s.arena, &r), LT_OK);
	assert_int_equal(r.n, 0);
	lt_buf_fini(&key);
	stop(&s);
}

static void
none_and_damaged(void **state)
{
	static const uint8_t bad[] = { 0x0a, 200 };
	struct lt_buf key = { 0 };
	struct lt_receipts r;
	struct store s;

	(void)state;
	start(&s);
	assert_int_equal(
	    lt_receipts_newest(s.txn, lt_slice(NULL, 0), 10, 1000, &s.arena, &r), LT_OK);
	assert_int_equal(r.n, 0);
	key_of(&key, 3, LT_LANE_NORMAL);
	lt_buf_u64(&key, UINT64_MAX - 1);
	assert_int_equal(
	    lt_kv_put(s.txn, LT_T_RECEIPT, lt_buf_slice(&key), lt_slice(bad, sizeof(bad))), LT_OK);
	assert_int_equal(
	    lt_receipts_newest(s.txn, lt_slice(NULL, 0), 10, 1000, &s.arena, &r), LT_E_CORRUPT);
	lt_buf_fini(&key);
	stop(&s);
}

/* ---- thinning ---- */

/* 2026-11-22T17:00:00Z: midnight in Vietnam, by `date -u -d 2026-11-22T17:00 +%s` */
#define MIDNIGHT_MS INT64_C(1795366800000)

static void
comes_to(struct store *s, uint8_t author, uint64_t seq, int64_t since_ms, bool thin)
{
	Ltpb__ReceiptBody body = LTPB__RECEIPT_BODY__INIT;
	Ltpb__Receipt r = LTPB__RECEIPT__INIT;
	struct lt_buf key = { 0 }, b = { 0 }, v = { 0 };

	body.since_ms = since_ms;
	body.seq = seq;
	assert_int_equal(lt_wire_pack(&body.base, 1024, &b), LT_OK);
	r.body.data = b.data;
	r.body.len = b.len;
	assert_int_equal(lt_wire_pack(&r.base, 1024, &v), LT_OK);
	key_of(&key, author, LT_LANE_NORMAL);
	lt_buf_u64(&key, seq);
	assert_int_equal(
	    lt_kv_put(s->txn, LT_T_RECEIPT, lt_buf_slice(&key), lt_buf_slice(&v)), LT_OK);
	if (thin)
		assert_int_equal(lt_receipts_thin(s->txn, lt_buf_slice(&key)), LT_OK);
	lt_buf_fini(&key);
	lt_buf_fini(&b);
	lt_buf_fini(&v);
}

static void
comes(struct store *s, uint8_t author, uint64_t seq, int64_t since_ms)
{
	comes_to(s, author, seq, since_ms, true);
}

static bool
has(struct store *s, uint8_t author, uint64_t seq)
{
	struct lt_buf key = { 0 };
	struct lt_slice v;
	int rc;

	key_of(&key, author, LT_LANE_NORMAL);
	lt_buf_u64(&key, seq);
	rc = lt_kv_get(s->txn, LT_T_RECEIPT, lt_buf_slice(&key), &v);
	lt_buf_fini(&key);
	return rc == LT_OK;
}

static uint64_t
rows(struct store *s)
{
	uint64_t n;

	assert_int_equal(lt_kv_count(s->txn, LT_T_RECEIPT, &n), LT_OK);
	return n;
}

/* The newest, and of each day the last; days begin and end at midnight in Vietnam. */
static void
last_of_each_day(void **state)
{
	struct store s;

	(void)state;
	start(&s);
	comes(&s, 3, 10, MIDNIGHT_MS - 86400000); /* the first moment of the day before */
	assert_true(has(&s, 3, 10));
	comes(&s, 9, 11, MIDNIGHT_MS - 1); /* of another feed */
	comes(&s, 3, 20, MIDNIGHT_MS - 1);
	assert_false(has(&s, 3, 10));
	assert_true(has(&s, 3, 20));
	comes(&s, 3, 30, MIDNIGHT_MS);
	assert_true(has(&s, 3, 20));
	assert_true(has(&s, 3, 30));
	comes(&s, 3, 31, MIDNIGHT_MS + 86400000 - 1);
	assert_true(has(&s, 3, 20));
	assert_false(has(&s, 3, 30));
	assert_true(has(&s, 3, 31));
	assert_true(has(&s, 9, 11));
	/* One that comes late: a later one of its day is there. */
	comes(&s, 3, 25, MIDNIGHT_MS + 5);
	assert_false(has(&s, 3, 25));
	assert_true(has(&s, 3, 20));
	/* Of a day of its own it stays, wherever it comes. */
	comes(&s, 3, 24, MIDNIGHT_MS - 2 * INT64_C(86400000));
	assert_true(has(&s, 3, 24));
	/* The same once more. */
	comes(&s, 3, 31, MIDNIGHT_MS + 86400000 - 1);
	assert_int_equal(rows(&s), 4);
	stop(&s);
}

/* What an older program left goes step by step; what cannot be read is left alone, and so is what stands before it. */
static void
thinned_step_by_step(void **state)
{
	struct lt_buf key = { 0 };
	struct store s;
	uint64_t i;

	(void)state;
	start(&s);
	for (i = 1; i <= LT_RECEIPTS_THIN_MAX + 2; i++)
		comes_to(&s, 3, i, MIDNIGHT_MS, false);
	comes(&s, 3, 70, MIDNIGHT_MS);
	assert_int_equal(rows(&s), 3);
	assert_true(has(&s, 3, 1) && has(&s, 3, 2) && has(&s, 3, 70));
	comes(&s, 3, 70, MIDNIGHT_MS);
	assert_int_equal(rows(&s), 1);
	put_feed(&s, 5, LT_LANE_NORMAL, 3); /* no body that a receipt has */
	comes(&s, 5, 4, MIDNIGHT_MS);
	assert_int_equal(rows(&s), 5);
	key_of(&key, 3, LT_LANE_NORMAL);
	assert_int_equal(lt_receipts_thin(s.txn, lt_slice(key.data, 8)), LT_E_INVALID);
	lt_buf_u64(&key, 71); /* not there */
	assert_int_equal(lt_receipts_thin(s.txn, lt_buf_slice(&key)), LT_OK);
	assert_int_equal(rows(&s), 5);
	lt_buf_fini(&key);
	stop(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_of_each_day),
		cmocka_unit_test(thinned_step_by_step),
		cmocka_unit_test(newest_of_each_feed),
		cmocka_unit_test(newest_of_one_feed),
		cmocka_unit_test(none_and_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
