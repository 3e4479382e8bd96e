/* The read audit between hub and node: what is noted of real calls, what each commune's node is told and believes, and what not. */
#include "tests/lib/peer.h"
#include "hub/audit.h"
#include "node/audit.h"
#include "proto/base/file.h"
#include "proto/base/wire.h"
#include "proto/rpc/methods.h"
#include "proto/store/tables.h"

#include "lienthong/v1/audit.pb-c.h"
#include "lienthong/v1/keys.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT "17254"
#define OTHER "16906"

struct world {
	struct fed f;
	struct fed_peer peer; /* asks as a node of UNIT */
	struct fed_node n; /* believes, or not */
};

static void
audit_open(struct world *w)
{
	struct lt_audit_options o = { .dir = w->f.dir,
		.identity = w->f.hub_id,
		.clock = lt_clock_system(),
		.keep_ms = 86400000,
		.max_bytes = UINT64_C(1) << 30 };
	struct lt_err err = { "" };

	if (lt_audit_open(&o, &w->f.service.audit, &err) != LT_OK)
		fail_msg("%s", err.text);
}

/* All that was noted is under a head. */
static void
audit_seal(struct world *w)
{
	lt_audit_close(w->f.service.audit);
	w->f.service.audit = NULL;
	audit_open(w);
}

static int
setup(void **state)
{
	struct lt_node_options no = { .clock = lt_clock_system(), .map_bytes = (uint64_t)1 << 28 };
	struct world *w = calloc(1, sizeof(*w));
	struct lt_err err = { "" };

	fed_setup(&w->f);
	audit_open(w);
	fed_enrol(&w->f, &w->peer, LTPB__ROLE__ROLE_NODE, UNIT, true);
	fed_node_setup(&w->f, &w->n, UNIT);
	no.dir = w->n.dir;
	no.identity = w->n.id;
	assert_int_equal(lt_node_open(&no, &w->n.node, &err), LT_OK);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	fed_hang_up(&w->peer);
	lt_node_close(w->n.node);
	w->n.node = NULL;
	fed_node_teardown(&w->n);
	lt_audit_close(w->f.service.audit);
	fed_teardown(&w->f);
	free(w);
	return 0;
}

static void
note(struct world *w, const char *first, const char *second)
{
	static const char *const dossier[] = { "dossier" };
	struct lt_audit_who who = { .kind = LT_AUDIT_LOCAL, .uid = 7 };
	struct lt_audit_share share[2] = {
		{ .unit = first, .rows = 3, .masked = 1, .collection = dossier, .ncollection = 1 },
		{ .unit = second == NULL ? "" : second, .rows = 5 }
	};
	struct lt_audit_event e = { .kind = LT_AUDIT_READ,
		.who = &who,
		.method = "/lienthong.v1.Query/List",
		.query = lt_slice("q", 1),
		.share = share,
		.nshare = second == NULL ? 1 : 2 };

	lt_audit_note(w->f.service.audit, &e);
}

static Ltpb__AuditUnitReply *
ask(struct world *w, const char *unit, uint64_t log, uint64_t next, int code)
{
	Ltpb__AuditUnitRequest req = LTPB__AUDIT_UNIT_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	req.unit = (char *)unit;
	req.log = log;
	req.next = next;
	assert_int_equal(
	    fed_ask(&w->peer, &ltpb__audit__descriptor, "UnitParts", &req.base, &m, &st), code);
	return (Ltpb__AuditUnitReply *)m;
}

static void
done(Ltpb__AuditUnitReply *r)
{
	protobuf_c_message_free_unpacked(&r->base, NULL);
}

struct rows {
	size_t shown, missing, wrong;
	uint64_t last;
};

static int
count(void *ctx, const struct lt_node_audit_entry *e)
{
	struct rows *r = ctx;

	r->shown += e->row == LT_NODE_AUDIT_SHOWN;
	r->missing += e->row == LT_NODE_AUDIT_MISSING;
	r->wrong += e->row == LT_NODE_AUDIT_FALSE;
	if (e->row == LT_NODE_AUDIT_SHOWN)
		r->last = e->part.no;
	return LT_OK;
}

