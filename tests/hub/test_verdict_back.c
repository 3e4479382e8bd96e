/* A hub that lost what it knew, and a verdict of before that a node gives back later than the change-sets it speaks of: whatever was held
 * then and is decided now, all machines come to the same. What was lost is an old copy of the hub's stores put back. */
#include "hub/hub_impl.h"
#include "hub/recovery.h"
#include "proto/base/wire.h"
#include "proto/store/backup.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv_test.h"
#include "tests/lib/memnode.h"
#include "tests/lib/random.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define UNIT "17254"
#define KEY "H41.65-261120-0001"
#define PUSH "/lienthong.v1.Sync/Push"
#define BACK_MAX 64

struct fix {
	struct memnode_story s; /* a comes late, b has what the hub forgot */
	struct memfed_marks marks;
	struct lt_arena arena;
	struct lt_unit unit;
	struct fed_peer third; /* a machine of the same commune, by hand */
	struct lt_peer line;
	struct fed_feed feed, seen; /* feed's first change-set names the first of seen */
	struct lt_buf set[2], first; /* feed's; seen's */
	struct lt_kv *log; /* of before any of that */
};

/* ---- stores put back ---- */

static void
copy_table(struct lt_kv_txn *from, struct lt_kv_txn *to, unsigned table)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v, raw;
	int rc;

	assert_int_equal(lt_kv_cursor_open(from, table, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
	     rc = lt_kv_next(c, &k, &v)) {
		assert_int_equal(lt_kv_test_get_raw(from, table, k, &raw), LT_OK);
		assert_int_equal(lt_kv_test_put_raw(to, table, k, raw), LT_OK);
	}
	assert_int_equal(rc, LT_E_NOTFOUND);
	lt_kv_cursor_close(c);
}

static struct lt_kv *
copy_of(const struct fix *x, struct lt_kv *kv)
{
	struct lt_kv *copy = memfed_store(&x->s.m.f, LT_KV_HUB_LOG);
	struct lt_kv_txn *from, *to;
	unsigned t;

	assert_int_equal(lt_kv_begin_read(kv, &from), LT_OK);
	assert_int_equal(lt_kv_begin_write(copy, &to), LT_OK);
	for (t = 0; t < LT_T_COUNT; t++)
		copy_table(from, to, t);
	assert_int_equal(lt_kv_commit(to), LT_OK);
	lt_kv_abort(from);
	return copy;
}

/* An operator does not wait for anybody. */
static void
go_on(struct fix *x)
{
	struct lt_err err = { "" };
	size_t n;

	assert_true(lt_hub_recovering(x->s.m.f.hub));
	assert_int_equal(lt_hub_go_on_without(x->s.m.f.hub, NULL, NULL, &n, &err), LT_OK);
	memfed_settle(&x->s.m);
	assert_false(lt_hub_recovering(x->s.m.f.hub));
}

