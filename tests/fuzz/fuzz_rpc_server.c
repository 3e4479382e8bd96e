/* A server as it stands in both daemons, with every service of the schema, before peers who say anything in any order.
 *
 * Input: steps: connections, frames of any shape, whole requests, time, slow and broken streams; handlers answer at once, later,
 * never, with failures and with streams. Must hold: what the server writes are frames; a call has at most one end and nothing
 * behind it; no more data than credit; in the end every call and connection is given back.
 */
#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/rpc/frame.h"
#include "proto/rpc/methods.h"
#include "proto/rpc/server_impl.h"
#include "tests/fuzz/lib/net.h"
#include "tests/fuzz/lib/rpc.h"

#include "lienthong/v1/rpc.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 200
#define PEERS_MAX 4
#define CALLS_MAX 512 /* of one peer that are followed */
#define HELD_MAX 64
#define STREAMS_MAX 256 /* two for each open call, as the limits have it */
#define IN_MAX ((size_t)4 * 1024 * 1024)

/* A call as its peer sees it. */
struct seen {
	uint32_t id;
	bool ended;
	uint64_t credit; /* granted by us */
	uint64_t data; /* came */
};

struct peer {
	struct fuzz_end end;
	bool used, wild; /* wild: bytes that are no frames of ours were sent */
	uint32_t next_id;
	size_t ncall;
	struct seen call[CALLS_MAX];
};

static struct peer peers[PEERS_MAX];
static struct lt_server *server;
static ProtobufCService services[16];
static struct {
	struct lt_call *call;
	ProtobufCClosure closure;
	const ProtobufCMessageDescriptor *output;
} held[HELD_MAX];
static size_t nheld;
static unsigned answers; /* how handlers answer: taken two bits at a time */
static unsigned nstreams;
static uint8_t item_bytes[40000];

/* ---- handlers ---- */

struct items {
	struct lt_call *call;
	unsigned left;
	size_t bytes; /* of an item that can hold some */
	const ProtobufCMessageDescriptor *output;
};

static struct items *streams[STREAMS_MAX];

static ProtobufCMessage *
empty_message(const ProtobufCMessageDescriptor *d)
{
	ProtobufCMessage *m = calloc(1, d->sizeof_message);

	FUZZ_MUST(m != NULL);
	protobuf_c_message_init(d, m);
	return m;
}

static void
stream_ready(struct lt_call *c, void *ctx)
{
	struct items *it = ctx;
	struct lt_status st = { 0 };
	ProtobufCMessage *m = empty_message(it->output);
	int rc = LT_OK;

	if (it->output == &ltpb__pull_item__descriptor) {
		((Ltpb__PullItem *)m)->item_case = LTPB__PULL_ITEM__ITEM_CHANGE_SET;
		((Ltpb__PullItem *)m)->change_set.data = item_bytes;
		((Ltpb__PullItem *)m)->change_set.len = it->bytes;
	}
	while (it->left != 0 && rc == LT_OK) {
		rc = lt_call_send(c, m);
		it->left -= rc == LT_OK;
	}
	free(m);
	if (it->left == 0 && it->output != NULL) {
		it->left = 1;
		lt_call_stream_end(c, &st);
	}
}

static void
stream_closed(void *ctx)
{
	unsigned i;

	for (i = 0; streams[i] != ctx; i++)
		FUZZ_MUST(i + 1 < nstreams);
	streams[i] = streams[--nstreams];
	free(ctx);
}

static void
begin_stream(struct lt_call *call, const ProtobufCMessageDescriptor *output)
{
	static const struct lt_stream_ops ops = { stream_ready, stream_closed };
	struct items *it = calloc(1, sizeof(*it));

	FUZZ_MUST(it != NULL);
	it->call = call;
	it->left = answers % 97;
	it->bytes = (answers >> 8) % (2 * sizeof(item_bytes)) / 2;
	it->output = output;
	FUZZ_MUST(nstreams < STREAMS_MAX);
	streams[nstreams++] = it;
	lt_call_stream(call, &ops, it);
}

static void
invoke(ProtobufCService *s, unsigned index, const ProtobufCMessage *in, ProtobufCClosure closure,
    void *data)
{
	const ProtobufCMethodDescriptor *md = &s->descriptor->methods[index];
	struct lt_call *call = lt_call_of(data);
	ProtobufCMessage *m;
	unsigned how = answers & 3;
	char name[128];

	answers = answers >> 2 | how << 30;
	FUZZ_MUST(in->descriptor == md->input);
	FUZZ_MUST(strlen(lt_call_request_id(call)) <= LT_REQUEST_ID_MAX);
	(void)lt_call_metadata(call, "k");
	(void)snprintf(name, sizeof(name), "/%s/%s", s->descriptor->name, md->name);
	if (lt_server_method(server, name)->server_streaming && how != 1) {
		begin_stream(call, md->output);
	} else if (how == 1) {
		lt_call_failf(call, LT_STATUS_NOT_FOUND, "NOT_FOUND", "not \"%s\"", name);
	} else if (how == 2 && nheld < HELD_MAX) {
		held[nheld].call = call;
		held[nheld].output = md->output;
		held[nheld++].closure = closure;
	} else {
		m = empty_message(md->output);
		closure(how == 3 ? m : NULL, data);
		free(m);
	}
}

