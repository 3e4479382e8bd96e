#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/rpc/fixture.h"

#include <poll.h>

#define ECHO (&lttest__echo__descriptor)
#define CALLS_MAX 20
#define QUESTIONS 500
#define INTAKE_THREADS 2

/* Hold takes in: it keeps its thread until it may go on. Fail computes for long, likewise. */
static const struct lt_method methods[] = {
	{ .name = "/lttest.Echo/Say", .deadline_ms = 20000, .deadline_max_ms = 60000 },
	{ .name = "/lttest.Echo/Count", .server_streaming = true },
	{ .name = "/lttest.Echo/Walk", .server_streaming = true },
	{ .name = "/lttest.Echo/Fail", .deadline_max_ms = 60000, .work = LT_WORK_LONG },
	{ .name = "/lttest.Echo/Hold", .deadline_max_ms = 60000, .work = LT_WORK_INTAKE },
	LT_HEALTH_METHOD,
};

static _Atomic bool may_go;
static _Atomic unsigned holding, taken_in, computing;

static void
hold_thread(Lttest__Echo_Service *s, const Lttest__EchoRequest *req,
    Lttest__EchoReply_Closure closure, void *data)
{
	Lttest__EchoReply reply = LTTEST__ECHO_REPLY__INIT;

	(void)s;
	(void)req;
	holding++;
	while (!may_go)
		(void)poll(NULL, 0, 1);
	taken_in++;
	closure(&reply, data);
}

static void
compute(Lttest__Echo_Service *s, const Lttest__FailRequest *req, Lttest__EchoReply_Closure closure,
    void *data)
{
	Lttest__EchoReply reply = LTTEST__ECHO_REPLY__INIT;

	(void)s;
	(void)req;
	computing++;
	closure(&reply, data);
}

static void
start(struct fx *fx, const struct lt_clock *clock)
{
	const struct lt_pool_options po = { .threads = { [LT_WORK_QUICK] = 2,
						[LT_WORK_LONG] = 1,
						[LT_WORK_INTAKE] = INTAKE_THREADS } };
	const struct lt_server_options o = { .methods = methods,
		.nmethods = sizeof(methods) / sizeof(methods[0]),
		.calls_max = CALLS_MAX,
		.clock = clock };

	may_go = false;
	holding = taken_in = computing = 0;
	fx_start(fx, NULL);
	fx_server_stop(fx);
	lt_pool_stop(fx->pool);
	assert_int_equal(lt_pool_open(&po, &fx->pool), LT_OK);
	fx->echo.hold = hold_thread;
	fx->echo.fail = compute;
	fx_server_start(fx, &o);
}

struct heard {
	_Atomic unsigned ends;
	struct lt_status status;
};

static void
on_item(void *ctx, const ProtobufCMessage *m)
{
	(void)ctx;
	(void)m;
}

static void
on_end(void *ctx, const struct lt_status *status)
{
	struct heard *h = ctx;

	h->status = *status;
	h->ends++;
}

static const struct lt_call_ops ops = { on_item, on_end };

static bool
has_ended(void *arg)
{
	return ((struct heard *)arg)->ends == 1;
}

static bool
all_hold(void *arg)
{
	(void)arg;
	return holding == INTAKE_THREADS;
}

static void
call(struct lt_conn *c, const char *method, uint32_t timeout_ms, struct heard *h, uint32_t *id)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;

	memset(h, 0, sizeof(*h));
	assert_int_equal(lt_conn_call(c, ECHO, method, &req.base, timeout_ms, &ops, h, id), LT_OK);
}

static unsigned
wait_code(struct lt_conn *c, const char *method, const ProtobufCMessage *req)
{
	ProtobufCMessage *reply = NULL;
	struct lt_status st;

	(void)lt_conn_call_wait(c, ECHO, method, req, 15000, &reply, &st);
	if (reply != NULL)
		protobuf_c_message_free_unpacked(reply, NULL);
	return st.code;
}

static unsigned
say(struct lt_conn *c)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;

	return wait_code(c, "Say", &req.base);
}

/* A storm of what takes in, its threads all kept: every question is answered, long ones too; one more push is told to come later.
 * And all of the storm is answered when it may go on. */
