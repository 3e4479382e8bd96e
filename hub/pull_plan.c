#include "hub/pull_plan.h"
#include "hub/keys.h"
#include "hub/recovery.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/store/access.h"
#include "proto/store/feed_log.h"

#include <stdlib.h>
#include <string.h>

#define FEEDS_MAX 4096
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

struct lt_pull_plan {
	struct lt_hub *h;
	struct lt_unit unit;
	struct lt_id node;
	uint32_t key_no; /* whose line it asked on */
	bool follow;
	bool told; /* caught up since the last change-set */
	size_t n, cap;
	struct position *at;
};

/* ---- news ---- */

static void
note_unit(struct lt_pull_news *u, const struct lt_unit *unit)
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

int
lt_pull_news_read(struct lt_hub *h, uint64_t *seen, struct lt_pull_news *out)
{
	struct lt_kv_txn *txn;
	struct lt_entry e;
	uint64_t last = 0, from = *seen + LT_SIM_BUG(NEWS_SKIPPED);
	int rc = lt_kv_begin_read(lt_hub_log(h), &txn);

	out->all = false;
	out->n = 0;
	if (rc != LT_OK)
		return rc;
	if (lt_feed_log_last(txn, &last) == LT_OK)
		for (; from < last && !out->all; from++) {
			if (lt_feed_log_read(txn, from + 1, &e) != LT_OK)
				out->all = true;
			else
				note_unit(out, &e.unit);
		}
	lt_kv_abort(txn);
	if (last > *seen)
		*seen = last;
	return LT_OK;
}

bool
lt_pull_news_concern(const struct lt_pull_news *news, const struct lt_unit *unit)
{
	size_t i;

	for (i = 0; i < news->n && !news->all; i++)
		if (unit->s[0] == '\0' || lt_unit_eq(&news->unit[i], unit))
			return true;
	return news->all;
}

/* ---- one node ---- */

/* Whose personal values may go with a change-set. */
struct opening {
	const struct lt_asker *who;
	const struct lt_unit *province, *unit;
};

static bool
may_open(void *ctx, const char *collection, const char *field)
{
	const struct opening *o = ctx;

	return lt_access_open(o->who, o->province, o->unit, collection, field);
}

/* A mirror stands in no commune. */
static bool
every_unit(const struct lt_pull_plan *plan)
{
	return plan->unit.s[0] == '\0';
}

static bool
by_node(const struct lt_pull_plan *plan, const struct lt_feed_id *feed)
{
	struct lt_id author = lt_feed_author(feed);

	return lt_id_eq(&author, &plan->node);
}

static struct position *
place(struct lt_pull_plan *plan, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	struct position *p;
	size_t i;

	for (i = 0; i < plan->n; i++)
		if (lt_feed_id_cmp(&plan->at[i].feed, feed) == 0 &&
		    lt_unit_eq(&plan->at[i].unit, unit))
			return &plan->at[i];
	if (plan->n == plan->cap) {
		size_t cap = plan->cap == 0 ? 16 : plan->cap * 2;

		p = cap > FEEDS_MAX ? NULL : realloc(plan->at, cap * sizeof(*p));
		if (p == NULL)
			return NULL;
		plan->at = p;
		plan->cap = cap;
	}
	p = &plan->at[plan->n++];
	memset(p, 0, sizeof(*p));
	p->unit = *unit;
	p->feed = *feed;
	p->next = 1;
	p->last = by_node(plan, feed) ? 0 : UINT64_MAX;
	return p;
}

struct sending {
	struct lt_pull_plan *plan;
	const struct lt_asker *who;
	struct lt_kv_txn *txn;
	lt_pull_send_fn *send;
	void *ctx;
	unsigned sent;
	bool again; /* in a fresh transaction */
	bool late; /* all else was sent: now what is late (recovery.h), and what stands behind it */
	bool left; /* there is such */
};

