#include "proto/base/thread.h"
#include "proto/rpc/pool_impl.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* So many brief tasks wait for each thread that runs such before one more is called: one takes some microseconds, to call somebody
 * as much. */
#define BRIEF_RUN 16
/* Should one not be brief after all (a page that has to come from the disk), what waits behind it is noticed within twice this. */
#define WATCH_MS 5

/* Who sleeps and who is called: each on a condition of its own, so that the one is woken who slept last, whose memory is still at
 * hand. */
struct worker {
	struct lt_pool *pool;
	struct work_class *of;
	pthread_t thread;
	pthread_cond_t cv;
	bool called;
	struct worker *below; /* asleep longer */
};

/* Of the thread that asks; NULL: of no pool. */
static _Thread_local const struct worker *self;

/* Guarded by the pool's lock. */
struct work_class {
	struct lt_task *first, *last;
	struct worker *asleep;
	unsigned called; /* and not awake yet */
	struct worker *worker;
	unsigned nworker;
	unsigned nasleep;
	size_t waiting; /* tasks in the queue */
	unsigned in_brief; /* threads that run a brief one */
	uint64_t taken, taken_seen; /* tasks begun, and when they were watched last */
};

struct lt_pool {
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t drained;
	struct work_class of[LT_WORK_CLASSES];
	size_t pending; /* tasks, waiting or running */
	size_t submitted; /* of lt_pool_submit(), waiting */
	size_t queue_max;
	bool stopping; /* what waits still runs */
	bool over;
	bool watching;
	struct lt_timer watch;

	pthread_mutex_t svc_mx; /* guards timers and chores */
	pthread_cond_t svc_cv;
	pthread_cond_t svc_idle;
	struct lt_timer **heap;
	size_t nheap, heap_cap;
	struct lt_timer *running;
	struct lt_chore *chore_first, *chore_last;
	bool svc_stopping;
	pthread_t svc;
	bool svc_started;
};

/* ---- workers ---- */

static struct work_class *
class_of(struct lt_pool *p, const struct lt_task *t)
{
	struct work_class *w = &p->of[t->work];

	return w->nworker != 0 ? w : &p->of[LT_WORK_QUICK];
}

static void
enqueue(struct work_class *w, struct lt_task *t)
{
	t->next = NULL;
	t->state = LT_TASK_QUEUED;
	if (w->last != NULL)
		w->last->next = t;
	else
		w->first = t;
	w->last = t;
	w->waiting++;
}

/* Whom to wake for what waits, NULL: nobody. One at a time: whoever wakes calls the next if there is more than it takes itself, and
 * until then those who are awake take what they can. To be told without the lock, which it needs first of all. */
static struct worker *
call_any(struct work_class *w)
{
	struct worker *one = w->asleep;

	if (one == NULL || w->called != 0 || w->first == NULL)
		return NULL;
	w->asleep = one->below;
	w->nasleep--;
	one->called = true;
	w->called++;
	return one;
}

/* Is what waits first in good hands: of those who are about to come back for more? */
static bool
comes_back(struct lt_pool *p, const struct work_class *w)
{
	if (w->first == NULL || w->first->work != LT_WORK_BRIEF ||
	    w->waiting > (size_t)BRIEF_RUN * w->in_brief)
		return false;
	if (!p->watching)
		p->watching = lt_timer_arm(p, &p->watch, WATCH_MS) == LT_OK;
	return p->watching;
}

static struct worker *
call_one(struct lt_pool *p, struct work_class *w)
{
	return comes_back(p, w) ? NULL : call_any(w);
}

static void
wake(struct worker *w)
{
	if (w != NULL)
		pthread_cond_signal(&w->cv);
}

/* Has somebody been held up with work behind it? Then call another. Service thread. */
static void
watch(void *arg)
{
	struct lt_pool *p = arg;
	struct work_class *w;
	bool on = false;

	pthread_mutex_lock(&p->mx);
	for (w = p->of; w < p->of + LT_WORK_CLASSES; w++) {
		on = on || w->first != NULL || w->taken != w->taken_seen;
		/* Under the lock: the stop waits for the workers, not for this thread. */
		if (w->taken == w->taken_seen)
			wake(call_any(w));
		w->taken_seen = w->taken;
	}
	p->watching = on && lt_timer_arm(p, &p->watch, WATCH_MS) == LT_OK;
	pthread_mutex_unlock(&p->mx);
}

/* False: it is there already, and the reference is too many. Under the lock. */
static bool
push(struct lt_pool *p, struct lt_task *t)
{
	if (t->state == LT_TASK_RUNNING)
		t->state = LT_TASK_AGAIN;
	if (t->state != LT_TASK_IDLE)
		return false;
	assert(p->of[LT_WORK_QUICK].nworker > 0);
	p->pending++;
	enqueue(class_of(p, t), t);
	return true;
}

