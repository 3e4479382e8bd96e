/* Files copied by hand, at any time: an old copy of a node's disk put back, a copy of it started as a second machine while the first one
 * runs on, a thief who has a copy and signs and sends without ever saying hello, and a disk that acknowledged what it had not written
 * when the power went.
 *
 * A machine made by copying works until the last fault is over. Then each in turn comes to the hub while its original is off, until the
 * hub and it have the same, and goes for good: so each branch meets the hub, and what was saved there can be looked for.
 *
 * As for restores one promise needs a second place that has what is lost: while the hub, restored itself, still lacks what a node had a
 * receipt for, no files of that node are touched (put off). */
#include "proto/base/wire.h"
#include "proto/store/kv_image.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define SIM_HAND_NAME(name, text) text,
const char *const sim_by_hand_name[] = { SIM_BY_HAND(SIM_HAND_NAME) };
#undef SIM_HAND_NAME

#define THEFTS 5 /* times that a thief sends something */

/* ---- what is there to copy ---- */

static struct sim_machine *
free_place(struct sim *s)
{
	int i;

	for (i = 1 + SIM_NODES; i < SIM_MACHINES; i++)
		if (s->m[i].copy_of == 0)
			return &s->m[i];
	return NULL;
}

bool
sim_copies_live(const struct sim *s)
{
	int i;

	for (i = 1; i < SIM_MACHINES; i++)
		if (s->m[i].synced != NULL || (s->m[i].copy_of != 0 && !s->m[i].gone))
			return true;
	return false;
}

struct sim_machine *
sim_copy_at_work(struct sim *s)
{
	struct sim_machine *found[SIM_COPIES];
	size_t n = 0;
	int i;

	for (i = 1 + SIM_NODES; i < SIM_MACHINES; i++)
		if (s->m[i].up && !s->m[i].thief)
			found[n++] = &s->m[i];
	return n == 0 ? NULL : found[sim_rng_below(&s->rng, n)];
}

/* ---- an old copy put back ---- */

static bool
roll_back(struct sim *s, struct sim_machine *m)
{
	const struct lt_kv_image *img;
	const struct sim_watch *w;

	if (!sim_backup_of(s, m->no, &img, &w))
		return false;
	if (m->up)
		sim_crash(s, m->no, sim_rng_between(&s->rng, 100, 60000));
	sim_check_step(s, m->no);
	m->crash_in = 0;
	m->disk_full_until = 0;
	sim_disk_put(s, m, img, w, false);
	sim_forkable_note(s, m);
	sim_forget_lost(s, m, &s->lost_by_hand);
	return true;
}

/* ---- a second machine ---- */

/* In a place of its own, with the keys and the disk of m. */
static struct sim_machine *
make_copy(struct sim *s, struct sim_machine *m, bool thief)
{
	struct sim_machine *t = free_place(s);
	const struct lt_kv_image *img;
	struct lt_kv_image *now = NULL;
	const struct sim_watch *w;

	if (t == NULL)
		return NULL;
	sim_check_step(s, m->no);
	if (!sim_rng_chance(&s->rng, 400) || !sim_backup_of(s, m->no, &img, &w)) {
		if (lt_kv_image_take(m->kv, &now) != LT_OK)
			abort();
		img = now;
		w = m->watch;
	}
	t->copy_of = m->no;
	t->thief = thief;
	t->gone = t->held_off = false;
	t->id = m->id;
	t->unit = m->unit;
	t->wall_offset_ms = m->wall_offset_ms;
	t->unsure.used = false;
	t->enrolled = true;
	sim_disk_put(s, t, img, w, false);
	lt_kv_image_free(now);
	sim_forkable_note(s, t);
	return t;
}

static bool
start_twin(struct sim *s, struct sim_machine *m)
{
	struct sim_machine *t = make_copy(s, m, false);

	if (t == NULL)
		return false;
	sim_say(s, "machine %d is a copy of node %d", t->no, m->no);
	sim_at(s, sim_rng_between(&s->rng, 10, 20000), SIM_EV_START, t->no, 0, 0);
	return true;
}

/* ---- a thief ---- */

static bool
steal(struct sim *s, struct sim_machine *m)
{
	struct sim_machine *t = make_copy(s, m, true);
	int i;

	if (t == NULL)
		return false;
	sim_say(s, "machine %d is a thief who has what node %d has", t->no, m->no);
	for (i = 0; i < THEFTS; i++)
		sim_at(s, sim_rng_between(&s->rng, 10, s->o.fault_ms), SIM_EV_THIEF, t->no, 0, 0);
	return true;
}

