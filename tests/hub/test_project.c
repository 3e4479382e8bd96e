/* Intake's answers, verdicts that are owed, and a projector whose cursor is damaged: the same rows again from the log. */
#include "tests/hub/hub_fixture.h"
#include "hub/hub_impl.h"
#include "hub/recovery.h"
#include "proto/base/wire.h"
#include "proto/store/access.h"
#include "proto/store/compact.h"
#include "proto/store/feed_log.h"
#include "proto/store/query.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define CURSOR "projector"

static void
seal(struct hubfx *h, struct fed_feed *w, unsigned number, const char *status, struct lt_buf *out)
{
	struct lt_draft d;
	char *key = lt_arena_alloc(&h->arena, 64);

	(void)snprintf(key, 64, "H41.65-261120-%04u", number);
	if (status == NULL)
		fed_draft_dossier(&h->arena, &d, key);
	else
		fed_draft_status(&h->arena, &d, key, status);
	w->next_stamp = LT_STAMP(h->now_ms, w->seq + 1);
	fed_seal(&h->f, w, &d, 1, out);
}

static void
take(struct hubfx *h, const struct fed_peer *p, struct fed_feed *w, unsigned number,
    const char *status)
{
	struct answer a;
	struct lt_buf b;

	lt_buf_init(&b, 0);
	seal(h, w, number, status, &b);
	hubfx_intake(h, &p->id.principal, &b, 1, &a);
	assert_int_equal(a.rc, LT_OK);
	lt_buf_fini(&b);
}

/* ---- intake ---- */

static void
test_intake_answers(void **state)
{
	static struct lt_buf many[LT_PUSH_MAX + 1];
	struct fed_peer a, b, nobody;
	struct fed_feed fa, fb, two;
	struct lt_buf set[4];
	struct answer r;
	struct hubfx h;
	uint64_t last;
	size_t i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &a, HUB_UNIT);
	hubfx_node(&h, &b, "16906");
	fed_stranger(&h.f, &nobody);
	fed_feed_init(&fa, &a, HUB_UNIT, LT_LANE_NORMAL, 1);
	fed_feed_init(&two, &a, HUB_UNIT, LT_LANE_NORMAL, 2);
	fed_feed_init(&fb, &b, "16906", LT_LANE_NORMAL, 1);
	hubfx_intake(&h, &a.id.principal, many, 0, &r);
	assert_int_equal(r.rc, LT_E_INVALID);
	hubfx_intake(&h, &a.id.principal, many, LT_PUSH_MAX + 1, &r);
	assert_int_equal(r.rc, LT_E_INVALID);
	hubfx_intake(&h, &a.id.principal, many, 1, &r); /* no bytes at all */
	assert_int_equal(r.rc, LT_E_INVALID);
	for (i = 0; i < 4; i++)
		lt_buf_init(&set[i], 0);
	/* Two feeds at once; a receipt for each. */
	seal(&h, &fa, 1, NULL, &set[0]);
	seal(&h, &two, 2, NULL, &set[1]);
	hubfx_intake(&h, &a.id.principal, set, 2, &r);
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nfeed, 2);
	for (i = 0; i < 2; i++) {
		assert_true(r.has_receipt[i]);
		assert_false(r.feed[i].need);
		assert_int_equal(r.feed[i].held, 1);
	}
	assert_true(r.position > 0);
	assert_memory_equal(r.feed[0].held_hash.b, fa.hash.b, LT_HASH_LEN);
	/* Good, another's, good: what stands before the bad one is taken and receipted, what is behind it is not. */
	for (i = 0; i < 3; i++)
		lt_buf_clear(&set[i]);
	seal(&h, &fa, 3, NULL, &set[0]);
	seal(&h, &fb, 3, NULL, &set[1]);
	seal(&h, &two, 4, NULL, &set[2]);
	hubfx_intake(&h, &a.id.principal, set, 3, &r);
	assert_int_equal(r.rc, LT_E_DENIED);
	assert_int_equal(r.nfeed, 1);
	assert_true(r.has_receipt[0]);
	assert_int_equal(r.feed[0].held, 2);
	/* By nobody, and pushed by somebody else than its author. */
	last = r.position;
	hubfx_intake(&h, &nobody.id.principal, &set[2], 1, &r);
	assert_int_equal(r.rc, LT_E_DENIED);
	hubfx_intake(&h, &b.id.principal, &set[2], 1, &r);
	assert_int_equal(r.rc, LT_E_DENIED);
	assert_int_equal(r.nfeed, 0);
	assert_int_equal(r.position, 0);
	/* A gap in one feed does not hold up the other. */
	lt_buf_clear(&set[3]);
	seal(&h, &two, 5, NULL, &set[3]);
	lt_buf_clear(&set[0]);
	seal(&h, &fa, 5, NULL, &set[0]);
	{
		struct lt_buf both[2] = { set[3], set[0] };

		hubfx_intake(&h, &a.id.principal, both, 2, &r);
	}
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nfeed, 2);
	assert_true(r.feed[0].need);
	assert_false(r.has_receipt[0]);
	assert_int_equal(r.feed[0].held, 1);
	assert_true(r.has_receipt[1]);
	assert_int_equal(r.feed[1].held, 3);
	assert_true(r.position > last);
	for (i = 0; i < 4; i++)
		lt_buf_fini(&set[i]);
	hubfx_close(&h);
}

/* ---- verdicts ---- */

struct verdict_sum {
	struct lt_feed_id feed;
	uint64_t judged; /* change-sets covered by ranges without settled ones */
	unsigned settled, refused, held;
	unsigned clamped;
	unsigned settling; /* verdicts with settled ones */
	uint64_t widest; /* of those: the most that one spans */
};

struct scan {
	struct hubfx *h;
	struct verdict_sum *v;
	struct lt_kv_txn *txn;
};

