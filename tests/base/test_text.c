#include "tests/base/base_test.h"

#include "proto/base/error.h"
#include "proto/base/text.h"

#include <utf8proc.h>

static struct lt_slice
str(const char *s)
{
	return lt_slice_str(s);
}

static const struct {
	const char *descr;
	const char *bytes;
	size_t len;
	bool valid;
} utf8[] = {
	{ "nothing", "", 0, true },
	{ "ASCII", "abc", 3, true },
	{ "NUL at the end", "ab\0", 3, false },
	{ "NUL alone", "\0", 1, false },
	{ "NUL inside", "a\0b", 3, false },
	{ "U+0080, first of two bytes", "\xc2\x80", 2, true },
	{ "U+07FF, last of two bytes", "\xdf\xbf", 2, true },
	{ "U+0800, first of three bytes", "\xe0\xa0\x80", 3, true },
	{ "U+D7FF, last before the surrogates", "\xed\x9f\xbf", 3, true },
	{ "U+D800, first surrogate", "\xed\xa0\x80", 3, false },
	{ "U+DFFF, last surrogate", "\xed\xbf\xbf", 3, false },
	{ "U+E000, first after the surrogates", "\xee\x80\x80", 3, true },
	{ "U+FFFF", "\xef\xbf\xbf", 3, true },
	{ "U+10000, first of four bytes", "\xf0\x90\x80\x80", 4, true },
	{ "U+10FFFF, the last", "\xf4\x8f\xbf\xbf", 4, true },
	{ "U+110000", "\xf4\x90\x80\x80", 4, false },
	{ "five bytes", "\xf8\x88\x80\x80\x80", 5, false },
	{ "overlong NUL", "\xc0\x80", 2, false },
	{ "overlong slash", "\xc0\xaf", 2, false },
	{ "overlong U+007F", "\xc1\xbf", 2, false },
	{ "overlong U+07FF", "\xe0\x9f\xbf", 3, false },
	{ "overlong U+FFFF", "\xf0\x8f\xbf\xbf", 4, false },
	{ "continuation alone", "\x80", 1, false },
	{ "two bytes cut", "\xc2", 1, false },
	{ "three bytes cut", "\xe0\xa0", 2, false },
	{ "four bytes cut", "\xf0\x90\x80", 3, false },
	{ "lead byte before ASCII", "\xc3z", 2, false },
	{ "FE", "\xfe", 1, false },
	{ "FF", "\xff", 1, false },
	{ "Windows-1258", "Ngh\xea An", 6, false },
};

/* RFC 3629, both sides of each bound; what is not text is no text for any function. */
static void
utf8_bounds(void **state)
{
	struct lt_buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(utf8); i++) {
		struct lt_slice s = lt_slice(utf8[i].bytes, utf8[i].len);
		int want = utf8[i].valid ? LT_OK : LT_E_INVALID;

		if (lt_text_valid(s) != utf8[i].valid)
			fail_msg("%s", utf8[i].descr);
		if (!utf8[i].valid)
			assert_false(lt_text_is_nfc(s));
		lt_buf_clear(&out);
		lt_buf_str(&out, "kept");
		assert_int_equal(lt_text_nfc(&out, s, NULL), want);
		assert_int_equal(lt_text_fold(&out, s), want);
		assert_int_equal(lt_text_trim(&out, s, NULL), want);
		if (!utf8[i].valid)
			assert_true(lt_slice_eq(lt_buf_slice(&out), str("kept")));
	}
	lt_buf_fini(&out);
}

static const struct {
	const char *in, *nfc;
} nfc[] = {
	{ "", "" }, { "Nghệ An", "Nghệ An" },
	/* decomposed as macOS and old Unikey write it, in either order of the marks */
	{ "Ngh\x65\xcc\x82\xcc\xa3 An", "Ngh\xe1\xbb\x87 An" },
	{ "Ngh\x65\xcc\xa3\xcc\x82 An", "Ngh\xe1\xbb\x87 An" },
	{ "\xc3\xaa\xcc\xa3", "\xe1\xbb\x87" }, /* ê and a dot below */
	{ "\xe1\xba\xb9\xcc\x82", "\xe1\xbb\x87" }, /* ẹ and a circumflex */
	{ "\x6f\xcc\x9b\xcc\x81", "\xe1\xbb\x9b" }, /* ớ */
	{ "\xe2\x84\xab", "\xc3\x85" }, /* U+212B, the unit, is Å */
	{ "\xcd\x84", "\xcc\x88\xcc\x81" }, /* U+0344 is excluded */
	{ "\xe2\x80\x80", "\xe2\x80\x82" }, /* U+2000 is U+2002 */
	/* a Hangul syllable and U+11A7, which stands just below the first final that composes */
	{ "\xea\xb0\x80\xe1\x86\xa7", "\xea\xb0\x80\xe1\x86\xa7" },
	{ "\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81" },
	{ "\xef\xac\x81", "\xef\xac\x81" }, /* the fi ligature stays: not NFKC */
};

