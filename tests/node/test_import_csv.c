/* Reading records: what RFC 4180 says, what offices write instead, and faults that must cost one
 * line only. Encodings are compared with the C library's own tables (iconv). */
#include "node/import_charset.h"
#include "node/import_csv.h"

#include <iconv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include <cmocka.h>

/* A source that gives at most `step` bytes at once, and fails at offset fail_at if that is set. */
struct drip {
	struct lt_slice s;
	size_t step, given, fail_at;
};

static int
drip_read(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
	struct drip *d = ctx;
	size_t n = d->step < cap ? d->step : cap;

	if (d->fail_at != 0 && d->given >= d->fail_at)
		return LT_E_IO;
	if (n > d->s.len - d->given)
		n = d->s.len - d->given;
	memcpy(buf, d->s.data + d->given, n);
	d->given += n;
	*got = n;
	return LT_OK;
}

static const char *const flaw_text[] = { "", "!long", "!open", "!bad", "!columns", "!nul" };

/* "line:a|b;..." one item a record, with its flaw. */
static void
render(struct lt_csv *r, struct lt_buf *out)
{
	struct lt_csv_record rec;
	uint64_t n = 0;
	size_t i;

	while (lt_csv_next(r, &rec, NULL) == LT_OK) {
		assert_int_equal(rec.number, ++n);
		lt_buf_printf(out, "%llu%s:", (unsigned long long)rec.line, flaw_text[rec.flaw]);
		for (i = 0; i < rec.ncell; i++) {
			if (i > 0)
				lt_buf_u8(out, '|');
			lt_buf_put_slice(out, rec.cell[i]);
		}
		lt_buf_u8(out, '^');
	}
	lt_buf_u8(out, 0);
}

static void
read_all(struct lt_slice text, struct lt_csv_options o, size_t step, struct lt_buf *out)
{
	struct drip d = { .s = text, .step = step };
	struct lt_csv *r;

	o.source = (struct lt_csv_source){ drip_read, &d };
	assert_int_equal(lt_csv_open(&o, &r, NULL), LT_OK);
	render(r, out);
	lt_csv_close(r);
}

#define T(descr, sep, text, want) \
	{ \
		descr, sep, text, sizeof(text) - 1, want \
	}
