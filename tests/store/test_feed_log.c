/* The feed log: what is appended is found again as it was, judged in order, composed for others as far as they may
 * see, and untouched by whatever fails. */
#include "world.h"

#include "proto/base/clock.h"
#include "proto/store/kv_test.h"
#include "proto/store/projection_impl.h"

#include <stdlib.h>

#define STAMP(n) LT_STAMP(LT_BUILD_FLOOR_MS + 1000, n)

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author author[2];
};

static int
setup_kind(void **state, bool disk)
{
	struct fix *f = calloc(1, sizeof(*f));

	env_open(&f->env, disk);
	lt_arena_init(&f->arena, (size_t)64 << 20);
	author_init(&f->author[0], 7);
	author_init(&f->author[1], 9);
	*state = f;
	return 0;
}

static int
setup_mem(void **state)
{
	return setup_kind(state, false);
}

static int
setup_disk(void **state)
{
	return setup_kind(state, true);
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	env_close(&f->env);
	lt_arena_fini(&f->arena);
	free(f);
	return 0;
}

/* A change with one open field, and personal ones when asked for. */
static struct lt_draft
draft(struct lt_arena *a, const char *key, const char *text, bool personal)
{
	struct lt_draft d = { .collection = "thing", .key = lt_arena_dup(a, key, strlen(key)) };

	d.set = lt_arena_alloc(a, sizeof(*d.set));
	d.set[d.nset++] = fs_text(a, "a", text);
	if (!personal)
		return d;
	d.personal = lt_arena_alloc(a, 3 * sizeof(*d.personal));
	d.personal[d.npersonal++] = fs_text(a, LT_ACTOR_FIELD, "acc-12");
	d.personal[d.npersonal++] = fs_text(a, "p", "Nguyen Van A");
	d.personal[d.npersonal++] = fs_text(a, "q", "benh nang");
	return d;
}

static struct lt_slice
sealed(struct fix *f, struct feed *feed, uint64_t stamp, const char *text, bool personal)
{
	struct lt_buf b = { 0 };
	struct lt_draft d[2] = { draft(&f->arena, "17254/1", text, personal),
		draft(&f->arena, "17254/2", text, false) };
	uint8_t *copy;
	size_t len;

	feed_seal(feed, stamp, d, 2, &b);
	copy = lt_arena_dup(&f->arena, b.data, b.len);
	len = b.len;
	lt_buf_fini(&b);
	assert_non_null(copy);
	return lt_slice(copy, len);
}

static int
count_feeds(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	size_t *n = ctx;

	(void)unit;
	(void)feed;
	assert_true(head->seq > 0);
	return ++*n == 100 ? LT_E_NOTFOUND : LT_OK;
}

static int
stop_feeds(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	(void)unit;
	(void)feed;
	(void)head;
	return *(int *)ctx;
}

/* FORMAT.md 1.2, table row lt1.log; the values are those of Python's hashlib. */
static void
running_hash(void **state)
{
	static const char *const expected[2] = {
		"1e82e87ab079139ecb53bdec1703b3b4ec38d7fd5043c4c96936b2ea18d90eda",
		"b6aa00de25f3262b2cf3e5c3bbad2b16ac25f8f65ef6c92cf5717833cf7815c9",
	};
	struct lt_hash h = { { 0 } }, r = { { 0 } };
	char hex[2 * LT_HASH_LEN + 1];
	uint64_t i;

	(void)state;
	for (i = 0; i < LT_HASH_LEN; i++)
		h.b[i] = (uint8_t)i;
	for (i = 0; i < 2; i++) {
		struct lt_hash before = r;

		lt_feed_log_running(&before, i + 1, &h, &r);
		lt_hex(hex, r.b, LT_HASH_LEN);
		assert_string_equal(hex, expected[i]);
	}
}

