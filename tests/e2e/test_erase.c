/* Personal values erased, between a hub and nodes over the real line: gone everywhere, from everything that answers; signatures and
 * chains as before; not brought back by a new node, a restart or a change-set that is sent anew. */
#include "hub/erase.h"
#include "hub/recovery.h"
#include "proto/store/erase.h"
#include "proto/base/file.h"
#include "proto/store/backup.h"
#include "proto/store/compact.h"
#include "proto/store/erase_list.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv_test.h"
#include "tests/lib/peer.h"

#include "lienthong/v1/backup.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 20000
#define UNIT "17254"
#define NUMBER "099170000016" /* of each dossier of fed_put_dossier(), with its name */
#define NAME "Vi Văn Mẫu"
#define KEY "H41.65-261120-0001"
#define BASIS "Luật 91/2025/QH15, đơn số 12"

struct world {
	struct fed f;
	struct fed_node n;
	struct lt_arena arena;
};

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) != 0;

	lt_catalogue_unref(c);
	return has;
}

static bool
at_hub(void *ctx)
{
	struct world *w = ctx;
	char text[256];

	return fed_hub_field(&w->f, UNIT, 1, "status", text, sizeof(text)) &&
	       strcmp(text, "dang_xu_ly") == 0 &&
	       fed_hub_field(&w->f, UNIT, 2, "status", text, sizeof(text));
}

static void
begin(struct world *w)
{
	memset(w, 0, sizeof(*w));
	lt_arena_init(&w->arena, (size_t)64 << 20);
	fed_setup(&w->f);
	fed_node_setup(&w->f, &w->n, UNIT);
	fed_node_start(&w->f, &w->n);
	fed_wait(has_catalogue, &w->n, WAIT_MS, "the node has the catalogue");
	assert_int_equal(fed_put_dossier(&w->n, 1, NULL, NULL), LT_OK);
	assert_int_equal(fed_put_dossier(&w->n, 2, NULL, NULL), LT_OK);
	assert_int_equal(fed_put_dossier(&w->n, 1, "dang_xu_ly", NULL), LT_OK);
	fed_wait(at_hub, w, WAIT_MS, "both dossiers are at the hub");
}

static void
end(struct world *w)
{
	fed_node_teardown(&w->n);
	fed_teardown(&w->f);
	lt_arena_fini(&w->arena);
}

static struct lt_erasing
erasing(void)
{
	struct lt_erasing e = {
		.collection = "dossier", .key = KEY, .reason = "request", .basis = BASIS
	};

	memcpy(e.unit.s, UNIT, sizeof(UNIT));
	return e;
}

/* How often a text stands in a table, keys and values. */
static size_t
count_in(struct lt_kv *kv, unsigned table, const char *text)
{
	size_t n = 0, len = strlen(text);
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, table, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK; rc = lt_kv_next(c, &k, &v))
		n += (memmem(k.data, k.len, text, len) != NULL) +
		     (v.len != 0 && memmem(v.data, v.len, text, len) != NULL);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return n;
}

static size_t
count_all(struct lt_kv *kv, const char *text)
{
	size_t n = 0;
	unsigned t;

	for (t = 0; t < LT_T_COUNT; t++)
		n += count_in(kv, t, text);
	return n;
}

/* Of the two dossiers one is erased: in each table the values stand as often as the other one has them. */
static bool
node_follows(void *ctx)
{
	const struct fed_node *n = ctx;

	return count_in(lt_node_kv(n->node), LT_T_OPENING, NUMBER) == 1 &&
	       count_in(lt_node_kv(n->node), LT_T_SHOWN, NUMBER) == 1 &&
	       count_in(lt_node_kv(n->node), LT_T_INDEX, NUMBER) == 1 &&
	       count_in(lt_node_kv(n->node), LT_T_OPENING, NAME) == 1 &&
	       count_all(lt_node_kv(n->node), NUMBER) == 3;
}

static int
verify_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_kv_txn *txn = ctx;
	struct lt_hash before = { { 0 } };
	uint64_t seq, position;
	struct lt_arena arena;
	struct lt_entry e;
	struct lt_changeset cs;
	struct lt_buf b;

	for (seq = 1; seq <= head->seq; seq++) {
		lt_arena_init(&arena, (size_t)16 << 20);
		lt_buf_init(&b, 0);
		assert_int_equal(lt_feed_log_find(txn, unit, feed, seq, &position), LT_OK);
		assert_int_equal(lt_feed_log_read(txn, position, &e), LT_OK);
		assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, &b, NULL), LT_OK);
		assert_int_equal(lt_changeset_parse(lt_buf_slice(&b), &arena, &cs, NULL), LT_OK);
		assert_memory_equal(cs.prev.b, before.b, LT_HASH_LEN);
		if (cs.has_openings)
			assert_int_equal(lt_changeset_verify_openings(&cs, NULL), LT_OK);
		before = cs.hash;
		lt_buf_fini(&b);
		lt_arena_fini(&arena);
	}
	assert_memory_equal(before.b, head->hash.b, LT_HASH_LEN);
	return LT_OK;
}

static void
feeds_verify(struct lt_kv *log)
{
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_read(log, &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, NULL, verify_feed, txn), LT_OK);
	lt_kv_abort(txn);
}

static void
hub_has_let_go(struct world *w)
{
	char text[256];

	assert_false(fed_hub_field(&w->f, UNIT, 1, "applicant_id_no", text, sizeof(text)));
	assert_false(fed_hub_field(&w->f, UNIT, 1, "applicant_name", text, sizeof(text)));
	assert_true(fed_hub_field(&w->f, UNIT, 1, "status", text, sizeof(text)));
	assert_true(fed_hub_field(&w->f, UNIT, 2, "applicant_id_no", text, sizeof(text)));
	assert_string_equal(text, NUMBER);
	assert_int_equal(count_all(lt_hub_log(w->f.hub), NUMBER), 1);
	assert_int_equal(count_all(lt_hub_log(w->f.hub), NAME), 1);
	assert_int_equal(count_all(lt_hub_derived(w->f.hub), NUMBER), 2);
	feeds_verify(lt_hub_log(w->f.hub));
}

