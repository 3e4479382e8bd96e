/* The digest against values from hashlib.blake2b and a ChaCha20 written from RFC 8439 (merge_reference.py). */
#include "proto/model/digest.h"

#include <setjmp.h>
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_record),
		cmocka_unit_test(several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
