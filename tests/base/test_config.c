#include "tests/base/base_test.h"

#include "proto/base/config.h"

#include <sys/stat.h>
#include <unistd.h>

static const struct lt_conf_key keys[] = {
	{ "hub", "listen", LT_CONF_STR, "tcp://0.0.0.0:7340", 0, 0, NULL },
	{ "hub", "workers", LT_CONF_INT, "2", 1, 64, NULL },
	{ "hub", "offset", LT_CONF_INT, "0", -5, 5, NULL },
	{ "hub", "any", LT_CONF_INT, "0", 0, 0, NULL },
	{ "hub", "idle", LT_CONF_MS, "90s", 1000, 86400000, NULL },
	{ "hub", "map", LT_CONF_BYTES, "64G", 1048576, 0x7fffffffffffffff, NULL },
	{ "hub", "open", LT_CONF_BOOL, "no", 0, 0, NULL },
	{ "log", "level", LT_CONF_STR, "info", 0, 0, "error warn info debug" },
};
static const struct lt_conf_key must[] = {
	{ "node", "hub", LT_CONF_STR, NULL, 0, 0, NULL },
};

static struct lt_conf *
good(const char *text)
{
	struct lt_conf *c = NULL;
	struct lt_err err = { "" };

	if (lt_conf_parse(&c, keys, COUNT(keys), "t.conf", lt_slice_str(text), &err) != LT_OK)
		fail_msg("\"%s\": %s", text, err.text);
	return c;
}

static void
an_empty_file_is_all_defaults(void **state)
{
	static const char *const empty[] = { "", "\n", "; nothing\n# nothing\n  \n", "\xef\xbb\xbf",
		"[hub]\n[log]\n" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(empty); i++) {
		struct lt_conf *c = good(empty[i]);

		assert_string_equal(lt_conf_str(c, "hub", "listen"), "tcp://0.0.0.0:7340");
		assert_int_equal(lt_conf_int(c, "hub", "workers"), 2);
		assert_int_equal(lt_conf_int(c, "hub", "idle"), 90000);
		assert_true(lt_conf_int(c, "hub", "map") == INT64_C(68719476736));
		assert_false(lt_conf_bool(c, "hub", "open"));
		assert_string_equal(lt_conf_str(c, "log", "level"), "info");
		assert_false(lt_conf_given(c, "hub", "listen"));
		lt_conf_free(c);
	}
	lt_conf_free(NULL);
}

static void
values_as_people_write_them(void **state)
{
	struct lt_conf *c = good("\xef\xbb\xbf; cấu hình\r\n"
				 "[hub]\r\n"
				 "  listen = tcp://10.0.0.1:7340   ; inside\r\n"
				 "\tworkers=64\r\n"
				 "any: -9223372036854775808\n"
				 "idle = 2 h\n"
				 "map = 10M\n"
				 "open = YES\n"
				 "\n"
				 "[log]\n"
				 "level = debug");

	(void)state;
	assert_string_equal(lt_conf_str(c, "hub", "listen"), "tcp://10.0.0.1:7340");
	assert_true(lt_conf_given(c, "hub", "listen"));
	assert_int_equal(lt_conf_int(c, "hub", "workers"), 64);
	assert_true(lt_conf_int(c, "hub", "any") == INT64_MIN);
	assert_int_equal(lt_conf_int(c, "hub", "idle"), 7200000);
	assert_int_equal(lt_conf_int(c, "hub", "map"), 10485760);
	assert_true(lt_conf_bool(c, "hub", "open"));
	assert_string_equal(lt_conf_str(c, "log", "level"), "debug");
	lt_conf_free(c);
}

