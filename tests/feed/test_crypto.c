/* Tags, Merkle shape, signatures at their edges, words. Byte-exact values are in test_golden.c. */
#include "proto/feed/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* FORMAT.md 1.5 as written: recursive. */
static void
root_by_definition(const struct lt_hash *leaf, size_t n, struct lt_hash *out)
{
	struct lt_hash part[2];
	struct lt_slice both = { part[0].b, sizeof(part) };
	size_t k = 1;

	if (n == 0) {
		lt_h1(LT_TAG_EMPTY, lt_slice(NULL, 0), out);
		return;
	}
	if (n == 1) {
		*out = leaf[0];
		return;
	}
	while (k * 2 < n)
		k *= 2;
	root_by_definition(leaf, k, &part[0]);
	root_by_definition(leaf + k, n - k, &part[1]);
	lt_h1(LT_TAG_NODE, both, out);
}

/* The streamed root has the shape of the definition for every count around the powers of two. */
static void
merkle_has_the_defined_shape(void **state)
{
	static struct lt_hash leaf[1025];
	struct lt_hash want, got;
	size_t n;

	(void)state;
	for (n = 0; n < 1025; n++) {
		uint8_t b[2] = { (uint8_t)n, (uint8_t)(n >> 8) };

		lt_h1(LT_TAG_CHANGE, lt_slice(b, 2), &leaf[n]);
	}
	for (n = 0; n <= 1025; n = n == 140 ? 1000 : n + 1) {
		root_by_definition(leaf, n, &want);
		lt_merkle_root(leaf, n, &got);
		assert_memory_equal(want.b, got.b, 32);
	}
}

/* Parts are joined, not framed; a tag is part of what is hashed. */
static void
parts_join_and_tags_differ(void **state)
{
	const struct lt_slice parts[3] = { lt_slice("ab", 2), lt_slice(NULL, 0), lt_slice("c", 1) };
	struct lt_hash a, b, c;
	uint8_t h16[16];

	(void)state;
	lt_h(LT_TAG_CHANGE, parts, 3, &a);
	lt_h1(LT_TAG_CHANGE, lt_slice("abc", 3), &b);
	lt_h1(LT_TAG_CHANGESET, lt_slice("abc", 3), &c);
	assert_memory_equal(a.b, b.b, 32);
	assert_memory_not_equal(a.b, c.b, 32);
	lt_h16(LT_TAG_CHANGE, lt_slice("abc", 3), h16);
	assert_memory_not_equal(h16, a.b, 16); /* its own parameter block, not a cut */
}

static void
key_of(uint8_t fill, struct lt_sign_key *k)
{
	uint8_t seed[32];

	memset(seed, fill, sizeof(seed));
	lt_sign_key_from_seed(seed, k);
}

/* The group order L, little-endian (RFC 8032, 5.1). */
static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
	0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };

