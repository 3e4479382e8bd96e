/* kill -9 of hub and node in a running transfer, with an outside ledger of everything that was acknowledged: nothing of it is missing
 * afterwards, nothing is there twice, feeds verify, hub and node hold the same rows.
 *
 *   LT_KILL_ROUNDS  kills (200)        LT_KILL_SEED  of the choices (random, printed)
 *   LT_KILL_LEDGER  a file for the ledger (none)
 *
 * Every fourth round dies at a fail-point; before it, in the round that arms the fail-point, and in the other two the kill
 * comes at a uniformly random moment after the transfer was seen to run, or, one time in ten, while the daemon is still starting. */
#include "proto/store/log_view.h"
#include "tests/lib/province.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define WRITERS 3
#define ROUNDS 200
#define WAIT_MS 60000
#define SPREAD_US 120000 /* the kill comes within so long after the transfer was seen to run */
#define RECENT 40 /* dossiers a writer goes on changing */

struct ack {
	char key[40];
	char value[48];
	struct lt_feed_id feed;
	uint64_t seq;
	uint32_t index;
};

struct writer {
	struct world *w;
	unsigned no;
	unsigned keys; /* dossiers begun */
	uint64_t puts, retries;
	char error[256]; /* why it gave up; "" while it goes well */
	pthread_t thread;
	uint64_t rng;
};

struct world {
	struct province p;
	struct writer writer[WRITERS];
	atomic_bool stop;
	_Atomic uint64_t acks;
	pthread_mutex_t mx; /* guards ledger */
	size_t nack, cap;
	struct ack *ack;
	FILE *file;
	uint64_t rng;
	unsigned rounds, at_random[2], starting, at_failpoint, after_commit;
};

static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* ---- the clerks ---- */

static void
note_ack(struct world *w, const struct dossier_put *d, const Ltpb__PutReply *r)
{
	struct ack *a;

	pthread_mutex_lock(&w->mx);
	if (w->nack == w->cap) {
		w->cap = w->cap == 0 ? 4096 : w->cap * 2;
		w->ack = realloc(w->ack, w->cap * sizeof(*w->ack));
		if (w->ack == NULL)
			abort();
	}
	a = &w->ack[w->nack++];
	memset(a, 0, sizeof(*a));
	memcpy(a->key, d->key, sizeof(a->key));
	memcpy(a->value, d->number, sizeof(a->value));
	memcpy(a->feed.b, r->feed.data, LT_FEED_LEN);
	a->seq = r->seq;
	a->index = r->index;
	if (w->file != NULL) {
		(void)fprintf(
		    w->file, "%s %s %llu\n", a->key, a->value, (unsigned long long)a->seq);
		(void)fflush(w->file);
	}
	pthread_mutex_unlock(&w->mx);
	w->acks++;
}

/* One put until it is acknowledged: what is not is asked for again under the same request id. */
static bool
put_until_saved(struct writer *me, struct lt_conn **conn, struct dossier_put *d)
{
	struct world *w = me->w;
	ProtobufCMessage *reply = NULL;
	struct lt_status st;
	int code;

	for (;;) {
		while (*conn == NULL) {
			*conn = daemon_dial(&w->p.node, w->p.pool);
			if (*conn == NULL)
				test_sleep_us(3000);
		}
		code = lt_conn_call_wait(
		    *conn, &ltpb__records__descriptor, "Put", &d->req.base, 10000, &reply, &st);
		if (code == LT_STATUS_OK)
			break;
		if (code != LT_STATUS_UNAVAILABLE && code != LT_STATUS_CANCELLED &&
		    code != LT_STATUS_DEADLINE_EXCEEDED) {
			(void)snprintf(me->error, sizeof(me->error), "put of %s: %s %.150s", d->key,
			    lt_status_name(code), st.message);
			return false;
		}
		me->retries++;
		lt_conn_close(*conn);
		*conn = NULL;
	}
	if (((Ltpb__PutReply *)reply)->feed.len == LT_FEED_LEN)
		note_ack(w, d, (Ltpb__PutReply *)reply);
	else
		(void)snprintf(me->error, sizeof(me->error), "put of %s made nothing", d->key);
	province_free(reply);
	return me->error[0] == '\0';
}

static void *
write_on(void *arg)
{
	struct writer *me = arg;
	struct lt_conn *conn = NULL;
	struct dossier_put d;
	char value[48];
	bool fresh, going = true;
	unsigned key;

	while (going && !me->w->stop) {
		fresh = me->keys == 0 || next_random(&me->rng) % 4 == 0;
		if (fresh)
			key = me->keys++;
		else
			key = me->keys - 1 -
			      (unsigned)(next_random(&me->rng) %
					 (me->keys < RECENT ? me->keys : RECENT));
		(void)snprintf(
		    value, sizeof(value), "QD-%u-%llu", me->no, (unsigned long long)me->puts++);
		dossier_put_init(&d, me->no * 100000 + key, fresh, value);
		going = put_until_saved(me, &conn, &d);
	}
	lt_conn_close(conn);
	return NULL;
}

