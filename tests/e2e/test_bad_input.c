/* What a hostile or broken peer can send to the hub, through the real line: each gets a defined answer, or a close where
 * nobody is known yet, and the hub serves an honest node as before. */
#include "node/delivery.h"
#include "tests/lib/peer.h"
#include "tests/rpc/fixture.h"
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 20000
#define KEY "H41.65-261120-0001"
#define GOOD "H41.65-261120-0002"

struct world {
	struct fed f;
	struct fed_peer a, b; /* two machines of commune 17254 */
	struct lt_arena arena;
	unsigned honest; /* numbers of dossiers used to see whether the hub serves */
};

static void
world_open(struct world *w)
{
	memset(w, 0, sizeof(*w));
	fed_setup(&w->f);
	lt_arena_init(&w->arena, (size_t)256 << 20);
	fed_enrol(&w->f, &w->a, LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_enrol(&w->f, &w->b, LTPB__ROLE__ROLE_NODE, "17254", true);
	w->honest = 5000;
}

static uint64_t
last_position(struct world *w)
{
	struct lt_kv_txn *txn;
	uint64_t last = 0;

	/* The log's own word: what the hub says of its position follows the answers. */
	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	lt_kv_abort(txn);
	return last;
}

/* Everything pushed is projected. */
static void
settle(struct world *w)
{
	assert_int_equal(lt_hub_wait_projected(w->f.hub, last_position(w), WAIT_MS), LT_OK);
}

/* A machine that nobody has troubled yet writes, is receipted, and its record is shown. */
static void
still_serves(struct world *w)
{
	struct fed_feed feed;
	struct fed_peer p;
	struct lt_status st;
	struct lt_draft d;
	struct lt_buf b;
	char key[64], text[64];

	fed_enrol(&w->f, &p, LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_feed_init(&feed, &p, "17254", LT_LANE_NORMAL, 1);
	(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", w->honest);
	fed_draft_dossier(&w->arena, &d, key);
	lt_buf_init(&b, 0);
	fed_seal(&w->f, &feed, &d, 1, &b);
	if (fed_push(&p, &b, 1, NULL, &st) != LT_STATUS_OK)
		fail_msg("%s", st.message);
	lt_buf_fini(&b);
	settle(w);
	assert_true(fed_hub_field(&w->f, "17254", w->honest, "status", text, sizeof(text)));
	assert_string_equal(text, "tiep_nhan");
	w->honest++;
	fed_hang_up(&p);
}

static void
world_close(struct world *w)
{
	still_serves(w);
	fed_hang_up(&w->a);
	fed_hang_up(&w->b);
	lt_arena_fini(&w->arena);
	fed_teardown(&w->f);
}

static uint64_t
held(struct world *w, const struct fed_feed *feed, struct lt_head *head)
{
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_head(txn, &feed->unit, &feed->id, head), LT_OK);
	lt_kv_abort(txn);
	return head->seq;
}

static bool
shown(struct world *w, const char *collection, const char *key)
{
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	Ltpb__Record *rec;
	int rc;

	settle(w);
	lt_arena_init(&arena, 1 << 20);
	assert_int_equal(lt_kv_begin_read(lt_hub_derived(w->f.hub), &txn), LT_OK);
	rc = lt_record_get(txn, collection, "17254", key, &arena, &rec);
	lt_kv_abort(txn);
	lt_arena_fini(&arena);
	return rc == LT_OK;
}

/* Seal one draft and push it; the reply is the caller's. */
static int
push_draft(struct world *w, struct fed_peer *p, struct fed_feed *feed, const struct lt_draft *d,
    Ltpb__PushReply **reply, struct lt_status *st)
{
	struct lt_buf b;
	int code;

	lt_buf_init(&b, 0);
	fed_seal(&w->f, feed, d, 1, &b);
	code = fed_push(p, &b, 1, reply, st);
	lt_buf_fini(&b);
	return code;
}

/* ---- changes that are signed and sealed rightly and may not stand ---- */

typedef void draft_fn(struct lt_arena *a, struct lt_draft *d);

static void
add_set(
    struct lt_arena *a, struct lt_draft *d, const char *name, enum lt_type type, const char *text)
{
	d->set[d->nset++] = fed_field(a, name, type, text);
}

static void
start(struct lt_arena *a, struct lt_draft *d, const char *collection, const char *key)
{
	memset(d, 0, sizeof(*d));
	d->collection = collection;
	d->key = key;
	d->set = lt_arena_alloc(a, 8 * sizeof(*d->set));
	d->personal = lt_arena_alloc(a, 8 * sizeof(*d->personal));
}

static void
no_collection(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "no_such_thing", "x");
	add_set(a, d, "a", LT_TYPE_TEXT, "b");
}

static void
no_field(struct lt_arena *a, struct lt_draft *d)
{
	fed_draft_dossier(a, d, KEY);
	add_set(a, d, "no_such_field", LT_TYPE_TEXT, "b");
}

static void
wrong_type(struct lt_arena *a, struct lt_draft *d)
{
	fed_draft_dossier(a, d, KEY);
	add_set(a, d, "fee_vnd", LT_TYPE_TEXT, "12000");
}

static void
no_word(struct lt_arena *a, struct lt_draft *d)
{
	fed_draft_status(a, d, KEY, "xong_roi");
}

static void
bad_pattern(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "dossier", KEY);
	add_set(a, d, "procedure_code", LT_TYPE_TEXT, "x");
}

static void
too_long(struct lt_arena *a, struct lt_draft *d)
{
	char *s = lt_arena_alloc(a, 2002);

	memset(s, 'a', 2001);
	s[2001] = '\0';
	start(a, d, "dossier", KEY);
	add_set(a, d, "late_reason", LT_TYPE_TEXT, s);
}

static void
below_range(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "household_poverty", "17254/HN00001");
	add_set(a, d, "members", LT_TYPE_INT, "-1");
}

static void
key_of_another_unit(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "household_poverty", "16906/HN00001");
	add_set(a, d, "members", LT_TYPE_INT, "3");
}

static void
field_of_another_unit(struct lt_arena *a, struct lt_draft *d)
{
	fed_draft_dossier(a, d, KEY);
	add_set(a, d, "commune_code", LT_TYPE_TEXT, "16906");
}

static void
hub_authority(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "commune_profile", "17254");
	add_set(a, d, "name", LT_TYPE_TEXT, "Tên mới");
}

static void
province_collection(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "directive", "CD-40-20261102-01");
	add_set(a, d, "status", LT_TYPE_ENUM, "done");
}

static void
an_act(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "_registry", "0123456789abcdef0123456789abcdef");
	add_set(a, d, "state", LT_TYPE_ENUM, "active");
}

static void
a_verdict(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "_verdict", "00000000000000000000000000000000000000000000000000/1");
	add_set(a, d, "verdict", LT_TYPE_TEXT, "accepted");
}

static void
wrong_lane(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "disaster_damage", "17254/TT-40-2025-05/nha_sap/ban_tat");
	add_set(a, d, "quantity", LT_TYPE_DECIMAL, "3");
}

static void
personal_in_clear(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "dossier", KEY);
	add_set(a, d, "applicant_name", LT_TYPE_TEXT, "Vi Văn Mẫu");
}

static void
public_as_personal(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "dossier", KEY);
	d->personal[d->npersonal++] = fed_field(a, "status", LT_TYPE_ENUM, "tiep_nhan");
}

static void
bad_personal_value(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "dossier", KEY);
	d->personal[d->npersonal++] = fed_field(a, "applicant_id_no", LT_TYPE_TEXT, "12");
}

static void
bad_key(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "dossier", "x");
	add_set(a, d, "status", LT_TYPE_ENUM, "tiep_nhan");
}

static void
key_in_two_parts(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "dossier", KEY "/2");
	add_set(a, d, "status", LT_TYPE_ENUM, "tiep_nhan");
}

static void
key_field_set(struct lt_arena *a, struct lt_draft *d)
{
	start(a, d, "dossier", KEY);
	add_set(a, d, "dossier_code", LT_TYPE_TEXT, KEY);
}

#define R(x) LTPB__REASON_CODE__REASON_##x

