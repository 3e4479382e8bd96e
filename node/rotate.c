#include "node/rotate.h"
#include "proto/base/failpoint.h"
#include "proto/base/log.h"
#include "proto/feed/trust.h"
#include "proto/store/key_span.h"

#include "lienthong/v1/sync.pb-c.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define CALL_MS 20000
#define ROTATE_ARENA ((size_t)4 * 1024 * 1024)

struct lt_rotator {
	struct lt_rotator_options o;
	pthread_mutex_t mx; /* held while it runs */
};

int
lt_rotator_new(const struct lt_rotator_options *o, struct lt_rotator **out)
{
	struct lt_rotator *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return LT_E_NOMEM;
	r->o = *o;
	pthread_mutex_init(&r->mx, NULL);
	*out = r;
	return LT_OK;
}

void
lt_rotator_free(struct lt_rotator *r)
{
	if (r == NULL)
		return;
	pthread_mutex_destroy(&r->mx);
	free(r);
}

/* ---- the hub ---- */

static int
dial_one(struct lt_rotator *r, const struct lt_identity *id, const char *url, struct lt_conn **out,
    struct lt_err *err)
{
	struct lt_dial_options o = { .pool = r->o.pool,
		.clock = lt_node_clock(r->o.node),
		.url = url,
		.line_sk = id->line_sk,
		.remote_line_key = id->hub_line_key,
		.federation = id->federation.b };

	return lt_dial(&o, out, err);
}

/* A line with the keys of id: the first address that answers. */
static int
dial(struct lt_rotator *r, const struct lt_identity *id, struct lt_conn **out, struct lt_err *err)
{
	const char *p = r->o.addresses;
	char url[LT_ADDRESS_LEN_MAX + 1];
	int rc = LT_E_UNAVAILABLE;
	size_t n;

	for (p += strspn(p, " "); *p != '\0' && rc != LT_OK; p += strspn(p, " ")) {
		n = strcspn(p, " ");
		if (n < sizeof(url)) {
			lt_slice_to_text(url, sizeof(url), lt_slice(p, n));
			rc = dial_one(r, id, url, out, err);
		}
		p += n;
	}
	return rc == LT_OK ? rc
			   : lt_err_set(err, LT_E_UNAVAILABLE,
				 "the hub cannot be reached with key %u: its address or the line",
				 id->key_no);
}

/* One question on a line of its own. *reply is freed with protobuf_c_message_free_unpacked(). */
static int
ask(struct lt_rotator *r, const struct lt_identity *id, const char *method,
    const ProtobufCMessage *req, ProtobufCMessage **reply, struct lt_err *err)
{
	struct lt_status st;
	struct lt_conn *c = NULL;
	int rc = dial(r, id, &c, err);

	if (rc != LT_OK)
		return rc;
	if (lt_conn_call_wait(c, &ltpb__sync__descriptor, method, req, CALL_MS, reply, &st) !=
	    LT_STATUS_OK)
		rc = lt_err_set(err,
		    st.code == LT_STATUS_UNAVAILABLE || st.code == LT_STATUS_DEADLINE_EXCEEDED ||
			    st.code == LT_STATUS_CANCELLED
			? LT_E_UNAVAILABLE
			: LT_E_REFUSED,
		    "%.300s", st.message);
	lt_conn_close(c);
	return rc;
}

/* ---- the steps ---- */

/* The number of the next keys: above every one that this machine has or had, as far as the registry here shows them. */
static uint32_t
next_number(struct lt_rotator *r, const struct lt_identity *now)
{
	struct lt_registry *reg = lt_node_registry(r->o.node);
	const struct lt_principal *p = lt_registry_find(reg, &now->principal);
	uint32_t last = now->key_no;
	size_t i;

	for (i = 0; p != NULL && i < p->nkey; i++)
		if (p->key[i].no > last)
			last = p->key[i].no;
	lt_registry_unref(reg);
	return last + 1;
}

/* Keys in the second slot: not those of before, nor some that were revoked meanwhile. */
static bool
is_next(struct lt_rotator *r, const struct lt_identity *now, const struct lt_identity *next)
{
	struct lt_registry *reg = lt_node_registry(r->o.node);
	const struct lt_principal *p = lt_registry_find(reg, &now->principal);
	const struct lt_principal_key *shown = p == NULL ? NULL : lt_principal_key(p, next->key_no);
	bool is = next->key_no > now->key_no && lt_id_eq(&next->principal, &now->principal) &&
		  (shown == NULL || shown->active);

	lt_registry_unref(reg);
	return is;
}

