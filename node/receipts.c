#include "node/receipts.h"
#include "proto/base/error.h"
#include "proto/base/wire.h"
#include "proto/store/tables.h"

#include <string.h>

#define SEQ_LEN 8
#define UK_MAX (1 + LT_UNIT_MAX + LT_FEED_LEN)
#define THIN_ARENA ((size_t)4 * 1024 * 1024)
#define DAY_MS INT64_C(86400000)
#define VIETNAM_MS INT64_C(25200000) /* UTC+7, without summer time */

struct walk {
	struct lt_kv_cursor *c;
	struct lt_arena *arena;
	struct lt_receipts *out;
	size_t max, bytes_max;
};

/* uk || 2^64 - 1: no receipt of the feed stands behind it. */
static struct lt_slice
end_of(struct lt_slice uk, uint8_t key[UK_MAX + SEQ_LEN])
{
	memcpy(key, uk.data, uk.len);
	memset(key + uk.len, 0xff, SEQ_LEN);
	return lt_slice(key, uk.len + SEQ_LEN);
}

static bool
is_of(struct lt_slice uk, struct lt_slice k)
{
	return k.len == uk.len + SEQ_LEN && memcmp(k.data, uk.data, uk.len) == 0;
}

static int
unpack(struct walk *w, struct lt_slice value, Ltpb__Receipt **out)
{
	ProtobufCMessage *m;
	int rc =
	    lt_wire_unpack(&ltpb__receipt__descriptor, value, LT_MESSAGE_MAX, w->arena, &m, NULL);

	*out = (Ltpb__Receipt *)m;
	return rc == LT_OK || rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
}

