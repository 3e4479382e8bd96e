/* proto/store/erase_list.h - erasures obeyed again where an older copy is put back (FORMAT.md 12.8). */
#ifndef LT_STORE_ERASE_LIST_H
#define LT_STORE_ERASE_LIST_H

#include "proto/base/ids.h"
#include "proto/store/kv.h"

#define LT_ERASURES_BYTES_MAX ((size_t)64 * 1024 * 1024) /* of a list */

/* An `Erasures` message (backup.proto): certificate and signatures are verified, then every act in it is obeyed in the log, and on a node
 * in what is shown. In the transaction that makes the copy fit to go on. *acts: change-sets with acts; *values: that were here.
 * LT_E_INVALID, LT_E_BADSIG, LT_E_DENIED (another federation, or not a hub's list). Change-sets in it by anybody else are passed by, and a
 * log line says how many; store errors. Nothing is to be committed then. */
int lt_erasures_apply(struct lt_kv_txn *txn, bool node, struct lt_slice list,
    const uint8_t root_key[32], const struct lt_fed *federation, uint64_t *acts, uint64_t *values,
    struct lt_err *err);

#endif
