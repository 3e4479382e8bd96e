/* The derived tables against the log. What is compared is of one moment: a node has one environment; at a hub the log's snapshot
 * is the later one, and only the verdicts on held changes can be ahead of the rows (see suspect()). */
#include "proto/store/scrub_impl.h"

#include "proto/model/digest.h"
#include "proto/store/author.h"
#include "proto/store/rebuild.h"

#include <stdlib.h>
#include <string.h>

#define CURSOR_LEN (16 + 8 + 32 + 4 + 8) /* FORMAT.md 9.3 */
#define ARENA ((size_t)64 * 1024 * 1024)
#define SUSPECT_TIMES 5
#define SUSPECT_WAITS 1000
#define BEYOND_CURSOR 64 /* positions */

/* ---- may they be compared now? ---- */

static int
hub_ready(struct lt_scrub *s)
{
	uint64_t version = lt_catalogue_version(s->world.catalogue), of, rows;
	struct lt_slice key = lt_slice_str("projector"), v;
	int rc = lt_kv_get(s->derived, LT_T_CURSOR, key, &v);

	s->projected = 0;
	if (rc == LT_E_NOTFOUND) {
		rc = lt_kv_count(s->derived, LT_T_HISTORY, &rows);
		/* Written with the first rows, and gone with the last. */
		if (rc == LT_OK && rows != 0)
			lt_scrub_found(s, LT_T_CURSOR, key, LT_SCRUB_MISSING);
		return rc == LT_OK && s->last != 0 ? LT_E_UNAVAILABLE : rc;
	}
	if (rc == LT_OK && v.len != CURSOR_LEN)
		rc = LT_E_CORRUPT;
	if (rc != LT_OK)
		return rc;
	s->projected = lt_load_u64(v.data + 16);
	of = lt_load_u64(v.data + 60);
	/* Version 0: acts only, which no catalogue changes. */
	return of == version || of == 0 ? LT_OK : LT_E_UNAVAILABLE;
}

static int
node_ready(struct lt_scrub *s)
{
	bool indexed = false;
	int rc = lt_rebuild_indexed(s->derived, lt_catalogue_version(s->world.catalogue), &indexed);

	s->projected = s->last;
	return rc == LT_OK && !indexed ? LT_E_UNAVAILABLE : rc;
}

