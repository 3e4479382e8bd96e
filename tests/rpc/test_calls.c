#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/rpc/fixture.h"

#include "grpc/health/v1/health.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ECHO (&lttest__echo__descriptor)

/* What the callbacks of one call have told. */
struct heard {
	_Atomic unsigned items, ends;
	_Atomic uint64_t bytes;
	_Atomic bool gate; /* the first item waits here while set */
	_Atomic bool in_gate;
	_Atomic bool wrong; /* out of order, or behind the end */
	struct lt_status status;
};

static void
heard_item(void *ctx, const ProtobufCMessage *m)
{
	struct heard *h = ctx;
	const Lttest__EchoReply *r = (const Lttest__EchoReply *)m;

	if (h->ends != 0 || r->number != h->items)
		h->wrong = true;
	h->bytes += r->data.len;
	while (h->gate) {
		h->in_gate = true;
		(void)poll(NULL, 0, 1);
	}
	h->items++;
}

static void
heard_end(void *ctx, const struct lt_status *status)
{
	struct heard *h = ctx;

	h->status = *status;
	h->ends++;
}

static const struct lt_call_ops heard_ops = { heard_item, heard_end };

static bool
has_ended(void *arg)
{
	return ((struct heard *)arg)->ends == 1;
}

static bool
in_gate(void *arg)
{
	return ((struct heard *)arg)->in_gate;
}

static bool
some_items(void *arg)
{
	return ((struct heard *)arg)->items >= 3;
}

struct until_fx {
	struct fx *fx;
	unsigned n;
};

static bool
held_are(void *arg)
{
	struct until_fx *u = arg;

	return fx_held(u->fx) == u->n;
}

static bool
was_busy(void *arg)
{
	return ((struct fx *)arg)->busy != 0;
}

static bool
no_streams(void *arg)
{
	return ((struct fx *)arg)->streams_open == 0;
}

static void
until_held(struct fx *fx, unsigned n)
{
	struct until_fx u = { fx, n };

	fx_until(held_are, &u, "calls are held");
}

static int
say(struct lt_conn *c, const uint8_t *data, size_t len, uint32_t size, Lttest__EchoReply **reply,
    struct lt_status *st)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;

	req.data.data = (uint8_t *)(uintptr_t)data;
	req.data.len = len;
	req.size = size;
	req.count = 7;
	return lt_conn_call_wait(c, ECHO, "Say", &req.base, 15000, (ProtobufCMessage **)reply, st);
}

static void
say_works(struct lt_conn *c)
{
	struct lt_status st;

	if (say(c, NULL, 0, 0, NULL, &st) != LT_STATUS_OK)
		fail_msg("%s: %s", lt_status_name((int)st.code), st.message);
}

static void
each_way(void (*fn)(struct fx *fx, bool tcp))
{
	struct fx fx;

	fx_start(&fx, NULL);
	fn(&fx, false);
	fn(&fx, true);
	fx_stop(&fx);
}

/* Messages of every size that matters, both ways. */
static void
unary_one(struct fx *fx, bool tcp)
{
	static const size_t sizes[] = { 0, 1, 100, 16000, 16383, 16384, 16385, 32768, 65536, 65537,
		300000, 1048000 };
	static uint8_t data[1048000];
	struct lt_conn *c = fx_dial(fx, tcp);
	Lttest__EchoReply *reply;
	struct lt_status st;
	size_t i;

	randombytes_buf(data, sizeof(data));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(say(c, data, sizes[i], 0, &reply, &st), LT_STATUS_OK);
		assert_int_equal(reply->data.len, sizes[i]);
		assert_true(sizes[i] == 0 || memcmp(reply->data.data, data, sizes[i]) == 0);
		assert_int_equal(reply->number, 7);
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	}
	/* Over the limit: here, and in the answer. */
	assert_int_equal(
	    say(c, NULL, 0, 2 * 1024 * 1024, &reply, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_null(reply);
	say_works(c);
	lt_conn_close(c);
}

static void
unary(void **state)
{
	(void)state;
	each_way(unary_one);
}

static void
request_too_big(void **state)
{
	static uint8_t data[1048577];
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard h = { 0 };
	struct fx fx;
	struct lt_conn *c;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, false);
	req.data.data = data;
	req.data.len = sizeof(data);
	assert_int_equal(
	    lt_conn_call(c, ECHO, "Say", &req.base, 0, &heard_ops, &h, NULL), LT_E_TOOBIG);
	say_works(c);
	lt_conn_close(c);
	assert_int_equal(h.ends, 0);
	fx_stop(&fx);
}

