#include "proto/store/erase.h"
#include "proto/base/simbug.h"
#include "proto/store/projection_impl.h"

#include <assert.h>
#include <stdlib.h>

#define SLOTS_MIN 64
/* The caller bounds a batch. */
#define BATCH_ARENA (SIZE_MAX / 2)

/* Room for more records: the slots are at most half full. */
static int
slots_grow(struct lt_projection *p)
{
	size_t n = p->nslot == 0 ? SLOTS_MIN : p->nslot * 4, i, k;
	struct lt_slot *wider = calloc(n, sizeof(*wider));
	struct lt_touched **touched = realloc(p->touched, n / 2 * sizeof(struct lt_touched *));
	struct lt_touched **list;

	if (touched != NULL)
		p->touched = touched;
	list = realloc(p->list, n / 2 * sizeof(struct lt_touched *));
	if (list != NULL)
		p->list = list;
	if (wider == NULL || touched == NULL || list == NULL) {
		free(wider);
		return LT_E_NOMEM;
	}
	for (i = 0; i < p->nslot; i++) {
		if (p->slot[i].t == NULL)
			continue;
		for (k = (size_t)p->slot[i].hash & (n - 1); wider[k].t != NULL;
		     k = (k + 1) & (n - 1))
			;
		wider[k] = p->slot[i];
	}
	free(p->slot);
	p->slot = wider;
	p->nslot = n;
	return LT_OK;
}

int
lt_projection_begin(const struct lt_projection_options *o, struct lt_projection **out)
{
	struct lt_projection *p = o->spare != NULL ? o->spare : calloc(1, sizeof(*p));

	assert(o->before == NULL || !o->overlay);
	assert(o->before == NULL || !o->reindex);
	assert(o->before == NULL || o->before != o->spare);
	if (p == NULL)
		return LT_E_NOMEM;
	if (o->spare == NULL) {
		lt_arena_init(&p->mem, BATCH_ARENA);
		lt_arena_init(&p->show, LT_SHOW_ARENA);
	}
	p->o = *o;
	p->o.spare = NULL;
	if (p->nslot == 0 && slots_grow(p) != LT_OK) {
		lt_projection_abort(p);
		return LT_E_NOMEM;
	}
	/* Keys come from outside: an unkeyed hash could be made to collide. The same as before's, to look there as well. */
	if (o->before != NULL)
		memcpy(p->hash_key, o->before->hash_key, sizeof(p->hash_key));
	else
		randombytes_buf(p->hash_key, sizeof(p->hash_key));
	*out = p;
	return LT_OK;
}

void
lt_projection_end(struct lt_projection *p)
{
	memset(p->slot, 0, p->nslot * sizeof(*p->slot));
	p->ntouched = p->nlist = 0;
	lt_index_ops_clear(&p->index);
	memset(p->bucket_used, 0, sizeof(p->bucket_used));
	lt_log_view_close(&p->view);
	lt_arena_recycle(&p->show, 0);
	lt_arena_recycle(&p->mem, SIZE_MAX);
	memset(&p->o, 0, sizeof(p->o));
	p->last = NULL;
}

void
lt_projection_abort(struct lt_projection *p)
{
	if (p == NULL)
		return;
	free(p->slot);
	free(p->touched);
	free(p->list);
	free(p->entry);
	free(p->index.op);
	free(p->lanes);
	lt_buf_fini(&p->scratch);
	lt_buf_fini(&p->index.keys);
	lt_buf_fini(&p->packed);
	lt_buf_fini(&p->key);
	lt_buf_fini(&p->stored);
	lt_log_view_close(&p->view);
	lt_arena_fini(&p->show);
	lt_arena_fini(&p->mem);
	free(p);
}

static uint64_t
slot_hash(const struct lt_projection *p, const char *rk, size_t len)
{
	uint8_t h[crypto_shorthash_BYTES];

	(void)crypto_shorthash(h, (const uint8_t *)rk, len, p->hash_key);
	return lt_load_u64(h);
}

