/* Certificates, receipts, invitations and join proofs: what is refused, and with which code. */
#include "proto/feed/trust.h"

#include "proto/base/wire.h"
#include "tests/feed/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint8_t fed[32], principal[16], sign_key[32], line_key[32], hash[32], feed[25];

static void
set(ProtobufCBinaryData *d, uint8_t *data, size_t len)
{
	d->data = data;
	d->len = len;
}

static void
certificate(Ltpb__CertificateBody *b)
{
	static char commune[] = "23956";

	sample_fill(fed, 32, 1);
	sample_fill(principal, 16, 2);
	sample_fill(sign_key, 32, 3);
	sample_fill(line_key, 32, 4);
	ltpb__certificate_body__init(b);
	set(&b->federation, fed, 32);
	set(&b->principal, principal, 16);
	set(&b->sign_key, sign_key, 32);
	set(&b->line_key, line_key, 32);
	b->role = LTPB__ROLE__ROLE_NODE;
	b->unit = commune;
	b->key_no = 1;
	b->generation = 5;
}

static int
verify_certificate(struct lt_slice bytes, const uint8_t root[32], const uint8_t of[32])
{
	Ltpb__CertificateBody *body = NULL;
	struct lt_arena a;
	struct lt_fed f;
	int rc;

	memcpy(f.b, of, 32);
	lt_arena_init(&a, lt_arena_cap_for(bytes.len));
	rc = lt_certificate_verify(bytes, root, &f, &a, &body, NULL);
	if (rc == LT_OK) {
		assert_int_equal(body->generation, 5);
		assert_string_equal(body->unit, "23956");
	}
	lt_arena_fini(&a);
	return rc;
}

