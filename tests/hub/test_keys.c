/* Revoked, retired, suspended: what the hub takes from then on, over a restart too, and what it says when that cannot be. */
#include "hub/hub_impl.h"
#include "hub/keys.h"
#include "hub/pull_plan.h"
#include "proto/store/kv_test.h"
#include "tests/hub/hub_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define REVOKED LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED
#define RETIRED LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_RETIRED
#define SUSPENDED LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_SUSPENDED
#define ACTIVE LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE

struct fix {
	struct hubfx h;
	struct fed_peer node;
	struct fed_feed feed;
	unsigned dossier;
};

static void
setup(struct fix *x)
{
	hubfx_open(&x->h);
	hubfx_node(&x->h, &x->node, HUB_UNIT);
	fed_feed_init(&x->feed, &x->node, HUB_UNIT, LT_LANE_NORMAL, 1);
	x->dossier = 0;
}

static void
seal(struct fix *x, struct fed_feed *w, struct lt_buf *out)
{
	char key[32];
	struct lt_draft d;

	(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", ++x->dossier);
	fed_draft_dossier(&x->h.arena, &d, lt_arena_dup(&x->h.arena, key, strlen(key)));
	lt_buf_init(out, 0);
	fed_seal(&x->h.f, w, &d, 1, out);
}

static int
push(struct fix *x, const struct lt_buf *set, struct answer *a)
{
	hubfx_intake(&x->h, &x->node.id.principal, set, 1, a);
	return a->rc;
}

static void
push_new(struct fix *x, unsigned n)
{
	struct answer a;
	struct lt_buf b;

	while (n-- > 0) {
		seal(x, &x->feed, &b);
		assert_int_equal(push(x, &b, &a), LT_OK);
		lt_buf_fini(&b);
	}
}

/* With words or without. */
static int
revoke_says(struct fix *x, uint32_t key_no, const char *reason, const char **why)
{
	struct lt_revoking r = { x->node.id.principal, key_no, reason, NULL };
	struct lt_err err = { "" };

	return lt_hub_revoke(x->h.f.hub, &r, why, &err);
}

static int
revoke(struct fix *x, uint32_t key_no, const char *reason, const char **why)
{
	struct lt_revoking r = { x->node.id.principal, key_no, reason, NULL };
	struct lt_err err = { "" };
	int rc = lt_hub_revoke(x->h.f.hub, &r, why, &err);

	assert_int_equal(rc == LT_OK, err.text[0] == '\0');
	return rc;
}

static int
retire(struct fix *x, const char **why)
{
	struct lt_err err = { "" };

	return lt_hub_retire(x->h.f.hub, &x->node.id.principal, NULL, why, &err);
}

static int
suspend(struct fix *x, bool suspended, const char **why)
{
	struct lt_err err = { "" };

	return lt_hub_suspend(x->h.f.hub, &x->node.id.principal, suspended, why, &err);
}

static Ltpb__PrincipalState
state_of(struct fix *x, size_t *nrevocation)
{
	struct lt_registry *reg = lt_hub_registry(x->h.f.hub);
	const struct lt_principal *p = lt_registry_find(reg, &x->node.id.principal);
	Ltpb__PrincipalState state = p->state;

	if (nrevocation != NULL)
		*nrevocation = p->nrevocation;
	lt_registry_unref(reg);
	return state;
}

/* What was there counts; the next one does not get in, nor another branch, nor another epoch. */
static void
test_revoke(void **state)
{
	struct fed_feed fork, epoch;
	struct lt_registry *reg;
	const struct lt_principal *p;
	struct lt_buf second, third, forged, other;
	const char *why = "";
	struct answer a;
	struct fix x;
	size_t n;

	(void)state;
	setup(&x);
	push_new(&x, 1);
	fork = x.feed;
	seal(&x, &x.feed, &second);
	assert_int_equal(push(&x, &second, &a), LT_OK);
	seal(&x, &x.feed, &third);
	seal(&x, &fork, &forged);
	fed_feed_init(&epoch, &x.node, HUB_UNIT, LT_LANE_NORMAL, 2);
	seal(&x, &epoch, &other);
	assert_int_equal(revoke(&x, 0, "stolen", &why), LT_OK);
	assert_int_equal(state_of(&x, &n), REVOKED);
	assert_int_equal(n, 1);
	reg = lt_hub_registry(x.h.f.hub);
	p = lt_registry_find(reg, &x.node.id.principal);
	assert_int_equal(p->revocation[0].ncut, 1);
	assert_int_equal(p->revocation[0].cut[0].seq, 2);
	assert_memory_equal(p->revocation[0].cut[0].feed.b, x.feed.id.b, LT_FEED_LEN);
	assert_memory_equal(p->revocation[0].cut[0].hash.b, a.feed[0].held_hash.b, LT_HASH_LEN);
	assert_null(lt_registry_by_line_key(reg, x.node.id.line_pk));
	lt_registry_unref(reg);
	assert_int_equal(push(&x, &third, &a), LT_E_REVOKED);
	assert_false(a.has_receipt[0]);
	assert_int_equal(push(&x, &forged, &a), LT_E_REVOKED);
	assert_int_equal(push(&x, &other, &a), LT_E_REVOKED);
	assert_int_equal(push(&x, &second, &a), LT_E_REVOKED); /* nor does it push anything */
	/* Again, and over a restart: one record, no more. */
	assert_int_equal(revoke(&x, 0, "lost", &why), LT_OK);
	hubfx_restart(&x.h);
	assert_int_equal(state_of(&x, &n), REVOKED);
	assert_int_equal(n, 1);
	assert_int_equal(push(&x, &third, &a), LT_E_REVOKED);
	assert_int_equal(suspend(&x, false, &why), LT_E_REFUSED);
	assert_string_equal(why, "KEYS_STATE");
	assert_int_equal(retire(&x, &why), LT_E_REFUSED);
	assert_int_equal(state_of(&x, NULL), REVOKED);
	/* The clock says 1970 again: that changes nothing. */
	x.h.now_ms = 0;
	assert_int_equal(push(&x, &third, &a), LT_E_REVOKED);
	lt_buf_fini(&second);
	lt_buf_fini(&third);
	lt_buf_fini(&forged);
	lt_buf_fini(&other);
	hubfx_close(&x.h);
}

/* One key of it: the principal stays, what the key signed stays and is receipted once more where that got lost; the key is over. */
static void
test_one_key(void **state)
{
	const char *why = "";
	struct lt_buf had, next;
	struct answer a;
	struct fix x;
	size_t n;

	(void)state;
	setup(&x);
	seal(&x, &x.feed, &had);
	assert_int_equal(push(&x, &had, &a), LT_OK);
	seal(&x, &x.feed, &next);
	assert_int_equal(revoke(&x, 2, "lost", &why), LT_E_NOTFOUND);
	assert_string_equal(why, "KEYS_UNKNOWN");
	assert_int_equal(revoke(&x, 1, "lost", &why), LT_OK);
	assert_int_equal(state_of(&x, &n), ACTIVE);
	assert_int_equal(n, 1);
	assert_int_equal(push(&x, &next, &a), LT_E_REVOKED);
	assert_false(a.has_receipt[0]);
	assert_int_equal(push(&x, &had, &a), LT_OK);
	assert_true(a.has_receipt[0]);
	assert_int_equal(a.feed[0].held, 1);
	/* All of them is more than one of them. */
	assert_int_equal(revoke(&x, 0, "lost", &why), LT_OK);
	assert_int_equal(state_of(&x, &n), REVOKED);
	assert_int_equal(n, 2);
	lt_buf_fini(&had);
	lt_buf_fini(&next);
	hubfx_close(&x.h);
}

static void
test_refusals(void **state)
{
	struct lt_revoking r = { .reason = "stolen" };
	struct lt_err err = { "" };
	const char *why = "";
	struct fed_peer asks;
	Ltpb__PrincipalState st;
	struct fix x;

	(void)state;
	setup(&x);
	assert_int_equal(revoke(&x, 0, "", &why), LT_E_INVALID);
	assert_string_equal(why, "KEYS_INVALID");
	assert_int_equal(revoke(&x, 0, "retired", &why), LT_E_INVALID);
	assert_int_equal(revoke(&x, 0, "Nguyen Van A took it", &why), LT_E_INVALID);
	r.principal = x.h.f.hub_id->principal;
	assert_int_equal(lt_hub_revoke(x.h.f.hub, &r, &why, &err), LT_E_INVALID);
	assert_string_equal(why, "KEYS_HUB");
	assert_int_equal(lt_hub_suspend(x.h.f.hub, &r.principal, true, &why, &err), LT_E_INVALID);
	assert_int_equal(lt_hub_retire(x.h.f.hub, &r.principal, NULL, &why, &err), LT_E_INVALID);
	r.principal.b[3] ^= 1;
	assert_int_equal(lt_hub_revoke(x.h.f.hub, &r, &why, &err), LT_E_NOTFOUND);
	assert_string_equal(why, "KEYS_UNKNOWN");
	/* Who only asked is rejected. */
	fed_invite(&x.h.f, &asks, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	assert_int_equal(hubfx_join(&x.h, &asks, &st), LT_OK);
	r.principal = asks.id.principal;
	assert_int_equal(lt_hub_revoke(x.h.f.hub, &r, &why, &err), LT_E_NOTFOUND);
	assert_int_equal(state_of(&x, NULL), ACTIVE);
	hubfx_close(&x.h);
}

/* Suspended it stays out, and what it had not sent comes afterwards. */
static void
test_suspend(void **state)
{
	const char *why = "";
	struct lt_buf next;
	struct answer a;
	struct fix x;
	size_t n;

	(void)state;
	setup(&x);
	push_new(&x, 1);
	seal(&x, &x.feed, &next);
	assert_int_equal(suspend(&x, false, &why), LT_OK); /* as it is */
	assert_int_equal(suspend(&x, true, &why), LT_OK);
	assert_int_equal(suspend(&x, true, &why), LT_OK);
	assert_int_equal(state_of(&x, &n), SUSPENDED);
	assert_int_equal(n, 0);
	assert_int_equal(push(&x, &next, &a), LT_E_DENIED);
	hubfx_restart(&x.h);
	assert_int_equal(push(&x, &next, &a), LT_E_DENIED);
	assert_int_equal(suspend(&x, false, &why), LT_OK);
	assert_int_equal(state_of(&x, NULL), ACTIVE);
	assert_int_equal(push(&x, &next, &a), LT_OK);
	assert_int_equal(a.feed[0].held, 2);
	/* Out for ever, from either state. */
	assert_int_equal(suspend(&x, true, &why), LT_OK);
	assert_int_equal(retire(&x, &why), LT_OK);
	assert_int_equal(state_of(&x, NULL), RETIRED);
	assert_int_equal(retire(&x, &why), LT_OK);
	assert_int_equal(suspend(&x, false, &why), LT_E_REFUSED);
	lt_buf_fini(&next);
	seal(&x, &x.feed, &next);
	assert_int_equal(push(&x, &next, &a), LT_E_REVOKED);
	/* What was retired may still turn out to be stolen. */
	assert_int_equal(revoke(&x, 0, "stolen", &why), LT_OK);
	assert_int_equal(state_of(&x, &n), REVOKED);
	assert_int_equal(n, 2);
	lt_buf_fini(&next);
	hubfx_close(&x.h);
}

/* The same bytes with another signature. */
static void
spoil_signature(const struct lt_buf *set, struct lt_buf *out)
{
	struct lt_arena arena;
	struct lt_changeset cs;
	struct lt_err err = { "" };

	lt_arena_init(&arena, (size_t)1 << 20);
	lt_buf_init(out, 0);
	lt_buf_put(out, set->data, set->len);
	assert_int_equal(lt_changeset_parse(lt_buf_slice(set), &arena, &cs, &err), LT_OK);
	assert_true(cs.signature.len == LT_SIG_LEN);
	out->data[cs.signature.data - set->data + 5] ^= 1;
	lt_arena_fini(&arena);
}

static void
assert_head(struct fix *x, uint64_t seq)
{
	struct lt_kv_txn *txn;
	struct lt_head head;

	assert_int_equal(lt_kv_begin_read(x->h.f.hub->log, &txn), LT_OK);
	assert_int_equal(lt_feed_log_head(txn, &x->feed.unit, &x->feed.id, &head), LT_OK);
	assert_int_equal(head.seq, seq);
	lt_kv_abort(txn);
}

/* What is held is told by hash and signature, and answered again; with another signature it is not what is held. What is new is verified
 * behind it in the same push as well, and so is another one in the place of what is held: no evidence is made of what nobody signed. */
static void
test_known_is_told_by_its_bytes(void **state)
{
	struct lt_buf set[2], bad, other, two[2];
	struct fed_feed fork;
	struct answer a;
	struct fix x;

	(void)state;
	setup(&x);
	fork = x.feed;
	seal(&x, &x.feed, &set[0]);
	assert_int_equal(push(&x, &set[0], &a), LT_OK);
	assert_true(a.has_receipt[0]);
	assert_int_equal(push(&x, &set[0], &a), LT_OK);
	assert_true(a.has_receipt[0]);
	assert_int_equal(a.feed[0].held, 1);
	spoil_signature(&set[0], &bad);
	assert_int_equal(push(&x, &bad, &a), LT_E_BADSIG);
	assert_false(a.has_receipt[0]);
	lt_buf_fini(&bad);

	seal(&x, &x.feed, &set[1]);
	spoil_signature(&set[1], &bad);
	assert_int_equal(push(&x, &bad, &a), LT_E_BADSIG);
	assert_head(&x, 1);
	two[0] = set[0];
	two[1] = bad;
	hubfx_intake(&x.h, &x.node.id.principal, two, 2, &a);
	assert_int_equal(a.rc, LT_E_BADSIG);
	assert_int_equal(a.feed[0].held, 1);
	assert_true(a.has_receipt[0]);
	assert_head(&x, 1);
	lt_buf_fini(&bad);

	seal(&x, &fork, &other);
	spoil_signature(&other, &bad);
	assert_int_equal(push(&x, &bad, &a), LT_E_BADSIG);
	assert_int_equal(push(&x, &set[1], &a), LT_OK);
	assert_head(&x, 2);
	assert_int_equal(push(&x, &other, &a), LT_E_FORK);
	lt_buf_fini(&bad);
	lt_buf_fini(&other);
	lt_buf_fini(&set[0]);
	lt_buf_fini(&set[1]);
	hubfx_close(&x.h);
}

/* A principal that comes in with the id or line of one that is gone. */
static void
test_comes_again(void **state)
{
	const char *why = "";
	struct fed_peer again;
	Ltpb__PrincipalState st;
	struct fix x;

	(void)state;
	setup(&x);
	assert_int_equal(revoke(&x, 0, "lost", &why), LT_OK);
	fed_invite(&x.h.f, &again, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	again.id.principal = x.node.id.principal;
	assert_int_equal(hubfx_join(&x.h, &again, &st), LT_E_EXISTS);
	fed_invite(&x.h.f, &again, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	memcpy(again.id.line_sk, x.node.id.line_sk, 32);
	memcpy(again.id.line_pk, x.node.id.line_pk, 32);
	assert_int_equal(hubfx_join(&x.h, &again, &st), LT_E_EXISTS);
	fed_invite(&x.h.f, &again, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	assert_int_equal(hubfx_join(&x.h, &again, &st), LT_OK);
	assert_int_equal(st, ACTIVE);
	hubfx_close(&x.h);
}

/* ---- while it pushes ---- */

struct pushing {
	struct fix *x;
	_Atomic bool began;
	uint64_t taken; /* with a receipt */
	int last;
};

static void *
push_on(void *arg)
{
	struct pushing *p = arg;
	struct answer a;
	struct lt_buf b;
	int i;

	for (i = 0; i < 400; i++) {
		seal(p->x, &p->x->feed, &b);
		p->last = push(p->x, &b, &a);
		lt_buf_fini(&b);
		p->began = true;
		if (p->last != LT_OK)
			break;
		p->taken++;
	}
	return NULL;
}

/* A thief begins one feed after the other: there is an end to that before the true one's place in the cut-off is gone. */
static void
test_many_feeds(void **state)
{
	enum { AT_ONCE = 7 };
	struct fed_feed epoch;
	struct lt_registry *reg;
	const struct lt_principal *p;
	struct lt_buf set[AT_ONCE], b;
	const char *why = "";
	struct answer a;
	struct fix x;
	struct lt_status st;
	size_t i, k, n;
	bool there = false;

	(void)state;
	setup(&x);
	push_new(&x, 1); /* in epoch 1 */
	for (i = 1; i < LT_CUTS_MAX; i += n) {
		n = LT_CUTS_MAX - i < AT_ONCE ? LT_CUTS_MAX - i : AT_ONCE;
		for (k = 0; k < n; k++) {
			fed_feed_init(&epoch, &x.node, HUB_UNIT, LT_LANE_NORMAL, i + k + 1);
			seal(&x, &epoch, &set[k]);
		}
		hubfx_intake(&x.h, &x.node.id.principal, set, n, &a);
		assert_int_equal(a.rc, LT_OK);
		for (k = 0; k < n; k++)
			lt_buf_fini(&set[k]);
	}
	fed_feed_init(&epoch, &x.node, HUB_UNIT, LT_LANE_NORMAL, LT_CUTS_MAX + 1);
	seal(&x, &epoch, &b);
	assert_int_equal(push(&x, &b, &a), LT_E_REFUSED);
	assert_int_equal(fed_dial(&x.h.f, &x.node), LT_OK);
	assert_int_equal(fed_push(&x.node, &b, 1, NULL, &st), LT_STATUS_FAILED_PRECONDITION);
	assert_string_equal(st.reason, "TOO_MANY_FEEDS");
	assert_non_null(strstr(st.message_vi, "quá nhiều luồng"));
	assert_non_null(strstr(st.message, "keys replace"));
	fed_hang_up(&x.node);
	lt_buf_fini(&b);
	push_new(&x, 1); /* what has begun goes on */
	assert_int_equal(revoke(&x, 0, "stolen", &why), LT_OK);
	reg = lt_hub_registry(x.h.f.hub);
	p = lt_registry_find(reg, &x.node.id.principal);
	assert_int_equal(p->revocation[0].ncut, LT_CUTS_MAX);
	for (i = 0; i < LT_CUTS_MAX; i++)
		if (lt_feed_id_cmp(&p->revocation[0].cut[i].feed, &x.feed.id) == 0)
			there = p->revocation[0].cut[i].seq == 2;
	assert_true(there);
	lt_registry_unref(reg);
	hubfx_close(&x.h);
}

/* What was receipted until then is within the cut-off, to the last one, and nothing else: neither an acknowledged change-set beyond
 * it nor one taken afterwards. */
static void
test_while_pushing(void **state)
{
	struct lt_registry *reg;
	const struct lt_principal *p;
	struct pushing push = { 0 };
	const char *why = "";
	struct lt_kv_txn *txn;
	struct lt_head head;
	struct lt_unit unit;
	pthread_t thread;
	struct fix x;
	int round;

	(void)state;
	for (round = 0; round < 8; round++) {
		setup(&x);
		push = (struct pushing){ .x = &x };
		assert_int_equal(pthread_create(&thread, NULL, push_on, &push), 0);
		while (!push.began)
			sched_yield();
		assert_int_equal(revoke(&x, 0, "stolen", &why), LT_OK);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(lt_unit_set(&unit, lt_slice_str(HUB_UNIT)), LT_OK);
		assert_int_equal(lt_kv_begin_read(lt_hub_log(x.h.f.hub), &txn), LT_OK);
		assert_int_equal(lt_feed_log_head(txn, &unit, &x.feed.id, &head), LT_OK);
		lt_kv_abort(txn);
		reg = lt_hub_registry(x.h.f.hub);
		p = lt_registry_find(reg, &x.node.id.principal);
		assert_int_equal(p->revocation[0].ncut, 1);
		assert_true(p->revocation[0].cut[0].seq == head.seq);
		assert_memory_equal(p->revocation[0].cut[0].hash.b, head.hash.b, LT_HASH_LEN);
		assert_true(push.taken <= head.seq);
		if (push.taken < 400)
			assert_int_equal(push.last, LT_E_REVOKED);
		lt_registry_unref(reg);
		hubfx_close(&x.h);
	}
}

/* Killed between the record and the tables: whoever it names is out all the same. The registry that the hub then has in memory is
 * that of before. */
static void
test_bars_of_the_log(void **state)
{
	struct fed_peer other;
	const char *why = "";
	struct lt_hub *h;
	struct fix x;

	(void)state;
	setup(&x);
	hubfx_node(&x.h, &other, HUB_UNIT);
	push_new(&x, 1);
	assert_int_equal(revoke(&x, 0, "stolen", &why), LT_OK);
	hubfx_settle(&x.h);
	h = x.h.f.hub;
	assert_false(lt_hub_barred(h, &x.node.id.principal, 1)); /* the registry says it */
	/* As if the tables ended before the record. */
	pthread_mutex_lock(&h->mx);
	h->projected = 1;
	pthread_mutex_unlock(&h->mx);
	assert_int_equal(lt_bars_open(h), LT_OK);
	assert_true(lt_hub_barred(h, &x.node.id.principal, 1));
	assert_true(lt_hub_barred(h, &x.node.id.principal, 0));
	assert_false(lt_hub_barred(h, &other.id.principal, 1));
	/* And as the tables come by. */
	pthread_mutex_lock(&h->mx);
	h->projected = h->log_position;
	pthread_mutex_unlock(&h->mx);
	assert_false(lt_hub_barred(h, &x.node.id.principal, 1));
	hubfx_close(&x.h);
}

/* Nothing can be written while the tables do not come on: it is shut out at once all the same, and revoked for good when that is asked
 * again. */
static void
test_tables_behind(void **state)
{
	const char *why = "";
	struct lt_buf next;
	struct answer a;
	struct lt_hub *h;
	struct fix x;
	size_t n;

	(void)state;
	setup(&x);
	push_new(&x, 1);
	hubfx_settle(&x.h);
	h = x.h.f.hub;
	seal(&x, &x.feed, &next);
	pthread_mutex_lock(&h->mx);
	h->projector_rc = LT_E_IO; /* as where the projector stopped */
	pthread_mutex_unlock(&h->mx);
	pthread_mutex_lock(&h->author_mx);
	h->must_see += 1000;
	pthread_mutex_unlock(&h->author_mx);
	assert_int_equal(revoke(&x, 0, "stolen", &why), LT_E_UNAVAILABLE);
	assert_int_equal(state_of(&x, NULL), ACTIVE);
	assert_true(lt_hub_barred(h, &x.node.id.principal, 1));
	assert_int_equal(push(&x, &next, &a), LT_E_REVOKED);
	pthread_mutex_lock(&h->author_mx);
	h->must_see -= 1000;
	pthread_mutex_unlock(&h->author_mx);
	pthread_mutex_lock(&h->mx);
	h->projector_rc = LT_OK;
	pthread_mutex_unlock(&h->mx);
	assert_int_equal(revoke(&x, 0, "stolen", &why), LT_OK);
	assert_int_equal(state_of(&x, &n), REVOKED);
	assert_int_equal(n, 1);
	/* What the first call left up came down with the second one's record. */
	hubfx_settle(&x.h);
	assert_false(lt_hub_barred(h, &x.node.id.principal, 1));
	lt_buf_fini(&next);
	hubfx_close(&x.h);
}

static void
flip(struct lt_hub *h, const struct lt_id *principal)
{
	char hex[2 * LT_ID_LEN + 1];
	struct lt_buf key = { 0 };

	lt_hex(hex, principal->b, LT_ID_LEN);
	lt_key_record(&key, "_registry", "_", hex);
	assert_int_equal(
	    lt_kv_test_flip(lt_hub_derived(h), LT_T_SHOWN, lt_buf_slice(&key), 9, NULL), LT_OK);
	lt_buf_fini(&key);
}

static bool
is_revoked(void *ctx)
{
	return state_of(ctx, NULL) == REVOKED;
}

/* The tables have the revocation, and the registry cannot be read from them (another's record there is damaged): it is not said to be in
 * force, but it is. */
static void
test_registry_unread(void **state)
{
	const char *why = "";
	struct fed_peer other;
	struct lt_buf next;
	struct answer a;
	struct lt_hub *h;
	struct fix x;
	size_t n;

	(void)state;
	setup(&x);
	hubfx_node(&x.h, &other, HUB_UNIT);
	push_new(&x, 1);
	hubfx_settle(&x.h);
	h = x.h.f.hub;
	seal(&x, &x.feed, &next);
	flip(h, &other.id.principal);
	assert_int_equal(revoke_says(&x, 0, "stolen", &why), LT_E_CORRUPT);
	assert_int_equal(state_of(&x, NULL), ACTIVE);
	assert_true(lt_hub_barred(h, &x.node.id.principal, 1));
	assert_int_equal(push(&x, &next, &a), LT_E_REVOKED);
	flip(h, &other.id.principal);
	lt_hub_rebuild(h);
	fed_wait(is_revoked, &x, HUB_WAIT_MS, "the registry shows it");
	hubfx_settle(&x.h);
	assert_int_equal(state_of(&x, &n), REVOKED);
	assert_int_equal(n, 1);
	assert_false(lt_hub_barred(h, &x.node.id.principal, 1));
	assert_int_equal(push(&x, &next, &a), LT_E_REVOKED);
	lt_buf_fini(&next);
	hubfx_close(&x.h);
}

static int
count_sets(void *ctx, const ProtobufCMessage *item)
{
	unsigned *n = ctx;

	*n += ((const Ltpb__PullItem *)item)->item_case == LTPB__PULL_ITEM__ITEM_CHANGE_SET;
	return LT_OK;
}

/* A stream that is open when the bar goes up ends with it: whose key 1, whose every key; the line of another key goes on. */
static void
test_open_stream(void **state)
{
	Ltpb__PullRequest req = LTPB__PULL_REQUEST__INIT;
	struct lt_pull_plan *one, *two;
	struct fed_peer other;
	struct lt_unit unit;
	struct lt_hub *h;
	unsigned n = 0;
	struct fix x;

	(void)state;
	setup(&x);
	hubfx_node(&x.h, &other, HUB_UNIT);
	h = x.h.f.hub;
	req.follow = true;
	assert_int_equal(lt_unit_set(&unit, lt_slice_str(HUB_UNIT)), LT_OK);
	assert_int_equal(lt_pull_plan_new(h, &other.id.principal, 1, &unit, &req, &one), LT_OK);
	assert_int_equal(lt_pull_plan_new(h, &other.id.principal, 2, &unit, &req, &two), LT_OK);
	assert_int_equal(lt_pull_plan_send(one, count_sets, &n), LT_OK);
	assert_true(n > 0);
	push_new(&x, 1);
	n = 0;
	assert_int_equal(lt_bar_put(h, LT_BAR_OUT, &other.id.principal, 1, LT_BAR_WRITING), LT_OK);
	assert_int_equal(lt_pull_plan_send(one, count_sets, &n), LT_E_DENIED);
	assert_int_equal(n, 0);
	assert_int_equal(lt_pull_plan_send(two, count_sets, &n), LT_OK);
	assert_true(n > 0);
	n = 0;
	push_new(&x, 1);
	assert_int_equal(lt_bar_put(h, LT_BAR_OUT, &other.id.principal, 0, LT_BAR_WRITING), LT_OK);
	assert_int_equal(lt_pull_plan_send(two, count_sets, &n), LT_E_DENIED);
	assert_int_equal(n, 0);
	lt_pull_plan_free(one);
	lt_pull_plan_free(two);
	hubfx_close(&x.h);
}

/* ---- new keys ---- */

struct next {
	struct lt_rotation rot;
	struct lt_sign_key key;
	uint8_t signature[LT_SIG_LEN], proof[LT_SIG_LEN];
};

/* As the node would ask: signed by the key in use, and by the new one. */
static void
next_draw(struct fix *x, struct next *n, const struct lt_sign_key *now, uint32_t old_no)
{
	const struct lt_fed *fed = &x->h.f.hub_id->federation;
	struct lt_identity fresh = { .role = LTPB__ROLE__ROLE_NODE };

	lt_identity_keys(&fresh);
	memset(n, 0, sizeof(*n));
	n->rot.principal = x->node.id.principal;
	n->rot.old_no = old_no;
	n->rot.new_no = old_no + 1;
	n->key = fresh.sign;
	memcpy(n->rot.sign_key, fresh.sign.pk, 32);
	memcpy(n->rot.line_key, fresh.line_pk, 32);
	lt_rotation_sign(now, fed, &n->rot, n->signature);
	lt_rotation_sign(&n->key, fed, &n->rot, n->proof);
}

static int
rotate(struct fix *x, const struct next *n, bool *again, const char **why)
{
	struct lt_err err = { "" };

	return lt_hub_rotate(x->h.f.hub, &n->rot, lt_slice(n->signature, LT_SIG_LEN),
	    lt_slice(n->proof, LT_SIG_LEN), again, why, &err);
}

static int
end_rotation(struct fix *x, uint32_t key_no, const struct lt_cut *cuts, size_t n, uint32_t *ended)
{
	struct lt_err err = { "" };
	const char *why;

	return lt_hub_end_rotation(
	    x->h.f.hub, &x->node.id.principal, key_no, cuts, n, ended, &why, &err);
}

static bool
in_use(struct fix *x, uint32_t key_no)
{
	struct lt_registry *reg = lt_hub_registry(x->h.f.hub);
	const struct lt_principal_key *k =
	    lt_principal_key(lt_registry_find(reg, &x->node.id.principal), key_no);
	bool is = k != NULL && k->active;

	lt_registry_unref(reg);
	return is;
}

/* Both keys are good until the old one is ended; then what it signed up to where the node said counts, also what comes only now, and
 * nothing else. */
static void
test_rotation(void **state)
{
	struct lt_buf waits, late, newer;
	struct fed_feed thief, ahead;
	struct lt_cut cut = { .seq = 0 };
	struct next n;
	const char *why = "";
	uint32_t ended = 9;
	struct answer a;
	struct fix x;
	bool again;

	(void)state;
	setup(&x);
	push_new(&x, 2);
	seal(&x, &x.feed, &waits); /* number 3, not sent yet */
	cut.unit = x.feed.unit;
	cut.feed = x.feed.id;
	cut.seq = 3;
	cut.hash = x.feed.hash;
	thief = x.feed;
	seal(&x, &thief, &late); /* number 4, by who has copied the old key */
	next_draw(&x, &n, &x.feed.key, 1);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_OK);
	assert_false(again);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_OK);
	assert_true(again);
	assert_true(in_use(&x, 1) && in_use(&x, 2));
	x.feed.key = n.key;
	x.feed.key_no = 2;
	seal(&x, &x.feed, &newer); /* number 4 */
	assert_int_equal(end_rotation(&x, 2, &cut, 1, &ended), LT_OK);
	assert_int_equal(ended, 1);
	assert_false(in_use(&x, 1));
	assert_true(in_use(&x, 2));
	assert_int_equal(push(&x, &waits, &a), LT_OK);
	assert_int_equal(push(&x, &late, &a), LT_E_REVOKED);
	assert_int_equal(push(&x, &newer, &a), LT_OK);
	assert_int_equal(a.feed[0].held, 4);
	assert_int_equal(end_rotation(&x, 2, &cut, 1, &ended), LT_OK);
	assert_int_equal(ended, 0);
	/* After a restart; the old key signs no other feed, and cannot draw another one. */
	hubfx_restart(&x.h);
	fed_feed_init(&ahead, &x.node, HUB_UNIT, LT_LANE_NORMAL, 7);
	lt_buf_fini(&late);
	seal(&x, &ahead, &late);
	assert_int_equal(push(&x, &late, &a), LT_E_REVOKED);
	next_draw(&x, &n, &x.node.id.sign, 1);
	n.rot.new_no = 3;
	lt_rotation_sign(&x.node.id.sign, &x.h.f.hub_id->federation, &n.rot, n.signature);
	lt_rotation_sign(&n.key, &x.h.f.hub_id->federation, &n.rot, n.proof);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	assert_int_equal(state_of(&x, NULL), ACTIVE);
	lt_buf_fini(&waits);
	lt_buf_fini(&late);
	lt_buf_fini(&newer);
	hubfx_close(&x.h);
}

/* The cut never falls behind what the hub has, whatever is said; a key that was followed comes no more. */
static void
test_rotation_cut(void **state)
{
	struct lt_cut cut = { .seq = 1 };
	struct fed_feed old;
	struct lt_registry *reg;
	const struct lt_principal *p;
	struct lt_buf b;
	struct next n;
	const char *why = "";
	uint32_t ended;
	struct answer a;
	struct fix x;
	bool again;
	int i;

	(void)state;
	setup(&x);
	push_new(&x, 5);
	old = x.feed;
	next_draw(&x, &n, &x.feed.key, 1);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_OK);
	x.feed.key = n.key;
	x.feed.key_no = 2;
	push_new(&x, 3);
	old.seq = x.feed.seq; /* the right place, the wrong key */
	old.hash = x.feed.hash;
	old.stamp = x.feed.stamp;
	seal(&x, &old, &b);
	assert_int_equal(push(&x, &b, &a), LT_E_REVOKED);
	lt_buf_fini(&b);
	cut.unit = x.feed.unit;
	cut.feed = x.feed.id;
	assert_int_equal(end_rotation(&x, 2, &cut, 1, &ended), LT_OK);
	reg = lt_hub_registry(x.h.f.hub);
	p = lt_registry_find(reg, &x.node.id.principal);
	assert_int_equal(p->nrevocation, 1);
	assert_int_equal(p->revocation[0].key_no, 1);
	assert_string_equal(p->revocation[0].reason, "rotated");
	assert_int_equal(p->revocation[0].ncut, 1);
	assert_true(p->revocation[0].cut[0].seq == 5);
	lt_registry_unref(reg);
	/* Somebody else's feed is nothing that it may speak of. */
	next_draw(&x, &n, &x.feed.key, 2);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_OK);
	cut.feed.b[2] ^= 1;
	assert_int_equal(end_rotation(&x, 3, &cut, 1, &ended), LT_E_INVALID);
	cut.feed.b[2] ^= 1;
	assert_int_equal(lt_unit_set(&cut.unit, lt_slice_str("16906")), LT_OK);
	assert_int_equal(end_rotation(&x, 3, &cut, 1, &ended), LT_E_INVALID);
	for (i = 0; i < 2; i++) /* nothing said at all: what is here */
		assert_int_equal(end_rotation(&x, 3, NULL, 0, &ended), LT_OK);
	push_new(&x, 0);
	x.feed.key = n.key;
	x.feed.key_no = 3;
	push_new(&x, 2);
	hubfx_close(&x.h);
}

/* Each part of it wrong for itself. */
static void
test_forged_rotation(void **state)
{
	struct fed_peer other;
	struct next good, n;
	const char *why = "";
	struct fix x;
	bool again;

	(void)state;
	setup(&x);
	hubfx_node(&x.h, &other, HUB_UNIT);
	next_draw(&x, &good, &x.feed.key, 1);
	/* signed by another principal, by itself, by nobody; a bit of any part changed */
	next_draw(&x, &n, &other.id.sign, 1);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_BADSIG);
	n = good;
	memcpy(n.signature, n.proof, LT_SIG_LEN);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_BADSIG);
	n = good;
	memcpy(n.proof, n.signature, LT_SIG_LEN);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_BADSIG);
	n = good;
	n.rot.line_key[7] ^= 1;
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_BADSIG);
	n = good;
	n.rot.sign_key[7] ^= 1;
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_BADSIG);
	n = good;
	n.rot.new_no = 3;
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_BADSIG);
	/* replayed for another principal */
	n = good;
	n.rot.principal = other.id.principal;
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_BADSIG);
	n.rot.principal = x.h.f.hub_id->principal;
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_INVALID);
	/* well signed, but a line that is somebody's, the number after the next, no such key */
	n = good;
	memcpy(n.rot.line_key, other.id.line_pk, 32);
	lt_rotation_sign(&x.feed.key, &x.h.f.hub_id->federation, &n.rot, n.signature);
	lt_rotation_sign(&n.key, &x.h.f.hub_id->federation, &n.rot, n.proof);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	n = good;
	n.rot.new_no = 3;
	lt_rotation_sign(&x.feed.key, &x.h.f.hub_id->federation, &n.rot, n.signature);
	lt_rotation_sign(&n.key, &x.h.f.hub_id->federation, &n.rot, n.proof);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	next_draw(&x, &n, &x.feed.key, 2);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	/* two at once: the second draws nothing until the first has come to its end */
	assert_int_equal(rotate(&x, &good, &again, &why), LT_OK);
	next_draw(&x, &n, &x.feed.key, 1);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	next_draw(&x, &n, &good.key, 2);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	/* by a key that was revoked, by a principal that was */
	assert_int_equal(revoke(&x, 1, "stolen", &why), LT_OK);
	next_draw(&x, &n, &x.feed.key, 1);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	assert_int_equal(rotate(&x, &good, &again, &why), LT_E_REFUSED);
	assert_true(in_use(&x, 2));
	assert_int_equal(revoke(&x, 0, "stolen", &why), LT_OK);
	next_draw(&x, &n, &good.key, 2);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	hubfx_close(&x.h);
}

