/* Strangers who connect, say nothing and come back as soon as they are closed: they do not keep out who belongs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/conn_impl.h"
#include "tests/rpc/fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ECHO (&lttest__echo__descriptor)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRANGERS \
	600 /* accepted one tenth as fast: whoever comes waits behind them in the kernel */
#else
#define STRANGERS 2000
#endif
#define NEWCOMERS 4
#define KNOWN_DIALS 4

struct flood {
	struct fx *fx;
	unsigned naddress; /* 127.0.1.0 and what follows */
	int epoll;
	int fd[STRANGERS];
	_Atomic uint64_t connects;
	_Atomic bool stop;
	pthread_t thread;
};

static struct sockaddr_in
at(uint32_t host, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(host),
		.sin_port = htons((uint16_t)port) };

	return a;
}

/* A socket from this address, connected or about to be. */
static int
socket_from(struct fx *fx, uint32_t host, int flags)
{
	struct sockaddr_in from = at(host, 0), to = at(INADDR_LOOPBACK, fx->port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int one = 1;

	assert_true(fd >= 0);
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static void
come(struct flood *f, unsigned i)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.u32 = i };
	const struct linger now = { 1, 0 }; /* no port is kept back */

	f->fd[i] = socket_from(f->fx, 0x7f000100u + i % f->naddress, SOCK_NONBLOCK);
	if (f->fd[i] < 0)
		return;
	(void)setsockopt(f->fd[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	assert_int_equal(epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->fd[i], &ev), 0);
	f->connects++;
}

/* Is it closed? What the server says is read and thrown away. */
static bool
is_closed(int fd)
{
	char bytes[256];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		;
	return n == 0 || (errno != EAGAIN && errno != EINTR);
}

static void *
flood(void *arg)
{
	struct flood *f = arg;
	struct epoll_event ev[64];
	int i, n;

	for (i = 0; i < STRANGERS && !f->stop; i++)
		come(f, (unsigned)i);
	while (!f->stop) {
		n = epoll_wait(f->epoll, ev, 64, 10);
		for (i = 0; i < n; i++) {
			unsigned k = ev[i].data.u32;

			if (!is_closed(f->fd[k]))
				continue;
			(void)close(f->fd[k]);
			come(f, k);
		}
	}
	return NULL;
}

static bool
all_came(void *arg)
{
	struct flood *f = arg;

	return f->connects >= STRANGERS + 256;
}

static void
flood_start(struct flood *f, struct fx *fx, unsigned naddress)
{
	struct rlimit lim;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = lim.rlim_max < 8192 ? lim.rlim_max : 8192;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	memset(f, 0, sizeof(*f));
	f->fx = fx;
	f->naddress = naddress;
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(pthread_create(&f->thread, NULL, flood, f), 0);
	fx_until(all_came, f, "all strangers have come, and some have come back");
}

static void
flood_stop(struct flood *f)
{
	unsigned i;

	f->stop = true;
	(void)pthread_join(f->thread, NULL);
	for (i = 0; i < STRANGERS; i++)
		if (f->fd[i] > 0)
			(void)close(f->fd[i]);
	(void)close(f->epoll);
}

static void
tell(struct flood *f, const char *who, unsigned n)
{
	struct lt_server_counts c;

	lt_server_counts(f->fx->server, &c);
	print_message(
	    "%u %s got in among %llu connects from %u addresses (%llu accepted, %llu made room)\n",
	    n, who, (unsigned long long)f->connects, f->naddress, (unsigned long long)c.accepted,
	    (unsigned long long)c.evicted);
}

/* From 20 addresses: whoever comes from one of its own, never seen before, gets in at the first attempt. */
static void
newcomers_get_in(void **state)
{
	static struct flood f;
	struct raw r;
	struct fx fx;
	unsigned i;
	int fd;

	(void)state;
	fx_start(&fx, NULL);
	flood_start(&f, &fx, 20);
	for (i = 0; i < NEWCOMERS; i++) {
		fd = socket_from(&fx, 0x7f001000u + i, 0);
		assert_true(fd >= 0);
		raw_open_on(&r, &fx, fd);
		raw_request(&r, 1, "/lttest.Echo/Say", 0);
		(void)raw_send(&r, LT_FRAME_DATA, 3, 1, "", 0);
		assert_int_equal(raw_end_of(&r, 1), LT_STATUS_OK);
		raw_close(&r);
	}
	tell(&f, "newcomers", NEWCOMERS);
	flood_stop(&f);
	fx_stop(&fx);
}

/* From more addresses than there are places: who was let in before gets in again, and who is in stays in. */
static void
known_get_in(void **state)
{
	static struct flood f;
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_conn *early, *c;
	struct lt_status st;
	struct fx fx;
	unsigned i;

	(void)state;
	fx_start(&fx, NULL);
	early = fx_dial(&fx, true);
	flood_start(&f, &fx, 1000);
	for (i = 0; i < KNOWN_DIALS; i++) {
		c = fx_dial(&fx, true);
		assert_int_equal(
		    lt_conn_call_wait(c, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_OK);
		lt_conn_close(c);
		assert_int_equal(
		    lt_conn_call_wait(early, ECHO, "Say", &req.base, 0, NULL, &st), LT_STATUS_OK);
		c = fx_dial(&fx, false); /* and the local socket */
		lt_conn_close(c);
	}
	tell(&f, "known ones", KNOWN_DIALS);
	lt_conn_close(early);
	flood_stop(&f);
	fx_stop(&fx);
}

/* ---- who has to go ---- */

struct expected {
	struct fx *fx;
	uint64_t accepted, evicted;
};

static bool
as_expected(void *arg)
{
	struct expected *e = arg;
	struct lt_server_counts c;

	lt_server_counts(e->fx->server, &c);
	return c.accepted == e->accepted && c.evicted == e->evicted;
}

static void
until(struct fx *fx, uint64_t accepted, uint64_t evicted)
{
	struct expected e = { fx, accepted, evicted };

	fx_until(as_expected, &e, "they came and went as expected");
}

/* Four places. Two of one address and one each of two others; who comes then takes the place of the older one of the two; after
 * that all have one each, and the oldest of all goes. */
static void
whose_place(void **state)
{
	static const unsigned from[] = { 1, 2, 3, 2, 4, 5 };
	const struct lt_server_options o = { .handshakes_max = 4, .clock = &fx_clock };
	int fd[6];
	struct fx fx;
	unsigned i;

	(void)state;
	fx_start(&fx, &o);
	for (i = 0; i < 6; i++) {
		fd[i] = socket_from(&fx, 0x7f000100u + from[i], 0);
		assert_true(fd[i] >= 0);
		until(&fx, i + 1, i < 4 ? 0 : i - 3);
	}
	assert_true(fd_until_closed(fd[1]));
	assert_true(fd_until_closed(fd[0]));
	for (i = 2; i < 6; i++) {
		char greeting[20], more;

		assert_int_equal(recv(fd[i], greeting, sizeof(greeting), MSG_WAITALL), 20);
		assert_int_equal(recv(fd[i], &more, 1, MSG_DONTWAIT), -1);
		(void)close(fd[i]);
	}
	(void)close(fd[0]);
	(void)close(fd[1]);
	fx_stop(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whose_place),
		cmocka_unit_test(newcomers_get_in),
		cmocka_unit_test(known_get_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
