/* What the figures of lt-bench rest on: percentiles, budgets, and a relay that counts and changes nothing. */
#include "tools/bench/relay.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Nearest rank, worked out by hand: of 1..n the p-th is ceil(p/100 * n). */
static void
percentiles_are_nearest_ranks(void **state)
{
	int64_t v[200];
	size_t i;

	(void)state;
	for (i = 0; i < 200; i++)
		v[i] = 200 - (int64_t)i; /* falling: it sorts */
	assert_int_equal(bench_percentile(v, 200, 50), 100);
	assert_int_equal(bench_percentile(v, 200, 99), 198);
	assert_int_equal(bench_percentile(v, 200, 100), 200);
	assert_int_equal(bench_percentile(v, 200, 0), 1);
	assert_int_equal(bench_percentile(v, 200, 0.5), 1);
	assert_int_equal(bench_percentile(v, 200, 0.6), 2);
	assert_int_equal(bench_percentile(v, 1, 50), 1);
	assert_int_equal(bench_percentile(v, 1, 99), 1);
	assert_int_equal(bench_percentile(v, 3, 99), 3);
}

static void
a_budget_is_met_at_its_bound(void **state)
{
	struct bench_figure f = { .budget = 60 };

	(void)state;
	f.sense = BENCH_AT_LEAST;
	f.value = 60;
	assert_true(bench_met(&f));
	f.value = 59.9;
	assert_false(bench_met(&f));
	f.sense = BENCH_AT_MOST;
	assert_true(bench_met(&f));
	f.value = 60;
	assert_true(bench_met(&f));
	f.value = 60.1;
	assert_false(bench_met(&f));
	f.sense = BENCH_INFO;
	assert_true(bench_met(&f));
}

static int
count_one(void *ctx, size_t i)
{
	((unsigned char *)ctx)[i]++;
	return LT_OK;
}

static int
fail_at_seven(void *ctx, size_t i)
{
	(void)ctx;
	return i == 7 ? LT_E_IO : LT_OK;
}

