#include "node/import_csv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)
#define FLAWED_CELL_MAX 4096 /* bytes of a record with a flaw that are kept for the person */
#define MULTI_MIN ((size_t)4096)
#define SNIFF_LINES 64 /* lines looked at for the separator */

struct lt_csv {
	struct lt_csv_source source;
	char separator;
	bool whole_lines, bom, eof, guessed;
	size_t record_max;
	size_t multi_max; /* of a record over several lines; see cut_to_first_line() */
	uint64_t records_max;
	uint8_t *buf; /* owned; unread bytes are buf[start..end) */
	size_t cap, start, end;
	uint64_t line; /* physical line of buf[start] */
	uint64_t number; /* records given out */
	uint8_t *text; /* owned; cells of the current record without quotes */
	size_t text_cap;
	struct lt_slice cell[LT_CSV_COLUMNS_MAX];
};

/* What scan() found: the extent of the record at buf[start]. */
struct extent {
	size_t len; /* bytes of the record */
	size_t next; /* bytes up to the next record */
	uint64_t lines; /* physical lines from here to the next record */
	size_t
	    first; /* bytes of its first physical line; first_next with its end; 0 if it has but one */
	size_t first_next;
	enum lt_csv_flaw flaw;
};

int
lt_csv_read_slice(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
	struct lt_slice *s = ctx;

	*got = s->len < cap ? s->len : cap;
	if (*got > 0)
		memcpy(buf, s->data, *got);
	s->data += *got;
	s->len -= *got;
	return LT_OK;
}

int
lt_csv_read_fd(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
	const int *fd = ctx;
	ssize_t n;

	do
		n = read(*fd, buf, cap);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return LT_E_IO;
	*got = (size_t)n;
	return LT_OK;
}

static size_t
unread(const struct lt_csv *r)
{
	return r->end - r->start;
}

/* Room for READ_BYTES more behind end: move to the front, else grow. scan() asks for no more than a
 * record and its end, so the buffer stays below record_max + 2 * READ_BYTES. */
static int
make_room(struct lt_csv *r)
{
	size_t cap;
	uint8_t *p;

	if (r->cap - r->end >= READ_BYTES)
		return LT_OK;
	if (r->start > 0) {
		memmove(r->buf, r->buf + r->start, unread(r));
		r->end -= r->start;
		r->start = 0;
		if (r->cap - r->end >= READ_BYTES)
			return LT_OK;
	}
	cap = r->cap * 2 > r->end + READ_BYTES ? r->cap * 2 : r->end + READ_BYTES;
	p = realloc(r->buf, cap);
	if (p == NULL)
		return LT_E_NOMEM;
	r->buf = p;
	r->cap = cap;
	return LT_OK;
}

static int
fill(struct lt_csv *r)
{
	size_t got = 0;
	int rc = make_room(r);

	if (rc == LT_OK)
		rc = r->source.read(r->source.ctx, r->buf + r->end, READ_BYTES, &got);
	if (rc != LT_OK)
		return rc;
	if (got == 0)
		r->eof = true;
	r->end += got;
	return LT_OK;
}

/* The byte at offset i of the record, or -1 at the end of the file. */
static int
byte_at(struct lt_csv *r, size_t i, int *c)
{
	int rc;

	while (i >= unread(r) && !r->eof) {
		rc = fill(r);
		if (rc != LT_OK)
			return rc;
	}
	*c = i < unread(r) ? r->buf[r->start + i] : -1;
	return LT_OK;
}

/* At a CR or LF: how many bytes the line end has. */
static int
line_end(struct lt_csv *r, size_t i, int c, size_t *n)
{
	int rc, after = -1;

	*n = 1;
	if (c != '\r')
		return LT_OK;
	rc = byte_at(r, i + 1, &after);
	if (after == '\n')
		*n = 2;
	return rc;
}

enum state { CELL_START, PLAIN, QUOTED, QUOTE_IN_QUOTED };

