/* proto/store/projection.h - from judged changes to records, shown values, indexes, history and digests.
 *
 * A batch: begin, add changes, flush. Rows that a batch touches are merged in memory and written once, in key
 * order. On a node the log and the derived tables are one transaction; at the hub the log is a read
 * transaction of the other environment. With `overlay` (node) the shown row also has the node's own
 * changes that no verdict has judged yet.
 * One thread; or two, of which one works out a batch while the other writes the batch before (`before`).
 * Tables: record, shown, index, history, digest, overlay.
 */
#ifndef LT_STORE_PROJECTION_H
#define LT_STORE_PROJECTION_H

#include "proto/model/catalogue.h"
#include "proto/model/merge.h"
#include "proto/store/feed_log.h"

#include "lienthong/v1/record.pb-c.h"

struct lt_projection;

struct lt_projection_options {
	struct lt_kv_txn *log; /* feeds and openings */
	struct lt_kv_txn
	    *derived; /* read; for a flush the write transaction; may be the same as log */
	const struct lt_catalogue *catalogue; /* policies, indexes */
	struct lt_unit province; /* its records are the hub's own */
	bool overlay;
	/* The tables are being built anew (rebuild.h): what is touched is worked out from its history first, as a row of one
	 * catalogue cannot be carried on by another, and all its index entries are written. by_hub is needed then. */
	bool reindex;
	bool (*by_hub)(void *ctx, const struct lt_id *author);
	void *by_hub_ctx;
	/* A batch that is worked out and perhaps not written yet, or NULL: this one reads as if it were. derived is of when all batches
	 * before that one were there. Not with overlay or reindex. Borrowed until this one is worked out. */
	const struct lt_projection *before;
	/* A batch that is over, or NULL. Taken, also on failure: what it had of memory is used again. It costs to get memory from the system,
	 * for much of it as much as to fill it. Not before. */
	struct lt_projection *spare;
};

int lt_projection_begin(const struct lt_projection_options *o, struct lt_projection **out);

/* LT_E_INVALID from the functions below: a collection that is consumed elsewhere (_verdict), or names over the limits. The
 * batch stays usable after LT_E_INVALID, LT_E_UNKNOWN and LT_E_TOOBIG (the row would pass eight times LT_RECORD_MAX, beyond all
 * bounds: the change is not applied and not in the history); after other errors abort it and the transaction. */

/* One accepted change of a stored change-set. position: of the entry. Collections that the catalogue does not
 * know: LT_E_UNKNOWN (hold and retry with a newer catalogue). Copies what it keeps. */
int lt_projection_add(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position);
/* History only: a change that was refused or is held. The catalogue need not know its collection. Of a `_verdict` that somebody
 * other than the hub signed nothing is kept. */
int lt_projection_note(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position);
/* Node: an own change not judged yet: history and overlay entry, shown through the overlay. */
int lt_projection_add_overlay(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position);
/* Node: the verdict came. accepted: goes into the judged row (mc with its effective stamp); else it is only taken out. With
 * LT_E_UNKNOWN it no longer waits all the same, and is in the history; so for the next. */
int lt_projection_settle(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position, bool accepted);
/* Node: a change not judged yet of a branch that was set aside (lt_feed_log_set_aside()). It stays in history and overlay under
 * lt_feed_aside(), shown as before, until an own change to the record that was made afterwards takes its place. */
int lt_projection_set_aside(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position);
/* Node: what was set aside of a record is not shown any more; it stays in the history. */
int lt_projection_drop_aside(
    struct lt_projection *p, const struct lt_unit *unit, const char *collection, const char *key);
/* Recompute a record's row from its history (after a ruling, or to check): history, judgements and changes are
 * read again. by_hub(ctx, author) tells who is a hub. */
typedef bool lt_by_hub_fn(void *ctx, const struct lt_id *author);
int lt_projection_rebuild(struct lt_projection *p, const char *collection,
    const struct lt_unit *unit, const char *key, lt_by_hub_fn *by_hub, void *ctx);

/* What the record shows, and its index entries, are worked out anew: openings of it are gone. Its row stays as it is. LT_OK also of a
 * collection or key that can have no record. */
int lt_projection_reshow(
    struct lt_projection *p, const char *collection, const struct lt_unit *unit, const char *key);

/* Write everything. touched (NULL allowed) is told each record whose row or shown value changed. The batch is spent
 * also on failure: give the transaction up. */
typedef void lt_touched_fn(void *ctx, const char *collection, const char *unit, const char *key);
int lt_projection_flush(struct lt_projection *p, lt_touched_fn *touched, void *ctx);
/* The two halves of a flush. First: all is worked out, from log and derived, which may end then; nothing is written, and nothing may
 * be added any more. What is shown and the index entries lie in memory from then on, beside the rows. The batch is to be aborted on failure
 * and on success. */
