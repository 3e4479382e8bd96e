#include "proto/service/writing.h"

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

struct lt_write *
lt_writes_of_import(const Ltpb__ImportRequest *req, unsigned writer, struct lt_arena *arena)
{
	struct lt_write *w = lt_arena_alloc(arena, req->n_row * sizeof(*w));
	size_t i;

	for (i = 0; w != NULL && i < req->n_row; i++) {
		w[i].collection = req->collection;
		w[i].key = req->row[i]->key;
		w[i].nset = req->row[i]->n_field;
		w[i].set = req->row[i]->field;
		w[i].actor = req->actor;
		w[i].writer = writer;
	}
	return w;
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
	if (req->n_row != 0 && req->n_row <= LT_IMPORT_ROWS_MAX && !req->check_only)
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
