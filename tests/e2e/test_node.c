/* A node's own machinery against a real hub: its link that stops while clerks write, a second catalogue. */
#include "tests/lib/federation.h"
#include "proto/store/catalogue_store.h"
#include "node/own_feeds.h"
#include "proto/store/feed_log.h"
#include "proto/store/projection.h"
#include "proto/store/rebuild.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS 3
#define ROUNDS 60

/* ---- what tests wait for ---- */

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) != 0;

	lt_catalogue_unref(c);
	return has;
}

/* ---- the link stops while clerks write ---- */

struct clerk {
	struct fed_node *n;
	unsigned first;
	atomic_bool *stop;
	_Atomic unsigned written;
	_Atomic int rc;
};

static void *
clerk_main(void *arg)
{
	struct clerk *c = arg;
	unsigned i = 0;

	while (!*c->stop && c->rc == LT_OK) {
		c->rc = fed_put_dossier(c->n, c->first + i, NULL, NULL);
		c->written++;
		i++;
	}
	return NULL;
}

static void
start_link(struct fed *f, struct fed_node *n)
{
	struct lt_link_options lo = { .node = n->node, .pool = n->pool, .addresses = f->address };
	struct lt_err err = { "" };

	if (lt_link_start(&lo, &n->link, &err) != LT_OK)
		fail_msg("%s", err.text);
}

/* A notice of a commit comes in on the clerk's thread while the link is taken away and freed: it must find the link whole or
 * not at all. What is wrong here is seen by the sanitizers; without them the last link still sends everything. */
static void
test_stop_while_writing(void **state)
{
	struct clerk clerk[WRITERS];
	pthread_t thread[WRITERS];
	atomic_bool stop = false;
	struct fed_node n;
	struct fed f;
	unsigned i;

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, "17254");
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, 30000, "the catalogue");
	memset(clerk, 0, sizeof(clerk));
	for (i = 0; i < WRITERS; i++) {
		clerk[i].n = &n;
		clerk[i].first = 1 + i * 100000;
		clerk[i].stop = &stop;
		assert_int_equal(pthread_create(&thread[i], NULL, clerk_main, &clerk[i]), 0);
	}
	for (i = 0; i < ROUNDS; i++) {
		unsigned before = clerk[i % WRITERS].written;

		lt_link_stop(n.link);
		start_link(&f, &n);
		while (clerk[i % WRITERS].written == before && clerk[i % WRITERS].rc == LT_OK)
			(void)sched_yield();
	}
	stop = true;
	for (i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(clerk[i].rc, LT_OK);
	}
	fed_node_teardown(&n);
	fed_teardown(&f);
}

/* ---- a second catalogue ---- */

struct pair {
	struct fed *f;
	struct fed_node *n;
};

static void
dump_dossiers(struct lt_kv *kv, struct lt_buf *out)
{
	static const enum lt_table tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_DIGEST };
	struct lt_buf mem = { 0 };
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	size_t i;
	int rc;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		assert_int_equal(lt_kv_cursor_open(txn, tables[i], &c), LT_OK);
		for (rc = lt_kv_seek(c, lt_slice("dossier", 8), &k, &v);
		     rc == LT_OK && k.len > 8 && memcmp(k.data, "dossier", 8) == 0;
		     rc = lt_kv_next(c, &k, &v)) {
			lt_buf_framed(out, k);
			if (tables[i] == LT_T_RECORD)
				assert_int_equal(lt_record_whole(txn, k, v, &mem, &v), LT_OK);
			lt_buf_framed(out, v);
		}
		lt_kv_cursor_close(c);
	}
	lt_buf_fini(&mem);
	lt_kv_abort(txn);
}

static bool
tables_agree(void *ctx)
{
	struct pair *p = ctx;
	struct lt_buf hub = { 0 }, node = { 0 };
	bool same;

	dump_dossiers(lt_hub_derived(p->f->hub), &hub);
	dump_dossiers(lt_node_kv(p->n->node), &node);
	same = hub.len != 0 && lt_slice_eq(lt_buf_slice(&hub), lt_buf_slice(&node));
	lt_buf_fini(&hub);
	lt_buf_fini(&node);
	return same;
}

static bool
second_is_whole(void *ctx)
{
	struct pair *p = ctx;
	struct lt_catalogue *hub = lt_hub_catalogue(p->f->hub),
			    *node = lt_node_catalogue(p->n->node);
	struct lt_kv_txn *txn;
	bool whole = false;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(p->n->node), &txn), LT_OK);
	assert_int_equal(lt_rebuild_indexed(txn, 2, &whole), LT_OK);
	lt_kv_abort(txn);
	whole = whole && lt_catalogue_version(hub) == 2 && lt_catalogue_version(node) == 2;
	lt_catalogue_unref(hub);
	lt_catalogue_unref(node);
	return whole;
}

