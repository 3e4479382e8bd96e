/* History: every change of a record, judged or not, from the feeds themselves. */
#include "proto/store/query_impl.h"

#include "proto/base/clock.h"
#include "proto/model/value.h"

#include <stdlib.h>

/* A change may name as many bytes as a message holds; what is beyond this is only named. */
#define ENTRY_BYTES_MAX LT_RECORD_MAX
#define ENTRY_TICKS 16 /* reading a change-set is dearer than a row */

struct moment {
	uint64_t stamp; /* effective */
	struct lt_dot dot;
	uint64_t position;
};

struct history {
	struct lt_scope *scope;
	const Ltpb__HistoryRequest *req;
	lt_author_name_fn *author_name;
	void *ctx;
	size_t want;
	bool has_after;
	struct moment after, last;
	size_t nkept; /* the first want + 1 */
	struct moment *kept; /* owned */
	bool any; /* the record has a history */
	int rc; /* why the walk over the dots stopped */
	struct lt_log_view view;
	struct lt_room room;
	Ltpb__HistoryReply *reply;
	struct lt_err *err;
};

static int
moment_cmp(const struct moment *a, const struct moment *b)
{
	if (a->stamp != b->stamp)
		return a->stamp < b->stamp ? -1 : 1;
	return lt_dot_cmp(&a->dot, &b->dot);
}

static int
view_open(struct history *h, const struct lt_dot *dot, uint64_t position)
{
	struct lt_feed_id feed;
	int rc = lt_log_view_open(&h->view, h->scope->q->log, position);

	if (rc == LT_E_NOTFOUND)
		return LT_E_CORRUPT;
	if (rc != LT_OK)
		return rc;
	feed = lt_feed_is_aside(&dot->feed) ? lt_feed_aside(&h->view.feed) : h->view.feed;
	return lt_feed_id_cmp(&feed, &dot->feed) == 0 && h->view.seq == dot->seq &&
		       dot->index < h->view.nchange
		   ? LT_OK
		   : LT_E_CORRUPT;
}

/* ---- which changes ---- */

static void
keep(struct history *h, const struct moment *m)
{
	size_t low = 0, high = h->nkept, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (moment_cmp(&h->kept[mid], m) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low > h->want)
		return;
	if (h->nkept > h->want)
		h->nkept--;
	memmove(&h->kept[low + 1], &h->kept[low], (h->nkept - low) * sizeof(*m));
	h->kept[low] = *m;
	h->nkept++;
}

static int
moment_add(struct history *h, const struct lt_dot *dot, uint64_t position)
{
	struct moment m = { 0, *dot, position };
	const struct lt_query *q = h->scope->q;
	int rc = LT_OK;

	if (++h->scope->ticks % ENTRY_TICKS == 0 && q->tick != NULL)
		rc = q->tick(q->tick_ctx);
	if (rc == LT_OK)
		rc = view_open(h, dot, position);
	if (rc != LT_OK)
		return rc;
	m.stamp = lt_judgement_stamp(&h->view.judgement, h->view.stamp);
	if (!h->has_after || moment_cmp(&m, &h->after) > 0)
		keep(h, &m);
	return LT_OK;
}

/* The walk ends quietly on LT_E_CANCELLED, which a query may also end with in earnest. */
static int
on_dot(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct history *h = ctx;

	h->any = true;
	h->rc = moment_add(h, dot, position);
	return h->rc == LT_OK ? LT_OK : LT_E_CANCELLED;
}

/* ---- one entry ---- */

struct entry {
	struct history *h;
	const struct moment *m;
	const struct lt_unit_view *view;
	Ltpb__HistoryEntry *out;
	size_t bytes;
};

/* `_actor` is in no catalogue: an account of the unit's people, to be seen by who sees all of a person's data. */
static bool
shows(const struct entry *e, const char *name)
{
	const struct lt_scope *s = e->h->scope;
	const struct lt_sight *sight = s->q->sight;
	static const struct lt_field actor = { .rule = { .name = LT_ACTOR_FIELD,
						   .personal = LT_PERSONAL_SENSITIVE } };
	const struct lt_field *f = lt_collection_field(s->col, name);

	if (strcmp(name, LT_ACTOR_FIELD) == 0)
		return sight->field(sight->ctx, s->col, e->view->unit.s, &actor);
	return f != NULL && e->view->field[f - s->col->field];
}

static int
copy_names(struct lt_arena *a, char *const *from, size_t n, char ***out)
{
	size_t i;

	*out = lt_arena_alloc(a, n * sizeof(**out));
	for (i = 0; *out != NULL && i < n; i++) {
		(*out)[i] = lt_arena_dup(a, from[i], strlen(from[i]));
		if ((*out)[i] == NULL)
			return LT_E_NOMEM;
	}
	return *out == NULL ? LT_E_NOMEM : LT_OK;
}

