/* Freshness by the hub's clock: ages, bounds, whose word counts, and what is left after a restart. */
#include "hub/outvoted.h"
#include "tests/hub/hub_fixture.h"
#include "proto/base/limits.h"
#include "proto/store/kv_test.h"
#include "proto/store/tables.h"

#include <string.h>

static struct lt_feed_id
feed_of(const struct fed_peer *p, enum lt_lane lane, uint64_t epoch)
{
	return lt_feed_id_make(p->id.principal, lane, epoch);
}

/* The hash of a feed that these tests only speak of. */
static struct lt_hash
hash_of(uint64_t seq)
{
	struct lt_hash h;

	memset(h.b, (int)seq, LT_HASH_LEN);
	return h;
}

/* The hub took a change-set in, and says so. */
static void
held(struct hubfx *h, const struct lt_feed_id *feed, uint64_t seq)
{
	struct lt_hash hash = hash_of(seq);

	lt_fresh_held(h->f.fresh, feed, seq, &hash);
}

/* Announce n heads: lane i + 1, seq head[i]. */
static void
announce(
    struct hubfx *h, const struct fed_peer *p, const uint64_t *head, size_t n, int64_t clock_ms)
{
	Ltpb__FeedHead f[3], *v[3] = { NULL };
	struct lt_feed_id id[3];
	struct lt_hash hash[3];
	struct lt_unit unit = p->id.unit;
	size_t i;

	for (i = 0; i < n; i++) {
		ltpb__feed_head__init(&f[i]);
		id[i] = feed_of(p, (enum lt_lane)(i + 1), 1);
		f[i].unit = unit.s;
		f[i].feed.data = id[i].b;
		f[i].feed.len = LT_FEED_LEN;
		f[i].seq = head[i];
		hash[i] = hash_of(head[i]);
		f[i].hash.data = hash[i].b;
		f[i].hash.len = LT_HASH_LEN;
		v[i] = &f[i];
	}
	lt_fresh_announced(h->f.fresh, &p->id.principal, &unit, n, v, clock_ms);
}

static Ltpb__UnitFreshness
unit_of(struct hubfx *h, const char *unit)
{
	Ltpb__UnitFreshness u = LTPB__UNIT_FRESHNESS__INIT;

	lt_fresh_unit(h->f.fresh, unit, &u);
	return u;
}

static Ltpb__FreshnessSummary
summary(struct hubfx *h, const char *unit, int lane)
{
	Ltpb__FreshnessSummary s = LTPB__FRESHNESS_SUMMARY__INIT;
	const char *units[1] = { unit };

	lt_fresh_summary(h->f.fresh, units, 1, lane, &s);
	return s;
}

/* The age grows with the hub's clock, and falls into the class that its bound says. */
static void
test_ages(void **state)
{
	static const struct {
		int64_t age;
		uint32_t minute, hour, day, older;
	} cases[] = {
		{ 0, 1, 0, 0, 0 },
		{ 60000, 1, 0, 0, 0 },
		{ 60001, 0, 1, 0, 0 },
		{ 3600000, 0, 1, 0, 0 },
		{ 3600001, 0, 0, 1, 0 },
		{ 86400000, 0, 0, 1, 0 },
		{ 86400001, 0, 0, 0, 1 },
	};
	Ltpb__FreshnessSummary s;
	struct fed_peer p;
	struct hubfx h;
	size_t i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	assert_false(unit_of(&h, HUB_UNIT).known);
	s = summary(&h, HUB_UNIT, 0);
	assert_int_equal(s.never, 1);
	assert_int_equal(s.units, 1);
	announce(&h, &p, NULL, 0, HUB_NOW_MS + 12345);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		h.now_ms = HUB_NOW_MS + cases[i].age;
		assert_true(unit_of(&h, HUB_UNIT).known);
		assert_int_equal(unit_of(&h, HUB_UNIT).urgent_age_ms, cases[i].age);
		assert_int_equal(unit_of(&h, HUB_UNIT).bulk_age_ms, cases[i].age);
		s = summary(&h, HUB_UNIT, 0);
		assert_int_equal(s.within_minute, cases[i].minute);
		assert_int_equal(s.within_hour, cases[i].hour);
		assert_int_equal(s.within_day, cases[i].day);
		assert_int_equal(s.older, cases[i].older);
		assert_int_equal(s.never, 0);
		assert_int_equal(s.oldest_age_ms, cases[i].age);
		assert_int_equal(s.as_of_ms, h.now_ms);
	}
	assert_string_equal(s.oldest_unit, HUB_UNIT);
	/* A clock that was set back makes nothing fresher than now. */
	h.now_ms = HUB_NOW_MS - 5000;
	assert_int_equal(unit_of(&h, HUB_UNIT).urgent_age_ms, 0);
	/* What the hub writes itself is always fresh; a unit nobody speaks for never was. */
	assert_int_equal(summary(&h, "40", 0).within_minute, 1);
	assert_int_equal(summary(&h, "99999", 0).never, 1);
	hubfx_close(&h);
}

