/* What is still read of a file of which a page is gone: every page of a store, one after the other, against what this test
 * itself finds below that page. And the swap: a stop at each step, no room, and too often. */
#include "proto/base/log.h"
#include "proto/store/kv_impl.h"
#include "proto/store/page_walk.h"
#include "proto/store/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ok(expr) assert_int_equal(expr, LT_OK)
#define PAGE 4096u
#define NO_PAGE UINT64_MAX
/* Long keys, so that few are enough for a tree of three levels. */
#define ALPHA 700u
#define BETA 12u /* values in pages of their own */
#define GAMMA 3u
#define ROWS (ALPHA + BETA + GAMMA + 1)
#define LAST (ROWS - 1) /* written by the last commit: the meta page before does not know it */
#define DAY INT64_C(86400000)
#define T0 (LT_SALVAGE_CLOCK_MS + 100 * DAY)

static const char *const tables[] = { "alpha", "beta", "gamma", "sums", NULL };
static const uint8_t federation[32] = { 7 }, other[32] = { 8 };

/* A test fills the disk. The linker's names: what it makes of a call, and what was called. */
static bool no_room;
int real_fstatvfs(int fd, struct statvfs *st) __asm__("__real_fstatvfs");
int wrap_fstatvfs(int fd, struct statvfs *st) __asm__("__wrap_fstatvfs");

int
wrap_fstatvfs(int fd, struct statvfs *st)
{
	int rc = real_fstatvfs(fd, st);

	if (no_room)
		st->f_bavail = 1;
	return rc;
}

/* A sector that the disk does not give, so many times; shared with the children that read. */
struct sector {
	ino_t file;
	off_t at; /* its page */
	int left; /* < 0: always */
};
static struct sector *sector;
ssize_t real_pread(int fd, void *buf, size_t len, off_t at) __asm__("__real_pread");
ssize_t wrap_pread(int fd, void *buf, size_t len, off_t at) __asm__("__wrap_pread");

ssize_t
wrap_pread(int fd, void *buf, size_t len, off_t at)
{
	struct stat st;

	if (sector->left == 0 || at + (off_t)len <= sector->at || at > sector->at ||
	    fstat(fd, &st) != 0 || st.st_ino != sector->file)
		return real_pread(fd, buf, len, at);
	sector->left -= sector->left > 0;
	errno = EIO;
	return -1;
}

/* What LMDB calls, too: the program's own goes before the library's. */
static unsigned syncs;

int
fdatasync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

struct row {
	unsigned table;
	char key[320];
	uint8_t *value;
	size_t len;
	bool seen;
};

struct fix {
	char dir[64], path[80], data[96], to[80];
	struct row row[ROWS];
	uint8_t *file; /* as it was */
	size_t size;
	bool under[ROWS]; /* what this test finds below a page */
};

static struct lt_kv_options
options(const char *path)
{
	return (struct lt_kv_options){
		.path = path, .kind = LT_KV_TEST, .federation = federation, .tables = tables
	};
}

static struct lt_kv *
open_at(const char *path)
{
	struct lt_kv_options o = options(path);
	struct lt_err err = { "" };
	struct lt_kv *kv;

	if (lt_kv_open_lmdb(&o, &kv, &err) != LT_OK)
		fail_msg("%s", err.text);
	return kv;
}

static void
make_row(struct row *r, unsigned i)
{
	size_t k;

	r->table = i < ALPHA ? 0 : i < ALPHA + BETA ? 1 : i < LAST ? 2 : 0;
	(void)snprintf(r->key, sizeof(r->key), i == LAST ? "zlast%0250u" : "k%0250u", i);
	r->len = r->table == 1 ? 5000 + 1000 * (size_t)i % 20000 : 20 + i % 60;
	r->value = malloc(r->len);
	assert_non_null(r->value);
	for (k = 0; k < r->len; k++)
		r->value[k] = (uint8_t)(i * 31 + k * 7);
}