static const struct {
	const char *descr;
	char sep;
	const char *text;
	size_t len;
	const char *want;
} cases[] = {
	T("nothing", ';', "", ""),
	T("one cell without line end", ';', "a", "1:a^"),
	T("LF", ';', "a;b\nc;d\n", "1:a|b^2:c|d^"),
	T("CRLF", ';', "a;b\r\nc;d\r\n", "1:a|b^2:c|d^"),
	T("CR", ';', "a;b\rc;d\r", "1:a|b^2:c|d^"),
	T("all three line ends in one file", ';', "a\r\nb\rc\nd", "1:a^2:b^3:c^4:d^"),
	T("an empty line is a record of one empty cell", ';', "a\n\nb", "1:a^2:^3:b^"),
	T("empty cells at both ends", ';', ";a;\n", "1:|a|^"),
	T("quoted separator", ',', "\"a,b\",c\n", "1:a,b|c^"),
	T("doubled quotes", ';', "\"a \"\"b\"\" c\";d\n", "1:a \"b\" c|d^"),
	T("only doubled quotes", ';', "\"\"\"\"\n", "1:\"^"),
	T("empty quoted cell", ';', "\"\";x\n", "1:|x^"),
	T("empty quoted cell at the end of the file", ';', "x;\"\"", "1:x|^"),
	T("LF in a cell, lines counted", ';', "\"a\nb\";c\nd;e\n", "1:a\nb|c^3:d|e^"),
	T("CRLF in a cell, lines counted", ';', "\"a\r\nb\r\n\";c\r\nd\r\n", "1:a\r\nb\r\n|c^4:d^"),
	T("CR in a cell", ';', "\"a\rb\"\rc", "1:a\rb^3:c^"),
	T("a quote inside an unquoted cell is a character", ';', "5\" \xe1\xbb\x91ng;b\n",
	    "1:5\" \xe1\xbb\x91ng|b^"),
	T("text after a closing quote", ';', "\"a\"b;c\nd;e\n", "1!bad:\"a\"b;c^2:d|e^"),
	T("a blank after a closing quote", ';', "\"a\" ;c\nd\n", "1!bad:\"a\" ;c^2:d^"),
	T("a quote never closed costs one line", ';', "x;\"a;b\nc;d\ne;f",
	    "1!open:x;\"a;b^2:c|d^3:e|f^"),
	T("a quote closed two lines later by another cell", ';', "x;\"a\nb;c\nd;\"e\"\nf;g\n",
	    "1!bad:x;\"a^2:b|c^3:d|e^4:f|g^"),
	T("NUL", ';', "a\0b;c\nd;e\n",
	    "1!nul:a"), /* strcmp ends at the NUL; the rest in its own test */
	T("byte order mark", ';',
	    "\xef\xbb\xbf"
	    "a;b\n",
	    "1:a|b^"),
	T("Excel's line of the separator", 0, "sep=,\r\na,b;c\n", "2:a|b;c^"),
	T("DOS end of file", ';', "a\r\n\x1a", "1:a^"),
	T("1A elsewhere is text", ';', "\x1a\nb\n", "1:\x1a^2:b^"),
	T("semicolons found", 0, "a, b;c;d\n1;2,5;3\n", "1:a, b|c|d^2:1|2,5|3^"),
	T("commas found", 0, "a,b,c\n1,2,3;4\n", "1:a|b|c^2:1|2|3;4^"),
	T("tabs found", 0, "a\tb\n", "1:a|b^"),
	T("separators inside quotes do not count", 0, "\"a;b;c;d\",e\n", "1:a;b;c;d|e^"),
	T("the header decides, not a title above it", 0, "Title, of, this\n1;2;3;4\n",
	    "1:Title, of, this^2:1|2|3|4^"),
};

static void
records_as_written(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 7, 65536 };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (k = 0; k < 5; k++) {
			struct lt_csv_options o = { .separator = cases[i].sep };
			struct lt_buf out = { 0 };

			read_all(lt_slice(cases[i].text, cases[i].len), o, steps[k], &out);
			if (strcmp((char *)out.data, cases[i].want) != 0)
				fail_msg("%s, %zu bytes at once: got \"%s\", want \"%s\"",
				    cases[i].descr, steps[k], (char *)out.data, cases[i].want);
			lt_buf_fini(&out);
		}
}

static void
separator_of_the_named_line(void **state)
{
	static const char text[] = "a,b,c,d,e\nx;y\n";
	struct lt_csv_options o = { .header_line = 2 };
	struct lt_slice s = lt_slice_str(text);
	struct lt_csv *r;

	(void)state;
	o.source = (struct lt_csv_source){ lt_csv_read_slice, &s };
	assert_int_equal(lt_csv_open(&o, &r, NULL), LT_OK);
	assert_int_equal(lt_csv_separator(r), ';');
	lt_csv_close(r);
	s = lt_slice_str(text);
	o.header_line = 1;
	assert_int_equal(lt_csv_open(&o, &r, NULL), LT_OK);
	assert_int_equal(lt_csv_separator(r), ',');
	assert_false(lt_csv_bom(r));
	lt_csv_close(r);
}

