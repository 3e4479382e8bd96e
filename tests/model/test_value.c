/* Values: checks, order, text form, index bytes (FORMAT.md 2 and 9.4). */
#include "proto/model/value.h"

#include "proto/base/limits.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static struct lt_arena arena;

static int
setup(void **state)
{
	(void)state;
	lt_arena_init(&arena, (size_t)64 * 1024 * 1024);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	lt_arena_fini(&arena);
	return 0;
}

static const char *
text_of(const Ltpb__Value *v)
{
	struct lt_buf b;
	char *s;

	lt_buf_init(&b, 0);
	lt_value_text(v, &b);
	assert_int_equal(b.err, LT_OK);
	s = lt_arena_dup(&arena, b.data, b.len);
	assert_non_null(s);
	lt_buf_fini(&b);
	return s;
}

static Ltpb__Value *
parse(enum lt_type type, uint32_t scale, const char *text)
{
	Ltpb__Value *v = NULL;
	struct lt_err err = { "" };

	if (lt_value_parse(type, scale, lt_slice_str(text), &arena, &v, &err) != LT_OK) {
		assert_true(err.text[0] != '\0');
		return NULL;
	}
	assert_int_equal(lt_value_check(v, &err), LT_OK);
	return v;
}

struct text_case {
	enum lt_type type;
	uint32_t scale;
	const char *in;
	const char *out; /* NULL: refused */
};

