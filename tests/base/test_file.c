#include "tests/base/base_test.h"

#include "proto/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

static char root[64];

static const char *
in_root(const char *name)
{
	static char path[4][600];
	static unsigned turn;
	char *p = path[turn++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", root, name);
	return p;
}

static int
setup(void **state)
{
	(void)state;
	memcpy(root, "/tmp/lt_file_XXXXXX", sizeof("/tmp/lt_file_XXXXXX"));
	return mkdtemp(root) == NULL;
}

static int
teardown(void **state)
{
	char cmd[256];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "chmod -R u+rwx %s; rm -rf %s", root, root);
	return system(cmd);
}

static unsigned
entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n - 2;
}

static int
put(const char *name, const char *text, bool excl)
{
	struct lt_err err;

	return lt_file_write(in_root(name), lt_slice_str(text), 0600, excl, &err);
}

static void
assert_holds(const char *name, const char *text)
{
	struct lt_buf b = { 0 };

	assert_int_equal(lt_file_read(in_root(name), 1000, &b, NULL), LT_OK);
	assert_true(lt_slice_eq(lt_buf_slice(&b), lt_slice_str(text)));
	lt_buf_fini(&b);
}

/* Run in a child without the rights of root, which file modes do not stop. */
static void
as_nobody(void (*what)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
			_exit(2);
		what();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
written_replaced_and_read(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(put("a", "one", false), LT_OK);
	assert_holds("a", "one");
	assert_int_equal(put("a", "", false), LT_OK);
	assert_holds("a", "");
	assert_int_equal(put("a", "three", false), LT_OK);
	assert_holds("a", "three");
	assert_int_equal(stat(in_root("a"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(entries(root), 1);
}

static void
excl_keeps_what_is_there(void **state)
{
	struct lt_err err;

	(void)state;
	assert_int_equal(put("a", "one", true), LT_OK);
	assert_int_equal(
	    lt_file_write(in_root("a"), lt_slice_str("two"), 0600, true, &err), LT_E_EXISTS);
	assert_non_null(strstr(err.text, "/a\""));
	assert_holds("a", "one");
	assert_int_equal(symlink("/nonexistent", in_root("link")), 0);
	assert_int_equal(put("link", "two", true), LT_E_EXISTS);
	assert_int_equal(entries(root), 2);
}

static void
missing_folder_or_name_too_long(void **state)
{
	char name[300];
	struct lt_err err;

	(void)state;
	assert_int_equal(
	    lt_file_write(in_root("no/a"), lt_slice_str("x"), 0600, false, &err), LT_E_NOTFOUND);
	assert_non_null(strstr(err.text, "/no/a\""));
	assert_int_equal(put("no/a", "x", true), LT_E_NOTFOUND);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(put(name, "x", false), LT_E_INVALID);
	assert_int_equal(put("", "x", false), LT_E_IO);
	assert_int_equal(entries(root), 0);
}

static void
write_read_only(void)
{
	/* no assert_*: this is a child */
	if (lt_file_write(in_root("ro/a"), lt_slice_str("new"), 0600, false, NULL) != LT_E_DENIED)
		_exit(3);
	if (lt_file_write(in_root("ro/b"), lt_slice_str("new"), 0600, true, NULL) != LT_E_DENIED)
		_exit(4);
	if (lt_dir_make(in_root("ro/d/e"), 0700, NULL) != LT_E_DENIED)
		_exit(5);
}

static void
read_only_folder_keeps_the_old_file(void **state)
{
	(void)state;
	assert_int_equal(chmod(root, 0755), 0);
	assert_int_equal(mkdir(in_root("ro"), 0755), 0);
	assert_int_equal(put("ro/a", "old", false), LT_OK);
	assert_int_equal(chmod(in_root("ro"), 0555), 0);
	as_nobody(write_read_only);
	assert_int_equal(entries(in_root("ro")), 1);
	assert_holds("ro/a", "old");
}

/* The file size limit of the process stands for a full disk: every byte count at which the
 * write can stop, and the old file is whole and alone after each. */
static void
write_limited(void)
{
	char big[64];
	rlim_t max;

	memset(big, 'n', sizeof(big));
	(void)signal(SIGXFSZ, SIG_IGN);
	for (max = 0; max <= sizeof(big); max++) {
		struct rlimit r = { max, sizeof(big) };
		int rc;

		if (setrlimit(RLIMIT_FSIZE, &r) != 0)
			_exit(3);
		rc =
		    lt_file_write(in_root("full/a"), lt_slice(big, sizeof(big)), 0600, false, NULL);
		if ((rc == LT_OK) != (max == sizeof(big)))
			_exit(4);
		if (rc != LT_OK && entries(in_root("full")) != 1)
			_exit(5);
	}
}

static void
a_write_that_fails_leaves_nothing(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(chmod(root, 0755), 0);
	assert_int_equal(mkdir(in_root("full"), 0777), 0);
	assert_int_equal(chmod(in_root("full"), 0777), 0);
	assert_int_equal(put("full/a", "old", false), LT_OK);
	as_nobody(write_limited);
	assert_int_equal(stat(in_root("full/a"), &st), 0);
	assert_int_equal(st.st_size, 64);
}

/* Onto a folder, which rename refuses: the temporary file goes too. */
static void
a_rename_that_fails_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_root("d"), 0700), 0);
	assert_int_equal(put("d", "x", false), LT_E_IO);
	assert_int_equal(put("d", "x", true), LT_E_EXISTS);
	assert_int_equal(entries(root), 1);
	assert_int_equal(entries(in_root("d")), 0);
}

static void
a_symbolic_link_is_replaced_not_followed(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(put("target", "kept", false), LT_OK);
	assert_int_equal(symlink("target", in_root("link")), 0);
	assert_int_equal(put("link", "new", false), LT_OK);
	assert_holds("target", "kept");
	assert_int_equal(lstat(in_root("link"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void
read_bounds_and_kinds(void **state)
{
	struct lt_buf b = { 0 };
	struct lt_err err;

	(void)state;
	assert_int_equal(put("ten", "0123456789", false), LT_OK);
	lt_buf_str(&b, "kept");
	assert_int_equal(lt_file_read(in_root("ten"), 9, &b, &err), LT_E_TOOBIG);
	assert_int_equal(lt_file_read(in_root("none"), 9, &b, &err), LT_E_NOTFOUND);
	assert_non_null(strstr(err.text, "/none\""));
	assert_int_equal(lt_file_read(root, 9, &b, &err), LT_E_IO);
	assert_int_equal(mkfifo(in_root("pipe"), 0600), 0);
	assert_int_equal(lt_file_read(in_root("pipe"), 9, &b, &err), LT_E_IO);
	assert_int_equal(lt_file_read(in_root("ten"), 0, &b, &err), LT_E_TOOBIG);
	assert_true(lt_slice_eq(lt_buf_slice(&b), lt_slice_str("kept")));
	assert_int_equal(lt_file_read(in_root("ten"), 10, &b, &err), LT_OK);
	assert_true(lt_slice_eq(lt_buf_slice(&b), lt_slice_str("kept0123456789")));
	lt_buf_fini(&b);
	/* a size of 0 is what /proc says of files that have content */
	assert_int_equal(lt_file_read("/proc/self/status", 10, &b, &err), LT_E_TOOBIG);
	assert_int_equal(b.len, 0);
	assert_int_equal(lt_file_read("/proc/self/status", 100000, &b, &err), LT_OK);
	assert_true(b.len > 100);
	lt_buf_fini(&b);
	lt_buf_init(&b, 9);
	assert_int_equal(lt_file_read(in_root("ten"), 100, &b, &err), LT_E_TOOBIG);
	lt_buf_fini(&b);
	lt_buf_init(&b, 10);
	assert_int_equal(lt_file_read(in_root("ten"), SIZE_MAX, &b, &err), LT_OK);
	lt_buf_fini(&b);
}

static void
large_file_both_ways(void **state)
{
	size_t n = 3 * 1024 * 1024 + 17, i;
	uint8_t *data = malloc(n);
	struct lt_buf b = { 0 };

	(void)state;
	assert_non_null(data);
	for (i = 0; i < n; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 24);
	assert_int_equal(lt_file_write(in_root("big"), lt_slice(data, n), 0600, true, NULL), LT_OK);
	assert_int_equal(lt_file_read(in_root("big"), n, &b, NULL), LT_OK);
	assert_true(lt_slice_eq(lt_buf_slice(&b), lt_slice(data, n)));
	lt_buf_fini(&b);
	free(data);
}

static void
a_plain_name_is_in_the_current_folder(void **state)
{
	char before[4096];

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(root), 0);
	assert_int_equal(lt_file_write("plain", lt_slice_str("x"), 0600, true, NULL), LT_OK);
	assert_int_equal(lt_dir_make("p/q", 0700, NULL), LT_OK);
	assert_int_equal(chdir(before), 0);
	assert_holds("plain", "x");
	assert_int_equal(access(in_root("p/q"), F_OK), 0);
}

static void
folders_with_parents(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(lt_dir_make(in_root("a/b//c/"), 0700, NULL), LT_OK);
	assert_int_equal(lt_dir_make(in_root("a/b/c"), 0700, NULL), LT_OK);
	assert_int_equal(lt_dir_make(root, 0700, NULL), LT_OK);
	assert_int_equal(lt_dir_make("/", 0700, NULL), LT_OK);
	assert_int_equal(stat(in_root("a/b/c"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(put("file", "x", false), LT_OK);
	assert_int_equal(lt_dir_make(in_root("file"), 0700, NULL), LT_E_EXISTS);
	assert_true(lt_dir_make(in_root("file/sub"), 0700, NULL) < 0);
	assert_int_equal(lt_dir_make("", 0700, NULL), LT_E_NOTFOUND);
}

/* A second process is told who has it; after a kill -9 the lock is free. */
static void
one_process_a_folder(void **state)
{
	int fd = 99, second = 99, ready[2], status;
	char want[64];
	struct lt_err err;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (lt_dir_lock(root, &fd, NULL) != LT_OK || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(lt_dir_lock(root, &fd, &err), LT_E_BUSY);
	assert_int_equal(fd, -1);
	(void)snprintf(want, sizeof(want), "process %ld", (long)pid);
	assert_non_null(strstr(err.text, want));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(lt_dir_lock(root, &fd, &err), LT_OK);
	assert_int_equal(lt_dir_lock(root, &second, &err), LT_E_BUSY);
	(void)snprintf(want, sizeof(want), "%ld\n", (long)getpid());
	assert_holds("lock", want);
	assert_int_equal(close(fd), 0);
	assert_int_equal(lt_dir_lock(root, &fd, &err), LT_OK);
	assert_int_equal(close(fd), 0);
	assert_int_equal(lt_dir_lock(in_root("none"), &fd, &err), LT_E_NOTFOUND);
	assert_int_equal(close(ready[0]) + close(ready[1]), 0);
}

static void
a_name_is_never_given_over_another(void **state)
{
	struct lt_err err;

	(void)state;
	assert_int_equal(put("a", "one", false), LT_OK);
	assert_int_equal(put("b", "two", false), LT_OK);
	assert_int_equal(lt_file_name(in_root("a"), in_root("b"), &err), LT_E_EXISTS);
	assert_holds("a", "one");
	assert_holds("b", "two");
	assert_int_equal(lt_file_name(in_root("a"), in_root("c"), &err), LT_OK);
	assert_holds("c", "one");
	assert_int_equal(lt_file_name(in_root("a"), in_root("d"), &err), LT_E_NOTFOUND);
	assert_int_equal(lt_dir_sync(root, &err), LT_OK);
	assert_int_equal(lt_dir_sync(in_root("none"), &err), LT_E_NOTFOUND);
	assert_int_equal(lt_dir_sync(in_root("b"), &err), LT_E_IO);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(written_replaced_and_read),
		T(excl_keeps_what_is_there),
		T(missing_folder_or_name_too_long),
		T(read_only_folder_keeps_the_old_file),
		T(a_write_that_fails_leaves_nothing),
		T(a_rename_that_fails_leaves_nothing),
		T(a_symbolic_link_is_replaced_not_followed),
		T(read_bounds_and_kinds),
		T(large_file_both_ways),
		T(a_plain_name_is_in_the_current_folder),
		T(folders_with_parents),
		T(one_process_a_folder),
		T(a_name_is_never_given_over_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
