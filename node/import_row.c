#include "node/import_row.h"

#include "node/import_row_impl.h"
#include "node/import_units.h"
#include "proto/base/text.h"
#include "proto/model/validate.h"
#include "proto/model/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- open ---- */

static const struct lt_field *
map_field(const struct lt_import *im, const char *name, struct lt_err *err)
{
	const struct lt_field *f = lt_collection_field(im->col, name);

	if (f == NULL)
		lt_err_set(err, LT_E_NOTFOUND, "mapping: collection \"%s\" has no field \"%s\"",
		    im->col->id, name);
	return f;
}

static unsigned
writer_of(const struct lt_import_options *opt)
{
	return opt->writer != 0 ? opt->writer : LT_WRITER_COMMUNE;
}

/* May this writer set the field at all? */
static bool
may_set(const struct lt_import *im, const struct lt_field *f)
{
	return writer_of(&im->opt) != LT_WRITER_COMMUNE || f->rule.authority != LT_AUTHORITY_HUB ||
	       f->in_key || f->is_unit;
}

static int
check_writable(const struct lt_import *im, const struct lt_field *f, struct lt_err *err)
{
	if (may_set(im, f))
		return LT_OK;
	return lt_err_set(
	    err, LT_E_DENIED, "mapping: field \"%s\" is set by the province only", f->rule.name);
}

static int
check_derive(const struct lt_import *im, const struct lt_import_derive *d, struct lt_err *err)
{
	const struct lt_field *f = map_field(im, d->field, err), *from = NULL;

	if (f == NULL)
		return LT_E_NOTFOUND;
	if (d->kind == LT_DERIVE_YEAR_OF || d->kind == LT_DERIVE_SUCCESSION) {
		from = map_field(im, d->arg, err);
		if (from == NULL)
			return LT_E_NOTFOUND;
	}
	if (d->kind == LT_DERIVE_YEAR_OF &&
	    (from->rule.type != LT_TYPE_DATE || f->rule.type != LT_TYPE_INT))
		return lt_err_set(err, LT_E_INVALID,
		    "mapping: \"%s\" must be a whole number and \"%s\" a date", d->field, d->arg);
	if (d->kind == LT_DERIVE_SUCCESSION &&
	    (from->rule.type != LT_TYPE_TEXT || f->rule.type != LT_TYPE_TEXT))
		return lt_err_set(err, LT_E_INVALID, "mapping: \"%s\" and \"%s\" must be texts",
		    d->field, d->arg);
	if (d->kind == LT_DERIVE_SUCCESSION && im->opt.succession == NULL)
		return lt_err_set(
		    err, LT_E_INVALID, "mapping: \"%s\" needs the succession list", d->field);
	return check_writable(im, f, err);
}

static int
check_map(const struct lt_import *im, struct lt_err *err)
{
	const struct lt_import_map *map = im->opt.map;
	const struct lt_field *f;
	size_t i;
	int rc = LT_OK;

	if (map == NULL)
		return LT_OK;
	for (i = 0; i < map->ncolumn && rc == LT_OK; i++) {
		if (map->column[i].field == NULL)
			continue;
		f = map_field(im, map->column[i].field, err);
		rc = f == NULL ? LT_E_NOTFOUND : check_writable(im, f, err);
	}
	for (i = 0; i < map->nvalue && rc == LT_OK; i++)
		if (map_field(im, map->value[i].field, err) == NULL)
			rc = LT_E_NOTFOUND;
	for (i = 0; i < map->nderive && rc == LT_OK; i++)
		rc = check_derive(im, &map->derive[i], err);
	return rc;
}

