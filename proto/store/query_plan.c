/* Which index, if any, leads to the rows of a query. Indexes only propose: every row is checked against its record, so
 * a range may be wider than the filter, never narrower (long texts are cut in an index, FORMAT.md 9.4). */
#include "proto/store/query_impl.h"

#include "proto/model/value.h"

#include <stdlib.h>

#define FEW_DEFAULT 2000
/* With more units than this, ranges of units would be more than the rows. */
#define SPLIT_UNITS_MAX 20

/* Entries looked at to tell a narrow index from a wide one; as many rows are sorted without a thought. */
static size_t
few_of(const struct lt_scope *s)
{
	return s->q->few == 0 ? FEW_DEFAULT : s->q->few;
}

static const uint8_t zero = 0, one = 1;

static int
slice_copy(struct lt_arena *a, const struct lt_buf *b, struct lt_slice *out)
{
	void *p =
	    b->err == LT_OK ? lt_arena_dup(a, b->data != NULL ? b->data : &zero, b->len) : NULL;

	if (p == NULL)
		return LT_E_NOMEM;
	*out = lt_slice(p, b->len);
	return LT_OK;
}

static int
join(struct lt_arena *a, struct lt_slice s, const char *unit, const uint8_t *end,
    struct lt_slice *out)
{
	struct lt_buf b = { 0 };
	int rc;

	lt_buf_put_slice(&b, s);
	if (unit != NULL) {
		lt_buf_u8(&b, 0);
		lt_buf_str(&b, unit);
	}
	if (end != NULL)
		lt_buf_u8(&b, *end);
	rc = slice_copy(a, &b, out);
	lt_buf_fini(&b);
	return rc;
}

/* ---- records ---- */

int
lt_source_scan(const struct lt_scope *s, struct lt_source *out)
{
	struct lt_arena *a = s->q->arena;
	struct lt_slice col = lt_slice_str(s->col->id);
	size_t i;
	int rc = LT_OK;

	memset(out, 0, sizeof(*out));
	out->by_rk = true;
	out->nrange = s->every ? 1 : s->nunit;
	out->range = lt_arena_alloc(a, (out->nrange + 1) * sizeof(*out->range));
	if (out->range == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < out->nrange; i++) {
		const char *unit = s->every ? NULL : s->unit[i];

		rc = join(a, col, unit, &zero, &out->range[i].from);
		if (rc == LT_OK)
			rc = join(a, col, unit, &one, &out->range[i].to);
	}
	return rc;
}

/* ---- ranges of an index ---- */

/* The first bytes behind everything that begins with b; empty: there are none. */
static struct lt_slice
successor(struct lt_buf *b)
{
	while (b->len > 0 && b->data[b->len - 1] == 0xff)
		b->len--;
	if (b->len > 0)
		b->data[b->len - 1]++;
	return lt_buf_slice(b);
}

/* What index bytes a comparison with v can meet. */
static int
value_range(struct lt_arena *a, const struct lt_test *t, const Ltpb__Value *v, struct lt_range *out)
{
	struct lt_buf b = { 0 };
	int rc = lt_value_index(v, t->field.scale, 0, &b);

	memset(out, 0, sizeof(*out));
	if (rc == LT_OK && t->op != LTPB__FILTER_OP__FILTER_OP_LT &&
	    t->op != LTPB__FILTER_OP__FILTER_OP_LE)
		rc = slice_copy(a, &b, &out->from);
	if (rc == LT_OK && t->op == LTPB__FILTER_OP__FILTER_OP_PREFIX) {
		(void)successor(&b);
		rc = slice_copy(a, &b, &out->to);
	} else if (rc == LT_OK && t->op != LTPB__FILTER_OP__FILTER_OP_GT &&
		   t->op != LTPB__FILTER_OP__FILTER_OP_GE) {
		lt_buf_u8(&b, one);
		rc = slice_copy(a, &b, &out->to);
	}
	lt_buf_fini(&b);
	return rc;
}

static bool
narrows(Ltpb__FilterOp op)
{
	return op != LTPB__FILTER_OP__FILTER_OP_NE && op != LTPB__FILTER_OP__FILTER_OP_IS_NULL &&
	       op != LTPB__FILTER_OP__FILTER_OP_NOT_NULL;
}

static void
intersect(struct lt_range *r, const struct lt_range *with)
{
	if (lt_slice_cmp(with->from, r->from) > 0)
		r->from = with->from;
	if (with->to.len != 0 && (r->to.len == 0 || lt_slice_cmp(with->to, r->to) < 0))
		r->to = with->to;
}

