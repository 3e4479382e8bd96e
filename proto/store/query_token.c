/* Page tokens: where a page ended, sealed, as keys stand in it that not everybody may see, and bound to the request. */
#include "proto/store/query_impl.h"

#include "proto/base/wire.h"

#include <pthread.h>
#include <sodium.h>

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SUM crypto_aead_xchacha20poly1305_ietf_ABYTES
/* Order value and record key, framed. */
#define CONTENT_MAX (1 + 4 + LT_SORT_KEY_MAX + 4 + LT_RK_MAX)

static uint8_t process_key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void
make_process_key(void)
{
	randombytes_buf(process_key, sizeof(process_key));
}

static const uint8_t *
token_key(const struct lt_query *q)
{
	if (q->token_key != NULL)
		return q->token_key;
	(void)pthread_once(&process_key_once, make_process_key);
	return process_key;
}

/* What a token is bound to: method and request. */
static int
binding(uint8_t kind, const ProtobufCMessage *request, uint8_t out[33])
{
	struct lt_buf b = { 0 };
	int rc = lt_wire_pack(request, LT_MESSAGE_MAX, &b);

	out[0] = kind;
	if (rc == LT_OK)
		(void)crypto_generichash(out + 1, 32, b.data, b.len, NULL, 0);
	lt_buf_fini(&b);
	return rc;
}

int
lt_token_seal(const struct lt_query *q, uint8_t kind, const ProtobufCMessage *request,
    struct lt_slice content, ProtobufCBinaryData *out)
{
	uint8_t bound[33], *p;
	unsigned long long len;
	int rc = binding(kind, request, bound);

	if (rc != LT_OK)
		return rc;
	p = lt_arena_alloc(q->arena, NONCE + content.len + SUM);
	if (p == NULL)
		return LT_E_NOMEM;
	randombytes_buf(p, NONCE);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(p + NONCE, &len, content.data, content.len,
	    bound, sizeof(bound), NULL, p, token_key(q));
	out->data = p;
	out->len = NONCE + (size_t)len;
	return LT_OK;
}

int
lt_token_open(const struct lt_query *q, uint8_t kind, const ProtobufCMessage *request,
    const ProtobufCBinaryData *token, struct lt_slice *content, struct lt_err *err)
{
	uint8_t bound[33], *p;
	unsigned long long len;
	int rc;

	if (token->len < NONCE + SUM || token->len > NONCE + SUM + CONTENT_MAX)
		return lt_err_set(err, LT_E_INVALID, "this page token is none");
	rc = binding(kind, request, bound);
	if (rc != LT_OK)
		return rc;
	p = lt_arena_alloc(q->arena, token->len);
	if (p == NULL)
		return lt_nomem(err);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(p, &len, NULL, token->data + NONCE,
		token->len - NONCE, bound, sizeof(bound), token->data, token_key(q)) != 0)
		return lt_err_set(err, LT_E_INVALID,
		    "this page token is damaged, of another request or of another service: begin "
		    "with the first page");
	*content = lt_slice(p, (size_t)len);
	return LT_OK;
}
