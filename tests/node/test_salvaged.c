/* A node over a store that was made anew, by hand: what is kept of its own goes in as soon as what is before it is back, however often that was
 * tried in vain; another branch's change-set stays; nothing is told as over that is not. */
#include "node/salvage_impl.h"
#include "proto/store/compact.h"
#include "proto/store/kv_test.h"
#include "tests/lib/memnode.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define ok(expr) assert_int_equal(expr, LT_OK)
#define UNIT "17254"
#define SENT 3u /* that the hub has */
#define LAST 6u
#define BEGIN_WRITE_MAX 200 /* store calls of a catch-up that are made to fail */

struct world {
	struct memnode_story story;
	struct memfed_marks told;
	struct lt_arena arena;
	struct lt_unit unit;
	struct lt_feed_id feed;
	struct lt_slice bytes[LAST + 1];
	struct lt_hash hash[LAST + 1];
};

static int
find_own(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct world *w = ctx;
	struct lt_id author = lt_feed_author(feed);

	(void)unit;
	if (lt_id_eq(&author, &w->story.a.n.id->principal) && head->seq == LAST)
		w->feed = *feed;
	return LT_OK;
}

/* What the feed has, openings and all. */
static void
read_feed(struct world *w)
{
	struct lt_kv_txn *txn;
	unsigned i;

	ok(lt_kv_begin_read(w->story.a.kv, &txn));
	ok(lt_feed_log_each(txn, NULL, find_own, w));
	for (i = 1; i <= LAST; i++) {
		struct lt_entry e;
		struct lt_buf b;
		uint64_t position;

		ok(lt_feed_log_find(txn, &w->unit, &w->feed, i, &position));
		ok(lt_feed_log_hash(txn, &w->unit, &w->feed, i, &w->hash[i]));
		ok(lt_feed_log_read(txn, position, &e));
		lt_buf_init(&b, LT_MESSAGE_MAX);
		ok(lt_feed_log_compose(txn, &e, NULL, NULL, &b, NULL));
		w->bytes[i] = lt_slice(lt_arena_dup(&w->arena, b.data, b.len), b.len);
		lt_buf_fini(&b);
	}
	lt_kv_abort(txn);
}

/* Its store is another one, with what the hub has. */
static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct memnode *a;
	unsigned i;

	assert_non_null(w);
	a = &w->story.a;
	lt_arena_init(&w->arena, (size_t)16 << 20);
	ok(lt_unit_set(&w->unit, lt_slice_str(UNIT)));
	memnode_begin(&w->story, true, &w->told);
	for (i = 1; i <= SENT; i++)
		memnode_put(&w->story, a, i, NULL);
	assert_int_equal(memnode_sync(&w->story, a), SENT);
	for (; i <= LAST; i++)
		memnode_put(&w->story, a, i, NULL);
	read_feed(w);
	memnode_stop(a);
	lt_kv_close(a->kv);
	a->kv = memfed_store(&w->story.m.f, LT_KV_NODE);
	memnode_start(&w->story, a);
	assert_int_equal(memnode_sync(&w->story, a), 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	memnode_end(&w->story);
	lt_arena_fini(&w->arena);
	free(w);
	return 0;
}

static void
keep(struct world *w, struct lt_kv_txn *txn, unsigned seq, unsigned as)
{
	char name[LT_SALVAGE_NAME];

	lt_salvage_kept_name(name, &w->feed, seq, &w->hash[as]);
	ok(lt_local_put(txn, name, w->bytes[as]));
}

/* As a salvage left it: these are kept. The node begins over it. */
static void
salvaged(struct world *w, unsigned from, unsigned to)
{
	struct lt_salvage_row row = { .open = true, .at_ms = 1, .rows = 1 };
	struct memnode *a = &w->story.a;
	struct lt_kv_txn *txn;

	memnode_stop(a);
	lt_salvage_row_note(&row, &w->feed, LAST);
	ok(lt_kv_begin_write(a->kv, &txn));
	ok(lt_salvage_row_write(txn, &row));
	for (; from <= to; from++)
		keep(w, txn, from, from);
	ok(lt_kv_commit(txn));
	memnode_start(&w->story, a);
}

static uint64_t
head(struct world *w)
{
	struct lt_kv_txn *txn;
	struct lt_head h;

	ok(lt_kv_begin_read(w->story.a.kv, &txn));
	ok(lt_feed_log_head(txn, &w->unit, &w->feed, &h));
	lt_kv_abort(txn);
	return h.seq;
}

/* The hub takes all of it. */
static void
is_sent(struct world *w)
{
	struct lt_kv_txn *txn;
	struct lt_head h;

	(void)memnode_sync(&w->story, &w->story.a);
	ok(lt_kv_begin_read(w->story.m.log, &txn));
	ok(lt_feed_log_head(txn, &w->unit, &w->feed, &h));
	lt_kv_abort(txn);
	assert_int_equal(h.seq, LAST);
	assert_true(lt_hash_eq(&h.hash, &w->hash[LAST]));
}