static void
health_one(struct fx *fx, bool tcp)
{
	struct lt_conn *c = fx_dial(fx, tcp);
	Healthpb__HealthCheckRequest req = HEALTHPB__HEALTH_CHECK_REQUEST__INIT;
	Healthpb__HealthCheckResponse *reply;
	char name[] = "lttest.Echo";
	struct lt_status st;
	bool serving = !tcp;

	assert_int_equal(lt_health_set(fx->health, "", serving), LT_OK);
	assert_int_equal(lt_conn_call_wait(c, &healthpb__health__descriptor, "Check", &req.base,
			     5000, (ProtobufCMessage **)&reply, &st),
	    LT_STATUS_OK);
	assert_int_equal(reply->status, serving ? 1 : 2);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	req.service = name;
	if (!tcp) {
		assert_int_equal(lt_conn_call_wait(c, &healthpb__health__descriptor,
				     "/grpc.health.v1.Health/Check", &req.base, 5000, NULL, &st),
		    LT_STATUS_NOT_FOUND);
		assert_int_equal(lt_health_set(fx->health, name, true), LT_OK);
	}
	assert_int_equal(lt_conn_call_wait(
			     c, &healthpb__health__descriptor, "Check", &req.base, 5000, NULL, &st),
	    LT_STATUS_OK);
	lt_conn_close(c);
}

static void
health(void **state)
{
	(void)state;
	each_way(health_one);
}

/* Every code with every detail, as the handler gave it. */
static void
codes_one(struct fx *fx, bool tcp)
{
	struct lt_conn *c = fx_dial(fx, tcp);
	Lttest__FailRequest req = LTTEST__FAIL_REQUEST__INIT;
	char message[] = "không có hồ sơ \"40/17254\"", reason[] = "NO_SUCH_RECORD",
	     field[] = "commune_code", rule[] = "unit";
	struct lt_status st;
	uint32_t code;

	req.message = message;
	req.reason = reason;
	req.field = field;
	req.rule = rule;
	for (code = 1; code <= 16; code++) {
		req.code = code;
		req.retry_delay_ms = code * 100;
		assert_int_equal(
		    lt_conn_call_wait(c, ECHO, "Fail", &req.base, 5000, NULL, &st), (int)code);
		assert_string_equal(st.message, message);
		assert_string_equal(st.reason, reason);
		assert_string_equal(st.field, field);
		assert_string_equal(st.rule, rule);
		assert_int_equal(st.retry_delay_ms, code * 100);
	}
	/* A failure with code OK is a bug of the handler and must not look like success. */
	req.code = 0;
	assert_int_equal(
	    lt_conn_call_wait(c, ECHO, "Fail", &req.base, 5000, NULL, &st), LT_STATUS_INTERNAL);
	lt_conn_close(c);
}

static void
codes(void **state)
{
	(void)state;
	each_way(codes_one);
}

static void
unknown_method(void **state)
{
	Ltpb__HelloRequest req = LTPB__HELLO_REQUEST__INIT;
	struct fx fx;
	struct lt_conn *c;
	struct lt_status st;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, true);
	assert_int_equal(
	    lt_conn_call_wait(c, &ltpb__sync__descriptor, "Hello", &req.base, 5000, NULL, &st),
	    LT_STATUS_UNIMPLEMENTED);
	assert_int_equal(fx.authorized, 0);
	say_works(c);
	lt_conn_close(c);
	fx_stop(&fx);
}

static void
authorize_denies(void **state)
{
	struct fx fx;
	struct lt_conn *c;
	struct lt_status st;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, true);
	fx.deny = LT_STATUS_PERMISSION_DENIED;
	assert_int_equal(say(c, NULL, 0, 0, NULL, &st), LT_STATUS_PERMISSION_DENIED);
	assert_string_equal(st.message, "/lttest.Echo/Say is not for you");
	fx.deny = 0;
	say_works(c);
	lt_conn_close(c);
	fx_stop(&fx);
}

