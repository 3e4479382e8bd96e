#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/base/secret.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the system says of a process, before and after, told by a child through shared memory. */
struct seen {
	bool limit_ok;
	struct rlimit core;
	int dumpable;
};

static struct seen
look(bool guarded, int *status)
{
	struct seen *s =
	    mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct seen out;
	pid_t pid;

	assert_true(s != MAP_FAILED);
	memset(s, 0, sizeof(*s));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (guarded)
			lt_secret_process("test");
		s->limit_ok = getrlimit(RLIMIT_CORE, &s->core) == 0;
		s->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
		(void)signal(SIGABRT, SIG_DFL);
		if (guarded)
			(void)raise(SIGABRT);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, status, 0), pid);
	out = *s;
	assert_int_equal(munmap(s, sizeof(*s)), 0);
	return out;
}

static void
no_core(void **state)
{
	const struct rlimit some = { 65536, 1 << 20 };
	struct seen s;
	int status;

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_CORE, &some), 0);
	s = look(false, &status);
	assert_true(s.limit_ok);
	assert_int_equal(s.core.rlim_cur, some.rlim_cur);
	assert_int_equal(s.dumpable, 1);
	s = look(true, &status);
	assert_true(s.limit_ok);
	assert_int_equal(s.core.rlim_cur, 0);
	/* Nor may it be raised again. */
	assert_int_equal(s.core.rlim_max, 0);
	assert_int_equal(s.dumpable, 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_false(WCOREDUMP(status));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
