/* The hub's decision about one change-set, as a Verdict of that one (FORMAT.md 9.3). */
#include "proto/store/feed_log_impl.h"

#include "proto/base/clock.h"
#include "proto/base/wire.h"

bool
lt_judgement_rising(const struct lt_judgement *j)
{
	size_t i;

	for (i = 1; i < j->nrefused; i++) {
		if (j->refused[i - 1]->index >= j->refused[i]->index)
			return false;
	}
	for (i = 1; i < j->nheld; i++) {
		if (j->held[i - 1]->index >= j->held[i]->index)
			return false;
	}
	return true;
}

bool
lt_judgement_trivial(const struct lt_judgement *j)
{
	return j->nrefused == 0 && j->nheld == 0 && !j->clamped;
}

int
lt_judgement_put(struct lt_kv_txn *txn, const struct lt_feed_id *feed, uint64_t seq,
    uint64_t position, const struct lt_judgement *j)
{
	Ltpb__Verdict v = LTPB__VERDICT__INIT;
	Ltpb__Clamp clamp = LTPB__CLAMP__INIT, *clamps[1] = { &clamp };
	struct lt_feed_id copy = *feed;
	struct lt_buf b = { 0 };
	uint8_t key[8];
	int rc;

	lt_store_u64(key, position);
	if (lt_judgement_trivial(j)) {
		rc = lt_kv_del(txn, LT_T_JUDGEMENT, lt_slice(key, sizeof(key)));
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	}
	v.feed.data = copy.b;
	v.feed.len = LT_FEED_LEN;
	v.from = v.to = clamp.from = clamp.to = seq;
	v.n_refused = j->nrefused;
	v.refused = j->refused;
	v.n_held = j->nheld;
	v.held = j->held;
	clamp.floor = j->floor;
	clamp.ceiling = j->ceiling;
	v.n_clamp = j->clamped ? 1 : 0;
	v.clamp = clamps;
	rc = lt_wire_pack(&v.base, LT_MESSAGE_MAX, &b);
	if (rc == LT_OK)
		rc = lt_kv_put(txn, LT_T_JUDGEMENT, lt_slice(key, sizeof(key)), lt_buf_slice(&b));
	lt_buf_fini(&b);
	return rc;
}

int
lt_feed_log_judge(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, uint64_t position, uint64_t effective, const struct lt_judgement *j)
{
	struct lt_head head;
	int rc = lt_feed_log_head(txn, unit, feed, &head);

	if (rc != LT_OK)
		return rc;
	if (seq == 0 || !lt_judgement_rising(j))
		return LT_E_INVALID;
	if (seq > head.judged + 1 || seq > head.seq)
		return LT_E_GAP;
	rc = lt_judgement_put(txn, feed, seq, position, j);
	if (rc != LT_OK || seq < head.judged)
		return rc;
	head.judged = seq;
	head.effective = effective;
	return lt_feed_log_head_put(txn, unit, feed, &head);
}

int
lt_feed_log_judgement(
    struct lt_kv_txn *txn, uint64_t position, struct lt_arena *arena, struct lt_judgement *out)
{
	ProtobufCMessage *msg;
	Ltpb__Verdict *v;
	struct lt_slice value;
	uint8_t key[8];
	int rc;

	memset(out, 0, sizeof(*out));
	lt_store_u64(key, position);
	rc = lt_kv_get(txn, LT_T_JUDGEMENT, lt_slice(key, sizeof(key)), &value);
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	rc = lt_wire_unpack(&ltpb__verdict__descriptor, value, LT_MESSAGE_MAX, arena, &msg, NULL);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	v = (Ltpb__Verdict *)msg;
	if (v->n_clamp > 1)
		return LT_E_CORRUPT;
	out->nrefused = v->n_refused;
	out->refused = v->refused;
	out->nheld = v->n_held;
	out->held = v->held;
	out->clamped = v->n_clamp == 1;
	if (out->clamped) {
		out->floor = v->clamp[0]->floor;
		out->ceiling = v->clamp[0]->ceiling;
	}
	return lt_judgement_rising(out) ? LT_OK : LT_E_CORRUPT;
}

bool
lt_judgement_refuses(const struct lt_judgement *j, uint32_t index, Ltpb__ReasonCode *reason)
{
	size_t lo = 0, hi = j->nrefused, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (j->refused[mid]->index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == j->nrefused || j->refused[lo]->index != index)
		return false;
	if (reason != NULL)
		*reason = j->refused[lo]->reason;
	return true;
}

bool
lt_judgement_holds(const struct lt_judgement *j, uint32_t index)
{
	size_t lo = 0, hi = j->nheld, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (j->held[mid]->index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < j->nheld && j->held[lo]->index == index;
}

uint64_t
lt_judgement_stamp(const struct lt_judgement *j, uint64_t stamp)
{
	return j->clamped ? lt_stamp_clamp(stamp, j->floor, j->ceiling) : stamp;
}
