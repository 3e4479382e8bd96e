/* All 32 blocks of a contribution at once where the processor has AVX-512: every record that changes is expanded once or twice,
 * and by libsodium that was a fifth of what the thread which writes did. */
#include "proto/model/digest_expand.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>

void
lt_digest_expand_plain(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub)
{
	static const uint8_t nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
	uint16_t x[LT_DIGEST_LANES], sign = sub ? UINT16_MAX : 1;
	size_t i;

	_Static_assert(
	    sizeof(key->b) == crypto_stream_chacha20_ietf_KEYBYTES, "the hash is the key");
	(void)crypto_stream_chacha20_ietf((uint8_t *)x, sizeof(x), nonce, key->b);
	for (i = 0; i < LT_DIGEST_LANES; i++)
		lanes[i] = (uint16_t)(lanes[i] + (unsigned)sign * le16toh(x[i]));
}

#if defined(__x86_64__)

#include <immintrin.h>

#define WIDE __attribute__((target("avx2,avx512f,avx512bw")))
#define BLOCKS \
	16 /* beside each other; two sets by turns, so that one computes while the other waits */

typedef uint32_t words __attribute__((vector_size(64))); /* one of each block */
typedef uint16_t halves __attribute__((vector_size(64)));

#define ROL(x, n) (words) _mm512_rol_epi32((__m512i)(x), n)
/* RFC 8439, 2.1. */
#define QUARTER(s, a, b, c, d) \
	do { \
		v[s][a] += v[s][b]; \
		v[s][d] = ROL(v[s][d] ^ v[s][a], 16); \
		v[s][c] += v[s][d]; \
		v[s][b] = ROL(v[s][b] ^ v[s][c], 12); \
		v[s][a] += v[s][b]; \
		v[s][d] = ROL(v[s][d] ^ v[s][a], 8); \
		v[s][c] += v[s][d]; \
		v[s][b] = ROL(v[s][b] ^ v[s][c], 7); \
	} while (0)
#define COLUMNS(s) \
	do { \
		QUARTER(s, 0, 4, 8, 12); \
		QUARTER(s, 1, 5, 9, 13); \
		QUARTER(s, 2, 6, 10, 14); \
		QUARTER(s, 3, 7, 11, 15); \
	} while (0)
#define DIAGONALS(s) \
	do { \
		QUARTER(s, 0, 5, 10, 15); \
		QUARTER(s, 1, 6, 11, 12); \
		QUARTER(s, 2, 7, 8, 13); \
		QUARTER(s, 3, 4, 9, 14); \
	} while (0)

/* Of four rows of words: in 128 bits L of out[j], the four words of block 4L + j. */
WIDE static inline void
turn_four(__m512i out[4], const words in[4])
{
	__m512i a = (__m512i)in[0], b = (__m512i)in[1], c = (__m512i)in[2], d = (__m512i)in[3];
	__m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
	__m512i ba = _mm512_unpackhi_epi32(a, b), dc = _mm512_unpackhi_epi32(c, d);

	out[0] = _mm512_unpacklo_epi64(ab, cd);
	out[1] = _mm512_unpackhi_epi64(ab, cd);
	out[2] = _mm512_unpacklo_epi64(ba, dc);
	out[3] = _mm512_unpackhi_epi64(ba, dc);
}

WIDE static inline void
add_block(uint16_t *lanes, __m512i block, bool sub)
{
	halves x;

	memcpy(&x, lanes, sizeof(x));
	x = sub ? x - (halves)block : x + (halves)block;
	memcpy(lanes, &x, sizeof(x));
}

/* The words of 16 blocks, block by block, to the lanes. */
WIDE static void
add_blocks(uint16_t *lanes, const words v[16], bool sub)
{
	__m512i q[4][4];
	size_t i, j;

	for (i = 0; i < 4; i++)
		turn_four(q[i], v + 4 * i);
	for (j = 0; j < 4; j++, lanes += 32) {
		__m512i even = _mm512_shuffle_i32x4(q[0][j], q[1][j], 0x88);
		__m512i odd = _mm512_shuffle_i32x4(q[0][j], q[1][j], 0xdd);
		__m512i even2 = _mm512_shuffle_i32x4(q[2][j], q[3][j], 0x88);
		__m512i odd2 = _mm512_shuffle_i32x4(q[2][j], q[3][j], 0xdd);

		add_block(lanes, _mm512_shuffle_i32x4(even, even2, 0x88), sub);
		add_block(lanes + 4 * 32, _mm512_shuffle_i32x4(odd, odd2, 0x88), sub);
		add_block(lanes + 8 * 32, _mm512_shuffle_i32x4(even, even2, 0xdd), sub);
		add_block(lanes + 12 * 32, _mm512_shuffle_i32x4(odd, odd2, 0xdd), sub);
	}
}

/* RFC 8439, 2.3: constants, key, counter, nonce. */
WIDE static inline void
begin(words v[2][16], const uint32_t key[8])
{
	static const uint32_t constant[4] = { UINT32_C(0x61707865), UINT32_C(0x3320646e),
		UINT32_C(0x79622d32), UINT32_C(0x6b206574) };
	const words none = { 0 }, count = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	size_t s, i;

	for (s = 0; s < 2; s++) {
		for (i = 0; i < 4; i++)
			v[s][i] = none + constant[i];
		for (i = 0; i < 8; i++)
			v[s][4 + i] = none + key[i];
		v[s][12] = count + (uint32_t)(BLOCKS * s);
		v[s][13] = v[s][14] = v[s][15] = none;
	}
}

WIDE static void
add_wide(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub)
{
	uint32_t k[8];
	words v[2][16], first[2][16];
	size_t s, i;

	_Static_assert(2 * BLOCKS * 64 == LT_DIGEST_BYTES, "both sets are all of it");
	memcpy(k, key->b, sizeof(k)); /* little-endian, as the processor is */
	begin(first, k);
	memcpy(v, first, sizeof(v));
	for (i = 0; i < 10; i++) {
		COLUMNS(0);
		COLUMNS(1);
		DIAGONALS(0);
		DIAGONALS(1);
	}
	for (s = 0; s < 2; s++) {
		for (i = 0; i < 16; i++)
			v[s][i] += first[s][i];
		add_blocks(lanes + s * LT_DIGEST_LANES / 2, v[s], sub);
	}
}

bool
lt_digest_expand_wide(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub)
{
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
		return false;
	add_wide(lanes, key, sub);
	return true;
}

#else

bool
lt_digest_expand_wide(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub)
{
	(void)lanes;
	(void)key;
	(void)sub;
	return false;
}

#endif

void
lt_digest_expand(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub)
{
	if (!lt_digest_expand_wide(lanes, key, sub))
		lt_digest_expand_plain(lanes, key, sub);
}
