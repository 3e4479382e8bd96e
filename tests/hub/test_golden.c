/* Rows that a hub alone keeps, as tests/vectors/golden_hub.py, written from FORMAT.md alone, has made them. */
#include "hub_fixture.h"
#include "tests/lib/golden.h"

#include "hub/hub_impl.h"
#include "proto/base/file.h"
#include "proto/store/tables.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void
row_is(struct lt_kv *kv, unsigned table, struct lt_slice key, struct lt_slice want)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_get(txn, table, key, &v), LT_OK);
	golden_same(lt_table_names[table], want, v);
	lt_kv_abort(txn);
}

static int
run_plant(struct lt_kv_txn *txn, void *ctx)
{
	const json_t *g = ctx;

	return lt_kv_put(txn, LT_T_FRESH, golden_bytes(g, "fresh_key"), golden_bytes(g, "fresh"));
}

/* The same heads again, from a clock 1.5 s behind; then the hub has all of the one feed. */
static void
announce(struct hubfx *h, const json_t *g, const struct lt_feed_id *normal)
{
	Ltpb__FeedHead f[2] = { LTPB__FEED_HEAD__INIT, LTPB__FEED_HEAD__INIT },
		       *v[2] = { &f[0], &f[1] };
	struct lt_id id = lt_feed_author(normal);
	struct lt_feed_id bulk = lt_feed_id_make(id, LT_LANE_BULK, 1);
	struct lt_hash hash = { { 7 } };
	struct lt_unit unit;
	int i;

	assert_int_equal(lt_unit_set(&unit, lt_slice_str(golden_text(g, "unit"))), LT_OK);
	f[0].feed.data = (uint8_t *)normal->b;
	f[1].feed.data = bulk.b;
	f[0].seq = 5;
	f[1].seq = 2;
	for (i = 0; i < 2; i++) {
		f[i].unit = unit.s;
		f[i].feed.len = LT_FEED_LEN;
		f[i].hash.data = hash.b;
		f[i].hash.len = LT_HASH_LEN;
	}
	lt_fresh_announced(h->f.fresh, &id, &unit, 2, v, h->now_ms - 1500);
	lt_fresh_held(h->f.fresh, normal, 5, &hash);
}

static void
fresh(void **state)
{
	const json_t *g = golden("hub"), *t = golden_in(g, "times");
	struct lt_fresh_node n;
	struct lt_feed_id feed;
	struct lt_id id;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	memcpy(id.b, golden_bytes(g, "principal").data, LT_ID_LEN);
	memcpy(feed.b, golden_bytes(g, "feed").data, LT_FEED_LEN);
	assert_int_equal(lt_writer_run(lt_hub_writer(h.f.hub), run_plant, (void *)g), LT_OK);
	hubfx_restart(&h);
	assert_true(lt_fresh_node(h.f.fresh, &id, &n));
	assert_string_equal(n.unit.s, golden_text(g, "unit"));
	assert_int_equal(n.last_seen_ms, golden_number(t, "seen"));
	assert_int_equal(n.fresh_ms[LT_LANE_URGENT], golden_number(t, "urgent"));
	assert_int_equal(n.fresh_ms[LT_LANE_NORMAL], golden_number(t, "normal"));
	assert_int_equal(n.fresh_ms[LT_LANE_BULK], 0);
	assert_int_equal(n.clock_offset_ms, -1500);
	assert_int_equal(n.announced[LT_LANE_NORMAL], 5);
	assert_int_equal(n.held[LT_LANE_NORMAL], 3);
	assert_int_equal(n.announced[LT_LANE_BULK], 2);
	assert_int_equal(n.held[LT_LANE_BULK], 0);
	announce(&h, g, &feed);
	hubfx_restart(&h);
	row_is(lt_hub_log(h.f.hub), LT_T_FRESH, golden_bytes(g, "fresh_key"),
	    golden_bytes(g, "fresh_held"));
	hubfx_close(&h);
}

static int
run_forget(struct lt_kv_txn *txn, void *ctx)
{
	return lt_kv_del(txn, LT_T_ENROL, golden_bytes(ctx, "alarm_key"));
}

