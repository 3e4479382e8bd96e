#include "hub/pull.h"
#include "proto/base/log.h"
#include "proto/store/feed_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FEEDS_MAX 4096
#define STREAMS_MAX 4096
#define READ_AT_ONCE 64 /* change-sets sent in one read transaction */
#define HEADS_TOLD_MAX 64 /* of CaughtUp */

struct position {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t next; /* seq to send */
	uint64_t
	    last; /* none after this one: what a node wrote itself it has, but for a tail it lost */
	bool foreign; /* the node has another branch than we: nothing can follow */
	bool moved; /* sent of since the node was last told that it has all */
	struct lt_hash head; /* of next - 1, when moved and not in the middle of a round */
};

struct stream {
	struct lt_pulls *pulls;
	struct lt_call *call;
	struct lt_unit unit;
	struct lt_id node;
	bool follow;
	bool told; /* caught up since the last change-set */
	size_t n, cap;
	struct position *at;
	struct stream *next, *prev;
};

struct lt_pulls {
	struct lt_hub *h;
	struct lt_pool *pool;
	pthread_mutex_t mx; /* guards what follows */
	struct stream *first;
	size_t nstream;
	uint64_t seen; /* log position up to which streams were woken */
	bool scanning;
};

/* ---- news ---- */

struct units {
	size_t n;
	struct lt_unit unit[256];
	bool all;
};

static void
note_unit(struct units *u, const struct lt_unit *unit)
{
	size_t i;

	if (!lt_unit_is_commune(unit))
		u->all = true;
	for (i = 0; i < u->n; i++)
		if (lt_unit_eq(&u->unit[i], unit))
			return;
	if (u->n == sizeof(u->unit) / sizeof(u->unit[0]))
		u->all = true;
	else
		u->unit[u->n++] = *unit;
}

/* Which units moved since last time, and whose streams that wakes. */
static void
scan(void *arg)
{
	struct lt_pulls *p = arg;
	struct units u = { 0 };
	struct lt_kv_txn *txn;
	struct lt_entry e;
	struct stream *s;
	uint64_t last = 0, from;
	size_t i;

	pthread_mutex_lock(&p->mx);
	p->scanning = false;
	from = p->seen;
	pthread_mutex_unlock(&p->mx);
	if (lt_kv_begin_read(lt_hub_log(p->h), &txn) != LT_OK)
		return;
	if (lt_feed_log_last(txn, &last) == LT_OK)
		for (; from < last && !u.all; from++) {
			if (lt_feed_log_read(txn, from + 1, &e) != LT_OK)
				u.all = true;
			else
				note_unit(&u, &e.unit);
		}
	lt_kv_abort(txn);
	pthread_mutex_lock(&p->mx);
	if (last > p->seen)
		p->seen = last;
	for (s = p->first; s != NULL; s = s->next) {
		bool mine = u.all;

		for (i = 0; i < u.n && !mine; i++)
			mine = lt_unit_eq(&u.unit[i], &s->unit);
		if (mine)
			lt_call_kick(s->call);
	}
	pthread_mutex_unlock(&p->mx);
}

void
lt_pulls_news(struct lt_pulls *p)
{
	bool start;

	pthread_mutex_lock(&p->mx);
	start = p->first != NULL && !p->scanning;
	if (start)
		p->scanning = true;
	pthread_mutex_unlock(&p->mx);
	if (start && lt_pool_submit(p->pool, scan, p) != LT_OK) {
		pthread_mutex_lock(&p->mx);
		p->scanning = false; /* the next commit tries again */
		pthread_mutex_unlock(&p->mx);
	}
}

/* ---- one stream ---- */

static bool
may_open(void *ctx, const char *collection, const char *field)
{
	(void)collection;
	(void)field;
	return *(const bool *)ctx;
}

static bool
by_node(const struct stream *s, const struct lt_feed_id *feed)
{
	struct lt_id author = lt_feed_author(feed);

	return lt_id_eq(&author, &s->node);
}

static struct position *
place(struct stream *s, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	struct position *p;
	size_t i;

	for (i = 0; i < s->n; i++)
		if (lt_feed_id_cmp(&s->at[i].feed, feed) == 0 && lt_unit_eq(&s->at[i].unit, unit))
			return &s->at[i];
	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 16 : s->cap * 2;

		p = cap > FEEDS_MAX ? NULL : realloc(s->at, cap * sizeof(*p));
		if (p == NULL)
			return NULL;
		s->at = p;
		s->cap = cap;
	}
	p = &s->at[s->n++];
	memset(p, 0, sizeof(*p));
	p->unit = *unit;
	p->feed = *feed;
	p->next = 1;
	p->last = by_node(s, feed) ? 0 : UINT64_MAX;
	return p;
}

struct sending {
	struct stream *s;
	struct lt_kv_txn *txn;
	int rc; /* LT_E_BUSY: no credit */
	unsigned sent;
};