/* Two feeds of one unit and one of another: positions run over all, heads and chains are each feed's own. */
static void
append_and_read(void **state)
{
	struct fix *f = *state;
	struct feed feed[3];
	struct lt_changeset cs[5];
	struct lt_hash hash[5], h;
	struct lt_kv_txn *txn;
	struct lt_head head;
	struct lt_entry e;
	struct lt_buf strip = { 0 };
	uint64_t pos;
	size_t i, n;
	int stop = LT_E_NOTFOUND;
	const int which[5] = { 0, 1, 0, 2, 0 };

	feed_init(&feed[0], &f->author[0], "17254", LT_LANE_NORMAL, 5);
	feed_init(&feed[1], &f->author[0], "17254", LT_LANE_URGENT, 5);
	feed_init(&feed[2], &f->author[1], "16906", LT_LANE_NORMAL, 1);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_feed_log_last(txn, &pos));
	assert_int_equal(pos, 0);
	ok(lt_feed_log_head(txn, &feed[0].unit, &feed[0].id, &head));
	assert_int_equal(head.seq, 0);
	for (i = 0; i < 5; i++) {
		struct lt_slice b = sealed(f, &feed[which[i]], STAMP(i), "x", i == 2);

		hash[i] = feed[which[i]].hash;
		world_append(txn, b, &f->arena, &cs[i], &pos);
		assert_int_equal(pos, i + 1);
	}
	ok(lt_kv_commit(txn));
	/* Each entry's running hash follows from the one before. */
	ok(lt_kv_begin_read(f->env.kv, &txn));
	memset(&h, 0, sizeof(h));
	for (i = 0; i < 5; i++) {
		struct lt_hash before = h;

		lt_feed_log_running(&before, i + 1, &hash[i], &h);
		ok(lt_feed_log_read(txn, i + 1, &e));
		assert_memory_equal(e.running.b, h.b, LT_HASH_LEN);
	}
	lt_kv_abort(txn);
	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_feed_log_last(txn, &pos));
	assert_int_equal(pos, 5);
	for (i = 0; i < 5; i++) {
		ok(lt_feed_log_read(txn, i + 1, &e));
		assert_string_equal(e.unit.s, cs[i].unit.s);
		assert_int_equal(e.arrival_ms, 1000 + cs[i].seq);
		lt_buf_clear(&strip);
		ok(lt_changeset_strip(&cs[i], &strip));
		assert_true(lt_slice_eq(e.changeset, lt_buf_slice(&strip)));
		ok(lt_feed_log_find(txn, &cs[i].unit, &cs[i].feed, cs[i].seq, &pos));
		assert_int_equal(pos, i + 1);
		ok(lt_feed_log_hash(txn, &cs[i].unit, &cs[i].feed, cs[i].seq, &h));
		assert_memory_equal(h.b, hash[i].b, LT_HASH_LEN);
	}
	ok(lt_feed_log_head(txn, &feed[0].unit, &feed[0].id, &head));
	assert_int_equal(head.seq, 3);
	assert_int_equal(head.last_position, 5);
	assert_int_equal(head.stamp, STAMP(4));
	assert_int_equal(head.judged, 0);
	assert_int_equal(head.key_no, 1);
	assert_memory_equal(head.hash.b, hash[4].b, LT_HASH_LEN);
	ok(lt_feed_log_hash(txn, &feed[0].unit, &feed[0].id, 0, &h));
	assert_int_equal(h.b[0] | h.b[31], 0);
	assert_int_equal(lt_feed_log_hash(txn, &feed[0].unit, &feed[0].id, 4, &h), LT_E_NOTFOUND);
	/* The same feed id in another unit is another feed. */
	assert_int_equal(lt_feed_log_find(txn, &feed[2].unit, &feed[0].id, 1, &pos), LT_E_NOTFOUND);
	assert_int_equal(lt_feed_log_read(txn, 0, &e), LT_E_NOTFOUND);
	assert_int_equal(lt_feed_log_read(txn, 6, &e), LT_E_NOTFOUND);
	n = 0;
	ok(lt_feed_log_each(txn, NULL, count_feeds, &n));
	assert_int_equal(n, 3);
	n = 0;
	ok(lt_feed_log_each(txn, &feed[0].unit, count_feeds, &n));
	assert_int_equal(n, 2);
	n = 0;
	ok(lt_feed_log_each(txn, &feed[2].unit, count_feeds, &n));
	assert_int_equal(n, 1);
	assert_int_equal(lt_feed_log_each(txn, NULL, stop_feeds, &stop), LT_E_NOTFOUND);
	lt_kv_abort(txn);
	lt_buf_fini(&strip);
}

static Ltpb__RefusedDot
refused(uint32_t index, Ltpb__ReasonCode reason)
{
	Ltpb__RefusedDot d = LTPB__REFUSED_DOT__INIT;

	d.seq = 1;
	d.index = index;
	d.reason = reason;
	return d;
}