/* The hub's store without the alarm, and the hub over it. */
static void
alarm_forget(struct hubfx *h, const json_t *g)
{
	assert_int_equal(lt_writer_run(lt_hub_writer(h->f.hub), run_forget, (void *)g), LT_OK);
	hubfx_restart(h);
}

/* The row that an operator has seen to, read again; and the same of somebody at the hub's own machine. */
static void
alarm_acknowledged(struct hubfx *h, const json_t *g, const struct lt_alarm *a)
{
	static const char *const row[] = { "alarm_acknowledged", "alarm_acknowledged_here" };
	Ltpb__InvitationAlarm *m;
	struct lt_id operator;
	int i;

	memcpy(operator.b, golden_bytes(g, "operator").data, LT_ID_LEN);
	for (i = 0; i < 2; i++) {
		h->now_ms = HUB_NOW_MS;
		alarm_forget(h, g);
		lt_alarm_raise(lt_enrol_alarms(h->f.enrol), a);
		h->now_ms += 5000;
		assert_int_equal(lt_alarm_acknowledge(lt_enrol_alarms(h->f.enrol), &a->token, 0,
				     i == 0 ? &operator: NULL),
		    LT_OK);
		hubfx_restart(h);
		row_is(lt_hub_log(h->f.hub), LT_T_ENROL, golden_bytes(g, "alarm_key"),
		    golden_bytes(g, row[i]));
		assert_int_equal(
		    lt_alarm_find(lt_enrol_alarms(h->f.enrol), &a->token, &h->arena, &m), LT_OK);
		assert_int_equal(m->acknowledged_ms, HUB_NOW_MS + 5000);
		assert_int_equal(m->acknowledged_times, 1);
		assert_int_equal(m->acknowledged_by.len, i == 0 ? LT_ID_LEN : 0);
	}
}

static void
alarm_row(void **state)
{
	const json_t *g = golden("hub");
	struct lt_alarm a = { .role = LTPB__ROLE__ROLE_NODE, .address = "192.0.2.1" };
	Ltpb__InvitationAlarm **list;
	struct hubfx h;
	size_t n;

	(void)state;
	hubfx_open(&h);
	memcpy(a.token.b, golden_bytes(g, "token_hash").data, LT_HASH_LEN);
	memcpy(a.by.b, golden_bytes(g, "principal").data, LT_ID_LEN);
	assert_int_equal(lt_unit_set(&a.unit, lt_slice_str(golden_text(g, "unit"))), LT_OK);
	lt_alarm_raise(lt_enrol_alarms(h.f.enrol), &a);
	hubfx_restart(&h);
	row_is(lt_hub_log(h.f.hub), LT_T_ENROL, golden_bytes(g, "alarm_key"),
	    golden_bytes(g, "alarm"));
	assert_int_equal(
	    lt_alarms_list(lt_enrol_alarms(h.f.enrol), false, &h.arena, &list, &n), LT_OK);
	assert_int_equal(n, 1);
	assert_string_equal(list[0]->unit, golden_text(g, "unit"));
	assert_int_equal(list[0]->times, 1);
	alarm_acknowledged(&h, g, &a);
	hubfx_close(&h);
}

struct row {
	struct lt_kv *kv;
	unsigned table;
	struct lt_slice key;
};

static bool
is_there(void *ctx)
{
	const struct row *r = ctx;
	struct lt_kv_txn *txn;
	struct lt_slice v;
	bool there;

	assert_int_equal(lt_kv_begin_read(r->kv, &txn), LT_OK);
	there = lt_kv_get(txn, r->table, r->key, &v) == LT_OK;
	lt_kv_abort(txn);
	return there;
}

