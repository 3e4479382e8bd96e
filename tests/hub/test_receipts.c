/* What is done after a commit, on other threads: each once, of one pusher in order, nothing lost or left at the end; and a receipt
 * only for what is in the log. */
#include "tests/hub/hub_fixture.h"
#include "hub/hub_impl.h"
#include "proto/store/feed_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUSHERS 5
#define EACH 1500 /* more than may wait for one thread, whichever of the two it is */

struct order {
	atomic_uint done[PUSHERS];
	atomic_uint wrong;
	atomic_uint given;
	atomic_bool hold; /* the first one waits for it to be false */
};

struct work {
	struct lt_after after;
	struct order *o;
	unsigned pusher, number;
};

/* Gone afterwards, as a push is. */
static void
work_done(struct lt_after *a)
{
	struct work *w = (struct work *)a;

	while (atomic_load(&w->o->hold))
		;
	if (atomic_fetch_add(&w->o->done[w->pusher], 1) != w->number)
		atomic_fetch_add(&w->o->wrong, 1);
	free(w);
}

struct giver {
	struct lt_receipts *r;
	struct order *o;
};

static void *
give_all(void *arg)
{
	struct giver *g = arg;
	unsigned i, k;

	for (i = 0; i < EACH; i++)
		for (k = 0; k < PUSHERS; k++) {
			struct work *w = calloc(1, sizeof(*w));
			struct lt_id id = { .b = { (uint8_t)k } };

			if (w == NULL)
				abort();
			*w = (struct work){
				.after.fn = work_done, .o = g->o, .pusher = k, .number = i
			};
			lt_receipts_give(g->r, &id, &w->after);
			atomic_fetch_add(&g->o->given, 1);
		}
	return NULL;
}

static void
check_all_done(const struct order *o)
{
	unsigned k;

	for (k = 0; k < PUSHERS; k++)
		assert_int_equal(atomic_load(&o->done[k]), EACH);
	assert_int_equal(atomic_load(&o->wrong), 0);
}

/* Who gives too much waits, and all of it is done before waiting or closing is over. */
static void
test_each_once_in_order(void **state)
{
	struct order o = { .hold = true };
	struct giver g = { .o = &o };
	pthread_t t;

	(void)state;
	assert_int_equal(lt_receipts_open(&g.r), LT_OK);
	assert_int_equal(pthread_create(&t, NULL, give_all, &g), 0);
	/* One is being done, 1,024 wait: of the pushers of one thread no more can have been given. */
	while (atomic_load(&o.given) < 1024)
		;
	assert_in_range(atomic_load(&o.given), 1024, 2 * (1024 + 1024 + 1));
	atomic_store(&o.hold, false);
	(void)pthread_join(t, NULL);
	lt_receipts_wait(g.r);
	check_all_done(&o);
	lt_receipts_close(g.r);
}

static void
test_close_does_what_waits(void **state)
{
	struct order o = { .hold = false };
	struct giver g = { .o = &o };

	(void)state;
	assert_int_equal(lt_receipts_open(&g.r), LT_OK);
	(void)give_all(&g);
	lt_receipts_close(g.r);
	check_all_done(&o);
	assert_int_equal(lt_receipts_open(&g.r), LT_OK); /* nothing ever given */
	lt_receipts_wait(g.r);
	lt_receipts_close(g.r);
	lt_receipts_close(NULL);
	lt_receipts_wait(NULL);
}

/* ---- the hub ---- */

#define NODES 3
#define SETS 40

struct pushes {
	struct fed_peer peer;
	struct fed_feed w;
	struct lt_buf set[SETS];
	atomic_uint answered, wrong; /* answers not in order, or not good */
	struct lt_hash held;
};

static void
on_answer(void *ctx, const struct lt_intake_result *r)
{
	struct pushes *p = ctx;
	unsigned n = atomic_fetch_add(&p->answered, 1);

	if (r->rc != LT_OK || r->nfeed != 1 || r->feed[0].receipt.len == 0 ||
	    r->feed[0].held != n + 1)
		atomic_fetch_add(&p->wrong, 1);
	else
		p->held = r->feed[0].held_hash;
}

static void
seal_all(struct hubfx *h, struct pushes *p, unsigned node)
{
	size_t i;

	for (i = 0; i < SETS; i++) {
		struct lt_draft d;
		char *key = lt_arena_alloc(&h->arena, 64);

		(void)snprintf(key, 64, "H41.65-26112%u-%04zu", node, i + 1);
		fed_draft_dossier(&h->arena, &d, key);
		p->w.next_stamp = LT_STAMP(h->now_ms, p->w.seq + 1);
		lt_buf_init(&p->set[i], 0);
		fed_seal(&h->f, &p->w, &d, 1, &p->set[i]);
	}
}

