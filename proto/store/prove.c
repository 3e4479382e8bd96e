/* A proof is gathered in the order in which it is needed: the record's change-sets, the hub's verdicts on them, what of the chain lies
 * between, receipts, the acts about the authors, openings. At the end it is checked like anybody else's. */
#include "proto/store/prove.h"

#include "proto/base/wire.h"
#include "proto/feed/leaf.h"
#include "proto/feed/proof.h"
#include "proto/feed/trust.h"
#include "proto/store/feed_log_impl.h"
#include "proto/store/query_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH_ARENA ((size_t)64 * 1024 * 1024)
#define READ_TICKS 8 /* change-sets between two looks at the deadline */
#define RECEIPT_CHAIN_MAX 1024 /* headers that a receipt may cost; without it the verdict speaks */

enum standing { UNJUDGED, ACCEPTED, REFUSED, HELD };

/* One change that goes into the proof, or is looked at for it. */
struct item {
	struct lt_dot dot;
	uint64_t position;
	bool by_hub;
	enum standing standing;
};

struct items {
	size_t n, cap;
	struct item *v; /* owned */
};

/* A header that the chain needs. */
struct need {
	struct lt_feed_id feed;
	uint64_t seq;
};

struct proving {
	const struct lt_prove *with;
	const struct lt_query *q;
	const Ltpb__ProveRequest *req;
	Ltpb__ProveReply *reply;
	struct lt_err *err;
	struct lt_scope scope;
	const struct lt_unit_view *view;
	struct lt_unit unit;
	struct lt_id hub;
	uint64_t reads;
	struct items record, verdict, registry;
	size_t nneed, need_cap;
	struct need *need; /* owned */
	Ltpb__Proof proof;
};

static int
tick(struct proving *p)
{
	if (++p->reads % READ_TICKS != 0 || p->q->tick == NULL)
		return LT_OK;
	return p->q->tick(p->q->tick_ctx);
}

static int
item_add(struct items *list, const struct lt_dot *dot, uint64_t position)
{
	struct item *wider;
	size_t cap = list->cap == 0 ? 32 : list->cap * 2;

	if (list->n == list->cap) {
		wider = realloc(list->v, cap * sizeof(*wider));
		if (wider == NULL)
			return LT_E_NOMEM;
		list->v = wider;
		list->cap = cap;
	}
	list->v[list->n++] = (struct item){ .dot = *dot, .position = position };
	return LT_OK;
}

static int
by_dot(const void *a, const void *b)
{
	return lt_dot_cmp(&((const struct item *)a)->dot, &((const struct item *)b)->dot);
}

/* In order, each once. */
static void
items_sort(struct items *list)
{
	size_t i, kept = 0;

	if (list->n != 0)
		qsort(list->v, list->n, sizeof(*list->v), by_dot);
	for (i = 0; i < list->n; i++)
		if (kept == 0 || lt_dot_cmp(&list->v[kept - 1].dot, &list->v[i].dot) != 0)
			list->v[kept++] = list->v[i];
	list->n = kept;
}

static bool
same_set(const struct item *a, const struct item *b)
{
	return lt_feed_id_cmp(&a->dot.feed, &b->dot.feed) == 0 && a->dot.seq == b->dot.seq;
}

static void *
dup(struct proving *p, struct lt_slice s, int *rc)
{
	void *copy = lt_arena_dup(p->q->arena, s.data, s.len);

	if (copy == NULL)
		*rc = lt_nomem(p->err);
	return copy;
}

static int
read_set(struct proving *p, uint64_t position, struct lt_arena *scratch, struct lt_changeset *cs)
{
	struct lt_entry e;
	int rc = tick(p);

	if (rc == LT_OK)
		rc = lt_feed_log_read(p->q->log, position, &e);
	if (rc == LT_OK)
		rc = lt_changeset_parse(e.changeset, scratch, cs, NULL);
	return rc == LT_E_NOTFOUND || rc == LT_E_INVALID || rc == LT_E_BADHASH ? LT_E_CORRUPT : rc;
}

/* ---- which changes ---- */

static int
on_record_dot(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct proving *p = ctx;
	struct lt_id author = lt_feed_author(&dot->feed);
	int rc;

	/* A branch that only this node has: the hub judged another. */
	if (lt_feed_is_aside(&dot->feed)) {
		p->reply->unjudged++;
		return LT_OK;
	}
	rc = item_add(&p->record, dot, position);
	if (rc == LT_OK && lt_id_eq(&author, &p->hub)) {
		p->record.v[p->record.n - 1].by_hub = true;
		p->record.v[p->record.n - 1].standing = ACCEPTED;
	}
	return rc;
}