/* The mark moves by one; what comes too early is a gap, what was judged can be judged anew. */
static void
judgements(void **state)
{
	struct fix *f = *state;
	struct feed feed;
	struct lt_kv_txn *txn;
	struct lt_changeset cs;
	struct lt_head head;
	struct lt_judgement none = { 0 }, some = { 0 }, got;
	Ltpb__RefusedDot r0 = refused(0, LTPB__REASON_CODE__REASON_PATTERN),
			 r7 = refused(7, LTPB__REASON_CODE__REASON_AUTHORITY), *r[2] = { &r0, &r7 };
	Ltpb__HeldDot h3 = LTPB__HELD_DOT__INIT, *h[1] = { &h3 };
	Ltpb__ReasonCode reason = 0;
	uint64_t pos, n;
	size_t i;

	h3.index = 3;
	some.nrefused = 2;
	some.refused = r;
	some.nheld = 1;
	some.held = h;
	some.clamped = true;
	some.floor = 100;
	some.ceiling = 200;
	feed_init(&feed, &f->author[0], "17254", LT_LANE_NORMAL, 5);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	for (i = 0; i < 3; i++)
		world_append(txn, sealed(f, &feed, STAMP(i), "x", false), &f->arena, &cs, &pos);
	assert_int_equal(
	    lt_feed_log_judge(txn, &feed.unit, &feed.id, 0, 1, 1, &none), LT_E_INVALID);
	assert_int_equal(lt_feed_log_judge(txn, &feed.unit, &feed.id, 2, 2, 1, &none), LT_E_GAP);
	ok(lt_feed_log_judge(txn, &feed.unit, &feed.id, 1, 1, 11, &none));
	ok(lt_kv_count(txn, LT_T_JUDGEMENT, &n));
	assert_int_equal(n, 0);
	ok(lt_feed_log_judge(txn, &feed.unit, &feed.id, 2, 2, 22, &some));
	ok(lt_feed_log_head(txn, &feed.unit, &feed.id, &head));
	assert_int_equal(head.judged, 2);
	assert_int_equal(head.effective, 22);
	/* An earlier one again: replaced, and the mark and its stamp stay. */
	ok(lt_feed_log_judge(txn, &feed.unit, &feed.id, 1, 1, 5, &some));
	ok(lt_feed_log_head(txn, &feed.unit, &feed.id, &head));
	assert_int_equal(head.judged, 2);
	assert_int_equal(head.effective, 22);
	ok(lt_feed_log_judge(txn, &feed.unit, &feed.id, 1, 1, 5, &none));
	ok(lt_feed_log_judgement(txn, 1, &f->arena, &got));
	assert_int_equal(got.nrefused + got.nheld + got.clamped, 0);
	ok(lt_feed_log_judgement(txn, 2, &f->arena, &got));
	assert_int_equal(got.nrefused, 2);
	assert_int_equal(got.nheld, 1);
	assert_true(lt_judgement_refuses(&got, 0, &reason));
	assert_int_equal(reason, LTPB__REASON_CODE__REASON_PATTERN);
	assert_true(lt_judgement_refuses(&got, 7, &reason));
	assert_int_equal(reason, LTPB__REASON_CODE__REASON_AUTHORITY);
	assert_false(lt_judgement_refuses(&got, 1, &reason));
	assert_false(lt_judgement_refuses(&got, 3, NULL));
	assert_false(lt_judgement_refuses(&got, 8, NULL));
	assert_true(lt_judgement_holds(&got, 3));
	assert_false(lt_judgement_holds(&got, 0));
	assert_int_equal(lt_judgement_stamp(&got, 99), 100);
	assert_int_equal(lt_judgement_stamp(&got, 150), 150);
	assert_int_equal(lt_judgement_stamp(&got, 201), 200);
	assert_int_equal(lt_judgement_stamp(&none, 99), 99);
	/* Not rising by index. */
	r[0] = &r7;
	r[1] = &r0;
	assert_int_equal(
	    lt_feed_log_judge(txn, &feed.unit, &feed.id, 3, 3, 1, &some), LT_E_INVALID);
	r[1] = &r7;
	assert_int_equal(
	    lt_feed_log_judge(txn, &feed.unit, &feed.id, 3, 3, 1, &some), LT_E_INVALID);
	ok(lt_feed_log_judge(txn, &feed.unit, &feed.id, 3, 3, 33, &none));
	assert_int_equal(lt_feed_log_judge(txn, &feed.unit, &feed.id, 4, 4, 1, &none), LT_E_GAP);
	/* An unknown feed has nothing to judge. */
	feed.id.b[0] ^= 1;
	assert_int_equal(lt_feed_log_judge(txn, &feed.unit, &feed.id, 1, 1, 1, &none), LT_E_GAP);
	lt_kv_abort(txn);
}

static void
take(struct fix *f, struct lt_kv_txn *txn, struct lt_slice bytes, const struct lt_judgement *j,
    uint64_t effective, uint64_t *position)
{
	struct lt_changeset cs;
	struct lt_head head;

	ok(lt_changeset_parse(bytes, &f->arena, &cs, NULL));
	ok(lt_feed_log_head(txn, &cs.unit, &cs.feed, &head));
	ok(lt_feed_log_take(txn, &cs, 1000 + cs.seq, &head, effective, j, position));
}

static void
append_then_judge(struct fix *f, struct lt_kv_txn *txn, struct lt_slice bytes,
    const struct lt_judgement *j, uint64_t effective, uint64_t *position)
{
	struct lt_changeset cs;

	world_append(txn, bytes, &f->arena, &cs, position);
	ok(lt_feed_log_judge(txn, &cs.unit, &cs.feed, cs.seq, *position, effective, j));
}

/* At once, or one after the other: the same entries in every table, sums included. What must not be is refused as it is there, and
 * nothing is written. */
