/* What Admin tells of a log: every feed by name, and change-sets until a reply is full. */
#include "tests/store/world.h"

#include "proto/base/clock.h"
#include "proto/service/feeds.h"

#include <stdlib.h>
#include <string.h>

#define STAMP(n) LT_STAMP(LT_BUILD_FLOOR_MS + 1000 + (n), 0)
#define OTHER_UNIT "17255"

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author author[2];
	struct feed feed[2]; /* of the two authors, in two units */
	const struct lt_feeds_sight *sight; /* NULL: everything */
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	env_open(&f->env, false);
	lt_arena_init(&f->arena, (size_t)64 << 20);
	author_init(&f->author[0], 7);
	author_init(&f->author[1], 9);
	feed_init(&f->feed[0], &f->author[0], WORLD_UNIT, LT_LANE_NORMAL, 1);
	feed_init(&f->feed[1], &f->author[1], OTHER_UNIT, LT_LANE_NORMAL, 1);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	env_close(&f->env);
	lt_arena_fini(&f->arena);
	free(f);
	return 0;
}

/* One more change-set in the feed, of n changes with a text of len bytes each, the last one of this collection. */
static void
append_with(
    struct fix *f, struct feed *feed, uint64_t stamp, size_t n, size_t len, const char *last)
{
	struct lt_draft *d = lt_arena_alloc(&f->arena, n * sizeof(*d));
	char *text = lt_arena_alloc(&f->arena, len + 1), key[32];
	struct lt_changeset cs;
	struct lt_buf b = { 0 };
	struct lt_kv_txn *txn;
	uint64_t position;
	size_t i;

	memset(text, 'x', len);
	for (i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "k/%zu", i);
		d[i].collection = i + 1 == n ? last : "thing";
		d[i].key = lt_arena_dup(&f->arena, key, strlen(key));
		d[i].set = lt_arena_alloc(&f->arena, sizeof(*d[i].set));
		d[i].set[0] = fs_text(&f->arena, "a", text);
		d[i].nset = 1;
	}
	feed_seal(feed, stamp, d, n, &b);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, lt_buf_slice(&b), &f->arena, &cs, &position);
	ok(lt_kv_commit(txn));
	lt_buf_fini(&b);
}

static void
append(struct fix *f, struct feed *feed, uint64_t stamp, size_t n, size_t len)
{
	append_with(f, feed, stamp, n, len, "thing");
}

/* A registry that knows the first author alone, as a hub: its label is "hub". */
static struct lt_registry *
registry(struct fix *f, struct lt_kv_txn *txn)
{
	struct lt_principal_key key;
	struct lt_principal hub;
	struct lt_registry *reg;
	struct lt_err err = { "" };
	uint8_t line[32] = { 1 };

	lt_principal_of_hub(&hub, &key, f->author[0].id.b, 1, f->author[0].key.pk, line);
	ok(lt_registry_load(txn, &hub, 1, &reg, &err));
	return reg;
}

static int
list(struct fix *f, const char *unit, bool as_signed, size_t max, Ltpb__ListFeedsReply *r)
{
	Ltpb__ListFeedsRequest req = LTPB__LIST_FEEDS_REQUEST__INIT;
	struct lt_registry *reg;
	struct lt_kv_txn *txn;
	int rc;

	ltpb__list_feeds_reply__init(r);
	req.unit = (char *)unit;
	ok(lt_kv_begin_read(f->env.kv, &txn));
	reg = registry(f, txn);
	rc = lt_feeds_list(txn, &req, reg, f->sight, as_signed, max, &f->arena, r);
	lt_registry_unref(reg);
	lt_kv_abort(txn);
	return rc;
}

/* By name where the registry has one, else by the whole id; one unit or all. */
static void
every_feed_is_told(void **state)
{
	struct fix *f = *state;
	Ltpb__ListFeedsReply r;
	char hex[2 * LT_ID_LEN + 1];

	ok(list(f, "", true, 2, &r));
	assert_int_equal(r.n_feed, 0);
	append(f, &f->feed[0], STAMP(1), 1, 1);
	append(f, &f->feed[0], STAMP(5), 1, 1);
	append(f, &f->feed[1], STAMP(2), 1, 1);
	ok(list(f, "", true, 2, &r));
	assert_int_equal(r.n_feed, 2);
	assert_string_equal(r.feed[0]->author, "hub");
	assert_string_equal(r.feed[0]->head->unit, WORLD_UNIT);
	assert_int_equal(r.feed[0]->head->seq, 2);
	assert_int_equal(r.feed[0]->head->hash.len, LT_HASH_LEN);
	assert_memory_equal(r.feed[0]->head->hash.data, f->feed[0].hash.b, LT_HASH_LEN);
	assert_int_equal(r.feed[0]->head->feed.len, LT_FEED_LEN);
	assert_memory_equal(r.feed[0]->head->feed.data, f->feed[0].id.b, LT_FEED_LEN);
	assert_int_equal(r.feed[0]->time_ms, LT_BUILD_FLOOR_MS + 1000 + 5);
	assert_int_equal(r.feed[0]->judged, 0);
	lt_hex(hex, f->author[1].id.b, LT_ID_LEN);
	assert_string_equal(r.feed[1]->author, hex);
	ok(list(f, OTHER_UNIT, true, 1, &r));
	assert_int_equal(r.n_feed, 1);
	assert_string_equal(r.feed[0]->head->unit, OTHER_UNIT);
	assert_int_equal(list(f, "", true, 1, &r), LT_E_NOMEM);
	assert_int_equal(list(f, "no unit", true, 2, &r), LT_E_INVALID);
}

