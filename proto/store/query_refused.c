/* Changes that were refused: what stands in the table quarantine, as far as its asker may see the record, and whether the record was
 * saved again since. */
#include "proto/store/query_impl.h"

#include "proto/base/clock.h"
#include "proto/model/validate.h"

#include <stdlib.h>

#define ROW_KEY_LEN 12 /* position, index */

struct refused {
	const struct lt_query *q;
	const Ltpb__RefusedRequest *req;
	lt_author_name_fn *author_name;
	void *ctx;
	lt_unknown_fn *unknown;
	void *unknown_ctx;
	size_t want;
	bool full; /* one more is there */
	uint64_t dots; /* of histories, that were looked at */
	uint64_t position; /* of the last one in the reply, or where the list begins */
	uint32_t index;
	struct lt_log_view view, later;
	struct lt_room room;
	Ltpb__RefusedReply *reply;
	struct lt_err *err;
};

/* ---- what became of the record ---- */

struct sequel {
	struct refused *r;
	struct lt_dot dot; /* the refused one */
	const char *unit;
	uint64_t stamp;
	bool waits;
	uint64_t accepted; /* stamp of the first later change that was; 0: none */
	int rc;
};

static bool
is_after(const struct sequel *s, const struct lt_dot *dot, uint64_t stamp)
{
	if (lt_feed_id_cmp(&dot->feed, &s->dot.feed) != 0)
		return stamp > s->stamp;
	return dot->seq > s->dot.seq || (dot->seq == s->dot.seq && dot->index > s->dot.index);
}

static int
weigh(struct sequel *s, const struct lt_dot *dot, uint64_t position)
{
	struct lt_log_view *v = &s->r->later;
	Ltpb__ReasonCode reason;
	struct lt_unit unit;
	struct lt_head head;
	uint64_t stamp;
	int rc = lt_log_view_open(v, s->r->q->log, position);

	if (rc == LT_OK)
		rc = lt_unit_set(&unit, lt_slice_str(s->unit));
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
	stamp = lt_judgement_stamp(&v->judgement, v->stamp);
	if (!is_after(s, dot, stamp))
		return LT_OK;
	rc = lt_feed_log_head(s->r->q->log, &unit, &dot->feed, &head);
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
	if (dot->seq > head.judged || lt_judgement_holds(&v->judgement, dot->index))
		s->waits = true;
	else if (!lt_judgement_refuses(&v->judgement, dot->index, &reason) &&
		 (s->accepted == 0 || stamp < s->accepted))
		s->accepted = stamp;
	return LT_OK;
}

/* A branch that was set aside is nobody's answer. */
static int
on_dot(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct sequel *s = ctx;
	const struct lt_query *q = s->r->q;

	/* One record may have any number of changes. */
	if (++s->r->dots % LT_QUERY_TICK == 0 && q->tick != NULL)
		s->rc = q->tick(q->tick_ctx);
	if (s->rc == LT_OK && !lt_feed_is_aside(&dot->feed))
		s->rc = weigh(s, dot, position);
	return s->rc == LT_OK ? LT_OK : LT_E_CANCELLED;
}

static int
find_sequel(struct refused *r, const struct lt_change *c, uint32_t index, const char *unit,
    struct sequel *s)
{
	int rc;

	*s = (struct sequel){ .r = r,
		.dot = { r->view.feed, r->view.seq, index },
		.unit = unit,
		.stamp = lt_judgement_stamp(&r->view.judgement, r->view.stamp) };
	rc = lt_history_each(r->q->derived, c->collection, unit, c->key, on_dot, s);
	return rc == LT_OK ? s->rc : rc;
}

/* ---- one of them ---- */

/* LT_E_NOTFOUND: nothing of it is for the asker's eyes. *key: its key is. */
static int
look(struct refused *r, const struct lt_change *c, char *unit, bool *key)
{
	const struct lt_unit_view *view;
	struct lt_scope s;
	int rc;

	*key = true;
	/* An act where none belongs, such as a machine that makes itself a principal, is no record of its unit. */
	if (c->collection[0] == '_' || lt_catalogue_find(r->q->catalogue, c->collection) == NULL)
		return r->unknown(r->unknown_ctx, unit, c->collection) ? LT_OK : LT_E_NOTFOUND;
	rc = lt_scope_open(r->q, c->collection, &unit, 1, &s, NULL);
	if (rc == LT_OK)
		rc = lt_scope_view(&s, unit, &view);
	if (rc == LT_OK && !view->seen)
		rc = LT_E_NOTFOUND;
	if (rc == LT_OK)
		*key = view->key;
	lt_scope_close(&s);
	return rc == LT_E_DENIED ? LT_E_NOTFOUND : rc;
}

