/* The promises of proto/store/writer.h, and the fail-points in the writer. Order comes from gates
 * that tests hold closed, never from time. */
#include "proto/store/writer.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ok(expr) assert_int_equal(expr, LT_OK)

static const char *const tables[] = { "t", NULL };
static const uint8_t federation[32] = { 7 };

/* A gate that threads wait at until the test opens it. */
struct gate {
	pthread_mutex_t mx;
	pthread_cond_t cv;
	bool open, reached;
};

static void
gate_init(struct gate *g)
{
	memset(g, 0, sizeof(*g));
	(void)pthread_mutex_init(&g->mx, NULL);
	(void)pthread_cond_init(&g->cv, NULL);
}

static void
gate_fini(struct gate *g)
{
	(void)pthread_cond_destroy(&g->cv);
	(void)pthread_mutex_destroy(&g->mx);
}

static void
gate_wait(struct gate *g)
{
	(void)pthread_mutex_lock(&g->mx);
	g->reached = true;
	(void)pthread_cond_broadcast(&g->cv);
	while (!g->open)
		(void)pthread_cond_wait(&g->cv, &g->mx);
	(void)pthread_mutex_unlock(&g->mx);
}

static void
gate_wait_reached(struct gate *g)
{
	(void)pthread_mutex_lock(&g->mx);
	while (!g->reached)
		(void)pthread_cond_wait(&g->cv, &g->mx);
	(void)pthread_mutex_unlock(&g->mx);
}

static void
gate_open(struct gate *g)
{
	(void)pthread_mutex_lock(&g->mx);
	g->open = true;
	(void)pthread_cond_broadcast(&g->cv);
	(void)pthread_mutex_unlock(&g->mx);
}

struct fix {
	struct lt_kv *kv;
	struct lt_writer *w;
	struct gate gate;
	pthread_mutex_t mx; /* guards what follows */
	char trace[4096]; /* done calls: "<id>=<rc> ", commits: "c<n> " */
	int fatal_rc;
	unsigned commits, committed_jobs;
	/* fault plan */
	uint64_t commit_calls;
	uint64_t fail_at;
	int fail_code;
};

struct job {
	struct fix *f;
	char key[16];
	int rc; /* what the job returns */
	int once; /* return rc in its first run only */
	atomic_uint runs, dones;
	int done_rc;
};

