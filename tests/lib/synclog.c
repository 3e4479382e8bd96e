/* tests/lib/synclog.c - a preload library that writes down, in order, what a process makes durable and what
 * it sends, so that a test can prove "saved" was said after the disk had it.
 *
 *   LD_PRELOAD=<build>/lib/lt_synclog.so LT_SYNCLOG=/tmp/x/log  lt-node ...
 *
 * In CMake the file is $<TARGET_FILE:lt_synclog>. All processes given the same LT_SYNCLOG share the log and
 * its numbering. A line for each event, fields parted by one blank, the last one may hold blanks:
 *
 *   seq pid tid ns event result fd bytes name
 *
 *   seq     rises by one an event over all processes; it and the order of lines agree within a thread
 *   ns      CLOCK_MONOTONIC
 *   event   fsync, fdatasync, msync, syncfs: a sync of name, written after the call RETURNED
 *           dsync: a write to a file opened with O_DSYNC or O_SYNC, written after it returned
 *           send: bytes to a socket (send, sendto, sendmsg, sendmmsg, write, writev), written BEFORE the call
 *           mark: lt_synclog_mark(name)
 *   result  done; failed:<errno>; skipped (no sync took place); ready (send, mark: about to)
 *   name    path of the file, "socket" or "socket:<path or port of the peer>", text of the mark; for msync "-"
 *
 * An LMDB commit is, in this order, `fdatasync done .../data.mdb` (the pages) and `dsync done
 * .../data.mdb` (the meta page, through a descriptor opened with O_DSYNC): it is durable after the dsync line,
 * and only if both are there. So:
 *
 *   saved after sync    For one request at an idle daemon: remember the number of lines of the log (A), send
 *                       the request, receive the answer, count again (B). Between A and B the daemon's
 *                       pid must have fdatasync done and then dsync done of store/data.mdb, and after
 *                       them a send line. As a sync is written after it returned and a send before it
 *                       begins, "sync line before send line" means the disk had it before the first byte left.
 *   the test has teeth  the same with LT_SYNCLOG_SKIP=1 must fail: the results are skipped.
 *   own marks           a test that is not C appends lines of its own to the log (open with O_APPEND, one
 *                       write a line); it takes the order of lines, not seq, then. A program may mark:
 *                         void lt_synclog_mark(const char *text) __attribute__((weak));
 *                         if (lt_synclog_mark != NULL) lt_synclog_mark("receipt 3");
 *
 * More settings, all read at process start:
 *
 *   LT_SYNCLOG_SKIP=1   fsync, fdatasync, msync, syncfs return 0 without syncing and are logged as skipped,
 *                       dsync writes take place and are logged as skipped
 *   LT_SYNCLOG_FAIL=n   the n-th sync or dsync write of this process (from 1) fails with EIO, once, without
 *                       having taken place
 *   LT_SYNCLOG_MATCH=s  SKIP and FAIL look only at files whose path contains s
 *
 * Without LT_SYNCLOG nothing is logged, SKIP and FAIL still work. A log that cannot be written
 * or a LT_SYNCLOG_FAIL that is no number from 1 ends
 * the process (exit code 120): a proof without evidence must not pass.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

#define EXIT_NO_LOG 120
#define NAME_MAX_LEN 512

void lt_synclog_mark(const char *text);

static int log_fd = -1;
static atomic_ulong *seq; /* shared by all processes: the first 8 bytes of "<log>.seq" */
static bool skip;
static long fail_at;
static const char *match;
static atomic_long syncs;

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_syncfs)(int);
static int (*real_msync)(void *, size_t, int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static int (*real_sendmmsg)(int, struct mmsghdr *, unsigned, int);

/* ISO C has no conversion from object to function pointers; POSIX says it works. */
#define RESOLVE(name) \
	do { \
		void *sym_ = dlsym(RTLD_NEXT, #name); \
		if (sym_ == NULL) \
			_exit(EXIT_NO_LOG); \
		memcpy(&real_##name, &sym_, sizeof(sym_)); \
	} while (0)

static void
resolve(void)
{
	RESOLVE(fsync);
	RESOLVE(fdatasync);
	RESOLVE(syncfs);
	RESOLVE(msync);
	RESOLVE(write);
	RESOLVE(writev);
	RESOLVE(pwrite);
	RESOLVE(pwritev);
	RESOLVE(send);
	RESOLVE(sendto);
	RESOLVE(sendmsg);
	RESOLVE(sendmmsg);
}

static void
open_log(const char *path)
{
	char name[4096];
	void *p;
	int fd;

	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if ((size_t)snprintf(name, sizeof(name), "%s.seq", path) >= sizeof(name) || log_fd < 0)
		_exit(EXIT_NO_LOG);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*seq)) != 0)
		_exit(EXIT_NO_LOG);
	p = mmap(NULL, sizeof(*seq), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		_exit(EXIT_NO_LOG);
	seq = p;
	(void)close(fd);
}

__attribute__((constructor)) static void
synclog_start(void)
{
	const char *s;
	char *end;

	if (real_fsync != NULL)
		return;
	resolve();
	s = getenv("LT_SYNCLOG_SKIP");
	skip = s != NULL && strcmp(s, "1") == 0;
	s = getenv("LT_SYNCLOG_FAIL");
	if (s != NULL && s[0] != '\0') {
		fail_at = strtol(s, &end, 10);
		/* A fault that is never made would pass for one that was survived. */
		if (*end != '\0' || fail_at < 1)
			_exit(EXIT_NO_LOG);
	}
	match = getenv("LT_SYNCLOG_MATCH");
	s = getenv("LT_SYNCLOG");
	if (s != NULL && s[0] != '\0')
		open_log(s);
}

static void
say(const char *event, const char *result, int fd, size_t bytes, const char *name)
{
	struct timespec ts;
	char line[NAME_MAX_LEN + 256];
	int n, saved = errno;

	if (log_fd < 0)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	n = snprintf(line, sizeof(line), "%lu %d %ld %lld %s %s %d %zu %.*s\n",
	    atomic_fetch_add(seq, 1) + 1, (int)getpid(), (long)syscall(SYS_gettid),
	    (long long)ts.tv_sec * 1000000000 + ts.tv_nsec, event, result, fd, bytes, NAME_MAX_LEN,
	    name);
	/* One write with O_APPEND: lines of several processes do not mix. */
	if (n < 0 || syscall(SYS_write, log_fd, line, (size_t)n) != n)
		_exit(EXIT_NO_LOG);
	errno = saved;
}

static void
path_of(int fd, char name[NAME_MAX_LEN])
{
	char link[64];
	ssize_t n;
	int saved = errno;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, NAME_MAX_LEN - 1);
	name[n > 0 ? n : 0] = '\0';
	errno = saved;
}

