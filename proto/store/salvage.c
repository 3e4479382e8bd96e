#include "proto/store/salvage.h"

#include "proto/base/daemon.h"
#include "proto/base/failpoint.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/store/kv_check.h"
#include "proto/store/page_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_FILE "data.mdb"
#define GUARD_FILE "guard"
#define NOTE_FILE "salvage" /* when one was begun last, how often, when one was done last */
#define NOTE_MAX 256
#define ASIDE_FORMAT "damaged-%u.mdb"
#define ASIDE_MAX 100000
#define ROOM ((uint64_t)64 << 20) /* that is left on the disk in any case */
/* As of the look before a store is opened, over and over: a page may be tried several times. */
#define SECONDS_MIN 120
#define BYTES_A_SECOND ((uint64_t)1 << 20)
#define OUT_BYTES ((size_t)64 << 10)
#define BATCH_ROWS 4096
#define BATCH_BYTES ((size_t)8 << 20)
#define FORMAT_VERSION 2
/* No entry takes less of a file: more than that are not counted but made up. */
#define ENTRY_BYTES 18
#define STORED_MAX ((size_t)LT_KV_VALUE_MAX + LT_KV_SUM_LEN)

/* What the child sends before each entry; its key and what is stored under it follow. */
struct head {
	uint32_t table, key_len, len;
};

/* ---- in the child: no heap, no locks, no stdio (kv_check.h) ---- */

struct shared {
	bool done, found;
	int error;
	uint64_t unread; /* reads that the disk did not answer */
	struct lt_pages_gathered got;
};

struct child {
	int fd, to;
	struct shared *s;
	uint8_t *out;
	size_t used;
};

