#include "tests/base/base_test.h"

#include "proto/base/error.h"

/* Every code has a text of its own, and what is no code has one too. */
static void
every_code_has_its_own_text(void **state)
{
	int a, b;

	(void)state;
	for (a = 0; a >= -26; a--) {
		assert_string_not_equal(lt_strerror(a), "unknown error");
		for (b = 0; b > a; b--)
			assert_string_not_equal(lt_strerror(a), lt_strerror(b));
	}
	assert_string_equal(lt_strerror(0), "done");
	assert_string_equal(lt_strerror(-27), "unknown error");
	assert_string_equal(lt_strerror(1), "unknown error");
	assert_string_equal(lt_strerror(-2147483647 - 1), "unknown error");
}

/* The code comes back, so that a caller can return it at once; no place for words is no error. */
static void
words_go_in_and_the_code_comes_back(void **state)
{
	struct lt_err e = { "before" };

	(void)state;
	assert_int_equal(lt_err_set(NULL, LT_E_GAP, "%d", 1), LT_E_GAP);
	assert_int_equal(lt_err_set(&e, LT_E_GAP, "feed \"%s\" ends at %d", "x", 7), LT_E_GAP);
	assert_string_equal(e.text, "feed \"x\" ends at 7");
}

/* A long name from outside is cut, not overrun. */
static void
long_words_are_cut(void **state)
{
	char longname[2000];
	struct lt_err e;
	size_t i;

	(void)state;
	memset(longname, 'n', sizeof(longname) - 1);
	longname[sizeof(longname) - 1] = '\0';
	assert_int_equal(lt_err_set(&e, LT_E_INVALID, "%s", longname), LT_E_INVALID);
	assert_int_equal(strlen(e.text), LT_ERR_TEXT - 1);
	assert_string_equal(lt_err_vi(&e), "");
	assert_int_equal(
	    lt_err_both(&e, LT_E_INVALID, "name %s", "tên %s", longname), LT_E_INVALID);
	assert_int_equal(strlen(e.text), LT_ERR_TEXT - 1);
	assert_int_equal(strlen(lt_err_vi(&e)), LT_ERR_TEXT - 1);
	assert_memory_equal(e.text, "name nnn", 8);
	assert_memory_equal(lt_err_vi(&e), "tên nnn", 8);
	/* Between characters. */
	longname[0] = ' ';
	for (i = 1; i + 2 < sizeof(longname); i += 2)
		memcpy(longname + i, "\xc4\x91", 2);
	longname[i] = '\0';
	for (i = 0; i < 2; i++) {
		assert_int_equal(
		    lt_err_both(&e, LT_E_INVALID, "%s", "%s", longname + i), LT_E_INVALID);
		assert_int_equal(strlen(e.text), LT_ERR_TEXT - 1 - i);
		assert_string_equal(lt_err_vi(&e), e.text);
	}
}

/* Who is told in English alone gets no Vietnamese words of an earlier failure. */
static void
vietnamese_words_belong_to_the_english_ones(void **state)
{
	struct lt_err e = { "" }, copy;

	(void)state;
	assert_string_equal(lt_err_vi(&e), "");
	assert_int_equal(lt_err_both(NULL, LT_E_GAP, "%d", "%d", 1), LT_E_GAP);
	assert_int_equal(
	    lt_err_both(&e, LT_E_GAP, "feed %s, %d", "luồng %s, %d", "x", 7), LT_E_GAP);
	copy = e;
	assert_string_equal(copy.text, "feed x, 7");
	assert_string_equal(lt_err_vi(&copy), "luồng x, 7");
	/* Its own words among the arguments, longer and shorter than before. */
	assert_int_equal(lt_err_both(&e, LT_E_GAP, "the second time: %s (%s)", "lần hai: %s (%s)",
			     e.text, lt_err_vi(&e)),
	    LT_E_GAP);
	assert_string_equal(e.text, "the second time: feed x, 7 (luồng x, 7)");
	assert_string_equal(lt_err_vi(&e), "lần hai: feed x, 7 (luồng x, 7)");
	assert_int_equal(lt_err_set(&e, LT_E_GAP, "short"), LT_E_GAP);
	assert_string_equal(e.text, "short");
	assert_string_equal(lt_err_vi(&e), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_its_own_text),
		cmocka_unit_test(words_go_in_and_the_code_comes_back),
		cmocka_unit_test(long_words_are_cut),
		cmocka_unit_test(vietnamese_words_belong_to_the_english_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
