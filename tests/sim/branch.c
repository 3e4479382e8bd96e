/* What must hold of feeds that two machines signed, or one that forgot what it had signed: nothing of it unless files were copied by hand;
 * found at the first contact of the second branch with the hub; ruled on; and whoever saved something in a branch that does not count is
 * told so. */
#include "hub/hub.h"
#include "proto/base/wire.h"
#include "proto/store/author.h"
#include "proto/store/projection.h"
#include "proto/store/ruling.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define FORKABLE_MAX 1024
#define LANES 3

struct sim_forkable {
	size_t n;
	struct lt_feed_id feed[FORKABLE_MAX];
	bool closed[FORKABLE_MAX]; /* of the hub, which found out since */
};

/* ---- which feeds may have two branches ---- */

bool
sim_is_forkable(const struct sim *s, const struct lt_feed_id *feed)
{
	size_t i;

	for (i = 0; s->forkable != NULL && i < s->forkable->n; i++)
		if (lt_feed_id_cmp(&s->forkable->feed[i], feed) == 0)
			return true;
	return false;
}

bool
sim_is_copied(const struct sim *s, const struct lt_id *author)
{
	size_t i;

	for (i = 0; s->forkable != NULL && i < s->forkable->n; i++) {
		struct lt_id of = lt_feed_author(&s->forkable->feed[i]);

		if (lt_id_eq(&of, author))
			return true;
	}
	return false;
}

void
sim_forkable_note(struct sim *s, struct sim_machine *m)
{
	struct lt_kv_txn *txn;
	int lane;

	if (s->forkable == NULL)
		s->forkable = calloc(1, sizeof(*s->forkable));
	if (s->forkable == NULL || lt_kv_begin_read(m->kv, &txn) != LT_OK)
		abort();
	for (lane = 1; lane <= LANES; lane++) {
		struct lt_feed_id feed;
		uint64_t epoch = 0;
		char name[64];

		(void)snprintf(name, sizeof(name), "epoch/%s/%d", m->unit.s, lane);
		if (lt_local_get_u64(txn, name, &epoch) != LT_OK || epoch == 0)
			continue;
		feed = lt_feed_id_make(m->id.principal, (enum lt_lane)lane, epoch);
		if (!sim_is_forkable(s, &feed) && s->forkable->n < FORKABLE_MAX)
			s->forkable->feed[s->forkable->n++] = feed;
	}
	lt_kv_abort(txn);
}

/* ---- the hub's own ---- */

static void
note_open(struct sim *s, const struct lt_feed_id *feed)
{
	struct sim_forkable *f = s->forkable;
	size_t i;

	for (i = 0; i < f->n && lt_feed_id_cmp(&f->feed[i], feed) != 0; i++)
		;
	if (i == FORKABLE_MAX)
		abort();
	f->n += i == f->n;
	f->feed[i] = *feed;
	f->closed[i] = false;
}

void
sim_forkable_note_hub(struct sim *s)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	const struct lt_slice in = lt_slice_str("epoch/");
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	int rc;

	if (s->forkable == NULL)
		s->forkable = calloc(1, sizeof(*s->forkable));
	if (s->forkable == NULL || lt_kv_begin_read(hub->kv, &txn) != LT_OK ||
	    lt_kv_cursor_open(txn, LT_T_LOCAL, &c) != LT_OK)
		abort();
	for (rc = lt_kv_seek_in(c, in, &k, &v); rc == LT_OK; rc = lt_kv_next_in(c, in, &k, &v))
		if (v.len == 8) {
			struct lt_feed_id feed = lt_feed_id_make(hub->id.principal,
			    (enum lt_lane)(k.data[k.len - 1] - '0'), lt_load_u64(v.data));

			note_open(s, &feed);
		}
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
}

void
sim_forkable_close_hub(struct sim *s)
{
	size_t i;

	for (i = 0; s->forkable != NULL && i < s->forkable->n; i++) {
		struct lt_id of = lt_feed_author(&s->forkable->feed[i]);

		s->forkable->closed[i] |= lt_id_eq(&of, &s->m[SIM_HUB].id.principal);
	}
}

bool
sim_is_closed(const struct sim *s, const struct lt_feed_id *feed)
{
	size_t i;

	for (i = 0; s->forkable != NULL && i < s->forkable->n; i++)
		if (lt_feed_id_cmp(&s->forkable->feed[i], feed) == 0)
			return s->forkable->closed[i];
	return false;
}

/* ---- what the hub knows of a branch ---- */

struct known {
	const struct lt_feed_id *feed;
	uint64_t seq;
	struct lt_hash hash;
	bool found;
};

static int
is_evidence(void *ctx, const struct lt_changeset *cs)
{
	struct known *k = ctx;

	k->found |= lt_feed_id_cmp(&cs->feed, k->feed) == 0 &&
		    ((cs->seq == k->seq && lt_hash_eq(&cs->hash, &k->hash)) ||
			(cs->seq == k->seq + 1 && lt_hash_eq(&cs->prev, &k->hash)));
	return LT_OK;
}