static void
start_writers(struct world *w)
{
	unsigned i;

	w->stop = false;
	for (i = 0; i < WRITERS; i++) {
		w->writer[i].w = w;
		w->writer[i].no = i + 1;
		w->writer[i].rng = next_random(&w->rng);
		assert_int_equal(
		    pthread_create(&w->writer[i].thread, NULL, write_on, &w->writer[i]), 0);
	}
}

static void
stop_writers(struct world *w)
{
	unsigned i;

	w->stop = true;
	for (i = 0; i < WRITERS; i++)
		(void)pthread_join(w->writer[i].thread, NULL);
	for (i = 0; i < WRITERS; i++)
		if (w->writer[i].error[0] != '\0')
			fail_msg("%s", w->writer[i].error);
}

/* ---- the killer ---- */

enum { HUB, NODE };

static struct test_daemon *
daemon_of(struct world *w, int target)
{
	return target == HUB ? &w->p.hub : &w->p.node;
}

struct running {
	struct world *w;
	uint64_t acks, head;
	struct lt_conn *hub;
};

/* New puts are acknowledged and the hub takes in change-sets. */
static bool
transfer_runs(void *ctx)
{
	struct running *r = ctx;
	Ltpb__StatusReply *s;
	unsigned i;
	bool yes;

	for (i = 0; i < WRITERS; i++)
		if (r->w->writer[i].error[0] != '\0')
			fail_msg("%s", r->w->writer[i].error);
	if (r->w->acks < r->acks + 3)
		return false;
	s = province_status(r->hub);
	if (r->head == 0)
		r->head = s->log_head;
	yes = s->log_head > r->head;
	province_free(s);
	return yes;
}

static void
wait_transfer(struct world *w)
{
	struct running r = { .w = w, .acks = w->acks };

	r.hub = daemon_dial_wait(&w->p.hub, w->p.pool, WAIT_MS);
	fed_wait(transfer_runs, &r, WAIT_MS, "the transfer runs after a restart");
	lt_conn_close(r.hub);
}

static void
kill_at_random(struct world *w, int target)
{
	if (next_random(&w->rng) % 10 == 0) {
		w->starting++;
	} else {
		wait_transfer(w);
		w->at_random[target]++;
	}
	test_sleep_us((int64_t)(next_random(&w->rng) % SPREAD_US));
	daemon_kill(daemon_of(w, target));
}

struct failpoint {
	int target;
	const char *name;
	unsigned within; /* dies at the first to this pass */
	bool between; /* commit and reply */
};

static const struct failpoint failpoints[] = {
	{ HUB, "hub.before_receipt", 10, true },
	{ NODE, "node.before_saved", 60, true },
	{ HUB, "writer.after_commit", 20, true },
	{ NODE, "writer.after_commit", 80, true },
	{ HUB, "writer.before_commit", 20, false },
	{ NODE, "writer.before_commit", 80, false },
	{ NODE, "node.before_receipt_stored", 10, false },
};
#define NFAILPOINTS (sizeof(failpoints) / sizeof(failpoints[0]))

static void
start_armed(struct world *w, const struct failpoint *fp, unsigned pass)
{
	char text[128];
	const char *env[2] = { text, NULL };

	(void)snprintf(text, sizeof(text), "LIENTHONG_FAILPOINT=%s:%u", fp->name, pass);
	daemon_start(daemon_of(w, fp->target), env);
}

static void
wait_failpoint(struct world *w, const struct failpoint *fp)
{
	struct test_daemon *d = daemon_of(w, fp->target);

	if (!daemon_wait(d, WAIT_MS))
		fail_msg("%s was not reached", fp->name);
	if (!WIFSIGNALED(d->status) || WTERMSIG(d->status) != SIGKILL)
		fail_msg("at %s the daemon ended otherwise: status %x", fp->name, d->status);
	w->at_failpoint++;
	w->after_commit += fp->between;
}

/* One round is one kill and the restart after it. */
static void
one_round(struct world *w, unsigned round)
{
	const struct failpoint *fp = &failpoints[round / 4 % NFAILPOINTS];
	int target = round % 4 >= 2 ? fp->target : (int)(next_random(&w->rng) % 2);

	if (round % 4 == 3)
		wait_failpoint(w, fp);
	else
		kill_at_random(w, target);
	if (round % 4 == 2)
		start_armed(w, fp, 1 + (unsigned)(next_random(&w->rng) % fp->within));
	else
		daemon_start(daemon_of(w, target), NULL);
	w->rounds++;
}

