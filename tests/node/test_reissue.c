/* What only a branch has that does not count is written again: what of it, when, once, and when not. A node by hand: its own feed with a
 * second branch, the hub's feed beside it. */
#include "../store/world.h"
#include "node/node_impl.h"
#include "proto/base/simbug.h"
#include "proto/base/wire.h"
#include "proto/store/erase.h"
#include "proto/store/kv_test.h"
#include "proto/store/ruling.h"
#include "proto/store/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR INT64_C(3600000)
#define SECRET "Nguyễn Văn Mẫu"

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author hub, own;
	struct feed down; /* of the hub */
	struct feed right; /* the branch of the own feed that counts */
	struct lt_catalogue *cat;
	struct lt_registry *reg;
	struct lt_identity identity;
	struct lt_clock clock;
	int64_t now_ms;
	struct lt_feed_id feed; /* with two branches */
	struct lt_head common; /* the last of both */
	struct lt_node node;
};

static int64_t
wall(void *ctx)
{
	return ((struct fix *)ctx)->now_ms;
}

static void
random_bytes(void *ctx, void *buf, size_t len)
{
	static uint8_t n;

	(void)ctx;
	memset(buf, ++n, len);
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	static const uint8_t line[32] = { 1 };
	struct lt_writer_options wo = { .manual = true };
	struct lt_principal_key key;
	struct lt_principal p;
	struct lt_kv_txn *txn;

	env_open(&f->env, false);
	lt_arena_init(&f->arena, (size_t)256 << 20);
	author_init(&f->hub, 1);
	author_init(&f->own, 2);
	f->now_ms = LT_BUILD_FLOOR_MS + HOUR;
	f->clock = (struct lt_clock){ wall, wall, f };
	feed_init(&f->down, &f->hub, WORLD_UNIT, LT_LANE_NORMAL, 1);
	f->cat = world_catalogue();
	lt_principal_of_hub(&p, &key, f->hub.id.b, 1, line, line);
	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_registry_load(txn, &p, 1, &f->reg, NULL));
	lt_kv_abort(txn);
	ok(lt_unit_set(&f->identity.unit, lt_slice_str(WORLD_UNIT)));
	ok(lt_unit_set(&f->node.province, lt_slice_str(WORLD_PROVINCE)));
	f->node.identity = &f->identity;
	f->node.clock = &f->clock;
	f->node.kv = f->env.kv;
	f->node.author = (struct lt_author){ .federation = world_fed(),
		.id = f->own.id,
		.key_no = 1,
		.key = &f->own.key,
		.clock = &f->clock,
		.random = random_bytes };
	f->node.registry = f->reg;
	f->node.catalogue = f->cat;
	(void)pthread_mutex_init(&f->node.mx, NULL);
	(void)pthread_mutex_init(&f->node.moved_mx, NULL);
	ok(lt_writer_start(f->env.kv, &wo, &f->node.writer));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_writer_stop(f->node.writer);
	(void)pthread_mutex_destroy(&f->node.mx);
	(void)pthread_mutex_destroy(&f->node.moved_mx);
	lt_registry_unref(f->reg);
	lt_catalogue_unref(f->cat);
	env_close(&f->env);
	lt_arena_fini(&f->arena);
	free(f);
	return 0;
}

/* ---- steps of a story; an hour passes with each ---- */

static const char *
key_of(struct fix *f, unsigned no)
{
	char *key = lt_arena_alloc(&f->arena, 32);

	(void)snprintf(key, 32, WORLD_UNIT "/%u", no);
	return key;
}

/* A clerk saves a record; set up to NULL. */
static void
save(struct fix *f, unsigned no, Ltpb__FieldSet *a, Ltpb__FieldSet *b, const char *actor)
{
	Ltpb__FieldSet *set[2] = { a, b };
	struct lt_write w = { .collection = "thing",
		.key = key_of(f, no),
		.set = set,
		.nset = (size_t)(a != NULL) + (b != NULL),
		.actor = actor,
		.writer = LT_WRITER_COMMUNE };

	f->now_ms += HOUR;
	ok(lt_node_write(&f->node, &w, 1, NULL, NULL, &f->arena, NULL));
	ok(w.rc);
	assert_false(w.unchanged);
	f->feed = w.dot.feed;
}

static void delete (struct fix *f, unsigned no)
{
	struct lt_write w = { .collection = "thing",
		.key = key_of(f, no),
		.is_delete = true,
		.writer = LT_WRITER_COMMUNE };

	f->now_ms += HOUR;
	ok(lt_node_write(&f->node, &w, 1, NULL, NULL, &f->arena, NULL));
	ok(w.rc);
}