/* Ten thousand items arrive, in order, once each, then one end. */
static void
stream_one(struct fx *fx, bool tcp)
{
	struct lt_conn *c = fx_dial(fx, tcp);
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard h = { 0 };

	req.count = 10000;
	req.size = 200;
	assert_int_equal(lt_conn_call(c, ECHO, "Count", &req.base, 0, &heard_ops, &h, NULL), LT_OK);
	fx_until(has_ended, &h, "the stream ends");
	assert_int_equal(h.status.code, LT_STATUS_OK);
	assert_int_equal(h.items, 10000);
	assert_int_equal(h.bytes, 10000 * 200);
	assert_false(h.wrong);
	lt_conn_close(c);
	assert_int_equal(h.ends, 1);
	fx_until(no_streams, fx, "the stream is closed at the server");
}

static void
stream(void **state)
{
	(void)state;
	each_way(stream_one);
}

/* A reader that stands still: the server stops after what the credit allows, other calls go on, and
 * afterwards everything arrives. */
static void
slow_one(struct fx *fx, bool tcp)
{
	struct lt_conn *c = fx_dial(fx, tcp);
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard h = { .gate = true };

	fx->busy = 0;
	fx->items_sent = 0;
	req.count = 3000;
	req.size = 1000;
	assert_int_equal(lt_conn_call(c, ECHO, "Count", &req.base, 0, &heard_ops, &h, NULL), LT_OK);
	fx_until(in_gate, &h, "the reader stands still");
	fx_until(was_busy, fx, "the server has to wait");
	say_works(c);
	say_works(c);
	/* One window unread, one granted when the first message was whole, the server's own queue. */
	assert_true(fx->items_sent < (2 * 65536 + 2 * 32768) / 1000);
	h.gate = false;
	fx_until(has_ended, &h, "the stream ends");
	assert_int_equal(h.items, 3000);
	assert_false(h.wrong);
	lt_conn_close(c);
}

static void
slow_reader(void **state)
{
	(void)state;
	each_way(slow_one);
}

static void
cancel_one(struct fx *fx, bool tcp)
{
	struct lt_conn *c = fx_dial(fx, tcp);
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard h = { 0 }, held = { 0 };
	uint32_t id;

	req.count = UINT32_MAX - 1;
	req.size = 100;
	assert_int_equal(lt_conn_call(c, ECHO, "Count", &req.base, 0, &heard_ops, &h, &id), LT_OK);
	fx_until(some_items, &h, "items come");
	lt_conn_cancel(c, id);
	lt_conn_cancel(c, id); /* a second time means nothing */
	fx_until(has_ended, &h, "the call ends");
	assert_int_equal(h.status.code, LT_STATUS_CANCELLED);
	fx_until(no_streams, fx, "the server's stream is closed");

	/* A unary call in a handler: it notices, and its late answer goes nowhere. */
	assert_int_equal(
	    lt_conn_call(c, ECHO, "Hold", &req.base, 0, &heard_ops, &held, &id), LT_OK);
	until_held(fx, 1);
	assert_false(lt_call_cancelled(fx->held[0]));
	lt_conn_cancel(c, id);
	fx_until(has_ended, &held, "the call ends");
	say_works(c); /* so the cancel has arrived */
	assert_true(lt_call_cancelled(fx->held[0]));
	fx_answer_all(fx);
	say_works(c);
	lt_conn_close(c);
	assert_int_equal(h.ends, 1);
	assert_int_equal(held.ends, 1);
	assert_int_equal(held.items, 0);
}

static void
cancel(void **state)
{
	(void)state;
	each_way(cancel_one);
}

static void
deadline_one(struct fx *fx, bool tcp)
{
	struct lt_conn *c = fx_dial(fx, tcp);
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_status st;

	assert_int_equal(lt_conn_call_wait(c, ECHO, "Hold", &req.base, 30, NULL, &st),
	    LT_STATUS_DEADLINE_EXCEEDED);
	say_works(c);
	until_held(fx, 1);
	fx_answer_all(fx);
	say_works(c);
	lt_conn_close(c);
}

