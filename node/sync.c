#include "node/sync.h"

#include <assert.h>
#include <string.h>

#define PUSH_TARGET_MS 1000

static uint64_t
next_random(struct lt_sync *s)
{
	uint64_t z = s->rng += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static struct lt_sync_action *
add(struct lt_sync_todo *todo, enum lt_sync_action_kind kind)
{
	struct lt_sync_action *a;

	assert(todo->n < LT_SYNC_TODO_MAX);
	a = &todo->action[todo->n++];
	memset(a, 0, sizeof(*a));
	a->kind = kind;
	return a;
}

/* Full jitter: anywhere between nothing and the doubled bound. */
static int64_t
backoff_ms(struct lt_sync *s, unsigned failures)
{
	unsigned shift = failures < 16 ? failures : 16;
	uint64_t bound = (uint64_t)LT_SYNC_BACKOFF_BASE_MS << shift;

	if (bound > LT_SYNC_BACKOFF_MAX_MS)
		bound = LT_SYNC_BACKOFF_MAX_MS;
	return (int64_t)(next_random(s) % (bound + 1));
}

/* Within a session the hub's time comes first and the jitter after it: all who were asked to wait would come at once. */
static int64_t
again_at(struct lt_sync *s, const struct lt_sync_event *ev, unsigned failures)
{
	return ev->now_ms + (int64_t)ev->retry_after_ms + backoff_ms(s, failures);
}

/* What a hub refuses for days (its disk is full) is no reason to give up a line that works every two minutes. */
static int64_t
give_again_in(struct lt_sync *s)
{
	int64_t ms = LT_SYNC_GIVE_AGAIN_MS;
	unsigned i;

	s->give_failures += s->give_again_ms == 0; /* once a line */
	for (i = 1; i < s->give_failures && ms < LT_SYNC_GIVE_AGAIN_MAX_MS; i++)
		ms *= 2;
	return ms < LT_SYNC_GIVE_AGAIN_MAX_MS ? ms : LT_SYNC_GIVE_AGAIN_MAX_MS;
}

static void
forget_session(struct lt_sync *s)
{
	size_t i;

	s->pulling = s->announcing = false;
	s->give_again_ms = 0;
	s->pull_at_ms = 0;
	s->hold_until_ms = 0;
	s->push_failures = s->pull_failures = 0;
	memset(&s->fetch, 0, sizeof(s->fetch));
	memset(&s->supply, 0, sizeof(s->supply));
	for (i = 0; i < s->nfeed; i++) {
		s->feed[i].in_flight = false;
		s->feed[i].usable = false; /* until the next login says so */
	}
}

static void
wait_and_redial(struct lt_sync *s, const struct lt_sync_event *ev)
{
	int64_t wait = backoff_ms(s, s->attempts);

	forget_session(s);
	if (ev->final)
		wait = LT_SYNC_BACKOFF_MAX_MS / 2 + wait / 2;
	if (wait < (int64_t)ev->retry_after_ms)
		wait = (int64_t)ev->retry_after_ms + wait;
	s->attempts++;
	s->phase = LT_SYNC_WAITING;
	s->wait_until_ms = ev->now_ms + wait;
}

static bool
bulk_open(const struct lt_sync *s, int minute)
{
	int from = s->config.bulk_from, to = s->config.bulk_to;

	if (from == to || minute < 0)
		return true;
	return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

static bool
wants_push(const struct lt_sync_feed *f)
{
	return f->usable && !f->in_flight && f->held < f->head;
}

/* Older epochs first within a lane: they were written first. The list keeps the order of the login. */
static void
start_pushes(struct lt_sync *s, const struct lt_sync_event *ev, struct lt_sync_todo *todo)
{
	int lane;
	size_t i;

	if (ev->now_ms < s->hold_until_ms)
		return;
	for (lane = LT_LANE_URGENT; lane <= LT_LANE_BULK; lane++) {
		bool busy = false;

		if (lane == LT_LANE_BULK && !bulk_open(s, ev->minute_of_day))
			continue;
		for (i = 0; i < s->nfeed; i++)
			busy |= lt_feed_lane(&s->feed[i].feed) == (enum lt_lane)lane &&
				s->feed[i].in_flight;
		for (i = 0; i < s->nfeed && !busy; i++) {
			struct lt_sync_feed *f = &s->feed[i];
			struct lt_sync_action *a;

			if (lt_feed_lane(&f->feed) != (enum lt_lane)lane || !wants_push(f))
				continue;
			a = add(todo, LT_SYNC_DO_PUSH);
			a->feed = f->feed;
			a->from_seq = f->held + 1;
			a->max_bytes = s->batch_bytes;
			f->in_flight = busy = true;
			s->push_started_ms[lane] = ev->now_ms;
		}
	}
}

static struct lt_sync_action *
start_repair(struct lt_sync_repair *r, const struct lt_sync_event *ev,
    enum lt_sync_action_kind kind, struct lt_sync_todo *todo)
{
	if (!r->due || r->under_way || ev->now_ms < r->not_before_ms)
		return NULL;
	r->due = false;
	r->under_way = true;
	return add(todo, kind);
}

static void
start_repairs(struct lt_sync *s, const struct lt_sync_event *ev, struct lt_sync_todo *todo)
{
	struct lt_sync_action *a = start_repair(&s->supply, ev, LT_SYNC_DO_SUPPLY, todo);

	if (a != NULL)
		a->max_bytes = s->batch_bytes;
	(void)start_repair(&s->fetch, ev, LT_SYNC_DO_FETCH, todo);
}

/* At once again only while it leads somewhere: the other side may ask for the same as often as it likes. */
static void
on_repaired(struct lt_sync_repair *r, const struct lt_sync_event *ev)
{
	if (!r->under_way)
		return;
	r->under_way = false;
	r->due = r->due || ev->more;
	if (!ev->ok || (ev->tried && ev->seq == 0))
		r->not_before_ms = ev->now_ms + LT_SYNC_REPAIR_MS + (int64_t)ev->retry_after_ms;
}

static void
online(struct lt_sync *s, const struct lt_sync_event *ev, struct lt_sync_todo *todo)
{
	if (!s->pulling && s->pull_at_ms <= ev->now_ms) {
		s->pulling = true;
		s->pull_at_ms = 0;
		s->pull_started_ms = ev->now_ms;
		add(todo, LT_SYNC_DO_PULL);
	}
	if (!s->announcing && s->announce_at_ms <= ev->now_ms) {
		s->announcing = true;
		s->announce_at_ms =
		    ev->now_ms + (s->brisk != 0 ? LT_SYNC_BRISK_MS : LT_SYNC_ANNOUNCE_MS);
		s->brisk -= s->brisk != 0;
		add(todo, LT_SYNC_DO_ANNOUNCE);
	}
	start_pushes(s, ev, todo);
	start_repairs(s, ev, todo);
}

static void
wake_for(const struct lt_sync_repair *r, int64_t *at)
{
	if (r->due && !r->under_way && r->not_before_ms < *at)
		*at = r->not_before_ms;
}

/* The one timer: the earliest thing that waits for time alone. */
static void
arm(struct lt_sync *s, const struct lt_sync_event *ev, struct lt_sync_todo *todo)
{
	int64_t at = INT64_MAX;

	if (s->phase == LT_SYNC_WAITING || s->phase == LT_SYNC_JOINING)
		at = s->wait_until_ms;
	if (s->phase == LT_SYNC_ONLINE) {
		/* An answer that is late is waited for, not asked after every millisecond. */
		if (!s->announcing)
			at = s->announce_at_ms;
		if (s->pull_at_ms != 0 && s->pull_at_ms < at)
			at = s->pull_at_ms;
		if (s->hold_until_ms > ev->now_ms && s->hold_until_ms < at)
			at = s->hold_until_ms;
		if (s->give_again_ms != 0 && s->give_again_ms < at)
			at = s->give_again_ms;
		wake_for(&s->fetch, &at);
		wake_for(&s->supply, &at);
	}
	if (at != INT64_MAX)
		add(todo, LT_SYNC_DO_TIMER)->at_ms = at > ev->now_ms ? at : ev->now_ms + 1;
}

static struct lt_sync_feed *
find_feed(struct lt_sync *s, const struct lt_feed_id *id)
{
	size_t i;

	for (i = 0; i < s->nfeed; i++)
		if (lt_feed_id_cmp(&s->feed[i].feed, id) == 0)
			return &s->feed[i];
	return NULL;
}

/* Make room for a new epoch: an earlier one of its lane that the hub holds whole is not written any more. */
static void
drop_whole(struct lt_sync *s, enum lt_lane lane)
{
	size_t i;

	for (i = 0; i < s->nfeed; i++) {
		const struct lt_sync_feed *f = &s->feed[i];

		if (lt_feed_lane(&f->feed) != lane || f->in_flight || !f->usable ||
		    f->held < f->head)
			continue;
		s->nfeed--;
		memmove(&s->feed[i], &s->feed[i + 1], (s->nfeed - i) * sizeof(*f));
		return;
	}
}

/* A feed begun after the login: the hub holds nothing of it. */
static void
note_new_feed(struct lt_sync *s, const struct lt_feed_id *id, uint64_t head)
{
	struct lt_sync_feed *f;

	if (s->nfeed == LT_SYNC_FEEDS_MAX)
		drop_whole(s, lt_feed_lane(id));
	if (s->nfeed == LT_SYNC_FEEDS_MAX)
		return;
	f = &s->feed[s->nfeed++];
	memset(f, 0, sizeof(*f));
	f->feed = *id;
	f->head = head;
	f->usable = true;
}

/* Known as held whole, and is not: it grew by what came down, or the receipt of its last one got lost on its way. */
static bool
is_behind(const struct lt_sync_feed *f, const struct lt_sync_feed *told)
{
	return f->usable && f->held == f->head &&
	       (told->head > f->head || told->held + 1 == told->head);
}

/* Feeds that the hub lacks more of than was known at the login: there was no room for all, or their tail had to come down first. And
 * those of which it has what is not here; one that was refused, as it has another branch, when that branch has come down. */
static void
on_announced(struct lt_sync *s, const struct lt_sync_event *ev)
{
	size_t i;

	s->fetch.due = s->fetch.due || ev->lacks;
	s->supply.due = s->supply.due || ev->lost;
	for (i = 0; i < ev->nfeed; i++) {
		const struct lt_sync_feed *told = &ev->feeds[i];
		struct lt_sync_feed *f = find_feed(s, &told->feed);

		/* Somebody else signed in it since: its tail comes down first. */
		if (!told->usable && f != NULL)
			f->usable = false;
		if (!told->usable || told->held >= told->head)
			continue;
		if (f == NULL) {
			note_new_feed(s, &told->feed, told->head);
			f = find_feed(s, &told->feed);
			if (f != NULL)
				f->held = told->held;
		} else if (!f->in_flight &&
			   ((!f->usable && (!f->refused || told->whole)) || is_behind(f, told))) {
			*f = *told;
		}
	}
}

/* Between hello and its answer commits go on: a head told meanwhile may be newer than the one the answer was
 * weighed with, and a feed begun meanwhile is one that the hub holds nothing of. */
static void
on_greeted(struct lt_sync *s, const struct lt_sync_event *ev)
{
	struct lt_sync_feed told[LT_SYNC_FEEDS_MAX];
	size_t ntold = s->nfeed, i;

	memcpy(told, s->feed, sizeof(told));
	s->nfeed = ev->nfeed < LT_SYNC_FEEDS_MAX ? ev->nfeed : LT_SYNC_FEEDS_MAX;
	for (i = 0; i < s->nfeed; i++) {
		s->feed[i] = ev->feeds[i];
		s->feed[i].in_flight = false;
		if (!s->feed[i].usable)
			s->brisk = LT_SYNC_BRISK;
	}
	for (i = 0; i < ntold; i++) {
		struct lt_sync_feed *f = find_feed(s, &told[i].feed);

		if (f == NULL)
			note_new_feed(s, &told[i].feed, told[i].head);
		else if (f->head < told[i].head)
			f->head = told[i].head;
	}
	s->phase = LT_SYNC_ONLINE;
	s->attempts = 0;
	if (s->give_again_ms == 0)
		s->give_failures = 0;
	s->announce_at_ms = ev->now_ms;
	s->pull_at_ms = 0;
}

static void
resize_batch(struct lt_sync *s, const struct lt_sync_event *ev, int64_t took_ms)
{
	size_t fits;

	if (ev->bytes == 0)
		return;
	fits = took_ms <= 0 ? LT_SYNC_BATCH_MAX : ev->bytes * PUSH_TARGET_MS / (size_t)took_ms;
	if (fits > s->batch_bytes * 2)
		fits = s->batch_bytes * 2;
	s->batch_bytes = (s->batch_bytes + fits) / 2;
	if (s->batch_bytes < LT_SYNC_BATCH_MIN)
		s->batch_bytes = LT_SYNC_BATCH_MIN;
	if (s->batch_bytes > LT_SYNC_BATCH_MAX)
		s->batch_bytes = LT_SYNC_BATCH_MAX;
}

static void
on_pushed(struct lt_sync *s, const struct lt_sync_event *ev)
{
	struct lt_sync_feed *f = find_feed(s, &ev->feed);

	if (f == NULL || !f->in_flight)
		return;
	f->in_flight = false;
	if (ev->ok) {
		/* Nothing gained: at once again would be a loop as fast as the line. */
		if (ev->seq <= f->held)
			s->hold_until_ms = again_at(s, ev, s->push_failures++);
		else
			s->push_failures = 0;
		f->held = ev->seq; /* the hub's word, also when it is lower than we thought */
		resize_batch(s, ev, ev->now_ms - s->push_started_ms[lt_feed_lane(&f->feed)]);
		return;
	}
	if (ev->final) {
		f->usable = false;
		f->refused = true;
		return;
	}
	/* What was too much for the line is not tried again with more. */
	if (s->batch_bytes > LT_SYNC_BATCH_FIRST)
		s->batch_bytes = LT_SYNC_BATCH_FIRST;
	s->hold_until_ms = again_at(s, ev, s->push_failures++);
}

/* A pull that brought something was none that fails, however it ended; of the others the next comes later each time. The
 * bound is twice the base at once: a pull asks more of the hub than a push. */
static void
on_pull_ended(struct lt_sync *s, const struct lt_sync_event *ev)
{
	if (!s->pulling)
		return;
	s->pulling = false;
	if (ev->seq > 0 || (ev->ok && ev->now_ms - s->pull_started_ms >= LT_SYNC_PULL_STOOD_MS))
		s->pull_failures = 0;
	s->pull_at_ms = again_at(s, ev, ++s->pull_failures);
	if (ev->final)
		s->pull_at_ms += LT_SYNC_BACKOFF_MAX_MS / 2;
}

static void
on_committed(struct lt_sync *s, const struct lt_sync_event *ev)
{
	struct lt_sync_feed *f = find_feed(s, &ev->feed);

	if (f != NULL) {
		if (f->head < ev->seq)
			f->head = ev->seq;
		return;
	}
	if (s->phase == LT_SYNC_ONLINE || s->phase == LT_SYNC_GREETING)
		note_new_feed(s, &ev->feed, ev->seq);
}

static void
on_timer(struct lt_sync *s, const struct lt_sync_event *ev, struct lt_sync_todo *todo)
{
	if (s->phase == LT_SYNC_WAITING && ev->now_ms >= s->wait_until_ms) {
		s->phase = LT_SYNC_DIALING;
		add(todo, LT_SYNC_DO_DIAL);
	} else if (s->phase == LT_SYNC_JOINING && ev->now_ms >= s->wait_until_ms) {
		s->wait_until_ms =
		    ev->now_ms + LT_SYNC_BACKOFF_MAX_MS; /* the answer sets it anew */
		add(todo, LT_SYNC_DO_JOIN);
	} else if (s->phase == LT_SYNC_ONLINE && s->give_again_ms != 0 &&
		   ev->now_ms >= s->give_again_ms) {
		add(todo, LT_SYNC_DO_CLOSE);
		wait_and_redial(s, ev);
	}
}

/* What was known of feeds is the hub's to say anew. */
static void
greet(struct lt_sync *s, struct lt_sync_todo *todo)
{
	s->phase = LT_SYNC_GREETING;
	s->nfeed = 0;
	add(todo, LT_SYNC_DO_HELLO);
}

static void
on_dialed(struct lt_sync *s, const struct lt_sync_event *ev, struct lt_sync_todo *todo)
{
	if (s->phase != LT_SYNC_DIALING)
		return;
	if (!ev->ok) {
		wait_and_redial(s, ev);
	} else if (s->config.joining) {
		s->phase = LT_SYNC_JOINING;
		s->wait_until_ms = ev->now_ms + LT_SYNC_BACKOFF_MAX_MS;
		add(todo, LT_SYNC_DO_JOIN);
	} else {
		greet(s, todo);
	}
}

static void
on_joined(struct lt_sync *s, const struct lt_sync_event *ev, struct lt_sync_todo *todo)
{
	if (s->phase != LT_SYNC_JOINING)
		return;
	if (ev->ok && ev->active) {
		s->config.joining = false;
		greet(s, todo);
	} else if (ev->ok) {
		s->wait_until_ms =
		    ev->now_ms +
		    (ev->retry_after_ms != 0 ? (int64_t)ev->retry_after_ms : LT_SYNC_JOIN_MS);
	} else {
		add(todo, LT_SYNC_DO_CLOSE);
		wait_and_redial(s, ev);
	}
}

void
lt_sync_init(struct lt_sync *s, const struct lt_sync_config *config)
{
	memset(s, 0, sizeof(*s));
	s->config = *config;
	s->rng = config->seed;
	s->phase = LT_SYNC_STOPPED;
	s->batch_bytes = LT_SYNC_BATCH_FIRST;
}

void
lt_sync_step(struct lt_sync *s, const struct lt_sync_event *ev, struct lt_sync_todo *todo)
{
	todo->n = 0;
	if (s->phase == LT_SYNC_STOPPED && ev->kind != LT_SYNC_EV_START)
		return;
	switch (ev->kind) {
	case LT_SYNC_EV_START:
		s->phase = LT_SYNC_DIALING;
		add(todo, LT_SYNC_DO_DIAL);
		break;
	case LT_SYNC_EV_STOP:
		forget_session(s);
		s->phase = LT_SYNC_STOPPED;
		add(todo, LT_SYNC_DO_CLOSE);
		return;
	case LT_SYNC_EV_TIMER:
		on_timer(s, ev, todo);
		break;
	case LT_SYNC_EV_DIALED:
		on_dialed(s, ev, todo);
		break;
	case LT_SYNC_EV_LOST:
		if (s->phase != LT_SYNC_WAITING)
			wait_and_redial(s, ev);
		break;
	case LT_SYNC_EV_JOINED:
		on_joined(s, ev, todo);
		break;
	case LT_SYNC_EV_GREETED:
		if (s->phase != LT_SYNC_GREETING)
			break;
		if (ev->ok && ev->wants_back) {
			add(todo, LT_SYNC_DO_GIVE_BACK);
		} else if (ev->ok) {
			on_greeted(s, ev);
		} else {
			add(todo, LT_SYNC_DO_CLOSE);
			wait_and_redial(s, ev);
		}
		break;
	case LT_SYNC_EV_GIVEN_BACK:
		if (s->phase != LT_SYNC_GREETING)
			break;
		if (ev->ok) {
			add(todo, LT_SYNC_DO_HELLO); /* is there more? */
		} else {
			/* What else there is goes on without; this is tried again with a line of its own. */
			s->give_again_ms = again_at(s, ev, 0) + give_again_in(s);
			add(todo, LT_SYNC_DO_HELLO);
		}
		break;
	case LT_SYNC_EV_PUSHED:
		on_pushed(s, ev);
		break;
	case LT_SYNC_EV_ANNOUNCED:
		s->announcing = false;
		if (ev->ok && s->phase == LT_SYNC_ONLINE)
			on_announced(s, ev);
		if (!ev->ok && ev->retry_after_ms != 0)
			s->announce_at_ms = again_at(s, ev, 0);
		break;
	case LT_SYNC_EV_PULL_ENDED:
		on_pull_ended(s, ev);
		break;
	case LT_SYNC_EV_COMMITTED:
		on_committed(s, ev);
		break;
	case LT_SYNC_EV_FETCHED:
		on_repaired(&s->fetch, ev);
		break;
	case LT_SYNC_EV_SUPPLIED:
		on_repaired(&s->supply, ev);
		break;
	}
	if (s->phase == LT_SYNC_ONLINE)
		online(s, ev, todo);
	arm(s, ev, todo);
}

const char *
lt_sync_phase_name(enum lt_sync_phase p)
{
	static const char *const name[] = { "waiting", "connecting", "pending", "greeting",
		"online", "stopped" };

	return name[p];
}