static void trace(struct fix *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
trace(struct fix *f, const char *fmt, ...)
{
	size_t n;
	va_list ap;

	(void)pthread_mutex_lock(&f->mx);
	n = strlen(f->trace);
	va_start(ap, fmt);
	(void)vsnprintf(f->trace + n, sizeof(f->trace) - n, fmt, ap);
	va_end(ap);
	(void)pthread_mutex_unlock(&f->mx);
}

static void
on_fatal(void *ctx, int rc)
{
	struct fix *f = ctx;

	f->fatal_rc = rc;
	trace(f, "fatal=%d ", rc);
}

static void
on_committed(void *ctx, size_t njobs)
{
	struct fix *f = ctx;

	f->commits++;
	f->committed_jobs += (unsigned)njobs;
	trace(f, "c%zu ", njobs);
}

static int
put_job(struct lt_kv_txn *t, void *ctx)
{
	struct job *j = ctx;
	unsigned run = atomic_fetch_add(&j->runs, 1);

	ok(lt_kv_put(t, 0, lt_slice_str(j->key), lt_slice_str("x")));
	return j->once && run > 0 ? LT_OK : j->rc;
}

static void
on_done(void *ctx, int rc)
{
	struct job *j = ctx;

	j->done_rc = rc;
	atomic_fetch_add(&j->dones, 1);
	trace(j->f, "%s=%d ", j->key, rc);
}

static int
wait_at_gate(struct lt_kv_txn *t, void *ctx)
{
	(void)t;
	gate_wait(ctx);
	return LT_OK;
}

static void
job_init(struct job *j, struct fix *f, const char *key, int rc)
{
	memset(j, 0, sizeof(*j));
	j->f = f;
	(void)snprintf(j->key, sizeof(j->key), "%s", key);
	j->rc = rc;
}

static void
start(struct fix *f, size_t queue_max, size_t batch_max)
{
	struct lt_writer_options o = { 0 };

	o.queue_max = queue_max;
	o.batch_max = batch_max;
	o.fatal = on_fatal;
	o.fatal_ctx = f;
	o.committed = on_committed;
	o.committed_ctx = f;
	ok(lt_writer_start(f->kv, &o, &f->w));
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct lt_kv_options o = { 0 };

	assert_non_null(f);
	o.kind = LT_KV_TEST;
	o.federation = federation;
	o.tables = tables;
	ok(lt_kv_open_mem(&o, &f->kv, NULL));
	gate_init(&f->gate);
	(void)pthread_mutex_init(&f->mx, NULL);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_writer_stop(f->w);
	lt_kv_close(f->kv);
	gate_fini(&f->gate);
	(void)pthread_mutex_destroy(&f->mx);
	free(f);
	return 0;
}

/* Keep the writer busy in a batch of its own, so that what is submitted now waits together. */
static void
hold(struct fix *f)
{
	ok(lt_writer_submit(f->w, wait_at_gate, NULL, &f->gate));
	gate_wait_reached(&f->gate);
}

static void
stop(struct fix *f)
{
	lt_writer_stop(f->w);
	f->w = NULL;
}

static uint64_t
count(struct fix *f)
{
	struct lt_kv_txn *t;
	uint64_t n;

	ok(lt_kv_begin_read(f->kv, &t));
	ok(lt_kv_count(t, 0, &n));
	lt_kv_abort(t);
	return n;
}

static bool
has(struct fix *f, const char *key)
{
	struct lt_kv_txn *t;
	struct lt_slice v;
	int rc;

	ok(lt_kv_begin_read(f->kv, &t));
	rc = lt_kv_get(t, 0, lt_slice_str(key), &v);
	lt_kv_abort(t);
	return rc == LT_OK;
}

static void
waiting_jobs_share_a_commit(void **state)
{
	struct fix *f = *state;
	struct job j[5];
	int i;

	start(f, 0, 0);
	hold(f);
	for (i = 0; i < 5; i++) {
		job_init(&j[i], f, (const char[]){ (char)('a' + i), 0 }, LT_OK);
		ok(lt_writer_submit(f->w, put_job, on_done, &j[i]));
	}
	assert_int_equal(count(f), 0);
	gate_open(&f->gate);
	stop(f);
	assert_string_equal(f->trace, "c1 a=0 b=0 c=0 d=0 e=0 c5 ");
	assert_int_equal(count(f), 5);
}

static void
batch_max_bounds_a_commit(void **state)
{
	struct fix *f = *state;
	struct job j[7];
	int i;

	start(f, 7, 3);
	hold(f);
	for (i = 0; i < 7; i++) {
		job_init(&j[i], f, (const char[]){ (char)('a' + i), 0 }, LT_OK);
		ok(lt_writer_submit(f->w, put_job, on_done, &j[i]));
	}
	gate_open(&f->gate);
	stop(f);
	assert_string_equal(f->trace, "c1 a=0 b=0 c=0 c3 d=0 e=0 f=0 c3 g=0 c1 ");
}

static void
queue_bound(void **state)
{
	struct fix *f = *state;
	struct job j[5];
	int i;

	start(f, 4, 0);
	hold(f); /* taken out of the queue, so all four places are free */
	for (i = 0; i < 5; i++) {
		job_init(&j[i], f, (const char[]){ (char)('a' + i), 0 }, LT_OK);
		assert_int_equal(lt_writer_submit(f->w, put_job, on_done, &j[i]),
		    i < 4 ? LT_OK : LT_E_UNAVAILABLE);
	}
	assert_int_equal(lt_writer_run(f->w, put_job, &j[4]), LT_E_UNAVAILABLE);
	gate_open(&f->gate);
	stop(f);
	assert_int_equal(atomic_load(&j[4].dones), 0); /* refused: never called */
	assert_int_equal(atomic_load(&j[4].runs), 0);
	assert_int_equal(count(f), 4);
}

/* Around and around the ring. */
static void
run_waits_for_its_result(void **state)
{
	struct fix *f = *state;
	struct job j;
	char key[16];
	int i;

	start(f, 3, 2);
	for (i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "%03d", i);
		job_init(&j, f, key, i % 10 == 3 ? LT_E_CONFLICT : LT_OK);
		assert_int_equal(lt_writer_run(f->w, put_job, &j), j.rc);
		assert_int_equal(has(f, key), j.rc == LT_OK);
		assert_int_equal(atomic_load(&j.runs), 1);
	}
	stop(f);
	assert_int_equal(count(f), 90);
	assert_int_equal(f->commits, 90); /* a lone job is committed at once */
}

