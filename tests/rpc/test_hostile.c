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

#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ECHO (&lttest__echo__descriptor)

/* The server is as it was: somebody honest gets an answer. */
static void
still_serves(struct fx *fx)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_conn *c = fx_dial(fx, true);
	struct lt_status st;

	assert_int_equal(
	    lt_conn_call_wait(c, ECHO, "Say", &req.base, 10000, NULL, &st), LT_STATUS_OK);
	lt_conn_close(c);
}

static struct lt_server_counts
counts_of(struct fx *fx)
{
	struct lt_server_counts n;

	lt_server_counts(fx->server, &n);
	return n;
}

struct want {
	struct fx *fx;
	size_t offset;
	uint64_t n;
};

static bool
count_reached(void *arg)
{
	const struct want *w = arg;
	struct lt_server_counts n = counts_of(w->fx);
	uint64_t v;

	memcpy(&v, (const char *)&n + w->offset, sizeof(v));
	return v >= w->n;
}

#define UNTIL_COUNT(fx_, field, n_) \
	fx_until(count_reached, \
	    &(struct want){ (fx_), offsetof(struct lt_server_counts, field), (n_) }, \
	    #field " has risen")

/* Bytes of other protocols and random ones, announced huge lengths: closed without a word. */
static void
garbage(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} fixed[] = {
		{ "GET / HTTP/1.1\r\nHost: hub\r\n\r\n", 29 },
		{ "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff", 8 },
		{ "\x00\x00\x00\x00", 4 },
		{ "LTL1\xff\xff\xff\xff", 8 },
		{ "LTL1\x00\x00", 6 },
		{ "LTL1\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00", 14 },
	};
	uint8_t noise[700];
	struct fx fx;
	size_t i;
	int fd;

	(void)state;
	fx_start(&fx, NULL);
	for (i = 0; i < 60; i++) {
		fd = raw_connect(&fx, i % 2 == 0);
		if (i / 2 < sizeof(fixed) / sizeof(fixed[0])) {
			(void)send(fd, fixed[i / 2].bytes, fixed[i / 2].len, MSG_NOSIGNAL);
		} else {
			randombytes_buf(noise, sizeof(noise));
			noise[0] |= 1; /* no length that would be waited for, no magic */
			(void)send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
		}
		assert_true(fd_until_closed(fd));
		(void)close(fd);
	}
	still_serves(&fx);
	assert_int_equal(fx.admitted, 1);
	fx_stop(&fx);
}

/* FORMAT.md 6.1, not the program's own name for it: 5 s are promised. */
#define HANDSHAKE_MS 4000

/* Silent, and one byte at a time but never done: both are closed when the time for the handshake is over. */
static void
silent_strangers(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock };
	struct fx fx;
	int fd[3];
	size_t i;

	(void)state;
	fx_start(&fx, &o);
	fd[0] = raw_connect(&fx, true);
	fd[1] = raw_connect(&fx, false);
	fd[2] = raw_connect(&fx, true);
	(void)send(fd[2], "\0\x70half a knock", 14, MSG_NOSIGNAL);
	UNTIL_COUNT(&fx, accepted, 3);
	fx_clock_ms += HANDSHAKE_MS;
	for (i = 0; i < 3; i++) {
		assert_true(fd_until_closed(fd[i]));
		(void)close(fd[i]);
	}
	UNTIL_COUNT(&fx, handshake_late, 3);
	still_serves(&fx);
	fx_stop(&fx);
}

/* Above each limit a connection is closed at once, where a silent one can go for it the oldest of those; below it there is room
 * again as soon as one goes. */
static void
limits_of_strangers(void **state)
{
	const struct lt_server_options total = { .handshakes_max = 3, .handshake_ms = 20000 };
	const struct lt_server_options address = { .conns_per_address_max = 2,
		.handshake_ms = 20000 };
	const struct lt_server_options conns = { .conns_max = 2 };
	const struct lt_server_options *all[] = { &total, &address, &conns };
	const unsigned room[] = { 3, 2, 2 };
	struct fx fx;
	uint8_t hello[20];
	unsigned i, k;
	int fd[5], gone;

	(void)state;
	for (k = 0; k < 3; k++) {
		fx_start(&fx, all[k]);
		for (i = 0; i < room[k]; i++) {
			fd[i] = raw_connect(&fx, true);
			assert_int_equal(recv(fd[i], hello, sizeof(hello), MSG_WAITALL), 20);
			assert_memory_equal(hello, "LT1\n", 4);
		}
		fd[i] = raw_connect(&fx, true);
		if (k != 1) {
			assert_int_equal(recv(fd[i], hello, sizeof(hello), MSG_WAITALL), 20);
			gone = fd[0];
			fd[0] = fd[i];
		} else {
			gone = fd[i];
		}
		assert_int_equal(recv(gone, hello, 1, 0) <= 0, 1);
		(void)close(gone);
		UNTIL_COUNT(&fx, evicted, k != 1);
		assert_int_equal(counts_of(&fx).over_limit, k == 1);
		for (i = 0; i < room[k]; i++)
			(void)close(fd[i]);
		UNTIL_COUNT(&fx, bad_handshake, room[k]);
		still_serves(&fx);
		fx_stop(&fx);
	}
}