static enum state
step(const struct lt_csv *r, enum state s, int c, bool *bad)
{
	bool sep = c == (unsigned char)r->separator && !r->whole_lines;

	switch (s) {
	case CELL_START:
		return sep ? CELL_START : c == '"' && !r->whole_lines ? QUOTED : PLAIN;
	case PLAIN:
		return sep ? CELL_START : PLAIN;
	case QUOTED:
		return c == '"' ? QUOTE_IN_QUOTED : QUOTED;
	default:
		if (c == '"')
			return QUOTED;
		*bad = !sep;
		return CELL_START;
	}
}

/* A flawed record is its first physical line only, so that one bad quote does not swallow others.
 * The lines behind it are read again: each such fault halves how far the next one may look, or a
 * file of bad quotes would cost the square of its length. */
static void
cut_to_first_line(struct lt_csv *r, struct extent *e, enum lt_csv_flaw flaw)
{
	e->flaw = flaw;
	if (e->first_next == 0)
		return;
	e->len = e->first;
	e->next = e->first_next;
	e->lines = 1;
	if (r->multi_max / 2 >= MULTI_MIN)
		r->multi_max /= 2;
}

/* Find the end of the line that holds offset i, forgetting what does not fit. */
static int
skip_line(struct lt_csv *r, struct extent *e, size_t i)
{
	size_t n = 0;
	int c = -1, rc;

	for (;;) {
		rc = byte_at(r, i, &c);
		if (rc != LT_OK)
			return rc;
		if (c < 0 || c == '\r' || c == '\n')
			break;
		i++;
		/* keep the beginning for the person, drop the middle */
		if (i > r->record_max && i > 2 * FLAWED_CELL_MAX) {
			r->start += i - FLAWED_CELL_MAX;
			memmove(r->buf + r->start, r->buf + r->start - (i - FLAWED_CELL_MAX),
			    FLAWED_CELL_MAX);
			i = FLAWED_CELL_MAX;
		}
	}
	if (c >= 0)
		rc = line_end(r, i, c, &n);
	e->len = i;
	e->next = i + n;
	e->lines = c >= 0;
	return rc;
}

static int
scan(struct lt_csv *r, struct extent *e)
{
	enum state s = CELL_START;
	size_t i = 0, n;
	bool bad = false;
	int c = -1, rc;

	memset(e, 0, sizeof(*e));
	for (;; i += n) {
		n = 1;
		rc = byte_at(r, i, &c);
		if (rc != LT_OK)
			return rc;
		if (c < 0)
			break;
		if (c == '\r' || c == '\n') {
			rc = line_end(r, i, c, &n);
			if (rc != LT_OK)
				return rc;
			e->lines++;
			if (s != QUOTED)
				break;
			if (e->first_next == 0) {
				e->first = i;
				e->first_next = i + n;
			}
			continue;
		}
		if (i >= (e->first_next == 0 ? r->record_max : r->multi_max)) {
			cut_to_first_line(
			    r, e, e->first_next == 0 ? LT_CSV_TOO_LONG : LT_CSV_OPEN_QUOTE);
			return e->first_next != 0 ? LT_OK : skip_line(r, e, i);
		}
		s = step(r, s, c, &bad);
		if (bad) {
			cut_to_first_line(r, e, LT_CSV_BAD_QUOTE);
			return e->first_next != 0 ? LT_OK : skip_line(r, e, i);
		}
	}
	e->len = i;
	e->next = c < 0 ? i : i + n;
	if (c < 0 && s == QUOTED)
		cut_to_first_line(r, e, LT_CSV_OPEN_QUOTE);
	return LT_OK;
}

static int
text_room(struct lt_csv *r, size_t len)
{
	uint8_t *p;

	if (len <= r->text_cap)
		return LT_OK;
	p = realloc(r->text, len);
	if (p == NULL)
		return LT_E_NOMEM;
	r->text = p;
	r->text_cap = len;
	return LT_OK;
}

