/* hub/hub_impl.h - for hub.c and its neighbours only. */
#ifndef LT_HUB_HUB_IMPL_H
#define LT_HUB_HUB_IMPL_H

#include "hub/hub.h"
#include "proto/store/derived.h"

#include <pthread.h>
#include <stdatomic.h>

#define LT_HUB_ARENA ((size_t)64 * 1024 * 1024)
#define LT_HUB_SCRATCH_MAX 8 /* threads that take in */
#define LT_HUB_RETRY_MS 1000 /* after a full disk or memory that was short */

struct lt_verdicts; /* verdict.c */
struct lt_projector; /* project.c */
struct lt_receipts; /* receipts.c */
struct lt_recovery; /* recovery.c */
struct lt_checkpoints; /* checkpoint.c */

/* What is in a batch of the projector, at most. */
struct lt_projector_limits {
	size_t entries; /* 0: all as is good */
	size_t bytes; /* of change-sets; when there are as many it ends */
	size_t ahead_bytes; /* it is written beside the next one from so many */
	int64_t pause_ms; /* between small batches that follow each other at once, 0: as is good */
};

/* Revoked by a record at this log position; LT_BAR_WRITING: by one that is being written. */
enum lt_bar_kind {
	LT_BAR_OUT, /* revoked: shut out */
	LT_BAR_LATER, /* its keys were changed: what this one signed waits until the cut-off is known */
};

struct lt_bar {
	enum lt_bar_kind kind;
	struct lt_id principal;
	uint32_t key_no; /* 0: every key */
	uint64_t until;
};
#define LT_BAR_WRITING UINT64_MAX

struct lt_hub {
	const struct lt_identity *identity;
	const struct lt_clock *clock;
	struct lt_kv *log, *derived;
	bool own_log, own_derived;
	bool manual;
	struct lt_writer *writer;
	struct lt_author author;
	struct lt_principal self;
	struct lt_principal_key self_key;
	pthread_mutex_t news_mx; /* guards the next two, and is held while news runs */
	lt_hub_news_fn *news;
	void *news_ctx;
	_Atomic uint64_t log_position;
	struct lt_verdicts *verdicts;
	struct lt_receipts *receipts; /* NULL: manual */
	struct lt_recovery *recovery;
	struct lt_checkpoints *checkpoints;
	atomic_bool forked; /* there is evidence of branches */
	atomic_bool ruled; /* there are rulings */
	/* The tables showed at the start that the log was put back, and it has no room to say so: lt_recovery_durable(). By whom that was shown. */
	atomic_bool doubt_owed;
	uint8_t doubt_sign[LT_DERIVED_SIGN_LEN];
	atomic_bool unsaid; /* there are, or were, acts that are to be said again */
	atomic_bool reshow_wanted; /* lt_reshow() is to be called; set with mx held */
	atomic_uint taking; /* pushes that are not answered yet */
	pthread_mutex_t
	    author_mx; /* one operator's write at a time, until it is visible; guards must_see */
	uint64_t must_see; /* the tables a write looks at must reach this: it was ours */

	struct lt_projector *projector;
	atomic_bool hurry; /* stopping: no new entry into the batch */
	_Atomic uint64_t
	    ahead; /* how many batches the projector wrote while it worked out the next */
	atomic_bool draining; /* that next one is worked out, and waits */
	_Atomic uint64_t pauses; /* how often the projector let the log gather */

	pthread_mutex_t scratch_mx; /* guards the next two */
	size_t nscratch;
	struct lt_arena scratch[LT_HUB_SCRATCH_MAX]; /* empty ones, for who reads change-sets */

	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cond;
	struct lt_catalogue *catalogue;
	struct lt_registry *registry;
	uint64_t projected;
	size_t nbar;
	struct lt_bar *bar;
	unsigned waiting; /* who waits for projected: the projector makes no pause meanwhile */
	uint64_t rebuild_until; /* the tables are built anew up to here, 0: they are not */
	uint64_t builds; /* how often that was begun */
	bool
	    registry_old; /* the registry in memory is of before that; they may be whole already, and it not read again yet */
	bool rebuild_wanted; /* and not begun yet */
	bool mending; /* they were damaged, and are not whole yet */
	bool stopping;
	struct lt_projector_limits projector_limits;
	int projector_rc; /* why the projector stopped, LT_OK while it runs */
};

int lt_hub_reload(struct lt_hub *h, struct lt_err *err);
void lt_hub_tell_news(struct lt_hub *h);

/* The last write's transaction, before the writes are made: it may fill in what they say. May run again. Its failure is that of
 * all. */
typedef int lt_hub_prepare_fn(struct lt_kv_txn *log, void *ctx);
/* lt_hub_write(), with it. *position: of what was written, also when it is not visible yet; 0: nothing was. */
int lt_hub_write_prepared(struct lt_hub *h, const struct lt_unit *unit, struct lt_write *writes,
    size_t count, struct lt_arena *arena, lt_hub_prepare_fn *prepare, void *ctx, uint64_t *position,
    struct lt_err *err);