/* Named, as it cannot be shown. */
static int
put_masked(struct entry *e, const char *name)
{
	char *copy = lt_arena_dup(e->h->scope->q->arena, name, strlen(name));

	e->out->masked[e->out->n_masked++] = copy;
	return copy == NULL ? LT_E_NOMEM : LT_OK;
}

static int
put_value(struct entry *e, const Ltpb__FieldSet *f)
{
	struct lt_arena *a = e->h->scope->q->arena;
	Ltpb__FieldSet *fs;
	size_t size = ltpb__field_set__get_packed_size(f);
	int rc;

	if (!shows(e, f->name))
		return LT_OK; /* of put_hidden() */
	if (f->value == NULL || size > ENTRY_BYTES_MAX - e->bytes)
		return put_masked(e, f->name);
	e->bytes += size;
	fs = lt_arena_alloc(a, sizeof(*fs));
	if (fs == NULL)
		return LT_E_NOMEM;
	ltpb__field_set__init(fs);
	fs->name = lt_arena_dup(a, f->name, strlen(f->name));
	fs->value = lt_value_dup(f->value, a);
	if (fs->name == NULL || fs->value == NULL)
		return LT_E_NOMEM;
	rc = copy_names(a, f->added, f->n_added, &fs->added);
	if (rc == LT_OK)
		rc = copy_names(a, f->removed, f->n_removed, &fs->removed);
	fs->n_added = f->n_added;
	fs->n_removed = f->n_removed;
	if (rc == LT_OK)
		e->out->field[e->out->n_field++] = fs;
	return rc;
}

/* That it was forgotten is told, apart from what was never here. */
static int
put_absent(struct entry *e, const char *name)
{
	enum lt_opening_state state;
	char *copy;
	int rc =
	    lt_opening_state(e->h->scope->q->log, e->m->position, e->m->dot.index, name, &state);

	if (rc != LT_OK || state != LT_OPENING_ERASED)
		return rc == LT_OK ? put_masked(e, name) : rc;
	copy = lt_arena_dup(e->h->scope->q->arena, name, strlen(name));
	e->out->erased[e->out->n_erased++] = copy;
	return copy == NULL ? LT_E_NOMEM : LT_OK;
}

/* A committed field: its opening where it may be seen and is here, else its name. */
static int
put_personal(struct entry *e, const char *name, struct lt_arena *scratch)
{
	struct lt_slice bytes;
	struct lt_field_set f;
	int rc;

	if (!shows(e, name))
		return LT_OK;
	rc = lt_opening_get(e->h->scope->q->log, e->m->position, e->m->dot.index, name, scratch,
	    &bytes, NULL, NULL);
	if (rc == LT_E_NOTFOUND)
		return put_absent(e, name);
	if (rc == LT_OK)
		rc = lt_field_set_decode(bytes, scratch, &f, NULL);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM || rc == LT_E_CORRUPT ? rc : LT_E_CORRUPT;
	return strcmp(f.pb->name, name) == 0 ? put_value(e, f.pb) : LT_E_CORRUPT;
}

static int
field_order(const void *a, const void *b)
{
	return strcmp((*(Ltpb__FieldSet *const *)a)->name, (*(Ltpb__FieldSet *const *)b)->name);
}

static int
name_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Out of sight: named in every put, touched or not, as it is nobody's business that it was. */
static int
put_hidden(struct entry *e, const struct lt_change *c)
{
	size_t i, n = c->is_delete ? 0 : e->view->nhidden;
	int rc = shows(e, LT_ACTOR_FIELD) ? LT_OK : put_masked(e, LT_ACTOR_FIELD);

	for (i = 0; rc == LT_OK && i < n; i++)
		if (!e->view->hidden[i]->in_key && !e->view->hidden[i]->is_unit)
			rc = put_masked(e, e->view->hidden[i]->rule.name);
	return rc;
}

