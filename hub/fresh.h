/* hub/fresh.h - how fresh the hub's knowledge of each unit is: by the hub's clock, the age of the last moment at
 * which the hub held the head a node had announced, for each lane (design section 11).
 *
 * Kept in memory, written to table fresh now and then and at the end: after a restart ages go on from there. Any thread. */
#ifndef LT_HUB_FRESH_H
#define LT_HUB_FRESH_H

#include "hub/hub.h"

#include "lienthong/v1/record.pb-c.h"

struct lt_fresh;

struct lt_fresh_node {
	struct lt_id principal;
	struct lt_unit unit;
	bool connected;
	int64_t last_seen_ms; /* hub wall clock, 0 never */
	int64_t fresh_ms[4]; /* by lane, hub wall clock of the last moment held; 0 never */
	uint64_t announced[4], held[4]; /* change-sets of the present feeds, by lane */
	bool foreign; /* a head it announced last is of a branch that the hub does not hold */
	int64_t clock_offset_ms; /* node minus hub */
};

int lt_fresh_open(struct lt_hub *h, struct lt_fresh **out);
void lt_fresh_close(struct lt_fresh *f); /* writes what is known; NULL allowed */
/* A node's session came or went. conn_id tells sessions apart. */
void lt_fresh_connected(
    struct lt_fresh *f, const struct lt_id *node, const struct lt_unit *unit, uint64_t conn_id);
void lt_fresh_gone(struct lt_fresh *f, uint64_t conn_id);
/* The node said its heads. A lane is held whole only when every head in it is the hub's by hash, and when no more than
 * LT_ANNOUNCE_MAX heads were said: of the rest nothing would be known. */
void lt_fresh_announced(struct lt_fresh *f, const struct lt_id *node, const struct lt_unit *unit,
    size_t n, Ltpb__FeedHead *const *head, int64_t clock_ms);
/* Is this hub's clock the wrong one (outvoted.h), by the clocks of the nodes on the line as they announced themselves? *by: theirs
 * minus the hub's, ms. */
bool lt_fresh_outvoted(struct lt_fresh *f, int64_t *by);
/* The hub holds a feed up to seq, of this hash (after the commit). Before a node has said its heads to this process, its
 * lanes grow no fresher by it. */
void lt_fresh_held(
    struct lt_fresh *f, const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash);
/* One node; false if never heard. */
bool lt_fresh_node(struct lt_fresh *f, const struct lt_id *node, struct lt_fresh_node *out);
/* A unit: the worst of its active nodes for each lane. name is not set. */
void lt_fresh_unit(struct lt_fresh *f, const char *unit, Ltpb__UnitFreshness *out);
/* Over units, by the age of one lane; lane 0: the worst of all three. oldest_unit borrows from units. */
void lt_fresh_summary(
    struct lt_fresh *f, const char *const *units, size_t n, int lane, Ltpb__FreshnessSummary *out);

#endif
