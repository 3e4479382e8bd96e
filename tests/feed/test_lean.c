/* Change-sets without their personal_roots, and whole again (FORMAT.md 3.9). */
#include "tests/feed/sample.h"

#include "proto/base/file.h"
#include "proto/feed/changeset_impl.h"
#include "proto/feed/lean.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

static json_t *made;

/* Bytes of the other implementation; the caller frees them. */
static struct lt_buf
golden(const char *name)
{
	const char *s = json_string_value(json_object_get(made, name));
	struct lt_buf b = { 0 };
	uint8_t *p;

	if (s == NULL) {
		fail_msg("golden.json has no \"%s\"", name);
		return b;
	}
	p = lt_buf_reserve(&b, strlen(s) / 2);
	assert_non_null(p);
	assert_int_equal(lt_unhex(p, strlen(s) / 2, s), LT_OK);
	lt_buf_added(&b, strlen(s) / 2);
	return b;
}

static void
both_ways_as_the_other_implementation(void **state)
{
	static const char *const form[] = { "with_seed", "with_salts", "with_withheld" };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		char name[32];
		struct lt_buf whole = golden(form[i]), lean, out = { 0 };
		struct lt_slice back;
		struct lt_arena a;

		(void)snprintf(name, sizeof(name), "lean_%s", form[i]);
		lean = golden(name);
		assert_int_equal(lt_changeset_lean(lt_buf_slice(&whole), &out), LT_OK);
		assert_int_equal(out.len, lean.len);
		assert_memory_equal(out.data, lean.data, lean.len);
		/* Three changes have roots; where every second opening is withheld, only the last is all open. Lengths may need a
		 * byte less, too. */
		assert_true(whole.len - lean.len >= (i == 2 ? 1u : 3u) * 34u);

		lt_arena_init(&a, 1 << 20);
		assert_int_equal(lt_changeset_restore(lt_buf_slice(&lean), &a, &back, NULL), LT_OK);
		assert_int_equal(back.len, whole.len);
		assert_memory_equal(back.data, whole.data, whole.len);
		lt_arena_fini(&a);
		lt_buf_fini(&whole);
		lt_buf_fini(&lean);
		lt_buf_fini(&out);
	}
}

/* Nothing is left out: the same bytes come back, not a copy, and cost nothing. */
static void
whole_ones_pass(void **state)
{
	static const char *const form[] = { "with_seed", "with_salts", "with_withheld", "bare" };
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct lt_buf whole = golden(form[i]);
		struct lt_slice back;
		struct lt_arena a;

		lt_arena_init(&a, 0);
		assert_int_equal(
		    lt_changeset_restore(lt_buf_slice(&whole), &a, &back, NULL), LT_OK);
		assert_ptr_equal(back.data, whole.data);
		assert_int_equal(back.len, whole.len);
		lt_arena_fini(&a);
		lt_buf_fini(&whole);
	}
}

/* Without openings there is nothing to compute a root from: the form that is stored is its own lean form. */
static void
stored_ones_stay(void **state)
{
	struct lt_buf bare = golden("bare"), out = { 0 };

	(void)state;
	assert_int_equal(lt_changeset_lean(lt_buf_slice(&bare), &out), LT_OK);
	assert_int_equal(out.len, bare.len);
	assert_memory_equal(out.data, bare.data, bare.len);
	lt_buf_fini(&bare);
	lt_buf_fini(&out);
}

static int
restored(struct lt_slice bytes, struct lt_slice want)
{
	struct lt_err err = { "" };
	struct lt_changeset cs;
	struct lt_slice back;
	struct lt_arena a;
	int rc;

	lt_arena_init(&a, lt_arena_cap_for(bytes.len));
	rc = lt_changeset_restore(bytes, &a, &back, &err);
	if (rc != LT_OK) {
		assert_true(err.text[0] != '\0');
		lt_arena_fini(&a);
		return rc;
	}
	rc = lt_changeset_parse(back, &a, &cs, &err);
	if (rc == LT_OK)
		rc = lt_changeset_verify_openings(&cs, &err);
	/* Whatever was done to it, what is signed is what was signed, or it is not believed. */
	if (rc == LT_OK) {
		struct lt_changeset was;
		struct lt_arena b;

		lt_arena_init(&b, lt_arena_cap_for(want.len));
		assert_int_equal(lt_changeset_parse(want, &b, &was, &err), LT_OK);
		if (lt_hash_eq(&cs.hash, &was.hash)) {
			size_t i;

			assert_int_equal(cs.nopening, was.nopening);
			for (i = 0; i < cs.nopening; i++)
				assert_true(
				    lt_slice_eq(cs.opening[i].field_set, was.opening[i].field_set));
		} else {
			rc = LT_E_BADHASH; /* another header: the signature tells */
		}
		lt_arena_fini(&b);
	}
	lt_arena_fini(&a);
	return rc;
}