/* A lane that the hub does not hold whole grows old alone, and is fresh at the moment the last announced one is held. */
static void
test_lanes(void **state)
{
	const uint64_t head[] = { 0, 3, 1 };
	struct lt_feed_id normal, bulk;
	Ltpb__UnitFreshness u;
	struct lt_fresh_node n;
	struct fed_peer p;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	normal = feed_of(&p, LT_LANE_NORMAL, 1);
	bulk = feed_of(&p, LT_LANE_BULK, 1);
	announce(&h, &p, NULL, 0, HUB_NOW_MS);
	h.now_ms += 1000;
	announce(&h, &p, head, 3, h.now_ms - 7000);
	u = unit_of(&h, HUB_UNIT);
	assert_int_equal(u.urgent_age_ms, 0);
	assert_int_equal(u.normal_age_ms, 1000);
	assert_int_equal(u.bulk_age_ms, 1000);
	assert_int_equal(u.behind, 4);
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_int_equal(n.clock_offset_ms, -7000);
	assert_int_equal(n.announced[2], 3);
	assert_int_equal(n.held[2], 0);
	/* No clock is so wrong that nothing can be said of it. */
	announce(&h, &p, head, 3, INT64_MIN);
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_true(n.clock_offset_ms == INT64_MIN);
	/* Bit by bit. */
	held(&h, &normal, 2);
	assert_int_equal(unit_of(&h, HUB_UNIT).normal_age_ms, 1000);
	assert_int_equal(unit_of(&h, HUB_UNIT).behind, 2);
	held(&h, &normal, 3);
	u = unit_of(&h, HUB_UNIT);
	assert_int_equal(u.normal_age_ms, 0);
	assert_int_equal(u.bulk_age_ms, 1000);
	assert_int_equal(u.behind, 1);
	assert_int_equal(summary(&h, HUB_UNIT, LT_LANE_NORMAL).oldest_age_ms, 0);
	assert_int_equal(summary(&h, HUB_UNIT, LT_LANE_BULK).oldest_age_ms, 1000);
	assert_int_equal(summary(&h, HUB_UNIT, 0).oldest_age_ms, 1000);
	/* More than was announced: what the node has beyond it nobody knows, so the moment says nothing. */
	h.now_ms += 500;
	held(&h, &bulk, 1);
	held(&h, &normal, 9);
	u = unit_of(&h, HUB_UNIT);
	assert_int_equal(u.bulk_age_ms, 0);
	assert_int_equal(u.normal_age_ms, 500);
	assert_int_equal(u.behind, 0);
	hubfx_close(&h);
}

