/* proto/model/digest_expand.h - what a key stands for in a digest (FORMAT.md 5.3), added to it or taken away. Pure; any thread. */
#ifndef LT_MODEL_DIGEST_EXPAND_H
#define LT_MODEL_DIGEST_EXPAND_H

#include "proto/model/digest.h"

/* lanes plus the contribution of key; sub: minus. */
void lt_digest_expand(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub);

/* The same by libsodium, and with AVX-512, for the tests; false: the processor has it not, nothing is done. */
void lt_digest_expand_plain(
    uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub);
bool lt_digest_expand_wide(
    uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub);

#endif
