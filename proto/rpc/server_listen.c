/* Where connections come from: listeners, and the limits on what they accept. */
#include "proto/base/log.h"
#include "proto/rpc/server_impl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_RETRY_MS 100
/* Connections that wait in the kernel to be accepted. nng asks for 128: two thousand at once, nodes or strangers, overrun that,
 * and of those the kernel drops each waits a second and more for its next chance. */
#define BACKLOG 4096
#define LISTENER_FD_MAX 1024 /* listeners are opened first, and get low numbers */
#define CROWDED_RETRY_MS 1
/* Some 0.3 ms of a core go into each connection, most of it nng's and the kernel's, whatever it is good for: two thousand that come or
 * go in one moment hold up who is at work for as long as all of them take. The others wait in the kernel; and who came apart goes apart. */
#define ACCEPT_PER_S 2000
#define ACCEPT_BURST 64

struct lt_listener {
	struct lt_listener *next;
	struct lt_server *server;
	nng_stream_listener *l;
	nng_aio *aio;
	struct lt_timer retry;
	struct lt_rate pace; /* of accepting; its callback's */
	bool local;
	int port;
};

/* ---- limits ---- */

static void
address_of(nng_stream *stream, char *out, size_t cap)
{
	nng_sockaddr sa;

	(void)snprintf(out, cap, "unknown");
	if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &sa) != 0)
		return;
	if (sa.s_family == NNG_AF_INET)
		(void)inet_ntop(AF_INET, &sa.s_in.sa_addr, out, (socklen_t)cap);
	else if (sa.s_family == NNG_AF_INET6)
		(void)inet_ntop(AF_INET6, &sa.s_in6.sa_addr, out, (socklen_t)cap);
}

/* What counts as one address: of IPv6 the network of 64 bits, save where it is IPv4 in other words. */
static void
whole_of(const char *address, char *out, size_t cap)
{
	struct in6_addr a;

	if (inet_pton(AF_INET6, address, &a) != 1) {
		(void)snprintf(out, cap, "%s", address);
	} else if (IN6_IS_ADDR_V4MAPPED(&a)) {
		(void)inet_ntop(AF_INET, &a.s6_addr[12], out, (socklen_t)cap);
	} else {
		memset(&a.s6_addr[8], 0, 8);
		(void)inet_ntop(AF_INET6, &a, out, (socklen_t)cap);
	}
}

/* The slot of an address, a free one if it has none: who was never let in is forgotten before who was. There are as many slots
 * as connections allowed. */
