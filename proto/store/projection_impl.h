/* proto/store/projection_impl.h - what the files of the projection share. */
#ifndef LT_STORE_PROJECTION_IMPL_H
#define LT_STORE_PROJECTION_IMPL_H

#include "proto/model/digest.h"
#include "proto/store/log_view.h"
#include "proto/store/projection.h"

#include <sodium.h>

/* Index values are at most this long (FORMAT.md 9.4). */
#define LT_INDEX_VALUE_MAX 96
/* Tail of the keys of history and overlay: dot in binary. */
#define LT_DOT_KEY (LT_FEED_LEN + 8 + 4)
/* Longest keys (FORMAT.md 9.3); an unit code is at most 8 bytes. */
#define LT_RK_MAX (LT_NAME_MAX + 1 + LT_UNIT_MAX + 1 + LT_KEY_MAX)
#define LT_INDEX_KEY_MAX \
	(LT_NAME_MAX + 1 + LT_NAME_MAX + 1 + LT_INDEX_VALUE_MAX + 1 + LT_UNIT_MAX + 1 + LT_KEY_MAX)
_Static_assert(LT_RK_MAX + 1 + LT_DOT_KEY <= LT_KV_KEY_MAX, "history keys fit");
_Static_assert(LT_INDEX_KEY_MAX <= LT_KV_KEY_MAX, "index keys fit");

/* Memory for showing one record: a full row and 256 personal fields of 64 KiB, unpacked. */
#define LT_SHOW_ARENA ((size_t)64 * 1024 * 1024)

enum { LT_MARK_HISTORY, LT_MARK_HISTORY_DEL, LT_MARK_OVERLAY_ADD, LT_MARK_OVERLAY_DEL };

struct lt_mark {
	struct lt_dot dot;
	uint64_t position;
	int what;
};

/* A record that the batch touches. In the batch's memory, and what it points to as well. */
struct lt_touched {
	const struct lt_collection *col; /* NULL as long as only history is written */
	struct lt_unit unit;
	const char *collection, *key; /* into rk */
	const struct lt_touched *before; /* what the batch before has of it; NULL: nothing */
	struct lt_slice row; /* the judged row as it will be */
	uint8_t *row_mem; /* where row lies */
	size_t row_cap;
	bool loaded; /* row was read or made */
	bool fresh; /* and there was none in the table */
	bool has_old; /* old is that of the row in the table */
	bool shown_changed;
	bool
	    row_changed; /* when one of these is true, shown is what will be shown; empty: nothing */
	bool changed; /* row or shown value */
	struct lt_slice shown;
	struct lt_digest_key old, new; /* new and what follows: by lt_touched_hash() */
	uint8_t revision[16]; /* of row */
	uint8_t bucket;
	struct lt_mark *mark; /* in order of adding */
	size_t nmark, mark_cap;
	size_t rk_len;
	char rk[];
};

/* The hash is kept beside: to look elsewhere costs more than to compare. */
struct lt_slot {
	uint64_t hash;
	struct lt_touched *t; /* NULL: free */
};

typedef uint16_t lt_digest_lanes[LT_DIGEST_LANES];

/* A put or a delete in the table index; its key is in the list's bytes. */
struct lt_index_op {
	size_t off;
	uint16_t len;
	bool put;
};

struct lt_index_ops {
	struct lt_index_op *op; /* owned */
	size_t n, cap;
	struct lt_buf keys;
};

static inline void
lt_index_ops_clear(struct lt_index_ops *ops)
{
	ops->n = 0;
	lt_buf_clear(&ops->keys);
}

struct lt_sorting; /* sort.h */

struct lt_projection {
	struct lt_projection_options o;
	const struct lt_collection *last; /* that was looked for; NULL: none */
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	struct lt_arena mem; /* of the batch */
	struct lt_slot *slot; /* open addressing; owned */
	size_t nslot, ntouched;
	struct lt_touched **touched; /* in the order they came; owned */
	struct lt_buf scratch; /* row being made */
	struct lt_log_view view;
	struct lt_index_ops index;
	struct lt_arena show; /* one record */
	struct lt_buf packed;
	/* When it was worked out; from then on nothing changes but what is behind these: another batch may be reading. */
	struct lt_touched **list; /* in order of rk; owned */
	size_t nlist;
	struct lt_sorting *entry; /* what is being sorted; owned */
	size_t entry_cap;
	/* While it is written, when entry is of the index, and tags are of index.op: */
	struct lt_buf key;
	struct lt_buf stored; /* row as it is put */
	lt_digest_lanes *lanes; /* owned; LT_DIGEST_BUCKETS of them */
	bool bucket_used[LT_DIGEST_BUCKETS]; /* something is in the lanes */
	bool trial; /* nothing is written */
};