static void
deadline(void **state)
{
	(void)state;
	each_way(deadline_one);
}

/* 64 calls at once on a connection; the 65th is told to come later; the 64 are all answered. */
static void
many_one(struct fx *fx, bool tcp)
{
	struct lt_conn *c = fx_dial(fx, tcp);
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	static struct heard h[65];
	size_t i;

	memset(h, 0, sizeof(h));
	for (i = 0; i < 65; i++)
		assert_int_equal(
		    lt_conn_call(c, ECHO, "Hold", &req.base, 0, &heard_ops, &h[i], NULL), LT_OK);
	fx_until(has_ended, &h[64], "the 65th is refused");
	assert_int_equal(h[64].status.code, LT_STATUS_RESOURCE_EXHAUSTED);
	assert_true(h[64].status.retry_delay_ms > 0);
	until_held(fx, 64);
	fx_answer_all(fx);
	for (i = 0; i < 64; i++) {
		fx_until(has_ended, &h[i], "a held call ends");
		assert_int_equal(h[i].status.code, LT_STATUS_OK);
	}
	say_works(c);
	lt_conn_close(c);
}

static void
many(void **state)
{
	(void)state;
	each_way(many_one);
}

/* calls_max counts over all connections. */
static void
calls_max(void **state)
{
	const struct lt_server_options o = { .calls_max = 3 };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_server_counts counts;
	struct heard h[3] = { 0 };
	struct lt_conn *c[2];
	struct lt_status st;
	struct fx fx;
	size_t i;

	(void)state;
	fx_start(&fx, &o);
	c[0] = fx_dial(&fx, true);
	c[1] = fx_dial(&fx, false);
	for (i = 0; i < 3; i++)
		assert_int_equal(
		    lt_conn_call(c[i % 2], ECHO, "Hold", &req.base, 0, &heard_ops, &h[i], NULL),
		    LT_OK);
	until_held(&fx, 3);
	assert_int_equal(say(c[0], NULL, 0, 0, NULL, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	assert_int_equal(say(c[1], NULL, 0, 0, NULL, &st), LT_STATUS_RESOURCE_EXHAUSTED);
	lt_server_counts(fx.server, &counts);
	assert_int_equal(counts.calls_refused, 2);
	fx_answer_all(&fx);
	for (i = 0; i < 3; i++)
		fx_until(has_ended, &h[i], "a held call ends");
	say_works(c[0]);
	lt_conn_close(c[0]);
	lt_conn_close(c[1]);
	fx_stop(&fx);
}

struct stub_heard {
	_Atomic unsigned calls;
	_Atomic int number; /* -1: no answer */
};

static void
stub_done(const Lttest__EchoReply *reply, void *data)
{
	struct stub_heard *s = data;

	s->number = reply == NULL ? -1 : (int)reply->number;
	s->calls++;
}

static bool
stub_called(void *arg)
{
	return ((struct stub_heard *)arg)->calls == 1;
}

/* The client functions that protobuf-c makes. */
static void
stubs(void **state)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	Lttest__FailRequest fail = LTTEST__FAIL_REQUEST__INIT;
	struct stub_heard ok = { 0 }, bad = { 0 };
	ProtobufCService *s;
	struct lt_conn *c;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, true);
	s = lt_conn_service(c, ECHO);
	req.count = 42;
	lttest__echo__say(s, &req, stub_done, &ok);
	fail.code = LT_STATUS_ABORTED;
	lttest__echo__fail(s, &fail, stub_done, &bad);
	fx_until(stub_called, &ok, "the stub answers");
	fx_until(stub_called, &bad, "the stub answers");
	assert_int_equal(ok.number, 42);
	assert_int_equal(bad.number, -1);
	lt_conn_close(c);
	fx_stop(&fx);
}

struct gone {
	_Atomic unsigned times;
	_Atomic int rc;
};

static void
on_gone(void *ctx, int rc, const char *why)
{
	struct gone *g = ctx;

	assert_non_null(why);
	g->rc = rc;
	g->times++;
}

