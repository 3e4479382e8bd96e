#include "proto/feed/trust.h"

#include "proto/base/wire.h"

#include <string.h>

/* A certificate has two keys and a few names; this is room for fields of later versions. */
#define CERTIFICATE_MAX 4096
/* An invitation is read out of a line that people pass on; the same. */
#define INVITATION_MAX 2048
#define INVITATION_LINE_MAX 4096
#define CHECK_LEN 4
#define PREFIX "LT1."

static bool
lane_known(const ProtobufCBinaryData *feed)
{
	return feed->data[LT_ID_LEN] >= LT_LANE_URGENT && feed->data[LT_ID_LEN] <= LT_LANE_BULK;
}

static bool
is_of(const ProtobufCBinaryData *id, const struct lt_fed *fed)
{
	return memcmp(id->data, fed->b, LT_FED_LEN) == 0;
}

/* What a principal is for: nodes for a commune, departments for an organisation. */
static int
check_place(Ltpb__Role role, const char *unit, const char *org, struct lt_err *err)
{
	struct lt_unit u;

	if (role == LTPB__ROLE__ROLE_UNSPECIFIED)
		return lt_err_set(err, LT_E_INVALID, "no role");
	if (unit[0] != '\0' && lt_unit_set(&u, lt_slice_str(unit)) != LT_OK)
		return lt_err_set(err, LT_E_INVALID, "not a unit code");
	if (role == LTPB__ROLE__ROLE_NODE && (unit[0] == '\0' || !lt_unit_is_commune(&u)))
		return lt_err_set(err, LT_E_INVALID, "a node needs the code of its commune");
	if (strlen(org) > LT_NAME_MAX)
		return lt_err_set(err, LT_E_INVALID,
		    "the organisation's name is longer than %d bytes", LT_NAME_MAX);
	return LT_OK;
}

static int
check_certificate(const Ltpb__CertificateBody *b, struct lt_err *err)
{
	struct lt_err why = { "" };

	if (b->federation.len != LT_FED_LEN || b->principal.len != LT_ID_LEN ||
	    b->sign_key.len != crypto_sign_PUBLICKEYBYTES ||
	    b->line_key.len != crypto_scalarmult_BYTES)
		return lt_err_both(err, LT_E_INVALID,
		    "certificate: a key or an id has the wrong length",
		    "chứng thư sai định dạng: khóa hoặc mã có độ dài sai");
	if (b->key_no == 0)
		return lt_err_both(err, LT_E_INVALID, "certificate: key number 0",
		    "chứng thư sai định dạng: khóa số 0");
	if (check_place(b->role, b->unit, b->org, &why) != LT_OK)
		return lt_err_set(err, LT_E_INVALID, "certificate: %s", why.text);
	return LT_OK;
}

/* Certificate and Receipt have the same two fields; d tells which it is. */
static int
sign_body(const ProtobufCMessage *body, const char *tag, const struct lt_sign_key *key, size_t max,
    const ProtobufCMessageDescriptor *d, struct lt_buf *out)
{
	Ltpb__Certificate c = LTPB__CERTIFICATE__INIT;
	Ltpb__Receipt r = LTPB__RECEIPT__INIT;
	ProtobufCBinaryData packed, signature;
	struct lt_buf bytes = { 0 };
	uint8_t sig[LT_SIG_LEN];
	int rc;

	rc = lt_wire_pack(body, max, &bytes);
	if (rc != LT_OK)
		goto out;
	lt_sign(key, tag, lt_buf_slice(&bytes), sig);
	packed.data = bytes.data;
	packed.len = bytes.len;
	signature.data = sig;
	signature.len = sizeof(sig);
	c.body = r.body = packed;
	c.signature = r.signature = signature;
	rc = lt_wire_pack(
	    d == &ltpb__certificate__descriptor ? &c.base : &r.base, LT_MESSAGE_MAX, out);
out:
	lt_buf_fini(&bytes);
	return rc;
}

int
lt_certificate_verify(struct lt_slice bytes, const uint8_t root_key[32], const struct lt_fed *fed,
    struct lt_arena *arena, Ltpb__CertificateBody **body, struct lt_err *err)
{
	ProtobufCMessage *msg = NULL;
	const Ltpb__Certificate *c;
	Ltpb__CertificateBody *b;
	struct lt_slice raw;
	int rc;

