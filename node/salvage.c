/* node/salvage.c - making the store of a node anew from what can be read of the damaged one, before anything is served. */
#include "node/salvage_impl.h"
#include "proto/base/daemon.h"
#include "proto/base/failpoint.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"
#include "proto/store/ruling.h"
#include "proto/store/salvage.h"

#include "lienthong/v1/record.pb-c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORK_DIR "salvaging" /* in the data directory: same file system */
#define WINDOW 256 /* change-sets taken in at a time */
#define WINDOW_BYTES ((size_t)8 << 20)
#define BATCH_ROWS 1024 /* in one transaction */
#define REPLY_MAX 4096

struct making {
	const struct lt_node_options *o;
	struct lt_err *err;
	char store[PATH_MAX], work[PATH_MAX - 64], raw_path[PATH_MAX], new_path[PATH_MAX];
	struct lt_kv *raw, *kv; /* what was read; the new store */
	struct lt_kv_txn *old; /* of raw, for reading */
	struct lt_salvage_report report;
	struct lt_node *n; /* over kv */
	struct lt_salvage_row *row;
	uint64_t taken, unread; /* change-sets */
	uint64_t stamp; /* the highest of any */
	/* Positions in raw of own change-sets that did not go in. */
	uint64_t *kept; /* owned */
	size_t nkept, cap;
	/* Writing rows. */
	struct lt_kv_txn *txn; /* NULL: none is begun */
	size_t rows;
};

/* ---- folders ---- */

