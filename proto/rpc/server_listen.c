/* Where connections come from: listeners, and the limits on what they accept. */
#include "proto/base/log.h"
#include "proto/rpc/server_impl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_RETRY_MS 100

struct lt_listener {
	struct lt_listener *next;
	struct lt_server *server;
	nng_stream_listener *l;
	nng_aio *aio;
	struct lt_timer retry;
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

/* The slot of an address, a free one if it has none. There are as many slots as connections allowed. */
static unsigned
address_slot(struct lt_server *s, const char *text)
{
	unsigned i, n = s->o.conns_max, at, free_at = UINT32_MAX;
	uint32_t h = 2166136261u;
	const char *p;

	for (p = text; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	for (i = 0; i < n; i++) {
		at = (h + i) % n;
		if (s->addresses[at].text[0] == '\0') {
			free_at = free_at == UINT32_MAX ? at : free_at;
			break;
		}
		if (strcmp(s->addresses[at].text, text) == 0)
			return at;
		if (s->addresses[at].nconns == 0 && free_at == UINT32_MAX)
			free_at = at;
	}
	assert(free_at != UINT32_MAX);
	(void)snprintf(s->addresses[free_at].text, sizeof(s->addresses[free_at].text), "%s", text);
	return free_at;
}

/* Put a new connection on the list, if the limits allow. */
static bool
enlist(struct lt_server *s, struct lt_conn *c)
{
	bool ok = false;

	pthread_mutex_lock(&s->mx);
	if (s->stopping || s->nconns >= s->o.conns_max || s->nhandshakes >= s->o.handshakes_max)
		goto out;
	c->sv.address_slot = address_slot(s, c->peer.address);
	if (s->addresses[c->sv.address_slot].nconns >= s->o.conns_per_address_max)
		goto out;
	s->addresses[c->sv.address_slot].nconns++;
	s->nconns++;
	s->nhandshakes++;
	c->sv.counted_handshake = true;
	c->sv.next = s->conns;
	if (s->conns != NULL)
		s->conns->sv.prev = c;
	s->conns = c;
	ok = true;
out:
	pthread_mutex_unlock(&s->mx);
	return ok;
}

void
lt_server_handshake_done(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;

	pthread_mutex_lock(&s->mx);
	c->sv.counted_handshake = false;
	s->nhandshakes--;
	pthread_mutex_unlock(&s->mx);
}

void
lt_server_places_done(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;

	pthread_mutex_lock(&s->mx);
	if (c->sv.counted_handshake)
		s->nhandshakes--;
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
accepted(struct lt_listener *li, nng_stream *stream)
{
	struct lt_server *s = li->server;
	struct lt_conn *c = lt_conn_new(
	    s->o.pool, s->o.clock, &lt_server_conn_ops, false, s->o.idle_ms, s->o.handshake_ms);
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
			 : lt_line_new_acceptor(s->federation, s->o.line_sk, NULL);
	if (line == NULL || !enlist(s, c)) {
		s->n_over_limit++;
		lt_line_free(line);
		discard(c, stream);
		return;
	}
	pthread_mutex_lock(&c->mx);
	lt_conn_start(c, stream, line);
	pthread_mutex_unlock(&c->mx);
}

static void
accept_cb(void *arg)
{
	struct lt_listener *li = arg;
	int rv = nng_aio_result(li->aio);
	bool again;

	if (rv == 0)
		accepted(li, nng_aio_get_output(li->aio, 0));
	if (li->server->stopping || rv == NNG_ECLOSED || rv == NNG_ECANCELED)
		return;
	again = rv == 0 || rv == NNG_ECONNABORTED || rv == NNG_ECONNRESET;
	if (again || lt_timer_arm(li->server->o.pool, &li->retry, ACCEPT_RETRY_MS) != LT_OK)
		nng_stream_listener_accept(li->l, li->aio);
}

/* Out of descriptors or memory a moment ago: try again. */
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
	if (!local && (s->o.line_sk == NULL || s->o.federation == NULL))
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