/* A revocation that is being written, or that the tables do not show yet, counts for who asks for new keys. */
static void
test_rotate_revoked(void **state)
{
	const char *why = "";
	struct next n;
	struct fix x;
	bool again;

	(void)state;
	setup(&x);
	next_draw(&x, &n, &x.feed.key, 1);
	assert_int_equal(
	    lt_bar_put(x.h.f.hub, LT_BAR_OUT, &x.node.id.principal, 1, LT_BAR_WRITING), LT_OK);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	assert_string_equal(why, "KEYS_STATE");
	lt_bar_until(x.h.f.hub, LT_BAR_OUT, &x.node.id.principal, 1, 0);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_OK);
	/* And where it was confirmed before, it is not said again. */
	assert_int_equal(
	    lt_bar_put(x.h.f.hub, LT_BAR_OUT, &x.node.id.principal, 1, LT_BAR_WRITING), LT_OK);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_E_REFUSED);
	hubfx_close(&x.h);
}

struct asking_for_keys {
	struct fix *x;
	struct next n;
	_Atomic bool began;
	int rc;
};

static void *
ask_for_keys(void *arg)
{
	struct asking_for_keys *a = arg;
	const char *why;
	bool again;

	a->began = true;
	a->rc = rotate(a->x, &a->n, &again, &why);
	return NULL;
}

