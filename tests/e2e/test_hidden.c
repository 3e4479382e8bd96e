/* What one may not see and what does not exist are answered alike: the same code, the same words, the same bytes. Each method that
 * names something is asked about both, by somebody whose grants end at one commune. */
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"
#include "tests/lib/peer.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define THERE "H41.65-261120-0001" /* in both communes */
#define NOWHERE "H41.65-261120-9999"
#define OWN "17254"
#define HIDDEN "16906"
#define EMPTY "16855" /* a commune without any record */

enum who { NODE, HIDDEN_NODE, JUSTICE, OPERATOR, WHO_COUNT };

struct world {
	struct fed f;
	struct lt_arena arena;
	struct fed_peer who[WHO_COUNT];
	struct fed_feed feed[2];
};

/* ---- the world ---- */

static void
push_dossier(struct world *w, enum who node, const char *key)
{
	struct lt_kv_txn *txn;
	struct lt_status st;
	struct lt_draft d;
	struct lt_buf b;
	uint64_t last;

	fed_draft_dossier(&w->arena, &d, key);
	lt_buf_init(&b, 0);
	fed_seal(&w->f, &w->feed[node], &d, 1, &b);
	assert_int_equal(fed_push(&w->who[node], &b, 1, NULL, &st), LT_STATUS_OK);
	lt_buf_fini(&b);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	lt_kv_abort(txn);
	assert_int_equal(lt_hub_wait_projected(w->f.hub, last, 20000), LT_OK);
}

static void
enrol_narrow(struct world *w, enum who who, Ltpb__Role role, const char *where)
{
	static char read[] = "read", write[] = "write", inspect[] = "inspect", enrol[] = "enrol",
		    own[] = OWN, province[] = "40", dossier[] = "dossier";
	char *verbs[] = { enrol, inspect, read, write }, *verb[] = { read };
	char *units[] = { own, province }, *collections[] = { dossier };
	Ltpb__Grant g = LTPB__GRANT__INIT;
	Ltpb__PrincipalState joined;

	g.verbs = role == LTPB__ROLE__ROLE_OPERATOR ? verbs : verb;
	g.n_verbs = role == LTPB__ROLE__ROLE_OPERATOR ? 4 : 1;
	g.units = units;
	g.n_units = 2;
	g.collections = collections;
	g.n_collections = 1;
	fed_invite_grant(&w->f, &w->who[who], role, where, true, &g);
	assert_int_equal(fed_dial(&w->f, &w->who[who]), LT_OK);
	assert_int_equal(fed_join(&w->who[who], &joined), LT_STATUS_OK);
}

static void
world_open(struct world *w)
{
	memset(w, 0, sizeof(*w));
	fed_setup(&w->f);
	lt_arena_init(&w->arena, (size_t)64 << 20);
	fed_enrol(&w->f, &w->who[NODE], LTPB__ROLE__ROLE_NODE, OWN, true);
	fed_enrol(&w->f, &w->who[HIDDEN_NODE], LTPB__ROLE__ROLE_NODE, HIDDEN, true);
	enrol_narrow(w, JUSTICE, LTPB__ROLE__ROLE_DEPARTMENT, "so_tu_phap");
	enrol_narrow(w, OPERATOR, LTPB__ROLE__ROLE_OPERATOR, "");
	fed_feed_init(&w->feed[NODE], &w->who[NODE], OWN, LT_LANE_NORMAL, 1);
	fed_feed_init(&w->feed[HIDDEN_NODE], &w->who[HIDDEN_NODE], HIDDEN, LT_LANE_NORMAL, 1);
	push_dossier(w, NODE, THERE);
	push_dossier(w, HIDDEN_NODE, THERE);
}

static void
world_close(struct world *w)
{
	enum who i;

	for (i = 0; i < WHO_COUNT; i++)
		fed_hang_up(&w->who[i]);
	lt_arena_fini(&w->arena);
	fed_teardown(&w->f);
}

/* ---- two answers ---- */

struct answer {
	struct lt_status st;
	ProtobufCMessage *reply; /* NULL unless OK */
};

