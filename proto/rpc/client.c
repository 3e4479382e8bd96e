#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/rpc/conn_impl.h"
#include "proto/rpc/head.h"
#include "proto/rpc/status_impl.h"
#include "proto/rpc/zstd.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages of one call that wait for its callback; credit keeps them few. */
struct waiting {
	struct waiting *next;
	struct lt_buf bytes, token;
	bool zstd; /* compressed */
};

struct lt_client_call {
	_Atomic unsigned refs;
	struct lt_conn *conn; /* a reference */
	struct lt_task task;
	const ProtobufCMessageDescriptor *output;
	struct lt_call_ops ops;
	void (*token)(void *ctx, struct lt_slice token);
	void *ctx;
	int64_t deadline_ms;
	const char *service, *method; /* of the descriptors */
	char request_id[LT_REQUEST_ID_MAX + 1];

	/* Guarded by conn->mx. */
	struct lt_mux_call *mc; /* NULL: over */
	struct waiting *first, *last;
	bool ended, end_told;
	struct lt_status status;
};

struct lt_client_service {
	ProtobufCService base;
	struct lt_conn *conn;
	struct lt_client_service *next;
};

/* ---- calls ---- */

static void
waiting_free(struct waiting *w)
{
	lt_buf_fini(&w->bytes);
	lt_buf_fini(&w->token);
	free(w);
}

static void
call_unref(struct lt_client_call *call)
{
	struct lt_conn *c = call->conn;
	struct waiting *w;

	if (atomic_fetch_sub(&call->refs, 1) != 1)
		return;
	while ((w = call->first) != NULL) {
		call->first = w->next;
		waiting_free(w);
	}
	free(call);
	lt_conn_unref(c);
}

static void
call_release(void *arg)
{
	call_unref(arg);
}

static void
call_push(struct lt_client_call *call)
{
	atomic_fetch_add(&call->refs, 1);
	lt_conn_push_task(call->conn, &call->task);
}

/* The call is over with this status; messages that came before are still told. Under conn->mx. */
static void
call_over(struct lt_client_call *call, const struct lt_status *status)
{
	if (call->ended)
		return;
	call->mc = NULL;
	call->ended = true;
	call->status = *status;
	call_push(call);
	if (call->conn->cl.goaway && call->conn->mux.nlocal == 0)
		lt_conn_die(call->conn, LT_E_CLOSED, "the other side is stopping");
}

/* Give it up: the other side is told. Under conn->mx. */
static void
call_give_up(struct lt_client_call *call, const struct lt_status *status)
{
	struct lt_mux_call *mc = call->mc;

	if (call->ended)
		return;
	lt_mux_cancel(&call->conn->mux, mc);
	call_over(call, status);
}

/* Tell one message. Without the lock. */
static int
tell_item(struct lt_client_call *call, const struct waiting *w, struct lt_err *err)
{
	struct lt_slice bytes = lt_buf_slice(&w->bytes);
	struct lt_buf plain = { 0 };
	struct lt_arena arena;
	ProtobufCMessage *m = NULL;
	int rc = w->zstd ? lt_zstd_unpack(bytes, LT_MESSAGE_MAX, &plain) : LT_OK;

	if (rc != LT_OK) {
		lt_buf_fini(&plain);
		return lt_err_set(err, rc, "compressed, but not as it should be");
	}
	if (w->zstd)
		bytes = lt_buf_slice(&plain);
	lt_arena_init(&arena, lt_arena_cap_for(bytes.len));
	rc = lt_wire_unpack(call->output, bytes, LT_MESSAGE_MAX, &arena, &m, err);
	if (rc == LT_OK && call->token != NULL && w->token.len != 0)
		call->token(call->ctx, lt_buf_slice(&w->token));
	if (rc == LT_OK)
		call->ops.item(call->ctx, m);
	lt_arena_fini(&arena);
	lt_buf_fini(&plain);
	return rc;
}