/* Many pushes of one node under way at once, and the hub stops: every one was answered, in order, and is there. The verdicts come,
 * whoever was the last to ask for them. */
static void
test_stop_with_pushes_under_way(void **state)
{
	static const char *const unit[NODES] = { HUB_UNIT, "16906", "16855" };
	static struct pushes all[NODES];
	struct lt_kv_txn *txn;
	struct lt_head head;
	struct hubfx h;
	size_t i, k;

	(void)state;
	memset(all, 0, sizeof(all));
	hubfx_open(&h);
	for (k = 0; k < NODES; k++) {
		hubfx_node(&h, &all[k].peer, unit[k]);
		fed_feed_init(&all[k].w, &all[k].peer, unit[k], LT_LANE_NORMAL, 1);
		seal_all(&h, &all[k], (unsigned)k);
	}
	hubfx_settle(&h);
	for (i = 0; i < SETS; i++)
		for (k = 0; k < NODES; k++) {
			struct lt_slice bytes = lt_buf_slice(&all[k].set[i]);

			lt_hub_intake(
			    h.f.hub, &all[k].peer.id.principal, &bytes, 1, on_answer, &all[k]);
			if (i == SETS / 2 && k == 0)
				lt_hub_answer_all(h.f.hub);
			if (i == SETS / 2 && k == 0)
				assert_int_equal(atomic_load(&all[0].answered), SETS / 2 + 1);
		}
	hubfx_restart(&h);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(h.f.hub), &txn), LT_OK);
	for (k = 0; k < NODES; k++) {
		assert_int_equal(atomic_load(&all[k].answered), SETS);
		assert_int_equal(atomic_load(&all[k].wrong), 0);
		assert_int_equal(lt_feed_log_head(txn, &all[k].w.unit, &all[k].w.id, &head), LT_OK);
		assert_int_equal(head.seq, SETS);
		assert_memory_equal(head.hash.b, all[k].held.b, LT_HASH_LEN);
		for (i = 0; i < SETS; i++)
			lt_buf_fini(&all[k].set[i]);
	}
	lt_kv_abort(txn);
	hubfx_close(&h);
}

struct owes {
	struct hubfx *h;
	const struct fed_feed *w;
};

static bool
has_its_verdict(void *ctx)
{
	struct owes *o = ctx;
	char hex[2 * LT_FEED_LEN + 1], name[160];
	struct lt_kv_txn *txn;
	uint64_t reached;

	lt_hex(hex, o->w->id.b, LT_FEED_LEN);
	(void)snprintf(name, sizeof(name), "verdicted/%s/%s", o->w->unit.s, hex);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(o->h->f.hub), &txn), LT_OK);
	assert_int_equal(lt_local_get_u64(txn, name, &reached), LT_OK);
	lt_kv_abort(txn);
	return reached == o->w->seq;
}

/* Time stands still, so no pause is ever over: the last push that is answered asks for the verdicts, also one that is refused. */
static void
test_verdict_after_the_last_answer(void **state)
{
	static struct pushes good, bad;
	struct lt_slice bytes;
	struct owes o;
	struct hubfx h;
	size_t i;

	(void)state;
	memset(&good, 0, sizeof(good));
	memset(&bad, 0, sizeof(bad));
	hubfx_open(&h);
	hubfx_node(&h, &good.peer, HUB_UNIT);
	hubfx_node(&h, &bad.peer, "16906");
	fed_feed_init(&good.w, &good.peer, HUB_UNIT, LT_LANE_NORMAL, 1);
	hubfx_settle(&h);
	seal_all(&h, &good, 1);
	for (i = 0; i < SETS; i++) {
		bytes = lt_buf_slice(&good.set[i]);
		lt_hub_intake(h.f.hub, &good.peer.id.principal, &bytes, 1, on_answer, &good);
		/* Not its author: refused before the writer hears of it. */
		lt_hub_intake(h.f.hub, &bad.peer.id.principal, &bytes, 1, on_answer, &bad);
	}
	o = (struct owes){ &h, &good.w };
	fed_wait(has_its_verdict, &o, HUB_WAIT_MS, "the verdict");
	assert_int_equal(atomic_load(&good.wrong), 0);
	assert_int_equal(atomic_load(&bad.wrong), SETS);
	for (i = 0; i < SETS; i++)
		lt_buf_fini(&good.set[i]);
	hubfx_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once_in_order),
		cmocka_unit_test(test_close_does_what_waits),
		cmocka_unit_test(test_stop_with_pushes_under_way),
		cmocka_unit_test(test_verdict_after_the_last_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
