#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/mux.h"

/* A generator of our own, so that a failing seed can be run again. */
static uint64_t seed;

static uint32_t
rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 11) % below;
}

#define CALLS 40
#define MESSAGES 6

/* One call of the model: what each side has sent and what arrived. */
struct model {
	struct lt_mux_call *local, *remote;
	bool opened, ended, remote_ended;
	unsigned sent[2], got[2]; /* messages, by receiving side: 0 acceptor, 1 initiator */
	size_t lens[2][MESSAGES];
	size_t in_window[2]; /* data bytes on the way or not granted anew, by receiving side */
	size_t unconsumed[2][MESSAGES];
	unsigned nunconsumed[2];
};

static struct model calls[CALLS];

/* Two ends with a queue of frames between them. */
struct pipe_end {
	struct lt_mux mux;
	struct lt_buf wire; /* framed frames from this end, not yet delivered */
};

static struct pipe_end ends[2]; /* 0 acceptor, 1 initiator */

static uint8_t
byte_of(unsigned call, unsigned dir, unsigned msg, size_t at)
{
	return (uint8_t)(call * 7 + dir * 101 + msg * 31 + at * 3 + (at >> 8));
}

static void
send_message(unsigned n, unsigned from)
{
	struct model *m = &calls[n];
	struct lt_mux_call *c = from == 1 ? m->local : m->remote;
	unsigned to = 1 - from, k = m->sent[to];
	size_t len = rnd(4) == 0 ? rnd(200000) : rnd(40), i;
	struct lt_buf b = { 0 };
	uint8_t *p = lt_buf_reserve(&b, len + 1);

	for (i = 0; i < len; i++)
		p[i] = byte_of(n, to, k, i);
	lt_buf_added(&b, len);
	m->lens[to][k] = len;
	m->sent[to]++;
	assert_int_equal(lt_mux_send(&ends[from].mux, c, &b, k + 1 == MESSAGES), LT_OK);
}

/* Look into a frame as it leaves: the sender keeps to its credit. */
static void
watch_frame(unsigned from, const uint8_t *frame, size_t len)
{
	unsigned to = 1 - from;
	struct lt_frame f;
	struct model *m;

	assert_int_equal(lt_frame_parse(lt_slice(frame, len), &f), LT_OK);
	m = f.id != 0 ? &calls[(f.id - 1) / 2] : NULL;
	if (f.type == LT_FRAME_DATA) {
		assert_non_null(m);
		if (m == NULL)
			return; /* assert_non_null has said so */
		m->in_window[to] += f.payload.len;
		assert_true(m->in_window[to] <= LT_MUX_CREDIT);
	}
}

static void
write_one(unsigned from)
{
	uint8_t frame[LT_FRAME_MAX];
	struct lt_mux_call *woke;
	bool all;
	size_t len = lt_mux_take(&ends[from].mux, frame, &woke, &all);

	if (len == 0)
		return;
	watch_frame(from, frame, len);
	lt_buf_framed(&ends[from].wire, lt_slice(frame, len));
}

static void
got_message(unsigned n, unsigned to, struct lt_buf *msg)
{
	struct model *m = &calls[n];
	unsigned k = m->got[to];
	size_t i;

	assert_true(k < m->sent[to]);
	assert_int_equal(msg->len, m->lens[to][k]);
	for (i = 0; i < msg->len; i++)
		if (msg->data[i] != byte_of(n, to, k, i))
			fail_msg("call %u message %u byte %zu", n, k, i);
	m->unconsumed[to][m->nunconsumed[to]++] = msg->len;
	m->got[to]++;
	lt_buf_fini(msg);
}

static void
consume(unsigned n, unsigned to)
{
	struct model *m = &calls[n];
	struct lt_mux_call *c = to == 1 ? m->local : m->remote;

	if (m->nunconsumed[to] == 0 || c == NULL)
		return;
	lt_mux_consumed(&ends[to].mux, c, m->unconsumed[to][0]);
	m->nunconsumed[to]--;
	memmove(m->unconsumed[to], m->unconsumed[to] + 1, m->nunconsumed[to] * sizeof(size_t));
}