static void
drop_waiting(struct lt_client_call *call)
{
	struct waiting *w;

	while ((w = call->first) != NULL) {
		call->first = w->next;
		waiting_free(w);
	}
	call->last = NULL;
}

/* A message that is none: what is behind it is not told, and the call fails whatever its end says. */
static void
bad_item(struct lt_client_call *call, const struct lt_err *err)
{
	struct lt_status st;

	lt_status_set(
	    &st, LT_STATUS_INTERNAL, "MALFORMED_ANSWER", "malformed answer: %s", err->text);
	drop_waiting(call);
	if (call->ended)
		call->status = st;
	else
		call_give_up(call, &st);
}

static void
tell_waiting(struct lt_client_call *call)
{
	struct lt_conn *c = call->conn;
	struct lt_err err = { "" };
	struct waiting *w;
	int rc;

	while ((w = call->first) != NULL) {
		call->first = w->next;
		if (call->first == NULL)
			call->last = NULL;
		pthread_mutex_unlock(&c->mx);
		rc = tell_item(call, w, &err);
		pthread_mutex_lock(&c->mx);
		if (call->mc != NULL)
			lt_mux_consumed(&c->mux, call->mc, w->bytes.len + w->token.len);
		waiting_free(w);
		if (rc != LT_OK)
			bad_item(call, &err);
		lt_conn_kick(c);
	}
}

/* The words that the other side's log has of this call. Never the message: it may hold data. */
static void
log_end(const struct lt_client_call *call, const struct lt_status *st)
{
	if (st->code == LT_STATUS_OK || st->code == LT_STATUS_CANCELLED)
		lt_debug("call /%s/%s to %s: %s, request %s", call->service, call->method,
		    call->conn->peer.address, lt_status_name((int)st->code), call->request_id);
	else
		lt_info("call /%s/%s to %s failed: %s %s, request %s", call->service, call->method,
		    call->conn->peer.address, lt_status_name((int)st->code), st->reason,
		    call->request_id);
}

static void
call_task(void *arg)
{
	struct lt_client_call *call = arg;
	struct lt_conn *c = call->conn;
	struct lt_status st;
	bool tell;

	pthread_mutex_lock(&c->mx);
	tell_waiting(call);
	tell = call->ended && !call->end_told;
	call->end_told = call->end_told || tell;
	st = call->status;
	pthread_mutex_unlock(&c->mx);
	if (!tell)
		return;
	log_end(call, &st);
	call->ops.end(call->ctx, &st);
	pthread_mutex_lock(&c->mx);
	if (--c->cl.ncalls == 0 && c->cl.gone)
		lt_conn_push(c);
	pthread_mutex_unlock(&c->mx);
	call_unref(call); /* the one it was made with */
}

/* ---- events ---- */

static void
on_message(struct lt_conn *c, struct lt_mux_event *ev)
{
	struct lt_client_call *call = ev->call->user;
	struct waiting *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		lt_buf_fini(&ev->message);
		lt_buf_fini(&ev->token);
		lt_conn_die(c, LT_E_NOMEM, "out of memory");
		return;
	}
	w->bytes = ev->message;
	w->token = ev->token;
	w->zstd = ev->zstd;
	if (call->last != NULL)
		call->last->next = w;
	else
		call->first = w;
	call->last = w;
	call_push(call);
}

static void
on_goaway(struct lt_conn *c, uint32_t last)
{
	struct lt_mux_call *mc, *next;
	struct lt_status st;

	if (!c->cl.goaway) {
		c->cl.goaway = true;
		c->cl.goaway_by_ms = lt_conn_now(c) + LT_CONN_GOAWAY_MS;
		lt_conn_due(c, c->cl.goaway_by_ms);
	}
	lt_status_set(&st, LT_STATUS_UNAVAILABLE, "STOPPING", "the other side is stopping");
	for (mc = lt_mux_next(&c->mux, NULL); mc != NULL; mc = next) {
		next = lt_mux_next(&c->mux, mc);
		if (mc->id > last)
			call_give_up(mc->user, &st);
	}
	if (c->mux.nlocal == 0)
		lt_conn_die(c, LT_E_CLOSED, "the other side is stopping");
}

