/* Byte for byte what tests/vectors/make_golden.py, written from FORMAT.md alone, has made. */
#include "tests/feed/sample.h"

#include "proto/base/file.h"
#include "proto/feed/identity.h"
#include "proto/feed/leaf.h"
#include "proto/feed/trust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmocka.h>
#include <jansson.h>

static json_t *golden;

static json_t *
in(const json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);

	if (v == NULL)
		fail_msg("golden.json has no \"%s\"", name);
	return v;
}

/* Bytes of a hexadecimal string, kept until the test program ends. */
static struct lt_slice
hex(const json_t *v)
{
	static uint8_t room[256 * 1024];
	static size_t used;
	const char *s = json_string_value(v);
	struct lt_slice out;

	assert_non_null(s);
	out = lt_slice(room + used, strlen(s) / 2);
	assert_true(used + out.len <= sizeof(room));
	assert_int_equal(lt_unhex(room + used, out.len, s), LT_OK);
	used += out.len;
	return out;
}

static struct lt_slice
hex_in(const json_t *o, const char *name)
{
	return hex(in(o, name));
}

static void
same(struct lt_slice want, const void *got, size_t len)
{
	assert_int_equal(want.len, len);
	assert_memory_equal(want.data, got, len);
}

static void
same_buf(struct lt_slice want, const struct lt_buf *got)
{
	assert_int_equal(got->err, LT_OK);
	same(want, got->data, got->len);
}

static void
hashes(void **state)
{
	const json_t *list = in(golden, "hash"), *v;
	uint8_t h16[16];
	struct lt_hash h;
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(list), 5);
	json_array_foreach(list, i, v)
	{
		const char *tag = json_string_value(in(v, "tag"));

		lt_h1(tag, hex_in(v, "message"), &h);
		same(hex_in(v, "h"), h.b, 32);
		lt_h16(tag, hex_in(v, "message"), h16);
		same(hex_in(v, "h16"), h16, 16);
	}
}

static void
merkle_roots(void **state)
{
	const json_t *list = in(golden, "merkle"), *v;
	struct lt_hash leaf[9], root;
	size_t i, n;

	(void)state;
	assert_int_equal(json_array_size(list), 10);
	json_array_foreach(list, n, v)
	{
		assert_int_equal(json_array_size(in(v, "leaves")), n);
		for (i = 0; i < n; i++)
			memcpy(leaf[i].b, hex(json_array_get(in(v, "leaves"), i)).data, 32);
		lt_merkle_root(leaf, n, &root);
		same(hex_in(v, "root"), root.b, 32);
	}
}

/* Parse bytes, verify everything, give them back stripped. */
static void
reads(const struct sample *s, struct lt_slice bytes, struct lt_arena *a, struct lt_changeset *cs)
{
	struct lt_err err = { "" };

	lt_arena_init(a, lt_arena_cap_for(bytes.len));
	if (sample_verify(bytes, s->key.pk, a, cs, &err) != LT_OK)
		fail_msg("%s", err.text);
}

static void
changeset_is_sealed_alike(void **state)
{
	const json_t *made = in(in(golden, "changeset"), "made");
	struct lt_buf bare = { 0 }, full = { 0 };
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;
	size_t i;

	(void)state;
	sample_init(&s);
	same(hex_in(in(golden, "changeset"), "sign_key"), s.key.pk, 32);
	sample_seal(&s);
	same_buf(hex_in(made, "with_seed"), &s.bytes);
	same(hex_in(made, "hash"), s.hash.b, 32);

	reads(&s, lt_buf_slice(&s.bytes), &a, &cs);
	same(hex_in(made, "header"), cs.header.data, cs.header.len);
	same(hex_in(made, "signature"), cs.signature.data, cs.signature.len);
	for (i = 0; i < 3; i++)
		same(hex(json_array_get(in(made, "changes"), i)), cs.change_raw[i].data,
		    cs.change_raw[i].len);
	assert_int_equal(lt_changeset_strip(&cs, &bare), LT_OK);
	same_buf(hex_in(made, "bare"), &bare);
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&bare), cs.nopening, cs.opening, &full, NULL), LT_OK);
	same_buf(hex_in(made, "with_salts"), &full);
	for (i = 1; i < cs.nopening; i += 2)
		cs.opening[i].withheld = true;
	lt_buf_clear(&full);
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&bare), cs.nopening, cs.opening, &full, NULL), LT_OK);
	same_buf(hex_in(made, "with_withheld"), &full);
	lt_buf_fini(&bare);
	lt_buf_fini(&full);
	lt_arena_fini(&a);
	sample_fini(&s);
}