/* A unit is as fresh as the worst of its nodes; one that is revoked is not waited for; nobody speaks for others. */
static void
test_whose_word(void **state)
{
	const uint64_t head[] = { 0, 5, 0 };
	Ltpb__FeedHead f = LTPB__FEED_HEAD__INIT, *v[1] = { &f };
	struct lt_feed_id id;
	char hex[2 * LT_ID_LEN + 1];
	struct fed_peer a, b;
	struct lt_fresh_node n;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &a, HUB_UNIT);
	hubfx_node(&h, &b, HUB_UNIT);
	announce(&h, &a, NULL, 0, 0);
	announce(&h, &b, NULL, 0, 0);
	h.now_ms += 90000;
	announce(&h, &b, head, 3, 0);
	announce(&h, &a, NULL, 0, 0);
	assert_int_equal(unit_of(&h, HUB_UNIT).normal_age_ms, 90000);
	assert_int_equal(unit_of(&h, HUB_UNIT).urgent_age_ms, 0);
	assert_int_equal(unit_of(&h, HUB_UNIT).behind, 5);
	/* Heads of another's feed are not a's to announce. */
	id = feed_of(&b, LT_LANE_URGENT, 7);
	f.unit = a.id.unit.s;
	f.feed.data = id.b;
	f.feed.len = LT_FEED_LEN;
	f.seq = 1000;
	lt_fresh_announced(h.f.fresh, &a.id.principal, &a.id.unit, 1, v, 0);
	assert_true(lt_fresh_node(h.f.fresh, &a.id.principal, &n));
	assert_int_equal(n.announced[1], 0);
	assert_int_equal(unit_of(&h, HUB_UNIT).behind, 5);
	fed_principal_hex(&b, hex);
	fed_act_enum(&h.f, "_registry", hex, "state", "revoked");
	assert_int_equal(unit_of(&h, HUB_UNIT).normal_age_ms, 0);
	assert_int_equal(unit_of(&h, HUB_UNIT).behind, 0);
	/* Somebody who was never heard of. */
	fed_stranger(&h.f, &b);
	assert_false(lt_fresh_node(h.f.fresh, &b.id.principal, &n));
	id = feed_of(&b, LT_LANE_NORMAL, 1);
	held(&h, &id, 1);
	assert_false(lt_fresh_node(h.f.fresh, &b.id.principal, &n));
	hubfx_close(&h);
}

/* Only the end of the session that is the present one ends it. */
static void
test_sessions(void **state)
{
	struct lt_fresh_node n;
	struct fed_peer p;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	lt_fresh_connected(h.f.fresh, &p.id.principal, &p.id.unit, 11);
	h.now_ms += 1000;
	lt_fresh_connected(h.f.fresh, &p.id.principal, &p.id.unit, 12);
	lt_fresh_gone(h.f.fresh, 11);
	assert_true(unit_of(&h, HUB_UNIT).connected);
	h.now_ms += 1000;
	lt_fresh_gone(h.f.fresh, 12);
	assert_false(unit_of(&h, HUB_UNIT).connected);
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_int_equal(n.last_seen_ms, HUB_NOW_MS + 2000);
	hubfx_close(&h);
}

/* Which clock is the wrong one. */
static void
test_majority(void **state)
{
	static const struct {
		size_t n;
		int64_t offset[5];
		bool outvoted;
		int64_t by;
	} cases[] = {
		{ 0, { 0 }, false, 0 },
		{ 2, { 9000000, 9000000 }, false, 0 }, /* of two nobody knows */
		{ 3, { 3600001, 3600001, 0 }, true, 3600001 },
		{ 3, { 3600001, 3600000, 0 }, false, 0 },
		{ 3, { -3600001, 0, -9000000 }, true, -3600001 },
		{ 3, { -3600001, 3600001, 0 }, false, 0 }, /* each for itself */
		{ 4, { 7200000, 7200000, 0, 0 }, false, 0 },
		{ 4, { 7200000, 0, 7300000, 7400000 }, true, 7300000 },
		{ 5, { 7200000, -7200000, 7300000, -7300000, 7400000 }, true, 7200000 },
		{ 5, { INT64_MAX, INT64_MIN, INT64_MAX, INT64_MAX, 0 }, true, INT64_MAX },
	};
	int64_t offset[5], by;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(offset, cases[i].offset, sizeof(offset));
		assert_int_equal(lt_outvoted(offset, cases[i].n, &by), cases[i].outvoted);
		assert_true(by == cases[i].by);
	}
}