/* The position and dot of an overlay or history entry. */
struct lt_dot_at {
	struct lt_dot dot;
	uint64_t position;
};

struct lt_dots {
	struct lt_dot_at *d; /* owned */
	size_t n, cap;
};

void lt_dot_key(struct lt_buf *out, struct lt_slice rk, const struct lt_dot *dot);
int lt_dots_add(struct lt_dots *dots, const struct lt_dot *dot, uint64_t position);
void lt_dots_remove(struct lt_dots *dots, const struct lt_dot *dot);
/* Take out those of branches set aside; true: there were some. */
bool lt_dots_drop_aside(struct lt_dots *dots);
void lt_dots_fini(struct lt_dots *dots);
/* The entries of a record in history or overlay, appended to dots. */
int lt_dots_read(struct lt_kv_txn *txn, unsigned table, struct lt_slice rk, struct lt_dots *dots);
/* The record behind the one of rk (of *len bytes; 0: the first one) by the keys of the history: rk and *len become it. c: a cursor of
 * the history. *key: the entry that named it, or that is none. LT_E_NOTFOUND; LT_E_CORRUPT: it cannot be walked there, rk stays. */
int lt_history_next_record(
    struct lt_kv_cursor *c, uint8_t rk[LT_RK_MAX], size_t *len, struct lt_slice *key);
/* Apply own changes not judged yet on a row. scratch: any buffer, overwritten. */
int lt_overlay_apply(struct lt_kv_txn *log, struct lt_log_view *view, const struct lt_rules *rules,
    bool unit_is_province, const struct lt_dots *dots, struct lt_buf *row, struct lt_buf *scratch);
/* The overlay as it is with the batch's marks. */
int lt_touched_overlay(struct lt_projection *p, const struct lt_touched *t, struct lt_dots *dots);
/* Digest key, bucket and revision of every row of the list that was read or made. */
void lt_touched_hash(struct lt_touched *const *list, size_t n);
/* Read the judged row, once. */
int lt_touched_load(struct lt_projection *p, struct lt_touched *t);

/* What a visible row shows, as Record bytes. *exists false: nothing is shown. */
struct lt_show {
	struct lt_kv_txn *log;
	const struct lt_collection *col;
	const struct lt_unit *unit;
	const char *key;
	const struct lt_mark *mark; /* of the batch: where its changes stand */
	size_t nmark;
	const uint8_t *revision; /* 16 bytes of the row that is shown; NULL: not known yet */
};
int lt_show_record(const struct lt_show *s, struct lt_slice row, struct lt_arena *arena,
    struct lt_buf *out, bool *exists);

/* Work out all that a flush of the batch would write, and write nothing: what it finds damaged leaves the transaction as it was.
 * The batch may be flushed afterwards. */
int lt_projection_try(struct lt_projection *p);

/* Compare what a flush of the batch would leave with what is there, and write nothing: rows, shown values, and that the index
 * entries are there, of the records whose row was worked out (lt_projection_rebuild()). differs is told each one: LT_E_NOTFOUND
 * it is missing, LT_E_EXISTS nothing should be there, LT_E_CONFLICT it is another, LT_E_CORRUPT it is damaged. The batch may be aborted
 * afterwards, nothing else. */
typedef void lt_differs_fn(void *ctx, unsigned table, struct lt_slice key, int how);
int lt_projection_compare(struct lt_projection *p, lt_differs_fn *differs, void *ctx);
/* The same, and what differs is written as it should be; derived is a write transaction. Digests are left alone: they are of what
 * the rows were taken for, and are to be added up anew afterwards. */
int lt_projection_mend(struct lt_projection *p);

/* Append the index keys of a record's bytes (empty: none) to the list, to be put or deleted; some may stand twice. arena: for
 * the while. LT_E_CORRUPT. */
int lt_index_keys(const struct lt_show *s, struct lt_slice record, struct lt_arena *arena,
    struct lt_index_ops *ops, bool put);
/* Unpack a stored Record. LT_E_CORRUPT. */
int lt_record_unpack(struct lt_slice bytes, struct lt_arena *arena, Ltpb__Record **out);

#endif
