/* A record's history with its proof, against what tests/vectors/golden_proof.py, written from FORMAT.md alone, makes: good ones and
 * each way to be false, every bit and every length of one, and Merkle paths, by hand and by the second implementation. */
#include "tests/lib/golden.h"

#include "proto/base/buf.h"
#include "proto/feed/proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
check(struct lt_slice bytes, const uint8_t root[32], struct lt_arena *arena, struct lt_proof *p)
{
	struct lt_err err = { "" };
	int rc;

	lt_arena_init(arena, LT_PROOF_ARENA);
	rc = lt_proof_check(bytes, root, arena, p, &err);
	if (rc != LT_OK)
		lt_arena_fini(arena);
	assert_true((rc == LT_OK) == (p->fault == LT_PROOF_NONE));
	assert_true((rc == LT_OK) == (err.text[0] == '\0'));
	return rc;
}

static const uint8_t *
root_key(void)
{
	static struct lt_slice key;

	if (key.data == NULL)
		key = golden_bytes(golden("proof"), "root_key");
	return key.data;
}

static const struct lt_proof_change *
find_change(const struct lt_proof *p, const json_t *says, const struct lt_proof_part **part)
{
	struct lt_slice feed = golden_bytes(says, "feed");
	size_t i, c;

	for (i = 0; i < p->nrecord; i++) {
		*part = &p->record[i];
		if (memcmp((*part)->cs.feed.b, feed.data, LT_FEED_LEN) != 0 ||
		    (*part)->cs.seq != golden_number(says, "seq"))
			continue;
		for (c = 0; c < (*part)->nchange; c++)
			if ((*part)->change[c].index == golden_number(says, "index"))
				return &(*part)->change[c];
	}
	fail_msg("a change is not told");
	return NULL;
}

static void
compare(const struct lt_proof *p, const json_t *says)
{
	static const char *const state[] = { "accepted", "refused", "held" };
	const struct lt_proof_part *part = NULL;
	const struct lt_proof_change *c = find_change(p, says, &part);

	assert_string_equal(golden_text(says, "state"), state[c->state]);
	assert_int_equal(golden_number(says, "reason"), c->reason);
	assert_int_equal(golden_number(says, "effective_ms"), part->effective >> 16);
	assert_int_equal(golden_number(says, "judged_ms"), part->judged >> 16);
	assert_int_equal(golden_number(says, "since_ms") != 0, part->receipted);
	assert_int_equal(golden_number(says, "since_ms"), part->since_ms);
	assert_string_equal(part->label, "Máy số 1");
	assert_false(part->by_hub);
}

static void
test_good(void **state)
{
	const json_t *list = golden_in(golden("proof"), "good"), *says;
	struct lt_arena arena;
	struct lt_proof p;
	size_t i, k, n;

	(void)state;
	assert_true(json_array_size(list) >= 4);
	for (i = 0; i < json_array_size(list); i++) {
		const json_t *g = json_array_get(list, i);

		assert_int_equal(check(golden_bytes(g, "proof"), root_key(), &arena, &p), LT_OK);
		golden_same("federation", golden_bytes(golden("proof"), "federation"),
		    lt_slice(p.federation.b, LT_FED_LEN));
		assert_string_equal(p.key, "16906/HN00500");
		says = json_object_get(g, "says");
		for (k = 0; k < json_array_size(says); k++)
			compare(&p, json_array_get(says, k));
		for (n = 0, k = 0; k < p.nrecord; k++)
			n += p.record[k].nchange;
		if (json_is_array(says))
			assert_int_equal(n, json_array_size(says));
		lt_arena_fini(&arena);
		assert_true(
		    check(golden_bytes(g, "proof"),
			golden_bytes(golden("proof"), "other_root_key").data, &arena, &p) != LT_OK);
		assert_int_equal(p.fault, LT_PROOF_CERTIFICATE);
	}
}