void
lt_pool_push(struct lt_pool *p, struct lt_task *t)
{
	lt_pool_push_all(p, &t, 1);
}

void
lt_pool_push_all(struct lt_pool *p, struct lt_task *const *t, size_t n)
{
	struct worker *one[LT_WORK_CLASSES];
	uint64_t merged;
	size_t i, part;

	for (; n != 0; t += part, n -= part) {
		part = n < 64 ? n : 64;
		merged = 0;
		pthread_mutex_lock(&p->mx);
		for (i = 0; i < part; i++)
			if (!push(p, t[i]))
				merged |= UINT64_C(1) << i;
		for (i = 0; i < LT_WORK_CLASSES; i++)
			one[i] = call_one(p, &p->of[i]);
		pthread_mutex_unlock(&p->mx);
		for (i = 0; i < LT_WORK_CLASSES; i++)
			wake(one[i]);
		for (i = 0; i < part; i++)
			if ((merged >> i & 1) != 0)
				t[i]->release(t[i]->arg);
	}
}

bool
lt_pool_push_behind(struct lt_pool *p, struct lt_task *t)
{
	bool behind, pushed;

	if (self == NULL || self->of != class_of(p, t))
		return false;
	pthread_mutex_lock(&p->mx);
	behind = class_of(p, t)->first != NULL;
	pushed = behind && push(p, t);
	pthread_mutex_unlock(&p->mx);
	if (behind && !pushed)
		t->release(t->arg);
	return behind;
}

static void
run_one(struct lt_pool *p, struct work_class *w)
{
	struct lt_task *t = w->first;
	bool brief = t->work == LT_WORK_BRIEF;
	struct worker *one;

	w->first = t->next;
	if (w->first == NULL)
		w->last = NULL;
	w->waiting--;
	w->taken++;
	t->state = LT_TASK_RUNNING;
	w->in_brief += brief;
	one = call_one(p, w);
	pthread_mutex_unlock(&p->mx);
	wake(one);
	t->fn(t->arg);
	pthread_mutex_lock(&p->mx);
	w->in_brief -= brief;
	if (t->state == LT_TASK_AGAIN) {
		enqueue(w, t);
		return;
	}
	t->state = LT_TASK_IDLE;
	pthread_mutex_unlock(&p->mx);
	t->release(t->arg);
	pthread_mutex_lock(&p->mx);
	if (--p->pending == 0 && p->stopping)
		pthread_cond_signal(&p->drained);
}

static void
sleep_until_called(struct lt_pool *p, struct worker *me)
{
	me->called = false;
	me->below = me->of->asleep;
	me->of->asleep = me;
	me->of->nasleep++;
	while (!me->called)
		pthread_cond_wait(&me->cv, &p->mx);
	me->of->called--;
}

static void *
work(void *arg)
{
	static const struct {
		const char *name;
		int nice_by;
	} as[LT_WORK_CLASSES] = {
		[LT_WORK_QUICK] = { "lt-quick", LT_NICE_NONE },
		[LT_WORK_LONG] = { "lt-long", LT_NICE_LONG },
		[LT_WORK_INTAKE] = { "lt-intake", LT_NICE_INTAKE },
		[LT_WORK_BRIEF] = { "lt-brief", LT_NICE_NONE },
	};
	struct worker *me = arg;
	struct lt_pool *p = me->pool;
	size_t class = (size_t)(me->of - p->of);

	self = me;
	lt_thread_begin(as[class].name, as[class].nice_by);
	pthread_mutex_lock(&p->mx);
	for (;;) {
		if (me->of->first != NULL)
			run_one(p, me->of);
		else if (p->over)
			break;
		else
			sleep_until_called(p, me);
	}
	pthread_mutex_unlock(&p->mx);
	return NULL;
}

struct submitted {
	struct lt_task task;
	struct lt_pool *pool;
	void (*fn)(void *);
	void *arg;
};

static void
submitted_run(void *arg)
{
	struct submitted *s = arg;

	pthread_mutex_lock(&s->pool->mx);
	s->pool->submitted--;
	pthread_mutex_unlock(&s->pool->mx);
	s->fn(s->arg);
}

int
lt_pool_submit(struct lt_pool *p, void (*fn)(void *), void *arg)
{
	struct submitted *s = calloc(1, sizeof(*s));
	struct worker *one = NULL;
	int rc = LT_OK;

	if (s == NULL)
		return LT_E_NOMEM;
	s->task.fn = submitted_run;
	s->task.release = free;
	s->task.arg = s;
	s->task.work = LT_WORK_QUICK;
	s->pool = p;
	s->fn = fn;
	s->arg = arg;
	pthread_mutex_lock(&p->mx);
	if (p->stopping) {
		rc = LT_E_CLOSED;
	} else if (p->submitted >= p->queue_max) {
		rc = LT_E_UNAVAILABLE;
	} else {
		p->submitted++;
		p->pending++;
		enqueue(class_of(p, &s->task), &s->task);
		one = call_one(p, class_of(p, &s->task));
	}
	pthread_mutex_unlock(&p->mx);
	wake(one);
	if (rc != LT_OK)
		free(s);
	return rc;
}