/* The hub is what it was, as `ltctl restore` leaves it. */
static void
put_back(struct fix *x)
{
	static const uint8_t id[LT_BACKUP_ID_LEN] = { 1 };
	struct lt_kv_txn *txn;
	uint64_t voided;

	memfed_close_hub(&x->s.m);
	lt_kv_close(x->s.m.log);
	lt_kv_close(x->s.m.derived);
	x->s.m.log = x->log;
	x->s.m.derived = memfed_store(&x->s.m.f, LT_KV_HUB_DERIVED);
	x->log = NULL;
	assert_int_equal(lt_kv_begin_write(x->s.m.log, &txn), LT_OK);
	assert_int_equal(lt_restore_mark(txn, true, id, x->s.m.now_ms, &voided), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	memfed_start_hub(&x->s.m);
	memfed_settle(&x->s.m);
	go_on(x);
}

/* ---- what is pushed ---- */

static int
push(struct fix *x, const struct lt_peer *line, const struct lt_slice *set, size_t n)
{
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData d[BACK_MAX];
	size_t i;

	assert_true(n <= BACK_MAX);
	for (i = 0; i < n; i++) {
		d[i].data = (uint8_t *)(uintptr_t)set[i].data;
		d[i].len = set[i].len;
	}
	r.change_set = d;
	r.n_change_set = n;
	return memfed_ask(&x->s.m, line, PUSH, &r.base, NULL, NULL);
}

static void
push_one(struct fix *x, const struct lt_buf *set)
{
	struct lt_slice bytes = lt_buf_slice(set);

	assert_int_equal(push(x, &x->line, &bytes, 1), LT_STATUS_OK);
}

static void
seal(struct fix *x, struct fed_feed *feed, const char *key, struct lt_context *seen,
    struct lt_buf *out)
{
	struct lt_draft draft = { 0 };

	fed_draft_dossier(&x->arena, &draft, key);
	draft.context = seen;
	draft.ncontext = seen != NULL;
	lt_buf_init(out, LT_MESSAGE_MAX);
	feed->next_stamp = lt_hlc_next(feed->stamp, x->s.m.now_ms);
	fed_seal(&x->s.m.f, feed, &draft, 1, out);
}

static void
seal_both(struct fix *x, bool right)
{
	struct lt_context seen = {
		.feed = x->seen.id, .seq = 1, .hash8 = lt_load_u64(x->seen.hash.b) ^ !right
	};

	seal(x, &x->feed, KEY, &seen, &x->set[0]);
	seal(x, &x->feed, "H41.65-261120-0002", NULL, &x->set[1]);
}

/* With stamps of that time. */
static void
reseal(struct fix *x, int64_t ms)
{
	const int64_t now = x->s.m.now_ms;

	lt_buf_fini(&x->set[0]);
	lt_buf_fini(&x->set[1]);
	fed_feed_init(&x->feed, &x->third, UNIT, LT_LANE_NORMAL, 1);
	x->s.m.now_ms = ms;
	seal_both(x, true);
	x->s.m.now_ms = now;
}

/* right: what the first of feed names is what is there, else another one has that number. */
static void
begin(struct fix *x, bool right)
{
	uint8_t proof[LT_SIG_LEN];
	Ltpb__JoinRequest r;

	memset(x, 0, sizeof(*x));
	lt_arena_init(&x->arena, (size_t)256 << 20);
	assert_int_equal(lt_unit_set(&x->unit, lt_slice_str(UNIT)), LT_OK);
	memnode_begin(&x->s, true, &x->marks);
	memfed_invite(&x->s.m, &x->third, 9, UNIT);
	test_random_system(); /* each epoch is another one */
	x->line = memfed_line(&x->third.id);
	fed_join_request(&x->third.id, proof, &r);
	assert_int_equal(
	    memfed_ask(&x->s.m, &x->line, "/lienthong.v1.Enrol/Join", &r.base, NULL, NULL),
	    LT_STATUS_OK);
	(void)memnode_sync(&x->s, &x->s.a);
	(void)memnode_sync(&x->s, &x->s.b);
	fed_feed_init(&x->feed, &x->third, UNIT, LT_LANE_NORMAL, 1);
	fed_feed_init(&x->seen, &x->third, UNIT, LT_LANE_NORMAL, 2);
	seal(x, &x->seen, "H41.65-261120-0003", NULL, &x->first);
	seal_both(x, right);
	x->log = copy_of(x, x->s.m.log);
}

static void
end(struct fix *x)
{
	lt_kv_close(x->log);
	lt_buf_fini(&x->set[0]);
	lt_buf_fini(&x->set[1]);
	lt_buf_fini(&x->first);
	memnode_end(&x->s);
	lt_arena_fini(&x->arena);
}

/* ---- what comes back ---- */

struct back {
	struct fix *x;
	struct lt_kv_txn *txn;
	size_t n;
	struct lt_slice set[BACK_MAX];
};

/* Those of the hub's of this unit that the hub has not. */
static int
note_back(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct back *b = ctx;
	struct lt_id author = lt_feed_author(feed);
	struct lt_kv_txn *log;
	struct lt_head have;
	uint64_t seq;

	if (!lt_id_eq(&author, &b->x->s.m.f.hub->author.id) || !lt_unit_eq(unit, &b->x->unit))
		return LT_OK;
	assert_int_equal(lt_kv_begin_read(b->x->s.m.log, &log), LT_OK);
	assert_int_equal(lt_feed_log_head(log, unit, feed, &have), LT_OK);
	lt_kv_abort(log);
	for (seq = have.seq + 1; seq <= head->seq; seq++) {
		struct lt_err err = { "" };
		struct lt_entry e;
		struct lt_buf bytes;
		uint64_t position;

		assert_int_equal(lt_feed_log_find(b->txn, unit, feed, seq, &position), LT_OK);
		assert_int_equal(lt_feed_log_read(b->txn, position, &e), LT_OK);
		lt_buf_init(&bytes, LT_MESSAGE_MAX);
		assert_int_equal(lt_feed_log_compose(b->txn, &e, NULL, NULL, &bytes, &err), LT_OK);
		assert_true(b->n < BACK_MAX);
		b->set[b->n].data = lt_arena_dup(&b->x->arena, bytes.data, bytes.len);
		b->set[b->n++].len = bytes.len;
		lt_buf_fini(&bytes);
	}
	return LT_OK;
}

static void
find_back(struct fix *x, const struct memnode *has, struct back *b)
{
	memset(b, 0, sizeof(*b));
	b->x = x;
	assert_int_equal(lt_kv_begin_read(has->kv, &b->txn), LT_OK);
	assert_int_equal(lt_feed_log_each(b->txn, NULL, note_back, b), LT_OK);
	lt_kv_abort(b->txn);
	assert_true(b->n > 0);
}

static void
give_back_of(struct fix *x, const struct memnode *has)
{
	struct back b;

	find_back(x, has, &b);
	assert_int_equal(push(x, &has->line, b.set, b.n), LT_STATUS_OK);
}

static void
give_back(struct fix *x)
{
	give_back_of(x, &x->s.b);
}

static void
taken(void *ctx, const struct lt_intake_result *r)
{
	assert_int_equal(r->rc, LT_OK);
	++*(unsigned *)ctx;
}

/* A change-set comes, and what b has behind it at once: no verdict was written in between. */
static void
push_and_give_back(struct fix *x, const struct lt_buf *set)
{
	struct lt_slice bytes = lt_buf_slice(set);
	struct lt_hub *hub = x->s.m.f.hub;
	unsigned calls = 0;
	struct back b;

	find_back(x, &x->s.b, &b);
	lt_hub_intake(hub, &x->third.id.principal, &bytes, 1, taken, &calls);
	lt_hub_take_back(hub, b.set, b.n, taken, &calls);
	while (calls < 2)
		assert_true(lt_writer_step(hub->writer));
	memfed_settle(&x->s.m);
}

/* ---- what is there ---- */

/* Of feed, in the arena. */
static struct lt_judgement
judged(struct fix *x, struct lt_kv *kv, uint64_t seq)
{
	struct lt_judgement j;
	struct lt_kv_txn *txn;
	uint64_t position;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_feed_log_find(txn, &x->unit, &x->feed.id, seq, &position), LT_OK);
	assert_int_equal(lt_feed_log_judgement(txn, position, &x->arena, &j), LT_OK);
	lt_kv_abort(txn);
	return j;
}

