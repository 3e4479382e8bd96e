#include "proto/base/wire.h"
#include "proto/base/limits.h"
#include "proto/base/text.h"

#include <assert.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

#define FIELDS_OF_A_MESSAGE_MAX 256
#define TAG_BYTES_MAX 5 /* what protobuf-c reads of a tag or a length */
#define VARINT_BYTES_MAX 10

struct walk {
	size_t repeats; /* repeated and unknown fields so far, in the whole message */
	struct lt_arena *arena; /* NULL: check only */
	struct lt_err *err;
};

/* One message, known or skipped into; each is at most once on the stack per level. */
struct level {
	const ProtobufCMessageDescriptor *d;
	struct lt_reader r;
	unsigned depth; /* of the outermost message: 1 */
	uint8_t seen[FIELDS_OF_A_MESSAGE_MAX / 8];
	ProtobufCMessage *m; /* what is built; NULL: check only */
};

static int walk_message(struct walk *w, const ProtobufCMessageDescriptor *d, struct lt_slice bytes,
    unsigned depth, ProtobufCMessage **out);

static int
bad(struct walk *w, const struct level *l, const ProtobufCFieldDescriptor *f, const char *what)
{
	if (f == NULL)
		return lt_err_set(w->err, LT_E_INVALID, "message \"%s\": %s", l->d->name, what);
	return lt_err_set(
	    w->err, LT_E_INVALID, "field \"%s\" of \"%s\": %s", f->name, l->d->name, what);
}

static int
count(struct walk *w, const struct level *l, size_t n)
{
	if (n > LT_REPEATED_MAX - w->repeats)
		return lt_err_set(w->err, LT_E_TOOBIG,
		    "message \"%s\": more than %d repeated or unknown fields", l->d->name,
		    LT_REPEATED_MAX);
	w->repeats += n;
	return LT_OK;
}

/* A varint of at most max bytes; false: cut, longer, or above 64 bits. */
static inline bool
read_varint(struct lt_reader *r, size_t max, uint64_t *v)
{
	const uint8_t *from = r->p;

	/* Nearly all are tags and short lengths. */
	if (from != r->end && *from < 0x80) {
		*v = *from;
		r->p++;
		return true;
	}
	*v = lt_read_varint(r);
	return r->err == LT_OK && (size_t)(r->p - from) <= max;
}

static inline bool
read_length(struct lt_reader *r, struct lt_slice *bytes)
{
	uint64_t len;

	if (!read_varint(r, TAG_BYTES_MAX, &len) || len > (size_t)(r->end - r->p))
		return false;
	*bytes = lt_slice(r->p, (size_t)len);
	r->p += len;
	return true;
}

/* What lt_wire_unpack() builds is what protobuf-c's own unpacking would give: the structs of the generated code, with
 * everything they point to in the arena. */

static void *
taken(const struct walk *w, const struct level *l, void *p, int *rc)
{
	*rc = p != NULL ? LT_OK
			: lt_err_set(w->err, LT_E_NOMEM, "message \"%s\": over the memory cap",
			      l->d->name);
	return p;
}

static size_t
size_of(ProtobufCType t)
{
	switch (t) {
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	default:
		return 4;
	}
}

/* How many there are so far, of a repeated field. */
static size_t *
counter(const struct level *l, const ProtobufCFieldDescriptor *f)
{
	return (size_t *)(void *)((uint8_t *)l->m + f->quantifier_offset);
}

/* Where the next value of the field goes. A repeated field's array has room for all there are: make_arrays() counted them. */
static void *
place_of(const struct level *l, const ProtobufCFieldDescriptor *f)
{
	uint8_t *member = (uint8_t *)l->m + f->offset;

	assert(f->label == PROTOBUF_C_LABEL_REPEATED || f->label == PROTOBUF_C_LABEL_NONE);
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(uint8_t **)(void *)member + (*counter(l, f))++ * size_of(f->type);
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		*(uint32_t *)(void *)((uint8_t *)l->m + f->quantifier_offset) = f->id;
	return member;
}

