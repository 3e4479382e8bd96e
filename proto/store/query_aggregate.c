/* Counts and exact sums by group. */
#include "proto/store/query_impl.h"

#include "proto/model/value.h"

#include <sodium.h>
#include <stdlib.h>

#define SLOTS 32768 /* a power of two, three times the groups there may be */

struct total {
	__int128 unscaled;
	uint32_t scale;
};

struct group {
	size_t nkey;
	const uint8_t *key; /* the group's values, in one spelling */
	Ltpb__Value *value[LT_GROUP_BY_MAX]; /* NULL: missing */
	uint64_t count;
	struct total sum[LT_SUMS_MAX];
};

struct aggregate {
	struct lt_rows rows;
	struct lt_scope *scope;
	size_t nby, nsum;
	struct lt_qfield
	    use[LT_GROUP_BY_MAX + LT_SUMS_MAX]; /* those to group by, then those to sum */
	const struct lt_qfield *by, *sum;
	uint8_t hash_key[crypto_shorthash_KEYBYTES]; /* values come from outside */
	struct group **slot; /* owned, open addressing; groups in the query's arena */
	size_t ngroup;
	struct lt_err *err;
};

/* ---- groups ---- */

/* Equal decimals have one form: at the field's scale where that holds them, else the shortest. */
static void
decimal_form(const Ltpb__Decimal *d, uint32_t scale, Ltpb__Decimal *out)
{
	int64_t wider;

	out->unscaled = d->unscaled;
	out->scale = d->scale;
	while (out->scale > scale && out->unscaled % 10 == 0) {
		out->unscaled /= 10;
		out->scale--;
	}
	while (out->scale < scale && !__builtin_mul_overflow(out->unscaled, 10, &wider)) {
		out->unscaled = wider;
		out->scale++;
	}
}

static void
key_put(struct lt_buf *b, const Ltpb__Value *v)
{
	size_t i;

	lt_buf_u8(b, v == NULL ? 0 : (uint8_t)v->v_case);
	if (v == NULL)
		return;
	if (v->v_case == LTPB__VALUE__V_SET) {
		lt_buf_u32(b, (uint32_t)v->set->n_item);
		for (i = 0; i < v->set->n_item; i++)
			lt_buf_framed(b, lt_slice_str(v->set->item[i]));
		return;
	}
	if (v->v_case == LTPB__VALUE__V_BYTES) {
		lt_buf_framed(b, lt_slice(v->bytes.data, v->bytes.len));
		return;
	}
	/* The text form tells all other values apart, once decimals have one form. */
	lt_value_text(v, b);
	lt_buf_u8(b, 0);
}

/* The row's values to group by, spelled into b and set in value[]. */
static int
group_values(struct aggregate *a, struct lt_row *row, struct lt_buf *b,
    const Ltpb__Value *value[LT_GROUP_BY_MAX])
{
	Ltpb__Value *form;
	bool withheld;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < a->nby; i++) {
		rc = lt_row_value(row, a->scope, &a->by[i], &value[i], &withheld);
		if (rc == LT_OK && value[i] != NULL && value[i]->v_case == LTPB__VALUE__V_DECIMAL) {
			form = lt_value_dup(value[i], &row->arena);
			if (form == NULL)
				return LT_E_NOMEM;
			decimal_form(value[i]->decimal, a->by[i].scale, form->decimal);
			value[i] = form;
		}
		/* `_unit` and the unit's field share the row's one text. */
		if (rc == LT_OK && value[i] == &row->text) {
			value[i] = lt_value_dup(value[i], &row->arena);
			if (value[i] == NULL)
				return LT_E_NOMEM;
		}
		if (rc == LT_OK)
			key_put(b, value[i]);
	}
	return rc == LT_OK ? b->err : rc;
}

static struct group **
group_slot(struct aggregate *a, struct lt_slice key)
{
	uint8_t h[crypto_shorthash_BYTES];
	size_t i;

	(void)crypto_shorthash(h, key.data != NULL ? key.data : h, key.len, a->hash_key);
	i = (size_t)lt_load_u64(h) & (SLOTS - 1);
	while (a->slot[i] != NULL && !lt_slice_eq(lt_slice(a->slot[i]->key, a->slot[i]->nkey), key))
		i = (i + 1) & (SLOTS - 1);
	return &a->slot[i];
}

static int
group_new(
    struct aggregate *a, struct lt_slice key, const Ltpb__Value *const *value, struct group **out)
{
	struct lt_arena *arena = a->scope->q->arena;
	struct group *g;
	size_t i;

	if (a->ngroup == LT_GROUPS_MAX)
		return lt_err_set(a->err, LT_E_TOOBIG,
		    "more than %d groups: group by less, or filter further", LT_GROUPS_MAX);
	g = lt_arena_alloc(arena, sizeof(*g));
	if (g == NULL)
		return lt_nomem(a->err);
	g->key = lt_arena_dup(arena, key.data != NULL ? key.data : (const uint8_t *)"", key.len);
	g->nkey = key.len;
	if (g->key == NULL)
		return lt_nomem(a->err);
	for (i = 0; i < a->nby; i++) {
		if (value[i] == NULL)
			continue;
		g->value[i] = lt_value_dup(value[i], arena);
		if (g->value[i] == NULL)
			return lt_nomem(a->err);
	}
	for (i = 0; i < a->nsum; i++)
		g->sum[i].scale = a->sum[i].scale;
	a->ngroup++;
	*out = g;
	return LT_OK;
}