static int
find_collection(struct lt_import *im, struct lt_err *err)
{
	const char *id = im->opt.collection;
	const struct lt_import_map *map = im->opt.map;

	if (id != NULL && map != NULL && strcmp(id, map->collection) != 0)
		return lt_err_set(err, LT_E_INVALID,
		    "the mapping is for collection \"%s\", not \"%s\"", map->collection, id);
	if (id == NULL && map != NULL)
		id = map->collection;
	if (id == NULL)
		return im->opt.json_lines ? LT_OK
					  : lt_err_set(err, LT_E_INVALID, "no collection named");
	im->col = lt_catalogue_find(im->opt.catalogue, id);
	if (im->col == NULL || im->col->builtin)
		return lt_err_set(err, LT_E_NOTFOUND, "the catalogue has no collection \"%s\"", id);
	if (im->col->nfield > LT_FIELDS_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "collection \"%s\" has too many fields", id);
	return check_map(im, err);
}

/* The separator under which the header is found; when there is none, the guess stays. */
static void
find_separator(struct lt_import *im, struct lt_slice head)
{
	static const char seps[] = ";\t,|";
	struct lt_csv *whole = im->csv;
	bool found = false;
	size_t i;

	for (i = 0; seps[i] != 0 && !found; i++) {
		struct lt_slice s = head;
		struct lt_csv_options o = { .source = { lt_csv_read_slice, &s },
			.separator = seps[i] };

		if (lt_csv_open(&o, &im->csv, NULL) != LT_OK)
			break;
		/* a header with something wrong in it is one too */
		found = lt_import_take_header(im, NULL) != LT_E_NOTFOUND;
		lt_csv_close(im->csv);
		if (found)
			lt_csv_separator_set(whole, seps[i]);
	}
	im->csv = whole;
}

static int
open_file(struct lt_import *im, struct lt_err *err)
{
	const struct lt_import_map *map = im->opt.map;
	struct lt_csv_options o = { .source = im->opt.source,
		.separator = im->opt.separator,
		.whole_lines = im->opt.json_lines,
		.record_max = im->opt.record_max,
		.records_max = im->opt.records_max };
	enum lt_charset wanted = im->opt.encoding;
	struct lt_slice head;
	bool cut;
	int rc;

	if (map != NULL && o.separator == 0)
		o.separator = map->separator;
	if (map != NULL)
		o.header_line = map->header_line;
	if (map != NULL && wanted == LT_CHARSET_AUTO)
		wanted = map->encoding;
	if (im->opt.json_lines)
		wanted = LT_CHARSET_UTF8;
	rc = lt_csv_open(&o, &im->csv, err);
	if (rc != LT_OK)
		return rc;
	head = lt_csv_head(im->csv, &cut);
	rc = lt_charset_settle(wanted, lt_csv_bom(im->csv), head, cut, &im->rules.charset, err);
	if (rc != LT_OK || im->opt.json_lines)
		return rc;
	if (lt_csv_separator_guessed(im->csv))
		find_separator(im, head);
	return lt_import_take_header(im, err);
}

static void
note_derived(struct lt_import *im)
{
	const struct lt_import_map *map = im->opt.map;
	const struct lt_field *f;
	size_t i;

	for (i = 0; map != NULL && im->col != NULL && i < map->nderive; i++) {
		f = lt_collection_field(im->col, map->derive[i].field);
		im->has_source[f - im->col->field] = true;
	}
}

