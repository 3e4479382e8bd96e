/* proto/feed/hash_lanes.h - BLAKE2b in lanes, written once for every width: hash_many.c includes it for each, with
 *
 *   SETS        1, or 2: two sets of lanes by turns, so that one computes while the other waits for its last result
 *   LANES       messages beside each other, in all sets
 *   WIDE        the target attribute
 *   NAME(x)     the name that x has in this width
 *   vec         as many u64 as there are lanes in a set
 *   ROR(x, n)   each turned right by n bits: 32, 24, 16 and 63 are asked for
 *
 * and with NAME(blocks) before it, for the lanes of one set,
 *   static void NAME(blocks)(vec m[16], const struct lane *l);
 *   m[k] becomes word k of the 128 bytes at l[i].at of each message, zeros behind its end.
 *   static void NAME(transpose)(uint64_t (*out)[8], const vec h[8]);
 *   out[i] becomes what lane i has in h.
 */
#ifdef WIDE

/* What is carried on from block to block. */
struct NAME(state) {
	vec h[SETS][8];
	uint64_t t[LANES] __attribute__((aligned(64))); /* bytes so far, the key's block included */
	uint64_t last[LANES] __attribute__((aligned(64))); /* all ones in the last block */
	uint64_t fresh[LANES] __attribute__((aligned(64))); /* all ones in the first one */
	struct lane lane[LANES];
};

/* RFC 7693, 3.1: G, of all messages of a set. */
#define MIX(s, a, b, c, d, x, y) \
	do { \
		v[s][a] += v[s][b] + m[s][x]; \
		v[s][d] = ROR(v[s][d] ^ v[s][a], 32); \
		v[s][c] += v[s][d]; \
		v[s][b] = ROR(v[s][b] ^ v[s][c], 24); \
		v[s][a] += v[s][b] + m[s][y]; \
		v[s][d] = ROR(v[s][d] ^ v[s][a], 16); \
		v[s][c] += v[s][d]; \
		v[s][b] = ROR(v[s][b] ^ v[s][c], 63); \
	} while (0)

#define COLUMNS(s, a, b, c, d, e, f, g, h) \
	do { \
		MIX(s, 0, 4, 8, 12, a, b); \
		MIX(s, 1, 5, 9, 13, c, d); \
		MIX(s, 2, 6, 10, 14, e, f); \
		MIX(s, 3, 7, 11, 15, g, h); \
	} while (0)

#define DIAGONALS(s, a, b, c, d, e, f, g, h) \
	do { \
		MIX(s, 0, 5, 10, 15, a, b); \
		MIX(s, 1, 6, 11, 12, c, d); \
		MIX(s, 2, 7, 8, 13, e, f); \
		MIX(s, 3, 4, 9, 14, g, h); \
	} while (0)

/* With which words of the block: RFC 7693, 2.7. They are constants here, so that the words need not be looked up. */
#if SETS == 2
#define ROUND(a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q) \
	do { \
		COLUMNS(0, a, b, c, d, e, f, g, h); \
		COLUMNS(1, a, b, c, d, e, f, g, h); \
		DIAGONALS(0, i, j, k, l, n, o, p, q); \
		DIAGONALS(1, i, j, k, l, n, o, p, q); \
	} while (0)
#else
#define ROUND(a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q) \
	do { \
		COLUMNS(0, a, b, c, d, e, f, g, h); \
		DIAGONALS(0, i, j, k, l, n, o, p, q); \
	} while (0)
#endif

