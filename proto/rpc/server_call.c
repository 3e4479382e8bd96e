/* The life of a call on the server: made of a request, dispatched on a worker, ended by its handler, its caller or
 * its deadline. */
#include "proto/base/log.h"
#include "proto/rpc/resume_token.h"
#include "proto/rpc/server_impl.h"
#include "proto/rpc/status_impl.h"
#include "proto/rpc/zstd.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Call structs of one connection: cancelled ones live until their handler has noticed. */
#define CALLS_ALIVE_MAX (2 * LT_MUX_CALLS_MAX)
/* A request must be there in whole by then, also where the method has no deadline. */
#define REQUEST_MS (5 * 60 * 1000)
#define RETRY_DELAY_MS 1000
/* Lines about failed calls in a second: a peer that asks for nonsense must not fill the disk. */
#define FAILURES_TOLD_MAX 64

void
lt_call_unref(struct lt_call *call)
{
	struct lt_conn *c = call->conn;
	struct lt_server *s = call->server;
	enum lt_work work = call->method->work;

	if (atomic_fetch_sub(&call->refs, 1) != 1)
		return;
	if (c->sv.account != NULL)
		lt_account_leave(c->sv.account, call->method->server_streaming);
	lt_arena_fini(&call->arena);
	lt_buf_fini(&call->body);
	lt_head_fini(&call->head);
	if (call->stream != NULL)
		atomic_fetch_sub(&s->nstreams, 1);
	else
		atomic_fetch_sub(&s->nwork[work], 1);
	free(call);
	atomic_fetch_sub(&c->sv.ncalls, 1);
	atomic_fetch_sub(&s->ncalls, 1);
	if (s->stopping) {
		pthread_mutex_lock(&s->mx);
		pthread_cond_broadcast(&s->cv);
		pthread_mutex_unlock(&s->mx);
	}
	lt_conn_unref(c);
}

static void
call_release(void *arg)
{
	lt_call_unref(arg);
}

void
lt_call_push(struct lt_call *call)
{
	if (call->stream == NULL || call->pass != LT_PASS_NONE)
		return; /* its start, or that pass, sees what is due */
	call->pass = LT_PASS_DUE;
	call->turn.task = &call->task;
	atomic_fetch_add(&call->refs, 1); /* of the task that is pushed, now or later */
	if (call->task.work == LT_WORK_BRIEF || lt_account_turn(call->server->streams, &call->turn))
		lt_conn_push_task(call->conn, &call->task);
}

void
lt_call_over(struct lt_call *call)
{
	if (call->mc == NULL)
		return;
	call->mc = NULL;
	lt_call_push(call); /* to run `closed` */
	lt_call_unref(call);
}

/* One line a call: debug, and of those that fail up to a number in a second; the rest is counted. Never the message: it may hold data. */
static void
log_end(const struct lt_conn *c, const char *method, const char *id, const struct lt_status *status)
{
	struct lt_server *s = c->sv.server;
	int64_t now = lt_conn_now(c), until = s->failures_until_ms;
	char more[48] = "";
	unsigned kept;

	if (status->code == LT_STATUS_OK || status->code == LT_STATUS_CANCELLED) {
		lt_debug("call %.100s of %s: %s, request %s", method, c->peer.address,
		    lt_status_name((int)status->code), id[0] != '\0' ? id : "-");
		return;
	}
	if (now >= until &&
	    atomic_compare_exchange_strong(&s->failures_until_ms, &until, now + 1000))
		s->failures_told = 0;
	if (atomic_fetch_add(&s->failures_told, 1) >= FAILURES_TOLD_MAX) {
		s->failures_kept_back++;
		return;
	}
	kept = atomic_exchange(&s->failures_kept_back, 0);
	if (kept != 0)
		(void)snprintf(more, sizeof(more), " (and %u more before)", kept);
	lt_info("call %.100s of %s failed: %s %s, request %s%s", method, c->peer.address,
	    lt_status_name((int)status->code), status->reason, id[0] != '\0' ? id : "-", more);
}