static void
ask(struct world *w, enum who who, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *req, struct answer *out)
{
	memset(out, 0, sizeof(*out));
	out->reply = NULL;
	(void)fed_ask(&w->who[who], service, method, req, &out->reply, &out->st);
	if (out->st.code != LT_STATUS_OK)
		out->reply = NULL;
}

static void
answer_free(struct answer *a)
{
	if (a->reply != NULL)
		protobuf_c_message_free_unpacked(a->reply, NULL);
}

static void
assert_same(const struct answer *a, const struct answer *b)
{
	struct lt_buf x, y;

	assert_int_equal(a->st.code, b->st.code);
	assert_string_equal(a->st.reason, b->st.reason);
	assert_string_equal(a->st.message, b->st.message);
	assert_string_equal(a->st.message_vi, b->st.message_vi);
	assert_string_equal(a->st.field, b->st.field);
	assert_string_equal(a->st.rule, b->st.rule);
	if (a->st.code != LT_STATUS_OK)
		return;
	lt_buf_init(&x, 0);
	lt_buf_init(&y, 0);
	assert_int_equal(lt_wire_pack(a->reply, LT_MESSAGE_MAX, &x), LT_OK);
	assert_int_equal(lt_wire_pack(b->reply, LT_MESSAGE_MAX, &y), LT_OK);
	assert_int_equal(x.len, y.len);
	if (x.len != 0)
		assert_memory_equal(x.data, y.data, x.len);
	lt_buf_fini(&x);
	lt_buf_fini(&y);
}

/* The same of both requests, and this code. */
static void
alike(struct world *w, enum who who, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *hidden, const ProtobufCMessage *nothing, int code)
{
	struct answer a, b;

	ask(w, who, service, method, hidden, &a);
	ask(w, who, service, method, nothing, &b);
	if ((int)a.st.code != code)
		fail_msg("%s: %s %s", method, lt_status_name((int)a.st.code), a.st.message);
	assert_same(&a, &b);
	answer_free(&a);
	answer_free(&b);
}

#define Q &ltpb__query__descriptor
#define NOT_FOUND LT_STATUS_NOT_FOUND
#define DENIED LT_STATUS_PERMISSION_DENIED

/* ---- records by their names ---- */

static void
one_record(void **state)
{
	static const enum who askers[] = { JUSTICE, OPERATOR };
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	for (i = 0; i < 2; i++) {
		Ltpb__GetRequest g = LTPB__GET_REQUEST__INIT, g2;
		Ltpb__HistoryRequest h = LTPB__HISTORY_REQUEST__INIT, h2;
		Ltpb__ProveRequest p = LTPB__PROVE_REQUEST__INIT, p2;

		g.collection = h.collection = p.collection = (char *)"dossier";
		g.unit = h.unit = p.unit = (char *)HIDDEN;
		g.key = h.key = p.key = (char *)THERE;
		g2 = g;
		h2 = h;
		p2 = p;
		g2.key = h2.key = p2.key = (char *)NOWHERE;
		alike(&w, askers[i], Q, "Get", &g.base, &g2.base, NOT_FOUND);
		alike(&w, askers[i], Q, "History", &h.base, &h2.base, NOT_FOUND);
		alike(&w, askers[i], Q, "Prove", &p.base, &p2.base, NOT_FOUND);
		/* And where one may look: what is not there is told in the same words. */
		g.unit = g2.unit = h.unit = h2.unit = p.unit = p2.unit = (char *)OWN;
		g.key = h.key = p.key = (char *)"H41.65-261120-9998";
		alike(&w, askers[i], Q, "Get", &g.base, &g2.base, NOT_FOUND);
		alike(&w, askers[i], Q, "History", &h.base, &h2.base, NOT_FOUND);
		alike(&w, askers[i], Q, "Prove", &p.base, &p2.base, NOT_FOUND);
	}
	world_close(&w);
}

