#include "tools/bench/enemy.h"
#include "proto/base/buf.h"
#include "proto/rpc/line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PER_ADDRESS 50
#define KNOCKERS 2000 /* under way at most */
#define TICK_MS 10
#define AGAIN_NS INT64_C(1000000000)
#define HELLO_LEN 20
#define MSG1_LEN (2 + LT_LINE_KNOCK_LEN + LT_NOISE_MSG1_LEN)
#define EVENTS 256
#define PATIENCE_NS INT64_C(4900000000) /* FORMAT.md 6.1 */
#define DESCRIPTORS 16384

enum kind { SILENT, HALF, DRIP, NONSENSE, DEAF, KINDS, KNOCK = KINDS };

struct stranger {
	enum kind kind;
	int fd; /* -1: not there */
	int64_t born_ns, due_ns; /* when it comes again, or says its next byte */
	size_t heard;
	uint8_t hello[HELLO_LEN];
};

/* Shared by the two processes. */
struct bench_enemy {
	struct bench_enemy_plan plan;
	uint8_t hub_pk[32];
	pid_t pid;
	_Atomic bool calm;
	_Atomic uint64_t made, closed, knocks, longest_ns, most, open;
	size_t n; /* strangers */
	size_t bytes; /* of this mapping */
	int64_t tick_ns;
	uint64_t owed; /* knocks, in thousandths */
	struct stranger stranger[];
};

static int64_t
due_after(int64_t now)
{
	return now + AGAIN_NS;
}

static void
gone(struct bench_enemy *e, struct stranger *s, bool by_them)
{
	int64_t now = bench_now_ns();
	uint64_t lived = (uint64_t)(now - s->born_ns);

	(void)close(s->fd);
	s->fd = -1;
	s->due_ns = due_after(now);
	e->open--;
	if (!by_them)
		return;
	e->closed++;
	if (lived > e->longest_ns)
		e->longest_ns = lived;
}

static void
say(struct bench_enemy *e, struct stranger *s, const uint8_t *p, size_t n)
{
	if (send(s->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
		gone(e, s, true);
}

/* What it says when it comes. */
static void
begin(struct bench_enemy *e, struct stranger *s)
{
	uint8_t noise[MSG1_LEN];

	randombytes_buf(noise, sizeof(noise));
	if (s->kind == HALF || s->kind == DEAF || s->kind == DRIP)
		lt_store_u16(noise, MSG1_LEN - 2);
	if (s->kind == HALF || s->kind == DEAF)
		say(e, s, noise, MSG1_LEN / 2);
	else if (s->kind == NONSENSE)
		say(e, s, noise, sizeof(noise));
	else if (s->kind == DRIP)
		say(e, s, noise, 1);
}

static void
come(struct bench_enemy *e, int epoll, struct stranger *s)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)e->plan.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	/* From 127.0.1.1 on: none of ours. */
	size_t group = (size_t)(s - e->stranger) / PER_ADDRESS;
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + (uint32_t)group) };
	struct epoll_event ev = { .events = (s->kind == DEAF ? 0u : EPOLLIN) | EPOLLRDHUP,
		.data.ptr = s };
	const struct linger at_once = { 1, 0 };
	int one = 1;

	s->due_ns = due_after(bench_now_ns());
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return;
	(void)setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	/* Ports are not kept for connections of the past. */
	(void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if (bind(s->fd, (const struct sockaddr *)&from, sizeof(from)) != 0 ||
	    connect(s->fd, (const struct sockaddr *)&to, sizeof(to)) != 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &ev) != 0) {
		(void)close(s->fd);
		s->fd = -1;
		return;
	}
	s->born_ns = bench_now_ns();
	s->heard = 0;
	e->made++;
	if (++e->open > e->most)
		e->most = e->open;
	begin(e, s);
}

/* Message 1 of noise behind a knock that fits: the server has to compute to find out. */
static void
knock(struct bench_enemy *e, struct stranger *s)
{
	static const uint8_t tag[] = "\x09lt1.knock";
	uint8_t key[32], out[MSG1_LEN];
	crypto_generichash_blake2b_state st;

	lt_store_u16(out, MSG1_LEN - 2);
	randombytes_buf(out + 2 + LT_LINE_KNOCK_LEN, LT_NOISE_MSG1_LEN);
	(void)crypto_generichash_blake2b_init(&st, NULL, 0, sizeof(key));
	(void)crypto_generichash_blake2b_update(&st, tag, sizeof(tag) - 1);
	(void)crypto_generichash_blake2b_update(&st, e->hub_pk, sizeof(e->hub_pk));
	(void)crypto_generichash_blake2b_final(&st, key, sizeof(key));
	(void)crypto_generichash_blake2b_init(&st, key, sizeof(key), LT_LINE_KNOCK_LEN);
	(void)crypto_generichash_blake2b_update(&st, s->hello + 4, LT_LINE_NONCE_LEN);
	(void)crypto_generichash_blake2b_update(
	    &st, out + 2 + LT_LINE_KNOCK_LEN, LT_NOISE_MSG1_LEN);
	(void)crypto_generichash_blake2b_final(&st, out + 2, LT_LINE_KNOCK_LEN);
	e->knocks++;
	say(e, s, out, sizeof(out));
}