static struct rows
rows(struct world *w, const char *unit)
{
	struct rows r = { 0 };
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(w->n.node), &txn), LT_OK);
	assert_int_equal(lt_node_audit_each(txn, unit, count, &r), LT_OK);
	lt_kv_abort(txn);
	return r;
}

/* The node knows of nothing. */
static void
forget(struct world *w, const char *unit)
{
	struct lt_kv_txn *txn;
	char name[64];

	(void)snprintf(name, sizeof(name), "audit-at/%s", unit);
	assert_int_equal(lt_kv_begin_write(lt_node_kv(w->n.node), &txn), LT_OK);
	(void)lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(name));
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

/* One part by the second implementation; true: good. */
static bool
second(struct world *w, const Ltpb__AuditUnitReply *r, size_t i)
{
	const Ltpb__AuditShown *s = r->shown[i];
	struct lt_buf b = { 0 };
	uint8_t index[4];
	char cmd[600], key[65], *hex;
	size_t k;
	FILE *p;

	lt_hex(key, w->f.hub_id->root_key, 32);
	(void)snprintf(cmd, sizeof(cmd),
	    LT_PYTHON " " LT_SOURCE_DIR "/tests/hub/verify_audit.py part %s >/dev/null", key);
	p = popen(cmd, "w");
	assert_non_null(p);
	lt_store_u32(index, s->index);
	for (k = 0; k < 9; k++) {
		size_t j;

		lt_buf_clear(&b);
		switch (k) {
		case 3:
			lt_buf_put(&b, index, 4);
			break;
		case 4:
			for (j = 0; j < s->n_part_path; j++)
				lt_buf_put(&b, s->part_path[j].data, s->part_path[j].len);
			break;
		case 5:
			for (j = 0; j < s->n_path; j++)
				lt_buf_put(&b, s->path[j].data, s->path[j].len);
			break;
		default: {
			const ProtobufCBinaryData *const of[] = { &s->entry, &s->part,
				&s->part_salt, NULL, NULL, NULL, &s->head, &s->signature,
				&r->certificate };

			lt_buf_put(&b, of[k]->data, of[k]->len);
			break;
		}
		}
		hex = malloc(2 * b.len + 1);
		assert_non_null(hex);
		if (b.len != 0)
			lt_hex(hex, b.data, b.len);
		else
			hex[0] = '\0';
		(void)fprintf(p, "%s\n", hex);
		free(hex);
	}
	lt_buf_fini(&b);
	return pclose(p) == 0;
}

static void
test_each_unit_its_own(void **state)
{
	struct world *w = *state;
	struct lt_node_audit_at at;
	Ltpb__AuditUnitReply *r;
	struct lt_err err;
	unsigned i;

	for (i = 0; i < 10; i++) {
		note(w, UNIT, OTHER);
		note(w, OTHER, NULL);
		note(w, "*", NULL);
	}
	audit_seal(w);
	(void)ask(w, OTHER, 0, 0, LT_STATUS_PERMISSION_DENIED);
	r = ask(w, UNIT, 0, 0, LT_STATUS_OK);
	assert_int_equal(r->n_shown, 10);
	assert_true(second(w, r, 0));
	assert_true(second(w, r, 9));
	/* Nothing of the other unit is in it. */
	for (i = 0; i < 10; i++)
		assert_null(memmem(r->shown[i]->part.data, r->shown[i]->part.len, OTHER, 5));
	assert_int_equal(lt_node_audit_take(w->n.node, UNIT, r, &err), LT_OK);
	done(r);
	assert_int_equal(rows(w, UNIT).shown, 10);
	assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &at), LT_OK);
	assert_int_equal(at.next, 11);
	r = ask(w, "*", 0, 0, LT_STATUS_OK);
	assert_int_equal(lt_node_audit_take(w->n.node, "*", r, &err), LT_OK);
	done(r);
	assert_int_equal(rows(w, "*").shown, 10);
	/* On from there. */
	r = ask(w, UNIT, at.log, at.next, LT_STATUS_OK);
	assert_int_equal(r->n_shown, 0);
	done(r);
	note(w, OTHER, UNIT);
	audit_seal(w);
	r = ask(w, UNIT, at.log, at.next, LT_STATUS_OK);
	assert_int_equal(r->n_shown, 1);
	assert_int_equal(lt_node_audit_take(w->n.node, UNIT, r, &err), LT_OK);
	done(r);
	assert_int_equal(rows(w, UNIT).last, 11);
}

