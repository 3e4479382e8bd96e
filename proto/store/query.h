/* proto/store/query.h - Get, List, Aggregate and History over the derived tables, the same on a node
 * and at the hub. Who may see what comes in as functions; what may not be seen is masked, and using it in a
 * filter, order, group or sum is refused.
 *
 * What is hidden and what is not there look the same: a collection that the catalogue does not know and one of which the
 * asker sees nothing are both LT_E_DENIED with the same words; a unit out of sight has no records (Get and History:
 * LT_E_NOTFOUND; List and Aggregate: nothing of it).
 *
 * Fields: those of the catalogue, key and unit fields among them, and `_unit` and `_key` (texts) for the record's unit
 * and key. Where a key field may not be seen, `key` is empty and `_key` may not be used.
 *
 * Filters: a comparison holds only where there is a value of the field's type: a field without one fails every comparison,
 * NE too, and holds for IS_NULL only. A withheld value is one that cannot be read: NOT_NULL holds, comparisons fail. A set: EQ
 * contains the code, NE does not contain it, IN any of them, PREFIX a code beginning so; no order. PREFIX is for text, enum,
 * set and bytes. A text given for a field of another type is read as its text form (value.h).
 *
 * Order: by the field's index bytes (FORMAT.md 9.4: texts by their first 96 bytes), then unit and key; descending turns all of it
 * around; records without a value come last either way, by unit and key. No order by sets.
 */
#ifndef LT_STORE_QUERY_H
#define LT_STORE_QUERY_H

#include "proto/store/access.h"
#include "proto/store/projection.h"

#define LT_PAGE_DEFAULT 100
#define LT_PAGE_MAX 1000
#define LT_FILTERS_MAX 16
#define LT_IN_MAX 100
#define LT_UNITS_MAX 4096 /* units in one request: more than the country has */
#define LT_GROUP_BY_MAX 4
#define LT_SUMS_MAX 8
#define LT_GROUPS_MAX 10000
#define LT_SORT_MAX 100000 /* rows sorted in memory when no index gives the order */

struct lt_sight {
	/* May the asker see records of this unit in this collection at all? unit NULL: of any unit. */
	bool (*unit)(void *ctx, const struct lt_collection *c, const char *unit);
	/* May the asker see this field there? */
	bool (*field)(
	    void *ctx, const struct lt_collection *c, const char *unit, const struct lt_field *f);
	/* For filters, orders, groups when the request names no units: may the asker see it in every unit that the query
	 * can reach? (Where units are named, field() is asked for each.) */
	bool (*field_everywhere)(
	    void *ctx, const struct lt_collection *c, const struct lt_field *f);
	/* field() of every field at once, by place; NULL: each is asked for. */
	void (*fields)(void *ctx, const struct lt_collection *c, const char *unit, bool *in);
	void *ctx;
};

/* The sight that access.h gives an asker; *out borrows *of and what it points to. */
struct lt_sight_of {
	const struct lt_asker *who;
	const struct lt_catalogue *catalogue;
	const struct lt_unit *province;
};
void lt_sight_of_asker(struct lt_sight_of *of, struct lt_sight *out);

struct lt_query {
	struct lt_kv_txn *log;
	struct lt_kv_txn *derived;
	const struct lt_catalogue *catalogue;
	struct lt_unit province;
	const struct lt_sight *sight;
	/* Asked every some hundred rows; anything but LT_OK ends the query with it (deadline, cancel). NULL allowed. */
	int (*tick)(void *ctx);
	void *tick_ctx;
	struct lt_arena *arena; /* replies live here */
	/* 32 secret bytes that page tokens are sealed with; NULL: the process's own, so that tokens end with it. */
	const uint8_t *token_key;
	/* Index entries looked at to tell a narrow index from a wide one; 0: 2,000. Changes how rows are found, never which. */
	size_t few;
	/* The fields of records in replies of Get and List stand packed among base.unknown_fields, `field` is empty: for who does
	 * nothing with a reply but send it. They lie in the store: the reply must be packed before the transactions end. */
	bool packed;
};

/* Codes: LT_E_UNKNOWN (no such field), LT_E_DENIED (a field, or the collection), LT_E_NOTFOUND (also what one
 * may not see), LT_E_INVALID (with words; also a page token that is damaged, of another request or of another key:
 * begin again), LT_E_TOOBIG (with words: ask for less), LT_E_CORRUPT, LT_E_NOMEM, LT_E_TIMEOUT, LT_E_CANCELLED.
 * Replies come without freshness; the caller adds it. Key and unit fields stand among the fields. A page may be shorter
 * than asked so that it fits a message; only an empty next_page_token is the end. */
int lt_query_get(const struct lt_query *q, const Ltpb__GetRequest *req, Ltpb__GetReply *reply,
    struct lt_err *err);
int lt_query_list(const struct lt_query *q, const Ltpb__ListRequest *req, Ltpb__ListReply *reply,
    struct lt_err *err);
/* Groups in order of their values, missing ones last; without group_by one group, also of nothing. Sums are exact, a missing
 * value adds nothing; a withheld value counts as missing. A sum beyond 64 bits: LT_E_TOOBIG. */
int lt_query_aggregate(const struct lt_query *q, const Ltpb__AggregateRequest *req,
    Ltpb__AggregateReply *reply, struct lt_err *err);
/* author_name(ctx, id) gives the label of an author for people; NULL (the function, or what it gives): hex. Every change of the
 * record in order of (effective time, dot), whatever became of it. Also of a record that is deleted. */
typedef const char *lt_author_name_fn(void *ctx, const struct lt_id *author);
/* Changes that a verdict refused, in the order of this machine's log; of each no more than its asker may see of the record: nothing
 * where the unit or the collection is out of sight, no key where a key field is. unknown: may the asker see one that is no record, an act or of
 * a collection that the catalogue has not (or no more)? */
typedef bool lt_unknown_fn(void *ctx, const char *unit, const char *collection);
int lt_query_refused(const struct lt_query *q, const Ltpb__RefusedRequest *req,
    lt_author_name_fn *author_name, void *ctx, lt_unknown_fn *unknown, void *unknown_ctx,
    Ltpb__RefusedReply *reply, struct lt_err *err);
int lt_query_history(const struct lt_query *q, const Ltpb__HistoryRequest *req,
    lt_author_name_fn *author_name, void *ctx, Ltpb__HistoryReply *reply, struct lt_err *err);

#endif
