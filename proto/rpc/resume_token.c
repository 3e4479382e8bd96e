#include "proto/rpc/resume_token.h"
#include "proto/feed/crypto.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define TAG_KEY "lt1.resume-key"
#define TAG_REQUEST "lt1.resume-request"

void
lt_resume_key(const uint8_t secret[32], uint8_t key[32])
{
	struct lt_hash h;

	lt_h1(TAG_KEY, lt_slice(secret, 32), &h);
	memcpy(key, h.b, 32);
	sodium_memzero(&h, sizeof(h));
}

void
lt_resume_request(struct lt_slice message, struct lt_hash *out)
{
	lt_h1(TAG_REQUEST, message, out);
}

/* BLAKE2b(out 16, key, caller || request || u32 length of method || method || position): all before the method has a fixed
 * length. */
static void
mac_of(const struct lt_resume_bond *b, struct lt_slice position, uint8_t out[LT_RESUME_MAC_LEN])
{
	crypto_generichash_blake2b_state st;
	uint8_t caller[33] = { 0 }, len[4];
	size_t n = strlen(b->method);

	if (b->peer->kind == LT_PEER_LINE) {
		caller[0] = 1;
		memcpy(caller + 1, b->peer->line_key, 32);
	}
	lt_store_u32(len, (uint32_t)n);
	(void)crypto_generichash_blake2b_init(&st, b->key, 32, LT_RESUME_MAC_LEN);
	(void)crypto_generichash_blake2b_update(&st, caller, sizeof(caller));
	(void)crypto_generichash_blake2b_update(&st, b->request->b, LT_HASH_LEN);
	(void)crypto_generichash_blake2b_update(&st, len, sizeof(len));
	(void)crypto_generichash_blake2b_update(&st, (const uint8_t *)b->method, n);
	(void)crypto_generichash_blake2b_update(&st, position.data, position.len);
	(void)crypto_generichash_blake2b_final(&st, out, LT_RESUME_MAC_LEN);
}

size_t
lt_resume_token_make(
    const struct lt_resume_bond *b, struct lt_slice position, uint8_t out[LT_RESUME_TOKEN_MAX])
{
	assert(position.len > 0 && position.len <= LT_RESUME_POSITION_MAX);
	out[0] = LT_RESUME_VERSION;
	mac_of(b, position, out + 1);
	memcpy(out + LT_RESUME_HEAD_LEN, position.data, position.len);
	return LT_RESUME_HEAD_LEN + position.len;
}

int
lt_resume_token_check(
    const struct lt_resume_bond *b, struct lt_slice token, struct lt_slice *position)
{
	uint8_t mac[LT_RESUME_MAC_LEN];
	struct lt_slice at;

	if (token.len <= LT_RESUME_HEAD_LEN || token.len > LT_RESUME_TOKEN_MAX ||
	    token.data[0] != LT_RESUME_VERSION)
		return LT_E_DENIED;
	at = lt_slice(token.data + LT_RESUME_HEAD_LEN, token.len - LT_RESUME_HEAD_LEN);
	mac_of(b, at, mac);
	if (sodium_memcmp(mac, token.data + 1, sizeof(mac)) != 0)
		return LT_E_DENIED;
	*position = at;
	return LT_OK;
}