/* The place of rk, or the free one where it belongs. */
static struct lt_slot *
slot_find(const struct lt_projection *p, const char *rk, size_t len, uint64_t hash)
{
	size_t i = (size_t)hash & (p->nslot - 1);
	const struct lt_touched *t;

	for (; (t = p->slot[i].t) != NULL; i = (i + 1) & (p->nslot - 1)) {
		if (p->slot[i].hash == hash && t->rk_len == len && memcmp(t->rk, rk, len) == 0)
			break;
	}
	return &p->slot[i];
}

/* An entry of its own for the record whose rk this is. */
static struct lt_touched *
touched_new(
    struct lt_projection *p, const struct lt_unit *unit, const char *rk, size_t len, size_t key)
{
	struct lt_touched *t = lt_arena_alloc(&p->mem, sizeof(*t) + len + 1);

	if (t == NULL)
		return NULL;
	memcpy(t->rk, rk, len); /* a NUL follows, memory is zeroed */
	t->rk_len = len;
	t->collection = t->rk;
	t->key = t->rk + key;
	t->unit = *unit;
	return t;
}

/* The batch's entry for a record; made when it is the first time. */
static int
touch(struct lt_projection *p, const char *collection, const struct lt_unit *unit, const char *key,
    struct lt_touched **out)
{
	size_t nc = strlen(collection), nu = strlen(unit->s), nk = strlen(key);
	char rk[LT_RK_MAX];
	struct lt_slot *at;
	uint64_t hash;

	if (nc == 0 || nc > LT_NAME_MAX || nu == 0 || nk == 0 || nk > LT_KEY_MAX)
		return LT_E_INVALID;
	if (p->ntouched * 2 >= p->nslot && slots_grow(p) != LT_OK)
		return LT_E_NOMEM;
	memcpy(rk, collection, nc + 1);
	memcpy(rk + nc + 1, unit->s, nu + 1);
	memcpy(rk + nc + 1 + nu + 1, key, nk);
	hash = slot_hash(p, rk, nc + 1 + nu + 1 + nk);
	at = slot_find(p, rk, nc + 1 + nu + 1 + nk, hash);
	if (at->t == NULL) {
		at->t = touched_new(p, unit, rk, nc + 1 + nu + 1 + nk, nc + 1 + nu + 1);
		if (at->t == NULL)
			return LT_E_NOMEM;
		at->hash = hash;
		if (p->o.before != NULL)
			at->t->before = slot_find(p->o.before, rk, nc + 1 + nu + 1 + nk, hash)->t;
		p->touched[p->ntouched++] = at->t;
	}
	*out = at->t;
	return LT_OK;
}

/* Verdicts and rulings are consumed where they arrive, they are no records (FORMAT.md 8). */
static int
touch_known(struct lt_projection *p, const char *collection, const struct lt_unit *unit,
    const char *key, struct lt_touched **out)
{
	const struct lt_collection *col;
	int rc;

	if (lt_act_is_consumed(collection))
		return LT_E_INVALID;
	/* Changes of one collection come many together. */
	col = p->last;
	if (col == NULL || strcmp(col->id, collection) != 0)
		col = p->last = lt_catalogue_find(p->o.catalogue, collection);
	if (col == NULL)
		return LT_E_UNKNOWN;
	rc = touch(p, collection, unit, key, out);
	if (rc == LT_OK)
		(*out)->col = col;
	return rc;
}

static int
mark_add(struct lt_projection *p, struct lt_touched *t, const struct lt_dot *dot, uint64_t position,
    int what)
{
	struct lt_mark *m;
	size_t cap = t->mark_cap == 0 ? 1 : t->mark_cap * 2;

	if (t->nmark == t->mark_cap) {
		m = lt_arena_room(&p->mem, cap * sizeof(*m));
		if (m == NULL)
			return LT_E_NOMEM;
		if (t->nmark != 0)
			memcpy(m, t->mark, t->nmark * sizeof(*m));
		t->mark = m;
		t->mark_cap = cap;
	}
	t->mark[t->nmark++] = (struct lt_mark){ *dot, position, what };
	return LT_OK;
}

