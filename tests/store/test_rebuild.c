/* A second catalogue: whatever is written meanwhile and wherever the rebuild is cut off, the tables become what they would be
 * had that catalogue been there from the beginning. */
#include "history.h"

#include "proto/store/author.h"
#include "proto/store/kv_test.h"
#include "proto/store/rebuild.h"
#include "proto/store/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct lt_catalogue *cat1, *cat2;

static int
load_catalogues(void **state)
{
	(void)state;
	cat1 = world_catalogue();
	cat2 = world_catalogue_other();
	return 0;
}

static int
free_catalogues(void **state)
{
	(void)state;
	lt_catalogue_unref(cat1);
	lt_catalogue_unref(cat2);
	return 0;
}

/* A node: its store, and the catalogue it goes by. */
struct node {
	struct env env;
	struct lt_catalogue *cat;
	struct history *h;
	struct lt_kv_txn *txn;
	struct lt_projection *p;
	bool careful;
};

static void
begin(struct node *n)
{
	struct lt_projection_options o = { .catalogue = n->cat,
		.province = n->h->province,
		.overlay = true,
		.by_hub = history_by_hub,
		.by_hub_ctx = n->h };

	ok(lt_kv_begin_write(n->env.kv, &n->txn));
	o.log = o.derived = n->txn;
	ok(lt_rebuild_check(n->txn, n->cat, false, &o.reindex));
	ok(lt_projection_begin(&o, &n->p));
}

static void
commit(struct node *n)
{
	ok(lt_projection_flush(n->p, NULL, NULL));
	ok(lt_kv_commit(n->txn));
}

static uint64_t
position_of(struct node *n, size_t i)
{
	uint64_t position = 0;

	ok(lt_feed_log_find(
	    n->txn, &n->h->unit, &n->h->set[i].cs.feed, n->h->set[i].cs.seq, &position));
	return position;
}

/* Own ones (feeds 0 and 1) wait for their verdict; the others come judged. */
static void
take(struct node *n, size_t i)
{
	const struct history_set *s = &n->h->set[i];
	bool own = s->feed < 2;
	struct lt_merge_change mc;
	uint64_t position = 0;
	size_t k;

	ok(lt_feed_log_append(n->txn, &s->cs, 1, &position));
	if (!own)
		ok(lt_feed_log_judge(
		    n->txn, &s->cs.unit, &s->cs.feed, s->cs.seq, position, s->effective, &s->j));
	for (k = 0; k < s->cs.nchange; k++) {
		mc = history_change(s, k, !own);
		if (own)
			ok(lt_projection_add_overlay(n->p, &n->h->unit, &mc, position));
		else if (lt_judgement_refuses(&s->j, (uint32_t)k, NULL))
			ok(lt_projection_note(n->p, &n->h->unit, &mc, position));
		else
			ok(lt_projection_add(n->p, &n->h->unit, &mc, position));
	}
}

static void
settle(struct node *n, size_t i)
{
	const struct history_set *s = &n->h->set[i];
	uint64_t position = position_of(n, i);
	struct lt_merge_change mc;
	size_t k;

	ok(lt_feed_log_judge(
	    n->txn, &n->h->unit, &s->cs.feed, s->cs.seq, position, s->effective, &s->j));
	for (k = 0; k < s->cs.nchange; k++) {
		mc = history_change(s, k, true);
		ok(lt_projection_settle(n->p, &n->h->unit, &mc, position,
		    !lt_judgement_refuses(&s->j, (uint32_t)k, NULL)));
	}
}

static int
step_in(struct node *n, struct lt_kv_txn *txn, size_t records, bool *more)
{
	struct lt_rebuild_options o = { .txn = txn,
		.catalogue = n->cat,
		.province = n->h->province,
		.overlay = true,
		.by_hub = history_by_hub,
		.ctx = n->h,
		.records = records,
		.careful = n->careful };
	bool building = false;
	int rc = lt_rebuild_check(txn, n->cat, false, &building);

	*more = false;
	return rc == LT_OK && building ? lt_rebuild_step(&o, more) : rc;
}

/* One step; cut: the power goes before the commit. */
static bool
step(struct node *n, size_t records, bool cut)
{
	struct lt_kv_txn *txn;
	bool more;

	ok(lt_kv_begin_write(n->env.kv, &txn));
	ok(step_in(n, txn, records, &more));
	if (cut)
		lt_kv_abort(txn);
	else
		ok(lt_kv_commit(txn));
	return more || cut;
}