static void
nul_keeps_its_cells(void **state)
{
	struct lt_slice s = lt_slice("a\0b;c\nd;e\n", 10);
	struct lt_csv_options o = { .source = { lt_csv_read_slice, &s }, .separator = ';' };
	struct lt_csv_record rec;
	struct lt_csv *r;

	(void)state;
	assert_int_equal(lt_csv_open(&o, &r, NULL), LT_OK);
	assert_int_equal(lt_csv_next(r, &rec, NULL), LT_OK);
	assert_int_equal(rec.flaw, LT_CSV_NUL);
	assert_int_equal(rec.ncell, 2);
	assert_int_equal(rec.cell[0].len, 3);
	assert_int_equal(lt_csv_next(r, &rec, NULL), LT_OK);
	assert_int_equal(rec.flaw, LT_CSV_GOOD);
	assert_int_equal(lt_csv_next(r, &rec, NULL), LT_E_NOTFOUND);
	assert_int_equal(lt_csv_next(r, &rec, NULL), LT_E_NOTFOUND);
	lt_csv_close(r);
}

/* n times 'x', then the rest */
static struct lt_buf
xs(size_t n, const char *rest)
{
	struct lt_buf b = { 0 };

	memset(lt_buf_reserve(&b, n), 'x', n);
	lt_buf_added(&b, n);
	lt_buf_str(&b, rest);
	return b;
}

static void
expect_lens(struct lt_slice text, size_t record_max, const char *want)
{
	struct lt_csv_options o = { .separator = ';', .record_max = record_max };
	struct drip d = { .s = text, .step = 4096 };
	struct lt_buf out = { 0 };
	struct lt_csv_record rec;
	struct lt_csv *r;

	o.source = (struct lt_csv_source){ drip_read, &d };
	assert_int_equal(lt_csv_open(&o, &r, NULL), LT_OK);
	while (lt_csv_next(r, &rec, NULL) == LT_OK)
		lt_buf_printf(&out, "%llu%s:%zu^", (unsigned long long)rec.line,
		    flaw_text[rec.flaw], rec.cell[0].len);
	lt_buf_u8(&out, 0);
	assert_string_equal((char *)out.data, want);
	lt_buf_fini(&out);
	lt_csv_close(r);
}

static void
length_both_sides_of_the_limit(void **state)
{
	struct lt_buf b;

	(void)state;
	b = xs(LT_CSV_RECORD_MAX, "\nab\n");
	expect_lens(lt_buf_slice(&b), 0, "1:1048576^2:2^");
	lt_buf_fini(&b);
	b = xs(LT_CSV_RECORD_MAX + 1, "\nab\n");
	expect_lens(lt_buf_slice(&b), 0, "1!long:4096^2:2^");
	lt_buf_fini(&b);
	b = xs((size_t)5 * 1024 * 1024, "\r\nab");
	expect_lens(lt_buf_slice(&b), 0, "1!long:4096^2:2^");
	lt_buf_fini(&b);
	expect_lens(lt_slice_str("abcd\nabcde\nabc\n"), 4, "1:4^2!long:5^3:3^");
	/* a cell that grows over its line: only the first line is lost */
	expect_lens(lt_slice_str("\"a\nbbb\nccc\nddd"), 6, "1!open:2^2:3^3:3^4:3^");
}

/* Every line opens a quote that no line closes: read in time proportional to the file. The test's own time
 * limit would catch the square (a hundred thousand lines, each looked through to the end). */
static void
a_file_of_bad_quotes_ends(void **state)
{
	struct lt_csv_options o = { .separator = ';' };
	struct lt_csv_record rec;
	struct lt_buf b = { 0 };
	struct lt_slice s;
	struct lt_csv *r;
	size_t n = 0;
	int i;

	(void)state;
	for (i = 0; i < 100000; i++)
		lt_buf_str(&b, "x\";\"\n");
	s = lt_buf_slice(&b);
	o.source = (struct lt_csv_source){ lt_csv_read_slice, &s };
	assert_int_equal(lt_csv_open(&o, &r, NULL), LT_OK);
	while (lt_csv_next(r, &rec, NULL) == LT_OK) {
		assert_int_equal(rec.flaw, LT_CSV_OPEN_QUOTE);
		assert_int_equal(rec.line, ++n);
	}
	assert_int_equal(n, 100000);
	lt_csv_close(r);
	lt_buf_fini(&b);
}