static unsigned
address_slot(struct lt_server *s, const char *address)
{
	unsigned i, n = s->naddresses, at, stranger_at = UINT32_MAX, free_at = UINT32_MAX;
	struct lt_server_address *a;
	uint32_t h = 2166136261u;
	char text[sizeof(a->text)];
	const char *p;

	whole_of(address, text, sizeof(text));
	for (p = text; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	for (i = 0; i < n; i++) {
		at = (h + i) % n;
		a = &s->addresses[at];
		if (strcmp(a->text, text) == 0)
			return at;
		if (a->nconns == 0 && free_at == UINT32_MAX)
			free_at = at;
		if (a->nconns == 0 && !a->known && stranger_at == UINT32_MAX)
			stranger_at = at;
		if (a->text[0] == '\0')
			break;
	}
	at = stranger_at != UINT32_MAX ? stranger_at : free_at;
	assert(at != UINT32_MAX);
	a = &s->addresses[at];
	memset(a, 0, sizeof(*a));
	(void)snprintf(a->text, sizeof(a->text), "%s", text);
	return at;
}

static void
silent_add(struct lt_conn *c)
{
	struct lt_handshakes *g = c->sv.group;

	c->sv.silent = true;
	c->sv.silent_prev = g->newest;
	if (g->newest != NULL)
		g->newest->sv.silent_next = c;
	else
		g->oldest = c;
	g->newest = c;
	c->sv.server->addresses[c->sv.address_slot].nsilent++;
}

static void
silent_remove(struct lt_conn *c)
{
	struct lt_handshakes *g = c->sv.group;

	if (!c->sv.silent)
		return;
	c->sv.silent = false;
	if (c->sv.silent_prev != NULL)
		c->sv.silent_prev->sv.silent_next = c->sv.silent_next;
	else
		g->oldest = c->sv.silent_next;
	if (c->sv.silent_next != NULL)
		c->sv.silent_next->sv.silent_prev = c->sv.silent_prev;
	else
		g->newest = c->sv.silent_prev;
	c->sv.silent_next = c->sv.silent_prev = NULL;
	c->sv.server->addresses[c->sv.address_slot].nsilent--;
}

static void
handshake_uncount(struct lt_conn *c)
{
	silent_remove(c);
	if (c->sv.counted_handshake)
		c->sv.group->n--;
	c->sv.counted_handshake = false;
}

/* Who makes room in a group: the oldest that has not knocked, of the address that has most of those. NULL: nobody. Gives a
 * reference. */
static struct lt_conn *
evict(struct lt_server *s, struct lt_handshakes *g)
{
	struct lt_conn *c, *victim = NULL;
	unsigned most = 0;

	for (c = g->oldest; c != NULL; c = c->sv.silent_next)
		if (s->addresses[c->sv.address_slot].nsilent > most) {
			most = s->addresses[c->sv.address_slot].nsilent;
			victim = c;
		}
	if (victim == NULL)
		return NULL;
	handshake_uncount(victim);
	victim->sv.evicted = true;
	s->nevicted++;
	lt_conn_ref(victim);
	return victim;
}

/* Whoever stands at the machine gets in, however many are connected. */
static unsigned
local_kept(const struct lt_server *s)
{
	return s->o.conns_max >= 10 * LT_SERVER_LOCAL_KEPT ? LT_SERVER_LOCAL_KEPT : 0;
}

/* Put a new connection on the list, if the limits allow. *victim: who had to go for it, with a reference, or NULL. */
static bool
enlist(struct lt_server *s, struct lt_conn *c, struct lt_conn **victim)
{
	struct lt_handshakes *full = NULL;
	struct lt_server_address *a;
	bool ok = false;

	*victim = NULL;
	pthread_mutex_lock(&s->mx);
	if (s->stopping || s->nconns >= s->o.conns_max + LT_SERVER_EVICTED_MAX)
		goto out;
	c->sv.address_slot = address_slot(s, c->peer.address);
	a = &s->addresses[c->sv.address_slot];
	if (a->nconns >= s->o.conns_per_address_max)
		goto out;
	c->sv.group = a->known || c->local ? &s->acquainted : &s->strangers;
	/* All places taken: a silent stranger's is free for whoever may be one of ours. */
	if (c->sv.group->n >= s->o.handshakes_max)
		full = c->sv.group;
	else if (s->nconns - s->nevicted >= s->o.conns_max - (c->local ? 0 : local_kept(s)))
		full = &s->strangers;
	if (full != NULL && (*victim = evict(s, full)) == NULL)
		goto out;
	a->nconns++;
	s->nconns++;
	c->sv.group->n++;
	c->sv.counted_handshake = true;
	silent_add(c);
	c->sv.next = s->conns;
	if (s->conns != NULL)
		s->conns->sv.prev = c;
	s->conns = c;
	ok = true;
out:
	pthread_mutex_unlock(&s->mx);
	return ok;
}

/* Whoever knows our public key can knock, and have us compute: not more than this. Who is let in costs nothing of it. */
static const struct lt_rate_limit *
address_rate(const struct lt_server_address *a)
{
	static const struct lt_rate_limit known = { LT_SERVER_KNOWN_WORK_PER_S,
		LT_SERVER_WORK_BURST },
					  stranger = { LT_SERVER_STRANGER_WORK_PER_S,
						  LT_SERVER_WORK_BURST };

	return a->known ? &known : &stranger;
}

static const struct lt_rate_limit stranger_rate = { LT_SERVER_STRANGERS_WORK_PER_S,
	LT_SERVER_STRANGERS_WORK_BURST };

/* The server's lock is held. */
static bool
work_allowed(struct lt_server *s, struct lt_conn *c)
{
	struct lt_server_address *a = &s->addresses[c->sv.address_slot];
	int64_t now = lt_conn_now(c);

	if (c->local)
		return true;
	if (!lt_rate_take(&a->work, address_rate(a), 1, now, NULL))
		return false;
	c->sv.as_stranger = !a->known;
	if (a->known || lt_rate_take(&s->stranger_work, &stranger_rate, 1, now, NULL))
		return true;
	lt_rate_give(&a->work, address_rate(a), 1);
	return false;
}

bool
lt_server_knocked(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;
	bool ok;

	pthread_mutex_lock(&s->mx);
	silent_remove(c);
	ok = work_allowed(s, c);
	pthread_mutex_unlock(&s->mx);
	if (!ok) {
		c->sv.over_rate = true;
		lt_conn_die(c, LT_E_DENIED, "too many handshakes");
	}
	return ok;
}

void
lt_server_handshake_done(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;
	struct lt_server_address *a;

	pthread_mutex_lock(&s->mx);
	handshake_uncount(c);
	a = &s->addresses[c->sv.address_slot];
	if (!c->local && !c->sv.guest) {
		lt_rate_give(&a->work, address_rate(a), 1);
		if (c->sv.as_stranger)
			lt_rate_give(&s->stranger_work, &stranger_rate, 1);
	}
	a->known = a->known || !c->sv.guest;
	pthread_mutex_unlock(&s->mx);
}

void
lt_server_places_done(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;

	pthread_mutex_lock(&s->mx);
	handshake_uncount(c);
	if (c->sv.evicted)
		s->nevicted--;
	if (c->sv.guest)
		s->nguests--;
	s->addresses[c->sv.address_slot].nconns--;
	s->nconns--;
	pthread_mutex_unlock(&s->mx);
}

/* ---- accepting ---- */

static bool
local_allowed(struct lt_conn *c, nng_stream *stream)
{
	c->peer.uid = UINT64_MAX;
	(void)snprintf(c->peer.address, sizeof(c->peer.address), "local");
	c->peer.kind = LT_PEER_LOCAL;
	return nng_stream_get_uint64(stream, NNG_OPT_IPC_PEER_UID, &c->peer.uid) == 0 &&
	       (c->peer.uid == geteuid() || c->peer.uid == 0);
}

/* Drop a connection that was never started. */
static void
discard(struct lt_conn *c, nng_stream *stream)
{
	if (c != NULL) {
		nng_aio_free(c->rx);
		nng_aio_free(c->tx);
		lt_conn_unref(c);
	}
	nng_stream_close(stream);
	nng_stream_free(stream);
}

static void
make_room(struct lt_conn *victim)
{
	if (victim == NULL)
		return;
	pthread_mutex_lock(&victim->mx);
	lt_conn_die(victim, LT_E_CLOSED, "silent, and others came");
	pthread_mutex_unlock(&victim->mx);
	lt_conn_unref(victim);
}

static void
accepted(struct lt_listener *li, nng_stream *stream)
{
	struct lt_server *s = li->server;
	struct lt_conn *c = lt_conn_new(s->o.pool, s->o.clock, &lt_server_conn_ops, false,
	    s->o.idle_ms, s->o.handshake_ms != 0 ? s->o.handshake_ms : LT_SERVER_HANDSHAKE_MS);
	struct lt_conn *victim = NULL;
	struct lt_line *line;

	s->n_accepted++;
	if (c == NULL) {
		discard(NULL, stream);
		return;
	}
	atomic_fetch_add(&s->refs, 1);
	c->sv.server = s;
	c->local = li->local;
	if (li->local) {
		if (!local_allowed(c, stream)) {
			s->n_not_admitted++;
			lt_warn("local connection of user %llu refused",
			    (unsigned long long)c->peer.uid);
			discard(c, stream);
			return;
		}
	} else {
		c->peer.kind = LT_PEER_LINE;
		address_of(stream, c->peer.address, sizeof(c->peer.address));
		(void)nng_stream_set_bool(stream, NNG_OPT_TCP_NODELAY, true);
	}
	line = li->local ? lt_line_new_local(false)
			 : lt_line_new_acceptor(s->federation, s->line_key, NULL);
	if (line == NULL || !enlist(s, c, &victim)) {
		s->n_over_limit++;
		lt_line_free(line);
		discard(c, stream);
		return;
	}
	make_room(victim);
	pthread_mutex_lock(&c->mx);
	lt_conn_start(c, stream, line);
	pthread_mutex_unlock(&c->mx);
}

/* The service thread, which closes connections and runs the timer, has to catch up first: the others wait in the kernel. */
static bool
crowded(struct lt_listener *li)
{
	bool many;

	pthread_mutex_lock(&li->server->mx);
	many = !li->local && li->server->nevicted >= LT_SERVER_EVICTED_MAX;
	pthread_mutex_unlock(&li->server->mx);
	return many;
}

/* How long the next one has to wait in the kernel. By the clock of the system: it is the machine's time that is shared out. */
static uint32_t
accept_pause(struct lt_listener *li)
{
	static const struct lt_rate_limit pace = { ACCEPT_PER_S, ACCEPT_BURST };
	uint32_t wait_ms = 0;

	if (li->local)
		return 0;
	lt_rate_owe(&li->pace, &pace, 1, lt_mono_ms(lt_clock_system()));
	if (lt_rate_take(&li->pace, &pace, 1, lt_mono_ms(lt_clock_system()), &wait_ms))
		lt_rate_give(&li->pace, &pace, 1);
	return wait_ms == 0 && crowded(li) ? CROWDED_RETRY_MS : wait_ms;
}

static void
accept_cb(void *arg)
{
	struct lt_listener *li = arg;
	int rv = nng_aio_result(li->aio);
	uint32_t pause_ms = ACCEPT_RETRY_MS;

	if (rv == 0)
		accepted(li, nng_aio_get_output(li->aio, 0));
	if (li->server->stopping || rv == NNG_ECLOSED || rv == NNG_ECANCELED)
		return;
	if (rv == 0)
		pause_ms = accept_pause(li);
	else if (rv == NNG_ECONNABORTED || rv == NNG_ECONNRESET)
		pause_ms = 0;
	if (pause_ms == 0 || lt_timer_arm(li->server->o.pool, &li->retry, pause_ms) != LT_OK)
		nng_stream_listener_accept(li->l, li->aio);
}

/* Out of descriptors or memory, or too fast, a moment ago: try again. */
static void
accept_again(void *arg)
{
	struct lt_listener *li = arg;

	if (!li->server->stopping)
		nng_stream_listener_accept(li->l, li->aio);
}

/* ---- listeners ---- */

static void
listener_free(struct lt_listener *li)
{
	if (li->l != NULL)
		nng_stream_listener_close(li->l);
	if (li->aio != NULL)
		nng_aio_stop(li->aio);
	lt_timer_disarm(li->server->o.pool, &li->retry);
	if (li->aio != NULL)
		nng_aio_stop(li->aio); /* what a timer had started meanwhile */
	if (li->l != NULL)
		nng_stream_listener_free(li->l);
	nng_aio_free(li->aio);
	free(li);
}

/* nng does not tell the descriptor: it is the one that listens on the port. Without it the backlog stays as it is. */
static void
widen_backlog(int port)
{
	struct sockaddr_in6 a;
	socklen_t len;
	int fd, on, bound;

	for (fd = 0; fd < LISTENER_FD_MAX; fd++) {
		len = sizeof(on);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) != 0 || on == 0)
			continue;
		len = sizeof(a);
		memset(&a, 0, sizeof(a));
		if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
			continue;
		/* The port stands at the same place in both kinds of addresses. */
		bound =
		    a.sin6_family == AF_INET || a.sin6_family == AF_INET6 ? ntohs(a.sin6_port) : -1;
		if (bound == port && listen(fd, BACKLOG) != 0)
			lt_warn("only a few connections can wait on port %d at once", port);
	}
}

