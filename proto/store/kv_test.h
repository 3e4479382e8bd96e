/* proto/store/kv_test.h - the back door for tests: stored bytes as they are, so that a test can
 * damage or move them. Works on both implementations. Nothing outside tests includes it. */
#ifndef LT_STORE_KV_TEST_H
#define LT_STORE_KV_TEST_H

#include "proto/store/kv.h"

#include <stdatomic.h>

#define LT_KV_TEST_SUM_LEN 8

/* value || checksum, not verified; valid as for lt_kv_get. */
int lt_kv_test_get_raw(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice *stored);
/* Insert or replace value || checksum as given, whether it fits or not. No fault hook, and the sums do not notice. */
int lt_kv_test_put_raw(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored);
/* Take an entry out as if it had never been: neither fault hook nor the sums (kv_sums.h) notice. LT_E_NOTFOUND. */
int lt_kv_test_del_raw(struct lt_kv_txn *txn, unsigned table, struct lt_slice key);
/* Flip one bit of the stored bytes (bit 0 is the lowest of the first byte), in a transaction of its own.
 * LT_E_NOTFOUND; LT_E_INVALID: no such bit, and *nbits (NULL allowed) says how many there are. */
int lt_kv_test_flip(
    struct lt_kv *kv, unsigned table, struct lt_slice key, size_t bit, size_t *nbits);

/* Up to how many bytes the file of a store is read whole before it is opened, whatever the note beside it says
 * (LT_KV_CHECK_ALWAYS): 0 for what a large store goes through. */
extern uint64_t lt_kv_test_check_always;
/* And how many ways to a leaf of each table are taken then (LT_KV_CHECK_SAMPLES); a small store has few others. */
extern unsigned lt_kv_test_check_samples;
/* LMDB's code that the next read of a store on disk answers, once; 0: its own. */
extern atomic_int lt_kv_test_read_fails;
/* Read transactions of a store on disk that are over and kept for the next who reads. */
unsigned lt_kv_test_reads_kept(struct lt_kv *kv);

#endif
