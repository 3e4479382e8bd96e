/* Frames in every order: each sequence of up to five frames out of those that a peer may send, to either side of a connection with a
 * call of its own and one of the peer's. What must come of it is worked out by a few rules of FORMAT.md 6.3, 6.4 and 6.10
 * beside it; nothing that the peer made us hold is left when the connection is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/mux.h"

#define DEPTH 5

/* The call of ours is number 1 where we dialed, 2 where we did not; the peer's is the other one. */
enum whose { OURS, THEIRS, NEITHER };

static const struct kind {
	const char *name;
	uint8_t type, flags;
	enum whose whose;
	const char *payload;
	size_t len;
} kinds[] = {
	{ "request", LT_FRAME_REQUEST, 0, THEIRS, "h", 1 },
	{ "piece to theirs", LT_FRAME_DATA, 0, THEIRS, "p", 1 },
	{ "last to theirs", LT_FRAME_DATA, LT_DATA_LAST_PIECE | LT_DATA_NO_MORE, THEIRS, "l", 1 },
	{ "cancel theirs", LT_FRAME_CANCEL, 0, THEIRS, "", 0 },
	{ "token to theirs", LT_FRAME_TOKEN, 0, THEIRS, "t", 1 },
	{ "end of theirs", LT_FRAME_END, 0, THEIRS, "", 0 },
	{ "piece to ours", LT_FRAME_DATA, 0, OURS, "p", 1 },
	{ "zstd piece to ours", LT_FRAME_DATA, LT_DATA_ZSTD, OURS, "z", 1 },
	{ "last to ours", LT_FRAME_DATA, LT_DATA_LAST_PIECE, OURS, "l", 1 },
	{ "no more to ours", LT_FRAME_DATA, LT_DATA_NO_MORE, OURS, "", 0 },
	{ "token to ours", LT_FRAME_TOKEN, 0, OURS, "t", 1 },
	{ "end of ours", LT_FRAME_END, 0, OURS, "", 0 },
	{ "cancel ours", LT_FRAME_CANCEL, 0, OURS, "", 0 },
	{ "credit to ours", LT_FRAME_CREDIT, 0, OURS, "\0\0\0\1", 4 },
	{ "too much credit", LT_FRAME_CREDIT, 0, OURS, "\x7f\xff\xff\xff", 4 },
	{ "goaway", LT_FRAME_GOAWAY, 0, NEITHER, "\0\0\0\0", 4 },
	{ "ping", LT_FRAME_PING, 0, NEITHER, "12345678", 8 },
	{ "encodings", LT_FRAME_ENCODINGS, 0, NEITHER, "\0\0\0\1", 4 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* What is known of one call by the rules alone. */
struct known {
	bool used, open; /* its number, and it */
	bool inside; /* a message has begun */
	bool zstd; /* that message is compressed */
	bool no_more;
	size_t held; /* bytes of that message */
};

static bool
data_allowed(struct known *k, const struct kind *f)
{
	bool last = (f->flags & LT_DATA_LAST_PIECE) != 0, zstd = (f->flags & LT_DATA_ZSTD) != 0;
	bool no_more = (f->flags & LT_DATA_NO_MORE) != 0;

	if (k->no_more || (no_more && !last && (k->inside || f->len != 0)))
		return false;
	if (k->inside && f->len != 0 && zstd != k->zstd)
		return false;
	k->zstd = zstd;
	k->inside = !last && (k->inside || f->len != 0);
	k->no_more = no_more;
	k->held = last ? 0 : k->held + f->len;
	return true;
}

/* May this frame come now? If so, what is known afterwards. */
static bool
allowed(struct known k[2], const struct kind *f)
{
	struct known *c = &k[f->whose == THEIRS];

	if (f->whose == NEITHER)
		return true;
	if (f->type == LT_FRAME_REQUEST) {
		if (c->used)
			return false;
		c->used = c->open = true;
		return true;
	}
	if (!c->used)
		return false; /* nobody has opened it */
	if (!c->open)
		return true; /* it is over: crossed on the way */
	switch (f->type) {
	case LT_FRAME_DATA:
		return data_allowed(c, f);
	case LT_FRAME_TOKEN:
		return f->whose == OURS && !c->inside && !c->no_more;
	case LT_FRAME_END:
		c->open = false;
		return f->whose == OURS;
	case LT_FRAME_CANCEL:
		c->open = false;
		return f->whose == THEIRS;
	default: /* credit: 65,536 are there, 2^31 - 1 is the most there may be */
		return f->len == 4 && f->payload[0] == 0;
	}
}

/* The owner's part: take what comes, as the server and the client do. */
static void
serve(struct lt_mux *m, struct lt_mux_event *ev)
{
	size_t len = ev->message.len + ev->token.len;

	if (ev->type == LT_MUX_REQUEST)
		ev->call->user = m;
	if (ev->type == LT_MUX_REFUSED)
		lt_mux_refuse(m, ev->id, lt_slice(NULL, 0));
	if (ev->type == LT_MUX_MESSAGE) {
		lt_buf_fini(&ev->message);
		lt_buf_fini(&ev->token);
		lt_mux_consumed(m, ev->call, len);
	}
}

/* One sequence. Returns how many frames were taken before one was not, or all. */
static unsigned
play(const unsigned *at, unsigned n, bool initiator)
{
	struct known k[2] = { { .used = true, .open = true }, { 0 } };
	uint8_t frame[LT_FRAME_MAX];
	struct lt_mux_call *woke;
	struct lt_mux_event ev;
	struct lt_mux m;
	const char *why;
	unsigned i;
	size_t len;
	bool all, ok = true;

	lt_mux_init(&m, initiator);
	assert_non_null(lt_mux_open(&m, lt_slice_str("h"), &m));
	assert_true(lt_mux_take(&m, frame, &woke, &all) != 0);
	for (i = 0; i < n && ok; i++) {
		const struct kind *f = &kinds[at[i]];
		uint32_t ours = initiator ? 1 : 2;
		uint32_t id = f->whose == NEITHER ? 0 : f->whose == OURS ? ours : 3 - ours;

		len = lt_frame_build(frame, f->type, f->flags, id, lt_slice(f->payload, f->len));
		ok = lt_mux_frame(&m, lt_slice(frame, len), &ev, &why) == LT_OK;
		if (ok != allowed(k, f))
			fail_msg("%s as number %u is %s (%s)", f->name, i + 1,
			    ok ? "taken" : "not taken", why);
		if (ok)
			serve(&m, &ev);
	}
	assert_int_equal(m.err, LT_OK);
	if (ok) {
		assert_int_equal(m.nlocal, k[0].open);
		assert_int_equal(m.nremote, k[1].open);
		assert_int_equal(m.held, (k[0].open ? k[0].held : 0) + (k[1].open ? k[1].held : 0));
	}
	lt_mux_fini(&m);
	assert_int_equal(m.held + m.queued + m.nlocal + m.nremote, 0);
	return i - !ok;
}

static void
every_order(void **state)
{
	unsigned at[DEPTH], d, side, taken;
	unsigned long played = 0;

	(void)state;
	for (side = 0; side < 2; side++) {
		memset(at, 0, sizeof(at));
		for (;;) {
			taken = play(at, DEPTH, side == 1);
			played++;
			/* All that begins with a frame that was not taken ends there. */
			d = taken < DEPTH ? taken : DEPTH - 1;
			while (++at[d] == KINDS && d > 0)
				at[d--] = 0;
			if (at[0] == KINDS)
				break;
			memset(at + d + 1, 0, (DEPTH - 1 - d) * sizeof(at[0]));
		}
	}
	print_message("%lu sequences\n", played);
	assert_true(played > 100000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_order) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