	rc = lt_wire_unpack(
	    &ltpb__certificate__descriptor, bytes, CERTIFICATE_MAX, arena, &msg, err);
	if (rc != LT_OK)
		return rc;
	c = (const Ltpb__Certificate *)msg;
	raw = lt_slice(c->body.data, c->body.len);
	if (lt_sign_verify(root_key, LT_TAG_CERTIFICATE, raw,
		lt_slice(c->signature.data, c->signature.len)) != LT_OK)
		return lt_err_both(err, LT_E_BADSIG, "certificate: not signed by the root key",
		    "chứng thư không được ký bằng khóa gốc này");
	rc = lt_wire_unpack(
	    &ltpb__certificate_body__descriptor, raw, CERTIFICATE_MAX, arena, &msg, err);
	if (rc != LT_OK)
		return rc;
	b = (Ltpb__CertificateBody *)msg;
	rc = check_certificate(b, err);
	if (rc != LT_OK)
		return rc;
	if (!is_of(&b->federation, fed))
		return lt_err_both(err, LT_E_DENIED, "certificate: of another federation",
		    "chứng thư thuộc liên thông khác");
	*body = b;
	return LT_OK;
}

/* The root key comes out of its paper once in years: a bit that flipped meanwhile must not be found years
 * later. */
static int
read_back(struct lt_slice bytes, const uint8_t root_key[32], const Ltpb__CertificateBody *body)
{
	Ltpb__CertificateBody *back = NULL;
	struct lt_arena arena;
	struct lt_fed fed;
	int rc;

	memcpy(fed.b, body->federation.data, LT_FED_LEN);
	lt_arena_init(&arena, lt_arena_cap_for(bytes.len));
	rc = lt_certificate_verify(bytes, root_key, &fed, &arena, &back, NULL);
	lt_arena_fini(&arena);
	return rc;
}

int
lt_certificate_make(
    const Ltpb__CertificateBody *body, const struct lt_sign_key *root, struct lt_buf *out)
{
	size_t start = out->len;
	int rc;

	if (check_certificate(body, NULL) != LT_OK)
		return LT_E_INVALID;
	rc = sign_body(&body->base, LT_TAG_CERTIFICATE, root, CERTIFICATE_MAX,
	    &ltpb__certificate__descriptor, out);
	if (rc == LT_OK)
		rc = read_back(lt_slice(out->data + start, out->len - start), root->pk, body);
	if (rc != LT_OK)
		out->len = start;
	return rc;
}

static int
check_receipt(const Ltpb__ReceiptBody *b, struct lt_err *err)
{
	if (b->federation.len != LT_FED_LEN || b->hub.len != LT_ID_LEN ||
	    b->feed.len != LT_FEED_LEN || b->hash.len != LT_HASH_LEN)
		return lt_err_set(
		    err, LT_E_INVALID, "receipt: an id or a hash has the wrong length");
	if (!lt_unit_valid(b->unit) || !lane_known(&b->feed))
		return lt_err_set(err, LT_E_INVALID, "receipt: not a feed of a unit");
	if (b->seq == 0 || b->key_no == 0)
		return lt_err_set(err, LT_E_INVALID, "receipt: seq or key number 0");
	return LT_OK;
}

int
lt_receipt_make(const Ltpb__ReceiptBody *body, const struct lt_sign_key *hub, struct lt_buf *out)
{
	if (check_receipt(body, NULL) != LT_OK)
		return LT_E_INVALID;
	return sign_body(
	    &body->base, LT_TAG_RECEIPT, hub, LT_MESSAGE_MAX, &ltpb__receipt__descriptor, out);
}

int
lt_receipt_verify(struct lt_slice bytes, const uint8_t hub_key[32], const struct lt_fed *fed,
    struct lt_arena *arena, Ltpb__ReceiptBody **body, struct lt_err *err)
{
	ProtobufCMessage *msg = NULL;
	const Ltpb__Receipt *r;
	Ltpb__ReceiptBody *b;
	struct lt_slice raw;
	int rc;

	rc = lt_wire_unpack(&ltpb__receipt__descriptor, bytes, LT_MESSAGE_MAX, arena, &msg, err);
	if (rc != LT_OK)
		return rc;
	r = (const Ltpb__Receipt *)msg;
	raw = lt_slice(r->body.data, r->body.len);
	if (lt_sign_verify(hub_key, LT_TAG_RECEIPT, raw,
		lt_slice(r->signature.data, r->signature.len)) != LT_OK)
		return lt_err_set(err, LT_E_BADSIG, "receipt: not signed by the hub's key");
	rc = lt_wire_unpack(&ltpb__receipt_body__descriptor, raw, LT_MESSAGE_MAX, arena, &msg, err);
	if (rc != LT_OK)
		return rc;
	b = (Ltpb__ReceiptBody *)msg;
	rc = check_receipt(b, err);
	if (rc != LT_OK)
		return rc;
	if (!is_of(&b->federation, fed))
		return lt_err_set(err, LT_E_DENIED, "receipt: of another federation");
	*body = b;
	return LT_OK;
}

