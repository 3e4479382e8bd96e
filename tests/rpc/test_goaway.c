/* A client whose hub goes away politely, and one whose hub is only silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/conn_impl.h"
#include "tests/lib/proxy.h"
#include "tests/rpc/fixture.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ECHO (&lttest__echo__descriptor)

struct told {
	_Atomic unsigned ends, closed;
	_Atomic int rc;
	struct lt_status status[3];
};

struct one {
	struct told *t;
	unsigned n;
};

static void
no_item(void *ctx, const ProtobufCMessage *m)
{
	(void)ctx;
	(void)m;
}

static void
on_end(void *ctx, const struct lt_status *st)
{
	struct one *o = ctx;

	o->t->status[o->n] = *st;
	o->t->ends++;
}

static void
on_closed(void *ctx, int rc, const char *why)
{
	struct told *t = ctx;

	(void)why;
	t->rc = rc;
	t->closed++;
}

static bool
is_closed(void *arg)
{
	return ((struct told *)arg)->closed == 1;
}

static bool
one_ended(void *arg)
{
	return ((struct told *)arg)->ends >= 1;
}

/* A hub by hand with a client of ours that has dialed it and asks `n` calls. */
static void
hub_and_client(
    struct fx *fx, struct raw *r, struct lt_conn **c, struct told *t, struct one *one, unsigned n)
{
	static const struct lt_call_ops ops = { no_item, on_end };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_dial_options o = fx_dial_options(fx, false);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char url[128];
	unsigned i;

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%.90s/hub", fx->dir);
	(void)snprintf(url, sizeof(url), "ipc://%s", un.sun_path);
	(void)unlink(un.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	o.url = url;
	o.clock = &fx_clock;
	o.closed = on_closed;
	o.ctx = t;
	/* Local lines have no handshake to wait for. */
	assert_int_equal(lt_dial(&o, c, NULL), LT_OK);
	for (i = 0; i < n; i++) {
		one[i] = (struct one){ t, i };
		assert_int_equal(
		    lt_conn_call(*c, ECHO, "Hold", &req.base, 0, &ops, &one[i], NULL), LT_OK);
	}
	raw_accept(r, accept(fd, NULL, NULL), true, fx);
	(void)close(fd);
	(void)unlink(un.sun_path);
}

static void
until_request(struct raw *r, uint32_t id)
{
	struct lt_frame f;

	do
		assert_true(raw_next(r, &f));
	while (f.type != LT_FRAME_DATA || f.id != id);
}

/* Call 1 is accepted, 3 is not: 3 ends at once with a reason to try elsewhere, nothing new goes on this connection, 1 is
 * answered, and then the connection goes. */
static void
goes_away(void **state)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct told t = { 0 };
	struct one one[2];
	struct lt_status st;
	struct lt_conn *c;
	struct fx fx;
	struct raw r;

