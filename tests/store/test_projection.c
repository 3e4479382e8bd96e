/* The projection: whatever the order, the batches and the kind of store, the same feeds give the same rows, shown values,
 * indexes, history and digests, and a rebuild gives them again. */
#include "history.h"

#include "proto/base/clock.h"
#include "proto/model/digest.h"
#include "proto/store/kv_test.h"
#include "proto/store/projection_impl.h"
#include "proto/store/short_row.h"

#include <stdlib.h>

static struct lt_catalogue *cat;
static const unsigned derived_tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_DIGEST,
	LT_T_OVERLAY, LT_T_COUNT };

static int
load_catalogue(void **state)
{
	(void)state;
	cat = world_catalogue();
	return 0;
}

static int
free_catalogue(void **state)
{
	(void)state;
	lt_catalogue_unref(cat);
	return 0;
}

static struct lt_projection *
begin_behind(const struct history *h, struct lt_kv_txn *log, struct lt_kv_txn *derived,
    const struct lt_projection *before, struct lt_projection *spare)
{
	struct lt_projection_options o = { .log = log,
		.derived = derived,
		.catalogue = cat,
		.province = h->province,
		.before = before,
		.spare = spare };
	struct lt_projection *p = NULL;

	ok(lt_projection_begin(&o, &p));
	return p;
}

static struct lt_projection *
begin(const struct history *h, struct lt_kv_txn *log, struct lt_kv_txn *derived, bool overlay)
{
	struct lt_projection_options o = { .log = log,
		.derived = derived,
		.catalogue = cat,
		.province = h->province,
		.overlay = overlay };
	struct lt_projection *p = NULL;

	ok(lt_projection_begin(&o, &p));
	return p;
}

static void
append(const struct history *h, struct lt_kv_txn *log, size_t i, bool judge)
{
	const struct history_set *s = &h->set[i];
	uint64_t position = 0;

	ok(lt_feed_log_append(log, &s->cs, 1, &position));
	if (judge)
		ok(lt_feed_log_judge(
		    log, &s->cs.unit, &s->cs.feed, s->cs.seq, position, s->effective, &s->j));
}

static uint64_t
position_of(const struct history *h, struct lt_kv_txn *log, size_t i)
{
	uint64_t position = 0;

	ok(lt_feed_log_find(log, &h->unit, &h->set[i].cs.feed, h->set[i].cs.seq, &position));
	return position;
}

static void
project(const struct history *h, struct lt_kv_txn *log, struct lt_projection *p, size_t i)
{
	const struct history_set *s = &h->set[i];
	uint64_t position = position_of(h, log, i);
	struct lt_merge_change mc;
	size_t k;

	for (k = 0; k < s->cs.nchange; k++) {
		mc = history_change(s, k, true);
		if (lt_judgement_refuses(&s->j, (uint32_t)k, NULL))
			ok(lt_projection_note(p, &h->unit, &mc, position));
		else
			ok(lt_projection_add(p, &h->unit, &mc, position));
	}
}

/* Everything derived; of the history the keys alone, as positions differ with the order of arrival. */
static void
dump(struct env *e, struct lt_buf *out)
{
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc;

	lt_buf_clear(out);
	ok(lt_kv_begin_read(e->kv, &txn));
	env_dump(txn, derived_tables, out);
	ok(lt_kv_cursor_open(txn, LT_T_HISTORY, &c));
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK; rc = lt_kv_next(c, &k, &v))
		lt_buf_framed(out, k);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
}

static void
assert_same(const struct lt_buf *a, const struct lt_buf *b, uint64_t seed)
{
	if (!lt_slice_eq(lt_buf_slice(a), lt_buf_slice(b)))
		fail_msg("tables differ, seed %llu", (unsigned long long)seed);
}

/* Log and tables in one environment and one transaction, batches of random size. */
static void
play_one_env(struct history *h, struct env *e, const size_t *order)
{
	struct lt_kv_txn *txn;
	struct lt_projection *p = NULL;
	size_t i = 0, n;

	while (i < h->n) {
		n = 1 + rnd_below(&h->rng, 7);
		ok(lt_kv_begin_write(e->kv, &txn));
		p = begin(h, txn, txn, false);
		for (; n > 0 && i < h->n; n--, i++) {
			append(h, txn, order[i], true);
			project(h, txn, p, order[i]);
			/* The same again changes nothing. */
			if (rnd_below(&h->rng, 5) == 0)
				project(h, txn, p, order[i]);
		}
		ok(lt_projection_flush(p, NULL, NULL));
		ok(lt_kv_commit(txn));
	}
}

/* The hub's way: the log first, the tables later from another environment. */
static void
play_two_env(struct history *h, struct env *log, struct env *derived, const size_t *order)
{
	struct lt_kv_txn *lt, *dt;
	struct lt_projection *p = NULL;
	size_t i, n;

	ok(lt_kv_begin_write(log->kv, &lt));
	for (i = 0; i < h->n; i++)
		append(h, lt, order[i], true);
	ok(lt_kv_commit(lt));
	for (i = 0; i < h->n;) {
		n = 1 + rnd_below(&h->rng, 25);
		ok(lt_kv_begin_read(log->kv, &lt));
		ok(lt_kv_begin_write(derived->kv, &dt));
		p = begin(h, lt, dt, false);
		for (; n > 0 && i < h->n; n--, i++)
			project(h, lt, p, order[i]);
		ok(lt_projection_flush(p, NULL, NULL));
		ok(lt_kv_commit(dt));
		lt_kv_abort(lt);
	}
}

/* Every batch is worked out upon the one before: while that is not written, while it is, or when it is there. Half of those that are over
 * leave their memory to the next. */