/* Printable ASCII without blanks: it is shown, joined by blanks and dialed. */
static bool
address_valid(const char *a)
{
	size_t n = strlen(a), i;

	if (n == 0 || n > LT_ADDRESS_LEN_MAX)
		return false;
	for (i = 0; i < n; i++)
		if (a[i] <= 0x20 || a[i] >= 0x7f)
			return false;
	return true;
}

static int
check_invitation(const Ltpb__Invitation *inv, struct lt_err *err)
{
	struct lt_err why = { "" };
	size_t i;

	if (inv->root_key.len != crypto_sign_PUBLICKEYBYTES || inv->federation_salt.len != 16 ||
	    inv->hub_line_key.len != crypto_scalarmult_BYTES || inv->token.len != 16)
		return lt_err_set(err, LT_E_INVALID,
		    "invitation: a key, the salt or the token has the wrong length");
	if (inv->n_address == 0 || inv->n_address > LT_ADDRESSES_MAX)
		return lt_err_set(err, LT_E_INVALID,
		    "invitation: 1 to %d addresses needed, %zu given", LT_ADDRESSES_MAX,
		    inv->n_address);
	for (i = 0; i < inv->n_address; i++)
		if (!address_valid(inv->address[i]))
			return lt_err_set(
			    err, LT_E_INVALID, "invitation: address %zu is none", i + 1);
	if (check_place(inv->role, inv->unit, inv->org, &why) != LT_OK)
		return lt_err_set(err, LT_E_INVALID, "invitation: %s", why.text);
	return LT_OK;
}

