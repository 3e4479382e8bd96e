#include "node/link.h"
#include "node/own_feeds.h"
#include "node/sent.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/store/feed_log.h"

#include "lienthong/v1/sync.pb-c.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS_MAX 256
#define ANSWERS_MAX 64 /* of these, kept free of commits */
#define APPLY_WINDOW 64 /* pulled change-sets under way to the disk */
#define PULL_HAVE_MAX 4096
#define CALL_MS 60000
#define ITEM_ARENA ((size_t)8 * 1024 * 1024)

struct event {
	struct lt_sync_event ev;
	struct lt_sync_feed feeds[LT_SYNC_FEEDS_MAX]; /* GREETED */
};

struct link_call {
	struct lt_link *link;
	struct lt_feed_id feed;
	uint64_t from_seq, to_seq;
	size_t bytes;
	struct lt_sync_event ev; /* filled by item, sent by end */
	struct lt_sync_feed feeds[LT_SYNC_FEEDS_MAX];
	uint64_t conn_no;
	uint64_t push_no; /* PUSHED */
};

struct lt_link {
	struct lt_node *node;
	struct lt_pool *pool;
	struct lt_link_options o;
	struct lt_sync sync; /* link thread only */
	char address[LT_ADDRESSES_MAX][LT_ADDRESS_LEN_MAX + 1];
	size_t naddress, next_address;
	struct lt_conn *conn; /* link thread only */
	uint64_t session_instance[2];
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
	unsigned applying;
	bool pull_failed;
	uint64_t pull_taken; /* change-sets of this pull that are on disk */
	uint32_t pull_id;
	struct lt_conn *dialed; /* handed over by the dial's callback */
	uint64_t
	    conn_no; /* rises with every connection: late answers of old ones are known by it */
	struct lt_link_status status;
	uint64_t push_no; /* of the last push */
	struct lt_sent sent;
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

static void
say_error(struct lt_link *l, const char *what, const char *why)
{
	pthread_mutex_lock(&l->mx);
	(void)snprintf(l->status.error, sizeof(l->status.error), "%s: %s", what, why);
	pthread_mutex_unlock(&l->mx);
	lt_info("%s: %s", what, why);
}

static void
say_contact(struct lt_link *l)
{
	pthread_mutex_lock(&l->mx);
	l->status.last_contact_ms = lt_wall_ms(lt_node_clock(l->node));
	pthread_mutex_unlock(&l->mx);
}

/* ---- calls ---- */

static struct link_call *
call_new(struct lt_link *l, enum lt_sync_event_kind kind)
{
	struct link_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->link = l;
	c->ev.kind = kind;
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
	if (c->ev.kind == LT_SYNC_EV_PUSHED)
		lt_sent_end(&l->sent, c->push_no, c->ev.ok ? c->ev.seq : 0);
	if (c->conn_no == l->conn_no)
		post_locked(l, &c->ev, c->ev.nfeed != 0 ? c->feeds : NULL);
	l->calls--;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
	free(c);
}

/* How a pull went: one that we cancelled because a change-set was not taken failed. */
static void
weigh_pull(struct link_call *c, bool ended_well)
{
	struct lt_link *l = c->link;

	pthread_mutex_lock(&l->mx);
	c->ev.ok = ended_well && !l->pull_failed;
	c->ev.seq = l->pull_taken;
	pthread_mutex_unlock(&l->mx);
}

/* Another machine, or an older self, signed under these numbers before: the epoch is over, and what the hub holds of it is
 * asked for. */
static void
meet_fork(struct link_call *c)
{
	struct lt_link *l = c->link;
	int rc = lt_node_new_epoch(l->node, &c->feed);

	if (rc != LT_OK)
		say_error(l, "a new epoch could not be begun", lt_strerror(rc));
	pthread_mutex_lock(&l->mx);
	if (c->conn_no == l->conn_no)
		l->pull_failed = true; /* the next pull names what is certain */
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
}

static void
on_end(void *ctx, const struct lt_status *status)
{
	struct link_call *c = ctx;

	if (status->code != LT_STATUS_OK) {
		c->ev.ok = false;
		c->ev.retry_after_ms = status->retry_delay_ms;
		c->ev.final = status->code == LT_STATUS_PERMISSION_DENIED ||
			      status->code == LT_STATUS_FAILED_PRECONDITION ||
			      status->code == LT_STATUS_INVALID_ARGUMENT ||
			      status->code == LT_STATUS_UNAUTHENTICATED;
		if (status->code != LT_STATUS_CANCELLED)
			say_error(c->link, lt_status_name(status->code), status->message);
		if (c->ev.kind == LT_SYNC_EV_PUSHED && strcmp(status->reason, "FORK") == 0)
			meet_fork(c);
	}
	if (c->ev.kind == LT_SYNC_EV_PULL_ENDED)
		weigh_pull(c, status->code == LT_STATUS_OK);
	call_over(c);
}

static void
start_call(struct lt_link *l, struct link_call *c, const ProtobufCServiceDescriptor *service,
    const char *method, const ProtobufCMessage *request, uint32_t timeout_ms,
    void (*item)(void *, const ProtobufCMessage *), uint32_t *id)
{
	struct lt_call_ops ops = { item, on_end };

	if (l->conn != NULL &&
	    lt_conn_call(l->conn, service, method, request, timeout_ms, &ops, c, id) == LT_OK)
		return;
	c->ev.ok = false;
	call_over(c);
}

/* ---- join and hello ---- */

static int
meet(struct lt_link *l, const Ltpb__Certificate *cert, const char *province)
{
	struct lt_err err = { "" };
	struct lt_buf b;
	int rc;

	if (cert == NULL)
		return LT_E_INVALID;
	lt_buf_init(&b, 4096);
	rc = lt_wire_pack(&cert->base, 4096, &b);
	if (rc == LT_OK)
		rc = lt_node_meet_hub(l->node, lt_buf_slice(&b), province, &err);
	lt_buf_fini(&b);
	if (rc != LT_OK)
		say_error(l, "the hub's certificate is refused", err.text);
	return rc;
}

static void
on_join_reply(void *ctx, const ProtobufCMessage *m)
{
	struct link_call *c = ctx;
	const Ltpb__JoinReply *r = (const Ltpb__JoinReply *)m;

	c->ev.ok = r->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING ||
		   r->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
	c->ev.active = r->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
	c->ev.retry_after_ms = r->retry_after_ms;
	if (!c->ev.ok) {
		char why[384];

		(void)snprintf(why, sizeof(why),
		    "the province has refused this machine%s%s; ask for a new invitation",
		    r->reason[0] != '\0' ? ": " : "", r->reason);
		say_error(c->link, "enrolment", why);
	}
	if (c->ev.active && meet(c->link, r->hub, r->province) != LT_OK)
		c->ev.ok = c->ev.active = false;
	if (c->ev.active && c->link->o.joined != NULL)
		c->link->o.joined(c->link->o.ctx);
}

static void
do_join(struct lt_link *l)
{
	const struct lt_identity *id = lt_node_identity(l->node);
	Ltpb__JoinRequest r = LTPB__JOIN_REQUEST__INIT;
	uint8_t proof[LT_SIG_LEN];
	struct link_call *c = call_new(l, LT_SYNC_EV_JOINED);

	if (c == NULL)
		return;
	lt_join_proof(&id->sign, &id->federation, id->token, &id->principal, id->line_pk, proof);
	r.token.data = (uint8_t *)id->token;
	r.token.len = sizeof(id->token);
	r.principal.data = (uint8_t *)id->principal.b;
	r.principal.len = LT_ID_LEN;
	r.sign_key.data = (uint8_t *)id->sign.pk;
	r.sign_key.len = sizeof(id->sign.pk);
	r.proof.data = proof;
	r.proof.len = sizeof(proof);
	if (l->o.label != NULL)
		r.label = (char *)l->o.label;
	start_call(l, c, &ltpb__enrol__descriptor, "Join", &r.base, CALL_MS, on_join_reply, NULL);
}

static int
own_feeds(struct lt_link *l, struct lt_kv_txn *txn, bool asked, size_t n,
    Ltpb__FeedHead *const *held, struct lt_own_feeds *o)
{
	const struct lt_identity *id = lt_node_identity(l->node);

	return lt_own_feeds_read(txn, &id->principal, &id->unit, asked, n, held, o);
}

/* What the hub holds against what we have: a feed is pushed only where the hub's head is one of ours. */
static void
weigh_held(struct lt_link *l, struct lt_kv_txn *txn, struct lt_own_feeds *o, size_t n,
    Ltpb__FeedHead *const *held)
{
	const struct lt_identity *id = lt_node_identity(l->node);
	size_t i, k;

	for (i = 0; i < o->n; i++) {
		struct lt_sync_feed *f = &o->feed[i];
		uint64_t receipted;
		struct lt_hash h;

		f->usable = true;
		for (k = 0; k < n; k++) {
			if (held[k]->feed.len != LT_FEED_LEN ||
			    memcmp(held[k]->feed.data, f->feed.b, LT_FEED_LEN) != 0)
				continue;
			f->held = held[k]->seq;
			f->usable =
			    f->held == 0 ||
			    (f->held <= f->head && held[k]->hash.len == LT_HASH_LEN &&
				lt_feed_log_hash(txn, &id->unit, &f->feed, f->held, &h) == LT_OK &&
				memcmp(h.b, held[k]->hash.data, LT_HASH_LEN) == 0);
			if (!f->usable)
				lt_warn("the hub holds more or other change-sets of this machine's "
					"feed than this machine (it holds %llu, here are %llu): "
					"its tail is fetched and a new epoch begun",
				    (unsigned long long)f->held, (unsigned long long)f->head);
		}
		/* A receipt got lost on its way: offered once more, what the hub holds is receipted anew. */
		if (f->usable && f->held > 0 &&
		    lt_node_receipted(txn, &id->unit, &f->feed, &receipted) == LT_OK &&
		    receipted < f->held)
			f->held--;
	}
}

static void
on_hello_reply(void *ctx, const ProtobufCMessage *m)
{
	struct link_call *c = ctx;
	struct lt_link *l = c->link;
	const Ltpb__HelloReply *r = (const Ltpb__HelloReply *)m;
	struct lt_own_feeds o;
	struct lt_kv_txn *txn;
	size_t i;

	if (meet(l, r->certificate, r->province) != LT_OK) {
		c->ev.final = true;
		return;
	}
	if (lt_node_saw_hub_time(l->node, r->hub_time_ms) != LT_OK ||
	    lt_kv_begin_read(lt_node_kv(l->node), &txn) != LT_OK)
		return;
	c->ev.ok = own_feeds(l, txn, true, r->n_held, r->held, &o) == LT_OK;
	if (c->ev.ok)
		weigh_held(l, txn, &o, r->n_held, r->held);
	lt_kv_abort(txn);
	for (i = 0; i < o.n; i++)
		if (!o.feed[i].usable && lt_node_new_epoch(l->node, &o.feed[i].feed) != LT_OK)
			c->ev.ok = false;
	memcpy(c->feeds, o.feed, sizeof(c->feeds));
	c->ev.nfeed = o.n;
	say_contact(l);
	pthread_mutex_lock(&l->mx);
	l->status.error[0] = '\0';
	pthread_mutex_unlock(&l->mx);
}

/* Heads as messages, the newest epochs first, as the hub measures freshness by the first it is told; memory lives in the
 * arena. */
static size_t
pack_heads(
    const struct lt_own_feeds *o, const char *unit, struct lt_arena *arena, Ltpb__FeedHead ***out)
{
	Ltpb__FeedHead **v = lt_arena_alloc(arena, (o->n + 1) * sizeof(*v));
	size_t i;

	if (v == NULL)
		return 0;
	for (i = 0; i < o->n; i++) {
		size_t from = o->n - 1 - i;

		v[i] = lt_arena_alloc(arena, sizeof(**v));
		if (v[i] == NULL)
			return i;
		ltpb__feed_head__init(v[i]);
		v[i]->unit = (char *)unit;
		v[i]->feed.data = (uint8_t *)o->feed[from].feed.b;
		v[i]->feed.len = LT_FEED_LEN;
		v[i]->seq = o->head[from].seq;
		v[i]->hash.data = (uint8_t *)o->head[from].hash.b;
		v[i]->hash.len = LT_HASH_LEN;
	}
	*out = v;
	return o->n;
}

static void
do_hello(struct lt_link *l)
{
	const struct lt_identity *id = lt_node_identity(l->node);
	Ltpb__HelloRequest r = LTPB__HELLO_REQUEST__INIT;
	struct link_call *c = call_new(l, LT_SYNC_EV_GREETED);
	struct lt_own_feeds o = { 0 };
	struct lt_arena arena;
	struct lt_kv_txn *txn;

	if (c == NULL)
		return;
	lt_arena_init(&arena, ITEM_ARENA);
	if (lt_kv_begin_read(lt_node_kv(l->node), &txn) == LT_OK) {
		(void)own_feeds(l, txn, false, 0, NULL, &o);
		lt_kv_abort(txn);
	}
	r.principal.data = (uint8_t *)id->principal.b;
	r.principal.len = LT_ID_LEN;
	r.instance.data = (uint8_t *)l->session_instance;
	r.instance.len = sizeof(l->session_instance);
	r.clock_ms = lt_wall_ms(lt_node_clock(l->node));
	r.version = (char *)LT_VERSION;
	r.n_head = pack_heads(&o, id->unit.s, &arena, &r.head);
	start_call(l, c, &ltpb__sync__descriptor, "Hello", &r.base, CALL_MS, on_hello_reply, NULL);
	lt_arena_fini(&arena);
}

/* ---- announce ---- */

static void
on_announce_reply(void *ctx, const ProtobufCMessage *m)
{
	struct link_call *c = ctx;
	const Ltpb__AnnounceReply *r = (const Ltpb__AnnounceReply *)m;

	c->ev.ok = true;
	(void)lt_node_saw_hub_time(c->link->node, r->hub_time_ms);
	say_contact(c->link);
}

static void
do_announce(struct lt_link *l)
{
	const struct lt_identity *id = lt_node_identity(l->node);
	Ltpb__AnnounceRequest r = LTPB__ANNOUNCE_REQUEST__INIT;
	struct link_call *c = call_new(l, LT_SYNC_EV_ANNOUNCED);
	struct lt_own_feeds o = { 0 };
	struct lt_arena arena;
	struct lt_kv_txn *txn;

	if (c == NULL)
		return;
	lt_arena_init(&arena, ITEM_ARENA);
	if (lt_kv_begin_read(lt_node_kv(l->node), &txn) == LT_OK) {
		(void)own_feeds(l, txn, false, 0, NULL, &o);
		lt_kv_abort(txn);
	}
	r.clock_ms = lt_wall_ms(lt_node_clock(l->node));
	r.n_head = pack_heads(&o, id->unit.s, &arena, &r.head);
	start_call(
	    l, c, &ltpb__sync__descriptor, "Announce", &r.base, CALL_MS, on_announce_reply, NULL);
	lt_arena_fini(&arena);
}

/* ---- push ---- */

static void
on_push_reply(void *ctx, const ProtobufCMessage *m)
{
	struct link_call *c = ctx;
	const Ltpb__PushReply *r = (const Ltpb__PushReply *)m;
	struct lt_err err = { "" };
	struct lt_buf b;
	size_t i;

	c->ev.ok = true;
	c->ev.feed = c->feed;
	c->ev.bytes = c->bytes;
	c->ev.seq = c->from_seq - 1;
	for (i = 0; i < r->n_receipt; i++) {
		struct lt_feed_id feed;
		uint64_t seq = 0;
		int rc;

		lt_buf_init(&b, 256 * 1024);
		rc = lt_wire_pack(&r->receipt[i]->base, 256 * 1024, &b);
		if (rc == LT_OK)
			rc = lt_node_receipt(c->link->node, lt_buf_slice(&b), &feed, &seq, &err);
		if (seq == 0)
			c->ev.ok = false; /* not believed: push again later */
		else if (lt_feed_id_cmp(&feed, &c->feed) == 0)
			c->ev.seq = seq; /* the hub may have taken less than was sent */
		if (rc != LT_OK)
			say_error(c->link, "a receipt is not kept",
			    err.text[0] != '\0' ? err.text : lt_strerror(rc));
		lt_buf_fini(&b);
	}
	for (i = 0; i < r->n_need; i++)
		if (r->need[i]->feed.len == LT_FEED_LEN &&
		    memcmp(r->need[i]->feed.data, c->feed.b, LT_FEED_LEN) == 0)
			c->ev.seq = r->need[i]->seq;
	say_contact(c->link);
}

/* Change-sets of one feed from from_seq on, openings included, up to about max_bytes. */
static int
gather_push(struct lt_link *l, const struct lt_sync_action *a, struct lt_arena *arena,
    Ltpb__PushRequest *r, struct link_call *c)
{
	const struct lt_identity *id = lt_node_identity(l->node);
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	uint64_t seq, position;
	int rc = lt_kv_begin_read(lt_node_kv(l->node), &txn);

	if (rc != LT_OK)
		return rc;
	r->change_set = lt_arena_alloc(arena, LT_PUSH_MAX * sizeof(*r->change_set));
	for (seq = a->from_seq; r->change_set != NULL && r->n_change_set < LT_PUSH_MAX; seq++) {
		struct lt_entry e;
		struct lt_buf b;

		if (c->bytes >= a->max_bytes)
			break;
		rc = lt_feed_log_find(txn, &id->unit, &a->feed, seq, &position);
		if (rc != LT_OK)
			break;
		lt_buf_init(&b, LT_MESSAGE_MAX);
		rc = lt_feed_log_read(txn, position, &e);
		if (rc == LT_OK)
			rc = lt_feed_log_compose(txn, &e, NULL, NULL, &b, &err);
		if (rc == LT_OK && r->n_change_set != 0 &&
		    c->bytes + b.len > LT_MESSAGE_MAX - 65536) {
			lt_buf_fini(&b);
			break;
		}
		if (rc == LT_OK) {
			ProtobufCBinaryData *d = &r->change_set[r->n_change_set];

			d->data = lt_arena_dup(arena, b.data, b.len);
			d->len = b.len;
			rc = d->data == NULL ? LT_E_NOMEM : LT_OK;
		}
		if (rc == LT_OK) {
			r->n_change_set++;
			c->bytes += b.len;
			c->to_seq = seq;
		}
		lt_buf_fini(&b);
		if (rc != LT_OK)
			break;
	}
	lt_kv_abort(txn);
	if (rc != LT_OK && rc != LT_E_NOTFOUND)
		lt_error("change-set %llu cannot be read for sending: %s %s",
		    (unsigned long long)seq, lt_strerror(rc), err.text);
	return r->n_change_set != 0 ? LT_OK : LT_E_NOTFOUND;
}

static void
note_sent(struct lt_link *l, struct link_call *c)
{
	pthread_mutex_lock(&l->mx);
	c->push_no = ++l->push_no;
	lt_sent_begin(&l->sent, &c->feed, c->to_seq, c->push_no);
	pthread_mutex_unlock(&l->mx);
}

bool
lt_link_sent(void *link, const struct lt_feed_id *feed, uint64_t seq)
{
	struct lt_link *l = link;
	bool sent;

	if (l == NULL)
		return false;
	pthread_mutex_lock(&l->mx);
	sent = lt_sent_has(&l->sent, feed, seq);
	pthread_mutex_unlock(&l->mx);
	return sent;
}

static void
do_push(struct lt_link *l, const struct lt_sync_action *a)
{
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	struct link_call *c = call_new(l, LT_SYNC_EV_PUSHED);
	struct lt_arena arena;

	if (c == NULL)
		return;
	c->feed = c->ev.feed = a->feed;
	c->from_seq = a->from_seq;
	lt_arena_init(&arena, (size_t)4 * 1024 * 1024);
	if (gather_push(l, a, &arena, &r, c) == LT_OK) {
		note_sent(l, c);
		start_call(
		    l, c, &ltpb__sync__descriptor, "Push", &r.base, CALL_MS, on_push_reply, NULL);
	} else {
		c->ev.ok = false;
		call_over(c);
	}
	lt_arena_fini(&arena);
}

/* ---- pull ---- */

static void
applied(void *ctx, int rc, const char *why)
{
	struct lt_link *l = ctx;

	pthread_mutex_lock(&l->mx);
	l->applying--;
	if (rc == LT_OK)
		l->pull_taken++;
	if (rc != LT_OK && !l->pull_failed) {
		l->pull_failed = true;
		(void)snprintf(l->status.error, sizeof(l->status.error),
		    "a change-set from the hub was not taken: %s: %.160s", lt_strerror(rc), why);
		lt_warn("%s", l->status.error);
	}
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
}

static void
on_pull_item(void *ctx, const ProtobufCMessage *m)
{
	struct link_call *c = ctx;
	struct lt_link *l = c->link;
	const Ltpb__PullItem *it = (const Ltpb__PullItem *)m;
	bool failed;

	if (it->item_case == LTPB__PULL_ITEM__ITEM_CAUGHT_UP) {
		(void)lt_node_saw_hub_time(l->node, it->caught_up->hub_time_ms);
		say_contact(l);
		return;
	}
	if (it->item_case != LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		return;
	/* Waiting here holds back the stream's credit: the hub sends no faster than the disk takes. */
	pthread_mutex_lock(&l->mx);
	while (l->applying >= APPLY_WINDOW && !l->pull_failed)
		pthread_cond_wait(&l->cond, &l->mx);
	failed = l->pull_failed;
	if (!failed)
		l->applying++;
	pthread_mutex_unlock(&l->mx);
	if (failed)
		return; /* what follows a failure would only be gaps; the stream is ended by the link thread */
	if (lt_node_apply(l->node, lt_slice(it->change_set.data, it->change_set.len), applied, l) !=
	    LT_OK)
		applied(l, LT_E_INVALID, "it cannot be read");
}

struct have {
	struct lt_arena *arena;
	struct lt_kv_txn *txn;
	struct lt_id own;
	size_t n;
	Ltpb__FeedHead **v;
};

static int
note_have(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct have *h = ctx;
	struct lt_id author = lt_feed_author(feed);
	uint64_t seq = head->seq;
	struct lt_hash hash = head->hash;
	Ltpb__FeedHead *f;
	int rc = LT_OK;

	if (h->n == PULL_HAVE_MAX)
		return LT_OK;
	/* Of its own feeds a node has for certain what the hub has said so of: behind that the hub may have other ones. */
	if (lt_id_eq(&author, &h->own))
		rc = lt_node_tied(h->txn, unit, feed, head, &seq);
	if (rc == LT_OK && seq != head->seq)
		rc = lt_feed_log_hash(h->txn, unit, feed, seq, &hash);
	if (rc != LT_OK)
		return rc;
	f = lt_arena_alloc(h->arena, sizeof(*f));
	if (f == NULL)
		return LT_E_NOMEM;
	ltpb__feed_head__init(f);
	f->unit = lt_arena_dup(h->arena, unit->s, strlen(unit->s));
	f->feed.data = lt_arena_dup(h->arena, feed->b, LT_FEED_LEN);
	f->feed.len = LT_FEED_LEN;
	f->seq = seq;
	f->hash.data = lt_arena_dup(h->arena, hash.b, LT_HASH_LEN);
	f->hash.len = LT_HASH_LEN;
	if (f->unit == NULL || f->feed.data == NULL || f->hash.data == NULL)
		return LT_E_NOMEM;
	h->v[h->n++] = f;
	return LT_OK;
}

static void
do_pull(struct lt_link *l)
{
	Ltpb__PullRequest r = LTPB__PULL_REQUEST__INIT;
	struct link_call *c = call_new(l, LT_SYNC_EV_PULL_ENDED);
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	struct have h = { .arena = &arena };

	if (c == NULL)
		return;
	pthread_mutex_lock(&l->mx);
	while (l->applying > 0) /* positions are asked for from what is on disk */
		pthread_cond_wait(&l->cond, &l->mx);
	l->pull_failed = false;
	l->pull_taken = 0;
	pthread_mutex_unlock(&l->mx);
	lt_arena_init(&arena, ITEM_ARENA);
	h.v = lt_arena_alloc(&arena, PULL_HAVE_MAX * sizeof(*h.v));
	if (h.v != NULL && lt_kv_begin_read(lt_node_kv(l->node), &txn) == LT_OK) {
		h.txn = txn;
		h.own = lt_node_identity(l->node)->principal;
		(void)lt_feed_log_each(txn, NULL, note_have, &h);
		lt_kv_abort(txn);
	}
	r.have = h.v;
	r.n_have = h.n;
	r.follow = true;
	start_call(l, c, &ltpb__sync__descriptor, "Pull", &r.base, 0, on_pull_item, &l->pull_id);
	lt_arena_fini(&arena);
}

/* ---- the connection ---- */

static void
on_closed(void *ctx, int rc, const char *why)
{
	struct lt_link *l = ctx;
	bool ours;

	pthread_mutex_lock(&l->mx);
	ours = l->closing;
	pthread_mutex_unlock(&l->mx);
	if (rc != LT_OK && !ours)
		say_error(l, "the line to the hub", why);
	post_kind(l, LT_SYNC_EV_LOST, false);
}

static void
on_dialed(void *ctx, struct lt_conn *conn, int rc, const char *why)
{
	struct lt_sync_event ev = { .kind = LT_SYNC_EV_DIALED, .ok = rc == LT_OK };
	struct lt_link *l = ctx;

	if (rc != LT_OK)
		say_error(l, "cannot reach the hub", why);
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
	l->pull_failed = true;
	l->closing = true;
	lt_sent_drop(&l->sent);
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
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
			do_join(l);
			break;
		case LT_SYNC_DO_HELLO:
			do_hello(l);
			break;
		case LT_SYNC_DO_PULL:
			do_pull(l);
			break;
		case LT_SYNC_DO_PUSH:
			do_push(l, a);
			break;
		case LT_SYNC_DO_ANNOUNCE:
			do_announce(l);
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
		} else if (l->pull_failed && l->pull_id != 0) {
			uint32_t id = l->pull_id;

			l->pull_id = 0;
			pthread_mutex_unlock(&l->mx);
			if (l->conn != NULL)
				lt_conn_cancel(l->conn, id);
			pthread_mutex_lock(&l->mx);
		} else {
			wait_until(l, l->timer_ms);
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
	l->status.phase = l->sync.phase;
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
	struct lt_link *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;
	int rc;

	if (l == NULL)
		return LT_E_NOMEM;
	l->o = *o;
	l->node = o->node;
	l->pool = o->pool;
	l->timer_ms = INT64_MAX;
	rc = read_addresses(l, o->addresses, err);
	if (rc != LT_OK) {
		free(l);
		return rc;
	}
	randombytes_buf(l->session_instance, sizeof(l->session_instance));
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
	l->pull_failed = true;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->mx);
	pthread_join(l->thread, NULL);
	pthread_mutex_lock(&l->mx);
	while (l->calls > 0 || l->applying > 0)
		pthread_cond_wait(&l->cond, &l->mx);
	pthread_mutex_unlock(&l->mx);
	lt_conn_close(l->dialed);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->mx);
	free(l);
}

void
lt_link_status(struct lt_link *l, struct lt_link_status *out)
{
	pthread_mutex_lock(&l->mx);
	*out = l->status;
	pthread_mutex_unlock(&l->mx);
}
