/* A writer without a thread does by steps what the thread does: the same batches, the same order, the same answers. */
#include "proto/store/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ok(expr) assert_int_equal(expr, LT_OK)

static const char *const tables[] = { "t", NULL };
static const uint8_t federation[32] = { 7 };

struct fix {
	struct lt_kv *kv;
	struct lt_writer *w;
	char trace[512]; /* runs "r<id> ", ends "<id>=<rc> ", commits "c<jobs> ", "fatal=<rc> " */
	uint64_t commit_fails_at; /* ordinal of the store call, 0: none */
};

struct job {
	struct fix *f;
	char id;
	int rc;
	struct job *next; /* submitted when this one is done */
};

static void say(struct fix *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct fix *f, const char *fmt, ...)
{
	size_t n = strlen(f->trace);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->trace + n, sizeof(f->trace) - n, fmt, ap);
	va_end(ap);
}

static int
run(struct lt_kv_txn *txn, void *ctx)
{
	struct job *j = ctx;

	say(j->f, "r%c ", j->id);
	ok(lt_kv_put(txn, 0, lt_slice(&j->id, 1), lt_slice_str("x")));
	return j->rc;
}

static void
done(void *ctx, int rc)
{
	struct job *j = ctx;

	say(j->f, "%c=%d ", j->id, rc);
	if (j->next != NULL)
		ok(lt_writer_submit(j->f->w, run, done, j->next));
}

static void
on_committed(void *ctx, size_t n)
{
	say(ctx, "c%zu ", n);
}

static void
on_fatal(void *ctx, int rc)
{
	say(ctx, "fatal=%d ", rc);
}

static int
fault(void *ctx, uint64_t ordinal)
{
	struct fix *f = ctx;

	return ordinal == f->commit_fails_at ? LT_E_IO : LT_OK;
}

static void
start(struct fix *f, size_t batch_max)
{
	const struct lt_kv_options ko = {
		.kind = LT_KV_TEST, .federation = federation, .tables = tables
	};
	const struct lt_writer_options o = { .manual = true,
		.queue_max = 8,
		.batch_max = batch_max,
		.fatal = on_fatal,
		.fatal_ctx = f,
		.committed = on_committed,
		.committed_ctx = f };

	memset(f, 0, sizeof(*f));
	ok(lt_kv_open_mem(&ko, &f->kv, NULL));
	ok(lt_writer_start(f->kv, &o, &f->w));
}

static void
stop(struct fix *f)
{
	lt_writer_stop(f->w);
	lt_kv_close(f->kv);
}

static void
expect(struct fix *f, const char *trace)
{
	assert_string_equal(f->trace, trace);
	f->trace[0] = '\0';
}

static void
nothing_runs_before_a_step(void **state)
{
	struct fix f;
	struct job a = { &f, 'a', LT_OK, NULL }, b = { &f, 'b', LT_OK, NULL };

	(void)state;
	start(&f, 0);
	assert_false(lt_writer_step(f.w));
	ok(lt_writer_submit(f.w, run, done, &a));
	ok(lt_writer_submit(f.w, run, done, &b));
	expect(&f, "");
	assert_true(lt_writer_step(f.w));
	expect(&f, "ra rb a=0 b=0 c2 ");
	assert_false(lt_writer_step(f.w));
	expect(&f, "");
	stop(&f);
}

static void
a_batch_is_bounded_and_a_full_queue_refuses(void **state)
{
	struct fix f;
	struct job j[9];
	size_t i;

	(void)state;
	start(&f, 3);
	for (i = 0; i < 9; i++) {
		j[i] = (struct job){ &f, (char)('a' + i), LT_OK, NULL };
		assert_int_equal(
		    lt_writer_submit(f.w, run, done, &j[i]), i < 8 ? LT_OK : LT_E_UNAVAILABLE);
	}
	assert_true(lt_writer_step(f.w));
	expect(&f, "ra rb rc a=0 b=0 c=0 c3 ");
	stop(&f); /* runs what waits */
	assert_string_equal(f.trace, "rd re rf d=0 e=0 f=0 c3 rg rh g=0 h=0 c2 ");
}

static void
a_bad_job_fails_alone(void **state)
{
	struct fix f;
	struct job a = { &f, 'a', LT_OK, NULL }, b = { &f, 'b', LT_E_INVALID, NULL },
		   c = { &f, 'c', LT_OK, NULL };
	struct lt_kv_txn *txn;
	char want[64];
	uint64_t n;

	(void)state;
	start(&f, 0);
	ok(lt_writer_submit(f.w, run, done, &a));
	ok(lt_writer_submit(f.w, run, done, &b));
	ok(lt_writer_submit(f.w, run, done, &c));
	assert_true(lt_writer_step(f.w));
	(void)snprintf(want, sizeof(want), "ra rb ra a=0 c1 rb b=%d rc c=0 c1 ", LT_E_INVALID);
	expect(&f, want);
	ok(lt_kv_begin_read(f.kv, &txn));
	ok(lt_kv_count(txn, 0, &n));
	assert_int_equal(n, 2);
	lt_kv_abort(txn);
	stop(&f);
}

/* What a job's end submits is the next step's. */
static void
ends_may_submit(void **state)
{
	struct fix f;
	struct job b = { &f, 'b', LT_OK, NULL }, a = { &f, 'a', LT_OK, &b };

	(void)state;
	start(&f, 0);
	ok(lt_writer_submit(f.w, run, done, &a));
	assert_true(lt_writer_step(f.w));
	expect(&f, "ra a=0 c1 ");
	assert_true(lt_writer_step(f.w));
	expect(&f, "rb b=0 c1 ");
	stop(&f);
}

