/* A node's own machinery against a real hub: its link that stops while clerks write. */
#include "tests/lib/federation.h"
#include "proto/store/feed_log.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_while_writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
