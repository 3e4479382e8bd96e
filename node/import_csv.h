/* node/import_csv.h - records of a text file: RFC 4180 as offices really write it, or whole lines.
 *
 * Takes: byte order mark; `;`, `,` or tab (given, or found in the first lines); an Excel "sep=;"
 * line; CRLF, LF or CR; quoted cells with separators, doubled quotes and line breaks; a quote inside
 * an unquoted cell as a plain character; a last line without its end; a DOS end-of-file mark.
 *
 * A fault never stops the file: the record comes back with a flaw. One quote that is never closed,
 * or one followed by more text, costs only the line it stands on: reading goes on with the next
 * physical line. After several such faults a cell over many lines may be 4 KiB long, no more. The file is streamed; memory is bounded by the limits. One thread at a time.
 */
#ifndef LT_NODE_IMPORT_CSV_H
#define LT_NODE_IMPORT_CSV_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define LT_CSV_RECORD_MAX (1024 * 1024) /* bytes of a record, line breaks in cells included */
#define LT_CSV_COLUMNS_MAX 256
#define LT_CSV_RECORDS_MAX 10000000u /* records in a file */
#define LT_CSV_HEAD_MAX (64 * 1024) /* bytes looked at before the first record */

/* Where bytes come from. */
struct lt_csv_source {
	/* At most cap bytes into buf; *got 0 at the end. LT_OK or an error, which ends the reading. */
	int (*read)(void *ctx, uint8_t *buf, size_t cap, size_t *got);
	void *ctx;
};

struct lt_csv_options {
	struct lt_csv_source source;
	char separator; /* 0: find it */
	uint64_t
	    header_line; /* physical line of the header, to find the separator there; 0: unknown */
	bool whole_lines; /* no cells: each line is one (JSON lines) */
	size_t record_max; /* 0: LT_CSV_RECORD_MAX; for tests */
	uint64_t records_max; /* 0: LT_CSV_RECORDS_MAX */
};

enum lt_csv_flaw {
	LT_CSV_GOOD,
	LT_CSV_TOO_LONG, /* longer than record_max */
	LT_CSV_OPEN_QUOTE, /* a quoted cell that never ends, or not within record_max */
	LT_CSV_BAD_QUOTE, /* text between the closing quote and the separator */
	LT_CSV_COLUMNS, /* more than LT_CSV_COLUMNS_MAX cells */
	LT_CSV_NUL, /* NUL bytes; the cells are there, with them */
};

struct lt_csv_record {
	uint64_t number; /* from 1, every record counts */
	uint64_t line; /* physical line where it starts, from 1 */
	enum lt_csv_flaw flaw;
	size_t ncell;
	const struct lt_slice
	    *cell; /* unquoted bytes in the file's encoding; valid until the next call.
	                              * With a flaw other than NUL: one cell, the first physical line (cut). */
};

struct lt_csv; /* opaque; lt_csv_open() / lt_csv_close() */

/* Reads the head of the file. LT_E_UNSUPPORTED: UTF-16, or a workbook instead of text (err says what
 * to do). LT_E_NOMEM; errors of the source. */
int lt_csv_open(const struct lt_csv_options *opt, struct lt_csv **out, struct lt_err *err);
void lt_csv_close(struct lt_csv *r); /* NULL allowed */

bool lt_csv_bom(const struct lt_csv *r);
char lt_csv_separator(const struct lt_csv *r);
/* Nobody gave it: it was found by counting. A caller who knows the header can do better. */
bool lt_csv_separator_guessed(const struct lt_csv *r);
/* Before the first lt_csv_next(). */
void lt_csv_separator_set(struct lt_csv *r, char separator);
/* The first bytes without mark, before the first lt_csv_next(). *cut: there is more. */
struct lt_slice lt_csv_head(const struct lt_csv *r, bool *cut);

/* LT_OK; LT_E_NOTFOUND at the end; LT_E_TOOBIG: more records than allowed; errors of the source. */
int lt_csv_next(struct lt_csv *r, struct lt_csv_record *rec, struct lt_err *err);

/* A source over bytes in memory: ctx is a struct lt_slice that moves on. */
int lt_csv_read_slice(void *ctx, uint8_t *buf, size_t cap, size_t *got);
/* A source over a file descriptor: ctx is an int *. */
int lt_csv_read_fd(void *ctx, uint8_t *buf, size_t cap, size_t *got);

#endif
