#include "proto/store/kv_check.h"

#include "proto/base/text.h"
#include "proto/store/damage_bug.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GUARD_FILE "guard"
#define GUARD_MAGIC "LTGUARD1"
#define GUARD_LEN 64u
#define GUARD_SUMMED (GUARD_LEN - crypto_shorthash_BYTES)
/* A disk that is slower than this is not one that a store can work on. */
#define SECONDS_MIN 60
#define BYTES_A_SECOND ((uint64_t)2 << 20)
#define READ_BYTES ((size_t)1 << 20)
/* Between two questions whether to stop: a small file is read in less than the first. */
#define POLL_MS_FIRST 1
#define POLL_MS_MAX 50

/* ---- the note ---- */

static void
guard_sum(const uint8_t *p, uint8_t *sum)
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "lt1.guard";

	(void)crypto_shorthash(sum, p, GUARD_SUMMED, key);
}

bool
lt_kv_guard_read(int dir, struct lt_kv_guard *g)
{
	uint8_t p[GUARD_LEN], sum[crypto_shorthash_BYTES];
	int fd = openat(dir, GUARD_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return false;
	n = pread(fd, p, sizeof(p), 0);
	(void)close(fd);
	if (n != (ssize_t)sizeof(p) || memcmp(p, GUARD_MAGIC, 8) != 0)
		return false;
	guard_sum(p, sum);
	if (memcmp(sum, p + GUARD_SUMMED, sizeof(sum)) != 0)
		return false;
	g->clean = p[8] == 1;
	g->txnid = lt_load_u64(p + 16);
	g->meta = lt_load_u64(p + 24);
	g->full_s = lt_load_u64(p + 32);
	g->opens = lt_load_u64(p + 40);
	g->names = lt_load_u64(p + 48);
	return true;
}

int
lt_kv_guard_open(int dir)
{
	int fd = openat(dir, GUARD_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	fd = openat(dir, GUARD_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fsync(dir) != 0) {
		int e = errno;

		(void)close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

int
lt_kv_guard_write(int fd, const struct lt_kv_guard *g, bool sync)
{
	uint8_t p[GUARD_LEN] = GUARD_MAGIC;
	ssize_t n;

	p[8] = g->clean;
	lt_store_u64(p + 16, g->txnid);
	lt_store_u64(p + 24, g->meta);
	lt_store_u64(p + 32, g->full_s);
	lt_store_u64(p + 40, g->opens);
	lt_store_u64(p + 48, g->clean ? g->names : 0);
	guard_sum(p, p + GUARD_SUMMED);
	/* In place and in one sector: old or new. */
	n = pwrite(fd, p, sizeof(p), 0);
	if (n != (ssize_t)sizeof(p))
		return n < 0 ? errno : ENOSPC;
	return sync && fdatasync(fd) != 0 ? errno : 0;
}

/* ---- in the child: no heap, no locks, no stdio ---- */

struct shared {
	bool done, full;
	bool unread; /* error is of reading the file, which was open */
	int error;
	struct lt_pages_report report;
};

/* In the order of the disk, before the walk goes to and fro; a sector that cannot be read is an error here, not a signal. */
static int
read_through(int fd, uint8_t *into)
{
	ssize_t n;
	off_t at = 0;

	do {
		n = pread(fd, into, READ_BYTES, at);
		if (n < 0 && errno != EINTR)
			return errno;
		at += n < 0 ? 0 : n;
	} while (n != 0);
	return 0;
}

static void *
room(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool
is_due(const struct lt_kv_check *c, const struct lt_kv_guard *g)
{
	return g->full_s == 0 || c->now_s < g->full_s ||
	       c->now_s - g->full_s >= LT_KV_CHECK_SECONDS || g->opens >= LT_KV_CHECK_OPENS;
}

/* Does the note speak against the file? A note older than the file says nothing (a power cut; another program wrote). */
static enum lt_pages_fault
against(const struct lt_kv_guard *g, uint64_t txnid, uint64_t meta)
{
	if (txnid < g->txnid)
		return LT_PAGES_OLDER;
	return txnid == g->txnid && meta != g->meta ? LT_PAGES_META : LT_PAGES_WHOLE;
}

/* Nothing was written since: the page is as it was. */
static bool
names_differ(const struct lt_kv_guard *g, uint64_t txnid, const uint8_t *file, size_t size)
{
	uint64_t at = lt_pages_names_at(file, file + LT_PAGES_PAGE);

	if (!g->clean || g->names == 0 || txnid != g->txnid)
		return false;
	return at == 0 || at >= size / LT_PAGES_PAGE ||
	       lt_pages_names(file + at * LT_PAGES_PAGE) != g->names;
}

static int
look(const struct lt_kv_check *c, const struct lt_kv_guard *g, int fd, struct shared *s)
{
	struct lt_pages_options o = {
		.table = c->table, .ntable = c->ntable, .need = c->need, .samples = c->samples
	};
	uint64_t txnid = 0, meta = 0;
	struct stat st;
	void *map, *buf;
	size_t seen;

	if (fstat(fd, &st) != 0)
		return errno;
	o.size = (size_t)st.st_size;
	if (o.size < (size_t)2 * LT_PAGES_PAGE) {
		s->report.fault = LT_PAGES_META;
		s->report.fault_table = -1;
		return 0;
	}
	map = mmap(NULL, o.size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return errno;
	/* Others commit meanwhile: what they change in place are these two pages, and pages that are free here. */
	if (c->meta != NULL) {
		if (mmap(map, (size_t)2 * LT_PAGES_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			return errno;
		memcpy(map, c->meta, (size_t)2 * LT_PAGES_PAGE);
	}
	o.file = map;
	seen = lt_pages_seen_bytes(o.file, o.size);
	s->full = true;
	if (seen != 0 && lt_pages_meta(o.file, o.file + LT_PAGES_PAGE, &txnid, &meta)) {
		s->full = g == NULL || !g->clean || txnid != g->txnid || is_due(c, g) ||
			  o.size <= c->always ||
			  o.size / LT_PAGES_PAGE < lt_pages_counted(o.file, o.size);
		if (g != NULL)
			s->report.fault = against(g, txnid, meta);
		if (g != NULL && s->report.fault == LT_PAGES_WHOLE &&
		    names_differ(g, txnid, o.file, o.size))
			s->report.fault = LT_PAGES_NAMES;
	}
	s->report.fault_table = -1;
	if (s->report.fault != LT_PAGES_WHOLE)
		return 0;
	o.seed = meta ^ c->now_s;
	if (s->full && seen != 0) {
		o.seen = room(seen);
		buf = room(READ_BYTES);
		if (o.seen == NULL || buf == NULL)
			return ENOMEM;
		s->unread = read_through(fd, buf) != 0;
		if (s->unread)
			return EIO;
	}
	lt_pages_walk(&o, &s->report);
	return 0;
}

static void
in_child(const struct lt_kv_check *c, const struct lt_kv_guard *g, struct shared *s, pid_t parent,
    unsigned seconds)
{
	static const int signals[] = { SIGBUS, SIGSEGV, SIGABRT, SIGALRM, SIGFPE, SIGILL };
	const struct rlimit no_core = { 0, 0 };
	sigset_t none;
	size_t i;
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)alarm(seconds);
	fd = openat(c->dir, c->file, O_RDONLY | O_CLOEXEC);
	s->error = fd < 0 ? errno : 0;
	if (fd >= 0) {
		/* Sockets, and the folder's lock, must not outlive the parent in here. */
		if (fd > 3)
			(void)close_range(3, (unsigned)fd - 1, 0);
		(void)close_range((unsigned)fd + 1, ~0u, 0);
		s->error = look(c, g, fd, s);
	}
	s->done = true;
	_exit(0);
}

/* ---- in the parent ---- */

static unsigned
seconds_for(const struct lt_kv_check *c)
{
	struct stat st;

	if (c->seconds != 0)
		return c->seconds;
	if (fstatat(c->dir, c->file, &st, 0) != 0)
		return SECONDS_MIN;
	return SECONDS_MIN + (unsigned)((uint64_t)st.st_size / BYTES_A_SECOND);
}

/* What a file that does not hold together does to whoever reads it; by others the child was ended (too little memory, a system that
 * shuts down), and they say nothing of the file. */
static bool
is_of_the_file(int sig)
{
	return sig == SIGBUS || sig == SIGSEGV || sig == SIGABRT || sig == SIGFPE || sig == SIGILL;
}

static pid_t
reap(pid_t pid, int *status, int flags)
{
	pid_t got;

	do
		got = waitpid(pid, status, flags);
	while (got < 0 && errno == EINTR);
	return got;
}

/* The child's end, which is brought about when somebody says stop. */
static pid_t
end_of(const struct lt_kv_check *c, pid_t pid, int *status, bool *stopped)
{
	struct timespec pause = { 0, 0 };
	int64_t ms = POLL_MS_FIRST;
	pid_t got = 0;

	while (c->stop != NULL && (got = reap(pid, status, WNOHANG)) == 0) {
		if (c->stop(c->stop_ctx)) {
			*stopped = true;
			(void)kill(pid, SIGKILL);
			break;
		}
		pause.tv_nsec = ms * 1000000;
		(void)nanosleep(&pause, NULL);
		ms = ms * 2 < POLL_MS_MAX ? ms * 2 : POLL_MS_MAX;
	}
	return got != 0 ? got : reap(pid, status, 0);
}

static void
wait_for(struct lt_kv_check *c, pid_t pid, const struct shared *s)
{
	bool stopped = false;
	int status = 0;
	pid_t got = end_of(c, pid, &status, &stopped);

	c->full = s->full;
	c->report = s->report;
	c->error = s->error;
	if (stopped) {
		c->look = LT_KV_LOOK_FAILED;
		c->error = ECANCELED;
	} else if (got == pid && WIFSIGNALED(status)) {
		c->signal = WTERMSIG(status);
		c->look = c->signal == SIGALRM        ? LT_KV_LOOK_TIMEOUT
			  : is_of_the_file(c->signal) ? LT_KV_LOOK_KILLED
						      : LT_KV_LOOK_FAILED;
		c->error = EINTR;
	} else if (!s->done || s->error != 0) {
		/* A parent that ignores SIGCHLD hears nothing of the child but this. */
		c->look = s->done && s->unread ? LT_KV_LOOK_UNREAD : LT_KV_LOOK_FAILED;
		c->error = s->error != 0 ? s->error : ECHILD;
	} else {
		c->look = s->report.fault == LT_PAGES_WHOLE ? LT_KV_LOOK_WHOLE : LT_KV_LOOK_DAMAGED;
	}
}

void
lt_kv_check(struct lt_kv_check *c, const struct lt_kv_guard *guard)
{
	unsigned seconds = seconds_for(c);
	pid_t parent = getpid(), pid;
	struct shared *s;

	memset(&c->report, 0, sizeof(c->report));
	c->full = false;
	c->signal = c->error = 0;
	c->look = LT_KV_LOOK_WHOLE;
	if (LT_DAMAGE_BUG(NO_CHECK))
		return;
	c->look = LT_KV_LOOK_FAILED;
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED) {
		c->error = errno;
		return;
	}
	pid = fork();
	if (pid == 0)
		in_child(c, guard, s, parent, seconds);
	if (pid < 0)
		c->error = errno;
	else
		wait_for(c, pid, s);
	(void)munmap(s, sizeof(*s));
}

static const char *
name_of(const struct lt_kv_check *c, int table)
{
	return table >= 0 && table < (int)c->ntable ? c->table[table].name : "-";
}

void
lt_kv_check_text(const struct lt_kv_check *c, char *out, size_t cap)
{
	const struct lt_pages_report *r = &c->report;
	char key[4 * sizeof(r->bad_key) + 1];

	switch (c->look) {
	case LT_KV_LOOK_DAMAGED:
		(void)snprintf(out, cap, "%s (page %llu, table %s)", lt_pages_fault_text(r->fault),
		    (unsigned long long)r->fault_page, name_of(c, r->fault_table));
		return;
	case LT_KV_LOOK_KILLED:
		(void)snprintf(out, cap, "reading it ended with signal %d", c->signal);
		return;
	case LT_KV_LOOK_TIMEOUT:
		(void)snprintf(out, cap, "reading it did not come to an end");
		return;
	case LT_KV_LOOK_UNREAD:
		(void)snprintf(out, cap, "the disk does not give all of it");
		return;
	case LT_KV_LOOK_FAILED:
		if (c->signal != 0)
			(void)snprintf(out, cap,
			    "it could not be looked at: who reads it was ended by signal %d",
			    c->signal);
		else
			(void)snprintf(
			    out, cap, "it could not be looked at: %s", strerror(c->error));
		return;
	case LT_KV_LOOK_WHOLE:
		break;
	}
	key[lt_text_escape(key, sizeof(key) - 1, lt_slice(r->bad_key, r->bad_key_len))] = '\0';
	(void)snprintf(out, cap,
	    "%llu stored values do not verify, the first in table %s, key \"%s\"",
	    (unsigned long long)r->bad, name_of(c, r->bad_table), key);
}