int
lt_import_open(const struct lt_import_options *opt, struct lt_import **out, struct lt_err *err)
{
	struct lt_import *im = calloc(1, sizeof(*im));
	int rc;

	if (im == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	im->opt = *opt;
	im->rules.map = opt->map;
	lt_arena_init(&im->keep, ROW_ARENA_MAX);
	lt_arena_init(&im->row, ROW_ARENA_MAX);
	lt_seen_init(&im->seen);
	rc = find_collection(im, err);
	if (rc == LT_OK)
		rc = open_file(im, err);
	if (rc != LT_OK) {
		lt_import_close(im);
		return rc;
	}
	note_derived(im);
	*out = im;
	return LT_OK;
}

void
lt_import_close(struct lt_import *im)
{
	if (im == NULL)
		return;
	lt_csv_close(im->csv);
	lt_arena_fini(&im->keep);
	lt_arena_fini(&im->row);
	lt_seen_fini(&im->seen);
	free(im);
}

/* ---- values of a row of cells ---- */

struct lt_import_fault *
lt_import_row_fault(struct lt_import *im, struct row_values *rv, size_t field)
{
	if (rv->fault[field] == NULL)
		rv->fault[field] = lt_arena_alloc(&im->row, sizeof(struct lt_import_fault));
	return rv->fault[field];
}

/* A file of refused rows carries a ' before what a spreadsheet would run: it was ours, not the office's. */
static struct lt_slice
without_guard(const struct lt_import *im, struct lt_slice cell)
{
	if (im->was_refused && cell.len > 1 && cell.data[0] == '\'' &&
	    lt_import_is_formula(lt_slice(cell.data + 1, cell.len - 1)))
		return lt_slice(cell.data + 1, cell.len - 1);
	return cell;
}

static int
take_cells(struct lt_import *im, struct lt_import_row *row, struct row_values *rv)
{
	struct lt_import_fault *fault;
	size_t i, f;
	int rc;

	for (i = 0; i < im->rec.ncell; i++) {
		if (im->field_of[i] < 0)
			continue;
		f = (size_t)im->field_of[i];
		fault = lt_import_row_fault(im, rv, f);
		if (fault == NULL)
			return LT_E_NOMEM;
		rc = lt_import_cell(&im->col->field[f], &im->rules,
		    without_guard(im, im->rec.cell[i]), &im->row, &rv->value[f], &row->warn, fault);
		if (rc != LT_OK && rc != LT_E_REFUSED)
			return rc;
		rv->given[f] = rv->value[f] != NULL || rc == LT_E_REFUSED;
	}
	return LT_OK;
}

/* ---- derived fields ---- */

static int
derive_year(const struct lt_collection *col, const struct lt_import_derive *d,
    struct row_values *rv, char *text, size_t cap)
{
	const Ltpb__Value *v = rv->value[lt_collection_field(col, d->arg) - col->field];
	int y, m, day;

	if (v == NULL)
		return LT_E_NOTFOUND;
	lt_days_to_date(v->date, &y, &m, &day);
	snprintf(text, cap, "%d", y);
	return LT_OK;
}

static int
derive_succession(struct lt_import *im, const struct lt_import_derive *d, struct row_values *rv,
    struct lt_import_fault *fault, char *text, size_t cap)
{
	const struct lt_field *from = lt_collection_field(im->col, d->arg);
	const Ltpb__Value *v = rv->value[from - im->col->field];
	struct lt_unit u;
	int rc;

	if (v == NULL)
		return LT_E_NOTFOUND;
	rc = lt_succession_whole(im->opt.succession, v->text, &u);
	if (rc == LT_OK) {
		snprintf(text, cap, "%s", u.s);
		return LT_OK;
	}
	if (rc == LT_E_CONFLICT)
		lt_import_fault_set(fault, "partial_succession", from, v->text,
		    "this old unit was split among several: a person must decide",
		    "đơn vị cũ này đã chia cho nhiều đơn vị mới, phải có người quyết định");
	else
		lt_import_fault_set(fault, "unknown_old_commune", from, v->text,
		    "no such unit before 1 July 2025", "không có đơn vị này trước 1/7/2025");
	return LT_E_REFUSED;
}

static int
derive_one(struct lt_import *im, const struct lt_import_derive *d, struct row_values *rv)
{
	const struct lt_field *f = lt_collection_field(im->col, d->field);
	size_t place = (size_t)(f - im->col->field);
	struct lt_import_fault *fault = lt_import_row_fault(im, rv, place);
	char year[16];
	const char *text = d->arg;
	int rc = LT_OK;

	if (fault == NULL)
		return LT_E_NOMEM;
	if (d->kind == LT_DERIVE_UNIT)
		text = im->opt.unit.s;
	if (d->kind == LT_DERIVE_YEAR_OF || d->kind == LT_DERIVE_SUCCESSION)
		text = year;
	if (d->kind == LT_DERIVE_YEAR_OF)
		rc = derive_year(im->col, d, rv, year, sizeof(year));
	if (d->kind == LT_DERIVE_SUCCESSION)
		rc = derive_succession(im, d, rv, fault, year, sizeof(year));
	if (rc == LT_OK)
		rc =
		    lt_import_text_value(f, lt_slice_str(text), &im->row, &rv->value[place], fault);
	return rc == LT_E_NOMEM ? rc : LT_OK;
}

static int
derive(struct lt_import *im, struct row_values *rv)
{
	const struct lt_import_map *map = im->opt.map;
	size_t i;
	int rc = LT_OK;

	for (i = 0; map != NULL && i < map->nderive && rc == LT_OK; i++)
		rc = derive_one(im, &map->derive[i], rv);
	return rc;
}

/* ---- judging ---- */

static int
reject(struct lt_import_row *row, const struct lt_import_fault *fault)
{
	row->result = LT_IMPORT_REJECT;
	if (fault != &row->fault)
		row->fault = *fault;
	return LT_E_REFUSED;
}

static int
reject_as(struct lt_import_row *row, const char *code, const struct lt_field *f, const char *value,
    const char *en, const char *vi)
{
	lt_import_fault_set(&row->fault, code, f, value, en, vi);
	return reject(row, &row->fault);
}

static int
reject_empty(struct lt_import_row *row, const struct lt_field *f)
{
	return reject_as(row, "required", f, NULL, "is empty", "không được để trống");
}

static bool
faulty(const struct row_values *rv, size_t field)
{
	return rv->fault[field] != NULL && rv->fault[field]->code != NULL;
}

static Ltpb__FieldSet *
field_set(struct lt_import *im, const struct lt_field *f, Ltpb__Value *v)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(&im->row, sizeof(*fs));

	if (fs == NULL)
		return NULL;
	ltpb__field_set__init(fs);
	fs->name = lt_arena_dup(&im->row, f->rule.name, strlen(f->rule.name));
	fs->value = v;
	return fs->name != NULL ? fs : NULL;
}

