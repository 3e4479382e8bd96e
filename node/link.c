#include "node/link.h"
#include "node/audit.h"
#include "node/session.h"
#include "proto/base/log.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS_MAX 256
#define ANSWERS_MAX 64 /* of these, kept free of commits */
#define REQUEST_ARENA ((size_t)8 * 1024 * 1024)

struct event {
	struct lt_sync_event ev;
	struct lt_sync_feed feeds[LT_SYNC_FEEDS_MAX]; /* GREETED */
};

struct link_call {
	struct lt_link *link;
	struct lt_session_call c;
	uint64_t conn_no;
};

struct lt_link {
	struct lt_node *node;
	struct lt_pool *pool;
	struct lt_link_options o;
	struct lt_sync sync; /* link thread only */
	char address[LT_ADDRESSES_MAX][LT_ADDRESS_LEN_MAX + 1];
	size_t naddress, next_address;
	struct lt_conn *conn; /* link thread only */
	struct lt_session *session;
	pthread_t thread;

	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cond;
	size_t head, n;
	struct event queue[EVENTS_MAX];
	bool stopping;
	bool
	    closing; /* the link thread hangs up: not a loss, and no reason that hides the real one */
	int64_t timer_ms;
	unsigned calls; /* under way: their ends still come */
	uint32_t pull_id;
	struct lt_conn *dialed; /* handed over by the dial's callback */
	uint64_t
	    conn_no; /* rises with every connection: late answers of old ones are known by it */
	enum lt_sync_phase phase;
	uint64_t silent; /* lines that were half open */
	int64_t audit_at_ms; /* when to ask for the audit next */
	bool auditing; /* it is being asked for */
	bool audit_all; /* next: what was asked over all units; else our commune's own */
};

static int64_t
now_ms(struct lt_link *l)
{
	return lt_mono_ms(lt_node_clock(l->node));
}

static int
minute_of_day(struct lt_link *l)
{
	int64_t s = lt_wall_ms(lt_node_clock(l->node)) / 1000 + 7 * 3600; /* Asia/Ho_Chi_Minh */

	return (int)(s % 86400 / 60);
}

/* A commit of a feed that waits in the queue already only raises the head told there: commits take no more room than
 * there are feeds, however long the link thread is busy, and none is forgotten. */
static bool
raise_queued(struct lt_link *l, const struct lt_sync_event *ev)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		struct lt_sync_event *q = &l->queue[(l->head + i) % EVENTS_MAX].ev;

		if (q->kind == LT_SYNC_EV_COMMITTED && lt_feed_id_cmp(&q->feed, &ev->feed) == 0) {
			if (q->seq < ev->seq)
				q->seq = ev->seq;
			return true;
		}
	}
	return false;
}

/* Answers are bounded by calls; commits may not take the last room from them. */
static void
post_locked(struct lt_link *l, const struct lt_sync_event *ev, const struct lt_sync_feed *feeds)
{
	struct event *e;

	if (ev->kind == LT_SYNC_EV_COMMITTED &&
	    (raise_queued(l, ev) || l->n >= EVENTS_MAX - ANSWERS_MAX))
		return;
	if (l->n == EVENTS_MAX) {
		l->head = (l->head + 1) % EVENTS_MAX;
		l->n--;
	}
	e = &l->queue[(l->head + l->n) % EVENTS_MAX];
	e->ev = *ev;
	if (feeds != NULL) {
		memcpy(e->feeds, feeds, sizeof(e->feeds));
		e->ev.feeds = e->feeds;
	}
	l->n++;
	pthread_cond_signal(&l->cond);
}

static void
post(struct lt_link *l, const struct lt_sync_event *ev, const struct lt_sync_feed *feeds)
{
	pthread_mutex_lock(&l->mx);
	post_locked(l, ev, feeds);
	pthread_mutex_unlock(&l->mx);
}

static void
post_kind(struct lt_link *l, enum lt_sync_event_kind kind, bool ok)
{
	struct lt_sync_event ev = { .kind = kind, .ok = ok };

	post(l, &ev, NULL);
}

static void
moved(void *ctx, const struct lt_feed_id *feed, uint64_t head)
{
	struct lt_sync_event ev = { .kind = LT_SYNC_EV_COMMITTED, .feed = *feed, .seq = head };

	post(ctx, &ev, NULL);
}

/* ---- calls ---- */

static struct link_call *
call_new(struct lt_link *l)
{
	struct link_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->link = l;
	pthread_mutex_lock(&l->mx);
	l->calls++;
	c->conn_no = l->conn_no;
	pthread_mutex_unlock(&l->mx);
	return c;
}

