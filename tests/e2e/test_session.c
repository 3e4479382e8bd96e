/* What a node makes of the hub's answers to a push, where the hub is odd or the node's disk is full. The messages are real, the
 * line is left out. */
#include "node/session.h"
#include "tests/lib/federation.h"

#include "lienthong/v1/sync.pb-c.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#define SETS 3

struct fix {
	struct fed f;
	struct fed_node n;
	struct lt_session *s;
	struct lt_feed_id feed;
	struct lt_arena arena;
};

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) != 0;

	lt_catalogue_unref(c);
	return has;
}

/* A node that knows its federation, has three change-sets of its own, and no line. */
static void
setup(struct fix *x)
{
	struct lt_session_options o;
	struct lt_dot dot;
	unsigned i;

	memset(x, 0, sizeof(*x));
	lt_arena_init(&x->arena, (size_t)64 << 20);
	fed_setup(&x->f);
	fed_node_setup(&x->f, &x->n, "17254");
	fed_node_start(&x->f, &x->n);
	fed_wait(has_catalogue, &x->n, 30000, "the catalogue");
	lt_link_stop(x->n.link);
	x->n.link = NULL;
	for (i = 1; i <= SETS; i++) {
		assert_int_equal(fed_put_dossier(&x->n, i, NULL, &dot), LT_OK);
		assert_int_equal(dot.seq, i);
	}
	x->feed = dot.feed;
	o = (struct lt_session_options){ .node = x->n.node };
	assert_int_equal(lt_session_new(&o, &x->s), LT_OK);
}

static void
teardown(struct fix *x)
{
	lt_session_free(x->s);
	fed_node_teardown(&x->n);
	fed_teardown(&x->f);
	lt_arena_fini(&x->arena);
}

static const Ltpb__PushRequest *
ask(struct fix *x, uint64_t from_seq, struct lt_session_call *c)
{
	const struct lt_sync_action a = {
		.kind = LT_SYNC_DO_PUSH, .feed = x->feed, .from_seq = from_seq, .max_bytes = 1 << 18
	};
	struct lt_session_request r;

	assert_int_equal(lt_session_ask(x->s, &a, &x->arena, c, &r), LT_OK);
	assert_string_equal(r.method, "Push");
	return (const Ltpb__PushRequest *)r.message;
}

/* The hub asks for what stands before what was sent. A number beyond that is none that it can hold: taken at its word, the
 * change-sets between would never be sent. */
static void
test_need(void **state)
{
	/* sent from 3 on: {asked for, believed to be held} */
	static const uint64_t cases[][2] = { { 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 2 }, { 4, 2 },
		{ UINT64_MAX, 2 } };
	struct fix x;
	size_t i;

	(void)state;
	setup(&x);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Ltpb__PushReply reply = LTPB__PUSH_REPLY__INIT;
		Ltpb__FeedHead need = LTPB__FEED_HEAD__INIT, *needs[1] = { &need };
		struct lt_session_call c;

		assert_int_equal(ask(&x, 3, &c)->n_change_set, 1);
		need.feed.data = x.feed.b;
		need.feed.len = LT_FEED_LEN;
		need.seq = cases[i][0];
		reply.need = needs;
		reply.n_need = 1;
		lt_session_take(x.s, &c, &reply.base);
		assert_true(c.ev.ok);
		assert_int_equal(c.ev.seq, cases[i][1]);
	}
	teardown(&x);
}

struct got {
	pthread_mutex_t mx;
	pthread_cond_t cv;
	bool done;
	Ltpb__Receipt *receipt;
};

static void
taken(void *ctx, const struct lt_intake_result *r)
{
	struct got *g = ctx;

	assert_int_equal(r->rc, LT_OK);
	assert_int_equal(r->nfeed, 1);
	pthread_mutex_lock(&g->mx);
	g->receipt = ltpb__receipt__unpack(NULL, r->feed[0].receipt.len, r->feed[0].receipt.data);
	g->done = true;
	pthread_cond_signal(&g->cv);
	pthread_mutex_unlock(&g->mx);
}

/* The hub's own receipt for what the node would push. */
static Ltpb__Receipt *
receipt_for(struct fix *x, const Ltpb__PushRequest *r)
{
	struct got g = { .done = false };
	struct lt_slice bytes[SETS];
	size_t i;

	assert_int_equal(r->n_change_set, SETS);
	for (i = 0; i < SETS; i++)
		bytes[i] = lt_slice(r->change_set[i].data, r->change_set[i].len);
	pthread_mutex_init(&g.mx, NULL);
	pthread_cond_init(&g.cv, NULL);
	lt_hub_intake(x->f.hub, &x->n.id->principal, bytes, SETS, taken, &g);
	pthread_mutex_lock(&g.mx);
	while (!g.done)
		pthread_cond_wait(&g.cv, &g.mx);
	pthread_mutex_unlock(&g.mx);
	assert_non_null(g.receipt);
	return g.receipt;
}

static int
no_room(void *ctx, uint64_t ordinal)
{
	(void)ctx;
	(void)ordinal;
	return LT_E_NOSPACE;
}

/* A receipt that the disk has no room for is asked for again: the last change-set of it is offered once more. */
static void
test_receipt_without_room(void **state)
{
	struct lt_session_call c;
	struct fix x;
	Ltpb__PushReply reply = LTPB__PUSH_REPLY__INIT;
	Ltpb__Receipt *receipt;

	(void)state;
	setup(&x);
	receipt = receipt_for(&x, ask(&x, 1, &c));
	reply.receipt = &receipt;
	reply.n_receipt = 1;
	lt_kv_set_fault(lt_node_kv(x.n.node), no_room, NULL);
	lt_session_take(x.s, &c, &reply.base);
	lt_kv_set_fault(lt_node_kv(x.n.node), NULL, NULL);
	assert_true(c.ev.ok);
	assert_int_equal(c.ev.seq, SETS - 1);
	assert_int_equal(ask(&x, SETS, &c)->n_change_set, 1);
	lt_session_take(x.s, &c, &reply.base);
	assert_true(c.ev.ok);
	assert_int_equal(c.ev.seq, SETS);
	ltpb__receipt__free_unpacked(receipt, NULL);
	teardown(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_need),
		cmocka_unit_test(test_receipt_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