static void
every_cut_and_every_flip(void **state)
{
	struct lt_buf whole = golden("with_seed"), lean = golden("lean_with_seed");
	struct lt_slice want = lt_buf_slice(&whole);
	size_t i, bit, refused = 0;

	(void)state;
	assert_int_equal(restored(lt_buf_slice(&lean), want), LT_OK);
	for (i = 0; i < lean.len; i++)
		assert_int_not_equal(restored(lt_slice(lean.data, i), want), LT_OK);
	for (i = 0; i < lean.len; i++)
		for (bit = 0; bit < 8; bit++) {
			lean.data[i] ^= (uint8_t)(1u << bit);
			refused += restored(lt_buf_slice(&lean), want) != LT_OK;
			lean.data[i] ^= (uint8_t)(1u << bit);
		}
	/* The signature's 64 bytes are not looked at here; some tags become those of unknown fields. */
	assert_true(refused >= (lean.len - 64) * 8 - 64);
	lt_buf_fini(&whole);
	lt_buf_fini(&lean);
}

/* One change "c"/"k" with personal field "p", its opening as wanted: by hand, field by field. */
struct hand {
	const char *change_tail; /* after the names: what should be nothing */
	size_t tail_len;
	unsigned index; /* of the opening */
	const char *name; /* in the opening */
	bool value;
	bool seed;
	bool opening;
};

static struct lt_buf
by_hand(const struct hand *h)
{
	struct lt_buf whole = golden("with_seed"), out = { 0 }, change = { 0 }, op = { 0 };
	struct lt_reader r;
	struct lt_wire_field f;

	lt_reader_init(&r, lt_buf_slice(&whole));
	while (lt_wire_next(&r, &f))
		if (f.number == CS_HEADER || f.number == CS_SIGNATURE)
			lt_field_put(&out, f.number, f.bytes);
	lt_field_put(&change, 1, lt_slice_str("c"));
	lt_field_put(&change, 2, lt_slice_str("k"));
	lt_field_put(&change, 7, lt_slice_str("p"));
	lt_buf_put(&change, h->change_tail, h->tail_len);
	lt_field_put(&out, CS_CHANGE, lt_buf_slice(&change));
	if (h->seed)
		lt_field_put(&op, OPENINGS_SEED, lt_slice_str("0123456789abcdef"));
	if (h->opening)
		lt_opened_put(&op, h->index, h->name, lt_slice(NULL, 0),
		    h->value ? lt_slice_str("\x0a\x01p") : lt_slice(NULL, 0), lt_slice(NULL, 0));
	lt_field_put(&out, CS_OPENINGS, lt_buf_slice(&op));
	lt_buf_fini(&whole);
	lt_buf_fini(&change);
	lt_buf_fini(&op);
	assert_int_equal(out.err, LT_OK);
	return out;
}