static bool
has_source(const struct lt_import *im, const struct row_values *rv, size_t place)
{
	return rv->given[place] || (im->col != NULL && im->has_source[place]);
}

static int
judge_key_field(
    struct lt_import *im, struct lt_import_row *row, struct row_values *rv, size_t place)
{
	const struct lt_field *f = &row->collection->field[place];

	if (faulty(rv, place))
		return reject(row, rv->fault[place]);
	if (rv->value[place] != NULL)
		return LT_OK;
	if (!f->is_unit || has_source(im, rv, place))
		return reject_empty(row, f);
	if (lt_import_text_value(
		f, lt_slice_str(im->opt.unit.s), &im->row, &rv->value[place], &row->fault) != LT_OK)
		return reject(row, &row->fault);
	return LT_OK;
}

/* The unit in the key: it may be another's, which is judged by itself. */
static struct lt_unit
key_unit(const struct lt_import *im, const struct lt_collection *col, const struct row_values *rv)
{
	struct lt_unit u = im->opt.unit;
	size_t i;

	for (i = 0; i < col->nkey; i++)
		if (col->field[col->key[i]].is_unit &&
		    lt_unit_set(&u, lt_slice_str(rv->value[col->key[i]]->text)) != LT_OK)
			u = im->opt.unit;
	return u;
}

