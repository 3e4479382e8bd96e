/* One stored record, of which only what is asked for is decoded. */
#include "proto/store/query_impl.h"

#include "proto/base/wire.h"
#include "proto/model/validate.h"

enum { RECORD_FIELD = 4, RECORD_WITHHELD = 10, SET_NAME = 1, SET_VALUE = 2 };

int
lt_row_open(struct lt_row *row, struct lt_slice rk, struct lt_slice record)
{
	struct lt_slice c, unit, key;
	int rc = lt_key_record_split(rk, &c, &unit, &key);

	memset(row, 0, sizeof(*row));
	if (rc != LT_OK)
		return rc;
	if (unit.len > LT_UNIT_MAX || key.len > LT_KEY_MAX)
		return LT_E_CORRUPT;
	row->rk = rk;
	row->record = record;
	memcpy(row->unit, unit.data, unit.len);
	memcpy(row->key, key.data, key.len);
	lt_arena_init(&row->arena, LT_SHOW_ARENA);
	return LT_OK;
}

void
lt_row_close(struct lt_row *row)
{
	lt_arena_fini(&row->arena);
}

/* The next member of a message of numbers and length-delimited ones. */
static bool
next_member(struct lt_reader *r, uint32_t *number, struct lt_slice *bytes)
{
	uint64_t tag, n;

	*bytes = lt_slice(NULL, 0);
	if (r->err != LT_OK || lt_reader_left(r) == 0)
		return false;
	tag = lt_read_varint(r);
	*number = (uint32_t)(tag >> 3);
	n = lt_read_varint(r);
	if ((tag & 7) == 2) {
		if (n > lt_reader_left(r))
			r->err = LT_E_INVALID;
		else
			*bytes = lt_read_bytes(r, (size_t)n);
	} else if ((tag & 7) != 0) {
		r->err = LT_E_INVALID;
	}
	return r->err == LT_OK;
}

/* The value bytes of a FieldSet when it has this name. */
static int
named_value(struct lt_slice field_set, struct lt_slice name, struct lt_slice *value, bool *found)
{
	struct lt_reader r;
	struct lt_slice bytes;
	uint32_t number;

	*found = false;
	lt_reader_init(&r, field_set);
	while (next_member(&r, &number, &bytes)) {
		if (number == SET_NAME && !lt_slice_eq(bytes, name))
			return LT_OK;
		if (number == SET_NAME)
			*found = true;
		if (number == SET_VALUE)
			*value = bytes;
	}
	return r.err == LT_OK ? LT_OK : LT_E_CORRUPT;
}

static int
stored_value(struct lt_row *row, const char *name, const Ltpb__Value **v, bool *withheld)
{
	struct lt_slice bytes, value = { NULL, 0 }, want = lt_slice_str(name);
	struct lt_reader r;
	ProtobufCMessage *msg;
	uint32_t number;
	bool found = false;
	int rc = LT_OK;

	lt_reader_init(&r, row->record);
	while (rc == LT_OK && !found && !*withheld && next_member(&r, &number, &bytes)) {
		if (number == RECORD_FIELD)
			rc = named_value(bytes, want, &value, &found);
		if (number == RECORD_WITHHELD)
			*withheld = lt_slice_eq(bytes, want);
	}
	if (rc != LT_OK || r.err != LT_OK)
		return LT_E_CORRUPT;
	if (!found)
		return LT_OK;
	rc = lt_wire_unpack(
	    &ltpb__value__descriptor, value, LT_MESSAGE_MAX, &row->arena, &msg, NULL);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	*v = (const Ltpb__Value *)msg;
	return LT_OK;
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