static void
taken_at_once(void **state)
{
	struct fix *f = *state;
	struct lt_judgement j[4] = { { 0 } };
	Ltpb__RefusedDot r1 = refused(1, LTPB__REASON_CODE__REASON_PATTERN), *r[2] = { &r1, &r1 };
	Ltpb__HeldDot h0 = LTPB__HELD_DOT__INIT, *h[1] = { &h0 };
	struct lt_buf once = { 0 }, twice = { 0 };
	struct lt_kv_txn *txn, *other;
	struct lt_changeset cs;
	struct lt_head head;
	struct feed feed[2];
	uint64_t a, b;
	struct env env;
	unsigned i;

	j[1].nrefused = 1;
	j[1].refused = r;
	j[2].nheld = 1;
	j[2].held = h;
	j[3].clamped = true;
	j[3].floor = 100;
	j[3].ceiling = 200;
	env_open(&env, f->env.disk);
	feed_init(&feed[0], &f->author[0], "17254", LT_LANE_NORMAL, 5);
	feed_init(&feed[1], &f->author[1], "17254", LT_LANE_URGENT, 6);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_kv_begin_write(env.kv, &other));
	for (i = 0; i < 16; i++) {
		struct lt_slice bytes = sealed(f, &feed[i % 2], STAMP(i), "x", i % 3 == 0);

		take(f, txn, bytes, &j[i / 2 % 4], 7 + i, &a);
		append_then_judge(f, other, bytes, &j[i / 2 % 4], 7 + i, &b);
		assert_int_equal(a, i + 1);
		assert_int_equal(b, i + 1);
	}
	ok(lt_kv_commit(txn));
	ok(lt_kv_commit(other));
	env_dump_all(f->env.kv, &once);
	env_dump_all(env.kv, &twice);
	assert_int_equal(once.len, twice.len);
	assert_memory_equal(once.data, twice.data, once.len);
	/* Twice the same dot, then one before it without a judgement. */
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_changeset_parse(sealed(f, &feed[0], STAMP(20), "y", false), &f->arena, &cs, NULL));
	ok(lt_feed_log_head(txn, &cs.unit, &cs.feed, &head));
	j[1].nrefused = 2;
	assert_int_equal(lt_feed_log_take(txn, &cs, 1, &head, 1, &j[1], &a), LT_E_INVALID);
	head.judged--;
	assert_int_equal(lt_feed_log_take(txn, &cs, 1, &head, 1, &j[0], &a), LT_E_GAP);
	ok(lt_kv_commit(txn));
	lt_buf_clear(&once);
	env_dump_all(f->env.kv, &once);
	assert_int_equal(once.len, twice.len);
	assert_memory_equal(once.data, twice.data, once.len);
	lt_buf_fini(&once);
	lt_buf_fini(&twice);
	env_close(&env);
}

/* The forms in which openings come: as sealed, with salts, one withheld, none. */
static void
vary(struct lt_changeset *cs, unsigned how)
{
	if (how == 1 || how == 2)
		cs->seed.len = 0;
	if (how == 2)
		cs->opening[0].withheld = true;
	if (how == 3) {
		cs->has_openings = false;
		cs->nopening = 0;
	}
}

/* Rows made before the transaction are those that it makes itself, at whatever position, and again after one that was given up. */
static void
prepared(void **state)
{
	struct fix *f = *state;
	const struct lt_judgement j = { 0 };
	struct lt_buf with = { 0 }, without = { 0 };
	struct lt_kv_txn *txn[2];
	struct lt_changeset cs;
	struct lt_head head;
	struct feed feed;
	struct env env;
	uint64_t at;
	unsigned i;

	env_open(&env, f->env.disk);
	feed_init(&feed, &f->author[0], "17254", LT_LANE_NORMAL, 5);
	for (i = 0; i < 8; i++) {
		ok(lt_changeset_parse(sealed(f, &feed, STAMP(i), "x", true), &f->arena, &cs, NULL));
		assert_true(cs.nopening > 0 && cs.seed.len == LT_SALT_LEN);
		vary(&cs, i % 4);
		ok(lt_kv_begin_write(env.kv, &txn[1]));
		ok(lt_feed_log_head(txn[1], &cs.unit, &cs.feed, &head));
		ok(lt_feed_log_take(txn[1], &cs, 1000 + i, &head, 7 + i, &j, &at));
		ok(lt_kv_commit(txn[1]));
		ok(lt_feed_log_prepare(&cs, &f->arena));
		assert_non_null(cs.rows);
		ok(lt_kv_begin_write(f->env.kv, &txn[0]));
		ok(lt_feed_log_take(txn[0], &cs, 77, &head, 7, &j, &at));
		lt_kv_abort(txn[0]);
		ok(lt_kv_begin_write(f->env.kv, &txn[0]));
		ok(lt_feed_log_take(txn[0], &cs, 1000 + i, &head, 7 + i, &j, &at));
		ok(lt_kv_commit(txn[0]));
		assert_int_equal(at, i + 1);
	}
	env_dump_all(f->env.kv, &with);
	env_dump_all(env.kv, &without);
	assert_int_equal(with.len, without.len);
	assert_memory_equal(with.data, without.data, with.len);
	lt_buf_fini(&with);
	lt_buf_fini(&without);
	env_close(&env);
}

