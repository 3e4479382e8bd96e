#include "proto/rpc/noise.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define BLOCK_LEN 128 /* of BLAKE2b */
#define NONCE_LEN 12

static const char protocol_name[] = "Noise_IK_25519_ChaChaPoly_BLAKE2b";

static void
hash2(uint8_t out[LT_NOISE_HASH_LEN], struct lt_slice a, struct lt_slice b)
{
	crypto_generichash_blake2b_state st;

	(void)crypto_generichash_blake2b_init(&st, NULL, 0, LT_NOISE_HASH_LEN);
	(void)crypto_generichash_blake2b_update(&st, a.data, a.len);
	if (b.len != 0)
		(void)crypto_generichash_blake2b_update(&st, b.data, b.len);
	(void)crypto_generichash_blake2b_final(&st, out, LT_NOISE_HASH_LEN);
	sodium_memzero(&st, sizeof(st));
}

void
lt_noise_hmac(uint8_t out[LT_NOISE_HASH_LEN], struct lt_slice key, struct lt_slice data)
{
	uint8_t pad[BLOCK_LEN], k[BLOCK_LEN] = { 0 }, inner[LT_NOISE_HASH_LEN];
	size_t i;

	if (key.len > BLOCK_LEN)
		hash2(k, key, lt_slice(NULL, 0));
	else if (key.len != 0)
		memcpy(k, key.data, key.len);
	for (i = 0; i < BLOCK_LEN; i++)
		pad[i] = k[i] ^ 0x36;
	hash2(inner, lt_slice(pad, BLOCK_LEN), data);
	for (i = 0; i < BLOCK_LEN; i++)
		pad[i] = k[i] ^ 0x5c;
	hash2(out, lt_slice(pad, BLOCK_LEN), lt_slice(inner, sizeof(inner)));
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(k, sizeof(k));
	sodium_memzero(inner, sizeof(inner));
}

/* HKDF with two outputs. out1 may be ck. */
static void
hkdf2(const uint8_t ck[LT_NOISE_HASH_LEN], struct lt_slice ikm, uint8_t out1[LT_NOISE_HASH_LEN],
    uint8_t out2[LT_NOISE_HASH_LEN])
{
	uint8_t temp[LT_NOISE_HASH_LEN], in[LT_NOISE_HASH_LEN + 1], first[LT_NOISE_HASH_LEN];
	const uint8_t one = 1;

	lt_noise_hmac(temp, lt_slice(ck, LT_NOISE_HASH_LEN), ikm);
	lt_noise_hmac(first, lt_slice(temp, sizeof(temp)), lt_slice(&one, 1));
	memcpy(in, first, sizeof(first));
	in[LT_NOISE_HASH_LEN] = 2;
	lt_noise_hmac(out2, lt_slice(temp, sizeof(temp)), lt_slice(in, sizeof(in)));
	memcpy(out1, first, sizeof(first));
	sodium_memzero(temp, sizeof(temp));
	sodium_memzero(in, sizeof(in));
	sodium_memzero(first, sizeof(first));
}

static void
nonce_of(uint8_t out[NONCE_LEN], uint64_t n)
{
	size_t i;

	memset(out, 0, 4);
	for (i = 0; i < 8; i++)
		out[4 + i] = (uint8_t)(n >> (8 * i));
}

void
lt_noise_encrypt(struct lt_noise_cipher *c, struct lt_slice ad, struct lt_slice plain, uint8_t *out)
{
	uint8_t nonce[NONCE_LEN];

	assert(c->keyed);
	nonce_of(nonce, c->n++);
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(
	    out, NULL, plain.data, plain.len, ad.data, ad.len, NULL, nonce, c->k);
}

int
lt_noise_decrypt(
    struct lt_noise_cipher *c, struct lt_slice ad, struct lt_slice sealed, uint8_t *out)
{
	uint8_t nonce[NONCE_LEN];

	assert(c->keyed);
	if (sealed.len < LT_NOISE_TAG_LEN)
		return LT_E_INVALID;
	nonce_of(nonce, c->n);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(
		out, NULL, NULL, sealed.data, sealed.len, ad.data, ad.len, nonce, c->k) != 0)
		return LT_E_INVALID;
	c->n++;
	return LT_OK;
}

