#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lt_slice
lt_slice_str(const char *s)
{
	return lt_slice(s, s == NULL ? 0 : strlen(s));
}

void
lt_slice_to_text(char *out, size_t cap, struct lt_slice s)
{
	size_t n = s.len < cap - 1 ? s.len : cap - 1;

	if (n != 0)
		memcpy(out, s.data, n);
	out[n] = '\0';
}

int
lt_slice_cmp(struct lt_slice a, struct lt_slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n == 0 ? 0 : memcmp(a.data, b.data, n);

	if (c != 0)
		return c;
	return (a.len > b.len) - (a.len < b.len);
}

bool
lt_slice_eq(struct lt_slice a, struct lt_slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

void
lt_buf_init(struct lt_buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void
lt_buf_fini(struct lt_buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

void
lt_buf_clear(struct lt_buf *b)
{
	b->len = 0;
	b->err = LT_OK;
}

uint8_t *
lt_buf_reserve(struct lt_buf *b, size_t len)
{
	size_t want, cap;
	uint8_t *p;

	if (b->err != LT_OK)
		return NULL;
	if (len > SIZE_MAX / 2 - b->len || (b->max != 0 && b->len + len > b->max)) {
		b->err = LT_E_TOOBIG;
		return NULL;
	}
	want = b->len + len;
	if (want > b->cap || b->data == NULL) {
		cap = b->cap < 64 ? 64 : b->cap;
		while (cap < want)
			cap *= 2;
		p = realloc(b->data, cap);
		if (p == NULL) {
			b->err = LT_E_NOMEM;
			return NULL;
		}
		b->data = p;
		b->cap = cap;
	}
	return b->data + b->len;
}

void
lt_buf_added(struct lt_buf *b, size_t len)
{
	assert(b->len + len <= b->cap);
	b->len += len;
}

void
lt_buf_put(struct lt_buf *b, const void *data, size_t len)
{
	uint8_t *p;

	if (len == 0)
		return;
	p = lt_buf_reserve(b, len);
	if (p == NULL)
		return;
	memcpy(p, data, len);
	b->len += len;
}

void
lt_buf_put_slice(struct lt_buf *b, struct lt_slice s)
{
	lt_buf_put(b, s.data, s.len);
}

void
lt_buf_str(struct lt_buf *b, const char *s)
{
	lt_buf_put(b, s, strlen(s));
}

void
lt_buf_printf(struct lt_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;
	uint8_t *p;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->err = LT_E_INVALID;
		return;
	}
	p = lt_buf_reserve(b, (size_t)n + 1);
	if (p == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf((char *)p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
lt_buf_u8(struct lt_buf *b, uint8_t v)
{
	lt_buf_put(b, &v, 1);
}

void
lt_buf_u16(struct lt_buf *b, uint16_t v)
{
	uint8_t p[2];

	lt_store_u16(p, v);
	lt_buf_put(b, p, sizeof(p));
}

void
lt_buf_u32(struct lt_buf *b, uint32_t v)
{
	uint8_t p[4];

	lt_store_u32(p, v);
	lt_buf_put(b, p, sizeof(p));
}

void
lt_buf_u64(struct lt_buf *b, uint64_t v)
{
	uint8_t p[8];

	lt_store_u64(p, v);
	lt_buf_put(b, p, sizeof(p));
}

void
lt_buf_varint(struct lt_buf *b, uint64_t v)
{
	uint8_t p[10];

	lt_buf_put(b, p, (size_t)(lt_store_varint(p, v) - p));
}

void
lt_buf_framed(struct lt_buf *b, struct lt_slice s)
{
	if (s.len > UINT32_MAX) {
		b->err = LT_E_TOOBIG;
		return;
	}
	lt_buf_u32(b, (uint32_t)s.len);
	lt_buf_put_slice(b, s);
}

void
lt_buf_framed8(struct lt_buf *b, struct lt_slice s)
{
	if (s.len > UINT8_MAX) {
		b->err = LT_E_TOOBIG;
		return;
	}
	lt_buf_u8(b, (uint8_t)s.len);
	lt_buf_put_slice(b, s);
}

struct lt_slice
lt_buf_slice(const struct lt_buf *b)
{
	return lt_slice(b->data, b->len);
}

uint8_t *
lt_buf_take(struct lt_buf *b, size_t *len)
{
	uint8_t *p = b->data;

	if (len != NULL)
		*len = b->len;
	b->data = NULL;
	b->len = b->cap = 0;
	return p;
}

void
lt_reader_init(struct lt_reader *r, struct lt_slice s)
{
	r->p = s.data;
	r->end = s.len == 0 ? s.data : s.data + s.len;
	r->err = LT_OK;
}

size_t
lt_reader_left(const struct lt_reader *r)
{
	return r->err != LT_OK || r->p == r->end ? 0 : (size_t)(r->end - r->p);
}

struct lt_slice
lt_read_bytes(struct lt_reader *r, size_t len)
{
	struct lt_slice s = { NULL, 0 };

	if (r->err != LT_OK)
		return s;
	if (len > lt_reader_left(r)) {
		r->err = LT_E_INVALID;
		return s;
	}
	s = lt_slice(r->p, len);
	if (len != 0)
		r->p += len;
	return s;
}

uint8_t
lt_read_u8(struct lt_reader *r)
{
	struct lt_slice s = lt_read_bytes(r, 1);

	return s.len == 1 ? s.data[0] : 0;
}

uint16_t
lt_read_u16(struct lt_reader *r)
{
	struct lt_slice s = lt_read_bytes(r, 2);

	return s.len == 2 ? lt_load_u16(s.data) : 0;
}

uint32_t
lt_read_u32(struct lt_reader *r)
{
	struct lt_slice s = lt_read_bytes(r, 4);

	return s.len == 4 ? lt_load_u32(s.data) : 0;
}

uint64_t
lt_read_u64(struct lt_reader *r)
{
	struct lt_slice s = lt_read_bytes(r, 8);

	return s.len == 8 ? lt_load_u64(s.data) : 0;
}

uint64_t
lt_read_varint(struct lt_reader *r)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t c;

	/* Most are tags and short lengths. */
	if (r->err == LT_OK && r->p != r->end && *r->p < 0x80)
		return *r->p++;
	do {
		c = lt_read_u8(r);
		if (r->err != LT_OK || shift > 63 || (shift == 63 && c > 1)) {
			r->err = LT_E_INVALID;
			return 0;
		}
		v |= (uint64_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c & 0x80);
	return v;
}

struct lt_slice
lt_read_framed(struct lt_reader *r)
{
	uint32_t n = lt_read_u32(r);

	return lt_read_bytes(r, n);
}

struct lt_slice
lt_read_framed8(struct lt_reader *r)
{
	uint8_t n = lt_read_u8(r);

	return lt_read_bytes(r, n);
}

void
lt_store_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void
lt_store_u32(uint8_t *p, uint32_t v)
{
	lt_store_u16(p, (uint16_t)(v >> 16));
	lt_store_u16(p + 2, (uint16_t)v);
}

void
lt_store_u64(uint8_t *p, uint64_t v)
{
	lt_store_u32(p, (uint32_t)(v >> 32));
	lt_store_u32(p + 4, (uint32_t)v);
}

uint16_t
lt_load_u16(const uint8_t *p)
{
	return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

uint32_t
lt_load_u32(const uint8_t *p)
{
	return (uint32_t)lt_load_u16(p) << 16 | lt_load_u16(p + 2);
}

uint64_t
lt_load_u64(const uint8_t *p)
{
	return (uint64_t)lt_load_u32(p) << 32 | lt_load_u32(p + 4);
}

void
lt_hex(char *out, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
lt_unhex(void *out, size_t len, const char *hex)
{
	uint8_t *p = out;
	size_t i;

	if (strlen(hex) != 2 * len)
		return LT_E_INVALID;
	for (i = 0; i < len; i++) {
		int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return LT_E_INVALID;
		p[i] = (uint8_t)(hi << 4 | lo);
	}
	return LT_OK;
}
