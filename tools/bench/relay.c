#include "tools/bench/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK ((size_t)64 * 1024)
#define EVENTS 64

struct pair;

/* One end of a connection; what it could not take waits here and its other end is not read meanwhile. */
struct end {
	struct pair *pair;
	struct end *other;
	int fd;
	uint8_t *waiting; /* NULL: nothing */
	size_t len;
	bool dialed; /* towards the target */
	bool open; /* connected */
};

struct pair {
	struct end a, b; /* accepted, dialed */
	struct pair *next, *prev;
};

struct bench_relay {
	int target;
	size_t per_address, taken;
	int listener, stop, epoll;
	pthread_t thread;
	atomic_uint_fast64_t up, down;
	struct pair *first;
	struct pair *dead; /* freed after the events in hand: they may still name them */
	uint8_t chunk[CHUNK];
};

/* ---- connections ---- */

static void
watch(struct bench_relay *r, struct end *e, int op)
{
	struct epoll_event ev = { .data.ptr = e };

	if (e->open && e->other->waiting == NULL)
		ev.events |= EPOLLIN;
	if (!e->open || e->waiting != NULL)
		ev.events |= EPOLLOUT;
	(void)epoll_ctl(r->epoll, op, e->fd, &ev);
}

static void
drop(struct bench_relay *r, struct pair *p)
{
	if (p->a.fd < 0)
		return;
	(void)close(p->a.fd);
	(void)close(p->b.fd);
	p->a.fd = p->b.fd = -1;
	if (p->prev != NULL)
		p->prev->next = p->next;
	else
		r->first = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
	p->next = r->dead;
	r->dead = p;
}

static void
bury(struct bench_relay *r)
{
	struct pair *p;

	while ((p = r->dead) != NULL) {
		r->dead = p->next;
		free(p->a.waiting);
		free(p->b.waiting);
		free(p);
	}
}

static int
dial(struct bench_relay *r)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)r->target),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	uint32_t group;

	if (fd < 0)
		return -1;
	group = r->per_address == 0 ? 0 : (uint32_t)(r->taken / r->per_address % 60000);
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + group);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&from, sizeof(from)) == 0 &&
	    (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS))
		return fd;
	(void)close(fd);
	return -1;
}

static void
take(struct bench_relay *r)
{
	int fd = accept4(r->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), out, one = 1;
	struct pair *p;

	if (fd < 0)
		return;
	out = dial(r);
	p = out < 0 ? NULL : calloc(1, sizeof(*p));
	if (p == NULL) {
		(void)close(fd);
		if (out >= 0)
			(void)close(out);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	p->a = (struct end){ .pair = p, .other = &p->b, .fd = fd, .open = true };
	p->b = (struct end){ .pair = p, .other = &p->a, .fd = out, .dialed = true };
	p->next = r->first;
	if (r->first != NULL)
		r->first->prev = p;
	r->first = p;
	r->taken++;
	watch(r, &p->a, EPOLL_CTL_ADD);
	watch(r, &p->b, EPOLL_CTL_ADD);
}

/* ---- bytes ---- */

/* What waited for this end, then the other may be read again. False: the connection is gone. */
static bool
flush_end(struct bench_relay *r, struct end *e)
{
	ssize_t n = e->len == 0 ? 0 : send(e->fd, e->waiting, e->len, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0) {
		e->len -= (size_t)n;
		memmove(e->waiting, e->waiting + n, e->len);
	}
	if (e->len == 0) {
		free(e->waiting);
		e->waiting = NULL;
	}
	watch(r, e, EPOLL_CTL_MOD);
	watch(r, e->other, EPOLL_CTL_MOD);
	return true;
}

static bool
keep(struct bench_relay *r, struct end *to, const uint8_t *data, size_t len)
{
	to->waiting = malloc(len);
	if (to->waiting == NULL)
		return false;
	memcpy(to->waiting, data, len);
	to->len = len;
	watch(r, to, EPOLL_CTL_MOD);
	watch(r, to->other, EPOLL_CTL_MOD);
	return true;
}

static bool
forward(struct bench_relay *r, struct end *e)
{
	ssize_t n = recv(e->fd, r->chunk, sizeof(r->chunk), 0), m = 0;
	struct end *to = e->other;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	atomic_fetch_add(e->dialed ? &r->down : &r->up, (uint_fast64_t)n);
	if (to->open)
		m = send(to->fd, r->chunk, (size_t)n, MSG_NOSIGNAL);
	if (m < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (m < 0)
		m = 0;
	return m == n || keep(r, to, r->chunk + m, (size_t)(n - m));
}

static void
serve(struct bench_relay *r, struct end *e, uint32_t events)
{
	bool good = true;

	if (e->fd < 0)
		return;
	if ((events & EPOLLOUT) != 0 && (events & (EPOLLERR | EPOLLHUP)) == 0) {
		e->open = true;
		good = flush_end(r, e);
	}
	if (good && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		good = e->open && forward(r, e);
	if (!good)
		drop(r, e->pair);
}

static void *
relay_thread(void *arg)
{
	struct bench_relay *r = arg;
	struct epoll_event ev[EVENTS];
	bool stop = false;
	int i, n;

	while (!stop) {
		n = epoll_wait(r->epoll, ev, EVENTS, -1);
		for (i = 0; i < n; i++) {
			if (ev[i].data.ptr == &r->stop)
				stop = true;
			else if (ev[i].data.ptr == &r->listener)
				take(r);
			else
				serve(r, ev[i].data.ptr, ev[i].events);
		}
		bury(r);
	}
	while (r->first != NULL)
		drop(r, r->first);
	bury(r);
	return NULL;
}

/* ---- life ---- */

int
bench_listen_on(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 4096) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static void
close_all(struct bench_relay *r)
{
	if (r->listener >= 0)
		(void)close(r->listener);
	if (r->stop >= 0)
		(void)close(r->stop);
	if (r->epoll >= 0)
		(void)close(r->epoll);
	free(r);
}

int
bench_relay_start(
    struct bench *b, int port, int target, size_t per_address, struct bench_relay **out)
{
	struct bench_relay *r = calloc(1, sizeof(*r));
	struct epoll_event ev = { .events = EPOLLIN };
	bool good;

	if (r == NULL)
		return LT_E_NOMEM;
	r->target = target;
	r->per_address = per_address;
	r->listener = bench_listen_on(port);
	r->stop = eventfd(0, EFD_CLOEXEC);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	good = r->listener >= 0 && r->stop >= 0 && r->epoll >= 0;
	ev.data.ptr = &r->listener;
	good = good && epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->listener, &ev) == 0;
	ev.data.ptr = &r->stop;
	good = good && epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->stop, &ev) == 0 &&
	       pthread_create(&r->thread, NULL, relay_thread, r) == 0;
	if (!good) {
		close_all(r);
		return lt_err_set(&b->err, LT_E_IO, "the relay cannot be started");
	}
	*out = r;
	return LT_OK;
}

void
bench_relay_stop(struct bench_relay *r)
{
	uint64_t one = 1;

	if (r == NULL)
		return;
	if (write(r->stop, &one, sizeof(one)) == (ssize_t)sizeof(one))
		(void)pthread_join(r->thread, NULL);
	close_all(r);
}

void
bench_relay_bytes(struct bench_relay *r, uint64_t *up, uint64_t *down)
{
	*up = atomic_load(&r->up);
	*down = atomic_load(&r->down);
}
