/* Admission: who may sign what for whom, which changes stand, what a context must name, and which clocks are believed. */
#include "world.h"

#include "proto/base/clock.h"
#include "proto/store/admit.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS (LT_BUILD_FLOOR_MS + 1000000)

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author hub, node;
	struct feed hub_feed;
	struct lt_catalogue *builtin, *cat;
	struct lt_registry *reg;
	struct lt_unit province;
	struct lt_kv_txn *txn;
};

static void
enrol(struct fix *f, const struct author *a, const char *role, const char *unit, const char *state,
    const char *key_state)
{
	char key[64];
	struct lt_draft d[2];

	lt_hex(key, a->id.b, LT_ID_LEN);
	d[0] = world_draft(&f->arena, "_registry", key, fs_enum(&f->arena, "role", role),
	    fs_text(&f->arena, "unit", unit), fs_enum(&f->arena, "state", state), NULL);
	(void)snprintf(key + 2 * LT_ID_LEN, sizeof(key) - 2 * LT_ID_LEN, "/1");
	d[1] = world_draft(&f->arena, "_key", key, fs_bytes(&f->arena, "sign_key", a->key.pk, 32),
	    fs_enum(&f->arena, "state", key_state), NULL);
	world_publish(f->txn, &f->hub_feed, f->builtin, d, 2, &f->arena);
}