void
lt_noise_rekey(struct lt_noise_cipher *c)
{
	uint8_t nonce[NONCE_LEN], zeros[LT_NOISE_KEY_LEN] = { 0 },
				  out[LT_NOISE_KEY_LEN + LT_NOISE_TAG_LEN];

	nonce_of(nonce, UINT64_MAX);
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(
	    out, NULL, zeros, sizeof(zeros), NULL, 0, NULL, nonce, c->k);
	memcpy(c->k, out, sizeof(c->k));
	sodium_memzero(out, sizeof(out));
}

static void
mix_hash(struct lt_noise *n, struct lt_slice data)
{
	hash2(n->h, lt_slice(n->h, sizeof(n->h)), data);
}

static void
mix_key(struct lt_noise *n, struct lt_slice ikm)
{
	uint8_t k[LT_NOISE_HASH_LEN];

	hkdf2(n->ck, ikm, n->ck, k);
	memcpy(n->c.k, k, sizeof(n->c.k));
	n->c.n = 0;
	n->c.keyed = true;
	sodium_memzero(k, sizeof(k));
}

static int
mix_dh(struct lt_noise *n, const uint8_t sk[LT_NOISE_KEY_LEN], const uint8_t pk[LT_NOISE_KEY_LEN])
{
	uint8_t shared[LT_NOISE_KEY_LEN];
	int rc = LT_E_INVALID;

	if (crypto_scalarmult(shared, sk, pk) == 0) {
		mix_key(n, lt_slice(shared, sizeof(shared)));
		rc = LT_OK;
	}
	sodium_memzero(shared, sizeof(shared));
	return rc;
}

static int
encrypt_and_hash(struct lt_noise *n, struct lt_slice plain, struct lt_buf *out)
{
	uint8_t *p = lt_buf_reserve(out, plain.len + LT_NOISE_TAG_LEN);

	if (p == NULL)
		return out->err;
	lt_noise_encrypt(&n->c, lt_slice(n->h, sizeof(n->h)), plain, p);
	lt_buf_added(out, plain.len + LT_NOISE_TAG_LEN);
	mix_hash(n, lt_slice(p, plain.len + LT_NOISE_TAG_LEN));
	return LT_OK;
}

static int
decrypt_and_hash(struct lt_noise *n, struct lt_slice sealed, uint8_t *out)
{
	int rc = lt_noise_decrypt(&n->c, lt_slice(n->h, sizeof(n->h)), sealed, out);

	if (rc == LT_OK)
		mix_hash(n, sealed);
	return rc;
}

static int
decrypt_payload(struct lt_noise *n, struct lt_slice sealed, struct lt_buf *payload)
{
	uint8_t *p;
	int rc;

	if (sealed.len < LT_NOISE_TAG_LEN)
		return LT_E_INVALID;
	p = lt_buf_reserve(payload, sealed.len - LT_NOISE_TAG_LEN);
	if (p == NULL)
		return payload->err;
	rc = decrypt_and_hash(n, sealed, p);
	if (rc == LT_OK)
		lt_buf_added(payload, sealed.len - LT_NOISE_TAG_LEN);
	return rc;
}

void
lt_noise_init(struct lt_noise *n, bool initiator, struct lt_slice prologue,
    const uint8_t static_sk[LT_NOISE_KEY_LEN], const uint8_t static_pk[LT_NOISE_KEY_LEN],
    const uint8_t *remote_pk)
{
	const uint8_t *responder;

	memset(n, 0, sizeof(*n));
	n->initiator = initiator;
	n->s_sk = static_sk;
	memcpy(n->s_pk, static_pk, sizeof(n->s_pk));
	if (initiator)
		memcpy(n->rs, remote_pk, sizeof(n->rs));
	memcpy(n->h, protocol_name, sizeof(protocol_name) - 1);
	memcpy(n->ck, n->h, sizeof(n->ck));
	mix_hash(n, prologue);
	responder = initiator ? n->rs : n->s_pk;
	mix_hash(n, lt_slice(responder, LT_NOISE_KEY_LEN));
}

void
lt_noise_fini(struct lt_noise *n)
{
	sodium_memzero(n, sizeof(*n));
}

void
lt_noise_set_ephemeral(struct lt_noise *n, const uint8_t sk[LT_NOISE_KEY_LEN])
{
	memcpy(n->e_sk, sk, sizeof(n->e_sk));
	n->e_given = true;
}