static int
sum_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_id author = lt_feed_author(feed);
	struct scan *s = ctx;
	struct lt_arena arena;
	uint64_t seq;

	if (!lt_id_eq(&author, &s->h->f.hub_id->principal))
		return LT_OK;
	for (seq = 1; seq <= head->seq; seq++) {
		struct lt_changeset cs;
		struct lt_entry e;
		const Ltpb__Verdict *v;
		ProtobufCMessage *m;
		uint64_t position;

		lt_arena_init(&arena, (size_t)16 << 20);
		assert_int_equal(lt_feed_log_find(s->txn, unit, feed, seq, &position), LT_OK);
		assert_int_equal(lt_feed_log_read(s->txn, position, &e), LT_OK);
		assert_int_equal(lt_changeset_parse(e.changeset, &arena, &cs, NULL), LT_OK);
		if (strcmp(cs.change[0].collection, "_verdict") == 0) {
			assert_int_equal(lt_wire_unpack(&ltpb__verdict__descriptor,
					     lt_slice(cs.change[0].set[0].pb->value->bytes.data,
						 cs.change[0].set[0].pb->value->bytes.len),
					     LT_MESSAGE_MAX, &arena, &m, NULL),
			    LT_OK);
			v = (const Ltpb__Verdict *)m;
			if (memcmp(v->feed.data, s->v->feed.b, LT_FEED_LEN) == 0) {
				s->v->settled += (unsigned)v->n_settled;
				s->v->refused += (unsigned)v->n_refused;
				s->v->held += (unsigned)v->n_held;
				s->v->clamped += (unsigned)v->n_clamp;
				if (v->settling || v->n_settled != 0) {
					s->v->settling++;
					if (v->to - v->from + 1 > s->v->widest)
						s->v->widest = v->to - v->from + 1;
				} else {
					/* Ranges follow each other without gap or overlap. */
					assert_int_equal(v->from, s->v->judged + 1);
					s->v->judged = v->to;
				}
			}
		}
		lt_arena_fini(&arena);
	}
	return LT_OK;
}

static void
sum_verdicts(struct hubfx *h, const struct fed_feed *feed, struct verdict_sum *v)
{
	struct scan s = { h, v, NULL };

	memset(v, 0, sizeof(*v));
	v->feed = feed->id;
	assert_int_equal(lt_kv_begin_read(lt_hub_log(h->f.hub), &s.txn), LT_OK);
	assert_int_equal(lt_feed_log_each(s.txn, &feed->unit, sum_feed, &s), LT_OK);
	lt_kv_abort(s.txn);
}

struct until {
	struct hubfx *h;
	const struct fed_feed *feed;
	uint64_t judged;
	unsigned settled;
};

static bool
verdicts_reach(void *ctx)
{
	struct until *u = ctx;
	struct verdict_sum v;

	sum_verdicts(u->h, u->feed, &v);
	return v.judged >= u->judged && v.settled >= u->settled;
}

/* Every change-set is in exactly one range, refusals stand beside it, and nothing is said twice. */
static void
test_verdicts_cover(void **state)
{
	struct until u;
	struct verdict_sum v;
	struct fed_feed w;
	struct fed_peer p;
	struct hubfx h;
	unsigned i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	for (i = 1; i <= 30; i++)
		take(&h, &p, &w, i, i % 10 == 0 ? "xong_roi" : NULL);
	u = (struct until){ &h, &w, 30, 0 };
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "verdicts on all");
	hubfx_restart(&h);
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.judged, 30);
	assert_int_equal(v.refused, 3);
	assert_int_equal(v.settled + v.held + v.clamped, 0);
	hubfx_close(&h);
}

struct owe {
	const struct fed_feed *w;
	unsigned seq;
};

static int
write_settled(struct lt_kv_txn *txn, void *ctx)
{
	const struct owe *o = ctx;
	char name[200], hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, o->w->id.b, LT_FEED_LEN);
	(void)snprintf(
	    name, sizeof(name), "settled/%s/%s/%016x/%08x", o->w->unit.s, hex, o->seq, 0);
	return lt_local_put_u64(txn, name, 0);
}

/* The process ended between the commit that settled a dot and the verdict on it: the word is still owed, though its feed
 * has no change-set without verdict and is never pushed again. */
static void
test_settled_is_owed_over_a_restart(void **state)
{
	struct owe o;
	struct until u;
	struct verdict_sum v;
	struct fed_feed w;
	struct fed_peer p;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	take(&h, &p, &w, 1, NULL);
	u = (struct until){ &h, &w, 1, 0 };
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "the verdict");
	o.w = &w;
	o.seq = 1;
	assert_int_equal(lt_writer_run(lt_hub_writer(h.f.hub), write_settled, &o), LT_OK);
	hubfx_restart(&h);
	u.settled = 1;
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "the word on what was settled");
	hubfx_restart(&h);
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.settled, 1);
	hubfx_close(&h);
}

/* ---- verdicts that cannot be written ---- */

struct broken {
	_Atomic unsigned
	    from; /* the call that fails, and all behind it, counted from 1 since it was set; 0: none */
	_Atomic unsigned calls, failed;
	_Atomic bool taken;
};

static int
fail_from(void *ctx, uint64_t ordinal)
{
	struct broken *b = ctx;
	unsigned call;

	(void)ordinal;
	if (b->from == 0)
		return LT_OK;
	call = ++b->calls;
	if (call < b->from)
		return LT_OK;
	b->failed++;
	return LT_E_NOSPACE;
}

struct push {
	struct broken *b;
	unsigned from;
};

/* On the writer's thread, behind the commit of the push and before the verdict on it. */
static void
disk_is_full(void *ctx, const struct lt_intake_result *r)
{
	struct push *p = ctx;

	assert_int_equal(r->rc, LT_OK);
	p->b->calls = 0;
	p->b->failed = 0;
	p->b->from = p->from;
	p->b->taken = true;
}

