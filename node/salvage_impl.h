/* node/salvage_impl.h - for salvage.c, salvaged.c and node.c only: the rows of table local that tell of a salvage (FORMAT.md 9.8). */
#ifndef LT_NODE_SALVAGE_IMPL_H
#define LT_NODE_SALVAGE_IMPL_H

#include "node/node_impl.h"
#include "node/salvage.h"

#define LT_SALVAGE_ROW "salvage"
#define LT_SALVAGE_KEPT "salvaged/" /* <feed>/<seq, 16>: a ChangeSet with openings */
#define LT_SALVAGE_FEEDS_MAX 1024

/* How far an own feed went, as far as anything told. */
struct lt_salvage_feed {
	struct lt_feed_id feed;
	uint64_t to;
};

struct lt_salvage_row {
	bool open, older;
	int64_t at_ms;
	uint64_t rows;
	size_t nfeed;
	struct lt_salvage_feed feed[LT_SALVAGE_FEEDS_MAX];
};

/* zeros and LT_OK: there is none. */
int lt_salvage_row_read(struct lt_kv_txn *txn, struct lt_salvage_row *out);
int lt_salvage_row_write(struct lt_kv_txn *txn, const struct lt_salvage_row *row);
/* Raises how far the feed went; one more than there is room for is left out. */
void lt_salvage_row_note(struct lt_salvage_row *row, const struct lt_feed_id *feed, uint64_t seq);
#define LT_SALVAGE_NAME 112
/* Two branches of one number are two. */
void lt_salvage_kept_name(char out[LT_SALVAGE_NAME], const struct lt_feed_id *feed, uint64_t seq,
    const struct lt_hash *hash);
/* Of the name of such a row. */
bool lt_salvage_kept_parse(struct lt_slice name, struct lt_feed_id *feed, uint64_t *seq);
/* Is one kept under that number? */
bool lt_salvage_is_kept(struct lt_kv_txn *txn, const struct lt_feed_id *feed, uint64_t seq);

/* When the store is opened: is there something of a salvage to look after? */
void lt_node_salvage_begin(struct lt_node *n);
/* An own change-set that was here before, in a store made anew: shown until it is judged, as after it was written. */
int lt_node_show_own(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_catalogue *cat,
    const struct lt_changeset *cs);
/* node.c. As lt_node_apply(), of what was read of the store of before. */
int lt_node_take_back(
    struct lt_node *n, struct lt_slice change_set, lt_applied_fn *done, void *ctx);

#endif