static void
leaves_and_salts(void **state)
{
	const json_t *list = in(in(in(golden, "changeset"), "made"), "leaves"), *v;
	struct sample s;
	size_t i;

	(void)state;
	sample_init(&s);
	assert_int_equal(json_array_size(list), 5);
	json_array_foreach(list, i, v)
	{
		uint32_t index = (uint32_t)json_integer_value(in(v, "change"));
		const struct lt_leaf_place place = { &s.seal.unit, &s.seal.feed, s.seal.seq, index,
			s.draft[index].collection, s.draft[index].key,
			json_string_value(in(v, "name")) };
		uint8_t salt[LT_SALT_LEN];
		struct lt_hash leaf;

		lt_leaf_salt(s.seal.seed, index, place.field, salt);
		same(hex_in(v, "salt"), salt, sizeof(salt));
		lt_leaf_hash(&place, salt, hex_in(v, "field_set"), &leaf);
		same(hex_in(v, "leaf"), leaf.b, 32);
	}
	sample_fini(&s);
}

/* The bytes of the other implementation in all their forms are read and verified. */
static void
other_forms_are_read(void **state)
{
	static const char *const form[] = { "with_seed", "with_salts", "with_withheld" };
	const json_t *made = in(in(golden, "changeset"), "made");
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;
	size_t i, k;

	(void)state;
	sample_init(&s);
	for (i = 0; i < 3; i++) {
		reads(&s, hex_in(made, form[i]), &a, &cs);
		assert_int_equal(cs.nopening, 5);
		for (k = 0; k < 5; k++) {
			assert_int_equal(cs.opening[k].withheld, i == 2 && k % 2 == 1);
			same(hex_in(json_array_get(in(made, "leaves"), k), "leaf"),
			    cs.opening[k].leaf.b, 32);
		}
		lt_arena_fini(&a);
	}
	sample_fini(&s);
}

static void
earlier_head(
    Ltpb__FeedHead *h, struct lt_unit *unit, struct lt_feed_id *feed, uint64_t seq, uint8_t *hash)
{
	ltpb__feed_head__init(h);
	h->unit = unit->s;
	h->feed.data = feed->b;
	h->feed.len = LT_FEED_LEN;
	h->seq = seq;
	h->hash.data = hash;
	h->hash.len = LT_HASH_LEN;
}