int lt_projection_work(struct lt_projection *p);
/* Second, once: put into the derived tables what was worked out. Any thread, also while the batch is another's `before`. The batch
 * stays, to be aborted; on failure give the transaction up. */
int lt_projection_write(struct lt_projection *p, struct lt_kv_txn *txn);
/* Frees without writing. NULL allowed. */
void lt_projection_abort(struct lt_projection *p);
/* The batch is over, as if aborted, but keeps what memory it has, to be the `spare` of another; or to be aborted. */
void lt_projection_end(struct lt_projection *p);

/* ---- reading (any transaction of the derived environment) ---- */

/* The visible row (with the overlay where there is one), appended to out; LT_E_NOTFOUND. */
int lt_record_row(struct lt_kv_txn *log, struct lt_kv_txn *derived, const struct lt_catalogue *cat,
    const struct lt_unit *province, const char *collection, const char *unit, const char *key,
    struct lt_buf *out);
/* The judged row of rk (FORMAT.md 5.1), of what the table record has for it: that very value, or, where it is short (9.13), put together
 * in mem, which is overwritten. LT_E_CORRUPT: it or what is shown is damaged, or they are not of each other. */
int lt_record_whole(struct lt_kv_txn *derived, struct lt_slice rk, struct lt_slice stored,
    struct lt_buf *mem, struct lt_slice *row);
/* The shown record as stored (FORMAT.md 9.6): Record with every field that has a value, no delivery. Key fields and the unit field
 * are not among its fields: lt_key_split() and the unit give them. In the arena. LT_E_NOTFOUND (also when deleted). */
int lt_record_get(struct lt_kv_txn *derived, const char *collection, const char *unit,
    const char *key, struct lt_arena *arena, Ltpb__Record **out);
/* What a unit is called, from its shown record in `_unit`; in the arena. "" when there is none. */
const char *lt_record_unit_name(
    struct lt_kv_txn *derived, const char *unit, struct lt_arena *arena);
/* The same without what was set aside: what a change may build on. *aside: something of the record is. */
int lt_record_base(struct lt_kv_txn *log, struct lt_kv_txn *derived, const struct lt_catalogue *cat,
    const struct lt_unit *province, const char *collection, const char *unit, const char *key,
    struct lt_buf *out, bool *aside);
/* Is a change to the record, not replaced since, in a branch that was set aside? */
int lt_record_aside(struct lt_kv_txn *derived, const char *collection, const char *unit,
    const char *key, bool *aside);
/* Node: is this change to the record shown before its verdict, as one that was made here? */
int lt_record_in_overlay(struct lt_kv_txn *derived, const char *collection, const char *unit,
    const char *key, const struct lt_dot *dot, bool *in);
/* The last of these set aside, by its plain name. LT_E_NOTFOUND: there is none. */
int lt_record_aside_last(struct lt_kv_txn *derived, const char *collection, const char *unit,
    const char *key, struct lt_dot *dot, uint64_t *position);
/* Revision of a visible row (FORMAT.md 5.4). */
void lt_record_revision(struct lt_slice row, uint8_t out[16]);

/* Walk the shown records of a collection in (unit, key) order. unit NULL: all units. after: rk to start behind
 * (empty: from the start). fn gets the packed Record; LT_OK goes on, LT_E_CANCELLED stops quietly. */
typedef int lt_shown_fn(void *ctx, struct lt_slice rk, struct lt_slice record);
int lt_record_each(struct lt_kv_txn *derived, const char *collection, const char *unit,
    struct lt_slice after, lt_shown_fn *fn, void *ctx);
/* Fields that the catalogue marks as indexed, key fields too; not the unit field. An entry tells what the value begins with: the reader compares
 * texts over 96 bytes itself.
 * Walk index entries of a field with value bytes in [from, to) (FORMAT.md 9.4; empty to: to the end), value order.
 * fn gets the rk of each. after: a whole index key to start behind. descending: from the end. */
typedef int lt_index_fn(void *ctx, struct lt_slice index_key, struct lt_slice rk);
int lt_index_each(struct lt_kv_txn *derived, const char *collection, const char *field,
    struct lt_slice from, struct lt_slice to, struct lt_slice after, bool descending,
    lt_index_fn *fn, void *ctx);
/* History of a record: dots with positions, in (feed, seq, index) order. */
typedef int lt_history_fn(void *ctx, const struct lt_dot *dot, uint64_t position);
int lt_history_each(struct lt_kv_txn *derived, const char *collection, const char *unit,
    const char *key, lt_history_fn *fn, void *ctx);
/* Short form of the digest of (unit, collection) (FORMAT.md 5.3). */
int lt_digest_short(
    struct lt_kv_txn *derived, const char *collection, const char *unit, uint8_t out[16]);

#endif
