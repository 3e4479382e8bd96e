#include "proto/rpc/resume.h"

#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

struct reading {
	const struct lt_resume_options *o;
	struct lt_conn *conn;
	int64_t end_ms; /* INT64_MAX: no deadline */
	struct lt_resume_counts counts;
	unsigned failures; /* attempts in a row without an item */
	bool bare; /* an item without a token was told: no going on */

	/* Of the call under way: its callbacks come one after the other. */
	struct lt_buf token; /* of the last item told */
	struct lt_buf next; /* of the item that comes now */
	bool resumed, unheeded, no_memory, enough;
	uint32_t id;

	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cv;
	bool over;
	struct lt_status status;
};

/* ---- callbacks of a call ---- */

static void
on_token(void *ctx, struct lt_slice token)
{
	struct reading *r = ctx;

	lt_buf_clear(&r->next);
	lt_buf_put_slice(&r->next, token);
	r->no_memory = r->no_memory || r->next.err != LT_OK;
}

static void
on_item(void *ctx, const ProtobufCMessage *m)
{
	struct reading *r = ctx;
	struct lt_buf told = r->token;

	r->unheeded = r->unheeded || (r->resumed && r->next.len == 0);
	if (r->enough)
		return;
	if (r->unheeded || r->no_memory) {
		lt_conn_cancel(r->conn, r->id);
		return;
	}
	r->enough = !r->o->item(r->o->ctx, m);
	if (r->enough)
		lt_conn_cancel(r->conn, r->id);
	r->counts.items++;
	r->failures = 0;
	r->bare = r->next.len == 0;
	r->token = r->next;
	r->next = told;
	lt_buf_clear(&r->next);
	if (!r->bare && r->o->token_of != NULL)
		r->o->token_of(r->o->ctx, lt_buf_slice(&r->token));
}

static void
on_end(void *ctx, const struct lt_status *status)
{
	struct reading *r = ctx;

	pthread_mutex_lock(&r->mx);
	r->status = *status;
	r->over = true;
	pthread_cond_signal(&r->cv);
	pthread_mutex_unlock(&r->mx);
}

/* ---- one attempt ---- */

static int64_t
left_ms(const struct reading *r)
{
	int64_t left;

	if (r->end_ms == INT64_MAX)
		return INT64_MAX;
	left = r->end_ms - lt_mono_ms(r->o->clock);
	return left > 0 ? left : 0;
}

static uint32_t
timeout_of(const struct reading *r)
{
	int64_t left = left_ms(r);

	if (left == INT64_MAX)
		return 0;
	return left < 1 ? 1 : left > UINT32_MAX ? UINT32_MAX : (uint32_t)left; /* 0 is none */
}

static bool
dial(struct reading *r, struct lt_status *st)
{
	struct lt_err err = { "" };
	int rc;

	lt_conn_close(r->conn);
	r->conn = NULL;
	r->counts.dials++;
	rc = r->o->dial(r->o->ctx, timeout_of(r), &r->conn, &err);
	if (rc == LT_OK)
		return true;
	lt_status_set(st,
	    rc == LT_E_TIMEOUT || rc == LT_E_CLOSED ? LT_STATUS_UNAVAILABLE
						    : lt_status_from_error(rc),
	    "NOT_SENT", "%s", err.text[0] != '\0' ? err.text : lt_strerror(rc));
	return false;
}

static void
call(struct reading *r, struct lt_status *st)
{
	static const struct lt_call_ops ops = { on_item, on_end };
	const struct lt_call_head head = { .request_id = r->o->request_id,
		.token = on_token,
		.resume_token = lt_buf_slice(&r->token) };
	int rc;

	r->over = r->unheeded = false;
	r->resumed = r->token.len != 0;
	lt_buf_clear(&r->next);
	rc = lt_conn_call_with(r->conn, r->o->service, r->o->method, &head, r->o->request,
	    timeout_of(r), &ops, r, &r->id);
	if (rc != LT_OK) {
		lt_status_set(st,
		    rc == LT_E_CLOSED ? LT_STATUS_UNAVAILABLE : lt_status_from_error(rc),
		    "NOT_SENT", "the call was not sent: %s", lt_strerror(rc));
		return;
	}
	r->counts.resumed += r->resumed;
	pthread_mutex_lock(&r->mx);
	while (!r->over)
		pthread_cond_wait(&r->cv, &r->mx);
	*st = r->status;
	pthread_mutex_unlock(&r->mx);
	if (r->enough)
		memset(st, 0, sizeof(*st));
	else if (r->no_memory)
		lt_status_set(st, LT_STATUS_RESOURCE_EXHAUSTED, "MEMORY", "out of memory");
	else if (r->unheeded)
		lt_status_set(st, LT_STATUS_FAILED_PRECONDITION, "RESUME_UNKNOWN",
		    "the other side cannot go on from where this stream was cut");
}

static bool
again_helps(const struct reading *r, const struct lt_status *st)
{
	if (r->bare || r->unheeded || r->no_memory)
		return false;
	if (r->end_ms == INT64_MAX && r->failures >= LT_RESUME_TRIES_MAX)
		return false;
	return st->code == LT_STATUS_UNAVAILABLE ||
	       (st->code == LT_STATUS_RESOURCE_EXHAUSTED && st->retry_delay_ms != 0);
}

/* The time that the other side asked for, and full jitter: others were cut by the same. false: the deadline comes first. */
static bool
wait_before(struct reading *r, const struct lt_status *st)
{
	unsigned doubled = r->failures < 10 ? r->failures : 10;
	uint64_t bound = r->o->backoff_ms != 0 ? r->o->backoff_ms : LT_RESUME_BACKOFF_BASE_MS;
	int64_t ms, left = left_ms(r);

	bound <<= doubled;
	if (bound > LT_RESUME_BACKOFF_MAX_MS)
		bound = LT_RESUME_BACKOFF_MAX_MS;
	ms = (int64_t)st->retry_delay_ms + (int64_t)randombytes_uniform((uint32_t)bound + 1);
	r->failures++;
	if (ms >= left)
		return false;
	while (ms > 0) {
		int64_t part = ms > 1000 ? 1000 : ms;

		(void)poll(NULL, 0, (int)part);
		ms -= part;
	}
	return true;
}

int
lt_resume_read(
    const struct lt_resume_options *o, struct lt_status *status, struct lt_resume_counts *counts)
{
	struct reading r = {
		.o = o, .mx = PTHREAD_MUTEX_INITIALIZER, .cv = PTHREAD_COND_INITIALIZER
	};
	struct lt_status st = { 0 };
	bool again;

	r.end_ms = o->timeout_ms == 0 ? INT64_MAX : lt_mono_ms(o->clock) + (int64_t)o->timeout_ms;
	lt_buf_put_slice(&r.token, o->token);
	do {
		if (dial(&r, &st))
			call(&r, &st);
		again = again_helps(&r, &st);
		if (again && !wait_before(&r, &st)) {
			again = false;
			lt_status_set(&st, LT_STATUS_DEADLINE_EXCEEDED, "DEADLINE",
			    "the deadline passed before the stream could be gone on with");
		}
	} while (again);
	lt_conn_close(r.conn);
	lt_buf_fini(&r.token);
	lt_buf_fini(&r.next);
	pthread_cond_destroy(&r.cv);
	pthread_mutex_destroy(&r.mx);
	if (counts != NULL)
		*counts = r.counts;
	*status = st;
	return (int)st.code;
}