static void
columns_both_sides_of_the_limit(void **state)
{
	struct lt_csv_options o = { .separator = ';' };
	struct lt_csv_record rec;
	struct lt_csv *r;
	size_t n;

	(void)state;
	for (n = 255; n <= 257; n++) {
		struct lt_buf b = { 0 };
		struct lt_slice s;
		size_t i;

		for (i = 1; i < n; i++)
			lt_buf_str(&b, "a;");
		lt_buf_str(&b, "z\nq\n");
		s = lt_buf_slice(&b);
		o.source = (struct lt_csv_source){ lt_csv_read_slice, &s };
		assert_int_equal(lt_csv_open(&o, &r, NULL), LT_OK);
		assert_int_equal(lt_csv_next(r, &rec, NULL), LT_OK);
		assert_int_equal(rec.flaw, n <= 256 ? LT_CSV_GOOD : LT_CSV_COLUMNS);
		assert_int_equal(rec.ncell, n <= 256 ? n : 1);
		assert_int_equal(lt_csv_next(r, &rec, NULL), LT_OK);
		assert_int_equal(rec.cell[0].data[0], 'q');
		lt_csv_close(r);
		lt_buf_fini(&b);
	}
}

static void
records_limit_and_failing_source(void **state)
{
	struct drip d = { .s = lt_slice_str("a\nb\nc\n"), .step = 1 };
	struct lt_csv_options o = {
		.source = { drip_read, &d }, .separator = ';', .records_max = 2
	};
	struct lt_csv_record rec;
	struct lt_buf big;
	struct lt_err err;
	struct lt_csv *r;

	(void)state;
	assert_int_equal(lt_csv_open(&o, &r, NULL), LT_OK);
	assert_int_equal(lt_csv_next(r, &rec, NULL), LT_OK);
	assert_int_equal(lt_csv_next(r, &rec, NULL), LT_OK);
	assert_int_equal(lt_csv_next(r, &rec, &err), LT_E_TOOBIG);
	lt_csv_close(r);
	d = (struct drip){ .s = lt_slice_str("abc"), .step = 1, .fail_at = 2 };
	assert_int_equal(lt_csv_open(&o, &r, &err), LT_E_IO);
	big = xs(200000, "\n");
	d = (struct drip){ .s = lt_buf_slice(&big), .step = 1000, .fail_at = 100000 };
	assert_int_equal(lt_csv_open(&o, &r, &err), LT_OK);
	assert_int_equal(lt_csv_next(r, &rec, &err), LT_E_IO);
	lt_csv_close(r);
	lt_buf_fini(&big);
}

static void
other_files_are_refused_with_advice(void **state)
{
	static const char *const text[] = { "\xff\xfe"
					    "a",
		"\xfe\xff"
		"a",
		"PK\003\004x", "\xd0\xcf\x11\xe0x" };
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct lt_slice s = lt_slice_str(text[i]);
		struct lt_csv_options o = { .source = { lt_csv_read_slice, &s } };
		struct lt_err err;
		struct lt_csv *r;

		assert_int_equal(lt_csv_open(&o, &r, &err), LT_E_UNSUPPORTED);
		assert_non_null(strstr(err.text, "CSV UTF-8"));
	}
}

static void
whole_lines_know_no_quotes(void **state)
{
	struct lt_csv_options o = { .whole_lines = true };
	struct lt_buf out = { 0 };

	(void)state;
	read_all(lt_slice_str("{\"a\":\"x;y\"}\r\n\"open\n"), o, 3, &out);
	assert_string_equal((char *)out.data, "1:{\"a\":\"x;y\"}^2:\"open^");
	lt_buf_fini(&out);
}

/* ---- encodings ---- */

/* One byte by iconv, composed; len 0: there is none. */
static size_t
by_iconv(iconv_t cd, uint8_t b, char *out, size_t cap)
{
	char in = (char)b, *pi = &in, *po = out;
	size_t ni = 1, no = cap;

	iconv(cd, NULL, NULL, NULL, NULL);
	if (iconv(cd, &pi, &ni, &po, &no) == (size_t)-1)
		return 0;
	iconv(cd, NULL, NULL, &po, &no); /* a letter held back for a combining mark */
	return cap - no;
}

