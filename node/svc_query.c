/* node/svc_query.c - a clerk reads: the commune's own records with how far each one got, and what came down. */
#include "node/salvage.h"
#include "node/delivery.h"
#include "node/service_impl.h"
#include "proto/model/validate.h"
#include "proto/service/call.h"
#include "proto/service/feeds.h"
#include "proto/service/reading.h"
#include "proto/service/scrubbing.h"
#include "proto/store/prove.h"

#include <stdio.h>
#include <string.h>

struct node_query {
	struct lt_node_call c;
	struct lt_kv_txn *txn;
	struct lt_reading r;
};

static int
begin(struct node_query *x, struct lt_node_service *s, void *data)
{
	int rc;

	memset(x, 0, sizeof(*x));
	lt_node_call_begin(&x->c, s, data);
	rc = lt_kv_begin_read(lt_node_kv(x->c.s->node), &x->txn);
	lt_reading_init(&x->r, x->c.call, &x->c.who, x->c.cat, &x->c.province, &x->c.arena);
	x->r.q.log = x->r.q.derived = x->txn;
	return rc;
}

static void
end(struct node_query *x)
{
	lt_kv_abort(x->txn);
	lt_node_call_end(&x->c);
}

/* Of freshness the hub knows; that something may be missing here, an answer says of itself: also in a store that was made anew, until the
 * hub gave again what could not be read, and as long as something is kept that no record shows. */
static int
tell_findings(struct node_query *x, Ltpb__FreshnessSummary **out)
{
	uint64_t findings =
	    lt_scrubbing_findings(x->c.s->scrubber) + lt_node_salvage_waits(x->c.s->node);

	if (findings == 0)
		return LT_OK;
	*out = lt_arena_alloc(&x->c.arena, sizeof(**out));
	if (*out == NULL)
		return LT_E_NOMEM;
	ltpb__freshness_summary__init(*out);
	(*out)->findings = findings;
	return LT_OK;
}

static void
fail(struct node_query *x, int rc)
{
	struct lt_status st;

	if (rc == LT_E_NOTFOUND && lt_node_salvage_waits(x->c.s->node)) {
		lt_status_set_both(&st, LT_STATUS_NOT_FOUND, "NOT_FOUND_DAMAGED",
		    "not found; but the store here was damaged and made anew, and not all that was "
		    "saved here is shown again, so it may be there all the same: see 'ltctl "
		    "status'",
		    "không tìm thấy; nhưng kho dữ liệu ở đây bị hỏng, đã được dựng lại và chưa "
		    "hiện "
		    "đủ những gì đã lưu, nên có thể vẫn có; hãy xem 'ltctl status'");
		lt_call_fail(x->c.call, &st);
	} else if (rc == LT_E_NOTFOUND && lt_scrubbing_not_found(x->c.s->scrubber, &st))
		lt_call_fail(x->c.call, &st);
	else
		lt_node_call_fail(&x->c, rc, "QUERY");
}

/* How far each got: for records of this commune. */
static int
tell_delivery(struct node_query *x, size_t n, Ltpb__Record **rec)
{
	const char *own = lt_node_identity(x->c.s->node)->unit.s;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < n; i++)
		if (strcmp(rec[i]->unit, own) == 0)
			rc = lt_node_delivery(x->c.s->node, x->txn, rec[i]->collection, rec[i]->key,
			    lt_link_sent, x->c.s->link, &rec[i]->delivery, &rec[i]->reason);
	return rc;
}

/* Where a record of this commune is not there because the hub did not take what was written here, the answer says so and
 * what to do; true: the call has failed with it. */
static bool
fail_stopped(struct node_query *x, const Ltpb__GetRequest *req)
{
	Ltpb__Delivery delivery;
	Ltpb__ReasonCode reason;
	struct lt_status st;

	if (strcmp(req->unit, lt_node_identity(x->c.s->node)->unit.s) != 0 ||
	    lt_node_delivery(x->c.s->node, x->txn, req->collection, req->key, NULL, NULL, &delivery,
		&reason) != LT_OK)
		return false;
	if (delivery == LTPB__DELIVERY__DELIVERY_REFUSED) {
		lt_status_set(&st, LT_STATUS_NOT_FOUND, "RECORD_REFUSED",
		    "no such record: the hub refused what was written here: %s; see 'ltctl "
		    "history', put it right and write it again",
		    lt_reason_text(reason, false));
		(void)snprintf(st.message_vi, sizeof(st.message_vi),
		    "không có bản ghi này: đầu mối đã từ chối nội dung ghi ở máy này: %s; hãy xem "
		    "bằng 'ltctl history', sửa lại rồi ghi lần nữa",
		    lt_reason_text(reason, true));
		(void)snprintf(st.rule, sizeof(st.rule), "%s", lt_reason_name(reason));
	} else if (delivery == LTPB__DELIVERY__DELIVERY_HELD) {
		lt_status_set(&st, LT_STATUS_NOT_FOUND, "RECORD_HELD",
		    "no such record yet: the hub holds what was written here and waits for data "
		    "before it; nothing need be written again");
	} else {
		return false;
	}
	lt_call_fail(x->c.call, &st);
	return true;
}