static bool
indexed(struct node *n, uint64_t version)
{
	struct lt_kv_txn *txn;
	bool is = false;

	ok(lt_kv_begin_read(n->env.kv, &txn));
	ok(lt_rebuild_indexed(txn, version, &is));
	lt_kv_abort(txn);
	return is;
}

static void
dump(struct node *n, struct lt_buf *out)
{
	static const unsigned tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_DIGEST,
		LT_T_OVERLAY, LT_T_HISTORY, LT_T_COUNT };
	struct lt_kv_txn *txn;

	lt_buf_clear(out);
	ok(lt_kv_begin_read(n->env.kv, &txn));
	env_dump(txn, tables, out);
	lt_kv_abort(txn);
}

static void
assert_same(struct node *a, struct node *b, uint64_t seed)
{
	struct lt_buf x = { 0 }, y = { 0 };

	dump(a, &x);
	dump(b, &y);
	if (!lt_slice_eq(lt_buf_slice(&x), lt_buf_slice(&y)))
		fail_msg("tables differ, seed %llu", (unsigned long long)seed);
	lt_buf_fini(&x);
	lt_buf_fini(&y);
}

static bool
differ(struct node *a, struct node *b)
{
	struct lt_buf x = { 0 }, y = { 0 };
	bool d;

	dump(a, &x);
	dump(b, &y);
	d = !lt_slice_eq(lt_buf_slice(&x), lt_buf_slice(&y));
	lt_buf_fini(&x);
	lt_buf_fini(&y);
	return d;
}

/* The same history into a node that changes its catalogue on the way and one that had the second from the start. */
static unsigned
one_history(uint64_t seed, bool disk)
{
	size_t order[SETS_MAX] = { 0 }, w = 0, v = 0, change, i, k;
	struct node n = { .cat = cat1 }, ref = { .cat = cat2 };
	struct node *both[] = { &n, &ref };
	unsigned differed = 0;
	bool more = false;
	struct history h;

	history_make(&h, cat1, seed, 40);
	for (i = 0; i < h.n; i++)
		order[i] = i;
	history_order(&h, order);
	n.h = ref.h = &h;
	env_open(&n.env, disk);
	env_open(&ref.env, disk);
	change = 1 + rnd_below(&h.rng, h.n - 1);
	while (v < h.n) {
		size_t ntake = rnd_below(&h.rng, 4), nsettle = rnd_below(&h.rng, 4);

		if (n.cat == cat1 && w >= change) {
			differed += differ(&n, &ref);
			n.cat = cat2;
			assert_false(indexed(&n, 2)); /* before anything was done about it */
			more = true;
		}
		for (k = 0; k < 2; k++) {
			begin(both[k]);
			for (i = w; i < w + ntake && i < h.n; i++)
				take(both[k], order[i]);
			for (i = v; i < v + nsettle && i < w; i++)
				if (h.set[order[i]].feed < 2)
					settle(both[k], order[i]);
			commit(both[k]);
		}
		v = v + nsettle < w ? v + nsettle : w;
		w = w + ntake < h.n ? w + ntake : h.n;
		if (more) {
			assert_false(indexed(&n, 2));
			assert_false(indexed(&n, 1));
			more = step(&n, 1, rnd_below(&h.rng, 3) == 0);
		}
		if (n.cat == cat2 && !more) {
			assert_true(indexed(&n, 2));
			assert_false(indexed(&n, 1));
			assert_same(&n, &ref, seed);
		}
	}
	while (n.cat == cat2 && more)
		more = step(&n, 1, rnd_below(&h.rng, 3) == 0);
	if (n.cat == cat2)
		assert_same(&n, &ref, seed);
	env_close(&n.env);
	env_close(&ref.env);
	history_fini(&h);
	return differed;
}

static void
any_order_mem(void **state)
{
	unsigned differed = 0;
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 200; seed++)
		differed += one_history(seed, false);
	/* That the two catalogues make different tables at all. */
	assert_true(differed > 150);
}

static void
any_order_disk(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 3; seed++)
		(void)one_history(seed, true);
}

static void
fill(struct node *n, struct history *h, uint64_t seed)
{
	size_t i;

	history_make(h, cat1, seed, 30);
	n->h = h;
	env_open(&n->env, false);
	for (i = 0; i < h->n; i++) {
		begin(n);
		take(n, i);
		commit(n);
	}
}

struct fault {
	uint64_t at;
	bool hit;
};

static int
fail_at(void *ctx, uint64_t ordinal)
{
	struct fault *f = ctx;

	if (ordinal != f->at)
		return LT_OK;
	f->hit = true;
	return LT_E_NOSPACE;
}

