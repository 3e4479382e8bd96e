/* Single change-sets by name: a node gets just what a pull would have sent it, and whoever asks for something else learns nothing. */
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv_test.h"
#include "tests/lib/memnode.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_UNIT "16906"
#define KEY "H41.65-261120-0900"
#define SETS_MAX 256
#define FETCH "/lienthong.v1.Sync/Fetch"
#define BIG 15 /* change-sets of 60,000 bytes: more than the 786,432 of one answer */
#define BIG_BYTES 60000

static struct memnode_story story;
static struct memfed_marks told;
static struct fed_peer other;
static struct lt_peer other_line;
static struct fed_feed other_feed;
static struct lt_arena arena;

/* Change-sets as they came, by name. */
struct sets {
	size_t n;
	struct lt_slice bytes[SETS_MAX];
	Ltpb__ChangeSetName name[SETS_MAX];
	bool more;
};

static void
note(struct sets *s, const ProtobufCBinaryData *d)
{
	struct lt_err err = { "" };
	struct lt_changeset *cs = lt_arena_alloc(&arena, sizeof(*cs));
	Ltpb__ChangeSetName *name = &s->name[s->n];
	uint8_t *copy = lt_arena_dup(&arena, d->data, d->len);

	assert_true(s->n < SETS_MAX && cs != NULL && copy != NULL);
	s->bytes[s->n] = lt_slice(copy, d->len);
	assert_int_equal(lt_changeset_parse(s->bytes[s->n], &arena, cs, &err), LT_OK);
	ltpb__change_set_name__init(name);
	name->unit = cs->unit.s;
	name->feed.data = cs->feed.b;
	name->feed.len = LT_FEED_LEN;
	name->seq = cs->seq;
	s->n++;
}