/* Those who are in stay, whoever comes. */
static void
places_of_friends(void **state)
{
	const struct lt_server_options o = { .conns_max = 2 };
	struct lt_conn *c[2];
	struct fx fx;
	uint8_t byte;
	unsigned i;
	int fd;

	(void)state;
	fx_start(&fx, &o);
	c[0] = fx_dial(&fx, true);
	c[1] = fx_dial(&fx, false);
	for (i = 1; i <= 10; i++) {
		fd = raw_connect(&fx, i % 2 == 0);
		assert_true(recv(fd, &byte, 1, 0) <= 0);
		(void)close(fd);
		UNTIL_COUNT(&fx, over_limit, i);
	}
	assert_int_equal(counts_of(&fx).evicted, 0);
	assert_true(lt_conn_alive(c[0]) && lt_conn_alive(c[1]));
	lt_conn_close(c[0]);
	lt_conn_close(c[1]);
	fx_stop(&fx);
}

/* A stranger who knows the server's public key: a knock that fits, before a message 1 of noise. Returns when it is closed. */
static void
knock(struct fx *fx, uint32_t address)
{
	static const uint8_t tag[] = "\x09lt1.knock";
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) },
			   to = { .sin_family = AF_INET,
				   .sin_port = htons((uint16_t)lt_server_port(fx->server)),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint8_t hello[20], key[32], out[2 + LT_LINE_KNOCK_LEN + LT_NOISE_MSG1_LEN];
	crypto_generichash_blake2b_state st;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(recv(fd, hello, sizeof(hello), MSG_WAITALL), sizeof(hello));
	lt_store_u16(out, sizeof(out) - 2);
	randombytes_buf(out + 2 + LT_LINE_KNOCK_LEN, LT_NOISE_MSG1_LEN);
	(void)crypto_generichash_blake2b_init(&st, NULL, 0, 32);
	(void)crypto_generichash_blake2b_update(&st, tag, sizeof(tag) - 1);
	(void)crypto_generichash_blake2b_update(&st, fx->server_pk, 32);
	(void)crypto_generichash_blake2b_final(&st, key, 32);
	(void)crypto_generichash_blake2b_init(&st, key, 32, LT_LINE_KNOCK_LEN);
	(void)crypto_generichash_blake2b_update(&st, hello + 4, LT_LINE_NONCE_LEN);
	(void)crypto_generichash_blake2b_update(
	    &st, out + 2 + LT_LINE_KNOCK_LEN, LT_NOISE_MSG1_LEN);
	(void)crypto_generichash_blake2b_final(&st, out + 2, LT_LINE_KNOCK_LEN);
	assert_int_equal(send(fd, out, sizeof(out), MSG_NOSIGNAL), sizeof(out));
	assert_true(fd_until_closed(fd));
	(void)close(fd);
}

/* The places of those who knock are bounded, and what is computed for them as well: for one address, and for all strangers
 * together. Nobody whom the server knows loses by it. */
static void
knocks_that_cost(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock };
	const uint32_t first = INADDR_LOOPBACK + 256;
	unsigned i, k, bad = 0, over = 0;
	struct lt_conn *c;
	struct fx fx;

	(void)state;
	fx_start(&fx, &o);
	c = fx_dial(&fx, true); /* 127.0.0.1 is known now */
	for (i = 0; i < LT_SERVER_WORK_BURST; i++)
		knock(&fx, first);
	UNTIL_COUNT(&fx, bad_handshake, bad += LT_SERVER_WORK_BURST);
	assert_int_equal(counts_of(&fx).over_rate, 0);
	knock(&fx, first);
	UNTIL_COUNT(&fx, over_rate, ++over);
	/* One more when its time has come, and not before. */
	fx_clock_ms += 1000 / LT_SERVER_STRANGER_WORK_PER_S - 1;
	knock(&fx, first);
	UNTIL_COUNT(&fx, over_rate, ++over);
	fx_clock_ms += 1;
	knock(&fx, first);
	UNTIL_COUNT(&fx, bad_handshake, ++bad);
	/* All strangers: what came in meanwhile has filled the reserve of all up again by 20. */
	for (k = 1; k < LT_SERVER_STRANGERS_WORK_BURST / LT_SERVER_WORK_BURST; k++)
		for (i = 0; i < LT_SERVER_WORK_BURST; i++)
			knock(&fx, first + k);
	bad += LT_SERVER_STRANGERS_WORK_BURST - LT_SERVER_WORK_BURST;
	UNTIL_COUNT(&fx, bad_handshake, bad);
	for (i = 0; i < LT_SERVER_STRANGERS_WORK_PER_S / LT_SERVER_STRANGER_WORK_PER_S - 1; i++)
		knock(&fx, first + k);
	UNTIL_COUNT(&fx, bad_handshake, bad += i);
	knock(&fx, first + k);
	UNTIL_COUNT(&fx, over_rate, ++over);
	assert_int_equal(counts_of(&fx).bad_handshake, bad);
	/* Who was let in costs nothing of it, however often he comes. */
	for (i = 0; i < LT_SERVER_WORK_BURST + 10; i++)
		lt_conn_close(fx_dial(&fx, true));
	assert_int_equal(counts_of(&fx).over_rate, over);
	assert_true(lt_conn_alive(c));
	lt_conn_close(c);
	fx_stop(&fx);
}