static void
on_end(struct lt_mux_event *ev)
{
	struct lt_status st;

	(void)lt_status_unpack(ev->bytes, &st);
	if (st.code == LT_STATUS_OK && ev->rc != LT_OK)
		lt_status_set(&st, LT_STATUS_INTERNAL, "MALFORMED_ANSWER",
		    "the answer ends inside a message");
	call_over(ev->user, &st);
}

static void
on_bad(struct lt_mux_event *ev)
{
	struct lt_status st;

	lt_status_set(&st, LT_STATUS_INTERNAL, "MALFORMED_ANSWER", "%s",
	    ev->rc == LT_E_TOOBIG ? "the answer is larger than a message may be"
				  : "too many answers at once");
	call_give_up(ev->call->user, &st);
}

/* Nothing is served here: say so, in the one way there is. */
static void
refuse(struct lt_conn *c, struct lt_mux_event *ev)
{
	struct lt_buf bytes = { 0 };
	struct lt_status st;

	lt_status_set(
	    &st, LT_STATUS_UNIMPLEMENTED, "NO_SUCH_METHOD", "nothing is served on this side");
	if (lt_status_pack(&st, &bytes) == LT_OK) {
		if (ev->call != NULL)
			lt_mux_end(&c->mux, ev->call, lt_buf_slice(&bytes), true);
		else
			lt_mux_refuse(&c->mux, ev->id, lt_buf_slice(&bytes));
	}
	lt_buf_fini(&bytes);
}

static void
cl_event(struct lt_conn *c, struct lt_mux_event *ev)
{
	switch (ev->type) {
	case LT_MUX_REQUEST:
	case LT_MUX_REFUSED:
		refuse(c, ev);
		break;
	case LT_MUX_MESSAGE:
		on_message(c, ev);
		break;
	case LT_MUX_BAD:
		on_bad(ev);
		break;
	case LT_MUX_END:
		on_end(ev);
		break;
	case LT_MUX_GOAWAY:
		on_goaway(c, ev->id);
		break;
	case LT_MUX_NONE:
	case LT_MUX_EMPTY:
	case LT_MUX_WRITABLE:
	case LT_MUX_CANCEL:
	case LT_MUX_PONG:
		break;
	}
}

static void
cl_writable(struct lt_conn *c, struct lt_mux_call *mc)
{
	(void)c;
	(void)mc; /* requests are queued whole */
}

static int64_t
cl_tick(struct lt_conn *c, int64_t now)
{
	struct lt_mux_call *mc, *following;
	struct lt_status st;
	int64_t next = c->cl.goaway ? c->cl.goaway_by_ms : INT64_MAX;

	if (next <= now) {
		lt_conn_die(c, LT_E_CLOSED, "the other side is stopping");
		return INT64_MAX;
	}
	for (mc = lt_mux_next(&c->mux, NULL); mc != NULL; mc = following) {
		struct lt_client_call *call = mc->user;

		following = lt_mux_next(&c->mux, mc);
		if (call->deadline_ms <= now) {
			lt_status_set(&st, LT_STATUS_DEADLINE_EXCEEDED, "DEADLINE",
			    "no answer within the deadline");
			call_give_up(call, &st);
		} else if (call->deadline_ms < next) {
			next = call->deadline_ms;
		}
	}
	return next;
}

static void
cl_opened(struct lt_conn *c)
{
	c->cl.opened = true;
	/* The acceptor does nothing before it has opened a frame of ours, and the first must be short. */
	lt_mux_ping(&c->mux, 0);
	lt_conn_push(c);
}

