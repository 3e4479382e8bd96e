/* People at work: clerks who put, change and delete records that others of their commune work at, imports, the province's
 * own writes, readers, and machines that join late. */
#include "node/delivery.h"
#include "proto/store/registry.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define FIELDS_MAX 10

struct draft {
	struct lt_write w;
	Ltpb__FieldSet *set[FIELDS_MAX];
	Ltpb__FieldSet field[FIELDS_MAX];
	Ltpb__Value value[FIELDS_MAX];
	char *clear[2];
	char text[FIELDS_MAX][48];
	char *tag[4];
	char key[16];
};

static Ltpb__Value *
add(struct draft *d, const char *name, Ltpb__Value__VCase type)
{
	size_t i = d->w.nset++;

	ltpb__field_set__init(&d->field[i]);
	ltpb__value__init(&d->value[i]);
	d->field[i].name = (char *)name;
	d->field[i].value = &d->value[i];
	d->value[i].v_case = type;
	d->set[i] = &d->field[i];
	return &d->value[i];
}

static void
add_text(struct draft *d, const char *name, const char *before, uint64_t n)
{
	size_t i = d->w.nset;

	(void)snprintf(d->text[i], sizeof(d->text[i]), "%s%llu", before, (unsigned long long)n);
	add(d, name, LTPB__VALUE__V_TEXT)->text = d->text[i];
}

static void
add_tags(struct draft *d, struct sim_rng *r)
{
	static const char *const all[] = { "an", "ba", "cam", "dong" };
	Ltpb__Value *v = add(d, "tags", LTPB__VALUE__V_SET);
	Ltpb__TextSet *set = malloc(sizeof(*set));
	uint64_t which = 1 + sim_rng_below(r, 15);
	size_t i;

	if (set == NULL)
		abort();
	ltpb__text_set__init(set);
	set->item = d->tag;
	for (i = 0; i < 4; i++)
		if (which >> i & 1)
			d->tag[set->n_item++] = (char *)all[i];
	v->set = set;
}

static void
draft_free(struct draft *d)
{
	size_t i;

	for (i = 0; i < d->w.nset; i++)
		if (d->value[i].v_case == LTPB__VALUE__V_SET)
			free(d->value[i].set);
}

/* The same content for the same number: a write asked for again is the same. */
static void
draft_make(struct draft *d, uint64_t what, uint64_t token, bool by_hub)
{
	static const char *const often[] = { "case", "case", "case", "alert", "paper" };
	struct sim_rng r;

	memset(d, 0, sizeof(*d));
	sim_rng_seed(&r, what);
	d->w.collection = by_hub ? "case" : often[sim_rng_below(&r, 5)];
	d->w.set = d->set;
	d->w.clear = d->clear;
	d->w.key = d->key;
	d->w.writer = by_hub ? LT_WRITER_PROVINCE : LT_WRITER_COMMUNE;
	d->w.actor = "cb01";
	(void)snprintf(d->key, sizeof(d->key), "k%d", (int)sim_rng_below(&r, SIM_KEYS));
	if (sim_rng_chance(&r, 100)) {
		d->w.is_delete = true;
		return;
	}
	add_text(d, "token", "t", token);
	if (strcmp(d->w.collection, "alert") == 0) {
		add(d, "level", LTPB__VALUE__V_INTEGER)->integer = sim_rng_between(&r, 0, 9);
		return;
	}
	if (!by_hub && sim_rng_chance(&r, 300))
		add_text(d, "owner", "Lò Thị ", sim_rng_below(&r, 9));
	if (strcmp(d->w.collection, "case") != 0)
		return;
	if (sim_rng_chance(&r, 300))
		add_text(d, "note", "n", sim_rng_below(&r, 9));
	else if (sim_rng_chance(&r, 200))
		d->clear[d->w.nclear++] = (char *)"note";
	if (sim_rng_chance(&r, 300))
		add_text(d, "origin", "o", sim_rng_below(&r, 9));
	if (sim_rng_chance(&r, 300))
		add(d, "most", LTPB__VALUE__V_INTEGER)->integer = sim_rng_between(&r, -99, 99);
	if (!by_hub && sim_rng_chance(&r, 300))
		add(d, "least", LTPB__VALUE__V_INTEGER)->integer = sim_rng_between(&r, -99, 99);
	if (sim_rng_chance(&r, 400))
		add_tags(d, &r);
	if (by_hub)
		add_text(d, "answer", "a", sim_rng_below(&r, 9));
}

/* ---- clerks ---- */

static struct lt_hash
hash_of(const struct sim_machine *m, const struct lt_dot *dot)
{
	struct lt_hash h = { { 0 } };
	struct lt_kv_txn *txn;

	if (lt_kv_begin_read(m->kv, &txn) != LT_OK)
		abort();
	(void)lt_feed_log_hash(txn, &m->unit, &dot->feed, dot->seq, &h);
	lt_kv_abort(txn);
	return h;
}

