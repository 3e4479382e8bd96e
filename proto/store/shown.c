/* What a row shows, as the Record message that readers get (FORMAT.md 9.6). */
#include "proto/store/projection_impl.h"

#include "proto/base/clock.h"
#include "proto/base/wire.h"

/* A stored Record stays within what one message may carry and the wire walker takes. */
#define SHOWN_BYTES_MAX LT_RECORD_MAX
#define SHOWN_ITEMS_MAX (LT_REPEATED_MAX / 2)
#define MARKS_TRIED 8

/* What is shown comes most often from the batch's last changes to the record; the others are looked up. */
static int
position_of(const struct lt_show *s, const struct lt_dot *dot, uint64_t *position)
{
	size_t i, least = s->nmark > MARKS_TRIED ? s->nmark - MARKS_TRIED : 0;

	for (i = s->nmark; i > least; i--) {
		const struct lt_mark *m = &s->mark[i - 1];

		if (lt_dot_cmp(&m->dot, dot) != 0)
			continue;
		/* It left that name; another change-set may have it now. */
		if (m->what == LT_MARK_HISTORY_DEL || m->what == LT_MARK_OVERLAY_DEL)
			break;
		*position = m->position;
		return LT_OK;
	}
	return lt_feed_log_find(s->log, s->unit, &dot->feed, dot->seq, position);
}

static int
opening(void *ctx, const struct lt_dot *dot, const char *field, struct lt_arena *arena,
    struct lt_slice *field_set)
{
	const struct lt_show *s = ctx;
	uint64_t position;
	int rc = position_of(s, dot, &position);

	if (rc != LT_OK)
		return rc;
	return lt_opening_get(s->log, position, dot->index, field, arena, field_set, NULL, NULL);
}

/* Bytes and repeated items that a field takes. */
static void
field_size(const Ltpb__FieldSet *f, size_t *bytes, size_t *items)
{
	*bytes = ltpb__field_set__get_packed_size(f) + 8;
	*items = 1;
	if (f->value->v_case == LTPB__VALUE__V_SET)
		*items += f->value->set->n_item;
}

/* Values that do not fit are told as withheld, in field order: personal values are not part of the row and its limit. */
static int
fill_fields(const struct lt_shown *shown, struct lt_arena *arena, Ltpb__Record *r)
{
	const struct lt_shown_field *f;
	Ltpb__FieldSet *fs;
	size_t i, bytes = 0, items = 0, all_bytes = 0, all_items = 0;

	r->field = lt_arena_alloc(arena, shown->nfield * sizeof(*r->field));
	r->conflict = lt_arena_alloc(arena, shown->nfield * sizeof(*r->conflict));
	r->withheld = lt_arena_alloc(arena, shown->nfield * sizeof(*r->withheld));
	fs = lt_arena_alloc(arena, shown->nfield * sizeof(*fs));
	if (r->field == NULL || r->conflict == NULL || r->withheld == NULL || fs == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < shown->nfield; i++, fs++) {
		f = &shown->field[i];
		if (f->name[0] == '\0' || strcmp(f->name, LT_ACTOR_FIELD) == 0)
			continue;
		if (f->conflict)
			r->conflict[r->n_conflict++] = (char *)f->name;
		if (f->value == NULL && !f->withheld)
			continue;
		ltpb__field_set__init(fs);
		fs->name = (char *)f->name;
		fs->value = (Ltpb__Value *)f->value;
		if (f->value != NULL)
			field_size(fs, &bytes, &items);
		if (f->value == NULL || bytes > SHOWN_BYTES_MAX - all_bytes ||
		    items > SHOWN_ITEMS_MAX - all_items) {
			r->withheld[r->n_withheld++] = (char *)f->name;
			continue;
		}
		all_bytes += bytes;
		all_items += items;
		r->field[r->n_field++] = fs;
	}
	return LT_OK;
}

int
lt_show_record(const struct lt_show *s, struct lt_slice row, struct lt_arena *arena,
    Ltpb__Record **out, bool *exists)
{
	struct lt_shown shown;
	Ltpb__Record *r;
	int rc;

	*exists = false;
	if (row.len == 0)
		return LT_OK;
	rc = lt_merge_show(&s->col->rules, row, opening, (void *)s, arena, &shown);
	if (rc != LT_OK || !shown.exists)
		return rc;
	r = lt_arena_alloc(arena, sizeof(*r));
	if (r == NULL)
		return LT_E_NOMEM;
	ltpb__record__init(r);
	r->collection = (char *)s->col->id;
	r->unit = (char *)s->unit->s;
	r->key = (char *)s->key;
	r->incomplete = shown.incomplete;
	r->changed_ms = LT_STAMP_MS(shown.stamp);
	r->revision.data = lt_arena_alloc(arena, 16);
	r->revision.len = 16;
	if (r->revision.data == NULL)
		return LT_E_NOMEM;
	lt_record_revision(row, r->revision.data);
	rc = fill_fields(&shown, arena, r);
	if (rc == LT_OK) {
		*out = r;
		*exists = true;
	}
	return rc;
}

void
lt_record_revision(struct lt_slice row, uint8_t out[16])
{
	lt_h16("lt1.value", row, out);
}

int
lt_record_unpack(struct lt_slice bytes, struct lt_arena *arena, Ltpb__Record **out)
{
	ProtobufCMessage *msg;
	int rc =
	    lt_wire_unpack(&ltpb__record__descriptor, bytes, LT_MESSAGE_MAX, arena, &msg, NULL);

	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	*out = (Ltpb__Record *)msg;
	return LT_OK;
}