static const struct refusal {
	const char *descr;
	draft_fn *draft;
	Ltpb__ReasonCode reason;
} refusals[] = {
	{ "unknown collection", no_collection, R(UNKNOWN_COLLECTION) },
	{ "unknown field", no_field, R(UNKNOWN_FIELD) },
	{ "a text where a number belongs", wrong_type, R(WRONG_TYPE) },
	{ "a word that is none", no_word, R(ENUM) },
	{ "against the pattern", bad_pattern, R(PATTERN) },
	{ "one byte too long", too_long, R(TOO_LONG) },
	{ "below the range", below_range, R(RANGE) },
	{ "a key of another unit", key_of_another_unit, R(UNIT_FIELD) },
	{ "commune_code of another unit", field_of_another_unit, R(UNIT_FIELD) },
	{ "a field that is the hub's", hub_authority, R(AUTHORITY) },
	{ "a record of the province", province_collection, R(FOREIGN_UNIT) },
	{ "making oneself a principal", an_act, R(AUTHORITY) },
	{ "a verdict on oneself", a_verdict, R(AUTHORITY) },
	{ "the wrong lane", wrong_lane, R(LANE) },
	{ "a personal field in the clear", personal_in_clear, R(PERSONAL_IN_CLEAR) },
	{ "a public field hidden", public_as_personal, R(BAD_LEAF) },
	{ "a personal field against its pattern", bad_personal_value, R(PATTERN) },
	{ "a key against its pattern", bad_key, R(BAD_KEY) },
	{ "a key with a part too many", key_in_two_parts, R(BAD_KEY) },
	{ "a key field set", key_field_set, R(BAD_KEY) },
};

#define NREFUSALS (sizeof(refusals) / sizeof(refusals[0]))

/* Each takes its place in the feed, is receipted as refused with its reason, is not shown, and the feed goes on. */
static void
test_refused_changes(void **state)
{
	const Ltpb__ReceiptBody *body;
	Ltpb__PushReply *reply;
	struct fed_feed feed;
	struct lt_status st;
	struct lt_head head;
	struct lt_draft d;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	fed_feed_init(&feed, &w.a, "17254", LT_LANE_NORMAL, 1);
	for (i = 0; i < NREFUSALS; i++) {
		refusals[i].draft(&w.arena, &d);
		if (push_draft(&w, &w.a, &feed, &d, &reply, &st) != LT_STATUS_OK)
			fail_msg("%s: %s", refusals[i].descr, st.message);
		body = fed_receipt(&w.f, reply, 0, &w.arena);
		assert_int_equal(body->seq, i + 1);
		assert_memory_equal(body->hash.data, feed.hash.b, LT_HASH_LEN);
		if (body->n_refused != 1 || body->refused[0]->reason != refusals[i].reason)
			fail_msg("%s: reason %d", refusals[i].descr,
			    body->n_refused == 1 ? (int)body->refused[0]->reason : -1);
		assert_int_equal(body->refused[0]->seq, i + 1);
		assert_int_equal(body->refused[0]->index, 0);
		protobuf_c_message_free_unpacked(&reply->base, NULL);
		assert_int_equal(held(&w, &feed, &head), i + 1);
		assert_int_equal(head.judged, i + 1);
		if (d.collection[0] != '_')
			assert_false(shown(&w, d.collection, d.key));
	}
	/* A good one after them, and of one change-set only what is wrong is refused. */
	{
		struct lt_draft both[3];
		struct lt_buf b;

		fed_draft_dossier(&w.arena, &both[0], KEY);
		hub_authority(&w.arena, &both[1]);
		fed_draft_dossier(&w.arena, &both[2], GOOD);
		lt_buf_init(&b, 0);
		fed_seal(&w.f, &feed, both, 3, &b);
		assert_int_equal(fed_push(&w.a, &b, 1, &reply, &st), LT_STATUS_OK);
		lt_buf_fini(&b);
		body = fed_receipt(&w.f, reply, 0, &w.arena);
		assert_int_equal(body->n_refused, 1);
		assert_int_equal(body->refused[0]->index, 1);
		protobuf_c_message_free_unpacked(&reply->base, NULL);
		assert_true(shown(&w, "dossier", KEY));
		assert_true(shown(&w, "dossier", GOOD));
		assert_false(shown(&w, "commune_profile", "17254"));
	}
	world_close(&w);
}

/* ---- what the hub tells of them, and whom ---- */

struct list {
	size_t n;
	const Ltpb__RefusedChange *v[64];
	int code;
};

/* All pages; replies are kept in the arena. */
static void
list_refused(struct world *w, struct fed_peer *as, Ltpb__RefusedRequest *req, struct list *l)
{
	size_t i;

	memset(l, 0, sizeof(*l));
	do {
		const Ltpb__RefusedReply *r;
		struct lt_buf bytes = { 0 };
		ProtobufCMessage *m, *kept;
		struct lt_status st;

		l->code = fed_ask(as, &ltpb__query__descriptor, "Refused", &req->base, &m, &st);
		if (l->code != LT_STATUS_OK)
			return;
		assert_int_equal(lt_wire_pack(m, LT_MESSAGE_MAX, &bytes), LT_OK);
		assert_int_equal(lt_wire_unpack(&ltpb__refused_reply__descriptor,
				     lt_buf_slice(&bytes), LT_MESSAGE_MAX, &w->arena, &kept, NULL),
		    LT_OK);
		lt_buf_fini(&bytes);
		protobuf_c_message_free_unpacked(m, NULL);
		r = (const Ltpb__RefusedReply *)kept;
		for (i = 0; i < r->n_change && l->n < 64; i++)
			l->v[l->n++] = r->change[i];
		req->page_token.data =
		    lt_arena_dup(&w->arena, r->next_page_token.data, r->next_page_token.len);
		req->page_token.len = r->next_page_token.len;
	} while (req->page_token.len != 0);
}

static void
push_refusals(struct world *w)
{
	Ltpb__PushReply *reply;
	struct fed_feed feed;
	struct lt_status st;
	struct lt_draft d;
	size_t i;

	fed_feed_init(&feed, &w->a, "17254", LT_LANE_NORMAL, 1);
	for (i = 0; i < NREFUSALS; i++) {
		refusals[i].draft(&w->arena, &d);
		assert_int_equal(push_draft(w, &w->a, &feed, &d, &reply, &st), LT_STATUS_OK);
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	}
	settle(w);
}

/* Who sits at the hub sees every one, in order, with what to do, whatever the size of the pages. */
static void
all_are_told(struct world *w, struct fed_peer *local, struct list *l)
{
	Ltpb__RefusedRequest req = LTPB__REFUSED_REQUEST__INIT;
	struct list paged;
	struct lt_draft d;
	size_t i;

	list_refused(w, local, &req, l);
	assert_int_equal(l->n, NREFUSALS);
	for (i = 0; i < l->n && i < NREFUSALS; i++) {
		const Ltpb__RefusedChange *r = l->v[i];

		refusals[i].draft(&w->arena, &d);
		assert_string_equal(r->collection, d.collection);
		assert_string_equal(r->key, d.key);
		assert_string_equal(r->unit, "17254");
		assert_string_equal(r->unit_name, "Con Cuông");
		assert_int_equal(r->reason, refusals[i].reason);
		assert_int_equal(r->seq, i + 1);
		assert_int_equal(r->state, LTPB__REFUSED_STATE__REFUSED_STATE_OPEN);
		assert_true(r->text[0] != '\0' && r->text_vi[0] != '\0' && r->next[0] != '\0' &&
			    r->next_vi[0] != '\0' && r->time_ms > 0);
	}
	req.page_size = 3;
	list_refused(w, local, &req, &paged);
	assert_int_equal(paged.n, NREFUSALS);
	for (i = 0; i < paged.n && i < l->n; i++)
		assert_int_equal(paged.v[i]->position, l->v[i]->position);
	/* A page of one list is none of another. */
	req.page_size = 1;
	{
		ProtobufCMessage *m;
		struct lt_status st;

		assert_int_equal(
		    fed_ask(local, &ltpb__query__descriptor, "Refused", &req.base, &m, &st),
		    LT_STATUS_OK);
		req.page_token = ((Ltpb__RefusedReply *)m)->next_page_token;
		assert_int_not_equal(req.page_token.len, 0);
		req.all = true;
		assert_int_equal(
		    fed_ask(local, &ltpb__query__descriptor, "Refused", &req.base, NULL, &st),
		    LT_STATUS_INVALID_ARGUMENT);
		protobuf_c_message_free_unpacked(m, NULL);
	}
}