static void
gone_everywhere(void **state)
{
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	struct fed_node later;
	struct world w;
	const char *why;
	uint64_t acts;
	size_t i;

	(void)state;
	begin(&w);
	assert_int_equal(lt_hub_erase_look(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	assert_int_equal(r.values, 2);
	assert_int_equal(r.changes, 1);
	assert_int_equal(r.nact, 0);
	assert_int_equal(count_in(lt_hub_log(w.f.hub), LT_T_OPENING, NUMBER), 2);

	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	assert_int_equal(r.values, 2);
	assert_int_equal(r.nact, 1);
	assert_false(r.more);
	assert_int_equal(r.nfield, 2);
	for (i = 0; i < r.nfield; i++) {
		assert_int_equal(r.field[i].here, 1);
		assert_int_equal(r.field[i].erased, 0);
	}
	assert_string_equal(r.field[0].name, "applicant_id_no");
	hub_has_let_go(&w);
	fed_wait(node_follows, &w.n, WAIT_MS, "the node has let go of it");
	feeds_verify(lt_node_kv(w.n.node));

	/* Once more: nothing is left, nothing is written. */
	acts = lt_hub_log_position(w.f.hub);
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	assert_int_equal(r.values, 0);
	assert_int_equal(r.nact, 0);
	assert_int_equal(r.field[0].erased, 1);
	assert_int_equal(lt_hub_log_position(w.f.hub), acts);

	/* A new machine of the commune gets the rest. */
	fed_node_setup(&w.f, &later, UNIT);
	fed_node_start(&w.f, &later);
	fed_wait(node_follows, &later, WAIT_MS, "a new node has all but that");
	feeds_verify(lt_node_kv(later.node));
	fed_node_teardown(&later);

	/* Built anew, and after a restart. */
	fed_hub_stop(&w.f);
	fed_hub_start(&w.f);
	assert_int_equal(
	    lt_hub_wait_projected(w.f.hub, lt_hub_log_position(w.f.hub), WAIT_MS), LT_OK);
	hub_has_let_go(&w);
	end(&w);
}

/* One field, and the account that wrote. */
static void
named_fields(void **state)
{
	static char id_no[] = "applicant_id_no", actor[] = LT_ACTOR_FIELD;
	char *fields[] = { id_no, actor };
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	struct world w;
	const char *why;
	char text[256];

	(void)state;
	begin(&w);
	e.nfield = 2;
	e.field = fields;
	e.reason = "mistake";
	assert_int_equal(count_in(lt_hub_log(w.f.hub), LT_T_OPENING, "cb01"), 3);
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	assert_int_equal(r.values, 3); /* the account in both changes */
	assert_int_equal(r.changes, 2);
	assert_false(fed_hub_field(&w.f, UNIT, 1, id_no, text, sizeof(text)));
	assert_true(fed_hub_field(&w.f, UNIT, 1, "applicant_name", text, sizeof(text)));
	assert_int_equal(count_in(lt_hub_log(w.f.hub), LT_T_OPENING, "cb01"), 1);
	feeds_verify(lt_hub_log(w.f.hub));
	end(&w);
}

static void
refusal(struct world *w, const struct lt_erasing *e, int want, const char *reason)
{
	uint64_t position = lt_hub_log_position(w->f.hub);
	struct lt_erasing_report r = { 0 };
	struct lt_err err = { "" };
	const char *why;

	assert_int_equal(lt_hub_erase(w->f.hub, e, &w->arena, &r, &why, &err), want);
	assert_string_equal(why, reason);
	assert_true(err.text[0] != '\0');
	assert_null(strstr(err.text, NUMBER));
	assert_int_equal(lt_hub_log_position(w->f.hub), position);
	assert_int_equal(count_in(lt_hub_log(w->f.hub), LT_T_OPENING, NUMBER), 2);
}

static void
refused(void **state)
{
	static char status[] = "status", nothing[] = "no_such";
	char *fields[] = { status };
	char longest[502];
	struct lt_erasing e = erasing();
	struct world w;

	(void)state;
	begin(&w);
	e.reason = NULL;
	refusal(&w, &e, LT_E_INVALID, "ERASE_REASON");
	e.reason = "because";
	refusal(&w, &e, LT_E_INVALID, "ERASE_REASON");
	e = erasing();
	e.basis = NULL;
	refusal(&w, &e, LT_E_INVALID, "ERASE_BASIS");
	e.basis = "   ";
	refusal(&w, &e, LT_E_INVALID, "ERASE_BASIS");
	memset(longest, 'x', 501);
	longest[501] = '\0';
	e.basis = longest;
	refusal(&w, &e, LT_E_INVALID, "ERASE_BASIS");
	e.basis = "đơn của ông Vi Văn Mẫu";
	refusal(&w, &e, LT_E_INVALID, "ERASE_BASIS");
	e.basis = "CCCD " NUMBER;
	refusal(&w, &e, LT_E_INVALID, "ERASE_BASIS");
	e = erasing();
	e.key = "H41.65-261120-0099";
	refusal(&w, &e, LT_E_NOTFOUND, "ERASE_UNKNOWN");
	e = erasing();
	memcpy(e.unit.s, "16906", 6);
	refusal(&w, &e, LT_E_NOTFOUND, "ERASE_UNKNOWN");
	e = erasing();
	e.nfield = 1;
	e.field = fields;
	refusal(&w, &e, LT_E_INVALID, "ERASE_FIELD");
	fields[0] = nothing;
	refusal(&w, &e, LT_E_INVALID, "ERASE_FIELD");
	end(&w);
}

/* What a basis may not have in it, whatever the value's type; what is shorter than four bytes says nothing. */
static void
words_of_a_basis(void **state)
{
	static char an[] = "Bùi Thị An", ba[] = "Ba", code[] = "khac";
	char *items[] = { ba, an };
	Ltpb__TextSet set = LTPB__TEXT_SET__INIT;
	Ltpb__Decimal dec = LTPB__DECIMAL__INIT;
	Ltpb__Value v = LTPB__VALUE__INIT;

	(void)state;
	v.v_case = LTPB__VALUE__V_TEXT;
	v.text = an;
	assert_true(lt_erase_tells("đơn của Bùi Thị An, số 3", &v));
	assert_false(lt_erase_tells("đơn của Bùi Thị Ban", &v));
	v.text = ba;
	assert_false(lt_erase_tells("Ba Vì", &v));
	v.v_case = LTPB__VALUE__V_SET;
	v.set = &set;
	set.item = items;
	set.n_item = 2;
	assert_true(lt_erase_tells("con: Bùi Thị An", &v));
	assert_false(lt_erase_tells("Ba Vì", &v));
	v.v_case = LTPB__VALUE__V_INTEGER;
	v.integer = 4711;
	assert_true(lt_erase_tells("số 4711", &v));
	v.integer = 471;
	assert_false(lt_erase_tells("số 471", &v));
	v.v_case = LTPB__VALUE__V_DECIMAL;
	v.decimal = &dec;
	dec.unscaled = 1234;
	dec.scale = 2;
	assert_true(lt_erase_tells("12.34", &v));
	v.v_case = LTPB__VALUE__V_DATE;
	v.date = 20574; /* 2026-05-01 */
	assert_true(lt_erase_tells("sinh 2026-05-01", &v));
	assert_true(lt_erase_tells("sinh 01/05/2026", &v));
	assert_true(lt_erase_tells("sinh 1/5/2026", &v));
	assert_false(lt_erase_tells("đơn ngày 02/05/2026", &v));
	v.v_case = LTPB__VALUE__V_BOOLEAN;
	v.boolean = true;
	assert_false(lt_erase_tells("true", &v));
	v.v_case = LTPB__VALUE__V_ENUMERATION;
	v.enumeration = code;
	assert_false(lt_erase_tells("lý do khac", &v));
}

/* ---- over the line ---- */

static void
operator_with(struct world *w, struct fed_peer *p, const char *unit)
{
	static char erase[] = "erase";
	char *verbs[] = { erase }, *units[] = { (char *)unit };
	Ltpb__PrincipalState state;
	Ltpb__Grant g = LTPB__GRANT__INIT;

	g.verbs = verbs;
	g.n_verbs = 1;
	g.units = units;
	g.n_units = 1;
	fed_invite_grant(&w->f, p, LTPB__ROLE__ROLE_OPERATOR, "", true, &g);
	assert_int_equal(fed_dial(&w->f, p), LT_OK);
	assert_int_equal(fed_join(p, &state), LT_STATUS_OK);
	fed_hang_up(p);
	assert_int_equal(fed_dial(&w->f, p), LT_OK);
}

static int
ask_erase(struct fed_peer *p, bool confirm, const char *basis, Ltpb__EraseReply **out,
    struct lt_status *st)
{
	Ltpb__EraseRequest r = LTPB__ERASE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	int code;

	r.unit = (char *)UNIT;
	r.collection = (char *)"dossier";
	r.key = (char *)KEY;
	r.reason = (char *)"withdrawn";
	r.basis = (char *)basis;
	r.confirm = confirm;
	code = fed_ask(p, &ltpb__admin__descriptor, "Erase", &r.base, &m, st);
	*out = (Ltpb__EraseReply *)m;
	return code;
}

static int
ask_who(struct fed_peer *p, const char *value, Ltpb__WhoHoldsReply **out, struct lt_status *st)
{
	Ltpb__WhoHoldsRequest r = LTPB__WHO_HOLDS_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	int code;

	r.value = (char *)value;
	code = fed_ask(p, &ltpb__admin__descriptor, "WhoHolds", &r.base, &m, st);
	*out = (Ltpb__WhoHoldsReply *)m;
	return code;
}

static Ltpb__WhoHoldsReply *
who(struct fed_peer *p, size_t want)
{
	Ltpb__WhoHoldsReply *r;
	struct lt_status st;

	assert_int_equal(ask_who(p, NUMBER, &r, &st), LT_STATUS_OK);
	assert_int_equal(r->n_holding, want);
	assert_int_equal(r->next_page_token.len, 0);
	assert_int_equal(r->unreadable, 0);
	return r;
}

static void
who_ends(Ltpb__WhoHoldsReply *r)
{
	protobuf_c_message_free_unpacked(&r->base, NULL);
}

static const Ltpb__Holding *
holding_of(const Ltpb__WhoHoldsReply *r, const char *key)
{
	size_t i;

	for (i = 0; i < r->n_holding; i++)
		if (strcmp(r->holding[i]->key, key) == 0)
			return r->holding[i];
	fail_msg("%s is not among them", key);
	return NULL;
}

/* The number is found by who may erase there; said are fields, machines and departments; erased, it is found no more. */
static void
found_and_erased(void **state)
{
	struct fed_peer officer, elsewhere, plain, reader;
	const Ltpb__Holding *h;
	Ltpb__WhoHoldsReply *r;
	Ltpb__EraseReply *e;
	struct lt_status st;
	struct world w;
	size_t i, node = 0, hub = 0;

	(void)state;
	begin(&w);
	operator_with(&w, &officer, UNIT);
	operator_with(&w, &elsewhere, "16906");
	fed_enrol(&w.f, &plain, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_enrol(&w.f, &reader, LTPB__ROLE__ROLE_DEPARTMENT, "van_phong_ubnd", true);

	assert_int_equal(ask_who(&plain, NUMBER, &r, &st), LT_STATUS_PERMISSION_DENIED);
	assert_int_equal(ask_who(&reader, NUMBER, &r, &st), LT_STATUS_PERMISSION_DENIED);
	who_ends(who(&elsewhere, 0));
	assert_int_equal(ask_who(&officer, "123", &r, &st), LT_STATUS_INVALID_ARGUMENT);
	assert_string_equal(st.reason, "WHO_HOLDS");
	r = who(&officer, 2);
	h = holding_of(r, KEY);
	assert_string_equal(h->unit, UNIT);
	assert_string_equal(h->collection, "dossier");
	assert_int_equal(h->n_field, 1);
	assert_string_equal(h->field[0], "applicant_id_no");
	assert_int_equal(h->n_shown, 1);
	assert_int_equal(h->n_erased, 0);
	assert_int_equal(h->n_department, 1);
	assert_string_equal(h->department[0], "van_phong_ubnd");
	for (i = 0; i < h->n_machine; i++) {
		assert_true(h->machine[i]->openings);
		node += h->machine[i]->role == LTPB__ROLE__ROLE_NODE;
		hub += h->machine[i]->role == LTPB__ROLE__ROLE_HUB;
	}
	assert_int_equal(node, 1);
	assert_int_equal(hub, 1);
	who_ends(r);

	assert_int_equal(ask_erase(&elsewhere, true, BASIS, &e, &st), LT_STATUS_PERMISSION_DENIED);
	assert_int_equal(ask_erase(&plain, true, BASIS, &e, &st), LT_STATUS_PERMISSION_DENIED);
	assert_int_equal(ask_erase(&officer, true, "", &e, &st), LT_STATUS_INVALID_ARGUMENT);
	assert_string_equal(st.reason, "ERASE_BASIS");
	assert_true(st.message_vi[0] != '\0');
	assert_int_equal(ask_erase(&officer, false, "", &e, &st), LT_STATUS_OK);
	assert_int_equal(e->values, 2);
	assert_int_equal(e->n_act, 0);
	protobuf_c_message_free_unpacked(&e->base, NULL);
	who_ends(who(&officer, 2));
	assert_int_equal(ask_erase(&officer, true, BASIS, &e, &st), LT_STATUS_OK);
	assert_int_equal(e->values, 2);
	assert_int_equal(e->n_act, 1);
	assert_false(e->not_visible);
	protobuf_c_message_free_unpacked(&e->base, NULL);
	hub_has_let_go(&w);
	r = who(&officer, 1);
	(void)holding_of(r, "H41.65-261120-0002");
	who_ends(r);
	fed_hang_up(&officer);
	fed_hang_up(&elsewhere);
	fed_hang_up(&plain);
	fed_hang_up(&reader);
	end(&w);
}

/* One bit of the name in dossier 1 as it was made. */
static void
damage_name(struct lt_kv *log)
{
	static const char field[] = "applicant_name";
	uint8_t key[64] = { 0 };
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	int rc;

	assert_int_equal(lt_kv_begin_read(log, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_OPENING, &c), LT_OK);
	rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
	while (rc == LT_OK &&
	       (k.len != 12 + strlen(field) || memcmp(k.data + 12, field, k.len - 12) != 0))
		rc = lt_kv_next(c, &k, &v);
	assert_int_equal(rc, LT_OK);
	memcpy(key, k.data, k.len);
	k = lt_slice(key, k.len);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	assert_int_equal(lt_kv_test_flip(log, LT_T_OPENING, k, 200, NULL), LT_OK);
}

/* One value of the record is damaged: the record is found all the same, and all its values go, that one, too. */
static void
one_is_damaged(void **state)
{
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct fed_peer officer;
	Ltpb__WhoHoldsReply *found;
	struct lt_status st;
	struct lt_err err = { "" };
	struct world w;
	const char *why;

	(void)state;
	begin(&w);
	operator_with(&w, &officer, UNIT);
	damage_name(lt_hub_log(w.f.hub));
	assert_int_equal(ask_who(&officer, NUMBER, &found, &st), LT_STATUS_OK);
	assert_int_equal(found->n_holding, 2);
	assert_int_equal(found->unreadable, 1);
	(void)holding_of(found, KEY);
	who_ends(found);
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	assert_int_equal(r.values, 2);
	assert_int_equal(r.nact, 1);
	assert_int_equal(ask_who(&officer, NUMBER, &found, &st), LT_STATUS_OK);
	assert_int_equal(found->n_holding, 1);
	(void)holding_of(found, "H41.65-261120-0002");
	who_ends(found);
	fed_wait(node_follows, &w.n, WAIT_MS, "the node has let go of it");
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	assert_int_equal(r.nact, 0);
	fed_hang_up(&officer);
	end(&w);
}

/* The row of the record in table shown of the hub, or of the first act of erasure. */
static void
damage_shown(struct world *w, const char *collection, const char *key)
{
	struct lt_buf rk = { 0 };

	lt_buf_put(&rk, collection, strlen(collection) + 1);
	lt_buf_put(&rk, UNIT, sizeof(UNIT));
	lt_buf_str(&rk, key);
	assert_int_equal(
	    lt_kv_test_flip(lt_hub_derived(w->f.hub), LT_T_SHOWN, lt_buf_slice(&rk), 77, NULL),
	    LT_OK);
	lt_buf_fini(&rk);
}

/* What the record shows cannot be read: where the number stands is told all the same, and that something could not be looked at. */
static void
shown_is_damaged(void **state)
{
	struct fed_peer officer;
	Ltpb__WhoHoldsReply *found;
	const Ltpb__Holding *h;
	struct lt_status st;
	struct world w;

	(void)state;
	begin(&w);
	operator_with(&w, &officer, UNIT);
	damage_shown(&w, "dossier", KEY);
	assert_int_equal(ask_who(&officer, NUMBER, &found, &st), LT_STATUS_OK);
	assert_int_equal(found->n_holding, 2);
	assert_int_equal(found->unreadable, 1);
	h = holding_of(found, KEY);
	assert_int_equal(h->n_field, 1);
	assert_int_equal(h->n_shown, 0);
	assert_true(h->n_machine >= 2);
	assert_int_equal(holding_of(found, "H41.65-261120-0002")->n_shown, 1);
	who_ends(found);
	fed_hang_up(&officer);
	end(&w);
}

/* Where the change-set stands in which the record was made. */
static uint64_t
made_at(struct world *w)
{
	static const char field[] = "applicant_name";
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	uint64_t position;
	int rc;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_OPENING, &c), LT_OK);
	rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
	while (rc == LT_OK &&
	       (k.len != 12 + strlen(field) || memcmp(k.data + 12, field, k.len - 12) != 0))
		rc = lt_kv_next(c, &k, &v);
	assert_int_equal(rc, LT_OK);
	position = lt_load_u64(k.data);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return position;
}

/* The change-set itself is damaged at the hub: what is there of the values goes, from the tables too, and the node lets go as well. */
static void
changeset_is_damaged(void **state)
{
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	struct world w;
	const char *why;
	uint8_t key[8];
	char text[256];

	(void)state;
	begin(&w);
	lt_store_u64(key, made_at(&w));
	assert_int_equal(
	    lt_kv_test_flip(lt_hub_log(w.f.hub), LT_T_ENTRY, lt_slice(key, 8), 900, NULL), LT_OK);
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	assert_int_equal(r.unreadable, 1);
	assert_int_equal(r.nunreached, 0);
	assert_int_equal(r.values, 2);
	assert_int_equal(r.nact, 1);
	assert_false(fed_hub_field(&w.f, UNIT, 1, "applicant_id_no", text, sizeof(text)));
	assert_int_equal(count_all(lt_hub_log(w.f.hub), NUMBER), 1);
	assert_int_equal(count_all(lt_hub_derived(w.f.hub), NUMBER), 2);
	fed_wait(node_follows, &w.n, WAIT_MS, "the node has let go of it");
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	assert_int_equal(r.nact, 0);
	end(&w);
}

/* ---- more than a page ---- */

#define MANY 2100 /* more than the indexes were once asked for */

static bool
many_at_hub(void *ctx)
{
	struct world *w = ctx;
	char text[256];

	return fed_hub_field(&w->f, UNIT, MANY, "status", text, sizeof(text));
}

/* Which of the dossiers a page names; how many that no page before did. */
static size_t
tick_off(const Ltpb__WhoHoldsReply *r, bool seen[MANY + 1])
{
	size_t i, fresh = 0;

	for (i = 0; i < r->n_holding; i++) {
		unsigned long n = strtoul(r->holding[i]->key + strlen("H41.65-261120-"), NULL, 10);

		assert_in_range(n, 1, MANY);
		fresh += !seen[n];
		seen[n] = true;
	}
	return fresh;
}

/* However many records have the number, all are told, and none of them in more than a page takes; a token is of its number alone. */
static void
many_hold(void **state)
{
	Ltpb__WhoHoldsRequest q = LTPB__WHO_HOLDS_REQUEST__INIT;
	static bool seen[MANY + 1];
	uint8_t token[600];
	struct fed_peer officer;
	struct lt_status st;
	struct world w;
	size_t i, n = 0, pages = 0;

	(void)state;
	begin(&w);
	operator_with(&w, &officer, "all");
	for (i = 3; i <= MANY; i++)
		assert_int_equal(fed_put_dossier(&w.n, (unsigned)i, NULL, NULL), LT_OK);
	fed_wait(many_at_hub, &w, 6 * WAIT_MS, "all dossiers are at the hub");
	q.value = (char *)NUMBER;
	do {
		ProtobufCMessage *m = NULL;
		const Ltpb__WhoHoldsReply *r;

		assert_int_equal(
		    fed_ask(&officer, &ltpb__admin__descriptor, "WhoHolds", &q.base, &m, &st),
		    LT_STATUS_OK);
		r = (const Ltpb__WhoHoldsReply *)m;
		assert_in_range(r->n_holding, 0, 100);
		assert_false(r->behind);
		n += tick_off(r, seen);
		assert_in_range(r->next_page_token.len, 0, 512);
		if (r->next_page_token.len != 0)
			memcpy(token, r->next_page_token.data, r->next_page_token.len);
		q.page_token.data = token;
		q.page_token.len = r->next_page_token.len;
		protobuf_c_message_free_unpacked(m, NULL);
		if (pages++ == 0) {
			q.value = (char *)"0991";
			assert_int_equal(fed_ask(&officer, &ltpb__admin__descriptor, "WhoHolds",
					     &q.base, &m, &st),
			    LT_STATUS_INVALID_ARGUMENT);
			q.value = (char *)NUMBER;
		}
	} while (q.page_token.len != 0);
	assert_int_equal(n, MANY);
	assert_true(pages >= 2 * MANY / 100);
	fed_hang_up(&officer);
	end(&w);
}

#define ACTS 40
#define ACT_CHANGES 800 /* an act of some 50,000 bytes */
#define ACTS_AT_ONCE 8

/* Acts over changes that nobody has, several to a change-set. */
static void
large_acts(struct world *w)
{
	static const char *fields[] = { "applicant_name" };
	static struct lt_erased e[ACT_CHANGES];
	struct lt_unit unit = erasing().unit;
	char key[ACTS_AT_ONCE][24];
	size_t i, k;

	for (i = 0; i < ACT_CHANGES; i++) {
		e[i] = (struct lt_erased){ .seq = i + 1, .nfield = 1, .field = fields };
		memset(e[i].feed.b, 7, LT_FEED_LEN);
	}
	for (i = 0; i < ACTS; i += ACTS_AT_ONCE) {
		struct lt_write wr[ACTS_AT_ONCE];
		Ltpb__FieldSet fs[ACTS_AT_ONCE], *set[ACTS_AT_ONCE];
		Ltpb__Value v[ACTS_AT_ONCE];
		struct lt_buf dots = { 0 };
		struct lt_err err = { "" };

		assert_int_equal(lt_erased_pack(e, ACT_CHANGES, &dots), LT_OK);
		for (k = 0; k < ACTS_AT_ONCE; k++) {
			(void)snprintf(key[k], sizeof(key[k]), "%zu", 1000 + (i + k) * 37 % ACTS);
			ltpb__field_set__init(&fs[k]);
			ltpb__value__init(&v[k]);
			v[k].v_case = LTPB__VALUE__V_BYTES;
			v[k].bytes.data = dots.data;
			v[k].bytes.len = dots.len;
			fs[k].name = (char *)"dots";
			fs[k].value = &v[k];
			set[k] = &fs[k];
			wr[k] = (struct lt_write){ .collection = "_erase",
				.key = key[k],
				.set = &set[k],
				.nset = 1,
				.builtin = true,
				.writer = LT_WRITER_PROVINCE };
		}
		assert_int_equal(
		    lt_hub_write(w->f.hub, &unit, wr, ACTS_AT_ONCE, &w->arena, &err), LT_OK);
		lt_buf_fini(&dots);
	}
}

/* A page is no larger than a message; every act stands on one, and every change-set with acts on one, once. */
static void
listed_in_pages(void **state)
{
	Ltpb__ListErasuresRequest q = LTPB__LIST_ERASURES_REQUEST__INIT;
	struct lt_hash seen[ACTS];
	struct fed_peer officer;
	struct lt_status st;
	struct world w;
	uint8_t token[600];
	size_t acts = 0, sets = 0, pages = 0, i, k;

	(void)state;
	begin(&w);
	operator_with(&w, &officer, "all");
	large_acts(&w);
	q.changesets = true;
	do {
		ProtobufCMessage *m = NULL;
		const Ltpb__ListErasuresReply *r;

		assert_int_equal(
		    fed_ask(&officer, &ltpb__admin__descriptor, "ListErasures", &q.base, &m, &st),
		    LT_STATUS_OK);
		r = (const Ltpb__ListErasuresReply *)m;
		assert_in_range(protobuf_c_message_get_packed_size(m), 1, 780 * 1024);
		acts += r->n_act;
		for (i = 0; i < r->n_changeset; i++) {
			struct lt_changeset cs;

			assert_int_equal(
			    lt_changeset_parse(lt_slice(r->changeset[i].data, r->changeset[i].len),
				&w.arena, &cs, NULL),
			    LT_OK);
			for (k = 0; k < sets; k++)
				assert_false(lt_hash_eq(&seen[k], &cs.hash));
			assert_in_range(sets, 0, ACTS - 1);
			seen[sets++] = cs.hash;
		}
		if (r->next_page_token.len != 0)
			memcpy(token, r->next_page_token.data, r->next_page_token.len);
		q.page_token.data = token;
		q.page_token.len = r->next_page_token.len;
		protobuf_c_message_free_unpacked(m, NULL);
		pages++;
	} while (q.page_token.len != 0);
	assert_int_equal(acts, ACTS);
	assert_in_range(sets, ACTS / ACTS_AT_ONCE, ACTS - 1);
	assert_true(pages > 2);
	fed_hang_up(&officer);
	end(&w);
}

/* The list has who, when and why, and the signed acts. */
static void
listed(void **state)
{
	Ltpb__ListErasuresRequest q = LTPB__LIST_ERASURES_REQUEST__INIT;
	Ltpb__ListErasuresReply *r;
	struct lt_changeset cs;
	struct fed_peer officer;
	Ltpb__EraseReply *e;
	struct lt_status st;
	ProtobufCMessage *m = NULL;
	struct lt_erased *named;
	struct world w;
	size_t n;

	(void)state;
	begin(&w);
	operator_with(&w, &officer, "all");
	assert_int_equal(ask_erase(&officer, true, BASIS, &e, &st), LT_STATUS_OK);
	protobuf_c_message_free_unpacked(&e->base, NULL);
	q.changesets = true;
	assert_int_equal(
	    fed_ask(&officer, &ltpb__admin__descriptor, "ListErasures", &q.base, &m, &st),
	    LT_STATUS_OK);
	r = (Ltpb__ListErasuresReply *)m;
	assert_int_equal(r->n_act, 1);
	assert_string_equal(r->act[0]->unit, UNIT);
	assert_string_equal(r->act[0]->reason, "withdrawn");
	assert_string_equal(r->act[0]->basis, BASIS);
	assert_int_equal(r->act[0]->by.len, LT_ID_LEN);
	assert_memory_equal(r->act[0]->by.data, officer.id.principal.b, LT_ID_LEN);
	assert_int_equal(r->act[0]->changes, 1);
	assert_int_equal(r->act[0]->values, 2);
	assert_true(r->act[0]->time_ms > 0);
	assert_int_equal(r->n_changeset, 1);
	assert_int_equal(lt_changeset_parse(lt_slice(r->changeset[0].data, r->changeset[0].len),
			     &w.arena, &cs, NULL),
	    LT_OK);
	assert_int_equal(lt_changeset_verify_signature(&cs, w.f.hub_id->sign.pk), LT_OK);
	assert_int_equal(lt_erased_of(&cs.change[0], &w.arena, &named, &n), LT_OK);
	assert_int_equal(n, 1);
	assert_null(memmem(r->changeset[0].data, r->changeset[0].len, NUMBER, strlen(NUMBER)));
	protobuf_c_message_free_unpacked(m, NULL);
	fed_hang_up(&officer);
	end(&w);
}

static Ltpb__ListErasuresReply *
list_of(struct fed_peer *p)
{
	Ltpb__ListErasuresRequest q = LTPB__LIST_ERASURES_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	q.changesets = true;
	assert_int_equal(
	    fed_ask(p, &ltpb__admin__descriptor, "ListErasures", &q.base, &m, &st), LT_STATUS_OK);
	return (Ltpb__ListErasuresReply *)m;
}

/* An act whose record is damaged is named, and its change-set is there; where that is, too, the others are on the list all the same. */
static void
list_is_damaged(void **state)
{
	struct lt_erasing e = erasing();
	struct lt_erasing_report first, second;
	struct lt_err err = { "" };
	Ltpb__ListErasuresReply *r;
	struct fed_peer officer;
	char number[24];
	struct world w;
	const char *why;
	uint8_t key[8];
	size_t i, bad;

	(void)state;
	begin(&w);
	operator_with(&w, &officer, "all");
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &first, &why, &err), LT_OK);
	e.key = "H41.65-261120-0002";
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &second, &why, &err), LT_OK);
	(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)first.act[0]);
	damage_shown(&w, "_erase", number);
	r = list_of(&officer);
	assert_int_equal(r->n_act, 2);
	assert_int_equal(r->n_changeset, 2);
	assert_int_equal(r->unreadable, 0);
	for (i = bad = 0; i < 2; i++) {
		bool is_first = strcmp(r->act[i]->number, number) == 0;

		assert_string_equal(r->act[i]->unit, UNIT);
		assert_int_equal(r->act[i]->damaged, is_first);
		assert_string_equal(r->act[i]->basis, is_first ? "" : BASIS);
		bad += is_first;
	}
	assert_int_equal(bad, 1);
	protobuf_c_message_free_unpacked(&r->base, NULL);
	lt_store_u64(key, first.position);
	assert_int_equal(
	    lt_kv_test_flip(lt_hub_log(w.f.hub), LT_T_ENTRY, lt_slice(key, 8), 900, NULL), LT_OK);
	r = list_of(&officer);
	assert_int_equal(r->n_act, 2);
	assert_int_equal(r->n_changeset, 1);
	protobuf_c_message_free_unpacked(&r->base, NULL);
	fed_hang_up(&officer);
	end(&w);
}

