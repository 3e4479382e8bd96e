/* What is damaged at a node comes back from its hub, and at the hub from its nodes: who is asked for what and when, that the bytes are as
 * before, and that nothing is taken from who answers with something else. */
#include "hub/erase.h"
#include "hub/repair.h"
#include "node/repair.h"
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv_test.h"
#include "tests/lib/memnode.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANNOUNCE "/lienthong.v1.Sync/Announce"
#define SUPPLY "/lienthong.v1.Sync/Supply"
#define STEPS_MAX 100000
#define ITEMS_MAX 4

/* What stands in the log: the places that are damaged in a test. */
struct place {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq, position;
};

struct world {
	struct memnode_story story;
	struct memfed_marks told;
	struct lt_hub_repair *hub;
	struct lt_node_repair *node;
	struct lt_session *session; /* of node a, with the repair */
	struct lt_arena arena;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct lt_session_options so = { 0 };
	unsigned i;

	assert_non_null(w);
	lt_arena_init(&w->arena, (size_t)128 << 20);
	memnode_begin(&w->story, true, &w->told);
	for (i = 1; i <= 3; i++) {
		memnode_put(&w->story, &w->story.a, i, NULL);
		(void)memnode_sync(&w->story, &w->story.a);
	}
	(void)memnode_sync(&w->story, &w->story.b);
	assert_int_equal(lt_hub_repair_open(w->story.m.f.hub, &w->hub), LT_OK);
	w->story.m.f.service.repair = w->hub;
	assert_int_equal(lt_node_repair_open(w->story.a.n.node, &w->node), LT_OK);
	so.node = w->story.a.n.node;
	so.repair = w->node;
	assert_int_equal(lt_session_new(&so, &w->session), LT_OK);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	lt_session_free(w->session);
	lt_node_repair_close(w->node);
	w->story.m.f.service.repair = NULL;
	lt_hub_repair_close(w->hub);
	memnode_end(&w->story);
	lt_arena_fini(&w->arena);
	free(w);
	return 0;
}

/* ---- stores ---- */

struct finding_feed {
	struct lt_id author;
	struct place *out;
};

static int
note_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct finding_feed *f = ctx;
	struct lt_id author = lt_feed_author(feed);

	if (!lt_id_eq(&author, &f->author) || head->seq < f->out->seq)
		return LT_OK;
	f->out->unit = *unit;
	f->out->feed = *feed;
	return LT_E_CANCELLED;
}

/* The change-set of this number in a feed that somebody wrote. */
static struct place
place_of(struct lt_kv *kv, const struct lt_id *author, const char *unit, uint64_t seq)
{
	struct place p = { .seq = seq };
	struct finding_feed f = { *author, &p };
	struct lt_kv_txn *txn;
	struct lt_unit u;

	assert_int_equal(lt_unit_set(&u, lt_slice_str(unit)), LT_OK);
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, &u, note_feed, &f), LT_E_CANCELLED);
	assert_int_equal(lt_feed_log_find(txn, &p.unit, &p.feed, seq, &p.position), LT_OK);
	lt_kv_abort(txn);
	return p;
}

static void
damage_entry(struct lt_kv *kv, const struct place *p)
{
	uint8_t key[8];

	lt_store_u64(key, p->position);
	assert_int_equal(lt_kv_test_flip(kv, LT_T_ENTRY, lt_slice(key, 8), 900, NULL), LT_OK);
}

/* The first of its openings that begins so: 0 a value, 2 one that was erased. */
static void
damage_row(struct lt_kv *kv, const struct place *p, uint8_t kind)
{
	uint8_t from[8], key[512];
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	size_t len;

	lt_store_u64(from, p->position);
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_OPENING, &c), LT_OK);
	assert_int_equal(lt_kv_seek(c, lt_slice(from, 8), &k, &v), LT_OK);
	while (v.data[0] != kind)
		assert_int_equal(lt_kv_next(c, &k, &v), LT_OK);
	assert_true(k.len <= sizeof(key) && memcmp(k.data, from, 8) == 0);
	len = k.len;
	memcpy(key, k.data, len);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	assert_int_equal(lt_kv_test_flip(kv, LT_T_OPENING, lt_slice(key, len), 150, NULL), LT_OK);
}

static void
damage_opening(struct lt_kv *kv, const struct place *p)
{
	damage_row(kv, p, 0);
}

