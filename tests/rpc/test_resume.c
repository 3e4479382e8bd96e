/* Streams that go on where they were cut: no item is lost and none comes twice, wherever the line breaks and whoever comes back; and
 * a token holds for nobody and nothing else than what it was given for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/base/wire.h"
#include "proto/rpc/conn_impl.h"
#include "proto/rpc/resume.h"
#include "tests/lib/proxy.h"
#include "tests/rpc/fixture.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <sodium.h>

#define ECHO &lttest__echo__descriptor
#define ITEMS_MAX 64
#define WAIT_MS 20000

/* Who reads: what was told, in order, and the token behind each. */
struct reader {
	struct fx *fx;
	struct proxy *proxy; /* NULL: straight to the server */
	char url[64];
	_Atomic unsigned n;
	uint32_t number[ITEMS_MAX];
	size_t token_len[ITEMS_MAX];
	uint8_t token[ITEMS_MAX][LT_RESUME_TOKEN_MAX];
	bool cut_each; /* the line, after every item */
	unsigned enough_at; /* 0: never */
	bool bare_after; /* the server is replaced by one from before tokens after the first item */
};

static int
dial(void *ctx, uint32_t left_ms, struct lt_conn **out, struct lt_err *err)
{
	struct reader *r = ctx;
	struct lt_dial_options o = fx_dial_options(r->fx, true);

	if (r->url[0] != '\0')
		o.url = r->url;
	if (left_ms != 0 && left_ms < LT_CONN_HANDSHAKE_MS)
		o.connect_ms = left_ms;
	return lt_dial(&o, out, err);
}

static bool
on_item(void *ctx, const ProtobufCMessage *m)
{
	struct reader *r = ctx;
	unsigned n = r->n;

	if (n < ITEMS_MAX)
		r->number[n] = ((const Lttest__EchoReply *)m)->number;
	r->n++;
	if (r->bare_after)
		r->fx->walk_bare = true;
	if (r->cut_each)
		proxy_cut(r->proxy);
	return r->enough_at == 0 || r->n < r->enough_at;
}

static void
on_token(void *ctx, struct lt_slice token)
{
	struct reader *r = ctx;

	if (r->n == 0 || r->n > ITEMS_MAX)
		return;
	memcpy(r->token[r->n - 1], token.data, token.len);
	r->token_len[r->n - 1] = token.len;
}

static int
read_walk(struct reader *r, uint32_t count, uint32_t timeout_ms, struct lt_status *st,
    struct lt_resume_counts *n)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	const struct lt_resume_options o = {
		.clock = lt_clock_system(),
		.dial = dial,
		.service = ECHO,
		.method = "Walk",
		.request = &req.base,
		.timeout_ms = timeout_ms,
		.backoff_ms = 1,
		.item = on_item,
		.token_of = on_token,
		.ctx = r,
	};

	req.count = count;
	r->n = 0;
	return lt_resume_read(&o, st, n);
}

/* 0, 1, 2, ... each once. */
static void
all_once(const struct reader *r, unsigned count)
{
	unsigned i;

	assert_int_equal(r->n, count);
	for (i = 0; i < count; i++)
		assert_int_equal(r->number[i], i);
}

static void
behind_proxy(struct reader *r, struct fx *fx)
{
	int port = raw_free_port();

	memset(r, 0, sizeof(*r));
	r->fx = fx;
	r->proxy = proxy_start(port, fx->port);
	(void)snprintf(r->url, sizeof(r->url), "tcp://127.0.0.1:%d", port);
}

/* Cut after every byte that the server has to say in turn, and in the other direction likewise; as a rule after every fourth, as
 * LT_CUT_STEP=1 has it after each. */
static void
cut_at_every_byte(void **state)
{
	static const enum proxy_direction way[] = { PROXY_FROM_HUB, PROXY_TO_HUB };
	struct lt_resume_counts counts;
	unsigned resumed = 0, d, cuts = 0;
	const char *every = getenv("LT_CUT_STEP");
	uint64_t at, len, step = every != NULL ? strtoull(every, NULL, 10) : 4;
	struct lt_status st;
	struct reader r;
	struct fx fx;

	(void)state;
	assert_true(step > 0);
	fx_start(&fx, NULL);
	behind_proxy(&r, &fx);
	for (d = 0; d < 2; d++) {
		assert_int_equal(read_walk(&r, 3, WAIT_MS, &st, &counts), LT_STATUS_OK);
		len = proxy_bytes(r.proxy, way[d]);
		for (at = 0; at < len; at += step) {
			proxy_cut_after(r.proxy, way[d], at);
			assert_int_equal(read_walk(&r, 3, WAIT_MS, &st, &counts), LT_STATUS_OK);
			all_once(&r, 3);
			resumed += counts.resumed;
			cuts += counts.dials - 1;
			assert_true(counts.dials >= 2 || !proxy_was_cut(r.proxy) || d == 1);
		}
	}
	print_message("%u cuts, gone on from a token %u times\n", cuts, resumed);
	assert_true(resumed > 0);
	proxy_stop(r.proxy);
	fx_stop(&fx);
}

