#include "node/session.h"
#include "node/checkpoint.h"
#include "node/own_feeds.h"
#include "node/salvage.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/base/wire.h"
#include "proto/feed/lean.h"
#include "proto/feed/trust.h"
#include "proto/service/repairing.h"
#include "proto/store/feed_log.h"
#include "proto/store/ruling.h"

#include "lienthong/v1/sync.pb-c.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPLY_WINDOW 64 /* pulled change-sets under way to the disk */
#define PULL_HAVE_MAX 4096
#define WANT_MAX 64 /* feeds of the hub given back at once; the others after another hello */
#define HUB_HEADS_MAX 2048
#define OTHER_BACK \
	64 /* numbers before the one in which the hub has another change-set, that it is shown besides */
#define HELD_MAX 1024
#define LOST_MAX 256 /* kept of what the hub asks for; it asks again for the others */
#define CALL_MS 60000
/* Of evidence of a branch: what the slowest line carries in ten seconds; when it is brought again, doubled each time, where no ruling comes. */
#define BRANCH_MAX 32768
#define BRANCH_LOOK 64 /* change-sets of a branch that are looked at for one of that size */
#define BRANCHES_MAX 64
#define BRANCH_AGAIN_MS INT64_C(60000)
#define BRANCH_REST_MS INT64_C(86400000)

/* Of the hub's own feeds. */
struct wanted {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t after;
	bool other; /* the hub has another change-set under the next number */
	uint64_t from, to; /* what it is given, as far as there is room; from above to: downwards */
	size_t given; /* change-sets in the push under way */
};

struct given {
	struct lt_unit unit;
	struct lt_feed_id feed;
};

/* Of a feed of which the hub has another branch: what it was shown of ours by this process. */
struct shown {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t low, high;
	uint64_t
	    line; /* on which it was shown the number that it names: it may have forgotten, so that is shown on each */
};

struct held {
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_hash hash;
};

/* Evidence that went once. There may be no ruling ever: the hub keeps so many pieces and no more, or does not believe it. */
struct brought {
	struct lt_feed_id feed;
	struct lt_hash hash;
	int64_t again_ms, wait_ms; /* on the monotonic clock */
};

struct lt_session {
	struct lt_session_options o;
	struct lt_node *node;
	uint64_t instance[2];
	size_t nbrought; /* of who asks, as what follows */
	struct brought brought[BRANCHES_MAX];

	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cond;
	uint64_t line; /* rises with every connection that went */
	unsigned applying;
	bool pull_failed;
	bool caught_up; /* this pull brought all there was */
	uint64_t pull_taken; /* change-sets of this pull that are on disk */
	uint64_t push_no; /* of the last push */
	/* What the hub asks back, as of the last hello. */
	size_t nwant;
	struct wanted want[WANT_MAX];
	bool other; /* it has another branch of one: that was said */
	/* Of these it is given no more on this line: it was shown its other branch, it took nothing, or they cannot be read here. It goes on
	 * asking, and does not count this node as heard; what this machine wrote does not wait for that. */
	uint64_t given_line;
	bool all_given; /* there was no room to tell them apart */
	size_t ngiven;
	struct given *given; /* HUB_HEADS_MAX, made when first used */
	bool
	    one_by_one; /* on this line: several feeds in one push were refused, of which one alone may be the reason */
	size_t back_bytes; /* of the next push, by what this line carried */
	size_t nshown;
	struct shown *shown; /* HUB_HEADS_MAX, made when first used */
	/* What the hub held of ours at its last word on this line; HELD_MAX, made when first used. */
	bool told;
	size_t nheld;
	struct held *held;
	/* Own feeds of which it said more than is here, or something else: their tail is being fetched. */
	size_t nastray;
	struct held *
	    astray; /* HELD_MAX, made when first used: the hub has 700 feeds of an author at most */
	/* What is damaged at the hub, as it asked for it on this line; LOST_MAX, made when first used. */
	size_t nlost;
	struct lt_giving_name *lost;
	/* The last checkpoint that was given, cosigned, on this line. */
	bool cosigned;
	struct lt_hash cosigned_hash;
	struct lt_sent sent;
	char error[768], error_vi[768];
	int64_t last_contact_ms;
};

void
lt_session_say_both(struct lt_session *s, const char *what, const char *why, const char *vi)
{
	pthread_mutex_lock(&s->mx);
	(void)snprintf(s->error, sizeof(s->error), "%s: %s", what, why);
	(void)snprintf(s->error_vi, sizeof(s->error_vi), "%s", vi);
	pthread_mutex_unlock(&s->mx);
	lt_info("%s: %s", what, why);
}

void
lt_session_say(struct lt_session *s, const char *what, const char *why)
{
	lt_session_say_both(s, what, why, "");
}

static void
say_contact(struct lt_session *s)
{
	pthread_mutex_lock(&s->mx);
	s->last_contact_ms = lt_wall_ms(lt_node_clock(s->node));
	pthread_mutex_unlock(&s->mx);
}

/* ---- join and hello ---- */

static int
meet(struct lt_session *s, const Ltpb__Certificate *cert, const char *province)
{
	struct lt_err err = { "" };
	struct lt_buf b;
	int rc;

	if (cert == NULL)
		return LT_E_INVALID;
	lt_buf_init(&b, 4096);
	rc = lt_wire_pack(&cert->base, 4096, &b);
	if (rc == LT_OK)
		rc = lt_node_meet_hub(s->node, lt_buf_slice(&b), province, &err);
	lt_buf_fini(&b);
	if (rc != LT_OK)
		lt_session_say(s, "the hub's certificate is refused", err.text);
	return rc;
}

static void
take_join(struct lt_session *s, struct lt_session_call *c, const Ltpb__JoinReply *r)
{
	c->ev.ok = r->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING ||
		   r->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
	c->ev.active = r->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
	c->ev.retry_after_ms = r->retry_after_ms;
	if (!c->ev.ok) {
		char why[384], vi[384];

		(void)snprintf(why, sizeof(why),
		    "the province has refused this machine%s%s; ask for a new invitation",
		    r->reason[0] != '\0' ? ": " : "", r->reason);
		(void)snprintf(vi, sizeof(vi),
		    "tỉnh không nhận máy này%s%s; hãy gọi cho tỉnh, rồi xin thư mời mới",
		    r->reason[0] != '\0' ? ": " : "", r->reason);
		lt_session_say_both(s, "enrolment", why, vi);
	}
	if (c->ev.active && meet(s, r->hub, r->province) != LT_OK)
		c->ev.ok = c->ev.active = false;
	if (c->ev.active && s->o.joined != NULL)
		s->o.joined(s->o.ctx);
}

static int
ask_join(struct lt_session *s, struct lt_arena *arena, struct lt_session_request *out)
{
	const struct lt_identity *id = lt_node_identity(s->node);
	Ltpb__JoinRequest *r = lt_arena_alloc(arena, sizeof(*r));
	uint8_t *proof = lt_arena_alloc(arena, LT_SIG_LEN);

	if (r == NULL || proof == NULL)
		return LT_E_NOMEM;
	ltpb__join_request__init(r);
	lt_join_proof(&id->sign, &id->federation, id->token, &id->principal, id->line_pk, proof);
	r->token.data = (uint8_t *)id->token;
	r->token.len = sizeof(id->token);
	r->principal.data = (uint8_t *)id->principal.b;
	r->principal.len = LT_ID_LEN;
	r->sign_key.data = (uint8_t *)id->sign.pk;
	r->sign_key.len = sizeof(id->sign.pk);
	r->proof.data = proof;
	r->proof.len = LT_SIG_LEN;
	if (s->o.label != NULL)
		r->label = (char *)s->o.label;
	out->service = &ltpb__enrol__descriptor;
	out->method = "Join";
	out->message = &r->base;
	return LT_OK;
}

static int
own_feeds(struct lt_session *s, struct lt_kv_txn *txn, bool asked, size_t n,
    Ltpb__FeedHead *const *held, struct lt_own_feeds *o)
{
	const struct lt_identity *id = lt_node_identity(s->node);

	return lt_own_feeds_read(txn, &id->principal, &id->unit, asked, n, held, o);
}

