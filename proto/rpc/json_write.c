/* Messages to JSON. */
#include "proto/rpc/json_impl.h"

#include "proto/base/text.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static int write_message(const ProtobufCMessage *m, unsigned depth, struct lt_buf *out);

void
lt_json_name(char *out, size_t cap, const char *name)
{
	bool up = false;
	size_t n = 0;

	for (; *name != '\0' && n + 1 < cap; name++) {
		if (*name == '_') {
			up = true;
			continue;
		}
		out[n++] = (char)(up && *name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
		up = false;
	}
	out[n] = '\0';
}

/* ---- texts ---- */

/* What acts on a terminal, or ends a line in JavaScript, without being seen. */
static bool
is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void
put_escaped(struct lt_buf *out, uint32_t c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = c != 0 && c < 0x80 ? strchr(from, (int)c) : NULL;

	if (at != NULL)
		lt_buf_printf(out, "\\%c", to[at - from]);
	else
		lt_buf_printf(out, "\\u%04" PRIx32, c);
}

static int
write_string(const char *s, struct lt_buf *out)
{
	size_t len = strlen(s), from = 0, i, n;
	const uint8_t *p = (const uint8_t *)s;
	uint32_t c;

	if (!lt_text_valid(lt_slice(s, len)))
		return LT_E_INVALID;
	lt_buf_u8(out, '"');
	for (i = 0; i < len; i += n) {
		n = p[i] < 0x80 ? 1 : p[i] < 0xe0 ? 2 : p[i] < 0xf0 ? 3 : 4;
		c = n == 1   ? p[i]
		    : n == 2 ? (p[i] & 0x1fu) << 6 | (p[i + 1] & 0x3fu)
		    : n == 3 ? (p[i] & 0x0fu) << 12 | (p[i + 1] & 0x3fu) << 6 | (p[i + 2] & 0x3fu)
			     : 0x10000;
		if (c != '"' && c != '\\' && !is_control(c))
			continue;
		lt_buf_put(out, s + from, i - from);
		put_escaped(out, c);
		from = i + n;
	}
	lt_buf_put(out, s + from, len - from);
	lt_buf_u8(out, '"');
	return LT_OK;
}

static void
write_bytes(const ProtobufCBinaryData *d, struct lt_buf *out)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = (d->len + 2) / 3 * 4, i, k;
	uint8_t *p = lt_buf_reserve(out, n + 2);
	uint32_t bits;

	if (p == NULL)
		return;
	*p++ = '"';
	for (i = 0; i < d->len; i += 3) {
		for (bits = 0, k = 0; k < 3; k++)
			bits = bits << 8 | (i + k < d->len ? d->data[i + k] : 0);
		for (k = 0; k < 4; k++)
			*p++ =
			    (uint8_t)(i + k > d->len ? '=' : alphabet[bits >> (18 - 6 * k) & 63]);
	}
	*p = '"';
	lt_buf_added(out, n + 2);
}

/* ---- numbers ---- */

/* The shortest of three lengths that reads as the same number; jansson writes it whatever the locale. */
static int
write_float(double d, bool narrow, struct lt_buf *out)
{
	size_t precision = narrow ? FLT_DIG : DBL_DIG, most = precision + (narrow ? 3 : 2), n;
	json_t *j = json_real(d);
	double again = 0;
	float f;
	char text[64];

	if (j == NULL)
		return LT_E_NOMEM;
	for (;; precision++) {
		n = json_dumpb(
		    j, text, sizeof(text), JSON_ENCODE_ANY | JSON_REAL_PRECISION(precision));
		assert(n != 0 && n <= sizeof(text));
		if (precision == most)
			break;
		if (lt_json_double(lt_slice(text, n), &again) &&
		    (narrow ? lt_json_narrow(again, &f) && (double)f == d : again == d))
			break;
	}
	json_decref(j);
	lt_buf_put(out, text, n);
	return LT_OK;
}

static int
write_real(double d, bool narrow, struct lt_buf *out)
{
	if (isfinite(d))
		return write_float(d, narrow, out);
	lt_buf_str(out, isnan(d) ? "\"NaN\"" : d > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	return LT_OK;
}

static int
write_enum(const ProtobufCEnumDescriptor *d, int number, struct lt_buf *out)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, number);

	if (v != NULL)
		return write_string(v->name, out);
	lt_buf_printf(out, "%d", number);
	return LT_OK;
}

/* ---- messages ---- */

union scalar {
	int32_t i32;
	uint32_t u32;
	int64_t i64;
	uint64_t u64;
	float f;
	double d;
	protobuf_c_boolean b;
	char *s;
	ProtobufCMessage *m;
	ProtobufCBinaryData bytes;
};