static void
cl_gone(struct lt_conn *c)
{
	struct lt_mux_call *mc, *next;
	struct lt_status st;

	pthread_mutex_lock(&c->mx);
	if (c->cl.goaway && c->rc == LT_E_CLOSED) /* it had said so before it closed */
		(void)snprintf(c->why, sizeof(c->why), "the other side is stopping");
	lt_status_set(
	    &st, LT_STATUS_UNAVAILABLE, "CONNECTION_LOST", "the connection is gone: %s", c->why);
	for (mc = lt_mux_next(&c->mux, NULL); mc != NULL; mc = next) {
		next = lt_mux_next(&c->mux, mc);
		call_over(mc->user, &st);
	}
	lt_mux_fini(&c->mux);
	c->cl.gone = true;
	lt_conn_push(c);
	pthread_mutex_unlock(&c->mx);
}

static void
cl_task(struct lt_conn *c)
{
	struct lt_client *cl = &c->cl;
	bool done, closed, opened;

	pthread_mutex_lock(&c->mx);
	opened = cl->opened;
	done = (opened || cl->gone) && !cl->done_told;
	cl->done_told = cl->done_told || done;
	pthread_mutex_unlock(&c->mx);
	if (done && opened)
		cl->done(cl->done_ctx, c, LT_OK, "");
	else if (done)
		cl->done(cl->done_ctx, NULL, c->rc, c->why);
	pthread_mutex_lock(&c->mx);
	closed = cl->gone && cl->ncalls == 0 && !cl->closed_told;
	cl->closed_told = cl->closed_told || closed;
	pthread_mutex_unlock(&c->mx);
	if (!closed)
		return;
	if (opened && cl->closed != NULL)
		cl->closed(cl->closed_ctx, c->rc, c->why);
	pthread_mutex_lock(&c->mx);
	cl->finished = true;
	pthread_cond_broadcast(&cl->cv);
	pthread_mutex_unlock(&c->mx);
	if (!opened)
		lt_conn_unref(c); /* nobody was given it */
}

static void
cl_fini(struct lt_conn *c)
{
	struct lt_client_service *s;

	while ((s = c->cl.services) != NULL) {
		c->cl.services = s->next;
		free(s);
	}
	pthread_cond_destroy(&c->cl.cv);
}

static const struct lt_conn_ops client_conn_ops = {
	.opened = cl_opened,
	.event = cl_event,
	.writable = cl_writable,
	.tick = cl_tick,
	.gone = cl_gone,
	.task = cl_task,
	.fini = cl_fini,
};

/* ---- dialing ---- */

static int
url_check(const struct lt_dial_options *o, bool *local)
{
	*local = strncmp(o->url, "ipc://", 6) == 0;
	if (*local)
		return strlen(o->url) > 6 && strlen(o->url) - 6 <= 100 ? LT_OK : LT_E_INVALID;
	if (strncmp(o->url, "tcp://", 6) != 0)
		return LT_E_INVALID;
	return o->line_sk != NULL && o->remote_line_key != NULL && o->federation != NULL
		   ? LT_OK
		   : LT_E_INVALID;
}

static struct lt_line *
secured_line(const struct lt_dial_options *o)
{
	struct lt_line_key *key = lt_line_key_new(o->line_sk);
	struct lt_line *line = NULL;

	if (key != NULL)
		line = lt_line_new_initiator(o->federation, key, o->remote_line_key);
	lt_line_key_unref(key);
	return line;
}