/* The line breaks behind each of 30 items, which come one for each connection. */
static void
cut_at_every_item(void **state)
{
	struct lt_resume_counts counts;
	struct lt_status st;
	struct reader r;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	behind_proxy(&r, &fx);
	fx.walk_burst = 1;
	r.cut_each = true;
	assert_int_equal(read_walk(&r, 30, WAIT_MS, &st, &counts), LT_STATUS_OK);
	all_once(&r, 30);
	assert_int_equal(counts.items, 30);
	/* Behind the last item nothing is left but the end, which came along or did not. */
	assert_in_range(counts.resumed, 29, 30);
	proxy_stop(r.proxy);
	fx_stop(&fx);
}

/* ---- a server that comes back ---- */

struct reading {
	struct reader r;
	pthread_t thread;
	struct lt_status st;
	struct lt_resume_counts counts;
};

static void *
read_on(void *arg)
{
	struct reading *g = arg;

	(void)read_walk(&g->r, 6, WAIT_MS, &g->st, &g->counts);
	return NULL;
}

struct told {
	struct reading *g;
	unsigned n;
};

static bool
is_told(void *arg)
{
	struct told *t = arg;

	return t->g->r.n == t->n;
}

/* After every item the server stops and another begins with the same keys: one reading goes on through all of them. */
static void
server_restarts_at_every_item(void **state)
{
	struct reading g;
	struct told t = { &g, 0 };
	struct fx fx;

	(void)state;
	memset(&g, 0, sizeof(g));
	fx_start(&fx, NULL);
	fx.walk_burst = 1;
	g.r.fx = &fx;
	(void)snprintf(g.r.url, sizeof(g.r.url), "%s", fx.tcp);
	assert_int_equal(pthread_create(&g.thread, NULL, read_on, &g), 0);
	for (t.n = 1; t.n <= 5; t.n++) {
		fx_until(is_told, &t, "the next item is there");
		fx_server_stop(&fx);
		fx_server_start(&fx, NULL);
	}
	(void)pthread_join(g.thread, NULL);
	assert_int_equal(g.st.code, LT_STATUS_OK);
	all_once(&g.r, 6);
	fx_stop(&fx);
}

/* ---- who goes on from what ---- */

struct ask {
	const char *method;
	uint32_t count;
	bool tcp;
};

/* The first number told, -1 for none, with the code and reason in st. */
static int
go_on(struct fx *fx, const struct ask *a, const uint8_t *token, size_t len, struct lt_status *st)
{
	Ltpb__RequestHead head = LTPB__REQUEST_HEAD__INIT;
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_buf bytes = { 0 }, body = { 0 };
	struct lt_frame f;
	struct raw r;
	int first = -1;

	raw_open(&r, fx, a->tcp);
	head.method = (char *)a->method;
	head.resume_token.data = (uint8_t *)token;
	head.resume_token.len = len;
	head.want_tokens = true;
	req.count = a->count;
	assert_int_equal(lt_wire_pack(&head.base, LT_FRAME_PAYLOAD_MAX, &bytes), LT_OK);
	assert_int_equal(lt_wire_pack(&req.base, LT_FRAME_PAYLOAD_MAX, &body), LT_OK);
	(void)raw_send(&r, LT_FRAME_REQUEST, 0, 1, bytes.data, bytes.len);
	(void)raw_send(&r, LT_FRAME_DATA, 3, 1, body.data, body.len);
	while (raw_next(&r, &f) && f.type != LT_FRAME_END) {
		if (f.type == LT_FRAME_DATA && first < 0) {
			ProtobufCMessage *m = protobuf_c_message_unpack(
			    &lttest__echo_reply__descriptor, NULL, f.payload.len, f.payload.data);

			assert_non_null(m);
			first = (int)((Lttest__EchoReply *)m)->number;
			protobuf_c_message_free_unpacked(m, NULL);
		}
	}
	assert_int_equal(f.type, LT_FRAME_END);
	assert_int_equal(f.id, 1);
	st->code = LT_STATUS_OK;
	st->reason[0] = '\0';
	if (f.payload.len != 0) {
		Ltpb__Status *s = ltpb__status__unpack(NULL, f.payload.len, f.payload.data);

		assert_non_null(s);
		st->code = (enum lt_status_code)s->code;
		if (s->error_info != NULL)
			(void)snprintf(st->reason, sizeof(st->reason), "%s", s->error_info->reason);
		ltpb__status__free_unpacked(s, NULL);
	}
	raw_close(&r);
	lt_buf_fini(&bytes);
	lt_buf_fini(&body);
	return first;
}

