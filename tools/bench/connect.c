/* tools/bench/connect.c - many nodes on one real lt-hub: time until all are greeted, and the hub's memory for them. */
#include "tools/bench/proc.h"
#include "tools/bench/relay.h"

#include "lienthong/v1/sync.pb-c.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE \
	64 /* handshakes under way: nodes come at random times, the hub bounds unfinished ones */
#define PER_ADDRESS 400 /* below the hub's limit for one address */
#define TRIES 5

struct greeting {
	struct bench *b;
	const struct bench_world *w;
	struct lt_pool *pool;
	const char *url;
	size_t n;
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cv;
	size_t next, under_way, greeted;
	size_t retries;
	int rc;
	char why[160];
	struct guest *guest;
};

struct guest {
	struct greeting *g;
	struct lt_conn *conn;
	unsigned tries;
	bool greeted;
};

static void come(struct guest *t);

/* mx is held. */
static void
leave(struct greeting *g)
{
	g->under_way--;
	pthread_cond_broadcast(&g->cv);
}

static void
on_item(void *ctx, const ProtobufCMessage *m)
{
	struct guest *t = ctx;

	(void)m;
	t->greeted = true;
}

static void
on_hello(void *ctx, const struct lt_status *st)
{
	struct guest *t = ctx;
	struct greeting *g = t->g;

	pthread_mutex_lock(&g->mx);
	if (st->code == LT_STATUS_OK && t->greeted) {
		g->greeted++;
	} else if (g->rc == LT_OK) {
		g->rc = LT_E_REMOTE;
		(void)snprintf(g->why, sizeof(g->why), "Hello: %.100s", st->message);
	}
	leave(g);
	pthread_mutex_unlock(&g->mx);
}

static int
say_hello(struct guest *t)
{
	static const struct lt_call_ops ops = { on_item, on_hello };
	Ltpb__HelloRequest req = LTPB__HELLO_REQUEST__INIT;
	const struct bench_node *n = &t->g->w->node[t - t->g->guest];
	uint8_t instance[16];

	randombytes_buf(instance, sizeof(instance));
	req.principal.data = (uint8_t *)(uintptr_t)n->id.b;
	req.principal.len = LT_ID_LEN;
	req.instance.data = instance;
	req.instance.len = sizeof(instance);
	req.clock_ms = lt_wall_ms(lt_clock_system());
	req.version = (char *)LT_VERSION;
	return lt_conn_call(
	    t->conn, &ltpb__sync__descriptor, "Hello", &req.base, 60000, &ops, t, NULL);
}

static void
on_dialed(void *ctx, struct lt_conn *c, int rc, const char *why)
{
	struct guest *t = ctx;
	struct greeting *g = t->g;
	bool again;

	t->conn = c;
	if (rc == LT_OK)
		rc = say_hello(t);
	if (rc == LT_OK)
		return;
	pthread_mutex_lock(&g->mx);
	again = c == NULL && g->rc == LT_OK && ++t->tries < TRIES;
	g->retries += again;
	if (!again) {
		if (g->rc == LT_OK)
			(void)snprintf(g->why, sizeof(g->why), "%s", why != NULL ? why : "");
		if (g->rc == LT_OK)
			g->rc = rc;
		leave(g);
	}
	pthread_mutex_unlock(&g->mx);
	if (again)
		come(t);
}

static void
come(struct guest *t)
{
	const struct greeting *g = t->g;
	struct lt_dial_options o;
	int rc;

	bench_dial_options(&o, g->pool, g->w, &g->w->node[t - g->guest], g->url);
	rc = lt_dial_async(&o, on_dialed, t);
	if (rc == LT_OK)
		return;
	t->tries = TRIES; /* not even begun: asking again would not help */
	on_dialed(t, NULL, rc, "cannot dial");
}

static int
greet_all(struct greeting *g)
{
	pthread_mutex_lock(&g->mx);
	while (g->next < g->n && g->rc == LT_OK) {
		struct guest *t = &g->guest[g->next];

		if (g->under_way >= AT_ONCE) {
			pthread_cond_wait(&g->cv, &g->mx);
			continue;
		}
		t->g = g;
		g->next++;
		g->under_way++;
		pthread_mutex_unlock(&g->mx);
		come(t);
		pthread_mutex_lock(&g->mx);
	}
	while (g->under_way > 0)
		pthread_cond_wait(&g->cv, &g->mx);
	pthread_mutex_unlock(&g->mx);
	return g->rc == LT_OK ? LT_OK
			      : lt_err_set(&g->b->err, g->rc, "%zu of %zu greeted: %s", g->greeted,
				    g->n, g->why);
}

