#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/rpc/conn_impl.h"
#include "proto/rpc/status_impl.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <nng/supplemental/util/platform.h>
#include <arpa/inet.h>
#include <assert.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNS_MAX 4096
#define CONNS_PER_ADDRESS_MAX 512
#define HANDSHAKES_MAX 256
#define CALLS_MAX 1024
/* Call structs of one connection: cancelled ones live until their handler has noticed. */
#define CALLS_ALIVE_MAX (2 * LT_MUX_CALLS_MAX)
/* A request must be there in whole by then, also where the method has no deadline. */
#define REQUEST_MS (5 * 60 * 1000)
#define RETRY_DELAY_MS 1000
#define ACCEPT_RETRY_MS 100
#define SERVICES_MAX 32
#define STOP_GRACE_MS 1000
#define CLOSE_GRACE_MS 5000

struct listener {
	struct listener *next;
	struct lt_server *server;
	nng_stream_listener *l;
	nng_aio *aio;
	struct lt_timer retry;
	bool local;
	int port;
};

/* Connections of one address. */
struct address {
	char text[64];
	unsigned nconns;
};

struct lt_server {
	_Atomic unsigned refs;
	struct lt_server_options o;
	uint8_t federation[LT_FED_LEN];
	ProtobufCService *services[SERVICES_MAX];
	size_t nservices;
	struct listener *listeners;
	bool listening;

	_Atomic unsigned ncalls; /* call structs alive */
	_Atomic unsigned nstreams; /* of these, streams that have begun */
	_Atomic unsigned nopen;
	_Atomic bool stopping;
	_Atomic uint64_t n_accepted, n_over_limit, n_bad, n_not_admitted, n_late, n_cut, n_calls,
	    n_refused;
	_Atomic int64_t next_log_ms;
	_Atomic unsigned logs_kept_back;

	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cv; /* a call or a connection is gone, while stopping */
	struct lt_conn *conns;
	unsigned nconns, nhandshakes;
	struct address *addresses; /* conns_max of them */
};

struct lt_call {
	_Atomic unsigned refs;
	struct lt_conn *conn; /* a reference */
	struct lt_server *server;
	struct lt_task task;
	const struct lt_method *method;
	ProtobufCService *service;
	unsigned index;
	char request_id[65];
	int64_t arrived_ms, deadline_ms;
	struct lt_arena arena;

	/* Guarded by conn->mx. */
	struct lt_mux_call *mc; /* NULL: over for the other side */
	struct lt_buf body;
	size_t body_len;
	bool have_body;
	bool dispatched;
	bool finished; /* the handler has said its end */
	bool ready_due;
	bool stream_closed;
	const struct lt_stream_ops *stream;
	void *stream_ctx;
};

static void
server_unref(struct lt_server *s)
{
	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&s->mx);
	pthread_cond_destroy(&s->cv);
	free(s->addresses);
	free(s);
}

/* One line a second about what strangers do; the rest is counted. */
static void
log_closed(struct lt_server *s, const struct lt_conn *c, const char *what)
{
	int64_t now = lt_conn_now(c), next = s->next_log_ms;
	unsigned kept;

	if (now < next || !atomic_compare_exchange_strong(&s->next_log_ms, &next, now + 1000)) {
		s->logs_kept_back++;
		return;
	}
	kept = atomic_exchange(&s->logs_kept_back, 0);
	if (kept == 0)
		lt_info("connection of %s closed: %s: %s", c->peer.address, what, c->why);
	else
		lt_info("connection of %s closed: %s: %s (and %u more like this)", c->peer.address,
		    what, c->why, kept);
}

/* ---- calls ---- */

static void
call_unref(struct lt_call *call)
{
	struct lt_conn *c = call->conn;
	struct lt_server *s = call->server;

	if (atomic_fetch_sub(&call->refs, 1) != 1)
		return;
	lt_arena_fini(&call->arena);
	lt_buf_fini(&call->body);
	if (call->stream != NULL)
		atomic_fetch_sub(&s->nstreams, 1);
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
	call_unref(arg);
}

static void
call_push(struct lt_call *call)
{
	atomic_fetch_add(&call->refs, 1);
	lt_pool_push(call->conn->pool, &call->task);
}

/* The other side hears no more of this call. Under conn->mx. */
static void
call_over(struct lt_call *call)
{
	if (call->mc == NULL)
		return;
	call->mc = NULL;
	if (call->stream != NULL)
		call_push(call); /* to run `closed` */
	call_unref(call);
}