static size_t
size_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	default:
		return 4;
	}
}

static int
write_value(
    const ProtobufCFieldDescriptor *f, const union scalar *v, unsigned depth, struct lt_buf *out)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		lt_buf_printf(out, "%" PRId32, v->i32);
		return LT_OK;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		lt_buf_printf(out, "%" PRIu32, v->u32);
		return LT_OK;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		lt_buf_printf(out, "\"%" PRId64 "\"", v->i64);
		return LT_OK;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		lt_buf_printf(out, "\"%" PRIu64 "\"", v->u64);
		return LT_OK;
	case PROTOBUF_C_TYPE_FLOAT:
		return write_real((double)v->f, true, out);
	case PROTOBUF_C_TYPE_DOUBLE:
		return write_real(v->d, false, out);
	case PROTOBUF_C_TYPE_BOOL:
		lt_buf_str(out, v->b ? "true" : "false");
		return LT_OK;
	case PROTOBUF_C_TYPE_ENUM:
		return write_enum(f->descriptor, v->i32, out);
	case PROTOBUF_C_TYPE_STRING:
		return write_string(v->s, out);
	case PROTOBUF_C_TYPE_BYTES:
		write_bytes(&v->bytes, out);
		return LT_OK;
	case PROTOBUF_C_TYPE_MESSAGE:
		return write_message(v->m, depth + 1, out);
	}
	return LT_E_INVALID;
}

static int
write_list(const ProtobufCFieldDescriptor *f, const char *list, size_t n, unsigned depth,
    struct lt_buf *out)
{
	size_t each = size_of(f->type), i;
	union scalar v;
	int rc = LT_OK;

	lt_buf_u8(out, '[');
	for (i = 0; rc == LT_OK && out->err == LT_OK && i < n; i++) {
		if (i != 0)
			lt_buf_u8(out, ',');
		memcpy(&v, list + i * each, each);
		rc = write_value(f, &v, depth, out);
	}
	lt_buf_u8(out, ']');
	return rc;
}

/* Is it left out: default, unset, or not the member of its oneof that is there? */
static bool
is_absent(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m, const union scalar *v)
{
	uint32_t which;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		memcpy(&which, (const char *)m + f->quantifier_offset, sizeof(which));
		if (which != f->id)
			return true;
		return (f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING) &&
		       v->s == NULL;
	}
	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		return v->m == NULL;
	case PROTOBUF_C_TYPE_STRING:
		return v->s == NULL || v->s[0] == '\0';
	case PROTOBUF_C_TYPE_BYTES:
		return v->bytes.len == 0;
	case PROTOBUF_C_TYPE_FLOAT:
		return v->f == 0; /* -0 too: protobuf-c does not send it either */
	case PROTOBUF_C_TYPE_DOUBLE:
		return v->d == 0;
	case PROTOBUF_C_TYPE_BOOL:
		return !v->b;
	default:
		return size_of(f->type) == 8 ? v->u64 == 0 : v->u32 == 0;
	}
}

static int
write_field(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m, unsigned depth,
    bool *first, struct lt_buf *out)
{
	bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
	char name[2 * LT_NAME_MAX], *list;
	union scalar v;
	size_t n = 0;

	if (repeated) {
		memcpy(&n, (const char *)m + f->quantifier_offset, sizeof(n));
		memcpy(&list, (const char *)m + f->offset, sizeof(list));
	} else {
		memcpy(&v, (const char *)m + f->offset, size_of(f->type));
	}
	if (repeated ? n == 0 : is_absent(f, m, &v))
		return LT_OK;
	lt_json_name(name, sizeof(name), f->name);
	lt_buf_printf(out, "%s\"%s\":", *first ? "" : ",", name);
	*first = false;
	return repeated ? write_list(f, list, n, depth, out) : write_value(f, &v, depth, out);
}

static int
write_message(const ProtobufCMessage *m, unsigned depth, struct lt_buf *out)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	bool first = true;
	int rc = LT_OK;
	unsigned i;

	if (depth > LT_DEPTH_MAX)
		return LT_E_TOOBIG;
	lt_buf_u8(out, '{');
	for (i = 0; rc == LT_OK && out->err == LT_OK && i < d->n_fields; i++)
		rc = write_field(&d->fields[i], m, depth, &first, out);
	lt_buf_u8(out, '}');
	return rc;
}

int
lt_json_write(const ProtobufCMessage *m, struct lt_buf *out)
{
	int rc = write_message(m, 1, out);

	return rc == LT_OK ? out->err : rc;
}