static void
take_as_then_fail(struct hubfx *h, const struct fed_peer *p, struct fed_feed *w, struct push *push,
    unsigned number, const char *status)
{
	struct lt_slice bytes;
	struct lt_buf b;

	lt_buf_init(&b, 0);
	seal(h, w, number, status, &b);
	bytes = lt_buf_slice(&b);
	push->b->taken = false;
	lt_hub_intake(h->f.hub, &p->id.principal, &bytes, 1, disk_is_full, push);
	while (!push->b->taken)
		(void)lt_hub_step(h->f.hub);
	lt_buf_fini(&b);
}

static void
take_then_fail(struct hubfx *h, const struct fed_peer *p, struct fed_feed *w, struct push *push,
    unsigned number)
{
	take_as_then_fail(h, p, w, push, number, NULL);
}

static bool
failed_twice(void *ctx)
{
	return ((struct broken *)ctx)->failed >= 2;
}

static bool
was_taken(void *ctx)
{
	return ((struct broken *)ctx)->taken;
}

/* The disk is full when a verdict is due: it is tried again without anybody sending anything, until it goes through. */
static void
test_verdict_after_full_disk(void **state)
{
	struct broken b = { 0 };
	struct push push = { &b, 1 };
	struct lt_slice bytes;
	struct verdict_sum v;
	struct lt_buf set;
	struct fed_feed w;
	struct fed_peer p;
	struct until u;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	hubfx_settle(&h);
	lt_kv_set_fault(lt_hub_log(h.f.hub), fail_from, &b);
	lt_buf_init(&set, 0);
	/* As the transaction begins, then somewhere within it. */
	for (; push.from <= 4; push.from += 3) {
		lt_buf_clear(&set);
		seal(&h, &w, push.from, NULL, &set);
		bytes = lt_buf_slice(&set);
		b.taken = false;
		lt_hub_intake(h.f.hub, &p.id.principal, &bytes, 1, disk_is_full, &push);
		fed_wait(was_taken, &b, HUB_WAIT_MS, "the push is taken");
		fed_wait(failed_twice, &b, HUB_WAIT_MS, "the verdict is tried again");
		sum_verdicts(&h, &w, &v);
		assert_int_equal(v.judged, w.seq - 1);
		b.from = 0;
		u = (struct until){ &h, &w, w.seq, 0 };
		fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "the verdict comes by itself");
	}
	/* Stopped before it went through: owed at the next start. */
	lt_buf_clear(&set);
	seal(&h, &w, 9, NULL, &set);
	bytes = lt_buf_slice(&set);
	b.taken = false;
	push.from = 1;
	lt_hub_intake(h.f.hub, &p.id.principal, &bytes, 1, disk_is_full, &push);
	fed_wait(failed_twice, &b, HUB_WAIT_MS, "fails");
	hubfx_restart(&h);
	u = (struct until){ &h, &w, w.seq, 0 };
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "the verdict after the restart");
	hubfx_restart(&h);
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.judged, 3);
	lt_buf_fini(&set);
	hubfx_close(&h);
}

static void
open_manual(struct hubfx *h)
{
	struct lt_hub_options o = { .dir = h->f.dir,
		.identity = h->f.hub_id,
		.clock = &h->clock,
		.map_bytes = (uint64_t)1 << 30,
		.manual = true };
	struct lt_err err = { "" };

	assert_int_equal(lt_hub_open(&o, &h->f.hub, &err), LT_OK);
}

static void
step_all(struct hubfx *h)
{
	unsigned n = 0;

	while (lt_hub_step(h->f.hub))
		assert_true(++n < 1000);
}

/* Without threads time is the clock's: nothing is tried before, and each time once. */
static void
test_manual_retries_by_its_clock(void **state)
{
	struct broken b = { 0 };
	struct push push = { &b, 1 };
	struct verdict_sum v;
	struct fed_feed w;
	struct fed_peer p;
	struct hubfx h;
	unsigned i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	fed_hub_stop(&h.f);
	open_manual(&h);
	step_all(&h);
	lt_kv_set_fault(lt_hub_log(h.f.hub), fail_from, &b);
	take_then_fail(&h, &p, &w, &push, 1);
	step_all(&h);
	assert_int_equal(b.failed, 1);
	for (i = 2; i <= 4; i++) {
		h.now_ms += 999;
		step_all(&h);
		assert_int_equal(b.failed, i - 1);
		h.now_ms += 1;
		assert_true(lt_hub_step(h.f.hub));
		step_all(&h);
		assert_int_equal(b.failed, i);
	}
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.judged, 0);
	b.from = 0;
	step_all(&h);
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.judged, 0);
	h.now_ms += 1000;
	step_all(&h);
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.judged, 1);
	/* Done: no more turns. */
	h.now_ms += 5000;
	assert_false(lt_hub_step(h.f.hub));
	/* What others commit meanwhile does not bring it forward. */
	take_then_fail(&h, &p, &w, &push, 2);
	step_all(&h);
	b.from = push.from = 0;
	take_then_fail(&h, &p, &w, &push, 3);
	h.now_ms += 999;
	take_then_fail(&h, &p, &w, &push, 4);
	step_all(&h);
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.judged, 1);
	h.now_ms += 1;
	take_then_fail(&h, &p, &w, &push, 5);
	step_all(&h);
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.judged, 5);
	lt_hub_close(h.f.hub);
	fed_hub_start(&h.f);
	hubfx_close(&h);
}

