#include "tests/base/base_test.h"

#include "proto/base/log.h"

#include <fcntl.h>
#include <unistd.h>

/* What a call writes to stderr, which is a pipe meanwhile. */
static size_t
logged(char *out, size_t cap, enum lt_log_level level, const char *text)
{
	int ends[2], before = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	lt_log(level, "%s", text);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	n = read(ends[0], out, cap - 1);
	assert_int_equal(close(before) + close(ends[0]) + close(ends[1]), 0);
	out[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static void
one_line_with_time_and_level(void **state)
{
	static const char shape[] = "0000-00-00T00:00:00.000Z warn ";
	char out[8192];
	size_t i;

	(void)state;
	assert_true(logged(out, sizeof(out), LT_LOG_WARN, "đồng hồ sai") > strlen(shape));
	for (i = 0; i < strlen(shape); i++) {
		if (shape[i] == '0')
			assert_true(out[i] >= '0' && out[i] <= '9');
		else
			assert_int_equal(out[i], shape[i]);
	}
	assert_string_equal(out + i, "đồng hồ sai\n");
}

/* A name from outside makes no second line and no colours. */
static void
control_characters_are_escaped(void **state)
{
	char out[8192];

	(void)state;
	assert_true(logged(out, sizeof(out), LT_LOG_ERROR, "a\nb\x1b[0m\xff") > 0);
	assert_non_null(strstr(out, "error a\\x0ab\\x1b[0m\\xff\n"));
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

static void
long_lines_are_cut(void **state)
{
	char text[5000], out[8192];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_true(logged(out, sizeof(out), LT_LOG_ERROR, text) < 1100);
	memset(text, '\xff', sizeof(text) - 1);
	/* four columns a byte, still one write that a pipe takes whole */
	assert_true(logged(out, sizeof(out), LT_LOG_ERROR, text) <= 4096);
	assert_int_equal(out[strlen(out) - 1], '\n');
}

static void
levels_above_the_chosen_one_are_silent(void **state)
{
	char out[8192];

	(void)state;
	lt_log_level_set(LT_LOG_WARN);
	assert_int_equal(logged(out, sizeof(out), LT_LOG_INFO, "x"), 0);
	assert_true(logged(out, sizeof(out), LT_LOG_WARN, "x") > 0);
	lt_log_level_set(LT_LOG_DEBUG);
	assert_true(logged(out, sizeof(out), LT_LOG_DEBUG, "x") > 0);
	lt_log_level_set(LT_LOG_INFO);
}

/* Nobody reads the pipe: lines are dropped and counted, the daemon goes on. */
static void
a_full_pipe_does_not_block(void **state)
{
	int ends[2], before = dup(STDERR_FILENO), i;
	uint64_t dropped = lt_log_dropped();

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	for (i = 0; i < 5000; i++)
		lt_info("line %d of a daemon whose log nobody takes away", i);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	assert_true(lt_log_dropped() > dropped);
	assert_int_equal(close(before) + close(ends[0]) + close(ends[1]), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line_with_time_and_level),
		cmocka_unit_test(control_characters_are_escaped),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(levels_above_the_chosen_one_are_silent),
		cmocka_unit_test(a_full_pipe_does_not_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