static struct lt_changeset
sealed(struct fix *f, struct feed *feed, const struct lt_draft *d, size_t n)
{
	struct lt_buf bytes = { 0 };
	struct lt_changeset cs;
	uint8_t *kept;

	f->now_ms += HOUR;
	feed_seal(feed, LT_STAMP(f->now_ms, 0), d, n, &bytes);
	kept = lt_arena_dup(&f->arena, bytes.data, bytes.len);
	ok(lt_changeset_parse(lt_slice(kept, bytes.len), &f->arena, &cs, NULL));
	lt_buf_fini(&bytes);
	return cs;
}

static struct lt_changeset
comes(struct fix *f, struct feed *feed, const struct lt_draft *d, size_t n)
{
	struct lt_changeset cs = sealed(f, feed, d, n);
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_node_apply_in(&f->node, txn, &cs, f->cat, f->reg, &f->arena, NULL));
	ok(lt_kv_commit(txn));
	/* As after a commit of the writer. */
	if (f->node.aside_came)
		f->node.aside = true;
	f->node.aside_came = false;
	return cs;
}

enum word { TAKEN, REFUSED, HELD, SETTLED, REFUSED_THEN };

/* The hub judges up to this change-set, or settles what it held of it; the word is of its first change. */
static void
judged_as(struct fix *f, const struct lt_changeset *cs, enum word word)
{
	Ltpb__RefusedDot dot = LTPB__REFUSED_DOT__INIT, *dots = &dot;
	Ltpb__HeldDot held = LTPB__HELD_DOT__INIT, *helds = &held;
	Ltpb__Verdict v = LTPB__VERDICT__INIT;
	struct lt_kv_txn *txn;
	struct lt_head head;
	struct lt_draft d;
	uint8_t *bytes;
	size_t len;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_feed_log_head(txn, &cs->unit, &cs->feed, &head));
	lt_kv_abort(txn);
	dot.seq = cs->seq;
	dot.reason = LTPB__REASON_CODE__REASON_ENUM;
	v.feed.data = (uint8_t *)cs->feed.b;
	v.feed.len = LT_FEED_LEN;
	v.from = head.judged + 1;
	v.to = cs->seq;
	v.to_hash.data = (uint8_t *)cs->hash.b;
	v.to_hash.len = LT_HASH_LEN;
	held.seq = cs->seq;
	v.settling = word == SETTLED || word == REFUSED_THEN;
	if (v.settling)
		v.from = cs->seq;
	v.n_refused = word == REFUSED || word == REFUSED_THEN;
	v.refused = &dots;
	v.n_held = word == HELD;
	v.n_settled = word == SETTLED;
	v.held = v.settled = &helds;
	len = protobuf_c_message_get_packed_size(&v.base);
	bytes = lt_arena_alloc(&f->arena, len);
	(void)protobuf_c_message_pack(&v.base, bytes);
	d = world_draft(
	    &f->arena, "_verdict", "v", fs_bytes(&f->arena, "verdict", bytes, len), NULL);
	(void)comes(f, &f->down, &d, 1);
}

static void
judged(struct fix *f, const struct lt_changeset *cs, bool refused)
{
	judged_as(f, cs, refused ? REFUSED : TAKEN);
}

/* What was saved up to now both branches have. */
static void
branch_here(struct fix *f)
{
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_feed_log_head(txn, &f->identity.unit, &f->feed, &f->common));
	lt_kv_abort(txn);
	feed_init(&f->right, &f->own, WORLD_UNIT, LT_LANE_NORMAL, lt_feed_epoch(&f->feed));
	f->right.seq = f->common.seq;
	f->right.hash = f->common.hash;
}

/* The hub's change to a record, by somebody who had seen what both branches have. */
static struct lt_draft
theirs(struct fix *f, unsigned no, Ltpb__FieldSet *fs)
{
	struct lt_context *c = lt_arena_alloc(&f->arena, sizeof(*c));
	struct lt_draft d = world_draft(&f->arena, "thing", key_of(f, no), fs, NULL);

	*c = (struct lt_context){ f->feed, f->common.seq, lt_load_u64(f->common.hash.b) };
	d.context = c;
	d.ncontext = 1;
	return d;
}

/* The branch that counts comes down: one other record, judged. */
static struct lt_changeset
right_comes(struct fix *f)
{
	struct lt_draft d = world_draft(
	    &f->arena, "thing", key_of(f, 9999), fs_text(&f->arena, "a", "right"), NULL);
	struct lt_changeset cs = comes(f, &f->right, &d, 1);

	assert_true(f->node.aside);
	return cs;
}

