/* What reading and writing have in common, and the forms a change-set is stored and passed on in. */
#include "proto/feed/changeset.h"

#include "proto/base/wire.h"
#include "proto/base/wire_read.h"
#include "proto/feed/changeset_impl.h"

#include <assert.h>
#include <string.h>

bool
lt_wire_next(struct lt_reader *r, struct lt_wire_field *f)
{
	struct lt_wire_item item;
	bool found = lt_wire_step(r, &item);

	if (found)
		*f = (struct lt_wire_field){ item.number, item.value, item.bytes };
	return found;
}

static size_t
varint_size(uint64_t v)
{
	size_t n = 1;

	while (v >>= 7)
		n++;
	return n;
}

size_t
lt_field_size(size_t len)
{
	return 1 + varint_size(len) + len;
}

void
lt_field_put(struct lt_buf *out, uint32_t number, struct lt_slice bytes)
{
	assert(number < 16);
	lt_buf_u8(out, (uint8_t)(number << 3 | LT_WIRE_BYTES));
	lt_buf_varint(out, bytes.len);
	lt_buf_put_slice(out, bytes);
}

static size_t
unless_empty(struct lt_slice s)
{
	return s.len == 0 ? 0 : lt_field_size(s.len);
}

static void
put_unless_empty(struct lt_buf *out, uint32_t number, struct lt_slice s)
{
	if (s.len != 0)
		lt_field_put(out, number, s);
}

void
lt_opened_put(struct lt_buf *out, uint32_t change, const char *name, struct lt_slice salt,
    struct lt_slice field_set, struct lt_slice leaf)
{
	struct lt_slice n = lt_slice_str(name);
	size_t len = (change == 0 ? 0 : 1 + varint_size(change)) + unless_empty(n) +
		     unless_empty(salt) + unless_empty(field_set) + unless_empty(leaf);

	lt_buf_u8(out, OPENINGS_FIELD << 3 | LT_WIRE_BYTES);
	lt_buf_varint(out, len);
	if (change != 0) {
		lt_buf_u8(out, OPENED_CHANGE << 3 | LT_WIRE_VARINT);
		lt_buf_varint(out, change);
	}
	put_unless_empty(out, OPENED_NAME, n);
	put_unless_empty(out, OPENED_SALT, salt);
	put_unless_empty(out, OPENED_FIELD_SET, field_set);
	put_unless_empty(out, OPENED_LEAF, leaf);
}

size_t
lt_opened_size_max(uint32_t change, const char *name, size_t field_set_len)
{
	size_t open = lt_field_size(LT_SALT_LEN) + lt_field_size(field_set_len);
	size_t withheld = lt_field_size(LT_HASH_LEN);

	return lt_field_size(1 + varint_size(change) + lt_field_size(strlen(name)) +
			     (open > withheld ? open : withheld));
}

static int
keep_changes(const struct lt_changeset *cs, struct lt_arena *arena, struct lt_changeset *out)
{
	size_t i;

	out->change_raw = lt_arena_alloc(arena, cs->nchange * sizeof(*out->change_raw));
	out->change = lt_arena_alloc(arena, cs->nchange * sizeof(*out->change));
	if (out->change_raw == NULL || out->change == NULL)
		return LT_E_NOMEM;
	memcpy(out->change_raw, cs->change_raw, cs->nchange * sizeof(*out->change_raw));
	for (i = 0; i < cs->nchange; i++) {
		const struct lt_change *from = &cs->change[i];
		struct lt_change *c = &out->change[i];

		c->is_delete = from->is_delete;
		c->npersonal = from->npersonal; /* without their names: for the root */
		c->personal_root = from->personal_root;
		c->raw = from->raw;
		if (from->ncontext == 0)
			continue;
		c->ncontext = from->ncontext;
		c->context =
		    lt_arena_dup(arena, from->context, from->ncontext * sizeof(*from->context));
		if (c->context == NULL)
			return LT_E_NOMEM;
	}
	return LT_OK;
}

static int
keep_openings(const struct lt_changeset *cs, struct lt_arena *arena, struct lt_changeset *out)
{
	size_t i;

	out->opening = lt_arena_alloc(arena, cs->nopening * sizeof(*out->opening));
	if (out->opening == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < cs->nopening; i++) {
		struct lt_opening *o = &out->opening[i];

		*o = cs->opening[i];
		memset(&o->field, 0, sizeof(o->field));
		o->name = lt_arena_dup(arena, o->name, strlen(o->name));
		if (o->name == NULL)
			return LT_E_NOMEM;
	}
	return LT_OK;
}

