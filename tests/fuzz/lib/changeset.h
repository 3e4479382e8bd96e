/* tests/fuzz/lib/changeset.h - change-sets that pass the signature: made, or mended after a mutation. */
#ifndef LT_TESTS_FUZZ_LIB_CHANGESET_H
#define LT_TESTS_FUZZ_LIB_CHANGESET_H

#include "proto/feed/changeset.h"
#include "tests/fuzz/lib/fuzz.h"

/* The author's key of all that the targets sign. */
void fuzz_sign_key(struct lt_sign_key *k);
/* Bytes of a ChangeSet in place: roots of personal fields, count and root of the changes, and the signature made right, as far
 * as it can be read. Returns the new size; as it was when it does not fit or is no message. */
size_t fuzz_changeset_fix(uint8_t *data, size_t size, size_t max_size);
/* The same, signed with another key. */
size_t fuzz_changeset_fix_with(
    const struct lt_sign_key *key, uint8_t *data, size_t size, size_t max_size);

#endif