static int64_t
zigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void
store_number(const struct level *l, const ProtobufCFieldDescriptor *f, uint64_t v)
{
	void *at;
	uint32_t v32;

	if (l->m == NULL)
		return;
	at = place_of(l, f);
	if (f->type == PROTOBUF_C_TYPE_SINT32 || f->type == PROTOBUF_C_TYPE_SINT64)
		v = (uint64_t)zigzag(v);
	if (size_of(f->type) == 8) {
		memcpy(at, &v, sizeof(v));
	} else {
		v32 = (uint32_t)v;
		memcpy(at, &v32, sizeof(v32));
	}
}

/* Fixed numbers are little-endian on the wire. */
static uint64_t
fixed_number(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	while (len-- > 0)
		v = v << 8 | p[len];
	return v;
}

static int
store_text(const struct walk *w, const struct level *l, const ProtobufCFieldDescriptor *f,
    struct lt_slice bytes)
{
	char *copy;
	int rc;

	if (l->m == NULL)
		return LT_OK;
	copy = taken(w, l, lt_arena_dup(w->arena, bytes.data, bytes.len), &rc);
	if (rc == LT_OK)
		*(char **)place_of(l, f) = copy;
	return rc;
}

static int
store_bytes(const struct walk *w, const struct level *l, const ProtobufCFieldDescriptor *f,
    struct lt_slice bytes)
{
	ProtobufCBinaryData b = { bytes.len, NULL };
	int rc = LT_OK;

	if (l->m == NULL)
		return LT_OK;
	if (bytes.len != 0)
		b.data = taken(w, l, lt_arena_alloc(w->arena, bytes.len), &rc);
	if (rc != LT_OK)
		return rc;
	if (bytes.len != 0)
		memcpy(b.data, bytes.data, bytes.len);
	*(ProtobufCBinaryData *)place_of(l, f) = b;
	return LT_OK;
}

static int
wire_type_of(ProtobufCType t)
{
	switch (t) {
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return WIRE_32;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return WIRE_64;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return WIRE_BYTES;
	default:
		return WIRE_VARINT;
	}
}

/* A number that does not fit would be cut, by each implementation in its own way. */
static const char *
check_number(const ProtobufCFieldDescriptor *f, uint64_t v)
{
	const uint64_t negative = (uint64_t)INT64_C(-2147483648);

	switch (f->type) {
	case PROTOBUF_C_TYPE_BOOL:
		return v <= 1 ? NULL : "not a truth value";
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_SINT32:
		return v <= UINT32_MAX ? NULL : "number above 32 bits";
	case PROTOBUF_C_TYPE_INT32:
		return v <= INT32_MAX || v >= negative ? NULL : "number above 32 bits";
	case PROTOBUF_C_TYPE_ENUM:
		if (v > INT32_MAX && v < negative)
			return "number above 32 bits";
		if (protobuf_c_enum_descriptor_get_value(f->descriptor, (int)(int64_t)v) == NULL)
			return "unknown enumeration number";
		return NULL;
	default:
		return NULL;
	}
}

static int
walk_scalar(struct walk *w, struct level *l, const ProtobufCFieldDescriptor *f, struct lt_reader *r)
{
	int wire = wire_type_of(f->type);
	size_t len = wire == WIRE_32 ? 4 : 8;
	const char *wrong;
	uint64_t v;

	if (wire != WIRE_VARINT) {
		if ((size_t)(r->end - r->p) < len)
			return bad(w, l, f, "cut off");
		store_number(l, f, fixed_number(r->p, len));
		r->p += len;
		return LT_OK;
	}
	if (!read_varint(r, VARINT_BYTES_MAX, &v))
		return bad(w, l, f, "malformed number");
	wrong = check_number(f, v);
	if (wrong != NULL)
		return bad(w, l, f, wrong);
	store_number(l, f, v);
	return LT_OK;
}

