/* List: a page of records, streamed where a source gives the order, else the page's smallest kept in memory. */
#include "proto/store/query_impl.h"

#include "proto/model/value.h"

#include <stdlib.h>

/* Where a row stands in the order, in memory of its own. */
struct place {
	bool missing; /* no value to order by */
	size_t nvalue, nrk;
	uint8_t value[LT_SORT_KEY_MAX];
	uint8_t rk[LT_RK_MAX];
};

struct list {
	struct lt_rows rows;
	struct lt_scope *scope;
	bool ordered; /* by a field; else by unit and key */
	struct lt_qfield by;
	bool descending;
	size_t want; /* rows of the page */
	const bool *mask;
	bool has_after;
	struct place after;
	/* the page */
	struct lt_room room;
	Ltpb__ListReply *reply;
	struct place last; /* of the page's last row */
	bool more;
	/* sorting: the first want + 1 places, in order */
	struct place **kept; /* owned */
	size_t nkept, matched;
	bool missing_only; /* this walk is for the rows that the index does not have */
	struct lt_err *err;
};

static struct lt_pos
pos_of(const struct place *p)
{
	struct lt_pos pos = { p->missing, lt_slice(p->value, p->nvalue), lt_slice(p->rk, p->nrk) };

	return pos;
}

/* The order of the list. */
static int
place_cmp(const struct list *l, const struct place *a, const struct place *b)
{
	struct lt_pos x = pos_of(a), y = pos_of(b);
	int c;

	if (a->missing != b->missing)
		return a->missing ? 1 : -1;
	c = a->missing ? 0 : lt_slice_cmp(x.value, y.value);
	if (c == 0)
		c = lt_slice_cmp(x.rk, y.rk);
	/* Rows without a value stand by unit and key, whichever way the others go. */
	return l->descending && !(l->ordered && a->missing) ? -c : c;
}

static int
place_of(struct list *l, struct lt_row *row, struct place *out)
{
	const Ltpb__Value *v = NULL;
	struct lt_buf b = { 0 };
	bool withheld;
	int rc = LT_OK;

	memset(out, 0, sizeof(*out));
	if (row->rk.len > sizeof(out->rk))
		return LT_E_CORRUPT;
	memcpy(out->rk, row->rk.data, row->rk.len);
	out->nrk = row->rk.len;
	if (!l->ordered)
		return LT_OK;
	rc = lt_row_value(row, l->scope, &l->by, &v, &withheld);
	if (rc != LT_OK)
		return rc;
	out->missing = v == NULL;
	if (v == NULL)
		return LT_OK;
	/* `_key` is longer than an index value may be, and stands as it is. */
	if (l->by.kind == LT_QKEY)
		lt_buf_str(&b, row->key);
	else
		rc = lt_value_index(v, l->by.scale, 0, &b);
	if (rc == LT_OK)
		rc = b.err;
	if (rc == LT_OK && b.len > sizeof(out->value))
		rc = LT_E_CORRUPT;
	if (rc == LT_OK && b.len > 0)
		memcpy(out->value, b.data, b.len);
	out->nvalue = b.len;
	lt_buf_fini(&b);
	return rc;
}

/* ---- the page ---- */

static int
page_add(struct list *l, struct lt_row *row, const struct place *at)
{
	Ltpb__Record *r;
	size_t items;
	int rc;

	if (l->reply->n_record == l->want) {
		l->more = true;
		return LT_E_CANCELLED;
	}
	rc = lt_record_reply(l->scope, row, l->mask, &r, &items);
	if (rc != LT_OK)
		return rc;
	if (!lt_room_take(&l->room, ltpb__record__get_packed_size(r) + 8, items)) {
		l->more = true;
		return LT_E_CANCELLED;
	}
	l->reply->record[l->reply->n_record++] = r;
	l->last = *at;
	return LT_OK;
}

/* Rows that come in order. */
static int
stream_row(void *ctx, struct lt_row *row)
{
	struct list *l = ctx;
	struct place at;
	int rc = place_of(l, row, &at);

	if (rc != LT_OK)
		return rc;
	if (l->missing_only && !at.missing)
		return LT_OK;
	/* An entry that is not the record's own would give the row twice. */
	if (row->entry.data != NULL && l->ordered &&
	    !lt_slice_eq(row->entry, lt_slice(at.value, at.nvalue)))
		return LT_OK;
	return page_add(l, row, &at);
}