/* More than one answer holds. */
static void
test_in_pages(void **state)
{
	struct world *w = *state;
	Ltpb__AuditUnitReply *r;
	struct lt_node_audit_at at = { 0 };
	struct lt_err err;
	bool more = true;
	unsigned i, pages = 0;

	for (i = 0; i < 150; i++)
		note(w, UNIT, NULL);
	audit_seal(w);
	for (; more; pages++) {
		r = ask(w, UNIT, at.log, at.next, LT_STATUS_OK);
		more = r->more;
		assert_int_equal(lt_node_audit_take(w->n.node, UNIT, r, &err), LT_OK);
		assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &at), LT_OK);
		done(r);
	}
	assert_int_equal(pages, 3);
	assert_int_equal(rows(w, UNIT).shown, 150);
}

/* One more, one less, two changed: what cannot be is not believed, and stands there as false. */
static void
refuse(struct world *w, const Ltpb__AuditUnitReply *r)
{
	struct lt_err err = { "" };
	struct rows before, after;

	before = rows(w, UNIT);
	assert_int_not_equal(lt_node_audit_take(w->n.node, UNIT, r, &err), LT_OK);
	assert_true(err.text[0] != '\0');
	after = rows(w, UNIT);
	assert_int_equal(after.wrong, before.wrong + 1);
	forget(w, UNIT);
}

static void
test_what_cannot_be(void **state)
{
	struct world *w = *state;
	Ltpb__AuditShown *keep[8], *shown[8], **own;
	Ltpb__AuditUnitReply *r;
	unsigned i;

	for (i = 0; i < 6; i++)
		note(w, UNIT, OTHER);
	audit_seal(w);
	r = ask(w, UNIT, 0, 0, LT_STATUS_OK);
	assert_int_equal(r->n_shown, 6);
	own = r->shown;
	memcpy(keep, own, 6 * sizeof(*keep));
	r->shown = shown;
	/* Left out, in the middle. */
	memcpy(shown, keep, 6 * sizeof(*keep));
	memmove(&shown[2], &shown[3], 3 * sizeof(*keep));
	r->n_shown = 5;
	refuse(w, r);
	/* In another order; one twice. */
	r->n_shown = 6;
	memcpy(shown, keep, 6 * sizeof(*keep));
	shown[1] = keep[2];
	shown[2] = keep[1];
	refuse(w, r);
	memcpy(shown, keep, 6 * sizeof(*keep));
	shown[3] = keep[2];
	refuse(w, r);
	/* As if the first ones were gone, which they are not. */
	memcpy(shown, &keep[1], 5 * sizeof(*keep));
	r->n_shown = 5;
	r->first = 3;
	refuse(w, r);
	/* Under the name of another log; with no certificate. */
	memcpy(shown, keep, 6 * sizeof(*keep));
	r->n_shown = 6;
	r->first = 1;
	r->log++;
	refuse(w, r);
	r->log--;
	r->certificate.data[r->certificate.len - 1] ^= 1;
	refuse(w, r);
	r->certificate.data[r->certificate.len - 1] ^= 1;
	/* For another unit than this. */
	{
		struct lt_err err = { "" };

		assert_int_not_equal(lt_node_audit_take(w->n.node, "*", r, &err), LT_OK);
	}
	r->shown = own;
	/* And as it is. */
	assert_int_equal(lt_node_audit_take(w->n.node, UNIT, r, NULL), LT_OK);
	done(r);
}