/* Is there a verdict on a held change that the hub still has to write? */
static int
verdicts_owed(struct lt_scrub *s)
{
	static const char prefix[] = "settled/";
	struct lt_slice k = { NULL, 0 }, v;
	struct lt_kv_cursor *c;
	int rc = lt_kv_cursor_open(s->log, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek(c, lt_slice_str(prefix), &k, &v);
	s->owed = k.len >= sizeof(prefix) - 1 && memcmp(k.data, prefix, sizeof(prefix) - 1) == 0;
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* *skip: what would be needed for comparing is damaged, and has its own finding. */
static int
ready(struct lt_scrub *s, bool *skip)
{
	int rc = lt_feed_log_last(s->log, &s->last);

	*skip = false;
	s->owed = false;
	if (rc == LT_OK)
		rc = s->node ? node_ready(s) : hub_ready(s);
	if (rc == LT_OK && !s->node)
		rc = verdicts_owed(s);
	*skip = rc == LT_E_CORRUPT;
	return *skip ? LT_OK : rc;
}

static bool
by_hub(void *ctx, const struct lt_id *author)
{
	return lt_registry_is_hub(ctx, author);
}

static int
projection_begin(struct lt_scrub *s, struct lt_projection **out)
{
	struct lt_projection_options o = { .log = s->log,
		.derived = s->derived,
		.catalogue = s->world.catalogue,
		.province = s->world.province,
		.overlay = s->node,
		.by_hub = by_hub,
		.by_hub_ctx = s->world.registry };

	return lt_projection_begin(&o, out);
}

/* ---- every change of the log in the history of its record ---- */

struct change_check {
	struct lt_scrub *s;
	const struct lt_log_view *view;
	uint64_t position, judged;
	bool own, aside;
	struct lt_arena arena;
};

/* Beyond all bounds (LT_E_TOOBIG), it is in no history: the projection that left it out would do so again. */
static bool
is_left_out(const struct change_check *c, const struct lt_change *change, uint32_t index)
{
	struct lt_merge_change mc;
	struct lt_projection *p;
	struct lt_id author = lt_feed_author(&c->view->feed);
	int rc = projection_begin(c->s, &p);

	if (rc != LT_OK)
		return true;
	lt_log_view_merge_change(c->view, index, change, &mc);
	mc.by_hub = lt_registry_is_hub(c->s->world.registry, &author);
	rc = lt_projection_rebuild(
	    p, change->collection, &c->view->unit, change->key, by_hub, c->s->world.registry);
	if (rc == LT_OK)
		rc = lt_projection_add(p, &c->view->unit, &mc, c->position);
	lt_projection_abort(p);
	/* A row of the history that is damaged leaves nothing out. */
	return rc != LT_OK && rc != LT_E_CORRUPT;
}

static int
position_in(
    struct lt_scrub *s, unsigned table, struct lt_slice key, bool *there, uint64_t *position)
{
	struct lt_slice v;
	int rc = lt_kv_get(s->derived, table, key, &v);

	*there = rc == LT_OK && v.len == 8;
	*position = *there ? lt_load_u64(v.data) : 0;
	/* A damaged one was found where the table was walked. */
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* Must this change stand in the history? On a node one of an own feed that came down and is not judged yet does not, and one
 * that was made here does: both may be; who mends takes it for the second. */
static bool
is_due(const struct change_check *c, const struct lt_change *change, uint32_t index, bool noted,
    bool known)
{
	if (c->aside)
		return true;
	if (c->view->seq > c->judged)
		return c->own && c->s->mending;
	if (!noted && !known)
		return c->s->node;
	return noted || !is_left_out(c, change, index);
}

/* Told, or put right. */
static int
history_differs(
    struct change_check *c, unsigned table, struct lt_slice key, enum lt_scrub_what what)
{
	uint8_t value[8];
	int rc;

	if (!c->s->mending) {
		lt_scrub_found(c->s, table, key, what);
		return LT_OK;
	}
	lt_store_u64(value, c->position);
	rc = what == LT_SCRUB_EXTRA
		 ? lt_kv_del(c->s->derived, table, key)
		 : lt_kv_put(c->s->derived, table, key, lt_slice(value, sizeof(value)));
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
check_history(
    struct change_check *c, const struct lt_change *change, uint32_t index, struct lt_slice key)
{
	const struct lt_judgement *j = &c->view->judgement;
	struct lt_scrub *s = c->s;
	bool noted = lt_judgement_refuses(j, index, NULL) || lt_judgement_holds(j, index);
	bool there, waits, may_wait,
	    known = lt_catalogue_find(s->world.catalogue, change->collection) != NULL;
	uint64_t position;
	int rc = position_in(s, LT_T_HISTORY, key, &there, &position);

	if (rc != LT_OK && (rc != LT_E_CORRUPT || !s->mending))
		return rc == LT_E_CORRUPT ? LT_OK : rc;
	if (there && position != c->position)
		rc = history_differs(c, LT_T_HISTORY, key, LT_SCRUB_WRONG);
	else if (!there && is_due(c, change, index, noted, known))
		rc = history_differs(c, LT_T_HISTORY, key, LT_SCRUB_MISSING);
	else if (!there && !s->mending)
		return LT_OK;
	if (!s->node || (rc != LT_OK && rc != LT_E_CORRUPT))
		return rc;
	rc = position_in(s, LT_T_OVERLAY, key, &waits, &position);
	if (rc != LT_OK && (rc != LT_E_CORRUPT || !s->mending))
		return rc == LT_E_CORRUPT ? LT_OK : rc;
	if (c->aside)
		return waits && position != c->position
			   ? history_differs(c, LT_T_OVERLAY, key, LT_SCRUB_WRONG)
			   : LT_OK;
	may_wait = c->own && (c->view->seq > c->judged || lt_judgement_holds(j, index));
	if (waits && !may_wait)
		return history_differs(c, LT_T_OVERLAY, key, LT_SCRUB_EXTRA);
	if (waits && position != c->position)
		return history_differs(c, LT_T_OVERLAY, key, LT_SCRUB_WRONG);
	if (!waits && c->own && c->view->seq > c->judged && known)
		return history_differs(c, LT_T_OVERLAY, key, LT_SCRUB_MISSING);
	return LT_OK;
}

static int
check_change(struct change_check *c, uint32_t index)
{
	struct lt_dot dot = { c->view->feed, c->view->seq, index };
	struct lt_change change;
	struct lt_buf rk = { 0 }, key = { 0 };
	int rc;

	lt_arena_clear(&c->arena);
	rc = lt_log_view_change(c->view, index, &c->arena, &change);
	if (rc != LT_OK)
		return rc == LT_E_CORRUPT ? LT_OK : rc;
	if (lt_act_is_consumed(change.collection))
		return LT_OK;
	if (c->aside)
		dot.feed = lt_feed_aside(&dot.feed);
	lt_key_record(&rk, change.collection, c->view->unit.s, change.key);
	lt_dot_key(&key, lt_buf_slice(&rk), &dot);
	rc = rk.err != LT_OK ? rk.err : key.err;
	if (rc == LT_OK)
		rc = check_history(c, &change, index, lt_buf_slice(&key));
	lt_scrub_took(c->s, key.len);
	lt_buf_fini(&rk);
	lt_buf_fini(&key);
	return rc;
}

/* On a node: whose it is, how far it is judged, and whether it stands aside. A hub judges as it takes in. */
static int
whose(struct change_check *c)
{
	struct lt_feed_id aside = lt_feed_aside(&c->view->feed);
	struct lt_head head;
	uint64_t position = 0;
	int rc;

	c->judged = UINT64_MAX;
	if (!c->s->node)
		return LT_OK;
	rc = lt_feed_log_find(c->s->log, &c->view->unit, &c->view->feed, c->view->seq, &position);
	if (rc == LT_OK && position != c->position)
		rc = LT_E_NOTFOUND;
	if (rc == LT_E_NOTFOUND) {
		rc = lt_feed_log_find(c->s->log, &c->view->unit, &aside, c->view->seq, &position);
		c->aside = rc == LT_OK && position == c->position;
		/* Under neither name: the log is damaged, and says so itself. */
		if (rc == LT_OK && !c->aside)
			rc = LT_E_CORRUPT;
	}
	if (rc == LT_OK) {
		rc = lt_feed_log_head(c->s->log, &c->view->unit, &c->view->feed, &head);
		c->judged = head.judged;
	}
	if (rc == LT_OK && c->s->o.author != NULL) {
		struct lt_id author = lt_feed_author(&c->view->feed);

		c->own = lt_id_eq(&author, c->s->o.author);
	}
	return rc;
}

int
lt_scrub_changes(struct lt_scrub *s, uint64_t position)
{
	struct lt_log_view view;
	struct change_check c = { .s = s, .view = &view, .position = position };
	uint32_t i;
	int rc;

	memset(&view, 0, sizeof(view));
	rc = lt_log_view_open(&view, s->log, position);
	lt_arena_init(&c.arena, ARENA);
	if (rc == LT_OK)
		rc = whose(&c);
	for (i = 0; rc == LT_OK && i < view.nchange; i++)
		rc = check_change(&c, i);
	lt_arena_fini(&c.arena);
	lt_log_view_close(&view);
	/* What is damaged in the log was found there. */
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* Does the history know a change of this position? */
static int
is_projected(struct lt_scrub *s, uint64_t at, struct lt_arena *arena, bool *known)
{
	struct lt_buf rk = { 0 }, key = { 0 };
	struct lt_log_view view;
	struct lt_change change;
	struct lt_dot dot;
	uint64_t position;
	uint32_t i;
	int rc;

	memset(&view, 0, sizeof(view));
	rc = lt_log_view_open(&view, s->log, at);
	for (i = 0; rc == LT_OK && !*known && i < view.nchange; i++) {
		lt_arena_clear(arena);
		rc = lt_log_view_change(&view, i, arena, &change);
		if (rc != LT_OK)
			break;
		dot = (struct lt_dot){ view.feed, view.seq, i };
		lt_buf_clear(&rk);
		lt_buf_clear(&key);
		lt_key_record(&rk, change.collection, view.unit.s, change.key);
		lt_dot_key(&key, lt_buf_slice(&rk), &dot);
		rc = rk.err != LT_OK ? rk.err : key.err;
		if (rc == LT_OK)
			rc = position_in(s, LT_T_HISTORY, lt_buf_slice(&key), known, &position);
	}
	lt_buf_fini(&rk);
	lt_buf_fini(&key);
	lt_log_view_close(&view);
	/* What is damaged has its own finding. */
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* Rows and cursor are written together: a history that knows of what stands behind the cursor says that an older cursor stands
 * there. Some positions do: only those of which every change is refused have no row. */
static int
check_cursor(struct lt_scrub *s)
{
	uint64_t at, n = s->last - s->projected;
	struct lt_arena arena;
	bool older = false;
	int rc = LT_OK;

	lt_arena_init(&arena, ARENA);
	for (at = 1; rc == LT_OK && !older && at <= n && at <= BEYOND_CURSOR; at++)
		rc = is_projected(s, s->projected + at, &arena, &older);
	if (older)
		lt_scrub_found(s, LT_T_CURSOR, lt_slice_str("projector"), LT_SCRUB_WRONG);
	lt_arena_fini(&arena);
	return rc;
}

int
lt_scrub_history(struct lt_scrub *s, bool *done)
{
	int rc = ready(s, done);

	while (rc == LT_OK && !*done && s->at.position < s->projected && lt_scrub_more(s)) {
		rc = lt_scrub_changes(s, s->at.position + 1);
		if (rc == LT_OK)
			s->at.position++;
	}
	if (rc != LT_OK || *done)
		return rc;
	*done = s->at.position >= s->projected;
	return *done && s->last > s->projected ? check_cursor(s) : rc;
}

/* ---- every record worked out again ---- */

/* To what its history says: LT_OK, LT_E_CORRUPT (the history or the log is damaged), LT_E_UNKNOWN (no such collection any more). */
int
lt_scrub_record(struct lt_scrub *s, struct lt_slice rk, lt_differs_fn *differs, void *ctx)
{
	char text[LT_RK_MAX + 1];
	struct lt_slice collection, unit, key;
	struct lt_projection *p;
	struct lt_unit u;
	int rc;

	memcpy(text, rk.data, rk.len);
	text[rk.len] = '\0';
	rc = lt_key_record_split(lt_slice(text, rk.len), &collection, &unit, &key);
	if (rc == LT_OK && lt_unit_set(&u, unit) != LT_OK)
		rc = LT_E_CORRUPT;
	if (rc == LT_OK)
		rc = projection_begin(s, &p);
	if (rc != LT_OK)
		return rc;
	rc = lt_projection_rebuild(p, (const char *)collection.data, &u, (const char *)key.data,
	    by_hub, s->world.registry);
	if (rc == LT_OK)
		rc = s->mending ? lt_projection_mend(p) : lt_projection_compare(p, differs, ctx);
	lt_projection_abort(p);
	return rc;
}

static void
differs_now(void *ctx, unsigned table, struct lt_slice key, int how)
{
	lt_scrub_found(ctx, table, key,
	    how == LT_E_NOTFOUND  ? LT_SCRUB_MISSING
	    : how == LT_E_EXISTS  ? LT_SCRUB_EXTRA
	    : how == LT_E_CORRUPT ? LT_SCRUB_DAMAGED
				  : LT_SCRUB_WRONG);
}

static void
count_differs(void *ctx, unsigned table, struct lt_slice key, int how)
{
	size_t *n = ctx;

	(void)table;
	(void)key;
	(void)how;
	++*n;
}

static int
settle(struct lt_scrub *s, struct lt_slice rk, int rc)
{
	/* Every entry of the log is sound: then it is the history. */
	if (rc == LT_E_CORRUPT && s->st.truth_clean)
		lt_scrub_found(s, LT_T_HISTORY, rk, LT_SCRUB_WRONG);
	switch (rc) {
	case LT_E_CORRUPT:
	case LT_E_UNKNOWN:
	case LT_E_INVALID:
	case LT_E_TOOBIG:
	case LT_E_NOTFOUND:
		return LT_OK;
	default:
		return rc;
	}
}

/* A verdict on a change that was held is in the log's judgement at once, and in the rows only when the projector comes to the
 * act that says it: a record that differs meanwhile is looked at again when all of that has arrived. */
static void
suspect(struct lt_scrub *s, struct lt_slice rk)
{
	struct lt_scrub_suspect *q = &s->suspect[s->nsuspect];

	/* More of them than places: whatever is wrong with so many shows next time as well. */
	if (s->nsuspect == LT_SCRUB_SUSPECTS_MAX)
		return;
	memset(q, 0, sizeof(*q));
	q->until = s->owed ? 0 : s->last;
	q->rk_len = rk.len;
	memcpy(q->rk, rk.data, rk.len);
	s->nsuspect++;
}

static int
check_record(struct lt_scrub *s, struct lt_slice rk)
{
	size_t n = 0;
	int rc;

	lt_scrub_took(s, rk.len);
	if (!s->node && (s->owed || s->projected < s->last)) {
		rc = lt_scrub_record(s, rk, count_differs, &n);
		if (n != 0 || rc == LT_E_CORRUPT)
			suspect(s, rk);
		return rc == LT_E_NOMEM ? rc : LT_OK;
	}
	rc = lt_scrub_record(s, rk, differs_now, s);
	return settle(s, rk, rc);
}

/* The record behind the one in at, by the keys of the history. LT_E_NOTFOUND; LT_E_CORRUPT: its keys are not walked. */
int
lt_scrub_next_record(struct lt_scrub *s, struct lt_kv_cursor *c, struct lt_slice *key)
{
	return s->at.key_len > LT_RK_MAX
		   ? LT_E_CORRUPT
		   : lt_history_next_record(c, s->at.key, &s->at.key_len, key);
}

int
lt_scrub_records(struct lt_scrub *s, bool *done)
{
	struct lt_kv_cursor *c;
	struct lt_slice key;
	int rc = ready(s, done);

	if (rc != LT_OK || *done)
		return rc;
	rc = lt_kv_cursor_open(s->derived, LT_T_HISTORY, &c);
	while (rc == LT_OK && !*done && lt_scrub_more(s)) {
		rc = lt_scrub_next_record(s, c, &key);
		if (rc == LT_OK)
			rc = check_record(s, lt_slice(s->at.key, s->at.key_len));
		else
			*done = rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT;
		if (*done)
			rc = LT_OK;
	}
	lt_kv_cursor_close(c);
	return rc;
}

int
lt_scrub_suspects(struct lt_scrub *s, bool *done)
{
	struct lt_scrub_suspect *q;
	size_t i, kept = 0, n;
	int rc = ready(s, done);

	if (rc != LT_OK || *done)
		return rc;
	for (i = 0; rc == LT_OK && i < s->nsuspect; i++) {
		q = &s->suspect[i];
		if (q->until == 0 && !s->owed)
			q->until = s->last;
		n = 0;
		if (q->until == 0 || s->projected < q->until) {
			s->suspect[kept++] = *q;
			continue;
		}
		rc = lt_scrub_record(s, lt_slice(q->rk, q->rk_len), count_differs, &n);
		if (n == 0 && rc == LT_OK)
			continue;
		if (++q->times < SUSPECT_TIMES && (s->owed || s->projected < s->last)) {
			q->until = s->owed ? 0 : s->last;
			s->suspect[kept++] = *q;
			rc = LT_OK;
			continue;
		}
		rc = lt_scrub_record(s, lt_slice(q->rk, q->rk_len), differs_now, s);
		rc = settle(s, lt_slice(q->rk, q->rk_len), rc);
	}
	if (rc != LT_OK)
		return rc;
	s->nsuspect = kept;
	/* Verdicts that cannot be written for long have their own alarm. */
	*done = kept == 0 || ++s->waits > SUSPECT_WAITS;
	return *done ? LT_OK : LT_E_UNAVAILABLE;
}

/* ---- what stands there without a history ---- */

static bool
has_history(struct lt_scrub *s, struct lt_slice rk)
{
	struct lt_buf from = { 0 };
	struct lt_slice k = { NULL, 0 }, v;
	struct lt_kv_cursor *c;
	bool has = true;

	lt_buf_put_slice(&from, rk);
	lt_buf_u8(&from, 0);
	if (from.err == LT_OK && from.len <= LT_KV_KEY_MAX &&
	    lt_kv_cursor_open(s->derived, LT_T_HISTORY, &c) == LT_OK) {
		int rc = lt_kv_seek(c, lt_buf_slice(&from), &k, &v);

		has = rc != LT_E_NOTFOUND &&
		      (k.len < from.len ? rc != LT_OK : memcmp(k.data, from.data, from.len) == 0);
		lt_kv_cursor_close(c);
	}
	lt_buf_fini(&from);
	return has;
}

/* An index entry comes from what is shown. */
static int
index_known(struct lt_scrub *s, struct lt_slice k, bool *known)
{
	struct lt_show show = { .log = s->log };
	struct lt_index_ops want = { 0 };
	struct lt_slice part[5], shown;
	const uint8_t *p = k.data, *end = k.data + k.len, *z;
	char text[5][LT_KV_KEY_MAX + 1];
	struct lt_buf rk = { 0 };
	struct lt_arena arena;
	struct lt_unit unit;
	size_t i;
	int rc;

	*known = false;
	for (i = 0; i < 5; i++) {
		z = i == 4 ? end : memchr(p, 0, (size_t)(end - p));
		if (z == NULL)
			return LT_OK;
		part[i] = lt_slice(p, (size_t)(z - p));
		lt_slice_to_text(text[i], sizeof(text[i]), part[i]);
		p = z + 1;
	}
	show.col = lt_catalogue_find(s->world.catalogue, text[0]);
	show.unit = &unit;
	show.key = text[4];
	if (show.col == NULL || lt_unit_set(&unit, part[3]) != LT_OK)
		return LT_OK;
	lt_arena_init(&arena, ARENA);
	lt_key_record(&rk, text[0], text[3], text[4]);
	rc = rk.err;
	if (rc == LT_OK)
		rc = lt_kv_get(s->derived, LT_T_SHOWN, lt_buf_slice(&rk), &shown);
	if (rc == LT_OK)
		rc = lt_index_keys(&show, shown, &arena, &want, true);
	for (i = 0; rc == LT_OK && i < want.n; i++)
		*known = *known ||
			 lt_slice_eq(lt_slice(want.keys.data + want.op[i].off, want.op[i].len), k);
	/* A shown value that is damaged says nothing about its entries. */
	if (rc == LT_E_CORRUPT)
		*known = true;
	lt_arena_fini(&arena);
	lt_buf_fini(&rk);
	lt_buf_fini(&want.keys);
	free(want.op);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

int
lt_scrub_accounted(struct lt_scrub *s, unsigned table, struct lt_slice k, bool *known)
{
	uint64_t position;
	int rc;

	switch (table) {
	case LT_T_INDEX:
		return index_known(s, k, known);
	case LT_T_OVERLAY:
		rc = position_in(s, LT_T_HISTORY, k, known, &position);
		*known = *known || rc == LT_E_CORRUPT;
		return rc == LT_E_CORRUPT ? LT_OK : rc;
	default:
		*known = has_history(s, k);
		return LT_OK;
	}
}

static int
walk_orphans(struct lt_scrub *s, unsigned table, bool *through)
{
	struct lt_scrub_at *at = &s->at;
	struct lt_slice k, v;
	struct lt_kv_cursor *c;
	bool known;
	int rc = lt_kv_cursor_open(s->derived, table, &c), got;

	if (rc != LT_OK)
		return rc;
	got = lt_scrub_after(c, lt_slice(at->key, at->key_len), &k, &v);
	while (rc == LT_OK && lt_scrub_more(s)) {
		/* Broken pages were found where the table was walked. */
		*through =
		    (got != LT_OK && (got != LT_E_CORRUPT || k.len == 0)) ||
		    k.len > LT_KV_KEY_MAX ||
		    (at->key_len != 0 && lt_slice_cmp(k, lt_slice(at->key, at->key_len)) <= 0);
		if (*through)
			break;
		rc = lt_scrub_accounted(s, table, k, &known);
		if (rc == LT_OK && !known)
			lt_scrub_found(s, table, k, LT_SCRUB_EXTRA);
		lt_scrub_took(s, k.len);
		at->key_len = k.len;
		memcpy(at->key, k.data, k.len);
		k = lt_slice(NULL, 0);
		got = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc;
}

int
lt_scrub_orphans(struct lt_scrub *s, bool *done)
{
	static const unsigned tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_OVERLAY };
	bool through = false;
	int rc = ready(s, done);

	if (rc != LT_OK || *done)
		return rc;
	rc = walk_orphans(s, tables[s->at.position], &through);
	if (rc == LT_OK && through) {
		s->at.key_len = 0;
		*done = ++s->at.position == sizeof(tables) / sizeof(tables[0]);
	}
	return rc;
}

/* ---- digests ---- */

/* The group (collection, unit) of the first key of the table that is not below from. */
int
lt_scrub_group(struct lt_scrub *s, unsigned table, struct lt_slice from, struct lt_scrub_group *g)
{
	struct lt_slice k = { NULL, 0 }, v;
	struct lt_kv_cursor *c;
	unsigned zeros = 0;
	size_t i;
	int rc = lt_kv_cursor_open(s->derived, table, &c);

	g->len = 0;
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek(c, from, &k, &v);
	if ((rc == LT_OK || rc == LT_E_CORRUPT) && k.len <= LT_KV_KEY_MAX &&
	    lt_slice_cmp(k, from) >= 0)
		for (i = 0; i < k.len && g->len == 0; i++)
			if (k.data[i] == 0 && ++zeros == 2)
				g->len = i + 1;
	if (g->len != 0)
		memcpy(g->b, k.data, g->len);
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

static bool
in_group(struct lt_slice k, struct lt_slice group)
{
	return k.len > group.len && k.len <= LT_KV_KEY_MAX &&
	       memcmp(k.data, group.data, group.len) == 0;
}

static void
add_row(lt_scrub_lanes *lanes, struct lt_slice rk, struct lt_slice row)
{
	char text[LT_KV_KEY_MAX + 1];
	struct lt_slice collection, unit, key;
	struct lt_record_id id;

	lt_slice_to_text(text, sizeof(text), rk);
	memcpy(text, rk.data, rk.len);
	text[rk.len] = '\0';
	if (lt_key_record_split(lt_slice(text, rk.len), &collection, &unit, &key) != LT_OK)
		return;
	id = (struct lt_record_id){ (const char *)collection.data, (const char *)unit.data,
		(const char *)key.data };
	lt_digest_add(lanes[lt_digest_bucket(&id)], &id, row);
}

/* *sound false: a row is damaged, no sum of it says anything. */
int
lt_scrub_sum_group(struct lt_scrub *s, struct lt_slice group, lt_scrub_lanes *lanes, bool *sound)
{
	struct lt_slice k = { NULL, 0 }, v = { NULL, 0 };
	struct lt_kv_cursor *c;
	uint8_t last[LT_KV_KEY_MAX];
	struct lt_buf mem = { 0 };
	struct lt_slice row;
	size_t last_len = 0;
	int rc = lt_kv_cursor_open(s->derived, LT_T_RECORD, &c);

	*sound = true;
	if (rc != LT_OK)
		return rc;
	for (rc = lt_kv_seek(c, group, &k, &v); rc == LT_OK && in_group(k, group);
	     rc = lt_kv_next(c, &k, &v)) {
		if (last_len != 0 && lt_slice_cmp(k, lt_slice(last, last_len)) <= 0)
			rc = LT_E_CORRUPT;
		if (rc == LT_OK)
			rc = lt_record_whole(s->derived, k, v, &mem, &row);
		if (rc != LT_OK)
			break;
		last_len = k.len;
		memcpy(last, k.data, k.len);
		add_row(lanes, k, row);
		lt_scrub_took(s, v.len);
	}
	*sound = rc != LT_E_CORRUPT;
	lt_buf_fini(&mem);
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

static int
compare_buckets(struct lt_scrub *s, const struct lt_scrub_group *g, lt_scrub_lanes *lanes)
{
	uint8_t key[LT_KV_KEY_MAX + 1], want[LT_DIGEST_BYTES];
	static const uint8_t empty[LT_DIGEST_BYTES];
	struct lt_slice v = { NULL, 0 }, k = lt_slice(key, g->len + 1);
	unsigned b;
	int rc = LT_OK;

	memcpy(key, g->b, g->len);
	for (b = 0; rc == LT_OK && b < LT_DIGEST_BUCKETS; b++) {
		key[g->len] = (uint8_t)b;
		lt_digest_store(want, lanes[b]);
		rc = lt_kv_get(s->derived, LT_T_DIGEST, k, &v);
		if (rc == LT_E_NOTFOUND && memcmp(want, empty, sizeof(want)) != 0)
			lt_scrub_found(s, LT_T_DIGEST, k, LT_SCRUB_MISSING);
		if (rc == LT_OK && !lt_slice_eq(v, lt_slice(want, sizeof(want))))
			lt_scrub_found(s, LT_T_DIGEST, k, LT_SCRUB_WRONG);
		lt_scrub_took(s, sizeof(want));
		if (rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT)
			rc = LT_OK;
	}
	return rc;
}

static int
check_group(struct lt_scrub *s, const struct lt_scrub_group *g)
{
	lt_scrub_lanes *lanes = calloc(LT_DIGEST_BUCKETS, sizeof(*lanes));
	bool sound = false;
	int rc = lanes == NULL ? LT_E_NOMEM
			       : lt_scrub_sum_group(s, lt_slice(g->b, g->len), lanes, &sound);

	if (rc == LT_OK && sound)
		rc = compare_buckets(s, g, lanes);
	free(lanes);
	return rc;
}

int
lt_scrub_digests(struct lt_scrub *s, bool *done)
{
	struct lt_scrub_at *at = &s->at;
	struct lt_scrub_group of_rows, of_digests, *g;
	int rc = ready(s, done);

	while (rc == LT_OK && !*done && lt_scrub_more(s)) {
		struct lt_slice from = lt_slice(at->key, at->key_len);

		rc = lt_scrub_group(s, LT_T_RECORD, from, &of_rows);
		if (rc == LT_OK)
			rc = lt_scrub_group(s, LT_T_DIGEST, from, &of_digests);
		if (rc != LT_OK)
			break;
		g = &of_rows;
		if (g->len == 0 ||
		    (of_digests.len != 0 && lt_slice_cmp(lt_slice(of_digests.b, of_digests.len),
						lt_slice(g->b, g->len)) < 0))
			g = &of_digests;
		*done = g->len == 0;
		if (*done)
			break;
		rc = check_group(s, g);
		/* Behind all keys of the group: its last 0 becomes a 1. */
		memcpy(at->key, g->b, g->len);
		at->key[g->len - 1] = 1;
		at->key_len = g->len;
	}
	return rc;
}