static void
deliver_one(unsigned to)
{
	struct pipe_end *from = &ends[1 - to];
	struct lt_mux_event ev;
	struct lt_reader r;
	struct lt_slice s;
	struct lt_frame f;
	const char *why;

	if (from->wire.len == 0)
		return;
	lt_reader_init(&r, lt_buf_slice(&from->wire));
	s = lt_read_framed(&r);
	assert_int_equal(lt_frame_parse(s, &f), LT_OK);
	if (lt_mux_frame(&ends[to].mux, s, &ev, &why) != LT_OK)
		fail_msg("refused: %s", why);
	/* Credit that has been granted widens the window of the one who gets it, from its arrival on. */
	if (f.type == LT_FRAME_CREDIT)
		calls[(f.id - 1) / 2].in_window[1 - to] -= lt_load_u32(f.payload.data);
	switch (ev.type) {
	case LT_MUX_REQUEST:
		ev.call->user = &calls[(ev.id - 1) / 2];
		calls[(ev.id - 1) / 2].remote = ev.call;
		break;
	case LT_MUX_MESSAGE:
		got_message((ev.call->id - 1) / 2, to, &ev.message);
		break;
	case LT_MUX_END:
		((struct model *)ev.user)->ended = true;
		((struct model *)ev.user)->local = NULL;
		break;
	default:
		break;
	}
	memmove(from->wire.data, from->wire.data + 4 + s.len, from->wire.len - 4 - s.len);
	from->wire.len -= 4 + s.len;
}

/* One random thing. */
static void
step(void)
{
	unsigned n = rnd(CALLS), who = rnd(2);
	struct model *m = &calls[n];

	switch (rnd(8)) {
	case 0:
		if (n == 0 || calls[n - 1].opened) {
			if (!m->opened) {
				m->local = lt_mux_open(&ends[1].mux, lt_slice_str("head"), m);
				assert_int_equal(m->local->id, 2 * n + 1);
				m->opened = true;
			}
		}
		break;
	case 1:
		if (m->local != NULL && m->sent[0] < MESSAGES)
			send_message(n, 1);
		break;
	case 2:
		if (m->remote != NULL && m->sent[1] < MESSAGES)
			send_message(n, 0);
		else if (m->remote != NULL && m->got[0] == MESSAGES) {
			lt_mux_end(&ends[0].mux, m->remote, lt_slice("\x08\x00", 2), false);
			m->remote = NULL;
		}
		break;
	case 3:
		consume(n, who);
		break;
	case 4:
	case 5:
		write_one(who);
		break;
	default:
		deliver_one(who);
		break;
	}
}

/* Random interleavings: every message arrives whole, in order, once; no window is ever overrun; every call
 * ends; nothing is left. */
static void
interleavings(void **state)
{
	unsigned run, n, steps;
	bool done;

	(void)state;
	for (run = 0; run < 25; run++) {
		seed = 88172645463325252ull + run;
		memset(calls, 0, sizeof(calls));
		memset(ends, 0, sizeof(ends));
		lt_mux_init(&ends[0].mux, false);
		lt_mux_init(&ends[1].mux, true);
		for (steps = 0, done = false; !done; steps++) {
			step();
			if (steps % 256 != 0)
				continue;
			done = true;
			for (n = 0; n < CALLS; n++)
				done = done && calls[n].ended;
			if (steps > 3000000)
				fail_msg("seed %u does not come to an end", run);
		}
		for (n = 0; n < CALLS; n++) {
			assert_int_equal(calls[n].got[0], MESSAGES);
			assert_int_equal(calls[n].got[1], MESSAGES);
		}
		for (n = 0; n < 2; n++) {
			assert_int_equal(ends[n].mux.nlocal + ends[n].mux.nremote, 0);
			assert_int_equal(ends[n].mux.held, 0);
			assert_int_equal(ends[n].mux.queued, 0);
			assert_int_equal(ends[n].mux.err, LT_OK);
			lt_mux_fini(&ends[n].mux);
			lt_buf_fini(&ends[n].wire);
		}
	}
}

static int
frame_to(struct lt_mux *m, struct lt_mux_event *ev, uint8_t type, uint8_t flags, uint32_t id,
    const void *data, size_t len)
{
	uint8_t frame[LT_FRAME_MAX];
	const char *why;
	size_t n = lt_frame_build(frame, type, flags, id, lt_slice(data, len));

	return lt_mux_frame(m, lt_slice(frame, n), ev, &why);
}