/* End the mux call and, with it, the call. Under conn->mx. */
static void
call_end(struct lt_call *call, const struct lt_status *status, bool drop)
{
	struct lt_buf bytes = { 0 };

	if (call->mc == NULL)
		return;
	if (lt_status_pack(status, &bytes) != LT_OK)
		lt_buf_clear(&bytes); /* an empty Status is OK; never say that for a failure */
	if (bytes.len == 0 && status->code != LT_STATUS_OK)
		lt_conn_die(call->conn, LT_E_NOMEM, "out of memory");
	else
		lt_mux_end(&call->conn->mux, call->mc, lt_buf_slice(&bytes), drop);
	lt_buf_fini(&bytes);
	call_over(call);
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

static void
set_exhausted(struct lt_status *st, const char *what)
{
	lt_status_set(st, LT_STATUS_RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "%s", what);
	st->retry_delay_ms = RETRY_DELAY_MS;
}

struct lt_call *
lt_call_of(void *closure_data)
{
	return closure_data;
}

const struct lt_peer *
lt_call_peer(const struct lt_call *c)
{
	return &c->conn->peer;
}

const char *
lt_call_request_id(const struct lt_call *c)
{
	return c->request_id;
}

int64_t
lt_call_left_ms(const struct lt_call *c)
{
	return c->deadline_ms == INT64_MAX ? INT64_MAX : c->deadline_ms - lt_conn_now(c->conn);
}

bool
lt_call_cancelled(const struct lt_call *c)
{
	bool over;

	pthread_mutex_lock(&c->conn->mx);
	over = c->mc == NULL && !c->finished;
	pthread_mutex_unlock(&c->conn->mx);
	return over;
}

/* The handler's one end. message NULL: status alone. Takes the handler's reference, or leaves it to `closed`. */
static void
call_finish(struct lt_call *call, struct lt_buf *message, const struct lt_status *status)
{
	struct lt_conn *c = call->conn;
	struct lt_status full;
	bool stream;

	pthread_mutex_lock(&c->mx);
	assert(!call->finished);
	call->finished = true;
	stream = call->stream != NULL;
	if (call->mc != NULL && message != NULL &&
	    c->mux.queued + message->len > LT_MUX_QUEUED_MAX) {
		set_exhausted(&full, "too many answers wait to be read on this connection");
		status = &full;
		message = NULL;
	}
	if (call->mc != NULL && message != NULL &&
	    lt_mux_send(&c->mux, call->mc, message, true) != LT_OK)
		lt_conn_die(c, LT_E_NOMEM, "out of memory");
	/* The connection's reference ends in call_end(); the handler's, which the analyser does not count, holds the call. */
	call_end(call, status, false);
	lt_conn_kick(c);
	if (stream)
		call_push(call); /* NOLINT(clang-analyzer-unix.Malloc) */
	pthread_mutex_unlock(&c->mx);
	if (!stream)
		call_unref(call); /* NOLINT(clang-analyzer-unix.Malloc) */
}

static void
call_closure(const ProtobufCMessage *reply, void *closure_data)
{
	struct lt_call *call = closure_data;
	struct lt_buf bytes = { 0 };
	struct lt_status st;
	int rc = reply == NULL ? LT_E_INVALID : lt_wire_pack(reply, LT_MESSAGE_MAX, &bytes);

	if (rc == LT_OK) {
		memset(&st, 0, sizeof(st));
		call_finish(call, &bytes, &st);
	} else if (rc == LT_E_TOOBIG) {
		lt_call_failf(call, LT_STATUS_RESOURCE_EXHAUSTED, "ANSWER_TOO_LARGE",
		    "the answer is larger than a message may be");
	} else {
		lt_call_failf(call, LT_STATUS_INTERNAL, "NO_ANSWER",
		    "the answer could not be made: %s", lt_strerror(rc));
	}
	lt_buf_fini(&bytes);
}

void
lt_call_fail(struct lt_call *c, const struct lt_status *status)
{
	struct lt_status st;

	if (status->code == LT_STATUS_OK) {
		/* A unary call without an answer is never OK. */
		lt_status_set(
		    &st, LT_STATUS_INTERNAL, "NO_ANSWER", "the method failed without saying why");
		status = &st;
	}
	call_finish(c, NULL, status);
}

void
lt_call_failf(struct lt_call *c, enum lt_status_code code, const char *reason, const char *fmt, ...)
{
	struct lt_status st;
	char text[sizeof(st.message)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	lt_status_set(&st, code, reason, "%s", text);
	lt_call_fail(c, &st);
}

void
lt_call_stream(struct lt_call *c, const struct lt_stream_ops *ops, void *ctx)
{
	pthread_mutex_lock(&c->conn->mx);
	assert(c->stream == NULL && !c->finished && c->method->server_streaming);
	c->stream = ops;
	c->stream_ctx = ctx;
	c->ready_due = true;
	atomic_fetch_add(&c->server->nstreams, 1);
	call_push(c);
	pthread_mutex_unlock(&c->conn->mx);
}

int
lt_call_send(struct lt_call *c, const ProtobufCMessage *item)
{
	struct lt_conn *conn = c->conn;
	struct lt_buf bytes = { 0 };
	int rc = LT_OK;

	pthread_mutex_lock(&conn->mx);
	if (c->mc == NULL || c->finished)
		rc = LT_E_CLOSED;
	else if (!lt_mux_writable(&conn->mux, c->mc))
		rc = LT_E_BUSY;
	pthread_mutex_unlock(&conn->mx);
	if (rc == LT_OK)
		rc = lt_wire_pack(item, LT_MESSAGE_MAX, &bytes);
	if (rc == LT_OK) {
		pthread_mutex_lock(&conn->mx);
		if (c->mc == NULL || c->finished)
			rc = LT_E_CLOSED;
		else
			rc = lt_mux_send(&conn->mux, c->mc, &bytes, false);
		lt_conn_kick(conn);
		pthread_mutex_unlock(&conn->mx);
	}
	lt_buf_fini(&bytes);
	return rc;
}

void
lt_call_stream_end(struct lt_call *c, const struct lt_status *status)
{
	assert(c->stream != NULL);
	call_finish(c, NULL, status);
}

void
lt_call_kick(struct lt_call *c)
{
	pthread_mutex_lock(&c->conn->mx);
	c->ready_due = true;
	call_push(c);
	pthread_mutex_unlock(&c->conn->mx);
}

/* ---- a call on its worker ---- */

static void
dispatch(struct lt_call *call)
{
	const struct lt_server *s = call->server;
	struct lt_conn *c = call->conn;
	struct lt_buf body;
	const ProtobufCMethodDescriptor *md = &call->service->descriptor->methods[call->index];
	ProtobufCMessage *req = NULL;
	struct lt_status st = { 0 };
	struct lt_err err = { "" };
	int rc;

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
	lt_arena_init(&call->arena, lt_arena_cap_for(body.len));
	rc = lt_wire_unpack(
	    md->input, lt_buf_slice(&body), LT_MESSAGE_MAX, &call->arena, &req, &err);
	lt_buf_fini(&body);
	pthread_mutex_lock(&c->mx);
	if (call->mc != NULL)
		lt_mux_consumed(&c->mux, call->mc, call->body_len);
	pthread_mutex_unlock(&c->mx);
	if (rc != LT_OK) {
		lt_call_failf(call, LT_STATUS_INVALID_ARGUMENT, "MALFORMED",
		    "malformed request: %s", err.text);
		return;
	}
	call->service->invoke(call->service, call->index, req, call_closure, call);
}

static void
stream_run(struct lt_call *call)
{
	struct lt_conn *c = call->conn;

	for (;;) {
		if (call->stream_closed)
			return;
		if (call->mc == NULL) {
			call->stream_closed = true;
			pthread_mutex_unlock(&c->mx);
			call->stream->closed(call->stream_ctx);
			pthread_mutex_lock(&c->mx);
			call_unref(call); /* the handler's; the task has its own */
			return;
		}
		if (!call->ready_due)
			return;
		call->ready_due = false;
		pthread_mutex_unlock(&c->mx);
		call->stream->ready(call, call->stream_ctx);
		pthread_mutex_lock(&c->mx);
	}
}

static void
call_task(void *arg)
{
	struct lt_call *call = arg;
	struct lt_conn *c = call->conn;

	pthread_mutex_lock(&c->mx);
	if (!call->dispatched && call->have_body && call->mc != NULL) {
		call->dispatched = true;
		atomic_fetch_add(&call->refs, 1); /* the handler's, until its end */
		pthread_mutex_unlock(&c->mx);
		dispatch(call);
		pthread_mutex_lock(&c->mx);
	}
	/* The task's reference, which the analyser does not count, holds the call. */
	if (call->stream != NULL) /* NOLINT(clang-analyzer-unix.Malloc) */
		stream_run(call);
	pthread_mutex_unlock(&c->mx);
}

/* ---- requests ---- */

static const struct lt_method *
method_find(const struct lt_server *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->o.nmethods; i++)
		if (strcmp(s->o.methods[i].name, name) == 0)
			return &s->o.methods[i];
	return NULL;
}

/* "/service/method" among the services added. */
static ProtobufCService *
service_find(const struct lt_server *s, const char *name, unsigned *index)
{
	const ProtobufCServiceDescriptor *d;
	const ProtobufCMethodDescriptor *m;
	size_t i, n;

	for (i = 0; i < s->nservices; i++) {
		d = s->services[i]->descriptor;
		n = strlen(d->name);
		if (name[0] != '/' || strncmp(name + 1, d->name, n) != 0 || name[1 + n] != '/')
			continue;
		m = protobuf_c_service_descriptor_get_method_by_name(d, name + n + 2);
		if (m == NULL)
			return NULL;
		*index = (unsigned)(m - d->methods);
		return s->services[i];
	}
	return NULL;
}

static int64_t
deadline_of(const struct lt_method *m, uint32_t timeout_ms, int64_t now)
{
	uint32_t ms = timeout_ms != 0 ? timeout_ms : m->deadline_ms;

	if (m->deadline_max_ms != 0 && (ms == 0 || ms > m->deadline_max_ms))
		ms = m->deadline_max_ms;
	return ms == 0 ? INT64_MAX : now + (int64_t)ms;
}

/* Find the method of a request and make the call. Fills status and returns NULL to refuse. */
static struct lt_call *
call_new(struct lt_conn *c, const Ltpb__RequestHead *head, struct lt_status *st)
{
	struct lt_server *s = c->sv.server;
	const struct lt_method *m = method_find(s, head->method);
	unsigned index = 0;
	ProtobufCService *service = m == NULL ? NULL : service_find(s, head->method, &index);
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
	if (atomic_fetch_add(&s->ncalls, 1) < s->o.calls_max && c->sv.ncalls < CALLS_ALIVE_MAX)
		call = calloc(1, sizeof(*call));
	if (call == NULL) {
		atomic_fetch_sub(&s->ncalls, 1);
		set_exhausted(st, "too many calls are running");
		return NULL;
	}
	call->refs = 1;
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
	(void)snprintf(call->request_id, sizeof(call->request_id), "%.64s", head->request_id);
	call->arrived_ms = lt_conn_now(c);
	call->deadline_ms = deadline_of(m, head->timeout_ms, call->arrived_ms);
	return call;
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

static void
on_message(struct lt_conn *c, struct lt_mux_event *ev)
{
	struct lt_call *call = ev->call->user;
	struct lt_status st;

	if (call->have_body) {
		lt_buf_fini(&ev->message);
		lt_status_set(
		    &st, LT_STATUS_INVALID_ARGUMENT, "MALFORMED", "more than one request message");
		call_end(call, &st, true);
		return;
	}
	(void)c;
	call->body = ev->message;
	call->body_len = ev->message.len;
	call->have_body = true;
	call_push(call);
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
	case LT_E_UNSUPPORTED:
		lt_status_set(&st, LT_STATUS_INVALID_ARGUMENT, "COMPRESSED",
		    "compressed messages are not taken here");
		break;
	default:
		set_exhausted(&st, "too many requests are being received on this connection");
		break;
	}
	call_end(call, &st, true);
}

static void
sv_event(struct lt_conn *c, struct lt_mux_event *ev)
{
	struct lt_status st;

	switch (ev->type) {
	case LT_MUX_REQUEST:
		on_request(c, ev);
		break;
	case LT_MUX_REFUSED:
		c->sv.server->n_refused++;
		set_exhausted(&st, "too many calls are open on this connection");
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
		call_over(ev->user);
		break;
	case LT_MUX_NONE:
	case LT_MUX_END:
	case LT_MUX_PONG:
	case LT_MUX_GOAWAY:
		break;
	}
}

static void
sv_writable(struct lt_conn *c, struct lt_mux_call *mc)
{
	struct lt_call *call = mc->user;

	(void)c;
	call->ready_due = true;
	call_push(call);
}

static int64_t
sv_tick(struct lt_conn *c, int64_t now)
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
			call_end(call, &st, true);
			if (c->dead)
				break;
		} else if (due < next) {
			next = due;
		}
	}
	return next;
}