/* What the hub holds against what we have: a feed is pushed only where the hub's head is one of ours. */
/* Is what the hub holds of a feed what stands here? *unread: that cannot be read. */
static void
weigh_feed(struct lt_kv_txn *txn, const struct lt_unit *unit, const Ltpb__FeedHead *held,
    struct lt_sync_feed *f, bool *unread)
{
	struct lt_hash h;
	int rc;

	f->held = held->seq;
	f->usable = f->held == 0;
	if (f->held == 0 || f->held > f->head || held->hash.len != LT_HASH_LEN)
		return;
	rc = lt_feed_log_hash(txn, unit, &f->feed, f->held, &h);
	f->usable = rc == LT_OK && memcmp(h.b, held->hash.data, LT_HASH_LEN) == 0;
	/* Damaged for good it ends the epoch, as another change-set would: what comes after it can be pushed in a new one. */
	*unread = rc != LT_OK && rc != LT_E_NOTFOUND && rc != LT_E_CORRUPT;
}

static void
weigh_held(struct lt_session *s, struct lt_kv_txn *txn, struct lt_own_feeds *o, size_t n,
    Ltpb__FeedHead *const *held)
{
	const struct lt_identity *id = lt_node_identity(s->node);
	size_t i, k;

	for (i = 0; i < o->n; i++) {
		struct lt_sync_feed *f = &o->feed[i];
		uint64_t receipted;

		f->usable = true;
		o->unread[i] = false;
		for (k = 0; k < n; k++) {
			if (held[k]->feed.len != LT_FEED_LEN ||
			    memcmp(held[k]->feed.data, f->feed.b, LT_FEED_LEN) != 0)
				continue;
			weigh_feed(txn, &id->unit, held[k], f, &o->unread[i]);
		}
		f->whole = f->usable && f->held == f->head;
		while (LT_SIM_BUG(RESUME_AT_SENDER) && f->held < f->head &&
		       lt_session_sent(s, &f->feed, f->held + 1))
			f->held++;
		/* A receipt got lost on its way: offered once more, what the hub holds is receipted anew. */
		if (f->usable && f->held > 0 && !LT_SIM_BUG(RECEIPT_NOT_ASKED) &&
		    !LT_SIM_BUG(RESUME_AT_SENDER) &&
		    lt_node_receipted(txn, &id->unit, &f->feed, &receipted) == LT_OK &&
		    receipted < f->held)
			f->held--;
	}
}

static Ltpb__FeedHead *pack_head(const struct lt_feed_id *feed, const struct lt_head *head,
    const char *unit, struct lt_arena *arena);

/* A hub restored from a backup lacks what it receipted once, of any epoch: what it says now is announced against. */
static void
note_held(struct lt_session *s, size_t n, Ltpb__FeedHead *const *held)
{
	size_t i;

	pthread_mutex_lock(&s->mx);
	if (s->held == NULL)
		s->held = malloc(HELD_MAX * sizeof(*s->held));
	s->told = s->held != NULL && n <= HELD_MAX;
	s->nheld = 0;
	for (i = 0; s->told && i < n; i++) {
		struct held *h = &s->held[s->nheld];

		if (held[i]->feed.len != LT_FEED_LEN || held[i]->hash.len != LT_HASH_LEN)
			continue;
		memcpy(h->feed.b, held[i]->feed.data, LT_FEED_LEN);
		memcpy(h->hash.b, held[i]->hash.data, LT_HASH_LEN);
		h->seq = held[i]->seq;
		s->nheld++;
	}
	pthread_mutex_unlock(&s->mx);
}

/* The same as messages in the arena. *told false: the hub has not said yet. */
static int
recall_held(
    struct lt_session *s, struct lt_arena *arena, bool *told, size_t *n, Ltpb__FeedHead ***out)
{
	Ltpb__FeedHead **v;
	size_t i;
	int rc = LT_OK;

	pthread_mutex_lock(&s->mx);
	*told = s->told;
	*n = s->nheld;
	v = lt_arena_alloc(arena, (s->nheld + 1) * sizeof(*v));
	if (v == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < s->nheld; i++) {
		struct lt_head head = { .seq = s->held[i].seq, .hash = s->held[i].hash };

		v[i] = pack_head(&s->held[i].feed, &head, "", arena);
		if (v[i] == NULL)
			rc = LT_E_NOMEM;
	}
	pthread_mutex_unlock(&s->mx);
	*out = v;
	return rc;
}

/* ---- what the hub asks back ---- */

static bool
is_given(const struct lt_session *s, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	size_t i;

	for (i = 0; i < s->ngiven; i++)
		if (lt_feed_id_cmp(&s->given[i].feed, feed) == 0 &&
		    lt_unit_eq(&s->given[i].unit, unit))
			return true;
	return s->all_given;
}

/* No more of this feed on this line: the others are given all the same. */
static void
note_given(struct lt_session *s, const struct wanted *w)
{
	if (s->given == NULL)
		s->given = malloc(HUB_HEADS_MAX * sizeof(*s->given));
	s->all_given |= s->given == NULL || s->ngiven == HUB_HEADS_MAX;
	if (s->all_given)
		return;
	s->given[s->ngiven].unit = w->unit;
	s->given[s->ngiven++].feed = w->feed;
}

/* Its entry, made when there is none. NULL: no room, or no memory. */
static struct shown *
find_shown(struct lt_session *s, const struct wanted *w)
{
	size_t i;

	if (s->shown == NULL)
		s->shown = calloc(HUB_HEADS_MAX, sizeof(*s->shown));
	if (s->shown == NULL)
		return NULL;
	for (i = 0; i < s->nshown; i++)
		if (lt_feed_id_cmp(&s->shown[i].feed, &w->feed) == 0 &&
		    lt_unit_eq(&s->shown[i].unit, &w->unit))
			return &s->shown[i];
	if (s->nshown == HUB_HEADS_MAX)
		return NULL;
	s->shown[s->nshown].unit = w->unit;
	s->shown[s->nshown].feed = w->feed;
	return &s->shown[s->nshown++];
}

/* The hub has another change-set than ours under the number `asked`. Ours is the proof, and alone on each line. Once, besides: what stands
 * behind it, and some of what stands before it, as from where on there are two nobody can tell: acts in it stay in force. */
static bool
weigh_other(struct lt_session *s, struct lt_kv_txn *txn, uint64_t asked, struct wanted *w)
{
	const struct shown *e = find_shown(s, w);
	uint64_t floor = asked > OTHER_BACK ? asked - OTHER_BACK : 1;
	struct lt_head head;

	w->other = true;
	if (e == NULL || e->low == 0 || e->line != s->given_line) {
		w->from = w->to = asked;
		return true;
	}
	if (lt_feed_log_head(txn, &w->unit, &w->feed, &head) != LT_OK)
		return false;
	w->from = e->high < head.seq ? e->high + 1 : e->low - 1;
	w->to = e->high < head.seq ? head.seq : floor;
	return e->high < head.seq || e->low > floor;
}

/* It has what was given of such a feed. */
static void
note_shown(struct lt_session *s, const struct wanted *w)
{
	struct shown *e = find_shown(s, w);

	if (e == NULL) {
		note_given(s, w);
	} else if (e->low == 0 || e->line != s->given_line) {
		e->line = s->given_line;
		if (e->low == 0)
			e->low = e->high = w->from;
	} else if (w->from > e->high) {
		e->high += w->given;
	} else {
		e->low -= w->given;
	}
}

/* *w: what it asks of one feed. false: it gets nothing of it. */
static bool
weigh_wanted(
    struct lt_session *s, struct lt_kv_txn *txn, const Ltpb__FeedHead *asked, struct wanted *w)
{
	struct lt_hash have;

