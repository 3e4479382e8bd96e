/* proto/store/feed_log.h - the feeds as they were received: append, heads, judgements, openings.
 *
 * Functions work inside the caller's transaction, so that they share it with others (node) or not
 * (hub). Positions number the entries of an environment from 1 without gaps, in order of arrival.
 * Tables: feed, entry, seq, opening, judgement, held (FORMAT.md 9.3).
 */
#ifndef LT_STORE_FEED_LOG_H
#define LT_STORE_FEED_LOG_H

#include "proto/feed/changeset.h"
#include "proto/store/kv.h"
#include "proto/store/tables.h"

#include "lienthong/v1/trust.pb-c.h"

struct lt_head {
	uint64_t seq; /* 0: the feed is not here */
	struct lt_hash hash;
	uint64_t stamp; /* as signed */
	uint64_t effective; /* effective stamp of the last judged change-set */
	uint64_t judged; /* verdict known up to here */
	uint32_t key_no;
	uint64_t last_position;
};

/* One stored change-set. Slices borrow from the transaction. */
struct lt_entry {
	uint64_t position;
	uint64_t arrival_ms; /* wall clock of this machine when it came */
	struct lt_hash running; /* over every entry up to this one: names a state of the log */
	struct lt_unit unit;
	struct lt_slice changeset; /* ChangeSet without openings */
};

/* What was decided about one change-set (FORMAT.md 9.3, table judgement): nothing stored means every dot
 * accepted, stamp unclamped. In the arena. */
struct lt_judgement {
	size_t nrefused;
	Ltpb__RefusedDot **refused; /* by index */
	size_t nheld;
	Ltpb__HeldDot **held;
	bool clamped;
	uint64_t floor, ceiling;
};

/* Head of a feed; *head zeroed (seq 0) and LT_OK when the feed is not here. */
int lt_feed_log_head(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, struct lt_head *head);

/* Append a parsed change-set whose chain the caller has verified in this transaction
 * (asserted: seq is head + 1). Openings go to their table. *position is set.
 * LT_E_NOSPACE and other store errors: the transaction must be given up. */
int lt_feed_log_append(
    struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t arrival_ms, uint64_t *position);

/* Append and judge at once: the same as lt_feed_log_append() and lt_feed_log_judge() of it, with one row for the head instead of two.
 * head: as lt_feed_log_head() gave it in this transaction; nothing was written to the feed since.
 * LT_E_GAP: not all before it is judged; LT_E_INVALID: refused or held dots not strictly rising; nothing is written then. */
int lt_feed_log_take(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t arrival_ms,
    const struct lt_head *head, uint64_t effective, const struct lt_judgement *j,
    uint64_t *position);

/* Make the rows of *cs now, all but what the transaction alone knows (position, running hash, arrival), so that appending it
 * copies them and no more: the writer is one, who parses are many. In the arena, which must outlive what is done with *cs; the same
 * bytes are written as without. LT_E_NOMEM: nothing is prepared, and *cs can be appended as it was. */
int lt_feed_log_prepare(struct lt_changeset *cs, struct lt_arena *arena);

/* H("lt1.log", before || position || hash of the change-set): the running hash of a position from that of the one
 * before (zeros before the first). FORMAT.md 9.3. */
void lt_feed_log_running(const struct lt_hash *before, uint64_t position,
    const struct lt_hash *changeset, struct lt_hash *out);
/* Last position, 0 for an empty log. */
int lt_feed_log_last(struct lt_kv_txn *txn, uint64_t *position);
int lt_feed_log_read(struct lt_kv_txn *txn, uint64_t position, struct lt_entry *out);
/* LT_E_NOTFOUND. */
int lt_feed_log_find(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq, uint64_t *position);
/* hash(seq) of a stored change-set, computed from its header (seq 0: zeros). */
int lt_feed_log_hash(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq, struct lt_hash *hash);