/* Each bit of each field. */
static void
test_every_byte_of_a_part(void **state)
{
	struct world *w = *state;
	struct lt_audit_entry e;
	struct lt_audit_part p;
	struct lt_audit_head h;
	struct lt_buf b = { 0 };
	Ltpb__AuditUnitReply *r;
	Ltpb__AuditShown *s;
	struct lt_err err;
	unsigned i;
	size_t k;

	for (i = 0; i < 5; i++)
		note(w, OTHER, UNIT);
	audit_seal(w);
	r = ask(w, UNIT, 0, 0, LT_STATUS_OK);
	s = r->shown[2];
	{
		ProtobufCBinaryData *const of[] = { &s->entry, &s->part, &s->part_salt, &s->head,
			&s->signature, &s->part_path[0], &s->path[0], &s->path[1], &s->path[2] };

		assert_int_equal(s->n_part_path, 1);
		assert_int_equal(s->n_path, 3);
		for (i = 0; i < sizeof(of) / sizeof(of[0]); i++)
			for (k = 0; k < of[i]->len; k++) {
				of[i]->data[k] ^= (uint8_t)(1u << k % 8);
				lt_buf_clear(&b);
				assert_int_equal(lt_wire_pack(&s->base, 1 << 16, &b), LT_OK);
				if (lt_node_audit_check(w->n.node, lt_buf_slice(&b),
					w->f.hub_id->sign.pk, &e, &p, &h, &err) == LT_OK)
					fail_msg("field %u, byte %zu: not found", i, k);
				of[i]->data[k] ^= (uint8_t)(1u << k % 8);
			}
	}
	s->index ^= 1;
	lt_buf_clear(&b);
	assert_int_equal(lt_wire_pack(&s->base, 1 << 16, &b), LT_OK);
	assert_int_not_equal(lt_node_audit_check(w->n.node, lt_buf_slice(&b), w->f.hub_id->sign.pk,
				 &e, &p, &h, &err),
	    LT_OK);
	s->index ^= 1;
	lt_buf_clear(&b);
	assert_int_equal(lt_wire_pack(&s->base, 1 << 16, &b), LT_OK);
	assert_int_equal(lt_node_audit_check(
			     w->n.node, lt_buf_slice(&b), w->f.hub_id->sign.pk, &e, &p, &h, &err),
	    LT_OK);
	lt_buf_fini(&b);
	done(r);
}

/* The hub's log is gone: another begins, and the node follows; what it had before stays. */
static void
test_another_log(void **state)
{
	struct world *w = *state;
	struct lt_node_audit_at at, then;
	Ltpb__AuditUnitReply *r;
	char cmd[600];
	unsigned i;

	for (i = 0; i < 3; i++)
		note(w, UNIT, NULL);
	audit_seal(w);
	r = ask(w, UNIT, 0, 0, LT_STATUS_OK);
	assert_int_equal(lt_node_audit_take(w->n.node, UNIT, r, NULL), LT_OK);
	done(r);
	assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &at), LT_OK);
	lt_audit_close(w->f.service.audit);
	(void)snprintf(cmd, sizeof(cmd), "rm -r '%s/audit'", w->f.dir);
	assert_int_equal(system(cmd), 0);
	audit_open(w);
	note(w, UNIT, NULL);
	audit_seal(w);
	r = ask(w, UNIT, at.log, at.next, LT_STATUS_OK);
	assert_true(r->log != at.log);
	assert_int_equal(lt_node_audit_take(w->n.node, UNIT, r, NULL), LT_OK);
	done(r);
	assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &then), LT_OK);
	assert_int_equal(then.next, 2);
	assert_int_equal(rows(w, UNIT).shown, 4);
	assert_int_equal(rows(w, UNIT).wrong, 0);
}

