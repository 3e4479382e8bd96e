/* tools/bench/query.c - questions to a real lt-hub over the line, as a department asks them: alone, and while nodes push. */
#include "proto/base/thread.h"
#include "tools/bench/proc.h"
#include "tools/bench/push.h"

#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNS 4 /* of departments */
#define SLOTS 32 /* questions under way, all connections together */
#define PUSHERS 16 /* threads; as many pushes are under way */
#define ANSWERS_MAX ((size_t)4 << 20)
#define PROJECT_MS (15 * 60 * 1000)
#define KEY_MAX 64

struct scene {
	struct bench *b;
	struct bench_world w;
	struct bench_feeds f;
	size_t changes; /* in a set */
	size_t loaded, phase; /* sets of each feed: there before, pushed in each of two phases */
	struct bench_proc hub;
	struct lt_pool *pool;
	int port;
	struct lt_conn *department[CONNS];
	struct lt_conn **node; /* one a feed */
	int64_t *took;
};

/* ---- setting up ---- */

/* What was loaded is asked for; the hub is this process for that long. */
static int
load(struct scene *s)
{
	struct bench_push_options o = { .sets = s->loaded, .per_push = LT_PUSH_MAX, .window = 1 };
	struct lt_hub *hub = NULL;
	uint64_t position = 0;
	int rc = bench_world_hub(s->b, &s->w, &hub);

	if (rc == LT_OK)
		rc = bench_push(s->b, hub, &s->f, &o, &position);
	if (rc == LT_OK)
		rc = lt_hub_wait_projected(hub, position, PROJECT_MS);
	lt_hub_close(hub);
	return rc;
}

static int
connect_all(struct scene *s)
{
	size_t i;
	int rc = lt_pool_start(2, 4096, &s->pool);

	s->node = calloc(s->f.nfeed, sizeof(struct lt_conn *));
	if (s->node == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < CONNS; i++)
		rc = bench_dial(s->b, s->pool, &s->w, &s->w.reader, s->port, &s->department[i]);
	for (i = 0; rc == LT_OK && i < s->f.nfeed; i++)
		rc = bench_dial(s->b, s->pool, &s->w, s->f.feed[i].node, s->port, &s->node[i]);
	return rc;
}

static int
setup(struct scene *s, size_t nfeed)
{
	struct bench *b = s->b;
	int rc = bench_world_make(b, "hub", nfeed, &s->w);

	s->took = calloc(ANSWERS_MAX, sizeof(*s->took));
	if (rc == LT_OK && s->took == NULL)
		rc = LT_E_NOMEM;
	bench_say(b, "signing");
	if (rc == LT_OK)
		rc = bench_feeds_make(b, &s->w, nfeed, s->loaded + 2 * s->phase, s->changes, &s->f);
	bench_say(b, "loading");
	if (rc == LT_OK)
		rc = load(s);
	if (rc == LT_OK)
		rc = bench_port(b, &s->port);
	if (rc == LT_OK)
		rc = bench_world_listen(b, &s->w, s->port, false);
	if (rc == LT_OK)
		rc = bench_proc_start(b, &s->hub, "lt-hub", s->w.dir);
	return rc == LT_OK ? connect_all(s) : rc;
}

static void
teardown(struct scene *s)
{
	size_t i;

	for (i = 0; i < CONNS; i++)
		lt_conn_close(s->department[i]);
	for (i = 0; s->node != NULL && i < s->f.nfeed; i++)
		lt_conn_close(s->node[i]);
	lt_pool_stop(s->pool);
	bench_proc_kill(&s->hub);
	free(s->node);
	free(s->took);
	bench_feeds_free(&s->f);
	bench_world_free(&s->w);
}

/* ---- point questions ---- */

struct question {
	Ltpb__GetRequest req;
	char key[KEY_MAX];
};

/* Any dossier that was loaded; its key is as tools/gen_rows.c makes it. */
static void
any_question(const struct scene *s, struct question *q)
{
	const struct bench_node *n = s->f.feed[randombytes_uniform((uint32_t)s->f.nfeed)].node;
	unsigned number = 1 + randombytes_uniform((uint32_t)(s->loaded * s->changes));

	ltpb__get_request__init(&q->req);
	(void)snprintf(
	    q->key, sizeof(q->key), "H41.%.2s.%.3s-261120-%04u", n->unit.s, n->unit.s + 2, number);
	q->req.collection = (char *)"dossier";
	q->req.unit = (char *)n->unit.s;
	q->req.key = q->key;
}

