/* Fields that a query names. */
#include "proto/store/query_impl.h"

int
lt_qfield_find(
    const struct lt_collection *col, const char *name, struct lt_qfield *out, struct lt_err *err)
{
	memset(out, 0, sizeof(*out));
	out->type = LT_TYPE_TEXT;
	if (strcmp(name, "_unit") == 0 || strcmp(name, "_key") == 0) {
		out->kind = name[1] == 'u' ? LT_QUNIT : LT_QKEY;
		out->name = out->kind == LT_QUNIT ? "_unit" : "_key";
		return LT_OK;
	}
	out->f = lt_collection_field(col, name);
	if (out->f == NULL)
		return lt_err_set(err, LT_E_UNKNOWN, "the collection \"%s\" has no field \"%.64s\"",
		    col->id, name);
	out->kind = LT_QFIELD;
	out->place = (size_t)(out->f - col->field);
	out->type = out->f->rule.type;
	out->scale = out->f->scale;
	out->name = out->f->rule.name;
	return LT_OK;
}

int
lt_page_size(uint32_t asked, size_t *out, struct lt_err *err)
{
	if (asked > LT_PAGE_MAX)
		return lt_err_set(err, LT_E_INVALID, "a page of %u, at most %d are given at once",
		    asked, LT_PAGE_MAX);
	*out = asked == 0 ? LT_PAGE_DEFAULT : asked;
	return LT_OK;
}