/* A hub that says "ask again" for ever: a node that believes nothing of it any more, or gets no further, waits. */
static void
test_no_end(void **state)
{
	struct world *w = *state;
	struct lt_node_audit_at before, after;
	Ltpb__AuditUnitReply *r;
	struct lt_err err;
	unsigned i;

	for (i = 0; i < 3; i++)
		note(w, UNIT, NULL);
	audit_seal(w);
	r = ask(w, UNIT, 0, 0, LT_STATUS_OK);
	assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &before), LT_OK);
	assert_int_equal(lt_node_audit_take(w->n.node, UNIT, r, &err), LT_OK);
	assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &after), LT_OK);
	assert_true(lt_node_audit_more(&before, &after, true));
	assert_false(lt_node_audit_more(&before, &after, false));
	assert_false(lt_node_audit_more(&after, &after, true));
	/* The same once more is what was not asked for. */
	before = after;
	assert_int_not_equal(lt_node_audit_take(w->n.node, UNIT, r, &err), LT_OK);
	for (i = 0; i < 2; i++) {
		assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &after), LT_OK);
		assert_true(after.contradicted);
		before.next = 0;
		assert_false(lt_node_audit_more(&before, &after, true));
		r->first = after.next;
		assert_int_equal(lt_node_audit_take(w->n.node, UNIT, r, &err), LT_OK);
	}
	done(r);
}

/* A request may have anything as its unit and its collection: nothing of it that the hub does not know stands in the log. */
static void
test_no_text_of_a_request(void **state)
{
	struct world *w = *state;
	char *units[] = { (char *)"40" };
	struct fed_peer dept = { 0 };
	Ltpb__GetRequest req = LTPB__GET_REQUEST__INIT;
	Ltpb__ListRequest list = LTPB__LIST_REQUEST__INIT;
	Ltpb__AuditUnitReply *r;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	struct lt_buf log = { 0 };
	struct lt_audit_status at;
	char path[600], made_up[8];
	unsigned i;

	req.unit = (char *)"99999";
	req.collection = (char *)"040123456789";
	req.key = (char *)"1";
	assert_int_not_equal(
	    fed_ask(&w->peer, &ltpb__query__descriptor, "Get", &req.base, &m, &st), LT_STATUS_OK);
	for (i = 0; i < 20; i++) {
		(void)snprintf(made_up, sizeof(made_up), "%05u", 99900 + i);
		r = ask(w, made_up, 0, 0, LT_STATUS_PERMISSION_DENIED);
		assert_null(r);
	}
	/* Both kinds of denial; those made up are all alike. */
	lt_audit_status(w->f.service.audit, &at);
	assert_int_equal(at.seq, 2);
	fed_enrol(&w->f, &dept, LTPB__ROLE__ROLE_DEPARTMENT, "so_tu_phap", true);
	list.unit = units;
	list.n_unit = 1;
	list.collection = (char *)"dossier";
	if (fed_ask(&dept, &ltpb__query__descriptor, "List", &list.base, &m, &st) != LT_STATUS_OK)
		fail_msg("%s", st.message);
	protobuf_c_message_free_unpacked(m, NULL);
	lt_audit_status(w->f.service.audit, &at);
	assert_int_equal(at.seq, 3);
	(void)fed_ask(&dept, &ltpb__query__descriptor, "Get", &req.base, &m, &st);
	fed_hang_up(&dept);
	(void)snprintf(path, sizeof(path), "%s/audit/0000000001", w->f.dir);
	assert_int_equal(lt_file_read(path, 1 << 20, &log, NULL), LT_OK);
	assert_non_null(memmem(log.data, log.len, "UnitParts", 9));
	assert_null(memmem(log.data, log.len, "999", 3));
	assert_null(memmem(log.data, log.len, "040123456789", 12));
	assert_non_null(memmem(log.data, log.len, "\00240", 3));
	assert_non_null(memmem(log.data, log.len, "dossier", 7));
	lt_buf_fini(&log);
}

/* ---- what stands in the log of a call ---- */

struct noted {
	const char *method; /* its end */
	size_t n;
	struct lt_audit_entry entry; /* the last one of it */
	struct lt_audit_part part[4];
};

