/* tools/bench/hostile.c - 50 nodes at work on a real lt-hub, alone and while strangers do what they can: 2,000 sockets that finish no
 * handshake, handshakes that have the hub compute, and more connections than it may open. */
#include "proto/base/thread.h"
#include "tools/bench/enemy.h"
#include "tools/bench/flood.h"
#include "tools/bench/proc.h"

#include "lienthong/v1/sync.pb-c.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define NODES 50
#define CHANGES 10 /* in a set */
#define THREADS 16
#define EVERY_NS INT64_C(250000000) /* a node's pushes, of one set */
#define SOCKETS 2000
#define KNOCKS_PER_S 2000
#define FLOODER NODES /* one more, that has no other work */
#define WRITER (NODES + 1) /* and one that has very much to say */
#define RAMP_US 1500000 /* until all strangers are there */
#define MUCH 10000 /* sets: seconds of what the hub takes of one node while the others work */
#define GONE_S 5 /* FORMAT.md 6.1: a handshake takes no longer */
#define RSS_MAX_MIB 256
#define ROUNDS_MAX 8

struct siege {
	struct bench *b;
	struct bench_world w;
	struct bench_feeds f;
	struct bench_feeds much; /* of the writer */
	struct bench_proc hub;
	struct lt_pool *pool;
	struct lt_conn *node[NODES];
	int port, elsewhere;
	size_t paced, burst; /* sets of each node in a paced phase, in a round of the other kind */
	size_t at; /* sets of each node that were pushed */
	int64_t *took;
};

static int
setup(struct siege *s)
{
	struct bench *b = s->b;
	size_t i, rounds = b->quick ? 2 : ROUNDS_MAX;
	int rc = bench_world_make(b, "hub", NODES + 2, &s->w);

	s->paced = b->quick ? 4 : 40;
	s->burst = b->quick ? 4 : 100;
	s->took = calloc(NODES * s->paced, sizeof(*s->took));
	if (rc == LT_OK && s->took == NULL)
		rc = LT_E_NOMEM;
	bench_say(b, "signing");
	if (rc == LT_OK)
		rc = bench_feeds_make(
		    b, &s->w, NODES + 1, 7 * s->paced + (rounds + 1) * s->burst, CHANGES, &s->f);
	if (rc == LT_OK)
		rc = bench_feed_make(b, &s->w, WRITER, b->quick ? 256 : MUCH, CHANGES, &s->much);
	if (rc == LT_OK)
		rc = bench_port(b, &s->port);
	if (rc == LT_OK)
		rc = bench_port(b, &s->elsewhere);
	if (rc == LT_OK)
		rc = bench_world_listen(b, &s->w, s->port, true);
	if (rc == LT_OK)
		rc = bench_proc_start(b, &s->hub, "lt-hub", s->w.dir);
	if (rc == LT_OK)
		rc = lt_pool_start(2, 1024, &s->pool);
	for (i = 0; rc == LT_OK && i < NODES; i++)
		rc = bench_dial(b, s->pool, &s->w, &s->w.node[i], s->port, &s->node[i]);
	return rc;
}

static void
teardown(struct siege *s)
{
	size_t i;

	for (i = 0; i < NODES; i++)
		lt_conn_close(s->node[i]);
	lt_pool_stop(s->pool);
	bench_proc_kill(&s->hub);
	bench_feeds_free(&s->f);
	bench_feeds_free(&s->much);
	bench_world_free(&s->w);
	free(s->took);
}

/* ---- nodes at work ---- */

struct work {
	struct siege *s;
	size_t sets; /* of each node */
	size_t per_push;
	bool paced;
	int64_t from_ns;
	atomic_size_t next_thread;
	_Atomic int rc;
};

/* Sets from `at` on of one node; all receipted, or it is a refusal. */
static int
push(struct siege *s, size_t node, size_t at, size_t n)
{
	Ltpb__PushRequest req = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData set[LT_PUSH_MAX];
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	size_t i;

	for (i = 0; i < n; i++) {
		set[i].data = (uint8_t *)(uintptr_t)s->f.feed[node].set[at + i].data;
		set[i].len = s->f.feed[node].set[at + i].len;
	}
	req.change_set = set;
	req.n_change_set = n;
	if (lt_conn_call_wait(s->node[node], &ltpb__sync__descriptor, "Push", &req.base, 120000, &m,
		&st) != LT_STATUS_OK)
		return LT_E_REMOTE;
	n = ((const Ltpb__PushReply *)m)->n_receipt;
	protobuf_c_message_free_unpacked(m, NULL);
	return n == 1 ? LT_OK : LT_E_REFUSED;
}

