/* What a node gives back to a hub that asks for its own feeds: of many, of one that the hub does not take, of one that cannot be read, and of
 * one of which there are two. */
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv_test.h"
#include "tests/lib/memnode.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define UNIT "17254"
#define HELLO "/lienthong.v1.Sync/Hello"
#define LONG 70 /* change-sets of the long feed: more than a push takes */
#define SMALL 15 /* those of the long feed behind this one are small: many go in one push */
#define WANTS_MAX 2

struct own {
	struct lt_unit unit;
	struct lt_feed_id feed;
	struct lt_head head;
};

struct fix {
	struct memnode_story story;
	struct memfed_marks told;
	struct lt_arena arena;
	struct own many, few; /* feeds of the hub, as they are at the node */
	size_t nwant; /* what the hub asks for, in place of what it would */
	Ltpb__FeedHead *want[WANTS_MAX];
	struct lt_session_call call;
	size_t sent_many, sent_few; /* in the last push */
};

/* ---- the feeds ---- */

static int
note_own(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct fix *x = ctx;
	struct lt_id author = lt_feed_author(feed);
	struct own *o = NULL;

	if (!lt_id_eq(&author, &x->story.m.f.hub_id->principal))
		return LT_OK;
	if (strcmp(unit->s, "_") == 0 && head->seq >= LONG)
		o = &x->many;
	if (strcmp(unit->s, UNIT) == 0 && lt_feed_lane(feed) == LT_LANE_URGENT)
		o = &x->few;
	if (o != NULL)
		*o = (struct own){ *unit, *feed, *head };
	return LT_OK;
}

/* The hub names a unit again and again, and the node has it. */
static void
grow(struct fix *x, unsigned from, unsigned to)
{
	struct lt_unit all = { "_" };
	struct lt_err err = { "" };
	Ltpb__FieldSet *set[1];
	char name[32];
	unsigned i;

	for (i = from; i <= to; i++) {
		struct lt_write w = { .collection = "_unit",
			.key = "99998",
			.builtin = true,
			.writer = LT_WRITER_PROVINCE };

		(void)snprintf(name, sizeof(name), "Thử %u", i);
		set[0] = fed_field(&x->arena, "name", LT_TYPE_TEXT, name);
		w.set = set;
		w.nset = 1;
		assert_int_equal(
		    lt_hub_write(x->story.m.f.hub, &all, &w, 1, &x->arena, &err), LT_OK);
	}
	memfed_settle(&x->story.m);
	(void)memnode_sync(&x->story, &x->story.a);
}

static void
begin(struct fix *x)
{
	struct lt_kv_txn *txn;

	memset(x, 0, sizeof(*x));
	lt_arena_init(&x->arena, (size_t)128 << 20);
	memnode_begin(&x->story, true, &x->told);
	memnode_put(&x->story, &x->story.a, 1, NULL);
	/* In two parts: a pull of this test takes 64 items. The verdict comes with the second. */
	grow(x, 1, LONG / 2);
	grow(x, LONG / 2 + 1, LONG);
	assert_int_equal(lt_kv_begin_read(x->story.a.kv, &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, NULL, note_own, x), LT_OK);
	lt_kv_abort(txn);
	assert_true(x->many.head.seq > LT_PUSH_MAX);
	assert_true(x->few.head.seq > 0 && x->few.head.seq < LT_PUSH_MAX);
}

static void
end(struct fix *x)
{
	memnode_end(&x->story);
	lt_arena_fini(&x->arena);
}

/* ---- the talk ---- */