static void
parallel_does_each_once_and_tells_errors(void **state)
{
	struct bench b = { .cores = 4 };
	unsigned char seen[1000] = { 0 };
	size_t i;

	(void)state;
	assert_int_equal(bench_parallel(&b, 1000, count_one, seen), LT_OK);
	for (i = 0; i < 1000; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(bench_parallel(&b, 0, fail_at_seven, NULL), LT_OK);
	assert_int_equal(bench_parallel(&b, 7, fail_at_seven, NULL), LT_OK);
	assert_int_equal(bench_parallel(&b, 8, fail_at_seven, NULL), LT_E_IO);
}

/* ---- the relay ---- */

#define BULK ((size_t)3 << 20) /* far more than sockets hold: the relay must wait and keep */

static int
tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static struct sockaddr_in
loopback(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return a;
}

/* Bound to a port of the system's choice. */
static int
bound(int *port)
{
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);
	int fd = tcp();

	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static int
dialed(int port)
{
	struct sockaddr_in a = loopback(port);
	int fd = tcp();

	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

struct sending {
	int fd;
	const uint8_t *data;
	size_t len;
};

static void *
send_thread(void *arg)
{
	struct sending *s = arg;
	size_t at = 0;
	ssize_t n;

	while (at < s->len && (n = send(s->fd, s->data + at, s->len - at, MSG_NOSIGNAL)) > 0)
		at += (size_t)n;
	s->len = at;
	return NULL;
}

static void
receive(int fd, const uint8_t *want, size_t len)
{
	uint8_t *got = malloc(len);
	size_t at = 0;
	ssize_t n = 1;

	assert_non_null(got);
	while (at < len && n > 0) {
		n = recv(fd, got + at, len - at, 0);
		at += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(at, len);
	assert_memory_equal(got, want, len);
	free(got);
}

struct line {
	struct bench b;
	struct bench_relay *relay;
	int listener, port, target;
};

static void
line_open(struct line *l, size_t per_address)
{
	int placeholder;

	memset(l, 0, sizeof(*l));
	l->listener = bound(&l->target);
	assert_int_equal(listen(l->listener, 16), 0);
	placeholder = bound(&l->port);
	(void)close(placeholder);
	assert_int_equal(
	    bench_relay_start(&l->b, l->port, l->target, per_address, &l->relay), LT_OK);
}

static void
line_close(struct line *l)
{
	bench_relay_stop(l->relay);
	(void)close(l->listener);
}

static void
relay_passes_bytes_both_ways_and_counts_them(void **state)
{
	uint8_t *up = malloc(BULK), *down = malloc(BULK);
	uint64_t was_up, was_down;
	struct sending a, b;
	pthread_t ta, tb;
	struct line l;
	int near, far;

	(void)state;
	assert_non_null(up);
	assert_non_null(down);
	randombytes_buf(up, BULK);
	randombytes_buf(down, BULK);
	line_open(&l, 0);
	near = dialed(l.port);
	far = accept(l.listener, NULL, NULL);
	assert_true(far >= 0);
	a = (struct sending){ near, up, BULK };
	b = (struct sending){ far, down, BULK - 1 };
	assert_int_equal(pthread_create(&ta, NULL, send_thread, &a), 0);
	assert_int_equal(pthread_create(&tb, NULL, send_thread, &b), 0);
	receive(far, up, BULK);
	receive(near, down, BULK - 1);
	(void)pthread_join(ta, NULL);
	(void)pthread_join(tb, NULL);
	bench_relay_bytes(l.relay, &was_up, &was_down);
	assert_int_equal(was_up, BULK);
	assert_int_equal(was_down, BULK - 1);
	(void)close(near);
	(void)close(far);
	line_close(&l);
	free(up);
	free(down);
}

static void
relay_hangs_up_when_either_end_does(void **state)
{
	struct line l;
	uint8_t byte;
	int near, far;

	(void)state;
	line_open(&l, 0);
	near = dialed(l.port);
	far = accept(l.listener, NULL, NULL);
	(void)close(near);
	assert_true(recv(far, &byte, 1, 0) <= 0);
	(void)close(far);
	near = dialed(l.port);
	far = accept(l.listener, NULL, NULL);
	(void)close(far);
	assert_true(recv(near, &byte, 1, 0) <= 0);
	(void)close(near);
	(void)close(l.listener); /* nobody there any more */
	l.listener = -1;
	near = dialed(l.port);
	assert_true(recv(near, &byte, 1, 0) <= 0);
	(void)close(near);
	line_close(&l);
}

static uint32_t
source_of_next(struct line *l, int *near, int *far)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);

	*near = dialed(l->port);
	*far = accept(l->listener, (struct sockaddr *)&a, &len);
	assert_true(*far >= 0);
	return ntohl(a.sin_addr.s_addr);
}

static void
relay_gives_groups_of_connections_an_address_each(void **state)
{
	int near[5], far[5];
	struct line l;
	size_t i;

	(void)state;
	line_open(&l, 2);
	for (i = 0; i < 5; i++)
		assert_int_equal(
		    source_of_next(&l, &near[i], &far[i]), INADDR_LOOPBACK + (uint32_t)i / 2);
	for (i = 0; i < 5; i++) {
		(void)close(near[i]);
		(void)close(far[i]);
	}
	line_close(&l);
}

static void
relay_refuses_a_port_in_use(void **state)
{
	struct bench_relay *r = NULL;
	struct bench b = { 0 };
	int port, fd = bound(&port);

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(bench_relay_start(&b, port, port, 0, &r), LT_E_IO);
	assert_null(r);
	bench_relay_stop(NULL);
	(void)close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_nearest_ranks),
		cmocka_unit_test(a_budget_is_met_at_its_bound),
		cmocka_unit_test(parallel_does_each_once_and_tells_errors),
		cmocka_unit_test(relay_passes_bytes_both_ways_and_counts_them),
		cmocka_unit_test(relay_hangs_up_when_either_end_does),
		cmocka_unit_test(relay_gives_groups_of_connections_an_address_each),
		cmocka_unit_test(relay_refuses_a_port_in_use),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