/* A department sees of them what it sees of records: its collections, its units, and no key of which a field is hidden. */
static void
narrow_is_narrow(
    struct world *w, const struct list *all, char **units, char **fields, size_t want, bool key)
{
	static char read[] = "read", dossier[] = "dossier";
	char *verbs[1] = { read }, *collections[1] = { dossier };
	Ltpb__Grant grant = LTPB__GRANT__INIT;
	Ltpb__RefusedRequest req = LTPB__REFUSED_REQUEST__INIT;
	Ltpb__PrincipalState st;
	struct fed_peer dept;
	struct list l;
	size_t i;

	grant.verbs = verbs;
	grant.units = units;
	grant.collections = collections;
	grant.fields = fields;
	grant.n_verbs = grant.n_units = grant.n_collections = grant.n_fields = 1;
	fed_invite_grant(&w->f, &dept, LTPB__ROLE__ROLE_DEPARTMENT, "so_tu_phap", true, &grant);
	assert_int_equal(fed_dial(&w->f, &dept), LT_OK);
	assert_int_equal(fed_join(&dept, &st), LT_STATUS_OK);
	list_refused(w, &dept, &req, &l);
	assert_int_equal(l.code, LT_STATUS_OK);
	assert_int_equal(l.n, want);
	for (i = 0; i < l.n; i++) {
		assert_string_equal(l.v[i]->collection, "dossier");
		assert_int_equal(l.v[i]->key[0] != '\0', key);
	}
	/* Asked for by name, what is out of sight is not there. */
	for (i = 0; i < all->n; i++) {
		bool seen = want != 0 && strcmp(all->v[i]->collection, "dossier") == 0;

		req.position = all->v[i]->position;
		req.index = all->v[i]->index;
		list_refused(w, &dept, &req, &l);
		assert_int_equal(l.code, seen ? LT_STATUS_OK : LT_STATUS_NOT_FOUND);
		req.index++;
		list_refused(w, &dept, &req, &l);
		assert_int_equal(l.code, LT_STATUS_NOT_FOUND);
	}
	fed_hang_up(&dept);
}

static void
test_refused_told(void **state)
{
	static char here[] = "17254", elsewhere[] = "16906", every[] = "all", status[] = "status";
	char *units[1] = { here }, *others[1] = { elsewhere }, *all_fields[1] = { every },
	     *one_field[1] = { status };
	struct fed_peer local;
	struct list all;
	struct world w;
	size_t i, dossiers = 0;

	(void)state;
	world_open(&w);
	push_refusals(&w);
	fed_local(&w.f, &local);
	all_are_told(&w, &local, &all);
	for (i = 0; i < all.n; i++)
		dossiers += strcmp(all.v[i]->collection, "dossier") == 0;
	assert_in_range(dossiers, 5, NREFUSALS - 5);
	narrow_is_narrow(&w, &all, units, all_fields, dossiers, true);
	narrow_is_narrow(&w, &all, units, one_field, dossiers, false);
	narrow_is_narrow(&w, &all, others, all_fields, 0, true);
	fed_hang_up(&local);
	world_close(&w);
}

/* ---- the same, as the node that did it learns it ---- */

struct asked {
	struct fed_node *n;
	const char *collection, *key;
	Ltpb__Delivery delivery;
	Ltpb__ReasonCode reason;
};

static bool
is_delivery(void *ctx)
{
	struct asked *a = ctx;
	struct lt_kv_txn *txn;
	Ltpb__ReasonCode reason;
	Ltpb__Delivery d;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(a->n->node), &txn), LT_OK);
	assert_int_equal(
	    lt_node_delivery(a->n->node, txn, a->collection, a->key, NULL, NULL, &d, &reason),
	    LT_OK);
	lt_kv_abort(txn);
	return d == a->delivery && reason == a->reason;
}

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) == 1;

	lt_catalogue_unref(c);
	return has;
}

static void
note_applied(void *ctx, int rc, const char *why)
{
	(void)why;
	*(_Atomic int *)ctx = rc == LT_OK ? 1 : rc;
}

static bool
was_applied(void *ctx)
{
	int rc = *(_Atomic int *)ctx;

	if (rc < 0)
		fail_msg("not applied: %s", lt_strerror(rc));
	return rc == 1;
}

/* A node whose store holds what its program would not write: receipted, judged, and shown to its clerk as refused. */
static void
test_node_learns_of_refusal(void **state)
{
	struct asked ask = { .collection = "commune_profile",
		.key = "17254",
		.delivery = LTPB__DELIVERY__DELIVERY_REFUSED,
		.reason = R(AUTHORITY) };
	struct fed_peer keys = { 0 };
	_Atomic int applied = 0;
	struct fed_feed feed;
	struct lt_draft d;
	struct fed_node n;
	struct lt_buf b;
	struct world w;

	(void)state;
	world_open(&w);
	ask.n = &n;
	fed_node_setup(&w.f, &n, "17254");
	fed_node_start(&w.f, &n);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue comes down");
	keys.id = *n.id;
	fed_feed_init(&feed, &keys, "17254", LT_LANE_NORMAL, 77);
	hub_authority(&w.arena, &d);
	lt_buf_init(&b, 0);
	fed_seal(&w.f, &feed, &d, 1, &b);
	assert_int_equal(lt_node_apply(n.node, lt_buf_slice(&b), note_applied, &applied), LT_OK);
	lt_buf_fini(&b);
	fed_wait(was_applied, &applied, WAIT_MS, "it stands in the node's log");
	fed_node_stop(&n); /* the next login pushes what the hub does not hold */
	fed_node_start(&w.f, &n);
	fed_wait(is_delivery, &ask, WAIT_MS, "the node knows of the refusal, and why");
	/* And goes on. */
	assert_int_equal(fed_put_dossier(&n, 3, NULL, NULL), LT_OK);
	ask.collection = "dossier";
	ask.key = "H41.65-261120-0003";
	ask.delivery = LTPB__DELIVERY__DELIVERY_RECEIPTED;
	ask.reason = R(UNSPECIFIED);
	fed_wait(is_delivery, &ask, WAIT_MS, "the next one is receipted");
	fed_node_teardown(&n);
	world_close(&w);
}

/* ---- bytes that are no change-set ---- */

/* A change-set around any change bytes, rightly hashed and signed: what lt_changeset_seal() would not make. */
static void
seal_raw(struct world *w, struct fed_feed *feed, struct lt_slice change, struct lt_buf *out)
{
	struct lt_id author = lt_feed_author(&feed->id);
	Ltpb__ChangeSet cs = LTPB__CHANGE_SET__INIT;
	Ltpb__Header h = LTPB__HEADER__INIT;
	ProtobufCBinaryData changes[1] = { { change.len, (uint8_t *)change.data } };
	struct lt_hash leaf, root, hash;
	uint8_t sig[LT_SIG_LEN];
	struct lt_buf head;

	lt_h1(LT_TAG_CHANGE, change, &leaf);
	lt_merkle_root(&leaf, 1, &root);
	h.federation.data = w->f.hub_id->federation.b;
	h.federation.len = LT_FED_LEN;
	h.author.data = author.b;
	h.author.len = LT_ID_LEN;
	h.unit = feed->unit.s;
	h.lane = (Ltpb__Lane)lt_feed_lane(&feed->id);
	h.epoch = lt_feed_epoch(&feed->id);
	h.seq = feed->seq + 1;
	h.prev_hash.data = feed->hash.b;
	h.prev_hash.len = LT_HASH_LEN;
	h.stamp = lt_hlc_next(feed->stamp, lt_wall_ms(lt_clock_system()));
	h.catalogue_version = 1;
	h.change_count = 1;
	h.changes_root.data = root.b;
	h.changes_root.len = LT_HASH_LEN;
	h.key_no = 1;
	lt_buf_init(&head, 0);
	assert_int_equal(lt_wire_pack(&h.base, LT_CHANGESET_MAX, &head), LT_OK);
	lt_h1(LT_TAG_CHANGESET, lt_buf_slice(&head), &hash);
	(void)crypto_sign_detached(sig, NULL, hash.b, sizeof(hash.b), feed->key.sk);
	cs.header.data = head.data;
	cs.header.len = head.len;
	cs.signature.data = sig;
	cs.signature.len = sizeof(sig);
	cs.n_change = 1;
	cs.change = changes;
	assert_int_equal(lt_wire_pack(&cs.base, LT_MESSAGE_MAX, out), LT_OK);
	lt_buf_fini(&head);
}

