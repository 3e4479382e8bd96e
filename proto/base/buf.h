/* proto/base/buf.h - byte slices, a growing byte buffer with a sticky error, and a reader.
 *
 * lt_buf: after the first failure (memory, cap) every further put is a no-op and buf.err stays
 * set; check it once at the end. lt_reader: the same for reading. Not thread safe.
 */
#ifndef LT_BASE_BUF_H
#define LT_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes. */
struct lt_slice {
	const uint8_t *data;
	size_t len;
};

static inline struct lt_slice
lt_slice(const void *data, size_t len)
{
	struct lt_slice s = { (const uint8_t *)data, len };
	return s;
}

struct lt_slice lt_slice_str(const char *s);
/* As text that ends with a NUL, in cap bytes (1 at least) of out; cut to what fits, wherever that is. */
void lt_slice_to_text(char *out, size_t cap, struct lt_slice s);
/* Behind the last byte; NULL of an empty slice without a place: nothing may be added to that. */
static inline const uint8_t *
lt_slice_end(struct lt_slice s)
{
	return s.len == 0 ? s.data : s.data + s.len;
}

/* Order by bytes, a shorter prefix first: <0, 0, >0. */
int lt_slice_cmp(struct lt_slice a, struct lt_slice b);
bool lt_slice_eq(struct lt_slice a, struct lt_slice b);

struct lt_buf {
	uint8_t *data; /* owned */
	size_t len;
	size_t cap;
	size_t max; /* 0: no cap of its own */
	int err; /* sticky: LT_OK, LT_E_NOMEM or LT_E_TOOBIG */
};

/* A zeroed struct is an empty buffer without a cap. */
void lt_buf_init(struct lt_buf *b, size_t max);
void lt_buf_fini(struct lt_buf *b);
void lt_buf_clear(struct lt_buf *b); /* len 0, error kept off, memory kept */
void lt_buf_put(struct lt_buf *b, const void *data, size_t len);
void lt_buf_put_slice(struct lt_buf *b, struct lt_slice s);
void lt_buf_str(struct lt_buf *b, const char *s);
void lt_buf_printf(struct lt_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void lt_buf_u8(struct lt_buf *b, uint8_t v);
void lt_buf_u16(struct lt_buf *b, uint16_t v); /* big-endian, like all here */
void lt_buf_u32(struct lt_buf *b, uint32_t v);
void lt_buf_u64(struct lt_buf *b, uint64_t v);
void lt_buf_varint(struct lt_buf *b, uint64_t v);
void lt_buf_framed(struct lt_buf *b, struct lt_slice s); /* u32 length, bytes */
void lt_buf_framed8(
    struct lt_buf *b, struct lt_slice s); /* u8 length, bytes; longer: LT_E_TOOBIG */
/* Room for len more bytes at data + len of the buffer, or NULL (sticky). Call lt_buf_added(). */
uint8_t *lt_buf_reserve(struct lt_buf *b, size_t len);
void lt_buf_added(struct lt_buf *b, size_t len);
struct lt_slice lt_buf_slice(const struct lt_buf *b);
/* Take the memory out; the buffer is empty afterwards. Caller frees. */
uint8_t *lt_buf_take(struct lt_buf *b, size_t *len);

struct lt_reader {
	const uint8_t *p;
	const uint8_t *end;
	int err; /* sticky: LT_OK or LT_E_INVALID */
};

void lt_reader_init(struct lt_reader *r, struct lt_slice s);
size_t lt_reader_left(const struct lt_reader *r);
uint8_t lt_read_u8(struct lt_reader *r);
uint16_t lt_read_u16(struct lt_reader *r);
uint32_t lt_read_u32(struct lt_reader *r);
uint64_t lt_read_u64(struct lt_reader *r);
uint64_t lt_read_varint(struct lt_reader *r); /* at most 10 bytes, no value above 64 bits */
struct lt_slice lt_read_bytes(struct lt_reader *r, size_t len);
struct lt_slice lt_read_framed(struct lt_reader *r);
struct lt_slice lt_read_framed8(struct lt_reader *r);

void lt_store_u16(uint8_t *p, uint16_t v);
void lt_store_u32(uint8_t *p, uint32_t v);
void lt_store_u64(uint8_t *p, uint64_t v);
/* protobuf's, shortest, at most 10 bytes. Returns where it ends. */
static inline uint8_t *
lt_store_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}
uint16_t lt_load_u16(const uint8_t *p);
uint32_t lt_load_u32(const uint8_t *p);
uint64_t lt_load_u64(const uint8_t *p);

/* Lower-case hex; out holds 2 * len + 1. */
void lt_hex(char *out, const void *data, size_t len);
/* Exactly len bytes from 2 * len hex digits (either case) and nothing after. LT_E_INVALID. */
int lt_unhex(void *out, size_t len, const char *hex);

#endif