static void
play_ahead(struct history *h, struct env *log, struct env *derived, const size_t *order)
{
	struct lt_projection *p, *before = NULL, *spare = NULL;
	struct lt_kv_txn *lt, *dt, *wt = NULL;
	size_t i, n, when;

	for (i = 0; i < h->n;) {
		n = 1 + rnd_below(&h->rng, 7);
		when = before == NULL ? 4 : rnd_below(&h->rng, 4);
		ok(lt_kv_begin_read(log->kv, &lt));
		if (when < 3)
			ok(lt_kv_begin_read(derived->kv, &dt));
		if (before != NULL) {
			ok(lt_kv_begin_write(derived->kv, &wt));
			if (when != 2)
				ok(lt_projection_write(before, wt));
			if (when == 0 || when == 3)
				ok(lt_kv_commit(wt));
		}
		if (when >= 3)
			ok(lt_kv_begin_read(derived->kv, &dt));
		p = begin_behind(h, lt, dt, before, spare);
		spare = NULL;
		for (; n > 0 && i < h->n; n--, i++)
			project(h, lt, p, order[i]);
		ok(lt_projection_work(p));
		lt_kv_abort(dt);
		lt_kv_abort(lt);
		if (when == 2)
			ok(lt_projection_write(before, wt));
		if (when == 1 || when == 2)
			ok(lt_kv_commit(wt));
		if (before != NULL && rnd_below(&h->rng, 2) == 0) {
			lt_projection_end(before);
			spare = before;
		} else {
			lt_projection_abort(before);
		}
		before = p;
	}
	ok(lt_kv_begin_write(derived->kv, &wt));
	ok(lt_projection_write(before, wt));
	ok(lt_kv_commit(wt));
	lt_projection_abort(before);
	lt_projection_abort(spare);
}

static void
rebuild_all(struct history *h, struct env *log, struct env *derived, bool overlay)
{
	struct lt_kv_txn *lt, *dt;
	struct lt_projection *p = NULL;
	size_t r, t;

	ok(lt_kv_begin_write(derived->kv, &dt));
	lt = dt;
	if (log != derived)
		ok(lt_kv_begin_read(log->kv, &lt));
	for (t = 0; t < 4; t++)
		ok(lt_kv_clear(dt, derived_tables[t]));
	p = begin(h, lt, dt, overlay);
	for (r = 0; r < RECORDS; r++)
		ok(lt_projection_rebuild(p, "thing", &h->unit, history_key(r), history_by_hub, h));
	ok(lt_projection_flush(p, NULL, NULL));
	ok(lt_kv_commit(dt));
	if (log != derived)
		lt_kv_abort(lt);
}

/* ---- what the tables must hold, worked out from the rows and records alone ---- */

static int
key_order(const void *a, const void *b)
{
	return lt_slice_cmp(*(const struct lt_slice *)a, *(const struct lt_slice *)b);
}

struct keys {
	struct lt_arena arena;
	struct lt_slice k[256];
	size_t n;
};

static void
expect_key(struct keys *keys, const char *field, const char *value, const char *key)
{
	struct lt_buf b = { 0 };

	lt_buf_str(&b, "thing");
	lt_buf_u8(&b, 0);
	lt_buf_str(&b, field);
	lt_buf_u8(&b, 0);
	lt_buf_str(&b, value);
	lt_buf_u8(&b, 0);
	lt_buf_str(&b, WORLD_UNIT);
	lt_buf_u8(&b, 0);
	lt_buf_str(&b, key);
	keys->k[keys->n++] = lt_slice(lt_arena_dup(&keys->arena, b.data, b.len), b.len);
	lt_buf_fini(&b);
}

static void
expect_number(struct keys *keys, const char *field, int64_t v, const char *key)
{
	char hex[32];

	(void)snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)v ^ 0x8000000000000000ull);
	expect_key(keys, field, hex, key);
}

static int
expect_record(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	struct keys *keys = ctx;
	Ltpb__Record *r = ltpb__record__unpack(NULL, record.len, record.data);
	size_t i, k;

	(void)rk;
	assert_non_null(r);
	expect_number(keys, "no", strtoll(r->key + 6, NULL, 10), r->key);
	for (i = 0; i < r->n_field; i++) {
		const char *name = r->field[i]->name;
		const Ltpb__Value *v = r->field[i]->value;

		assert_true(i == 0 || strcmp(r->field[i - 1]->name, name) < 0);
		assert_null(strchr("_", name[0]));
		if (strchr("ap", name[0]) != NULL)
			expect_key(keys, name, v->text, r->key);
		if (name[0] == 'e')
			expect_key(keys, name, v->enumeration, r->key);
		if (name[0] == 'g')
			expect_number(keys, name, v->decimal->unscaled, r->key);
		for (k = 0; name[0] == 'd' && k < v->set->n_item; k++)
			expect_key(keys, name, v->set->item[k], r->key);
	}
	ltpb__record__free_unpacked(r, NULL);
	return LT_OK;
}