enum raw_kind {
	RAW_GOOD,
	RAW_NFD,
	RAW_LONG_KEY,
	RAW_LONGEST_KEY,
	RAW_NO_KEY,
	RAW_NESTED,
	RAW_HUGE,
	RAW_EMPTY
};

static void
raw_change(enum raw_kind kind, struct lt_buf *out)
{
	Ltpb__Change pb = LTPB__CHANGE__INIT;
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT, *set[1] = { &fs };
	Ltpb__Value v = LTPB__VALUE__INIT;
	char key[LT_KEY_MAX + 2];
	int i;

	memset(key, 'k', sizeof(key));
	key[kind == RAW_LONG_KEY ? LT_KEY_MAX + 1 : LT_KEY_MAX] = '\0';
	v.v_case = LTPB__VALUE__V_TEXT;
	/* "cũ" in composed and decomposed form */
	v.text = (char *)(kind == RAW_NFD ? "cu\xcc\x83" : "c\xc5\xa9");
	fs.name = (char *)"late_reason";
	fs.value = &v;
	pb.collection = (char *)"dossier";
	pb.key = kind == RAW_LONG_KEY || kind == RAW_LONGEST_KEY ? key
		 : kind == RAW_NO_KEY                            ? (char *)""
								 : (char *)KEY;
	pb.kind = LTPB__CHANGE_KIND__CHANGE_KIND_PUT;
	pb.n_set = 1;
	pb.set = set;
	if (kind != RAW_EMPTY)
		assert_int_equal(lt_wire_pack(&pb.base, LT_CHANGESET_MAX, out), LT_OK);
	if (kind == RAW_NESTED) /* groups in groups, as an unknown field */
		for (i = 0; i < 30000; i++)
			lt_buf_u8(out, 0x7b);
	if (kind == RAW_HUGE) /* field 15, 1 GiB announced */
		lt_buf_put(out, "\x7a\x80\x80\x80\x80\x04", 6);
}

/* Not well-formed: the call says so, nothing is appended, and the feed's place is still free. */
static void
test_malformed_changes(void **state)
{
	static const struct {
		const char *descr;
		enum raw_kind kind;
		int want;
		unsigned refused;
	} cases[] = {
		{ "text that is not NFC", RAW_NFD, LT_STATUS_INVALID_ARGUMENT, 0 },
		{ "a key of 257 bytes", RAW_LONG_KEY, LT_STATUS_INVALID_ARGUMENT, 0 },
		{ "no key", RAW_NO_KEY, LT_STATUS_INVALID_ARGUMENT, 0 },
		{ "30,000 groups deep", RAW_NESTED, LT_STATUS_INVALID_ARGUMENT, 0 },
		{ "1 GiB announced inside", RAW_HUGE, LT_STATUS_INVALID_ARGUMENT, 0 },
		{ "nothing", RAW_EMPTY, LT_STATUS_INVALID_ARGUMENT, 0 },
		{ "a key of 256 bytes: well-formed, against the pattern", RAW_LONGEST_KEY,
		    LT_STATUS_OK, 1 },
		{ "as it should be", RAW_GOOD, LT_STATUS_OK, 0 },
	};
	const Ltpb__ReceiptBody *body;
	struct lt_buf change, set;
	Ltpb__PushReply *reply;
	struct lt_status st;
	struct lt_head head;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fed_feed feed;

		fed_feed_init(&feed, &w.a, "17254", LT_LANE_NORMAL, 10 + i);
		lt_buf_init(&change, 0);
		lt_buf_init(&set, 0);
		raw_change(cases[i].kind, &change);
		seal_raw(&w, &feed, lt_buf_slice(&change), &set);
		if (fed_push(&w.a, &set, 1, &reply, &st) != cases[i].want)
			fail_msg(
			    "%s: %s: %s", cases[i].descr, lt_status_name((int)st.code), st.message);
		if (cases[i].want == LT_STATUS_OK) {
			body = fed_receipt(&w.f, reply, 0, &w.arena);
			assert_int_equal(body->n_refused, cases[i].refused);
			protobuf_c_message_free_unpacked(&reply->base, NULL);
		} else {
			assert_true(st.message[0] != '\0');
			assert_int_equal(held(&w, &feed, &head), 0);
		}
		lt_buf_fini(&change);
		lt_buf_fini(&set);
	}
	assert_true(lt_conn_alive(w.a.conn));
	world_close(&w);
}

/* Requests out of their bounds, on both sides of each. */
static void
test_push_bounds(void **state)
{
	static struct lt_buf none[LT_PUSH_MAX];
	static ProtobufCBinaryData sets[LT_PUSH_MAX + 1];
	Ltpb__PushRequest push = LTPB__PUSH_REQUEST__INIT;
	struct fed_feed feed[9];
	struct lt_buf bytes[9];
	Ltpb__PushReply *reply;
	struct lt_head at;
	struct lt_status st;
	struct lt_draft d;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	assert_int_equal(fed_push(&w.a, none, 0, NULL, &st), LT_STATUS_INVALID_ARGUMENT);
	push.change_set = sets;
	push.n_change_set = LT_PUSH_MAX + 1;
	assert_int_equal(fed_ask(&w.a, &ltpb__sync__descriptor, "Push", &push.base, NULL, &st),
	    LT_STATUS_INVALID_ARGUMENT);
	/* Eight feeds at once are taken; of nine as many, and the last is not spoken of. */
	for (i = 0; i < 9; i++) {
		fed_feed_init(&feed[i], &w.a, "17254", LT_LANE_NORMAL, 500 + i);
		fed_draft_dossier(&w.arena, &d, KEY);
		lt_buf_init(&bytes[i], 0);
		fed_seal(&w.f, &feed[i], &d, 1, &bytes[i]);
	}
	assert_int_equal(fed_push(&w.a, bytes, 9, &reply, &st), LT_STATUS_OK);
	assert_int_equal(reply->n_receipt, 8);
	assert_int_equal(reply->n_need, 0);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	for (i = 0; i < 9; i++)
		assert_int_equal(held(&w, &feed[i], &at), i < 8 ? 1 : 0);
	assert_int_equal(fed_push(&w.a, &bytes[8], 1, NULL, &st), LT_STATUS_OK);
	for (i = 0; i < 9; i++)
		lt_buf_fini(&bytes[i]);
	world_close(&w);
}

static int
pull_from(struct world *w, Ltpb__FeedHead **heads, size_t n)
{
	Ltpb__PullRequest req = LTPB__PULL_REQUEST__INIT;
	struct lt_status st;

	req.have = heads;
	req.n_have = n;
	return fed_call(&w->a, &ltpb__sync__descriptor, "Pull", &req.base, NULL, NULL, &st);
}

static int
announce(struct world *w, Ltpb__FeedHead **heads, size_t n)
{
	Ltpb__AnnounceRequest req = LTPB__ANNOUNCE_REQUEST__INIT;
	struct lt_status st;

	req.head = heads;
	req.n_head = n;
	return fed_ask(&w->a, &ltpb__sync__descriptor, "Announce", &req.base, NULL, &st);
}

/* Both are asked with the same positions and answer with this status. */
static void
positions(struct world *w, Ltpb__FeedHead **heads, size_t n, int status)
{
	assert_int_equal(pull_from(w, heads, n), status);
	assert_int_equal(announce(w, heads, n), status);
}

static void
test_position_bounds(void **state)
{
	static Ltpb__FeedHead head[4097], *heads[4097];
	struct fed_feed feed;
	struct lt_status st;
	struct lt_draft d;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	fed_feed_init(&feed, &w.a, "17254", LT_LANE_NORMAL, 500);
	fed_draft_dossier(&w.arena, &d, KEY);
	assert_int_equal(push_draft(&w, &w.a, &feed, &d, NULL, &st), LT_STATUS_OK);
	for (i = 0; i < 4097; i++) {
		ltpb__feed_head__init(&head[i]);
		head[i].unit = (char *)"17254";
		head[i].feed.data = feed.id.b;
		head[i].feed.len = LT_FEED_LEN;
		head[i].hash.data = feed.hash.b;
		head[i].hash.len = LT_HASH_LEN;
		head[i].seq = 1;
		heads[i] = &head[i];
	}
	positions(&w, heads, 4097, LT_STATUS_INVALID_ARGUMENT);
	positions(&w, heads, 4096, LT_STATUS_OK);
	positions(&w, heads, 1, LT_STATUS_OK);
	head[0].feed.len = LT_FEED_LEN - 1;
	positions(&w, heads, 1, LT_STATUS_INVALID_ARGUMENT);
	head[0].feed.len = LT_FEED_LEN;
	head[0].seq = (uint64_t)INT64_MAX + 1;
	positions(&w, heads, 1, LT_STATUS_INVALID_ARGUMENT);
	head[0].seq = 1;
	/* What is announced is of the node's own unit, whatever stands there. */
	head[0].unit = (char *)"1725";
	assert_int_equal(pull_from(&w, heads, 1), LT_STATUS_INVALID_ARGUMENT);
	world_close(&w);
}