/* Every call of the store fails once: nothing of that step is kept, and the next one goes on from there. */
static void
disk_full(void **state)
{
	struct node n = { .cat = cat1 }, ref = { .cat = cat2 };
	struct lt_buf before = { 0 }, after = { 0 };
	struct fault fault = { 0 };
	struct history h, h2;
	struct lt_kv_txn *txn;
	bool more = true;
	unsigned hits = 0;

	(void)state;
	fill(&n, &h, 7);
	fill(&ref, &h2, 7);
	n.cat = cat2;
	while (more) {
		fault.hit = false;
		fault.at++;
		env_dump_all(n.env.kv, &before);
		lt_kv_set_fault(n.env.kv, fail_at, &fault);
		if (lt_kv_begin_write(n.env.kv, &txn) == LT_OK) {
			bool m = true;
			int rc = step_in(&n, txn, 1, &m);

			if (rc != LT_OK)
				lt_kv_abort(txn);
			else
				rc = lt_kv_commit(txn);
			assert_int_equal(rc, fault.hit ? LT_E_NOSPACE : LT_OK);
			more = rc != LT_OK || m;
		}
		lt_kv_set_fault(n.env.kv, NULL, NULL);
		hits += fault.hit;
		env_dump_all(n.env.kv, &after);
		if (fault.hit)
			assert_true(lt_slice_eq(lt_buf_slice(&before), lt_buf_slice(&after)));
		else
			fault.at = 0;
		lt_buf_clear(&before);
		lt_buf_clear(&after);
	}
	assert_true(hits > 10);
	assert_same(&n, &ref, 7);
	env_close(&n.env);
	env_close(&ref.env);
	lt_buf_fini(&before);
	lt_buf_fini(&after);
	history_fini(&h);
	history_fini(&h2);
}

static struct lt_slice
rk_of(size_t record, uint8_t rk[LT_KV_KEY_MAX])
{
	static const char head[] = "thing\0" WORLD_UNIT;
	const char *key = history_key(record);

	memcpy(rk, head, sizeof(head));
	memcpy(rk + sizeof(head), key, strlen(key));
	return lt_slice(rk, sizeof(head) + strlen(key));
}

/* The first entry of a record in the history. */
static struct lt_slice
entry_of(struct node *n, size_t record, uint8_t key[LT_KV_KEY_MAX])
{
	size_t len = rk_of(record, key).len;
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;

	key[len] = 0;
	ok(lt_kv_begin_read(n->env.kv, &txn));
	ok(lt_kv_cursor_open(txn, LT_T_HISTORY, &c));
	ok(lt_kv_seek(c, lt_slice(key, len + 1), &k, &v));
	assert_true(k.len > len + 1 && memcmp(k.data, key, len + 1) == 0);
	memcpy(key, k.data, k.len);
	len = k.len;
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return lt_slice(key, len);
}

/* What is stored, damaged or not. */
static void
stored(struct node *n, unsigned table, size_t record, struct lt_buf *out)
{
	uint8_t rk[LT_KV_KEY_MAX];
	struct lt_slice at = rk_of(record, rk), v;
	struct lt_kv_txn *txn;
	int rc;

	lt_buf_clear(out);
	ok(lt_kv_begin_read(n->env.kv, &txn));
	rc = lt_kv_test_get_raw(txn, table, at, &v);
	assert_true(rc == LT_OK || rc == LT_E_NOTFOUND);
	if (rc == LT_OK)
		lt_buf_put_slice(out, v);
	lt_kv_abort(txn);
}

/* As a node does it: what fails on something damaged is done again with care. The number of steps. */
static unsigned
to_the_end(struct node *n, size_t records)
{
	struct lt_kv_txn *txn;
	unsigned steps = 0;
	bool more = true;
	int rc;

	for (; more; steps++) {
		assert_true(steps < 20);
		ok(lt_kv_begin_write(n->env.kv, &txn));
		rc = step_in(n, txn, records, &more);
		if (rc == LT_OK) {
			ok(lt_kv_commit(txn));
		} else {
			assert_true(lt_rebuild_wants_care(rc));
			assert_false(n->careful);
			lt_kv_abort(txn);
			more = true;
		}
		n->careful = rc != LT_OK;
	}
	return steps;
}

/* One record of the table is damaged: it stays, the others become those of the new catalogue, and it is the only thing that
 * is wrong: made whole again, everything is as if nothing had been. */