/* One after the other, until there are n or `until` says so; *asked is their number. */
static int
ask_in_turn(struct scene *s, size_t n, atomic_bool *until, size_t *asked)
{
	struct question q;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < n && (until == NULL || !atomic_load(until)); i++) {
		ProtobufCMessage *m = NULL;
		int64_t from;

		any_question(s, &q);
		from = bench_now_ns();
		rc = bench_call(
		    s->b, s->department[0], &ltpb__query__descriptor, "Get", &q.req.base, &m);
		s->took[i] = bench_now_ns() - from;
		if (rc == LT_OK)
			protobuf_c_message_free_unpacked(m, NULL);
	}
	*asked = i;
	return rc;
}

struct crowd {
	struct scene *s;
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cv;
	unsigned busy;
	bool stop;
	size_t asked;
	struct lt_status failed; /* code OK: none */
};

struct slot {
	struct crowd *c;
	struct lt_conn *conn;
	int64_t from;
};

static void ask_next(struct slot *t);

static void
on_item(void *ctx, const ProtobufCMessage *m)
{
	(void)ctx;
	(void)m;
}

static void
on_answer(void *ctx, const struct lt_status *st)
{
	struct slot *t = ctx;
	struct crowd *c = t->c;
	int64_t took = bench_now_ns() - t->from;
	bool go;

	pthread_mutex_lock(&c->mx);
	if (st->code != LT_STATUS_OK && c->failed.code == LT_STATUS_OK)
		c->failed = *st;
	if (c->asked < ANSWERS_MAX)
		c->s->took[c->asked++] = took;
	go = !c->stop && c->failed.code == LT_STATUS_OK;
	if (!go && --c->busy == 0)
		pthread_cond_broadcast(&c->cv);
	pthread_mutex_unlock(&c->mx);
	if (go)
		ask_next(t);
}

static void
ask_next(struct slot *t)
{
	static const struct lt_call_ops ops = { on_item, on_answer };
	struct lt_status st = { .code = LT_STATUS_UNAVAILABLE };
	struct question q;

	any_question(t->c->s, &q);
	t->from = bench_now_ns();
	if (lt_conn_call(t->conn, &ltpb__query__descriptor, "Get", &q.req.base, 60000, &ops, t,
		NULL) != LT_OK)
		on_answer(t, &st);
}

/* SLOTS questions under way all the time; until the time is over or `until` says so. */
static int
ask_at_once(struct scene *s, double seconds, atomic_bool *until, size_t *asked, double *took)
{
	struct crowd c = { .s = s,
		.mx = PTHREAD_MUTEX_INITIALIZER,
		.cv = PTHREAD_COND_INITIALIZER,
		.busy = SLOTS };
	struct slot slot[SLOTS];
	int64_t from = bench_now_ns();
	size_t i;

	for (i = 0; i < SLOTS; i++) {
		slot[i] = (struct slot){ &c, s->department[i % CONNS], 0 };
		ask_next(&slot[i]);
	}
	while (
	    until != NULL ? !atomic_load(until) : bench_now_ns() - from < (int64_t)(seconds * 1e9))
		bench_sleep_us(1000);
	pthread_mutex_lock(&c.mx);
	*took = bench_seconds(bench_now_ns() - from);
	*asked = c.asked;
	c.stop = true;
	while (c.busy > 0)
		pthread_cond_wait(&c.cv, &c.mx);
	pthread_mutex_unlock(&c.mx);
	if (*asked == 0)
		*asked = c.asked;
	return c.failed.code == LT_STATUS_OK ? LT_OK
					     : lt_err_set(&s->b->err, LT_E_REMOTE, "Get: %s %s",
						   lt_status_name(c.failed.code), c.failed.message);
}

/* ---- nodes that push meanwhile ---- */

struct pushing {
	struct scene *s;
	size_t first; /* set */
	pthread_t thread[PUSHERS];
	atomic_size_t next; /* feed: each thread takes those that leave its number as a rest */
	atomic_uint running;
	atomic_int rc;
	atomic_bool over;
	int64_t from, until;
};

static int
push_some(struct pushing *p, size_t feed, size_t *at)
{
	const struct bench_feed *f = &p->s->f.feed[feed];
	size_t n = bench_push_count(f, *at, p->first + p->s->phase, LT_PUSH_MAX), i;
	Ltpb__PushRequest req = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData set[LT_PUSH_MAX];
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	for (i = 0; i < n; i++) {
		set[i].data = (uint8_t *)(uintptr_t)f->set[*at + i].data;
		set[i].len = f->set[*at + i].len;
	}
	req.change_set = set;
	req.n_change_set = n;
	if (lt_conn_call_wait(p->s->node[feed], &ltpb__sync__descriptor, "Push", &req.base, 120000,
		&m, &st) != LT_STATUS_OK)
		return LT_E_REMOTE;
	*at += n;
	n = ((const Ltpb__PushReply *)m)->n_receipt;
	protobuf_c_message_free_unpacked(m, NULL);
	return n == 1 ? LT_OK : LT_E_REFUSED;
}

