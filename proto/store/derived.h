/* proto/store/derived.h - a hub's derived tables as what they tell of its log (FORMAT.md 9.3, table cursor; 12.7). */
#ifndef LT_STORE_DERIVED_H
#define LT_STORE_DERIVED_H

#include "proto/store/kv.h"

/* incarnation 16 || u64 position || hash 32 || u32 merge version || u64 catalogue version */
#define LT_DERIVED_CURSOR "projector"
#define LT_DERIVED_CURSOR_LEN (16 + 8 + 32 + 4 + 8)

/* Were the tables made of this very log when it reached further, or of another continuation of it? Then the log was put back by hand, or its
 * disk lost what it had acknowledged, and the tables are the only witness at the hub: they must not go before it is marked. What is damaged
 * tells nothing. sign: the same for tables that tell the same. */
#define LT_DERIVED_SIGN_LEN 16
int lt_derived_ahead(
    struct lt_kv *log, struct lt_kv *derived, bool *ahead, uint8_t sign[LT_DERIVED_SIGN_LEN]);
/* Are their rows those of another merge version, or is that not known? Then nothing is to be answered from them. */
int lt_derived_other_version(struct lt_kv *derived, bool *other);

#endif