/* What the first one says is what was committed; what is withheld has no value. */
static void
test_openings(void **state)
{
	const json_t *list = golden_in(golden("proof"), "good");
	struct lt_arena arena;
	struct lt_proof p;
	const struct lt_opening *o;

	(void)state;
	assert_int_equal(
	    check(golden_bytes(json_array_get(list, 0), "proof"), root_key(), &arena, &p), LT_OK);
	o = p.record[0].change[0].opening;
	assert_string_equal(o[0].name, "_actor");
	assert_string_equal(o[0].field.pb->value->text, "lo.van.mau");
	assert_string_equal(o[1].field.pb->value->text, "Lô Văn Mẫu");
	assert_int_equal(p.nwithheld, 0);
	lt_arena_fini(&arena);
	assert_int_equal(
	    check(golden_bytes(json_array_get(list, 1), "proof"), root_key(), &arena, &p), LT_OK);
	o = p.record[0].change[0].opening;
	assert_true(o[0].withheld && o[1].withheld);
	assert_int_equal(p.nwithheld, 2);
	lt_arena_fini(&arena);
}

static enum lt_proof_fault
fault_named(const char *why)
{
#define NAME(name, code, en, vi) #name,
	static const char *const names[] = { LT_PROOF_FAULTS(NAME) };
#undef NAME
	size_t i;

	for (i = 0; i < LT_PROOF_FAULT_COUNT; i++)
		if (strcasecmp(names[i], why) == 0)
			return (enum lt_proof_fault)i;
	fail_msg("no fault is called %s", why);
	return LT_PROOF_NONE;
}

static void
test_bad(void **state)
{
	FILE *f = popen("exec " LT_PYTHON " " LT_SOURCE_DIR "/tests/vectors/golden_proof.py", "r");
	json_t *list;
	size_t i, wrong = 0;

	(void)state;
	assert_non_null(f);
	list = json_loadf(f, 0, NULL);
	assert_int_equal(pclose(f), 0);
	assert_true(json_array_size(list) >= 55);
	for (i = 0; i < json_array_size(list); i++) {
		const json_t *b = json_array_get(list, i);
		struct lt_arena arena;
		struct lt_proof p;
		int rc = check(golden_bytes(b, "proof"), root_key(), &arena, &p);

		if (rc == LT_OK)
			lt_arena_fini(&arena);
		if (rc != LT_OK && p.fault == fault_named(golden_text(b, "why")))
			continue;
		wrong++;
		print_message("%s: \"%s\", not %s\n", golden_text(b, "name"),
		    lt_proof_fault_text(p.fault, false), golden_text(b, "why"));
	}
	json_decref(list);
	assert_int_equal(wrong, 0);
}

/* Cut off anywhere it is no proof, but for one place: without its receipt, which is last, it says less and still the truth. */
static void
check_lengths(uint8_t *copy, size_t len)
{
	struct lt_arena arena;
	struct lt_proof p;
	size_t i, held = 0;

	for (i = 0; i < len; i++) {
		if (check(lt_slice(copy, i), root_key(), &arena, &p) != LT_OK)
			continue;
		held++;
		assert_int_equal(p.nreceipt, 0);
		assert_false(p.record[0].receipted);
		lt_arena_fini(&arena);
	}
	assert_int_equal(held, 1);
	assert_true(check(lt_slice(copy, len + 1), root_key(), &arena, &p) != LT_OK);
	assert_int_equal(check(lt_slice(copy, len), root_key(), &arena, &p), LT_OK);
	assert_int_equal(p.nreceipt, 1);
	lt_arena_fini(&arena);
}

