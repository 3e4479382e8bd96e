/* proto/feed/crypto.h - hashes with tags, Merkle roots, keys, words (FORMAT.md 1, 4). Pure. */
#ifndef LT_FEED_CRYPTO_H
#define LT_FEED_CRYPTO_H

#include "proto/base/error.h"
#include "proto/base/ids.h"

#include <sodium.h>

#define LT_TAG_FEDERATION "lt1.federation"
#define LT_TAG_CHANGESET "lt1.changeset"
#define LT_TAG_CHANGE "lt1.change"
#define LT_TAG_NODE "lt1.node"
#define LT_TAG_EMPTY "lt1.empty"
#define LT_TAG_PERSONAL "lt1.personal"
#define LT_TAG_SALT "lt1.salt"
#define LT_TAG_RECEIPT "lt1.receipt"
#define LT_TAG_CERTIFICATE "lt1.certificate"
#define LT_TAG_JOIN "lt1.join"
#define LT_TAG_ROTATE "lt1.rotate"
#define LT_TAG_TOKEN "lt1.token"
#define LT_TAG_KNOCK "lt1.knock"
#define LT_TAG_FINGERPRINT "lt1.fingerprint"
#define LT_TAG_HUB_WORDS "lt1.hub-words"
#define LT_TAG_ROOT_WORDS "lt1.root-words"
#define LT_TAG_LOG "lt1.log"
#define LT_TAG_CATALOGUE "lt1.catalogue"

/* H(tag, parts joined). Any thread. */
void lt_h(const char *tag, const struct lt_slice *parts, size_t n, struct lt_hash *out);
void lt_h1(const char *tag, struct lt_slice m, struct lt_hash *out);
/* The 16-byte form. */
void lt_h16(const char *tag, struct lt_slice m, uint8_t out[16]);
/* Root over n leaves (FORMAT.md 1.5); O(log n) memory, no allocation. */
void lt_merkle_root(const struct lt_hash *leaf, size_t n, struct lt_hash *out);

/* The same root, leaf by leaf, for callers that do not keep the leaves. Caller's memory. */
struct lt_merkle {
	uint32_t n; /* leaves so far */
	struct lt_hash peak[32]; /* roots of complete subtrees, largest first */
};

void lt_merkle_init(struct lt_merkle *m);
void lt_merkle_add(struct lt_merkle *m, const struct lt_hash *leaf);
void lt_merkle_end(const struct lt_merkle *m, struct lt_hash *out);

/* The audit path of leaf `index` of n (FORMAT.md 11.3): the hashes beside its way up, lowest first. */
#define LT_MERKLE_PATH_MAX 32
void lt_merkle_path(const struct lt_hash *leaf, size_t n, size_t index,
    struct lt_hash path[LT_MERKLE_PATH_MAX], size_t *len);
/* The root to which a leaf leads by a path. LT_E_INVALID: not so long a path, or no such leaf, in a tree of n. */
int lt_merkle_path_root(const struct lt_hash *leaf, size_t n, size_t index,
    const struct lt_hash *path, size_t len, struct lt_hash *out);

void lt_federation_id(const uint8_t root_key[32], const uint8_t salt[16], struct lt_fed *out);

struct lt_sign_key {
	uint8_t pk[crypto_sign_PUBLICKEYBYTES];
	uint8_t sk[crypto_sign_SECRETKEYBYTES]; /* zero it with sodium_memzero after use */
};

/* From a 32-byte seed. */
void lt_sign_key_from_seed(const uint8_t seed[32], struct lt_sign_key *out);
/* Signature over H(tag, bytes). */
void lt_sign(
    const struct lt_sign_key *k, const char *tag, struct lt_slice bytes, uint8_t sig[LT_SIG_LEN]);
/* LT_OK or LT_E_BADSIG. */
int lt_sign_verify(const uint8_t pk[32], const char *tag, struct lt_slice bytes,
    struct lt_slice sig) __attribute__((warn_unused_result));

/* Bytes as words, joined by blanks (FORMAT.md 4.5). */
void lt_words(struct lt_buf *out, const uint8_t *data, size_t len);
/* Back; case, runs of blanks and spellings of one sound (ca ka, ki ky, nghe nge) do not matter. LT_E_INVALID names the word that is none: when the words
 * are a secret, err is for the person who typed them and not for a log. */
int lt_words_parse(const char *words, uint8_t *out, size_t len, struct lt_err *err);
/* 8 words of a principal's fingerprint. */
void lt_fingerprint(const struct lt_fed *fed, const struct lt_id *principal,
    const uint8_t sign_key[32], const uint8_t line_key[32], struct lt_buf *out);
/* 8 words of the federation: what a machine that was invited pins, so that its people can check whose invitation they hold. */
void lt_hub_words(const struct lt_fed *fed, struct lt_buf *out);
/* Root seed as 33 words, and back (check word verified). */
void lt_root_words(struct lt_buf *out, const uint8_t seed[32]);
int lt_root_words_parse(const char *words, uint8_t seed[32], struct lt_err *err);

#endif