static void
get(Ltpb__Query_Service *service, const Ltpb__GetRequest *req, Ltpb__GetReply_Closure closure,
    void *data)
{
	Ltpb__GetReply r = LTPB__GET_REPLY__INIT;
	Ltpb__GetRequest own = *req;
	struct node_query x;
	int rc = begin(&x, LT_NODE_SERVICE_OF(service, query_rpc), data);

	if (own.unit[0] == '\0')
		own.unit = (char *)lt_node_identity(x.c.s->node)->unit.s;
	if (rc == LT_OK && !lt_reading_units(&x.r, x.c.call, (char *const *)&own.unit, 1))
		goto out;
	if (rc == LT_OK)
		rc = lt_query_get(&x.r.q, &own, &r, &x.c.err);
	if (rc == LT_OK)
		rc = tell_delivery(&x, 1, &r.record);
	if (rc == LT_OK)
		rc = tell_findings(&x, &r.freshness);
	if (rc == LT_OK)
		closure(&r, data);
	else if (rc != LT_E_NOTFOUND || !fail_stopped(&x, &own))
		fail(&x, rc);
out:
	end(&x);
}

/* ---- what the hub did not take ---- */

#define TOKEN_LEN 12 /* u64 position || u32 index of the last one told */

struct stopped_page {
	struct node_query *x;
	const Ltpb__ListRequest *req;
	Ltpb__ListReply *reply;
	size_t want, bytes;
	bool refused, held; /* asked for */
	struct lt_place last;
};

static int
count_stopped(void *ctx, const struct lt_stopped *s)
{
	struct stopped_page *p = ctx;

	if (s->delivery == LTPB__DELIVERY__DELIVERY_REFUSED)
		p->reply->refused++;
	else
		p->reply->held++;
	return lt_call_tick(p->x->c.call);
}

/* As it stands, or bare when it does not exist. */
static int
stopped_record(struct stopped_page *p, const struct lt_stopped *s, Ltpb__Record **out)
{
	Ltpb__GetRequest get = LTPB__GET_REQUEST__INIT;
	Ltpb__GetReply r = LTPB__GET_REPLY__INIT;
	struct lt_arena *a = &p->x->c.arena;
	Ltpb__Record *rec;
	int rc;

	get.collection = p->req->collection;
	get.unit = (char *)lt_node_identity(p->x->c.s->node)->unit.s;
	get.key = lt_arena_dup(a, s->key, strlen(s->key));
	get.mask = p->req->mask;
	get.n_mask = p->req->n_mask;
	if (get.key == NULL)
		return LT_E_NOMEM;
	rc = lt_query_get(&p->x->r.q, &get, &r, &p->x->c.err);
	rec = r.record;
	if (rc == LT_E_NOTFOUND) {
		rec = lt_arena_alloc(a, sizeof(*rec));
		if (rec == NULL)
			return LT_E_NOMEM;
		ltpb__record__init(rec);
		rec->collection = get.collection;
		rec->unit = get.unit;
		rec->key = get.key;
	} else if (rc != LT_OK) {
		return rc;
	}
	rec->delivery = s->delivery;
	rec->reason = s->reason;
	*out = rec;
	return LT_OK;
}

/* LT_E_EXISTS: the page is full, and there is more. */
static int
add_stopped(void *ctx, const struct lt_stopped *s)
{
	bool refused = s->delivery == LTPB__DELIVERY__DELIVERY_REFUSED;
	struct stopped_page *p = ctx;
	Ltpb__Record *rec;
	size_t size;
	int rc;

	if (!(refused ? p->refused : p->held))
		return lt_call_tick(p->x->c.call);
	if (p->reply->n_record == p->want)
		return LT_E_EXISTS;
	rc = stopped_record(p, s, &rec);
	if (rc != LT_OK)
		return rc;
	size = ltpb__record__get_packed_size(rec);
	if (p->reply->n_record != 0 && size > LT_LISTING_BYTES_MAX - p->bytes)
		return LT_E_EXISTS;
	p->bytes += size < LT_LISTING_BYTES_MAX - p->bytes ? size : LT_LISTING_BYTES_MAX - p->bytes;
	p->reply->record[p->reply->n_record++] = rec;
	p->last = s->at;
	return lt_call_tick(p->x->c.call);
}