/* Two machines, one line, and both ask while another write is under way: it is the one's or the other's. */
static void
test_two_ask(void **state)
{
	struct asking_for_keys ask[2];
	struct fed_peer other;
	pthread_t thread[2];
	struct fix x;
	int i, round;

	(void)state;
	for (round = 0; round < 4; round++) {
		setup(&x);
		hubfx_node(&x.h, &other, HUB_UNIT);
		memset(ask, 0, sizeof(ask));
		next_draw(&x, &ask[0].n, &x.feed.key, 1);
		next_draw(&x, &ask[1].n, &other.id.sign, 1);
		ask[1].n.rot.principal = other.id.principal;
		memcpy(ask[1].n.rot.line_key, ask[0].n.rot.line_key, 32);
		lt_rotation_sign(
		    &other.id.sign, &x.h.f.hub_id->federation, &ask[1].n.rot, ask[1].n.signature);
		lt_rotation_sign(
		    &ask[1].n.key, &x.h.f.hub_id->federation, &ask[1].n.rot, ask[1].n.proof);
		pthread_mutex_lock(&x.h.f.hub->author_mx);
		for (i = 0; i < 2; i++) {
			ask[i].x = &x;
			assert_int_equal(
			    pthread_create(&thread[i], NULL, ask_for_keys, &ask[i]), 0);
		}
		while (!ask[0].began || !ask[1].began)
			sched_yield();
		pthread_mutex_unlock(&x.h.f.hub->author_mx);
		for (i = 0; i < 2; i++)
			assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal((ask[0].rc == LT_OK) + (ask[1].rc == LT_OK), 1);
		assert_int_equal(ask[ask[0].rc == LT_OK].rc, LT_E_REFUSED);
		hubfx_close(&x.h);
	}
}

