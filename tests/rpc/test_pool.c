#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/pool_impl.h"

#include <poll.h>
#include <stdatomic.h>

static _Atomic bool go;
static _Atomic unsigned ran, running, at_once, released;

static void
count_run(void *arg)
{
	(void)arg;
	ran++;
}

static void
wait_go(void *arg)
{
	(void)arg;
	running++;
	while (!go)
		(void)poll(NULL, 0, 1);
	ran++;
}

static void
await(const _Atomic unsigned *n, unsigned want)
{
	int ms;

	for (ms = 0; *n < want; ms++) {
		assert_true(ms < 20000);
		(void)poll(NULL, 0, 1);
	}
}

/* The queue has a bound; what was taken runs, also when the pool is being stopped. */
static void
bounded(void **state)
{
	struct lt_pool *p;
	int i;

	(void)state;
	go = false;
	ran = running = 0;
	assert_int_equal(lt_pool_start(1, 3, &p), LT_OK);
	assert_int_equal(lt_pool_submit(p, wait_go, NULL), LT_OK);
	await(&running, 1);
	for (i = 0; i < 3; i++)
		assert_int_equal(lt_pool_submit(p, count_run, NULL), LT_OK);
	assert_int_equal(lt_pool_submit(p, count_run, NULL), LT_E_UNAVAILABLE);
	go = true;
	lt_pool_stop(p);
	assert_int_equal(ran, 4);
}

static void
task_run(void *arg)
{
	(void)arg;
	if (++running > 1)
		at_once++;
	ran++;
	running--;
}

static void
task_release(void *arg)
{
	(void)arg;
	released++;
}

/* A task pushed from everywhere never runs twice at once, runs after the last push, and gives back a reference
 * for every push. */
static void
one_at_a_time(void **state)
{
	struct lt_task t = { .fn = task_run, .release = task_release };
	struct lt_pool *p;
	unsigned i, before;

	(void)state;
	ran = running = at_once = released = 0;
	assert_int_equal(lt_pool_start(4, 3, &p), LT_OK);
	for (i = 0; i < 20000; i++) {
		before = ran;
		lt_pool_push(p, &t);
	}
	await(&released, 20000);
	assert_true(ran > 0 && ran >= before);
	assert_int_equal(at_once, 0);
	lt_pool_stop(p);
	assert_int_equal(released, 20000);
}

static const struct lt_timer *order[100];
static _Atomic unsigned norder;

static void
timer_run(void *arg)
{
	order[norder] = arg;
	norder++;
}

/* Timers run in the order of their times whatever the order of arming; a disarmed one does not run. */
static void
timers(void **state)
{
	static const unsigned delay[] = { 50, 10, 40, 20, 60, 30 };
	struct lt_timer t[6], never = { .fn = timer_run };
	struct lt_pool *p;
	unsigned i;

	(void)state;
	norder = 0;
	memset(t, 0, sizeof(t));
	assert_int_equal(lt_pool_start(1, 1, &p), LT_OK);
	for (i = 0; i < 6; i++) {
		t[i].fn = timer_run;
		t[i].arg = &t[i];
		assert_int_equal(lt_timer_arm(p, &t[i], delay[i]), LT_OK);
	}
	assert_int_equal(lt_timer_arm(p, &never, 25), LT_OK);
	assert_int_equal(lt_timer_arm(p, &never, 100000), LT_OK);
	lt_timer_disarm(p, &never);
	await(&norder, 6);
	for (i = 1; i < 6; i++)
		assert_true(order[i - 1]->due_ms <= order[i]->due_ms);
	lt_pool_stop(p);
}

static void
no_release(void *arg)
{
	(void)arg;
}

static _Atomic unsigned slow_now, slow_most;

static void
slow_run(void *arg)
{
	unsigned now = ++slow_now;

	if (now > slow_most)
		slow_most = now;
	wait_go(arg);
	slow_now--;
}

/* Tasks that take long leave half of the workers to the others, come in their order, and all run, also when the pool stops. */
static void
long_tasks(void **state)
{
	struct lt_task slow[9], quick[5];
	struct lt_pool *p;
	int i;

	(void)state;
	go = false;
	ran = running = slow_now = slow_most = 0;
	memset(slow, 0, sizeof(slow));
	memset(quick, 0, sizeof(quick));
	assert_int_equal(lt_pool_start(4, 1, &p), LT_OK);
	for (i = 0; i < 9; i++) {
		slow[i].fn = slow_run;
		slow[i].release = no_release;
		slow[i].takes_long = true;
		lt_pool_push(p, &slow[i]);
	}
	await(&running, 2);
	/* All of these run while the long ones are held. */
	for (i = 0; i < 5; i++) {
		quick[i].fn = count_run;
		quick[i].release = no_release;
		lt_pool_push(p, &quick[i]);
	}
	await(&ran, 5);
	assert_int_equal(running, 2);
	go = true;
	lt_pool_stop(p);
	assert_int_equal(ran, 14);
	assert_int_equal(slow_most, 2);
}

/* Where there is one worker it does both, in the order in which they came. */
static void
long_tasks_alone(void **state)
{
	struct lt_task slow = { .fn = count_run, .release = no_release, .takes_long = true };
	struct lt_task quick = { .fn = count_run, .release = no_release };
	struct lt_pool *p;

	(void)state;
	ran = 0;
	assert_int_equal(lt_pool_start(1, 1, &p), LT_OK);
	lt_pool_push(p, &slow);
	lt_pool_push(p, &quick);
	await(&ran, 2);
	lt_pool_stop(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounded),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(timers),
		cmocka_unit_test(long_tasks),
		cmocka_unit_test(long_tasks_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
