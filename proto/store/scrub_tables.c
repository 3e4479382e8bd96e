/* Every table by itself: each value against its checksum, each segment against the sum that was kept of it. */
#include "proto/store/scrub_impl.h"

#include <string.h>

int
lt_scrub_after(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *v)
{
	int rc;

	*k = lt_slice(NULL, 0);
	rc = lt_kv_seek(c, key, k, v);
	if (key.len == 0 || (rc != LT_OK && rc != LT_E_CORRUPT) || k->len == 0)
		return rc;
	if (!lt_slice_eq(*k, key))
		return rc;
	*k = lt_slice(NULL, 0);
	return lt_kv_next(c, k, v);
}

static void
stand_at(uint8_t *at, size_t *at_len, struct lt_slice key)
{
	*at_len = key.len < LT_KV_KEY_MAX ? key.len : LT_KV_KEY_MAX;
	if (*at_len != 0)
		memcpy(at, key.data, *at_len);
}

/* The cursor's next answer, noted where it is damage. *stop: the walk of this table ends here. A key that does not rise is a
 * page's damage, and would send the walk in circles. */
static int
looked_at(struct lt_scrub *s, int rc, struct lt_slice k, struct lt_slice v, bool *stop)
{
	struct lt_scrub_at *at = &s->at;

	*stop = rc != LT_OK && (rc != LT_E_CORRUPT || k.len == 0);
	if (!*stop && (k.len > LT_KV_KEY_MAX ||
			  (at->begun && lt_slice_cmp(k, lt_slice(at->key, at->key_len)) <= 0))) {
		rc = LT_E_CORRUPT;
		*stop = true;
	}
	if (*stop) {
		if (rc == LT_E_CORRUPT)
			lt_scrub_found(s, at->table, lt_slice(NULL, 0), LT_SCRUB_UNREADABLE);
		return rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND ? LT_OK : rc;
	}
	if (rc == LT_E_CORRUPT)
		lt_scrub_found(s, at->table, k, LT_SCRUB_DAMAGED);
	lt_scrub_took(s, k.len + (rc == LT_OK ? v.len : 0));
	at->begun = true;
	stand_at(at->key, &at->key_len, k);
	return LT_OK;
}