static void
cp1258_is_iconvs(void **state)
{
	iconv_t cd = iconv_open("UTF-8", "CP1258");
	char want[32];
	int b;

	(void)state;
	assert_true(cd != (iconv_t)-1);
	for (b = 1; b < 256; b++) {
		uint8_t byte = (uint8_t)b;
		struct lt_buf got = { 0 };
		size_t n = by_iconv(cd, byte, want, sizeof(want));
		int rc = lt_charset_decode(LT_CHARSET_CP1258, lt_slice(&byte, 1), &got, NULL);

		assert_int_equal(rc, n == 0 ? LT_E_INVALID : LT_OK);
		if (n != 0 && (got.len != n || memcmp(got.data, want, n) != 0))
			fail_msg("byte %02x", (unsigned)b);
		lt_buf_fini(&got);
	}
	iconv_close(cd);
}

/* The C library's table is of the whole standard; VN3 leaves out its capitals and loose tones. */
static void
tcvn3_is_iconvs_without_toned_capitals(void **state)
{
	iconv_t cd = iconv_open("UTF-8", "TCVN5712-1");
	utf8proc_int32_t cp;
	char want[32];
	size_t letters = 0;
	int b;

	(void)state;
	assert_true(cd != (iconv_t)-1);
	for (b = 1; b < 256; b++) {
		uint8_t byte = (uint8_t)b;
		struct lt_buf got = { 0 };
		size_t n = by_iconv(cd, byte, want, sizeof(want));
		int rc = lt_charset_decode(LT_CHARSET_TCVN3, lt_slice(&byte, 1), &got, NULL);
		bool in_vn3;

		utf8proc_iterate((utf8proc_uint8_t *)want, (utf8proc_ssize_t)n, &cp);
		in_vn3 = (b >= 0x20 && b < 0x80) || b == 9 || b == 10 || b == 13 ||
			 (b >= 0xa0 && b <= 0xae) ||
			 (b >= 0xb5 && utf8proc_category(cp) == UTF8PROC_CATEGORY_LL);
		assert_int_equal(rc, in_vn3 ? LT_OK : LT_E_INVALID);
		if (in_vn3 && (got.len != n || memcmp(got.data, want, n) != 0))
			fail_msg("byte %02x", (unsigned)b);
		letters += in_vn3 && b >= 0xb5;
		lt_buf_fini(&got);
	}
	assert_int_equal(letters, 60); /* 12 vowels in 5 tones */
	iconv_close(cd);
}

static void
decode(enum lt_charset c, const char *in, const char *want, bool want_nfd)
{
	struct lt_buf out = { 0 };
	bool nfd = !want_nfd;
	int rc = lt_charset_decode(c, lt_slice_str(in), &out, &nfd);

	assert_int_equal(rc, want == NULL ? LT_E_INVALID : LT_OK);
	lt_buf_u8(&out, 0);
	if (want != NULL) {
		assert_string_equal((char *)out.data, want);
		assert_int_equal(nfd, want_nfd);
	}
	lt_buf_fini(&out);
}

static void
text_comes_out_composed(void **state)
{
	(void)state;
	decode(LT_CHARSET_UTF8, "Nguye\xcc\x82\xcc\x83n", "Nguyễn", true);
	decode(LT_CHARSET_UTF8, "Nguyễn", "Nguyễn", false);
	decode(LT_CHARSET_UTF8, "\xc0\xaf", NULL, false);
	decode(LT_CHARSET_UTF8, "\xed\xa0\x80", NULL, false);
	decode(LT_CHARSET_UTF8, "a\xe1\xbb", NULL, false);
	decode(LT_CHARSET_CP1258, "Nguy\xea\xden", "Nguyễn", false);
	decode(LT_CHARSET_CP1258, "H\xf4\xf2", "Hộ", false);
	decode(LT_CHARSET_CP1258, "\x81", NULL, false);
	decode(LT_CHARSET_TCVN3, "Nguy\xd4n", "Nguyễn", false);
	decode(LT_CHARSET_TCVN3, "\xa7\xb0", NULL, false);
}