/* Asks again where it is told to wait, as a node does. */
static void *
push_while_rotating(void *arg)
{
	struct pushing *p = arg;
	struct answer a;
	struct lt_buf b;
	int i;

	for (i = 0; i < 400; i++) {
		seal(p->x, &p->x->feed, &b);
		do
			p->last = push(p->x, &b, &a);
		while (p->last == LT_E_UNAVAILABLE);
		lt_buf_fini(&b);
		p->began = true;
		if (p->last != LT_OK)
			break;
		p->taken++;
	}
	return NULL;
}

/* The old key signs on while it is ended: what has a receipt is within the cut-off, and the log holds nothing behind it. */
static void
test_end_while_pushing(void **state)
{
	struct lt_registry *reg;
	const struct lt_principal *p;
	struct pushing push = { 0 };
	struct lt_kv_txn *txn;
	struct lt_head head;
	const char *why = "";
	uint32_t ended;
	pthread_t thread;
	struct next n;
	struct fix x;
	bool again;
	int round;

	(void)state;
	for (round = 0; round < 8; round++) {
		setup(&x);
		next_draw(&x, &n, &x.feed.key, 1);
		assert_int_equal(rotate(&x, &n, &again, &why), LT_OK);
		push = (struct pushing){ .x = &x };
		assert_int_equal(pthread_create(&thread, NULL, push_while_rotating, &push), 0);
		while (!push.began)
			sched_yield();
		assert_int_equal(end_rotation(&x, 2, NULL, 0, &ended), LT_OK);
		assert_int_equal(ended, 1);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(lt_kv_begin_read(lt_hub_log(x.h.f.hub), &txn), LT_OK);
		assert_int_equal(lt_feed_log_head(txn, &x.feed.unit, &x.feed.id, &head), LT_OK);
		lt_kv_abort(txn);
		reg = lt_hub_registry(x.h.f.hub);
		p = lt_registry_find(reg, &x.node.id.principal);
		assert_int_equal(p->revocation[0].ncut, 1);
		assert_true(p->revocation[0].cut[0].seq == head.seq);
		assert_true(push.taken <= head.seq);
		if (push.taken < 400)
			assert_int_equal(push.last, LT_E_REVOKED);
		lt_registry_unref(reg);
		assert_int_equal(lt_bar_check(x.h.f.hub, &x.node.id.principal, 1), LT_OK);
		hubfx_close(&x.h);
	}
}