static bool
is_kept(struct world *w, unsigned seq, unsigned as)
{
	char name[LT_SALVAGE_NAME];
	struct lt_kv_txn *txn;
	struct lt_slice v;
	bool is;

	lt_salvage_kept_name(name, &w->feed, seq, &w->hash[as]);
	ok(lt_kv_begin_read(w->story.a.kv, &txn));
	is = lt_local_get(txn, name, &v) == LT_OK;
	lt_kv_abort(txn);
	return is;
}

static struct lt_salvage_state
state_of(struct world *w)
{
	struct lt_salvage_state st;

	ok(lt_node_salvage_state(w->story.a.n.node, &st));
	return st;
}

static void
is_over(struct world *w)
{
	struct lt_salvage_state st = state_of(w);
	unsigned i;

	assert_false(st.open);
	assert_false(lt_node_salvage_waits(w->story.a.n.node));
	assert_int_equal(st.waiting, 0);
	assert_int_equal(st.ngap, 0);
	assert_int_equal(head(w), LAST);
	for (i = 1; i <= LAST; i++)
		assert_false(is_kept(w, i, i));
}

static void
took(void *ctx, int rc, const char *why)
{
	(void)why;
	*(int *)ctx = rc;
}

static void
comes_down(struct world *w, unsigned seq)
{
	int rc = LT_E_GAP;

	ok(lt_node_apply(w->story.a.n.node, w->bytes[seq], took, &rc));
	while (lt_node_step(w->story.a.n.node))
		;
	ok(rc);
}

/* ---- tests ---- */

/* And it goes to the hub. */
static void
what_follows_goes_in(void **state)
{
	struct world *w = *state;

	salvaged(w, SENT + 1, LAST);
	assert_true(lt_node_salvage_open(w->story.a.n.node));
	assert_int_equal(state_of(w).waiting, LAST - SENT);
	assert_false(lt_compact_is_owed(w->story.a.kv));
	ok(lt_node_salvage_caught_up(w->story.a.n.node));
	is_over(w);
	/* An act does not reach what was kept: its bytes go with the next start. */
	assert_true(lt_compact_is_owed(w->story.a.kv));
	is_sent(w);
}

/* What came down with the hub's own is not kept besides. */
static void
what_came_back_goes(void **state)
{
	struct world *w = *state;

	salvaged(w, 1, SENT);
	ok(lt_node_salvage_caught_up(w->story.a.n.node));
	assert_int_equal(state_of(w).waiting, 0);
	assert_int_equal(state_of(w).ngap, 1);
	assert_true(lt_compact_is_owed(w->story.a.kv));
}

struct names {
	char text[512];
	unsigned n, max;
};

static int
note_name(void *ctx, const char *record)
{
	struct names *a = ctx;
	size_t len = strlen(a->text);

	if (a->n == a->max)
		return LT_E_CANCELLED;
	a->n++;
	(void)snprintf(a->text + len, sizeof(a->text) - len, "%s ", record);
	return LT_OK;
}

/* What no record shows has a name, so that a person finds it. */
static void
what_is_kept_is_named(void **state)
{
	struct world *w = *state;
	struct names a = { .max = 9 };

	ok(lt_node_salvage_records(w->story.a.n.node, note_name, &a));
	assert_string_equal(a.text, "");
	salvaged(w, SENT + 2, LAST);
	ok(lt_node_salvage_records(w->story.a.n.node, note_name, &a));
	assert_string_equal(a.text, "dossier/H41.65-261120-0005 dossier/H41.65-261120-0006 ");
	a = (struct names){ .max = 1 };
	ok(lt_node_salvage_records(w->story.a.n.node, note_name, &a));
	assert_string_equal(a.text, "dossier/H41.65-261120-0005 ");
	/* One that does not parse does not hide the others. */
	w->bytes[2] = lt_slice_str("x");
	salvaged(w, 2, 2);
	a = (struct names){ .max = 9 };
	ok(lt_node_salvage_records(w->story.a.n.node, note_name, &a));
	assert_int_equal(a.n, 2);
}

/* The hub may have later what it lacks now (a hub that was restored): what waits behind it goes in then, also after another start. */
static void
what_is_lost_may_come_later(void **state)
{
	struct world *w = *state;
	struct lt_salvage_state st;
	unsigned i;

	for (i = 0; i < 2; i++) {
		if (i == 0)
			salvaged(w, SENT + 2, LAST);
		else {
			memnode_stop(&w->story.a);
			memnode_start(&w->story, &w->story.a);
		}
		ok(lt_node_salvage_caught_up(w->story.a.n.node));
		st = state_of(w);
		assert_false(st.open);
		assert_int_equal(st.ngap, 1);
		assert_int_equal(st.gap[0].from, SENT + 1);
		assert_int_equal(st.gap[0].to, SENT + 1);
		assert_int_equal(st.waiting, LAST - SENT - 1);
		assert_true(lt_node_salvage_waits(w->story.a.n.node));
	}
	comes_down(w, SENT + 1);
	ok(lt_node_salvage_caught_up(w->story.a.n.node));
	is_over(w);
	is_sent(w);
}

