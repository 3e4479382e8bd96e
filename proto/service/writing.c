#include "proto/service/writing.h"

#include <stdio.h>
#include <string.h>

void
lt_write_of_put(struct lt_write *w, const Ltpb__PutRequest *req)
{
	memset(w, 0, sizeof(*w));
	w->collection = req->collection;
	w->key = req->key;
	w->nset = req->n_field;
	w->set = req->field;
	w->nclear = req->n_clear;
	w->clear = req->clear;
	w->if_revision = req->if_revision;
	w->revision = lt_slice(req->expected_revision.data, req->expected_revision.len);
	w->actor = req->actor;
}

void
lt_write_of_delete(struct lt_write *w, const Ltpb__DeleteRequest *req)
{
	memset(w, 0, sizeof(*w));
	w->collection = req->collection;
	w->key = req->key;
	w->is_delete = true;
	w->if_revision = req->if_revision;
	w->revision = lt_slice(req->expected_revision.data, req->expected_revision.len);
	w->actor = req->actor;
}

static void
refuse_unit(struct lt_write *w, const char *row_unit, const struct lt_unit *unit)
{
	struct lt_violation *v = &w->violation;

	w->rc = LT_E_REFUSED;
	v->reason = LTPB__REASON_CODE__REASON_FOREIGN_UNIT;
	(void)snprintf(v->field, sizeof(v->field), "unit");
	(void)snprintf(v->rule, sizeof(v->rule), "%s", lt_reason_name(v->reason));
	(void)snprintf(v->message, sizeof(v->message),
	    "the row is of unit '%.16s', the call writes for %s; send each unit's rows in a call "
	    "of "
	    "their own",
	    row_unit, unit->s);
	(void)snprintf(v->message_vi, sizeof(v->message_vi),
	    "dòng này của đơn vị '%.16s', lần nhập này ghi cho %s; hãy nhập riêng dòng của từng "
	    "đơn vị",
	    row_unit, unit->s);
	if (w->key != NULL)
		(void)snprintf(w->key_out, sizeof(w->key_out), "%.*s", LT_KEY_MAX, w->key);
}

int
lt_import_rows_take(const Ltpb__ImportRequest *req, const struct lt_unit *unit, unsigned writer,
    struct lt_arena *arena, struct lt_import_rows *out)
{
	size_t i, last = req->n_row;

	out->n = 0;
	out->write = lt_arena_alloc(arena, req->n_row * sizeof(*out->write));
	out->of_row = lt_arena_alloc(arena, req->n_row * sizeof(struct lt_write *));
	if (out->write == NULL || out->of_row == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < req->n_row; i++) {
		const Ltpb__ImportRow *row = req->row[i];
		bool foreign = row->unit[0] != '\0' && strcmp(row->unit, unit->s) != 0;
		struct lt_write *w = &out->write[foreign ? --last : out->n++];

		w->collection = req->collection;
		w->key = row->key;
		w->nset = row->n_field;
		w->set = row->field;
		w->actor = req->actor;
		w->writer = writer;
		if (foreign)
			refuse_unit(w, row->unit, unit);
		out->of_row[i] = w;
	}
	return LT_OK;
}

int
lt_import_rows_answer(const Ltpb__ImportRequest *req, const struct lt_import_rows *rows,
    struct lt_arena *arena, Ltpb__ImportReply *reply)
{
	size_t i;

	reply->row = lt_arena_alloc(arena, req->n_row * sizeof(*reply->row));
	if (reply->row == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < req->n_row; i++) {
		reply->row[i] = lt_import_row_answer(rows->of_row[i], req->row[i]->row, arena);
		if (reply->row[i] == NULL)
			return LT_E_NOMEM;
		reply->n_row = i + 1;
	}
	return LT_OK;
}

bool
lt_request_id_of(struct lt_call *c, const ProtobufCBinaryData *given, const uint8_t **out)
{
	*out = given->len == 16 ? given->data : NULL;
	if (given->len == 0 || given->len == 16)
		return true;
	lt_call_failf(c, LT_STATUS_INVALID_ARGUMENT, "REQUEST_ID", "a request id has 16 bytes");
	return false;
}

bool
lt_import_may_be(struct lt_call *c, const Ltpb__ImportRequest *req)
{
	if (req->n_row != 0 && req->n_row <= LT_IMPORT_ROWS_MAX)
		return true;
	lt_call_failf(c, LT_STATUS_INVALID_ARGUMENT, "ROWS", "an import call carries 1 to %d rows",
	    LT_IMPORT_ROWS_MAX);
	return false;
}

/* false: the record cannot be read, or is deleted. */
static bool
revision_of(const struct lt_written *at, const struct lt_write *w, uint8_t rev[16])
{
	struct lt_buf row;
	bool there;

	if (at->log == NULL || at->derived == NULL)
		return false;
	lt_buf_init(&row, LT_RECORD_MAX * 8);
	there = lt_record_row(at->log, at->derived, at->cat, at->province, w->collection,
		    at->unit->s, w->key_out, &row) == LT_OK;
	if (there)
		lt_record_revision(lt_buf_slice(&row), rev);
	lt_buf_fini(&row);
	return there;
}

void
lt_write_answer(const struct lt_written *at, const struct lt_write *w,
    Ltpb__PutReply_Closure closure, void *data)
{
	Ltpb__PutReply r = LTPB__PUT_REPLY__INIT;
	uint8_t rev[16];

	if (revision_of(at, w, rev)) {
		r.revision.data = rev;
		r.revision.len = sizeof(rev);
	}
	r.unit = (char *)at->unit->s;
	r.key = (char *)w->key_out;
	r.unchanged = w->unchanged;
	if (!w->unchanged) {
		r.feed.data = (uint8_t *)w->dot.feed.b;
		r.feed.len = LT_FEED_LEN;
		r.seq = w->dot.seq;
		r.index = w->dot.index;
	}
	closure(&r, data);
}

Ltpb__ImportRowReply *
lt_import_row_answer(struct lt_write *w, uint32_t row, struct lt_arena *arena)
{
	Ltpb__ImportRowReply *r = lt_arena_alloc(arena, sizeof(*r));

	if (r == NULL)
		return NULL;
	ltpb__import_row_reply__init(r);
	r->row = row;
	r->key = (char *)w->key_out;
	if (w->rc == LT_OK) {
		r->result = w->unchanged ? LTPB__IMPORT_RESULT__IMPORT_RESULT_UNCHANGED
			    : w->created ? LTPB__IMPORT_RESULT__IMPORT_RESULT_CREATED
					 : LTPB__IMPORT_RESULT__IMPORT_RESULT_UPDATED;
		return r;
	}
	r->result = LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED;
	r->field = (char *)w->violation.field;
	r->rule = (char *)w->violation.rule;
	if (w->violation.message_vi[0] == '\0')
		lt_status_words("WRITE", (int)lt_status_from_error(w->rc), w->violation.message_vi,
		    sizeof(w->violation.message_vi));
	r->message =
	    w->violation.message[0] != '\0' ? w->violation.message : (char *)lt_strerror(w->rc);
	r->message_vi = w->violation.message_vi;
	return r;
}
