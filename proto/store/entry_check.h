/* proto/store/entry_check.h - an entry of the log against itself: what a scrub reports and a repair puts right. */
#ifndef LT_STORE_ENTRY_CHECK_H
#define LT_STORE_ENTRY_CHECK_H

#include "proto/store/feed_log.h"

/* Personal fields of a change-set: as many openings there may be. */
size_t lt_entry_leaves(const struct lt_changeset *cs);
/* Are the openings of an entry here, and those that were signed? Parsed in the arena. *bytes: read for it.
 * LT_OK; LT_E_NOTFOUND: there are none at all; LT_E_CORRUPT: some are damaged or missing; LT_E_BADHASH: they are others. LT_E_INVALID and
 * LT_E_TOOBIG: they make no change-set. Other codes: of the store. */
int lt_entry_openings(
    struct lt_kv_txn *txn, const struct lt_entry *e, struct lt_arena *arena, size_t *bytes);

#endif