static bool
is_gone(void *arg)
{
	return ((struct gone *)arg)->times == 1;
}

/* Closing with calls under way: each ends once, `closed` comes once, and before close returns. */
static void
close_in_flight(void **state)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard h[10] = { 0 };
	struct gone gone = { 0 };
	struct lt_dial_options o;
	struct lt_conn *c;
	struct fx fx;
	size_t i;

	(void)state;
	fx_start(&fx, NULL);
	o = fx_dial_options(&fx, true);
	o.closed = on_gone;
	o.ctx = &gone;
	assert_int_equal(lt_dial(&o, &c, NULL), LT_OK);
	assert_true(lt_conn_alive(c));
	req.count = UINT32_MAX - 1;
	for (i = 0; i < 10; i++)
		assert_int_equal(lt_conn_call(c, ECHO, i % 2 == 0 ? "Hold" : "Count", &req.base, 0,
				     &heard_ops, &h[i], NULL),
		    LT_OK);
	until_held(&fx, 5);
	lt_conn_close(c);
	for (i = 0; i < 10; i++) {
		assert_int_equal(h[i].ends, 1);
		assert_int_equal(h[i].status.code, LT_STATUS_UNAVAILABLE);
	}
	assert_int_equal(gone.times, 1);
	fx_until(no_streams, &fx, "streams are closed");
	fx_answer_all(&fx); /* to nobody */
	fx_until_connections(&fx, 0);
	fx_stop(&fx);
	assert_int_equal(fx.closed, 1);
	assert_int_equal(fx.admitted, 1);
}

static void
dial_fails(void **state)
{
	struct lt_dial_options o;
	struct lt_err err = { "" };
	struct lt_conn *c = NULL;
	uint8_t other[32];
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	o = fx_dial_options(&fx, true);
	o.url = "ws://127.0.0.1:1";
	assert_int_equal(lt_dial(&o, &c, &err), LT_E_INVALID);
	o.url = "tcp://127.0.0.1:1";
	assert_int_equal(lt_dial(&o, &c, &err), LT_E_UNAVAILABLE);
	o.url = "ipc:///nonexistent/sock";
	assert_int_equal(lt_dial(&o, &c, &err), LT_E_UNAVAILABLE);
	o = fx_dial_options(&fx, true);
	o.line_sk = NULL;
	assert_int_equal(lt_dial(&o, &c, &err), LT_E_INVALID);
	/* Another hub than the pinned one. */
	o = fx_dial_options(&fx, true);
	randombytes_buf(other, 32);
	crypto_scalarmult_base(other, other);
	o.remote_line_key = other;
	assert_int_equal(lt_dial(&o, &c, &err), LT_E_DENIED);
	assert_int_equal(fx.admitted, 0);
	/* A key the hub does not know. */
	o = fx_dial_options(&fx, true);
	randombytes_buf(other, 32);
	o.line_sk = other;
	assert_int_equal(lt_dial(&o, &c, &err), LT_E_DENIED);
	assert_int_equal(fx.admitted, 0);
	assert_null(c);
	fx_stop(&fx);
	assert_int_equal(fx.closed, 0);
}

/* Somebody who accepts and says nothing: the dial ends by its own time. */
static void
dial_late(void **state)
{
	struct lt_dial_options o;
	struct lt_conn *c = NULL;
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	char url[64];
	struct fx fx;
	int fd;

	(void)state;
	fx_start(&fx, NULL);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", (int)ntohs(in.sin_port));
	o = fx_dial_options(&fx, true);
	o.url = url;
	o.connect_ms = 100;
	assert_int_equal(lt_dial(&o, &c, NULL), LT_E_TIMEOUT);
	(void)close(fd);
	fx_stop(&fx);
}

