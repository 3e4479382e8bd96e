#include "proto/rpc/mux.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct lt_mux_msg {
	struct lt_mux_msg *next;
	uint8_t *data; /* owned */
	size_t len, off;
	uint8_t flags; /* LT_DATA_NO_MORE, LT_DATA_ZSTD */
	uint8_t token_len; /* 0: none, or sent */
	uint8_t token[];
};

void
lt_mux_init(struct lt_mux *m, bool initiator)
{
	memset(m, 0, sizeof(*m));
	m->initiator = initiator;
	m->next_id = initiator ? 1 : 2;
}

static size_t
bucket_of(uint32_t id)
{
	return (id >> 1) % LT_MUX_BUCKETS;
}

static struct lt_mux_call *
find(const struct lt_mux *m, uint32_t id)
{
	struct lt_mux_call *c = m->bucket[bucket_of(id)];

	while (c != NULL && c->id != id)
		c = c->hash_next;
	return c;
}

/* ---- the ring: calls that have a frame to send, in turn ---- */

static bool
sendable(const struct lt_mux_call *c)
{
	if (c->head.len != 0)
		return true;
	if (c->tx_first != NULL)
		return c->tx_first->off == c->tx_first->len || c->tx_credit > 0;
	return c->ending;
}

static void
ring_add(struct lt_mux *m, struct lt_mux_call *c)
{
	if (c->in_ring || !sendable(c))
		return;
	if (m->ring == NULL) {
		c->ring_next = c->ring_prev = c;
		m->ring = c;
	} else {
		c->ring_next = m->ring;
		c->ring_prev = m->ring->ring_prev;
		c->ring_prev->ring_next = c;
		m->ring->ring_prev = c;
	}
	c->in_ring = true;
}

static void
ring_remove(struct lt_mux *m, struct lt_mux_call *c)
{
	if (!c->in_ring)
		return;
	if (c->ring_next == c) {
		m->ring = NULL;
	} else {
		c->ring_next->ring_prev = c->ring_prev;
		c->ring_prev->ring_next = c->ring_next;
		if (m->ring == c)
			m->ring = c->ring_next;
	}
	c->in_ring = false;
}

/* ---- calls ---- */

static void
drop_messages(struct lt_mux *m, struct lt_mux_call *c)
{
	struct lt_mux_msg *msg;

	while ((msg = c->tx_first) != NULL) {
		c->tx_first = msg->next;
		free(msg->data);
		free(msg);
	}
	c->tx_last = NULL;
	m->queued -= c->tx_bytes;
	c->tx_bytes = 0;
	c->tx_messages = 0;
}

static void
drop_received(struct lt_mux *m, struct lt_mux_call *c)
{
	lt_buf_fini(&c->rx);
	lt_buf_fini(&c->rx_token);
	m->held -= c->held;
	c->held = 0;
	c->waiting = 0;
}

static void
call_free(struct lt_mux *m, struct lt_mux_call *c)
{
	struct lt_mux_call **at = &m->bucket[bucket_of(c->id)];

	while (*at != c)
		at = &(*at)->hash_next;
	*at = c->hash_next;
	if (c->local)
		m->nlocal--;
	else
		m->nremote--;
	ring_remove(m, c);
	drop_messages(m, c);
	drop_received(m, c);
	lt_buf_fini(&c->head);
	lt_buf_fini(&c->end);
	free(c);
}

static struct lt_mux_call *
call_new(struct lt_mux *m, uint32_t id, bool local)
{
	struct lt_mux_call *c = calloc(1, sizeof(*c));
	size_t b = bucket_of(id);

	if (c == NULL)
		return NULL;
	c->id = id;
	c->local = local;
	c->rx_credit = c->tx_credit = LT_MUX_CREDIT;
	c->hash_next = m->bucket[b];
	m->bucket[b] = c;
	if (local)
		m->nlocal++;
	else
		m->nremote++;
	return c;
}

void
lt_mux_fini(struct lt_mux *m)
{
	size_t i;

	for (i = 0; i < LT_MUX_BUCKETS; i++)
		while (m->bucket[i] != NULL)
			call_free(m, m->bucket[i]);
	lt_buf_fini(&m->control);
	m->control_off = 0;
}

struct lt_mux_call *
lt_mux_next(const struct lt_mux *m, const struct lt_mux_call *after)
{
	size_t b = after == NULL ? 0 : bucket_of(after->id) + 1;
	struct lt_mux_call *c = after == NULL ? NULL : after->hash_next;

	for (;;) {
		for (; c != NULL; c = c->hash_next)
			if (c->user != NULL)
				return c;
		if (b == LT_MUX_BUCKETS)
			return NULL;
		c = m->bucket[b++];
	}
}

