/* proto/store/feed_log_impl.h - what the files of the feed log share. */
#ifndef LT_STORE_FEED_LOG_IMPL_H
#define LT_STORE_FEED_LOG_IMPL_H

#include "proto/feed/leaf.h"
#include "proto/store/feed_log.h"

/* The longest key of the log's tables: position, change, field name (table opening). */
#define LT_LOG_KEY_MAX (8 + 4 + LT_NAME_MAX)

/* A key on the stack. */
struct lt_log_key {
	uint8_t b[LT_LOG_KEY_MAX];
	size_t len;
};

void lt_log_key_put(struct lt_log_key *k, const void *data, size_t len);
void lt_log_key_u32(struct lt_log_key *k, uint32_t v);
void lt_log_key_u64(struct lt_log_key *k, uint64_t v);
void lt_log_key_feed(
    struct lt_log_key *k, const struct lt_unit *unit, const struct lt_feed_id *feed);
struct lt_slice lt_log_key_slice(const struct lt_log_key *k);
/* Take a uk off the front of a stored key. LT_E_CORRUPT. */
int lt_log_key_feed_read(struct lt_reader *r, struct lt_unit *unit, struct lt_feed_id *feed);

#define LT_HEAD_BYTES (8 + LT_HASH_LEN + 8 + 8 + 8 + 4 + 8)
/* The value of a head's row (FORMAT.md 9.2). */
void lt_feed_log_head_row(const struct lt_head *head, uint8_t out[LT_HEAD_BYTES]);
int lt_feed_log_head_put(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, const struct lt_head *head);

/* The header bytes of a stored change-set. LT_E_CORRUPT. */
int lt_entry_header(struct lt_slice changeset, struct lt_slice *header);

/* For a repair (repair_put.c): the rows of a stored change-set where they stood, whatever stands there now. feed: as in the key, plain or
 * aside. */
int lt_entry_put_back(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position,
    uint64_t arrival_ms, const struct lt_hash *running);
int lt_seq_put_back(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq, uint64_t position);

/* Refused and held dots strictly rising by index? */
bool lt_judgement_rising(const struct lt_judgement *j);
/* Every dot accepted, nothing clamped: takes no row. */
bool lt_judgement_trivial(const struct lt_judgement *j);
/* Its row; that of a trivial one goes. */
int lt_judgement_put(struct lt_kv_txn *txn, const struct lt_feed_id *feed, uint64_t seq,
    uint64_t position, const struct lt_judgement *j);

/* A row as it will stand, with room for the position before the rest of the key. */
struct lt_log_row {
	uint8_t *key;
	size_t key_len, value_len; /* the value follows the key */
};

/* A change-set's rows, prepared. Only the bytes that wait for the transaction change: a job that runs again writes them again. */
struct lt_log_rows {
	uint8_t *entry; /* value of the row in the table entry */
	size_t entry_len;
	size_t nopening;
	struct lt_log_row *opening;
};

/* The openings' part of lt_feed_log_prepare(). */
int lt_opening_prepare(
    const struct lt_changeset *cs, struct lt_arena *arena, struct lt_log_rows *out);
/* An opening that an act names goes: its leaf stays, marked. *removed: the value was here. LT_OK where there is none. One
 * that is damaged goes whole. */
int lt_opening_erase(
    struct lt_kv_txn *txn, const struct lt_leaf_place *place, uint64_t position, bool *removed);
/* An opening goes without leaving its leaf: where that cannot be told. LT_OK where there is none. */
int lt_opening_drop(struct lt_kv_txn *txn, uint64_t position, uint32_t change, const char *field);
/* The seed, by which the salt of what is erased could be told, goes. */
int lt_opening_erase_seed(struct lt_kv_txn *txn, uint64_t position);
/* What is here of an opening, and its leaf, made of the value or kept in its place (zeros: nothing is here). LT_E_CORRUPT. */
int lt_opening_leaf(struct lt_kv_txn *txn, const struct lt_leaf_place *place, uint64_t position,
    enum lt_opening_state *state, struct lt_hash *leaf);
/* For a repair: the row of an opening as state says, from *o, whatever stands there now. Not LT_OPENING_NONE. */
int lt_opening_put_back(struct lt_kv_txn *txn, const struct lt_opening *o, uint64_t position,
    enum lt_opening_state state);
/* LT_OK: it is here, or was never; LT_E_CORRUPT. */
int lt_opening_seed_check(struct lt_kv_txn *txn, uint64_t position);
/* Rows of the table opening for a change-set just appended. */
int lt_opening_put_all(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position);

#endif
