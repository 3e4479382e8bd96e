#include "proto/store/author.h"
#include "proto/base/simbug.h"
#include "proto/base/wire.h"
#include "proto/model/value.h"
#include "proto/store/log_view.h"
#include "proto/store/registry.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Bytes of changes and openings gathered before a change-set is sealed; a lone larger change still
 * goes, up to LT_CHANGESET_MAX. Keeps a ChangeSet with openings well under LT_MESSAGE_MAX. */
#define GROUP_BYTES_MAX ((size_t)192 * 1024)
#define GROUP_CHANGES_MAX 256
#define LANES 3

static void
system_random(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	randombytes_buf(buf, len);
}

void
lt_author_init(struct lt_author *a, const struct lt_identity *id, const struct lt_clock *clock)
{
	memset(a, 0, sizeof(*a));
	a->federation = id->federation;
	a->id = id->principal;
	a->key_no = id->key_no;
	a->key = &id->sign;
	a->clock = clock;
	a->random = system_random;
}

/* Change-sets being gathered for one lane. */
struct group {
	size_t n;
	size_t bytes;
	struct lt_draft draft[GROUP_CHANGES_MAX];
	struct lt_write *write[GROUP_CHANGES_MAX];
};

struct authoring {
	struct lt_kv_txn *log;
	struct lt_kv_txn *derived;
	const struct lt_author *a;
	const struct lt_catalogue *cat;
	const struct lt_unit *unit;
	struct lt_arena *arena;
	lt_made_fn *after_append;
	void *ctx;
	struct lt_err *err;
	struct group *lane[LANES]; /* in the arena, made when first used */
	struct lt_log_view view; /* what was opened last for an origin */
};

int
lt_local_get(struct lt_kv_txn *txn, const char *name, struct lt_slice *value)
{
	return lt_kv_get(txn, LT_T_LOCAL, lt_slice_str(name), value);
}

int
lt_local_put(struct lt_kv_txn *txn, const char *name, struct lt_slice value)
{
	return lt_kv_put(txn, LT_T_LOCAL, lt_slice_str(name), value);
}

int
lt_local_get_u64(struct lt_kv_txn *txn, const char *name, uint64_t *v)
{
	struct lt_slice s;
	int rc = lt_local_get(txn, name, &s);

	*v = 0;
	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	if (rc != LT_OK)
		return rc;
	if (s.len != 8)
		return LT_E_CORRUPT;
	*v = lt_load_u64(s.data);
	return LT_OK;
}

int
lt_local_put_u64(struct lt_kv_txn *txn, const char *name, uint64_t v)
{
	uint8_t b[8];

	lt_store_u64(b, v);
	return lt_local_put(txn, name, lt_slice(b, sizeof(b)));
}

static int
raise_u64(struct lt_kv_txn *txn, const char *name, uint64_t v)
{
	uint64_t old;
	int rc;

	if (v == 0)
		return LT_OK;
	rc = lt_local_get_u64(txn, name, &old);
	if (rc != LT_OK || old >= v)
		return rc;
	return lt_local_put_u64(txn, name, v);
}

int
lt_author_saw(struct lt_kv_txn *log, uint64_t hub_stamp, uint64_t effective)
{
	int rc = raise_u64(log, "hub_stamp", hub_stamp);

	return rc != LT_OK ? rc : raise_u64(log, "hlc", effective);
}

static void
epoch_name(char out[64], const struct lt_unit *unit, enum lt_lane lane)
{
	struct lt_buf b;

	lt_buf_init(&b, 0);
	lt_buf_printf(&b, "epoch/%s/%d", unit->s, (int)lane);
	assert(b.err == LT_OK && b.len < 64);
	memcpy(out, b.data, b.len);
	out[b.len] = '\0';
	lt_buf_fini(&b);
}

int
lt_author_feed(struct lt_kv_txn *log, const struct lt_author *a, const struct lt_unit *unit,
    enum lt_lane lane, struct lt_feed_id *feed)
{
	char name[64];
	uint64_t epoch;
	int rc;

	epoch_name(name, unit, lane);
	rc = lt_local_get_u64(log, name, &epoch);
	if (rc != LT_OK)
		return rc;
	while (epoch == 0) {
		uint8_t b[8];

		a->random(a->random_ctx, b, sizeof(b));
		epoch = lt_load_u64(b);
		if (epoch == 0)
			continue;
		rc = lt_local_put_u64(log, name, epoch);
		if (rc != LT_OK)
			return rc;
	}
	*feed = lt_feed_id_make(a->id, lane, epoch);
	return LT_OK;
}

int
lt_author_end_epoch(struct lt_kv_txn *log, const struct lt_unit *unit, enum lt_lane lane)
{
	char name[64];

	epoch_name(name, unit, lane);
	return lt_local_put_u64(log, name, 0);
}

struct begun {
	const struct lt_id *author;
	size_t n;
};

static int
count_begun(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct begun *b = ctx;
	struct lt_id author = lt_feed_author(feed);

	(void)unit;
	b->n += head->seq != 0 && lt_id_eq(&author, b->author);
	return LT_OK;
}

int
lt_author_may_begin(struct lt_kv_txn *log, const struct lt_unit *unit, const struct lt_id *author,
    struct lt_err *err)
{
	struct begun b = { author, 0 };
	int rc = lt_feed_log_each(log, unit, count_begun, &b);

	if (rc != LT_OK || b.n < LT_CUTS_MAX)
		return rc;
	return lt_err_set(err, LT_E_REFUSED,
	    "this machine has %zu feeds in unit %s and may begin no more: it was restored or "
	    "copied too "
	    "often; at the hub, 'ltctl keys replace' makes the invitation for a new machine in its "
	    "place",
	    b.n, unit->s);
}

/* ---- sealing a group ---- */

struct earlier {
	struct authoring *w;
	const struct lt_feed_id *own;
	size_t n;
	Ltpb__FeedHead
	    head[16]; /* more earlier epochs than this: the newest 16 by key order are named */
};

