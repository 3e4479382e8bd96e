/* What the replicator decides next: expected traces as text, both sides of each bound, and a long random walk with
 * the rules that hold in every state. */
#include "node/sync.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* splitmix64 of seed 1234567: its published outputs begin 6457827717110365317, 3203168211198807973,
 * 9817491932198370423. The waits below are these modulo (bound + 1), worked out apart from this program. */
#define SEED 1234567
static const int64_t waits[] = { 722, 1441, 2622, 3223, 8768, 1623, 56789, 95365, 189537, 259301,
	92252, 6243, 181024, 140520, 270700, 210088, 43272, 234710, 138333, 165181 };
/* The same outputs modulo 1001: the waits of somebody who never fails twice in a row. */
static const int64_t short_waits[] = { 722, 121, 3, 738, 727, 284 };

/* The same outputs modulo (bound + 1) where the bound begins at 2000: the waits of a pull that keeps failing; and modulo
 * 2001: of one whose every failure is the first. */
static const int64_t pull_waits[] = { 360, 477, 675, 5941, 15737, 59469, 31569, 210137, 117240,
	259301, 92252, 6243, 181024, 140520 };
static const int64_t short_pull_waits[] = { 360, 1441, 1083, 298, 1262, 1356 };

struct run {
	struct lt_sync s;
	struct lt_sync_todo todo;
	int minute;
	char out[8192];
	size_t len;
};

/* Feeds are named u1, n1, n2, b1: lane and epoch. */
static struct lt_feed_id
feed(enum lt_lane lane, uint64_t epoch)
{
	struct lt_id author;

	memset(author.b, 7, sizeof(author.b));
	return lt_feed_id_make(author, lane, epoch);
}

#define U1 feed(LT_LANE_URGENT, 1)
#define N1 feed(LT_LANE_NORMAL, 1)
#define N2 feed(LT_LANE_NORMAL, 2)
#define B1 feed(LT_LANE_BULK, 1)

static void __attribute__((format(printf, 2, 3))) say(struct run *r, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(r->out + r->len, sizeof(r->out) - r->len, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && r->len + (size_t)n < sizeof(r->out));
	r->len += (size_t)n;
}

static void
say_action(struct run *r, const struct lt_sync_action *a)
{
	static const char *const name[] = { "dial", "join", "hello", "give-back", "pull", "push",
		"announce", "fetch", "supply", "close", "timer" };

	say(r, " %s", name[a->kind]);
	if (a->kind == LT_SYNC_DO_PUSH)
		say(r, " %c%d from %d max %d", "?unb"[lt_feed_lane(&a->feed)],
		    (int)lt_feed_epoch(&a->feed), (int)a -> from_seq, (int)a -> max_bytes);
	if (a->kind == LT_SYNC_DO_TIMER)
		say(r, " %lld", (long long)a->at_ms);
}

static void
step(struct run *r, int64_t now, struct lt_sync_event ev)
{
	static const char *const name[] = { "start", "stop", "timer", "dialed", "lost", "joined",
		"greeted", "given-back", "pushed", "announced", "pull-ended", "committed",
		"fetched", "supplied" };
	size_t i;

	ev.now_ms = now;
	ev.minute_of_day = r->minute;
	say(r, "%lld %s%s:", (long long)now, name[ev.kind],
	    ev.ok || ev.kind == LT_SYNC_EV_START || ev.kind == LT_SYNC_EV_STOP ||
		    ev.kind == LT_SYNC_EV_TIMER || ev.kind == LT_SYNC_EV_LOST ||
		    ev.kind == LT_SYNC_EV_COMMITTED || ev.kind == LT_SYNC_EV_PULL_ENDED
		? ""
		: " no");
	lt_sync_step(&r->s, &ev, &r->todo);
	for (i = 0; i < r->todo.n; i++)
		say_action(r, &r->todo.action[i]);
	say(r, " (%s)\n", lt_sync_phase_name(r->s.phase));
}

#define EV(k, ...) ((struct lt_sync_event){ .kind = LT_SYNC_EV_##k, __VA_ARGS__ })
#define STEP(r, now, ...) step((r), (now), EV(__VA_ARGS__))

static void
begin_with(struct run *r, struct lt_sync_config c)
{
	memset(r, 0, sizeof(*r));
	r->minute = 600;
	c.seed = SEED;
	lt_sync_init(&r->s, &c);
}

static void
begin(struct run *r)
{
	begin_with(r, (struct lt_sync_config){ 0 });
}

/* Online at time 0 with these feeds; the trace begins after it. */
static void
online(struct run *r, const struct lt_sync_feed *feeds, size_t n)
{
	STEP(r, 0, START);
	STEP(r, 0, DIALED, .ok = true);
	STEP(r, 0, GREETED, .ok = true, .feeds = feeds, .nfeed = n);
	assert_int_equal(r->s.phase, LT_SYNC_ONLINE);
}

static void
clear(struct run *r)
{
	r->len = 0;
	r->out[0] = '\0';
}

static const struct lt_sync_action *
find(const struct run *r, enum lt_sync_action_kind kind)
{
	size_t i;

	for (i = 0; i < r->todo.n; i++)
		if (r->todo.action[i].kind == kind)
			return &r->todo.action[i];
	return NULL;
}

static int64_t
timer(const struct run *r)
{
	const struct lt_sync_action *a = find(r, LT_SYNC_DO_TIMER);

	return a != NULL ? a->at_ms : -1;
}

/* ---- a life ---- */