/* The call is over: its event goes to the link thread, unless its connection is history. */
static void
call_over(struct link_call *c)
{
	struct lt_link *l = c->link;

	pthread_mutex_lock(&l->mx);
	if (c->conn_no == l->conn_no)
		post_locked(l, &c->c.ev, c->c.ev.nfeed != 0 ? c->c.feeds : NULL);
	l->calls--;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
	free(c);
}

static void
on_reply(void *ctx, const ProtobufCMessage *m)
{
	struct link_call *c = ctx;

	lt_session_take(c->link->session, &c->c, m);
}

static void
on_pull_item(void *ctx, const ProtobufCMessage *m)
{
	struct link_call *c = ctx;

	/* Waiting here holds back the stream's credit: the hub sends no faster than the disk takes. */
	lt_session_await_room(c->link->session);
	lt_session_take(c->link->session, &c->c, m);
}

static void
on_end(void *ctx, const struct lt_status *status)
{
	struct link_call *c = ctx;

	lt_session_end(c->link->session, &c->c, status);
	if (c->c.ev.kind == LT_SYNC_EV_GREETED && c->c.ev.ok && c->link->o.greeted != NULL)
		c->link->o.greeted(c->link->o.ctx);
	call_over(c);
}

static void
start_call(struct lt_link *l, struct link_call *c, const struct lt_session_request *r, bool pull)
{
	struct lt_call_ops ops = { pull ? on_pull_item : on_reply, on_end };
	struct lt_status lost = { .code = LT_STATUS_CANCELLED };

	if (l->conn != NULL && lt_conn_call(l->conn, r->service, r->method, r->message,
				   r->timeout_ms, &ops, c, pull ? &l->pull_id : NULL) == LT_OK)
		return;
	on_end(c, &lost);
}

static void
do_call(struct lt_link *l, const struct lt_sync_action *a)
{
	bool pull = a->kind == LT_SYNC_DO_PULL;
	struct link_call *c = call_new(l);
	struct lt_session_request r;
	struct lt_arena arena;

	if (c == NULL)
		return;
	if (pull)
		lt_session_await_idle(l->session);
	lt_arena_init(&arena, REQUEST_ARENA);
	if (lt_session_ask(l->session, a, &arena, &c->c, &r) == LT_OK)
		start_call(l, c, &r, pull);
	else
		call_over(c);
	lt_arena_fini(&arena);
}

static void
pull_broke(void *ctx)
{
	struct lt_link *l = ctx;

	pthread_mutex_lock(&l->mx);
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
}

static void
joined(void *ctx)
{
	struct lt_link *l = ctx;

	if (l->o.joined != NULL)
		l->o.joined(l->o.ctx);
}

bool
lt_link_sent(void *link, const struct lt_feed_id *feed, uint64_t seq)
{
	struct lt_link *l = link;

	return l != NULL && lt_session_sent(l->session, feed, seq);
}

/* ---- the connection ---- */

static void
say_lost(struct lt_link *l, int rc, const char *why)
{
	lt_session_say_both(l->session, "the line to the hub", why,
	    rc == LT_E_TIMEOUT
		? "đường truyền tới đầu mối im lặng quá lâu; máy tự nối lại, nếu kéo dài hãy xem "
		  "lại mạng"
		: "mất đường truyền tới đầu mối; máy tự nối lại, nếu kéo dài hãy xem lại mạng");
}

/* A machine that was suspended or revoked learns no more than this: its people must hear whom to call. */
static void
say_unreached(struct lt_link *l, int rc, const char *why)
{
	bool door = rc == LT_E_DENIED && strcmp(why, LT_WHY_AT_THE_DOOR) == 0;
	const char *vi =
	    door ? "đầu mối đóng đường truyền ngay khi thấy khóa của máy này: máy đang bị tạm "
		   "ngừng, đã bị "
		   "thu hồi hoặc chưa được nhận, hay đầu mối quá bận; vẫn ghi được ở máy này, nếu "
		   "kéo dài "
		   "hãy gọi cho tỉnh"
	    : rc == LT_E_DENIED ? "máy trả lời ở địa chỉ này không phải đầu mối mà máy này biết, "
				  "hoặc thiết bị mạng chặn "
				  "đường truyền; hãy xem lại mạng rồi gọi cho tỉnh"
	    : rc == LT_E_TIMEOUT
		? "đầu mối không trả lời kịp; máy tự thử lại, nếu kéo dài hãy xem lại mạng"
		: "chưa tới được đầu mối; máy tự thử lại, nếu kéo dài hãy xem lại mạng";

	lt_session_say_both(l->session, "cannot reach the hub",
	    door ? "it closes the line once it has seen this machine's key: the machine is "
		   "suspended, revoked or "
		   "not let in yet, or the hub is too busy; go on writing here, and call the "
		   "province if that lasts"
		 : why,
	    vi);
}

