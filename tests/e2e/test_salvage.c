/* A node of which a page of the store is broken makes the store anew by itself (node/salvage.h): whichever page it is. Without a line it
 * has what could be read, and says what not; with the hub it has in the end what the hub has, and the hub has what the node had saved. Nothing
 * is signed a second time under a number, what was erased stays erased, who was revoked stays out. */
#include "hub/erase.h"
#include "hub/keys.h"
#include "node/delivery.h"
#include "node/salvage.h"
#include "proto/store/page_walk.h"
#include "proto/store/salvage.h"
#include "proto/store/short_row.h"
#include "tests/lib/province.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 40000
#define UNIT "17254"
#define ERASED_KEY "H41.65-261120-0001"
#define NUMBER "099170000016" /* of each dossier of fed_put_dossier() */
#define ACKED 30u /* dossiers that the hub has */
#define LOCAL 6u /* and that only the node has */
#define PAGES_MAX 4096
#define PAGE ((size_t)4096)
#define FEEDS_MAX 16

struct page {
	uint64_t page, n;
	enum lt_pages_kind kind;
	int table; /* LT_T_COUNT: meta; -1: LMDB's own */
};

struct own {
	struct lt_feed_id feed;
	uint64_t head;
};

struct world {
	struct fed f;
	struct fed_node n, revoked;
	char safe[300]; /* the stopped node's folder, as it was */
	struct page page[PAGES_MAX];
	size_t npage;
	size_t nown;
	struct own own[FEEDS_MAX];
	struct lt_dot erased; /* where the record that is erased was written */
	unsigned rounds; /* dossiers made since */
	unsigned olders; /* times that what was saved last might be missing */
};

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

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) != 0;

	lt_catalogue_unref(c);
	return has;
}

struct expect {
	struct world *w;
	unsigned to;
};

static bool
all_receipted(void *ctx)
{
	struct expect *e = ctx;
	Ltpb__ReasonCode reason;
	struct lt_kv_txn *txn;
	Ltpb__Delivery d;
	bool all = true;
	char key[64], text[256];
	unsigned i;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(e->w->n.node), &txn), LT_OK);
	for (i = 1; i <= e->to && all; i++) {
		(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", i);
		all = lt_node_delivery(
			  e->w->n.node, txn, "dossier", key, NULL, NULL, &d, &reason) == LT_OK &&
		      d == LTPB__DELIVERY__DELIVERY_RECEIPTED &&
		      fed_hub_field(&e->w->f, UNIT, i, "status", text, sizeof(text));
	}
	lt_kv_abort(txn);
	return all;
}

static void
put(struct world *w, unsigned from, unsigned to)
{
	for (; from <= to; from++)
		assert_int_equal(fed_put_dossier(&w->n, from, NULL, NULL), LT_OK);
}

/* How often a text stands in the values of a table. */
static size_t
count_in(struct lt_kv *kv, unsigned table, const char *text)
{
	size_t n = 0;
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, table, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK; rc = lt_kv_next(c, &k, &v))
		n += v.len != 0 && memmem(v.data, v.len, text, strlen(text)) != NULL;
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return n;
}

/* Does the record that was erased show the number that it had, or is that still beside what was signed? */
static bool
has_erased(const struct world *w, struct lt_kv *kv)
{
	const size_t len = strlen(ERASED_KEY);
	struct lt_unit unit;
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	uint64_t position = 0;
	uint8_t from[8];
	bool has = false;
	int rc;

	memcpy(unit.s, UNIT, sizeof(UNIT));
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_SHOWN, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK; rc = lt_kv_next(c, &k, &v))
		has |= k.len > len && memcmp(k.data + k.len - len, ERASED_KEY, len) == 0 &&
		       memmem(v.data, v.len, NUMBER, strlen(NUMBER)) != NULL;
	lt_kv_cursor_close(c);
	if (lt_feed_log_find(txn, &unit, &w->erased.feed, w->erased.seq, &position) == LT_OK) {
		lt_store_u64(from, position);
		assert_int_equal(lt_kv_cursor_open(txn, LT_T_OPENING, &c), LT_OK);
		for (rc = lt_kv_seek_in(c, lt_slice(from, 8), &k, &v); rc == LT_OK;
		     rc = lt_kv_next_in(c, lt_slice(from, 8), &k, &v))
			has |= memmem(v.data, v.len, NUMBER, strlen(NUMBER)) != NULL;
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(txn);
	return has;
}

