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

/* Everything of two change-sets but the message they came in. */
static void
same(const struct lt_changeset *a, const struct lt_changeset *b)
{
	struct lt_buf x = { 0 }, y = { 0 };
	size_t i;

	assert_int_equal(lt_changeset_strip(a, &x), LT_OK);
	assert_int_equal(lt_changeset_strip(b, &y), LT_OK);
	assert_true(lt_slice_eq(lt_buf_slice(&x), lt_buf_slice(&y)));
	lt_buf_fini(&x);
	lt_buf_fini(&y);
	assert_int_equal(a->nchange, b->nchange);
	for (i = 0; i < a->nchange; i++) {
		assert_true(lt_slice_eq(a->change[i].raw, a->change_raw[i]));
		assert_memory_equal(&a->change[i].personal_root, &b->change[i].personal_root, 32);
	}
	assert_int_equal(a->nopening, b->nopening);
	for (i = 0; i < a->nopening; i++) {
		assert_memory_equal(&a->opening[i].leaf, &b->opening[i].leaf, 32);
		assert_int_equal(a->opening[i].withheld, b->opening[i].withheld);
		assert_true(lt_slice_eq(a->opening[i].field_set, b->opening[i].field_set));
	}
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
		struct lt_changeset was, is;
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
		assert_int_equal(lt_changeset_parse(lt_buf_slice(&whole), &a, &was, NULL), LT_OK);
		assert_int_equal(
		    lt_changeset_parse_lean(lt_buf_slice(&lean), &a, &a, &is, NULL), LT_OK);
		same(&is, &was);
		assert_int_equal(lt_changeset_verify_openings(&is, NULL), LT_OK);
		/* Who does not expect it does not take it. */
		assert_int_equal(
		    lt_changeset_parse(lt_buf_slice(&lean), &a, &is, NULL), LT_E_BADHASH);
		lt_arena_fini(&a);
		lt_buf_fini(&whole);
		lt_buf_fini(&lean);
		lt_buf_fini(&out);
	}
}

