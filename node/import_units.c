#include "node/import_units.h"

#include "proto/base/text.h"
#include "proto/model/validate.h"
#include "proto/model/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define ROW_ARENA_MAX ((size_t)1024 * 1024)

struct lt_units {
	struct lt_arena arena;
	size_t count, cap;
	struct lt_unit_info *unit; /* owned; by code */
};

struct lt_succession {
	struct lt_arena arena;
	size_t count, cap;
	struct lt_succession_info *row; /* owned; by old code, new code */
};

/* ---- reading a table of our own: exact header, UTF-8 in NFC ---- */

typedef int table_row_fn(void *table, char *const *cell);

static int
take_row(const struct lt_csv_record *rec, size_t ncol, struct lt_arena *arena, char **cell)
{
	size_t i;

	if (rec->flaw != LT_CSV_GOOD || rec->ncell != ncol)
		return LT_E_INVALID;
	for (i = 0; i < ncol; i++) {
		if (!lt_text_is_nfc(rec->cell[i]))
			return LT_E_INVALID;
		cell[i] = lt_arena_dup(arena, rec->cell[i].data, rec->cell[i].len);
		if (cell[i] == NULL)
			return LT_E_NOMEM;
	}
	return LT_OK;
}

static int
check_header(char *const *cell, const char *const *column, size_t ncol)
{
	size_t i;

	for (i = 0; i < ncol; i++)
		if (strcmp(cell[i], column[i]) != 0)
			return LT_E_INVALID;
	return LT_OK;
}

static int
read_table(struct lt_slice csv, const char *const *column, size_t ncol, struct lt_arena *arena,
    table_row_fn *fn, void *table, struct lt_err *err)
{
	struct lt_csv_options o = { .source = { lt_csv_read_slice, &csv }, .separator = ',' };
	struct lt_csv_record rec = { 0 };
	struct lt_csv *r = NULL;
	char *cell[16];
	int rc;

	if (csv.len > LT_UNITS_FILE_MAX)
		return lt_err_set(
		    err, LT_E_TOOBIG, "list longer than %zu bytes", LT_UNITS_FILE_MAX);
	rc = lt_csv_open(&o, &r, err);
	while (rc == LT_OK) {
		rc = lt_csv_next(r, &rec, err);
		if (rc != LT_OK)
			break;
		rc = take_row(&rec, ncol, arena, cell);
		if (rc == LT_OK)
			rc = rec.number == 1 ? check_header(cell, column, ncol) : fn(table, cell);
		if (rc != LT_OK)
			lt_err_set(err, rc, "list of \"%s\", line %llu: %s", column[0],
			    (unsigned long long)rec.line, lt_strerror(rc));
	}
	lt_csv_close(r);
	if (rc == LT_E_NOTFOUND)
		return rec.number == 0 ? lt_err_set(err, LT_E_INVALID, "an empty list") : LT_OK;
	return rc;
}

static int
room_for(void *p, size_t count, size_t *cap, size_t size)
{
	void **list = p;
	void *q;
	size_t n;

	if (count < *cap)
		return LT_OK;
	n = *cap == 0 ? 256 : *cap * 2;
	q = realloc(*list, n * size);
	if (q == NULL)
		return LT_E_NOMEM;
	*list = q;
	*cap = n;
	return LT_OK;
}

/* ---- units ---- */

static int
add_unit(void *table, char *const *cell)
{
	struct lt_units *u = table;
	void *list = u->unit;

	if (!lt_unit_valid(cell[0]) || cell[1][0] == 0 ||
	    (cell[3][0] != 0 && !lt_unit_valid(cell[3])))
		return LT_E_INVALID;
	if (room_for(&list, u->count, &u->cap, sizeof(*u->unit)) != LT_OK)
		return LT_E_NOMEM;
	u->unit = list;
	u->unit[u->count++] = (struct lt_unit_info){ .code = cell[0],
		.name = cell[1],
		.type = cell[2],
		.province_code = cell[3],
		.name_ascii = cell[4] };
	return LT_OK;
}