/* Memory that ends on the way prepares nothing, and what stands there is taken as it was. */
static void
prepared_without_memory(void **state)
{
	struct fix *f = *state;
	struct lt_changeset cs;
	struct lt_arena small;
	struct feed feed;
	size_t cap;
	int rc = LT_E_NOMEM;

	feed_init(&feed, &f->author[0], "17254", LT_LANE_NORMAL, 5);
	ok(lt_changeset_parse(sealed(f, &feed, STAMP(1), "x", true), &f->arena, &cs, NULL));
	for (cap = 0; rc != LT_OK; cap += 64) {
		assert_true(cap < (size_t)1024 * 1024);
		lt_arena_init(&small, cap);
		assert_null(cs.rows);
		rc = lt_feed_log_prepare(&cs, &small);
		assert_true(rc == LT_OK || rc == LT_E_NOMEM);
		lt_arena_fini(&small);
	}
	assert_true(cap > 64);
	assert_non_null(cs.rows);
}

static bool
may_not_q(void *ctx, const char *collection, const char *field)
{
	(void)ctx;
	assert_string_equal(collection, "thing");
	return strcmp(field, "q") != 0;
}

static bool
may_nothing(void *ctx, const char *collection, const char *field)
{
	(void)ctx;
	(void)collection;
	(void)field;
	return false;
}

static void
verify(struct fix *f, const struct lt_buf *b, size_t withheld)
{
	struct lt_changeset cs;
	struct lt_err err = { "" };
	size_t i, n = 0;

	ok(lt_changeset_parse(lt_buf_slice(b), &f->arena, &cs, &err));
	ok(lt_changeset_verify_signature(&cs, f->author[0].key.pk));
	ok(lt_changeset_verify_openings(&cs, &err));
	assert_int_equal(cs.nopening, 3);
	for (i = 0; i < cs.nopening; i++)
		n += cs.opening[i].withheld;
	assert_int_equal(n, withheld);
	assert_int_equal(cs.seed.len, withheld == 0 ? LT_SALT_LEN : 0);
}

/* What leaves the log holds what the receiver may see, verifies, and gives away neither value nor seed of the rest. */
static void
openings(void **state)
{
	struct fix *f = *state;
	struct feed feed;
	struct lt_kv_txn *txn;
	struct lt_changeset cs, partly;
	struct lt_entry e;
	struct lt_buf out = { 0 }, again = { 0 };
	struct lt_slice original, fs;
	struct lt_hash leaf;
	uint8_t salt[LT_SALT_LEN];
	uint64_t pos, pos2;
	size_t i;

	feed_init(&feed, &f->author[0], "17254", LT_LANE_NORMAL, 5);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	original = sealed(f, &feed, STAMP(0), "x", true);
	world_append(txn, original, &f->arena, &cs, &pos);
	assert_int_equal(cs.nopening, 3);
	for (i = 0; i < 3; i++) {
		ok(lt_opening_get(txn, pos, 0, cs.opening[i].name, &f->arena, &fs, salt, &leaf));
		assert_true(lt_slice_eq(fs, cs.opening[i].field_set));
		assert_memory_equal(salt, cs.opening[i].salt, LT_SALT_LEN);
	}
	assert_int_equal(
	    lt_opening_get(txn, pos, 1, "p", &f->arena, &fs, NULL, NULL), LT_E_NOTFOUND);
	assert_int_equal(
	    lt_opening_get(txn, pos, 0, "pp", &f->arena, &fs, NULL, NULL), LT_E_NOTFOUND);
	assert_int_equal(
	    lt_opening_get(txn, pos + 1, 0, "p", &f->arena, &fs, NULL, &leaf), LT_E_NOTFOUND);

	ok(lt_feed_log_read(txn, pos, &e));
	ok(lt_feed_log_compose(txn, &e, NULL, NULL, &out, NULL));
	verify(f, &out, 0);
	assert_true(lt_slice_eq(lt_buf_slice(&out), original));

	lt_buf_clear(&out);
	ok(lt_feed_log_compose(txn, &e, may_not_q, NULL, &out, NULL));
	verify(f, &out, 1);
	assert_non_null(memmem(out.data, out.len, "Nguyen Van A", 12));
	assert_null(memmem(out.data, out.len, "benh nang", 9));
	assert_null(memmem(out.data, out.len, cs.seed.data, LT_SALT_LEN));
	assert_null(memmem(out.data, out.len, cs.opening[2].salt, LT_SALT_LEN));

	lt_buf_clear(&again);
	ok(lt_feed_log_compose(txn, &e, may_nothing, NULL, &again, NULL));
	verify(f, &again, 3);
	assert_null(memmem(again.data, again.len, "Nguyen", 6));
	lt_kv_abort(txn);

	/* Received with a leaf in place of q: kept so, passed on so. */
	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, lt_buf_slice(&out), &f->arena, &partly, &pos2);
	assert_int_equal(
	    lt_opening_get(txn, pos2, 0, "q", &f->arena, &fs, NULL, &leaf), LT_E_NOTFOUND);
	assert_memory_equal(leaf.b, cs.opening[2].leaf.b, LT_HASH_LEN);
	ok(lt_opening_get(txn, pos2, 0, "p", &f->arena, &fs, NULL, NULL));
	ok(lt_feed_log_read(txn, pos2, &e));
	lt_buf_clear(&again);
	ok(lt_feed_log_compose(txn, &e, NULL, NULL, &again, NULL));
	verify(f, &again, 1);
	assert_true(lt_slice_eq(lt_buf_slice(&again), lt_buf_slice(&out)));
	lt_kv_abort(txn);

	/* Received without any opening. */
	ok(lt_kv_begin_write(f->env.kv, &txn));
	lt_buf_clear(&out);
	ok(lt_changeset_strip(&cs, &out));
	world_append(txn, lt_buf_slice(&out), &f->arena, &partly, &pos2);
	ok(lt_feed_log_read(txn, pos2, &e));
	lt_buf_clear(&again);
	ok(lt_feed_log_compose(txn, &e, NULL, NULL, &again, NULL));
	assert_true(lt_slice_eq(lt_buf_slice(&again), lt_buf_slice(&out)));
	lt_kv_abort(txn);
	lt_buf_fini(&out);
	lt_buf_fini(&again);
}