/* A collection that the grant leaves out is like one that is not: but for the name that was asked. */
static void
a_collection(void **state)
{
	static const char *const method[] = { "Get", "List", "Aggregate", "History", "Prove" };
	struct answer a, b;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	for (i = 0; i < sizeof(method) / sizeof(method[0]); i++) {
		const char *const names[2] = { "school_x", "proposal" };
		struct answer *out[2] = { &a, &b };
		size_t k;

		for (k = 0; k < 2; k++) {
			Ltpb__GetRequest g = LTPB__GET_REQUEST__INIT;
			Ltpb__ListRequest l = LTPB__LIST_REQUEST__INIT;
			Ltpb__AggregateRequest n = LTPB__AGGREGATE_REQUEST__INIT;
			Ltpb__HistoryRequest h = LTPB__HISTORY_REQUEST__INIT;
			Ltpb__ProveRequest p = LTPB__PROVE_REQUEST__INIT;
			const ProtobufCMessage *req[] = { &g.base, &l.base, &n.base, &h.base,
				&p.base };

			g.collection = l.collection = n.collection = h.collection = p.collection =
			    (char *)names[k];
			g.unit = h.unit = p.unit = (char *)OWN;
			g.key = h.key = p.key = (char *)"x";
			ask(&w, JUSTICE, Q, method[i], req[i], out[k]);
		}
		assert_int_equal(a.st.code, DENIED);
		assert_non_null(strstr(a.st.message, "\"school_x\""));
		/* Both names have eight characters: with one put for the other the words are equal. */
		memcpy(strstr(a.st.message, "\"school_x\"") + 1, "proposal", 8);
		assert_same(&a, &b);
	}
	world_close(&w);
}

/* ---- lists and counts ---- */

/* Ages differ from one moment to the next; what is said of which units is looked at in test_access_matrix.c. */
static void
without_freshness(ProtobufCMessage *reply)
{
	const ProtobufCFieldDescriptor *f =
	    protobuf_c_message_descriptor_get_field_by_name(reply->descriptor, "freshness");
	void **place;

	assert_non_null(f);
	place = (void **)(void *)((char *)reply + f->offset);
	protobuf_c_message_free_unpacked(*place, NULL);
	*place = NULL;
}

static void
ask_rows(struct world *w, enum who who, const char *method, const char *unit, struct answer *out)
{
	Ltpb__ListRequest l = LTPB__LIST_REQUEST__INIT;
	Ltpb__AggregateRequest n = LTPB__AGGREGATE_REQUEST__INIT;
	char *units[] = { (char *)unit };
	bool list = strcmp(method, "List") == 0;

	l.collection = n.collection = (char *)"dossier";
	l.unit = n.unit = units;
	l.n_unit = n.n_unit = unit != NULL;
	l.page_size = 1; /* one is there to be seen: a second page would be of what is hidden */
	ask(w, who, Q, method, list ? &l.base : &n.base, out);
	if (out->reply == NULL)
		fail_msg("%s: %s", method, out->st.message);
	else
		without_freshness(out->reply);
}

/* A hidden commune with records, one without, and all of them together before and after hidden ones come. */
static void
lists_and_counts(void **state)
{
	static const char *const method[] = { "List", "Aggregate" };
	static const enum who askers[] = { JUSTICE, OPERATOR };
	struct answer before[2][2], after, hidden, none;
	struct world w;
	size_t i, k;

	(void)state;
	world_open(&w);
	for (i = 0; i < 2; i++)
		for (k = 0; k < 2; k++) {
			ask_rows(&w, askers[i], method[k], HIDDEN, &hidden);
			ask_rows(&w, askers[i], method[k], EMPTY, &none);
			assert_same(&hidden, &none);
			answer_free(&hidden);
			answer_free(&none);
			ask_rows(&w, askers[i], method[k], NULL, &before[i][k]);
		}
	assert_int_equal(((Ltpb__ListReply *)before[0][0].reply)->n_record, 1);
	assert_int_equal(((Ltpb__ListReply *)before[0][0].reply)->next_page_token.len, 0);
	push_dossier(&w, HIDDEN_NODE, "H41.65-261120-0000");
	push_dossier(&w, HIDDEN_NODE, "H41.65-261120-0002");
	for (i = 0; i < 2; i++)
		for (k = 0; k < 2; k++) {
			ask_rows(&w, askers[i], method[k], NULL, &after);
			assert_same(&before[i][k], &after);
			answer_free(&before[i][k]);
			answer_free(&after);
		}
	world_close(&w);
}