static void
storm(void **state)
{
	struct heard push[CALLS_MAX], more, question[QUESTIONS / 10];
	Lttest__FailRequest long_one = LTTEST__FAIL_REQUEST__INIT;
	Lttest__EchoRequest again = LTTEST__ECHO_REQUEST__INIT;
	struct lt_server_counts counts;
	struct lt_conn *node, *asker;
	unsigned i, k;
	struct fx fx;

	(void)state;
	start(&fx, NULL);
	node = fx_dial(&fx, true);
	asker = fx_dial(&fx, true);
	for (i = 0; i < CALLS_MAX; i++)
		call(node, "Hold", 0, &push[i], NULL);
	fx_until(all_hold, NULL, "the threads are kept");
	for (k = 0; k < 10; k++) {
		for (i = 0; i < QUESTIONS / 10; i++) {
			/* As many at once as are let in. */
			call(asker, "Say", 0, &question[i], NULL);
			if (i % 10 == 9)
				fx_until(has_ended, &question[i], "a question is answered");
		}
		for (i = 0; i < QUESTIONS / 10; i++) {
			fx_until(has_ended, &question[i], "a question is answered");
			assert_int_equal(question[i].status.code, LT_STATUS_OK);
		}
		assert_int_equal(wait_code(asker, "Fail", &long_one.base), LT_STATUS_OK);
	}
	assert_int_equal(computing, 10);
	call(asker, "Hold", 0, &more, NULL);
	fx_until(has_ended, &more, "one more is told");
	assert_int_equal(more.status.code, LT_STATUS_RESOURCE_EXHAUSTED);
	assert_true(more.status.retry_delay_ms > 0);
	assert_int_equal(holding, INTAKE_THREADS);
	assert_int_equal(taken_in, 0);
	may_go = true;
	for (i = 0; i < CALLS_MAX; i++) {
		fx_until(has_ended, &push[i], "a push is answered");
		assert_int_equal(push[i].status.code, LT_STATUS_OK);
	}
	assert_int_equal(taken_in, CALLS_MAX);
	assert_int_equal(wait_code(asker, "Hold", &again.base), LT_STATUS_OK);
	lt_server_counts(fx.server, &counts);
	assert_int_equal(counts.calls_refused, 1);
	lt_conn_close(node);
	lt_conn_close(asker);
	fx_stop(&fx);
}

/* What waits in a full class can be given up and can be late; neither comes to its handler afterwards. */
static void
given_up(void **state)
{
	struct heard push[6];
	struct lt_conn *node;
	uint32_t id[6];
	struct fx fx;
	unsigned i;

	(void)state;
	fx_clock_ms = 1000;
	start(&fx, &fx_clock);
	node = fx_dial(&fx, true);
	for (i = 0; i < 6; i++) {
		call(node, "Hold", i == 3 ? 5000 : 0, &push[i], &id[i]);
		if (i == INTAKE_THREADS - 1)
			fx_until(all_hold, NULL, "the threads are kept");
	}
	assert_int_equal(say(node), LT_STATUS_OK); /* all of them have come in */
	lt_conn_cancel(node, id[2]);
	fx_until(has_ended, &push[2], "given up");
	assert_int_equal(push[2].status.code, LT_STATUS_CANCELLED);
	fx_clock_ms = 7000;
	fx_until(has_ended, &push[3], "late");
	assert_int_equal(push[3].status.code, LT_STATUS_DEADLINE_EXCEEDED);
	assert_int_equal(say(node), LT_STATUS_OK);
	may_go = true;
	for (i = 0; i < 6; i++) {
		fx_until(has_ended, &push[i], "answered");
		assert_int_equal(push[i].status.code, i == 2   ? LT_STATUS_CANCELLED
						      : i == 3 ? LT_STATUS_DEADLINE_EXCEEDED
							       : LT_STATUS_OK);
	}
	assert_int_equal(taken_in, 4);
	lt_conn_close(node);
	fx_stop(&fx);
}

/* Streams that have begun are no measure of what there is to do: as many as are followed, questions are let in. */
static void
streams_aside(void **state)
{
	struct heard follow[2 * CALLS_MAX];
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_conn *c;
	struct fx fx;
	unsigned i;

	(void)state;
	start(&fx, NULL);
	c = fx_dial(&fx, true);
	req.count = 1000;
	fx.walk_burst = 1;
	for (i = 0; i < 2 * CALLS_MAX; i++) {
		memset(&follow[i], 0, sizeof(follow[i]));
		assert_int_equal(
		    lt_conn_call(c, ECHO, "Walk", &req.base, 0, &ops, &follow[i], NULL), LT_OK);
		/* Answered behind the stream's beginning: by then it is none of those who wait. */
		assert_int_equal(say(c), LT_STATUS_OK);
	}
	for (i = 0; i < 2 * CALLS_MAX; i++)
		assert_int_equal(follow[i].ends, 0);
	assert_int_equal(say(c), LT_STATUS_OK);
	lt_conn_close(c);
	fx_stop(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storm),
		cmocka_unit_test(given_up),
		cmocka_unit_test(streams_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