/* Those on the line, by what they said to this process. */
static void
test_outvoted(void **state)
{
	const int64_t away = INT64_C(2) * 3600000;
	struct fed_peer p[4];
	struct hubfx h;
	int64_t by;
	size_t i;

	(void)state;
	hubfx_open(&h);
	for (i = 0; i < 4; i++) {
		hubfx_node(&h, &p[i], HUB_UNIT);
		lt_fresh_connected(h.f.fresh, &p[i].id.principal, &p[i].id.unit, i + 1);
		assert_false(lt_fresh_outvoted(h.f.fresh, &by));
	}
	announce(&h, &p[0], NULL, 0, h.now_ms - away);
	announce(&h, &p[1], NULL, 0, h.now_ms - away);
	assert_false(lt_fresh_outvoted(h.f.fresh, &by));
	announce(&h, &p[2], NULL, 0, h.now_ms);
	assert_true(lt_fresh_outvoted(h.f.fresh, &by));
	assert_true(by == -away);
	announce(&h, &p[3], NULL, 0, h.now_ms);
	assert_false(lt_fresh_outvoted(h.f.fresh, &by));
	/* Who is gone does not count any more; nor does, after a restart, what was said to the process before. */
	lt_fresh_gone(h.f.fresh, 4);
	assert_true(lt_fresh_outvoted(h.f.fresh, &by));
	hubfx_restart(&h);
	for (i = 0; i < 3; i++)
		lt_fresh_connected(h.f.fresh, &p[i].id.principal, &p[i].id.unit, i + 1);
	assert_false(lt_fresh_outvoted(h.f.fresh, &by));
	hubfx_close(&h);
}

/* After a restart ages go on from where they were; nobody is connected. */
static void
test_restart(void **state)
{
	const uint64_t head[] = { 0, 4, 0 };
	struct lt_fresh_node n;
	struct lt_feed_id id;
	struct fed_peer p;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	id = feed_of(&p, LT_LANE_NORMAL, 1);
	lt_fresh_connected(h.f.fresh, &p.id.principal, &p.id.unit, 5);
	announce(&h, &p, NULL, 0, HUB_NOW_MS + 3000);
	h.now_ms += 1000;
	announce(&h, &p, head, 3, h.now_ms + 3000);
	held(&h, &id, 3);
	h.now_ms += 1000;
	hubfx_restart(&h);
	h.now_ms += 60000;
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_false(n.connected);
	assert_int_equal(n.last_seen_ms, HUB_NOW_MS + 1000);
	assert_int_equal(n.clock_offset_ms, 3000);
	assert_int_equal(n.announced[2], 4);
	assert_int_equal(n.held[2], 3);
	assert_int_equal(unit_of(&h, HUB_UNIT).normal_age_ms, 62000);
	assert_int_equal(unit_of(&h, HUB_UNIT).urgent_age_ms, 61000);
	assert_int_equal(unit_of(&h, HUB_UNIT).behind, 1);
	/* Of which hash the announced one was is not kept: until it is announced again, a number alone makes nothing fresh. */
	held(&h, &id, 4);
	assert_int_equal(unit_of(&h, HUB_UNIT).normal_age_ms, 62000);
	assert_int_equal(unit_of(&h, HUB_UNIT).behind, 0);
	announce(&h, &p, head, 3, h.now_ms);
	held(&h, &id, 4);
	assert_int_equal(unit_of(&h, HUB_UNIT).normal_age_ms, 0);
	hubfx_close(&h);
}

/* ---- by hash ---- */

static void
announce_one(struct hubfx *h, const struct fed_peer *p, const struct lt_feed_id *feed, uint64_t seq,
    const struct lt_hash *hash)
{
	Ltpb__FeedHead f = LTPB__FEED_HEAD__INIT, *v[1] = { &f };
	struct lt_unit unit = p->id.unit;

	f.unit = unit.s;
	f.feed.data = (uint8_t *)feed->b;
	f.feed.len = LT_FEED_LEN;
	f.seq = seq;
	f.hash.data = hash == NULL ? NULL : (uint8_t *)hash->b;
	f.hash.len = hash == NULL ? 0 : LT_HASH_LEN;
	lt_fresh_announced(h->f.fresh, &p->id.principal, &unit, 1, v, h->now_ms);
}

static void
push_one(struct hubfx *h, const struct fed_peer *p, struct fed_feed *w, const char *status, int rc)
{
	struct lt_draft d;
	struct answer a;
	struct lt_buf b;

	lt_buf_init(&b, 0);
	fed_draft_status(&h->arena, &d, "H41.65-261120-0001", status);
	w->next_stamp = LT_STAMP(h->now_ms, w->seq + 1);
	fed_seal(&h->f, w, &d, 1, &b);
	hubfx_intake(h, &p->id.principal, &b, 1, &a);
	assert_int_equal(a.rc, rc);
	lt_buf_fini(&b);
}

static bool
is_foreign(struct hubfx *h, const struct fed_peer *p)
{
	struct lt_fresh_node n;

	assert_true(lt_fresh_node(h->f.fresh, &p->id.principal, &n));
	return n.foreign;
}

