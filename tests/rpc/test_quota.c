#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/server_impl.h"
#include "tests/rpc/fixture.h"

#include <sodium.h>

#define ECHO (&lttest__echo__descriptor)

/* ---- the account alone ---- */

static void
counts(void **state)
{
	const struct lt_quota q = { .calls_max = 2,
		.streams_max = 1,
		.calls = { 10, 4 },
		.bytes = { 1000, 5000 },
		.rows = { 100, 100 },
		.changes = { 500, 1000 },
		.vain = { 5, 10 } };
	struct lt_account *a;
	struct lt_pool *pool;
	struct lt_status st;

	(void)state;
	assert_int_equal(lt_pool_start(1, 8, &pool), LT_OK);
	a = lt_account_new(&q, pool);
	assert_non_null(a);
	assert_int_equal(lt_account_enter(a, false, 0, &st), LT_STATUS_OK);
	assert_int_equal(lt_account_enter(a, false, 0, &st), LT_STATUS_OK);
	/* At once: two calls and a stream; who is refused has used none of his rate. */
	assert_int_equal(lt_account_enter(a, false, 0, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "TOO_MANY_CALLS");
	assert_true(st.retry_delay_ms > 0);
	assert_int_equal(lt_account_enter(a, true, 0, &st), LT_STATUS_OK);
	assert_int_equal(lt_account_enter(a, true, 0, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "TOO_MANY_CALLS");
	lt_account_leave(a, false);
	assert_int_equal(lt_account_enter(a, false, 0, &st), LT_STATUS_OK);
	lt_account_leave(a, false);
	lt_account_leave(a, true);
	/* Four came at once, ten come in a second. */
	assert_int_equal(lt_account_enter(a, false, 99, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "QUOTA_CALLS");
	assert_int_equal(st.retry_delay_ms, 1);
	assert_int_equal(lt_account_enter(a, false, 100, &st), LT_STATUS_OK);
	lt_account_leave(a, false);
	/* Bytes and rows are owed: 5,000 are there, 6,500 went, and so 1.5 s are to be waited for. */
	lt_account_bytes(a, 6500, 1000);
	assert_int_equal(lt_account_enter(a, false, 1000, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "QUOTA_BYTES");
	assert_int_equal(st.retry_delay_ms, 1500);
	assert_int_equal(lt_account_enter(a, false, 2499, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_int_equal(lt_account_enter(a, false, 2500, &st), LT_STATUS_OK);
	lt_account_leave(a, false);
	lt_account_rows(a, 101, 2500);
	assert_int_equal(lt_account_enter(a, false, 2500, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "QUOTA_ROWS");
	assert_int_equal(st.retry_delay_ms, 10);
	assert_int_equal(lt_account_enter(a, false, 2510, &st), LT_STATUS_OK);
	lt_account_leave(a, false);
	/* What was given is owed by who gives more, and by nobody else: 1,500 changes where 1,000 may come at once, 64 in vain where 10 may. */
	lt_account_took(a, 1500, 0, 2510);
	assert_int_equal(lt_account_enter(a, false, 2510, &st), LT_STATUS_OK);
	lt_account_leave(a, false);
	assert_int_equal(lt_account_owes_nothing(a, 2510, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "QUOTA_CHANGES");
	assert_int_equal(st.retry_delay_ms, 1000);
	assert_int_equal(lt_account_owes_nothing(a, 3509, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_int_equal(lt_account_owes_nothing(a, 3510, &st), LT_STATUS_OK);
	lt_account_took(a, 0, 10, 3510);
	assert_int_equal(lt_account_owes_nothing(a, 3510, &st), LT_STATUS_OK);
	lt_account_took(a, 0, 54, 3510);
	assert_int_equal(lt_account_owes_nothing(a, 3510, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "QUOTA_VAIN");
	assert_int_equal(st.retry_delay_ms, 10800);
	assert_int_equal(lt_account_owes_nothing(a, 14310, &st), LT_STATUS_OK);
	/* What did not change keeps its debts when the bounds are asked for again; what did begins anew. */
	lt_account_leave(a, false);
	lt_account_bytes(a, 100000, 3000);
	lt_account_set_quota(a, &q);
	assert_int_equal(lt_account_enter(a, false, 3000, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	lt_account_set_quota(a, &(const struct lt_quota){ .rows = { 100, 100 } });
	assert_int_equal(lt_account_enter(a, false, 3000, &st), LT_STATUS_OK);
	lt_account_leave(a, false);
	lt_account_unref(a);
	lt_pool_stop(pool);
}

/* Nothing has a bound of its own. */
static void
without_bounds(void **state)
{
	const struct lt_quota q = { 0 };
	struct lt_account *a;
	struct lt_pool *pool;
	struct lt_status st;
	unsigned i;

	(void)state;
	assert_int_equal(lt_pool_start(1, 8, &pool), LT_OK);
	a = lt_account_new(&q, pool);
	for (i = 0; i < 10000; i++) {
		assert_int_equal(lt_account_enter(a, i % 2 == 0, 0, &st), LT_STATUS_OK);
		lt_account_bytes(a, SIZE_MAX, 0);
		lt_account_rows(a, SIZE_MAX, 0);
		lt_account_took(a, SIZE_MAX, SIZE_MAX, 0);
		assert_int_equal(lt_account_owes_nothing(a, 0, &st), LT_STATUS_OK);
	}
	lt_account_unref(a);
	lt_pool_stop(pool);
}

/* ---- turns ---- */

struct job {
	struct lt_task task;
	struct lt_turn turn;
	struct floor *floor;
	struct lt_account *account;
	unsigned no;
};

/* Where jobs run until they are let go. */
struct floor {
	pthread_mutex_t mx;
	pthread_cond_t cv;
	unsigned running, begun, let_go;
	unsigned order[16];
};

static void
run(void *arg)
{
	struct job *j = arg;
	struct floor *f = j->floor;

	pthread_mutex_lock(&f->mx);
	f->order[f->begun++] = j->no;
	f->running++;
	pthread_cond_broadcast(&f->cv);
	while (f->let_go == 0)
		pthread_cond_wait(&f->cv, &f->mx);
	f->let_go--;
	f->running--;
	pthread_cond_broadcast(&f->cv);
	pthread_mutex_unlock(&f->mx);
	lt_account_turn_over(j->account, j->task.work);
}

static void
no_release(void *arg)
{
	(void)arg;
}

static void
submit(struct job *j, struct floor *f, struct lt_account *a, struct lt_pool *pool, unsigned no)
{
	memset(j, 0, sizeof(*j));
	j->task.fn = run;
	j->task.release = no_release;
	j->task.arg = j;
	j->task.work = LT_WORK_QUICK;
	j->turn.task = &j->task;
	j->floor = f;
	j->account = a;
	j->no = no;
	if (lt_account_turn(a, &j->turn))
		lt_pool_push(pool, &j->task);
}

static void
until_begun(struct floor *f, unsigned n)
{
	pthread_mutex_lock(&f->mx);
	while (f->begun < n)
		pthread_cond_wait(&f->cv, &f->mx);
	pthread_mutex_unlock(&f->mx);
}

static void
let_go(struct floor *f, unsigned n)
{
	pthread_mutex_lock(&f->mx);
	f->let_go += n;
	pthread_cond_broadcast(&f->cv);
	pthread_mutex_unlock(&f->mx);
}

/* Three threads; one peer wants six things that take for ever. The second peer's one begins at once, and the first one's
 * third when one of its own is over, in the order in which they came. */
static void
one_peer_leaves_room(void **state)
{
	const struct lt_quota q = { 0 };
	struct floor f = { .mx = PTHREAD_MUTEX_INITIALIZER, .cv = PTHREAD_COND_INITIALIZER };
	struct lt_account *greedy, *modest;
	struct lt_pool *pool;
	struct job job[7];
	unsigned i;

	(void)state;
	assert_int_equal(lt_pool_start(3, 8, &pool), LT_OK);
	greedy = lt_account_new(&q, pool);
	modest = lt_account_new(&q, pool);
	for (i = 0; i < 6; i++)
		submit(&job[i], &f, greedy, pool, i);
	until_begun(&f, 2);
	submit(&job[6], &f, modest, pool, 6);
	until_begun(&f, 3);
	/* A third one of the greedy would have begun before it. */
	assert_int_equal(f.order[2], 6);
	assert_int_equal(f.order[0] + f.order[1], 1);
	let_go(&f, 7);
	until_begun(&f, 7);
	lt_pool_stop(pool);
	assert_int_equal(f.running, 0);
	for (i = 3; i < 7; i++)
		assert_in_range(f.order[i], 2, 5);
	/* Turns are free again. */
	assert_true(lt_account_turn(greedy, &job[0].turn));
	assert_true(lt_account_turn(greedy, &job[1].turn));
	assert_false(lt_account_turn(greedy, &job[2].turn));
	lt_account_unref(greedy);
	lt_account_unref(modest);
}

/* ---- the server ---- */

static struct lt_quota given; /* changed only while nobody is asked about */

static void
on_quota(void *ctx, const struct lt_peer *peer, struct lt_quota *out)
{
	(void)ctx;
	assert_int_equal(peer->kind, LT_PEER_LINE);
	*out = given;
}

static int
say(struct lt_conn *c, char *text, struct lt_status *st)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;

	req.data.data = (uint8_t *)text;
	req.data.len = strlen(text);
	return (int)lt_conn_call_wait(c, ECHO, "Say", &req.base, 20000, NULL, st);
}

/* One key over two connections, another key, and the local socket. */
static void
of_one_key(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock, .quota = on_quota };
	struct lt_conn *a, *b, *other, *local;
	uint8_t sk[32];
	struct lt_status st;
	struct fx fx;
	unsigned i;

	(void)state;
	memset(&given, 0, sizeof(given));
	given.calls.per_s = 5;
	given.calls.burst = 6;
	fx_start(&fx, &o);
	a = fx_dial(&fx, true);
	b = fx_dial(&fx, true);
	local = fx_dial(&fx, false);
	memcpy(sk, fx.client_sk, sizeof(sk));
	randombytes_buf(fx.client_sk, sizeof(fx.client_sk));
	(void)crypto_scalarmult_base(fx.client_pk, fx.client_sk);
	other = fx_dial(&fx, true);
	memcpy(fx.client_sk, sk, sizeof(sk));
	(void)crypto_scalarmult_base(fx.client_pk, fx.client_sk);
	for (i = 0; i < 6; i++)
		assert_int_equal(say(i % 2 == 0 ? a : b, (char *)"x", &st), LT_STATUS_OK);
	assert_int_equal(say(a, (char *)"x", &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "QUOTA_CALLS");
	assert_int_equal(st.retry_delay_ms, 200);
	assert_int_equal(say(b, (char *)"x", &st), LT_STATUS_RESOURCE_EXHAUSTED);
	/* To come again does not help. */
	lt_conn_close(b);
	b = fx_dial(&fx, true);
	assert_int_equal(say(b, (char *)"x", &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_int_equal(say(other, (char *)"x", &st), LT_STATUS_OK);
	for (i = 0; i < 20; i++)
		assert_int_equal(say(local, (char *)"x", &st), LT_STATUS_OK);
	fx_clock_ms += 200;
	assert_int_equal(say(b, (char *)"x", &st), LT_STATUS_OK);
	assert_int_equal(say(a, (char *)"x", &st), LT_STATUS_RESOURCE_EXHAUSTED);
	lt_conn_close(a);
	lt_conn_close(b);
	lt_conn_close(other);
	lt_conn_close(local);
	fx_stop(&fx);
}

static void
on_item(void *ctx, const ProtobufCMessage *m)
{
	(void)ctx;
	(void)m;
}

static void
on_end(void *ctx, const struct lt_status *st)
{
	(void)ctx;
	(void)st;
}

static struct lt_conn *
dial_as_another(struct fx *fx)
{
	randombytes_buf(fx->client_sk, sizeof(fx->client_sk));
	(void)crypto_scalarmult_base(fx->client_pk, fx->client_sk);
	return fx_dial(fx, true);
}

struct sight {
	struct lt_conn *const *c;
	size_t n;
};

static bool
are_gone(void *arg)
{
	const struct sight *s = arg;
	size_t i, alive = 0;

	for (i = 0; i < s->n; i++)
		alive += lt_conn_alive(s->c[i]);
	return alive == 0;
}

/* A peer has one account for all its keys: a machine that changes them has no two. Who has another name, or none and any key, has another. */
static void
of_one_name(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock, .quota = on_quota };
	struct lt_conn *before, *after, *other, *guest;
	struct lt_status st;
	struct fx fx;
	unsigned i;

	(void)state;
	memset(&given, 0, sizeof(given));
	given.calls.per_s = 5;
	given.calls.burst = 6;
	given.whom[0] = 7;
	fx_start(&fx, &o);
	before = fx_dial(&fx, true);
	after = dial_as_another(&fx);
	for (i = 0; i < 6; i++)
		assert_int_equal(say(before, (char *)"x", &st), LT_STATUS_OK);
	assert_int_equal(say(after, (char *)"x", &st), LT_STATUS_RESOURCE_EXHAUSTED);
	given.whom[0] = 8;
	other = dial_as_another(&fx);
	assert_int_equal(say(other, (char *)"x", &st), LT_STATUS_OK);
	given.whom[0] = 0;
	guest = dial_as_another(&fx);
	assert_int_equal(say(guest, (char *)"x", &st), LT_STATUS_OK);
	/* What it owes stays when the old key goes. */
	lt_conn_close(before);
	lt_conn_close(after);
	given.whom[0] = 7;
	after = dial_as_another(&fx);
	assert_int_equal(say(after, (char *)"x", &st), LT_STATUS_RESOURCE_EXHAUSTED);
	lt_conn_close(after);
	lt_conn_close(other);
	lt_conn_close(guest);
	fx_stop(&fx);
}

/* More connections of one key than it may have: the next one is closed; another key's is not. */
static void
connections_of_one_key(void **state)
{
	const struct lt_server_options o = { .quota = on_quota };
	struct lt_conn *c[4], *other;
	struct lt_status st;
	struct fx fx;
	unsigned i;

	(void)state;
	memset(&given, 0, sizeof(given));
	given.conns_max = 3;
	fx_start(&fx, &o);
	for (i = 0; i < 3; i++) {
		c[i] = fx_dial(&fx, true);
		assert_int_equal(say(c[i], (char *)"x", &st), LT_STATUS_OK);
	}
	c[3] = fx_dial(&fx, true);
	assert_int_equal(say(c[3], (char *)"x", &st), LT_STATUS_UNAVAILABLE);
	for (i = 0; i < 3; i++)
		assert_int_equal(say(c[i], (char *)"x", &st), LT_STATUS_OK);
	for (i = 0; i < 4; i++)
		lt_conn_close(c[i]);
	other = dial_as_another(&fx);
	assert_int_equal(say(other, (char *)"x", &st), LT_STATUS_OK);
	lt_conn_close(other);
	fx_stop(&fx);
}

#define GUESTS (LT_SERVER_GUESTS_MAX + 3)

/* Of those who are nobody yet the oldest go when there are too many; who has become somebody stays, with what it may have then. */
static void
guests(void **state)
{
	const struct lt_server_options o = { .quota = on_quota };
	static struct lt_conn *c[GUESTS];
	struct sight first = { c, 3 };
	struct lt_status st;
	struct fx fx;
	unsigned i;

	(void)state;
	memset(&given, 0, sizeof(given));
	given.guest = true;
	given.calls.per_s = 1;
	given.calls.burst = 1;
	fx_start(&fx, &o);
	for (i = 0; i < GUESTS; i++) {
		c[i] = dial_as_another(&fx);
		assert_int_equal(say(c[i], (char *)"x", &st), LT_STATUS_OK);
	}
	fx_until(are_gone, &first, "the oldest three are cut");
	for (i = 3; i < GUESTS; i++)
		assert_true(lt_conn_alive(c[i]));
	memset(&given, 0, sizeof(given));
	for (i = 0; i < 5; i++)
		assert_int_equal(say(c[3], (char *)"x", &st), LT_STATUS_OK);
	/* It is no guest any more: one more of those finds its place free, and the next takes that of the oldest but it. */
	given.guest = true;
	lt_conn_close(c[0]);
	lt_conn_close(c[1]);
	c[0] = dial_as_another(&fx);
	assert_int_equal(say(c[0], (char *)"x", &st), LT_STATUS_OK);
	c[1] = dial_as_another(&fx);
	assert_int_equal(say(c[1], (char *)"x", &st), LT_STATUS_OK);
	first.c = &c[4];
	first.n = 1;
	fx_until(are_gone, &first, "the oldest guest is cut");
	assert_true(lt_conn_alive(c[3]) && lt_conn_alive(c[5]));
	for (i = 0; i < GUESTS; i++)
		lt_conn_close(c[i]);
	fx_stop(&fx);
}

struct closes {
	struct fx *fx;
	unsigned n;
};

static bool
are_closed(void *arg)
{
	const struct closes *c = arg;

	return c->fx->closed >= c->n;
}

/* More guests come and go than there may be connections: who owes something, and went, owes it still. */
static void
debts_outlive_guests(void **state)
{
	const struct lt_server_options o = { .quota = on_quota, .conns_max = 8 };
	struct closes gone = { .n = 0 };
	uint8_t sk[32], pk[32];
	struct lt_status st;
	struct lt_conn *c;
	struct fx fx;
	unsigned i;

	(void)state;
	gone.fx = &fx;
	memset(&given, 0, sizeof(given));
	given.calls.per_s = 1;
	given.calls.burst = 1;
	fx_start(&fx, &o);
	c = fx_dial(&fx, true);
	memcpy(sk, fx.client_sk, sizeof(sk));
	memcpy(pk, fx.client_pk, sizeof(pk));
	assert_int_equal(say(c, (char *)"x", &st), LT_STATUS_OK);
	assert_int_equal(say(c, (char *)"x", &st), LT_STATUS_RESOURCE_EXHAUSTED);
	lt_conn_close(c);
	gone.n++;
	fx_until(are_closed, &gone, "it is gone");
	given.guest = true;
	for (i = 0; i < 8 + LT_SERVER_EVICTED_MAX + 4; i++) {
		c = dial_as_another(&fx);
		assert_int_equal(say(c, (char *)"x", &st), LT_STATUS_OK);
		lt_conn_close(c);
		gone.n++;
		fx_until(are_closed, &gone, "the guest is gone");
	}
	given.guest = false;
	memcpy(fx.client_sk, sk, sizeof(sk));
	memcpy(fx.client_pk, pk, sizeof(pk));
	c = fx_dial(&fx, true);
	assert_int_equal(say(c, (char *)"x", &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "QUOTA_CALLS");
	lt_conn_close(c);
	fx_stop(&fx);
}

struct held {
	struct fx *fx;
	unsigned n;
};

static bool
are_held(void *arg)
{
	const struct held *h = arg;

	return fx_held(h->fx) == h->n;
}

/* Calls that are held count until they are answered, and what is refused holds nothing. */
static void
at_once(void **state)
{
	static const struct lt_call_ops none = { on_item, on_end };
	const struct lt_server_options o = { .clock = &fx_clock, .quota = on_quota };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct held h = { .n = 3 };
	struct lt_status st;
	struct lt_conn *c;
	struct fx fx;
	unsigned i, round;

	(void)state;
	memset(&given, 0, sizeof(given));
	given.calls_max = 3;
	fx_start(&fx, &o);
	h.fx = &fx;
	c = fx_dial(&fx, true);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 3; i++)
			assert_int_equal(
			    lt_conn_call(c, ECHO, "Hold", &req.base, 0, &none, NULL, NULL), LT_OK);
		fx_until(are_held, &h, "three calls are held");
		assert_int_equal(say(c, (char *)"x", &st), LT_STATUS_RESOURCE_EXHAUSTED);
		assert_string_equal(st.reason, "TOO_MANY_CALLS");
		fx_answer_all(&fx);
		/* Until the server has let go of the last one. */
		while (say(c, (char *)"x", &st) != LT_STATUS_OK)
			assert_string_equal(st.reason, "TOO_MANY_CALLS");
	}
	lt_conn_close(c);
	fx_stop(&fx);
}

/* 1,000 bytes a request: the second one is not let in before what the first one was too long for has come in. */
static void
by_bytes(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock, .quota = on_quota };
	char text[1001];
	struct lt_status st;
	struct lt_conn *c;
	struct fx fx;

	(void)state;
	memset(&given, 0, sizeof(given));
	given.bytes.per_s = 1000;
	given.bytes.burst = 1000;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fx_start(&fx, &o);
	c = fx_dial(&fx, true);
	assert_int_equal(say(c, text, &st), LT_STATUS_OK);
	assert_int_equal(say(c, text, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_string_equal(st.reason, "QUOTA_BYTES");
	/* Three bytes of protobuf before the text (field, and a length of two bytes), and at most the same in the answer. */
	assert_in_range(st.retry_delay_ms, 3, 1006);
	fx_clock_ms += st.retry_delay_ms - 1;
	assert_int_equal(say(c, text, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_int_equal(st.retry_delay_ms, 1);
	fx_clock_ms += 1;
	assert_int_equal(say(c, text, &st), LT_STATUS_OK);
	lt_conn_close(c);
	fx_stop(&fx);
}

/* ---- streams ---- */

#define STREAMS 6
#define THREADS 4 /* of the fixture */

/* Of one stream, written on a worker. */
struct heard {
	_Atomic unsigned items, ends;
};

static void
heard_item(void *ctx, const ProtobufCMessage *m)
{
	(void)m;
	((struct heard *)ctx)->items++;
}

static void
heard_end(void *ctx, const struct lt_status *st)
{
	(void)st;
	((struct heard *)ctx)->ends++;
}

/* Each has brought something. */
static bool
all_heard(void *arg)
{
	const struct heard *h = arg;
	unsigned i, n = 0;

	for (i = 0; i < STREAMS; i++)
		n += h[i].items != 0;
	return n == STREAMS;
}

static bool
all_ended(void *arg)
{
	const struct heard *h = arg;
	unsigned i, n = 0;

	for (i = 0; i < STREAMS; i++)
		n += h[i].ends;
	return n == STREAMS;
}

static bool
at_most_in_ready(void *arg)
{
	return ((struct fx *)arg)->in_ready == THREADS - 1;
}

static void
open_streams(struct lt_conn *const *c, struct heard *h, uint32_t count, uint32_t size)
{
	static const struct lt_call_ops ops = { heard_item, heard_end };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	unsigned i;

	memset(h, 0, STREAMS * sizeof(*h));
	req.count = count;
	req.size = size;
	for (i = 0; i < STREAMS; i++)
		assert_int_equal(
		    lt_conn_call(c[i], ECHO, "Count", &req.base, 0, &ops, &h[i], NULL), LT_OK);
}

/* Streams of several connections, some of them on the local socket, that compose for ever: a thread is left to who calls, and when they are done all
 * come to their end. */
static void
streams_leave_a_thread(void **state)
{
	struct heard h[STREAMS];
	struct lt_conn *c[STREAMS];
	struct lt_status st;
	struct fx fx;
	unsigned i;

	(void)state;
	fx_start(&fx, NULL);
	for (i = 0; i < STREAMS; i++)
		c[i] = fx_dial(&fx, i % 3 != 0);
	fx.count_stay = true;
	open_streams(c, h, 100, 10000);
	fx_until(at_most_in_ready, &fx, "all threads but one compose");
	for (i = 0; i < 20; i++)
		assert_int_equal(say(c[i % STREAMS], (char *)"x", &st), LT_STATUS_OK);
	assert_int_equal(fx.in_ready_most, THREADS - 1);
	fx.count_stay = false;
	fx_until(all_ended, h, "every stream ends");
	assert_int_equal(fx.in_ready_most, THREADS - 1);
	for (i = 0; i < STREAMS; i++)
		assert_int_equal(h[i].items, 100);
	for (i = 0; i < STREAMS; i++)
		lt_conn_close(c[i]);
	fx_stop(&fx);
	assert_int_equal(fx.streams_open, 0);
}

/* More streams than turns, none of which ever ends or lacks credit: each has its part, and each is closed in the end. Once with items
 * larger than a pass. */
static void
streams_take_turns(void **state)
{
	static const uint32_t sizes[] = { 1000, LT_STREAM_PASS_BYTES + 1 };
	struct heard h[STREAMS];
	struct lt_conn *c[STREAMS];
	struct lt_status st;
	struct fx fx;
	unsigned i, k;

	(void)state;
	for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		fx_start(&fx, NULL);
		fx.count_greedy = true;
		for (i = 0; i < STREAMS; i++)
			c[i] = fx_dial(&fx, i % 3 != 0);
		open_streams(c, h, UINT32_MAX, sizes[k]);
		fx_until(all_heard, h, "every stream has its turn");
		for (i = 0; i < STREAMS; i++)
			assert_int_equal(say(c[i], (char *)"x", &st), LT_STATUS_OK);
		for (i = 0; i < STREAMS; i++)
			lt_conn_close(c[i]);
		fx_stop(&fx);
		assert_int_equal(fx.streams_open, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(without_bounds),
		cmocka_unit_test(one_peer_leaves_room),
		cmocka_unit_test(of_one_key),
		cmocka_unit_test(of_one_name),
		cmocka_unit_test(at_once),
		cmocka_unit_test(by_bytes),
		cmocka_unit_test(connections_of_one_key),
		cmocka_unit_test(guests),
		cmocka_unit_test(debts_outlive_guests),
		cmocka_unit_test(streams_leave_a_thread),
		cmocka_unit_test(streams_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
