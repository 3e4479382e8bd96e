#include "proto/model/plain.h"

#include "proto/base/limits.h"
#include "proto/base/text.h"
#include "proto/model/value.h"

#include <string.h>

enum { NAME = 1 << 3 | 2, VALUE = 2 << 3 | 2 }; /* tags of FieldSet */
enum { /* tags of Value */
	TEXT = 1 << 3 | 2,
	INTEGER = 2 << 3,
	DECIMAL = 3 << 3 | 2,
	BOOLEAN = 4 << 3,
	DATE = 5 << 3,
	TIMESTAMP = 6 << 3,
	BYTES = 7 << 3 | 2,
	ENUMERATION = 8 << 3 | 2,
};
enum { UNSCALED = 1 << 3, SCALE = 2 << 3 }; /* tags of Decimal */

/* A varint in its shortest form; NULL: it is not there, longer, or above max. */
static const uint8_t *
varint(const uint8_t *p, const uint8_t *end, uint64_t max, uint64_t *v)
{
	unsigned shift = 0;

	for (*v = 0; p < end; shift += 7) {
		uint8_t c = *p++;

		if (shift == 63 && c > 1)
			return NULL;
		*v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return (c == 0 && shift != 0) || *v > max ? NULL : p;
	}
	return NULL;
}

/* A length in its shortest form and so many bytes, with which all ends. */
static bool
last_bytes(const uint8_t *p, const uint8_t *end, struct lt_slice *bytes)
{
	uint64_t len = 0;

	p = varint(p, end, SIZE_MAX / 2, &len);
	if (p == NULL || len != (uint64_t)(end - p))
		return false;
	*bytes = lt_slice(p, (size_t)len);
	return true;
}

/* Zero members are not written. */
static bool
read_decimal(struct lt_slice b, Ltpb__Decimal *d)
{
	const uint8_t *p = b.data, *end = b.data + b.len;
	uint64_t v;

	ltpb__decimal__init(d);
	if (p < end && *p == UNSCALED) {
		p = varint(p + 1, end, UINT64_MAX, &v);
		if (p == NULL || v == 0)
			return false;
		d->unscaled = (int64_t)(v >> 1 ^ (0 - (v & 1)));
	}
	if (p < end && *p == SCALE) {
		p = varint(p + 1, end, LT_DECIMAL_SCALE_MAX, &v);
		if (p == NULL || v == 0)
			return false;
		d->scale = (uint32_t)v;
	}
	return p == end;
}

/* Empty ones are rare, and text with a NUL reads as less than it is. */
static bool
is_text(struct lt_slice s)
{
	return s.len != 0 && memchr(s.data, 0, s.len) == NULL;
}

static bool
is_plain_value(struct lt_slice v)
{
	const uint8_t *end = v.data + v.len;
	struct lt_slice bytes;
	Ltpb__Decimal d;
	uint64_t n;

	if (v.len < 2)
		return false;
	switch (v.data[0]) {
	case TEXT:
	case ENUMERATION:
		return last_bytes(v.data + 1, end, &bytes) && is_text(bytes);
	case BYTES:
		return last_bytes(v.data + 1, end, &bytes) && bytes.len != 0;
	case DECIMAL:
		return last_bytes(v.data + 1, end, &bytes) && bytes.len != 0 &&
		       read_decimal(bytes, &d);
	case INTEGER:
	case TIMESTAMP:
		return varint(v.data + 1, end, UINT64_MAX, &n) == end;
	case DATE:
		return varint(v.data + 1, end, UINT32_MAX, &n) == end;
	case BOOLEAN:
		return varint(v.data + 1, end, 1, &n) == end;
	default:
		return false;
	}
}