/* Keys that were drawn before, or new ones, in the second slot when this returns. */
static int
next_keys(struct lt_rotator *r, const struct lt_identity *now, struct lt_identity **out,
    struct lt_err *err)
{
	struct lt_identity *next = NULL;
	int rc = lt_identity_load_next(r->o.dir, &next, err);

	if (rc == LT_OK && is_next(r, now, next)) {
		*out = next;
		return LT_OK;
	}
	/* What cannot be read now (memory, the disk, who may read it) may be what the hub has confirmed: it is not written over. */
	if (rc != LT_OK && rc != LT_E_NOTFOUND && rc != LT_E_INVALID)
		return rc;
	/* Damaged, or a remainder: the hub knows nothing of it, or it is in the first slot. */
	lt_identity_free(next);
	next = lt_identity_new();
	if (next == NULL)
		return lt_err_set(err, LT_E_NOMEM, "no memory for keys");
	*next = *now;
	next->certificate = lt_slice(NULL, 0); /* a hub has one */
	next->key_no = next_number(r, now);
	lt_identity_keys(next);
	rc = lt_identity_write_next(next, r->o.dir, err);
	if (rc == LT_OK)
		*out = next;
	else
		lt_identity_free(next);
	return rc;
}

static int
confirm(struct lt_rotator *r, const struct lt_identity *now, const struct lt_identity *next,
    struct lt_err *err)
{
	struct lt_rotation rot = { now->principal, now->key_no, next->key_no, { 0 }, { 0 } };
	Ltpb__RotateRequest req = LTPB__ROTATE_REQUEST__INIT;
	uint8_t signature[LT_SIG_LEN], proof[LT_SIG_LEN];
	ProtobufCMessage *reply = NULL;
	int rc;

	memcpy(rot.sign_key, next->sign.pk, 32);
	memcpy(rot.line_key, next->line_pk, 32);
	lt_rotation_sign(&now->sign, &now->federation, &rot, signature);
	lt_rotation_sign(&next->sign, &now->federation, &rot, proof);
	req.key_no = next->key_no;
	req.sign_key.data = rot.sign_key;
	req.line_key.data = rot.line_key;
	req.sign_key.len = req.line_key.len = 32;
	req.signature.data = signature;
	req.proof.data = proof;
	req.signature.len = req.proof.len = LT_SIG_LEN;
	rc = ask(r, now, "Rotate", &req.base, &reply, err);
	if (reply != NULL)
		protobuf_c_message_free_unpacked(reply, NULL);
	return rc;
}

struct span {
	const struct lt_identity *id;
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	size_t n;
	Ltpb__FeedHead *head[LT_CUTS_MAX];
};

static int
note_span(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct span *s = ctx;
	struct lt_id author = lt_feed_author(feed);
	struct lt_hash hash;
	Ltpb__FeedHead *f;
	uint64_t seq;
	int rc;

	if (!lt_id_eq(&author, &s->id->principal) || s->n == LT_CUTS_MAX)
		return LT_OK;
	rc = lt_key_span(s->txn, unit, feed, head, s->id->key_no - 1, &seq, &hash);
	if (rc != LT_OK || seq == 0)
		return rc;
	f = lt_arena_alloc(&s->arena, sizeof(*f));
	if (f == NULL)
		return LT_E_NOMEM;
	ltpb__feed_head__init(f);
	f->unit = lt_arena_dup(&s->arena, unit->s, strlen(unit->s));
	f->feed.data = lt_arena_dup(&s->arena, feed->b, LT_FEED_LEN);
	f->hash.data = lt_arena_dup(&s->arena, hash.b, LT_HASH_LEN);
	f->feed.len = LT_FEED_LEN;
	f->hash.len = LT_HASH_LEN;
	f->seq = seq;
	if (f->unit == NULL || f->feed.data == NULL || f->hash.data == NULL)
		return LT_E_NOMEM;
	s->head[s->n++] = f;
	return LT_OK;
}