static void
check_index(struct lt_kv_txn *txn)
{
	struct keys keys = { .n = 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t i;

	lt_arena_init(&keys.arena, (size_t)1 << 20);
	ok(lt_record_each(txn, "thing", NULL, lt_slice(NULL, 0), expect_record, &keys));
	qsort(keys.k, keys.n, sizeof(keys.k[0]), key_order);
	ok(lt_kv_cursor_open(txn, LT_T_INDEX, &c));
	for (i = 0; i < keys.n; i++) {
		ok(i == 0 ? lt_kv_seek(c, lt_slice(NULL, 0), &k, &v) : lt_kv_next(c, &k, &v));
		if (!lt_slice_eq(k, keys.k[i]))
			fail_msg("index has \"%s\", \"%s\" was expected", k.data + 6,
			    keys.k[i].data + 6);
	}
	assert_int_equal(
	    keys.n == 0 ? lt_kv_seek(c, lt_slice(NULL, 0), &k, &v) : lt_kv_next(c, &k, &v),
	    LT_E_NOTFOUND);
	lt_kv_cursor_close(c);
	lt_arena_fini(&keys.arena);
}

static void
check_digest(struct lt_kv_txn *txn)
{
	uint16_t lanes[LT_DIGEST_LANES] = { 0 };
	uint8_t want[16], got[16];
	struct lt_buf mem = { 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc;

	ok(lt_kv_cursor_open(txn, LT_T_RECORD, &c));
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
	     rc = lt_kv_next(c, &k, &v)) {
		char key[64] = { 0 };
		struct lt_record_id id = { "thing", WORLD_UNIT, key };

		memcpy(key, k.data + 12, k.len - 12);
		ok(lt_record_whole(txn, k, v, &mem, &v));
		ok(lt_row_check(v, NULL));
		lt_digest_add(lanes, &id, v);
	}
	lt_kv_cursor_close(c);
	lt_buf_fini(&mem);
	lt_digest_lanes_short(want, lanes);
	ok(lt_digest_short(txn, "thing", WORLD_UNIT, got));
	assert_memory_equal(want, got, 16);
}

/* Rows folded from the changes themselves. overlay: also those of `unjudged` places. */
static void
fold(struct history *h, size_t record, const bool *judged, const bool *unjudged, struct lt_buf *row)
{
	const struct lt_collection *col = lt_catalogue_find(cat, "thing");
	struct lt_buf next = { 0 }, t;
	size_t i, k;

	lt_buf_clear(row);
	for (i = 0; i < h->n; i++) {
		for (k = 0; k < h->set[i].cs.nchange; k++) {
			struct lt_merge_change mc = history_change(&h->set[i], k, judged[i]);

			if (!(judged[i] || (unjudged != NULL && unjudged[i])) ||
			    strcmp(mc.change->key, history_key(record)) != 0 ||
			    (judged[i] && lt_judgement_refuses(&h->set[i].j, (uint32_t)k, NULL)))
				continue;
			lt_buf_clear(&next);
			ok(lt_merge_apply(&col->rules, false, lt_buf_slice(row), &mc, &next));
			t = *row;
			*row = next;
			next = t;
		}
	}
	lt_buf_fini(&next);
}

static void
check_rows(struct history *h, struct lt_kv_txn *txn, const bool *judged, const bool *unjudged)
{
	struct lt_buf want = { 0 }, got = { 0 }, rk = { 0 }, mem = { 0 };
	struct lt_arena arena;
	struct lt_slice v;
	Ltpb__Record *r;
	uint8_t revision[16];
	size_t i;
	int rc;

	for (i = 0; i < RECORDS; i++) {
		fold(h, i, judged, NULL, &want);
		lt_buf_clear(&rk);
		lt_key_record(&rk, "thing", WORLD_UNIT, history_key(i));
		rc = lt_kv_get(txn, LT_T_RECORD, lt_buf_slice(&rk), &v);
		assert_int_equal(rc, want.len == 0 ? LT_E_NOTFOUND : LT_OK);
		if (rc == LT_OK) {
			ok(lt_record_whole(txn, lt_buf_slice(&rk), v, &mem, &v));
			assert_true(lt_slice_eq(v, lt_buf_slice(&want)));
		}
		fold(h, i, judged, unjudged, &want);
		lt_buf_clear(&got);
		rc = lt_record_row(
		    txn, txn, cat, &h->province, "thing", WORLD_UNIT, history_key(i), &got);
		assert_int_equal(rc, want.len == 0 ? LT_E_NOTFOUND : LT_OK);
		assert_true(lt_slice_eq(lt_buf_slice(&got), lt_buf_slice(&want)));
		lt_arena_init(&arena, (size_t)1 << 20);
		rc = lt_record_get(txn, "thing", WORLD_UNIT, history_key(i), &arena, &r);
		if (rc == LT_OK) {
			lt_record_revision(lt_buf_slice(&want), revision);
			assert_memory_equal(r->revision.data, revision, 16);
		} else {
			assert_int_equal(rc, LT_E_NOTFOUND);
		}
		lt_arena_fini(&arena);
	}
	lt_buf_fini(&want);
	lt_buf_fini(&got);
	lt_buf_fini(&rk);
	lt_buf_fini(&mem);
}

static void
check_all(struct history *h, struct env *e, const bool *judged, const bool *unjudged)
{
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_read(e->kv, &txn));
	if (judged != NULL)
		check_rows(h, txn, judged, unjudged);
	check_index(txn);
	check_digest(txn);
	lt_kv_abort(txn);
}

static void
one_history(uint64_t seed, bool disk)
{
	bool all[SETS_MAX];
	size_t order[SETS_MAX] = { 0 }, i;
	struct lt_buf first = { 0 }, other = { 0 };
	struct env a, log, derived;
	struct history h;

	history_make(&h, cat, seed, 45);
	for (i = 0; i < h.n; i++) {
		order[i] = i;
		all[i] = true;
	}
	env_open(&a, disk);
	play_one_env(&h, &a, order);
	dump(&a, &first);
	check_all(&h, &a, all, NULL);
	rebuild_all(&h, &a, &a, false);
	dump(&a, &other);
	assert_same(&first, &other, seed);

	history_order(&h, order);
	env_open(&log, disk);
	env_open(&derived, disk);
	play_two_env(&h, &log, &derived, order);
	dump(&derived, &other);
	assert_same(&first, &other, seed);
	check_all(&h, &derived, NULL, NULL);
	rebuild_all(&h, &log, &derived, false);
	dump(&derived, &other);
	assert_same(&first, &other, seed);
	env_close(&a);
	env_close(&log);
	env_close(&derived);
	lt_buf_fini(&first);
	lt_buf_fini(&other);
	history_fini(&h);
}

static void
any_order_mem(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 150; seed++)
		one_history(seed, false);
}

static void
any_order_disk(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 4; seed++)
		one_history(seed, true);
}

/* ---- a node: its own changes are shown at once and judged later ---- */

static void
settle(struct history *h, struct lt_kv_txn *txn, struct lt_projection *p, size_t i)
{
	const struct history_set *s = &h->set[i];
	uint64_t position = position_of(h, txn, i);
	struct lt_merge_change mc;
	size_t k;

	ok(lt_feed_log_judge(txn, &h->unit, &s->cs.feed, s->cs.seq, position, s->effective, &s->j));
	for (k = 0; k < s->cs.nchange; k++) {
		mc = history_change(s, k, true);
		ok(lt_projection_settle(
		    p, &h->unit, &mc, position, !lt_judgement_refuses(&s->j, (uint32_t)k, NULL)));
	}
}

static void
write_own(struct history *h, struct lt_kv_txn *txn, struct lt_projection *p, size_t i)
{
	struct lt_merge_change mc;
	size_t k;

	append(h, txn, i, false);
	for (k = 0; k < h->set[i].cs.nchange; k++) {
		mc = history_change(&h->set[i], k, false);
		ok(lt_projection_add_overlay(p, &h->unit, &mc, position_of(h, txn, i)));
	}
}

