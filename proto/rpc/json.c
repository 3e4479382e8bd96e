/* JSON to messages. */
#include "proto/rpc/json_impl.h"

#include "proto/base/text.h"
#include "proto/base/wire.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 256 /* of one message; as the wire walker */
#define SHOWN_MAX 64 /* bytes of a value in an error */

/* Where we are, for the path of an error. */
struct place {
	const struct place *up;
	const char *name; /* of a field; as given where it is unknown */
	size_t index; /* in a list */
	bool in_list;
};

struct reader {
	struct lt_arena *arena;
	struct lt_json_err *err;
};

/* What was expected, in both languages. */
struct words {
	const char *en, *vi;
};

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *d, json_t *o,
    const struct place *at, unsigned depth, ProtobufCMessage **out);

/* ---- errors ---- */

/* Written from the end: the field itself matters most. */
static void
path_of(const struct place *at, char *out, size_t cap)
{
	char part[LT_NAME_MAX * 2 + 32], name[LT_NAME_MAX * 2 + 1];
	size_t left = cap - 1, n;

	out[left] = '\0';
	for (; at != NULL; at = at->up) {
		name[lt_text_escape(name, sizeof(name) - 1, lt_slice_str(at->name))] = '\0';
		n = at->in_list ? (size_t)snprintf(part, sizeof(part), "%s%s[%zu]",
				      at->up != NULL ? "." : "", name, at->index)
				: (size_t)snprintf(
				      part, sizeof(part), "%s%s", at->up != NULL ? "." : "", name);
		if (n > left)
			break;
		left -= n;
		memcpy(out + left, part, n);
	}
	memmove(out, out + left, cap - left);
}

static void
value_of(const json_t *v, char *out, size_t cap)
{
	struct lt_slice words;
	char tmp[24];
	size_t n;

	out[0] = '\0';
	if (lt_json_number(v, tmp, &words)) {
		n = words.len > SHOWN_MAX ? SHOWN_MAX : words.len;
		(void)snprintf(out, cap, "%.*s%s", (int)n, (const char *)words.data,
		    words.len > SHOWN_MAX ? "..." : "");
	} else if (json_is_string(v)) {
		words = lt_slice(json_string_value(v), json_string_length(v));
		out[0] = '"';
		n = 1 + lt_text_escape(out + 1, SHOWN_MAX, words);
		(void)snprintf(out + n, cap - n, "%s", words.len > n - 1 ? "...\"" : "\"");
	} else if (v != NULL) {
		(void)snprintf(out, cap, "%s",
		    json_is_object(v)  ? "{...}"
		    : json_is_array(v) ? "[...]"
		    : json_is_true(v)  ? "true"
		    : json_is_false(v) ? "false"
				       : "null");
	}
}

/* v: NULL where it is not the value that is wrong. */
static int
bad(struct reader *r, const struct place *at, const json_t *v, struct words want)
{
	struct lt_json_err *e = r->err;
	const char *between;

	if (e == NULL)
		return LT_E_INVALID;
	memset(e, 0, sizeof(*e));
	path_of(at, e->path, sizeof(e->path));
	value_of(v, e->value, sizeof(e->value));
	between = e->path[0] != '\0' ? ": " : "";
	if (v == NULL) {
		(void)snprintf(e->message, sizeof(e->message), "%s%s%s", e->path, between, want.en);
		(void)snprintf(
		    e->message_vi, sizeof(e->message_vi), "%s%s%s", e->path, between, want.vi);
		return LT_E_INVALID;
	}
	(void)snprintf(e->message, sizeof(e->message), "%s%s%s is not %s", e->path, between,
	    e->value, want.en);
	(void)snprintf(e->message_vi, sizeof(e->message_vi), "%s%s%s không phải %s", e->path,
	    between, e->value, want.vi);
	return LT_E_INVALID;
}

static int
no_memory(struct reader *r)
{
	return lt_json_fail(
	    r->err, LT_E_NOMEM, "no memory for the message", "không đủ bộ nhớ cho thông điệp");
}

/* ---- numbers ---- */

