/* proto/feed/escrow.h - the hub's keys sealed to the federation's root key (FORMAT.md 12.6): whoever has the root words can make the
 * hub again, nobody else. To seal needs no words: the root's public key is enough. Any thread. */
#ifndef LT_FEED_ESCROW_H
#define LT_FEED_ESCROW_H

#include "proto/feed/identity.h"

#define LT_ESCROW_BYTES_MAX ((size_t)16 * 1024)

/* Of a hub with its certificate; appended to out. LT_E_INVALID: no hub's, or without certificate. */
int lt_escrow_seal(const struct lt_identity *id, int64_t now_ms, struct lt_buf *out);
/* Whose it is, without any words. LT_E_INVALID: not an escrow, or damaged; LT_E_VERSION: of a newer program. */
int lt_escrow_federation(struct lt_slice escrow, struct lt_fed *out, struct lt_err *err);
/* The hub's identity, to be freed with lt_identity_free(). words: the 33 of the root.
 * LT_E_DENIED: words of another federation's root; LT_E_INVALID: a word that is none, or the check word does not fit, or the escrow
 * is damaged or not of keys that the root certified; LT_E_VERSION; LT_E_NOMEM. */
int lt_escrow_open(
    struct lt_slice escrow, const char *words, struct lt_identity **out, struct lt_err *err);

#endif
