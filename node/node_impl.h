/* node/node_impl.h - for node.c and its neighbours only. */
#ifndef LT_NODE_NODE_IMPL_H
#define LT_NODE_NODE_IMPL_H

#include "node/node.h"

#include <pthread.h>
#include <stdatomic.h>

/* For one change-set: parsing a maximal one takes up to 26 times its bytes (proto/base/arena.h). */
#define LT_NODE_ARENA ((size_t)48 * 1024 * 1024)

/* Changes of keys in the life of one process. */
#define LT_KEYS_FOLLOWED_MAX 64

/* Records that are written again in one transaction (reissue.c). */
#define LT_REISSUE_AT_ONCE 64

/* So long a re-issue waits for the hub's verdicts on what others of the unit wrote, and for a damaged change-set of an own feed. */
#define LT_REISSUE_WAIT_MS INT64_C(3600000)

/* How far reissue.c came. Of whoever is in lt_node_reissue(). */
struct lt_reissue {
	atomic_bool busy;
	bool under_way;
	uint8_t after[LT_KV_KEY_MAX]; /* the last record that was looked at */
	size_t after_len;
	int failed; /* the last time; LT_OK: not */
	bool waiting; /* for what is waited for no longer than LT_REISSUE_WAIT_MS */
	int64_t waits_since; /* monotonic */
};

struct lt_node {
	_Atomic(const struct lt_identity *)
	    identity; /* of now; those of before stay as long as the node */
	struct lt_identity
	    *followed[LT_KEYS_FOLLOWED_MAX]; /* owned: keys that came since the start */
	size_t nfollowed; /* writer thread */
	const struct lt_clock *clock;
	struct lt_kv *kv;
	bool own_kv;
	struct lt_writer *writer;
	struct lt_author author; /* all but the province, which is guarded below */
	pthread_mutex_t moved_mx; /* guards the next two, and is held while moved runs */
	lt_node_moved_fn *moved;
	void *moved_ctx;
	_Atomic int64_t clock_offset_ms;
	_Atomic int64_t hub_time_kept_ms; /* hub time on disk */
	_Atomic int64_t
	    hub_past_mono_ms; /* hub time minus this machine's monotonic clock, as heard last; 0: never */
	_Atomic bool hub_jumped,
	    hub_outvoted; /* of the hub's clock: it jumped while this process ran; the hub says so itself */
	atomic_bool stale; /* registry or catalogue records changed in this batch */
	bool revoking; /* a revocation came in this batch; writer thread only */
	/* Records worked out anew for another catalogue (proto/store/rebuild.h), one step after each commit. Writer thread,
	 * save at the start. */
	bool
	    rows_unknown; /* just opened: rows without a note are not known to be of this catalogue */
	bool rebuilding, rebuild_queued, rebuild_more;
	bool rebuild_careful; /* the last step met something damaged */
	size_t rebuild_records;
	/* Something stands aside, or a ruling came: reissue.c looks. */
	atomic_bool aside;
	bool aside_came; /* in this batch; writer thread */
	struct lt_reissue reissue;
	/* Damaged derived tables put right (proto/store/mend.h), likewise. */
	atomic_bool mending;
	struct lt_watch *watch; /* checkpoint.c */
	bool mend_queued, mend_more;
	/* The store was made anew (salvaged.c), and not all that the hub has is here again. */
	atomic_bool salvage_open;
	/* Change-sets of that store wait to be joined, or may. */
	atomic_bool salvage_waits;
	bool salvage_failed; /* it was said that one is not taken in; session's thread */

	pthread_mutex_t
	    reload_mx; /* one at a time, or an older snapshot would replace a newer one */
	pthread_mutex_t mx; /* guards what follows */
	struct lt_catalogue *catalogue;
	struct lt_registry *registry;
	struct lt_unit province;
	struct lt_principal hub; /* from its certificate */
	struct lt_principal_key hub_key;
	bool hub_known;
};

/* Load catalogue and registry anew from the store and put them in place. */
int lt_node_reload(struct lt_node *n, struct lt_err *err);

/* rebuild.c. Queue the next step when there is one and none is queued: on the writer thread, or before it has jobs. */
void lt_node_rebuild_on(struct lt_node *n);
/* Begin the rebuild where the rows are of another catalogue; project with reindex when *building. */
int lt_node_check_rows(
    struct lt_node *n, struct lt_kv_txn *txn, const struct lt_catalogue *cat, bool *building);

/* apply.c. Of re-issues that had nothing to say the record stands aside no more: in the transaction that found it out. */
int lt_node_drop_aside(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_catalogue *cat,
    const struct lt_write *writes, size_t count);

/* scrub.c. The same for mending. */
void lt_node_mend_on(struct lt_node *n);

/* While a rebuild is under way: the records that somebody is about to write, at once. */
int lt_node_rows_for(struct lt_node *n, struct lt_kv_txn *txn, struct lt_catalogue *cat,
    const struct lt_write *writes, size_t count);
bool lt_node_by_hub(void *registry, const struct lt_id *author);

/* Inside a write transaction: append and merge one verified change-set (apply.c). Sets *moved when
 * acts changed what lt_node_reload() reads. */
int lt_node_apply_in(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    const struct lt_catalogue *cat, const struct lt_registry *reg, struct lt_arena *arena,
    struct lt_err *err);
/* node.c. An own change-set that was read of the store of before: verified, and taken in as one that came down. */
int lt_node_take_kept(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    const struct lt_catalogue *cat, const struct lt_registry *reg, struct lt_arena *arena,
    struct lt_err *err);
/* After a local append: overlay and shown value. */
int lt_node_project_own(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_catalogue *cat,
    const struct lt_changeset *cs, uint64_t position);

#endif