static int
note_earlier(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct earlier *e = ctx;
	Ltpb__FeedHead *h;

	if (memcmp(feed->b, e->own->b, LT_ID_LEN + 1) != 0 || lt_feed_id_cmp(feed, e->own) == 0)
		return LT_OK;
	if (e->n == sizeof(e->head) / sizeof(e->head[0]))
		return LT_OK;
	h = &e->head[e->n++];
	ltpb__feed_head__init(h);
	h->unit = lt_arena_dup(e->w->arena, unit->s, strlen(unit->s));
	h->feed.data = lt_arena_dup(e->w->arena, feed->b, LT_FEED_LEN);
	h->feed.len = LT_FEED_LEN;
	h->seq = head->seq;
	h->hash.data = lt_arena_dup(e->w->arena, head->hash.b, LT_HASH_LEN);
	h->hash.len = LT_HASH_LEN;
	return h->unit == NULL || h->feed.data == NULL || h->hash.data == NULL ? LT_E_NOMEM : LT_OK;
}

static int
next_stamp(struct authoring *w, const struct lt_head *head, uint64_t *stamp, uint64_t *hub_stamp)
{
	uint64_t last;
	int64_t wall = lt_wall_ms(w->a->clock);
	int rc = lt_local_get_u64(w->log, "hlc", &last);

	if (rc != LT_OK)
		return rc;
	rc = lt_local_get_u64(w->log, "hub_stamp", hub_stamp);
	if (rc != LT_OK)
		return rc;
	if (last < head->stamp)
		last = head->stamp;
	if (LT_SIM_BUG(STAMP_FROM_CLOCK))
		last = 0;
	/* A clock that says a time before this program was built, or before the hub's last word, is wrong. */
	if (wall < LT_BUILD_FLOOR_MS)
		wall = LT_BUILD_FLOOR_MS;
	if (wall < LT_STAMP_MS(*hub_stamp))
		wall = LT_STAMP_MS(*hub_stamp);
	*stamp = lt_hlc_next(last, wall);
	if (*stamp == 0)
		return LT_E_INVALID;
	return lt_local_put_u64(w->log, "hlc", *stamp);
}

static int
append_made(struct authoring *w, struct lt_slice bytes, struct lt_made *made)
{
	struct lt_judgement accepted = { 0 };
	int rc;

	rc = lt_changeset_parse(bytes, w->arena, &made->cs, w->err);
	if (rc != LT_OK)
		return rc;
	rc = lt_feed_log_append(
	    w->log, &made->cs, (uint64_t)lt_wall_ms(w->a->clock), &made->position);
	if (rc != LT_OK || !w->a->by_hub)
		return rc;
	return lt_feed_log_judge(w->log, w->unit, &made->cs.feed, made->cs.seq, made->position,
	    made->cs.stamp, &accepted);
}

static int
seal_group(struct authoring *w, enum lt_lane lane, struct group *g, struct lt_buf *bytes)
{
	struct earlier e = { .w = w };
	struct lt_seal seal = { 0 };
	struct lt_head head;
	struct lt_hash hash;
	int rc;

	rc = lt_author_feed(w->log, w->a, w->unit, lane, &seal.feed);
	if (rc == LT_OK)
		rc = lt_feed_log_head(w->log, w->unit, &seal.feed, &head);
	if (rc == LT_OK)
		rc = next_stamp(w, &head, &seal.stamp, &seal.hub_stamp);
	if (rc != LT_OK)
		return rc;
	if (head.seq == 0 && !w->a->by_hub)
		rc = lt_author_may_begin(w->log, w->unit, &w->a->id, w->err);
	if (rc != LT_OK)
		return rc;
	if (head.seq == 0) {
		e.own = &seal.feed;
		rc = lt_feed_log_each(w->log, w->unit, note_earlier, &e);
		if (rc != LT_OK)
			return rc;
	}
	seal.federation = w->a->federation;
	seal.unit = *w->unit;
	seal.seq = head.seq + 1;
	seal.prev = head.hash;
	seal.catalogue_version = lt_catalogue_version(w->cat);
	seal.key_no = w->a->key_no;
	seal.key = w->a->key;
	w->a->random(w->a->random_ctx, seal.seed, sizeof(seal.seed));
	seal.nearlier = e.n;
	seal.earlier = e.head;
	seal.ndraft = g->n;
	seal.draft = g->draft;
	return lt_changeset_seal(&seal, bytes, &hash, w->err);
}

/* Seal and append what the lane has gathered. */
static int
flush_lane(struct authoring *w, enum lt_lane lane)
{
	struct group *g = w->lane[lane - 1];
	struct lt_made made = { 0 };
	struct lt_buf bytes;
	uint8_t *kept;
	size_t i;
	int rc;

	if (g == NULL || g->n == 0)
		return LT_OK;
	lt_buf_init(&bytes, LT_MESSAGE_MAX);
	rc = seal_group(w, lane, g, &bytes);
	if (rc == LT_E_TOOBIG && g->n == 1) {
		g->write[0]->rc = LT_E_TOOBIG;
		rc = LT_OK;
		goto out;
	}
	if (rc != LT_OK)
		goto out;
	kept = lt_arena_dup(w->arena, bytes.data, bytes.len);
	if (kept == NULL) {
		rc = LT_E_NOMEM;
		goto out;
	}
	rc = append_made(w, lt_slice(kept, bytes.len), &made);
	if (rc != LT_OK)
		goto out;
	for (i = 0; i < g->n; i++) {
		g->write[i]->dot.feed = made.cs.feed;
		g->write[i]->dot.seq = made.cs.seq;
		g->write[i]->dot.index = (uint32_t)i;
	}
	if (w->after_append != NULL)
		rc = w->after_append(w->ctx, &made);
out:
	g->n = 0;
	g->bytes = 0;
	lt_buf_fini(&bytes);
	return rc;
}