/* row becomes that of the record; copied. */
static int
set_row(struct lt_projection *p, struct lt_touched *t, struct lt_slice row)
{
	/* The first row is most often the only one; one that grows has what it needs after few copies. */
	size_t cap = t->row_cap == 0 ? row.len : row.len + row.len / 2;

	if (row.len > t->row_cap) {
		t->row_mem = lt_arena_room(&p->mem, cap);
		t->row_cap = t->row_mem == NULL ? 0 : cap;
		if (t->row_mem == NULL)
			return LT_E_NOMEM;
	}
	if (row.len != 0)
		memcpy(t->row_mem, row.data, row.len);
	t->row = lt_slice(t->row_mem, row.len);
	return LT_OK;
}

static int rebuild_row(
    struct lt_projection *p, struct lt_touched *t, lt_by_hub_fn *by_hub, void *ctx);

/* The row that the batch before leaves. */
static int
load_before(struct lt_projection *p, struct lt_touched *t)
{
	const struct lt_touched *b = t->before;
	int rc = set_row(p, t, b->row);

	t->has_old = b->row.len != 0;
	t->fresh = !t->has_old;
	if (t->has_old)
		t->old = b->new;
	t->loaded = rc == LT_OK;
	return rc;
}

int
lt_touched_load(struct lt_projection *p, struct lt_touched *t)
{
	const struct lt_record_id id = { t->collection, t->unit.s, t->key };
	struct lt_slice v;
	int rc;

	if (t->loaded)
		return LT_OK;
	if (p->o.reindex)
		return rebuild_row(p, t, p->o.by_hub, p->o.by_hub_ctx);
	if (t->before != NULL && t->before->loaded)
		return load_before(p, t);
	rc = lt_kv_get(p->o.derived, LT_T_RECORD, lt_slice(t->rk, t->rk_len), &v);
	if (rc == LT_OK) {
		rc = lt_record_whole(p->o.derived, lt_slice(t->rk, t->rk_len), v, &p->scratch, &v);
		if (rc != LT_OK)
			return rc;
		/* The digest has to let go of it, and by then it may be gone. */
		lt_digest_key(&id, v, &t->old);
		t->has_old = true;
		rc = set_row(p, t, v);
	} else if (rc == LT_E_NOTFOUND) {
		t->fresh = true;
		rc = LT_OK;
	}
	t->loaded = rc == LT_OK;
	return rc;
}

static int
apply(struct lt_projection *p, struct lt_touched *t, const struct lt_merge_change *mc)
{
	int rc;

	lt_buf_clear(&p->scratch);
	rc = lt_merge_apply(
	    &t->col->rules, lt_unit_eq(&t->unit, &p->o.province), t->row, mc, &p->scratch);
	/* The limit binds the author, never the merge (FORMAT.md 5.1): passing a change over would make the order matter. */
	if (rc == LT_E_TOOBIG && p->scratch.len != 0)
		rc = LT_OK;
	if (rc == LT_OK)
		rc = p->scratch.err;
	return rc == LT_OK ? set_row(p, t, lt_buf_slice(&p->scratch)) : rc;
}

/* A revocation seen anywhere stays (FORMAT.md 8.4), and so does an erasure (8.5): nothing takes them back, whoever signed that. */
static bool
takes_back(const struct lt_change *c)
{
	return (strcmp(c->collection, "_revocation") == 0 ||
		   strcmp(c->collection, LT_ERASE_COLLECTION) == 0) &&
	       (c->is_delete || c->ncleared != 0);
}

int
lt_projection_add(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position)
{
	struct lt_touched *t;
	int rc = takes_back(mc->change)
		     ? LT_E_INVALID
		     : touch_known(p, mc->change->collection, unit, mc->change->key, &t);

	if (rc == LT_OK)
		rc = lt_touched_load(p, t);
	if (rc == LT_OK)
		rc = apply(p, t, mc);
	if (rc == LT_OK)
		rc = mark_add(p, t, &mc->dot, position, LT_MARK_HISTORY);
	return rc;
}

int
lt_projection_note(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position)
{
	struct lt_touched *t;
	int rc;

	/* No record, so no history; but anybody can sign one, and it is refused like any other change. */
	if (lt_act_is_consumed(mc->change->collection))
		return LT_OK;
	rc = touch(p, mc->change->collection, unit, mc->change->key, &t);
	return rc == LT_OK ? mark_add(p, t, &mc->dot, position, LT_MARK_HISTORY) : rc;
}

