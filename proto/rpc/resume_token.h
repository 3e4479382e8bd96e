/* proto/rpc/resume_token.h - the token of a position in a stream (FORMAT.md 6.10): made when an item is sent, checked when a
 * caller goes on from it. Pure; any thread. For the room's own files.
 *
 * It is authenticated, so that a handler is given no position but those that it gave out itself, for this caller and this
 * request: it may look them up without asking again whether they are the caller's to know. The key comes from a secret that
 * a restart keeps. */
#ifndef LT_RPC_RESUME_TOKEN_H
#define LT_RPC_RESUME_TOKEN_H

#include "proto/base/buf.h"
#include "proto/base/ids.h"
#include "proto/rpc/rpc.h"

#define LT_RESUME_VERSION 1
#define LT_RESUME_MAC_LEN 16
#define LT_RESUME_HEAD_LEN (1 + LT_RESUME_MAC_LEN)

/* The server's key from 32 secret bytes. */
void lt_resume_key(const uint8_t secret[32], uint8_t key[32]);
/* What a token is bound to besides its position. */
struct lt_resume_bond {
	const uint8_t *key; /* 32 bytes */
	const struct lt_peer *peer;
	const char *method;
	const struct lt_hash *request; /* lt_resume_request() */
};
/* H of the bytes of a request message as they came, decompressed. */
void lt_resume_request(struct lt_slice message, struct lt_hash *out);
/* position: 1 to LT_RESUME_POSITION_MAX bytes. Returns the token's length. */
size_t lt_resume_token_make(
    const struct lt_resume_bond *b, struct lt_slice position, uint8_t out[LT_RESUME_TOKEN_MAX]);
/* *position: borrowed from the token. LT_E_DENIED: not made here, or for another caller, method or request. */
int lt_resume_token_check(
    const struct lt_resume_bond *b, struct lt_slice token, struct lt_slice *position);

#endif
