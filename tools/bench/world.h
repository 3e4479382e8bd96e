/* tools/bench/world.h - a federation made for a benchmark: a hub's folder whose registry knows the nodes, and signed
 * feeds of realistic dossiers from each of them. */
#ifndef LT_TOOLS_BENCH_WORLD_H
#define LT_TOOLS_BENCH_WORLD_H

#include "hub/hub.h"
#include "proto/feed/changeset.h"
#include "proto/model/catalogue.h"
#include "tools/bench/bench.h"

/* Day on which the dossiers are received: 2026-11-20. */
#define BENCH_DAY 20777

struct bench_node {
	struct lt_unit unit;
	struct lt_id id;
	struct lt_sign_key sign;
	uint8_t line_sk[32], line_pk[32];
};

struct bench_world {
	char dir[BENCH_PATH]; /* the hub's */
	struct lt_identity *hub;
	struct lt_catalogue *catalogue; /* the bench profile, version 1 */
	size_t nnode;
	struct bench_node *node;
	struct bench_node reader; /* a department that may see every field of a dossier; no unit */
};

/* A hub with the catalogue's bench profile and nnode active nodes, each of a commune of its own: those of one province
 * first. The hub is closed when this returns. */
int bench_world_make(struct bench *b, const char *name, size_t nnode, struct bench_world *w);
void bench_world_free(struct bench_world *w); /* removes its folder; zeroed is fine */
int bench_world_hub(struct bench *b, const struct bench_world *w, struct lt_hub **out);
/* Configuration of its lt-hub: listens on this port of loopback. as_shipped: with the quotas that it has by itself; else nearly without, for
 * one reader here asks as often as all departments of a province together. */
int bench_world_listen(struct bench *b, const struct bench_world *w, int port, bool as_shipped);
/* Folder for the lt-node of a node, which dials this port of loopback. It goes with b->dir. */
int bench_world_node(
    struct bench *b, const struct bench_world *w, size_t i, int port, char dir[BENCH_PATH]);

/* What a node has signed: change-sets 1 to nset of its feed in lane normal. */
struct bench_feed {
	const struct bench_node *node;
	size_t nset;
	struct lt_slice *set; /* messages with their openings; borrow from bytes */
	struct lt_buf bytes;
};

/* n new dossiers of a commune; the last personal field of each is the actor's. In the arena. */
int bench_drafts(struct bench *b, const struct bench_world *w, const struct bench_node *node,
    size_t n, struct lt_arena *arena, struct lt_draft **out);

struct bench_feeds {
	size_t nfeed;
	struct bench_feed *feed;
	size_t sets, changes; /* in all */
	uint64_t bytes;
};

/* `sets` change-sets of `changes` new dossiers each, for each of the first nfeed nodes. */
int bench_feeds_make(struct bench *b, const struct bench_world *w, size_t nfeed, size_t sets,
    size_t changes, struct bench_feeds *out);
/* The same of one node alone, as the one feed of *out. */
int bench_feed_make(struct bench *b, const struct bench_world *w, size_t node, size_t sets,
    size_t changes, struct bench_feeds *out);
void bench_feeds_free(struct bench_feeds *f);

#endif