/* ---- the reckoning ---- */

static int
by_key(const void *a, const void *b)
{
	const struct ack *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	/* A key has one writer, and it waits for each answer: its values are in the order of their numbers. */
	return c != 0 ? c : x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int
by_dot(const void *a, const void *b)
{
	const struct ack *x = a, *y = b;
	int c = lt_feed_id_cmp(&x->feed, &y->feed);

	if (c == 0)
		c = x->seq < y->seq ? -1 : x->seq > y->seq;
	return c != 0 ? c : x->index < y->index ? -1 : x->index > y->index;
}

struct reckoning {
	struct lt_kv_txn *log, *derived;
	const struct ack *ack; /* of one key, rising */
	size_t n, seen;
	const char *unit;
};

/* The change behind a dot of the history says what the ledger says of that dot. */
static int
in_ledger(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct reckoning *r = ctx;
	struct lt_log_view view = { 0 };
	struct lt_change change;
	struct lt_arena arena;
	const char *value = NULL;
	size_t i;

	for (i = 0; i < r->n; i++)
		if (lt_feed_id_cmp(&r->ack[i].feed, &dot->feed) == 0 && r->ack[i].seq == dot->seq &&
		    r->ack[i].index == dot->index)
			break;
	if (i == r->n)
		fail_msg("%s: change-set %llu was acknowledged to nobody", r->ack->key,
		    (unsigned long long)dot->seq);
	lt_arena_init(&arena, 1 << 20);
	assert_int_equal(lt_log_view_open(&view, r->log, position), LT_OK);
	assert_int_equal(lt_log_view_change(&view, dot->index, &arena, &change), LT_OK);
	assert_string_equal(change.key, r->ack->key);
	for (size_t k = 0; k < change.nset; k++)
		if (strcmp(change.set[k].pb->name, "result_doc_no") == 0)
			value = change.set[k].pb->value->text;
	assert_non_null(value);
	assert_string_equal(value, r->ack[i].value);
	r->seen++;
	lt_log_view_close(&view);
	lt_arena_fini(&arena);
	return LT_OK;
}

static void
reckon_shown(const struct reckoning *r)
{
	const struct ack *last = &r->ack[r->n - 1];
	const char *value = NULL;
	struct lt_arena arena;
	Ltpb__Record *rec;
	size_t i;

	lt_arena_init(&arena, 1 << 20);
	if (lt_record_get(r->derived, "dossier", r->unit, last->key, &arena, &rec) != LT_OK)
		fail_msg("%s was acknowledged and is not there", last->key);
	for (i = 0; i < rec->n_field; i++)
		if (strcmp(rec->field[i]->name, "result_doc_no") == 0)
			value = rec->field[i]->value->text;
	if (value == NULL || strcmp(value, last->value) != 0)
		fail_msg("%s: %s was acknowledged last, %s is shown", last->key, last->value,
		    value != NULL ? value : "nothing");
	lt_arena_fini(&arena);
}

/* Every put was acknowledged in the end, so ledger and store must agree exactly: per record as many changes as acknowledgements,
 * the last one shown, and no dossier that nobody asked for. Returns the dossiers. */
static uint64_t
reckon(const struct world *w, struct lt_kv *log, struct lt_kv *derived)
{
	struct reckoning r = { .unit = w->p.n.id->unit.s };
	uint64_t keys = 0, shown = 0;
	struct lt_slice rk, rec;
	struct lt_kv_cursor *c;
	struct lt_buf from;
	size_t i, n;
	int rc;

	assert_int_equal(lt_kv_begin_read(log, &r.log), LT_OK);
	assert_int_equal(lt_kv_begin_read(derived, &r.derived), LT_OK);
	for (i = 0; i < w->nack; i += n, keys++) {
		for (n = 1; i + n < w->nack && strcmp(w->ack[i].key, w->ack[i + n].key) == 0; n++)
			continue;
		r.ack = &w->ack[i];
		r.n = n;
		r.seen = 0;
		assert_int_equal(
		    lt_history_each(r.derived, "dossier", r.unit, r.ack->key, in_ledger, &r),
		    LT_OK);
		if (r.seen != n)
			fail_msg(
			    "%s: %zu puts acknowledged, %zu changes there", r.ack->key, n, r.seen);
		reckon_shown(&r);
	}
	lt_buf_init(&from, 0);
	lt_key_record(&from, "dossier", "", "");
	from.len = strlen("dossier") + 1;
	assert_int_equal(lt_kv_cursor_open(r.derived, LT_T_SHOWN, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_buf_slice(&from), &rk, &rec);
	     rc == LT_OK && rk.len > from.len && memcmp(rk.data, from.data, from.len) == 0;
	     rc = lt_kv_next(c, &rk, &rec))
		shown++;
	lt_kv_cursor_close(c);
	lt_buf_fini(&from);
	assert_true(shown == keys);
	lt_kv_abort(r.log);
	lt_kv_abort(r.derived);
	return keys;
}

static void
no_dot_twice(struct world *w)
{
	size_t i;

	qsort(w->ack, w->nack, sizeof(*w->ack), by_dot);
	for (i = 1; i < w->nack; i++)
		if (by_dot(&w->ack[i - 1], &w->ack[i]) == 0)
			fail_msg("%s and %s were both acknowledged as change-set %llu",
			    w->ack[i - 1].value, w->ack[i].value,
			    (unsigned long long)w->ack[i].seq);
}

static void
judge(struct world *w)
{
	uint64_t at_hub, at_node, keys, rows;
	struct stores s;

	(void)daemon_stop(&w->p.node);
	(void)daemon_stop(&w->p.hub);
	no_dot_twice(w);
	qsort(w->ack, w->nack, sizeof(*w->ack), by_key);
	stores_open(&s, &w->p, true);
	keys = reckon(w, s.log, s.derived);
	assert_true(reckon(w, s.node, s.node) == keys);
	at_hub = verify_feeds(s.log, &w->p, true);
	at_node = verify_feeds(s.node, &w->p, false);
	assert_true(at_hub == at_node);
	rows = verify_same_rows(&s);
	verify_receipts(&s, &w->p);
	stores_close(&s);
	print_message(
	    "%zu puts acknowledged on %llu dossiers; %llu change-sets verified at hub and "
	    "node, %llu rows the same\n",
	    w->nack, (unsigned long long)keys, (unsigned long long)at_hub,
	    (unsigned long long)rows);
}

static void
world_setup(struct world *w)
{
	const char *s = getenv("LT_KILL_SEED");

	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->mx, NULL);
	province_setup(&w->p, "17254", 0);
	randombytes_buf(&w->rng, sizeof(w->rng));
	if (s != NULL)
		w->rng = strtoull(s, NULL, 10);
	print_message("LT_KILL_SEED=%llu\n", (unsigned long long)w->rng);
	s = getenv("LT_KILL_LEDGER");
	if (s != NULL) {
		w->file = fopen(s, "we");
		assert_non_null(w->file);
	}
}