static int
tell(struct bench *b, size_t n, double seconds, size_t retries, const struct bench_usage *before,
    const struct bench_usage *after)
{
	char name[96];
	int rc;

	(void)snprintf(name, sizeof(name), "%zu nodes connected and greeted", n);
	rc = bench_result(b, name, seconds, "s", BENCH_INFO, 0, "%zu dialed again", retries);
	(void)snprintf(name, sizeof(name), "%zu nodes: memory of the hub (RssAnon)", n);
	if (rc == LT_OK)
		rc = bench_result(b, name, after->anon_mib, "MiB",
		    n == 3321 ? BENCH_AT_MOST : BENCH_INFO, 1024, "%.1f KiB a connection",
		    (after->anon_mib - before->anon_mib) * 1024 / (double)n);
	return rc;
}

/* Still there when all are: who was dropped meanwhile would count as served. */
static int
check_alive(struct greeting *g)
{
	size_t i, gone = 0;

	for (i = 0; i < g->n; i++)
		gone += !lt_conn_alive(g->guest[i].conn);
	return gone == 0 ? LT_OK
			 : lt_err_set(&g->b->err, LT_E_REMOTE, "%zu of %zu connections are gone",
			       gone, g->n);
}

static int
measure(struct bench *b, const struct bench_world *w, struct lt_pool *pool, size_t n, int port,
    const struct bench_proc *hub)
{
	struct greeting g = { .b = b,
		.w = w,
		.pool = pool,
		.n = n,
		.mx = PTHREAD_MUTEX_INITIALIZER,
		.cv = PTHREAD_COND_INITIALIZER };
	struct bench_usage before, after;
	char url[64];
	double seconds;
	int64_t from;
	size_t i;
	int rc = bench_proc_usage(b, hub, &before);

	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	g.url = url;
	g.guest = calloc(n, sizeof(*g.guest));
	if (g.guest == NULL)
		return LT_E_NOMEM;
	from = bench_now_ns();
	if (rc == LT_OK)
		rc = greet_all(&g);
	seconds = bench_seconds(bench_now_ns() - from);
	if (rc == LT_OK)
		rc = bench_proc_usage(b, hub, &after);
	if (rc == LT_OK)
		rc = check_alive(&g);
	if (rc == LT_OK)
		rc = tell(b, n, seconds, g.retries, &before, &after);
	for (i = 0; i < n; i++)
		lt_conn_close(g.guest[i].conn);
	free(g.guest);
	return rc;
}

/* A hub of its own for each number: memory that others left behind would count for none of them. */
static int
measure_with(struct bench *b, const struct bench_world *w, size_t n)
{
	struct bench_relay *relay = NULL;
	struct bench_proc hub = { 0 };
	struct lt_pool *pool = NULL;
	int port = 0, behind = 0;
	int rc = bench_port(b, &port);

	if (rc == LT_OK)
		rc = bench_port(b, &behind);
	if (rc == LT_OK)
		rc = bench_world_listen(b, w, behind, false);
	if (rc == LT_OK)
		rc = bench_proc_start(b, &hub, "lt-hub", w->dir);
	if (rc == LT_OK)
		rc = bench_relay_start(b, port, behind, PER_ADDRESS, &relay);
	if (rc == LT_OK)
		rc = lt_pool_start(2, 8192, &pool);
	if (rc == LT_OK)
		rc = measure(b, w, pool, n, port, &hub);
	lt_pool_stop(pool);
	bench_relay_stop(relay);
	if (rc == LT_OK)
		rc = bench_proc_stop(b, &hub);
	bench_proc_kill(&hub);
	return rc;
}

int
bench_connect(struct bench *b)
{
	static const size_t numbers[] = { 1, 148, 1000, 3321 };
	size_t count = b->quick ? 2 : 4, i;
	struct bench_world w;
	int rc = bench_world_make(b, "hub", numbers[count - 1], &w);

	for (i = 0; rc == LT_OK && i < count; i++)
		rc = measure_with(b, &w, numbers[i]);
	bench_world_free(&w);
	return rc;
}