/* Node: another branch of an own feed counts from `from` on. Ours from there to the head goes under lt_feed_aside(): found, read
 * and hashed there as before, without a head of its own; the feed's head is from - 1 again. LT_E_EXISTS: something stands aside
 * there already; LT_E_INVALID: from is judged, or beyond the head. Nothing is written then. */
int lt_feed_log_set_aside(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t from);
/* Where the branch aside of a feed begins and ends; 0 and 0: there is none. feed: its plain name. */
int lt_feed_log_aside(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t *first, uint64_t *last);

/* Every feed, or those of one unit (NULL: all), in key order. fn returns LT_OK to go on, anything else stops and is
 * returned; it must not write to the transaction. */
typedef int lt_feed_fn(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head);
int lt_feed_log_each(struct lt_kv_txn *txn, const struct lt_unit *unit, lt_feed_fn *fn, void *ctx);

/* Store the judgement of one change-set and move the feed's judged mark to seq when it is judged + 1
 * (a later seq, or one not here: LT_E_GAP; an earlier one: replaces the judgement, the mark stays). effective is
 * the effective stamp. Trivial judgements (all accepted, not clamped) take no row.
 * LT_E_INVALID: refused or held dots not strictly rising by index. */
int lt_feed_log_judge(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq, uint64_t position, uint64_t effective,
    const struct lt_judgement *j);
/* LT_OK with an empty one when nothing is stored. */
int lt_feed_log_judgement(
    struct lt_kv_txn *txn, uint64_t position, struct lt_arena *arena, struct lt_judgement *out);
bool lt_judgement_refuses(const struct lt_judgement *j, uint32_t index, Ltpb__ReasonCode *reason);
bool lt_judgement_holds(const struct lt_judgement *j, uint32_t index);
uint64_t lt_judgement_stamp(const struct lt_judgement *j, uint64_t stamp);

/* Openings at rest. field_set in the arena. salt and leaf: NULL allowed. LT_E_NOTFOUND: withheld here; *leaf then is the
 * leaf kept in its place, or zeros when there is none. */
int lt_opening_get(struct lt_kv_txn *txn, uint64_t position, uint32_t change, const char *field,
    struct lt_arena *arena, struct lt_slice *field_set, uint8_t salt[LT_SALT_LEN],
    struct lt_hash *leaf);
/* The FieldSet bytes of an opening as they lie in the store: they die with the transaction, or with its next write.
 * LT_E_NOTFOUND: withheld, erased, or not here. */
int lt_opening_view(struct lt_kv_txn *txn, uint64_t position, uint32_t change, const char *field,
    struct lt_slice *field_set);
/* What is here of an opening. */
enum lt_opening_state { LT_OPENING_NONE, LT_OPENING_HERE, LT_OPENING_WITHHELD, LT_OPENING_ERASED };
int lt_opening_state(struct lt_kv_txn *txn, uint64_t position, uint32_t change, const char *field,
    enum lt_opening_state *state);
/* The ChangeSet with openings as a receiver may have them: may(ctx, collection, field) true: opened, else its
 * leaf. may NULL: all. With the seed when nothing is withheld and it is here. Without openings when none are here.
 * Appended to out. LT_E_CORRUPT: some are missing. */
typedef bool lt_may_fn(void *ctx, const char *collection, const char *field);
int lt_feed_log_compose(struct lt_kv_txn *txn, const struct lt_entry *e, lt_may_fn *may, void *ctx,
    struct lt_buf *out, struct lt_err *err);

/* Dots that wait for a change-set not here yet. */
int lt_held_add(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *missing,
    uint64_t missing_seq, uint64_t position, uint32_t change);
/* Those that waited for (feed, up to seq), in order of what they wait for; removed from the table. In the arena. */
struct lt_held_dot {
	uint64_t position;
	uint32_t change;
	uint64_t missing_seq;
};
int lt_held_take(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, struct lt_arena *arena, struct lt_held_dot **dots, size_t *n);
/* Does any wait for more of this feed? */
int lt_held_waits(
    struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed, bool *waits);

#endif
