/* node/import_row_impl.h - what the parts of one import share: import_row.c (open, next, judging a
 * row), import_header.c (finding and reading the header), import_json.c (a JSON line to values). */
#ifndef LT_NODE_IMPORT_ROW_IMPL_H
#define LT_NODE_IMPORT_ROW_IMPL_H

#include "node/import_row.h"
#include "node/import_seen.h"

#define ROW_ARENA_MAX \
	((size_t)32 * 1024 * 1024) /* a record of 1 MiB in an old encoding, with its copies */
#define COLUMN_IGNORED (-1)
#define COLUMN_NAMELESS (-2) /* no header text: cells below must be empty */

/* Title of the reason column in files of refused rows. */
#define LT_IMPORT_REASON_TITLE "Lý do từ chối"
#define LT_IMPORT_REASON_TITLE_EN "Why refused"

struct lt_import {
	struct lt_import_options opt;
	struct lt_csv *csv;
	struct lt_cell_rules rules;
	const struct lt_collection *col; /* NULL: each JSON line names its own */
	struct lt_arena keep; /* header texts */
	size_t ncolumn;
	struct lt_slice header[LT_CSV_COLUMNS_MAX]; /* UTF-8 */
	int field_of[LT_CSV_COLUMNS_MAX]; /* place in col->field, or COLUMN_ */
	size_t nignored;
	struct lt_slice ignored[LT_CSV_COLUMNS_MAX];
	bool has_source[LT_FIELDS_MAX]; /* by place in col->field: a column or a rule gives it */
	bool was_refused; /* the file is one of our own files of refused rows */
	bool reason_last; /* and its last column is our reason */
	uint64_t header_line, header_record;
	struct lt_csv_record rec; /* the last one */
	struct lt_slice cell[LT_CSV_COLUMNS_MAX]; /* its cells in UTF-8, made on demand */
	struct lt_arena row; /* everything of the last row */
	struct lt_seen seen;
};

/* The values of one row before it is judged, by place in the collection's field list. */
struct row_values {
	Ltpb__Value *value[LT_FIELDS_MAX];
	struct lt_import_fault *fault[LT_FIELDS_MAX];
	bool given[LT_FIELDS_MAX]; /* the row itself has something to say on it */
};

/* Read on to the header and settle which column is which field. */
int lt_import_take_header(struct lt_import *im, struct lt_err *err);

/* One JSON line: LT_OK with values in rv and row->collection; LT_E_REFUSED: row->fault;
 * LT_E_NOTFOUND: not within the filter; LT_E_NOMEM. */
int lt_import_take_json(
    struct lt_import *im, struct lt_slice line, struct lt_import_row *row, struct row_values *rv);

/* A fault of this field in the row's arena, or NULL: memory. */
struct lt_import_fault *lt_import_row_fault(
    struct lt_import *im, struct row_values *rv, size_t field);

#endif