/* bar.c: see there. Up from now on, until the tables reach a position. LT_E_NOMEM. */
int lt_bar_put(struct lt_hub *h, enum lt_bar_kind kind, const struct lt_id *principal,
    uint32_t key_no, uint64_t until);
/* One that was put up for a record being written; 0 takes it down. */
void lt_bar_until(struct lt_hub *h, enum lt_bar_kind kind, const struct lt_id *principal,
    uint32_t key_no, uint64_t until);
/* Of what a key signed: LT_OK: no bar; LT_E_REVOKED; LT_E_UNAVAILABLE: to be asked again in a moment. */
int lt_bar_check(struct lt_hub *h, const struct lt_id *principal, uint32_t key_no);
/* Those that a change-set of this hub calls for, until the tables reach its place in the log. LT_E_NOMEM. */
int lt_bars_note(struct lt_hub *h, const struct lt_changeset *cs, uint64_t until);
/* A revocation: its keys were changed, it is not out. */
bool lt_bar_says_rotated(const struct lt_change *c);
/* Those of one whose acts are to be said again: whom it revokes is out until that is done, or this process ends. LT_E_NOMEM. */
int lt_bars_owed(struct lt_hub *h, const struct lt_changeset *cs);
/* At the start, from what the log has and the tables have not. */
int lt_bars_open(struct lt_hub *h);

/* project.c */
int lt_projector_start(struct lt_hub *h, struct lt_err *err);
void lt_projector_stop(struct lt_hub *h);
void lt_projector_kick(struct lt_hub *h);
/* Empty the derived tables: at the start they are built anew then. */
int lt_projector_clear(struct lt_hub *h);
/* In a transaction of the log that appends, and judges change-sets anew: tables that were not emptied since are of before. Who calls this asks
 * for a rebuild when that is committed (lt_hub_rebuild()); after a stop in between, and of tables put back by hand, the start finds it out. */
#define LT_LOCAL_REBUILD "rebuild"
int lt_projector_owe(struct lt_kv_txn *log);
/* At the start: the same as lt_projector_clear() where the tables are of before. On a full disk it is done when there is room. */
int lt_projector_clear_owed(struct lt_hub *h, struct lt_err *err);
/* Tests only: other limits, from the next batch on. */
void lt_projector_limit(struct lt_hub *h, const struct lt_projector_limits *l);
/* One batch of a manual hub. false: nothing to do, or not before its time. */
bool lt_projector_step(struct lt_hub *h);

/* reshow.c: what the tables show of what was erased from the log by acts that are to be said again (resay.c) */

/* On the projector's thread, or before it runs; nothing is ahead of the tables then. Errors: to be called again. */
int lt_reshow(struct lt_hub *h);
/* The projector is to do so: after the commit that took the values from the log. */
void lt_reshow_want(struct lt_hub *h);

/* receipts.c: what a commit makes possible, while the writer goes on */

/* Lies in what it is about; gone, or another's, once fn was called. */
struct lt_after {
	void (*fn)(struct lt_after *a);
	struct lt_after *next; /* of receipts.c */
};

int lt_receipts_open(struct lt_receipts **out);
/* Call a->fn on a thread of r: of one pusher in the order given, exactly once. Waits while very much waits already, so nothing that
 * is called may wait for who gives. */
void lt_receipts_give(struct lt_receipts *r, const struct lt_id *pusher, struct lt_after *a);
/* Until what was given before is done. Not from what is called. NULL allowed. */
void lt_receipts_wait(struct lt_receipts *r);
/* After the last one was given: does what waits, then ends the threads. NULL allowed. */
void lt_receipts_close(struct lt_receipts *r);

/* intake.c: was it this hub that could not take what was pushed, and not the push that is at fault? Then nothing of it counts as pushed in vain. */
bool lt_intake_could_not(int rc);

/* intake.c: table quarantine, in a transaction of the log: a change of this log position is refused; or it is not any more */
int lt_hub_note_refused(
    struct lt_kv_txn *txn, uint64_t position, uint32_t change, Ltpb__ReasonCode reason);
int lt_hub_unnote_refused(struct lt_kv_txn *txn, uint64_t position, uint32_t change);

/* Decide a dot that is held, in the stored judgement of its change-set; a settling verdict is owed from then on (lt_verdicts_note()). Nothing is
 * done where it is decided already. Refused, its reason is BAD_CONTEXT. */
int lt_hub_settle_held(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position,
    uint32_t index, bool accepted, struct lt_arena *arena);

/* forks.c: branches of one feed, in a transaction of the log */

/* This change-set is of a branch that does not count here: its bytes are kept, a ruling is owed, and the log has an alarm. */
int lt_forks_keep(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs);
/* The same where it is not kept already, or there is no room for more of its feed. *is_new: it was kept now. */
int lt_forks_keep_new(
    struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs, bool *is_new);