/* Without a label it is the author's unit, as in a record's history; sixteen bytes in hexadecimal tell nobody anything. */
static void
without_a_label_the_unit(void **state)
{
	Ltpb__ListFeedsRequest req = LTPB__LIST_FEEDS_REQUEST__INIT;
	Ltpb__ListFeedsReply r = LTPB__LIST_FEEDS_REPLY__INIT;
	struct fix *f = *state;
	struct lt_principal_key key;
	struct lt_principal node;
	struct lt_registry *reg;
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	uint8_t line[32] = { 1 };

	append(f, &f->feed[0], STAMP(1), 1, 1);
	ok(lt_kv_begin_read(f->env.kv, &txn));
	lt_principal_of_hub(&node, &key, f->author[0].id.b, 1, f->author[0].key.pk, line);
	node.label = "";
	ok(lt_unit_set(&node.unit, lt_slice_str(OTHER_UNIT)));
	ok(lt_registry_load(txn, &node, 1, &reg, &err));
	ok(lt_feeds_list(txn, &req, reg, NULL, true, 2, &f->arena, &r));
	assert_int_equal(r.n_feed, 1);
	assert_string_equal(r.feed[0]->author, OTHER_UNIT);
	lt_registry_unref(reg);
	lt_kv_abort(txn);
}

/* The hub tells the time it has judged a change-set to have, a node the author's own. */
static void
time_is_signed_or_judged(void **state)
{
	struct fix *f = *state;
	static const struct lt_judgement all_good = { 0 };
	Ltpb__ListFeedsReply r;
	struct lt_kv_txn *txn;

	append(f, &f->feed[0], STAMP(7), 1, 1);
	ok(list(f, "", false, 1, &r));
	assert_int_equal(r.feed[0]->time_ms, 0);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_feed_log_judge(txn, &f->feed[0].unit, &f->feed[0].id, 1, 1, STAMP(3), &all_good));
	ok(lt_kv_commit(txn));
	ok(list(f, "", false, 1, &r));
	assert_int_equal(r.feed[0]->time_ms, LT_BUILD_FLOOR_MS + 1000 + 3);
	assert_int_equal(r.feed[0]->judged, 1);
	ok(list(f, "", true, 1, &r));
	assert_int_equal(r.feed[0]->time_ms, LT_BUILD_FLOOR_MS + 1000 + 7);
}

static int
read_log(struct fix *f, uint64_t from, uint32_t limit, Ltpb__ReadLogReply *r)
{
	Ltpb__ReadLogRequest req = LTPB__READ_LOG_REQUEST__INIT;
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	int rc;

	ltpb__read_log_reply__init(r);
	req.unit = f->feed[0].unit.s;
	req.feed.data = f->feed[0].id.b;
	req.feed.len = LT_FEED_LEN;
	req.from_seq = from;
	req.limit = limit;
	ok(lt_kv_begin_read(f->env.kv, &txn));
	rc = lt_feeds_read(txn, &req, NULL, f->sight, &f->arena, r, &err);
	lt_kv_abort(txn);
	return rc;
}

/* The first change-set of a reply is the one asked for. */
static void
begins_with(struct fix *f, const Ltpb__ReadLogReply *r, uint64_t seq)
{
	struct lt_changeset cs;

	ok(lt_changeset_parse(
	    lt_slice(r->change_set[0].data, r->change_set[0].len), &f->arena, &cs, NULL));
	assert_int_equal(cs.seq, seq);
}

