/* proto/service/writing.h - a handler of Records: from requests to writes, and from writes to replies. Who may write
 * what is decided by the caller. */
#ifndef LT_SERVICE_WRITING_H
#define LT_SERVICE_WRITING_H

#include "proto/rpc/rpc.h"
#include "proto/store/author.h"

#include "lienthong/v1/record.pb-c.h"

/* What is asked for, borrowed from the request; the writer is still to be set. */
void lt_write_of_put(struct lt_write *w, const Ltpb__PutRequest *req);
void lt_write_of_delete(struct lt_write *w, const Ltpb__DeleteRequest *req);
/* The rows of an import as writes, in the arena, borrowed from the request. */
struct lt_import_rows {
	size_t
	    n; /* the first n of write are to be written, or checked; those after it are refused already */
	struct lt_write *write; /* one for each row */
	struct lt_write **of_row; /* in the order of the rows */
};
/* unit: the one that all rows of the call are written in; a row may say the same or nothing, one that says another is
 * refused, for it would be signed as what it is not. LT_E_NOMEM. */
int lt_import_rows_take(const Ltpb__ImportRequest *req, const struct lt_unit *unit, unsigned writer,
    struct lt_arena *arena, struct lt_import_rows *out);
/* What became of each row, once the first n are written, or would have, once they are checked. The reply lives in the arena. LT_E_NOMEM. */
int lt_import_rows_answer(const Ltpb__ImportRequest *req, const struct lt_import_rows *rows,
    struct lt_arena *arena, Ltpb__ImportReply *reply);

/* false, and the call has failed, when a request id is there and has not 16 bytes. *out: NULL when there is none. */
bool lt_request_id_of(struct lt_call *c, const ProtobufCBinaryData *given, const uint8_t **out);
/* The same for the number of rows. */
bool lt_import_may_be(struct lt_call *c, const Ltpb__ImportRequest *req);

/* What became of a row, in both languages; in the arena, with texts borrowed from the write. NULL: no memory. */
Ltpb__ImportRowReply *lt_import_row_answer(
    struct lt_write *w, uint32_t row, struct lt_arena *arena);

/* Where the record stands that was written. */
struct lt_written {
	struct lt_kv_txn *log, *derived; /* NULL: cannot be read now; the reply has no revision */
	const struct lt_catalogue *cat;
	const struct lt_unit *province;
	const struct lt_unit *unit;
};
/* End the call: this write went well, or a delete found nothing. */
void lt_write_answer(const struct lt_written *at, const struct lt_write *w,
    Ltpb__PutReply_Closure closure, void *data);

#endif
