/* The read audit over a disk that is full, that fails and that is slow: the hub starts and goes on, what is missing is said once, over a
 * restart, too, and nothing that was there is harmed.
 *
 * The linker gives us the calls below (tests.cmake); they fail as `disk` says, for what lies in the hub's folder. */
#include "proto/base/file.h"
#include "tests/hub/audit_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define ROOM (UINT64_C(1) << 30)
#define SLOW_CALLS 12
#define NEVER_MS 10000 /* who waits so long would wait for ever */

static struct {
	char dir[256];
	atomic_bool full; /* nothing more has room on it */
	atomic_bool half; /* the next write that is refused leaves the half of it */
	atomic_bool no_cut, no_folder_sync, no_name; /* such a call fails */
	atomic_int syncs_fail; /* so many of files, from the next on */
	const char *fails_of; /* only of that file; NULL: of any */
	atomic_bool fails_appended; /* only where the file is appended to */
	atomic_uint failed; /* syncs that did */
	atomic_int no_next; /* no file can be begun, for this reason; 0: it can */
	atomic_uint refused; /* that it was */
	atomic_uint looked; /* at the clock */
	atomic_bool slow; /* a sync of another thread waits until something was noted meanwhile */
	atomic_uint noted, waited, held;
	pthread_t main;
	char trace[4096]; /* of names, while it is on */
	atomic_bool tracing;
} disk;

static pthread_mutex_t trace_mx = PTHREAD_MUTEX_INITIALIZER; /* guards disk.trace */

/* The linker's names: what it makes of a call, and what was called. */
#define CALL(name) __asm__("__real_" #name)
#define IN_PLACE_OF(name) __asm__("__wrap_" #name)
int real_open(const char *path, int flags, ...) CALL(open);
ssize_t real_write(int fd, const void *data, size_t n) CALL(write);
ssize_t real_pwrite(int fd, const void *data, size_t n, off_t at) CALL(pwrite);
int real_mkdir(const char *path, mode_t mode) CALL(mkdir);
int real_unlink(const char *path) CALL(unlink);
int real_ftruncate(int fd, off_t len) CALL(ftruncate);
int real_fsync(int fd) CALL(fsync);
int real_fdatasync(int fd) CALL(fdatasync);
int real_renameat2(int from, const char *a, int to, const char *b, unsigned flags) CALL(renameat2);
int our_open(const char *path, int flags, ...) IN_PLACE_OF(open);
ssize_t our_write(int fd, const void *data, size_t n) IN_PLACE_OF(write);
ssize_t our_pwrite(int fd, const void *data, size_t n, off_t at) IN_PLACE_OF(pwrite);
int our_mkdir(const char *path, mode_t mode) IN_PLACE_OF(mkdir);
int our_unlink(const char *path) IN_PLACE_OF(unlink);
int our_ftruncate(int fd, off_t len) IN_PLACE_OF(ftruncate);
int our_fsync(int fd) IN_PLACE_OF(fsync);
int our_fdatasync(int fd) IN_PLACE_OF(fdatasync);
int our_renameat2(int from, const char *a, int to, const char *b, unsigned flags)
    IN_PLACE_OF(renameat2);

static bool
is_ours(const char *path)
{
	return disk.dir[0] != '\0' && strncmp(path, disk.dir, strlen(disk.dir)) == 0;
}

static void
path_of(int fd, char path[512])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, 511);
	path[n < 0 ? 0 : n] = '\0';
}

static bool
is_our_fd(int fd)
{
	char path[512];

	path_of(fd, path);
	return is_ours(path);
}

static bool
ends_with(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && strcmp(path + n - m, end) == 0;
}

static int
fails(int e)
{
	errno = e;
	return -1;
}

static void
trace(const char *what, const char *path)
{
	const char *name = strrchr(path, '/');
	size_t n;

	pthread_mutex_lock(&trace_mx);
	n = strlen(disk.trace);
	if (disk.tracing && is_ours(path))
		(void)snprintf(disk.trace + n, sizeof(disk.trace) - n, "%s %s\n", what,
		    name == NULL ? path : name + 1);
	pthread_mutex_unlock(&trace_mx);
}

/* What was traced may be looked at from then on. */
static void
stop_tracing(void)
{
	pthread_mutex_lock(&trace_mx);
	disk.tracing = false;
	pthread_mutex_unlock(&trace_mx);
}

int
our_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & O_CREAT) != 0) {
		va_start(ap, flags);
		mode = (mode_t)va_arg(ap, int);
		va_end(ap);
		if (disk.full && is_ours(path) && access(path, F_OK) != 0)
			return fails(ENOSPC);
		if (disk.no_next != 0 && is_ours(path) && ends_with(path, ".next")) {
			atomic_fetch_add(&disk.refused, 1);
			return fails(disk.no_next);
		}
	}
	return real_open(path, flags, mode);
}

ssize_t
our_write(int fd, const void *data, size_t n)
{
	if (!disk.full || !is_our_fd(fd))
		return real_write(fd, data, n);
	if (n > 1 && atomic_exchange(&disk.half, false))
		return real_write(fd, data, n / 2);
	return fails(ENOSPC);
}

/* What has its place already has room. */
ssize_t
our_pwrite(int fd, const void *data, size_t n, off_t at)
{
	struct stat st;
	char path[512];

	path_of(fd, path);
	trace("write", path);
	if (disk.full && is_our_fd(fd) && fstat(fd, &st) == 0 && st.st_size < at + (off_t)n)
		return fails(ENOSPC);
	return real_pwrite(fd, data, n, at);
}

int
our_mkdir(const char *path, mode_t mode)
{
	return disk.full && is_ours(path) ? fails(ENOSPC) : real_mkdir(path, mode);
}

int
our_unlink(const char *path)
{
	trace("unlink", path);
	return real_unlink(path);
}

int
our_ftruncate(int fd, off_t len)
{
	return disk.no_cut && is_our_fd(fd) ? fails(EIO) : real_ftruncate(fd, len);
}