struct loot {
	struct sim_machine *t;
	struct lt_kv_txn *txn, *hub;
	struct lt_arena *arena;
	Ltpb__PushRequest *req;
};

/* All that the hub lacks of what is signed with the key, one feed a push as any node sends it. */
static int
pack_loot(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_id author = lt_feed_author(feed);
	struct loot *l = ctx;
	struct lt_hash here, there;
	uint64_t seq, position;
	struct lt_entry e;

	if (!lt_id_eq(&author, &l->t->id.principal) || l->req->n_change_set != 0 ||
	    lt_feed_id_cmp(feed, &l->t->ruled_out) == 0)
		return LT_OK;
	for (seq = 1; seq <= head->seq; seq++)
		if (lt_feed_log_hash(l->txn, unit, feed, seq, &here) != LT_OK ||
		    lt_feed_log_hash(l->hub, unit, feed, seq, &there) != LT_OK ||
		    !lt_hash_eq(&here, &there))
			break;
	for (; seq <= head->seq && l->req->n_change_set < LT_PUSH_MAX; seq++) {
		ProtobufCBinaryData *d = &l->req->change_set[l->req->n_change_set];
		struct lt_err err = { "" };
		struct lt_buf b;

		lt_buf_init(&b, LT_MESSAGE_MAX);
		if (lt_feed_log_find(l->txn, unit, feed, seq, &position) != LT_OK ||
		    lt_feed_log_read(l->txn, position, &e) != LT_OK ||
		    lt_feed_log_compose(l->txn, &e, NULL, NULL, &b, &err) != LT_OK)
			abort();
		d->data = lt_arena_dup(l->arena, b.data, b.len);
		d->len = b.len;
		if (d->data == NULL)
			abort();
		l->req->n_change_set++;
		lt_buf_fini(&b);
	}
	return LT_OK;
}

/* He writes like a clerk, on his copy, and pushes; whatever the answer, he comes again. */
void
sim_thief(struct sim *s, int machine)
{
	struct sim_machine *t = &s->m[machine];
	Ltpb__PushRequest req = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData sets[LT_PUSH_MAX];
	struct loot l = { .t = t, .req = &req };
	struct lt_arena arena;

	if (t->gone || !s->m[SIM_HUB].up || s->healed)
		return;
	if (!t->up)
		sim_start(s, machine);
	if (!t->up)
		return;
	sim_work_at(s, t);
	sim_check_step(s, machine);
	req.change_set = sets;
	lt_arena_init(&arena, (size_t)64 << 20);
	l.arena = &arena;
	if (lt_kv_begin_read(t->kv, &l.txn) != LT_OK ||
	    lt_kv_begin_read(s->m[SIM_HUB].kv, &l.hub) != LT_OK)
		abort();
	(void)lt_feed_log_each(l.txn, &t->unit, pack_loot, &l);
	lt_kv_abort(l.txn);
	lt_kv_abort(l.hub);
	if (req.n_change_set != 0)
		sim_push_as_thief(s, machine, &req);
	lt_arena_fini(&arena);
}

/* He goes on in a new epoch, as a node does that is told so. */
void
sim_thief_met_fork(struct sim *s, int machine, const Ltpb__PushRequest *req)
{
	struct sim_machine *t = &s->m[machine];
	struct lt_changeset cs;
	struct lt_arena arena;

	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	if (t->up && lt_changeset_open(lt_slice(req->change_set[0].data, req->change_set[0].len),
			 &arena, &cs) == LT_OK) {
		(void)lt_node_new_epoch(t->node, &cs.feed);
		t->ruled_out = cs.feed;
	}
	lt_arena_fini(&arena);
}

/* ---- a disk that lies ---- */

static bool
begin_to_lie(struct sim *s, struct sim_machine *m)
{
	if (!m->up || m->synced != NULL)
		return false;
	sim_check_step(s, m->no);
	if (lt_kv_image_take(m->kv, &m->synced) != LT_OK)
		abort();
	m->synced_watch = sim_watch_copy(m);
	sim_at(s, sim_rng_between(&s->rng, 500, 40000), SIM_EV_POWER, m->no, 0, 0);
	return true;
}

void
sim_stop_lying(struct sim_machine *m)
{
	lt_kv_image_free(m->synced);
	lt_kv_image_free(m->synced_derived);
	free(m->synced_watch);
	m->synced = m->synced_derived = NULL;
	m->synced_watch = NULL;
}