static int
send_one(struct sending *w, struct position *p)
{
	Ltpb__PullItem item = LTPB__PULL_ITEM__INIT;
	struct lt_err err = { "" };
	struct lt_entry e;
	struct lt_buf b;
	uint64_t position;
	struct opening opening = { w->who, lt_hub_province(w->plan->h), &p->unit };
	int rc = lt_feed_log_find(w->txn, &p->unit, &p->feed, p->next, &position);

	lt_buf_init(&b, LT_MESSAGE_MAX);
	if (rc == LT_OK)
		rc = lt_feed_log_read(w->txn, position, &e);
	if (rc == LT_OK)
		rc = lt_feed_log_compose(w->txn, &e, may_open, &opening, &b, &err);
	if (rc == LT_OK) {
		item.item_case = LTPB__PULL_ITEM__ITEM_CHANGE_SET;
		item.change_set.data = b.data;
		item.change_set.len = b.len;
		rc = w->send(w->ctx, &item.base);
	} else {
		lt_error("change-set %llu of unit %s cannot be sent down: %s %s",
		    (unsigned long long)p->next, p->unit.s, lt_strerror(rc), err.text);
	}
	lt_buf_fini(&b);
	if (rc == LT_OK) {
		p->next++;
		p->moved = true;
		w->sent++;
		w->plan->told = false;
	}
	return rc;
}

static int
send_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct sending *w = ctx;
	struct position *p;
	int rc;

	if (!lt_access_pull(w->who, lt_hub_province(w->plan->h), unit))
		return LT_OK;
	p = place(w->plan, unit, feed);
	if (p == NULL)
		return LT_E_NOMEM;
	while (!p->foreign && p->next <= head->seq && p->next <= p->last) {
		w->again = w->sent >= READ_AT_ONCE;
		if (w->again)
			return LT_E_BUSY; /* ends the walk over feeds */
		if (!w->late && lt_recovery_late(w->plan->h, w->txn, unit, feed, p->next)) {
			w->left = true;
			break;
		}
		rc = send_one(w, p);
		if (rc != LT_OK)
			return rc;
	}
	if (p->moved && p->next != head->seq + 1)
		return lt_feed_log_hash(w->txn, unit, feed, p->next - 1, &p->head);
	if (p->moved)
		p->head = head->hash;
	return LT_OK;
}

static int
walk_units(struct sending *w)
{
	struct lt_unit units[3] = { { "_" }, *lt_hub_province(w->plan->h), w->plan->unit };
	size_t i;
	int rc = LT_OK;

	for (i = 0; i < 2 && rc == LT_OK; i++)
		rc = lt_feed_log_each(w->txn, &units[i], send_feed, w);
	if (rc == LT_OK) /* a mirror: whatever else there is */
		rc = lt_feed_log_each(w->txn, every_unit(w->plan) ? NULL : &units[2], send_feed, w);
	return rc;
}

/* Of two verdicts that contradict each other a node obeys the one that comes first: that must be the one that counts here. */
static int
send_units(struct sending *w)
{
	int rc = walk_units(w);

	if (rc != LT_OK || !w->left)
		return rc;
	w->late = true;
	return walk_units(w);
}