static struct lt_mux_call *
open_remote(struct lt_mux *m, uint32_t id)
{
	struct lt_mux_event ev;

	assert_int_equal(frame_to(m, &ev, LT_FRAME_REQUEST, 0, id, "h", 1), LT_OK);
	assert_int_equal(ev.type, LT_MUX_REQUEST);
	ev.call->user = m;
	return ev.call;
}

/* The window to the byte: 65,536 are taken, one more is not; an unconsumed message keeps it shut. */
static void
window(void **state)
{
	static uint8_t big[16384];
	struct lt_mux_event ev;
	struct lt_mux m;
	int over, n;

	(void)state;
	for (over = 0; over < 2; over++) {
		lt_mux_init(&m, false);
		(void)open_remote(&m, 1);
		assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 1, 1, big, 10), LT_OK);
		assert_int_equal(ev.type, LT_MUX_MESSAGE);
		lt_buf_fini(&ev.message);
		for (n = 0; n < 3; n++)
			assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 0, 1, big, 16384), LT_OK);
		assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 0, 1, big, 16374 + (size_t)over),
		    over ? LT_E_INVALID : LT_OK);
		assert_false(lt_mux_has_frame(&m));
		lt_mux_fini(&m);
	}
}

/* A message of exactly the limit is taken, the next byte is not, and it is not stored. */
static void
message_limit(void **state)
{
	static uint8_t big[16384];
	struct lt_mux_event ev;
	struct lt_mux m;
	size_t n;

	(void)state;
	lt_mux_init(&m, false);
	(void)open_remote(&m, 1);
	for (n = 0; n < LT_MESSAGE_MAX / sizeof(big); n++) {
		assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 0, 1, big, sizeof(big)), LT_OK);
		assert_int_equal(ev.type, LT_MUX_NONE);
	}
	assert_int_equal(m.held, LT_MESSAGE_MAX);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 0, 1, big, 1), LT_OK);
	assert_int_equal(ev.type, LT_MUX_BAD);
	assert_int_equal(ev.rc, LT_E_TOOBIG);
	assert_int_equal(m.held, LT_MESSAGE_MAX);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 1, 1, big, 0), LT_OK);
	assert_int_equal(ev.type, LT_MUX_MESSAGE);
	assert_int_equal(ev.message.len, LT_MESSAGE_MAX);
	lt_buf_fini(&ev.message);
	lt_mux_fini(&m);
}

/* All calls of a peer together may have 8 MiB under way. */
static void
held_limit(void **state)
{
	static uint8_t big[16384];
	struct lt_mux_event ev;
	struct lt_mux m;
	uint32_t id;
	size_t n, total = 0;
	bool full = false;

	(void)state;
	lt_mux_init(&m, false);
	for (id = 1; id < 20; id += 2)
		(void)open_remote(&m, id);
	for (id = 1; id < 20 && !full; id += 2) {
		for (n = 0; n < LT_MESSAGE_MAX / sizeof(big) && !full; n++) {
			assert_int_equal(
			    frame_to(&m, &ev, LT_FRAME_DATA, 0, id, big, sizeof(big)), LT_OK);
			full = ev.type == LT_MUX_BAD;
			total += full ? 0 : sizeof(big);
		}
	}
	assert_true(full);
	assert_int_equal(ev.rc, LT_E_NOMEM);
	assert_int_equal(total, LT_MUX_HELD_MAX);
	/* Ending a call gives its memory back. */
	lt_mux_end(&m, ev.call, lt_slice(NULL, 0), true);
	assert_true(m.held <= LT_MUX_HELD_MAX);
	lt_mux_fini(&m);
}

