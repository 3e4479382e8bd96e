/* One stored record, of which only what is asked for is decoded. */
#include "proto/store/query_impl.h"

#include "proto/base/wire.h"
#include "proto/model/plain.h"
#include "proto/model/validate.h"

enum { RECORD_FIELD = 4, RECORD_WITHHELD = 10, SET_NAME = 1 };

static int
row_set(struct lt_row *row, struct lt_slice rk, struct lt_slice record)
{
	struct lt_slice c, unit, key;
	int rc = lt_key_record_split(rk, &c, &unit, &key);

	if (rc != LT_OK)
		return rc;
	if (unit.len > LT_UNIT_MAX || key.len > LT_KEY_MAX)
		return LT_E_CORRUPT;
	row->rk = rk;
	row->record = record;
	row->entry = lt_slice(NULL, 0);
	row->split = false;
	row->npart = 0;
	lt_slice_to_text(row->unit, sizeof(row->unit), unit);
	lt_slice_to_text(row->key, sizeof(row->key), key);
	return LT_OK;
}

int
lt_row_open(struct lt_row *row, struct lt_slice rk, struct lt_slice record)
{
	memset(row, 0, sizeof(*row));
	lt_arena_init(&row->arena, LT_SHOW_ARENA);
	return row_set(row, rk, record);
}

int
lt_row_next(struct lt_row *row, struct lt_slice rk, struct lt_slice record)
{
	if (row->rk.data == NULL)
		return lt_row_open(row, rk, record);
	lt_arena_clear(&row->arena);
	return row_set(row, rk, record);
}

void
lt_row_close(struct lt_row *row)
{
	lt_arena_fini(&row->arena);
}

/* A number of the wire; NULL: cut off or too long. Nearly all are of one byte. */
static const uint8_t *
number_at(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
	unsigned shift;

	for (*v = 0, shift = 0; p < end && shift < 64; shift += 7) {
		*v |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p++ & 0x80))
			return p;
	}
	return NULL;
}

/* The next member of a message of numbers and length-delimited ones; NULL: malformed. */
static const uint8_t *
member_at(const uint8_t *p, const uint8_t *end, uint32_t *number, struct lt_slice *bytes)
{
	uint64_t tag, n;

	p = number_at(p, end, &tag);
	if (p != NULL)
		p = number_at(p, end, &n);
	if (p == NULL || ((tag & 7) != 0 && ((tag & 7) != 2 || n > (uint64_t)(end - p))))
		return NULL;
	*number = (uint32_t)(tag >> 3);
	*bytes = lt_slice(p, (tag & 7) == 2 ? (size_t)n : 0);
	return p + bytes->len;
}

/* What we pack begins with the name. */
static bool
is_named(struct lt_slice field_set, struct lt_slice name)
{
	const uint8_t *p = field_set.data;

	return field_set.len >= 2 + name.len && p[0] == (SET_NAME << 3 | 2) && p[1] == name.len &&
	       memcmp(p + 2, name.data, name.len) == 0;
}

/* The bytes of a named FieldSet, empty: there is none; or the name is among those withheld. */
static int
find_stored(
    const struct lt_row *row, struct lt_slice name, struct lt_slice *field_set, bool *withheld)
{
	const uint8_t *p = row->record.data, *end = p + row->record.len;
	struct lt_slice bytes;
	uint32_t number;

	while (p != end && field_set->len == 0 && !*withheld) {
		p = member_at(p, end, &number, &bytes);
		if (p == NULL)
			return LT_E_CORRUPT;
		if (number == RECORD_FIELD && is_named(bytes, name))
			*field_set = bytes;
		if (number == RECORD_WITHHELD)
			*withheld = lt_slice_eq(bytes, name);
	}
	return LT_OK;
}

static int
stored_value(struct lt_row *row, const char *name, const Ltpb__Value **v, bool *withheld)
{
	struct lt_slice field_set = { NULL, 0 };
	ProtobufCMessage *msg;
	int rc = find_stored(row, lt_slice_str(name), &field_set, withheld);

	if (rc != LT_OK || field_set.len == 0)
		return rc;
	rc = lt_plain_value(field_set, lt_slice_str(name), &row->arena, v);
	if (rc != LT_E_NOTFOUND)
		return rc;
	rc = lt_wire_unpack(
	    &ltpb__field_set__descriptor, field_set, LT_MESSAGE_MAX, &row->arena, &msg, NULL);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	*v = ((const Ltpb__FieldSet *)msg)->value;
	return *v == NULL ? LT_E_CORRUPT : LT_OK;
}

static int
split_key(struct lt_row *row, const struct lt_collection *col)
{
	struct lt_violation violation;
	int rc;

	if (row->split)
		return LT_OK;
	row->split = true;
	rc = lt_key_split(col, row->key, &row->arena, &row->part, &row->npart, &violation);
	/* A key from before the catalogue changed has no parts that could be named. */
	if (rc != LT_OK)
		row->npart = 0;
	return rc == LT_E_NOMEM ? rc : LT_OK;
}

static int
key_value(struct lt_row *row, const struct lt_scope *s, const char *name, const Ltpb__Value **v)
{
	size_t i;
	int rc = split_key(row, s->col);

	for (i = 0; rc == LT_OK && i < row->npart; i++) {
		if (strcmp(row->part[i]->name, name) == 0)
			*v = row->part[i]->value;
	}
	return rc;
}

static const Ltpb__Value *
text_value(struct lt_row *row, char *text)
{
	ltpb__value__init(&row->text);
	row->text.v_case = LTPB__VALUE__V_TEXT;
	row->text.text = text;
	return &row->text;
}

int
lt_row_value(struct lt_row *row, const struct lt_scope *s, const struct lt_qfield *f,
    const Ltpb__Value **v, bool *withheld)
{
	*v = NULL;
	*withheld = false;
	if (f->kind == LT_QKEY) {
		*v = text_value(row, row->key);
		return LT_OK;
	}
	if (f->kind == LT_QUNIT || f->f->is_unit) {
		*v = text_value(row, row->unit);
		return LT_OK;
	}
	if (f->f->in_key)
		return key_value(row, s, f->name, v);
	return stored_value(row, f->name, v, withheld);
}
