/* tools/bench/intake.c - change-sets into a hub, to receipt and to queryable; beside what the libraries alone do with
 * the same bytes.
 *
 * In-process: the hub is opened as lt-hub does it, pushes go through lt_hub_intake() from as many threads as its pool
 * has. What crosses the line costs is measured elsewhere. */
#include "proto/store/tables.h"
#include "tools/bench/limits.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_THREADS 8 /* WORKERS of hub/daemon.c */
#define PUSH_BYTES ((size_t)512 * 1024) /* LT_SYNC_BATCH_MAX of node/sync.h */
#define QUERYABLE_MS (15 * 60 * 1000)

/* ---- pushing ---- */

struct lane {
	size_t next; /* set to be pushed next */
	size_t under_way; /* pushes */
	bool waits, busy; /* in the ring; on a thread */
};

struct drive {
	struct lt_hub *hub;
	const struct bench_feeds *f;
	size_t per_push, window;
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cv;
	struct lane *lane;
	size_t *ring, head, nring;
	size_t left; /* sets without a receipt */
	uint64_t position;
	int rc;
	char why[256];
};

struct push {
	struct drive *d;
	size_t feed, n;
	uint64_t last; /* seq */
	struct lt_slice set[LT_PUSH_MAX];
};

/* mx is held. */
static void
make_ready(struct drive *d, size_t i)
{
	struct lane *l = &d->lane[i];

	if (l->waits || l->busy || l->under_way >= d->window || l->next >= d->f->feed[i].nset)
		return;
	l->waits = true;
	d->ring[(d->head + d->nring++) % d->f->nfeed] = i;
	pthread_cond_signal(&d->cv);
}

static void
on_receipt(void *ctx, const struct lt_intake_result *r)
{
	struct push *p = ctx;
	struct drive *d = p->d;
	bool good = r->rc == LT_OK && r->nfeed == 1 && r->feed[0].receipt.len != 0 &&
		    r->feed[0].held == p->last;

	pthread_mutex_lock(&d->mx);
	if (!good && d->rc == LT_OK) {
		d->rc = r->rc != LT_OK ? r->rc : LT_E_REFUSED;
		(void)snprintf(d->why, sizeof(d->why), "%s", r->why);
	}
	if (r->position > d->position)
		d->position = r->position;
	d->left -= p->n;
	d->lane[p->feed].under_way--;
	make_ready(d, p->feed);
	if (d->left == 0 || d->rc != LT_OK)
		pthread_cond_broadcast(&d->cv);
	pthread_mutex_unlock(&d->mx);
	free(p);
}

/* What a node would put into one message: at least one, at most so many and so many bytes. mx is held. */
static void
fill_push(struct drive *d, size_t i, struct push *p)
{
	const struct bench_feed *feed = &d->f->feed[i];
	struct lane *l = &d->lane[i];
	size_t bytes = 0;

	p->d = d;
	p->feed = i;
	while (l->next < feed->nset && p->n < d->per_push &&
	       (p->n == 0 || bytes + feed->set[l->next].len <= PUSH_BYTES)) {
		bytes += feed->set[l->next].len;
		p->set[p->n++] = feed->set[l->next++];
	}
	p->last = l->next;
	l->under_way++;
	l->busy = true;
}

/* Pushes of one feed are handed over one after the other, as they come on one connection. */
static void *
worker(void *arg)
{
	struct drive *d = arg;

	pthread_mutex_lock(&d->mx);
	while (d->left > 0 && d->rc == LT_OK) {
		struct push *p;
		size_t i;

		if (d->nring == 0) {
			pthread_cond_wait(&d->cv, &d->mx);
			continue;
		}
		i = d->ring[d->head];
		d->head = (d->head + 1) % d->f->nfeed;
		d->nring--;
		d->lane[i].waits = false;
		p = calloc(1, sizeof(*p));
		if (p == NULL) {
			d->rc = LT_E_NOMEM;
			break;
		}
		fill_push(d, i, p);
		pthread_mutex_unlock(&d->mx);
		lt_hub_intake(d->hub, &d->f->feed[i].node->id, p->set, p->n, on_receipt, p);
		pthread_mutex_lock(&d->mx);
		d->lane[i].busy = false;
		make_ready(d, i);
	}
	pthread_cond_broadcast(&d->cv);
	pthread_mutex_unlock(&d->mx);
	return NULL;
}

static int
drive_all(struct drive *d)
{
	pthread_t t[POOL_THREADS];
	size_t i, n;

	pthread_mutex_lock(&d->mx);
	for (i = 0; i < d->f->nfeed; i++)
		make_ready(d, i);
	pthread_mutex_unlock(&d->mx);
	for (n = 0; n < POOL_THREADS; n++)
		if (pthread_create(&t[n], NULL, worker, d) != 0)
			break;
	for (i = 0; i < n; i++)
		(void)pthread_join(t[i], NULL);
	return n == 0 ? LT_E_NOMEM : d->rc;
}

/* ---- one run ---- */

struct intake_case {
	const char *name; /* of the figures */
	size_t changes, nfeed, sets; /* change-sets of so many changes, feeds, sets of each */
	size_t per_push, window;
};

