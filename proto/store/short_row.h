/* proto/store/short_row.h - a row without what the shown record beside it has as well (FORMAT.md 9.13).
 *
 * Pure; any thread.
 */
#ifndef LT_STORE_SHORT_ROW_H
#define LT_STORE_SHORT_ROW_H

#include "proto/base/buf.h"

/* Whether the value of a `record` row is in the short form. */
bool lt_short_row_is(struct lt_slice stored);

/* Append what a hub stores of a row: its short form, or the row as it is where nothing can be left out. record: the Record
 * bytes that are stored beside it, empty where nothing is shown. row is whole and sound, and neither lies in out's memory.
 * LT_E_NOMEM, or what out had before. */
int lt_short_row_make(struct lt_slice row, struct lt_slice record, struct lt_buf *out);

/* Append the row whose short form is `stored`, record being stored beside it. LT_E_CORRUPT: one of them is damaged, or they
 * are not of each other; what was appended is to be thrown away. LT_E_NOMEM. */
int lt_short_row_restore(struct lt_slice stored, struct lt_slice record, struct lt_buf *out);

#endif