/* One row of three gone: that is damage, not withholding. */
static void
opening_lost(void **state)
{
	struct fix *f = *state;
	struct feed feed;
	struct lt_kv_txn *txn;
	struct lt_changeset cs;
	struct lt_entry e;
	struct lt_buf out = { 0 }, key = { 0 };
	uint64_t pos;

	feed_init(&feed, &f->author[0], "17254", LT_LANE_NORMAL, 5);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, sealed(f, &feed, STAMP(0), "x", true), &f->arena, &cs, &pos);
	lt_buf_u64(&key, pos);
	lt_buf_u32(&key, 0);
	lt_buf_str(&key, "p");
	ok(lt_kv_del(txn, LT_T_OPENING, lt_buf_slice(&key)));
	ok(lt_feed_log_read(txn, pos, &e));
	assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, &out, NULL), LT_E_CORRUPT);
	lt_kv_abort(txn);
	lt_buf_fini(&key);
	lt_buf_fini(&out);
}

/* A salt that begins like the mark of a leaf is still a salt. */
static void
opening_salt_any(void **state)
{
	struct fix *f = *state;
	struct feed feed;
	struct lt_kv_txn *txn;
	struct lt_changeset cs;
	struct lt_slice fs;
	uint8_t salt[LT_SALT_LEN];
	uint64_t pos;
	int b;

	feed_init(&feed, &f->author[0], "17254", LT_LANE_NORMAL, 5);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	for (b = 0; b < 3; b++) {
		const uint8_t first[3] = { 0, 1, 0xff };

		ok(lt_changeset_parse(sealed(f, &feed, STAMP(b), "x", true), &f->arena, &cs, NULL));
		cs.opening[1].salt[0] = first[b];
		cs.opening[1].field_set.len =
		    17; /* with the salt, as long as a leaf and its mark */
		ok(lt_feed_log_append(txn, &cs, 0, &pos));
		ok(lt_opening_get(txn, pos, 0, "p", &f->arena, &fs, salt, NULL));
		assert_int_equal(salt[0], first[b]);
		assert_int_equal(fs.len, 17);
	}
	lt_kv_abort(txn);
}