/* ---- sums ---- */

static int
too_large(struct aggregate *a, size_t i)
{
	return lt_err_set(a->err, LT_E_TOOBIG,
	    "the sum of \"%s\" is larger than 64 bits: filter further, or group by more",
	    a->sum[i].name);
}

static bool
raise_scale(__int128 *v, uint32_t *scale, uint32_t to)
{
	for (; *scale < to; (*scale)++) {
		if (__builtin_mul_overflow(*v, (__int128)10, v))
			return false;
	}
	return true;
}

static bool
total_add(struct total *t, const Ltpb__Value *v)
{
	bool decimal = v->v_case == LTPB__VALUE__V_DECIMAL;
	__int128 n = decimal ? v->decimal->unscaled : v->integer;
	uint32_t scale = decimal ? v->decimal->scale : 0;

	if (!raise_scale(&n, &scale, t->scale) || !raise_scale(&t->unscaled, &t->scale, scale))
		return false;
	return !__builtin_add_overflow(t->unscaled, n, &t->unscaled);
}

static int
sums_add(struct aggregate *a, struct lt_row *row, struct group *g)
{
	const Ltpb__Value *v;
	bool withheld;
	size_t i;
	int rc;

	for (i = 0; i < a->nsum; i++) {
		rc = lt_row_value(row, a->scope, &a->sum[i], &v, &withheld);
		if (rc != LT_OK)
			return rc;
		if (v == NULL ||
		    (v->v_case != LTPB__VALUE__V_DECIMAL && v->v_case != LTPB__VALUE__V_INTEGER))
			continue;
		if (!total_add(&g->sum[i], v))
			return too_large(a, i);
	}
	return LT_OK;
}

static int
add_row(void *ctx, struct lt_row *row)
{
	struct aggregate *a = ctx;
	const Ltpb__Value *value[LT_GROUP_BY_MAX] = { NULL };
	struct lt_buf key = { 0 };
	struct group **slot;
	int rc = group_values(a, row, &key, value);
	if (rc == LT_OK) {
		slot = group_slot(a, lt_buf_slice(&key));
		if (*slot == NULL)
			rc = group_new(a, lt_buf_slice(&key), value, slot);
		if (rc == LT_OK) {
			(*slot)->count++;
			rc = sums_add(a, row, *slot);
		}
	}
	lt_buf_fini(&key);
	return rc;
}

/* ---- reply ---- */

static int
group_order(const void *x, const void *y)
{
	const struct group *a = *(struct group *const *)x, *b = *(struct group *const *)y;
	size_t i;
	int c = 0;

	for (i = 0; c == 0 && i < LT_GROUP_BY_MAX; i++) {
		if (a->value[i] == NULL || b->value[i] == NULL)
			c = (a->value[i] == NULL) - (b->value[i] == NULL);
		else
			c = lt_value_cmp(a->value[i], b->value[i]);
	}
	return c;
}

static int
sums_reply(struct aggregate *a, const struct group *g, Ltpb__AggregateGroup *out)
{
	struct lt_arena *arena = a->scope->q->arena;
	Ltpb__Decimal *d;
	size_t i;

	out->sum = lt_arena_alloc(arena, (a->nsum + 1) * sizeof(*out->sum));
	d = lt_arena_alloc(arena, (a->nsum + 1) * sizeof(*d));
	if (out->sum == NULL || d == NULL)
		return lt_nomem(a->err);
	for (i = 0; i < a->nsum; i++, d++) {
		if (g->sum[i].unscaled > INT64_MAX || g->sum[i].unscaled < INT64_MIN)
			return too_large(a, i);
		ltpb__decimal__init(d);
		d->unscaled = (int64_t)g->sum[i].unscaled;
		d->scale = g->sum[i].scale;
		out->sum[out->n_sum++] = d;
	}
	return LT_OK;
}

static int
group_reply(struct aggregate *a, const struct group *g, Ltpb__AggregateGroup **out)
{
	struct lt_arena *arena = a->scope->q->arena;
	Ltpb__AggregateGroup *r = lt_arena_alloc(arena, sizeof(*r));
	Ltpb__Value *empty = lt_arena_alloc(arena, sizeof(*empty));
	size_t i;

	if (r == NULL || empty == NULL)
		return lt_nomem(a->err);
	ltpb__aggregate_group__init(r);
	ltpb__value__init(empty);
	r->count = g->count;
	r->group = lt_arena_alloc(arena, (a->nby + 1) * sizeof(*r->group));
	if (r->group == NULL)
		return lt_nomem(a->err);
	for (i = 0; i < a->nby; i++)
		r->group[r->n_group++] = g->value[i] != NULL ? g->value[i] : empty;
	*out = r;
	return sums_reply(a, g, r);
}

