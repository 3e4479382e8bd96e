/* Connections that come and go by the thousand, with calls under way, and strangers who stay: what they took is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/server_impl.h"
#include "tests/rpc/fixture.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ECHO (&lttest__echo__descriptor)
#define LOOPS 8
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VISITS 1000 /* they count leaks themselves, and the allocator is not ours to ask */
#define HEAP_GROWTH_MAX SIZE_MAX
#else
#define VISITS 10000
/* 10,000 visits that leave a connection's struct of some 1.5 KiB each would be 15 MiB. */
#define HEAP_GROWTH_MAX ((size_t)1024 * 1024)
#endif
#define STRANGERS 2000
#define ADDRESSES 20

struct visitor {
	struct fx *fx;
	unsigned from, to;
};

static void
no_item(void *ctx, const ProtobufCMessage *m)
{
	(void)ctx;
	(void)m;
}

static void
no_end(void *ctx, const struct lt_status *st)
{
	(void)st;
	(*(_Atomic unsigned *)ctx)++;
}

/* A peer by hand asks for more than it will ever read, leaves a request half said, and is gone. */
static void
visit_raw(struct fx *fx, bool tcp)
{
	struct raw r;

	raw_open(&r, fx, tcp);
	raw_request(&r, 1, "/lttest.Echo/Count", 0);
	(void)raw_send(&r, LT_FRAME_DATA, 3, 1, "\x10\xff\xff\x7f\x18\x80\x08", 7);
	raw_request(&r, 3, "/lttest.Echo/Say", 0);
	(void)raw_send(&r, LT_FRAME_DATA, 0, 3, "\x0a\x7f", 2);
	raw_close(&r);
}

/* Our client, closed in the middle of a stream and of a call. */
static void
visit_client(struct fx *fx, bool tcp)
{
	static const struct lt_call_ops ops = { no_item, no_end };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_conn *c = fx_dial(fx, tcp);
	_Atomic unsigned ends = 0;

	req.count = 1000000;
	req.size = 1024;
	assert_int_equal(
	    lt_conn_call(c, ECHO, "Count", &req.base, 0, &ops, (void *)&ends, NULL), LT_OK);
	assert_int_equal(
	    lt_conn_call(c, ECHO, "Say", &req.base, 0, &ops, (void *)&ends, NULL), LT_OK);
	lt_conn_close(c);
	assert_int_equal(ends, 2);
}

static void *
visits(void *arg)
{
	struct visitor *v = arg;
	unsigned i;

	for (i = v->from; i < v->to; i++) {
		if (i % 2 == 0)
			visit_raw(v->fx, i % 8 == 0);
		else
			visit_client(v->fx, i % 8 == 1);
	}
	return NULL;
}

static bool
no_streams(void *arg)
{
	return ((struct fx *)arg)->streams_open == 0;
}

static void
visit_all(struct fx *fx, unsigned n)
{
	struct visitor v[LOOPS];
	pthread_t thread[LOOPS];
	unsigned i;

	for (i = 0; i < LOOPS; i++) {
		v[i] = (struct visitor){ fx, n / LOOPS * i, n / LOOPS * (i + 1) };
		assert_int_equal(pthread_create(&thread[i], NULL, visits, &v[i]), 0);
	}
	for (i = 0; i < LOOPS; i++)
		(void)pthread_join(thread[i], NULL);
	fx_until_connections(fx, 0);
	fx_until(no_streams, fx, "streams are closed");
}

struct fds {
	unsigned max;
};

static bool
fds_back(void *arg)
{
	return fx_open_fds() <= ((struct fds *)arg)->max;
}

/* After as many as take what is taken once, the rest leaves descriptors and heap as they were. */
static void
visitors(void **state)
{
	const struct lt_server_options o = {
		.conns_per_address_max = 4096, .handshakes_max = 1024, .handshake_ms = 60000
	};
	struct fds fds;
	struct fx fx;
	size_t before, after;

	(void)state;
	fx_start(&fx, &o);
	visit_all(&fx, VISITS / 5);
	(void)malloc_trim(0);
	fds.max = fx_open_fds();
	before = mallinfo2().uordblks;
	visit_all(&fx, VISITS);
	fx_until(fds_back, &fds, "descriptors are given back");
	after = mallinfo2().uordblks;
	print_message("heap in use: %zu bytes before, %zu after\n", before, after);
	if (after > before && after - before > HEAP_GROWTH_MAX)
		fail_msg("%zu bytes of heap stayed", after - before);
	fx_stop(&fx);
}