static void
nfc_by_hand(void **state)
{
	struct lt_buf out = { 0 };
	bool changed;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(nfc); i++) {
		bool same = strcmp(nfc[i].in, nfc[i].nfc) == 0;

		lt_buf_clear(&out);
		changed = same;
		assert_int_equal(lt_text_nfc(&out, str(nfc[i].in), &changed), LT_OK);
		assert_true(lt_slice_eq(lt_buf_slice(&out), str(nfc[i].nfc)));
		assert_int_equal(changed, !same);
		assert_int_equal(lt_text_is_nfc(str(nfc[i].in)), same);
		assert_true(lt_text_is_nfc(str(nfc[i].nfc)));
	}
	lt_buf_fini(&out);
}

static struct lt_slice
take_hex(const char *word, uint8_t *bytes, size_t cap)
{
	size_t n = strcmp(word, "-") == 0 ? 0 : strlen(word) / 2;

	assert_true(n <= cap);
	if (n != 0)
		assert_int_equal(lt_unhex(bytes, n, word), LT_OK);
	return lt_slice(bytes, n);
}

static void
same_as_the_oracle(const char *line, struct lt_buf *out)
{
	char word[4][600];
	uint8_t bytes[4][300];
	struct lt_slice s[4];
	bool changed;
	int i;

	assert_int_equal(
	    sscanf(line, "%599s %599s %599s %599s", word[0], word[1], word[2], word[3]), 4);
	for (i = 0; i < 4; i++)
		s[i] = take_hex(word[i], bytes[i], sizeof(bytes[i]));
	assert_true(lt_text_valid(s[0]));
	lt_buf_clear(out);
	assert_int_equal(lt_text_nfc(out, s[0], &changed), LT_OK);
	if (!lt_slice_eq(lt_buf_slice(out), s[1]))
		fail_msg("NFC of %s is not %s", word[0], word[1]);
	assert_int_equal(changed, !lt_slice_eq(s[0], s[1]));
	if (lt_text_is_nfc(s[0]) != lt_slice_eq(s[0], s[1]) || !lt_text_is_nfc(s[1]))
		fail_msg("check of NFC of %s", word[0]);
	lt_buf_clear(out);
	assert_int_equal(lt_text_fold(out, s[0]), LT_OK);
	if (!lt_slice_eq(lt_buf_slice(out), s[2]))
		fail_msg("fold of %s is not %s", word[0], word[2]);
	lt_buf_clear(out);
	assert_int_equal(lt_text_trim(out, s[0], &changed), LT_OK);
	if (!lt_slice_eq(lt_buf_slice(out), s[3]))
		fail_msg("trim of %s is not %s", word[0], word[3]);
	assert_int_equal(changed, !lt_slice_eq(s[0], s[3]));
}

/* Each assigned code point, and 60,000 sequences of letters, marks and blanks. */
static void
as_another_implementation_sees_it(void **state)
{
	FILE *oracle = popen(LT_PYTHON " " LT_SOURCE_DIR "/tests/base/text_oracle.py", "r");
	struct lt_buf out = { 0 };
	unsigned lines = 0;
	char line[2400];

	(void)state;
	assert_non_null(oracle);
	while (fgets(line, sizeof(line), oracle) != NULL) {
		same_as_the_oracle(line, &out);
		lines++;
	}
	assert_int_equal(pclose(oracle), 0);
	assert_true(lines > 200000);
	lt_buf_fini(&out);
}