/* Held up until somebody has noted something, as long as somebody may. */
static void
wait_for_a_note(void)
{
	unsigned before = disk.noted, i;

	if (!disk.slow || pthread_equal(pthread_self(), disk.main) ||
	    atomic_fetch_add(&disk.waited, 1) >= SLOW_CALLS)
		return;
	for (i = 0; i < NEVER_MS && disk.noted == before && disk.slow; i++)
		(void)usleep(1000);
	if (i == NEVER_MS)
		atomic_fetch_add(&disk.held, 1);
}

static bool
a_sync_fails(int fd)
{
	char path[512];

	wait_for_a_note();
	path_of(fd, path);
	if (disk.syncs_fail == 0 || !is_ours(path))
		return false;
	if (disk.fails_of != NULL && !ends_with(path, disk.fails_of))
		return false;
	if (disk.fails_appended && (fcntl(fd, F_GETFL) & O_APPEND) == 0)
		return false;
	atomic_fetch_sub(&disk.syncs_fail, 1);
	atomic_fetch_add(&disk.failed, 1);
	trace("failed", path);
	return true;
}

int
our_fsync(int fd)
{
	struct stat st;
	char path[512];

	path_of(fd, path);
	trace("fsync", path);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		wait_for_a_note();
		return disk.no_folder_sync && is_our_fd(fd) ? fails(EIO) : real_fsync(fd);
	}
	return a_sync_fails(fd) ? fails(EIO) : real_fsync(fd);
}

int
our_fdatasync(int fd)
{
	char path[512];

	if (a_sync_fails(fd))
		return fails(EIO);
	path_of(fd, path);
	trace("fdatasync", path);
	return real_fdatasync(fd);
}

int
our_renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
	trace("rename", b);
	return disk.no_name && is_ours(b) ? fails(EIO) : real_renameat2(from, a, to, b, flags);
}

/* ---- tests ---- */

static int
setup(void **state)
{
	struct audit_world *w;

	(void)audit_setup(state);
	w = *state;
	memset(&disk, 0, sizeof(disk));
	disk.main = pthread_self();
	(void)snprintf(disk.dir, sizeof(disk.dir), "%s", w->f.dir);
	return 0;
}

static int
teardown(void **state)
{
	disk.full = disk.no_cut = disk.no_folder_sync = disk.no_name = disk.slow = false;
	disk.no_next = 0;
	disk.syncs_fail = 0;
	return audit_teardown(state);
}

static void
notes(struct audit_world *w, unsigned n)
{
	while (n-- > 0) {
		audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
		atomic_fetch_add(&disk.noted, 1);
	}
}

static uint64_t
lost(struct audit_world *w)
{
	struct lt_audit_status st;

	lt_audit_status(w->a, &st);
	assert_true(st.stopped == (st.lost != 0) || st.stopped);
	return st.lost;
}

static void
good_with(struct audit_world *w, uint64_t entries, uint32_t logs, uint64_t gaps, uint64_t missing)
{
	struct lt_audit_report r;
	struct lt_err err;

	audit_good(w, entries, logs);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.gaps, gaps);
	assert_int_equal(r.missing, missing);
}

static void
beside(struct audit_world *w, const char *name, char path[600])
{
	(void)snprintf(path, 600, "%s/%s", w->f.dir, name);
}

static struct lt_buf
whole(const char *path)
{
	struct lt_buf b = { 0 };

	assert_int_equal(lt_file_read(path, 1 << 26, &b, NULL), LT_OK);
	return b;
}

/* There never was a log, and there is no room to begin one: the hub starts. */
static void
test_first_start_on_a_full_disk(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_status st;
	struct lt_audit_dir d;

	disk.full = true;
	audit_begin(w, ROOM, 0);
	lt_audit_status(w->a, &st);
	assert_true(st.stopped);
	assert_int_equal(st.seq, 0);
	assert_true(lt_audit_files(w->a, &d));
	assert_int_equal(d.last, 0);
	assert_true(lt_audit_files_synced(w->a, &d));
	assert_int_equal(d.last, 0);
	notes(w, 3);
	assert_int_equal(lost(w), 3);
	disk.full = false;
	audit_stop(w);
	good_with(w, 1, 1, 1, 3);
	assert_non_null(strstr(w->said, "\"disk-full\""));
}

/* What is there is damaged, so that another log has to begin, and the disk is full: its first entries say both. */
static void
test_another_log_on_a_full_disk(void **state)
{
	struct audit_world *w = *state;
	char path[512];
	struct lt_buf b, again;

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	b = whole(path);
	b.data[b.len / 2] ^= 1;
	audit_put_file(path, lt_buf_slice(&b));
	disk.full = true;
	audit_begin(w, ROOM, 0);
	notes(w, 4);
	/* Over a restart that changes nothing of it. */
	audit_stop(w);
	audit_begin(w, ROOM, 0);
	assert_int_equal(lost(w), 4);
	disk.full = false;
	audit_stop(w);
	again = whole(path);
	assert_true(lt_slice_eq(lt_buf_slice(&b), lt_buf_slice(&again)));
	lt_buf_fini(&b);
	lt_buf_fini(&again);
	assert_int_equal(unlink(path), 0);
	good_with(w, 2, 1, 2, 4);
	assert_non_null(strstr(w->said, "\"damaged\""));
	assert_true(strstr(w->said, "\"damaged\"") < strstr(w->said, "\"disk-full\""));
}

/* Half of the first entry of another log has room: the log begins whole or not at all. */
static void
test_another_log_with_half_an_entry(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_dir d;
	char path[600];

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(truncate(path, 20), 0);
	disk.no_name = true;
	disk.full = disk.half = true;
	audit_begin(w, ROOM, 0);
	notes(w, 1);
	audit_stop(w);
	assert_int_equal(lt_audit_dir_list(w->f.dir, &d, NULL), LT_OK);
	assert_int_equal(d.last, 1);
	assert_int_equal(lt_audit_dir_next(w->f.dir, 2, path, NULL), LT_OK);
	assert_int_not_equal(access(path, F_OK), 0);
	disk.full = disk.half = disk.no_name = false;
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	good_with(w, 2, 1, 2, 1);
}