static int
judge_key(struct lt_import *im, struct lt_import_row *row, struct row_values *rv)
{
	const struct lt_collection *col = row->collection;
	const Ltpb__FieldSet *part[LT_KEY_FIELDS_MAX];
	struct lt_violation v = { 0 };
	struct lt_buf key = { 0 };
	struct lt_unit of;
	size_t i;
	int rc = LT_OK;

	for (i = 0; i < col->nkey && rc == LT_OK; i++) {
		rc = judge_key_field(im, row, rv, col->key[i]);
		if (rc != LT_OK)
			return rc;
		part[i] = field_set(im, &col->field[col->key[i]], rv->value[col->key[i]]);
		if (part[i] == NULL)
			return LT_E_NOMEM;
	}
	of = key_unit(im, col, rv);
	rc = lt_key_build(col, &of, part, col->nkey, &key, &v);
	if (rc == LT_OK)
		row->key = lt_arena_dup(&im->row, key.data, key.len);
	lt_buf_fini(&key);
	if (rc == LT_E_REFUSED)
		return reject_as(row, "bad_key", NULL, NULL, v.message, v.message_vi);
	return rc == LT_OK && row->key == NULL ? LT_E_NOMEM : rc;
}

/* The rule that makes the unit field, if it comes from an old unit. */
static const struct lt_import_derive *
unit_succession(const struct lt_import *im, const struct lt_field *f)
{
	const struct lt_import_map *map = im->opt.map;
	size_t i;

	for (i = 0; map != NULL && i < map->nderive; i++)
		if (map->derive[i].kind == LT_DERIVE_SUCCESSION &&
		    strcmp(map->derive[i].field, f->rule.name) == 0)
			return &map->derive[i];
	return NULL;
}

static int
reject_foreign(
    struct lt_import *im, struct lt_import_row *row, const struct lt_field *f, const char *code)
{
	char en[160], vi[160];

	snprintf(en, sizeof(en), "belongs to another unit than %s, which imports", im->opt.unit.s);
	snprintf(
	    vi, sizeof(vi), "thuộc đơn vị khác, không phải %s là đơn vị đang nhập", im->opt.unit.s);
	return reject_as(row, "foreign_commune", f, code, en, vi);
}

static int
judge_unit(struct lt_import *im, struct lt_import_row *row, struct row_values *rv)
{
	const struct lt_collection *col = row->collection;
	const struct lt_import_derive *d;
	const struct lt_field *f;
	size_t i, from;

	row->unit = im->opt.unit;
	for (i = 0; i < col->nfield && !col->field[i].is_unit; i++)
		;
	if (i == col->nfield)
		return LT_OK;
	f = &col->field[i];
	if (faulty(rv, i))
		return reject(row, rv->fault[i]);
	if (rv->value[i] == NULL && has_source(im, rv, i)) {
		d = unit_succession(im, f);
		if (d == NULL)
			return reject_empty(row, f);
		from = (size_t)(lt_collection_field(col, d->arg) - col->field);
		return faulty(rv, from) ? reject(row, rv->fault[from])
					: reject_empty(row, &col->field[from]);
	}
	if (rv->value[i] == NULL)
		return LT_OK;
	if (!im->opt.any_unit && strcmp(rv->value[i]->text, im->opt.unit.s) != 0)
		return reject_foreign(im, row, f, rv->value[i]->text);
	if (lt_unit_set(&row->unit, lt_slice_str(rv->value[i]->text)) != LT_OK)
		return reject_as(row, "pattern", f, rv->value[i]->text, "is no unit code",
		    "không phải là mã đơn vị");
	return LT_OK;
}

static int
judge_fields(struct lt_import *im, struct lt_import_row *row, struct row_values *rv)
{
	const struct lt_collection *col = row->collection;
	const struct lt_field *f;
	size_t i;

	for (i = 0; i < col->nfield; i++)
		if (faulty(rv, i))
			return reject(row, rv->fault[i]);
	for (i = 0; i < col->nfield; i++) {
		f = &col->field[i];
		if (rv->value[i] != NULL && !may_set(im, f))
			return reject_as(row, "authority", f, NULL, "is set by the province only",
			    "chỉ cấp tỉnh được ghi trường này");
		if (f->required && !f->in_key && !f->is_unit && rv->value[i] == NULL &&
		    !im->opt.partial)
			return reject_empty(row, f);
	}
	return LT_OK;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(Ltpb__FieldSet *const *)a)->name, (*(Ltpb__FieldSet *const *)b)->name);
}