static void
a_failing_job_is_alone_in_its_failure(void **state)
{
	struct fix *f = *state;
	static const int rc[] = { LT_OK, LT_OK, LT_E_CONFLICT, LT_OK, LT_E_INVALID };
	struct job j[5];
	int i;

	start(f, 0, 0);
	hold(f);
	for (i = 0; i < 5; i++) {
		job_init(&j[i], f, (const char[]){ (char)('a' + i), 0 }, rc[i]);
		ok(lt_writer_submit(f->w, put_job, on_done, &j[i]));
	}
	gate_open(&f->gate);
	stop(f);
	assert_string_equal(f->trace, "c1 a=0 c1 b=0 c1 c=-20 d=0 c1 e=-1 ");
	assert_int_equal(count(f), 3);
	assert_true(has(f, "a") && has(f, "b") && has(f, "d"));
	for (i = 0; i < 5; i++)
		assert_int_equal(atomic_load(&j[i].dones), 1);
	/* c failed in the batch, so d and e ran alone only. */
	assert_int_equal(atomic_load(&j[0].runs), 2);
	assert_int_equal(atomic_load(&j[2].runs), 2);
	assert_int_equal(atomic_load(&j[3].runs), 1);
}

/* It failed for what an earlier job of the batch had done, and fits when alone. */
static void
the_second_run_counts(void **state)
{
	struct fix *f = *state;
	struct job a, b;

	start(f, 0, 0);
	hold(f);
	job_init(&a, f, "a", LT_OK);
	job_init(&b, f, "b", LT_E_BUSY);
	b.once = 1;
	ok(lt_writer_submit(f->w, put_job, on_done, &a));
	ok(lt_writer_submit(f->w, put_job, on_done, &b));
	gate_open(&f->gate);
	stop(f);
	assert_string_equal(f->trace, "c1 a=0 c1 b=0 c1 ");
	assert_int_equal(count(f), 2);
}

/* A job that reads sees what the jobs before it in the same batch have written. */
static int
increment(struct lt_kv_txn *t, void *ctx)
{
	struct lt_slice v;
	uint8_t n[8];
	int rc;

	(void)ctx;
	memset(n, 0, sizeof(n));
	rc = lt_kv_get(t, 0, lt_slice_str("n"), &v);
	if (rc == LT_OK)
		lt_store_u64(n, lt_load_u64(v.data));
	else if (rc != LT_E_NOTFOUND)
		return rc;
	lt_store_u64(n, lt_load_u64(n) + 1);
	return lt_kv_put(t, 0, lt_slice_str("n"), lt_slice(n, 8));
}

struct peek {
	struct fix *f;
	const char *key;
	bool seen;
};