/* RFC 7693, 3.2: F, of the blocks m. A lane that is fresh begins with `from`. */
WIDE static void
NAME(compress)(struct NAME(state) * s, const struct start *from, const vec m[SETS][16])
{
	const vec *t = (const vec *)(const void *)s->t, *last = (const vec *)(const void *)s->last,
		  *fresh = (const vec *)(const void *)s->fresh, none = { 0 };
	vec v[SETS][16];
	size_t i, k;

	for (k = 0; k < SETS; k++) {
		for (i = 0; i < 8; i++) {
			s->h[k][i] = (s->h[k][i] & ~fresh[k]) | ((none + from->h[i]) & fresh[k]);
			v[k][i] = s->h[k][i];
			v[k][8 + i] = none + iv[i];
		}
		v[k][12] ^= t[k];
		v[k][14] ^= last[k];
	}
	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
	ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
	ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
	ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
	ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
	ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
	ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
	ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
	ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);
	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
	for (k = 0; k < SETS; k++)
		for (i = 0; i < 8; i++)
			s->h[k][i] ^= v[k][i] ^ v[k][8 + i];
}

#undef ROUND
#undef DIAGONALS
#undef COLUMNS
#undef MIX

#define PER_SET (LANES / SETS)

/* The block of the key, hashed into what all begin with. */
WIDE static void
NAME(begin)(struct NAME(state) * s, struct lt_slice key, struct start *from)
{
	const struct lt_hash_job job = { .body = key };
	vec m[SETS][16];
	size_t i;

	memset(s->fresh, 0xff, sizeof(s->fresh));
	for (i = 0; i < LANES; i++) {
		lane_set(&s->lane[i], &job);
		s->t[i] = BLOCK;
	}
	for (i = 0; i < SETS; i++)
		NAME(blocks)(m[i], s->lane + i * PER_SET);
	NAME(compress)(s, from, m);
	for (i = 0; i < 8; i++)
		from->h[i] = s->h[0][i][0];
	from->t = BLOCK;
}

/* Lane i goes one block on. true: that is the last one of its message. */
WIDE static inline bool
NAME(step)(struct NAME(state) * s, size_t i, const struct start *from)
{
	const struct lane *l = &s->lane[i];
	bool last = l->len - l->at <= BLOCK;

	s->fresh[i] = l->at == 0 ? UINT64_MAX : 0;
	s->t[i] = from->t + (last ? l->len : l->at + BLOCK);
	s->last[i] = last ? UINT64_MAX : 0;
	return last;
}

/* Every lane takes the next message as soon as it has done with one, whatever their lengths. */
WIDE static void
NAME(many)(struct lt_slice key, size_t outlen, const struct lt_hash_job *job, size_t n)
{
	static const struct lt_hash_job nothing;
	struct NAME(state) s;
	struct start from;
	unsigned done;
	uint64_t out[LANES][8] __attribute__((aligned(64)));
	vec m[SETS][16];
	size_t i, next = 0, left = n;

	memset(s.h, 0, sizeof(s.h));
	memset(s.last, 0, sizeof(s.last));
	start_init(&from, key.len, outlen);
	if (key.len != 0)
		NAME(begin)(&s, key, &from);
	for (i = 0; i < LANES; i++)
		lane_set(&s.lane[i], next < n ? &job[next++] : &nothing);
	while (left != 0) {
		done = 0;
		for (i = 0; i < LANES; i++)
			done |= (unsigned)NAME(step)(&s, i, &from) << i;
		for (i = 0; i < SETS; i++)
			NAME(blocks)(m[i], s.lane + i * PER_SET);
		NAME(compress)(&s, &from, m);
		for (i = 0; i < LANES; i++)
			s.lane[i].at += BLOCK;
		if (done == 0)
			continue;
		for (i = 0; i < SETS; i++)
			NAME(transpose)(out + i * PER_SET, s.h[i]);
		for (; done != 0; done &= done - 1) {
			struct lane *l;

			i = (size_t)__builtin_ctz(done);
			l = &s.lane[i];
			if (l->out != NULL) {
				memcpy(l->out, out[i],
				    outlen); /* little-endian, as the processor is */
				left--;
			}
			lane_set(l, next < n ? &job[next++] : &nothing);
		}
	}
	/* Salts, and what is not for everybody. */
	if (key.len != 0) {
		sodium_memzero(&s, sizeof(s));
		sodium_memzero(&from, sizeof(from));
		sodium_memzero(m, sizeof(m));
	}
}

#undef PER_SET

#endif