static int
gather_record(struct proving *p)
{
	const Ltpb__ProveRequest *r = p->req;
	int rc = lt_history_each(p->q->derived, r->collection, r->unit, r->key, on_record_dot, p);

	if (rc == LT_OK && p->record.n == 0 && p->reply->unjudged == 0)
		return lt_no_record(r->collection, r->unit, p->err);
	items_sort(&p->record);
	return rc;
}

/* ---- verdicts ---- */

static bool
refuses(const Ltpb__Verdict *v, const struct lt_dot *dot)
{
	size_t i;

	for (i = 0; i < v->n_refused; i++)
		if (v->refused[i]->seq == dot->seq && v->refused[i]->index == dot->index)
			return true;
	return false;
}

static int
need_range(struct proving *p, const struct lt_feed_id *feed, uint64_t from, uint64_t to)
{
	struct need *wider;
	size_t cap;
	uint64_t seq;

	for (seq = from; seq <= to && seq >= from; seq++) {
		if (p->nneed == p->need_cap) {
			cap = p->need_cap == 0 ? 64 : p->need_cap * 2;
			wider = realloc(p->need, cap * sizeof(*wider));
			if (wider == NULL)
				return lt_nomem(p->err);
			p->need = wider;
			p->need_cap = cap;
		}
		p->need[p->nneed].feed = *feed;
		p->need[p->nneed++].seq = seq;
	}
	return LT_OK;
}

/* Is it the change-set here that the verdict names? */
static int
of_this_branch(struct proving *p, const struct lt_feed_id *feed, const Ltpb__Verdict *v, bool *out)
{
	struct lt_hash have;
	int rc = lt_feed_log_hash(p->q->log, &p->unit, feed, v->to, &have);

	*out = rc == LT_OK && v->to_hash.len == LT_HASH_LEN &&
	       memcmp(have.b, v->to_hash.data, LT_HASH_LEN) == 0;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static bool
judge(struct item *it, const Ltpb__Verdict *v)
{
	if (v->settling || v->n_settled != 0) {
		if (it->standing != HELD ||
		    !(refuses(v, &it->dot) ||
			lt_verdict_names(v->n_settled, v->settled, it->dot.seq, it->dot.index)))
			return false;
		it->standing = refuses(v, &it->dot) ? REFUSED : ACCEPTED;
		return true;
	}
	if (it->standing != UNJUDGED)
		return false;
	it->standing = refuses(v, &it->dot) ? REFUSED
		       : lt_verdict_names(v->n_held, v->held, it->dot.seq, it->dot.index)
			   ? HELD
			   : ACCEPTED;
	return true;
}

/* Take a verdict if it judges one of the record's changes. */
static int
take_verdict(struct proving *p, const Ltpb__Verdict *v, const struct lt_dot *dot, uint64_t position)
{
	struct lt_feed_id feed;
	bool ours = false, used = false, looked = false;
	size_t i;
	int rc = LT_OK;

	if (v->feed.len != LT_FEED_LEN)
		return LT_OK;
	memcpy(feed.b, v->feed.data, LT_FEED_LEN);
	for (i = 0; rc == LT_OK && i < p->record.n; i++) {
		struct item *it = &p->record.v[i];

		if (it->by_hub || lt_feed_id_cmp(&it->dot.feed, &feed) != 0 ||
		    it->dot.seq < v->from || it->dot.seq > v->to)
			continue;
		if (!looked)
			rc = of_this_branch(p, &feed, v, &ours);
		looked = true;
		if (rc != LT_OK || !ours || !judge(it, v))
			continue;
		/* They rise: the range of the first holds those of the others. */
		if (!used)
			rc = need_range(p, &feed, it->dot.seq, v->to);
		used = true;
	}
	return rc == LT_OK && used ? item_add(&p->verdict, dot, position) : rc;
}

static int
read_verdict(struct proving *p, const struct lt_change *c, const struct lt_dot *dot,
    uint64_t position, struct lt_arena *scratch)
{
	ProtobufCMessage *msg;
	const Ltpb__Value *v;
	int rc;

	if (strcmp(c->collection, "_verdict") != 0 || c->nset != 1 ||
	    (v = c->set[0].pb->value) == NULL || v->v_case != LTPB__VALUE__V_BYTES)
		return LT_OK;
	rc = lt_wire_unpack(&ltpb__verdict__descriptor, lt_slice(v->bytes.data, v->bytes.len),
	    LT_VALUE_MAX, scratch, &msg, NULL);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	return take_verdict(p, (const Ltpb__Verdict *)msg, dot, position);
}

/* A change-set of verdicts; most are about other feeds, which the key's digits tell without decoding. */
static int
read_verdicts(struct proving *p, const struct lt_feed_id *feed, uint64_t seq, uint64_t position)
{
	struct lt_dot dot = { *feed, seq, 0 };
	char hex[2 * LT_FEED_LEN + 1];
	struct lt_changeset cs;
	struct lt_arena scratch;
	struct lt_entry e;
	bool about = false;
	size_t i;
	int rc = tick(p);

	if (rc == LT_OK)
		rc = lt_feed_log_read(p->q->log, position, &e);
	for (i = 0; rc == LT_OK && !about && i < p->record.n; i++) {
		if (p->record.v[i].by_hub ||
		    (i != 0 && same_set(&p->record.v[i - 1], &p->record.v[i])))
			continue;
		lt_hex(hex, p->record.v[i].dot.feed.b, LT_FEED_LEN);
		about = memmem(e.changeset.data, e.changeset.len, hex, 2 * LT_FEED_LEN) != NULL;
	}
	if (rc != LT_OK || !about)
		return rc;
	lt_arena_init(&scratch, SCRATCH_ARENA);
	rc = read_set(p, position, &scratch, &cs);
	for (i = 0; rc == LT_OK && i < cs.nchange; i++) {
		dot.index = (uint32_t)i;
		rc = read_verdict(p, &cs.change[i], &dot, position, &scratch);
	}
	lt_arena_fini(&scratch);
	return rc;
}

/* The first of a feed that stands behind a position in the log. */
static int
first_behind(struct proving *p, const struct lt_feed_id *feed, uint64_t head, uint64_t position,
    uint64_t *out)
{
	uint64_t low = 1, high = head + 1, mid, at;
	int rc = LT_OK;

	while (rc == LT_OK && low < high) {
		mid = low + (high - low) / 2;
		rc = lt_feed_log_find(p->q->log, &p->unit, feed, mid, &at);
		if (rc == LT_OK && at <= position)
			low = mid + 1;
		else
			high = mid;
	}
	*out = low;
	return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
}

/* Every change judged, and none waits for a settling verdict. */
static bool
all_settled(const struct proving *p)
{
	size_t i;

	for (i = 0; i < p->record.n; i++)
		if (p->record.v[i].standing == UNJUDGED || p->record.v[i].standing == HELD)
			return false;
	return true;
}

static int
search(struct proving *p, const struct lt_feed_id *feed, uint64_t from, uint64_t to)
{
	uint64_t seq, position;
	int rc = LT_OK;

	for (seq = from; rc == LT_OK && seq <= to && !all_settled(p); seq++) {
		rc = lt_feed_log_find(p->q->log, &p->unit, feed, seq, &position);
		if (rc == LT_OK)
			rc = read_verdicts(p, feed, seq, position);
	}
	return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
}

struct hub_feed {
	struct lt_feed_id feed;
	uint64_t head;
};

struct hub_feeds {
	struct lt_id hub;
	size_t n;
	struct hub_feed v[64]; /* urgent feeds of the unit, one an epoch */
};

static int
note_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct hub_feeds *f = ctx;
	struct lt_id author = lt_feed_author(feed);

	(void)unit;
	if (lt_feed_lane(feed) != LT_LANE_URGENT || !lt_id_eq(&author, &f->hub))
		return LT_OK;
	if (f->n == sizeof(f->v) / sizeof(f->v[0]))
		return LT_E_TOOBIG;
	f->v[f->n].feed = *feed;
	f->v[f->n++].head = head->seq;
	return LT_OK;
}