static void
put_rows(struct fix *f, struct lt_kv *kv, unsigned from, unsigned to)
{
	struct lt_kv_txn *t;

	ok(lt_kv_begin_write(kv, &t));
	for (; from < to; from++)
		ok(lt_kv_put(t, f->row[from].table, lt_slice_str(f->row[from].key),
		    lt_slice(f->row[from].value, f->row[from].len)));
	ok(lt_kv_commit(t));
}

static void
read_file(struct fix *f)
{
	struct stat st;
	int fd = open(f->data, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	f->size = (size_t)st.st_size;
	f->file = malloc(f->size);
	assert_non_null(f->file);
	assert_int_equal(pread(fd, f->file, f->size, 0), (ssize_t)f->size);
	assert_int_equal(close(fd), 0);
}

static void
write_file(const struct fix *f, size_t size)
{
	int fd = open(f->data, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, f->file, size, 0), (ssize_t)size);
	assert_int_equal(close(fd), 0);
}

static void
poke(const struct fix *f, off_t at, const void *bytes, size_t len)
{
	int fd = open(f->data, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static void
break_page(const struct fix *f, uint64_t page)
{
	uint8_t junk[PAGE];

	memset(junk, 0xa5, sizeof(junk));
	poke(f, (off_t)(page * PAGE), junk, sizeof(junk));
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct lt_kv *kv;
	struct lt_kv_txn *t;
	unsigned i;

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/lt_salvage.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/store", f->dir);
	(void)snprintf(f->data, sizeof(f->data), "%s/data.mdb", f->path);
	(void)snprintf(f->to, sizeof(f->to), "%s/to", f->dir);
	for (i = 0; i < ROWS; i++)
		make_row(&f->row[i], i);
	kv = open_at(f->path);
	put_rows(f, kv, 0, LAST);
	/* So that there is a list of free pages. */
	ok(lt_kv_begin_write(kv, &t));
	ok(lt_kv_put(t, 2, lt_slice_str("gone"), lt_slice_str("gone")));
	ok(lt_kv_commit(t));
	ok(lt_kv_begin_write(kv, &t));
	ok(lt_kv_del(t, 2, lt_slice_str("gone")));
	ok(lt_kv_commit(t));
	put_rows(f, kv, LAST, ROWS);
	lt_kv_close(kv);
	read_file(f);
	no_room = false;
	sector->left = 0;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[128];
	unsigned i;

	sector->left = 0;
	for (i = 0; i < ROWS; i++)
		free(f->row[i].value);
	free(f->file);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

/* ---- an own reading of the whole file ---- */

static uint64_t
n16(const struct fix *f, uint64_t at)
{
	return (uint64_t)f->file[at] | (uint64_t)f->file[at + 1] << 8;
}

static uint64_t
n64(const struct fix *f, uint64_t at)
{
	uint64_t v = 0;
	int i;

	for (i = 7; i >= 0; i--)
		v = v << 8 | f->file[at + (unsigned)i];
	return v;
}

static void
mark_row(struct fix *f, const char *table, const uint8_t *key, size_t len)
{
	unsigned i;

	for (i = 0; i < ROWS; i++)
		if (strcmp(tables[f->row[i].table], table) == 0 && strlen(f->row[i].key) == len &&
		    memcmp(f->row[i].key, key, len) == 0)
			f->under[i] = true;
}

/* Rows below `page`, or all of them once below `bad`. */
static void
mark_below(struct fix *f, const char *table, uint64_t page, uint64_t bad, bool below)
{
	uint64_t base = page * PAGE, n, i, at, klen, run;
	bool leaf = n16(f, base + 10) == 2;

	below = below || page == bad;
	n = (n16(f, base + 12) - 16) / 2;
	for (i = 0; i < n; i++) {
		at = base + n16(f, base + 16 + 2 * i);
		klen = n16(f, at + 6);
		if (!leaf) {
			mark_below(f, table,
			    n16(f, at) | n16(f, at + 2) << 16 | n16(f, at + 4) << 32, bad, below);
			continue;
		}
		run = n16(f, at + 4) == 1 ? n64(f, at + 8 + klen) : NO_PAGE;
		if (below || (run != NO_PAGE && bad >= run &&
				 bad < run + (15 + (n16(f, at) | n16(f, at + 2) << 16)) / PAGE + 1))
			mark_row(f, table, f->file + at + 8, klen);
	}
}

static uint64_t
newest_meta(const struct fix *f)
{
	return n64(f, 16 + 128) > n64(f, PAGE + 16 + 128) ? 0 : 1;
}

static uint64_t
names_root(const struct fix *f, uint64_t meta)
{
	return n64(f, meta * PAGE + 16 + 24 + 48 + 40);
}

/* What is below a page, as the newest meta page has it: of each table that the one page of names names. */
static void
mark(struct fix *f, uint64_t bad)
{
	uint64_t base = names_root(f, newest_meta(f)) * PAGE, n = (n16(f, base + 12) - 16) / 2, i;

	memset(f->under, 0, sizeof(f->under));
	assert_int_equal(n16(f, base + 10), 2);
	for (i = 0; i < n; i++) {
		uint64_t at = base + n16(f, base + 16 + 2 * i), klen = n16(f, at + 6),
			 root = n64(f, at + 8 + klen + 40);
		char name[64] = "";

		memcpy(name, f->file + at + 8, klen);
		if (root != NO_PAGE)
			mark_below(f, name, root, bad, false);
	}
}

/* ---- what was taken over ---- */

static void
drop_to(const struct fix *f)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", f->to);
	assert_int_equal(system(cmd), 0);
}

/* Rows as they were written, each once; and which. */
static void
check_rows(struct fix *f, struct lt_kv *kv)
{
	struct lt_kv_cursor *c;
	struct lt_kv_txn *t;
	struct lt_slice k, v;
	unsigned i, table;
	int rc;

	for (i = 0; i < ROWS; i++)
		f->row[i].seen = false;
	ok(lt_kv_begin_read(kv, &t));
	for (table = 0; table < 3; table++) {
		ok(lt_kv_cursor_open(t, table, &c));
		for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
		     rc = lt_kv_next(c, &k, &v)) {
			for (i = 0; i < ROWS; i++)
				if (f->row[i].table == table &&
				    lt_slice_eq(k, lt_slice_str(f->row[i].key)))
					break;
			assert_true(i < ROWS);
			assert_false(f->row[i].seen);
			assert_true(lt_slice_eq(v, lt_slice(f->row[i].value, f->row[i].len)));
			f->row[i].seen = true;
		}
		assert_int_equal(rc, LT_E_NOTFOUND);
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(t);
}

static int
salvage(struct fix *f, struct lt_salvage_report *r)
{
	struct lt_kv_options o = options(f->path);
	struct lt_err err = { "" };
	struct lt_kv *kv;
	int rc;

	drop_to(f);
	kv = open_at(f->to);
	rc = lt_salvage_rows(&o, kv, r, &err);
	assert_true(rc == LT_OK || err.text[0] != '\0');
	check_rows(f, kv);
	lt_kv_close(kv);
	return rc;
}

static unsigned
missing(const struct fix *f)
{
	unsigned i, n = 0;

	for (i = 0; i < ROWS; i++)
		n += !f->row[i].seen;
	return n;
}

/* ---- tests ---- */

static void
a_whole_file_gives_everything(void **state)
{
	struct fix *f = *state;
	struct lt_salvage_report r;

	mark(f, NO_PAGE - 1);
	ok(salvage(f, &r));
	assert_int_equal(missing(f), 0);
	assert_int_equal(r.rows, ROWS);
	assert_int_equal(r.lost, 0);
	assert_int_equal(r.left, 0);
	assert_false(r.older);
}

/* Meta pages, the page of names, branches, leaves, pages of large values, the list of free pages, free pages. */
static void
without_any_one_page(void **state)
{
	struct fix *f = *state;
	uint64_t page, newest = newest_meta(f), names = names_root(f, newest);
	unsigned i, lossless = 0, branches = 0, kinds[3] = { 0, 0, 0 };

	for (page = 0; page < f->size / PAGE; page++) {
		struct lt_salvage_report r;
		unsigned lost = 0;

		write_file(f, f->size);
		break_page(f, page);
		mark(f, page);
		ok(salvage(f, &r));
		for (i = 0; i < ROWS; i++)
			lost += f->under[i];
		if (page == newest || page == names) {
			/* The meta page before leads to all but the last row. */
			assert_int_equal(missing(f), 1);
			assert_false(f->row[LAST].seen);
			assert_true(r.older);
			kinds[0]++;
			continue;
		}
		if (lost == ALPHA + 1) { /* the root of alpha: the same */
			assert_int_equal(missing(f), 1);
			assert_true(r.older);
			kinds[1]++;
			continue;
		}
		for (i = 0; i < ROWS; i++)
			if (!r.older && f->row[i].seen == f->under[i])
				fail_msg("page %llu: row %u", (unsigned long long)page, i);
		assert_int_equal(r.older, page == 1 - newest);
		assert_int_equal(r.lost, lost);
		assert_int_equal(r.lost + r.rows, ROWS);
		assert_true(lost == 0 || r.left != 0 || lost == 1);
		lossless += lost == 0;
		branches += lost > 20;
		kinds[2] += lost != 0 && lost <= 20;
	}
	assert_int_equal(kinds[0], 2);
	assert_int_equal(kinds[1], 1);
	assert_true(kinds[2] > 50);
	assert_true(branches >= 2);
	assert_true(lossless >= 2);
}

/* One bit of a row: that row, and no other. */
static void
a_bit_of_a_row(void **state)
{
	struct fix *f = *state;
	const char *key = f->row[5].key;
	struct lt_salvage_report r;
	size_t at, found = 0;
	uint8_t b;

	for (at = 2 * PAGE; at + strlen(key) < f->size; at++)
		if (memcmp(f->file + at, key, strlen(key)) == 0)
			found = at;
	assert_int_not_equal(found, 0);
	found += strlen(key) + 3;
	b = f->file[found] ^ 0x10;
	poke(f, (off_t)found, &b, 1);
	ok(salvage(f, &r));
	assert_int_equal(missing(f), 1);
	assert_false(f->row[5].seen);
	assert_int_equal(r.lost, 1);
	assert_int_equal(r.table_lost[0], 1);
	assert_int_equal(r.table_lost[1], 0);
}

/* An older page, or another's, in the place of one: its rows verify, and do not belong there. */
static void
a_page_of_another_place(void **state)
{
	struct fix *f = *state;
	struct lt_salvage_report r;
	uint64_t page, from = 0;
	uint8_t copy[PAGE];

	/* Two leaves of alpha, the second under the number of the first. */
	for (page = 2; page < f->size / PAGE; page++) {
		if (n64(f, page * PAGE) != page || n16(f, page * PAGE + 10) != 2)
			continue;
		mark(f, page);
		if (!f->under[100] && !f->under[300])
			continue;
		if (from == 0) {
			from = page;
			continue;
		}
		memcpy(copy, f->file + from * PAGE, PAGE);
		memcpy(copy, &page, sizeof(page));
		poke(f, (off_t)(page * PAGE), copy, PAGE);
		break;
	}
	assert_true(page < f->size / PAGE);
	ok(salvage(f, &r)); /* each row once: check_rows() */
	assert_true(missing(f) >= 1);
	assert_true(r.left >= 1);
}

/* A file that ends early: what is there, and no row that is not. */
static void
a_cut_file(void **state)
{
	struct fix *f = *state;
	unsigned some = 0, nothing = 0;
	size_t size;

	for (size = PAGE; size < f->size; size += 5 * PAGE) {
		struct lt_salvage_report r;
		int rc;

		write_file(f, size);
		rc = salvage(f, &r);
		assert_true(rc == LT_OK || rc == LT_E_CORRUPT);
		nothing += rc != LT_OK;
		some += rc == LT_OK && missing(f) != 0;
	}
	assert_true(nothing > 0);
	assert_true(some > 0);
}

/* Whole, but older than what the note beside it knows. */
static void
an_older_file(void **state)
{
	struct fix *f = *state;
	struct lt_salvage_report r;
	struct lt_kv *kv = open_at(f->path);

	put_rows(f, kv, 0, 1);
	lt_kv_close(kv);
	ok(salvage(f, &r));
	assert_false(r.older);
	write_file(f, f->size);
	ok(salvage(f, &r));
	assert_int_equal(missing(f), 0);
	assert_true(r.older);
}

static void
both_meta_pages(void **state)
{
	struct fix *f = *state;
	struct lt_salvage_report r;

	break_page(f, 0);
	break_page(f, 1);
	assert_int_equal(salvage(f, &r), LT_E_CORRUPT);
	assert_int_equal(missing(f), ROWS);
}

static void
what_is_not_ours(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	struct lt_salvage_report r;
	struct lt_err err = { "" };
	struct lt_kv *kv = open_at(f->to);

	o.federation = other;
	assert_int_equal(lt_salvage_rows(&o, kv, &r, &err), LT_E_VERSION);
	o.federation = federation;
	o.kind = LT_KV_NODE;
	assert_int_equal(lt_salvage_rows(&o, kv, &r, &err), LT_E_VERSION);
	lt_kv_close(kv);
}

static bool
is_there(const char *dir, const char *name)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

/* What `swap` does in a process of its own. */
static int
swap(const char *path, const char *from)
{
	struct lt_err err = { "" };
	char aside[64];

	return lt_salvage_put_in_place(path, from, DAY, aside, &err) == LT_OK ? 0 : 1;
}

/* It dies at the point. */
static void
swap_dies(const struct fix *f, const char *point)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		(void)setenv("LIENTHONG_FAILPOINT", point, 1);
		(void)execl("/proc/self/exe", "test", "swap", f->path, f->to, (char *)NULL);
		_exit(2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void
in_place(struct fix *f, unsigned aside)
{
	struct lt_kv *kv = open_at(f->path);
	char name[64];

	check_rows(f, kv);
	assert_int_equal(missing(f), 0);
	lt_kv_close(kv);
	(void)snprintf(name, sizeof(name), "damaged-%u.mdb", aside);
	assert_true(is_there(f->path, name));
	(void)snprintf(name, sizeof(name), "damaged-%u.mdb", aside + 1);
	assert_false(is_there(f->path, name));
}

/* Old or new, under the name that counts, and the old one stays under another. */
static void
a_stop_in_the_swap(void **state)
{
	struct fix *f = *state;
	struct lt_salvage_report r;
	struct stat was, is;
	char aside[64];
	struct lt_err err = { "" };

	ok(salvage(f, &r));
	assert_int_equal(stat(f->data, &was), 0);
	swap_dies(f, "salvage.linked");
	assert_int_equal(stat(f->data, &is), 0);
	assert_int_equal(is.st_ino, was.st_ino);
	assert_true(is_there(f->path, "damaged-1.mdb"));
	/* Once more: the name of before is used again. */
	swap_dies(f, "salvage.in_place");
	assert_int_equal(stat(f->data, &is), 0);
	assert_int_not_equal(is.st_ino, was.st_ino);
	in_place(f, 1);
	/* And another time, with a file beside it that is another one. */
	ok(salvage(f, &r));
	ok(lt_salvage_put_in_place(f->path, f->to, DAY, aside, &err));
	assert_string_equal(aside, "damaged-2.mdb");
	in_place(f, 2);
}

/* No file to put there, or no way to: all is as it was, what is known against the old one too. */
static void
a_swap_that_fails(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	struct lt_err err = { "" };
	struct lt_kv *kv = open_at(f->path);
	char aside[64];

	put_rows(f, kv, 0, 1);
	lt_kv_close(kv);
	write_file(f, f->size);
	assert_int_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_E_CORRUPT);
	assert_int_equal(
	    lt_salvage_put_in_place(f->path, f->to, T0, aside, &err), LT_E_IO); /* nothing there */
	assert_string_not_equal(err.text, "");
	assert_false(is_there(f->path, "damaged-1.mdb"));
	assert_false(is_there(f->path, "salvage"));
	assert_true(is_there(f->path, "guard"));
	assert_int_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_E_CORRUPT);
}

static int
begin(struct fix *f, int64_t now)
{
	struct lt_err err = { "" };
	int rc = lt_salvage_begin(f->path, now, &err);

	assert_true(rc == LT_OK || err.text[0] != '\0');
	return rc;
}

static void
how_often(void **state)
{
	struct fix *f = *state;
	struct lt_salvage_report r;
	struct lt_err err = { "" };
	char aside[64];

	ok(salvage(f, &r));
	ok(begin(f, T0 + 1000));
	ok(begin(f, T0 + 2000));
	ok(begin(f, T0 + 3000));
	assert_int_equal(begin(f, T0 + 4000), LT_E_CORRUPT); /* three broke off */
	assert_int_equal(begin(f, T0 + 3000 + DAY - 1), LT_E_CORRUPT);
	ok(begin(f, T0 + 3000 + DAY));
	ok(lt_salvage_put_in_place(f->path, f->to, T0 + 10 * DAY, aside, &err));
	assert_int_equal(begin(f, T0 + 10 * DAY), LT_E_CORRUPT);
	assert_int_equal(begin(f, T0 + 11 * DAY - 1), LT_E_CORRUPT);
	assert_int_equal(begin(f, T0 + 9 * DAY + 1), LT_E_CORRUPT); /* the clock went back */
	ok(begin(f, T0 + 11 * DAY));
	ok(begin(f, T0 + 9 * DAY));
}

/* A dead battery says the same minute of 1970 at each start, or a time before it: three in all, finished or not, until there is a date. */
static void
a_clock_without_a_date(void **state)
{
	struct fix *f = *state;
	struct lt_salvage_report r;
	struct lt_err err = { "" };
	char aside[64];

	ok(salvage(f, &r));
	ok(begin(f, -5000));
	ok(lt_salvage_put_in_place(f->path, f->to, -4000, aside, &err));
	ok(begin(f, 60000));
	ok(begin(f, LT_SALVAGE_CLOCK_MS - 1));
	assert_int_equal(begin(f, 60000), LT_E_CORRUPT);
	assert_int_equal(begin(f, 60000 + 400 * DAY), LT_E_CORRUPT);
	ok(begin(f, LT_SALVAGE_CLOCK_MS));
}

/* That the file is older than what was committed only the note beside it says: until the new one stands there nobody opens the old one. */
static void
a_stop_in_the_swap_of_an_older_file(void **state)
{
	struct fix *f = *state;
	struct lt_salvage_report r;
	struct lt_kv_options o = options(f->path);
	struct lt_err err = { "" };
	struct lt_kv *kv;

	kv = open_at(f->path);
	put_rows(f, kv, 0, 1);
	lt_kv_close(kv);
	write_file(f, f->size);
	assert_int_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_E_CORRUPT);
	ok(salvage(f, &r));
	swap_dies(f, "salvage.linked");
	assert_int_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_E_CORRUPT);
	/* The new one, beside what was noted of the old: refused or not, it is made anew once more. */
	swap_dies(f, "salvage.renamed");
	ok(salvage(f, &r));
	assert_int_equal(swap(f->path, f->to), 0);
	ok(lt_kv_open_lmdb(&o, &kv, &err));
	check_rows(f, kv);
	lt_kv_close(kv);
}