	memset(w, 0, sizeof(*w));
	if (asked->feed.len != LT_FEED_LEN || asked->hash.len != LT_HASH_LEN ||
	    lt_unit_set(&w->unit, lt_slice_str(asked->unit)) != LT_OK)
		return false;
	memcpy(w->feed.b, asked->feed.data, LT_FEED_LEN);
	w->after = asked->seq;
	w->from = w->after + 1;
	w->to = UINT64_MAX;
	if (is_given(s, &w->unit, &w->feed))
		return false;
	if (w->after == 0)
		return true;
	if (lt_feed_log_hash(txn, &w->unit, &w->feed, w->after, &have) != LT_OK)
		return false;
	if (memcmp(have.b, asked->hash.data, LT_HASH_LEN) == 0)
		return true;
	if (!s->other)
		lt_error("the hub has another change-set %llu of one of its own feeds than the one "
			 "it sent here before: report this to the province",
		    (unsigned long long)w->after);
	s->other = true;
	return weigh_other(s, txn, w->after, w);
}

/* Is there something to give back? */
static bool
note_wanted(struct lt_session *s, size_t n, Ltpb__FeedHead *const *want)
{
	struct lt_kv_txn *txn;
	uint64_t line;
	size_t i;

	pthread_mutex_lock(&s->mx);
	line = s->line;
	pthread_mutex_unlock(&s->mx);
	if (s->given_line != line) {
		s->given_line = line;
		s->all_given = s->one_by_one = false;
		s->ngiven = 0;
		s->back_bytes = LT_SYNC_BATCH_FIRST;
	}
	s->nwant = 0;
	if (n == 0 || lt_kv_begin_read(lt_node_kv(s->node), &txn) != LT_OK)
		return false;
	for (i = 0; i < n && s->nwant < WANT_MAX; i++)
		s->nwant += weigh_wanted(s, txn, want[i], &s->want[s->nwant]);
	lt_kv_abort(txn);
	if (s->nwant != 0)
		lt_info("the hub was restored from a backup: it is given back what it signed since "
			"(%zu feeds)",
		    s->nwant);
	return s->nwant != 0;
}

/* Is this new? */
static bool
note_astray(struct lt_session *s, const struct lt_feed_id *feed, uint64_t held)
{
	struct held *h, *end;
	bool is_new;

	pthread_mutex_lock(&s->mx);
	if (s->astray == NULL)
		s->astray = calloc(HELD_MAX, sizeof(*s->astray));
	h = s->astray;
	end = h + s->nastray;
	while (h < end && lt_feed_id_cmp(&h->feed, feed) != 0)
		h++;
	is_new = s->astray != NULL && (h < end ? h->seq < held : s->nastray < HELD_MAX);
	if (is_new) {
		s->nastray += h == end;
		h->feed = *feed;
		h->seq = held;
	}
	pthread_mutex_unlock(&s->mx);
	return is_new;
}

/* Feeds by this machine that are not here at all: of an older self that was restored, or of who has its keys. */
static bool
meet_strangers(struct lt_session *s, struct lt_kv_txn *txn, size_t n, Ltpb__FeedHead *const *held)
{
	bool more = false;
	size_t i;

	for (i = 0; i < n; i++) {
		struct lt_head head = { 0 };
		struct lt_feed_id feed;

		if (held[i]->feed.len != LT_FEED_LEN || held[i]->seq == 0)
			continue;
		memcpy(feed.b, held[i]->feed.data, LT_FEED_LEN);
		if (lt_feed_log_head(txn, &lt_node_identity(s->node)->unit, &feed, &head) !=
			LT_OK ||
		    head.seq != 0 || !note_astray(s, &feed, held[i]->seq))
			continue;
		more = true;
		lt_warn("the hub holds a feed of this machine that is not here (%llu change-sets, "
			"epoch "
			"%016llx): it is fetched",
		    (unsigned long long)held[i]->seq, (unsigned long long)lt_feed_epoch(&feed));
	}
	return more;
}

/* Another machine, or an older self, signed in these: nothing more is written in them. *more: the hub has something of them that was
 * not known to be missing here. false: an epoch could not be ended. */
static bool
leave_epochs(struct lt_session *s, const struct lt_own_feeds *o, bool *more)
{
	bool ok = true, is_new;
	size_t i;

	for (i = 0; i < o->n; i++) {
		const struct lt_sync_feed *f = &o->feed[i];

		/* A store that cannot be read now ends no epoch. */
		if (f->usable || o->unread[i])
			continue;
		is_new = note_astray(s, &f->feed, f->held);
		ok &= lt_node_new_epoch(s->node, &f->feed) == LT_OK;
		*more |= is_new;
		if (is_new)
			lt_warn("the hub holds more or other change-sets of this machine's feed "
				"than this machine (it holds %llu, here are %llu): its tail is "
				"fetched and a new epoch begun",
			    (unsigned long long)f->held, (unsigned long long)f->head);
	}
	return ok;
}

/* What the pull under way was begun for is not all any more: the next one names what is certain here. */
static void
break_pull(struct lt_session *s, const struct lt_session_call *c)
{
	bool broke = false;

	pthread_mutex_lock(&s->mx);
	if (c->line == s->line) {
		broke = !s->pull_failed;
		s->pull_failed = true;
	}
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->mx);
	if (broke && s->o.pull_broke != NULL)
		s->o.pull_broke(s->o.ctx);
}

static void
take_hello(struct lt_session *s, struct lt_session_call *c, const Ltpb__HelloReply *r)
{
	struct lt_own_feeds o;
	struct lt_kv_txn *txn;
	bool more;

	if (meet(s, r->certificate, r->province) != LT_OK) {
		c->ev.final = true;
		return;
	}
	/* Also of a hub that asks for what it has lost: it may go on asking. */
	lt_node_checkpoints_take(s->node, r->checkpoint, r->n_cosigned, r->cosigned);
	if (note_wanted(s, r->n_want, r->want)) {
		c->ev.ok = c->ev.wants_back = true;
		return;
	}
	if (lt_node_saw_hub_time(s->node, r->hub_time_ms) != LT_OK ||
	    lt_kv_begin_read(lt_node_kv(s->node), &txn) != LT_OK)
		return;
	note_held(s, r->n_held, r->held);
	/* Not read is not weighed: a store that cannot be read now ends no epoch. */
	if (own_feeds(s, txn, true, r->n_held, r->held, &o) != LT_OK) {
		lt_kv_abort(txn);
		return;
	}
	weigh_held(s, txn, &o, r->n_held, r->held);
	more = meet_strangers(s, txn, r->n_held, r->held); /* the pull that follows brings them */
	lt_kv_abort(txn);
	c->ev.ok = leave_epochs(s, &o, &more);
	memcpy(c->feeds, o.feed, sizeof(c->feeds));
	c->ev.feeds = c->feeds;
	c->ev.nfeed = o.n;
	say_contact(s);
	pthread_mutex_lock(&s->mx);
	s->error[0] = s->error_vi[0] = '\0';
	pthread_mutex_unlock(&s->mx);
}

/* In the arena with all that it points to; NULL. */
static Ltpb__FeedHead *
pack_head(const struct lt_feed_id *feed, const struct lt_head *head, const char *unit,
    struct lt_arena *arena)
{
	Ltpb__FeedHead *v = lt_arena_alloc(arena, sizeof(*v));

	if (v == NULL)
		return NULL;
	ltpb__feed_head__init(v);
	v->unit = (char *)unit;
	v->feed.data = lt_arena_dup(arena, feed->b, LT_FEED_LEN);
	v->feed.len = LT_FEED_LEN;
	v->seq = head->seq;
	v->hash.data = lt_arena_dup(arena, head->hash.b, LT_HASH_LEN);
	v->hash.len = LT_HASH_LEN;
	return v->feed.data == NULL || v->hash.data == NULL ? NULL : v;
}

