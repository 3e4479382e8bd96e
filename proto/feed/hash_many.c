#include "proto/feed/hash_many.h"
#include "proto/feed/crypto.h"

#include <assert.h>
#include <string.h>

#define BLOCK 128

static void
many_plain(struct lt_slice key, size_t outlen, const struct lt_hash_job *job, size_t n)
{
	crypto_generichash_state begun, st;
	size_t i;

	/* The block of the key is the same for all. */
	(void)crypto_generichash_init(&begun, key.len == 0 ? NULL : key.data, key.len, outlen);
	for (i = 0; i < n; i++) {
		st = begun;
		if (job[i].head.len != 0)
			(void)crypto_generichash_update(&st, job[i].head.data, job[i].head.len);
		if (job[i].body.len != 0)
			(void)crypto_generichash_update(&st, job[i].body.data, job[i].body.len);
		(void)crypto_generichash_final(&st, job[i].out, outlen);
	}
	sodium_memzero(&begun, sizeof(begun));
	sodium_memzero(&st, sizeof(st));
}

#if defined(__x86_64__)

#include <immintrin.h>

static const uint64_t iv[8] = { UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b),
	UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1),
	UINT64_C(0x9b05688c2b3e6c1f), UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179) };

/* What every message begins with: the parameters, and the block of the key hashed into them. */
struct start {
	uint64_t h[8];
	uint64_t t;
};

static void
start_init(struct start *s, size_t keylen, size_t outlen)
{
	memcpy(s->h, iv, sizeof(iv));
	s->h[0] ^= UINT64_C(0x01010000) ^ (uint64_t)keylen << 8 ^ outlen;
	s->t = 0;
}

/* One message on its way. Neither piece is NULL: what is empty points to something that may be read. */
struct lane {
	const uint8_t *head, *body;
	size_t head_len, len; /* len: of both */
	size_t at; /* bytes hashed */
	uint8_t *out; /* NULL: nothing left to do */
};

static const uint8_t zeros[BLOCK];

static inline void
lane_set(struct lane *l, const struct lt_hash_job *job)
{
	l->head = job->head.len == 0 ? zeros : job->head.data;
	l->body = job->body.len == 0 ? zeros : job->body.data;
	l->head_len = job->head.len;
	l->len = job->head.len + job->body.len;
	l->at = 0;
	l->out = job->out;
}

/* ---- AVX2: 4 lanes ---- */

#define WIDE __attribute__((target("avx2")))
#define NAME(x) x##_4
#define SETS 1
#define LANES 4
#define vec vec_4
typedef uint64_t vec_4 __attribute__((vector_size(32)));

/* Rows of four words to columns. */
WIDE static inline void
turn_4(vec out[4], const __m256i in[4])
{
	__m256i ab0 = _mm256_unpacklo_epi64(in[0], in[1]),
		ab1 = _mm256_unpackhi_epi64(in[0], in[1]);
	__m256i cd0 = _mm256_unpacklo_epi64(in[2], in[3]),
		cd1 = _mm256_unpackhi_epi64(in[2], in[3]);

	out[0] = (vec)_mm256_permute2x128_si256(ab0, cd0, 0x20);
	out[1] = (vec)_mm256_permute2x128_si256(ab1, cd1, 0x20);
	out[2] = (vec)_mm256_permute2x128_si256(ab0, cd0, 0x31);
	out[3] = (vec)_mm256_permute2x128_si256(ab1, cd1, 0x31);
}

/* The next block of a lane: where it lies, or put together. */
static const uint8_t *
next_block(const struct lane *l, uint8_t block[BLOCK])
{
	size_t n = l->len - l->at < BLOCK ? l->len - l->at : BLOCK, from_head = 0;

	if (n == BLOCK && l->at >= l->head_len)
		return l->body + (l->at - l->head_len);
	memset(block, 0, BLOCK);
	if (l->at < l->head_len) {
		from_head = l->head_len - l->at < n ? l->head_len - l->at : n;
		memcpy(block, l->head + l->at, from_head);
	}
	if (n > from_head)
		memcpy(
		    block + from_head, l->body + (l->at + from_head - l->head_len), n - from_head);
	return block;
}

WIDE static void
blocks_4(vec m[16], const struct lane *l)
{
	uint8_t own[LANES][BLOCK] __attribute__((aligned(32)));
	const uint8_t *p[LANES];
	__m256i row[LANES];
	size_t i, q;

	for (i = 0; i < LANES; i++)
		p[i] = next_block(&l[i], own[i]);
	for (q = 0; q < 4; q++) {
		for (i = 0; i < LANES; i++)
			row[i] = _mm256_loadu_si256((const __m256i *)(const void *)(p[i] + 32 * q));
		turn_4(m + 4 * q, row);
	}
}