/* ---- feeds, machines, people ---- */

static void
feeds(void **state)
{
	Ltpb__ListFeedsRequest f = LTPB__LIST_FEEDS_REQUEST__INIT, f2;
	Ltpb__ReadLogRequest l = LTPB__READ_LOG_REQUEST__INIT, l2;
	uint8_t unknown[LT_FEED_LEN] = { 7 };
	struct world w;

	(void)state;
	world_open(&w);
	f2 = f;
	f.unit = (char *)HIDDEN;
	f2.unit = (char *)EMPTY;
	alike(&w, OPERATOR, &ltpb__admin__descriptor, "ListFeeds", &f.base, &f2.base, DENIED);
	l.unit = (char *)HIDDEN;
	l.feed.data = w.feed[HIDDEN_NODE].id.b;
	l.feed.len = LT_FEED_LEN;
	l2 = l;
	l2.feed.data = unknown;
	alike(&w, OPERATOR, &ltpb__admin__descriptor, "ReadLog", &l.base, &l2.base, DENIED);
	world_close(&w);
}

static void
who_waits(void **state)
{
	Ltpb__ApproveRequest a = LTPB__APPROVE_REQUEST__INIT, a2;
	Ltpb__RejectRequest r = LTPB__REJECT_REQUEST__INIT, r2;
	struct fed_peer hidden, stranger;
	struct world w;

	(void)state;
	world_open(&w);
	fed_enrol(&w.f, &hidden, LTPB__ROLE__ROLE_NODE, HIDDEN, false);
	fed_stranger(&w.f, &stranger);
	a.principal.data = hidden.id.principal.b;
	a.principal.len = LT_ID_LEN;
	a2 = a;
	a2.principal.data = stranger.id.principal.b;
	r.principal = a.principal;
	r2 = r;
	r2.principal = a2.principal;
	alike(&w, OPERATOR, &ltpb__admin__descriptor, "Approve", &a.base, &a2.base, NOT_FOUND);
	alike(&w, OPERATOR, &ltpb__admin__descriptor, "Reject", &r.base, &r2.base, NOT_FOUND);
	fed_hang_up(&hidden);
	world_close(&w);
}

/* Who is in, beyond one's own grant: as if nobody. */
static void
grants(void **state)
{
	Ltpb__ListGrantsRequest l = LTPB__LIST_GRANTS_REQUEST__INIT, l2;
	Ltpb__GiveGrantRequest g = LTPB__GIVE_GRANT_REQUEST__INIT, g2;
	Ltpb__TakeGrantRequest t = LTPB__TAKE_GRANT_REQUEST__INIT, t2;
	struct fed_peer wide, stranger;
	uint32_t one = 1;
	struct world w;

	(void)state;
	world_open(&w);
	fed_enrol(&w.f, &wide, LTPB__ROLE__ROLE_DEPARTMENT, "so_y_te", true);
	fed_stranger(&w.f, &stranger);
	l.principal.data = wide.id.principal.b;
	l.principal.len = LT_ID_LEN;
	g.principal = t.principal = l.principal;
	t.number = &one;
	t.n_number = 1;
	l2 = l;
	g2 = g;
	t2 = t;
	l2.principal.data = g2.principal.data = t2.principal.data = stranger.id.principal.b;
	alike(&w, OPERATOR, &ltpb__admin__descriptor, "ListGrants", &l.base, &l2.base, NOT_FOUND);
	alike(&w, OPERATOR, &ltpb__admin__descriptor, "GiveGrant", &g.base, &g2.base, NOT_FOUND);
	alike(&w, OPERATOR, &ltpb__admin__descriptor, "TakeGrant", &t.base, &t2.base, NOT_FOUND);
	/* A node is known to who may look at its commune, not by asking for grants. */
	l.principal.data = w.who[HIDDEN_NODE].id.principal.b;
	alike(&w, OPERATOR, &ltpb__admin__descriptor, "ListGrants", &l.base, &l2.base, NOT_FOUND);
	fed_hang_up(&wide);
	world_close(&w);
}

/* ---- what a write says ---- */

