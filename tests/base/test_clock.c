#include "tests/base/base_test.h"

#include "proto/base/clock.h"

#define MS_MAX ((INT64_C(1) << 48) - 1)

/* FORMAT.md 1.4: milliseconds above, 16 bits of counter below. */
static void
stamp_layout(void **state)
{
	(void)state;
	assert_true(LT_STAMP(1, 2) == 0x10002);
	assert_true(LT_STAMP_MS(UINT64_C(0xffffffffffffffff)) == MS_MAX);
	assert_true(LT_STAMP_MS(LT_STAMP(LT_BUILD_FLOOR_MS, 65535)) == LT_BUILD_FLOOR_MS);
	/* 2026-08-01 is day 20,666 since 1970 */
	assert_true(LT_BUILD_FLOOR_MS == INT64_C(20666) * 86400 * 1000);
}

static const struct {
	const char *descr;
	uint64_t last;
	int64_t wall;
	uint64_t want;
} hlc[] = {
	{ "first stamp is the wall clock", 0, 1000, LT_STAMP(1000, 0) },
	{ "clock moved on", LT_STAMP(1000, 7), 1001, LT_STAMP(1001, 0) },
	{ "same millisecond counts", LT_STAMP(1000, 7), 1000, LT_STAMP(1000, 8) },
	{ "same stamp counts", LT_STAMP(1000, 0), 1000, LT_STAMP(1000, 1) },
	{ "clock went back", LT_STAMP(1000, 7), 5, LT_STAMP(1000, 8) },
	{ "counter runs over into the next millisecond", LT_STAMP(1000, 65535), 1000,
	    LT_STAMP(1001, 0) },
	{ "dead battery: 1970", 0, 0, 1 },
	{ "negative clock counts as 0", LT_STAMP(9, 9), -1, LT_STAMP(9, 10) },
	{ "most negative clock", 0, INT64_MIN, 1 },
	{ "last clock that fits", 0, MS_MAX, LT_STAMP(MS_MAX, 0) },
	{ "absurd clock counts as 0", LT_STAMP(9, 9), MS_MAX + 1, LT_STAMP(9, 10) },
	{ "most absurd clock", LT_STAMP(9, 9), INT64_MAX, LT_STAMP(9, 10) },
	{ "last stamp but one", UINT64_MAX - 1, 0, UINT64_MAX },
	{ "used up", UINT64_MAX, 0, 0 },
};

static void
next_stamp(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(hlc); i++) {
		if (lt_hlc_next(hlc[i].last, hlc[i].wall) != hlc[i].want)
			fail_msg("%s", hlc[i].descr);
	}
}

/* Whatever the wall clock does, an author's stamps rise. */
static void
stamps_always_rise(void **state)
{
	uint64_t last = 0, next, rnd = 88172645463325252u;
	int i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		rnd ^= rnd << 13;
		rnd ^= rnd >> 7;
		rnd ^= rnd << 17;
		next = lt_hlc_next(last, (int64_t)(rnd >> (rnd & 31)));
		assert_true(next > last);
		last = next;
		/* an absurd clock once must not use the counter up for the rest */
		if (LT_STAMP_MS(last) > MS_MAX / 2)
			last = 0;
	}
}

static const struct {
	uint64_t stamp, floor, ceiling, want;
} clamps[] = {
	{ 5, 3, 9, 5 },
	{ 3, 3, 9, 3 },
	{ 2, 3, 9, 3 },
	{ 9, 3, 9, 9 },
	{ 10, 3, 9, 9 },
	{ UINT64_MAX, 3, 9, 9 },
	{ 0, 3, 9, 3 },
	/* FORMAT.md 3.8, min(max(stamp, floor), ceiling): the ceiling has the last word */
	{ 5, 20, 9, 9 },
	{ 0, 0, 0, 0 },
};

static void
clamp(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(clamps); i++)
		assert_true(lt_stamp_clamp(clamps[i].stamp, clamps[i].floor, clamps[i].ceiling) ==
			    clamps[i].want);
}

static int64_t
seven(void *ctx)
{
	return 7 + *(int64_t *)ctx;
}

static int64_t
eight(void *ctx)
{
	return 8 + *(int64_t *)ctx;
}

static void
clock_behind_an_interface(void **state)
{
	int64_t add = 100;
	struct lt_clock c = { seven, eight, &add };
	int64_t a, b;

	(void)state;
	assert_int_equal(lt_wall_ms(&c), 107);
	assert_int_equal(lt_mono_ms(&c), 108);
	a = lt_mono_ms(lt_clock_system());
	b = lt_mono_ms(lt_clock_system());
	assert_true(a > 0 && b >= a);
	assert_true(lt_wall_ms(lt_clock_system()) > 0);
}

/* Another machine's clock says what it likes; 64 bits hold no more than these. */
static void
between(void **state)
{
	(void)state;
	assert_true(lt_ms_between(7000, 0) == 7000);
	assert_true(lt_ms_between(1, 7001) == -7000);
	assert_true(lt_ms_between(-1, INT64_MAX) == INT64_MIN);
	assert_true(lt_ms_between(-2, INT64_MAX) == INT64_MIN);
	assert_true(lt_ms_between(INT64_MIN, 1) == INT64_MIN);
	assert_true(lt_ms_between(INT64_MAX, 0) == INT64_MAX);
	assert_true(lt_ms_between(INT64_MAX, -1) == INT64_MAX);
	assert_true(lt_ms_between(0, INT64_MIN) == INT64_MAX);
	assert_true(lt_ms_between(-1, INT64_MIN) == INT64_MAX);
	assert_true(lt_ms_between(INT64_MIN, INT64_MIN) == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stamp_layout),
		cmocka_unit_test(next_stamp),
		cmocka_unit_test(stamps_always_rise),
		cmocka_unit_test(clamp),
		cmocka_unit_test(between),
		cmocka_unit_test(clock_behind_an_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