static void
node_history(uint64_t seed, bool disk)
{
	bool judged[SETS_MAX] = { false }, unjudged[SETS_MAX] = { false };
	size_t order[SETS_MAX] = { 0 }, i, w = 0, v = 0;
	struct lt_buf want = { 0 }, got = { 0 }, again = { 0 };
	struct lt_projection *p = NULL;
	struct lt_kv_txn *txn;
	struct env hub, node;
	struct history h;

	history_make(&h, cat, seed, 40);
	for (i = 0; i < h.n; i++)
		order[i] = i;
	env_open(&hub, false);
	play_one_env(&h, &hub, order);
	dump(&hub, &want);
	history_order(&h, order);
	env_open(&node, disk);
	/* w: next to be written or pulled; v: next own verdict. */
	while (v < h.n) {
		ok(lt_kv_begin_write(node.kv, &txn));
		p = begin(&h, txn, txn, true);
		for (i = rnd_below(&h.rng, 4); i > 0 && w < h.n; i--, w++) {
			if (h.set[order[w]].feed < 2) {
				write_own(&h, txn, p, order[w]);
				unjudged[order[w]] = true;
			} else {
				append(&h, txn, order[w], true);
				project(&h, txn, p, order[w]);
				judged[order[w]] = true;
			}
		}
		for (i = rnd_below(&h.rng, w == h.n ? 6 : 3); i > 0 && v < w; i--, v++) {
			if (h.set[order[v]].feed >= 2)
				continue;
			settle(&h, txn, p, order[v]);
			judged[order[v]] = true;
			unjudged[order[v]] = false;
		}
		ok(lt_projection_flush(p, NULL, NULL));
		ok(lt_kv_commit(txn));
		check_all(&h, &node, judged, unjudged);
		if (rnd_below(&h.rng, 8) == 0) {
			dump(&node, &got);
			rebuild_all(&h, &node, &node, true);
			dump(&node, &again);
			assert_same(&got, &again, seed);
		}
	}
	dump(&node, &got);
	assert_same(&want, &got, seed);
	env_close(&hub);
	env_close(&node);
	lt_buf_fini(&want);
	lt_buf_fini(&got);
	lt_buf_fini(&again);
	history_fini(&h);
}

static void
overlay_mem(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1000; seed < 1080; seed++)
		node_history(seed, false);
}

static void
overlay_disk(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1000; seed < 1002; seed++)
		node_history(seed, true);
}

/* ---- single things ---- */

struct fix {
	struct env env;
	struct lt_arena arena;
	struct history h; /* authors, feeds, units; no history */
	struct lt_kv_txn *txn;
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	history_make(&f->h, cat, 5, 0);
	env_open(&f->env, false);
	lt_arena_init(&f->arena, (size_t)64 << 20);
	ok(lt_kv_begin_write(f->env.kv, &f->txn));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_kv_abort(f->txn);
	env_close(&f->env);
	lt_arena_fini(&f->arena);
	history_fini(&f->h);
	free(f);
	return 0;
}

struct told {
	size_t n;
	char last[400];
};

static void
on_touched(void *ctx, const char *collection, const char *unit, const char *key)
{
	struct told *t = ctx;

	t->n++;
	(void)snprintf(t->last, sizeof(t->last), "%s %s %s", collection, unit, key);
}

/* Seal, append, judge as accepted, project; how many records changed. */
static size_t
put(struct fix *f, size_t feed, const struct lt_draft *d, size_t n)
{
	struct lt_projection *p = begin(&f->h, f->txn, f->txn, false);
	struct feed *fd = &f->h.feed[feed];
	struct lt_judgement none = { 0 };
	struct lt_buf b = { 0 };
	struct told told = { 0 };
	struct lt_changeset cs;
	uint64_t position = 0;
	uint8_t *copy;
	size_t i;

	feed_seal(fd, (fd->stamp == 0 ? LT_STAMP(LT_BUILD_FLOOR_MS, 0) : fd->stamp) + 1, d, n, &b);
	copy = lt_arena_dup(&f->arena, b.data, b.len);
	world_append(f->txn, lt_slice(copy, b.len), &f->arena, &cs, &position);
	ok(lt_feed_log_judge(f->txn, &cs.unit, &cs.feed, cs.seq, position, cs.stamp, &none));
	for (i = 0; i < cs.nchange; i++) {
		struct lt_merge_change mc = { .dot = { cs.feed, cs.seq, (uint32_t)i },
			.stamp = cs.stamp,
			.hash8 = lt_load_u64(cs.hash.b),
			.change = &cs.change[i] };

		ok(lt_projection_add(p, &cs.unit, &mc, position));
	}
	ok(lt_projection_flush(p, on_touched, &told));
	lt_buf_fini(&b);
	return told.n;
}

static struct lt_draft
draft(struct fix *f, const char *key, Ltpb__FieldSet *a, Ltpb__FieldSet *b)
{
	struct lt_draft d = { .collection = "thing", .key = key };

	d.set = lt_arena_alloc(&f->arena, 2 * sizeof(*d.set));
	if (a != NULL)
		d.set[d.nset++] = a;
	if (b != NULL)
		d.set[d.nset++] = b;
	return d;
}