/* What is held is told by hash: the same number of another branch is nothing that the hub has. */
static void
test_another_branch(void **state)
{
	struct lt_hash at[5] = { 0 }, other = hash_of(99);
	struct {
		const char *descr;
		uint64_t seq;
		const struct lt_hash *hash;
		bool foreign;
		uint64_t behind;
	} cases[] = {
		{ "the head", 3, &at[3], false, 0 },
		{ "another head", 3, &other, true, 1 },
		{ "an older one", 2, &at[2], false, 0 },
		{ "an older one of another branch", 2, &at[3], true, 1 },
		{ "the first of another branch", 1, &other, true, 1 },
		{ "nothing yet", 0, NULL, false, 0 },
		{ "no hash", 3, NULL, true, 1 },
		{ "one more than is here", 4, &at[4], false, 1 },
		{ "far more, of which nothing can be said yet", 50, &other, false, 47 },
	};
	struct fed_feed w;
	struct fed_peer p;
	struct hubfx h;
	size_t i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	for (i = 1; i <= 3; i++) {
		push_one(&h, &p, &w, "dang_xu_ly", LT_OK);
		at[i] = w.hash;
	}
	at[4] = hash_of(4);
	announce_one(&h, &p, &w.id, 3, &at[3]);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Ltpb__UnitFreshness u;

		print_message("%s\n", cases[i].descr);
		announce_one(&h, &p, &w.id, 3, &at[3]);
		h.now_ms += 5000;
		announce_one(&h, &p, &w.id, cases[i].seq, cases[i].hash);
		u = unit_of(&h, HUB_UNIT);
		assert_int_equal(is_foreign(&h, &p), cases[i].foreign);
		assert_int_equal(u.behind, cases[i].behind);
		assert_int_equal(u.normal_age_ms, cases[i].behind == 0 ? 0 : 5000);
		assert_int_equal(u.urgent_age_ms, 0);
	}
	hubfx_close(&h);
}

/* Of two machines with one key, one announces what the other then sends another of. */
static void
test_another_sends(void **state)
{
	struct lt_hash other = hash_of(98);
	struct lt_feed_id id;
	struct fed_peer p;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	id = feed_of(&p, LT_LANE_NORMAL, 1);
	announce(&h, &p, NULL, 0, HUB_NOW_MS);
	h.now_ms += 1000;
	announce_one(&h, &p, &id, 4, &other);
	held(&h, &id, 4);
	assert_true(is_foreign(&h, &p));
	assert_int_equal(unit_of(&h, HUB_UNIT).behind, 1);
	assert_int_equal(unit_of(&h, HUB_UNIT).normal_age_ms, 1000);
	/* More of it makes what was announced no better. */
	held(&h, &id, 5);
	held(&h, &id, 5);
	assert_true(is_foreign(&h, &p));
	assert_int_equal(unit_of(&h, HUB_UNIT).normal_age_ms, 1000);
	/* Nor does a stop. */
	hubfx_restart(&h);
	assert_int_equal(unit_of(&h, HUB_UNIT).behind, 1);
	assert_int_equal(unit_of(&h, HUB_UNIT).normal_age_ms, 1000);
	hubfx_close(&h);
}