static void
held_dots(void **state)
{
	struct fix *f = *state;
	struct feed a, b;
	struct lt_kv_txn *txn;
	struct lt_held_dot *d;
	uint64_t left;
	size_t n;

	feed_init(&a, &f->author[0], "17254", LT_LANE_NORMAL, 5);
	feed_init(&b, &f->author[0], "17254", LT_LANE_NORMAL, 6);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_held_take(txn, &a.unit, &a.id, UINT64_MAX, &f->arena, &d, &n));
	assert_int_equal(n, 0);
	ok(lt_held_add(txn, &a.unit, &a.id, 3, 20, 1));
	ok(lt_held_add(txn, &a.unit, &a.id, 4, 10, 0));
	ok(lt_held_add(txn, &a.unit, &a.id, 4, 10, 0)); /* twice is once */
	ok(lt_held_add(txn, &a.unit, &a.id, 4, 10, 1));
	ok(lt_held_add(txn, &a.unit, &a.id, 5, 11, 2));
	ok(lt_held_add(txn, &a.unit, &b.id, 1, 12, 0));
	ok(lt_held_take(txn, &a.unit, &a.id, 2, &f->arena, &d, &n));
	assert_int_equal(n, 0);
	ok(lt_held_take(txn, &a.unit, &a.id, 4, &f->arena, &d, &n));
	assert_int_equal(n, 3);
	assert_int_equal(d[0].missing_seq, 3);
	assert_int_equal(d[0].position, 20);
	assert_int_equal(d[0].change, 1);
	assert_int_equal(d[2].position, 10);
	assert_int_equal(d[2].change, 1);
	ok(lt_held_take(txn, &a.unit, &a.id, 4, &f->arena, &d, &n));
	assert_int_equal(n, 0);
	ok(lt_kv_count(txn, LT_T_HELD, &left));
	assert_int_equal(left, 2);
	ok(lt_held_take(txn, &a.unit, &a.id, UINT64_MAX, &f->arena, &d, &n));
	assert_int_equal(n, 1);
	ok(lt_held_take(txn, &b.unit, &b.id, 1, &f->arena, &d, &n));
	assert_int_equal(n, 1);
	lt_kv_abort(txn);
}

static void
record_keys(void **state)
{
	static const struct {
		const char *rk;
		size_t len;
		int rc;
	} bad[] = {
		{ "", 0, LT_E_CORRUPT },
		{ "thing", 5, LT_E_CORRUPT },
		{ "thing\0"
		  "1",
		    7, LT_E_CORRUPT },
		{ "thing\0"
		  "1\0",
		    8, LT_E_CORRUPT },
		{ "thing\0\0k", 8, LT_E_CORRUPT },
		{ "\0"
		  "1\0k",
		    4, LT_E_CORRUPT },
		{ "thing\0"
		  "1\0k\0",
		    10, LT_E_CORRUPT },
		{ "thing\0"
		  "1\0k",
		    9, LT_OK },
	};
	struct lt_buf b = { 0 };
	struct lt_slice c, u, k;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    lt_key_record_split(lt_slice(bad[i].rk, bad[i].len), &c, &u, &k), bad[i].rc);
	lt_key_record(&b, "thing", "17254", "a/b%20c");
	ok(lt_key_record_split(lt_buf_slice(&b), &c, &u, &k));
	assert_memory_equal(c.data, "thing", c.len);
	assert_int_equal(c.len, 5);
	assert_memory_equal(u.data, "17254", u.len);
	assert_int_equal(u.len, 5);
	assert_memory_equal(k.data, "a/b%20c", k.len);
	assert_int_equal(k.len, 7);
	lt_buf_fini(&b);
}

struct countdown {
	uint64_t fail; /* which call */
	uint64_t seen;
};

static int
fail_one(void *ctx, uint64_t ordinal)
{
	struct countdown *c = ctx;

	(void)ordinal;
	return ++c->seen == c->fail ? LT_E_NOSPACE : LT_OK;
}

/* Append and judge with store call 1, 2, ... failing, until nothing fails. */
static void
fault_sweep(void **state)
{
	struct fix *f = *state;
	struct feed feed;
	struct lt_kv_txn *txn;
	struct lt_changeset cs;
	struct lt_judgement j = { .clamped = true, .floor = 1, .ceiling = 2 };
	struct lt_slice first, second;
	struct lt_buf before = { 0 }, after = { 0 };
	struct countdown c = { 0 };
	uint64_t pos;
	int rc = LT_E_NOSPACE;

	feed_init(&feed, &f->author[0], "17254", LT_LANE_NORMAL, 5);
	first = sealed(f, &feed, STAMP(0), "x", true);
	second = sealed(f, &feed, STAMP(1), "y", true);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, first, &f->arena, &cs, &pos);
	ok(lt_kv_commit(txn));
	ok(lt_changeset_parse(second, &f->arena, &cs, NULL));
	env_dump_all(f->env.kv, &before);
	lt_kv_set_fault(f->env.kv, fail_one, &c);
	for (c.fail = 1; rc != LT_OK; c.fail++) {
		c.seen = 0;
		txn = NULL;
		rc = lt_kv_begin_write(f->env.kv, &txn);
		if (rc == LT_OK)
			rc = lt_feed_log_append(txn, &cs, 5, &pos);
		if (rc == LT_OK)
			rc = lt_feed_log_judge(txn, &cs.unit, &cs.feed, 1, 1, 1, &j);
		if (rc == LT_OK)
			rc = lt_held_add(txn, &cs.unit, &cs.feed, 9, pos, 0);
		if (rc == LT_OK)
			rc = lt_kv_commit(txn);
		else
			lt_kv_abort(txn);
		lt_buf_clear(&after);
		env_dump_all(f->env.kv, &after);
		assert_true(rc == LT_E_NOSPACE || (rc == LT_OK && c.seen < c.fail));
		assert_int_equal(
		    rc == LT_OK, !lt_slice_eq(lt_buf_slice(&before), lt_buf_slice(&after)));
	}
	lt_kv_set_fault(f->env.kv, NULL, NULL);
	/* begin, entry, seq, 3 openings, seed, head, judgement, head, held, commit: each failed once, the 13th was not there */
	assert_int_equal(c.fail - 1, 13);
	lt_buf_fini(&before);
	lt_buf_fini(&after);
}

