/* node/delivery.h - how far the changes made at this node got, as a clerk reads it: saved, sent, receipted, refused, held, forked.
 * Any thread, in a read transaction of the node's store. */
#ifndef LT_NODE_DELIVERY_H
#define LT_NODE_DELIVERY_H

#include "node/node.h"

/* Is (feed, seq) on its way, which is not kept on disk (lt_link_sent())? */
typedef bool lt_sent_fn(void *ctx, const struct lt_feed_id *feed, uint64_t seq);

/* How far a record's last own change got; reason where refused. RECEIPTED for a record that nobody changed here. sent may be
 * NULL. Also of a record that does not exist. */
int lt_node_delivery(struct lt_node *n, struct lt_kv_txn *txn, const char *collection,
    const char *key, lt_sent_fn *sent, void *ctx, Ltpb__Delivery *out, Ltpb__ReasonCode *reason);

/* A place in the log: the change-set at a position, and a change of it. */
struct lt_place {
	uint64_t position;
	uint32_t index;
};

struct lt_stopped {
	struct lt_place at; /* of the record's last own change */
	const char *key; /* until the function returns */
	Ltpb__Delivery delivery; /* REFUSED or HELD */
	Ltpb__ReasonCode reason; /* of a refused one */
};

/* Records of this unit whose last own change the hub refused or holds, whether they exist or not, in the order in which those
 * changes were made; each once. after: those that stand behind this place; zeros: all. fn: LT_OK goes on, anything else ends
 * the walk and is returned. LT_E_CORRUPT, LT_E_NOMEM, or what the store says. */
typedef int lt_stopped_fn(void *ctx, const struct lt_stopped *s);
int lt_node_stopped_each(struct lt_node *n, struct lt_kv_txn *txn, const char *collection,
    struct lt_place after, lt_stopped_fn *fn, void *ctx);

#endif