/* Killed between that record and the tables: what may be within the cut-off is told to wait, not that it is revoked. */
static void
test_later_of_the_log(void **state)
{
	const char *why = "";
	struct lt_buf next;
	uint32_t ended;
	struct answer a;
	struct lt_hub *h;
	struct next n;
	struct fix x;
	bool again;

	(void)state;
	setup(&x);
	push_new(&x, 1);
	next_draw(&x, &n, &x.feed.key, 1);
	assert_int_equal(rotate(&x, &n, &again, &why), LT_OK);
	seal(&x, &x.feed, &next);
	assert_int_equal(end_rotation(&x, 2, NULL, 0, &ended), LT_OK);
	hubfx_settle(&x.h);
	h = x.h.f.hub;
	pthread_mutex_lock(&h->mx);
	h->projected = 1;
	pthread_mutex_unlock(&h->mx);
	assert_int_equal(lt_bars_open(h), LT_OK);
	assert_int_equal(lt_bar_check(h, &x.node.id.principal, 1), LT_E_UNAVAILABLE);
	assert_int_equal(lt_bar_check(h, &x.node.id.principal, 2), LT_OK);
	assert_false(lt_hub_barred(h, &x.node.id.principal, 1));
	pthread_mutex_lock(&h->mx);
	h->projected = h->log_position;
	pthread_mutex_unlock(&h->mx);
	assert_int_equal(lt_bar_check(h, &x.node.id.principal, 1), LT_OK);
	assert_int_equal(push(&x, &next, &a), LT_E_REVOKED);
	lt_buf_fini(&next);
	hubfx_close(&x.h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revoke),
		cmocka_unit_test(test_one_key),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_suspend),
		cmocka_unit_test(test_known_is_told_by_its_bytes),
		cmocka_unit_test(test_comes_again),
		cmocka_unit_test(test_many_feeds),
		cmocka_unit_test(test_while_pushing),
		cmocka_unit_test(test_bars_of_the_log),
		cmocka_unit_test(test_tables_behind),
		cmocka_unit_test(test_registry_unread),
		cmocka_unit_test(test_open_stream),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_rotation_cut),
		cmocka_unit_test(test_forged_rotation),
		cmocka_unit_test(test_rotate_revoked),
		cmocka_unit_test(test_two_ask),
		cmocka_unit_test(test_end_while_pushing),
		cmocka_unit_test(test_later_of_the_log),
	};

	return cmocka_run_group_tests_name("hub.keys", tests, NULL, NULL);
}