static int
peek_put(struct lt_kv_txn *t, void *ctx)
{
	struct peek *p = ctx;

	return lt_kv_put(t, 0, lt_slice_str(p->key), lt_slice_str("x"));
}

static void
peek_done(void *ctx, int rc)
{
	struct peek *p = ctx;

	assert_int_equal(rc, LT_OK);
	p->seen = has(p->f, p->key); /* in a snapshot taken now */
}

static void
nobody_is_told_before_the_commit(void **state)
{
	struct fix *f = *state;
	struct peek p[3] = { { f, "a", false }, { f, "b", false }, { f, "c", false } };
	int i;

	start(f, 0, 0);
	hold(f);
	for (i = 0; i < 3; i++)
		ok(lt_writer_submit(f->w, peek_put, peek_done, &p[i]));
	gate_open(&f->gate);
	stop(f);
	for (i = 0; i < 3; i++)
		assert_true(p[i].seen);
}

static void
stop_drains_and_closes(void **state)
{
	struct fix *f = *state;
	struct job j[20];
	struct lt_writer *w;
	int i;

	start(f, 0, 4);
	w = f->w;
	hold(f);
	for (i = 0; i < 20; i++) {
		job_init(&j[i], f, (const char[]){ (char)('a' + i), 0 }, LT_OK);
		ok(lt_writer_submit(w, put_job, on_done, &j[i]));
	}
	gate_open(&f->gate);
	stop(f);
	for (i = 0; i < 20; i++) {
		assert_int_equal(atomic_load(&j[i].dones), 1);
		assert_int_equal(j[i].done_rc, LT_OK);
	}
	assert_int_equal(count(f), 20);
	lt_writer_stop(NULL);
	lt_writer_end(NULL);
}

/* Ended, it is still there for who asks: what waited ran, and nothing more is taken. */
static void
end_runs_what_waits_and_refuses_more(void **state)
{
	struct fix *f = *state;
	struct job j[3], late;
	size_t i;

	start(f, 0, 0);
	hold(f);
	for (i = 0; i < 3; i++) {
		char key[16];

		(void)snprintf(key, sizeof(key), "%02zu", i);
		job_init(&j[i], f, key, LT_OK);
		ok(lt_writer_submit(f->w, put_job, on_done, &j[i]));
	}
	gate_open(&f->gate);
	lt_writer_end(f->w);
	for (i = 0; i < 3; i++) {
		assert_int_equal(atomic_load(&j[i].dones), 1);
		assert_int_equal(j[i].done_rc, LT_OK);
	}
	job_init(&late, f, "late", LT_OK);
	assert_int_equal(lt_writer_submit(f->w, put_job, on_done, &late), LT_E_CLOSED);
	assert_int_equal(lt_writer_run(f->w, put_job, &late), LT_E_CLOSED);
	assert_int_equal(lt_writer_waiting(f->w), 0);
	stop(f);
	assert_int_equal(atomic_load(&late.runs), 0);
	assert_int_equal(count(f), 3);
}

struct resubmit {
	struct fix *f;
	struct job next;
	int rc;
};

static void
resubmit_done(void *ctx, int rc)
{
	struct resubmit *r = ctx;

	ok(rc);
	r->rc = lt_writer_submit(r->f->w, put_job, on_done, &r->next);
}

static int
nothing(struct lt_kv_txn *t, void *ctx)
{
	(void)t;
	(void)ctx;
	return LT_OK;
}

static void *
stopper(void *arg)
{
	struct fix *f = arg;

	lt_writer_stop(f->w);
	return NULL;
}

/* A done function may submit; while stopping it is told so. The stopper is known to have begun when a
 * submit from here is refused. */
