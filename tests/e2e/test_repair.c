/* Real processes: a value of a log is damaged on the disk, a scrub finds it, answers say so, and it is put back from the other side, in both
 * directions; a peer that gives something else is believed in nothing. */
#include "proto/store/feed_log.h"
#include "proto/store/kv_test.h"
#include "tests/lib/province.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MS 30000
#define WAIT_MS 60000
#define DOSSIERS 4
#define UNIT "17254"

struct world {
	struct province p;
	struct lt_arena arena;
	struct lt_buf record; /* dossier 2 as the hub told it first */
};

/* ---- the stores, while nothing runs ---- */

struct place {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq, position;
	struct lt_hash before; /* of the one before it */
};

struct finding {
	struct lt_id author;
	struct place *out;
};

static int
note_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct finding *f = ctx;
	struct lt_id author = lt_feed_author(feed);

	if (!lt_id_eq(&author, &f->author) || head->seq < f->out->seq)
		return LT_OK;
	f->out->unit = *unit;
	f->out->feed = *feed;
	return LT_E_CANCELLED;
}

static struct place
place_of(struct lt_kv *kv, const struct lt_id *author, const char *unit, uint64_t seq)
{
	struct place p = { .seq = seq };
	struct finding f = { *author, &p };
	struct lt_kv_txn *txn;
	struct lt_unit u;

	assert_int_equal(lt_unit_set(&u, lt_slice_str(unit)), LT_OK);
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, &u, note_feed, &f), LT_E_CANCELLED);
	assert_int_equal(lt_feed_log_find(txn, &p.unit, &p.feed, seq, &p.position), LT_OK);
	assert_int_equal(lt_feed_log_hash(txn, &p.unit, &p.feed, seq - 1, &p.before), LT_OK);
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

static void
damage_opening(struct lt_kv *kv, const struct place *p)
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
	assert_true(k.len <= sizeof(key) && memcmp(k.data, from, 8) == 0);
	len = k.len;
	memcpy(key, k.data, len);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	assert_int_equal(lt_kv_test_flip(kv, LT_T_OPENING, lt_slice(key, len), 150, NULL), LT_OK);
}

/* ---- asking ---- */

static Ltpb__ScrubReply *
scrub(struct lt_conn *c, bool start)
{
	Ltpb__ScrubRequest req = LTPB__SCRUB_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct lt_status st;

	req.start = req.full = start;
	if (lt_conn_call_wait(c, &ltpb__admin__descriptor, "Scrub", &req.base, 20000, &reply,
		&st) != LT_STATUS_OK)
		fail_msg("scrub: %s", st.message);
	return (Ltpb__ScrubReply *)reply;
}

struct expect {
	struct lt_conn *c;
	uint64_t repaired, wanted;
	bool clean;
};

static bool
is_so(void *ctx)
{
	const struct expect *e = ctx;
	Ltpb__ScrubReply *r = scrub(e->c, false);
	bool so = r->repair != NULL && !r->running && !r->repair->looking && r->rounds != 0 &&
		  r->repair->repaired == e->repaired && r->repair->wanted == e->wanted &&
		  (r->n_finding == 0) == e->clean;

	province_free(r);
	return so;
}

/* Dossier 2 at the hub: its findings, and its bytes if there is an answer. */
static uint64_t
read_dossier(struct world *w, struct lt_conn *hub, struct lt_buf *out)
{
	Ltpb__GetRequest req = LTPB__GET_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct lt_status st;
	const Ltpb__GetReply *r;
	uint64_t findings;

	(void)w;
	req.collection = (char *)"dossier";
	req.unit = (char *)UNIT;
	req.key = (char *)"H41.65-261120-000002";
	if (lt_conn_call_wait(hub, &ltpb__query__descriptor, "Get", &req.base, 20000, &reply,
		&st) != LT_STATUS_OK)
		fail_msg("get: %s", st.message);
	r = (const Ltpb__GetReply *)reply;
	assert_non_null(r->freshness);
	findings = r->freshness->findings;
	lt_buf_init(out, LT_MESSAGE_MAX);
	assert_non_null(lt_buf_reserve(out, protobuf_c_message_get_packed_size(&r->record->base)));
	(void)protobuf_c_message_pack(&r->record->base, out->data);
	province_free(reply);
	return findings;
}

