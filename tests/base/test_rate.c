#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/base/rate.h"

static void
by_hand(void **state)
{
	static const struct lt_rate_limit l = { .per_s = 20, .burst = 3 };
	struct lt_rate r = { 0 };
	uint32_t wait = 7;

	(void)state;
	/* Full at first, wherever the clock stands. */
	assert_true(lt_rate_take(&r, &l, 2, 1000000, &wait));
	assert_int_equal(wait, 7);
	assert_false(lt_rate_take(&r, &l, 2, 1000000, &wait));
	assert_int_equal(wait, 50); /* one is there, one more takes a twentieth of a second */
	assert_false(lt_rate_take(&r, &l, 2, 1000049, &wait));
	assert_int_equal(wait, 1);
	assert_true(lt_rate_take(&r, &l, 2, 1000050, NULL));
	assert_false(lt_rate_take(&r, &l, 1, 1000050, &wait));
	assert_int_equal(wait, 50);
	/* Nothing for a clock that goes back, and what was passed already counts once. */
	assert_false(lt_rate_take(&r, &l, 1, 900000, NULL));
	assert_false(lt_rate_take(&r, &l, 1, 1000099, NULL));
	assert_true(lt_rate_take(&r, &l, 1, 1000100, NULL));
	/* Never more than the reserve, however long nobody came. */
	assert_true(lt_rate_take(&r, &l, 3, INT64_C(1) << 60, NULL));
	assert_false(lt_rate_take(&r, &l, 1, INT64_C(1) << 60, NULL));
	assert_false(lt_rate_take(&r, &l, 4, INT64_MAX, &wait));
	assert_int_equal(wait, UINT32_MAX);
	assert_true(lt_rate_take(&r, &l, 0, INT64_MAX, NULL));
}

static void
given_back(void **state)
{
	static const struct lt_rate_limit l = { .per_s = 1, .burst = 2 };
	struct lt_rate r = { 0 };

	(void)state;
	lt_rate_give(&r, &l, 1); /* nothing was taken yet */
	assert_true(lt_rate_take(&r, &l, 2, 5, NULL));
	lt_rate_give(&r, &l, 1);
	assert_true(lt_rate_take(&r, &l, 1, 5, NULL));
	assert_false(lt_rate_take(&r, &l, 1, 5, NULL));
	lt_rate_give(&r, &l, UINT32_MAX);
	assert_true(lt_rate_take(&r, &l, 2, 5, NULL));
	assert_false(lt_rate_take(&r, &l, 1, 5, NULL));
}

/* Whoever asks every millisecond gets per_s a second, neither one more nor one less, over an hour. */
static void
long_run(void **state)
{
	static const struct lt_rate_limit limits[] = { { 1, 1 }, { 3, 1 }, { 7, 100 }, { 999, 1 },
		{ 400, 4096 } };
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct lt_rate_limit *l = &limits[i];
		struct lt_rate r = { 0 };
		uint64_t got = 0;
		int64_t t;

		for (t = 0; t < 3600000; t++)
			got += lt_rate_take(&r, l, 1, t, NULL);
		/* At 0 the reserve, then until the last millisecond what came in; a reserve of one is full after so many
		 * milliseconds, and what comes in beyond it is lost. */
		if (l->burst == 1)
			assert_int_equal(got, 1 + 3599999 / ((1000 + l->per_s - 1) / l->per_s));
		else
			assert_int_equal(got, l->burst + 3599999ull * l->per_s / 1000);
	}
}

static void
extremes(void **state)
{
	static const struct lt_rate_limit l = { .per_s = UINT32_MAX, .burst = UINT32_MAX };
	struct lt_rate r = { 0 };
	uint32_t wait;

	(void)state;
	assert_true(lt_rate_take(&r, &l, UINT32_MAX, INT64_MIN, NULL));
	assert_false(lt_rate_take(&r, &l, 1, INT64_MIN, &wait));
	assert_int_equal(wait, 1);
	assert_true(lt_rate_take(&r, &l, UINT32_MAX, INT64_MAX, NULL));
}

static void
owed(void **state)
{
	static const struct lt_rate_limit l = { .per_s = 10, .burst = 5 };
	struct lt_rate r = { 0 };
	uint32_t wait = 0;

	(void)state;
	assert_true(lt_rate_take(&r, &l, 0, 0, NULL));
	lt_rate_owe(&r, &l, 5, 0);
	assert_true(lt_rate_take(&r, &l, 0, 0, NULL)); /* none left, and none owed */
	lt_rate_owe(&r, &l, 20, 0);
	assert_false(lt_rate_take(&r, &l, 0, 0, &wait));
	assert_int_equal(wait, 2000);
	assert_false(lt_rate_take(&r, &l, 1, 0, &wait));
	assert_int_equal(wait, 2100);
	assert_false(lt_rate_take(&r, &l, 0, 1999, &wait));
	assert_int_equal(wait, 1);
	assert_true(lt_rate_take(&r, &l, 0, 2000, NULL));
	assert_false(lt_rate_take(&r, &l, 1, 2000, NULL));
	/* However much: it is a debt, not an overflow. */
	for (unsigned i = 0; i < 1000000; i++)
		lt_rate_owe(&r, &l, UINT32_MAX, 2000);
	assert_false(lt_rate_take(&r, &l, 0, 2000, &wait));
	assert_int_equal(wait, UINT32_MAX);
	assert_true(lt_rate_take(&r, &l, 5, INT64_MAX, NULL));
	assert_false(lt_rate_take(&r, &l, 1, INT64_MAX, NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_hand),
		cmocka_unit_test(given_back),
		cmocka_unit_test(long_run),
		cmocka_unit_test(extremes),
		cmocka_unit_test(owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
