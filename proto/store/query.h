/* proto/store/query.h - Get, List, Aggregate and History over the derived tables, the same on a node
 * and at the hub. Who may see what comes in as functions; what may not be seen is masked, and using it in a
 * filter, order, group or sum is refused.
 */
#ifndef LT_STORE_QUERY_H
#define LT_STORE_QUERY_H

#include "proto/store/projection.h"

#define LT_PAGE_DEFAULT 100
#define LT_PAGE_MAX 1000
#define LT_FILTERS_MAX 16
#define LT_IN_MAX 100
#define LT_GROUPS_MAX 10000
#define LT_SORT_MAX 100000 /* rows sorted in memory when no index gives the order */

struct lt_sight {
	/* May the asker see records of this unit in this collection at all? */
	bool (*unit)(void *ctx, const struct lt_collection *c, const char *unit);
	/* May the asker see this field there? */
	bool (*field)(
	    void *ctx, const struct lt_collection *c, const char *unit, const struct lt_field *f);
	/* For filters, orders, groups: may the asker see it in every unit that the query can reach? */
	bool (*field_everywhere)(
	    void *ctx, const struct lt_collection *c, const struct lt_field *f);
	void *ctx;
};

struct lt_query {
	struct lt_kv_txn *log;
	struct lt_kv_txn *derived;
	const struct lt_catalogue *catalogue;
	struct lt_unit province;
	const struct lt_sight *sight;
	/* Asked every some hundred rows; anything but LT_OK ends the query with it (deadline, cancel). */
	int (*tick)(void *ctx);
	void *tick_ctx;
	struct lt_arena *arena; /* replies live here */
};

/* Codes: LT_E_UNKNOWN (no such collection or field), LT_E_DENIED (a field or everything), LT_E_NOTFOUND (also what one
 * may not see), LT_E_INVALID (with words), LT_E_TOOBIG, LT_E_CORRUPT, LT_E_TIMEOUT, LT_E_CANCELLED.
 * Replies come without freshness; the caller adds it. Key and unit fields stand among the fields. */
int lt_query_get(const struct lt_query *q, const Ltpb__GetRequest *req, Ltpb__GetReply *reply,
    struct lt_err *err);
int lt_query_list(const struct lt_query *q, const Ltpb__ListRequest *req, Ltpb__ListReply *reply,
    struct lt_err *err);
int lt_query_aggregate(const struct lt_query *q, const Ltpb__AggregateRequest *req,
    Ltpb__AggregateReply *reply, struct lt_err *err);
/* author_name(ctx, id) gives the label of an author for people; NULL: hex. */
typedef const char *lt_author_name_fn(void *ctx, const struct lt_id *author);
int lt_query_history(const struct lt_query *q, const Ltpb__HistoryRequest *req,
    lt_author_name_fn *author_name, void *ctx, Ltpb__HistoryReply *reply, struct lt_err *err);

#endif
