/* node/node.h - a commune's node without its network: one environment, one writer thread, this
 * machine as an author, and what comes down from the hub.
 *
 * Threads: every function may be called from any thread, save where a note says otherwise. Writes run
 * on the writer thread; readers take short read transactions of lt_node_kv(). A manual node has no thread: lt_node_step() is
 * what the writer thread would do, all calls come from one thread, and what would wait steps instead.
 */
#ifndef LT_NODE_NODE_H
#define LT_NODE_NODE_H

#include "proto/base/clock.h"
#include "proto/feed/identity.h"
#include "proto/model/catalogue.h"
#include "proto/store/author.h"
#include "proto/store/kv.h"
#include "proto/store/registry.h"
#include "proto/store/writer.h"

struct lt_node;

#define LT_CLOCK_WRONG_MS 300000 /* five minutes from the hub's clock: a person must look */
/* What the hub's clock moves by between two times that it is heard, beyond what this machine's monotonic clock does (reliability C4). */
#define LT_CLOCK_JUMP_MS 3600000

enum lt_clock_state {
	LT_CLOCK_AGREES,
	LT_CLOCK_WRONG, /* this machine's, as far as it can know */
	LT_CLOCK_HUB_WRONG /* the hub's jumped, or most nodes speak against it: this one stays as it is */
};

struct lt_node_options {
	const char *dir; /* the data directory */
	const struct lt_identity *identity; /* borrowed for the node's life */
	const struct lt_clock *clock;
	struct lt_kv *kv; /* NULL: LMDB in dir/store. Else used and not closed */
	uint64_t map_bytes; /* 0: default */
	size_t rebuild_records; /* worked out anew in one transaction at most, 0: default */
	bool manual; /* no thread: see above */
	bool
	    salvage; /* a store whose pages do not hold together is made anew (salvage.h); else it is left as it is */
	/* The store could not commit: nothing is written any more. NULL: the process ends. */
	void (*store_failed)(void *ctx, int rc);
	void *store_failed_ctx;
};

/* Opens the store, loads catalogue and registry, starts the writer. err says what is wrong and what to do. */
int lt_node_open(const struct lt_node_options *o, struct lt_node **out, struct lt_err *err);
/* Finishes what is queued. NULL allowed. */
void lt_node_close(struct lt_node *n);
/* Manual only: one batch of the writer (change-sets that came down, a step of a rebuild). false: nothing waited. */
bool lt_node_step(struct lt_node *n);

/* Its keys are those of now: lt_node_follow() puts others in their place. Valid as long as the node. */
const struct lt_identity *lt_node_identity(const struct lt_node *n);
/* From now on sign with these keys, of the same machine: nothing is signed with those before once this returns. Taken, also on failure.
 * LT_E_UNAVAILABLE: more often than a process may; start it anew. */
int lt_node_follow(struct lt_node *n, struct lt_identity *next);
const struct lt_clock *lt_node_clock(const struct lt_node *n);
struct lt_kv *lt_node_kv(struct lt_node *n);
/* References; the caller gives them back. */
struct lt_catalogue *lt_node_catalogue(struct lt_node *n);
struct lt_registry *lt_node_registry(struct lt_node *n);
/* Province of the federation, "" until the first contact. */
void lt_node_province(struct lt_node *n, struct lt_unit *out);
/* Name of the node's unit from `_unit`, else its code. */
void lt_node_unit_name(struct lt_node *n, char *out, size_t cap);

/* Told after a commit that moved one of this node's own feeds, on the thread that wrote: short, one at a time, and not calling
 * lt_node_on_moved() itself. fn NULL: nobody; once that returns, the old function does not run and is not called again. */
typedef void lt_node_moved_fn(void *ctx, const struct lt_feed_id *feed, uint64_t head);
void lt_node_on_moved(struct lt_node *n, lt_node_moved_fn *fn, void *ctx);

/* Writes of a clerk, in the node's own unit: durable when this returns LT_OK; each write's own result is in it.
 * request_id: 16 bytes or NULL; seen before: *again is true, and the writes have the results of then (dot, key_out,
 * unchanged) for the first write only. LT_E_UNAVAILABLE: no catalogue yet, or the queue is full. */
int lt_node_write(struct lt_node *n, struct lt_write *writes, size_t count,
    const uint8_t *request_id, bool *again, struct lt_arena *arena, struct lt_err *err);

/* What lt_node_write() would make of them, each write's own result included, and nothing written: no number taken, no epoch begun,
 * no request remembered. dot means nothing. */
int lt_node_check(struct lt_node *n, struct lt_write *writes, size_t count, struct lt_arena *arena,
    struct lt_err *err);

/* What stands only on a branch of an own feed that the hub has ruled out is written again, with its origin; a record in which the branches
 * contradict each other stays for a person. Nothing is done where nothing came since that could be written. For about a second: what is left
 * then is done by the next calls. Not on the writer thread; when the node has all that the hub had of its feeds. Errors of
 * lt_node_write(): again with the next call. */
int lt_node_reissue(struct lt_node *n);

/* One change-set that came down. Copied; done runs on the writer thread after the commit or failure, exactly once if this returns
 * LT_OK. LT_E_EXISTS counts as LT_OK. rc of done: LT_E_GAP, LT_E_FORK, LT_E_BADSIG, LT_E_UNKNOWN (author or catalogue
 * not here yet: pull again later), store errors. */
typedef void lt_applied_fn(void *ctx, int rc, const char *why);
int lt_node_apply(struct lt_node *n, struct lt_slice change_set, lt_applied_fn *done, void *ctx);

/* The hub said who it is: verify against the root, remember. LT_E_BADSIG, LT_E_DENIED. */
int lt_node_meet_hub(
    struct lt_node *n, struct lt_slice certificate, const char *province, struct lt_err *err);
/* The hub's clock and how far off ours is. */
int lt_node_saw_hub_time(struct lt_node *n, int64_t hub_time_ms);
int64_t lt_node_clock_offset(struct lt_node *n); /* own minus hub, ms; 0 if never heard */
/* The hub says of its clock whether most nodes' clocks speak against it. */
void lt_node_hub_outvoted(struct lt_node *n, bool is);
/* Own and hub's clock differ by more than LT_CLOCK_WRONG_MS: whose is it? */
enum lt_clock_state lt_node_clock_state(struct lt_node *n);
/* A receipt: verified with the hub's key and against our own log, stored. *seq: it covers feed up to there; 0 when it is not
 * to be believed: LT_E_BADSIG, LT_E_UNKNOWN (hub not met), LT_E_INVALID, LT_E_FORK (another branch). With *seq set, a store
 * error says that it could not be kept: what it says holds all the same. */
int lt_node_receipt(struct lt_node *n, struct lt_slice receipt, struct lt_feed_id *feed,
    uint64_t *seq, struct lt_err *err);

/* The next write in this feed's lane begins a new epoch (the hub knows more of the old one than we do). */
int lt_node_new_epoch(struct lt_node *n, const struct lt_feed_id *old);

/* ---- reading ---- */

/* Highest seq of a feed that a stored receipt covers, 0 if none. */
int lt_node_receipted(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t *seq);
/* Up to where the hub is known to hold this very feed: by a receipt or a verdict, both checked by hash; 0 if not at all. */
int lt_node_tied(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head, uint64_t *seq);

#endif
