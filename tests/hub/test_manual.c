/* A hub without threads that is told the same as one with threads comes to the same bytes in every table: what is taken,
 * refused, held and woken, clamped, forked, pushed twice, by one revoked; acts, a restart, a second build of the tables. */
#include "tests/lib/memfed.h"
#include "proto/store/tables.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define UNIT "17254"

struct story {
	struct memfed m;
	struct fed_peer a, b;
	struct lt_peer line_a, line_b;
	struct fed_feed wa, wb;
	struct lt_arena arena;
	struct lt_buf heard; /* packed replies */
	struct lt_buf log, derived; /* as they were at the end */
};

static void
hear(void *ctx, const ProtobufCMessage *m)
{
	struct lt_buf *b = ctx;
	static uint8_t bytes[1 << 20]; /* one thread at a time: the caller waits */
	size_t n = protobuf_c_message_get_packed_size(m);

	assert_true(n <= sizeof(bytes));
	(void)protobuf_c_message_pack(m, bytes);
	lt_buf_put(b, bytes, n);
}

static int
push(struct story *s, const struct lt_peer *line, const struct lt_buf *sets, size_t n)
{
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData d[8];
	size_t i;

	assert_true(n <= 8);
	for (i = 0; i < n; i++) {
		d[i].data = sets[i].data;
		d[i].len = sets[i].len;
	}
	r.n_change_set = n;
	r.change_set = d;
	return memfed_ask(&s->m, line, "/lienthong.v1.Sync/Push", &r.base, hear, &s->heard);
}

/* One more change-set of the feed, stamped by the hub's clock and so much more. */
static void
seal(struct story *s, struct fed_feed *w, const struct lt_draft *d, size_t n, int64_t ahead_ms,
    struct lt_buf *out)
{
	lt_buf_init(out, 0);
	w->next_stamp = lt_hlc_next(w->stamp, s->m.now_ms + ahead_ms);
	fed_seal(&s->m.f, w, d, n, out);
}

static void
join(struct story *s, struct fed_peer *p, struct lt_peer *line, uint64_t seed)
{
	uint8_t proof[LT_SIG_LEN];
	Ltpb__JoinRequest r;

	memfed_invite(&s->m, p, seed, UNIT);
	*line = memfed_line(&p->id);
	assert_int_equal(
	    memfed_may(&s->m, line, "/lienthong.v1.Sync/Push"), LT_STATUS_UNAUTHENTICATED);
	fed_join_request(&p->id, proof, &r);
	assert_int_equal(
	    memfed_ask(&s->m, line, "/lienthong.v1.Enrol/Join", &r.base, hear, &s->heard),
	    LT_STATUS_OK);
	assert_int_equal(memfed_may(&s->m, line, "/lienthong.v1.Sync/Push"), LT_STATUS_OK);
	assert_int_equal(
	    memfed_may(&s->m, line, "/lienthong.v1.Admin/Invite"), LT_STATUS_PERMISSION_DENIED);
}

static uint64_t
rows(struct story *s, enum lt_table table)
{
	struct lt_kv_txn *txn;
	uint64_t n;

	assert_int_equal(lt_kv_begin_read(s->m.log, &txn), LT_OK);
	assert_int_equal(lt_kv_count(txn, table, &n), LT_OK);
	lt_kv_abort(txn);
	return n;
}

/* A: a new dossier, then two changes of it in one push; then the push again. */
static void
taken_and_taken_again(struct story *s)
{
	struct lt_draft d;
	struct lt_buf cs[3];
	size_t i;

	fed_draft_dossier(&s->arena, &d, "H41.65-261120-0001");
	seal(s, &s->wa, &d, 1, 0, &cs[0]);
	assert_int_equal(push(s, &s->line_a, &cs[0], 1), LT_STATUS_OK);
	fed_draft_status(&s->arena, &d, "H41.65-261120-0001", "dang_xu_ly");
	seal(s, &s->wa, &d, 1, 0, &cs[1]);
	fed_draft_dossier(&s->arena, &d, "H41.65-261120-0002");
	seal(s, &s->wa, &d, 1, 0, &cs[2]);
	assert_int_equal(push(s, &s->line_a, cs + 1, 2), LT_STATUS_OK);
	assert_int_equal(push(s, &s->line_a, cs, 3), LT_STATUS_OK);
	for (i = 0; i < 3; i++)
		lt_buf_fini(&cs[i]);
}

