/* node/salvage.h - a node's store whose pages do not hold together is made anew by the node itself (FORMAT.md 9.16; fault S9).
 *
 * What can be read of the old file (proto/store/salvage.h) is put aside as rows; of these every change-set goes into a new, empty store as if it came
 * down from the hub: signature, chain and verdicts checked, all other tables made from that. So nothing is there that was not proved,
 * whatever the damage made of the old file. What stands behind something that cannot be read comes down from the hub again; change-sets of this machine's
 * own that stand there are kept in table local until what is before them is back. The new store has no epochs, like a restored copy:
 * nothing is signed under a number that may have been used.
 */
#ifndef LT_NODE_SALVAGE_H
#define LT_NODE_SALVAGE_H

#include "node/node.h"

/* Of a store that o->dir/store cannot be opened with (LT_E_CORRUPT): another one in its place. Who keeps the lock of o->dir calls it; takes as long
 * as reading the file and taking in every change-set anew. Any error: the damaged file is in its place as it was, err says why; but LT_E_IO
 * also where the new one is in place and that could not be synced. LT_E_CLOSED: the daemon was told to stop. */
int lt_node_salvage(const struct lt_node_options *o, struct lt_err *err);

/* What one that broke off left beside a store that opens. */
void lt_node_salvage_clear(const struct lt_node_options *o);

/* ---- afterwards ---- */

#define LT_SALVAGE_GAPS_MAX 16

/* Own change-sets that were made and cannot be read: nobody has them, or the hub, from which they come back. */
struct lt_salvage_gap {
	struct lt_feed_id feed;
	uint64_t from, to;
};

struct lt_salvage_state {
	int64_t at_ms; /* wall clock when the store was made anew; 0: never */
	uint64_t rows; /* that could not be read */
	bool older; /* nor perhaps what was written last */
	bool open; /* not all that the hub has is here again */
	uint64_t
	    waiting; /* own change-sets that stand behind such a gap or beside another of their number, and are kept */
	size_t ngap;
	bool more; /* there are more than those */
	struct lt_salvage_gap gap[LT_SALVAGE_GAPS_MAX];
};
int lt_node_salvage_state(struct lt_node *n, struct lt_salvage_state *out);
/* Which records the change-sets that are kept are about: fn with each, "collection/key", at most LT_SALVAGE_RECORDS_MAX; a record more than once where
 * several are about it. LT_E_CANCELLED of fn: enough. */
#define LT_SALVAGE_RECORDS_MAX 64
typedef int lt_salvage_record_fn(void *ctx, const char *record);
int lt_node_salvage_records(struct lt_node *n, lt_salvage_record_fn *fn, void *ctx);
/* Is something still missing that the hub may have? Cheap. */
bool lt_node_salvage_open(struct lt_node *n);
/* That, or are there own change-sets that are kept, and shown nowhere? Cheap. */
bool lt_node_salvage_waits(struct lt_node *n);
/* All that the hub has is here: what waits goes where it can, and what is missing for good is said once. Not on the writer thread. */
int lt_node_salvage_caught_up(struct lt_node *n);

#endif
