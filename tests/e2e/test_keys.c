/* The life of keys over the real line: who is cut off when and for how long, who may say so, what nodes make of it, and another
 * machine in the place of one. */
#include "tests/lib/peer.h"
#include "hub/keys.h"
#include "proto/store/feed_log.h"

#include "lienthong/v1/keys.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 20000
#define SUSPEND LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_SUSPEND
#define RESUME LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_RESUME
#define RETIRE LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_RETIRE
#define REVOKE LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_REVOKE
#define STATE(x) LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_##x

/* ---- asking ---- */

static int
change(struct fed_peer *as, const struct lt_id *whom, Ltpb__PrincipalAction action,
    const char *reason, bool anyway, Ltpb__ChangePrincipalReply **reply, struct lt_status *st)
{
	Ltpb__ChangePrincipalRequest r = LTPB__CHANGE_PRINCIPAL_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	int code;

	r.principal.data = (uint8_t *)whom->b;
	r.principal.len = LT_ID_LEN;
	r.action = action;
	r.reason = (char *)reason;
	r.anyway = anyway;
	code = fed_ask(as, &ltpb__keys__descriptor, "ChangePrincipal", &r.base, &m, st);
	if (reply != NULL)
		*reply = (Ltpb__ChangePrincipalReply *)m;
	else if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
	return code;
}

/* The state that is answered. */
static void
changed(struct fed_peer *as, const struct fed_peer *whom, Ltpb__PrincipalAction action,
    const char *reason, Ltpb__PrincipalState want)
{
	Ltpb__ChangePrincipalReply *r = NULL;
	struct lt_status st;

	if (change(as, &whom->id.principal, action, reason, false, &r, &st) != LT_STATUS_OK)
		fail_msg("%s: %s", st.reason, st.message);
	assert_int_equal(r->principal->state, want);
	assert_memory_equal(r->principal->principal.data, whom->id.principal.b, LT_ID_LEN);
	protobuf_c_message_free_unpacked(&r->base, NULL);
}

/* Refused with this code and reason, in both languages. */
static void
refused(struct fed_peer *as, const struct lt_id *whom, Ltpb__PrincipalAction action,
    const char *reason, int code, const char *why)
{
	struct lt_status st;

	assert_int_equal(change(as, whom, action, reason, false, NULL, &st), code);
	assert_string_equal(st.reason, why);
	assert_true(st.message[0] != '\0');
	assert_true(st.message_vi[0] != '\0');
	assert_string_not_equal(st.message, st.message_vi);
}

static Ltpb__ListPrincipalsReply *
list(struct fed_peer *as, bool gone)
{
	Ltpb__ListPrincipalsRequest r = LTPB__LIST_PRINCIPALS_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	r.gone = gone;
	assert_int_equal(
	    fed_ask(as, &ltpb__keys__descriptor, "ListPrincipals", &r.base, &m, &st), LT_STATUS_OK);
	return (Ltpb__ListPrincipalsReply *)m;
}

static bool
lists(struct fed_peer *as, bool gone, const struct lt_id *whom)
{
	Ltpb__ListPrincipalsReply *r = list(as, gone);
	bool there = false;
	size_t i;

	for (i = 0; i < r->n_principal; i++)
		there |= memcmp(r->principal[i]->principal.data, whom->b, LT_ID_LEN) == 0;
	protobuf_c_message_free_unpacked(&r->base, NULL);
	return there;
}

static bool
is_cut(void *ctx)
{
	const struct fed_peer *p = ctx;

	return !lt_conn_alive(p->conn);
}

static void
push_dossier(struct fed *f, struct fed_peer *p, struct fed_feed *w, const char *key, int want)
{
	struct lt_arena arena;
	struct lt_status st;
	struct lt_draft d;
	struct lt_buf b;

	lt_arena_init(&arena, 1 << 20);
	lt_buf_init(&b, 0);
	fed_draft_dossier(&arena, &d, key);
	fed_seal(f, w, &d, 1, &b);
	assert_int_equal(fed_push(p, &b, 1, NULL, &st), want);
	lt_buf_fini(&b);
	lt_arena_fini(&arena);
}

/* ---- cut off ---- */

struct follow {
	_Atomic unsigned caught_up, ended;
};

static void
follow_item(void *ctx, const ProtobufCMessage *m)
{
	struct follow *fl = ctx;

	if (((const Ltpb__PullItem *)m)->item_case == LTPB__PULL_ITEM__ITEM_CAUGHT_UP)
		fl->caught_up++;
}

