#include "proto/feed/lean.h"

#include "proto/base/wire.h"
#include "proto/feed/changeset_impl.h"
#include "proto/feed/leaf.h"

#include <string.h>

enum { CHANGE_COLLECTION = 1, CHANGE_KEY = 2, CHANGE_PERSONAL = 7, CHANGE_ROOT = 8 };

/* Field 8 as it stands at the end of a change: tag, length, root. */
#define ROOT_TAG (CHANGE_ROOT << 3 | 2)
#define ROOT_FIELD_LEN (2 + LT_HASH_LEN)

/* What a change says about its leaves. */
struct outline {
	struct lt_slice collection, key;
	size_t npersonal;
	bool has_root; /* field 8 stands in it, empty or not */
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
		case CHANGE_COLLECTION:
			o->collection = f.bytes;
			break;
		case CHANGE_KEY:
			o->key = f.bytes;
			break;
		case CHANGE_PERSONAL:
			o->npersonal++;
			break;
		case CHANGE_ROOT:
			o->has_root = true;
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

/* ---- making lean ---- */

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

/* ---- and whole again ---- */

struct restore {
	const struct lt_changeset *head; /* unit, feed and seq */
	struct openings op;
	struct lt_arena *arena;
	struct lt_err *err;
	struct lt_buf out;
};

static int
invalid(const struct restore *x, const char *what)
{
	return lt_err_set(x->err, LT_E_INVALID, "change-set: %s", what);
}

/* A text of at most max bytes with a NUL after it; NULL: longer, or no memory. */
static const char *
text_of(const struct restore *x, struct lt_slice s, size_t max)
{
	return s.len > max ? NULL : lt_arena_dup(x->arena, s.data, s.len);
}

static int
add_leaf(
    struct restore *x, struct lt_leaf_place *place, struct lt_slice name, struct lt_merkle *tree)
{
	uint8_t salt[LT_SALT_LEN];
	struct opened one;
	struct lt_hash leaf;

	if (!openings_next(&x->op, &one) || one.change != place->index ||
	    !lt_slice_eq(one.name, name) || !is_open(&x->op, &one))
		return invalid(x, "a personal_root is left out, and an opening of it, too");
	place->field = text_of(x, name, LT_NAME_MAX);
	if (place->field == NULL)
		return invalid(x, "a field name is too long");
	if (x->op.seed.len == LT_SALT_LEN)
		lt_leaf_salt(x->op.seed.data, place->index, place->field, salt);
	else
		memcpy(salt, one.salt.data, LT_SALT_LEN);
	lt_leaf_hash(place, salt, one.field_set, &leaf);
	lt_merkle_add(tree, &leaf);
	return LT_OK;
}

static int
root_of(struct restore *x, uint32_t index, struct lt_slice change, const struct outline *o,
    struct lt_hash *root)
{
	struct lt_leaf_place place = { .unit = &x->head->unit,
		.feed = &x->head->feed,
		.seq = x->head->seq,
		.index = index,
		.collection = text_of(x, o->collection, LT_NAME_MAX),
		.key = text_of(x, o->key, LT_KEY_MAX) };
	struct lt_wire_field f;
	struct lt_merkle tree;
	struct lt_reader r;
	int rc = LT_OK;