static int
flush_all(struct authoring *w)
{
	int lane, rc = LT_OK;

	for (lane = 1; lane <= LANES && rc == LT_OK; lane++)
		rc = flush_lane(w, (enum lt_lane)lane);
	return rc;
}

/* ---- one write against the record as it stands ---- */

/* The record a write is about. */
struct target {
	const struct lt_collection *col;
	struct lt_buf row; /* visible row, empty when there is none */
	struct lt_shown shown;
	bool
	    aside; /* something of it is of a branch that nobody else has; else the next two are empty */
	struct lt_buf base; /* the row without that */
	struct lt_shown base_shown;
	bool again; /* say also what stands there already */
};

static int
opening_of(void *ctx, const struct lt_dot *dot, const char *field, struct lt_arena *arena,
    struct lt_slice *field_set)
{
	struct authoring *w = ctx;
	uint64_t position;
	int rc = lt_feed_log_find(w->log, w->unit, &dot->feed, dot->seq, &position);

	if (rc != LT_OK)
		return rc;
	return lt_opening_get(w->log, position, dot->index, field, arena, field_set, NULL, NULL);
}

/* field: "" when the write as a whole is wrong. */
static void
refuse(struct lt_write *wr, Ltpb__ReasonCode reason, const char *field, const char *rule,
    const char *message, const char *message_vi)
{
	struct lt_violation *v = &wr->violation;

	v->reason = reason;
	(void)snprintf(v->field, sizeof(v->field), "%s", field);
	(void)snprintf(v->rule, sizeof(v->rule), "%s", rule);
	(void)snprintf(v->message, sizeof(v->message), "%s%s%.64s%s", message,
	    field[0] != '\0' ? ": '" : "", field, field[0] != '\0' ? "'" : "");
	(void)snprintf(v->message_vi, sizeof(v->message_vi), "%s%s%.64s%s", message_vi,
	    field[0] != '\0' ? ": '" : "", field, field[0] != '\0' ? "'" : "");
	wr->rc = LT_E_REFUSED;
}

static int
resolve_key(struct authoring *w, const struct lt_collection *col, struct lt_write *wr)
{
	struct lt_buf key;
	Ltpb__FieldSet **part;
	size_t npart;
	int rc;

	lt_buf_init(&key, LT_KEY_MAX);
	if (wr->key != NULL && wr->key[0] != '\0')
		lt_buf_str(&key, wr->key);
	else
		wr->rc = lt_key_build(col, w->unit, (const Ltpb__FieldSet *const *)wr->set,
		    wr->nset, &key, &wr->violation);
	if (wr->rc == LT_OK && key.err != LT_OK)
		refuse(wr, LTPB__REASON_CODE__REASON_TOO_LONG, "", "key",
		    "the key is longer than 256 bytes", "khóa dài hơn 256 byte");
	if (wr->rc == LT_OK) {
		memcpy(wr->key_out, key.data, key.len);
		wr->key_out[key.len] = '\0';
		rc = lt_key_split(col, wr->key_out, w->arena, &part, &npart, &wr->violation);
		wr->rc = rc;
	}
	lt_buf_fini(&key);
	return wr->rc == LT_E_NOMEM ? LT_E_NOMEM : LT_OK;
}

static int
load_base(struct authoring *w, struct lt_write *wr, struct target *t)
{
	int rc = lt_record_aside(w->derived, wr->collection, w->unit->s, wr->key_out, &t->aside);

	if (rc != LT_OK || !t->aside)
		return rc;
	rc = lt_record_base(w->log, w->derived, w->cat, &w->a->province, wr->collection, w->unit->s,
	    wr->key_out, &t->base, &t->aside);
	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	return rc == LT_OK ? lt_merge_show(&t->col->rules, lt_buf_slice(&t->base), opening_of, w,
				 w->arena, &t->base_shown)
			   : rc;
}

static int
load_target(struct authoring *w, struct lt_write *wr, struct target *t)
{
	int rc;

	/* A row may pass the author's limit when several wrote at once (FORMAT.md 5.1); it must not stand in the way. */
	lt_buf_init(&t->row, LT_RECORD_MAX * 8);
	lt_buf_init(&t->base, LT_RECORD_MAX * 8);
	memset(&t->shown, 0, sizeof(t->shown));
	rc = lt_record_row(w->log, w->derived, w->cat, &w->a->province, wr->collection, w->unit->s,
	    wr->key_out, &t->row);
	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	if (rc != LT_OK)
		return rc;
	rc = lt_merge_show(
	    &t->col->rules, lt_buf_slice(&t->row), opening_of, w, w->arena, &t->shown);
	return rc == LT_OK ? load_base(w, wr, t) : rc;
}

/* Whoever wrote against another revision has to look at the record again: the words name the one there is. */
static void
check_revision(struct lt_write *wr, const struct target *t)
{
	struct lt_violation *v = &wr->violation;
	char hex[2 * 16 + 1];
	uint8_t rev[16];

	if (!wr->if_revision)
		return;
	if (!t->shown.exists) {
		if (wr->revision.len == 0)
			return;
		wr->rc = LT_E_CONFLICT;
		(void)snprintf(v->message, sizeof(v->message),
		    "the record does not exist now, so it has no revision; read the record again");
		(void)snprintf(v->message_vi, sizeof(v->message_vi),
		    "hiện không có bản ghi này; hãy đọc lại bản ghi rồi quyết định");
		return;
	}
	lt_record_revision(lt_buf_slice(&t->row), rev);
	if (lt_slice_eq(wr->revision, lt_slice(rev, sizeof(rev))))
		return;
	wr->rc = LT_E_CONFLICT;
	lt_hex(hex, rev, sizeof(rev));
	(void)snprintf(v->message, sizeof(v->message),
	    "the record is at revision %s now; read the record again, then decide", hex);
	(void)snprintf(v->message_vi, sizeof(v->message_vi),
	    "bản ghi nay ở bản %s; hãy đọc lại bản ghi rồi quyết định", hex);
}