/* Login, everything that waits goes up, the urgent lane first; then news, announcements, the end. */
static void
test_a_day(void **state)
{
	const struct lt_sync_feed feeds[] = { { N1, 5, 2, true, false, false, false },
		{ B1, 1, 0, true, false, false, false }, { U1, 3, 3, true, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	STEP(&r, 100, START);
	STEP(&r, 130, DIALED, .ok = true);
	STEP(&r, 160, GREETED, .ok = true, .feeds = feeds, .nfeed = 3);
	STEP(&r, 170, COMMITTED, .feed = U1, .seq = 4);
	STEP(&r, 180, ANNOUNCED, .ok = true);
	STEP(&r, 1160, PUSHED, .ok = true, .feed = N1, .seq = 5, .bytes = 65536);
	STEP(&r, 1170, PUSHED, .ok = true, .feed = U1, .seq = 4, .bytes = 400);
	STEP(&r, 1180, PUSHED, .ok = true, .feed = B1, .seq = 1, .bytes = 400);
	STEP(&r, 10160, TIMER);
	STEP(&r, 10170, ANNOUNCED, .ok = true);
	STEP(&r, 11000, STOP);
	STEP(&r, 12000, COMMITTED, .feed = N1, .seq = 6);
	assert_string_equal(r.out, "100 start: dial (connecting)\n"
				   "130 dialed: hello (greeting)\n"
				   "160 greeted: pull announce push n1 from 3 max 65536 push b1 "
				   "from 1 max 65536 (online)\n"
				   "170 committed: push u1 from 4 max 65536 (online)\n"
				   "180 announced: timer 10160 (online)\n"
				   "1160 pushed: timer 10160 (online)\n"
				   "1170 pushed: timer 10160 (online)\n"
				   "1180 pushed: timer 10160 (online)\n"
				   "10160 timer: announce (online)\n"
				   "10170 announced: timer 20160 (online)\n"
				   "11000 stop: close (stopped)\n"
				   "12000 committed: (stopped)\n");
}

/* All three lanes at once, and never two pushes of a lane: the earlier epoch goes first, then the later. */
static void
test_lanes(void **state)
{
	const struct lt_sync_feed feeds[] = { { B1, 1, 0, true, false, false, false },
		{ N1, 9, 0, true, false, false, false }, { N2, 2, 0, true, false, false, false },
		{ U1, 1, 0, true, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	online(&r, feeds, 4);
	clear(&r);
	STEP(&r, 1, COMMITTED, .feed = N2, .seq = 3);
	STEP(&r, 2, COMMITTED, .feed = N1, .seq = 10);
	STEP(&r, 3, ANNOUNCED, .ok = true);
	STEP(&r, 1000, PUSHED, .ok = true, .feed = N1, .seq = 9, .bytes = 65536);
	STEP(&r, 2000, PUSHED, .ok = true, .feed = N1, .seq = 10, .bytes = 65536);
	STEP(&r, 3000, PUSHED, .ok = true, .feed = N2, .seq = 3, .bytes = 65536);
	assert_string_equal(r.out, "1 committed: (online)\n"
				   "2 committed: (online)\n"
				   "3 announced: timer 10000 (online)\n"
				   "1000 pushed: push n1 from 10 max 65536 timer 10000 (online)\n"
				   "2000 pushed: push n2 from 1 max 65536 timer 10000 (online)\n"
				   "3000 pushed: timer 10000 (online)\n");
}

/* ---- waiting ---- */

/* The waits double in their bound, up to five minutes, and are those of the seed. */
static void
test_back_off(void **state)
{
	struct run a, b;
	int64_t now = 0, bound = LT_SYNC_BACKOFF_BASE_MS;
	size_t i;

	(void)state;
	begin(&a);
	begin(&b);
	STEP(&a, 0, START);
	STEP(&b, 0, START);
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		clear(&a);
		clear(&b);
		STEP(&a, now, DIALED);
		STEP(&b, now, DIALED);
		assert_string_equal(a.out, b.out);
		assert_true(waits[i] <= bound);
		assert_int_equal(a.s.phase, LT_SYNC_WAITING);
		assert_int_equal(timer(&a), now + waits[i]);
		/* A moment too early nothing happens but the timer being armed again. */
		STEP(&a, now + waits[i] - 1, TIMER);
		assert_null(find(&a, LT_SYNC_DO_DIAL));
		assert_int_equal(timer(&a), now + waits[i]);
		now += waits[i];
		STEP(&a, now, TIMER);
		STEP(&b, now, TIMER);
		assert_non_null(find(&a, LT_SYNC_DO_DIAL));
		assert_int_equal(timer(&a), -1);
		bound = bound * 2 < LT_SYNC_BACKOFF_MAX_MS ? bound * 2 : LT_SYNC_BACKOFF_MAX_MS;
	}
}

/* A login ends the row of failures. */
static void
test_back_off_begins_anew(void **state)
{
	struct run r;
	int64_t now = 0;
	size_t i;

	(void)state;
	begin(&r);
	STEP(&r, 0, START);
	for (i = 0; i < sizeof(short_waits) / sizeof(short_waits[0]); i++) {
		STEP(&r, now, DIALED, .ok = true);
		STEP(&r, now, GREETED, .ok = true);
		STEP(&r, now, LOST);
		assert_int_equal(r.s.wait_until_ms, now + short_waits[i]);
		now = r.s.wait_until_ms;
		STEP(&r, now, TIMER);
		assert_int_equal(r.s.phase, LT_SYNC_DIALING);
		clear(&r);
	}
	/* One that cannot greet keeps failing: the row goes on. */
	STEP(&r, now, DIALED, .ok = true);
	STEP(&r, now, GREETED);
	assert_non_null(find(&r, LT_SYNC_DO_CLOSE));
	assert_int_equal(r.s.attempts, 2);
}

/* The hub's word on when to come back, and a refusal that time alone does not mend. */
static void
test_asked_to_wait(void **state)
{
	static const struct {
		const char *descr;
		uint32_t retry_after_ms;
		bool final;
		int64_t wait;
	} cases[] = {
		{ "nothing said", 0, false, 722 },
		{ "less than our own wait", 721, false, 722 },
		{ "just our own wait", 722, false, 722 },
		{ "more: and the jitter after it", 723, false, 723 + 722 },
		{ "a minute", 60000, false, 60000 + 722 },
		{ "the most that can be said", UINT32_MAX, false, (int64_t)UINT32_MAX + 722 },
		{ "refused for good", 0, true, 150000 + 361 },
		{ "refused for good, and more to wait", 200000, true, 200000 + 150361 },
	};
	struct run r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].descr);
		begin(&r);
		STEP(&r, 0, START);
		STEP(&r, 1000, DIALED, .ok = true);
		STEP(&r, 2000, GREETED, .retry_after_ms = cases[i].retry_after_ms,
		    .final = cases[i].final);
		assert_non_null(find(&r, LT_SYNC_DO_CLOSE));
		assert_int_equal(timer(&r), 2000 + cases[i].wait);
	}
}

/* ---- enrolment ---- */

static void
test_joining(void **state)
{
	struct run r;

	(void)state;
	begin_with(&r, (struct lt_sync_config){ .joining = true });
	STEP(&r, 0, START);
	STEP(&r, 10, DIALED, .ok = true);
	STEP(&r, 20, JOINED, .ok = true, .retry_after_ms = 7000);
	STEP(&r, 7019, TIMER);
	STEP(&r, 7020, TIMER);
	STEP(&r, 7030, JOINED, .ok = true);
	STEP(&r, 12030, TIMER);
	STEP(&r, 12040, JOINED, .ok = true, .active = true);
	STEP(&r, 12050, GREETED, .ok = true);
	/* Once in, a lost line is dialed to greet, not to join. */
	STEP(&r, 12060, LOST);
	STEP(&r, 12782, TIMER);
	STEP(&r, 12790, DIALED, .ok = true);
	assert_string_equal(r.out, "0 start: dial (connecting)\n"
				   "10 dialed: join timer 300010 (pending)\n"
				   "20 joined: timer 7020 (pending)\n"
				   "7019 timer: timer 7020 (pending)\n"
				   "7020 timer: join timer 307020 (pending)\n"
				   "7030 joined: timer 12030 (pending)\n"
				   "12030 timer: join timer 312030 (pending)\n"
				   "12040 joined: hello (greeting)\n"
				   "12050 greeted: pull announce (online)\n"
				   "12060 lost: timer 12782 (waiting)\n"
				   "12782 timer: dial (connecting)\n"
				   "12790 dialed: hello (greeting)\n");
}

static void
test_join_refused(void **state)
{
	struct run r;

	(void)state;
	begin_with(&r, (struct lt_sync_config){ .joining = true });
	STEP(&r, 0, START);
	STEP(&r, 10, DIALED, .ok = true);
	STEP(&r, 20, JOINED, .final = true);
	STEP(&r, 150381, TIMER);
	STEP(&r, 150391, DIALED, .ok = true);
	/* The connection goes while the operator thinks: dialed again, asked again. */
	STEP(&r, 150400, JOINED, .ok = true);
	STEP(&r, 150500, LOST);
	assert_string_equal(r.out, "0 start: dial (connecting)\n"
				   "10 dialed: join timer 300010 (pending)\n"
				   "20 joined no: close timer 150381 (waiting)\n"
				   "150381 timer: dial (connecting)\n"
				   "150391 dialed: join timer 450391 (pending)\n"
				   "150400 joined: timer 155400 (pending)\n"
				   "150500 lost: timer 151941 (waiting)\n");
}

/* ---- what may be pushed ---- */

/* The bulk window, by minutes of the day; midnight in it, or not. */
static void
test_bulk_window(void **state)
{
	static const struct {
		int from, to, minute;
		bool open;
	} cases[] = {
		{ 0, 0, 0, true },
		{ 720, 720, 719, true },
		{ 60, 120, 59, false },
		{ 60, 120, 60, true },
		{ 60, 120, 119, true },
		{ 60, 120, 120, false },
		{ 1320, 300, 1319, false },
		{ 1320, 300, 1320, true },
		{ 1320, 300, 1439, true },
		{ 1320, 300, 0, true },
		{ 1320, 300, 299, true },
		{ 1320, 300, 300, false },
		{ 60, 120, -1, true },
		{ 1320, 300, -1, true },
	};
	const struct lt_sync_feed feeds[] = { { B1, 1, 0, true, false, false, false } };
	struct run r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin_with(&r,
		    (struct lt_sync_config){ .bulk_from = cases[i].from, .bulk_to = cases[i].to });
		r.minute = cases[i].minute;
		online(&r, feeds, 1);
		if ((find(&r, LT_SYNC_DO_PUSH) != NULL) != cases[i].open)
			fail_msg("%d..%d at %d", cases[i].from, cases[i].to, cases[i].minute);
	}
}

