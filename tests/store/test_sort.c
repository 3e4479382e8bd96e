/* The order of keys for a table, against the library's sort. */
#include "proto/store/sort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_MAX 3000
#define KEY_MAX 40

struct key {
	uint8_t b[KEY_MAX];
	size_t len;
};

static struct key key[N_MAX];
static struct lt_sorting sorted[N_MAX], expected[N_MAX];
static uint64_t seed;

static uint32_t
any(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % below;
}

static int
by_bytes(const void *a, const void *b)
{
	const struct lt_sorting *x = a, *y = b;
	size_t n = x->key.len < y->key.len ? x->key.len : y->key.len;
	int c = n == 0 ? 0 : memcmp(x->key.data, y->key.data, n);

	return c != 0 ? c : (x->key.len > y->key.len) - (x->key.len < y->key.len);
}

static void
expect_sorted(size_t n)
{
	bool seen[N_MAX] = { false };
	size_t i;

	for (i = 0; i < n; i++) {
		sorted[i] = (struct lt_sorting){ .key = lt_slice(key[i].b, key[i].len), .tag = i };
		expected[i] = sorted[i];
	}
	qsort(expected, n, sizeof(*expected), by_bytes);
	lt_sort(sorted, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(sorted[i].key.len, expected[i].key.len);
		assert_memory_equal(sorted[i].key.data, expected[i].key.data, expected[i].key.len);
		/* Each is there once, with what belongs to it. */
		assert_false(seen[sorted[i].tag]);
		seen[sorted[i].tag] = true;
		assert_ptr_equal(sorted[i].key.data, key[sorted[i].tag].b);
	}
}

/* Few different bytes, zeros among them, and many beginnings in common: ends, repeats and ties everywhere. */
static void
test_like_the_library(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 11, 12, 13, 14, 40, 200, N_MAX };
	size_t s, i, j, round;

	(void)state;
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (round = 0; round < 24; round++) {
			uint32_t letters = 1 + any(3), start = any(20);

			for (i = 0; i < sizes[s]; i++) {
				key[i].len = any(KEY_MAX + 1);
				for (j = 0; j < key[i].len; j++)
					key[i].b[j] = j < start ? 'a' : (uint8_t)any(letters + 1);
			}
			expect_sorted(sizes[s]);
		}
}

static void
test_keys_of_records(void **state)
{
	size_t i, round;

	(void)state;
	for (round = 0; round < 10; round++) {
		for (i = 0; i < N_MAX; i++)
			key[i].len = (size_t)snprintf((char *)key[i].b, KEY_MAX,
			    "dossier%c%05u%cH41.%02u-%04u", 0, 20000 + any(30), 0, any(3),
			    any(10000));
		expect_sorted(N_MAX);
	}
}

/* Rising, falling, all equal, and a saw: what quick sorts are known to be slow at. */
static void
test_patterns(void **state)
{
	size_t i;
	int pattern;

	(void)state;
	for (pattern = 0; pattern < 4; pattern++) {
		for (i = 0; i < N_MAX; i++) {
			size_t v = pattern == 0   ? i
				   : pattern == 1 ? N_MAX - i
				   : pattern == 2 ? 7
						  : i % 50;

			key[i].len = (size_t)snprintf((char *)key[i].b, KEY_MAX, "k%08zu", v);
		}
		expect_sorted(N_MAX);
	}
}

/* Keys that end where others go on with zeros: eight bytes at a time cannot tell them apart. */
static void
test_ends_and_zeros(void **state)
{
	size_t i;

	(void)state;
	memset(key, 0, sizeof(key));
	for (i = 0; i < N_MAX; i++)
		key[i].len = (N_MAX - i) % (KEY_MAX + 1);
	expect_sorted(N_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_the_library),
		cmocka_unit_test(test_keys_of_records),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_ends_and_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