/* The hub has this feed up to seq, as it is here or (other) another one. */
static void
want(struct fix *x, const struct own *o, uint64_t seq, bool other)
{
	Ltpb__FeedHead *h = lt_arena_alloc(&x->arena, sizeof(*h));
	struct lt_kv_txn *txn;
	struct lt_hash hash;

	assert_true(x->nwant < WANTS_MAX);
	assert_non_null(h);
	assert_int_equal(lt_kv_begin_read(x->story.a.kv, &txn), LT_OK);
	assert_int_equal(lt_feed_log_hash(txn, &o->unit, &o->feed, seq, &hash), LT_OK);
	lt_kv_abort(txn);
	hash.b[0] ^= other;
	ltpb__feed_head__init(h);
	h->unit = (char *)(uintptr_t)o->unit.s;
	h->feed.data = (uint8_t *)(uintptr_t)o->feed.b;
	h->feed.len = LT_FEED_LEN;
	h->seq = seq;
	h->hash.data = lt_arena_dup(&x->arena, hash.b, LT_HASH_LEN);
	h->hash.len = LT_HASH_LEN;
	x->want[x->nwant++] = h;
}

static void
greeted(void *ctx, const ProtobufCMessage *m)
{
	struct fix *x = ctx;
	Ltpb__HelloReply r = *(const Ltpb__HelloReply *)m;

	r.want = x->want;
	r.n_want = x->nwant;
	lt_session_take(x->story.a.session, &x->call, &r.base);
}

/* Does it give something back? What is wanted is spent. */
static bool
greet(struct fix *x)
{
	const struct lt_sync_action a = { .kind = LT_SYNC_DO_HELLO };
	struct lt_status st = { .code = LT_STATUS_OK };
	struct lt_session_request req;
	struct lt_arena arena;

	lt_arena_init(&arena, (size_t)8 << 20);
	assert_int_equal(lt_session_ask(x->story.a.session, &a, &arena, &x->call, &req), LT_OK);
	assert_int_equal(memfed_ask(&x->story.m, &x->story.a.line, HELLO, req.message, greeted, x),
	    LT_STATUS_OK);
	lt_session_end(x->story.a.session, &x->call, &st);
	lt_arena_fini(&arena);
	x->nwant = 0;
	assert_true(x->call.ev.ok);
	return x->call.ev.wants_back;
}

static void
count(struct fix *x, const ProtobufCBinaryData *d)
{
	struct lt_changeset cs;

	assert_int_equal(
	    lt_changeset_parse(lt_slice(d->data, d->len), &x->arena, &cs, NULL), LT_OK);
	if (lt_feed_id_cmp(&cs.feed, &x->many.feed) == 0)
		x->sent_many++;
	else if (lt_feed_id_cmp(&cs.feed, &x->few.feed) == 0)
		x->sent_few++;
	else
		fail();
}

/* What goes to the hub, which then has so many of each. The return code of asking. */
static int
give(struct fix *x, uint64_t many, uint64_t few)
{
	const struct lt_sync_action a = { .kind = LT_SYNC_DO_GIVE_BACK };
	struct lt_status st = { .code = LT_STATUS_OK };
	Ltpb__PushReply r = LTPB__PUSH_REPLY__INIT;
	const Ltpb__PushRequest *p;
	struct lt_session_request req;
	struct lt_arena arena;
	size_t i;
	int rc;

	x->sent_many = x->sent_few = 0;
	lt_arena_init(&arena, (size_t)64 << 20);
	rc = lt_session_ask(x->story.a.session, &a, &arena, &x->call, &req);
	if (rc == LT_OK) {
		p = (const Ltpb__PushRequest *)req.message;
		for (i = 0; i < p->n_change_set; i++)
			count(x, &p->change_set[i]);
		if (x->sent_many != 0)
			want(x, &x->many, many, false);
		if (x->sent_few != 0)
			want(x, &x->few, few, false);
		r.need = x->want;
		r.n_need = x->nwant;
		lt_session_take(x->story.a.session, &x->call, &r.base);
		lt_session_end(x->story.a.session, &x->call, &st);
		x->nwant = 0;
	}
	lt_arena_fini(&arena);
	return rc;
}

/* ---- what is given ---- */

