/* What the hub showed each of its own history (FORMAT.md 15). A node raises the alarm exactly when what it has been told contradicts what it has:
 * looked up here anew, from its rows and its log, by its hashes alone. Nothing of that can be where the hub's files were never put back by hand and
 * its disk never lied, whatever else goes wrong.
 *
 * And when a run is over the hub turns out to have had two faces: it signs that it showed one node another history, which that node cosigns. The
 * round in which this comes to another node, by the hub's own telling, must raise the alarm there. */
#include "hub/checkpoint.h"
#include "node/checkpoint.h"
#include "proto/store/checkpoints.h"
#include "tests/sim/sim.h"

#include <string.h>

struct shown {
	struct lt_kv_txn *txn;
	bool contradicts;
};

/* Of one that the node keeps: does its log have another hash under one of these numbers? */
static void
look_at(struct shown *v, const struct lt_checkpoint_signed *row)
{
	static const struct lt_unit federation = { "_" };
	struct lt_checkpoint c;
	struct lt_hash here;
	size_t i;

	if (lt_checkpoint_parse(row->body, &c, NULL) != LT_OK)
		return;
	for (i = 0; i < c.nhead; i++)
		if (lt_feed_log_hash(v->txn, &federation, &c.head[i].feed, c.head[i].seq, &here) ==
			LT_OK &&
		    memcmp(here.b, c.head[i].hash.b, LT_HASH_LEN) != 0)
			v->contradicts = true;
}

static int
look_at_row(void *ctx, const struct lt_cosigned *row)
{
	look_at(ctx, &row->checkpoint);
	return LT_OK;
}

void
sim_check_histories(struct sim *s, int machine)
{
	const struct sim_machine *m = &s->m[machine];
	struct lt_checkpoint_signed newest;
	struct shown v = { .txn = NULL };
	uint64_t alarms = 0;

	if (machine == SIM_HUB || m->kv == NULL || lt_kv_begin_read(m->kv, &v.txn) != LT_OK)
		return;
	if (lt_equivocation_count(v.txn, &alarms) != LT_OK)
		alarms = 0;
	if (lt_checkpoint_get(v.txn, &newest) == LT_OK)
		look_at(&v, &newest);
	(void)lt_cosigned_each(v.txn, look_at_row, &v);
	lt_kv_abort(v.txn);
	s->hub_exposed |= alarms != 0;
	if (alarms != 0 && s->hub_went_back == 0)
		sim_fail(s, "machine %d says that the hub signed two histories, and it did not",
		    machine);
	if (alarms == 0 && v.contradicts)
		sim_fail(s, "machine %d was told what contradicts its log, and raises no alarm",
		    machine);
}

/* ---- two faces ---- */

#define TURNS \
	24 /* of telling, a minute each: every node's checkpoint has its turn within as many */

struct face {
	struct lt_checkpoint c;
	struct lt_buf body;
	uint8_t hub[LT_SIG_LEN], node[LT_SIG_LEN];
	Ltpb__Checkpoint m;
	Ltpb__Cosignature sig, *list[1];
};

/* The newest that this node was told. */
static bool
told(const struct sim_machine *m, struct lt_checkpoint *c)
{
	struct lt_checkpoint_signed row;
	struct lt_kv_txn *txn;
	bool is;

	if (!m->up || m->node == NULL || lt_node_equivocations(m->node) != 0 ||
	    lt_kv_begin_read(m->kv, &txn) != LT_OK)
		return false;
	is = lt_checkpoint_get(txn, &row) == LT_OK &&
	     lt_checkpoint_parse(row.body, c, NULL) == LT_OK;
	lt_kv_abort(txn);
	return is;
}

