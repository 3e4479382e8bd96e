/* Rows of verdicts that came back before what they judge: which of them decides a number where several speak of it, whether two contradict each
 * other, and what waits for its last change-set. */
#include "hub/told.h"
#include "proto/base/wire.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define DOTS 2

/* What a verdict says. Stamps of a clamp: its floor. */
struct said {
	uint64_t from, to;
	uint64_t refused[DOTS], held[DOTS],
	    settled[DOTS]; /* change-sets, of which the first change; 0: no more */
	uint64_t clamp_from, clamp_to, floor;
	uint8_t hash; /* all bytes of the one that it names */
	bool settling;
};

struct fix {
	struct lt_kv *kv;
	struct lt_kv_txn *txn;
	struct lt_unit unit;
	struct lt_feed_id feed;
	struct lt_arena arena;
};

static void
begin(struct fix *x)
{
	static const uint8_t federation[LT_FED_LEN];
	struct lt_kv_options o = {
		.kind = LT_KV_HUB_LOG, .federation = federation, .tables = lt_table_names
	};
	struct lt_err err = { "" };

	memset(x, 0, sizeof(*x));
	lt_arena_init(&x->arena, (size_t)64 << 20);
	assert_int_equal(lt_unit_set(&x->unit, lt_slice_str("17254")), LT_OK);
	memset(x->feed.b, 7, LT_FEED_LEN);
	assert_int_equal(lt_kv_open_mem(&o, &x->kv, &err), LT_OK);
	assert_int_equal(lt_kv_begin_write(x->kv, &x->txn), LT_OK);
}

static void
end(struct fix *x)
{
	lt_kv_abort(x->txn);
	lt_kv_close(x->kv);
	lt_arena_fini(&x->arena);
}

static size_t
held_dots(struct fix *x, const uint64_t seq[DOTS], Ltpb__HeldDot ***out)
{
	size_t n;

	*out = lt_arena_alloc(&x->arena, DOTS * sizeof(Ltpb__HeldDot *));
	for (n = 0; n < DOTS && seq[n] != 0; n++) {
		(*out)[n] = lt_arena_alloc(&x->arena, sizeof(Ltpb__HeldDot));
		ltpb__held_dot__init((*out)[n]);
		(*out)[n]->seq = seq[n];
	}
	return n;
}

static void
add_clamp(struct fix *x, const struct said *s, Ltpb__Verdict *v)
{
	Ltpb__Clamp *c = lt_arena_alloc(&x->arena, sizeof(*c));

	if (s->clamp_from == 0)
		return;
	ltpb__clamp__init(c);
	c->from = s->clamp_from;
	c->to = s->clamp_to;
	c->floor = c->ceiling = s->floor;
	v->clamp = lt_arena_alloc(&x->arena, sizeof(Ltpb__Clamp *));
	v->clamp[v->n_clamp++] = c;
}

/* As the hub would have signed it; its bytes. */
static Ltpb__Verdict *
make(struct fix *x, const struct said *s, struct lt_slice *bytes)
{
	Ltpb__Verdict *v = lt_arena_alloc(&x->arena, sizeof(*v));
	struct lt_buf b;

	ltpb__verdict__init(v);
	v->feed.data = x->feed.b;
	v->feed.len = LT_FEED_LEN;
	v->from = s->from;
	v->to = s->to;
	v->settling = s->settling;
	v->to_hash.data = lt_arena_alloc(&x->arena, LT_HASH_LEN);
	v->to_hash.len = LT_HASH_LEN;
	memset(v->to_hash.data, s->hash, LT_HASH_LEN);
	v->n_held = held_dots(x, s->held, &v->held);
	v->n_settled = held_dots(x, s->settled, &v->settled);
	v->refused = lt_arena_alloc(&x->arena, DOTS * sizeof(Ltpb__RefusedDot *));
	for (; v->n_refused < DOTS && s->refused[v->n_refused] != 0; v->n_refused++) {
		Ltpb__RefusedDot *d = lt_arena_alloc(&x->arena, sizeof(*d));

		ltpb__refused_dot__init(d);
		d->seq = s->refused[v->n_refused];
		v->refused[v->n_refused] = d;
	}
	add_clamp(x, s, v);
	lt_buf_init(&b, LT_VALUE_MAX);
	assert_int_equal(lt_wire_pack(&v->base, LT_VALUE_MAX, &b), LT_OK);
	bytes->data = lt_arena_dup(&x->arena, b.data, b.len);
	bytes->len = b.len;
	lt_buf_fini(&b);
	return v;
}