/* The cap is reached, and another log has to begin: it does, and says why. */
static void
test_another_log_at_the_cap(void **state)
{
	struct audit_world *w = *state;
	char path[512];

	audit_begin(w, 1000, 0);
	notes(w, 10);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(truncate(path, 900), 0);
	audit_begin(w, 800, 0);
	notes(w, 1);
	audit_stop(w);
	assert_int_equal(unlink(path), 0);
	good_with(w, 2, 1, 2, 1);
	assert_non_null(strstr(w->said, "\"end-missing\""));
}

/* Counted on a full disk, not forgotten over a stop, and said once. */
static void
test_lost_over_a_restart(void **state)
{
	struct audit_world *w = *state;
	struct lt_buf record, log;
	char path[600];
	unsigned i;

	audit_begin(w, ROOM, 0);
	notes(w, 1);
	audit_stop(w);
	for (i = 0; i < 2; i++) {
		audit_begin(w, ROOM, 0);
		assert_int_equal(lost(w), 5 * i);
		disk.full = true;
		if (i == 1)
			assert_int_equal(lost(w), 5);
		notes(w, 5);
		audit_stop(w);
		disk.full = i == 0;
	}
	audit_path(w, 1, path, sizeof(path));
	log = whole(path);
	beside(w, LT_AUDIT_LOST, path);
	record = whole(path);
	audit_begin(w, ROOM, 0);
	assert_int_equal(lost(w), 0);
	notes(w, 1);
	audit_stop(w);
	good_with(w, 3, 1, 1, 10);
	/* As after a kill before it could be taken back: the log says it already. */
	audit_put_file(path, lt_buf_slice(&record));
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	good_with(w, 3, 1, 1, 10);
	/* As after a power cut that took the gap from the log: it is said again. */
	audit_put_file(path, lt_buf_slice(&record));
	audit_path(w, 1, path, sizeof(path));
	audit_put_file(path, lt_buf_slice(&log));
	beside(w, LT_AUDIT_WITNESS, path);
	assert_int_equal(unlink(path), 0);
	beside(w, LT_AUDIT_SYNCED, path);
	assert_int_equal(unlink(path), 0);
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	good_with(w, 2, 1, 1, 10);
	lt_buf_fini(&record);
	lt_buf_fini(&log);
}

/* Nobody knows any more how many: that is said. */
static void
test_lost_is_damaged(void **state)
{
	struct audit_world *w = *state;
	struct lt_buf record;
	char path[600];
	unsigned i;

	audit_begin(w, ROOM, 0);
	notes(w, 1);
	audit_stop(w);
	beside(w, LT_AUDIT_LOST, path);
	record = whole(path);
	assert_int_equal(record.len, LT_AUDIT_LOST_BYTES);
	record.data[20] ^= 1;
	audit_put_file(path, lt_buf_slice(&record));
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	good_with(w, 2, 1, 1, 0);
	assert_non_null(strstr(w->said, "\"count-damaged\""));
	/* Too long is damaged as well; empty is of a full disk. */
	record.data[20] ^= 1;
	lt_buf_u8(&record, 0);
	audit_put_file(path, lt_buf_slice(&record));
	lt_buf_fini(&record);
	for (i = 0; i < 2; i++) {
		audit_begin(w, ROOM, 0);
		audit_stop(w);
	}
	good_with(w, 3, 1, 2, 0);
	assert_int_equal(truncate(path, 0), 0);
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	good_with(w, 3, 1, 2, 0);
}

/* Each bit of audit.lost counts, and a reason of any length up to the longest comes back. */
static void
test_lost_record(void **state)
{
	struct lt_audit_lost l = { .log = 7, .seq = 8, .count = 9, .from_ms = 10, .to_ms = -11 }, m;
	uint8_t b[LT_AUDIT_LOST_BYTES + 1] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i <= LT_AUDIT_WHY_MAX; i++) {
		lt_audit_lost_put(&l, b);
		assert_int_equal(lt_audit_lost_parse(lt_slice(b, LT_AUDIT_LOST_BYTES), &m), LT_OK);
		assert_memory_equal(&l, &m, sizeof(l));
		if (i < LT_AUDIT_WHY_MAX)
			l.why[i] = 'x';
	}
	assert_int_equal(
	    lt_audit_lost_parse(lt_slice(b, LT_AUDIT_LOST_BYTES - 1), &m), LT_E_CORRUPT);
	assert_int_equal(
	    lt_audit_lost_parse(lt_slice(b, LT_AUDIT_LOST_BYTES + 1), &m), LT_E_CORRUPT);
	for (i = 0; i < 8 * LT_AUDIT_LOST_BYTES; i++) {
		b[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(
		    lt_audit_lost_parse(lt_slice(b, LT_AUDIT_LOST_BYTES), &m), LT_E_CORRUPT);
		b[i / 8] ^= (uint8_t)(1u << i % 8);
	}
}

/* Until the log has gone on in file n. */
static void
note_until_file(struct audit_world *w, uint64_t n)
{
	struct lt_audit_dir d;

	do {
		notes(w, 20);
		(void)usleep(1000);
		assert_true(lt_audit_files(w->a, &d));
	} while (d.last < n);
}

/* Somebody's files under the names of the next one: as they were, and the log goes on. */
static void
test_what_is_there_stays(void **state)
{
	struct audit_world *w = *state;
	char path[512], next[LT_AUDIT_PATH_MAX], cmd[LT_AUDIT_PATH_MAX + 64];
	struct lt_buf b;

	audit_begin(w, ROOM, 3000);
	assert_int_equal(lt_audit_dir_next(w->f.dir, 3, next, NULL), LT_OK);
	audit_put_file(next, lt_slice_str("evidence 3"));
	audit_path(w, 2, path, sizeof(path));
	audit_put_file(path, lt_slice_str("evidence 2"));
	notes(w, 200);
	audit_stop(w);
	b = whole(path);
	assert_true(lt_slice_eq(lt_buf_slice(&b), lt_slice_str("evidence 2")));
	lt_buf_fini(&b);
	assert_int_equal(unlink(path), 0);
	audit_good(w, 200, 1);
	audit_begin(w, ROOM, 3000);
	note_until_file(w, 3);
	audit_stop(w);
	(void)snprintf(cmd, sizeof(cmd), "test \"$(cat '%s'.*)\" = 'evidence 3'", next);
	assert_int_equal(system(cmd), 0);
	assert_true(audit_second(w, ">/dev/null"));
}

