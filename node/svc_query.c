/* node/svc_query.c - a clerk reads: the commune's own records with how far each one got, and what came down. */
#include "node/service_impl.h"
#include "proto/service/reading.h"

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

/* Saved, sent, receipted or refused: for records of this commune. */
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
	if (rc == LT_OK)
		rc = lt_query_get(&x.r.q, &own, &r, &x.c.err);
	if (rc == LT_OK)
		rc = tell_delivery(&x, 1, &r.record);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&x.c, rc, "QUERY");
	end(&x);
}

static void
list(Ltpb__Query_Service *service, const Ltpb__ListRequest *req, Ltpb__ListReply_Closure closure,
    void *data)
{
	Ltpb__ListReply r = LTPB__LIST_REPLY__INIT;
	struct node_query x;
	int rc = begin(&x, LT_NODE_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK)
		rc = lt_query_list(&x.r.q, req, &r, &x.c.err);
	if (rc == LT_OK)
		rc = tell_delivery(&x, r.n_record, r.record);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&x.c, rc, "QUERY");
	end(&x);
}

static void
aggregate(Ltpb__Query_Service *service, const Ltpb__AggregateRequest *req,
    Ltpb__AggregateReply_Closure closure, void *data)
{
	Ltpb__AggregateReply r = LTPB__AGGREGATE_REPLY__INIT;
	struct node_query x;
	int rc = begin(&x, LT_NODE_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK)
		rc = lt_query_aggregate(&x.r.q, req, &r, &x.c.err);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&x.c, rc, "QUERY");
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
	if (rc == LT_OK)
		rc = lt_query_history(&x.r.q, &own, lt_author_label, reg, &r, &x.c.err);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&x.c, rc, "QUERY");
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

const Ltpb__Query_Service lt_node_query_service = { .base = LTPB__QUERY__BASE_INIT,
	.get = get,
	.list = list,
	.aggregate = aggregate,
	.history = history,
	.freshness = freshness };