/* Which call fails, and how. */
struct failing {
	uint64_t at;
	bool did;
};

static int
fails(void *ctx, uint64_t ordinal)
{
	struct failing *f = ctx;

	if (ordinal != f->at)
		return LT_OK;
	f->did = true;
	return LT_E_NOSPACE;
}

/* No room for the first, for the second, ...: it is not over, and the next time it goes on. */
static void
what_fails_is_tried_again(void **state)
{
	struct world *w = *state;
	struct failing f = { .at = 0 };
	unsigned failed = 0;
	int rc;

	salvaged(w, SENT + 1, LAST);
	while (lt_node_step(w->story.a.n.node))
		; /* what a start has to do */
	do {
		f.did = false;
		f.at++;
		assert_true(f.at < BEGIN_WRITE_MAX);
		lt_kv_set_fault(w->story.a.kv, fails, &f);
		rc = lt_node_salvage_caught_up(w->story.a.n.node);
		lt_kv_set_fault(w->story.a.kv, NULL, NULL);
		failed += rc != LT_OK;
		/* A failure in another transaction than that of a kept one may be without consequence. */
		assert_true(f.did || rc == LT_OK);
		if (rc != LT_OK) {
			assert_true(lt_node_salvage_open(w->story.a.n.node));
			assert_true(state_of(w).open);
		}
	} while (rc != LT_OK || f.did);
	assert_true(failed > 3);
	ok(lt_node_salvage_caught_up(w->story.a.n.node));
	is_over(w);
	is_sent(w);
}

/* The row that tells how far the feeds went is damaged: what is kept goes in all the same, and nobody says that it is over. */
static void
without_the_row(void **state)
{
	struct world *w = *state;
	struct lt_salvage_state st;

	salvaged(w, SENT + 1, LAST);
	memnode_stop(&w->story.a);
	ok(lt_kv_test_flip(w->story.a.kv, LT_T_LOCAL, lt_slice_str(LT_SALVAGE_ROW), 9, NULL));
	memnode_start(&w->story, &w->story.a);
	assert_true(lt_node_salvage_open(w->story.a.n.node));
	assert_int_equal(lt_node_salvage_caught_up(w->story.a.n.node), LT_E_CORRUPT);
	assert_int_equal(head(w), LAST);
	assert_int_equal(lt_node_salvage_state(w->story.a.n.node, &st), LT_E_CORRUPT);
	assert_true(lt_node_salvage_open(w->story.a.n.node));
	is_sent(w);
}

/* Both sides of what is a name of such a row. */
static void
names(void **state)
{
	struct world *w = *state;
	char name[LT_SALVAGE_NAME];
	struct lt_feed_id feed;
	uint64_t seq = 0;
	size_t len;

	lt_salvage_kept_name(name, &w->feed, UINT64_MAX, &w->hash[1]);
	len = strlen(name);
	assert_true(lt_salvage_kept_parse(lt_slice_str(name), &feed, &seq));
	assert_int_equal(lt_feed_id_cmp(&feed, &w->feed), 0);
	assert_true(seq == UINT64_MAX);
	while (len-- > 0)
		assert_false(lt_salvage_kept_parse(lt_slice(name, len), &feed, &seq));
	name[0] = 'S';
	assert_false(lt_salvage_kept_parse(lt_slice_str(name), &feed, &seq));
}

/* Under a number that the feed has as another: it is not the same, and nobody else may have it. It stays, and is told. */
static void
another_branch_stays(void **state)
{
	struct world *w = *state;
	struct lt_kv_txn *txn;

	salvaged(w, SENT + 1, LAST);
	ok(lt_kv_begin_write(w->story.a.kv, &txn));
	keep(w, txn, 2, 5); /* another hash than that of number 2 */
	keep(w, txn, SENT + 1, 6); /* two of one number; this one does not follow */
	keep(w, txn, 2, 2);
	ok(lt_kv_commit(txn));
	ok(lt_node_salvage_caught_up(w->story.a.n.node));
	assert_int_equal(head(w), LAST);
	assert_true(is_kept(w, 2, 5));
	assert_true(is_kept(w, SENT + 1, 6));
	assert_false(is_kept(w, 2, 2));
	assert_false(is_kept(w, SENT + 1, SENT + 1));
	assert_int_equal(state_of(w).waiting, 2);
	assert_int_equal(state_of(w).ngap, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_follows_goes_in, setup, teardown),
		cmocka_unit_test_setup_teardown(what_came_back_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_kept_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_lost_may_come_later, setup, teardown),
		cmocka_unit_test_setup_teardown(what_fails_is_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(another_branch_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(without_the_row, setup, teardown),
		cmocka_unit_test_setup_teardown(names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