/* What b has, with another change-set at the end of its last feed, signed as the hub and as a. */
static void
forge(struct sim *s, const struct sim_machine *a, struct face *f)
{
	struct lt_hash h;

	f->c.head[f->c.nhead - 1].hash.b[7] ^= 1;
	f->c.key_no = s->m[SIM_HUB].id.key_no;
	(void)lt_checkpoint_pack(&f->c, &f->body);
	lt_sign(&s->m[SIM_HUB].id.sign, LT_TAG_CHECKPOINT, lt_buf_slice(&f->body), f->hub);
	lt_checkpoint_hash(lt_buf_slice(&f->body), &h);
	lt_cosign(&a->id.sign, &a->id.principal, a->id.key_no, &h, f->node);
	ltpb__checkpoint__init(&f->m);
	ltpb__cosignature__init(&f->sig);
	f->m.body.data = f->body.data;
	f->m.body.len = f->body.len;
	f->m.signature.data = f->hub;
	f->m.signature.len = f->sig.signature.len = LT_SIG_LEN;
	f->sig.principal.data = (uint8_t *)a->id.principal.b;
	f->sig.principal.len = LT_ID_LEN;
	f->sig.key_no = a->id.key_no;
	f->sig.signature.data = f->node;
	f->list[0] = &f->sig;
	f->m.cosignature = f->list;
	f->m.n_cosignature = 1;
}

/* One answer of the hub to b. *came: what a cosigned was in it. */
static void
one_turn(struct sim *s, const struct lt_registry *reg, struct sim_machine *b, const struct face *f,
    bool first, bool *came)
{
	Ltpb__Checkpoint *newest = NULL, **list = NULL;
	struct lt_arena arena;
	size_t i, n = 0;

	*came = false;
	lt_arena_init(&arena, (size_t)1 << 20);
	if (lt_hub_checkpoint_tell(
		s->hub, reg, &b->id.principal, first, &arena, &newest, &n, &list) != LT_OK)
		sim_fail(s, "the hub tells of no checkpoint");
	for (i = 0; i < n; i++)
		*came |= lt_slice_eq(
		    lt_slice(list[i]->body.data, list[i]->body.len), lt_buf_slice(&f->body));
	lt_node_checkpoints_take(b->node, newest, n, list);
	lt_arena_fini(&arena);
}

static void
must_find(struct sim *s, const struct lt_registry *reg, struct sim_machine *b, const struct face *f)
{
	bool came = false;
	int turn;

	for (turn = 0; turn < TURNS && !came && !s->failed; turn++) {
		one_turn(s, reg, b, f, turn == 0, &came);
		if (came && lt_node_equivocations(b->node) == 0)
			sim_fail(s,
			    "node %d was told that the hub showed another node another history, "
			    "and "
			    "raises no alarm",
			    b->no);
		s->now += LT_COSIGNED_EVERY_MS;
	}
	if (!came)
		sim_fail(s, "what another node cosigned did not come to node %d", b->no);
}

void
sim_two_faces(struct sim *s)
{
	struct sim_machine *a = NULL, *b = NULL;
	struct face f = { .body = { 0 } };
	const struct lt_principal *p;
	struct lt_registry *reg;
	struct lt_err err = { "" };
	int i;

	if (s->hub == NULL || sim_recovering(s))
		return;
	reg = lt_hub_registry(s->hub);
	for (i = 1; i <= SIM_NODES && b == NULL; i++) {
		p = lt_registry_find(reg, &s->m[i].id.principal);
		if (p == NULL || p->state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE ||
		    !told(&s->m[i], &f.c))
			continue;
		if (a == NULL)
			a = &s->m[i];
		else
			b = &s->m[i];
	}
	s->two_faced += b != NULL;
	if (b != NULL) {
		s->now += LT_COSIGNED_EVERY_MS;
		forge(s, a, &f);
		p = lt_registry_find(reg, &a->id.principal);
		if (lt_hub_checkpoint_cosigned(s->hub, p, &f.m, &err) != LT_OK)
			sim_fail(s, "the hub does not take what a node cosigned: %s", err.text);
		else
			must_find(s, reg, b, &f);
	}
	lt_buf_fini(&f.body);
	lt_registry_unref(reg);
}
