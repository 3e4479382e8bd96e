#include "proto/store/mend.h"

#include "proto/base/log.h"
#include "proto/store/author.h"
#include "proto/store/scrub_impl.h"

#include <stdlib.h>
#include <string.h>

#define MARK "mend"
#define MARK_HEAD (1 + 8)

enum phase { BUCKETS, CHANGES, RECORDS, ORPHANS, SUMS, DIGESTS, PHASES };

struct mending {
	const struct lt_mend_options *o;
	struct lt_scrub *s; /* at: how far it is */
	int64_t until;
};

int
lt_mend_begin(struct lt_kv_txn *txn)
{
	static const uint8_t first[MARK_HEAD];

	return lt_local_put(txn, MARK, lt_slice(first, sizeof(first)));
}

int
lt_mend_running(struct lt_kv_txn *txn, bool *running)
{
	struct lt_slice v;
	int rc = lt_local_get(txn, MARK, &v);

	*running = rc != LT_E_NOTFOUND;
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* A mark that is damaged begins again. */
static int
mark_read(struct mending *m, bool *running)
{
	struct lt_scrub_at *at = &m->s->at;
	struct lt_slice v;
	int rc = lt_local_get(m->o->txn, MARK, &v);

	*running = rc == LT_OK || rc == LT_E_CORRUPT;
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
	if (v.len < MARK_HEAD || v.data[0] >= PHASES || v.len - MARK_HEAD > sizeof(at->key))
		return LT_OK;
	at->phase = v.data[0];
	at->position = lt_load_u64(v.data + 1);
	at->key_len = v.len - MARK_HEAD;
	memcpy(at->key, v.data + MARK_HEAD, at->key_len);
	return LT_OK;
}

static int
mark_write(const struct mending *m)
{
	const struct lt_scrub_at *at = &m->s->at;
	uint8_t v[MARK_HEAD + LT_KV_KEY_MAX];

	v[0] = (uint8_t)at->phase;
	lt_store_u64(v + 1, at->position);
	memcpy(v + MARK_HEAD, at->key, at->key_len);
	return lt_local_put(m->o->txn, MARK, lt_slice(v, MARK_HEAD + at->key_len));
}

static bool
time_left(const struct mending *m)
{
	return lt_mono_ms(m->o->clock) < m->until;
}

static int
del_quiet(struct lt_kv_txn *txn, unsigned table, struct lt_slice key)
{
	int rc = lt_kv_del(txn, table, key);

	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* ---- walking a table and taking rows out of it ---- */

/* Is the row behind `at` to go? rc: what reading it gave. */
typedef int bad_fn(struct mending *m, unsigned table, struct lt_slice k, int got, bool *bad);

/* The next row; deleted when it is bad. A cursor of its own: a table that is written to is not walked on. */
static int
weed_one(struct mending *m, unsigned table, struct lt_slice prefix, bad_fn *fn, bool *through)
{
	struct lt_scrub_at *at = &m->s->at;
	uint8_t key[LT_KV_KEY_MAX];
	struct lt_slice k, v;
	struct lt_kv_cursor *c;
	bool bad = false;
	int rc = lt_kv_cursor_open(m->o->txn, table, &c), got;

	if (rc != LT_OK)
		return rc;
	got = lt_scrub_after(c, lt_slice(at->key, at->key_len), &k, &v);
	*through = (got != LT_OK && (got != LT_E_CORRUPT || k.len == 0)) || k.len > sizeof(key) ||
		   k.len < prefix.len || memcmp(k.data, prefix.data, prefix.len) != 0 ||
		   (at->key_len != 0 && lt_slice_cmp(k, lt_slice(at->key, at->key_len)) <= 0);
	if (!*through) {
		memcpy(key, k.data, k.len);
		k = lt_slice(key, k.len);
		rc = fn(m, table, k, got, &bad);
	}
	lt_kv_cursor_close(c);
	if (rc != LT_OK || *through)
		return rc;
	memcpy(at->key, k.data, k.len);
	at->key_len = k.len;
	return bad ? del_quiet(m->o->txn, table, k) : LT_OK;
}

/* ---- buckets: what cannot be read would stop every write to its records ---- */

static int
unreadable(struct mending *m, unsigned table, struct lt_slice k, int got, bool *bad)
{
	(void)m;
	(void)table;
	(void)k;
	*bad = got == LT_E_CORRUPT;
	return LT_OK;
}

static int
mend_buckets(struct mending *m, bool *done)
{
	return weed_one(m, LT_T_DIGEST, lt_slice("", 0), unreadable, done);
}

/* ---- histories and overlays ---- */

static int
mend_changes(struct mending *m, bool *done)
{
	struct lt_scrub_at *at = &m->s->at;
	int rc;

	*done = at->position >= m->s->last;
	if (*done)
		return LT_OK;
	rc = lt_scrub_changes(m->s, at->position + 1);
	if (rc == LT_OK)
		at->position++;
	return rc;
}

/* ---- records ---- */

/* A row of a history whose change is not at its position in the log. */
static int
not_in_log(struct mending *m, unsigned table, struct lt_slice k, int got, bool *bad)
{
	struct lt_log_view view;
	struct lt_arena arena;
	struct lt_change change;
	struct lt_buf rk = { 0 }, key = { 0 };
	struct lt_dot dot;
	struct lt_slice v;
	int rc;

	*bad = got == LT_E_CORRUPT || k.len <= LT_DOT_KEY;
	if (*bad)
		return LT_OK;
	memset(&view, 0, sizeof(view));
	lt_arena_init(&arena, LT_SHOW_ARENA);
	rc = lt_kv_get(m->o->txn, table, k, &v);
	*bad = rc == LT_OK && v.len != 8;
	if (rc == LT_OK && !*bad) {
		rc = lt_log_view_open(&view, m->o->txn, lt_load_u64(v.data));
		*bad = rc == LT_E_NOTFOUND;
		dot.index = lt_load_u32(k.data + k.len - 4);
		*bad = *bad || (rc == LT_OK && dot.index >= view.nchange);
		if (rc == LT_OK && !*bad)
			rc = lt_log_view_change(&view, dot.index, &arena, &change);
		if (rc == LT_OK && !*bad) {
			dot.feed = view.feed;
			dot.seq = view.seq;
			if (lt_feed_is_aside(
				(const struct lt_feed_id *)(const void *)(k.data + k.len -
									  LT_DOT_KEY)))
				dot.feed = lt_feed_aside(&dot.feed);
			lt_key_record(&rk, change.collection, view.unit.s, change.key);
			lt_dot_key(&key, lt_buf_slice(&rk), &dot);
			rc = key.err;
			*bad = rc == LT_OK && !lt_slice_eq(lt_buf_slice(&key), k);
		}
	}
	lt_buf_fini(&rk);
	lt_buf_fini(&key);
	lt_log_view_close(&view);
	lt_arena_fini(&arena);
	/* A damaged log says nothing about its history. */
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* The history of the record in at, without what the log does not have. */
static int
weed_history(struct mending *m)
{
	struct lt_scrub_at *at = &m->s->at, was = *at;
	bool through = false;
	int rc = LT_OK;

	was.key[was.key_len] = 0;
	at->key[at->key_len++] = 0;
	while (rc == LT_OK && !through)
		rc = weed_one(
		    m, LT_T_HISTORY, lt_slice(was.key, was.key_len + 1), not_in_log, &through);
	*at = was;
	return rc;
}

static int
mend_records(struct mending *m, bool *done)
{
	struct lt_scrub_at *at = &m->s->at;
	uint8_t foreign[LT_KV_KEY_MAX];
	struct lt_kv_cursor *c;
	struct lt_slice rk, key;
	int rc = lt_kv_cursor_open(m->o->txn, LT_T_HISTORY, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_scrub_next_record(m->s, c, &key);
	if (rc == LT_E_CORRUPT && key.len != 0 && key.len <= sizeof(foreign))
		memcpy(foreign, key.data, key.len);
	else
		key.len = 0;
	lt_kv_cursor_close(c);
	/* None of a history: behind it there may be more. */
	if (key.len != 0)
		return del_quiet(m->o->txn, LT_T_HISTORY, lt_slice(foreign, key.len));
	*done = rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT;
	if (rc != LT_OK)
		return *done ? LT_OK : rc;
	rk = lt_slice(at->key, at->key_len);
	rc = lt_scrub_record(m->s, rk, NULL, NULL);
	if (rc == LT_E_CORRUPT) {
		rc = weed_history(m);
		if (rc == LT_OK)
			rc = lt_scrub_record(m->s, rk, NULL, NULL);
		if (rc == LT_E_CORRUPT)
			lt_error("a record cannot be worked out anew: the log is damaged there");
	}
	return rc == LT_E_CORRUPT || rc == LT_E_UNKNOWN || rc == LT_E_INVALID || rc == LT_E_TOOBIG
		   ? LT_OK
		   : rc;
}

/* ---- what nothing accounts for ---- */

static int
unaccounted(struct mending *m, unsigned table, struct lt_slice k, int got, bool *bad)
{
	bool known = true;
	int rc = lt_scrub_accounted(m->s, table, k, &known);

	(void)got;
	*bad = rc == LT_OK && !known;
	return rc;
}

static int
mend_orphans(struct mending *m, bool *done)
{
	static const unsigned tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_OVERLAY };
	struct lt_scrub_at *at = &m->s->at;
	bool through = false;
	int rc;

	*done = at->position >= sizeof(tables) / sizeof(tables[0]);
	if (*done)
		return LT_OK;
	rc = weed_one(m, tables[at->position], lt_slice("", 0), unaccounted, &through);
	if (rc == LT_OK && through) {
		at->position++;
		at->key_len = 0;
	}
	return rc;
}

/* Overlays are few. */
static int
mend_sums(struct mending *m, bool *done)
{
	*done = true;
	return lt_kv_sums_remake(m->o->txn, LT_T_OVERLAY);
}

/* ---- digests ---- */

static int
write_buckets(struct mending *m, const struct lt_scrub_group *g, lt_scrub_lanes *lanes)
{
	static const uint8_t empty[LT_DIGEST_BYTES];
	uint8_t key[LT_KV_KEY_MAX + 1], value[LT_DIGEST_BYTES];
	unsigned b;
	int rc = LT_OK;

	memcpy(key, g->b, g->len);
	for (b = 0; rc == LT_OK && b < LT_DIGEST_BUCKETS; b++) {
		key[g->len] = (uint8_t)b;
		lt_digest_store(value, lanes[b]);
		rc = memcmp(value, empty, sizeof(value)) == 0
			 ? del_quiet(m->o->txn, LT_T_DIGEST, lt_slice(key, g->len + 1))
			 : lt_kv_put(m->o->txn, LT_T_DIGEST, lt_slice(key, g->len + 1),
			       lt_slice(value, sizeof(value)));
	}
	return rc;
}

static int
mend_digests(struct mending *m, bool *done)
{
	struct lt_scrub_at *at = &m->s->at;
	struct lt_slice from = lt_slice(at->key, at->key_len);
	struct lt_scrub_group of_rows, of_digests, *g = &of_rows;
	lt_scrub_lanes *lanes;
	bool sound = false;
	int rc = lt_scrub_group(m->s, LT_T_RECORD, from, &of_rows);

	if (rc == LT_OK)
		rc = lt_scrub_group(m->s, LT_T_DIGEST, from, &of_digests);
	if (rc != LT_OK)
		return rc;
	if (g->len == 0 ||
	    (of_digests.len != 0 &&
		lt_slice_cmp(lt_slice(of_digests.b, of_digests.len), lt_slice(g->b, g->len)) < 0))
		g = &of_digests;
	*done = g->len == 0;
	if (*done)
		return LT_OK;
	lanes = calloc(LT_DIGEST_BUCKETS, sizeof(*lanes));
	rc = lanes == NULL ? LT_E_NOMEM
			   : lt_scrub_sum_group(m->s, lt_slice(g->b, g->len), lanes, &sound);
	if (rc == LT_OK && sound)
		rc = write_buckets(m, g, lanes);
	free(lanes);
	memcpy(at->key, g->b, g->len);
	at->key[g->len - 1] = 1;
	at->key_len = g->len;
	return rc;
}

/* ---- steps ---- */

static int
run(struct mending *m, bool *more)
{
	static int (*const phase[PHASES])(struct mending *, bool *) = { mend_buckets, mend_changes,
		mend_records, mend_orphans, mend_sums, mend_digests };
	struct lt_scrub_at *at = &m->s->at;
	bool done;
	int rc = LT_OK;

	do {
		done = false;
		rc = phase[at->phase](m, &done);
		if (rc == LT_OK && done) {
			struct lt_scrub_at next = { .phase = at->phase + 1 };

			*at = next;
		}
	} while (rc == LT_OK && at->phase < PHASES && time_left(m));
	*more = rc == LT_OK && at->phase < PHASES;
	if (rc == LT_OK)
		rc = *more ? mark_write(m) : del_quiet(m->o->txn, LT_T_LOCAL, lt_slice_str(MARK));
	return rc;
}

int
lt_mend_step(const struct lt_mend_options *o, bool *more)
{
	struct mending m = { .o = o, .until = lt_mono_ms(o->clock) + o->ms };
	bool running = false;
	int rc;

	*more = false;
	m.s = calloc(1, sizeof(*m.s));
	if (m.s == NULL)
		return LT_E_NOMEM;
	m.s->o.author = o->author;
	m.s->node = m.s->mending = true;
	m.s->log = m.s->derived = o->txn;
	m.s->world.catalogue = o->catalogue;
	m.s->world.registry = o->registry;
	m.s->world.province = o->province;
	rc = mark_read(&m, &running);
	if (rc == LT_OK && running)
		rc = lt_feed_log_last(o->txn, &m.s->last);
	if (rc == LT_OK && running)
		rc = run(&m, more);
	free(m.s);
	return rc;
}
