/* proto/base/ids.h - identifiers as types of their own, so that they cannot be mixed up
 * (FORMAT.md 1.4). Plain values, copied by assignment. */
#ifndef LT_BASE_IDS_H
#define LT_BASE_IDS_H

#include "proto/base/buf.h"
#include "proto/base/limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct lt_id {
	uint8_t b[LT_ID_LEN];
}; /* principal or author */

struct lt_fed {
	uint8_t b[LT_FED_LEN];
};

struct lt_hash {
	uint8_t b[LT_HASH_LEN];
};

/* Unit code, NUL-terminated. */
struct lt_unit {
	char s[LT_UNIT_MAX + 1];
};

/* author (16) | lane (1) | epoch (8): names a feed within its unit. */
struct lt_feed_id {
	uint8_t b[LT_FEED_LEN];
};

struct lt_dot {
	struct lt_feed_id feed;
	uint64_t seq;
	uint32_t index;
};

enum lt_lane { LT_LANE_URGENT = 1, LT_LANE_NORMAL = 2, LT_LANE_BULK = 3 };

static inline struct lt_feed_id
lt_feed_id_make(struct lt_id author, enum lt_lane lane, uint64_t epoch)
{
	struct lt_feed_id f;

	memcpy(f.b, author.b, LT_ID_LEN);
	f.b[LT_ID_LEN] = (uint8_t)lane;
	lt_store_u64(f.b + LT_ID_LEN + 1, epoch);
	return f;
}

static inline struct lt_id
lt_feed_author(const struct lt_feed_id *f)
{
	struct lt_id id;

	memcpy(id.b, f->b, LT_ID_LEN);
	return id;
}

static inline enum lt_lane
lt_feed_lane(const struct lt_feed_id *f)
{
	return (enum lt_lane)f->b[LT_ID_LEN];
}

static inline uint64_t
lt_feed_epoch(const struct lt_feed_id *f)
{
	return lt_load_u64(f->b + LT_ID_LEN + 1);
}

/* The name under which a node keeps its own branch of a feed that the hub holds another branch of (FORMAT.md 9.3): in no
 * change-set, no context and on no line, as no lane has this bit. */
#define LT_FEED_ASIDE 0x80

static inline struct lt_feed_id
lt_feed_aside(const struct lt_feed_id *f)
{
	struct lt_feed_id a = *f;

	a.b[LT_ID_LEN] |= LT_FEED_ASIDE;
	return a;
}

static inline struct lt_feed_id
lt_feed_plain(const struct lt_feed_id *f)
{
	struct lt_feed_id plain = *f;

	plain.b[LT_ID_LEN] &= (uint8_t)~LT_FEED_ASIDE;
	return plain;
}

static inline bool
lt_feed_is_aside(const struct lt_feed_id *f)
{
	return (f->b[LT_ID_LEN] & LT_FEED_ASIDE) != 0;
}

static inline int
lt_feed_id_cmp(const struct lt_feed_id *a, const struct lt_feed_id *b)
{
	return memcmp(a->b, b->b, LT_FEED_LEN);
}

static inline int
lt_dot_cmp(const struct lt_dot *a, const struct lt_dot *b)
{
	int c = lt_feed_id_cmp(&a->feed, &b->feed);

	if (c != 0)
		return c;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

static inline bool
lt_id_eq(const struct lt_id *a, const struct lt_id *b)
{
	return memcmp(a->b, b->b, LT_ID_LEN) == 0;
}

static inline bool
lt_hash_eq(const struct lt_hash *a, const struct lt_hash *b)
{
	return memcmp(a->b, b->b, LT_HASH_LEN) == 0;
}

/* "_", two digits, or five digits. */
bool lt_unit_valid(const char *s);
/* Copy a valid code; LT_E_INVALID otherwise. */
int lt_unit_set(struct lt_unit *u, struct lt_slice s);
bool lt_unit_is_commune(const struct lt_unit *u);
bool lt_unit_is_province(const struct lt_unit *u);
static inline bool
lt_unit_eq(const struct lt_unit *a, const struct lt_unit *b)
{
	return strcmp(a->s, b->s) == 0;
}

#endif
