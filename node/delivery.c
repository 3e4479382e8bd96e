#include "node/delivery.h"
#include "node/node_impl.h"
#include "proto/base/wire.h"
#include "proto/store/log_view.h"
#include "proto/store/projection.h"

#include <string.h>

/* ---- one record ---- */

struct last_own {
	struct lt_id author;
	bool found;
	struct lt_dot dot;
	uint64_t position;
};

/* Of one change-set that changes a record twice, the later change. */
static bool
is_later(const struct last_own *l, const struct lt_dot *dot, uint64_t position)
{
	return position > l->position || (position == l->position && dot->index > l->dot.index);
}

static int
note_own(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct last_own *l = ctx;
	struct lt_id author = lt_feed_author(&dot->feed);

	if (lt_id_eq(&author, &l->author) && !lt_feed_is_aside(&dot->feed) &&
	    (!l->found || is_later(l, dot, position))) {
		l->found = true;
		l->dot = *dot;
		l->position = position;
	}
	return LT_OK;
}

static int
find_last(struct lt_node *n, struct lt_kv_txn *txn, const char *collection, const char *key,
    struct last_own *l)
{
	int rc;

	memset(l, 0, sizeof(*l));
	l->author = n->identity->principal;
	rc = lt_history_each(txn, collection, n->identity->unit.s, key, note_own, l);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
weigh_judged(
    struct lt_kv_txn *txn, const struct last_own *l, Ltpb__Delivery *out, Ltpb__ReasonCode *reason)
{
	struct lt_judgement j;
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, LT_NODE_ARENA);
	rc = lt_feed_log_judgement(txn, l->position, &arena, &j);
	if (rc == LT_OK && lt_judgement_refuses(&j, l->dot.index, reason))
		*out = LTPB__DELIVERY__DELIVERY_REFUSED;
	else if (rc == LT_OK && lt_judgement_holds(&j, l->dot.index))
		*out = LTPB__DELIVERY__DELIVERY_HELD;
	lt_arena_fini(&arena);
	return rc;
}

int
lt_node_delivery(struct lt_node *n, struct lt_kv_txn *txn, const char *collection, const char *key,
    lt_sent_fn *sent, void *ctx, Ltpb__Delivery *out, Ltpb__ReasonCode *reason)
{
	struct lt_head head;
	struct last_own l;
	uint64_t receipted;
	bool aside;
	int rc = lt_record_aside(txn, collection, n->identity->unit.s, key, &aside);

	*out = LTPB__DELIVERY__DELIVERY_RECEIPTED;
	*reason = LTPB__REASON_CODE__REASON_UNSPECIFIED;
	if (rc == LT_OK && aside)
		*out = LTPB__DELIVERY__DELIVERY_FORKED;
	if (rc != LT_OK || aside)
		return rc;
	rc = find_last(n, txn, collection, key, &l);
	if (rc != LT_OK || !l.found)
		return rc;
	rc = lt_feed_log_head(txn, &n->identity->unit, &l.dot.feed, &head);
	if (rc != LT_OK)
		return rc;
	if (l.dot.seq <= head.judged)
		return weigh_judged(txn, &l, out, reason);
	rc = lt_node_receipted(txn, &n->identity->unit, &l.dot.feed, &receipted);
	if (rc == LT_OK && l.dot.seq > receipted)
		*out = sent != NULL && sent(ctx, &l.dot.feed, l.dot.seq)
			   ? LTPB__DELIVERY__DELIVERY_SENT
			   : LTPB__DELIVERY__DELIVERY_SAVED;
	return rc;
}

/* ---- all that the hub did not take ---- */

struct stopped {
	struct lt_node *n;
	struct lt_kv_txn *txn;
	const char *collection;
	struct lt_place after;
	struct lt_log_view view;
	lt_stopped_fn *fn;
	void *ctx;
};

/* Is this change the last that was made here to its record? One that stands aside is another matter (FORKED). */
static int
is_last(struct stopped *w, const struct lt_stopped *s, bool *last)
{
	struct last_own l;
	bool aside;
	int rc = lt_record_aside(w->txn, w->collection, w->n->identity->unit.s, s->key, &aside);

	*last = false;
	if (rc != LT_OK || aside)
		return rc;
	rc = find_last(w->n, w->txn, w->collection, s->key, &l);
	*last = l.found && l.position == s->at.position && l.dot.index == s->at.index;
	return rc;
}

