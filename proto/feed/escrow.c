#include "proto/feed/escrow.h"

#include "proto/base/wire.h"

#include "lienthong/v1/backup.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define BODY_MAX ((size_t)8 * 1024)
#define ARENA ((size_t)256 * 1024)

static void
borrow(ProtobufCBinaryData *b, const void *data, size_t len)
{
	b->data = (uint8_t *)(uintptr_t)data;
	b->len = len;
}

static int
seal_body(const struct lt_identity *id, struct lt_slice body, struct lt_buf *sealed)
{
	uint8_t to[crypto_box_PUBLICKEYBYTES], box[BODY_MAX + crypto_box_SEALBYTES];

	if (crypto_sign_ed25519_pk_to_curve25519(to, id->root_key) != 0 ||
	    crypto_box_seal(box, body.data, body.len, to) != 0)
		return LT_E_INVALID;
	lt_buf_put(sealed, box, body.len + crypto_box_SEALBYTES);
	return sealed->err;
}

int
lt_escrow_seal(const struct lt_identity *id, int64_t now_ms, struct lt_buf *out)
{
	Ltpb__EscrowBody b = LTPB__ESCROW_BODY__INIT;
	Ltpb__Escrow e = LTPB__ESCROW__INIT;
	uint8_t seed[crypto_sign_SEEDBYTES], *packed;
	struct lt_buf sealed;
	size_t len;
	int rc;

	if (id->role != LTPB__ROLE__ROLE_HUB || id->certificate.len == 0)
		return LT_E_INVALID;
	(void)crypto_sign_ed25519_sk_to_seed(seed, id->sign.sk);
	borrow(&b.federation, id->federation.b, LT_FED_LEN);
	borrow(&b.principal, id->principal.b, LT_ID_LEN);
	b.key_no = id->key_no;
	borrow(&b.sign_seed, seed, sizeof(seed));
	borrow(&b.line_secret, id->line_sk, sizeof(id->line_sk));
	b.unit = (char *)(uintptr_t)id->unit.s;
	borrow(&b.certificate, id->certificate.data, id->certificate.len);
	/* Not through a buffer, which leaves copies behind when it grows. */
	len = ltpb__escrow_body__get_packed_size(&b);
	packed = len > BODY_MAX ? NULL : sodium_malloc(len);
	lt_buf_init(&sealed, BODY_MAX + crypto_box_SEALBYTES);
	rc = len > BODY_MAX ? LT_E_TOOBIG : packed == NULL ? LT_E_NOMEM : LT_OK;
	if (rc == LT_OK) {
		(void)ltpb__escrow_body__pack(&b, packed);
		rc = seal_body(id, lt_slice(packed, len), &sealed);
	}
	sodium_memzero(seed, sizeof(seed));
	sodium_free(packed);
	if (rc == LT_OK) {
		e.version = VERSION;
		borrow(&e.federation, id->federation.b, LT_FED_LEN);
		borrow(&e.root_key, id->root_key, sizeof(id->root_key));
		borrow(&e.salt, id->salt, sizeof(id->salt));
		e.made_ms = now_ms;
		borrow(&e.sealed, sealed.data, sealed.len);
		rc = lt_wire_pack(&e.base, LT_ESCROW_BYTES_MAX, out);
	}
	lt_buf_fini(&sealed);
	return rc;
}

static int
damaged(struct lt_err *err)
{
	return lt_err_set(err, LT_E_INVALID, "this is no escrow of a hub's keys, or it is damaged");
}

static int
read_outer(struct lt_slice bytes, struct lt_arena *arena, Ltpb__Escrow **out, struct lt_err *err)
{
	ProtobufCMessage *m;
	struct lt_fed fed;
	Ltpb__Escrow *e;

	if (lt_wire_unpack(
		&ltpb__escrow__descriptor, bytes, LT_ESCROW_BYTES_MAX, arena, &m, NULL) != LT_OK)
		return damaged(err);
	e = (Ltpb__Escrow *)m;
	if (e->version > VERSION)
		return lt_err_set(err, LT_E_VERSION,
		    "this escrow was made by a newer program (version %u)", e->version);
	if (e->version != VERSION || e->federation.len != LT_FED_LEN || e->root_key.len != 32 ||
	    e->salt.len != 16 || e->sealed.len <= crypto_box_SEALBYTES ||
	    e->sealed.len > BODY_MAX + crypto_box_SEALBYTES)
		return damaged(err);
	lt_federation_id(e->root_key.data, e->salt.data, &fed);
	if (memcmp(fed.b, e->federation.data, LT_FED_LEN) != 0)
		return damaged(err);
	*out = e;
	return LT_OK;
}

int
lt_escrow_federation(struct lt_slice escrow, struct lt_fed *out, struct lt_err *err)
{
	struct lt_arena arena;
	Ltpb__Escrow *e;
	int rc;

	lt_arena_init(&arena, ARENA);
	rc = read_outer(escrow, &arena, &e, err);
	if (rc == LT_OK)
		memcpy(out->b, e->federation.data, LT_FED_LEN);
	lt_arena_fini(&arena);
	return rc;
}

