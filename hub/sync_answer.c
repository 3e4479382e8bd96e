/* hub/sync_answer.c - Enrol and Sync as the hub answers them. */
#include "hub/recovery.h"
#include "hub/sync_answer.h"
#include "hub/checkpoint.h"
#include "hub/keys.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/base/wire.h"
#include "proto/service/repairing.h"
#include "proto/store/feed_log.h"

#include <stdlib.h>
#include <string.h>

#define TWIN_RETRY_MS 30000
#define PENDING_RETRY_MS 5000
#define PULL_HAVE_MAX 4096
#define HUB_HEADS_MAX 2048 /* feeds of hubs that a hello names (FORMAT.md 12.7) */
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

/* Who has feeds sent to it. */
static bool
pulls(const struct lt_asking *a, struct lt_status *st)
{
	if (lt_access_method(&a->who, LT_VERB_PULL))
		return true;
	lt_status_set(st, LT_STATUS_UNAUTHENTICATED, "NOT_A_PRINCIPAL", "%s",
	    "neither a node nor a mirror of this federation");
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
	struct lt_id id = { { 0 } };
	int rc;

	if (a->peer->kind != LT_PEER_LINE)
		return no(st, LT_E_DENIED, "LOCAL", "only machines join, over the line");
	if (req->principal.len == LT_ID_LEN)
		memcpy(id.b, req->principal.data, LT_ID_LEN);
	rc = lt_enrol_join(a->s->enrol, req, a->peer->line_key, a->peer->address, &r->state, &err);
	/* Once approved, the registry says what became of it. */
	known = rc == LT_OK ? lt_registry_find(a->reg, &id) : NULL;
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
	/* Those who hold the invitation and the key that they ask for may know; its reader has to do something about it. */
	if (rc == LT_E_TIMEOUT) {
		lt_status_set(st, LT_STATUS_PERMISSION_DENIED, "INVITATION_EXPIRED", "%s",
		    "this invitation has expired; ask the province for a new one");
		return false;
	}
	if (rc == LT_E_CANCELLED) {
		lt_status_set(st, LT_STATUS_PERMISSION_DENIED, "INVITATION_CANCELLED", "%s",
		    "the province has cancelled this invitation; call it, and ask for a new one");
		return false;
	}
	if (rc == LT_E_EXISTS) {
		lt_status_set(st, LT_STATUS_PERMISSION_DENIED, "KEY_TAKEN", "%s",
		    "the keys of this machine are another machine's already, from which its "
		    "directory "
		    "was copied; make new ones with 'ltctl node init' in a new directory, with a "
		    "new "
		    "invitation");
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

static int
cmp_heads(const void *x, const void *y)
{
	const Ltpb__FeedHead *a = *(Ltpb__FeedHead *const *)x, *b = *(Ltpb__FeedHead *const *)y;
	int c = memcmp(a->feed.data, b->feed.data, LT_FEED_LEN);

	return c != 0 ? c : strcmp(a->unit, b->unit);
}

/* No feed twice: a hello costs at most one entry read for each feed that there is. Heads that are sane. */
static int
all_heads_differ(struct lt_asking *a, size_t n, Ltpb__FeedHead *const *v, bool *differ)
{
	Ltpb__FeedHead **by_feed = lt_arena_alloc(&a->arena, (n + 1) * sizeof(Ltpb__FeedHead *));
	size_t i;

	*differ = true;
	if (by_feed == NULL)
		return LT_E_NOMEM;
	if (n != 0)
		memcpy(by_feed, v, n * sizeof(Ltpb__FeedHead *));
	qsort(by_feed, n, sizeof(Ltpb__FeedHead *), cmp_heads);
	for (i = 1; i < n; i++)
		*differ &= cmp_heads(&by_feed[i - 1], &by_feed[i]) != 0;
	return LT_OK;
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

/* What stands here under the number that a node names, where that reaches no further than ours. LT_E_CORRUPT: it cannot be told. */
static int
hash_named(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head, uint64_t seq, struct lt_hash *out)
{
	int rc;

	*out = head->hash;
	if (seq == head->seq) /* nearly always: nothing is read */
		return LT_OK;
	rc = lt_feed_log_hash(txn, unit, feed, seq, out);
	return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
}

/* A node names a head of ours that is not here. *want: up to where it has what we have, as far as that can be told. What is damaged here asks
 * for nothing and keeps nobody out: its repair begins behind this hello. */
static int
weigh_own(struct lt_asking *a, struct lt_kv_txn *txn, const Ltpb__FeedHead *there,
    const struct lt_unit *unit, const struct lt_feed_id *feed, struct lt_head *want, bool *wanted)
{
	struct lt_hash have;
	int rc = lt_feed_log_head(txn, unit, feed, want);

	*wanted = false;
	if (rc != LT_OK || there->seq == 0 || there->hash.len != LT_HASH_LEN)
		return rc == LT_E_CORRUPT ? LT_OK : rc;
	if (want->seq < there->seq) {
		*wanted = true;
	} else {
		rc = hash_named(txn, unit, feed, want, there->seq, &have);
		if (rc != LT_OK)
			return rc == LT_E_CORRUPT ? LT_OK : rc;
		*wanted = memcmp(have.b, there->hash.data, LT_HASH_LEN) != 0;
		want->seq = there->seq;
		want->hash = have;
	}
	if (*wanted && !lt_hub_was_restored(a->s->hub) &&
	    lt_recovery_claimed(a->s->hub, &a->who.principal->id))
		lt_error("ALARM: a node of unit %s claims to have change-set %llu of one of this "
			 "hub's own feeds, which is not here (here are %llu): was an old copy put "
			 "back without 'ltctl restore'? It is asked for it",
		    a->who.principal->unit.s, (unsigned long long)there->seq,
		    (unsigned long long)want->seq);
	return LT_OK;
}

/* Own feeds that reach further at the node than here, or have something else there. It is asked whether a restore is known of or not: what
 * it gives proves what it says (recovery.h). */
static int
tell_wanted(struct lt_asking *a, const Ltpb__HelloRequest *req, Ltpb__HelloReply *r)
{
	const struct lt_id *own = &lt_hub_identity(a->s->hub)->principal;
	struct lt_kv_txn *txn;
	size_t i;
	int rc = lt_kv_begin_read(lt_hub_log(a->s->hub), &txn);

	if (rc != LT_OK)
		return rc;
	r->want = lt_arena_alloc(&a->arena, (req->n_hub_head + 1) * sizeof(*r->want));
	if (r->want == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < req->n_hub_head; i++) {
		const Ltpb__FeedHead *there = req->hub_head[i];
		struct lt_feed_id feed;
		struct lt_unit unit;
		struct lt_head head;
		struct lt_id author;
		struct heads h = { .a = a };
		bool wanted;

		memcpy(feed.b, there->feed.data, LT_FEED_LEN);
		author = lt_feed_author(&feed);
		if (!lt_id_eq(&author, own) ||
		    lt_unit_set(&unit, lt_slice_str(there->unit)) != LT_OK)
			continue;
		h.author = author;
		rc = weigh_own(a, txn, there, &unit, &feed, &head, &wanted);
		if (rc != LT_OK || !wanted)
			continue;
		if (LT_SIM_BUG(HUB_ASKS_NOT) && !lt_hub_was_restored(a->s->hub))
			continue;
		rc = note_head(&h, &unit, &feed, &head);
		r->want[r->n_want++] = h.v[0];
	}
	lt_kv_abort(txn);
	return rc;
}

/* Is it the only process with this principal's keys that is at work, as far as can be told? */
static bool
is_alone(struct lt_asking *a, const Ltpb__HelloRequest *req, struct lt_status *st)
{
	const struct lt_principal *p = a->who.principal;
	enum lt_twin twin;
	int rc;

	if (a->s->twins == NULL)
		return true;
	rc = lt_twins_hello(a->s->twins, &p->id, req->instance.data, a->peer->conn_id, &twin);
	if (rc != LT_OK)
		return no(st, rc, "HELLO", "");
	if (twin == LT_TWIN_NONE)
		return true;
	if (twin == LT_TWIN_ASKED) {
		lt_status_set(st, LT_STATUS_UNAVAILABLE, "TWIN_ASKED", "%s",
		    "a session of this machine is still open at the province, which now asks it "
		    "whether it is there; this is tried again in a few seconds");
		st->retry_delay_ms = LT_TWINS_ASKED_MS;
		return false;
	}
	lt_error("ALARM: two machines of unit %s are at work with one key: the second one, from "
		 "%s, is refused; see 'ltctl nodes'",
	    p->unit.s, a->peer->address);
	lt_status_set(st, LT_STATUS_ABORTED, "TWIN", "%s",
	    "another machine is at work with the keys of this one: its directory was copied; stop "
	    "this one, or the other, and call the province; a second machine needs an invitation "
	    "of its own");
	st->retry_delay_ms = TWIN_RETRY_MS;
	return false;
}

/* No answer fails for want of these: the next one has them. */
static void
tell_checkpoints(struct lt_asking *a, bool hello, Ltpb__Checkpoint **newest, size_t *n,
    Ltpb__Checkpoint ***cosigned)
{
	int rc = lt_hub_checkpoint_tell(
	    a->s->hub, a->reg, &a->who.principal->id, hello, &a->arena, newest, n, cosigned);

	if (rc != LT_OK) {
		*newest = NULL;
		*n = 0;
		lt_warn("a node is told of no checkpoint: %s", lt_strerror(rc));
	}
}

bool
lt_answer_hello(
    struct lt_asking *a, const Ltpb__HelloRequest *req, Ltpb__HelloReply *r, struct lt_status *st)
{
	const struct lt_identity *id = lt_hub_identity(a->s->hub);
	bool differ = false;
	int rc;

	if (!is_a_node(a, st))
		return false;
	if (req->principal.len != LT_ID_LEN ||
	    memcmp(req->principal.data, a->who.principal->id.b, LT_ID_LEN) != 0 ||
	    req->instance.len != 16 || !all_heads_sane(req->n_head, req->head) ||
	    !all_heads_sane(req->n_hub_head, req->hub_head))
		return no(st, LT_E_INVALID, "HELLO", "the hello does not fit the line it came on");
	rc = all_heads_differ(a, req->n_hub_head, req->hub_head, &differ);
	if (rc != LT_OK)
		return no(st, rc, "HELLO", "");
	if (!differ || req->n_hub_head > HUB_HEADS_MAX)
		return no(st, LT_E_INVALID, "HELLO",
		    "the hello names a feed of the hub twice, or more than 2048 of them");
	if (!is_alone(a, req, st))
		return false;
	rc = tell_held(a, &r->n_held, &r->held);
	if (rc == LT_OK)
		rc = own_certificate(a, &r->certificate);
	if (rc == LT_OK)
		rc = tell_wanted(a, req, r);
	if (rc != LT_OK)
		return no(st, rc, "HELLO", "");
	if (r->n_want == 0)
		lt_hub_heard(a->s->hub, &a->who.principal->id);
	lt_hub_repair_greeted(a->s->repair, &a->who.principal->id);
	note_contact(a, req->n_head, req->head, req->clock_ms);
	r->hub.data = (uint8_t *)id->principal.b;
	r->hub.len = LT_ID_LEN;
	r->hub_time_ms = lt_wall_ms(lt_hub_clock(a->s->hub));
	r->province = (char *)id->unit.s;
	r->session = a->peer->conn_id;
	tell_checkpoints(a, true, &r->checkpoint, &r->n_cosigned, &r->cosigned);
	return true;
}

/* The same of what it cosigned. */
static void
take_cosigned(const struct lt_asking *a, const Ltpb__AnnounceRequest *req)
{
	struct lt_err err = { "" };
	int rc;

	if (req->cosigned == NULL)
		return;
	rc = lt_hub_checkpoint_cosigned(a->s->hub, a->who.principal, req->cosigned, &err);
	if (rc != LT_OK && rc != LT_E_EXISTS)
		lt_warn("a node of unit %s cosigned a checkpoint, but: %s",
		    a->who.principal->unit.s, err.text[0] != '\0' ? err.text : lt_strerror(rc));
}

/* What is wrong with it is the node's matter, but no reason not to hear the rest. */
static void
take_evidence(const struct lt_asking *a, const Ltpb__AnnounceRequest *req)
{
	struct lt_err err = { "" };
	int rc;

	if (req->branch.len == 0)
		return;
	rc = lt_hub_evidence(
	    a->s->hub, &a->who.principal->id, lt_slice(req->branch.data, req->branch.len), &err);
	if (rc != LT_OK)
		lt_warn("a node of unit %s tells of a second branch of its feed, but: %s",
		    a->who.principal->unit.s, err.text[0] != '\0' ? err.text : lt_strerror(rc));
}

/* What is damaged here and may be whole there. */
static int
tell_lost(struct lt_asking *a, Ltpb__AnnounceReply *r)
{
	struct lt_repair_want w[LT_REPAIR_CALL_MAX];
	size_t i, n;

	if (a->s->repair == NULL)
		return LT_OK;
	n = lt_hub_repair_ask(a->s->repair, a->reg, a->who.principal, w, LT_REPAIR_CALL_MAX);
	r->lost = lt_arena_alloc(&a->arena, (n + 1) * sizeof(*r->lost));
	if (r->lost == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < n; i++) {
		r->lost[i] = lt_giving_name_pack(&w[i], &a->arena);
		if (r->lost[i] == NULL)
			return LT_E_NOMEM;
		r->n_lost++;
	}
	return LT_OK;
}

bool
lt_answer_announce(struct lt_asking *a, const Ltpb__AnnounceRequest *req, Ltpb__AnnounceReply *r,
    struct lt_status *st)
{
	int64_t by;
	int rc;

	if (!is_a_node(a, st))
		return false;
	rc = all_heads_sane(req->n_head, req->head) ? tell_held(a, &r->n_held, &r->held)
						    : LT_E_INVALID;
	if (rc == LT_OK)
		rc = tell_lost(a, r);
	if (rc != LT_OK)
		return no(st, rc, "ANNOUNCE", "");
	take_evidence(a, req);
	lt_hub_end_waits(
	    a->s->hub, &a->who.principal->id, &a->who.principal->unit, req->n_head, req->head);
	note_contact(a, req->n_head, req->head, req->clock_ms);
	r->hub_time_ms = lt_wall_ms(lt_hub_clock(a->s->hub));
	r->clock_offset_ms = lt_ms_between(req->clock_ms, r->hub_time_ms);
	r->clock_outvoted = lt_fresh_outvoted(a->s->fresh, &by);
	take_cosigned(a, req);
	tell_checkpoints(a, false, &r->checkpoint, &r->n_cosigned, &r->cosigned);
	return true;
}

/* ---- new keys ---- */

/* The number of the key whose line this is. */
static uint32_t
key_of_line(const struct lt_asking *a)
{
	const struct lt_principal *p = a->who.principal;
	size_t i;

	for (i = 0; i < p->nkey; i++)
		if (memcmp(p->key[i].line_key, a->peer->line_key, 32) == 0)
			return p->key[i].no;
	return 0;
}

bool
lt_answer_rotate(
    struct lt_asking *a, const Ltpb__RotateRequest *req, Ltpb__RotateReply *r, struct lt_status *st)
{
	struct lt_rotation rot = { .new_no = req->key_no };
	struct lt_err err = { "" };
	const char *why = "KEYS_INVALID";
	bool again;
	int rc;

	if (!is_a_node(a, st))
		return false;
	if (req->sign_key.len != 32 || req->line_key.len != 32)
		return no(st, LT_E_INVALID, why, "a key has 32 bytes");
	if (lt_enrol_is_pending(a->s->enrol, req->line_key.data))
		return no(st, LT_E_REFUSED, "KEYS_STATE",
		    "a key that somebody asked to join with is no new one");
	rot.principal = a->who.principal->id;
	rot.old_no = key_of_line(a);
	memcpy(rot.sign_key, req->sign_key.data, 32);
	memcpy(rot.line_key, req->line_key.data, 32);
	rc = lt_hub_rotate(a->s->hub, &rot, lt_slice(req->signature.data, req->signature.len),
	    lt_slice(req->proof.data, req->proof.len), &again, &why, &err);
	r->again = again;
	return rc == LT_OK ? true : no(st, rc, why, err.text);
}

static int
read_cut(const Ltpb__FeedHead *f, struct lt_cut *cut)
{
	if (f->feed.len != LT_FEED_LEN || f->hash.len != LT_HASH_LEN || f->seq == 0 ||
	    lt_unit_set(&cut->unit, lt_slice_str(f->unit)) != LT_OK)
		return LT_E_INVALID;
	memcpy(cut->feed.b, f->feed.data, LT_FEED_LEN);
	memcpy(cut->hash.b, f->hash.data, LT_HASH_LEN);
	cut->seq = f->seq;
	return LT_OK;
}

bool
lt_answer_end_rotation(struct lt_asking *a, const Ltpb__EndRotationRequest *req,
    Ltpb__EndRotationReply *r, struct lt_status *st)
{
	struct lt_err err = { "" };
	const char *why = "KEYS_INVALID";
	struct lt_cut *cuts;
	size_t i;
	int rc = LT_OK;

	if (!is_a_node(a, st))
		return false;
	if (req->n_head > LT_CUTS_MAX)
		return no(st, LT_E_INVALID, why, "too many feeds");
	cuts = lt_arena_alloc(&a->arena, (req->n_head + 1) * sizeof(*cuts));
	if (cuts == NULL)
		return no(st, LT_E_NOMEM, "KEYS", "");
	for (i = 0; rc == LT_OK && i < req->n_head; i++)
		rc = read_cut(req->head[i], &cuts[i]);
	if (rc != LT_OK)
		return no(st, rc, why, "a head of a feed is malformed");
	rc = lt_hub_end_rotation(a->s->hub, &a->who.principal->id, key_of_line(a), cuts,
	    req->n_head, &r->ended, &why, &err);
	return rc == LT_OK ? true : no(st, rc, why, err.text);
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
	const char *reason = rc == LT_E_FORK      ? "FORK"
			     : rc == LT_E_REFUSED ? "TOO_MANY_FEEDS"
						  : "PUSH";

	lt_status_set(st, lt_status_from_error(rc), reason, "%s", why);
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
	const struct lt_took took = { .changes = in->changes, .vain = in->vain };
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
		p->done(p->ctx, &r, NULL, &took);
	} else {
		say_refused(&st, rc, in->why);
		p->done(p->ctx, NULL, &st, &took);
	}
	lt_arena_fini(&arena);
	free(p);
}

void
lt_answer_push(struct lt_asking *a, const Ltpb__PushRequest *req, lt_pushed_fn *done, void *ctx)
{
	static const struct lt_took nothing = { 0 };
	struct lt_slice bytes[LT_PUSH_MAX];
	struct lt_status st;
	struct push *p;
	size_t i;

	if (!is_a_node(a, &st)) {
		done(ctx, NULL, &st, &nothing);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL || req->n_change_set == 0 || req->n_change_set > LT_PUSH_MAX) {
		(void)no(&st, p == NULL ? LT_E_NOMEM : LT_E_INVALID, "PUSH",
		    p == NULL ? "" : "a push carries 1 to 64 change-sets");
		done(ctx, NULL, &st, &nothing);
		free(p);
		return;
	}
	for (i = 0; i < req->n_change_set; i++)
		bytes[i] = lt_slice(req->change_set[i].data, req->change_set[i].len);
	p->fresh = a->s->fresh;
	p->done = done;
	p->ctx = ctx;
	if (lt_hub_wrote(a->s->hub, bytes[0]))
		lt_hub_take_back(a->s->hub, bytes, req->n_change_set, pushed, p);
	else
		lt_hub_intake(
		    a->s->hub, &a->who.principal->id, bytes, req->n_change_set, pushed, p);
}

/* ---- Pull ---- */

bool
lt_answer_pull(struct lt_asking *a, const Ltpb__PullRequest *req, struct lt_pull_plan **plan,
    struct lt_status *st)
{
	int rc;

	if (!pulls(a, st))
		return false;
	if (req->n_have > PULL_HAVE_MAX)
		return no(st, LT_E_INVALID, "PULL", "too many positions");
	rc = lt_pull_plan_new(
	    a->s->hub, &a->who.principal->id, key_of_line(a), &a->who.principal->unit, req, plan);
	return rc == LT_OK || no(st, rc, "PULL", "");
}

/* ---- Fetch and Supply ---- */

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

/* What it may not have, and what is not here or damaged, is not in the answer, and nothing says which of these it was. */
static int
gather(struct lt_asking *a, const Ltpb__FetchRequest *req, struct lt_giving *g)
{
	const struct lt_unit *province = lt_hub_province(a->s->hub);
	struct lt_giving_name name;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < req->n_wanted && !g->full; i++) {
		struct opening o = { &a->who, province, &name.unit };

		rc = lt_giving_name_read(req->wanted[i], &name);
		if (rc == LT_OK && lt_access_pull(&a->who, province, &name.unit))
			rc = lt_giving_add(g, &name, may_open, &o);
	}
	return rc;
}

bool
lt_answer_fetch(
    struct lt_asking *a, const Ltpb__FetchRequest *req, Ltpb__FetchReply *r, struct lt_status *st)
{
	struct lt_giving *g;
	int rc;

	if (!is_a_node(a, st))
		return false;
	/* Revoked a moment ago, by a record that the registry here does not show yet. */
	if (lt_hub_barred(a->s->hub, &a->who.principal->id, key_of_line(a)))
		return no(st, LT_E_DENIED, "FETCH", "");
	if (req->n_wanted == 0 || req->n_wanted > LT_REPAIR_CALL_MAX)
		return no(st, LT_E_INVALID, "FETCH", "a fetch names 1 to 64 change-sets");
	g = lt_arena_alloc(&a->arena, sizeof(*g));
	if (g == NULL)
		return no(st, LT_E_NOMEM, "FETCH", "");
	g->arena = &a->arena;
	g->max_bytes = LT_REPAIR_BYTES_MAX;
	rc = lt_kv_begin_read(lt_hub_log(a->s->hub), &g->txn);
	if (rc == LT_OK) {
		rc = gather(a, req, g);
		lt_kv_abort(g->txn);
	}
	if (rc != LT_OK)
		return no(st, rc, "FETCH", "");
	r->change_set = g->set;
	r->n_change_set = g->n;
	r->more = g->full;
	return true;
}

bool
lt_answer_supply(
    struct lt_asking *a, const Ltpb__SupplyRequest *req, Ltpb__SupplyReply *r, struct lt_status *st)
{
	const struct lt_principal *node = a->who.principal;
	struct lt_err err = { "" };
	size_t i, bad = 0;

	if (!is_a_node(a, st))
		return false;
	if (lt_hub_barred(a->s->hub, &node->id, key_of_line(a)))
		return no(st, LT_E_DENIED, "SUPPLY", "");
	if (req->n_change_set == 0 || req->n_change_set > LT_REPAIR_CALL_MAX)
		return no(st, LT_E_INVALID, "SUPPLY", "a supply carries 1 to 64 change-sets");
	for (i = 0; i < req->n_change_set; i++) {
		const ProtobufCBinaryData *d = &req->change_set[i];
		struct lt_err why = { "" };
		int rc =
		    lt_hub_repair_take(a->s->repair, &node->id, lt_slice(d->data, d->len), &why);

		r->taken += rc == LT_OK;
		if (rc != LT_OK && rc != LT_E_NOTFOUND && bad++ == 0)
			err = why.text[0] != '\0' ? why : (struct lt_err){ "" };
	}
	if (r->taken != 0)
		lt_info("%u damaged change-sets were put back from a node of unit %s", r->taken,
		    node->unit.s);
	if (bad != 0)
		lt_warn("%zu change-sets that a node of unit %s returned are not those that stood "
			"here: %s",
		    bad, node->unit.s, err.text);
	return true;
}
