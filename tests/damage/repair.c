/* A damaged store repaired from two peers, change-set by change-set: one is the sound copy of it, the other lies (liar.c). */
#include "damage.h"

#include "proto/store/feed_log.h"
#include "proto/store/repair.h"

#include <malloc.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ARENA ((size_t)256 << 20)
#define POSITIONS_MAX 4096
#define ROUNDS_MAX 200 /* of asking; each entry of a run may be asked for once more */
#define STEPS_MAX 10000
#define KEPT_BYTES_MAX ((size_t)4 << 20) /* of LMDB's: pages it wrote, for the next time */
#define LOOKS_MAX 8

static struct {
	struct lt_arena arena;
	struct given *given; /* by position, from 1 */
	size_t n;
} peer[STORES];

static struct lt_slice
composed(enum store which, struct lt_kv_txn *txn, uint64_t position)
{
	struct lt_buf b = { 0 };
	struct lt_slice bytes;
	struct lt_entry e;

	assert_int_equal(lt_feed_log_read(txn, position, &e), LT_OK);
	assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, &b, NULL), LT_OK);
	bytes = lt_slice(lt_arena_dup(&peer[which].arena, b.data, b.len), b.len);
	assert_non_null(bytes.data);
	lt_buf_fini(&b);
	return bytes;
}

void
repair_learn(enum store which, struct lt_kv_txn *txn)
{
	struct lt_changeset cs;
	struct lt_arena scratch;
	uint64_t i, last;

	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	assert_true(last <= POSITIONS_MAX);
	lt_arena_init(&peer[which].arena, ARENA);
	peer[which].given = lt_arena_alloc(&peer[which].arena, (last + 1) * sizeof(struct given));
	peer[which].n = last;
	for (i = 1; i <= last; i++) {
		struct given *g = &peer[which].given[i];

		g->bytes = composed(which, txn, i);
		lt_arena_init(&scratch, ARENA);
		assert_int_equal(lt_changeset_parse(g->bytes, &scratch, &cs, NULL), LT_OK);
		g->unit = cs.unit;
		g->feed = cs.feed;
		g->seq = cs.seq;
		lt_arena_fini(&scratch);
	}
}

void
repair_learn_before(enum store which, struct lt_kv_txn *txn)
{
	uint64_t i, last;

	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	assert_true(last != 0 && last <= peer[which].n);
	for (i = 1; i <= last; i++)
		peer[which].given[i].before = composed(which, txn, i);
}

const struct given *
repair_given(enum store which, size_t position)
{
	return &peer[which].given[position];
}

size_t
repair_given_count(enum store which)
{
	return peer[which].n;
}

bool
repair_is(const struct given *g, const struct lt_repair_want *w)
{
	return g->seq == w->seq && lt_unit_eq(&g->unit, &w->unit) &&
	       lt_feed_id_cmp(&g->feed, &w->feed) == 0;
}

void
repair_forget(void)
{
	size_t i;

	for (i = 0; i < STORES; i++)
		if (peer[i].n != 0)
			lt_arena_fini(&peer[i].arena);
}

static struct lt_registry *
registry(void *ctx)
{
	return lt_registry_ref(((const struct repair_world *)ctx)->registry);
}

static bool
opens(void *ctx, const struct lt_unit *unit, const char *collection, const char *field)
{
	(void)ctx;
	(void)unit;
	(void)collection;
	(void)field;
	return true;
}

static void
look(struct lt_repairer *r)
{
	bool done = false;
	unsigned steps;

	lt_repairer_look(r, false);
	for (steps = 0; !done && steps < STEPS_MAX; steps++)
		(void)lt_repairer_look_step(r, &done);
	assert_true(done);
}

static void
answer(const struct repair_world *w, struct lt_repairer *r, const struct lt_id *id,
    const struct lt_repair_want *want)
{
	size_t i;

	for (i = 1; i <= peer[w->which].n; i++)
		if (repair_is(&peer[w->which].given[i], want))
			(void)lt_repairer_take(r, id, peer[w->which].given[i].bytes, NULL);
}