static int
send_one(struct sending *w, struct position *p)
{
	Ltpb__PullItem item = LTPB__PULL_ITEM__INIT;
	struct lt_err err = { "" };
	struct lt_entry e;
	struct lt_buf b;
	uint64_t position;
	bool own = lt_unit_eq(&p->unit, &w->s->unit);
	int rc = lt_feed_log_find(w->txn, &p->unit, &p->feed, p->next, &position);

	lt_buf_init(&b, LT_MESSAGE_MAX);
	if (rc == LT_OK)
		rc = lt_feed_log_read(w->txn, position, &e);
	if (rc == LT_OK)
		rc = lt_feed_log_compose(w->txn, &e, may_open, &own, &b, &err);
	if (rc == LT_OK) {
		item.item_case = LTPB__PULL_ITEM__ITEM_CHANGE_SET;
		item.change_set.data = b.data;
		item.change_set.len = b.len;
		rc = lt_call_send(w->s->call, &item.base);
	} else {
		lt_error("change-set %llu of unit %s cannot be sent down: %s %s",
		    (unsigned long long)p->next, p->unit.s, lt_strerror(rc), err.text);
	}
	lt_buf_fini(&b);
	if (rc == LT_OK) {
		p->next++;
		p->moved = true;
		w->sent++;
		w->s->told = false;
	}
	return rc;
}

static int
send_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct sending *w = ctx;
	struct position *p = place(w->s, unit, feed);

	if (p == NULL)
		return w->rc = LT_E_NOMEM;
	while (!p->foreign && p->next <= head->seq && p->next <= p->last) {
		if (w->sent >= READ_AT_ONCE)
			return w->rc = LT_E_UNAVAILABLE; /* go on in a fresh transaction */
		w->rc = send_one(w, p);
		if (w->rc != LT_OK)
			return w->rc;
	}
	if (p->moved && p->next == head->seq + 1)
		p->head = head->hash;
	else if (p->moved)
		w->rc = lt_feed_log_hash(w->txn, unit, feed, p->next - 1, &p->head);
	return w->rc;
}

static int
send_round(struct stream *s)
{
	struct lt_unit units[3] = { { "_" }, *lt_hub_province(s->pulls->h), s->unit };
	struct sending w = { .s = s };
	size_t i;
	int rc = lt_kv_begin_read(lt_hub_log(s->pulls->h), &w.txn);

	if (rc != LT_OK)
		return rc;
	for (i = 0; i < 3 && rc == LT_OK; i++)
		rc = lt_feed_log_each(w.txn, &units[i], send_feed, &w);
	lt_kv_abort(w.txn);
	return rc;
}

static void
head_of(struct position *p, Ltpb__FeedHead *out)
{
	ltpb__feed_head__init(out);
	out->unit = p->unit.s;
	out->feed.data = p->feed.b;
	out->feed.len = LT_FEED_LEN;
	out->seq = p->next - 1;
	out->hash.data = p->head.b;
	out->hash.len = LT_HASH_LEN;
}

static int
tell_caught_up(struct stream *s)
{
	Ltpb__PullItem item = LTPB__PULL_ITEM__INIT;
	Ltpb__CaughtUp c = LTPB__CAUGHT_UP__INIT;
	Ltpb__FeedHead room[HEADS_TOLD_MAX], *head[HEADS_TOLD_MAX];
	size_t i;
	int rc;

	if (s->told)
		return LT_OK;
	c.head = head;
	for (i = 0; i < s->n && c.n_head < HEADS_TOLD_MAX; i++) {
		if (!s->at[i].moved)
			continue;
		head[c.n_head] = &room[c.n_head];
		head_of(&s->at[i], &room[c.n_head++]);
	}
	c.hub_time_ms = lt_wall_ms(lt_hub_clock(s->pulls->h));
	item.item_case = LTPB__PULL_ITEM__ITEM_CAUGHT_UP;
	item.caught_up = &c;
	rc = lt_call_send(s->call, &item.base);
	s->told = rc == LT_OK;
	for (i = 0; s->told && i < s->n; i++)
		s->at[i].moved = false;
	return rc;
}

/* A stream lives long: whoever was revoked since it began gets no more. */
static bool
still_active(struct stream *s)
{
	struct lt_registry *reg = lt_hub_registry(s->pulls->h);
	const struct lt_principal *p = lt_registry_find(reg, &s->node);
	bool active = p != NULL && p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE &&
		      lt_unit_eq(&p->unit, &s->unit);

	lt_registry_unref(reg);
	return active;
}

