#include "proto/rpc/line_key.h"

#include <sodium.h>
#include <stdatomic.h>
#include <string.h>

struct lt_line_key {
	atomic_uint refs;
	uint8_t sk[LT_LINE_KEY_LEN], pk[LT_LINE_KEY_LEN];
};

struct lt_line_key *
lt_line_key_new(const uint8_t secret[LT_LINE_KEY_LEN])
{
	struct lt_line_key *k = sodium_init() < 0 ? NULL : sodium_malloc(sizeof(*k));

	if (k == NULL)
		return NULL;
	atomic_init(&k->refs, 1);
	memcpy(k->sk, secret, sizeof(k->sk));
	if (crypto_scalarmult_base(k->pk, k->sk) != 0) {
		sodium_free(k);
		return NULL;
	}
	return k;
}

struct lt_line_key *
lt_line_key_ref(struct lt_line_key *k)
{
	atomic_fetch_add(&k->refs, 1);
	return k;
}

void
lt_line_key_unref(struct lt_line_key *k)
{
	if (k != NULL && atomic_fetch_sub(&k->refs, 1) == 1)
		sodium_free(k);
}

const uint8_t *
lt_line_key_secret(const struct lt_line_key *k)
{
	return k->sk;
}

const uint8_t *
lt_line_key_public(const struct lt_line_key *k)
{
	return k->pk;
}
