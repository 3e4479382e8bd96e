/* tools/bench/flood.h - one of ours who asks all it can, as a process of its own: what it computes must not be held against the hub. In one
 * process it was: a thread of the flood that waited for a processor held what the library that reads all lines was waiting for, and
 * pushes that the hub had long answered counted 130 ms. */
#ifndef LT_TOOLS_BENCH_FLOOD_H
#define LT_TOOLS_BENCH_FLOOD_H

#include "tools/bench/world.h"

#include <sys/types.h>

#define BENCH_FLOOD_ARG "--flood" /* of lt-bench, with a file: what bench_flood_start() begins */

#define BENCH_FLOOD_SETS_MAX 65536

enum bench_flood_kind {
	BENCH_FLOOD_NEW, /* a node: good change-sets that the hub does not have, in order, as long as there are some */
	BENCH_FLOOD_PUSHES, /* a node: what the hub takes in once and then has, as much of it as goes into a push */
	BENCH_FLOOD_CALLS, /* a node: announcements of nothing, so many that its quota ends */
	BENCH_FLOOD_TOTALS /* who reads: totals over all that there is */
};

struct bench_flood {
	pid_t pid; /* 0: none */
	int said; /* its stdout */
};

/* Begin to flood the hub at a port of loopback as `as`, 64 calls at once, and go on. Of PUSHES the first n sets of *feed (at most a push),
 * of NEW its first n (at most BENCH_FLOOD_SETS_MAX); else feed is not looked at. LT_OK once it is connected. */
int bench_flood_start(struct bench *b, const struct bench_world *w, const struct bench_node *as,
    int port, enum bench_flood_kind kind, const struct bench_feed *feed, size_t n,
    struct bench_flood *out);
/* End it: calls that were answered, and those that were refused. LT_E_REMOTE: it had ended by itself. */
int bench_flood_stop(struct bench *b, struct bench_flood *f, uint64_t *answered, uint64_t *refused);

/* The process itself, with the file that bench_flood_start() wrote. Its exit code. */
int bench_flood_main(const char *path);

#endif