/* From the newest backwards into the list behind what is there already, then turned round. */
static int
newest_of(struct walk *w, struct lt_slice uk)
{
	struct lt_receipts *o = w->out;
	Ltpb__Receipt **wider, *swap;
	uint8_t end[UK_MAX + SEQ_LEN];
	struct lt_slice k, v;
	size_t first = o->n, i;
	int rc;

	wider = lt_arena_alloc(w->arena, (o->n + w->max) * sizeof(Ltpb__Receipt *));
	if (wider == NULL)
		return LT_E_NOMEM;
	if (o->n != 0)
		memcpy(wider, o->receipt, o->n * sizeof(Ltpb__Receipt *));
	o->receipt = wider;
	rc = lt_kv_seek_before(w->c, end_of(uk, end), &k, &v);
	while (rc == LT_OK && is_of(uk, k) && o->n - first < w->max &&
	       v.len <= w->bytes_max - o->bytes) {
		rc = unpack(w, v, &o->receipt[o->n]);
		if (rc != LT_OK)
			return rc;
		o->n++;
		o->bytes += v.len;
		rc = lt_kv_prev(w->c, &k, &v);
	}
	for (i = 0; i < (o->n - first) / 2; i++) {
		swap = o->receipt[first + i];
		o->receipt[first + i] = o->receipt[o->n - 1 - i];
		o->receipt[o->n - 1 - i] = swap;
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
newest_of_all(struct walk *w)
{
	uint8_t uk[UK_MAX], end[UK_MAX + SEQ_LEN];
	struct lt_slice k, v;
	size_t len;
	int rc = lt_kv_seek(w->c, lt_slice(NULL, 0), &k, &v);

	while (rc == LT_OK) {
		if (k.len <= SEQ_LEN || k.len > sizeof(end))
			return LT_E_CORRUPT;
		len = k.len - SEQ_LEN;
		memcpy(uk, k.data, len);
		rc = newest_of(w, lt_slice(uk, len));
		if (rc == LT_OK)
			rc = lt_kv_seek(w->c, end_of(lt_slice(uk, len), end), &k, &v);
		if (rc == LT_OK && is_of(lt_slice(uk, len), k))
			rc = lt_kv_next(w->c, &k, &v);
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_receipts_newest(struct lt_kv_txn *txn, struct lt_slice uk, size_t max, size_t bytes_max,
    struct lt_arena *arena, struct lt_receipts *out)
{
	struct walk w = { .arena = arena, .out = out, .max = max, .bytes_max = bytes_max };
	int rc;

	memset(out, 0, sizeof(*out));
	if (uk.len > UK_MAX)
		return LT_E_INVALID;
	rc = lt_kv_cursor_open(txn, LT_T_RECEIPT, &w.c);
	if (rc != LT_OK)
		return rc;
	rc = uk.len != 0 ? newest_of(&w, uk) : newest_of_all(&w);
	lt_kv_cursor_close(w.c);
	return rc;
}

/* ---- thinning ---- */

struct thin {
	struct lt_kv_cursor *c;
	struct lt_slice key;
	int64_t day;
	bool superseded; /* a later one of the day is there */
	size_t n;
	uint64_t seq[LT_RECEIPTS_THIN_MAX];
};

static bool
day_of(struct lt_slice receipt, int64_t *day)
{
	struct lt_arena arena;
	ProtobufCMessage *m;
	bool can;

	lt_arena_init(&arena, THIN_ARENA);
	can = lt_wire_unpack(
		  &ltpb__receipt__descriptor, receipt, LT_MESSAGE_MAX, &arena, &m, NULL) == LT_OK;
	if (can) {
		const ProtobufCBinaryData *body = &((const Ltpb__Receipt *)m)->body;

		can =
		    lt_wire_unpack(&ltpb__receipt_body__descriptor, lt_slice(body->data, body->len),
			LT_MESSAGE_MAX, &arena, &m, NULL) == LT_OK;
	}
	if (can) {
		int64_t since = ((const Ltpb__ReceiptBody *)m)->since_ms;

		can = since >= 0 && since <= INT64_MAX - VIETNAM_MS;
		*day = can ? (since + VIETNAM_MS) / DAY_MS : 0;
	}
	lt_arena_fini(&arena);
	return can;
}

/* The row at the cursor: of the same feed and day? */
static bool
is_same_day(const struct thin *t, int rc, struct lt_slice k, struct lt_slice v)
{
	int64_t day;

	return rc == LT_OK && is_of(lt_slice(t->key.data, t->key.len - SEQ_LEN), k) &&
	       day_of(v, &day) && day == t->day;
}

/* What goes is gathered first: a cursor does not outlive a change of its table. */
static int
gather(struct thin *t)
{
	struct lt_slice k, v;
	int rc = lt_kv_seek(t->c, t->key, &k, &v);

	if (rc != LT_OK || !lt_slice_eq(k, t->key) || !day_of(v, &t->day))
		return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
	rc = lt_kv_next(t->c, &k, &v);
	t->superseded = is_same_day(t, rc, k, v);
	rc = lt_kv_seek_before(t->c, t->key, &k, &v);
	while (t->n < LT_RECEIPTS_THIN_MAX && is_same_day(t, rc, k, v)) {
		t->seq[t->n++] = lt_load_u64(k.data + k.len - SEQ_LEN);
		rc = lt_kv_prev(t->c, &k, &v);
	}
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

int
lt_receipts_thin(struct lt_kv_txn *txn, struct lt_slice key)
{
	uint8_t gone[UK_MAX + SEQ_LEN];
	struct thin t = { .key = key };
	size_t i;
	int rc;

	if (key.len <= SEQ_LEN || key.len > sizeof(gone))
		return LT_E_INVALID;
	rc = lt_kv_cursor_open(txn, LT_T_RECEIPT, &t.c);
	if (rc != LT_OK)
		return rc;
	rc = gather(&t);
	lt_kv_cursor_close(t.c);
	memcpy(gone, key.data, key.len);
	for (i = 0; rc == LT_OK && i < t.n; i++) {
		lt_store_u64(gone + key.len - SEQ_LEN, t.seq[i]);
		rc = lt_kv_del(txn, LT_T_RECEIPT, lt_slice(gone, key.len));
	}
	if (rc == LT_OK && t.superseded)
		rc = lt_kv_del(txn, LT_T_RECEIPT, key);
	return rc;
}