/* seq 1, unit `_`, zeros where proto3 leaves a field out, two earlier epochs. */
static void
first_changeset_is_sealed_alike(void **state)
{
	const json_t *made = in(in(golden, "changeset_first"), "made");
	struct lt_draft draft = { .collection = "_unit", .key = "23956" };
	struct lt_feed_id e0, e1;
	uint8_t hash0[32], hash1[32];
	struct lt_changeset cs;
	Ltpb__FeedHead head[2];
	struct lt_arena a;
	struct lt_id author;
	struct sample s;

	(void)state;
	sample_init(&s);
	author = lt_feed_author(&s.seal.feed);
	e0 = lt_feed_id_make(author, LT_LANE_URGENT, 0);
	e1 = lt_feed_id_make(author, LT_LANE_URGENT, UINT64_MAX);
	sample_fill(hash0, 32, 1);
	sample_fill(hash1, 32, 2);
	assert_int_equal(lt_unit_set(&s.seal.unit, lt_slice("_", 1)), LT_OK);
	s.seal.feed = lt_feed_id_make(author, LT_LANE_URGENT, 1);
	s.seal.seq = s.seal.stamp = s.seal.key_no = 1;
	s.seal.hub_stamp = s.seal.catalogue_version = 0;
	memset(s.seal.prev.b, 0, 32);
	earlier_head(&head[0], &s.seal.unit, &e0, 128, hash0);
	earlier_head(&head[1], &s.seal.unit, &e1, 1, hash1);
	s.seal.earlier = head;
	s.seal.nearlier = 2;
	s.seal.draft = &draft;
	s.seal.ndraft = 1;
	sample_seal(&s);
	same_buf(hex_in(made, "bare"), &s.bytes);
	same_buf(hex_in(made, "with_seed"), &s.bytes);
	reads(&s, lt_buf_slice(&s.bytes), &a, &cs);
	assert_int_equal(cs.nearlier, 2);
	assert_int_equal(cs.earlier[0]->seq, 128);
	lt_arena_fini(&a);
	sample_fini(&s);
}

static ProtobufCBinaryData
bin(struct lt_slice s)
{
	ProtobufCBinaryData d = { s.len, (uint8_t *)(uintptr_t)s.data };

	return d;
}

static void
certificate(void **state)
{
	static char org[] = "UBND tỉnh", purpose[] = "hub";
	Ltpb__CertificateBody b = LTPB__CERTIFICATE_BODY__INIT, *back = NULL;
	const json_t *t = in(golden, "trust");
	struct lt_buf out = { 0 };
	struct lt_sign_key root, hub;
	struct lt_arena a;
	struct lt_fed fed;

	(void)state;
	lt_sign_key_from_seed(hex_in(t, "root_seed").data, &root);
	lt_sign_key_from_seed(hex_in(t, "hub_seed").data, &hub);
	same(hex_in(t, "root_key"), root.pk, 32);
	lt_federation_id(root.pk, hex_in(t, "salt").data, &fed);
	same(hex_in(t, "federation"), fed.b, 32);
	b.federation = bin(lt_slice(fed.b, 32));
	b.principal = bin(hex_in(t, "principal"));
	b.role = LTPB__ROLE__ROLE_HUB;
	b.org = org;
	b.key_no = 3;
	b.sign_key = bin(lt_slice(hub.pk, 32));
	b.line_key = bin(hex_in(t, "line_public"));
	b.generation = 300;
	b.purpose = purpose;
	assert_int_equal(lt_certificate_make(&b, &root, &out), LT_OK);
	same_buf(hex_in(t, "certificate"), &out);
	lt_arena_init(&a, lt_arena_cap_for(out.len));
	assert_int_equal(
	    lt_certificate_verify(hex_in(t, "certificate"), root.pk, &fed, &a, &back, NULL), LT_OK);
	assert_int_equal(back->generation, 300);
	lt_arena_fini(&a);
	lt_buf_fini(&out);
}