int
lt_dial_async(const struct lt_dial_options *o,
    void (*done)(void *ctx, struct lt_conn *c, int rc, const char *why), void *ctx)
{
	struct lt_conn *c;
	struct lt_line *line;
	uint8_t rnd[8];
	bool local;
	int rc = url_check(o, &local);

	if (rc != LT_OK)
		return rc;
	line = local ? lt_line_new_local(true) : secured_line(o);
	c = lt_conn_new(o->pool, o->clock, &client_conn_ops, true, o->idle_ms, o->connect_ms);
	if (c == NULL || line == NULL) {
		lt_line_free(line);
		if (c != NULL) {
			pthread_cond_init(&c->cl.cv, NULL);
			nng_aio_free(c->rx);
			nng_aio_free(c->tx);
			lt_conn_unref(c);
		}
		return LT_E_NOMEM;
	}
	c->local = local;
	c->peer.kind = local ? LT_PEER_LOCAL : LT_PEER_LINE;
	if (!local)
		memcpy(c->peer.line_key, o->remote_line_key, sizeof(c->peer.line_key));
	(void)snprintf(c->peer.address, sizeof(c->peer.address), "%.63s", o->url);
	pthread_cond_init(&c->cl.cv, NULL);
	randombytes_buf(rnd, sizeof(rnd));
	lt_hex(c->cl.id_prefix, rnd, sizeof(rnd));
	c->cl.done = done;
	c->cl.done_ctx = ctx;
	c->cl.closed = o->closed;
	c->cl.closed_ctx = o->ctx;
	lt_conn_ref(c); /* the user's */
	rc = lt_conn_dial(c, o->url, line);
	if (rc != LT_OK) {
		pthread_mutex_lock(&c->mx);
		c->cl.done_told = true; /* our return value tells */
		lt_conn_die(c, rc, "cannot dial");
		pthread_mutex_unlock(&c->mx);
	}
	return rc;
}

struct dial_wait {
	pthread_mutex_t mx;
	pthread_cond_t cv;
	bool done;
	struct lt_conn *c;
	int rc;
	char why[160];
};

static void
dial_done(void *ctx, struct lt_conn *c, int rc, const char *why)
{
	struct dial_wait *w = ctx;

	pthread_mutex_lock(&w->mx);
	w->c = c;
	w->rc = rc;
	(void)snprintf(w->why, sizeof(w->why), "%s", why);
	w->done = true;
	pthread_cond_signal(&w->cv);
	pthread_mutex_unlock(&w->mx);
}

int
lt_dial(const struct lt_dial_options *o, struct lt_conn **out, struct lt_err *err)
{
	struct dial_wait w = { .mx = PTHREAD_MUTEX_INITIALIZER, .cv = PTHREAD_COND_INITIALIZER };
	int rc = lt_dial_async(o, dial_done, &w);

	if (rc != LT_OK)
		return lt_err_both(err, rc, "cannot dial \"%s\": %s", "không gọi được \"%s\" (%s)",
		    o->url, lt_strerror(rc));
	pthread_mutex_lock(&w.mx);
	while (!w.done)
		pthread_cond_wait(&w.cv, &w.mx);
	pthread_mutex_unlock(&w.mx);
	pthread_cond_destroy(&w.cv);
	pthread_mutex_destroy(&w.mx);
	if (w.rc != LT_OK)
		return lt_err_both(err, w.rc, "no connection to \"%s\": %s",
		    "không nối được tới \"%s\" (%s)", o->url, w.why);
	*out = w.c;
	return LT_OK;
}

void
lt_conn_close(struct lt_conn *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->mx);
	lt_conn_die(c, LT_E_CLOSED, "closed here");
	while (!c->cl.finished)
		pthread_cond_wait(&c->cl.cv, &c->mx);
	pthread_mutex_unlock(&c->mx);
	lt_conn_unref(c);
}

bool
lt_conn_alive(const struct lt_conn *c)
{
	struct lt_conn *m =
	    (struct lt_conn *)(uintptr_t)c; /* the lock is no part of what it promises */
	bool alive;

	pthread_mutex_lock(&m->mx);
	alive = !m->dead && !m->cl.goaway;
	pthread_mutex_unlock(&m->mx);
	return alive;
}

/* ---- calling ---- */

static const ProtobufCMethodDescriptor *
method_of(const ProtobufCServiceDescriptor *service, const char *method)
{
	const char *slash = strrchr(method, '/');

	return protobuf_c_service_descriptor_get_method_by_name(
	    service, slash != NULL ? slash + 1 : method);
}

static bool
head_valid(const struct lt_call_head *h)
{
	size_t i;

	if (h->nmetadata > LT_METADATA_MAX || h->resume_token.len > LT_RESUME_TOKEN_MAX ||
	    (h->request_id != NULL && !lt_request_id_valid(h->request_id)))
		return false;
	for (i = 0; i < h->nmetadata; i++)
		if (!lt_metadata_valid(h->metadata[i].key, h->metadata[i].value))
			return false;
	return true;
}

