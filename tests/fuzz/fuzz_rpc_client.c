/* A client before a hub that says anything in any order.
 *
 * Input: steps: calls begun and cancelled, frames of any shape, statuses, time, slow and broken streams. Must hold: what the
 * client writes are frames; each call that began is told exactly one end, last, and items only before it; a unary answer is
 * of its type; in the end everything is given back.
 */
#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/rpc/conn_impl.h"
#include "proto/rpc/frame.h"
#include "proto/rpc/status_impl.h"
#include "tests/fuzz/lib/net.h"
#include "tests/fuzz/lib/rpc.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 200
#define CALLS_MAX 128
#define IN_MAX ((size_t)4 * 1024 * 1024)

struct asked {
	const ProtobufCMethodDescriptor *method;
	uint32_t id;
	unsigned items, ends;
};

static struct fuzz_end end;
static struct asked calls[CALLS_MAX];
static size_t ncalls;
static struct lt_conn *conn;
static unsigned done_told, closed_told;
static bool nested; /* callbacks begin calls, too */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	return 0;
}

/* ---- what is told ---- */

static void ask(unsigned what, uint32_t timeout_ms);

static void
on_item(void *ctx, const ProtobufCMessage *m)
{
	struct asked *a = ctx;

	FUZZ_MUST(a->ends == 0 && m != NULL && m->descriptor == a->method->output);
	a->items++;
}

static void
on_end(void *ctx, const struct lt_status *st)
{
	struct asked *a = ctx;

	FUZZ_MUST(a->ends == 0);
	FUZZ_MUST(memchr(st->message, 0, sizeof(st->message)) != NULL);
	FUZZ_MUST(lt_status_name((int)st->code) != NULL);
	a->ends++;
	if (nested)
		ask(3, 0);
}

static void
on_done(void *ctx, struct lt_conn *c, int rc, const char *why)
{
	(void)ctx;
	FUZZ_MUST((c != NULL) == (rc == LT_OK) && why != NULL);
	conn = c;
	done_told++;
}

static void
on_closed(void *ctx, int rc, const char *why)
{
	(void)ctx;
	(void)rc;
	FUZZ_MUST(why != NULL);
	closed_told++;
}

static void
ask(unsigned what, uint32_t timeout_ms)
{
	static const struct lt_call_ops ops = { on_item, on_end };
	const ProtobufCServiceDescriptor *const *all, *s;
	struct asked *a = &calls[ncalls];
	ProtobufCMessage *m;
	size_t n;

	if (conn == NULL || ncalls == CALLS_MAX)
		return;
	all = fuzz_services(&n);
	s = all[what % n];
	a->method = &s->methods[what / 8 % s->n_methods];
	m = calloc(1, a->method->input->sizeof_message);
	FUZZ_MUST(m != NULL);
	protobuf_c_message_init(a->method->input, m);
	ncalls++;
	if (lt_conn_call(conn, s, a->method->name, m, timeout_ms, &ops, a, &a->id) != LT_OK)
		a->ends = 1; /* nothing was started */
	free(m);
}

/* ---- what the hub does ---- */

static void
write_frame(uint8_t type, uint8_t flags, uint32_t id, struct lt_slice payload)
{
	static uint8_t frame[LT_FRAME_MAX];
	size_t n;

	if (payload.len > LT_FRAME_PAYLOAD_MAX)
		payload.len = LT_FRAME_PAYLOAD_MAX;
	if (end.in.len > IN_MAX)
		return;
	n = lt_frame_build(frame, type, flags, id, payload);
	lt_buf_u16(&end.in, (uint16_t)n);
	lt_buf_put(&end.in, frame, n);
}

