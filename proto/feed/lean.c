#include "proto/feed/lean.h"

#include "proto/base/wire.h"
#include "proto/feed/changeset_impl.h"

#include <string.h>

/* Field 8 as it stands at the end of a change: tag, length, root. */
#define ROOT_TAG (CHANGE_ROOT << 3 | 2)
#define ROOT_FIELD_LEN (2 + LT_HASH_LEN)

/* What a change says about its leaves. */
struct outline {
	size_t npersonal;
	bool root_last; /* it is what the change ends with, whole and in the shortest form */
};

static int
outline_of(struct lt_slice change, struct outline *o)
{
	struct lt_wire_field f;
	struct lt_reader r;

	memset(o, 0, sizeof(*o));
	lt_reader_init(&r, change);
	while (lt_wire_next(&r, &f)) {
		o->root_last = false;
		switch (f.number) {
		case CHANGE_PERSONAL:
			o->npersonal++;
			break;
		case CHANGE_ROOT:
			o->root_last = f.bytes.len == LT_HASH_LEN;
			break;
		default:
			break;
		}
	}
	if (o->root_last) {
		const uint8_t *end = change.data + change.len - ROOT_FIELD_LEN;

		o->root_last = end[0] == ROOT_TAG && end[1] == LT_HASH_LEN;
	}
	return r.err;
}

/* The openings of a message, read one after the other. */
struct openings {
	struct lt_reader r;
	struct lt_slice seed;
	size_t left; /* not yet taken */
};

static void
openings_start(struct openings *op, struct lt_slice bytes)
{
	struct lt_wire_field f;

	memset(op, 0, sizeof(*op));
	lt_reader_init(&op->r, bytes);
	while (lt_wire_next(&op->r, &f)) {
		if (f.number == OPENINGS_SEED)
			op->seed = f.bytes;
		op->left += f.number == OPENINGS_FIELD;
	}
	lt_reader_init(&op->r, bytes);
}

struct opened {
	uint64_t change;
	struct lt_slice name, salt, field_set;
};

static void
opened_read(struct lt_slice bytes, struct opened *o)
{
	struct lt_wire_field f;
	struct lt_reader r;

	memset(o, 0, sizeof(*o));
	lt_reader_init(&r, bytes);
	while (lt_wire_next(&r, &f)) {
		if (f.number == OPENED_CHANGE)
			o->change = f.value;
		else if (f.number == OPENED_NAME)
			o->name = f.bytes;
		else if (f.number == OPENED_SALT)
			o->salt = f.bytes;
		else if (f.number == OPENED_FIELD_SET)
			o->field_set = f.bytes;
	}
}

/* False: there are no more. */
static bool
openings_next(struct openings *op, struct opened *o)
{
	struct lt_wire_field f;

	if (op->left == 0)
		return false;
	do {
		if (!lt_wire_next(&op->r, &f))
			return false;
	} while (f.number != OPENINGS_FIELD);
	op->left--;
	opened_read(f.bytes, o);
	return true;
}

/* With a value, and with the salt that makes a leaf of it. */
static bool
is_open(const struct openings *op, const struct opened *o)
{
	return o->field_set.len != 0 && (op->seed.len == LT_SALT_LEN || o->salt.len == LT_SALT_LEN);
}

/* Takes the openings of one change: are they all there, with their values? */
static bool
take_open(struct openings *op, uint64_t index, size_t n)
{
	struct opened o;
	bool all = true;

	while (n-- > 0)
		all = openings_next(op, &o) && o.change == index && is_open(op, &o) && all;
	return all;
}

/* Of a message whose wire form was checked: header and openings. */
static void
find_parts(struct lt_slice bytes, struct lt_slice *header, struct lt_slice *openings)
{
	struct lt_wire_field f;
	struct lt_reader r;

	*header = *openings = lt_slice(NULL, 0);
	lt_reader_init(&r, bytes);
	while (lt_wire_next(&r, &f)) {
		if (f.number == CS_HEADER)
			*header = f.bytes;
		else if (f.number == CS_OPENINGS)
			*openings = f.bytes;
	}
}

int
lt_changeset_lean(struct lt_slice whole, struct lt_buf *out)
{
	struct lt_slice header, opened;
	struct openings op;
	struct lt_wire_field f;
	struct outline o;
	struct lt_reader r;
	uint64_t index = 0;

	if (lt_wire_check(&ltpb__change_set__descriptor, whole, LT_MESSAGE_MAX, NULL) != LT_OK) {
		lt_buf_put_slice(out, whole);
		return out->err;
	}
	find_parts(whole, &header, &opened);
	openings_start(&op, opened);
	lt_reader_init(&r, whole);
	for (;;) {
		const uint8_t *from = r.p;
		struct lt_slice field;
		bool bare = false;

		if (!lt_wire_next(&r, &f))
			break;
		field = lt_slice(from, (size_t)(r.p - from));
		if (f.number == CS_CHANGE) {
			bool open = outline_of(f.bytes, &o) == LT_OK && o.npersonal != 0 &&
				    take_open(&op, index, o.npersonal);

			index++;
			/* A length in the shortest form comes back as it was. */
			bare = open && o.root_last && field.len == lt_field_size(f.bytes.len);
		}
		if (bare)
			lt_field_put(
			    out, CS_CHANGE, lt_slice(f.bytes.data, f.bytes.len - ROOT_FIELD_LEN));
		else
			lt_buf_put_slice(out, field);
	}
	return out->err;
}