/* ---- stamps ---- */

/* A clock that is wrong is nobody's fault: taken, clamped in the receipt, effective so at the hub. */
static void
test_stamps(void **state)
{
	static const struct {
		const char *descr;
		int64_t ms; /* of the stamp; negative: from now on */
		bool clamped;
	} cases[] = {
		{ "1970", 1, true },
		{ "a year before the program was built", LT_BUILD_FLOOR_MS - INT64_C(31536000000),
		    true },
		{ "just before it", LT_BUILD_FLOOR_MS - 1, true },
		{ "when it was built", LT_BUILD_FLOOR_MS, false },
		{ "now", -1, false },
		{ "tomorrow", -86400001, true },
		{ "the end of time", (INT64_C(1) << 48) - 2, true },
	};
	const Ltpb__ReceiptBody *body;
	Ltpb__PushReply *reply;
	struct lt_status st;
	struct lt_head head;
	struct lt_draft d;
	struct world w;
	int64_t before, after;
	size_t i;

	(void)state;
	world_open(&w);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fed_feed feed;
		uint64_t stamp;

		fed_feed_init(&feed, &w.a, "17254", LT_LANE_NORMAL, 20 + i);
		before = lt_wall_ms(lt_clock_system());
		stamp = feed.next_stamp =
		    LT_STAMP(cases[i].ms < 0 ? before - cases[i].ms - 1 : cases[i].ms, 0);
		fed_draft_dossier(&w.arena, &d, KEY);
		assert_int_equal(push_draft(&w, &w.a, &feed, &d, &reply, &st), LT_STATUS_OK);
		after = lt_wall_ms(lt_clock_system());
		body = fed_receipt(&w.f, reply, 0, &w.arena);
		if (body->n_clamp != cases[i].clamped)
			fail_msg("%s: %zu clamps", cases[i].descr, body->n_clamp);
		(void)held(&w, &feed, &head);
		if (!cases[i].clamped) {
			assert_int_equal(head.effective, stamp);
		} else {
			assert_int_equal(body->clamp[0]->from, 1);
			assert_int_equal(body->clamp[0]->to, 1);
			/* floor, ceiling: FORMAT.md 3.8 */
			assert_int_equal(body->clamp[0]->floor, LT_STAMP(LT_BUILD_FLOOR_MS, 0));
			assert_true(LT_STAMP_MS(body->clamp[0]->ceiling) >= before &&
				    LT_STAMP_MS(body->clamp[0]->ceiling) <= after);
			assert_int_equal(head.effective, stamp < body->clamp[0]->floor
							     ? body->clamp[0]->floor
							     : body->clamp[0]->ceiling);
		}
		protobuf_c_message_free_unpacked(&reply->base, NULL);
		/* The feed goes on in its own time. */
		fed_draft_status(&w.arena, &d, KEY, "dang_xu_ly");
		assert_int_equal(push_draft(&w, &w.a, &feed, &d, NULL, &st), LT_STATUS_OK);
	}
	world_close(&w);
}

/* ---- contexts ---- */

static struct lt_context
context_of(const struct fed_feed *feed, uint64_t hash8_xor)
{
	struct lt_context c = {
		.feed = feed->id, .seq = feed->seq, .hash8 = lt_load_u64(feed->hash.b) ^ hash8_xor
	};

	return c;
}

static uint64_t
held_dots(struct world *w)
{
	struct lt_kv_txn *txn;
	uint64_t n = 99;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_count(txn, LT_T_HELD, &n), LT_OK);
	lt_kv_abort(txn);
	return n;
}

struct status_is {
	struct world *w;
	const char *key, *status;
};

static bool
status_shown(void *ctx)
{
	struct status_is *s = ctx;
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	Ltpb__Record *rec;
	bool found = false;
	size_t i;

	lt_arena_init(&arena, 1 << 20);
	assert_int_equal(lt_kv_begin_read(lt_hub_derived(s->w->f.hub), &txn), LT_OK);
	if (lt_record_get(txn, "dossier", "17254", s->key, &arena, &rec) == LT_OK)
		for (i = 0; i < rec->n_field; i++)
			if (strcmp(rec->field[i]->name, "status") == 0)
				found = strcmp(rec->field[i]->value->enumeration, s->status) == 0;
	lt_kv_abort(txn);
	lt_arena_fini(&arena);
	return found;
}

struct verdicts {
	unsigned held, settled, refused_context;
};