static void
pulled(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__PullItem *it = (const Ltpb__PullItem *)m;

	if (it->item_case == LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		note(ctx, &it->change_set);
}

static void
fetched(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__FetchReply *r = (const Ltpb__FetchReply *)m;
	struct sets *s = ctx;
	size_t i;

	s->more = r->more;
	for (i = 0; i < r->n_change_set; i++)
		note(s, &r->change_set[i]);
}

static struct sets *
new_sets(void)
{
	struct sets *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	return s;
}

/* All that a node is sent that has nothing yet. */
static struct sets *
pull_all(const struct lt_peer *line)
{
	Ltpb__PullRequest r = LTPB__PULL_REQUEST__INIT;
	struct sets *s = new_sets();

	assert_int_equal(memfed_ask(&story.m, line, "/lienthong.v1.Sync/Pull", &r.base, pulled, s),
	    LT_STATUS_OK);
	assert_true(s->n > 3);
	return s;
}

static int
fetch(const struct lt_peer *line, Ltpb__ChangeSetName *name, size_t n, struct sets *out)
{
	Ltpb__FetchRequest r = LTPB__FETCH_REQUEST__INIT;
	Ltpb__ChangeSetName *list[SETS_MAX];
	size_t i;

	assert_true(n <= SETS_MAX);
	for (i = 0; i < n; i++)
		list[i] = &name[i];
	r.wanted = list;
	r.n_wanted = n;
	memset(out, 0, sizeof(*out));
	return memfed_ask(&story.m, line, FETCH, &r.base, fetched, out);
}

/* ---- the story ---- */

static void
put_as_hub(const char *unit, const char *key, const char *name, const char *actor)
{
	struct lt_write w = { .collection = "_unit", .key = key, .builtin = true };
	struct lt_unit u;
	struct lt_err err = { "" };
	Ltpb__FieldSet *set[1];

	set[0] = fed_field(&arena, "name", LT_TYPE_TEXT, name);
	w.set = set;
	w.nset = 1;
	w.actor = actor;
	w.writer = LT_WRITER_PROVINCE;
	assert_int_equal(lt_unit_set(&u, lt_slice_str(unit)), LT_OK);
	assert_int_equal(lt_hub_write(story.m.f.hub, &u, &w, 1, &arena, &err), LT_OK);
	memfed_settle(&story.m);
}

static void
join_other(void)
{
	uint8_t proof[LT_SIG_LEN];
	Ltpb__JoinRequest r;

	memfed_invite(&story.m, &other, 9, OTHER_UNIT);
	other_line = memfed_line(&other.id);
	fed_join_request(&other.id, proof, &r);
	assert_int_equal(
	    memfed_ask(&story.m, &other_line, "/lienthong.v1.Enrol/Join", &r.base, NULL, NULL),
	    LT_STATUS_OK);
}

static void
push_other(const char *key, const char *status)
{
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData d;
	struct lt_draft draft;
	struct lt_buf b;

	if (status == NULL)
		fed_draft_dossier(&arena, &draft, key);
	else
		fed_draft_status(&arena, &draft, key, status);
	lt_buf_init(&b, 0);
	other_feed.next_stamp = lt_hlc_next(other_feed.stamp, story.m.now_ms);
	fed_seal(&story.m.f, &other_feed, &draft, 1, &b);
	d.data = b.data;
	d.len = b.len;
	r.change_set = &d;
	r.n_change_set = 1;
	assert_int_equal(
	    memfed_ask(&story.m, &other_line, "/lienthong.v1.Sync/Push", &r.base, NULL, NULL),
	    LT_STATUS_OK);
	lt_buf_fini(&b);
}

static int
tell(void **state)
{
	unsigned i;

	(void)state;
	lt_arena_init(&arena, (size_t)256 << 20);
	memnode_begin(&story, true, &told);
	for (i = 1; i <= 3; i++)
		memnode_put(&story, &story.a, i, NULL);
	memnode_put(&story, &story.b, 4, NULL);
	(void)memnode_sync(&story, &story.a);
	(void)memnode_sync(&story, &story.b);
	join_other();
	fed_feed_init(&other_feed, &other, OTHER_UNIT, LT_LANE_NORMAL, 1);
	push_other(KEY, NULL);
	/* Who did it stands in an opening that no node may see. */
	put_as_hub("_", "99998", "Thử", "operator-1");
	put_as_hub("40", "99999", "Thử", "operator-1");
	return 0;
}

static int
forget(void **state)
{
	(void)state;
	memnode_end(&story);
	lt_arena_fini(&arena);
	return 0;
}

/* ---- what may be had ---- */

/* Change-set for change-set, openings and leaves, in fetches of every size up to the greatest. */
static void
as_pulled(const struct lt_peer *line)
{
	static const size_t sizes[] = { 1, 2, 7, 64 };
	struct sets *all = pull_all(line), *got = new_sets();
	size_t i, k, step, n;

	for (step = 0; step < sizeof(sizes) / sizeof(sizes[0]); step++)
		for (i = 0; i < all->n; i += n) {
			n = all->n - i < sizes[step] ? all->n - i : sizes[step];
			assert_int_equal(fetch(line, &all->name[i], n, got), LT_STATUS_OK);
			assert_int_equal(got->n, n);
			assert_false(got->more);
			for (k = 0; k < n; k++) {
				assert_int_equal(got->bytes[k].len, all->bytes[i + k].len);
				assert_memory_equal(
				    got->bytes[k].data, all->bytes[i + k].data, got->bytes[k].len);
			}
		}
	free(got);
	free(all);
}

static void
test_as_a_pull_sends_it(void **state)
{
	(void)state;
	as_pulled(&story.a.line);
	as_pulled(&story.b.line);
	as_pulled(&other_line);
}

/* What another commune has, what is nowhere, and what is beyond a feed's end: no answer, and no difference between them. */
static void
test_nothing_else(void **state)
{
	struct sets *all = pull_all(&story.a.line), *got = new_sets();
	uint8_t nobody[LT_FEED_LEN] = { 7 };
	Ltpb__ChangeSetName name[4];
	size_t i, mine = 0, ours = all->n;

	(void)state;
	for (i = 0; i < all->n; i++)
		if (strcmp(all->name[i].unit, "17254") == 0) {
			ours = i;
			mine++;
			assert_int_equal(fetch(&other_line, &all->name[i], 1, got), LT_STATUS_OK);
			assert_int_equal(got->n, 0);
			assert_false(got->more);
		}
	assert_true(mine >= 4 && ours < all->n);
	name[0] = name[1] = name[2] = name[3] = all->name[ours];
	name[0].feed.data = nobody;
	name[1].seq = 1000000;
	name[2].unit = (char *)OTHER_UNIT;
	/* Among others that are there. */
	assert_int_equal(fetch(&story.a.line, name, 4, got), LT_STATUS_OK);
	assert_int_equal(got->n, 1);
	assert_int_equal(got->bytes[0].len, all->bytes[ours].len);
	free(got);
	free(all);
}

static void
test_bounds(void **state)
{
	struct sets *all = pull_all(&story.a.line), *got = new_sets();
	Ltpb__ChangeSetName name[65];
	static uint8_t longer[LT_FEED_LEN + 1];
	size_t i;

	(void)state;
	for (i = 0; i < 65; i++)
		name[i] = all->name[all->n - 1];
	assert_int_equal(fetch(&story.a.line, name, 0, got), LT_STATUS_INVALID_ARGUMENT);
	assert_int_equal(fetch(&story.a.line, name, 65, got), LT_STATUS_INVALID_ARGUMENT);
	assert_int_equal(fetch(&story.a.line, name, 64, got), LT_STATUS_OK);
	assert_int_equal(got->n, 64);
	name[1].seq = 0;
	assert_int_equal(fetch(&story.a.line, name, 2, got), LT_STATUS_INVALID_ARGUMENT);
	name[1].seq = (uint64_t)INT64_MAX + 1;
	assert_int_equal(fetch(&story.a.line, name, 2, got), LT_STATUS_INVALID_ARGUMENT);
	name[1].seq = INT64_MAX;
	assert_int_equal(fetch(&story.a.line, name, 2, got), LT_STATUS_OK);
	name[1].unit = (char *)"";
	assert_int_equal(fetch(&story.a.line, name, 2, got), LT_STATUS_INVALID_ARGUMENT);
	name[1] = name[0];
	name[1].feed.data = longer;
	name[1].feed.len = LT_FEED_LEN + 1;
	assert_int_equal(fetch(&story.a.line, name, 2, got), LT_STATUS_INVALID_ARGUMENT);
	name[1].feed.len = LT_FEED_LEN - 1;
	assert_int_equal(fetch(&story.a.line, name, 2, got), LT_STATUS_INVALID_ARGUMENT);
	free(got);
	free(all);
}

static uint64_t
position_of(const Ltpb__ChangeSetName *name)
{
	struct lt_kv_txn *txn;
	struct lt_feed_id feed;
	struct lt_unit unit;
	uint64_t position;

	memcpy(feed.b, name->feed.data, LT_FEED_LEN);
	assert_int_equal(lt_unit_set(&unit, lt_slice_str(name->unit)), LT_OK);
	assert_int_equal(lt_kv_begin_read(story.m.log, &txn), LT_OK);
	assert_int_equal(lt_feed_log_find(txn, &unit, &feed, name->seq, &position), LT_OK);
	lt_kv_abort(txn);
	return position;
}

/* One that is damaged here is left out, the others are not. */
static void
test_damaged_here(void **state)
{
	struct sets *all = pull_all(&story.a.line), *got = new_sets();
	uint8_t key[8];

	(void)state;
	lt_store_u64(key, position_of(&all->name[1]));
	assert_int_equal(
	    lt_kv_test_flip(story.m.log, LT_T_ENTRY, lt_slice(key, 8), 700, NULL), LT_OK);
	assert_int_equal(fetch(&story.a.line, all->name, 3, got), LT_STATUS_OK);
	assert_int_equal(got->n, 2);
	assert_int_equal(got->name[0].seq, all->name[0].seq);
	assert_int_equal(got->name[1].seq, all->name[2].seq);
	assert_int_equal(
	    lt_kv_test_flip(story.m.log, LT_T_ENTRY, lt_slice(key, 8), 700, NULL), LT_OK);
	assert_int_equal(fetch(&story.a.line, all->name, 3, got), LT_STATUS_OK);
	assert_int_equal(got->n, 3);
	free(got);
	free(all);
}

/* As many as there is room for, and that there are more. */
static void
test_no_room(void **state)
{
	char *text = malloc(BIG_BYTES + 1);
	struct sets *all, *got = new_sets();
	size_t i, n = 0, bytes = 0, first = 0;
	Ltpb__ChangeSetName name[BIG];

	(void)state;
	assert_non_null(text);
	memset(text, 'x', BIG_BYTES);
	text[BIG_BYTES] = '\0';
	/* Refused as a status, and in the feed all the same. */
	for (i = 0; i < BIG; i++)
		push_other(KEY, text);
	free(text);
	all = pull_all(&other_line);
	for (i = 0; i < all->n; i++)
		if (all->bytes[i].len > BIG_BYTES && strcmp(all->name[i].unit, OTHER_UNIT) == 0)
			name[n++] = all->name[i];
	assert_int_equal(n, BIG);
	while (first < BIG) {
		assert_int_equal(fetch(&other_line, name + first, BIG - first, got), LT_STATUS_OK);
		assert_true(got->n > 0);
		for (i = 0, bytes = 0; i < got->n; i++)
			bytes += got->bytes[i].len;
		assert_true(bytes <= 786432);
		first += got->n;
		assert_int_equal(got->more, first < BIG);
		/* Not one less than there is room for. */
		if (got->more)
			assert_true(bytes + got->bytes[0].len > 786432);
	}
	free(got);
	free(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_a_pull_sends_it),
		cmocka_unit_test(test_nothing_else),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_damaged_here),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, tell, forget);
}