/* ---- backups ---- */

static void
back_up(const char *dir, const struct lt_identity *id, const char *path)
{
	struct lt_backup_options o = { .dir = dir,
		.path = path,
		.identity = id,
		.keys = id->role == LTPB__ROLE__ROLE_NODE,
		.now_ms = 1 };
	struct lt_backup_info info;
	struct lt_backup_error e;

	if (lt_backup_make(&o, &info, &e) != LT_OK)
		fail_msg("%s", e.err.text);
}

static int
put_back(const char *path, const char *dir, const struct lt_identity *id, const struct lt_buf *list,
    struct lt_backup_error *e)
{
	struct lt_restore_options o = { .path = path, .dir = dir, .identity = id, .now_ms = 2 };
	struct lt_backup_info info;

	o.erasures = lt_buf_slice(list);
	return lt_restore(&o, &info, e);
}

/* The first change-set of the hub's log that is the node's. */
static ProtobufCBinaryData
a_nodes_own(struct world *w)
{
	ProtobufCBinaryData out = { 0, NULL };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_id author;
	struct lt_entry e;
	uint64_t position;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	for (position = 1; out.data == NULL; position++) {
		assert_int_equal(lt_feed_log_read(txn, position, &e), LT_OK);
		assert_int_equal(lt_changeset_parse(e.changeset, &w->arena, &cs, NULL), LT_OK);
		author = lt_feed_author(&cs.feed);
		if (!lt_id_eq(&author, &w->n.id->principal))
			continue;
		out.data = lt_arena_dup(&w->arena, e.changeset.data, e.changeset.len);
		out.len = e.changeset.len;
		assert_non_null(out.data);
	}
	lt_kv_abort(txn);
	return out;
}