/* The first judgement that is stored, all bits flipped; twice: as before. */
static void
spoil_judgements(struct hubfx *h)
{
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	uint8_t key[64], value[256];
	size_t n;

	assert_int_equal(lt_kv_begin_write(lt_hub_log(h->f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_JUDGEMENT, &c), LT_OK);
	assert_int_equal(lt_kv_seek(c, lt_slice(NULL, 0), &k, &v), LT_OK);
	assert_true(k.len <= sizeof(key) && v.len <= sizeof(value));
	memcpy(key, k.data, k.len);
	memcpy(value, v.data, v.len);
	k.data = key;
	v.data = value;
	lt_kv_cursor_close(c);
	for (n = 0; n < v.len; n++)
		value[n] ^= 0xff;
	assert_int_equal(lt_kv_put(txn, LT_T_JUDGEMENT, k, v), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

/* One feed's row cannot be read: the others have their verdicts, it has its own when the row is mended. */
static void
test_one_feed_is_damaged(void **state)
{
	struct broken b = { 0 };
	struct push push = { &b, 0 };
	struct verdict_sum v;
	struct fed_feed wa, wb;
	struct fed_peer pa, pb;
	struct hubfx h;
	uint64_t before;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &pa, HUB_UNIT);
	hubfx_node(&h, &pb, "16906");
	fed_feed_init(&wa, &pa, HUB_UNIT, LT_LANE_NORMAL, 1);
	fed_feed_init(&wb, &pb, "16906", LT_LANE_NORMAL, 1);
	fed_hub_stop(&h.f);
	open_manual(&h);
	step_all(&h);
	take_as_then_fail(&h, &pa, &wa, &push, 1, "xong_roi"); /* refused: a judgement is stored */
	spoil_judgements(&h);
	step_all(&h);
	take_then_fail(&h, &pb, &wb, &push, 2);
	step_all(&h);
	sum_verdicts(&h, &wb, &v);
	assert_int_equal(v.judged, 1);
	sum_verdicts(&h, &wa, &v);
	assert_int_equal(v.judged, 0);
	/* Both in one job, the damaged one first. */
	take_then_fail(&h, &pa, &wa, &push, 3);
	take_then_fail(&h, &pb, &wb, &push, 4);
	step_all(&h);
	sum_verdicts(&h, &wb, &v);
	assert_int_equal(v.judged, 2);
	/* It costs nothing until its hour has passed. */
	assert_false(lt_verdicts_failed(h.f.hub->verdicts));
	h.now_ms += 3600000 - 1;
	take_then_fail(&h, &pb, &wb, &push, 5);
	step_all(&h);
	sum_verdicts(&h, &wa, &v);
	assert_int_equal(v.judged, 0);
	/* Tried again, in vain; then mended. */
	h.now_ms += 1;
	take_then_fail(&h, &pb, &wb, &push, 6);
	step_all(&h);
	spoil_judgements(&h);
	before = lt_hub_log_position(h.f.hub);
	take_then_fail(&h, &pa, &wa, &push, 7);
	step_all(&h);
	assert_int_equal(lt_hub_log_position(h.f.hub), before + 1);
	h.now_ms += 3600000;
	take_then_fail(&h, &pb, &wb, &push, 8);
	step_all(&h);
	sum_verdicts(&h, &wb, &v);
	assert_int_equal(v.judged, 5);
	sum_verdicts(&h, &wa, &v);
	assert_int_equal(v.judged, 3);
	assert_int_equal(v.refused, 1);
	lt_hub_close(h.f.hub);
	fed_hub_start(&h.f);
	hubfx_close(&h);
}

/* More feeds owe than there is room for: what found none is found again. */
static void
test_more_owe_than_fit(void **state)
{
	struct broken b = { 0 };
	struct push push = { &b, 0 };
	struct lt_feed_id feed = { { 0 } };
	struct lt_unit unit = { HUB_UNIT };
	struct verdict_sum v;
	struct fed_feed w;
	struct fed_peer p;
	struct hubfx h;
	unsigned i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	fed_hub_stop(&h.f);
	open_manual(&h);
	step_all(&h);
	for (i = 0; i < 16384; i++) { /* feeds that are not here owe nothing */
		feed.b[0] = (uint8_t)i;
		feed.b[1] = (uint8_t)(i >> 8);
		lt_verdicts_note(h.f.hub->verdicts, &unit, &feed);
		lt_verdicts_note(h.f.hub->verdicts, &unit, &feed);
	}
	take_then_fail(&h, &p, &w, &push, 1);
	step_all(&h);
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.judged, 1);
	take_then_fail(&h, &p, &w, &push, 2);
	step_all(&h);
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.judged, 2);
	lt_hub_close(h.f.hub);
	fed_hub_start(&h.f);
	hubfx_close(&h);
}

/* A node judges again all that a settling verdict spans, in one transaction: 4,096 at most. */
static void
test_settling_is_bounded(void **state)
{
	static struct lt_buf set[LT_PUSH_MAX];
	static const unsigned settled[] = { 1, 4096, 4097, 4100 };
	struct verdict_sum v;
	struct answer r;
	struct fed_feed w;
	struct fed_peer p;
	struct until u;
	struct owe o = { &w, 0 };
	struct hubfx h;
	size_t i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	while (w.seq < 65 * LT_PUSH_MAX) {
		for (i = 0; i < LT_PUSH_MAX; i++) {
			lt_buf_init(&set[i], 0);
			seal(&h, &w, 1, w.seq == 0 ? NULL : "dang_xu_ly", &set[i]);
		}
		hubfx_intake(&h, &p.id.principal, set, LT_PUSH_MAX, &r);
		assert_int_equal(r.rc, LT_OK);
		for (i = 0; i < LT_PUSH_MAX; i++)
			lt_buf_fini(&set[i]);
	}
	u = (struct until){ &h, &w, w.seq, 0 };
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS * 5, "verdicts on all");
	/* 1 and 4,096 are one verdict's; then 1 and 4,097 are two's. */
	for (i = 0; i < 2; i++) {
		o.seq = settled[i];
		assert_int_equal(lt_writer_run(lt_hub_writer(h.f.hub), write_settled, &o), LT_OK);
	}
	hubfx_restart(&h);
	u.settled = 2;
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "the first two");
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.settling, 1);
	assert_int_equal(v.widest, 4096);
	for (i = 0; i < 4; i++) {
		if (settled[i] == 4096)
			continue;
		o.seq = settled[i];
		assert_int_equal(lt_writer_run(lt_hub_writer(h.f.hub), write_settled, &o), LT_OK);
	}
	hubfx_restart(&h);
	u.settled = 5;
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "the others");
	sum_verdicts(&h, &w, &v);
	assert_int_equal(v.settled, 5);
	assert_int_equal(v.settling, 3);
	assert_int_equal(v.widest, 4096);
	hubfx_close(&h);
}
/* ---- the projector ---- */