static int
stream(struct list *l, const struct lt_source *src)
{
	struct lt_pos after = pos_of(&l->after);

	return lt_source_each(
	    src, &l->rows, l->has_after ? &after : NULL, l->descending, stream_row, l);
}

/* By an index: first its entries, then the records that have none. */
static int
stream_index(struct list *l)
{
	struct lt_source src;
	struct lt_pos after = pos_of(&l->after);
	int rc = LT_OK;

	if (!l->has_after || !l->after.missing) {
		rc = lt_source_order(&l->rows, &l->by, &src);
		if (rc == LT_OK)
			rc = stream(l, &src);
	}
	if (rc != LT_OK || l->more)
		return rc;
	rc = lt_source_scan(l->scope, &src);
	l->missing_only = true;
	if (rc != LT_OK)
		return rc;
	return lt_source_each(
	    &src, &l->rows, l->has_after && l->after.missing ? &after : NULL, false, stream_row, l);
}

/* ---- sorting ---- */

static size_t
kept_place(const struct list *l, const struct place *at)
{
	size_t low = 0, high = l->nkept, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (place_cmp(l, l->kept[mid], at) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int
keep_row(void *ctx, struct lt_row *row)
{
	struct list *l = ctx;
	struct place at, *slot;
	size_t i;
	int rc = place_of(l, row, &at);

	if (rc != LT_OK)
		return rc;
	if (++l->matched > LT_SORT_MAX)
		return lt_err_set(l->err, LT_E_TOOBIG,
		    "more than %d records match and none of the indexes gives the order: ask for "
		    "less, or "
		    "order by an indexed field",
		    LT_SORT_MAX);
	if (l->has_after && place_cmp(l, &at, &l->after) <= 0)
		return LT_OK;
	i = kept_place(l, &at);
	if (i > l->want)
		return LT_OK;
	/* The last one goes; its memory is the new one's. */
	if (l->nkept > l->want) {
		slot = l->kept[l->want];
		l->nkept--;
	} else {
		slot = malloc(sizeof(*slot));
		if (slot == NULL)
			return LT_E_NOMEM;
	}
	*slot = at;
	memmove(&l->kept[i + 1], &l->kept[i], (l->nkept - i) * sizeof(*l->kept));
	l->kept[i] = slot;
	l->nkept++;
	return LT_OK;
}

static int
page_kept(struct list *l)
{
	struct lt_slice rk, record;
	struct lt_row row;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < l->nkept; i++) {
		rk = lt_slice(l->kept[i]->rk, l->kept[i]->nrk);
		rc = lt_kv_get(l->scope->q->derived, LT_T_SHOWN, rk, &record);
		if (rc == LT_OK)
			rc = lt_row_open(&row, rk, record);
		if (rc != LT_OK)
			return rc;
		rc = page_add(l, &row, l->kept[i]);
		lt_row_close(&row);
	}
	return l->more ? LT_OK : rc;
}

static int
sort(struct list *l, const struct lt_source *src)
{
	size_t i;
	int rc;

	l->kept = calloc(l->want + 2, sizeof(struct place *));
	if (l->kept == NULL)
		return LT_E_NOMEM;
	rc = lt_source_each(src, &l->rows, NULL, false, keep_row, l);
	if (rc == LT_OK)
		rc = page_kept(l);
	for (i = 0; i < l->nkept; i++)
		free(l->kept[i]);
	free(l->kept);
	l->kept = NULL;
	return rc;
}

static int
run(struct list *l)
{
	struct lt_source src;
	bool few;
	int rc = lt_source_plan(&l->rows, !l->ordered, &src, &few);

	if (rc != LT_OK)
		return rc;
	if (!l->ordered)
		return stream(l, &src);
	return !few && lt_scope_indexed(l->scope, &l->by) ? stream_index(l) : sort(l, &src);
}

/* ---- token ---- */

static int
token_read(struct list *l, const struct lt_query *q, const Ltpb__ListRequest *bound,
    const ProtobufCBinaryData *token)
{
	struct lt_slice content, value, rk;
	struct lt_reader r;
	int rc = lt_token_open(q, LT_TOKEN_LIST, &bound->base, token, &content, l->err);

	if (rc != LT_OK)
		return rc;
	lt_reader_init(&r, content);
	l->after.missing = lt_read_u8(&r) != 0;
	value = lt_read_framed(&r);
	rk = lt_read_framed(&r);
	/* It was sealed here, but a program before this one may have meant something else by it. */
	if (r.err != LT_OK || lt_reader_left(&r) != 0 || value.len > sizeof(l->after.value) ||
	    rk.len > sizeof(l->after.rk) || rk.len <= strlen(l->scope->col->id))
		return lt_err_set(l->err, LT_E_INVALID, "this page token is none");
	if (value.len > 0)
		memcpy(l->after.value, value.data, value.len);
	memcpy(l->after.rk, rk.data, rk.len);
	l->after.nvalue = value.len;
	l->after.nrk = rk.len;
	l->has_after = true;
	return LT_OK;
}

static int
token_write(const struct list *l, const struct lt_query *q, const Ltpb__ListRequest *bound)
{
	struct lt_buf b = { 0 };
	int rc;

	lt_buf_u8(&b, l->last.missing);
	lt_buf_framed(&b, lt_slice(l->last.value, l->last.nvalue));
	lt_buf_framed(&b, lt_slice(l->last.rk, l->last.nrk));
	rc = b.err;
	if (rc == LT_OK)
		rc = lt_token_seal(
		    q, LT_TOKEN_LIST, &bound->base, lt_buf_slice(&b), &l->reply->next_page_token);
	lt_buf_fini(&b);
	return rc;
}

/* ---- request ---- */

static int
order_make(struct list *l, const Ltpb__ListRequest *req)
{
	int rc;

	l->descending = req->descending;
	if (req->order_by[0] == '\0')
		return LT_OK;
	rc = lt_qfield_find(l->scope->col, req->order_by, &l->by, l->err);
	if (rc == LT_OK)
		rc = lt_scope_use(l->scope, &l->by, l->err);
	if (rc == LT_OK && l->by.type == LT_TYPE_SET)
		rc = lt_err_set(l->err, LT_E_INVALID,
		    "\"%s\" is a list of codes, which has no order", l->by.name);
	l->rows.use = &l->by;
	l->rows.nuse = 1;
	/* By unit is how records stand anyway. */
	l->ordered = !(l->by.kind == LT_QUNIT || (l->by.f != NULL && l->by.f->is_unit));
	return rc;
}

static int
list(struct list *l, const struct lt_query *q, const Ltpb__ListRequest *req)
{
	Ltpb__ListRequest bound = *req;
	const ProtobufCBinaryData none = { 0, NULL };
	int rc;

	/* The size of a page may change from one to the next. */
	bound.page_size = 0;
	bound.page_token = bound.not_before = none;
	rc = lt_tests_make(l->scope, req->filter, req->n_filter, &l->rows.test, l->err);
	l->rows.ntest = req->n_filter;
	if (rc == LT_OK)
		rc = order_make(l, req);
	if (rc == LT_OK)
		rc = lt_mask_make(l->scope, req->mask, req->n_mask, &l->mask, l->err);
	if (rc == LT_OK && req->page_token.len != 0)
		rc = token_read(l, q, &bound, &req->page_token);
	if (rc != LT_OK)
		return rc;
	l->reply->record = lt_arena_alloc(q->arena, (l->want + 1) * sizeof(*l->reply->record));
	if (l->reply->record == NULL)
		return lt_nomem(l->err);
	rc = run(l);
	return rc == LT_OK && l->more ? token_write(l, q, &bound) : rc;
}

int
lt_query_list(const struct lt_query *q, const Ltpb__ListRequest *req, Ltpb__ListReply *reply,
    struct lt_err *err)
{
	struct lt_scope s;
	struct list l = { .rows = { .scope = &s }, .scope = &s, .reply = reply, .err = err };
	int rc = lt_scope_open(q, req->collection, req->unit, req->n_unit, &s, err);

	ltpb__list_reply__init(reply);
	if (rc == LT_OK && req->n_delivery != 0)
		rc = lt_err_set(err, LT_E_INVALID,
		    "how far a change got, only the node where it was made knows");
	if (rc == LT_OK)
		rc = lt_page_size(req->page_size, &l.want, err);
	if (rc == LT_OK)
		rc = list(&l, q, req);
	lt_scope_close(&s);
	return rc;
}