/* The row of the dossier of which the first change-set speaks. */
static bool
has_record(struct lt_kv *kv)
{
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	size_t len = strlen(KEY);
	int rc;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_RECORD, &c), LT_OK);
	rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
	while (rc == LT_OK && (k.len < len || memcmp(k.data + k.len - len, KEY, len) != 0))
		rc = lt_kv_next(c, &k, &v);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return rc == LT_OK;
}

static void
is_decided(struct fix *x, struct lt_kv *kv, struct lt_kv *records, bool refused)
{
	struct lt_judgement j = judged(x, kv, 1);

	assert_int_equal(j.nheld, 0);
	assert_int_equal(j.nrefused, refused);
	assert_true(has_record(records) == !refused);
}

/* Both nodes sync; all three have it decided. */
static void
all_have_it(struct fix *x, bool refused)
{
	(void)memnode_sync(&x->s, &x->s.b);
	(void)memnode_sync(&x->s, &x->s.a);
	is_decided(x, x->s.m.log, x->s.m.derived, refused);
	is_decided(x, x->s.b.kv, x->s.b.kv, refused);
	is_decided(x, x->s.a.kv, x->s.a.kv, refused);
}

/* Held, and b has that verdict. */
static void
hold(struct fix *x)
{
	push_one(x, &x->set[0]);
	(void)memnode_sync(&x->s, &x->s.b);
	assert_int_equal(judged(x, x->s.b.kv, 1).nheld, 1);
	assert_false(has_record(x->s.b.kv));
}