static bool
keep(struct fix *x, const struct said *s, uint64_t here)
{
	struct lt_slice bytes;
	const Ltpb__Verdict *v = make(x, s, &bytes);
	bool last;

	assert_int_equal(lt_told_keep(x->txn, &x->unit, &x->feed, v, bytes, here, &last), LT_OK);
	return last;
}

/* ---- who decides ---- */

/* By its floor; 0: nobody. */
static uint64_t
decides(struct fix *x, uint64_t seq, size_t *hash_len)
{
	char name[LT_TOLD_NAME];
	const Ltpb__Verdict *v;
	int rc = lt_told_find(x->txn, &x->unit, &x->feed, seq, &x->arena, name, &v);

	if (rc != LT_OK)
		assert_int_equal(rc, LT_E_NOTFOUND);
	if (rc != LT_OK || v->from > seq)
		return 0;
	*hash_len = v->to == seq ? v->to_hash.len : 0;
	return v->clamp[0]->floor;
}

/* Verdicts in the order in which they came back, the first with floor 1, the next 2; then, for numbers from 1 on, who decides it, and where one
 * ends that names the hash of its last there, a "!". */
struct order {
	const char *descr;
	uint64_t range[4][2];
	uint64_t here;
	const char *decided;
};

static const struct order orders[] = {
	{ "one", { { 1, 3 } }, 0, "1 1 1! 0" },
	{ "one behind the other", { { 1, 2 }, { 3, 4 } }, 0, "1 1! 2 2! 0" },
	{ "the later one first", { { 3, 4 }, { 1, 2 } }, 0, "2 2! 1 1! 0" },
	{ "the same twice", { { 1, 3 }, { 1, 3 } }, 0, "1 1 1! 0" },
	{ "a part of the first", { { 1, 4 }, { 2, 3 } }, 0, "1 1 1 1! 0" },
	{ "its beginning", { { 1, 4 }, { 1, 2 } }, 0, "1 1 1 1! 0" },
	{ "its end", { { 1, 4 }, { 3, 4 } }, 0, "1 1 1 1! 0" },
	{ "beyond its end", { { 1, 2 }, { 1, 4 } }, 0, "1 1! 2 2! 0" },
	{ "one more than its end", { { 1, 3 }, { 3, 4 } }, 0, "1 1 1! 2! 0" },
	{ "before its beginning", { { 3, 4 }, { 1, 4 } }, 0, "2 2 1 1! 0" },
	{ "before it, ending in it", { { 3, 4 }, { 1, 3 } }, 0, "2 2 1 1! 0" },
	{ "around it", { { 3, 4 }, { 1, 6 } }, 0, "2 2 1 1! 2 2! 0" },
	{ "around two, and between", { { 2, 2 }, { 4, 4 }, { 1, 5 } }, 0, "3 1! 3 2! 3! 0" },
	{ "a third in what was left", { { 2, 2 }, { 1, 4 }, { 1, 6 } }, 0, "2 1! 2 2! 3 3! 0" },
	{ "four", { { 5, 5 }, { 3, 6 }, { 1, 4 }, { 1, 8 } }, 0, "3 3 2 2 1! 2! 4 4! 0" },
	{ "the first two are here", { { 3, 3 }, { 1, 4 } }, 2, "0 0 1! 2! 0" },
	{ "all of it is here", { { 1, 2 } }, 2, "0 0 0" },
	{ "all but the last is here", { { 1, 3 } }, 2, "1 1 1! 0" },
};