/* A verdict is mostly written right behind what it judges; on a node it may also have come before. */
static int
gather_verdicts(struct proving *p)
{
	struct hub_feeds f = { .hub = p->hub };
	uint64_t lowest = UINT64_MAX, first[64] = { 0 };
	size_t i;
	int rc = lt_feed_log_each(p->q->log, &p->unit, note_feed, &f);

	for (i = 0; i < p->record.n; i++)
		if (!p->record.v[i].by_hub && p->record.v[i].position < lowest)
			lowest = p->record.v[i].position;
	for (i = 0; rc == LT_OK && i < f.n; i++)
		rc = first_behind(p, &f.v[i].feed, f.v[i].head, lowest, &first[i]);
	for (i = 0; rc == LT_OK && i < f.n; i++)
		rc = search(p, &f.v[i].feed, first[i], f.v[i].head);
	for (i = 0; rc == LT_OK && i < f.n; i++)
		rc = search(p, &f.v[i].feed, 1, first[i] - 1);
	items_sort(&p->verdict);
	return rc;
}

/* ---- what the asker may have ---- */

static bool
shows(const struct proving *p, const char *name)
{
	static const struct lt_field actor = { .rule = { .name = LT_ACTOR_FIELD,
						   .personal = LT_PERSONAL_SENSITIVE } };
	const struct lt_sight *sight = p->q->sight;
	const struct lt_field *f = lt_collection_field(p->scope.col, name);

	if (strcmp(name, LT_ACTOR_FIELD) == 0)
		return sight->field(sight->ctx, p->scope.col, p->unit.s, &actor);
	return f != NULL && p->view->field[f - p->scope.col->field];
}

