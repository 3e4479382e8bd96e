#include "proto/feed/hash_many.h"
#include "proto/feed/crypto.h"

#include <assert.h>
#include <string.h>

#define BLOCK 128

void
lt_hash_many_plain(struct lt_slice key, size_t outlen, const struct lt_hash_job *job, size_t n)
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

#define LANES 4

static const uint64_t iv[8] = { UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b),
	UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1),
	UINT64_C(0x9b05688c2b3e6c1f), UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179) };

/* One message on its way. */
struct lane {
	const struct lt_hash_job *job; /* NULL: nothing left to do */
	size_t len; /* of head and body */
	size_t at; /* bytes hashed */
	uint8_t block[BLOCK]; /* where one does not lie in one piece */
};

struct lanes {
	uint64_t h[8][LANES] __attribute__((aligned(32)));
	uint64_t t[LANES] __attribute__((aligned(32))); /* bytes so far, the key's block included */
	uint64_t last[LANES] __attribute__((aligned(32))); /* all ones in the last block */
	const uint8_t *p[LANES]; /* 128 bytes each */
	struct lane lane[LANES];
};

#define WIDE __attribute__((target("avx2")))
#define INLINE WIDE static inline __attribute__((always_inline))

/* RFC 7693, 2.7: which word of the block each half of a mixing takes, in ten rounds; the last two are as the first. */
static const uint8_t sigma[12][16] = {
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
	{ 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
	{ 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
	{ 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
	{ 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
	{ 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
	{ 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
	{ 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
	{ 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
};

/* RFC 7693, 3.1: G, of four messages beside each other. */
INLINE void
mix(__m256i *a, __m256i *b, __m256i *c, __m256i *d, __m256i x, __m256i y)
{
	const __m256i r24 = _mm256_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10,
	    3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10);
	const __m256i r16 = _mm256_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9,
	    2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9);

	*a = _mm256_add_epi64(_mm256_add_epi64(*a, *b), x);
	*d = _mm256_shuffle_epi32(_mm256_xor_si256(*d, *a), _MM_SHUFFLE(2, 3, 0, 1)); /* 32 bits */
	*c = _mm256_add_epi64(*c, *d);
	*b = _mm256_shuffle_epi8(_mm256_xor_si256(*b, *c), r24);
	*a = _mm256_add_epi64(_mm256_add_epi64(*a, *b), y);
	*d = _mm256_shuffle_epi8(_mm256_xor_si256(*d, *a), r16);
	*c = _mm256_add_epi64(*c, *d);
	*b = _mm256_xor_si256(*b, *c);
	*b = _mm256_or_si256(_mm256_srli_epi64(*b, 63), _mm256_add_epi64(*b, *b));
}

/* Words 4q to 4q + 3 of all four blocks. */
INLINE void
load_words(__m256i m[4], const uint8_t *const p[LANES], size_t q)
{
	__m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(p[0] + 32 * q));
	__m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p[1] + 32 * q));
	__m256i c = _mm256_loadu_si256((const __m256i *)(const void *)(p[2] + 32 * q));
	__m256i d = _mm256_loadu_si256((const __m256i *)(const void *)(p[3] + 32 * q));
	__m256i ab0 = _mm256_unpacklo_epi64(a, b), ab1 = _mm256_unpackhi_epi64(a, b);
	__m256i cd0 = _mm256_unpacklo_epi64(c, d), cd1 = _mm256_unpackhi_epi64(c, d);

	m[0] = _mm256_permute2x128_si256(ab0, cd0, 0x20);
	m[1] = _mm256_permute2x128_si256(ab1, cd1, 0x20);
	m[2] = _mm256_permute2x128_si256(ab0, cd0, 0x31);
	m[3] = _mm256_permute2x128_si256(ab1, cd1, 0x31);
}

/* RFC 7693, 3.2: F, of the four blocks at s->p. */
WIDE static void
compress(struct lanes *s)
{
	__m256i *h = (__m256i *)(void *)s->h, v[16], m[16];
	size_t i;

	for (i = 0; i < 4; i++)
		load_words(m + 4 * i, s->p, i);
	for (i = 0; i < 8; i++) {
		v[i] = h[i];
		v[8 + i] = _mm256_set1_epi64x((long long)iv[i]);
	}
	v[12] = _mm256_xor_si256(v[12], *(const __m256i *)(const void *)s->t);
	v[14] = _mm256_xor_si256(v[14], *(const __m256i *)(const void *)s->last);
	for (i = 0; i < 12; i++) {
		const uint8_t *w = sigma[i];

		mix(&v[0], &v[4], &v[8], &v[12], m[w[0]], m[w[1]]);
		mix(&v[1], &v[5], &v[9], &v[13], m[w[2]], m[w[3]]);
		mix(&v[2], &v[6], &v[10], &v[14], m[w[4]], m[w[5]]);
		mix(&v[3], &v[7], &v[11], &v[15], m[w[6]], m[w[7]]);
		mix(&v[0], &v[5], &v[10], &v[15], m[w[8]], m[w[9]]);
		mix(&v[1], &v[6], &v[11], &v[12], m[w[10]], m[w[11]]);
		mix(&v[2], &v[7], &v[8], &v[13], m[w[12]], m[w[13]]);
		mix(&v[3], &v[4], &v[9], &v[14], m[w[14]], m[w[15]]);
	}
	for (i = 0; i < 8; i++)
		h[i] = _mm256_xor_si256(h[i], _mm256_xor_si256(v[i], v[8 + i]));
}

/* The next block of a lane: where it lies, or put together. */
static const uint8_t *
next_block(struct lane *l)
{
	const struct lt_slice *head = &l->job->head, *body = &l->job->body;
	size_t n = l->len - l->at < BLOCK ? l->len - l->at : BLOCK, from_head = 0;

	if (n == BLOCK && l->at >= head->len)
		return body->data + (l->at - head->len);
	if (l->at < head->len) {
		from_head = head->len - l->at < n ? head->len - l->at : n;
		memcpy(l->block, head->data + l->at, from_head);
	}
	if (n > from_head)
		memcpy(l->block + from_head, body->data + (l->at + from_head - head->len),
		    n - from_head);
	memset(l->block + n, 0, BLOCK - n);
	return l->block;
}

/* What every message begins with: the parameters, and the block of the key hashed into them. */
struct start {
	uint64_t h[8];
	uint64_t t;
};

static void
set_lane(struct lanes *s, size_t i, const struct start *from, const struct lt_hash_job *job)
{
	size_t k;

	s->lane[i].job = job;
	s->lane[i].at = 0;
	s->lane[i].len = job == NULL ? 0 : job->head.len + job->body.len;
	/* Else the key's block would be the last one, which the state begun with is not. */
	assert(job == NULL || from->t == 0 || s->lane[i].len != 0);
	s->t[i] = from->t;
	s->last[i] = 0;
	s->p[i] = s->lane[i].block;
	for (k = 0; k < 8; k++)
		s->h[k][i] = from->h[k];
}

static void
begin(struct lanes *s, struct lt_slice key, size_t outlen, struct start *out)
{
	const struct lt_hash_job none = { .out = NULL };
	size_t i, k;

	memcpy(out->h, iv, sizeof(iv));
	out->h[0] ^= UINT64_C(0x01010000) ^ (uint64_t)key.len << 8 ^ outlen;
	out->t = 0;
	if (key.len == 0)
		return;
	for (i = 0; i < LANES; i++) {
		set_lane(s, i, out, &none);
		memcpy(s->lane[i].block, key.data, key.len);
		memset(s->lane[i].block + key.len, 0, BLOCK - key.len);
		s->t[i] = BLOCK;
	}
	compress(s);
	out->t = BLOCK;
	for (k = 0; k < 8; k++)
		out->h[k] = s->h[k][0];
}

/* Little-endian, as the processor is. */
static void
put_out(const struct lanes *s, size_t i, size_t outlen)
{
	uint64_t h[8];
	size_t k;

	for (k = 0; k < 8; k++)
		h[k] = s->h[k][i];
	memcpy(s->lane[i].job->out, h, outlen);
}

/* Every lane takes the next message as soon as it has done with one, whatever their lengths. */
static void
many_wide(struct lt_slice key, size_t outlen, const struct lt_hash_job *job, size_t n)
{
	struct lanes s;
	struct start from;
	size_t i, next, busy;

	memset(&s, 0, sizeof(s));
	begin(&s, key, outlen, &from);
	for (next = 0; next < LANES; next++)
		set_lane(&s, next, &from, next < n ? &job[next] : NULL);
	for (busy = n < LANES ? n : LANES; busy != 0;) {
		for (i = 0; i < LANES; i++) {
			struct lane *l = &s.lane[i];

			if (l->job == NULL)
				continue;
			s.p[i] = next_block(l);
			l->at = l->len - l->at > BLOCK ? l->at + BLOCK : l->len;
			s.t[i] = from.t + l->at;
			s.last[i] = l->at == l->len ? UINT64_MAX : 0;
		}
		compress(&s);
		for (i = 0; i < LANES; i++) {
			if (s.lane[i].job == NULL || s.last[i] == 0)
				continue;
			put_out(&s, i, outlen);
			busy -= next >= n;
			set_lane(&s, i, &from, next < n ? &job[next] : NULL);
			next++;
		}
	}
	/* Salts, and what is not for everybody. */
	sodium_memzero(&s, sizeof(s));
	sodium_memzero(&from, sizeof(from));
}

bool
lt_hash_many_wide(void)
{
	return __builtin_cpu_supports("avx2") != 0;
}

#else

static void
many_wide(struct lt_slice key, size_t outlen, const struct lt_hash_job *job, size_t n)
{
	lt_hash_many_plain(key, outlen, job, n);
}

bool
lt_hash_many_wide(void)
{
	return false;
}

#endif

void
lt_hash_many(struct lt_slice key, size_t outlen, const struct lt_hash_job *job, size_t n)
{
	assert(outlen >= 16 && outlen <= 64);
	assert(key.len == 0 || (key.len >= 16 && key.len <= 64));
	if (n > 1 && lt_hash_many_wide())
		many_wide(key, outlen, job, n);
	else
		lt_hash_many_plain(key, outlen, job, n);
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
