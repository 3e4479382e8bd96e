/* Many hashes at once are the hashes of libsodium: every length around the blocks, under keys and without, joined from two
 * pieces cut anywhere, and any number beside each other. Trees at once are the trees of the definition. */
#include "proto/feed/hash_many.h"
#include "proto/feed/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN_MAX 301
#define JOBS_MAX 41

#define FORMS (LT_HASH_AVX512_TWICE + 1)

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

	for (f = 0; f < FORMS + 1; f++) {
		if (f < FORMS && !lt_hash_form_there((enum lt_hash_form)f))
			continue;
		memset(got, 0xee, sizeof(got));
		for (i = 0; i < n; i++) {
			job[i].head = lt_slice(text + i, cut[i]);
			job[i].body = lt_slice(text + i + cut[i], len[i] - cut[i]);
			job[i].out = got[i];
		}
		if (f < FORMS)
			lt_hash_many_as((enum lt_hash_form)f, key, outlen, job, n);
		else
			lt_hash_many(key, outlen, job, n);
		for (i = 0; i < n; i++) {
			assert_int_equal(crypto_generichash(want, outlen, text + i, len[i],
					     key.len == 0 ? NULL : key.data, key.len),
			    0);
			assert_memory_equal(want, got[i], outlen);
			assert_int_equal(got[i][outlen], 0xee);
		}
	}
}

/* RFC 7693, appendix E. */
static void
fibonacci(uint8_t *out, size_t len, uint32_t seed)
{
	uint32_t a = UINT32_C(0xDEAD4BAD) * seed, b = 1, t;
	size_t i;

	for (i = 0; i < len; i++) {
		t = a + b;
		a = b;
		b = t;
		out[i] = (uint8_t)(t >> 24);
	}
}

/* The self-test of RFC 7693, in every form; keyed messages without a byte, which it has as well, are none of ours. */
static void
self_test_of_the_rfc_holds(void **state)
{
	static const size_t outs[] = { 20, 32, 48, 64 }, ins[] = { 0, 3, 128, 129, 255, 1024 };
	static const uint8_t want[32] = { 0xC2, 0x3A, 0x78, 0x00, 0xD9, 0x81, 0x23, 0xBD, 0x10,
		0xF5, 0x06, 0xC6, 0x1E, 0x29, 0xDA, 0x56, 0x03, 0xD7, 0x63, 0xB8, 0xBB, 0xAD, 0x2E,
		0x73, 0x7F, 0x5E, 0x76, 0x5A, 0x7B, 0xCC, 0xD4, 0x75 };
	static uint8_t in[6][1024];
	uint8_t key[64], md[2][6][64], sum[32];
	crypto_generichash_state all;
	struct lt_hash_job job[6];
	size_t i, o, f;

	(void)state;
	for (i = 0; i < 6; i++)
		fibonacci(in[i], ins[i], (uint32_t)ins[i]);
	for (f = 0; f < FORMS; f++) {
		if (!lt_hash_form_there((enum lt_hash_form)f))
			continue;
		assert_int_equal(crypto_generichash_init(&all, NULL, 0, sizeof(sum)), 0);
		for (o = 0; o < 4; o++) {
			fibonacci(key, outs[o], (uint32_t)outs[o]);
			for (i = 0; i < 6; i++)
				job[i] = (struct lt_hash_job){ lt_slice(NULL, 0),
					lt_slice(in[i], ins[i]), md[0][i] };
			lt_hash_many_as((enum lt_hash_form)f, lt_slice(NULL, 0), outs[o], job, 6);
			for (i = 1; i < 6; i++)
				job[i].out = md[1][i];
			lt_hash_many_as(
			    (enum lt_hash_form)f, lt_slice(key, outs[o]), outs[o], job + 1, 5);
			assert_int_equal(
			    crypto_generichash(md[1][0], outs[o], NULL, 0, key, outs[o]), 0);
			for (i = 0; i < 12; i++)
				assert_int_equal(
				    crypto_generichash_update(&all, md[i % 2][i / 2], outs[o]), 0);
		}
		assert_int_equal(crypto_generichash_final(&all, sum, sizeof(sum)), 0);
		assert_memory_equal(sum, want, sizeof(want));
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
		for (i = 0; i < 20; i++) {
			len[i] = (from + i * 131) % LEN_MAX;
			cut[i] = (from * 5 + i * 37) % (len[i] + 1);
		}
		for (k = 0; k < 4; k++) {
			for (i = 0; k != 0 && i < 20; i++)
				len[i] += len[i] == 0; /* a keyed message is not empty */
			check(len, cut, (from + k) % 21, lt_slice(key_bytes, keys[k]),
			    outs[from % 3]);
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

/* Not a byte before a piece or behind it is touched: each lies between pages that nobody may read. */
static void
nothing_beside_the_message_is_read(void **state)
{
	static const size_t lens[] = { 1, 63, 64, 65, 127, 128, 129, 200, 256, 300 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE), i, f, n = sizeof(lens) / sizeof(lens[0]);
	uint8_t *map =
	    mmap(NULL, 5 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *end = map + 2 * page, *begin = map + 3 * page, got[JOBS_MAX][32], want[32], m[512];
	struct lt_hash_job job[JOBS_MAX];

	(void)state;
	assert_true(map != MAP_FAILED);
	memcpy(map + page, text, page < sizeof(text) ? page : sizeof(text));
	memcpy(begin, text, page < sizeof(text) ? page : sizeof(text));
	assert_int_equal(mprotect(map, page, PROT_NONE), 0);
	assert_int_equal(mprotect(map + 2 * page, page, PROT_NONE), 0);
	assert_int_equal(mprotect(map + 4 * page, page, PROT_NONE), 0);
	for (f = 0; f < FORMS; f++) {
		if (!lt_hash_form_there((enum lt_hash_form)f))
			continue;
		for (i = 0; i < 4 * n; i++) {
			size_t head = i / n == 0 ? 0 : i / n == 1 ? lens[i % n] : 37 * (i / n);

			job[i].head = lt_slice(i % 2 == 0 ? end - head : begin, head);
			job[i].body = lt_slice(i / n == 1   ? NULL
					       : i % 3 == 0 ? begin
							    : end - lens[i % n],
			    i / n == 1 ? 0 : lens[i % n]);
			job[i].out = got[i];
		}
		lt_hash_many_as((enum lt_hash_form)f, lt_slice(NULL, 0), 32, job, 4 * n);
		for (i = 0; i < 4 * n; i++) {
			memcpy(m, job[i].head.data, job[i].head.len);
			if (job[i].body.len != 0)
				memcpy(m + job[i].head.len, job[i].body.data, job[i].body.len);
			assert_int_equal(crypto_generichash(want, 32, m,
					     job[i].head.len + job[i].body.len, NULL, 0),
			    0);
			assert_memory_equal(want, got[i], 32);
		}
	}
	assert_int_equal(munmap(map, 5 * page), 0);
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
		cmocka_unit_test(self_test_of_the_rfc_holds),
		cmocka_unit_test(every_length_agrees_with_libsodium),
		cmocka_unit_test(every_cut_agrees_with_libsodium),
		cmocka_unit_test(nothing_beside_the_message_is_read),
		cmocka_unit_test(any_number_and_length_agrees_with_libsodium),
		cmocka_unit_test(trees_at_once_are_those_of_the_definition),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