/* Nothing in the signed bytes that is not for these eyes? A personal field's name tells no value, so that it was cleared may be seen. */
static bool
clear_of_masked(const struct proving *p, const struct lt_change *c)
{
	const struct lt_field *f;
	size_t i;

	for (i = 0; i < c->nset; i++)
		if (!shows(p, c->set[i].pb->name))
			return false;
	for (i = 0; i < c->ncleared; i++) {
		f = lt_collection_field(p->scope.col, c->cleared[i]);
		if (!shows(p, c->cleared[i]) && (f == NULL || f->rule.personal == LT_PERSONAL_NONE))
			return false;
	}
	return true;
}

/* Leave out what is not judged, and refused changes that may not be shown. */
static int
choose(struct proving *p)
{
	struct lt_changeset cs;
	struct lt_arena scratch;
	size_t i, kept = 0;
	bool clear;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < p->record.n; i++) {
		struct item *it = &p->record.v[i];

		if (it->standing == UNJUDGED) {
			p->reply->unjudged++;
			continue;
		}
		lt_arena_init(&scratch, SCRATCH_ARENA);
		rc = read_set(p, it->position, &scratch, &cs);
		if (rc == LT_OK && it->dot.index >= cs.nchange)
			rc = LT_E_CORRUPT;
		clear = rc == LT_OK && clear_of_masked(p, &cs.change[it->dot.index]);
		lt_arena_fini(&scratch);
		if (rc == LT_OK && !clear && it->standing != REFUSED)
			return lt_err_set(p->err, LT_E_DENIED,
			    "a change of this record holds fields that you may not see, and signed "
			    "bytes "
			    "cannot be masked");
		if (clear)
			p->record.v[kept++] = *it;
		else
			p->reply->masked++;
	}
	p->record.n = kept;
	p->reply->changes = (uint32_t)kept;
	if (rc == LT_OK && kept == 0)
		return lt_err_set(p->err, LT_E_UNAVAILABLE,
		    "the hub's verdict on this record's changes is not here yet: nothing to prove "
		    "so far");
	return rc;
}

/* ---- parts ---- */

static int
put_opening(struct proving *p, const struct lt_leaf_place *place, uint64_t position,
    struct lt_arena *scratch, Ltpb__OpenedField *o)
{
	uint8_t salt[LT_SALT_LEN];
	struct lt_hash leaf, none;
	struct lt_slice bytes;
	int rc;

	memset(&none, 0, sizeof(none));
	o->name = dup(p, lt_slice_str(place->field), &rc);
	if (o->name == NULL)
		return LT_E_NOMEM;
	rc = lt_opening_get(
	    p->q->log, position, place->index, place->field, scratch, &bytes, salt, &leaf);
	if (rc == LT_E_NOTFOUND && lt_hash_eq(&leaf, &none))
		return lt_err_set(p->err, LT_E_UNAVAILABLE,
		    "the commitment to \"%s\" of one of its changes is not here", place->field);
	if (rc == LT_OK && shows(p, place->field)) {
		o->salt.data = dup(p, lt_slice(salt, sizeof(salt)), &rc);
		o->salt.len = sizeof(salt);
		o->field_set.data = dup(p, bytes, &rc);
		o->field_set.len = bytes.len;
		return rc;
	}
	if (rc == LT_OK)
		lt_leaf_hash(place, salt, bytes, &leaf);
	else if (rc != LT_E_NOTFOUND)
		return rc;
	rc = LT_OK;
	o->leaf.data = dup(p, lt_slice(leaf.b, LT_HASH_LEN), &rc);
	o->leaf.len = LT_HASH_LEN;
	return rc;
}

static int
put_openings(struct proving *p, const struct lt_changeset *cs, const struct item *it,
    struct lt_arena *scratch, Ltpb__ProofChange *out)
{
	const struct lt_change *c = &cs->change[it->dot.index];
	struct lt_leaf_place place = { &cs->unit, &cs->feed, cs->seq, it->dot.index, c->collection,
		c->key, NULL };
	Ltpb__OpenedField *o = lt_arena_alloc(p->q->arena, (c->npersonal + 1) * sizeof(*o));
	size_t i;
	int rc = LT_OK;

	out->opening = lt_arena_alloc(p->q->arena, (c->npersonal + 1) * sizeof(*out->opening));
	if (o == NULL || out->opening == NULL)
		return lt_nomem(p->err);
	for (i = 0; rc == LT_OK && i < c->npersonal; i++) {
		ltpb__opened_field__init(&o[i]);
		place.field = c->personal[i];
		rc = put_opening(p, &place, it->position, scratch, &o[i]);
		out->opening[out->n_opening++] = &o[i];
	}
	return rc;
}