	if (place.collection == NULL || place.key == NULL)
		return invalid(x, "a collection's name or a key is too long");
	lt_merkle_init(&tree);
	lt_reader_init(&r, change);
	while (rc == LT_OK && lt_wire_next(&r, &f))
		if (f.number == CHANGE_PERSONAL)
			rc = add_leaf(x, &place, f.bytes, &tree);
	if (rc == LT_OK)
		lt_merkle_end(&tree, root);
	return rc;
}

/* A change as it was, appended; field: as it stands in the message, tag and length included. */
static int
put_change(struct restore *x, uint32_t index, struct lt_slice field, struct lt_slice change)
{
	struct outline o;
	struct lt_hash root;
	struct opened skip;
	size_t i;
	int rc;

	if (outline_of(change, &o) != LT_OK)
		return invalid(x, "malformed");
	if (o.npersonal == 0 || o.has_root) {
		for (i = 0; i < o.npersonal; i++)
			(void)openings_next(&x->op, &skip);
		lt_buf_put_slice(&x->out, field);
		return x->out.err;
	}
	rc = root_of(x, index, change, &o, &root);
	if (rc != LT_OK)
		return rc;
	lt_buf_u8(&x->out, CS_CHANGE << 3 | 2);
	lt_buf_varint(&x->out, change.len + ROOT_FIELD_LEN);
	lt_buf_put_slice(&x->out, change);
	lt_buf_u8(&x->out, ROOT_TAG);
	lt_buf_u8(&x->out, LT_HASH_LEN);
	lt_buf_put(&x->out, root.b, LT_HASH_LEN);
	return x->out.err;
}

/* How many changes have lost their root; an answer in one walk for those that never were lean. */
static size_t
count_lean(struct lt_slice bytes, size_t *nchange)
{
	struct lt_wire_field f;
	struct outline o;
	struct lt_reader r;
	size_t n = 0;

	*nchange = 0;
	lt_reader_init(&r, bytes);
	while (lt_wire_next(&r, &f)) {
		if (f.number != CS_CHANGE)
			continue;
		++*nchange;
		if (outline_of(f.bytes, &o) == LT_OK)
			n += o.npersonal != 0 && !o.has_root;
	}
	return n;
}

static int
put_all(struct restore *x, struct lt_slice bytes)
{
	struct lt_wire_field f;
	struct lt_reader r;
	uint32_t index = 0;
	int rc = LT_OK;

	lt_reader_init(&r, bytes);
	while (rc == LT_OK) {
		const uint8_t *from = r.p;
		struct lt_slice field;

		if (!lt_wire_next(&r, &f))
			break;
		field = lt_slice(from, (size_t)(r.p - from));
		if (f.number == CS_CHANGE)
			rc = put_change(x, index++, field, f.bytes);
		else
			lt_buf_put_slice(&x->out, field);
	}
	return rc != LT_OK ? rc : x->out.err;
}

int
lt_changeset_restore(
    struct lt_slice bytes, struct lt_arena *arena, struct lt_slice *whole, struct lt_err *err)
{
	struct lt_changeset head;
	struct restore x = { .head = &head, .arena = arena, .err = err };
	struct lt_slice header, openings;
	struct lt_hash changes_root;
	uint32_t change_count;
	size_t nchange, nlean;
	int rc;

	*whole = bytes;
	nlean = count_lean(bytes, &nchange);
	if (nlean == 0)
		return LT_OK; /* well-formed or not: who parses it will see */
	rc = lt_wire_check(&ltpb__change_set__descriptor, bytes, LT_MESSAGE_MAX, err);
	if (rc != LT_OK)
		return rc;
	if (nchange > LT_CHANGES_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "change-set: %zu changes, at most %d allowed",
		    nchange, LT_CHANGES_MAX);
	find_parts(bytes, &header, &openings);
	rc = lt_header_read(header, arena, &head, &change_count, &changes_root, err);
	if (rc != LT_OK)
		return rc;
	openings_start(&x.op, openings);
	x.out.max = LT_MESSAGE_MAX;
	rc = put_all(&x, bytes);
	if (rc == LT_OK) {
		uint8_t *p = lt_arena_dup(arena, x.out.data, x.out.len);

		*whole = lt_slice(p, x.out.len);
		rc = p == NULL ? LT_E_NOMEM : LT_OK;
	}
	lt_buf_fini(&x.out);
	if (rc == LT_E_TOOBIG || rc == LT_E_NOMEM)
		return lt_err_set(err, rc, "change-set: %s", lt_strerror(rc));
	return rc;
}