static int
read_stopped_request(struct stopped_page *p, struct lt_place *after)
{
	const Ltpb__ListRequest *req = p->req;
	struct lt_err *err = &p->x->c.err;
	size_t i;

	for (i = 0; i < req->n_delivery; i++) {
		p->refused |= req->delivery[i] == LTPB__DELIVERY__DELIVERY_REFUSED;
		p->held |= req->delivery[i] == LTPB__DELIVERY__DELIVERY_HELD;
		if (req->delivery[i] != LTPB__DELIVERY__DELIVERY_REFUSED &&
		    req->delivery[i] != LTPB__DELIVERY__DELIVERY_HELD)
			return lt_err_set(
			    err, LT_E_INVALID, "only refused and held records are listed apart");
	}
	if (req->n_filter != 0 || req->order_by[0] != '\0' || req->descending)
		return lt_err_set(err, LT_E_INVALID,
		    "refused and held records are listed without filter and order");
	for (i = 0; i < req->n_unit; i++)
		if (strcmp(req->unit[i], lt_node_identity(p->x->c.s->node)->unit.s) != 0)
			return lt_err_set(err, LT_E_INVALID,
			    "what was refused or is held is known of this node's unit only");
	if (req->page_token.len != 0 && req->page_token.len != TOKEN_LEN)
		return lt_err_set(
		    err, LT_E_INVALID, "the page token is damaged; begin with the first page");
	if (req->page_token.len == TOKEN_LEN) {
		after->position = lt_load_u64(req->page_token.data);
		after->index = lt_load_u32(req->page_token.data + 8);
	}
	return LT_OK;
}

static int
list_stopped(struct node_query *x, const Ltpb__ListRequest *req, Ltpb__ListReply *r)
{
	struct stopped_page p = { .x = x, .req = req, .reply = r };
	Ltpb__ListRequest probe = *req;
	struct lt_place after = { 0, 0 };
	uint8_t *token;
	int rc = read_stopped_request(&p, &after);

	/* Collection, mask and size of the page are judged as in every list. */
	probe.n_delivery = 0;
	probe.page_token.len = 0;
	if (rc == LT_OK)
		rc = lt_query_list(&x->r.q, &probe, r, &x->c.err);
	if (rc != LT_OK)
		return rc;
	ltpb__list_reply__init(r);
	p.want = req->page_size != 0 ? req->page_size : LT_PAGE_DEFAULT;
	r->record = lt_arena_alloc(&x->c.arena, p.want * sizeof(*r->record));
	token = lt_arena_alloc(&x->c.arena, TOKEN_LEN);
	if (r->record == NULL || token == NULL)
		return LT_E_NOMEM;
	rc = lt_node_stopped_each(x->c.s->node, x->txn, req->collection, after, add_stopped, &p);
	if (rc != LT_E_EXISTS)
		return rc;
	lt_store_u64(token, p.last.position);
	lt_store_u32(token + 8, p.last.index);
	r->next_page_token.data = token;
	r->next_page_token.len = TOKEN_LEN;
	return LT_OK;
}

/* Told with the first page, so that nobody need ask to learn of a record that was refused. */
static int
tell_stopped(struct node_query *x, const Ltpb__ListRequest *req, Ltpb__ListReply *r)
{
	struct stopped_page p = { .x = x, .req = req, .reply = r };
	size_t i;
	bool own = req->n_unit == 0;

	for (i = 0; i < req->n_unit; i++)
		own |= strcmp(req->unit[i], lt_node_identity(x->c.s->node)->unit.s) == 0;
	if (!own || req->page_token.len != 0)
		return LT_OK;
	return lt_node_stopped_each(
	    x->c.s->node, x->txn, req->collection, (struct lt_place){ 0, 0 }, count_stopped, &p);
}

static int
list_all(struct node_query *x, const Ltpb__ListRequest *req, Ltpb__ListReply *r)
{
	int rc = lt_query_list(&x->r.q, req, r, &x->c.err);

	if (rc == LT_OK)
		rc = tell_delivery(x, r->n_record, r->record);
	return rc == LT_OK ? tell_stopped(x, req, r) : rc;
}

static void
list(Ltpb__Query_Service *service, const Ltpb__ListRequest *req, Ltpb__ListReply_Closure closure,
    void *data)
{
	Ltpb__ListReply r = LTPB__LIST_REPLY__INIT;
	struct node_query x;
	int rc = begin(&x, LT_NODE_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK && !lt_reading_units(&x.r, x.c.call, req->unit, req->n_unit))
		goto out;
	if (rc == LT_OK)
		rc = req->n_delivery != 0 ? list_stopped(&x, req, &r) : list_all(&x, req, &r);
	if (rc == LT_OK)
		rc = tell_findings(&x, &r.freshness);
	if (rc == LT_OK)
		closure(&r, data);
	else
		fail(&x, rc);
out:
	end(&x);
}