/* Log and openings, byte for byte; but when a change-set came here, which no other machine knows. */
static void
dump(struct lt_kv *kv, struct lt_buf *out)
{
	static const unsigned tables[] = { LT_T_ENTRY, LT_T_SEQ, LT_T_OPENING, LT_T_FEED };
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	size_t i;
	int rc;

	lt_buf_init(out, 0);
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		assert_int_equal(lt_kv_cursor_open(txn, tables[i], &c), LT_OK);
		for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
		     rc = lt_kv_next(c, &k, &v)) {
			lt_buf_put_slice(out, k);
			lt_buf_put_slice(out, v);
			if (tables[i] == LT_T_ENTRY)
				memset(out->data + out->len - v.len + 1, 0, 8);
		}
		assert_int_equal(rc, LT_E_NOTFOUND);
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(txn);
	assert_int_equal(out->err, LT_OK);
}

static void
same(struct lt_buf *before, struct lt_kv *kv)
{
	struct lt_buf now;

	dump(kv, &now);
	assert_int_equal(now.len, before->len);
	assert_memory_equal(now.data, before->data, now.len);
	lt_buf_fini(&now);
}

static struct lt_repair_status
status_of(struct lt_repairer *r)
{
	struct lt_repair_status st;

	lt_repairer_status(r, &st);
	return st;
}

static void
look(struct lt_repairer *r, size_t wanted)
{
	bool done = false;
	unsigned i;

	lt_repairer_look(r, false);
	for (i = 0; i < STEPS_MAX && !done; i++)
		assert_int_equal(lt_repairer_look_step(r, &done), LT_OK);
	assert_true(done);
	assert_int_equal(status_of(r).wanted, wanted);
}

/* ---- calls ---- */

struct heard {
	struct world *w;
	size_t n;
	ProtobufCMessage *item[ITEMS_MAX];
};

static void
hear(void *ctx, const ProtobufCMessage *m)
{
	struct heard *h = ctx;
	struct lt_err err = { "" };
	struct lt_buf b;
	uint8_t *copy;

	assert_true(h->n < ITEMS_MAX);
	lt_buf_init(&b, LT_MESSAGE_MAX);
	assert_int_equal(lt_wire_pack(m, LT_MESSAGE_MAX, &b), LT_OK);
	copy = lt_arena_dup(&h->w->arena, b.data, b.len);
	assert_non_null(copy);
	assert_int_equal(lt_wire_unpack(m->descriptor, lt_slice(copy, b.len), LT_MESSAGE_MAX,
			     &h->w->arena, &h->item[h->n++], &err),
	    LT_OK);
	lt_buf_fini(&b);
}

/* Node a asks its hub, or another answer is put in place of the hub's. */
static int
ask(struct world *w, enum lt_sync_action_kind kind, const ProtobufCMessage *instead,
    struct lt_session_call *c)
{
	const struct lt_sync_action a = { .kind = kind, .max_bytes = LT_SYNC_BATCH_MAX };
	struct lt_status st = { .code = LT_STATUS_OK };
	struct lt_session_request req;
	struct heard h = { .w = w };
	char method[128];
	int rc = lt_session_ask(w->session, &a, &w->arena, c, &req);

	if (rc != LT_OK)
		return rc;
	(void)snprintf(method, sizeof(method), "/%s/%s", req.service->name, req.method);
	if (instead == NULL)
		st.code = (enum lt_status_code)memfed_ask(
		    &w->story.m, &w->story.a.line, method, req.message, hear, &h);
	assert_int_equal(st.code, LT_STATUS_OK);
	lt_session_take(w->session, c, instead != NULL ? instead : h.item[0]);
	lt_session_end(w->session, c, &st);
	return LT_OK;
}

/* What a node of this line is asked for, with an announcement that says nothing. */
static const Ltpb__AnnounceReply *
announce(struct world *w, const struct lt_peer *line)
{
	Ltpb__AnnounceRequest r = LTPB__ANNOUNCE_REQUEST__INIT;
	struct heard h = { .w = w };

	assert_int_equal(memfed_ask(&w->story.m, line, ANNOUNCE, &r.base, hear, &h), LT_STATUS_OK);
	return (const Ltpb__AnnounceReply *)h.item[0];
}