static bool
one_damaged(unsigned table, size_t record, size_t records)
{
	static const unsigned rows[] = { LT_T_RECORD, LT_T_SHOWN };
	struct node n = { .cat = cat1 }, first = { .cat = cat1 }, ref = { .cat = cat2 };
	struct lt_buf a = { 0 }, b = { 0 };
	uint8_t rk[LT_KV_KEY_MAX];
	struct history h, h1, h2;
	struct lt_slice at;
	size_t i, t;
	int rc;

	fill(&n, &h, 7);
	fill(&first, &h1, 7);
	fill(&ref, &h2, 7);
	at = table == LT_T_HISTORY ? entry_of(&n, record, rk) : rk_of(record, rk);
	rc = lt_kv_test_flip(n.env.kv, table, at, 3, NULL);
	assert_true(rc == LT_OK || rc == LT_E_NOTFOUND);
	if (rc == LT_OK) {
		n.cat = cat2;
		(void)to_the_end(&n, records);
		assert_true(indexed(&n, 2));
		for (i = 0; i < RECORDS; i++)
			for (t = 0; t < 2; t++) {
				stored(&n, rows[t], i, &a);
				stored(i == record ? &first : &ref, rows[t], i, &b);
				if (i == record && rows[t] == table)
					b.data[0] ^= 1 << 3;
				assert_true(lt_slice_eq(lt_buf_slice(&a), lt_buf_slice(&b)));
			}
		ok(lt_kv_test_flip(n.env.kv, table, at, 3, NULL));
		n.cat = cat1;
		(void)to_the_end(&n, records);
		assert_same(&n, &first, 7);
	}
	env_close(&n.env);
	env_close(&first.env);
	env_close(&ref.env);
	history_fini(&h);
	history_fini(&h1);
	history_fini(&h2);
	lt_buf_fini(&a);
	lt_buf_fini(&b);
	return rc == LT_OK;
}

static void
damaged(void **state)
{
	static const unsigned tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_HISTORY };
	size_t t, i, records;

	(void)state;
	for (t = 0; t < 3; t++) {
		unsigned hits = 0;

		for (i = 0; i < RECORDS; i++)
			for (records = 1; records <= RECORDS + 1; records++)
				hits += one_damaged(tables[t], i, records);
		assert_true(hits >= 2 * (RECORDS + 1));
	}
}

/* A third catalogue in the middle (here: the first one again) begins anew; records not known are passed over. */
static void
changed_again(void **state)
{
	struct node n = { .cat = cat1 }, ref = { .cat = cat1 };
	struct history h, h2;

	(void)state;
	fill(&n, &h, 11);
	fill(&ref, &h2, 11);
	n.cat = cat2;
	assert_true(step(&n, 1, false));
	assert_true(step(&n, 1, false));
	n.cat = cat1;
	assert_true(step(&n, 1, false));
	assert_false(indexed(&n, 1));
	while (step(&n, 1, false))
		;
	assert_true(indexed(&n, 1));
	assert_same(&n, &ref, 11);
	/* Nothing to do: nothing is done. */
	assert_false(step(&n, 1, false));
	env_close(&n.env);
	env_close(&ref.env);
	history_fini(&h);
	history_fini(&h2);
}

/* Whose the rows are when nothing says so. */
static void
unmarked(void **state)
{
	struct lt_catalogue *none = NULL;
	struct lt_kv_txn *txn;
	struct env e;
	bool building;

	(void)state;
	ok(lt_catalogue_builtin(&none));
	env_open(&e, false);
	ok(lt_kv_begin_write(e.kv, &txn));
	ok(lt_rebuild_check(txn, none, true, &building));
	assert_false(building);
	ok(lt_rebuild_check(txn, none, false, &building));
	assert_false(building);
	ok(lt_rebuild_indexed(txn, 0, &building));
	assert_true(building);
	ok(lt_rebuild_check(txn, cat1, false, &building)); /* the first catalogue */
	assert_false(building);
	ok(lt_rebuild_check(txn, cat1, true, &building));
	assert_false(building);
	lt_kv_abort(txn);
	/* A store of before the note: its rows may be of any catalogue. */
	ok(lt_kv_begin_write(e.kv, &txn));
	ok(lt_rebuild_check(txn, cat1, true, &building));
	assert_true(building);
	ok(lt_rebuild_check(txn, cat1, false, &building));
	assert_true(building);
	lt_kv_abort(txn);
	/* A note that is none. */
	ok(lt_kv_begin_write(e.kv, &txn));
	ok(lt_local_put(txn, "rows", lt_slice("\0\0\0\2\0\0\0\0\0\0\0\1", 12)));
	assert_int_equal(lt_rebuild_check(txn, cat1, false, &building), LT_E_CORRUPT);
	ok(lt_local_put(txn, "rows", lt_slice("\0\0\0\2\0\0\0\0\0\0\0\1\2", 13)));
	assert_int_equal(lt_rebuild_check(txn, cat1, false, &building), LT_E_CORRUPT);
	ok(lt_local_put(txn, "rows", lt_slice("\0\0\0\2\0\0\0\0\0\0\0\1\0", 13)));
	ok(lt_rebuild_check(txn, cat1, false, &building));
	assert_false(building);
	/* Another version of the merge: the one before. */
	ok(lt_local_put(txn, "rows", lt_slice("\0\0\0\1\0\0\0\0\0\0\0\1\0", 13)));
	ok(lt_rebuild_check(txn, cat1, false, &building));
	assert_true(building);
	lt_kv_abort(txn);
	env_close(&e);
	lt_catalogue_unref(none);
}