/* A deleted record is not shown and not indexed; its row stays, and so does what covered it. */
static void
deleted(void **state)
{
	struct fix *f = *state;
	struct lt_draft d = draft(
			    f, "17254/1", fs_text(&f->arena, "a", "x"), fs_int(&f->arena, "b", 3)),
			del;
	Ltpb__Record *r;
	uint64_t n;

	assert_int_equal(put(f, 0, &d, 1), 1);
	ok(lt_record_get(f->txn, "thing", WORLD_UNIT, "17254/1", &f->arena, &r));
	assert_int_equal(r->n_field, 2);
	assert_string_equal(r->unit, WORLD_UNIT);
	assert_int_equal(r->changed_ms, LT_BUILD_FLOOR_MS);
	assert_false(r->incomplete);
	ok(lt_kv_count(f->txn, LT_T_INDEX, &n));
	assert_int_equal(n, 2); /* a and the key's no */
	memset(&del, 0, sizeof(del));
	del.collection = "thing";
	del.key = "17254/1";
	del.is_delete = true;
	assert_int_equal(put(f, 0, &del, 1), 1);
	assert_int_equal(
	    lt_record_get(f->txn, "thing", WORLD_UNIT, "17254/1", &f->arena, &r), LT_E_NOTFOUND);
	ok(lt_kv_count(f->txn, LT_T_INDEX, &n));
	assert_int_equal(n, 0);
	ok(lt_kv_count(f->txn, LT_T_SHOWN, &n));
	assert_int_equal(n, 0);
	ok(lt_kv_count(f->txn, LT_T_RECORD, &n));
	assert_int_equal(n, 1);
	ok(lt_kv_count(f->txn, LT_T_HISTORY, &n));
	assert_int_equal(n, 2);
	assert_int_equal(put(f, 0, &d, 1), 1);
	ok(lt_record_get(f->txn, "thing", WORLD_UNIT, "17254/1", &f->arena, &r));
}

/* What may not become a record. */
static void
refused_collections(void **state)
{
	struct fix *f = *state;
	struct lt_projection *p = begin(&f->h, f->txn, f->txn, false);
	struct lt_change c = { .collection = "_verdict", .key = "k" };
	struct lt_merge_change mc = { .dot = { f->h.feed[0].id, 1, 0 }, .change = &c };
	uint64_t n;
	int i;

	assert_int_equal(lt_projection_add(p, &f->h.unit, &mc, 1), LT_E_INVALID);
	ok(lt_projection_note(p, &f->h.unit, &mc, 1)); /* refused like any other, and no record */
	c.collection = "no_such";
	assert_int_equal(lt_projection_add(p, &f->h.unit, &mc, 1), LT_E_UNKNOWN);
	assert_int_equal(
	    lt_projection_rebuild(p, "no_such", &f->h.unit, "k", history_by_hub, &f->h),
	    LT_E_UNKNOWN);
	ok(lt_projection_note(p, &f->h.unit, &mc, 1));
	ok(lt_projection_flush(p, NULL, NULL));
	for (i = 0; i < LT_T_COUNT; i++) {
		ok(lt_kv_count(f->txn, (unsigned)i, &n));
		assert_int_equal(n, i == LT_T_HISTORY ? 1 : 0);
	}
	lt_projection_abort(NULL);
}

/* The record's row as it is stored, which is short and holds nothing personal; *row: whole. */
static void
stored_short(struct fix *f, struct lt_buf *stored, struct lt_buf *row)
{
	struct lt_buf rk = { 0 }, mem = { 0 };
	struct lt_slice v, whole;

	lt_key_record(&rk, "thing", WORLD_UNIT, "17254/1");
	ok(lt_kv_get(f->txn, LT_T_RECORD, lt_buf_slice(&rk), &v));
	assert_true(lt_short_row_is(v));
	lt_buf_clear(stored);
	lt_buf_put_slice(stored, v);
	ok(lt_record_whole(f->txn, lt_buf_slice(&rk), v, &mem, &whole));
	ok(lt_row_check(whole, NULL));
	assert_true(whole.len > v.len);
	assert_null(memmem(whole.data, whole.len, "an-personal", 11));
	lt_buf_clear(row);
	lt_buf_put_slice(row, whole);
	lt_buf_fini(&rk);
	lt_buf_fini(&mem);
}

static void
none_differs(void *ctx, unsigned table, struct lt_slice key, int how)
{
	(void)ctx;
	fail_msg("%s differs: %d, %.*s", lt_table_names[table], how, (int)key.len,
	    (const char *)key.data);
}

/* What stands there is what working it out anew gives. */
static void
nothing_differs(struct fix *f)
{
	struct lt_projection *p = begin(&f->h, f->txn, f->txn, false);

	ok(lt_projection_rebuild(p, "thing", &f->h.unit, "17254/1", history_by_hub, &f->h));
	ok(lt_projection_compare(p, none_differs, NULL));
	lt_projection_abort(p);
}

/* A personal value whose opening is not here is named as withheld, and found once the opening comes. */
static void
withheld(void **state)
{
	struct fix *f = *state;
	struct lt_draft d = draft(f, "17254/1", fs_text(&f->arena, "a", "x"), NULL);
	struct lt_buf key = { 0 }, rk = { 0 }, opening = { 0 };
	struct lt_buf stored[3] = { { 0 }, { 0 }, { 0 } }, row[3] = { { 0 }, { 0 }, { 0 } };
	struct lt_projection *p = NULL;
	struct told told = { 0 };
	struct lt_slice v;
	Ltpb__Record *r;
	uint64_t n;

	d.personal = lt_arena_alloc(&f->arena, 2 * sizeof(*d.personal));
	d.personal[d.npersonal++] = fs_text(&f->arena, "p", "an-personal");
	d.personal[d.npersonal++] = fs_text(&f->arena, LT_ACTOR_FIELD, "acc");
	assert_int_equal(put(f, 0, &d, 1), 1);
	ok(lt_record_get(f->txn, "thing", WORLD_UNIT, "17254/1", &f->arena, &r));
	assert_int_equal(r->n_field, 2); /* not the actor */
	assert_string_equal(r->field[1]->value->text, "an-personal");
	stored_short(f, &stored[0], &row[0]);
	nothing_differs(f);
	ok(lt_kv_count(f->txn, LT_T_INDEX, &n));
	assert_int_equal(n, 3);
	/* Erased: a leaf stands in its place. */
	lt_buf_u64(&key, 1);
	lt_buf_u32(&key, 0);
	lt_buf_str(&key, "p");
	ok(lt_kv_get(f->txn, LT_T_OPENING, lt_buf_slice(&key), &v));
	lt_buf_put_slice(&opening, v);
	ok(lt_kv_del(f->txn, LT_T_OPENING, lt_buf_slice(&key)));
	p = begin(&f->h, f->txn, f->txn, false);
	ok(lt_projection_rebuild(p, "thing", &f->h.unit, "17254/1", history_by_hub, &f->h));
	ok(lt_projection_flush(p, on_touched, &told));
	assert_int_equal(told.n, 1);
	assert_string_equal(told.last, "thing 17254 17254/1");
	ok(lt_record_get(f->txn, "thing", WORLD_UNIT, "17254/1", &f->arena, &r));
	assert_int_equal(r->n_field, 1);
	assert_int_equal(r->n_withheld, 1);
	assert_string_equal(r->withheld[0], "p");
	ok(lt_kv_count(f->txn, LT_T_INDEX, &n));
	assert_int_equal(n, 2);
	/* The row is the same; its short form now has the name that is not shown with a value any more. */
	stored_short(f, &stored[1], &row[1]);
	assert_true(lt_slice_eq(lt_buf_slice(&row[0]), lt_buf_slice(&row[1])));
	assert_true(stored[1].len > stored[0].len);
	nothing_differs(f);
	/* What was stored before beside what is shown now: they are not of each other. */
	lt_key_record(&rk, "thing", WORLD_UNIT, "17254/1");
	assert_int_equal(
	    lt_record_whole(f->txn, lt_buf_slice(&rk), lt_buf_slice(&stored[0]), &row[2], &v),
	    LT_E_CORRUPT);
	ok(lt_kv_put(f->txn, LT_T_OPENING, lt_buf_slice(&key), lt_buf_slice(&opening)));
	told.n = 0;
	for (n = 0; n < 2; n++) {
		p = begin(&f->h, f->txn, f->txn, false);
		ok(lt_projection_rebuild(p, "thing", &f->h.unit, "17254/1", history_by_hub, &f->h));
		ok(lt_projection_flush(p, on_touched, &told));
		assert_int_equal(told.n, 1); /* the second time nothing changes */
	}
	stored_short(f, &stored[2], &row[2]);
	assert_true(lt_slice_eq(lt_buf_slice(&stored[0]), lt_buf_slice(&stored[2])));
	assert_true(lt_slice_eq(lt_buf_slice(&row[0]), lt_buf_slice(&row[2])));
	nothing_differs(f);
	for (n = 0; n < 3; n++) {
		lt_buf_fini(&stored[n]);
		lt_buf_fini(&row[n]);
	}
	lt_buf_fini(&key);
	lt_buf_fini(&rk);
	lt_buf_fini(&opening);
}

