/* hub/sync_answer.c - Enrol and Sync as the hub answers them. */
#include "hub/sync_answer.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"

#include <stdlib.h>
#include <string.h>

#define PENDING_RETRY_MS 5000
#define PULL_HAVE_MAX 4096
#define HELD_MAX \
	1024 /* epochs of one author told in a reply: some 80 KB of the message's megabyte */

/* words: for people; "" gives those of the code. */
static bool
no(struct lt_status *st, int rc, const char *reason, const char *words)
{
	lt_status_set(
	    st, lt_status_from_error(rc), reason, "%s", words[0] != '\0' ? words : lt_strerror(rc));
	return false;
}

/* The registry may have moved between the check of the method and now: who is revoked meanwhile is nobody. */
static bool
is_a_node(const struct lt_asking *a, struct lt_status *st)
{
	if (a->who.kind == LT_ASKER_PRINCIPAL && a->who.principal->role == LTPB__ROLE__ROLE_NODE)
		return true;
	lt_status_set(st, LT_STATUS_UNAUTHENTICATED, "NOT_A_PRINCIPAL", "%s",
	    "not a node of this federation");
	return false;
}

/* ---- Join ---- */

static int
own_certificate(struct lt_asking *a, Ltpb__Certificate **out)
{
	const struct lt_identity *id = lt_hub_identity(a->s->hub);
	ProtobufCMessage *m;
	int rc = lt_wire_unpack(
	    &ltpb__certificate__descriptor, id->certificate, 4096, &a->arena, &m, NULL);

	*out = (Ltpb__Certificate *)m;
	return rc;
}

bool
lt_answer_join(
    struct lt_asking *a, const Ltpb__JoinRequest *req, Ltpb__JoinReply *r, struct lt_status *st)
{
	const struct lt_principal *known;
	char reason[LT_ENROL_REASON_MAX + 1];
	struct lt_err err = { "" };
	int rc;

	if (a->peer->kind != LT_PEER_LINE)
		return no(st, LT_E_DENIED, "LOCAL", "only machines join, over the line");
	rc = lt_enrol_join(a->s->enrol, req, a->peer->line_key, a->peer->address, &r->state, &err);
	/* Once approved, the registry says what became of it. */
	known = rc == LT_OK ? lt_registry_by_line_key(a->reg, a->peer->line_key) : NULL;
	if (known != NULL)
		r->state = known->state;
	if (rc == LT_OK && r->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE)
		rc = own_certificate(a, &r->hub);
	if (rc == LT_OK) {
		r->province = (char *)lt_hub_province(a->s->hub)->s;
		r->retry_after_ms = r->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING
					? PENDING_RETRY_MS
					: 0;
		if (r->state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED)
			return true;
		lt_enrol_reason(a->s->enrol, a->peer->line_key, reason);
		r->reason = lt_arena_dup(&a->arena, reason, strlen(reason));
		if (r->reason != NULL)
			return true;
		rc = LT_E_NOMEM;
	}
	if (rc == LT_E_CONFLICT) {
		lt_status_set_both(st, LT_STATUS_PERMISSION_DENIED, "INVITATION_SPENT",
		    "another machine has used this invitation already; tell the province at once, "
		    "and ask for a new one",
		    "máy khác đã dùng thư mời này rồi; hãy báo ngay cho tỉnh và xin thư mời mới");
		return false;
	}
	/* No word on why: whoever holds a real invitation asks the operator. */
	lt_status_set(st,
	    rc == LT_E_UNAVAILABLE ? LT_STATUS_UNAVAILABLE : LT_STATUS_PERMISSION_DENIED,
	    "JOIN_NOT_ACCEPTED", "%s", "not accepted; ask the province for a new invitation");
	return false;
}

/* ---- Hello and Announce ---- */

struct heads {
	struct lt_asking *a;
	struct lt_id author;
	size_t n;
	Ltpb__FeedHead *v[HELD_MAX];
};

static int
note_head(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct heads *h = ctx;
	struct lt_id author = lt_feed_author(feed);
	Ltpb__FeedHead *f;

	if (!lt_id_eq(&author, &h->author) || h->n == sizeof(h->v) / sizeof(h->v[0]))
		return LT_OK;
	f = lt_arena_alloc(&h->a->arena, sizeof(*f));
	if (f == NULL)
		return LT_E_NOMEM;
	ltpb__feed_head__init(f);
	f->unit = lt_arena_dup(&h->a->arena, unit->s, strlen(unit->s));
	f->feed.data = lt_arena_dup(&h->a->arena, feed->b, LT_FEED_LEN);
	f->feed.len = LT_FEED_LEN;
	f->seq = head->seq;
	f->hash.data = lt_arena_dup(&h->a->arena, head->hash.b, LT_HASH_LEN);
	f->hash.len = LT_HASH_LEN;
	if (f->unit == NULL || f->feed.data == NULL || f->hash.data == NULL)
		return LT_E_NOMEM;
	h->v[h->n++] = f;
	return LT_OK;
}