static void
test_decides(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
		const struct order *o = &orders[i];
		char got[64] = "";
		size_t at = 0, hash_len = 0;
		struct fix x;

		begin(&x);
		for (k = 0; k < 4 && o->range[k][0] != 0; k++) {
			struct said s = { .from = o->range[k][0],
				.to = o->range[k][1],
				.clamp_from = 1,
				.clamp_to = 9,
				.floor = k + 1 };

			(void)keep(&x, &s, o->here);
		}
		for (k = 1; at < strlen(o->decided); k++) {
			uint64_t by = decides(&x, k, &hash_len);

			at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%llu%s",
			    k == 1 ? "" : " ", (unsigned long long)by,
			    by != 0 && hash_len == LT_HASH_LEN ? "!" : "");
		}
		if (strcmp(got, o->decided) != 0)
			fail_msg("%s: decided by %s, not %s", o->descr, got, o->decided);
		end(&x);
	}
}

/* *last: its own row has the name of its last one. */
static void
test_last(void **state)
{
	struct said a = { .from = 3, .to = 4 }, around = { .from = 1, .to = 5 },
		    before = { .from = 1, .to = 4 };
	struct fix x;

	(void)state;
	begin(&x);
	assert_true(keep(&x, &a, 0));
	assert_false(keep(&x, &before, 0));
	assert_true(keep(&x, &around, 0));
	assert_false(keep(&x, &around, 5));
	end(&x);
}

/* What is cut off says what was said of its numbers, and no more. */
static void
test_part(void **state)
{
	struct said a = { .from = 4, .to = 5 }, around = { .from = 1,
		.to = 5,
		.refused = { 2, 4 },
		.held = { 3, 5 },
		.clamp_from = 3,
		.clamp_to = 4,
		.floor = 9 };
	const Ltpb__Verdict *v;
	char name[LT_TOLD_NAME];
	struct fix x;

	(void)state;
	begin(&x);
	assert_true(keep(&x, &a, 0));
	assert_false(keep(&x, &around, 1));
	assert_int_equal(lt_told_find(x.txn, &x.unit, &x.feed, 2, &x.arena, name, &v), LT_OK);
	assert_int_equal(v->from, 2);
	assert_int_equal(v->to, 3);
	assert_int_equal(v->to_hash.len, 0);
	assert_memory_equal(v->feed.data, x.feed.b, LT_FEED_LEN);
	assert_int_equal(v->n_refused, 1);
	assert_int_equal(v->refused[0]->seq, 2);
	assert_int_equal(v->n_held, 1);
	assert_int_equal(v->held[0]->seq, 3);
	assert_int_equal(v->n_clamp, 1);
	assert_int_equal(v->clamp[0]->floor, 9);
	end(&x);
}

/* ---- two of them ---- */

struct pair {
	const char *descr;
	struct said first, then;
	uint64_t here;
	bool overlaps, differs;
};