static int
empty_folder(const char *path)
{
	struct dirent *d;
	DIR *dir = opendir(path);
	int rc = 0;

	if (dir == NULL)
		return errno == ENOENT ? 0 : errno;
	while (rc == 0 && (d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		    unlinkat(dirfd(dir), d->d_name, 0) != 0)
			rc = errno;
	(void)closedir(dir);
	return rc == 0 && rmdir(path) != 0 ? errno : rc;
}

/* What this one made, or one that broke off. */
static int
clear_work(const struct making *m)
{
	int rc = empty_folder(m->raw_path);

	if (rc == 0)
		rc = empty_folder(m->new_path);
	return rc == 0 ? empty_folder(m->work) : rc;
}

static int
name_paths(struct making *m)
{
	const char *dir = m->o->dir;

	if ((size_t)snprintf(m->store, sizeof(m->store), "%s/store", dir) >= sizeof(m->store) ||
	    (size_t)snprintf(m->work, sizeof(m->work), "%s/" WORK_DIR, dir) >= sizeof(m->work))
		return lt_err_set(m->err, LT_E_INVALID, "the path is too long");
	(void)snprintf(m->raw_path, sizeof(m->raw_path), "%s/read", m->work);
	(void)snprintf(m->new_path, sizeof(m->new_path), "%s/store", m->work);
	return LT_OK;
}

void
lt_node_salvage_clear(const struct lt_node_options *o)
{
	struct making m = { .o = o };

	if (name_paths(&m) == LT_OK && access(m.work, F_OK) == 0 && clear_work(&m) != 0)
		lt_warn("\"%s\" could not be cleared away", m.work);
}

static int
open_both(struct making *m)
{
	const struct lt_fed *fed = &m->o->identity->federation;
	int e = clear_work(m), rc;

	if (e != 0)
		return lt_err_set(
		    m->err, LT_E_IO, "cannot clear away \"%s\": %s", m->work, strerror(e));
	rc = lt_dir_make(m->work, 0700, m->err);
	if (rc == LT_OK)
		rc = lt_tables_open(
		    m->work, "read", LT_KV_NODE, fed, m->o->map_bytes, &m->raw, m->err);
	if (rc == LT_OK)
		rc = lt_tables_open(
		    m->work, "store", LT_KV_NODE, fed, m->o->map_bytes, &m->kv, m->err);
	/* One change-set of a batch that does not go in makes each of them a commit of its own: with a sync each, hours on an old disk. */
	if (rc == LT_OK)
		rc = lt_kv_unsettle(m->raw);
	if (rc == LT_OK)
		rc = lt_kv_unsettle(m->kv);
	return rc;
}

/* ---- rows that are taken over as they are ---- */

static int
commit(struct making *m)
{
	int rc = m->txn == NULL ? LT_OK : lt_kv_commit(m->txn);

	m->txn = NULL;
	m->rows = 0;
	return rc;
}

static int
write_row(struct making *m, unsigned table, struct lt_slice key, struct lt_slice value)
{
	int rc = m->txn == NULL ? lt_kv_begin_write(m->kv, &m->txn) : LT_OK;

	if (rc == LT_OK)
		rc = lt_kv_put(m->txn, table, key, value);
	if (rc == LT_OK && ++m->rows >= BATCH_ROWS)
		rc = commit(m);
	return rc;
}

/* Of this machine's small state: epochs are over, as in a restored copy, and the rest of these is made again of the log. */
static bool
is_made_again(struct lt_slice name)
{
	static const char *const begins[] = { "epoch/", "verdict/", "ruling/" };
	static const char *const is[] = { "rows", "mend", "scrub", "uncompacted", LT_SALVAGE_ROW };
	size_t i;

	for (i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (name.len > strlen(begins[i]) &&
		    memcmp(name.data, begins[i], strlen(begins[i])) == 0)
			return true;
	for (i = 0; i < sizeof(is) / sizeof(is[0]); i++)
		if (lt_slice_eq(name, lt_slice_str(is[i])))
			return true;
	return false;
}

/* Rows of a table of what was read. fn LT_OK: on. */
static int
each(struct making *m, unsigned table,
    int (*fn)(struct making *m, unsigned table, struct lt_slice k, struct lt_slice v))
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(m->old, table, &c), got;

	if (rc != LT_OK)
		return rc;
	for (got = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK && got == LT_OK;
	     got = lt_kv_next(c, &k, &v))
		rc = fn(m, table, k, v);
	lt_kv_cursor_close(c);
	if (rc == LT_OK && got != LT_E_NOTFOUND)
		rc = got;
	return rc;
}

static int
take_local(struct making *m, unsigned table, struct lt_slice k, struct lt_slice v)
{
	struct lt_feed_id feed;
	uint64_t seq;

	/* Of an earlier salvage, whose own row may be gone. */
	if (lt_salvage_kept_parse(k, &feed, &seq))
		lt_salvage_row_note(m->row, &feed, seq);
	return is_made_again(k) ? LT_OK : write_row(m, table, k, v);
}

static bool
is_own(const struct making *m, const struct lt_feed_id *feed)
{
	struct lt_id author = lt_feed_author(feed);

	return lt_id_eq(&author, &m->o->identity->principal) && !lt_feed_is_aside(feed);
}

/* uk || seq of an own feed. */
static bool
own_key(const struct making *m, struct lt_slice k, struct lt_feed_id *feed, uint64_t *seq)
{
	struct lt_reader r;
	struct lt_slice unit, name;

	lt_reader_init(&r, k);
	unit = lt_read_framed8(&r);
	name = lt_read_bytes(&r, LT_FEED_LEN);
	*seq = lt_reader_left(&r) == 8 ? lt_read_u64(&r) : 0;
	if (r.err != LT_OK || !lt_slice_eq(unit, lt_slice_str(m->o->identity->unit.s)))
		return false;
	memcpy(feed->b, name.data, LT_FEED_LEN);
	return is_own(m, feed);
}

/* Signed by the hub, and checked before they are used. After the change-sets: a branch aside is one again only where no receipt is against it. */
static int
take_receipt(struct making *m, unsigned table, struct lt_slice k, struct lt_slice v)
{
	struct lt_feed_id feed;
	uint64_t seq;

	if (own_key(m, k, &feed, &seq))
		lt_salvage_row_note(m->row, &feed, seq);
	return write_row(m, table, k, v);
}

static int
note_head(struct making *m, unsigned table, struct lt_slice k, struct lt_slice v)
{
	struct lt_feed_id feed;
	uint64_t seq;

	(void)table;
	if (own_key(m, k, &feed, &seq) && v.len >= 8)
		lt_salvage_row_note(m->row, &feed, lt_load_u64(v.data));
	return LT_OK;
}

static int
note_number(struct making *m, unsigned table, struct lt_slice k, struct lt_slice v)
{
	struct lt_feed_id feed;
	uint64_t seq;

	(void)table;
	(void)v;
	if (own_key(m, k, &feed, &seq))
		lt_salvage_row_note(m->row, &feed, seq);
	return LT_OK;
}

/* Is the change-set here, or kept? */
static bool
is_here(struct making *m, const struct lt_feed_id *feed, uint64_t seq)
{
	struct lt_head head = { 0 };

	return (lt_feed_log_head(m->txn, &m->o->identity->unit, feed, &head) == LT_OK &&
		   seq <= head.seq) ||
	       lt_salvage_is_kept(m->txn, feed, seq);
}

/* What was asked for is known only as long as what it did is here: else it is to be done again when it is asked again. */
static int
take_request(struct making *m, unsigned table, struct lt_slice k, struct lt_slice v)
{
	ProtobufCMessage *msg;
	const Ltpb__PutReply *r;
	struct lt_feed_id feed;
	struct lt_arena arena;
	struct lt_slice id, reply;
	int rc;

	if (k.len != 8 + 16)
		return LT_OK;
	id = lt_slice(k.data + 8, 16);
	if (lt_kv_get(m->old, LT_T_REQUEST, id, &reply) != LT_OK)
		return LT_OK;
	rc = m->txn == NULL ? lt_kv_begin_write(m->kv, &m->txn) : LT_OK;
	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, (size_t)1 << 20);
	rc = lt_wire_unpack(&ltpb__put_reply__descriptor, reply, REPLY_MAX, &arena, &msg, NULL);
	r = (const Ltpb__PutReply *)msg;
	if (rc == LT_OK && !r->unchanged) {
		rc = r->feed.len == LT_FEED_LEN ? LT_OK : LT_E_INVALID;
		if (rc == LT_OK)
			memcpy(feed.b, r->feed.data, LT_FEED_LEN);
		if (rc == LT_OK && is_own(m, &feed))
			lt_salvage_row_note(m->row, &feed, r->seq);
		if (rc == LT_OK && !is_here(m, &feed, r->seq))
			rc = LT_E_NOTFOUND;
	}
	lt_arena_fini(&arena);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_OK;
	rc = write_row(m, LT_T_REQUEST, id, reply);
	return rc == LT_OK ? write_row(m, table, k, v) : rc;
}