/* What stood aside is in the change that is made now, as far as it still showed. */
static int
replace_aside(struct lt_projection *p, struct lt_touched *t)
{
	struct lt_dots overlay = { 0 };
	size_t i;
	int rc = lt_touched_overlay(p, t, &overlay);

	for (i = 0; rc == LT_OK && i < overlay.n; i++)
		if (lt_feed_is_aside(&overlay.d[i].dot.feed) && !LT_SIM_BUG(REISSUE_DOUBLED))
			rc = mark_add(
			    p, t, &overlay.d[i].dot, overlay.d[i].position, LT_MARK_OVERLAY_DEL);
	lt_dots_fini(&overlay);
	return rc;
}

int
lt_projection_drop_aside(
    struct lt_projection *p, const struct lt_unit *unit, const char *collection, const char *key)
{
	struct lt_touched *t;
	int rc;

	assert(p->o.overlay);
	rc = touch_known(p, collection, unit, key, &t);
	if (rc == LT_OK)
		rc = lt_touched_load(p, t);
	return rc == LT_OK ? replace_aside(p, t) : rc;
}

int
lt_projection_add_overlay(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position)
{
	struct lt_touched *t;
	int rc;

	assert(p->o.overlay);
	rc = touch_known(p, mc->change->collection, unit, mc->change->key, &t);
	if (rc == LT_OK)
		rc = lt_touched_load(p, t);
	if (rc == LT_OK)
		rc = replace_aside(p, t);
	if (rc == LT_OK)
		rc = mark_add(p, t, &mc->dot, position, LT_MARK_HISTORY);
	if (rc == LT_OK)
		rc = mark_add(p, t, &mc->dot, position, LT_MARK_OVERLAY_ADD);
	return rc;
}

/* *known false: of a collection that is not in the catalogue. Where its changes stand is kept all the same, so that no change
 * counts as pending for ever, and that a catalogue which has the collection finds what became of them. */
static int
touch_or_marks(struct lt_projection *p, const struct lt_unit *unit, const struct lt_change *c,
    struct lt_touched **out, bool *known)
{
	int rc = touch_known(p, c->collection, unit, c->key, out);

	*known = rc != LT_E_UNKNOWN;
	return *known ? rc : touch(p, c->collection, unit, c->key, out);
}

int
lt_projection_set_aside(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position)
{
	struct lt_dot aside = mc->dot;
	struct lt_touched *t;
	bool known;
	int rc;

	assert(p->o.overlay);
	aside.feed = lt_feed_aside(&mc->dot.feed);
	rc = touch_or_marks(p, unit, mc->change, &t, &known);
	if (rc == LT_OK && known)
		rc = lt_touched_load(p, t);
	if (rc == LT_OK)
		rc = mark_add(p, t, &mc->dot, position, LT_MARK_HISTORY_DEL);
	if (rc == LT_OK)
		rc = mark_add(p, t, &mc->dot, position, LT_MARK_OVERLAY_DEL);
	if (rc == LT_OK)
		rc = mark_add(p, t, &aside, position, LT_MARK_HISTORY);
	if (rc == LT_OK && !LT_SIM_BUG(ASIDE_SILENT))
		rc = mark_add(p, t, &aside, position, LT_MARK_OVERLAY_ADD);
	return rc == LT_OK && !known ? LT_E_UNKNOWN : rc;
}

int
lt_projection_settle(struct lt_projection *p, const struct lt_unit *unit,
    const struct lt_merge_change *mc, uint64_t position, bool accepted)
{
	struct lt_touched *t;
	bool known;
	int rc;

	assert(p->o.overlay);
	rc = touch_or_marks(p, unit, mc->change, &t, &known);
	if (rc == LT_OK && known)
		rc = lt_touched_load(p, t);
	if (rc == LT_OK && known && accepted)
		rc = apply(p, t, mc);
	if (rc == LT_OK)
		rc = mark_add(p, t, &mc->dot, position, LT_MARK_HISTORY);
	if (rc == LT_OK)
		rc = mark_add(p, t, &mc->dot, position, LT_MARK_OVERLAY_DEL);
	return rc == LT_OK && !known ? LT_E_UNKNOWN : rc;
}