static char *
author_text(const struct refused *r)
{
	struct lt_id author = lt_feed_author(&r->view.feed);
	const char *name = r->author_name != NULL ? r->author_name(r->ctx, &author) : NULL;
	char hex[2 * LT_ID_LEN + 1];

	if (name == NULL || name[0] == '\0') {
		lt_hex(hex, author.b, LT_ID_LEN);
		name = hex;
	}
	return lt_arena_dup(r->q->arena, name, strlen(name));
}

static void
put_state(Ltpb__RefusedChange *m, const struct sequel *s)
{
	m->state = s->accepted != 0 ? LTPB__REFUSED_STATE__REFUSED_STATE_SUPERSEDED
		   : s->waits       ? LTPB__REFUSED_STATE__REFUSED_STATE_WAITING
				    : LTPB__REFUSED_STATE__REFUSED_STATE_OPEN;
	m->superseded_ms = s->accepted != 0 ? (int64_t)LT_STAMP_MS(s->accepted) : 0;
}

static int
put_message(struct refused *r, const struct lt_change *c, uint32_t index, Ltpb__ReasonCode reason,
    bool key, Ltpb__RefusedChange *m)
{
	struct lt_arena *a = r->q->arena;
	const struct lt_log_view *v = &r->view;

	m->position = v->position;
	m->index = index;
	m->unit = lt_arena_dup(a, v->unit.s, strlen(v->unit.s));
	m->unit_name = (char *)lt_record_unit_name(r->q->derived, v->unit.s, a);
	m->collection = lt_arena_dup(a, c->collection, strlen(c->collection));
	m->key = lt_arena_dup(a, key ? c->key : "", key ? strlen(c->key) : 0);
	m->feed.data = lt_arena_dup(a, v->feed.b, LT_FEED_LEN);
	m->feed.len = LT_FEED_LEN;
	m->seq = v->seq;
	m->author = author_text(r);
	m->time_ms = (int64_t)LT_STAMP_MS(lt_judgement_stamp(&v->judgement, v->stamp));
	m->kind = c->is_delete ? LTPB__CHANGE_KIND__CHANGE_KIND_DELETE
			       : LTPB__CHANGE_KIND__CHANGE_KIND_PUT;
	m->reason = reason;
	m->text = (char *)lt_reason_text(reason, false);
	m->text_vi = (char *)lt_reason_text(reason, true);
	m->next = (char *)lt_reason_next(reason, false);
	m->next_vi = (char *)lt_reason_next(reason, true);
	return m->unit == NULL || m->unit_name == NULL || m->collection == NULL || m->key == NULL ||
		       m->feed.data == NULL || m->author == NULL
		   ? LT_E_NOMEM
		   : LT_OK;
}

static int
add(struct refused *r, Ltpb__RefusedChange *m)
{
	size_t bytes = ltpb__refused_change__get_packed_size(m) + 8;

	if (r->reply->n_change == r->want || !lt_room_take(&r->room, bytes, 1)) {
		r->full = true;
		return LT_E_CANCELLED;
	}
	r->reply->change[r->reply->n_change++] = m;
	r->position = m->position;
	r->index = m->index;
	return LT_OK;
}

static int
tell(struct refused *r, uint32_t index, Ltpb__ReasonCode reason, const struct lt_change *c)
{
	char unit[LT_UNIT_MAX + 1];
	Ltpb__RefusedChange *m;
	struct sequel s;
	bool key;
	int rc;

	memcpy(unit, r->view.unit.s, sizeof(unit));
	rc = look(r, c, unit, &key);
	if (rc == LT_OK)
		rc = find_sequel(r, c, index, unit, &s);
	if (rc == LT_OK && s.accepted != 0 && !r->req->all && r->req->position == 0)
		return LT_OK;
	m = rc == LT_OK ? lt_arena_alloc(r->q->arena, sizeof(*m)) : NULL;
	if (rc == LT_OK && m == NULL)
		rc = LT_E_NOMEM;
	if (rc != LT_OK || m == NULL)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	ltpb__refused_change__init(m);
	put_state(m, &s);
	rc = put_message(r, c, index, reason, key, m);
	return rc == LT_OK ? add(r, m) : rc;
}