static const struct {
	const char *line;
	int64_t want;
	const char *name;
} numbers[] = {
	{ "idle = 1000ms", 1000, "idle" },
	{ "idle = 1s", 1000, "idle" },
	{ "idle = 1m", 60000, "idle" },
	{ "idle = 1d", 86400000, "idle" },
	{ "idle = 24h", 86400000, "idle" },
	{ "map = 1048576", 1048576, "map" },
	{ "map = 1024K", 1048576, "map" },
	{ "map = 8589934591G", INT64_C(8589934591) * 1073741824, "map" },
	{ "workers = 1", 1, "workers" },
	{ "workers = 064", 64, "workers" },
	{ "offset = -5", -5, "offset" },
	{ "offset = 5", 5, "offset" },
	{ "any = 9223372036854775807", INT64_MAX, "any" },
	{ "any = -0", 0, "any" },
};

static void
numbers_and_units(void **state)
{
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(numbers); i++) {
		struct lt_conf *c;

		(void)snprintf(text, sizeof(text), "[hub]\n%s\n", numbers[i].line);
		c = good(text);
		if (lt_conf_int(c, "hub", numbers[i].name) != numbers[i].want)
			fail_msg("%s", numbers[i].line);
		lt_conf_free(c);
	}
}

static const struct {
	const char *text;
	const char *where; /* what the message begins with */
	const char *says; /* and has in it */
} wrong[] = {
	{ "[hub]\nlisten = a\nlistn = b\n", "t.conf:3: ", "unknown key \"listn\" in [hub]" },
	{ "[hub]\nlistn = b\n", "t.conf:2: ", "listen, workers" },
	{ "[hubs]\nlisten = b\n", "t.conf:1: ", "unknown section [hubs]; known are: hub, log" },
	{ "\n\n[hubs]\n", "t.conf:3: ", "unknown section" },
	{ "listen = b\n", "t.conf:1: ", "unknown section []" },
	{ "[hub]\nLISTEN = b\n", "t.conf:2: ", "unknown key" },
	{ "[hub]\nlevel = info\n", "t.conf:2: ", "unknown key" },
	{ "[hub]\nlisten = a\n\nlisten = a\n", "t.conf:4: ", "second time" },
	{ "[hub]\nlisten = a\n[log]\n[hub]\nlisten = b\n", "t.conf:5: ", "second time" },
	/* an indented line is a line of its own, not the rest of the one above */
	{ "[hub]\nlisten = a\n   b\n", "t.conf:3: ", "not understood" },
	{ "[hub]\nlisten = a\n   workers = 0\n", "t.conf:3: ", "from 1 to 64" },
	{ "[hub]\nworkers = 0\n", "t.conf:2: ", "from 1 to 64" },
	{ "[hub]\nworkers = 65\n", "t.conf:2: ", "from 1 to 64" },
	{ "[hub]\noffset = -6\n", "t.conf:2: ", "from -5 to 5" },
	{ "[hub]\noffset = 6\n", "t.conf:2: ", "from -5 to 5" },
	{ "[hub]\nworkers = \n", "t.conf:2: ", "a whole number" },
	{ "[hub]\nworkers = 2x\n", "t.conf:2: ", "a whole number" },
	{ "[hub]\nworkers = 0x2\n", "t.conf:2: ", "a whole number" },
	{ "[hub]\nworkers = +2\n", "t.conf:2: ", "a whole number" },
	{ "[hub]\nworkers = --2\n", "t.conf:2: ", "a whole number" },
	{ "[hub]\nworkers = 2.0\n", "t.conf:2: ", "a whole number" },
	{ "[hub]\nworkers = 2s\n", "t.conf:2: ", "a whole number" },
	{ "[hub]\nany = 9223372036854775808\n", "t.conf:2: ", "a whole number" },
	{ "[hub]\nany = -9223372036854775809\n", "t.conf:2: ", "a whole number" },
	{ "[hub]\nidle = 30\n", "t.conf:2: ", "30s" },
	{ "[hub]\nidle = 30 S\n", "t.conf:2: ", "30s" },
	{ "[hub]\nidle = s\n", "t.conf:2: ", "30s" },
	{ "[hub]\nidle = 999ms\n", "t.conf:2: ", "from 1000 to 86400000 ms" },
	{ "[hub]\nidle = 86400001ms\n", "t.conf:2: ", "from 1000 to 86400000 ms" },
	{ "[hub]\nidle = 9223372036854775807d\n", "t.conf:2: ", "30s" },
	{ "[hub]\nmap = 1048575\n", "t.conf:2: ", "bytes" },
	{ "[hub]\nmap = 8589934592G\n", "t.conf:2: ", "10M" },
	{ "[hub]\nmap = 1MB\n", "t.conf:2: ", "10M" },
	{ "[hub]\nopen = ja\n", "t.conf:2: ", "yes or no" },
	{ "[hub]\nopen = 2\n", "t.conf:2: ", "yes or no" },
	{ "[hub]\nopen =\n", "t.conf:2: ", "yes or no" },
	{ "[log]\nlevel = inf\n", "t.conf:2: ", "error warn info debug" },
	{ "[log]\nlevel = info debug\n", "t.conf:2: ", "must be one of" },
	{ "[log]\nlevel = \n", "t.conf:2: ", "must be one of" },
	{ "[hub\nlisten = a\n", "t.conf:1: ", "a section is [name]" },
	{ "[hub\n", "t.conf:1: ", "a section is [name]" },
	{ "[hub]\nlisten\n", "t.conf:2: ", "not understood" },
	{ "[hub]\nlisten = \xff\n", "t.conf: ", "UTF-8" },
};

