/* The server as a whole: its services, its counts, its stop. */
#include "proto/base/log.h"
#include "proto/feed/crypto.h"
#include "proto/rpc/resume_token.h"
#include "proto/rpc/server_impl.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define CONNS_MAX 4096
#define CONNS_MIN 8
#define DESCRIPTORS_KEPT 64 /* for what is not a connection */
#define CONNS_PER_ADDRESS_MAX 512
#define HANDSHAKES_MAX 256
#define CALLS_MAX 1024
#define STOP_GRACE_MS 1000
#define FINISH_MS 500 /* for answers on their way to a peer that reads slowly */
#define CLOSE_GRACE_MS 5000

/* What positions are sealed with. secret: 32 bytes, or NULL where nothing outlives the server. */
static void
make_keys(struct lt_server *s, const uint8_t *secret)
{
	struct lt_hash h;

	if (secret == NULL) {
		randombytes_buf(s->secrets, sizeof(*s->secrets));
		return;
	}
	lt_resume_key(secret, s->secrets->resume_key);
	lt_h1("lt1.page-key", lt_slice(secret, 32), &h);
	memcpy(s->secrets->page_key, h.b, sizeof(s->secrets->page_key));
	sodium_memzero(&h, sizeof(h));
}

/* What the server keeps secret. LT_E_NOMEM. What was made goes with free_memory(). */
static int
make_secrets(struct lt_server *s, const struct lt_server_options *o)
{
	s->secrets = sodium_init() < 0 ? NULL : sodium_malloc(sizeof(*s->secrets));
	if (s->secrets == NULL)
		return LT_E_NOMEM;
	make_keys(s, o->resume_secret != NULL ? o->resume_secret : o->line_sk);
	s->o.resume_secret = s->o.line_sk = NULL; /* only what was made of them is kept */
	if (o->line_sk != NULL)
		s->line_key = lt_line_key_new(o->line_sk);
	return o->line_sk == NULL || s->line_key != NULL ? LT_OK : LT_E_NOMEM;
}

static void
free_memory(struct lt_server *s)
{
	lt_server_accounts_free(s);
	lt_account_unref(s->streams);
	sodium_free(s->secrets);
	lt_line_key_unref(s->line_key);
	free(s->addresses);
	free(s);
}

/* A connection is a descriptor, and the store and the log need some, too: strangers must not use up the last one. */
static unsigned
conns_allowed(unsigned wanted)
{
	const rlim_t kept = DESCRIPTORS_KEPT + LT_SERVER_EVICTED_MAX;
	struct rlimit r;
	unsigned may;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY ||
	    r.rlim_cur >= wanted + kept)
		return wanted;
	may = r.rlim_cur > kept + CONNS_MIN ? (unsigned)(r.rlim_cur - kept) : CONNS_MIN;
	if (may >= wanted)
		return wanted;
	lt_warn("at most %u connections instead of %u: this process may have %llu descriptors open "
		"(ulimit -n, LimitNOFILE=)",
	    may, wanted, (unsigned long long)r.rlim_cur);
	return may;
}

int
lt_server_new(const struct lt_server_options *o, struct lt_server **out, struct lt_err *err)
{
	struct lt_server *s;
	pthread_condattr_t attr;
	size_t i, j;

	for (i = 0; i < o->nmethods; i++)
		for (j = 0; j < i; j++)
			if (strcmp(o->methods[i].name, o->methods[j].name) == 0)
				return lt_err_set(err, LT_E_INVALID,
				    "method \"%s\" stands twice in the table", o->methods[i].name);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	s->o = *o;
	if (o->federation != NULL) {
		memcpy(s->federation, o->federation, sizeof(s->federation));
		s->o.federation = s->federation;
	}
	s->o.conns_max = conns_allowed(o->conns_max != 0 ? o->conns_max : CONNS_MAX);
	s->o.conns_per_address_max =
	    o->conns_per_address_max != 0 ? o->conns_per_address_max : CONNS_PER_ADDRESS_MAX;
	s->o.handshakes_max = o->handshakes_max != 0 ? o->handshakes_max : HANDSHAKES_MAX;
	s->o.calls_max = o->calls_max != 0 ? o->calls_max : CALLS_MAX;
	s->naddresses = s->o.conns_max + LT_SERVER_EVICTED_MAX;
	s->addresses = calloc(s->naddresses, sizeof(*s->addresses));
	s->streams = lt_account_new(&(const struct lt_quota){ 0 }, o->pool);
	if (s->addresses == NULL || s->streams == NULL || make_secrets(s, o) != LT_OK) {
		free_memory(s);
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	}
	s->refs = 1;
	pthread_mutex_init(&s->mx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->cv, &attr);
	pthread_condattr_destroy(&attr);
	*out = s;
	return LT_OK;
}

