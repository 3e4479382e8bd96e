#include "proto/feed/leaf.h"
#include "proto/base/limits.h"
#include "proto/feed/hash_many.h"

#include <assert.h>
#include <string.h>

#define SALT_HEAD (sizeof(LT_TAG_SALT) + 4) /* length and tag, index */

static void
salt_head(uint8_t head[SALT_HEAD], uint32_t index)
{
	head[0] = sizeof(LT_TAG_SALT) - 1;
	memcpy(head + 1, LT_TAG_SALT, sizeof(LT_TAG_SALT) - 1);
	lt_store_u32(head + sizeof(LT_TAG_SALT), index);
}

void
lt_leaf_salt(
    const uint8_t seed[LT_SALT_LEN], uint32_t index, const char *field, uint8_t salt[LT_SALT_LEN])
{
	struct lt_hash_job job;
	uint8_t head[SALT_HEAD];

	salt_head(head, index);
	job.head = lt_slice(head, sizeof(head));
	job.body = lt_slice_str(field);
	job.out = salt;
	lt_hash_many(lt_slice(seed, LT_SALT_LEN), LT_SALT_LEN, &job, 1);
}

void
lt_leaf_hash(const struct lt_leaf_place *place, const uint8_t salt[LT_SALT_LEN],
    struct lt_slice field_set, struct lt_hash *out)
{
	struct lt_slice unit = lt_slice_str(place->unit->s);
	struct lt_slice collection = lt_slice_str(place->collection);
	struct lt_slice key = lt_slice_str(place->key), field = lt_slice_str(place->field);
	uint8_t head[LT_SALT_LEN + 4], lengths[4][4], dot[LT_FEED_LEN + 12];

	memcpy(head, salt, LT_SALT_LEN);
	lt_store_u32(head + LT_SALT_LEN, (uint32_t)unit.len);
	memcpy(dot, place->feed->b, LT_FEED_LEN);
	lt_store_u64(dot + LT_FEED_LEN, place->seq);
	lt_store_u32(dot + LT_FEED_LEN + 8, place->index);
	lt_store_u32(lengths[0], (uint32_t)collection.len);
	lt_store_u32(lengths[1], (uint32_t)key.len);
	lt_store_u32(lengths[2], (uint32_t)field.len);
	lt_store_u32(lengths[3], (uint32_t)field_set.len);
	{
		const struct lt_slice parts[] = { lt_slice(head, sizeof(head)), unit,
			lt_slice(dot, sizeof(dot)), lt_slice(lengths[0], 4), collection,
			lt_slice(lengths[1], 4), key, lt_slice(lengths[2], 4), field,
			lt_slice(lengths[3], 4), field_set };

		lt_h(LT_TAG_PERSONAL, parts, sizeof(parts) / sizeof(parts[0]), out);
	}
}

/* All of a leaf's message but the FieldSet bytes at its end: the longest one that a well-formed change has. */
#define HEAD_MAX \
	(sizeof(LT_TAG_PERSONAL) + LT_SALT_LEN + 4 + LT_UNIT_MAX + LT_FEED_LEN + 12 + 4 + \
	    LT_NAME_MAX + 4 + LT_KEY_MAX + 4 + LT_NAME_MAX + 4)

struct head {
	uint8_t b[HEAD_MAX];
	size_t len;
};

static void
put(struct head *h, const void *data, size_t len)
{
	assert(len <= sizeof(h->b) - h->len);
	memcpy(h->b + h->len, data, len);
	h->len += len;
}

static void
put_u32(struct head *h, size_t v)
{
	uint8_t b[4];

	lt_store_u32(b, (uint32_t)v);
	put(h, b, sizeof(b));
}

static void
put_framed(struct head *h, const char *s)
{
	size_t len = strlen(s);

	put_u32(h, len);
	put(h, s, len);
}

static void
make_head(struct head *h, const struct lt_leaf_place *place, const uint8_t salt[LT_SALT_LEN],
    size_t field_set_len)
{
	static const uint8_t tag_len = sizeof(LT_TAG_PERSONAL) - 1;
	uint8_t dot[12];

	h->len = 0;
	put(h, &tag_len, 1);
	put(h, LT_TAG_PERSONAL, tag_len);
	put(h, salt, LT_SALT_LEN);
	put_framed(h, place->unit->s);
	put(h, place->feed->b, LT_FEED_LEN);
	lt_store_u64(dot, place->seq);
	lt_store_u32(dot + 8, place->index);
	put(h, dot, sizeof(dot));
	put_framed(h, place->collection);
	put_framed(h, place->key);
	put_framed(h, place->field);
	put_u32(h, field_set_len);
}

#define AT_ONCE 64

void
lt_leaf_hashes(const struct lt_leaf_job *job, size_t n)
{
	struct lt_hash_job h[AT_ONCE];
	struct head head[AT_ONCE];
	size_t i, k;

	for (i = 0; i < n; i += k) {
		for (k = 0; k < AT_ONCE && i + k < n; k++) {
			const struct lt_leaf_job *j = &job[i + k];

			make_head(&head[k], &j->place, j->salt, j->field_set.len);
			h[k].head = lt_slice(head[k].b, head[k].len);
			h[k].body = j->field_set;
			h[k].out = j->leaf->b;
		}
		lt_hash_many(lt_slice(NULL, 0), LT_HASH_LEN, h, k);
	}
}

void
lt_leaf_salts(const uint8_t seed[LT_SALT_LEN], const struct lt_leaf_job *job, size_t n)
{
	struct lt_hash_job h[AT_ONCE];
	uint8_t head[AT_ONCE][SALT_HEAD];
	size_t i, k;

	for (i = 0; i < n; i += k) {
		for (k = 0; k < AT_ONCE && i + k < n; k++) {
			const struct lt_leaf_job *j = &job[i + k];

			salt_head(head[k], j->place.index);
			h[k].head = lt_slice(head[k], SALT_HEAD);
			h[k].body = lt_slice_str(j->place.field);
			h[k].out = j->salt;
		}
		lt_hash_many(lt_slice(seed, LT_SALT_LEN), LT_SALT_LEN, h, k);
	}
}
