#include "tools/bench/thin.h"
#include "tools/bench/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Packets under way in one direction: more than any line here holds (300 ms of 30 kbit/s is one). */
#define UNDER_WAY 64
#define SOCKET_BUFFER 4096 /* what waits for the line waits at its sender */

struct packet {
	int64_t due_ns;
	size_t len;
	uint8_t data[THIN_PACKET];
};

/* One direction of the connection. */
struct way {
	int from, to;
	int64_t free_ns; /* when the line can take the next packet */
	int64_t last_due_ns; /* nothing overtakes */
	size_t first, n; /* in packet[], a ring */
	size_t written; /* of the first */
	atomic_uint_fast64_t *bytes;
	struct packet packet[UNDER_WAY];
};

struct bench_thin {
	struct bench_thin_options o;
	int listener, stop;
	pthread_t thread;
	uint64_t rng;
	atomic_uint_fast64_t up, down, lost, cuts, connections;
	struct way way[2]; /* up, down */
};

/* SplitMix64: every seed does. */
static double
chance(struct bench_thin *t)
{
	uint64_t z = t->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static int
dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static void
tune(int fd)
{
	int one = 1, size = SOCKET_BUFFER;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

/* One packet from its sender onto the line. False: the sender has ended. */
static bool
take_packet(struct bench_thin *t, struct way *w, int64_t now)
{
	struct packet *p = &w->packet[(w->first + w->n) % UNDER_WAY];
	ssize_t n = recv(w->from, p->data, sizeof(p->data), MSG_DONTWAIT);
	double on_line_ns;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	on_line_ns = (double)n * 8e9 / t->o.bits_s;
	if (w->free_ns < now)
		w->free_ns = now;
	w->free_ns += (int64_t)on_line_ns;
	p->len = (size_t)n;
	p->due_ns = w->free_ns + (int64_t)(t->o.delay_ms * 1e6);
	atomic_fetch_add(w->bytes, (uint_fast64_t)n);
	while (chance(t) < t->o.loss) {
		atomic_fetch_add(&t->lost, 1);
		atomic_fetch_add(w->bytes, (uint_fast64_t)n);
		w->free_ns += (int64_t)on_line_ns;
		p->due_ns += (int64_t)(2 * t->o.delay_ms * 1e6 + on_line_ns);
	}
	if (p->due_ns < w->last_due_ns)
		p->due_ns = w->last_due_ns;
	w->last_due_ns = p->due_ns;
	w->n++;
	return true;
}

/* What has arrived. False: the receiver has ended. */
static bool
deliver(struct way *w, int64_t now)
{
	while (w->n != 0 && w->packet[w->first].due_ns <= now) {
		struct packet *p = &w->packet[w->first];
		ssize_t n = send(
		    w->to, p->data + w->written, p->len - w->written, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		w->written += (size_t)n;
		if (w->written == p->len) {
			w->written = 0;
			w->first = (w->first + 1) % UNDER_WAY;
			w->n--;
		}
	}
	return true;
}

static void
way_init(struct way *w, int from, int to, atomic_uint_fast64_t *bytes)
{
	w->from = from;
	w->to = to;
	w->free_ns = w->last_due_ns = 0;
	w->first = w->n = w->written = 0;
	w->bytes = bytes;
}

/* Milliseconds until something may be due, at most a millisecond late. */
static int
next_ms(const struct bench_thin *t, int64_t now, int64_t cut_ns)
{
	int64_t next = cut_ns;
	size_t i;

	for (i = 0; i < 2; i++) {
		const struct way *w = &t->way[i];

		if (w->n != 0 && w->packet[w->first].due_ns < next)
			next = w->packet[w->first].due_ns;
		if (w->free_ns > now && w->free_ns < next)
			next = w->free_ns;
	}
	return next <= now ? 1 : next - now > 1000000000 ? 1000 : (int)((next - now) / 1000000) + 1;
}

/* One connection, until it ends or is cut. False: the relay is to stop. */
static bool
carry(struct bench_thin *t, int a, int b, int64_t cut_ns)
{
	bool good = true;

	way_init(&t->way[0], a, b, &t->up);
	way_init(&t->way[1], b, a, &t->down);
	while (good) {
		struct pollfd pfd[3] = { { .fd = t->stop, .events = POLLIN } };
		int64_t now = bench_now_ns();
		size_t i;

		if (now >= cut_ns) {
			atomic_fetch_add(&t->cuts, 1);
			return true;
		}
		/* A sender is read when the line is free; until then its socket holds it up. */
		for (i = 0; i < 2; i++) {
			struct way *w = &t->way[i];
			bool idle = w->free_ns <= now && w->n < UNDER_WAY;

			pfd[1 + i] = (struct pollfd){ .fd = idle ? w->from : -1, .events = POLLIN };
		}
		if (poll(pfd, 3, next_ms(t, now, cut_ns)) < 0 && errno != EINTR)
			return true;
		if (pfd[0].revents != 0)
			return false;
		now = bench_now_ns();
		for (i = 0; good && i < 2; i++) {
			if (pfd[1 + i].revents != 0)
				good = take_packet(t, &t->way[i], now);
			good = good && deliver(&t->way[i], now);
		}
	}
	return true;
}

/* Cut so that those who have it end at once, as a router does that forgets them. */
static void
end(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(fd);
}

static void *
thin_thread(void *arg)
{
	struct bench_thin *t = arg;
	int64_t every = t->o.cut_s > 0 ? (int64_t)(t->o.cut_s * 1e9) : INT64_MAX / 2;
	int64_t cut_ns = bench_now_ns() + every;
	bool on = true;

	while (on) {
		struct pollfd pfd[2] = { { .fd = t->stop, .events = POLLIN },
			{ .fd = t->listener, .events = POLLIN } };
		int a, b;

		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			break;
		if (pfd[0].revents != 0)
			break;
		a = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);
		if (a < 0)
			continue;
		b = dial(t->o.target);
		if (b >= 0) {
			atomic_fetch_add(&t->connections, 1);
			tune(a);
			tune(b);
			/* Cuts come by the clock, whether somebody is on the line or not. */
			while (cut_ns <= bench_now_ns())
				cut_ns += every;
			on = carry(t, a, b, cut_ns);
		}
		end(a);
		end(b);
	}
	return NULL;
}

static void
close_all(struct bench_thin *t)
{
	if (t->listener >= 0)
		(void)close(t->listener);
	if (t->stop >= 0)
		(void)close(t->stop);
	free(t);
}

int
bench_thin_start(struct bench *b, const struct bench_thin_options *o, struct bench_thin **out)
{
	struct bench_thin *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return LT_E_NOMEM;
	t->o = *o;
	t->rng = o->seed;
	t->listener = bench_listen_on(o->port);
	t->stop = eventfd(0, EFD_CLOEXEC);
	if (t->listener < 0 || t->stop < 0 ||
	    pthread_create(&t->thread, NULL, thin_thread, t) != 0) {
		close_all(t);
		return lt_err_set(&b->err, LT_E_IO, "the thin line cannot be started");
	}
	*out = t;
	return LT_OK;
}

void
bench_thin_stop(struct bench_thin *t)
{
	uint64_t one = 1;

	if (t == NULL)
		return;
	if (write(t->stop, &one, sizeof(one)) == (ssize_t)sizeof(one))
		(void)pthread_join(t->thread, NULL);
	close_all(t);
}

void
bench_thin_count(struct bench_thin *t, struct bench_thin_count *out)
{
	out->up = atomic_load(&t->up);
	out->down = atomic_load(&t->down);
	out->lost = atomic_load(&t->lost);
	out->cuts = atomic_load(&t->cuts);
	out->connections = atomic_load(&t->connections);
}