/* What the node makes of its records under the second catalogue is what the hub makes, which builds all its tables anew. The
 * node is stopped as soon as it has the catalogue, and goes on when it is started again. */
static void
test_second_catalogue(void **state)
{
	struct fed_node n;
	struct fed f;
	struct pair p = { &f, &n };
	unsigned i;

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, "17254");
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, 30000, "the catalogue");
	for (i = 1; i <= 40; i++)
		assert_int_equal(fed_put_dossier(&n, i, NULL, NULL), LT_OK);
	for (i = 1; i <= 20; i++)
		assert_int_equal(fed_put_dossier(&n, i, "dang_xu_ly", NULL), LT_OK);
	fed_wait(tables_agree, &p, 30000, "the same tables under the first catalogue");
	fed_publish_second(&f);
	fed_node_stop(&n);
	fed_node_start(&f, &n);
	for (i = 41; i <= 50; i++)
		assert_int_equal(fed_put_dossier(&n, i, NULL, NULL), LT_OK);
	fed_wait(second_is_whole, &p, 30000, "rows of the second catalogue");
	fed_wait(tables_agree, &p, 30000, "the same tables under the second catalogue");
	fed_node_teardown(&n);
	fed_teardown(&f);
}

/* ---- many epochs ---- */

struct epochs {
	struct fed *f;
	struct fed_node *n;
};

static unsigned
put_epochs(struct fed_node *n, unsigned first, unsigned count, struct lt_feed_id *last)
{
	struct lt_dot dot;
	unsigned i;

	for (i = first; i < first + count; i++) {
		assert_int_equal(fed_put_dossier(n, i, NULL, &dot), LT_OK);
		assert_int_equal(lt_node_new_epoch(n->node, &dot.feed), LT_OK);
		*last = dot.feed;
	}
	return first + count;
}

static void
told(struct fed_node *n, struct lt_own_feeds *o)
{
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &txn), LT_OK);
	assert_int_equal(
	    lt_own_feeds_read(txn, &n->id->principal, &n->id->unit, false, 0, NULL, o), LT_OK);
	lt_kv_abort(txn);
}

/* One is told, and that is receipted too. */
static bool
only_newest(void *ctx)
{
	struct epochs *e = ctx;
	struct lt_own_feeds o;
	struct lt_kv_txn *txn;
	uint64_t receipted = 0;

	told(e->n, &o);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(e->n->node), &txn), LT_OK);
	assert_int_equal(
	    lt_node_receipted(txn, &e->n->id->unit, &o.feed[0].feed, &receipted), LT_OK);
	lt_kv_abort(txn);
	return o.n == 1 && receipted == o.feed[0].head;
}

static bool
few_wait(void *ctx)
{
	struct epochs *e = ctx;
	struct lt_own_feeds o;

	told(e->n, &o);
	return o.n <= 1 + 45 - 30;
}

/* A hundred epochs, each received whole: one is told. Others that wait are told before the newest, which is always there; what
 * does not fit comes with a later login. */
static void
test_many_epochs(void **state)
{
	struct lt_own_feeds o;
	struct lt_feed_id last;
	struct fed_node n;
	struct fed f;
	struct epochs e = { &f, &n };
	struct pair p = { &f, &n };
	unsigned next, i;

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, "17254");
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, 30000, "the catalogue");
	next = 1;
	for (i = 0; i < 5; i++) {
		next = put_epochs(&n, next, 20, &last);
		fed_wait(only_newest, &e, 30000, "receipts");
	}
	told(&n, &o);
	assert_int_equal(lt_feed_id_cmp(&o.feed[0].feed, &last), 0);
	lt_link_stop(n.link);
	n.link = NULL;
	next = put_epochs(&n, next, 20, &last);
	told(&n, &o);
	assert_int_equal(o.n, 20);
	assert_int_equal(lt_feed_id_cmp(&o.feed[19].feed, &last), 0);
	(void)put_epochs(&n, next, 25, &last);
	told(&n, &o);
	assert_int_equal(o.n, LT_SYNC_FEEDS_MAX - 2); /* one lane of three */
	assert_int_equal(lt_feed_id_cmp(&o.feed[o.n - 1].feed, &last), 0);
	/* 45 epochs: 30 at one login, the rest at the next. */
	start_link(&f, &n);
	fed_wait(few_wait, &e, 30000, "what fits at the first login");
	lt_link_stop(n.link);
	start_link(&f, &n);
	fed_wait(only_newest, &e, 30000, "the rest, at the second login");
	fed_wait(tables_agree, &p, 30000, "everything at the hub");
	fed_node_teardown(&n);
	fed_teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_while_writing),
		cmocka_unit_test(test_second_catalogue),
		cmocka_unit_test(test_many_epochs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
