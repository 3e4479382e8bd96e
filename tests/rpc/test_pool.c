#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/pool_impl.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLASSES LT_WORK_BRIEF /* those with threads of their own */

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

static void
task_init(struct lt_task *t, void (*fn)(void *), enum lt_work work)
{
	memset(t, 0, sizeof(*t));
	t->fn = fn;
	t->release = no_release;
	t->work = work;
}

/* However much of one class waits, the others run; and each class runs on its own threads alone. */
static void
classes(void **state)
{
	const struct lt_pool_options o = {
		.threads = { [LT_WORK_QUICK] = 2, [LT_WORK_LONG] = 1, [LT_WORK_INTAKE] = 2 }
	};
	static const unsigned threads[CLASSES] = { 2, 1, 2 };
	struct lt_task held[CLASSES][9], other[CLASSES];
	enum lt_work full, w;
	struct lt_pool *p;
	unsigned i;

	(void)state;
	for (full = 0; full < CLASSES; full++) {
		go = false;
		ran = running = 0;
		assert_int_equal(lt_pool_open(&o, &p), LT_OK);
		for (i = 0; i < 9; i++) {
			task_init(&held[full][i], wait_go, full);
			lt_pool_push(p, &held[full][i]);
		}
		await(&running, threads[full]);
		for (w = 0; w < CLASSES; w++) {
			task_init(&other[w], count_run, w);
			if (w != full)
				lt_pool_push(p, &other[w]);
		}
		await(&ran, CLASSES - 1);
		assert_int_equal(running, threads[full]);
		go = true;
		lt_pool_stop(p);
		assert_int_equal(ran, 9 + CLASSES - 1);
	}
}

/* A class without threads of its own is done by the quick ones: with one, in the order in which it came. */
static void
no_threads_of_its_own(void **state)
{
	struct lt_task t[LT_WORK_CLASSES];
	struct lt_pool *p;
	enum lt_work w;

	(void)state;
	ran = 0;
	assert_int_equal(lt_pool_start(0, 1, &p), LT_OK);
	for (w = 0; w < LT_WORK_CLASSES; w++) {
		task_init(&t[w], count_run, w);
		lt_pool_push(p, &t[w]);
	}
	await(&ran, LT_WORK_CLASSES);
	lt_pool_stop(p);
}

/* As many as there are threads run at once, though only one of them is woken at a time. */
static void
all_awake(void **state)
{
	struct lt_task t[8];
	struct lt_pool *p;
	unsigned i, round;

	(void)state;
	assert_int_equal(lt_pool_start(8, 1, &p), LT_OK);
	for (round = 0; round < 50; round++) {
		go = false;
		ran = running = 0;
		for (i = 0; i < 8; i++) {
			task_init(&t[i], wait_go, LT_WORK_QUICK);
			lt_pool_push(p, &t[i]);
		}
		await(&running, 8);
		go = true;
		await(&ran, 8);
		/* A task that has run is still its own for a moment. */
		lt_pool_stop(p);
		assert_int_equal(lt_pool_start(8, 1, &p), LT_OK);
	}
	lt_pool_stop(p);
}

/* Brief ones that wait for nobody are done one after the other, and by one thread as long as there are few. When one is held up
 * after all, those behind it do not wait for it. */
static void
brief_held_up(void **state)
{
	struct lt_task held[3], other[8];
	struct lt_pool *p;
	unsigned i, round;

	(void)state;
	for (round = 1; round <= 3; round++) {
		go = false;
		ran = running = 0;
		assert_int_equal(lt_pool_start(4, 1, &p), LT_OK);
		for (i = 0; i < 3; i++)
			task_init(&held[i], wait_go, LT_WORK_BRIEF);
		for (i = 0; i < 8; i++)
			task_init(&other[i], count_run, LT_WORK_BRIEF);
		for (i = 0; i < round; i++)
			lt_pool_push(p, &held[i]);
		for (i = 0; i < 8; i++)
			lt_pool_push(p, &other[i]);
		await(&ran, 8);
		assert_int_equal(running, round);
		go = true;
		lt_pool_stop(p);
		assert_int_equal(ran, 8 + round);
	}
}

