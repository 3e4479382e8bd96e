/* proto/store/log_view.h - a stored change-set opened for reading single changes of it.
 *
 * Keeps the one opened last, as changes of one change-set are mostly asked for together. Copies what it reads, so that the
 * transaction may be written to meanwhile. One thread.
 */
#ifndef LT_STORE_LOG_VIEW_H
#define LT_STORE_LOG_VIEW_H

#include "proto/model/merge.h"
#include "proto/store/feed_log.h"

/* A zeroed struct is an empty view. */
struct lt_log_view {
	uint64_t position; /* 0: nothing opened */
	struct lt_arena arena;
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
	uint64_t stamp; /* as signed */
	struct lt_hash hash;
	size_t nchange;
	struct lt_slice *change;
	struct lt_judgement judgement;
};

/* Open the change-set at position; nothing to do when it is the one open. LT_E_NOTFOUND, LT_E_CORRUPT, LT_E_NOMEM. */
int lt_log_view_open(struct lt_log_view *v, struct lt_kv_txn *log, uint64_t position);
/* Decode change `index` into the arena (it must outlive *change; the bytes stay in the view). LT_E_CORRUPT. */
int lt_log_view_change(
    const struct lt_log_view *v, uint32_t index, struct lt_arena *arena, struct lt_change *change);
/* As merge sees that change; by_hub is left to the caller. */
void lt_log_view_merge_change(const struct lt_log_view *v, uint32_t index,
    const struct lt_change *change, struct lt_merge_change *mc);
void lt_log_view_close(struct lt_log_view *v);

#endif