static int
tell(struct stopped *w, uint32_t index, Ltpb__Delivery delivery, Ltpb__ReasonCode reason)
{
	struct lt_stopped s = { { w->view.position, index }, NULL, delivery, reason };
	struct lt_change change;
	bool last;
	struct lt_arena arena;
	int rc = LT_OK;

	if (s.at.position == w->after.position && index <= w->after.index)
		return LT_OK;
	lt_arena_init(&arena, LT_NODE_ARENA);
	rc = lt_log_view_change(&w->view, index, &arena, &change);
	if (rc == LT_OK && strcmp(change.collection, w->collection) == 0) {
		s.key = change.key;
		rc = is_last(w, &s, &last);
		if (rc == LT_OK && last)
			rc = w->fn(w->ctx, &s);
	}
	lt_arena_fini(&arena);
	return rc;
}

/* Refused and held ones of a change-set, both rising by index, as one row rising. */
static int
tell_all(struct stopped *w)
{
	const struct lt_judgement *j = &w->view.judgement;
	size_t r = 0, h = 0;
	int rc = LT_OK;

	while (rc == LT_OK && (r < j->nrefused || h < j->nheld)) {
		if (h == j->nheld ||
		    (r < j->nrefused && j->refused[r]->index <= j->held[h]->index)) {
			rc = tell(w, j->refused[r]->index, LTPB__DELIVERY__DELIVERY_REFUSED,
			    j->refused[r]->reason);
			r++;
		} else {
			rc = tell(w, j->held[h]->index, LTPB__DELIVERY__DELIVERY_HELD,
			    LTPB__REASON_CODE__REASON_UNSPECIFIED);
			h++;
		}
	}
	return rc;
}

/* Of a judgement that only clamps, or of somebody else's change-set, the change-set itself is not read. */
static int
is_ours(const struct stopped *w, struct lt_slice judgement, bool *ours)
{
	struct lt_id author;
	struct lt_feed_id feed;
	struct lt_arena arena;
	ProtobufCMessage *m;
	Ltpb__Verdict *v;
	int rc;

	*ours = false;
	lt_arena_init(&arena, LT_NODE_ARENA);
	rc =
	    lt_wire_unpack(&ltpb__verdict__descriptor, judgement, LT_MESSAGE_MAX, &arena, &m, NULL);
	v = (Ltpb__Verdict *)m;
	if (rc == LT_OK && v->feed.len == LT_FEED_LEN) {
		memcpy(feed.b, v->feed.data, LT_FEED_LEN);
		author = lt_feed_author(&feed);
		*ours = lt_id_eq(&author, &w->n->identity->principal) &&
			(v->n_refused != 0 || v->n_held != 0);
	} else if (rc != LT_E_NOMEM) {
		rc = LT_E_CORRUPT;
	}
	lt_arena_fini(&arena);
	return rc;
}

static int
look_at(struct stopped *w, struct lt_slice key, struct lt_slice value)
{
	bool ours;
	int rc;

	if (key.len != 8)
		return LT_E_CORRUPT;
	rc = is_ours(w, value, &ours);
	if (rc != LT_OK || !ours)
		return rc;
	rc = lt_log_view_open(&w->view, w->txn, lt_load_u64(key.data));
	if (rc == LT_OK && lt_unit_eq(&w->view.unit, &w->n->identity->unit))
		rc = tell_all(w);
	return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
}

int
lt_node_stopped_each(struct lt_node *n, struct lt_kv_txn *txn, const char *collection,
    struct lt_place after, lt_stopped_fn *fn, void *ctx)
{
	struct stopped w = {
		.n = n, .txn = txn, .collection = collection, .after = after, .fn = fn, .ctx = ctx
	};
	struct lt_slice k, v;
	struct lt_kv_cursor *c;
	uint8_t from[8];
	int told = LT_OK, rc = lt_kv_cursor_open(txn, LT_T_JUDGEMENT, &c);

	if (rc != LT_OK)
		return rc;
	lt_store_u64(from, after.position);
	rc = lt_kv_seek(c, lt_slice(from, sizeof(from)), &k, &v);
	while (rc == LT_OK && told == LT_OK) {
		told = look_at(&w, k, v);
		if (told == LT_OK)
			rc = lt_kv_next(c, &k, &v);
	}
	lt_log_view_close(&w.view);
	lt_kv_cursor_close(c);
	if (told != LT_OK)
		return told;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}