static void
refused(struct fx *fx, const struct ask *a, const uint8_t *token, size_t len)
{
	struct lt_status st;

	assert_int_equal(go_on(fx, a, token, len, &st), -1);
	assert_int_equal(st.code, LT_STATUS_INVALID_ARGUMENT);
	assert_string_equal(st.reason, "RESUME_TOKEN");
}

static void
taken(struct fx *fx, const struct ask *a, const uint8_t *token, size_t len, int first)
{
	struct lt_status st;

	assert_int_equal(go_on(fx, a, token, len, &st), first);
	assert_int_equal(st.code, LT_STATUS_OK);
}

static const struct ask walk = { "/lttest.Echo/Walk", 10, true };

static void
get_tokens(struct reader *r, struct fx *fx)
{
	struct lt_status st;

	memset(r, 0, sizeof(*r));
	r->fx = fx;
	assert_int_equal(read_walk(r, walk.count, WAIT_MS, &st, NULL), LT_STATUS_OK);
	all_once(r, walk.count);
}

/* Any bit, any length, any other words behind the code. */
static void
forged(void **state)
{
	uint8_t t[LT_RESUME_TOKEN_MAX + 1] = { 0 };
	struct reader r;
	struct fx fx;
	size_t i, len;

	(void)state;
	fx_start(&fx, NULL);
	get_tokens(&r, &fx);
	len = r.token_len[3];
	assert_int_equal(len, 1 + 16 + 8);
	memcpy(t, r.token[3], len);
	taken(&fx, &walk, t, len, 4);
	for (i = 0; i < len * 8; i++) {
		t[i / 8] ^= (uint8_t)(1u << i % 8);
		refused(&fx, &walk, t, len);
		t[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (i = 1; i <= sizeof(t); i++) {
		if (i != len)
			refused(&fx, &walk, t, i);
	}
	/* The code of one position, the position of another. */
	memcpy(t + 17, r.token[4] + 17, 8);
	refused(&fx, &walk, t, len);
	fx_stop(&fx);
}

/* Of another method, streaming or not; request; caller; way in. */
static void
foreign(void **state)
{
	static const struct ask other[] = {
		{ "/lttest.Echo/Count", 10, true }, /* a stream without tokens */
		{ "/lttest.Echo/Say", 10, true }, /* no stream */
		{ "/lttest.Echo/Walk", 11, true }, { "/lttest.Echo/Walk", 0, true },
		{ "/lttest.Echo/Walk", 10, false }, /* the same machine, but over its socket */
	};
	struct reader r;
	struct fx fx;
	size_t i;

	(void)state;
	fx_start(&fx, NULL);
	get_tokens(&r, &fx);
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		refused(&fx, &other[i], r.token[3], r.token_len[3]);
	taken(&fx, &walk, r.token[3], r.token_len[3], 4);
	randombytes_buf(fx.client_sk, 32);
	crypto_scalarmult_base(fx.client_pk, fx.client_sk);
	refused(&fx, &walk, r.token[3], r.token_len[3]);
	fx_stop(&fx);
}

/* The same server after a restart knows its tokens; another one does not. */
static void
of_another_server(void **state)
{
	struct reader r;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	get_tokens(&r, &fx);
	fx_server_stop(&fx);
	fx_server_start(&fx, NULL);
	taken(&fx, &walk, r.token[3], r.token_len[3], 4);
	fx_server_stop(&fx);
	randombytes_buf(fx.server_sk, 32);
	crypto_scalarmult_base(fx.server_pk, fx.server_sk);
	fx_server_start(&fx, NULL);
	refused(&fx, &walk, r.token[3], r.token_len[3]);
	fx_stop(&fx);
}

/* What follows is there from position 5 on. */
static void
too_old(void **state)
{
	struct lt_status st;
	struct reader r;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	get_tokens(&r, &fx);
	fx.walk_oldest = 5;
	taken(&fx, &walk, r.token[4], r.token_len[4], 5);
	assert_int_equal(go_on(&fx, &walk, r.token[3], r.token_len[3], &st), -1);
	assert_int_equal(st.code, LT_STATUS_OUT_OF_RANGE);
	assert_string_equal(st.reason, "RESUME_TOO_OLD");
	fx_stop(&fx);
}

/* Behind the last item there is nothing, and that is an answer. */
static void
behind_the_last(void **state)
{
	struct reader r;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	get_tokens(&r, &fx);
	taken(&fx, &walk, r.token[9], r.token_len[9], -1);
	fx_stop(&fx);
}

/* ---- what ends a reading ---- */

/* The hub is replaced by a program that passes over tokens: found out before an item is told twice. */
static void
older_server(void **state)
{
	struct lt_resume_counts counts;
	struct lt_status st;
	struct reader r;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	behind_proxy(&r, &fx);
	fx.walk_burst = 1;
	r.cut_each = r.bare_after = true;
	assert_int_equal(read_walk(&r, 30, WAIT_MS, &st, &counts), LT_STATUS_FAILED_PRECONDITION);
	assert_string_equal(st.reason, "RESUME_UNKNOWN");
	all_once(&r, 1);
	proxy_stop(r.proxy);
	fx_stop(&fx);
}

/* A stream without tokens is read as long as nothing is cut; then the reader is told, and reads nothing twice. */
static void
stream_without_tokens(void **state)
{
	struct lt_resume_counts counts;
	struct lt_status st;
	struct reader r;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	behind_proxy(&r, &fx);
	fx.walk_bare = true;
	assert_int_equal(read_walk(&r, 3, WAIT_MS, &st, &counts), LT_STATUS_OK);
	all_once(&r, 3);
	fx.walk_burst = 1;
	r.cut_each = true;
	assert_int_equal(read_walk(&r, 3, WAIT_MS, &st, &counts), LT_STATUS_UNAVAILABLE);
	all_once(&r, 1);
	assert_int_equal(counts.dials, 1);
	proxy_stop(r.proxy);
	fx_stop(&fx);
}

/* Who has enough hears no more, of a stream that would go on for ever, too. */
static void
enough(void **state)
{
	struct lt_resume_counts counts;
	struct lt_status st;
	struct reader r;
	struct fx fx;

	(void)state;
	memset(&r, 0, sizeof(r));
	fx_start(&fx, NULL);
	r.fx = &fx;
	r.enough_at = 7;
	assert_int_equal(read_walk(&r, 50, WAIT_MS, &st, &counts), LT_STATUS_OK);
	all_once(&r, 7);
	fx.walk_burst = 7;
	assert_int_equal(read_walk(&r, 50, WAIT_MS, &st, &counts), LT_STATUS_OK);
	all_once(&r, 7);
	assert_int_equal(counts.items, 7);
	fx_stop(&fx);
}

/* Nobody there: until the deadline, or for a number of times where there is none. What no attempt mends ends it at once. */
static void
gives_up(void **state)
{
	struct lt_resume_counts counts;
	struct lt_status st;
	struct reader r;
	struct fx fx;

	(void)state;
	memset(&r, 0, sizeof(r));
	fx_start(&fx, NULL);
	r.fx = &fx;
	fx.deny = LT_STATUS_PERMISSION_DENIED;
	assert_int_equal(read_walk(&r, 3, WAIT_MS, &st, &counts), LT_STATUS_PERMISSION_DENIED);
	assert_int_equal(counts.dials, 1);
	fx.deny = 0;
	fx_server_stop(&fx);
	assert_int_equal(read_walk(&r, 3, 50, &st, &counts), LT_STATUS_DEADLINE_EXCEEDED);
	assert_int_equal(read_walk(&r, 3, 0, &st, &counts), LT_STATUS_UNAVAILABLE);
	assert_int_equal(counts.dials, LT_RESUME_TRIES_MAX + 1);
	assert_int_equal(r.n, 0);
	fx_server_start(&fx, NULL);
	fx_stop(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(cut_at_every_item),
		cmocka_unit_test(server_restarts_at_every_item),
		cmocka_unit_test(forged),
		cmocka_unit_test(foreign),
		cmocka_unit_test(of_another_server),
		cmocka_unit_test(too_old),
		cmocka_unit_test(behind_the_last),
		cmocka_unit_test(older_server),
		cmocka_unit_test(stream_without_tokens),
		cmocka_unit_test(enough),
		cmocka_unit_test(gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