/* Not known: message 1 is right, and the answer is a close; `closed` is not told. */
static void
unknown_principal(void **state)
{
	struct lt_dial_options o;
	struct lt_conn *c;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	fx.admit_rc = LT_E_NOTFOUND;
	o = fx_dial_options(&fx, true);
	assert_int_equal(lt_dial(&o, &c, NULL), LT_E_DENIED);
	UNTIL_COUNT(&fx, not_admitted, 1);
	assert_int_equal(lt_server_connections(fx.server), 0);
	fx.admit_rc = LT_OK;
	still_serves(&fx);
	fx_stop(&fx);
	assert_int_equal(fx.closed, 1);
}

static bool
one_held(void *arg)
{
	return fx_held(arg) == 1;
}

/* The deadline is the server's business: this caller does not keep time. */
static void
server_keeps_deadlines(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock };
	struct lt_frame f;
	struct fx fx;
	struct raw r;

	(void)state;
	fx_start(&fx, &o);
	raw_open(&r, &fx, true);
	raw_request(&r, 1, "/lttest.Echo/Hold", 30);
	(void)raw_send(&r, LT_FRAME_DATA, 3, 1, NULL, 0);
	fx_until(one_held, &fx, "the call is held");
	fx_clock_ms += 30;
	assert_int_equal(raw_end_of(&r, 1), LT_STATUS_DEADLINE_EXCEEDED);
	/* Held calls that are over are answered by their handler: nothing is sent, the call is not opened again. */
	fx_answer_all(&fx);
	/* A request that never becomes whole. */
	raw_request(&r, 3, "/lttest.Echo/Say", 30);
	(void)raw_send(&r, LT_FRAME_DATA, 0, 3, "\x0a", 1);
	raw_sync(&r);
	fx_clock_ms += 30;
	assert_int_equal(raw_end_of(&r, 3), LT_STATUS_DEADLINE_EXCEEDED);
	/* A stream with a deadline. */
	raw_request(&r, 5, "/lttest.Echo/Count", 30);
	(void)raw_send(&r, LT_FRAME_DATA, 3, 5, "\x10\x80\xd0\xac\xf3\x0e\x18\xe8\x07", 9);
	raw_sync(&r);
	fx_clock_ms += 30;
	assert_int_equal(raw_end_of(&r, 5), LT_STATUS_DEADLINE_EXCEEDED);
	raw_request(&r, 7, "/lttest.Echo/Say", 0);
	(void)raw_send(&r, LT_FRAME_DATA, 3, 7, NULL, 0);
	assert_true(raw_next(&r, &f));
	assert_int_equal(f.id, 7);
	assert_int_equal(f.type, LT_FRAME_DATA);
	assert_int_equal(raw_end_of(&r, 7), LT_STATUS_OK);
	raw_close(&r);
	fx_stop(&fx);
}

struct data_frame {
	uint8_t flags;
	const char *bytes;
	size_t len;
};

/* Requests that are wrong in a way that the call can be told. */
static void
bad_requests(void **state)
{
	static const struct {
		const char *descr;
		const char *method;
		struct data_frame data[2];
		int status;
	} cases[] = {
		{ "good", "/lttest.Echo/Say", { { 3, "\x0a\x01x", 3 } }, LT_STATUS_OK },
		{ "malformed", "/lttest.Echo/Say", { { 3, "\x0a\x05x", 3 } },
		    LT_STATUS_INVALID_ARGUMENT },
		{ "text with a NUL", "/lttest.Echo/Fail",
		    { { 3,
			"\x12\x02"
			"a\0",
			4 } },
		    LT_STATUS_INVALID_ARGUMENT },
		{ "compressed", "/lttest.Echo/Say", { { 7, "\x0a\x01x", 3 } },
		    LT_STATUS_INVALID_ARGUMENT },
		{ "no message", "/lttest.Echo/Say", { { 2, "", 0 } }, LT_STATUS_INVALID_ARGUMENT },
		{ "in two pieces", "/lttest.Echo/Say", { { 0, "\x0a\x01", 2 }, { 3, "x", 1 } },
		    LT_STATUS_OK },
		{ "two messages", "/lttest.Echo/Hold", { { 1, "", 0 }, { 1, "", 0 } },
		    LT_STATUS_INVALID_ARGUMENT },
		{ "no such method", "/lttest.Echo/Sing", { { 3, "", 0 } },
		    LT_STATUS_UNIMPLEMENTED },
		{ "no such service", "/lttest.Ech/Say", { { 3, "", 0 } }, LT_STATUS_UNIMPLEMENTED },
		{ "no method at all", "", { { 3, "", 0 } }, LT_STATUS_UNIMPLEMENTED },
	};
	uint32_t id = 1;
	struct fx fx;
	struct raw r;
	size_t i, k;

	(void)state;
	fx_start(&fx, NULL);
	raw_open(&r, &fx, true);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++, id += 2) {
		print_message("%s\n", cases[i].descr);
		if (cases[i].method[0] == '\0')
			(void)raw_send(&r, LT_FRAME_REQUEST, 0, id, "\x10\x01", 2);
		else
			raw_request(&r, id, cases[i].method, 0);
		for (k = 0; k < 2 && cases[i].data[k].bytes != NULL; k++)
			(void)raw_send(&r, LT_FRAME_DATA, cases[i].data[k].flags, id,
			    cases[i].data[k].bytes, cases[i].data[k].len);
		assert_int_equal(raw_end_of(&r, id), cases[i].status);
	}
	/* A head that is none, and one with random bytes. */
	(void)raw_send(&r, LT_FRAME_REQUEST, 0, id, "\xff\xff\xff", 3);
	assert_int_equal(raw_end_of(&r, id), LT_STATUS_INVALID_ARGUMENT);
	/* A type from a newer program is skipped. */
	(void)raw_send(&r, 16, 0x55, 77, "future", 6);
	raw_request(&r, id + 2, "/lttest.Echo/Say", 0);
	(void)raw_send(&r, LT_FRAME_DATA, 3, id + 2, NULL, 0);
	assert_int_equal(raw_end_of(&r, id + 2), LT_STATUS_OK);
	fx_answer_all(&fx);
	raw_close(&r);
	fx_stop(&fx);
}