static void
on_closed(void *ctx, int rc, const char *why)
{
	struct lt_link *l = ctx;
	bool ours;

	pthread_mutex_lock(&l->mx);
	ours = l->closing;
	l->silent += rc == LT_E_TIMEOUT && !ours;
	pthread_mutex_unlock(&l->mx);
	if (rc != LT_OK && !ours)
		say_lost(l, rc, why);
	post_kind(l, LT_SYNC_EV_LOST, false);
}

static void
on_dialed(void *ctx, struct lt_conn *conn, int rc, const char *why)
{
	struct lt_sync_event ev = { .kind = LT_SYNC_EV_DIALED, .ok = rc == LT_OK };
	struct lt_link *l = ctx;

	if (rc != LT_OK)
		say_unreached(l, rc, why);
	pthread_mutex_lock(&l->mx);
	l->dialed = conn;
	post_locked(l, &ev, NULL);
	/* Once no call is left, a link that stops is freed: nothing of it is touched after this. */
	l->calls--;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
}

static void
do_close(struct lt_link *l)
{
	struct lt_conn *c = l->conn;

	pthread_mutex_lock(&l->mx);
	l->conn_no++;
	l->closing = true;
	pthread_mutex_unlock(&l->mx);
	lt_session_drop(l->session);
	l->conn = NULL;
	lt_conn_close(c);
	pthread_mutex_lock(&l->mx);
	l->closing = false;
	pthread_mutex_unlock(&l->mx);
}

static void
do_dial(struct lt_link *l)
{
	const struct lt_identity *id = lt_node_identity(l->node);
	struct lt_dial_options o = { .pool = l->pool,
		.clock = lt_node_clock(l->node),
		.line_sk = id->line_sk,
		.remote_line_key = id->hub_line_key,
		.federation = id->federation.b,
		.idle_ms = l->o.idle_ms,
		.closed = on_closed,
		.ctx = l };
	int rc;

	do_close(l);
	o.url = l->address[l->next_address++ % l->naddress];
	pthread_mutex_lock(&l->mx);
	l->calls++;
	pthread_mutex_unlock(&l->mx);
	rc = lt_dial_async(&o, on_dialed, l);
	if (rc != LT_OK)
		on_dialed(l, NULL, rc, lt_strerror(rc));
}

/* ---- the audit ---- */

#define AUDIT_CALL_MS 60000
#define AUDIT_NONE_MS 3600000 /* a hub that keeps none may keep one later */

struct audit_call {
	struct lt_link *link;
	const char *unit;
	bool more;
};

static void
on_audit(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__AuditUnitReply *r = (const Ltpb__AuditUnitReply *)m;
	struct audit_call *c = ctx;
	struct lt_err err = { "" };
	struct lt_node_audit_at before, after;
	int rc = lt_node_audit_at(c->link->node, c->unit, &before);

	if (rc == LT_OK)
		rc = lt_node_audit_take(c->link->node, c->unit, r, &err);
	if (rc == LT_OK)
		rc = lt_node_audit_at(c->link->node, c->unit, &after);
	c->more = rc == LT_OK && lt_node_audit_more(&before, &after, r->more);
	if (rc != LT_OK && err.text[0] == '\0')
		lt_warn(
		    "what the hub told of its read audit could not be kept: %s", lt_strerror(rc));
}

static void
on_audit_end(void *ctx, const struct lt_status *status)
{
	struct audit_call *c = ctx;
	struct lt_link *l = c->link;
	int64_t wait = l->o.audit_every_ms;

	pthread_mutex_lock(&l->mx);
	if (status->code == LT_STATUS_UNIMPLEMENTED && wait < AUDIT_NONE_MS)
		wait = AUDIT_NONE_MS;
	else if (status->code == LT_STATUS_OK && (c->more || !l->audit_all))
		wait = 0;
	if (!c->more)
		l->audit_all = status->code == LT_STATUS_OK && !l->audit_all;
	l->audit_at_ms = now_ms(l) + wait;
	l->auditing = false;
	l->calls--;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
	free(c);
}