static void
what_a_root_needs(void **state)
{
	static const struct {
		struct hand h;
		int rc;
		size_t more; /* bytes that come back more than went in */
	} row[] = {
		{ { "", 0, 0, "p", true, true, true }, LT_OK, 34 },
		{ { "", 0, 0, "p", true, true, false }, LT_E_INVALID, 0 }, /* no opening */
		{ { "", 0, 0, "p", true, false, true }, LT_E_INVALID, 0 }, /* no salt */
		{ { "", 0, 0, "p", false, true, true }, LT_E_INVALID, 0 }, /* no value */
		{ { "", 0, 0, "q", true, true, true }, LT_E_INVALID, 0 }, /* of another field */
		{ { "", 0, 1, "p", true, true, true }, LT_E_INVALID, 0 }, /* of another change */
		/* An empty root stands there: that is wrong, but not lean; who parses it says so. */
		{ { "\x42\x00", 2, 0, "p", true, true, true }, LT_OK, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct lt_buf b = by_hand(&row[i].h);
		struct lt_err err = { "" };
		struct lt_slice back;
		struct lt_arena a;

		lt_arena_init(&a, 1 << 20);
		if (lt_changeset_restore(lt_buf_slice(&b), &a, &back, &err) != row[i].rc)
			fail_msg("row %zu: %s", i, err.text);
		if (row[i].rc == LT_OK)
			assert_int_equal(back.len, b.len + row[i].more);
		lt_arena_fini(&a);
		lt_buf_fini(&b);
	}
}

/* A length that is not in its shortest form would come back shorter: such a change is sent as it is. */
static void
odd_lengths_stay(void **state)
{
	struct lt_buf whole = golden("with_seed"), odd = { 0 }, out = { 0 };
	struct lt_reader r;
	struct lt_wire_field f;
	size_t changes = 0;
	struct lt_slice back;
	struct lt_arena a;

	(void)state;
	lt_reader_init(&r, lt_buf_slice(&whole));
	while (lt_wire_next(&r, &f)) {
		if (f.number == CS_CHANGE && changes++ == 1) {
			lt_buf_u8(&odd, CS_CHANGE << 3 | 2);
			assert_true(f.bytes.len >= 128 && f.bytes.len < 16384);
			lt_buf_u8(&odd, (uint8_t)(f.bytes.len | 0x80));
			lt_buf_u8(&odd, (uint8_t)(f.bytes.len >> 7 | 0x80));
			lt_buf_u8(&odd, 0);
			lt_buf_put_slice(&odd, f.bytes);
		} else {
			lt_field_put(&odd, f.number, f.bytes);
		}
	}
	assert_int_equal(odd.len, whole.len + 1);
	assert_int_equal(lt_changeset_lean(lt_buf_slice(&odd), &out), LT_OK);
	/* Two of three are lean; their lengths may need a byte less. */
	assert_true(odd.len - out.len >= 2 * 34 && odd.len - out.len < 3 * 34);
	lt_arena_init(&a, 1 << 20);
	assert_int_equal(lt_changeset_restore(lt_buf_slice(&out), &a, &back, NULL), LT_OK);
	assert_int_equal(back.len, odd.len);
	assert_memory_equal(back.data, odd.data, odd.len);
	lt_arena_fini(&a);
	lt_buf_fini(&whole);
	lt_buf_fini(&odd);
	lt_buf_fini(&out);
}

/* An arena of every size up to enough: refused for want of room, or right. */
static void
little_memory(void **state)
{
	struct lt_buf whole = golden("with_seed"), lean = golden("lean_with_seed");
	size_t cap, good = 0;

	(void)state;
	for (cap = 0; cap < 65536; cap += 509) {
		struct lt_err err = { "" };
		struct lt_slice back;
		struct lt_arena a;
		int rc;

		lt_arena_init(&a, cap);
		rc = lt_changeset_restore(lt_buf_slice(&lean), &a, &back, &err);
		if (rc == LT_OK) {
			good++;
			assert_true(lt_slice_eq(back, lt_buf_slice(&whole)));
		} else {
			assert_true(err.text[0] != '\0');
		}
		lt_arena_fini(&a);
	}
	assert_true(good > 0);
	lt_buf_fini(&whole);
	lt_buf_fini(&lean);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_as_the_other_implementation),
		cmocka_unit_test(whole_ones_pass),
		cmocka_unit_test(stored_ones_stay),
		cmocka_unit_test(every_cut_and_every_flip),
		cmocka_unit_test(what_a_root_needs),
		cmocka_unit_test(odd_lengths_stay),
		cmocka_unit_test(little_memory),
	};
	json_t *all;
	int failed;

	if (sodium_init() < 0)
		return 1;
	all = json_load_file(LT_SOURCE_DIR "/tests/vectors/golden.json", 0, NULL);
	made = json_object_get(json_object_get(all, "changeset"), "made");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	json_decref(all);
	return failed;
}