/* Breaking the rules of the frames ends the connection. */
static void
rule_breakers(void **state)
{
	struct fx fx;
	struct raw r;
	int k;

	(void)state;
	fx_start(&fx, NULL);
	for (k = 0; k < 12; k++) {
		raw_open(&r, &fx, k % 2 == 0);
		switch (k) {
		case 0:
			(void)raw_send(&r, LT_FRAME_DATA, 0, 1, "x", 1);
			break;
		case 1:
			(void)raw_send(&r, 9, 0, 1, NULL, 0);
			break;
		case 2:
			(void)raw_send(&r, 0, 0, 1, NULL, 0);
			break;
		case 3: /* our numbers are the odd ones */
			raw_request(&r, 2, "/lttest.Echo/Say", 0);
			break;
		case 4: /* a number twice */
			raw_request(&r, 1, "/lttest.Echo/Hold", 0);
			raw_request(&r, 1, "/lttest.Echo/Hold", 0);
			break;
		case 5: /* a call never opened */
			(void)raw_send(&r, LT_FRAME_CANCEL, 0, 99, NULL, 0);
			break;
		case 6: /* END is the server's */
			raw_request(&r, 1, "/lttest.Echo/Hold", 0);
			(void)raw_send(&r, LT_FRAME_END, 0, 1, NULL, 0);
			break;
		case 7: /* credit beyond measure */
			raw_request(&r, 1, "/lttest.Echo/Hold", 0);
			(void)raw_send(&r, LT_FRAME_CREDIT, 0, 1, "\x7f\xff\xff\xff", 4);
			break;
		case 8: /* data behind the last */
			raw_request(&r, 1, "/lttest.Echo/Hold", 0);
			(void)raw_send(&r, LT_FRAME_DATA, 3, 1, NULL, 0);
			(void)raw_send(&r, LT_FRAME_DATA, 0, 1, "x", 1);
			break;
		case 9: /* flag of no meaning */
			(void)raw_send(&r, LT_FRAME_CANCEL, 1, 1, NULL, 0);
			break;
		case 10: /* a frame altered on the way */
			(void)send(
			    r.fd, "\0\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 34, MSG_NOSIGNAL);
			break;
		default: /* length beyond the largest */
			(void)send(r.fd, "\xff\xff", 2, MSG_NOSIGNAL);
			break;
		}
		raw_until_closed(&r);
		raw_close(&r);
		UNTIL_COUNT(&fx, cut, (uint64_t)k + 1);
	}
	still_serves(&fx);
	fx_answer_all(&fx);
	fx_stop(&fx);
}

/* A peer that respects its credit may send a message of 1 MiB; one byte more is refused for the call alone. */
static void
credit_and_size(void **state)
{
	static uint8_t big[16384];
	struct lt_frame f;
	struct fx fx;
	struct raw r;
	size_t credit = 65536, sent = 0, n;
	int status = -1;

	(void)state;
	fx_start(&fx, NULL);
	raw_open(&r, &fx, true);
	raw_request(&r, 1, "/lttest.Echo/Say", 0);
	while (status < 0) {
		n = credit < sizeof(big) ? credit : sizeof(big);
		if (n != 0) {
			(void)raw_send(&r, LT_FRAME_DATA, 0, 1, big, n);
			credit -= n;
			sent += n;
			continue;
		}
		assert_true(raw_next(&r, &f));
		if (f.type == LT_FRAME_CREDIT && f.id == 1)
			credit += lt_load_u32(f.payload.data);
		if (f.type == LT_FRAME_END && f.id == 1)
			status = 1;
	}
	/* Counted before it is stored: never more than one window beyond the limit was let in. */
	assert_true(sent > 1048576 && sent <= 1048576 + 65536);
	raw_request(&r, 3, "/lttest.Echo/Say", 0);
	for (n = 0; n < 5; n++)
		(void)raw_send(&r, LT_FRAME_DATA, 0, 3, big, n < 4 ? sizeof(big) : 1);
	raw_request(&r, 5, "/lttest.Echo/Say", 0);
	(void)raw_send(&r, LT_FRAME_DATA, 3, 5, NULL, 0);
	assert_int_equal(raw_end_of(&r, 5), LT_STATUS_OK); /* credit had come back in time */
	raw_close(&r);

	still_serves(&fx);
	fx_answer_all(&fx);
	fx_stop(&fx);
}

static void
block(void *arg)
{
	_Atomic bool *go = arg;

	while (!*go)
		(void)poll(NULL, 0, 1);
}

/* While nobody consumes (all workers are busy) one window and no byte more may be sent on a call. */
static void
credit_overrun(void **state)
{
	static uint8_t big[16384];
	static _Atomic bool go; /* outlives the test: workers look at it until they stop */
	struct fx fx;
	struct raw r;
	int over, n;

	(void)state;
	for (over = 0; over < 2; over++) {
		fx_start(&fx, NULL);
		raw_open(&r, &fx, true);
		fx_until_connections(&fx, 1);
		go = false;
		for (n = 0; n < 4; n++)
			assert_int_equal(lt_pool_submit(fx.pool, block, &go), LT_OK);
		raw_request(&r, 1, "/lttest.Echo/Hold", 0);
		(void)raw_send(&r, LT_FRAME_DATA, 1, 1, "\x10\x01", 2);
		for (n = 0; n < 3; n++)
			(void)raw_send(&r, LT_FRAME_DATA, 0, 1, big, sizeof(big));
		(void)raw_send(&r, LT_FRAME_DATA, 0, 1, big, sizeof(big) - 2 + (size_t)over);
		if (over) {
			raw_until_closed(&r);
			go = true;
			UNTIL_COUNT(&fx, cut, 1);
		} else {
			go = true;
			(void)raw_send(&r, LT_FRAME_DATA, 1, 1, NULL, 0);
			assert_int_equal(
			    raw_end_of(&r, 1), LT_STATUS_INVALID_ARGUMENT); /* two messages */
		}
		assert_int_equal(counts_of(&fx).cut, over);
		raw_close(&r);
		still_serves(&fx);
		fx_answer_all(&fx);
		fx_stop(&fx);
	}
}

/* Asks for much and reads nothing, pinging all the time: cut when its queue has stood still. */
static void
never_reads(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock };
	static const uint8_t request[] = { 0x18, 0x80, 0xb5, 0x18 }; /* size: 400,000 */
	struct fx fx;
	struct raw r;
	uint32_t id;
	int small = 4096;

	(void)state;
	fx_start(&fx, &o);
	raw_open(&r, &fx, true);
	(void)setsockopt(r.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (id = 1; id < 80; id += 2) {
		raw_request(&r, id, "/lttest.Echo/Say", 0);
		(void)raw_send(&r, LT_FRAME_CREDIT, 0, id, "\x01\0\0\0", 4);
		(void)raw_send(&r, LT_FRAME_DATA, 3, id, request, sizeof(request));
	}
	/* Heard all the time, and so never idle. */
	while (raw_send(&r, LT_FRAME_PONG, 0, 0, "12345678", 8)) {
		fx_clock_ms += 100;
		(void)poll(NULL, 0, 5);
	}
	UNTIL_COUNT(&fx, cut, 1);
	fx_until_connections(&fx, 0);
	raw_close(&r);
	still_serves(&fx);
	fx_stop(&fx);
}

/* Pings without end whose answers nobody reads: the control queue is bounded. */
static void
ping_flood(void **state)
{
	struct fx fx;
	struct raw r;
	int small = 4096;

	(void)state;
	fx_start(&fx, NULL);
	raw_open(&r, &fx, false);
	(void)setsockopt(r.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	while (raw_send(&r, LT_FRAME_PING, 0, 0, "12345678", 8))
		;
	UNTIL_COUNT(&fx, cut, 1);
	raw_close(&r);
	still_serves(&fx);
	fx_stop(&fx);
}

/* Says nothing after the handshake: pinged, then closed. One that answers stays. */
static void
idle(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock };
	struct timeval patience = { .tv_sec = 20 };
	struct raw dead, alive;
	uint8_t frame[18];
	struct fx fx;

	(void)state;
	fx_start(&fx, &o);
	raw_open(&dead, &fx, false);
	raw_open(&alive, &fx, true);
	raw_sync(&alive);
	(void)setsockopt(dead.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(recv(dead.fd, frame, sizeof(frame), MSG_WAITALL), sizeof(frame));
	assert_int_equal(frame[2], LT_FRAME_PONG); /* to the first word of any peer */
	fx_clock_ms += LT_CONN_IDLE_MS / 2;
	assert_int_equal(recv(dead.fd, frame, sizeof(frame), MSG_WAITALL), sizeof(frame));
	assert_int_equal(frame[2], LT_FRAME_PING);
	raw_sync(&alive);
	fx_clock_ms += LT_CONN_IDLE_MS / 2;
	assert_true(fd_until_closed(dead.fd));
	UNTIL_COUNT(&fx, cut, 1);
	raw_sync(&alive);
	assert_int_equal(counts_of(&fx).cut, 1);
	raw_close(&dead);
	raw_close(&alive);
	fx_stop(&fx);
}

/* A PING followed by a second one whose length a flipped bit has made 8 KiB larger. */
static void
flipped_ping(struct raw *r, struct lt_buf *out)
{
	uint8_t frame[LT_FRAME_MAX];
	size_t n = lt_frame_build(frame, LT_FRAME_PING, 0, 0, lt_slice("in step!", 8)), at;

	lt_line_seal(r->line, lt_slice(frame, n), out);
	at = out->len;
	lt_line_seal(r->line, lt_slice(frame, n), out);
	out->data[at] ^= 0x20;
}

/* The rest of a frame that has begun is waited for until its time is over, and not as long as for a silent peer. Up to
 * then it may come. */
static void
frame_never_ends(void **state)
{
	const struct lt_server_options o = { .clock = &fx_clock };
	struct lt_buf bytes;
	struct lt_frame f;
	struct fx fx;
	struct raw r;
	size_t cut;
	int k;

	(void)state;
	for (k = 0; k < 4; k++) {
		fx_start(&fx, &o);
		raw_open(&r, &fx, k % 2 == 0);
		raw_request(&r, 1, "/lttest.Echo/Hold", LT_CONN_FRAME_MS - 1);
		(void)raw_send(&r, LT_FRAME_DATA, 3, 1, NULL, 0);
		raw_sync(&r);
		memset(&bytes, 0, sizeof(bytes));
		flipped_ping(&r, &bytes);
		cut = bytes.len;
		if (k < 2) { /* no bit has flipped; the line is slow */
			bytes.data[bytes.len / 2] ^= 0x20;
			cut -= k == 0 ? 1 : bytes.len / 2 - 1; /* all but one byte; one byte */
		}
		(void)send(r.fd, bytes.data, cut, MSG_NOSIGNAL);
		assert_true(raw_next(&r, &f));
		assert_int_equal(f.type, LT_FRAME_PONG);
		fx_clock_ms += LT_CONN_FRAME_MS - 1;
		/* The deadlines of calls are looked at behind the frame's. */
		assert_int_equal(raw_end_of(&r, 1), LT_STATUS_DEADLINE_EXCEEDED);
		if (k < 2) {
			(void)send(r.fd, bytes.data + cut, bytes.len - cut, MSG_NOSIGNAL);
			assert_true(raw_next(&r, &f));
			assert_int_equal(f.type, LT_FRAME_PONG);
			fx_clock_ms += LT_CONN_FRAME_MS;
			raw_request(&r, 3, "/lttest.Echo/Hold", 1);
			raw_sync(&r);
			fx_clock_ms += 1;
			assert_int_equal(raw_end_of(&r, 3), LT_STATUS_DEADLINE_EXCEEDED);
		} else {
			fx_clock_ms += 1;
			raw_until_closed(&r);
			UNTIL_COUNT(&fx, cut, 1);
		}
		assert_int_equal(counts_of(&fx).cut, k / 2);
		lt_buf_fini(&bytes);
		raw_close(&r);
		fx_stop(&fx);
	}
}

/* ---- a hub that is the enemy ---- */

struct enemy {
	int fd; /* listening */
	char url[64];
	struct fx *fx;
	void (*act)(struct raw *r);
	pthread_t thread;
};

static void *
enemy_run(void *arg)
{
	struct enemy *e = arg;
	struct raw r;

	raw_accept(&r, accept(e->fd, NULL, NULL), false, e->fx);
	e->act(&r);
	while (!r.eof) {
		struct lt_frame f;

		if (!raw_next(&r, &f))
			break;
	}
	raw_close(&r);
	return NULL;
}

static void
enemy_start(struct enemy *e, struct fx *fx, void (*act)(struct raw *r))
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	e->fx = fx;
	e->act = act;
	e->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(e->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(e->fd, 1), 0);
	assert_int_equal(getsockname(e->fd, (struct sockaddr *)&in, &len), 0);
	(void)snprintf(e->url, sizeof(e->url), "tcp://127.0.0.1:%d", (int)ntohs(in.sin_port));
	assert_int_equal(pthread_create(&e->thread, NULL, enemy_run, e), 0);
}

static void
await_request(struct raw *r)
{
	struct lt_frame f;

	do
		assert_true(raw_next(r, &f));
	while (f.type != LT_FRAME_DATA || (f.flags & LT_DATA_NO_MORE) == 0);
}

static void
act_credit(struct raw *r)
{
	static uint8_t big[16384];
	int n;

	await_request(r);
	(void)raw_send(r, LT_FRAME_DATA, 1, 1, NULL, 0); /* the callback of this one waits */
	for (n = 0; n < 5; n++)
		(void)raw_send(r, LT_FRAME_DATA, 0, 1, big, n < 4 ? sizeof(big) : 1);
}

static void
act_malformed(struct raw *r)
{
	await_request(r);
	(void)raw_send(r, LT_FRAME_DATA, 1, 1, "\x0a\x7f", 2);
	(void)raw_send(r, LT_FRAME_END, 0, 1, NULL, 0);
}

static void
act_zstd(struct raw *r)
{
	await_request(r);
	(void)raw_send(r, LT_FRAME_DATA, 5, 1, "x", 1);
}

static void
act_nothing(struct raw *r)
{
	await_request(r);
	(void)raw_send(r, LT_FRAME_END, 0, 1, NULL, 0);
}

static void
act_two(struct raw *r)
{
	await_request(r);
	(void)raw_send(r, LT_FRAME_DATA, 1, 1, NULL, 0);
	(void)raw_send(r, LT_FRAME_DATA, 1, 1, NULL, 0);
	(void)raw_send(r, LT_FRAME_END, 0, 1, NULL, 0);
}

static void
act_half(struct raw *r)
{
	await_request(r);
	(void)raw_send(r, LT_FRAME_DATA, 0, 1, "\x0a", 1);
	(void)raw_send(r, LT_FRAME_END, 0, 1, NULL, 0);
}

static void
act_bad_status(struct raw *r)
{
	await_request(r);
	(void)raw_send(r, LT_FRAME_END, 0, 1, "\xff\xff", 2);
}

static void
act_unasked(struct raw *r)
{
	await_request(r);
	(void)raw_send(r, LT_FRAME_END, 0, 99, NULL, 0);
}

static void
act_huge(struct raw *r)
{
	await_request(r);
	(void)send(r->fd, "\xff\xff", 2, MSG_NOSIGNAL);
}

/* An answer, and behind it the frame whose length is wrong. */
static void
act_flipped(struct raw *r)
{
	uint8_t frame[LT_FRAME_MAX];
	struct lt_buf out = { 0 };
	size_t n = lt_frame_build(frame, LT_FRAME_DATA, 1, 1, lt_slice(NULL, 0));

	await_request(r);
	lt_line_seal(r->line, lt_slice(frame, n), &out);
	flipped_ping(r, &out);
	(void)send(r->fd, out.data, out.len, MSG_NOSIGNAL);
	lt_buf_fini(&out);
}

/* Calls the client, which serves nothing and says so; then answers. */
static void
act_calls_back(struct raw *r)
{
	await_request(r);
	raw_request(r, 2, "/lttest.Echo/Say", 0);
	if (raw_end_of(r, 2) == LT_STATUS_UNIMPLEMENTED) {
		(void)raw_send(r, LT_FRAME_DATA, 1, 1, NULL, 0);
		(void)raw_send(r, LT_FRAME_END, 0, 1, NULL, 0);
	} else {
		(void)raw_send(r, LT_FRAME_END, 0, 1, "\x08\x0d", 2);
	}
}

/* Whatever the hub does, the call ends with an error that says so, and the client can be closed. */
static void
enemy_hub(void **state)
{
	static const struct {
		const char *descr;
		void (*act)(struct raw *r);
		int status;
	} cases[] = {
		{ "malformed answer", act_malformed, LT_STATUS_INTERNAL },
		{ "compressed answer", act_zstd, LT_STATUS_INTERNAL },
		{ "OK without an answer", act_nothing, LT_STATUS_INTERNAL },
		{ "two answers", act_two, LT_STATUS_INTERNAL },
		{ "half an answer", act_half, LT_STATUS_INTERNAL },
		{ "malformed status", act_bad_status, LT_STATUS_INTERNAL },
		{ "ends a call never opened", act_unasked, LT_STATUS_UNAVAILABLE },
		{ "huge length", act_huge, LT_STATUS_UNAVAILABLE },
		{ "calls the client", act_calls_back, LT_STATUS_OK },
	};
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_dial_options o;
	struct lt_status st;
	struct lt_conn *c;
	struct enemy e;
	struct fx fx;
	size_t i;

	(void)state;
	fx_start(&fx, NULL);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].descr);
		enemy_start(&e, &fx, cases[i].act);
		o = fx_dial_options(&fx, true);
		o.url = e.url;
		assert_int_equal(lt_dial(&o, &c, NULL), LT_OK);
		assert_int_equal(lt_conn_call_wait(c, ECHO, "Say", &req.base, 15000, NULL, &st),
		    cases[i].status);
		lt_conn_close(c);
		pthread_join(e.thread, NULL);
		(void)close(e.fd);
	}
	fx_stop(&fx);
}