static void
sockets(void **state)
{
	struct lt_server_options o = { 0 };
	struct lt_server *second;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct lt_err err = { "" };
	struct lt_conn *c;
	struct stat sb;
	struct fx fx;
	char path[128], url[160];
	int fd, i;

	(void)state;
	fx_start(&fx, NULL);
	assert_int_equal(stat(fx.path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	o.pool = fx.pool;
	o.clock = lt_clock_system();
	o.line_sk = fx.server_sk;
	o.federation = fx.fed;
	assert_int_equal(lt_server_new(&o, &second, &err), LT_OK);
	/* A second daemon by mistake: told so, and the first is not disturbed, however often. */
	for (i = 0; i < 20; i++) {
		assert_int_equal(lt_server_listen(second, fx.ipc, &err), LT_E_BUSY);
		assert_int_equal(lt_server_listen(second, fx.tcp, &err), LT_E_BUSY);
	}
	c = fx_dial(&fx, false);
	say_works(c);
	lt_conn_close(c);
	assert_int_equal(lt_server_listen(second, "udp://127.0.0.1:1", &err), LT_E_INVALID);
	assert_int_equal(lt_server_listen(second, "ipc:///nonexistent/dir/sock", &err) < 0, 1);
	/* What a killed daemon left behind is replaced. */
	(void)snprintf(path, sizeof(path), "%s/stale", fx.dir);
	(void)snprintf(url, sizeof(url), "ipc://%s", path);
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	(void)close(fd);
	assert_int_equal(lt_server_listen(second, url, &err), LT_OK);
	lt_server_stop(second, 0);
	(void)unlink(path);
	fx_stop(&fx);
}

/* The table beside the services. */
static void
method_table(void **state)
{
	static const struct lt_method twice[] = { { .name = "/a/B" }, { .name = "/a/B" } };
	static const struct lt_method typo[] = { LT_HEALTH_METHOD,
		{ .name = "/grpc.health.v1.Health/Chek" } };
	static const struct lt_method more[] = { LT_HEALTH_METHOD, { .name = "/not.Added/Here" } };
	struct lt_server_options o = { .clock = lt_clock_system() };
	struct lt_health *h = lt_health_new();
	struct lt_err err = { "" };
	struct lt_server *s;

	(void)state;
	assert_int_equal(lt_pool_start(1, 1, &o.pool), LT_OK);
	o.methods = twice;
	o.nmethods = 2;
	assert_int_equal(lt_server_new(&o, &s, &err), LT_E_INVALID);
	o.nmethods = 1; /* without a row for Check */
	assert_int_equal(lt_server_new(&o, &s, &err), LT_OK);
	assert_int_equal(lt_server_add(s, lt_health_service(h), &err), LT_E_INVALID);
	lt_server_stop(s, 0);
	o.methods = typo;
	o.nmethods = 2;
	assert_int_equal(lt_server_new(&o, &s, &err), LT_OK);
	assert_int_equal(lt_server_add(s, lt_health_service(h), &err), LT_E_INVALID);
	lt_server_stop(s, 0);
	o.methods = more;
	assert_int_equal(lt_server_new(&o, &s, &err), LT_OK);
	assert_int_equal(lt_server_add(s, lt_health_service(h), &err), LT_OK);
	assert_int_equal(lt_server_add(s, lt_health_service(h), &err), LT_E_EXISTS);
	assert_int_equal(lt_server_listen(s, "tcp://127.0.0.1:0", &err), LT_E_INVALID); /* no key */
	lt_server_stop(s, 0);
	lt_pool_stop(o.pool);
	lt_health_free(h);
}

static void
cut_by_key(void **state)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct gone gone = { 0 };
	struct heard h = { 0 };
	struct lt_dial_options o;
	struct lt_conn *c, *local;
	uint8_t other[32] = { 1 };
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	o = fx_dial_options(&fx, true);
	o.closed = on_gone;
	o.ctx = &gone;
	assert_int_equal(lt_dial(&o, &c, NULL), LT_OK);
	local = fx_dial(&fx, false);
	req.count = UINT32_MAX - 1;
	assert_int_equal(lt_conn_call(c, ECHO, "Count", &req.base, 0, &heard_ops, &h, NULL), LT_OK);
	fx_until(some_items, &h, "items come");
	lt_server_cut(fx.server, other);
	say_works(c);
	lt_server_cut(fx.server, fx.client_pk);
	fx_until(is_gone, &gone, "the revoked connection is gone");
	assert_int_equal(h.ends, 1);
	assert_false(lt_conn_alive(c));
	assert_int_equal(
	    lt_conn_call(c, ECHO, "Say", &req.base, 0, &heard_ops, &h, NULL), LT_E_CLOSED);
	say_works(local);
	lt_conn_close(c);
	lt_conn_close(local);
	fx_stop(&fx);
}

static void *
stop_thread(void *arg)
{
	lt_server_stop(arg, 15000);
	return NULL;
}

static bool
not_alive(void *arg)
{
	return !lt_conn_alive(arg);
}

/* Stopping: no new call is taken, the one under way is answered, then the connection goes. The answer is larger than the
 * credit a caller gives at once: it has not been written when the call is over. */
static void
stop_finishes_calls(void **state)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard h = { 0 };
	struct lt_status st;
	struct lt_conn *c, *idle;
	struct lt_server *s;
	pthread_t t;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, true);
	idle = fx_dial(&fx, true);
	assert_int_equal(lt_conn_call(c, ECHO, "Hold", &req.base, 0, &heard_ops, &h, NULL), LT_OK);
	until_held(&fx, 1);
	s = fx.server;
	fx.server = NULL;
	assert_int_equal(pthread_create(&t, NULL, stop_thread, s), 0);
	fx_until(not_alive, c, "the client has heard of the stop");
	fx_until(not_alive, idle, "the idle client has heard of the stop");
	fx.answer_len = 900000;
	assert_int_equal(say(c, NULL, 0, 0, NULL, &st), LT_STATUS_UNAVAILABLE);
	assert_int_equal(h.ends, 0);
	fx_answer_all(&fx);
	fx_until(has_ended, &h, "the call is answered");
	assert_int_equal(h.status.code, LT_STATUS_OK);
	assert_int_equal(h.bytes, 900000);
	pthread_join(t, NULL);
	lt_conn_close(c);
	lt_conn_close(idle);
	fx_stop(&fx);
}