/* Thread t pushes for every 16th node; when it is late it does not wait, and the time counts from when it was due. */
static void *
worker(void *arg)
{
	struct work *w = arg;
	struct siege *s = w->s;
	size_t mine = atomic_fetch_add(&w->next_thread, 1), k, i, n;
	int64_t due, now;
	int rc = LT_OK;

	lt_thread_begin("pusher", LT_NICE_INTAKE);
	for (k = 0; rc == LT_OK && k < w->sets; k += n) {
		n = w->sets - k < w->per_push ? w->sets - k : w->per_push;
		for (i = mine; rc == LT_OK && i < NODES; i += THREADS) {
			due = w->from_ns + (int64_t)k * EVERY_NS + (int64_t)i * EVERY_NS / NODES;
			now = bench_now_ns();
			if (w->paced && now < due)
				bench_sleep_us((due - now) / 1000);
			rc = push(s, i, s->at + k, n);
			if (w->paced)
				s->took[i * w->sets + k] = bench_now_ns() - due;
		}
	}
	if (rc != LT_OK)
		atomic_store(&w->rc, rc);
	return NULL;
}

static int
work(struct siege *s, size_t sets, bool paced, double *seconds)
{
	struct work w = { .s = s,
		.sets = sets,
		.per_push = paced ? 1 : 20,
		.paced = paced,
		.from_ns = bench_now_ns() };
	pthread_t thread[THREADS];
	size_t i, n = 0;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[n], NULL, worker, &w) == 0)
			n++;
		else
			atomic_store(&w.rc, LT_E_NOMEM);
	for (i = 0; i < n; i++)
		(void)pthread_join(thread[i], NULL);
	*seconds = bench_seconds(bench_now_ns() - w.from_ns);
	s->at += sets;
	return w.rc == LT_OK
		   ? LT_OK
		   : lt_err_set(&s->b->err, w.rc, "a node at work was refused, or its line cut");
}

/* ---- sockets ---- */

static double
ms(int64_t ns)
{
	return (double)ns / 1e6;
}

struct siege_times {
	int64_t calm, elsewhere, hard; /* p99 of a push, in ns */
};

static int
tell_sockets(struct siege *s, const struct siege_times *t, const struct bench_enemy_report *r,
    double rss, double left_s)
{
	struct bench *b = s->b;
	int rc = bench_result(b, "a push of 50 nodes at work, p99", ms(t->calm), "ms", BENCH_INFO,
	    0, "200 pushes of 10 changes a second");

	if (rc == LT_OK)
		rc =
		    bench_result(b, "beside 2,000 hostile sockets elsewhere, p99", ms(t->elsewhere),
			"ms", BENCH_INFO, 0, "what strangers and kernel take of this machine");
	if (rc == LT_OK)
		rc = bench_result(b, "beside 2,000 hostile sockets at the hub, p99", ms(t->hard),
		    "ms", BENCH_INFO, 0, "%llu connections, at most %zu open",
		    (unsigned long long)r->made, r->most);
	if (rc == LT_OK)
		rc = bench_result(b, "p99 beside them, of that without",
		    (double)t->hard / (double)t->calm, "x", BENCH_AT_MOST, 2, "nobody refused");
	if (rc == LT_OK)
		rc = bench_result(b, "p99 beside them, of that with them elsewhere",
		    (double)t->hard / (double)t->elsewhere, "x", BENCH_INFO, 0, "%s", "");
	if (rc == LT_OK)
		rc = bench_result(b, "memory of the hub beside them (RSS)", rss, "MiB",
		    BENCH_AT_MOST, RSS_MAX_MIB, "%s", "");
	if (rc == LT_OK)
		rc = bench_result(b, "a hostile socket lives at most", r->longest_s, "s",
		    BENCH_INFO, 0, "until the hub has closed it");
	return rc == LT_OK ? bench_result(b, "all gone after the last came", left_s, "s",
				 BENCH_AT_MOST, GONE_S, "%zu left", r->left)
			   : rc;
}

/* Until the hub has closed them all, or twice the time that it has. */
static double
wait_gone(struct bench_enemy *e, struct bench_enemy_report *r)
{
	int64_t from = bench_now_ns();

	do {
		bench_sleep_us(10000);
		bench_enemy_report(e, r);
	} while (r->left != 0 && bench_now_ns() - from < 2 * GONE_S * INT64_C(1000000000));
	return bench_seconds(bench_now_ns() - from);
}