static int
put_change(struct proving *p, const struct lt_changeset *cs, uint32_t index,
    const struct lt_hash *leaf, Ltpb__ProofChange *out)
{
	struct lt_hash path[LT_MERKLE_PATH_MAX];
	size_t i, n;
	int rc = LT_OK;

	ltpb__proof_change__init(out);
	if (index >= cs->nchange)
		return LT_E_CORRUPT;
	out->index = index;
	out->change.data = dup(p, cs->change_raw[index], &rc);
	out->change.len = cs->change_raw[index].len;
	lt_merkle_path(leaf, cs->nchange, index, path, &n);
	out->path = lt_arena_alloc(p->q->arena, (n + 1) * sizeof(*out->path));
	if (out->path == NULL)
		return lt_nomem(p->err);
	for (i = 0; i < n; i++) {
		out->path[i].data = dup(p, lt_slice(path[i].b, LT_HASH_LEN), &rc);
		out->path[i].len = LT_HASH_LEN;
	}
	out->n_path = n;
	return rc;
}

/* Of one change-set: items it[0..n). */
static int
put_part(struct proving *p, const struct item *it, size_t n, bool openings,
    struct lt_arena *scratch, Ltpb__ProofPart *out)
{
	struct lt_changeset cs;
	struct lt_hash *leaf;
	Ltpb__ProofChange *c;
	size_t i;
	int rc = read_set(p, it->position, scratch, &cs);

	if (rc != LT_OK)
		return rc;
	out->header.data = dup(p, cs.header, &rc);
	out->header.len = cs.header.len;
	out->signature.data = dup(p, cs.signature, &rc);
	out->signature.len = cs.signature.len;
	leaf = lt_arena_alloc(scratch, cs.nchange * sizeof(*leaf));
	c = lt_arena_alloc(p->q->arena, n * sizeof(*c));
	out->change = lt_arena_alloc(p->q->arena, n * sizeof(*out->change));
	if (leaf == NULL || c == NULL || out->change == NULL)
		return lt_nomem(p->err);
	for (i = 0; i < cs.nchange; i++)
		lt_h1(LT_TAG_CHANGE, cs.change_raw[i], &leaf[i]);
	for (i = 0; rc == LT_OK && i < n; i++) {
		rc = put_change(p, &cs, it[i].dot.index, leaf, &c[i]);
		if (rc == LT_OK && openings)
			rc = put_openings(p, &cs, &it[i], scratch, &c[i]);
		out->change[out->n_change++] = &c[i];
	}
	return rc;
}

static int
put_parts(struct proving *p, const struct items *list, bool openings, Ltpb__ProofPart ***parts,
    size_t *nparts)
{
	Ltpb__ProofPart *part = lt_arena_alloc(p->q->arena, (list->n + 1) * sizeof(*part));
	struct lt_arena scratch;
	size_t i = 0, n;
	int rc = LT_OK;

	*parts = lt_arena_alloc(p->q->arena, (list->n + 1) * sizeof(**parts));
	if (part == NULL || *parts == NULL)
		return lt_nomem(p->err);
	while (rc == LT_OK && i < list->n) {
		for (n = 1; i + n < list->n && same_set(&list->v[i], &list->v[i + n]); n++)
			;
		ltpb__proof_part__init(&part[*nparts]);
		(*parts)[*nparts] = &part[*nparts];
		lt_arena_init(&scratch, SCRATCH_ARENA);
		rc = put_part(p, &list->v[i], n, openings, &scratch, &part[(*nparts)++]);
		lt_arena_fini(&scratch);
		i += n;
	}
	return rc;
}

/* ---- receipts ---- */

