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
	struct lt_err *err;
};

/* One message, known or skipped into; each is at most once on the stack per level. */
struct level {
	const ProtobufCMessageDescriptor *d;
	struct lt_reader r;
	unsigned depth; /* of the outermost message: 1 */
	uint8_t seen[FIELDS_OF_A_MESSAGE_MAX / 8];
};

static int walk_message(
    struct walk *w, const ProtobufCMessageDescriptor *d, struct lt_slice bytes, unsigned depth);

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
static bool
read_varint(struct lt_reader *r, size_t max, uint64_t *v)
{
	const uint8_t *from = r->p;

	*v = lt_read_varint(r);
	return r->err == LT_OK && (size_t)(r->p - from) <= max;
}

static bool
read_length(struct lt_reader *r, struct lt_slice *bytes)
{
	uint64_t len;

	if (!read_varint(r, TAG_BYTES_MAX, &len) || len > lt_reader_left(r))
		return false;
	*bytes = lt_read_bytes(r, (size_t)len);
	return r->err == LT_OK;
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
	const char *wrong;
	uint64_t v;

	switch (wire_type_of(f->type)) {
	case WIRE_32:
		(void)lt_read_u32(r);
		return r->err == LT_OK ? LT_OK : bad(w, l, f, "cut off");
	case WIRE_64:
		(void)lt_read_u64(r);
		return r->err == LT_OK ? LT_OK : bad(w, l, f, "cut off");
	default:
		if (!read_varint(r, VARINT_BYTES_MAX, &v))
			return bad(w, l, f, "malformed number");
		wrong = check_number(f, v);
		return wrong == NULL ? LT_OK : bad(w, l, f, wrong);
	}
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
		return walk_message(w, f->descriptor, bytes, l->depth + 1);
	if (f->type == PROTOBUF_C_TYPE_STRING && !lt_text_valid(bytes))
		return bad(w, l, f, "not UTF-8, or with a NUL");
	return LT_OK;
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

static int
skip_unknown(struct walk *w, struct level *l, unsigned wire)
{
	struct lt_slice bytes;
	uint64_t v;
	bool ok;
	int rc = count(w, l, 1);

	if (rc != LT_OK)
		return rc;
	switch (wire) {
	case WIRE_VARINT:
		ok = read_varint(&l->r, VARINT_BYTES_MAX, &v);
		break;
	case WIRE_64:
		(void)lt_read_u64(&l->r);
		ok = l->r.err == LT_OK;
		break;
	case WIRE_32:
		(void)lt_read_u32(&l->r);
		ok = l->r.err == LT_OK;
		break;
	default:
		ok = read_length(&l->r, &bytes);
		break;
	}
	return ok ? LT_OK : bad(w, l, NULL, "an unknown field is cut off");
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
	if (wire != WIRE_VARINT && wire != WIRE_64 && wire != WIRE_BYTES && wire != WIRE_32)
		return bad(w, l, NULL, "group or unknown wire type");
	f = protobuf_c_message_descriptor_get_field(l->d, (unsigned)tag);
	return f == NULL ? skip_unknown(w, l, wire) : walk_known(w, l, f, wire);
}

static int
walk_message(
    struct walk *w, const ProtobufCMessageDescriptor *d, struct lt_slice bytes, unsigned depth)
{
	struct level l;
	int rc = LT_OK;

	assert(d->n_fields <= FIELDS_OF_A_MESSAGE_MAX);
	if (depth > LT_DEPTH_MAX)
		return lt_err_set(w->err, LT_E_TOOBIG, "message \"%s\": nested deeper than %d",
		    d->name, LT_DEPTH_MAX);
	l.d = d;
	l.depth = depth;
	memset(l.seen, 0, sizeof(l.seen));
	lt_reader_init(&l.r, bytes);
	while (rc == LT_OK && lt_reader_left(&l.r) > 0)
		rc = walk_field(w, &l);
	return rc;
}

int
lt_wire_check(
    const ProtobufCMessageDescriptor *d, struct lt_slice bytes, size_t max_len, struct lt_err *err)
{
	struct walk w = { 0, err };

	if (bytes.len > max_len)
		return lt_err_set(err, LT_E_TOOBIG,
		    "message \"%s\": %zu bytes, at most %zu allowed", d->name, bytes.len, max_len);
	return walk_message(&w, d, bytes, 1);
}

int
lt_wire_unpack(const ProtobufCMessageDescriptor *d, struct lt_slice bytes, size_t max_len,
    struct lt_arena *arena, ProtobufCMessage **msg, struct lt_err *err)
{
	static const uint8_t none[1];
	const uint8_t *p = bytes.len == 0 ? none : bytes.data;
	int rc = lt_wire_check(d, bytes, max_len, err);

	if (rc != LT_OK)
		return rc;
	*msg = protobuf_c_message_unpack(d, &arena->pb, bytes.len, p);
	if (*msg == NULL)
		return lt_err_set(err, LT_E_NOMEM, "message \"%s\": over the memory cap", d->name);
	return LT_OK;
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
