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

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LT_KV_KEY_MAX 511 /* LMDB's; a longer or an empty key is LT_E_INVALID everywhere */
#define LT_KV_VALUE_MAX (16 * 1024 * 1024) /* far above LT_MESSAGE_MAX; above it LT_E_TOOBIG */
#define LT_KV_TABLES_MAX 32

enum lt_kv_kind { LT_KV_NODE = 1, LT_KV_HUB_LOG = 2, LT_KV_HUB_DERIVED = 3, LT_KV_TEST = 9 };

struct lt_kv; /* an environment */
struct lt_kv_txn; /* a transaction */
struct lt_kv_cursor; /* a position in a table, within a transaction */

struct lt_kv_options {
	const char *path; /* folder, made if missing; NULL for memory */
	enum lt_kv_kind kind;
	const uint8_t
	    *federation; /* 32 bytes; checked against the store's; NULL with read_only: any */
	const char *const
	    *tables; /* names (1..63 bytes), NULL-terminated; table number = place here */
	uint64_t map_bytes; /* 0: 64 GiB; address space only */
	bool read_only; /* inspection, also while another process writes; must exist */
};

/* Open, or create with its meta table (format, federation, incarnation: FORMAT.md 9.2).
 * LT_E_VERSION   another program's, another federation's, another kind of or a newer store: untouched.
 * LT_E_CORRUPT   damaged, cut short, or gone from a folder that has held one: restore, do not go on.
 * LT_E_NOTFOUND  read_only and no store there.
 * LT_E_BUSY      another process writes to it, or this process has it open (once a process, also
 *                for reading).
 * LT_E_TIMEOUT   the look before took too long, which says nothing of the file; of a derived one it is damage.
 * LT_E_NOSPACE, LT_E_DENIED (permissions), LT_E_NOMEM, LT_E_IO.
 *
 * Before LMDB maps the file, a forked child reads it (kv_check.h): all of it after an unclean stop, weekly, and when it is small; else
 * its roots and samples. A file that would crash LMDB, or that lacks something, is LT_E_CORRUPT and stays as it is (a node
 * then makes another: salvage.h);
 * a hub's derived one, unless read_only, is renamed to damaged-N.mdb and made anew, empty. Values that cannot be
 * read do not stand in the way, but in a derived one. May be called with threads about; takes as long as reading the file does. */
int lt_kv_open_lmdb(const struct lt_kv_options *o, struct lt_kv **out, struct lt_err *err);
int lt_kv_open_mem(const struct lt_kv_options *o, struct lt_kv **out, struct lt_err *err);
/* No transaction may be open. NULL allowed. */
void lt_kv_close(struct lt_kv *kv);
/* 16 random bytes made when the environment was made; changes after a restore. Borrowed. */
const uint8_t *lt_kv_incarnation(const struct lt_kv *kv);
/* Entries that did not verify when the file was looked at before it was opened: a scrub is due. 0 also when the look was not a full
 * one. */
uint64_t lt_kv_bad_at_open(const struct lt_kv *kv);
/* Bytes of the file in use (0 for memory). */
uint64_t lt_kv_used_bytes(struct lt_kv *kv);

/* Of a store on disk. A compact copy of all that is committed now, written to fd from where it stands: data.mdb of another
 * folder. Also while others write; it holds a read transaction. Not synced. LT_E_NOSPACE, LT_E_IO. */
int lt_kv_copy(struct lt_kv *kv, int fd);
/* Read all of o->path/data.mdb, which no environment of this process has open, and change nothing: o as for opening. *bad: values
 * that do not verify. LT_E_CORRUPT: LMDB could not be trusted with it; LT_E_TIMEOUT, LT_E_NOTFOUND, LT_E_IO. */
int lt_kv_look(const struct lt_kv_options *o, uint64_t *bad, struct lt_err *err);
/* Of an open store: do its pages hold together, all of them, as they were committed last? A child reads the file while others go on reading
 * and writing; takes as long as that, and holds a read transaction. Values that do not verify, and rows that are missing, are
 * no matter of pages. LT_E_CORRUPT: no, and err says what: whoever writes into them may destroy more, or crash; LT_E_DENIED: opened read_only. LT_E_CLOSED: *stop (NULL: never)
 * became true, and the child was ended. Any other code: it could not be looked at now. Of a store in memory always LT_OK. Not with a write transaction of this thread. */
int lt_kv_look_pages(struct lt_kv *kv, atomic_bool *stop, struct lt_err *err);
/* Another incarnation: what was said of the log of before is not said of this one. No transaction may be open. */
int lt_kv_renew(struct lt_kv *kv);
/* Of a store on disk that nobody counts on yet, and that is thrown away if the machine stops: commits are not synced from here on. Once:
 * lt_kv_settle() writes it all to disk; then it may be closed and counted on. No transaction may be open. LT_E_NOSPACE, LT_E_IO. */