static unsigned
supply(struct world *w, const struct lt_peer *line, struct lt_slice bytes)
{
	Ltpb__SupplyRequest r = LTPB__SUPPLY_REQUEST__INIT;
	ProtobufCBinaryData d = { bytes.len, (uint8_t *)bytes.data };
	struct heard h = { .w = w };

	r.change_set = &d;
	r.n_change_set = 1;
	assert_int_equal(memfed_ask(&w->story.m, line, SUPPLY, &r.base, hear, &h), LT_STATUS_OK);
	return ((const Ltpb__SupplyReply *)h.item[0])->taken;
}

/* ---- answers that are wrong ---- */

enum lie { GARBAGE, OTHER_NUMBER, BARE, BENT, FORGED, LIES };

/* Made from a store that is whole. In the arena. */
static struct lt_slice
tell_lie(struct world *w, enum lie lie, struct lt_kv *kv, const struct place *p)
{
	static const uint8_t garbage[] = { 0x0a, 0xff, 0xff, 0x03, 7 };
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct lt_entry e;
	struct lt_buf b;
	struct lt_slice out;
	uint64_t position;

	if (lie == GARBAGE)
		return lt_slice(garbage, sizeof(garbage));
	lt_buf_init(&b, LT_MESSAGE_MAX);
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	if (lie == FORGED) {
		/* Rightly signed, behind the same one: a second branch. */
		struct fed_peer as = { .id = *w->story.a.n.id };
		struct fed_feed feed;
		struct lt_draft d;

		fed_feed_init(&feed, &as, p->unit.s, LT_LANE_NORMAL, lt_feed_epoch(&p->feed));
		feed.id = p->feed;
		feed.seq = p->seq - 1;
		assert_int_equal(
		    lt_feed_log_hash(txn, &p->unit, &p->feed, p->seq - 1, &feed.hash), LT_OK);
		feed.next_stamp = lt_hlc_next(0, w->story.m.now_ms);
		fed_draft_dossier(&w->arena, &d, "H41.65-261120-0666");
		fed_seal(&w->story.m.f, &feed, &d, 1, &b);
	} else {
		assert_int_equal(lt_feed_log_find(txn, &p->unit, &p->feed,
				     p->seq + (lie == OTHER_NUMBER), &position),
		    LT_OK);
		assert_int_equal(lt_feed_log_read(txn, position, &e), LT_OK);
		if (lie == BARE)
			lt_buf_put_slice(&b, e.changeset);
		else
			assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, &b, &err), LT_OK);
		if (lie == BENT)
			b.data[b.len / 2] ^= 1;
	}
	lt_kv_abort(txn);
	out = lt_slice(lt_arena_dup(&w->arena, b.data, b.len), b.len);
	assert_non_null(out.data);
	lt_buf_fini(&b);
	return out;
}

/* ---- at the node ---- */

/* Of its own feed, of the commune's other node's and of the hub's; entries and openings. */
static void
test_node(void **state)
{
	struct world *w = *state;
	struct lt_kv *kv = w->story.a.kv;
	const struct lt_id *own = &w->story.a.n.id->principal;
	struct lt_repairer *r = lt_node_repair_repairer(w->node);
	struct place entry = place_of(kv, own, "17254", 1), opening = place_of(kv, own, "17254", 2),
		     hubs = place_of(kv, &w->story.m.f.hub_id->principal, "_", 2);
	struct lt_session_call c;
	struct lt_buf before;

	look(r, 0);
	assert_int_equal(ask(w, LT_SYNC_DO_FETCH, NULL, &c), LT_E_NOTFOUND);
	assert_true(c.ev.ok && !c.ev.tried);
	dump(kv, &before);
	damage_entry(kv, &entry);
	damage_opening(kv, &opening);
	damage_entry(kv, &hubs);
	look(r, 3);
	assert_int_equal(ask(w, LT_SYNC_DO_ANNOUNCE, NULL, &c), LT_OK);
	assert_true(c.ev.lacks && !c.ev.lost);
	assert_int_equal(ask(w, LT_SYNC_DO_FETCH, NULL, &c), LT_OK);
	assert_true(c.ev.ok && c.ev.tried && !c.ev.more);
	assert_int_equal(c.ev.seq, 3);
	assert_int_equal(status_of(r).repaired, 3);
	assert_int_equal(status_of(r).refused, 0);
	same(&before, kv);
	look(r, 0);
	lt_buf_fini(&before);
}