/* Its feeds in turn, one push each, until nothing is left. */
static void *
pusher(void *arg)
{
	struct pushing *p = arg;
	size_t mine = atomic_fetch_add(&p->next, 1), i, left = 1;
	size_t *at = calloc(p->s->f.nfeed, sizeof(*at));
	int rc = at == NULL ? LT_E_NOMEM : LT_OK;

	/* What a node compresses and seals it does on a machine of its own: no question of somebody else waits for that. */
	lt_thread_begin("pusher", LT_NICE_INTAKE);
	for (i = 0; rc == LT_OK && i < p->s->f.nfeed; i++)
		at[i] = p->first;
	while (rc == LT_OK && left > 0 && atomic_load(&p->rc) == LT_OK) {
		left = 0;
		for (i = mine; rc == LT_OK && i < p->s->f.nfeed; i += PUSHERS) {
			if (at[i] == p->first + p->s->phase)
				continue;
			rc = push_some(p, i, &at[i]);
			left++;
		}
	}
	free(at);
	if (rc != LT_OK)
		atomic_store(&p->rc, rc);
	if (atomic_fetch_sub(&p->running, 1) == 1) {
		p->until = bench_now_ns();
		atomic_store(&p->over, true);
	}
	return NULL;
}

static int
push_begin(struct scene *s, size_t first, struct pushing *p)
{
	size_t i;

	memset(p, 0, sizeof(*p));
	p->s = s;
	p->first = first;
	p->running = PUSHERS;
	p->from = bench_now_ns();
	for (i = 0; i < PUSHERS; i++)
		if (pthread_create(&p->thread[i], NULL, pusher, p) != 0) {
			atomic_store(&p->rc, LT_E_NOMEM);
			break;
		}
	if (i == PUSHERS)
		return LT_OK;
	while (i > 0)
		(void)pthread_join(p->thread[--i], NULL);
	return LT_E_NOMEM;
}

static int
push_end(struct pushing *p, double *per_second)
{
	size_t i;

	for (i = 0; i < PUSHERS; i++)
		(void)pthread_join(p->thread[i], NULL);
	*per_second = (double)(p->s->phase * p->s->changes * p->s->f.nfeed) /
		      bench_seconds(p->until - p->from);
	return atomic_load(&p->rc) == LT_OK
		   ? LT_OK
		   : lt_err_set(&p->s->b->err, p->rc, "a push while asking failed: %s",
			 lt_strerror(p->rc));
}

/* ---- what is measured ---- */

/* What a question takes of the processor: in the hub, and here, where it is asked. */
struct price {
	struct bench_usage hub;
	int64_t own_ns;
};

static int
price_from(struct scene *s, struct price *p)
{
	p->own_ns = bench_cpu_ns();
	return bench_proc_usage(s->b, &s->hub, &p->hub);
}

static int
price_of(struct scene *s, const struct price *from, size_t n, double *hub_us, double *own_us)
{
	struct bench_usage now;
	int rc = bench_proc_usage(s->b, &s->hub, &now);

	*own_us = bench_cpu_us(from->own_ns, n);
	*hub_us = rc != LT_OK ? 0 : (double)(now.cpu_ns - from->hub.cpu_ns) / 1e3 / (double)n;
	return rc;
}

static int
measure_idle(struct scene *s)
{
	size_t n = 0;
	double seconds = 1, hub_us = 0, own_us = 0;
	struct price from;
	int rc = ask_in_turn(s, s->b->quick ? 200 : 5000, NULL, &n);

	if (rc == LT_OK)
		rc = bench_result(s->b, "Get over the line, hub idle, p50",
		    (double)bench_percentile(s->took, n, 50) / 1e6, "ms", BENCH_INFO, 0,
		    "of %zu, one after the other", n);
	if (rc == LT_OK)
		rc = bench_result(s->b, "Get over the line, hub idle, p99",
		    (double)bench_percentile(s->took, n, 99) / 1e6, "ms", BENCH_INFO, 0, "%s", "");
	if (rc == LT_OK)
		rc = price_from(s, &from);
	if (rc == LT_OK)
		rc = ask_at_once(s, s->b->quick ? 0.3 : 4, NULL, &n, &seconds);
	if (rc == LT_OK)
		rc = price_of(s, &from, n, &hub_us, &own_us);
	if (rc == LT_OK)
		rc = bench_result(s->b, "Get over the line, hub idle, rate", (double)n / seconds,
		    "/s", BENCH_INFO, 0,
		    "%d under way on %d connections; a Get takes %.1f us of a core at the hub, "
		    "%.1f where it is asked",
		    SLOTS, CONNS, hub_us, own_us);
	return rc;
}

