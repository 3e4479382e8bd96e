#include "node/receipts.h"
#include "proto/base/error.h"
#include "proto/base/wire.h"
#include "proto/store/tables.h"

#include <string.h>

#define SEQ_LEN 8
#define UK_MAX (1 + LT_UNIT_MAX + LT_FEED_LEN)

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
