/* Walking a source: entries of an index or the records themselves, each row checked against the record. */
#include "proto/store/query_impl.h"

#include <stdlib.h>

struct walk {
	const struct lt_source *src;
	const struct lt_rows *r;
	lt_row_fn *fn;
	void *ctx;
	int rc; /* why it stopped */
	struct lt_row row; /* the one at hand */
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What may be used was asked for the query as a whole; a unit that says otherwise gives nothing. */
static bool
uses_shown(const struct lt_rows *r, const struct lt_unit_view *view)
{
	size_t i;

	for (i = 0; i < r->ntest; i++) {
		if (!lt_view_shows(view, &r->test[i].field))
			return false;
	}
	for (i = 0; i < r->nuse; i++) {
		if (!lt_view_shows(view, &r->use[i]))
			return false;
	}
	return true;
}

/* In sight, of a unit asked for, and every test holds. */
static int
passes(const struct lt_rows *r, struct lt_row *row, bool *yes)
{
	const struct lt_unit_view *view;
	const Ltpb__Value *v;
	const char *name = row->unit;
	bool withheld;
	size_t i;
	int rc = lt_scope_view(r->scope, row->unit, &view);

	*yes = rc == LT_OK && view->seen;
	/* Only seen units were kept of those named. */
	if (*yes && !r->scope->every)
		*yes =
		    bsearch(&name, r->scope->unit, r->scope->nunit, sizeof(name), by_text) != NULL;
	*yes = *yes && uses_shown(r, view);
	for (i = 0; rc == LT_OK && *yes && i < r->ntest; i++) {
		rc = lt_row_value(row, r->scope, &r->test[i].field, &v, &withheld);
		*yes = rc == LT_OK && lt_test_holds(&r->test[i], v, withheld);
	}
	return rc;
}

static int
one_row(struct walk *w, struct lt_slice rk, struct lt_slice record, struct lt_slice entry)
{
	bool yes = false;
	int rc = lt_scope_tick(w->r->scope);

	if (rc == LT_OK)
		rc = lt_row_next(&w->row, rk, record);
	if (rc != LT_OK)
		return rc;
	w->row.entry = entry;
	rc = passes(w->r, &w->row, &yes);
	return rc == LT_OK && yes ? w->fn(w->ctx, &w->row) : rc;
}

/* The record of an index entry. One that is not there leaves nothing to show. */
static int
row_of(struct walk *w, struct lt_slice rk, struct lt_slice entry)
{
	struct lt_slice record;
	int rc = lt_kv_get(w->r->scope->q->derived, LT_T_SHOWN, rk, &record);

	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	return rc == LT_OK ? one_row(w, rk, record, entry) : rc;
}

/* Index walks end quietly on LT_E_CANCELLED, which a query may also end with in earnest. */
static int
on_entry(void *ctx, struct lt_slice index_key, struct lt_slice rk)
{
	struct walk *w = ctx;
	const struct lt_collection *col = w->r->scope->col;
	size_t head = strlen(col->id) + 1 + strlen(w->src->field) + 1;
	size_t tail = rk.len - strlen(col->id);

	w->rc = row_of(w, rk, lt_slice(index_key.data + head, index_key.len - head - tail));
	return w->rc == LT_OK ? LT_OK : LT_E_CANCELLED;
}

/* The index key of a position. */
static void
index_after(const struct walk *w, const struct lt_pos *after, struct lt_buf *out)
{
	const struct lt_collection *col = w->r->scope->col;
	struct lt_slice value = w->src->equal.data != NULL ? w->src->equal : after->value;
	size_t head = strlen(col->id);

	lt_buf_str(out, col->id);
	lt_buf_u8(out, 0);
	lt_buf_str(out, w->src->field);
	lt_buf_u8(out, 0);
	lt_buf_put_slice(out, value);
	lt_buf_put(out, after->rk.data + head, after->rk.len - head);
}

static int
each_index(struct walk *w, const struct lt_pos *after, bool descending)
{
	const struct lt_query *q = w->r->scope->q;
	struct lt_buf key = { 0 };
	const struct lt_range *range;
	size_t i;
	int rc;

	if (after != NULL)
		index_after(w, after, &key);
	rc = key.err;
	for (i = 0; rc == LT_OK && w->rc == LT_OK && i < w->src->nrange; i++) {
		range = &w->src->range[descending ? w->src->nrange - 1 - i : i];
		rc = lt_index_each(q->derived, w->r->scope->col->id, w->src->field, range->from,
		    range->to, lt_buf_slice(&key), descending, on_entry, w);
	}
	lt_buf_fini(&key);
	return rc != LT_OK ? rc : w->rc;
}

static int
range_records(struct walk *w, struct lt_kv_cursor *c, struct lt_slice low, struct lt_slice high,
    bool descending)
{
	struct lt_slice k, v;
	int rc = descending ? lt_kv_seek_before(c, high, &k, &v) : lt_kv_seek(c, low, &k, &v);

	while (
	    rc == LT_OK && (descending ? lt_slice_cmp(k, low) >= 0 : lt_slice_cmp(k, high) < 0)) {
		rc = one_row(w, k, v, lt_slice(NULL, 0));
		if (rc != LT_OK)
			return rc;
		rc = descending ? lt_kv_prev(c, &k, &v) : lt_kv_next(c, &k, &v);
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
each_record(struct walk *w, const struct lt_pos *after, bool descending)
{
	struct lt_kv_cursor *c;
	struct lt_buf next = { 0 };
	struct lt_slice low, high;
	const struct lt_range *range;
	size_t i;
	int rc = lt_kv_cursor_open(w->r->scope->q->derived, LT_T_SHOWN, &c);

	if (rc != LT_OK)
		return rc;
	if (after != NULL) {
		lt_buf_put_slice(&next, after->rk);
		lt_buf_u8(&next, 0);
	}
	rc = next.err;
	for (i = 0; rc == LT_OK && i < w->src->nrange; i++) {
		range = &w->src->range[descending ? w->src->nrange - 1 - i : i];
		low = range->from;
		high = range->to;
		if (after != NULL && !descending && lt_slice_cmp(lt_buf_slice(&next), low) > 0)
			low = lt_buf_slice(&next);
		if (after != NULL && descending && lt_slice_cmp(after->rk, high) < 0)
			high = after->rk;
		if (lt_slice_cmp(low, high) < 0)
			rc = range_records(w, c, low, high, descending);
	}
	lt_kv_cursor_close(c);
	lt_buf_fini(&next);
	return rc;
}

static int
each_collected(struct walk *w, const struct lt_pos *after, bool descending)
{
	const struct lt_source *src = w->src;
	struct lt_slice rk;
	size_t i;
	int c, rc = LT_OK;

	for (i = 0; rc == LT_OK && i < src->nrk; i++) {
		rk = src->rk[descending ? src->nrk - 1 - i : i];
		c = after == NULL ? 1 : lt_slice_cmp(rk, after->rk);
		if (descending ? (after == NULL || c < 0) : c > 0)
			rc = row_of(w, rk, lt_slice(NULL, 0));
	}
	return rc;
}

/* How fn ends a walk: not to be mistaken for a query that was cancelled. */
struct stop {
	lt_row_fn *fn;
	void *ctx;
	bool quiet;
};

static int
stop_row(void *ctx, struct lt_row *row)
{
	struct stop *s = ctx;
	int rc = s->fn(s->ctx, row);

	s->quiet = rc == LT_E_CANCELLED;
	return rc;
}

int
lt_source_each(const struct lt_source *src, const struct lt_rows *r, const struct lt_pos *after,
    bool descending, lt_row_fn *fn, void *ctx)
{
	struct stop stop = { fn, ctx, false };
	struct walk w = { .src = src, .r = r, .fn = stop_row, .ctx = &stop };
	int rc;

	if (src->collected)
		rc = each_collected(&w, after, descending);
	else if (src->field != NULL)
		rc = each_index(&w, after, descending);
	else
		rc = each_record(&w, after, descending);
	lt_row_close(&w.row);
	return stop.quiet ? LT_OK : rc;
}