static bool
erased(void *ctx)
{
	struct world *w = ctx;

	return count_in(lt_node_kv(w->n.node), LT_T_SHOWN, NUMBER) == ACKED - 1;
}

static bool
is_revoked(void *ctx)
{
	struct world *w = ctx;
	struct lt_registry *r = lt_node_registry(w->n.node);
	const struct lt_principal *p = lt_registry_find(r, &w->revoked.id->principal);
	bool is = p != NULL && lt_principal_revoked(p, 1);

	lt_registry_unref(r);
	return is;
}

static void
copy_folder(const char *from, const char *to)
{
	char cmd[1200];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	assert_int_equal(system(cmd), 0);
}

static void
see_page(void *ctx, uint64_t page, uint64_t n, enum lt_pages_kind kind, int table)
{
	struct world *w = ctx;

	assert_true(w->npage < PAGES_MAX);
	w->page[w->npage++] = (struct page){ page, n, kind, table };
}

static void
list_pages(struct world *w)
{
	struct lt_kv_table table[LT_PAGES_TABLES_MAX];
	static struct lt_pages_report report;
	struct lt_pages_options o = { .table = table, .see = see_page, .ctx = w };
	char path[400];
	struct stat st;
	void *map;
	int fd;

	for (o.ntable = 0; lt_table_names[o.ntable] != NULL; o.ntable++)
		lt_kv_table_init(&table[o.ntable], lt_table_names[o.ntable]);
	lt_kv_table_init(&table[o.ntable++], "meta");
	(void)snprintf(path, sizeof(path), "%s/store/data.mdb", w->safe);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	o.size = (size_t)st.st_size;
	map = mmap(NULL, o.size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(map != MAP_FAILED);
	o.file = map;
	o.seen = calloc(1, lt_pages_seen_bytes(o.file, o.size));
	assert_non_null(o.seen);
	w->npage = 0;
	lt_pages_walk(&o, &report);
	assert_int_equal(report.fault, LT_PAGES_WHOLE);
	free(o.seen);
	assert_int_equal(munmap(map, o.size), 0);
	assert_int_equal(close(fd), 0);
}

/* All bytes of the pages, but not a whole run of large ones. */
static void
break_page(const struct world *w, const struct page *p)
{
	uint8_t junk[4096];
	char path[400];
	int fd;

	memset(junk, 0x5a, sizeof(junk));
	(void)snprintf(path, sizeof(path), "%s/store/data.mdb", w->n.dir);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(
	    pwrite(fd, junk, sizeof(junk), (off_t)(p->page * PAGE)), (ssize_t)sizeof(junk));
	assert_int_equal(close(fd), 0);
}

static int
note_own(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct world *w = ctx;
	struct lt_id author = lt_feed_author(feed);

	(void)unit;
	if (!lt_id_eq(&author, &w->n.id->principal))
		return LT_OK;
	assert_true(w->nown < FEEDS_MAX);
	w->own[w->nown].feed = *feed;
	w->own[w->nown++].head = head->seq;
	return LT_OK;
}

/* A node with what the hub has and with what only it has, stopped; one record is erased, one machine of the province is revoked. */
static void
setup(struct world *w)
{
	struct lt_revoking out = { .key_no = 1, .reason = "stolen" };
	struct lt_erasing e = { .collection = "dossier",
		.key = ERASED_KEY,
		.reason = "request",
		.basis = "Luật 91/2025/QH15, đơn số 12" };
	struct expect all = { w, ACKED };
	struct lt_erasing_report report;
	struct lt_err err = { "" };
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	const char *why = "";

	memset(w, 0, sizeof(*w));
	lt_arena_init(&arena, (size_t)16 << 20);
	fed_setup(&w->f);
	fed_node_setup(&w->f, &w->revoked, "16906");
	fed_node_join(&w->f, &w->revoked, "one that is revoked");
	fed_node_setup(&w->f, &w->n, UNIT);
	fed_node_start(&w->f, &w->n);
	fed_wait(has_catalogue, &w->n, WAIT_MS, "the catalogue comes down");
	assert_int_equal(fed_put_dossier(&w->n, 1, NULL, &w->erased), LT_OK);
	put(w, 2, ACKED / 2);
	assert_true(has_erased(w, lt_node_kv(w->n.node)));
	memcpy(e.unit.s, UNIT, sizeof(UNIT));
	all.to = ACKED / 2;
	fed_wait(all_receipted, &all, WAIT_MS, "half of it is receipted");
	assert_int_equal(lt_hub_erase(w->f.hub, &e, &arena, &report, &why, &err), LT_OK);
	out.principal = w->revoked.id->principal;
	assert_int_equal(lt_hub_revoke(w->f.hub, &out, &why, &err), LT_OK);
	put(w, ACKED / 2 + 1, ACKED);
	all.to = ACKED;
	fed_wait(all_receipted, &all, WAIT_MS, "all of it is receipted");
	fed_wait(erased, w, WAIT_MS, "the erasure is obeyed");
	fed_wait(is_revoked, w, WAIT_MS, "the revocation is known");
	fed_hub_stop(&w->f);
	put(w, ACKED + 1, ACKED + LOCAL);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(w->n.node), &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, NULL, note_own, w), LT_OK);
	lt_kv_abort(txn);
	fed_node_stop(&w->n);
	w->n.salvage = true;
	(void)snprintf(w->safe, sizeof(w->safe), "%s.safe", w->n.dir);
	copy_folder(w->n.dir, w->safe);
	list_pages(w);
	lt_arena_fini(&arena);
}