void
lt_server_unref(struct lt_server *s)
{
	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&s->mx);
	pthread_cond_destroy(&s->cv);
	free_memory(s);
}

/* ---- services ---- */

const struct lt_method *
lt_server_method(const struct lt_server *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->o.nmethods; i++)
		if (strcmp(s->o.methods[i].name, name) == 0)
			return &s->o.methods[i];
	return NULL;
}

ProtobufCService *
lt_server_service(const struct lt_server *s, const char *name, unsigned *index)
{
	const ProtobufCServiceDescriptor *d;
	const ProtobufCMethodDescriptor *m;
	size_t i, n;

	for (i = 0; i < s->nservices; i++) {
		d = s->services[i]->descriptor;
		n = strlen(d->name);
		if (name[0] != '/' || strncmp(name + 1, d->name, n) != 0 || name[1 + n] != '/')
			continue;
		m = protobuf_c_service_descriptor_get_method_by_name(d, name + n + 2);
		if (m == NULL)
			return NULL;
		*index = (unsigned)(m - d->methods);
		return s->services[i];
	}
	return NULL;
}

/* Every row of the table that names this service must name a method of it. */
static int
check_rows(const struct lt_server *s, const ProtobufCServiceDescriptor *d, struct lt_err *err)
{
	size_t i, n = strlen(d->name);

	for (i = 0; i < s->o.nmethods; i++) {
		const char *name = s->o.methods[i].name;

		if (name[0] != '/' || strncmp(name + 1, d->name, n) != 0 || name[1 + n] != '/')
			continue;
		if (protobuf_c_service_descriptor_get_method_by_name(d, name + n + 2) == NULL)
			return lt_err_set(
			    err, LT_E_INVALID, "the table's method \"%s\" does not exist", name);
	}
	return LT_OK;
}

int
lt_server_add(struct lt_server *s, ProtobufCService *service, struct lt_err *err)
{
	const ProtobufCServiceDescriptor *d = service->descriptor;
	char name[256];
	size_t i;

	assert(!s->listening);
	if (s->nservices == LT_SERVER_SERVICES_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "too many services");
	for (i = 0; i < s->nservices; i++)
		if (s->services[i]->descriptor == d)
			return lt_err_set(
			    err, LT_E_EXISTS, "service \"%s\" is there already", d->name);
	for (i = 0; i < d->n_methods; i++) {
		(void)snprintf(name, sizeof(name), "/%s/%s", d->name, d->methods[i].name);
		if (lt_server_method(s, name) == NULL)
			return lt_err_set(
			    err, LT_E_INVALID, "method \"%s\" is not in the table", name);
	}
	if (check_rows(s, d, err) != LT_OK)
		return LT_E_INVALID;
	s->services[s->nservices++] = service;
	return LT_OK;
}

/* ---- all connections ---- */

/* Call fn for every connection that there is, with its lock held. */
static void
each_conn(struct lt_server *s, void (*fn)(struct lt_conn *c, const void *arg), const void *arg)
{
	struct lt_conn **all, *c;
	size_t n = 0, i;

	pthread_mutex_lock(&s->mx);
	for (c = s->conns; c != NULL; c = c->sv.next)
		n++;
	all = calloc(n == 0 ? 1 : n, sizeof(struct lt_conn *));
	n = 0;
	for (c = all == NULL ? NULL : s->conns; c != NULL; c = c->sv.next) {
		lt_conn_ref(c);
		all[n++] = c;
	}
	pthread_mutex_unlock(&s->mx);
	for (i = 0; i < n; i++) {
		pthread_mutex_lock(&all[i]->mx);
		fn(all[i], arg);
		pthread_mutex_unlock(&all[i]->mx);
		lt_conn_unref(all[i]);
	}
	free(all);
}

static void
cut_one(struct lt_conn *c, const void *key)
{
	if (!c->local && sodium_memcmp(c->peer.line_key, key, sizeof(c->peer.line_key)) == 0)
		lt_conn_die(c, LT_E_DENIED, "revoked");
}

void
lt_server_cut(struct lt_server *s, const uint8_t line_key[32])
{
	each_conn(s, cut_one, line_key);
}