static const struct lt_shown_field *
shown_field(const struct lt_shown *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->nfield; i++)
		if (strcmp(s->field[i].name, name) == 0)
			return &s->field[i];
	return NULL;
}

static const Ltpb__FieldSet *
part_named(Ltpb__FieldSet *const *part, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(part[i]->name, name) == 0)
			return part[i];
	return NULL;
}

/* A key or unit field among the wanted values must say what the key and unit say. */
static bool
names_itself(struct authoring *w, const struct lt_field *f, const Ltpb__FieldSet *fs,
    Ltpb__FieldSet *const *part, size_t npart)
{
	const Ltpb__FieldSet *in_key = f->in_key ? part_named(part, npart, f->rule.name) : NULL;

	if (in_key != NULL && !lt_value_eq(in_key->value, fs->value))
		return false;
	if (!f->is_unit)
		return true;
	return fs->value != NULL && fs->value->v_case == LTPB__VALUE__V_TEXT &&
	       strcmp(fs->value->text, w->unit->s) == 0;
}

/* Does this wanted value differ from what stands there? For sets, what it adds and removes goes to out. */
static int
wanted_change(struct authoring *w, const struct target *t, const struct lt_field *f,
    Ltpb__FieldSet *fs, Ltpb__FieldSet **out)
{
	const struct lt_shown_field *s = shown_field(&t->shown, f->rule.name);
	Ltpb__FieldSet *copy;

	*out = NULL;
	if ((!t->again || f->rule.policy == LT_POLICY_SET) && s != NULL && !s->conflict &&
	    !s->withheld && lt_value_eq(s->value, fs->value))
		return LT_OK;
	copy = lt_arena_alloc(w->arena, sizeof(*copy));
	if (copy == NULL)
		return LT_E_NOMEM;
	ltpb__field_set__init(copy);
	copy->name = fs->name;
	copy->value = fs->value;
	*out = copy;
	if (f->rule.policy != LT_POLICY_SET || fs->value->v_case != LTPB__VALUE__V_SET)
		return LT_OK;
	return lt_set_delta(s != NULL && s->value != NULL && s->value->v_case == LTPB__VALUE__V_SET
				? s->value->set
				: NULL,
	    fs->value->set, w->arena, copy);
}

static int
draft_sets(struct authoring *w, struct lt_write *wr, const struct target *t, struct lt_draft *d)
{
	Ltpb__FieldSet **part, *change;
	size_t npart, i;
	int rc;

	rc = lt_key_split(t->col, wr->key_out, w->arena, &part, &npart, &wr->violation);
	if (rc != LT_OK)
		return rc;
	d->set = lt_arena_alloc(w->arena, (wr->nset + 1) * sizeof(*d->set));
	d->personal = lt_arena_alloc(w->arena, (wr->nset + 1) * sizeof(*d->personal));
	if (d->set == NULL || d->personal == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < wr->nset && wr->rc == LT_OK; i++) {
		const struct lt_field *f = lt_collection_field(t->col, wr->set[i]->name);

		if (f == NULL) {
			refuse(wr, LTPB__REASON_CODE__REASON_UNKNOWN_FIELD, wr->set[i]->name,
			    "unknown_field", "the collection has no such field",
			    "bộ dữ liệu không có trường này");
			break;
		}
		if (f->in_key || f->is_unit) {
			if (!names_itself(w, f, wr->set[i], part, npart))
				refuse(wr, LTPB__REASON_CODE__REASON_UNIT_FIELD, f->rule.name,
				    "unit_field",
				    "the field says another unit or key than the record's",
				    "trường khác với đơn vị hoặc khóa của bản ghi");
			continue;
		}
		wr->rc = lt_field_check(f, wr->set[i], &wr->violation);
		if (wr->rc != LT_OK)
			break;
		rc = wanted_change(w, t, f, wr->set[i], &change);
		if (rc != LT_OK)
			return rc;
		if (change == NULL)
			continue;
		if (f->rule.personal == LT_PERSONAL_NONE)
			d->set[d->nset++] = change;
		else
			d->personal[d->npersonal++] = change;
	}
	return LT_OK;
}

/* A conflict in a field that shows nothing: clearing is how a person settles it. */
static bool
hidden_conflict(const struct lt_shown *s)
{
	size_t i, seen = 0;

	for (i = 0; i < s->nfield; i++)
		seen += s->field[i].conflict;
	return s->nconflict > seen;
}

static int
draft_clears(struct authoring *w, struct lt_write *wr, const struct target *t, struct lt_draft *d)
{
	size_t i;

	d->cleared = lt_arena_alloc(w->arena, (wr->nclear + 1) * sizeof(*d->cleared));
	if (d->cleared == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < wr->nclear && wr->rc == LT_OK; i++) {
		const struct lt_field *f = lt_collection_field(t->col, wr->clear[i]);

		if (f == NULL || f->in_key || f->is_unit)
			refuse(wr, LTPB__REASON_CODE__REASON_UNKNOWN_FIELD, wr->clear[i],
			    "unknown_field", "this field cannot be cleared",
			    "không thể xóa trường này");
		else if (shown_field(&t->shown, f->rule.name) != NULL ||
			 (hidden_conflict(&t->shown) && f->rule.policy == LT_POLICY_REVIEW))
			d->cleared[d->ncleared++] = wr->clear[i];
	}
	return LT_OK;
}