static void
answer_held(size_t i, bool fail)
{
	ProtobufCMessage *m = empty_message(held[i].output);
	struct lt_status st = { .code = LT_STATUS_ABORTED };

	if (fail)
		lt_call_fail(held[i].call, &st);
	else
		held[i].closure(m, held[i].call);
	free(m);
	held[i] = held[--nheld];
}

static void
authorize(
    void *ctx, const struct lt_peer *peer, const struct lt_method *method, struct lt_status *st)
{
	(void)ctx;
	(void)peer;
	if ((answers & 0x300) == 0x300)
		lt_status_set(
		    st, LT_STATUS_PERMISSION_DENIED, "NO_RIGHT", "not \"%s\"", method->name);
}

static void
start(void)
{
	struct lt_server_options o = { .pool = fuzz_net_pool(),
		.clock = &fuzz_clock,
		.methods = lt_methods,
		.nmethods = lt_nmethods,
		.authorize = authorize,
		.conns_max = PEERS_MAX,
		.conns_per_address_max = PEERS_MAX - 1,
		.calls_max = 100 };
	const ProtobufCServiceDescriptor *const *all;
	struct lt_err err = { "" };
	size_t i, n;

	FUZZ_MUST(lt_server_new(&o, &server, &err) == LT_OK);
	all = fuzz_services(&n);
	FUZZ_MUST(n <= sizeof(services) / sizeof(services[0]));
	for (i = 0; i < n; i++) {
		services[i].descriptor = all[i];
		services[i].invoke = invoke;
		FUZZ_MUST(lt_server_add(server, &services[i], &err) == LT_OK);
	}
	FUZZ_MUST(lt_server_listen(server, "ipc:///fuzz", &err) == LT_OK);
}

/* ---- what the server writes ---- */

static struct seen *
seen_call(struct peer *p, uint32_t id)
{
	size_t i;

	for (i = p->ncall; i > 0; i--)
		if (p->call[i - 1].id == id)
			return &p->call[i - 1];
	return NULL;
}

static void
check_answer(struct peer *p, const struct lt_frame *f)
{
	struct seen *c = f->id == 0 ? NULL : seen_call(p, f->id);

	FUZZ_MUST(f->type != LT_FRAME_REQUEST && f->type != LT_FRAME_CANCEL);
	if (f->id == 0 || p->wild)
		return;
	FUZZ_MUST(c != NULL && !c->ended);
	if (f->type == LT_FRAME_DATA) {
		c->data += f->payload.len;
		FUZZ_MUST(c->data <= 65536 + c->credit);
	}
	c->ended = f->type == LT_FRAME_END;
}

static void
read_answers(struct peer *p)
{
	struct lt_reader r;
	struct lt_slice frame;
	struct lt_frame f;
	size_t used = 0;

	lt_reader_init(&r, lt_buf_slice(&p->end.out));
	while (lt_reader_left(&r) >= 2) {
		frame = lt_read_bytes(&r, lt_read_u16(&r));
		if (r.err != LT_OK)
			break;
		FUZZ_MUST(lt_frame_parse(frame, &f) == LT_OK);
		check_answer(p, &f);
		used += 2 + frame.len;
	}
	if (used != 0) {
		memmove(p->end.out.data, p->end.out.data + used, p->end.out.len - used);
		p->end.out.len -= used;
	}
}

static void
run(void)
{
	size_t i;

	fuzz_net_run();
	for (i = 0; i < PEERS_MAX; i++)
		if (peers[i].used)
			read_answers(&peers[i]);
	for (i = 0; i < LT_WORK_CLASSES; i++)
		FUZZ_MUST(server->nwork[i] <= 100 + 1);
	FUZZ_MUST(server->nstreams <= PEERS_MAX + 100 + 100);
}

/* ---- what peers do ---- */

static void
write_frame(struct peer *p, uint8_t type, uint8_t flags, uint32_t id, struct lt_slice payload)
{
	static uint8_t frame[LT_FRAME_MAX];
	struct seen *c;
	size_t n;

	if (payload.len > LT_FRAME_PAYLOAD_MAX)
		payload.len = LT_FRAME_PAYLOAD_MAX;
	if (p->end.in.len > IN_MAX)
		return;
	n = lt_frame_build(frame, type, flags, id, payload);
	lt_buf_u16(&p->end.in, (uint16_t)n);
	lt_buf_put(&p->end.in, frame, n);
	c = seen_call(p, id);
	if (type == LT_FRAME_REQUEST && c == NULL) {
		if (p->ncall < CALLS_MAX)
			p->call[p->ncall++] = (struct seen){ .id = id };
		else
			p->wild = true;
	}
	if (type == LT_FRAME_CREDIT && payload.len == 4 && c != NULL)
		c->credit += lt_load_u32(payload.data);
}