/* The position that the tables reach, which the verdict may still be behind, and the running hash there. */
static void
cursor_is(struct hubfx *h, struct lt_slice end)
{
	struct lt_kv_txn *log, *derived;
	struct lt_buf want = { 0 };
	struct lt_slice v;
	struct lt_entry e;
	uint64_t last;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(h->f.hub), &log), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_hub_derived(h->f.hub), &derived), LT_OK);
	assert_int_equal(lt_kv_get(derived, LT_T_CURSOR, lt_slice_str("projector"), &v), LT_OK);
	assert_true(v.len >= 24);
	assert_int_equal(lt_feed_log_last(log, &last), LT_OK);
	assert_in_range(lt_load_u64(v.data + 16), 1, last);
	assert_int_equal(lt_feed_log_read(log, lt_load_u64(v.data + 16), &e), LT_OK);
	lt_buf_put(&want, lt_kv_incarnation(lt_hub_log(h->f.hub)), 16);
	lt_buf_u64(&want, e.position);
	lt_buf_put(&want, e.running.b, LT_HASH_LEN);
	lt_buf_put_slice(&want, end);
	golden_same("cursor", lt_buf_slice(&want), v);
	lt_buf_fini(&want);
	lt_kv_abort(log);
	lt_kv_abort(derived);
}

/* The state of the log up to which the tables reach; a refused change, and how far its feed has verdicts. */
static void
log_and_tables(void **state)
{
	const json_t *g = golden("hub");
	struct lt_buf want = { 0 }, key = { 0 }, cs = { 0 };
	char name[128], hex[2 * LT_FEED_LEN + 1];
	struct lt_draft d = { .collection = "no_such", .key = (char *)"1" };
	struct fed_feed feed;
	struct fed_peer p;
	struct answer answer;
	struct lt_kv_txn *txn;
	struct hubfx h;
	struct row row;
	uint64_t position;

	(void)state;
	hubfx_open(&h);
	hubfx_node(&h, &p, HUB_UNIT);
	fed_feed_init(&feed, &p, HUB_UNIT, LT_LANE_NORMAL, 7);
	feed.next_stamp = LT_STAMP(HUB_NOW_MS, 1);
	fed_seal(&h.f, &feed, &d, 1, &cs);
	hubfx_intake(&h, &p.id.principal, &cs, 1, &answer);
	assert_int_equal(answer.rc, LT_OK);
	hubfx_settle(&h);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_find(txn, &feed.unit, &feed.id, 1, &position), LT_OK);
	lt_kv_abort(txn);

	lt_buf_u64(&key, position);
	lt_buf_u32(&key, 0);
	row_is(lt_hub_log(h.f.hub), LT_T_QUARANTINE, lt_buf_slice(&key),
	    golden_bytes(g, "quarantine"));
	lt_buf_u64(&want, 1);
	lt_hex(hex, feed.id.b, LT_FEED_LEN);
	(void)snprintf(name, sizeof(name), "verdicted/%s/%s", HUB_UNIT, hex);
	row = (struct row){ lt_hub_log(h.f.hub), LT_T_LOCAL, lt_slice_str(name) };
	fed_wait(is_there, &row, HUB_WAIT_MS, "the verdict is written");
	row_is(row.kv, row.table, row.key, lt_buf_slice(&want));
	cursor_is(&h, golden_bytes(g, "cursor_end"));
	lt_buf_fini(&want);
	lt_buf_fini(&key);
	lt_buf_fini(&cs);
	hubfx_close(&h);
}

/* ---- a federation whose keys are known ---- */

