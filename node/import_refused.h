/* node/import_refused.h - the rows that were refused, given back to the office: the same columns and
 * a last one with the reason, in Vietnamese unless lt_import_options.english, so that the list can be mended and imported again.
 *
 * UTF-8 with byte order mark, `;`, CRLF: what a spreadsheet opens rightly by a double click. Text
 * that a spreadsheet would run as a formula gets a ' before it; reading such a file takes it away
 * again. The file holds what the office typed, personal data too: mode 0600. One thread at a time.
 */
#ifndef LT_NODE_IMPORT_REFUSED_H
#define LT_NODE_IMPORT_REFUSED_H

#include "node/import_row.h"

struct lt_refused; /* opaque */

/* Mark, header and reason title; appended. JSON lines have two columns: the line, the reason. */
void lt_refused_header(const struct lt_import *im, struct lt_buf *out);
/* The row that lt_import_next() gave last, with its reason. LT_E_NOMEM. */
int lt_refused_row(struct lt_import *im, const struct lt_import_row *row, struct lt_buf *out);

/* A file of them. Nothing is made before the first row; it gets its name when it is complete. */
int lt_refused_open(const char *path, struct lt_refused **out, struct lt_err *err);
int lt_refused_add(struct lt_refused *r, struct lt_import *im, const struct lt_import_row *row,
    struct lt_err *err);
/* Finish and rename; *rows (NULL allowed): how many. LT_E_IO, LT_E_NOSPACE: the file is not there. Frees r. */
int lt_refused_close(struct lt_refused *r, uint64_t *rows, struct lt_err *err);
/* Give up: nothing stays behind. NULL allowed. */
void lt_refused_abort(struct lt_refused *r);

#endif