static int
held_heads(struct lt_asking *a, struct heads *h)
{
	struct lt_kv_txn *txn;
	int rc = lt_kv_begin_read(lt_hub_log(a->s->hub), &txn);

	h->a = a;
	h->n = 0;
	h->author = a->who.principal->id;
	if (rc != LT_OK)
		return rc;
	rc = lt_feed_log_each(txn, &a->who.principal->unit, note_head, h);
	lt_kv_abort(txn);
	return rc;
}

static bool
all_heads_sane(size_t n, Ltpb__FeedHead *const *v)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i]->feed.len != LT_FEED_LEN || v[i]->seq > INT64_MAX)
			return false;
	return n <= 4096;
}

static void
note_contact(const struct lt_asking *a, size_t n, Ltpb__FeedHead *const *head, int64_t clock_ms)
{
	const struct lt_principal *p = a->who.principal;

	lt_fresh_connected(a->s->fresh, &p->id, &p->unit, a->peer->conn_id);
	lt_fresh_announced(a->s->fresh, &p->id, &p->unit, n, head, clock_ms);
}

/* What the hub holds of who asks; in the arena. */
static int
tell_held(struct lt_asking *a, size_t *n, Ltpb__FeedHead ***held)
{
	struct heads *h = lt_arena_alloc(&a->arena, sizeof(*h));
	int rc = h == NULL ? LT_E_NOMEM : held_heads(a, h);

	if (rc == LT_OK) {
		*n = h->n;
		*held = h->v;
	}
	return rc;
}

bool
lt_answer_hello(
    struct lt_asking *a, const Ltpb__HelloRequest *req, Ltpb__HelloReply *r, struct lt_status *st)
{
	const struct lt_identity *id = lt_hub_identity(a->s->hub);
	int rc;

	if (!is_a_node(a, st))
		return false;
	if (req->principal.len != LT_ID_LEN ||
	    memcmp(req->principal.data, a->who.principal->id.b, LT_ID_LEN) != 0 ||
	    req->instance.len != 16 || !all_heads_sane(req->n_head, req->head))
		return no(st, LT_E_INVALID, "HELLO", "the hello does not fit the line it came on");
	rc = tell_held(a, &r->n_held, &r->held);
	if (rc == LT_OK)
		rc = own_certificate(a, &r->certificate);
	if (rc != LT_OK)
		return no(st, rc, "HELLO", "");
	note_contact(a, req->n_head, req->head, req->clock_ms);
	r->hub.data = (uint8_t *)id->principal.b;
	r->hub.len = LT_ID_LEN;
	r->hub_time_ms = lt_wall_ms(lt_hub_clock(a->s->hub));
	r->province = (char *)id->unit.s;
	r->session = a->peer->conn_id;
	return true;
}

bool
lt_answer_announce(struct lt_asking *a, const Ltpb__AnnounceRequest *req, Ltpb__AnnounceReply *r,
    struct lt_status *st)
{
	int rc;

	if (!is_a_node(a, st))
		return false;
	rc = all_heads_sane(req->n_head, req->head) ? tell_held(a, &r->n_held, &r->held)
						    : LT_E_INVALID;
	if (rc != LT_OK)
		return no(st, rc, "ANNOUNCE", "");
	note_contact(a, req->n_head, req->head, req->clock_ms);
	r->hub_time_ms = lt_wall_ms(lt_hub_clock(a->s->hub));
	r->clock_offset_ms = lt_ms_between(req->clock_ms, r->hub_time_ms);
	return true;
}

/* ---- Push ---- */

struct push {
	struct lt_fresh *fresh;
	lt_pushed_fn *done;
	void *ctx;
};