static int
draft_actor(struct authoring *w, const struct lt_write *wr, struct lt_draft *d)
{
	Ltpb__FieldSet *fs;
	Ltpb__Value *v;

	if (wr->actor == NULL || wr->actor[0] == '\0')
		return LT_OK;
	if (d->personal == NULL)
		d->personal = lt_arena_alloc(w->arena, sizeof(*d->personal));
	fs = lt_arena_alloc(w->arena, sizeof(*fs));
	v = lt_arena_alloc(w->arena, sizeof(*v));
	if (d->personal == NULL || fs == NULL || v == NULL)
		return LT_E_NOMEM;
	ltpb__value__init(v);
	v->v_case = LTPB__VALUE__V_TEXT;
	v->text = lt_arena_dup(w->arena, wr->actor, strlen(wr->actor));
	ltpb__field_set__init(fs);
	fs->name = lt_arena_dup(w->arena, LT_ACTOR_FIELD, strlen(LT_ACTOR_FIELD));
	fs->value = v;
	if (v->text == NULL || fs->name == NULL)
		return LT_E_NOMEM;
	d->personal[d->npersonal++] = fs;
	return LT_OK;
}

/* What admission would say, so that nothing is ever signed that would be refused. *size: about how many bytes. */
static int
admit_draft(struct authoring *w, struct lt_write *wr, const struct lt_draft *d, enum lt_lane lane,
    size_t *size)
{
	struct lt_writer_info who = { *w->unit, lane, w->a->by_hub, w->a->province };
	struct lt_seal seal = { .federation = w->a->federation,
		.unit = *w->unit,
		.seq = 1,
		.stamp = 1,
		.catalogue_version = lt_catalogue_version(w->cat),
		.key_no = w->a->key_no,
		.ndraft = 1,
		.draft = d };
	struct lt_changeset cs;
	struct lt_field_set *opened;
	struct lt_err why = { "" };
	struct lt_arena trial;
	struct lt_buf bytes;
	size_t i;
	int rc;

	lt_buf_init(&bytes, LT_MESSAGE_MAX);
	/* In memory of its own: an import of many rows would else hold every trial to its end. */
	lt_arena_init(&trial, lt_arena_cap_for(LT_MESSAGE_MAX));
	seal.feed = lt_feed_id_make(w->a->id, lane, 1);
	rc = lt_changeset_try(&seal, &bytes, &why);
	if (rc == LT_OK)
		rc = lt_changeset_parse(lt_buf_slice(&bytes), &trial, &cs, &why);
	if (rc == LT_E_INVALID) {
		/* A field named twice, a text that is none: this row's fault, not the others'. */
		refuse(wr, LTPB__REASON_CODE__REASON_MALFORMED, "", "format", why.text,
		    "dữ liệu không đúng khuôn dạng");
		rc = LT_OK;
		goto out;
	}
	if (rc == LT_OK) {
		opened = lt_arena_alloc(&trial, (cs.nopening + 1) * sizeof(*opened));
		rc = opened == NULL ? LT_E_NOMEM : LT_OK;
	}
	if (rc == LT_E_TOOBIG) {
		wr->rc = LT_E_TOOBIG;
		rc = LT_OK;
	} else if (rc == LT_OK) {
		for (i = 0; i < cs.nopening; i++)
			opened[i] = cs.opening[i].field;
		wr->rc = lt_admit_change(
		    w->cat, &who, &cs.change[0], opened, cs.nopening, &wr->violation);
		*size = bytes.len;
	}
out:
	lt_arena_fini(&trial);
	lt_buf_fini(&bytes);
	return rc;
}

static bool
gathered(const struct authoring *w, const struct lt_write *wr)
{
	int lane;
	size_t i;

	for (lane = 0; lane < LANES; lane++) {
		const struct group *g = w->lane[lane];

		for (i = 0; g != NULL && i < g->n; i++)
			if (strcmp(g->draft[i].key, wr->key_out) == 0 &&
			    strcmp(g->draft[i].collection, wr->collection) == 0)
				return true;
	}
	return false;
}

static int
gather(struct authoring *w, enum lt_lane lane, struct lt_write *wr, const struct lt_draft *d,
    size_t size)
{
	struct group **g = &w->lane[lane - 1];
	int rc;

	if (*g == NULL)
		*g = lt_arena_alloc(w->arena, sizeof(**g));
	if (*g == NULL)
		return LT_E_NOMEM;
	if ((*g)->n == GROUP_CHANGES_MAX ||
	    ((*g)->n != 0 && (*g)->bytes + size > GROUP_BYTES_MAX)) {
		rc = flush_lane(w, lane);
		if (rc != LT_OK)
			return rc;
	}
	(*g)->draft[(*g)->n] = *d;
	(*g)->write[(*g)->n] = wr;
	(*g)->n++;
	(*g)->bytes += size;
	return LT_OK;
}

static bool
is_wanted(const struct lt_write *wr, const char *name)
{
	size_t i;

	for (i = 0; i < wr->nclear; i++)
		if (strcmp(wr->clear[i], name) == 0)
			return true;
	return part_named(wr->set, wr->nset, name) != NULL;
}

/* Does the record show this without the branch aside, too? */
static bool
is_in_base(const struct lt_shown *base, const struct lt_shown_field *f)
{
	const struct lt_shown_field *b = shown_field(base, f->name);

	return b != NULL && b->value != NULL && b->conflict == f->conflict &&
	       lt_value_eq(b->value, f->value);
}

/* Nobody can write a field that the catalogue has no more: a person is not kept from saving the rest. */
static bool
is_gone(const struct lt_write *wr, const struct target *t, const char *name)
{
	return !wr->reissue && lt_collection_field(t->col, name) == NULL;
}

/* What is shown of a branch that nobody else has goes into the change that is made now: it can name only what others have, and
 * what a person saw when writing must not be lost by that. What the record shows without it is not said again: that could settle what
 * others left open, or be refused by a catalogue that came since. From here on the target is the record without that branch. */