static void
rule(struct fix *f)
{
	struct lt_feed_id aside = lt_feed_aside(&f->feed);
	struct lt_ruling r = { .unit = f->identity.unit,
		.feed = f->feed,
		.seq = f->common.seq + 1,
		.nkey = 1,
		.key = { { .no = 1 } } };
	struct lt_kv_txn *txn;
	bool again;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_feed_log_hash(txn, &r.unit, &r.feed, r.seq, &r.counts));
	ok(lt_feed_log_hash(txn, &r.unit, &aside, r.seq, &r.other));
	ok(lt_ruling_put(txn, &r, &again));
	ok(lt_kv_commit(txn));
	f->node.aside = true;
}

/* All of that, and the attempt. */
static void
fork_and_reissue(struct fix *f)
{
	struct lt_changeset cs = right_comes(f);

	judged(f, &cs, false);
	rule(f);
	ok(lt_node_reissue(&f->node));
}

/* ---- what came of it ---- */

struct made {
	size_t n; /* changes that name an origin */
	struct lt_origin origin; /* of the last */
	struct lt_change change;
	char actor[32];
};

static void
read_actor(struct lt_kv_txn *txn, struct fix *f, uint64_t position, uint32_t index, char out[32])
{
	ProtobufCMessage *m;
	struct lt_slice fs;

	out[0] = '\0';
	if (lt_opening_get(txn, position, index, LT_ACTOR_FIELD, &f->arena, &fs, NULL, NULL) !=
	    LT_OK)
		return;
	ok(lt_wire_unpack(&ltpb__field_set__descriptor, fs, LT_MESSAGE_MAX, &f->arena, &m, NULL));
	(void)snprintf(out, 32, "%s", ((Ltpb__FieldSet *)m)->value->text);
}

static struct made
made(struct fix *f)
{
	struct made m = { 0 };
	struct lt_kv_txn *txn;
	uint64_t at, last;
	uint32_t i;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_feed_log_last(txn, &last));
	for (at = 1; at <= last; at++) {
		struct lt_changeset cs;
		struct lt_entry e;
		uint8_t *copy;

		ok(lt_feed_log_read(txn, at, &e));
		copy = lt_arena_dup(&f->arena, e.changeset.data, e.changeset.len);
		ok(lt_changeset_parse(lt_slice(copy, e.changeset.len), &f->arena, &cs, NULL));
		for (i = 0; i < cs.nchange; i++) {
			if (!lt_change_origin(&cs.change[i], &m.origin))
				continue;
			m.n++;
			m.change = cs.change[i];
			read_actor(txn, f, at, i, m.actor);
		}
	}
	lt_kv_abort(txn);
	return m;
}

static bool
stands(struct fix *f, unsigned no)
{
	struct lt_kv_txn *txn;
	bool aside;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_record_aside(txn, "thing", WORLD_UNIT, key_of(f, no), &aside));
	lt_kv_abort(txn);
	return aside;
}

/* "-": the record is not there, or shows no value for it. */
static const char *
shows(struct fix *f, unsigned no, const char *field)
{
	const char *text = "-";
	struct lt_kv_txn *txn;
	Ltpb__Record *r;
	size_t i;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	if (lt_record_get(txn, "thing", WORLD_UNIT, key_of(f, no), &f->arena, &r) == LT_OK)
		for (i = 0; i < r->n_field; i++)
			if (strcmp(r->field[i]->name, field) == 0 && r->field[i]->value != NULL)
				text = r->field[i]->value->v_case == LTPB__VALUE__V_ENUMERATION
					   ? r->field[i]->value->enumeration
					   : r->field[i]->value->text;
	lt_kv_abort(txn);
	return text;
}

/* Of a change-set aside. */
static uint64_t
aside_hash8(struct fix *f, uint64_t behind)
{
	struct lt_feed_id aside = lt_feed_aside(&f->feed);
	struct lt_kv_txn *txn;
	struct lt_hash h;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_feed_log_hash(txn, &f->identity.unit, &aside, f->common.seq + behind, &h));
	lt_kv_abort(txn);
	return lt_load_u64(h.b);
}

static void
is_origin(struct fix *f, const struct made *m, uint64_t behind, uint32_t index)
{
	assert_int_equal(lt_feed_id_cmp(&m->origin.dot.feed, &f->feed), 0);
	assert_int_equal(m->origin.dot.seq, f->common.seq + behind);
	assert_int_equal(m->origin.dot.index, index);
	assert_true(m->origin.hash8 == aside_hash8(f, behind));
}

/* ---- the tests ---- */

