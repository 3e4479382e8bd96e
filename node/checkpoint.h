/* node/checkpoint.h - checkpoints of the hub on a node: compared with its own log and with what other communes were shown, cosigned where they
 * agree, kept as evidence where they do not (FORMAT.md 15).
 *
 * What contradicts is an alarm for people, and nothing else: the node goes on as before, so that nothing that was acknowledged is lost.
 * Threads: any, where a note says nothing else.
 */
#ifndef LT_NODE_CHECKPOINT_H
#define LT_NODE_CHECKPOINT_H

#include "node/node.h"
#include "proto/feed/changeset.h"

#include "lienthong/v1/sync.pb-c.h"

struct lt_watch;

/* Before the writer starts, and when it has stopped. */
int lt_watch_open(struct lt_node *n, struct lt_watch **out);
void lt_watch_close(struct lt_watch *w); /* NULL allowed */

/* What the hub told, in whatever state: what does not verify is logged and dropped. newest: NULL when it told none. Not on the writer thread. */
void lt_node_checkpoints_take(struct lt_node *n, const Ltpb__Checkpoint *newest, size_t ncosigned,
    Ltpb__Checkpoint *const *cosigned);
/* The newest one with this node's signature, in the arena, once all that it says stands here; NULL: not yet, or none. *hash: of it. */
Ltpb__Checkpoint *lt_node_checkpoint_give(
    struct lt_node *n, struct lt_arena *arena, struct lt_hash *hash);

/* In the transaction that took a change-set of unit `_`: is it what checkpoints said would come? *alarm: it is not, and the evidence is
 * written; the caller tells so (lt_node_equivocation()) once that is durable. Store errors. */
int lt_node_checkpoints_met(
    struct lt_node *n, struct lt_kv_txn *txn, const struct lt_changeset *cs, bool *alarm);
/* In a transaction of its own, of a change-set of the hub in `_` whose signature was verified and which did not fit: is what is here, signed by the
 * hub, another one of that number, or another one before it? *number: of the two of which that is proven now; 0: of none. The caller tells so
 * as above. */
int lt_node_forked(
    struct lt_node *n, struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t *number);
void lt_node_equivocation(struct lt_node *n, const struct lt_feed_id *feed, uint64_t seq);
/* Feeds of the hub of which two branches are proven here. */
uint64_t lt_node_equivocations(struct lt_node *n);

#endif