/* ---- how long it takes: LT_MEASURE=records ---- */

static int64_t
now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#define PER_SET 500

static void
fill_many(struct node *n, struct history *h, size_t count)
{
	struct lt_draft d[PER_SET];
	struct author a;
	struct feed f;
	size_t i, k;

	history_make(h, cat1, 1, 1);
	n->h = h;
	env_open(&n->env, true);
	author_init(&a, 9);
	feed_init(&f, &a, WORLD_UNIT, LT_LANE_NORMAL, 1);
	for (i = 0; i < count; i += PER_SET) {
		struct lt_judgement j = { 0 };
		struct lt_buf bytes = { 0 };
		struct lt_changeset cs;
		struct lt_arena arena;
		uint64_t position;

		lt_arena_init(&arena, (size_t)64 << 20);
		for (k = 0; k < PER_SET; k++) {
			char key[40], text[40];

			(void)snprintf(key, sizeof(key), "17254/%zu", i + k + 1);
			(void)snprintf(text, sizeof(text), "value %zu", (i + k) * 7919 % count);
			d[k] = world_draft(&arena, "thing", lt_arena_dup(&arena, key, strlen(key)),
			    fs_text(&arena, "a", lt_arena_dup(&arena, text, strlen(text))),
			    fs_int(&arena, "b", (int64_t)(i + k)), fs_enum(&arena, "e", "red"),
			    NULL);
		}
		feed_seal(&f, LT_STAMP(1000 + i, 0), d, PER_SET, &bytes);
		begin(n);
		world_append(n->txn, lt_buf_slice(&bytes), &arena, &cs, &position);
		ok(lt_feed_log_judge(n->txn, &cs.unit, &cs.feed, cs.seq, position, cs.stamp, &j));
		for (k = 0; k < PER_SET; k++) {
			struct lt_merge_change mc = { .dot = { cs.feed, cs.seq, (uint32_t)k },
				.stamp = cs.stamp,
				.change = &cs.change[k] };

			ok(lt_projection_add(n->p, &cs.unit, &mc, position));
		}
		commit(n);
		lt_buf_fini(&bytes);
		lt_arena_fini(&arena);
	}
}

static void
measure(void **state)
{
	const char *text = getenv("LT_MEASURE");
	size_t count = text == NULL ? 0 : (size_t)strtoul(text, NULL, 10), steps = 0;
	int64_t start, longest = 0, t, all;
	struct node n = { .cat = cat1 };
	struct history h;
	bool more = true;

	(void)state;
	if (count == 0)
		return;
	fill_many(&n, &h, count);
	n.cat = cat2;
	start = now_us();
	for (; more; steps++) {
		t = now_us();
		more = step(&n, 512, false);
		t = now_us() - t;
		longest = t > longest ? t : longest;
	}
	all = now_us() - start;
	print_message("%zu records in %zu steps: %lld ms, the longest %lld ms\n", count, steps,
	    (long long)all / 1000, (long long)longest / 1000);
	n.cat = cat1;
	start = now_us();
	assert_false(step(&n, count + 1, false));
	print_message("in one transaction: %lld ms\n", (long long)(now_us() - start) / 1000);
	env_close(&n.env);
	history_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_mem),
		cmocka_unit_test(any_order_disk),
		cmocka_unit_test(disk_full),
		cmocka_unit_test(damaged),
		cmocka_unit_test(changed_again),
		cmocka_unit_test(unmarked),
		cmocka_unit_test(measure),
	};

	return cmocka_run_group_tests(tests, load_catalogues, free_catalogues);
}