/* The 65th call is refused, a slot comes back when END has been taken for writing or CANCEL came. */
static void
call_limit(void **state)
{
	uint8_t frame[LT_FRAME_MAX];
	struct lt_mux_call *c[64], *woke;
	struct lt_mux_event ev;
	struct lt_mux m;
	uint32_t i;
	bool all;

	(void)state;
	lt_mux_init(&m, false);
	for (i = 0; i < 64; i++)
		c[i] = open_remote(&m, 2 * i + 1);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_REQUEST, 0, 129, "h", 1), LT_OK);
	assert_int_equal(ev.type, LT_MUX_REFUSED);
	assert_int_equal(ev.id, 129);
	lt_mux_end(&m, c[5], lt_slice(NULL, 0), false);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_REQUEST, 0, 131, "h", 1), LT_OK);
	assert_int_equal(ev.type, LT_MUX_REFUSED);
	assert_int_equal(lt_mux_take(&m, frame, &woke, &all), 8);
	(void)open_remote(&m, 133);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_CANCEL, 0, 1, NULL, 0), LT_OK);
	assert_int_equal(ev.type, LT_MUX_CANCEL);
	(void)open_remote(&m, 135);
	/* Frames for a call that is over are nothing. */
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 3, 1, "x", 1), LT_OK);
	assert_int_equal(ev.type, LT_MUX_NONE);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_CANCEL, 0, 129, NULL, 0), LT_OK);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_CANCEL, 0, 137, NULL, 0), LT_E_INVALID);
	lt_mux_fini(&m);
}

/* A short call is written between the pieces of a long one. */
static void
takes_turns(void **state)
{
	uint8_t frame[LT_FRAME_MAX];
	struct lt_mux_call *bulk, *urgent, *woke;
	struct lt_buf big = { 0 }, small = { 0 };
	struct lt_mux m;
	struct lt_frame f;
	unsigned n;
	size_t len;
	bool all;

	(void)state;
	lt_mux_init(&m, true);
	bulk = lt_mux_open(&m, lt_slice_str("h"), &m);
	lt_buf_added(&big, (lt_buf_reserve(&big, 100000) != NULL) ? 100000 : 0);
	assert_int_equal(lt_mux_send(&m, bulk, &big, true), LT_OK);
	(void)lt_mux_take(&m, frame, &woke, &all); /* its REQUEST */
	(void)lt_mux_take(&m, frame, &woke, &all); /* one piece */
	urgent = lt_mux_open(&m, lt_slice_str("h"), &m);
	lt_buf_str(&small, "now");
	assert_int_equal(lt_mux_send(&m, urgent, &small, true), LT_OK);
	for (n = 0; n < 4; n++) {
		len = lt_mux_take(&m, frame, &woke, &all);
		assert_int_equal(lt_frame_parse(lt_slice(frame, len), &f), LT_OK);
		if (f.id == urgent->id && f.type == LT_FRAME_DATA)
			break;
	}
	assert_true(n < 4); /* at most one piece of bulk before each of its two frames */
	lt_mux_fini(&m);
}

/* Control frames that nobody reads stop at their bound. */
static void
control_limit(void **state)
{
	struct lt_mux_event ev;
	struct lt_mux m;
	int n;

	(void)state;
	lt_mux_init(&m, false);
	for (n = 0; n < 100000 && m.err == LT_OK; n++)
		assert_int_equal(frame_to(&m, &ev, LT_FRAME_PING, 0, 0, "12345678", 8), LT_OK);
	assert_int_equal(m.err, LT_E_TOOBIG);
	assert_true(m.control.len <= LT_MUX_CONTROL_MAX);
	lt_mux_fini(&m);
}

/* Cancelled before its REQUEST went out: the peer never hears of it; after: it hears once. */
static void
cancelling(void **state)
{
	uint8_t frame[LT_FRAME_MAX];
	struct lt_mux_call *c, *woke;
	struct lt_mux_event ev;
	struct lt_frame f;
	struct lt_mux m;
	size_t len;
	bool all;

	(void)state;
	lt_mux_init(&m, true);
	c = lt_mux_open(&m, lt_slice_str("h"), &m);
	lt_mux_cancel(&m, c);
	assert_false(lt_mux_has_frame(&m));
	c = lt_mux_open(&m, lt_slice_str("h"), &m);
	assert_int_equal(c->id, 3);
	(void)lt_mux_take(&m, frame, &woke, &all);
	lt_mux_cancel(&m, c);
	len = lt_mux_take(&m, frame, &woke, &all);
	assert_int_equal(lt_frame_parse(lt_slice(frame, len), &f), LT_OK);
	assert_int_equal(f.type, LT_FRAME_CANCEL);
	assert_int_equal(f.id, 3);
	/* An answer that was on the way is nothing; one to a number never used is an error. */
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_END, 0, 3, NULL, 0), LT_OK);
	assert_int_equal(ev.type, LT_MUX_NONE);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_END, 0, 5, NULL, 0), LT_E_INVALID);
	lt_mux_fini(&m);
}

