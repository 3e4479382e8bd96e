/* Scope of a query: which collection and units, and what of them the asker sees. */
#include "proto/store/query_impl.h"
#include "proto/store/rebuild.h"

#include <stdlib.h>

static bool
of_unit(void *ctx, const struct lt_collection *c, const char *unit)
{
	const struct lt_sight_of *of = ctx;

	return lt_access_records(of->who, of->catalogue, of->province, c, unit);
}

static bool
of_field(void *ctx, const struct lt_collection *c, const char *unit, const struct lt_field *f)
{
	const struct lt_sight_of *of = ctx;

	return lt_access_field(of->who, of->catalogue, of->province, c, unit, f);
}

static bool
of_field_everywhere(void *ctx, const struct lt_collection *c, const struct lt_field *f)
{
	const struct lt_sight_of *of = ctx;

	return lt_access_field_everywhere(of->who, of->catalogue, of->province, c, f);
}

static void
of_fields(void *ctx, const struct lt_collection *c, const char *unit, bool *in)
{
	const struct lt_sight_of *of = ctx;

	lt_access_fields(of->who, of->catalogue, of->province, c, unit, in);
}

void
lt_sight_of_asker(struct lt_sight_of *of, struct lt_sight *out)
{
	out->unit = of_unit;
	out->field = of_field;
	out->field_everywhere = of_field_everywhere;
	out->fields = of_fields;
	out->ctx = of;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A unit out of sight is passed over: it is as if it had no records. */
static int
scope_units(struct lt_scope *s, char *const *unit, size_t n, struct lt_err *err)
{
	const struct lt_sight *sight = s->q->sight;
	size_t i, kept = 0;

	s->every = n == 0;
	if (n > LT_UNITS_MAX)
		return lt_err_set(err, LT_E_INVALID, "more than %d units", LT_UNITS_MAX);
	if (n == 0)
		return LT_OK;
	s->unit = lt_arena_alloc(s->q->arena, n * sizeof(*s->unit));
	if (s->unit == NULL)
		return lt_nomem(err);
	for (i = 0; i < n; i++) {
		if (!lt_unit_valid(unit[i]))
			return lt_err_set(err, LT_E_INVALID,
			    "\"%.20s\" is not the code of an administrative unit", unit[i]);
		if (sight->unit(sight->ctx, s->col, unit[i]))
			s->unit[s->nunit++] = unit[i];
	}
	qsort(s->unit, s->nunit, sizeof(*s->unit), by_text);
	for (i = 0; i < s->nunit; i++) {
		if (kept == 0 || strcmp(s->unit[kept - 1], s->unit[i]) != 0)
			s->unit[kept++] = s->unit[i];
	}
	s->nunit = kept;
	return LT_OK;
}

int
lt_scope_open(const struct lt_query *q, const char *collection, char *const *unit, size_t nunit,
    struct lt_scope *s, struct lt_err *err)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->q = q;
	s->col = lt_catalogue_find(q->catalogue, collection);
	/* One answer for both: whether a collection exists is nobody's business who may see nothing of it. */
	if (s->col == NULL || !q->sight->unit(q->sight->ctx, s->col, NULL))
		return lt_err_set(err, LT_E_DENIED,
		    "there is no collection \"%.64s\", or none of it may be seen", collection);
	rc = lt_rebuild_indexed(q->derived, lt_catalogue_version(q->catalogue), &s->indexed);
	return rc == LT_OK ? scope_units(s, unit, nunit, err) : rc;
}

void
lt_scope_close(struct lt_scope *s)
{
	size_t i;

	for (i = 0; i < s->nview; i++) {
		free(s->view[i].field);
		free(s->view[i].hidden);
	}
	free(s->view);
	s->view = NULL;
	s->nview = 0;
}