/* As `ltctl erase list --export` writes it; before the acts stands what is not by the hub, and is passed by. */
static void
export_list(struct world *w, struct lt_buf *out)
{
	Ltpb__ListErasuresRequest q = LTPB__LIST_ERASURES_REQUEST__INIT;
	Ltpb__Erasures list = LTPB__ERASURES__INIT;
	ProtobufCBinaryData set[8] = { a_nodes_own(w) };
	Ltpb__ListErasuresReply *r;
	ProtobufCMessage *m = NULL;
	struct fed_peer local;
	struct lt_status st;
	uint8_t *p;
	size_t i;

	fed_local(&w->f, &local);
	q.changesets = true;
	assert_int_equal(
	    fed_ask(&local, &ltpb__admin__descriptor, "ListErasures", &q.base, &m, &st),
	    LT_STATUS_OK);
	r = (Ltpb__ListErasuresReply *)m;
	list.version = 1;
	assert_true(r->n_changeset < 8);
	for (i = 0; i < r->n_changeset; i++)
		set[i + 1] = r->changeset[i];
	list.n_changeset = r->n_changeset + 1;
	list.changeset = set;
	list.certificate = r->certificate;
	list.certificate_before = r->certificate_before;
	list.n_certificate_before = r->n_certificate_before;
	p = lt_buf_reserve(out, ltpb__erasures__get_packed_size(&list));
	assert_non_null(p);
	lt_buf_added(out, ltpb__erasures__pack(&list, p));
	protobuf_c_message_free_unpacked(m, NULL);
	fed_hang_up(&local);
}