/* A handler that never answers does not hold the stop; its late answer touches nothing that is gone. */
static void
stop_does_not_wait_for_ever(void **state)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard h = { 0 };
	struct lt_conn *c;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, true);
	req.count = UINT32_MAX - 1;
	assert_int_equal(lt_conn_call(c, ECHO, "Hold", &req.base, 0, &heard_ops, &h, NULL), LT_OK);
	until_held(&fx, 1);
	lt_server_stop(fx.server, 10);
	fx.server = NULL;
	fx_until(has_ended, &h, "the caller hears of it");
	assert_int_equal(h.status.code, LT_STATUS_UNAVAILABLE);
	fx_answer_all(&fx);
	lt_conn_close(c);
	fx_stop(&fx);
}

/* Nor does a stream, which might go on for ever: not for the ten minutes that a call would get. */
static void
stop_ends_streams(void **state)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard h = { 0 };
	struct lt_conn *c;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, true);
	req.count = UINT32_MAX;
	req.size = 1000;
	assert_int_equal(lt_conn_call(c, ECHO, "Count", &req.base, 0, &heard_ops, &h, NULL), LT_OK);
	fx_until(some_items, &h, "the stream has begun");
	lt_server_stop(fx.server, 600000);
	fx.server = NULL;
	fx_until(has_ended, &h, "the reader hears of it");
	assert_int_equal(h.status.code, LT_STATUS_UNAVAILABLE);
	lt_conn_close(c);
	fx_stop(&fx);
}

struct fds {
	unsigned want;
};

static bool
fds_are(void *arg)
{
	return fx_open_fds() <= ((struct fds *)arg)->want;
}

