/* What a handler does with its call: answer, fail, stream. */
#include "proto/rpc/resume_token.h"
#include "proto/rpc/server_impl.h"
#include "proto/rpc/status_impl.h"
#include "proto/rpc/zstd.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

const uint8_t *
lt_call_page_key(const struct lt_call *c)
{
	return c->server->secrets->page_key;
}

const char *
lt_call_request_id(const struct lt_call *c)
{
	return c->head.request_id;
}

const char *
lt_call_metadata(const struct lt_call *c, const char *key)
{
	return lt_head_metadata(&c->head, key);
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

/* ---- the one end ---- */

/* Rows are the messages that an answer lists. */
static size_t
rows_of(const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	size_t rows = 0, n;
	unsigned i;

	for (i = 0; i < d->n_fields; i++)
		if (d->fields[i].label == PROTOBUF_C_LABEL_REPEATED &&
		    d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE) {
			memcpy(&n, (const uint8_t *)m + d->fields[i].quantifier_offset, sizeof(n));
			rows += n;
		}
	return rows;
}

/* Not what streams bring: the receiver's credit bounds it, and a node that catches up by a gigabyte must be able to push meanwhile. */
static void
count_answer(const struct lt_call *call, const ProtobufCMessage *m, size_t bytes)
{
	struct lt_account *a = call->conn->sv.account;
	int64_t now;

	if (a == NULL)
		return;
	now = lt_conn_now(call->conn);
	lt_account_bytes(a, bytes, now);
	lt_account_rows(a, rows_of(m), now);
}

void
lt_call_took(struct lt_call *c, size_t changes, size_t vain)
{
	struct lt_account *a = c->conn->sv.account;

	if (a != NULL)
		lt_account_took(a, changes, vain, lt_conn_now(c->conn));
}

bool
lt_call_owes_nothing(struct lt_call *c, struct lt_status *st)
{
	struct lt_account *a = c->conn->sv.account;

	return a == NULL || lt_account_owes_nothing(a, lt_conn_now(c->conn), st) == LT_STATUS_OK;
}

/* Bytes of a message, as the caller takes them. Without the lock. */
static int
pack_message(
    const struct lt_call *call, const ProtobufCMessage *m, struct lt_buf *bytes, uint8_t *flags)
{
	int rc = lt_wire_pack(m, LT_MESSAGE_MAX, bytes);

	if (rc == LT_OK && call->head.zstd && lt_zstd_pack(bytes, LT_ZSTD_FAST))
		*flags |= LT_DATA_ZSTD;
	return rc;
}

/* The handler's one end. message NULL: status alone; flags: of the message. Takes the handler's reference, or leaves it
 * to `closed`. */
static void
call_finish(
    struct lt_call *call, struct lt_buf *message, uint8_t flags, const struct lt_status *status)
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
		lt_call_set_exhausted(&full, "too many answers wait to be read on this connection");
		status = &full;
		message = NULL;
	}
	if (call->mc != NULL && message != NULL &&
	    lt_mux_send_as(&c->mux, call->mc, message, flags) != LT_OK)
		lt_conn_die(c, LT_E_NOMEM, "out of memory");
	/* The connection's reference ends in lt_call_end(); the handler's, which the analyser does not count, holds the call. */
	lt_call_end(call, status, false);
	if (call->method->work == LT_WORK_BRIEF)
		lt_conn_kick_behind(c);
	else
		lt_conn_kick(c);
	lt_call_push(call); /* NOLINT(clang-analyzer-unix.Malloc) */
	pthread_mutex_unlock(&c->mx);
	if (!stream)
		lt_call_unref(call); /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* Before anybody can have the answer. Without the lock. */
static void
tell_end(const struct lt_call *call, const ProtobufCMessage *reply, const struct lt_status *status)
{
	const struct lt_server *s = call->server;

	if (s->o.ended != NULL)
		s->o.ended(s->o.ctx, &call->conn->peer, call->method, call->asked, reply, status);
}