static void
submit_from_done(void **state)
{
	struct fix *f = *state;
	struct resubmit r = { .f = f }, late = { .f = f };
	struct job j;
	pthread_t th;
	int rc;

	start(f, 0, 0);
	job_init(&r.next, f, "next", LT_OK);
	job_init(&late.next, f, "late", LT_OK);
	job_init(&j, f, "j", LT_OK);
	ok(lt_writer_submit(f->w, nothing, resubmit_done, &r));
	ok(lt_writer_run(f->w, put_job, &j));
	hold(f);
	ok(lt_writer_submit(f->w, nothing, resubmit_done, &late));
	assert_int_equal(pthread_create(&th, NULL, stopper, f), 0);
	while ((rc = lt_writer_submit(f->w, nothing, NULL, NULL)) != LT_E_CLOSED)
		assert_true(rc == LT_OK || rc == LT_E_UNAVAILABLE);
	gate_open(&f->gate);
	assert_int_equal(pthread_join(th, NULL), 0);
	f->w = NULL;
	ok(r.rc);
	assert_int_equal(late.rc, LT_E_CLOSED);
	assert_true(has(f, "next") && has(f, "j"));
	assert_false(has(f, "late"));
	assert_int_equal(atomic_load(&late.next.dones), 0);
}

/* ---- failing stores ---- */

/* The sequence of store calls of a batch of two puts is begin 1, put 2, put 3, commit 4. */
static int
fail_at(void *ctx, uint64_t ordinal)
{
	struct fix *f = ctx;

	return ordinal == f->fail_at ? f->fail_code : LT_OK;
}

static void
two_jobs_with_fault(struct fix *f, struct job *a, struct job *b, uint64_t at, int code)
{
	job_init(a, f, "a", LT_OK);
	job_init(b, f, "b", LT_OK);
	start(f, 0, 2); /* what comes behind the two is another batch */
	hold(f); /* its begin is done; its commit is call 1 from here */
	ok(lt_writer_submit(f->w, put_job, on_done, a));
	ok(lt_writer_submit(f->w, put_job, on_done, b));
	f->fail_at = at + 1;
	f->fail_code = code;
	lt_kv_set_fault(f->kv, fail_at, f);
	gate_open(&f->gate);
}

static void
no_space_is_told_and_the_writer_goes_on(void **state)
{
	struct fix *f = *state;
	struct job a, b, c;

	two_jobs_with_fault(f, &a, &b, 4, LT_E_NOSPACE);
	job_init(&c, f, "c", LT_OK);
	ok(lt_writer_run(f->w, put_job, &c));
	stop(f);
	assert_string_equal(f->trace, "c1 a=-13 b=-13 c1 ");
	assert_int_equal(f->fatal_rc, 0);
	assert_true(!has(f, "a") && !has(f, "b") && has(f, "c"));
}

static void
a_commit_that_fails_otherwise_is_fatal(void **state)
{
	struct fix *f = *state;
	struct job a, b, c;

	two_jobs_with_fault(f, &a, &b, 4, LT_E_IO);
	job_init(&c, f, "c", LT_OK);
	while (lt_writer_run(f->w, put_job, &c) != LT_E_CLOSED)
		;
	stop(f);
	/* Told in this order, once; c, if it got in, was not run. */
	assert_ptr_equal(strstr(f->trace, "c1 fatal=-14 a=-14 b=-14 "), f->trace);
	assert_int_equal(f->fatal_rc, LT_E_IO);
	assert_int_equal(f->commits, 1);
	assert_int_equal(atomic_load(&c.runs), 0);
	assert_int_equal(count(f), 0);
}

static void
a_begin_that_fails_is_told(void **state)
{
	struct fix *f = *state;
	struct job a, b;

	two_jobs_with_fault(f, &a, &b, 1, LT_E_NOMEM);
	stop(f);
	assert_string_equal(f->trace, "c1 a=-3 b=-3 ");
	assert_int_equal(f->fatal_rc, 0);
	assert_int_equal(count(f), 0);
}

struct burst {
	struct fix *f;
	unsigned id;
	struct job *jobs;
	unsigned n;
	unsigned refused;
};

