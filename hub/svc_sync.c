/* hub/svc_sync.c - Enrol and Sync: what nodes call. */
#include "hub/service_impl.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"

#include <stdlib.h>
#include <string.h>

#define PENDING_RETRY_MS 5000
#define HELD_MAX \
	1024 /* epochs of one author told in a reply: some 80 KB of the message's megabyte */

/* ---- Enrol ---- */

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

static void
join(Ltpb__Enrol_Service *service, const Ltpb__JoinRequest *req, Ltpb__JoinReply_Closure closure,
    void *data)
{
	Ltpb__JoinReply r = LTPB__JOIN_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_asking a;
	const struct lt_principal *known;
	const struct lt_peer *peer;
	char reason[LT_ENROL_REASON_MAX + 1];
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, enrol_rpc), data);
	peer = lt_call_peer(a.call);
	if (peer->kind != LT_PEER_LINE) {
		lt_asking_fail(&a, LT_E_DENIED, "LOCAL", "only machines join, over the line");
		lt_asking_end(&a);
		return;
	}
	rc = lt_enrol_join(a.s->enrol, req, peer->line_key, peer->address, &r.state, &err);
	/* Once approved, the registry says what became of it. */
	known = rc == LT_OK ? lt_registry_by_line_key(a.reg, peer->line_key) : NULL;
	if (known != NULL)
		r.state = known->state;
	if (rc == LT_OK && r.state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE)
		rc = own_certificate(&a, &r.hub);
	if (rc == LT_OK) {
		r.province = (char *)lt_hub_province(a.s->hub)->s;
		r.retry_after_ms = r.state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING
				       ? PENDING_RETRY_MS
				       : 0;
		if (r.state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED) {
			lt_enrol_reason(a.s->enrol, peer->line_key, reason);
			r.reason = reason;
		}
		closure(&r, data);
	} else if (rc == LT_E_CONFLICT) {
		lt_call_refuse(a.call, LT_STATUS_PERMISSION_DENIED, "INVITATION_SPENT",
		    "another machine has used this invitation already; tell the province at once, "
		    "and ask "
		    "for a new one",
		    "máy khác đã dùng thư mời này rồi; hãy báo ngay cho tỉnh và xin thư mời mới");
	} else {
		/* No word on why: whoever holds a real invitation asks the operator. */
		lt_call_failf(a.call,
		    rc == LT_E_UNAVAILABLE ? LT_STATUS_UNAVAILABLE : LT_STATUS_PERMISSION_DENIED,
		    "JOIN_NOT_ACCEPTED", "not accepted; ask the province for a new invitation");
	}
	lt_asking_end(&a);
}

const Ltpb__Enrol_Service lt_enrol_service = { .base = LTPB__ENROL__BASE_INIT, .join = join };

/* The registry may have moved between the check of the method and now: who is revoked meanwhile is nobody. Ends
 * the call when so. */
