/* tests/fuzz/lib/proof.h - proofs by the keys of tests/vectors/golden_proof.py: whose they are, and made right again after a mutation. */
#ifndef LT_TESTS_FUZZ_LIB_PROOF_H
#define LT_TESTS_FUZZ_LIB_PROOF_H

#include "proto/feed/crypto.h"
#include "tests/fuzz/lib/fuzz.h"

enum fuzz_signer { FUZZ_ROOT, FUZZ_HUB_KEY, FUZZ_NODE_KEY, FUZZ_SIGNERS };

const struct lt_sign_key *fuzz_proof_key(enum fuzz_signer who);
/* Bytes of a Proof: indexes, paths, roots, hashes of what came before, what verdicts, receipts and contexts name, and every signature
 * made right, as far as they can be read. What it says stays. Returns the new size; as it was when it does not fit or is no
 * message. */
size_t fuzz_proof_fix(uint8_t *data, size_t size, size_t max_size);

#endif