/* Each mistake is told with its line and what would be right; nothing is returned. */
static void
mistakes_are_named(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(wrong); i++) {
		struct lt_conf *c = (struct lt_conf *)state;
		struct lt_err err = { "" };
		int rc = lt_conf_parse(
		    &c, keys, COUNT(keys), "t.conf", lt_slice_str(wrong[i].text), &err);

		if (rc != LT_E_INVALID ||
		    strncmp(err.text, wrong[i].where, strlen(wrong[i].where)) != 0 ||
		    strstr(err.text, wrong[i].says) == NULL)
			fail_msg("\"%s\": %d %s", wrong[i].text, rc, err.text);
		assert_ptr_equal(c, state);
		assert_int_equal(lt_conf_parse(&c, keys, COUNT(keys), "t.conf",
				     lt_slice_str(wrong[i].text), NULL),
		    LT_E_INVALID);
	}
}

static void
a_nul_byte_is_refused(void **state)
{
	struct lt_conf *c = NULL;

	(void)state;
	assert_int_equal(lt_conf_parse(&c, keys, COUNT(keys), "t", lt_slice("[hub]\n\0", 7), NULL),
	    LT_E_INVALID);
}

/* A line of every length up to the longest that is taken, whole: the library's own buffer is shorter. Then one more byte. */
static void
long_lines_are_whole_or_refused(void **state)
{
	char text[LT_CONF_LINE_MAX + 64];
	const size_t longest = LT_CONF_LINE_MAX - sizeof("listen = ");
	struct lt_conf *c;
	struct lt_err err;
	size_t len;

	(void)state;
	for (len = 1; len <= longest; len++) {
		(void)snprintf(text, sizeof(text), "[hub]\nlisten = %0*d\n[log]\n", (int)len, 0);
		assert_int_equal(
		    lt_conf_parse(&c, keys, COUNT(keys), "t.conf", lt_slice_str(text), &err),
		    LT_OK);
		assert_int_equal(strlen(lt_conf_str(c, "hub", "listen")), len);
		lt_conf_free(c);
	}
	(void)snprintf(text, sizeof(text), "[hub]\nlisten = %0*d\n[log]\n", (int)len, 0);
	assert_int_equal(
	    lt_conf_parse(&c, keys, COUNT(keys), "t.conf", lt_slice_str(text), &err), LT_E_INVALID);
	assert_non_null(strstr(err.text, "t.conf:2: line is longer than"));
}