static void
reads_as_before(struct world *w, struct lt_conn *hub, bool findings)
{
	struct lt_buf now;

	assert_int_equal(read_dossier(w, hub, &now) != 0, findings);
	assert_int_equal(now.len, w->record.len);
	assert_memory_equal(now.data, w->record.data, now.len);
	lt_buf_fini(&now);
}

static void
put(struct lt_conn *c, unsigned number)
{
	ProtobufCMessage *reply = NULL;
	struct dossier_put d;
	struct lt_status st;

	dossier_put_init(&d, number, true, "QD-1");
	if (lt_conn_call_wait(c, &ltpb__records__descriptor, "Put", &d.req.base, 20000, &reply,
		&st) != LT_STATUS_OK)
		fail_msg("put: %s", st.message);
	province_free(reply);
}

static struct lt_conn *
dial(struct world *w, struct test_daemon *d)
{
	return daemon_dial_wait(d, w->p.pool, START_MS);
}

/* A province with some dossiers, everything at both sides; nothing runs. */
static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct lt_conn *c;
	unsigned i;

	assert_non_null(w);
	lt_arena_init(&w->arena, (size_t)64 << 20);
	province_setup(&w->p, UNIT, 0);
	province_start(&w->p, NULL, NULL);
	c = dial(w, &w->p.node);
	for (i = 1; i <= DOSSIERS; i++)
		put(c, i);
	lt_conn_close(c);
	province_settle(&w->p, WAIT_MS);
	c = dial(w, &w->p.hub);
	assert_int_equal(read_dossier(w, c, &w->record), 0);
	lt_conn_close(c);
	(void)daemon_stop(&w->p.node);
	(void)daemon_stop(&w->p.hub);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	province_teardown(&w->p);
	lt_buf_fini(&w->record);
	lt_arena_fini(&w->arena);
	free(w);
	return 0;
}

/* Both stores, once everything is said: every feed whole, and the same records. */
static void
verify(struct world *w)
{
	struct stores s;

	(void)daemon_stop(&w->p.node);
	(void)daemon_stop(&w->p.hub);
	stores_open(&s, &w->p, true);
	assert_true(verify_feeds(s.log, &w->p, true) >= DOSSIERS);
	assert_true(verify_feeds(s.node, &w->p, false) >= DOSSIERS);
	assert_true(verify_same_rows(&s) > 0);
	stores_close(&s);
}

/* ---- the hub ---- */

static unsigned
supply(struct world *w, struct lt_slice bytes)
{
	Ltpb__SupplyRequest req = LTPB__SUPPLY_REQUEST__INIT;
	ProtobufCBinaryData d = { bytes.len, (uint8_t *)bytes.data };
	ProtobufCMessage *reply = NULL;
	struct lt_status st;
	unsigned taken;

	req.change_set = &d;
	req.n_change_set = 1;
	if (fed_ask(&w->p.peer, &ltpb__sync__descriptor, "Supply", &req.base, &reply, &st) !=
	    LT_STATUS_OK)
		fail_msg("supply: %s", st.message);
	taken = ((const Ltpb__SupplyReply *)reply)->taken;
	province_free(reply);
	return taken;
}

/* A second change-set under the number of the lost one, with the author's true signature. */
static void
forge(struct world *w, const struct place *p, struct lt_buf *out)
{
	struct fed_peer as = { .id = *w->p.n.id };
	struct fed_feed feed;
	struct lt_draft d;

	fed_feed_init(&feed, &as, UNIT, LT_LANE_NORMAL, 1);
	feed.id = p->feed;
	feed.seq = p->seq - 1;
	feed.hash = p->before;
	fed_draft_dossier(&w->arena, &d, "H41.65-261120-000666");
	lt_buf_init(out, LT_MESSAGE_MAX);
	fed_seal(&w->p.f, &feed, &d, 1, out);
}

