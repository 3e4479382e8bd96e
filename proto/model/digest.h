/* proto/model/digest.h - the digest of a set of records (FORMAT.md 5.3): a sum that does not depend on
 * the order, from which a record's contribution can be taken away again. Pure; any thread.
 */
#ifndef LT_MODEL_DIGEST_H
#define LT_MODEL_DIGEST_H

#include "proto/base/buf.h"

#include <stdint.h>

#define LT_DIGEST_LANES 1024
#define LT_DIGEST_BYTES 2048 /* lanes as stored: little-endian u16 */
#define LT_DIGEST_SHORT 16
/* A batch at the hub touches nearly every bucket of nearly every unit, and each is a page: with 256 they were half of what
 * was written. */
#define LT_DIGEST_BUCKETS 16

/* Which record: collection, unit and key, NUL-terminated, borrowed. */
struct lt_record_id {
	const char *collection;
	const char *unit;
	const char *key;
};

/* What a record puts into its bucket, before it is expanded: the same key, the same row. */
struct lt_digest_key {
	uint8_t b[32];
};
void lt_digest_key(const struct lt_record_id *id, struct lt_slice row, struct lt_digest_key *out);

uint8_t lt_digest_bucket(const struct lt_record_id *id);
/* Put the record with these row bytes into the lanes, or take it out. A zeroed array is the digest of
 * no records. */
void lt_digest_add(
    uint16_t lanes[LT_DIGEST_LANES], const struct lt_record_id *id, struct lt_slice row);
void lt_digest_sub(
    uint16_t lanes[LT_DIGEST_LANES], const struct lt_record_id *id, struct lt_slice row);
void lt_digest_add_key(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key);
void lt_digest_sub_key(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key);
/* Lane sum: the digest of both sets together. other is not lanes. */
void lt_digest_join(
    uint16_t lanes[restrict LT_DIGEST_LANES], const uint16_t other[LT_DIGEST_LANES]);
void lt_digest_store(uint8_t out[LT_DIGEST_BYTES], const uint16_t lanes[LT_DIGEST_LANES]);
void lt_digest_load(uint16_t lanes[LT_DIGEST_LANES], const uint8_t bytes[LT_DIGEST_BYTES]);
/* The short form that is sent first. */
void lt_digest_lanes_short(uint8_t out[LT_DIGEST_SHORT], const uint16_t lanes[LT_DIGEST_LANES]);

#endif