static void
dump(struct hubfx *h, struct lt_buf *out)
{
	static const unsigned tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_HISTORY,
		LT_T_DIGEST };
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	size_t i;
	int rc;

	hubfx_settle(h);
	assert_int_equal(lt_kv_begin_read(lt_hub_derived(h->f.hub), &txn), LT_OK);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		assert_int_equal(lt_kv_cursor_open(txn, tables[i], &c), LT_OK);
		for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
		     rc = lt_kv_next(c, &k, &v)) {
			lt_buf_framed(out, k);
			lt_buf_framed(out, v);
		}
		assert_int_equal(rc, LT_E_NOTFOUND);
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(txn);
}

enum damage { NONE, GONE, INCARNATION, HASH, BEYOND, BEFORE, MERGE, SHORT, LONG, EMPTY, DAMAGES };

static const char *const damage_name[] = { "none", "no cursor", "of another log", "another hash",
	"beyond the log", "behind the rows, with the hash of elsewhere", "of another merge",
	"too short", "too long", "empty" };

/* Damage the cursor, and spoil a row, so that it shows whether the tables were built anew. */
static void
damage(struct hubfx *h, enum damage what)
{
	uint8_t bytes[128];
	struct lt_kv_txn *txn;
	struct lt_slice v;
	size_t len;

	assert_int_equal(lt_kv_begin_write(lt_hub_derived(h->f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_get(txn, LT_T_CURSOR, lt_slice_str(CURSOR), &v), LT_OK);
	len = v.len;
	assert_true(len > 60 && len < sizeof(bytes));
	memcpy(bytes, v.data, len);
	/* incarnation 16, position 8, hash 32, merge version 4 (FORMAT.md 9.3) */
	switch (what) {
	case INCARNATION:
		bytes[0] ^= 1;
		break;
	case HASH:
		bytes[24 + 31] ^= 1;
		break;
	case BEYOND:
		lt_store_u64(bytes + 16, lt_load_u64(bytes + 16) + 1000);
		break;
	case BEFORE:
		lt_store_u64(bytes + 16, lt_load_u64(bytes + 16) - 1);
		break;
	case MERGE:
		bytes[59] ^= 1;
		break;
	case SHORT:
		len--;
		break;
	case LONG:
		bytes[len++] = 0;
		break;
	case EMPTY:
		len = 0;
		break;
	case NONE:
	case GONE:
	case DAMAGES:
		break;
	}
	if (what == GONE)
		assert_int_equal(lt_kv_del(txn, LT_T_CURSOR, lt_slice_str(CURSOR)), LT_OK);
	else
		assert_int_equal(
		    lt_kv_put(txn, LT_T_CURSOR, lt_slice_str(CURSOR), lt_slice(bytes, len)), LT_OK);
	if (what != NONE) {
		assert_int_equal(lt_kv_clear(txn, LT_T_SHOWN), LT_OK);
		assert_int_equal(lt_kv_put(txn, LT_T_HISTORY, lt_slice_str("not a row"),
				     lt_slice_str("of ours")),
		    LT_OK);
	}
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

static bool
knows_whom(void *ctx)
{
	struct hubfx *h = ctx;

	return lt_recovery_awaited(h->f.hub) == 1;
}

static bool
goes_on(void *ctx)
{
	struct hubfx *h = ctx;

	return !lt_hub_recovering(h->f.hub);
}

/* A compaction at the start takes the tables away: what they tell of the log is heard before. */
static void
test_witness_compacted(void **state)
{
	struct lt_kv_txn *txn;
	struct fed_peer p;
	struct fed_feed w;
	struct until all;
	struct hubfx h;
	size_t left;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	take(&h, &p, &w, 1, NULL);
	/* Nothing is to be projected any more, which would write the cursor again. */
	all = (struct until){ &h, &w, 1, 0 };
	fed_wait(verdicts_reach, &all, HUB_WAIT_MS, "the verdict");
	hubfx_settle(&h);
	assert_int_equal(lt_kv_begin_write(lt_hub_log(h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_compact_owe(txn), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	damage(&h, BEYOND);
	hubfx_restart(&h);
	assert_false(lt_compact_is_owed(lt_hub_log(h.f.hub)));
	assert_true(lt_hub_recovering(h.f.hub));
	fed_wait(knows_whom, &h, HUB_WAIT_MS, "it knows whom it waits for");
	assert_int_equal(lt_hub_go_on_without(h.f.hub, NULL, NULL, &left, NULL), LT_OK);
	fed_wait(goes_on, &h, HUB_WAIT_MS, "it goes on");
	hubfx_close(&h);
}

static void
test_damaged_cursor(void **state)
{
	size_t left;
	struct fed_feed w, u;
	struct lt_buf before, after;
	struct fed_peer p;
	struct lt_registry *reg;
	struct until all;
	struct hubfx h;
	int what;
	unsigned i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	fed_feed_init(&u, &p, HUB_UNIT, LT_LANE_NORMAL, 2);
	for (i = 1; i <= 20; i++) {
		take(&h, &p, &w, i, NULL);
		take(&h, &p, &u, i, i % 4 == 0 ? "xong_roi" : "dang_xu_ly");
	}
	all = (struct until){ &h, &w, 20, 0 };
	fed_wait(verdicts_reach, &all, HUB_WAIT_MS, "verdicts on the one feed");
	all.feed = &u;
	fed_wait(verdicts_reach, &all, HUB_WAIT_MS, "verdicts on the other");
	lt_buf_init(&before, 0);
	dump(&h, &before);
	assert_true(before.len > 20000);
	for (what = NONE; what < DAMAGES; what++) {
		print_message("%s\n", damage_name[what]);
		damage(&h, (enum damage)what);
		hubfx_restart(&h);
		/* Tables of a log that reached further, or went on otherwise: it was put back, and the hub waits for its nodes (e2e.restore). */
		assert_int_equal(
		    lt_hub_recovering(h.f.hub), what == HASH || what == BEYOND || what == BEFORE);
		if (lt_hub_recovering(h.f.hub)) {
			fed_wait(knows_whom, &h, HUB_WAIT_MS, "it knows whom it waits for");
			assert_int_equal(
			    lt_hub_go_on_without(h.f.hub, NULL, NULL, &left, NULL), LT_OK);
			assert_int_equal(left, 1);
			fed_wait(goes_on, &h, HUB_WAIT_MS, "it goes on");
		}
		lt_buf_init(&after, 0);
		dump(&h, &after);
		assert_int_equal(after.len, before.len);
		assert_memory_equal(after.data, before.data, before.len);
		lt_buf_fini(&after);
		/* The registry and the catalogue lived in what was built anew. */
		reg = lt_hub_registry(h.f.hub);
		assert_non_null(lt_registry_find(reg, &p.id.principal));
		lt_registry_unref(reg);
	}
	/* And the hub goes on. */
	take(&h, &p, &w, 99, NULL);
	hubfx_settle(&h);
	{
		char text[64];

		assert_true(fed_hub_field(&h.f, HUB_UNIT, 99, "status", text, sizeof(text)));
		assert_string_equal(text, "tiep_nhan");
	}
	lt_buf_fini(&before);
	hubfx_close(&h);
}

/* ---- two threads ---- */

#define RECORDS 12

/* A change to a record: a new one, another status, gone; with a context it is held until that is there. */
static void
take_change(struct hubfx *h, const struct fed_peer *p, struct fed_feed *w, unsigned number,
    unsigned how, const struct lt_context *waits_for)
{
	struct answer a;
	struct lt_draft d;
	struct lt_buf b;
	char *key = lt_arena_alloc(&h->arena, 64);

	lt_buf_init(&b, 0);
	(void)snprintf(key, 64, "H41.65-261120-%04u", number);
	if (how == 0)
		fed_draft_dossier(&h->arena, &d, key);
	else
		fed_draft_status(&h->arena, &d, key,
		    how == 1   ? "dang_xu_ly"
		    : how == 2 ? "tiep_nhan"
			       : "xong_roi"); /* refused: no such status */
	if (how == 4)
		d = (struct lt_draft){ .collection = d.collection, .key = key, .is_delete = true };
	d.context = waits_for;
	d.ncontext = waits_for != NULL;
	w->next_stamp = LT_STAMP(h->now_ms, w->seq + 1);
	fed_seal(&h->f, w, &d, 1, &b);
	hubfx_intake(h, &p->id.principal, &b, 1, &a);
	assert_int_equal(a.rc, LT_OK);
	lt_buf_fini(&b);
}

struct crowd {
	struct hubfx h;
	struct fed_peer p[3];
	struct fed_feed w[2], late;
	struct lt_buf truth; /* the tables, worked out one batch after the other by one thread */
};

static bool
is_whole(void *ctx)
{
	struct lt_hub *h = ((struct crowd *)ctx)->h.f.hub;

	return !lt_hub_mending(h);
}

/* Records that most batches of a few change-sets have in common, refusals, a change that is held and settled, acts in between. */
static void
crowd_make(struct crowd *c)
{
	struct lt_context waits;
	struct answer a = { 0 };
	struct lt_buf late;
	struct until u;
	unsigned i;

	memset(c, 0, sizeof(*c));
	hubfx_open(&c->h);
	for (i = 0; i < 2; i++) {
		hubfx_node(&c->h, &c->p[i], i == 0 ? HUB_UNIT : "16906");
		fed_feed_init(&c->w[i], &c->p[i], c->p[i].id.unit.s, LT_LANE_NORMAL, 1);
	}
	fed_feed_init(&c->late, &c->p[0], HUB_UNIT, LT_LANE_NORMAL, 2);
	/* Sealed before it is sent: its hash is what the change waits for. */
	lt_buf_init(&late, 0);
	seal(&c->h, &c->late, 0, "dang_xu_ly", &late);
	waits = (struct lt_context){ c->late.id, 1, lt_load_u64(c->late.hash.b) };
	for (i = 0; i < RECORDS * 12; i++) {
		unsigned how = i < RECORDS * 2 ? 0 : i * 7 % 5;

		take_change(&c->h, &c->p[i % 2], &c->w[i % 2], i / 2 % RECORDS, how,
		    i == RECORDS * 4 ? &waits : NULL);
		if (i == RECORDS * 6)
			hubfx_node(&c->h, &c->p[2], HUB_UNIT);
		if (i == RECORDS * 8)
			hubfx_intake(&c->h, &c->p[0].id.principal, &late, 1, &a);
	}
	u = (struct until){ &c->h, &c->w[0], c->w[0].seq, 1 };
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "verdicts on the first, one of them settles");
	u = (struct until){ &c->h, &c->w[1], c->w[1].seq, 0 };
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "verdicts on the second");
	u = (struct until){ &c->h, &c->late, 1, 0 };
	fed_wait(verdicts_reach, &u, HUB_WAIT_MS, "the verdict on what was late");
	assert_int_equal(a.rc, LT_OK);
	lt_buf_fini(&late);
	damage(&c->h, GONE);
	fed_hub_stop(&c->h.f);
	open_manual(&c->h);
	step_all(&c->h);
	dump(&c->h, &c->truth);
	assert_int_equal(c->h.f.hub->ahead, 0);
	assert_true(c->truth.len > 20000);
	lt_hub_close(c->h.f.hub);
	fed_hub_start(&c->h.f);
}

static void
crowd_same(struct crowd *c)
{
	struct lt_buf now = { 0 };

	dump(&c->h, &now);
	assert_int_equal(now.len, c->truth.len);
	assert_memory_equal(now.data, c->truth.data, now.len);
	lt_buf_fini(&now);
}

static void
crowd_free(struct crowd *c)
{
	lt_buf_fini(&c->truth);
	hubfx_close(&c->h);
}

static void
rebuild_by(struct crowd *c, size_t entries)
{
	const struct lt_projector_limits l = {
		.entries = entries, .bytes = (size_t)1 << 20, .ahead_bytes = 1
	};

	lt_projector_limit(c->h.f.hub, &l);
	lt_hub_rebuild(c->h.f.hub);
}

static void
ahead_is_as_in_order(struct crowd *c)
{
	static const size_t entries[] = { 1, 3, 11, 1000 };
	uint64_t before;
	size_t i;

	for (i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		before = c->h.f.hub->ahead;
		rebuild_by(c, entries[i]);
		fed_wait(is_whole, c, HUB_WAIT_MS, "built anew");
		crowd_same(c);
		if (entries[i] <= 11)
			assert_true(c->h.f.hub->ahead - before > RECORDS * 6 / entries[i]);
	}
}

struct fail_ahead {
	struct lt_hub *hub;
	int rc;
	unsigned
	    call; /* of the second thread, from 1: that one fails, when the next batch is worked out */
	_Atomic unsigned calls, failed;
};

static int
fail_ahead(void *ctx, uint64_t ordinal)
{
	struct fail_ahead *f = ctx;
	char name[16] = "";

	(void)ordinal;
	(void)pthread_getname_np(pthread_self(), name, sizeof(name));
	if (strcmp(name, "lt-project-2") != 0 || ++f->calls != f->call)
		return LT_OK;
	while (!f->hub->draining)
		(void)sched_yield();
	f->failed++;
	return f->rc;
}

static bool
has_stopped(void *ctx)
{
	struct lt_hub *h = ((struct crowd *)ctx)->h.f.hub;
	int rc;

	pthread_mutex_lock(&h->mx);
	rc = h->projector_rc;
	pthread_mutex_unlock(&h->mx);
	return rc != LT_OK;
}

static uint64_t
cursor_position(struct hubfx *h)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	uint64_t position = 0;

	assert_int_equal(lt_kv_begin_read(lt_hub_derived(h->f.hub), &txn), LT_OK);
	if (lt_kv_get(txn, LT_T_CURSOR, lt_slice_str(CURSOR), &v) == LT_OK)
		position = lt_load_u64(v.data + 16);
	lt_kv_abort(txn);
	return position;
}

/* A batch cannot be written when the next one is worked out: that one is thrown away, the projector stops where the tables are, and goes on
 * from there after a restart. */
static void
ahead_fails(struct crowd *c)
{
	static const unsigned calls[] = { 1, 2, 20, 111 };
	struct fail_ahead f;
	uint64_t position;
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		f = (struct fail_ahead){ .hub = c->h.f.hub, .rc = LT_E_IO, .call = calls[i] };
		lt_kv_set_fault(lt_hub_derived(c->h.f.hub), fail_ahead, &f);
		rebuild_by(c, 3 + i % 3);
		fed_wait(has_stopped, c, HUB_WAIT_MS, "the projector stops");
		assert_int_equal(f.failed, 1);
		position = cursor_position(&c->h);
		assert_int_equal(lt_hub_wait_projected(c->h.f.hub, position, 0), LT_OK);
		assert_int_equal(
		    lt_hub_wait_projected(c->h.f.hub, position + 1, HUB_WAIT_MS), LT_E_IO);
		lt_kv_set_fault(lt_hub_derived(c->h.f.hub), NULL, NULL);
		hubfx_restart(&c->h);
		crowd_same(c);
	}
	/* A full disk: it goes on by itself. */
	f = (struct fail_ahead){ .hub = c->h.f.hub, .rc = LT_E_NOSPACE, .call = 33 };
	lt_kv_set_fault(lt_hub_derived(c->h.f.hub), fail_ahead, &f);
	rebuild_by(c, 2);
	fed_wait(is_whole, c, HUB_WAIT_MS, "built anew");
	assert_int_equal(f.failed, 1);
	crowd_same(c);
	lt_kv_set_fault(lt_hub_derived(c->h.f.hub), NULL, NULL);
}

struct go_ahead {
	struct crowd *c;
	uint64_t until;
};

static bool
is_ahead(void *ctx)
{
	struct go_ahead *g = ctx;

	return g->c->h.f.hub->ahead >= g->until || !lt_hub_mending(g->c->h.f.hub);
}

/* Stopped with a batch ahead, or asked to begin once more: nothing is lost, nothing counts twice. */
static void
ahead_ends_midway(struct crowd *c)
{
	struct go_ahead g = { 0 };
	unsigned i;

	g.c = c;
	for (i = 0; i < 6; i++) {
		g.until = c->h.f.hub->ahead + 3 * i + 1;
		rebuild_by(c, 3 + i % 3);
		fed_wait(is_ahead, &g, HUB_WAIT_MS, "some batches");
		if (i % 2 == 0)
			hubfx_restart(&c->h);
		else
			lt_hub_rebuild(c->h.f.hub);
		fed_wait(is_whole, c, HUB_WAIT_MS, "built anew");
		crowd_same(c);
	}
}

static void
test_two_threads(void **state)
{
	struct crowd c;

	(void)state;
	crowd_make(&c);
	ahead_is_as_in_order(&c);
	ahead_fails(&c);
	ahead_ends_midway(&c);
	crowd_free(&c);
}

#define FOREVER_MS ((int64_t)24 * 3600 * 1000)
#define BURST 24

static bool
is_paused(void *ctx)
{
	const struct hubfx *h = ctx;

	return h->f.hub->pauses > 0;
}

static bool
is_mended(void *ctx)
{
	const struct hubfx *h = ctx;

	return !lt_hub_mending(h->f.hub);
}

static void
projected(const struct hubfx *h)
{
	assert_int_equal(
	    lt_hub_wait_projected(h->f.hub, lt_hub_log_position(h->f.hub), HUB_WAIT_MS), LT_OK);
}

/* All in one push, so that there is more behind each of the first batches, which take one change-set each. */
static void
burst(struct hubfx *h, const struct fed_peer *p, struct fed_feed *w)
{
	struct lt_buf set[BURST] = { { 0 } };
	struct answer a = { 0 };
	unsigned i;

	for (i = 0; i < BURST; i++)
		seal(h, w, i, NULL, &set[i]);
	hubfx_intake(h, &p->id.principal, set, BURST, &a);
	assert_int_equal(a.rc, LT_OK);
	for (i = 0; i < BURST; i++)
		lt_buf_fini(&set[i]);
}

/* While the log gathers nobody is kept waiting: not who asks for a position, not a rebuild, not the end. Who finds the projector idle
 * sees no pause at all. */
static void
test_pauses(void **state)
{
	const struct lt_projector_limits l = { .entries = 1,
		.bytes = (size_t)1 << 20,
		.ahead_bytes = (size_t)1 << 20,
		.pause_ms = FOREVER_MS };
	struct fed_peer p;
	struct fed_feed w;
	struct hubfx h;
	unsigned i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	projected(&h);
	for (i = 0; i < 3; i++) {
		lt_projector_limit(h.f.hub, &l);
		h.f.hub->pauses = 0;
		burst(&h, &p, &w);
		fed_wait(is_paused, &h, HUB_WAIT_MS, "a pause");
		assert_true(lt_hub_projected(h.f.hub) < lt_hub_log_position(h.f.hub));
		if (i == 1) {
			lt_hub_rebuild(h.f.hub);
			fed_wait(is_mended, &h, HUB_WAIT_MS, "built anew");
		} else if (i == 2) {
			hubfx_restart(&h);
		}
		projected(&h);
	}
	hubfx_close(&h);
}

/* ---- what was refused ---- */

struct ticks {
	unsigned n, fails_at;
};

static int
count_tick(void *ctx)
{
	struct ticks *t = ctx;

	return ++t->n == t->fails_at ? LT_E_TIMEOUT : LT_OK;
}

static bool
sees_unknown(void *ctx, const char *unit, const char *collection)
{
	(void)ctx;
	(void)unit;
	(void)collection;
	return true;
}

static int
ask_refused(struct hubfx *h, struct ticks *t, Ltpb__RefusedReply *reply)
{
	const struct lt_asker who = { .kind = LT_ASKER_LOCAL, .local_hub = true };
	Ltpb__RefusedRequest req = LTPB__REFUSED_REQUEST__INIT;
	struct lt_catalogue *cat = lt_hub_catalogue(h->f.hub);
	struct lt_query q = {
		.catalogue = cat, .arena = &h->arena, .tick = count_tick, .tick_ctx = t
	};
	struct lt_sight_of of = { &who, cat, &q.province };
	struct lt_err err = { "" };
	struct lt_sight sight;
	int rc;

	q.province = h->f.hub_id->unit;
	lt_sight_of_asker(&of, &sight);
	q.sight = &sight;
	req.all = true;
	assert_int_equal(lt_kv_begin_read(lt_hub_log(h->f.hub), &q.log), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_hub_derived(h->f.hub), &q.derived), LT_OK);
	rc = lt_query_refused(&q, &req, NULL, NULL, sees_unknown, NULL, reply, &err);
	lt_kv_abort(q.derived);
	lt_kv_abort(q.log);
	lt_catalogue_unref(cat);
	return rc;
}

/* One refused change of a record with 520 others: its asker's deadline is looked at on the way through them. */
static void
test_refused_ticks(void **state)
{
	struct ticks t = { 0 };
	Ltpb__RefusedReply reply;
	struct lt_buf set[40];
	struct fed_feed w;
	struct fed_peer p;
	struct answer a;
	struct hubfx h;
	unsigned i, k;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	take(&h, &p, &w, 1, NULL);
	take(&h, &p, &w, 1, "xong_roi");
	for (i = 0; i < 13; i++) {
		for (k = 0; k < 40; k++) {
			lt_buf_init(&set[k], 0);
			seal(&h, &w, 1, "dang_xu_ly", &set[k]);
		}
		hubfx_intake(&h, &p.id.principal, set, 40, &a);
		assert_int_equal(a.rc, LT_OK);
		for (k = 0; k < 40; k++)
			lt_buf_fini(&set[k]);
	}
	hubfx_settle(&h);
	assert_int_equal(ask_refused(&h, &t, &reply), LT_OK);
	assert_int_equal(reply.n_change, 1);
	assert_int_equal(t.n, 1 + 522 / 256);
	t = (struct ticks){ .fails_at = 2 };
	assert_int_equal(ask_refused(&h, &t, &reply), LT_E_TIMEOUT);
	assert_int_equal(t.n, 2);
	hubfx_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intake_answers),
		cmocka_unit_test(test_verdicts_cover),
		cmocka_unit_test(test_settled_is_owed_over_a_restart),
		cmocka_unit_test(test_verdict_after_full_disk),
		cmocka_unit_test(test_manual_retries_by_its_clock),
		cmocka_unit_test(test_one_feed_is_damaged),
		cmocka_unit_test(test_more_owe_than_fit),
		cmocka_unit_test(test_settling_is_bounded),
		cmocka_unit_test(test_damaged_cursor),
		cmocka_unit_test(test_witness_compacted),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_refused_ticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