/* A flipped bit anywhere in a stored value: named, never returned. */
static void
bit_flips(void **state)
{
	static const unsigned tables[] = { LT_T_FEED, LT_T_ENTRY, LT_T_SEQ, LT_T_OPENING,
		LT_T_JUDGEMENT, LT_T_HELD };
	struct fix *f = *state;
	struct feed feed;
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_changeset cs;
	struct lt_judgement j = { .clamped = true, .floor = 1, .ceiling = 2 }, got;
	struct lt_head head;
	struct lt_entry e;
	struct lt_hash h;
	struct lt_slice k, v, fs;
	struct lt_buf key = { 0 };
	uint64_t pos;
	size_t t, bit, nbits;

	feed_init(&feed, &f->author[0], "17254", LT_LANE_NORMAL, 5);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, sealed(f, &feed, STAMP(0), "x", true), &f->arena, &cs, &pos);
	ok(lt_feed_log_judge(txn, &cs.unit, &cs.feed, 1, 1, 1, &j));
	ok(lt_held_add(txn, &cs.unit, &cs.feed, 9, pos, 0));
	ok(lt_kv_commit(txn));
	for (t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		ok(lt_kv_begin_read(f->env.kv, &txn));
		ok(lt_kv_cursor_open(txn, tables[t], &c));
		ok(lt_kv_seek(c, lt_slice(NULL, 0), &k, &v));
		lt_buf_clear(&key);
		lt_buf_put_slice(&key, k);
		lt_kv_cursor_close(c);
		lt_kv_abort(txn);
		nbits = 1;
		for (bit = 0; bit < nbits; bit++) {
			if (lt_kv_test_flip(f->env.kv, tables[t], lt_buf_slice(&key), SIZE_MAX,
				&nbits) != LT_E_INVALID)
				fail();
			ok(lt_kv_test_flip(f->env.kv, tables[t], lt_buf_slice(&key), bit, NULL));
			ok(lt_kv_begin_read(f->env.kv, &txn));
			assert_int_equal(
			    lt_kv_get(txn, tables[t], lt_buf_slice(&key), &v), LT_E_CORRUPT);
			switch (tables[t]) {
			case LT_T_FEED:
				assert_int_equal(
				    lt_feed_log_head(txn, &cs.unit, &cs.feed, &head), LT_E_CORRUPT);
				break;
			case LT_T_ENTRY:
				assert_int_equal(lt_feed_log_read(txn, 1, &e), LT_E_CORRUPT);
				assert_int_equal(
				    lt_feed_log_hash(txn, &cs.unit, &cs.feed, 1, &h), LT_E_CORRUPT);
				break;
			case LT_T_SEQ:
				assert_int_equal(lt_feed_log_find(txn, &cs.unit, &cs.feed, 1, &pos),
				    LT_E_CORRUPT);
				break;
			case LT_T_OPENING:
				assert_int_equal(lt_opening_get(txn, 1, 0, LT_ACTOR_FIELD,
						     &f->arena, &fs, NULL, NULL),
				    LT_E_CORRUPT);
				break;
			case LT_T_JUDGEMENT:
				assert_int_equal(
				    lt_feed_log_judgement(txn, 1, &f->arena, &got), LT_E_CORRUPT);
				break;
			default:
				break;
			}
			lt_kv_abort(txn);
			/* Only the first and last bits on disk: each is a synced commit. */
			ok(lt_kv_test_flip(f->env.kv, tables[t], lt_buf_slice(&key), bit, NULL));
			if (f->env.disk && bit == 3 && nbits > 16)
				bit = nbits - 9;
		}
	}
	lt_buf_fini(&key);
}

#define BOTH(fn) \
	cmocka_unit_test_setup_teardown(fn, setup_mem, teardown), \
	    cmocka_unit_test_setup_teardown(fn, setup_disk, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(append_and_read),
		BOTH(judgements),
		BOTH(taken_at_once),
		BOTH(prepared),
		BOTH(prepared_without_memory),
		BOTH(openings),
		BOTH(opening_lost),
		BOTH(opening_salt_any),
		BOTH(held_dots),
		BOTH(fault_sweep),
		BOTH(bit_flips),
		cmocka_unit_test(running_hash),
		cmocka_unit_test(record_keys),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("store.feed_log", tests, NULL, NULL);
}