/* The cell at *i of a record without flaw, unquoted into text at *t; *i stands after it. */
static struct lt_slice
take_cell(struct lt_csv *r, struct lt_slice rec, size_t *i, size_t *t)
{
	size_t from = *t;

	if (r->whole_lines || *i >= rec.len || rec.data[*i] != '"') {
		while (*i < rec.len && (r->whole_lines || rec.data[*i] != (uint8_t)r->separator))
			r->text[(*t)++] = rec.data[(*i)++];
		return lt_slice(r->text + from, *t - from);
	}
	for ((*i)++; *i < rec.len; (*i)++) {
		if (rec.data[*i] == '"' && (*i + 1 >= rec.len || rec.data[++*i] != '"'))
			break;
		r->text[(*t)++] = rec.data[*i];
	}
	if (*i + 1 == rec.len && rec.data[*i] == '"')
		++*i;
	return lt_slice(r->text + from, *t - from);
}

static void
split(struct lt_csv *r, struct lt_slice bytes, struct lt_csv_record *rec)
{
	size_t i = 0, t = 0;

	for (;;) {
		if (rec->ncell == LT_CSV_COLUMNS_MAX) {
			rec->flaw = LT_CSV_COLUMNS;
			return;
		}
		r->cell[rec->ncell++] = take_cell(r, bytes, &i, &t);
		if (i >= bytes.len)
			return;
		i++; /* the separator */
	}
}

static int
fill_record(struct lt_csv *r, const struct extent *e, struct lt_csv_record *rec)
{
	struct lt_slice bytes = lt_slice(r->buf + r->start, e->len);
	int rc = text_room(r, e->len + 1);

	if (rc != LT_OK)
		return rc;
	rec->flaw = e->flaw;
	rec->ncell = 0;
	rec->cell = r->cell;
	if (rec->flaw == LT_CSV_GOOD && bytes.len > 0 && memchr(bytes.data, 0, bytes.len) != NULL)
		rec->flaw = LT_CSV_NUL;
	if (rec->flaw == LT_CSV_GOOD || rec->flaw == LT_CSV_NUL)
		split(r, bytes, rec);
	if (rec->flaw == LT_CSV_GOOD || rec->flaw == LT_CSV_NUL)
		return LT_OK;
	bytes.len = bytes.len < FLAWED_CELL_MAX ? bytes.len : FLAWED_CELL_MAX;
	if (bytes.len > 0)
		memcpy(r->text, bytes.data, bytes.len);
	r->cell[0] = lt_slice(r->text, bytes.len);
	rec->ncell = 1;
	return LT_OK;
}

int
lt_csv_next(struct lt_csv *r, struct lt_csv_record *rec, struct lt_err *err)
{
	struct extent e;
	int rc = scan(r, &e);

	if (rc != LT_OK)
		return lt_err_set(err, rc, "reading failed after line %llu: %s",
		    (unsigned long long)r->line, lt_strerror(rc));
	/* DOS programs end a file with 1A */
	if (e.next == 0 || (r->eof && e.len == 1 && e.next == 1 && r->buf[r->start] == 0x1a))
		return LT_E_NOTFOUND;
	if (r->number >= r->records_max)
		return lt_err_set(err, LT_E_TOOBIG, "more than %llu records: split the file",
		    (unsigned long long)r->records_max);
	rc = fill_record(r, &e, rec);
	if (rc != LT_OK)
		return lt_err_set(
		    err, rc, "out of memory at line %llu", (unsigned long long)r->line);
	rec->number = ++r->number;
	rec->line = r->line;
	r->start += e.next;
	r->line += e.lines;
	return LT_OK;
}

static bool
starts(struct lt_slice s, const char *magic, size_t n)
{
	return s.len >= n && memcmp(s.data, magic, n) == 0;
}

static int
refuse_other_files(struct lt_slice s, struct lt_err *err)
{
	if (starts(s, "\xff\xfe", 2) || starts(s, "\xfe\xff", 2))
		return lt_err_set(
		    err, LT_E_UNSUPPORTED, "the file is UTF-16: save it again as \"CSV UTF-8\"");
	if (starts(s, "PK\003\004", 4) || starts(s, "\xd0\xcf\x11\xe0", 4))
		return lt_err_set(err, LT_E_UNSUPPORTED,
		    "the file is a workbook, not text: save it as \"CSV UTF-8\"");
	return LT_OK;
}