/* A hub's own word on one change-set, with what it decided of it. */
static int
make_receipt(struct proving *p, const struct item *it, struct lt_slice *out)
{
	const struct lt_identity *id = p->with->id;
	Ltpb__ReceiptBody b = LTPB__RECEIPT_BODY__INIT;
	Ltpb__Clamp clamp = LTPB__CLAMP__INIT, *clamps[1] = { &clamp };
	struct lt_judgement j;
	struct lt_hash hash;
	struct lt_buf buf;
	struct lt_entry e;
	int rc = lt_feed_log_read(p->q->log, it->position, &e);

	if (rc == LT_OK)
		rc = lt_feed_log_hash(p->q->log, &p->unit, &it->dot.feed, it->dot.seq, &hash);
	if (rc == LT_OK)
		rc = lt_feed_log_judgement(p->q->log, it->position, p->q->arena, &j);
	if (rc != LT_OK)
		return rc;
	b.federation.data = (uint8_t *)id->federation.b;
	b.federation.len = LT_FED_LEN;
	b.hub.data = (uint8_t *)id->principal.b;
	b.hub.len = LT_ID_LEN;
	b.key_no = id->key_no;
	b.unit = p->unit.s;
	b.feed.data = (uint8_t *)it->dot.feed.b;
	b.feed.len = LT_FEED_LEN;
	b.seq = clamp.from = clamp.to = it->dot.seq;
	b.hash.data = hash.b;
	b.hash.len = LT_HASH_LEN;
	b.since_ms = (int64_t)e.arrival_ms;
	b.n_refused = j.nrefused;
	b.refused = j.refused;
	b.n_held = j.nheld;
	b.held = j.held;
	clamp.floor = j.floor;
	clamp.ceiling = j.ceiling;
	b.n_clamp = j.clamped ? 1 : 0;
	b.clamp = clamps;
	lt_buf_init(&buf, LT_MESSAGE_MAX);
	rc = lt_receipt_make(&b, &id->sign, &buf);
	if (rc == LT_OK)
		out->data = dup(p, lt_buf_slice(&buf), &rc);
	out->len = buf.len;
	lt_buf_fini(&buf);
	return rc;
}

