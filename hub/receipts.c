/* hub/receipts.c - what comes after a commit is done on threads of its own: a receipt costs a signature, and the writer is to go on
 * with the next group meanwhile.
 *
 * Who pushes has one thread for good: its receipts come in the order of its pushes. */
#include "hub/hub_impl.h"
#include "proto/base/thread.h"

#include <stdlib.h>
#include <string.h>

#define THREADS 2 /* some 40,000 signatures a second each, more than one writer can use */
#define WAITING_MAX 1024 /* of one thread: as many as the writer commits in one transaction */

struct lane {
	pthread_t thread;
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t work, room;
	struct lt_after *first, **last;
	size_t n;
	bool asleep, stopping;
};

struct lt_receipts {
	size_t nlane; /* that run */
	struct lane lane[THREADS];
};

/* All that waits, in order; NULL: stopping, and nothing waits. */
static struct lt_after *
take_all(struct lane *l)
{
	struct lt_after *all;

	pthread_mutex_lock(&l->mx);
	while (l->first == NULL && !l->stopping) {
		l->asleep = true;
		pthread_cond_wait(&l->work, &l->mx);
		l->asleep = false;
	}
	all = l->first;
	l->first = NULL;
	l->last = &l->first;
	l->n = 0;
	pthread_cond_broadcast(&l->room);
	pthread_mutex_unlock(&l->mx);
	return all;
}

static void *
lane_main(void *arg)
{
	struct lane *l = arg;
	struct lt_after *a, *next;

	lt_thread_begin("lt-receipts", LT_NICE_NONE);
	while ((a = take_all(l)) != NULL) {
		for (; a != NULL; a = next) {
			next = a->next; /* what it lies in is gone after the call */
			a->fn(a);
		}
	}
	return NULL;
}

static void
lane_fini(struct lane *l)
{
	pthread_cond_destroy(&l->work);
	pthread_cond_destroy(&l->room);
	pthread_mutex_destroy(&l->mx);
}

static int
lane_start(struct lane *l)
{
	l->last = &l->first;
	pthread_mutex_init(&l->mx, NULL);
	pthread_cond_init(&l->work, NULL);
	pthread_cond_init(&l->room, NULL);
	if (pthread_create(&l->thread, NULL, lane_main, l) == 0)
		return LT_OK;
	lane_fini(l);
	return LT_E_NOMEM;
}

static void
lane_stop(struct lane *l)
{
	pthread_mutex_lock(&l->mx);
	l->stopping = true;
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->mx);
	(void)pthread_join(l->thread, NULL);
	lane_fini(l);
}

int
lt_receipts_open(struct lt_receipts **out)
{
	struct lt_receipts *r = calloc(1, sizeof(*r));

	*out = NULL;
	if (r == NULL)
		return LT_E_NOMEM;
	while (r->nlane < THREADS && lane_start(&r->lane[r->nlane]) == LT_OK)
		r->nlane++;
	if (r->nlane == 0) {
		free(r);
		return LT_E_NOMEM;
	}
	*out = r;
	return LT_OK;
}

static void
give(struct lane *l, struct lt_after *a)
{
	bool wake;

	a->next = NULL;
	pthread_mutex_lock(&l->mx);
	while (l->n >= WAITING_MAX)
		pthread_cond_wait(&l->room, &l->mx);
	*l->last = a;
	l->last = &a->next;
	l->n++;
	wake = l->asleep;
	l->asleep = false; /* once is enough */
	pthread_mutex_unlock(&l->mx);
	if (wake)
		pthread_cond_signal(&l->work);
}

void
lt_receipts_give(struct lt_receipts *r, const struct lt_id *pusher, struct lt_after *a)
{
	give(&r->lane[pusher->b[0] % r->nlane], a);
}

/* Stands in a lane behind what was given before. */
struct mark {
	struct lt_after after;
	pthread_mutex_t mx; /* guards passed */
	pthread_cond_t cv;
	bool passed;
};

static void
pass(struct lt_after *a)
{
	struct mark *m = (struct mark *)a; /* its first member */

	pthread_mutex_lock(&m->mx);
	m->passed = true;
	pthread_cond_signal(&m->cv);
	pthread_mutex_unlock(&m->mx);
}

static void
wait_for(struct lane *l)
{
	struct mark m = { .after = { .fn = pass } };

	pthread_mutex_init(&m.mx, NULL);
	pthread_cond_init(&m.cv, NULL);
	give(l, &m.after);
	pthread_mutex_lock(&m.mx);
	while (!m.passed)
		pthread_cond_wait(&m.cv, &m.mx);
	pthread_mutex_unlock(&m.mx);
	pthread_cond_destroy(&m.cv);
	pthread_mutex_destroy(&m.mx);
}

void
lt_receipts_wait(struct lt_receipts *r)
{
	size_t i;

	for (i = 0; r != NULL && i < r->nlane; i++)
		wait_for(&r->lane[i]);
}

void
lt_receipts_close(struct lt_receipts *r)
{
	if (r == NULL)
		return;
	while (r->nlane > 0)
		lane_stop(&r->lane[--r->nlane]);
	free(r);
}
