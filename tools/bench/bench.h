/* tools/bench/bench.h - lt-bench: what its benchmarks share. One benchmark a file, all in the table of main.c.
 *
 * A benchmark makes its own folders under bench.dir, measures, hands its figures to bench_result() and removes what it
 * made. One thread drives them, one after the other. */
#ifndef LT_TOOLS_BENCH_H
#define LT_TOOLS_BENCH_H

#include "proto/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nodes of the largest province. */
#define BENCH_COMMUNES 148
#define BENCH_PATH 512

enum bench_sense { BENCH_INFO, BENCH_AT_LEAST, BENCH_AT_MOST };

struct bench_figure {
	char benchmark[32];
	char name[96];
	double value;
	char unit[32];
	enum bench_sense sense;
	double budget; /* unless BENCH_INFO */
	char note[160]; /* "" if none */
};

struct bench {
	bool quick; /* all of it, small; nobody judges the time */
	const char *catalogue, *units; /* files */
	const char *bin; /* folder of lt-hub and lt-node */
	char dir[BENCH_PATH - 128]; /* of this run; removed at its end */
	unsigned cores;
	const char *running; /* name of the benchmark */
	size_t nfigure, cap;
	struct bench_figure *figure;
	struct lt_err err;
};

/* Every benchmark: LT_OK, or why something does not work, with words in b->err. Never for being slow. */
typedef int bench_fn(struct bench *b);
bench_fn bench_intake_1, bench_intake_100, bench_intake_1000, bench_visible, bench_query,
    bench_connect, bench_node, bench_line, bench_hostile, bench_timing;

/* One more line of the table, printed at once. fmt: a note beside it, "" for none. */
int bench_result(struct bench *b, const char *name, double value, const char *unit,
    enum bench_sense sense, double budget, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* value against budget; true without one. */
bool bench_met(const struct bench_figure *f);
/* For people who wait, on standard error. */
void bench_say(const struct bench *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Monotonic. The clocks of the project count milliseconds, a point query takes some microseconds. */
int64_t bench_now_ns(void);
/* Processor time of this process, user and system. */
int64_t bench_cpu_ns(void);
double bench_seconds(int64_t ns);
/* From one moment of bench_cpu_ns() until now, microseconds for each of n. */
double bench_cpu_us(int64_t from_ns, size_t n);
/* The p-th percentile (0 to 100, nearest rank) of n values, which get sorted. n above 0. */
int64_t bench_percentile(int64_t *v, size_t n, double p);

/* "<b->dir>/<name>" */
void bench_path(const struct bench *b, const char *name, char out[BENCH_PATH]);
/* Remove a folder and what is in it; errors are passed over. */
void bench_remove(const char *dir);

/* Run fn(ctx, i) for every i below n on as many threads as there are cores; the first error ends it. */
typedef int bench_each_fn(void *ctx, size_t i);
int bench_parallel(struct bench *b, size_t n, bench_each_fn *fn, void *ctx);

/* machine.c: what the figures were measured on. */
struct bench_machine {
	char cpu[96];
	unsigned cores;
	uint64_t memory_mib;
	char kernel[96];
	char disk[160]; /* of the run's folder: file system, device, its kind */
	double sync_us; /* 4 KiB written and synced there, median */
	double load; /* of the last minute, before the run */
	double others; /* cores that other processes kept busy during the run */
	double busy_s,
	    own_s; /* at the run's begin: of the machine, of this process and its children */
	int64_t from_ns;
	char versions[256];
};
int bench_machine(struct bench *b, struct bench_machine *m);
/* Around the run: a machine that others use measures them as well. */
void bench_others_begin(struct bench_machine *m);
void bench_others_end(struct bench_machine *m);

#endif