/* Heads as messages, the newest epochs first. */
static int
pack_heads(const struct lt_own_feeds *o, const char *unit, struct lt_arena *arena, size_t *n,
    Ltpb__FeedHead ***out)
{
	Ltpb__FeedHead **v = lt_arena_alloc(arena, (o->n + 1) * sizeof(*v));
	size_t i;

	if (v == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < o->n; i++) {
		size_t from = o->n - 1 - i;

		v[i] = pack_head(&o->feed[from].feed, &o->head[from], unit, arena);
		if (v[i] == NULL)
			return LT_E_NOMEM;
	}
	*n = o->n;
	*out = v;
	return LT_OK;
}

/* All of them or an error: to the hub, what is not named is not there, and it would call the rest fresh. */
static int
own_heads(struct lt_session *s, struct lt_arena *arena, size_t *n, Ltpb__FeedHead ***out)
{
	struct lt_own_feeds o = { 0 };
	Ltpb__FeedHead **held = NULL;
	struct lt_kv_txn *txn;
	size_t nheld = 0;
	bool told = false;
	int rc = recall_held(s, arena, &told, &nheld, &held);

	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_node_kv(s->node), &txn);
	if (rc != LT_OK)
		return rc;
	rc = own_feeds(s, txn, told, nheld, held, &o);
	lt_kv_abort(txn);
	return rc == LT_OK ? pack_heads(&o, lt_node_identity(s->node)->unit.s, arena, n, out) : rc;
}

struct hub_heads {
	struct lt_arena *arena;
	struct lt_registry *reg;
	size_t n;
	Ltpb__FeedHead **v; /* HUB_HEADS_MAX */
};

static int
note_hub_head(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_id author = lt_feed_author(feed);
	struct hub_heads *h = ctx;
	char *code;

	if (!lt_registry_is_hub(h->reg, &author) || h->n == HUB_HEADS_MAX)
		return LT_OK;
	code = lt_arena_dup(h->arena, unit->s, strlen(unit->s));
	h->v[h->n] = code == NULL ? NULL : pack_head(feed, head, code, h->arena);
	return h->v[h->n++] == NULL ? LT_E_NOMEM : LT_OK;
}

/* How far the hub's own feeds reach here: it may have been restored from a backup. */
static int
hub_heads(struct lt_session *s, struct lt_arena *arena, size_t *n, Ltpb__FeedHead ***out)
{
	struct hub_heads h = { .arena = arena };
	struct lt_kv_txn *txn;
	int rc;

	h.v = lt_arena_alloc(arena, HUB_HEADS_MAX * sizeof(*h.v));
	rc = h.v == NULL ? LT_E_NOMEM : lt_kv_begin_read(lt_node_kv(s->node), &txn);
	if (rc != LT_OK)
		return rc;
	h.reg = lt_node_registry(s->node);
	rc = lt_feed_log_each(txn, NULL, note_hub_head, &h);
	lt_registry_unref(h.reg);
	lt_kv_abort(txn);
	*n = h.n;
	*out = h.v;
	return rc;
}

static int
ask_hello(struct lt_session *s, struct lt_arena *arena, struct lt_session_request *out)
{
	const struct lt_identity *id = lt_node_identity(s->node);
	Ltpb__HelloRequest *r = lt_arena_alloc(arena, sizeof(*r));
	int rc;

	if (r == NULL)
		return LT_E_NOMEM;
	ltpb__hello_request__init(r);
	r->principal.data = (uint8_t *)id->principal.b;
	r->principal.len = LT_ID_LEN;
	r->instance.data = (uint8_t *)s->instance;
	r->instance.len = sizeof(s->instance);
	r->clock_ms = lt_wall_ms(lt_node_clock(s->node));
	r->version = (char *)LT_VERSION;
	out->method = "Hello";
	out->message = &r->base;
	/* Of what it holds it has said nothing yet, on this line. */
	pthread_mutex_lock(&s->mx);
	s->told = s->cosigned = false;
	s->nheld = s->nastray = s->nlost = 0;
	pthread_mutex_unlock(&s->mx);
	lt_node_repair_unasked(s->o.repair);
	rc = own_heads(s, arena, &r->n_head, &r->head);
	return rc == LT_OK ? hub_heads(s, arena, &r->n_hub_head, &r->hub_head) : rc;
}

/* ---- what a restored hub gets back ---- */

struct giving {
	struct lt_kv_txn *txn;
	struct lt_arena *arena;
	Ltpb__PushRequest *r;
	size_t bytes, cap;
	bool full; /* no more room in the message */
};

/* One change-set of it, openings included as far as they are here. LT_E_NOTFOUND: there is none, or no room for it; what cannot be read was
 * logged. */