/* B's change names one of A's that is not here yet; A's comes after one that the catalogue refuses and one of next year. */
static void
held_refused_clamped(struct story *s)
{
	struct lt_context seen;
	struct lt_draft d;
	struct lt_buf cs[3], by_b;
	size_t i;

	fed_draft_status(&s->arena, &d, "H41.65-261120-0001", "nonsense");
	seal(s, &s->wa, &d, 1, 0, &cs[0]);
	fed_draft_status(&s->arena, &d, "H41.65-261120-0002", "dang_xu_ly");
	seal(s, &s->wa, &d, 1, INT64_C(365) * 86400000, &cs[1]);
	fed_draft_status(&s->arena, &d, "H41.65-261120-0001", "da_tra_ket_qua");
	seal(s, &s->wa, &d, 1, 0, &cs[2]);
	seen.feed = s->wa.id;
	seen.seq = s->wa.seq;
	seen.hash8 = lt_load_u64(s->wa.hash.b);
	fed_draft_status(&s->arena, &d, "H41.65-261120-0001", "dang_xu_ly");
	d.ncontext = 1;
	d.context = &seen;
	seal(s, &s->wb, &d, 1, 0, &by_b);
	assert_int_equal(push(s, &s->line_b, &by_b, 1), LT_STATUS_OK);
	assert_int_equal(rows(s, LT_T_HELD), 1);
	assert_int_equal(push(s, &s->line_a, &cs[2], 1), LT_STATUS_OK); /* a gap: needed first */
	assert_int_equal(push(s, &s->line_a, cs, 3), LT_STATUS_OK);
	assert_int_equal(rows(s, LT_T_HELD), 0);
	assert_int_equal(rows(s, LT_T_QUARANTINE), 1);
	for (i = 0; i < 3; i++)
		lt_buf_fini(&cs[i]);
	lt_buf_fini(&by_b);
}

static void
forked_and_revoked(struct story *s)
{
	char hex[2 * LT_ID_LEN + 1];
	struct fed_feed twin = s->wb;
	struct lt_draft d;
	struct lt_buf one, other;

	fed_draft_dossier(&s->arena, &d, "H41.65-261120-0003");
	seal(s, &s->wb, &d, 1, 0, &one);
	fed_draft_dossier(&s->arena, &d, "H41.65-261120-0004");
	seal(s, &twin, &d, 1, 0, &other);
	assert_int_equal(push(s, &s->line_b, &one, 1), LT_STATUS_OK);
	assert_int_equal(push(s, &s->line_b, &other, 1), lt_status_from_error(LT_E_FORK));
	fed_principal_hex(&s->b, hex);
	fed_act_enum(&s->m.f, "_registry", hex, "state", "revoked");
	memfed_settle(&s->m);
	assert_int_equal(push(s, &s->line_b, &one, 1), LT_STATUS_UNAUTHENTICATED);
	lt_buf_fini(&one);
	lt_buf_fini(&other);
}

static void
greet_and_pull(struct story *s)
{
	Ltpb__HelloRequest hello = LTPB__HELLO_REQUEST__INIT;
	Ltpb__AnnounceRequest announce = LTPB__ANNOUNCE_REQUEST__INIT;
	Ltpb__PullRequest pull = LTPB__PULL_REQUEST__INIT;
	Ltpb__FeedHead head = LTPB__FEED_HEAD__INIT, *heads[1] = { &head };
	uint8_t instance[16] = { 1 };
	size_t before;

	head.unit = (char *)UNIT;
	head.feed.data = s->wa.id.b;
	head.feed.len = LT_FEED_LEN;
	head.seq = s->wa.seq;
	head.hash.data = s->wa.hash.b;
	head.hash.len = LT_HASH_LEN;
	hello.principal.data = s->b.id.principal.b; /* not whose line it is */
	hello.principal.len = LT_ID_LEN;
	hello.instance.data = instance;
	hello.instance.len = sizeof(instance);
	hello.head = announce.head = pull.have = heads;
	hello.n_head = announce.n_head = pull.n_have = 1;
	hello.clock_ms = announce.clock_ms = s->m.now_ms + 5000;
	assert_int_equal(
	    memfed_ask(&s->m, &s->line_a, "/lienthong.v1.Sync/Hello", &hello.base, hear, &s->heard),
	    LT_STATUS_INVALID_ARGUMENT);
	hello.principal.data = s->a.id.principal.b;
	assert_int_equal(
	    memfed_ask(&s->m, &s->line_a, "/lienthong.v1.Sync/Hello", &hello.base, hear, &s->heard),
	    LT_STATUS_OK);
	assert_int_equal(memfed_ask(&s->m, &s->line_a, "/lienthong.v1.Sync/Announce",
			     &announce.base, hear, &s->heard),
	    LT_STATUS_OK);
	before = s->heard.len;
	assert_int_equal(
	    memfed_ask(&s->m, &s->line_a, "/lienthong.v1.Sync/Pull", &pull.base, hear, &s->heard),
	    LT_STATUS_OK);
	assert_true(s->heard.len > before + 10000); /* the catalogue alone is more */
}