static int
note_entry(void *ctx, enum lt_audit_frame type, struct lt_slice payload)
{
	struct noted *x = ctx;
	struct lt_audit_full f;
	struct lt_reader r;
	size_t len, end = strlen(x->method);
	unsigned i;

	if (type != LT_AUDIT_ENTRY)
		return LT_OK;
	assert_int_equal(lt_audit_full_read(payload, &f), LT_OK);
	len = strlen(f.entry.method);
	if (len < end || strcmp(f.entry.method + len - end, x->method) != 0)
		return LT_OK;
	x->n++;
	x->entry = f.entry;
	assert_true(f.entry.nparts <= 4);
	lt_reader_init(&r, f.parts);
	for (i = 0; i < f.entry.nparts; i++)
		assert_int_equal(lt_audit_part_read(lt_read_framed(&r), &x->part[i]), LT_OK);
	return LT_OK;
}

static struct noted
noted(struct world *w, const char *method)
{
	struct noted x = { .method = method };
	struct lt_buf b = { 0 };
	struct lt_audit_dir d;
	size_t good;

	assert_true(lt_audit_files(w->f.service.audit, &d));
	assert_int_equal(d.first, d.last);
	assert_int_equal(lt_audit_dir_read(&d, d.last, &b, NULL), LT_OK);
	assert_int_equal(lt_audit_frames(lt_buf_slice(&b), note_entry, &x, &good), LT_OK);
	lt_buf_fini(&b);
	return x;
}

static const struct lt_method *
method_of(const char *name)
{
	size_t i;

	for (i = 0; i < lt_nmethods; i++)
		if (strcmp(lt_methods[i].name, name) == 0)
			return &lt_methods[i];
	fail_msg("no method %s", name);
	return NULL;
}

/* Of all his keys, as `ltctl keys revoke` does. */
static void
revoke(struct world *w, const struct fed_peer *p)
{
	Ltpb__ChangePrincipalRequest req = LTPB__CHANGE_PRINCIPAL_REQUEST__INIT;
	struct fed_peer op = { 0 };
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	fed_local(&w->f, &op);
	req.principal.data = (uint8_t *)(uintptr_t)p->id.principal.b;
	req.principal.len = LT_ID_LEN;
	req.action = LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_REVOKE;
	req.reason = (char *)"stolen";
	if (fed_ask(&op, &ltpb__keys__descriptor, "ChangePrincipal", &req.base, &m, &st) !=
	    LT_STATUS_OK)
		fail_msg("%s: %s", st.reason, st.message);
	protobuf_c_message_free_unpacked(m, NULL);
	fed_hang_up(&op);
}

/* A call ends as its asker is active, suspended, and revoked with his key: it was his all the same. Whom nobody ever knew has no name. */
static void
test_named_by_his_line_key(void **state)
{
	struct world *w = *state;
	Ltpb__GetRequest req = LTPB__GET_REQUEST__INIT;
	struct lt_status st = { .code = LT_STATUS_NOT_FOUND };
	struct lt_peer peer = { .kind = LT_PEER_LINE };
	struct fed_peer dept = { 0 };
	char hex[2 * LT_ID_LEN + 1];
	struct noted x;
	size_t i;

	fed_enrol(&w->f, &dept, LTPB__ROLE__ROLE_DEPARTMENT, "so_tu_phap", true);
	fed_principal_hex(&dept, hex);
	memcpy(peer.line_key, dept.id.line_pk, 32);
	req.unit = (char *)"40";
	req.collection = (char *)"dossier";
	req.key = (char *)"1";
	for (i = 0; i < 3; i++) {
		if (i == 1)
			fed_act_enum(&w->f, "_registry", hex, "state", "suspended");
		if (i == 2)
			revoke(w, &dept);
		lt_service_ended(&w->f.service, &peer, method_of("/lienthong.v1.Query/Get"),
		    &req.base, NULL, &st);
		x = noted(w, "Query/Get");
		assert_int_equal(x.n, i + 1);
		assert_int_equal(x.entry.who.kind, LT_AUDIT_PRINCIPAL);
		assert_memory_equal(x.entry.who.id.b, dept.id.principal.b, LT_ID_LEN);
	}
	peer.line_key[0] ^= 1;
	lt_service_ended(
	    &w->f.service, &peer, method_of("/lienthong.v1.Query/Get"), &req.base, NULL, &st);
	x = noted(w, "Query/Get");
	assert_int_equal(x.n, 4);
	assert_int_equal(x.entry.who.kind, LT_AUDIT_NOBODY);
	fed_hang_up(&dept);
}