static int
gather_one(struct giving *g, struct wanted *w, uint64_t seq)
{
	struct lt_err err = { "" };
	uint64_t position;
	struct lt_entry e;
	struct lt_buf b;
	int rc;

	g->full = g->r->n_change_set == LT_PUSH_MAX;
	rc = g->full ? LT_E_NOTFOUND : lt_feed_log_find(g->txn, &w->unit, &w->feed, seq, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_read(g->txn, position, &e);
	lt_buf_init(&b, LT_MESSAGE_MAX);
	if (rc == LT_OK)
		rc = lt_feed_log_compose(g->txn, &e, NULL, NULL, &b, &err);
	if (rc == LT_OK && g->r->n_change_set != 0 && g->bytes + b.len > g->cap) {
		g->full = true;
		rc = LT_E_NOTFOUND;
	}
	if (rc == LT_OK) {
		ProtobufCBinaryData *d = &g->r->change_set[g->r->n_change_set];

		d->data = lt_arena_dup(g->arena, b.data, b.len);
		d->len = b.len;
		g->bytes += b.len;
		rc = d->data == NULL ? LT_E_NOMEM : LT_OK;
		g->r->n_change_set += rc == LT_OK;
		w->given += rc == LT_OK;
	}
	lt_buf_fini(&b);
	if (rc != LT_OK && rc != LT_E_NOTFOUND)
		lt_error("change-set %llu of the hub cannot be read for giving it back: %s %s",
		    (unsigned long long)seq, lt_strerror(rc), err.text);
	return rc;
}

/* Of one feed. What cannot be read ends this feed alone. */
static int
gather_back(struct giving *g, struct wanted *w)
{
	bool down = w->from > w->to;
	uint64_t seq;
	int rc = LT_OK;

	for (seq = w->from; rc == LT_OK && !g->full; seq = down ? seq - 1 : seq + 1) {
		rc = gather_one(g, w, seq);
		if (seq == w->to)
			break;
	}
	return rc == LT_E_NOMEM ? rc : LT_OK;
}

static int
ask_give_back(struct lt_session *s, struct lt_arena *arena, struct lt_session_request *out)
{
	Ltpb__PushRequest *r = lt_arena_alloc(arena, sizeof(*r));
	struct giving g = { .arena = arena, .r = r, .cap = s->back_bytes };
	size_t i;
	int rc;

	if (r == NULL)
		return LT_E_NOMEM;
	ltpb__push_request__init(r);
	r->change_set = lt_arena_alloc(arena, LT_PUSH_MAX * sizeof(*r->change_set));
	rc = r->change_set == NULL ? LT_E_NOMEM : lt_kv_begin_read(lt_node_kv(s->node), &g.txn);
	if (rc != LT_OK)
		return rc;
	for (i = 0; rc == LT_OK && i < s->nwant && !g.full; i++) {
		rc = gather_back(&g, &s->want[i]);
		if (rc == LT_OK && !g.full && s->want[i].given == 0)
			note_given(s, &s->want[i]);
		g.full |= s->one_by_one && s->want[i].given != 0;
	}
	lt_kv_abort(g.txn);
	out->method = "Push";
	out->message = &r->base;
	return rc == LT_OK && r->n_change_set == 0 ? LT_E_NOTFOUND : rc;
}

/* Does this feed reach further at the hub than before? */
static bool
has_moved(const struct wanted *w, const Ltpb__PushReply *r)
{
	size_t i;

	for (i = 0; i < r->n_need; i++)
		if (r->need[i]->feed.len == LT_FEED_LEN &&
		    memcmp(r->need[i]->feed.data, w->feed.b, LT_FEED_LEN) == 0 &&
		    r->need[i]->seq > w->after)
			return true;
	return false;
}

/* Some progress with each feed that was in it, or the two would go round in a circle: then the hub is given no more of that one on this
 * line. */
static void
take_given_back(struct lt_session *s, struct lt_session_call *c, const Ltpb__PushReply *r)
{
	size_t i;

	for (i = 0; i < s->nwant && c->line == s->given_line; i++) {
		const struct wanted *w = &s->want[i];

		if (w->given != 0 && w->other)
			note_shown(s, w);
		else if (w->given != 0 && !has_moved(w, r))
			note_given(s, w);
	}
	if (s->back_bytes < LT_SYNC_BATCH_MAX)
		s->back_bytes *= 2;
	c->ev.ok = true;
	say_contact(s);
}

/* It was refused, as a whole: a disk is full there, or one feed cannot be taken. That one is found, and given no more on this line; the line
 * goes on, and a later one begins anew. */
static void
meet_refusal(struct lt_session *s, const struct lt_session_call *c)
{
	size_t i, n = 0;

	if (c->line != s->given_line)
		return;
	for (i = 0; i < s->nwant; i++)
		n += s->want[i].given != 0;
	if (n == 0) /* it was not even asked */
		s->all_given = true;
	for (i = 0; i < s->nwant && n == 1; i++)
		if (s->want[i].given != 0)
			note_given(s, &s->want[i]);
	s->one_by_one = true;
	s->back_bytes = LT_SYNC_BATCH_FIRST;
}

/* ---- announce ---- */

/* With the lock. */
static bool
is_noted(const struct lt_session *s, const struct lt_giving_name *name)
{
	size_t i;

	for (i = 0; i < s->nlost; i++)
		if (s->lost[i].seq == name->seq &&
		    lt_feed_id_cmp(&s->lost[i].feed, &name->feed) == 0 &&
		    lt_unit_eq(&s->lost[i].unit, &name->unit))
			return true;
	return false;
}

/* What the hub asks for, each once. True: there is something to give. */
static bool
note_lost(struct lt_session *s, size_t n, Ltpb__ChangeSetName *const *lost)
{
	struct lt_giving_name name = { .seq = 0 };
	bool any;
	size_t i;

	pthread_mutex_lock(&s->mx);
	if (n != 0 && s->lost == NULL)
		s->lost = calloc(LOST_MAX, sizeof(*s->lost));
	for (i = 0; i < n && s->lost != NULL && s->nlost < LOST_MAX; i++)
		if (lt_giving_name_read(lost[i], &name) == LT_OK && !is_noted(s, &name))
			s->lost[s->nlost++] = name;
	any = s->nlost != 0;
	pthread_mutex_unlock(&s->mx);
	return any;
}

/* Then all that the hub has of this machine's feeds is here, re-issues of an older self among it. */
static bool
is_caught_up(struct lt_session *s)
{
	bool is;

	pthread_mutex_lock(&s->mx);
	is = s->caught_up && !s->pull_failed && s->applying == 0;
	pthread_mutex_unlock(&s->mx);
	return is;
}

static void
note_cosigned(struct lt_session *s, const struct lt_session_call *c)
{
	pthread_mutex_lock(&s->mx);
	if (c->cosigns && c->line == s->line) {
		s->cosigned = true;
		s->cosigned_hash = c->cosigned;
	}
	pthread_mutex_unlock(&s->mx);
}

/* Who has a copy of this machine's keys may go on with its feeds while it is at work, and never be met in a push: the hub's word tells it
 * at the next announcement. */
static void
take_announce(struct lt_session *s, struct lt_session_call *c, const Ltpb__AnnounceReply *r)
{
	struct lt_own_feeds o;
	struct lt_kv_txn *txn;
	bool more = false, read = false;

	c->ev.ok = true;
	c->ev.lacks = lt_node_repair_lacks(s->o.repair);
	c->ev.lost = note_lost(s, r->n_lost, r->lost);
	note_held(s, r->n_held, r->held);
	note_cosigned(s, c);
	lt_node_checkpoints_take(s->node, r->checkpoint, r->n_cosigned, r->cosigned);
	if (lt_kv_begin_read(lt_node_kv(s->node), &txn) == LT_OK) {
		read = own_feeds(s, txn, true, r->n_held, r->held, &o) == LT_OK;
		if (read)
			weigh_held(s, txn, &o, r->n_held, r->held);
		more = meet_strangers(s, txn, r->n_held, r->held);
		lt_kv_abort(txn);
	}
	if (LT_SIM_BUG(TAIL_NOT_MET))
		read = more = false;
	if (read) {
		(void)leave_epochs(s, &o, &more);
		memcpy(c->feeds, o.feed, sizeof(c->feeds));
		c->ev.feeds = c->feeds;
		c->ev.nfeed = o.n;
	}
	if (more)
		break_pull(s, c);
	(void)lt_node_saw_hub_time(s->node, r->hub_time_ms);
	lt_node_hub_outvoted(s->node, r->clock_outvoted);
	if (read && !more && is_caught_up(s))
		(void)lt_node_salvage_caught_up(s->node);
	if ((read && !more && is_caught_up(s)) || LT_SIM_BUG(REISSUE_EARLY))
		(void)lt_node_reissue(s->node);
	say_contact(s);
}

struct branch {
	struct lt_session *s;
	struct lt_kv_txn *txn;
	struct lt_arena *arena;
	ProtobufCBinaryData *out;
};

/* Is it time for it? Then it is taken as brought, whatever becomes of the call: the next announcement goes without. */
static bool
branch_due(struct lt_session *s, const struct lt_feed_id *feed, const struct lt_hash *h)
{
	int64_t now = lt_mono_ms(lt_node_clock(s->node));
	struct brought *b = s->brought, *end = s->brought + s->nbrought;

	while (b < end && !(lt_feed_id_cmp(&b->feed, feed) == 0 && lt_hash_eq(&b->hash, h)))
		b++;
	if (b == end && s->nbrought == BRANCHES_MAX)
		return false;
	if (b == end) {
		*b = (struct brought){ .feed = *feed, .hash = *h, .wait_ms = BRANCH_AGAIN_MS };
		s->nbrought++;
	} else if (now < b->again_ms) {
		return false;
	} else if (b->wait_ms < BRANCH_REST_MS) {
		b->wait_ms *= 2;
	}
	b->again_ms = now + b->wait_ms;
	return true;
}

/* A ruling on the branch whose change-set seq is in the log under `aside`. LT_E_NOTFOUND: there is none. */
static int
ruling_at(struct branch *b, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_feed_id *aside, uint64_t seq, struct lt_hash *h)
{
	struct lt_ruling ruling;
	int rc = lt_feed_log_hash(b->txn, unit, aside, seq, h);

	return rc == LT_OK           ? lt_ruling_get(b->txn, unit, feed, seq, h, &ruling)
	       : rc == LT_E_NOTFOUND ? LT_E_CORRUPT
				     : rc;
}

/* The first of it that an announcement takes, *at its number. */
static int
small_one(struct branch *b, const struct lt_unit *unit, const struct lt_feed_id *aside,
    uint64_t first, uint64_t last, uint64_t *at, struct lt_entry *e)
{
	const size_t max = b->s->o.evidence_max != 0 ? b->s->o.evidence_max : BRANCH_MAX;
	uint64_t seq, position;
	int rc;

	for (seq = first; seq <= last && seq - first < BRANCH_LOOK; seq++) {
		rc = lt_feed_log_find(b->txn, unit, aside, seq, &position);
		if (rc == LT_OK)
			rc = lt_feed_log_read(b->txn, position, e);
		if (rc != LT_OK)
			return rc;
		*at = seq;
		if (e->changeset.len <= max)
			return LT_OK;
	}
	return LT_E_NOTFOUND;
}

/* The first change-set of a branch aside that no ruling speaks of: the hub needs it as evidence. The second one, whose prev_hash
 * names it, says the same where it is too large; and one further on shows at least that the branches differ before it. */
static int
note_branch(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_feed_id aside = lt_feed_aside(feed);
	struct branch *b = ctx;
	uint64_t first, last, at;
	struct lt_entry e = { 0 };
	struct lt_hash h, before;
	int rc = lt_feed_log_aside(b->txn, unit, feed, &first, &last);

	(void)head;
	if (rc != LT_OK || first == 0 ||
	    ruling_at(b, unit, feed, &aside, first, &h) != LT_E_NOTFOUND ||
	    small_one(b, unit, &aside, first, last, &at, &e) != LT_OK)
		return LT_OK;
	if (at > first + 1 && ruling_at(b, unit, feed, &aside, at - 1, &before) != LT_E_NOTFOUND)
		return LT_OK;
	if (!branch_due(b->s, feed, &h))
		return LT_OK;
	b->out->data = lt_arena_dup(b->arena, e.changeset.data, e.changeset.len);
	b->out->len = b->out->data == NULL ? 0 : e.changeset.len;
	return LT_E_EXISTS; /* the others later */
}

/* Whatever is wrong here, an announcement goes. */
static void
add_branch(struct lt_session *s, struct lt_arena *arena, ProtobufCBinaryData *out)
{
	struct branch b = { .s = s, .arena = arena, .out = out };

	if (lt_kv_begin_read(lt_node_kv(s->node), &b.txn) != LT_OK)
		return;
	(void)lt_feed_log_each(b.txn, &lt_node_identity(s->node)->unit, note_branch, &b);
	lt_kv_abort(b.txn);
}

/* Once on a line: whether the hub kept it, it does not say. */
static void
add_cosigned(struct lt_session *s, struct lt_arena *arena, struct lt_session_call *c,
    Ltpb__AnnounceRequest *r)
{
	Ltpb__Checkpoint *m = lt_node_checkpoint_give(s->node, arena, &c->cosigned);

	pthread_mutex_lock(&s->mx);
	c->cosigns = m != NULL && !(s->cosigned && lt_hash_eq(&s->cosigned_hash, &c->cosigned));
	pthread_mutex_unlock(&s->mx);
	if (c->cosigns)
		r->cosigned = m;
}

static int
ask_announce(struct lt_session *s, struct lt_arena *arena, struct lt_session_call *c,
    struct lt_session_request *out)
{
	Ltpb__AnnounceRequest *r = lt_arena_alloc(arena, sizeof(*r));

	if (r == NULL)
		return LT_E_NOMEM;
	ltpb__announce_request__init(r);
	r->clock_ms = lt_wall_ms(lt_node_clock(s->node));
	out->method = "Announce";
	out->message = &r->base;
	add_branch(s, arena, &r->branch);
	add_cosigned(s, arena, c, r);
	return own_heads(s, arena, &r->n_head, &r->head);
}

/* ---- push ---- */

static void
take_push(struct lt_session *s, struct lt_session_call *c, const Ltpb__PushReply *r)
{
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
			rc = lt_node_receipt(s->node, lt_buf_slice(&b), &feed, &seq, &err);
		if (seq == 0)
			c->ev.ok = false; /* not believed: push again later */
		else if (lt_feed_id_cmp(&feed, &c->feed) == 0)
			/* The hub may have taken less than was sent. A receipt that found no room on the disk comes
			 * again when the last change-set is offered again. */
			c->ev.seq = rc == LT_OK ? seq : seq - 1;
		if (rc != LT_OK)
			lt_session_say(s, "a receipt is not kept",
			    err.text[0] != '\0' ? err.text : lt_strerror(rc));
		lt_buf_fini(&b);
	}
	for (i = 0; i < r->n_need; i++)
		if (r->need[i]->feed.len == LT_FEED_LEN &&
		    memcmp(r->need[i]->feed.data, c->feed.b, LT_FEED_LEN) == 0 &&
		    r->need[i]->seq < c->from_seq) /* what is missing stands before what was sent */
			c->ev.seq = r->need[i]->seq;
	say_contact(s);
}

