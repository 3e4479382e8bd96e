#include "tools/bench/bench.h"

#include <assert.h>
#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define THREADS_MAX 64

/* ---- figures ---- */

bool
bench_met(const struct bench_figure *f)
{
	switch (f->sense) {
	case BENCH_AT_LEAST:
		return f->value >= f->budget;
	case BENCH_AT_MOST:
		return f->value <= f->budget;
	default:
		return true;
	}
}

/* Three to five digits that matter, thousands apart. */
static void
number_text(double v, char *out, size_t cap)
{
	char plain[64];
	size_t n, lead, i, k = 0;

	if (fabs(v) < 1000) {
		(void)snprintf(out, cap, "%.*f",
		    fabs(v) < 1     ? 3
		    : fabs(v) < 10  ? 2
		    : fabs(v) < 100 ? 1
				    : 0,
		    v);
		return;
	}
	n = (size_t)snprintf(plain, sizeof(plain), "%.0f", v);
	lead = (n - 1) % 3 + 1;
	for (i = 0; i < n && k + 2 < cap; i++) {
		if (i >= lead && (i - lead) % 3 == 0)
			out[k++] = ',';
		out[k++] = plain[i];
	}
	out[k] = '\0';
}

static void
print_figure(const struct bench_figure *f)
{
	char value[32], budget[32] = "", ratio[16] = "";

	number_text(f->value, value, sizeof(value));
	if (f->sense != BENCH_INFO) {
		budget[0] = f->sense == BENCH_AT_LEAST ? '>' : '<';
		budget[1] = ' ';
		number_text(f->budget, budget + 2, sizeof(budget) - 2);
		(void)snprintf(ratio, sizeof(ratio), "%.2f", f->value / f->budget);
	}
	(void)printf("%-62s %12s %-10s %10s %6s %-5s %s\n", f->name, value, f->unit, budget, ratio,
	    f->sense == BENCH_INFO ? ""
	    : bench_met(f)         ? "pass"
				   : "no",
	    f->note);
	(void)fflush(stdout);
}

int
bench_result(struct bench *b, const char *name, double value, const char *unit,
    enum bench_sense sense, double budget, const char *fmt, ...)
{
	struct bench_figure *f;
	va_list ap;

	if (b->nfigure == b->cap) {
		b->cap = b->cap == 0 ? 64 : b->cap * 2;
		f = realloc(b->figure, b->cap * sizeof(*f));
		if (f == NULL)
			return LT_E_NOMEM;
		b->figure = f;
	}
	f = &b->figure[b->nfigure++];
	memset(f, 0, sizeof(*f));
	(void)snprintf(f->benchmark, sizeof(f->benchmark), "%s", b->running);
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	(void)snprintf(f->unit, sizeof(f->unit), "%s", unit);
	f->value = value;
	f->sense = sense;
	f->budget = budget;
	va_start(ap, fmt);
	(void)vsnprintf(f->note, sizeof(f->note), fmt, ap);
	va_end(ap);
	print_figure(f);
	return LT_OK;
}

void
bench_say(const struct bench *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "lt-bench: %s: ", b->running);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
}

/* ---- time ---- */

int64_t
bench_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
bench_cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Never 0: it is divided by. */
double
bench_seconds(int64_t ns)
{
	return ns > 0 ? (double)ns / 1e9 : 1e-9;
}

double
bench_cpu_us(int64_t from_ns, size_t n)
{
	return (double)(bench_cpu_ns() - from_ns) / 1e3 / (double)(n != 0 ? n : 1);
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t
bench_percentile(int64_t *v, size_t n, double p)
{
	size_t rank;

	assert(n > 0);
	qsort(v, n, sizeof(*v), by_value);
	rank = (size_t)ceil(p / 100 * (double)n);
	return v[rank == 0 ? 0 : rank - 1];
}

/* ---- folders ---- */

void
bench_path(const struct bench *b, const char *name, char out[BENCH_PATH])
{
	(void)snprintf(out, BENCH_PATH, "%s/%.100s", b->dir, name);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void
bench_remove(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- threads ---- */

struct each {
	bench_each_fn *fn;
	void *ctx;
	size_t n;
	atomic_size_t next;
	atomic_int rc;
};

static void *
each_thread(void *arg)
{
	struct each *e = arg;
	size_t i;
	int rc;

	while (atomic_load(&e->rc) == LT_OK && (i = atomic_fetch_add(&e->next, 1)) < e->n) {
		rc = e->fn(e->ctx, i);
		if (rc != LT_OK)
			atomic_store(&e->rc, rc);
	}
	return NULL;
}

int
bench_parallel(struct bench *b, size_t n, bench_each_fn *fn, void *ctx)
{
	struct each e = { .fn = fn, .ctx = ctx, .n = n };
	pthread_t t[THREADS_MAX];
	unsigned i, started = 0;

	for (i = 0; i + 1 < b->cores && i < THREADS_MAX; i++)
		if (pthread_create(&t[started], NULL, each_thread, &e) == 0)
			started++;
	(void)each_thread(&e);
	for (i = 0; i < started; i++)
		(void)pthread_join(t[i], NULL);
	return atomic_load(&e.rc);
}