static void
only_here(void **state)
{
	struct fix *f = *state;
	struct made m;

	save(f, 1, fs_text(&f->arena, "a", "old"), fs_text(&f->arena, "p", SECRET), NULL);
	branch_here(f);
	save(f, 2, fs_text(&f->arena, "a", "new"), fs_text(&f->arena, "p", SECRET), "clerk");
	save(f, 1, fs_text(&f->arena, "a", "newer"), NULL, "chief");
	fork_and_reissue(f);
	m = made(f);
	assert_int_equal(m.n, 2);
	assert_false(stands(f, 1));
	assert_false(stands(f, 2));
	assert_string_equal(shows(f, 1, "a"), "newer");
	assert_string_equal(shows(f, 1, "p"), SECRET);
	assert_string_equal(shows(f, 2, "p"), SECRET);
	/* In the order of the records: the last is the new one, with its opening under a root of its own. */
	is_origin(f, &m, 1, 0);
	assert_string_equal(m.actor, "clerk");
	assert_int_equal(m.change.nset, 1);
	assert_int_equal(m.change.npersonal, 2); /* p, _actor */
	/* Once: also when it is looked for again. */
	f->node.aside = true;
	ok(lt_node_reissue(&f->node));
	assert_int_equal(made(f).n, 2);
}

/* Nothing before the hub has ruled, and nothing before its verdicts on what came down are here. */
static void
in_time(void **state)
{
	struct fix *f = *state;
	struct lt_changeset cs;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	save(f, 2, fs_text(&f->arena, "a", "new"), NULL, NULL);
	cs = right_comes(f);
	ok(lt_node_reissue(&f->node));
	rule(f);
	ok(lt_node_reissue(&f->node));
	assert_int_equal(made(f).n, 0);
	assert_true(stands(f, 2));
	judged(f, &cs, false);
	ok(lt_node_reissue(&f->node));
	assert_int_equal(made(f).n, 1);
	assert_false(stands(f, 2));
}

static void
not_ruled(void **state)
{
	struct fix *f = *state;
	struct lt_changeset cs;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	save(f, 2, fs_text(&f->arena, "a", "new"), NULL, NULL);
	cs = right_comes(f);
	judged(f, &cs, false);
	ok(lt_node_reissue(&f->node));
	assert_int_equal(made(f).n, 0);
	assert_true(stands(f, 2));
	rule(f);
	ok(lt_node_reissue(&f->node));
	assert_int_equal(made(f).n, 1);
}

/* One that an older self, or a copy, made in another epoch, and that says something else. */
static struct lt_changeset
older_self(struct fix *f, unsigned no, const struct lt_origin *origin)
{
	struct lt_draft d =
	    world_draft(&f->arena, "thing", key_of(f, no), fs_enum(&f->arena, "e", "red"), NULL);
	struct feed other;

	d.origin = origin;
	feed_init(&other, &f->own, WORLD_UNIT, LT_LANE_NORMAL, 77);
	return comes(f, &other, &d, 1);
}

static void
by_an_older_self(void **state)
{
	static const struct {
		const char *descr;
		unsigned index_off, seq_off, hash_off;
		bool refused;
		size_t made;
	} cases[] = {
		{ "the same origin", 0, 0, 0, false, 1 },
		{ "another change", 1, 0, 0, false, 2 },
		{ "another change-set", 0, 1, 0, false, 2 },
		{ "the same place of another branch", 0, 0, 1, false, 2 },
		{ "the same, refused by the hub", 0, 0, 0, true, 2 },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lt_changeset cs;
		struct fix *f = *state;

		print_message("%s\n", cases[i].descr);
		if (i != 0) {
			(void)teardown(state);
			(void)setup(state);
			f = *state;
		}
		save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
		branch_here(f);
		save(f, 2, fs_text(&f->arena, "a", "new"), NULL, NULL);
		{
			struct lt_changeset right = right_comes(f);

			judged(f, &right, false);
		}
		cs = older_self(f, 2,
		    &(struct lt_origin){
			{ f->feed, f->common.seq + 1 + cases[i].seq_off, cases[i].index_off },
			aside_hash8(f, 1) + cases[i].hash_off });
		rule(f);
		/* Not known yet what became of it. */
		ok(lt_node_reissue(&f->node));
		assert_int_equal(made(f).n, 1);
		assert_true(stands(f, 2));
		judged(f, &cs, cases[i].refused);
		ok(lt_node_reissue(&f->node));
		assert_int_equal(made(f).n, cases[i].made);
		assert_false(stands(f, 2));
		assert_string_equal(shows(f, 2, "a"), cases[i].made == 1 ? "-" : "new");
	}
}