static int
listener_open(struct lt_listener *li, const char *url, struct lt_err *err)
{
	nng_sockaddr sa;
	int rv;

	rv = nng_stream_listener_alloc(&li->l, url);
	if (rv != 0)
		return lt_err_set(
		    err, LT_E_INVALID, "cannot listen on \"%s\": %s", url, nng_strerror(rv));
	if (li->local)
		rv = nng_stream_listener_set_int(li->l, NNG_OPT_IPC_PERMISSIONS, 0600);
	if (rv == 0)
		rv = nng_stream_listener_listen(li->l);
	if (rv != 0)
		return lt_err_set(err, lt_conn_nng_error(rv), "cannot listen on \"%s\": %s", url,
		    nng_strerror(rv));
	if (nng_stream_listener_get_addr(li->l, NNG_OPT_LOCADDR, &sa) == 0) {
		if (sa.s_family == NNG_AF_INET)
			li->port = ntohs(sa.s_in.sa_port);
		else if (sa.s_family == NNG_AF_INET6)
			li->port = ntohs(sa.s_in6.sa_port);
	}
	if (!li->local)
		widen_backlog(li->port);
	if (nng_aio_alloc(&li->aio, accept_cb, li) != 0)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	nng_aio_set_timeout(li->aio, NNG_DURATION_INFINITE);
	return LT_OK;
}