bool
lt_plain(struct lt_slice field_set, struct lt_slice name, struct lt_slice *value)
{
	const uint8_t *p = field_set.data;

	/* A name's length is one byte. */
	if (name.len == 0 || name.len > LT_NAME_MAX || field_set.len < name.len + 4 ||
	    p[0] != NAME || p[1] != name.len || memcmp(p + 2, name.data, name.len) != 0)
		return false;
	p += 2 + name.len;
	return *p == VALUE && last_bytes(p + 1, field_set.data + field_set.len, value) &&
	       is_plain_value(*value);
}

/* Read a plain value. Bytes are borrowed; of a text *text is set and v->text is not; d is for a decimal. */
static void
read_value(struct lt_slice value, Ltpb__Value *v, Ltpb__Decimal *d, struct lt_slice *text)
{
	const uint8_t *p = value.data + 1, *end = value.data + value.len;
	struct lt_slice bytes = { NULL, 0 };
	uint64_t n = 0;
	int64_t number;

	*text = bytes;
	/* The wire type: bytes or a number. */
	if ((value.data[0] & 7) == 2)
		(void)last_bytes(p, end, &bytes);
	else
		(void)varint(p, end, UINT64_MAX, &n);
	number = (int64_t)(n >> 1 ^ (0 - (n & 1)));
	ltpb__value__init(v);
	switch (value.data[0]) {
	case TEXT:
	case ENUMERATION:
		*text = bytes;
		v->v_case =
		    value.data[0] == TEXT ? LTPB__VALUE__V_TEXT : LTPB__VALUE__V_ENUMERATION;
		break;
	case BYTES:
		v->v_case = LTPB__VALUE__V_BYTES;
		v->bytes.data = (uint8_t *)(uintptr_t)bytes.data;
		v->bytes.len = bytes.len;
		break;
	case DECIMAL:
		(void)read_decimal(bytes, d);
		v->v_case = LTPB__VALUE__V_DECIMAL;
		v->decimal = d;
		break;
	case BOOLEAN:
		v->v_case = LTPB__VALUE__V_BOOLEAN;
		v->boolean = n != 0;
		break;
	case DATE:
		v->v_case = LTPB__VALUE__V_DATE;
		v->date = (int32_t)number;
		break;
	case TIMESTAMP:
		v->v_case = LTPB__VALUE__V_TIMESTAMP;
		v->timestamp = number;
		break;
	default:
		v->v_case = LTPB__VALUE__V_INTEGER;
		v->integer = number;
		break;
	}
}

static void
set_text(Ltpb__Value *v, char *text)
{
	if (v->v_case == LTPB__VALUE__V_TEXT)
		v->text = text;
	else
		v->enumeration = text;
}

int
lt_plain_value(struct lt_slice field_set, struct lt_slice name, struct lt_arena *arena,
    const Ltpb__Value **out)
{
	struct both {
		Ltpb__Value v;
		Ltpb__Decimal d;
	} * b;
	struct lt_slice value, text;
	char *copy;

	if (!lt_plain(field_set, name, &value))
		return LT_E_NOTFOUND;
	b = lt_arena_alloc(arena, sizeof(*b));
	if (b == NULL)
		return LT_E_NOMEM;
	read_value(value, &b->v, &b->d, &text);
	*out = &b->v;
	if (text.len == 0)
		return LT_OK;
	if (!lt_text_valid(text))
		return LT_E_NOTFOUND;
	copy = lt_arena_dup(arena, text.data, text.len);
	set_text(&b->v, copy);
	return copy == NULL ? LT_E_NOMEM : LT_OK;
}

/* Longer than what of a text an index has. */
#define TEXT_READ 128

int
lt_plain_index(struct lt_slice value, uint32_t scale, struct lt_buf *out)
{
	char start[TEXT_READ];
	struct lt_slice text;
	Ltpb__Value v;
	Ltpb__Decimal d;

	read_value(value, &v, &d, &text);
	lt_slice_to_text(start, sizeof(start), text);
	if (text.len != 0)
		set_text(&v, start);
	return lt_value_index(&v, scale, 0, out);
}
