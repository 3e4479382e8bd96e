/* node/import_row.h - a list from an office, row by row, as typed fields of records.
 *
 * open (options) -> next, next, ... -> close. Reads cells (import_csv.h) or JSON lines, brings them to
 * the catalogue's types by a mapping (import_map.h), and judges each row alone: a bad row never
 * stops the file, nothing is dropped silently, no number or code is guessed. Pure but for the
 * source; one import belongs to one thread at a time.
 *
 * Reason codes: blank, filtered, duplicate_identical, duplicate_key_conflict, column_count,
 * no_header, too_long, open_quote, bad_quote, too_many_columns, nul, bad_encoding, bad_json, other_collection,
 * unknown_field, required, bad_key, bad_number, bad_date, bad_time, bad_bool, bad_list,
 * unknown_enum, pattern, range, wrong_type, not_nfc, foreign_commune, unknown_old_commune, partial_succession,
 * authority, check.
 */
#ifndef LT_NODE_IMPORT_ROW_H
#define LT_NODE_IMPORT_ROW_H

#include "node/import_cell.h"
#include "node/import_csv.h"
#include "node/import_map.h"
#include "proto/model/catalogue.h"

#include "lienthong/v1/types.pb-c.h"

#define LT_IMPORT_HEADER_SEARCH 64 /* records looked at for the header line */

struct lt_succession; /* import_units.h */

enum lt_import_result {
	LT_IMPORT_ROW, /* take it */
	LT_IMPORT_DUPLICATE, /* the same record with the same values came before in this file */
	LT_IMPORT_REJECT,
	LT_IMPORT_SKIP, /* blank line, or not within the filter */
};

/* One row. Everything lives until the next lt_import_next(). */
struct lt_import_row {
	uint64_t record; /* from 1, the header and what stands before it not counted */
	uint64_t line; /* physical line where it starts */
	enum lt_import_result result;
	const struct lt_collection *collection; /* NULL if the row does not say */
	struct lt_unit unit; /* unit of the record */
	const char *key; /* NULL when it could not be made */
	size_t nvalue; /* all values, key and unit fields among them, by name */
	Ltpb__FieldSet **value;
	size_t nset; /* those that a change carries (not in_key, not is_unit), by name */
	Ltpb__FieldSet **set;
	unsigned warn; /* LT_WARN_ bits */
	struct lt_import_fault fault; /* code NULL: none; for skip and duplicate, why */
};

struct lt_import_options {
	struct lt_catalogue *catalogue; /* borrowed until close */
	const struct lt_import_map
	    *map; /* borrowed until close; NULL: headers that equal a field's name
	                                     * or Vietnamese title are used, others are read over */
	const char *collection; /* NULL: the map's, or (JSON lines) each line's own */
	struct lt_unit unit; /* who imports */
	bool any_unit; /* rows may belong to other units (the hub); else foreign_commune */
	unsigned writer; /* one LT_WRITER_ bit; 0: LT_WRITER_COMMUNE */
	bool partial; /* rows may leave out required fields (they change what is there) */
	bool json_lines;
	bool english; /* a file of refused rows: title and reasons; else Vietnamese */
	const struct lt_succession *succession; /* borrowed; needed by a map that derives from it */
	const char *filter_field; /* JSON lines: only lines where this member */
	const char *filter_value; /* is this text; NULL: all */
	struct lt_csv_source source;
	char separator; /* 0: the map's, or found */
	enum lt_charset encoding; /* AUTO: the map's, or UTF-8 if it is that */
	size_t record_max; /* 0: LT_CSV_RECORD_MAX */
	uint64_t records_max; /* 0: LT_CSV_RECORDS_MAX */
};

struct lt_import; /* opaque */

/* Reads the head of the file and finds the header. err says what to change in file or mapping.
 * LT_E_INVALID, LT_E_UNSUPPORTED, LT_E_NOTFOUND (collection, field or header), LT_E_NOMEM, LT_E_DENIED (the mapping
 * fills a field that only the hub may set), errors of the source. */
int lt_import_open(const struct lt_import_options *opt, struct lt_import **out, struct lt_err *err);
void lt_import_close(struct lt_import *im); /* NULL allowed */

/* LT_OK with *row; LT_E_NOTFOUND at the end; LT_E_TOOBIG: too many records; LT_E_NOMEM; errors of the source. */
int lt_import_next(struct lt_import *im, struct lt_import_row *row, struct lt_err *err);

/* For a file of refused rows: the header, and the cells of the row that lt_import_next() gave last, as they
 * came but in UTF-8 (what is no text escaped as \xNN). In memory of the import, until the next call. */
size_t lt_import_header(const struct lt_import *im, const struct lt_slice **cell);
int lt_import_cells(struct lt_import *im, const struct lt_slice **cell, size_t *n);
/* Headers of columns that are read over although no mapping says so. */
size_t lt_import_ignored(const struct lt_import *im, const struct lt_slice **header);
/* Physical line of the header, 0 for JSON lines. */
uint64_t lt_import_header_line(const struct lt_import *im);
enum lt_charset lt_import_encoding(const struct lt_import *im);
char lt_import_separator(const struct lt_import *im);
bool lt_import_bom(const struct lt_import *im);

#endif