/* A table of which no sums are kept. */
static int
walk_plain(struct lt_scrub *s, struct lt_kv_txn *txn, bool *done)
{
	struct lt_scrub_at *at = &s->at;
	struct lt_kv_cursor *c;
	struct lt_slice k, v = { NULL, 0 };
	int rc = lt_kv_cursor_open(txn, at->table, &c), got;

	if (rc != LT_OK)
		return rc;
	got = lt_scrub_after(c, lt_slice(at->key, at->key_len), &k, &v);
	for (;;) {
		rc = looked_at(s, got, k, v, done);
		if (rc != LT_OK || *done || !lt_scrub_more(s))
			break;
		k = lt_slice(NULL, 0);
		got = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc;
}

/* ---- segments ---- */

struct segment {
	bool found;
	size_t len;
	uint8_t b[LT_KV_KEY_MAX];
	uint64_t count, sum;
	bool damaged; /* an entry of it is: its sum says nothing more */
};

/* Does a key lie in a segment that was summed before, or ahead of it? What was written there since then lies behind at.key, and is
 * no segment of its own. */
static bool
is_summed(const struct lt_scrub_at *at, struct lt_slice segment)
{
	return at->position != 0 &&
	       lt_slice_cmp(segment, lt_slice(at->segment, at->segment_len)) <= 0;
}

/* The entries of the next segment behind at.key, all of it: a sum is of one moment. */
static int
sum_segment(struct lt_scrub *s, struct lt_kv_txn *txn, struct segment *g, bool *stop)
{
	struct lt_scrub_at *at = &s->at;
	struct lt_kv_cursor *c;
	struct lt_slice k, v = { NULL, 0 };
	size_t len;
	int rc = lt_kv_cursor_open(txn, at->table, &c), got;

	if (rc != LT_OK)
		return rc;
	got = lt_scrub_after(c, lt_slice(at->key, at->key_len), &k, &v);
	for (;;) {
		len = k.len == 0 ? 0 : lt_kv_segment(txn->kv, at->table, k);
		if (g->found && k.len != 0 && (got == LT_OK || got == LT_E_CORRUPT) &&
		    !lt_slice_eq(lt_slice(g->b, g->len), lt_slice(k.data, len)))
			break;
		rc = looked_at(s, got, k, v, stop);
		if (rc != LT_OK || *stop)
			break;
		if (g->found || !is_summed(at, lt_slice(k.data, len))) {
			if (!g->found)
				stand_at(g->b, &g->len, lt_slice(k.data, len));
			g->found = true;
			g->damaged |= got != LT_OK;
			g->count++;
			g->sum += got == LT_OK
				      ? lt_kv_sum_of(lt_slice(v.data, v.len + LT_KV_SUM_LEN))
				      : 0;
		}
		k = lt_slice(NULL, 0);
		got = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc;
}

/* The segment that the sums name next behind the last one. */
static int
next_summed(struct lt_scrub *s, struct lt_kv_txn *txn, bool first, struct segment *g)
{
	struct lt_scrub_at *at = &s->at;
	struct lt_buf from = { 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t prefix;
	int rc = lt_kv_cursor_open(txn, LT_T_SUMS, &c);

	if (rc != LT_OK)
		return rc;
	lt_kv_sums_key(&from, txn->kv, at->table, lt_slice(NULL, 0));
	prefix = from.len;
	if (!first)
		lt_buf_put(&from, at->segment, at->segment_len);
	rc = from.err;
	k = lt_slice(NULL, 0);
	if (rc == LT_OK && first)
		rc = lt_kv_seek(c, lt_buf_slice(&from), &k, &v);
	else if (rc == LT_OK)
		rc = lt_scrub_after(c, lt_buf_slice(&from), &k, &v);
	/* A damaged row is found where the table of sums itself is walked. */
	if ((rc == LT_OK || rc == LT_E_CORRUPT) && k.data != NULL && k.len >= prefix &&
	    memcmp(k.data, from.data, prefix) == 0) {
		g->found = true;
		stand_at(g->b, &g->len, lt_slice(k.data + prefix, k.len - prefix));
	}
	lt_kv_cursor_close(c);
	lt_buf_fini(&from);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

static int
compare(struct lt_scrub *s, struct lt_kv_txn *txn, const struct segment *g)
{
	struct lt_slice segment = lt_slice(g->b, g->len);
	uint64_t count, sum;
	int rc = lt_kv_sums_get(txn, s->at.table, segment, &count, &sum);

	if (rc == LT_E_CORRUPT)
		return LT_OK;
	if (rc == LT_OK && (count != g->count || (sum != g->sum && !g->damaged)))
		lt_scrub_found(s, s->at.table, segment, LT_SCRUB_COUNT);
	return rc;
}

static int
walk_segments(struct lt_scrub *s, struct lt_kv_txn *txn, bool *done)
{
	struct lt_scrub_at *at = &s->at;
	struct lt_scrub_at before;
	struct segment there, said;
	bool first, stop;
	int rc;

	do {
		memset(&there, 0, sizeof(there));
		memset(&said, 0, sizeof(said));
		stop = false;
		before = *at;
		first = at->segment_len == 0 && at->position == 0;
		rc = sum_segment(s, txn, &there, &stop);
		if (rc == LT_OK)
			rc = next_summed(s, txn, first, &said);
		if (rc != LT_OK)
			return rc;
		if (!there.found && !said.found) {
			*done = true;
			return LT_OK;
		}
		/* The sums name one that has no entry left: it comes first. */
		if (!there.found || (said.found && lt_slice_cmp(lt_slice(said.b, said.len),
						       lt_slice(there.b, there.len)) < 0)) {
			*at = before;
			there = said;
			lt_scrub_took(s, said.len);
		}
		at->position = 1; /* a segment has been looked at */
		stand_at(at->segment, &at->segment_len, lt_slice(there.b, there.len));
		rc = compare(s, txn, &there);
	} while (rc == LT_OK && lt_scrub_more(s));
	return rc;
}

static int
walk_tables(struct lt_scrub *s, struct lt_kv_txn *txn, bool *done)
{
	bool table_done = false;
	int rc = lt_kv_summed(txn->kv, s->at.table) ? walk_segments(s, txn, &table_done)
						    : walk_plain(s, txn, &table_done);

	if (rc == LT_OK && table_done) {
		struct lt_scrub_at next = { .phase = s->at.phase, .table = s->at.table + 1 };

		*done = next.table == LT_T_COUNT;
		if (!*done)
			s->at = next;
	}
	return rc;
}

int
lt_scrub_tables(struct lt_scrub *s, bool *done)
{
	return walk_tables(s, s->log, done);
}

int
lt_scrub_derived_tables(struct lt_scrub *s, bool *done)
{
	if (s->node) {
		*done = true;
		return LT_OK;
	}
	return walk_tables(s, s->derived, done);
}