/* One verdict on both of feed. */
static void
push_both(struct fix *x)
{
	struct lt_slice both[2] = { lt_buf_slice(&x->set[0]), lt_buf_slice(&x->set[1]) };

	assert_int_equal(push(x, &x->line, both, 2), LT_STATUS_OK);
}

/* And b has it. */
static void
push_two(struct fix *x)
{
	push_both(x);
	(void)memnode_sync(&x->s, &x->s.b);
}

/* ---- dots that were held ---- */

/* It was held then; in the meantime what it waited for was first, and another verdict said so. */
static void
decided_since(bool refused)
{
	struct fix x;

	begin(&x, !refused);
	hold(&x);
	put_back(&x);
	push_one(&x, &x.first);
	push_one(&x, &x.set[0]);
	is_decided(&x, x.s.m.log, x.s.m.derived, refused);
	give_back(&x);
	all_have_it(&x, refused);
	end(&x);
}

static void
test_decided_since(void **state)
{
	(void)state;
	decided_since(false);
	decided_since(true);
}

/* The same, and nothing was said of it yet when the verdict came. */
static void
decided_unsaid(bool refused)
{
	struct fix x;

	begin(&x, !refused);
	hold(&x);
	put_back(&x);
	push_one(&x, &x.first);
	push_and_give_back(&x, &x.set[0]);
	all_have_it(&x, refused);
	end(&x);
}

static void
test_decided_unsaid(void **state)
{
	(void)state;
	decided_unsaid(false);
	decided_unsaid(true);
}

/* Not all that it covers is here when it comes. What it held is settled when the last of that has come. */
static void
decided_before_the_last(bool said)
{
	struct fix x;

	begin(&x, true);
	push_two(&x);
	assert_int_equal(judged(&x, x.s.b.kv, 1).nheld, 1);
	put_back(&x);
	push_one(&x, &x.first);
	if (said) {
		push_one(&x, &x.set[0]);
		give_back(&x);
	} else {
		push_and_give_back(&x, &x.set[0]);
	}
	is_decided(&x, x.s.m.log, x.s.m.derived, false);
	push_one(&x, &x.set[1]);
	all_have_it(&x, false);
	assert_false(lt_hub_mending(x.s.m.f.hub));
	end(&x);
}

static void
test_decided_before_the_last(void **state)
{
	(void)state;
	decided_before_the_last(true);
	decided_before_the_last(false);
}