/* Change-sets of one feed from from_seq on, openings included, up to about max_bytes. */
static int
gather_push(struct lt_session *s, const struct lt_sync_action *a, struct lt_arena *arena,
    Ltpb__PushRequest *r, struct lt_session_call *c)
{
	const struct lt_identity *id = lt_node_identity(s->node);
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	uint64_t seq, position;
	int rc = lt_kv_begin_read(lt_node_kv(s->node), &txn);

	if (rc != LT_OK)
		return rc;
	r->change_set = lt_arena_alloc(arena, LT_PUSH_MAX * sizeof(*r->change_set));
	for (seq = a->from_seq; r->change_set != NULL && r->n_change_set < LT_PUSH_MAX; seq++) {
		struct lt_entry e;
		struct lt_buf whole, b;

		if (c->bytes >= a->max_bytes)
			break;
		rc = lt_feed_log_find(txn, &id->unit, &a->feed, seq, &position);
		if (rc != LT_OK)
			break;
		lt_buf_init(&whole, LT_MESSAGE_MAX);
		lt_buf_init(&b, LT_MESSAGE_MAX);
		rc = lt_feed_log_read(txn, position, &e);
		if (rc == LT_OK)
			rc = lt_feed_log_compose(txn, &e, NULL, NULL, &whole, &err);
		if (rc == LT_OK)
			rc = lt_changeset_lean(lt_buf_slice(&whole), &b);
		lt_buf_fini(&whole);
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
note_sent(struct lt_session *s, struct lt_session_call *c)
{
	pthread_mutex_lock(&s->mx);
	c->push_no = ++s->push_no;
	lt_sent_begin(&s->sent, &c->feed, c->to_seq, c->push_no);
	pthread_mutex_unlock(&s->mx);
}

bool
lt_session_sent(struct lt_session *s, const struct lt_feed_id *feed, uint64_t seq)
{
	bool sent;

	pthread_mutex_lock(&s->mx);
	sent = lt_sent_has(&s->sent, feed, seq);
	pthread_mutex_unlock(&s->mx);
	return sent;
}

static int
ask_push(struct lt_session *s, const struct lt_sync_action *a, struct lt_arena *arena,
    struct lt_session_call *c, struct lt_session_request *out)
{
	Ltpb__PushRequest *r = lt_arena_alloc(arena, sizeof(*r));
	int rc;

	c->feed = c->ev.feed = a->feed;
	c->from_seq = a->from_seq;
	if (r == NULL)
		return LT_E_NOMEM;
	ltpb__push_request__init(r);
	rc = gather_push(s, a, arena, r, c);
	if (rc == LT_OK)
		note_sent(s, c);
	out->method = "Push";
	out->message = &r->base;
	return rc;
}

/* ---- pull ---- */

static void
applied(void *ctx, int rc, const char *why)
{
	struct lt_session *s = ctx;
	bool broke;

	pthread_mutex_lock(&s->mx);
	if (rc == LT_OK)
		s->pull_taken++;
	broke = rc != LT_OK && !s->pull_failed && !LT_SIM_BUG(PAST_GAP);
	if (broke) {
		s->pull_failed = true;
		(void)snprintf(s->error, sizeof(s->error),
		    "a change-set from the hub was not taken: %s: %.160s", lt_strerror(rc), why);
		lt_warn("%s", s->error);
	}
	pthread_mutex_unlock(&s->mx);
	if (broke && s->o.pull_broke != NULL)
		s->o.pull_broke(s->o.ctx);
	/* Once none is under way, a session that stops is freed: nothing of it is touched after this. */
	pthread_mutex_lock(&s->mx);
	s->applying--;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->mx);
}

static void
take_item(struct lt_session *s, const struct lt_session_call *c, const Ltpb__PullItem *it)
{
	bool failed;

	if (it->item_case == LTPB__PULL_ITEM__ITEM_CAUGHT_UP) {
		(void)lt_node_saw_hub_time(s->node, it->caught_up->hub_time_ms);
		say_contact(s);
		pthread_mutex_lock(&s->mx);
		s->caught_up = c->line == s->line;
		pthread_mutex_unlock(&s->mx);
		return;
	}
	if (it->item_case != LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		return;
	pthread_mutex_lock(&s->mx);
	failed = s->pull_failed;
	if (!failed)
		s->applying++;
	pthread_mutex_unlock(&s->mx);
	if (failed)
		return; /* what follows a failure would only be gaps; the caller ends the stream */
	if (lt_node_apply(s->node, lt_slice(it->change_set.data, it->change_set.len), applied, s) !=
	    LT_OK)
		applied(s, LT_E_INVALID, "it cannot be read");
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

static int
ask_pull(struct lt_session *s, struct lt_arena *arena, struct lt_session_request *out)
{
	Ltpb__PullRequest *r = lt_arena_alloc(arena, sizeof(*r));
	struct have h = { .arena = arena };
	struct lt_kv_txn *txn;

	pthread_mutex_lock(&s->mx);
	s->pull_failed = s->caught_up = false;
	s->pull_taken = 0;
	pthread_mutex_unlock(&s->mx);
	h.v = lt_arena_alloc(arena, PULL_HAVE_MAX * sizeof(Ltpb__FeedHead *));
	if (r == NULL || h.v == NULL)
		return LT_E_NOMEM;
	if (lt_kv_begin_read(lt_node_kv(s->node), &txn) == LT_OK) {
		h.txn = txn;
		h.own = lt_node_identity(s->node)->principal;
		(void)lt_feed_log_each(txn, NULL, note_have, &h);
		lt_kv_abort(txn);
	}
	ltpb__pull_request__init(r);
	r->have = h.v;
	r->n_have = h.n;
	r->follow = true;
	out->method = "Pull";
	out->message = &r->base;
	out->timeout_ms = 0;
	return LT_OK;
}

bool
lt_session_has_room(struct lt_session *s)
{
	bool room;

	pthread_mutex_lock(&s->mx);
	room = s->applying < APPLY_WINDOW || s->pull_failed;
	pthread_mutex_unlock(&s->mx);
	return room;
}

unsigned
lt_session_applying(struct lt_session *s)
{
	unsigned n;

	pthread_mutex_lock(&s->mx);
	n = s->applying;
	pthread_mutex_unlock(&s->mx);
	return n;
}

void
lt_session_await_room(struct lt_session *s)
{
	pthread_mutex_lock(&s->mx);
	while (s->applying >= APPLY_WINDOW && !s->pull_failed)
		pthread_cond_wait(&s->cond, &s->mx);
	pthread_mutex_unlock(&s->mx);
}

void
lt_session_await_idle(struct lt_session *s)
{
	pthread_mutex_lock(&s->mx);
	while (s->applying > 0)
		pthread_cond_wait(&s->cond, &s->mx);
	pthread_mutex_unlock(&s->mx);
}

bool
lt_session_pull_broke(struct lt_session *s)
{
	bool broke;

	pthread_mutex_lock(&s->mx);
	broke = s->pull_failed;
	pthread_mutex_unlock(&s->mx);
	return broke;
}

/* ---- what is damaged, here or there ---- */

static int
ask_fetch(struct lt_session *s, struct lt_arena *arena, struct lt_session_call *c,
    struct lt_session_request *out)
{
	Ltpb__FetchRequest *r = lt_arena_alloc(arena, sizeof(*r));
	struct lt_repair_want w[LT_REPAIR_CALL_MAX];
	size_t i, n;

	if (r == NULL)
		return LT_E_NOMEM;
	ltpb__fetch_request__init(r);
	r->wanted = lt_arena_alloc(arena, LT_REPAIR_CALL_MAX * sizeof(*r->wanted));
	if (r->wanted == NULL)
		return LT_E_NOMEM;
	n = lt_node_repair_wants(s->o.repair, w, LT_REPAIR_CALL_MAX);
	c->ev.tried = n != 0;
	c->ev.ok = n == 0; /* it was asked for everything: no failure */
	for (i = 0; i < n; i++) {
		r->wanted[i] = lt_giving_name_pack(&w[i], arena);
		if (r->wanted[i] == NULL) {
			lt_node_repair_unasked(s->o.repair);
			return LT_E_NOMEM;
		}
	}
	r->n_wanted = n;
	out->method = "Fetch";
	out->message = &r->base;
	return n != 0 ? LT_OK : LT_E_NOTFOUND;
}

static void
take_fetch(struct lt_session *s, struct lt_session_call *c, const Ltpb__FetchReply *r)
{
	struct lt_err err = { "" };
	size_t i, bad = 0;

	c->ev.ok = true;
	for (i = 0; i < r->n_change_set && i < LT_REPAIR_CALL_MAX; i++) {
		const ProtobufCBinaryData *d = &r->change_set[i];
		struct lt_err why = { "" };
		int rc = lt_node_repair_take(s->o.repair, lt_slice(d->data, d->len), &why);

		c->ev.seq += rc == LT_OK;
		if (rc != LT_OK && rc != LT_E_NOTFOUND && bad++ == 0)
			err = why;
	}
	if (c->ev.seq != 0)
		lt_info("%llu damaged change-sets were put back from the hub",
		    (unsigned long long)c->ev.seq);
	if (bad != 0)
		lt_warn("%zu change-sets from the hub are not those that stood here: %s", bad,
		    err.text);
	/* There was no room for some. Where this led nowhere, they wait for the next login. */
	c->ev.more = r->more && c->ev.seq != 0;
	if (c->ev.more)
		lt_node_repair_unasked(s->o.repair);
	say_contact(s);
}

/* Those that the hub asked for first, as far as they are here and there is room. */
static int
ask_supply(struct lt_session *s, const struct lt_sync_action *a, struct lt_arena *arena,
    struct lt_session_call *c, struct lt_session_request *out)
{
	Ltpb__SupplyRequest *r = lt_arena_alloc(arena, sizeof(*r));
	struct lt_giving *g = lt_arena_alloc(arena, sizeof(*g));
	struct lt_giving_name *name;
	size_t n;
	int rc;

	if (r == NULL || g == NULL)
		return LT_E_NOMEM;
	ltpb__supply_request__init(r);
	pthread_mutex_lock(&s->mx);
	n = s->nlost;
	name = lt_arena_dup(arena, s->lost, n * sizeof(*name));
	pthread_mutex_unlock(&s->mx);
	if (name == NULL)
		return LT_E_NOMEM;
	g->arena = arena;
	g->max_bytes = a->max_bytes < LT_REPAIR_BYTES_MAX ? a->max_bytes : LT_REPAIR_BYTES_MAX;
	rc = lt_kv_begin_read(lt_node_kv(s->node), &g->txn);
	if (rc != LT_OK)
		return rc;
	while (rc == LT_OK && c->given < n) {
		rc = lt_giving_add(g, &name[c->given], NULL, NULL);
		if (rc == LT_OK && g->full)
			break;
		c->given += rc == LT_OK;
	}
	lt_kv_abort(g->txn);
	r->change_set = g->set;
	r->n_change_set = g->n;
	c->ev.tried = g->n != 0;
	out->method = "Supply";
	out->message = &r->base;
	return rc != LT_OK || g->n != 0 ? rc : LT_E_NOTFOUND;
}

/* So many of the first are dealt with; what the hub asked for meanwhile stands behind them. */
static void
forget_lost(struct lt_session *s, struct lt_session_call *c)
{
	pthread_mutex_lock(&s->mx);
	if (c->line == s->line && c->given != 0 && c->given <= s->nlost) {
		s->nlost -= c->given;
		memmove(s->lost, s->lost + c->given, s->nlost * sizeof(*s->lost));
	}
	c->ev.more = s->nlost != 0;
	pthread_mutex_unlock(&s->mx);
	c->given = 0;
}

static void
take_supply(struct lt_session *s, struct lt_session_call *c, const Ltpb__SupplyReply *r)
{
	c->ev.ok = true;
	c->ev.seq = r->taken;
	forget_lost(s, c);
	say_contact(s);
}

/* ---- calls ---- */

static int
ask(struct lt_session *s, const struct lt_sync_action *a, struct lt_arena *arena,
    struct lt_session_call *c, struct lt_session_request *out)
{
	switch (a->kind) {
	case LT_SYNC_DO_JOIN:
		c->ev.kind = LT_SYNC_EV_JOINED;
		return ask_join(s, arena, out);
	case LT_SYNC_DO_HELLO:
		c->ev.kind = LT_SYNC_EV_GREETED;
		return ask_hello(s, arena, out);
	case LT_SYNC_DO_GIVE_BACK:
		c->ev.kind = LT_SYNC_EV_GIVEN_BACK;
		return ask_give_back(s, arena, out);
	case LT_SYNC_DO_PULL:
		c->ev.kind = LT_SYNC_EV_PULL_ENDED;
		return ask_pull(s, arena, out);
	case LT_SYNC_DO_PUSH:
		c->ev.kind = LT_SYNC_EV_PUSHED;
		return ask_push(s, a, arena, c, out);
	case LT_SYNC_DO_ANNOUNCE:
		c->ev.kind = LT_SYNC_EV_ANNOUNCED;
		return ask_announce(s, arena, c, out);
	case LT_SYNC_DO_FETCH:
		c->ev.kind = LT_SYNC_EV_FETCHED;
		return ask_fetch(s, arena, c, out);
	case LT_SYNC_DO_SUPPLY:
		c->ev.kind = LT_SYNC_EV_SUPPLIED;
		return ask_supply(s, a, arena, c, out);
	case LT_SYNC_DO_DIAL:
	case LT_SYNC_DO_CLOSE:
	case LT_SYNC_DO_TIMER:
		break;
	}
	return LT_E_USAGE;
}

int
lt_session_ask(struct lt_session *s, const struct lt_sync_action *a, struct lt_arena *arena,
    struct lt_session_call *c, struct lt_session_request *out)
{
	int rc;

	memset(c, 0, sizeof(*c));
	memset(out, 0, sizeof(*out));
	out->service = &ltpb__sync__descriptor;
	out->timeout_ms = CALL_MS;
	pthread_mutex_lock(&s->mx);
	c->line = s->line;
	pthread_mutex_unlock(&s->mx);
	rc = ask(s, a, arena, c, out);
	if (rc == LT_E_NOTFOUND && c->ev.kind == LT_SYNC_EV_SUPPLIED) {
		c->ev.ok = true; /* of what the hub lacks nothing is here */
		forget_lost(s, c);
	}
	if (rc == LT_E_NOTFOUND && c->ev.kind == LT_SYNC_EV_GIVEN_BACK)
		c->ev.ok = true; /* nothing of it can be read: the next hello goes without */
	else if (rc != LT_OK && c->ev.kind == LT_SYNC_EV_GIVEN_BACK)
		s->all_given = true;
	return rc;
}

void
lt_session_take(struct lt_session *s, struct lt_session_call *c, const ProtobufCMessage *m)
{
	switch (c->ev.kind) {
	case LT_SYNC_EV_JOINED:
		take_join(s, c, (const Ltpb__JoinReply *)m);
		break;
	case LT_SYNC_EV_GREETED:
		take_hello(s, c, (const Ltpb__HelloReply *)m);
		break;
	case LT_SYNC_EV_GIVEN_BACK:
		take_given_back(s, c, (const Ltpb__PushReply *)m);
		break;
	case LT_SYNC_EV_PUSHED:
		take_push(s, c, (const Ltpb__PushReply *)m);
		break;
	case LT_SYNC_EV_ANNOUNCED:
		take_announce(s, c, (const Ltpb__AnnounceReply *)m);
		break;
	case LT_SYNC_EV_PULL_ENDED:
		take_item(s, c, (const Ltpb__PullItem *)m);
		break;
	case LT_SYNC_EV_FETCHED:
		take_fetch(s, c, (const Ltpb__FetchReply *)m);
		break;
	case LT_SYNC_EV_SUPPLIED:
		take_supply(s, c, (const Ltpb__SupplyReply *)m);
		break;
	default:
		break;
	}
}

/* Another machine, or an older self, signed under these numbers before: the epoch is over, and what the hub holds of it is
 * asked for. */
static void
meet_fork(struct lt_session *s, const struct lt_session_call *c)
{
	int rc = lt_node_new_epoch(s->node, &c->feed);

	if (rc != LT_OK)
		lt_session_say(s, "a new epoch could not be begun", lt_strerror(rc));
	break_pull(s, c);
}

static void
weigh_failure(struct lt_session *s, struct lt_session_call *c, const struct lt_status *status)
{
	c->ev.ok = false;
	c->ev.retry_after_ms = status->retry_delay_ms;
	c->ev.final = status->code == LT_STATUS_PERMISSION_DENIED ||
		      status->code == LT_STATUS_FAILED_PRECONDITION ||
		      status->code == LT_STATUS_INVALID_ARGUMENT ||
		      status->code == LT_STATUS_UNAUTHENTICATED;
	if (status->code != LT_STATUS_CANCELLED)
		lt_session_say_both(
		    s, lt_status_name(status->code), status->message, status->message_vi);
	if (c->ev.kind == LT_SYNC_EV_PUSHED && strcmp(status->reason, "FORK") == 0)
		meet_fork(s, c);
	if (c->ev.kind == LT_SYNC_EV_GIVEN_BACK)
		meet_refusal(s, c);
	/* For later, when the hub can; one that does not know the method is asked again at the next login. */
	if (c->ev.kind == LT_SYNC_EV_FETCHED && !c->ev.final &&
	    status->code != LT_STATUS_UNIMPLEMENTED)
		lt_node_repair_unasked(s->o.repair);
	if (c->ev.kind == LT_SYNC_EV_SUPPLIED) {
		if (!c->ev.final && status->code != LT_STATUS_UNIMPLEMENTED)
			c->given = 0;
		forget_lost(s, c);
	}
}

void
lt_session_end(struct lt_session *s, struct lt_session_call *c, const struct lt_status *status)
{
	if (status->code != LT_STATUS_OK)
		weigh_failure(s, c, status);
	pthread_mutex_lock(&s->mx);
	if (c->ev.kind == LT_SYNC_EV_PULL_ENDED) {
		/* One that we cancelled because a change-set was not taken failed. */
		c->ev.ok = status->code == LT_STATUS_OK && !s->pull_failed;
		c->ev.seq = s->pull_taken;
	}
	if (c->ev.kind == LT_SYNC_EV_PUSHED)
		lt_sent_end(&s->sent, c->push_no, c->ev.ok ? c->ev.seq : 0);
	pthread_mutex_unlock(&s->mx);
}

void
lt_session_drop(struct lt_session *s)
{
	pthread_mutex_lock(&s->mx);
	s->line++;
	s->nlost = 0;
	s->pull_failed = true;
	lt_sent_drop(&s->sent);
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->mx);
}

void
lt_session_status(
    struct lt_session *s, char *error, char *error_vi, size_t cap, int64_t *last_contact_ms)
{
	pthread_mutex_lock(&s->mx);
	(void)snprintf(error_vi, cap, "%s", s->error_vi);
	(void)snprintf(error, cap, "%s", s->error);
	*last_contact_ms = s->last_contact_ms;
	pthread_mutex_unlock(&s->mx);
}

int
lt_session_new(const struct lt_session_options *o, struct lt_session **out)
{
	struct lt_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return LT_E_NOMEM;
	s->o = *o;
	s->node = o->node;
	s->back_bytes = LT_SYNC_BATCH_FIRST;
	randombytes_buf(s->instance, sizeof(s->instance));
	pthread_mutex_init(&s->mx, NULL);
	pthread_cond_init(&s->cond, NULL);
	*out = s;
	return LT_OK;
}

void
lt_session_free(struct lt_session *s)
{
	if (s == NULL)
		return;
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->mx);
	free(s->held);
	free(s->astray);
	free(s->lost);
	free(s->given);
	free(s->shown);
	free(s);
}
