/* node/import_units.h - the official lists: units.csv and succession.csv (proto/data), and the rows
 * that the hub makes of them in its first load.
 *
 * Tables are immutable after loading; any thread may read them.
 */
#ifndef LT_NODE_IMPORT_UNITS_H
#define LT_NODE_IMPORT_UNITS_H

#include "node/import_row.h"
#include "proto/base/arena.h"
#include "proto/base/ids.h"

#define LT_UNITS_FILE_MAX ((size_t)4 * 1024 * 1024)

struct lt_unit_info {
	const char *code;
	const char *name;
	const char *type; /* tinh, thanh_pho, xa, phuong, dac_khu */
	const char *province_code; /* "" for a province */
	const char *name_ascii;
};

struct lt_units;

/* The text of units.csv. LT_E_INVALID (err names the line), LT_E_NOMEM. */
int lt_units_load(struct lt_slice csv, struct lt_units **out, struct lt_err *err);
void lt_units_free(struct lt_units *u);
size_t lt_units_count(const struct lt_units *u);
const struct lt_unit_info *lt_units_at(const struct lt_units *u, size_t i); /* by code */
const struct lt_unit_info *lt_units_find(const struct lt_units *u, const char *code);

struct lt_succession_info {
	const char *old_code; /* "" in the few rows without one */
	const char *old_name;
	const char *new_code;
	const char *new_name;
	bool whole;
	const char *effective_date;
	const char *note;
};

/* The text of succession.csv. */
int lt_succession_load(struct lt_slice csv, struct lt_succession **out, struct lt_err *err);
void lt_succession_free(struct lt_succession *s);
size_t lt_succession_count(const struct lt_succession *s);
const struct lt_succession_info *lt_succession_at(
    const struct lt_succession *s, size_t i); /* by old, new code */
/* The one unit an old unit passed into whole. LT_E_NOTFOUND: no such old unit. LT_E_CONFLICT: it was
 * split, a person must decide. */
int lt_succession_whole(const struct lt_succession *s, const char *old_code, struct lt_unit *out);

/* Records made from the lists. */
enum lt_units_rows {
	LT_ROWS_COMMUNE_PROFILE, /* commune_profile of each commune: name, type, old_communes */
	LT_ROWS_UNIT, /* _unit: the province and its communes */
	LT_ROWS_SUCCESSION, /* _succession: all rows that lead to them; the old code is "_" where there was none */
};

/* Called for each record, in order of the list's codes. set: fields that a change carries, by name; all lives
 * until fn returns. */
typedef int lt_units_row_fn(
    void *ctx, const struct lt_unit *unit, const char *key, Ltpb__FieldSet **set, size_t nset);

/* All rows of one kind for one province. Stops at the first error of fn and returns it.
 * LT_E_NOTFOUND: no such province. LT_E_NOMEM. */
int lt_units_rows(enum lt_units_rows what, const struct lt_catalogue *cat, const struct lt_units *u,
    const struct lt_succession *s, const char *province, lt_units_row_fn *fn, void *ctx,
    struct lt_err *err);
/* "commune_profile", "_unit", "_succession" */
const char *lt_units_rows_collection(enum lt_units_rows what);

#endif
