/* Frames alone, and in and out of two multiplexers that are joined.
 *
 * Input: steps: open a call, send, consume, end, cancel, move frames, credit, and frames of a stranger in any order. Must
 * hold: what parses is what builds it; bounds on memory are kept; as long as no stranger spoke, every message arrives
 * whole and in order.
 */
#include "proto/rpc/mux.h"
#include "tests/fuzz/lib/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 512
#define TAG_LEN 8 /* call number and place, in front of each message of ours */

/* One call as its owner on one side sees it. */
struct owner {
	struct owner *next;
	struct lt_mux_call *mc; /* NULL: over */
	bool local, tx_done;
	uint32_t id, sent, got;
	size_t pending[64]; /* messages not consumed */
	size_t npending;
};

struct side {
	struct lt_mux mux;
	struct owner *owners;
	bool dead;
};

static bool strange; /* a stranger's frames came */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	return 0;
}

static struct owner *
own(struct side *s, struct lt_mux_call *mc, bool local)
{
	struct owner *o = calloc(1, sizeof(*o));

	FUZZ_MUST(o != NULL);
	o->mc = mc;
	o->local = local;
	o->next = s->owners;
	s->owners = o;
	if (mc != NULL) {
		mc->user = o;
		o->id = mc->id;
	}
	return o;
}

static struct owner *
pick(struct side *s, unsigned n)
{
	struct owner *o;

	for (o = s->owners; o != NULL; o = o->next)
		if (o->mc != NULL && n-- == 0)
			return o;
	return NULL;
}

static void
give_up(struct side *s, struct owner *o)
{
	if (o->local)
		lt_mux_cancel(&s->mux, o->mc);
	else
		lt_mux_end(&s->mux, o->mc, lt_slice_str("\x08\x0a"), true);
	o->mc = NULL;
}

static void
on_message(struct side *s, struct lt_mux_event *ev)
{
	struct owner *o = ev->call->user;

	if (!strange) {
		FUZZ_MUST(ev->message.len >= TAG_LEN);
		FUZZ_MUST(lt_load_u32(ev->message.data) == o->id);
		FUZZ_MUST(lt_load_u32(ev->message.data + 4) == o->got);
	}
	FUZZ_MUST(ev->message.len <= LT_MESSAGE_MAX);
	o->got++;
	if (o->npending < 64)
		o->pending[o->npending++] = ev->message.len + ev->token.len;
	else
		lt_mux_consumed(&s->mux, o->mc, ev->message.len + ev->token.len);
	lt_buf_fini(&ev->message);
	lt_buf_fini(&ev->token);
}

static void
event(struct side *s, struct lt_mux_event *ev)
{
	switch (ev->type) {
	case LT_MUX_REQUEST:
		(void)own(s, ev->call, false);
		break;
	case LT_MUX_REFUSED:
		lt_mux_refuse(&s->mux, ev->id, lt_slice_str("\x08\x08"));
		break;
	case LT_MUX_MESSAGE:
		on_message(s, ev);
		break;
	case LT_MUX_BAD:
		FUZZ_MUST(strange || ev->rc == LT_E_NOMEM);
		give_up(s, ev->call->user);
		break;
	case LT_MUX_END:
	case LT_MUX_CANCEL:
		((struct owner *)ev->user)->mc = NULL;
		break;
	default:
		break;
	}
}

static void
bounds(const struct side *s)
{
	FUZZ_MUST(s->mux.held <= LT_MUX_HELD_MAX);
	FUZZ_MUST(s->mux.control.len - s->mux.control_off <= LT_MUX_CONTROL_MAX);
	FUZZ_MUST(s->mux.nremote <= LT_MUX_CALLS_MAX && s->mux.nlocal <= LT_MUX_LOCAL_MAX);
}

static void
frame_to(struct side *s, struct lt_slice frame)
{
	struct lt_mux_event ev;
	const char *why = NULL;
	uint8_t *copy = fuzz_copy(frame);
	int rc;

	if (s->dead) {
		free(copy);
		return;
	}
	rc = lt_mux_frame(&s->mux, lt_slice(copy, frame.len), &ev, &why);
	FUZZ_MUST(why != NULL && (rc == LT_OK || why[0] != '\0'));
	FUZZ_MUST(strange || rc == LT_OK);
	if (rc == LT_OK)
		event(s, &ev);
	else
		s->dead = true;
	if (s->mux.err != LT_OK)
		s->dead = true;
	bounds(s);
	free(copy);
}

static void
move_frames(struct side *from, struct side *to, unsigned n)
{
	static uint8_t frame[LT_FRAME_MAX];
	struct lt_mux_call *woke;
	bool all;
	size_t len;

	while (
	    n-- != 0 && !from->dead && (len = lt_mux_take(&from->mux, frame, &woke, &all)) != 0) {
		FUZZ_MUST(len >= LT_FRAME_HEAD_LEN && len <= LT_FRAME_MAX);
		frame_to(to, lt_slice(frame, len));
	}
}