static int
walk_packed(struct walk *w, struct level *l, const ProtobufCFieldDescriptor *f)
{
	struct lt_slice bytes;
	struct lt_reader r;
	int rc;

	if (!read_length(&l->r, &bytes))
		return bad(w, l, f, "length beyond the end");
	lt_reader_init(&r, bytes);
	while (lt_reader_left(&r) > 0) {
		rc = count(w, l, 1);
		if (rc == LT_OK)
			rc = walk_scalar(w, l, f, &r);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}

static int
walk_bytes(struct walk *w, struct level *l, const ProtobufCFieldDescriptor *f)
{
	struct lt_slice bytes;

	if (!read_length(&l->r, &bytes))
		return bad(w, l, f, "length beyond the end");
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return walk_message(
		    w, f->descriptor, bytes, l->depth + 1, l->m == NULL ? NULL : place_of(l, f));
	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return store_bytes(w, l, f, bytes);
	if (!lt_text_valid(bytes))
		return bad(w, l, f, "not UTF-8, or with a NUL");
	return store_text(w, l, f, bytes);
}

/* The last one would win here and the first one elsewhere: two readings of one message. */
static int
mark_seen(struct walk *w, struct level *l, const ProtobufCFieldDescriptor *f)
{
	size_t at = (size_t)(f - l->d->fields), i;

	if (l->seen[at / 8] & (1u << at % 8))
		return bad(w, l, f, "given twice");
	l->seen[at / 8] |= (uint8_t)(1u << at % 8);
	if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		return LT_OK;
	for (i = 0; i < l->d->n_fields; i++) {
		const ProtobufCFieldDescriptor *o = &l->d->fields[i];

		if (i != at && (o->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
		    o->quantifier_offset == f->quantifier_offset &&
		    (l->seen[i / 8] & (1u << i % 8)))
			return bad(w, l, f, "stands beside another member of its group");
	}
	return LT_OK;
}

static int
walk_known(struct walk *w, struct level *l, const ProtobufCFieldDescriptor *f, unsigned wire)
{
	int own = wire_type_of(f->type);
	int rc;

	rc = f->label == PROTOBUF_C_LABEL_REPEATED ? count(w, l, 1) : mark_seen(w, l, f);
	if (rc != LT_OK)
		return rc;
	if (f->label == PROTOBUF_C_LABEL_REPEATED && wire == WIRE_BYTES && own != WIRE_BYTES)
		return walk_packed(w, l, f);
	if ((int)wire != own)
		return bad(w, l, f, "wrong wire type");
	return own == WIRE_BYTES ? walk_bytes(w, l, f) : walk_scalar(w, l, f, &l->r);
}

/* Kept as they stand: who packs the message again passes them on. */
static int
keep_unknown(struct walk *w, struct level *l, unsigned tag, unsigned wire, struct lt_slice bytes)
{
	ProtobufCMessageUnknownField *u;
	int rc;

	if (l->m == NULL)
		return LT_OK;
	u = &l->m->unknown_fields[l->m->n_unknown_fields];
	u->data = taken(w, l, lt_arena_alloc(w->arena, bytes.len), &rc);
	if (rc != LT_OK)
		return rc;
	u->tag = tag;
	u->wire_type = (ProtobufCWireType)wire;
	u->len = bytes.len;
	memcpy(u->data, bytes.data, bytes.len);
	l->m->n_unknown_fields++;
	return LT_OK;
}

/* Past the value of a field. */
static bool
skip_value(struct lt_reader *r, unsigned wire)
{
	size_t len = wire == WIRE_32 ? 4 : 8;
	struct lt_slice bytes;
	uint64_t v;

	if (wire == WIRE_VARINT)
		return read_varint(r, VARINT_BYTES_MAX, &v);
	if (wire == WIRE_BYTES)
		return read_length(r, &bytes);
	if ((size_t)(r->end - r->p) < len)
		return false;
	r->p += len;
	return true;
}

static int
walk_unknown(struct walk *w, struct level *l, unsigned tag, unsigned wire)
{
	const uint8_t *from = l->r.p;
	int rc = count(w, l, 1);

	if (rc != LT_OK)
		return rc;
	if (!skip_value(&l->r, wire))
		return bad(w, l, NULL, "an unknown field is cut off");
	return keep_unknown(w, l, tag, wire, lt_slice(from, (size_t)(l->r.p - from)));
}

static inline bool
wire_known(unsigned wire)
{
	return wire == WIRE_VARINT || wire == WIRE_64 || wire == WIRE_BYTES || wire == WIRE_32;
}

/* As protobuf_c_message_descriptor_get_field(); most numbers stand in one row from 1. */
static inline const ProtobufCFieldDescriptor *
field_of(const ProtobufCMessageDescriptor *d, unsigned tag)
{
	if (d->n_field_ranges == 1 && d->field_ranges[0].start_value == 1)
		return tag >= 1 && tag <= d->n_fields ? &d->fields[tag - 1] : NULL;
	return protobuf_c_message_descriptor_get_field(d, tag);
}

static int
walk_field(struct walk *w, struct level *l)
{
	const ProtobufCFieldDescriptor *f;
	uint64_t tag;
	unsigned wire;

	if (!read_varint(&l->r, TAG_BYTES_MAX, &tag) || tag > UINT32_MAX)
		return bad(w, l, NULL, "malformed tag");
	wire = (unsigned)(tag & 7);
	tag >>= 3;
	if (tag == 0)
		return bad(w, l, NULL, "field number 0");
	if (!wire_known(wire))
		return bad(w, l, NULL, "group or unknown wire type");
	f = field_of(l->d, (unsigned)tag);
	return f == NULL ? walk_unknown(w, l, (unsigned)tag, wire) : walk_known(w, l, f, wire);
}

void
lt_wire_init(const ProtobufCMessageDescriptor *d, ProtobufCMessage *m)
{
	unsigned i;

	if (d->message_init != NULL) {
		protobuf_c_message_init(d, m);
		return;
	}
	m->descriptor = d;
	for (i = 0; i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_STRING &&
		    d->fields[i].label != PROTOBUF_C_LABEL_REPEATED &&
		    !(d->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
			memcpy((char *)m + d->fields[i].offset, &d->fields[i].default_value,
			    sizeof(d->fields[i].default_value));
}

/* ---- room for what is repeated ---- */

/* Numbers in a packed field, if it is well-formed; each takes a byte at least. */
static size_t
count_packed(struct lt_slice bytes, int wire)
{
	size_t i, n = 0;

	if (wire != WIRE_VARINT)
		return bytes.len / (wire == WIRE_32 ? 4 : 8);
	for (i = 0; i < bytes.len; i++)
		n += bytes.data[i] < 0x80;
	return n;
}

/* How many there are of each repeated field of a message, and of the unknown ones. */
struct counts {
	bool any;
	size_t unknown;
	size_t n[FIELDS_OF_A_MESSAGE_MAX]; /* by place in the descriptor */
};

/* One field more of a message; false: at the end, or malformed, which the walk will say. */
static bool
count_field(const ProtobufCMessageDescriptor *d, struct lt_reader *r, struct counts *c)
{
	const ProtobufCFieldDescriptor *f;
	struct lt_slice bytes;
	uint64_t tag;
	unsigned wire;

	if (r->p == r->end || !read_varint(r, TAG_BYTES_MAX, &tag) || tag > UINT32_MAX)
		return false;
	wire = (unsigned)(tag & 7);
	f = field_of(d, (unsigned)(tag >> 3));
	if (f != NULL && f->label != PROTOBUF_C_LABEL_REPEATED)
		return wire_known(wire) && skip_value(r, wire);
	c->any = true;
	if (f == NULL) {
		c->unknown++;
		return wire_known(wire) && skip_value(r, wire);
	}
	if (wire != WIRE_BYTES || wire_type_of(f->type) == WIRE_BYTES) {
		c->n[f - d->fields]++;
		return wire_known(wire) && skip_value(r, wire);
	}
	if (!read_length(r, &bytes))
		return false;
	c->n[f - d->fields] += count_packed(bytes, wire_type_of(f->type));
	return true;
}

/* False: more than may be. */
static bool
count_message(const struct walk *w, const struct level *l, struct counts *c)
{
	struct lt_reader r = l->r;
	size_t all, i;

	c->any = false;
	c->unknown = 0;
	memset(c->n, 0, l->d->n_fields * sizeof(c->n[0]));
	while (count_field(l->d, &r, c))
		;
	if (!c->any)
		return true;
	for (all = c->unknown, i = 0; i < l->d->n_fields; i++)
		all += c->n[i];
	return all <= LT_REPEATED_MAX - w->repeats;
}

/* The struct of the message, in *out, and arrays as long as needed. Too many: nothing is made, the walk that follows fails. */
static int
make_message(const struct walk *w, struct level *l, ProtobufCMessage **out)
{
	struct counts c;
	size_t i;
	int rc;

	if (!count_message(w, l, &c))
		return LT_OK;
	*out = taken(w, l, lt_arena_alloc(w->arena, l->d->sizeof_message), &rc);
	if (rc != LT_OK)
		return rc;
	l->m = *out;
	lt_wire_init(l->d, l->m);
	if (!c.any)
		return LT_OK;
	if (c.unknown != 0)
		l->m->unknown_fields = taken(w, l,
		    lt_arena_alloc(w->arena, c.unknown * sizeof(ProtobufCMessageUnknownField)),
		    &rc);
	for (i = 0; rc == LT_OK && i < l->d->n_fields; i++)
		if (c.n[i] != 0)
			*(void **)(void *)((uint8_t *)l->m + l->d->fields[i].offset) = taken(w, l,
			    lt_arena_alloc(w->arena, c.n[i] * size_of(l->d->fields[i].type)), &rc);
	return rc;
}

static int
walk_message(struct walk *w, const ProtobufCMessageDescriptor *d, struct lt_slice bytes,
    unsigned depth, ProtobufCMessage **out)
{
	struct level l;
	int rc = LT_OK;

	assert(d->n_fields <= FIELDS_OF_A_MESSAGE_MAX);
	if (depth > LT_DEPTH_MAX)
		return lt_err_set(w->err, LT_E_TOOBIG, "message \"%s\": nested deeper than %d",
		    d->name, LT_DEPTH_MAX);
	l.d = d;
	l.depth = depth;
	l.m = NULL;
	memset(l.seen, 0, (d->n_fields + 7) / 8);
	lt_reader_init(&l.r, bytes);
	if (out != NULL)
		rc = make_message(w, &l, out);
	while (rc == LT_OK && l.r.p != l.r.end)
		rc = walk_field(w, &l);
	return rc;
}

int
lt_wire_check(
    const ProtobufCMessageDescriptor *d, struct lt_slice bytes, size_t max_len, struct lt_err *err)
{
	struct walk w = { .err = err };

	if (bytes.len > max_len)
		return lt_err_set(err, LT_E_TOOBIG,
		    "message \"%s\": %zu bytes, at most %zu allowed", d->name, bytes.len, max_len);
	return walk_message(&w, d, bytes, 1, NULL);
}

int
lt_wire_unpack(const ProtobufCMessageDescriptor *d, struct lt_slice bytes, size_t max_len,
    struct lt_arena *arena, ProtobufCMessage **msg, struct lt_err *err)
{
	struct walk w = { .arena = arena, .err = err };
	ProtobufCMessage *m = NULL;
	int rc;

	if (bytes.len > max_len)
		return lt_err_set(err, LT_E_TOOBIG,
		    "message \"%s\": %zu bytes, at most %zu allowed", d->name, bytes.len, max_len);
	rc = walk_message(&w, d, bytes, 1, &m);
	if (rc == LT_OK && m != NULL) {
		*msg = m;
		return LT_OK;
	}
	/* What is malformed as well is called so: memory may be there another time. */
	if (rc == LT_E_NOMEM && lt_wire_check(d, bytes, max_len, NULL) != LT_OK)
		return lt_wire_check(d, bytes, max_len, err);
	assert(rc != LT_OK);
	return rc;
}

int
lt_wire_pack(const ProtobufCMessage *msg, size_t max_len, struct lt_buf *out)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	uint8_t *p;

	if (len > max_len)
		return LT_E_TOOBIG;
	p = lt_buf_reserve(out, len);
	if (p == NULL)
		return out->err;
	lt_buf_added(out, protobuf_c_message_pack(msg, p));
	return LT_OK;
}