/* Two nodes that did not know of each other: the field is named, the lower value shown. */
static void
conflict(void **state)
{
	struct fix *f = *state;
	struct lt_draft d = draft(f, "17254/1", fs_enum(&f->arena, "e", "red"), NULL);
	struct lt_draft g = draft(f, "17254/1", fs_enum(&f->arena, "e", "blue"), NULL);
	Ltpb__Record *r;

	(void)put(f, 0, &d, 1);
	(void)put(f, 2, &g, 1);
	ok(lt_record_get(f->txn, "thing", WORLD_UNIT, "17254/1", &f->arena, &r));
	assert_int_equal(r->n_conflict, 1);
	assert_string_equal(r->conflict[0], "e");
	assert_string_equal(r->field[0]->value->enumeration, "red");
}

/* The longest names, key and value that the formats allow fit into every table's keys. */
static void
longest_keys(void **state)
{
	struct fix *f = *state;
	char key[LT_KEY_MAX + 1], text[200];
	struct lt_draft d;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t i;

	assert_int_equal(LT_INDEX_KEY_MAX, 492);
	assert_int_equal(LT_RK_MAX + 1 + LT_DOT_KEY, 368);
	memset(key, 'k', LT_KEY_MAX);
	key[LT_KEY_MAX] = '\0';
	for (i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + i % 26);
	text[sizeof(text) - 1] = '\0';
	d = draft(f, key, fs_text(&f->arena, world_long_field(), text), NULL);
	d.collection = world_long_collection();
	assert_int_equal(strlen(d.collection), LT_NAME_MAX);
	assert_int_equal(strlen(world_long_field()), LT_NAME_MAX);
	assert_int_equal(put(f, 0, &d, 1), 1);
	ok(lt_kv_cursor_open(f->txn, LT_T_INDEX, &c));
	ok(lt_kv_seek(c, lt_slice(NULL, 0), &k, &v));
	assert_int_equal(k.len, 64 + 1 + 64 + 1 + 96 + 1 + 5 + 1 + 256);
	assert_memory_equal(k.data + 130, text, 96);
	lt_kv_cursor_close(c);
}

static int
collect_rk(void *ctx, struct lt_slice index_key, struct lt_slice rk)
{
	struct lt_buf *b = ctx;

	(void)index_key;
	/* collection 0 unit 0 17254/N */
	lt_buf_put(b, rk.data + 18, rk.len - 18);
	lt_buf_u8(b, ' ');
	return LT_OK;
}

struct page {
	struct lt_buf out, after;
	size_t left;
};

static int
collect_page(void *ctx, struct lt_slice index_key, struct lt_slice rk)
{
	struct page *p = ctx;

	if (p->left == 0)
		return LT_E_CANCELLED;
	p->left--;
	lt_buf_clear(&p->after);
	lt_buf_put_slice(&p->after, index_key);
	return collect_rk(&p->out, index_key, rk);
}

static void
expect_walk(struct fix *f, const char *from, const char *to, bool descending, const char *want)
{
	struct lt_buf b = { 0 };
	struct page p = { .left = 0 };
	size_t size;

	ok(lt_index_each(f->txn, "thing", "a", lt_slice_str(from), lt_slice_str(to),
	    lt_slice(NULL, 0), descending, collect_rk, &b));
	lt_buf_u8(&b, 0);
	assert_string_equal(b.data, want);
	lt_buf_fini(&b);
	/* In pages of one and two the same. */
	for (size = 1; size < 3; size++) {
		lt_buf_clear(&p.out);
		lt_buf_clear(&p.after);
		do {
			p.left = size;
			ok(lt_index_each(f->txn, "thing", "a", lt_slice_str(from), lt_slice_str(to),
			    lt_buf_slice(&p.after), descending, collect_page, &p));
		} while (p.left == 0);
		lt_buf_u8(&p.out, 0);
		assert_string_equal(p.out.data, want);
	}
	lt_buf_fini(&p.out);
	lt_buf_fini(&p.after);
}

static int
collect_shown(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	return collect_rk(ctx, record, rk);
}