/* The first receipt this node got that covers the change-set, and its seq. */
static int
find_receipt(struct proving *p, const struct item *it, uint64_t *seq, struct lt_slice *out)
{
	struct lt_log_key from = { .len = 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t uk;
	int rc;

	lt_log_key_feed(&from, &p->unit, &it->dot.feed);
	uk = from.len;
	lt_log_key_u64(&from, it->dot.seq);
	rc = lt_kv_cursor_open(p->q->log, LT_T_RECEIPT, &c);
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek(c, lt_log_key_slice(&from), &k, &v);
	if (rc == LT_OK && (k.len != from.len || memcmp(k.data, from.b, uk) != 0))
		rc = LT_E_NOTFOUND;
	if (rc == LT_OK) {
		*seq = lt_load_u64(k.data + uk);
		out->data = dup(p, v, &rc);
		out->len = v.len;
	}
	lt_kv_cursor_close(c);
	return rc;
}

/* Of another branch, a receipt says nothing of what is here. */
static int
receipt_fits(
    struct proving *p, const struct item *it, uint64_t seq, struct lt_slice bytes, bool *fits)
{
	const struct lt_slice cert = p->with->certificate;
	Ltpb__CertificateBody *hub;
	Ltpb__ReceiptBody *body;
	struct lt_arena scratch;
	struct lt_hash hash;
	int rc = lt_feed_log_hash(p->q->log, &p->unit, &it->dot.feed, seq, &hash);

	*fits = false;
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	lt_arena_init(&scratch, SCRATCH_ARENA);
	*fits = lt_certificate_verify(cert, p->with->id->root_key, &p->with->id->federation,
		    &scratch, &hub, NULL) == LT_OK &&
		lt_receipt_verify(bytes, hub->sign_key.data, &p->with->id->federation, &scratch,
		    &body, NULL) == LT_OK &&
		memcmp(body->hash.data, hash.b, LT_HASH_LEN) == 0;
	lt_arena_fini(&scratch);
	return LT_OK;
}

static int
put_receipt(struct proving *p, const struct item *it, uint64_t *last)
{
	bool hub = p->with->id->role == LTPB__ROLE__ROLE_HUB, fits = true;
	ProtobufCBinaryData *r = &p->proof.receipt[p->proof.n_receipt];
	struct lt_slice bytes = { NULL, 0 };
	uint64_t seq = it->dot.seq;
	int rc = hub ? make_receipt(p, it, &bytes) : find_receipt(p, it, &seq, &bytes);

	if (rc == LT_E_NOTFOUND || (rc == LT_OK && seq - it->dot.seq > RECEIPT_CHAIN_MAX))
		return LT_OK;
	if (rc == LT_OK && !hub)
		rc = receipt_fits(p, it, seq, bytes, &fits);
	if (rc != LT_OK || !fits)
		return rc;
	if (seq != *last) {
		rc = need_range(p, &it->dot.feed, it->dot.seq, seq);
		r->data = (uint8_t *)bytes.data;
		r->len = bytes.len;
		p->proof.n_receipt++;
	}
	*last = seq;
	return rc;
}

static int
put_receipts(struct proving *p)
{
	uint64_t last = 0;
	size_t i;
	int rc = LT_OK;

	p->proof.receipt =
	    lt_arena_alloc(p->q->arena, (p->record.n + 1) * sizeof(*p->proof.receipt));
	if (p->proof.receipt == NULL)
		return lt_nomem(p->err);
	for (i = 0; rc == LT_OK && i < p->record.n; i++) {
		const struct item *it = &p->record.v[i];

		if (i != 0 && lt_feed_id_cmp(&p->record.v[i - 1].dot.feed, &it->dot.feed) != 0)
			last = 0;
		if (it->by_hub || (i != 0 && same_set(&p->record.v[i - 1], it)))
			continue;
		rc = put_receipt(p, it, &last);
	}
	return rc;
}

/* ---- links ---- */

static int
by_need(const void *x, const void *y)
{
	const struct need *a = x, *b = y;
	int c = lt_feed_id_cmp(&a->feed, &b->feed);

	return c != 0 ? c : (a->seq > b->seq) - (a->seq < b->seq);
}

static bool
is_record_part(const struct proving *p, const struct need *n)
{
	size_t low = 0, high = p->record.n, mid;
	struct lt_dot want = { n->feed, n->seq, 0 };

	while (low < high) {
		mid = low + (high - low) / 2;
		if (lt_dot_cmp(&p->record.v[mid].dot, &want) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->record.n && p->record.v[low].dot.seq == n->seq &&
	       lt_feed_id_cmp(&p->record.v[low].dot.feed, &n->feed) == 0;
}

static int
put_link(struct proving *p, const struct need *n, ProtobufCBinaryData *out)
{
	struct lt_slice header;
	struct lt_entry e;
	uint64_t position;
	int rc = tick(p);

	if (rc == LT_OK)
		rc = lt_feed_log_find(p->q->log, &p->unit, &n->feed, n->seq, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_read(p->q->log, position, &e);
	if (rc == LT_OK)
		rc = lt_entry_header(e.changeset, &header);
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
	out->data = dup(p, header, &rc);
	out->len = header.len;
	return rc;
}

static int
put_links(struct proving *p)
{
	size_t i, bytes = 0;
	int rc = LT_OK;

	if (p->nneed != 0)
		qsort(p->need, p->nneed, sizeof(*p->need), by_need);
	p->proof.link = lt_arena_alloc(p->q->arena, (p->nneed + 1) * sizeof(*p->proof.link));
	if (p->proof.link == NULL)
		return lt_nomem(p->err);
	for (i = 0; rc == LT_OK && i < p->nneed; i++) {
		ProtobufCBinaryData *link = &p->proof.link[p->proof.n_link];

		if ((i != 0 && by_need(&p->need[i - 1], &p->need[i]) == 0) ||
		    is_record_part(p, &p->need[i]))
			continue;
		rc = put_link(p, &p->need[i], link);
		p->proof.n_link++;
		bytes += link->len;
		if (bytes > LT_PROOF_MAX)
			return lt_err_set(p->err, LT_E_TOOBIG,
			    "the chain from a change to the hub's verdict is too long for one "
			    "proof");
	}
	return rc;
}

/* ---- the acts about the authors ---- */

static int
on_act(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct proving *p = ctx;
	struct lt_id author = lt_feed_author(&dot->feed);

	return lt_id_eq(&author, &p->hub) ? item_add(&p->registry, dot, position) : LT_OK;
}

static int
gather_acts_of(struct proving *p, const struct item *it)
{
	struct lt_id author = lt_feed_author(&it->dot.feed);
	char key[2 * LT_ID_LEN + 16], hex[2 * LT_ID_LEN + 1];
	struct lt_changeset cs;
	struct lt_arena scratch;
	int rc;

	lt_arena_init(&scratch, SCRATCH_ARENA);
	rc = read_set(p, it->position, &scratch, &cs);
	lt_hex(hex, author.b, LT_ID_LEN);
	(void)snprintf(key, sizeof(key), "%s/%u", hex, rc == LT_OK ? cs.key_no : 0);
	lt_arena_fini(&scratch);
	if (rc == LT_OK)
		rc = lt_history_each(p->q->derived, "_registry", "_", hex, on_act, p);
	if (rc == LT_OK)
		rc = lt_history_each(p->q->derived, "_key", "_", key, on_act, p);
	return rc;
}

static int
gather_acts(struct proving *p)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < p->record.n; i++) {
		const struct item *it = &p->record.v[i];

		if (it->by_hub || (i != 0 && same_set(&p->record.v[i - 1], it)))
			continue;
		rc = gather_acts_of(p, it);
		items_sort(&p->registry);
	}
	return rc;
}

/* ---- the whole ---- */

static int
put_heading(struct proving *p)
{
	const struct lt_identity *id = p->with->id;
	Ltpb__Proof *m = &p->proof;

	m->version = LT_PROOF_VERSION;
	m->collection = p->req->collection;
	m->unit = p->req->unit;
	m->key = p->req->key;
	m->federation_salt.data = (uint8_t *)id->salt;
	m->federation_salt.len = sizeof(id->salt);
	m->certificate = lt_arena_alloc(p->q->arena, sizeof(*m->certificate));
	if (m->certificate == NULL)
		return lt_nomem(p->err);
	m->certificate[0].data = (uint8_t *)p->with->certificate.data;
	m->certificate[0].len = p->with->certificate.len;
	m->n_certificate = 1;
	return LT_OK;
}

/* What is given out must pass with those who check it. */
static int
check_own(struct proving *p, struct lt_slice bytes)
{
	struct lt_err why = { "" };
	struct lt_proof proof;
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, LT_PROOF_ARENA);
	rc = lt_proof_check(bytes, p->with->id->root_key, &arena, &proof, &why);
	lt_arena_fini(&arena);
	if (rc == LT_OK || rc == LT_E_NOMEM)
		return rc;
	return lt_err_set(p->err, LT_E_UNAVAILABLE, "what is here does not prove it: %s", why.text);
}

static int
finish(struct proving *p)
{
	struct lt_buf out;
	int rc;

	lt_buf_init(&out, LT_PROOF_MAX);
	rc = lt_wire_pack(&p->proof.base, LT_PROOF_MAX, &out);
	if (rc == LT_E_TOOBIG)
		rc = lt_err_set(p->err, rc, "the record's changes are too much for one proof");
	if (rc == LT_OK)
		rc = check_own(p, lt_buf_slice(&out));
	if (rc == LT_OK) {
		p->reply->proof.data = dup(p, lt_buf_slice(&out), &rc);
		p->reply->proof.len = out.len;
	}
	lt_buf_fini(&out);
	return rc;
}

/* What judged only changes that are left out goes with them. */
static int
gather_verdicts_anew(struct proving *p)
{
	size_t i;

	p->verdict.n = p->nneed = 0;
	for (i = 0; i < p->record.n; i++)
		if (!p->record.v[i].by_hub)
			p->record.v[i].standing = UNJUDGED;
	return all_settled(p) ? LT_OK : gather_verdicts(p);
}

static int
gather(struct proving *p)
{
	int rc = gather_record(p);

	if (rc == LT_OK && !all_settled(p))
		rc = gather_verdicts(p);
	if (rc == LT_OK)
		rc = choose(p);
	if (rc == LT_OK && p->reply->masked != 0)
		rc = gather_verdicts_anew(p);
	if (rc == LT_OK)
		rc = gather_acts(p);
	if (rc == LT_OK)
		rc = put_heading(p);
	if (rc == LT_OK)
		rc = put_receipts(p);
	if (rc == LT_OK)
		rc = put_links(p);
	if (rc == LT_OK)
		rc = put_parts(p, &p->record, true, &p->proof.record, &p->proof.n_record);
	if (rc == LT_OK)
		rc = put_parts(p, &p->verdict, false, &p->proof.verdict, &p->proof.n_verdict);
	if (rc == LT_OK)
		rc = put_parts(p, &p->registry, false, &p->proof.registry, &p->proof.n_registry);
	return rc == LT_OK ? finish(p) : rc;
}

static int
know_hub(struct proving *p)
{
	Ltpb__CertificateBody *body;
	struct lt_arena scratch;
	int rc;

	if (p->with->certificate.len == 0)
		return lt_err_set(p->err, LT_E_UNAVAILABLE,
		    "the hub's certificate is not here yet: this machine has not been let in so "
		    "far");
	lt_arena_init(&scratch, SCRATCH_ARENA);
	rc = lt_certificate_verify(p->with->certificate, p->with->id->root_key,
	    &p->with->id->federation, &scratch, &body, p->err);
	if (rc == LT_OK)
		memcpy(p->hub.b, body->principal.data, LT_ID_LEN);
	lt_arena_fini(&scratch);
	return rc;
}

int
lt_query_prove(const struct lt_prove *with, const Ltpb__ProveRequest *req, Ltpb__ProveReply *reply,
    struct lt_err *err)
{
	struct proving p = { .with = with, .q = with->q, .req = req, .reply = reply, .err = err };
	int rc = lt_scope_open_record(with->q, req->collection, req->unit, req->key, &p.scope, err);

	ltpb__prove_reply__init(reply);
	ltpb__proof__init(&p.proof);
	if (rc == LT_OK)
		rc = lt_scope_view(&p.scope, req->unit, &p.view);
	if (rc == LT_OK)
		rc = lt_unit_set(&p.unit, lt_slice_str(req->unit));
	if (rc == LT_OK)
		rc = know_hub(&p);
	if (rc == LT_OK)
		rc = gather(&p);
	free(p.record.v);
	free(p.verdict.v);
	free(p.registry.v);
	free(p.need);
	lt_scope_close(&p.scope);
	return rc;
}
