/* proto/rpc/line_key.h - the long-lived secret that a machine has on the line, in one place: guarded memory, shared by
 * whoever shakes hands with it, never copied from there. Any thread. */
#ifndef LT_RPC_LINE_KEY_H
#define LT_RPC_LINE_KEY_H

#include <stdint.h>

#define LT_LINE_KEY_LEN 32

struct lt_line_key; /* counted; lt_line_key_new() */

/* Takes a copy of an X25519 secret into memory that is locked (if the system lets us), walled in and left out of core dumps, and computes its
 * public key, once. NULL: out of memory, or a secret that is none. Costs whole pages: one for a machine, not one for a connection. */
struct lt_line_key *lt_line_key_new(const uint8_t secret[LT_LINE_KEY_LEN]);
struct lt_line_key *lt_line_key_ref(struct lt_line_key *k);
/* The last one zeroes and frees it. NULL allowed. */
void lt_line_key_unref(struct lt_line_key *k);
/* Borrowed for as long as the caller holds k. */
const uint8_t *lt_line_key_secret(const struct lt_line_key *k);
const uint8_t *lt_line_key_public(const struct lt_line_key *k);

#endif