static const struct {
	const char *in, *folded, *trimmed;
} blanks[] = {
	{ "", "", "" },
	{ " ", "", "" },
	{ "\xc2\xa0\xef\xbb\xbf\t\r\n ", "", "" },
	{ "\xef\xbb\xbf\x4c\xc6\xb0\xe1\xbb\xa3ng  Minh\r\n", "lượng minh", "Lượng Minh" },
	{ "a \xc2\xa0 b", "a b", "a b" },
	{ "a\xc2\xa0"
	  "b",
	    "a b", "a b" },
	{ "a\xe2\x80\xaf"
	  "b",
	    "a\xe2\x80\xaf"
	    "b",
	    "a\xe2\x80\xaf"
	    "b" }, /* not among the blanks */
	{ "  ĐẶNG  THỊ Ơ ", "đặng thị ơ", "ĐẶNG THỊ Ơ" },
};

static void
fold_and_trim_by_hand(void **state)
{
	struct lt_buf out = { 0 };
	bool changed;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(blanks); i++) {
		lt_buf_clear(&out);
		assert_int_equal(lt_text_fold(&out, str(blanks[i].in)), LT_OK);
		assert_true(lt_slice_eq(lt_buf_slice(&out), str(blanks[i].folded)));
		lt_buf_clear(&out);
		lt_buf_str(&out, "x");
		assert_int_equal(lt_text_trim(&out, str(blanks[i].in), &changed), LT_OK);
		assert_int_equal(out.data[0], 'x');
		assert_true(
		    lt_slice_eq(lt_slice(out.data + 1, out.len - 1), str(blanks[i].trimmed)));
		assert_int_equal(changed, strcmp(blanks[i].in, blanks[i].trimmed) != 0);
	}
	lt_buf_fini(&out);
}

static void
put_marks(struct lt_buf *b, const char *a_mark, const char *b_mark, size_t n)
{
	lt_buf_clear(b);
	lt_buf_str(b, "a");
	while (n-- > 0)
		lt_buf_str(b, n % 2 != 0 ? a_mark : b_mark);
}

/* 128 marks in a row are taken and 129 are not; a whole value of them ends at once. */
static void
runs_of_marks_are_bounded(void **state)
{
	struct lt_buf in = { 0 }, out = { 0 };

	(void)state;
	put_marks(&in, "\xcc\x81", "\xcc\xa3", 128);
	assert_int_equal(lt_text_nfc(&out, lt_buf_slice(&in), NULL), LT_OK);
	put_marks(&in, "\xcc\x81", "\xcc\xa3", 129);
	assert_int_equal(lt_text_nfc(&out, lt_buf_slice(&in), NULL), LT_E_INVALID);
	assert_int_equal(lt_text_fold(&out, lt_buf_slice(&in)), LT_E_INVALID);
	put_marks(&in, "\xcc\x81", "\xcc\xa3", 32000);
	assert_false(lt_text_is_nfc(lt_buf_slice(&in)));
	assert_int_equal(lt_text_nfc(&out, lt_buf_slice(&in), NULL), LT_E_INVALID);
	/* in order it is NFC, however long: q has no composed form */
	put_marks(&in, "\xcc\xa3", "\xcc\xa3", 32000);
	in.data[0] = 'q';
	assert_true(lt_text_is_nfc(lt_buf_slice(&in)));
	lt_buf_fini(&in);
	lt_buf_fini(&out);
}

static const struct {
	const char *in;
	size_t len;
	const char *want;
} escapes[] = {
	{ "Con Cuông", 10, "Con Cuông" },
	{ "a\nb", 3, "a\\x0ab" },
	{ "\x1b[31mred", 8, "\\x1b[31mred" },
	{ "\x7f", 1, "\\x7f" },
	{ "a\0b", 3, "a\\x00b" },
	{ "\xff\xfe", 2, "\\xff\\xfe" },
	{ "Ngh\xea", 4, "Ngh\\xea" },
	{ "\xc3", 1, "\\xc3" },
	{ "\xc2\x85", 2, "\\xc2\\x85" }, /* U+0085, next line */
	{ "\xe2\x80\xae", 3, "\\xe2\\x80\\xae" }, /* U+202E turns the text round */
	{ "\xc2\xa0", 2, "\xc2\xa0" },
	{ "", 0, "" },
};

