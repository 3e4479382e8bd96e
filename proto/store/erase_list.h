/* proto/store/erase_list.h - erasures obeyed again where an older copy is put back (FORMAT.md 12.8). */
#ifndef LT_STORE_ERASE_LIST_H
#define LT_STORE_ERASE_LIST_H

#include "proto/feed/changeset.h"
#include "proto/store/kv.h"

#define LT_ERASURES_BYTES_MAX ((size_t)64 * 1024 * 1024) /* of a list */

/* An `Erasures` message (backup.proto): certificate and signatures are verified, then every act in it is obeyed in the log, and on a node
 * in what is shown. A hub keeps what its log does not have, to be said again (below). In the transaction that makes the copy fit to go on. *acts: change-sets with acts; *values: that were here.
 * LT_E_INVALID, LT_E_BADSIG, LT_E_DENIED (another federation, or not a hub's list). Change-sets in it by anybody else are passed by, and a
 * log line says how many; store errors. Nothing is to be committed then. */
int lt_erasures_apply(struct lt_kv_txn *txn, bool node, struct lt_slice list,
    const uint8_t root_key[32], const struct lt_fed *federation, uint64_t *acts, uint64_t *values,
    struct lt_err *err);

/* ---- change-sets with acts that a hub's log does not have ----
 *
 * Rows `unsaid/unit/feed/seq/hash` of table local: a restored hub has them from a list alone, or they stand in a branch of its own feed that does
 * not count. It says their acts of erasure and their revocations again, under their numbers, and drops the row with that. Until then lists
 * have the acts of erasure from here. Two of one number are two branches, or a branch and a list: each is said. Rows of before there was a hash in
 * their name are read as the others are. */
#define LT_UNSAID_NAME (7 + LT_UNIT_MAX + 1 + 2 * LT_FEED_LEN + 1 + 16 + 1 + 16 + 1)

/* It is to be said again, unless the log has it, or a row does. */
int lt_unsaid_keep(struct lt_kv_txn *log, const struct lt_changeset *cs);
/* The next one behind `name` ("": the first), which becomes its name; of a unit and feed (NULL: of all), in the order of names. cs lies in
 * the arena. What cannot be read is logged and passed over. LT_E_NOTFOUND; LT_E_CORRUPT: the table cannot be walked on. */
int lt_unsaid_next(struct lt_kv_txn *log, const struct lt_unit *unit, const struct lt_feed_id *feed,
    char name[LT_UNSAID_NAME], struct lt_arena *arena, struct lt_changeset *cs);
/* Rows that say nothing, which lt_unsaid_next() passes over, and one more where the table cannot be walked to the last one. */
int lt_unsaid_unreadable(struct lt_kv_txn *log, uint64_t *n);
/* Has the log this very change-set by now? Where what it has cannot be read: no, as saying it twice does no harm. */
int lt_unsaid_is_here(struct lt_kv_txn *log, const struct lt_changeset *cs, bool *here);
/* It is said. */
int lt_unsaid_drop(struct lt_kv_txn *log, const char *name);

#endif
