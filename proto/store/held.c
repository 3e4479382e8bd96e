/* Dots that wait for a change-set which is not here yet, by what they wait for. */
#include "proto/store/feed_log_impl.h"

#define HELD_TAIL (8 + 8 + 4) /* seq missing, position, change */

int
lt_held_add(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *missing,
    uint64_t missing_seq, uint64_t position, uint32_t change)
{
	struct lt_log_key k = { .len = 0 };

	lt_log_key_feed(&k, unit, missing);
	lt_log_key_u64(&k, missing_seq);
	lt_log_key_u64(&k, position);
	lt_log_key_u32(&k, change);
	return lt_kv_put(txn, LT_T_HELD, lt_log_key_slice(&k), lt_slice(NULL, 0));
}

/* Those waiting for uk, up to seq: counted, and noted in dots when that is not NULL. */
static int
held_scan(
    struct lt_kv_txn *txn, struct lt_slice uk, uint64_t seq, struct lt_held_dot *dots, size_t *n)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	const uint8_t *tail;
	size_t count = 0;
	int rc = lt_kv_cursor_open(txn, LT_T_HELD, &c);

	if (rc != LT_OK)
		return rc;
	for (rc = lt_kv_seek(c, uk, &k, &v); rc == LT_OK; rc = lt_kv_next(c, &k, &v)) {
		if (k.len < uk.len || memcmp(k.data, uk.data, uk.len) != 0)
			break;
		tail = k.data + uk.len;
		if (k.len != uk.len + HELD_TAIL) {
			rc = LT_E_CORRUPT;
			break;
		}
		if (lt_load_u64(tail) > seq)
			break;
		if (dots != NULL) {
			dots[count].missing_seq = lt_load_u64(tail);
			dots[count].position = lt_load_u64(tail + 8);
			dots[count].change = lt_load_u32(tail + 16);
		}
		count++;
	}
	lt_kv_cursor_close(c);
	*n = count;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_held_take(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, struct lt_arena *arena, struct lt_held_dot **dots, size_t *n)
{
	struct lt_log_key uk = { .len = 0 }, k;
	struct lt_held_dot *d = NULL;
	size_t count, i;
	int rc;

	*dots = NULL;
	*n = 0;
	lt_log_key_feed(&uk, unit, feed);
	rc = held_scan(txn, lt_log_key_slice(&uk), seq, NULL, &count);
	if (rc != LT_OK || count == 0)
		return rc;
	d = lt_arena_alloc(arena, count * sizeof(*d));
	if (d == NULL)
		return LT_E_NOMEM;
	rc = held_scan(txn, lt_log_key_slice(&uk), seq, d, &count);
	for (i = 0; rc == LT_OK && i < count; i++) {
		k = uk;
		lt_log_key_u64(&k, d[i].missing_seq);
		lt_log_key_u64(&k, d[i].position);
		lt_log_key_u32(&k, d[i].change);
		rc = lt_kv_del(txn, LT_T_HELD, lt_log_key_slice(&k));
	}
	if (rc == LT_OK) {
		*dots = d;
		*n = count;
	}
	return rc;
}

int
lt_held_waits(
    struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed, bool *waits)
{
	struct lt_log_key uk = { .len = 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v, in;
	int rc = lt_kv_cursor_open(txn, LT_T_HELD, &c);

	*waits = false;
	if (rc != LT_OK)
		return rc;
	lt_log_key_feed(&uk, unit, feed);
	in = lt_log_key_slice(&uk);
	rc = lt_kv_seek_at(c, in, in, &k, &v);
	*waits = rc == LT_OK;
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}