static void
note_saved(struct sim *s, struct sim_machine *m, const struct lt_write *w, uint64_t token)
{
	struct sim_saved *v;

	if (m->nsaved == m->saved_cap) {
		m->saved_cap = m->saved_cap == 0 ? 64 : 2 * m->saved_cap;
		m->saved = realloc(m->saved, m->saved_cap * sizeof(*m->saved));
		if (m->saved == NULL)
			abort();
	}
	v = &m->saved[m->nsaved++];
	memset(v, 0, sizeof(*v));
	v->dot = w->dot;
	v->hash = hash_of(m, &w->dot);
	v->token = w->is_delete ? 0 : token;
	(void)snprintf(v->collection, sizeof(v->collection), "%s", w->collection);
	(void)snprintf(v->key, sizeof(v->key), "%s", w->key_out);
	s->saved++;
	sim_check_saved(s, m->no, v);
}

/* A write with a request id. When the machine dies in it nobody knows what became of it. */
static void
write_one(struct sim *s, struct sim_machine *m, const struct sim_unsure *u)
{
	struct lt_err err = { "" };
	struct lt_arena arena;
	struct draft d;
	bool again = false, made = m->unsure.used && sim_is_made(s, m->no, u->token);
	int rc;

	lt_arena_init(&arena, (size_t)16 << 20);
	draft_make(&d, u->what, u->token, false);
	rc = lt_node_write(m->node, &d.w, 1, u->request_id, &again, &arena, &err);
	sim_trace(s, (uint64_t)(int64_t)rc, (uint64_t)(int64_t)d.w.rc);
	if (!m->dead && rc == LT_OK && d.w.rc == LT_OK && made && !again)
		sim_fail(s, "node %d takes write t%llu, asked for again, for a new one", m->no,
		    (unsigned long long)u->token);
	m->unsure = *u;
	m->unsure.used = m->dead;
	if (!m->dead && rc == LT_OK && d.w.rc == LT_OK && !d.w.unchanged) {
		note_saved(s, m, &d.w, u->token);
		if (!again)
			sim_check_shown(s, m->no, &m->saved[m->nsaved - 1]);
	}
	if (!m->dead && (rc != LT_OK || d.w.rc != LT_OK))
		s->refused_writes++;
	if (!m->dead && rc == LT_OK && d.w.rc != LT_OK && d.w.rc != LT_E_NOTFOUND &&
	    d.w.rc != LT_E_CONFLICT)
		sim_fail(s, "node %d refuses a clerk's write of %s/%s: %s %s", m->no,
		    d.w.collection, d.w.key, lt_strerror(d.w.rc), d.w.violation.message);
	draft_free(&d);
	lt_arena_fini(&arena);
	sim_step_due(s, m->no);
}

static void
clerk(struct sim *s, struct sim_machine *m)
{
	struct sim_unsure u = { .used = true };

	sim_rng_fill(&s->rng, u.request_id, sizeof(u.request_id));
	u.what = sim_rng_next(&s->rng);
	u.token = ++s->next_token;
	write_one(s, m, &u);
}

static void
import(struct sim *s, struct sim_machine *m)
{
	size_t n = 2 + sim_rng_below(&s->rng, 12), i;
	struct draft *d = calloc(n, sizeof(*d));
	struct lt_write *w = calloc(n, sizeof(*w));
	uint64_t token = s->next_token;
	struct lt_err err = { "" };
	struct lt_arena arena;
	int rc;

	if (d == NULL || w == NULL)
		abort();
	lt_arena_init(&arena, (size_t)32 << 20);
	for (i = 0; i < n; i++) {
		draft_make(&d[i], sim_rng_next(&s->rng), token + i + 1, false);
		w[i] = d[i].w;
	}
	s->next_token += n;
	rc = lt_node_write(m->node, w, n, NULL, NULL, &arena, &err);
	sim_trace(s, (uint64_t)(int64_t)rc, n);
	for (i = 0; i < n; i++) {
		if (!m->dead && rc == LT_OK && w[i].rc == LT_OK && !w[i].unchanged)
			note_saved(s, m, &w[i], token + i + 1);
		draft_free(&d[i]);
	}
	lt_arena_fini(&arena);
	free(d);
	free(w);
	sim_step_due(s, m->no);
}

/* ---- the province ---- */