/* The folder cannot be synced for a while: no file is in the way of the next one. */
static void
test_folder_not_synced(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_dir d;
	struct lt_audit_report r;
	struct lt_err err;

	audit_begin(w, ROOM, 3000);
	disk.no_folder_sync = true;
	note_until_file(w, 2);
	/* Its name may not last: none of it is shown. */
	assert_true(lt_audit_files_synced(w->a, &d));
	assert_int_equal(d.last, 1);
	disk.no_folder_sync = false;
	note_until_file(w, 4);
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.gaps, 0);
	assert_int_equal(r.logs, 1);
	assert_true(audit_second(w, ">/dev/null"));
}

/* Whoever notes something waits for no sync, nor for those between two files. */
static void
test_nobody_waits_for_the_disk(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_report r;
	struct lt_err err;

	audit_begin(w, ROOM, 3000);
	notes(w, 100);
	disk.slow = true;
	while (disk.waited < SLOW_CALLS && disk.held == 0) {
		notes(w, 1);
		(void)usleep(200);
	}
	disk.slow = false;
	assert_int_equal(disk.held, 0);
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_true(r.files > 1);
	assert_int_equal(r.gaps, 0);
}

/* In a process of its own, that is killed while the next file has no name yet; how many entries were noted. */
static unsigned
killed_between(struct audit_world *w)
{
	char next[LT_AUDIT_PATH_MAX];
	unsigned n = 0, i = 0;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		audit_begin(w, ROOM, 3000);
		disk.no_name = true;
		(void)lt_audit_dir_next(w->f.dir, 2, next, NULL);
		do {
			notes(w, n < 200);
			n += n < 200;
			(void)usleep(1000);
		} while (++i < NEVER_MS && access(next, F_OK) != 0);
		notes(w, 3);
		_exit(i < NEVER_MS ? (int)n + 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) > 0);
	return (unsigned)WEXITSTATUS(status);
}

/* Killed there: all that was noted stands in the log. */
static void
test_killed_between_two_files(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_report r;
	struct lt_err err;
	unsigned n = killed_between(w);

	/* Without its name it is not of the log yet; what is, is good. */
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.files, 1);
	audit_begin(w, ROOM, 3000);
	audit_stop(w);
	good_with(w, n, 1, 0, 0);
}

/* The power is cut there, and took some of the old file: the log ends with what is whole, says so, and the other is kept aside. */
static void
test_power_cut_between_two_files(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_report r;
	struct lt_err err;
	char path[512], next[LT_AUDIT_PATH_MAX], cmd[LT_AUDIT_PATH_MAX + 64];
	struct stat st;

	(void)killed_between(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 500), 0);
	audit_begin(w, ROOM, 3000);
	notes(w, 1);
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.gaps, 1);
	assert_int_equal(r.logs, 1);
	assert_true(audit_second(w, ""));
	assert_non_null(strstr(w->said, "\"torn\""));
	assert_int_equal(lt_audit_dir_next(w->f.dir, 2, next, NULL), LT_OK);
	(void)snprintf(cmd, sizeof(cmd), "test -s \"$(echo '%s'.*)\"", next);
	assert_int_equal(system(cmd), 0);
	/* Once. */
	audit_begin(w, ROOM, 3000);
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.gaps, 1);
}

/* Half an entry that cannot be cut off: nothing is written behind it until it can. */
static void
test_half_an_entry_stays(void **state)
{
	struct audit_world *w = *state;

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	disk.no_cut = true;
	disk.full = disk.half = true;
	notes(w, 1);
	disk.full = false;
	notes(w, 2);
	assert_int_equal(lost(w), 3);
	disk.no_cut = false;
	notes(w, 1);
	assert_int_equal(lost(w), 0);
	audit_stop(w);
	good_with(w, 4, 1, 1, 3);
}

/* The same, found at a start: the hub starts. */
static void
test_torn_end_that_cannot_be_cut(void **state)
{
	struct audit_world *w = *state;
	char path[512];
	struct lt_buf b;
	size_t i;

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	b = whole(path);
	for (i = 0; i < 50; i++)
		lt_buf_u8(&b, 0);
	audit_put_file(path, lt_buf_slice(&b));
	lt_buf_fini(&b);
	disk.no_cut = true;
	audit_begin(w, ROOM, 0);
	notes(w, 2);
	assert_int_equal(lost(w), 2);
	disk.no_cut = false;
	audit_stop(w);
	good_with(w, 4, 1, 2, 2);
}

/* The disk does not take a file: on in the next one, and it is said. */
static void
test_sync_fails(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_dir d;
	struct lt_audit_report r;
	struct lt_err err;

	audit_begin(w, ROOM, 0);
	disk.syncs_fail = 1;
	do {
		notes(w, 20);
		(void)usleep(1000);
		assert_true(lt_audit_files(w->a, &d));
	} while (d.last < 2);
	assert_int_equal(disk.syncs_fail, 0);
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.logs, 1);
	assert_int_equal(r.gaps, 1);
	assert_true(audit_second(w, ">/dev/null"));
	assert_true(audit_second(w, "| grep -o '\"sync-failed\"'"));
	assert_string_equal(w->said, "\"sync-failed\"\n");
}

/* Notes until n came to so much, or nobody believes in it any more. */
static void
note_until(struct audit_world *w, const atomic_uint *n, unsigned least)
{
	unsigned i;

	for (i = 0; i < NEVER_MS && *n < least; i++) {
		notes(w, 1);
		(void)usleep(1000);
	}
	assert_true(*n >= least);
}

static const char *
behind(const char *trace, const char *what)
{
	const char *at = trace == NULL ? NULL : strstr(trace, what);

	if (at == NULL)
		fail_msg("no \"%s\" where it should be in:\n%s", what, disk.trace);
	return at + strlen(what);
}