/* On the link's thread, without the lock. */
static void
ask_audit(struct lt_link *l)
{
	static const struct lt_call_ops ops = { on_audit, on_audit_end };
	static const struct lt_status lost = { .code = LT_STATUS_CANCELLED };
	struct audit_call *c = calloc(1, sizeof(*c));
	Ltpb__AuditUnitRequest req;

	pthread_mutex_lock(&l->mx);
	l->audit_at_ms = now_ms(l) + l->o.audit_every_ms;
	if (c != NULL) {
		l->auditing = true;
		l->calls++;
		c->link = l;
		c->unit = l->audit_all ? "*" : lt_node_identity(l->node)->unit.s;
	}
	pthread_mutex_unlock(&l->mx);
	if (c == NULL)
		return;
	if (l->conn == NULL || lt_node_audit_ask(l->node, c->unit, &req) != LT_OK ||
	    lt_conn_call(l->conn, &ltpb__audit__descriptor, "UnitParts", &req.base, AUDIT_CALL_MS,
		&ops, c, NULL) != LT_OK)
		on_audit_end(c, &lost);
}

/* With mx held. */
static bool
audit_due(struct lt_link *l)
{
	return l->o.audit_every_ms != 0 && !l->auditing && l->phase == LT_SYNC_ONLINE &&
	       l->audit_at_ms <= now_ms(l);
}

/* ---- the thread ---- */

static void
carry_out(struct lt_link *l, const struct lt_sync_todo *todo)
{
	size_t i;

	for (i = 0; i < todo->n; i++) {
		const struct lt_sync_action *a = &todo->action[i];

		switch (a->kind) {
		case LT_SYNC_DO_DIAL:
			do_dial(l);
			break;
		case LT_SYNC_DO_JOIN:
		case LT_SYNC_DO_HELLO:
		case LT_SYNC_DO_GIVE_BACK:
		case LT_SYNC_DO_PULL:
		case LT_SYNC_DO_PUSH:
		case LT_SYNC_DO_ANNOUNCE:
		case LT_SYNC_DO_FETCH:
		case LT_SYNC_DO_SUPPLY:
			do_call(l, a);
			break;
		case LT_SYNC_DO_CLOSE:
			do_close(l);
			break;
		case LT_SYNC_DO_TIMER:
			pthread_mutex_lock(&l->mx);
			l->timer_ms = a->at_ms;
			pthread_mutex_unlock(&l->mx);
			break;
		}
	}
}

static void
wait_until(struct lt_link *l, int64_t at_ms)
{
	int64_t left = at_ms == INT64_MAX ? 60000 : at_ms - now_ms(l);
	struct timespec ts;

	if (left <= 0)
		return;
	if (left > 60000)
		left = 60000;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += left / 1000;
	ts.tv_nsec += left % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	(void)pthread_cond_timedwait(&l->cond, &l->mx, &ts);
}

/* The next event: queued, or the timer, or that the pull's change-sets are no longer taken. */
static bool
next_event(struct lt_link *l, struct event *out)
{
	bool got = false;

	pthread_mutex_lock(&l->mx);
	while (!l->stopping && !got) {
		if (l->n > 0) {
			*out = l->queue[l->head];
			if (out->ev.feeds != NULL)
				out->ev.feeds = out->feeds;
			l->head = (l->head + 1) % EVENTS_MAX;
			l->n--;
			got = true;
		} else if (l->timer_ms <= now_ms(l)) {
			l->timer_ms = INT64_MAX;
			memset(&out->ev, 0, sizeof(out->ev));
			out->ev.kind = LT_SYNC_EV_TIMER;
			got = true;
		} else if (l->pull_id != 0 && lt_session_pull_broke(l->session)) {
			uint32_t id = l->pull_id;

			l->pull_id = 0;
			pthread_mutex_unlock(&l->mx);
			if (l->conn != NULL)
				lt_conn_cancel(l->conn, id);
			pthread_mutex_lock(&l->mx);
		} else if (audit_due(l)) {
			pthread_mutex_unlock(&l->mx);
			ask_audit(l);
			pthread_mutex_lock(&l->mx);
		} else {
			int64_t at = l->timer_ms;

			if (l->o.audit_every_ms != 0 && !l->auditing &&
			    l->phase == LT_SYNC_ONLINE && l->audit_at_ms < at)
				at = l->audit_at_ms;
			wait_until(l, at);
		}
	}
	if (got && out->ev.kind == LT_SYNC_EV_DIALED && l->dialed != NULL) {
		l->conn = l->dialed;
		l->dialed = NULL;
	}
	pthread_mutex_unlock(&l->mx);
	return got;
}