/* ---- connections ---- */

static void
sv_opened(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;

	s->nopen++;
	pthread_mutex_lock(&s->mx);
	c->sv.counted_handshake = false;
	s->nhandshakes--;
	pthread_mutex_unlock(&s->mx);
	if (c->local)
		c->sv.admitted = true;
	if (s->stopping)
		lt_conn_die(c, LT_E_CLOSED, "stopping");
}

static int
sv_admit(void *arg, const uint8_t line_key[32])
{
	struct lt_conn *c = arg;
	struct lt_server *s = c->sv.server;
	int rc = LT_OK;

	/* Before the question, so that a revocation meanwhile finds it (lt_server_cut). */
	pthread_mutex_lock(&c->mx);
	memcpy(c->peer.line_key, line_key, sizeof(c->peer.line_key));
	pthread_mutex_unlock(&c->mx);
	if (s->o.admit != NULL)
		rc = s->o.admit(s->o.ctx, &c->peer);
	if (rc != LT_OK)
		return rc;
	pthread_mutex_lock(&c->mx);
	c->sv.admitted = true;
	pthread_mutex_unlock(&c->mx);
	return LT_OK;
}

static void
count_end(struct lt_server *s, struct lt_conn *c)
{
	if (c->phase == LT_CONN_OPEN) {
		s->nopen--;
		if (c->rc != LT_E_CLOSED) {
			s->n_cut++;
			log_closed(s, c, "cut");
		}
	} else if (c->rc == LT_E_TIMEOUT) {
		s->n_late++;
		log_closed(s, c, "silent");
	} else if (strcmp(c->why, "key not admitted") == 0) {
		s->n_not_admitted++;
		log_closed(s, c, "not admitted");
	} else {
		s->n_bad++;
		log_closed(s, c, "bad handshake");
	}
}