/* The system tells of a failed sync once: what it was about is written again, and that synced, before the next file has its name, which
 * is given when that works and not before. file: whose sync fails. */
static void
fails_between(struct audit_world *w, const char *file)
{
	char failed[64], written[64], synced[64];
	struct lt_audit_report r;
	struct lt_audit_dir d;
	struct lt_err err;
	const char *at;
	bool named;

	(void)snprintf(failed, sizeof(failed), "failed %s\n", file);
	(void)snprintf(written, sizeof(written), "write %s\n", file);
	(void)snprintf(synced, sizeof(synced), "fdatasync %s\n", file);
	audit_begin(w, ROOM, 3000);
	disk.fails_of = file;
	disk.tracing = true;
	disk.syncs_fail = INT_MAX;
	note_until(w, &disk.failed, 2);
	assert_true(lt_audit_files_synced(w->a, &d));
	assert_int_equal(d.last, 1);
	pthread_mutex_lock(&trace_mx);
	named = strstr(disk.trace, "rename ") != NULL;
	pthread_mutex_unlock(&trace_mx);
	assert_false(named);
	disk.syncs_fail = 0;
	do {
		notes(w, 1);
		(void)usleep(1000);
		assert_true(lt_audit_files_synced(w->a, &d));
	} while (d.last < 2);
	stop_tracing();
	at = behind(disk.trace, failed);
	at = behind(at, written);
	at = behind(at, failed);
	at = behind(at, written);
	at = behind(at, synced);
	(void)behind(at, "rename 0000000002\n");
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.logs, 1);
	assert_int_equal(r.gaps, 1);
	assert_int_equal(r.missing, 1);
	assert_true(audit_second(w, "| grep -o '\"sync-failed\"'"));
}

static void
test_sync_of_the_last_file_fails(void **state)
{
	fails_between(*state, "0000000001");
}

static void
test_sync_of_the_next_file_fails(void **state)
{
	fails_between(*state, "0000000002.next");
}

/* The sync of a file failed, and no other can be begun: a second sync says nothing of what the first was about. So nobody is shown more than
 * before, there is no witness of it, and what is missing is not forgotten. */
static void
test_sync_fails_and_there_is_no_other_file(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_dir before, after;
	struct lt_buf witness, again;
	char path[600], record[600];
	struct lt_audit_lost l;

	audit_begin(w, ROOM, 0);
	notes(w, 1);
	audit_stop(w);
	beside(w, LT_AUDIT_WITNESS, path);
	beside(w, LT_AUDIT_LOST, record);
	witness = whole(path);
	audit_begin(w, ROOM, 0);
	assert_true(lt_audit_files_synced(w->a, &before));
	disk.no_next = ENOSPC;
	disk.syncs_fail = 1;
	note_until(w, &disk.refused, 3);
	assert_int_equal(disk.failed, 1);
	assert_true(lt_audit_files_synced(w->a, &after));
	assert_int_equal(after.last, 1);
	assert_int_equal(after.last_len, before.last_len);
	audit_stop(w);
	again = whole(path);
	assert_true(lt_slice_eq(lt_buf_slice(&witness), lt_buf_slice(&again)));
	lt_buf_fini(&again);
	again = whole(record);
	assert_int_equal(lt_audit_lost_parse(lt_buf_slice(&again), &l), LT_OK);
	assert_int_equal(l.count, 1);
	assert_string_equal(l.why, "sync-failed");
	lt_buf_fini(&again);
	lt_buf_fini(&witness);
}

/* There is a log, and no file to write to: what was not synced of it is not shown. */
static void
test_nothing_is_shown_without_a_file(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_dir d;
	char path[512];

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(truncate(path, 20), 0);
	disk.full = true;
	audit_begin(w, ROOM, 0);
	assert_true(lt_audit_files_synced(w->a, &d));
	assert_int_equal(d.last, 1);
	assert_int_equal(d.last_len, 0);
}

/* One bit of what was synced and shown is not as it was, and whole frames stand behind it: that is no torn end. The file stays as it is, and
 * no number is signed again in its log, whatever of audit.head is left. Nor is the last frame one that a power cut tore, where it had been
 * synced; only when nobody knows that it may be. */
static void
test_a_bit_in_the_middle(void **state)
{
	struct audit_world *w = *state;
	char path[512], second[512], head[600], synced[600];
	struct lt_buf file, witness = { 0 }, again, note;
	struct lt_slice payload;
	enum lt_audit_frame type;
	size_t at, used, i, k, n = 0;
	struct stat st;

	for (i = 0; i < 4; i++) {
		audit_begin(w, ROOM, 0);
		notes(w, 2);
		audit_stop(w);
		beside(w, LT_AUDIT_WITNESS, head);
		if (i == 0)
			witness = whole(head);
	}
	audit_path(w, 1, path, sizeof(path));
	audit_path(w, 2, second, sizeof(second));
	file = whole(path);
	beside(w, LT_AUDIT_SYNCED, synced);
	note = whole(synced);
	for (at = 0; at < file.len; at += used) {
		assert_int_equal(lt_audit_frame_read(lt_slice(file.data + at, file.len - at), &type,
				     &payload, &used),
		    LT_OK);
		const size_t where[] = { 0, 2, 3, 4, 5, used / 2, used - 1 };

		for (k = 0; k < sizeof(where) / sizeof(where[0]); k++) {
			file.data[at + where[k]] ^= (uint8_t)(1 << (n + k) % 8);
			audit_put_file(path, lt_buf_slice(&file));
			if (k % 2 == 0)
				audit_put_file(head, lt_buf_slice(&witness));
			else
				assert_int_equal(unlink(head), 0);
			if (k % 3 == 0)
				audit_put_file(synced, lt_buf_slice(&note));
			else
				assert_int_equal(unlink(synced), 0);
			audit_begin(w, ROOM, 0);
			audit_stop(w);
			again = whole(path);
			if (at + used < file.len || k % 3 == 0) {
				assert_true(lt_slice_eq(lt_buf_slice(&file), lt_buf_slice(&again)));
				assert_int_equal(unlink(path), 0);
				if (k == 0) {
					good_with(w, 1, 1, 1, 0);
					assert_non_null(strstr(w->said, "\"damaged\""));
				}
				assert_int_equal(unlink(second), 0);
			} else {
				assert_true(again.len >= at);
				assert_memory_equal(again.data, file.data, at);
				assert_int_not_equal(stat(second, &st), 0);
			}
			lt_buf_fini(&again);
			file.data[at + where[k]] ^= (uint8_t)(1 << (n + k) % 8);
		}
		n++;
	}
	assert_int_equal(n, 1 + 4 * 3);
	lt_buf_fini(&file);
	lt_buf_fini(&witness);
	lt_buf_fini(&note);
}