static int
put_fields(struct entry *e, const struct lt_change *c, struct lt_arena *scratch)
{
	struct lt_arena *a = e->h->scope->q->arena;
	size_t n = c->nset + c->npersonal + c->ncleared + e->view->nhidden + 1, i;
	int rc;

	e->out->field = lt_arena_alloc(a, (n + 1) * sizeof(*e->out->field));
	e->out->cleared = lt_arena_alloc(a, (n + 1) * sizeof(*e->out->cleared));
	e->out->masked = lt_arena_alloc(a, (n + 1) * sizeof(*e->out->masked));
	e->out->erased = lt_arena_alloc(a, (c->npersonal + 1) * sizeof(*e->out->erased));
	if (e->out->field == NULL || e->out->cleared == NULL || e->out->masked == NULL ||
	    e->out->erased == NULL)
		return LT_E_NOMEM;
	rc = put_hidden(e, c);
	for (i = 0; rc == LT_OK && i < c->nset; i++)
		rc = put_value(e, c->set[i].pb);
	for (i = 0; rc == LT_OK && i < c->npersonal; i++)
		rc = put_personal(e, c->personal[i], scratch);
	for (i = 0; rc == LT_OK && i < c->ncleared; i++) {
		if (!shows(e, c->cleared[i]))
			continue;
		e->out->cleared[e->out->n_cleared] =
		    lt_arena_dup(a, c->cleared[i], strlen(c->cleared[i]));
		rc = e->out->cleared[e->out->n_cleared++] == NULL ? LT_E_NOMEM : LT_OK;
	}
	if (rc != LT_OK)
		return rc;
	qsort(e->out->field, e->out->n_field, sizeof(*e->out->field), field_order);
	qsort(e->out->masked, e->out->n_masked, sizeof(*e->out->masked), name_order);
	qsort(e->out->erased, e->out->n_erased, sizeof(*e->out->erased), name_order);
	return LT_OK;
}

static char *
author_text(const struct history *h, const struct lt_id *author)
{
	const char *name = h->author_name != NULL ? h->author_name(h->ctx, author) : NULL;
	char hex[2 * LT_ID_LEN + 1];

	if (name == NULL || name[0] == '\0') {
		lt_hex(hex, author->b, LT_ID_LEN);
		name = hex;
	}
	return lt_arena_dup(h->scope->q->arena, name, strlen(name));
}

static int
put_head(struct entry *e)
{
	struct lt_arena *a = e->h->scope->q->arena;
	const struct lt_log_view *v = &e->h->view;
	struct lt_id author = lt_feed_author(&e->m->dot.feed);
	Ltpb__ReasonCode reason = LTPB__REASON_CODE__REASON_UNSPECIFIED;
	Ltpb__HistoryEntry *out = e->out;

	out->feed.data = lt_arena_dup(a, v->feed.b, LT_FEED_LEN);
	out->feed.len = LT_FEED_LEN;
	out->hash.data = lt_arena_dup(a, v->hash.b, LT_HASH_LEN);
	out->hash.len = LT_HASH_LEN;
	out->author = author_text(e->h, &author);
	out->seq = e->m->dot.seq;
	out->index = e->m->dot.index;
	out->time_ms = (int64_t)LT_STAMP_MS(e->m->stamp);
	if (lt_judgement_refuses(&v->judgement, e->m->dot.index, &reason))
		out->refused = reason;
	out->held = lt_judgement_holds(&v->judgement, e->m->dot.index);
	out->forked = lt_feed_is_aside(&e->m->dot.feed);
	return out->feed.data == NULL || out->hash.data == NULL || out->author == NULL ? LT_E_NOMEM
										       : LT_OK;
}

static int
entry_fill(struct entry *e, struct lt_arena *scratch)
{
	struct lt_change change;
	int rc = lt_log_view_change(&e->h->view, e->m->dot.index, scratch, &change);

	if (rc != LT_OK)
		return rc;
	if (strcmp(change.collection, e->h->req->collection) != 0 ||
	    strcmp(change.key, e->h->req->key) != 0)
		return LT_E_CORRUPT;
	e->out->kind = change.is_delete ? LTPB__CHANGE_KIND__CHANGE_KIND_DELETE
					: LTPB__CHANGE_KIND__CHANGE_KIND_PUT;
	rc = put_head(e);
	return rc == LT_OK ? put_fields(e, &change, scratch) : rc;
}

static size_t
entry_items(const Ltpb__HistoryEntry *e)
{
	size_t i, n = 1 + e->n_cleared + e->n_masked;

	for (i = 0; i < e->n_field; i++)
		n += lt_field_items(e->field[i]);
	return n;
}