static bool
concerns(const char *name)
{
	return match == NULL || strstr(name, match) != NULL;
}

/* Is it this sync's turn to fail? */
static bool
fails(const char *name)
{
	return fail_at > 0 && concerns(name) && atomic_fetch_add(&syncs, 1) + 1 == fail_at;
}

static void
say_result(const char *event, bool ok, int fd, size_t bytes, const char *name)
{
	char text[32];

	if (ok) {
		say(event, "done", fd, bytes, name);
		return;
	}
	(void)snprintf(text, sizeof(text), "failed:%d", errno);
	say(event, text, fd, bytes, name);
}

/* The call by number, so that one body serves three functions. */
static int
sync_fd(const char *event, int (*call)(int), int fd)
{
	char name[NAME_MAX_LEN];
	int rc;

	path_of(fd, name);
	if (fails(name)) {
		errno = EIO;
		rc = -1;
	} else if (skip && concerns(name)) {
		say(event, "skipped", fd, 0, name);
		return 0;
	} else {
		rc = call(fd);
	}
	say_result(event, rc == 0, fd, 0, name);
	return rc;
}

int
fsync(int fd)
{
	synclog_start();
	return sync_fd("fsync", real_fsync, fd);
}

int
fdatasync(int fd)
{
	synclog_start();
	return sync_fd("fdatasync", real_fdatasync, fd);
}

int
syncfs(int fd)
{
	synclog_start();
	return sync_fd("syncfs", real_syncfs, fd);
}

int
msync(void *p, size_t len, int flags)
{
	int rc;

	synclog_start();
	if (skip && match == NULL) {
		say("msync", "skipped", -1, len, "-");
		return 0;
	}
	rc = real_msync(p, len, flags);
	say_result("msync", rc == 0, -1, len, "-");
	return rc;
}

static bool
is_dsync(int fd)
{
	int saved = errno, fl = fcntl(fd, F_GETFL);

	errno = saved;
	return fl >= 0 && (fl & O_ACCMODE) != O_RDONLY && (fl & O_DSYNC) != 0;
}

static bool
is_socket(int fd)
{
	struct stat st;
	int saved = errno;
	bool yes = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);

	errno = saved;
	return yes;
}