/* Nothing of a wrong answer is taken, and who gave it is not asked again before the next look; then the right one mends it. */
static void
test_node_is_lied_to(void **state)
{
	struct world *w = *state;
	struct lt_kv *kv = w->story.a.kv;
	struct lt_repairer *r = lt_node_repair_repairer(w->node);
	struct place entry = place_of(kv, &w->story.a.n.id->principal, "17254", 2);
	struct lt_session_call c;
	struct lt_buf before;
	unsigned lie;

	dump(kv, &before);
	damage_entry(kv, &entry);
	damage_opening(kv, &entry);
	for (lie = 0; lie < LIES; lie++) {
		Ltpb__FetchReply f = LTPB__FETCH_REPLY__INIT;
		struct lt_slice bytes = tell_lie(w, (enum lie)lie, w->story.m.log, &entry);
		ProtobufCBinaryData d = { bytes.len, (uint8_t *)bytes.data };

		if (lie == BARE)
			continue; /* of the entry it is a help */
		print_message("lie %u\n", lie);
		f.change_set = &d;
		f.n_change_set = 1;
		f.more = true;
		look(r, 1);
		assert_int_equal(ask(w, LT_SYNC_DO_FETCH, &f.base, &c), LT_OK);
		assert_true(c.ev.ok && c.ev.tried && !c.ev.more);
		assert_int_equal(c.ev.seq, 0);
		assert_int_equal(status_of(r).repaired, 0);
		assert_int_equal(status_of(r).wanted, 1);
		assert_int_equal(ask(w, LT_SYNC_DO_FETCH, NULL, &c), LT_E_NOTFOUND);
	}
	assert_true(status_of(r).refused + lt_node_repair_unwanted(w->node) >= LIES - 1);
	look(r, 1);
	assert_int_equal(ask(w, LT_SYNC_DO_FETCH, NULL, &c), LT_OK);
	assert_int_equal(c.ev.seq, 1);
	same(&before, kv);
	lt_buf_fini(&before);
}

/* ---- at the hub ---- */

/* The author first, others of its commune when it has had its time; what the hub wrote, whoever comes, one at a time. */
static void
test_who_is_asked(void **state)
{
	struct world *w = *state;
	struct lt_kv *kv = w->story.m.log;
	const struct lt_id *own = &w->story.a.n.id->principal;
	struct lt_repairer *r = lt_hub_repair_repairer(w->hub);
	struct place entry = place_of(kv, own, "17254", 1), opening = place_of(kv, own, "17254", 2),
		     hubs = place_of(kv, &w->story.m.f.hub_id->principal, "_", 2);
	const Ltpb__AnnounceReply *a;
	int64_t began = w->story.m.now_ms;

	assert_int_equal(announce(w, &w->story.b.line)->n_lost, 0);
	damage_entry(kv, &entry);
	damage_opening(kv, &opening);
	damage_entry(kv, &hubs);
	look(r, 3);
	a = announce(w, &w->story.b.line);
	assert_int_equal(a->n_lost, 1);
	assert_string_equal(a->lost[0]->unit, "_");
	assert_int_equal(a->lost[0]->seq, 2);
	a = announce(w, &w->story.a.line);
	assert_int_equal(a->n_lost, 2);
	assert_string_equal(a->lost[0]->unit, "17254");
	assert_string_equal(a->lost[1]->unit, "17254");
	assert_int_equal(announce(w, &w->story.a.line)->n_lost, 0);
	/* One turn later the others: a for what b was asked, b for what a was. */
	w->story.m.now_ms = began + LT_HUB_REPAIR_TURN_MS - 1000;
	assert_int_equal(announce(w, &w->story.b.line)->n_lost, 0);
	w->story.m.now_ms += 10000;
	assert_int_equal(announce(w, &w->story.a.line)->n_lost, 1);
	assert_int_equal(announce(w, &w->story.b.line)->n_lost, 2);
	/* Everybody was asked; a new login may be asked again, in its turn. */
	w->story.m.now_ms += 10 * LT_HUB_REPAIR_TURN_MS;
	assert_int_equal(announce(w, &w->story.a.line)->n_lost, 0);
	assert_int_equal(announce(w, &w->story.b.line)->n_lost, 0);
	lt_hub_repair_greeted(w->hub, own);
	assert_int_equal(announce(w, &w->story.a.line)->n_lost, 3);
}

