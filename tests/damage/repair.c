/* A damaged store repaired from a peer: the sound copy of it, change-set by change-set. */
#include "damage.h"

#include "proto/store/feed_log.h"
#include "proto/store/repair.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ARENA ((size_t)256 << 20)
#define POSITIONS_MAX 4096
#define ROUNDS_MAX 200 /* of asking; each entry of a run may be asked for once more */
#define STEPS_MAX 10000

struct given {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_slice bytes;
};

static struct {
	struct lt_arena arena;
	struct given *given; /* by position, from 1 */
	size_t n;
} peer[STORES];

void
repair_learn(enum store which, struct lt_kv_txn *txn)
{
	struct lt_changeset cs;
	struct lt_arena scratch;
	struct lt_entry e;
	uint64_t i, last;

	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	assert_true(last <= POSITIONS_MAX);
	lt_arena_init(&peer[which].arena, ARENA);
	peer[which].given = lt_arena_alloc(&peer[which].arena, (last + 1) * sizeof(struct given));
	peer[which].n = last;
	for (i = 1; i <= last; i++) {
		struct given *g = &peer[which].given[i];
		struct lt_buf b = { 0 };

		assert_int_equal(lt_feed_log_read(txn, i, &e), LT_OK);
		assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, &b, NULL), LT_OK);
		g->bytes = lt_slice(lt_arena_dup(&peer[which].arena, b.data, b.len), b.len);
		lt_buf_fini(&b);
		lt_arena_init(&scratch, ARENA);
		assert_int_equal(lt_changeset_parse(g->bytes, &scratch, &cs, NULL), LT_OK);
		g->unit = cs.unit;
		g->feed = cs.feed;
		g->seq = cs.seq;
		lt_arena_fini(&scratch);
	}
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
serve_wants(const struct repair_world *w, struct lt_repairer *r)
{
	static const struct lt_id id = { { 1 } };
	struct lt_repair_want want[LT_REPAIR_WANTS_MAX];
	unsigned rounds;
	size_t n, i, k;

	for (rounds = 0; rounds < ROUNDS_MAX; rounds++) {
		n = lt_repairer_wants(r, &id, NULL, NULL, want, LT_REPAIR_WANTS_MAX);
		for (i = 0; i < n; i++)
			for (k = 1; k <= peer[w->which].n; k++) {
				const struct given *g = &peer[w->which].given[k];

				if (g->seq == want[i].seq && lt_unit_eq(&g->unit, &want[i].unit) &&
				    lt_feed_id_cmp(&g->feed, &want[i].feed) == 0)
					(void)lt_repairer_take(r, &id, g->bytes, NULL);
			}
		if (n == 0)
			return;
	}
	fail_msg("a peer is asked without end");
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
	struct lt_repair_status st;
	struct lt_repairer *r;

	assert_int_equal(lt_writer_start(w->kv, &manual, &o.writer), LT_OK);
	assert_int_equal(lt_repairer_open(&o, &r), LT_OK);
	look(r);
	serve_wants(w, r);
	/* A head may be told only when the entries are back. */
	look(r);
	serve_wants(w, r);
	lt_repairer_status(r, &st);
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
