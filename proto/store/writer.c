#include "proto/store/writer.h"

#include "proto/base/failpoint.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 4096
#define BATCH_MAX 1024

struct job {
	lt_job_fn *run;
	lt_done_fn *done;
	void *ctx;
	bool trial; /* its transaction is given up */
};

struct lt_writer {
	struct lt_kv *kv;
	struct lt_writer_options o;
	pthread_t thread;
	pthread_mutex_t mx; /* guards ring, head, len, stopping, failed */
	pthread_cond_t work;
	struct job *ring; /* o.queue_max places */
	size_t head;
	size_t len;
	bool stopping;
	bool ended; /* by whoever stops */
	int failed; /* code of the commit after which nothing is written any more */
	struct job *batch; /* o.batch_max places; writer thread only */
	bool stepping; /* manual: a step is under way */
};

static void
answer(const struct job *jobs, size_t n, int rc)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (jobs[i].done != NULL)
			jobs[i].done(jobs[i].ctx, rc);
}

/* One transaction over the jobs. *bad: a job failed (its code is returned), the batch is undone. */
static int
try_batch(struct lt_writer *w, const struct job *jobs, size_t n, bool *bad, bool *committing)
{
	struct lt_kv_txn *txn = NULL;
	size_t i;
	int rc;

	*bad = *committing = false;
	rc = lt_kv_begin_write(w->kv, &txn);
	if (rc != LT_OK)
		return rc;
	for (i = 0; i < n; i++) {
		rc = jobs[i].run(txn, jobs[i].ctx);
		if (rc != LT_OK) {
			lt_kv_abort(txn);
			*bad = true;
			return rc;
		}
	}
	LT_FAILPOINT("writer.before_commit");
	if (LT_SIM_BUG(ACK_BEFORE_COMMIT))
		answer(jobs, n, LT_OK);
	*committing = true;
	rc = lt_kv_commit(txn);
	if (rc == LT_OK)
		LT_FAILPOINT("writer.after_commit");
	return rc;
}

static void
fail_for_good(struct lt_writer *w, int rc)
{
	(void)pthread_mutex_lock(&w->mx);
	w->failed = rc;
	(void)pthread_mutex_unlock(&w->mx);
	lt_error("cannot commit to the store: %s; stopping", lt_strerror(rc));
	if (w->o.fatal == NULL)
		abort();
	w->o.fatal(w->o.fatal_ctx, rc);
}

static void
finish(struct lt_writer *w, const struct job *jobs, size_t n, int rc, bool committing)
{
	if (!LT_SIM_BUG(ACK_BEFORE_COMMIT) || !committing)
		answer(jobs, n, rc);
	if (rc == LT_OK && w->o.committed != NULL)
		w->o.committed(w->o.committed_ctx, n);
}

/* All jobs in one transaction; if one of them fails, each in its own. */
static void
run_batch(struct lt_writer *w, const struct job *jobs, size_t n)
{
	bool bad, committing;
	size_t i;
	int rc;

	if (w->failed != LT_OK) {
		finish(w, jobs, n, w->failed, false);
		return;
	}
	rc = try_batch(w, jobs, n, &bad, &committing);
	if (bad && n > 1) {
		for (i = 0; i < n; i++)
			run_batch(w, &jobs[i], 1);
		return;
	}
	if (rc != LT_OK && rc != LT_E_NOSPACE && committing)
		fail_for_good(w, rc);
	finish(w, jobs, n, rc, committing);
}

static void
run_trial(struct lt_writer *w, const struct job *job)
{
	struct lt_kv_txn *txn = NULL;
	int rc = w->failed != LT_OK ? w->failed : lt_kv_begin_write(w->kv, &txn);

	if (rc == LT_OK)
		rc = job->run(txn, job->ctx);
	lt_kv_abort(txn);
	answer(job, 1, rc);
}

/* In order: what comes before a trial is committed before it, and what comes behind it sees nothing of it. */
static void
run_taken(struct lt_writer *w, size_t n)
{
	size_t i, to;

	for (i = 0; i < n; i = to) {
		for (to = i; to < n && !w->batch[to].trial; to++)
			;
		if (to != i)
			run_batch(w, w->batch + i, to - i);
		else
			run_trial(w, &w->batch[to++]);
	}
}

/* Take what waits, at most batch_max. 0: stopping and nothing left; manual: nothing waits. */
static size_t
take(struct lt_writer *w)
{
	size_t n, i;

	(void)pthread_mutex_lock(&w->mx);
	while (w->len == 0 && !w->stopping && !w->o.manual)
		(void)pthread_cond_wait(&w->work, &w->mx);
	n = w->len < w->o.batch_max ? w->len : w->o.batch_max;
	for (i = 0; i < n; i++) {
		w->batch[i] = w->ring[w->head];
		w->head = (w->head + 1) % w->o.queue_max;
	}
	w->len -= n;
	(void)pthread_mutex_unlock(&w->mx);
	return n;
}

static void *
writer_main(void *arg)
{
	struct lt_writer *w = arg;
	size_t n;

	while ((n = take(w)) != 0)
		run_taken(w, n);
	return NULL;
}

bool
lt_writer_step(struct lt_writer *w)
{
	size_t n;

	assert(w->o.manual);
	assert(!w->stepping);
	w->stepping = true;
	n = take(w);
	run_taken(w, n);
	w->stepping = false;
	return n != 0;
}