static void
hear(struct bench_enemy *e, struct stranger *s, uint32_t events)
{
	uint8_t buf[256];
	ssize_t n = 0;

	if (s->fd < 0)
		return; /* closed by an event before this one */
	if (s->kind != DEAF)
		n = recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (s->kind == DEAF ? (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0
			    : n == 0 || (n < 0 && errno != EAGAIN)) {
		gone(e, s, true);
		return;
	}
	if (s->kind != KNOCK || n <= 0 || s->heard >= HELLO_LEN)
		return;
	if (s->heard + (size_t)n > HELLO_LEN)
		n = (ssize_t)(HELLO_LEN - s->heard);
	memcpy(s->hello + s->heard, buf, (size_t)n);
	s->heard += (size_t)n;
	if (s->heard == HELLO_LEN)
		knock(e, s);
}

static void
tick(struct bench_enemy *e, int epoll, int64_t now)
{
	static const uint8_t byte = 7;
	struct stranger *s;

	if (!e->calm)
		e->owed += (uint64_t)(now - e->tick_ns) * e->plan.knocks_per_s / 1000000;
	e->tick_ns = now;
	for (s = e->stranger; s < e->stranger + e->n; s++) {
		if (s->fd >= 0 && s->kind == DRIP && now >= s->due_ns) {
			s->due_ns = due_after(now);
			say(e, s, &byte, 1);
		}
		if (s->fd >= 0 || e->calm)
			continue;
		if (s->kind != KNOCK && now >= s->due_ns) {
			come(e, epoll, s);
		} else if (s->kind == KNOCK && e->owed >= 1000) {
			e->owed -= 1000;
			come(e, epoll, s);
		}
	}
	/* Who cannot keep up does not make up for it later. */
	if (e->owed > (uint64_t)e->plan.knocks_per_s * 100)
		e->owed = (uint64_t)e->plan.knocks_per_s * 100;
}

static void
attack(struct bench_enemy *e)
{
	struct epoll_event ev[EVENTS];
	int64_t next = bench_now_ns(), now;
	int epoll = epoll_create1(EPOLL_CLOEXEC), n, i;

	e->tick_ns = next;
	for (;;) {
		n = epoll_wait(epoll, ev, EVENTS, TICK_MS);
		for (i = 0; i < n; i++)
			hear(e, ev[i].data.ptr, ev[i].events);
		now = bench_now_ns();
		if (now >= next) {
			tick(e, epoll, now);
			next = now + (int64_t)TICK_MS * 1000000;
		}
	}
}

/* In the child: it ends with its parent. */
static void
alone(pid_t parent)
{
	struct rlimit r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < DESCRIPTORS) {
		r.rlim_cur = r.rlim_max < DESCRIPTORS ? r.rlim_max : DESCRIPTORS;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
	/* What was open belongs to the parent. */
	(void)close_range(3, ~0u, 0);
}

int
bench_enemy_start(struct bench *b, const struct bench_enemy_plan *p, struct bench_enemy **out)
{
	size_t n = p->sockets + (p->knocks_per_s != 0 ? KNOCKERS : 0), i;
	size_t bytes = sizeof(struct bench_enemy) + n * sizeof(struct stranger);
	struct bench_enemy *e =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid(), pid;

	if (e == MAP_FAILED)
		return lt_err_set(&b->err, LT_E_NOMEM, "no memory for strangers");
	e->plan = *p;
	e->plan.hub_pk = NULL;
	if (p->hub_pk != NULL)
		memcpy(e->hub_pk, p->hub_pk, sizeof(e->hub_pk));
	e->n = n;
	e->bytes = bytes;
	for (i = 0; i < n; i++) {
		e->stranger[i].fd = -1;
		e->stranger[i].kind = i < p->sockets ? (enum kind)(i % KINDS) : KNOCK;
	}
	pid = fork();
	if (pid == 0) {
		alone(parent);
		attack(e);
	}
	if (pid < 0) {
		(void)munmap(e, bytes);
		return lt_err_set(&b->err, LT_E_NOMEM, "no process for strangers");
	}
	e->pid = pid;
	*out = e;
	return LT_OK;
}

void
bench_enemy_calm(struct bench_enemy *e)
{
	e->calm = true;
}

void
bench_enemy_report(const struct bench_enemy *e, struct bench_enemy_report *out)
{
	out->made = e->made;
	out->closed = e->closed;
	out->knocks = e->knocks;
	out->longest_s = bench_seconds((int64_t)e->longest_ns);
	out->most = (size_t)e->most;
	out->left = (size_t)e->open;
}

static void
end_process(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

void
bench_enemy_stop(struct bench_enemy *e)
{
	if (e == NULL)
		return;
	end_process(e->pid);
	(void)munmap(e, e->bytes);
}

/* ---- a server of no worth ---- */

struct bench_dummy {
	pid_t pid;
};

/* Those who are in, by descriptor, and in the order in which they came: the first has been there longest. */
struct guests {
	int epoll;
	struct guest {
		uint64_t visit; /* 0: nobody */
		int64_t born_ns;
		size_t heard;
	} at[DESCRIPTORS];
	struct visit {
		int fd;
		uint64_t visit;
	} queue[DESCRIPTORS]; /* a ring */
	uint64_t first, end;
};

static void
show_out(struct guests *g, int fd)
{
	g->at[fd].visit = 0;
	(void)close(fd);
}

static void
welcome(struct guests *g, int listener)
{
	static const uint8_t hello[HELLO_LEN] = "LT1\n";
	struct epoll_event ev = { .events = EPOLLIN };
	int fd;

	while (g->end - g->first < DESCRIPTORS &&
	       (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		ev.data.fd = fd;
		if (fd >= DESCRIPTORS || epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
			(void)close(fd);
			continue;
		}
		g->at[fd] = (struct guest){ .visit = g->end + 1, .born_ns = bench_now_ns() };
		g->queue[g->end++ % DESCRIPTORS] = (struct visit){ fd, g->at[fd].visit };
		(void)!send(fd, hello, sizeof(hello), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static void
listen_to(struct guests *g, int fd)
{
	uint8_t said[MSG1_LEN];
	ssize_t n = recv(fd, said, sizeof(said), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	g->at[fd].heard += n > 0 ? (size_t)n : MSG1_LEN;
	if (g->at[fd].heard >= MSG1_LEN)
		show_out(g, fd);
}

/* As long as a handshake may take. */
static void
end_visits(struct guests *g, int64_t now)
{
	while (g->first != g->end) {
		const struct visit *v = &g->queue[g->first % DESCRIPTORS];

		if (g->at[v->fd].visit == v->visit) {
			if (now - g->at[v->fd].born_ns < PATIENCE_NS)
				return;
			show_out(g, v->fd);
		}
		g->first++;
	}
}

static void
be_of_no_worth(int listener)
{
	static struct guests g;
	struct epoll_event ev[EVENTS] = { { .events = EPOLLIN, .data.fd = listener } };
	int n, i;

	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	(void)fcntl(listener, F_SETFL, O_NONBLOCK);
	(void)epoll_ctl(g.epoll, EPOLL_CTL_ADD, listener, &ev[0]);
	for (;;) {
		n = epoll_wait(g.epoll, ev, EVENTS, TICK_MS);
		for (i = 0; i < n; i++)
			if (ev[i].data.fd == listener)
				welcome(&g, listener);
			else
				listen_to(&g, ev[i].data.fd);
		end_visits(&g, bench_now_ns());
	}
}

int
bench_dummy_start(struct bench *b, int port, struct bench_dummy **out)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct bench_dummy *d = calloc(1, sizeof(*d));
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	pid_t parent = getpid();

	if (d == NULL || fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(fd, (const struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 4096) != 0 ||
	    (d->pid = fork()) < 0) {
		free(d);
		if (fd >= 0)
			(void)close(fd);
		return lt_err_set(&b->err, LT_E_IO, "cannot listen on port %d", port);
	}
	if (d->pid == 0) {
		if (dup2(fd, 0) < 0)
			_exit(1);
		alone(parent);
		be_of_no_worth(0);
	}
	(void)close(fd);
	*out = d;
	return LT_OK;
}

void
bench_dummy_stop(struct bench_dummy *d)
{
	if (d == NULL)
		return;
	end_process(d->pid);
	free(d);
}