static int
stop_with(void *ctx, struct lt_slice a, struct lt_slice b)
{
	(void)a;
	(void)b;
	return *(int *)ctx;
}

/* Ranges of values, both ends, both ways, in pages. */
static void
walks(void **state)
{
	static const char *const value[] = { "ao", "ao", "aoe", "b", "", "z" };
	struct fix *f = *state;
	struct lt_draft d[6];
	struct lt_buf b = { 0 }, after = { 0 };
	char key[6][16];
	size_t i;
	int stop = LT_E_NOTFOUND;

	for (i = 0; i < 6; i++) {
		(void)snprintf(key[i], sizeof(key[i]), "17254/%zu", i + 1);
		d[i] =
		    draft(f, key[i], fs_text(&f->arena, "a", value[i]), fs_int(&f->arena, "b", 1));
	}
	assert_int_equal(put(f, 0, d, 6), 6);
	expect_walk(f, "", "", false, "5 1 2 3 4 6 ");
	expect_walk(f, "", "", true, "6 4 3 2 1 5 ");
	expect_walk(f, "ao", "aoe", false, "1 2 ");
	expect_walk(f, "ao", "aoe", true, "2 1 ");
	expect_walk(f, "aoe", "b", false, "3 ");
	expect_walk(f, "aoa", "", false, "3 4 6 ");
	expect_walk(f, "b", "ao", false, "");
	expect_walk(f, "b", "ao", true, "");
	expect_walk(f, "zz", "", true, "");
	ok(lt_index_each(f->txn, "thin", "a", lt_slice(NULL, 0), lt_slice(NULL, 0),
	    lt_slice(NULL, 0), false, stop_with, &stop));
	assert_int_equal(lt_index_each(f->txn, "thing", "a", lt_slice(NULL, 0), lt_slice(NULL, 0),
			     lt_slice(NULL, 0), false, stop_with, &stop),
	    LT_E_NOTFOUND);
	/* Records in the order of keys, from behind one. */
	ok(lt_record_each(f->txn, "thing", WORLD_UNIT, lt_slice(NULL, 0), collect_shown, &b));
	lt_buf_u8(&b, 0);
	assert_string_equal(b.data, "1 2 3 4 5 6 ");
	lt_buf_clear(&b);
	lt_key_record(&after, "thing", WORLD_UNIT, "17254/4");
	ok(lt_record_each(f->txn, "thing", NULL, lt_buf_slice(&after), collect_shown, &b));
	lt_buf_u8(&b, 0);
	assert_string_equal(b.data, "5 6 ");
	lt_buf_clear(&b);
	ok(lt_record_each(f->txn, "thing", "1725", lt_slice(NULL, 0), collect_shown, &b));
	assert_int_equal(b.len, 0);
	assert_int_equal(lt_record_each(f->txn, "thing", NULL, lt_slice(NULL, 0), stop_with, &stop),
	    LT_E_NOTFOUND);
	stop = LT_E_CANCELLED;
	ok(lt_record_each(f->txn, "thing", NULL, lt_slice(NULL, 0), stop_with, &stop));
	lt_buf_fini(&b);
	lt_buf_fini(&after);
}

/* More personal text than a record may show: the rest is named, and reading goes on. */
static void
too_much_to_show(void **state)
{
	struct fix *f = *state;
	static char text[60001];
	struct lt_draft d;
	Ltpb__Record *r;
	size_t i;

	memset(text, 'x', sizeof(text) - 1);
	for (i = 0; i < 10; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "z%zu", i);
		d = draft(f, "17254/1", NULL, NULL);
		d.personal = lt_arena_alloc(&f->arena, sizeof(*d.personal));
		d.personal[d.npersonal++] = fs_text(&f->arena, name, text);
		assert_int_equal(put(f, 0, &d, 1), 1);
	}
	ok(lt_record_get(f->txn, "thing", WORLD_UNIT, "17254/1", &f->arena, &r));
	assert_int_equal(r->n_field, 8); /* 8 times 60,000 are below 524,288 */
	assert_int_equal(r->n_withheld, 2);
	assert_string_equal(r->withheld[0], "z8");
}

/* Entry for entry what comes of one batch after the other, the order of arrival the same. */
static void
ahead_is_as_in_order(bool disk, uint64_t first, uint64_t seeds)
{
	struct lt_buf in_order = { 0 }, ahead = { 0 };
	size_t order[SETS_MAX] = { 0 }, i;
	struct env log, one, other;
	struct history h;
	uint64_t seed;

	for (seed = first; seed < first + seeds; seed++) {
		history_make(&h, cat, seed, 60);
		for (i = 0; i < h.n; i++)
			order[i] = i;
		env_open(&log, disk);
		env_open(&one, disk);
		env_open(&other, disk);
		play_two_env(&h, &log, &one, order);
		play_ahead(&h, &log, &other, order);
		lt_buf_clear(&in_order);
		lt_buf_clear(&ahead);
		env_dump_all(one.kv, &in_order);
		env_dump_all(other.kv, &ahead);
		assert_true(in_order.len > 5000);
		assert_same(&in_order, &ahead, seed);
		env_close(&other);
		env_close(&one);
		env_close(&log);
		history_fini(&h);
	}
	lt_buf_fini(&in_order);
	lt_buf_fini(&ahead);
}

static void
ahead_mem(void **state)
{
	(void)state;
	ahead_is_as_in_order(false, 500, 40);
}

static void
ahead_disk(void **state)
{
	(void)state;
	ahead_is_as_in_order(true, 700, 3);
}

struct countdown {
	uint64_t fail, seen;
};

static int
fail_one(void *ctx, uint64_t ordinal)
{
	struct countdown *c = ctx;

	(void)ordinal;
	return ++c->seen == c->fail ? LT_E_NOSPACE : LT_OK;
}