static void
encoding_is_never_guessed(void **state)
{
	static const struct {
		enum lt_charset wanted;
		bool bom;
		const char *head;
		bool cut;
		int rc;
		enum lt_charset got;
	} t[] = {
		{ LT_CHARSET_AUTO, false, "H\xe1\xbb\x99", false, LT_OK, LT_CHARSET_UTF8 },
		{ LT_CHARSET_AUTO, false, "plain", false, LT_OK, LT_CHARSET_UTF8 },
		{ LT_CHARSET_AUTO, false, "H\xe1\xbb", true, LT_OK, LT_CHARSET_UTF8 },
		{ LT_CHARSET_AUTO, false, "H\xe1\xbb", false, LT_E_UNSUPPORTED, 0 },
		{ LT_CHARSET_AUTO, false, "\xa7\xb5", false, LT_E_UNSUPPORTED, 0 },
		{ LT_CHARSET_AUTO, true, "bad \xff here", false, LT_OK, LT_CHARSET_UTF8 },
		{ LT_CHARSET_UTF8, false, "bad \xff here", false, LT_OK, LT_CHARSET_UTF8 },
		{ LT_CHARSET_TCVN3, false, "\xa7\xb5", false, LT_OK, LT_CHARSET_TCVN3 },
		{ LT_CHARSET_TCVN3, false, "ascii", false, LT_OK, LT_CHARSET_TCVN3 },
		{ LT_CHARSET_TCVN3, true, "ascii", false, LT_E_INVALID, 0 },
		{ LT_CHARSET_TCVN3, false, "Hộ nghèo ở bản", false, LT_E_INVALID, 0 },
		{ LT_CHARSET_CP1258, false, "Hộ nghèo ở bản", false, LT_E_INVALID, 0 },
	};
	enum lt_charset got;
	struct lt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int rc = lt_charset_settle(
		    t[i].wanted, t[i].bom, lt_slice_str(t[i].head), t[i].cut, &got, &err);

		if (rc != t[i].rc || (rc == LT_OK && got != t[i].got))
			fail_msg("row %zu: %d", i, rc);
	}
}

static void
lost_capitals_are_seen(void **state)
{
	static const char *const lost[] = { "ĐặNG VĂN MẫU", "MẫU", "CHủ TịCH", "xã IA Kò LàNG" };
	static const char *const fine[] = { "Đặng Văn Mẫu", "ĐẶNG VĂN MẪU", "Hồ", "Lò Thị Hà",
		"UBND xã", "", "RƠ LAN", "A.ò", "THCSnữa" };
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_true(lt_charset_capitals_lost(lt_slice_str(lost[i])));
	for (i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (lt_charset_capitals_lost(lt_slice_str(fine[i])))
			fail_msg("\"%s\"", fine[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_as_written),
		cmocka_unit_test(separator_of_the_named_line),
		cmocka_unit_test(nul_keeps_its_cells),
		cmocka_unit_test(length_both_sides_of_the_limit),
		cmocka_unit_test(a_file_of_bad_quotes_ends),
		cmocka_unit_test(columns_both_sides_of_the_limit),
		cmocka_unit_test(records_limit_and_failing_source),
		cmocka_unit_test(other_files_are_refused_with_advice),
		cmocka_unit_test(whole_lines_know_no_quotes),
		cmocka_unit_test(cp1258_is_iconvs),
		cmocka_unit_test(tcvn3_is_iconvs_without_toned_capitals),
		cmocka_unit_test(text_comes_out_composed),
		cmocka_unit_test(encoding_is_never_guessed),
		cmocka_unit_test(lost_capitals_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