static void
sv_gone(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;
	struct lt_mux_call *mc;

	pthread_mutex_lock(&c->mx);
	for (mc = lt_mux_next(&c->mux, NULL); mc != NULL; mc = lt_mux_next(&c->mux, mc))
		call_over(mc->user);
	lt_mux_fini(&c->mux);
	count_end(s, c);
	c->sv.gone = true;
	lt_conn_push(c);
	pthread_mutex_unlock(&c->mx);
	pthread_mutex_lock(&s->mx);
	if (c->sv.counted_handshake)
		s->nhandshakes--;
	s->addresses[c->sv.address_slot].nconns--;
	s->nconns--;
	pthread_mutex_unlock(&s->mx);
}

static void
sv_task(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;
	bool tell, done;

	pthread_mutex_lock(&c->mx);
	done = c->sv.gone && !c->sv.closed_told;
	tell = done && c->sv.admitted;
	c->sv.closed_told = c->sv.closed_told || done;
	pthread_mutex_unlock(&c->mx);
	if (tell && s->o.closed != NULL)
		s->o.closed(s->o.ctx, &c->peer);
	if (!done)
		return;
	pthread_mutex_lock(&s->mx);
	if (c->sv.next != NULL)
		c->sv.next->sv.prev = c->sv.prev;
	if (c->sv.prev != NULL)
		c->sv.prev->sv.next = c->sv.next;
	else
		s->conns = c->sv.next;
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mx);
}