static void
teardown(struct world *w, bool hub_runs)
{
	char cmd[400];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->safe);
	assert_int_equal(system(cmd), 0);
	if (!hub_runs)
		fed_hub_start(&w->f);
	fed_node_teardown(&w->revoked);
	fed_node_teardown(&w->n);
	fed_teardown(&w->f);
}

static int
open_alone(struct world *w, struct lt_node **out, struct lt_err *err)
{
	struct lt_node_options o = { .dir = w->n.dir,
		.identity = w->n.id,
		.clock = lt_clock_system(),
		.map_bytes = (uint64_t)1 << 30,
		.manual = true,
		.salvage = w->n.salvage };

	return lt_node_open(&o, out, err);
}

static bool
is_there(const char *dir, const char *name)
{
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

/* Every number that was given is here, or waits, or is named as missing; and what was erased is not here. Returns what is missing. */
static uint64_t
check_alone(struct world *w, struct lt_node *n, const struct page *p)
{
	struct lt_unit unit;
	struct lt_salvage_state st;
	struct lt_kv_txn *txn;
	uint64_t have = 0, made = 0, missing = 0;
	size_t i;

	memcpy(unit.s, UNIT, sizeof(UNIT));
	assert_int_equal(lt_node_salvage_state(n, &st), LT_OK);
	assert_true(st.at_ms != 0);
	assert_true(st.open);
	assert_false(st.more);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n), &txn), LT_OK);
	for (i = 0; i < w->nown; i++) {
		struct lt_head head;

		assert_int_equal(lt_feed_log_head(txn, &unit, &w->own[i].feed, &head), LT_OK);
		assert_true(head.seq <= w->own[i].head);
		have += head.seq;
		made += w->own[i].head;
	}
	for (i = 0; i < st.ngap; i++)
		missing += st.gap[i].to - st.gap[i].from + 1;
	lt_kv_abort(txn);
	/* Where the meta page before was followed, of what was saved last nothing may tell. */
	if (have + st.waiting + missing > made || have + st.waiting + missing + st.older < made)
		fail_msg(
		    "page %llu of table %d, kind %d: %llu here, %llu wait, %llu named, of %llu",
		    (unsigned long long)p->page, p->table, (int)p->kind, (unsigned long long)have,
		    (unsigned long long)st.waiting, (unsigned long long)missing,
		    (unsigned long long)made);
	/* Of the dossiers but the erased one, each once at most. */
	assert_true(count_in(lt_node_kv(n), LT_T_OPENING, NUMBER) <= ACKED + LOCAL - 1);
	assert_true(count_in(lt_node_kv(n), LT_T_SHOWN, NUMBER) <= ACKED + LOCAL - 1);
	assert_false(has_erased(w, lt_node_kv(n)));
	assert_true(is_there(w->n.dir, "store/damaged-1.mdb"));
	assert_false(is_there(w->n.dir, "salvaging"));
	w->olders += st.older;
	return missing;
}