/* Closed, bulk alone waits; when the window opens it goes with the next thing that happens, which the announcement
 * makes at most ten seconds away. A push under way when it closes is not cut off. */
static void
test_bulk_window_opens(void **state)
{
	const struct lt_sync_feed feeds[] = { { B1, 9, 0, true, false, false, false },
		{ N1, 1, 0, true, false, false, false } };
	struct run r;

	(void)state;
	begin_with(&r, (struct lt_sync_config){ .bulk_from = 60, .bulk_to = 120 });
	r.minute = 59;
	online(&r, feeds, 2);
	STEP(&r, 5, ANNOUNCED, .ok = true);
	clear(&r);
	r.minute = 60;
	STEP(&r, 10000, TIMER);
	r.minute = 120;
	STEP(&r, 11000, PUSHED, .ok = true, .feed = B1, .seq = 4, .bytes = 65536);
	assert_string_equal(r.out, "10000 timer: announce push b1 from 1 max 65536 (online)\n"
				   "11000 pushed: (online)\n");
}

/* The hub knows another branch: nothing is pushed, whatever is committed, until a login says otherwise. */
static void
test_unusable(void **state)
{
	const struct lt_sync_feed bad[] = { { N1, 5, 7, false, false, false, false } };
	const struct lt_sync_feed good[] = { { N1, 9, 7, true, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	online(&r, bad, 1);
	STEP(&r, 1, COMMITTED, .feed = N1, .seq = 8);
	STEP(&r, 2, COMMITTED, .feed = N1, .seq = 9);
	assert_null(strstr(r.out, "push"));
	/* The new epoch goes its own way. */
	clear(&r);
	STEP(&r, 3, COMMITTED, .feed = N2, .seq = 1);
	assert_non_null(strstr(r.out, "push n2 from 1"));
	STEP(&r, 4, PUSHED, .ok = true, .feed = N2, .seq = 1, .bytes = 10);
	STEP(&r, 5, LOST);
	STEP(&r, 2000, TIMER);
	STEP(&r, 2000, DIALED, .ok = true);
	clear(&r);
	STEP(&r, 2000, GREETED, .ok = true, .feeds = good, .nfeed = 1);
	assert_non_null(strstr(r.out, "push n1 from 8"));
}

/* Refused for good (a fork, a revoked key): that feed rests, the others do not. */
static void
test_refused_push(void **state)
{
	const struct lt_sync_feed feeds[] = { { N1, 5, 0, true, false, false, false },
		{ U1, 2, 0, true, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	online(&r, feeds, 2);
	clear(&r);
	STEP(&r, 1, PUSHED, .feed = N1, .final = true);
	STEP(&r, 2, COMMITTED, .feed = N1, .seq = 6);
	STEP(&r, 3, COMMITTED, .feed = U1, .seq = 3);
	STEP(&r, 1000, PUSHED, .ok = true, .feed = U1, .seq = 2, .bytes = 65536);
	assert_string_equal(r.out, "1 pushed no: (online)\n"
				   "2 committed: (online)\n"
				   "3 committed: (online)\n"
				   "1000 pushed: push u1 from 3 max 65536 (online)\n");
}

/* The hub has no room: pushes of every lane are held as long as it asks and a little more, announcements go on. */
static void
test_hub_asks_for_time(void **state)
{
	const struct lt_sync_feed feeds[] = { { N1, 5, 0, true, false, false, false },
		{ U1, 2, 2, true, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	online(&r, feeds, 2);
	STEP(&r, 1, ANNOUNCED, .ok = true);
	clear(&r);
	STEP(&r, 1000, PUSHED, .feed = N1, .retry_after_ms = 2000);
	STEP(&r, 1100, COMMITTED, .feed = U1, .seq = 3);
	STEP(&r, 3721, TIMER);
	STEP(&r, 3722, TIMER);
	assert_string_equal(r.out,
	    "1000 pushed no: timer 3722 (online)\n"
	    "1100 committed: timer 3722 (online)\n"
	    "3721 timer: timer 3722 (online)\n"
	    "3722 timer: push u1 from 3 max 65536 push n1 from 1 max 65536 timer 10000 (online)\n");
}

/* The hub was restored from a backup: it holds less than it said. From there again, not from where we were. */
static void
test_hub_restored(void **state)
{
	const struct lt_sync_feed feeds[] = { { N1, 20, 10, true, false, false, false } };
	const struct lt_sync_feed after[] = { { N1, 20, 3, true, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	online(&r, feeds, 1);
	STEP(&r, 1, ANNOUNCED, .ok = true);
	clear(&r);
	STEP(&r, 1000, PUSHED, .ok = true, .feed = N1, .seq = 4, .bytes = 65536);
	STEP(&r, 1722, TIMER);
	STEP(&r, 2722, PUSHED, .ok = true, .feed = N1, .seq = 12, .bytes = 65536);
	STEP(&r, 3000, LOST);
	STEP(&r, 3121, TIMER);
	STEP(&r, 3200, DIALED, .ok = true);
	STEP(&r, 3300, GREETED, .ok = true, .feeds = after, .nfeed = 1);
	assert_string_equal(r.out,
	    "1000 pushed: timer 1722 (online)\n"
	    "1722 timer: push n1 from 5 max 65536 timer 10000 (online)\n"
	    "2722 pushed: push n1 from 13 max 65536 timer 10000 (online)\n"
	    "3000 lost: timer 3121 (waiting)\n"
	    "3121 timer: dial (connecting)\n"
	    "3200 dialed: hello (greeting)\n"
	    "3300 greeted: pull announce push n1 from 4 max 65536 (online)\n");
}

/* A hub that answers and takes nothing is not asked again at once: that would be a loop as fast as the line. */
static void
test_nothing_gained(void **state)
{
	const struct lt_sync_feed feeds[] = { { N1, 20, 10, true, false, false, false } };
	struct run r;
	int64_t now = 0;
	unsigned i, pushes = 0;

	(void)state;
	begin(&r);
	online(&r, feeds, 1);
	STEP(&r, now, ANNOUNCED, .ok = true);
	for (i = 0; i < 1000 && now < 10000; i++) {
		clear(&r);
		if (r.s.feed[0].in_flight)
			STEP(&r, now, PUSHED, .ok = true, .feed = N1, .seq = 10, .bytes = 100);
		else
			STEP(&r, now, TIMER);
		pushes += find(&r, LT_SYNC_DO_PUSH) != NULL;
		if (timer(&r) > now && !r.s.feed[0].in_flight)
			now = timer(&r);
	}
	/* 722 + 1441 + 2622 + 3223 are 8008; the one after would be at 16776. */
	assert_int_equal(now, 10000);
	assert_int_equal(pushes, 4);
}

/* One push that fails, or gains nothing, after the other: each wait is of twice the bound, up to five minutes, and what is
 * gained ends the row. The hub's time comes before the jitter. */
static void
test_failed_pushes(void **state)
{
	const struct lt_sync_feed feeds[] = { { N1, 20, 10, true, false, false, false } };
	struct run r;
	int64_t now = 0, wait;
	size_t i;

	(void)state;
	begin(&r);
	online(&r, feeds, 1);
	for (i = 0; i < 14; i++) {
		uint32_t asked = i % 3 == 0 ? 7000 : 0;

		clear(&r);
		/* In turn: an error, and an answer without progress. */
		STEP(&r, now, PUSHED, .ok = i % 2 != 0, .feed = N1, .seq = 10,
		    .retry_after_ms = asked);
		wait = waits[i] + asked;
		assert_int_equal(r.s.hold_until_ms, now + wait);
		STEP(&r, now + wait - 1, COMMITTED, .feed = N1, .seq = 21 + i);
		assert_null(find(&r, LT_SYNC_DO_PUSH));
		now += wait;
		STEP(&r, now, TIMER);
		assert_non_null(find(&r, LT_SYNC_DO_PUSH));
	}
	assert_int_equal(r.s.push_failures, 14);
	STEP(&r, now, PUSHED, .ok = true, .feed = N1, .seq = 11, .bytes = 1);
	assert_int_equal(r.s.push_failures, 0);
	assert_non_null(find(&r, LT_SYNC_DO_PUSH));
	STEP(&r, now, PUSHED, .feed = N1);
	assert_true(r.s.hold_until_ms <= now + LT_SYNC_BACKOFF_BASE_MS);
	/* A new session does not pay for the old one. */
	STEP(&r, now, LOST);
	assert_int_equal(r.s.push_failures, 0);
}

/* A pull that ends and ends: later each time, up to five minutes. */
static void
test_failed_pulls(void **state)
{
	struct run r;
	int64_t now = 0;
	size_t i;

	(void)state;
	begin(&r);
	online(&r, NULL, 0);
	for (i = 0; i < sizeof(pull_waits) / sizeof(pull_waits[0]); i++) {
		uint32_t asked = i % 3 == 0 ? 60000 : 0;

		/* Also one that ends without an error, but at once. */
		STEP(&r, now, PULL_ENDED, .ok = i % 2 != 0, .retry_after_ms = asked);
		assert_null(find(&r, LT_SYNC_DO_PULL));
		now += pull_waits[i] + asked;
		STEP(&r, now - 1, TIMER);
		assert_null(find(&r, LT_SYNC_DO_PULL));
		STEP(&r, now, TIMER);
		assert_non_null(find(&r, LT_SYNC_DO_PULL));
		clear(&r);
	}
	assert_int_equal(r.s.pull_failures, 14);
}

/* What brought change-sets, or caught up and then stood, begins the row anew; both sides of the bound. */
static void
test_pulls_that_brought_something(void **state)
{
	static const struct {
		const char *descr;
		int64_t stood;
		uint64_t taken;
		bool ok, anew;
	} cases[] = {
		{ "one change-set, then a failure", 0, 1, false, true },
		{ "nothing new, but it stood", LT_SYNC_PULL_STOOD_MS, 0, true, true },
		{ "a moment too short", LT_SYNC_PULL_STOOD_MS - 1, 0, true, false },
		{ "it stood, and then a change-set was not taken", 60000, 0, false, false },
	};
	struct run r;
	int64_t now = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].descr);
		begin(&r);
		online(&r, NULL, 0);
		r.s.pull_failures = 5;
		STEP(&r, cases[i].stood, PULL_ENDED, .ok = cases[i].ok, .seq = cases[i].taken);
		assert_int_equal(r.s.pull_failures, cases[i].anew ? 1 : 6);
		/* 2000 << 5 is 64000: of the same first output, 6457827717110365317 mod 64001 is 46929. */
		assert_int_equal(r.s.pull_at_ms, cases[i].stood + (cases[i].anew ? 360 : 46929));
	}
	begin(&r);
	online(&r, NULL, 0);
	for (i = 0; i < sizeof(short_pull_waits) / sizeof(short_pull_waits[0]); i++) {
		STEP(&r, now, PULL_ENDED, .seq = 3);
		now += short_pull_waits[i];
		assert_int_equal(r.s.pull_at_ms, now);
		STEP(&r, now, TIMER);
		clear(&r);
	}
	/* Not twice for one pull: an end that belongs to none says nothing. */
	STEP(&r, now, PULL_ENDED);
	i = r.s.pull_failures;
	STEP(&r, now, PULL_ENDED);
	assert_int_equal(r.s.pull_failures, i);
}

/* Over many seeds the wait lies anywhere from nothing to the bound, and near both ends. */
static void
test_jitter_range(void **state)
{
	const int64_t bound = 8000; /* the third failure in a row of a pull */
	int64_t lowest = INT64_MAX, highest = 0, sum = 0;
	struct run r;
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 4000; seed++) {
		begin(&r);
		r.s.rng = seed;
		online(&r, NULL, 0);
		r.s.pull_failures = 2;
		STEP(&r, 1, PULL_ENDED);
		if (r.s.pulling)
			continue; /* no wait at all */
		if (r.s.pull_at_ms - 1 < lowest)
			lowest = r.s.pull_at_ms - 1;
		if (r.s.pull_at_ms - 1 > highest)
			highest = r.s.pull_at_ms - 1;
		sum += r.s.pull_at_ms - 1;
	}
	assert_true(lowest >= 0 && lowest < bound / 100);
	assert_true(highest <= bound && highest > bound - bound / 100);
	/* The mean of 4,000 is within 2 % of the middle: five times its standard error (bound / sqrt(12 * 4000)). */
	assert_in_range(sum / 4000, bound / 2 - bound / 40, bound / 2 + bound / 40);
}

/* Announcements keep their pace, save when the hub asks for more. */
#define NODES 148 /* of the largest province */
#define AWAY_MS 10000

static int
by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The most of sorted times within any window of this length. */
static unsigned
most_within(const int64_t *at, unsigned n, int64_t window)
{
	unsigned from = 0, to, most = 0;

	for (to = 0; to < n; to++) {
		while (at[to] - at[from] >= window)
			from++;
		most = to - from + 1 > most ? to - from + 1 : most;
	}
	return most;
}

/* All nodes of a province lose their hub at once, which is gone for ten seconds. Full jitter: the first attempts lie anywhere
 * in the first second, some 15 in a tenth of it, and those that find the hub again are as far apart as the bounds have grown by
 * then: 148 over some 8 seconds are 5 in a quarter of one. Three and four times that would be a herd. */
static void
test_redials_are_spread(void **state)
{
	int64_t first[NODES], back[NODES], now;
	unsigned i;

	(void)state;
	for (i = 0; i < NODES; i++) {
		struct run r;

		begin(&r);
		r.s.rng = UINT64_C(0x5deece66d) * (i + 1); /* each has random numbers of its own */
		online(&r, NULL, 0);
		STEP(&r, 1000, LOST);
		now = first[i] = find(&r, LT_SYNC_DO_TIMER)->at_ms;
		assert_in_range(now, 1000, 1000 + LT_SYNC_BACKOFF_BASE_MS);
		for (;;) {
			clear(&r);
			STEP(&r, now, TIMER);
			assert_non_null(find(&r, LT_SYNC_DO_DIAL));
			if (now >= 1000 + AWAY_MS)
				break;
			STEP(&r, now, DIALED, .ok = false);
			now = find(&r, LT_SYNC_DO_TIMER)->at_ms;
		}
		back[i] = now - 1000 - AWAY_MS;
	}
	qsort(first, NODES, sizeof(first[0]), by_time);
	qsort(back, NODES, sizeof(back[0]), by_time);
	print_message(
	    "%d redials: at most %u of the first in 100 ms; at most %u with the hub back in "
	    "250 ms, half after %lld ms, the last after %lld ms\n",
	    NODES, most_within(first, NODES, 100), most_within(back, NODES, 250),
	    (long long)back[NODES / 2], (long long)back[NODES - 1]);
	assert_true(most_within(first, NODES, 100) <= 45);
	assert_true(most_within(back, NODES, 250) <= 20);
	assert_true(back[NODES / 2] >= 1000);
}

static void
test_announcement_asked_to_wait(void **state)
{
	struct run r;

	(void)state;
	begin(&r);
	online(&r, NULL, 0);
	clear(&r);
	STEP(&r, 5, ANNOUNCED, .retry_after_ms = 30000);
	assert_string_equal(r.out, "5 announced no: timer 30727 (online)\n");
}

/* A feed that was held whole is offered again from what the hub has: its last receipt got lost, or it grew by what came down, of which the
 * receipt is not here. Not while a push of it is under way, and not one of which the hub is only said to have less. */
static void
test_announced_not_receipted(void **state)
{
	const struct lt_sync_feed whole[] = { { N1, 3, 3, true, false, false, false } },
				  lost[] = { { N1, 3, 2, true, false, false, false } },
				  grown[] = { { N1, 5, 4, true, false, false, false } },
				  less[] = { { N1, 3, 1, true, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	online(&r, whole, 1);
	clear(&r);
	STEP(&r, 5, ANNOUNCED, .ok = true, .feeds = less, .nfeed = 1);
	assert_null(find(&r, LT_SYNC_DO_PUSH));
	STEP(&r, 6, ANNOUNCED, .ok = true, .feeds = lost, .nfeed = 1);
	assert_non_null(find(&r, LT_SYNC_DO_PUSH));
	assert_int_equal(find(&r, LT_SYNC_DO_PUSH)->from_seq, 3);
	STEP(&r, 7, ANNOUNCED, .ok = true, .feeds = lost, .nfeed = 1);
	assert_null(find(&r, LT_SYNC_DO_PUSH));
	STEP(&r, 8, PUSHED, .ok = true, .feed = N1, .seq = 3);
	assert_null(find(&r, LT_SYNC_DO_PUSH));
	STEP(&r, 9, ANNOUNCED, .ok = true, .feeds = grown, .nfeed = 1);
	assert_non_null(find(&r, LT_SYNC_DO_PUSH));
	assert_int_equal(find(&r, LT_SYNC_DO_PUSH)->from_seq, 5);
}

/* ---- answers that come late, twice, or for nobody ---- */

static void
test_late_answers(void **state)
{
	const struct lt_sync_feed feeds[] = { { N1, 5, 2, true, false, false, false } };
	struct lt_sync before;
	struct run r;

	(void)state;
	begin(&r);
	/* Before the start nothing is done. */
	STEP(&r, 0, TIMER);
	STEP(&r, 0, DIALED, .ok = true);
	STEP(&r, 0, GREETED, .ok = true, .feeds = feeds, .nfeed = 1);
	assert_string_equal(
	    r.out, "0 timer: (stopped)\n0 dialed: (stopped)\n0 greeted: (stopped)\n");
	online(&r, feeds, 1);
	STEP(&r, 1, ANNOUNCED, .ok = true);
	before = r.s;
	clear(&r);
	STEP(&r, 2, DIALED, .ok = true);
	STEP(&r, 2, DIALED);
	STEP(&r, 2, JOINED, .ok = true, .active = true);
	STEP(&r, 2, JOINED, .final = true);
	STEP(&r, 2, GREETED, .ok = true);
	STEP(&r, 2, GREETED, .final = true);
	STEP(&r, 2, PUSHED, .ok = true, .feed = U1, .seq = 99);
	assert_null(strstr(r.out, "push "));
	assert_null(strstr(r.out, "dial "));
	assert_null(strstr(r.out, "close"));
	assert_memory_equal(&before, &r.s, sizeof(before));
	/* The answer to the push, twice: the second says nothing. */
	STEP(&r, 1000, PUSHED, .ok = true, .feed = N1, .seq = 5, .bytes = 65536);
	clear(&r);
	STEP(&r, 1001, PUSHED, .ok = true, .feed = N1, .seq = 3, .bytes = 65536);
	assert_int_equal(r.s.feed[0].held, 5);
	assert_string_equal(r.out, "1001 pushed: timer 10000 (online)\n");
	/* After the loss: what was under way is over. */
	STEP(&r, 1002, COMMITTED, .feed = N1, .seq = 6);
	STEP(&r, 1003, LOST);
	clear(&r);
	STEP(&r, 1004, PUSHED, .ok = true, .feed = N1, .seq = 6, .bytes = 10);
	STEP(&r, 1004, ANNOUNCED, .ok = true);
	STEP(&r, 1004, LOST);
	STEP(&r, 1004, GREETED, .ok = true, .feeds = feeds, .nfeed = 1);
	assert_null(strstr(r.out, "push "));
	assert_int_equal(r.s.feed[0].held, 5);
	assert_int_equal(r.s.phase, LT_SYNC_WAITING);
	assert_int_equal(r.s.attempts, 1);
}

/* A commit between hello and its answer counts, though the answer was weighed with the head before it. */
static void
test_commit_while_greeting(void **state)
{
	const struct lt_sync_feed feeds[] = { { N1, 5, 5, true, false, false, false },
		{ U1, 2, 1, false, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	STEP(&r, 0, START);
	STEP(&r, 0, DIALED, .ok = true);
	STEP(&r, 1, COMMITTED, .feed = N1, .seq = 6); /* known to the answer, newer here */
	STEP(&r, 2, COMMITTED, .feed = B1, .seq = 1); /* begun meanwhile */
	STEP(&r, 3, COMMITTED, .feed = U1, .seq = 3); /* the hub knows another branch of it */
	clear(&r);
	STEP(&r, 4, GREETED, .ok = true, .feeds = feeds, .nfeed = 2);
	assert_string_equal(r.out, "4 greeted: pull announce push n1 from 6 max 65536 push b1 "
				   "from 1 max 65536 (online)\n");
	/* A head that is told out of order does not go back. */
	STEP(&r, 5, COMMITTED, .feed = B1, .seq = 4);
	STEP(&r, 6, COMMITTED, .feed = B1, .seq = 3);
	assert_int_equal(r.s.feed[2].head, 4);
}

/* More feeds than are followed: those that fit are, and nothing is written past the end. */
static void
test_many_feeds(void **state)
{
	struct lt_sync_feed feeds[LT_SYNC_FEEDS_MAX + 8];
	struct run r;
	uint64_t i;

	(void)state;
	memset(feeds, 0, sizeof(feeds));
	for (i = 0; i < LT_SYNC_FEEDS_MAX + 8; i++) {
		feeds[i].feed = feed(LT_LANE_NORMAL, i + 1);
		feeds[i].head = 1;
		feeds[i].usable = true;
	}
	begin(&r);
	online(&r, feeds, LT_SYNC_FEEDS_MAX + 8);
	assert_int_equal(r.s.nfeed, LT_SYNC_FEEDS_MAX);
	STEP(&r, 1, COMMITTED, .feed = B1, .seq = 1);
	assert_int_equal(r.s.nfeed, LT_SYNC_FEEDS_MAX);
	/* One that the hub holds whole makes room, for an epoch of its own lane alone. */
	begin(&r);
	feeds[5].held = 1;
	online(&r, feeds, LT_SYNC_FEEDS_MAX);
	STEP(&r, 1, COMMITTED, .feed = B1, .seq = 1);
	assert_int_equal(r.s.nfeed, LT_SYNC_FEEDS_MAX);
	assert_int_equal(lt_feed_id_cmp(&r.s.feed[5].feed, &feeds[5].feed), 0);
	STEP(&r, 2, COMMITTED, .feed = feed(LT_LANE_NORMAL, 1000), .seq = 1);
	assert_int_equal(r.s.nfeed, LT_SYNC_FEEDS_MAX);
	assert_int_equal(lt_feed_epoch(&r.s.feed[5].feed), 7); /* the one behind it */
	assert_int_equal(lt_feed_epoch(&r.s.feed[LT_SYNC_FEEDS_MAX - 1].feed), 1000);
	feeds[5].held = 0;
	begin(&r);
	online(&r, feeds, LT_SYNC_FEEDS_MAX - 1);
	STEP(&r, 1, COMMITTED, .feed = B1, .seq = 1);
	assert_int_equal(r.s.nfeed, LT_SYNC_FEEDS_MAX);
	assert_non_null(find(&r, LT_SYNC_DO_PUSH));
}

/* ---- sizes ---- */

/* About a second of the line: half way to what would have fitted, never more than doubled, within the limits. */
static void
test_batch_size(void **state)
{
	static const struct {
		const char *descr;
		size_t before, bytes;
		int64_t took;
		size_t after;
	} cases[] = {
		{ "just a second", 65536, 65536, 1000, 65536 },
		{ "in no time: three halves", 65536, 65536, 0, 98304 },
		{ "in a millisecond", 65536, 65536, 1, 98304 },
		{ "half a second", 65536, 65536, 500, 98304 },
		{ "two seconds", 65536, 65536, 2000, 49152 },
		{ "sixteen seconds", 65536, 65536, 16000, 34816 },
		{ "nothing sent", 65536, 0, 5000, 65536 },
		{ "a small one tells little of the line", 65536, 400, 100, 34768 },
		{ "at the lower limit", 4096, 4096, 60000, 4096 },
		{ "at the upper limit", 524288, 524288, 1, 524288 },
	};
	const struct lt_sync_feed feeds[] = { { N1, 100, 0, true, false, false, false } };
	struct run r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].descr);
		begin(&r);
		r.s.batch_bytes = cases[i].before;
		online(&r, feeds, 1);
		STEP(&r, cases[i].took, PUSHED, .ok = true, .feed = N1, .seq = 1,
		    .bytes = cases[i].bytes);
		assert_int_equal(r.s.batch_bytes, cases[i].after);
	}
	/* A failure: back to the first size, but not up to it on a line that carries less. */
	begin(&r);
	online(&r, feeds, 1);
	r.s.batch_bytes = 200000;
	STEP(&r, 1, PUSHED, .feed = N1);
	assert_int_equal(r.s.batch_bytes, LT_SYNC_BATCH_FIRST);
	STEP(&r, 2000, TIMER);
	r.s.batch_bytes = 5000;
	STEP(&r, 3000, PUSHED, .feed = N1);
	assert_int_equal(r.s.batch_bytes, 5000);
}

/* ---- timers ---- */

/* An announcement whose answer is long in coming is neither sent again nor waited for by the millisecond. */
static void
test_slow_announcement(void **state)
{
	struct run r;

	(void)state;
	begin(&r);
	online(&r, NULL, 0);
	clear(&r);
	STEP(&r, 9999, PULL_ENDED);
	STEP(&r, 10000, TIMER);
	STEP(&r, 10359, TIMER);
	STEP(&r, 15000, COMMITTED, .feed = N1, .seq = 1);
	STEP(&r, 25000, ANNOUNCED);
	STEP(&r, 25010, ANNOUNCED, .ok = true);
	assert_string_equal(r.out, "9999 pull-ended: timer 10359 (online)\n"
				   "10000 timer: timer 10359 (online)\n"
				   "10359 timer: pull (online)\n"
				   "15000 committed: push n1 from 1 max 65536 (online)\n"
				   "25000 announced no: announce (online)\n"
				   "25010 announced: timer 35000 (online)\n");
}

/* ---- a hub restored from a backup ---- */

/* It gets back what it asks for, until it asks for nothing more; only then anything else goes. Where it refuses, the line goes on without,
 * and the next one tries it again. */
static void
test_given_back(void **state)
{
	const struct lt_sync_feed feeds[] = { { N1, 5, 2, true, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	STEP(&r, 0, START);
	STEP(&r, 0, DIALED, .ok = true);
	STEP(&r, 0, GREETED, .ok = true, .wants_back = true);
	assert_int_equal(r.s.phase, LT_SYNC_GREETING);
	assert_int_equal(r.todo.n, 1);
	assert_int_equal(r.todo.action[0].kind, LT_SYNC_DO_GIVE_BACK);
	STEP(&r, 5, GIVEN_BACK, .ok = true);
	assert_int_equal(r.todo.n, 1);
	assert_int_equal(r.todo.action[0].kind, LT_SYNC_DO_HELLO);
	STEP(&r, 9, GREETED, .ok = true, .wants_back = true);
	STEP(&r, 9, GIVEN_BACK, .ok = true);
	STEP(&r, 12, GREETED, .ok = true, .feeds = feeds, .nfeed = 1);
	assert_int_equal(r.s.phase, LT_SYNC_ONLINE);
	assert_non_null(find(&r, LT_SYNC_DO_PUSH));
	begin(&r);
	STEP(&r, 0, START);
	STEP(&r, 0, DIALED, .ok = true);
	STEP(&r, 0, GREETED, .ok = true, .wants_back = true);
	STEP(&r, 5, GIVEN_BACK, .ok = false, .retry_after_ms = 1000);
	assert_int_equal(r.s.phase, LT_SYNC_GREETING);
	assert_int_equal(r.todo.n, 1);
	assert_int_equal(r.todo.action[0].kind, LT_SYNC_DO_HELLO);
	STEP(&r, 9, GREETED, .ok = true, .feeds = feeds, .nfeed = 1);
	assert_int_equal(r.s.phase, LT_SYNC_ONLINE);
	assert_non_null(find(&r, LT_SYNC_DO_PUSH));
	STEP(&r, 121004, TIMER);
	assert_int_equal(r.s.phase, LT_SYNC_ONLINE);
	assert_true(find(&r, LT_SYNC_DO_TIMER)->at_ms <= 123005);
	STEP(&r, 123005, TIMER);
	assert_int_equal(r.s.phase, LT_SYNC_WAITING);
	assert_non_null(find(&r, LT_SYNC_DO_CLOSE));
	STEP(&r, 200000, TIMER);
	STEP(&r, 200000, DIALED, .ok = true);
	STEP(&r, 200000, GREETED, .ok = true, .feeds = feeds, .nfeed = 1);
	STEP(&r, 400000, TIMER);
	assert_int_equal(r.s.phase, LT_SYNC_ONLINE);
}

/* Lines that cannot give back live longer and longer, up to an hour; one that can ends that. */
static void
test_given_back_later(void **state)
{
	static const int64_t minutes[] = { 2, 4, 8, 16, 32, 60, 60 };
	const struct lt_sync_feed feeds[] = { { N1, 5, 2, true, false, false, false } };
	int64_t now = 0;
	struct run r;
	size_t i;

	(void)state;
	begin(&r);
	STEP(&r, 0, START);
	for (i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
		STEP(&r, now, DIALED, .ok = true);
		STEP(&r, now, GREETED, .ok = true, .wants_back = true);
		STEP(&r, now, GIVEN_BACK, .ok = false);
		STEP(&r, now, GREETED, .ok = true, .wants_back = true);
		STEP(&r, now, GIVEN_BACK, .ok = false); /* another feed of it, on the same line */
		STEP(&r, now, GREETED, .ok = true, .feeds = feeds, .nfeed = 1);
		assert_int_equal(r.s.phase, LT_SYNC_ONLINE);
		STEP(&r, now + minutes[i] * 60000 - 1, TIMER);
		assert_int_equal(r.s.phase, LT_SYNC_ONLINE);
		/* The pause of a line that failed comes besides, with its jitter. */
		now += minutes[i] * 60000 + 5000;
		STEP(&r, now, TIMER);
		assert_int_equal(r.s.phase, LT_SYNC_WAITING);
		now += 3600000;
		STEP(&r, now, TIMER);
		assert_non_null(find(&r, LT_SYNC_DO_DIAL));
	}
	STEP(&r, now, DIALED, .ok = true);
	STEP(&r, now, GREETED, .ok = true, .wants_back = true);
	STEP(&r, now, GIVEN_BACK, .ok = true);
	STEP(&r, now, GREETED, .ok = true, .feeds = feeds, .nfeed = 1);
	assert_int_equal(r.s.phase, LT_SYNC_ONLINE);
	assert_int_equal(r.s.give_failures, 0);
}

/* What the hub turns out to lack later is sent without another login; what it refused for good is not. */
static void
test_lacks_more(void **state)
{
	const struct lt_sync_feed first[] = { { N1, 5, 9, false, false, false, false },
		{ B1, 3, 1, true, false, false, false } };
	const struct lt_sync_feed later[] = { { N1, 9, 8, true, false, false, false },
		{ U1, 4, 2, true, false, false, false }, { B1, 3, 1, true, false, false, false } };
	struct run r;

	(void)state;
	begin(&r);
	online(&r, first, 2);
	assert_int_equal(find(&r, LT_SYNC_DO_PUSH)->feed.b[16], B1.b[16]);
	STEP(&r, 1, PUSHED, .feed = B1, .ok = false, .final = true);
	STEP(&r, 2, ANNOUNCED, .ok = true, .feeds = later, .nfeed = 3);
	assert_int_equal(r.s.nfeed, 3);
	/* One push a lane: the urgent feed that was not known, the normal one whose tail came down; not the refused one. */
	assert_int_equal(r.todo.action[0].kind, LT_SYNC_DO_PUSH);
	assert_int_equal(r.todo.action[0].from_seq, 3);
	assert_int_equal(r.todo.action[1].kind, LT_SYNC_DO_PUSH);
	assert_int_equal(r.todo.action[1].from_seq, 9);
	assert_true(r.todo.n < 3 || r.todo.action[2].kind != LT_SYNC_DO_PUSH);
}

/* Somebody else signed in a feed while the line stood: nothing is pushed of it until its tail is here. One that was refused as another
 * branch of it counts is pushed again once that branch is here, for the receipt that is missing. */
static void
test_signed_elsewhere(void **state)
{
	const struct lt_sync_feed first[] = { { N1, 5, 5, true, false, false, false },
		{ B1, 6, 4, true, false, false, false } };
	const struct lt_sync_feed more[] = { { N1, 5, 7, false, false, false, false },
		{ B1, 6, 5, false, false, false, false } };
	const struct lt_sync_feed down[] = { { N1, 7, 6, true, false, false, true },
		{ B1, 5, 4, true, false, false, true } };
	struct run r;

	(void)state;
	begin(&r);
	online(&r, first, 2);
	STEP(&r, 1, PUSHED, .feed = B1, .ok = false, .final = true);
	STEP(&r, 2, ANNOUNCED, .ok = true, .feeds = more, .nfeed = 2);
	clear(&r);
	STEP(&r, 3, COMMITTED, .feed = N1, .seq = 8);
	assert_null(strstr(r.out, "push"));
	STEP(&r, 10000, TIMER);
	clear(&r);
	STEP(&r, 10001, ANNOUNCED, .ok = true, .feeds = down, .nfeed = 2);
	assert_non_null(strstr(r.out, "push n1 from 7"));
	assert_non_null(strstr(r.out, "push b1 from 5"));
}

/* ---- what is damaged, here or there ---- */

/* Each way one call at a time; at once again while it leads somewhere, after a minute where it does not, however often the hub asks. */
static void
test_repairs(void **state)
{
	struct run r;

	(void)state;
	begin(&r);
	online(&r, NULL, 0);
	clear(&r);
	STEP(&r, 100, ANNOUNCED, .ok = true, .lacks = true);
	STEP(&r, 200, FETCHED, .ok = true, .tried = true, .seq = 3, .more = true);
	STEP(&r, 300, FETCHED, .ok = true, .tried = true, .seq = 1);
	STEP(&r, 10000, TIMER);
	STEP(&r, 10100, ANNOUNCED, .ok = true, .lost = true, .lacks = true);
	/* Everything was asked for before: another look may be over by the next announcement. */
	STEP(&r, 10101, FETCHED, .ok = true);
	STEP(&r, 10200, SUPPLIED, .ok = true, .tried = true, .seq = 0, .more = true);
	STEP(&r, 20000, TIMER);
	STEP(&r, 20100, ANNOUNCED, .ok = true, .lost = true, .lacks = true);
	STEP(&r, 20200, FETCHED, .tried = true, .retry_after_ms = 500);
	assert_string_equal(r.out, "100 announced: fetch timer 10000 (online)\n"
				   "200 fetched: fetch timer 10000 (online)\n"
				   "300 fetched: timer 10000 (online)\n"
				   "10000 timer: announce (online)\n"
				   "10100 announced: supply fetch timer 20000 (online)\n"
				   "10101 fetched: timer 20000 (online)\n"
				   "10200 supplied: timer 20000 (online)\n"
				   "20000 timer: announce timer 70200 (online)\n"
				   "20100 announced: fetch timer 30000 (online)\n"
				   "20200 fetched no: timer 30000 (online)\n");
	assert_int_equal(r.s.fetch.not_before_ms, 20200 + 500 + 60000);
	assert_int_equal(r.s.supply.not_before_ms, 10200 + 60000);
	clear(&r);
	r.s.announce_at_ms = 1000000;
	STEP(&r, 70199, TIMER);
	STEP(&r, 70200, TIMER);
	assert_string_equal(r.out, "70199 timer: timer 70200 (online)\n"
				   "70200 timer: supply timer 1000000 (online)\n");
	/* Nothing of it outlives the line. */
	STEP(&r, 70300, LOST);
	assert_false(r.s.supply.under_way || r.s.supply.due || r.s.fetch.due);
	assert_int_equal(r.s.fetch.not_before_ms, 0);
}

/* ---- any event at any time ---- */

static uint64_t
rnd(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static struct lt_feed_id
any_feed(uint64_t *x)
{
	return feed((enum lt_lane)(1 + rnd(x) % 3), 1 + rnd(x) % 14);
}

/* Feeds as a login gives them: each once. */
static size_t
any_feeds(uint64_t *x, struct lt_sync_feed *out)
{
	size_t n = rnd(x) % 40, i, k = 0;

	memset(out, 0, 40 * sizeof(*out));
	for (i = 0; i < n; i++) {
		out[k].feed = feed((enum lt_lane)(1 + i % 3), 1 + i / 3);
		out[k].head = rnd(x) % 20;
		out[k].held = rnd(x) % 24;
		out[k].usable = rnd(x) % 4 != 0;
		k += rnd(x) % 8 != 0;
	}
	return k;
}

/* What holds after every step, whatever came. */
static void
check_rules(const struct lt_sync *before, const struct lt_sync *s, const struct lt_sync_event *ev,
    const struct lt_sync_todo *todo, int minute)
{
	unsigned timers = 0, pushes[4] = { 0 }, flying[4] = { 0 };
	bool bulk = before->config.bulk_from == before->config.bulk_to || minute < 0 ||
		    (minute >= before->config.bulk_from) == (minute < before->config.bulk_to);
	size_t i, k;

	/* from < to here always */
	assert_true(todo->n <= LT_SYNC_TODO_MAX);
	assert_true(s->nfeed <= LT_SYNC_FEEDS_MAX);
	assert_true(s->batch_bytes >= LT_SYNC_BATCH_MIN && s->batch_bytes <= LT_SYNC_BATCH_MAX);
	for (i = 0; i < s->nfeed; i++) {
		for (k = i + 1; k < s->nfeed; k++)
			assert_true(lt_feed_id_cmp(&s->feed[i].feed, &s->feed[k].feed) != 0);
		flying[lt_feed_lane(&s->feed[i].feed)] += s->feed[i].in_flight;
	}
	for (i = 1; i <= 3; i++)
		assert_true(flying[i] <= 1);
	for (i = 0; i < todo->n; i++) {
		const struct lt_sync_action *a = &todo->action[i];

		switch (a->kind) {
		case LT_SYNC_DO_TIMER:
			timers++;
			assert_true(a->at_ms > ev->now_ms);
			assert_int_equal(i, todo->n - 1);
			break;
		case LT_SYNC_DO_PUSH: {
			int lane = (int)lt_feed_lane(&a->feed);
			const struct lt_sync_feed *f = NULL;

			assert_int_equal(s->phase, LT_SYNC_ONLINE);
			for (k = 0; k < s->nfeed; k++)
				if (lt_feed_id_cmp(&s->feed[k].feed, &a->feed) == 0)
					f = &s->feed[k];
			assert_non_null(f);
			if (f == NULL)
				break; /* assert_non_null has said so */
			assert_true(f->usable && f->in_flight && f->held < f->head);
			assert_int_equal(a->from_seq, f->held + 1);
			assert_int_equal(++pushes[lane], 1);
			assert_true(a->max_bytes >= LT_SYNC_BATCH_MIN);
			assert_true(ev->now_ms >= s->hold_until_ms);
			if (lane == LT_LANE_BULK)
				assert_true(bulk);
			for (k = (size_t)lane + 1; k <= 3; k++)
				assert_int_equal(pushes[k], 0); /* urgent first */
			break;
		}
		case LT_SYNC_DO_PULL:
			assert_int_equal(s->phase, LT_SYNC_ONLINE);
			assert_true(!before->pulling || ev->kind == LT_SYNC_EV_PULL_ENDED ||
				    ev->kind == LT_SYNC_EV_GREETED);
			break;
		case LT_SYNC_DO_ANNOUNCE:
			assert_int_equal(s->phase, LT_SYNC_ONLINE);
			assert_true(!before->announcing || ev->kind == LT_SYNC_EV_ANNOUNCED ||
				    ev->kind == LT_SYNC_EV_GREETED);
			break;
		case LT_SYNC_DO_DIAL:
			assert_int_equal(s->phase, LT_SYNC_DIALING);
			assert_true(
			    before->phase == LT_SYNC_WAITING || before->phase == LT_SYNC_STOPPED);
			break;
		case LT_SYNC_DO_JOIN:
			assert_int_equal(s->phase, LT_SYNC_JOINING);
			assert_true(s->config.joining);
			break;
		case LT_SYNC_DO_HELLO:
			assert_int_equal(s->phase, LT_SYNC_GREETING);
			assert_false(s->config.joining);
			break;
		case LT_SYNC_DO_GIVE_BACK:
			assert_int_equal(s->phase, LT_SYNC_GREETING);
			assert_int_equal(ev->kind, LT_SYNC_EV_GREETED);
			break;
		case LT_SYNC_DO_FETCH:
			assert_int_equal(s->phase, LT_SYNC_ONLINE);
			assert_true(s->fetch.under_way && ev->now_ms >= s->fetch.not_before_ms);
			assert_true(!before->fetch.under_way || ev->kind == LT_SYNC_EV_FETCHED);
			break;
		case LT_SYNC_DO_SUPPLY:
			assert_int_equal(s->phase, LT_SYNC_ONLINE);
			assert_true(s->supply.under_way && ev->now_ms >= s->supply.not_before_ms);
			assert_true(!before->supply.under_way || ev->kind == LT_SYNC_EV_SUPPLIED);
			assert_true(a->max_bytes >= LT_SYNC_BATCH_MIN);
			break;
		case LT_SYNC_DO_CLOSE:
			assert_true(s->phase == LT_SYNC_WAITING || s->phase == LT_SYNC_STOPPED);
			break;
		}
	}
	assert_true(timers <= 1);
	/* Whoever waits for time alone has a timer; who is online waits for an answer or has one too. */
	if (s->phase == LT_SYNC_WAITING || s->phase == LT_SYNC_JOINING)
		assert_int_equal(timers, 1);
	if (s->phase == LT_SYNC_ONLINE)
		assert_true(timers == 1 || s->announcing);
	if (s->phase == LT_SYNC_ONLINE)
		assert_true(s->pulling || s->pull_at_ms > ev->now_ms);
	/* Nothing that could go is left lying. */
	if (s->phase == LT_SYNC_ONLINE && ev->now_ms >= s->hold_until_ms)
		for (i = 0; i < s->nfeed; i++) {
			int lane = (int)lt_feed_lane(&s->feed[i].feed);

			if (s->feed[i].usable && s->feed[i].held < s->feed[i].head &&
			    (lane != LT_LANE_BULK || bulk))
				assert_int_equal(flying[lane], 1);
		}
	/* Of repairs too: one that waits has a timer, or is waited for with the announcement. */
	if (s->phase == LT_SYNC_ONLINE) {
		assert_true(
		    !s->fetch.due || s->fetch.under_way || s->fetch.not_before_ms > ev->now_ms);
		assert_true(
		    !s->supply.due || s->supply.under_way || s->supply.not_before_ms > ev->now_ms);
	} else {
		assert_false(s->fetch.due || s->fetch.under_way);
		assert_false(s->supply.due || s->supply.under_way);
	}
	if (s->phase != LT_SYNC_ONLINE && s->phase != LT_SYNC_GREETING)
		assert_int_equal(flying[1] + flying[2] + flying[3], 0);
}

static void
test_any_event(void **state)
{
	static struct lt_sync_feed feeds[40];
	struct lt_sync s, twin, before;
	struct lt_sync_todo todo, twin_todo;
	uint64_t x = UINT64_C(0x1234567890abcdef);
	int64_t now = 0;
	unsigned reached[LT_SYNC_STOPPED + 1] = { 0 };
	long i;

	(void)state;
	for (i = 0; i < 1000000; i++) {
		struct lt_sync_event ev = { 0 };

		if (i % 10000 == 0) {
			struct lt_sync_config c = { .joining = rnd(&x) % 2 != 0, .seed = rnd(&x) };

			if (rnd(&x) % 2 != 0) {
				c.bulk_from = 300;
				c.bulk_to = 900;
			}
			lt_sync_init(&s, &c);
		}
		now += (int64_t)(rnd(&x) % (rnd(&x) % 16 == 0 ? 400000 : 600));
		ev.kind = (enum lt_sync_event_kind)(rnd(&x) % (LT_SYNC_EV_SUPPLIED + 1));
		/* START while it runs is a mistake of the caller; STOP and losses are rare. */
		if (ev.kind == LT_SYNC_EV_START && s.phase != LT_SYNC_STOPPED)
			ev.kind = LT_SYNC_EV_TIMER;
		if ((ev.kind == LT_SYNC_EV_STOP || ev.kind == LT_SYNC_EV_LOST) && rnd(&x) % 8 != 0)
			ev.kind = LT_SYNC_EV_PUSHED;
		ev.now_ms = now;
		ev.minute_of_day = (int)(rnd(&x) % 1441) - 1;
		ev.ok = rnd(&x) % 4 != 0;
		ev.active = rnd(&x) % 2 != 0;
		ev.final = rnd(&x) % 8 == 0;
		ev.retry_after_ms = rnd(&x) % 4 == 0 ? (uint32_t)(rnd(&x) % 10000) : 0;
		ev.feed = any_feed(&x);
		ev.seq = rnd(&x) % 24;
		ev.bytes = rnd(&x) % 700000;
		if (ev.kind == LT_SYNC_EV_GREETED || ev.kind == LT_SYNC_EV_ANNOUNCED) {
			ev.nfeed = any_feeds(&x, feeds);
			ev.feeds = feeds;
		}
		ev.tried = rnd(&x) % 2 != 0;
		ev.more = rnd(&x) % 2 != 0;
		ev.lacks = rnd(&x) % 2 != 0;
		ev.lost = rnd(&x) % 2 != 0;
		ev.wants_back = ev.kind == LT_SYNC_EV_GREETED && rnd(&x) % 4 == 0;
		before = twin = s;
		lt_sync_step(&s, &ev, &todo);
		lt_sync_step(&twin, &ev, &twin_todo);
		assert_memory_equal(&s, &twin, sizeof(s));
		assert_int_equal(todo.n, twin_todo.n);
		assert_memory_equal(todo.action, twin_todo.action, todo.n * sizeof(todo.action[0]));
		check_rules(&before, &s, &ev, &todo, ev.minute_of_day);
		reached[s.phase]++;
	}
	for (i = 0; i <= LT_SYNC_STOPPED; i++)
		assert_true(reached[i] > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_day),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_back_off),
		cmocka_unit_test(test_back_off_begins_anew),
		cmocka_unit_test(test_asked_to_wait),
		cmocka_unit_test(test_joining),
		cmocka_unit_test(test_join_refused),
		cmocka_unit_test(test_bulk_window),
		cmocka_unit_test(test_bulk_window_opens),
		cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_signed_elsewhere),
		cmocka_unit_test(test_refused_push),
		cmocka_unit_test(test_hub_asks_for_time),
		cmocka_unit_test(test_hub_restored),
		cmocka_unit_test(test_nothing_gained),
		cmocka_unit_test(test_failed_pushes),
		cmocka_unit_test(test_failed_pulls),
		cmocka_unit_test(test_pulls_that_brought_something),
		cmocka_unit_test(test_jitter_range),
		cmocka_unit_test(test_redials_are_spread),
		cmocka_unit_test(test_announcement_asked_to_wait),
		cmocka_unit_test(test_announced_not_receipted),
		cmocka_unit_test(test_late_answers),
		cmocka_unit_test(test_commit_while_greeting),
		cmocka_unit_test(test_many_feeds),
		cmocka_unit_test(test_batch_size),
		cmocka_unit_test(test_slow_announcement),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_given_back_later),
		cmocka_unit_test(test_lacks_more),
		cmocka_unit_test(test_repairs),
		cmocka_unit_test(test_any_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
