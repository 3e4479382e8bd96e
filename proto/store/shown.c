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

	(void)arena;
	/* Nothing is written before the value has been copied. */
	return rc == LT_OK ? lt_opening_view(s->log, position, dot->index, field, field_set) : rc;
}

/* Tags of Record (FORMAT.md 9.6). */
enum {
	BYTES = 2,
	COLLECTION = 1 << 3 | BYTES,
	UNIT = 2 << 3 | BYTES,
	KEY = 3 << 3 | BYTES,
	FIELD = 4 << 3 | BYTES,
	CONFLICT = 6 << 3 | BYTES,
	INCOMPLETE = 7 << 3,
	REVISION = 8 << 3 | BYTES,
	WITHHELD = 10 << 3 | BYTES,
	CHANGED_MS = 11 << 3,
};
#define HEAD_MAX ((size_t)11) /* a tag and a number */

static uint8_t *
put_head(uint8_t *p, uint8_t tag, uint64_t n)
{
	*p++ = tag;
	for (; n >= 0x80; n >>= 7)
		*p++ = (uint8_t)(n | 0x80);
	*p++ = (uint8_t)n;
	return p;
}

static void
put_number(struct lt_buf *out, uint8_t tag, uint64_t n)
{
	uint8_t *p = lt_buf_reserve(out, HEAD_MAX);

	if (p != NULL)
		lt_buf_added(out, (size_t)(put_head(p, tag, n) - p));
}

static void
put_bytes(struct lt_buf *out, uint8_t tag, struct lt_slice s)
{
	uint8_t *from = lt_buf_reserve(out, HEAD_MAX + s.len), *p;

	if (from == NULL)
		return;
	p = put_head(from, tag, s.len);
	if (s.len != 0)
		memcpy(p, s.data, s.len);
	lt_buf_added(out, (size_t)(p - from) + s.len);
}

/* As protobuf-c packs it: an empty text is not there. */
static void
put_text(struct lt_buf *out, uint8_t tag, const char *s)
{
	if (s[0] != '\0')
		put_bytes(out, tag, lt_slice_str(s));
}

/* Bytes and repeated items that the fields take so far. */
struct room {
	size_t bytes, items;
};

static bool
takes(struct room *room, size_t bytes, size_t items)
{
	if (bytes > SHOWN_BYTES_MAX - room->bytes || items > SHOWN_ITEMS_MAX - room->items)
		return false;
	room->bytes += bytes;
	room->items += items;
	return true;
}

/* A value that had to be worked out. */
static bool
put_made(struct lt_buf *out, const struct lt_shown_field *f, struct room *room)
{
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT;
	size_t len, items = 1;
	uint8_t *from, *p;

	fs.name = (char *)f->name;
	fs.value = (Ltpb__Value *)f->value;
	len = ltpb__field_set__get_packed_size(&fs);
	if (f->value->v_case == LTPB__VALUE__V_SET)
		items += f->value->set->n_item;
	if (!takes(room, len + 8, items))
		return false;
	from = lt_buf_reserve(out, HEAD_MAX + len);
	if (from == NULL)
		return true;
	p = put_head(from, FIELD, len);
	lt_buf_added(out, (size_t)(p - from) + ltpb__field_set__pack(&fs, p));
	return true;
}

static bool
is_shown(const struct lt_shown_field *f)
{
	return f->name[0] != '\0' && strcmp(f->name, LT_ACTOR_FIELD) != 0;
}

/* Values that do not fit are told as withheld, in field order: personal values are not part of the row and its limit. */
static void
put_fields(struct lt_buf *out, struct lt_shown *shown)
{
	struct room room = { 0, 0 };
	struct lt_shown_field *f;
	size_t i;

	for (i = 0; i < shown->nfield; i++) {
		f = &shown->field[i];
		if (!is_shown(f))
			continue;
		if (f->field_set.len == 0 && f->value == NULL)
			continue;
		if (f->field_set.len == 0)
			f->withheld = !put_made(out, f, &room);
		else if (takes(&room, f->field_set.len + 8, 1))
			put_bytes(out, FIELD, f->field_set);
		else
			f->withheld = true;
	}
}

static void
put_names(struct lt_buf *out, uint8_t tag, const struct lt_shown *shown)
{
	const struct lt_shown_field *f;
	size_t i;

	for (i = 0; i < shown->nfield; i++) {
		f = &shown->field[i];
		if ((tag == CONFLICT ? f->conflict : f->withheld) && is_shown(f))
			put_bytes(out, tag, lt_slice_str(f->name));
	}
}

int
lt_show_record(const struct lt_show *s, struct lt_slice row, struct lt_arena *arena,
    struct lt_buf *out, bool *exists)
{
	struct lt_shown shown;
	uint8_t revision[16];
	int rc;

	*exists = false;
	if (row.len == 0)
		return LT_OK;
	rc = lt_merge_show_bytes(&s->col->rules, row, opening, (void *)s, arena, &shown);
	if (rc != LT_OK || !shown.exists)
		return rc;
	*exists = true;
	if (s->revision == NULL)
		lt_record_revision(row, revision);
	put_text(out, COLLECTION, s->col->id);
	put_text(out, UNIT, s->unit->s);
	put_text(out, KEY, s->key);
	put_fields(out, &shown);
	put_names(out, CONFLICT, &shown);
	if (shown.incomplete)
		put_number(out, INCOMPLETE, 1);
	put_bytes(out, REVISION,
	    lt_slice(s->revision != NULL ? s->revision : revision, sizeof(revision)));
	put_names(out, WITHHELD, &shown);
	if (LT_STAMP_MS(shown.stamp) != 0)
		put_number(out, CHANGED_MS, (uint64_t)LT_STAMP_MS(shown.stamp));
	if (out->err == LT_OK && out->len > LT_MESSAGE_MAX)
		return LT_E_TOOBIG;
	return out->err;
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
