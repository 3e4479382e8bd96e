/* tools/bench/line.c - a backlog over the line of a mountain commune, whole and cut every minute: does all of it arrive, and what do the
 * cuts cost. */
#include "tools/bench/place.h"
#include "tools/bench/thin.h"

#include <stdio.h>

/* Design section 14: 30 kbit/s, 600 ms there and back, one packet of twenty lost, cut every 60 s, 5,000 changes. */
#define CHANGES 5000
#define BITS_S 30000
#define DELAY_MS 300
#define LOSS 0.05
#define CUT_S 60
#define MORE_MAX 15 /* per cent */
/* A quick run has a line so many times as fast, and as many changes less. */
#define HURRY 20

struct sent {
	struct bench_thin_count line;
	double seconds;
};

static int
send_over(struct bench_place *p, double cut_s, struct sent *out)
{
	double hurry = p->b->quick ? HURRY : 1;
	struct bench_thin_options o = { .port = p->port,
		.target = p->behind,
		.bits_s = BITS_S * hurry,
		.delay_ms = DELAY_MS / hurry,
		.loss = LOSS,
		.cut_s = cut_s / hurry,
		.seed = 1 };
	struct bench_thin *thin = NULL;
	struct bench_usage worst;
	int64_t from = bench_now_ns(), receipted = 0;
	int rc = bench_thin_start(p->b, &o, &thin);

	if (rc == LT_OK)
		rc = bench_place_start(p);
	if (rc == LT_OK)
		rc = bench_place_settle(p, &worst, &receipted);
	if (rc == LT_OK)
		rc = bench_place_stop(p);
	out->seconds = bench_seconds(receipted - from);
	if (rc == LT_OK)
		bench_thin_count(thin, &out->line);
	bench_thin_stop(thin);
	return rc;
}

static int
report(struct bench_place *p, const char *what, size_t n, const struct sent *s)
{
	double bytes = (double)(s->line.up + s->line.down);
	char name[96];
	int rc;

	(void)snprintf(name, sizeof(name), "thin line, %s: bytes", what);
	rc = bench_result(p->b, name, bytes / (double)n, "B/change", BENCH_INFO, 0,
	    "%zu changes; %.1f up, %.1f down; %llu packets lost, %llu cuts", n,
	    (double)s->line.up / (double)n, (double)s->line.down / (double)n,
	    (unsigned long long)s->line.lost, (unsigned long long)s->line.cuts);
	(void)snprintf(name, sizeof(name), "thin line, %s: time", what);
	if (rc == LT_OK)
		rc = bench_result(p->b, name, s->seconds, "s", BENCH_INFO, 0,
		    "to the last receipt; the line full %.0f %% of it",
		    100 * (double)s->line.up * 8 / (BITS_S * (p->b->quick ? HURRY : 1)) /
			s->seconds);
	return rc;
}

int
bench_line(struct bench *b)
{
	struct sent whole = { .seconds = 0 }, cut = { .seconds = 0 };
	size_t n = b->quick ? CHANGES / HURRY : CHANGES;
	struct bench_place p;
	double seconds;
	int rc = bench_place_open(b, 2 * n, &p);

	if (rc == LT_OK)
		rc = bench_place_write_apart(&p, 0, n, false, &seconds);
	if (rc == LT_OK)
		rc = send_over(&p, 0, &whole);
	if (rc == LT_OK)
		rc = report(&p, "whole", n, &whole);
	if (rc == LT_OK)
		rc = bench_place_write_apart(&p, n, n, false, &seconds);
	if (rc == LT_OK)
		rc = send_over(&p, CUT_S, &cut);
	if (rc == LT_OK)
		rc = report(&p, "cut every minute", n, &cut);
	if (rc == LT_OK && !b->quick && cut.line.cuts == 0)
		rc = lt_err_set(&b->err, LT_E_INVALID, "the line was never cut: nothing is shown");
	if (rc == LT_OK)
		rc = bench_result(b, "thin line: bytes more by the cuts",
		    100 * ((double)(cut.line.up + cut.line.down) /
				  (double)(whole.line.up + whole.line.down) -
			      1),
		    "%", BENCH_AT_MOST, MORE_MAX, "all arrived; a model above TCP");
	bench_place_close(&p);
	return rc;
}