void
lt_call_reply(const ProtobufCMessage *reply, void *closure_data)
{
	struct lt_call *call = closure_data;
	struct lt_buf bytes = { 0 };
	struct lt_status st;
	uint8_t flags = LT_DATA_NO_MORE;
	int rc = reply == NULL ? LT_E_INVALID : pack_message(call, reply, &bytes, &flags);

	if (rc == LT_OK) {
		count_answer(call, reply, bytes.len);
		memset(&st, 0, sizeof(st));
		tell_end(call, reply, &st);
		call_finish(call, &bytes, flags, &st);
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
	tell_end(c, NULL, status);
	call_finish(c, NULL, 0, status);
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
lt_call_refuse(struct lt_call *c, enum lt_status_code code, const char *reason, const char *en,
    const char *vi, ...)
{
	struct lt_status st;
	va_list ap;

	va_start(ap, vi);
	lt_status_vset_both(&st, code, reason, en, vi, ap);
	va_end(ap);
	lt_call_fail(c, &st);
}

/* ---- streams ---- */

void
lt_call_stream(struct lt_call *c, const struct lt_stream_ops *ops, void *ctx)
{
	pthread_mutex_lock(&c->conn->mx);
	assert(c->stream == NULL && !c->finished && c->method->server_streaming);
	c->stream = ops;
	c->stream_ctx = ctx;
	c->ready_due = true;
	atomic_fetch_add(&c->server->nstreams, 1);
	/* It stays for as long as its caller likes: no more a measure of what there is to do. */
	atomic_fetch_sub(&c->server->nwork[c->method->work], 1);
	lt_call_push(c);
	pthread_mutex_unlock(&c->conn->mx);
}

/* A reader on a fast line gives back credit as it is used, so that alone would never end a pass. */
static bool
pass_over(const struct lt_call *c)
{
	return c->pass == LT_PASS_RUNNING &&
	       (c->pass_bytes >= LT_STREAM_PASS_BYTES ||
		   (c->pass_bytes != 0 &&
		       lt_conn_now(c->conn) - c->pass_since_ms >= LT_STREAM_PASS_MS));
}

/* token: of the position behind the item, empty for none. */
static int
send_item(struct lt_call *c, const ProtobufCMessage *item, struct lt_slice token)
{
	struct lt_conn *conn = c->conn;
	struct lt_buf bytes = { 0 };
	uint8_t flags = 0;
	size_t len;
	int rc = LT_OK;

	pthread_mutex_lock(&conn->mx);
	if (c->mc == NULL || c->finished) {
		rc = LT_E_CLOSED;
	} else if (!lt_mux_writable(&conn->mux, c->mc)) {
		rc = LT_E_BUSY;
	} else if (pass_over(c)) {
		c->ready_due = true;
		rc = LT_E_BUSY;
	}
	pthread_mutex_unlock(&conn->mx);
	if (rc == LT_OK)
		rc = pack_message(c, item, &bytes, &flags);
	if (rc == LT_OK) {
		len = bytes.len;
		pthread_mutex_lock(&conn->mx);
		if (c->mc == NULL || c->finished)
			rc = LT_E_CLOSED;
		else
			rc = lt_mux_send_token(&conn->mux, c->mc, &bytes, flags, token);
		if (rc == LT_OK)
			c->pass_bytes += len + 1; /* an empty item counts, too */
		lt_conn_kick(conn);
		pthread_mutex_unlock(&conn->mx);
	}
	lt_buf_fini(&bytes);
	return rc;
}

int
lt_call_send(struct lt_call *c, const ProtobufCMessage *item)
{
	return send_item(c, item, lt_slice(NULL, 0));
}

int
lt_call_send_at(struct lt_call *c, const ProtobufCMessage *item, struct lt_slice position)
{
	const struct lt_resume_bond bond = { c->server->secrets->resume_key, &c->conn->peer,
		c->method->name, &c->request };
	uint8_t token[LT_RESUME_TOKEN_MAX];
	size_t len = c->head.want_tokens ? lt_resume_token_make(&bond, position, token) : 0;

	return send_item(c, item, lt_slice(token, len));
}

struct lt_slice
lt_call_resume_at(const struct lt_call *c)
{
	return c->resume_at;
}

void
lt_call_resume_gone(struct lt_call *c)
{
	lt_call_failf(c, LT_STATUS_OUT_OF_RANGE, "RESUME_TOO_OLD",
	    "what follows that position is not kept any more: ask from the start");
}

void
lt_call_stream_end(struct lt_call *c, const struct lt_status *status)
{
	assert(c->stream != NULL);
	tell_end(c, NULL, status);
	call_finish(c, NULL, 0, status);
}

void
lt_call_kick(struct lt_call *c)
{
	pthread_mutex_lock(&c->conn->mx);
	c->ready_due = true;
	lt_call_push(c);
	pthread_mutex_unlock(&c->conn->mx);
}

bool
lt_call_stream_pass(struct lt_call *call)
{
	struct lt_conn *c = call->conn;

	if (call->stream_closed)
		return false;
	if (call->mc != NULL && call->ready_due) {
		call->ready_due = false;
		call->pass_since_ms = lt_conn_now(c);
		call->pass_bytes = 0;
		pthread_mutex_unlock(&c->mx);
		call->stream->ready(call, call->stream_ctx);
		pthread_mutex_lock(&c->mx);
	}
	if (call->mc != NULL)
		return call->ready_due;
	call->stream_closed = true;
	pthread_mutex_unlock(&c->mx);
	call->stream->closed(call->stream_ctx);
	pthread_mutex_lock(&c->mx);
	lt_call_unref(call); /* the handler's; the task has its own */
	return false;
}