/* What was signed with the keys before these, for good: nothing is, since these are in use. */
static int
end_old(struct lt_rotator *r, uint32_t *ended, struct lt_err *err)
{
	struct span *s = calloc(1, sizeof(*s));
	Ltpb__EndRotationRequest req = LTPB__END_ROTATION_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	int rc;

	if (s == NULL)
		return LT_E_NOMEM;
	s->id = lt_node_identity(r->o.node);
	lt_arena_init(&s->arena, ROTATE_ARENA);
	rc = lt_kv_begin_read(lt_node_kv(r->o.node), &s->txn);
	if (rc == LT_OK) {
		rc = lt_feed_log_each(s->txn, NULL, note_span, s);
		lt_kv_abort(s->txn);
	}
	if (rc != LT_OK)
		(void)lt_err_set(err, rc, "the own feeds cannot be read: %s", lt_strerror(rc));
	req.head = s->head;
	req.n_head = s->n;
	if (rc == LT_OK)
		rc = ask(r, s->id, "EndRotation", &req.base, &reply, err);
	*ended = reply == NULL ? 0 : ((const Ltpb__EndRotationReply *)reply)->ended;
	if (reply != NULL)
		protobuf_c_message_free_unpacked(reply, NULL);
	lt_arena_fini(&s->arena);
	free(s);
	return rc;
}

/* ---- together ---- */

/* Does the registry here show older keys of this machine that are still good? */
static bool
older_keys(struct lt_rotator *r)
{
	const struct lt_identity *id = lt_node_identity(r->o.node);
	struct lt_registry *reg = lt_node_registry(r->o.node);
	const struct lt_principal *p = lt_registry_find(reg, &id->principal);
	bool older = false;
	size_t i;

	for (i = 0; p != NULL && i < p->nkey; i++)
		older |= p->key[i].active && p->key[i].no < id->key_no;
	lt_registry_unref(reg);
	return older;
}

static bool
next_waits(struct lt_rotator *r)
{
	struct lt_identity *next = NULL;
	bool waits = lt_identity_load_next(r->o.dir, &next, NULL) == LT_OK &&
		     is_next(r, lt_node_identity(r->o.node), next);

	lt_identity_free(next);
	return waits;
}

/* From the keys in use to the next ones. */
static int
change(struct lt_rotator *r, struct lt_err *err)
{
	const struct lt_identity *now = lt_node_identity(r->o.node);
	struct lt_identity *next = NULL;
	int rc = next_keys(r, now, &next, err);

	if (rc != LT_OK)
		return rc;
	LT_FAILPOINT("rotate.drawn");
	rc = confirm(r, now, next, err);
	LT_FAILPOINT("rotate.confirmed");
	if (rc == LT_OK)
		rc = lt_identity_follow(next, r->o.dir, err);
	if (rc != LT_OK) {
		lt_identity_free(next);
		return rc;
	}
	LT_FAILPOINT("rotate.in_place");
	rc = lt_node_follow(r->o.node, next);
	if (rc != LT_OK)
		return lt_err_set(err, rc,
		    "the new keys are in place, and used from the next start on: start the node "
		    "anew");
	LT_FAILPOINT("rotate.in_use");
	return LT_OK;
}

static int
run(struct lt_rotator *r, bool fresh, struct lt_err *err)
{
	static const uint8_t no_token[16];
	const struct lt_identity *id = lt_node_identity(r->o.node);
	bool end = older_keys(r), begun = next_waits(r);
	uint32_t ended = 0;
	int rc = LT_OK;

	if (memcmp(id->token, no_token, sizeof(no_token)) != 0)
		return fresh ? lt_err_set(err, LT_E_REFUSED,
				   "this machine is not enrolled yet: its keys are new as they are")
			     : LT_OK;
	/* One after the other: what was begun first is ended first. The registry here may not show yet that it was. */
	if (end)
		rc = end_old(r, &ended, err);
	if (rc == LT_OK && (begun || (fresh && ended == 0))) {
		rc = change(r, err);
		if (rc == LT_OK)
			rc = end_old(r, &ended, err);
	}
	LT_FAILPOINT("rotate.ended");
	if (rc == LT_OK && ended != 0)
		lt_info("this machine signs with key %u; those before it are over",
		    lt_node_identity(r->o.node)->key_no);
	return rc;
}

static int
run_alone(struct lt_rotator *r, bool fresh, struct lt_err *err)
{
	int rc;

	if (pthread_mutex_trylock(&r->mx) != 0)
		return lt_err_set(err, LT_E_BUSY, "the keys are being changed already");
	rc = run(r, fresh, err);
	pthread_mutex_unlock(&r->mx);
	return rc;
}

int
lt_rotator_run(struct lt_rotator *r, struct lt_err *err)
{
	return run_alone(r, true, err);
}

int
lt_rotator_resume(struct lt_rotator *r, struct lt_err *err)
{
	return run_alone(r, false, err);
}

bool
lt_rotator_begun(struct lt_rotator *r)
{
	return older_keys(r) || next_waits(r);
}