static void
writes(void **state)
{
	Ltpb__FieldSet *status[1];
	struct world w;
	size_t i;
	static const char *const where[][2] = { { "dossier", HIDDEN },
		{ "household_poverty", OWN } };

	(void)state;
	world_open(&w);
	status[0] = fed_field(&w.arena, "status", LT_TYPE_ENUM, "dang_xu_ly");
	for (i = 0; i < 2; i++) {
		Ltpb__PutRequest p = LTPB__PUT_REQUEST__INIT, p2;
		Ltpb__DeleteRequest d = LTPB__DELETE_REQUEST__INIT, d2;

		p.collection = d.collection = (char *)where[i][0];
		p.unit = d.unit = (char *)where[i][1];
		p.key = d.key = (char *)THERE;
		p.field = status;
		p.n_field = 1;
		p2 = p;
		d2 = d;
		p2.key = d2.key = (char *)NOWHERE;
		alike(&w, OPERATOR, &ltpb__records__descriptor, "Put", &p.base, &p2.base, DENIED);
		alike(
		    &w, OPERATOR, &ltpb__records__descriptor, "Delete", &d.base, &d2.base, DENIED);
	}
	world_close(&w);
}

/* ---- what a stream says ---- */

/* Verdicts are written behind the answers, and are sent down too. */
static bool
judged(void *ctx)
{
	struct world *w = ctx;
	char name[160], hex[2 * LT_FEED_LEN + 1];
	struct lt_kv_txn *txn;
	uint64_t seq = 0;

	lt_hex(hex, w->feed[NODE].id.b, LT_FEED_LEN);
	(void)snprintf(name, sizeof(name), "verdicted/" OWN "/%s", hex);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_local_get_u64(txn, name, &seq), LT_OK);
	lt_kv_abort(txn);
	return seq >= 1;
}

static void
count_item(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__PullItem *it = (const Ltpb__PullItem *)m;
	struct lt_buf *all = ctx;
	size_t i;

	if (it->item_case == LTPB__PULL_ITEM__ITEM_CHANGE_SET) {
		lt_buf_put(all, it->change_set.data, it->change_set.len);
		return;
	}
	for (i = 0; i < it->caught_up->n_head; i++)
		lt_buf_str(all, it->caught_up->head[i]->unit);
}

/* A node names positions in another commune's feed: one that is there, by its true hash and by a wrong one, and one that is not. It is
 * sent the same each time. */
static void
pulls(void **state)
{
	Ltpb__PullRequest r = LTPB__PULL_REQUEST__INIT;
	Ltpb__FeedHead have = LTPB__FEED_HEAD__INIT, *haves[1] = { &have };
	uint8_t zero[LT_HASH_LEN] = { 0 }, unknown[LT_FEED_LEN] = { 7 };
	struct lt_buf got[3];
	struct lt_status st;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	fed_wait(judged, &w, 20000, "the verdict on the dossier");
	r.have = haves;
	r.n_have = 1;
	have.unit = (char *)HIDDEN;
	have.seq = 1;
	have.feed.len = LT_FEED_LEN;
	have.hash.len = LT_HASH_LEN;
	for (i = 0; i < 3; i++) {
		have.feed.data = i == 2 ? unknown : w.feed[HIDDEN_NODE].id.b;
		have.hash.data = i == 0 ? w.feed[HIDDEN_NODE].hash.b : zero;
		lt_buf_init(&got[i], 0);
		assert_int_equal(fed_call(&w.who[NODE], &ltpb__sync__descriptor, "Pull", &r.base,
				     count_item, &got[i], &st),
		    LT_STATUS_OK);
		assert_true(got[i].err == LT_OK && got[i].len != 0);
		assert_int_equal(got[i].len, got[0].len);
		assert_memory_equal(got[i].data, got[0].data, got[0].len);
	}
	for (i = 0; i < 3; i++)
		lt_buf_fini(&got[i]);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_record),
		cmocka_unit_test(a_collection),
		cmocka_unit_test(lists_and_counts),
		cmocka_unit_test(feeds),
		cmocka_unit_test(who_waits),
		cmocka_unit_test(grants),
		cmocka_unit_test(writes),
		cmocka_unit_test(pulls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
