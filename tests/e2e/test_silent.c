/* Daemons and a line that goes dead without a word, and a hub that is stopped: both ends know, say so in their status, and the
 * node comes back by itself. */
#include "tests/lib/province.h"
#include "tests/lib/proxy.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IDLE "6s" /* slow as they are, they must not fall silent by themselves */
#else
#define IDLE "2s"
#endif
#define START_MS 30000

struct line {
	struct province p;
	struct proxy *proxy;
	struct lt_conn *hub, *node;
	uint64_t hub_silent, node_silent; /* to be reached */
	char said[768]; /* of the node's link */
};

static bool
is_online(void *ctx)
{
	struct line *l = ctx;
	Ltpb__StatusReply *r = province_status(l->node);
	bool yes = r->connected;

	province_free(r);
	return yes;
}

static bool
is_offline(void *ctx)
{
	struct line *l = ctx;
	Ltpb__StatusReply *r = province_status(l->node);
	bool yes = !r->connected && r->link_error[0] != '\0';

	(void)snprintf(l->said, sizeof(l->said), "%s", r->link_error);
	province_free(r);
	return yes;
}

static bool
both_count(void *ctx)
{
	struct line *l = ctx;
	Ltpb__StatusReply *h = province_status(l->hub), *n = province_status(l->node);
	bool yes = h->silent_lines >= l->hub_silent && n->silent_lines >= l->node_silent;

	province_free(h);
	province_free(n);
	return yes;
}

static void
put(struct line *l, unsigned number)
{
	ProtobufCMessage *reply = NULL;
	struct dossier_put d;
	struct lt_status st;

	dossier_put_init(&d, number, true, "QD-1");
	if (lt_conn_call_wait(l->node, &ltpb__records__descriptor, "Put", &d.req.base, 20000,
		&reply, &st) != LT_STATUS_OK)
		fail_msg("put: %s %s", lt_status_name((int)st.code), st.message);
	province_free(reply);
}

static int
setup(void **state)
{
	struct line *l = calloc(1, sizeof(*l));
	int port = daemon_port();

	assert_non_null(l);
	province_setup(&l->p, "17254", port);
	province_configure(&l->p, "idle_timeout = " IDLE "\n");
	l->proxy = proxy_start(port, l->p.port);
	daemon_start(&l->p.hub, NULL);
	l->hub = daemon_dial_wait(&l->p.hub, l->p.pool, START_MS);
	daemon_start(&l->p.node, NULL);
	l->node = daemon_dial_wait(&l->p.node, l->p.pool, START_MS);
	fed_wait(is_online, l, WAIT_MS, "the node is online");
	province_wait_catalogue(l->node);
	*state = l;
	return 0;
}

static int
teardown(void **state)
{
	struct line *l = *state;

	lt_conn_close(l->hub);
	lt_conn_close(l->node);
	proxy_stop(l->proxy);
	province_teardown(&l->p);
	free(l);
	return 0;
}

/* Nothing passes any more, and nobody is told. What was written meanwhile arrives over the next line. */
static void
test_blackhole(void **state)
{
	struct line *l = *state;

	put(l, 1);
	l->hub_silent = l->node_silent = 1;
	proxy_hold(l->proxy, PROXY_TO_HUB, true);
	proxy_hold(l->proxy, PROXY_FROM_HUB, true);
	put(l, 2);
	fed_wait(both_count, l, WAIT_MS, "both ends have given the line up and counted it");
	proxy_hold(l->proxy, PROXY_TO_HUB, false);
	proxy_hold(l->proxy, PROXY_FROM_HUB, false);
	fed_wait(is_online, l, WAIT_MS, "the node is online again");
	province_settle(&l->p, WAIT_MS);
}

/* The hub is told to stop: the node says that the hub stops, not that the line broke, and finds it when it is back. */
static void
test_goaway(void **state)
{
	struct line *l = *state;

	put(l, 3);
	lt_conn_close(l->hub);
	l->hub = NULL;
	(void)daemon_stop(&l->p.hub);
	fed_wait(is_offline, l, WAIT_MS, "the node knows");
	put(l, 4);
	/* Its next attempts find nobody, and say so; the first thing it said stands in its log. */
	assert_true(daemon_logged(&l->p.node, "the line to the hub: the other side is stopping"));
	daemon_start(&l->p.hub, NULL);
	l->hub = daemon_dial_wait(&l->p.hub, l->p.pool, START_MS);
	fed_wait(is_online, l, WAIT_MS, "the node is online again");
	province_settle(&l->p, WAIT_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_blackhole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_goaway, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