static struct lt_kv *
open_store(const char *dir, const char *name, enum lt_kv_kind kind, const struct lt_fed *fed)
{
	struct lt_err err = { "" };
	struct lt_kv *kv;

	if (lt_tables_open(dir, name, kind, fed, 0, &kv, &err) != LT_OK)
		fail_msg("%s", err.text);
	return kv;
}

static void
folders(char *base, size_t cap)
{
	(void)snprintf(base, cap, "/tmp/lt-erase-XXXXXX");
	assert_non_null(mkdtemp(base));
}

static void
remove_folders(const char *base)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", base);
	assert_int_equal(system(cmd), 0);
}

/* A copy of before the erasure has it again; put back with the list, it has not, before anything serves it. */
static void
old_backups(void **state)
{
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	struct lt_backup_error be;
	struct lt_buf list = { 0 }, none = { 0 };
	char base[64], path[4][96];
	const struct lt_fed *fed;
	struct lt_kv *kv;
	struct world w;
	const char *why;
	size_t i;

	(void)state;
	folders(base, sizeof(base));
	for (i = 0; i < 4; i++)
		(void)snprintf(path[i], sizeof(path[i]), "%s/%zu", base, i);
	begin(&w);
	fed = &w.f.hub_id->federation;
	fed_node_stop(&w.n);
	back_up(w.n.dir, w.n.id, path[0]);
	fed_hub_stop(&w.f);
	back_up(w.f.dir, w.f.hub_id, path[1]);
	fed_hub_start(&w.f);
	fed_node_start(&w.f, &w.n);
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	fed_wait(node_follows, &w.n, WAIT_MS, "the node has let go of it");
	export_list(&w, &list);

	/* A node, without the list and with it. */
	assert_int_equal(put_back(path[0], path[2], NULL, &none, &be), LT_OK);
	kv = open_store(path[2], "store", LT_KV_NODE, fed);
	assert_int_equal(count_in(kv, LT_T_SHOWN, NUMBER), 2);
	lt_kv_close(kv);
	remove_folders(path[2]);
	if (put_back(path[0], path[2], NULL, &list, &be) != LT_OK)
		fail_msg("%s", be.err.text);
	kv = open_store(path[2], "store", LT_KV_NODE, fed);
	assert_int_equal(count_all(kv, NUMBER), 3);
	assert_int_equal(count_in(kv, LT_T_SHOWN, NUMBER), 1);
	feeds_verify(kv);
	lt_kv_close(kv);

	/* The hub: its tables are made from the log. */
	if (put_back(path[1], path[3], w.f.hub_id, &list, &be) != LT_OK)
		fail_msg("%s", be.err.text);
	kv = open_store(path[3], "log", LT_KV_HUB_LOG, fed);
	assert_int_equal(count_all(kv, NUMBER), 1);
	feeds_verify(kv);
	lt_kv_close(kv);
	remove_folders(path[3]);

	/* A list that is altered, another's or none: nothing is restored. */
	list.data[list.len / 3] ^= 1;
	assert_int_not_equal(put_back(path[1], path[3], w.f.hub_id, &list, &be), LT_OK);
	assert_int_equal(be.why, LT_BACKUP_ERASURES);
	lt_buf_clear(&list);
	lt_buf_str(&list, "no list");
	assert_int_not_equal(put_back(path[1], path[3], w.f.hub_id, &list, &be), LT_OK);
	assert_int_equal(be.why, LT_BACKUP_ERASURES);
	lt_buf_fini(&list);
	end(&w);
	remove_folders(base);
}