static int
take_ruling(void *ctx, const struct lt_ruling *r)
{
	struct making *m = ctx;
	struct lt_ruling copy = *r;
	bool again;
	int rc = m->txn == NULL ? lt_kv_begin_write(m->kv, &m->txn) : LT_OK;

	/* Of those whose change-set is here it is there already; where that of the others will stand nobody knows. */
	copy.position = 0;
	return rc == LT_OK ? lt_ruling_put(m->txn, &copy, &again) : rc;
}

/* ---- change-sets ---- */

struct item {
	uint64_t position;
	bool own;
	int rc; /* 1: under way */
	struct lt_buf bytes;
};

struct window {
	size_t n, bytes;
	struct item item[WINDOW];
};

static void
took(void *ctx, int rc, const char *why)
{
	struct item *i = ctx;

	(void)why;
	i->rc = rc;
}

/* All of the window that did not go in yet, in order; again as long as some do: what they need (a catalogue, a key) may be among them. */
static int
take_in(struct making *m, struct window *w)
{
	size_t i, before = w->n + 1, left = w->n;
	int rc = LT_OK;

	while (rc == LT_OK && left != 0 && left < before) {
		before = left;
		for (i = 0; rc == LT_OK && i < w->n; i++) {
			if (w->item[i].rc == LT_OK)
				continue;
			rc = lt_node_take_back(
			    m->n, lt_buf_slice(&w->item[i].bytes), took, &w->item[i]);
			/* One that cannot even be parsed. */
			if (rc == LT_E_INVALID || rc == LT_E_TOOBIG || rc == LT_E_CORRUPT)
				rc = LT_OK;
		}
		while (lt_node_step(m->n))
			;
		for (left = 0, i = 0; i < w->n; i++) {
			left += w->item[i].rc != LT_OK;
			if (w->item[i].rc == LT_E_NOSPACE || w->item[i].rc == LT_E_IO)
				rc = w->item[i].rc;
		}
	}
	return rc;
}