/* *zstd: the other side takes compressed requests. id: LT_REQUEST_ID_MAX + 1 bytes, gets the request's. */
static int
pack_head(struct lt_conn *c, const ProtobufCServiceDescriptor *service,
    const ProtobufCMethodDescriptor *md, const struct lt_call_head *with, uint32_t timeout_ms,
    struct lt_buf *out, bool *zstd, char *id)
{
	Ltpb__RequestHead head = LTPB__REQUEST_HEAD__INIT;
	Ltpb__Metadata pair[LT_METADATA_MAX], *pairs[LT_METADATA_MAX];
	char name[256];
	size_t i;
	uint64_t number;

	pthread_mutex_lock(&c->mx);
	number = ++c->cl.requests;
	*zstd = (c->mux.encodings & LT_ENCODING_ZSTD) != 0;
	pthread_mutex_unlock(&c->mx);
	(void)snprintf(name, sizeof(name), "/%s/%s", service->name, md->name);
	if (with != NULL && with->request_id != NULL && with->request_id[0] != '\0')
		(void)snprintf(id, LT_REQUEST_ID_MAX + 1, "%s", with->request_id);
	else
		(void)snprintf(id, LT_REQUEST_ID_MAX + 1, "%s-%llu", c->cl.id_prefix,
		    (unsigned long long)number);
	head.method = name;
	head.request_id = id;
	for (i = 0; with != NULL && i < with->nmetadata; i++) {
		ltpb__metadata__init(&pair[i]);
		pair[i].key = (char *)with->metadata[i].key;
		pair[i].value = (char *)with->metadata[i].value;
		pairs[i] = &pair[i];
	}
	head.metadata = pairs;
	head.n_metadata = i;
	head.timeout_ms = timeout_ms;
	if (with != NULL) {
		head.want_tokens = with->token != NULL;
		head.resume_token.len = with->resume_token.len;
		head.resume_token.data = (uint8_t *)with->resume_token.data;
	}
	head.accept_encoding = c->local ? 0 : LT_ENCODING_ZSTD;
	return lt_wire_pack(&head.base, LT_FRAME_PAYLOAD_MAX, out);
}

/* Open the call and queue its request. Under conn->mx. */
static int
call_open(struct lt_conn *c, struct lt_client_call *call, struct lt_slice head, struct lt_buf *body,
    uint8_t flags)
{
	if (c->dead || c->cl.goaway)
		return LT_E_CLOSED;
	if (c->mux.next_id == 0) {
		lt_conn_die(c, LT_E_CLOSED, "call numbers are used up");
		return LT_E_CLOSED;
	}
	call->mc = lt_mux_open(&c->mux, head, call);
	if (call->mc == NULL)
		return c->mux.nlocal >= LT_MUX_LOCAL_MAX ? LT_E_UNAVAILABLE : LT_E_NOMEM;
	if (lt_mux_send_as(&c->mux, call->mc, body, flags) != LT_OK) {
		lt_mux_cancel(&c->mux, call->mc);
		return LT_E_NOMEM;
	}
	lt_conn_ref(c);
	c->cl.ncalls++;
	return LT_OK;
}

static struct lt_client_call *
call_new(struct lt_conn *c, const ProtobufCMethodDescriptor *md, uint32_t timeout_ms,
    const struct lt_call_ops *ops, void *ctx)
{
	struct lt_client_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->refs = 1;
	call->conn = c;
	call->output = md->output;
	call->method = md->name;
	call->ops = *ops;
	call->ctx = ctx;
	call->task.fn = call_task;
	call->task.release = call_release;
	call->task.arg = call;
	call->deadline_ms = timeout_ms == 0 ? INT64_MAX : lt_conn_now(c) + (int64_t)timeout_ms;
	return call;
}

int
lt_conn_call(struct lt_conn *c, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *request, uint32_t timeout_ms, const struct lt_call_ops *ops, void *ctx,
    uint32_t *id)
{
	return lt_conn_call_with(c, service, method, NULL, request, timeout_ms, ops, ctx, id);
}

