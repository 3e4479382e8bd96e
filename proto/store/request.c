/* Requests seen before (FORMAT.md 9.3, table request). */
#include "proto/base/wire.h"
#include "proto/store/author.h"

#include "lienthong/v1/record.pb-c.h"

#include <stdio.h>
#include <string.h>

#define REPLY_MAX 4096

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

int
lt_request_remember(struct lt_kv_txn *txn, const uint8_t request_id[16], const struct lt_unit *unit,
    const struct lt_write *w)
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
	return rc;
}