static int
collect(struct lt_import *im, struct lt_import_row *row, struct row_values *rv)
{
	const struct lt_collection *col = row->collection;
	size_t i;

	row->value = lt_arena_alloc(&im->row, col->nfield * sizeof(*row->value));
	row->set = lt_arena_alloc(&im->row, col->nfield * sizeof(*row->set));
	if (row->value == NULL || row->set == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < col->nfield; i++) {
		if (rv->value[i] == NULL)
			continue;
		row->value[row->nvalue] = field_set(im, &col->field[i], rv->value[i]);
		if (row->value[row->nvalue] == NULL)
			return LT_E_NOMEM;
		if (!col->field[i].in_key && !col->field[i].is_unit)
			row->set[row->nset++] = row->value[row->nvalue];
		row->nvalue++;
	}
	if (row->nvalue > 0)
		qsort(row->value, row->nvalue, sizeof(*row->value), by_name);
	if (row->nset > 0)
		qsort(row->set, row->nset, sizeof(*row->set), by_name);
	return LT_OK;
}

/* Who may make such records, and the sums: as the writing program checks them for a new record. */
static int
judge_whole(struct lt_import *im, struct lt_import_row *row)
{
	struct lt_shown nothing = { 0 };
	struct lt_violation v = { 0 };
	const char *code = "range";
	const struct lt_field *f;

	if (im->opt.partial ||
	    lt_write_check(row->collection, writer_of(&im->opt), &nothing,
		(const Ltpb__FieldSet *const *)row->set, row->nset, NULL, 0, false, &v) == LT_OK)
		return LT_OK;
	if (v.reason == LTPB__REASON_CODE__REASON_AUTHORITY)
		code = "authority";
	else if (strcmp(v.rule, "required") == 0)
		code = "required";
	reject_as(row, code, NULL, NULL, v.message, v.message_vi);
	f = lt_collection_field(row->collection, v.field);
	if (f != NULL)
		row->fault.field = f->rule.name;
	return LT_E_REFUSED;
}

static void
put_identity(const struct lt_import_row *row, struct lt_buf *id)
{
	lt_buf_str(id, row->collection->id);
	lt_buf_u8(id, 0);
	lt_buf_str(id, row->unit.s);
	lt_buf_u8(id, 0);
	lt_buf_str(id, row->key);
}

static void
put_values(const struct lt_import_row *row, struct lt_buf *values)
{
	uint8_t *room;
	size_t i, n;

	for (i = 0; i < row->nvalue; i++) {
		n = ltpb__field_set__get_packed_size(row->value[i]);
		lt_buf_u32(values, (uint32_t)n);
		room = lt_buf_reserve(values, n);
		if (room != NULL)
			lt_buf_added(values, ltpb__field_set__pack(row->value[i], room));
	}
}

static int
judge_repeat(struct lt_import *im, struct lt_import_row *row)
{
	struct lt_buf id = { 0 }, values = { 0 };
	char en[120], vi[120];
	uint32_t before = 0;
	bool same = false;
	int rc;

	put_identity(row, &id);
	put_values(row, &values);
	rc = id.err != LT_OK ? id.err : values.err;
	if (rc == LT_OK)
		rc = lt_seen_add(&im->seen, lt_buf_slice(&id), lt_buf_slice(&values),
		    (uint32_t)row->record, &before, &same);
	lt_buf_fini(&id);
	lt_buf_fini(&values);
	if (rc != LT_E_EXISTS)
		return rc;
	snprintf(en, sizeof(en),
	    same ? "the same record as row %u, counted once"
		 : "row %u has the same key and other values: a person must choose",
	    before);
	snprintf(vi, sizeof(vi),
	    same ? "trùng hoàn toàn với bản ghi số %u, chỉ tính một lần"
		 : "trùng mã với bản ghi số %u nhưng khác nội dung, phải có người chọn",
	    before);
	reject_as(row, same ? "duplicate_identical" : "duplicate_key_conflict", NULL, NULL, en, vi);
	if (same)
		row->result = LT_IMPORT_DUPLICATE;
	return LT_E_REFUSED;
}