/* Both are asked until nothing is left to ask for; their answers come in any order. */
static void
serve_wants(const struct repair_world *w, struct lt_repairer *r, struct liar *liar)
{
	static const struct lt_id honest = { { 1 } };
	struct lt_repair_want true_want[LT_REPAIR_WANTS_MAX], lie_want[LT_REPAIR_WANTS_MAX];
	size_t n, m, i, k;
	unsigned rounds;

	for (rounds = 0; rounds < ROUNDS_MAX; rounds++) {
		m = lt_repairer_wants(r, &liar->id, NULL, NULL, lie_want, LT_REPAIR_WANTS_MAX);
		n = lt_repairer_wants(r, &honest, NULL, NULL, true_want, LT_REPAIR_WANTS_MAX);
		if (n + m == 0)
			return;
		for (i = k = 0; i < n || k < m;) {
			if (k < m && (i == n || draw(&liar->draws) % 3 != 0))
				liar_answer(liar, &lie_want[k++]);
			else
				answer(w, r, &honest, &true_want[i++]);
		}
	}
	fail_msg("peers are asked without end");
}

bool
repair_run(const struct repair_world *w, uint64_t *put)
{
	static const struct lt_writer_options manual = { .manual = true };
	const struct lt_identity *self = w->which == STORE_NODE ? w->s->node : w->s->hub;
	struct lt_repairer_options o = { .log = w->kv,
		.federation = &w->s->hub->federation,
		.self = &self->principal,
		.clock = lt_clock_system(),
		.registry = registry,
		.may_open = w->which == STORE_NODE ? opens : NULL,
		.ctx = (void *)(uintptr_t)w };
	struct liar liar = { .world = w, .id = { { 2 } }, .draws = w->draws, .lies = w->lies };
	struct lt_repair_status st;
	struct lt_repairer *r;
	size_t kept, i;

	assert_int_equal(lt_writer_start(w->kv, &manual, &o.writer), LT_OK);
	assert_int_equal(lt_repairer_open(&o, &r), LT_OK);
	liar.repairer = r;
	look(r);
	kept = mallinfo2().uordblks;
	serve_wants(w, r, &liar);
	/* What stands with an entry (its seed, the head) shows only when the entry is back: as often as something was put right, as the scrub
	 * behind a repair has it look again. */
	for (i = 0; i < LOOKS_MAX; i++) {
		lt_repairer_status(r, &st);
		*put = st.repaired + st.mended;
		look(r);
		serve_wants(w, r, &liar);
		lt_repairer_status(r, &st);
		if (st.repaired + st.mended == *put)
			break;
	}
	/* Nothing of what it said stays. */
	assert_true(mallinfo2().uordblks < kept + KEPT_BYTES_MAX);
	*put = st.repaired + st.mended;
	lt_repairer_close(r);
	lt_writer_stop(o.writer);
	return !st.pages_broken;
}

/* ---- afterwards ---- */

static bool
is_seed(unsigned table, struct lt_slice key)
{
	return table == LT_T_OPENING && key.len == 12;
}

static bool
as_it_was(unsigned table, const struct truth_entry *e, struct lt_slice v)
{
	size_t from = table == LT_T_ENTRY ? 9 : 0; /* flags, and when it came */

	return v.len == e->value.len && v.len >= from &&
	       memcmp(v.data + from, e->value.data + from, v.len - from) == 0;
}

static bool
table_whole(const struct sample *x, struct lt_kv_txn *txn, unsigned table)
{
	const struct truth_table *t = &x->table[table];
	uint64_t n = 0, seeds = 0;
	struct lt_slice v;
	size_t i;
	int rc;

	for (i = 0; i < t->n; i++) {
		rc = lt_kv_get(txn, table, t->e[i].key, &v);
		if (rc == LT_E_NOTFOUND && is_seed(table, t->e[i].key))
			seeds++;
		else if (rc != LT_OK || !as_it_was(table, &t->e[i], v))
			return false;
	}
	return lt_kv_count(txn, table, &n) == LT_OK && n + seeds == t->n;
}

bool
repair_whole(const struct sample *x, struct lt_kv *kv, const char **first)
{
	static const unsigned tables[] = { LT_T_ENTRY, LT_T_SEQ, LT_T_OPENING };
	struct lt_kv_txn *txn;
	size_t i;

	*first = NULL;
	if (lt_kv_begin_read(kv, &txn) != LT_OK)
		return false;
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]) && *first == NULL; i++)
		if (!table_whole(x, txn, tables[i]))
			*first = lt_table_names[tables[i]];
	lt_kv_abort(txn);
	return *first == NULL;
}