static void
note_verdict(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__PullItem *it = (const Ltpb__PullItem *)m;
	struct verdicts *v = ctx;
	struct lt_changeset cs;
	struct lt_arena arena;
	size_t i, k;

	if (it->item_case != LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		return;
	lt_arena_init(&arena, (size_t)16 << 20);
	assert_int_equal(lt_changeset_parse(
			     lt_slice(it->change_set.data, it->change_set.len), &arena, &cs, NULL),
	    LT_OK);
	for (i = 0; i < cs.nchange; i++) {
		const Ltpb__Verdict *verdict;
		ProtobufCMessage *vm;

		if (strcmp(cs.change[i].collection, "_verdict") != 0)
			continue;
		assert_int_equal(lt_wire_unpack(&ltpb__verdict__descriptor,
				     lt_slice(cs.change[i].set[0].pb->value->bytes.data,
					 cs.change[i].set[0].pb->value->bytes.len),
				     LT_MESSAGE_MAX, &arena, &vm, NULL),
		    LT_OK);
		verdict = (const Ltpb__Verdict *)vm;
		v->held += (unsigned)verdict->n_held;
		v->settled += (unsigned)verdict->n_settled;
		for (k = 0; k < verdict->n_refused; k++)
			v->refused_context += verdict->refused[k]->reason == R(BAD_CONTEXT);
	}
	lt_arena_fini(&arena);
}

static void
pull_verdicts(struct world *w, struct verdicts *v)
{
	Ltpb__PullRequest r = LTPB__PULL_REQUEST__INIT;
	struct lt_status st;

	memset(v, 0, sizeof(*v));
	assert_int_equal(
	    fed_call(&w->b, &ltpb__sync__descriptor, "Pull", &r.base, note_verdict, v, &st),
	    LT_STATUS_OK);
}

struct want_verdicts {
	struct world *w;
	struct verdicts want;
};

static bool
verdicts_are(void *ctx)
{
	struct want_verdicts *x = ctx;
	struct verdicts v;

	pull_verdicts(x->w, &v);
	return v.settled == x->want.settled && v.refused_context == x->want.refused_context &&
	       v.held >= x->want.held;
}

/* A context that names what is not here: receipted as held, not shown; settled when it comes through the other machine,
 * whatever became of the first one meanwhile. With a hash that turns out to be another: refused then. */
static void
test_context_not_here_yet(void **state)
{
	struct want_verdicts want = { .want = { 2, 1, 1 } };
	struct fed_feed fa, fb;
	struct lt_context right, wrong;
	const Ltpb__ReceiptBody *body;
	Ltpb__PushReply *reply;
	struct status_is is;
	struct lt_status st;
	struct lt_draft d;
	struct lt_buf first;
	struct world w;

	(void)state;
	world_open(&w);
	want.w = is.w = &w;
	fed_feed_init(&fa, &w.a, "17254", LT_LANE_NORMAL, 1);
	fed_feed_init(&fb, &w.b, "17254", LT_LANE_NORMAL, 1);
	/* b makes a dossier and does not send it yet; a, who saw it on a stick, goes on from there. */
	fed_draft_dossier(&w.arena, &d, KEY);
	lt_buf_init(&first, 0);
	fed_seal(&w.f, &fb, &d, 1, &first);
	right = context_of(&fb, 0);
	wrong = context_of(&fb, 1);
	fed_draft_status(&w.arena, &d, KEY, "dang_xu_ly");
	d.ncontext = 1;
	d.context = &right;
	assert_int_equal(push_draft(&w, &w.a, &fa, &d, &reply, &st), LT_STATUS_OK);
	body = fed_receipt(&w.f, reply, 0, &w.arena);
	assert_int_equal(body->n_refused, 0);
	assert_int_equal(body->n_held, 1);
	assert_int_equal(body->held[0]->seq, 1);
	assert_int_equal(body->held[0]->index, 0);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	/* And one with a hash that is another's. */
	fed_draft_status(&w.arena, &d, KEY, "tu_choi");
	d.ncontext = 1;
	d.context = &wrong;
	assert_int_equal(push_draft(&w, &w.a, &fa, &d, &reply, &st), LT_STATUS_OK);
	body = fed_receipt(&w.f, reply, 0, &w.arena);
	assert_int_equal(body->n_held, 1);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	assert_int_equal(held_dots(&w), 2);
	assert_false(shown(&w, "dossier", KEY));
	/* The feed goes on beside them. */
	fed_draft_dossier(&w.arena, &d, GOOD);
	assert_int_equal(push_draft(&w, &w.a, &fa, &d, NULL, &st), LT_STATUS_OK);
	assert_true(shown(&w, "dossier", GOOD));
	/* A restart in between forgets nothing. */
	fed_hang_up(&w.a);
	fed_hang_up(&w.b);
	fed_hub_stop(&w.f);
	fed_hub_start(&w.f);
	assert_int_equal(fed_dial(&w.f, &w.a), LT_OK);
	assert_int_equal(fed_dial(&w.f, &w.b), LT_OK);
	assert_int_equal(held_dots(&w), 2);
	assert_int_equal(fed_push(&w.b, &first, 1, NULL, &st), LT_STATUS_OK);
	lt_buf_fini(&first);
	assert_int_equal(held_dots(&w), 0);
	is.key = KEY;
	is.status = "dang_xu_ly";
	fed_wait(status_shown, &is, WAIT_MS, "the held change is shown");
	fed_wait(verdicts_are, &want, WAIT_MS, "the verdicts say what became of both");
	world_close(&w);
}

/* A wrong hash of something that is here: refused at once. */
static void
test_context_wrong_hash(void **state)
{
	struct fed_feed fa, fb;
	struct lt_context c;
	const Ltpb__ReceiptBody *body;
	Ltpb__PushReply *reply;
	struct lt_status st;
	struct lt_draft d;
	struct world w;
	int bit;

	(void)state;
	world_open(&w);
	fed_feed_init(&fa, &w.a, "17254", LT_LANE_NORMAL, 1);
	fed_feed_init(&fb, &w.b, "17254", LT_LANE_NORMAL, 1);
	fed_draft_dossier(&w.arena, &d, KEY);
	assert_int_equal(push_draft(&w, &w.b, &fb, &d, NULL, &st), LT_STATUS_OK);
	for (bit = -1; bit < 64; bit += 13) {
		c = context_of(&fb, bit < 0 ? 0 : UINT64_C(1) << bit);
		fed_draft_status(&w.arena, &d, KEY, "dang_xu_ly");
		d.ncontext = 1;
		d.context = &c;
		assert_int_equal(push_draft(&w, &w.a, &fa, &d, &reply, &st), LT_STATUS_OK);
		body = fed_receipt(&w.f, reply, 0, &w.arena);
		assert_int_equal(body->n_held, 0);
		assert_int_equal(body->n_refused, bit < 0 ? 0 : 1);
		if (bit >= 0)
			assert_int_equal(body->refused[0]->reason, R(BAD_CONTEXT));
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	}
	assert_int_equal(held_dots(&w), 0);
	world_close(&w);
}

/* ---- chains ---- */

static uint64_t
count_forks(struct world *w, const struct lt_buf *evidence)
{
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	uint64_t n = 0;
	int rc;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice_str("fork/"), &k, &v);
	     rc == LT_OK && k.len > 5 && memcmp(k.data, "fork/", 5) == 0;
	     rc = lt_kv_next(c, &k, &v))
		n += v.len == evidence->len && memcmp(v.data, evidence->data, v.len) == 0;
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return n;
}

/* Gaps are asked for; a second branch is refused and kept as evidence; what was sent before is receipted again in the
 * same words and doubles nothing. */
static void
test_chains(void **state)
{
	struct fed_feed feed, branch;
	const Ltpb__ReceiptBody *one, *two;
	Ltpb__PushReply *reply;
	struct lt_buf set[4], other;
	struct lt_status st;
	struct lt_head head;
	struct lt_draft d;
	struct world w;
	uint64_t position;
	int i;

	(void)state;
	world_open(&w);
	fed_feed_init(&feed, &w.a, "17254", LT_LANE_NORMAL, 1);
	for (i = 0; i < 4; i++) {
		lt_buf_init(&set[i], 0);
		if (i == 1)
			hub_authority(&w.arena, &d);
		else
			fed_draft_dossier(&w.arena, &d, KEY);
		if (i == 2)
			branch = feed;
		fed_seal(&w.f, &feed, &d, 1, &set[i]);
	}
	/* Nothing is here: from the beginning, please. */
	assert_int_equal(fed_push(&w.a, &set[2], 1, &reply, &st), LT_STATUS_OK);
	assert_int_equal(reply->n_receipt, 0);
	assert_int_equal(reply->n_need, 1);
	assert_int_equal(reply->need[0]->seq, 0);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	assert_int_equal(fed_push(&w.a, set, 2, &reply, &st), LT_STATUS_OK);
	one = fed_receipt(&w.f, reply, 0, &w.arena);
	assert_int_equal(one->seq, 2);
	assert_int_equal(one->n_refused, 1);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	/* One is missing. */
	assert_int_equal(fed_push(&w.a, &set[3], 1, &reply, &st), LT_STATUS_OK);
	assert_int_equal(reply->n_receipt, 0);
	assert_int_equal(reply->need[0]->seq, 2);
	assert_memory_equal(reply->need[0]->hash.data, one->hash.data, LT_HASH_LEN);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	/* The answer was lost: sent again, also together with the next. */
	settle(&w);
	position = last_position(&w);
	assert_int_equal(fed_push(&w.a, set, 2, &reply, &st), LT_STATUS_OK);
	two = fed_receipt(&w.f, reply, 0, &w.arena);
	assert_int_equal(two->seq, one->seq);
	assert_memory_equal(two->hash.data, one->hash.data, LT_HASH_LEN);
	assert_int_equal(two->n_refused, one->n_refused);
	assert_int_equal(two->refused[0]->seq, 2);
	assert_int_equal(two->refused[0]->reason, R(AUTHORITY));
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	assert_true(
	    lt_hub_log_position(w.f.hub) <= position + 1); /* the verdict on 1 and 2, at most */
	assert_int_equal(held(&w, &feed, &head), 2);
	assert_int_equal(fed_push(&w.a, set, 4, &reply, &st), LT_STATUS_OK);
	two = fed_receipt(&w.f, reply, 0, &w.arena);
	assert_int_equal(two->seq, 4);
	assert_int_equal(two->n_refused, 1);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	/* Another third: a copy of this machine, or a thief of its key. */
	fed_draft_status(&w.arena, &d, KEY, "dang_xu_ly");
	lt_buf_init(&other, 0);
	fed_seal(&w.f, &branch, &d, 1, &other);
	assert_int_equal(fed_push(&w.a, &other, 1, NULL, &st), LT_STATUS_FAILED_PRECONDITION);
	assert_string_equal(st.reason, "FORK");
	assert_int_equal(count_forks(&w, &other), 1);
	assert_int_equal(fed_push(&w.a, &other, 1, NULL, &st), LT_STATUS_FAILED_PRECONDITION);
	assert_int_equal(count_forks(&w, &other), 1);
	/* And what goes on from the second branch. */
	lt_buf_clear(&other);
	fed_seal(&w.f, &branch, &d, 1, &other);
	branch.seq = 4;
	lt_buf_clear(&other);
	fed_seal(&w.f, &branch, &d, 1, &other);
	assert_int_equal(fed_push(&w.a, &other, 1, NULL, &st), LT_STATUS_FAILED_PRECONDITION);
	assert_string_equal(st.reason, "FORK");
	lt_buf_fini(&other);
	/* The branch that was first goes on. */
	assert_int_equal(held(&w, &feed, &head), 4);
	assert_memory_equal(head.hash.b, feed.hash.b, LT_HASH_LEN);
	assert_int_equal(push_draft(&w, &w.a, &feed, &d, NULL, &st), LT_STATUS_OK);
	/* A stamp that does not rise: signed in another past. */
	feed.next_stamp = feed.stamp;
	assert_int_equal(push_draft(&w, &w.a, &feed, &d, NULL, &st), LT_STATUS_FAILED_PRECONDITION);
	for (i = 0; i < 4; i++)
		lt_buf_fini(&set[i]);
	world_close(&w);
}

