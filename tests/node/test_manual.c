/* A node without a thread that is told the same as one with its thread comes to the same bytes in every table, over the
 * talk with a hub as it goes on a line: joining, writing, pushing, receipts, verdicts, a neighbour's records, a second
 * catalogue that has every record worked out anew. */
#include "tests/lib/memnode.h"

#include "proto/base/wire.h"
#include "proto/store/feed_log.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define UNIT "17254"
static void
tell(struct memnode_story *s)
{
	unsigned i;

	for (i = 1; i <= 9; i++)
		memnode_put(s, &s->a, i, NULL);
	memnode_put(s, &s->a, 1, "dang_xu_ly");
	assert_int_equal(memnode_sync(s, &s->a), 10);
	assert_int_equal(memnode_sync(s, &s->b), 0);
	memnode_put(s, &s->b, 1, "tam_dung");
	memnode_put(s, &s->b, 20, NULL);
	memnode_put(s, &s->a, 2, "dang_xu_ly"); /* each without the other's */
	memnode_put(s, &s->b, 2, "tam_dung");
	assert_int_equal(memnode_sync(s, &s->b), 3);
	memnode_stop(&s->a);
	memnode_start(s, &s->a);
	assert_int_equal(memnode_sync(s, &s->a), 1);
	fed_publish_second(&s->m.f);
	memfed_settle(&s->m);
	assert_int_equal(memnode_sync(s, &s->a), 0);
	memnode_put(s, &s->a, 3, "dang_xu_ly");
}

/* ---- comparing ---- */

struct wanted {
	struct lt_kv *kv;
	const struct lt_buf *want;
};

static bool
is_same(void *ctx)
{
	const struct wanted *w = ctx;
	struct lt_buf have = { 0 };
	bool same;

	memfed_dump(w->kv, &have);
	same = lt_slice_eq(lt_buf_slice(&have), lt_buf_slice(w->want));
	lt_buf_fini(&have);
	return same;
}

static void
with_and_without_a_thread(void **state)
{
	static struct memfed_marks marks;
	static struct memnode_story with, without;
	struct lt_buf node = { 0 }, log = { 0 };
	struct wanted w = { .want = &node };

	(void)state;
	memnode_begin(&without, true, &marks);
	tell(&without);
	while (lt_node_step(without.a.n.node))
		;
	memfed_dump(without.a.kv, &node);
	memfed_dump(without.m.log, &log);
	assert_true(node.len > 100000);
	memnode_end(&without);
	marks.n = 0;
	memnode_begin(&with, false, &marks);
	tell(&with);
	w.kv = with.a.kv; /* the thread has its steps of the second catalogue to do yet */
	fed_wait(is_same, &w, 20000, "the tables of the node with a thread are the same");
	w.kv = with.m.log;
	w.want = &log;
	assert_true(is_same(&w));
	memnode_end(&with);
	lt_buf_fini(&node);
	lt_buf_fini(&log);
}

static void
told(void *ctx, int rc, const char *why)
{
	(void)why;
	*(int *)ctx = rc;
}

/* What came down waits for a step; a write does not, and takes what waits with it. */
static void
one_step_at_a_time(void **state)
{
	static struct memfed_marks marks;
	static struct memnode_story s;
	struct lt_kv_txn *txn;
	struct lt_entry e;
	struct lt_err err = { "" };
	struct lt_buf cs;
	uint64_t last;
	int rc = 1;

	(void)state;
	marks.n = 0;
	memnode_begin(&s, true, &marks);
	while (lt_node_step(s.a.n.node)) /* of the first catalogue */
		;
	memnode_put(&s, &s.b, 7, NULL);
	assert_int_equal(lt_kv_begin_read(s.b.kv, &txn), LT_OK);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	assert_int_equal(lt_feed_log_read(txn, last, &e), LT_OK);
	lt_buf_init(&cs, LT_MESSAGE_MAX);
	assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, &cs, &err), LT_OK);
	lt_kv_abort(txn);
	assert_int_equal(memnode_sync(&s, &s.a), 0); /* who b is */
	assert_int_equal(lt_node_apply(s.a.n.node, lt_buf_slice(&cs), told, &rc), LT_OK);
	assert_int_equal(rc, 1);
	assert_true(lt_node_step(s.a.n.node));
	assert_int_equal(rc, LT_OK);
	assert_false(lt_node_step(s.a.n.node));
	rc = 1;
	assert_int_equal(lt_node_apply(s.a.n.node, lt_buf_slice(&cs), told, &rc), LT_OK);
	assert_int_equal(rc, 1);
	memnode_put(&s, &s.a, 8, NULL);
	assert_int_equal(rc, LT_OK);
	assert_false(lt_node_step(s.a.n.node));
	lt_buf_fini(&cs);
	memnode_end(&s);
}