/* One bit of the last frame, which was synced; or some of it is cut off. Whoever verifies is told, and the hub begins another log. */
static void
test_the_last_frame(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_report r;
	struct lt_buf file;
	struct lt_err err;
	char path[512], head[600];

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	beside(w, LT_AUDIT_WITNESS, head);
	file = whole(path);
	file.data[file.len - 1] ^= 8;
	audit_put_file(path, lt_buf_slice(&file));
	/* A minute may go by before a head is witnessed. */
	assert_int_equal(unlink(head), 0);
	assert_int_equal(audit_first(w, &r, &err), LT_E_CORRUPT);
	assert_int_equal(r.bad_file, 1);
	assert_int_equal(r.torn, 0);
	assert_false(audit_second(w, ""));
	assert_int_equal(truncate(path, (off_t)file.len - 20), 0);
	assert_int_not_equal(audit_first(w, &r, &err), LT_OK);
	assert_false(audit_second(w, ""));
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	assert_int_equal(unlink(path), 0);
	good_with(w, 1, 1, 1, 0);
	assert_non_null(strstr(w->said, "\"end-missing\""));
	lt_buf_fini(&file);
}

/* A sync fails, no other file can be begun, and the process ends: the next one does not believe a second sync, and writes the end again
 * before anybody is shown it. What it can believe it does not write. */
static void
test_not_believed_at_a_start(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_report r;
	struct lt_err err;
	const char *at;
	unsigned i;

	audit_begin(w, ROOM, 0);
	notes(w, 1);
	audit_stop(w);
	for (i = 0; i < 2; i++) {
		if (i == 1) {
			audit_begin(w, ROOM, 0);
			disk.no_next = ENOSPC;
			disk.syncs_fail = 1;
			note_until(w, &disk.refused, 3);
			audit_stop(w);
			disk.no_next = 0;
			disk.syncs_fail = 0;
		}
		disk.trace[0] = '\0';
		disk.tracing = true;
		audit_begin(w, ROOM, 0);
		stop_tracing();
		at = strstr(disk.trace, "write 0000000001\n");
		if (i == 0)
			assert_null(at);
		else
			(void)behind(at, "fdatasync 0000000001\n");
		audit_stop(w);
	}
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_true(audit_second(w, ">/dev/null"));
}

/* A power cut, or a kill in the middle of a write, while the next file has no name: its last frame is torn. The hub starts, names it, cuts
 * what is torn, and says so. */
static void
test_torn_without_a_name(void **state)
{
	struct audit_world *w = *state;
	char next[LT_AUDIT_PATH_MAX];
	struct lt_audit_report r;
	struct lt_err err;
	struct stat st;
	unsigned n;

	n = killed_between(w);
	assert_int_equal(lt_audit_dir_next(w->f.dir, 2, next, NULL), LT_OK);
	assert_int_equal(stat(next, &st), 0);
	assert_int_equal(truncate(next, st.st_size - 5), 0);
	audit_begin(w, ROOM, 3000);
	notes(w, 1);
	audit_stop(w);
	assert_int_not_equal(access(next, F_OK), 0);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.logs, 1);
	assert_int_equal(r.gaps, 1);
	assert_true(r.entries - r.gaps >= n);
	assert_int_equal(r.torn, 0);
	assert_true(audit_second(w, ">/dev/null"));
	assert_true(audit_second(w, "| grep -o '\"torn\"'"));
}

/* No sync succeeds as it starts: it starts all the same, and the file that could not be given its name is kept aside. */
static void
test_starts_where_nothing_is_synced(void **state)
{
	struct audit_world *w = *state;
	char next[LT_AUDIT_PATH_MAX], cmd[LT_AUDIT_PATH_MAX + 64];
	struct lt_audit_report r;
	struct lt_err err;

	(void)killed_between(w);
	disk.syncs_fail = INT_MAX;
	audit_begin(w, ROOM, 3000);
	notes(w, 1);
	disk.syncs_fail = 0;
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.logs, 1);
	assert_true(r.gaps != 0);
	assert_true(audit_second(w, ">/dev/null"));
	assert_int_equal(lt_audit_dir_next(w->f.dir, 2, next, NULL), LT_OK);
	(void)snprintf(cmd, sizeof(cmd), "test -s \"$(echo '%s'.*)\"", next);
	assert_int_equal(system(cmd), 0);
}

/* The head that the last entries lack has no room as it starts: the end is written again all the same before a sync of it counts. */
static void
test_not_believed_on_a_full_disk(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_report r;
	struct lt_err err;
	struct lt_buf file;
	char path[512], head[600];
	const char *at;

	audit_begin(w, ROOM, 0);
	notes(w, 1);
	audit_stop(w);
	audit_begin(w, ROOM, 0);
	disk.no_next = ENOSPC;
	disk.syncs_fail = 1;
	note_until(w, &disk.refused, 3);
	audit_stop(w);
	disk.no_next = 0;
	disk.syncs_fail = 0;
	/* Without its last head. */
	audit_path(w, 1, path, sizeof(path));
	beside(w, LT_AUDIT_WITNESS, head);
	file = whole(head);
	{
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(truncate(path, st.st_size - (off_t)file.len), 0);
	}
	lt_buf_fini(&file);
	disk.full = true;
	disk.trace[0] = '\0';
	disk.tracing = true;
	audit_begin(w, ROOM, 0);
	stop_tracing();
	disk.full = false;
	at = strstr(disk.trace, "write 0000000001\n");
	(void)behind(at, "fdatasync 0000000001\n");
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_true(audit_second(w, ">/dev/null"));
}

