#include "node/import_refused.h"

#include "node/import_row_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct lt_refused {
	char *path, *temp; /* owned */
	FILE *file; /* NULL before the first row */
	uint64_t rows;
};

static void
put_cell(struct lt_buf *out, struct lt_slice s)
{
	size_t i;

	lt_buf_u8(out, '"');
	if (lt_import_is_formula(s))
		lt_buf_u8(out, '\'');
	for (i = 0; i < s.len; i++) {
		if (s.data[i] == '"')
			lt_buf_u8(out, '"');
		lt_buf_u8(out, s.data[i]);
	}
	lt_buf_u8(out, '"');
}

/* Cells up to the header's number, the reason, then what stood beyond: no text is lost and the
 * reason is always in its column. */
static void
put_line(
    struct lt_buf *out, const struct lt_slice *cell, size_t n, size_t columns, const char *reason)
{
	size_t i;

	for (i = 0; i < columns; i++) {
		if (i < n)
			put_cell(out, cell[i]);
		lt_buf_u8(out, ';');
	}
	put_cell(out, lt_slice_str(reason));
	for (i = columns; i < n; i++) {
		lt_buf_u8(out, ';');
		put_cell(out, cell[i]);
	}
	lt_buf_str(out, "\r\n");
}

/* The column of an earlier reason is not kept: the new one stands in its place. */
static size_t
own_columns(const struct lt_import *im)
{
	if (im->opt.json_lines)
		return 1;
	return im->reason_last && im->ncolumn > 1 ? im->ncolumn - 1 : im->ncolumn;
}

void
lt_refused_header(const struct lt_import *im, struct lt_buf *out)
{
	struct lt_slice line = lt_slice_str(im->opt.english ? "Line" : "Dòng");

	lt_buf_str(out, "\xef\xbb\xbf");
	put_line(out, im->opt.json_lines ? &line : im->header, own_columns(im), own_columns(im),
	    im->opt.english ? LT_IMPORT_REASON_TITLE_EN : LT_IMPORT_REASON_TITLE);
}

int
lt_refused_row(struct lt_import *im, const struct lt_import_row *row, struct lt_buf *out)
{
	const struct lt_slice *cell;
	size_t n;
	int rc = lt_import_cells(im, &cell, &n);

	if (rc != LT_OK)
		return rc;
	if (im->reason_last && n == im->ncolumn)
		n = own_columns(im);
	put_line(out, cell, n, own_columns(im),
	    im->opt.english ? row->fault.message : row->fault.message_vi);
	return out->err;
}

int
lt_refused_open(const char *path, struct lt_refused **out, struct lt_err *err)
{
	struct lt_refused *r = calloc(1, sizeof(*r));

	if (r != NULL)
		r->path = strdup(path);
	if (r == NULL || r->path == NULL || asprintf(&r->temp, "%s.part", path) < 0) {
		if (r != NULL)
			r->temp = NULL;
		lt_refused_abort(r);
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	}
	*out = r;
	return LT_OK;
}

static int
fail(const struct lt_refused *r, const char *what, struct lt_err *err)
{
	int e = errno;

	return lt_err_set(err, e == ENOSPC || e == EDQUOT ? LT_E_NOSPACE : LT_E_IO, "%s \"%s\": %s",
	    what, r->path, strerror(e));
}

/* O_EXCL after unlink: never through somebody's link. */
static int
make_file(struct lt_refused *r, struct lt_err *err)
{
	int fd;

	unlink(r->temp);
	fd = open(r->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(r, "making", err);
	r->file = fdopen(fd, "w");
	if (r->file == NULL) {
		close(fd);
		return fail(r, "making", err);
	}
	return LT_OK;
}

int
lt_refused_add(
    struct lt_refused *r, struct lt_import *im, const struct lt_import_row *row, struct lt_err *err)
{
	struct lt_buf b = { 0 };
	int rc = LT_OK;

	if (r->file == NULL) {
		rc = make_file(r, err);
		if (rc == LT_OK)
			lt_refused_header(im, &b);
	}
	if (rc == LT_OK) {
		rc = lt_refused_row(im, row, &b);
		if (rc != LT_OK)
			lt_err_set(err, rc, "out of memory");
	}
	if (rc == LT_OK && fwrite(b.data, 1, b.len, r->file) != b.len)
		rc = fail(r, "writing", err);
	if (rc == LT_OK)
		r->rows++;
	lt_buf_fini(&b);
	return rc;
}

int
lt_refused_close(struct lt_refused *r, uint64_t *rows, struct lt_err *err)
{
	int rc = LT_OK;

	if (rows != NULL)
		*rows = r->rows;
	if (r->file != NULL) {
		if (fflush(r->file) != 0 || fsync(fileno(r->file)) != 0)
			rc = fail(r, "writing", err);
		if (fclose(r->file) != 0 && rc == LT_OK)
			rc = fail(r, "writing", err);
		r->file = NULL;
		if (rc == LT_OK && rename(r->temp, r->path) != 0)
			rc = fail(r, "naming", err);
		if (rc != LT_OK)
			unlink(r->temp);
	}
	lt_refused_abort(r);
	return rc;
}

void
lt_refused_abort(struct lt_refused *r)
{
	if (r == NULL)
		return;
	if (r->file != NULL) {
		(void)fclose(r->file); /* thrown away */
		if (r->temp != NULL)
			(void)unlink(r->temp);
	}
	free(r->path);
	free(r->temp);
	free(r);
}