static void
step(struct lt_link *l, struct lt_sync_event *ev)
{
	struct lt_sync_todo todo;

	ev->now_ms = now_ms(l);
	ev->minute_of_day = minute_of_day(l);
	lt_sync_step(&l->sync, ev, &todo);
	pthread_mutex_lock(&l->mx);
	l->phase = l->sync.phase;
	pthread_mutex_unlock(&l->mx);
	carry_out(l, &todo);
}

static void *
run(void *arg)
{
	struct lt_link *l = arg;
	struct lt_sync_event ev = { .kind = LT_SYNC_EV_START };
	struct event *e = calloc(1, sizeof(*e));

	if (e == NULL) {
		lt_error(
		    "out of memory: this machine does not replicate until it is started again");
		return NULL;
	}
	step(l, &ev);
	while (next_event(l, e))
		step(l, &e->ev);
	memset(&ev, 0, sizeof(ev));
	ev.kind = LT_SYNC_EV_STOP;
	step(l, &ev);
	free(e);
	return NULL;
}

static int
read_addresses(struct lt_link *l, const char *text, struct lt_err *err)
{
	const char *p = text;

	while (*p != '\0') {
		size_t n = strcspn(p, " ");

		if (n > 0 && l->naddress < LT_ADDRESSES_MAX && n < sizeof(l->address[0])) {
			memcpy(l->address[l->naddress], p, n);
			l->address[l->naddress++][n] = '\0';
		}
		p += n;
		p += strspn(p, " ");
	}
	return l->naddress > 0 ? LT_OK
			       : lt_err_set(err, LT_E_INVALID, "no address of the hub is known");
}

int
lt_link_start(const struct lt_link_options *o, struct lt_link **out, struct lt_err *err)
{
	static const uint8_t no_token[16];
	const struct lt_identity *id = lt_node_identity(o->node);
	struct lt_sync_config config = { .bulk_from = o->bulk_from, .bulk_to = o->bulk_to };
	struct lt_session_options so = { .node = o->node,
		.repair = o->repair,
		.label = o->label,
		.joined = joined,
		.pull_broke = pull_broke };
	struct lt_link *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;
	int rc;

	if (l == NULL)
		return LT_E_NOMEM;
	l->o = *o;
	l->node = o->node;
	l->pool = o->pool;
	l->timer_ms = INT64_MAX;
	l->audit_at_ms = now_ms(l) + o->audit_every_ms;
	so.ctx = l;
	rc = read_addresses(l, o->addresses, err);
	if (rc == LT_OK)
		rc = lt_session_new(&so, &l->session);
	if (rc != LT_OK) {
		free(l);
		return rc;
	}
	randombytes_buf(&config.seed, sizeof(config.seed));
	config.joining = memcmp(id->token, no_token, sizeof(no_token)) != 0;
	lt_sync_init(&l->sync, &config);
	pthread_mutex_init(&l->mx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->cond, &attr);
	pthread_condattr_destroy(&attr);
	lt_node_on_moved(o->node, moved, l);
	if (pthread_create(&l->thread, NULL, run, l) != 0) {
		lt_node_on_moved(o->node, NULL, NULL);
		pthread_cond_destroy(&l->cond);
		pthread_mutex_destroy(&l->mx);
		lt_session_free(l->session);
		free(l);
		return lt_err_set(err, LT_E_NOMEM, "cannot start a thread");
	}
	*out = l;
	return LT_OK;
}

void
lt_link_stop(struct lt_link *l)
{
	if (l == NULL)
		return;
	/* Waits for a notice that is on its way in: afterwards only our own thread, calls and applications know of the link. */
	lt_node_on_moved(l->node, NULL, NULL);
	pthread_mutex_lock(&l->mx);
	l->stopping = true;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
	lt_session_drop(l->session);
	pthread_join(l->thread, NULL);
	pthread_mutex_lock(&l->mx);
	while (l->calls > 0)
		pthread_cond_wait(&l->cond, &l->mx);
	pthread_mutex_unlock(&l->mx);
	lt_session_await_idle(l->session);
	lt_conn_close(l->dialed);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->mx);
	lt_session_free(l->session);
	free(l);
}

void
lt_link_status(struct lt_link *l, struct lt_link_status *out)
{
	pthread_mutex_lock(&l->mx);
	out->phase = l->phase;
	out->silent = l->silent;
	pthread_mutex_unlock(&l->mx);
	lt_session_status(
	    l->session, out->error, out->error_vi, sizeof(out->error), &out->last_contact_ms);
}