static int
carry_aside(struct authoring *w, struct lt_write *wr, struct target *t)
{
	const struct lt_shown *seen = &t->shown, *base = &t->base_shown;
	Ltpb__FieldSet **set =
	    lt_arena_alloc(w->arena, (wr->nset + seen->nfield + 1) * sizeof(*set));
	char **clear = lt_arena_alloc(w->arena, (wr->nclear + base->nfield + 1) * sizeof(*clear));
	size_t i;

	if (set == NULL || clear == NULL)
		return LT_E_NOMEM;
	if (wr->nset != 0)
		memcpy(set, wr->set, wr->nset * sizeof(*set));
	if (wr->nclear != 0)
		memcpy(clear, wr->clear, wr->nclear * sizeof(*clear));
	wr->clear = clear; /* before the first one is added: what is wanted is looked for in it */
	for (i = 0; i < base->nfield; i++)
		if (shown_field(seen, base->field[i].name) == NULL &&
		    !is_wanted(wr, base->field[i].name) && !is_gone(wr, t, base->field[i].name))
			clear[wr->nclear++] = (char *)base->field[i].name;
	for (i = 0; i < seen->nfield; i++) {
		const struct lt_shown_field *f = &seen->field[i];

		if (f->value == NULL || is_wanted(wr, f->name) || is_in_base(base, f) ||
		    is_gone(wr, t, f->name))
			continue;
		set[wr->nset] = lt_arena_alloc(w->arena, sizeof(**set));
		if (set[wr->nset] == NULL)
			return LT_E_NOMEM;
		ltpb__field_set__init(set[wr->nset]);
		set[wr->nset]->name = (char *)f->name;
		set[wr->nset++]->value = (Ltpb__Value *)f->value;
		wr->set = set;
	}
	wr->set = set;
	t->shown = *base;
	lt_buf_fini(&t->row);
	t->row = t->base;
	lt_buf_init(&t->base, 0);
	return LT_OK;
}

static int
draft_fields(struct authoring *w, struct lt_write *wr, const struct target *t, struct lt_draft *d)
{
	int rc = draft_sets(w, wr, t, d);

	return rc == LT_OK && wr->rc == LT_OK ? draft_clears(w, wr, t, d) : rc;
}

static bool
says_nothing(const struct lt_draft *d)
{
	return d->nset + d->npersonal + d->ncleared == 0;
}

/* What was only here stands at the hub, too, in the same words. What the person named is said once more all the same: only a
 * change that the hub takes makes it true that what was saved here got there. Not what was carried over: of that others may be
 * the only ones to write it. */
static int
draft_again(struct authoring *w, const struct lt_write *wr, struct lt_write *whole,
    struct target *t, struct lt_draft *d)
{
	struct lt_write named = *wr;
	int rc;

	t->again = true;
	rc = draft_fields(w, &named, t, d);
	t->again = false;
	whole->rc = named.rc;
	whole->violation = named.violation;
	return rc;
}

/* By whom, and in the knowledge of what. */
static int
draft_end(
    struct authoring *w, const struct lt_write *wr, const struct target *t, struct lt_draft *d)
{
	struct lt_feed_id own;
	struct lt_context *context;
	int rc = draft_actor(w, wr, d);

	if (rc == LT_OK)
		rc = lt_author_feed(w->log, w->a, w->unit, t->col->lane, &own);
	if (rc == LT_OK && t->row.len != 0) {
		rc = lt_row_context(lt_buf_slice(&t->row), &own, w->arena, &context, &d->ncontext);
		d->context = context;
	}
	return rc;
}

/* The last change of the branch aside, of which this write takes along what it shows; with the hash of the very change-set that is aside. */
static int
draft_origin(struct authoring *w, const struct lt_write *wr, struct lt_draft *d, uint64_t *position)
{
	struct lt_origin *origin = lt_arena_alloc(w->arena, sizeof(*origin));
	int rc;

	if (origin == NULL)
		return LT_E_NOMEM;
	rc = lt_record_aside_last(
	    w->derived, wr->collection, w->unit->s, wr->key_out, &origin->dot, position);
	if (rc != LT_OK)
		return rc;
	rc = lt_log_view_open(&w->view, w->log, *position);
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
	origin->hash8 = lt_load_u64(w->view.hash.b);
	d->origin = origin;
	return LT_OK;
}

/* From the wanted state to a draft; nothing to do leaves wr->unchanged or an error in wr->rc. */
static int
draft_write(struct authoring *w, struct lt_write *wr, struct target *t, struct lt_draft *d)
{
	struct lt_write whole; /* with what is carried over */
	uint64_t position;
	int rc = LT_OK;

	d->collection = t->col->id;
	d->key = wr->key_out;
	d->is_delete = wr->is_delete;
	if (wr->is_delete && !t->shown.exists) {
		wr->rc = LT_E_NOTFOUND;
		return LT_OK;
	}
	if (!wr->builtin)
		wr->rc = lt_write_check(t->col, wr->writer, &t->shown,
		    (const Ltpb__FieldSet *const *)wr->set, wr->nset,
		    (const char *const *)wr->clear, wr->nclear, wr->is_delete, &wr->violation);
	if (wr->rc != LT_OK)
		return LT_OK;
	wr->created = !t->shown.exists;
	whole = *wr;
	if (t->aside)
		rc = draft_origin(w, wr, d, &position);
	/* What cannot be read cannot be named; it keeps nobody from saving. */
	if (rc == LT_E_CORRUPT)
		rc = LT_OK;
	if (rc == LT_OK && t->aside)
		rc = carry_aside(w, &whole, t);
	if (rc == LT_OK && !wr->is_delete)
		rc = draft_fields(w, &whole, t, d);
	if (rc == LT_OK && whole.rc == LT_OK && t->aside && !wr->is_delete && says_nothing(d))
		rc = draft_again(w, wr, &whole, t, d);
	wr->rc = whole.rc;
	wr->violation = whole.violation;
	if (rc != LT_OK || wr->rc != LT_OK)
		return rc;
	if (!wr->is_delete && t->shown.exists && !t->shown.incomplete && says_nothing(d)) {
		wr->unchanged = true;
		return LT_OK;
	}
	return draft_end(w, wr, t, d);
}

/* ---- what stands aside, once more ---- */

