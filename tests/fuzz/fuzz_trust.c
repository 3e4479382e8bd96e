/* Certificates, receipts, join proofs and statuses from anywhere.
 *
 * Input: u8 kind, bytes. The mutator changes the body by its schema and mostly signs again. Must hold: what verifies holds the
 * values that the format allows, is signed, and is refused for another federation, another key and any other signature.
 */
#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/rpc/status_impl.h"
#include "tests/fuzz/lib/changeset.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <stdlib.h>
#include <string.h>

enum { CERTIFICATE, RECEIPT, STATUS, KINDS };

static struct lt_sign_key key, other;
static struct lt_fed fed, other_fed;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t seed[32] = { 9 };

	(void)argc;
	(void)argv;
	fuzz_setup();
	fuzz_sign_key(&key);
	lt_sign_key_from_seed(seed, &other);
	memset(fed.b, 0x40, LT_FED_LEN);
	memset(other_fed.b, 0x41, LT_FED_LEN);
	return 0;
}

typedef int verify_fn(struct lt_slice bytes, const uint8_t pk[32], const struct lt_fed *f,
    struct lt_arena *arena, ProtobufCMessage **body, struct lt_err *err);

static int
certificate(struct lt_slice bytes, const uint8_t pk[32], const struct lt_fed *f,
    struct lt_arena *arena, ProtobufCMessage **body, struct lt_err *err)
{
	Ltpb__CertificateBody *b = NULL;
	int rc = lt_certificate_verify(bytes, pk, f, arena, &b, err);

	*body = rc == LT_OK ? &b->base : NULL;
	return rc;
}

static int
receipt(struct lt_slice bytes, const uint8_t pk[32], const struct lt_fed *f, struct lt_arena *arena,
    ProtobufCMessage **body, struct lt_err *err)
{
	Ltpb__ReceiptBody *b = NULL;
	int rc = lt_receipt_verify(bytes, pk, f, arena, &b, err);

	*body = rc == LT_OK ? &b->base : NULL;
	return rc;
}

static void
check_certificate(const Ltpb__CertificateBody *b)
{
	FUZZ_MUST(b->federation.len == LT_FED_LEN && b->principal.len == LT_ID_LEN);
	FUZZ_MUST(b->sign_key.len == 32 && b->line_key.len == 32 && b->key_no != 0);
	FUZZ_MUST(b->role != LTPB__ROLE__ROLE_UNSPECIFIED);
	FUZZ_MUST(b->unit[0] == '\0' || lt_unit_valid(b->unit));
}

static void
check_receipt(const Ltpb__ReceiptBody *b)
{
	size_t i;

	FUZZ_MUST(b->federation.len == LT_FED_LEN && b->hub.len == LT_ID_LEN && b->key_no != 0);
	FUZZ_MUST(
	    b->feed.len == LT_FEED_LEN && b->hash.len == LT_HASH_LEN && lt_unit_valid(b->unit));
	for (i = 0; i < b->n_refused; i++)
		FUZZ_MUST(b->refused[i] != NULL);
}

/* One bit of the signature changed. Certificate and Receipt have the same form. */
static void
other_signature(struct lt_slice bytes, verify_fn *verify)
{
	Ltpb__Receipt *r = ltpb__receipt__unpack(NULL, bytes.len, bytes.data);
	ProtobufCMessage *none;
	struct lt_err err = { "" };
	struct lt_arena arena;
	uint8_t *packed;
	size_t n;

	FUZZ_MUST(r != NULL && r->signature.len == LT_SIG_LEN);
	r->signature.data[bytes.data[bytes.len / 2] % LT_SIG_LEN] ^= 0x10;
	packed = malloc(protobuf_c_message_get_packed_size(&r->base));
	FUZZ_MUST(packed != NULL);
	n = protobuf_c_message_pack(&r->base, packed);
	lt_arena_init(&arena, 1u << 20);
	FUZZ_MUST(verify(lt_slice(packed, n), key.pk, &fed, &arena, &none, &err) == LT_E_BADSIG);
	lt_arena_fini(&arena);
	free(packed);
	protobuf_c_message_free_unpacked(&r->base, NULL);
}