static int
measure_ingesting(struct scene *s)
{
	double pushed = 1, seconds = 1;
	struct pushing p;
	size_t n = 0;
	int rc = push_begin(s, s->loaded, &p), end;

	if (rc != LT_OK)
		return rc;
	rc = ask_in_turn(s, ANSWERS_MAX, &p.over, &n);
	end = push_end(&p, &pushed);
	if (rc == LT_OK && (end != LT_OK || n == 0))
		rc = end != LT_OK ? end : LT_E_TIMEOUT;
	if (rc == LT_OK)
		rc = bench_result(s->b, "Get over the line, while ingesting, p50",
		    (double)bench_percentile(s->took, n, 50) / 1e6, "ms", BENCH_INFO, 0,
		    "of %zu; %.0f changes/s to receipt meanwhile", n, pushed);
	if (rc == LT_OK)
		rc = bench_result(s->b, "Get over the line, while ingesting, p99",
		    (double)bench_percentile(s->took, n, 99) / 1e6, "ms", BENCH_AT_MOST, 5, "%s",
		    "");
	if (rc == LT_OK)
		rc = push_begin(s, s->loaded + s->phase, &p);
	if (rc != LT_OK)
		return rc;
	rc = ask_at_once(s, 0, &p.over, &n, &seconds);
	end = push_end(&p, &pushed);
	if (rc == LT_OK)
		rc = end;
	if (rc == LT_OK)
		rc = bench_result(s->b, "Get over the line, while ingesting, rate",
		    (double)n / seconds, "/s", BENCH_AT_LEAST, 15000,
		    "%.0f changes/s to receipt meanwhile", pushed);
	return rc;
}

static int
list(struct scene *s, const char *unit, const char *field, Ltpb__Value *v, size_t n, size_t *rows)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters = &filter;
	char *units[1] = { (char *)unit };
	size_t i;
	int rc = LT_OK;

	req.collection = (char *)"dossier";
	req.unit = units;
	req.n_unit = unit != NULL;
	req.filter = &filters;
	req.n_filter = 1;
	req.page_size = 20;
	filter.field = (char *)field;
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	filter.value = &v;
	filter.n_value = 1;
	for (i = 0; rc == LT_OK && i < n; i++) {
		ProtobufCMessage *m = NULL;
		int64_t from = bench_now_ns();

		rc = bench_call(
		    s->b, s->department[0], &ltpb__query__descriptor, "List", &req.base, &m);
		s->took[i] = bench_now_ns() - from;
		if (rc == LT_OK) {
			*rows = ((const Ltpb__ListReply *)m)->n_record;
			protobuf_c_message_free_unpacked(m, NULL);
		}
	}
	return rc;
}

static int
tell_list(struct scene *s, const char *name, const char *unit, const char *field, Ltpb__Value *v)
{
	size_t n = s->b->quick ? 20 : 500, rows = 0;
	char text[96];
	int rc = list(s, unit, field, v, n, &rows);

	(void)snprintf(text, sizeof(text), "List by index, %s, p50", name);
	if (rc == LT_OK)
		rc = bench_result(s->b, text, (double)bench_percentile(s->took, n, 50) / 1e6, "ms",
		    BENCH_INFO, 0, "%zu rows, %zu times", rows, n);
	(void)snprintf(text, sizeof(text), "List by index, %s, p99", name);
	if (rc == LT_OK)
		rc = bench_result(s->b, text, (double)bench_percentile(s->took, n, 99) / 1e6, "ms",
		    BENCH_AT_MOST, 5, "budget of indexed lookups");
	return rc;
}

static int
measure_lists(struct scene *s)
{
	Ltpb__Value status = LTPB__VALUE__INIT, procedure = LTPB__VALUE__INIT;
	int rc;

	status.v_case = LTPB__VALUE__V_ENUMERATION;
	status.enumeration = (char *)"yeu_cau_bo_sung";
	procedure.v_case = LTPB__VALUE__V_TEXT;
	procedure.text = (char *)"1.001193";
	rc = tell_list(s, "a status in the province", NULL, "status", &status);
	return rc == LT_OK ? tell_list(s, "a procedure in a commune", s->w.node[0].unit.s,
				 "procedure_code", &procedure)
			   : rc;
}

int
bench_query(struct bench *b)
{
	struct scene s = { .b = b,
		.changes = b->quick ? 20 : 100,
		.loaded = b->quick ? 2 : 7,
		.phase = b->quick ? 2 : 6 };
	int rc = setup(&s, b->quick ? 32 : BENCH_COMMUNES);

	if (rc == LT_OK)
		rc = measure_idle(&s);
	if (rc == LT_OK)
		rc = measure_lists(&s);
	if (rc == LT_OK)
		rc = measure_ingesting(&s);
	if (rc == LT_OK)
		rc = bench_proc_stop(b, &s.hub);
	teardown(&s);
	return rc;
}