static void
follow_end(void *ctx, const struct lt_status *st)
{
	assert_int_not_equal(st->code, LT_STATUS_OK);
	((struct follow *)ctx)->ended++;
}

static bool
has_caught_up(void *ctx)
{
	return ((struct follow *)ctx)->caught_up != 0;
}

static bool
has_ended(void *ctx)
{
	return ((struct follow *)ctx)->ended != 0;
}

static void
follow(struct fed_peer *p, struct follow *fl)
{
	static const struct lt_call_ops ops = { follow_item, follow_end };
	Ltpb__PullRequest pull = LTPB__PULL_REQUEST__INIT;

	memset(fl, 0, sizeof(*fl));
	pull.follow = true;
	assert_int_equal(
	    lt_conn_call(p->conn, &ltpb__sync__descriptor, "Pull", &pull.base, 0, &ops, fl, NULL),
	    LT_OK);
	fed_wait(has_caught_up, fl, WAIT_MS, "the stream has caught up");
}

/* In the middle of a stream, by an operator over the line: suspended, resumed, revoked, while strangers are let in. */
static void
test_cut_off(void **state)
{
	struct fed_peer op, node, other, open;
	struct fed_feed feed;
	struct follow fl;
	struct fed f;

	(void)state;
	fed_setup(&f);
	fed_enrol(&f, &op, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_enrol(&f, &node, LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_enrol(&f, &other, LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_invite(&f, &open, LTPB__ROLE__ROLE_NODE, "17254", false);
	fed_feed_init(&feed, &node, "17254", LT_LANE_NORMAL, 1);
	push_dossier(&f, &node, &feed, "H41.65-261120-0001", LT_STATUS_OK);
	follow(&node, &fl);
	changed(&op, &node, SUSPEND, "", STATE(SUSPENDED));
	fed_wait(has_ended, &fl, WAIT_MS, "the stream ends");
	fed_wait(is_cut, &node, WAIT_MS, "it is cut off");
	fed_hang_up(&node);
	assert_int_equal(fed_dial(&f, &node), LT_E_DENIED);
	changed(&op, &node, RESUME, "", STATE(ACTIVE));
	assert_int_equal(fed_dial(&f, &node), LT_OK);
	push_dossier(&f, &node, &feed, "H41.65-261120-0002", LT_STATUS_OK);
	follow(&node, &fl);
	changed(&op, &node, REVOKE, "stolen", STATE(REVOKED));
	fed_wait(has_ended, &fl, WAIT_MS, "the stream ends");
	fed_wait(is_cut, &node, WAIT_MS, "it is cut off");
	fed_hang_up(&node);
	assert_int_equal(fed_dial(&f, &node), LT_E_DENIED);
	changed(&op, &node, REVOKE, "stolen", STATE(REVOKED));
	/* Not after a restart either; the others are where they were. */
	assert_true(lt_conn_alive(other.conn) && lt_conn_alive(op.conn));
	fed_hang_up(&other);
	fed_hang_up(&op);
	fed_hub_stop(&f);
	fed_hub_start(&f);
	assert_int_equal(fed_dial(&f, &node), LT_E_DENIED);
	assert_int_equal(fed_dial(&f, &other), LT_OK);
	fed_hang_up(&other);
	fed_teardown(&f);
}

/* ---- whatever a clock says ---- */

#define MS_2038 (INT64_C(2147483648) * 1000) /* where 32 bits of seconds end */
#define MS_2100 INT64_C(4102444800000)

static _Atomic int64_t hub_wall_ms;

static int64_t
wall(void *ctx)
{
	(void)ctx;
	return hub_wall_ms;
}

static int64_t
mono(void *ctx)
{
	(void)ctx;
	return lt_mono_ms(lt_clock_system());
}

/* The hub's clock goes wrong while a machine is at work, and that one is revoked: it is out at once, and stays out when the clock is right
 * again, and after a restart. */
static void
test_wrong_clocks(void **state)
{
	static const struct lt_clock clock = { wall, mono, NULL };
	static const int64_t wrong[] = { 0, -1, LT_BUILD_FLOOR_MS, MS_2038 - 1000, MS_2038,
		MS_2100 };
	const int64_t right = lt_wall_ms(lt_clock_system());
	struct fed_peer op, node[sizeof(wrong) / sizeof(wrong[0])];
	struct follow fl;
	struct fed f;
	size_t i;

	(void)state;
	hub_wall_ms = right;
	fed_setup_at(&f, &clock);
	fed_enrol(&f, &op, LTPB__ROLE__ROLE_OPERATOR, "", true);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		fed_enrol(&f, &node[i], LTPB__ROLE__ROLE_NODE, "17254", true);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		hub_wall_ms = right;
		follow(&node[i], &fl);
		hub_wall_ms = wrong[i];
		changed(&op, &node[i], REVOKE, "stolen", STATE(REVOKED));
		fed_wait(has_ended, &fl, WAIT_MS, "the stream ends");
		fed_wait(is_cut, &node[i], WAIT_MS, "it is cut off");
		fed_hang_up(&node[i]);
		assert_int_equal(fed_dial(&f, &node[i]), LT_E_DENIED);
		hub_wall_ms = right;
		assert_int_equal(fed_dial(&f, &node[i]), LT_E_DENIED);
	}
	fed_hang_up(&op);
	fed_hub_stop(&f);
	fed_hub_start(&f);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(fed_dial(&f, &node[i]), LT_E_DENIED);
	assert_int_equal(fed_dial(&f, &op), LT_OK);
	fed_hang_up(&op);
	fed_teardown(&f);
}

/* ---- who may ---- */

static void
test_who_may(void **state)
{
	char *verbs[] = { (char *)"enrol", (char *)"inspect", (char *)"read" };
	char *units[] = { (char *)"16906" };
	struct fed_peer op, narrow, local, node, far, office, spare;
	Ltpb__Grant g = LTPB__GRANT__INIT;
	struct lt_id nobody = { { 1, 2, 3 } };
	Ltpb__ListPrincipalsReply *r;
	struct lt_status st;
	struct fed f;
	size_t i;

	(void)state;
	fed_setup(&f);
	g.n_verbs = 3;
	g.verbs = verbs;
	g.n_units = 1;
	g.units = units;
	fed_enrol(&f, &op, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_invite_grant(&f, &narrow, LTPB__ROLE__ROLE_OPERATOR, "", true, &g);
	assert_int_equal(fed_dial(&f, &narrow), LT_OK);
	assert_int_equal(fed_join(&narrow, &(Ltpb__PrincipalState){ 0 }), LT_STATUS_OK);
	fed_local(&f, &local);
	fed_enrol(&f, &node, LTPB__ROLE__ROLE_NODE, "16906", true);
	fed_enrol(&f, &far, LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_enrol(&f, &office, LTPB__ROLE__ROLE_DEPARTMENT, "so_tu_phap", true);
	fed_enrol(&f, &spare, LTPB__ROLE__ROLE_OPERATOR, "", true);
	/* Within its grant, and no word of what lies beyond. */
	changed(&narrow, &node, SUSPEND, "", STATE(SUSPENDED));
	changed(&narrow, &node, RESUME, "", STATE(ACTIVE));
	refused(&narrow, &far.id.principal, SUSPEND, "", LT_STATUS_NOT_FOUND, "KEYS_UNKNOWN");
	refused(&narrow, &nobody, SUSPEND, "", LT_STATUS_NOT_FOUND, "KEYS_UNKNOWN");
	refused(&narrow, &office.id.principal, REVOKE, "lost", LT_STATUS_NOT_FOUND, "KEYS_UNKNOWN");
	refused(&narrow, &op.id.principal, REVOKE, "lost", LT_STATUS_NOT_FOUND, "KEYS_UNKNOWN");
	r = list(&narrow, true);
	assert_int_equal(r->n_principal, 2); /* the node, and itself: what it has it may give */
	protobuf_c_message_free_unpacked(&r->base, NULL);
	/* Nodes and departments not at all. */
	assert_int_equal(change(&far, &node.id.principal, SUSPEND, "", false, NULL, &st),
	    LT_STATUS_PERMISSION_DENIED);
	assert_int_equal(change(&office, &node.id.principal, REVOKE, "lost", false, NULL, &st),
	    LT_STATUS_PERMISSION_DENIED);
	/* Nobody itself; an operator another; whoever sits at the hub anybody but the hub. */
	refused(&op, &op.id.principal, REVOKE, "lost", LT_STATUS_FAILED_PRECONDITION, "KEYS_SELF");
	refused(&op, &op.id.principal, SUSPEND, "", LT_STATUS_FAILED_PRECONDITION, "KEYS_SELF");
	changed(&op, &spare, REVOKE, "other", STATE(REVOKED));
	fed_wait(is_cut, &spare, WAIT_MS, "the operator is cut off");
	refused(
	    &local, &f.hub_id->principal, REVOKE, "lost", LT_STATUS_INVALID_ARGUMENT, "KEYS_HUB");
	refused(&op, &f.hub_id->principal, SUSPEND, "", LT_STATUS_INVALID_ARGUMENT, "KEYS_HUB");
	/* Nonsense, and states that do not allow it. */
	refused(&op, &node.id.principal, REVOKE, "", LT_STATUS_INVALID_ARGUMENT, "KEYS_INVALID");
	refused(&op, &node.id.principal, LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_UNSPECIFIED, "",
	    LT_STATUS_INVALID_ARGUMENT, "KEYS_INVALID");
	refused(&op, &spare.id.principal, RESUME, "", LT_STATUS_FAILED_PRECONDITION, "KEYS_STATE");
	refused(&op, &spare.id.principal, RETIRE, "", LT_STATUS_FAILED_PRECONDITION, "KEYS_STATE");
	changed(&local, &office, SUSPEND, "", STATE(SUSPENDED));
	/* Gone ones are told of when asked for; a hub stands there too, with its key. */
	assert_false(lists(&op, false, &spare.id.principal));
	assert_true(lists(&op, true, &spare.id.principal));
	assert_true(lists(&op, false, &office.id.principal));
	r = list(&op, false);
	for (i = 1; i < r->n_principal; i++)
		assert_true(memcmp(r->principal[i - 1]->principal.data,
				r->principal[i]->principal.data, LT_ID_LEN) < 0);
	protobuf_c_message_free_unpacked(&r->base, NULL);
	fed_hang_up(&op);
	fed_hang_up(&narrow);
	fed_hang_up(&local);
	fed_hang_up(&node);
	fed_hang_up(&far);
	fed_hang_up(&office);
	fed_hang_up(&spare);
	fed_teardown(&f);
}

/* ---- leaving in order ---- */

static int
announce(struct fed_peer *p, const struct fed_feed *w, uint64_t seq)
{
	Ltpb__AnnounceRequest r = LTPB__ANNOUNCE_REQUEST__INIT;
	Ltpb__FeedHead h = LTPB__FEED_HEAD__INIT, *heads[1] = { &h };
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	int code;

	h.unit = (char *)w->unit.s;
	h.feed.data = (uint8_t *)w->id.b;
	h.feed.len = LT_FEED_LEN;
	h.seq = seq;
	h.hash.data = (uint8_t *)w->hash.b;
	h.hash.len = LT_HASH_LEN;
	r.head = heads;
	r.n_head = 1;
	r.clock_ms = lt_wall_ms(lt_clock_system());
	code = fed_ask(p, &ltpb__sync__descriptor, "Announce", &r.base, &m, &st);
	if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
	return code;
}

/* Not before it has said how far it wrote and all of that is here; or anyway. */
static void
test_retire(void **state)
{
	struct fed_peer op, node, late;
	struct fed_feed feed;
	Ltpb__ChangePrincipalReply *r;
	struct lt_status st;
	struct fed f;

	(void)state;
	fed_setup(&f);
	fed_enrol(&f, &op, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_enrol(&f, &node, LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_enrol(&f, &late, LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_feed_init(&feed, &node, "17254", LT_LANE_NORMAL, 1);
	refused(&op, &node.id.principal, RETIRE, "", LT_STATUS_FAILED_PRECONDITION, "KEYS_BEHIND");
	push_dossier(&f, &node, &feed, "H41.65-261120-0001", LT_STATUS_OK);
	assert_int_equal(announce(&node, &feed, 2), LT_STATUS_OK);
	refused(&op, &node.id.principal, RETIRE, "", LT_STATUS_FAILED_PRECONDITION, "KEYS_BEHIND");
	assert_int_equal(announce(&node, &feed, 1), LT_STATUS_OK);
	assert_int_equal(change(&op, &node.id.principal, RETIRE, "", false, &r, &st), LT_STATUS_OK);
	assert_int_equal(r->principal->state, STATE(RETIRED));
	assert_int_equal(r->principal->n_revocation, 1);
	assert_string_equal(r->principal->revocation[0]->reason, "retired");
	assert_int_equal(r->principal->revocation[0]->n_cut, 1);
	assert_true(r->principal->revocation[0]->cut[0]->seq == 1);
	assert_memory_equal(
	    r->principal->revocation[0]->cut[0]->hash.data, feed.hash.b, LT_HASH_LEN);
	assert_memory_equal(r->principal->revocation[0]->by.data, op.id.principal.b, LT_ID_LEN);
	protobuf_c_message_free_unpacked(&r->base, NULL);
	fed_wait(is_cut, &node, WAIT_MS, "it is cut off");
	changed(&op, &node, RETIRE, "", STATE(RETIRED));
	assert_int_equal(
	    change(&op, &late.id.principal, RETIRE, "", true, NULL, &st), LT_STATUS_OK);
	fed_hang_up(&op);
	fed_hang_up(&node);
	fed_hang_up(&late);
	fed_teardown(&f);
}

/* ---- what nodes make of it ---- */

static void
note_applied(void *ctx, int rc, const char *why)
{
	(void)why;
	*(_Atomic int *)ctx = rc == LT_OK ? 1 : -1;
}

static bool
was_applied(void *ctx)
{
	return *(_Atomic int *)ctx == 1;
}

struct knows {
	struct fed_node *n;
	const struct lt_id *whom;
	size_t nrevocation;
};

static bool
node_knows(void *ctx)
{
	struct knows *k = ctx;
	struct lt_registry *reg = lt_node_registry(k->n->node);
	const struct lt_principal *p = lt_registry_find(reg, k->whom);
	bool is = p != NULL && p->nrevocation == k->nrevocation;

	lt_registry_unref(reg);
	return is;
}

static uint64_t
node_head(struct fed_node *n, const struct fed_feed *w)
{
	struct lt_kv_txn *txn;
	struct lt_head head;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &txn), LT_OK);
	assert_int_equal(lt_feed_log_head(txn, &w->unit, &w->id, &head), LT_OK);
	lt_kv_abort(txn);
	return head.seq;
}

static void
apply(struct fed_node *n, const struct lt_buf *b)
{
	_Atomic int applied = 0;

	assert_int_equal(lt_node_apply(n->node, lt_buf_slice(b), note_applied, &applied), LT_OK);
	fed_wait(was_applied, &applied, WAIT_MS, "the node has looked at it");
}

/* What came before the cut-off is taken from the hub as ever, what lies beyond never, whoever hands it over: and the pull goes on. */
static void
test_nodes_obey(void **state)
{
	struct fed_peer op, gone;
	struct fed_feed feed, fork;
	struct knows k = { 0 };
	struct lt_buf b[3];
	struct lt_arena arena;
	struct lt_status st;
	struct lt_draft d;
	struct fed_node n;
	struct fed f;
	int i;

	(void)state;
	fed_setup(&f);
	lt_arena_init(&arena, 1 << 22);
	fed_enrol(&f, &op, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_enrol(&f, &gone, LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_feed_init(&feed, &gone, "17254", LT_LANE_NORMAL, 1);
	fed_draft_dossier(&arena, &d, "H41.65-261120-0001");
	for (i = 0; i < 3; i++)
		lt_buf_init(&b[i], 0);
	fed_seal(&f, &feed, &d, 1, &b[0]);
	assert_int_equal(fed_push(&gone, b, 1, NULL, &st), LT_STATUS_OK);
	fork = feed;
	fed_seal(&f, &feed, &d, 1, &b[1]); /* beyond the cut-off */
	changed(&op, &gone, REVOKE, "compromised", STATE(REVOKED));
	fed_node_setup(&f, &n, "17254");
	fed_node_start(&f, &n);
	k = (struct knows){ &n, &gone.id.principal, 1 };
	fed_wait(node_knows, &k, WAIT_MS, "the revocation comes down");
	fed_hang_up(&gone);
	apply(&n, &b[0]); /* where it has not come down yet */
	assert_int_equal(node_head(&n, &feed), 1);
	apply(&n, &b[1]);
	assert_int_equal(node_head(&n, &feed), 1);
	/* A second number 1, too: another branch from the start, in an epoch that no cut-off names. */
	fed_feed_init(&fork, &gone, "17254", LT_LANE_NORMAL, 9);
	fed_seal(&f, &fork, &d, 1, &b[2]);
	apply(&n, &b[2]);
	assert_int_equal(node_head(&n, &fork), 0);
	for (i = 0; i < 3; i++)
		lt_buf_fini(&b[i]);
	fed_node_teardown(&n);
	fed_hang_up(&op);
	lt_arena_fini(&arena);
	fed_teardown(&f);
}

/* ---- another machine ---- */

struct shows {
	struct fed *f;
	struct fed_node *n;
	unsigned number;
};

static bool
hub_has(void *ctx)
{
	struct shows *s = ctx;
	char text[64];

	return fed_hub_field(s->f, "17254", s->number, "status", text, sizeof(text));
}

static bool
node_has(void *ctx)
{
	struct shows *s = ctx;
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	Ltpb__Record *rec;
	char key[64];
	bool is;

	(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", s->number);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(s->n->node), &txn), LT_OK);
	lt_arena_init(&arena, 1 << 20);
	is = lt_record_get(txn, "dossier", "17254", key, &arena, &rec) == LT_OK;
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
	return is;
}

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) != 0;

	lt_catalogue_unref(c);
	return has;
}

static char *
replace(struct fed_peer *as, const struct lt_id *whom, struct lt_arena *arena, int code)
{
	Ltpb__ReplacePrincipalRequest r = LTPB__REPLACE_PRINCIPAL_REQUEST__INIT;
	Ltpb__ReplacePrincipalReply *reply;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	char *line;

	r.principal.data = (uint8_t *)whom->b;
	r.principal.len = LT_ID_LEN;
	r.auto_approve = true;
	assert_int_equal(
	    fed_ask(as, &ltpb__keys__descriptor, "ReplacePrincipal", &r.base, &m, &st), code);
	if (code != LT_STATUS_OK)
		return NULL;
	reply = (Ltpb__ReplacePrincipalReply *)m;
	assert_int_equal(reply->principal->state, STATE(REVOKED));
	assert_string_equal(reply->principal->revocation[0]->reason, "replaced");
	line = lt_arena_dup(arena, reply->line, strlen(reply->line));
	protobuf_c_message_free_unpacked(m, NULL);
	return line;
}

/* The old machine burnt: one command at the hub, one at the new machine, which then has what the commune wrote, and writes on. */
static void
test_replace(void **state)
{
	struct fed_peer op, old = { 0 };
	struct fed_node burnt, fresh, third;
	struct lt_arena arena;
	struct shows s;
	struct fed f;
	char *line;
	unsigned i;

	(void)state;
	fed_setup(&f);
	lt_arena_init(&arena, 1 << 20);
	fed_enrol(&f, &op, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_node_setup(&f, &burnt, "17254");
	fed_node_start(&f, &burnt);
	fed_wait(has_catalogue, &burnt, WAIT_MS, "the catalogue");
	for (i = 1; i <= 5; i++)
		assert_int_equal(fed_put_dossier(&burnt, i, NULL, NULL), LT_OK);
	s = (struct shows){ &f, &burnt, 5 };
	fed_wait(hub_has, &s, WAIT_MS, "the hub has them");
	fed_node_stop(&burnt);
	line = replace(&op, &burnt.id->principal, &arena, LT_STATUS_OK);
	fed_node_invited(&fresh, line);
	assert_string_equal(fresh.id->unit.s, "17254");
	fed_node_start(&f, &fresh);
	s.n = &fresh;
	for (i = 1; i <= 5; i++) {
		s.number = i;
		fed_wait(node_has, &s, WAIT_MS, "the new machine has what the old one wrote");
	}
	assert_int_equal(fed_put_dossier(&fresh, 6, NULL, NULL), LT_OK);
	s.number = 6;
	fed_wait(hub_has, &s, WAIT_MS, "and writes on");
	/* The thief's copy of the old one does not get in. */
	old.id = *burnt.id;
	assert_int_equal(fed_dial(&f, &old), LT_E_DENIED);
	/* The line was lost on the way: asked again, another one, and the old machine is out as it was. */
	line = replace(&op, &burnt.id->principal, &arena, LT_STATUS_OK);
	fed_node_invited(&third, line);
	fed_node_join(&f, &third, "");
	assert_true(lists(&op, false, &third.id->principal));
	(void)replace(&op, &op.id.principal, &arena, LT_STATUS_FAILED_PRECONDITION);
	(void)replace(&op, &f.hub_id->principal, &arena, LT_STATUS_INVALID_ARGUMENT);
	fed_hang_up(&op);
	fed_node_teardown(&third);
	fed_node_teardown(&fresh);
	fed_node_teardown(&burnt);
	lt_arena_fini(&arena);
	fed_teardown(&f);
}

/* A department's machine: whoever comes with the invitation has the organisation and the grant of the one before, and no more. */
static void
test_same_grant(void **state)
{
	char *collections[] = { (char *)"dossier", (char *)"proposal" };
	struct fed_peer op, before, after;
	const struct lt_principal *p;
	Ltpb__PrincipalState st;
	Ltpb__Grant g = LTPB__GRANT__INIT;
	struct lt_registry *reg;
	struct lt_err err = { "" };
	Ltpb__Invitation *inv;
	struct lt_arena arena;
	struct fed f;

	(void)state;
	fed_setup(&f);
	lt_arena_init(&arena, 1 << 20);
	g.n_collections = 2;
	g.collections = collections;
	fed_enrol(&f, &op, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_invite_grant(&f, &before, LTPB__ROLE__ROLE_DEPARTMENT, "so_y_te", true, &g);
	assert_int_equal(fed_dial(&f, &before), LT_OK);
	assert_int_equal(fed_join(&before, &st), LT_STATUS_OK);
	fed_stranger(&f, &after);
	assert_int_equal(
	    lt_invitation_parse(
		replace(&op, &before.id.principal, &arena, LT_STATUS_OK), &arena, &inv, &err),
	    LT_OK);
	memcpy(after.id.token, inv->token.data, 16);
	fed_wait(is_cut, &before, WAIT_MS, "the one before is cut off");
	assert_int_equal(fed_dial(&f, &after), LT_OK);
	assert_int_equal(fed_join(&after, &st), LT_STATUS_OK);
	assert_int_equal(st, STATE(ACTIVE));
	reg = lt_hub_registry(f.hub);
	p = lt_registry_find(reg, &after.id.principal);
	assert_non_null(p);
	assert_int_equal(p->role, LTPB__ROLE__ROLE_DEPARTMENT);
	assert_string_equal(p->org, "so_y_te");
	assert_int_equal(p->ngrant, 1);
	assert_int_equal(p->grant[0].ncollection, 2);
	assert_string_equal(p->grant[0].collection[0], "dossier");
	assert_string_equal(p->grant[0].collection[1], "proposal");
	assert_int_equal(p->grant[0].nverb, 1);
	assert_string_equal(p->grant[0].unit[0], "all");
	lt_registry_unref(reg);
	fed_hang_up(&before);
	fed_hang_up(&after);
	fed_hang_up(&op);
	lt_arena_fini(&arena);
	fed_teardown(&f);
}

/* An operator's key is stolen, and the thief asks for an invitation in the place of a machine: when that key is out, nobody gets in by it
 * without a person. */
static void
test_replaced_by_a_thief(void **state)
{
	struct lt_revoking stolen = { .key_no = 1, .reason = "stolen" };
	struct fed_peer op, before, after;
	Ltpb__PrincipalState st;
	struct lt_err err = { "" };
	const char *why = "";
	Ltpb__Invitation *inv;
	struct lt_arena arena;
	struct fed f;

	(void)state;
	fed_setup(&f);
	lt_arena_init(&arena, 1 << 20);
	fed_enrol(&f, &op, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_enrol(&f, &before, LTPB__ROLE__ROLE_DEPARTMENT, "so_y_te", true);
	fed_stranger(&f, &after);
	assert_int_equal(
	    lt_invitation_parse(
		replace(&op, &before.id.principal, &arena, LT_STATUS_OK), &arena, &inv, &err),
	    LT_OK);
	memcpy(after.id.token, inv->token.data, 16);
	stolen.principal = op.id.principal;
	assert_int_equal(lt_hub_revoke(f.hub, &stolen, &why, &err), LT_OK);
	assert_int_equal(fed_dial(&f, &after), LT_OK);
	assert_int_equal(fed_join(&after, &st), LT_STATUS_OK);
	assert_int_equal(st, STATE(PENDING));
	fed_hang_up(&before);
	fed_hang_up(&after);
	fed_hang_up(&op);
	lt_arena_fini(&arena);
	fed_teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_wrong_clocks),
		cmocka_unit_test(test_who_may),
		cmocka_unit_test(test_retire),
		cmocka_unit_test(test_nodes_obey),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_same_grant),
		cmocka_unit_test(test_replaced_by_a_thief),
	};

	return cmocka_run_group_tests_name("e2e.keys", tests, NULL, NULL);
}