static size_t
group_items(const Ltpb__AggregateGroup *g)
{
	size_t i, n = 1 + g->n_group + g->n_sum;

	for (i = 0; i < g->n_group; i++) {
		if (g->group[i]->v_case == LTPB__VALUE__V_SET)
			n += g->group[i]->set->n_item;
	}
	return n;
}

static int
reply_fill(struct aggregate *a, struct group **sorted, Ltpb__AggregateReply *reply)
{
	Ltpb__AggregateGroup *g = NULL;
	struct lt_room room = { 0, 0 };
	size_t i;
	int rc;

	for (i = 0; i < a->ngroup; i++) {
		rc = group_reply(a, sorted[i], &g);
		if (rc != LT_OK)
			return rc;
		if (!lt_room_take(
			&room, ltpb__aggregate_group__get_packed_size(g) + 8, group_items(g)))
			return lt_err_set(a->err, LT_E_TOOBIG,
			    "the groups do not fit one answer: group by less, or filter further");
		reply->group[reply->n_group++] = g;
	}
	return LT_OK;
}

static int
reply_make(struct aggregate *a, Ltpb__AggregateReply *reply)
{
	struct lt_arena *arena = a->scope->q->arena;
	struct group **sorted = lt_arena_alloc(arena, (a->ngroup + 1) * sizeof(struct group *));
	size_t i, n = 0;

	reply->group = lt_arena_alloc(arena, (a->ngroup + 1) * sizeof(*reply->group));
	if (sorted == NULL || reply->group == NULL)
		return lt_nomem(a->err);
	for (i = 0; i < SLOTS; i++) {
		if (a->slot[i] != NULL)
			sorted[n++] = a->slot[i];
	}
	qsort(sorted, n, sizeof(*sorted), group_order);
	return reply_fill(a, sorted, reply);
}

/* ---- request ---- */

static int
fields_make(struct aggregate *a, char *const *name, size_t n, bool sums, struct lt_qfield *out)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < n; i++) {
		rc = lt_qfield_find(a->scope->col, name[i], &out[i], a->err);
		if (rc == LT_OK)
			rc = lt_scope_use(a->scope, &out[i], a->err);
		if (rc == LT_OK && sums && out[i].type != LT_TYPE_INT &&
		    out[i].type != LT_TYPE_DECIMAL)
			rc = lt_err_set(a->err, LT_E_INVALID, "\"%s\" is no number and has no sum",
			    out[i].name);
	}
	return rc;
}

static int
request_read(struct aggregate *a, const Ltpb__AggregateRequest *req)
{
	int rc;

	if (req->n_group_by > LT_GROUP_BY_MAX || req->n_sum > LT_SUMS_MAX)
		return lt_err_set(a->err, LT_E_INVALID,
		    "more than %d fields to group by or %d sums", LT_GROUP_BY_MAX, LT_SUMS_MAX);
	rc = lt_tests_make(a->scope, req->filter, req->n_filter, &a->rows.test, a->err);
	a->rows.ntest = req->n_filter;
	if (rc == LT_OK)
		rc = fields_make(a, req->group_by, req->n_group_by, false, a->use);
	if (rc == LT_OK)
		rc = fields_make(a, req->sum, req->n_sum, true, a->use + req->n_group_by);
	a->nby = req->n_group_by;
	a->nsum = req->n_sum;
	a->by = a->use;
	a->sum = a->use + a->nby;
	a->rows.use = a->use;
	a->rows.nuse = a->nby + a->nsum;
	return rc;
}

static int
aggregate(struct aggregate *a, Ltpb__AggregateReply *reply)
{
	const Ltpb__Value *none[LT_GROUP_BY_MAX] = { NULL };
	struct lt_slice no_key = { NULL, 0 };
	struct lt_source src;
	bool few;
	int rc = LT_OK;

	a->slot = calloc(SLOTS, sizeof(struct group *));
	if (a->slot == NULL)
		return lt_nomem(a->err);
	randombytes_buf(a->hash_key, sizeof(a->hash_key));
	/* Without groups there is one answer, also to nothing. */
	if (a->nby == 0)
		rc = group_new(a, no_key, none, group_slot(a, no_key));
	if (rc == LT_OK)
		rc = lt_source_plan(&a->rows, false, &src, &few);
	if (rc == LT_OK)
		rc = lt_source_each(&src, &a->rows, NULL, false, add_row, a);
	if (rc == LT_OK)
		rc = reply_make(a, reply);
	free(a->slot);
	return rc;
}

int
lt_query_aggregate(const struct lt_query *q, const Ltpb__AggregateRequest *req,
    Ltpb__AggregateReply *reply, struct lt_err *err)
{
	struct lt_scope s;
	struct aggregate a = { .rows = { .scope = &s }, .scope = &s, .err = err };
	int rc = lt_scope_open(q, req->collection, req->unit, req->n_unit, &s, err);

	ltpb__aggregate_reply__init(reply);
	if (rc == LT_OK)
		rc = request_read(&a, req);
	if (rc == LT_OK)
		rc = aggregate(&a, reply);
	lt_scope_close(&s);
	return rc;
}