/* No bit means nothing. */
static void
test_every_bit(void **state)
{
	struct lt_slice good =
	    golden_bytes(json_array_get(golden_in(golden("proof"), "good"), 1), "proof");
	uint8_t *copy = malloc(good.len + 1);
	struct lt_arena arena;
	struct lt_proof p;
	size_t i;

	(void)state;
	assert_non_null(copy);
	memcpy(copy, good.data, good.len);
	copy[good.len] = 0;
	for (i = 0; i < 8 * good.len; i++) {
		copy[i / 8] ^= (uint8_t)(1u << i % 8);
		if (check(lt_slice(copy, good.len), root_key(), &arena, &p) == LT_OK)
			fail_msg("byte %zu, bit %zu", i / 8, i % 8);
		copy[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	check_lengths(copy, good.len);
	free(copy);
}

/* ---- Merkle paths ---- */

static void
leaf_of(uint8_t i, struct lt_hash *out)
{
	lt_h1(LT_TAG_CHANGE, lt_slice(&i, 1), out);
}

static void
node_of(const struct lt_hash *a, const struct lt_hash *b, struct lt_hash *out)
{
	struct lt_slice pair[2] = { { a->b, LT_HASH_LEN }, { b->b, LT_HASH_LEN } };

	lt_h(LT_TAG_NODE, pair, 2, out);
}

/* Five leaves a b c d e, as in RFC 6962: ((ab)(cd))e. */
static void
test_paths_by_hand(void **state)
{
	struct lt_hash leaf[5], ab, cd, abcd, path[LT_MERKLE_PATH_MAX], root;
	size_t i, len;

	(void)state;
	for (i = 0; i < 5; i++)
		leaf_of((uint8_t)i, &leaf[i]);
	node_of(&leaf[0], &leaf[1], &ab);
	node_of(&leaf[2], &leaf[3], &cd);
	node_of(&ab, &cd, &abcd);
	lt_merkle_path(leaf, 5, 4, path, &len);
	assert_int_equal(len, 1);
	assert_memory_equal(path[0].b, abcd.b, LT_HASH_LEN);
	lt_merkle_path(leaf, 5, 2, path, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(path[0].b, leaf[3].b, LT_HASH_LEN);
	assert_memory_equal(path[1].b, ab.b, LT_HASH_LEN);
	assert_memory_equal(path[2].b, leaf[4].b, LT_HASH_LEN);
	lt_merkle_path(leaf, 1, 0, path, &len);
	assert_int_equal(len, 0);
	assert_int_equal(lt_merkle_path_root(&leaf[0], 1, 0, path, 0, &root), LT_OK);
	assert_memory_equal(root.b, leaf[0].b, LT_HASH_LEN);
	assert_int_equal(lt_merkle_path_root(&leaf[0], 1, 1, path, 0, &root), LT_E_INVALID);
	assert_int_equal(lt_merkle_path_root(&leaf[0], 1, 0, path, 1, &root), LT_E_INVALID);
	assert_int_equal(lt_merkle_path_root(&leaf[0], 0, 0, path, 0, &root), LT_E_INVALID);
}

static void
test_golden_paths(void **state)
{
	const json_t *list = golden_in(golden("proof"), "paths");
	struct lt_hash leaf[33], path[LT_MERKLE_PATH_MAX], root;
	size_t i, k, len;

	(void)state;
	for (i = 0; i < 33; i++)
		leaf_of((uint8_t)i, &leaf[i]);
	for (i = 0; i < json_array_size(list); i++) {
		const json_t *g = json_array_get(list, i), *want = golden_in(g, "path");
		size_t n = golden_number(g, "n"), index = golden_number(g, "index");

		lt_merkle_path(leaf, n, index, path, &len);
		assert_int_equal(len, json_array_size(want));
		for (k = 0; k < len; k++)
			golden_same("path", golden_hex(json_array_get(want, k)),
			    lt_slice(path[k].b, LT_HASH_LEN));
		assert_int_equal(
		    lt_merkle_path_root(&leaf[index], n, index, path, len, &root), LT_OK);
		golden_same("root", golden_bytes(g, "root"), lt_slice(root.b, LT_HASH_LEN));
	}
}

/* Of every size that a change-set can have near a power of two, every leaf leads to the root, and at no other place. */
static void
test_every_path(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 5, 6, 7, 8, 31, 32, 33, 1023, 1024 };
	static struct lt_hash leaf[1024];
	struct lt_hash path[LT_MERKLE_PATH_MAX], root, want;
	size_t s, i, len, step;

	(void)state;
	for (i = 0; i < 1024; i++) {
		uint8_t b[2] = { (uint8_t)(i >> 8), (uint8_t)i };

		lt_h1(LT_TAG_CHANGE, lt_slice(b, 2), &leaf[i]);
	}
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t n = sizes[s];

		lt_merkle_root(leaf, n, &want);
		step = n > 100 ? 37 : 1;
		for (i = 0; i < n; i += step) {
			lt_merkle_path(leaf, n, i, path, &len);
			assert_int_equal(
			    lt_merkle_path_root(&leaf[i], n, i, path, len, &root), LT_OK);
			assert_memory_equal(root.b, want.b, LT_HASH_LEN);
			assert_int_equal(lt_merkle_path_root(&leaf[i], n, i, path, len + 1, &root),
			    LT_E_INVALID);
			if (n > 1 &&
			    lt_merkle_path_root(&leaf[i], n, i ^ 1, path, len, &root) == LT_OK)
				assert_memory_not_equal(root.b, want.b, LT_HASH_LEN);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_openings),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_paths_by_hand),
		cmocka_unit_test(test_golden_paths),
		cmocka_unit_test(test_every_path),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