/* Excel's own line "sep=;" before everything else. */
static void
take_sep_line(struct lt_csv *r, char wanted)
{
	const uint8_t *p = r->buf + r->start;

	if (unread(r) < 6 || memcmp(p, "sep=", 4) != 0 || (p[5] != '\r' && p[5] != '\n'))
		return;
	if (wanted == 0)
		r->separator = (char)p[4];
	r->start += p[5] == '\r' && unread(r) > 6 && p[6] == '\n' ? 7 : 6;
	r->line++;
}

/* The separator that stands most often, outside quotes, in one line. */
static char
sniff(struct lt_slice s, uint64_t only_line)
{
	static const char seps[] = ";\t,"; /* on a tie the first */
	size_t count[3] = { 0 }, best[3] = { 0 }, i, k, top = 0;
	uint64_t line = 1;
	bool quoted = false;

	for (i = 0; i <= s.len && line <= SNIFF_LINES; i++) {
		if (i < s.len && s.data[i] == '"')
			quoted = !quoted;
		for (k = 0; i < s.len && k < 3; k++)
			count[k] += !quoted && s.data[i] == (uint8_t)seps[k];
		if (i < s.len && s.data[i] != '\n' &&
		    (s.data[i] != '\r' || (i + 1 < s.len && s.data[i + 1] == '\n')))
			continue;
		for (k = 0; k < 3; k++) {
			if ((only_line == 0 || only_line == line) && count[k] > best[k])
				best[k] = count[k];
			count[k] = 0;
		}
		line++;
		quoted = false;
	}
	for (k = 1; k < 3; k++)
		if (best[k] > best[top])
			top = k;
	return seps[top];
}

static int
read_head(struct lt_csv *r, struct lt_err *err)
{
	int rc = LT_OK;

	while (!r->eof && unread(r) < LT_CSV_HEAD_MAX && rc == LT_OK)
		rc = fill(r);
	if (rc != LT_OK)
		return lt_err_set(err, rc, "reading failed: %s", lt_strerror(rc));
	rc = refuse_other_files(lt_slice(r->buf, r->end), err);
	if (rc == LT_OK && starts(lt_slice(r->buf, r->end), "\xef\xbb\xbf", 3)) {
		r->bom = true;
		r->start = 3;
	}
	return rc;
}

int
lt_csv_open(const struct lt_csv_options *opt, struct lt_csv **out, struct lt_err *err)
{
	struct lt_csv *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	r->source = opt->source;
	r->separator = opt->separator;
	r->whole_lines = opt->whole_lines;
	r->record_max = opt->record_max != 0 ? opt->record_max : LT_CSV_RECORD_MAX;
	r->multi_max = r->record_max;
	r->records_max = opt->records_max != 0 ? opt->records_max : LT_CSV_RECORDS_MAX;
	r->line = 1;
	rc = read_head(r, err);
	if (rc != LT_OK) {
		lt_csv_close(r);
		return rc;
	}
	if (!r->whole_lines)
		take_sep_line(r, opt->separator);
	if (r->separator == 0) {
		r->guessed = !r->whole_lines;
		r->separator = sniff(lt_slice(r->buf + r->start, unread(r)),
		    opt->header_line >= r->line ? opt->header_line - r->line + 1 : 0);
	}
	*out = r;
	return LT_OK;
}

void
lt_csv_close(struct lt_csv *r)
{
	if (r == NULL)
		return;
	free(r->buf);
	free(r->text);
	free(r);
}

bool
lt_csv_bom(const struct lt_csv *r)
{
	return r->bom;
}

char
lt_csv_separator(const struct lt_csv *r)
{
	return r->separator;
}

bool
lt_csv_separator_guessed(const struct lt_csv *r)
{
	return r->guessed;
}

void
lt_csv_separator_set(struct lt_csv *r, char separator)
{
	r->separator = separator;
}

struct lt_slice
lt_csv_head(const struct lt_csv *r, bool *cut)
{
	*cut = !r->eof;
	return lt_slice(r->buf + r->start, unread(r));
}