static void
test_hub(void **state)
{
	struct world *w = *state;
	struct lt_kv *kv = w->story.m.log;
	const struct lt_id *own = &w->story.a.n.id->principal;
	struct lt_repairer *r = lt_hub_repair_repairer(w->hub);
	struct place entry = place_of(kv, own, "17254", 1), opening = place_of(kv, own, "17254", 2),
		     hubs = place_of(kv, &w->story.m.f.hub_id->principal, "_", 2);
	struct lt_session_call c;
	struct lt_buf before;

	/* Asked for nothing, it gives nothing. */
	assert_int_equal(ask(w, LT_SYNC_DO_SUPPLY, NULL, &c), LT_E_NOTFOUND);
	assert_true(c.ev.ok && !c.ev.tried && !c.ev.more);
	dump(kv, &before);
	damage_entry(kv, &entry);
	damage_opening(kv, &opening);
	damage_entry(kv, &hubs);
	look(r, 3);
	assert_int_equal(ask(w, LT_SYNC_DO_ANNOUNCE, NULL, &c), LT_OK);
	assert_true(c.ev.lost && !c.ev.lacks);
	assert_int_equal(ask(w, LT_SYNC_DO_SUPPLY, NULL, &c), LT_OK);
	assert_true(c.ev.ok && c.ev.tried && !c.ev.more);
	assert_int_equal(c.ev.seq, 3);
	assert_int_equal(status_of(r).repaired, 3);
	same(&before, kv);
	look(r, 0);
	assert_int_equal(ask(w, LT_SYNC_DO_SUPPLY, NULL, &c), LT_E_NOTFOUND);
	lt_buf_fini(&before);
}

static void
test_hub_is_lied_to(void **state)
{
	struct world *w = *state;
	struct lt_kv *kv = w->story.m.log;
	struct lt_repairer *r = lt_hub_repair_repairer(w->hub);
	struct place entry = place_of(kv, &w->story.a.n.id->principal, "17254", 2);
	struct lt_slice right;
	struct lt_buf before;
	unsigned lie;

	dump(kv, &before);
	damage_opening(kv, &entry);
	for (lie = 0; lie < LIES; lie++) {
		print_message("lie %u\n", lie);
		/* Who has answered is not heard once more until the next look. */
		look(r, 1);
		assert_int_equal(
		    supply(w, &w->story.b.line, tell_lie(w, (enum lie)lie, w->story.a.kv, &entry)),
		    0);
		assert_int_equal(status_of(r).wanted, 1);
		assert_int_equal(status_of(r).repaired, 0);
	}
	assert_true(status_of(r).refused + lt_hub_repair_unasked(w->hub) >= LIES);
	/* The same bytes as they were. */
	look(r, 1);
	right = tell_lie(w, LIES, w->story.a.kv, &entry);
	assert_int_equal(supply(w, &w->story.b.line, right), 1);
	same(&before, kv);
	/* Once more: nobody wants it. */
	assert_int_equal(supply(w, &w->story.b.line, right), 0);
	lt_buf_fini(&before);
}

/* A node that has not heard of the act yet gives the values with the rest: they do not come back. */
static void
test_erased(void **state)
{
	static char key[] = "H41.65-261120-0002";
	struct world *w = *state;
	struct lt_kv *kv = w->story.m.log;
	struct lt_repairer *r = lt_hub_repair_repairer(w->hub);
	struct place entry = place_of(kv, &w->story.a.n.id->principal, "17254", 2);
	struct lt_erasing e = { .collection = "dossier",
		.key = key,
		.reason = "withdrawn",
		.basis = "Nghị định 13/2023" };
	struct lt_erasing_report report;
	struct lt_err err = { "" };
	struct lt_buf before;
	const char *why;

	assert_int_equal(lt_unit_set(&e.unit, lt_slice_str("17254")), LT_OK);
	if (lt_hub_erase(w->story.m.f.hub, &e, &w->arena, &report, &why, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_true(report.values > 1);
	memfed_settle(&w->story.m);
	dump(kv, &before);
	damage_entry(kv, &entry);
	damage_row(kv, &entry, 2);
	damage_opening(kv, &entry);
	look(r, 1);
	assert_int_equal(supply(w, &w->story.a.line, tell_lie(w, LIES, w->story.a.kv, &entry)), 1);
	look(r, 0);
	same(&before, kv);
	lt_buf_fini(&before);
}

/* How many values of a change-set are here. */
static size_t
values_here(struct lt_kv *kv, const struct place *p)
{
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v, in;
	uint8_t prefix[8];
	size_t n = 0;
	int rc;

	lt_store_u64(prefix, p->position);
	in = lt_slice(prefix, sizeof(prefix));
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_OPENING, &c), LT_OK);
	for (rc = lt_kv_seek_at(c, in, in, &k, &v); rc == LT_OK; rc = lt_kv_next_at(c, in, &k, &v))
		n += v.data[0] == 0 && k.len > 12;
	assert_int_equal(rc, LT_E_NOTFOUND);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return n;
}