static void
request(struct peer *p, struct fuzz_in *in)
{
	Ltpb__RequestHead head = LTPB__REQUEST_HEAD__INIT;
	Ltpb__Metadata pair = LTPB__METADATA__INIT, *pairs[20];
	struct lt_buf b = { 0 };
	unsigned what = fuzz_u8(in), i;
	uint32_t id = p->next_id;

	p->next_id += 2;
	head.method = (char *)(uintptr_t)lt_methods[fuzz_u8(in) % lt_nmethods].name;
	head.timeout_ms = (what & 1) != 0 ? fuzz_u16(in) : 0;
	head.request_id = (char *)(uintptr_t)((what & 2) != 0 ? "id-1" : "");
	head.accept_encoding = what >> 7;
	pair.key = (char *)(uintptr_t) "k";
	pair.value = (char *)(uintptr_t) "v";
	for (i = 0; i < 20; i++)
		pairs[i] = &pair;
	head.metadata = pairs;
	head.n_metadata = (what & 4) != 0 ? what >> 3 & 31 : 0;
	if (head.n_metadata > 20)
		head.n_metadata = 20;
	FUZZ_MUST(lt_wire_pack(&head.base, LT_FRAME_PAYLOAD_MAX, &b) == LT_OK);
	write_frame(p, LT_FRAME_REQUEST, 0, id, lt_buf_slice(&b));
	lt_buf_fini(&b);
	if ((what & 64) == 0)
		write_frame(
		    p, LT_FRAME_DATA, LT_DATA_LAST_PIECE | LT_DATA_NO_MORE, id, fuzz_block(in));
}

static void
connect_peer(struct peer *p)
{
	if (p->used) {
		p->end.eof = true;
		return;
	}
	if (!fuzz_net_connect(&p->end))
		return;
	p->used = true;
	p->next_id = 1;
	lt_buf_str(&p->end.in, "LTL1");
}

static void
step(struct fuzz_in *in)
{
	unsigned op = fuzz_u8(in);
	struct peer *p = &peers[op >> 6];
	unsigned type, flags;
	uint32_t id;

	if (!p->used && (op & 15) != 0 && (op & 15) < 11)
		p = &peers[0];
	if (!p->used && (op & 15) < 11) {
		connect_peer(p);
		return;
	}
	switch (op & 15) {
	case 0:
		connect_peer(p);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		request(p, in);
		break;
	case 5:
	case 6:
		type = fuzz_u8(in);
		flags = type >> 5;
		type &= 31;
		id = fuzz_u8(in);
		write_frame(p, (uint8_t)type, (uint8_t)flags, id, fuzz_block(in));
		break;
	case 7:
		p->wild = true;
		if (p->end.in.len < IN_MAX)
			lt_buf_put_slice(&p->end.in, fuzz_bytes(in, fuzz_u8(in)));
		break;
	case 8:
		p->end.piece = fuzz_u8(in);
		break;
	case 9:
		p->end.stalled = !p->end.stalled;
		break;
	case 10:
		answers = fuzz_u32(in);
		break;
	case 11:
	case 12:
		fuzz_clock_ms += (int64_t)fuzz_u16(in);
		break;
	case 13:
		if (nheld != 0)
			answer_held(fuzz_u8(in) % nheld, (op & 32) != 0);
		else if (nstreams != 0)
			lt_call_kick(streams[fuzz_u8(in) % nstreams]->call);
		break;
	default:
		return; /* the next step comes before anything has happened */
	}
	if ((op & 16) == 0)
		run();
}

static void
finish(void)
{
	size_t i;

	for (i = 0; i < PEERS_MAX; i++) {
		peers[i].end.eof = true;
		peers[i].end.stalled = false;
	}
	run();
	while (nheld != 0)
		answer_held(nheld - 1, false);
	run();
	/* A stream that nobody closed is cut by the clock. */
	for (i = 0; i < 4 && (server->conns != NULL || server->ncalls != 0); i++) {
		fuzz_clock_ms += 10 * 60 * 1000;
		run();
		while (nheld != 0)
			answer_held(nheld - 1, false);
	}
	FUZZ_MUST(server->conns == NULL && server->ncalls == 0 && nstreams == 0);
	lt_server_stop(server, 0);
	fuzz_net_run();
	fuzz_net_check_idle();
	for (i = 0; i < PEERS_MAX; i++)
		fuzz_end_fini(&peers[i].end);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in;
	unsigned i;

	fuzz_reseed(1);
	fuzz_clock_ms = 1000;
	answers = 0;
	memset(peers, 0, sizeof(peers));
	start();
	fuzz_in_init(&in, data, size);
	for (i = 0; i < STEPS_MAX && fuzz_left(&in) != 0; i++)
		step(&in);
	finish();
	return 0;
}