/* One that is not brief calls others as ever, whatever brief ones stand around it. */
static void
brief_beside_others(void **state)
{
	struct lt_task brief[64], held[8];
	struct lt_pool *p;
	unsigned i;

	(void)state;
	go = false;
	ran = running = 0;
	assert_int_equal(lt_pool_start(8, 1, &p), LT_OK);
	for (i = 0; i < 64; i++)
		task_init(&brief[i], count_run, LT_WORK_BRIEF);
	for (i = 0; i < 8; i++)
		task_init(&held[i], wait_go, LT_WORK_QUICK);
	for (i = 0; i < 64; i++) {
		lt_pool_push(p, &brief[i]);
		if (i % 8 == 7)
			lt_pool_push(p, &held[i / 8]);
	}
	await(&running, 8);
	assert_int_equal(ran, 64);
	go = true;
	lt_pool_stop(p);
	assert_int_equal(ran, 64 + 8);
}

/* Many at once run in their order with one thread, however many; one that is there already gives its reference back. */
static struct lt_task *ran_in[200];

static void
note_run(void *arg)
{
	ran_in[ran] = arg;
	ran++;
}

static void
all_at_once(void **state)
{
	static const size_t sizes[] = { 1, 63, 64, 65, 128, 129, 200 };
	static struct lt_task t[200];
	struct lt_task *list[201];
	struct lt_pool *p;
	size_t s, i;

	(void)state;
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		ran = released = 0;
		assert_int_equal(lt_pool_start(1, 1, &p), LT_OK);
		lt_pool_push_all(p, NULL, 0);
		for (i = 0; i < sizes[s]; i++) {
			task_init(&t[i], note_run, i % 2 == 0 ? LT_WORK_BRIEF : LT_WORK_QUICK);
			t[i].release = task_release;
			t[i].arg = &t[i];
			list[i] = &t[i];
		}
		lt_pool_push_all(p, list, sizes[s]);
		lt_pool_stop(p);
		assert_int_equal(ran, sizes[s]);
		assert_int_equal(released, sizes[s]);
		for (i = 0; i < sizes[s]; i++)
			assert_ptr_equal(ran_in[i], &t[i]);
	}
}

struct putting_off {
	struct lt_pool *pool;
	struct lt_task *later;
	_Atomic bool asked;
	bool put_off;
};

static void
put_off(void *arg)
{
	struct putting_off *x = arg;

	wait_go(NULL);
	x->put_off = lt_pool_push_behind(x->pool, x->later);
	x->asked = true;
}

/* Put off behind what waits for this very thread's class; from elsewhere, or where nothing waits, it is the caller's to do. */
static void
behind(void **state)
{
	const struct lt_pool_options o = { .threads = { 1, 1, 1 } };
	static const struct {
		enum lt_work at, waits, later;
		bool waiting, twice, want;
	} c[] = {
		{ LT_WORK_QUICK, LT_WORK_QUICK, LT_WORK_BRIEF, true, false, true },
		{ LT_WORK_BRIEF, LT_WORK_BRIEF, LT_WORK_BRIEF, true, false, true },
		{ LT_WORK_BRIEF, LT_WORK_BRIEF, LT_WORK_BRIEF, true, true, true },
		{ LT_WORK_BRIEF, LT_WORK_BRIEF, LT_WORK_BRIEF, false, false, false },
		{ LT_WORK_QUICK, LT_WORK_INTAKE, LT_WORK_BRIEF, true, false, false },
		{ LT_WORK_LONG, LT_WORK_QUICK, LT_WORK_BRIEF, true, false, false },
	};
	struct lt_task first, waits, later;
	struct putting_off x;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		go = false;
		ran = running = released = 0;
		memset(&x, 0, sizeof(x));
		assert_int_equal(lt_pool_open(&o, &x.pool), LT_OK);
		x.later = &later;
		task_init(&later, note_run, c[i].later);
		later.release = task_release;
		later.arg = &later;
		task_init(
		    &waits, c[i].at == c[i].waits || c[i].twice ? note_run : count_run, c[i].waits);
		waits.arg = &waits;
		task_init(&first, put_off, c[i].at);
		first.arg = &x;
		lt_pool_push(x.pool, &first);
		await(&running, 1);
		if (c[i].waiting)
			lt_pool_push(x.pool, &waits);
		if (c[i].twice)
			lt_pool_push(x.pool, &later);
		assert_false(lt_pool_push_behind(x.pool, &later));
		go = true;
		while (!x.asked)
			(void)poll(NULL, 0, 1);
		lt_pool_stop(x.pool);
		assert_int_equal(x.put_off, c[i].want);
		assert_int_equal(released, (c[i].want ? 1 : 0) + (c[i].twice ? 1 : 0));
		assert_int_equal(ran, 1 + (c[i].waiting ? 1 : 0) + (c[i].want ? 1 : 0));
		if (c[i].want) {
			assert_ptr_equal(ran_in[1], &waits);
			assert_ptr_equal(ran_in[2], &later);
		}
	}
}

