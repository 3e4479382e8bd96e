/* Many hashes at once are the hashes of libsodium: every length around the blocks, under keys and without, joined from two
 * pieces cut anywhere, and any number beside each other. Trees at once are the trees of the definition. */
#include "proto/feed/hash_many.h"
#include "proto/feed/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LEN_MAX 301
#define JOBS_MAX 41

typedef void many_fn(struct lt_slice key, size_t outlen, const struct lt_hash_job *job, size_t n);

static many_fn *const both[] = { lt_hash_many, lt_hash_many_plain };

static uint8_t text[4096], key_bytes[64];

static int
setup(void **state)
{
	static const uint8_t seed[randombytes_SEEDBYTES] = "hash_many";

	(void)state;
	if (sodium_init() < 0)
		return -1;
	randombytes_buf_deterministic(text, sizeof(text), seed);
	memcpy(key_bytes, text + sizeof(text) - sizeof(key_bytes), sizeof(key_bytes));
	return 0;
}

/* Job i hashes len bytes from text + i, cut at `cut`. */
static void
check(const size_t *len, const size_t *cut, size_t n, struct lt_slice key, size_t outlen)
{
	uint8_t got[JOBS_MAX][65], want[64];
	struct lt_hash_job job[JOBS_MAX];
	size_t i, f;

	for (f = 0; f < 2; f++) {
		memset(got, 0xee, sizeof(got));
		for (i = 0; i < n; i++) {
			job[i].head = lt_slice(text + i, cut[i]);
			job[i].body = lt_slice(text + i + cut[i], len[i] - cut[i]);
			job[i].out = got[i];
		}
		both[f](key, outlen, job, n);
		for (i = 0; i < n; i++) {
			assert_int_equal(crypto_generichash(want, outlen, text + i, len[i],
					     key.len == 0 ? NULL : key.data, key.len),
			    0);
			assert_memory_equal(want, got[i], outlen);
			assert_int_equal(got[i][outlen], 0xee);
		}
	}
}

/* All lengths that one, two or three blocks can have, several in one call so that lanes end at different times. */
static void
every_length_agrees_with_libsodium(void **state)
{
	static const size_t keys[] = { 0, 16, 32, 64 }, outs[] = { 16, 32, 64 };
	size_t len[JOBS_MAX], cut[JOBS_MAX], from, i, k;

	(void)state;
	for (from = 0; from < LEN_MAX; from++) {
		for (i = 0; i < 7; i++) {
			len[i] = (from + i * 131) % LEN_MAX;
			cut[i] = (from * 5 + i * 37) % (len[i] + 1);
		}
		for (k = 0; k < 4; k++) {
			for (i = 0; k != 0 && i < 7; i++)
				len[i] += len[i] == 0; /* a keyed message is not empty */
			check(len, cut, 1 + from % 7, lt_slice(key_bytes, keys[k]), outs[from % 3]);
		}
	}
}

/* The border of a block, cut at each of its places. */
static void
every_cut_agrees_with_libsodium(void **state)
{
	static const size_t lens[] = { 127, 128, 129, 255, 256, 257 };
	size_t len[JOBS_MAX], cut[JOBS_MAX], i, at;

	(void)state;
	for (at = 0; at <= 257; at++) {
		for (i = 0; i < 6; i++) {
			len[i] = lens[i];
			cut[i] = at < len[i] ? at : len[i];
		}
		check(len, cut, 6, lt_slice(NULL, 0), 32);
	}
}

static void
any_number_and_length_agrees_with_libsodium(void **state)
{
	size_t len[JOBS_MAX], cut[JOBS_MAX], round, i, n;

	(void)state;
	for (round = 0; round < 300; round++) {
		n = randombytes_uniform(JOBS_MAX + 1);
		for (i = 0; i < n; i++) {
			len[i] = 1 + randombytes_uniform(round % 3 == 0 ? 4000 : LEN_MAX);
			cut[i] = randombytes_uniform((uint32_t)len[i] + 1);
		}
		check(len, cut, n, lt_slice(key_bytes, round % 2 == 0 ? 16 : 0), 32);
	}
}

/* FORMAT.md 1.5 as written. */
static void
root_by_definition(const struct lt_hash *leaf, size_t n, struct lt_hash *out)
{
	struct lt_hash part[2];
	size_t k = 1;

	if (n == 1) {
		*out = leaf[0];
		return;
	}
	while (k * 2 < n)
		k *= 2;
	root_by_definition(leaf, k, &part[0]);
	root_by_definition(leaf + k, n - k, &part[1]);
	lt_h1(LT_TAG_NODE, lt_slice(part, sizeof(part)), out);
}

static void
check_forest(const uint32_t *sizes, size_t n)
{
	struct lt_hash leaf[LT_MERKLE_MANY_MAX], h[LT_MERKLE_MANY_MAX], want;
	uint32_t size[LT_MERKLE_MANY_MAX] = { 0 };
	size_t i, at = 0;

	memcpy(leaf, text, sizeof(leaf) < sizeof(text) ? sizeof(leaf) : sizeof(text));
	for (i = 0; i < LT_MERKLE_MANY_MAX; i++)
		lt_store_u64(leaf[i].b, i);
	memcpy(h, leaf, sizeof(h));
	memcpy(size, sizes, n * sizeof(*size));
	lt_merkle_many(h, size, n);
	for (i = 0; i < n; i++) {
		root_by_definition(leaf + at, sizes[i], &want);
		assert_memory_equal(want.b, h[i].b, LT_HASH_LEN);
		at += sizes[i];
	}
}

static void
trees_at_once_are_those_of_the_definition(void **state)
{
	uint32_t size[LT_MERKLE_MANY_MAX] = { 0 };
	size_t round, n, left;

	(void)state;
	check_forest(size, 0);
	for (n = 1; n <= LT_MERKLE_MANY_MAX; n++) {
		size[0] = (uint32_t)n;
		check_forest(size, 1);
	}
	for (n = 0; n < LT_MERKLE_MANY_MAX; n++)
		size[n] = 1;
	check_forest(size, LT_MERKLE_MANY_MAX);
	for (round = 0; round < 300; round++) {
		left = LT_MERKLE_MANY_MAX;
		for (n = 0; left != 0 && n < 80; n++) {
			size[n] = 1 + randombytes_uniform(
					  round % 2 == 0 && left > 9 ? 9 : (uint32_t)left);
			left -= size[n];
		}
		check_forest(size, n);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_agrees_with_libsodium),
		cmocka_unit_test(every_cut_agrees_with_libsodium),
		cmocka_unit_test(any_number_and_length_agrees_with_libsodium),
		cmocka_unit_test(trees_at_once_are_those_of_the_definition),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