struct intake_figures {
	double receipt, queryable; /* seconds */
	double cores; /* busy ones, until queryable */
	uint64_t commits; /* of the log */
};

static int
rows_in(struct bench *b, struct lt_kv *kv, unsigned table, uint64_t *n)
{
	struct lt_kv_txn *txn;
	int rc = lt_kv_begin_read(kv, &txn);

	if (rc == LT_OK) {
		rc = lt_kv_count(txn, table, n);
		lt_kv_abort(txn);
	}
	return rc == LT_OK ? rc : lt_err_set(&b->err, rc, "the hub's tables cannot be counted");
}

static int
push_all(struct bench *b, const struct intake_case *c, struct drive *d, struct intake_figures *out)
{
	int64_t from, cpu;
	int rc;

	d->per_push = c->per_push;
	d->window = c->window;
	d->left = d->f->sets;
	d->lane = calloc(d->f->nfeed, sizeof(*d->lane));
	d->ring = calloc(d->f->nfeed, sizeof(*d->ring));
	if (d->lane == NULL || d->ring == NULL)
		return LT_E_NOMEM;
	cpu = bench_cpu_ns();
	from = bench_now_ns();
	rc = drive_all(d);
	out->receipt = bench_seconds(bench_now_ns() - from);
	if (rc == LT_OK)
		rc = lt_hub_wait_projected(d->hub, d->position, QUERYABLE_MS);
	out->queryable = bench_seconds(bench_now_ns() - from);
	out->cores = bench_seconds(bench_cpu_ns() - cpu) / out->queryable;
	return rc == LT_OK ? rc
			   : lt_err_set(&b->err, rc, "intake: %s",
				 d->why[0] != '\0' ? d->why : lt_strerror(rc));
}

/* What was acknowledged must be there: every dossier a record, nothing refused. */
static int
check_tables(struct bench *b, struct lt_hub *hub, uint64_t before, size_t changes)
{
	uint64_t records = 0, refused = 0;
	int rc = rows_in(b, lt_hub_derived(hub), LT_T_RECORD, &records);

	if (rc == LT_OK)
		rc = rows_in(b, lt_hub_log(hub), LT_T_QUARANTINE, &refused);
	if (rc == LT_OK && (records - before != changes || refused != 0))
		rc = lt_err_set(&b->err, LT_E_CORRUPT, "%llu records of %zu, %llu refused",
		    (unsigned long long)(records - before), changes, (unsigned long long)refused);
	return rc;
}

static int
run_hub(struct bench *b, const struct intake_case *c, const struct bench_world *w,
    const struct bench_feeds *f, struct intake_figures *out)
{
	struct drive d = {
		.f = f, .mx = PTHREAD_MUTEX_INITIALIZER, .cv = PTHREAD_COND_INITIALIZER
	};
	uint64_t before = 0, first = 0, last = 0;
	char log[BENCH_PATH + 8];
	int rc;

	(void)snprintf(log, sizeof(log), "%s/log", w->dir);
	rc = bench_last_txn(b, log, &first);
	if (rc == LT_OK)
		rc = bench_world_hub(b, w, &d.hub);
	if (rc == LT_OK)
		rc = rows_in(b, lt_hub_derived(d.hub), LT_T_RECORD, &before);
	if (rc == LT_OK)
		rc = push_all(b, c, &d, out);
	if (rc == LT_OK)
		rc = check_tables(b, d.hub, before, f->changes);
	lt_hub_close(d.hub);
	if (rc == LT_OK)
		rc = bench_last_txn(b, log, &last);
	out->commits = last - first;
	free(d.lane);
	free(d.ring);
	return rc;
}

/* ---- figures ---- */

static int
tell(struct bench *b, const struct intake_case *c, const char *what, double value, const char *unit,
    enum bench_sense sense, double budget, const char *note)
{
	char name[96];

	(void)snprintf(name, sizeof(name), "%s: %s", c->name, what);
	return bench_result(b, name, value, unit, sense, budget, "%s", note);
}

static int
tell_intake(struct bench *b, const struct intake_case *c, const struct bench_feeds *f,
    const struct intake_figures *g)
{
	char note[160];
	int rc;

	(void)snprintf(note, sizeof(note), "%zu feeds, %.0f B a change, %.1f sets a commit",
	    f->nfeed, (double)f->bytes / (double)f->changes,
	    (double)f->sets / (double)(g->commits != 0 ? g->commits : 1));
	rc = tell(b, c, "intake to receipt", (double)f->changes / g->receipt, "changes/s",
	    BENCH_INFO, 0, note);
	(void)snprintf(note, sizeof(note), "%.2f cores busy", g->cores);
	if (rc == LT_OK)
		rc = tell(b, c, "intake to queryable", (double)f->changes / g->queryable,
		    "changes/s", BENCH_INFO, 0, note);
	return rc;
}