void
lt_call_end(struct lt_call *call, const struct lt_status *status, bool drop)
{
	struct lt_buf bytes = { 0 };

	if (call->mc == NULL)
		return;
	log_end(call->conn, call->method->name, call->head.request_id, status);
	if (lt_status_pack(status, &bytes) != LT_OK)
		lt_buf_clear(&bytes); /* an empty Status is OK; never say that for a failure */
	if (bytes.len == 0 && status->code != LT_STATUS_OK)
		lt_conn_die(call->conn, LT_E_NOMEM, "out of memory");
	else
		lt_mux_end(&call->conn->mux, call->mc, lt_buf_slice(&bytes), drop);
	lt_buf_fini(&bytes);
	lt_call_over(call);
}

static void
refuse(struct lt_conn *c, struct lt_mux_call *mc, uint32_t id, const struct lt_status *status)
{
	struct lt_buf bytes = { 0 };

	if (lt_status_pack(status, &bytes) != LT_OK || bytes.len == 0)
		lt_conn_die(c, LT_E_NOMEM, "out of memory");
	else if (mc != NULL)
		lt_mux_end(&c->mux, mc, lt_buf_slice(&bytes), true);
	else
		lt_mux_refuse(&c->mux, id, lt_buf_slice(&bytes));
	lt_buf_fini(&bytes);
}

void
lt_call_set_exhausted(struct lt_status *st, const char *what)
{
	lt_status_set(st, LT_STATUS_RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "%s", what);
	st->retry_delay_ms = RETRY_DELAY_MS;
}

/* ---- on a worker ---- */

/* The request out of its bytes, in the call's arena. */
static ProtobufCMessage *
unpack_body(struct lt_call *call, struct lt_buf *body, struct lt_status *st)
{
	const ProtobufCMethodDescriptor *md = &call->service->descriptor->methods[call->index];
	ProtobufCMessage *req = NULL;
	struct lt_buf plain = { 0 };
	struct lt_err err = { "" };
	int rc = LT_OK;

	if (call->zstd) {
		rc = lt_zstd_unpack(lt_buf_slice(body), LT_MESSAGE_MAX, &plain);
		lt_buf_fini(body);
		*body = plain;
	}
	if (rc == LT_E_TOOBIG)
		lt_status_set(st, LT_STATUS_INVALID_ARGUMENT, "TOO_LARGE",
		    "the request is larger than a message may be");
	else if (rc == LT_E_NOMEM)
		lt_status_set(st, LT_STATUS_RESOURCE_EXHAUSTED, "MEMORY", "out of memory");
	else if (rc != LT_OK)
		lt_status_set(st, LT_STATUS_INVALID_ARGUMENT, "COMPRESSED",
		    "the compressed request is not a whole zstd frame with its size");
	if (rc != LT_OK)
		return NULL;
	lt_arena_init(&call->arena, lt_arena_cap_for(body->len));
	if (lt_wire_unpack(
		md->input, lt_buf_slice(body), LT_MESSAGE_MAX, &call->arena, &req, &err) != LT_OK)
		lt_status_set(
		    st, LT_STATUS_INVALID_ARGUMENT, "MALFORMED", "malformed request: %s", err.text);
	return req;
}

/* A token holds for a stream whose handler has made it, and for nothing else: a method that gives none takes none. */
static bool
resume_ok(struct lt_call *call, struct lt_slice body)
{
	const struct lt_resume_bond bond = { call->server->secrets->resume_key, &call->conn->peer,
		call->method->name, &call->request };

	if (call->method->server_streaming &&
	    (call->head.want_tokens || call->head.resume_len != 0))
		lt_resume_request(body, &call->request);
	return call->head.resume_len == 0 ||
	       (call->method->server_streaming &&
		   lt_resume_token_check(&bond,
		       lt_slice(call->head.resume_token, call->head.resume_len),
		       &call->resume_at) == LT_OK);
}