/* Token "e" when writing. */
static int
write_e(struct lt_noise *n, struct lt_buf *out)
{
	if (!n->e_given)
		randombytes_buf(n->e_sk, sizeof(n->e_sk));
	if (crypto_scalarmult_base(n->e_pk, n->e_sk) != 0)
		return LT_E_INVALID;
	lt_buf_put(out, n->e_pk, sizeof(n->e_pk));
	mix_hash(n, lt_slice(n->e_pk, sizeof(n->e_pk)));
	return out->err;
}

static void
read_e(struct lt_noise *n, const uint8_t *p)
{
	memcpy(n->re, p, sizeof(n->re));
	mix_hash(n, lt_slice(n->re, sizeof(n->re)));
}

int
lt_noise_write1(struct lt_noise *n, struct lt_slice payload, struct lt_buf *out)
{
	int rc = write_e(n, out);

	if (rc == LT_OK)
		rc = mix_dh(n, n->e_sk, n->rs); /* es */
	if (rc == LT_OK)
		rc = encrypt_and_hash(n, lt_slice(n->s_pk, sizeof(n->s_pk)), out); /* s */
	if (rc == LT_OK)
		rc = mix_dh(n, n->s_sk, n->rs); /* ss */
	if (rc == LT_OK)
		rc = encrypt_and_hash(n, payload, out);
	return rc;
}

int
lt_noise_read1_static(struct lt_noise *n, struct lt_slice msg)
{
	int rc;

	if (msg.len < LT_NOISE_MSG1_LEN)
		return LT_E_INVALID;
	read_e(n, msg.data);
	rc = mix_dh(n, n->s_sk, n->re); /* es */
	if (rc != LT_OK)
		return rc;
	return decrypt_and_hash(n, lt_slice(msg.data + 32, 32 + LT_NOISE_TAG_LEN), n->rs); /* s */
}

int
lt_noise_read1_finish(struct lt_noise *n, struct lt_slice msg, struct lt_buf *payload)
{
	const size_t off = 32 + 32 + LT_NOISE_TAG_LEN;
	int rc = mix_dh(n, n->s_sk, n->rs); /* ss */

	if (rc != LT_OK)
		return rc;
	return decrypt_payload(n, lt_slice(msg.data + off, msg.len - off), payload);
}

int
lt_noise_write2(struct lt_noise *n, struct lt_slice payload, struct lt_buf *out)
{
	int rc = write_e(n, out);

	if (rc == LT_OK)
		rc = mix_dh(n, n->e_sk, n->re); /* ee */
	if (rc == LT_OK)
		rc = mix_dh(n, n->e_sk, n->rs); /* se */
	if (rc == LT_OK)
		rc = encrypt_and_hash(n, payload, out);
	return rc;
}

int
lt_noise_read2(struct lt_noise *n, struct lt_slice msg, struct lt_buf *payload)
{
	int rc;

	if (msg.len < LT_NOISE_MSG2_LEN)
		return LT_E_INVALID;
	read_e(n, msg.data);
	rc = mix_dh(n, n->e_sk, n->re); /* ee */
	if (rc == LT_OK)
		rc = mix_dh(n, n->s_sk, n->re); /* se */
	if (rc == LT_OK)
		rc = decrypt_payload(n, lt_slice(msg.data + 32, msg.len - 32), payload);
	return rc;
}

void
lt_noise_split(
    struct lt_noise *n, struct lt_noise_cipher *to_acceptor, struct lt_noise_cipher *to_initiator)
{
	uint8_t k1[LT_NOISE_HASH_LEN], k2[LT_NOISE_HASH_LEN];

	hkdf2(n->ck, lt_slice(NULL, 0), k1, k2);
	memset(to_acceptor, 0, sizeof(*to_acceptor));
	memset(to_initiator, 0, sizeof(*to_initiator));
	memcpy(to_acceptor->k, k1, sizeof(to_acceptor->k));
	memcpy(to_initiator->k, k2, sizeof(to_initiator->k));
	to_acceptor->keyed = to_initiator->keyed = true;
	sodium_memzero(k1, sizeof(k1));
	sodium_memzero(k2, sizeof(k2));
}