/* p99 of the nodes' pushes while strangers are at the port; they stay. */
static int
beside(struct siege *s, int port, struct bench_enemy **e, int64_t *p99)
{
	struct bench_enemy_plan plan = { .port = port, .sockets = SOCKETS };
	double seconds;
	int rc = bench_enemy_start(s->b, &plan, e);

	if (rc == LT_OK) {
		bench_sleep_us(RAMP_US);
		rc = work(s, s->paced, true, &seconds);
	}
	if (rc == LT_OK)
		*p99 = bench_percentile(s->took, NODES * s->paced, 99);
	return rc;
}

static int
sockets(struct siege *s, int64_t *calm_ns)
{
	struct siege_times t = { 0 };
	struct bench_enemy *e = NULL;
	struct bench_enemy_report r;
	struct bench_dummy *d = NULL;
	struct bench_usage u;
	double seconds, left_s = 0;
	int rc = work(s, s->paced, true, &seconds);

	if (rc == LT_OK) {
		*calm_ns = t.calm = bench_percentile(s->took, NODES * s->paced, 99);
		rc = bench_dummy_start(s->b, s->elsewhere, &d);
	}
	if (rc == LT_OK)
		rc = beside(s, s->elsewhere, &e, &t.elsewhere);
	bench_enemy_stop(e);
	bench_dummy_stop(d);
	e = NULL;
	if (rc == LT_OK)
		rc = beside(s, s->port, &e, &t.hard);
	if (rc == LT_OK)
		rc = bench_proc_usage(s->b, &s->hub, &u);
	if (rc == LT_OK) {
		bench_enemy_calm(e);
		left_s = wait_gone(e, &r);
		rc = tell_sockets(s, &t, &r, u.rss_mib, left_s);
	}
	bench_enemy_stop(e);
	return rc;
}

/* ---- handshakes ---- */

static int
round_of(struct siege *s, int port, int64_t *rate)
{
	struct bench_enemy_plan plan = {
		.port = port, .knocks_per_s = KNOCKS_PER_S, .hub_pk = s->w.hub->line_pk
	};
	struct bench_enemy *e = NULL;
	double seconds = 1;
	int rc = port == 0 ? LT_OK : bench_enemy_start(s->b, &plan, &e);

	if (rc == LT_OK && port != 0)
		bench_sleep_us(RAMP_US);
	if (rc == LT_OK)
		rc = work(s, s->burst, false, &seconds);
	*rate = (int64_t)((double)(s->burst * NODES * CHANGES) / seconds);
	bench_enemy_stop(e);
	return rc;
}

/* The strangers take of the machine what they take: first beside a server that computes nothing, then beside the hub, in turn. */
static int
handshakes(struct siege *s)
{
	size_t rounds = (s->b->quick ? 2 : ROUNDS_MAX) / 2, i;
	int64_t beside[ROUNDS_MAX], under[ROUNDS_MAX], alone = 0;
	struct bench_dummy *d = NULL;
	int rc = round_of(s, 0, &alone);

	if (rc == LT_OK)
		rc = bench_dummy_start(s->b, s->elsewhere, &d);
	for (i = 0; rc == LT_OK && i < rounds; i++) {
		rc = round_of(s, s->elsewhere, &beside[i]);
		if (rc == LT_OK)
			rc = round_of(s, s->port, &under[i]);
	}
	bench_dummy_stop(d);
	if (rc == LT_OK)
		rc = bench_result(s->b, "50 nodes push what they can, no strangers", (double)alone,
		    "changes/s", BENCH_INFO, 0, "%s", "");
	if (rc == LT_OK)
		rc = bench_result(s->b, "beside 2,000 handshakes a second elsewhere",
		    (double)bench_percentile(beside, rounds, 50), "changes/s", BENCH_INFO, 0,
		    "what strangers and kernel take of this machine");
	if (rc == LT_OK)
		rc = bench_result(s->b, "under 2,000 handshakes a second",
		    (double)bench_percentile(under, rounds, 50), "changes/s", BENCH_INFO, 0,
		    "knocks that fit, then noise");
	if (rc == LT_OK)
		rc = bench_result(s->b, "of that without strangers",
		    100.0 * (double)bench_percentile(under, rounds, 50) / (double)alone, "%",
		    BENCH_INFO, 0,
		    "the hub and those who attack it share this machine's processors");
	return rc == LT_OK ? bench_result(s->b, "left of the goodput beside them",
				 100.0 * (double)bench_percentile(under, rounds, 50) /
				     (double)bench_percentile(beside, rounds, 50),
				 "%", BENCH_AT_LEAST, 80, "%s", "")
			   : rc;
}

/* ---- one of ours ---- */

