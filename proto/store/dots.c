/* History and overlay: the changes of a record, by dot. */
#include "proto/store/projection_impl.h"

#include <stdlib.h>

void
lt_dot_key(struct lt_buf *out, struct lt_slice rk, const struct lt_dot *dot)
{
	lt_buf_put_slice(out, rk);
	lt_buf_u8(out, 0);
	lt_buf_put(out, dot->feed.b, LT_FEED_LEN);
	lt_buf_u64(out, dot->seq);
	lt_buf_u32(out, dot->index);
}

int
lt_dots_add(struct lt_dots *dots, const struct lt_dot *dot, uint64_t position)
{
	size_t cap = dots->cap == 0 ? 8 : dots->cap * 2;
	struct lt_dot_at *d;

	if (dots->n == dots->cap) {
		d = realloc(dots->d, cap * sizeof(*d));
		if (d == NULL)
			return LT_E_NOMEM;
		dots->d = d;
		dots->cap = cap;
	}
	dots->d[dots->n++] = (struct lt_dot_at){ *dot, position };
	return LT_OK;
}

void
lt_dots_remove(struct lt_dots *dots, const struct lt_dot *dot)
{
	size_t i, kept = 0;

	for (i = 0; i < dots->n; i++) {
		if (lt_dot_cmp(&dots->d[i].dot, dot) != 0)
			dots->d[kept++] = dots->d[i];
	}
	dots->n = kept;
}

bool
lt_dots_drop_aside(struct lt_dots *dots)
{
	size_t i, kept = 0, had = dots->n;

	for (i = 0; i < dots->n; i++) {
		if (!lt_feed_is_aside(&dots->d[i].dot.feed))
			dots->d[kept++] = dots->d[i];
	}
	dots->n = kept;
	return kept != had;
}

void
lt_dots_fini(struct lt_dots *dots)
{
	free(dots->d);
	memset(dots, 0, sizeof(*dots));
}

static int
dot_read(struct lt_slice tail, struct lt_slice value, struct lt_dot_at *out)
{
	if (tail.len != LT_DOT_KEY || value.len != 8)
		return LT_E_CORRUPT;
	memcpy(out->dot.feed.b, tail.data, LT_FEED_LEN);
	out->dot.seq = lt_load_u64(tail.data + LT_FEED_LEN);
	out->dot.index = lt_load_u32(tail.data + LT_FEED_LEN + 8);
	out->position = lt_load_u64(value.data);
	return LT_OK;
}

static bool
begins_with(struct lt_slice k, const struct lt_buf *with)
{
	return k.len >= with->len && memcmp(k.data, with->data, with->len) == 0;
}