static void
world_teardown(struct world *w)
{
	province_teardown(&w->p);
	pthread_mutex_destroy(&w->mx);
	if (w->file != NULL)
		(void)fclose(w->file);
	free(w->ack);
}

static void
test_kill(void **state)
{
	const char *s = getenv("LT_KILL_ROUNDS");
	unsigned rounds = s != NULL ? (unsigned)strtoul(s, NULL, 10) : ROUNDS, i;
	struct world *w = calloc(1, sizeof(*w));

	(void)state;
	assert_non_null(w);
	rounds -= rounds % 4;
	assert_true(rounds >= 4);
	world_setup(w);
	province_start(&w->p, NULL, NULL);
	start_writers(w);
	for (i = 0; i < rounds; i++)
		one_round(w, i);
	wait_transfer(w);
	stop_writers(w);
	province_settle(&w->p, WAIT_MS);
	print_message("%u kills: hub %u and node %u at a random moment of the transfer, %u while "
		      "starting, %u at fail-points (%u of them between commit and reply)\n",
	    w->rounds, w->at_random[HUB], w->at_random[NODE], w->starting, w->at_failpoint,
	    w->after_commit);
	judge(w);
	world_teardown(w);
	free(w);
}

/* The hub dies with a change-set durable and its receipt unsaid, and nothing is written afterwards that would bring a
 * later one: the node gets a receipt all the same. */
static void
test_lost_receipt(void **state)
{
	static const struct failpoint *fp = &failpoints[0];
	struct world *w = calloc(1, sizeof(*w));
	struct lt_conn *conn = NULL;
	struct dossier_put d;

	(void)state;
	assert_non_null(w);
	world_setup(w);
	province_start(&w->p, NULL, NULL);
	w->writer[0].w = w;
	dossier_put_init(&d, 1, true, "QD-1");
	assert_true(put_until_saved(&w->writer[0], &conn, &d));
	province_settle(&w->p, WAIT_MS);
	daemon_kill(&w->p.hub);
	dossier_put_init(&d, 1, false, "QD-2");
	assert_true(put_until_saved(&w->writer[0], &conn, &d));
	lt_conn_close(conn);
	start_armed(w, fp, 1);
	wait_failpoint(w, fp);
	daemon_start(&w->p.hub, NULL);
	province_settle(&w->p, WAIT_MS);
	judge(w);
	world_teardown(w);
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lost_receipt),
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