static void
ordered_done(void *ctx, int rc)
{
	struct job *j = ctx;

	j->done_rc = rc;
	atomic_fetch_add(&j->dones, 1);
}

static void *
burst(void *arg)
{
	struct burst *b = arg;
	unsigned i;
	int rc;

	for (i = 0; i < b->n; i++) {
		job_init(&b->jobs[i], b->f, "", i % 97 == 5 ? LT_E_REFUSED : LT_OK);
		(void)snprintf(b->jobs[i].key, sizeof(b->jobs[i].key), "%u/%u", b->id, i);
		while ((rc = lt_writer_submit(b->f->w, put_job, ordered_done, &b->jobs[i])) ==
		       LT_E_UNAVAILABLE)
			b->refused++;
		if (rc != LT_OK)
			abort();
		if (i % 50 != 7)
			continue;
		while ((rc = lt_writer_run(b->f->w, increment, NULL)) == LT_E_UNAVAILABLE)
			b->refused++;
		if (rc != LT_OK)
			abort();
	}
	return NULL;
}

enum { THREADS = 6, JOBS = 600 };

static void
burst_start(struct fix *f, struct burst b[THREADS], pthread_t th[THREADS], unsigned n)
{
	unsigned i;

	for (i = 0; i < THREADS; i++) {
		b[i] = (struct burst){ .f = f, .id = i, .n = n };
		b[i].jobs = calloc(n, sizeof(struct job));
		assert_non_null(b[i].jobs);
		assert_int_equal(pthread_create(&th[i], NULL, burst, &b[i]), 0);
	}
}

/* Far fewer commits than jobs: what six threads submitted while a commit ran is one commit. */
static void
many_submitters_few_commits(void **state)
{
	struct fix *f = *state;
	struct burst b[THREADS];
	pthread_t th[THREADS];
	unsigned i;

	start(f, 0, 0);
	hold(f);
	burst_start(f, b, th, 5);
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(th[i], NULL), 0);
	}
	gate_open(&f->gate);
	stop(f);
	assert_int_equal(f->commits, 2);
	assert_int_equal(f->committed_jobs, 1 + THREADS * 5);
	for (i = 0; i < THREADS; i++)
		free(b[i].jobs);
}

/* At full speed with a small queue and failing jobs among them: every job told once, with its own
 * result, and exactly the good ones are there. */
static void
many_submitters_every_job_told_once(void **state)
{
	struct fix *f = *state;
	struct burst b[THREADS];
	pthread_t th[THREADS];
	unsigned i, j, good = 0;

	start(f, 64, 0);
	burst_start(f, b, th, JOBS);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(th[i], NULL), 0);
	stop(f);
	for (i = 0; i < THREADS; i++) {
		for (j = 0; j < JOBS; j++) {
			struct job *x = &b[i].jobs[j];

			assert_int_equal(atomic_load(&x->dones), 1);
			assert_int_equal(x->done_rc, x->rc);
			assert_int_equal(has(f, x->key), x->rc == LT_OK);
			good += x->rc == LT_OK;
		}
		free(b[i].jobs);
	}
	assert_int_equal(good, THREADS * (JOBS - 7)); /* 5, 102, ... 587 of each were refused */
	assert_int_equal(count(f), good + 1); /* with "n" */
}

/* ---- fail-points: they kill the process, so this program runs itself again ---- */

static char self[] = "/proc/self/exe";

static struct lt_kv *
open_at(const char *path)
{
	struct lt_kv_options o = { 0 };
	struct lt_kv *kv;

	o.path = path;
	o.kind = LT_KV_TEST;
	o.federation = federation;
	o.tables = tables;
	return lt_kv_open_lmdb(&o, &kv, NULL) == LT_OK ? kv : NULL;
}

static void
say_done(void *ctx, int rc)
{
	(void)ctx;
	if (rc == LT_OK && write(STDOUT_FILENO, "a", 1) != 1)
		abort();
}

