#include "tests/base/base_test.h"

#include "proto/base/error.h"
#include "proto/base/ids.h"

static const struct {
	const char *code;
	size_t len;
	bool ok, commune, province;
} codes[] = {
	{ "_", 1, true, false, false }, { "40", 2, true, false, true },
	{ "00", 2, true, false, true }, { "17254", 5, true, true, false },
	{ "99999", 5, true, true, false }, { "", 0, false, false, false },
	{ "4", 1, false, false, false }, { "__", 2, false, false, false },
	{ "400", 3, false, false, false }, { "1725", 4, false, false, false },
	{ "172540", 6, false, false, false }, { "4a", 2, false, false, false },
	{ "/0", 2, false, false, false }, { ":0", 2, false, false, false },
	{ "1725 ", 5, false, false, false }, { "-7254", 5, false, false, false },
	{ "40\0", 3, false, false, false }, { "40\00054", 5, false, false, false },
	{ "\0", 1, false, false, false }, { "17254000", 8, false, false, false },
	{ "172540000", 9, false, false, false },
	{ "\xd9\xa4\xd9\xa0", 4, false, false, false }, /* Arabic-Indic digits */
};

static void
unit_codes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(codes); i++) {
		struct lt_unit u = { "before" };
		int rc = lt_unit_set(&u, lt_slice(codes[i].code, codes[i].len));

		if ((rc == LT_OK) != codes[i].ok)
			fail_msg("code \"%s\": %d", codes[i].code, rc);
		if (!codes[i].ok) {
			assert_int_equal(rc, LT_E_INVALID);
			assert_string_equal(u.s, "before");
			continue;
		}
		assert_string_equal(u.s, codes[i].code);
		assert_true(lt_unit_valid(u.s));
		assert_int_equal(lt_unit_is_commune(&u), codes[i].commune);
		assert_int_equal(lt_unit_is_province(&u), codes[i].province);
	}
	assert_int_equal(lt_unit_set(&(struct lt_unit){ "" }, lt_slice(NULL, 0)), LT_E_INVALID);
	assert_int_equal(
	    lt_unit_set(&(struct lt_unit){ "" }, lt_slice("40", SIZE_MAX)), LT_E_INVALID);
}

/* FORMAT.md 1.4: author, lane, epoch big-endian, 25 bytes. */
static void
feed_layout(void **state)
{
	static const uint8_t want[25] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 3,
		0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8 };
	struct lt_feed_id f;
	struct lt_id id, back;
	int i;

	(void)state;
	for (i = 0; i < 16; i++)
		id.b[i] = (uint8_t)i;
	f = lt_feed_id_make(id, LT_LANE_BULK, UINT64_C(0xa1a2a3a4a5a6a7a8));
	assert_memory_equal(f.b, want, sizeof(want));
	back = lt_feed_author(&f);
	assert_true(lt_id_eq(&back, &id));
	assert_int_equal(lt_feed_lane(&f), LT_LANE_BULK);
	assert_true(lt_feed_epoch(&f) == UINT64_C(0xa1a2a3a4a5a6a7a8));
}

static int
sign(int c)
{
	return (c > 0) - (c < 0);
}

/* Dots are ordered by (feed bytes, seq, index), as numbers and not as text. */
static void
dot_order(void **state)
{
	struct lt_dot d[6];
	size_t i, k;

	(void)state;
	memset(d, 0, sizeof(d));
	d[1].index = 255;
	d[2].index = 256;
	d[3].seq = 1;
	d[4].seq = UINT64_C(1) << 40;
	d[5].feed.b[0] = 0x80;
	for (i = 0; i < COUNT(d); i++)
		for (k = 0; k < COUNT(d); k++)
			assert_int_equal(sign(lt_dot_cmp(&d[i], &d[k])), (i > k) - (i < k));
}

static void
equality_sees_every_byte(void **state)
{
	struct lt_hash a = { { 0 } }, b;
	struct lt_id x = { { 0 } }, y;
	size_t i;

	(void)state;
	assert_true(lt_hash_eq(&a, &a));
	for (i = 0; i < sizeof(a.b); i++) {
		b = a;
		b.b[i] ^= 1;
		assert_false(lt_hash_eq(&a, &b));
	}
	for (i = 0; i < sizeof(x.b); i++) {
		y = x;
		y.b[i] ^= 0x80;
		assert_false(lt_id_eq(&x, &y));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unit_codes),
		cmocka_unit_test(feed_layout),
		cmocka_unit_test(dot_order),
		cmocka_unit_test(equality_sees_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