/* The disk fails for ever, and the process ends: the file that has no name yet has what was noted in it, and the next start names it. */
static void
test_ended_without_a_name(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_report r;
	struct lt_audit_dir d;
	struct lt_err err;
	char next[LT_AUDIT_PATH_MAX];
	uint64_t entries;

	audit_begin(w, ROOM, 0);
	disk.syncs_fail = INT_MAX;
	note_until(w, &disk.failed, 5);
	notes(w, 3);
	audit_stop(w);
	assert_int_equal(lt_audit_dir_next(w->f.dir, 2, next, NULL), LT_OK);
	assert_int_equal(access(next, F_OK), 0);
	assert_int_equal(lt_audit_dir_list(w->f.dir, &d, NULL), LT_OK);
	assert_int_equal(d.last, 1);
	entries = disk.noted;
	disk.syncs_fail = 0;
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	assert_int_not_equal(access(next, F_OK), 0);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.logs, 1);
	assert_int_equal(r.entries - r.gaps, entries);
	assert_true(audit_second(w, ">/dev/null"));
}

static int64_t
mono_counted(void *ctx)
{
	atomic_fetch_add(&disk.looked, 1);
	return ((struct audit_world *)ctx)->mono;
}

/* Every first sync fails on this disk: it does not get a file each second. */
static void
test_no_file_each_second(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_dir d;
	unsigned i, looked;

	w->clock.mono_ms = mono_counted;
	audit_begin(w, ROOM, 0);
	disk.fails_appended = true;
	disk.syncs_fail = INT_MAX;
	do {
		notes(w, 1);
		(void)usleep(1000);
		assert_true(lt_audit_files(w->a, &d));
	} while (d.last < 2);
	looked = disk.looked;
	/* Some rounds of the thread, each of which looks a few times. */
	for (i = 0; i < NEVER_MS && disk.looked - looked < 15; i++)
		(void)usleep(1000);
	assert_true(i < NEVER_MS);
	assert_true(lt_audit_files(w->a, &d));
	assert_int_equal(d.last, 2);
}

/* ---- taken up ---- */