/* Who waits for a job gets what waits before it done, too, and in its batches. */
static void
run_steps_until_done(void **state)
{
	struct fix f;
	struct job a = { &f, 'a', LT_OK, NULL }, b = { &f, 'b', LT_OK, NULL },
		   c = { &f, 'c', LT_OK, NULL }, d = { &f, 'd', LT_E_DENIED, NULL };

	(void)state;
	start(&f, 2);
	ok(lt_writer_submit(f.w, run, done, &a));
	ok(lt_writer_submit(f.w, run, done, &b));
	ok(lt_writer_run(f.w, run, &c));
	expect(&f, "ra rb a=0 b=0 c2 rc c1 ");
	assert_int_equal(lt_writer_run(f.w, run, &d), LT_E_DENIED);
	expect(&f, "rd ");
	stop(&f);
}

/* A trial sees what was asked for before it, is told its own result, and nothing of it is there for those behind it. */
static int
run_trial(struct lt_kv_txn *txn, void *ctx)
{
	struct job *j = ctx;
	uint64_t n;

	ok(lt_kv_count(txn, 0, &n));
	say(j->f, "t%c sees %u ", j->id, (unsigned)n);
	ok(lt_kv_put(txn, 0, lt_slice(&j->id, 1), lt_slice_str("x")));
	return j->rc;
}

static void
a_trial_leaves_nothing(void **state)
{
	struct fix f;
	struct job a = { &f, 'a', LT_OK, NULL }, b = { &f, 'b', LT_OK, NULL },
		   c = { &f, 'c', LT_E_DENIED, NULL };
	struct lt_kv_txn *txn;
	uint64_t n;

	(void)state;
	start(&f, 0);
	ok(lt_writer_submit(f.w, run, done, &a));
	ok(lt_writer_try(f.w, run_trial, &b));
	expect(&f, "ra a=0 c1 tb sees 1 ");
	assert_int_equal(lt_writer_try(f.w, run_trial, &c), LT_E_DENIED);
	expect(&f, "tc sees 1 ");
	ok(lt_writer_run(f.w, run, &b));
	expect(&f, "rb c1 ");
	ok(lt_kv_begin_read(f.kv, &txn));
	ok(lt_kv_count(txn, 0, &n));
	assert_int_equal(n, 2);
	lt_kv_abort(txn);
	stop(&f);
	assert_string_equal(f.trace, "");
}

/* No call of a trial reaches the disk: a store whose every commit fails serves it. */
static void
a_trial_never_commits(void **state)
{
	struct fix f;
	struct job a = { &f, 'a', LT_OK, NULL };

	(void)state;
	start(&f, 0);
	f.commit_fails_at = 3; /* begin, put; a commit would be next */
	lt_kv_set_fault(f.kv, fault, &f);
	ok(lt_writer_try(f.w, run_trial, &a));
	expect(&f, "ta sees 0 ");
	lt_kv_set_fault(f.kv, NULL, NULL);
	stop(&f);
}

static int
begin_fails(void *ctx, uint64_t ordinal)
{
	(void)ctx;
	return ordinal == 1 ? LT_E_NOSPACE : LT_OK;
}

static void
a_trial_that_cannot_begin_is_told(void **state)
{
	struct fix f;
	struct job a = { &f, 'a', LT_OK, NULL };

	(void)state;
	start(&f, 0);
	lt_kv_set_fault(f.kv, begin_fails, NULL);
	assert_int_equal(lt_writer_try(f.w, run_trial, &a), LT_E_NOSPACE);
	ok(lt_writer_try(f.w, run_trial, &a));
	expect(&f, "ta sees 0 ");
	lt_kv_set_fault(f.kv, NULL, NULL);
	stop(&f);
}

/* After a commit that failed nothing is known of the disk: what waits fails, and nothing more is taken. */
static void
a_failed_commit_ends_all(void **state)
{
	struct fix f;
	struct job a = { &f, 'a', LT_OK, NULL }, b = { &f, 'b', LT_OK, NULL };
	struct lt_kv_txn *txn;
	char want[64];
	uint64_t n;

	(void)state;
	start(&f, 1);
	f.commit_fails_at = 3; /* begin, put, commit */
	lt_kv_set_fault(f.kv, fault, &f);
	ok(lt_writer_submit(f.w, run, done, &a));
	ok(lt_writer_submit(f.w, run, done, &b));
	assert_true(lt_writer_step(f.w));
	(void)snprintf(want, sizeof(want), "ra fatal=%d a=%d ", LT_E_IO, LT_E_IO);
	expect(&f, want);
	assert_int_equal(lt_writer_submit(f.w, run, done, &a), LT_E_CLOSED);
	assert_int_equal(lt_writer_run(f.w, run, &a), LT_E_CLOSED);
	assert_int_equal(lt_writer_try(f.w, run_trial, &a), LT_E_CLOSED);
	assert_true(lt_writer_step(f.w));
	(void)snprintf(want, sizeof(want), "b=%d ", LT_E_IO);
	expect(&f, want);
	assert_false(lt_writer_step(f.w));
	lt_kv_set_fault(f.kv, NULL, NULL);
	ok(lt_kv_begin_read(f.kv, &txn));
	ok(lt_kv_count(txn, 0, &n));
	assert_int_equal(n, 0);
	lt_kv_abort(txn);
	stop(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_runs_before_a_step),
		cmocka_unit_test(a_batch_is_bounded_and_a_full_queue_refuses),
		cmocka_unit_test(a_bad_job_fails_alone),
		cmocka_unit_test(ends_may_submit),
		cmocka_unit_test(run_steps_until_done),
		cmocka_unit_test(a_trial_leaves_nothing),
		cmocka_unit_test(a_trial_never_commits),
		cmocka_unit_test(a_trial_that_cannot_begin_is_told),
		cmocka_unit_test(a_failed_commit_ends_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
