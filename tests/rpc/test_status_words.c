/* Whatever reason the daemons give for a failure, commune staff can read it: every one that stands in the sources has words
 * in Vietnamese, and the table names none that no source gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/base/buf.h"
#include "proto/base/file.h"
#include "proto/base/text.h"
#include "proto/rpc/status.h"

#include <glob.h>

#define SOURCE_MAX (1 << 20)
#define REASONS_MAX 256
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

/* Literals in capitals that are no reasons: marks of files, what a number that is no code is called. */
static const char *const others[] = { "LTID", "LTST", "UNKNOWN" };

struct found {
	char name[64];
	char where[256];
};

static struct found found[REASONS_MAX];
static size_t nfound;

static bool
is_other(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(others[i], name) == 0)
			return true;
	return false;
}

static bool
is_found(const char *name)
{
	size_t i;

	for (i = 0; i < nfound; i++)
		if (strcmp(found[i].name, name) == 0)
			return true;
	return false;
}

static void
take_literals(const char *path, const char *text)
{
	const char *p;
	size_t n;

	for (p = strchr(text, '"'); p != NULL; p = strchr(p + 1, '"')) {
		n = strspn(p + 1, CAPITALS);
		if (n < 3 || n >= sizeof(found[0].name) || p[1 + n] != '"')
			continue;
		assert_true(nfound < REASONS_MAX);
		(void)snprintf(found[nfound].name, sizeof(found[0].name), "%.*s", (int)n, p + 1);
		(void)snprintf(found[nfound].where, sizeof(found[0].where), "%s", path);
		if (!is_other(found[nfound].name) && !is_found(found[nfound].name))
			nfound++;
	}
}

/* always: of a daemon's folder. Elsewhere only what speaks of a call or a status. */
static void
scan(const char *pattern, bool always)
{
	struct lt_buf b = { 0 };
	glob_t g;
	size_t i;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	for (i = 0; i < g.gl_pathc; i++) {
		if (strstr(g.gl_pathv[i], "/status_words.c") != NULL)
			continue;
		lt_buf_clear(&b);
		assert_int_equal(lt_file_read(g.gl_pathv[i], SOURCE_MAX, &b, NULL), LT_OK);
		lt_buf_u8(&b, 0);
		if (always || strstr((const char *)b.data, "lt_call_fail") != NULL ||
		    strstr((const char *)b.data, "lt_call_refuse") != NULL ||
		    strstr((const char *)b.data, "lt_status_set") != NULL)
			take_literals(g.gl_pathv[i], (const char *)b.data);
	}
	globfree(&g);
	lt_buf_fini(&b);
}

static int
scan_all(void **state)
{
	(void)state;
	scan(LT_SOURCE_DIR "/hub/*.c", true);
	scan(LT_SOURCE_DIR "/node/*.c", true);
	scan(LT_SOURCE_DIR "/proto/*/*.c", false);
	return 0;
}

static void
every_reason_has_words(void **state)
{
	size_t i, missing = 0;

	(void)state;
	assert_true(is_found("WRITE") && is_found("DEADLINE") && is_found("NO_CATALOGUE"));
	assert_true(nfound >= 40);
	for (i = 0; i < nfound; i++)
		if (!lt_status_words_known(found[i].name)) {
			print_error(
			    "%s of %s has no Vietnamese words in proto/rpc/status_words.c\n",
			    found[i].name, found[i].where);
			missing++;
		}
	assert_int_equal(missing, 0);
}

static void
no_words_without_reason(void **state)
{
	const char *name;
	size_t i;

	(void)state;
	for (i = 0; (name = lt_status_words_reason(i)) != NULL; i++)
		if (!is_found(name))
			fail_msg("nothing gives %s any more", name);
	assert_true(i >= nfound);
}

/* A word that stands twice would have one meaning's words for both. */
static void
each_row_is_reached(void **state)
{
	const char *name;
	size_t i;

	(void)state;
	for (i = 0; (name = lt_status_words_reason(i)) != NULL; i++)
		if (!lt_status_words_reached(i))
			fail_msg("row %zu, %s, stands behind another one of its kind", i, name);
	assert_false(lt_status_words_reached(i));
}

/* What happened and what to do next, in Vietnamese letters, whole, whatever the code. */
static void
words_are_sentences(void **state)
{
	char words[512];
	const char *name = "", *p;
	size_t i;
	int code;

	(void)state;
	for (i = 0; name != NULL; name = lt_status_words_reason(i++))
		for (code = 1; code <= 17; code++) {
			lt_status_words(name, code, words, sizeof(words));
			assert_true(lt_text_is_nfc(lt_slice_str(words)));
			assert_true(strlen(words) < sizeof(words) - 1);
			p = strstr(words, "; hãy ");
			if (p == NULL || p == words || strstr(p + 1, "; hãy ") != NULL)
				fail_msg("%s %d: \"%s\"", name, code, words);
		}
	lt_status_words("WRITE", LT_STATUS_OK, words, sizeof(words));
	assert_string_equal(words, "");
}

/* One reason, several things that happened. */
static void
code_tells_apart(void **state)
{
	char conflict[512], denied[512], other[512], bare[512];

	(void)state;
	lt_status_words("WRITE", LT_STATUS_ABORTED, conflict, sizeof(conflict));
	lt_status_words("WRITE", LT_STATUS_PERMISSION_DENIED, denied, sizeof(denied));
	lt_status_words("WRITE", LT_STATUS_DATA_LOSS, other, sizeof(other));
	lt_status_words("", LT_STATUS_DATA_LOSS, bare, sizeof(bare));
	assert_non_null(strstr(conflict, "đọc lại"));
	assert_non_null(strstr(denied, "thẩm quyền"));
	assert_non_null(strstr(other, bare));
	assert_string_not_equal(other, bare);
	lt_status_words("NOBODY_KNOWS_THIS", LT_STATUS_DATA_LOSS, other, sizeof(other));
	assert_string_equal(other, bare);
}

/* Room for any number of bytes gets whole characters. */
static void
cut_between_characters(void **state)
{
	char words[512], small[512];
	size_t cap;

	(void)state;
	lt_status_words("FORK", LT_STATUS_FAILED_PRECONDITION, words, sizeof(words));
	for (cap = 1; cap <= strlen(words) + 1; cap++) {
		lt_status_words("FORK", LT_STATUS_FAILED_PRECONDITION, small, cap);
		assert_true(strlen(small) < cap && cap - strlen(small) <= 3);
		assert_true(lt_text_valid(lt_slice_str(small)));
		assert_memory_equal(small, words, strlen(small));
	}
	assert_string_equal(small, words);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_words),
		cmocka_unit_test(no_words_without_reason),
		cmocka_unit_test(each_row_is_reached),
		cmocka_unit_test(words_are_sentences),
		cmocka_unit_test(code_tells_apart),
		cmocka_unit_test(cut_between_characters),
	};

	return cmocka_run_group_tests(tests, scan_all, NULL);
}
