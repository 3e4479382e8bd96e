#include "proto/rpc/account.h"
#include "proto/base/rate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000 /* when nobody knows how long the calls that run will take */

struct turns {
	unsigned taken, most;
	struct lt_turn *first, *last;
};

struct lt_account {
	atomic_uint refs;
	struct lt_quota quota;
	struct lt_pool *pool;
	pthread_mutex_t mx; /* guards what follows */
	unsigned calls, streams;
	struct lt_rate call_rate, byte_rate, row_rate, change_rate, vain_rate;
	struct turns turns[LT_WORK_CLASSES];
};

struct lt_account *
lt_account_new(const struct lt_quota *q, struct lt_pool *pool)
{
	struct lt_account *a = calloc(1, sizeof(*a));
	unsigned i, threads;

	if (a == NULL)
		return NULL;
	atomic_init(&a->refs, 1);
	a->quota = *q;
	a->pool = pool;
	pthread_mutex_init(&a->mx, NULL);
	for (i = 0; i < LT_WORK_CLASSES; i++) {
		threads = lt_pool_threads(pool, (enum lt_work)i);
		a->turns[i].most = threads > 1 ? threads - 1 : 1;
	}
	return a;
}

void
lt_account_ref(struct lt_account *a)
{
	atomic_fetch_add(&a->refs, 1);
}

void
lt_account_unref(struct lt_account *a)
{
	if (a == NULL || atomic_fetch_sub(&a->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&a->mx);
	free(a);
}

void
lt_account_set_quota(struct lt_account *a, const struct lt_quota *q)
{
	pthread_mutex_lock(&a->mx);
	/* A rate that changes begins anew; one that does not keeps its debts. */
	if (memcmp(&a->quota.calls, &q->calls, sizeof(q->calls)) != 0)
		a->call_rate.begun = false;
	if (memcmp(&a->quota.bytes, &q->bytes, sizeof(q->bytes)) != 0)
		a->byte_rate.begun = false;
	if (memcmp(&a->quota.rows, &q->rows, sizeof(q->rows)) != 0)
		a->row_rate.begun = false;
	if (memcmp(&a->quota.changes, &q->changes, sizeof(q->changes)) != 0)
		a->change_rate.begun = false;
	if (memcmp(&a->quota.vain, &q->vain, sizeof(q->vain)) != 0)
		a->vain_rate.begun = false;
	a->quota = *q;
	pthread_mutex_unlock(&a->mx);
}

static enum lt_status_code
exhausted(struct lt_status *st, const char *reason, uint32_t wait_ms, const char *en)
{
	lt_status_set(st, LT_STATUS_RESOURCE_EXHAUSTED, reason, "%s", en);
	st->retry_delay_ms = wait_ms != 0 ? wait_ms : 1;
	return LT_STATUS_RESOURCE_EXHAUSTED;
}

static bool
take(struct lt_rate *r, const struct lt_rate_limit *l, uint32_t n, int64_t now_ms, uint32_t *wait)
{
	return l->per_s == 0 || lt_rate_take(r, l, n, now_ms, wait);
}

enum lt_status_code
lt_account_enter(struct lt_account *a, bool stream, int64_t now_ms, struct lt_status *st)
{
	const struct lt_quota *q = &a->quota;
	enum lt_status_code code = LT_STATUS_OK;
	uint32_t wait = 0;

	pthread_mutex_lock(&a->mx);
	if (stream ? q->streams_max != 0 && a->streams >= q->streams_max
		   : q->calls_max != 0 && a->calls >= q->calls_max)
		code = exhausted(
		    st, "TOO_MANY_CALLS", RETRY_MS, "too many calls of this principal are running");
	else if (!take(&a->byte_rate, &q->bytes, 0, now_ms, &wait))
		code = exhausted(
		    st, "QUOTA_BYTES", wait, "this principal has moved more bytes than it may");
	else if (!take(&a->row_rate, &q->rows, 0, now_ms, &wait))
		code = exhausted(
		    st, "QUOTA_ROWS", wait, "this principal has read more rows than it may");
	else if (!take(&a->call_rate, &q->calls, 1, now_ms, &wait))
		code = exhausted(
		    st, "QUOTA_CALLS", wait, "this principal calls more often than it may");
	if (code == LT_STATUS_OK && stream)
		a->streams++;
	else if (code == LT_STATUS_OK)
		a->calls++;
	pthread_mutex_unlock(&a->mx);
	return code;
}

void
lt_account_leave(struct lt_account *a, bool stream)
{
	pthread_mutex_lock(&a->mx);
	if (stream)
		a->streams--;
	else
		a->calls--;
	pthread_mutex_unlock(&a->mx);
}

static void
owe(struct lt_account *a, struct lt_rate *r, const struct lt_rate_limit *l, size_t n,
    int64_t now_ms)
{
	pthread_mutex_lock(&a->mx);
	if (l->per_s != 0)
		lt_rate_owe(r, l, n < UINT32_MAX ? (uint32_t)n : UINT32_MAX, now_ms);
	pthread_mutex_unlock(&a->mx);
}

void
lt_account_bytes(struct lt_account *a, size_t n, int64_t now_ms)
{
	owe(a, &a->byte_rate, &a->quota.bytes, n, now_ms);
}

void
lt_account_rows(struct lt_account *a, size_t n, int64_t now_ms)
{
	owe(a, &a->row_rate, &a->quota.rows, n, now_ms);
}

void
lt_account_took(struct lt_account *a, size_t changes, size_t vain, int64_t now_ms)
{
	owe(a, &a->change_rate, &a->quota.changes, changes, now_ms);
	owe(a, &a->vain_rate, &a->quota.vain, vain, now_ms);
}

enum lt_status_code
lt_account_owes_nothing(struct lt_account *a, int64_t now_ms, struct lt_status *st)
{
	enum lt_status_code code = LT_STATUS_OK;
	uint32_t wait = 0;

	pthread_mutex_lock(&a->mx);
	if (!take(&a->change_rate, &a->quota.changes, 0, now_ms, &wait))
		code = exhausted(st, "QUOTA_CHANGES", wait,
		    "this principal has sent more changes than are taken of one in that time");
	else if (!take(&a->vain_rate, &a->quota.vain, 0, now_ms, &wait))
		code = exhausted(st, "QUOTA_VAIN", wait,
		    "this principal has pushed more in vain than it may: what is held here, or not "
		    "taken");
	pthread_mutex_unlock(&a->mx);
	return code;
}

bool
lt_account_turn(struct lt_account *a, struct lt_turn *t)
{
	struct turns *of = &a->turns[t->task->work];
	bool now;

	pthread_mutex_lock(&a->mx);
	now = of->taken < of->most;
	if (now) {
		of->taken++;
	} else {
		t->next = NULL;
		if (of->last != NULL)
			of->last->next = t;
		else
			of->first = t;
		of->last = t;
	}
	pthread_mutex_unlock(&a->mx);
	return now;
}

void
lt_account_turn_over(struct lt_account *a, enum lt_work work)
{
	struct turns *of = &a->turns[work];
	struct lt_turn *t;

	pthread_mutex_lock(&a->mx);
	t = of->first;
	if (t == NULL) {
		of->taken--;
	} else {
		of->first = t->next;
		if (of->first == NULL)
			of->last = NULL;
	}
	pthread_mutex_unlock(&a->mx);
	if (t != NULL)
		lt_pool_push(a->pool, t->task);
}