int lt_kv_unsettle(struct lt_kv *kv);
int lt_kv_settle(struct lt_kv *kv);

/* Read transaction: short (a held one makes the file grow). */
int lt_kv_begin_read(struct lt_kv *kv, struct lt_kv_txn **out);
/* Write transaction; waits for the one before. To be ended by the thread that began it. LT_E_DENIED:
 * opened read_only. After a commit failed with anything but LT_E_NOSPACE: that code, for good. */
int lt_kv_begin_write(struct lt_kv *kv, struct lt_kv_txn **out);
/* Durable when this returns LT_OK. The transaction is spent even when this fails.
 * LT_E_NOSPACE: disk full, nothing written. LT_E_IO: stop writing, exit, verify on restart. */
int lt_kv_commit(struct lt_kv_txn *txn);
/* NULL allowed. */
void lt_kv_abort(struct lt_kv_txn *txn);

/* A put, append, del or clear that failed with anything but LT_E_INVALID, LT_E_TOOBIG, LT_E_EXISTS
 * or LT_E_NOTFOUND leaves a transaction that can only be aborted: whatever writes next and the
 * commit return the same code.
 *
 * The value, valid until the transaction ends or writes. LT_E_NOTFOUND; LT_E_CORRUPT. */
int lt_kv_get(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice *value);
/* Insert or replace. Key 1..511 bytes. Key and value may be what a get or cursor just returned. */
int lt_kv_put(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice value);
/* Insert at the end: key must be above all others (faster); else LT_E_EXISTS. */
int lt_kv_append(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice value);
/* LT_E_NOTFOUND when not there. */
int lt_kv_del(struct lt_kv_txn *txn, unsigned table, struct lt_slice key);
/* Memory for what the caller found out about a table in this transaction: zeros at first, and again after every write to the table (then
 * it may be filled anew) or a note about another one. Valid until the next write. */
#define LT_KV_NOTE_BYTES 48
void *lt_kv_note(struct lt_kv_txn *txn, unsigned table);
/* Number of entries. */
int lt_kv_count(struct lt_kv_txn *txn, unsigned table, uint64_t *n);
/* Remove every entry of a table. */
int lt_kv_clear(struct lt_kv_txn *txn, unsigned table);

/* Cursors die with their transaction; close them before it ends. Keys and values as for get.
 * LT_E_NOTFOUND at the end; next and prev then say so again until a new seek. LT_E_CORRUPT: *k names
 * the entry, the cursor stands on it and can go on; or keys are out of order, then the next is
 * LT_E_NOTFOUND. LT_E_USAGE from next and prev: the table was written to since the last seek; seek again. */
int lt_kv_cursor_open(struct lt_kv_txn *txn, unsigned table, struct lt_kv_cursor **out);
void lt_kv_cursor_close(struct lt_kv_cursor *c);
/* First entry with key >= the given. Empty slice: the first. */
int lt_kv_seek(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *v);
/* Last entry with key < the given. Empty slice: the last of the table. */
int lt_kv_seek_before(
    struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *v);
int lt_kv_next(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *v);
int lt_kv_prev(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *v);

/* The first entry whose key begins with the prefix, and the next such one. Damaged entries are logged and passed over, and what is behind
 * the last one is nobody's matter here: LT_E_NOTFOUND. For walks that must not end at damage; a scrub finds it. */
int lt_kv_seek_in(
    struct lt_kv_cursor *c, struct lt_slice prefix, struct lt_slice *k, struct lt_slice *v);
int lt_kv_next_in(
    struct lt_kv_cursor *c, struct lt_slice prefix, struct lt_slice *k, struct lt_slice *v);

/* The first entry at or behind `from`, which begins with the prefix, and the next such one, where damage counts: an entry of the prefix that
 * does not verify is LT_E_CORRUPT, *k names it, and the walk can go on; *k is empty where there is no going on. What is behind the last
 * one is nobody's matter here either. */
int lt_kv_seek_at(struct lt_kv_cursor *c, struct lt_slice prefix, struct lt_slice from,
    struct lt_slice *k, struct lt_slice *v);
int lt_kv_next_at(
    struct lt_kv_cursor *c, struct lt_slice prefix, struct lt_slice *k, struct lt_slice *v);

/* Tests only: called before every write-side store call (begin_write, put, append, del, clear,
 * commit) with its ordinal, from 1 since it was set; a return other than LT_OK makes that call fail so,
 * a commit included: nothing of it is kept. fn NULL: off. Set it while no transaction is open. */
typedef int lt_kv_fault_fn(void *ctx, uint64_t ordinal);
void lt_kv_set_fault(struct lt_kv *kv, lt_kv_fault_fn *fn, void *ctx);

#endif