/* The identity that the opened body is; what it says must be what the root certified. */
static int
fill(const Ltpb__Escrow *e, const Ltpb__EscrowBody *b, struct lt_identity *id, struct lt_err *err)
{
	uint8_t *certificate;

	if (b->federation.len != LT_FED_LEN ||
	    memcmp(b->federation.data, e->federation.data, LT_FED_LEN) != 0 ||
	    b->principal.len != LT_ID_LEN || b->sign_seed.len != 32 || b->line_secret.len != 32 ||
	    b->certificate.len == 0 || lt_unit_set(&id->unit, lt_slice_str(b->unit)) != LT_OK)
		return damaged(err);
	id->role = LTPB__ROLE__ROLE_HUB;
	memcpy(id->federation.b, b->federation.data, LT_FED_LEN);
	memcpy(id->root_key, e->root_key.data, 32);
	memcpy(id->salt, e->salt.data, 16);
	memcpy(id->principal.b, b->principal.data, LT_ID_LEN);
	id->key_no = b->key_no;
	lt_sign_key_from_seed(b->sign_seed.data, &id->sign);
	memcpy(id->line_sk, b->line_secret.data, 32);
	(void)crypto_scalarmult_base(id->line_pk, id->line_sk);
	memcpy(id->hub_line_key, id->line_pk, 32);
	certificate = malloc(b->certificate.len);
	if (certificate == NULL)
		return lt_err_set(err, LT_E_NOMEM, "no memory for the keys");
	memcpy(certificate, b->certificate.data, b->certificate.len);
	id->certificate = lt_slice(certificate, b->certificate.len);
	return lt_identity_check(id, err);
}

static int
open_sealed(const Ltpb__Escrow *e, const struct lt_sign_key *root, struct lt_identity **out,
    struct lt_err *err)
{
	uint8_t pk[crypto_box_PUBLICKEYBYTES], *sk = sodium_malloc(crypto_box_SECRETKEYBYTES);
	size_t len = e->sealed.len - crypto_box_SEALBYTES;
	uint8_t *plain = sodium_malloc(len);
	struct lt_identity *id = lt_identity_new();
	Ltpb__EscrowBody *b = NULL;
	int rc = LT_OK;

	if (sk == NULL || plain == NULL || id == NULL)
		rc = lt_err_set(err, LT_E_NOMEM, "no memory for the keys");
	if (rc == LT_OK &&
	    (crypto_sign_ed25519_pk_to_curve25519(pk, root->pk) != 0 ||
		crypto_sign_ed25519_sk_to_curve25519(sk, root->sk) != 0 ||
		crypto_box_seal_open(plain, e->sealed.data, e->sealed.len, pk, sk) != 0))
		rc = damaged(err);
	if (rc == LT_OK && lt_wire_check(&ltpb__escrow_body__descriptor, lt_slice(plain, len),
			       BODY_MAX, NULL) != LT_OK)
		rc = damaged(err);
	if (rc == LT_OK) {
		b = ltpb__escrow_body__unpack(NULL, len, plain);
		rc = b == NULL ? lt_err_set(err, LT_E_NOMEM, "no memory for the keys")
			       : fill(e, b, id, err);
	}
	if (b != NULL) {
		sodium_memzero(b->sign_seed.data, b->sign_seed.len);
		sodium_memzero(b->line_secret.data, b->line_secret.len);
		ltpb__escrow_body__free_unpacked(b, NULL);
	}
	sodium_free(sk);
	sodium_free(plain);
	if (rc == LT_OK)
		*out = id;
	else
		lt_identity_free(id);
	return rc;
}

int
lt_escrow_open(
    struct lt_slice escrow, const char *words, struct lt_identity **out, struct lt_err *err)
{
	struct lt_sign_key *root = sodium_malloc(sizeof(*root));
	uint8_t *seed = sodium_malloc(crypto_sign_SEEDBYTES);
	struct lt_arena arena;
	Ltpb__Escrow *e;
	int rc;

	lt_arena_init(&arena, ARENA);
	rc = root == NULL || seed == NULL ? lt_err_set(err, LT_E_NOMEM, "no memory for the keys")
					  : read_outer(escrow, &arena, &e, err);
	if (rc == LT_OK)
		rc = lt_root_words_parse(words, seed, err);
	if (rc == LT_OK) {
		lt_sign_key_from_seed(seed, root);
		if (sodium_memcmp(root->pk, e->root_key.data, 32) != 0)
			rc = lt_err_set(
			    err, LT_E_DENIED, "these words are the root key of another federation");
	}
	if (rc == LT_OK)
		rc = open_sealed(e, root, out, err);
	lt_arena_fini(&arena);
	sodium_free(root);
	sodium_free(seed);
	return rc;
}