/* Numbers are used once and then used up. */
static void
numbers_end(void **state)
{
	struct lt_mux_call *c;
	struct lt_mux m;

	(void)state;
	lt_mux_init(&m, true);
	m.next_id = UINT32_MAX - 2;
	c = lt_mux_open(&m, lt_slice_str("h"), &m);
	assert_int_equal(c->id, UINT32_MAX - 2);
	c = lt_mux_open(&m, lt_slice_str("h"), &m);
	assert_int_equal(c->id, UINT32_MAX);
	assert_null(lt_mux_open(&m, lt_slice_str("h"), &m));
	assert_int_equal(m.next_id, 0);
	lt_mux_fini(&m);
}

/* A local call whose REQUEST is out. */
static struct lt_mux_call *
open_local(struct lt_mux *m)
{
	struct lt_mux_call *c = lt_mux_open(m, lt_slice_str("h"), m), *woke;
	uint8_t frame[LT_FRAME_MAX];
	bool all;

	assert_int_equal(lt_mux_take(m, frame, &woke, &all), 8 + 1);
	return c;
}

/* A token is the next message's, the last of several; it goes nowhere else. */
static void
tokens_in(void **state)
{
	static const uint8_t t[LT_RESUME_TOKEN_MAX + 1] = { 1, 2, 3 };
	struct lt_mux_event ev;
	struct lt_mux m;

	(void)state;
	lt_mux_init(&m, true);
	(void)open_local(&m);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 1, t, LT_RESUME_TOKEN_MAX), LT_OK);
	assert_int_equal(ev.type, LT_MUX_NONE);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 1, t, 3), LT_OK);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 0, 1, "ab", 2), LT_OK);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 1, 1, "c", 1), LT_OK);
	assert_int_equal(ev.type, LT_MUX_MESSAGE);
	assert_int_equal(ev.message.len, 3);
	assert_int_equal(ev.token.len, 3);
	assert_memory_equal(ev.token.data, t, 3);
	assert_int_equal(m.held, 3 + 3 + LT_MUX_MESSAGE_COST);
	lt_mux_consumed(&m, ev.call, 3 + 3);
	assert_int_equal(m.held, 0);
	lt_buf_fini(&ev.message);
	lt_buf_fini(&ev.token);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 1, 1, "d", 1), LT_OK);
	assert_int_equal(ev.token.len, 0);
	lt_buf_fini(&ev.message);
	/* Of a call that is over: nothing. Of one that never was, without a call, of no length or too long: an error. */
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_END, 0, 1, NULL, 0), LT_OK);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 1, t, 3), LT_OK);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 3, t, 3), LT_E_INVALID);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 0, t, 3), LT_E_INVALID);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 1, t, 0), LT_E_INVALID);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 1, t, sizeof(t)), LT_E_INVALID);
	/* Within a message, and behind the last one. */
	(void)open_local(&m);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 0, 3, "a", 1), LT_OK);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 3, t, 3), LT_E_INVALID);
	(void)open_local(&m);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 2, 5, NULL, 0), LT_OK);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 5, t, 3), LT_E_INVALID);
	lt_mux_fini(&m);
	/* From the side that asks. */
	lt_mux_init(&m, false);
	(void)open_remote(&m, 1);
	assert_int_equal(frame_to(&m, &ev, LT_FRAME_TOKEN, 0, 1, t, 3), LT_E_INVALID);
	lt_mux_fini(&m);
}

