/* hub/svc_records.c - Records: the operator writes for the province and its departments, through the hub's own feeds. */
#include "hub/service_impl.h"
#include "proto/service/writing.h"

#include <stdio.h>
#include <string.h>

/* One write as asked for; fails the call itself and returns false when it may not be. */
static bool
may_write(struct lt_asking *a, const char *collection, const char *unit_text, struct lt_unit *unit,
    unsigned *writer)
{
	const struct lt_collection *col = lt_catalogue_find(a->cat, collection);

	if (unit_text[0] == '\0')
		unit_text = lt_hub_province(a->s->hub)->s;
	if (lt_unit_set(unit, lt_slice_str(unit_text)) != LT_OK) {
		lt_call_refuse(a->call, LT_STATUS_INVALID_ARGUMENT, "UNIT",
		    "'%.16s' is no unit code", "'%.16s' không phải mã đơn vị; hãy xem lại mã",
		    unit_text);
		return false;
	}
	if (col == NULL ||
	    !lt_access_write(&a->who, a->cat, lt_hub_province(a->s->hub), col, unit->s, writer)) {
		lt_call_refuse(a->call, LT_STATUS_PERMISSION_DENIED, "WRITE",
		    "the hub does not write '%.64s' for unit %s",
		    "đầu mối không có thẩm quyền ghi '%.64s' cho đơn vị %s; hãy ghi ở máy của đơn "
		    "vị đó",
		    collection, unit->s);
		return false;
	}
	return true;
}

static void
fail_write(struct lt_asking *a, int rc, const struct lt_write *w, const struct lt_err *err)
{
	struct lt_status st;

	if (rc != LT_OK) {
		lt_asking_refuse(a, rc, "WRITE", err);
		return;
	}
	lt_status_set(&st, lt_status_from_error(w->rc), w->rc == LT_E_REFUSED ? "REFUSED" : "WRITE",
	    "%s", w->violation.message[0] != '\0' ? w->violation.message : lt_strerror(w->rc));
	(void)snprintf(st.message_vi, sizeof(st.message_vi), "%s", w->violation.message_vi);
	(void)snprintf(st.field, sizeof(st.field), "%s", w->violation.field);
	(void)snprintf(st.rule, sizeof(st.rule), "%s", w->violation.rule);
	lt_call_fail(a->call, &st);
}

static void
answer_write(struct lt_asking *a, const struct lt_unit *unit, struct lt_write *w,
    Ltpb__PutReply_Closure closure, void *data)
{
	struct lt_written at = {
		.cat = a->cat, .province = lt_hub_province(a->s->hub), .unit = unit
	};

	/* The derived tables first: the log read after it has everything they name. */
	if (lt_kv_begin_read(lt_hub_derived(a->s->hub), &at.derived) != LT_OK ||
	    lt_kv_begin_read(lt_hub_log(a->s->hub), &at.log) != LT_OK)
		at.log = NULL;
	lt_write_answer(&at, w, closure, data);
	lt_kv_abort(at.log);
	lt_kv_abort(at.derived);
}

static void
write_one(struct lt_asking *a, struct lt_write *w, const char *unit_text,
    const ProtobufCBinaryData *request_id, Ltpb__PutReply_Closure closure, void *data)
{
	struct lt_err err = { "" };
	struct lt_unit unit;
	const uint8_t *id;
	int rc;

	if (!lt_request_id_of(a->call, request_id, &id) ||
	    !may_write(a, w->collection, unit_text, &unit, &w->writer))
		return;
	rc = lt_hub_write_once(a->s->hub, id, &unit, w, 1, &a->arena, &err);
	/* Sent twice, a delete has the effect of one. */
	if (rc == LT_OK && w->is_delete && w->rc == LT_E_NOTFOUND) {
		w->rc = LT_OK;
		w->unchanged = true;
	}
	if (rc == LT_OK && w->rc == LT_OK)
		answer_write(a, &unit, w, closure, data);
	else
		fail_write(a, rc, w, &err);
}

static void
put(Ltpb__Records_Service *service, const Ltpb__PutRequest *req, Ltpb__PutReply_Closure closure,
    void *data)
{
	struct lt_asking a;
	struct lt_write w;

	lt_asking_begin(&a, LT_SERVICE_OF(service, records_rpc), data);
	lt_write_of_put(&w, req);
	write_one(&a, &w, req->unit, &req->request_id, closure, data);
	lt_asking_end(&a);
}

static void
delete_record(Ltpb__Records_Service *service, const Ltpb__DeleteRequest *req,
    Ltpb__PutReply_Closure closure, void *data)
{
	struct lt_asking a;
	struct lt_write w;

	lt_asking_begin(&a, LT_SERVICE_OF(service, records_rpc), data);
	lt_write_of_delete(&w, req);
	write_one(&a, &w, req->unit, &req->request_id, closure, data);
	lt_asking_end(&a);
}

static int
import_rows(struct lt_asking *a, const Ltpb__ImportRequest *req, const struct lt_unit *unit,
    unsigned writer, Ltpb__ImportReply *r, struct lt_err *err)
{
	struct lt_import_rows rows;
	int rc = lt_import_rows_take(req, unit, writer, &a->arena, &rows);

	if (rc == LT_OK && rows.n != 0 && req->check_only)
		rc = lt_hub_check(a->s->hub, unit, rows.write, rows.n, &a->arena, err);
	else if (rc == LT_OK && rows.n != 0)
		rc = lt_hub_write(a->s->hub, unit, rows.write, rows.n, &a->arena, err);
	return rc == LT_OK ? lt_import_rows_answer(req, &rows, &a->arena, r) : rc;
}

static void
import(Ltpb__Records_Service *service, const Ltpb__ImportRequest *req,
    Ltpb__ImportReply_Closure closure, void *data)
{
	Ltpb__ImportReply r = LTPB__IMPORT_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_asking a;
	struct lt_unit unit;
	unsigned writer;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, records_rpc), data);
	if (lt_import_may_be(a.call, req) &&
	    may_write(&a, req->collection, req->unit, &unit, &writer)) {
		rc = import_rows(&a, req, &unit, writer, &r, &err);
		if (rc == LT_OK)
			closure(&r, data);
		else
			lt_asking_refuse(&a, rc, "IMPORT", &err);
	}
	lt_asking_end(&a);
}

const Ltpb__Records_Service lt_records_service = {
	.base = LTPB__RECORDS__BASE_INIT, .put = put, .delete = delete_record, .import = import
};