static void *
stop_pool(void *pool)
{
	lt_pool_stop(pool);
	return NULL;
}

struct handing {
	struct lt_pool *pool;
	struct lt_task *next;
};

static void
hand_on(void *arg)
{
	struct handing *h = arg;

	wait_go(NULL);
	lt_pool_push(h->pool, h->next);
}

/* What runs while the pool is being stopped may still push: to a class whose threads had nothing to do any more. */
static void
pushed_at_the_stop(void **state)
{
	const struct lt_pool_options o = { .threads = { 1, 1, 1 } };
	struct lt_task first, second, third;
	struct handing a, b;
	pthread_t stopper;
	struct lt_pool *p;

	(void)state;
	go = false;
	ran = running = 0;
	assert_int_equal(lt_pool_open(&o, &p), LT_OK);
	task_init(&third, count_run, LT_WORK_LONG);
	task_init(&second, hand_on, LT_WORK_QUICK);
	task_init(&first, hand_on, LT_WORK_INTAKE);
	a = (struct handing){ p, &second };
	b = (struct handing){ p, &third };
	first.arg = &a;
	second.arg = &b;
	lt_pool_push(p, &first);
	await(&running, 1);
	assert_int_equal(pthread_create(&stopper, NULL, stop_pool, p), 0);
	while (lt_pool_submit(p, count_run, NULL) != LT_E_CLOSED)
		(void)poll(NULL, 0, 1);
	running = ran; /* of what was submitted before it closed, some may not have run */
	go = true;
	assert_int_equal(pthread_join(stopper, NULL), 0);
	assert_int_equal(first.state, LT_TASK_IDLE);
	assert_int_equal(second.state, LT_TASK_IDLE);
	assert_int_equal(third.state, LT_TASK_IDLE);
	assert_true(ran >= 3);
}

#ifdef __linux__
static _Atomic int nice_seen, policy_seen;

static void
see_nice(void *arg)
{
	(void)arg;
	nice_seen = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
	policy_seen = sched_getscheduler(0);
	ran++;
}

static int
nice_of(enum lt_work work)
{
	const struct lt_pool_options o = { .threads = { 1, 1, 1 } };
	struct lt_pool *p;
	struct lt_task t;

	ran = 0;
	task_init(&t, see_nice, work);
	assert_int_equal(lt_pool_open(&o, &p), LT_OK);
	lt_pool_push(p, &t);
	lt_pool_stop(p);
	assert_int_equal(ran, 1);
	return nice_seen;
}

/* Questions at the priority of the process, the rest below it: as much as is said, and never beyond the lowest. */
static void
priorities(void **state)
{
	int own = getpriority(PRIO_PROCESS, (id_t)getpid());

	(void)state;
	assert_int_equal(nice_of(LT_WORK_QUICK), own);
	assert_int_equal(policy_seen, sched_getscheduler(0));
	assert_int_equal(nice_of(LT_WORK_LONG), own + 2 < 19 ? own + 2 : 19);
	assert_int_equal(policy_seen, SCHED_BATCH);
	assert_int_equal(nice_of(LT_WORK_INTAKE), own + 10 < 19 ? own + 10 : 19);
}
#else
static void
priorities(void **state)
{
	(void)state;
	skip();
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounded),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(timers),
		cmocka_unit_test(classes),
		cmocka_unit_test(no_threads_of_its_own),
		cmocka_unit_test(all_awake),
		cmocka_unit_test(brief_held_up),
		cmocka_unit_test(brief_beside_others),
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(behind),
		cmocka_unit_test(pushed_at_the_stop),
		cmocka_unit_test(priorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