static void
dispatch(struct lt_call *call)
{
	const struct lt_server *s = call->server;
	struct lt_conn *c = call->conn;
	struct lt_buf body;
	ProtobufCMessage *req;
	struct lt_status st = { 0 };

	if (lt_call_left_ms(call) <= 0) {
		lt_call_failf(call, LT_STATUS_DEADLINE_EXCEEDED, "DEADLINE",
		    "the deadline passed before the call began");
		return;
	}
	if (s->o.authorize != NULL)
		s->o.authorize(s->o.ctx, &c->peer, call->method, &st);
	if (st.code != LT_STATUS_OK) {
		lt_call_fail(call, &st);
		return;
	}
	pthread_mutex_lock(&c->mx);
	body = call->body;
	memset(&call->body, 0, sizeof(call->body));
	pthread_mutex_unlock(&c->mx);
	req = unpack_body(call, &body, &st);
	if (req != NULL && !resume_ok(call, lt_buf_slice(&body))) {
		lt_head_bad_token(&st);
		req = NULL;
	}
	lt_buf_fini(&body);
	pthread_mutex_lock(&c->mx);
	if (call->mc != NULL)
		lt_mux_consumed(&c->mux, call->mc, call->body_len);
	pthread_mutex_unlock(&c->mx);
	if (req == NULL) {
		lt_call_fail(call, &st);
		return;
	}
	call->asked = req;
	call->service->invoke(call->service, call->index, req, lt_call_reply, call);
}

/* One pass, and back behind those that wait: nobody knows how long a stream has something to send. */
static void
stream_task(struct lt_call *call)
{
	bool more;

	call->pass = LT_PASS_RUNNING;
	more = lt_call_stream_pass(call);
	/* The task's reference, which the analyser does not count, holds the call. */
	call->pass = LT_PASS_NONE; /* NOLINT(clang-analyzer-unix.Malloc) */
	if (call->task.work != LT_WORK_BRIEF)
		lt_account_turn_over(call->server->streams, call->task.work);
	if (more)
		lt_call_push(call);
}

/* First the handler; every later run is a pass of its stream. */
static void
call_task(void *arg)
{
	struct lt_call *call = arg;
	struct lt_conn *c = call->conn;
	bool first;

	pthread_mutex_lock(&c->mx);
	first = !call->dispatched;
	call->dispatched = true;
	if (first && call->mc != NULL) {
		atomic_fetch_add(&call->refs, 1); /* the handler's, until its end */
		pthread_mutex_unlock(&c->mx);
		dispatch(call);
		pthread_mutex_lock(&c->mx);
	}
	if (call->has_turn) {
		call->has_turn = false;
		lt_account_turn_over(c->sv.account, call->method->work);
	}
	if (!first)
		stream_task(call);
	pthread_mutex_unlock(&c->mx);
}

/* ---- what arrives ---- */

static int64_t
deadline_of(const struct lt_method *m, uint32_t timeout_ms, int64_t now)
{
	uint32_t ms = timeout_ms != 0 ? timeout_ms : m->deadline_ms;

	if (m->deadline_max_ms != 0 && (ms == 0 || ms > m->deadline_max_ms))
		ms = m->deadline_max_ms;
	return ms == 0 ? INT64_MAX : now + (int64_t)ms;
}

/* Who owes of what it gave is told so at the head: its message is not read. */
static enum lt_status_code
enter(struct lt_conn *c, const struct lt_method *m, struct lt_status *st)
{
	enum lt_status_code code = LT_STATUS_OK;

	if (c->sv.account == NULL)
		return code;
	if (m->work == LT_WORK_INTAKE)
		code = lt_account_owes_nothing(c->sv.account, lt_conn_now(c), st);
	return code == LT_STATUS_OK
		   ? lt_account_enter(c->sv.account, m->server_streaming, lt_conn_now(c), st)
		   : code;
}

static void
leave(struct lt_conn *c, const struct lt_method *m)
{
	if (c->sv.account != NULL)
		lt_account_leave(c->sv.account, m->server_streaming);
}

