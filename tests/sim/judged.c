/* What must hold of what the hub decides about each change-set, and of what a clerk sees. Hub and nodes that both leave a check out
 * agree with each other; here stands what the decision must be. */
#include "proto/store/projection.h"
#include "tests/sim/sim.h"

#include <stdio.h>

/* What a change's author had seen of other feeds is here, or the change does not count yet. */
static void
check_contexts(struct sim *s, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    const struct lt_judgement *j)
{
	uint64_t position;
	uint32_t i;
	size_t k;

	for (i = 0; i < cs->nchange; i++)
		for (k = 0; k < cs->change[i].ncontext; k++) {
			const struct lt_context *c = &cs->change[i].context[k];

			if (lt_feed_log_find(txn, &cs->unit, &c->feed, c->seq, &position) !=
				LT_OK &&
			    !lt_judgement_holds(j, i))
				sim_fail(s,
				    "the hub counts change %u of change-set %llu of unit %s before "
				    "what it names is here",
				    i, (unsigned long long)cs->seq, cs->unit.s);
		}
}

static bool
only_contexts(const struct lt_judgement *j)
{
	size_t i;

	for (i = 0; i < j->nrefused; i++)
		if (j->refused[i]->reason != LTPB__REASON_CODE__REASON_BAD_CONTEXT)
			return false;
	return true;
}

void
sim_check_judged(
    struct sim *s, struct lt_kv_txn *txn, const struct lt_entry *e, const struct lt_changeset *cs)
{
	struct lt_id author = lt_feed_author(&cs->feed);
	struct lt_judgement j;
	struct lt_arena arena;

	if (lt_id_eq(&author, &s->m[SIM_HUB].id.principal))
		return;
	lt_arena_init(&arena, 1 << 20);
	if (lt_feed_log_judgement(txn, e->position, &arena, &j) != LT_OK) {
		sim_fail(
		    s, "position %llu of the hub is not judged", (unsigned long long)e->position);
	} else {
		/* Machines here are honest and write by the rules. One that was told that another branch of its feed counts, and has
		 * not got that yet, names its own. */
		if ((sim_is_copied(s, &author) || s->hub_forked) && only_contexts(&j))
			s->named_other += j.nrefused;
		else if (j.nrefused != 0)
			sim_fail(s, "the hub refuses change %u of change-set %llu of unit %s (%d)",
			    j.refused[0]->index, (unsigned long long)cs->seq, cs->unit.s,
			    (int)j.refused[0]->reason);
		/* A restored hub judges what it judged before as it did then. */
		if (!sim_hub_was_back(s) &&
		    LT_STAMP_MS(lt_judgement_stamp(&j, cs->stamp)) > (int64_t)e->arrival_ms)
			sim_fail(s, "change-set %llu of unit %s counts as of a time after it came",
			    (unsigned long long)cs->seq, cs->unit.s);
		if (!sim_hub_was_back(s))
			check_contexts(s, txn, cs, &j);
	}
	lt_arena_fini(&arena);
}

static bool
names_token(const struct lt_changeset *cs, const char *token)
{
	size_t i, k;

	for (i = 0; i < cs->nchange; i++)
		for (k = 0; k < cs->change[i].nset; k++) {
			const Ltpb__FieldSet *f = cs->change[i].set[k].pb;

			if (strcmp(f->name, "token") == 0 && strcmp(f->value->text, token) == 0)
				return true;
		}
	return false;
}

/* A write that a machine died in is among the last that it made, or not there at all. */
bool
sim_is_made(struct sim *s, int node, uint64_t token)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	struct lt_entry e;
	uint64_t last = 0, at;
	bool made = false;
	char text[24];

	if (lt_kv_begin_read(s->m[node].kv, &txn) != LT_OK)
		return false;
	(void)snprintf(text, sizeof(text), "t%llu", (unsigned long long)token);
	(void)lt_feed_log_last(txn, &last);
	for (at = last; at > 0 && last - at < 200 && !made; at--) {
		lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
		made = lt_feed_log_read(txn, at, &e) == LT_OK &&
		       lt_changeset_parse(e.changeset, &arena, &cs, NULL) == LT_OK &&
		       names_token(&cs, text);
		lt_arena_fini(&arena);
	}
	lt_kv_abort(txn);
	return made;
}

void
sim_check_shown(struct sim *s, int node, const struct sim_saved *v)
{
	struct sim_machine *m = &s->m[node];
	const char *shown = "";
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	Ltpb__Record *rec;
	char want[24];
	size_t i;

	if (v->token == 0 || lt_kv_begin_read(m->kv, &txn) != LT_OK)
		return;
	(void)snprintf(want, sizeof(want), "t%llu", (unsigned long long)v->token);
	lt_arena_init(&arena, 1 << 20);
	if (lt_record_get(txn, v->collection, m->unit.s, v->key, &arena, &rec) == LT_OK)
		for (i = 0; i < rec->n_field; i++)
			if (strcmp(rec->field[i]->name, "token") == 0)
				shown = rec->field[i]->value->text;
	if (strcmp(shown, want) != 0)
		sim_fail(s, "node %d saved %s of %s/%s and shows \"%s\"", node, want, v->collection,
		    v->key, shown);
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
}