static void
sv_fini(struct lt_conn *c)
{
	server_unref(c->sv.server);
}

static const struct lt_conn_ops server_conn_ops = {
	.opened = sv_opened,
	.event = sv_event,
	.writable = sv_writable,
	.tick = sv_tick,
	.admit = sv_admit,
	.gone = sv_gone,
	.task = sv_task,
	.fini = sv_fini,
};

/* ---- accepting ---- */

static void
address_of(nng_stream *stream, char *out, size_t cap)
{
	nng_sockaddr sa;

	(void)snprintf(out, cap, "unknown");
	if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &sa) != 0)
		return;
	if (sa.s_family == NNG_AF_INET)
		(void)inet_ntop(AF_INET, &sa.s_in.sa_addr, out, (socklen_t)cap);
	else if (sa.s_family == NNG_AF_INET6)
		(void)inet_ntop(AF_INET6, &sa.s_in6.sa_addr, out, (socklen_t)cap);
}

/* The slot of an address, a free one if it has none. There are as many slots as connections allowed. */
static unsigned
address_slot(struct lt_server *s, const char *text)
{
	unsigned i, n = s->o.conns_max, at, free_at = UINT32_MAX;
	uint32_t h = 2166136261u;
	const char *p;

	for (p = text; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	for (i = 0; i < n; i++) {
		at = (h + i) % n;
		if (s->addresses[at].text[0] == '\0') {
			free_at = free_at == UINT32_MAX ? at : free_at;
			break;
		}
		if (strcmp(s->addresses[at].text, text) == 0)
			return at;
		if (s->addresses[at].nconns == 0 && free_at == UINT32_MAX)
			free_at = at;
	}
	assert(free_at != UINT32_MAX);
	(void)snprintf(s->addresses[free_at].text, sizeof(s->addresses[free_at].text), "%s", text);
	return free_at;
}

/* Put a new connection on the list, if the limits allow. */
static bool
enlist(struct lt_server *s, struct lt_conn *c)
{
	bool ok = false;

	pthread_mutex_lock(&s->mx);
	if (s->stopping || s->nconns >= s->o.conns_max || s->nhandshakes >= s->o.handshakes_max)
		goto out;
	c->sv.address_slot = address_slot(s, c->peer.address);
	if (s->addresses[c->sv.address_slot].nconns >= s->o.conns_per_address_max)
		goto out;
	s->addresses[c->sv.address_slot].nconns++;
	s->nconns++;
	s->nhandshakes++;
	c->sv.counted_handshake = true;
	c->sv.next = s->conns;
	if (s->conns != NULL)
		s->conns->sv.prev = c;
	s->conns = c;
	ok = true;
out:
	pthread_mutex_unlock(&s->mx);
	return ok;
}

static bool
local_allowed(struct lt_conn *c, nng_stream *stream)
{
	c->peer.uid = UINT64_MAX;
	(void)snprintf(c->peer.address, sizeof(c->peer.address), "local");
	c->peer.kind = LT_PEER_LOCAL;
	return nng_stream_get_uint64(stream, NNG_OPT_IPC_PEER_UID, &c->peer.uid) == 0 &&
	       (c->peer.uid == geteuid() || c->peer.uid == 0);
}

/* Drop a connection that was never started. */
static void
discard(struct lt_conn *c, nng_stream *stream)
{
	if (c != NULL) {
		nng_aio_free(c->rx);
		nng_aio_free(c->tx);
		lt_conn_unref(c);
	}
	nng_stream_close(stream);
	nng_stream_free(stream);
}

static void
accepted(struct listener *li, nng_stream *stream)
{
	struct lt_server *s = li->server;
	struct lt_conn *c = lt_conn_new(
	    s->o.pool, s->o.clock, &server_conn_ops, false, s->o.idle_ms, s->o.handshake_ms);
	struct lt_line *line;

	s->n_accepted++;
	if (c == NULL) {
		discard(NULL, stream);
		return;
	}
	atomic_fetch_add(&s->refs, 1);
	c->sv.server = s;
	c->local = li->local;
	if (li->local) {
		if (!local_allowed(c, stream)) {
			s->n_not_admitted++;
			lt_warn("local connection of user %llu refused",
			    (unsigned long long)c->peer.uid);
			discard(c, stream);
			return;
		}
	} else {
		c->peer.kind = LT_PEER_LINE;
		address_of(stream, c->peer.address, sizeof(c->peer.address));
		(void)nng_stream_set_bool(stream, NNG_OPT_TCP_NODELAY, true);
	}
	line = li->local ? lt_line_new_local(false)
			 : lt_line_new_acceptor(s->federation, s->o.line_sk, NULL);
	if (line == NULL || !enlist(s, c)) {
		s->n_over_limit++;
		lt_line_free(line);
		discard(c, stream);
		return;
	}
	pthread_mutex_lock(&c->mx);
	lt_conn_start(c, stream, line);
	pthread_mutex_unlock(&c->mx);
}

static void
accept_cb(void *arg)
{
	struct listener *li = arg;
	int rv = nng_aio_result(li->aio);
	bool again;

	if (rv == 0)
		accepted(li, nng_aio_get_output(li->aio, 0));
	if (li->server->stopping || rv == NNG_ECLOSED || rv == NNG_ECANCELED)
		return;
	again = rv == 0 || rv == NNG_ECONNABORTED || rv == NNG_ECONNRESET;
	if (again || lt_timer_arm(li->server->o.pool, &li->retry, ACCEPT_RETRY_MS) != LT_OK)
		nng_stream_listener_accept(li->l, li->aio);
}

/* Out of descriptors or memory a moment ago: try again. */
static void
accept_again(void *arg)
{
	struct listener *li = arg;

	if (!li->server->stopping)
		nng_stream_listener_accept(li->l, li->aio);
}

static void
listener_free(struct listener *li)
{
	if (li->l != NULL)
		nng_stream_listener_close(li->l);
	if (li->aio != NULL)
		nng_aio_stop(li->aio);
	lt_timer_disarm(li->server->o.pool, &li->retry);
	if (li->aio != NULL)
		nng_aio_stop(li->aio); /* what a timer had started meanwhile */
	if (li->l != NULL)
		nng_stream_listener_free(li->l);
	nng_aio_free(li->aio);
	free(li);
}

static int
listener_open(struct listener *li, const char *url, struct lt_err *err)
{
	nng_sockaddr sa;
	int rv;

	rv = nng_stream_listener_alloc(&li->l, url);
	if (rv != 0)
		return lt_err_set(
		    err, LT_E_INVALID, "cannot listen on \"%s\": %s", url, nng_strerror(rv));
	if (li->local)
		rv = nng_stream_listener_set_int(li->l, NNG_OPT_IPC_PERMISSIONS, 0600);
	if (rv == 0)
		rv = nng_stream_listener_listen(li->l);
	if (rv != 0)
		return lt_err_set(err, lt_conn_nng_error(rv), "cannot listen on \"%s\": %s", url,
		    nng_strerror(rv));
	if (nng_stream_listener_get_addr(li->l, NNG_OPT_LOCADDR, &sa) == 0) {
		if (sa.s_family == NNG_AF_INET)
			li->port = ntohs(sa.s_in.sa_port);
		else if (sa.s_family == NNG_AF_INET6)
			li->port = ntohs(sa.s_in6.sa_port);
	}
	if (nng_aio_alloc(&li->aio, accept_cb, li) != 0)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	nng_aio_set_timeout(li->aio, NNG_DURATION_INFINITE);
	return LT_OK;
}

int
lt_server_listen(struct lt_server *s, const char *url, struct lt_err *err)
{
	bool local = strncmp(url, "ipc://", 6) == 0;
	struct listener *li;
	int rc;

	if (!local && strncmp(url, "tcp://", 6) != 0)
		return lt_err_set(
		    err, LT_E_INVALID, "cannot listen on \"%s\": only tcp:// and ipc://", url);
	if (!local && (s->o.line_sk == NULL || s->o.federation == NULL))
		return lt_err_set(err, LT_E_INVALID, "cannot listen on \"%s\": no line key", url);
	if (local && strlen(url) - 6 > 100)
		return lt_err_set(
		    err, LT_E_INVALID, "the path of the socket \"%s\" is too long", url + 6);
	li = calloc(1, sizeof(*li));
	if (li == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	li->server = s;
	li->local = local;
	li->port = -1;
	li->retry.fn = accept_again;
	li->retry.arg = li;
	rc = listener_open(li, url, err);
	if (rc != LT_OK) {
		listener_free(li);
		return rc;
	}
	/* Under the lock that every new connection takes: what was set up before is seen by its workers. */
	pthread_mutex_lock(&s->mx);
	s->listening = true;
	li->next = s->listeners;
	s->listeners = li;
	pthread_mutex_unlock(&s->mx);
	nng_stream_listener_accept(li->l, li->aio);
	return LT_OK;
}

int
lt_server_port(const struct lt_server *s)
{
	const struct listener *li;
	int port = -1;

	for (li = s->listeners; li != NULL; li = li->next)
		if (!li->local)
			port = li->port; /* the list is newest first */
	return port;
}

/* ---- the server ---- */

int
lt_server_new(const struct lt_server_options *o, struct lt_server **out, struct lt_err *err)
{
	struct lt_server *s;
	pthread_condattr_t attr;
	size_t i, j;

	for (i = 0; i < o->nmethods; i++)
		for (j = 0; j < i; j++)
			if (strcmp(o->methods[i].name, o->methods[j].name) == 0)
				return lt_err_set(err, LT_E_INVALID,
				    "method \"%s\" stands twice in the table", o->methods[i].name);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	s->o = *o;
	if (o->federation != NULL) {
		memcpy(s->federation, o->federation, sizeof(s->federation));
		s->o.federation = s->federation;
	}
	s->o.conns_max = o->conns_max != 0 ? o->conns_max : CONNS_MAX;
	s->o.conns_per_address_max =
	    o->conns_per_address_max != 0 ? o->conns_per_address_max : CONNS_PER_ADDRESS_MAX;
	s->o.handshakes_max = o->handshakes_max != 0 ? o->handshakes_max : HANDSHAKES_MAX;
	s->o.calls_max = o->calls_max != 0 ? o->calls_max : CALLS_MAX;
	s->addresses = calloc(s->o.conns_max, sizeof(*s->addresses));
	if (s->addresses == NULL) {
		free(s);
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	}
	s->refs = 1;
	pthread_mutex_init(&s->mx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->cv, &attr);
	pthread_condattr_destroy(&attr);
	*out = s;
	return LT_OK;
}

/* Every row of the table that names this service must name a method of it. */
static int
check_rows(const struct lt_server *s, const ProtobufCServiceDescriptor *d, struct lt_err *err)
{
	size_t i, n = strlen(d->name);

	for (i = 0; i < s->o.nmethods; i++) {
		const char *name = s->o.methods[i].name;

		if (name[0] != '/' || strncmp(name + 1, d->name, n) != 0 || name[1 + n] != '/')
			continue;
		if (protobuf_c_service_descriptor_get_method_by_name(d, name + n + 2) == NULL)
			return lt_err_set(
			    err, LT_E_INVALID, "the table's method \"%s\" does not exist", name);
	}
	return LT_OK;
}

int
lt_server_add(struct lt_server *s, ProtobufCService *service, struct lt_err *err)
{
	const ProtobufCServiceDescriptor *d = service->descriptor;
	char name[256];
	size_t i;

	assert(!s->listening);
	if (s->nservices == SERVICES_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "too many services");
	for (i = 0; i < s->nservices; i++)
		if (s->services[i]->descriptor == d)
			return lt_err_set(
			    err, LT_E_EXISTS, "service \"%s\" is there already", d->name);
	for (i = 0; i < d->n_methods; i++) {
		(void)snprintf(name, sizeof(name), "/%s/%s", d->name, d->methods[i].name);
		if (method_find(s, name) == NULL)
			return lt_err_set(
			    err, LT_E_INVALID, "method \"%s\" is not in the table", name);
	}
	if (check_rows(s, d, err) != LT_OK)
		return LT_E_INVALID;
	s->services[s->nservices++] = service;
	return LT_OK;
}

/* Call fn for every connection that there is, with its lock held. */
static void
each_conn(struct lt_server *s, void (*fn)(struct lt_conn *c, const void *arg), const void *arg)
{
	struct lt_conn **all, *c;
	size_t n = 0, i;

	pthread_mutex_lock(&s->mx);
	for (c = s->conns; c != NULL; c = c->sv.next)
		n++;
	all = calloc(n == 0 ? 1 : n, sizeof(struct lt_conn *));
	n = 0;
	for (c = all == NULL ? NULL : s->conns; c != NULL; c = c->sv.next) {
		lt_conn_ref(c);
		all[n++] = c;
	}
	pthread_mutex_unlock(&s->mx);
	for (i = 0; i < n; i++) {
		pthread_mutex_lock(&all[i]->mx);
		fn(all[i], arg);
		pthread_mutex_unlock(&all[i]->mx);
		lt_conn_unref(all[i]);
	}
	free(all);
}

static void
cut_one(struct lt_conn *c, const void *key)
{
	if (!c->local && sodium_memcmp(c->peer.line_key, key, sizeof(c->peer.line_key)) == 0)
		lt_conn_die(c, LT_E_DENIED, "revoked");
}

void
lt_server_cut(struct lt_server *s, const uint8_t line_key[32])
{
	each_conn(s, cut_one, line_key);
}

unsigned
lt_server_connections(const struct lt_server *s)
{
	return s->nopen;
}

void
lt_server_counts(const struct lt_server *s, struct lt_server_counts *out)
{
	out->accepted = s->n_accepted;
	out->over_limit = s->n_over_limit;
	out->bad_handshake = s->n_bad;
	out->not_admitted = s->n_not_admitted;
	out->handshake_late = s->n_late;
	out->cut = s->n_cut;
	out->calls = s->n_calls;
	out->calls_refused = s->n_refused;
}

static void
say_goaway(struct lt_conn *c, const void *arg)
{
	(void)arg;
	if (c->phase != LT_CONN_OPEN) {
		lt_conn_die(c, LT_E_CLOSED, "stopping");
		return;
	}
	lt_mux_goaway(&c->mux, lt_slice_str("stopping"));
	lt_conn_kick(c);
}

static void
close_one(struct lt_conn *c, const void *arg)
{
	(void)arg;
	lt_conn_die(c, LT_E_CLOSED, "stopping");
}

static struct timespec
real_in(uint32_t ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

static bool
calls_wait(struct lt_server *s, uint32_t ms, bool streams)
{
	struct timespec until = real_in(ms);
	int rc = 0;

	pthread_mutex_lock(&s->mx);
	while (s->ncalls > (streams ? 0 : s->nstreams) && rc == 0)
		rc = pthread_cond_timedwait(&s->cv, &s->mx, &until);
	pthread_mutex_unlock(&s->mx);
	return s->ncalls == 0;
}

/* The service thread closes connections one after another, each within a callback's time; a handler that
 * blocks all workers must not keep us for ever. */
static bool
conns_wait(struct lt_server *s, uint32_t ms)
{
	struct timespec until = real_in(ms);
	bool none;
	int rc = 0;

	pthread_mutex_lock(&s->mx);
	while (s->conns != NULL && rc == 0)
		rc = pthread_cond_timedwait(&s->cv, &s->mx, &until);
	none = s->conns == NULL;
	pthread_mutex_unlock(&s->mx);
	return none;
}

void
lt_server_stop(struct lt_server *s, uint32_t wait_ms)
{
	struct listener *li;

	if (s == NULL)
		return;
	s->stopping = true;
	while ((li = s->listeners) != NULL) {
		s->listeners = li->next;
		listener_free(li);
	}
	each_conn(s, say_goaway, NULL);
	/* A stream may wait for news for ever, and whoever reads it can pick it up again. */
	(void)calls_wait(s, wait_ms, false);
	each_conn(s, close_one, NULL);
	if (!conns_wait(s, CLOSE_GRACE_MS) || !calls_wait(s, STOP_GRACE_MS, true))
		lt_warn("%u calls have still no answer at the stop", (unsigned)s->ncalls);
	server_unref(s);
}