static void
certificate_is_verified(void **state)
{
	struct lt_buf b = { 0 };
	Ltpb__CertificateBody body;
	struct lt_sign_key root, other;
	uint8_t foreign[32] = { 9 };
	size_t i;

	(void)state;
	sample_key(&root, 1);
	sample_key(&other, 2);
	certificate(&body);
	assert_int_equal(lt_certificate_make(&body, &root, &b), LT_OK);
	assert_int_equal(verify_certificate(lt_buf_slice(&b), root.pk, fed), LT_OK);
	assert_int_equal(verify_certificate(lt_buf_slice(&b), other.pk, fed), LT_E_BADSIG);
	assert_int_equal(verify_certificate(lt_buf_slice(&b), root.pk, foreign), LT_E_DENIED);
	for (i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_not_equal(verify_certificate(lt_buf_slice(&b), root.pk, fed), LT_OK);
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (i = 0; i < b.len; i++)
		assert_int_not_equal(verify_certificate(lt_slice(b.data, i), root.pk, fed), LT_OK);
	lt_buf_fini(&b);
}

static void
certificate_of_nonsense_is_not_made(void **state)
{
	static char province[] = "52", long_org[66];
	struct lt_buf b = { 0 };
	Ltpb__CertificateBody body;
	struct lt_sign_key root;
	size_t i;

	(void)state;
	sample_key(&root, 1);
	memset(long_org, 'a', 65);
	for (i = 0; i < 9; i++) {
		certificate(&body);
		switch (i) {
		case 0:
			body.federation.len = 31;
			break;
		case 1:
			body.principal.len = 15;
			break;
		case 2:
			body.sign_key.len = 0;
			break;
		case 3:
			body.line_key.len = 31;
			break;
		case 4:
			body.key_no = 0;
			break;
		case 5:
			body.role = LTPB__ROLE__ROLE_UNSPECIFIED;
			break;
		case 6:
			body.unit = province;
			break;
		case 7:
			body.unit = long_org + 65;
			break;
		default:
			body.org = long_org;
			break;
		}
		assert_int_equal(lt_certificate_make(&body, &root, &b), LT_E_INVALID);
		assert_int_equal(b.len, 0);
	}
	certificate(&body);
	body.org = long_org + 1; /* 64 bytes */
	assert_int_equal(lt_certificate_make(&body, &root, &b), LT_OK);
	lt_buf_fini(&b);
}

static void
receipt(Ltpb__ReceiptBody *b)
{
	static char commune[] = "23956";

	sample_fill(fed, 32, 1);
	sample_fill(principal, 16, 2);
	sample_fill(hash, 32, 5);
	sample_fill(feed, 25, 6);
	feed[16] = LT_LANE_NORMAL;
	ltpb__receipt_body__init(b);
	set(&b->federation, fed, 32);
	set(&b->hub, principal, 16);
	set(&b->feed, feed, 25);
	set(&b->hash, hash, 32);
	b->unit = commune;
	b->key_no = 1;
	b->seq = 9;
	b->since_ms = 1785542400123;
}

static int
verify_receipt(struct lt_slice bytes, const uint8_t hub[32], const uint8_t of[32])
{
	Ltpb__ReceiptBody *body = NULL;
	struct lt_arena a;
	struct lt_fed f;
	int rc;

	memcpy(f.b, of, 32);
	lt_arena_init(&a, lt_arena_cap_for(bytes.len));
	rc = lt_receipt_verify(bytes, hub, &f, &a, &body, NULL);
	if (rc == LT_OK)
		assert_int_equal(body->seq, 9);
	lt_arena_fini(&a);
	return rc;
}

static void
receipt_is_verified(void **state)
{
	Ltpb__RefusedDot refused = LTPB__REFUSED_DOT__INIT, *list[1] = { &refused };
	struct lt_buf b = { 0 };
	Ltpb__ReceiptBody body;
	struct lt_sign_key hub, other;
	uint8_t foreign[32] = { 9 };
	size_t i;

	(void)state;
	sample_key(&hub, 1);
	sample_key(&other, 2);
	receipt(&body);
	refused.seq = 9;
	refused.reason = LTPB__REASON_CODE__REASON_RANGE;
	body.refused = list;
	body.n_refused = 1;
	assert_int_equal(lt_receipt_make(&body, &hub, &b), LT_OK);
	assert_int_equal(verify_receipt(lt_buf_slice(&b), hub.pk, fed), LT_OK);
	assert_int_equal(verify_receipt(lt_buf_slice(&b), other.pk, fed), LT_E_BADSIG);
	assert_int_equal(verify_receipt(lt_buf_slice(&b), hub.pk, foreign), LT_E_DENIED);
	for (i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_not_equal(verify_receipt(lt_buf_slice(&b), hub.pk, fed), LT_OK);
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	lt_buf_clear(&b);
	feed[16] = 4;
	assert_int_equal(lt_receipt_make(&body, &hub, &b), LT_E_INVALID);
	feed[16] = LT_LANE_BULK;
	body.seq = 0;
	assert_int_equal(lt_receipt_make(&body, &hub, &b), LT_E_INVALID);
	body.seq = 1;
	body.hash.len = 0;
	assert_int_equal(lt_receipt_make(&body, &hub, &b), LT_E_INVALID);
	lt_buf_fini(&b);
}

/* Certificate and receipt have the same wire form; a signature of one is none of the other. */
static void
a_receipt_is_no_certificate(void **state)
{
	struct lt_buf b = { 0 }, body_bytes = { 0 }, forged = { 0 };
	Ltpb__Receipt r = LTPB__RECEIPT__INIT;
	Ltpb__CertificateBody body;
	struct lt_sign_key key;
	uint8_t sig[64];

	(void)state;
	sample_key(&key, 1);
	certificate(&body);
	assert_int_equal(lt_wire_pack(&body.base, 4096, &body_bytes), LT_OK);
	lt_sign(&key, LT_TAG_RECEIPT, lt_buf_slice(&body_bytes), sig);
	set(&r.body, body_bytes.data, body_bytes.len);
	set(&r.signature, sig, 64);
	assert_int_equal(lt_wire_pack(&r.base, 4096, &forged), LT_OK);
	assert_int_equal(verify_certificate(lt_buf_slice(&forged), key.pk, fed), LT_E_BADSIG);
	lt_buf_fini(&b);
	lt_buf_fini(&body_bytes);
	lt_buf_fini(&forged);
}

static char addr1[] = "tcp://hub.sonla.example:7117", addr2[] = "tcp://[2001:db8::7]:7117";

static void
invitation(Ltpb__Invitation *inv)
{
	static char *address[9] = { addr1, addr2, addr1, addr1, addr1, addr1, addr1, addr1, addr1 };
	static char commune[] = "23956";
	static uint8_t salt[16], token[16];

	sample_fill(sign_key, 32, 3);
	sample_fill(line_key, 32, 4);
	sample_fill(salt, 16, 5);
	sample_fill(token, 16, 6);
	ltpb__invitation__init(inv);
	set(&inv->root_key, sign_key, 32);
	set(&inv->federation_salt, salt, 16);
	set(&inv->hub_line_key, line_key, 32);
	set(&inv->token, token, 16);
	inv->address = address;
	inv->n_address = 2;
	inv->role = LTPB__ROLE__ROLE_NODE;
	inv->unit = commune;
	inv->expires_s = 1790000000;
}

static int
parse(const char *line, struct lt_err *err)
{
	Ltpb__Invitation *inv = NULL;
	struct lt_arena a;
	int rc;

	lt_arena_init(&a, lt_arena_cap_for(strlen(line)));
	rc = lt_invitation_parse(line, &a, &inv, err);
	if (rc == LT_OK) {
		assert_int_equal(inv->n_address, 2);
		assert_string_equal(inv->address[1], addr2);
		assert_int_equal(inv->token.data[15], 21);
		assert_int_equal(inv->expires_s, 1790000000);
	}
	lt_arena_fini(&a);
	return rc;
}

static char *
line_of(struct lt_buf *b)
{
	Ltpb__Invitation inv;

	invitation(&inv);
	lt_buf_clear(b);
	assert_int_equal(lt_invitation_line(&inv, b), LT_OK);
	lt_buf_u8(b, 0);
	return (char *)b->data;
}

static void
invitation_comes_back(void **state)
{
	struct lt_buf b = { 0 }, padded = { 0 };
	char *line = line_of(&b);

	(void)state;
	assert_memory_equal(line, "LT1.", 4);
	assert_null(strpbrk(line, "+/= \n"));
	assert_int_equal(parse(line, NULL), LT_OK);
	lt_buf_printf(&padded, " \t\r\n%s \r\n\n", line);
	lt_buf_u8(&padded, 0);
	assert_int_equal(parse((char *)padded.data, NULL), LT_OK);
	lt_buf_fini(&b);
	lt_buf_fini(&padded);
}

/* Every place, every other character of the alphabet and some that are not in it. */
static void
invitation_with_one_wrong_character(void **state)
{
	static const char with[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	    "+/=. \n\t\001\177\303";
	struct lt_buf b = { 0 };
	char *line = line_of(&b), was;
	struct lt_err err;
	size_t i, k, n = strlen(line);

	(void)state;
	for (i = 0; i < n; i++) {
		was = line[i];
		for (k = 0; k < sizeof(with) - 1; k++) {
			if (with[k] == was)
				continue;
			line[i] = with[k];
			err.text[0] = '\0';
			assert_int_equal(parse(line, &err), LT_E_INVALID);
			assert_int_not_equal(err.text[0], '\0');
		}
		line[i] = was;
	}
	lt_buf_fini(&b);
}

static void
invitation_cut_off_or_not_one(void **state)
{
	struct lt_buf b = { 0 }, twice = { 0 };
	char *line = line_of(&b), was;
	struct lt_err err;
	size_t i, n = strlen(line);

	(void)state;
	for (i = 0; i < n; i++) {
		was = line[i];
		line[i] = '\0';
		assert_int_equal(parse(line, NULL), LT_E_INVALID);
		assert_int_equal(parse(line_of(&twice) + i + 1, NULL), LT_E_INVALID);
		line[i] = was;
	}
	lt_buf_clear(&twice);
	lt_buf_printf(&twice, "%s%s", line, line);
	lt_buf_u8(&twice, 0);
	assert_int_equal(parse((char *)twice.data, NULL), LT_E_INVALID);
	line[2] = '2';
	assert_int_equal(parse(line, &err), LT_E_INVALID);
	assert_non_null(strstr(err.text, "newer"));
	assert_int_equal(parse("hello", &err), LT_E_INVALID);
	assert_non_null(strstr(err.text, "not an invitation"));
	assert_int_equal(parse("LT1.", &err), LT_E_INVALID);
	/* Far longer than any. */
	lt_buf_clear(&twice);
	lt_buf_str(&twice, "LT1.");
	for (i = 0; i < 5000; i++)
		lt_buf_u8(&twice, 'A');
	lt_buf_u8(&twice, 0);
	assert_int_equal(parse((char *)twice.data, NULL), LT_E_INVALID);
	lt_buf_fini(&b);
	lt_buf_fini(&twice);
}

static void
invitation_of_nonsense_is_not_made(void **state)
{
	static char blank[] = "tcp://a b:1", empty[] = "", high[] = "tcp://xã:1", longest[257];
	struct lt_buf b = { 0 };
	Ltpb__Invitation inv;
	char *one[1];
	size_t i;

	(void)state;
	memset(longest, 'a', 256);
	for (i = 0; i < 11; i++) {
		invitation(&inv);
		one[0] = i == 0 ? blank : i == 1 ? empty : i == 2 ? high : longest;
		if (i < 4) {
			inv.address = one;
			inv.n_address = 1;
		} else if (i == 4)
			inv.n_address = 0;
		else if (i == 5)
			inv.n_address = 9;
		else if (i == 6)
			inv.root_key.len = 31;
		else if (i == 7)
			inv.federation_salt.len = 0;
		else if (i == 8)
			inv.token.len = 8;
		else if (i == 9)
			inv.role = LTPB__ROLE__ROLE_UNSPECIFIED;
		else
			inv.unit = empty;
		assert_int_equal(lt_invitation_line(&inv, &b), LT_E_INVALID);
		assert_int_equal(b.len, 0);
	}
	/* At the bounds: eight addresses, one of 255 bytes. */
	invitation(&inv);
	inv.n_address = 8;
	assert_int_equal(lt_invitation_line(&inv, &b), LT_OK);
	one[0] = longest + 1;
	inv.address = one;
	inv.n_address = 1;
	assert_int_equal(lt_invitation_line(&inv, &b), LT_OK);
	lt_buf_fini(&b);
}

static void
join_proof_binds_everything(void **state)
{
	struct lt_sign_key k, other;
	uint8_t token[16], line[32], sig[64];
	struct lt_fed f;
	struct lt_id p;
	struct lt_slice s = { sig, 64 };

	(void)state;
	sample_key(&k, 1);
	sample_key(&other, 2);
	sample_fill(token, 16, 3);
	sample_fill(line, 32, 4);
	sample_fill(f.b, 32, 5);
	sample_fill(p.b, 16, 6);
	lt_join_proof(&k, &f, token, &p, line, sig);
	assert_int_equal(lt_join_proof_verify(k.pk, &f, token, &p, line, s), LT_OK);
	assert_int_equal(lt_join_proof_verify(other.pk, &f, token, &p, line, s), LT_E_BADSIG);
	f.b[31] ^= 1;
	assert_int_equal(lt_join_proof_verify(k.pk, &f, token, &p, line, s), LT_E_BADSIG);
	f.b[31] ^= 1;
	token[0] ^= 1;
	assert_int_equal(lt_join_proof_verify(k.pk, &f, token, &p, line, s), LT_E_BADSIG);
	token[0] ^= 1;
	p.b[7] ^= 1;
	assert_int_equal(lt_join_proof_verify(k.pk, &f, token, &p, line, s), LT_E_BADSIG);
	p.b[7] ^= 1;
	line[9] ^= 0x80;
	assert_int_equal(lt_join_proof_verify(k.pk, &f, token, &p, line, s), LT_E_BADSIG);
	line[9] ^= 0x80;
	s.len = 63;
	assert_int_equal(lt_join_proof_verify(k.pk, &f, token, &p, line, s), LT_E_BADSIG);
}

/* Every part of it, and by either key. */
static void
rotation_binds_everything(void **state)
{
	struct lt_rotation r = { .old_no = 1, .new_no = 2 };
	uint8_t *const parts[] = { r.principal.b, r.sign_key, r.line_key, (uint8_t *)&r.old_no,
		(uint8_t *)&r.new_no };
	struct lt_sign_key k, other;
	uint8_t sig[64], bytes[120];
	struct lt_slice s = { sig, 64 };
	struct lt_fed f;
	size_t i;

	(void)state;
	sample_key(&k, 1);
	sample_key(&other, 2);
	sample_fill(f.b, 32, 3);
	sample_fill(r.principal.b, 16, 4);
	sample_fill(r.sign_key, 32, 5);
	sample_fill(r.line_key, 32, 6);
	lt_rotation_sign(&k, &f, &r, sig);
	assert_int_equal(lt_rotation_verify(k.pk, &f, &r, s), LT_OK);
	assert_int_equal(lt_rotation_verify(other.pk, &f, &r, s), LT_E_BADSIG);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		*parts[i] ^= 1;
		assert_int_equal(lt_rotation_verify(k.pk, &f, &r, s), LT_E_BADSIG);
		*parts[i] ^= 1;
	}
	f.b[0] ^= 1;
	assert_int_equal(lt_rotation_verify(k.pk, &f, &r, s), LT_E_BADSIG);
	f.b[0] ^= 1;
	/* Put together by hand from the format: numbers are big-endian. */
	memcpy(bytes, f.b, 32);
	memcpy(bytes + 32, r.principal.b, 16);
	memcpy(bytes + 48, "\0\0\0\1\0\0\0\2", 8);
	memcpy(bytes + 56, r.sign_key, 32);
	memcpy(bytes + 88, r.line_key, 32);
	assert_int_equal(
	    lt_sign_verify(k.pk, "lt1.rotate", lt_slice(bytes, sizeof(bytes)), s), LT_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificate_is_verified),
		cmocka_unit_test(certificate_of_nonsense_is_not_made),
		cmocka_unit_test(receipt_is_verified),
		cmocka_unit_test(a_receipt_is_no_certificate),
		cmocka_unit_test(invitation_comes_back),
		cmocka_unit_test(invitation_with_one_wrong_character),
		cmocka_unit_test(invitation_cut_off_or_not_one),
		cmocka_unit_test(invitation_of_nonsense_is_not_made),
		cmocka_unit_test(join_proof_binds_everything),
		cmocka_unit_test(rotation_binds_everything),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
