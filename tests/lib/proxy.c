#include "tests/lib/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING_LEN 20 /* "LT1\n" and the nonce */

struct way {
	int from, to;
	uint64_t raw; /* bytes of this connection */
	uint64_t head; /* bytes before the first frame, 0: not known yet */
	uint8_t length[2]; /* of the handshake message */
	uint64_t frames;
};

struct proxy {
	int listener, target;
	int wake[2], kick[2]; /* to end; to look at `held` and `cut` again */
	pthread_t thread;
	struct way way[2];

	pthread_mutex_t mx; /* guards what follows */
	bool wanted, flipped;
	enum proxy_direction direction;
	uint64_t bit;
	uint64_t bytes[2];
	bool held[2];
	bool cut;
	bool cut_wanted; /* by proxy_cut_after() */
	enum proxy_direction cut_direction;
	uint64_t cut_after;
};

static struct sockaddr_in
loopback(int port)
{
	struct sockaddr_in a;

	memset(&a, 0, sizeof(a));
	a.sin_family = AF_INET;
	a.sin_port = htons((uint16_t)port);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* Where do the frames begin? The length of the handshake message stands at offset `at`. */
static void
look_for_head(struct way *w, const uint8_t *data, size_t n, uint64_t at)
{
	size_t i;

	for (i = 0; i < n && w->head == 0; i++) {
		uint64_t place = w->raw + i;

		if (place == at)
			w->length[0] = data[i];
		if (place == at + 1) {
			w->length[1] = data[i];
			w->head = at + 2 + ((uint64_t)w->length[0] << 8 | w->length[1]);
		}
	}
}

/* Returns how many of the bytes pass before the connection ends, or n. */
static size_t
pass(struct proxy *p, enum proxy_direction d, uint8_t *data, size_t n)
{
	struct way *w = &p->way[d];
	uint64_t first, place, end;

	look_for_head(w, data, n, d == PROXY_FROM_HUB ? GREETING_LEN : 0);
	first = w->raw;
	w->raw += n;
	if (w->head == 0 || w->raw <= w->head)
		return n;
	pthread_mutex_lock(&p->mx);
	end = w->head + p->cut_after;
	if (p->cut_wanted && p->cut_direction == d && w->raw > end) {
		p->cut_wanted = false;
		n = end > first ? (size_t)(end - first) : 0;
		w->raw = end;
	}
	p->bytes[d] = w->raw - w->head;
	place = w->head + p->bit / 8;
	if (p->wanted && p->direction == d && place >= first && place < w->raw) {
		data[place - first] ^= (uint8_t)(1u << p->bit % 8);
		p->wanted = false;
		p->flipped = true;
	}
	pthread_mutex_unlock(&p->mx);
	return n;
}

/* false: this side has ended. */
static bool
forward(struct proxy *p, enum proxy_direction d)
{
	struct way *w = &p->way[d];
	uint8_t data[16384];
	ssize_t got = recv(w->from, data, sizeof(data), 0), n, done = 0, k;

	if (got <= 0)
		return false;
	n = (ssize_t)pass(p, d, data, (size_t)got);
	while (done < n) {
		k = send(w->to, data + done, (size_t)(n - done), MSG_NOSIGNAL);
		if (k <= 0)
			return false;
		done += k;
	}
	return n == got;
}

/* poll() passes over a negative descriptor. */
static void
watch_unheld(struct proxy *p, struct pollfd fd[2])
{
	int d;

	pthread_mutex_lock(&p->mx);
	for (d = 0; d < 2; d++) {
		fd[d].fd = p->held[d] ? -1 : p->way[d].from;
		fd[d].revents = 0;
	}
	pthread_mutex_unlock(&p->mx);
}

static bool
take_kick(struct proxy *p)
{
	bool going;
	char c;

	going = read(p->kick[0], &c, 1) == 1;
	pthread_mutex_lock(&p->mx);
	going = going && !p->cut;
	p->cut = false;
	pthread_mutex_unlock(&p->mx);
	return going;
}

static void
serve(struct proxy *p, int in, int out)
{
	struct pollfd fd[4] = { { in, POLLIN, 0 }, { out, POLLIN, 0 }, { p->wake[0], POLLIN, 0 },
		{ p->kick[0], POLLIN, 0 } };
	bool going = true;

	memset(p->way, 0, sizeof(p->way));
	pthread_mutex_lock(&p->mx);
	p->cut = false;
	pthread_mutex_unlock(&p->mx);
	p->way[PROXY_TO_HUB].from = p->way[PROXY_FROM_HUB].to = in;
	p->way[PROXY_TO_HUB].to = p->way[PROXY_FROM_HUB].from = out;
	watch_unheld(p, fd);
	while (going && poll(fd, 4, -1) > 0) {
		if (fd[2].revents != 0)
			break;
		if (fd[3].revents != 0) {
			going = take_kick(p);
		} else {
			if (fd[PROXY_TO_HUB].revents != 0)
				going = forward(p, PROXY_TO_HUB);
			if (going && fd[PROXY_FROM_HUB].revents != 0)
				going = forward(p, PROXY_FROM_HUB);
		}
		watch_unheld(p, fd);
	}
}

static void *
run(void *arg)
{
	struct proxy *p = arg;
	struct pollfd fd[2] = { { p->listener, POLLIN, 0 }, { p->wake[0], POLLIN, 0 } };
	struct sockaddr_in a = loopback(p->target);
	int in, out, one = 1;

	while (poll(fd, 2, -1) > 0 && fd[1].revents == 0) {
		in = accept(p->listener, NULL, NULL);
		if (in < 0)
			continue;
		out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		pthread_mutex_lock(&p->mx);
		p->bytes[0] = p->bytes[1] = 0;
		pthread_mutex_unlock(&p->mx);
		(void)setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		(void)setsockopt(out, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (connect(out, (struct sockaddr *)&a, sizeof(a)) == 0)
			serve(p, in, out);
		(void)close(in);
		(void)close(out);
	}
	return NULL;
}

struct proxy *
proxy_start(int port, int target)
{
	struct proxy *p = calloc(1, sizeof(*p));
	struct sockaddr_in a = loopback(port);
	int one = 1;

	assert_non_null(p);
	p->target = target;
	pthread_mutex_init(&p->mx, NULL);
	assert_int_equal(pipe(p->wake), 0);
	assert_int_equal(pipe(p->kick), 0);
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->listener >= 0);
	(void)setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(p->listener, 64), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
	return p;
}

void
proxy_stop(struct proxy *p)
{
	assert_int_equal(write(p->wake[1], "", 1), 1);
	(void)pthread_join(p->thread, NULL);
	(void)close(p->listener);
	(void)close(p->wake[0]);
	(void)close(p->wake[1]);
	(void)close(p->kick[0]);
	(void)close(p->kick[1]);
	pthread_mutex_destroy(&p->mx);
	free(p);
}

void
proxy_flip(struct proxy *p, enum proxy_direction d, uint64_t bit, bool now)
{
	pthread_mutex_lock(&p->mx);
	p->wanted = true;
	p->flipped = false;
	p->direction = d;
	p->bit = bit + (now ? p->bytes[d] * 8 : 0);
	pthread_mutex_unlock(&p->mx);
}

void
proxy_clean(struct proxy *p)
{
	pthread_mutex_lock(&p->mx);
	p->wanted = p->flipped = false;
	pthread_mutex_unlock(&p->mx);
}

void
proxy_hold(struct proxy *p, enum proxy_direction d, bool on)
{
	pthread_mutex_lock(&p->mx);
	p->held[d] = on;
	pthread_mutex_unlock(&p->mx);
	assert_int_equal(write(p->kick[1], "", 1), 1);
}

void
proxy_cut(struct proxy *p)
{
	pthread_mutex_lock(&p->mx);
	p->cut = true;
	pthread_mutex_unlock(&p->mx);
	assert_int_equal(write(p->kick[1], "", 1), 1);
}

void
proxy_cut_after(struct proxy *p, enum proxy_direction d, uint64_t bytes)
{
	pthread_mutex_lock(&p->mx);
	p->cut_wanted = true;
	p->cut_direction = d;
	p->cut_after = bytes;
	pthread_mutex_unlock(&p->mx);
}

bool
proxy_was_cut(struct proxy *p)
{
	bool was;

	pthread_mutex_lock(&p->mx);
	was = !p->cut_wanted;
	pthread_mutex_unlock(&p->mx);
	return was;
}

bool
proxy_flipped(struct proxy *p)
{
	bool flipped;

	pthread_mutex_lock(&p->mx);
	flipped = p->flipped;
	pthread_mutex_unlock(&p->mx);
	return flipped;
}

uint64_t
proxy_bytes(struct proxy *p, enum proxy_direction d)
{
	uint64_t n;

	pthread_mutex_lock(&p->mx);
	n = p->bytes[d];
	pthread_mutex_unlock(&p->mx);
	return n;
}