/* Flush with store call 1, 2, ... failing, until nothing fails. */
static void
fault_sweep(bool disk)
{
	struct lt_buf before = { 0 }, after = { 0 };
	size_t order[SETS_MAX] = { 0 }, i;
	struct countdown c = { 0 };
	struct lt_projection *p = NULL;
	struct lt_kv_txn *txn;
	struct history h;
	struct env e;
	int rc = LT_E_NOSPACE;

	history_make(&h, cat, 77, 30);
	for (i = 0; i < h.n; i++)
		order[i] = i;
	env_open(&e, disk);
	h.n = 20;
	play_one_env(&h, &e, order);
	h.n = 30;
	/* The rest lies in the log and is projected in one batch. */
	ok(lt_kv_begin_write(e.kv, &txn));
	for (i = 20; i < 30; i++)
		append(&h, txn, i, true);
	ok(lt_kv_commit(txn));
	env_dump_all(e.kv, &before);
	lt_kv_set_fault(e.kv, fail_one, &c);
	for (c.fail = 1; rc != LT_OK; c.fail++) {
		c.seen = 0;
		txn = NULL;
		rc = lt_kv_begin_write(e.kv, &txn);
		if (rc == LT_OK) {
			p = begin(&h, txn, txn, false);
			for (i = 20; i < 30; i++)
				project(&h, txn, p, i);
			rc = lt_projection_flush(p, NULL, NULL);
		}
		if (rc == LT_OK)
			rc = lt_kv_commit(txn);
		else
			lt_kv_abort(txn);
		lt_buf_clear(&after);
		env_dump_all(e.kv, &after);
		assert_true(rc == LT_E_NOSPACE || (rc == LT_OK && c.seen < c.fail));
		assert_int_equal(
		    rc == LT_OK, !lt_slice_eq(lt_buf_slice(&before), lt_buf_slice(&after)));
	}
	lt_kv_set_fault(e.kv, NULL, NULL);
	/* Every table of the batch took part. */
	assert_true(c.fail > 20);
	env_close(&e);
	lt_buf_fini(&before);
	lt_buf_fini(&after);
	history_fini(&h);
}

static void
fault_sweep_mem(void **state)
{
	(void)state;
	fault_sweep(false);
}

static void
fault_sweep_disk(void **state)
{
	(void)state;
	fault_sweep(true);
}

static int
any_history(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	(void)ctx;
	(void)dot;
	(void)position;
	return LT_OK;
}

/* What reads a table when the value under the key is damaged. */
static int
read_table(struct history *h, struct lt_kv_txn *txn, unsigned table)
{
	struct lt_buf b = { 0 };
	struct lt_arena arena;
	uint8_t digest[16];
	Ltpb__Record *r;
	int rc = LT_OK, any = LT_OK;
	size_t i;

	lt_arena_init(&arena, (size_t)1 << 20);
	switch (table) {
	case LT_T_RECORD:
		rc = lt_record_row(
		    txn, txn, cat, &h->province, "thing", WORLD_UNIT, history_key(0), &b);
		break;
	case LT_T_SHOWN:
		rc = lt_record_get(txn, "thing", WORLD_UNIT, history_key(0), &arena, &r);
		if (rc != LT_OK)
			rc = lt_record_each(txn, "thing", NULL, lt_slice(NULL, 0), stop_with, &any);
		break;
	case LT_T_INDEX:
		for (i = 0; rc == LT_OK && i < 3; i++)
			rc = lt_index_each(txn, "thing",
			    i == 0   ? "a"
			    : i == 1 ? "d"
				     : "no",
			    lt_slice(NULL, 0), lt_slice(NULL, 0), lt_slice(NULL, 0), i == 1,
			    stop_with, &any);
		break;
	case LT_T_HISTORY:
		rc = lt_history_each(txn, "thing", WORLD_UNIT, history_key(0), any_history, NULL);
		break;
	default:
		rc = lt_digest_short(txn, "thing", WORLD_UNIT, digest);
	}
	lt_arena_fini(&arena);
	lt_buf_fini(&b);
	return rc;
}

static void
bit_flips(void **state)
{
	static const unsigned tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_HISTORY,
		LT_T_DIGEST };
	size_t order[SETS_MAX] = { 0 }, t, bit, nbits;
	struct lt_buf key = { 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_kv_txn *txn;
	struct history h;
	struct env e;

	(void)state;
	history_make(&h, cat, 4, 30);
	for (t = 0; t < h.n; t++)
		order[t] = t;
	env_open(&e, false);
	play_one_env(&h, &e, order);
	for (t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		ok(lt_kv_begin_read(e.kv, &txn));
		ok(lt_kv_cursor_open(txn, tables[t], &c));
		ok(lt_kv_seek(c, lt_slice(NULL, 0), &k, &v));
		lt_buf_clear(&key);
		lt_buf_put_slice(&key, k);
		lt_kv_cursor_close(c);
		ok(read_table(&h, txn, tables[t]));
		lt_kv_abort(txn);
		assert_int_equal(
		    lt_kv_test_flip(e.kv, tables[t], lt_buf_slice(&key), SIZE_MAX, &nbits),
		    LT_E_INVALID);
		assert_true(nbits >= 64);
		for (bit = 0; bit < nbits; bit++) {
			ok(lt_kv_test_flip(e.kv, tables[t], lt_buf_slice(&key), bit, NULL));
			ok(lt_kv_begin_read(e.kv, &txn));
			assert_int_equal(read_table(&h, txn, tables[t]), LT_E_CORRUPT);
			lt_kv_abort(txn);
			ok(lt_kv_test_flip(e.kv, tables[t], lt_buf_slice(&key), bit, NULL));
		}
	}
	env_close(&e);
	lt_buf_fini(&key);
	history_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_collections, setup, teardown),
		cmocka_unit_test_setup_teardown(withheld, setup, teardown),
		cmocka_unit_test_setup_teardown(conflict, setup, teardown),
		cmocka_unit_test_setup_teardown(longest_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(walks, setup, teardown),
		cmocka_unit_test_setup_teardown(too_much_to_show, setup, teardown),
		cmocka_unit_test(ahead_mem),
		cmocka_unit_test(ahead_disk),
		cmocka_unit_test(fault_sweep_mem),
		cmocka_unit_test(fault_sweep_disk),
		cmocka_unit_test(bit_flips),
		cmocka_unit_test(any_order_mem),
		cmocka_unit_test(any_order_disk),
		cmocka_unit_test(overlay_mem),
		cmocka_unit_test(overlay_disk),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name(
	    "store.projection", tests, load_catalogue, free_catalogue);
}