static void
ready(struct lt_call *call, void *ctx)
{
	struct stream *s = ctx;
	struct lt_status st;
	int rc;

	do
		rc = still_active(s) ? send_round(s) : LT_E_DENIED;
	while (rc == LT_E_UNAVAILABLE);
	if (rc == LT_OK)
		rc = tell_caught_up(s);
	if (rc == LT_E_BUSY || rc == LT_E_CLOSED || (rc == LT_OK && s->follow))
		return;
	if (rc == LT_OK)
		lt_status_set(&st, LT_STATUS_OK, "", "%s", "");
	else
		lt_status_set(&st, lt_status_from_error(rc), "PULL", "%s", lt_strerror(rc));
	lt_call_stream_end(call, &st);
}

static void
closed(void *ctx)
{
	struct stream *s = ctx;
	struct lt_pulls *p = s->pulls;

	pthread_mutex_lock(&p->mx);
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		p->first = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	p->nstream--;
	pthread_mutex_unlock(&p->mx);
	free(s->at);
	free(s);
}

/* A tail of its own feeds that the node lost (an old copy restored) goes down; what it pushes from now on does not. */
static int
note_own_tail(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct stream *s = ctx;
	struct position *p;

	if (!by_node(s, feed))
		return LT_OK;
	p = place(s, unit, feed);
	if (p == NULL)
		return LT_E_NOMEM;
	p->last = head->seq;
	return LT_OK;
}

/* Where the node stands: behind us it goes on; ahead of us (its own feed, not pushed yet) there is nothing to send;
 * another hash means another branch. */
static int
take_positions(struct stream *s, const Ltpb__PullRequest *req)
{
	struct lt_kv_txn *txn = NULL;
	size_t i;
	int rc = lt_kv_begin_read(lt_hub_log(s->pulls->h), &txn);

	if (rc != LT_OK)
		return rc;
	for (i = 0; rc == LT_OK && i < req->n_have; i++) {
		const Ltpb__FeedHead *f = req->have[i];
		struct lt_feed_id feed;
		struct position *p;
		struct lt_unit unit;
		struct lt_head head;
		struct lt_hash h;

		if (f->feed.len != LT_FEED_LEN || f->hash.len != LT_HASH_LEN ||
		    f->seq > INT64_MAX || lt_unit_set(&unit, lt_slice_str(f->unit)) != LT_OK) {
			rc = LT_E_INVALID;
			break;
		}
		memcpy(feed.b, f->feed.data, LT_FEED_LEN);
		rc = lt_feed_log_head(txn, &unit, &feed, &head);
		if (rc != LT_OK || head.seq == 0)
			continue;
		p = place(s, &unit, &feed);
		if (p == NULL) {
			rc = LT_E_NOMEM;
			break;
		}
		p->next = f->seq + 1;
		if (f->seq == 0 || f->seq > head.seq)
			continue;
		rc = lt_feed_log_hash(txn, &unit, &feed, f->seq, &h);
		if (rc == LT_OK && memcmp(h.b, f->hash.data, LT_HASH_LEN) != 0) {
			p->foreign = true;
			lt_error("ALARM: a node of unit %s holds another change-set %llu of a feed "
				 "than the hub",
			    s->unit.s, (unsigned long long)f->seq);
		}
	}
	if (rc == LT_OK)
		rc = lt_feed_log_each(txn, &s->unit, note_own_tail, s);
	lt_kv_abort(txn);
	return rc;
}

void
lt_pulls_start(struct lt_pulls *p, struct lt_call *call, const struct lt_id *node,
    const struct lt_unit *unit, const Ltpb__PullRequest *req)
{
	static const struct lt_stream_ops ops = { ready, closed };
	struct stream *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL) {
		lt_call_failf(call, LT_STATUS_RESOURCE_EXHAUSTED, "MEMORY", "out of memory");
		return;
	}
	s->pulls = p;
	s->call = call;
	s->unit = *unit;
	s->node = *node;
	s->follow = req->follow;
	rc = take_positions(s, req);
	pthread_mutex_lock(&p->mx);
	if (rc == LT_OK && p->nstream == STREAMS_MAX)
		rc = LT_E_UNAVAILABLE;
	if (rc == LT_OK) {
		s->next = p->first;
		if (s->next != NULL)
			s->next->prev = s;
		p->first = s;
		p->nstream++;
	}
	pthread_mutex_unlock(&p->mx);
	if (rc != LT_OK) {
		lt_call_failf(call, lt_status_from_error(rc), "PULL", "%s", lt_strerror(rc));
		free(s->at);
		free(s);
		return;
	}
	lt_call_stream(call, &ops, s);
}

int
lt_pulls_open(struct lt_hub *h, struct lt_pool *pool, struct lt_pulls **out)
{
	struct lt_pulls *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return LT_E_NOMEM;
	p->h = h;
	p->pool = pool;
	p->seen = lt_hub_log_position(h);
	pthread_mutex_init(&p->mx, NULL);
	*out = p;
	return LT_OK;
}

void
lt_pulls_close(struct lt_pulls *p)
{
	if (p == NULL)
		return;
	pthread_mutex_destroy(&p->mx);
	free(p);
}