static void
a_reply_has_64_at_most(void **state)
{
	static const struct {
		uint64_t from;
		uint32_t limit;
		size_t n;
		uint64_t first;
	} t[] = { { 0, 0, 64, 1 }, { 1, 64, 64, 1 }, { 2, 65, 64, 2 }, { 3, 0, 63, 3 },
		{ 65, 0, 1, 65 }, { 66, 0, 0, 0 }, { UINT64_MAX, 0, 0, 0 }, { 10, 1, 1, 10 } };
	struct fix *f = *state;
	Ltpb__ReadLogReply r;
	size_t i;

	for (i = 0; i < 65; i++)
		append(f, &f->feed[0], STAMP(i), 1, 1);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ok(read_log(f, t[i].from, t[i].limit, &r));
		assert_int_equal(r.n_change_set, t[i].n);
		if (t[i].n != 0)
			begins_with(f, &r, t[i].first);
	}
}

/* 400 KiB each: two go into 900 KiB, three do not. What did not fit begins the next reply. */
static void
a_reply_has_900_kib_at_most(void **state)
{
	struct fix *f = *state;
	Ltpb__ReadLogReply r;
	int i;

	for (i = 0; i < 3; i++)
		append(f, &f->feed[0], STAMP(i), 40, 10240);
	ok(read_log(f, 1, 0, &r));
	assert_int_equal(r.n_change_set, 2);
	ok(read_log(f, 3, 0, &r));
	assert_int_equal(r.n_change_set, 1);
	begins_with(f, &r, 3);
}

static void
unit_and_feed_are_named(void **state)
{
	struct fix *f = *state;
	Ltpb__ReadLogRequest req = LTPB__READ_LOG_REQUEST__INIT;
	Ltpb__ReadLogReply r = LTPB__READ_LOG_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	uint8_t bytes[LT_FEED_LEN + 1] = { 0 };
	size_t len;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	req.feed.data = bytes;
	for (len = LT_FEED_LEN - 1; len <= LT_FEED_LEN + 1; len++) {
		req.unit = (char *)WORLD_UNIT;
		req.feed.len = len;
		assert_int_equal(lt_feeds_read(txn, &req, NULL, f->sight, &f->arena, &r, &err),
		    len == LT_FEED_LEN ? LT_OK : LT_E_INVALID);
		assert_int_equal(r.n_change_set, 0);
		req.unit = (char *)"";
		assert_int_equal(
		    lt_feeds_read(txn, &req, NULL, f->sight, &f->arena, &r, &err), LT_E_INVALID);
		assert_string_equal(err.text, "name a unit and a feed");
	}
	lt_kv_abort(txn);
}

static bool
sees_unit(void *ctx, const char *unit)
{
	(void)ctx;
	return strcmp(unit, WORLD_UNIT) == 0;
}

static bool
sees_changes(void *ctx, const char *unit, const char *collection)
{
	return strcmp(unit, WORLD_UNIT) == 0 && strcmp(collection, ctx) != 0;
}

/* A change-set with something out of sight ends the reply before it, and is named when it is the first: never a gap. */
static void
what_is_out_of_sight_is_withheld(void **state)
{
	struct fix *f = *state;
	static char secret[] = "secret";
	struct lt_feeds_sight sight = { sees_unit, sees_changes, secret };
	Ltpb__ListFeedsReply feeds;
	Ltpb__ReadLogReply r;

	append(f, &f->feed[0], STAMP(1), 2, 1);
	append(f, &f->feed[0], STAMP(2), 2, 1);
	append_with(f, &f->feed[0], STAMP(3), 2, 1, "secret");
	append(f, &f->feed[0], STAMP(4), 1, 1);
	append(f, &f->feed[1], STAMP(5), 1, 1);
	f->sight = &sight;
	ok(read_log(f, 1, 0, &r));
	assert_int_equal(r.n_change_set, 2);
	assert_int_equal(read_log(f, 3, 0, &r), LT_E_DENIED);
	assert_int_equal(r.n_change_set, 0);
	ok(read_log(f, 4, 0, &r));
	assert_int_equal(r.n_change_set, 1);
	begins_with(f, &r, 4);
	/* The other unit's feed is not told of, nor read. */
	ok(list(f, "", true, 2, &feeds));
	assert_int_equal(feeds.n_feed, 1);
	assert_string_equal(feeds.feed[0]->head->unit, WORLD_UNIT);
	assert_int_equal(list(f, OTHER_UNIT, true, 2, &feeds), LT_E_DENIED);
	f->feed[0].unit = f->feed[1].unit;
	assert_int_equal(read_log(f, 1, 0, &r), LT_E_DENIED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_feed_is_told),
		T(without_a_label_the_unit),
		T(time_is_signed_or_judged),
		T(a_reply_has_64_at_most),
		T(a_reply_has_900_kib_at_most),
		T(unit_and_feed_are_named),
		T(what_is_out_of_sight_is_withheld),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