/* The hub takes nothing of the first: it gets the second, what this node wrote goes on, and the next line begins anew. */
static void
test_one_is_stuck(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	want(&x, &x.many, 0, false);
	want(&x, &x.few, 0, false);
	assert_true(greet(&x));
	assert_int_equal(give(&x, 0, 0), LT_OK);
	assert_true(x.sent_many > 0);
	assert_int_equal(x.sent_few, 0);
	assert_true(x.call.ev.ok);
	want(&x, &x.many, 0, false);
	want(&x, &x.few, 0, false);
	assert_true(greet(&x));
	assert_int_equal(give(&x, 0, x.few.head.seq), LT_OK);
	assert_int_equal(x.sent_many, 0);
	assert_int_equal(x.sent_few, x.few.head.seq);
	assert_true(x.call.ev.ok);
	want(&x, &x.many, 0, false);
	assert_false(greet(&x));
	lt_session_drop(x.story.a.session);
	want(&x, &x.many, 0, false);
	assert_true(greet(&x));
	end(&x);
}

/* All of a feed that moves, however many pushes that takes. */
static void
test_all_of_one(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	want(&x, &x.many, 0, false);
	assert_true(greet(&x));
	assert_int_equal(give(&x, LT_PUSH_MAX, 0), LT_OK);
	want(&x, &x.many, LT_PUSH_MAX, false);
	assert_true(greet(&x));
	assert_int_equal(give(&x, x.many.head.seq, 0), LT_OK);
	assert_int_equal(x.sent_many, x.many.head.seq - LT_PUSH_MAX);
	assert_false(greet(&x));
	end(&x);
}

/* Its first one is damaged here: the others go, and alone it is no reason to dial again. */
static void
test_one_is_damaged(void **state)
{
	uint64_t position;
	struct lt_kv_txn *txn;
	uint8_t key[8];
	struct fix x;

	(void)state;
	begin(&x);
	assert_int_equal(lt_kv_begin_read(x.story.a.kv, &txn), LT_OK);
	assert_int_equal(lt_feed_log_find(txn, &x.many.unit, &x.many.feed, 1, &position), LT_OK);
	lt_kv_abort(txn);
	lt_store_u64(key, position);
	assert_int_equal(
	    lt_kv_test_flip(x.story.a.kv, LT_T_ENTRY, lt_slice(key, 8), 900, NULL), LT_OK);
	want(&x, &x.many, 0, false);
	want(&x, &x.few, 0, false);
	assert_true(greet(&x));
	assert_int_equal(give(&x, 0, x.few.head.seq), LT_OK);
	assert_int_equal(x.sent_many, 0);
	assert_int_equal(x.sent_few, x.few.head.seq);
	lt_session_drop(x.story.a.session);
	want(&x, &x.many, 0, false);
	assert_true(greet(&x));
	assert_int_equal(give(&x, 0, 0), LT_E_NOTFOUND);
	assert_true(x.call.ev.ok);
	want(&x, &x.many, 0, false);
	assert_false(greet(&x));
	end(&x);
}

/* Of one there are two: the number that the hub names is shown once on each line, and not forgotten because the first push had no room for it. */
static void
test_shown_once(void **state)
{
	struct fix x;
	size_t more;

	(void)state;
	begin(&x);
	more = x.few.head.seq - 1;
	want(&x, &x.many, 0, false);
	want(&x, &x.few, 1, true);
	assert_true(greet(&x));
	assert_int_equal(give(&x, LT_PUSH_MAX, 0), LT_OK);
	assert_int_equal(x.sent_few, 0);
	want(&x, &x.many, LT_PUSH_MAX, false);
	want(&x, &x.few, 1, true);
	assert_true(greet(&x));
	assert_int_equal(give(&x, x.many.head.seq, x.few.head.seq), LT_OK);
	assert_int_equal(x.sent_few, 1);
	want(&x, &x.few, 1, true);
	assert_true(greet(&x) == (more != 0));
	if (more != 0) {
		assert_int_equal(give(&x, 0, 0), LT_OK);
		assert_int_equal(x.sent_few, more);
		want(&x, &x.few, 1, true);
		assert_false(greet(&x));
	}
	lt_session_drop(x.story.a.session);
	want(&x, &x.few, 1, true);
	assert_true(greet(&x));
	end(&x);
}