int
lt_server_listen(struct lt_server *s, const char *url, struct lt_err *err)
{
	bool local = strncmp(url, "ipc://", 6) == 0;
	struct lt_listener *li;
	int rc;

	if (!local && strncmp(url, "tcp://", 6) != 0)
		return lt_err_set(
		    err, LT_E_INVALID, "cannot listen on \"%s\": only tcp:// and ipc://", url);
	if (!local && (s->line_key == NULL || s->o.federation == NULL))
		return lt_err_set(err, LT_E_INVALID, "cannot listen on \"%s\": no line key", url);
	if (local && strlen(url) - 6 > 100)
		return lt_err_set(
		    err, LT_E_INVALID, "the path of the socket \"%s\" is too long", url + 6);
	li = calloc(1, sizeof(*li));
	if (li == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	li->server = s;
	li->local = local;
	li->port = -1;
	li->retry.fn = accept_again;
	li->retry.arg = li;
	rc = listener_open(li, url, err);
	if (rc != LT_OK) {
		listener_free(li);
		return rc;
	}
	/* Under the lock that every new connection takes: what was set up before is seen by its workers. */
	pthread_mutex_lock(&s->mx);
	s->listening = true;
	li->next = s->listeners;
	s->listeners = li;
	pthread_mutex_unlock(&s->mx);
	nng_stream_listener_accept(li->l, li->aio);
	return LT_OK;
}

void
lt_server_unlisten(struct lt_server *s)
{
	struct lt_listener *li;

	while ((li = s->listeners) != NULL) {
		s->listeners = li->next;
		listener_free(li);
	}
}

int
lt_server_port(const struct lt_server *s)
{
	const struct lt_listener *li;
	int port = -1;

	for (li = s->listeners; li != NULL; li = li->next)
		if (!li->local)
			port = li->port;
	return port;
}
