#include "node/import_row_impl.h"

#include "proto/base/text.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SHOWN_MAX 64 /* bytes of an unknown field's name that a message shows */

static int
refuse_row(struct lt_import_row *row, const char *code, const char *en, const char *vi)
{
	lt_import_fault_set(&row->fault, code, NULL, NULL, en, vi);
	return LT_E_REFUSED;
}

/* The exact decimal a real number was written as, if it has at most scale digits: it is that of the
 * double nearest to it. False: more digits, or out of range. */
static bool
real_text(double x, uint32_t scale, char *out, size_t cap)
{
	if (!isfinite(x) || fabs(x) >= 1e15)
		return false;
	snprintf(out, cap, "%.*f", (int)scale, x);
	return strtod(out, NULL) == x;
}

static int
join_array(const json_t *a, struct lt_buf *out)
{
	const char *item;
	size_t i;

	if (json_array_size(a) > LT_SET_ITEMS_MAX)
		return LT_E_REFUSED;
	for (i = 0; i < json_array_size(a); i++) {
		item = json_string_value(json_array_get(a, i));
		if (item == NULL || item[0] == 0 || strchr(item, ';') != NULL)
			return LT_E_REFUSED;
		if (i > 0)
			lt_buf_u8(out, ';');
		lt_buf_str(out, item);
	}
	return out->err;
}

/* Text form of a JSON value of the type the field wants; LT_E_REFUSED: another type. */
static int
text_of(const struct lt_field *f, const json_t *v, struct lt_buf *out, bool *nfd)
{
	enum lt_type t = f->rule.type;
	char number[64];

	switch (json_typeof(v)) {
	case JSON_STRING:
		return lt_text_nfc(out, lt_slice(json_string_value(v), json_string_length(v)), nfd);
	case JSON_INTEGER:
		if (t != LT_TYPE_INT && t != LT_TYPE_DECIMAL)
			return LT_E_REFUSED;
		lt_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return out->err;
	case JSON_REAL:
		if (t != LT_TYPE_DECIMAL ||
		    !real_text(json_real_value(v), f->scale, number, sizeof(number)))
			return LT_E_REFUSED;
		lt_buf_str(out, number);
		return out->err;
	case JSON_TRUE:
	case JSON_FALSE:
		lt_buf_str(out, json_is_true(v) ? "true" : "false");
		return t == LT_TYPE_BOOL ? out->err : LT_E_REFUSED;
	case JSON_ARRAY:
		return t == LT_TYPE_SET ? join_array(v, out) : LT_E_REFUSED;
	default:
		return LT_E_REFUSED;
	}
}

static int
take_field(struct lt_import *im, const struct lt_field *f, size_t place, const json_t *v,
    struct lt_import_row *row, struct row_values *rv)
{
	struct lt_import_fault *fault = lt_import_row_fault(im, rv, place);
	struct lt_buf text = { 0 };
	bool nfd = false;
	int rc;

	if (fault == NULL)
		return LT_E_NOMEM;
	rc = text_of(f, v, &text, &nfd);
	if (rc == LT_E_REFUSED || rc == LT_E_INVALID)
		lt_import_fault_set(
		    fault, "wrong_type", f, NULL, "another type is expected", "sai kiểu dữ liệu");
	else if (rc == LT_OK && text.len > 0)
		rc = lt_import_text_value(
		    f, lt_buf_slice(&text), &im->row, &rv->value[place], fault);
	if (nfd)
		row->warn |= LT_WARN_NFD;
	if (f->rule.type == LT_TYPE_TEXT && lt_import_is_formula(lt_buf_slice(&text)))
		row->warn |= LT_WARN_FORMULA;
	rv->given[place] = true;
	lt_buf_fini(&text);
	return rc == LT_E_NOMEM ? rc : LT_OK;
}

static int
take_collection(const struct lt_import *im, const json_t *root, struct lt_import_row *row)
{
	const char *id = json_string_value(json_object_get(root, "collection"));

	row->collection = im->col;
	if (im->col == NULL && id != NULL)
		row->collection = lt_catalogue_find(im->opt.catalogue, id);
	if (row->collection == NULL || row->collection->builtin ||
	    row->collection->nfield > LT_FIELDS_MAX)
		return refuse_row(row, "other_collection", "\"collection\" is missing or unknown",
		    "thiếu \"collection\" hoặc loại dữ liệu không có trong danh mục");
	if (json_object_get(root, "collection") != NULL &&
	    (id == NULL || strcmp(id, row->collection->id) != 0))
		return refuse_row(row, "other_collection", "the line is of another collection",
		    "dòng này thuộc loại dữ liệu khác");
	return LT_OK;
}

static bool
passes(const struct lt_import *im, const json_t *root)
{
	const char *s;

	if (im->opt.filter_field == NULL)
		return true;
	s = json_string_value(json_object_get(root, im->opt.filter_field));
	return s != NULL && im->opt.filter_value != NULL && strcmp(s, im->opt.filter_value) == 0;
}

static int
take_members(struct lt_import *im, json_t *root, struct lt_import_row *row, struct row_values *rv)
{
	const struct lt_field *f;
	const char *name;
	char shown[NAME_SHOWN_MAX + 1], en[200];
	json_t *v;
	int rc;

	json_object_foreach(root, name, v)
	{
		if (strcmp(name, "collection") == 0)
			continue;
		f = lt_collection_field(row->collection, name);
		if (f == NULL) {
			shown[lt_text_escape(shown, NAME_SHOWN_MAX, lt_slice_str(name))] = '\0';
			snprintf(en, sizeof(en), "unknown field \"%s\"", shown);
			lt_import_fault_set(&row->fault, "unknown_field", NULL, NULL, en,
			    "có trường không thuộc loại dữ liệu này");
			return LT_E_REFUSED;
		}
		if (json_is_null(v))
			continue;
		rc = take_field(im, f, (size_t)(f - row->collection->field), v, row, rv);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}

int
lt_import_take_json(
    struct lt_import *im, struct lt_slice line, struct lt_import_row *row, struct row_values *rv)
{
	json_error_t je;
	json_t *root = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &je);
	int rc;

	if (!json_is_object(root)) {
		json_decref(root);
		return refuse_row(
		    row, "bad_json", "not a JSON object", "không phải là một đối tượng JSON");
	}
	rc = passes(im, root) ? take_collection(im, root, row) : LT_E_NOTFOUND;
	if (rc == LT_OK)
		rc = take_members(im, root, row, rv);
	json_decref(root);
	return rc;
}