int
lt_changeset_keep(const struct lt_changeset *cs, struct lt_arena *arena, struct lt_changeset *out)
{
	int rc;

	*out = *cs;
	out->nearlier = 0;
	out->earlier = NULL;
	rc = keep_changes(cs, arena, out);
	return rc == LT_OK ? keep_openings(cs, arena, out) : rc;
}

static uint8_t *
field_write(uint8_t *p, uint32_t number, struct lt_slice bytes)
{
	*p++ = (uint8_t)(number << 3 | LT_WIRE_BYTES);
	p = lt_store_varint(p, bytes.len);
	if (bytes.len != 0)
		memcpy(p, bytes.data, bytes.len);
	return p + bytes.len;
}

size_t
lt_changeset_stripped_size(const struct lt_changeset *cs)
{
	size_t i, n = lt_field_size(cs->header.len) + lt_field_size(cs->signature.len);

	for (i = 0; i < cs->nchange; i++)
		n += lt_field_size(cs->change_raw[i].len);
	return n;
}

uint8_t *
lt_changeset_strip_to(const struct lt_changeset *cs, uint8_t *out)
{
	size_t i;

	out = field_write(out, CS_HEADER, cs->header);
	out = field_write(out, CS_SIGNATURE, cs->signature);
	for (i = 0; i < cs->nchange; i++)
		out = field_write(out, CS_CHANGE, cs->change_raw[i]);
	return out;
}

int
lt_changeset_strip(const struct lt_changeset *cs, struct lt_buf *out)
{
	size_t n = lt_changeset_stripped_size(cs);
	uint8_t *room = lt_buf_reserve(out, n);

	if (room == NULL)
		return out->err;
	(void)lt_changeset_strip_to(cs, room);
	lt_buf_added(out, n);
	return LT_OK;
}

/* Rising by (change, name), as FORMAT.md 3.5 wants them. */
static bool
openings_in_order(size_t n, const struct lt_opening *o)
{
	size_t i;

	for (i = 1; i < n; i++)
		if (o[i - 1].change > o[i].change ||
		    (o[i - 1].change == o[i].change && strcmp(o[i - 1].name, o[i].name) >= 0))
			return false;
	return true;
}

static void
put_given(struct lt_buf *out, const struct lt_opening *o)
{
	const struct lt_slice none = { NULL, 0 };

	if (o->withheld)
		lt_opened_put(
		    out, o->change, o->name, none, none, lt_slice(o->leaf.b, LT_HASH_LEN));
	else
		lt_opened_put(
		    out, o->change, o->name, lt_slice(o->salt, LT_SALT_LEN), o->field_set, none);
}

int
lt_changeset_compose(struct lt_slice stripped, size_t n, const struct lt_opening *opening,
    struct lt_buf *out, struct lt_err *err)
{
	struct lt_buf fields = { .max = LT_MESSAGE_MAX };
	struct lt_wire_field f;
	struct lt_reader r;
	size_t i, start = out->len;
	int rc;

	rc = lt_wire_check(&ltpb__change_set__descriptor, stripped, LT_MESSAGE_MAX, err);
	if (rc != LT_OK)
		return rc;
	lt_reader_init(&r, stripped);
	while (lt_wire_next(&r, &f))
		if (f.number == CS_OPENINGS)
			return lt_err_set(err, LT_E_INVALID, "the change-set has openings already");
	if (!openings_in_order(n, opening))
		return lt_err_set(err, LT_E_INVALID, "openings out of order");
	for (i = 0; i < n; i++)
		put_given(&fields, &opening[i]);
	lt_buf_put_slice(out, stripped);
	if (n != 0)
		lt_field_put(out, CS_OPENINGS, lt_buf_slice(&fields));
	rc = fields.err != LT_OK ? fields.err : out->err;
	if (rc == LT_OK && out->len - start > LT_MESSAGE_MAX)
		rc = LT_E_TOOBIG;
	if (rc != LT_OK) {
		out->len = start;
		(void)lt_err_set(err, rc, "change-set with its openings: %s", lt_strerror(rc));
	}
	lt_buf_fini(&fields);
	return rc;
}