static void
send_message(struct side *s, struct owner *o, struct fuzz_in *in)
{
	struct lt_buf b = { 0 };
	unsigned what = fuzz_u8(in);
	size_t len = TAG_LEN + (what & 1 ? fuzz_u16(in) : fuzz_u8(in));
	uint8_t *p;

	if (o->tx_done || s->mux.queued >= LT_MUX_QUEUED_MAX || !lt_mux_writable(&s->mux, o->mc))
		return;
	p = lt_buf_reserve(&b, len);
	FUZZ_MUST(p != NULL);
	memset(p, 'x', len);
	lt_store_u32(p, o->id);
	lt_store_u32(p + 4, o->sent++);
	lt_buf_added(&b, len);
	o->tx_done = (what & 2) != 0;
	(void)lt_mux_send(&s->mux, o->mc, &b, o->tx_done);
}

static void
consume(struct side *s, struct owner *o)
{
	if (o->npending == 0)
		return;
	lt_mux_consumed(&s->mux, o->mc, o->pending[0]);
	o->npending--;
	memmove(o->pending, o->pending + 1, o->npending * sizeof(o->pending[0]));
}

static void
stranger(struct side *s, struct fuzz_in *in, bool shaped)
{
	static uint8_t frame[LT_FRAME_MAX];
	struct lt_slice raw;
	uint8_t type, flags;
	uint32_t id;

	strange = true;
	if (!shaped) {
		raw = fuzz_bytes(in, fuzz_u8(in));
		frame_to(s, raw);
		return;
	}
	type = fuzz_u8(in);
	flags = type >> 5;
	type &= 31;
	id = fuzz_u8(in);
	raw = fuzz_block(in);
	if (raw.len > LT_FRAME_PAYLOAD_MAX)
		raw.len = LT_FRAME_PAYLOAD_MAX;
	frame_to(s, lt_slice(frame, lt_frame_build(frame, type, flags, id, raw)));
}

static void
step(struct side *side, struct fuzz_in *in)
{
	unsigned op = fuzz_u8(in);
	struct side *s = &side[op & 1], *other = &side[1 - (op & 1)];
	struct owner *o = pick(s, op >> 5);
	struct lt_mux_call *mc;

	if (s->dead)
		return;
	switch (op >> 1 & 15) {
	case 0:
		mc = lt_mux_open(&s->mux, lt_slice_str("head"), s);
		if (mc != NULL)
			(void)own(s, mc, true);
		break;
	case 1:
	case 2:
	case 3:
		if (o != NULL)
			send_message(s, o, in);
		break;
	case 4:
	case 5:
		if (o != NULL)
			consume(s, o);
		break;
	case 6:
		if (o != NULL)
			give_up(s, o);
		break;
	case 7:
		if (o != NULL && !o->local) {
			lt_mux_end(&s->mux, o->mc, lt_slice_str(""), (op & 32) != 0);
			o->mc = NULL;
		}
		break;
	case 8:
		lt_mux_ping(&s->mux, fuzz_u8(in));
		break;
	case 9:
		lt_mux_goaway(&s->mux, fuzz_bytes(in, fuzz_u8(in)));
		break;
	case 10:
	case 11:
		stranger(s, in, (op >> 1 & 15) == 10);
		break;
	case 12:
		move_frames(s, other, fuzz_u8(in));
		break;
	default:
		move_frames(s, other, 1);
		break;
	}
	if (s->mux.err != LT_OK)
		s->dead = true;
}

static void
frame_alone(const uint8_t *data, size_t size)
{
	static uint8_t again[LT_FRAME_MAX];
	struct lt_frame f;
	size_t n;

	if (lt_frame_parse(lt_slice(data, size), &f) != LT_OK)
		return;
	FUZZ_MUST(f.payload.len <= LT_FRAME_PAYLOAD_MAX);
	n = lt_frame_build(again, f.type, f.flags, f.id, f.payload);
	FUZZ_MUST(n == size);
	if (f.type < LT_FRAME_IGNORED_MIN)
		FUZZ_MUST(memcmp(again, data, n) == 0);
}

static void
end_side(struct side *s)
{
	struct owner *o;

	lt_mux_fini(&s->mux);
	while ((o = s->owners) != NULL) {
		s->owners = o->next;
		free(o);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct side side[2] = { 0 };
	struct fuzz_in in;
	unsigned i;

	frame_alone(data, size);
	strange = false;
	lt_mux_init(&side[0].mux, true);
	lt_mux_init(&side[1].mux, false);
	fuzz_in_init(&in, data, size);
	for (i = 0; i < STEPS_MAX && fuzz_left(&in) != 0; i++)
		step(side, &in);
	for (i = 0; i < 8 && !side[0].dead && !side[1].dead; i++) {
		move_frames(&side[0], &side[1], UINT32_MAX);
		move_frames(&side[1], &side[0], UINT32_MAX);
	}
	FUZZ_MUST(strange || (!side[0].dead && !side[1].dead) || side[0].mux.err != LT_OK ||
		  side[1].mux.err != LT_OK);
	end_side(&side[0]);
	end_side(&side[1]);
	return 0;
}
