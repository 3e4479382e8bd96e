/* node/import_map.h - the mapping file: what a list's columns mean (tools/data/import/README.md).
 *
 * JSON of at most 256 KiB. A mapping is immutable after parsing; any thread may read it. Whether its fields
 * exist is checked when an import is opened with a catalogue.
 */
#ifndef LT_NODE_IMPORT_MAP_H
#define LT_NODE_IMPORT_MAP_H

#include "node/import_charset.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define LT_IMPORT_MAP_BYTES_MAX ((size_t)256 * 1024)
#define LT_IMPORT_MAP_ITEMS_MAX 1024 /* columns, values and derived fields, each */

enum lt_number_format {
	LT_NUMBER_VI, /* 1.250.000 and 37,5; groups also by U+00A0, U+202F or a blank */
	LT_NUMBER_PLAIN, /* 1250000 and 37.5 */
};

enum lt_date_format {
	LT_DATE_DMY, /* d/m/yyyy, also with - or . ; and yyyy-mm-dd */
	LT_DATE_MDY, /* m/d/yyyy, likewise */
	LT_DATE_ISO, /* yyyy-mm-dd only */
};

struct lt_import_column {
	const char *header;
	const char *folded; /* lt_import_fold() of header */
	const char *field; /* NULL: read over */
};

struct lt_import_value {
	const char *field;
	const char *folded; /* what stands in the cell, folded */
	const char *value; /* text form of the field's value */
};

enum lt_derive_kind {
	LT_DERIVE_CONSTANT, /* arg is the value's text form */
	LT_DERIVE_YEAR_OF, /* the year of the date field arg */
	LT_DERIVE_UNIT, /* the unit that imports */
	LT_DERIVE_SUCCESSION, /* the new unit of the old unit code in field arg, if it passed whole */
};

struct lt_import_derive {
	const char *field;
	enum lt_derive_kind kind;
	const char *arg; /* "" where the kind has none */
};

struct lt_import_map {
	const char *collection;
	enum lt_charset encoding;
	char separator; /* 0: find it */
	uint64_t header_line; /* physical line; 0: find it */
	enum lt_number_format number_format;
	enum lt_date_format date_format;
	bool has_zone; /* else a time of day without an offset is refused */
	int32_t zone_minutes; /* east of Greenwich */
	bool ignore_other; /* columns that are not named are read over; else they end the import */
	size_t ncolumn;
	struct lt_import_column *column;
	size_t nvalue;
	struct lt_import_value *value;
	size_t nderive;
	struct lt_import_derive *derive;
	struct lt_arena *arena; /* owned; holds all of the above */
};

/* LT_E_TOOBIG, LT_E_INVALID (err names the member), LT_E_VERSION, LT_E_NOMEM. */
int lt_import_map_parse(struct lt_slice json, struct lt_import_map **out, struct lt_err *err);
void lt_import_map_free(struct lt_import_map *m); /* NULL allowed */

/* How headers and values are compared: NFC, lower case, blanks trimmed and made one, and one
 * place for the tone mark (hoà is hòa, thuỷ is thủy). Appended to out. LT_E_INVALID: not UTF-8. */
int lt_import_fold(struct lt_buf *out, struct lt_slice s);

#endif