/* A hub restored from before the act, without a list: its node gives the act back, and sends the change-sets without what was erased;
 * they are receipted all the same. */
static bool
hub_has_all_but_that(void *ctx)
{
	struct world *w = ctx;
	char text[256];

	return at_hub(w) && count_in(lt_hub_log(w->f.hub), LT_T_OPENING, NUMBER) == 1 &&
	       !fed_hub_field(&w->f, UNIT, 1, "applicant_id_no", text, sizeof(text));
}

static void
restored_hub(void **state)
{
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	struct lt_backup_error be;
	struct lt_buf none = { 0 };
	char base[64], path[96], cmd[700];
	struct world w;
	const char *why;

	(void)state;
	folders(base, sizeof(base));
	(void)snprintf(path, sizeof(path), "%s/hub", base);
	memset(&w, 0, sizeof(w));
	lt_arena_init(&w.arena, (size_t)64 << 20);
	fed_setup(&w.f);
	fed_node_setup(&w.f, &w.n, UNIT);
	fed_node_start(&w.f, &w.n);
	fed_wait(has_catalogue, &w.n, WAIT_MS, "the node has the catalogue");
	fed_hub_stop(&w.f);
	back_up(w.f.dir, w.f.hub_id, path); /* before any dossier */
	fed_hub_start(&w.f);
	assert_int_equal(fed_put_dossier(&w.n, 1, NULL, NULL), LT_OK);
	assert_int_equal(fed_put_dossier(&w.n, 2, NULL, NULL), LT_OK);
	assert_int_equal(fed_put_dossier(&w.n, 1, "dang_xu_ly", NULL), LT_OK);
	fed_wait(at_hub, &w, WAIT_MS, "both dossiers are at the hub");
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	fed_wait(node_follows, &w.n, WAIT_MS, "the node has let go of it");

	fed_hub_stop(&w.f);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w.f.dir);
	assert_int_equal(system(cmd), 0);
	if (put_back(path, w.f.dir, w.f.hub_id, &none, &be) != LT_OK)
		fail_msg("%s", be.err.text);
	fed_hub_start(&w.f);
	fed_wait(hub_has_all_but_that, &w, 2 * WAIT_MS, "the hub has it back, without that");
	feeds_verify(lt_hub_log(w.f.hub));
	end(&w);
	remove_folders(base);
}