struct waits {
	_Atomic bool go, ended;
	enum lt_status_code code;
};

static void
waits_item(void *ctx, const ProtobufCMessage *m)
{
	(void)m;
	block(&((struct waits *)ctx)->go);
}

static void
waits_end(void *ctx, const struct lt_status *status)
{
	struct waits *w = ctx;

	w->code = status->code;
	w->ended = true;
}

static bool
has_died(void *arg)
{
	return !lt_conn_alive(arg);
}

/* A hub that sends beyond the credit of a slow client loses the connection. */
static void
enemy_overruns(void **state)
{
	static const struct lt_call_ops ops = { waits_item, waits_end };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct waits w = { .go = false };
	struct lt_dial_options o;
	struct lt_conn *c;
	struct enemy e;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	enemy_start(&e, &fx, act_credit);
	o = fx_dial_options(&fx, true);
	o.url = e.url;
	assert_int_equal(lt_dial(&o, &c, NULL), LT_OK);
	assert_int_equal(lt_conn_call(c, ECHO, "Count", &req.base, 0, &ops, &w, NULL), LT_OK);
	fx_until(has_died, c, "the client ends the connection");
	assert_false(w.ended);
	w.go = true;
	lt_conn_close(c);
	assert_true(w.ended);
	assert_int_equal(w.code, LT_STATUS_UNAVAILABLE);
	pthread_join(e.thread, NULL);
	(void)close(e.fd);
	fx_stop(&fx);
}

