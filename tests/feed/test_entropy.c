/* Keys of a machine whose randomness is not there yet, or fails: made only from what the kernel vouches for, else not at all
 * (reliability K15). A program under a filter of system calls, before libsodium is set up in it, tells what came of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/feed/identity.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "which system calls are filtered is not written down for this processor"
#endif

enum mode {
	SOUND, /* getrandom() that waits is there: any that does not wait ends the program */
	OLD_KERNEL, /* no getrandom(): ENOSYS */
	NOTHING, /* nor a file that opens */
	FAILS_LATER, /* EIO, from when libsodium has found it sound */
	NO_FILTER
};

#define NO_RANDOMNESS 80
#define KEYS_LEN (LT_ID_LEN + crypto_sign_PUBLICKEYBYTES + 32)

/* ---- the program ---- */

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define IF_IS(value, skip_if_not) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, skip_if_not)
#define SAY(what) BPF_STMT(BPF_RET | BPF_K, what)

static void
install(struct sock_filter *f, size_t n)
{
	const struct sock_fprog prog = { (unsigned short)n, f };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		_exit(77);
}

static void
filter(enum mode mode)
{
	const uint32_t fail = SECCOMP_RET_ERRNO | (mode == FAILS_LATER ? EIO : ENOSYS);
	struct sock_filter waits[] = { LOAD(arch), IF_IS(ARCH, 4), LOAD(nr),
		IF_IS(SYS_getrandom, 2), LOAD(args[2]), IF_IS(0, 1), SAY(SECCOMP_RET_ALLOW),
		SAY(SECCOMP_RET_KILL_PROCESS) };
	struct sock_filter fails[] = { LOAD(arch), IF_IS(ARCH, 3), LOAD(nr),
		IF_IS(SYS_getrandom, 1), SAY(fail), SAY(SECCOMP_RET_ALLOW) };
	struct sock_filter closed[] = { LOAD(arch), IF_IS(ARCH, 3), LOAD(nr), IF_IS(SYS_openat, 1),
		SAY(SECCOMP_RET_ERRNO | ENOENT), SAY(SECCOMP_RET_ALLOW) };

	if (mode == SOUND)
		install(waits, sizeof(waits) / sizeof(waits[0]));
	else
		install(fails, sizeof(fails) / sizeof(fails[0]));
	if (mode == NOTHING)
		install(closed, sizeof(closed) / sizeof(closed[0]));
}

static void
tell_keys(void)
{
	struct lt_identity *id;
	uint8_t keys[KEYS_LEN];

	/* As daemons and ltctl begin. */
	if (sodium_init() < 0)
		_exit(NO_RANDOMNESS);
	id = lt_identity_new();
	if (id == NULL)
		_exit(78);
	lt_identity_keys(id);
	memcpy(keys, id->principal.b, LT_ID_LEN);
	memcpy(keys + LT_ID_LEN, id->sign.pk, crypto_sign_PUBLICKEYBYTES);
	memcpy(keys + LT_ID_LEN + crypto_sign_PUBLICKEYBYTES, id->line_pk, 32);
	if (write(STDOUT_FILENO, keys, sizeof(keys)) != (ssize_t)sizeof(keys))
		_exit(79);
	_exit(0);
}

static int
program(enum mode mode)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	if (mode == FAILS_LATER && sodium_init() < 0)
		return 78;
	if (mode != NO_FILTER)
		filter(mode);
	tell_keys();
	return 81;
}

/* ---- the tests ---- */

/* What it said, and how it ended. */
static size_t
run(enum mode mode, uint8_t keys[KEYS_LEN], int *status)
{
	char word[2] = { (char)('0' + (int)mode), '\0' };
	size_t n = 0;
	ssize_t got;
	int fd[2];
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fd[1], STDOUT_FILENO);
		(void)execl("/proc/self/exe", "test", word, (char *)NULL);
		_exit(127);
	}
	(void)close(fd[1]);
	while (n < KEYS_LEN && (got = read(fd[0], keys + n, KEYS_LEN - n)) > 0)
		n += (size_t)got;
	(void)close(fd[0]);
	assert_int_equal(waitpid(pid, status, 0), pid);
	return n;
}

static void
makes_keys(enum mode mode)
{
	uint8_t one[KEYS_LEN], two[KEYS_LEN];
	int status;
	size_t part;

	assert_int_equal(run(mode, one, &status), KEYS_LEN);
	assert_int_equal(status, 0);
	assert_int_equal(run(mode, two, &status), KEYS_LEN);
	assert_int_equal(status, 0);
	/* Id and both keys: none is what the other machine got, none is nothing. */
	for (part = 0; part < KEYS_LEN; part += LT_ID_LEN) {
		assert_memory_not_equal(one + part, two + part, LT_ID_LEN);
		assert_false(sodium_is_zero(one + part, LT_ID_LEN));
	}
}

static void
makes_none(enum mode mode)
{
	uint8_t keys[KEYS_LEN];
	int status;

	assert_int_equal(run(mode, keys, &status), 0);
	/* libsodium ends a program rather than give it what anybody could guess. */
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGABRT);
	else
		assert_int_equal(WEXITSTATUS(status), NO_RANDOMNESS);
}

static void
sound_randomness(void **state)
{
	(void)state;
	makes_keys(NO_FILTER);
	makes_keys(SOUND);
}

/* /dev/urandom, once /dev/random says that it is seeded. */
static void
without_the_call(void **state)
{
	(void)state;
	makes_keys(OLD_KERNEL);
}

static void
without_randomness_no_keys(void **state)
{
	(void)state;
	makes_none(NOTHING);
	makes_none(FAILS_LATER);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sound_randomness),
		cmocka_unit_test(without_the_call), cmocka_unit_test(without_randomness_no_keys) };

	if (argc == 2 && argv[1][0] >= '0' && argv[1][0] <= '0' + NO_FILTER && argv[1][1] == '\0')
		return program((enum mode)(argv[1][0] - '0'));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