/* The older self's is held: what it is of stays as it is until the hub has decided, and is looked at again by itself then. */
static void
held_for_now(void **state)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		struct lt_changeset cs, right;
		struct fix *f;

		if (i != 0) {
			(void)teardown(state);
			(void)setup(state);
		}
		f = *state;
		save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
		branch_here(f);
		save(f, 2, fs_text(&f->arena, "a", "new"), NULL, NULL);
		right = right_comes(f);
		judged(f, &right, false);
		cs = older_self(f, 2,
		    &(struct lt_origin){ { f->feed, f->common.seq + 1, 0 }, aside_hash8(f, 1) });
		rule(f);
		judged_as(f, &cs, HELD);
		ok(lt_node_reissue(&f->node));
		assert_int_equal(made(f).n, 1);
		assert_true(stands(f, 2));
		assert_false(f->node.aside);
		judged_as(f, &cs, i == 0 ? SETTLED : REFUSED_THEN);
		ok(lt_node_reissue(&f->node));
		assert_int_equal(made(f).n, i == 0 ? 1 : 2);
		assert_false(stands(f, 2));
	}
}

/* While there is something to wait for it is not forgotten that there is something to do; and tables that are being put right do not show
 * all. */
static void
not_forgotten(void **state)
{
	struct fix *f = *state;
	struct lt_changeset cs;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	save(f, 2, fs_text(&f->arena, "a", "new"), NULL, NULL);
	cs = right_comes(f);
	rule(f);
	ok(lt_node_reissue(&f->node));
	assert_true(f->node.aside);
	judged(f, &cs, false);
	f->node.mending = true;
	ok(lt_node_reissue(&f->node));
	assert_true(f->node.aside);
	assert_int_equal(made(f).n, 0);
	assert_true(stands(f, 2));
	f->node.mending = false;
	ok(lt_node_reissue(&f->node));
	assert_false(f->node.aside);
	assert_int_equal(made(f).n, 1);
}

