/* proto/store/kv.h - ordered tables with transactions: the interface between what we store and
 * what stores it. Two implementations pass the same contract tests: LMDB (kv_lmdb.c) and memory
 * (kv_mem.c, for tests and the simulator).
 *
 * Every value carries a checksum bound to its table and key (FORMAT.md 9.2), made and checked
 * here: a value that does not verify is LT_E_CORRUPT, never returned. One write transaction at a time
 * for an environment; any number of readers, each a stable snapshot, each used by one thread.
 */
#ifndef LT_STORE_KV_H
#define LT_STORE_KV_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define LT_KV_KEY_MAX 511
#define LT_KV_TABLES_MAX 32

enum lt_kv_kind { LT_KV_NODE = 1, LT_KV_HUB_LOG = 2, LT_KV_HUB_DERIVED = 3, LT_KV_TEST = 9 };

struct lt_kv;        /* an environment */
struct lt_kv_txn;    /* a transaction */
struct lt_kv_cursor; /* a position in a table, within a transaction */

struct lt_kv_options {
	const char *path;            /* folder, made if missing; NULL for memory */
	enum lt_kv_kind kind;
	const uint8_t *federation;   /* 32 bytes; checked against the store's */
	const char *const *tables;   /* names, NULL-terminated; table number = place in this list */
	uint64_t map_bytes;          /* 0: 64 GiB; address space only */
	bool read_only;              /* offline inspection; must exist */
};

/* Open, or create with its meta table (format, federation, incarnation: FORMAT.md 9.2).
 * LT_E_VERSION: another program's or a newer store; LT_E_BUSY, LT_E_CORRUPT, LT_E_IO, LT_E_NOSPACE. */
int lt_kv_open_lmdb(const struct lt_kv_options *o, struct lt_kv **out, struct lt_err *err);
int lt_kv_open_mem(const struct lt_kv_options *o, struct lt_kv **out, struct lt_err *err);
/* No transaction may be open. NULL allowed. */
void lt_kv_close(struct lt_kv *kv);
/* 16 random bytes made when the environment was made; changes after a restore. Borrowed. */
const uint8_t *lt_kv_incarnation(const struct lt_kv *kv);
/* Bytes of the file in use (0 for memory). */
uint64_t lt_kv_used_bytes(struct lt_kv *kv);

/* Read transaction: short (a held one makes the file grow). */
int lt_kv_begin_read(struct lt_kv *kv, struct lt_kv_txn **out);
/* Write transaction; waits for the one before. */
int lt_kv_begin_write(struct lt_kv *kv, struct lt_kv_txn **out);
/* Durable when this returns LT_OK. The transaction is spent even when this fails.
 * LT_E_NOSPACE: disk full, nothing written. LT_E_IO: stop writing, exit, verify on restart. */
int lt_kv_commit(struct lt_kv_txn *txn);
/* NULL allowed. */
void lt_kv_abort(struct lt_kv_txn *txn);

/* The value, valid until the transaction ends or writes. LT_E_NOTFOUND; LT_E_CORRUPT. */
int lt_kv_get(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice *value);
/* Insert or replace. Key 1..511 bytes. */
int lt_kv_put(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice value);
/* Insert at the end: key must be above all others (faster); else LT_E_EXISTS. */
int lt_kv_append(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice value);
/* LT_E_NOTFOUND when not there. */
int lt_kv_del(struct lt_kv_txn *txn, unsigned table, struct lt_slice key);
/* Number of entries. */
int lt_kv_count(struct lt_kv_txn *txn, unsigned table, uint64_t *n);
/* Remove every entry of a table. */
int lt_kv_clear(struct lt_kv_txn *txn, unsigned table);

/* Cursors die with their transaction; close them before it ends. Keys and values as for get.
 * In a write transaction a put or del on the table through lt_kv_* leaves the cursor valid only
 * after a new seek. LT_E_NOTFOUND at the end. */
int lt_kv_cursor_open(struct lt_kv_txn *txn, unsigned table, struct lt_kv_cursor **out);
void lt_kv_cursor_close(struct lt_kv_cursor *c);
/* First entry with key >= the given. Empty slice: the first. */
int lt_kv_seek(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *v);
/* Last entry with key < the given. Empty slice: the last of the table. */
int lt_kv_seek_before(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k,
    struct lt_slice *v);
int lt_kv_next(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *v);
int lt_kv_prev(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *v);

/* Tests only: called before every write-side store call (begin_write, put, append, del, clear,
 * commit) with its ordinal; a return other than LT_OK makes that call fail so. NULL: off. */
typedef int lt_kv_fault_fn(void *ctx, uint64_t ordinal);
void lt_kv_set_fault(struct lt_kv *kv, lt_kv_fault_fn *fn, void *ctx);

#endif