/* *full: it does not fit this page any more. */
static int
entry_add(struct history *h, const struct moment *m, bool *full)
{
	struct entry e = { .h = h, .m = m };
	struct lt_arena scratch;
	int rc = view_open(h, &m->dot, m->position);

	if (rc == LT_OK)
		rc = lt_scope_view(h->scope, h->req->unit, &e.view);
	e.out = rc == LT_OK ? lt_arena_alloc(h->scope->q->arena, sizeof(*e.out)) : NULL;
	if (rc == LT_OK && e.out == NULL)
		rc = LT_E_NOMEM;
	if (rc != LT_OK)
		return rc;
	ltpb__history_entry__init(e.out);
	lt_arena_init(&scratch, LT_SHOW_ARENA);
	rc = entry_fill(&e, &scratch);
	lt_arena_fini(&scratch);
	if (rc != LT_OK)
		return rc;
	*full = !lt_room_take(
	    &h->room, ltpb__history_entry__get_packed_size(e.out) + 8, entry_items(e.out));
	if (!*full) {
		h->reply->entry[h->reply->n_entry++] = e.out;
		h->last = *m;
	}
	return LT_OK;
}

/* ---- request ---- */

static int
token_read(struct history *h, const Ltpb__HistoryRequest *bound)
{
	struct lt_slice content, feed;
	struct lt_reader r;
	int rc = lt_token_open(
	    h->scope->q, LT_TOKEN_HISTORY, &bound->base, &h->req->page_token, &content, h->err);

	if (rc != LT_OK)
		return rc;
	lt_reader_init(&r, content);
	h->after.stamp = lt_read_u64(&r);
	feed = lt_read_bytes(&r, LT_FEED_LEN);
	h->after.dot.seq = lt_read_u64(&r);
	h->after.dot.index = lt_read_u32(&r);
	if (r.err != LT_OK || lt_reader_left(&r) != 0)
		return lt_err_set(h->err, LT_E_INVALID, "this page token is none");
	memcpy(h->after.dot.feed.b, feed.data, LT_FEED_LEN);
	h->has_after = true;
	return LT_OK;
}

static int
token_write(struct history *h, const Ltpb__HistoryRequest *bound)
{
	struct lt_buf b = { 0 };
	int rc;

	lt_buf_u64(&b, h->last.stamp);
	lt_buf_put(&b, h->last.dot.feed.b, LT_FEED_LEN);
	lt_buf_u64(&b, h->last.dot.seq);
	lt_buf_u32(&b, h->last.dot.index);
	rc = b.err;
	if (rc == LT_OK)
		rc = lt_token_seal(h->scope->q, LT_TOKEN_HISTORY, &bound->base, lt_buf_slice(&b),
		    &h->reply->next_page_token);
	lt_buf_fini(&b);
	return rc;
}

static int
page(struct history *h)
{
	bool full = false;
	size_t i, n = h->nkept < h->want ? h->nkept : h->want;
	int rc = LT_OK;

	h->reply->entry = lt_arena_alloc(h->scope->q->arena, (n + 1) * sizeof(*h->reply->entry));
	if (h->reply->entry == NULL)
		return lt_nomem(h->err);
	for (i = 0; rc == LT_OK && !full && i < n; i++)
		rc = entry_add(h, &h->kept[i], &full);
	return rc;
}

static int
run(struct history *h)
{
	const Ltpb__HistoryRequest *req = h->req;
	Ltpb__HistoryRequest bound = *req;
	const ProtobufCBinaryData none = { 0, NULL };
	int rc = lt_page_size(req->page_size, &h->want, h->err);

	bound.page_size = 0;
	bound.page_token = none;
	if (rc == LT_OK && req->page_token.len != 0)
		rc = token_read(h, &bound);
	if (rc != LT_OK)
		return rc;
	h->kept = calloc(h->want + 2, sizeof(*h->kept));
	if (h->kept == NULL)
		return lt_nomem(h->err);
	rc = lt_history_each(h->scope->q->derived, req->collection, req->unit, req->key, on_dot, h);
	if (rc == LT_OK)
		rc = h->rc;
	if (rc == LT_OK && !h->any)
		rc = lt_no_record(req->collection, req->unit, h->err);
	if (rc == LT_OK)
		rc = page(h);
	if (rc == LT_OK && h->reply->n_entry < h->nkept)
		rc = token_write(h, &bound);
	free(h->kept);
	lt_log_view_close(&h->view);
	return rc;
}

int
lt_query_history(const struct lt_query *q, const Ltpb__HistoryRequest *req,
    lt_author_name_fn *author_name, void *ctx, Ltpb__HistoryReply *reply, struct lt_err *err)
{
	struct lt_scope s;
	struct history h = { .scope = &s,
		.req = req,
		.author_name = author_name,
		.ctx = ctx,
		.reply = reply,
		.err = err };
	int rc = lt_scope_open_record(q, req->collection, req->unit, req->key, &s, err);

	ltpb__history_reply__init(reply);
	if (rc == LT_OK)
		rc = run(&h);
	lt_scope_close(&s);
	return rc;
}