static int
keep(struct making *m, uint64_t position)
{
	if (m->nkept == m->cap) {
		size_t cap = m->cap == 0 ? 256 : 2 * m->cap;
		uint64_t *more = realloc(m->kept, cap * sizeof(*more));

		if (more == NULL)
			return LT_E_NOMEM;
		m->kept = more;
		m->cap = cap;
	}
	m->kept[m->nkept++] = position;
	return LT_OK;
}

static int
end_window(struct making *m, struct window *w)
{
	size_t i;
	int rc = take_in(m, w);

	for (i = 0; i < w->n; i++) {
		if (rc == LT_OK && w->item[i].rc == LT_OK)
			m->taken++;
		else if (rc == LT_OK && w->item[i].own)
			rc = keep(m, w->item[i].position);
		lt_buf_fini(&w->item[i].bytes);
	}
	w->n = w->bytes = 0;
	return rc == LT_OK && lt_daemon_told() ? LT_E_CLOSED : rc;
}

/* As it was received, openings included as far as they were ever here; else LT_E_CORRUPT: it is as good as lost, for it comes down again whole.
 * That there was such a number is known then all the same. */
static int
read_whole(struct making *m, uint64_t position, struct lt_arena *arena, struct lt_buf *out,
    struct lt_changeset *cs)
{
	struct lt_entry e;
	size_t i, personal = 0;
	bool own;
	int rc = lt_feed_log_read(m->old, position, &e);

	if (rc == LT_OK)
		rc = lt_feed_log_compose(m->old, &e, NULL, NULL, out, NULL);
	if (rc == LT_OK)
		rc = lt_changeset_parse(lt_buf_slice(out), arena, cs, NULL);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	for (i = 0; i < cs->nchange; i++)
		personal += cs->change[i].npersonal;
	own = is_own(m, &cs->feed);
	if (own)
		lt_salvage_row_note(m->row, &cs->feed, cs->seq);
	/* What is missing as a whole is not told from what never came. */
	if (personal != 0 && !cs->has_openings &&
	    (own || (m->report.table_lost[LT_T_OPENING] != 0 &&
			lt_unit_eq(&cs->unit, &m->o->identity->unit))))
		return LT_E_CORRUPT;
	return LT_OK;
}

