/* proto/store/kv_impl.h - between kv.c and the two implementations; nobody else includes it.
 *
 * kv.c checks keys, makes and verifies checksums, counts transactions, keeps cursors honest and calls
 * the fault hook; an implementation only keeps ordered bytes: "stored" is value || checksum.
 */
#ifndef LT_STORE_KV_IMPL_H
#define LT_STORE_KV_IMPL_H

#include "proto/store/kv.h"

#include <stdatomic.h>

#define LT_KV_SUM_LEN 8
#define LT_KV_NAME_MAX 63
#define LT_KV_INCARNATION_LEN 16
/* framed(table name) */
#define LT_KV_PREFIX_MAX (4 + LT_KV_NAME_MAX)

struct lt_kv_sums;

struct lt_kv_table {
	char name[LT_KV_NAME_MAX + 1];
	uint8_t
	    prefix[LT_KV_PREFIX_MAX]; /* what the place of every value of the table begins with */
	size_t prefix_len;
	bool meta; /* it keeps the checksums of version 1 */
};

/* Keys are 1..511 bytes, except in seek and seek_before, where 0 bytes means "from the end". Errors
 * are of error.h. commit and abort free the transaction. */
struct lt_kv_ops {
	void (*close)(struct lt_kv *kv);
	uint64_t (*used_bytes)(struct lt_kv *kv);
	int (*begin)(struct lt_kv *kv, bool write, struct lt_kv_txn **out);
	int (*commit)(struct lt_kv_txn *txn);
	void (*abort)(struct lt_kv_txn *txn);
	int (*get)(
	    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice *stored);
	int (*put)(
	    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored);
	int (*append)(
	    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored);
	int (*del)(struct lt_kv_txn *txn, unsigned table, struct lt_slice key);
	int (*count)(struct lt_kv_txn *txn, unsigned table, uint64_t *n);
	int (*clear)(struct lt_kv_txn *txn, unsigned table);
	int (*cursor_open)(struct lt_kv_txn *txn, unsigned table, struct lt_kv_cursor **out);
	void (*cursor_close)(struct lt_kv_cursor *c);
	int (*seek)(
	    struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *s);
	int (*seek_before)(
	    struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *s);
	int (*next)(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *s);
	int (*prev)(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *s);
};

/* First member of an implementation's environment. */
struct lt_kv {
	const struct lt_kv_ops *ops;
	struct lt_kv_table table[LT_KV_TABLES_MAX];
	unsigned ntables;
	uint8_t incarnation[LT_KV_INCARNATION_LEN];
	bool read_only;
	uint64_t bad_at_open; /* entries that did not verify when the file was looked at */
	atomic_int broken; /* code of the commit that failed for another reason than space */
	atomic_int txns; /* open transactions */
	struct lt_buf scratch; /* of the write transaction: value || checksum */
	unsigned sums_table; /* LT_KV_TABLES_MAX: none (kv_sums.h) */
	uint8_t sums_rule[LT_KV_TABLES_MAX];
	lt_kv_fault_fn *fault;
	void *fault_ctx;
	atomic_uint_fast64_t ordinal;
};

/* First member of an implementation's transaction. */
struct lt_kv_txn {
	struct lt_kv *kv;
	bool write;
	int err; /* what made this transaction fit for abort only */
	unsigned cursors; /* open ones */
	uint32_t gen[LT_KV_TABLES_MAX]; /* rises with every write to the table */
	unsigned note_table;
	uint32_t note_gen; /* of that table when the note was last asked for */
	uint64_t note[LT_KV_NOTE_BYTES / 8];
	struct lt_kv_sums *sums; /* owned; what it changed, NULL: nothing */
};

/* First member of an implementation's cursor. */
struct lt_kv_cursor {
	struct lt_kv_txn *txn;
	unsigned table;
	uint32_t gen; /* of the table at the last seek */
	bool placed; /* stands on an entry */
	struct lt_slice at; /* its key */
};

/* Fill the shared part from the options. */
void lt_kv_init(struct lt_kv *kv, const struct lt_kv_ops *ops, const struct lt_kv_options *o);
void lt_kv_fini(struct lt_kv *kv);
void lt_kv_table_init(struct lt_kv_table *t, const char *name);
/* The 8 bytes of FORMAT.md 9.2. */
void lt_kv_sum(const struct lt_kv_table *t, struct lt_slice key, struct lt_slice value,
    uint8_t sum[LT_KV_SUM_LEN]);
/* Value out of value || checksum, verified. LT_E_CORRUPT. */
int lt_kv_unseal(const struct lt_kv_table *t, struct lt_slice key, struct lt_slice stored,
    struct lt_slice *value);
/* value || checksum appended to out. */
int lt_kv_seal(
    const struct lt_kv_table *t, struct lt_slice key, struct lt_slice value, struct lt_buf *out);

#endif