/* A stream lives long: who asks, and what it may, is asked again for every round. */
static int
send_round(struct lt_pull_plan *plan, lt_pull_send_fn *send, void *ctx, bool *again)
{
	/* First: a bar comes down when the registry says the same. */
	bool barred = lt_hub_barred(plan->h, &plan->node, plan->key_no);
	struct lt_registry *reg = lt_hub_registry(plan->h);
	struct lt_asker who = { .kind = LT_ASKER_PRINCIPAL,
		.principal = lt_registry_find(reg, &plan->node) };
	struct sending w = { .plan = plan, .who = &who, .send = send, .ctx = ctx };
	int rc = LT_E_DENIED;

	*again = false;
	if (!barred && lt_access_method(&who, LT_VERB_PULL) &&
	    lt_unit_eq(&who.principal->unit, &plan->unit))
		rc = lt_kv_begin_read(lt_hub_log(plan->h), &w.txn);
	if (rc == LT_OK) {
		rc = send_units(&w);
		lt_kv_abort(w.txn);
		*again = w.again;
	}
	lt_registry_unref(reg);
	return w.again ? LT_OK : rc;
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
tell_caught_up(struct lt_pull_plan *plan, lt_pull_send_fn *send, void *ctx)
{
	Ltpb__PullItem item = LTPB__PULL_ITEM__INIT;
	Ltpb__CaughtUp c = LTPB__CAUGHT_UP__INIT;
	Ltpb__FeedHead room[HEADS_TOLD_MAX], *head[HEADS_TOLD_MAX];
	size_t i;
	int rc;

	if (plan->told)
		return LT_OK;
	c.head = head;
	for (i = 0; i < plan->n && c.n_head < HEADS_TOLD_MAX; i++) {
		if (!plan->at[i].moved)
			continue;
		head[c.n_head] = &room[c.n_head];
		head_of(&plan->at[i], &room[c.n_head++]);
	}
	c.hub_time_ms = lt_wall_ms(lt_hub_clock(plan->h));
	item.item_case = LTPB__PULL_ITEM__ITEM_CAUGHT_UP;
	item.caught_up = &c;
	rc = send(ctx, &item.base);
	plan->told = rc == LT_OK;
	for (i = 0; plan->told && i < plan->n; i++)
		plan->at[i].moved = false;
	return rc;
}

/* A tail of its own feeds that the node lost (an old copy restored) goes down; what it pushes from now on does not. */
static int
note_own_tail(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_pull_plan *plan = ctx;
	struct position *p;

	if (!by_node(plan, feed))
		return LT_OK;
	p = place(plan, unit, feed);
	if (p == NULL)
		return LT_E_NOMEM;
	p->last = head->seq;
	return LT_OK;
}

/* Where the node stands: behind us it goes on; ahead of us (its own feed, not pushed yet) there is nothing to send;
 * another hash means another branch. */
static int
take_positions(struct lt_pull_plan *plan, const struct lt_asker *who, const Ltpb__PullRequest *req)
{
	struct lt_kv_txn *txn = NULL;
	size_t i;
	int rc = lt_kv_begin_read(lt_hub_log(plan->h), &txn);

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
		/* By naming what it is not sent it learns nothing, and raises no alarm. */
		if (!lt_access_pull(who, lt_hub_province(plan->h), &unit))
			continue;
		memcpy(feed.b, f->feed.data, LT_FEED_LEN);
		rc = lt_feed_log_head(txn, &unit, &feed, &head);
		if (rc != LT_OK || head.seq == 0)
			continue;
		p = place(plan, &unit, &feed);
		if (p == NULL) {
			rc = LT_E_NOMEM;
			break;
		}
		p->next = f->seq + 1 + LT_SIM_BUG(NEXT_SKIPPED);
		if (f->seq == 0 || f->seq > head.seq)
			continue;
		rc = lt_feed_log_hash(txn, &unit, &feed, f->seq, &h);
		if (rc == LT_OK && memcmp(h.b, f->hash.data, LT_HASH_LEN) != 0) {
			p->foreign = true;
			lt_error("ALARM: a node of unit %s holds another change-set %llu of a feed "
				 "than the hub",
			    plan->unit.s, (unsigned long long)f->seq);
		}
	}
	if (rc == LT_OK && !every_unit(plan))
		rc = lt_feed_log_each(txn, &plan->unit, note_own_tail, plan);
	lt_kv_abort(txn);
	return rc;
}

int
lt_pull_plan_send(struct lt_pull_plan *p, lt_pull_send_fn *send, void *ctx)
{
	bool again;
	int rc;

	do
		rc = send_round(p, send, ctx, &again);
	while (again);
	return rc == LT_OK ? tell_caught_up(p, send, ctx) : rc;
}

const struct lt_unit *
lt_pull_plan_unit(const struct lt_pull_plan *p)
{
	return &p->unit;
}

bool
lt_pull_plan_follows(const struct lt_pull_plan *p)
{
	return p->follow;
}

int
lt_pull_plan_new(struct lt_hub *h, const struct lt_id *node, uint32_t key_no,
    const struct lt_unit *unit, const Ltpb__PullRequest *req, struct lt_pull_plan **out)
{
	struct lt_pull_plan *p = calloc(1, sizeof(*p));
	struct lt_asker who = { .kind = LT_ASKER_PRINCIPAL };
	struct lt_registry *reg;
	int rc;

	*out = NULL;
	if (p == NULL)
		return LT_E_NOMEM;
	p->h = h;
	p->unit = *unit;
	p->node = *node;
	p->key_no = key_no;
	p->follow = req->follow;
	reg = lt_hub_registry(h);
	who.principal = lt_registry_find(reg, node);
	rc = take_positions(p, &who, req);
	lt_registry_unref(reg);
	if (rc != LT_OK) {
		lt_pull_plan_free(p);
		return rc;
	}
	*out = p;
	return LT_OK;
}

void
lt_pull_plan_free(struct lt_pull_plan *p)
{
	if (p == NULL)
		return;
	free(p->at);
	free(p);
}
