/* Asserts hold in every kind of build, those of our libraries and of generated code, too: a program that has made a mistake
 * ends there, and does not go on with what it took for true. */
#include "tests/base/base_test.h"

#include "proto/base/config.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef NDEBUG
#error "asserts are compiled out"
#endif

typedef void mistake_fn(void);

/* In a child, quietly: does it end by an assert? */
static bool
aborts(mistake_fn *fn)
{
	struct rlimit none = { 0, 0 };
	int status, out;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGABRT, SIG_DFL); /* the test's runner catches it */
		out = open("/dev/null", O_WRONLY);
		(void)dup2(out, STDERR_FILENO);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
nothing_wrong(void)
{
}

static void
here(void)
{
	volatile int two = 2;

	assert(two == 3);
}

static void
in_a_library(void)
{
	static const struct lt_conf_key keys[] = { { "a", "b", LT_CONF_STR, "c", 0, 0, NULL } };
	struct lt_conf *conf = NULL;
	struct lt_err err = { "" };

	if (lt_conf_load(&conf, keys, 1, "/nonexistent/lienthong.conf", &err) == LT_OK)
		(void)lt_conf_str(conf, "a", "no such key");
}

static void
in_generated_code(void)
{
	Ltpb__Status m = LTPB__STATUS__INIT;

	m.base.descriptor = NULL;
	(void)ltpb__status__get_packed_size(&m);
}

static void
asserts_are_kept(void **state)
{
	(void)state;
	assert_false(aborts(nothing_wrong));
	assert_true(aborts(here));
	assert_true(aborts(in_a_library));
	assert_true(aborts(in_generated_code));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(asserts_are_kept) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