static void
write_identity(struct hubfx *h)
{
	const json_t *g = golden("parties");
	struct lt_err err = { "" };
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/identity", h->f.dir);
	assert_int_equal(
	    lt_file_write(path, lt_slice_str(golden_text(g, "identity_hub")), 0600, false, NULL),
	    LT_OK);
	lt_identity_free(h->f.hub_id);
	if (lt_identity_load(h->f.dir, &h->f.hub_id, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_sign_key_from_seed(golden_bytes(g, "root_seed").data, &h->f.root);
}

/* The node of the vectors, active. */
static void
known_node(struct hubfx *h, struct fed_peer *p)
{
	const json_t *g = golden("parties");
	Ltpb__PrincipalState state;

	fed_invite(&h->f, p, LTPB__ROLE__ROLE_NODE, golden_text(g, "unit"), true);
	memcpy(p->id.principal.b, golden_bytes(g, "node_principal").data, LT_ID_LEN);
	lt_sign_key_from_seed(golden_bytes(g, "node_seed").data, &p->id.sign);
	memcpy(p->id.line_sk, golden_bytes(g, "node_line_secret").data, 32);
	assert_int_equal(crypto_scalarmult_base(p->id.line_pk, p->id.line_sk), 0);
	assert_int_equal(hubfx_join(h, p, &state), LT_OK);
	assert_int_equal(state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
}

static void
push(struct hubfx *h, struct fed_peer *p, struct lt_slice bytes, struct answer *a)
{
	struct lt_buf b = { 0 };

	lt_buf_put_slice(&b, bytes);
	hubfx_intake(h, &p->id.principal, &b, 1, a);
	lt_buf_fini(&b);
}

/* Rows of `local` whose names begin so, and no more of them. */
static void
local_is(struct lt_kv_txn *txn, const char *prefix, const json_t *rows)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t n = 0, len = strlen(prefix);
	int rc;

	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice_str(prefix), &k, &v);
	     rc == LT_OK && k.len >= len && memcmp(k.data, prefix, len) == 0;
	     rc = lt_kv_next(c, &k, &v)) {
		const json_t *row = json_array_get(rows, n++);

		assert_non_null(row);
		golden_same("name in local", golden_bytes(row, "key"), k);
		golden_same("value in local", golden_bytes(row, "value"), v);
	}
	assert_int_equal(n, json_array_size(rows));
	lt_kv_cursor_close(c);
}

/* Two change-sets under one number: of the second one the signed bytes are kept, without what it opened. */
static void
evidence_of_a_fork(void **state)
{
	const json_t *g = golden_in(golden("parties"), "hub");
	struct lt_kv_txn *txn;
	struct fed_peer p;
	struct answer a;
	struct hubfx h;

	(void)state;
	hubfx_found(&h);
	write_identity(&h);
	hubfx_begin(&h);
	known_node(&h, &p);
	push(&h, &p, golden_bytes(g, "first"), &a);
	assert_int_equal(a.rc, LT_OK);
	assert_int_equal(a.nfeed, 1);
	assert_int_equal(a.feed[0].held, 1);
	push(&h, &p, golden_bytes(g, "second"), &a);
	assert_int_equal(a.rc, LT_E_FORK);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(h.f.hub), &txn), LT_OK);
	local_is(txn, "fork/", golden_in(g, "fork"));
	lt_kv_abort(txn);
	hubfx_close(&h);
}

/* Kept until a verdict has said it (its reading: hub.project). */
static void
settled_dots(void **state)
{
	static const uint8_t federation[32];
	const struct lt_kv_options o = {
		.kind = LT_KV_HUB_LOG, .federation = federation, .tables = lt_table_names
	};
	const json_t *g = golden_in(golden("parties"), "hub");
	struct lt_kv_txn *txn;
	struct lt_feed_id feed;
	struct lt_unit unit;
	struct lt_kv *kv;

	(void)state;
	memcpy(feed.b, golden_bytes(g, "feed").data, LT_FEED_LEN);
	assert_int_equal(
	    lt_unit_set(&unit, lt_slice_str(golden_text(golden("parties"), "unit"))), LT_OK);
	assert_int_equal(lt_kv_open_mem(&o, &kv, NULL), LT_OK);
	assert_int_equal(lt_kv_begin_write(kv, &txn), LT_OK);
	assert_int_equal(
	    lt_verdicts_settle(txn, &unit, &feed, 1, 0, LTPB__REASON_CODE__REASON_UNSPECIFIED),
	    LT_OK);
	assert_int_equal(lt_verdicts_settle(txn, &unit, &feed, UINT64_C(0x123456789abcdef0), 0x3ff,
			     LTPB__REASON_CODE__REASON_AUTHORITY),
	    LT_OK);
	local_is(txn, "settled/", golden_in(g, "settled"));
	lt_kv_abort(txn);
	lt_kv_close(kv);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fresh),
		cmocka_unit_test(alarm_row),
		cmocka_unit_test(log_and_tables),
		cmocka_unit_test(evidence_of_a_fork),
		cmocka_unit_test(settled_dots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
