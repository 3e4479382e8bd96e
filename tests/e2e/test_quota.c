/* What one node may give at a time, at a real hub: so many changes, and so much for nothing. Who is over it is told when to come again, at
 * the head of its call and for pushes alone; nothing is lost by it. */
#include "tests/lib/province.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define START_MS 30000
#define WAIT_MS 60000
#define CALL_MS 20000
#define PUSHES_MAX 40 /* each takes less than what it owes takes to come in */
#define CHANGES 3
#define COPIES 8

struct fix {
	struct province p;
	struct fed_feed feed;
	struct lt_buf cs; /* the last change-set of the peer, sealed */
	unsigned number;
};

static void
setup(struct fix *x, const char *quota)
{
	memset(x, 0, sizeof(*x));
	province_setup(&x->p, "17254", 0);
	province_configure_hub(&x->p, quota);
	daemon_start(&x->p.hub, NULL);
	lt_conn_close(daemon_dial_wait(&x->p.hub, x->p.pool, START_MS));
	fed_feed_init(&x->feed, &x->p.peer, "16906", LT_LANE_NORMAL, 7);
	lt_buf_init(&x->cs, LT_MESSAGE_MAX);
	assert_int_equal(province_dial(&x->p, 0), LT_OK);
}

static void
teardown(struct fix *x)
{
	fed_hang_up(&x->p.peer);
	lt_buf_fini(&x->cs);
	province_teardown(&x->p);
}

static void
seal_next(struct fix *x)
{
	struct lt_draft draft[CHANGES];
	char key[CHANGES][40];
	struct lt_arena arena;
	size_t i;

	lt_arena_init(&arena, 1 << 20);
	for (i = 0; i < CHANGES; i++) {
		(void)snprintf(key[i], sizeof(key[i]), "H41.65-261120-%06u", ++x->number);
		fed_draft_dossier(&arena, &draft[i], key[i]);
	}
	lt_buf_clear(&x->cs);
	fed_seal(&x->p.f, &x->feed, draft, CHANGES, &x->cs);
	lt_arena_fini(&arena);
}

/* The same change-set n times. */
static int
push(struct fix *x, size_t n, struct lt_status *st)
{
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData d[COPIES];
	ProtobufCMessage *m = NULL;
	size_t i;
	int code;

	for (i = 0; i < n; i++)
		d[i] = (ProtobufCBinaryData){ x->cs.len, x->cs.data };
	r.n_change_set = n;
	r.change_set = d;
	code = lt_conn_call_wait(
	    x->p.peer.conn, &ltpb__sync__descriptor, "Push", &r.base, CALL_MS, &m, st);
	if (m != NULL && n == 1)
		assert_int_equal(((const Ltpb__PushReply *)m)->n_receipt, 1);
	province_free(m);
	return code;
}

/* Until the hub has had enough, for this reason: n copies at a time, of a new change-set each time if fresh. It says to come again
 * within a second for each of what counted. How many pushes were taken before. */
static unsigned
push_until_refused(
    struct fix *x, bool fresh, size_t n, const char *reason, int counted, struct lt_status *st)
{
	unsigned taken = 0;
	int code = LT_STATUS_OK;

	while (code == LT_STATUS_OK && taken < PUSHES_MAX) {
		if (fresh)
			seal_next(x);
		code = push(x, n, st);
		taken += code == LT_STATUS_OK;
	}
	assert_int_equal(code, LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st->reason, reason);
	assert_in_range(st->retry_delay_ms, 1, counted * 1000);
	return taken;
}

static void
announces(struct fix *x)
{
	Ltpb__AnnounceRequest r = LTPB__ANNOUNCE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	assert_int_equal(lt_conn_call_wait(x->p.peer.conn, &ltpb__sync__descriptor, "Announce",
			     &r.base, CALL_MS, &m, &st),
	    LT_STATUS_OK);
	province_free(m);
}

struct again {
	struct fix *x;
	struct lt_status st;
};

static bool
is_taken(void *ctx)
{
	struct again *a = ctx;

	return push(a->x, 1, &a->st) == LT_STATUS_OK;
}

/* One change a second and two at once: the third change-set of three comes too early, and is taken later. */
static void
more_changes_than_are_taken(void **state)
{
	struct again a;
	struct fix x;

	(void)state;
	setup(&x, "[quota]\nnode_changes = 1\n");
	a.x = &x;
	/* Two were there: the first at least was taken. */
	assert_true(push_until_refused(&x, true, 1, "QUOTA_CHANGES", CHANGES, &a.st) >= 1);
	announces(&x);
	fed_wait(is_taken, &a, WAIT_MS, "what came too early is taken");
	teardown(&x);
}

/* What the hub has, given again and again: one a second, ten at once. What is new counts for nothing there. */
static void
what_is_here_already(void **state)
{
	struct lt_status st;
	struct fix x;
	unsigned i;

	(void)state;
	setup(&x, "[quota]\nnode_vain = 1\n");
	for (i = 0; i < PUSHES_MAX; i++) {
		seal_next(&x);
		assert_int_equal(push(&x, 1, &st), LT_STATUS_OK);
	}
	/* Ten were there: 8 and 8. */
	assert_true(push_until_refused(&x, false, COPIES, "QUOTA_VAIN", COPIES, &st) >= 2);
	announces(&x);
	teardown(&x);
}

/* Change-sets whose predecessor is missing cost the hub a signature each, and put nothing in its log. */
static void
what_leaves_a_gap(void **state)
{
	struct lt_status st;
	struct fix x;

	(void)state;
	setup(&x, "[quota]\nnode_vain = 1\n");
	seal_next(&x);
	seal_next(&x);
	(void)push_until_refused(&x, false, COPIES, "QUOTA_VAIN", COPIES, &st);
	teardown(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_changes_than_are_taken),
		cmocka_unit_test(what_is_here_already),
		cmocka_unit_test(what_leaves_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
