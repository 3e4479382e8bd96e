/* proto/feed/hash_many.h - BLAKE2b of many messages in one go. Pure; any thread.
 *
 * A change-set of dossiers takes some 26 hashes a change, nearly all of one or two blocks. Where the processor has
 * AVX-512 eight or sixteen of them are computed beside each other, with AVX2 four; elsewhere libsodium computes one after the
 * other. All give the same bytes. Lanes are filled from one call alone: ask for many at once.
 */
#ifndef LT_FEED_HASH_MANY_H
#define LT_FEED_HASH_MANY_H

#include "proto/base/buf.h"
#include "proto/base/ids.h"

/* The message is head and body joined; either may be empty. Borrowed. */
struct lt_hash_job {
	struct lt_slice head, body;
	uint8_t *out; /* no part of any message of the same call */
};

/* outlen bytes (16 to 64) of every message under one key (16 to 64 bytes, or empty: none). With a key no message is empty. */
void lt_hash_many(struct lt_slice key, size_t outlen, const struct lt_hash_job *job, size_t n);

/* Roots (FORMAT.md 1.5) of trees whose leaves stand one after the other: tree i has size[i] leaves, at least 1. The leaves,
 * LT_MERKLE_MANY_MAX at most in all, and size are used up; root i stands in h[i] at the end. */
#define LT_MERKLE_MANY_MAX 256
void lt_merkle_many(struct lt_hash *h, uint32_t *size, size_t ntree);

/* The ways to do it, for the tests: whether the processor has what one needs, and that one, whatever n is. */
enum lt_hash_form { LT_HASH_PLAIN, LT_HASH_AVX2, LT_HASH_AVX512, LT_HASH_AVX512_TWICE };
bool lt_hash_form_there(enum lt_hash_form form);
void lt_hash_many_as(enum lt_hash_form form, struct lt_slice key, size_t outlen,
    const struct lt_hash_job *job, size_t n);

#endif
