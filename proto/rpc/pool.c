#include "proto/rpc/pool_impl.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct lt_queue {
	struct lt_task *first, *last;
};

struct lt_pool {
	pthread_mutex_t mx; /* guards the queue */
	pthread_cond_t cv;
	struct lt_queue quick, slow; /* slow: tasks that take long */
	uint64_t places; /* given so far, over both */
	unsigned nslow; /* of those, running */
	size_t submitted; /* of lt_pool_submit(), waiting */
	size_t queue_max;
	bool stopping;
	pthread_t *threads;
	unsigned nthreads;

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

static void
enqueue(struct lt_pool *p, struct lt_task *t)
{
	struct lt_queue *q = t->takes_long ? &p->slow : &p->quick;

	t->next = NULL;
	t->state = LT_TASK_QUEUED;
	t->place = p->places++;
	if (q->last != NULL)
		q->last->next = t;
	else
		q->first = t;
	q->last = t;
	pthread_cond_signal(&p->cv);
}

/* The queue of the task that came first, of those that may run now; NULL: none. Whoever asks for one record does not stand
 * behind a dozen nodes whose change-sets are being verified. */
static struct lt_queue *
next_queue(struct lt_pool *p)
{
	bool slow = p->slow.first != NULL && p->nslow < (p->nthreads + 1) / 2;

	if (p->quick.first == NULL)
		return slow ? &p->slow : NULL;
	return slow && p->slow.first->place < p->quick.first->place ? &p->slow : &p->quick;
}

void
lt_pool_push(struct lt_pool *p, struct lt_task *t)
{
	bool merged = true;

	pthread_mutex_lock(&p->mx);
	if (t->state == LT_TASK_IDLE) {
		assert(p->nthreads > 0);
		enqueue(p, t);
		merged = false;
	} else if (t->state == LT_TASK_RUNNING) {
		t->state = LT_TASK_AGAIN;
	}
	pthread_mutex_unlock(&p->mx);
	if (merged)
		t->release(t->arg);
}

static void
run_one(struct lt_pool *p, struct lt_queue *q)
{
	struct lt_task *t = q->first;
	bool again, slow = q == &p->slow;

	q->first = t->next;
	if (q->first == NULL)
		q->last = NULL;
	t->state = LT_TASK_RUNNING;
	p->nslow += slow;
	pthread_mutex_unlock(&p->mx);
	t->fn(t->arg);
	pthread_mutex_lock(&p->mx);
	p->nslow -= slow;
	/* Who waited for this has no signal of its own. */
	if (slow && (p->slow.first != NULL || p->stopping))
		pthread_cond_broadcast(&p->cv);
	again = t->state == LT_TASK_AGAIN;
	if (again) {
		enqueue(p, t);
	} else {
		t->state = LT_TASK_IDLE;
		pthread_mutex_unlock(&p->mx);
		t->release(t->arg);
		pthread_mutex_lock(&p->mx);
	}
}

static void *
worker(void *arg)
{
	struct lt_pool *p = arg;
	struct lt_queue *q;

	pthread_mutex_lock(&p->mx);
	for (;;) {
		if ((q = next_queue(p)) != NULL)
			run_one(p, q);
		else if (p->stopping && p->slow.first == NULL)
			break;
		else
			pthread_cond_wait(&p->cv, &p->mx);
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
	int rc = LT_OK;

	if (s == NULL)
		return LT_E_NOMEM;
	s->task.fn = submitted_run;
	s->task.release = free;
	s->task.arg = s;
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
		enqueue(p, &s->task);
	}
	pthread_mutex_unlock(&p->mx);
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

int
lt_pool_start(unsigned nthreads, size_t queue_max, struct lt_pool **out)
{
	struct lt_pool *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;

	if (p == NULL)
		return LT_E_NOMEM;
	p->queue_max = queue_max == 0 ? 1024 : queue_max;
	nthreads = nthreads == 0 ? 1 : nthreads;
	pthread_mutex_init(&p->mx, NULL);
	pthread_cond_init(&p->cv, NULL);
	pthread_mutex_init(&p->svc_mx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->svc_cv, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&p->svc_idle, NULL);
	p->threads = calloc(nthreads, sizeof(*p->threads));
	pthread_mutex_lock(&p->svc_mx);
	p->svc_started = p->threads != NULL && pthread_create(&p->svc, NULL, service, p) == 0;
	pthread_mutex_unlock(&p->svc_mx);
	pthread_mutex_lock(&p->mx);
	while (p->svc_started && p->nthreads < nthreads &&
	       pthread_create(&p->threads[p->nthreads], NULL, worker, p) == 0)
		p->nthreads++;
	pthread_mutex_unlock(&p->mx);
	if (p->nthreads < nthreads) {
		lt_pool_stop(p);
		return LT_E_NOMEM;
	}
	*out = p;
	return LT_OK;
}

void
lt_pool_stop(struct lt_pool *p)
{
	unsigned i;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->mx);
	p->stopping = true;
	pthread_cond_broadcast(&p->cv);
	pthread_mutex_unlock(&p->mx);
	for (i = 0; i < p->nthreads; i++)
		pthread_join(p->threads[i], NULL);
	if (p->svc_started) {
		pthread_mutex_lock(&p->svc_mx);
		p->svc_stopping = true;
		pthread_cond_signal(&p->svc_cv);
		pthread_mutex_unlock(&p->svc_mx);
		pthread_join(p->svc, NULL);
	}
	pthread_mutex_destroy(&p->mx);
	pthread_cond_destroy(&p->cv);
	pthread_mutex_destroy(&p->svc_mx);
	pthread_cond_destroy(&p->svc_cv);
	pthread_cond_destroy(&p->svc_idle);
	free(p->threads);
	free(p->heap);
	free(p);
}