/* 300 peers vanish with calls in flight: no descriptor and no memory stays, and the server serves. */
static void
abrupt_ends(void **state)
{
	static const struct linger hard = { 1, 0 };
	struct fds fds;
	struct lt_conn *c;
	struct fx fx;
	struct raw r;
	int i, k;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, true);
	say_works(c);
	fds.want = fx_open_fds();
	for (i = 0; i < 300; i++) {
		raw_open(&r, &fx, i % 2 == 0);
		for (k = 0; k < 8; k++) {
			raw_request(&r, (uint32_t)(2 * k + 1),
			    k % 3 == 0 ? "/lttest.Echo/Hold" : "/lttest.Echo/Count", 0);
			/* count 4,000,000,000, size 1,000; the last request stays unfinished */
			(void)raw_send(&r, LT_FRAME_DATA, k == 7 ? 0 : 3, (uint32_t)(2 * k + 1),
			    "\x10\x80\xd0\xac\xf3\x0e\x18\xe8\x07", 9);
		}
		if (i % 3 == 0)
			(void)setsockopt(r.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		raw_close(&r);
		if (fx_held(&fx) > FX_HELD_MAX / 2)
			fx_answer_all(&fx);
	}
	fx_until_connections(&fx, 1);
	fx_until(no_streams, &fx, "all streams are closed");
	fx_until(fds_are, &fds, "all descriptors are closed");
	say_works(c);
	lt_conn_close(c);
	fx_answer_all(&fx);
	fx_stop(&fx);
	/* The line tells its end exactly when it was let in; of the 150 local ones some may be gone before they spoke. */
	assert_int_equal(fx.admitted, 151);
	assert_in_range(fx.closed, 151, 301);
}

/* A clock that the test drives: deadlines follow it, not the machine's. */
static void
driven_clock(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard h = { 0 };
	struct lt_conn *c;
	struct fx fx;

	(void)state;
	fx_start(&fx, &o);
	c = fx_dial(&fx, true);
	/* The method's own limit of 60 s holds, whatever the caller wants: here it wants none. */
	assert_int_equal(lt_conn_call(c, ECHO, "Hold", &req.base, 0, &heard_ops, &h, NULL), LT_OK);
	until_held(&fx, 1);
	assert_int_equal(lt_call_left_ms(fx.held[0]), 60000);
	fx_clock_ms += 29999;
	assert_int_equal(lt_call_left_ms(fx.held[0]), 30001);
	say_works(c);
	fx_clock_ms += 30000; /* in two steps, so that the connection is not taken for dead */
	say_works(c);
	assert_int_equal(h.ends, 0);
	fx_clock_ms += 1;
	fx_until(has_ended, &h, "the server ends the call");
	assert_int_equal(h.status.code, LT_STATUS_DEADLINE_EXCEEDED);
	assert_true(lt_call_left_ms(fx.held[0]) <= 0);
	fx_answer_all(&fx);
	lt_conn_close(c);
	fx_stop(&fx);
}

/* Both ends of a TCP connection send at once what they have: none waits for an acknowledgement of what went before. */
static void
no_delay(void **state)
{
	struct fx fx;
	struct lt_conn *c;
	unsigned ends = 0;
	int fd;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, true);
	for (fd = 0; fd < 1024; fd++) {
		struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
		socklen_t len = sizeof(peer);
		int value = -1;

		if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0 ||
		    peer.ss_family != AF_INET)
			continue;
		len = sizeof(value);
		assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
		assert_int_not_equal(value, 0);
		ends++;
	}
	assert_int_equal(ends, 2);
	lt_conn_close(c);
	fx_stop(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unary),
		cmocka_unit_test(request_too_big),
		cmocka_unit_test(health),
		cmocka_unit_test(codes),
		cmocka_unit_test(unknown_method),
		cmocka_unit_test(authorize_denies),
		cmocka_unit_test(stream),
		cmocka_unit_test(slow_reader),
		cmocka_unit_test(cancel),
		cmocka_unit_test(deadline),
		cmocka_unit_test(many),
		cmocka_unit_test(calls_max),
		cmocka_unit_test(stubs),
		cmocka_unit_test(close_in_flight),
		cmocka_unit_test(dial_fails),
		cmocka_unit_test(dial_late),
		cmocka_unit_test(sockets),
		cmocka_unit_test(no_delay),
		cmocka_unit_test(method_table),
		cmocka_unit_test(cut_by_key),
		cmocka_unit_test(stop_finishes_calls),
		cmocka_unit_test(stop_does_not_wait_for_ever),
		cmocka_unit_test(stop_ends_streams),
		cmocka_unit_test(abrupt_ends),
		cmocka_unit_test(driven_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