/* Once may pass. Twice is damage, of which the third try takes what the disk gives. */
static void
a_sector_that_cannot_be_read(void **state)
{
	struct fix *f = *state;
	struct lt_kv_options o = options(f->path);
	struct lt_salvage_report r;
	struct lt_err err = { "" };
	struct lt_kv *kv;
	uint64_t page;
	struct stat st;
	unsigned i, lost = 0;

	/* A leaf of a few rows. */
	for (page = 2; lost == 0 || lost > 20; page++) {
		mark(f, page);
		for (lost = 0, i = 0; i < ROWS; i++)
			lost += f->under[i];
	}
	assert_int_equal(stat(f->data, &st), 0);
	sector->file = st.st_ino;
	sector->at = (off_t)(--page * PAGE);
	sector->left = 1;
	ok(lt_kv_open_lmdb(&o, &kv, &err));
	assert_int_equal(sector->left, 0);
	lt_kv_close(kv);
	sector->left = -1;
	assert_int_equal(lt_kv_open_lmdb(&o, &kv, &err), LT_E_CORRUPT);
	assert_non_null(strstr(err.text, "does not give"));
	for (i = 1; i < LT_SALVAGE_TRIES; i++) {
		ok(begin(f, T0 + i));
		assert_int_equal(salvage(f, &r), LT_E_IO);
	}
	ok(begin(f, T0 + i));
	ok(salvage(f, &r));
	mark(f, page);
	for (i = 0; i < ROWS; i++)
		assert_int_not_equal(f->row[i].seen, f->under[i]);
	assert_int_equal(r.lost, lost);
}

