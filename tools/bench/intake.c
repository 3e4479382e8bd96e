/* tools/bench/intake.c - change-sets into a hub, to receipt and to queryable; beside what the libraries alone do with
 * the same bytes.
 *
 * In-process: the hub is opened as lt-hub does it, pushes go through lt_hub_intake() from as many threads as its pool
 * has. What crosses the line costs is measured elsewhere. */
#include "proto/store/tables.h"
#include "tools/bench/limits.h"
#include "tools/bench/push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERYABLE_MS (15 * 60 * 1000)

/* ---- one run ---- */

struct intake_case {
	const char *name; /* of the figures */
	size_t changes, nfeed, sets; /* change-sets of so many changes, feeds, sets of each */
	size_t per_push, window;
};

struct intake_figures {
	double receipt, queryable; /* seconds */
	double cores; /* busy ones, until queryable */
	double cpu_us; /* of a core for a change, until queryable */
	double rebuild, rebuild_cpu_us; /* seconds; of a core for a change; 0: not measured */
	uint64_t commits; /* of the log */
	uint64_t rows_before; /* records of the derived tables, before the dossiers */
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
push_all(struct bench *b, const struct intake_case *c, struct lt_hub *hub,
    const struct bench_feeds *f, struct intake_figures *out)
{
	struct bench_push_options o = { .per_push = c->per_push, .window = c->window };
	int64_t from, cpu = bench_cpu_ns();
	uint64_t position = 0;
	int rc;

	from = bench_now_ns();
	rc = bench_push(b, hub, f, &o, &position);
	out->receipt = bench_seconds(bench_now_ns() - from);
	if (rc == LT_OK && lt_hub_wait_projected(hub, position, QUERYABLE_MS) != LT_OK)
		rc = lt_err_set(&b->err, LT_E_TIMEOUT, "what was pushed does not become queryable");
	out->queryable = bench_seconds(bench_now_ns() - from);
	out->cores = bench_seconds(bench_cpu_ns() - cpu) / out->queryable;
	out->cpu_us = bench_cpu_us(cpu, f->changes);
	return rc;
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
	struct lt_hub *hub = NULL;
	uint64_t first = 0, last = 0;
	char log[BENCH_PATH + 8];
	int rc;

	(void)snprintf(log, sizeof(log), "%s/log", w->dir);
	rc = bench_last_txn(b, log, &first);
	if (rc == LT_OK)
		rc = bench_world_hub(b, w, &hub);
	if (rc == LT_OK)
		rc = rows_in(b, lt_hub_derived(hub), LT_T_RECORD, &out->rows_before);
	if (rc == LT_OK)
		rc = push_all(b, c, hub, f, out);
	if (rc == LT_OK)
		rc = check_tables(b, hub, out->rows_before, f->changes);
	lt_hub_close(hub);
	if (rc == LT_OK)
		rc = bench_last_txn(b, log, &last);
	out->commits = last - first;
	return rc;
}

/* The derived tables are lost, and made anew from the log. */
static int
rebuild(struct bench *b, const struct bench_world *w, const struct bench_feeds *f,
    struct intake_figures *out)
{
	char derived[BENCH_PATH + 16];
	struct lt_hub *hub = NULL;
	int64_t from, cpu;
	int rc;

	(void)snprintf(derived, sizeof(derived), "%s/derived", w->dir);
	bench_remove(derived);
	from = bench_now_ns();
	cpu = bench_cpu_ns();
	rc = bench_world_hub(b, w, &hub);
	if (rc == LT_OK &&
	    lt_hub_wait_projected(hub, lt_hub_log_position(hub), QUERYABLE_MS) != LT_OK)
		rc = lt_err_set(&b->err, LT_E_TIMEOUT, "the derived tables are not made anew");
	out->rebuild = bench_seconds(bench_now_ns() - from);
	out->rebuild_cpu_us = bench_cpu_us(cpu, f->changes);
	if (rc == LT_OK)
		rc = check_tables(b, hub, out->rows_before, f->changes);
	lt_hub_close(hub);
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