/* What stands behind that number, and 64 before it, is shown besides: once, and a line that is lost takes nothing of that back. */
static void
test_shown_whole(void **state)
{
	const uint64_t at = LONG - 2, floor = at - 64;
	size_t behind, before;
	struct fix x;

	(void)state;
	begin(&x);
	behind = x.many.head.seq - at;
	want(&x, &x.many, at, true);
	assert_true(greet(&x));
	assert_int_equal(give(&x, 0, 0), LT_OK);
	assert_int_equal(x.sent_many, 1);
	want(&x, &x.many, at, true);
	assert_true(greet(&x));
	assert_int_equal(give(&x, 0, 0), LT_OK);
	assert_int_equal(x.sent_many, behind);
	lt_session_drop(x.story.a.session);
	want(&x, &x.many, at, true);
	assert_true(greet(&x));
	assert_int_equal(give(&x, 0, 0), LT_OK);
	assert_int_equal(x.sent_many, 1);
	before = 0;
	for (want(&x, &x.many, at, true); greet(&x); want(&x, &x.many, at, true)) {
		assert_int_equal(give(&x, 0, 0), LT_OK);
		assert_true(x.sent_many > 0);
		before += x.sent_many;
	}
	assert_int_equal(before, at - floor);
	lt_session_drop(x.story.a.session);
	want(&x, &x.many, at, true);
	assert_true(greet(&x));
	assert_int_equal(give(&x, 0, 0), LT_OK);
	assert_int_equal(x.sent_many, 1);
	want(&x, &x.many, at, true);
	assert_false(greet(&x));
	end(&x);
}

/* A push that is refused as a whole: how many change-sets it had. */
static size_t
refused(struct fix *x)
{
	const struct lt_sync_action a = { .kind = LT_SYNC_DO_GIVE_BACK };
	struct lt_status st = { .code = LT_STATUS_RESOURCE_EXHAUSTED };
	struct lt_session_request req;
	struct lt_arena arena;
	size_t n;

	lt_arena_init(&arena, (size_t)64 << 20);
	assert_int_equal(lt_session_ask(x->story.a.session, &a, &arena, &x->call, &req), LT_OK);
	n = ((const Ltpb__PushRequest *)req.message)->n_change_set;
	lt_session_end(x->story.a.session, &x->call, &st);
	lt_arena_fini(&arena);
	assert_false(x->call.ev.ok);
	return n;
}

/* One of two cannot be taken, and the push that has both is refused: the other goes alone, and the line goes on without the one. */
static void
test_one_is_refused(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	want(&x, &x.few, 0, false);
	want(&x, &x.many, SMALL, false);
	assert_true(greet(&x));
	assert_int_equal(refused(&x), x.few.head.seq + x.many.head.seq - SMALL);
	want(&x, &x.few, 0, false);
	want(&x, &x.many, SMALL, false);
	assert_true(greet(&x));
	assert_int_equal(refused(&x), x.few.head.seq);
	want(&x, &x.few, 0, false);
	want(&x, &x.many, SMALL, false);
	assert_true(greet(&x));
	assert_int_equal(give(&x, x.many.head.seq, 0), LT_OK);
	assert_int_equal(x.sent_many, x.many.head.seq - SMALL);
	assert_int_equal(x.sent_few, 0);
	want(&x, &x.few, 0, false);
	assert_false(greet(&x));
	lt_session_drop(x.story.a.session);
	want(&x, &x.few, 0, false);
	assert_true(greet(&x));
	end(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_is_stuck),
		cmocka_unit_test(test_all_of_one),
		cmocka_unit_test(test_one_is_damaged),
		cmocka_unit_test(test_shown_once),
		cmocka_unit_test(test_shown_whole),
		cmocka_unit_test(test_one_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