int
lt_touched_overlay(struct lt_projection *p, const struct lt_touched *t, struct lt_dots *dots)
{
	size_t i;
	int rc;

	if (!p->o.overlay)
		return LT_OK;
	rc = lt_dots_read(p->o.derived, LT_T_OVERLAY, lt_slice(t->rk, t->rk_len), dots);
	for (i = 0; rc == LT_OK && i < t->nmark; i++) {
		if (t->mark[i].what <= LT_MARK_HISTORY_DEL)
			continue;
		lt_dots_remove(dots, &t->mark[i].dot);
		if (t->mark[i].what == LT_MARK_OVERLAY_ADD)
			rc = lt_dots_add(dots, &t->mark[i].dot, t->mark[i].position);
	}
	return rc;
}

/* One change of the history, unless it is refused, held, or not judged yet. */
static int
rebuild_one(struct lt_projection *p, struct lt_touched *t, const struct lt_dot_at *at,
    lt_by_hub_fn *by_hub, void *ctx)
{
	struct lt_arena arena;
	struct lt_change change;
	struct lt_merge_change mc;
	struct lt_id author = lt_feed_author(&at->dot.feed);
	int rc = lt_log_view_open(&p->view, p->o.log, at->position);

	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
	if (lt_judgement_refuses(&p->view.judgement, at->dot.index, NULL) ||
	    lt_judgement_holds(&p->view.judgement, at->dot.index))
		return LT_OK;
	lt_arena_init(&arena, LT_SHOW_ARENA);
	rc = lt_log_view_change(&p->view, at->dot.index, &arena, &change);
	if (rc == LT_OK) {
		lt_log_view_merge_change(&p->view, at->dot.index, &change, &mc);
		mc.by_hub = by_hub(ctx, &author);
		rc = lt_dot_cmp(&mc.dot, &at->dot) == 0 ? apply(p, t, &mc) : LT_E_CORRUPT;
	}
	lt_arena_fini(&arena);
	return rc;
}

static int
rebuild_row(struct lt_projection *p, struct lt_touched *t, lt_by_hub_fn *by_hub, void *ctx)
{
	struct lt_dots history = { 0 }, overlay = { 0 };
	size_t i;
	int rc = lt_dots_read(p->o.derived, LT_T_HISTORY, lt_slice(t->rk, t->rk_len), &history);

	for (i = 0; rc == LT_OK && i < t->nmark; i++) {
		if (t->mark[i].what > LT_MARK_HISTORY_DEL)
			continue;
		lt_dots_remove(&history, &t->mark[i].dot);
		if (t->mark[i].what == LT_MARK_HISTORY)
			rc = lt_dots_add(&history, &t->mark[i].dot, t->mark[i].position);
	}
	if (rc == LT_OK)
		rc = lt_touched_overlay(p, t, &overlay);
	(void)lt_dots_drop_aside(&history); /* in no judged row */
	for (i = 0; rc == LT_OK && i < overlay.n; i++)
		lt_dots_remove(&history, &overlay.d[i].dot);
	if (rc == LT_OK) {
		t->row = lt_slice(NULL, 0);
		t->loaded = true;
	}
	for (i = 0; rc == LT_OK && i < history.n; i++)
		rc = rebuild_one(p, t, &history.d[i], by_hub, ctx);
	lt_dots_fini(&history);
	lt_dots_fini(&overlay);
	return rc;
}

int
lt_projection_reshow(
    struct lt_projection *p, const char *collection, const struct lt_unit *unit, const char *key)
{
	struct lt_touched *t;
	int rc = touch_known(p, collection, unit, key, &t);

	if (rc == LT_E_UNKNOWN || rc == LT_E_INVALID)
		return LT_OK;
	return rc == LT_OK ? lt_touched_load(p, t) : rc;
}

int
lt_projection_rebuild(struct lt_projection *p, const char *collection, const struct lt_unit *unit,
    const char *key, lt_by_hub_fn *by_hub, void *ctx)
{
	struct lt_touched *t;
	int rc = touch_known(p, collection, unit, key, &t);

	return rc == LT_OK ? rebuild_row(p, t, by_hub, ctx) : rc;
}