/* ---- control frames: before all others, bounded ---- */

static void
control(struct lt_mux *m, uint8_t type, uint32_t id, struct lt_slice payload)
{
	uint8_t frame[LT_FRAME_MAX];
	size_t len = lt_frame_build(frame, type, 0, id, payload);

	if (m->control.len - m->control_off + len + 2 > LT_MUX_CONTROL_MAX) {
		m->err = LT_E_TOOBIG;
		return;
	}
	lt_buf_u16(&m->control, (uint16_t)len);
	lt_buf_put(&m->control, frame, len);
	if (m->control.err != LT_OK)
		m->err = m->control.err;
}

static size_t
control_take(struct lt_mux *m, uint8_t *out)
{
	const uint8_t *p = m->control.data + m->control_off;
	size_t len = lt_load_u16(p);

	memcpy(out, p + 2, len);
	m->control_off += 2 + len;
	if (m->control_off == m->control.len) {
		lt_buf_fini(&m->control);
		m->control_off = 0;
	} else if (m->control_off > LT_MUX_CONTROL_MAX) {
		memmove(m->control.data, m->control.data + m->control_off,
		    m->control.len - m->control_off);
		m->control.len -= m->control_off;
		m->control_off = 0;
	}
	return len;
}

void
lt_mux_refuse(struct lt_mux *m, uint32_t id, struct lt_slice status)
{
	control(m, LT_FRAME_END, id, status);
}

void
lt_mux_ping(struct lt_mux *m, uint64_t value)
{
	uint8_t p[8];

	lt_store_u64(p, value);
	control(m, LT_FRAME_PING, 0, lt_slice(p, sizeof(p)));
}

void
lt_mux_tell_encodings(struct lt_mux *m, uint32_t encodings)
{
	uint8_t p[4];

	lt_store_u32(p, encodings);
	control(m, LT_FRAME_ENCODINGS, 0, lt_slice(p, sizeof(p)));
}

void
lt_mux_goaway(struct lt_mux *m, struct lt_slice text)
{
	uint8_t p[4 + 256];

	if (text.len > sizeof(p) - 4)
		text.len = sizeof(p) - 4;
	lt_store_u32(p, m->last_remote_id);
	if (text.len != 0)
		memcpy(p + 4, text.data, text.len);
	control(m, LT_FRAME_GOAWAY, 0, lt_slice(p, 4 + text.len));
}

/* ---- sending ---- */

struct lt_mux_call *
lt_mux_open(struct lt_mux *m, struct lt_slice head, void *user)
{
	struct lt_mux_call *c;

	assert(head.len > 0 && head.len <= LT_FRAME_PAYLOAD_MAX && user != NULL);
	if (m->nlocal >= LT_MUX_LOCAL_MAX || m->next_id == 0)
		return NULL;
	c = call_new(m, m->next_id, true);
	if (c == NULL)
		return NULL;
	lt_buf_put_slice(&c->head, head);
	if (c->head.err != LT_OK) {
		call_free(m, c);
		return NULL;
	}
	m->next_id = m->next_id > UINT32_MAX - 2 ? 0 : m->next_id + 2;
	c->user = user;
	ring_add(m, c);
	return c;
}

int
lt_mux_send(struct lt_mux *m, struct lt_mux_call *c, struct lt_buf *message, bool no_more)
{
	return lt_mux_send_as(m, c, message, no_more ? LT_DATA_NO_MORE : 0);
}

int
lt_mux_send_as(struct lt_mux *m, struct lt_mux_call *c, struct lt_buf *message, uint8_t flags)
{
	return lt_mux_send_token(m, c, message, flags, lt_slice(NULL, 0));
}

int
lt_mux_send_token(struct lt_mux *m, struct lt_mux_call *c, struct lt_buf *message, uint8_t flags,
    struct lt_slice token)
{
	struct lt_mux_msg *msg = NULL;

	assert(!c->tx_done && !c->ending && message->len <= LT_MESSAGE_MAX);
	assert(token.len == 0 || (!c->local && token.len <= LT_RESUME_TOKEN_MAX));
	if (message->err == LT_OK)
		msg = calloc(1, sizeof(*msg) + token.len);
	if (msg == NULL) {
		lt_buf_fini(message);
		return LT_E_NOMEM;
	}
	msg->data = lt_buf_take(message, &msg->len);
	msg->flags = flags;
	msg->token_len = (uint8_t)token.len;
	if (token.len != 0)
		memcpy(msg->token, token.data, token.len);
	c->tx_messages++;
	c->tx_done = (flags & LT_DATA_NO_MORE) != 0;
	if (c->tx_last != NULL)
		c->tx_last->next = msg;
	else
		c->tx_first = msg;
	c->tx_last = msg;
	c->tx_bytes += msg->len;
	m->queued += msg->len;
	ring_add(m, c);
	return LT_OK;
}