/* ---- the service thread ---- */

static int64_t
svc_now_ms(void)
{
	struct timespec ts;

	/* The clock that condition variables can wait on; deadlines are judged by the owners' clocks. */
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
heap_set(struct lt_pool *p, size_t i, struct lt_timer *t)
{
	p->heap[i] = t;
	t->at = i + 1;
}

static void
heap_fix(struct lt_pool *p, size_t i)
{
	struct lt_timer *t = p->heap[i];
	size_t child;

	while (i > 0 && p->heap[(i - 1) / 2]->due_ms > t->due_ms) {
		heap_set(p, i, p->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		child = 2 * i + 1;
		if (child >= p->nheap)
			break;
		if (child + 1 < p->nheap && p->heap[child + 1]->due_ms < p->heap[child]->due_ms)
			child++;
		if (p->heap[child]->due_ms >= t->due_ms)
			break;
		heap_set(p, i, p->heap[child]);
		i = child;
	}
	heap_set(p, i, t);
}

static void
heap_remove(struct lt_pool *p, struct lt_timer *t)
{
	size_t i = t->at - 1;
	struct lt_timer *moved = p->heap[--p->nheap];

	t->at = 0;
	if (moved == t)
		return;
	heap_set(p, i, moved);
	heap_fix(p, i);
}

int
lt_timer_arm(struct lt_pool *p, struct lt_timer *t, int64_t delay_ms)
{
	struct lt_timer **heap;
	size_t cap;
	int rc = LT_OK;

	pthread_mutex_lock(&p->svc_mx);
	if (t->at == 0 && p->nheap == p->heap_cap) {
		cap = p->heap_cap == 0 ? 64 : 2 * p->heap_cap;
		heap = realloc(p->heap, cap * sizeof(struct lt_timer *));
		if (heap == NULL) {
			rc = LT_E_NOMEM;
			goto out;
		}
		p->heap = heap;
		p->heap_cap = cap;
	}
	t->due_ms = svc_now_ms() + (delay_ms < 0 ? 0 : delay_ms);
	if (t->at == 0)
		heap_set(p, p->nheap++, t);
	heap_fix(p, t->at - 1);
	if (p->heap[0] == t)
		pthread_cond_signal(&p->svc_cv);
out:
	pthread_mutex_unlock(&p->svc_mx);
	return rc;
}

void
lt_timer_disarm(struct lt_pool *p, struct lt_timer *t)
{
	pthread_mutex_lock(&p->svc_mx);
	while (p->running == t && !pthread_equal(pthread_self(), p->svc))
		pthread_cond_wait(&p->svc_idle, &p->svc_mx);
	if (t->at != 0)
		heap_remove(p, t);
	pthread_mutex_unlock(&p->svc_mx);
}

void
lt_pool_chore(struct lt_pool *p, struct lt_chore *c)
{
	pthread_mutex_lock(&p->svc_mx);
	c->next = NULL;
	if (p->chore_last != NULL)
		p->chore_last->next = c;
	else
		p->chore_first = c;
	p->chore_last = c;
	pthread_cond_signal(&p->svc_cv);
	pthread_mutex_unlock(&p->svc_mx);
}

static void
run_chore(struct lt_pool *p)
{
	struct lt_chore *c = p->chore_first;

	p->chore_first = c->next;
	if (p->chore_first == NULL)
		p->chore_last = NULL;
	pthread_mutex_unlock(&p->svc_mx);
	c->fn(c->arg); /* c may be gone */
	pthread_mutex_lock(&p->svc_mx);
}

static void
run_timer(struct lt_pool *p)
{
	struct lt_timer *t = p->heap[0];

	heap_remove(p, t);
	p->running = t;
	pthread_mutex_unlock(&p->svc_mx);
	t->fn(t->arg);
	pthread_mutex_lock(&p->svc_mx);
	p->running = NULL;
	pthread_cond_broadcast(&p->svc_idle);
}

static void
svc_wait(struct lt_pool *p)
{
	struct timespec ts;

	if (p->nheap == 0) {
		pthread_cond_wait(&p->svc_cv, &p->svc_mx);
		return;
	}
	ts.tv_sec = (time_t)(p->heap[0]->due_ms / 1000);
	ts.tv_nsec = (long)(p->heap[0]->due_ms % 1000) * 1000000;
	(void)pthread_cond_timedwait(&p->svc_cv, &p->svc_mx, &ts);
}

static void *
service(void *arg)
{
	struct lt_pool *p = arg;

	lt_thread_begin("lt-timers", LT_NICE_NONE);
	pthread_mutex_lock(&p->svc_mx);
	for (;;) {
		if (p->chore_first != NULL)
			run_chore(p);
		else if (p->svc_stopping)
			break;
		else if (p->nheap != 0 && p->heap[0]->due_ms <= svc_now_ms())
			run_timer(p);
		else
			svc_wait(p);
	}
	pthread_mutex_unlock(&p->svc_mx);
	return NULL;
}

/* ---- life ---- */

/* False: not all of them. */
static bool
start_workers(struct lt_pool *p, struct work_class *w, unsigned n)
{
	w->worker = n == 0 ? NULL : calloc(n, sizeof(*w->worker));
	while (w->worker != NULL && w->nworker < n) {
		struct worker *one = &w->worker[w->nworker];

		one->pool = p;
		one->of = w;
		pthread_cond_init(&one->cv, NULL);
		if (pthread_create(&one->thread, NULL, work, one) != 0) {
			pthread_cond_destroy(&one->cv);
			break;
		}
		w->nworker++;
	}
	return w->nworker == n;
}

int
lt_pool_open(const struct lt_pool_options *o, struct lt_pool **out)
{
	struct lt_pool *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;
	bool whole;
	size_t i;

	if (p == NULL)
		return LT_E_NOMEM;
	p->queue_max = o->queue_max == 0 ? 1024 : o->queue_max;
	p->watch.fn = watch;
	p->watch.arg = p;
	pthread_mutex_init(&p->mx, NULL);
	pthread_cond_init(&p->drained, NULL);
	pthread_mutex_init(&p->svc_mx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->svc_cv, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&p->svc_idle, NULL);
	pthread_mutex_lock(&p->svc_mx);
	p->svc_started = pthread_create(&p->svc, NULL, service, p) == 0;
	pthread_mutex_unlock(&p->svc_mx);
	whole = p->svc_started;
	/* Under the lock: no worker looks at the classes before they are all there. */
	pthread_mutex_lock(&p->mx);
	for (i = 0; whole && i < LT_WORK_CLASSES; i++)
		whole = start_workers(
		    p, &p->of[i], i == LT_WORK_QUICK && o->threads[i] == 0 ? 1 : o->threads[i]);
	pthread_mutex_unlock(&p->mx);
	if (!whole) {
		lt_pool_stop(p);
		return LT_E_NOMEM;
	}
	*out = p;
	return LT_OK;
}

unsigned
lt_pool_threads(const struct lt_pool *p, enum lt_work work)
{
	/* Constant once the pool is open. */
	return p->of[work].nworker != 0 ? p->of[work].nworker : p->of[LT_WORK_QUICK].nworker;
}

int
lt_pool_start(unsigned nthreads, size_t queue_max, struct lt_pool **out)
{
	const struct lt_pool_options o = { .threads = { [LT_WORK_QUICK] = nthreads },
		.queue_max = queue_max };

	return lt_pool_open(&o, out);
}

/* All of them, or those of a pool that did not come to be. */
static void
join_workers(struct lt_pool *p)
{
	struct work_class *w;
	unsigned i;

	pthread_mutex_lock(&p->mx);
	p->stopping = true;
	/* What runs may push more, to any class. */
	while (p->pending != 0)
		pthread_cond_wait(&p->drained, &p->mx);
	p->over = true;
	for (w = p->of; w < p->of + LT_WORK_CLASSES; w++)
		for (; w->asleep != NULL; w->asleep = w->asleep->below) {
			w->asleep->called = true;
			w->called++;
			pthread_cond_signal(&w->asleep->cv);
		}
	pthread_mutex_unlock(&p->mx);
	for (w = p->of; w < p->of + LT_WORK_CLASSES; w++) {
		for (i = 0; i < w->nworker; i++) {
			pthread_join(w->worker[i].thread, NULL);
			pthread_cond_destroy(&w->worker[i].cv);
		}
		free(w->worker);
	}
}

void
lt_pool_stop(struct lt_pool *p)
{
	if (p == NULL)
		return;
	join_workers(p);
	if (p->svc_started) {
		pthread_mutex_lock(&p->svc_mx);
		p->svc_stopping = true;
		pthread_cond_signal(&p->svc_cv);
		pthread_mutex_unlock(&p->svc_mx);
		pthread_join(p->svc, NULL);
	}
	pthread_mutex_destroy(&p->mx);
	pthread_cond_destroy(&p->drained);
	pthread_mutex_destroy(&p->svc_mx);
	pthread_cond_destroy(&p->svc_cv);
	pthread_cond_destroy(&p->svc_idle);
	free(p->heap);
	free(p);
}
