#include "tests/base/base_test.h"

#include "proto/base/arena.h"

static void
cap_for_a_message(void **state)
{
	(void)state;
	assert_int_equal(lt_arena_cap_for(0), 524288);
	assert_int_equal(lt_arena_cap_for(1), 524288 + 32);
	assert_int_equal(lt_arena_cap_for(100000), 524288 + 3200000);
	/* (32 MiB - 512 KiB) / 32 = 1,032,192: there and beyond the top is reached */
	assert_int_equal(lt_arena_cap_for(1032191), 33554432 - 32);
	assert_int_equal(lt_arena_cap_for(1032192), 33554432);
	assert_int_equal(lt_arena_cap_for(1032193), 33554432);
	assert_int_equal(lt_arena_cap_for(SIZE_MAX), 33554432);
}

static void
pieces_are_aligned_zeroed_and_apart(void **state)
{
	struct lt_arena a;
	uint8_t *p[500];
	size_t i, k, n;

	(void)state;
	lt_arena_init(&a, 1 << 20);
	for (i = 0; i < COUNT(p); i++) {
		n = i % 90 + 1;
		p[i] = lt_arena_alloc(&a, n);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		for (k = 0; k < n; k++)
			assert_int_equal(p[i][k], 0);
		memset(p[i], (int)(i & 0x7f) + 1, n);
	}
	for (i = 0; i < COUNT(p); i++)
		for (k = 0; k < i % 90 + 1; k++)
			assert_int_equal(p[i][k], (i & 0x7f) + 1);
	lt_arena_fini(&a);
}

/* Everything together never takes more than the cap, whatever the sizes. */
static void
the_cap_holds(void **state)
{
	static const size_t sizes[] = { 1, 16, 17, 1000, 16384, 16385, 50000 };
	size_t i, cap;

	(void)state;
	for (cap = 0; cap < 200000; cap += 7777) {
		for (i = 0; i < COUNT(sizes); i++) {
			struct lt_arena a;
			size_t got = 0;

			lt_arena_init(&a, cap);
			while (lt_arena_alloc(&a, sizes[i]) != NULL) {
				got += sizes[i];
				assert_true(got <= cap);
			}
			assert_true(a.used <= cap);
			lt_arena_fini(&a);
		}
	}
}

static void
a_block_of_exactly_the_cap_fits(void **state)
{
	struct lt_arena a;

	(void)state;
	lt_arena_init(&a, 4096);
	assert_null(lt_arena_alloc(&a, 4097));
	assert_null(lt_arena_alloc(&a, SIZE_MAX));
	assert_null(lt_arena_alloc(&a, SIZE_MAX - 15));
	assert_non_null(lt_arena_alloc(&a, 4096));
	assert_null(lt_arena_alloc(&a, 1));
	lt_arena_fini(&a);
	lt_arena_fini(&a);
}

static void
copies_end_with_a_nul(void **state)
{
	struct lt_arena a;
	char *p;

	(void)state;
	lt_arena_init(&a, 1000);
	p = lt_arena_dup(&a, "Con Cuông", strlen("Con Cuông"));
	assert_string_equal(p, "Con Cuông");
	p = lt_arena_dup(&a, NULL, 0);
	assert_non_null(p);
	assert_string_equal(p, "");
	assert_null(lt_arena_dup(&a, "x", SIZE_MAX));
	assert_null(lt_arena_dup(&a, "x", 1000));
	lt_arena_fini(&a);
}

/* The allocator that protobuf-c gets: the same cap, and freeing does nothing. */
static void
as_allocator_of_protobuf(void **state)
{
	struct lt_arena a;
	char *p;

	(void)state;
	lt_arena_init(&a, 64);
	p = a.pb.alloc(a.pb.allocator_data, 32);
	assert_non_null(p);
	memcpy(p, "still there", sizeof("still there"));
	a.pb.free(a.pb.allocator_data, p);
	assert_string_equal(p, "still there");
	assert_null(a.pb.alloc(a.pb.allocator_data, 64));
	lt_arena_fini(&a);
}

/* Filled, emptied and filled again: zeroed each time, within the cap, and the memory of the first time is used again. */
static void
a_recycled_one_is_as_new(void **state)
{
	static const size_t sizes[] = { 1, 40, 900, 5000, 30000, 70000 };
	const size_t cap = 1 << 20, keeps[] = { 0, 20000, cap, SIZE_MAX };
	uint8_t odd[1000];
	struct lt_arena a;
	size_t round, i, k, f, n;
	uint8_t *p;

	(void)state;
	memset(odd, 0xc3, sizeof(odd));
	for (f = 0; f < COUNT(keeps); f++) {
		lt_arena_init(&a, cap);
		for (round = 0; round < 20; round++) {
			n = round % 3 == 0 ? 3 : 40;
			for (i = 0; i < n; i++) {
				size_t len = sizes[(i + round) % COUNT(sizes)];

				p = lt_arena_alloc(&a, len);
				if (p == NULL)
					break;
				for (k = 0; k < len; k++)
					if (p[k] != 0)
						fail_msg(
						    "round %zu, piece %zu: not zeroed", round, i);
				memset(p, 0xa5, len);
				/* What is not zeroed goes in between, and is not for sure. */
				p = i % 3 == 0 ? lt_arena_room(&a, len)
					       : lt_arena_dup(&a, odd, len % sizeof(odd));
				if (p == NULL)
					break;
				if (i % 3 == 0)
					memset(p, 0x5a, len);
				else
					assert_int_equal(p[len % sizeof(odd)], 0);
			}
			assert_true(a.used <= cap);
			lt_arena_recycle(&a, keeps[f]);
			assert_int_equal(a.used, 0);
			assert_null(a.head);
			assert_true(a.spare == NULL || keeps[f] != 0);
		}
		lt_arena_fini(&a);
		assert_null(a.spare);
	}
}

/* Cleared in the middle of a block and filled less, then more. */
static void
a_cleared_one_is_as_new(void **state)
{
	static const size_t sizes[] = { 900, 16, 400, 960, 8, 944, 1 };
	struct lt_arena a;
	size_t i, k;
	uint8_t *p;

	(void)state;
	lt_arena_init(&a, 1 << 20);
	for (i = 0; i < COUNT(sizes); i++) {
		p = lt_arena_alloc(&a, sizes[i]);
		assert_non_null(p);
		for (k = 0; k < sizes[i]; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0xa5, sizes[i]);
		lt_arena_clear(&a);
	}
	lt_arena_fini(&a);
}

/* All of the cap can be had again, whatever was kept. */
static void
what_is_kept_takes_nothing_from_the_cap(void **state)
{
	struct lt_arena a;

	(void)state;
	lt_arena_init(&a, 100000);
	assert_non_null(lt_arena_alloc(&a, 60000));
	lt_arena_recycle(&a, SIZE_MAX);
	assert_non_null(lt_arena_alloc(&a, 90000));
	assert_null(lt_arena_alloc(&a, 60000));
	lt_arena_recycle(&a, SIZE_MAX);
	assert_non_null(lt_arena_alloc(&a, 60000));
	assert_non_null(lt_arena_alloc(&a, 30000));
	lt_arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recycled_one_is_as_new),
		cmocka_unit_test(a_cleared_one_is_as_new),
		cmocka_unit_test(what_is_kept_takes_nothing_from_the_cap),
		cmocka_unit_test(cap_for_a_message),
		cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
		cmocka_unit_test(the_cap_holds),
		cmocka_unit_test(a_block_of_exactly_the_cap_fits),
		cmocka_unit_test(copies_end_with_a_nul),
		cmocka_unit_test(as_allocator_of_protobuf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