static const struct range {
	uint64_t max, min; /* min: of |v| below zero */
	struct words words;
} ranges[] = {
	{ INT32_MAX, UINT64_C(1) << 31,
	    { "a whole number from -2147483648 to 2147483647",
		"số nguyên từ -2147483648 đến 2147483647" } },
	{ UINT32_MAX, 0,
	    { "a whole number from 0 to 4294967295", "số nguyên từ 0 đến 4294967295" } },
	{ INT64_MAX, UINT64_C(1) << 63,
	    { "a whole number of 64 bits (-9223372036854775808 to 9223372036854775807)",
		"số nguyên 64 bit (từ -9223372036854775808 đến 9223372036854775807)" } },
	{ UINT64_MAX, 0,
	    { "a whole number from 0 to 18446744073709551615",
		"số nguyên từ 0 đến 18446744073709551615" } },
};

static const struct range *
range_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_ENUM:
		return &ranges[0];
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return &ranges[1];
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return &ranges[2];
	default:
		return &ranges[3];
	}
}

/* Numbers may stand in quotes. */
static bool
number_words(const json_t *v, char tmp[24], struct lt_slice *words)
{
	if (lt_json_number(v, tmp, words))
		return true;
	if (!json_is_string(v))
		return false;
	*words = lt_slice(json_string_value(v), json_string_length(v));
	return lt_json_is_number(*words);
}

static bool
in_range(const struct range *range, const json_t *v, uint64_t *out)
{
	struct lt_slice words;
	bool negative;
	uint64_t u;
	char tmp[24];

	if (!number_words(v, tmp, &words) || !lt_json_whole(words, &negative, &u) ||
	    u > (negative ? range->min : range->max))
		return false;
	*out = negative ? -u : u;
	return true;
}

static int
read_whole(struct reader *r, ProtobufCType type, const json_t *v, const struct place *at, void *p)
{
	const struct range *range = range_of(type);
	uint64_t u;
	uint32_t low;

	if (!in_range(range, v, &u))
		return bad(r, at, v, range->words);
	low = (uint32_t)u;
	if (range >= &ranges[2])
		memcpy(p, &u, sizeof(u));
	else
		memcpy(p, &low, sizeof(low));
	return LT_OK;
}

static bool
float_words(const json_t *v, double *d)
{
	const char *s = json_string_value(v);
	struct lt_slice words;
	char tmp[24];

	if (number_words(v, tmp, &words))
		return lt_json_double(words, d);
	if (s == NULL)
		return false;
	if (strcmp(s, "NaN") == 0)
		*d = (double)NAN;
	else if (strcmp(s, "Infinity") == 0)
		*d = (double)INFINITY;
	else if (strcmp(s, "-Infinity") == 0)
		*d = -(double)INFINITY;
	else
		return false;
	return strlen(s) == json_string_length(v);
}

static int
read_float(struct reader *r, ProtobufCType type, const json_t *v, const struct place *at, void *p)
{
	static const struct words wide = {
		"a number in the range of a double, \"NaN\", \"Infinity\" or \"-Infinity\"",
		"số trong phạm vi double, \"NaN\", \"Infinity\" hay \"-Infinity\""
	};
	static const struct words narrow = {
		"a number in the range of a float, \"NaN\", \"Infinity\" or \"-Infinity\"",
		"số trong phạm vi float, \"NaN\", \"Infinity\" hay \"-Infinity\""
	};
	double d = 0;
	float f;

	if (!float_words(v, &d))
		return bad(r, at, v, type == PROTOBUF_C_TYPE_FLOAT ? narrow : wide);
	if (type == PROTOBUF_C_TYPE_DOUBLE) {
		memcpy(p, &d, sizeof(d));
		return LT_OK;
	}
	if (!lt_json_narrow(d, &f))
		return bad(r, at, v, narrow);
	memcpy(p, &f, sizeof(f));
	return LT_OK;
}

/* ---- texts, bytes, names ---- */

static int
read_string(struct reader *r, const json_t *v, const struct place *at, void *p)
{
	static const struct words want = { "a text without NUL", "chuỗi ký tự không chứa NUL" };
	struct lt_slice s;
	struct lt_slice words;
	char tmp[24], *copy;

	s = lt_slice(json_string_value(v), json_string_length(v));
	if (s.data == NULL || lt_json_number(v, tmp, &words) || !lt_text_valid(s))
		return bad(r, at, v, want);
	copy = lt_arena_dup(r->arena, s.data, s.len);
	if (copy == NULL)
		return no_memory(r);
	memcpy(p, &copy, sizeof(copy));
	return LT_OK;
}

