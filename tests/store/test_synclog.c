/* tests/lib/synclog.c on a small daemon: this program runs itself under the preload library. The child
 * takes requests on a socket, commits each, and answers; the parent reads the log. */
#include "proto/store/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ok(expr) assert_int_equal(expr, LT_OK)

void lt_synclog_mark(const char *text) __attribute__((weak));

static const char *const tables[] = { "t", NULL };
static const uint8_t federation[32] = { 7 };

static struct lt_kv *
open_at(const char *path)
{
	struct lt_kv_options o = { 0 };
	struct lt_kv *kv;

	o.path = path;
	o.kind = LT_KV_TEST;
	o.federation = federation;
	o.tables = tables;
	return lt_kv_open_lmdb(&o, &kv, NULL) == LT_OK ? kv : NULL;
}

static int
put(struct lt_kv *kv, uint8_t n)
{
	struct lt_kv_txn *t;
	int rc;

	rc = lt_kv_begin_write(kv, &t);
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_put(t, 0, lt_slice(&n, 1), lt_slice_str("value"));
	if (rc == LT_OK)
		return lt_kv_commit(t);
	lt_kv_abort(t);
	return rc;
}

/* Requests on descriptor 0: 'p' commit and answer the negated code; 'e' answer before the commit, as a daemon
 * must not. */
static int
child_main(const char *path)
{
	struct lt_kv *kv = open_at(path);
	uint8_t c, n = 0, answer;

	if (kv == NULL)
		return 1;
	answer = 'r';
	if (send(0, &answer, 1, 0) != 1)
		return 1;
	while (recv(0, &c, 1, 0) == 1) {
		if (lt_synclog_mark != NULL)
			lt_synclog_mark(c == 'p' ? "request p" : "request e");
		answer = 0;
		if (c == 'e' && write(0, &answer, 1) != 1)
			return 1;
		answer = (uint8_t)-put(kv, ++n);
		if (c == 'p' && write(0, &answer, 1) != 1)
			return 1;
	}
	lt_kv_close(kv);
	return 0;
}

struct fix {
	char dir[64];
	char store[80];
	char log[96];
	int sock;
	pid_t pid;
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/lt_synclog.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->store, sizeof(f->store), "%s/store", f->dir);
	(void)snprintf(f->log, sizeof(f->log), "%s/log", f->dir);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[96];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

/* Start the daemon with one more setting ("" for none) and wait until it is ready. */
static void
start(struct fix *f, const char *name, const char *value)
{
	static char self[] = "/proc/self/exe";
	char c;
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		char *argv[] = { self, f->store, NULL };
		const char *asan = getenv("ASAN_OPTIONS");
		char opts[256];

		(void)dup2(s[1], 0);
		(void)setenv("LD_PRELOAD", LT_SYNCLOG_SO, 1);
		(void)setenv("LT_SYNCLOG", f->log, 1);
		if (name[0] != '\0')
			(void)setenv(name, value, 1);
		/* The note beside it is synced when the store is opened. */
		if (strcmp(name, "LT_SYNCLOG_FAIL") == 0)
			(void)setenv("LT_SYNCLOG_MATCH", "/data.mdb", 1);
		/* The sanitizer wants to stand before any other preloaded library. */
		(void)snprintf(opts, sizeof(opts), "%s:verify_asan_link_order=0", asan ? asan : "");
		(void)setenv("ASAN_OPTIONS", opts, 1);
		(void)execv(self, argv);
		_exit(99);
	}
	(void)close(s[1]);
	f->sock = s[0];
	assert_int_equal(read(f->sock, &c, 1), 1);
	assert_int_equal(c, 'r');
}