#define WHOLE .from = 1, .to = 4
static const struct pair pairs[] = {
	{ "alike", { WHOLE, .refused = { 2 } }, { WHOLE, .refused = { 2 } }, 0, true, false },
	{ "refused then", { WHOLE, .refused = { 2 } }, { WHOLE }, 0, true, true },
	{ "refused now", { WHOLE }, { WHOLE, .refused = { 2 } }, 0, true, true },
	{ "refused where only it speaks", { WHOLE }, { .from = 4, .to = 6, .refused = { 5 } }, 0,
	    true, false },
	{ "refused where only the first speaks", { WHOLE, .refused = { 2 } },
	    { .from = 3, .to = 4 }, 0, true, false },
	{ "refused where both do, at the end", { WHOLE }, { .from = 4, .to = 6, .refused = { 4 } },
	    0, true, true },
	{ "another branch", { WHOLE }, { WHOLE, .refused = { 2 }, .hash = 1 }, 0, true, false },
	{ "held then, refused now", { WHOLE, .held = { 2 } }, { WHOLE, .refused = { 2 } }, 0, true,
	    false },
	{ "held then, accepted now", { WHOLE, .held = { 2 } }, { WHOLE }, 0, true, false },
	{ "refused then, held now", { WHOLE, .refused = { 2 } }, { WHOLE, .held = { 2 } }, 0, true,
	    false },
	{ "accepted then, held now", { WHOLE }, { WHOLE, .held = { 2 } }, 0, true, false },
	{ "another one held", { WHOLE, .held = { 3 } }, { WHOLE, .refused = { 2 } }, 0, true,
	    true },
	{ "clamped alike", { WHOLE, .clamp_from = 2, .clamp_to = 3, .floor = 5 },
	    { WHOLE, .clamp_from = 2, .clamp_to = 3, .floor = 5 }, 0, true, false },
	{ "clamped otherwise", { WHOLE, .clamp_from = 2, .clamp_to = 3, .floor = 5 },
	    { WHOLE, .clamp_from = 2, .clamp_to = 3, .floor = 6 }, 0, true, true },
	{ "clamped one more", { WHOLE, .clamp_from = 2, .clamp_to = 3, .floor = 5 },
	    { WHOLE, .clamp_from = 2, .clamp_to = 4, .floor = 5 }, 0, true, true },
	{ "one more, which is here", { WHOLE, .clamp_from = 2, .clamp_to = 3, .floor = 5 },
	    { WHOLE, .clamp_from = 1, .clamp_to = 3, .floor = 5 }, 1, true, false },
	{ "beside each other", { WHOLE }, { .from = 5, .to = 6, .refused = { 5 } }, 0, false,
	    false },
	{ "all of it is here", { WHOLE }, { WHOLE, .refused = { 2 } }, 4, false, false },
	{ "settles what was held", { WHOLE, .held = { 2 } },
	    { .from = 2, .to = 2, .refused = { 2 }, .settling = true }, 0, true, false },
	{ "refuses what was accepted", { WHOLE },
	    { .from = 2, .to = 2, .refused = { 2 }, .settling = true }, 0, true, true },
	{ "accepts what was refused", { WHOLE, .refused = { 2 } },
	    { .from = 2, .to = 2, .settled = { 2 }, .settling = true }, 0, true, true },
	{ "settling names no clamp", { WHOLE, .clamp_from = 2, .clamp_to = 3, .floor = 5 },
	    { .from = 2, .to = 2, .settled = { 2 }, .settling = true }, 0, true, false },
};

static void
test_compare(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		const struct pair *p = &pairs[i];
		bool overlaps, differs;
		struct lt_slice bytes;
		struct fix x;

		begin(&x);
		(void)keep(&x, &p->first, 0);
		assert_int_equal(lt_told_compare(x.txn, &x.unit, &x.feed,
				     make(&x, &p->then, &bytes), p->here, &overlaps, &differs),
		    LT_OK);
		if (overlaps != p->overlaps || differs != p->differs)
			fail_msg("%s: overlaps %d, differs %d", p->descr, overlaps, differs);
		end(&x);
	}
}

/* ---- what waits besides ---- */

static void
keep_again(struct fix *x, const struct said *s, bool late)
{
	struct lt_slice bytes;

	(void)make(x, s, &bytes);
	assert_int_equal(lt_told_keep_again(x->txn, &x->unit, &x->feed, s->to, bytes, late), LT_OK);
}

static int
take_again(struct fix *x, uint64_t to, uint64_t *floor, bool *late)
{
	const Ltpb__Verdict *v;
	int rc = lt_told_take_again(x->txn, &x->unit, &x->feed, to, &x->arena, &v, late);

	if (rc == LT_OK)
		*floor = v->clamp[0]->floor;
	return rc;
}

/* Each once, with what was said of it; of its own number alone. */
static void
test_again(void **state)
{
	struct said a = { WHOLE, .clamp_from = 1, .clamp_to = 1, .floor = 1 }, b = a, other = a;
	uint64_t floor = 0, sum = 0;
	struct fix x;
	bool late;
	int i;

	(void)state;
	begin(&x);
	b.floor = 2;
	other.to = 5;
	keep_again(&x, &a, false);
	keep_again(&x, &b, true);
	keep_again(&x, &b, true); /* once more: the same row */
	keep_again(&x, &other, true);
	assert_int_equal(take_again(&x, 3, &floor, &late), LT_E_NOTFOUND);
	for (i = 0; i < 2; i++) {
		assert_int_equal(take_again(&x, 4, &floor, &late), LT_OK);
		assert_true(late == (floor == 2));
		sum += floor;
	}
	assert_int_equal(sum, 3);
	assert_int_equal(take_again(&x, 4, &floor, &late), LT_E_NOTFOUND);
	assert_int_equal(take_again(&x, 5, &floor, &late), LT_OK);
	end(&x);
}