static void
receipt(void **state)
{
	static char unit[] = "23956";
	Ltpb__ReceiptBody b = LTPB__RECEIPT_BODY__INIT, *back = NULL;
	Ltpb__RefusedDot refused = LTPB__REFUSED_DOT__INIT, *refuseds[1] = { &refused };
	Ltpb__HeldDot held = LTPB__HELD_DOT__INIT, *helds[1] = { &held };
	Ltpb__Clamp clamp = LTPB__CLAMP__INIT, *clamps[1] = { &clamp };
	const json_t *t = in(golden, "trust");
	struct lt_buf out = { 0 };
	struct lt_feed_id feed;
	struct lt_sign_key hub;
	uint8_t hash[32];
	struct lt_arena a;
	struct lt_id author;
	struct lt_fed fed;

	(void)state;
	lt_sign_key_from_seed(hex_in(t, "hub_seed").data, &hub);
	memcpy(fed.b, hex_in(t, "federation").data, 32);
	sample_fill(author.b, 16, 0xa0);
	sample_fill(hash, 32, 0xb0);
	feed = lt_feed_id_make(author, LT_LANE_BULK, UINT64_C(0x1122334455667788));
	b.federation = bin(lt_slice(fed.b, 32));
	b.hub = bin(hex_in(t, "principal"));
	b.key_no = 3;
	b.unit = unit;
	b.feed = bin(lt_slice(feed.b, LT_FEED_LEN));
	b.seq = 70000;
	b.hash = bin(lt_slice(hash, 32));
	b.since_ms = INT64_C(1785542400123);
	refused.seq = 69999;
	refused.index = 5;
	refused.reason = LTPB__REASON_CODE__REASON_RANGE;
	b.refused = refuseds;
	held.seq = 70000;
	b.held = helds;
	clamp.from = 1;
	clamp.to = 70000;
	clamp.floor = 1 << 16;
	clamp.ceiling = UINT64_C(1785542400123) << 16 | 0xffff;
	b.clamp = clamps;
	b.n_refused = b.n_held = b.n_clamp = 1;
	b.more = 1;
	assert_int_equal(lt_receipt_make(&b, &hub, &out), LT_OK);
	same_buf(hex_in(t, "receipt"), &out);
	lt_arena_init(&a, lt_arena_cap_for(out.len));
	assert_int_equal(
	    lt_receipt_verify(lt_buf_slice(&out), hub.pk, &fed, &a, &back, NULL), LT_OK);
	assert_true(back->more);
	lt_arena_fini(&a);
	lt_buf_fini(&out);
}

static void
invitation(void **state)
{
	static char one[] = "tcp://hub.example:7117", two[] = "tcp://[2001:db8::7]:7117";
	static char unit[] = "23956", *address[2] = { one, two };
	Ltpb__Invitation inv = LTPB__INVITATION__INIT, *back = NULL;
	const json_t *t = in(golden, "trust");
	const char *line = json_string_value(in(t, "invitation_line"));
	struct lt_buf out = { 0 };
	struct lt_hash h;
	struct lt_arena a;

	(void)state;
	inv.root_key = bin(hex_in(t, "root_key"));
	inv.federation_salt = bin(hex_in(t, "salt"));
	inv.hub_line_key = bin(hex_in(t, "line_public"));
	inv.token = bin(hex_in(t, "token"));
	inv.address = address;
	inv.n_address = 2;
	inv.role = LTPB__ROLE__ROLE_NODE;
	inv.unit = unit;
	inv.expires_s = 1790000000;
	assert_int_equal(lt_invitation_line(&inv, &out), LT_OK);
	same_buf(lt_slice_str(line), &out);
	lt_arena_init(&a, lt_arena_cap_for(out.len));
	assert_int_equal(lt_invitation_parse(line, &a, &back, NULL), LT_OK);
	assert_string_equal(back->address[1], two);
	lt_arena_fini(&a);
	lt_buf_fini(&out);
	lt_h1(LT_TAG_TOKEN, hex_in(t, "token"), &h);
	same(hex_in(t, "token_hash"), h.b, 32);
}