struct heard {
	_Atomic unsigned items, ends;
	enum lt_status_code code;
};

static void
heard_item(void *ctx, const ProtobufCMessage *m)
{
	(void)m;
	((struct heard *)ctx)->items++;
}

static void
heard_end(void *ctx, const struct lt_status *status)
{
	struct heard *h = ctx;

	h->code = status->code;
	h->ends++;
}

static bool
has_item(void *arg)
{
	return ((struct heard *)arg)->items != 0;
}

static bool
has_ended(void *arg)
{
	return ((struct heard *)arg)->ends != 0;
}

/* The same at the client, whose calls then end too. */
static void
enemy_frame_never_ends(void **state)
{
	static const struct lt_call_ops ops = { heard_item, heard_end };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct heard stream = { 0 }, timed = { 0 };
	struct lt_dial_options o;
	struct lt_conn *c;
	struct enemy e;
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	enemy_start(&e, &fx, act_flipped);
	o = fx_dial_options(&fx, true);
	o.url = e.url;
	o.clock = &fx_clock;
	assert_int_equal(lt_dial(&o, &c, NULL), LT_OK);
	assert_int_equal(lt_conn_call(c, ECHO, "Count", &req.base, 0, &ops, &stream, NULL), LT_OK);
	fx_until(has_item, &stream, "the answer is there");
	assert_true(
	    lt_conn_alive(c)); /* its lock is free again: what came with the answer was looked at */
	assert_int_equal(
	    lt_conn_call(c, ECHO, "Hold", &req.base, LT_CONN_FRAME_MS - 1, &ops, &timed, NULL),
	    LT_OK);
	fx_clock_ms += LT_CONN_FRAME_MS - 1;
	fx_until(has_ended, &timed, "the other call ends at its deadline");
	assert_int_equal(timed.code, LT_STATUS_DEADLINE_EXCEEDED);
	assert_true(lt_conn_alive(c));
	fx_clock_ms += 1;
	fx_until(has_died, c, "the client ends the connection");
	lt_conn_close(c);
	assert_int_equal(stream.ends, 1);
	assert_int_equal(stream.code, LT_STATUS_UNAVAILABLE);
	pthread_join(e.thread, NULL);
	(void)close(e.fd);
	fx_stop(&fx);
}