static int
take_entry(struct making *m, struct window *w, uint64_t position)
{
	struct item *i = &w->item[w->n];
	struct lt_changeset cs;
	struct lt_arena arena;
	int rc;

	*i = (struct item){ .position = position, .rc = LT_E_GAP };
	lt_buf_init(&i->bytes, LT_MESSAGE_MAX);
	lt_arena_init(&arena, LT_NODE_ARENA);
	rc = read_whole(m, position, &arena, &i->bytes, &cs);
	if (rc == LT_OK) {
		i->own = is_own(m, &cs.feed);
		if (m->stamp < cs.stamp)
			m->stamp = cs.stamp;
		w->bytes += i->bytes.len;
		w->n++;
	} else {
		m->unread += rc == LT_E_CORRUPT;
		lt_buf_fini(&i->bytes);
	}
	lt_arena_fini(&arena);
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* In the order in which they came: so verdicts, rulings and branches come as they came then. */
static int
take_entries(struct making *m)
{
	struct window *w = calloc(1, sizeof(*w));
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t i;
	int rc, got;

	if (w == NULL)
		return LT_E_NOMEM;
	rc = lt_kv_cursor_open(m->old, LT_T_ENTRY, &c);
	if (rc != LT_OK) {
		free(w);
		return rc;
	}
	for (got = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK && got == LT_OK;
	     got = lt_kv_next(c, &k, &v)) {
		if (k.len != 8)
			continue;
		rc = take_entry(m, w, lt_load_u64(k.data));
		if (rc == LT_OK && (w->n == WINDOW || w->bytes >= WINDOW_BYTES))
			rc = end_window(m, w);
	}
	lt_kv_cursor_close(c);
	if (rc == LT_OK)
		rc = end_window(m, w);
	for (i = 0; i < w->n; i++)
		lt_buf_fini(&w->item[i].bytes);
	free(w);
	return rc == LT_OK && got != LT_E_NOTFOUND ? got : rc;
}

static void
commit_failed(void *ctx, int rc)
{
	(void)ctx;
	lt_error("the store that is made anew could not commit: %s", lt_strerror(rc));
}

/* A node over the new store, without a thread of its own: what comes goes the way of all that comes down. */
static int
replay(struct making *m)
{
	struct lt_node_options o = *m->o;
	int rc;

	o.kv = m->kv;
	o.manual = true;
	o.salvage = false;
	o.store_failed = commit_failed;
	rc = lt_node_open(&o, &m->n, m->err);
	if (rc == LT_OK)
		rc = take_entries(m);
	while (rc == LT_OK && lt_node_step(m->n))
		;
	lt_node_close(m->n);
	m->n = NULL;
	return rc;
}

/* ---- the rest ---- */

static int
write_kept(struct making *m)
{
	char name[LT_SALVAGE_NAME];
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_buf b;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < m->nkept; i++) {
		lt_buf_init(&b, LT_MESSAGE_MAX);
		lt_arena_init(&arena, LT_NODE_ARENA);
		rc = read_whole(m, m->kept[i], &arena, &b, &cs);
		if (rc == LT_OK) {
			lt_salvage_kept_name(name, &cs.feed, cs.seq, &cs.hash);
			rc = write_row(m, LT_T_LOCAL, lt_slice_str(name), lt_buf_slice(&b));
		}
		lt_arena_fini(&arena);
		lt_buf_fini(&b);
	}
	return rc;
}

static int
write_state(struct making *m)
{
	int rc = m->txn == NULL ? lt_kv_begin_write(m->kv, &m->txn) : LT_OK;

	/* Of an earlier one that was not over it is still true. */
	m->row->rows = m->report.lost + (m->row->open ? m->row->rows : 0);
	m->row->older = m->report.older || (m->row->open && m->row->older);
	m->row->open = true;
	m->row->at_ms = lt_wall_ms(m->o->clock);
	if (rc == LT_OK)
		rc = lt_author_saw(m->txn, 0, m->stamp);
	if (rc == LT_OK)
		rc = lt_salvage_row_write(m->txn, m->row);
	return rc == LT_OK ? commit(m) : rc;
}

static int
fill(struct making *m)
{
	int rc = lt_kv_begin_read(m->raw, &m->old);

	/* How far an earlier one had known the feeds to go. */
	if (rc == LT_OK && lt_salvage_row_read(m->old, m->row) != LT_OK)
		memset(m->row, 0, sizeof(*m->row));
	if (rc == LT_OK)
		rc = each(m, LT_T_LOCAL, take_local);
	if (rc == LT_OK)
		rc = commit(m);
	if (rc == LT_OK)
		rc = replay(m);
	if (rc != LT_OK)
		return rc;
	LT_FAILPOINT("salvage.replayed");
	rc = write_kept(m);
	if (rc == LT_OK)
		rc = each(m, LT_T_FEED, note_head);
	if (rc == LT_OK)
		rc = each(m, LT_T_SEQ, note_number);
	if (rc == LT_OK)
		rc = each(m, LT_T_RECEIPT, take_receipt);
	if (rc == LT_OK)
		rc = each(m, LT_T_REQUEST_AT, take_request);
	if (rc == LT_OK)
		rc = lt_ruling_each(m->old, NULL, take_ruling, m);
	return rc == LT_OK ? write_state(m) : rc;
}

