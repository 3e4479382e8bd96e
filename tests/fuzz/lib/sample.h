/* tests/fuzz/lib/sample.h - one change-set with every kind of value, personal fields, contexts, a clear and a delete. */
#ifndef LT_TESTS_FUZZ_LIB_SAMPLE_H
#define LT_TESTS_FUZZ_LIB_SAMPLE_H

#include "proto/feed/changeset.h"
#include "tests/fuzz/lib/fuzz.h"

struct fuzz_sample {
	struct lt_buf bytes;
	struct lt_arena arena;
	struct lt_changeset cs; /* of the bytes, in the arena */
};

/* Sealed with fuzz_sign_key(), seq 1 of a feed, with openings by a seed. The same in each run. */
void fuzz_sample(struct fuzz_sample *s);
void fuzz_sample_free(struct fuzz_sample *s);

#endif
