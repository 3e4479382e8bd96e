#include "node/import_row_impl.h"

#include "proto/base/text.h"

#include <stdio.h>
#include <string.h>

/* How well one record serves as header. */
struct candidate {
	size_t matches;
	char missing[LT_NAME_MAX * 4 + 1]; /* a column that is not there */
};

/* Decoded and trimmed copy in the given arena; len 0 when it is no text. */
static struct lt_slice
clean(struct lt_import *im, struct lt_slice raw, struct lt_arena *arena, bool fold)
{
	struct lt_buf text = { 0 }, out = { 0 };
	struct lt_slice s = { 0 };
	int rc = lt_charset_decode(im->rules.charset, raw, &text, NULL);

	if (rc == LT_OK)
		rc = fold ? lt_import_fold(&out, lt_buf_slice(&text))
			  : lt_text_trim(&out, lt_buf_slice(&text), NULL);
	if (rc == LT_OK) {
		s.data = lt_arena_dup(arena, out.data, out.len);
		s.len = s.data != NULL ? out.len : 0;
	}
	lt_buf_fini(&text);
	lt_buf_fini(&out);
	return s;
}

static bool
folds_to(const char *s, struct lt_slice folded)
{
	struct lt_buf b = { 0 };
	bool same =
	    lt_import_fold(&b, lt_slice_str(s)) == LT_OK && lt_slice_eq(lt_buf_slice(&b), folded);

	lt_buf_fini(&b);
	return same;
}

/* Place of a field in the collection; -1. */
static int
place_of(const struct lt_collection *col, const char *name)
{
	const struct lt_field *f = lt_collection_field(col, name);

	return f == NULL ? -1 : (int)(f - col->field);
}

/* The field a header names; COLUMN_IGNORED with *known: the mapping says to read over it. */
static int
field_of_header(const struct lt_import *im, struct lt_slice folded, bool *known)
{
	const struct lt_import_map *map = im->opt.map;
	size_t i;

	*known = true;
	for (i = 0; map != NULL && i < map->ncolumn; i++)
		if (lt_slice_eq(lt_slice_str(map->column[i].folded), folded))
			return map->column[i].field == NULL
				   ? COLUMN_IGNORED
				   : place_of(im->col, map->column[i].field);
	for (i = 0; map == NULL && i < im->col->nfield; i++)
		if (folds_to(im->col->field[i].rule.name, folded) ||
		    folds_to(im->col->field[i].title_vi, folded))
			return (int)i;
	*known = false;
	return COLUMN_IGNORED;
}

static bool
is_derived(const struct lt_import *im, const char *field)
{
	size_t i;

	for (i = 0; im->opt.map != NULL && i < im->opt.map->nderive; i++)
		if (strcmp(im->opt.map->derive[i].field, field) == 0)
			return true;
	return false;
}

static void
remember_missing(struct candidate *c, const char *name)
{
	if (c->missing[0] == 0)
		snprintf(c->missing, sizeof(c->missing), "%s", name);
}

/* With a mapping every column it gives to a field; without, those the key needs. */
static void
find_missing(const struct lt_import *im, struct candidate *c)
{
	const struct lt_import_map *map = im->opt.map;
	const struct lt_field *f;
	size_t i;

	for (i = 0; map != NULL && i < map->ncolumn; i++)
		if (map->column[i].field != NULL &&
		    !im->has_source[place_of(im->col, map->column[i].field)])
			remember_missing(c, map->column[i].header);
	for (i = 0; i < im->col->nkey; i++) {
		f = &im->col->field[im->col->key[i]];
		if (!im->has_source[im->col->key[i]] && !f->is_unit &&
		    !is_derived(im, f->rule.name))
			remember_missing(c, f->title_vi);
	}
}

