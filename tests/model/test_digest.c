/* The digest against values from hashlib.blake2b and a ChaCha20 written from RFC 8439 (merge_reference.py). */
#include "proto/model/digest.h"
#include "proto/model/digest_expand.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const struct lt_record_id dossier = { "dossier", "17254", "H21.65-250709-0001" };
static const struct lt_record_id other = { "a", "_", "k" };

static struct lt_slice
some_row(void)
{
	static uint8_t row[200];
	size_t i;

	for (i = 0; i < sizeof(row); i++)
		row[i] = (uint8_t)i;
	return lt_slice(row, sizeof(row));
}

static void
expect_short(const uint16_t *lanes, const char *hex)
{
	uint8_t sum[LT_DIGEST_SHORT];
	char got[2 * LT_DIGEST_SHORT + 1];

	lt_digest_lanes_short(sum, lanes);
	lt_hex(got, sum, sizeof(sum));
	assert_string_equal(got, hex);
}

static void
one_record(void **state)
{
	static const uint8_t begin[] = { 0x87, 0x2d, 0x86, 0x11, 0xaf, 0x52, 0xdf, 0xdc };
	static const uint8_t end[] = { 0xd6, 0x72, 0x4d, 0x37 };
	uint16_t lanes[LT_DIGEST_LANES] = { 0 };
	uint8_t bytes[LT_DIGEST_BYTES];

	(void)state;
	assert_int_equal(lt_digest_bucket(&dossier), 10);
	assert_int_equal(lt_digest_bucket(&other), 3);
	expect_short(lanes, "0e396078825552831df8e24690f2b728");
	lt_digest_add(lanes, &dossier, some_row());
	assert_int_equal(lanes[0], 0x2d87); /* little-endian */
	lt_digest_store(bytes, lanes);
	assert_memory_equal(bytes, begin, sizeof(begin));
	assert_memory_equal(bytes + sizeof(bytes) - sizeof(end), end, sizeof(end));
	expect_short(lanes, "8322c32a74031413a10d43a068e8643c");
}

static void
several(void **state)
{
	uint16_t a[LT_DIGEST_LANES] = { 0 }, b[LT_DIGEST_LANES] = { 0 }, c[LT_DIGEST_LANES] = { 0 };
	uint8_t bytes[LT_DIGEST_BYTES];

	(void)state;
	lt_digest_add(a, &dossier, some_row());
	lt_digest_add(a, &other, lt_slice(NULL, 0));
	expect_short(a, "ce4e28b8c11e6c0031478a1c2699dd92");
	lt_digest_add(b, &other, lt_slice(NULL, 0));
	expect_short(b, "f4fe7732627edb467969e0ada4b402a4");
	lt_digest_store(bytes, b);
	lt_digest_load(c, bytes);
	lt_digest_add(b, &dossier, some_row());
	assert_memory_equal(a, b, sizeof(a));
	lt_digest_sub(b, &other, lt_slice(NULL, 0));
	lt_digest_join(c, b);
	assert_memory_equal(a, c, sizeof(a));
}

typedef void expand_fn(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub);

static void
expand_wide(uint16_t lanes[LT_DIGEST_LANES], const struct lt_digest_key *key, bool sub)
{
	if (!lt_digest_expand_wide(lanes, key, sub))
		lt_digest_expand_plain(lanes, key, sub);
}

static expand_fn *const expands[] = { lt_digest_expand_plain, expand_wide, lt_digest_expand };

/* RFC 8439, A.1, vectors 1 and 2: the key of zeros, blocks 0 and 1. */
static void
contribution_is_the_key_stream(void **state)
{
	static const uint8_t block0[] = { 0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40,
		0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28 };
	static const uint8_t block1[] = { 0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a, 0x98,
		0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d };
	const struct lt_digest_key zeros = { { 0 } };
	uint8_t bytes[LT_DIGEST_BYTES];
	size_t f;

	(void)state;
	for (f = 0; f < 3; f++) {
		uint16_t lanes[LT_DIGEST_LANES] = { 0 };

		expands[f](lanes, &zeros, false);
		lt_digest_store(bytes, lanes);
		assert_memory_equal(bytes, block0, sizeof(block0));
		assert_memory_equal(bytes + 64, block1, sizeof(block1));
	}
}

/* Every form gives what libsodium's key stream does, added and taken away, wherever the lanes lie. */
static void
every_form_expands_alike(void **state)
{
	static const uint8_t nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
	static uint16_t place[3][LT_DIGEST_LANES + 32];
	uint16_t want[LT_DIGEST_LANES] = { 0 };
	uint8_t stream[LT_DIGEST_BYTES];
	struct lt_digest_key key;
	size_t round, i, f;

	(void)state;
	memset(place, 0, sizeof(place));
	for (round = 0; round < 300; round++) {
		bool sub = round % 3 == 2;

		for (i = 0; i < sizeof(key.b); i++)
			key.b[i] = (uint8_t)(round * 37 + i * (round + 1) + (i * round >> 5));
		assert_int_equal(
		    crypto_stream_chacha20_ietf(stream, sizeof(stream), nonce, key.b), 0);
		for (i = 0; i < LT_DIGEST_LANES; i++) {
			unsigned x = stream[2 * i] | (unsigned)stream[2 * i + 1] << 8;

			want[i] = (uint16_t)(sub ? want[i] - x : want[i] + x);
		}
		for (f = 0; f < 3; f++) {
			expands[f](place[f] + 11 * f, &key, sub);
			assert_memory_equal(place[f] + 11 * f, want, sizeof(want));
		}
	}
	for (f = 0; f < 3; f++)
		for (i = 0; i < 32; i++)
			assert_int_equal(place[f][i < 11 * f ? i : LT_DIGEST_LANES + i], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contribution_is_the_key_stream),
		cmocka_unit_test(every_form_expands_alike),
		cmocka_unit_test(one_record),
		cmocka_unit_test(several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
