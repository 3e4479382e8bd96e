/* proto/store/checkpoints.h - checkpoints of a hub as a log has and keeps them (FORMAT.md 15): what its heads are here, whether what one says is
 * what stands here, and the rows of table local. The same at the hub and on a node.
 *
 * Functions work inside the caller's transaction of the log (a node's store).
 */
#ifndef LT_STORE_CHECKPOINTS_H
#define LT_STORE_CHECKPOINTS_H

#include "proto/feed/checkpoint.h"
#include "proto/store/kv.h"

/* Feeds of which two branches are proven; kept for ever, and one is enough. */
#define LT_EQUIVOCATIONS_MAX 16

/* Heads of the hub's feeds in `_`, the newest ones, position and running hash, into *c; the rest is the caller's. nhead 0: it has written
 * nothing. Store errors. */
int lt_checkpoint_read_log(struct lt_kv_txn *txn, const struct lt_id *hub, struct lt_checkpoint *c);

enum lt_checkpoint_fit {
	LT_CHECKPOINT_FITS, /* all of it stands here */
	LT_CHECKPOINT_AHEAD, /* some of it is not here yet; what is here is as it says */
	LT_CHECKPOINT_UNREAD, /* some of it is damaged here; the rest is as it says */
	LT_CHECKPOINT_OTHER /* something else stands here */
};
/* *at: of LT_CHECKPOINT_OTHER, which head. Store errors but damage. */
int lt_checkpoint_weigh(
    struct lt_kv_txn *txn, const struct lt_checkpoint *c, enum lt_checkpoint_fit *fit, size_t *at);

/* The same of one head; store errors but damage. */
int lt_checkpoint_weigh_head(
    struct lt_kv_txn *txn, const struct lt_checkpoint_head *h, enum lt_checkpoint_fit *fit);

/* As signed by the hub; slices borrow from the transaction where they come out of one. */
struct lt_checkpoint_signed {
	struct lt_slice body, signature;
};

/* Row `checkpoint`: the newest. LT_E_NOTFOUND; LT_E_CORRUPT. */
int lt_checkpoint_get(struct lt_kv_txn *txn, struct lt_checkpoint_signed *out);
int lt_checkpoint_put(struct lt_kv_txn *txn, const struct lt_checkpoint_signed *c);

/* Row `cosigned/<principal>`: the newest that a node agreed with. */
struct lt_cosigned {
	struct lt_id principal;
	uint64_t seen_ms; /* when it came here */
	struct lt_checkpoint_signed checkpoint;
	uint32_t key_no;
	struct lt_slice cosignature;
};
int lt_cosigned_get(struct lt_kv_txn *txn, const struct lt_id *principal, struct lt_cosigned *out);
int lt_cosigned_put(struct lt_kv_txn *txn, const struct lt_cosigned *c);
/* Before a row of one more principal: *full: there are LT_COSIGNERS_MAX, and that of *gone is to be dropped first, the first that does not count
 * (any more). LT_E_REFUSED: there are as many, and all count. */
typedef bool lt_cosigner_counts_fn(void *ctx, const struct lt_id *principal);
int lt_cosigned_room(struct lt_kv_txn *txn, lt_cosigner_counts_fn *counts, void *ctx, bool *full,
    struct lt_id *gone);
/* LT_OK also where there is none. */
int lt_cosigned_drop(struct lt_kv_txn *txn, const struct lt_id *principal);
/* All, by principal; damaged ones are passed over. fn: LT_OK to go on; it must not write. */
typedef int lt_cosigned_fn(void *ctx, const struct lt_cosigned *c);
int lt_cosigned_each(struct lt_kv_txn *txn, lt_cosigned_fn *fn, void *ctx);

/* Rows `promised/<its hash, the first 16 bytes>` of a node: a checkpoint that said what is not here yet when its row gave way to another one. So
 * that what it said is compared all the same when it comes. */
#define LT_PROMISED_MAX 64
/* Kept, unless nothing of what it says is to come, or it is kept already. *full: there were LT_PROMISED_MAX, and the oldest, by its own time,
 * gave way. */
int lt_promised_keep(struct lt_kv_txn *txn, const struct lt_checkpoint_signed *c, bool *full);
/* Those of which nothing is to come any more go, and damaged ones. What of them came is not looked at: the caller did that. */
int lt_promised_sweep(struct lt_kv_txn *txn);
typedef int lt_promised_fn(void *ctx, const struct lt_checkpoint_signed *c);
int lt_promised_each(struct lt_kv_txn *txn, lt_promised_fn *fn, void *ctx);

/* Row `equivocation/<feed>`: two change-sets that the hub signed under one number of a feed in `_`. */
struct lt_equivocation {
	struct lt_feed_id feed;
	uint64_t seq;
	uint64_t found_ms;
	struct lt_checkpoint_signed one; /* empty: a change-set that came, */
	struct lt_slice came,
	    came_signature; /* with this header; seq is its number, or the one before */
	struct lt_checkpoint_signed other; /* empty: the change-set here, */
	struct lt_slice header, header_signature; /* of which this is the header */
};
/* LT_E_EXISTS: of this feed there is one; LT_E_REFUSED: there are LT_EQUIVOCATIONS_MAX. Nothing is written then. */
int lt_equivocation_put(struct lt_kv_txn *txn, const struct lt_equivocation *e);
typedef int lt_equivocation_fn(void *ctx, const struct lt_equivocation *e);
int lt_equivocation_each(struct lt_kv_txn *txn, lt_equivocation_fn *fn, void *ctx);
/* Also those whose rows are damaged. */
int lt_equivocation_count(struct lt_kv_txn *txn, uint64_t *n);

#endif