WIDE static inline void
transpose_4(uint64_t (*out)[8], const vec h[8])
{
	vec low[4], high[4];
	size_t i;

	turn_4(low, (const __m256i *)(const void *)h);
	turn_4(high, (const __m256i *)(const void *)(h + 4));
	for (i = 0; i < LANES; i++) {
		memcpy(out[i], &low[i], sizeof(low[i]));
		memcpy(out[i] + 4, &high[i], sizeof(high[i]));
	}
}

/* Whole bytes go by a shuffle, one bit by adding it to itself. */
#define BYTES_3 \
	_mm256_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10, 3, 4, 5, 6, 7, 0, \
	    1, 2, 11, 12, 13, 14, 15, 8, 9, 10)
#define BYTES_2 \
	_mm256_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9, 2, 3, 4, 5, 6, 7, \
	    0, 1, 10, 11, 12, 13, 14, 15, 8, 9)
#define ROR_32(x) (vec) _mm256_shuffle_epi32((__m256i)(x), _MM_SHUFFLE(2, 3, 0, 1))
#define ROR_24(x) (vec) _mm256_shuffle_epi8((__m256i)(x), BYTES_3)
#define ROR_16(x) (vec) _mm256_shuffle_epi8((__m256i)(x), BYTES_2)
#define ROR_63(x) (((x) >> 63) | ((x) + (x)))
#define ROR(x, n) ROR_##n(x)

#include "proto/feed/hash_lanes.h"

#undef ROR
#undef vec
#undef LANES
#undef SETS
#undef NAME
#undef WIDE

/* ---- AVX-512: 8 lanes, and 32 registers, which is what a round has ---- */

#define WIDE __attribute__((target("avx2,bmi2,avx512f,avx512vl,avx512bw")))
#define NAME(x) x##_8
#define SETS 1
#define LANES 8
#define vec vec_8
typedef uint64_t vec_8 __attribute__((vector_size(64)));

/* Rows of eight words to columns. */
#define LOW(a, b) _mm512_unpacklo_epi64(a, b)
#define HIGH(a, b) _mm512_unpackhi_epi64(a, b)
#define EVEN(a, b) _mm512_shuffle_i64x2(a, b, 0x88)
#define ODD(a, b) _mm512_shuffle_i64x2(a, b, 0xdd)
WIDE static inline void
turn_8(vec out[8], const __m512i in[8])
{
	__m512i a0 = LOW(in[0], in[1]), a1 = LOW(in[2], in[3]), a2 = LOW(in[4], in[5]);
	__m512i a3 = LOW(in[6], in[7]), b0 = HIGH(in[0], in[1]), b1 = HIGH(in[2], in[3]);
	__m512i b2 = HIGH(in[4], in[5]), b3 = HIGH(in[6], in[7]);
	__m512i ae = EVEN(a0, a1), ao = ODD(a0, a1), af = EVEN(a2, a3), ap = ODD(a2, a3);
	__m512i be = EVEN(b0, b1), bo = ODD(b0, b1), bf = EVEN(b2, b3), bp = ODD(b2, b3);

	out[0] = (vec)EVEN(ae, af);
	out[1] = (vec)EVEN(be, bf);
	out[2] = (vec)EVEN(ao, ap);
	out[3] = (vec)EVEN(bo, bp);
	out[4] = (vec)ODD(ae, af);
	out[5] = (vec)ODD(be, bf);
	out[6] = (vec)ODD(ao, ap);
	out[7] = (vec)ODD(bo, bp);
}

/* The first n bytes of 64. */
WIDE static inline __mmask64
first(size_t n)
{
	return _bzhi_u64(UINT64_MAX, n < 64 ? (unsigned)n : 64);
}

/* 64 bytes of the message from `at` on, zeros behind its end. What the masks leave out is not read. */
WIDE static inline __m512i
piece(const struct lane *l, size_t at)
{
	__mmask64 all = first(l->len > at ? l->len - at : 0), head;
	__m512i x;

	if (at >= l->head_len)
		return _mm512_maskz_loadu_epi8(
		    all, all == 0 ? zeros : l->body + (at - l->head_len));
	head = first(l->head_len - at);
	x = _mm512_maskz_loadu_epi8(head, l->head + at);
	if (head == all)
		return x;
	/* The body begins within: as if it stood so far before. */
	return _mm512_mask_loadu_epi8(
	    x, all & ~head, (const void *)((uintptr_t)l->body - (uintptr_t)(l->head_len - at)));
}

WIDE static inline void
blocks_8(vec m[16], const struct lane *l)
{
	__m512i row[2][8];
	size_t i;

	for (i = 0; i < 8; i++, l++) {
		const uint8_t *whole;

		if (l->at >= l->head_len && l->len - l->at >= BLOCK) {
			whole = l->body + (l->at - l->head_len);
			row[0][i] = _mm512_loadu_si512(whole);
			row[1][i] = _mm512_loadu_si512(whole + 64);
			continue;
		}
		row[0][i] = piece(l, l->at);
		row[1][i] = piece(l, l->at + 64);
	}
	turn_8(m, row[0]);
	turn_8(m + 8, row[1]);
}