static int
tell_limits(struct bench *b, const struct intake_case *c, const struct bench_limits *l)
{
	int rc =
	    tell(b, c, "limit: Ed25519 verify", l->verify, "sets/s", BENCH_INFO, 0, "all cores");

	if (rc == LT_OK)
		rc = tell(b, c, "limit: decode", l->decode, "changes/s", BENCH_INFO, 0,
		    "protobuf-c, all cores");
	if (rc == LT_OK)
		rc = tell(b, c, "limit: verify and decode", l->both, "changes/s", BENCH_INFO, 0,
		    "all cores");
	if (rc == LT_OK)
		rc = tell(b, c, "limit: durable append", l->append, "changes/s", BENCH_INFO, 0,
		    "LMDB, commits as the hub's");
	if (rc == LT_OK && l->put > 0)
		rc = tell(b, c, "limit: batch put of derived rows", l->put, "changes/s", BENCH_INFO,
		    0, "LMDB, an environment a core");
	if (rc == LT_OK && l->put > 0)
		rc = tell(b, c, "limit: the same in one environment", l->put_one, "changes/s",
		    BENCH_INFO, 0, "LMDB, one writer");
	return rc;
}

static int
tell_ratios(struct bench *b, const struct intake_case *c, const struct bench_feeds *f,
    const struct intake_figures *g, const struct bench_limits *l)
{
	double slowest = l->both < l->append ? l->both : l->append;
	enum bench_sense sense = c->changes == 100 ? BENCH_AT_LEAST : BENCH_INFO;
	int rc = tell(b, c, "receipt, of the slowest single resource",
	    100 * (double)f->changes / g->receipt / slowest, "%", sense, 60,
	    l->both < l->append ? "which is verify and decode" : "which is durable append");

	if (rc == LT_OK && l->put > 0)
		rc = tell(b, c, "queryable, of LMDB alone",
		    100 * (double)f->changes / g->queryable / l->put, "%", sense, 70, "all cores");
	if (rc == LT_OK && l->put > 0)
		rc = tell(b, c, "queryable, of LMDB alone, one writer",
		    100 * (double)f->changes / g->queryable / l->put_one, "%", BENCH_INFO, 0, "");
	if (rc == LT_OK && c->changes == 1)
		rc = tell(b, c, "durable change-sets", (double)f->sets / g->receipt, "sets/s",
		    BENCH_AT_LEAST, 10000, "");
	return rc;
}

static int
run_case(struct bench *b, const struct intake_case *c, bool put)
{
	struct bench_limits limits = { 0 };
	struct intake_figures figures = { 0 };
	struct bench_world w = { 0 };
	struct bench_feeds f = { 0 };
	char derived[BENCH_PATH + 16];
	int rc = bench_world_make(b, "hub", c->nfeed, &w);

	bench_say(b, "%s: signing %zu change-sets of %zu", c->name, c->nfeed * c->sets, c->changes);
	if (rc == LT_OK)
		rc = bench_feeds_make(b, &w, c->nfeed, c->sets, c->changes, &f);
	bench_say(b, "%s: intake", c->name);
	if (rc == LT_OK)
		rc = run_hub(b, c, &w, &f, &figures);
	if (rc == LT_OK)
		rc = tell_intake(b, c, &f, &figures);
	bench_say(b, "%s: limits", c->name);
	if (rc == LT_OK)
		rc = bench_limit_verify(b, &f, &limits);
	if (rc == LT_OK)
		rc = bench_limit_append(b, &f,
		    (double)f.sets / (double)(figures.commits != 0 ? figures.commits : 1), &limits);
	(void)snprintf(derived, sizeof(derived), "%s/derived", w.dir);
	if (rc == LT_OK && put)
		rc = bench_limit_put(b, derived, c->nfeed, f.changes, &limits);
	if (rc == LT_OK)
		rc = tell_limits(b, c, &limits);
	if (rc == LT_OK)
		rc = tell_ratios(b, c, &f, &figures, &limits);
	bench_feeds_free(&f);
	bench_world_free(&w);
	return rc;
}

int
bench_intake_1(struct bench *b)
{
	size_t sets = b->quick ? 8 : 200;
	struct intake_case one = { "1 change, 1 push in flight", 1, BENCH_COMMUNES, sets, 1, 1 };
	struct intake_case window = { "1 change, 8 pushes in flight", 1, BENCH_COMMUNES, sets, 1,
		8 };
	struct intake_case backlog = { "1 change, 64 sets a push", 1, BENCH_COMMUNES, sets,
		LT_PUSH_MAX, 1 };
	int rc = run_case(b, &one, false);

	if (rc == LT_OK)
		rc = run_case(b, &window, false);
	return rc == LT_OK ? run_case(b, &backlog, false) : rc;
}

int
bench_intake_100(struct bench *b)
{
	struct intake_case c = { "100 changes", 100, BENCH_COMMUNES, b->quick ? 1 : 20, LT_PUSH_MAX,
		1 };

	return run_case(b, &c, true);
}

int
bench_intake_1000(struct bench *b)
{
	struct intake_case c = { "1,000 changes", 1000, b->quick ? 8 : BENCH_COMMUNES,
		b->quick ? 1 : 2, LT_PUSH_MAX, 1 };

	return run_case(b, &c, true);
}
