/* Requests seen before (FORMAT.md 9.3, tables request and request_at). */
#include "proto/base/wire.h"
#include "proto/store/author.h"

#include "lienthong/v1/record.pb-c.h"

#include <stdio.h>
#include <string.h>

#define REPLY_MAX 4096
#define AT_LEN (8 + 16)
/* Taken out with each new one: more than come in, so that a backlog goes, and few enough for any batch. */
#define TRIM_MAX 8

int
lt_request_recall(struct lt_kv_txn *txn, const uint8_t request_id[16], struct lt_write *w,
    struct lt_arena *arena, struct lt_err *err)
{
	ProtobufCMessage *msg;
	const Ltpb__PutReply *r;
	struct lt_slice v;
	int rc = lt_kv_get(txn, LT_T_REQUEST, lt_slice(request_id, 16), &v);

	if (rc != LT_OK)
		return rc;
	rc = lt_wire_unpack(&ltpb__put_reply__descriptor, v, REPLY_MAX, arena, &msg, err);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	r = (const Ltpb__PutReply *)msg;
	w->rc = LT_OK;
	w->unchanged = r->unchanged;
	w->created = false;
	memset(&w->dot, 0, sizeof(w->dot));
	if (r->feed.len == LT_FEED_LEN)
		memcpy(w->dot.feed.b, r->feed.data, LT_FEED_LEN);
	w->dot.seq = r->seq;
	w->dot.index = r->index;
	(void)snprintf(w->key_out, sizeof(w->key_out), "%s", r->key);
	return LT_OK;
}

/* ---- forgetting ---- */

/* A clock that was set back, or is dead, must not put what comes now before what came then: as the stamps do. */
static int
time_of(struct lt_kv_txn *txn, int64_t now_ms, uint64_t *ms)
{
	uint64_t hlc;
	int rc = lt_local_get_u64(txn, "hlc", &hlc);

	*ms = now_ms > 0 ? (uint64_t)now_ms : 0;
	if (rc == LT_OK && *ms < (uint64_t)LT_STAMP_MS(hlc))
		*ms = (uint64_t)LT_STAMP_MS(hlc);
	return rc;
}

/* The first of request_at. Its value is empty: damage of it takes nothing away. */
static int
oldest(struct lt_kv_txn *txn, uint8_t key[LT_KV_KEY_MAX], size_t *len)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_REQUEST_AT, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
	if (rc == LT_OK || rc == LT_E_CORRUPT) {
		memcpy(key, k.data, k.len);
		*len = k.len;
		rc = LT_OK;
	}
	lt_kv_cursor_close(c);
	return rc;
}

static int
forget(struct lt_kv_txn *txn, const uint8_t *key, size_t len)
{
	int rc = len == AT_LEN ? lt_kv_del(txn, LT_T_REQUEST, lt_slice(key + 8, 16)) : LT_OK;

	if (rc == LT_OK || rc == LT_E_NOTFOUND)
		rc = lt_kv_del(txn, LT_T_REQUEST_AT, lt_slice(key, len));
	return rc;
}

static int
trim(struct lt_kv_txn *txn, uint64_t now)
{
	uint8_t key[LT_KV_KEY_MAX];
	uint64_t n;
	size_t len;
	int i, rc = lt_kv_count(txn, LT_T_REQUEST_AT, &n);

	for (i = 0; rc == LT_OK && i < TRIM_MAX; i++, n--) {
		rc = oldest(txn, key, &len);
		if (rc == LT_OK && len == AT_LEN && n <= LT_REQUESTS_MAX &&
		    lt_load_u64(key) + (uint64_t)LT_REQUEST_KEEP_MS >= now)
			return LT_OK;
		if (rc == LT_OK)
			rc = forget(txn, key, len);
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
note_time(struct lt_kv_txn *txn, const uint8_t request_id[16], int64_t now_ms)
{
	uint8_t key[AT_LEN];
	uint64_t now;
	int rc = time_of(txn, now_ms, &now);

	lt_store_u64(key, now);
	memcpy(key + 8, request_id, 16);
	if (rc == LT_OK)
		rc = lt_kv_put(txn, LT_T_REQUEST_AT, lt_slice(key, sizeof(key)), lt_slice(NULL, 0));
	return rc == LT_OK ? trim(txn, now) : rc;
}

int
lt_request_remember(struct lt_kv_txn *txn, const uint8_t request_id[16], const struct lt_unit *unit,
    const struct lt_write *w, int64_t now_ms)
{
	Ltpb__PutReply r = LTPB__PUT_REPLY__INIT;
	struct lt_dot dot = w->dot;
	struct lt_buf b;
	int rc;

	if (w->rc != LT_OK)
		return LT_OK;
	r.unit = (char *)unit->s;
	r.key = (char *)w->key_out;
	r.feed.data = dot.feed.b;
	r.feed.len = w->unchanged ? 0 : LT_FEED_LEN;
	r.seq = dot.seq;
	r.index = dot.index;
	r.unchanged = w->unchanged;
	lt_buf_init(&b, REPLY_MAX);
	rc = lt_wire_pack(&r.base, REPLY_MAX, &b);
	if (rc == LT_OK)
		rc = lt_kv_put(txn, LT_T_REQUEST, lt_slice(request_id, 16), lt_buf_slice(&b));
	lt_buf_fini(&b);
	return rc == LT_OK ? note_time(txn, request_id, now_ms) : rc;
}