static const struct {
	const char *name;
	enum bench_flood_kind kind;
	bool quota; /* asks more than it may: it must have been refused */
} floods[] = { { "a push beside a node that floods with new ones, p99", BENCH_FLOOD_NEW, false },
	{ "a push beside a node that floods with what is here, p99", BENCH_FLOOD_PUSHES, true },
	{ "a push beside a node that asks too often, p99", BENCH_FLOOD_CALLS, true },
	{ "a push beside a department that floods, p99", BENCH_FLOOD_TOTALS, false } };

static int
flood(struct siege *s, size_t i, int64_t calm)
{
	bool new = floods[i].kind == BENCH_FLOOD_NEW;
	const struct bench_node *as = floods[i].kind == BENCH_FLOOD_TOTALS
					  ? &s->w.reader
					  : &s->w.node[new ? WRITER : FLOODER];
	const struct bench_feed *feed = new ? &s->much.feed[0] : &s->f.feed[FLOODER];
	uint64_t answered = 0, refused = 0;
	struct bench_flood f;
	double seconds;
	int64_t hard;
	int rc = bench_flood_start(
	    s->b, &s->w, as, s->port, floods[i].kind, feed, new ? feed->nset : s->at, &f);
	int ended;

	if (rc == LT_OK) {
		bench_sleep_us(RAMP_US); /* until the reserve is used up */
		rc = work(s, s->paced, true, &seconds);
	}
	ended = bench_flood_stop(s->b, &f, &answered, &refused);
	if (rc == LT_OK)
		rc = ended;
	if (rc != LT_OK)
		return rc;
	hard = bench_percentile(s->took, NODES * s->paced, 99);
	rc = bench_result(s->b, floods[i].name, ms(hard), "ms", BENCH_INFO, 0,
	    "%llu calls answered, %llu told to come later", (unsigned long long)answered,
	    (unsigned long long)refused);
	if (rc == LT_OK && floods[i].quota && !s->b->quick && refused == 0)
		rc = lt_err_set(&s->b->err, LT_E_REFUSED, "who asked too often met no quota");
	return rc == LT_OK ? bench_result(s->b, "of that without", (double)hard / (double)calm, "x",
				 BENCH_AT_MOST, 2, "64 calls at once")
			   : rc;
}

/* ---- descriptors ---- */

/* The hub may open none, and 256 wait in the kernel: what trying costs. */
static int
descriptors(struct siege *s)
{
	struct bench_enemy_plan plan = { .port = s->port, .sockets = 256 };
	struct bench_enemy *e = NULL;
	struct bench_usage before, after;
	struct rlimit had, none;
	int64_t from = 0;
	double share = 0;
	int rc = LT_OK;

	if (prlimit(s->hub.pid, RLIMIT_NOFILE, NULL, &had) != 0)
		return lt_err_set(&s->b->err, LT_E_IO, "no limits of the hub to be had");
	none = had;
	none.rlim_cur = 3; /* what is open stays open */
	if (prlimit(s->hub.pid, RLIMIT_NOFILE, &none, NULL) != 0)
		return lt_err_set(&s->b->err, LT_E_IO, "no limit can be set to the hub");
	rc = bench_enemy_start(s->b, &plan, &e);
	bench_sleep_us(RAMP_US);
	if (rc == LT_OK)
		rc = bench_proc_usage(s->b, &s->hub, &before);
	from = bench_now_ns();
	bench_sleep_us(s->b->quick ? 500000 : 3000000);
	if (rc == LT_OK)
		rc = bench_proc_usage(s->b, &s->hub, &after);
	if (rc == LT_OK)
		share = 100.0 * (double)(after.cpu_ns - before.cpu_ns) /
			(double)(bench_now_ns() - from);
	bench_enemy_stop(e);
	(void)prlimit(s->hub.pid, RLIMIT_NOFILE, &had, NULL);
	return rc == LT_OK ? bench_result(s->b, "out of descriptors, 256 want in: of a core", share,
				 "%", BENCH_AT_MOST, 5, "%s", "")
			   : rc;
}

int
bench_hostile(struct bench *b)
{
	struct siege s = { .b = b };
	int64_t calm = 0;
	size_t i;
	int rc = setup(&s);

	if (rc == LT_OK)
		rc = sockets(&s, &calm);
	for (i = 0; rc == LT_OK && i < sizeof(floods) / sizeof(floods[0]); i++)
		rc = flood(&s, i, calm);
	if (rc == LT_OK)
		rc = handshakes(&s);
	if (rc == LT_OK)
		rc = descriptors(&s);
	if (rc == LT_OK)
		rc = bench_proc_stop(b, &s.hub);
	teardown(&s);
	return rc;
}