/* Write the rulings that are owed for one feed. Store errors: the transaction must be given up. */
int lt_forks_rule(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed);
/* LT_E_FORK: it was ruled that this change-set does not count, also where nothing stands under its number (any more). */
int lt_forks_check(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs);
/* A ruling of ours that came back after a restore, at that position. LT_E_INVALID: it is none, nothing was written. */
int lt_forks_told(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_change *c, uint64_t position);
/* At the start: what is owed goes to v. */
int lt_forks_scan(struct lt_hub *h, struct lt_verdicts *v, struct lt_kv_txn *txn);

/* resay.c: acts of erasure of a feed of before a restore, known from a list alone, and those and revocations of a branch that does not count;
 * in a transaction of the log */

/* Of a change-set of ours under whose number another one stands: its acts are in force from now on, and are to be said again. *is_new: it
 * has acts, and was not seen before. *erased is set where these are acts of erasure: lt_reshow_want() is called when that is committed. */
int lt_resay_lost(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    bool *is_new, bool *erased);

/* Say again those of this feed that did not come back. Store errors, LT_E_REFUSED: the transaction must be given up. */
int lt_resay(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed);
/* At the start: what is owed goes to v. */
int lt_resay_scan(struct lt_hub *h, struct lt_verdicts *v, struct lt_kv_txn *txn);

/* verdict.c: verdicts as acts, after what they judge is durable */
int lt_verdicts_open(struct lt_hub *h, struct lt_verdicts **out);
void lt_verdicts_close(struct lt_verdicts *v);
/* This feed has judged change-sets without a verdict. Any thread. */
void lt_verdicts_note(
    struct lt_verdicts *v, const struct lt_unit *unit, const struct lt_feed_id *feed);
/* A dot held before is decided, inside the intake's transaction. reason 0: accepted. */
int lt_verdicts_settle(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq, uint32_t index, Ltpb__ReasonCode reason);
/* A verdict of ours that came back after a restore: what it covers is not judged a second time, but as it says, also where the
 * change-sets come back after it. Those that came back before it, without a verdict yet, are judged as it says, too, clamps and refusals:
 * where that changes something *again is set, and the tables have to be built anew. A dot that it held and that is decided here is settled by
 * a verdict to come. In the transaction that takes it. */
int lt_verdicts_told(struct lt_verdicts *v, struct lt_kv_txn *txn, const struct lt_unit *unit,
    struct lt_slice verdict, bool *again);
/* Does one that comes back clamp or refuse otherwise what another verdict has spoken of since, or settle otherwise what is decided here, or will
 * be by one that came back before it? Who has the one and who has the other show other values. */
int lt_verdicts_contradicts(
    struct lt_kv_txn *txn, const struct lt_unit *unit, struct lt_slice verdict, bool *is);
/* Add what one that came back says to the judgement of a change-set that is about to be appended, in the arena. The hash that it names is of
 * its last change-set alone, and what stands under the numbers before may be another branch: so it adds refusals and takes none away; which
 * dots are held, and the clamp, are as it says. With that last change-set, what was here before the verdict came is judged as it says: *again as
 * for lt_verdicts_told(). LT_E_NOTFOUND: nothing; LT_E_FORK: it speaks of another branch. */
int lt_verdicts_recall(struct lt_verdicts *v, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    struct lt_arena *arena, struct lt_judgement *j, bool *again);
/* This change-set is appended and judged: others that came back, which end with it and are not the one that decided, are weighed now, as
 * lt_verdicts_told() does with what is here. *weighed: what is stored of how it is judged may be another now; *again as for lt_verdicts_told(). */
int lt_verdicts_weigh(struct lt_verdicts *v, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    bool *weighed, bool *again);
/* After a commit: write what is owed, as one more job of the writer. A feed of which that cannot be done is set aside, and
 * tried again every hour. false: nothing is owed, a job is on its way, it is too early after one that failed, or none could
 * be made (see lt_verdicts_failed()). */
bool lt_verdicts_kick(struct lt_verdicts *v);
/* The same after each commit, and after each push that was answered; while more is on its way to the writer or waits for it, not
 * more often than a node needs it: a verdict costs a signature for each feed, and says as much of a hundred change-sets as of
 * one. Any thread. */
void lt_verdicts_after_commit(struct lt_verdicts *v);
/* The same for who has waited LT_HUB_RETRY_MS himself. */
bool lt_verdicts_retry(struct lt_verdicts *v);
/* Writing failed, or could not be begun: kick again after LT_HUB_RETRY_MS, also when nothing is committed (the projector
 * does). */
bool lt_verdicts_failed(struct lt_verdicts *v);
/* Of a manual hub: kick again when it is time, by the hub's clock. */
bool lt_verdicts_step(struct lt_verdicts *v);

#endif