static struct lt_erasing
erasing_second(void)
{
	static char key[] = "H41.65-261120-0002";
	struct lt_erasing e = { .collection = "dossier",
		.key = key,
		.reason = "withdrawn",
		.basis = "Nghị định 13/2023" };

	assert_int_equal(lt_unit_set(&e.unit, lt_slice_str("17254")), LT_OK);
	return e;
}

static void
erase_second(struct world *w, struct lt_erasing_report *report)
{
	struct lt_erasing e = erasing_second();
	struct lt_err err = { "" };
	const char *why;
	int rc = lt_hub_erase(w->story.m.f.hub, &e, &w->arena, report, &why, &err);

	if (rc != LT_OK && (rc != LT_E_TIMEOUT || report->position == 0))
		fail_msg("%d %s", rc, err.text);
}

/* A record is erased while its change-set cannot be read: what is here goes, and what comes back with the repair has none of it. */
static void
test_erased_while_damaged(void **state)
{
	struct world *w = *state;
	struct lt_kv *kv = w->story.m.log;
	struct lt_repairer *r = lt_hub_repair_repairer(w->hub);
	struct place entry = place_of(kv, &w->story.a.n.id->principal, "17254", 2);
	struct lt_erasing_report report;
	size_t all = values_here(kv, &entry);

	damage_entry(kv, &entry);
	erase_second(w, &report);
	assert_int_equal(report.unreadable, 1);
	assert_int_equal(report.nunreached, 0);
	assert_int_equal(report.nact, 1);
	assert_int_equal(report.values, all - 1);
	assert_int_equal(values_here(kv, &entry), 1); /* the account that wrote */
	/* Named once: nothing more is to be said, as long as it is damaged. */
	erase_second(w, &report);
	assert_int_equal(report.unreadable, 1);
	assert_int_equal(report.nact, 0);
	look(r, 1);
	assert_int_equal(supply(w, &w->story.a.line, tell_lie(w, LIES, w->story.a.kv, &entry)), 1);
	look(r, 0);
	assert_int_equal(values_here(kv, &entry), 1);
	erase_second(w, &report);
	assert_int_equal(report.unreadable, 0);
	assert_int_equal(report.nact, 0);
}

/* The last of its feed: its head says which it was. With what follows damaged as well nobody does; what is erased of the record is said. */
static void
test_erased_by_its_head(void **state)
{
	struct world *w = *state;
	struct lt_kv *kv = w->story.m.log;
	struct place second = place_of(kv, &w->story.a.n.id->principal, "17254", 2),
		     third = place_of(kv, &w->story.a.n.id->principal, "17254", 3);
	struct lt_erasing_report report;
	struct lt_erasing e = erasing_second();
	struct lt_err err = { "" };
	const char *why;

	damage_entry(kv, &second);
	damage_entry(kv, &third);
	erase_second(w, &report);
	assert_int_equal(report.unreadable, 1);
	assert_int_equal(report.nunreached, 1);
	assert_non_null(strstr(report.unreached[0], "/2/0"));
	assert_int_equal(report.nact, 0);
	e.key = "H41.65-261120-0003";
	assert_int_equal(
	    lt_hub_erase_look(w->story.m.f.hub, &e, &w->arena, &report, &why, &err), LT_OK);
	assert_int_equal(report.unreadable, 1);
	assert_int_equal(report.nunreached, 0);
	assert_int_equal(report.values, values_here(kv, &third) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_node, setup, teardown),
		cmocka_unit_test_setup_teardown(test_node_is_lied_to, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_is_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hub, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hub_is_lied_to, setup, teardown),
		cmocka_unit_test_setup_teardown(test_erased, setup, teardown),
		cmocka_unit_test_setup_teardown(test_erased_while_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_erased_by_its_head, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
