/* proto/store/kv_sums.h - counts and sums of the entries of tables that nothing else tells the contents of (FORMAT.md 9.12).
 *
 * A segment of a table is the run of its keys that begin alike; for each there is a row in the table `sums`, changed in the
 * transaction that changes the segment. kv.c calls what keeps them; a scrub compares. An environment without a table `sums`
 * has none. */
#ifndef LT_STORE_KV_SUMS_H
#define LT_STORE_KV_SUMS_H

#include "proto/store/kv_impl.h"

#define LT_KV_SUMS_ROW 16 /* u64 count, u64 sum */

/* ---- for kv.c ---- */

void lt_kv_sums_init(struct lt_kv *kv);
/* An environment that was just opened, and whose tables have no sums yet (new, or of an older program): makes them. */
int lt_kv_sums_begin(struct lt_kv *kv);
/* In a write transaction: so many entries more in the segment of key, and their checksums' sum (both modulo 2^64). */
int lt_kv_sums_change(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, uint64_t count, uint64_t sum);
/* Every entry of the table has gone. */
int lt_kv_sums_cleared(struct lt_kv_txn *txn, unsigned table);
/* Before a commit: write what changed. */
int lt_kv_sums_flush(struct lt_kv_txn *txn);
void lt_kv_sums_drop(struct lt_kv_txn *txn);
/* The checksum of value || checksum as a number. */
uint64_t lt_kv_sum_of(struct lt_slice stored);

/* ---- for a scrub ---- */

/* Has the table sums? */
bool lt_kv_summed(const struct lt_kv *kv, unsigned table);
/* How many of the first bytes of a key name its segment. */
size_t lt_kv_segment(const struct lt_kv *kv, unsigned table, struct lt_slice key);
/* What the segment should hold; 0 and 0 when there is no row. LT_E_CORRUPT: the row is damaged. */
int lt_kv_sums_get(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice segment, uint64_t *count, uint64_t *sum);
/* The key of a segment's row: framed8(table) || segment. Appended to out. */
void lt_kv_sums_key(
    struct lt_buf *out, const struct lt_kv *kv, unsigned table, struct lt_slice segment);
/* Make the rows of one table anew, which has been put right. */
int lt_kv_sums_remake(struct lt_kv_txn *txn, unsigned table);
/* Make all rows anew from what stands in the tables: whatever is missing there is forgotten by that. */
int lt_kv_sums_make(struct lt_kv_txn *txn);

/* ---- for a repair ---- */

/* What the segment of a key should hold, with what this transaction changed. LT_E_CORRUPT: the row is damaged. */
int lt_kv_sums_said(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, uint64_t *count, uint64_t *sum);
/* What it holds; *damaged: how many entries do not verify. Reads all of it. LT_E_CORRUPT: it cannot be walked. */
int lt_kv_sums_seen(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, uint64_t *count,
    uint64_t *sum, uint64_t *damaged);

#endif