static void
store_failed(void *ctx, int rc)
{
	*(int *)ctx = rc;
}

struct fault {
	uint64_t at;
	bool met;
};

static int
fail_at(void *ctx, uint64_t ordinal)
{
	struct fault *f = ctx;

	f->met |= ordinal == f->at;
	return ordinal == f->at ? LT_E_IO : LT_OK;
}

/* Every store call of a write fails in turn. None of it is kept; when it is the commit, that is told once and nothing more is
 * taken. Over the same disk another goes on. */
static void
a_disk_that_fails(void **state)
{
	static struct memfed_marks marks;
	static struct memnode_story s;
	struct lt_buf before = { 0 };
	struct lt_node_options no = { .manual = true, .store_failed = store_failed };
	struct wanted w = { .want = &before };
	struct lt_err err = { "" };
	struct fault f = { 0 };
	int failed = 0;

	(void)state;
	marks.n = 0;
	memnode_begin(&s, true, &marks);
	memnode_stop(&s.a);
	memfed_dump(s.a.kv, &before);
	w.kv = s.a.kv;
	no.identity = s.a.n.id;
	no.clock = &s.m.clock;
	no.kv = s.a.kv;
	no.store_failed_ctx = &failed;
	assert_int_equal(lt_node_open(&no, &s.a.n.node, &err), LT_OK);
	while (lt_node_step(s.a.n.node))
		;
	while (failed == 0) {
		f.at++;
		f.met = false;
		lt_kv_set_fault(s.a.kv, fail_at, &f);
		assert_int_equal(fed_put_dossier(&s.a.n, 1, NULL, NULL), LT_E_IO);
		assert_true(f.met);
		assert_true(is_same(&w));
	}
	assert_int_equal(failed, LT_E_IO);
	assert_true(f.at > 10);
	lt_kv_set_fault(s.a.kv, NULL, NULL);
	assert_int_equal(fed_put_dossier(&s.a.n, 1, NULL, NULL), LT_E_CLOSED);
	lt_node_close(s.a.n.node);
	assert_true(is_same(&w));
	memnode_start(&s, &s.a);
	memnode_put(&s, &s.a, 1, NULL);
	assert_false(is_same(&w));
	lt_buf_fini(&before);
	memnode_end(&s);
}

static void
put_local(struct lt_kv *kv, const char *name, const char *value)
{
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_write(kv, &txn), LT_OK);
	assert_int_equal(lt_local_put(txn, name, lt_slice_str(value)), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

/* A store that cannot be used says why: who reads it in a log has nothing else. */
static void
a_row_that_is_no_good(void **state)
{
	static const struct {
		const char *name, *value, *says;
	} row[] = { { "province", "not a unit", "province" },
		{ "hub_certificate", "not a certificate", "ertificate" } };
	static struct memfed_marks marks;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		static struct memnode_story s;
		struct lt_node_options no = { .manual = true };
		struct lt_node *n = NULL;
		struct lt_err err = { "" };

		marks.n = 0;
		memnode_begin(&s, true, &marks);
		memnode_stop(&s.a);
		put_local(s.a.kv, row[i].name, row[i].value);
		no.identity = s.a.n.id;
		no.clock = &s.m.clock;
		no.kv = s.a.kv;
		assert_int_not_equal(lt_node_open(&no, &n, &err), LT_OK);
		assert_null(n);
		if (strstr(err.text, row[i].says) == NULL)
			fail_msg("%s: \"%s\"", row[i].name, err.text);
		memnode_end(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_and_without_a_thread),
		cmocka_unit_test(one_step_at_a_time),
		cmocka_unit_test(a_disk_that_fails),
		cmocka_unit_test(a_row_that_is_no_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