static size_t
acts_listed(struct fed_peer *p, size_t *changesets)
{
	Ltpb__ListErasuresRequest q = LTPB__LIST_ERASURES_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	size_t n, i;

	q.changesets = true;
	assert_int_equal(
	    fed_ask(p, &ltpb__admin__descriptor, "ListErasures", &q.base, &m, &st), LT_STATUS_OK);
	n = ((Ltpb__ListErasuresReply *)m)->n_act;
	*changesets = ((Ltpb__ListErasuresReply *)m)->n_changeset;
	for (i = 0; i < n; i++) {
		assert_string_equal(((Ltpb__ListErasuresReply *)m)->act[i]->basis, BASIS);
		assert_int_equal(((Ltpb__ListErasuresReply *)m)->act[i]->values, 2);
	}
	protobuf_c_message_free_unpacked(m, NULL);
	return n;
}

static bool
third_at_hub(void *ctx)
{
	struct world *w = ctx;
	char text[256];

	return fed_hub_field(&w->f, UNIT, 3, "status", text, sizeof(text));
}

static bool
hub_is_well(void *ctx)
{
	const struct world *w = ctx;

	return !lt_hub_recovering(w->f.hub);
}

/* Of an act that only the lost hub held the list is what is left: the hub has it in its lists at once, and says it again once it signs, so
 * that the node which never heard of it lets go of the value too. */
static void
said_again(void **state)
{
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	struct lt_backup_error be;
	struct lt_buf list = { 0 };
	char base[64], path[96], cmd[700];
	struct fed_peer officer;
	struct world w;
	const char *why;
	size_t sets;

	(void)state;
	folders(base, sizeof(base));
	(void)snprintf(path, sizeof(path), "%s/hub", base);
	begin(&w);
	assert_int_equal(fed_put_dossier(&w.n, 3, NULL, NULL), LT_OK);
	fed_wait(third_at_hub, &w, WAIT_MS, "the third dossier is at the hub");
	operator_with(&w, &officer, "all");
	fed_hang_up(&officer);
	fed_node_stop(&w.n);
	fed_hub_stop(&w.f);
	back_up(w.f.dir, w.f.hub_id, path);
	fed_hub_start(&w.f);
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	/* What the key of before signed stands in the list beside what the one of now has. */
	fed_hub_stop(&w.f);
	fed_hub_rekey(&w.f);
	fed_hub_start(&w.f);
	e.key = "H41.65-261120-0003";
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	assert_int_equal(r.values, 2);
	export_list(&w, &list);

	fed_hub_stop(&w.f);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w.f.dir);
	assert_int_equal(system(cmd), 0);
	if (put_back(path, w.f.dir, w.f.hub_id, &list, &be) != LT_OK)
		fail_msg("%s", be.err.text);
	fed_hub_start(&w.f);
	assert_true(lt_hub_recovering(w.f.hub));
	assert_int_equal(
	    lt_hub_wait_projected(w.f.hub, lt_hub_log_position(w.f.hub), WAIT_MS), LT_OK);
	assert_int_equal(fed_dial(&w.f, &officer), LT_OK);
	assert_int_equal(acts_listed(&officer, &sets), 2);
	assert_int_equal(sets, 2);
	fed_hang_up(&officer);
	fed_node_start(&w.f, &w.n);
	fed_wait(hub_is_well, &w, WAIT_MS, "the hub has heard its node");
	fed_wait(node_follows, &w.n, WAIT_MS, "the node has let go of it");
	assert_int_equal(
	    lt_hub_wait_projected(w.f.hub, lt_hub_log_position(w.f.hub), WAIT_MS), LT_OK);
	assert_int_equal(count_in(lt_hub_log(w.f.hub), LT_T_LOCAL, "unsaid/"), 0);
	assert_int_equal(fed_dial(&w.f, &officer), LT_OK);
	assert_int_equal(acts_listed(&officer, &sets), 2);
	assert_int_equal(sets, 2);
	fed_hang_up(&officer);
	hub_has_let_go(&w);

	/* Once: another start says nothing more. */
	fed_hub_stop(&w.f);
	fed_hub_start(&w.f);
	assert_int_equal(fed_dial(&w.f, &officer), LT_OK);
	assert_int_equal(acts_listed(&officer, &sets), 2);
	assert_int_equal(sets, 2);
	fed_hang_up(&officer);
	lt_buf_fini(&list);
	end(&w);
	remove_folders(base);
}

/* ---- kill -9 in the middle of an erasure ---- */

/* What the child does: the hub of this folder, without a line, erases. */
static int
erase_and_end(const char *dir)
{
	struct lt_hub_options o = {
		.dir = dir, .clock = lt_clock_system(), .map_bytes = (uint64_t)1 << 30
	};
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	struct lt_identity *id;
	struct lt_arena arena;
	struct lt_hub *hub;
	const char *why;

	lt_arena_init(&arena, (size_t)64 << 20);
	if (lt_identity_load(dir, &id, &err) != LT_OK)
		return 3;
	o.identity = id;
	if (lt_hub_open(&o, &hub, &err) != LT_OK)
		return 4;
	return lt_hub_erase(hub, &e, &arena, &r, &why, &err) == LT_OK ? 0 : 5;
}