/* LT_OK: take it; LT_E_REFUSED: row->result and fault say what; others: no answer. */
static int
judge(struct lt_import *im, struct lt_import_row *row, struct row_values *rv)
{
	int rc = derive(im, rv);

	if (rc == LT_OK)
		rc = judge_key(im, row, rv);
	if (rc == LT_OK)
		rc = judge_unit(im, row, rv);
	if (rc == LT_OK)
		rc = judge_fields(im, row, rv);
	if (rc == LT_OK)
		rc = collect(im, row, rv);
	if (rc == LT_OK)
		rc = judge_whole(im, row);
	if (rc == LT_OK)
		rc = judge_repeat(im, row);
	return rc;
}

/* ---- next ---- */

static const struct {
	enum lt_csv_flaw flaw;
	const char *code, *en, *vi;
} flaws[] = {
	{ LT_CSV_TOO_LONG, "too_long", "the record is longer than 1 MiB", "dòng dài quá 1 MiB" },
	{ LT_CSV_OPEN_QUOTE, "open_quote", "a quoted cell is never closed",
	    "ô mở ngoặc kép nhưng không đóng" },
	{ LT_CSV_BAD_QUOTE, "bad_quote", "text follows a closing quote",
	    "có chữ sau dấu đóng ngoặc kép" },
	{ LT_CSV_COLUMNS, "too_many_columns", "more than 256 cells", "quá 256 ô trong một dòng" },
	{ LT_CSV_NUL, "nul", "NUL bytes in the record", "dòng có ký tự NUL (tệp bị hỏng)" },
};

static bool
cell_blank(const struct lt_import *im, struct lt_slice c)
{
	size_t i;

	for (i = 0; i < c.len; i++) {
		if (c.data[i] == ' ' || c.data[i] == '\t' || c.data[i] == '\r' || c.data[i] == '\n')
			continue;
		if (im->rules.charset != LT_CHARSET_UTF8 && c.data[i] == 0xa0)
			continue;
		if (im->rules.charset == LT_CHARSET_UTF8 && i + 1 < c.len && c.data[i] == 0xc2 &&
		    c.data[i + 1] == 0xa0) {
			i++;
			continue;
		}
		return false;
	}
	return true;
}

static bool
record_blank(const struct lt_import *im)
{
	size_t i;

	for (i = 0; i < im->rec.ncell; i++)
		if (!cell_blank(im, im->rec.cell[i]))
			return false;
	return im->rec.flaw == LT_CSV_GOOD;
}

static int
skip(struct lt_import_row *row, const char *code, const char *en, const char *vi)
{
	reject_as(row, code, NULL, NULL, en, vi);
	row->result = LT_IMPORT_SKIP;
	return LT_E_REFUSED;
}

static int
judge_shape(struct lt_import *im, struct lt_import_row *row)
{
	char en[120], vi[120];
	size_t i;

	for (i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++)
		if (flaws[i].flaw == im->rec.flaw)
			return reject_as(row, flaws[i].code, NULL, NULL, flaws[i].en, flaws[i].vi);
	if (record_blank(im))
		return skip(row, "blank", "blank line", "dòng trống");
	if (im->opt.json_lines)
		return LT_OK;
	if (im->rec.ncell != im->ncolumn) {
		snprintf(en, sizeof(en), "%zu cells, %zu expected", im->rec.ncell, im->ncolumn);
		snprintf(
		    vi, sizeof(vi), "dòng có %zu ô, phải có %zu ô", im->rec.ncell, im->ncolumn);
		return reject_as(row, "column_count", NULL, NULL, en, vi);
	}
	for (i = 0; i < im->ncolumn; i++)
		if (im->field_of[i] == COLUMN_NAMELESS && !cell_blank(im, im->rec.cell[i]))
			return reject_as(row, "no_header", NULL, NULL,
			    "text in a column without a header", "có chữ ở cột không có tiêu đề");
	return LT_OK;
}