/* The same stores under a new hub; tables of which half a row is gone are built anew. */
static void
restart(struct story *s, bool spoil)
{
	struct lt_hub_options ho = { .identity = s->m.f.hub_id,
		.clock = &s->m.clock,
		.log = s->m.log,
		.derived = s->m.derived,
		.manual = s->m.manual };
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;

	memfed_close_hub(&s->m);
	if (spoil) {
		assert_int_equal(lt_kv_begin_write(s->m.derived, &txn), LT_OK);
		assert_int_equal(lt_kv_clear(txn, LT_T_CURSOR), LT_OK);
		assert_int_equal(lt_kv_commit(txn), LT_OK);
	}
	assert_int_equal(lt_hub_open(&ho, &s->m.f.hub, &err), LT_OK);
	assert_int_equal(lt_enrol_open(s->m.f.hub, &s->m.f.enrol, &err), LT_OK);
	assert_int_equal(lt_fresh_open(s->m.f.hub, &s->m.f.fresh), LT_OK);
	s->m.f.service.hub = s->m.f.hub;
	s->m.f.service.enrol = s->m.f.enrol;
	s->m.f.service.fresh = s->m.f.fresh;
	memfed_settle(&s->m);
}

static void
tell(struct story *s, bool manual, struct memfed_marks *marks)
{
	memset(s, 0, sizeof(*s));
	lt_arena_init(&s->arena, (size_t)64 << 20);
	memfed_open(&s->m, manual, marks);
	join(s, &s->a, &s->line_a, 2);
	join(s, &s->b, &s->line_b, 3);
	fed_feed_init(&s->wa, &s->a, UNIT, LT_LANE_NORMAL, 5);
	fed_feed_init(&s->wb, &s->b, UNIT, LT_LANE_NORMAL, 6);
	taken_and_taken_again(s);
	held_refused_clamped(s);
	restart(s, false);
	greet_and_pull(s);
	forked_and_revoked(s);
	restart(s, true);
	memfed_close_hub(&s->m);
	memfed_dump(s->m.log, &s->log);
	memfed_dump(s->m.derived, &s->derived);
	memfed_close(&s->m);
	lt_arena_fini(&s->arena);
}

static void
assert_same(const char *what, const struct lt_buf *a, const struct lt_buf *b)
{
	size_t i;

	for (i = 0; i < a->len && i < b->len && a->data[i] == b->data[i]; i++)
		;
	if (a->len != b->len || i != a->len)
		fail_msg("%s: %zu and %zu bytes, differ from %zu on", what, a->len, b->len, i);
}

static void
with_and_without_threads(void **state)
{
	static struct memfed_marks marks;
	static struct story without, with;

	(void)state;
	tell(&without, true, &marks);
	tell(&with, false, &marks);
	assert_true(without.log.len > 100000);
	assert_true(without.derived.len > 10000);
	assert_same("replies", &without.heard, &with.heard);
	assert_same("log", &without.log, &with.log);
	assert_same("derived tables", &without.derived, &with.derived);
	lt_buf_fini(&without.heard);
	lt_buf_fini(&without.log);
	lt_buf_fini(&without.derived);
	lt_buf_fini(&with.heard);
	lt_buf_fini(&with.log);
	lt_buf_fini(&with.derived);
}

static void
counted(void *ctx, const struct lt_intake_result *r)
{
	assert_int_equal(r->rc, LT_OK);
	++*(unsigned *)ctx;
}

/* Nothing moves but by steps; and each does one thing after the other. */
static void
one_step_at_a_time(void **state)
{
	static struct memfed_marks marks;
	static struct story s;
	struct lt_slice bytes;
	struct lt_draft d;
	struct lt_buf cs;
	unsigned calls = 0;
	uint64_t before;

	(void)state;
	marks.n = 0;
	memset(&s, 0, sizeof(s));
	lt_arena_init(&s.arena, (size_t)64 << 20);
	memfed_open(&s.m, true, &marks);
	join(&s, &s.a, &s.line_a, 2);
	fed_feed_init(&s.wa, &s.a, UNIT, LT_LANE_NORMAL, 5);
	assert_false(lt_hub_step(s.m.f.hub));
	before = lt_hub_log_position(s.m.f.hub);
	fed_draft_dossier(&s.arena, &d, "H41.65-261120-0001");
	seal(&s, &s.wa, &d, 1, 0, &cs);
	bytes = lt_buf_slice(&cs);
	lt_hub_intake(s.m.f.hub, &s.a.id.principal, &bytes, 1, counted, &calls);
	assert_int_equal(calls, 0);
	assert_int_equal(lt_hub_log_position(s.m.f.hub), before);
	assert_true(lt_hub_step(s.m.f.hub)); /* appended, receipted, projected */
	assert_int_equal(calls, 1);
	assert_int_equal(lt_hub_log_position(s.m.f.hub), before + 1);
	assert_int_equal(lt_hub_projected(s.m.f.hub), before + 1);
	assert_true(lt_hub_step(s.m.f.hub)); /* the verdict */
	assert_int_equal(lt_hub_log_position(s.m.f.hub), before + 2);
	assert_false(lt_hub_step(s.m.f.hub));
	lt_buf_fini(&cs);
	lt_buf_fini(&s.heard);
	memfed_close(&s.m);
	lt_arena_fini(&s.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_and_without_threads),
		cmocka_unit_test(one_step_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