/* Change-sets that come behind all else: of verdicts that others contradict. */
static unsigned
late(struct fix *x)
{
	const struct lt_slice in = lt_slice_str("late/");
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	unsigned n = 0;
	int rc;

	assert_int_equal(lt_kv_begin_read(x->s.m.log, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	for (rc = lt_kv_seek_at(c, in, in, &k, &v); rc == LT_OK; rc = lt_kv_next_at(c, in, &k, &v))
		n++;
	assert_int_equal(rc, LT_E_NOTFOUND);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return n;
}

/* The machine that was waited for was copied: another first change-set of it came then, and what was held was refused. Here it is held when
 * that comes back, or counts. */
static void
settled_then(bool held_here)
{
	struct fix x;
	struct fed_feed other;
	struct lt_buf first;

	begin(&x, true);
	fed_feed_init(&other, &x.third, UNIT, LT_LANE_NORMAL, 2);
	seal(&x, &other, "H41.65-261120-0004", NULL, &first);
	hold(&x);
	push_one(&x, &first);
	(void)memnode_sync(&x.s, &x.s.b);
	is_decided(&x, x.s.b.kv, x.s.b.kv, true);
	put_back(&x);
	if (!held_here)
		push_one(&x, &x.first);
	push_one(&x, &x.set[0]);
	assert_int_equal(judged(&x, x.s.m.log, 1).nheld, held_here);
	give_back(&x);
	assert_int_equal(late(&x), !held_here);
	is_decided(&x, x.s.m.log, x.s.m.derived, held_here);
	if (held_here)
		push_one(&x, &first);
	is_decided(&x, x.s.m.log, x.s.m.derived, held_here);
	(void)memnode_sync(&x.s, &x.s.a);
	is_decided(&x, x.s.a.kv, x.s.a.kv, held_here);
	lt_buf_fini(&first);
	end(&x);
}

static void
test_settled_then(void **state)
{
	(void)state;
	settled_then(true);
	settled_then(false);
}

/* ---- clamps ---- */

/* The hub's clock was ahead then or is now; the first of feed is signed with a stamp between the two. Nothing is said of it when the verdict
 * comes, and the second is not here: a clamp comes with the verdict, and none goes. With the second it is known what was judged. */
static void
clock_moved(bool clamped_then)
{
	const int64_t hour = 3600000;
	struct lt_judgement then, now;
	struct fix x;

	begin(&x, true);
	push_one(&x, &x.first);
	lt_kv_close(x.log);
	x.log = copy_of(&x, x.s.m.log);
	reseal(&x, x.s.m.now_ms + hour);
	x.s.m.now_ms += clamped_then ? 0 : 2 * hour;
	push_two(&x);
	then = judged(&x, x.s.b.kv, 1);
	assert_true(then.clamped == clamped_then);
	x.s.m.now_ms += clamped_then ? 2 * hour : -2 * hour;
	put_back(&x);
	push_and_give_back(&x, &x.set[0]);
	now = judged(&x, x.s.m.log, 1);
	assert_true(now.clamped);
	/* Signed with a stamp beyond the hub's clock, in an epoch that is here and over. */
	assert_false(lt_hub_recovering(x.s.m.f.hub));
	push_one(&x, &x.set[1]);
	now = judged(&x, x.s.m.log, 1);
	assert_true(now.clamped == clamped_then);
	assert_true(now.floor == then.floor && now.ceiling == then.ceiling);
	all_have_it(&x, false);
	end(&x);
}

static void
test_clock_moved(void **state)
{
	(void)state;
	clock_moved(true);
	clock_moved(false);
}

/* ---- two verdicts, both back before what they judge ---- */

/* Hub and nodes that are told now: b has the verdict of the first time, a that of the second, and both files are lost. */
static void
lose_twice(struct fix *x, void (*first)(struct fix *x), void (*second)(struct fix *x))
{
	struct lt_kv *again = copy_of(x, x->log);

	first(x);
	(void)memnode_sync(&x->s, &x->s.b);
	put_back(x);
	second(x);
	(void)memnode_sync(&x->s, &x->s.a);
	x->log = again;
	put_back(x);
}

static void
give_both_back(struct fix *x, bool b_first)
{
	give_back_of(x, b_first ? &x->s.b : &x->s.a);
	give_back_of(x, b_first ? &x->s.a : &x->s.b);
	assert_false(lt_hub_recovering(x->s.m.f.hub));
}

/* When the clock was behind. */
static void
clamped(struct fix *x)
{
	push_both(x);
	assert_true(judged(x, x->s.m.log, 1).clamped && judged(x, x->s.m.log, 2).clamped);
}

static void
forward(struct fix *x)
{
	x->s.m.now_ms += INT64_C(2) * 3600000;
}

static void
unclamped(struct fix *x)
{
	forward(x);
	push_both(x);
	assert_false(judged(x, x->s.m.log, 1).clamped || judged(x, x->s.m.log, 2).clamped);
}

/* A verdict on each. */
static void
unclamped_singly(struct fix *x)
{
	forward(x);
	push_one(x, &x->set[0]);
	push_one(x, &x->set[1]);
}

/* Nothing judges the second. */
static void
unclamped_first(struct fix *x)
{
	forward(x);
	push_one(x, &x->set[0]);
}

/* The verdict that came back first counts for all that it speaks of, the later one comes to nodes behind all else, and what only that one speaks
 * of is judged as it says. */
static void
contradicted(void (*second)(struct fix *x), bool b_first, unsigned nlate, bool clamps_second)
{
	struct fix x;

	begin(&x, true);
	push_one(&x, &x.first);
	lt_kv_close(x.log);
	x.log = copy_of(&x, x.s.m.log);
	reseal(&x, x.s.m.now_ms + 3600000);
	lose_twice(&x, clamped, second);
	give_both_back(&x, b_first);
	assert_int_equal(late(&x), nlate);
	push_both(&x);
	assert_true(judged(&x, x.s.m.log, 1).clamped == b_first);
	assert_true(judged(&x, x.s.m.log, 2).clamped == clamps_second);
	/* Who has the one that counts shows what the hub does, also when it has both. */
	(void)memnode_sync(&x.s, b_first ? &x.s.b : &x.s.a);
	assert_true(judged(&x, (b_first ? &x.s.b : &x.s.a)->kv, 1).clamped == b_first);
	assert_true(judged(&x, (b_first ? &x.s.b : &x.s.a)->kv, 2).clamped == clamps_second);
	end(&x);
}

static void
test_contradicted(void **state)
{
	(void)state;
	contradicted(unclamped, true, 1, true);
	contradicted(unclamped, false, 1, false);
	contradicted(unclamped_singly, true, 2, true);
	contradicted(unclamped_singly, false, 1, false);
	contradicted(unclamped_first, true, 1, true);
	contradicted(unclamped_first, false, 1, true);
}

/* The row of one that waits is damaged when the other comes back: what that one says is kept all the same, and decides when the damaged row is gone. */
static void
test_beside_damage(void **state)
{
	struct lt_kv_txn *txn;
	char name[160], hex[2 * LT_FEED_LEN + 1];
	struct fix x;

	(void)state;
	begin(&x, true);
	push_one(&x, &x.first);
	lt_kv_close(x.log);
	x.log = copy_of(&x, x.s.m.log);
	reseal(&x, x.s.m.now_ms + 3600000);
	lose_twice(&x, clamped, unclamped_first);
	give_back_of(&x, &x.s.a);
	lt_hex(hex, x.feed.id.b, LT_FEED_LEN);
	(void)snprintf(name, sizeof(name), "told/%s/%s/%016x", UNIT, hex, 1);
	assert_int_equal(
	    lt_kv_test_flip(x.s.m.log, LT_T_LOCAL, lt_slice_str(name), 3, NULL), LT_OK);
	give_back_of(&x, &x.s.b);
	assert_int_equal(late(&x), 0);
	assert_int_equal(lt_kv_begin_write(x.s.m.log, &txn), LT_OK);
	assert_int_equal(lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(name)), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	push_both(&x);
	assert_true(judged(&x, x.s.m.log, 1).clamped);
	assert_true(judged(&x, x.s.m.log, 2).clamped);
	end(&x);
}

static void
first_held(struct fix *x)
{
	push_one(x, &x->set[0]);
	assert_int_equal(judged(x, x->s.m.log, 1).nheld, 1);
}

static void
then_decided(struct fix *x)
{
	push_one(x, &x->first);
	push_one(x, &x->set[0]);
	assert_int_equal(judged(x, x->s.m.log, 1).nheld, 0);
}

/* What one of them held the other decided: they contradict each other in nothing, and in the end all have it decided. */
static void
held_and_decided(bool b_first, bool refused)
{
	struct fix x;

	begin(&x, !refused);
	lose_twice(&x, first_held, then_decided);
	give_both_back(&x, b_first);
	assert_int_equal(late(&x), 0);
	push_one(&x, &x.set[0]);
	push_one(&x, &x.first);
	all_have_it(&x, refused);
	assert_int_equal(late(&x), 0);
	end(&x);
}

static void
test_held_and_decided(void **state)
{
	(void)state;
	held_and_decided(true, false);
	held_and_decided(false, false);
	held_and_decided(true, true);
	held_and_decided(false, true);
}

/* Held and refused come back before what they speak of: it is refused from the beginning. */
static void
test_settled_before(void **state)
{
	struct fix x;
	struct fed_feed other;
	struct lt_buf first;

	(void)state;
	begin(&x, true);
	fed_feed_init(&other, &x.third, UNIT, LT_LANE_NORMAL, 2);
	seal(&x, &other, "H41.65-261120-0004", NULL, &first);
	hold(&x);
	push_one(&x, &first);
	(void)memnode_sync(&x.s, &x.s.b);
	is_decided(&x, x.s.b.kv, x.s.b.kv, true);
	put_back(&x);
	give_back(&x);
	push_one(&x, &x.set[0]);
	is_decided(&x, x.s.m.log, x.s.m.derived, true);
	push_one(&x, &first);
	all_have_it(&x, true);
	assert_int_equal(late(&x), 0);
	lt_buf_fini(&first);
	end(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decided_since),
		cmocka_unit_test(test_decided_unsaid),
		cmocka_unit_test(test_decided_before_the_last),
		cmocka_unit_test(test_settled_then),
		cmocka_unit_test(test_clock_moved),
		cmocka_unit_test(test_contradicted),
		cmocka_unit_test(test_beside_damage),
		cmocka_unit_test(test_held_and_decided),
		cmocka_unit_test(test_settled_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