/* Another node gives garbage, a feed of its own, and a change-set of the other's that never stood there. */
static void
lie(struct world *w, const struct place *lost)
{
	struct fed_feed own;
	struct lt_draft d;
	struct lt_buf b;

	assert_int_equal(province_dial(&w->p, 0), LT_OK);
	assert_int_equal(supply(w, lt_slice_str("not a change-set")), 0);
	fed_feed_init(&own, &w->p.peer, "16906", LT_LANE_NORMAL, 7);
	fed_draft_dossier(&w->arena, &d, "H41.65-261120-000001");
	lt_buf_init(&b, LT_MESSAGE_MAX);
	fed_seal(&w->p.f, &own, &d, 1, &b);
	assert_int_equal(supply(w, lt_buf_slice(&b)), 0);
	lt_buf_fini(&b);
	forge(w, lost, &b);
	assert_int_equal(supply(w, lt_buf_slice(&b)), 0);
	lt_buf_fini(&b);
	fed_hang_up(&w->p.peer);
}

static void
test_hub(void **state)
{
	struct world *w = *state;
	struct expect e = { .wanted = 3 };
	struct place one, two, hubs;
	struct stores s;
	Ltpb__ScrubReply *r;

	stores_open(&s, &w->p, false);
	one = place_of(s.log, &w->p.n.id->principal, UNIT, 1);
	two = place_of(s.log, &w->p.n.id->principal, UNIT, 2);
	hubs = place_of(s.log, &w->p.f.hub_id->principal, "_", 2);
	damage_entry(s.log, &one);
	damage_opening(s.log, &two);
	damage_entry(s.log, &hubs);
	stores_close(&s);

	daemon_start(&w->p.hub, NULL);
	e.c = dial(w, &w->p.hub);
	province_free(scrub(e.c, true));
	fed_wait(is_so, &e, WAIT_MS, "the scrub has found what is damaged");
	reads_as_before(w, e.c, true);
	lie(w, &one);
	r = scrub(e.c, false);
	assert_true(r->repair->refused + r->repair->unasked >= 3);
	assert_int_equal(r->repair->wanted, 3);
	province_free(r);

	daemon_start(&w->p.node, NULL);
	e.wanted = 0;
	e.repaired = 3;
	e.clean = true;
	fed_wait(is_so, &e, WAIT_MS, "the node has given back what is damaged at the hub");
	reads_as_before(w, e.c, false);
	lt_conn_close(e.c);
	verify(w);
}

/* ---- the node ---- */

static void
test_node(void **state)
{
	struct world *w = *state;
	struct expect e = { .wanted = 3 };
	struct place one, two, hubs;
	struct stores s;
	struct lt_conn *hub;

	stores_open(&s, &w->p, false);
	one = place_of(s.node, &w->p.n.id->principal, UNIT, 1);
	two = place_of(s.node, &w->p.n.id->principal, UNIT, 2);
	hubs = place_of(s.node, &w->p.f.hub_id->principal, "_", 2);
	damage_entry(s.node, &one);
	damage_opening(s.node, &two);
	damage_entry(s.node, &hubs);
	stores_close(&s);

	/* Without its hub it finds it and goes on. */
	daemon_start(&w->p.node, NULL);
	e.c = dial(w, &w->p.node);
	province_free(scrub(e.c, true));
	fed_wait(is_so, &e, WAIT_MS, "the scrub has found what is damaged");
	daemon_start(&w->p.hub, NULL);
	e.wanted = 0;
	e.repaired = 3;
	e.clean = true;
	fed_wait(is_so, &e, WAIT_MS, "the hub has given what is damaged at the node");
	lt_conn_close(e.c);
	hub = dial(w, &w->p.hub);
	reads_as_before(w, hub, false);
	lt_conn_close(hub);
	verify(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hub, setup, teardown),
		cmocka_unit_test_setup_teardown(test_node, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
