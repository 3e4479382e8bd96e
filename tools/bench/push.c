#include "tools/bench/push.h"
#include "proto/base/thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64 /* of those that lt-hub would have (hub/daemon.c) */

struct lane {
	size_t next; /* set to be pushed next */
	size_t under_way; /* pushes */
	bool waits, busy; /* in the ring; on a thread */
};

struct drive {
	struct lt_hub *hub;
	const struct bench_feeds *f;
	size_t until; /* sets of each feed from here on are left alone */
	size_t per_push, window;
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cv;
	struct lane *lane;
	size_t *ring, head, nring;
	size_t left; /* sets without a receipt */
	size_t under_way; /* pushes of all feeds */
	uint64_t position;
	int rc;
	char why[256];
};

struct push {
	struct drive *d;
	size_t feed, n;
	uint64_t last; /* seq */
	struct lt_slice set[LT_PUSH_MAX];
};

/* mx is held. */
static void
make_ready(struct drive *d, size_t i)
{
	struct lane *l = &d->lane[i];

	if (l->waits || l->busy || l->under_way >= d->window || l->next >= d->until)
		return;
	l->waits = true;
	d->ring[(d->head + d->nring++) % d->f->nfeed] = i;
	pthread_cond_signal(&d->cv);
}

static void
on_receipt(void *ctx, const struct lt_intake_result *r)
{
	struct push *p = ctx;
	struct drive *d = p->d;
	bool good = r->rc == LT_OK && r->nfeed == 1 && r->feed[0].receipt.len != 0 &&
		    r->feed[0].held == p->last;

	pthread_mutex_lock(&d->mx);
	if (!good && d->rc == LT_OK) {
		d->rc = r->rc != LT_OK ? r->rc : LT_E_REFUSED;
		(void)snprintf(d->why, sizeof(d->why), "%s", r->why);
	}
	if (r->position > d->position)
		d->position = r->position;
	d->left -= p->n;
	d->lane[p->feed].under_way--;
	d->under_way--;
	make_ready(d, p->feed);
	if (d->left == 0 || d->under_way == 0 || d->rc != LT_OK)
		pthread_cond_broadcast(&d->cv);
	pthread_mutex_unlock(&d->mx);
	free(p);
}

size_t
bench_push_count(const struct bench_feed *feed, size_t from, size_t until, size_t per_push)
{
	size_t n = 0, bytes = 0;

	while (from + n < until && n < per_push &&
	       (n == 0 || bytes + feed->set[from + n].len <= BENCH_PUSH_BYTES))
		bytes += feed->set[from + n++].len;
	return n;
}

/* mx is held. */
static void
fill_push(struct drive *d, size_t i, struct push *p)
{
	const struct bench_feed *feed = &d->f->feed[i];
	struct lane *l = &d->lane[i];

	p->d = d;
	p->feed = i;
	p->n = bench_push_count(feed, l->next, d->until, d->per_push);
	memcpy(p->set, feed->set + l->next, p->n * sizeof(*p->set));
	l->next += p->n;
	p->last = l->next;
	l->under_way++;
	d->under_way++;
	l->busy = true;
}

/* Pushes of one feed are handed over one after the other, as they come on one connection. */
static void *
worker(void *arg)
{
	struct drive *d = arg;

	lt_thread_begin("lt-intake", LT_NICE_INTAKE);
	pthread_mutex_lock(&d->mx);
	while (d->left > 0 && d->rc == LT_OK) {
		struct push *p;
		size_t i;

		if (d->nring == 0) {
			pthread_cond_wait(&d->cv, &d->mx);
			continue;
		}
		i = d->ring[d->head];
		d->head = (d->head + 1) % d->f->nfeed;
		d->nring--;
		d->lane[i].waits = false;
		p = calloc(1, sizeof(*p));
		if (p == NULL) {
			d->rc = LT_E_NOMEM;
			break;
		}
		fill_push(d, i, p);
		pthread_mutex_unlock(&d->mx);
		lt_hub_intake(d->hub, &d->f->feed[i].node->id, p->set, p->n, on_receipt, p);
		pthread_mutex_lock(&d->mx);
		d->lane[i].busy = false;
		make_ready(d, i);
	}
	pthread_cond_broadcast(&d->cv);
	pthread_mutex_unlock(&d->mx);
	return NULL;
}

static int
drive_all(struct drive *d)
{
	size_t i, n, threads = lt_thread_cores() < THREADS_MAX ? lt_thread_cores() : THREADS_MAX;
	pthread_t t[THREADS_MAX];

	pthread_mutex_lock(&d->mx);
	for (i = 0; i < d->f->nfeed; i++)
		make_ready(d, i);
	pthread_mutex_unlock(&d->mx);
	for (n = 0; n < threads; n++)
		if (pthread_create(&t[n], NULL, worker, d) != 0)
			break;
	for (i = 0; i < n; i++)
		(void)pthread_join(t[i], NULL);
	/* After a failure some are still with the hub, which tells them to *d. */
	pthread_mutex_lock(&d->mx);
	while (d->under_way > 0)
		pthread_cond_wait(&d->cv, &d->mx);
	pthread_mutex_unlock(&d->mx);
	return n == 0 ? LT_E_NOMEM : d->rc;
}

int
bench_push(struct bench *b, struct lt_hub *hub, const struct bench_feeds *f,
    const struct bench_push_options *o, uint64_t *position)
{
	struct drive d = { .hub = hub,
		.f = f,
		.per_push = o->per_push,
		.window = o->window,
		.mx = PTHREAD_MUTEX_INITIALIZER,
		.cv = PTHREAD_COND_INITIALIZER };
	size_t all = f->sets / f->nfeed, i;
	int rc = LT_OK;

	d.until = o->sets == 0 ? all : o->first + o->sets;
	d.left = (d.until - o->first) * f->nfeed;
	d.lane = calloc(f->nfeed, sizeof(*d.lane));
	d.ring = calloc(f->nfeed, sizeof(*d.ring));
	if (d.lane == NULL || d.ring == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < f->nfeed; i++)
		d.lane[i].next = o->first;
	if (rc == LT_OK)
		rc = drive_all(&d);
	*position = d.position;
	free(d.lane);
	free(d.ring);
	return rc == LT_OK ? rc
			   : lt_err_set(&b->err, rc, "push: %s",
				 d.why[0] != '\0' ? d.why : lt_strerror(rc));
}