/* Take the record for the header as far as it goes. LT_E_EXISTS: two columns for one field. */
static int
read_columns(struct lt_import *im, struct candidate *c, struct lt_arena *scratch)
{
	struct lt_slice folded;
	bool known;
	size_t i;
	int f;

	memset(im->has_source, 0, sizeof(im->has_source));
	memset(c, 0, sizeof(*c));
	im->nignored = 0;
	im->was_refused = im->reason_last = false;
	im->ncolumn = im->rec.ncell;
	for (i = 0; i < im->rec.ncell; i++) {
		folded = clean(im, im->rec.cell[i], scratch, true);
		f = field_of_header(im, folded, &known);
		im->field_of[i] = folded.len == 0 ? COLUMN_NAMELESS : f;
		if (f >= 0 && im->has_source[f]) {
			remember_missing(c, im->col->field[f].title_vi);
			return LT_E_EXISTS;
		}
		if (f >= 0)
			im->has_source[f] = true;
		c->matches += f >= 0;
		if (folds_to(LT_IMPORT_REASON_TITLE, folded) ||
		    folds_to(LT_IMPORT_REASON_TITLE_EN, folded)) {
			im->was_refused = known = true;
			im->reason_last = i + 1 == im->rec.ncell;
		}
		if (folded.len > 0 && !known)
			im->ignored[im->nignored++] = im->rec.cell[i];
	}
	find_missing(im, c);
	return LT_OK;
}

/* The record is the header: keep its texts, refuse columns nobody spoke of. */
static int
settle(struct lt_import *im, struct lt_err *err)
{
	size_t i;

	for (i = 0; i < im->ncolumn; i++)
		im->header[i] = clean(im, im->rec.cell[i], &im->keep, false);
	for (i = 0; i < im->nignored; i++)
		im->ignored[i] = clean(im, im->ignored[i], &im->keep, false);
	im->header_line = im->rec.line;
	im->header_record = im->rec.number;
	if (im->opt.map == NULL || im->opt.map->ignore_other || im->nignored == 0)
		return LT_OK;
	return lt_err_set(err, LT_E_INVALID,
	    "column \"%.*s\" is not in the mapping: add it there, with null to read over it",
	    (int)(im->ignored[0].len < 200 ? im->ignored[0].len : 200),
	    (const char *)im->ignored[0].data);
}

static int
not_found(
    const struct lt_import *im, const struct candidate *best, uint64_t line, struct lt_err *err)
{
	if (best->matches == 0)
		return lt_err_set(err, LT_E_NOTFOUND,
		    "no header line found: no line names a column of \"%s\"", im->col->id);
	return lt_err_set(err, LT_E_NOTFOUND, "the header (line %llu) has no column \"%s\"",
	    (unsigned long long)line, best->missing);
}

int
lt_import_take_header(struct lt_import *im, struct lt_err *err)
{
	uint64_t wanted = im->opt.map != NULL ? im->opt.map->header_line : 0, best_line = 0;
	struct candidate c, best = { 0 };
	struct lt_arena scratch;
	size_t tried;
	int rc;

	for (tried = 0; tried < LT_IMPORT_HEADER_SEARCH || wanted != 0;) {
		rc = lt_csv_next(im->csv, &im->rec, err);
		if (rc == LT_E_NOTFOUND || (wanted != 0 && im->rec.line > wanted))
			break;
		if (rc != LT_OK)
			return rc;
		if (wanted != 0 && im->rec.line < wanted)
			continue;
		tried++;
		lt_arena_init(&scratch, ROW_ARENA_MAX);
		rc = read_columns(im, &c, &scratch);
		lt_arena_fini(&scratch);
		if (rc == LT_E_EXISTS)
			return lt_err_set(err, LT_E_INVALID, "line %llu has two columns for \"%s\"",
			    (unsigned long long)im->rec.line, c.missing);
		if (c.missing[0] == 0)
			return settle(im, err);
		if (c.matches >= best.matches) {
			best = c;
			best_line = im->rec.line;
		}
	}
	return not_found(im, &best, best_line, err);
}