/* S + L is the same number modulo L and passes the curve equation; only S below L is allowed. */
static void
signature_with_large_s_is_refused(void **state)
{
	struct lt_slice msg = lt_slice("mot", 3);
	struct lt_sign_key k;
	uint8_t sig[64];
	unsigned carry = 0;
	size_t i;

	(void)state;
	key_of(1, &k);
	lt_sign(&k, LT_TAG_CHANGESET, msg, sig);
	assert_int_equal(lt_sign_verify(k.pk, LT_TAG_CHANGESET, msg, lt_slice(sig, 64)), LT_OK);
	for (i = 0; i < 32; i++) {
		carry += (unsigned)sig[32 + i] + order[i];
		sig[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(
	    lt_sign_verify(k.pk, LT_TAG_CHANGESET, msg, lt_slice(sig, 64)), LT_E_BADSIG);
}

/* Under the neutral element as key, (R = neutral, S = 0) would verify for every message. */
static void
small_order_key_is_refused(void **state)
{
	static const uint8_t keys[][32] = {
		{ 0 }, /* order 4 */
		{ 1 }, /* the neutral element */
		{ [0] = 0xec, [1 ... 30] = 0xff, [31] = 0x7f }, /* order 2 */
		{ 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2,
		    0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38,
		    0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 }, /* order 8 */
	};
	struct lt_slice msg = lt_slice("mot", 3);
	uint8_t sig[64] = { 1 };
	size_t i, r;

	(void)state;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		for (r = 0; r < sizeof(keys) / sizeof(keys[0]); r++) {
			memset(sig, 0, sizeof(sig));
			memcpy(sig, keys[r], 32);
			assert_int_equal(
			    lt_sign_verify(keys[i], LT_TAG_CHANGESET, msg, lt_slice(sig, 64)),
			    LT_E_BADSIG);
		}
}

static void
signature_binds_tag_message_key_and_length(void **state)
{
	struct lt_slice msg = lt_slice("mot", 3), other = lt_slice("moi", 3);
	struct lt_sign_key k, k2;
	uint8_t sig[65] = { 0 };

	(void)state;
	key_of(1, &k);
	key_of(2, &k2);
	lt_sign(&k, LT_TAG_RECEIPT, msg, sig);
	assert_int_equal(lt_sign_verify(k.pk, LT_TAG_RECEIPT, msg, lt_slice(sig, 64)), LT_OK);
	assert_int_equal(
	    lt_sign_verify(k.pk, LT_TAG_CERTIFICATE, msg, lt_slice(sig, 64)), LT_E_BADSIG);
	assert_int_equal(
	    lt_sign_verify(k.pk, LT_TAG_RECEIPT, other, lt_slice(sig, 64)), LT_E_BADSIG);
	assert_int_equal(
	    lt_sign_verify(k2.pk, LT_TAG_RECEIPT, msg, lt_slice(sig, 64)), LT_E_BADSIG);
	assert_int_equal(lt_sign_verify(k.pk, LT_TAG_RECEIPT, msg, lt_slice(sig, 63)), LT_E_BADSIG);
	assert_int_equal(lt_sign_verify(k.pk, LT_TAG_RECEIPT, msg, lt_slice(sig, 65)), LT_E_BADSIG);
	assert_int_equal(lt_sign_verify(k.pk, LT_TAG_RECEIPT, msg, lt_slice(NULL, 0)), LT_E_BADSIG);
}

/* Every byte has a word of its own and comes back from it, in any case and spacing. */
static void
words_of_every_byte(void **state)
{
	uint8_t all[256], back[256];
	struct lt_buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	lt_words(&b, all, sizeof(all));
	lt_buf_u8(&b, 0);
	assert_int_equal(b.err, LT_OK);
	assert_int_equal(memcmp(b.data, "ba bai bam bao bap be bem beo bep bi bia ",
			     strlen("ba bai bam bao bap be bem beo bep bi bia ")),
	    0);
	assert_int_equal(lt_words_parse((char *)b.data, back, 256, NULL), LT_OK);
	assert_memory_equal(all, back, 256);
	for (i = 0; i < b.len; i++)
		if (b.data[i] >= 'a' && i % 3 == 0)
			b.data[i] = (uint8_t)(b.data[i] - 'a' + 'A');
	memset(back, 0, sizeof(back));
	assert_int_equal(lt_words_parse((char *)b.data, back, 256, NULL), LT_OK);
	assert_memory_equal(all, back, 256);
	lt_buf_fini(&b);
}

static void
words_that_are_none(void **state)
{
	static const struct {
		const char *words;
		int rc;
		const char *names; /* what the error must mention */
	} t[] = {
		{ "ngum  \t nghia\r\n", LT_OK, "" },
		{ "ka ci", LT_OK, "" },
		{ "nge ge", LT_OK, "" },
		{ "ngha gha", LT_OK, "" },
		{ "Ky ly", LT_OK, "" },
		{ "bay ba", LT_E_INVALID, "bay" },
		{ "bya ba", LT_E_INVALID, "bya" },
		{ "gia ba", LT_E_INVALID, "gia" },
		{ "y ba", LT_E_INVALID, "\"y\"" },
		{ "cu ba", LT_E_INVALID, "cu" },
		{ " BA xup ", LT_OK, "" },
		{ "", LT_E_INVALID, "2" },
		{ "ba", LT_E_INVALID, "2" },
		{ "ba ba ba", LT_E_INVALID, "2" },
		{ "ba baa", LT_E_INVALID, "baa" },
		{ "ba a", LT_E_INVALID, "\"a\"" },
		{ "ba ng", LT_E_INVALID, "\"ng\"" },
		{ "ba nghun", LT_E_INVALID, "nghun" },
		{ "ba khumm", LT_E_INVALID, "khumm" },
		{ "b\303\240 ba", LT_E_INVALID, "word 1" },
		{ "ba b\033[2Ja", LT_E_INVALID, "word 2" },
		{ "ba qua", LT_E_INVALID, "qua" },
		{ "ba-ba", LT_E_INVALID, "ba-ba" },
		{ "ba aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", LT_E_INVALID,
		    "word 2" },
	};
	struct lt_err err;
	uint8_t out[2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(lt_words_parse(t[i].words, out, 2, &err), t[i].rc);
		assert_non_null(strstr(err.text, t[i].names));
		assert_null(strchr(err.text, '\033'));
	}
}

/* What is written in two ways for one sound is one word. */
static void
spellings_of_one_sound(void **state)
{
	static const char *const same[][2] = { { "ka", "ca" }, { "ce", "ke" }, { "ciu", "kiu" },
		{ "ge", "ghe" }, { "gho", "go" }, { "ngim", "nghim" }, { "nghup", "ngup" },
		{ "ky", "ki" }, { "thy", "thi" }, { "ngy", "nghi" }, { "cy", "ki" } };
	uint8_t a, b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(lt_words_parse(same[i][0], &a, 1, NULL), LT_OK);
		assert_int_equal(lt_words_parse(same[i][1], &b, 1, NULL), LT_OK);
		assert_int_equal(a, b);
	}
}

/* The 33rd word finds every single wrong word but one in 256 and is looked at. */
static void
root_words_round_trip(void **state)
{
	uint8_t seed[32], back[32], raw[33];
	struct lt_buf b = { 0 }, c = { 0 };
	size_t i, accepted = 0;

	(void)state;
	for (i = 0; i < 32; i++)
		seed[i] = (uint8_t)(7 * i + 3);
	lt_root_words(&b, seed);
	lt_buf_u8(&b, 0);
	assert_int_equal(lt_root_words_parse((char *)b.data, back, NULL), LT_OK);
	assert_memory_equal(seed, back, 32);
	assert_int_equal(lt_words_parse((char *)b.data, raw, 33, NULL), LT_OK);
	for (i = 0; i < 256; i++) {
		raw[32] = (uint8_t)i;
		lt_buf_clear(&c);
		lt_words(&c, raw, 33);
		lt_buf_u8(&c, 0);
		memset(back, 0xaa, 32);
		if (lt_root_words_parse((char *)c.data, back, NULL) == LT_OK)
			accepted++;
		else
			assert_int_equal(back[0], 0xaa);
	}
	assert_int_equal(accepted, 1);
	lt_buf_fini(&b);
	lt_buf_fini(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merkle_has_the_defined_shape),
		cmocka_unit_test(parts_join_and_tags_differ),
		cmocka_unit_test(signature_with_large_s_is_refused),
		cmocka_unit_test(small_order_key_is_refused),
		cmocka_unit_test(signature_binds_tag_message_key_and_length),
		cmocka_unit_test(words_of_every_byte),
		cmocka_unit_test(words_that_are_none),
		cmocka_unit_test(spellings_of_one_sound),
		cmocka_unit_test(root_words_round_trip),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