	(void)snprintf(note, sizeof(note), "of %zu communes", f->nfeed);
	rc = tell(b, c, "dossiers", (double)f->changes, "changes", BENCH_INFO, 0, note);
	(void)snprintf(note, sizeof(note), "%zu feeds, %.0f B a change, %.1f sets a commit",
	    f->nfeed, (double)f->bytes / (double)f->changes,
	    (double)f->sets / (double)(g->commits != 0 ? g->commits : 1));
	if (rc == LT_OK)
		rc = tell(b, c, "intake to receipt", (double)f->changes / g->receipt, "changes/s",
		    BENCH_INFO, 0, note);
	(void)snprintf(
	    note, sizeof(note), "%.1f us of a core a change, %.2f cores busy", g->cpu_us, g->cores);
	if (rc == LT_OK)
		rc = tell(b, c, "intake to queryable", (double)f->changes / g->queryable,
		    "changes/s", BENCH_INFO, 0, note);
	(void)snprintf(note, sizeof(note), "derived tables lost; %.1f us of a core a change",
	    g->rebuild_cpu_us);
	if (rc == LT_OK && g->rebuild > 0)
		rc = tell(b, c, "rebuild from the log", (double)f->changes / g->rebuild,
		    "changes/s", BENCH_INFO, 0, note);
	return rc;
}

static int
tell_limit(struct bench *b, const struct intake_case *c, const char *what, double value,
    const char *unit, double cpu_us, const char *how)
{
	char note[160];

	(void)snprintf(note, sizeof(note), "%s; %.2f us of a core a change", how, cpu_us);
	return tell(b, c, what, value, unit, BENCH_INFO, 0, note);
}

/* CPU that the libraries alone take for what stands between a push and its rows; all cores at it and nothing else. */
static double
all_of_it_us(const struct bench_limits *l)
{
	return l->whole_us + l->append_us + (l->put_one_us < l->put_us ? l->put_one_us : l->put_us);
}

static double
all_of_it(const struct bench *b, const struct bench_limits *l)
{
	return 1e6 * (double)b->cores / all_of_it_us(l);
}

static int
tell_rows(struct bench *b, const struct intake_case *c, const struct bench_limits *l)
{
	char note[160];

	(void)snprintf(note, sizeof(note),
	    "record %.0f, shown %.0f, index, history and digest %.0f; keys and sums included",
	    l->record_bytes, l->shown_bytes, l->other_bytes);
	return tell(b, c, "derived rows", l->record_bytes + l->shown_bytes + l->other_bytes,
	    "B/change", BENCH_INFO, 0, note);
}

static int
tell_limits(struct bench *b, const struct intake_case *c, const struct bench_limits *l)
{
	int rc = tell_limit(
	    b, c, "limit: Ed25519 verify", l->verify, "sets/s", l->verify_us, "all cores");

	if (rc == LT_OK)
		rc = tell_limit(b, c, "limit: decode", l->decode, "changes/s", l->decode_us,
		    "protobuf-c, all cores");
	if (rc == LT_OK)
		rc = tell_limit(b, c, "limit: verify and decode", l->both, "changes/s", l->both_us,
		    "all cores");
	if (rc == LT_OK)
		rc = tell_limit(b, c, "limit: verify, decode and hash", l->whole, "changes/s",
		    l->whole_us, "and libsodium's BLAKE2b of what is signed, all cores");
	if (rc == LT_OK)
		rc = tell_limit(b, c, "limit: durable append", l->append, "changes/s", l->append_us,
		    "LMDB, commits as the hub's");
	if (rc == LT_OK && l->put > 0)
		rc = tell_rows(b, c, l);
	if (rc == LT_OK && l->put > 0)
		rc = tell_limit(b, c, "limit: batch put of derived rows", l->put, "changes/s",
		    l->put_us, "LMDB, an environment a core");
	if (rc == LT_OK && l->put > 0)
		rc = tell_limit(b, c, "limit: the same in one environment", l->put_one, "changes/s",
		    l->put_one_us, "LMDB, one writer");
	if (rc == LT_OK && l->put > 0)
		rc = tell_limit(b, c, "limit: all of it one after the other", all_of_it(b, l),
		    "changes/s", all_of_it_us(l), "verify, decode, hash, append, put: all cores");
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

	if (rc == LT_OK)
		rc = tell(b, c, "receipt, of verify, decode and hash",
		    100 * (double)f->changes / g->receipt / l->whole, "%", BENCH_INFO, 0, "");
	if (rc == LT_OK && l->put > 0)
		rc = tell(b, c, "queryable, of LMDB alone",
		    100 * (double)f->changes / g->queryable / l->put, "%", sense, 70, "all cores");
	if (rc == LT_OK && l->put > 0)
		rc = tell(b, c, "queryable, of LMDB alone, one writer",
		    100 * (double)f->changes / g->queryable / l->put_one, "%", BENCH_INFO, 0, "");
	if (rc == LT_OK && l->put > 0)
		rc = tell(b, c, "queryable, of all of it one after the other",
		    100 * (double)f->changes / g->queryable / all_of_it(b, l), "%", BENCH_INFO, 0,
		    "libraries alone, all cores");
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
	if (rc == LT_OK && put)
		rc = rebuild(b, &w, &f, &figures);
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
