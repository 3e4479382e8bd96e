/* node/import_cell.h - one cell of a list to one value of a field.
 *
 * A number is never guessed: what does not follow the declared number format to the letter is
 * refused. Pure; any thread.
 */
#ifndef LT_NODE_IMPORT_CELL_H
#define LT_NODE_IMPORT_CELL_H

#include "node/import_map.h"
#include "proto/base/arena.h"
#include "proto/model/catalogue.h"

#include "lienthong/v1/types.pb-c.h"

/* What a person should know of a row that was taken. */
enum lt_import_warning {
	LT_WARN_NFD = 1, /* text was decomposed Unicode and is stored composed */
	LT_WARN_BLANKS = 2, /* blanks at the ends or runs of them were removed */
	LT_WARN_FORMULA =
	    4, /* text that a spreadsheet would run as a formula; an export prefixes it */
	LT_WARN_CAPITALS = 8, /* TCVN3 lost toned capitals: ĐặNG */
	LT_WARN_GROUPING = 16, /* thousands grouped by blanks or U+00A0 */
};
#define LT_WARN_COUNT 5
/* "nfd_normalised", "blanks_trimmed", "formula_text", "toned_capitals_lost", "nbsp_grouping"; of one bit. */
const char *lt_import_warning_name(unsigned bit);

/* Why a cell or row was refused. code is one of the reason codes of import_row.h. */
struct lt_import_fault {
	const char *code; /* static; NULL: none */
	const char *field; /* borrowed from the catalogue, "" for the row */
	char message[400]; /* English; names field, value (never a personal one) and rule */
	char message_vi[400];
};

/* Write a fault: `subject "value": text`. f may be NULL; value NULL or personal: left out. */
void lt_import_fault_set(struct lt_import_fault *fault, const char *code, const struct lt_field *f,
    const char *value, const char *text, const char *text_vi);

struct lt_cell_rules {
	const struct lt_import_map *map; /* NULL: vi-VN numbers, d/m/yyyy, no values */
	enum lt_charset charset;
};

/* Decode, trim, convert and check a cell. *out in the arena, NULL when the cell is empty. warn: bits
 * are added. LT_OK; LT_E_REFUSED: *fault; LT_E_NOMEM. */
int lt_import_cell(const struct lt_field *f, const struct lt_cell_rules *rules,
    struct lt_slice cell, struct lt_arena *arena, Ltpb__Value **out, unsigned *warn,
    struct lt_import_fault *fault);

/* A value in the catalogue's own text form (JSON lines, derived fields), checked by the field's rules. */
int lt_import_text_value(const struct lt_field *f, struct lt_slice text, struct lt_arena *arena,
    Ltpb__Value **out, struct lt_import_fault *fault);

/* The field's rules (range, pattern, length, values) on a value. LT_OK, or LT_E_REFUSED with *fault. */
int lt_import_check_value(const struct lt_field *f, Ltpb__Value *v, struct lt_import_fault *fault);

/* Text that a spreadsheet takes for a formula: begins with = + - @, tab or CR. */
bool lt_import_is_formula(struct lt_slice text);

#endif