static bool
has_ruling(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, const struct lt_hash *other)
{
	struct lt_ruling r;

	return lt_ruling_get(txn, unit, feed, seq, other, &r) == LT_OK;
}

bool
sim_is_known(const struct sim *s, struct lt_kv_txn *hub, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash)
{
	struct known k = { .feed = feed, .seq = seq, .hash = *hash };
	struct lt_hash have, prev;

	while (k.seq > 0 && (lt_feed_log_hash(hub, unit, feed, k.seq, &have) != LT_OK ||
				!lt_hash_eq(&have, &k.hash))) {
		if (has_ruling(hub, unit, feed, k.seq, &k.hash))
			return true;
		if (lt_forks_evidence(hub, unit, is_evidence, &k) != LT_OK)
			abort();
		if (k.found || !sim_ledger_prev(s, feed, k.seq, &k.hash, &prev))
			return k.found;
		k.seq--;
		k.hash = prev;
	}
	return false;
}

/* ---- the first contact ---- */

/* Of those the hub is given back what it lost: see hubhand.c. */
static bool
by_hub(const struct sim *s, const struct lt_feed_id *feed)
{
	struct lt_id author = lt_feed_author(feed);

	return lt_id_eq(&author, &s->m[SIM_HUB].id.principal);
}

struct contact {
	struct sim *s;
	struct lt_kv_txn *hub;
	bool any; /* of another branch than the hub's */
	bool known;
};

static void
look_at(struct contact *c, struct lt_slice bytes)
{
	struct lt_hash have, before, prev;
	struct lt_changeset cs;
	struct lt_arena arena;

	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	/* What a bit was turned over in nobody signed. */
	if (lt_changeset_open(bytes, &arena, &cs) == LT_OK && !by_hub(c->s, &cs.feed) &&
	    sim_ledger_prev(c->s, &cs.feed, cs.seq, &cs.hash, &prev)) {
		bool other = lt_feed_log_hash(c->hub, &cs.unit, &cs.feed, cs.seq, &have) == LT_OK
				 ? !lt_hash_eq(&have, &cs.hash)
				 : lt_feed_log_hash(
				       c->hub, &cs.unit, &cs.feed, cs.seq - 1, &before) == LT_OK &&
				       !lt_hash_eq(&before, &cs.prev);

		c->any |= other;
		c->known |=
		    other && sim_is_known(c->s, c->hub, &cs.unit, &cs.feed, cs.seq, &cs.hash);
	}
	lt_arena_fini(&arena);
}

void
sim_check_contact(struct sim *s, const Ltpb__PushRequest *req, bool refused_as_fork)
{
	struct contact c = { .s = s };
	size_t i;

	if (s->forkable == NULL || lt_kv_begin_read(s->m[SIM_HUB].kv, &c.hub) != LT_OK)
		return;
	for (i = 0; i < req->n_change_set; i++)
		look_at(&c, lt_slice(req->change_set[i].data, req->change_set[i].len));
	lt_kv_abort(c.hub);
	if (c.any && !refused_as_fork)
		sim_fail(s, "the hub meets a second branch of a feed and takes no notice");
	if (c.any && refused_as_fork && !c.known)
		sim_fail(s, "the hub meets a second branch of a feed and keeps no evidence of it");
}

/* ---- branches aside ---- */

struct aside {
	struct sim *s;
	struct sim_machine *m;
	struct lt_kv_txn *own, *hub;
	bool ok;
	char *why;
	size_t cap;
};

static int
is_ruled(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_feed_id name = lt_feed_aside(feed);
	struct aside *a = ctx;
	uint64_t first = 0, last = 0;
	struct lt_hash h;

	(void)head;
	if (lt_feed_log_aside(a->own, unit, feed, &first, &last) != LT_OK || first == 0)
		return LT_OK;
	if (!sim_is_forkable(a->s, feed))
		sim_fail(a->s, "a branch of machine %d stands aside, and nobody copied its feed",
		    a->m->no);
	if (lt_feed_log_hash(a->own, unit, &name, first, &h) != LT_OK ||
	    !has_ruling(a->hub, unit, feed, first, &h) ||
	    !has_ruling(a->own, unit, feed, first, &h)) {
		a->ok = false;
		(void)snprintf(a->why, a->cap,
		    "machine %d: a branch that stands aside is not ruled on (lane %d, from %llu)",
		    a->m->no, (int)lt_feed_lane(feed), (unsigned long long)first);
	}
	return LT_OK;
}

bool
sim_branches_ruled(struct sim *s, int machine, char *why, size_t cap)
{
	struct aside a = { .s = s, .m = &s->m[machine], .ok = true, .why = why, .cap = cap };

	if (lt_kv_begin_read(a.m->kv, &a.own) != LT_OK ||
	    lt_kv_begin_read(s->m[SIM_HUB].kv, &a.hub) != LT_OK)
		abort();
	(void)lt_feed_log_each(a.own, &a.m->unit, is_ruled, &a);
	lt_kv_abort(a.own);
	lt_kv_abort(a.hub);
	return a.ok;
}