struct issuing {
	struct authoring *w;
	const struct lt_origin *origin;
	uint64_t position; /* of the origin: what was made of it stands behind it */
	bool found, held;
};

/* Is this change the re-issue? Made by a copy of this machine, or before it was restored. One that was refused said nothing. */
static int
is_reissue(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct issuing *i = ctx;
	struct lt_id author = lt_feed_author(&dot->feed);
	struct lt_change change;
	struct lt_log_view *view = &i->w->view;
	struct lt_arena arena;
	struct lt_origin of;
	bool is = false;
	int rc;

	if (position <= i->position || lt_feed_is_aside(&dot->feed) ||
	    !lt_id_eq(&author, &i->w->a->id))
		return LT_OK;
	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	rc = lt_log_view_open(view, i->w->log, position);
	if (rc == LT_OK)
		rc = lt_log_view_change(view, dot->index, &arena, &change);
	if (rc == LT_OK && lt_change_origin(&change, &of) &&
	    !lt_judgement_refuses(&view->judgement, dot->index, NULL))
		is = lt_origin_eq(&of, i->origin);
	if (is && lt_judgement_holds(&view->judgement, dot->index))
		i->held = true;
	else if (is)
		i->found = true;
	lt_arena_fini(&arena);
	return rc == LT_OK && i->found ? LT_E_CANCELLED : rc;
}