/* The token goes before the first piece of its message, whatever other calls have to say, and without credit. */
static void
tokens_out(void **state)
{
	static const uint8_t types[] = { LT_FRAME_TOKEN, LT_FRAME_DATA, LT_FRAME_DATA,
		LT_FRAME_TOKEN, LT_FRAME_DATA, LT_FRAME_END };
	struct lt_buf big = { 0 }, empty = { 0 };
	struct lt_mux_call *c, *woke;
	uint8_t frame[LT_FRAME_MAX];
	struct lt_mux m;
	struct lt_frame f;
	size_t i, len;
	bool all;

	(void)state;
	lt_mux_init(&m, false);
	c = open_remote(&m, 1);
	lt_buf_added(&big, (lt_buf_reserve(&big, 20000) != NULL) ? 20000 : 0);
	assert_int_equal(lt_mux_send_token(&m, c, &big, 0, lt_slice_str("one")), LT_OK);
	assert_int_equal(lt_mux_send_token(&m, c, &empty, 0, lt_slice_str("two")), LT_OK);
	lt_mux_end(&m, c, lt_slice(NULL, 0), false);
	for (i = 0; i < sizeof(types); i++) {
		len = lt_mux_take(&m, frame, &woke, &all);
		assert_int_equal(lt_frame_parse(lt_slice(frame, len), &f), LT_OK);
		assert_int_equal(f.type, types[i]);
		if (f.type == LT_FRAME_TOKEN)
			assert_memory_equal(f.payload.data, i == 0 ? "one" : "two", 3);
	}
	assert_false(lt_mux_has_frame(&m));
	lt_mux_fini(&m);
}

/* Messages without bytes cost no credit; neither side keeps them without end. */
static void
empty_messages(void **state)
{
	uint8_t frame[LT_FRAME_MAX];
	struct lt_buf empty = { 0 };
	struct lt_mux_call *c, *woke;
	struct lt_mux_event ev;
	struct lt_mux m;
	size_t n;
	bool all;

	(void)state;
	lt_mux_init(&m, true);
	(void)open_local(&m);
	for (n = 0; n <= LT_MUX_HELD_MAX; n++) {
		assert_int_equal(frame_to(&m, &ev, LT_FRAME_DATA, 1, 1, NULL, 0), LT_OK);
		if (ev.type != LT_MUX_MESSAGE)
			break;
		lt_buf_fini(&ev.message);
	}
	assert_int_equal(ev.type, LT_MUX_BAD);
	assert_int_equal(ev.rc, LT_E_NOMEM);
	assert_int_equal(n, LT_MUX_HELD_MAX / LT_MUX_MESSAGE_COST);
	lt_mux_fini(&m);
	lt_mux_init(&m, false);
	c = open_remote(&m, 1);
	for (n = 0; lt_mux_writable(&m, c); n++)
		assert_int_equal(lt_mux_send(&m, c, &empty, false), LT_OK);
	assert_int_equal(n, LT_MUX_CALL_MESSAGES_MAX);
	assert_int_equal(lt_mux_take(&m, frame, &woke, &all), 8);
	assert_ptr_equal(woke, c);
	assert_true(lt_mux_writable(&m, c));
	lt_mux_fini(&m);
}

/* Random frames of valid shape: never more than an error. */
static void
random_frames(void **state)
{
	uint8_t payload[64] = { 0 };
	struct lt_mux_event ev;
	struct lt_mux m;
	unsigned run, n;

	(void)state;
	for (run = 0; run < 2000; run++) {
		seed = 1181783497276652981ull + run;
		lt_mux_init(&m, run % 2 == 0);
		if (run % 2 == 0)
			(void)lt_mux_open(&m, lt_slice_str("h"), &m);
		for (n = 0; n < 200; n++) {
			payload[0] = (uint8_t)rnd(256);
			if (frame_to(&m, &ev, (uint8_t)(1 + rnd(8)), (uint8_t)rnd(8), rnd(8),
				payload, rnd(3) * 4) != LT_OK)
				continue;
			if (ev.type == LT_MUX_REQUEST)
				ev.call->user = &m;
			if (ev.type == LT_MUX_MESSAGE)
				lt_buf_fini(&ev.message);
			if (ev.type == LT_MUX_MESSAGE && rnd(2) == 0)
				lt_mux_consumed(&m, ev.call, ev.message.len);
		}
		lt_mux_fini(&m);
		assert_int_equal(m.held, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interleavings),
		cmocka_unit_test(window),
		cmocka_unit_test(message_limit),
		cmocka_unit_test(held_limit),
		cmocka_unit_test(call_limit),
		cmocka_unit_test(takes_turns),
		cmocka_unit_test(control_limit),
		cmocka_unit_test(cancelling),
		cmocka_unit_test(numbers_end),
		cmocka_unit_test(tokens_in),
		cmocka_unit_test(tokens_out),
		cmocka_unit_test(empty_messages),
		cmocka_unit_test(random_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
