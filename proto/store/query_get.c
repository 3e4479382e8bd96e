/* One record by its name. */
#include "proto/store/query_impl.h"

/* Naming a record by its key uses the key's fields. */
static int
may_name(struct lt_scope *s, struct lt_err *err)
{
	struct lt_qfield key;
	int rc = lt_qfield_find(s->col, "_key", &key, err);

	return rc == LT_OK ? lt_scope_use(s, &key, err) : rc;
}

int
lt_scope_open_record(const struct lt_query *q, const char *collection, char *unit, const char *key,
    struct lt_scope *s, struct lt_err *err)
{
	size_t len = strlen(key);
	int rc = lt_scope_open(q, collection, &unit, 1, s, err);

	if (rc != LT_OK)
		return rc;
	if (len == 0 || len > LT_KEY_MAX)
		return lt_err_set(
		    err, LT_E_INVALID, "a key of %zu bytes, it has 1 to %d", len, LT_KEY_MAX);
	if (s->nunit == 0)
		return lt_no_record(collection, unit, err);
	return may_name(s, err);
}

int
lt_no_record(const char *collection, const char *unit, struct lt_err *err)
{
	return lt_err_set(err, LT_E_NOTFOUND,
	    "unit %.8s has no such record in \"%.64s\", or it may not be seen", unit, collection);
}

static int
get(struct lt_scope *s, const Ltpb__GetRequest *req, Ltpb__GetReply *reply, struct lt_err *err)
{
	struct lt_buf rk = { 0 };
	struct lt_slice record;
	struct lt_row row;
	const bool *mask;
	size_t items;
	int rc = lt_mask_make(s, req->mask, req->n_mask, &mask, err);

	lt_key_record(&rk, req->collection, req->unit, req->key);
	if (rc == LT_OK)
		rc = rk.err;
	if (rc == LT_OK) {
		rc = lt_kv_get(s->q->derived, LT_T_SHOWN, lt_buf_slice(&rk), &record);
		if (rc == LT_E_NOTFOUND)
			(void)lt_no_record(req->collection, req->unit, err);
	}
	if (rc == LT_OK)
		rc = lt_row_open(&row, lt_buf_slice(&rk), record);
	if (rc == LT_OK) {
		rc = lt_record_reply(s, &row, mask, &reply->record, &items);
		lt_row_close(&row);
	}
	lt_buf_fini(&rk);
	return rc;
}

int
lt_query_get(const struct lt_query *q, const Ltpb__GetRequest *req, Ltpb__GetReply *reply,
    struct lt_err *err)
{
	struct lt_scope s;
	int rc = lt_scope_open_record(q, req->collection, req->unit, req->key, &s, err);

	ltpb__get_reply__init(reply);
	if (rc == LT_OK)
		rc = get(&s, req, reply, err);
	lt_scope_close(&s);
	return rc;
}