static void
aggregate(Ltpb__Query_Service *service, const Ltpb__AggregateRequest *req,
    Ltpb__AggregateReply_Closure closure, void *data)
{
	Ltpb__AggregateReply r = LTPB__AGGREGATE_REPLY__INIT;
	struct node_query x;
	int rc = begin(&x, LT_NODE_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK && !lt_reading_units(&x.r, x.c.call, req->unit, req->n_unit))
		goto out;
	if (rc == LT_OK)
		rc = lt_query_aggregate(&x.r.q, req, &r, &x.c.err);
	if (rc == LT_OK)
		rc = tell_findings(&x, &r.freshness);
	if (rc == LT_OK)
		closure(&r, data);
	else
		fail(&x, rc);
out:
	end(&x);
}

static void
history(Ltpb__Query_Service *service, const Ltpb__HistoryRequest *req,
    Ltpb__HistoryReply_Closure closure, void *data)
{
	Ltpb__HistoryReply r = LTPB__HISTORY_REPLY__INIT;
	Ltpb__HistoryRequest own = *req;
	struct node_query x;
	struct lt_registry *reg;
	int rc = begin(&x, LT_NODE_SERVICE_OF(service, query_rpc), data);

	reg = lt_node_registry(x.c.s->node);
	if (own.unit[0] == '\0')
		own.unit = (char *)lt_node_identity(x.c.s->node)->unit.s;
	if (rc == LT_OK && !lt_reading_units(&x.r, x.c.call, (char *const *)&own.unit, 1))
		goto out;
	if (rc == LT_OK)
		rc = lt_query_history(&x.r.q, &own, lt_author_label, reg, &r, &x.c.err);
	if (rc == LT_OK)
		rc = tell_findings(&x, &r.freshness);
	if (rc == LT_OK)
		closure(&r, data);
	else
		fail(&x, rc);
out:
	end(&x);
	lt_registry_unref(reg);
}

/* What this node holds it may show to its own people, also of a collection that its catalogue has no more. */
static bool
sees_unknown(void *unit, const char *of, const char *collection)
{
	(void)collection;
	return strcmp(((const struct lt_unit *)unit)->s, of) == 0;
}

static void
refused(Ltpb__Query_Service *service, const Ltpb__RefusedRequest *req,
    Ltpb__RefusedReply_Closure closure, void *data)
{
	Ltpb__RefusedReply r = LTPB__REFUSED_REPLY__INIT;
	struct node_query x;
	struct lt_unit own;
	struct lt_registry *reg;
	int rc = begin(&x, LT_NODE_SERVICE_OF(service, query_rpc), data);

	reg = lt_node_registry(x.c.s->node);
	own = lt_node_identity(x.c.s->node)->unit;
	if (rc == LT_OK && req->unit[0] != '\0' &&
	    !lt_reading_units(&x.r, x.c.call, (char *const *)&req->unit, 1))
		goto out;
	if (rc == LT_OK)
		rc = lt_query_refused(
		    &x.r.q, req, lt_author_label, reg, sees_unknown, &own, &r, &x.c.err);
	if (rc == LT_OK)
		closure(&r, data);
	else
		fail(&x, rc);
out:
	end(&x);
	lt_registry_unref(reg);
}

static void
freshness(Ltpb__Query_Service *service, const Ltpb__FreshnessRequest *req,
    Ltpb__FreshnessReply_Closure closure, void *data)
{
	struct lt_node_call c;

	(void)req;
	(void)closure;
	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, query_rpc), data);
	lt_call_failf(c.call, LT_STATUS_UNIMPLEMENTED, "FRESHNESS",
	    "how fresh the province is, the hub knows; ask there");
	lt_node_call_end(&c);
}

static void
prove(Ltpb__Query_Service *service, const Ltpb__ProveRequest *req, Ltpb__ProveReply_Closure closure,
    void *data)
{
	Ltpb__ProveReply r = LTPB__PROVE_REPLY__INIT;
	Ltpb__ProveRequest own = *req;
	struct lt_prove with = { 0 };
	struct node_query x;
	int rc = begin(&x, LT_NODE_SERVICE_OF(service, query_rpc), data);

	with.q = &x.r.q;
	with.id = lt_node_identity(x.c.s->node);
	if (own.unit[0] == '\0')
		own.unit = (char *)with.id->unit.s;
	if (rc == LT_OK) {
		rc = lt_local_get(x.txn, "hub_certificate", &with.certificate);
		rc = rc == LT_E_NOTFOUND ? LT_OK : rc;
	}
	if (rc == LT_OK)
		rc = lt_query_prove(&with, &own, &r, &x.c.err);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&x.c, rc, "PROOF");
	end(&x);
}

const Ltpb__Query_Service lt_node_query_service = { .base = LTPB__QUERY__BASE_INIT,
	.get = get,
	.list = list,
	.aggregate = aggregate,
	.history = history,
	.freshness = freshness,
	.prove = prove,
	.refused = refused };