/* As many heads as a node announces all count; with one more, nothing is known whole. Those of others take no place. */
static void
test_bound(void **state)
{
	Ltpb__FeedHead f[2 * LT_ANNOUNCE_MAX], *v[2 * LT_ANNOUNCE_MAX];
	struct lt_feed_id id[2 * LT_ANNOUNCE_MAX];
	struct lt_hash hash = hash_of(1);
	struct fed_peer p, q;
	struct lt_fresh_node n;
	struct hubfx h;
	size_t i;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	hubfx_node(&h, &q, HUB_UNIT);
	fed_stranger(&h.f, &q);
	for (i = 0; i < 2 * LT_ANNOUNCE_MAX; i++) {
		id[i] = feed_of(i < LT_ANNOUNCE_MAX - 1 ? &q : &p, LT_LANE_NORMAL, i + 1);
		ltpb__feed_head__init(&f[i]);
		f[i].unit = p.id.unit.s;
		f[i].feed.data = id[i].b;
		f[i].feed.len = LT_FEED_LEN;
		f[i].hash.data = hash.b;
		f[i].hash.len = LT_HASH_LEN;
		f[i].seq = 1;
		v[i] = &f[i];
	}
	/* Before it the strangers', then as many as fit. */
	lt_fresh_announced(
	    h.f.fresh, &p.id.principal, &p.id.unit, 2 * LT_ANNOUNCE_MAX - 1, v, h.now_ms);
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_int_equal(n.announced[LT_LANE_NORMAL], LT_ANNOUNCE_MAX);
	assert_int_equal(n.fresh_ms[LT_LANE_URGENT], HUB_NOW_MS);
	assert_int_equal(n.fresh_ms[LT_LANE_NORMAL], 0);
	h.now_ms += 1000;
	for (i = LT_ANNOUNCE_MAX - 1; i < 2 * LT_ANNOUNCE_MAX - 1; i++) {
		assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
		assert_int_equal(n.fresh_ms[LT_LANE_NORMAL], 0);
		held(&h, &id[i], 1);
	}
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_int_equal(n.held[LT_LANE_NORMAL], LT_ANNOUNCE_MAX);
	assert_int_equal(n.fresh_ms[LT_LANE_NORMAL], HUB_NOW_MS + 1000);
	/* One more: no lane is known whole, also when all that is known is held. */
	h.now_ms += 1000;
	lt_fresh_announced(
	    h.f.fresh, &p.id.principal, &p.id.unit, 2 * LT_ANNOUNCE_MAX, v, h.now_ms);
	for (i = LT_ANNOUNCE_MAX - 1; i < 2 * LT_ANNOUNCE_MAX; i++)
		held(&h, &id[i], 1);
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_int_equal(n.fresh_ms[LT_LANE_NORMAL], HUB_NOW_MS + 1000);
	assert_int_equal(n.fresh_ms[LT_LANE_URGENT], HUB_NOW_MS);
	hubfx_close(&h);
}

struct told {
	uint64_t all, node;
	bool foreign;
	size_t nodes, with;
};

static void
status_answer(void *ctx, const ProtobufCMessage *m)
{
	((struct told *)ctx)->all = ((const Ltpb__StatusReply *)m)->forks;
}

static void
nodes_answer(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__ListNodesReply *r = (const Ltpb__ListNodesReply *)m;
	struct told *t = ctx;
	size_t i;

	t->nodes = r->n_node;
	for (i = 0; i < r->n_node; i++) {
		t->with += r->node[i]->forks != 0 || r->node[i]->foreign;
		t->node += r->node[i]->forks;
		t->foreign |= r->node[i]->foreign;
	}
}

static struct told
ask_forks(struct hubfx *h)
{
	Ltpb__StatusRequest status = LTPB__STATUS_REQUEST__INIT;
	Ltpb__ListNodesRequest nodes = LTPB__LIST_NODES_REQUEST__INIT;
	struct told t = { 0 };
	struct lt_status st;
	struct fed_peer who;

	fed_local(&h->f, &who);
	assert_int_equal(fed_call(&who, &ltpb__admin__descriptor, "Status", &status.base,
			     status_answer, &t, &st),
	    LT_STATUS_OK);
	assert_int_equal(fed_call(&who, &ltpb__admin__descriptor, "ListNodes", &nodes.base,
			     nodes_answer, &t, &st),
	    LT_STATUS_OK);
	fed_hang_up(&who);
	return t;
}

/* Whoever asks how the nodes are sees second branches: the evidence kept, and a head that is not the hub's. */
static void
test_forks_are_told(void **state)
{
	struct fed_feed w, again;
	struct fed_peer p, q;
	struct told t;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	hubfx_node(&h, &q, HUB_UNIT);
	fed_feed_init(&w, &p, HUB_UNIT, LT_LANE_NORMAL, 1);
	push_one(&h, &p, &w, "dang_xu_ly", LT_OK);
	again = w;
	push_one(&h, &p, &w, "dang_xu_ly", LT_OK);
	t = ask_forks(&h);
	assert_int_equal(t.nodes, 2);
	assert_int_equal(t.all + t.node + t.with, 0);
	push_one(&h, &p, &again, "da_giai_quyet", LT_E_FORK);
	t = ask_forks(&h);
	assert_int_equal(t.all, 1);
	assert_int_equal(t.node, 1);
	assert_int_equal(t.with, 1);
	assert_false(t.foreign);
	push_one(&h, &p, &again, "da_giai_quyet", LT_E_FORK);
	announce_one(&h, &p, &again.id, 2, &again.hash);
	hubfx_restart(&h);
	announce_one(&h, &p, &again.id, 2, &again.hash);
	t = ask_forks(&h);
	assert_int_equal(t.all, 2);
	assert_int_equal(t.node, 2);
	assert_int_equal(t.with, 1);
	assert_true(t.foreign);
	hubfx_close(&h);
}