/* Another log begins, what was missing before is said in it, and there is a kill: it is not said again. */
static void
test_lost_is_said_once_in_another_log(void **state)
{
	struct audit_world *w = *state;
	char path[600];
	int status;
	pid_t pid;

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(truncate(path, 20), 0);
	disk.full = true;
	audit_begin(w, ROOM, 0);
	notes(w, 4);
	audit_stop(w);
	disk.full = false;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		audit_begin(w, ROOM, 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	assert_int_equal(unlink(path), 0);
	good_with(w, 2, 1, 2, 4);
}

/* Whose file has no name yet: before it is given at a start, both are synced. What cannot be synced gets none:
 * test_starts_where_nothing_is_synced(). */
static void
test_synced_before_it_is_named(void **state)
{
	struct audit_world *w = *state;
	unsigned n = killed_between(w);
	const char *at;

	disk.tracing = true;
	audit_begin(w, ROOM, 3000);
	stop_tracing();
	at = behind(disk.trace, "fdatasync 0000000001\n");
	at = behind(at, "fdatasync 0000000002.next\n");
	at = behind(at, "rename 0000000002\n");
	(void)behind(at, "fsync audit\n");
	audit_stop(w);
	good_with(w, n, 1, 0, 0);
}

/* In a process of its own: another log begins behind what is damaged, and there is a kill before its file has its name. */
static void
killed_at_another_log(struct audit_world *w)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		disk.no_name = true;
		audit_begin(w, ROOM, 0);
		notes(w, 3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* It is taken up at the next start, and the witness of the log before goes first: else the start after that would miss an end. */
static void
test_killed_at_another_log(void **state)
{
	struct audit_world *w = *state;
	struct lt_buf witness;
	char path[600];
	const char *at;
	unsigned i;

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(truncate(path, 20), 0);
	beside(w, LT_AUDIT_WITNESS, path);
	witness = whole(path);
	killed_at_another_log(w);
	/* As it is left where the kill comes a little sooner. */
	audit_put_file(path, lt_buf_slice(&witness));
	lt_buf_fini(&witness);
	disk.tracing = true;
	audit_begin(w, ROOM, 0);
	stop_tracing();
	at = behind(disk.trace, "unlink audit.head\n");
	at = behind(at, "fsync ");
	(void)behind(at, "rename 0000000002\n");
	for (i = 0; i < 2; i++) {
		audit_stop(w);
		audit_begin(w, ROOM, 0);
	}
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	good_with(w, 4, 1, 1, 0);
	assert_non_null(strstr(w->said, "\"damaged\""));
}

/* Its gap did not come to be in it: it is kept aside, and another begins that has one. */
static void
test_another_log_without_its_gap(void **state)
{
	struct audit_world *w = *state;
	char path[600], next[LT_AUDIT_PATH_MAX], cmd[LT_AUDIT_PATH_MAX + 64];
	enum lt_audit_frame type;
	struct lt_slice payload;
	struct lt_buf b;
	size_t used;

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(truncate(path, 20), 0);
	killed_at_another_log(w);
	assert_int_equal(lt_audit_dir_next(w->f.dir, 2, next, NULL), LT_OK);
	b = whole(next);
	assert_int_equal(lt_audit_frame_read(lt_buf_slice(&b), &type, &payload, &used), LT_OK);
	lt_buf_fini(&b);
	assert_int_equal(truncate(next, (off_t)used), 0);
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	(void)snprintf(cmd, sizeof(cmd), "test -s \"$(echo '%s'.*)\"", next);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(unlink(path), 0);
	good_with(w, 1, 1, 1, 0);
}

static void
next_key(struct audit_world *w, struct lt_identity *id, struct lt_buf *certificate)
{
	Ltpb__CertificateBody body = LTPB__CERTIFICATE_BODY__INIT;
	uint8_t seed[32] = { 2 };

	*id = *w->f.hub_id;
	id->key_no++;
	lt_sign_key_from_seed(seed, &id->sign);
	body.federation.data = id->federation.b;
	body.federation.len = LT_FED_LEN;
	body.principal.data = id->principal.b;
	body.principal.len = LT_ID_LEN;
	body.role = LTPB__ROLE__ROLE_HUB;
	body.key_no = id->key_no;
	body.sign_key.data = id->sign.pk;
	body.sign_key.len = 32;
	body.line_key.data = id->line_pk;
	body.line_key.len = 32;
	body.generation = 1;
	body.purpose = (char *)"hub";
	lt_buf_init(certificate, 4096);
	assert_int_equal(lt_certificate_make(&body, &w->f.root, certificate), LT_OK);
	id->certificate = lt_buf_slice(certificate);
}

/* The hub's key has changed, and the file under the old one has half an entry at its end that cannot be cut: no other file stands behind it
 * before it is whole and synced. */
static void
test_another_key(void **state)
{
	struct audit_world *w = *state;
	struct lt_identity second, *first = w->f.hub_id;
	struct lt_buf certificate, b;
	struct lt_audit_dir d;
	char path[600];
	const char *at;

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	b = whole(path);
	lt_buf_put(&b, "half", 4);
	audit_put_file(path, lt_buf_slice(&b));
	lt_buf_fini(&b);
	next_key(w, &second, &certificate);
	w->f.hub_id = &second;
	disk.no_cut = true;
	audit_begin(w, ROOM, 0);
	notes(w, 3);
	assert_int_equal(lost(w), 3);
	assert_true(lt_audit_files(w->a, &d));
	assert_int_equal(d.last, 1);
	assert_true(lt_audit_files_synced(w->a, &d));
	assert_int_equal(d.last_len, 0);
	disk.tracing = true;
	disk.no_cut = false;
	audit_stop(w);
	stop_tracing();
	at = behind(disk.trace, "fdatasync 0000000001\n");
	at = behind(at, "fdatasync 0000000002.next\n");
	(void)behind(at, "rename 0000000002\n");
	good_with(w, 4, 1, 2, 3);
	w->f.hub_id = first;
	lt_buf_fini(&certificate);
}

/* A file that cannot be read keeps no hub from starting: another log begins behind the last one, and what was beside it is kept aside. */
static void
test_what_cannot_be_read(void **state)
{
	struct audit_world *w = *state;
	char path[512], next[LT_AUDIT_PATH_MAX], cmd[LT_AUDIT_PATH_MAX + 64];
	struct lt_audit_status st;

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	assert_int_equal(lt_audit_dir_next(w->f.dir, 2, next, NULL), LT_OK);
	assert_int_equal(mkdir(next, 0700), 0);
	audit_begin(w, ROOM, 0);
	notes(w, 1);
	audit_stop(w);
	(void)snprintf(cmd, sizeof(cmd), "test -d \"$(echo '%s'.*)\"", next);
	assert_int_equal(system(cmd), 0);
	good_with(w, 4, 1, 1, 0);
	assert_non_null(strstr(w->said, "\"torn\""));
	/* Longer than any, and no file at all. */
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(truncate(path, LT_AUDIT_FILE_MAX + 1), 0);
	audit_begin(w, ROOM, 0);
	audit_stop(w);
	assert_int_equal(unlink(path), 0);
	good_with(w, 1, 1, 1, 0);
	assert_non_null(strstr(w->said, "\"damaged\""));
	audit_path(w, 3, path, sizeof(path));
	assert_int_equal(mkdir(path, 0700), 0);
	/* And the disk takes no other file. */
	disk.no_next = EIO;
	audit_begin(w, ROOM, 0);
	lt_audit_status(w->a, &st);
	assert_true(st.stopped);
	notes(w, 2);
	assert_int_equal(lost(w), 2);
	disk.no_next = 0;
	audit_stop(w);
	assert_int_equal(rmdir(path), 0);
	audit_path(w, 2, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	good_with(w, 2, 1, 2, 2);
}

/* The witness of the log before goes, and that is on the disk, before the new log has its name: whenever the power is cut, no start
 * calls its end missing. */
static void
test_witness_of_the_log_before(void **state)
{
	struct audit_world *w = *state;
	const char *gone, *synced, *named;
	char path[512];

	audit_begin(w, ROOM, 0);
	notes(w, 2);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(truncate(path, 20), 0);
	disk.tracing = true;
	audit_begin(w, ROOM, 0);
	stop_tracing();
	audit_stop(w);
	gone = strstr(disk.trace, "unlink audit.head\n");
	assert_non_null(gone);
	synced = strstr(gone, "fsync ");
	named = strstr(disk.trace, "rename 0000000002\n");
	assert_non_null(synced);
	assert_non_null(named);
	assert_true(synced < named);
	assert_non_null(strstr(named, "fsync audit\n"));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_first_start_on_a_full_disk),
		T(test_another_log_on_a_full_disk),
		T(test_another_log_with_half_an_entry),
		T(test_another_log_at_the_cap),
		T(test_lost_over_a_restart),
		T(test_lost_is_damaged),
		T(test_lost_record),
		T(test_what_is_there_stays),
		T(test_folder_not_synced),
		T(test_nobody_waits_for_the_disk),
		T(test_killed_between_two_files),
		T(test_power_cut_between_two_files),
		T(test_half_an_entry_stays),
		T(test_torn_end_that_cannot_be_cut),
		T(test_the_last_frame),
		T(test_not_believed_at_a_start),
		T(test_ended_without_a_name),
		T(test_torn_without_a_name),
		T(test_starts_where_nothing_is_synced),
		T(test_not_believed_on_a_full_disk),
		T(test_sync_fails),
		T(test_sync_of_the_last_file_fails),
		T(test_sync_of_the_next_file_fails),
		T(test_sync_fails_and_there_is_no_other_file),
		T(test_nothing_is_shown_without_a_file),
		T(test_a_bit_in_the_middle),
		T(test_no_file_each_second),
		T(test_lost_is_said_once_in_another_log),
		T(test_synced_before_it_is_named),
		T(test_killed_at_another_log),
		T(test_another_log_without_its_gap),
		T(test_another_key),
		T(test_what_cannot_be_read),
		T(test_witness_of_the_log_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