static int
unit_by_code(const void *a, const void *b)
{
	return strcmp(
	    ((const struct lt_unit_info *)a)->code, ((const struct lt_unit_info *)b)->code);
}

int
lt_units_load(struct lt_slice csv, struct lt_units **out, struct lt_err *err)
{
	static const char *const column[] = { "code", "name", "type", "province_code",
		"name_ascii" };
	struct lt_units *u = calloc(1, sizeof(*u));
	size_t i;
	int rc;

	if (u == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	lt_arena_init(&u->arena, TABLE_ARENA_MAX);
	rc = read_table(csv, column, 5, &u->arena, add_unit, u, err);
	if (u->count > 0)
		qsort(u->unit, u->count, sizeof(*u->unit), unit_by_code);
	for (i = 1; i < u->count && rc == LT_OK; i++)
		if (strcmp(u->unit[i - 1].code, u->unit[i].code) == 0)
			rc = lt_err_set(err, LT_E_INVALID, "unit %s stands twice", u->unit[i].code);
	if (rc != LT_OK) {
		lt_units_free(u);
		return rc;
	}
	*out = u;
	return LT_OK;
}

void
lt_units_free(struct lt_units *u)
{
	if (u == NULL)
		return;
	lt_arena_fini(&u->arena);
	free(u->unit);
	free(u);
}

size_t
lt_units_count(const struct lt_units *u)
{
	return u->count;
}

const struct lt_unit_info *
lt_units_at(const struct lt_units *u, size_t i)
{
	return &u->unit[i];
}

const struct lt_unit_info *
lt_units_find(const struct lt_units *u, const char *code)
{
	struct lt_unit_info key = { .code = code };

	return u->count == 0 ? NULL
			     : bsearch(&key, u->unit, u->count, sizeof(*u->unit), unit_by_code);
}

/* ---- succession ---- */

static int
add_succession(void *table, char *const *cell)
{
	struct lt_succession *s = table;
	bool whole = strcmp(cell[6], "whole") == 0;
	void *list = s->row;

	if ((cell[0][0] != 0 && !lt_unit_valid(cell[0])) || !lt_unit_valid(cell[4]) ||
	    (!whole && strcmp(cell[6], "partial") != 0))
		return LT_E_INVALID;
	if (room_for(&list, s->count, &s->cap, sizeof(*s->row)) != LT_OK)
		return LT_E_NOMEM;
	s->row = list;
	s->row[s->count++] = (struct lt_succession_info){ .old_code = cell[0],
		.old_name = cell[1],
		.new_code = cell[4],
		.new_name = cell[5],
		.whole = whole,
		.effective_date = cell[7],
		.note = cell[8] };
	return LT_OK;
}

static int
succession_by_codes(const void *a, const void *b)
{
	const struct lt_succession_info *x = a, *y = b;
	int c = strcmp(x->old_code, y->old_code);

	return c != 0 ? c : strcmp(x->new_code, y->new_code);
}

int
lt_succession_load(struct lt_slice csv, struct lt_succession **out, struct lt_err *err)
{
	static const char *const column[] = { "old_code", "old_name", "old_district",
		"old_province", "new_code", "new_name", "kind", "effective_date", "note" };
	struct lt_succession *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	lt_arena_init(&s->arena, TABLE_ARENA_MAX);
	rc = read_table(csv, column, 9, &s->arena, add_succession, s, err);
	if (rc != LT_OK) {
		lt_succession_free(s);
		return rc;
	}
	if (s->count > 0)
		qsort(s->row, s->count, sizeof(*s->row), succession_by_codes);
	*out = s;
	return LT_OK;
}

void
lt_succession_free(struct lt_succession *s)
{
	if (s == NULL)
		return;
	lt_arena_fini(&s->arena);
	free(s->row);
	free(s);
}

size_t
lt_succession_count(const struct lt_succession *s)
{
	return s->count;
}

const struct lt_succession_info *
lt_succession_at(const struct lt_succession *s, size_t i)
{
	return &s->row[i];
}

/* First row whose old code is not below. */
static size_t
first_of(const struct lt_succession *s, const char *old_code)
{
	size_t lo = 0, hi = s->count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (strcmp(s->row[mid].old_code, old_code) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* A unit that passed whole to one and in part to others (the list has one) is for a person too. */
int
lt_succession_whole(const struct lt_succession *s, const char *old_code, struct lt_unit *out)
{
	size_t i = first_of(s, old_code), n = 0;
	bool whole = false;

	if (old_code[0] == 0)
		return LT_E_NOTFOUND;
	for (; i + n < s->count && strcmp(s->row[i + n].old_code, old_code) == 0; n++)
		whole = s->row[i + n].whole;
	if (n == 0)
		return LT_E_NOTFOUND;
	if (n > 1 || !whole)
		return LT_E_CONFLICT;
	return lt_unit_set(out, lt_slice_str(s->row[i].new_code));
}

/* ---- the hub's rows ---- */

struct maker {
	const struct lt_collection *col;
	const struct lt_units *units;
	const struct lt_succession *succession;
	const char *province;
	lt_units_row_fn *fn;
	void *ctx;
	struct lt_err *err;
	struct lt_arena arena; /* of one row */
	Ltpb__FieldSet *set[8];
	size_t nset;
};

/* One field in text form; empty text: no field. Called in order of names. */
static int
put(struct maker *m, const char *name, const char *text)
{
	const struct lt_field *f = lt_collection_field(m->col, name);
	struct lt_import_fault fault = { 0 };
	Ltpb__FieldSet *fs;
	int rc;

	if (text[0] == 0)
		return LT_OK;
	if (f == NULL)
		return lt_err_set(m->err, LT_E_NOTFOUND, "collection \"%s\" has no field \"%s\"",
		    m->col->id, name);
	fs = lt_arena_alloc(&m->arena, sizeof(*fs));
	if (fs == NULL)
		return LT_E_NOMEM;
	ltpb__field_set__init(fs);
	fs->name = lt_arena_dup(&m->arena, name, strlen(name));
	if (fs->name == NULL)
		return LT_E_NOMEM;
	rc = lt_import_text_value(f, lt_slice_str(text), &m->arena, &fs->value, &fault);
	if (rc == LT_E_REFUSED)
		return lt_err_set(m->err, LT_E_INVALID, "%s", fault.message);
	m->set[m->nset++] = fs;
	return rc;
}

static int
emit(struct maker *m, const char *unit, const char *key)
{
	struct lt_unit u;
	int rc = lt_unit_set(&u, lt_slice_str(unit));

	return rc == LT_OK ? m->fn(m->ctx, &u, key, m->set, m->nset) : rc;
}

static int
text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The old codes that lead to this commune, joined by ';'. */
static int
old_communes(struct maker *m, const char *code, struct lt_buf *out)
{
	const struct lt_succession *s = m->succession;
	const char *old[LT_SET_ITEMS_MAX];
	size_t i, n = 0;

	for (i = 0; i < s->count && n < LT_SET_ITEMS_MAX; i++)
		if (strcmp(s->row[i].new_code, code) == 0 && s->row[i].old_code[0] != 0)
			old[n++] = s->row[i].old_code;
	if (n > 0)
		qsort(old, n, sizeof(old[0]), text_cmp);
	for (i = 0; i < n; i++) {
		if (i > 0)
			lt_buf_u8(out, ';');
		lt_buf_str(out, old[i]);
	}
	lt_buf_u8(out, 0);
	return out->err;
}

static int
make_profile(struct maker *m, const struct lt_unit_info *u)
{
	struct lt_buf old = { 0 };
	int rc;

	if (u->province_code[0] == 0)
		return LT_OK;
	rc = put(m, "name", u->name);
	if (rc == LT_OK)
		rc = old_communes(m, u->code, &old);
	if (rc == LT_OK)
		rc = put(m, "old_communes", (const char *)old.data);
	if (rc == LT_OK)
		rc = put(m, "type", u->type);
	lt_buf_fini(&old);
	return rc == LT_OK ? emit(m, u->code, u->code) : rc;
}

static int
make_unit(struct maker *m, const struct lt_unit_info *u)
{
	int rc = put(m, "name", u->name);

	if (rc == LT_OK)
		rc = put(m, "name_ascii", u->name_ascii);
	if (rc == LT_OK)
		rc = put(m, "province_code", u->province_code);
	if (rc == LT_OK)
		rc = put(m, "type", u->type);
	return rc == LT_OK ? emit(m, "_", u->code) : rc;
}

static int
make_succession(struct maker *m, const struct lt_succession_info *s)
{
	char key[2 * (LT_UNIT_MAX + 1)]; /* two codes, a stroke, the end */
	int rc = put(m, "effective_date", s->effective_date);

	if (rc == LT_OK)
		rc = put(m, "kind", s->whole ? "whole" : "partial");
	if (rc == LT_OK)
		rc = put(m, "new_name", s->new_name);
	if (rc == LT_OK)
		rc = put(m, "note", s->note);
	if (rc == LT_OK)
		rc = put(m, "old_name", s->old_name);
	if (rc != LT_OK)
		return rc;
	/* districts without communes of their own had no commune code */
	(void)snprintf(
	    key, sizeof(key), "%s/%s", s->old_code[0] != 0 ? s->old_code : "_", s->new_code);
	return emit(m, "_", key);
}

static bool
in_province(const struct maker *m, const char *code)
{
	const struct lt_unit_info *u = lt_units_find(m->units, code);

	return u != NULL &&
	       (strcmp(u->province_code, m->province) == 0 || strcmp(code, m->province) == 0);
}

static int
make_one(struct maker *m, enum lt_units_rows what, size_t i)
{
	const struct lt_succession_info *s;
	const struct lt_unit_info *u;

	if (what == LT_ROWS_SUCCESSION) {
		s = &m->succession->row[i];
		return in_province(m, s->new_code) ? make_succession(m, s) : LT_OK;
	}
	u = &m->units->unit[i];
	if (!in_province(m, u->code))
		return LT_OK;
	return what == LT_ROWS_UNIT ? make_unit(m, u) : make_profile(m, u);
}

const char *
lt_units_rows_collection(enum lt_units_rows what)
{
	static const char *const name[] = { "commune_profile", "_unit", "_succession" };

	return name[what];
}

int
lt_units_rows(enum lt_units_rows what, const struct lt_catalogue *cat, const struct lt_units *u,
    const struct lt_succession *s, const char *province, lt_units_row_fn *fn, void *ctx,
    struct lt_err *err)
{
	struct maker m = {
		.units = u, .succession = s, .province = province, .fn = fn, .ctx = ctx, .err = err
	};
	const struct lt_unit_info *p = lt_units_find(u, province);
	size_t i, n = what == LT_ROWS_SUCCESSION ? s->count : u->count;
	int rc = LT_OK;

	if (p == NULL || p->province_code[0] != 0)
		return lt_err_set(err, LT_E_NOTFOUND, "no province \"%s\"", province);
	m.col = lt_catalogue_find(cat, lt_units_rows_collection(what));
	if (m.col == NULL)
		return lt_err_set(err, LT_E_NOTFOUND, "the catalogue has no collection \"%s\"",
		    lt_units_rows_collection(what));
	for (i = 0; i < n && rc == LT_OK; i++) {
		lt_arena_init(&m.arena, ROW_ARENA_MAX);
		m.nset = 0;
		rc = make_one(&m, what, i);
		lt_arena_fini(&m.arena);
	}
	return rc == LT_E_NOMEM ? lt_err_set(err, rc, "out of memory") : rc;
}
