/* proto/base/wire_read.h - the fields of a message one after the other, for who reads a message of the schema by hand. Inline; pure;
 * any thread.
 *
 * Two kinds of readers use it. Who reads bytes that the walker (wire.h) has passed, or that this machine keeps, takes
 * lt_wire_step(): it accepts what the walker accepts. Who reads a stranger's bytes takes lt_plain_step(), which accepts only what
 * every encoder writes, numbers in their shortest form and field numbers up to 15, and leaves the rest to the walker:
 * whatever is odd gets its answer and its words there.
 */
#ifndef LT_BASE_WIRE_READ_H
#define LT_BASE_WIRE_READ_H

#include "proto/base/buf.h"

#include <stdbool.h>

enum lt_wire_type { LT_WIRE_VARINT = 0, LT_WIRE_64 = 1, LT_WIRE_BYTES = 2, LT_WIRE_32 = 5 };

/* A tag of one byte. */
#define LT_WIRE_TAG(number, type) ((number) << 3 | (type))

struct lt_wire_item {
	uint32_t number;
	enum lt_wire_type type;
	uint64_t value; /* of LT_WIRE_VARINT; 0 otherwise */
	struct lt_slice bytes; /* of LT_WIRE_BYTES; empty otherwise */
};

/* Nearly all are of one byte. */
static inline uint64_t
lt_wire_varint(struct lt_reader *r)
{
	return r->p != r->end && *r->p < 0x80 && r->err == LT_OK ? *r->p++ : lt_read_varint(r);
}

/* The next field. False at the end or when malformed (r->err tells them apart). */
static inline bool
lt_wire_step(struct lt_reader *r, struct lt_wire_item *f)
{
	uint64_t tag, len;

	if (r->err != LT_OK || r->p == r->end)
		return false;
	tag = lt_wire_varint(r);
	f->number = (uint32_t)(tag >> 3);
	f->type = (enum lt_wire_type)(tag & 7);
	f->value = 0;
	f->bytes = lt_slice(NULL, 0);
	switch (tag & 7) {
	case LT_WIRE_VARINT:
		f->value = lt_wire_varint(r);
		break;
	case LT_WIRE_64:
		(void)lt_read_bytes(r, 8);
		break;
	case LT_WIRE_32:
		(void)lt_read_bytes(r, 4);
		break;
	case LT_WIRE_BYTES:
		len = lt_wire_varint(r);
		if (r->err == LT_OK && len > (size_t)(r->end - r->p))
			r->err = LT_E_INVALID;
		if (r->err != LT_OK)
			break;
		f->bytes = lt_slice(r->p, (size_t)len);
		r->p += len;
		break;
	default:
		r->err = LT_E_INVALID;
	}
	return r->err == LT_OK;
}

/* A field as every encoder writes it. */
struct lt_plain_item {
	unsigned tag; /* number and wire type: LT_WIRE_TAG() */
	uint64_t value; /* of LT_WIRE_VARINT and LT_WIRE_64; 0 otherwise */
	struct lt_slice bytes; /* of LT_WIRE_BYTES; empty otherwise */
};

/* A number in its shortest form; false: it is not, or is cut off. */
static inline bool
lt_plain_varint(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
	const uint8_t *q = *p;
	unsigned shift;

	if (q == end)
		return false;
	*v = *q & 0x7f;
	for (shift = 7; *q >= 0x80; shift += 7) {
		if (++q == end || shift > 63 || *q == 0 || (shift == 63 && *q > 1))
			return false;
		*v |= (uint64_t)(*q & 0x7f) << shift;
	}
	*p = q + 1;
	return true;
}

/* Notes in *seen that a field with this tag stood there; false: one of its number did before, and of those the walker says which
 * counts. */
static inline bool
lt_plain_once(unsigned *seen, unsigned tag)
{
	unsigned bit = 1u << (tag >> 3);
	bool first = (*seen & bit) == 0;

	*seen |= bit;
	return first;
}

/* The next field at *p, which is before end; false: it is not of the plain form, *p is anywhere. Only a well-formed field is of it.
 * Some 80 times a change, and what is done with the field depends on its tag: apart from the caller it would be asked twice. */
static inline __attribute__((always_inline)) bool
lt_plain_step(const uint8_t **p, const uint8_t *end, struct lt_plain_item *f)
{
	const uint8_t *q = *p;
	unsigned tag = *q++;
	uint64_t len;

	f->tag = tag;
	f->value = 0;
	f->bytes = lt_slice(NULL, 0);
	if (tag < 8 || tag >= 0x80)
		return false;
	switch (tag & 7) {
	case LT_WIRE_BYTES:
		if (q != end && *q < 0x80)
			len = *q++;
		else if (!lt_plain_varint(&q, end, &len))
			return false;
		if (len > (size_t)(end - q))
			return false;
		f->bytes = lt_slice(q, (size_t)len);
		*p = q + len;
		return true;
	case LT_WIRE_VARINT:
		*p = q;
		return lt_plain_varint(p, end, &f->value);
	case LT_WIRE_64:
		if (end - q < 8)
			return false;
		for (len = 8; len > 0; len--)
			f->value = f->value << 8 | q[len - 1];
		*p = q + 8;
		return true;
	default:
		return false;
	}
}

#endif
