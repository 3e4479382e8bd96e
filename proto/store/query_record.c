/* A record as the asker sees it: what is out of sight is named, not shown. */
#include "proto/store/query_impl.h"

#include "proto/model/value.h"

#include <stdlib.h>

int
lt_mask_make(struct lt_scope *s, char *const *mask, size_t n, const bool **out, struct lt_err *err)
{
	struct lt_qfield f;
	bool *want;
	size_t i;
	int rc = LT_OK;

	*out = NULL;
	if (n == 0 || (n == 1 && strcmp(mask[0], "*") == 0))
		return LT_OK;
	if (n > LT_FIELDS_MAX)
		return lt_err_set(
		    err, LT_E_INVALID, "a mask of more than %d fields", LT_FIELDS_MAX);
	want = lt_arena_alloc(s->q->arena, (s->col->nfield + 1) * sizeof(*want));
	if (want == NULL)
		return lt_nomem(err);
	for (i = 0; rc == LT_OK && i < n; i++) {
		rc = lt_qfield_find(s->col, mask[i], &f, err);
		/* Unit and key stand in every record. */
		if (rc != LT_OK || f.kind != LT_QFIELD)
			continue;
		want[f.place] = true;
		rc = lt_scope_use(s, &f, err);
	}
	*out = want;
	return rc;
}

enum sight { HIDDEN, SHOWN, UNWANTED };

static enum sight
sight_of(
    const struct lt_scope *s, const struct lt_unit_view *view, const bool *mask, const char *name)
{
	const struct lt_field *f = lt_collection_field(s->col, name);
	size_t place;

	/* What the catalogue does not know has no rule that would show it. */
	if (f == NULL)
		return mask == NULL ? HIDDEN : UNWANTED;
	place = (size_t)(f - s->col->field);
	if (mask != NULL && !mask[place])
		return UNWANTED;
	return view->field[place] ? SHOWN : HIDDEN;
}

struct making {
	const struct lt_scope *s;
	const struct lt_unit_view *view;
	const bool *mask;
	Ltpb__Record *out;
};

static void
put_field(struct making *m, Ltpb__FieldSet *f)
{
	switch (sight_of(m->s, m->view, m->mask, f->name)) {
	case SHOWN:
		m->out->field[m->out->n_field++] = f;
		break;
	case HIDDEN:
		m->out->masked[m->out->n_masked++] = f->name;
		break;
	case UNWANTED:
		break;
	}
}

/* Fields that stand in the record's name: of the key, and the unit's. */
static int
put_name(struct making *m, struct lt_row *row)
{
	const struct lt_collection *col = m->s->col;
	struct lt_qfield f;
	const Ltpb__Value *v;
	Ltpb__FieldSet *fs;
	bool withheld;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < col->nfield; i++) {
		if (!col->field[i].in_key && !col->field[i].is_unit)
			continue;
		rc = lt_qfield_find(col, col->field[i].rule.name, &f, NULL);
		if (rc == LT_OK)
			rc = lt_row_value(row, m->s, &f, &v, &withheld);
		if (rc != LT_OK || v == NULL)
			continue;
		fs = lt_arena_alloc(m->s->q->arena, sizeof(*fs));
		if (fs == NULL)
			return LT_E_NOMEM;
		ltpb__field_set__init(fs);
		fs->name = (char *)f.name;
		fs->value = lt_value_dup(v, m->s->q->arena);
		if (fs->value == NULL)
			return LT_E_NOMEM;
		put_field(m, fs);
	}
	return rc;
}

static int
field_order(const void *a, const void *b)
{
	return strcmp((*(Ltpb__FieldSet *const *)a)->name, (*(Ltpb__FieldSet *const *)b)->name);
}

static int
name_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
put_marks(struct making *m, const Ltpb__Record *stored)
{
	size_t i;

	for (i = 0; i < stored->n_conflict; i++) {
		if (sight_of(m->s, m->view, m->mask, stored->conflict[i]) == SHOWN)
			m->out->conflict[m->out->n_conflict++] = stored->conflict[i];
	}
	for (i = 0; i < stored->n_withheld; i++) {
		char *name = stored->withheld[i];
		enum sight sight = sight_of(m->s, m->view, m->mask, name);

		if (sight == SHOWN)
			m->out->withheld[m->out->n_withheld++] = name;
		if (sight == HIDDEN)
			m->out->masked[m->out->n_masked++] = name;
	}
}

static int
make_lists(struct making *m, const Ltpb__Record *stored)
{
	struct lt_arena *a = m->s->q->arena;
	size_t names = m->s->col->nkey + 2, fields = stored->n_field + names + m->s->col->nfield;

	m->out->field = lt_arena_alloc(a, fields * sizeof(*m->out->field));
	m->out->masked = lt_arena_alloc(a, (fields + stored->n_withheld) * sizeof(*m->out->masked));
	m->out->conflict = lt_arena_alloc(a, stored->n_conflict * sizeof(*m->out->conflict));
	m->out->withheld = lt_arena_alloc(a, stored->n_withheld * sizeof(*m->out->withheld));
	return m->out->field == NULL || m->out->masked == NULL || m->out->conflict == NULL ||
		       m->out->withheld == NULL
		   ? LT_E_NOMEM
		   : LT_OK;
}

int
lt_record_reply(struct lt_scope *s, struct lt_row *row, const bool *mask, Ltpb__Record **out)
{
	struct making m = { .s = s, .mask = mask };
	Ltpb__Record *stored;
	size_t i;
	int rc = lt_record_unpack(row->record, s->q->arena, &stored);

	if (rc == LT_OK)
		rc = lt_scope_view(s, row->unit, &m.view);
	m.out = rc == LT_OK ? lt_arena_alloc(s->q->arena, sizeof(*m.out)) : NULL;
	if (rc == LT_OK && m.out == NULL)
		rc = LT_E_NOMEM;
	if (rc != LT_OK)
		return rc;
	ltpb__record__init(m.out);
	rc = make_lists(&m, stored);
	if (rc != LT_OK)
		return rc;
	m.out->collection = stored->collection;
	m.out->unit = stored->unit;
	/* The key says what its fields say. */
	if (m.view->key)
		m.out->key = stored->key;
	m.out->incomplete = stored->incomplete;
	m.out->revision = stored->revision;
	m.out->changed_ms = stored->changed_ms;
	for (i = 0; i < stored->n_field; i++)
		put_field(&m, stored->field[i]);
	put_marks(&m, stored);
	rc = put_name(&m, row);
	qsort(m.out->field, m.out->n_field, sizeof(*m.out->field), field_order);
	qsort(m.out->masked, m.out->n_masked, sizeof(*m.out->masked), name_order);
	*out = m.out;
	return rc;
}

size_t
lt_field_items(const Ltpb__FieldSet *f)
{
	size_t n = 1 + f->n_added + f->n_removed;

	return f->value != NULL && f->value->v_case == LTPB__VALUE__V_SET
		   ? n + f->value->set->n_item
		   : n;
}

size_t
lt_record_items(const Ltpb__Record *r)
{
	size_t i, n = 1 + r->n_masked + r->n_conflict + r->n_withheld;

	for (i = 0; i < r->n_field; i++)
		n += lt_field_items(r->field[i]);
	return n;
}

bool
lt_room_take(struct lt_room *room, size_t bytes, size_t items)
{
	if (room->bytes != 0 &&
	    (room->bytes + bytes > LT_REPLY_BYTES_MAX || room->items + items > LT_REPLY_ITEMS_MAX))
		return false;
	room->bytes += bytes;
	room->items += items;
	return true;
}