/* What stands in a long line besides its value: blanks, a remark; a remark alone; no value at all. */
static void
long_lines_are_read_as_short_ones(void **state)
{
	char text[2048], want[512];
	struct lt_conf *c;
	struct lt_err err;

	(void)state;
	(void)snprintf(want, sizeof(want), "a;b %0300d z", 7);
	(void)snprintf(text, sizeof(text),
	    "; %0300d\n[hub]\n \tlisten \t=  %s \t ; %0300d\r\n# %0300d\n", 1, want, 2, 3);
	if (lt_conf_parse(&c, keys, COUNT(keys), "t.conf", lt_slice_str(text), &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_string_equal(lt_conf_str(c, "hub", "listen"), want);
	lt_conf_free(c);
	(void)snprintf(text, sizeof(text), "[hub]\n%0300d\n", 1);
	assert_int_equal(
	    lt_conf_parse(&c, keys, COUNT(keys), "t.conf", lt_slice_str(text), &err), LT_E_INVALID);
	assert_non_null(strstr(err.text, "t.conf:2: "));
	(void)snprintf(text, sizeof(text), "[hub]\nlisten = x\nlisten = %0300d\n", 1);
	assert_int_equal(
	    lt_conf_parse(&c, keys, COUNT(keys), "t.conf", lt_slice_str(text), &err), LT_E_INVALID);
	assert_non_null(strstr(err.text, "second time"));
}

static void
what_must_be_given(void **state)
{
	struct lt_conf *c;
	struct lt_err err;

	(void)state;
	assert_int_equal(
	    lt_conf_parse(&c, must, 1, "n.conf", lt_slice_str(""), &err), LT_E_INVALID);
	assert_non_null(strstr(err.text, "[node] hub is missing"));
	assert_int_equal(
	    lt_conf_parse(&c, must, 1, "n.conf", lt_slice_str("[node]\nhub=x"), &err), LT_OK);
	assert_string_equal(lt_conf_str(c, "node", "hub"), "x");
	lt_conf_free(c);
}

static void
from_a_file_or_none(void **state)
{
	char dir[] = "/tmp/lt_conf_XXXXXX", path[64];
	struct lt_conf *c;
	struct lt_err err;
	FILE *f;
	int i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/lienthong.conf", dir);
	assert_int_equal(lt_conf_load(&c, keys, COUNT(keys), path, &err), LT_OK);
	assert_int_equal(lt_conf_int(c, "hub", "workers"), 2);
	lt_conf_free(c);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs("[hub]\nworkers = 7\nbad = 1\n", f) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(lt_conf_load(&c, keys, COUNT(keys), path, &err), LT_E_INVALID);
	assert_int_equal(strncmp(err.text, path, strlen(path)), 0);
	assert_non_null(strstr(err.text, "lienthong.conf:3: "));
	f = fopen(path, "w");
	assert_non_null(f);
	for (i = 0; i < 64 * 1024 + 1; i++)
		assert_int_equal(fputc('\n', f), '\n');
	assert_int_equal(fclose(f), 0);
	assert_int_equal(lt_conf_load(&c, keys, COUNT(keys), path, &err), LT_E_TOOBIG);
	assert_int_equal(truncate(path, 65536), 0);
	assert_int_equal(lt_conf_load(&c, keys, COUNT(keys), path, &err), LT_OK);
	lt_conf_free(c);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(lt_conf_load(&c, keys, COUNT(keys), path, &err), LT_E_IO);
	assert_int_equal(rmdir(path) + rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_is_all_defaults),
		cmocka_unit_test(values_as_people_write_them),
		cmocka_unit_test(numbers_and_units),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(a_nul_byte_is_refused),
		cmocka_unit_test(long_lines_are_whole_or_refused),
		cmocka_unit_test(long_lines_are_read_as_short_ones),
		cmocka_unit_test(what_must_be_given),
		cmocka_unit_test(from_a_file_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