/* A signature, a hash, an opening that is not what was signed; a catalogue the hub has not; another federation. */
static void
test_damage(void **state)
{
	static const char *const descr[] = { "a bit of the signature", "a bit in the middle",
		"the last bit", "cut off", "bytes behind the end" };
	struct fed_feed feed;
	struct lt_status st;
	struct lt_head head;
	struct lt_draft d;
	struct lt_buf b;
	struct world w;
	size_t i, len;

	(void)state;
	world_open(&w);
	for (i = 0; i < 5; i++) {
		fed_feed_init(&feed, &w.a, "17254", LT_LANE_NORMAL, 40 + i);
		fed_draft_dossier(&w.arena, &d, KEY);
		lt_buf_init(&b, 0);
		fed_seal(&w.f, &feed, &d, 1, &b);
		len = b.len;
		if (i == 0)
			b.data[300] ^= 1;
		else if (i == 1)
			b.data[len / 2] ^= 1;
		else if (i == 2)
			b.data[len - 1] ^= 1;
		else if (i == 3)
			b.len = len - 1;
		else
			lt_buf_u8(&b, 0xff);
		if (fed_push(&w.a, &b, 1, NULL, &st) != LT_STATUS_INVALID_ARGUMENT)
			fail_msg("%s: %s %s", descr[i], lt_status_name((int)st.code), st.message);
		lt_buf_fini(&b);
		assert_int_equal(held(&w, &feed, &head), 0);
	}
	/* A catalogue version that is not here: later, not never. */
	fed_feed_init(&feed, &w.a, "17254", LT_LANE_NORMAL, 60);
	feed.catalogue_version = 2;
	assert_int_equal(push_draft(&w, &w.a, &feed, &d, NULL, &st), LT_STATUS_UNAVAILABLE);
	assert_true(st.retry_delay_ms > 0);
	assert_int_equal(held(&w, &feed, &head), 0);
	/* Of another federation. */
	fed_feed_init(&feed, &w.a, "17254", LT_LANE_NORMAL, 61);
	{
		struct lt_identity *own = w.f.hub_id, other = *own;

		other.federation.b[0] ^= 1;
		w.f.hub_id = &other;
		lt_buf_init(&b, 0);
		fed_seal(&w.f, &feed, &d, 1, &b);
		w.f.hub_id = own;
	}
	assert_int_equal(fed_push(&w.a, &b, 1, NULL, &st), LT_STATUS_PERMISSION_DENIED);
	lt_buf_fini(&b);
	assert_int_equal(held(&w, &feed, &head), 0);
	world_close(&w);
}

/* ---- the line ---- */

static int
connect_tcp(struct world *w)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)w->f.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static int
connect_local(struct world *w)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", w->f.local + strlen("ipc://"));
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

/* Peak memory of this process in KiB. */
static long
peak_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	assert_non_null(f);
	while (kib < 0 && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	(void)fclose(f);
	return kib;
}

/* Before the handshake: a close, and nothing else is seen; what is announced is not believed. */
static void
test_garbage_before_the_handshake(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} fixed[] = {
		{ "GET / HTTP/1.1\r\nHost: hub\r\n\r\n", 29 },
		{ "\x40\x00\x00\x00", 4 }, /* 1 GiB, either way round */
		{ "\x00\x00\x00\x40", 4 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff", 8 },
		{ "LTL1\x40\x00\x00\x00", 8 },
		{ "LTL1\x00\x00\x00\x40", 8 },
	};
	struct lt_server_counts n;
	uint8_t noise[700];
	struct world w;
	long before;
	size_t i;
	int fd;

	(void)state;
	world_open(&w);
	still_serves(&w);
	before = peak_kib();
	for (i = 0; i < 200; i++) {
		fd = i % 2 == 0 ? connect_tcp(&w) : connect_local(&w);
		if (i / 2 < sizeof(fixed) / sizeof(fixed[0])) {
			(void)send(fd, fixed[i / 2].bytes, fixed[i / 2].len, MSG_NOSIGNAL);
			(void)shutdown(fd, SHUT_WR);
		} else {
			randombytes_buf(noise, sizeof(noise));
			noise[0] |= 1;
			(void)send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
		}
		assert_true(fd_until_closed(fd));
		(void)close(fd);
	}
	lt_server_counts(w.f.server, &n);
	assert_true(n.bad_handshake > 0);
	assert_true(peak_kib() - before < 64 * 1024);
	world_close(&w);
}

/* A raw peer with the keys of a principal. */
static void
raw_as(struct raw *r, struct world *w, const struct fed_peer *p)
{
	struct fx fx = { .server = w->f.server };

	memcpy(fx.fed, p->id.federation.b, LT_FED_LEN);
	memcpy(fx.client_sk, p->id.line_sk, 32);
	memcpy(fx.server_pk, p->id.hub_line_key, 32);
	raw_open(r, &fx, true);
}

/* In a session: a wrong request is answered, broken frames end the connection, and no length is believed. */
static void
test_garbage_after_the_handshake(void **state)
{
	static const struct {
		const char *descr;
		const char *method;
		const char *bytes;
		size_t len;
		int want;
	} calls[] = {
		{ "1 GiB announced", "/lienthong.v1.Sync/Push", "\x0a\x80\x80\x80\x80\x04x", 7,
		    LT_STATUS_INVALID_ARGUMENT },
		{ "a length beyond 64 bits", "/lienthong.v1.Sync/Push",
		    "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11,
		    LT_STATUS_INVALID_ARGUMENT },
		{ "a change-set of noise", "/lienthong.v1.Sync/Push", "\x0a\x04\xde\xad\xbe\xef", 6,
		    LT_STATUS_INVALID_ARGUMENT },
		{ "an empty change-set", "/lienthong.v1.Sync/Push", "\x0a\x00", 2,
		    LT_STATUS_INVALID_ARGUMENT },
		{ "no such method", "/lienthong.v1.Sync/Steal", "", 0, LT_STATUS_UNIMPLEMENTED },
		{ "no such service", "/lienthong.v1.Root/Shell", "", 0, LT_STATUS_UNIMPLEMENTED },
		{ "a text with a NUL", "/lienthong.v1.Sync/Hello", "\x2a\x02v\0", 4,
		    LT_STATUS_INVALID_ARGUMENT },
	};
	uint8_t deep[LT_FRAME_PAYLOAD_MAX];
	struct world w;
	struct raw r;
	uint32_t id = 1;
	long before;
	size_t i;
	int k;

	(void)state;
	world_open(&w);
	still_serves(&w);
	before = peak_kib();
	raw_as(&r, &w, &w.a);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++, id += 2) {
		raw_request(&r, id, calls[i].method, 0);
		(void)raw_send(&r, LT_FRAME_DATA, LT_DATA_LAST_PIECE | LT_DATA_NO_MORE, id,
		    calls[i].bytes, calls[i].len);
		if (raw_end_of(&r, id) != calls[i].want)
			fail_msg("%s", calls[i].descr);
	}
	/* Deep: groups in an unknown field, and messages in messages. */
	for (k = 0; k < 2; k++, id += 2) {
		memset(deep, k == 0 ? 0x7b : 0x0a, sizeof(deep));
		raw_request(&r, id, "/lienthong.v1.Sync/Pull", 0);
		(void)raw_send(&r, LT_FRAME_DATA, LT_DATA_LAST_PIECE | LT_DATA_NO_MORE, id, deep,
		    sizeof(deep));
		assert_int_equal(raw_end_of(&r, id), LT_STATUS_INVALID_ARGUMENT);
	}
	/* An expired deadline on a stream that would wait for ever: the server keeps the time. */
	raw_request(&r, id, "/lienthong.v1.Sync/Pull", 200);
	(void)raw_send(&r, LT_FRAME_DATA, LT_DATA_LAST_PIECE | LT_DATA_NO_MORE, id, "\x10\x01", 2);
	(void)raw_send(&r, LT_FRAME_CREDIT, 0, id, "\x00\x40\x00\x00", 4);
	assert_int_equal(raw_end_of(&r, id), LT_STATUS_DEADLINE_EXCEEDED);
	raw_close(&r);
	/* Frames that are none. */
	for (k = 0; k < 4; k++) {
		raw_as(&r, &w, &w.a);
		if (k == 0)
			(void)raw_send(&r, 9, 0, 1, "", 0); /* unknown type */
		else if (k == 1)
			(void)raw_send(&r, LT_FRAME_DATA, 0xff, 1, "x", 1); /* flags */
		else if (k == 2)
			(void)raw_send(&r, LT_FRAME_REQUEST, 0, 0, "", 0); /* call 0 */
		else {
			randombytes_buf(deep, 64); /* noise instead of a sealed frame */
			(void)send(r.fd, deep, 64, MSG_NOSIGNAL);
			(void)shutdown(r.fd, SHUT_WR);
		}
		raw_until_closed(&r);
		raw_close(&r);
	}
	assert_true(peak_kib() - before < 64 * 1024);
	world_close(&w);
}