static int
stop(struct fix *f)
{
	int status;

	(void)close(f->sock);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The answer to a request: a code. */
static int
ask(struct fix *f, char c)
{
	uint8_t answer = 0xff;

	assert_int_equal(write(f->sock, &c, 1), 1);
	assert_int_equal(read(f->sock, &answer, 1), 1);
	return -(int)answer;
}

static long
log_size(const struct fix *f)
{
	struct stat st;

	return stat(f->log, &st) == 0 ? (long)st.st_size : 0;
}

struct event {
	unsigned long seq;
	int pid;
	char event[16], result[24], name[256];
};

/* The i-th of the fields parted by one blank; the last one is all that is left. */
static void
field(const char *line, int i, bool last, char *out, size_t cap)
{
	size_t n;

	for (; i > 0; i--) {
		line = strchr(line, ' ');
		assert_non_null(line);
		line++;
	}
	n = strcspn(line, last ? "\n" : " ");
	assert_true(n > 0);
	assert_true(n < cap);
	memcpy(out, line, n);
	out[n] = '\0';
}

static size_t
read_log(const struct fix *f, long from, struct event *e, size_t max)
{
	FILE *in = fopen(f->log, "r");
	char line[1024], number[32];
	size_t n = 0;

	assert_non_null(in);
	assert_int_equal(fseek(in, from, SEEK_SET), 0);
	for (; n < max && fgets(line, sizeof(line), in) != NULL; n++) {
		field(line, 0, false, number, sizeof(number));
		e[n].seq = strtoul(number, NULL, 10);
		field(line, 1, false, number, sizeof(number));
		e[n].pid = (int)strtol(number, NULL, 10);
		field(line, 4, false, e[n].event, sizeof(e[n].event));
		field(line, 5, false, e[n].result, sizeof(e[n].result));
		field(line, 8, true, e[n].name, sizeof(e[n].name));
	}
	(void)fclose(in);
	return n;
}

/* The proof of the library's header: commit of the store, both parts done, before the next send. */
static bool
saved_before_sent(const struct fix *f, long from)
{
	struct event e[64];
	size_t i, n = read_log(f, from, e, 64);
	int stage = 0;

	for (i = 0; i < n; i++) {
		bool data = strstr(e[i].name, "/store/data.mdb") != NULL &&
			    strcmp(e[i].result, "done") == 0 && e[i].pid == f->pid;

		if (strcmp(e[i].event, "send") == 0)
			return stage == 2;
		if (stage == 0 && data && strcmp(e[i].event, "fdatasync") == 0)
			stage = 1;
		else if (stage == 1 && data && strcmp(e[i].event, "dsync") == 0)
			stage = 2;
	}
	return false;
}

static void
a_commit_is_seen_before_its_answer(void **state)
{
	struct fix *f = *state;
	long from;
	int i;

	start(f, "", "");
	for (i = 0; i < 10; i++) {
		from = log_size(f);
		ok(ask(f, 'p'));
		assert_true(saved_before_sent(f, from));
	}
	assert_int_equal(stop(f), 0);
}

static void
an_answer_before_the_commit_is_found(void **state)
{
	struct fix *f = *state;
	long from;

	start(f, "", "");
	from = log_size(f);
	ok(ask(f, 'e'));
	assert_int_equal(stop(f), 0); /* so that the late commit is in the log, too */
	assert_false(saved_before_sent(f, from));
}

static void
a_skipped_sync_is_found(void **state)
{
	struct fix *f = *state;
	struct event e[64];
	size_t i, n, skipped = 0;
	long from;

	start(f, "LT_SYNCLOG_SKIP", "1");
	from = log_size(f);
	ok(ask(f, 'p'));
	assert_false(saved_before_sent(f, from));
	n = read_log(f, 0, e, 64);
	for (i = 0; i < n; i++) {
		skipped += strcmp(e[i].result, "skipped") == 0;
		assert_string_not_equal(e[i].result, "done");
	}
	assert_true(skipped >= 4); /* making the store and one commit */
	assert_int_equal(stop(f), 0);
}

/* Numbers rise by one, over two processes in turn; marks and the fsync of the folder are there. */
static void
the_log_is_whole(void **state)
{
	struct fix *f = *state;
	struct event e[128];
	size_t i, n, marks = 0, folder = 0;
	int round;

	for (round = 0; round < 2; round++) {
		start(f, "", "");
		ok(ask(f, 'p'));
		assert_int_equal(stop(f), 0);
	}
	n = read_log(f, 0, e, 128);
	assert_in_range(n, 10, 127);
	for (i = 0; i < n; i++) {
		assert_int_equal(e[i].seq, i + 1);
		marks += strcmp(e[i].event, "mark") == 0 && strcmp(e[i].name, "request p") == 0;
		folder += strcmp(e[i].event, "fsync") == 0 && strcmp(e[i].name, f->store) == 0;
	}
	assert_int_equal(marks, 2);
	assert_true(folder >= 1); /* of a store just made */
	assert_int_not_equal(e[0].pid, e[n - 1].pid);
}

static uint64_t
stored(const struct fix *f)
{
	struct lt_kv *kv = open_at(f->store);
	struct lt_kv_txn *t;
	uint64_t n;

	assert_non_null(kv);
	ok(lt_kv_begin_read(kv, &t));
	ok(lt_kv_count(t, 0, &n));
	lt_kv_abort(t);
	lt_kv_close(kv);
	return n;
}

/* Each sync of three commits fails once. The answer is an error; nothing is written any more, because a
 * sync that failed may report success the next time; and a restart finds what was acknowledged. */
static void
a_failed_sync_ends_all_writing(void **state)
{
	struct fix *f = *state;
	unsigned at, answered, i;
	char n[8];
	int rc[3];

	lt_kv_close(open_at(f->store)); /* made, so that only commits sync */
	for (at = 1;; at++) {
		(void)snprintf(n, sizeof(n), "%u", at);
		start(f, "LT_SYNCLOG_FAIL", n);
		answered = 0;
		for (i = 0; i < 3; i++) {
			rc[i] = ask(f, 'p');
			answered += rc[i] == LT_OK;
			assert_true(rc[i] == LT_OK || rc[i] == LT_E_IO);
			assert_true(i == 0 || rc[i - 1] == LT_OK || rc[i] != LT_OK);
		}
		assert_int_equal(stop(f), 0);
		if (answered == 3)
			break;
		assert_int_equal(answered, (at - 1) / 2); /* two syncs a commit */
		/* Keys are 1, 2, 3 in every round: a commit that was never acknowledged may be there. */
		assert_true(stored(f) >= answered);
	}
	assert_int_equal(at, 7);
	assert_int_equal(stored(f), 3);
}

/* A full log must not pass for a proof. */
static void
without_a_log_the_process_ends(void **state)
{
	struct fix *f = *state;
	int status, fd;
	pid_t pid;

	fd = open(f->store, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(f->log, sizeof(f->log), "%s/log", f->store); /* below a file: cannot be */
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setenv("LD_PRELOAD", LT_SYNCLOG_SO, 1);
		(void)setenv("LT_SYNCLOG", f->log, 1);
		(void)execl("/bin/true", "true", (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 120);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_commit_is_seen_before_its_answer),
		TEST(an_answer_before_the_commit_is_found),
		TEST(a_skipped_sync_is_found),
		TEST(the_log_is_whole),
		TEST(a_failed_sync_ends_all_writing),
		TEST(without_a_log_the_process_ends),
	};

	if (argc > 1)
		return child_main(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
