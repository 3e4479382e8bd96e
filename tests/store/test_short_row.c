/* Short rows: both ways against what tests/vectors/golden_store.py makes of FORMAT.md 9.13, and against every damage. */
#include "tests/lib/golden.h"

#include "proto/base/error.h"
#include "proto/base/limits.h"
#include "proto/store/short_row.h"

#include <stdlib.h>
#include <string.h>

struct vector {
	struct lt_slice row, record, stored;
};

static size_t
vectors(struct vector **out)
{
	const json_t *list = golden_in(golden("store"), "short"), *v;
	struct vector *all = calloc(json_array_size(list), sizeof(*all));
	size_t i;

	assert_non_null(all);
	json_array_foreach(list, i, v)
	{
		all[i].row = golden_bytes(v, "row");
		all[i].record = golden_bytes(v, "record");
		all[i].stored = golden_bytes(v, "short");
	}
	assert_true(i > 20);
	*out = all;
	return i;
}

static void
made_and_restored(void **state)
{
	struct lt_buf b = { 0 };
	struct vector *v;
	size_t n = vectors(&v), i, whole = 0;
	char what[32];

	(void)state;
	for (i = 0; i < n; i++) {
		(void)snprintf(what, sizeof(what), "short row %zu", i);
		lt_buf_clear(&b);
		lt_buf_u8(&b, 0x55); /* it is appended */
		assert_int_equal(lt_short_row_make(v[i].row, v[i].record, &b), LT_OK);
		assert_int_equal(b.data[0], 0x55);
		golden_same(what, v[i].stored, lt_slice(b.data + 1, b.len - 1));
		assert_true(v[i].stored.len <= v[i].row.len);
		if (!lt_short_row_is(v[i].stored)) {
			golden_same(what, v[i].row, v[i].stored);
			lt_buf_clear(&b);
			assert_int_equal(
			    lt_short_row_restore(v[i].stored, v[i].record, &b), LT_E_CORRUPT);
			whole++;
			continue;
		}
		lt_buf_clear(&b);
		lt_buf_u8(&b, 0x55);
		assert_int_equal(lt_short_row_restore(v[i].stored, v[i].record, &b), LT_OK);
		golden_same(what, v[i].row, lt_slice(b.data + 1, b.len - 1));
	}
	assert_true(whole >= 2 && whole < n / 2);
	lt_buf_fini(&b);
	free(v);
}

/* Nothing shown, nothing to leave out; no row, nothing at all. */
static void
nothing_shown(void **state)
{
	struct lt_slice none = { NULL, 0 };
	struct lt_buf b = { 0 };
	struct vector *v;

	(void)state;
	(void)vectors(&v);
	assert_int_equal(lt_short_row_make(v[1].row, none, &b), LT_OK);
	golden_same("whole", v[1].row, lt_buf_slice(&b));
	lt_buf_clear(&b);
	assert_int_equal(lt_short_row_make(none, v[1].record, &b), LT_OK);
	assert_int_equal(b.len, 0);
	assert_false(lt_short_row_is(none));
	assert_false(lt_short_row_is(v[1].row));
	assert_true(lt_short_row_is(v[1].stored));
	assert_int_equal(lt_short_row_restore(v[1].stored, none, &b), LT_E_CORRUPT);
	assert_int_equal(lt_short_row_restore(none, v[1].record, &b), LT_E_CORRUPT);
	lt_buf_fini(&b);
	free(v);
}

/* In memory of its own, so that a sanitizer sees a byte read behind it. */
static uint8_t *
own(struct lt_slice s)
{
	uint8_t *p = malloc(s.len + (s.len == 0));

	assert_non_null(p);
	memcpy(p, s.data, s.len);
	return p;
}

/* Whatever comes out is the row, or nothing does. */
static bool
same_or_corrupt(const struct vector *v, struct lt_slice stored, struct lt_slice record)
{
	struct lt_buf b = { 0 };
	int rc = lt_short_row_restore(stored, record, &b);
	bool same = rc == LT_OK && lt_slice_eq(lt_buf_slice(&b), v->row);

	assert_true(same || rc == LT_E_CORRUPT);
	lt_buf_fini(&b);
	return same;
}

static void
flip_each(const struct vector *v, size_t step)
{
	uint8_t *stored = own(v->stored), *record = own(v->record);
	struct lt_slice s = { stored, v->stored.len }, r = { record, v->record.len };
	size_t bit;

	for (bit = 0; bit < 8 * s.len; bit += step) {
		stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(same_or_corrupt(v, s, r));
		stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (bit = 0; bit < 8 * r.len; bit += step) {
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
		(void)same_or_corrupt(v, s, r); /* unit and key, for one, are not looked at */
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(stored);
	free(record);
}

static void
cut_each(const struct vector *v)
{
	uint8_t *p;
	size_t len;

	for (len = 0; len < v->stored.len; len++) {
		p = own(lt_slice(v->stored.data, len));
		assert_false(same_or_corrupt(v, lt_slice(p, len), v->record));
		free(p);
	}
	for (len = 0; len < v->record.len; len++) {
		p = own(lt_slice(v->record.data, len));
		(void)same_or_corrupt(v, v->stored, lt_slice(p, len));
		free(p);
	}
}

static void
damaged(void **state)
{
	uint8_t longer[4096];
	struct vector *v;
	size_t n = vectors(&v), i;

	(void)state;
	for (i = 0; i < n; i++) {
		if (!lt_short_row_is(v[i].stored) || v[i].stored.len >= sizeof(longer))
			continue;
		flip_each(&v[i], v[i].record.len < 500 ? 1 : 37);
		if (v[i].record.len < 500)
			cut_each(&v[i]);
		memcpy(longer, v[i].stored.data, v[i].stored.len);
		longer[v[i].stored.len] = 0;
		assert_false(
		    same_or_corrupt(&v[i], lt_slice(longer, v[i].stored.len + 1), v[i].record));
	}
	free(v);
}

/* A row with what another record, or another state of it, shows. */
static void
of_another(void **state)
{
	struct vector *v;
	size_t n = vectors(&v), i, k;

	(void)state;
	for (i = 0; i < n; i++) {
		if (!lt_short_row_is(v[i].stored))
			continue;
		for (k = 0; k < n; k++)
			if (!lt_slice_eq(v[i].record, v[k].record))
				assert_false(same_or_corrupt(&v[i], v[i].stored, v[k].record));
	}
	free(v);
}

/* Counts beyond what is there take no memory and no time. */
static void
great_counts(void **state)
{
	static const uint8_t counts[][12] = {
		{ 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 },
		{ 2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 },
		{ 2, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 },
		{ 2, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f },
		{ 2, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0x7f },
	};
	struct vector *v;
	size_t i;

	(void)state;
	(void)vectors(&v);
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		assert_false(same_or_corrupt(&v[1], lt_slice(counts[i], 12), v[1].record));
	free(v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_and_restored),
		cmocka_unit_test(nothing_shown),
		cmocka_unit_test(damaged),
		cmocka_unit_test(of_another),
		cmocka_unit_test(great_counts),
	};

	return cmocka_run_group_tests_name("short_row", tests, NULL, NULL);
}
