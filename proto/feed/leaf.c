#include "proto/feed/leaf.h"

#include <string.h>

void
lt_leaf_salt(
    const uint8_t seed[LT_SALT_LEN], uint32_t index, const char *field, uint8_t salt[LT_SALT_LEN])
{
	uint8_t head[1 + sizeof(LT_TAG_SALT) - 1 + 4];
	crypto_generichash_state st;

	head[0] = sizeof(LT_TAG_SALT) - 1;
	memcpy(head + 1, LT_TAG_SALT, sizeof(LT_TAG_SALT) - 1);
	lt_store_u32(head + sizeof(LT_TAG_SALT), index);
	(void)crypto_generichash_init(&st, seed, LT_SALT_LEN, LT_SALT_LEN);
	(void)crypto_generichash_update(&st, head, sizeof(head));
	(void)crypto_generichash_update(&st, (const uint8_t *)field, strlen(field));
	(void)crypto_generichash_final(&st, salt, LT_SALT_LEN);
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