static int
fill_reply(const struct lt_intake_result *in, struct lt_arena *arena, Ltpb__PushReply *r)
{
	size_t i;

	r->receipt = lt_arena_alloc(arena, (in->nfeed + 1) * sizeof(*r->receipt));
	r->need = lt_arena_alloc(arena, (in->nfeed + 1) * sizeof(*r->need));
	if (r->receipt == NULL || r->need == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < in->nfeed; i++) {
		const struct lt_intake_feed *f = &in->feed[i];
		ProtobufCMessage *m;
		int rc;

		if (f->receipt.len != 0) {
			rc = lt_wire_unpack(&ltpb__receipt__descriptor, f->receipt, LT_MESSAGE_MAX,
			    arena, &m, NULL);
			if (rc != LT_OK)
				return rc;
			r->receipt[r->n_receipt++] = (Ltpb__Receipt *)m;
		}
		if (f->need || f->receipt.len == 0) {
			Ltpb__FeedHead *h = lt_arena_alloc(arena, sizeof(*h));

			if (h == NULL)
				return LT_E_NOMEM;
			ltpb__feed_head__init(h);
			h->unit = (char *)f->unit.s;
			h->feed.data = (uint8_t *)f->feed.b;
			h->feed.len = LT_FEED_LEN;
			h->seq = f->held;
			h->hash.data = (uint8_t *)f->held_hash.b;
			h->hash.len = LT_HASH_LEN;
			r->need[r->n_need++] = h;
		}
	}
	return LT_OK;
}

static void
say_refused(struct lt_status *st, int rc, const char *why)
{
	lt_status_set(st, lt_status_from_error(rc), rc == LT_E_FORK ? "FORK" : "PUSH", "%s", why);
	if (rc == LT_E_UNAVAILABLE || rc == LT_E_UNKNOWN || rc == LT_E_NOSPACE) {
		st->code =
		    rc == LT_E_NOSPACE ? LT_STATUS_RESOURCE_EXHAUSTED : LT_STATUS_UNAVAILABLE;
		st->retry_delay_ms = 2000;
	}
	lt_warn("push refused: %s", why);
}

/* On a thread of the hub, after the commit: the call ends here, so that what is acknowledged is durable. */
static void
pushed(void *ctx, const struct lt_intake_result *in)
{
	struct push *p = ctx;
	Ltpb__PushReply r = LTPB__PUSH_REPLY__INIT;
	struct lt_status st;
	struct lt_arena arena;
	size_t i;
	int rc = in->rc;

	lt_arena_init(&arena, (size_t)4 * 1024 * 1024);
	for (i = 0; i < in->nfeed; i++)
		if (in->feed[i].receipt.len != 0)
			lt_fresh_held(
			    p->fresh, &in->feed[i].feed, in->feed[i].held, &in->feed[i].held_hash);
	/* Something was taken before what was not: the receipt for it is worth more than the error, which comes again. */
	for (i = 0; i < in->nfeed && rc != LT_OK; i++)
		if (in->feed[i].receipt.len != 0 && rc != LT_E_FORK)
			rc = LT_OK;
	if (rc == LT_OK)
		rc = fill_reply(in, &arena, &r);
	if (rc == LT_OK) {
		p->done(p->ctx, &r, NULL);
	} else {
		say_refused(&st, rc, in->why);
		p->done(p->ctx, NULL, &st);
	}
	lt_arena_fini(&arena);
	free(p);
}

void
lt_answer_push(struct lt_asking *a, const Ltpb__PushRequest *req, lt_pushed_fn *done, void *ctx)
{
	struct lt_slice bytes[LT_PUSH_MAX];
	struct lt_status st;
	struct push *p;
	size_t i;

	if (!is_a_node(a, &st)) {
		done(ctx, NULL, &st);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL || req->n_change_set == 0 || req->n_change_set > LT_PUSH_MAX) {
		(void)no(&st, p == NULL ? LT_E_NOMEM : LT_E_INVALID, "PUSH",
		    p == NULL ? "" : "a push carries 1 to 64 change-sets");
		done(ctx, NULL, &st);
		free(p);
		return;
	}
	for (i = 0; i < req->n_change_set; i++)
		bytes[i] = lt_slice(req->change_set[i].data, req->change_set[i].len);
	p->fresh = a->s->fresh;
	p->done = done;
	p->ctx = ctx;
	lt_hub_intake(a->s->hub, &a->who.principal->id, bytes, req->n_change_set, pushed, p);
}

/* ---- Pull ---- */

bool
lt_answer_pull(struct lt_asking *a, const Ltpb__PullRequest *req, struct lt_pull_plan **plan,
    struct lt_status *st)
{
	int rc;

	if (!is_a_node(a, st))
		return false;
	if (req->n_have > PULL_HAVE_MAX)
		return no(st, LT_E_INVALID, "PULL", "too many positions");
	rc = lt_pull_plan_new(a->s->hub, &a->who.principal->id, &a->who.principal->unit, req, plan);
	return rc == LT_OK || no(st, rc, "PULL", "");
}