int
lt_conn_call_with(struct lt_conn *c, const ProtobufCServiceDescriptor *service, const char *method,
    const struct lt_call_head *with, const ProtobufCMessage *request, uint32_t timeout_ms,
    const struct lt_call_ops *ops, void *ctx, uint32_t *id)
{
	const ProtobufCMethodDescriptor *md = method_of(service, method);
	struct lt_client_call *call = NULL;
	struct lt_buf head = { 0 }, body = { 0 };
	uint8_t flags = LT_DATA_NO_MORE;
	char request_id[LT_REQUEST_ID_MAX + 1];
	bool zstd = false;
	int rc;

	if (md == NULL || request->descriptor != md->input || (with != NULL && !head_valid(with)))
		return LT_E_USAGE;
	rc = pack_head(c, service, md, with, timeout_ms, &head, &zstd, request_id);
	if (rc == LT_OK)
		rc = lt_wire_pack(request, LT_MESSAGE_MAX, &body);
	if (rc == LT_OK && zstd && lt_zstd_pack(&body, LT_ZSTD_SMALL))
		flags |= LT_DATA_ZSTD;
	if (rc == LT_OK && (call = call_new(c, md, timeout_ms, ops, ctx)) == NULL)
		rc = LT_E_NOMEM;
	if (rc != LT_OK)
		goto out;
	call->service = service->name;
	call->token = with != NULL ? with->token : NULL;
	(void)snprintf(call->request_id, sizeof(call->request_id), "%s", request_id);
	pthread_mutex_lock(&c->mx);
	rc = call_open(c, call, lt_buf_slice(&head), &body, flags);
	if (rc == LT_OK) {
		if (id != NULL)
			*id = call->mc->id;
		lt_conn_due(c, call->deadline_ms);
		lt_conn_kick_behind(c);
	}
	pthread_mutex_unlock(&c->mx);
	if (rc != LT_OK)
		free(call);
out:
	lt_buf_fini(&head);
	lt_buf_fini(&body);
	return rc;
}

void
lt_conn_cancel(struct lt_conn *c, uint32_t id)
{
	struct lt_mux_call *mc;
	struct lt_status st;

	lt_status_set(&st, LT_STATUS_CANCELLED, "CANCELLED", "cancelled here");
	pthread_mutex_lock(&c->mx);
	for (mc = lt_mux_next(&c->mux, NULL); mc != NULL; mc = lt_mux_next(&c->mux, mc)) {
		if (mc->id == id) {
			call_give_up(mc->user, &st);
			break;
		}
	}
	lt_conn_kick(c);
	pthread_mutex_unlock(&c->mx);
}

/* ---- one message, one answer ---- */

struct unary {
	pthread_mutex_t mx;
	pthread_cond_t cv;
	bool done;
	const ProtobufCMessageDescriptor *output;
	unsigned nitems;
	ProtobufCMessage *reply;
	struct lt_status *status;
	/* With a closure instead of somebody who waits: */
	ProtobufCClosure closure;
	void *closure_data;
};

/* A copy that outlives the callback. */
static ProtobufCMessage *
copy_of(const ProtobufCMessage *m)
{
	struct lt_buf bytes = { 0 };
	ProtobufCMessage *copy = NULL;

	if (lt_wire_pack(m, LT_MESSAGE_MAX, &bytes) == LT_OK)
		copy = protobuf_c_message_unpack(m->descriptor, NULL, bytes.len, bytes.data);
	lt_buf_fini(&bytes);
	return copy;
}

static void
unary_item(void *ctx, const ProtobufCMessage *m)
{
	struct unary *u = ctx;

	if (u->nitems++ == 0)
		u->reply = copy_of(m);
}