/* Nothing is left out: as any other, and no change is copied. */
static void
whole_ones_pass(void **state)
{
	static const char *const form[] = { "with_seed", "with_salts", "with_withheld", "bare" };
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct lt_buf b = golden(form[i]);
		struct lt_changeset was, is;
		struct lt_arena a, none;

		lt_arena_init(&a, 1 << 20);
		lt_arena_init(&none, 0);
		assert_int_equal(lt_changeset_parse(lt_buf_slice(&b), &a, &was, NULL), LT_OK);
		assert_int_equal(
		    lt_changeset_parse_lean(lt_buf_slice(&b), &a, &none, &is, NULL), LT_OK);
		same(&is, &was);
		assert_ptr_equal(is.change_raw[1].data, was.change_raw[1].data);
		lt_arena_fini(&a);
		lt_arena_fini(&none);
		lt_buf_fini(&b);
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

/* Whatever was done to it: what is signed is what was signed, or it is not believed. */
static int
believed(struct lt_slice bytes, const struct lt_changeset *was)
{
	struct lt_err err = { "" };
	struct lt_changeset cs;
	struct lt_arena a;
	size_t i;
	int rc;

	lt_arena_init(&a, lt_arena_cap_for(bytes.len));
	rc = lt_changeset_parse_lean(bytes, &a, &a, &cs, &err);
	assert_true(rc == LT_OK || err.text[0] != '\0');
	if (rc == LT_OK)
		rc = lt_changeset_verify_openings(&cs, &err);
	if (rc == LT_OK && !lt_hash_eq(&cs.hash, &was->hash))
		rc = LT_E_BADHASH; /* another header: the signature tells */
	if (rc == LT_OK && cs.has_openings) {
		assert_int_equal(cs.nopening, was->nopening);
		for (i = 0; i < cs.nopening; i++)
			assert_true(
			    lt_slice_eq(cs.opening[i].field_set, was->opening[i].field_set));
	}
	lt_arena_fini(&a);
	return rc;
}

static void
every_cut_and_every_flip(void **state)
{
	struct lt_buf whole = golden("with_seed"), lean = golden("lean_with_seed");
	struct lt_changeset was;
	struct lt_arena a;
	size_t i, bit, refused = 0;

	(void)state;
	lt_arena_init(&a, 1 << 20);
	assert_int_equal(lt_changeset_parse(lt_buf_slice(&whole), &a, &was, NULL), LT_OK);
	assert_int_equal(believed(lt_buf_slice(&lean), &was), LT_OK);
	for (i = 0; i < lean.len; i++)
		assert_int_not_equal(believed(lt_slice(lean.data, i), &was), LT_OK);
	for (i = 0; i < lean.len; i++)
		for (bit = 0; bit < 8; bit++) {
			lean.data[i] ^= (uint8_t)(1u << bit);
			refused += believed(lt_buf_slice(&lean), &was) != LT_OK;
			lean.data[i] ^= (uint8_t)(1u << bit);
		}
	/* The signature's 64 bytes are not looked at here; some tags become those of unknown fields. */
	assert_true(refused >= (lean.len - 64) * 8 - 64);
	lt_arena_fini(&a);
	lt_buf_fini(&whole);
	lt_buf_fini(&lean);
}

/* What is wrong with the openings of the last change, which has one, or with that change. */
enum wrong {
	NOTHING,
	NO_OPENINGS,
	ONE_LESS,
	NO_SEED,
	NO_VALUE,
	LEAF_ONLY,
	OTHER_NAME,
	OTHER_CHANGE,
	EMPTY_ROOT
};

static void
put_opening(struct lt_buf *op, struct lt_slice opened, enum wrong wrong)
{
	static const uint8_t leaf[LT_HASH_LEN];
	struct lt_slice none = { NULL, 0 }, name = none, fs = none;
	struct lt_wire_field f;
	struct lt_reader r;
	uint32_t change = 0;
	char text[65] = "";

	lt_reader_init(&r, opened);
	while (lt_wire_next(&r, &f)) {
		if (f.number == OPENED_CHANGE)
			change = (uint32_t)f.value;
		else if (f.number == OPENED_NAME)
			name = f.bytes;
		else if (f.number == OPENED_FIELD_SET)
			fs = f.bytes;
	}
	assert_true(name.len < sizeof(text));
	lt_slice_to_text(text, sizeof(text), name);
	if (change != 2) {
		lt_opened_put(op, change, text, none, fs, none);
		return;
	}
	if (wrong == ONE_LESS)
		return;
	lt_opened_put(op, wrong == OTHER_CHANGE ? 1 : 2, wrong == OTHER_NAME ? "z" : text, none,
	    wrong == NO_VALUE || wrong == LEAF_ONLY ? none : fs,
	    wrong == LEAF_ONLY ? lt_slice(leaf, sizeof(leaf)) : none);
}

static struct lt_buf
made_wrong(enum wrong wrong)
{
	struct lt_buf lean = golden("lean_with_seed"), out = { 0 }, op = { 0 }, last = { 0 };
	struct lt_wire_field f, g;
	struct lt_reader r, o;
	size_t change = 0;

	lt_reader_init(&r, lt_buf_slice(&lean));
	while (lt_wire_next(&r, &f)) {
		if (f.number == CS_CHANGE && change++ == 2 && wrong == EMPTY_ROOT) {
			lt_buf_put_slice(&last, f.bytes);
			lt_field_put(&last, CHANGE_ROOT, lt_slice(NULL, 0));
			lt_field_put(&out, CS_CHANGE, lt_buf_slice(&last));
		} else if (f.number != CS_OPENINGS) {
			lt_field_put(&out, f.number, f.bytes);
		} else if (wrong != NO_OPENINGS) {
			lt_reader_init(&o, f.bytes);
			while (lt_wire_next(&o, &g)) {
				if (g.number == OPENINGS_FIELD)
					put_opening(&op, g.bytes, wrong);
				else if (wrong != NO_SEED)
					lt_field_put(&op, g.number, g.bytes);
			}
			lt_field_put(&out, CS_OPENINGS, lt_buf_slice(&op));
		}
	}
	lt_buf_fini(&lean);
	lt_buf_fini(&op);
	lt_buf_fini(&last);
	assert_int_equal(out.err, LT_OK);
	return out;
}

static void
what_a_root_needs(void **state)
{
	static const enum wrong wrongs[] = { NO_OPENINGS, ONE_LESS, NO_SEED, NO_VALUE, LEAF_ONLY,
		OTHER_NAME, OTHER_CHANGE, EMPTY_ROOT };
	struct lt_buf good = made_wrong(NOTHING), lean = golden("lean_with_seed");
	size_t i;

	(void)state;
	assert_true(lt_slice_eq(lt_buf_slice(&good), lt_buf_slice(&lean)));
	lt_buf_fini(&good);
	lt_buf_fini(&lean);
	for (i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		struct lt_buf b = made_wrong(wrongs[i]);
		struct lt_err err = { "" };
		struct lt_changeset cs;
		struct lt_arena a;

		lt_arena_init(&a, 1 << 20);
		if (lt_changeset_parse_lean(lt_buf_slice(&b), &a, &a, &cs, &err) != LT_E_INVALID)
			fail_msg("wrong in way %zu: \"%s\"", i, err.text);
		assert_true(err.text[0] != '\0');
		lt_arena_fini(&a);
		lt_buf_fini(&b);
	}
}

/* A withheld value without its salt and a root left out: with salts, too. */
static void
withheld_and_lean(void **state)
{
	struct lt_buf held = golden("with_withheld"), lean = golden("lean_with_salts"), out = { 0 };
	struct lt_slice openings = { NULL, 0 };
	struct lt_changeset cs;
	struct lt_wire_field f;
	struct lt_err err = { "" };
	struct lt_reader r;
	struct lt_arena a;

	(void)state;
	lt_reader_init(&r, lt_buf_slice(&held));
	while (lt_wire_next(&r, &f))
		if (f.number == CS_OPENINGS)
			openings = f.bytes;
	lt_reader_init(&r, lt_buf_slice(&lean));
	while (lt_wire_next(&r, &f))
		lt_field_put(&out, f.number, f.number == CS_OPENINGS ? openings : f.bytes);
	lt_arena_init(&a, 1 << 20);
	assert_int_equal(
	    lt_changeset_parse_lean(lt_buf_slice(&out), &a, &a, &cs, &err), LT_E_INVALID);
	assert_non_null(strstr(err.text, "left out"));
	lt_arena_fini(&a);
	lt_buf_fini(&held);
	lt_buf_fini(&lean);
	lt_buf_fini(&out);
}

/* A length that is not in its shortest form is not how the change would come back: it is sent as it is. */
static void
odd_lengths_stay(void **state)
{
	struct lt_buf whole = golden("with_seed"), odd = { 0 }, out = { 0 };
	struct lt_changeset was, is;
	struct lt_reader r;
	struct lt_wire_field f;
	struct lt_arena a;
	size_t changes = 0;

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
	assert_int_equal(lt_changeset_parse(lt_buf_slice(&whole), &a, &was, NULL), LT_OK);
	assert_int_equal(lt_changeset_parse_lean(lt_buf_slice(&out), &a, &a, &is, NULL), LT_OK);
	same(&is, &was);
	lt_arena_fini(&a);
	lt_buf_fini(&whole);
	lt_buf_fini(&odd);
	lt_buf_fini(&out);
}

/* Arenas of every size up to enough: refused for want of room, or right. */
static void
little_memory(void **state)
{
	struct lt_buf whole = golden("with_seed"), lean = golden("lean_with_seed");
	size_t cap, which, good = 0, bad = 0;
	struct lt_changeset was;
	struct lt_arena all;

	(void)state;
	lt_arena_init(&all, 1 << 20);
	assert_int_equal(lt_changeset_parse(lt_buf_slice(&whole), &all, &was, NULL), LT_OK);
	for (which = 0; which < 2; which++)
		for (cap = 0; cap < 65536; cap += 509) {
			struct lt_err err = { "" };
			struct lt_changeset cs;
			struct lt_arena a, w;
			int rc;

			lt_arena_init(&a, which == 0 ? cap : 1 << 20);
			lt_arena_init(&w, which == 1 ? cap : 1 << 20);
			rc = lt_changeset_parse_lean(lt_buf_slice(&lean), &a, &w, &cs, &err);
			if (rc == LT_OK) {
				good++;
				same(&cs, &was);
			} else {
				bad++;
				assert_true(err.text[0] != '\0');
			}
			lt_arena_fini(&a);
			lt_arena_fini(&w);
		}
	assert_true(good > 1 && bad > 1);
	lt_arena_fini(&all);
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
		cmocka_unit_test(withheld_and_lean),
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