static int
import_one(struct fed_peer *p, const char *unit, bool check_only, Ltpb__ImportReply **r,
    struct lt_status *st)
{
	Ltpb__ImportRequest req = LTPB__IMPORT_REQUEST__INIT;
	Ltpb__ImportRow row = LTPB__IMPORT_ROW__INIT, *rows[] = { &row };

	row.row = 7;
	row.key = (char *)"CD-40-20261102-02";
	row.unit = (char *)unit;
	req.collection = (char *)"directive";
	req.unit = (char *)"40";
	req.check_only = check_only;
	req.row = rows;
	req.n_row = 1;
	return fed_ask(
	    p, &ltpb__records__descriptor, "Import", &req.base, (ProtobufCMessage **)r, st);
}

/* A row of one unit in a call for another is not signed as the other's; a check alone says the same and takes nothing (more
 * in e2e.check_only). */
static void
test_import_rows(void **state)
{
	struct fed_peer local;
	Ltpb__ImportReply *r;
	struct lt_status st;
	struct world w;
	uint64_t before;

	(void)state;
	world_open(&w);
	fed_local(&w.f, &local);
	before = last_position(&w);
	assert_int_equal(import_one(&local, "17254", false, &r, &st), LT_STATUS_OK);
	assert_int_equal(r->n_row, 1);
	assert_int_equal(r->row[0]->row, 7);
	assert_int_equal(r->row[0]->result, LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED);
	assert_string_equal(r->row[0]->field, "unit");
	assert_string_equal(r->row[0]->rule, "foreign_unit");
	protobuf_c_message_free_unpacked(&r->base, NULL);
	assert_int_equal(import_one(&local, "17254", true, &r, &st), LT_STATUS_OK);
	assert_int_equal(r->n_row, 1);
	assert_int_equal(r->row[0]->result, LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED);
	assert_string_equal(r->row[0]->rule, "foreign_unit");
	protobuf_c_message_free_unpacked(&r->base, NULL);
	assert_int_equal(last_position(&w), before);
	fed_hang_up(&local);
	world_close(&w);
}

/* Not known here: the answer is a close, and the log and a counter know why. */
static void
test_unknown_principal(void **state)
{
	struct lt_server_counts before, after;
	struct fed_peer p;
	struct fed nobody;
	struct world w;

	(void)state;
	fed_setup(&nobody); /* no invitation is out */
	lt_server_counts(nobody.server, &before);
	fed_stranger(&nobody, &p);
	assert_int_equal(fed_dial(&nobody, &p), LT_E_DENIED);
	lt_server_counts(nobody.server, &after);
	assert_int_equal(after.not_admitted, before.not_admitted + 1);
	assert_int_equal(after.calls, before.calls);
	fed_teardown(&nobody);
	world_open(&w);
	lt_server_counts(w.f.server, &before);
	/* With the right key and another federation: the knock does not fit, no curve is reckoned. */
	p = w.b;
	p.conn = NULL;
	p.id.federation.b[31] ^= 1;
	assert_int_equal(fed_dial(&w.f, &p), LT_E_DENIED);
	lt_server_counts(w.f.server, &after);
	assert_true(after.bad_handshake > before.bad_handshake);
	world_close(&w);
}

struct link_says {
	struct fed_node *n;
	const char *words;
};

static bool
link_error(void *ctx)
{
	struct link_says *l = ctx;
	struct lt_link_status st;

	lt_link_status(l->n->link, &st);
	assert_int_not_equal(st.phase, LT_SYNC_ONLINE);
	return strstr(st.error, l->words) != NULL;
}

static bool
link_online(void *ctx)
{
	struct lt_link_status st;

	lt_link_status(((struct fed_node *)ctx)->link, &st);
	return st.phase == LT_SYNC_ONLINE;
}

static void
change_certificate(struct world *w, struct lt_slice cert)
{
	fed_hang_up(&w->a);
	fed_hang_up(&w->b);
	fed_hub_stop(&w->f);
	w->f.hub_id->certificate = cert;
	fed_hub_start(&w->f);
}

/* Somebody else answers at the hub's address: the node refuses, says so, sends nothing, and goes on when the hub is back. */
static void
test_wrong_hub(void **state)
{
	Ltpb__CertificateBody body = LTPB__CERTIFICATE_BODY__INIT;
	struct lt_slice own;
	struct lt_sign_key thief;
	struct link_says says;
	struct fed_node n;
	uint8_t seed[32];
	struct lt_buf cert;
	struct world w;

	(void)state;
	world_open(&w);
	fed_node_setup(&w.f, &n, "17254");
	says.n = &n;
	/* Another line key than the one that was pinned. */
	n.id->hub_line_key[0] ^= 1;
	fed_node_start(&w.f, &n);
	says.words = "cannot reach the hub";
	fed_wait(link_error, &says, WAIT_MS, "the node says that the hub is not the one it knows");
	fed_node_stop(&n);
	n.id->hub_line_key[0] ^= 1;
	/* The right line key, a certificate that the root never gave. */
	randombytes_buf(seed, sizeof(seed));
	lt_sign_key_from_seed(seed, &thief);
	body.federation.data = w.f.hub_id->federation.b;
	body.federation.len = LT_FED_LEN;
	body.principal.data = w.f.hub_id->principal.b;
	body.principal.len = LT_ID_LEN;
	body.role = LTPB__ROLE__ROLE_HUB;
	body.key_no = w.f.hub_id->key_no;
	body.sign_key.data = w.f.hub_id->sign.pk;
	body.sign_key.len = 32;
	body.line_key.data = w.f.hub_id->line_pk;
	body.line_key.len = 32;
	body.generation = 1;
	body.purpose = (char *)"hub";
	lt_buf_init(&cert, 4096);
	assert_int_equal(lt_certificate_make(&body, &thief, &cert), LT_OK);
	own = w.f.hub_id->certificate;
	change_certificate(&w, lt_buf_slice(&cert));
	fed_node_start(&w.f, &n);
	says.words = "certificate is refused";
	fed_wait(link_error, &says, WAIT_MS, "the node refuses the certificate");
	fed_node_stop(&n);
	change_certificate(&w, own);
	lt_buf_fini(&cert);
	fed_node_start(&w.f, &n);
	fed_wait(link_online, &n, WAIT_MS, "the node is back at its hub");
	fed_node_teardown(&n);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_changes),
		cmocka_unit_test(test_refused_told),
		cmocka_unit_test(test_node_learns_of_refusal),
		cmocka_unit_test(test_malformed_changes),
		cmocka_unit_test(test_push_bounds),
		cmocka_unit_test(test_position_bounds),
		cmocka_unit_test(test_stamps),
		cmocka_unit_test(test_context_not_here_yet),
		cmocka_unit_test(test_context_wrong_hash),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_garbage_before_the_handshake),
		cmocka_unit_test(test_garbage_after_the_handshake),
		cmocka_unit_test(test_import_rows),
		cmocka_unit_test(test_unknown_principal),
		cmocka_unit_test(test_wrong_hub),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