static void
load(struct fix *f)
{
	lt_registry_unref(f->reg);
	ok(lt_registry_load(f->txn, NULL, 0, &f->reg, NULL));
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	env_open(&f->env, false);
	lt_arena_init(&f->arena, (size_t)128 << 20);
	author_init(&f->hub, 1);
	author_init(&f->node, 2);
	feed_init(&f->hub_feed, &f->hub, "_", LT_LANE_NORMAL, 1);
	ok(lt_unit_set(&f->province, lt_slice_str(WORLD_PROVINCE)));
	ok(lt_catalogue_builtin(&f->builtin));
	f->cat = world_catalogue();
	ok(lt_kv_begin_write(f->env.kv, &f->txn));
	enrol(f, &f->hub, "hub", WORLD_PROVINCE, "active", "active");
	enrol(f, &f->node, "node", WORLD_UNIT, "active", "active");
	load(f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_kv_abort(f->txn);
	env_close(&f->env);
	lt_registry_unref(f->reg);
	lt_catalogue_unref(f->builtin);
	lt_catalogue_unref(f->cat);
	lt_arena_fini(&f->arena);
	free(f);
	return 0;
}

static struct lt_draft
thing(struct fix *f, const char *key)
{
	struct lt_draft d =
	    world_draft(&f->arena, "thing", key, fs_text(&f->arena, "a", "x"), NULL);

	d.personal = lt_arena_alloc(&f->arena, 2 * sizeof(*d.personal));
	d.personal[d.npersonal++] = fs_text(&f->arena, "p", "an");
	return d;
}

static struct lt_changeset *
seal(struct fix *f, struct feed *feed, const struct lt_draft *d, size_t n)
{
	struct lt_changeset *cs = lt_arena_alloc(&f->arena, sizeof(*cs));
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };
	uint8_t *copy;

	feed_seal(feed, feed->stamp == 0 ? LT_STAMP(NOW_MS, 0) : feed->stamp + 1, d, n, &b);
	copy = lt_arena_dup(&f->arena, b.data, b.len);
	if (lt_changeset_parse(lt_slice(copy, b.len), &f->arena, cs, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_buf_fini(&b);
	return cs;
}

static int
signed_as(struct fix *f, const struct lt_changeset *cs, bool new_entry)
{
	struct lt_fed fed = world_fed();
	struct lt_err err = { "" };
	int rc = lt_admit_signed(cs, &fed, f->reg, new_entry, true, &err);

	assert_int_equal(rc == LT_OK, err.text[0] == '\0');
	return rc;
}

/* The state of author and key, for what is new and for what was admitted before. */
static void
author_states(void **state)
{
	static const struct {
		const char *role, *state, *key;
		int rc_new, rc_old;
	} row[] = {
		{ "node", "active", "active", LT_OK, LT_OK },
		{ "node", "suspended", "active", LT_E_DENIED, LT_OK },
		{ "node", "revoked", "active", LT_E_DENIED, LT_OK },
		{ "node", "pending", "active", LT_E_DENIED, LT_E_DENIED },
		{ "node", "rejected", "active", LT_E_DENIED, LT_E_DENIED },
		{ "node", "active", "retired", LT_E_DENIED, LT_OK },
		{ "node", "active", "revoked", LT_E_DENIED, LT_OK },
		{ "department", "active", "active", LT_E_DENIED, LT_E_DENIED },
		{ "operator", "active", "active", LT_E_DENIED, LT_E_DENIED },
		{ "mirror", "active", "active", LT_E_DENIED, LT_E_DENIED },
	};
	struct fix *f = *state;
	struct lt_draft d = thing(f, "17254/1");
	struct lt_changeset *cs;
	struct feed feed;
	size_t i;

	feed_init(&feed, &f->node, WORLD_UNIT, LT_LANE_NORMAL, 1);
	cs = seal(f, &feed, &d, 1);
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		enrol(f, &f->node, row[i].role, WORLD_UNIT, row[i].state, row[i].key);
		load(f);
		assert_int_equal(signed_as(f, cs, true), row[i].rc_new);
		assert_int_equal(signed_as(f, cs, false), row[i].rc_old);
	}
}

static void
who_signs_what(void **state)
{
	struct fix *f = *state;
	struct lt_draft d = thing(f, "17254/1");
	struct lt_fed fed = world_fed();
	struct lt_changeset *cs, stripped;
	struct lt_buf b = { 0 };
	struct author stranger;
	struct feed feed;
	uint8_t sig[64];

	feed_init(&feed, &f->node, WORLD_UNIT, LT_LANE_NORMAL, 1);
	cs = seal(f, &feed, &d, 1);
	ok(signed_as(f, cs, true));
	/* another federation */
	fed.b[31] ^= 1;
	assert_int_equal(lt_admit_signed(cs, &fed, f->reg, true, true, NULL), LT_E_DENIED);
	fed.b[31] ^= 1;
	/* a signature with a bit flipped, a key that is not there */
	memcpy(sig, cs->signature.data, 64);
	sig[3] ^= 4;
	cs->signature = lt_slice(sig, 64);
	assert_int_equal(signed_as(f, cs, true), LT_E_BADSIG);
	sig[3] ^= 4;
	ok(signed_as(f, cs, true));
	cs->key_no = 2;
	assert_int_equal(signed_as(f, cs, true), LT_E_UNKNOWN);
	cs->key_no = 1;
	/* openings: missing, and false */
	ok(lt_changeset_strip(cs, &b));
	ok(lt_changeset_parse(lt_buf_slice(&b), &f->arena, &stripped, NULL));
	assert_int_equal(signed_as(f, &stripped, true), LT_E_NOTFOUND);
	ok(lt_admit_signed(&stripped, &fed, f->reg, true, false, NULL));
	cs->opening[0].leaf.b[0] ^= 1;
	assert_int_equal(signed_as(f, cs, true), LT_E_BADHASH);
	assert_int_equal(lt_admit_signed(cs, &fed, f->reg, true, false, NULL), LT_E_BADHASH);
	/* a node writes its own commune, the hub everywhere */
	feed_init(&feed, &f->node, "16906", LT_LANE_NORMAL, 1);
	d = thing(f, "16906/1");
	assert_int_equal(signed_as(f, seal(f, &feed, &d, 1), true), LT_E_DENIED);
	feed_init(&feed, &f->node, "_", LT_LANE_NORMAL, 1);
	assert_int_equal(signed_as(f, seal(f, &feed, &d, 1), true), LT_E_DENIED);
	feed_init(&feed, &f->hub, "16906", LT_LANE_NORMAL, 1);
	ok(signed_as(f, seal(f, &feed, &d, 1), true));
	/* nobody knows this author */
	author_init(&stranger, 3);
	feed_init(&feed, &stranger, WORLD_UNIT, LT_LANE_NORMAL, 1);
	assert_int_equal(signed_as(f, seal(f, &feed, &d, 1), true), LT_E_UNKNOWN);
	/* signed with another's key */
	stranger.id = f->node.id;
	feed_init(&feed, &stranger, WORLD_UNIT, LT_LANE_NORMAL, 1);
	assert_int_equal(signed_as(f, seal(f, &feed, &d, 1), true), LT_E_BADSIG);
	lt_buf_fini(&b);
}

/* The province's targets stand in communes' feeds. A change that touches no field of them, a delete above all, names nothing that a
 * field's authority could refuse: whose the collection is has to be asked. */
static void
judged_by_writers(void **state)
{
	struct fix *f = *state;
	struct lt_judgement j = { 0 };
	struct lt_catalogue *cat;
	struct lt_err err = { "" };
	struct lt_buf file = { 0 };
	struct lt_draft d[3];
	struct feed feed;
	size_t i;

	world_catalogue_file(&file);
	if (lt_catalogue_parse(lt_buf_slice(&file), WORLD_CATALOGUE, &cat, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_buf_fini(&file);
	memset(d, 0, sizeof(d));
	for (i = 0; i < 3; i++) {
		d[i].collection = i == 2 ? "household_poverty" : "target";
		d[i].key = i == 2 ? WORLD_UNIT "/HN00975" : WORLD_UNIT "/2025/ty_le_ho_ngheo";
		d[i].is_delete = i != 1;
	}
	feed_init(&feed, &f->node, WORLD_UNIT, LT_LANE_NORMAL, 1);
	ok(lt_admit_judge(seal(f, &feed, d, 3), cat, f->reg, &f->province, &f->arena, &j));
	assert_int_equal(j.nrefused, 2);
	for (i = 0; i < 2; i++) {
		assert_int_equal(j.refused[i]->index, i);
		assert_int_equal(j.refused[i]->reason, LTPB__REASON_CODE__REASON_AUTHORITY);
	}
	lt_catalogue_unref(cat);
}

/* Of one change-set each change stands or falls alone, with its reason. */
static void
judged_alone(void **state)
{
	struct fix *f = *state;
	struct lt_judgement j = { 0 };
	struct lt_changeset *cs;
	struct lt_draft d[7];
	struct feed feed;
	Ltpb__ReasonCode reason;

	d[0] = thing(f, "17254/1");
	d[1] = world_draft(&f->arena, "thing", "17254/1", fs_text(&f->arena, "b", "3"), NULL);
	d[2] = world_draft(&f->arena, "no_such", "17254/1", fs_text(&f->arena, "a", "3"), NULL);
	d[3] = world_draft(&f->arena, "thing", "16906/1", fs_text(&f->arena, "a", "x"), NULL);
	d[4] =
	    world_draft(&f->arena, "thing", "17254/2", fs_text(&f->arena, "f", "of the hub"), NULL);
	d[5] = thing(f, "17254/3");
	d[5].personal[0] = fs_int(&f->arena, "p", 4);
	d[6] = thing(f, "17254/4");
	feed_init(&feed, &f->node, WORLD_UNIT, LT_LANE_NORMAL, 1);
	cs = seal(f, &feed, d, 7);
	ok(lt_admit_judge(cs, f->cat, f->reg, &f->province, &f->arena, &j));
	assert_int_equal(j.nrefused, 5);
	assert_false(lt_judgement_refuses(&j, 0, NULL));
	assert_true(lt_judgement_refuses(&j, 1, &reason));
	assert_int_equal(reason, LTPB__REASON_CODE__REASON_WRONG_TYPE);
	assert_true(lt_judgement_refuses(&j, 2, &reason));
	assert_int_equal(reason, LTPB__REASON_CODE__REASON_UNKNOWN_COLLECTION);
	assert_true(lt_judgement_refuses(&j, 3, NULL));
	assert_true(lt_judgement_refuses(&j, 4, &reason));
	assert_int_equal(reason, LTPB__REASON_CODE__REASON_AUTHORITY);
	assert_true(lt_judgement_refuses(&j, 5, &reason));
	assert_int_equal(reason, LTPB__REASON_CODE__REASON_WRONG_TYPE);
	assert_false(lt_judgement_refuses(&j, 6, NULL));
	assert_int_equal(j.refused[0]->seq, 1);
	/* The catalogue must be the one that the change-set names. */
	assert_int_equal(
	    lt_admit_judge(cs, f->builtin, f->reg, &f->province, &f->arena, &j), LT_E_UNKNOWN);
	/* Another lane: every change falls. */
	feed_init(&feed, &f->node, WORLD_UNIT, LT_LANE_BULK, 1);
	memset(&j, 0, sizeof(j));
	ok(lt_admit_judge(seal(f, &feed, d, 1), f->cat, f->reg, &f->province, &f->arena, &j));
	assert_int_equal(j.nrefused, 1);
	assert_int_equal(j.refused[0]->reason, LTPB__REASON_CODE__REASON_LANE);
	/* What the hub signed was validated before. */
	feed_init(&feed, &f->hub, WORLD_UNIT, LT_LANE_NORMAL, 1);
	memset(&j, 0, sizeof(j));
	ok(lt_admit_judge(seal(f, &feed, d, 7), f->cat, f->reg, &f->province, &f->arena, &j));
	assert_int_equal(j.nrefused, 0);
}

static struct lt_draft
with_context(struct fix *f, const struct feed *of, uint64_t seq, uint64_t hash8)
{
	struct lt_draft d = thing(f, "17254/1");
	struct lt_context *c = lt_arena_alloc(&f->arena, 2 * sizeof(*c));

	c[0].feed = of->id;
	c[0].seq = seq;
	c[0].hash8 = hash8;
	d.context = c;
	d.ncontext = 1;
	return d;
}

/* Named and here; named and wrong; named and not here yet. */
static void
contexts(void **state)
{
	struct fix *f = *state;
	struct feed other, unknown, feed;
	struct lt_draft d[7], plain = thing(f, "17254/1");
	struct lt_changeset *cs[3], *judged;
	struct lt_judgement j = { 0 };
	enum lt_context_answer answer;
	Ltpb__ReasonCode reason;
	struct lt_context *two;
	uint64_t position, h[3];
	size_t i, missing = 99;

	feed_init(&other, &f->hub, WORLD_UNIT, LT_LANE_NORMAL, 1);
	feed_init(&unknown, &f->hub, WORLD_UNIT, LT_LANE_NORMAL, 2);
	for (i = 0; i < 3; i++) {
		cs[i] = seal(f, &other, &plain, 1);
		h[i] = lt_load_u64(cs[i]->hash.b);
		if (i < 2)
			ok(lt_feed_log_append(f->txn, cs[i], 1, &position));
	}
	d[0] = with_context(f, &other, 1, h[0]);
	d[1] = with_context(f, &other, 2, h[1]);
	d[2] = with_context(f, &other, 2, h[1] ^ 1);
	d[3] = with_context(f, &other, 1, h[1]);
	d[4] = with_context(f, &other, 3, h[2]);
	d[5] = with_context(f, &unknown, 1, h[0]);
	d[6] = with_context(f, &unknown, 1, h[0]); /* missing and wrong: wrong */
	two = (struct lt_context *)d[6].context;
	two[1].feed = other.id;
	two[1].seq = 1;
	two[1].hash8 = 0;
	d[6].ncontext = 2;
	feed_init(&feed, &f->node, WORLD_UNIT, LT_LANE_NORMAL, 1);
	judged = seal(f, &feed, d, 7);
	ok(lt_admit_contexts(f->txn, judged, &f->arena, &j));
	assert_int_equal(j.nrefused, 3);
	assert_true(lt_judgement_refuses(&j, 2, &reason));
	assert_int_equal(reason, LTPB__REASON_CODE__REASON_BAD_CONTEXT);
	assert_true(lt_judgement_refuses(&j, 3, NULL));
	assert_true(lt_judgement_refuses(&j, 6, NULL));
	assert_int_equal(j.nheld, 2);
	assert_true(lt_judgement_holds(&j, 4));
	assert_true(lt_judgement_holds(&j, 5));
	ok(lt_admit_context(f->txn, &judged->unit, &judged->change[5], &answer, &missing));
	assert_int_equal(answer, LT_CONTEXT_MISSING);
	assert_int_equal(missing, 0);
	/* What is refused already is not looked at; the order by index stays. */
	memset(&j, 0, sizeof(j));
	{
		Ltpb__RefusedDot r0 = LTPB__REFUSED_DOT__INIT, r4 = LTPB__REFUSED_DOT__INIT,
				 *r[2] = { &r0, &r4 };

		r4.index = 4;
		j.refused = r;
		j.nrefused = 2;
		ok(lt_admit_contexts(f->txn, judged, &f->arena, &j));
		assert_int_equal(j.nrefused, 5);
		for (i = 1; i < 5; i++)
			assert_true(j.refused[i - 1]->index < j.refused[i]->index);
		assert_int_equal(j.nheld, 1);
	}
	/* It comes, and with it the answer. */
	ok(lt_feed_log_append(f->txn, cs[2], 1, &position));
	ok(lt_admit_context(f->txn, &judged->unit, &judged->change[4], &answer, &missing));
	assert_int_equal(answer, LT_CONTEXT_HERE);
	/* The same feed id in another unit is not this feed. */
	ok(lt_admit_context(f->txn, &f->province, &judged->change[0], &answer, &missing));
	assert_int_equal(answer, LT_CONTEXT_MISSING);
}

static void
clamps(void **state)
{
	const uint64_t floor = LT_STAMP(LT_BUILD_FLOOR_MS, 0), now = LT_STAMP(NOW_MS, 0xffff);
	const struct {
		uint64_t stamp, hub_stamp, last;
		int64_t arrival;
		bool clamped;
		uint64_t effective;
	} row[] = {
		{ floor, 0, 0, NOW_MS, false, floor },
		{ floor - 1, 0, 0, NOW_MS, true, floor },
		{ 0, 0, 0, NOW_MS, true, floor }, /* a dead clock */
		{ now, 0, 0, NOW_MS, false, now },
		{ now + 1, 0, 0, NOW_MS, true, now },
		{ UINT64_MAX, 0, 0, NOW_MS, true, now },
		{ floor + 5, floor + 6, 0, NOW_MS, true, floor + 6 },
		{ floor + 6, floor + 6, 0, NOW_MS, false, floor + 6 },
		{ floor + 5, floor + 6, floor + 7, NOW_MS, true, floor + 7 },
		{ floor + 5, UINT64_MAX, 0, NOW_MS, true, now }, /* never above the ceiling */
		{ floor + 5, 0, UINT64_MAX, NOW_MS, true, now },
		{ 9, 0, 0, -1, true,
		    0xffff }, /* the hub's own clock is dead: its ceiling is all there is */
		{ floor, 0, 0, INT64_MAX, false, floor },
	};
	struct lt_changeset cs;
	struct lt_judgement j;
	size_t i;

	(void)state;
	memset(&cs, 0, sizeof(cs));
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		memset(&j, 0, sizeof(j));
		cs.stamp = row[i].stamp;
		cs.hub_stamp = row[i].hub_stamp;
		lt_admit_clamp(&cs, row[i].arrival, row[i].last, &j);
		assert_int_equal(j.clamped, row[i].clamped);
		assert_true(lt_judgement_stamp(&j, row[i].stamp) == row[i].effective);
	}
}

static void
revoke(struct fix *f, const char *behind, int64_t key_no, const struct lt_changeset *last)
{
	Ltpb__CutOff m = LTPB__CUT_OFF__INIT;
	Ltpb__FeedHead head = LTPB__FEED_HEAD__INIT, *heads[1] = { &head };
	char key[64];
	struct lt_draft d;
	uint8_t bytes[256];

	head.unit = (char *)last->unit.s;
	head.feed.data = (uint8_t *)last->feed.b;
	head.feed.len = LT_FEED_LEN;
	head.seq = last->seq;
	head.hash.data = (uint8_t *)last->hash.b;
	head.hash.len = LT_HASH_LEN;
	m.feed = heads;
	m.n_feed = 1;
	lt_hex(key, f->node.id.b, LT_ID_LEN);
	(void)snprintf(key + 2 * LT_ID_LEN, sizeof(key) - 2 * LT_ID_LEN, "%s", behind);
	d = world_draft(&f->arena, "_revocation", key, fs_int(&f->arena, "key_no", key_no),
	    fs_enum(&f->arena, "reason", "stolen"),
	    fs_bytes(&f->arena, "cutoff", bytes, ltpb__cut_off__pack(&m, bytes)), NULL);
	world_publish(f->txn, &f->hub_feed, f->builtin, &d, 1, &f->arena);
	load(f);
}

/* Before the cut, at it, at it with another hash, and after it; new and admitted before alike. What was signed before it verifies
 * for ever. */
static void
cut_off(void **state)
{
	struct fix *f = *state;
	struct lt_draft d = thing(f, "17254/1"), e = thing(f, "17254/2");
	struct lt_changeset *cs[3], *forged, *other;
	struct feed feed, copy, second;
	size_t i;

	feed_init(&feed, &f->node, WORLD_UNIT, LT_LANE_NORMAL, 1);
	feed_init(&second, &f->node, WORLD_UNIT, LT_LANE_NORMAL, 2);
	cs[0] = seal(f, &feed, &d, 1);
	copy = feed;
	cs[1] = seal(f, &feed, &d, 1);
	cs[2] = seal(f, &feed, &d, 1);
	forged = seal(f, &copy, &e, 1); /* number 2 once more, by who has the key */
	other = seal(f, &second, &d, 1);
	assert_int_equal(forged->seq, 2);
	revoke(f, "/1", 2, cs[0]); /* another key: nothing to do with these */
	for (i = 0; i < 3; i++)
		ok(signed_as(f, cs[i], true));
	revoke(f, "/2", 1, cs[1]);
	for (i = 0; i < 2; i++) {
		ok(signed_as(f, cs[0], i == 0));
		ok(signed_as(f, cs[1], i == 0));
		assert_int_equal(signed_as(f, forged, i == 0), LT_E_REVOKED);
		assert_int_equal(signed_as(f, cs[2], i == 0), LT_E_REVOKED);
		assert_int_equal(signed_as(f, other, i == 0), LT_E_REVOKED);
	}
	/* All keys: the same, and its signature is asked for as ever. */
	revoke(f, "/3", 0, cs[1]);
	for (i = 0; i < 2; i++) {
		ok(signed_as(f, cs[0], i == 0));
		ok(signed_as(f, cs[1], i == 0));
		assert_int_equal(signed_as(f, cs[2], i == 0), LT_E_REVOKED);
	}
	((uint8_t *)(uintptr_t)cs[0]->signature.data)[5] ^= 1;
	assert_int_equal(signed_as(f, cs[0], false), LT_E_BADSIG);
	((uint8_t *)(uintptr_t)cs[0]->signature.data)[5] ^= 1;
	/* What the registry said of state and key before comes to nothing beside it. */
	enrol(f, &f->node, "node", WORLD_UNIT, "active", "active");
	load(f);
	assert_int_equal(signed_as(f, cs[2], true), LT_E_REVOKED);
	assert_int_equal(signed_as(f, cs[2], false), LT_E_REVOKED);
	ok(signed_as(f, cs[1], false));
}

/* Suspended besides: what the cut-off of an old key covers waits with the rest. */
static void
cut_off_suspended(void **state)
{
	struct fix *f = *state;
	struct lt_draft d = thing(f, "17254/1");
	struct lt_changeset *cs;
	struct feed feed;

	feed_init(&feed, &f->node, WORLD_UNIT, LT_LANE_NORMAL, 1);
	cs = seal(f, &feed, &d, 1);
	revoke(f, "/1", 1, cs);
	ok(signed_as(f, cs, true));
	enrol(f, &f->node, "node", WORLD_UNIT, "suspended", "active");
	load(f);
	assert_int_equal(signed_as(f, cs, true), LT_E_DENIED);
	ok(signed_as(f, cs, false));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(author_states, setup, teardown),
		cmocka_unit_test_setup_teardown(cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(cut_off_suspended, setup, teardown),
		cmocka_unit_test_setup_teardown(who_signs_what, setup, teardown),
		cmocka_unit_test_setup_teardown(judged_by_writers, setup, teardown),
		cmocka_unit_test_setup_teardown(judged_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(contexts, setup, teardown),
		cmocka_unit_test(clamps),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("store.admit", tests, NULL, NULL);
}