/* ---- tests ---- */

/* Every third page (LT_SALVAGE_STEP: another), one after the other, without a line. */
static void
any_page_without_a_line(void **state)
{
	const char *text = getenv("LT_SALVAGE_STEP");
	size_t i, step = text != NULL ? (size_t)strtoul(text, NULL, 10) : 3, whole = 0, opened = 0;
	static struct world w;

	(void)state;
	setup(&w);
	assert_true(w.npage > 60);
	for (i = 0; i < w.npage; i += step) {
		struct lt_err err = { "" };
		struct lt_node *n;
		int rc;

		if (w.page[i].kind == LT_PAGES_FREE_PAGE)
			continue;
		copy_folder(w.safe, w.n.dir);
		break_page(&w, &w.page[i]);
		rc = open_alone(&w, &n, &err);
		if (rc != LT_OK)
			fail_msg("page %llu of table %d, kind %d: %s",
			    (unsigned long long)w.page[i].page, w.page[i].table,
			    (int)w.page[i].kind, err.text);
		if (is_there(w.n.dir, "store/damaged-1.mdb"))
			whole += check_alone(&w, n, &w.page[i]) == 0;
		else
			assert_int_equal(w.page[i].kind, LT_PAGES_LARGE); /* a value, and no page */
		opened++;
		lt_node_close(n);
	}
	assert_true(whole > opened / 2);
	/* A meta page, a page of names, the root of a table: no other. */
	assert_in_range(w.olders, 0, 2 + 1 + LT_T_COUNT);
	teardown(&w, false);
}

static bool
caught_up(void *ctx)
{
	struct world *w = ctx;

	return !lt_node_salvage_open(w->n.node);
}

static bool
same_rows(void *ctx)
{
	struct world *w = ctx;
	struct lt_kv_txn *hub, *node;
	struct lt_slice hk, hv, nk, nv;
	struct lt_buf mem = { 0 };
	struct lt_kv_cursor *h, *n;
	uint64_t overlay = 1;
	bool same = true;
	int hrc, nrc;

	assert_int_equal(lt_kv_begin_read(lt_hub_derived(w->f.hub), &hub), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(w->n.node), &node), LT_OK);
	assert_int_equal(lt_kv_count(node, LT_T_OVERLAY, &overlay), LT_OK);
	assert_int_equal(lt_kv_cursor_open(hub, LT_T_RECORD, &h), LT_OK);
	assert_int_equal(lt_kv_cursor_open(node, LT_T_RECORD, &n), LT_OK);
	hrc = lt_kv_seek(h, lt_slice(NULL, 0), &hk, &hv);
	nrc = lt_kv_seek(n, lt_slice(NULL, 0), &nk, &nv);
	while (same && hrc == LT_OK && nrc == LT_OK) {
		same = lt_slice_eq(hk, nk) && lt_record_whole(hub, hk, hv, &mem, &hv) == LT_OK &&
		       lt_slice_eq(hv, nv);
		hrc = lt_kv_next(h, &hk, &hv);
		nrc = lt_kv_next(n, &nk, &nv);
	}
	same = same && overlay == 0 && hrc == LT_E_NOTFOUND && nrc == LT_E_NOTFOUND;
	lt_kv_cursor_close(h);
	lt_kv_cursor_close(n);
	lt_buf_fini(&mem);
	lt_kv_abort(hub);
	lt_kv_abort(node);
	return same;
}

static bool
is_new_feed(const struct world *w, const struct lt_feed_id *feed)
{
	size_t i;

	for (i = 0; i < w->nown; i++)
		if (lt_feed_id_cmp(&w->own[i].feed, feed) == 0)
			return false;
	return true;
}

/* A page of this kind of this table, the one in the middle of those there are; NULL: there is none. */
static const struct page *
middle(const struct world *w, int table, enum lt_pages_kind kind)
{
	size_t i, n = 0, at = 0;

	for (i = 0; i < w->npage; i++)
		n += w->page[i].table == table && w->page[i].kind == kind;
	for (i = 0; i < w->npage && n != 0; i++)
		if (w->page[i].table == table && w->page[i].kind == kind && at++ == n / 2)
			return &w->page[i];
	return NULL;
}

