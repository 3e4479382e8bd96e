/* proto/feed/leaf.h - the leaves that commit a change to its personal fields (FORMAT.md 3.4). Pure. */
#ifndef LT_FEED_LEAF_H
#define LT_FEED_LEAF_H

#include "proto/feed/crypto.h"

/* Where a personal field stands; part of its leaf, so that an opening cannot be moved. Borrowed. */
struct lt_leaf_place {
	const struct lt_unit *unit;
	const struct lt_feed_id *feed;
	uint64_t seq;
	uint32_t index; /* of the change */
	const char *collection;
	const char *key;
	const char *field;
};

/* Salt of (index, field) from the seed of a change-set. */
void lt_leaf_salt(
    const uint8_t seed[LT_SALT_LEN], uint32_t index, const char *field, uint8_t salt[LT_SALT_LEN]);
/* The same for n of them at once, in less than half the time. The places are those of well-formed changes: nothing in them is
 * over its limit (asserted). */
struct lt_leaf_job {
	struct lt_leaf_place place;
	struct lt_slice field_set;
	uint8_t *salt; /* LT_SALT_LEN bytes */
	struct lt_hash *leaf;
};
void lt_leaf_salts(const uint8_t seed[LT_SALT_LEN], const struct lt_leaf_job *job, size_t n);
void lt_leaf_hashes(const struct lt_leaf_job *job, size_t n);

/* The leaf over these FieldSet bytes, as they stand in the opening. */
void lt_leaf_hash(const struct lt_leaf_place *place, const uint8_t salt[LT_SALT_LEN],
    struct lt_slice field_set, struct lt_hash *out);

#endif