static void
unary_judge(struct unary *u, const struct lt_status *status)
{
	*u->status = *status;
	if (status->code == LT_STATUS_OK && (u->nitems != 1 || u->reply == NULL))
		lt_status_set(u->status, LT_STATUS_INTERNAL, "MALFORMED_ANSWER",
		    "%u answers where there is one", u->nitems);
	if (u->status->code != LT_STATUS_OK && u->reply != NULL) {
		protobuf_c_message_free_unpacked(u->reply, NULL);
		u->reply = NULL;
	}
}

static void
unary_end(void *ctx, const struct lt_status *status)
{
	struct unary *u = ctx;

	unary_judge(u, status);
	pthread_mutex_lock(&u->mx);
	u->done = true;
	pthread_cond_signal(&u->cv);
	pthread_mutex_unlock(&u->mx);
}

int
lt_conn_call_wait(struct lt_conn *c, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *request, uint32_t timeout_ms, ProtobufCMessage **reply,
    struct lt_status *status)
{
	return lt_conn_call_wait_with(c, service, method, NULL, request, timeout_ms, reply, status);
}

int
lt_conn_call_wait_with(struct lt_conn *c, const ProtobufCServiceDescriptor *service,
    const char *method, const struct lt_call_head *with, const ProtobufCMessage *request,
    uint32_t timeout_ms, ProtobufCMessage **reply, struct lt_status *status)
{
	static const struct lt_call_ops ops = { unary_item, unary_end };
	struct lt_status own;
	struct unary u = { .mx = PTHREAD_MUTEX_INITIALIZER, .cv = PTHREAD_COND_INITIALIZER };
	int rc;

	u.status = status != NULL ? status : &own;
	if (reply != NULL)
		*reply = NULL;
	rc = lt_conn_call_with(c, service, method, with, request, timeout_ms, &ops, &u, NULL);
	if (rc != LT_OK) {
		lt_status_set(u.status, lt_status_from_error(rc), "NOT_SENT",
		    "the call was not sent: %s", lt_strerror(rc));
		return (int)u.status->code;
	}
	pthread_mutex_lock(&u.mx);
	while (!u.done)
		pthread_cond_wait(&u.cv, &u.mx);
	pthread_mutex_unlock(&u.mx);
	pthread_cond_destroy(&u.cv);
	pthread_mutex_destroy(&u.mx);
	if (reply != NULL)
		*reply = u.reply;
	else if (u.reply != NULL)
		protobuf_c_message_free_unpacked(u.reply, NULL);
	return (int)u.status->code;
}

static void
stub_end(void *ctx, const struct lt_status *status)
{
	struct unary *u = ctx;
	struct lt_status st;

	u->status = &st;
	unary_judge(u, status);
	u->closure(u->reply, u->closure_data);
	if (u->reply != NULL)
		protobuf_c_message_free_unpacked(u->reply, NULL);
	free(u);
}

static void
stub_invoke(ProtobufCService *service, unsigned index, const ProtobufCMessage *input,
    ProtobufCClosure closure, void *closure_data)
{
	static const struct lt_call_ops ops = { unary_item, stub_end };
	struct lt_client_service *s = (struct lt_client_service *)service;
	struct unary *u = calloc(1, sizeof(*u));
	int rc = LT_E_NOMEM;

	assert(index < service->descriptor->n_methods);
	if (u != NULL) {
		u->closure = closure;
		u->closure_data = closure_data;
		rc = lt_conn_call(s->conn, service->descriptor,
		    service->descriptor->methods[index].name, input, 0, &ops, u, NULL);
	}
	if (rc != LT_OK) {
		free(u);
		closure(NULL, closure_data);
	}
}

static void
stub_destroy(ProtobufCService *service)
{
	(void)service; /* belongs to the connection */
}

ProtobufCService *
lt_conn_service(struct lt_conn *c, const ProtobufCServiceDescriptor *service)
{
	struct lt_client_service *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->base.descriptor = service;
	s->base.invoke = stub_invoke;
	s->base.destroy = stub_destroy;
	s->conn = c;
	pthread_mutex_lock(&c->mx);
	s->next = c->cl.services;
	c->cl.services = s;
	pthread_mutex_unlock(&c->mx);
	return &s->base;
}
