/* tools/bench/place.h - one commune's real lt-node and a real lt-hub, with a relay between them that counts the bytes, and dossiers to
 * write. One thread. */
#ifndef LT_TOOLS_BENCH_PLACE_H
#define LT_TOOLS_BENCH_PLACE_H

#include "tools/bench/proc.h"
#include "tools/bench/relay.h"

struct bench_place {
	struct bench *b;
	struct bench_world w;
	struct bench_proc hub, node;
	struct bench_relay *relay; /* NULL: no line, or another one */
	struct lt_pool *pool;
	struct lt_conn *clerk; /* at the node's own socket, while it runs */
	int port, behind; /* that the node dials, of the hub */
	char dir[BENCH_PATH]; /* the node's */
	size_t n; /* dossiers */
	struct lt_arena arena;
	struct lt_draft *draft;
};

/* Hub, relay and node run, the node is online and has the catalogue; n dossiers are thought out. */
int bench_place_open(struct bench *b, size_t n, struct bench_place *p);
void bench_place_close(struct bench_place *p); /* zeroed, or after a failure, is fine */
int bench_place_start(struct bench_place *p); /* the node */
int bench_place_stop(struct bench_place *p);
/* Dossiers from..from+n imported, 256 rows a call as ltctl import does it; update: not new, but one field of each anew. The node
 * runs. */
int bench_place_import(struct bench_place *p, size_t from, size_t n, bool update, double *seconds);
/* The same by a node without a line; afterwards neither node nor relay runs. */
int bench_place_write_apart(
    struct bench_place *p, size_t from, size_t n, bool update, double *seconds);
/* Until the node is online and all it made is receipted and judged. worst: the greatest memory seen meanwhile, and its processor
 * time so far; receipted_ns: when the last receipt was there. */
int bench_place_settle(struct bench_place *p, struct bench_usage *worst, int64_t *receipted_ns);

#endif
