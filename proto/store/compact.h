/* proto/store/compact.h - a store written anew with nothing but what counts, and the bytes of before overwritten (FORMAT.md 9.15).
 *
 * LMDB keeps the bytes of a page that it does not use any more until it uses it again, and a key of `index` may stand as a bound between pages
 * long after its entry: an erased value among them. Who keeps the data directory's lock calls this; nobody has the store open. A stop at any
 * point leaves the old store or the new one, and the next call clears away what is left of the other. */
#ifndef LT_STORE_COMPACT_H
#define LT_STORE_COMPACT_H

#include "proto/base/ids.h"
#include "proto/store/kv.h"

#define LT_COMPACT_START_MAX \
	((uint64_t)512 \
	    << 20) /* bytes of a file that a start compacts: a larger one would keep a service away for minutes */

struct lt_compact_report {
	uint64_t before, after; /* bytes of the file */
	uint64_t bad; /* values that do not verify: they are as they were */
};

/* dir/name, a node's store or a hub's log: the index is laid anew, all is copied compactly into another file, which is read whole and takes
 * the place of the first; that one is overwritten and removed. Heads, epochs and the incarnation stay.
 * LT_E_NOTFOUND: no store there; LT_E_NOSPACE: the disk has no room for the copy and the index beside the old one, nothing is changed; LT_E_BUSY:
 * somebody has it open; LT_E_CORRUPT, as lt_kv_open_lmdb(); LT_E_IO. */
int lt_store_compact(const char *dir, const char *name, enum lt_kv_kind kind,
    const struct lt_fed *federation, struct lt_compact_report *out, struct lt_err *err);
/* The same, but nothing is changed where anything of it is damaged (LT_E_CORRUPT: a repair may need what lies around it) or the file is larger than
 * LT_COMPACT_START_MAX (LT_E_TOOBIG). */
int lt_store_compact_sound(const char *dir, const char *name, enum lt_kv_kind kind,
    const struct lt_fed *federation, struct lt_compact_report *out, struct lt_err *err);
/* dir/name, a hub's derived tables: overwritten and removed, with those that were set aside for damage. They are made from the log at the next
 * start. LT_E_BUSY, LT_E_IO. None there: LT_OK. */
int lt_store_drop_derived(const char *dir, const char *name, uint64_t *bytes, struct lt_err *err);

/* ---- by itself ----
 *
 * An erasure that took something leaves row `uncompacted` in table local, in its transaction. A daemon that finds it as it opens its store
 * closes that again, compacts, and takes the row away when all is done: after a stop in between it is done again. */

int lt_compact_owe(struct lt_kv_txn *txn);
/* Is that row there? Also one that cannot be read. */
bool lt_compact_is_owed(struct lt_kv *kv);

enum lt_compact_due {
	LT_COMPACT_NOTHING,
	LT_COMPACT_ALL,
	LT_COMPACT_DERIVED, /* the log is done; the derived tables were too large for a start */
};

/* What of it a start is to try. Where damage stood in the way and no round of the scrub was clean since: nothing, and a log line says so. */
enum lt_compact_due lt_compact_due(struct lt_kv *kv);
/* What is due of dir/name, and of a hub's derived tables (NULL: none), all closed. A log line says what was done, or why it was not: no
 * room, damage, too large. Either way the store can be opened as before. */
void lt_compact_owed(enum lt_compact_due due, const char *dir, const char *name,
    const char *derived, enum lt_kv_kind kind, const struct lt_fed *federation);
/* A whole round of the scrub has found nothing: what damage stood in the way of is tried at the next start. */
int lt_compact_scrubbed(struct lt_kv_txn *txn);
/* Nothing is owed any more. */
int lt_compact_settle(const char *dir, const char *name, enum lt_kv_kind kind,
    const struct lt_fed *federation, struct lt_err *err);

#endif