static bool
still_a_node(struct lt_asking *a)
{
	if (a->who.kind == LT_ASKER_PRINCIPAL && a->who.principal->role == LTPB__ROLE__ROLE_NODE)
		return true;
	lt_call_failf(
	    a->call, LT_STATUS_UNAUTHENTICATED, "NOT_A_PRINCIPAL", "not a node of this federation");
	lt_asking_end(a);
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
hello(Ltpb__Sync_Service *service, const Ltpb__HelloRequest *req, Ltpb__HelloReply_Closure closure,
    void *data)
{
	Ltpb__HelloReply r = LTPB__HELLO_REPLY__INIT;
	const struct lt_identity *id;
	struct lt_asking a;
	struct heads h;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (!still_a_node(&a))
		return;
	id = lt_hub_identity(a.s->hub);
	if (req->principal.len != LT_ID_LEN ||
	    memcmp(req->principal.data, a.who.principal->id.b, LT_ID_LEN) != 0 ||
	    req->instance.len != 16 || !all_heads_sane(req->n_head, req->head)) {
		lt_asking_fail(
		    &a, LT_E_INVALID, "HELLO", "the hello does not fit the line it came on");
		lt_asking_end(&a);
		return;
	}
	rc = held_heads(&a, &h);
	if (rc == LT_OK)
		rc = own_certificate(&a, &r.certificate);
	if (rc == LT_OK) {
		lt_fresh_connected(a.s->fresh, &a.who.principal->id, &a.who.principal->unit,
		    lt_call_peer(a.call)->conn_id);
		lt_fresh_announced(a.s->fresh, &a.who.principal->id, &a.who.principal->unit,
		    req->n_head, req->head, req->clock_ms);
		r.hub.data = (uint8_t *)id->principal.b;
		r.hub.len = LT_ID_LEN;
		r.hub_time_ms = lt_wall_ms(lt_hub_clock(a.s->hub));
		r.n_held = h.n;
		r.held = h.v;
		r.province = (char *)id->unit.s;
		r.session = lt_call_peer(a.call)->conn_id;
		closure(&r, data);
	} else {
		lt_asking_fail(&a, rc, "HELLO", "");
	}
	lt_asking_end(&a);
}

static void
announce(Ltpb__Sync_Service *service, const Ltpb__AnnounceRequest *req,
    Ltpb__AnnounceReply_Closure closure, void *data)
{
	Ltpb__AnnounceReply r = LTPB__ANNOUNCE_REPLY__INIT;
	struct lt_asking a;
	struct heads h;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (!still_a_node(&a))
		return;
	rc = all_heads_sane(req->n_head, req->head) ? held_heads(&a, &h) : LT_E_INVALID;
	if (rc == LT_OK) {
		lt_fresh_connected(a.s->fresh, &a.who.principal->id, &a.who.principal->unit,
		    lt_call_peer(a.call)->conn_id);
		lt_fresh_announced(a.s->fresh, &a.who.principal->id, &a.who.principal->unit,
		    req->n_head, req->head, req->clock_ms);
		r.hub_time_ms = lt_wall_ms(lt_hub_clock(a.s->hub));
		r.n_held = h.n;
		r.held = h.v;
		r.clock_offset_ms = req->clock_ms - r.hub_time_ms;
		closure(&r, data);
	} else {
		lt_asking_fail(&a, rc, "ANNOUNCE", "");
	}
	lt_asking_end(&a);
}

/* ---- Push ---- */

struct push {
	struct lt_service *s;
	struct lt_call *call;
	Ltpb__PushReply_Closure closure;
	void *data;
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

/* On the writer thread, after the commit: the call ends here, so that what is acknowledged is durable. */
static void
pushed(void *ctx, const struct lt_intake_result *in)
{
	struct push *p = ctx;
	Ltpb__PushReply r = LTPB__PUSH_REPLY__INIT;
	struct lt_arena arena;
	size_t i;
	int rc = in->rc;

	lt_arena_init(&arena, (size_t)4 * 1024 * 1024);
	for (i = 0; i < in->nfeed; i++)
		if (in->feed[i].receipt.len != 0)
			lt_fresh_held(p->s->fresh, &in->feed[i].feed, in->feed[i].held);
	/* Something was taken before what was not: the receipt for it is worth more than the error, which comes again. */
	for (i = 0; i < in->nfeed && rc != LT_OK; i++)
		if (in->feed[i].receipt.len != 0 && rc != LT_E_FORK)
			rc = LT_OK;
	if (rc == LT_OK)
		rc = fill_reply(in, &arena, &r);
	if (rc == LT_OK) {
		p->closure(&r, p->data);
	} else {
		struct lt_status st;

		lt_status_set(&st, lt_status_from_error(rc), rc == LT_E_FORK ? "FORK" : "PUSH",
		    "%s", in->why);
		if (rc == LT_E_UNAVAILABLE || rc == LT_E_UNKNOWN || rc == LT_E_NOSPACE) {
			st.code = rc == LT_E_NOSPACE ? LT_STATUS_RESOURCE_EXHAUSTED
						     : LT_STATUS_UNAVAILABLE;
			st.retry_delay_ms = 2000;
		}
		lt_warn("push refused: %s", in->why);
		lt_call_fail(p->call, &st);
	}
	lt_arena_fini(&arena);
	free(p);
}

static void
push(Ltpb__Sync_Service *service, const Ltpb__PushRequest *req, Ltpb__PushReply_Closure closure,
    void *data)
{
	struct lt_slice bytes[LT_PUSH_MAX];
	struct push *p = calloc(1, sizeof(*p));
	struct lt_asking a;
	struct lt_id pusher;
	size_t i;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (!still_a_node(&a)) {
		free(p);
		return;
	}
	if (p == NULL || req->n_change_set == 0 || req->n_change_set > LT_PUSH_MAX) {
		lt_asking_fail(&a, p == NULL ? LT_E_NOMEM : LT_E_INVALID, "PUSH",
		    "a push carries 1 to 64 change-sets");
		lt_asking_end(&a);
		free(p);
		return;
	}
	for (i = 0; i < req->n_change_set; i++)
		bytes[i] = lt_slice(req->change_set[i].data, req->change_set[i].len);
	pusher = a.who.principal->id;
	p->s = a.s;
	p->call = a.call;
	p->closure = closure;
	p->data = data;
	lt_asking_end(&a);
	lt_hub_intake(p->s->hub, &pusher, bytes, req->n_change_set, pushed, p);
}

static void
pull(Ltpb__Sync_Service *service, const Ltpb__PullRequest *req, Ltpb__PullItem_Closure closure,
    void *data)
{
	struct lt_asking a;
	struct lt_unit unit;
	struct lt_id node;

	(void)closure;
	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (!still_a_node(&a))
		return;
	unit = a.who.principal->unit;
	node = a.who.principal->id;
	if (req->n_have > 4096) {
		lt_asking_fail(&a, LT_E_INVALID, "PULL", "too many positions");
		lt_asking_end(&a);
		return;
	}
	lt_asking_end(&a);
	lt_pulls_start(
	    LT_SERVICE_OF(service, sync_rpc)->pulls, lt_call_of(data), &node, &unit, req);
}

const Ltpb__Sync_Service lt_sync_service = { .base = LTPB__SYNC__BASE_INIT,
	.hello = hello,
	.push = push,
	.pull = pull,
	.announce = announce };