/* One that says nothing goes, and hides none behind it. */
static void
test_again_damaged(void **state)
{
	static const uint8_t no_verdict[] = { 0, 0xff }, no_flag[] = { 2 };
	struct said a = { WHOLE, .clamp_from = 1, .clamp_to = 1, .floor = 1 };
	char name[LT_TOLD_NAME], full[LT_TOLD_NAME + 20];
	uint64_t floor = 0;
	struct fix x;
	bool late;

	(void)state;
	begin(&x);
	keep_again(&x, &a, false);
	lt_told_name(name, "again", &x.unit, &x.feed, 4);
	(void)snprintf(full, sizeof(full), "%s/0000000000000000", name);
	assert_int_equal(
	    lt_local_put(x.txn, full, lt_slice(no_verdict, sizeof(no_verdict))), LT_OK);
	assert_int_equal(take_again(&x, 4, &floor, &late), LT_E_CORRUPT);
	assert_int_equal(lt_local_put(x.txn, full, lt_slice(no_flag, sizeof(no_flag))), LT_OK);
	assert_int_equal(take_again(&x, 4, &floor, &late), LT_E_CORRUPT);
	assert_int_equal(lt_local_put(x.txn, full, lt_slice(no_flag, 0)), LT_OK);
	assert_int_equal(take_again(&x, 4, &floor, &late), LT_E_CORRUPT);
	assert_int_equal(take_again(&x, 4, &floor, &late), LT_OK);
	assert_int_equal(take_again(&x, 4, &floor, &late), LT_E_NOTFOUND);
	end(&x);
}

/* After a start the hub looks for what waits only where there is any. */
static void
test_any(void **state)
{
	struct said a = { WHOLE, .clamp_from = 1, .clamp_to = 1, .floor = 1 };
	char name[LT_TOLD_NAME];
	struct fix x;
	bool any;

	(void)state;
	begin(&x);
	assert_int_equal(lt_told_any(x.txn, &any), LT_OK);
	assert_false(any);
	(void)keep(&x, &a, 0);
	assert_int_equal(lt_told_any(x.txn, &any), LT_OK);
	assert_true(any);
	lt_told_name(name, "told", &x.unit, &x.feed, 4);
	assert_int_equal(lt_kv_del(x.txn, LT_T_LOCAL, lt_slice_str(name)), LT_OK);
	keep_again(&x, &a, false);
	assert_int_equal(lt_told_any(x.txn, &any), LT_OK);
	assert_true(any);
	end(&x);
}

/* What was said is not known where a row is damaged: nothing is decided instead. */
static void
test_damaged(void **state)
{
	static const uint8_t no_verdict[] = { 0xff };
	struct said a = { WHOLE };
	bool overlaps, differs, last;
	char name[LT_TOLD_NAME];
	struct lt_slice bytes;
	const Ltpb__Verdict *v;
	struct fix x;

	(void)state;
	begin(&x);
	lt_told_name(name, "told", &x.unit, &x.feed, 3);
	assert_int_equal(
	    lt_local_put(x.txn, name, lt_slice(no_verdict, sizeof(no_verdict))), LT_OK);
	assert_int_equal(
	    lt_told_find(x.txn, &x.unit, &x.feed, 2, &x.arena, name, &v), LT_E_CORRUPT);
	v = make(&x, &a, &bytes);
	assert_int_equal(
	    lt_told_compare(x.txn, &x.unit, &x.feed, v, 0, &overlaps, &differs), LT_E_CORRUPT);
	assert_int_equal(lt_told_keep(x.txn, &x.unit, &x.feed, v, bytes, 0, &last), LT_E_CORRUPT);
	end(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decides),
		cmocka_unit_test(test_last),
		cmocka_unit_test(test_part),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_again_damaged),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
