/* proto/model/value.h - values: checks, equality, order, text form (FORMAT.md 2). Pure. */
#ifndef LT_MODEL_VALUE_H
#define LT_MODEL_VALUE_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/model/rules.h"

#include "lienthong/v1/types.pb-c.h"

/* Exactly one member, within the limits, NFC, sets sorted. LT_E_INVALID, LT_E_TOOBIG with words. */
int lt_value_check(const Ltpb__Value *v, struct lt_err *err);
/* The value's type; false if none is set. */
bool lt_value_type(const Ltpb__Value *v, enum lt_type *type);
/* Same type and content (FORMAT.md 2). NULL equals NULL only. */
bool lt_value_eq(const Ltpb__Value *a, const Ltpb__Value *b);
/* Order by content; of different types, by type. NULL is lowest. */
int lt_value_cmp(const Ltpb__Value *a, const Ltpb__Value *b);
/* Text form of the catalogue: decimals with a point, dates and timestamps ISO 8601, bytes hex, sets
 * joined by ';'. Appended to out. */
void lt_value_text(const Ltpb__Value *v, struct lt_buf *out);
/* From text form to a value of the given type, in the arena. scale: decimals. LT_E_INVALID with
 * words (what was wrong, what is expected). Text is normalised to NFC. */
int lt_value_parse(enum lt_type type, uint32_t scale, struct lt_slice text, struct lt_arena *arena,
    Ltpb__Value **out, struct lt_err *err);
/* Deep copy into the arena; NULL at its cap. */
Ltpb__Value *lt_value_dup(const Ltpb__Value *v, struct lt_arena *arena);
/* Order-preserving index bytes (FORMAT.md 9.4), one call per entry of a set. item: which item of a set,
 * 0 otherwise. LT_E_NOTFOUND when there is no such item. */
int lt_value_index(const Ltpb__Value *v, uint32_t scale, size_t item, struct lt_buf *out);

/* Civil date <-> days since 1970-01-01 (proleptic Gregorian). Years 0001 to 9999. */
bool lt_date_to_days(int year, int month, int day, int32_t *days);
void lt_days_to_date(int32_t days, int *year, int *month, int *day);
/* Today in Asia/Ho_Chi_Minh (UTC+7, no daylight saving) for a UTC time. */
int32_t lt_days_vietnam(int64_t utc_ms);

#endif