/* Find the method of a request and make the call. Fills status and returns NULL to refuse. */
static struct lt_call *
call_new(struct lt_conn *c, const Ltpb__RequestHead *head, struct lt_status *st)
{
	struct lt_server *s = c->sv.server;
	const struct lt_method *m = lt_server_method(s, head->method);
	unsigned index = 0;
	ProtobufCService *service = m == NULL ? NULL : lt_server_service(s, head->method, &index);
	struct lt_head kept = { 0 };
	struct lt_call *call = NULL;

	if (service == NULL) {
		lt_status_set(st, LT_STATUS_UNIMPLEMENTED, "NO_SUCH_METHOD",
		    "there is no method \"%.100s\" here", head->method);
		return NULL;
	}
	if (s->stopping) {
		lt_status_set(st, LT_STATUS_UNAVAILABLE, "STOPPING", "the server is stopping");
		return NULL;
	}
	if (c->sv.guest)
		lt_server_account_again(c);
	if (enter(c, m, st) != LT_STATUS_OK)
		return NULL;
	if (lt_head_take(&kept, head, st) != LT_OK) {
		leave(c, m);
		return NULL;
	}
	atomic_fetch_add(&s->ncalls, 1);
	if (atomic_fetch_add(&s->nwork[m->work], 1) < s->o.calls_max &&
	    c->sv.ncalls < CALLS_ALIVE_MAX &&
	    (!m->server_streaming || s->nstreams < s->o.conns_max + s->o.calls_max))
		call = calloc(1, sizeof(*call));
	if (call == NULL) {
		atomic_fetch_sub(&s->nwork[m->work], 1);
		atomic_fetch_sub(&s->ncalls, 1);
		lt_head_fini(&kept);
		leave(c, m);
		lt_call_set_exhausted(st, "too many calls are running");
		return NULL;
	}
	call->refs = 1;
	call->head = kept;
	lt_conn_ref(c);
	call->conn = c;
	call->server = s;
	c->sv.ncalls++;
	call->method = m;
	call->service = service;
	call->index = index;
	call->task.fn = call_task;
	call->task.release = call_release;
	call->task.arg = call;
	call->task.work = m->work;
	call->arrived_ms = lt_conn_now(c);
	call->deadline_ms = deadline_of(m, head->timeout_ms, call->arrived_ms);
	return call;
}

/* head: NULL where it could not be read. */
static void
log_refused(const struct lt_conn *c, const Ltpb__RequestHead *head, const struct lt_status *st)
{
	bool named = head != NULL && lt_request_id_valid(head->request_id);

	log_end(c, head != NULL ? head->method : "-", named ? head->request_id : "", st);
}

static void
on_request(struct lt_conn *c, struct lt_mux_event *ev)
{
	struct lt_arena arena;
	ProtobufCMessage *head = NULL;
	struct lt_call *call = NULL;
	struct lt_status st;
	int64_t due;

	c->sv.server->n_calls++;
	lt_arena_init(&arena, lt_arena_cap_for(ev->bytes.len));
	if (lt_wire_unpack(&ltpb__request_head__descriptor, ev->bytes, LT_FRAME_PAYLOAD_MAX, &arena,
		&head, NULL) != LT_OK)
		lt_status_set(&st, LT_STATUS_INVALID_ARGUMENT, "MALFORMED",
		    "the head of the request is malformed");
	else
		call = call_new(c, (const Ltpb__RequestHead *)head, &st);
	if (call == NULL)
		log_refused(c, (const Ltpb__RequestHead *)head, &st);
	lt_arena_fini(&arena);
	if (call == NULL) {
		if (st.code == LT_STATUS_RESOURCE_EXHAUSTED)
			c->sv.server->n_refused++;
		refuse(c, ev->call, ev->id, &st);
		return;
	}
	call->mc = ev->call;
	ev->call->user = call;
	due = call->arrived_ms + REQUEST_MS;
	lt_conn_due(c, call->deadline_ms < due ? call->deadline_ms : due);
}