/* The hub has all that was saved, but what stood on the broken page alone. */
static void
with_the_hub(struct world *w, const struct page *p)
{
	struct expect all = { w, ACKED };
	struct lt_salvage_state st;
	struct lt_dot dot;
	size_t shown;

	copy_folder(w->safe, w->n.dir);
	break_page(w, p);
	fed_node_start(&w->f, &w->n);
	assert_true(is_there(w->n.dir, "store/damaged-1.mdb"));
	fed_wait(all_receipted, &all, WAIT_MS, "what the hub had is here again");
	fed_wait(caught_up, w, WAIT_MS, "all is here again");
	assert_int_equal(fed_put_dossier(&w->n, 500 + ++w->rounds, NULL, &dot), LT_OK);
	assert_true(is_new_feed(w, &dot.feed));
	assert_int_equal(dot.seq, 1);
	assert_int_equal(lt_node_salvage_state(w->n.node, &st), LT_OK);
	if (st.ngap == 0) {
		all.to = ACKED + LOCAL;
		fed_wait(all_receipted, &all, WAIT_MS, "what only this machine had is at the hub");
	}
	fed_wait(same_rows, w, WAIT_MS, "hub and node have the same rows");
	assert_true(is_revoked(w));
	assert_false(has_erased(w, lt_node_kv(w->n.node)));
	/* Of the rounds before the hub may have what is lost in this one. */
	shown = count_in(lt_node_kv(w->n.node), LT_T_SHOWN, NUMBER);
	assert_in_range(shown, ACKED - 1 + w->rounds, ACKED + LOCAL - 1 + w->rounds);
	if (st.ngap == 0)
		assert_int_equal(shown, ACKED + LOCAL - 1 + w->rounds);
	fed_node_stop(&w->n);
}

static void
a_page_of_each_kind_with_the_hub(void **state)
{
	static const int tables[] = { LT_T_ENTRY, LT_T_SEQ, LT_T_OPENING, LT_T_LOCAL };
	static const enum lt_pages_kind kinds[] = { LT_PAGES_BRANCH, LT_PAGES_LEAF };
	static struct world w;
	size_t i, k, n = 0;

	(void)state;
	setup(&w);
	fed_hub_start(&w.f);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (k = 0; k < 2; k++) {
			const struct page *p = middle(&w, tables[i], kinds[k]);

			if (p == NULL)
				continue;
			with_the_hub(&w, p);
			n++;
		}
	assert_true(n >= 6);
	with_the_hub(&w, &w.page[0]); /* a meta page */
	teardown(&w, true);
}