/* All comparisons of one field with one value each. Of a set each may be met by another code. */
static int
field_range(const struct lt_rows *r, const struct lt_qfield *f, struct lt_range *out)
{
	struct lt_range range;
	size_t i;
	int rc = LT_OK;

	memset(out, 0, sizeof(*out));
	for (i = 0; rc == LT_OK && i < r->ntest; i++) {
		const struct lt_test *t = &r->test[i];

		if (t->field.f != f->f || t->field.kind != f->kind || !narrows(t->op) ||
		    t->op == LTPB__FILTER_OP__FILTER_OP_IN)
			continue;
		rc = value_range(r->scope->q->arena, t, t->value[0], &range);
		if (rc == LT_OK)
			intersect(out, &range);
	}
	return rc;
}

int
lt_source_order(const struct lt_rows *r, const struct lt_qfield *f, struct lt_source *out)
{
	memset(out, 0, sizeof(*out));
	out->field = f->name;
	out->nrange = 1;
	out->range = lt_arena_alloc(r->scope->q->arena, sizeof(*out->range));
	return out->range == NULL ? LT_E_NOMEM : field_range(r, f, out->range);
}

static int
by_from(const void *a, const void *b)
{
	return lt_slice_cmp(((const struct lt_range *)a)->from, ((const struct lt_range *)b)->from);
}

/* One range for each value, each once. */
static int
value_ranges(const struct lt_rows *r, const struct lt_test *t, struct lt_source *out)
{
	struct lt_arena *a = r->scope->q->arena;
	size_t i, kept = 0;
	int rc = LT_OK;

	out->range = lt_arena_alloc(a, t->nvalue * sizeof(*out->range));
	if (out->range == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < t->nvalue; i++)
		rc = value_range(a, t, t->value[i], &out->range[i]);
	if (rc != LT_OK)
		return rc;
	qsort(out->range, t->nvalue, sizeof(*out->range), by_from);
	for (i = 0; i < t->nvalue; i++) {
		if (kept == 0 || by_from(&out->range[kept - 1], &out->range[i]) != 0)
			out->range[kept++] = out->range[i];
	}
	out->nrange = kept;
	return LT_OK;
}

/* Entries of one value stand by unit and key, so that units become ranges. */
static int
split_units(const struct lt_scope *s, struct lt_source *out)
{
	struct lt_arena *a = s->q->arena;
	struct lt_range *range;
	size_t i, j, n = 0;
	int rc = LT_OK;

	if (s->every)
		return LT_OK;
	range = lt_arena_alloc(a, (out->nrange * s->nunit + 1) * sizeof(*range));
	if (range == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < out->nrange; i++) {
		for (j = 0; rc == LT_OK && j < s->nunit; j++, n++) {
			struct lt_slice value = out->range[i].from;

			rc = join(a, value, s->unit[j], &zero, &range[n].from);
			if (rc == LT_OK)
				rc = join(a, value, s->unit[j], &one, &range[n].to);
		}
	}
	out->range = range;
	out->nrange = n;
	return rc;
}

/* The source that one test's field offers; *any false: none. */
static int
test_source(const struct lt_rows *r, const struct lt_test *t, struct lt_source *out, bool *any)
{
	bool set = t->field.type == LT_TYPE_SET;
	int rc;

	memset(out, 0, sizeof(*out));
	*any = lt_scope_indexed(r->scope, &t->field) && narrows(t->op);
	if (!*any)
		return LT_OK;
	out->field = t->field.name;
	if (t->op == LTPB__FILTER_OP__FILTER_OP_EQ || t->op == LTPB__FILTER_OP__FILTER_OP_IN) {
		rc = value_ranges(r, t, out);
		if (rc == LT_OK && out->nrange == 1) {
			out->by_rk = true;
			out->equal = out->range[0].from;
		}
		out->repeats = set && out->nrange > 1;
		return rc == LT_OK && r->scope->nunit <= SPLIT_UNITS_MAX
			   ? split_units(r->scope, out)
			   : rc;
	}
	out->repeats = set;
	out->nrange = 1;
	out->range = lt_arena_alloc(r->scope->q->arena, sizeof(*out->range));
	if (out->range == NULL)
		return LT_E_NOMEM;
	return set ? value_range(r->scope->q->arena, t, t->value[0], out->range)
		   : field_range(r, &t->field, out->range);
}

/* ---- choosing ---- */

struct count {
	struct lt_scope *scope;
	struct lt_arena *arena; /* NULL: count only */
	size_t n, max;
	struct lt_slice *rk;
	int rc;
};

