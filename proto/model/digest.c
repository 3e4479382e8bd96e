#include "proto/model/digest.h"
#include "proto/model/digest_expand.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>

/* H() of FORMAT.md 1.2, begun with its tag. */
static void
hash_begin(crypto_generichash_state *st, const char *tag, size_t outlen)
{
	uint8_t n = (uint8_t)strlen(tag);

	(void)crypto_generichash_init(st, NULL, 0, outlen);
	(void)crypto_generichash_update(st, &n, 1);
	(void)crypto_generichash_update(st, (const uint8_t *)tag, n);
}

static void
hash_framed(crypto_generichash_state *st, const char *s)
{
	uint8_t len[4];
	size_t n = strlen(s);

	lt_store_u32(len, (uint32_t)n);
	(void)crypto_generichash_update(st, len, sizeof(len));
	(void)crypto_generichash_update(st, (const uint8_t *)s, n);
}

static void
hash_id(crypto_generichash_state *st, const struct lt_record_id *id)
{
	hash_framed(st, id->collection);
	hash_framed(st, id->unit);
	hash_framed(st, id->key);
}

uint8_t
lt_digest_bucket(const struct lt_record_id *id)
{
	crypto_generichash_state st;
	uint8_t h[32];

	hash_begin(&st, "lt1.bucket", sizeof(h));
	hash_id(&st, id);
	(void)crypto_generichash_final(&st, h, sizeof(h));
	return h[0] % LT_DIGEST_BUCKETS;
}

/* The row is hashed once and the hash expanded: hashing the row for every 64 bytes of the contribution
 * cost twenty times as much. */
void
lt_digest_key(const struct lt_record_id *id, struct lt_slice row, struct lt_digest_key *out)
{
	crypto_generichash_state st;

	hash_begin(&st, "lt1.lthash", sizeof(out->b));
	hash_id(&st, id);
	(void)crypto_generichash_update(&st, row.data, row.len);
	(void)crypto_generichash_final(&st, out->b, sizeof(out->b));
}

void
lt_digest_add_key(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key)
{
	lt_digest_expand(lanes, key, false);
}

void
lt_digest_sub_key(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key)
{
	lt_digest_expand(lanes, key, true);
}

void
lt_digest_add(uint16_t lanes[LT_DIGEST_LANES], const struct lt_record_id *id, struct lt_slice row)
{
	struct lt_digest_key key;

	lt_digest_key(id, row, &key);
	lt_digest_add_key(lanes, &key);
}

void
lt_digest_sub(uint16_t lanes[LT_DIGEST_LANES], const struct lt_record_id *id, struct lt_slice row)
{
	struct lt_digest_key key;

	lt_digest_key(id, row, &key);
	lt_digest_sub_key(lanes, &key);
}

void
lt_digest_join(uint16_t lanes[restrict LT_DIGEST_LANES], const uint16_t other[LT_DIGEST_LANES])
{
	size_t i;

	for (i = 0; i < LT_DIGEST_LANES; i++)
		lanes[i] = (uint16_t)(lanes[i] + other[i]);
}

/* Little-endian on disk: where the processor is that as well, both are one copy. */
void
lt_digest_store(uint8_t out[LT_DIGEST_BYTES], const uint16_t lanes[LT_DIGEST_LANES])
{
	uint16_t x[LT_DIGEST_LANES];
	size_t i;

	for (i = 0; i < LT_DIGEST_LANES; i++)
		x[i] = htole16(lanes[i]);
	memcpy(out, x, sizeof(x));
}

void
lt_digest_load(uint16_t lanes[LT_DIGEST_LANES], const uint8_t bytes[LT_DIGEST_BYTES])
{
	size_t i;

	memcpy(lanes, bytes, LT_DIGEST_BYTES);
	for (i = 0; i < LT_DIGEST_LANES; i++)
		lanes[i] = le16toh(lanes[i]);
}

void
lt_digest_lanes_short(uint8_t out[LT_DIGEST_SHORT], const uint16_t lanes[LT_DIGEST_LANES])
{
	crypto_generichash_state st;
	uint8_t bytes[LT_DIGEST_BYTES];

	lt_digest_store(bytes, lanes);
	hash_begin(&st, "lt1.lthash", LT_DIGEST_SHORT);
	(void)crypto_generichash_update(&st, bytes, sizeof(bytes));
	(void)crypto_generichash_final(&st, out, LT_DIGEST_SHORT);
}
