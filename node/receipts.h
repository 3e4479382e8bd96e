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

/* After the receipt under this key (uk || seq) was put: of its feed those of the same day in Vietnam (since_ms) that come before it
 * go, at most LT_RECEIPTS_THIN_MAX of them, and so does it if a later one of that day is there already. The newest of the feed and
 * the last of each day stay. What cannot be read stays, too. In the same transaction. */
#define LT_RECEIPTS_THIN_MAX 64
int lt_receipts_thin(struct lt_kv_txn *txn, struct lt_slice key);

#endif