/* Three increments, each told on stdout when it is durable. */
static int
child_main(const char *path)
{
	struct lt_kv *kv = open_at(path);
	struct lt_writer *w;
	int i;

	if (kv == NULL || lt_writer_start(kv, NULL, &w) != LT_OK)
		return 1;
	for (i = 0; i < 3; i++)
		if (lt_writer_submit(w, increment, say_done, NULL) != LT_OK ||
		    lt_writer_run(w, nothing, NULL) != LT_OK)
			return 1;
	lt_writer_stop(w);
	lt_kv_close(kv);
	return 0;
}

static void
run_child(const char *path, const char *point, int *status, unsigned *acks)
{
	char c;
	int p[2];
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *argv[] = { self, (char *)(uintptr_t)path, NULL };

		(void)dup2(p[1], STDOUT_FILENO);
		(void)setenv("LIENTHONG_FAILPOINT", point, 1);
		(void)execv(self, argv);
		_exit(99);
	}
	(void)close(p[1]);
	for (*acks = 0; read(p[0], &c, 1) == 1;)
		++*acks;
	(void)close(p[0]);
	assert_int_equal(waitpid(pid, status, 0), pid);
}

static uint64_t
stored_n(const char *path)
{
	struct lt_kv *kv = open_at(path);
	struct lt_kv_txn *t;
	struct lt_slice v;
	uint64_t n = 0;

	assert_non_null(kv);
	ok(lt_kv_begin_read(kv, &t));
	if (lt_kv_get(t, 0, lt_slice_str("n"), &v) == LT_OK)
		n = lt_load_u64(v.data);
	lt_kv_abort(t);
	lt_kv_close(kv);
	return n;
}

static void
fail_points_kill_where_they_say(void **state)
{
	/* A batch is an increment, perhaps with the empty job behind it; each is a commit. */
	static const struct {
		const char *point;
		bool dies;
		int ahead; /* stored beyond what was told */
	} row[] = {
		{ "", false, 0 },
		{ "writer.before_commit", true, 0 },
		{ "writer.after_commit", true, 1 },
		{ "writer.after_commit:1", true, 1 },
		{ "writer.after_commit:1000", false, 0 },
		{ "no.such.point", false, 0 },
		{ "writer.after_commit:0", false, 0 }, /* not name[:count] */
		{ "writer.after_commit:1x", false, 0 },
		{ ":1", false, 0 },
	};
	char dir[] = "/tmp/lt_writer.XXXXXX", cmd[64];
	uint64_t before = 0, now;
	int status;
	unsigned acks;
	size_t i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		run_child(dir, row[i].point, &status, &acks);
		now = stored_n(dir);
		if (row[i].dies) {
			assert_true(WIFSIGNALED(status));
			assert_int_equal(WTERMSIG(status), SIGKILL);
			assert_int_equal(acks, 0);
		} else {
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 0);
			assert_int_equal(acks, 3);
		}
		assert_int_equal(now - before, acks + (unsigned)row[i].ahead);
		before = now;
	}
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fail_points_kill_where_they_say),
		TEST(end_runs_what_waits_and_refuses_more),
		TEST(waiting_jobs_share_a_commit),
		TEST(batch_max_bounds_a_commit),
		TEST(queue_bound),
		TEST(run_waits_for_its_result),
		TEST(a_failing_job_is_alone_in_its_failure),
		TEST(the_second_run_counts),
		TEST(nobody_is_told_before_the_commit),
		TEST(stop_drains_and_closes),
		TEST(submit_from_done),
		TEST(no_space_is_told_and_the_writer_goes_on),
		TEST(a_commit_that_fails_otherwise_is_fatal),
		TEST(a_begin_that_fails_is_told),
		TEST(many_submitters_few_commits),
		TEST(many_submitters_every_job_told_once),
	};

	if (argc > 1)
		return child_main(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
