#include "tests/fuzz/lib/fuzz.h"

#include "proto/base/file.h"
#include "proto/base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fuzz_rng numbers;
int64_t fuzz_clock_ms;

static int64_t
clock_now(void *ctx)
{
	(void)ctx;
	return fuzz_clock_ms;
}

const struct lt_clock fuzz_clock = { clock_now, clock_now, NULL };

void
fuzz_broken(const char *what, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* ---- numbers ---- */

/* splitmix64 */
uint64_t
fuzz_next(struct fuzz_rng *r)
{
	uint64_t z = (r->s += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

size_t
fuzz_below(struct fuzz_rng *r, size_t n)
{
	return n == 0 ? 0 : (size_t)(fuzz_next(r) % n);
}

static const char *
numbers_name(void)
{
	return "fuzz";
}

static uint32_t
numbers_u32(void)
{
	return (uint32_t)fuzz_next(&numbers);
}

static void
numbers_buf(void *const buf, const size_t size)
{
	uint8_t *p = buf;
	size_t i;

	for (i = 0; i < size; i++)
		p[i] = (uint8_t)fuzz_next(&numbers);
}

void
fuzz_reseed(uint64_t seed)
{
	numbers.s = seed;
}

void
fuzz_setup(void)
{
	static struct randombytes_implementation ours = {
		.implementation_name = numbers_name,
		.random = numbers_u32,
		.buf = numbers_buf,
	};

	if (randombytes_set_implementation(&ours) != 0 || sodium_init() < 0)
		fuzz_broken("libsodium starts", __FILE__, __LINE__);
	lt_log_level_set(LT_LOG_ERROR);
}

/* ---- memory ---- */

void
fuzz_arena_init(struct lt_arena *a, size_t len)
{
	lt_arena_init(a, lt_arena_cap_for(len));
}

void
fuzz_arena_fini(struct lt_arena *a)
{
	FUZZ_MUST(a->used <= a->cap);
	lt_arena_fini(a);
}

/* ---- the fuzzer's bytes ---- */

void
fuzz_in_init(struct fuzz_in *in, const uint8_t *data, size_t size)
{
	static const uint8_t none[1];

	in->p = size == 0 ? none : data;
	in->end = in->p + size;
}

size_t
fuzz_left(const struct fuzz_in *in)
{
	return (size_t)(in->end - in->p);
}

uint8_t
fuzz_u8(struct fuzz_in *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

uint16_t
fuzz_u16(struct fuzz_in *in)
{
	unsigned hi = fuzz_u8(in);

	return (uint16_t)(hi << 8 | fuzz_u8(in));
}

uint32_t
fuzz_u32(struct fuzz_in *in)
{
	uint32_t hi = fuzz_u16(in);

	return hi << 16 | fuzz_u16(in);
}

uint64_t
fuzz_u64(struct fuzz_in *in)
{
	uint64_t hi = fuzz_u32(in);

	return hi << 32 | fuzz_u32(in);
}

struct lt_slice
fuzz_bytes(struct fuzz_in *in, size_t n)
{
	struct lt_slice s = lt_slice(in->p, n < fuzz_left(in) ? n : fuzz_left(in));

	in->p += s.len;
	return s;
}

struct lt_slice
fuzz_block(struct fuzz_in *in)
{
	size_t n = fuzz_u16(in);

	return fuzz_bytes(in, n);
}

struct lt_slice
fuzz_rest(struct fuzz_in *in)
{
	return fuzz_bytes(in, fuzz_left(in));
}

uint8_t *
fuzz_copy(struct lt_slice s)
{
	uint8_t *p = malloc(s.len == 0 ? 1 : s.len);

	FUZZ_MUST(p != NULL);
	if (s.len != 0)
		memcpy(p, s.data, s.len);
	return p;
}

char *
fuzz_text(struct lt_slice s)
{
	char *p = calloc(1, s.len + 1);

	FUZZ_MUST(p != NULL);
	if (s.len != 0)
		memcpy(p, s.data, s.len);
	return p;
}

struct lt_buf
fuzz_file(const char *path)
{
	struct lt_buf b = { 0 };
	char full[4096];

	(void)snprintf(full, sizeof(full), "%s/%s", LT_SOURCE_DIR, path);
	if (lt_file_read(full, (size_t)16 * 1024 * 1024, &b, NULL) != LT_OK) {
		(void)fprintf(stderr, "cannot read %s\n", full);
		exit(3);
	}
	return b;
}