#define LATE_FIRST 20u /* answered in turn, before */
#define LATE_CALLS 60u
#define LATE_SIZE 5000u

/* Each answer is less than what is written at once, all of them more than the socket takes: a peer that reads late gets every one,
 * whole and once, whichever was being written when it was full. */
static void
reads_late(void **state)
{
	size_t got[LATE_CALLS] = { 0 };
	unsigned i, ends = 0, round;
	struct lt_frame f;
	struct fx fx;
	struct raw r;

	(void)state;
	for (round = 0; round < 4; round++) {
		fx_start(&fx, NULL);
		raw_open(&r, &fx, round % 2 == 0);
		memset(got, 0, sizeof(got));
		ends = 0;
		for (i = 0; i < LATE_FIRST + LATE_CALLS; i++) {
			raw_request(&r, 2 * i + 1, "/lttest.Echo/Say", 0);
			/* size: 5,000 */
			assert_true(raw_send(&r, LT_FRAME_DATA, 3, 2 * i + 1, "\x18\x88\x27", 3));
			if (i < LATE_FIRST)
				assert_int_equal(raw_end_of(&r, 2 * i + 1), LT_STATUS_OK);
		}
		raw_fill(&r);
		while (ends < LATE_CALLS) {
			assert_true(raw_next(&r, &f));
			if (f.id == 0)
				continue;
			assert_in_range(f.id / 2, LATE_FIRST, LATE_FIRST + LATE_CALLS - 1);
			if (f.type == LT_FRAME_DATA)
				got[f.id / 2 - LATE_FIRST] += f.payload.len;
			ends += f.type == LT_FRAME_END;
		}
		for (i = 0; i < LATE_CALLS; i++)
			assert_int_equal(got[i], LATE_SIZE + 3); /* tag and length */
		raw_close(&r);
		fx_stop(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage),
		cmocka_unit_test(silent_strangers),
		cmocka_unit_test(limits_of_strangers),
		cmocka_unit_test(places_of_friends),
		cmocka_unit_test(knocks_that_cost),
		cmocka_unit_test(unknown_principal),
		cmocka_unit_test(server_keeps_deadlines),
		cmocka_unit_test(bad_requests),
		cmocka_unit_test(rule_breakers),
		cmocka_unit_test(credit_and_size),
		cmocka_unit_test(credit_overrun),
		cmocka_unit_test(never_reads),
		cmocka_unit_test(reads_late),
		cmocka_unit_test(ping_flood),
		cmocka_unit_test(idle),
		cmocka_unit_test(frame_never_ends),
		cmocka_unit_test(enemy_hub),
		cmocka_unit_test(enemy_overruns),
		cmocka_unit_test(enemy_frame_never_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