static void
join_proof_and_words(void **state)
{
	const json_t *t = in(golden, "trust");
	struct lt_buf out = { 0 };
	uint8_t sig[LT_SIG_LEN], seed[32], all[256];
	struct lt_sign_key node;
	struct lt_fed fed;
	struct lt_id p;
	size_t i;

	(void)state;
	lt_sign_key_from_seed(hex_in(t, "node_seed").data, &node);
	memcpy(fed.b, hex_in(t, "federation").data, 32);
	memcpy(p.b, hex_in(t, "principal").data, 16);
	lt_join_proof(&node, &fed, hex_in(t, "token").data, &p, hex_in(t, "line_public").data, sig);
	same(hex_in(t, "join_proof"), sig, sizeof(sig));
	lt_fingerprint(&fed, &p, node.pk, hex_in(t, "line_public").data, &out);
	same_buf(lt_slice_str(json_string_value(in(t, "fingerprint"))), &out);
	lt_buf_clear(&out);
	for (i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	lt_words(&out, all, sizeof(all));
	same_buf(lt_slice_str(json_string_value(in(t, "all_words"))), &out);
	lt_buf_clear(&out);
	lt_hub_words(&fed, &out);
	same_buf(lt_slice_str(json_string_value(in(t, "hub_words"))), &out);
	lt_buf_clear(&out);
	lt_root_words(&out, hex_in(t, "root_seed").data);
	same_buf(lt_slice_str(json_string_value(in(t, "root_words"))), &out);
	assert_int_equal(
	    lt_root_words_parse(json_string_value(in(t, "root_words")), seed, NULL), LT_OK);
	same(hex_in(t, "root_seed"), seed, 32);
	lt_buf_fini(&out);
}

static void
identity_file(void **state)
{
	const json_t *t = in(golden, "trust");
	const char *want = json_string_value(in(t, "identity"));
	char dir[] = "/tmp/lt_golden_XXXXXX", path[64];
	struct lt_identity *id = NULL;
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/identity", dir);
	assert_int_equal(lt_file_write(path, lt_slice_str(want), 0600, true, NULL), LT_OK);
	if (lt_identity_load(dir, &id, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_int_equal(id->key_no, 258);
	same(hex_in(t, "line_public"), id->line_pk, 32);
	assert_string_equal(id->addresses, "tcp://hub.example:7117 tcp://[2001:db8::7]:7117");
	assert_int_equal(lt_identity_write(id, dir, true, NULL), LT_OK);
	assert_int_equal(lt_file_read(path, 1 << 16, &b, NULL), LT_OK);
	same_buf(lt_slice_str(want), &b);
	lt_identity_free(id);
	lt_buf_fini(&b);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* FORMAT.md 9.2 with the tagged hash of this room. */
static void
checksum_of_stored_values(void **state)
{
	const json_t *list = in(golden, "value"), *v;
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(list), 9);
	json_array_foreach(list, i, v)
	{
		struct lt_slice m = hex_in(v, "value"), stored = hex_in(v, "stored");
		struct lt_buf b = { 0 };
		uint8_t place[16], sum[8];

		lt_buf_framed(&b, lt_slice_str(json_string_value(in(v, "table"))));
		lt_buf_framed(&b, hex_in(v, "key"));
		if (strcmp(json_string_value(in(v, "table")), "meta") == 0) {
			crypto_shorthash(
			    place, b.data, b.len, (const uint8_t *)"lt1.value\0\0\0\0\0\0");
			memcpy(place + 8, place, 8);
			crypto_shorthash(sum, m.data, m.len, place);
		} else {
			lt_store_u64(
			    sum, XXH3_64bits_withSeed(m.data, m.len, XXH3_64bits(b.data, b.len)));
		}
		assert_int_equal(stored.len, m.len + 8);
		assert_memory_equal(stored.data + m.len, sum, 8);
		lt_buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes),
		cmocka_unit_test(merkle_roots),
		cmocka_unit_test(changeset_is_sealed_alike),
		cmocka_unit_test(leaves_and_salts),
		cmocka_unit_test(other_forms_are_read),
		cmocka_unit_test(first_changeset_is_sealed_alike),
		cmocka_unit_test(certificate),
		cmocka_unit_test(receipt),
		cmocka_unit_test(invitation),
		cmocka_unit_test(join_proof_and_words),
		cmocka_unit_test(identity_file),
		cmocka_unit_test(checksum_of_stored_values),
	};
	json_error_t why;
	int rc;

	if (sodium_init() < 0)
		return 1;
	golden = json_load_file(LT_SOURCE_DIR "/tests/vectors/golden.json", 0, &why);
	if (golden == NULL) {
		(void)fprintf(stderr, "golden.json: %s\n", why.text);
		return 1;
	}
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	json_decref(golden);
	return rc;
}