bool
lt_mux_writable(struct lt_mux *m, struct lt_mux_call *c)
{
	if (m->queued >= LT_MUX_QUEUED_MAX) {
		m->starved = true;
		c->want = true;
		return false;
	}
	c->want = c->tx_bytes >= LT_MUX_CALL_QUEUED_MAX || c->tx_bytes >= c->tx_credit ||
		  c->tx_messages >= LT_MUX_CALL_MESSAGES_MAX;
	return !c->want;
}

/* Has a stream that was told to wait become able to send? */
static bool
wakes(struct lt_mux *m, struct lt_mux_call *c)
{
	return c->want && c->user != NULL && lt_mux_writable(m, c);
}

void
lt_mux_end(struct lt_mux *m, struct lt_mux_call *c, struct lt_slice status, bool drop)
{
	assert(!c->local && !c->ending);
	c->user = NULL;
	c->ending = true;
	lt_buf_put_slice(&c->end, status);
	if (c->end.err != LT_OK)
		m->err = c->end.err;
	if (drop)
		drop_messages(m, c);
	drop_received(m, c);
	ring_add(m, c);
}

void
lt_mux_cancel(struct lt_mux *m, struct lt_mux_call *c)
{
	assert(c->local);
	if (c->head.len == 0)
		control(m, LT_FRAME_CANCEL, c->id, lt_slice(NULL, 0));
	call_free(m, c);
}

bool
lt_mux_has_frame(const struct lt_mux *m)
{
	return m->control.len != m->control_off || m->ring != NULL;
}

/* Before the first piece of its message: who has the message whole has its token. */
static size_t
take_token(struct lt_mux_call *c, uint8_t *out)
{
	struct lt_mux_msg *msg = c->tx_first;
	size_t len =
	    lt_frame_build(out, LT_FRAME_TOKEN, 0, c->id, lt_slice(msg->token, msg->token_len));

	msg->token_len = 0;
	return len;
}

static size_t
take_piece(struct lt_mux *m, struct lt_mux_call *c, uint8_t *out)
{
	struct lt_mux_msg *msg = c->tx_first;
	size_t n = msg->len - msg->off, len;
	uint8_t flags = msg->flags & LT_DATA_ZSTD;
	bool last;

	if (msg->token_len != 0)
		return take_token(c, out);
	if (n > LT_FRAME_PAYLOAD_MAX)
		n = LT_FRAME_PAYLOAD_MAX;
	if (n > c->tx_credit)
		n = c->tx_credit;
	last = msg->off + n == msg->len;
	if (last)
		flags = LT_DATA_LAST_PIECE | msg->flags;
	len = lt_frame_build(out, LT_FRAME_DATA, flags, c->id, lt_slice(msg->data + msg->off, n));
	msg->off += n;
	c->tx_credit -= n;
	c->tx_bytes -= n;
	m->queued -= n;
	if (last) {
		c->tx_first = msg->next;
		if (c->tx_first == NULL)
			c->tx_last = NULL;
		c->tx_messages--;
		free(msg->data);
		free(msg);
	}
	return len;
}

size_t
lt_mux_take(struct lt_mux *m, uint8_t *out, struct lt_mux_call **woke, bool *woke_all)
{
	struct lt_mux_call *c = m->ring;
	size_t len;

	*woke = NULL;
	*woke_all = false;
	if (m->control.len != m->control_off)
		return control_take(m, out);
	if (c == NULL)
		return 0;
	ring_remove(m, c);
	if (c->head.len != 0) {
		len = lt_frame_build(out, LT_FRAME_REQUEST, 0, c->id, lt_buf_slice(&c->head));
		lt_buf_fini(&c->head);
	} else if (c->tx_first != NULL) {
		len = take_piece(m, c, out);
		if (wakes(m, c))
			*woke = c;
		if (m->starved && m->queued < LT_MUX_QUEUED_MAX / 2) {
			m->starved = false;
			*woke_all = true;
		}
	} else {
		len = lt_frame_build(out, LT_FRAME_END, 0, c->id, lt_buf_slice(&c->end));
		call_free(m, c);
		return len;
	}
	ring_add(m, c);
	return len;
}