/* Of the numbers that only this machine had, one is gone for good: it is named, and those behind it wait. */
static void
what_nobody_has(void **state)
{
	struct lt_salvage_state st;
	static struct world w;
	struct lt_kv_txn *txn;
	struct lt_node *n;
	struct lt_err err = { "" };
	uint64_t position = 0;
	uint8_t key[8];
	size_t i, lane = 0;
	struct expect all = { &w, ACKED };
	struct lt_unit unit;

	(void)state;
	setup(&w);
	memcpy(unit.s, UNIT, sizeof(UNIT));
	for (i = 0; i < w.nown; i++)
		if (w.own[i].head > w.own[lane].head)
			lane = i;
	/* A row is gone as if it had never been, and another page is broken. */
	w.n.salvage = false;
	if (open_alone(&w, &n, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_int_equal(lt_kv_begin_write(lt_node_kv(n), &txn), LT_OK);
	assert_int_equal(
	    lt_feed_log_find(txn, &unit, &w.own[lane].feed, w.own[lane].head - 3, &position),
	    LT_OK);
	lt_store_u64(key, position);
	assert_int_equal(lt_kv_del(txn, LT_T_ENTRY, lt_slice(key, 8)), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	lt_node_close(n);
	copy_folder(w.n.dir, w.safe);
	list_pages(&w);
	assert_non_null(middle(&w, LT_T_SHOWN, LT_PAGES_LEAF));
	break_page(&w, middle(&w, LT_T_SHOWN, LT_PAGES_LEAF));
	w.n.salvage = true;
	fed_hub_start(&w.f);
	fed_node_start(&w.f, &w.n);
	fed_wait(all_receipted, &all, WAIT_MS, "what the hub had is here again");
	fed_wait(caught_up, &w, WAIT_MS, "all is here again");
	assert_int_equal(lt_node_salvage_state(w.n.node, &st), LT_OK);
	assert_int_equal(st.ngap, 1);
	assert_int_equal(st.gap[0].from, w.own[lane].head - 3);
	assert_int_equal(st.gap[0].to, w.own[lane].head - 3);
	assert_int_equal(st.waiting, 3);
	fed_node_stop(&w.n);
	/* And so after another start. */
	fed_node_start(&w.f, &w.n);
	assert_false(lt_node_salvage_open(w.n.node));
	assert_int_equal(lt_node_salvage_state(w.n.node, &st), LT_OK);
	assert_int_equal(st.ngap, 1);
	assert_int_equal(st.waiting, 3);
	fed_node_stop(&w.n);
	teardown(&w, true);
}

/* Not a second time within a day, not where it is switched off, and not what leads to no table. */
static void
what_stays_as_it_is(void **state)
{
	static struct world w;
	struct lt_err err = { "" };
	struct lt_node *n;
	const struct page *p;
	size_t i;

	(void)state;
	setup(&w);
	p = middle(&w, LT_T_ENTRY, LT_PAGES_LEAF);
	assert_non_null(p);
	break_page(&w, p);
	w.n.salvage = false;
	assert_int_equal(open_alone(&w, &n, &err), LT_E_CORRUPT);
	assert_false(is_there(w.n.dir, "store/damaged-1.mdb"));
	assert_false(is_there(w.n.dir, "store/salvage"));
	w.n.salvage = true;
	/* A full disk is a matter for the next start, and nothing is noted of it. */
	no_room = true;
	assert_int_equal(open_alone(&w, &n, &err), LT_E_NOSPACE);
	no_room = false;
	assert_false(is_there(w.n.dir, "store/salvage"));
	assert_int_equal(open_alone(&w, &n, &err), LT_OK);
	lt_node_close(n);
	break_page(&w, &w.page[0]);
	break_page(&w, &w.page[1]);
	assert_int_equal(open_alone(&w, &n, &err), LT_E_CORRUPT);
	assert_non_null(strstr(err.text, "less than a day ago"));
	assert_false(is_there(w.n.dir, "store/damaged-2.mdb"));
	/* Three times in vain, and no more. */
	copy_folder(w.safe, w.n.dir);
	break_page(&w, &(struct page){ .page = 0 });
	break_page(&w, &(struct page){ .page = 1 });
	assert_int_equal(open_alone(&w, &n, &err), LT_E_CORRUPT);
	assert_int_equal(open_alone(&w, &n, &err), LT_E_CORRUPT);
	assert_int_equal(open_alone(&w, &n, &err), LT_E_CORRUPT);
	assert_non_null(strstr(err.text, "leads to its tables"));
	assert_int_equal(open_alone(&w, &n, &err), LT_E_CORRUPT);
	assert_non_null(strstr(err.text, "3 times within a day"));
	assert_false(is_there(w.n.dir, "salvaging"));
	/* Its tables are named, and nothing of them can be read, as of now or before: no empty store in its place. */
	copy_folder(w.safe, w.n.dir);
	for (i = 0; i < w.npage; i++)
		if (w.page[i].kind == LT_PAGES_FREE_PAGE ||
		    (w.page[i].table >= 0 && w.page[i].table < (int)LT_T_COUNT))
			break_page(&w, &w.page[i]);
	assert_int_equal(open_alone(&w, &n, &err), LT_E_CORRUPT);
	assert_non_null(strstr(err.text, "not one row"));
	assert_false(is_there(w.n.dir, "store/damaged-1.mdb"));
	teardown(&w, false);
}

/* Dead at each step of it, the next start comes to the end. */
static void
stops_at_each_step(struct province *p, const struct world *w, const struct page *page)
{
	static const char *const points[] = { "salvage.begun", "salvage.taken", "salvage.replayed",
		"salvage.linked", "salvage.renamed", "salvage.in_place" };
	Ltpb__StatusReply *r;
	struct lt_conn *c;
	char env[64];
	size_t i;

	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		const char *envs[] = { env, NULL };

		(void)snprintf(env, sizeof(env), "LIENTHONG_FAILPOINT=%s", points[i]);
		copy_folder(w->safe, w->n.dir);
		break_page(w, page);
		daemon_start(&p->node, envs);
		assert_true(daemon_wait(&p->node, WAIT_MS));
		assert_true(WIFSIGNALED(p->node.status));
		daemon_start(&p->node, NULL);
		c = daemon_dial_wait(&p->node, p->pool, WAIT_MS);
		r = province_status(c);
		assert_true(r->salvaged_ms != 0);
		assert_true(r->salvage_rows > 0);
		province_free(r);
		lt_conn_close(c);
		(void)daemon_stop(&p->node);
		assert_true(is_there(w->n.dir, "store/damaged-1.mdb"));
		/* In place beside what was noted of the old one: it counts as older than that, and is made anew once more. */
		assert_int_equal(is_there(w->n.dir, "store/damaged-2.mdb"),
		    strcmp(points[i], "salvage.renamed") == 0);
		assert_false(is_there(w->n.dir, "salvaging/store"));
	}
}

static bool
fetched_all(void *ctx)
{
	Ltpb__StatusReply *r = province_status(ctx);
	bool open = r->salvage_open;

	assert_true(r->salvaged_ms != 0);
	assert_true(r->salvage_rows > 0);
	assert_true(open || r->n_salvage_gap == 0);
	province_free(r);
	return !open;
}

/* The program itself: it starts on such a store, says so, and asks the hub; the next damage within a day it leaves to a person. */
static void
the_program(void **state)
{
	static struct province p;
	static struct world w;
	Ltpb__StatusReply *r;
	struct lt_conn *c;
	char cmd[400];
	unsigned i;

	(void)state;
	memset(&w, 0, sizeof(w));
	province_setup(&p, UNIT, 0);
	province_start(&p, NULL, NULL);
	c = daemon_dial_wait(&p.node, p.pool, WAIT_MS);
	for (i = 1; i <= 20; i++) {
		ProtobufCMessage *reply = NULL;
		struct dossier_put d;
		struct lt_status st;

		dossier_put_init(&d, i, true, "QD-1");
		assert_int_equal(lt_conn_call_wait(c, &ltpb__records__descriptor, "Put",
				     &d.req.base, 10000, &reply, &st),
		    LT_STATUS_OK);
		province_free(reply);
	}
	province_settle(&p, WAIT_MS);
	r = province_status(c);
	assert_int_equal(r->salvaged_ms, 0);
	province_free(r);
	lt_conn_close(c);
	(void)daemon_stop(&p.node);
	w.n = p.n;
	(void)snprintf(w.safe, sizeof(w.safe), "%s.safe", p.n.dir);
	copy_folder(w.n.dir, w.safe);
	list_pages(&w);
	assert_non_null(middle(&w, LT_T_ENTRY, LT_PAGES_LEAF));
	stops_at_each_step(&p, &w, middle(&w, LT_T_ENTRY, LT_PAGES_LEAF));
	copy_folder(w.safe, w.n.dir);
	break_page(&w, middle(&w, LT_T_ENTRY, LT_PAGES_LEAF));
	daemon_start(&p.node, NULL);
	c = daemon_dial_wait(&p.node, p.pool, WAIT_MS);
	fed_wait(fetched_all, c, WAIT_MS, "what the hub has is here again");
	lt_conn_close(c);
	province_settle(&p, WAIT_MS);
	(void)daemon_stop(&p.node);
	assert_true(daemon_logged(&p.node, "the store was made anew"));
	break_page(&w, &(struct page){ .page = 0 });
	break_page(&w, &(struct page){ .page = 1 });
	daemon_start(&p.node, NULL);
	assert_true(daemon_wait(&p.node, WAIT_MS));
	assert_true(WIFEXITED(p.node.status));
	assert_int_equal(WEXITSTATUS(p.node.status), 4);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w.safe);
	assert_int_equal(system(cmd), 0);
	province_teardown(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_page_without_a_line),
		cmocka_unit_test(a_page_of_each_kind_with_the_hub),
		cmocka_unit_test(what_nobody_has),
		cmocka_unit_test(what_stays_as_it_is),
		cmocka_unit_test(the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
