#include "proto/store/key_span.h"

#define SPAN_ARENA ((size_t)4 * 1024 * 1024)

static int
key_of(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, uint32_t *key_no, struct lt_hash *hash)
{
	struct lt_arena arena;
	struct lt_changeset cs;
	struct lt_entry e;
	uint64_t position;
	int rc = lt_feed_log_find(txn, unit, feed, seq, &position);

	if (rc == LT_OK)
		rc = lt_feed_log_read(txn, position, &e);
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
	lt_arena_init(&arena, SPAN_ARENA);
	rc = lt_changeset_open(e.changeset, &arena, &cs);
	if (rc == LT_OK) {
		*key_no = cs.key_no;
		*hash = cs.hash;
	}
	lt_arena_fini(&arena);
	return rc;
}

int
lt_key_span(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head, uint32_t key_no, uint64_t *seq, struct lt_hash *hash)
{
	uint64_t from = 0, to = head->seq, mid; /* from: under the key or 0; beyond to: not */
	struct lt_hash h = { { 0 } };
	uint32_t no;
	int rc;

	*seq = 0;
	if (head->seq != 0 && head->key_no <= key_no) {
		*seq = head->seq;
		*hash = head->hash;
		return LT_OK;
	}
	while (from < to) {
		mid = to - (to - from) / 2;
		rc = key_of(txn, unit, feed, mid, &no, &h);
		if (rc != LT_OK)
			return rc;
		if (no <= key_no) {
			from = mid;
			*seq = mid;
			*hash = h;
		} else {
			to = mid - 1;
		}
	}
	return LT_OK;
}
