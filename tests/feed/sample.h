/* tests/feed/sample.h - drafts and keys that the feed tests share: a change-set with every kind of value,
 * personal fields, context, a clear and a delete. The same inputs stand in tests/vectors/make_golden.py. */
#ifndef LT_TESTS_FEED_SAMPLE_H
#define LT_TESTS_FEED_SAMPLE_H

#include "proto/feed/changeset.h"

struct sample {
	struct lt_sign_key key;
	struct lt_seal seal;
	struct lt_draft draft[3];
	struct lt_context context[2];
	struct lt_buf bytes; /* sealed */
	struct lt_hash hash;
};

/* 32 bytes b, b + 1, ... */
void sample_fill(uint8_t *out, size_t n, uint8_t first);
/* Key from the seed sample_fill(32, first). */
void sample_key(struct lt_sign_key *k, uint8_t first);
/* Everything set, nothing sealed. */
void sample_init(struct sample *s);
/* Sealed; asserts that it works. */
void sample_seal(struct sample *s);
void sample_fini(struct sample *s);

/* Fields for drafts; each call returns one of a fixed pool of static ones. */
Ltpb__FieldSet *sample_text(const char *name, const char *text);
Ltpb__FieldSet *sample_integer(const char *name, int64_t v);
/* Start over with the pool. */
void sample_pool_reset(void);

/* parse, signature under pk, openings: LT_OK only when all say so. */
int sample_verify(struct lt_slice bytes, const uint8_t pk[32], struct lt_arena *arena,
    struct lt_changeset *cs, struct lt_err *err);

#endif