/* Its peer's turn, or behind the peer's other calls. Brief ones are over sooner than a turn is passed on. */
static void
first_push(struct lt_call *call)
{
	struct lt_account *a = call->conn->sv.account;

	call->has_turn = a != NULL && call->method->work != LT_WORK_BRIEF;
	call->turn.task = &call->task;
	atomic_fetch_add(&call->refs, 1); /* of the task that is pushed, now or later */
	if (!call->has_turn || lt_account_turn(a, &call->turn))
		lt_conn_push_task(call->conn, &call->task);
}

static void
on_message(struct lt_conn *c, struct lt_mux_event *ev)
{
	struct lt_call *call = ev->call->user;
	struct lt_status st;

	if (call->have_body) {
		lt_buf_fini(&ev->message);
		lt_status_set(
		    &st, LT_STATUS_INVALID_ARGUMENT, "MALFORMED", "more than one request message");
		lt_call_end(call, &st, true);
		return;
	}
	if (c->sv.account != NULL)
		lt_account_bytes(c->sv.account, ev->message.len, lt_conn_now(c));
	call->body = ev->message;
	call->body_len = ev->message.len;
	call->zstd = ev->zstd;
	call->have_body = true;
	first_push(call);
}

static void
on_bad(struct lt_mux_event *ev)
{
	struct lt_call *call = ev->call->user;
	struct lt_status st;

	switch (ev->type == LT_MUX_EMPTY ? LT_OK : ev->rc) {
	case LT_OK:
		if (call->have_body)
			return; /* "no more" behind the one message there is */
		lt_status_set(&st, LT_STATUS_INVALID_ARGUMENT, "MALFORMED", "no request message");
		break;
	case LT_E_TOOBIG:
		lt_status_set(&st, LT_STATUS_INVALID_ARGUMENT, "TOO_LARGE",
		    "the request is larger than a message may be");
		break;
	default:
		lt_call_set_exhausted(
		    &st, "too many requests are being received on this connection");
		break;
	}
	lt_call_end(call, &st, true);
}

void
lt_server_on_event(struct lt_conn *c, struct lt_mux_event *ev)
{
	struct lt_status st;

	switch (ev->type) {
	case LT_MUX_REQUEST:
		on_request(c, ev);
		break;
	case LT_MUX_REFUSED:
		c->sv.server->n_refused++;
		lt_call_set_exhausted(&st, "too many calls are open on this connection");
		log_refused(c, NULL, &st);
		refuse(c, NULL, ev->id, &st);
		break;
	case LT_MUX_MESSAGE:
		on_message(c, ev);
		break;
	case LT_MUX_EMPTY:
	case LT_MUX_BAD:
		on_bad(ev);
		break;
	case LT_MUX_WRITABLE:
		c->ops->writable(c, ev->call);
		break;
	case LT_MUX_CANCEL:
		lt_call_over(ev->user);
		break;
	case LT_MUX_NONE:
	case LT_MUX_END:
	case LT_MUX_PONG:
	case LT_MUX_GOAWAY:
		break;
	}
}

void
lt_server_on_writable(struct lt_conn *c, struct lt_mux_call *mc)
{
	struct lt_call *call = mc->user;

	(void)c;
	call->ready_due = true;
	lt_call_push(call);
}

int64_t
lt_server_on_tick(struct lt_conn *c, int64_t now)
{
	struct lt_mux_call *mc;
	int64_t next = INT64_MAX, due;

	for (mc = lt_mux_next(&c->mux, NULL); mc != NULL; mc = lt_mux_next(&c->mux, mc)) {
		struct lt_call *call = mc->user;
		struct lt_status st;

		due = call->deadline_ms;
		if (!call->have_body && call->arrived_ms + REQUEST_MS < due)
			due = call->arrived_ms + REQUEST_MS;
		if (due <= now) {
			lt_status_set(&st, LT_STATUS_DEADLINE_EXCEEDED, "DEADLINE",
			    "the deadline of the call has passed");
			lt_call_end(call, &st, true);
			if (c->dead)
				break;
		} else if (due < next) {
			next = due;
		}
	}
	return next;
}