/* Each text either comes back in its one canonical form or is refused. */
static void
test_text_form(void **state)
{
	static const struct text_case cases[] = {
		{ LT_TYPE_INT, 0, "0", "0" },
		{ LT_TYPE_INT, 0, "-1", "-1" },
		{ LT_TYPE_INT, 0, "9223372036854775807", "9223372036854775807" },
		{ LT_TYPE_INT, 0, "9223372036854775808", NULL },
		{ LT_TYPE_INT, 0, "-9223372036854775808", "-9223372036854775808" },
		{ LT_TYPE_INT, 0, "-9223372036854775809", NULL },
		{ LT_TYPE_INT, 0, "18446744073709551616", NULL },
		{ LT_TYPE_INT, 0, "99999999999999999999999999999999999999999", NULL },
		{ LT_TYPE_INT, 0, "", NULL },
		{ LT_TYPE_INT, 0, "-", NULL },
		{ LT_TYPE_INT, 0, "-0", NULL },
		{ LT_TYPE_INT, 0, "+1", NULL },
		{ LT_TYPE_INT, 0, "01", NULL },
		{ LT_TYPE_INT, 0, " 1", NULL },
		{ LT_TYPE_INT, 0, "1 ", NULL },
		{ LT_TYPE_INT, 0, "1.0", NULL },
		{ LT_TYPE_INT, 0, "1e3", NULL },
		{ LT_TYPE_INT, 0, "0x10", NULL },
		{ LT_TYPE_DECIMAL, 2, "12.5", "12.50" },
		{ LT_TYPE_DECIMAL, 2, "12", "12.00" },
		{ LT_TYPE_DECIMAL, 2, "-0.05", "-0.05" },
		{ LT_TYPE_DECIMAL, 2, "0.055", NULL },
		{ LT_TYPE_DECIMAL, 2, "0.", NULL },
		{ LT_TYPE_DECIMAL, 2, ".5", NULL },
		{ LT_TYPE_DECIMAL, 2, "1,5", NULL },
		{ LT_TYPE_DECIMAL, 0, "7", "7" },
		{ LT_TYPE_DECIMAL, 0, "7.0", NULL },
		{ LT_TYPE_DECIMAL, 18, "9.223372036854775807", "9.223372036854775807" },
		{ LT_TYPE_DECIMAL, 18, "9.223372036854775808", NULL },
		{ LT_TYPE_DECIMAL, 18, "-9.223372036854775808", "-9.223372036854775808" },
		{ LT_TYPE_DECIMAL, 18, "99999999999999999999", NULL },
		{ LT_TYPE_DECIMAL, 19, "1", NULL },
		{ LT_TYPE_BOOL, 0, "true", "true" },
		{ LT_TYPE_BOOL, 0, "false", "false" },
		{ LT_TYPE_BOOL, 0, "True", NULL },
		{ LT_TYPE_BOOL, 0, "1", NULL },
		{ LT_TYPE_BOOL, 0, "", NULL },
		{ LT_TYPE_DATE, 0, "0001-01-01", "0001-01-01" },
		{ LT_TYPE_DATE, 0, "0000-12-31", NULL },
		{ LT_TYPE_DATE, 0, "9999-12-31", "9999-12-31" },
		{ LT_TYPE_DATE, 0, "10000-01-01", NULL },
		{ LT_TYPE_DATE, 0, "2024-02-29", "2024-02-29" },
		{ LT_TYPE_DATE, 0, "2023-02-29", NULL },
		{ LT_TYPE_DATE, 0, "1900-02-29", NULL },
		{ LT_TYPE_DATE, 0, "2000-02-29", "2000-02-29" },
		{ LT_TYPE_DATE, 0, "2025-04-31", NULL },
		{ LT_TYPE_DATE, 0, "2025-13-01", NULL },
		{ LT_TYPE_DATE, 0, "2025-00-01", NULL },
		{ LT_TYPE_DATE, 0, "2025-01-00", NULL },
		{ LT_TYPE_DATE, 0, "2025-1-1", NULL },
		{ LT_TYPE_DATE, 0, "2025-01-01T", NULL },
		{ LT_TYPE_DATE, 0, "01/07/2025", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z" },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T08:30+07:00", "2025-07-01T01:30:00.000Z" },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T00:30:00.5+07:00", "2025-06-30T17:30:00.500Z" },
		{ LT_TYPE_TIMESTAMP, 0, "2024-12-31T23:59:59.999-00:01",
		    "2025-01-01T00:00:59.999Z" },
		{ LT_TYPE_TIMESTAMP, 0, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z" },
		{ LT_TYPE_TIMESTAMP, 0, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z" },
		{ LT_TYPE_TIMESTAMP, 0, "0001-01-01T00:00:00+00:01", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z" },
		{ LT_TYPE_TIMESTAMP, 0, "9999-12-31T23:59:59.999-00:01", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T08:30:00", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T24:00:00Z", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T23:60:00Z", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T23:59:60Z", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T23:59:00.Z", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T23:59:00.1234Z", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T23:59:00+24:00", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T23:59:00+07:60", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T23:59:00+0700", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01 23:59:00Z", NULL },
		{ LT_TYPE_TIMESTAMP, 0, "2025-07-01T23:59:00Zx", NULL },
		{ LT_TYPE_BYTES, 0, "00fF7a", "00ff7a" },
		{ LT_TYPE_BYTES, 0, "", "" },
		{ LT_TYPE_BYTES, 0, "0", NULL },
		{ LT_TYPE_BYTES, 0, "0g", NULL },
		{ LT_TYPE_TEXT, 0, "", "" },
		{ LT_TYPE_TEXT, 0, "Xã Lượng Minh", "Xã Lượng Minh" },
		/* e + combining circumflex + combining dot below: one letter in NFC */
		{ LT_TYPE_TEXT, 0, "e\xcc\x82\xcc\xa3", "\xe1\xbb\x87" },
		{ LT_TYPE_TEXT, 0, "\xff", NULL },
		{ LT_TYPE_TEXT, 0, "\xed\xa0\x80", NULL },
		{ LT_TYPE_ENUM, 0, "dang_xu_ly", "dang_xu_ly" },
		{ LT_TYPE_SET, 0, "", "" },
		{ LT_TYPE_SET, 0, "b;a", "a;b" },
		{ LT_TYPE_SET, 0, "b; a ;b", "a;b" },
		{ LT_TYPE_SET, 0, "a;;b", NULL },
		{ LT_TYPE_SET, 0, "a;", NULL },
		{ LT_TYPE_SET, 0, ";", NULL },
		{ LT_TYPE_SET, 0, "a; ;b", NULL },
		{ LT_TYPE_SET, 0, "B;a;A", "A;B;a" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const Ltpb__Value *v = parse(cases[i].type, cases[i].scale, cases[i].in);

		if ((v == NULL) != (cases[i].out == NULL))
			fail_msg(
			    "case %zu \"%s\": %s", i, cases[i].in, v == NULL ? "refused" : "taken");
		if (v == NULL)
			continue;
		assert_string_equal(text_of(v), cases[i].out);
		/* what was printed reads back as the same value */
		assert_true(lt_value_eq(v, parse(cases[i].type, cases[i].scale, cases[i].out)));
	}
}

/* A NUL inside is never cut off silently. */
static void
test_nul_inside(void **state)
{
	static const enum lt_type types[] = { LT_TYPE_TEXT, LT_TYPE_INT, LT_TYPE_DECIMAL,
		LT_TYPE_BOOL, LT_TYPE_DATE, LT_TYPE_TIMESTAMP, LT_TYPE_BYTES, LT_TYPE_ENUM,
		LT_TYPE_SET };
	static const char *texts[] = { "a", "1", "1", "true", "2025-07-01", "2025-07-01T00:00:00Z",
		"00", "a", "a" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		Ltpb__Value *v = NULL;
		char s[64];
		size_t n = strlen(texts[i]);

		assert_non_null(parse(types[i], 0, texts[i]));
		memcpy(s, texts[i], n);
		s[n] = '\0';
		s[n + 1] = '0';
		assert_int_not_equal(
		    lt_value_parse(types[i], 0, lt_slice(s, n + 2), &arena, &v, NULL), LT_OK);
	}
}

/* 64 KiB fits, one byte more does not; 1,024 items fit, one more does not. */
static void
test_limits(void **state)
{
	char *s = malloc(2 * LT_VALUE_MAX + 4);
	Ltpb__Value *v = NULL;
	size_t i;

	(void)state;
	assert_non_null(s);
	memset(s, 'a', 2 * LT_VALUE_MAX + 4);
	assert_int_equal(
	    lt_value_parse(LT_TYPE_TEXT, 0, lt_slice(s, LT_VALUE_MAX), &arena, &v, NULL), LT_OK);
	assert_int_equal(lt_value_check(v, NULL), LT_OK);
	assert_int_equal(
	    lt_value_parse(LT_TYPE_TEXT, 0, lt_slice(s, LT_VALUE_MAX + 1), &arena, &v, NULL),
	    LT_E_TOOBIG);
	assert_int_equal(
	    lt_value_parse(LT_TYPE_BYTES, 0, lt_slice(s, 2 * LT_VALUE_MAX), &arena, &v, NULL),
	    LT_OK);
	assert_int_equal(
	    lt_value_parse(LT_TYPE_BYTES, 0, lt_slice(s, 2 * LT_VALUE_MAX + 2), &arena, &v, NULL),
	    LT_E_TOOBIG);
	for (i = 0; i < LT_SET_ITEMS_MAX + 1; i++)
		snprintf(s + 5 * i, 6, "%04zu;", i);
	assert_int_equal(
	    lt_value_parse(LT_TYPE_SET, 0, lt_slice(s, 5 * LT_SET_ITEMS_MAX - 1), &arena, &v, NULL),
	    LT_OK);
	assert_int_equal(v->set->n_item, LT_SET_ITEMS_MAX);
	assert_int_equal(
	    lt_value_parse(LT_TYPE_SET, 0, lt_slice(s, 5 * LT_SET_ITEMS_MAX + 4), &arena, &v, NULL),
	    LT_E_TOOBIG);
	free(s);
}

/* What came over the wire is not normalised but refused. */
static void
test_check_refuses(void **state)
{
	char *nfd[] = { (char *)"e\xcc\x82" }, *unsorted[] = { (char *)"b", (char *)"a" };
	char *twice[] = { (char *)"a", (char *)"a" }, *empty[] = { (char *)"" };
	Ltpb__Value v = LTPB__VALUE__INIT;
	Ltpb__Decimal d = LTPB__DECIMAL__INIT;
	Ltpb__TextSet s = LTPB__TEXT_SET__INIT;

	(void)state;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	v.v_case = LTPB__VALUE__V_TEXT;
	v.text = nfd[0];
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	v.v_case = LTPB__VALUE__V_ENUMERATION;
	v.enumeration = nfd[0];
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	v.v_case = LTPB__VALUE__V_DECIMAL;
	v.decimal = &d;
	d.scale = 18;
	assert_int_equal(lt_value_check(&v, NULL), LT_OK);
	d.scale = 19;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	v.v_case = LTPB__VALUE__V_SET;
	v.set = &s;
	assert_int_equal(lt_value_check(&v, NULL), LT_OK);
	s.n_item = 1;
	s.item = nfd;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	s.item = empty;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	s.n_item = 2;
	s.item = unsorted;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	s.item = twice;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	v.v_case = LTPB__VALUE__V_DATE;
	v.date = -719162;
	assert_int_equal(lt_value_check(&v, NULL), LT_OK);
	v.date--;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	v.date = 2932896;
	assert_int_equal(lt_value_check(&v, NULL), LT_OK);
	v.date++;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	v.v_case = LTPB__VALUE__V_TIMESTAMP;
	v.timestamp = INT64_C(-62135596800000);
	assert_int_equal(lt_value_check(&v, NULL), LT_OK);
	v.timestamp--;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
	v.timestamp = INT64_C(253402300799999);
	assert_int_equal(lt_value_check(&v, NULL), LT_OK);
	v.timestamp++;
	assert_int_equal(lt_value_check(&v, NULL), LT_E_INVALID);
}

/* Every day of the calendar: no gap, no overlap, in step with the C library's own civil time. */
static void
test_every_day(void **state)
{
	int y, m, d, py = 1, pm = 1, pd = 0;
	int32_t days, back;

	(void)state;
	for (days = -719162; days <= 2932896; days++) {
		time_t t = (time_t)days * 86400;
		struct tm tm;

		lt_days_to_date(days, &y, &m, &d);
		assert_true(lt_date_to_days(y, m, d, &back));
		if (gmtime_r(&t, &tm) == NULL || tm.tm_year + 1900 != y || tm.tm_mon + 1 != m ||
		    tm.tm_mday != d)
			fail_msg("%d is not %d-%d-%d", days, y, m, d);
		if (back != days)
			fail_msg("%d -> %d-%d-%d -> %d", days, y, m, d, back);
		if (!((y == py && m == pm && d == pd + 1) || (y == py && m == pm + 1 && d == 1) ||
			(y == py + 1 && m == 1 && d == 1 && pm == 12 && pd == 31)))
			fail_msg("%d-%d-%d follows %d-%d-%d", y, m, d, py, pm, pd);
		py = y;
		pm = m;
		pd = d;
	}
	assert_int_equal(py, 9999);
	assert_false(lt_date_to_days(2025, 2, 29, &back));
	assert_false(lt_date_to_days(0, 1, 1, &back));
	assert_false(lt_date_to_days(10000, 1, 1, &back));
}

/* In Vietnam the new day begins at 17:00 UTC. 20270 is 2025-07-01 (date(2025,7,1) in Python). */
static void
test_vietnam_day(void **state)
{
	const int64_t day = INT64_C(86400000), five_pm = INT64_C(17) * 3600 * 1000;

	(void)state;
	assert_int_equal(lt_days_vietnam(20269 * day + five_pm - 1), 20269);
	assert_int_equal(lt_days_vietnam(20269 * day + five_pm), 20270);
	assert_int_equal(lt_days_vietnam(0), 0);
	assert_int_equal(lt_days_vietnam(-INT64_C(7) * 3600 * 1000), 0);
	assert_int_equal(lt_days_vietnam(-INT64_C(7) * 3600 * 1000 - 1), -1);
	assert_int_equal(lt_days_vietnam(INT64_MAX), 2932896);
	assert_int_equal(lt_days_vietnam(INT64_MIN), -719162);
}

static void
test_decimal_scales(void **state)
{
	static const struct {
		int64_t a;
		uint32_t sa;
		int64_t b;
		uint32_t sb;
		int cmp;
	} cases[] = {
		{ 15, 1, 150, 2, 0 },
		{ 15, 1, 151, 2, -1 },
		{ -15, 1, -151, 2, 1 },
		{ 0, 0, 0, 18, 0 },
		{ INT64_MAX, 0, INT64_MAX, 18, 1 },
		{ INT64_MIN, 0, INT64_MIN, 18, -1 },
		{ 1, 18, 0, 0, 1 },
		{ INT64_MAX, 0, INT64_MAX, 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Ltpb__Decimal da = LTPB__DECIMAL__INIT, db = LTPB__DECIMAL__INIT;
		Ltpb__Value a = LTPB__VALUE__INIT, b = LTPB__VALUE__INIT;

		da.unscaled = cases[i].a;
		da.scale = cases[i].sa;
		db.unscaled = cases[i].b;
		db.scale = cases[i].sb;
		a.v_case = b.v_case = LTPB__VALUE__V_DECIMAL;
		a.decimal = &da;
		b.decimal = &db;
		assert_int_equal(lt_value_cmp(&a, &b), cases[i].cmp);
		assert_int_equal(lt_value_cmp(&b, &a), -cases[i].cmp);
		assert_int_equal(lt_value_eq(&a, &b), cases[i].cmp == 0);
	}
}

static void
test_order_of_kinds(void **state)
{
	Ltpb__Value *number = parse(LT_TYPE_INT, 0, "1"), *text = parse(LT_TYPE_TEXT, 0, "zzz");
	Ltpb__Value *word = parse(LT_TYPE_ENUM, 0, "zzz");
	Ltpb__Value none = LTPB__VALUE__INIT;

	(void)state;
	assert_true(lt_value_eq(NULL, NULL));
	assert_false(lt_value_eq(NULL, &none));
	assert_true(lt_value_cmp(NULL, &none) < 0);
	assert_true(lt_value_cmp(&none, text) < 0);
	assert_true(lt_value_cmp(text, number) < 0);
	assert_true(lt_value_cmp(number, text) > 0);
	assert_false(lt_value_eq(text, word));
	assert_true(lt_value_cmp(parse(LT_TYPE_SET, 0, "a"), parse(LT_TYPE_SET, 0, "a;b")) < 0);
	assert_true(lt_value_cmp(parse(LT_TYPE_SET, 0, "b"), parse(LT_TYPE_SET, 0, "a;b")) > 0);
	/* bytes above 0x7f are above ASCII */
	assert_true(lt_value_cmp(parse(LT_TYPE_TEXT, 0, "z"), parse(LT_TYPE_TEXT, 0, "ả")) < 0);
}

/* xorshift: the same sequence in every run */
static uint64_t
next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static Ltpb__Value *
random_value(enum lt_type type, uint64_t *seed, char *text, uint8_t *bytes)
{
	Ltpb__Value *v = lt_arena_alloc(&arena, sizeof(*v));
	uint64_t r = next_random(seed);
	size_t n, i;

	assert_non_null(v);
	ltpb__value__init(v);
	r >>= r % 64; /* small and large ones alike */
	if (next_random(seed) & 1)
		r = 0 - r;
	switch (type) {
	case LT_TYPE_INT:
		v->v_case = LTPB__VALUE__V_INTEGER;
		v->integer = (int64_t)r;
		break;
	case LT_TYPE_DATE:
		v->v_case = LTPB__VALUE__V_DATE;
		v->date = (int32_t)((int64_t)r % 719162);
		break;
	case LT_TYPE_TIMESTAMP:
		v->v_case = LTPB__VALUE__V_TIMESTAMP;
		v->timestamp = (int64_t)r;
		break;
	case LT_TYPE_BOOL:
		v->v_case = LTPB__VALUE__V_BOOLEAN;
		v->boolean = (r & 1) != 0;
		break;
	case LT_TYPE_DECIMAL:
		v->v_case = LTPB__VALUE__V_DECIMAL;
		v->decimal = lt_arena_alloc(&arena, sizeof(*v->decimal));
		assert_non_null(v->decimal);
		ltpb__decimal__init(v->decimal);
		v->decimal->unscaled = (int64_t)r;
		v->decimal->scale = (uint32_t)(next_random(seed) % 4);
		break;
	case LT_TYPE_BYTES:
		v->v_case = LTPB__VALUE__V_BYTES;
		n = next_random(seed) % 4;
		for (i = 0; i < n; i++)
			bytes[i] = (uint8_t)next_random(seed);
		v->bytes.data = bytes;
		v->bytes.len = n;
		break;
	default:
		v->v_case = LTPB__VALUE__V_TEXT;
		n = next_random(seed) % 4;
		for (i = 0; i < n; i++)
			text[i] = (char)(1 + next_random(seed) % 127);
		text[n] = '\0';
		v->text = text;
	}
	return v;
}

/* Order of the index bytes, followed by the 00 of an index key, is the order of the values. Decimals
 * beyond the ends or between the steps of the field's scale may share bytes, never swap. */
static void
test_index_order(void **state)
{
	static const enum lt_type types[] = { LT_TYPE_TEXT, LT_TYPE_INT, LT_TYPE_DECIMAL,
		LT_TYPE_BOOL, LT_TYPE_DATE, LT_TYPE_TIMESTAMP, LT_TYPE_BYTES };
	uint64_t seed = 88172645463325252;
	size_t t, i;

	(void)state;
	for (t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		for (i = 0; i < 20000; i++) {
			char s[2][8];
			uint8_t b[2][8];
			Ltpb__Value *x = random_value(types[t], &seed, s[0], b[0]);
			Ltpb__Value *y = random_value(types[t], &seed, s[1], b[1]);
			struct lt_buf ix, iy;
			int want = lt_value_cmp(x, y), got;

			lt_buf_init(&ix, 0);
			lt_buf_init(&iy, 0);
			assert_int_equal(lt_value_index(x, 2, 0, &ix), LT_OK);
			assert_int_equal(lt_value_index(y, 2, 0, &iy), LT_OK);
			assert_true(ix.len == 0 || memchr(ix.data, 0, ix.len) == NULL);
			lt_buf_u8(&ix, 0);
			lt_buf_u8(&iy, 0);
			got = lt_slice_cmp(lt_buf_slice(&ix), lt_buf_slice(&iy));
			got = (got > 0) - (got < 0);
			if (types[t] == LT_TYPE_DECIMAL ? got != 0 && got != want : got != want)
				fail_msg("type %d: %s and %s: index order %d, value order %d",
				    (int)types[t], text_of(x), text_of(y), got, want);
			lt_buf_fini(&ix);
			lt_buf_fini(&iy);
		}
	}
}

static void
expect_index(const Ltpb__Value *v, uint32_t scale, size_t item, const char *want)
{
	struct lt_buf b;
	int rc;

	lt_buf_init(&b, 0);
	rc = lt_value_index(v, scale, item, &b);
	if (want == NULL) {
		assert_int_equal(rc, LT_E_NOTFOUND);
	} else {
		assert_int_equal(rc, LT_OK);
		assert_int_equal(b.len, strlen(want));
		assert_true(b.len == 0 || memcmp(b.data, want, b.len) == 0);
	}
	lt_buf_fini(&b);
}

/* Bytes worked out by hand from FORMAT.md 9.4. */
static void
test_index_bytes(void **state)
{
	char longer[128];
	Ltpb__Value *set = parse(LT_TYPE_SET, 0, "b;a");

	(void)state;
	expect_index(parse(LT_TYPE_INT, 0, "0"), 0, 0, "8000000000000000");
	expect_index(parse(LT_TYPE_INT, 0, "-1"), 0, 0, "7fffffffffffffff");
	expect_index(parse(LT_TYPE_INT, 0, "-9223372036854775808"), 0, 0, "0000000000000000");
	expect_index(parse(LT_TYPE_INT, 0, "1"), 0, 1, NULL);
	expect_index(parse(LT_TYPE_DATE, 0, "1970-01-11"), 0, 0, "800000000000000a");
	expect_index(parse(LT_TYPE_DECIMAL, 1, "1.5"), 3, 0, "80000000000005dc");
	expect_index(parse(LT_TYPE_DECIMAL, 2, "1.59"), 1, 0, "800000000000000f");
	expect_index(parse(LT_TYPE_DECIMAL, 2, "-1.59"), 1, 0, "7ffffffffffffff0");
	expect_index(parse(LT_TYPE_DECIMAL, 0, "9223372036854775807"), 1, 0, "ffffffffffffffff");
	expect_index(parse(LT_TYPE_DECIMAL, 0, "-9223372036854775807"), 1, 0, "0000000000000000");
	expect_index(parse(LT_TYPE_BOOL, 0, "false"), 0, 0, "00");
	expect_index(parse(LT_TYPE_BOOL, 0, "true"), 0, 0, "01");
	expect_index(parse(LT_TYPE_BYTES, 0, "00ff"), 0, 0, "00ff");
	expect_index(set, 0, 0, "a");
	expect_index(set, 0, 1, "b");
	expect_index(set, 0, 2, NULL);
	expect_index(parse(LT_TYPE_SET, 0, ""), 0, 0, NULL);
	memset(longer, 'x', sizeof(longer));
	longer[97] = '\0';
	expect_index(
	    parse(LT_TYPE_TEXT, 0, longer), 0, 0, (longer[96] = '\0', (const char *)longer));
	memset(longer, 'a', sizeof(longer));
	longer[98] = '\0';
	set = parse(LT_TYPE_BYTES, 0, longer); /* 49 bytes */
	longer[96] = '\0';
	expect_index(set, 0, 0, longer);
}

static void
test_dup(void **state)
{
	static const struct {
		enum lt_type type;
		const char *text;
	} cases[] = { { LT_TYPE_TEXT, "" }, { LT_TYPE_TEXT, "đường" }, { LT_TYPE_INT, "-7" },
		{ LT_TYPE_DECIMAL, "2.50" }, { LT_TYPE_BOOL, "true" },
		{ LT_TYPE_DATE, "2025-07-01" }, { LT_TYPE_TIMESTAMP, "2025-07-01T00:00:00Z" },
		{ LT_TYPE_BYTES, "00ff" }, { LT_TYPE_BYTES, "" }, { LT_TYPE_ENUM, "xa" },
		{ LT_TYPE_SET, "a;b" }, { LT_TYPE_SET, "" } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Ltpb__Value *v = parse(cases[i].type, 2, cases[i].text), *c;
		struct lt_arena own, tiny;
		uint8_t one[64], two[64];
		size_t n;

		assert_non_null(v);
		lt_arena_init(&own, 65536);
		c = lt_value_dup(v, &own);
		assert_non_null(c);
		assert_true(lt_value_eq(v, c));
		/* the empty text is still a text when packed */
		n = ltpb__value__pack(v, one);
		assert_true(n > 0);
		assert_int_equal(ltpb__value__pack(c, two), n);
		assert_memory_equal(one, two, n);
		lt_arena_fini(&own);
		lt_arena_init(&tiny, 16);
		assert_null(lt_value_dup(v, &tiny));
		lt_arena_fini(&tiny);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_text_form, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nul_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_day, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vietnam_day, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decimal_scales, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_of_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_index_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_index_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dup, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