static int
issued_before(struct authoring *w, struct lt_write *wr, const struct lt_origin *origin,
    uint64_t position, bool *found)
{
	struct issuing i = { .w = w, .origin = origin, .position = position };
	int rc =
	    lt_history_each(w->derived, wr->collection, w->unit->s, wr->key_out, is_reissue, &i);

	*found = i.found && !LT_SIM_BUG(REISSUE_DOUBLED);
	/* The hub may yet take it or refuse it. */
	if (i.held && !*found)
		wr->rc = LT_E_UNAVAILABLE;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* A value that is not at hand could not go along; and where one is not at hand without the branch (it was erased, say), what the branch has
 * in its place is not made known again without a person. */
static bool
is_kept_back(const struct target *t, const struct lt_shown_field *f)
{
	const struct lt_shown_field *base = shown_field(&t->base_shown, f->name);
	const struct lt_field *field = lt_collection_field(t->col, f->name);
	bool base_withheld = base != NULL && base->withheld;

	if (!f->withheld)
		return base_withheld;
	if (!base_withheld || lt_feed_is_aside(&f->dot.feed))
		return true;
	/* Several values make up what is shown, and the dot is of one: the branch may have added another. */
	return field != NULL &&
	       (field->rule.policy == LT_POLICY_SET || field->rule.policy == LT_POLICY_MAX ||
		   field->rule.policy == LT_POLICY_MIN);
}

/* Shows the branch something otherwise than the record is without it? */
static bool
is_otherwise(const struct target *t)
{
	const struct lt_shown *seen = &t->shown, *base = &t->base_shown;
	size_t i;

	if (seen->exists != base->exists || seen->nfield != base->nfield)
		return true;
	for (i = 0; i < seen->nfield; i++)
		if (seen->field[i].value != NULL && !is_in_base(base, &seen->field[i]))
			return true;
	return false;
}

/* The hub would have taken the time of what is later than its own for its own; here the branch is weighed with the time it was signed with.
 * One from a clock that is ahead goes over what others wrote since only if a person says so. */
static int
check_ahead(struct authoring *w, struct lt_write *wr, const struct target *t, uint64_t position)
{
	uint64_t hub_stamp;
	int rc = lt_local_get_u64(w->log, "hub_stamp", &hub_stamp);

	if (rc == LT_OK)
		rc = lt_log_view_open(&w->view, w->log, position);
	if (rc == LT_OK && w->view.stamp > hub_stamp && t->base_shown.exists && is_otherwise(t))
		wr->rc = LT_E_CONFLICT;
	return rc;
}

/* The two branches contradict each other where the catalogue asks for a person, or a person has to settle something of the record anyway:
 * whoever writes to it then could settle that by the way, or drop what the branch has to say there. */
static bool
needs_person(const struct target *t)
{
	size_t i;

	if (t->shown.nconflict + t->base_shown.nconflict != 0 || t->shown.incomplete ||
	    t->base_shown.incomplete)
		return true;
	for (i = 0; i < t->shown.nfield; i++)
		if (is_kept_back(t, &t->shown.field[i]))
			return true;
	return false;
}

/* Who did it then does it now. Withheld or erased: nobody is named. */
static int
actor_of(struct authoring *w, uint64_t position, uint32_t index, const char **actor)
{
	ProtobufCMessage *m;
	struct lt_slice fs;
	int rc = lt_opening_get(w->log, position, index, LT_ACTOR_FIELD, w->arena, &fs, NULL, NULL);

	*actor = NULL;
	if (rc == LT_OK)
		rc = lt_wire_unpack(
		    &ltpb__field_set__descriptor, fs, LT_MESSAGE_MAX, w->arena, &m, NULL);
	if (rc == LT_OK && ((Ltpb__FieldSet *)m)->value != NULL &&
	    ((Ltpb__FieldSet *)m)->value->v_case == LTPB__VALUE__V_TEXT)
		*actor = ((Ltpb__FieldSet *)m)->value->text;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* What kept the rules when it was written may break them against what others made of the record since: then a person chooses. */
static int
check_against(struct lt_write *wr, const struct lt_write *whole, const struct target *t)
{
	struct lt_violation v = { 0 };
	int rc =
	    lt_write_check_against(t->col, &t->shown, (const Ltpb__FieldSet *const *)whole->set,
		whole->nset, (const char *const *)whole->clear, whole->nclear, &v);

	if (rc != LT_E_REFUSED)
		return rc;
	wr->rc = LT_E_CONFLICT;
	return LT_OK;
}

/* What the record shows of the branch, against what it is without it. From here on the target is the latter. Who may write was looked at
 * when it was written; but two machines cannot both have made a record that nobody may change. */
static int
draft_carried(struct authoring *w, struct lt_write *wr, struct target *t, struct lt_draft *d)
{
	struct lt_write whole = *wr;
	int rc = carry_aside(w, &whole, t);

	if (rc == LT_OK && !d->is_delete)
		rc = check_against(wr, &whole, t);
	if (rc != LT_OK || wr->rc != LT_OK)
		return rc;
	if (!d->is_delete)
		rc = draft_fields(w, &whole, t, d);
	wr->rc = whole.rc;
	wr->violation = whole.violation;
	if (rc != LT_OK || wr->rc != LT_OK)
		return rc;
	wr->unchanged =
	    LT_SIM_BUG(REISSUE_DROPPED) || (!d->is_delete && t->shown.exists && says_nothing(d));
	wr->created = !t->shown.exists;
	if (wr->unchanged)
		return LT_OK;
	if (t->col->immutable && t->shown.exists) {
		wr->rc = LT_E_CONFLICT;
		return LT_OK;
	}
	return draft_end(w, wr, t, d);
}

static int
draft_reissue(struct authoring *w, struct lt_write *wr, struct target *t, struct lt_draft *d)
{
	uint64_t position = 0;
	bool done = false;
	int rc = draft_origin(w, wr, d, &position);

	if (rc == LT_OK)
		rc = issued_before(w, wr, d->origin, position, &done);
	if (rc == LT_OK && wr->rc != LT_OK)
		return LT_OK;
	if (rc == LT_E_NOTFOUND ||
	    (rc == LT_OK && (done || (!t->shown.exists && !t->base_shown.exists)))) {
		wr->unchanged = true;
		return LT_OK;
	}
	if (rc == LT_OK && needs_person(t))
		wr->rc = LT_E_CONFLICT;
	else if (rc == LT_OK)
		rc = check_ahead(w, wr, t, position);
	if (rc != LT_OK || wr->rc != LT_OK)
		return rc;
	d->collection = t->col->id;
	d->key = wr->key_out;
	d->is_delete = !t->shown.exists;
	rc = actor_of(w, position, d->origin->dot.index, &wr->actor);
	return rc == LT_OK ? draft_carried(w, wr, t, d) : rc;
}

/* Would the record pass its limit by this? What is shown of a field that is set anew goes; what only takes away is always
 * let through, however large the record has become. */
static bool
outgrows(const struct target *t, const struct lt_draft *d, size_t size)
{
	size_t row = t->row.len, i, gone;

	if (d->is_delete || d->nset + d->npersonal == 0)
		return false;
	for (i = 0; i < d->nset; i++) {
		const struct lt_shown_field *s = shown_field(&t->shown, d->set[i]->name);

		if (s == NULL || s->value == NULL)
			continue;
		gone = protobuf_c_message_get_packed_size(&s->value->base);
		row -= gone < row ? gone : row;
	}
	return row + size > LT_RECORD_MAX;
}

static int
write_one(struct authoring *w, struct lt_write *wr)
{
	struct target t = { 0 };
	struct lt_draft *d;
	size_t size = 0;
	int rc;

	t.col = lt_catalogue_find(w->cat, wr->collection);
	if (t.col == NULL) {
		refuse(wr, LTPB__REASON_CODE__REASON_UNKNOWN_COLLECTION, wr->collection,
		    "unknown_collection", "the catalogue has no such collection",
		    "danh mục không có bộ dữ liệu này");
		return LT_OK;
	}
	rc = resolve_key(w, t.col, wr);
	if (rc != LT_OK || wr->rc != LT_OK)
		return rc;
	if (gathered(w, wr)) {
		rc = flush_all(w);
		if (rc != LT_OK)
			return rc;
	}
	d = lt_arena_alloc(w->arena, sizeof(*d));
	if (d == NULL)
		return LT_E_NOMEM;
	rc = load_target(w, wr, &t);
	if (rc == LT_OK)
		check_revision(wr, &t);
	if (rc == LT_OK && wr->rc == LT_OK)
		rc = wr->reissue ? draft_reissue(w, wr, &t, d) : draft_write(w, wr, &t, d);
	if (rc == LT_OK && wr->rc == LT_OK && !wr->unchanged)
		rc = admit_draft(w, wr, d, t.col->lane, &size);
	if (rc == LT_OK && wr->rc == LT_OK && !wr->unchanged && outgrows(&t, d, size))
		wr->rc = LT_E_TOOBIG;
	if (rc == LT_OK && wr->rc == LT_OK && !wr->unchanged)
		rc = gather(w, LT_SIM_BUG(WRONG_LANE) ? LT_LANE_NORMAL : t.col->lane, wr, d, size);
	lt_buf_fini(&t.row);
	lt_buf_fini(&t.base);
	return rc;
}

int
lt_author_write(struct lt_kv_txn *log, struct lt_kv_txn *derived, const struct lt_author *a,
    const struct lt_catalogue *cat, const struct lt_unit *unit, struct lt_write *writes, size_t n,
    struct lt_arena *arena, lt_made_fn *after_append, void *ctx, struct lt_err *err)
{
	struct authoring w = { .log = log,
		.derived = derived,
		.a = a,
		.cat = cat,
		.unit = unit,
		.arena = arena,
		.after_append = after_append,
		.ctx = ctx,
		.err = err };
	size_t i;
	int rc = LT_OK;

	for (i = 0; i < n && rc == LT_OK; i++) {
		/* A job may run again in another transaction: results start afresh. */
		writes[i].rc = LT_OK;
		writes[i].unchanged = writes[i].created = false;
		memset(&writes[i].violation, 0, sizeof(writes[i].violation));
		memset(&writes[i].dot, 0, sizeof(writes[i].dot));
		rc = write_one(&w, &writes[i]);
	}
	if (rc == LT_OK)
		rc = flush_all(&w);
	lt_log_view_close(&w.view);
	return rc;
}