void
sim_power_cut(struct sim *s, int machine)
{
	struct sim_machine *m = &s->m[machine];

	if ((m->synced != NULL || m->synced_derived != NULL) && m->up)
		sim_crash(s, machine, sim_rng_between(&s->rng, 100, 20000));
	sim_stop_lying(m); /* it was off in good order: all is written */
}

void
sim_disk_truth(struct sim *s, struct sim_machine *m)
{
	if (m->no == SIM_HUB) {
		sim_hub_truth(s);
		return;
	}
	if (m->synced == NULL)
		return;
	sim_check_step(s, m->no);
	/* After the last fault disks tell the truth; and see above. */
	if (!s->healed && sim_node_may_go(s, m)) {
		s->by_hand[SIM_F_LYING_DISK]++;
		sim_say(s, "the disk of machine %d had not written what it said", m->no);
		sim_disk_put(s, m, m->synced, m->synced_watch, false);
		sim_forkable_note(s, m);
		sim_forget_lost(s, m, &s->lost_by_hand);
	}
	sim_stop_lying(m);
}

/* ---- one of them ---- */

void
sim_copy(struct sim *s)
{
	struct sim_machine *m = &s->m[1 + sim_rng_below(&s->rng, s->o.nodes)];
	enum sim_by_hand kind = (enum sim_by_hand)sim_rng_below(
	    &s->rng, s->o.of_nodes ? (uint64_t)SIM_F_HUB_BOTH : (uint64_t)SIM_BY_HAND_COUNT);
	bool done = false;

	/* The hub's are put back only while no second machine lives: in every other run there is none. */
	if (!s->o.of_nodes && s->o.seed % 2 != 0 && (kind == SIM_F_TWIN || kind == SIM_F_THIEF))
		kind = kind == SIM_F_TWIN ? SIM_F_HUB_BOTH : SIM_F_HUB_LOG;
	if (kind >= SIM_F_HUB_BOTH) {
		s->copies_put_off += s->healed || !sim_hub_back(s, kind);
		return;
	}

	if (!m->enrolled || s->healed || !sim_node_may_go(s, m)) {
		s->copies_put_off++;
		return;
	}
	switch (kind) {
	case SIM_F_ROLLED_BACK:
		done = roll_back(s, m);
		break;
	case SIM_F_TWIN:
		done = start_twin(s, m);
		break;
	case SIM_F_THIEF:
		done = steal(s, m);
		break;
	default: /* counted when it shows */
		s->copies_put_off += !begin_to_lie(s, m);
		return;
	}
	if (!done) {
		s->copies_put_off++;
		return;
	}
	s->by_hand[kind]++;
	sim_say(s, "%s: node %d", sim_by_hand_name[kind], m->no);
}

/* ---- the end of copies ---- */

static void
go_for_good(struct sim *s, struct sim_machine *t)
{
	sim_stop(s, t->no);
	t->gone = t->held_off = true;
	sim_say(s, "machine %d goes for good", t->no);
}

static bool
originals_are_on(struct sim *s)
{
	bool all = true;
	int i;

	for (i = 1; i <= SIM_NODES; i++)
		if (s->m[i].held_off) {
			s->m[i].held_off = false;
			sim_start(s, i);
			all = false;
		}
	return all;
}

bool
sim_copies_settle(struct sim *s)
{
	int i, k;

	for (i = 1 + SIM_NODES; i < SIM_MACHINES; i++) {
		struct sim_machine *t = &s->m[i];

		if (t->copy_of == 0 || t->gone)
			continue;
		if (t->thief) {
			go_for_good(s, t);
			continue;
		}
		/* The original and the other copies of it are off meanwhile. */
		for (k = 1; k < SIM_MACHINES; k++)
			if (k != i && (k == t->copy_of || s->m[k].copy_of == t->copy_of)) {
				s->m[k].held_off = true;
				sim_stop(s, k);
			}
		t->held_off = false;
		sim_start(s, i);
		if (!t->up || (!sim_same_feeds(s, i) && !sim_hub_left_copy(s, i)) ||
		    !sim_branches_ruled(s, i, s->waits_for, sizeof(s->waits_for)))
			return false;
		go_for_good(s, t);
		s->healed_at = s->now; /* the others have their time from here on */
		return false;
	}
	return originals_are_on(s);
}

void
sim_copies_free(struct sim *s)
{
	int i;

	for (i = 0; i < SIM_MACHINES; i++)
		sim_stop_lying(&s->m[i]);
}