/* What others of the unit wrote is waited for, as it may be later than the branch; but not for ever. */
static void
others_first(void **state)
{
	static const struct {
		const char *descr;
		bool judged; /* in time */
		size_t made;
		const char *shows;
	} cases[] = {
		{ "the hub's word comes", true, 0, "later" },
		{ "it does not", false, 1, "mine" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lt_changeset right, cs;
		struct author colleague;
		struct feed theirs_up;
		struct lt_draft d;
		struct fix *f;

		print_message("%s\n", cases[i].descr);
		if (i != 0) {
			(void)teardown(state);
			(void)setup(state);
		}
		f = *state;
		author_init(&colleague, 3);
		feed_init(&theirs_up, &colleague, WORLD_UNIT, LT_LANE_NORMAL, 1);
		save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
		branch_here(f);
		save(f, 1, fs_text(&f->arena, "a", "mine"), NULL, NULL);
		right = right_comes(f);
		judged(f, &right, false);
		d = theirs(f, 1, fs_text(&f->arena, "a", "later"));
		cs = comes(f, &theirs_up, &d, 1);
		rule(f);
		ok(lt_node_reissue(&f->node));
		assert_int_equal(made(f).n, 0);
		assert_true(stands(f, 1));
		if (cases[i].judged)
			judged(f, &cs, false);
		else
			f->now_ms += LT_REISSUE_WAIT_MS - 1;
		ok(lt_node_reissue(&f->node));
		assert_int_equal(made(f).n, 0);
		assert_int_equal(stands(f, 1), !cases[i].judged);
		f->now_ms++;
		ok(lt_node_reissue(&f->node));
		assert_int_equal(made(f).n, cases[i].made);
		assert_false(stands(f, 1));
		assert_string_equal(shows(f, 1, "a"), cases[i].shows);
	}
}

/* Written a moment before the line came up: the hub's time of now tells it from one whose clock is ahead, kept or not since lately. */
static void
a_moment_ago(void **state)
{
	struct fix *f = *state;
	struct lt_changeset cs;
	int64_t now;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	save(f, 1, fs_text(&f->arena, "a", "mine"), NULL, NULL);
	now = f->now_ms;
	ok(lt_node_saw_hub_time(&f->node, now - 2000));
	f->now_ms =
	    now - 3 * HOUR / 2; /* nothing of the hub's is as late: sealed half an hour before */
	cs = right_comes(f);
	f->now_ms = now - 3 * HOUR / 2;
	judged(f, &cs, false);
	rule(f);
	f->now_ms = now;
	ok(lt_node_saw_hub_time(&f->node, now + 1000));
	ok(lt_node_reissue(&f->node));
	assert_false(stands(f, 1));
	assert_int_equal(made(f).n, 1);
}

/* A branch signed by a clock that is ahead does not go over what others wrote by itself; where nobody else wrote, nothing is in its way. */
static void
clock_ahead(void **state)
{
	struct fix *f = *state;
	struct lt_draft d;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	f->now_ms += 365 * 24 * HOUR;
	save(f, 1, fs_text(&f->arena, "a", "mine"), NULL, NULL);
	save(f, 2, fs_text(&f->arena, "a", "new"), NULL, NULL);
	f->now_ms -= 365 * 24 * HOUR;
	d = theirs(f, 1, fs_text(&f->arena, "a", "later"));
	(void)comes(f, &f->down, &d, 1);
	fork_and_reissue(f);
	assert_true(stands(f, 1));
	assert_false(stands(f, 2));
	assert_int_equal(made(f).n, 1);
}

/* The branches contradict each other where a person decides: in a field of policy review, and deleted there, edited here. */
static void
for_a_person(void **state)
{
	struct fix *f = *state;
	struct lt_changeset right;
	struct lt_draft d;

	save(f, 1, fs_enum(&f->arena, "e", "red"), NULL, NULL);
	save(f, 2, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	save(f, 1, fs_enum(&f->arena, "e", "blue"), NULL, NULL);
	save(f, 2, fs_text(&f->arena, "a", "mine"), NULL, NULL);
	right = right_comes(f);
	judged(f, &right, false);
	d = theirs(f, 1, fs_enum(&f->arena, "e", "green"));
	(void)comes(f, &f->down, &d, 1);
	d = theirs(f, 2, NULL);
	d.is_delete = true;
	(void)comes(f, &f->down, &d, 1);
	rule(f);
	ok(lt_node_reissue(&f->node));
	assert_int_equal(made(f).n, 0);
	assert_true(stands(f, 1));
	assert_true(stands(f, 2));
	/* Who saves it says of what, so that no copy of this machine asks again. */
	save(f, 2, fs_text(&f->arena, "a", "decided"), NULL, NULL);
	assert_false(stands(f, 2));
	assert_true(stands(f, 1));
	assert_int_equal(made(f).n, 1);
}

/* Others left a conflict in a field that the branch says nothing of: it is not settled by the way. */
static void
conflict_of_others(void **state)
{
	struct fix *f = *state;
	struct lt_draft d;

	save(f, 1, fs_enum(&f->arena, "e", "red"), NULL, NULL);
	branch_here(f);
	save(f, 1, fs_text(&f->arena, "a", "mine"), NULL, NULL);
	/* Written by who had not seen red. */
	d = world_draft(&f->arena, "thing", key_of(f, 1), fs_enum(&f->arena, "e", "green"), NULL);
	(void)comes(f, &f->down, &d, 1);
	fork_and_reissue(f);
	assert_int_equal(made(f).n, 0);
	assert_true(stands(f, 1));
	/* Neither by a person who saves something else. */
	save(f, 1, fs_text(&f->arena, "a", "mine again"), NULL, NULL);
	assert_int_equal(made(f).n, 1);
	assert_int_equal(made(f).change.nset, 1);
	assert_false(stands(f, 1));
}

/* The name of what one change sets, where there is one and it sets one. */
static const char *
only_field(const struct made *m)
{
	return m->n == 1 && m->change.nset == 1 && m->change.set != NULL ? m->change.set[0].pb->name
									 : "none or several";
}

/* A field that the catalogue does not have does not keep the others. */
static void
field_gone(void **state)
{
	struct fix *f = *state;
	struct lt_draft d;
	struct made m;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	d = theirs(f, 1, fs_text(&f->arena, "zz_gone", "x"));
	(void)comes(f, &f->down, &d, 1);
	save(f, 1, fs_text(&f->arena, "a", "mine"), NULL, NULL);
	fork_and_reissue(f);
	m = made(f);
	assert_string_equal(only_field(&m), "a");
}

static void
deleted_here(void **state)
{
	struct fix *f = *state;
	struct made m;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	delete (f, 1);
	fork_and_reissue(f);
	m = made(f);
	assert_int_equal(m.n, 1);
	assert_true(m.change.is_delete);
	assert_string_equal(shows(f, 1, "a"), "-");
	assert_false(stands(f, 1));
}

/* Others said the same, or later: nothing is left to say. */
static void
nothing_left(void **state)
{
	struct fix *f = *state;
	struct lt_draft d;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	save(f, 1, fs_text(&f->arena, "a", "mine"), NULL, NULL);
	d = theirs(f, 1, fs_text(&f->arena, "a", "later"));
	(void)comes(f, &f->down, &d, 1);
	fork_and_reissue(f);
	assert_int_equal(made(f).n, 0);
	assert_false(stands(f, 1));
	assert_string_equal(shows(f, 1, "a"), "later");
}

/* Two machines made the same record of a collection of which none is changed: nobody's goes over the other's. */
static void
immutable(void **state)
{
	struct fix *f = *state;
	struct lt_draft d;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	d = theirs(f, 2, fs_text(&f->arena, "a", "theirs"));
	(void)comes(f, &f->down, &d, 1);
	save(f, 2, fs_text(&f->arena, "a", "mine"), NULL, NULL);
	save(f, 3, fs_text(&f->arena, "a", "mine"), NULL, NULL);
	((struct lt_collection *)lt_catalogue_find(f->cat, "thing"))->immutable = true;
	fork_and_reissue(f);
	assert_true(stands(f, 2));
	assert_false(stands(f, 3));
	assert_int_equal(made(f).n, 1);
}

/* What kept a check when it was written breaks it with what others wrote since. */
static void
breaks_check(void **state)
{
	static const char *b = "b", *c = "c";
	struct lt_check_sum rule = { 1, 1, &b, &c, "<=" }, *was;
	static const int64_t others[] = { 3, 4 };
	size_t i, nwas;

	for (i = 0; i < 2; i++) {
		struct lt_collection *thing;
		struct lt_draft d;
		struct fix *f;

		if (i != 0) {
			(void)teardown(state);
			(void)setup(state);
		}
		f = *state;
		thing = (struct lt_collection *)lt_catalogue_find(f->cat, "thing");
		was = thing->check;
		nwas = thing->ncheck;
		thing->check = &rule;
		thing->ncheck = 1;
		((struct lt_field *)lt_collection_field(thing, "c"))->rule.authority =
		    LT_AUTHORITY_ANY;
		save(f, 1, fs_int(&f->arena, "b", 1), fs_int(&f->arena, "c", 9), NULL);
		branch_here(f);
		save(f, 1, fs_int(&f->arena, "b", 4), NULL, NULL);
		d = theirs(f, 1, fs_int(&f->arena, "c", others[i]));
		(void)comes(f, &f->down, &d, 1);
		fork_and_reissue(f);
		thing->check = was;
		thing->ncheck = nwas;
		assert_int_equal(made(f).n, i);
		assert_int_equal(stands(f, 1), i == 0);
	}
}

/* Nor does what could not follow what the record has without it. */
static void
cannot_follow(void **state)
{
	static const char *red = "red";
	static struct lt_transition rule = { .from = "blue", .nto = 1, .to = &red };
	struct fix *f = *state;
	const struct lt_collection *thing = lt_catalogue_find(f->cat, "thing");
	struct lt_field *e = (struct lt_field *)lt_collection_field(thing, "e");
	struct lt_draft d;

	save(f, 1, fs_enum(&f->arena, "e", "red"), NULL, NULL);
	save(f, 2, fs_enum(&f->arena, "e", "red"), NULL, NULL);
	branch_here(f);
	d = theirs(f, 1, fs_enum(&f->arena, "e", "blue"));
	(void)comes(f, &f->down, &d, 1);
	save(f, 1, fs_enum(&f->arena, "e", "green"), NULL, NULL);
	save(f, 2, fs_enum(&f->arena, "e", "green"), NULL, NULL);
	e->transition = &rule;
	e->ntransition = 1;
	fork_and_reissue(f);
	e->transition = NULL;
	e->ntransition = 0;
	assert_true(stands(f, 1));
	assert_false(stands(f, 2));
	assert_int_equal(made(f).n, 1);
}

static void
erase_of(struct fix *f, const struct lt_dot *dot, const struct lt_hash *hash, const char *field)
{
	struct lt_erased e = { .feed = dot->feed,
		.seq = dot->seq,
		.index = dot->index,
		.hash8 = lt_load_u64(hash->b),
		.nfield = 1,
		.field = &field };
	struct lt_kv_txn *txn;
	uint64_t removed;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_erase(txn, &f->identity.unit, &e, 1, &removed));
	assert_int_equal(removed, 1);
	ok(lt_kv_commit(txn));
}

static void
erase_common(struct fix *f, unsigned index)
{
	erase_of(f, &(struct lt_dot){ f->feed, f->common.seq, index }, &f->common.hash, "p");
}

/* Of a set several values make up what is shown. Others' is the newest and was erased; the branch's is older, is shown no more, and is not
 * lost by that. */
static void
erased_of_several(void **state)
{
	static const char *const x[] = { "x", NULL }, *const xy[] = { "x", "y", NULL },
				 *const xz[] = { "x", "z", NULL };
	struct fix *f = *state;
	const struct lt_collection *thing = lt_catalogue_find(f->cat, "thing");
	struct lt_changeset cs;
	Ltpb__FieldSet *theirs_d;
	struct lt_draft d;

	((struct lt_field *)lt_collection_field(thing, "d"))->rule.personal = LT_PERSONAL_BASIC;
	save(f, 1, fs_text(&f->arena, "a", "old"), fs_set(&f->arena, "d", x), NULL);
	branch_here(f);
	save(f, 1, fs_text(&f->arena, "a", "mine"), fs_set(&f->arena, "d", xy), NULL);
	d = theirs(f, 1, NULL);
	theirs_d = fs_set(&f->arena, "d", xz);
	d.personal = &theirs_d;
	d.npersonal = 1;
	cs = comes(f, &f->down, &d, 1);
	erase_of(f, &(struct lt_dot){ cs.feed, cs.seq, 0 }, &cs.hash, "d");
	fork_and_reissue(f);
	assert_int_equal(made(f).n, 0);
	assert_true(stands(f, 1));
}

/* A value was erased. What the branch has in its place does not come back by itself; what it says elsewhere does. */
static void
erased(void **state)
{
	static const bool again[] = { false, true };
	size_t i;

	for (i = 0; i < 2; i++) {
		struct fix *f;

		if (i != 0) {
			(void)teardown(state);
			(void)setup(state);
		}
		f = *state;
		save(f, 1, fs_text(&f->arena, "a", "old"), fs_text(&f->arena, "p", SECRET), NULL);
		branch_here(f);
		save(f, 1, fs_text(&f->arena, "a", "mine"),
		    again[i] ? fs_text(&f->arena, "p", SECRET " A") : NULL, NULL);
		erase_common(f, 0);
		fork_and_reissue(f);
		assert_int_equal(made(f).n, again[i] ? 0 : 1);
		assert_int_equal(stands(f, 1), again[i]);
		if (!again[i])
			assert_int_equal(made(f).change.npersonal, 0);
	}
}

/* More than one transaction takes; and one of them is damaged. */
static void
many(void **state)
{
	const unsigned n = 2 * LT_REISSUE_AT_ONCE + 10, bad = LT_REISSUE_AT_ONCE / 2;
	struct fix *f = *state;
	struct lt_buf key = { 0 };
	unsigned i;

	save(f, 1, fs_text(&f->arena, "a", "old"), NULL, NULL);
	branch_here(f);
	for (i = 0; i < n; i++)
		save(f, 1000 + i, fs_text(&f->arena, "a", "mine"), NULL, NULL);
	{
		struct lt_changeset right = right_comes(f);

		judged(f, &right, false);
	}
	rule(f);
	lt_key_record(&key, "thing", WORLD_UNIT, key_of(f, 1000 + bad));
	{
		struct lt_feed_id aside = lt_feed_aside(&f->feed);

		lt_buf_u8(&key, 0);
		lt_buf_put(&key, aside.b, LT_FEED_LEN);
		lt_buf_u64(&key, f->common.seq + 1 + bad);
		lt_buf_u32(&key, 0);
	}
	ok(key.err);
	ok(lt_kv_test_flip(f->env.kv, LT_T_OVERLAY, lt_buf_slice(&key), 3, NULL));
	ok(lt_node_reissue(&f->node));
	assert_int_equal(made(f).n, n - 1);
	for (i = 0; i < n; i++)
		if (i != bad)
			assert_false(stands(f, 1000 + i));
	lt_buf_fini(&key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_here, setup, teardown),
		cmocka_unit_test_setup_teardown(in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(not_ruled, setup, teardown),
		cmocka_unit_test_setup_teardown(by_an_older_self, setup, teardown),
		cmocka_unit_test_setup_teardown(held_for_now, setup, teardown),
		cmocka_unit_test_setup_teardown(not_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(others_first, setup, teardown),
		cmocka_unit_test_setup_teardown(a_moment_ago, setup, teardown),
		cmocka_unit_test_setup_teardown(clock_ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(for_a_person, setup, teardown),
		cmocka_unit_test_setup_teardown(conflict_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(field_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_here, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_left, setup, teardown),
		cmocka_unit_test_setup_teardown(immutable, setup, teardown),
		cmocka_unit_test_setup_teardown(breaks_check, setup, teardown),
		cmocka_unit_test_setup_teardown(cannot_follow, setup, teardown),
		cmocka_unit_test_setup_teardown(erased, setup, teardown),
		cmocka_unit_test_setup_teardown(erased_of_several, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
