/* node/receipts.h - the hub's receipts at this node, as they are shown to people (FORMAT.md 9.3, table receipt). */
#ifndef LT_NODE_RECEIPTS_H
#define LT_NODE_RECEIPTS_H

#include "proto/base/arena.h"
#include "proto/store/kv.h"

#include "lienthong/v1/trust.pb-c.h"

struct lt_receipts {
	Ltpb__Receipt **receipt; /* by feed, then rising by seq; in the arena */
	size_t n;
	size_t bytes; /* of all of them, as stored */
};

/* The newest receipts of one feed (uk: its key), or of every feed when uk is empty: at most max of each feed, and
 * together not more than bytes_max, of each feed the older ones being left out.
 *
 * LT_E_NOMEM, LT_E_CORRUPT, or what the store says. */
int lt_receipts_newest(struct lt_kv_txn *txn, struct lt_slice uk, size_t max, size_t bytes_max,
    struct lt_arena *arena, struct lt_receipts *out);

#endif