/* ---- no other forks ---- */

static int
is_explained(void *ctx, const struct lt_changeset *cs)
{
	struct sim *s = ctx;

	s->branches++;
	if (!sim_is_forkable(s, &cs->feed))
		sim_fail(s,
		    "the hub has evidence of a fork of a feed of unit %s that nobody copied by "
		    "hand: the tool's path made it",
		    cs->unit.s);
	return LT_OK;
}

void
sim_check_forks(struct sim *s)
{
	struct lt_kv_txn *txn;
	char why[256];
	int i;

	if (lt_kv_begin_read(s->m[SIM_HUB].kv, &txn) != LT_OK)
		abort();
	if (lt_forks_evidence(txn, NULL, is_explained, s) != LT_OK)
		sim_fail(s, "the evidence of forks cannot be read");
	lt_kv_abort(txn);
	for (i = 1; i < SIM_MACHINES && !s->failed; i++)
		if (s->m[i].kv != NULL && !s->m[i].thief &&
		    !sim_branches_ruled(s, i, why, sizeof(why)))
			sim_fail(s, "%s", why);
}

/* ---- what was acknowledged ---- */

static bool
stands_in(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct sim_saved *v)
{
	struct lt_hash h;

	return lt_feed_log_hash(txn, unit, feed, v->dot.seq, &h) == LT_OK &&
	       lt_hash_eq(&h, &v->hash);
}

bool
sim_disk_has(const struct sim_machine *m, const struct lt_unit *unit, const struct sim_saved *v)
{
	struct lt_feed_id aside = lt_feed_aside(&v->dot.feed);
	struct lt_kv_txn *txn;
	bool has;

	if (lt_kv_begin_read(m->kv, &txn) != LT_OK)
		abort();
	has = stands_in(txn, unit, &v->dot.feed, v) || stands_in(txn, unit, &aside, v);
	lt_kv_abort(txn);
	return has;
}

/* What the record shows is of a change that counts as later; or the record is deleted. */
static bool
is_beaten(struct sim *s, struct lt_kv_txn *txn, const struct sim_machine *m,
    const struct sim_saved *v, const uint64_t *came)
{
	struct lt_feed_id aside = lt_feed_aside(&v->dot.feed);
	uint64_t shown = 0, position;
	struct lt_changeset cs = { 0 };
	struct lt_arena arena;
	Ltpb__Record *rec;
	struct lt_entry e;
	bool beaten;
	size_t i;

	if (v->token == 0)
		return true;
	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	if (lt_record_get(txn, v->collection, m->unit.s, v->key, &arena, &rec) == LT_OK)
		for (i = 0; i < rec->n_field; i++)
			if (strcmp(rec->field[i]->name, "token") == 0)
				shown = strtoull(rec->field[i]->value->text + 1, NULL, 10);
	if (lt_feed_log_find(txn, &m->unit, &aside, v->dot.seq, &position) != LT_OK ||
	    lt_feed_log_read(txn, position, &e) != LT_OK ||
	    lt_changeset_open(e.changeset, &arena, &cs) != LT_OK)
		cs.stamp = UINT64_MAX;
	beaten = shown == 0 || (shown <= s->next_token && came[shown] >= cs.stamp);
	lt_arena_fini(&arena);
	return beaten;
}

/* Its words came to the hub in a re-issue, a later change to the record took what it showed along, another change had the better of it, or
 * the record says that what it shows is here alone. */
void
sim_check_aside(struct sim *s, int machine, const struct sim_saved *v, const uint64_t *came)
{
	struct sim_machine *m = &s->m[machine];
	struct lt_feed_id aside = lt_feed_aside(&v->dot.feed);
	struct lt_kv_txn *txn;
	bool told = false, here, stands, issued;
	size_t i;

	if (lt_kv_begin_read(m->kv, &txn) != LT_OK)
		abort();
	here = stands_in(txn, &m->unit, &aside, v);
	if (lt_record_aside(txn, v->collection, m->unit.s, v->key, &stands) != LT_OK)
		stands = false;
	issued = v->token != 0 && came[v->token] != 0;
	told = stands || issued || is_beaten(s, txn, m, v, came);
	lt_kv_abort(txn);
	s->aside_left += stands;
	s->reissued += issued;
	for (i = (size_t)(v - m->saved) + 1; i < m->nsaved && !told; i++)
		told = strcmp(m->saved[i].collection, v->collection) == 0 &&
		       strcmp(m->saved[i].key, v->key) == 0;
	if (!here)
		sim_fail(s,
		    "%s/%s of machine %d was saved, never came to the hub, and is here no more",
		    v->collection, v->key, machine);
	else if (!told)
		sim_fail(s,
		    "%s/%s of machine %d stands in a branch that does not count, and nobody says "
		    "so",
		    v->collection, v->key, machine);
}