static void
end_call(uint32_t id, unsigned code)
{
	struct lt_status st = { .code = (enum lt_status_code)(code % 17) };
	struct lt_buf b = { 0 };

	FUZZ_MUST(lt_status_pack(&st, &b) == LT_OK);
	write_frame(LT_FRAME_END, 0, id, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

static uint32_t
some_id(struct fuzz_in *in)
{
	unsigned n = fuzz_u8(in);

	return ncalls != 0 && n < 240 ? calls[n % ncalls].id : n - 240;
}

static void
check_written(void)
{
	struct lt_reader r;
	struct lt_slice frame;
	struct lt_frame f;

	lt_reader_init(&r, lt_buf_slice(&end.out));
	(void)lt_read_u32(&r); /* the magic */
	while (lt_reader_left(&r) >= 2) {
		frame = lt_read_bytes(&r, lt_read_u16(&r));
		if (r.err != LT_OK)
			break;
		FUZZ_MUST(lt_frame_parse(frame, &f) == LT_OK);
	}
}

static void
step(struct fuzz_in *in)
{
	unsigned op = fuzz_u8(in), type, flags;
	uint32_t id;

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		type = fuzz_u8(in);
		ask(type, (op & 32) != 0 ? fuzz_u16(in) : 0);
		break;
	case 3:
	case 4:
		id = some_id(in);
		write_frame(
		    LT_FRAME_DATA, (op & 32) != 0 ? (uint8_t)(op >> 6) : 1, id, fuzz_block(in));
		break;
	case 5:
		id = some_id(in);
		end_call(id, fuzz_u8(in));
		break;
	case 6:
		id = some_id(in);
		write_frame(LT_FRAME_END, 0, id, fuzz_block(in));
		break;
	case 7:
	case 8:
		type = fuzz_u8(in);
		flags = type >> 5;
		type &= 31;
		id = (op & 32) != 0 ? some_id(in) : fuzz_u8(in);
		write_frame((uint8_t)type, (uint8_t)flags, id, fuzz_block(in));
		break;
	case 9:
		if (end.in.len < IN_MAX)
			lt_buf_put_slice(&end.in, fuzz_bytes(in, fuzz_u8(in)));
		break;
	case 10:
		if (conn != NULL)
			lt_conn_cancel(conn, some_id(in));
		break;
	case 11:
		fuzz_clock_ms += (int64_t)fuzz_u16(in);
		break;
	case 12:
		end.piece = fuzz_u8(in);
		break;
	case 13:
		end.stalled = !end.stalled;
		break;
	case 14:
		end.eof = (op & 32) != 0;
		nested = (op & 64) != 0;
		break;
	default:
		return;
	}
	if ((op & 16) == 0)
		fuzz_net_run();
}

static void
finish(void)
{
	size_t i;

	nested = false;
	if (conn != NULL) {
		pthread_mutex_lock(&conn->mx);
		lt_conn_die(conn, LT_E_CLOSED, "closed here");
		pthread_mutex_unlock(&conn->mx);
		fuzz_net_run();
		FUZZ_MUST(conn->cl.finished);
		lt_conn_close(conn);
	}
	fuzz_net_run();
	FUZZ_MUST(done_told == 1 && closed_told == (conn != NULL));
	for (i = 0; i < ncalls; i++)
		FUZZ_MUST(calls[i].ends == 1);
	fuzz_net_check_idle();
	check_written();
	fuzz_end_fini(&end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_dial_options o = { .pool = fuzz_net_pool(),
		.clock = &fuzz_clock,
		.url = "ipc:///fuzz",
		.closed = on_closed };
	struct fuzz_in in;
	unsigned i;

	fuzz_reseed(1);
	fuzz_clock_ms = 1000;
	memset(&end, 0, sizeof(end));
	memset(calls, 0, sizeof(calls));
	ncalls = 0;
	conn = NULL;
	done_told = closed_told = 0;
	nested = false;
	fuzz_in_init(&in, data, size);
	FUZZ_MUST(lt_dial_async(&o, on_done, NULL) == LT_OK);
	FUZZ_MUST(fuzz_net_answer(&end, fuzz_u8(&in) == 255 ? NNG_ECONNREFUSED : 0));
	fuzz_net_run();
	for (i = 0; i < STEPS_MAX && fuzz_left(&in) != 0; i++)
		step(&in);
	finish();
	return 0;
}
