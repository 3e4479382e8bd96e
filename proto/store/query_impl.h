/* proto/store/query_impl.h - what the files of the queries share: scope, rows, tests, sources, replies. */
#ifndef LT_STORE_QUERY_IMPL_H
#define LT_STORE_QUERY_IMPL_H

#include "proto/store/projection_impl.h"
#include "proto/store/query.h"

#define LT_QUERY_TICK 256 /* rows between two looks at the deadline */
#define LT_SORT_KEY_MAX LT_KEY_MAX /* index values are shorter, `_key` is this long */

/* What a reply may hold, below what one message may: its own frame and freshness come on top. */
#define LT_REPLY_BYTES_MAX (LT_MESSAGE_MAX - 16 * 1024)
#define LT_REPLY_ITEMS_MAX (LT_REPEATED_MAX - 1024)

/* ---- fields by name (query_field.c) ---- */

enum lt_qfield_kind { LT_QFIELD, LT_QUNIT, LT_QKEY };

struct lt_qfield {
	enum lt_qfield_kind kind;
	const struct lt_field *f; /* NULL for `_unit` and `_key` */
	size_t place; /* of f in the collection */
	enum lt_type type;
	uint32_t scale;
	const char *name;
};

/* LT_E_UNKNOWN with words. */
int lt_qfield_find(
    const struct lt_collection *col, const char *name, struct lt_qfield *out, struct lt_err *err);

/* ---- scope: collection, units, who sees what (query_scope.c) ---- */

struct lt_unit_view {
	struct lt_unit unit;
	bool seen; /* any of its records */
	bool key; /* every key field */
	bool *field; /* by place */
	size_t nhidden;
	const struct lt_field **hidden; /* the others, by name */
};

struct lt_scope {
	const struct lt_query *q;
	const struct lt_collection *col;
	bool indexed; /* the table index is whole, and of this catalogue */
	bool every; /* no units were named */
	size_t nunit;
	const char **unit; /* those named and in sight, sorted, each once */
	size_t nview, view_cap;
	struct lt_unit_view *view; /* owned, sorted by unit */
	uint64_t ticks;
};

/* LT_E_DENIED: no such collection, or nothing of it in sight. LT_E_INVALID: a unit that is none. */
int lt_scope_open(const struct lt_query *q, const char *collection, char *const *unit, size_t nunit,
    struct lt_scope *s, struct lt_err *err);
void lt_scope_close(struct lt_scope *s); /* also when opening failed */
/* For one record that is named: LT_E_NOTFOUND where its unit is out of sight, LT_E_DENIED where its key is. */
int lt_scope_open_record(const struct lt_query *q, const char *collection, char *unit,
    const char *key, struct lt_scope *s, struct lt_err *err);
/* LT_E_NOTFOUND with words. */
int lt_no_record(const char *collection, const char *unit, struct lt_err *err);
/* What the asker sees in a unit; *out is good until the next call. */
int lt_scope_view(struct lt_scope *s, const char *unit, const struct lt_unit_view **out);
bool lt_view_shows(const struct lt_unit_view *v, const struct lt_qfield *f);
/* LT_E_DENIED with words unless the field is in sight wherever the query can reach. */
int lt_scope_use(struct lt_scope *s, const struct lt_qfield *f, struct lt_err *err);
/* Is the field in the table index, and may that be used? */
bool lt_scope_indexed(const struct lt_scope *s, const struct lt_qfield *f);
/* Every LT_QUERY_TICK calls, ask whether to go on. */
int lt_scope_tick(struct lt_scope *s);

/* ---- rows (query_row.c) ---- */

struct lt_row {
	struct lt_slice rk, record, entry; /* entry: value bytes of the index entry that led here */
	char unit[LT_UNIT_MAX + 1];
	char key[LT_KEY_MAX + 1];
	struct lt_arena arena; /* until the next row */
	bool split;
	size_t npart;
	Ltpb__FieldSet **part; /* of the key */
	Ltpb__Value text;
};

/* *v NULL: no value; *withheld: there is one that is not at hand. Good until the next row. */
int lt_row_value(struct lt_row *row, const struct lt_scope *s, const struct lt_qfield *f,
    const Ltpb__Value **v, bool *withheld);
int lt_row_open(struct lt_row *row, struct lt_slice rk, struct lt_slice record);
/* The same in a row that may have been open (a zeroed one was not): its memory is used again. */
int lt_row_next(struct lt_row *row, struct lt_slice rk, struct lt_slice record);
void lt_row_close(struct lt_row *row);