static int
sextet(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* out holds 3 for each 4 begun. False: not base64 of any bytes. */
static bool
unbase64(struct lt_slice s, uint8_t *out, size_t *len)
{
	size_t n = s.len, i, pad;
	uint32_t bits = 0;
	int v;

	while (n != 0 && s.len - n < 2 && s.data[n - 1] == '=')
		n--;
	pad = s.len - n;
	if (n % 4 == 1 || (pad != 0 && s.len % 4 != 0))
		return false;
	*len = 0;
	for (i = 0; i < n; i++) {
		v = sextet(s.data[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		if (i % 4 != 0)
			out[(*len)++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	/* What is left of the last character belongs to no byte. */
	return n % 4 == 0 || (bits & (n % 4 == 2 ? 15u : 3u)) == 0;
}

static int
read_bytes(struct reader *r, const json_t *v, const struct place *at, void *p)
{
	static const struct words want = { "bytes in base64", "dãy byte dạng base64" };
	ProtobufCBinaryData data = { 0, NULL };
	struct lt_slice s, words;
	char tmp[24];

	s = lt_slice(json_string_value(v), json_string_length(v));
	if (s.data == NULL || lt_json_number(v, tmp, &words))
		return bad(r, at, v, want);
	if (s.len != 0) {
		data.data = lt_arena_alloc(r->arena, s.len / 4 * 3 + 3);
		if (data.data == NULL)
			return no_memory(r);
		if (!unbase64(s, data.data, &data.len))
			return bad(r, at, v, want);
	}
	memcpy(p, &data, sizeof(data));
	return LT_OK;
}

static int
read_bool(struct reader *r, const json_t *v, const struct place *at, void *p)
{
	static const struct words want = { "true or false", "true hay false" };
	protobuf_c_boolean b = json_is_true(v);

	if (!json_is_boolean(v))
		return bad(r, at, v, want);
	memcpy(p, &b, sizeof(b));
	return LT_OK;
}

static int
read_enum(struct reader *r, const ProtobufCEnumDescriptor *d, const json_t *v,
    const struct place *at, void *p)
{
	const ProtobufCEnumValue *known = NULL;
	char en[160], vi[160], tmp[24];
	struct words want = { en, vi };
	struct lt_slice words;
	uint64_t u;
	int number;

	if (lt_json_number(v, tmp, &words)) {
		if (in_range(&ranges[0], v, &u))
			known = protobuf_c_enum_descriptor_get_value(d, (int)(int32_t)u);
	} else if (json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v)) {
		known = protobuf_c_enum_descriptor_get_value_by_name(d, json_string_value(v));
	}
	if (known == NULL) {
		(void)snprintf(en, sizeof(en), "a name or number of %.100s", d->name);
		(void)snprintf(vi, sizeof(vi), "tên hay số của %.100s", d->name);
		return bad(r, at, v, want);
	}
	number = known->value;
	memcpy(p, &number, sizeof(number));
	return LT_OK;
}

/* ---- messages ---- */

static int
read_value(struct reader *r, const ProtobufCFieldDescriptor *f, json_t *v, const struct place *at,
    unsigned depth, void *p)
{
	ProtobufCMessage *m;
	int rc;

	switch (f->type) {
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
		return read_float(r, f->type, v, at, p);
	case PROTOBUF_C_TYPE_BOOL:
		return read_bool(r, v, at, p);
	case PROTOBUF_C_TYPE_ENUM:
		return read_enum(r, f->descriptor, v, at, p);
	case PROTOBUF_C_TYPE_STRING:
		return read_string(r, v, at, p);
	case PROTOBUF_C_TYPE_BYTES:
		return read_bytes(r, v, at, p);
	case PROTOBUF_C_TYPE_MESSAGE:
		rc = read_message(r, f->descriptor, v, at, depth + 1, &m);
		if (rc == LT_OK)
			memcpy(p, &m, sizeof(m));
		return rc;
	default:
		return read_whole(r, f->type, v, at, p);
	}
}

static size_t
element_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_DOUBLE:
		return sizeof(double);
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	default:
		return range_of(type) >= &ranges[2] ? 8 : 4;
	}
}

static int
read_list(struct reader *r, const ProtobufCFieldDescriptor *f, json_t *v, struct place *at,
    unsigned depth, ProtobufCMessage *m)
{
	static const struct words want = { "a list", "danh sách" };
	size_t n = json_array_size(v), each = element_size(f->type);
	char *list;
	int rc = LT_OK;

	if (!json_is_array(v))
		return bad(r, at, v, want);
	if (n == 0)
		return LT_OK;
	list = lt_arena_alloc(r->arena, n * each);
	if (list == NULL)
		return no_memory(r);
	at->in_list = true;
	for (at->index = 0; rc == LT_OK && at->index < n; at->index++) {
		rc = read_value(
		    r, f, json_array_get(v, at->index), at, depth, list + at->index * each);
	}
	if (rc != LT_OK)
		return rc;
	memcpy((char *)m + f->quantifier_offset, &n, sizeof(n));
	memcpy((char *)m + f->offset, &list, sizeof(list));
	return LT_OK;
}

static int
read_member(struct reader *r, const ProtobufCFieldDescriptor *f, json_t *v, struct place *at,
    unsigned depth, ProtobufCMessage *m)
{
	static const struct words other = { "another member of its oneof is given, too",
		"một thành viên khác cùng oneof cũng được ghi" };
	uint32_t *which = (uint32_t *)(void *)((char *)m + f->quantifier_offset);

	if (json_is_null(v))
		return LT_OK;
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return read_list(r, f, v, at, depth, m);
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		if (*which != 0)
			return bad(r, at, NULL, other);
		*which = f->id;
	}
	return read_value(r, f, v, at, depth, (char *)m + f->offset);
}

static const ProtobufCFieldDescriptor *
find_field(const ProtobufCMessageDescriptor *d, const char *key)
{
	char name[2 * LT_NAME_MAX];
	unsigned i;

	for (i = 0; i < d->n_fields; i++) {
		if (strcmp(d->fields[i].name, key) == 0)
			return &d->fields[i];
		lt_json_name(name, sizeof(name), d->fields[i].name);
		if (strcmp(name, key) == 0)
			return &d->fields[i];
	}
	return NULL;
}

static int
read_message(struct reader *r, const ProtobufCMessageDescriptor *d, json_t *o,
    const struct place *up, unsigned depth, ProtobufCMessage **out)
{
	static const struct words object = { "an object", "một đối tượng {}" },
				  deep = { "messages nest too deep", "thông điệp lồng quá sâu" },
				  twice = { "given twice", "được ghi hai lần" };
	uint8_t seen[FIELDS_MAX / 8] = { 0 };
	struct words unknown;
	char en[160], vi[160];
	const char *key;
	json_t *v;
	int rc;

	assert(d->n_fields <= FIELDS_MAX);
	if (!json_is_object(o))
		return bad(r, up, o, object);
	if (depth > LT_DEPTH_MAX)
		return bad(r, up, NULL, deep);
	*out = lt_arena_alloc(r->arena, d->sizeof_message);
	if (*out == NULL)
		return no_memory(r);
	lt_wire_init(d, *out);
	json_object_foreach(o, key, v)
	{
		const ProtobufCFieldDescriptor *f = find_field(d, key);
		struct place at = { .up = up, .name = f != NULL ? f->name : key };
		size_t i = f != NULL ? (size_t)(f - d->fields) : 0;

		if (f == NULL) {
			(void)snprintf(en, sizeof(en), "%.100s has no such field", d->name);
			(void)snprintf(vi, sizeof(vi), "%.100s không có trường này", d->name);
			unknown = (struct words){ en, vi };
			rc = bad(r, &at, NULL, unknown);
			if (r->err != NULL)
				r->err->unknown_field = true;
			return rc;
		}
		if (seen[i / 8] & (1u << i % 8))
			return bad(r, &at, NULL, twice);
		seen[i / 8] |= (uint8_t)(1u << i % 8);
		rc = read_member(r, f, v, &at, depth, *out);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}

int
lt_json_read(const ProtobufCMessageDescriptor *d, struct lt_slice text, struct lt_arena *arena,
    ProtobufCMessage **msg, struct lt_json_err *err)
{
	struct reader r = { arena, err };
	ProtobufCMessage *m = NULL;
	json_t *o = NULL;
	int rc = lt_json_parse(text, &o, err);

	if (rc != LT_OK)
		return rc;
	rc = read_message(&r, d, o, NULL, 1, &m);
	json_decref(o);
	if (rc == LT_OK)
		*msg = m;
	return rc;
}