WIDE static inline void
transpose_8(uint64_t (*out)[8], const vec h[8])
{
	turn_8((vec *)(void *)out, (const __m512i *)(const void *)h);
}

#define ROR(x, n) (vec) _mm512_ror_epi64((__m512i)(x), n)

#include "proto/feed/hash_lanes.h"

/* Twice that, where there are so many messages. */
#undef LANES
#undef SETS
#undef NAME
#define NAME(x) x##_16
#define SETS 2
#define LANES 16
#define blocks_16 blocks_8
#define transpose_16 transpose_8

#include "proto/feed/hash_lanes.h"

#undef ROR
#undef vec
#undef LANES
#undef SETS
#undef NAME
#undef WIDE

bool
lt_hash_form_there(enum lt_hash_form form)
{
	if (form >= LT_HASH_AVX512)
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
		       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2");
	return form == LT_HASH_PLAIN || __builtin_cpu_supports("avx2");
}

void
lt_hash_many_as(enum lt_hash_form form, struct lt_slice key, size_t outlen,
    const struct lt_hash_job *job, size_t n)
{
	if (form == LT_HASH_AVX512_TWICE)
		many_16(key, outlen, job, n);
	else if (form == LT_HASH_AVX512)
		many_8(key, outlen, job, n);
	else if (form == LT_HASH_AVX2)
		many_4(key, outlen, job, n);
	else
		many_plain(key, outlen, job, n);
}

#else

bool
lt_hash_form_there(enum lt_hash_form form)
{
	return form == LT_HASH_PLAIN;
}

void
lt_hash_many_as(enum lt_hash_form form, struct lt_slice key, size_t outlen,
    const struct lt_hash_job *job, size_t n)
{
	(void)form;
	many_plain(key, outlen, job, n);
}

#endif

/* One message alone is done sooner without lanes. */
static enum lt_hash_form
best_form(size_t n)
{
	if (n <= 1)
		return LT_HASH_PLAIN;
	if (lt_hash_form_there(LT_HASH_AVX512))
		return n <= 8 ? LT_HASH_AVX512 : LT_HASH_AVX512_TWICE;
	return lt_hash_form_there(LT_HASH_AVX2) ? LT_HASH_AVX2 : LT_HASH_PLAIN;
}

void
lt_hash_many(struct lt_slice key, size_t outlen, const struct lt_hash_job *job, size_t n)
{
	size_t i;

	assert(outlen >= 16 && outlen <= 64);
	assert(key.len == 0 || (key.len >= 16 && key.len <= 64));
	/* The key's block would be the last one, which the state begun with is not. */
	for (i = 0; key.len != 0 && i < n; i++)
		assert(job[i].head.len + job[i].body.len != 0);
	lt_hash_many_as(best_form(n), key, outlen, job, n);
}

/* One level up: neighbours joined, an odd one at a tree's end goes up as it is. That is the tree of FORMAT.md 1.5, seen from
 * its leaves. */
static size_t
join_level(const struct lt_hash *h, uint32_t *size, size_t ntree, struct lt_hash *up, size_t *total)
{
	static const char head[] = "\x08" LT_TAG_NODE;
	struct lt_hash_job job[LT_MERKLE_MANY_MAX / 2];
	size_t i, k, n = 0, at = 0, open = 0;

	_Static_assert(sizeof(head) - 2 == 8, "the length of the tag");
	*total = 0;
	for (i = 0; i < ntree; at += size[i], size[i] = (size[i] + 1) / 2, i++) {
		for (k = 0; k + 1 < size[i]; k += 2) {
			job[n].head = lt_slice(head, sizeof(head) - 1);
			job[n].body = lt_slice(h[at + k].b, 2 * LT_HASH_LEN);
			job[n++].out = up[(*total)++].b;
		}
		if (k < size[i])
			up[(*total)++] = h[at + k];
		open += size[i] > 2;
	}
	lt_hash_many(lt_slice(NULL, 0), LT_HASH_LEN, job, n);
	return open;
}

void
lt_merkle_many(struct lt_hash *h, uint32_t *size, size_t ntree)
{
	struct lt_hash other[LT_MERKLE_MANY_MAX], *from = h, *to = other, *swap;
	size_t i, total = 0, open;

	for (i = 0, open = 0; i < ntree; i++) {
		assert(size[i] != 0);
		total += size[i];
		open += size[i] > 1;
	}
	assert(total <= LT_MERKLE_MANY_MAX);
	while (open != 0) {
		open = join_level(from, size, ntree, to, &total);
		swap = from;
		from = to;
		to = swap;
	}
	if (from != h)
		memcpy(h, from, ntree * sizeof(*h));
}