/* A store that opens, and of which everything verifies. */
static int
check_new(struct making *m)
{
	struct lt_kv_options o = { .path = m->new_path,
		.kind = LT_KV_NODE,
		.federation = m->o->identity->federation.b,
		.tables = lt_table_names,
		.read_only = true };
	uint64_t bad = 0;
	int rc = lt_kv_look(&o, &bad, m->err);

	if (rc == LT_OK && bad != 0)
		rc = lt_err_set(m->err, LT_E_CORRUPT, "what was written does not verify");
	return rc;
}

static void
close_both(struct making *m)
{
	lt_kv_abort(m->txn);
	lt_kv_abort(m->old);
	m->txn = m->old = NULL;
	lt_kv_close(m->raw);
	lt_kv_close(m->kv);
	m->raw = m->kv = NULL;
}

static int
make(struct making *m, char aside[64])
{
	struct lt_kv_options o = { .path = m->store,
		.kind = LT_KV_NODE,
		.federation = m->o->identity->federation.b,
		.tables = lt_table_names };
	int rc = open_both(m);

	if (rc == LT_OK)
		rc = lt_salvage_rows(&o, m->raw, &m->report, m->err);
	if (rc == LT_OK && m->report.rows == 0)
		rc = lt_err_set(m->err, LT_E_CORRUPT, "not one row of the file can be read");
	if (rc != LT_OK)
		return rc;
	LT_FAILPOINT("salvage.taken");
	rc = fill(m);
	if (rc == LT_OK)
		rc = lt_kv_settle(m->kv);
	close_both(m);
	if (rc == LT_OK)
		rc = check_new(m);
	return rc == LT_OK ? lt_salvage_put_in_place(
				 m->store, m->new_path, lt_wall_ms(m->o->clock), aside, m->err)
			   : rc;
}

int
lt_node_salvage(const struct lt_node_options *o, struct lt_err *err)
{
	struct making m = { .o = o, .err = err };
	char aside[64];
	int rc = name_paths(&m);

	if (rc == LT_OK)
		rc = lt_salvage_begin(m.store, lt_wall_ms(o->clock), err);
	if (rc != LT_OK)
		return rc;
	LT_FAILPOINT("salvage.begun");
	lt_warn("the store is made anew from what can be read of it; nothing is served until then "
		"(đang dựng lại kho dữ liệu từ những gì còn đọc được; chưa phục vụ)");
	m.row = calloc(1, sizeof(*m.row));
	rc = m.row == NULL ? LT_E_NOMEM : make(&m, aside);
	close_both(&m);
	if (rc != LT_OK && err->text[0] == '\0')
		(void)lt_err_set(err, rc, "%s", lt_strerror(rc));
	if (clear_work(&m) != 0)
		lt_warn("\"%s\" could not be cleared away", m.work);
	if (rc == LT_OK)
		lt_error(
		    "the store was made anew: %llu change-sets are here, %llu could not be read, "
		    "%llu rows were lost, %zu own change-sets wait for others%s; the damaged "
		    "file is kept as store/%s; what is missing is fetched from the province (kho "
		    "dữ liệu đã được dựng lại; phần thiếu sẽ được lấy từ tỉnh; hãy cho kiểm tra ổ "
		    "đĩa)",
		    (unsigned long long)m.taken,
		    (unsigned long long)(m.unread + m.report.table_lost[LT_T_ENTRY]),
		    (unsigned long long)m.report.lost, m.nkept,
		    m.report.older ? "; what was saved last may be missing" : "", aside);
	/* The store that is made anew takes nothing more: that is no stop. */
	if (rc == LT_E_CLOSED && !lt_daemon_told())
		rc = LT_E_IO;
	if (rc == LT_E_CLOSED || rc == LT_E_NOMEM || rc == LT_E_UNAVAILABLE || rc == LT_E_NOSPACE)
		lt_salvage_broke_off(m.store);
	free(m.kept);
	free(m.row);
	return rc;
}