/* What is thrown away if the machine stops needs no sync; what is counted on does, all of it. */
static void
synced_at_the_end(void **state)
{
	struct fix *f = *state;
	struct lt_kv *kv = open_at(f->to);
	unsigned i, before = syncs;

	ok(lt_kv_unsettle(kv));
	for (i = 0; i < ROWS; i += 100)
		put_rows(f, kv, i, i + 100 < ROWS ? i + 100 : ROWS);
	assert_int_equal(syncs, before);
	ok(lt_kv_settle(kv));
	assert_true(syncs > before);
	before = syncs;
	put_rows(f, kv, 0, 1);
	assert_true(syncs > before);
	check_rows(f, kv);
	assert_int_equal(missing(f), 0);
	lt_kv_close(kv);
}

static void
no_room_no_file(void **state)
{
	struct fix *f = *state;

	no_room = true;
	assert_int_equal(begin(f, 1000), LT_E_NOSPACE);
	no_room = false;
	assert_false(is_there(f->path, "salvage"));
	ok(begin(f, 1000));
	write_file(f, 0);
	assert_int_equal(begin(f, 2000), LT_E_NOTFOUND);
	assert_int_equal(unlink(f->data), 0);
	assert_int_equal(begin(f, 2000), LT_E_NOTFOUND);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_whole_file_gives_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(without_any_one_page, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bit_of_a_row, setup, teardown),
		cmocka_unit_test_setup_teardown(a_page_of_another_place, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cut_file, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_file, setup, teardown),
		cmocka_unit_test_setup_teardown(both_meta_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_in_the_swap, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_stop_in_the_swap_of_an_older_file, setup, teardown),
		cmocka_unit_test_setup_teardown(a_swap_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(how_often, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clock_without_a_date, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sector_that_cannot_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(synced_at_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(no_room_no_file, setup, teardown),
	};

	sector =
	    mmap(NULL, sizeof(*sector), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(sector != MAP_FAILED);
	if (argc == 4 && strcmp(argv[1], "swap") == 0)
		return swap(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
