#include "node/import_map.h"

#include "proto/base/arena.h"
#include "proto/base/limits.h"
#include "proto/base/text.h"
#include "proto/model/change.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Both places of the tone mark are in use; ð comes from old converters. */
static const struct {
	const char *from, *to;
} one_spelling[] = { { "oà", "òa" }, { "oá", "óa" }, { "oả", "ỏa" }, { "oã", "õa" }, { "oạ", "ọa" },
	{ "oè", "òe" }, { "oé", "óe" }, { "oẻ", "ỏe" }, { "oẽ", "õe" }, { "oẹ", "ọe" },
	{ "uỳ", "ùy" }, { "uý", "úy" }, { "uỷ", "ủy" }, { "uỹ", "ũy" }, { "uỵ", "ụy" },
	{ "ð", "đ" } };

static size_t
respell(struct lt_slice s, const char **to)
{
	size_t k, n;

	for (k = 0; k < sizeof(one_spelling) / sizeof(one_spelling[0]); k++) {
		n = strlen(one_spelling[k].from);
		if (s.len >= n && memcmp(s.data, one_spelling[k].from, n) == 0) {
			*to = one_spelling[k].to;
			return n;
		}
	}
	return 0;
}

int
lt_import_fold(struct lt_buf *out, struct lt_slice s)
{
	struct lt_buf b = { 0 };
	const char *to = NULL;
	size_t i = 0, n;
	int rc = lt_text_fold(&b, s);

	while (rc == LT_OK && i < b.len) {
		n = respell(lt_slice(b.data + i, b.len - i), &to);
		if (n > 0)
			lt_buf_str(out, to);
		else
			lt_buf_u8(out, b.data[i]);
		i += n > 0 ? n : 1;
	}
	lt_buf_fini(&b);
	return rc != LT_OK ? rc : out->err;
}

static int
bad(struct lt_err *err, const char *member, const char *why)
{
	return lt_err_set(err, LT_E_INVALID, "mapping: \"%s\" %s", member, why);
}

static char *
dup_str(struct lt_import_map *m, const char *s)
{
	return lt_arena_dup(m->arena, s, strlen(s));
}

static char *
dup_folded(struct lt_import_map *m, const char *s)
{
	struct lt_buf b = { 0 };
	char *p = NULL;

	if (lt_import_fold(&b, lt_slice_str(s)) == LT_OK)
		p = lt_arena_dup(m->arena, b.data, b.len);
	lt_buf_fini(&b);
	return p;
}

static bool
is_one_char(const char *s)
{
	return s[0] != 0 && s[1] == 0 && strchr(";,\t|", s[0]) != NULL;
}

static bool
take_separator(struct lt_import_map *m, const char *s)
{
	if (strcmp(s, "auto") == 0 || strcmp(s, "tab") == 0)
		m->separator = s[0] == 't' ? '\t' : 0;
	else if (is_one_char(s))
		m->separator = s[0];
	else
		return false;
	return true;
}

static bool
take_number_format(struct lt_import_map *m, const char *s)
{
	m->number_format = strcmp(s, "plain") == 0 ? LT_NUMBER_PLAIN : LT_NUMBER_VI;
	return m->number_format == LT_NUMBER_PLAIN || strcmp(s, "vi-VN") == 0;
}

static bool
take_date_format(struct lt_import_map *m, const char *s)
{
	static const char *const name[] = { "d/m/yyyy", "m/d/yyyy", "yyyy-mm-dd" };
	size_t i;

	for (i = 0; i < 3; i++)
		if (strcmp(s, name[i]) == 0) {
			m->date_format = (enum lt_date_format)i;
			return true;
		}
	return false;
}

static bool
take_zone(struct lt_import_map *m, const char *s)
{
	int32_t minutes;
	size_t i;

	if (strlen(s) != 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':')
		return false;
	for (i = 1; i < 6; i++)
		if (i != 3 && (s[i] < '0' || s[i] > '9'))
			return false;
	minutes = ((s[1] - '0') * 10 + s[2] - '0') * 60 + (s[4] - '0') * 10 + s[5] - '0';
	if (minutes > 14 * 60 + 59 || s[4] > '5')
		return false;
	m->has_zone = true;
	m->zone_minutes = s[0] == '-' ? -minutes : minutes;
	return true;
}

static bool
take_other(struct lt_import_map *m, const char *s)
{
	m->ignore_other = strcmp(s, "ignore") == 0;
	return m->ignore_other || strcmp(s, "refuse") == 0;
}

static bool
take_encoding(struct lt_import_map *m, const char *s)
{
	return lt_charset_from_name(s, &m->encoding);
}

static bool
take_collection(struct lt_import_map *m, const char *s)
{
	m->collection = lt_name_valid(s) ? dup_str(m, s) : NULL;
	return m->collection != NULL;
}

static bool
take_format(struct lt_import_map *m, const char *s)
{
	(void)m;
	return strcmp(s, "lienthong-import") == 0;
}

static bool
take_about(struct lt_import_map *m, const char *s)
{
	(void)m;
	(void)s;
	return true;
}