static void
signed_body(struct lt_slice bytes, verify_fn *verify, bool is_receipt)
{
	struct lt_err err = { "" };
	struct lt_arena arena;
	ProtobufCMessage *b, *none;

	fuzz_arena_init(&arena, bytes.len);
	if (verify(bytes, key.pk, &fed, &arena, &b, &err) != LT_OK) {
		FUZZ_MUST(err.text[0] != '\0');
		fuzz_arena_fini(&arena);
		return;
	}
	if (is_receipt)
		check_receipt((const Ltpb__ReceiptBody *)b);
	else
		check_certificate((const Ltpb__CertificateBody *)b);
	FUZZ_MUST(verify(bytes, other.pk, &fed, &arena, &none, &err) == LT_E_BADSIG);
	FUZZ_MUST(verify(bytes, key.pk, &other_fed, &arena, &none, &err) == LT_E_DENIED);
	other_signature(bytes, verify);
	fuzz_arena_fini(&arena);
}

static void
status(struct lt_slice bytes)
{
	struct lt_status st, again;
	struct lt_buf out = { 0 };

	if (lt_status_unpack(bytes, &st) == LT_OK) {
		FUZZ_MUST(memchr(st.message, 0, sizeof(st.message)) != NULL);
		FUZZ_MUST(memchr(st.message_vi, 0, sizeof(st.message_vi)) != NULL);
		FUZZ_MUST(memchr(st.reason, 0, sizeof(st.reason)) != NULL);
		FUZZ_MUST(lt_status_pack(&st, &out) == LT_OK);
		FUZZ_MUST(lt_status_unpack(lt_buf_slice(&out), &again) == LT_OK);
		FUZZ_MUST(st.code == again.code && strcmp(st.reason, again.reason) == 0);
		FUZZ_MUST(
		    strcmp(st.message, again.message) == 0 && strcmp(st.field, again.field) == 0);
		FUZZ_MUST(
		    strcmp(st.rule, again.rule) == 0 && st.retry_delay_ms == again.retry_delay_ms);
	}
	lt_buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_slice bytes;
	struct fuzz_in in;
	unsigned kind;
	uint8_t *exact;

	fuzz_in_init(&in, data, size);
	kind = fuzz_u8(&in) % KINDS;
	bytes = fuzz_rest(&in);
	exact = fuzz_copy(bytes);
	bytes.data = exact;
	if (kind == CERTIFICATE)
		signed_body(bytes, certificate, false);
	else if (kind == RECEIPT)
		signed_body(bytes, receipt, true);
	else
		status(bytes);
	free(exact);
	return 0;
}

/* Certificate and Receipt have the same form. */
static size_t
sign_again(uint8_t *data, size_t size, size_t max_size, const char *tag)
{
	Ltpb__Receipt *r = ltpb__receipt__unpack(NULL, size, data);
	uint8_t sig[LT_SIG_LEN];
	size_t n;

	if (r == NULL)
		return size;
	lt_sign(&key, tag, lt_slice(r->body.data, r->body.len), sig);
	free(r->signature.data);
	r->signature.data = fuzz_copy(lt_slice(sig, sizeof(sig)));
	r->signature.len = sizeof(sig);
	n = protobuf_c_message_get_packed_size(&r->base);
	if (n <= max_size)
		size = protobuf_c_message_pack(&r->base, data);
	protobuf_c_message_free_unpacked(&r->base, NULL);
	return size;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static const ProtobufCMessageDescriptor *const what[KINDS] = {
		&ltpb__certificate__descriptor,
		&ltpb__receipt__descriptor,
		&ltpb__status__descriptor,
	};
	struct fuzz_rng rng = { seed };
	unsigned kind = size == 0 ? 0 : data[0] % KINDS;

	if (size == 0 || fuzz_below(&rng, 16) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	size = 1 + fuzz_pb_mutate(what[kind], data + 1, size - 1, max_size - 1, &rng);
	if (kind == STATUS || fuzz_below(&rng, 8) == 0)
		return size;
	return 1 + sign_again(data + 1, size - 1, max_size - 1,
		       kind == CERTIFICATE ? LT_TAG_CERTIFICATE : LT_TAG_RECEIPT);
}
