/* tools/bench/node.c - a commune's real lt-node: idle, importing, and sending what it imported to a real lt-hub through a
 * relay that counts the bytes. */
#include "tools/bench/place.h"

#include <stdio.h>

/* ---- idle ---- */

static int
measure_idle(struct bench_place *p)
{
	struct bench_usage before, after;
	double seconds = p->b->quick ? 1 : 20;
	int64_t from;
	int rc;

	bench_sleep_us(p->b->quick ? 100000 : 2000000); /* what the start left is over */
	rc = bench_proc_usage(p->b, &p->node, &before);
	from = bench_now_ns();
	bench_sleep_us((int64_t)(seconds * 1e6));
	if (rc == LT_OK)
		rc = bench_proc_usage(p->b, &p->node, &after);
	seconds = bench_seconds(bench_now_ns() - from);
	if (rc == LT_OK)
		rc = bench_result(p->b, "node idle: memory (RssAnon)", after.anon_mib, "MiB",
		    BENCH_AT_MOST, 16, "%.1f MiB with pages of files", after.rss_mib);
	if (rc == LT_OK)
		rc = bench_result(p->b, "node idle: processor",
		    100 * bench_seconds(after.cpu_ns - before.cpu_ns) / seconds, "% of core",
		    BENCH_AT_MOST, 0.2, "over %.0f s, connected", seconds);
	return rc;
}

static int
send_all(struct bench_place *p, const char *what, bool memory)
{
	uint64_t up = 0, down = 0;
	struct bench_usage worst;
	char name[96];
	double seconds;
	int64_t from, receipted = 0;
	int rc = bench_relay_start(p->b, p->port, p->behind, 0, &p->relay);

	from = bench_now_ns();
	if (rc == LT_OK)
		rc = bench_place_start(p);
	if (rc == LT_OK)
		rc = bench_place_settle(p, &worst, &receipted);
	seconds = bench_seconds(receipted - from);
	if (rc != LT_OK)
		return rc;
	bench_relay_bytes(p->relay, &up, &down);
	(void)snprintf(name, sizeof(name), "on the wire, %s", what);
	rc = bench_result(p->b, name, (double)(up + down) / (double)p->n, "B/change", BENCH_AT_MOST,
	    60, "%.1f up, %.1f down; %zu changes, session and all", (double)up / (double)p->n,
	    (double)down / (double)p->n, p->n);
	(void)snprintf(name, sizeof(name), "node sending, %s", what);
	if (rc == LT_OK)
		rc = bench_result(p->b, name, (double)p->n / seconds, "changes/s", BENCH_INFO, 0,
		    "to the last receipt; node %.1f us of a core a change",
		    (double)worst.cpu_ns / 1e3 / (double)p->n);
	(void)snprintf(name, sizeof(name), "node synchronising, %s: processor", what);
	if (rc == LT_OK)
		rc = bench_result(p->b, name, 100 * bench_seconds(worst.cpu_ns) / seconds,
		    "% of core", BENCH_INFO, 0, "over %.1f s, its start and our asking included",
		    seconds);
	if (rc == LT_OK && memory)
		rc = bench_result(p->b, "node synchronising: memory (RssAnon), highest",
		    worst.anon_mib, "MiB", BENCH_AT_MOST, 32, "%.1f MiB with pages of files",
		    worst.rss_mib);
	return rc;
}

int
bench_node(struct bench *b)
{
	struct bench_place p;
	double seconds = 1;
	int rc = bench_place_open(b, b->quick ? 1000 : 20000, &p);

	if (rc == LT_OK)
		rc = measure_idle(&p);
	if (rc == LT_OK)
		rc = bench_place_write_apart(&p, 0, p.n, false, &seconds);
	if (rc == LT_OK)
		rc = bench_result(b, "import at a node", (double)p.n / seconds, "rows/s",
		    BENCH_INFO, 0, "%d rows a call, durable", LT_IMPORT_ROWS_MAX);
	if (rc == LT_OK)
		rc = send_all(&p, "creations", true);
	if (rc == LT_OK)
		rc = bench_place_write_apart(&p, 0, p.n, true, &seconds);
	if (rc == LT_OK)
		rc = send_all(&p, "updates of one field", false);
	if (rc == LT_OK)
		rc = bench_place_stop(&p);
	if (rc == LT_OK)
		rc = bench_proc_stop(b, &p.hub);
	bench_place_close(&p);
	return rc;
}