static int
read_row(struct lt_import *im, struct lt_import_row *row, struct row_values *rv)
{
	int rc = judge_shape(im, row);

	if (rc != LT_OK)
		return rc;
	if (!im->opt.json_lines) {
		rc = take_cells(im, row, rv);
		return rc == LT_OK ? judge(im, row, rv) : rc;
	}
	rc = lt_import_take_json(im, im->rec.cell[0], row, rv);
	if (rc == LT_E_NOTFOUND)
		return skip(row, "filtered", "not asked for", "không thuộc phần cần nhập");
	if (rc == LT_E_REFUSED)
		return reject(row, &row->fault);
	return rc == LT_OK ? judge(im, row, rv) : rc;
}

int
lt_import_next(struct lt_import *im, struct lt_import_row *row, struct lt_err *err)
{
	struct row_values *rv;
	int rc;

	lt_arena_fini(&im->row);
	memset(row, 0, sizeof(*row));
	rc = lt_csv_next(im->csv, &im->rec, err);
	if (rc != LT_OK)
		return rc;
	row->record = im->rec.number - im->header_record;
	row->line = im->rec.line;
	row->collection = im->col;
	row->unit = im->opt.unit;
	rv = lt_arena_alloc(&im->row, sizeof(*rv));
	rc = rv == NULL ? LT_E_NOMEM : read_row(im, row, rv);
	if (rc == LT_OK)
		row->result = LT_IMPORT_ROW;
	if (rc == LT_OK || rc == LT_E_REFUSED)
		return LT_OK;
	return lt_err_set(err, rc, "line %llu: %s", (unsigned long long)row->line, lt_strerror(rc));
}

/* ---- for the file of refused rows ---- */

size_t
lt_import_header(const struct lt_import *im, const struct lt_slice **cell)
{
	*cell = im->header;
	return im->ncolumn;
}

static int
readable(struct lt_import *im, struct lt_slice raw, struct lt_slice *out)
{
	struct lt_buf b = { 0 };
	char *room;
	int rc = lt_charset_decode(im->rules.charset, raw, &b, NULL);

	if (rc == LT_OK) {
		out->data = lt_arena_dup(&im->row, b.data, b.len);
		out->len = b.len;
	}
	lt_buf_fini(&b);
	if (rc == LT_OK)
		return out->data != NULL ? LT_OK : LT_E_NOMEM;
	if (rc != LT_E_INVALID)
		return rc;
	room = lt_arena_alloc(&im->row, raw.len * 4 + 1);
	if (room == NULL)
		return LT_E_NOMEM;
	*out = lt_slice(room, lt_text_escape(room, raw.len * 4, raw));
	return LT_OK;
}

int
lt_import_cells(struct lt_import *im, const struct lt_slice **cell, size_t *n)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; i < im->rec.ncell && rc == LT_OK; i++)
		rc = readable(im, im->rec.cell[i], &im->cell[i]);
	*cell = im->cell;
	*n = im->rec.ncell;
	return rc;
}

size_t
lt_import_ignored(const struct lt_import *im, const struct lt_slice **header)
{
	*header = im->ignored;
	return im->nignored;
}

uint64_t
lt_import_header_line(const struct lt_import *im)
{
	return im->header_line;
}

enum lt_charset
lt_import_encoding(const struct lt_import *im)
{
	return im->rules.charset;
}

char
lt_import_separator(const struct lt_import *im)
{
	return lt_csv_separator(im->csv);
}

bool
lt_import_bom(const struct lt_import *im)
{
	return lt_csv_bom(im->csv);
}