static const struct {
	const char *member;
	bool (*take)(struct lt_import_map *m, const char *s);
	const char *expected;
} text_members[] = {
	{ "format", take_format, "must be \"lienthong-import\"" },
	{ "about", take_about, "" },
	{ "collection", take_collection, "is not the name of a collection" },
	{ "encoding", take_encoding, "must be auto, utf-8, windows-1258 or tcvn3" },
	{ "separator", take_separator, "must be auto, tab or one of ; , |" },
	{ "number_format", take_number_format, "must be vi-VN or plain" },
	{ "date_format", take_date_format, "must be d/m/yyyy, m/d/yyyy or yyyy-mm-dd" },
	{ "time_zone", take_zone, "must be like +07:00" },
	{ "other_columns", take_other, "must be refuse or ignore" },
};

static int
take_header_line(struct lt_import_map *m, const json_t *v, struct lt_err *err)
{
	json_int_t n = json_integer_value(v);

	if (json_is_string(v) && strcmp(json_string_value(v), "auto") == 0)
		return LT_OK;
	if (!json_is_integer(v) || n < 1 || n > 1000)
		return bad(err, "header_line", "must be auto or 1 to 1000");
	m->header_line = (uint64_t)n;
	return LT_OK;
}

static int
check_object(const json_t *v, const char *member, struct lt_err *err)
{
	if (!json_is_object(v))
		return bad(err, member, "must be an object");
	if (json_object_size(v) > LT_IMPORT_MAP_ITEMS_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "mapping: \"%s\" has more than %d members",
		    member, LT_IMPORT_MAP_ITEMS_MAX);
	return LT_OK;
}

static int
take_columns(struct lt_import_map *m, json_t *v, struct lt_err *err)
{
	struct lt_import_column *c;
	const char *header;
	json_t *field;
	size_t i;
	int rc = check_object(v, "columns", err);

	if (rc != LT_OK)
		return rc;
	m->column = lt_arena_alloc(m->arena, json_object_size(v) * sizeof(*m->column));
	if (m->column == NULL)
		return LT_E_NOMEM;
	json_object_foreach(v, header, field)
	{
		if (!json_is_null(field) &&
		    (!json_is_string(field) || !lt_name_valid(json_string_value(field))))
			return bad(err, header, "must give a field name or null");
		c = &m->column[m->ncolumn++];
		c->header = dup_str(m, header);
		c->folded = dup_folded(m, header);
		c->field = json_is_null(field) ? NULL : dup_str(m, json_string_value(field));
		if (c->header == NULL || c->folded == NULL || (json_is_string(field) && !c->field))
			return LT_E_NOMEM;
		if (c->folded[0] == 0)
			return bad(err, "columns", "has a header without text");
		for (i = 0; i + 1 < m->ncolumn; i++) {
			if (strcmp(m->column[i].folded, c->folded) == 0)
				return bad(err, header, "stands twice among the columns");
			if (c->field && m->column[i].field &&
			    strcmp(m->column[i].field, c->field) == 0)
				return bad(err, c->field, "is given by two columns");
		}
	}
	return LT_OK;
}

static int
take_value_map(
    struct lt_import_map *m, const char *field, json_t *v, size_t cap, struct lt_err *err)
{
	struct lt_import_value *x;
	const char *from;
	json_t *to;

	if (!lt_name_valid(field))
		return bad(err, field, "is not a field name");
	json_object_foreach(v, from, to)
	{
		if (!json_is_string(to))
			return bad(err, from, "must give a text");
		if (m->nvalue == cap)
			return lt_err_set(err, LT_E_TOOBIG, "mapping: more than %zu values", cap);
		x = &m->value[m->nvalue++];
		x->field = dup_str(m, field);
		x->folded = dup_folded(m, from);
		x->value = dup_str(m, json_string_value(to));
		if (x->field == NULL || x->folded == NULL || x->value == NULL)
			return LT_E_NOMEM;
	}
	return LT_OK;
}