/* ---- answers ---- */

struct seen {
	unsigned answers, with;
};

static void
list_answer(void *ctx, const ProtobufCMessage *m)
{
	struct seen *s = ctx;

	s->answers++;
	s->with += ((const Ltpb__ListReply *)m)->freshness != NULL;
}

static void
sum_answer(void *ctx, const ProtobufCMessage *m)
{
	struct seen *s = ctx;

	s->answers++;
	s->with += ((const Ltpb__AggregateReply *)m)->freshness != NULL;
}

/* Both over every unit of the province; how many answers came, each with its freshness. */
static unsigned
ask_province(struct fed_peer *p)
{
	Ltpb__ListRequest list = LTPB__LIST_REQUEST__INIT;
	Ltpb__AggregateRequest agg = LTPB__AGGREGATE_REQUEST__INIT;
	struct lt_status st = { 0 };
	struct seen s = { 0 };

	list.collection = agg.collection = (char *)"dossier";
	(void)fed_call(p, &ltpb__query__descriptor, "List", &list.base, list_answer, &s, &st);
	assert_int_equal(st.code, s.answers == 0 ? LT_STATUS_DATA_LOSS : LT_STATUS_OK);
	(void)fed_call(p, &ltpb__query__descriptor, "Aggregate", &agg.base, sum_answer, &s, &st);
	assert_int_equal(st.code, s.answers <= 1 ? LT_STATUS_DATA_LOSS : LT_STATUS_OK);
	assert_int_equal(s.with, s.answers);
	return s.answers;
}

/* What the hub cannot count it does not leave out: without freshness no answer goes out. */
static void
test_no_answer_without(void **state)
{
	struct lt_buf key = { 0 };
	struct fed_peer who;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_settle(&h);
	fed_local(&h.f, &who);
	assert_int_equal(ask_province(&who), 2);
	lt_key_record(&key, "_unit", "_", HUB_UNIT);
	assert_int_equal(
	    lt_kv_test_flip(lt_hub_derived(h.f.hub), LT_T_SHOWN, lt_buf_slice(&key), 9, NULL),
	    LT_OK);
	assert_int_equal(ask_province(&who), 0);
	assert_int_equal(
	    lt_kv_test_flip(lt_hub_derived(h.f.hub), LT_T_SHOWN, lt_buf_slice(&key), 9, NULL),
	    LT_OK);
	assert_int_equal(ask_province(&who), 2);
	lt_buf_fini(&key);
	fed_hang_up(&who);
	hubfx_close(&h);
}

/* What the hub took in while the heads were looked up counts. */
static void
test_held_meanwhile(void **state)
{
	const uint64_t some[1] = { 3 }, more[1] = { 5 };
	struct lt_fresh_node n;
	struct lt_feed_id feed;
	struct fed_peer p;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	feed = feed_of(&p, LT_LANE_URGENT, 1);
	announce(&h, &p, some, 1, h.now_ms);
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_int_equal(n.held[1], 0);
	/* The log that the next announcement looks into does not have them. */
	held(&h, &feed, 3);
	announce(&h, &p, some, 1, h.now_ms);
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_int_equal(n.announced[1], 3);
	assert_int_equal(n.held[1], 3);
	assert_false(n.foreign);
	held(&h, &feed, 4);
	announce(&h, &p, more, 1, h.now_ms);
	assert_true(lt_fresh_node(h.f.fresh, &p.id.principal, &n));
	assert_int_equal(n.announced[1], 5);
	assert_int_equal(n.held[1], 4);
	hubfx_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_whose_word),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_majority),
		cmocka_unit_test(test_outvoted),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_another_branch),
		cmocka_unit_test(test_another_sends),
		cmocka_unit_test(test_held_meanwhile),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_forks_are_told),
		cmocka_unit_test(test_no_answer_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