/* ---- receiving ---- */

/* Credit comes back when everything whole has been consumed, so a peer is never granted more than one message
 * beyond what the owner has taken. */
static void
grant(struct lt_mux *m, struct lt_mux_call *c)
{
	uint8_t p[4];

	if (c->waiting != 0 || c->rx_done || c->ending || c->owed < LT_MUX_GRANT_MIN)
		return;
	lt_store_u32(p, (uint32_t)c->owed);
	control(m, LT_FRAME_CREDIT, c->id, lt_slice(p, sizeof(p)));
	c->rx_credit += c->owed;
	c->owed = 0;
}

void
lt_mux_consumed(struct lt_mux *m, struct lt_mux_call *c, size_t len)
{
	len += LT_MUX_MESSAGE_COST;
	assert(c->waiting > 0 && c->held >= len);
	c->waiting--;
	c->held -= len;
	m->held -= len;
	grant(m, c);
}

static bool
id_is_ours(const struct lt_mux *m, uint32_t id)
{
	return (id & 1) == (m->initiator ? 1u : 0u);
}

static int
on_request(struct lt_mux *m, const struct lt_frame *f, struct lt_mux_event *ev, const char **why)
{
	if (id_is_ours(m, f->id) || f->id <= m->last_remote_id) {
		*why = "a call number that does not rise";
		return LT_E_INVALID;
	}
	m->last_remote_id = f->id;
	ev->id = f->id;
	ev->call = m->nremote < LT_MUX_CALLS_MAX ? call_new(m, f->id, false) : NULL;
	ev->type = ev->call != NULL ? LT_MUX_REQUEST : LT_MUX_REFUSED;
	ev->bytes = f->payload;
	return LT_OK;
}

/* Put a piece behind what is there. Counts before it stores; with its last piece a message counts as one, too. */
static int
store_piece(struct lt_mux *m, struct lt_mux_call *c, struct lt_slice piece, bool last)
{
	size_t cost = piece.len + (last ? LT_MUX_MESSAGE_COST + c->rx_token.len : 0);

	if (piece.len > LT_MESSAGE_MAX - c->rx.len)
		return LT_E_TOOBIG;
	if (cost > LT_MUX_HELD_MAX - m->held)
		return LT_E_NOMEM;
	lt_buf_put_slice(&c->rx, piece);
	if (c->rx.err != LT_OK)
		return LT_E_NOMEM;
	c->held += cost;
	m->held += cost;
	return LT_OK;
}

static int
on_data(struct lt_mux *m, struct lt_mux_call *c, const struct lt_frame *f, struct lt_mux_event *ev,
    const char **why)
{
	bool last = (f->flags & LT_DATA_LAST_PIECE) != 0,
	     no_more = (f->flags & LT_DATA_NO_MORE) != 0, zstd = (f->flags & LT_DATA_ZSTD) != 0;

	if (f->payload.len > c->rx_credit) {
		*why = "more data than credit";
		return LT_E_INVALID;
	}
	if (c->rx_done || (no_more && !last && (c->rx.len != 0 || f->payload.len != 0))) {
		*why = "data behind the last message";
		return LT_E_INVALID;
	}
	c->rx_credit -= f->payload.len;
	c->owed += f->payload.len;
	c->rx_done = no_more;
	if (c->user == NULL)
		return LT_OK; /* ended here already; the peer will learn of it */
	ev->call = c;
	if (c->rx.len != 0 && zstd != c->rx_zstd && f->payload.len != 0) {
		*why = "a message is half compressed";
		return LT_E_INVALID;
	}
	c->rx_zstd = c->rx.len != 0 ? c->rx_zstd : zstd;
	ev->rc = store_piece(m, c, f->payload, last);
	if (ev->rc != LT_OK) {
		ev->type = LT_MUX_BAD;
	} else if (last) {
		ev->type = LT_MUX_MESSAGE;
		ev->message = c->rx;
		ev->zstd = c->rx_zstd;
		memset(&c->rx, 0, sizeof(c->rx));
		ev->token = c->rx_token;
		memset(&c->rx_token, 0, sizeof(c->rx_token));
		c->waiting++;
	} else {
		ev->type = no_more ? LT_MUX_EMPTY : LT_MUX_NONE;
		grant(m, c);
	}
	return LT_OK;
}

static int
on_credit(struct lt_mux *m, struct lt_mux_call *c, const struct lt_frame *f,
    struct lt_mux_event *ev, const char **why)
{
	uint32_t more = lt_load_u32(f->payload.data);