static void
pull(struct fed_peer *p)
{
	Ltpb__PullRequest req = LTPB__PULL_REQUEST__INIT;
	struct lt_status st;

	if (fed_call(p, &ltpb__sync__descriptor, "Pull", &req.base, NULL, NULL, &st) !=
	    LT_STATUS_OK)
		fail_msg("%s", st.message);
}

/* What a mirror takes is all that it was granted: noted as that, where it begins. What a node takes of its own is not. */
static void
test_pull_of_a_mirror(void **state)
{
	struct world *w = *state;
	struct fed_peer mirror = { 0 };
	struct noted x;

	pull(&w->peer);
	assert_int_equal(noted(w, "Sync/Pull").n, 0);
	fed_enrol(&w->f, &mirror, LTPB__ROLE__ROLE_MIRROR, "", true);
	pull(&mirror);
	x = noted(w, "Sync/Pull");
	assert_int_equal(x.n, 1);
	assert_int_equal(x.entry.kind, LT_AUDIT_READ);
	assert_memory_equal(x.entry.who.id.b, mirror.id.principal.b, LT_ID_LEN);
	assert_int_equal(x.entry.nparts, 1);
	assert_string_equal(x.part[0].unit, "*");
	fed_hang_up(&mirror);
}

/* Asked over two communes by somebody who sees one of them: the figures are of that one, and so is what is noted; that he asked for
 * the other stands there with no rows. */
static void
test_rows_out_of_sight(void **state)
{
	struct world *w = *state;
	char *read[] = { (char *)"read" }, *units[] = { (char *)UNIT },
	     *collections[] = { (char *)"dossier" }, *asked[] = { (char *)UNIT, (char *)OTHER };
	Ltpb__AggregateRequest req = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__Grant g = LTPB__GRANT__INIT;
	struct fed_peer dept = { 0 };
	Ltpb__PrincipalState joined;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	struct noted x;
	size_t i, rows;

	g.verbs = read;
	g.units = units;
	g.collections = collections;
	g.n_verbs = g.n_units = g.n_collections = 1;
	fed_invite_grant(&w->f, &dept, LTPB__ROLE__ROLE_DEPARTMENT, "so_tu_phap", true, &g);
	assert_int_equal(fed_dial(&w->f, &dept), LT_OK);
	assert_int_equal(fed_join(&dept, &joined), LT_STATUS_OK);
	req.collection = (char *)"dossier";
	req.unit = asked;
	req.n_unit = 2;
	if (fed_ask(&dept, &ltpb__query__descriptor, "Aggregate", &req.base, &m, &st) !=
	    LT_STATUS_OK)
		fail_msg("%s: %s", st.reason, st.message);
	rows = ((const Ltpb__AggregateReply *)m)->n_group;
	protobuf_c_message_free_unpacked(m, NULL);
	assert_true(rows > 0);
	x = noted(w, "Query/Aggregate");
	assert_int_equal(x.n, 1);
	assert_int_equal(x.entry.nparts, 2);
	for (i = 0; i < 2; i++)
		assert_int_equal(x.part[i].rows, strcmp(x.part[i].unit, UNIT) == 0 ? rows : 0);
	assert_true(strcmp(x.part[0].unit, x.part[1].unit) != 0);
	fed_hang_up(&dept);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_unit_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_byte_of_a_part, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_text_of_a_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_named_by_his_line_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pull_of_a_mirror, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rows_out_of_sight, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