static void
killed_at(const struct world *w, const char *point)
{
	char *argv[] = { (char *)"test_erase", (char *)"erase", (char *)w->f.dir, NULL };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setenv("LIENTHONG_FAILPOINT", point, 1);
		(void)execv("/proc/self/exe", argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Before the commit nothing is gone and nothing is said; from the commit on all of it is, act and openings, and tables and node follow. */
static void
killed_in_the_middle(void **state)
{
	char text[256];
	struct world w;
	uint64_t position;

	(void)state;
	begin(&w);
	position = lt_hub_log_position(w.f.hub);
	fed_hub_stop(&w.f);
	killed_at(&w, "writer.before_commit");
	fed_hub_start(&w.f);
	assert_true(lt_hub_log_position(w.f.hub) >= position);
	assert_true(fed_hub_field(&w.f, UNIT, 1, "applicant_id_no", text, sizeof(text)));
	assert_int_equal(count_in(lt_hub_log(w.f.hub), LT_T_OPENING, NUMBER), 2);
	assert_int_equal(count_in(lt_hub_log(w.f.hub), LT_T_LOCAL, "erased/"), 0);

	fed_hub_stop(&w.f);
	killed_at(&w, "writer.after_commit");
	fed_hub_start(&w.f);
	assert_int_equal(
	    lt_hub_wait_projected(w.f.hub, lt_hub_log_position(w.f.hub), WAIT_MS), LT_OK);
	hub_has_let_go(&w);
	fed_wait(node_follows, &w.n, WAIT_MS, "the node has let go of it");
	end(&w);
}

/* ---- compaction ---- */

/* How often a text stands in a file, whatever is meant by it there. */
static size_t
count_in_file(const char *dir, const char *name, const char *text)
{
	struct lt_err err = { "" };
	struct lt_buf b = { 0 };
	char path[256];
	size_t n = 0, len = strlen(text);
	const uint8_t *p;

	(void)snprintf(path, sizeof(path), "%s/%s/data.mdb", dir, name);
	lt_buf_init(&b, (size_t)256 << 20);
	if (lt_file_read(path, (size_t)256 << 20, &b, &err) != LT_OK)
		fail_msg("%s", err.text);
	for (p = b.data; (p = memmem(p, b.len - (size_t)(p - b.data), text, len)) != NULL; p++)
		n++;
	lt_buf_fini(&b);
	return n;
}

static bool
fourth_at_hub(void *ctx)
{
	struct world *w = ctx;
	char text[256];

	return fed_hub_field(&w->f, UNIT, 4, "applicant_id_no", text, sizeof(text));
}

static bool
node_has_let_go_of_both(void *ctx)
{
	const struct world *w = ctx;

	return count_all(lt_node_kv(w->n.node), NUMBER) == 0;
}

/* Two dossiers, and the node has let go of what the hub erased of them. *before: of the second one's last change. */
static void
erase_both(struct world *w, struct lt_dot *before)
{
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	const char *why;

	assert_int_equal(fed_put_dossier(&w->n, 2, "dang_xu_ly", before), LT_OK);
	assert_int_equal(lt_hub_erase(w->f.hub, &e, &w->arena, &r, &why, &err), LT_OK);
	e.key = "H41.65-261120-0002";
	assert_int_equal(lt_hub_erase(w->f.hub, &e, &w->arena, &r, &why, &err), LT_OK);
	fed_wait(node_has_let_go_of_both, w, WAIT_MS, "the node has let go of both");
}

/* In LMDB's file old pages keep what was erased; after a compaction of the stopped machines no byte of it is on their disks, and they go on
 * where they were: no new epoch, the same log. */
static void
no_byte_is_left(void **state)
{
	struct lt_compact_report c;
	struct lt_err err = { "" };
	uint8_t incarnation[16];
	uint64_t derived = 0;
	struct lt_dot before, after;
	struct world w;

	(void)state;
	begin(&w);
	erase_both(&w, &before);
	memcpy(incarnation, lt_kv_incarnation(lt_hub_log(w.f.hub)), sizeof(incarnation));
	assert_int_equal(
	    lt_store_compact(w.n.dir, "store", LT_KV_NODE, &w.f.hub_id->federation, &c, &err),
	    LT_E_BUSY);
	fed_node_stop(&w.n);
	fed_hub_stop(&w.f);
	assert_true(count_in_file(w.n.dir, "store", NUMBER) +
			count_in_file(w.f.dir, "log", NUMBER) +
			count_in_file(w.f.dir, "derived", NUMBER) !=
		    0);

	if (lt_store_compact(w.n.dir, "store", LT_KV_NODE, &w.f.hub_id->federation, &c, &err) !=
		LT_OK ||
	    lt_store_compact(w.f.dir, "log", LT_KV_HUB_LOG, &w.f.hub_id->federation, &c, &err) !=
		LT_OK ||
	    lt_store_drop_derived(w.f.dir, "derived", &derived, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_int_equal(c.bad, 0);
	assert_in_range(c.after, 4096, c.before);
	assert_true(derived != 0);
	assert_int_equal(count_in_file(w.n.dir, "store", NUMBER), 0);
	assert_int_equal(count_in_file(w.n.dir, "store", NAME), 0);
	assert_int_equal(count_in_file(w.f.dir, "log", NUMBER), 0);
	assert_int_equal(count_in_file(w.f.dir, "log", NAME), 0);

	fed_hub_start(&w.f);
	fed_node_start(&w.f, &w.n);
	assert_memory_equal(
	    lt_kv_incarnation(lt_hub_log(w.f.hub)), incarnation, sizeof(incarnation));
	assert_int_equal(fed_put_dossier(&w.n, 2, "da_giai_quyet", &after), LT_OK);
	assert_int_equal(lt_feed_id_cmp(&before.feed, &after.feed), 0);
	assert_int_equal(fed_put_dossier(&w.n, 4, NULL, NULL), LT_OK);
	fed_wait(fourth_at_hub, &w, WAIT_MS, "another dossier is at the hub");
	feeds_verify(lt_hub_log(w.f.hub));
	feeds_verify(lt_node_kv(w.n.node));
	end(&w);
}

/* Nobody runs anything by hand: the machines compact when they start the next time, once, and go on where they were. */
static void
compacted_at_a_start(void **state)
{
	struct lt_dot before, after;
	struct world w;

	(void)state;
	begin(&w);
	erase_both(&w, &before);
	fed_node_stop(&w.n);
	fed_hub_stop(&w.f);
	assert_true(
	    count_in_file(w.n.dir, "store", NUMBER) + count_in_file(w.f.dir, "log", NUMBER) != 0);
	fed_hub_start(&w.f);
	fed_node_start(&w.f, &w.n);
	assert_false(lt_compact_is_owed(lt_hub_log(w.f.hub)));
	assert_false(lt_compact_is_owed(lt_node_kv(w.n.node)));
	assert_int_equal(
	    lt_hub_wait_projected(w.f.hub, lt_hub_log_position(w.f.hub), WAIT_MS), LT_OK);
	assert_int_equal(count_in_file(w.n.dir, "store", NUMBER), 0);
	assert_int_equal(count_in_file(w.f.dir, "log", NUMBER), 0);
	assert_int_equal(count_in_file(w.f.dir, "derived", NUMBER), 0);
	assert_int_equal(fed_put_dossier(&w.n, 2, "da_giai_quyet", &after), LT_OK);
	assert_int_equal(lt_feed_id_cmp(&before.feed, &after.feed), 0);
	assert_int_equal(fed_put_dossier(&w.n, 4, NULL, NULL), LT_OK);
	fed_wait(fourth_at_hub, &w, WAIT_MS, "another dossier is at the hub");
	feeds_verify(lt_hub_log(w.f.hub));
	feeds_verify(lt_node_kv(w.n.node));
	end(&w);
}

/* Killed when the log has the act and the tables do not show it yet: they are of before it, and go on from there. */
static void
killed_between(void **state)
{
	struct lt_erasing e = erasing();
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	char cmd[900];
	struct world w;
	const char *why;

	(void)state;
	begin(&w);
	fed_hub_stop(&w.f);
	(void)snprintf(cmd, sizeof(cmd), "cp -a '%s/derived' '%s/before'", w.f.dir, w.f.dir);
	assert_int_equal(system(cmd), 0);
	fed_hub_start(&w.f);
	assert_int_equal(lt_hub_erase(w.f.hub, &e, &w.arena, &r, &why, &err), LT_OK);
	fed_hub_stop(&w.f);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s/derived' && mv '%s/before' '%s/derived'",
	    w.f.dir, w.f.dir, w.f.dir);
	assert_int_equal(system(cmd), 0);
	fed_hub_start(&w.f);
	assert_int_equal(
	    lt_hub_wait_projected(w.f.hub, lt_hub_log_position(w.f.hub), WAIT_MS), LT_OK);
	hub_has_let_go(&w);
	end(&w);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gone_everywhere),
		cmocka_unit_test(named_fields),
		cmocka_unit_test(refused),
		cmocka_unit_test(words_of_a_basis),
		cmocka_unit_test(found_and_erased),
		cmocka_unit_test(one_is_damaged),
		cmocka_unit_test(shown_is_damaged),
		cmocka_unit_test(changeset_is_damaged),
		cmocka_unit_test(list_is_damaged),
		cmocka_unit_test(many_hold),
		cmocka_unit_test(listed),
		cmocka_unit_test(listed_in_pages),
		cmocka_unit_test(killed_between),
		cmocka_unit_test(killed_in_the_middle),
		cmocka_unit_test(old_backups),
		cmocka_unit_test(restored_hub),
		cmocka_unit_test(said_again),
		cmocka_unit_test(no_byte_is_left),
		cmocka_unit_test(compacted_at_a_start),
	};

	if (argc == 3 && strcmp(argv[1], "erase") == 0)
		return erase_and_end(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