	if (more > (uint32_t)INT32_MAX - c->tx_credit) {
		*why = "credit without measure";
		return LT_E_INVALID;
	}
	c->tx_credit += more;
	ring_add(m, c);
	if (wakes(m, c)) {
		ev->type = LT_MUX_WRITABLE;
		ev->call = c;
	}
	return LT_OK;
}

static int
on_token(struct lt_mux_call *c, const struct lt_frame *f, struct lt_mux_event *ev, const char **why)
{
	if (!c->local || c->rx_done || c->rx.len != 0) {
		*why = "a token that no message can follow";
		return LT_E_INVALID;
	}
	/* A second one takes the place of the first: no number of them takes memory. */
	lt_buf_clear(&c->rx_token);
	lt_buf_put_slice(&c->rx_token, f->payload);
	if (c->rx_token.err != LT_OK) {
		ev->type = LT_MUX_BAD;
		ev->call = c;
		ev->rc = LT_E_NOMEM;
	}
	return LT_OK;
}

static int
on_end(struct lt_mux *m, struct lt_mux_call *c, const struct lt_frame *f, struct lt_mux_event *ev,
    const char **why)
{
	if ((f->type == LT_FRAME_END) != c->local) {
		*why = "the wrong side ends a call";
		return LT_E_INVALID;
	}
	ev->type = f->type == LT_FRAME_END && c->user != NULL ? LT_MUX_END : LT_MUX_NONE;
	if (f->type == LT_FRAME_CANCEL && c->user != NULL)
		ev->type = LT_MUX_CANCEL;
	ev->user = c->user;
	ev->bytes = f->payload;
	ev->rc = c->rx.len != 0 ? LT_E_INVALID : LT_OK;
	call_free(m, c);
	return LT_OK;
}

static int
on_call_frame(struct lt_mux *m, const struct lt_frame *f, struct lt_mux_event *ev, const char **why)
{
	struct lt_mux_call *c = find(m, f->id);

	if (c == NULL) {
		/* Frames for a call that is just over cross its end on the way; a number nobody
		 * has used is a broken peer. */
		if (id_is_ours(m, f->id) ? m->next_id != 0 && f->id >= m->next_id
					 : f->id > m->last_remote_id) {
			*why = "a frame for a call that was never opened";
			return LT_E_INVALID;
		}
		return LT_OK;
	}
	if (c->local && c->head.len != 0) {
		*why = "an answer to a call not yet asked";
		return LT_E_INVALID;
	}
	ev->user = c->user;
	ev->id = c->id;
	switch (f->type) {
	case LT_FRAME_DATA:
		return on_data(m, c, f, ev, why);
	case LT_FRAME_CREDIT:
		return on_credit(m, c, f, ev, why);
	case LT_FRAME_TOKEN:
		return on_token(c, f, ev, why);
	default:
		return on_end(m, c, f, ev, why);
	}
}

int
lt_mux_frame(struct lt_mux *m, struct lt_slice frame, struct lt_mux_event *ev, const char **why)
{
	struct lt_frame f;

	memset(ev, 0, sizeof(*ev));
	*why = "";
	if (lt_frame_parse(frame, &f) != LT_OK) {
		*why = "a malformed frame";
		return LT_E_INVALID;
	}
	switch (f.type) {
	case LT_FRAME_REQUEST:
		return on_request(m, &f, ev, why);
	case LT_FRAME_DATA:
	case LT_FRAME_END:
	case LT_FRAME_CANCEL:
	case LT_FRAME_CREDIT:
		return on_call_frame(m, &f, ev, why);
	case LT_FRAME_PING:
		control(m, LT_FRAME_PONG, 0, f.payload);
		return LT_OK;
	case LT_FRAME_PONG:
		ev->type = LT_MUX_PONG;
		return LT_OK;
	case LT_FRAME_GOAWAY:
		ev->type = LT_MUX_GOAWAY;
		ev->id = lt_load_u32(f.payload.data);
		ev->bytes = lt_slice(f.payload.data + 4, f.payload.len - 4);
		return LT_OK;
	case LT_FRAME_TOKEN:
		if (f.id == 0 || f.payload.len == 0 || f.payload.len > LT_RESUME_TOKEN_MAX) {
			*why = "a malformed frame";
			return LT_E_INVALID;
		}
		return on_call_frame(m, &f, ev, why);
	case LT_FRAME_ENCODINGS:
		if (f.id == 0 && f.payload.len >= 4)
			m->encodings = lt_load_u32(f.payload.data);
		return LT_OK;
	default:
		return LT_OK; /* 16 and above: from a newer program */
	}
}