/* LT_E_CANCELLED ends the walk quietly. */
static int
look_at(struct refused *r, struct lt_slice key, struct lt_slice value)
{
	struct lt_change change;
	struct lt_arena scratch;
	uint32_t index;
	int rc = LT_OK;

	if (key.len != ROW_KEY_LEN || value.len != 2)
		return LT_E_CORRUPT;
	index = lt_load_u32(key.data + 8);
	if (r->q->tick != NULL)
		rc = r->q->tick(r->q->tick_ctx);
	if (rc != LT_OK)
		return rc;
	rc = lt_log_view_open(&r->view, r->q->log, lt_load_u64(key.data));
	if (rc == LT_OK && index >= r->view.nchange)
		rc = LT_E_CORRUPT;
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
	if (r->req->unit[0] != '\0' && strcmp(r->req->unit, r->view.unit.s) != 0)
		return LT_OK;
	lt_arena_init(&scratch, LT_SHOW_ARENA);
	rc = lt_log_view_change(&r->view, index, &scratch, &change);
	if (rc == LT_OK)
		rc = tell(r, index, (Ltpb__ReasonCode)lt_load_u16(value.data), &change);
	lt_arena_fini(&scratch);
	return rc;
}

/* ---- request ---- */

static int
token_read(struct refused *r, const Ltpb__RefusedRequest *bound)
{
	struct lt_slice content;
	struct lt_reader in;
	int rc = lt_token_open(
	    r->q, LT_TOKEN_REFUSED, &bound->base, &r->req->page_token, &content, r->err);

	if (rc != LT_OK)
		return rc;
	lt_reader_init(&in, content);
	r->position = lt_read_u64(&in);
	r->index = lt_read_u32(&in);
	return in.err != LT_OK || lt_reader_left(&in) != 0
		   ? lt_err_set(r->err, LT_E_INVALID, "this page token is none")
		   : LT_OK;
}

static int
token_write(struct refused *r, const Ltpb__RefusedRequest *bound)
{
	struct lt_buf b = { 0 };
	int rc;

	lt_buf_u64(&b, r->position);
	lt_buf_u32(&b, r->index);
	rc = b.err;
	if (rc == LT_OK)
		rc = lt_token_seal(r->q, LT_TOKEN_REFUSED, &bound->base, lt_buf_slice(&b),
		    &r->reply->next_page_token);
	lt_buf_fini(&b);
	return rc;
}

static int
walk(struct refused *r, bool behind)
{
	uint8_t from[ROW_KEY_LEN];
	struct lt_slice k, v;
	struct lt_kv_cursor *c;
	int rc = lt_kv_cursor_open(r->q->log, LT_T_QUARANTINE, &c), told = LT_OK;

	if (rc != LT_OK)
		return rc;
	lt_store_u64(from, r->position);
	lt_store_u32(from + 8, r->index);
	rc = lt_kv_seek(c, lt_slice(from, sizeof(from)), &k, &v);
	if (rc == LT_OK && behind && lt_slice_eq(k, lt_slice(from, sizeof(from))))
		rc = lt_kv_next(c, &k, &v);
	while (rc == LT_OK && told == LT_OK) {
		if (r->req->position != 0 && !lt_slice_eq(k, lt_slice(from, sizeof(from))))
			break;
		told = look_at(r, k, v);
		if (told == LT_OK)
			rc = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	if (told != LT_OK)
		return told == LT_E_CANCELLED && r->full ? LT_OK : told;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
run(struct refused *r)
{
	Ltpb__RefusedRequest bound = *r->req;
	const ProtobufCBinaryData none = { 0, NULL };
	bool behind = r->req->page_token.len != 0;
	int rc = lt_page_size(r->req->page_size, &r->want, r->err);

	bound.page_size = 0;
	bound.page_token = none;
	r->position = r->req->position;
	r->index = r->req->index;
	if (rc == LT_OK && behind)
		rc = token_read(r, &bound);
	if (rc != LT_OK)
		return rc;
	r->reply->change = lt_arena_alloc(r->q->arena, (r->want + 1) * sizeof(*r->reply->change));
	if (r->reply->change == NULL)
		return lt_nomem(r->err);
	rc = walk(r, behind);
	if (rc == LT_OK && r->full)
		rc = token_write(r, &bound);
	if (rc == LT_OK && r->req->position != 0 && r->reply->n_change == 0)
		rc = lt_err_set(r->err, LT_E_NOTFOUND, "there is no such refused change");
	return rc;
}

int
lt_query_refused(const struct lt_query *q, const Ltpb__RefusedRequest *req,
    lt_author_name_fn *author_name, void *ctx, lt_unknown_fn *unknown, void *unknown_ctx,
    Ltpb__RefusedReply *reply, struct lt_err *err)
{
	struct refused r = { .q = q,
		.req = req,
		.author_name = author_name,
		.ctx = ctx,
		.unknown = unknown,
		.unknown_ctx = unknown_ctx,
		.reply = reply,
		.err = err };
	int rc;

	ltpb__refused_reply__init(reply);
	rc = run(&r);
	lt_log_view_close(&r.view);
	lt_log_view_close(&r.later);
	return rc;
}