static void
escape_by_hand(void **state)
{
	char out[64];
	size_t i, n;

	(void)state;
	for (i = 0; i < COUNT(escapes); i++) {
		n = lt_text_escape(out, sizeof(out), lt_slice(escapes[i].in, escapes[i].len));
		assert_int_equal(n, strlen(escapes[i].want));
		assert_memory_equal(out, escapes[i].want, n);
	}
}

/* "aạ€😀" is 1, 3, 3 and 4 bytes: for each room what whole characters and the NUL take of it. */
static void
copy_is_cut_between_characters(void **state)
{
	static const size_t want[] = { 0, 0, 1, 1, 1, 4, 4, 4, 7, 7, 7, 7, 11, 11 };
	const char *in = "a\xe1\xba\xa1\xe2\x82\xac\xf0\x9f\x98\x80";
	char out[16];
	size_t cap;

	(void)state;
	for (cap = 1; cap < COUNT(want); cap++) {
		memset(out, '#', sizeof(out));
		assert_int_equal(lt_text_copy(out, cap, str(in)), want[cap]);
		assert_memory_equal(out, in, want[cap]);
		assert_int_equal(out[want[cap]], '\0');
		assert_int_equal(out[cap], '#');
	}
	assert_int_equal(lt_text_copy(out, 1, lt_slice(NULL, 0)), 0);
}

/* Whatever the room, never more than it, never half a character, never half an escape. */
static void
escape_is_cut_between_characters(void **state)
{
	static const char in[] = "\xe1\xbb\x87\n\xff"
				 "ab";
	static const size_t want[] = { 0, 0, 0, 3, 3, 3, 3, 7, 7, 7, 7, 11, 12, 13, 13 };
	char out[16];
	size_t cap;

	(void)state;
	for (cap = 0; cap < COUNT(want); cap++) {
		memset(out, '#', sizeof(out));
		assert_int_equal(lt_text_escape(out, cap, str(in)), want[cap]);
		assert_int_equal(out[want[cap]], '#');
	}
}

static void
width_in_columns(void **state)
{
	(void)state;
	assert_int_equal(lt_text_width(str("")), 0);
	assert_int_equal(lt_text_width(str("Con Cuông")), 9);
	assert_int_equal(lt_text_width(str("Ngh\x65\xcc\x82\xcc\xa3")), 4);
	assert_int_equal(lt_text_width(str("\xe6\xbc\xa2\xe5\xad\x97")), 4); /* two wide ones */
	assert_int_equal(lt_text_width(str("\xef\xbb\xbf")), 0);
	assert_int_equal(lt_text_width(str("a\xff"
					   "b")),
	    3);
}

/* UTF-8 is what the library takes for it, after any run of ASCII and before any. */
static void
utf8_is_that_of_the_library(void **state)
{
	uint32_t seed = 1, round;
	uint8_t b[24];

	(void)state;
	for (round = 0; round < 400000; round++) {
		size_t lead = round % 11, len = 1 + round / 11 % 4, tail = round / 44 % 5, i = 0;
		bool want = true;

		memset(b, 'a', sizeof(b));
		for (i = 0; i < len; i++) {
			seed = seed * 1664525u + 1013904223u;
			/* mostly what could go together */
			b[lead + i] = (uint8_t)(seed >> 28 < 3
						    ? seed >> 16
						    : (i == 0 ? 0xc0 : 0x80) | (seed >> 16 & 0x3f));
		}
		for (i = 0; i < lead + len + tail && want;) {
			utf8proc_int32_t cp;
			utf8proc_ssize_t n =
			    utf8proc_iterate(b + i, (utf8proc_ssize_t)(lead + len + tail - i), &cp);

			want = n > 0 && cp != 0;
			i += n > 0 ? (size_t)n : 0;
		}
		assert_int_equal(lt_text_valid(lt_slice(b, lead + len + tail)), want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_is_that_of_the_library),
		cmocka_unit_test(utf8_bounds),
		cmocka_unit_test(nfc_by_hand),
		cmocka_unit_test(as_another_implementation_sees_it),
		cmocka_unit_test(fold_and_trim_by_hand),
		cmocka_unit_test(runs_of_marks_are_bounded),
		cmocka_unit_test(escape_by_hand),
		cmocka_unit_test(copy_is_cut_between_characters),
		cmocka_unit_test(escape_is_cut_between_characters),
		cmocka_unit_test(width_in_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