static bool
read_pages(void *ctx, uint64_t page, size_t npages, uint8_t *into)
{
	struct child *c = ctx;
	size_t len = npages * LT_PAGES_PAGE, got = 0;
	ssize_t n;

	while (got < len) {
		n = pread(c->fd, into + got, len - got, (off_t)(page * LT_PAGES_PAGE + got));
		if (n < 0 && errno == EINTR)
			continue;
		c->s->unread += n < 0;
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static bool
write_all(int fd, const uint8_t *p, size_t len)
{
	while (len != 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool
flush(struct child *c)
{
	bool fine = write_all(c->to, c->out, c->used);

	c->used = 0;
	return fine;
}

static bool
put_out(struct child *c, const void *p, size_t len)
{
	if (len == 0)
		return true;
	if (c->used + len > OUT_BYTES && !flush(c))
		return false;
	if (len > OUT_BYTES)
		return write_all(c->to, p, len);
	memcpy(c->out + c->used, p, len);
	c->used += len;
	return true;
}

static bool
send_row(void *ctx, unsigned table, struct lt_slice key, struct lt_slice stored)
{
	struct head h = { table, (uint32_t)key.len, (uint32_t)stored.len };

	return put_out(ctx, &h, sizeof(h)) && put_out(ctx, key.data, key.len) &&
	       put_out(ctx, stored.data, stored.len);
}

static uint8_t *
room(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int
walk(struct child *c, const struct lt_kv_table *table, unsigned ntable, struct shared *s)
{
	struct lt_pages_gather o = {
		.table = table, .ntable = ntable, .read = read_pages, .row = send_row, .ctx = c
	};
	struct stat st;

	if (fstat(c->fd, &st) != 0)
		return errno;
	o.size = (size_t)st.st_size;
	o.seen = room(lt_pages_gather_bytes(o.size));
	o.stack = room(LT_PAGES_GATHER_STACK);
	o.large = room(LT_PAGES_GATHER_LARGE);
	c->out = room(OUT_BYTES);
	if (o.seen == NULL || o.stack == NULL || o.large == NULL || c->out == NULL)
		return ENOMEM;
	s->found = lt_pages_gather(&o, &s->got) && flush(c);
	return 0;
}

static void
in_child(struct child *c, const struct lt_kv_table *table, unsigned ntable, struct shared *s,
    pid_t parent, unsigned seconds)
{
	static const int signals[] = { SIGBUS, SIGSEGV, SIGABRT, SIGALRM, SIGFPE, SIGILL, SIGPIPE };
	const struct rlimit no_core = { 0, 0 };
	int low = c->fd < c->to ? c->fd : c->to, high = c->fd < c->to ? c->to : c->fd;
	sigset_t none;
	size_t i;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)alarm(seconds);
	if (low > 3)
		(void)close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0u, 0);
	s->error = walk(c, table, ntable, s);
	s->done = true;
	_exit(0);
}

/* ---- in the parent ---- */

struct taking {
	const struct lt_kv_options *o;
	struct lt_kv *into;
	struct lt_kv_txn *txn; /* NULL: none is begun */
	struct lt_salvage_report *r;
	struct lt_err *err;
	struct lt_kv_table meta;
	FILE *in;
	bool last; /* another time is not to come */
	uint8_t *bytes; /* owned; STORED_MAX */
	size_t rows, size; /* of the transaction */
};

static int
commit(struct taking *t)
{
	int rc = t->txn == NULL ? LT_OK : lt_kv_commit(t->txn);

	t->txn = NULL;
	t->rows = t->size = 0;
	return rc;
}

/* Another's is not to be taken for ours; where the row cannot be read, signatures tell (FORMAT.md 9.16). */
static int
check_meta(const struct taking *t, struct lt_slice key, struct lt_slice value)
{
	if (lt_slice_eq(key, lt_slice_str("federation")) &&
	    !lt_slice_eq(value, lt_slice(t->o->federation, LT_FED_LEN)))
		return lt_err_set(
		    t->err, LT_E_VERSION, "\"%s\" belongs to another federation", t->o->path);
	if (lt_slice_eq(key, lt_slice_str("format")) &&
	    (value.len < 7 || lt_load_u16(value.data + 4) != FORMAT_VERSION ||
		value.data[6] != (uint8_t)t->o->kind))
		return lt_err_set(t->err, LT_E_VERSION,
		    "\"%s\" is of another kind or version than this program's", t->o->path);
	return LT_OK;
}

static int
take_row(struct taking *t, const struct head *h, struct lt_slice key, struct lt_slice stored)
{
	bool meta = h->table == t->into->ntables;
	struct lt_slice value;
	int rc = lt_kv_unseal(meta ? &t->meta : &t->into->table[h->table], key, stored, &value);

	if (rc != LT_OK || meta)
		return rc != LT_OK ? rc : check_meta(t, key, value);
	/* They are made anew, of what is here. */
	if (h->table == t->into->sums_table)
		return LT_OK;
	if (t->txn == NULL)
		rc = lt_kv_begin_write(t->into, &t->txn);
	if (rc == LT_OK)
		rc = lt_kv_put(t->txn, h->table, key, value);
	if (rc != LT_OK)
		return rc;
	t->r->rows++;
	t->size += key.len + value.len;
	if (++t->rows < BATCH_ROWS && t->size < BATCH_BYTES)
		return LT_OK;
	rc = commit(t);
	return rc == LT_OK && lt_daemon_told() ? LT_E_CLOSED : rc;
}

/* What the child sends, to its end. The child is no more to be believed than the file. */
static int
take_rows(struct taking *t)
{
	uint8_t key[LT_KV_KEY_MAX];
	struct head h;
	int rc = LT_OK;

	while (rc == LT_OK && fread(&h, sizeof(h), 1, t->in) == 1) {
		if (h.table > t->into->ntables || h.key_len == 0 || h.key_len > sizeof(key) ||
		    h.len > STORED_MAX)
			return LT_E_CORRUPT;
		if (fread(key, h.key_len, 1, t->in) != 1 ||
		    (h.len != 0 && fread(t->bytes, h.len, 1, t->in) != 1))
			return LT_OK; /* it ended: how, its parent is told */
		rc = take_row(t, &h, lt_slice(key, h.key_len), lt_slice(t->bytes, h.len));
	}
	return rc == LT_OK && ferror(t->in) ? LT_E_IO : rc;
}

static void
reap(pid_t pid, int *status)
{
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
}

static unsigned
seconds_for(int fd)
{
	struct stat st;
	uint64_t size = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;

	return SECONDS_MIN + (unsigned)(size / BYTES_A_SECOND);
}

/* What a file can bring about, and what it cannot (the system wants memory, somebody ends it). */
static int
code_of_signal(int sig)
{
	if (sig == SIGALRM)
		return LT_E_TIMEOUT;
	return sig == SIGBUS || sig == SIGSEGV || sig == SIGABRT || sig == SIGFPE || sig == SIGILL
		   ? LT_E_CORRUPT
		   : LT_E_UNAVAILABLE;
}

/* How the child came to its end. */
static int
how_ended(const struct taking *t, const struct shared *s, int status)
{
	if (lt_daemon_told())
		return lt_err_set(t->err, LT_E_CLOSED, "stopping");
	if (WIFSIGNALED(status))
		return lt_err_set(t->err, code_of_signal(WTERMSIG(status)),
		    "reading \"%s\" page by page was ended by signal %d", t->o->path,
		    WTERMSIG(status));
	if (!s->done || s->error != 0)
		return lt_err_set(t->err, LT_E_IO, "\"%s\" cannot be read page by page: %s",
		    t->o->path, strerror(s->error != 0 ? s->error : ECHILD));
	/* It may give them another time. */
	if (s->unread != 0 && !t->last)
		return lt_err_set(t->err, LT_E_IO, "the disk did not give %llu pages of \"%s\"",
		    (unsigned long long)s->unread, t->o->path);
	if (!s->found)
		return lt_err_set(t->err, LT_E_CORRUPT,
		    "nothing in \"%s\" leads to its tables any more", t->o->path);
	return LT_OK;
}

static void
tell(struct taking *t, const struct lt_pages_gathered *got, uint64_t size)
{
	struct lt_salvage_report *r = t->r;
	unsigned i;

	r->older = got->older;
	r->left = got->left;
	for (i = 0; i < t->into->ntables; i++) {
		const struct lt_pages_gathered_table *g = &got->table[i];
		uint64_t lost = g->entries > g->rows && g->entries <= size / ENTRY_BYTES
				    ? g->entries - g->rows
				    : 0;

		r->left += g->left;
		if (i == t->into->sums_table)
			continue;
		r->lost += lost;
		r->table_lost[i] = lost != 0 || g->left == 0 ? lost : 1;
	}
}

/* The note beside the file knows of a later commit (kv_check.h). */
static bool
is_before_note(const char *path, uint64_t txnid)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lt_kv_guard g;
	bool is = dir >= 0 && lt_kv_guard_read(dir, &g) && g.txnid > txnid;

	if (dir >= 0)
		(void)close(dir);
	return is;
}

static int
fork_and_take(struct taking *t, struct child *c, int from, struct shared *s)
{
	struct lt_kv_table table[LT_PAGES_TABLES_MAX];
	unsigned n = t->into->ntables, seconds = seconds_for(c->fd);
	pid_t parent = getpid(), pid;
	int rc, ended, status = 0;

	memcpy(table, t->into->table, n * sizeof(table[0]));
	table[n] = t->meta;
	pid = fork();
	if (pid == 0)
		in_child(c, table, n + 1, s, parent, seconds);
	(void)close(c->to);
	c->to = -1;
	if (pid < 0) {
		(void)close(from);
		return lt_err_set(t->err, LT_E_NOMEM, "cannot fork: %s", strerror(errno));
	}
	t->in = fdopen(from, "rb");
	rc = t->in == NULL ? LT_E_NOMEM : take_rows(t);
	if (rc != LT_OK)
		(void)kill(pid, SIGKILL);
	if (t->in != NULL)
		(void)fclose(t->in);
	else
		(void)close(from);
	reap(pid, &status);
	ended = rc == LT_OK ? how_ended(t, s, status) : rc;
	return ended;
}

static bool is_last_try(const char *path);

int
lt_salvage_rows(const struct lt_kv_options *o, struct lt_kv *into, struct lt_salvage_report *r,
    struct lt_err *err)
{
	struct taking t = { .o = o, .into = into, .r = r, .err = err };
	struct shared *s =
	    mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct child c = { .fd = -1, .to = -1, .s = s };
	struct stat st = { 0 };
	char path[PATH_MAX];
	int ends[2] = { -1, -1 }, rc = LT_OK;

	memset(r, 0, sizeof(*r));
	lt_kv_table_init(&t.meta, "meta");
	t.bytes = malloc(STORED_MAX);
	t.last = is_last_try(o->path);
	if (s == MAP_FAILED || t.bytes == NULL)
		rc = lt_err_set(err, LT_E_NOMEM, "out of memory");
	if (rc == LT_OK &&
	    (size_t)snprintf(path, sizeof(path), "%s/" DATA_FILE, o->path) >= sizeof(path))
		rc = lt_err_set(err, LT_E_INVALID, "path \"%s\" is too long", o->path);
	if (rc == LT_OK) {
		c.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (c.fd < 0 || fstat(c.fd, &st) != 0 || pipe2(ends, O_CLOEXEC) != 0)
			rc = lt_err_set(
			    err, LT_E_IO, "cannot read \"%s\": %s", path, strerror(errno));
	}
	c.to = ends[1];
	if (rc == LT_OK)
		rc = fork_and_take(&t, &c, ends[0], s);
	if (rc == LT_OK)
		rc = commit(&t);
	lt_kv_abort(t.txn);
	if (rc == LT_OK) {
		tell(&t, &s->got, (uint64_t)st.st_size);
		r->older |= is_before_note(o->path, s->got.txnid);
	} else if (err != NULL && err->text[0] == '\0')
		(void)lt_err_set(err, rc, "what can be read of \"%s\" cannot be kept: %s", o->path,
		    lt_strerror(rc));
	if (c.fd >= 0)
		(void)close(c.fd);
	free(t.bytes);
	if (s != MAP_FAILED)
		(void)munmap(s, sizeof(*s));
	return rc;
}

/* ---- how often ---- */

struct note {
	long long begun_ms, done_ms;
	unsigned tries;
};

static int
note_path(char out[PATH_MAX], const char *path, struct lt_err *err)
{
	return (size_t)snprintf(out, PATH_MAX, "%s/" NOTE_FILE, path) < PATH_MAX
		   ? LT_OK
		   : lt_err_set(err, LT_E_INVALID, "path \"%s\" is too long", path);
}

/* The number behind a word; -1: another text. */
static long long
number_of(const char **text, const char *word)
{
	size_t len = strlen(word);
	char *end = NULL;
	long long n;

	if (strncmp(*text, word, len) != 0)
		return -1;
	n = strtoll(*text + len, &end, 10);
	if (end == *text + len || n < 0)
		return -1;
	*text = end;
	return n;
}

/* One that cannot be read says nothing: as if there were none. */
static void
note_read(const char *path, struct note *n)
{
	char file[PATH_MAX], text[NOTE_MAX + 1];
	const char *at = text;
	struct lt_buf b;
	long long begun, tries, done;

	memset(n, 0, sizeof(*n));
	lt_buf_init(&b, NOTE_MAX);
	if (note_path(file, path, NULL) == LT_OK &&
	    lt_file_read(file, NOTE_MAX, &b, NULL) == LT_OK) {
		memcpy(text, b.data, b.len);
		text[b.len] = '\0';
		begun = number_of(&at, "begun ");
		tries = number_of(&at, " tries ");
		done = number_of(&at, " done ");
		if (begun >= 0 && tries >= 0 && tries < INT_MAX && done >= 0)
			*n = (struct note){ begun, done, (unsigned)tries };
	}
	lt_buf_fini(&b);
}

static bool
is_last_try(const char *path)
{
	struct note n;

	note_read(path, &n);
	return n.tries >= LT_SALVAGE_TRIES;
}

static int
note_write(const char *path, const struct note *n, struct lt_err *err)
{
	char file[PATH_MAX], text[NOTE_MAX];
	int rc = note_path(file, path, err);

	(void)snprintf(text, sizeof(text), "begun %lld tries %u done %lld\n", n->begun_ms, n->tries,
	    n->done_ms);
	return rc == LT_OK ? lt_file_write(file, lt_slice_str(text), 0600, false, err) : rc;
}

/* A clock that says such a time is one of a machine whose battery is dead: the same at each start, for years. */
static bool
is_no_time(int64_t now_ms)
{
	return now_ms < LT_SALVAGE_CLOCK_MS;
}

/* Also with a clock that was put back. */
static bool
is_recent(long long then_ms, int64_t now_ms)
{
	long long apart = now_ms > then_ms ? now_ms - then_ms : then_ms - now_ms;

	return then_ms != 0 && apart < LT_SALVAGE_EVERY_MS;
}

static int
check_room(int dir, const char *path, struct lt_err *err)
{
	struct statvfs fs;
	struct stat st;
	uint64_t want, have;

	if (fstatat(dir, DATA_FILE, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_size == 0)
		return lt_err_set(err, LT_E_NOTFOUND, "there is nothing in \"%s\"", path);
	if (fstatvfs(dir, &fs) != 0)
		return lt_err_set(
		    err, LT_E_IO, "cannot ask about \"%s\": %s", path, strerror(errno));
	want = 2 * (uint64_t)st.st_size + ROOM;
	have = (uint64_t)fs.f_bavail * fs.f_frsize;
	return have >= want
		   ? LT_OK
		   : lt_err_set(err, LT_E_NOSPACE,
			 "to make the store in \"%s\" anew %llu MiB must be free on its "
			 "disk, and %llu MiB are",
			 path, (unsigned long long)(want >> 20), (unsigned long long)(have >> 20));
}

static int
open_folder(const char *path, int *dir, struct lt_err *err)
{
	*dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *dir >= 0 ? LT_OK
			 : lt_err_set(err, LT_E_IO, "cannot open folder \"%s\": %s", path,
			       strerror(errno));
}

int
lt_salvage_begin(const char *path, int64_t now_ms, struct lt_err *err)
{
	struct note n;
	int dir, rc = open_folder(path, &dir, err);

	if (rc != LT_OK)
		return rc;
	rc = check_room(dir, path, err);
	(void)close(dir);
	if (rc != LT_OK)
		return rc;
	note_read(path, &n);
	/* Without a time there is no day: so many in all, until there is one. */
	if (is_no_time(now_ms))
		now_ms = 0;
	if (now_ms != 0 && is_recent(n.done_ms, now_ms))
		return lt_err_set(err, LT_E_CORRUPT,
		    "the store in \"%s\" was made anew less than a day ago and is damaged again: "
		    "the disk is not to be trusted",
		    path);
	if (now_ms != 0 && !is_recent(n.begun_ms, now_ms))
		n.tries = 0;
	if (n.tries >= LT_SALVAGE_TRIES)
		return lt_err_set(err, LT_E_CORRUPT,
		    "to make the store in \"%s\" anew was begun %u times within a day (or by a "
		    "clock without a date) and never came to an end, or not to a good one",
		    path, n.tries);
	n.begun_ms = now_ms;
	n.tries++;
	return note_write(path, &n, err);
}

void
lt_salvage_broke_off(const char *path)
{
	struct note n;

	note_read(path, &n);
	if (n.tries > 0)
		n.tries--;
	(void)note_write(path, &n, NULL);
}

/* ---- in place ---- */

/* A free name; those that the file itself has as well are of a swap that broke off, and go. */
static int
aside_name(int dir, char out[64])
{
	struct stat data, st;
	unsigned n;

	if (fstatat(dir, DATA_FILE, &data, AT_SYMLINK_NOFOLLOW) != 0)
		return errno;
	for (n = 1; n < ASIDE_MAX; n++) {
		(void)snprintf(out, 64, ASIDE_FORMAT, n);
		if (fstatat(dir, out, &st, AT_SYMLINK_NOFOLLOW) != 0)
			return errno == ENOENT ? 0 : errno;
		if (st.st_dev == data.st_dev && st.st_ino == data.st_ino)
			return unlinkat(dir, out, 0) == 0 ? 0 : errno;
	}
	return EEXIST;
}

static int
swap(int dir, const char *new_file, char aside[64])
{
	int e = aside_name(dir, aside);

	if (e != 0)
		return e;
	if (linkat(dir, DATA_FILE, dir, aside, 0) != 0 || fsync(dir) != 0)
		return errno;
	LT_FAILPOINT("salvage.linked");
	if (renameat(AT_FDCWD, new_file, dir, DATA_FILE) != 0) {
		e = errno;
		(void)unlinkat(dir, aside, 0);
		return e;
	}
	return fsync(dir) != 0 ? errno : 0;
}

/* The note about the file of before speaks of none that comes. It goes last: that the old file is older than what was committed nothing
 * else may know, and then nobody may open it. Beside the new one it is at worst a reason to make that anew once more. */
static int
drop_guard(int dir)
{
	LT_FAILPOINT("salvage.renamed");
	if ((unlinkat(dir, GUARD_FILE, 0) != 0 && errno != ENOENT) || fsync(dir) != 0)
		return errno;
	LT_FAILPOINT("salvage.in_place");
	return 0;
}

/* What is noted when it is in place: a disk that was made anew once more is the worst that comes of it if not. */
static void
note_done(const char *path, int64_t done_ms, bool counts)
{
	struct lt_err err = { "" };
	struct note n;

	note_read(path, &n);
	n.done_ms = done_ms;
	if (!counts)
		n.tries = 0;
	if (note_write(path, &n, &err) != LT_OK)
		lt_warn("that the store was made anew cannot be written down: %s", err.text);
}

int
lt_salvage_put_in_place(
    const char *path, const char *from, int64_t now_ms, char aside[64], struct lt_err *err)
{
	char new_file[PATH_MAX];
	bool timed = !is_no_time(now_ms);
	int dir, e, rc = open_folder(path, &dir, err);

	if (rc != LT_OK)
		return rc;
	if ((size_t)snprintf(new_file, sizeof(new_file), "%s/" DATA_FILE, from) >= sizeof(new_file))
		rc = lt_err_set(err, LT_E_INVALID, "path \"%s\" is too long", from);
	if (rc == LT_OK && flock(dir, LOCK_EX | LOCK_NB) != 0)
		rc = lt_err_set(err, LT_E_BUSY, "another process has \"%s\" open", path);
	e = rc == LT_OK ? swap(dir, new_file, aside) : 0;
	if (rc == LT_OK && e == 0) {
		/* A stop before the old note is gone is not to be the one too many. */
		if (timed)
			note_done(path, 0, false);
		e = drop_guard(dir);
	}
	if (e != 0)
		rc = lt_err_set(err, e == ENOSPC || e == EDQUOT ? LT_E_NOSPACE : LT_E_IO,
		    "cannot put the store made anew into \"%s\": %s", path, strerror(e));
	(void)close(dir);
	if (rc == LT_OK)
		note_done(path, timed ? now_ms : 0, !timed);
	return rc;
}