static int
stranger(struct fx *fx, unsigned n)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f000002u + n % ADDRESSES) };
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)lt_server_port(fx->server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

struct counted {
	struct fx *fx;
	uint64_t strangers;
	unsigned fds_max;
};

static bool
all_judged(void *arg)
{
	struct counted *c = arg;
	struct lt_server_counts n;

	lt_server_counts(c->fx->server, &n);
	/* Counted as accepted first, as one who had to go then. */
	return n.accepted == c->strangers && n.evicted == STRANGERS - 256;
}

/* Who was turned away is closed by and by. */
static bool
few_fds(void *arg)
{
	return fx_open_fds() <= ((struct counted *)arg)->fds_max;
}

static bool
all_late(void *arg)
{
	struct counted *c = arg;
	struct lt_server_counts n;

	lt_server_counts(c->fx->server, &n);
	return n.evicted + n.handshake_late == c->strangers;
}

/* 2,000 who connect from 20 addresses and say nothing: the server keeps at most 256 of them, and those until their time is
 * over. Who is connected is served meanwhile; who comes then is let in, with all of them still there. */
static void
idle_strangers(void **state)
{
	static int fd[STRANGERS];
	const struct lt_server_options o = { .clock = &fx_clock };
	struct rlimit lim;
	struct lt_conn *early, *c;
	struct counted counted;
	struct lt_status st;
	struct fx fx;
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	unsigned i, fds;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = lim.rlim_max < 8192 ? lim.rlim_max : 8192;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	fx_start(&fx, &o);
	early = fx_dial(&fx, true);
	fds = fx_open_fds();
	for (i = 0; i < STRANGERS; i++)
		fd[i] = stranger(&fx, i);
	counted = (struct counted){ &fx, STRANGERS + 1, fds + STRANGERS + 256 + 8 };
	fx_until(all_judged, &counted, "all strangers are accepted, and all but 256 had to go");
	fx_until(few_fds, &counted, "those turned away are closed");
	assert_int_equal(
	    lt_conn_call_wait(early, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_OK);
	fx_clock_ms += LT_SERVER_HANDSHAKE_MS;
	counted.strangers = STRANGERS;
	fx_until(all_late, &counted, "the time of all strangers is over");
	c = fx_dial(&fx, true);
	assert_int_equal(lt_conn_call_wait(c, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_OK);
	assert_int_equal(
	    lt_conn_call_wait(early, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_OK);
	lt_conn_close(c);
	lt_conn_close(early);
	for (i = 0; i < STRANGERS; i++)
		(void)close(fd[i]);
	fx_stop(&fx);
}

/* One who asks for streams without end on every call it may open, and never reads: what waits for it stays within the bound of
 * one connection, others are served, and in the end it is cut. */
static void
never_reads(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	size_t before, most;
	struct lt_status st;
	struct lt_conn *c;
	struct fx fx;
	struct raw r;
	unsigned i;

	(void)state;
	fx_start(&fx, &o);
	c = fx_dial(&fx, true);
	assert_int_equal(lt_conn_call_wait(c, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_OK);
	before = mallinfo2().uordblks;
	raw_open(&r, &fx, true);
	for (i = 0; i < LT_MUX_CALLS_MAX; i++) {
		/* 2 million items of 16,000 bytes, with credit for 2 GiB: only the server's own bounds hold it back. */
		raw_request(&r, 2 * i + 1, "/lttest.Echo/Count", 0);
		(void)raw_send(&r, LT_FRAME_DATA, 3, 2 * i + 1, "\x10\xff\xff\x7f\x18\x80\x7d", 7);
		(void)raw_send(&r, LT_FRAME_CREDIT, 0, 2 * i + 1, "\x7f\xfe\x00\x00", 4);
	}
	for (i = 0, most = 0; i < 200; i++) {
		size_t now = mallinfo2().uordblks;

		most = now > before + most ? now - before : most;
		assert_int_equal(
		    lt_conn_call_wait(c, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_OK);
	}
	print_message("held for one who does not read: %zu bytes\n", most);
	/* What may wait, once as messages and once more in the allocator's sizes, and the calls themselves. */
	if (HEAP_GROWTH_MAX != SIZE_MAX)
		assert_true(most <= 2 * (size_t)LT_MUX_QUEUED_MAX + 4 * 1024 * 1024);
	raw_fill(&r); /* its time begins with the last byte that the socket took */
	fx_clock_ms += LT_CONN_STALL_MS;
	fx_until_connections(&fx, 1);
	assert_int_equal(lt_conn_call_wait(c, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_OK);
	raw_close(&r);
	lt_conn_close(c);
	fx_stop(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(visitors),
		cmocka_unit_test(idle_strangers),
		cmocka_unit_test(never_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