/* fn sees each entry of rk in key order; anything but LT_OK stops and is returned. */
static int
dots_walk(struct lt_kv_txn *txn, unsigned table, struct lt_slice rk, lt_history_fn *fn, void *ctx)
{
	struct lt_kv_cursor *c;
	struct lt_slice k = { NULL, 0 }, v;
	struct lt_dot_at at;
	struct lt_buf from = { 0 };
	int rc, stop = LT_OK;

	lt_buf_put_slice(&from, rk);
	lt_buf_u8(&from, 0);
	rc = from.err != LT_OK ? from.err : lt_kv_cursor_open(txn, table, &c);
	if (rc != LT_OK) {
		lt_buf_fini(&from);
		return rc;
	}
	for (rc = lt_kv_seek(c, lt_buf_slice(&from), &k, &v); rc == LT_OK;
	     rc = lt_kv_next(c, &k, &v)) {
		if (!begins_with(k, &from))
			break;
		stop = dot_read(lt_slice(k.data + from.len, k.len - from.len), v, &at);
		if (stop == LT_OK)
			stop = fn(ctx, &at.dot, at.position);
		if (stop != LT_OK)
			break;
	}
	/* What is damaged is the next record's. */
	if (rc == LT_E_CORRUPT && k.len != 0 && !begins_with(k, &from))
		rc = LT_E_NOTFOUND;
	lt_kv_cursor_close(c);
	lt_buf_fini(&from);
	return stop != LT_OK ? stop : rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
collect(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	return lt_dots_add(ctx, dot, position);
}

int
lt_dots_read(struct lt_kv_txn *txn, unsigned table, struct lt_slice rk, struct lt_dots *dots)
{
	return dots_walk(txn, table, rk, collect, dots);
}

int
lt_history_each(struct lt_kv_txn *derived, const char *collection, const char *unit,
    const char *key, lt_history_fn *fn, void *ctx)
{
	struct lt_buf rk = { 0 };
	int rc;

	lt_key_record(&rk, collection, unit, key);
	rc = rk.err != LT_OK ? rk.err : LT_OK;
	if (rc == LT_OK && rk.len > LT_RK_MAX)
		rc = LT_E_INVALID;
	if (rc == LT_OK)
		rc = dots_walk(derived, LT_T_HISTORY, lt_buf_slice(&rk), fn, ctx);
	lt_buf_fini(&rk);
	return rc == LT_E_CANCELLED ? LT_OK : rc;
}

/* Keys of the history are rk || 0 || dot: with a 1 in place of the 0 nothing of this record stands behind, and everything of the next one
 * does. */
int
lt_history_next_record(
    struct lt_kv_cursor *c, uint8_t rk[LT_RK_MAX], size_t *len, struct lt_slice *key)
{
	uint8_t from[LT_RK_MAX + 1];
	struct lt_slice v, next;
	int rc;

	memcpy(from, rk, *len);
	from[*len] = 1;
	*key = lt_slice(NULL, 0);
	rc = lt_kv_seek(c, lt_slice(from, *len == 0 ? 0 : *len + 1), key, &v);
	/* A damaged entry still names its record, which then fails by itself. */
	if (rc != LT_OK && (rc != LT_E_CORRUPT || key->len == 0))
		return rc;
	if (key->len <= 1 + LT_DOT_KEY || key->len - 1 - LT_DOT_KEY > LT_RK_MAX)
		return LT_E_CORRUPT;
	next = lt_slice(key->data, key->len - 1 - LT_DOT_KEY);
	/* An entry of another table, cut like one of this, would lead back, and the walk in circles. */
	if (*len != 0 && lt_slice_cmp(next, lt_slice(rk, *len)) <= 0)
		return LT_E_CORRUPT;
	*len = next.len;
	memcpy(rk, next.data, next.len);
	return LT_OK;
}

/* A change set aside is of a feed of its own, beside what the hub holds under its name; what both branches have in common it
 * covers, as it did. */
static int
as_aside(const struct lt_log_view *view, struct lt_kv_txn *log, const struct lt_dot *dot,
    struct lt_arena *arena, struct lt_change *change, struct lt_merge_change *mc)
{
	struct lt_context *wider;
	struct lt_hash common;
	uint64_t first, last;
	size_t at = 0;
	int rc = lt_feed_log_aside(log, &view->unit, &view->feed, &first, &last);

	mc->dot.feed = dot->feed;
	if (rc == LT_OK && first == 0)
		rc = LT_E_CORRUPT;
	if (rc != LT_OK || first == 1)
		return rc;
	rc = lt_feed_log_hash(log, &view->unit, &view->feed, first - 1, &common);
	wider = lt_arena_alloc(arena, (change->ncontext + 1) * sizeof(*wider));
	if (rc != LT_OK || wider == NULL)
		return rc == LT_OK ? LT_E_NOMEM : rc;
	while (
	    at < change->ncontext && lt_feed_id_cmp(&change->context[at].feed, &view->feed) < 0) {
		wider[at] = change->context[at];
		at++;
	}
	wider[at] = (struct lt_context){ view->feed, first - 1, lt_load_u64(common.b) };
	if (at < change->ncontext)
		memcpy(
		    &wider[at + 1], &change->context[at], (change->ncontext - at) * sizeof(*wider));
	change->context = wider;
	change->ncontext++;
	return LT_OK;
}

int
lt_overlay_apply(struct lt_kv_txn *log, struct lt_log_view *view, const struct lt_rules *rules,
    bool unit_is_province, const struct lt_dots *dots, struct lt_buf *row, struct lt_buf *scratch)
{
	struct lt_arena arena;
	struct lt_change change;
	struct lt_merge_change mc;
	struct lt_buf swap;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < dots->n; i++) {
		rc = lt_log_view_open(view, log, dots->d[i].position);
		if (rc != LT_OK)
			return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
		lt_arena_init(&arena, LT_SHOW_ARENA);
		rc = lt_log_view_change(view, dots->d[i].dot.index, &arena, &change);
		if (rc == LT_OK) {
			lt_log_view_merge_change(view, dots->d[i].dot.index, &change, &mc);
			/* Not judged yet: as the author stamped it. */
			mc.stamp = view->stamp;
			if (lt_feed_is_aside(&dots->d[i].dot.feed))
				rc = as_aside(view, log, &dots->d[i].dot, &arena, &change, &mc);
		}
		if (rc == LT_OK) {
			lt_buf_clear(scratch);
			rc = lt_merge_apply(
			    rules, unit_is_province, lt_buf_slice(row), &mc, scratch);
			if (rc == LT_E_TOOBIG && scratch->len != 0)
				rc = LT_OK; /* as in the judged row */
		}
		lt_arena_fini(&arena);
		if (rc == LT_OK)
			rc = scratch->err;
		if (rc == LT_OK) {
			swap = *row;
			*row = *scratch;
			*scratch = swap;
		}
		/* Beyond all bounds: it waits for its verdict unseen. */
		if (rc == LT_E_TOOBIG)
			rc = LT_OK;
	}
	return rc;
}