void
sim_work_province(struct sim *s)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	struct lt_err err = { "" };
	struct lt_arena arena;
	struct lt_unit unit;
	struct draft d;
	int rc;

	if (!hub->up)
		return;
	lt_arena_init(&arena, (size_t)16 << 20);
	draft_make(&d, sim_rng_next(&s->rng), ++s->next_token, true);
	unit = s->m[1 + sim_rng_below(&s->rng, SIM_UNITS)].unit;
	if (sim_rng_chance(&s->rng, 400) && !d.w.is_delete) {
		(void)snprintf(unit.s, sizeof(unit.s), "%s", SIM_PROVINCE);
		d.w.collection = "order";
		draft_free(&d); /* what is not among its fields any more is not found at the end */
		d.w.nset = 0;
		d.w.nclear = 0;
		add_text(&d, "token", "t", s->next_token);
		add_text(&d, "text", "x", sim_rng_below(&s->rng, 99));
	}
	rc = lt_hub_write(s->hub, &unit, &d.w, 1, &arena, &err);
	sim_trace(s, (uint64_t)(int64_t)rc, (uint64_t)(int64_t)d.w.rc);
	s->hub_writes += rc == LT_OK && d.w.rc == LT_OK && !hub->dead;
	if (rc == LT_OK && !hub->dead && d.w.rc == LT_E_REFUSED)
		sim_fail(s, "the hub refuses its own write: %s", d.w.violation.message);
	draft_free(&d);
	lt_arena_fini(&arena);
	sim_step_due(s, SIM_HUB);
}

static void
second_catalogue(struct sim *s)
{
	if (!s->m[SIM_HUB].up || s->catalogue_version != 1 || !s->o.second_catalogue)
		return;
	/* Whether it came through is seen by the next one who looks. */
	if (sim_publish(s, 2) && !s->m[SIM_HUB].dead)
		s->catalogue_version = 2;
	sim_step_due(s, SIM_HUB);
}

void
sim_late_join(struct sim *s)
{
	int i;

	for (i = SIM_NODES - SIM_LATE + 1; i <= SIM_NODES; i++) {
		struct sim_machine *m = &s->m[i];

		if (m->enrolled || s->o.late == 0)
			continue;
		s->o.late--;
		m->enrolled = true;
		sim_say(s, "node %d is switched on for the first time", i);
		sim_start(s, i);
		return;
	}
}

/* ---- readers ---- */

static void
read_something(struct sim *s, struct sim_machine *m)
{
	const struct sim_saved *v;
	Ltpb__Delivery delivery;
	Ltpb__ReasonCode reason;
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	Ltpb__Record *rec;
	int rc;

	s->reads++;
	if (m->nsaved == 0 || lt_kv_begin_read(m->kv, &txn) != LT_OK)
		return;
	v = &m->saved[sim_rng_below(&s->rng, m->nsaved)];
	lt_arena_init(&arena, 1 << 20);
	rc = lt_record_get(txn, v->collection, m->unit.s, v->key, &arena, &rec);
	if (rc != LT_OK && rc != LT_E_NOTFOUND)
		sim_fail(s, "node %d cannot read %s/%s: %s", m->no, v->collection, v->key,
		    lt_strerror(rc));
	rc = lt_node_delivery(m->node, txn, v->collection, v->key, NULL, NULL, &delivery, &reason);
	if (rc != LT_OK)
		sim_fail(s, "node %d cannot tell how far %s/%s got: %s", m->no, v->collection,
		    v->key, lt_strerror(rc));
	sim_trace(s, (uint64_t)delivery, (uint64_t)reason);
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
}

/* ---- a day's work ---- */

/* What a machine that died was asked for is asked for once more. */
void
sim_work_retry(struct sim *s, int node)
{
	struct sim_unsure u = s->m[node].unsure;

	if (u.used)
		write_one(s, &s->m[node], &u);
}

void
sim_work_at(struct sim *s, struct sim_machine *m)
{
	if (m->unsure.used)
		sim_work_retry(s, m->no);
	else if (sim_rng_chance(&s->rng, 100))
		import(s, m);
	else
		clerk(s, m);
	sim_after(s, m->no);
}

void
sim_work(struct sim *s)
{
	struct sim_machine *m = &s->m[1 + sim_rng_below(&s->rng, s->o.nodes)];
	uint64_t what = sim_rng_below(&s->rng, 100);
	struct sim_machine *copy = s->o.copies != 0 ? sim_copy_at_work(s) : NULL;

	/* Whoever copied a machine uses the copy, and about as much as all others together. */
	if (copy != NULL && sim_rng_chance(&s->rng, 400)) {
		sim_work_at(s, copy);
		return;
	}

	if (s->o.late != 0 && sim_rng_chance(&s->rng, 30)) {
		sim_late_join(s);
		return;
	}
	if (what < 12) {
		sim_work_province(s);
		sim_after(s, SIM_HUB);
		return;
	}
	if (what < 14) {
		second_catalogue(s);
		sim_after(s, SIM_HUB);
		return;
	}
	if (!m->up)
		return;
	if (what < 25)
		read_something(s, m);
	else if (m->unsure.used)
		sim_work_retry(s, m->no);
	else if (what < 33)
		import(s, m);
	else
		clerk(s, m);
	sim_after(s, m->no);
}