static void
say_send(int fd, size_t bytes)
{
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage all;
	} a;
	socklen_t len = sizeof(a);
	char name[NAME_MAX_LEN] = "socket";
	int saved = errno;

	if (log_fd < 0)
		return;
	memset(&a, 0, sizeof(a));
	/* The end with a path is the listener's, whichever side this is. */
	if (getsockname(fd, &a.sa, &len) == 0 && a.sa.sa_family == AF_UNIX &&
	    a.un.sun_path[0] == '\0') {
		len = sizeof(a) - 1;
		(void)getpeername(fd, &a.sa, &len);
	} else if (a.sa.sa_family == AF_INET || a.sa.sa_family == AF_INET6) {
		len = sizeof(a);
		(void)getpeername(fd, &a.sa, &len);
	}
	if (a.sa.sa_family == AF_UNIX && a.un.sun_path[0] != '\0')
		(void)snprintf(
		    name, sizeof(name), "socket:%.*s", (int)sizeof(a.un.sun_path), a.un.sun_path);
	else if (a.sa.sa_family == AF_INET)
		(void)snprintf(name, sizeof(name), "socket:%u", ntohs(a.in.sin_port));
	else if (a.sa.sa_family == AF_INET6)
		(void)snprintf(name, sizeof(name), "socket:%u", ntohs(a.in6.sin6_port));
	errno = saved;
	say("send", "ready", fd, bytes, name);
}

/* A write to fd that is to be logged as a sync; false: it is none. *failed: it is to fail. */
static bool
dsync_begin(int fd, char name[NAME_MAX_LEN], bool *failed)
{
	*failed = false;
	if (!is_dsync(fd))
		return false;
	path_of(fd, name);
	*failed = fails(name);
	if (*failed)
		errno = EIO;
	return true;
}

static void
dsync_end(int fd, const char *name, ssize_t n)
{
	if (n >= 0 && skip && concerns(name))
		say("dsync", "skipped", fd, (size_t)n, name);
	else
		say_result("dsync", n >= 0, fd, n < 0 ? 0 : (size_t)n, name);
}

static size_t
iov_bytes(const struct iovec *iov, size_t n)
{
	size_t i, sum = 0;

	for (i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

#define WRITE_BODY(bytes, call) \
	char name[NAME_MAX_LEN]; \
	bool failed; \
	ssize_t done; \
	synclog_start(); \
	if (is_socket(fd)) \
		say_send(fd, bytes); \
	else if (dsync_begin(fd, name, &failed)) { \
		done = failed ? -1 : (call); \
		dsync_end(fd, name, done); \
		return done; \
	} \
	return (call)

ssize_t
write(int fd, const void *p, size_t len)
{
	WRITE_BODY(len, real_write(fd, p, len));
}

ssize_t
writev(int fd, const struct iovec *iov, int n)
{
	WRITE_BODY(iov_bytes(iov, n < 0 ? 0 : (size_t)n), real_writev(fd, iov, n));
}

ssize_t
pwrite(int fd, const void *p, size_t len, off_t off)
{
	WRITE_BODY(len, real_pwrite(fd, p, len, off));
}

ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	WRITE_BODY(iov_bytes(iov, n < 0 ? 0 : (size_t)n), real_pwritev(fd, iov, n, off));
}

/* off_t has 64 bits here, so the names with 64 are the same functions. */
_Static_assert(sizeof(off_t) == 8, "off_t of 64 bits");

ssize_t
pwrite64(int fd, const void *p, size_t len, off64_t off)
{
	return pwrite(fd, p, len, off);
}

ssize_t
pwritev64(int fd, const struct iovec *iov, int n, off64_t off)
{
	return pwritev(fd, iov, n, off);
}

ssize_t
send(int fd, const void *p, size_t len, int flags)
{
	synclog_start();
	say_send(fd, len);
	return real_send(fd, p, len, flags);
}

ssize_t
sendto(int fd, const void *p, size_t len, int flags, const struct sockaddr *to, socklen_t tolen)
{
	synclog_start();
	say_send(fd, len);
	return real_sendto(fd, p, len, flags, to, tolen);
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	synclog_start();
	say_send(fd, iov_bytes(m->msg_iov, m->msg_iovlen));
	return real_sendmsg(fd, m, flags);
}

int
sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	size_t sum = 0;
	unsigned i;

	synclog_start();
	for (i = 0; i < n; i++)
		sum += iov_bytes(m[i].msg_hdr.msg_iov, m[i].msg_hdr.msg_iovlen);
	say_send(fd, sum);
	return real_sendmmsg(fd, m, n, flags);
}

void
lt_synclog_mark(const char *text)
{
	synclog_start();
	say("mark", "ready", -1, 0, text);
}