static int
count_entry(void *ctx, struct lt_slice index_key, struct lt_slice rk)
{
	struct count *c = ctx;
	void *copy;

	(void)index_key;
	c->rc = lt_scope_tick(c->scope);
	if (c->rc != LT_OK || c->n == c->max)
		return LT_E_CANCELLED;
	if (c->arena != NULL) {
		copy = lt_arena_dup(c->arena, rk.data, rk.len);
		if (copy == NULL) {
			c->rc = LT_E_NOMEM;
			return LT_E_CANCELLED;
		}
		c->rk[c->n] = lt_slice(copy, rk.len);
	}
	c->n++;
	return LT_OK;
}

static int
each_entry(struct lt_scope *s, const struct lt_source *src, struct count *c)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && c->rc == LT_OK && c->n < c->max && i < src->nrange; i++)
		rc = lt_index_each(s->q->derived, s->col->id, src->field, src->range[i].from,
		    src->range[i].to, lt_slice(NULL, 0), false, count_entry, c);
	return rc != LT_OK ? rc : c->rc;
}

static int
slice_order(const void *a, const void *b)
{
	return lt_slice_cmp(*(const struct lt_slice *)a, *(const struct lt_slice *)b);
}

/* Take the n entries of an index by unit and key, each record once. */
static int
collect(struct lt_scope *s, struct lt_source *src, size_t n)
{
	struct count c = { .scope = s, .arena = s->q->arena, .max = n };
	size_t i, kept = 0;
	int rc;

	c.rk = lt_arena_alloc(s->q->arena, (n + 1) * sizeof(*c.rk));
	if (c.rk == NULL)
		return LT_E_NOMEM;
	rc = each_entry(s, src, &c);
	if (rc != LT_OK)
		return rc;
	qsort(c.rk, c.n, sizeof(*c.rk), slice_order);
	for (i = 0; i < c.n; i++) {
		if (kept == 0 || !lt_slice_eq(c.rk[kept - 1], c.rk[i]))
			c.rk[kept++] = c.rk[i];
	}
	src->rk = c.rk;
	src->nrk = kept;
	src->collected = src->by_rk = true;
	src->repeats = false;
	return LT_OK;
}

/* May a wide index be walked as it stands? */
static bool
walkable(const struct lt_source *src, bool by_rk)
{
	return !src->repeats && (src->by_rk || !by_rk);
}

/* Where units are named, reading their records beats reading a wide range of all units. */
static bool
worth_walking(const struct lt_scope *s, const struct lt_source *src)
{
	return s->every || src->equal.data != NULL;
}

/* Smaller is better; among wide ones the one that names values before the one that names a range. */
static size_t
cost(const struct lt_source *src, size_t n, size_t few)
{
	if (n < few)
		return n;
	return src->equal.data != NULL ? few : few + 1;
}

/* Rows by unit and key are asked for, and one index has them so, behind one value: a page reads no more of it than it shows.
 * With other indexes to choose from, entries are counted first. */
static int
only_value(const struct lt_rows *r, struct lt_source *out, bool *found)
{
	struct lt_source src;
	size_t i, n = 0;
	bool any;
	int rc = LT_OK;

	*found = false;
	for (i = 0; rc == LT_OK && i < r->ntest; i++) {
		if (!lt_scope_indexed(r->scope, &r->test[i].field) || !narrows(r->test[i].op))
			continue;
		rc = n++ == 0 ? test_source(r, &r->test[i], &src, &any) : LT_OK;
	}
	*found = rc == LT_OK && n == 1 && src.equal.data != NULL && walkable(&src, true);
	if (*found)
		*out = src;
	return rc;
}

int
lt_source_plan(const struct lt_rows *r, bool by_rk, struct lt_source *out, bool *narrow)
{
	struct lt_scope *s = r->scope;
	struct lt_source src;
	size_t i, n = 0, few = few_of(s), best = SIZE_MAX;
	bool any = false;
	int rc = lt_source_scan(s, out);

	*narrow = false;
	if (rc == LT_OK && by_rk)
		rc = only_value(r, out, &any);
	if (rc != LT_OK || any)
		return rc;
	for (i = 0; rc == LT_OK && best != 0 && i < r->ntest; i++) {
		struct count c = { .scope = s, .max = few };

		rc = test_source(r, &r->test[i], &src, &any);
		if (rc != LT_OK || !any)
			continue;
		rc = each_entry(s, &src, &c);
		if (rc != LT_OK || cost(&src, c.n, few) >= best)
			continue;
		if (c.n == few && !(walkable(&src, by_rk) && worth_walking(s, &src)))
			continue;
		*out = src;
		best = cost(&src, c.n, few);
		n = c.n;
	}
	*narrow = best < few;
	return rc == LT_OK && *narrow ? collect(s, out, n) : rc;
}