static int
take_values(struct lt_import_map *m, json_t *v, struct lt_err *err)
{
	const char *field;
	json_t *values;
	int rc = check_object(v, "values", err);

	if (rc != LT_OK)
		return rc;
	m->value = lt_arena_alloc(m->arena, LT_IMPORT_MAP_ITEMS_MAX * sizeof(*m->value));
	if (m->value == NULL)
		return LT_E_NOMEM;
	json_object_foreach(v, field, values)
	{
		rc = check_object(values, field, err);
		if (rc == LT_OK)
			rc = take_value_map(m, field, values, LT_IMPORT_MAP_ITEMS_MAX, err);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}

static int
take_one_derive(struct lt_import_map *m, const char *field, json_t *rule, struct lt_err *err)
{
	static const char *const kinds[] = { "constant", "year_of", "unit", "succession" };
	struct lt_import_derive *d = &m->derive[m->nderive++];
	json_t *arg = NULL;
	size_t k;

	if (!lt_name_valid(field) || !json_is_object(rule) || json_object_size(rule) != 1)
		return bad(err, field, "must give one of constant, year_of, unit, succession");
	for (k = 0; k < 4 && arg == NULL; k++) {
		arg = json_object_get(rule, kinds[k]);
		d->kind = (enum lt_derive_kind)k;
	}
	if (arg == NULL || (d->kind == LT_DERIVE_UNIT ? !json_is_true(arg) : !json_is_string(arg)))
		return bad(err, field, "must give a text, or \"unit\": true");
	if ((d->kind == LT_DERIVE_YEAR_OF || d->kind == LT_DERIVE_SUCCESSION) &&
	    !lt_name_valid(json_string_value(arg)))
		return bad(err, field, "must name a field");
	d->field = dup_str(m, field);
	d->arg = dup_str(m, json_is_string(arg) ? json_string_value(arg) : "");
	return d->field == NULL || d->arg == NULL ? LT_E_NOMEM : LT_OK;
}

static int
take_derived(struct lt_import_map *m, json_t *v, struct lt_err *err)
{
	const char *field;
	json_t *rule;
	int rc = check_object(v, "derived", err);

	if (rc != LT_OK)
		return rc;
	m->derive = lt_arena_alloc(m->arena, json_object_size(v) * sizeof(*m->derive));
	if (m->derive == NULL)
		return LT_E_NOMEM;
	json_object_foreach(v, field, rule)
	{
		rc = take_one_derive(m, field, rule, err);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}

static int
take_text(struct lt_import_map *m, const char *member, const json_t *v, struct lt_err *err)
{
	size_t i;

	for (i = 0; i < sizeof(text_members) / sizeof(text_members[0]); i++) {
		if (strcmp(member, text_members[i].member) != 0)
			continue;
		if (!json_is_string(v) || !text_members[i].take(m, json_string_value(v)))
			return bad(err, member, text_members[i].expected);
		return LT_OK;
	}
	return bad(err, member, "is not known");
}

static int
take_member(struct lt_import_map *m, const char *member, json_t *v, struct lt_err *err)
{
	if (strcmp(member, "version") == 0)
		return json_is_integer(v) && json_integer_value(v) == 1
			   ? LT_OK
			   : lt_err_set(err, LT_E_VERSION, "mapping: \"version\" must be 1");
	if (strcmp(member, "header_line") == 0)
		return take_header_line(m, v, err);
	if (strcmp(member, "columns") == 0)
		return take_columns(m, v, err);
	if (strcmp(member, "values") == 0)
		return take_values(m, v, err);
	if (strcmp(member, "derived") == 0)
		return take_derived(m, v, err);
	return take_text(m, member, v, err);
}

static int
check_whole(const struct lt_import_map *m, json_t *root, struct lt_err *err)
{
	size_t i, k;

	if (json_object_get(root, "format") == NULL || json_object_get(root, "version") == NULL)
		return bad(err, "format", "and \"version\" are missing");
	if (m->collection == NULL)
		return bad(err, "collection", "is missing");
	for (i = 0; i < m->nderive; i++)
		for (k = 0; k < m->ncolumn; k++)
			if (m->column[k].field &&
			    strcmp(m->column[k].field, m->derive[i].field) == 0)
				return bad(err, m->derive[i].field, "is both a column and derived");
	return LT_OK;
}

static struct lt_import_map *
map_new(void)
{
	struct lt_import_map *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->arena = malloc(sizeof(*m->arena));
	if (m->arena == NULL) {
		free(m);
		return NULL;
	}
	lt_arena_init(m->arena, 8 * LT_IMPORT_MAP_BYTES_MAX);
	return m;
}

int
lt_import_map_parse(struct lt_slice json, struct lt_import_map **out, struct lt_err *err)
{
	struct lt_import_map *m = NULL;
	json_t *root = NULL, *v;
	const char *member;
	json_error_t je;
	int rc = LT_OK;

	if (json.len > LT_IMPORT_MAP_BYTES_MAX)
		return lt_err_set(
		    err, LT_E_TOOBIG, "mapping: longer than %zu bytes", LT_IMPORT_MAP_BYTES_MAX);
	root = json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(root)) {
		lt_err_set(err, LT_E_INVALID, "mapping: not a JSON object (line %d): %s", je.line,
		    root == NULL ? je.text : "another value");
		json_decref(root);
		return LT_E_INVALID;
	}
	m = map_new();
	if (m == NULL)
		rc = LT_E_NOMEM;
	json_object_foreach(root, member, v)
	{
		if (rc == LT_OK)
			rc = take_member(m, member, v, err);
	}
	if (rc == LT_OK)
		rc = check_whole(m, root, err);
	json_decref(root);
	if (rc == LT_E_NOMEM)
		lt_err_set(err, rc, "mapping: out of memory");
	if (rc != LT_OK) {
		lt_import_map_free(m);
		return rc;
	}
	*out = m;
	return LT_OK;
}

void
lt_import_map_free(struct lt_import_map *m)
{
	if (m == NULL)
		return;
	lt_arena_fini(m->arena);
	free(m->arena);
	free(m);
}