	(void)state;
	fx_start(&fx, NULL);
	hub_and_client(&fx, &r, &c, &t, one, 2);
	until_request(&r, 3);
	(void)raw_send(&r, LT_FRAME_GOAWAY, 0, 0, "\0\0\0\1stopping", 12);
	fx_until(one_ended, &t, "the call that was not accepted ends");
	assert_int_equal(t.status[1].code, LT_STATUS_UNAVAILABLE);
	assert_string_equal(t.status[1].reason, "STOPPING");
	assert_false(lt_conn_alive(c));
	assert_int_equal(
	    lt_conn_call_wait(c, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_UNAVAILABLE);
	assert_string_equal(st.reason, "NOT_SENT");
	assert_int_equal(t.closed, 0);
	(void)raw_send(&r, LT_FRAME_DATA, 3, 1, NULL, 0);
	(void)raw_send(&r, LT_FRAME_END, 0, 1, NULL, 0);
	fx_until(is_closed, &t, "the connection is gone");
	assert_int_equal(t.ends, 2);
	assert_int_equal(t.status[0].code, LT_STATUS_OK);
	raw_until_closed(&r);
	lt_conn_close(c);
	raw_close(&r);
	fx_stop(&fx);
}

/* Half open: the hub says no more and the line does not tell. After half the time it is asked, after all of it given up. */
static void
half_open(void **state)
{
	struct told t = { 0 };
	struct one one[1];
	struct lt_conn *c;
	struct fx fx;
	struct raw r;
	uint8_t byte;

	(void)state;
	assert_true(LT_CONN_IDLE_MS <= 60000);
	fx_start(&fx, NULL);
	hub_and_client(&fx, &r, &c, &t, one, 1);
	until_request(&r, 1);
	raw_sync(&r); /* the answer to its first PING is in, and counts from now */
	fx_clock_ms += LT_CONN_IDLE_MS / 2;
	/* The PING comes; raw_next() would answer it. */
	assert_int_equal(recv(r.fd, &byte, 1, MSG_PEEK), 1);
	assert_int_equal(t.closed, 0);
	fx_clock_ms += LT_CONN_IDLE_MS / 2;
	fx_until(is_closed, &t, "the silent hub is given up");
	assert_int_equal(t.rc, LT_E_TIMEOUT);
	assert_int_equal(t.ends, 1);
	assert_int_equal(t.status[0].code, LT_STATUS_UNAVAILABLE);
	assert_string_equal(t.status[0].reason, "CONNECTION_LOST");
	lt_conn_close(c);
	raw_close(&r);
	fx_stop(&fx);
}

/* The hub says that it goes and then does neither: what runs gets its time, and not a millisecond more. */
static void
goes_away_and_stays(void **state)
{
	struct told t = { 0 };
	struct one one[1];
	struct lt_conn *c;
	struct fx fx;
	struct raw r;

	(void)state;
	fx_start(&fx, NULL);
	hub_and_client(&fx, &r, &c, &t, one, 1);
	until_request(&r, 1);
	(void)raw_send(&r, LT_FRAME_GOAWAY, 0, 0, "\0\0\0\1stopping", 12);
	raw_sync(&r);
	assert_false(lt_conn_alive(c));
	fx_clock_ms += LT_CONN_GOAWAY_MS / 2;
	raw_sync(&r); /* saying it once more gives no more time, nor does talking */
	(void)raw_send(&r, LT_FRAME_GOAWAY, 0, 0, "\0\0\0\1stopping", 12);
	raw_sync(&r);
	fx_clock_ms += LT_CONN_GOAWAY_MS - LT_CONN_GOAWAY_MS / 2 - 1;
	raw_sync(&r);
	assert_int_equal(t.closed, 0);
	assert_int_equal(t.ends, 0);
	fx_clock_ms += 1;
	fx_until(is_closed, &t, "the client goes by itself");
	assert_int_equal(t.rc, LT_E_CLOSED);
	assert_int_equal(t.ends, 1);
	assert_int_equal(t.status[0].code, LT_STATUS_UNAVAILABLE);
	lt_conn_close(c);
	raw_close(&r);
	fx_stop(&fx);
}

struct silence {
	struct fx *fx;
	struct told *t;
	unsigned closed;
};

static bool
both_know(void *arg)
{
	struct silence *s = arg;

	return s->t->closed == 1 && lt_server_connections(s->fx->server) == 0 &&
	       s->fx->closed == s->closed;
}

/* A line that swallows what goes one way, or both, without telling: both ends know within the idle time, and count it. The end
 * that still hears is told by the one that does not, if that way is open. */
static void
blackhole(void **state)
{
	const struct lt_server_options so = { .clock = &fx_clock };
	static const struct {
		bool held[2]; /* to the hub, from it */
		bool client_deaf, server_deaf; /* hears nothing: its own clock must tell it */
	} cases[] = {
		{ { true, true }, true, true },
		{ { true, false }, false, true },
		{ { false, true }, true, false },
	};
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_server_counts n, before = { 0 };
	struct lt_dial_options o;
	struct lt_status st;
	struct proxy *p;
	struct lt_conn *c;
	struct fx fx;
	char url[64];
	unsigned i;
	int port;

	(void)state;
	fx_start(&fx, &so);
	port = raw_free_port();
	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	p = proxy_start(port, fx.port);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct told t = { 0 };
		struct silence s = { &fx, &t, i + 1 };

		o = fx_dial_options(&fx, true);
		o.url = url;
		o.clock = &fx_clock;
		o.closed = on_closed;
		o.ctx = &t;
		assert_int_equal(lt_dial(&o, &c, NULL), LT_OK);
		assert_int_equal(
		    lt_conn_call_wait(c, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_OK);
		proxy_hold(p, PROXY_TO_HUB, cases[i].held[0]);
		proxy_hold(p, PROXY_FROM_HUB, cases[i].held[1]);
		fx_clock_ms += LT_CONN_IDLE_MS - 1;
		assert_int_equal(t.closed, 0);
		assert_int_equal(lt_server_connections(fx.server), 1);
		/* Who still hears may be told by the other, or be as far itself: the clock jumps. */
		fx_clock_ms += 1;
		fx_until(both_know, &s, "both ends know");
		lt_server_counts(fx.server, &n);
		assert_true(t.rc == LT_E_TIMEOUT || (!cases[i].client_deaf && t.rc == LT_E_CLOSED));
		assert_in_range(n.silent - before.silent, cases[i].server_deaf, 1);
		before = n;
		proxy_hold(p, PROXY_TO_HUB, false);
		proxy_hold(p, PROXY_FROM_HUB, false);
		lt_conn_close(c);
	}
	proxy_stop(p);
	fx_stop(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_away),
		cmocka_unit_test(goes_away_and_stays),
		cmocka_unit_test(half_open),
		cmocka_unit_test(blackhole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
