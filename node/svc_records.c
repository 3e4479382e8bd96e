/* node/svc_records.c - a clerk writes: put, delete, import. Never waits for the line. */
#include "node/service_impl.h"
#include "proto/service/writing.h"

#include <stdio.h>
#include <string.h>

static bool
may_write(struct lt_node_call *c, const char *collection, const char *unit, unsigned *writer)
{
	const struct lt_identity *id = lt_node_identity(c->s->node);
	const struct lt_collection *col = lt_catalogue_find(c->cat, collection);

	if (lt_catalogue_version(c->cat) == 0) {
		lt_call_failf(c->call, LT_STATUS_UNAVAILABLE, "NO_CATALOGUE",
		    "the catalogue has not come down from the hub yet; connect once, then write");
		return false;
	}
	if (unit[0] != '\0' && strcmp(unit, id->unit.s) != 0) {
		lt_call_refuse(c->call, LT_STATUS_PERMISSION_DENIED, "FOREIGN_UNIT",
		    "this node writes for unit %s, not for %.16s",
		    "máy này ghi cho đơn vị %s, không ghi cho %.16s; hãy ghi ở máy của đơn vị đó",
		    id->unit.s, unit);
		return false;
	}
	if (col == NULL) {
		lt_call_refuse(c->call, LT_STATUS_INVALID_ARGUMENT, "UNKNOWN_COLLECTION",
		    "the catalogue has no collection '%.64s'",
		    "danh mục không có loại hồ sơ '%.64s'; hãy xem lại tên", collection);
		return false;
	}
	if (!lt_access_write(&c->who, c->cat, &c->province, col, id->unit.s, writer)) {
		lt_call_refuse(c->call, LT_STATUS_PERMISSION_DENIED, "WRITE",
		    "a commune does not write '%.64s'",
		    "xã không có thẩm quyền ghi loại hồ sơ '%.64s'; hãy nhờ cơ quan có thẩm quyền "
		    "ghi",
		    collection);
		return false;
	}
	return true;
}

static void
fail_write(struct lt_node_call *c, int rc, const struct lt_write *w)
{
	struct lt_status st;

	if (rc != LT_OK) {
		lt_node_call_fail(c, rc, rc == LT_E_REFUSED ? "TOO_MANY_FEEDS" : "WRITE");
		return;
	}
	lt_status_set(&st, lt_status_from_error(w->rc), w->rc == LT_E_REFUSED ? "REFUSED" : "WRITE",
	    "%s", w->violation.message[0] != '\0' ? w->violation.message : lt_strerror(w->rc));
	(void)snprintf(st.message_vi, sizeof(st.message_vi), "%s", w->violation.message_vi);
	(void)snprintf(st.field, sizeof(st.field), "%s", w->violation.field);
	(void)snprintf(st.rule, sizeof(st.rule), "%s", w->violation.rule);
	lt_call_fail(c->call, &st);
}

static void
answer_write(struct lt_node_call *c, struct lt_write *w, Ltpb__PutReply_Closure closure, void *data)
{
	struct lt_written at = {
		.cat = c->cat, .province = &c->province, .unit = &lt_node_identity(c->s->node)->unit
	};
	struct lt_kv_txn *txn = NULL;

	if (lt_kv_begin_read(lt_node_kv(c->s->node), &txn) == LT_OK)
		at.log = at.derived = txn;
	lt_write_answer(&at, w, closure, data);
	lt_kv_abort(txn);
}

static void
write_one(struct lt_node_call *c, struct lt_write *w, const ProtobufCBinaryData *request_id,
    Ltpb__PutReply_Closure closure, void *data)
{
	const uint8_t *id;
	bool again = false;
	int rc;

	if (!lt_request_id_of(c->call, request_id, &id))
		return;
	rc = lt_node_write(c->s->node, w, 1, id, &again, &c->arena, &c->err);
	/* Sent twice, a delete has the effect of one. */
	if (rc == LT_OK && w->is_delete && w->rc == LT_E_NOTFOUND) {
		w->rc = LT_OK;
		w->unchanged = true;
	}
	if (rc == LT_OK && w->rc == LT_OK)
		answer_write(c, w, closure, data);
	else
		fail_write(c, rc, w);
}

static void
put(Ltpb__Records_Service *service, const Ltpb__PutRequest *req, Ltpb__PutReply_Closure closure,
    void *data)
{
	struct lt_node_call c;
	struct lt_write w;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, records_rpc), data);
	lt_write_of_put(&w, req);
	if (may_write(&c, req->collection, req->unit, &w.writer))
		write_one(&c, &w, &req->request_id, closure, data);
	lt_node_call_end(&c);
}

static void
delete_record(Ltpb__Records_Service *service, const Ltpb__DeleteRequest *req,
    Ltpb__PutReply_Closure closure, void *data)
{
	struct lt_node_call c;
	struct lt_write w;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, records_rpc), data);
	lt_write_of_delete(&w, req);
	if (may_write(&c, req->collection, req->unit, &w.writer))
		write_one(&c, &w, &req->request_id, closure, data);
	lt_node_call_end(&c);
}

static int
import_rows(
    struct lt_node_call *c, const Ltpb__ImportRequest *req, unsigned writer, Ltpb__ImportReply *r)
{
	struct lt_import_rows rows;
	int rc =
	    lt_import_rows_take(req, &lt_node_identity(c->s->node)->unit, writer, &c->arena, &rows);

	if (rc == LT_OK && rows.n != 0 && req->check_only)
		rc = lt_node_check(c->s->node, rows.write, rows.n, &c->arena, &c->err);
	else if (rc == LT_OK && rows.n != 0)
		rc = lt_node_write(c->s->node, rows.write, rows.n, NULL, NULL, &c->arena, &c->err);
	return rc == LT_OK ? lt_import_rows_answer(req, &rows, &c->arena, r) : rc;
}

static void
import(Ltpb__Records_Service *service, const Ltpb__ImportRequest *req,
    Ltpb__ImportReply_Closure closure, void *data)
{
	Ltpb__ImportReply r = LTPB__IMPORT_REPLY__INIT;
	struct lt_node_call c;
	unsigned writer;
	int rc;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, records_rpc), data);
	if (lt_import_may_be(c.call, req) && may_write(&c, req->collection, req->unit, &writer)) {
		rc = import_rows(&c, req, writer, &r);
		if (rc == LT_OK)
			closure(&r, data);
		else
			lt_node_call_fail(&c, rc, rc == LT_E_REFUSED ? "TOO_MANY_FEEDS" : "IMPORT");
	}
	lt_node_call_end(&c);
}

const Ltpb__Records_Service lt_node_records_service = {
	.base = LTPB__RECORDS__BASE_INIT, .put = put, .delete = delete_record, .import = import
};