/* ---- filters (query_filter.c) ---- */

struct lt_test {
	struct lt_qfield field;
	Ltpb__FilterOp op;
	size_t nvalue;
	const Ltpb__Value **value; /* of the field's type; of a set: texts */
};

/* Check and read the filters, in the query's arena. */
int lt_tests_make(struct lt_scope *s, Ltpb__Filter *const *filter, size_t n, struct lt_test **out,
    struct lt_err *err);
bool lt_test_holds(const struct lt_test *t, const Ltpb__Value *v, bool withheld);

/* ---- sources of rows (query_source.c, query_plan.c) ---- */

struct lt_range {
	struct lt_slice from, to; /* index values, or keys of the records */
};

struct lt_source {
	const char *field; /* of the index; NULL: the records themselves */
	size_t nrange;
	struct lt_range *range; /* rising */
	bool by_rk; /* rows come by unit and key */
	bool repeats; /* a row may come more than once */
	struct lt_slice equal; /* where one index value gives the rows */
	bool collected; /* rk[] holds what the index gave, by unit and key */
	size_t nrk;
	struct lt_slice *rk;
};

/* All rows of the query: scope, and tests that must hold. */
struct lt_rows {
	struct lt_scope *scope;
	size_t ntest;
	struct lt_test *test;
	size_t nuse; /* fields used besides: order, groups, sums */
	const struct lt_qfield *use;
};

/* Where a page ended: order value (or none) and record. */
struct lt_pos {
	bool missing;
	struct lt_slice value, rk;
};

/* LT_OK goes on, LT_E_CANCELLED stops quietly, others are returned. */
typedef int lt_row_fn(void *ctx, struct lt_row *row);
/* Rows of a source that pass the tests and are in sight. after NULL: from the start. */
int lt_source_each(const struct lt_source *src, const struct lt_rows *r, const struct lt_pos *after,
    bool descending, lt_row_fn *fn, void *ctx);

/* The records of the scope, by unit and key. */
int lt_source_scan(const struct lt_scope *s, struct lt_source *out);
/* The cheapest source. by_rk: it must give the rows by unit and key; else any order, but no row twice.
 * *narrow: it gives few rows, which are cheap to sort. */
int lt_source_plan(const struct lt_rows *r, bool by_rk, struct lt_source *out, bool *narrow);
/* All entries of an indexed field that the tests on it leave, in its order. */
int lt_source_order(const struct lt_rows *r, const struct lt_qfield *f, struct lt_source *out);

/* ---- replies (query_record.c, query_token.c) ---- */

/* Which fields are wanted: by place, NULL for all in sight. */
int lt_mask_make(
    struct lt_scope *s, char *const *mask, size_t n, const bool **out, struct lt_err *err);
/* The row as the asker sees it, in the query's arena; *items: its repeated items, all levels. */
int lt_record_reply(
    struct lt_scope *s, struct lt_row *row, const bool *mask, Ltpb__Record **out, size_t *items);
/* Repeated items of a message, all levels. */
size_t lt_record_items(const Ltpb__Record *r);
size_t lt_field_items(const Ltpb__FieldSet *f);

/* The page as it fills. */
struct lt_room {
	size_t bytes, items;
};
/* Whether so much more fits; the first always does. */
bool lt_room_take(struct lt_room *room, size_t bytes, size_t items);

/* request: what the token is bound to; kind keeps methods apart. */
int lt_token_seal(const struct lt_query *q, uint8_t kind, const ProtobufCMessage *request,
    struct lt_slice content, ProtobufCBinaryData *out);
/* Content in the arena; LT_E_INVALID with words. */
int lt_token_open(const struct lt_query *q, uint8_t kind, const ProtobufCMessage *request,
    const ProtobufCBinaryData *token, struct lt_slice *content, struct lt_err *err);
#define LT_TOKEN_LIST 1
#define LT_TOKEN_HISTORY 2
#define LT_TOKEN_REFUSED 3

/* LT_PAGE_DEFAULT for 0; LT_E_INVALID above LT_PAGE_MAX. */
int lt_page_size(uint32_t asked, size_t *out, struct lt_err *err);
/* Here, so that whoever reads one file only sees the code come back. */
static inline int
lt_nomem(struct lt_err *err)
{
	return lt_err_set(err, LT_E_NOMEM, "out of memory for this query");
}

#endif