/* With a reference and its lock; NULL: gone. */
static struct lt_conn *
take_conn(struct lt_server *s, uint64_t conn_id)
{
	struct lt_conn *c;

	pthread_mutex_lock(&s->mx);
	for (c = s->conns; c != NULL && c->peer.conn_id != conn_id; c = c->sv.next)
		;
	if (c != NULL)
		lt_conn_ref(c);
	pthread_mutex_unlock(&s->mx);
	if (c == NULL)
		return NULL;
	pthread_mutex_lock(&c->mx);
	if (!c->dead)
		return c;
	pthread_mutex_unlock(&c->mx);
	lt_conn_unref(c);
	return NULL;
}

static void
give_conn(struct lt_conn *c)
{
	pthread_mutex_unlock(&c->mx);
	lt_conn_unref(c);
}

bool
lt_server_look(struct lt_server *s, uint64_t conn_id, bool ping, uint64_t *frames)
{
	struct lt_conn *c = take_conn(s, conn_id);

	if (c == NULL)
		return false;
	*frames = c->frames_in;
	if (ping && c->phase == LT_CONN_OPEN) {
		lt_mux_ping(&c->mux, (uint64_t)lt_conn_now(c));
		lt_conn_kick(c);
	}
	give_conn(c);
	return true;
}

void
lt_server_cut_one(struct lt_server *s, uint64_t conn_id)
{
	struct lt_conn *c = take_conn(s, conn_id);

	if (c == NULL)
		return;
	lt_conn_die(c, LT_E_TIMEOUT, "it does not answer, and another process of it has come");
	give_conn(c);
}

unsigned
lt_server_connections(const struct lt_server *s)
{
	return s->nopen;
}

void
lt_server_counts(const struct lt_server *s, struct lt_server_counts *out)
{
	out->accepted = s->n_accepted;
	out->over_limit = s->n_over_limit;
	out->over_rate = s->n_over_rate;
	out->evicted = s->n_evicted;
	out->bad_handshake = s->n_bad;
	out->not_admitted = s->n_not_admitted;
	out->handshake_late = s->n_late;
	out->cut = s->n_cut;
	out->silent = s->n_silent;
	out->calls = s->n_calls;
	out->calls_refused = s->n_refused;
}

/* ---- the stop ---- */

static void
say_goaway(struct lt_conn *c, const void *arg)
{
	(void)arg;
	if (c->phase != LT_CONN_OPEN) {
		lt_conn_die(c, LT_E_CLOSED, "stopping");
		return;
	}
	lt_mux_goaway(&c->mux, lt_slice_str("stopping"));
	lt_conn_kick(c);
}

static void
finish_one(struct lt_conn *c, const void *arg)
{
	(void)arg;
	lt_conn_finish(c, "stopping");
}

static void
close_one(struct lt_conn *c, const void *arg)
{
	(void)arg;
	lt_conn_die(c, LT_E_CLOSED, "stopping");
}

static struct timespec
real_in(uint32_t ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

static bool
calls_wait(struct lt_server *s, uint32_t ms, bool streams)
{
	struct timespec until = real_in(ms);
	int rc = 0;

	pthread_mutex_lock(&s->mx);
	while (s->ncalls > (streams ? 0 : s->nstreams) && rc == 0)
		rc = pthread_cond_timedwait(&s->cv, &s->mx, &until);
	pthread_mutex_unlock(&s->mx);
	return s->ncalls == 0;
}

/* The service thread closes connections one after another, each within a callback's time; a handler that
 * blocks all workers must not keep us for ever. */
static bool
conns_wait(struct lt_server *s, uint32_t ms)
{
	struct timespec until = real_in(ms);
	bool none;
	int rc = 0;

	pthread_mutex_lock(&s->mx);
	while (s->conns != NULL && rc == 0)
		rc = pthread_cond_timedwait(&s->cv, &s->mx, &until);
	none = s->conns == NULL;
	pthread_mutex_unlock(&s->mx);
	return none;
}

void
lt_server_stop(struct lt_server *s, uint32_t wait_ms)
{
	if (s == NULL)
		return;
	s->stopping = true;
	lt_server_unlisten(s);
	each_conn(s, say_goaway, NULL);
	/* A stream may wait for news for ever, and whoever reads it can pick it up again. */
	(void)calls_wait(s, wait_ms, false);
	/* A call is over when its answer is queued; it has been given when that is written. */
	each_conn(s, finish_one, NULL);
	if (!conns_wait(s, FINISH_MS))
		each_conn(s, close_one, NULL);
	if (!conns_wait(s, CLOSE_GRACE_MS) || !calls_wait(s, STOP_GRACE_MS, true))
		lt_warn("%u calls have still no answer at the stop", (unsigned)s->ncalls);
	lt_server_unref(s);
}