static void
writer_free(struct lt_writer *w)
{
	(void)pthread_cond_destroy(&w->work);
	(void)pthread_mutex_destroy(&w->mx);
	free(w->ring);
	free(w->batch);
	free(w);
}

int
lt_writer_start(struct lt_kv *kv, const struct lt_writer_options *o, struct lt_writer **out)
{
	struct lt_writer *w = calloc(1, sizeof(*w));

	*out = NULL;
	if (w == NULL)
		return LT_E_NOMEM;
	w->kv = kv;
	if (o != NULL)
		w->o = *o;
	if (w->o.queue_max == 0)
		w->o.queue_max = QUEUE_MAX;
	if (w->o.batch_max == 0)
		w->o.batch_max = BATCH_MAX;
	(void)pthread_mutex_init(&w->mx, NULL);
	(void)pthread_cond_init(&w->work, NULL);
	w->ring = calloc(w->o.queue_max, sizeof(*w->ring));
	w->batch = calloc(w->o.batch_max, sizeof(*w->batch));
	if (w->ring == NULL || w->batch == NULL ||
	    (!w->o.manual && pthread_create(&w->thread, NULL, writer_main, w) != 0)) {
		writer_free(w);
		return LT_E_NOMEM;
	}
	if (!w->o.manual)
		(void)pthread_setname_np(w->thread, "lt-writer");
	*out = w;
	return LT_OK;
}

static int
submit(struct lt_writer *w, const struct job *j)
{
	int rc = LT_OK;

	(void)pthread_mutex_lock(&w->mx);
	if (w->stopping || w->failed != LT_OK) {
		rc = LT_E_CLOSED;
	} else if (w->len == w->o.queue_max) {
		rc = LT_E_UNAVAILABLE;
	} else {
		w->ring[(w->head + w->len) % w->o.queue_max] = *j;
		w->len++;
		(void)pthread_cond_signal(&w->work);
	}
	(void)pthread_mutex_unlock(&w->mx);
	return rc;
}

int
lt_writer_submit(struct lt_writer *w, lt_job_fn *run, lt_done_fn *done, void *ctx)
{
	const struct job j = { .run = run, .done = done, .ctx = ctx };

	return submit(w, &j);
}

int
lt_job_nothing(struct lt_kv_txn *txn, void *ctx)
{
	(void)txn;
	(void)ctx;
	return LT_OK;
}

size_t
lt_writer_waiting(struct lt_writer *w)
{
	size_t n;

	(void)pthread_mutex_lock(&w->mx);
	n = w->len;
	(void)pthread_mutex_unlock(&w->mx);
	return n;
}

struct waiter {
	lt_job_fn *run;
	void *ctx;
	pthread_mutex_t mx; /* guards rc, finished */
	pthread_cond_t cv;
	bool finished;
	int rc;
};

static int
waiter_run(struct lt_kv_txn *txn, void *ctx)
{
	struct waiter *a = ctx;

	return a->run(txn, a->ctx);
}

static void
waiter_done(void *ctx, int rc)
{
	struct waiter *a = ctx;

	(void)pthread_mutex_lock(&a->mx);
	a->rc = rc;
	a->finished = true;
	(void)pthread_cond_signal(&a->cv);
	(void)pthread_mutex_unlock(&a->mx);
}

/* Waiting for its own end would never end. */
static bool
is_inside(const struct lt_writer *w)
{
	return w->o.manual ? w->stepping : pthread_equal(pthread_self(), w->thread) != 0;
}

static int
run_and_wait(struct lt_writer *w, lt_job_fn *run, void *ctx, bool trial)
{
	struct waiter a = { .run = run, .ctx = ctx };
	const struct job j = { waiter_run, waiter_done, &a, trial };
	int rc;

	assert(!is_inside(w));
	(void)pthread_mutex_init(&a.mx, NULL);
	(void)pthread_cond_init(&a.cv, NULL);
	rc = submit(w, &j);
	while (rc == LT_OK && w->o.manual && !a.finished)
		(void)lt_writer_step(w);
	if (rc == LT_OK) {
		(void)pthread_mutex_lock(&a.mx);
		while (!a.finished)
			(void)pthread_cond_wait(&a.cv, &a.mx);
		rc = a.rc;
		(void)pthread_mutex_unlock(&a.mx);
	}
	(void)pthread_cond_destroy(&a.cv);
	(void)pthread_mutex_destroy(&a.mx);
	return rc;
}

int
lt_writer_run(struct lt_writer *w, lt_job_fn *run, void *ctx)
{
	return run_and_wait(w, run, ctx, false);
}

int
lt_writer_try(struct lt_writer *w, lt_job_fn *run, void *ctx)
{
	return run_and_wait(w, run, ctx, true);
}

void
lt_writer_end(struct lt_writer *w)
{
	if (w == NULL)
		return;
	assert(!w->ended);
	assert(!is_inside(w));
	(void)pthread_mutex_lock(&w->mx);
	w->stopping = true;
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->mx);
	if (w->o.manual)
		while (lt_writer_step(w))
			;
	else
		(void)pthread_join(w->thread, NULL);
	w->ended = true;
}

void
lt_writer_stop(struct lt_writer *w)
{
	if (w == NULL)
		return;
	if (!w->ended)
		lt_writer_end(w);
	writer_free(w);
}