static size_t
view_place(const struct lt_scope *s, const char *unit)
{
	size_t low = 0, high = s->nview, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (strcmp(s->view[mid].unit.s, unit) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int
by_field_name(const void *a, const void *b)
{
	return strcmp((*(const struct lt_field *const *)a)->rule.name,
	    (*(const struct lt_field *const *)b)->rule.name);
}

static void
view_fill(const struct lt_scope *s, struct lt_unit_view *v)
{
	const struct lt_sight *sight = s->q->sight;
	size_t i;

	v->seen = sight->unit(sight->ctx, s->col, v->unit.s);
	v->key = v->seen;
	if (v->seen && sight->fields != NULL)
		sight->fields(sight->ctx, s->col, v->unit.s, v->field);
	for (i = 0; v->seen && i < s->col->nfield; i++) {
		if (sight->fields == NULL)
			v->field[i] =
			    sight->field(sight->ctx, s->col, v->unit.s, &s->col->field[i]);
		if (s->col->field[i].in_key && !v->field[i])
			v->key = false;
		if (!v->field[i])
			v->hidden[v->nhidden++] = &s->col->field[i];
	}
	if (v->nhidden != 0)
		qsort(v->hidden, v->nhidden, sizeof(*v->hidden), by_field_name);
}

int
lt_scope_view(struct lt_scope *s, const char *unit, const struct lt_unit_view **out)
{
	size_t at = view_place(s, unit), cap = s->view_cap == 0 ? 16 : s->view_cap * 2;
	struct lt_unit_view *wider, v;

	if (at < s->nview && strcmp(s->view[at].unit.s, unit) == 0) {
		*out = &s->view[at];
		return LT_OK;
	}
	memset(&v, 0, sizeof(v));
	if (lt_unit_set(&v.unit, lt_slice_str(unit)) != LT_OK)
		return LT_E_CORRUPT;
	if (s->nview == s->view_cap) {
		wider = realloc(s->view, cap * sizeof(*wider));
		if (wider == NULL)
			return LT_E_NOMEM;
		s->view = wider;
		s->view_cap = cap;
	}
	v.field = calloc(s->col->nfield + 1, sizeof(*v.field));
	v.hidden = calloc(s->col->nfield + 1, sizeof(struct lt_field *));
	if (v.field == NULL || v.hidden == NULL) {
		free(v.field);
		free(v.hidden);
		return LT_E_NOMEM;
	}
	view_fill(s, &v);
	memmove(&s->view[at + 1], &s->view[at], (s->nview - at) * sizeof(v));
	s->view[at] = v;
	s->nview++;
	*out = &s->view[at];
	return LT_OK;
}

bool
lt_view_shows(const struct lt_unit_view *v, const struct lt_qfield *f)
{
	switch (f->kind) {
	case LT_QUNIT:
		return v->seen;
	case LT_QKEY:
		return v->key;
	case LT_QFIELD:
		break;
	}
	return v->field[f->place];
}

/* Of `_key`: the first key field out of sight, NULL when there is none. */
static const struct lt_field *
hidden_everywhere(const struct lt_scope *s, const struct lt_qfield *f)
{
	const struct lt_sight *sight = s->q->sight;
	const struct lt_field *part;
	size_t i;

	if (f->kind == LT_QFIELD)
		return sight->field_everywhere(sight->ctx, s->col, f->f) ? NULL : f->f;
	for (i = 0; f->kind == LT_QKEY && i < s->col->nkey; i++) {
		part = &s->col->field[s->col->key[i]];
		if (!sight->field_everywhere(sight->ctx, s->col, part))
			return part;
	}
	return NULL;
}

int
lt_scope_use(struct lt_scope *s, const struct lt_qfield *f, struct lt_err *err)
{
	const struct lt_unit_view *v;
	bool hidden = s->every && hidden_everywhere(s, f) != NULL;
	size_t i;
	int rc;

	for (i = 0; !hidden && i < s->nunit; i++) {
		rc = lt_scope_view(s, s->unit[i], &v);
		if (rc != LT_OK)
			return rc;
		hidden = !lt_view_shows(v, f);
	}
	return hidden ? lt_err_set(err, LT_E_DENIED,
			    "the field \"%s\" of \"%s\" may not be seen in every unit asked for",
			    f->name, s->col->id)
		      : LT_OK;
}

bool
lt_scope_indexed(const struct lt_scope *s, const struct lt_qfield *f)
{
	return s->indexed && f->kind == LT_QFIELD && f->f->indexed && !f->f->is_unit;
}

int
lt_scope_tick(struct lt_scope *s)
{
	if (++s->ticks % LT_QUERY_TICK != 0 || s->q->tick == NULL)
		return LT_OK;
	return s->q->tick(s->q->tick_ctx);
}