int
lt_invitation_line(const Ltpb__Invitation *inv, struct lt_buf *out)
{
	const int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
	struct lt_buf bytes = { 0 };
	uint8_t check[16];
	size_t len;
	char *text;
	int rc;

	if (check_invitation(inv, NULL) != LT_OK)
		return LT_E_INVALID;
	rc = lt_wire_pack(&inv->base, INVITATION_MAX, &bytes);
	if (rc != LT_OK)
		goto out;
	lt_h16(LT_TAG_TOKEN, lt_buf_slice(&bytes), check);
	lt_buf_put(&bytes, check, CHECK_LEN);
	len = sodium_base64_encoded_len(bytes.len, variant); /* NUL included */
	lt_buf_str(out, PREFIX);
	text = bytes.err == LT_OK ? (char *)lt_buf_reserve(out, len) : NULL;
	if (text != NULL) {
		(void)sodium_bin2base64(text, len, bytes.data, bytes.len, variant);
		lt_buf_added(out, len - 1);
	}
	rc = bytes.err != LT_OK ? bytes.err : out->err;
out:
	/* The token is a secret until it is used. */
	if (bytes.data != NULL)
		sodium_memzero(bytes.data, bytes.len);
	lt_buf_fini(&bytes);
	return rc;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The line without blanks around it and without the prefix. */
static int
strip_line(const char *line, struct lt_slice *body, struct lt_err *err)
{
	const size_t prefix = sizeof(PREFIX) - 1;
	size_t n;

	while (is_blank(*line))
		line++;
	n = strlen(line);
	while (n > 0 && is_blank(line[n - 1]))
		n--;
	if (n > INVITATION_LINE_MAX)
		return lt_err_set(err, LT_E_INVALID, "too long for an invitation");
	if (n >= 3 && memcmp(line, "LT", 2) == 0 && line[2] >= '2' && line[2] <= '9')
		return lt_err_set(
		    err, LT_E_INVALID, "this invitation is for a newer program; update first");
	if (n < prefix || memcmp(line, PREFIX, prefix) != 0)
		return lt_err_set(
		    err, LT_E_INVALID, "not an invitation: it begins with \"%s\"", PREFIX);
	*body = lt_slice(line + prefix, n - prefix);
	return LT_OK;
}

int
lt_invitation_parse(
    const char *line, struct lt_arena *arena, Ltpb__Invitation **inv, struct lt_err *err)
{
	uint8_t raw[INVITATION_MAX + CHECK_LEN], check[16];
	const char *damaged = "the invitation is damaged or cut off; copy the whole line again";
	ProtobufCMessage *msg = NULL;
	struct lt_slice body = { NULL, 0 };
	size_t n = 0;
	int rc;

	rc = strip_line(line, &body, err);
	if (rc != LT_OK)
		return rc;
	if (sodium_base642bin(raw, sizeof(raw), (const char *)body.data, body.len, NULL, &n, NULL,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
	    n < CHECK_LEN) {
		rc = lt_err_set(err, LT_E_INVALID, "%s", damaged);
		goto out;
	}
	n -= CHECK_LEN;
	lt_h16(LT_TAG_TOKEN, lt_slice(raw, n), check);
	if (memcmp(check, raw + n, CHECK_LEN) != 0) {
		rc = lt_err_set(err, LT_E_INVALID, "%s", damaged);
		goto out;
	}
	rc = lt_wire_unpack(
	    &ltpb__invitation__descriptor, lt_slice(raw, n), INVITATION_MAX, arena, &msg, err);
	if (rc == LT_OK)
		rc = check_invitation((const Ltpb__Invitation *)msg, err);
	if (rc == LT_OK)
		*inv = (Ltpb__Invitation *)msg;
out:
	sodium_memzero(raw, sizeof(raw));
	return rc;
}

#define JOIN_LEN (LT_FED_LEN + 16 + LT_ID_LEN + 32 + 32)

static struct lt_slice
join_bytes(uint8_t out[JOIN_LEN], const struct lt_fed *fed, const uint8_t token[16],
    const struct lt_id *principal, const uint8_t sign_key[32], const uint8_t line_key[32])
{
	uint8_t *p = out;

	memcpy(p, fed->b, LT_FED_LEN);
	p += LT_FED_LEN;
	memcpy(p, token, 16);
	p += 16;
	memcpy(p, principal->b, LT_ID_LEN);
	p += LT_ID_LEN;
	memcpy(p, sign_key, 32);
	memcpy(p + 32, line_key, 32);
	return lt_slice(out, JOIN_LEN);
}

void
lt_join_proof(const struct lt_sign_key *k, const struct lt_fed *fed, const uint8_t token[16],
    const struct lt_id *principal, const uint8_t line_key[32], uint8_t sig[LT_SIG_LEN])
{
	uint8_t bytes[JOIN_LEN];

	lt_sign(k, LT_TAG_JOIN, join_bytes(bytes, fed, token, principal, k->pk, line_key), sig);
}

int
lt_join_proof_verify(const uint8_t sign_key[32], const struct lt_fed *fed, const uint8_t token[16],
    const struct lt_id *principal, const uint8_t line_key[32], struct lt_slice sig)
{
	uint8_t bytes[JOIN_LEN];

	return lt_sign_verify(sign_key, LT_TAG_JOIN,
	    join_bytes(bytes, fed, token, principal, sign_key, line_key), sig);
}

#define ROTATION_LEN (LT_FED_LEN + LT_ID_LEN + 4 + 4 + 32 + 32)

static struct lt_slice
rotation_bytes(uint8_t out[ROTATION_LEN], const struct lt_fed *fed, const struct lt_rotation *r)
{
	uint8_t *p = out;

	memcpy(p, fed->b, LT_FED_LEN);
	p += LT_FED_LEN;
	memcpy(p, r->principal.b, LT_ID_LEN);
	p += LT_ID_LEN;
	lt_store_u32(p, r->old_no);
	lt_store_u32(p + 4, r->new_no);
	p += 8;
	memcpy(p, r->sign_key, 32);
	memcpy(p + 32, r->line_key, 32);
	return lt_slice(out, ROTATION_LEN);
}

void
lt_rotation_sign(const struct lt_sign_key *k, const struct lt_fed *fed, const struct lt_rotation *r,
    uint8_t sig[LT_SIG_LEN])
{
	uint8_t bytes[ROTATION_LEN];

	lt_sign(k, LT_TAG_ROTATE, rotation_bytes(bytes, fed, r), sig);
}

int
lt_rotation_verify(const uint8_t sign_key[32], const struct lt_fed *fed,
    const struct lt_rotation *r, struct lt_slice sig)
{
	uint8_t bytes[ROTATION_LEN];

	return lt_sign_verify(sign_key, LT_TAG_ROTATE, rotation_bytes(bytes, fed, r), sig);
}

bool
lt_verdict_names(size_t n, Ltpb__HeldDot *const *dot, uint64_t seq, uint32_t index)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (dot[i]->seq == seq && dot[i]->index == index)
			return true;
	return false;
}
