/* From the catalogue file (format 2) to structs. The file comes from outside: every member is checked,
 * an unknown one is refused, since a rule that one program knows and another passes over would let
 * them judge the same change differently. */
#include "proto/model/catalogue_impl.h"
#include "proto/model/pattern_walk.h"

#include "proto/base/text.h"
#include "proto/model/change.h"
#include "proto/model/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TITLE_MAX 500
#define CODE_MAX 64

struct parse {
	struct lt_catalogue *cat;
	struct lt_err *err;
	const char *collection; /* where we are; NULL: at the top */
	const char *field;
	size_t pattern_nodes; /* of all patterns so far */
	uint32_t default_max_len;
};

struct word {
	const char *name;
	int value;
};

static int fail(struct parse *p, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
fail(struct parse *p, int code, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (p->collection == NULL)
		return lt_err_set(p->err, code, "catalogue: %s", what);
	if (p->field == NULL)
		return lt_err_set(p->err, code, "collection \"%s\": %s", p->collection, what);
	return lt_err_set(
	    p->err, code, "collection \"%s\", field \"%s\": %s", p->collection, p->field, what);
}

static int
no_memory(struct parse *p)
{
	return fail(p, LT_E_NOMEM, "out of memory");
}

/* ---- JSON ---- */

static int
json_bounds(struct lt_slice text, struct lt_err *err)
{
	size_t values = 1, depth = 0, i;
	bool in_string = false;

	for (i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		in_string = c == '"';
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		values += c == ',' || c == '{' || c == '[';
		if (depth > LT_CATALOGUE_JSON_DEPTH_MAX)
			return lt_err_set(err, LT_E_TOOBIG, "catalogue: nested deeper than %d",
			    LT_CATALOGUE_JSON_DEPTH_MAX);
		if (values > LT_CATALOGUE_JSON_VALUES_MAX)
			return lt_err_set(err, LT_E_TOOBIG, "catalogue: more than %d values",
			    LT_CATALOGUE_JSON_VALUES_MAX);
	}
	return LT_OK;
}

int
lt_catalogue_json(struct lt_slice text, json_t **out, struct lt_err *err)
{
	json_error_t e;
	json_t *json;
	int rc;

	if (text.len > LT_CATALOGUE_BYTES_MAX)
		return lt_err_set(
		    err, LT_E_TOOBIG, "catalogue: longer than %d bytes", LT_CATALOGUE_BYTES_MAX);
	rc = json_bounds(text, err);
	if (rc != LT_OK)
		return rc;
	json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &e);
	if (json == NULL)
		return lt_err_set(err, LT_E_INVALID, "catalogue: line %d: %s", e.line, e.text);
	if (!json_is_object(json)) {
		json_decref(json);
		return lt_err_set(err, LT_E_INVALID, "catalogue: not a JSON object");
	}
	*out = json;
	return LT_OK;
}

static int
members_known(struct parse *p, json_t *o, const char *const *known, size_t n)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach(o, key, value)
	{
		for (i = 0; i < n && strcmp(known[i], key) != 0; i++)
			;
		if (i == n)
			return fail(p, LT_E_INVALID, "unknown member \"%s\"", key);
	}
	return LT_OK;
}

/* Copy of a text, 1 to max bytes, NFC. */
static int
text_copy(struct parse *p, const json_t *v, const char *member, size_t max, const char **out)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);

	if (s == NULL || len == 0)
		return fail(p, LT_E_INVALID, "\"%s\" is not a text", member);
	if (len > max)
		return fail(p, LT_E_TOOBIG, "\"%s\" is longer than %zu bytes", member, max);
	if (!lt_text_is_nfc(lt_slice(s, len)))
		return fail(p, LT_E_INVALID, "\"%s\" is not Unicode in form NFC", member);
	*out = lt_arena_dup(&p->cat->arena, s, len);
	return *out == NULL ? no_memory(p) : LT_OK;
}

static int
get_text(struct parse *p, const json_t *o, const char *member, size_t max, const char **out)
{
	const json_t *v = json_object_get(o, member);

	if (v == NULL)
		return fail(p, LT_E_INVALID, "\"%s\" is missing", member);
	return text_copy(p, v, member, max, out);
}

static int
get_text_or_empty(
    struct parse *p, const json_t *o, const char *member, size_t max, const char **out)
{
	*out = "";
	return json_object_get(o, member) == NULL ? LT_OK : get_text(p, o, member, max, out);
}

static int
get_bool(struct parse *p, const json_t *o, const char *member, bool needed, bool *out)
{
	const json_t *v = json_object_get(o, member);

	*out = false;
	if (v == NULL && !needed)
		return LT_OK;
	if (!json_is_boolean(v))
		return fail(p, LT_E_INVALID, "\"%s\" is not true or false", member);
	*out = json_is_true(v);
	return LT_OK;
}

static int
get_number(
    struct parse *p, const json_t *o, const char *member, int64_t min, int64_t max, int64_t *out)
{
	const json_t *v = json_object_get(o, member);
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < min || n > max)
		return fail(p, LT_E_INVALID, "\"%s\" is not a whole number from %lld to %lld",
		    member, (long long)min, (long long)max);
	*out = n;
	return LT_OK;
}

static int
get_word(struct parse *p, const json_t *o, const char *member, const struct word *words, size_t n,
    int *out)
{
	const char *s = json_string_value(json_object_get(o, member));
	size_t i;

	for (i = 0; s != NULL && i < n; i++) {
		if (strcmp(s, words[i].name) == 0) {
			*out = words[i].value;
			return LT_OK;
		}
	}
	return fail(p, LT_E_INVALID, "\"%s\" is missing or has an unknown value", member);
}

/* A list of different texts. */
static int
list_copy(struct parse *p, const json_t *v, const char *member, size_t min, size_t max,
    const char ***out, size_t *n)
{
	size_t count = json_array_size(v), i, k;
	const char **list;
	int rc;

	if (!json_is_array(v) || count < min || count > max)
		return fail(
		    p, LT_E_INVALID, "\"%s\" is not a list of %zu to %zu texts", member, min, max);
	list = lt_arena_alloc(&p->cat->arena, count * sizeof(*list));
	if (list == NULL)
		return no_memory(p);
	for (i = 0; i < count; i++) {
		rc = text_copy(p, json_array_get(v, i), member, CODE_MAX, &list[i]);
		if (rc != LT_OK)
			return rc;
		for (k = 0; k < i; k++)
			if (strcmp(list[k], list[i]) == 0)
				return fail(
				    p, LT_E_INVALID, "\"%s\" names \"%s\" twice", member, list[i]);
	}
	*out = list;
	*n = count;
	return LT_OK;
}

static int
get_list(struct parse *p, const json_t *o, const char *member, size_t min, size_t max,
    const char ***out, size_t *n)
{
	return list_copy(p, json_object_get(o, member), member, min, max, out, n);
}

/* ---- one field ---- */

static const struct word type_words[] = {
	{ "string", LT_TYPE_TEXT },
	{ "int64", LT_TYPE_INT },
	{ "decimal", LT_TYPE_DECIMAL },
	{ "bool", LT_TYPE_BOOL },
	{ "date", LT_TYPE_DATE },
	{ "timestamp", LT_TYPE_TIMESTAMP },
	{ "bytes", LT_TYPE_BYTES },
	{ "enum", LT_TYPE_ENUM },
};

static const struct word policy_words[] = {
	{ "lww", LT_POLICY_LWW },
	{ "first", LT_POLICY_FIRST },
	{ "max", LT_POLICY_MAX },
	{ "min", LT_POLICY_MIN },
	{ "set", LT_POLICY_SET },
	{ "review", LT_POLICY_REVIEW },
};

static const struct word authority_words[] = {
	{ "any", LT_AUTHORITY_ANY },
	{ "unit", LT_AUTHORITY_UNIT },
	{ "hub", LT_AUTHORITY_HUB },
};

static const struct word personal_words[] = {
	{ "none", LT_PERSONAL_NONE },
	{ "basic", LT_PERSONAL_BASIC },
	{ "sensitive", LT_PERSONAL_SENSITIVE },
};

static int
parse_words(struct parse *p, const json_t *o, struct lt_field *f)
{
	int type = 0, policy = 0, authority = 0, personal = 0, rc;

	if ((rc = get_word(p, o, "type", type_words, COUNT(type_words), &type)) != LT_OK ||
	    (rc = get_word(p, o, "merge", policy_words, COUNT(policy_words), &policy)) != LT_OK ||
	    (rc = get_word(p, o, "authority", authority_words, COUNT(authority_words),
		 &authority)) != LT_OK ||
	    (rc = get_word(p, o, "personal", personal_words, COUNT(personal_words), &personal)) !=
		LT_OK)
		return rc;
	f->rule.type = (enum lt_type)type;
	f->rule.policy = (enum lt_policy)policy;
	f->rule.authority = (enum lt_authority)authority;
	f->rule.personal = (enum lt_personal)personal;
	return LT_OK;
}

static int
parse_list_separator(struct parse *p, const json_t *o, struct lt_field *f)
{
	const json_t *v = json_object_get(o, "list_separator");

	if (v == NULL)
		return LT_OK;
	if (!json_is_string(v) || strcmp(json_string_value(v), ";") != 0)
		return fail(p, LT_E_INVALID, "\"list_separator\" can only be ;");
	if (f->rule.type != LT_TYPE_TEXT)
		return fail(p, LT_E_INVALID, "\"list_separator\" stands only with type string");
	f->rule.type = LT_TYPE_SET;
	return LT_OK;
}

static int
parse_scale(struct parse *p, const json_t *o, struct lt_field *f)
{
	int64_t n = 0;
	int rc;

	if (f->rule.type != LT_TYPE_DECIMAL)
		return json_object_get(o, "scale") == NULL
			   ? LT_OK
			   : fail(p, LT_E_INVALID, "\"scale\" stands only with type decimal");
	rc = get_number(p, o, "scale", 0, LT_DECIMAL_SCALE_MAX, &n);
	f->scale = rc == LT_OK ? (uint32_t)n : 0;
	return rc;
}

static int
parse_max_len(struct parse *p, const json_t *o, struct lt_field *f)
{
	bool sized = f->rule.type == LT_TYPE_TEXT || f->rule.type == LT_TYPE_SET ||
		     f->rule.type == LT_TYPE_BYTES;
	int64_t n = p->default_max_len;
	int rc = LT_OK;

	if (json_object_get(o, "max_len") != NULL) {
		if (!sized)
			return fail(
			    p, LT_E_INVALID, "\"max_len\" stands only with types string and bytes");
		rc = get_number(p, o, "max_len", 1, LT_VALUE_MAX, &n);
	}
	f->max_len = sized ? (uint32_t)n : 0;
	return rc;
}

static int
parse_values(struct parse *p, const json_t *o, struct lt_field *f)
{
	if (f->rule.type == LT_TYPE_ENUM)
		return get_list(p, o, "values", 1, LT_ENUM_VALUES_MAX, &f->value, &f->nvalue);
	if (json_object_get(o, "values") != NULL)
		return fail(p, LT_E_INVALID, "\"values\" stands only with type enum");
	return LT_OK;
}

static int
parse_pattern(struct parse *p, const json_t *o, struct lt_field *f)
{
	enum lt_type t = f->rule.type;
	struct lt_err why = { "" };
	size_t nodes = 0;
	int rc;

	rc = get_text_or_empty(p, o, "pattern", LT_PATTERN_MAX, &f->pattern);
	if (rc != LT_OK || f->pattern[0] == '\0')
		return rc;
	if (t != LT_TYPE_TEXT && t != LT_TYPE_INT && t != LT_TYPE_DATE && t != LT_TYPE_ENUM)
		return fail(
		    p, LT_E_INVALID, "\"pattern\" stands only with string, int64, date and enum");
	rc = lt_pattern_check(f->pattern, &nodes, &why);
	if (rc != LT_OK)
		return fail(p, rc, "%s", why.text);
	p->pattern_nodes += nodes;
	if (p->pattern_nodes > LT_PATTERNS_NODES_MAX)
		return fail(p, LT_E_TOOBIG, "all patterns together are too large");
	rc = lt_pattern_compile(f->pattern, &f->regex, &why);
	if (rc != LT_OK)
		return fail(p, rc, "%s", why.text);
	f->has_pattern = true;
	f->walk = lt_pattern_walk_new(f->pattern);
	return LT_OK;
}

/* min and max: a whole number for int64; for decimal a whole number or a text such as "0.5"; for date a
 * text. In JSON 0.5 would be a binary fraction. */
static int
parse_bound(struct parse *p, const json_t *o, const char *member, const struct lt_field *f,
    bool *has, int64_t *out)
{
	const json_t *v = json_object_get(o, member);
	Ltpb__Value *value = NULL;
	char number[32];
	const char *text = json_string_value(v);
	enum lt_type t = f->rule.type;

	*has = v != NULL;
	if (v == NULL)
		return LT_OK;
	if (t != LT_TYPE_INT && t != LT_TYPE_DECIMAL && t != LT_TYPE_DATE)
		return fail(
		    p, LT_E_INVALID, "\"%s\" stands only with int64, decimal and date", member);
	if (json_is_integer(v) && t != LT_TYPE_DATE) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		text = number;
	} else if (text != NULL && t == LT_TYPE_INT) {
		text = NULL;
	}
	if (text == NULL ||
	    lt_value_parse(t, f->scale, lt_slice_str(text), &p->cat->arena, &value, NULL) != LT_OK)
		return fail(p, LT_E_INVALID, "\"%s\" is not a value of the field", member);
	*out = t == LT_TYPE_INT    ? value->integer
	       : t == LT_TYPE_DATE ? value->date
				   : value->decimal->unscaled;
	return LT_OK;
}

static bool
is_value(const struct lt_field *f, const char *s)
{
	size_t i;

	for (i = 0; i < f->nvalue; i++)
		if (strcmp(f->value[i], s) == 0)
			return true;
	return false;
}

static int
parse_transition(struct parse *p, const struct lt_field *f, const char *from, const json_t *to,
    struct lt_transition *out)
{
	size_t i;
	int rc;

	if (!is_value(f, from))
		return fail(
		    p, LT_E_INVALID, "\"transitions\" from \"%s\", which is no value", from);
	rc = list_copy(p, to, "transitions", 0, LT_ENUM_VALUES_MAX, &out->to, &out->nto);
	if (rc != LT_OK)
		return rc;
	for (i = 0; i < out->nto; i++)
		if (!is_value(f, out->to[i]))
			return fail(p, LT_E_INVALID, "\"transitions\" to \"%s\", which is no value",
			    out->to[i]);
	out->from = lt_arena_dup(&p->cat->arena, from, strlen(from));
	return out->from == NULL ? no_memory(p) : LT_OK;
}

static int
parse_transitions(struct parse *p, const json_t *o, struct lt_field *f)
{
	json_t *t = json_object_get(o, "transitions"), *to;
	const char *from;
	int rc;

	if (t == NULL)
		return LT_OK;
	if (!json_is_object(t) || f->rule.type != LT_TYPE_ENUM)
		return fail(p, LT_E_INVALID, "\"transitions\" is not an object of an enum field");
	f->transition =
	    lt_arena_alloc(&p->cat->arena, json_object_size(t) * sizeof(*f->transition));
	if (f->transition == NULL)
		return no_memory(p);
	json_object_foreach(t, from, to)
	{
		rc = parse_transition(p, f, from, to, &f->transition[f->ntransition]);
		if (rc != LT_OK)
			return rc;
		f->ntransition++;
	}
	return LT_OK;
}

/* What holds between the members of a field. */
static int
field_agrees(struct parse *p, const struct lt_field *f)
{
	const struct lt_field_rule *r = &f->rule;
	bool ordered = r->type == LT_TYPE_INT || r->type == LT_TYPE_DECIMAL ||
		       r->type == LT_TYPE_DATE || r->type == LT_TYPE_TIMESTAMP;

	if (r->policy == LT_POLICY_SET && r->type != LT_TYPE_SET)
		return fail(p, LT_E_INVALID, "\"merge\" set stands only with a list_separator");
	if ((r->policy == LT_POLICY_MAX || r->policy == LT_POLICY_MIN) && !ordered)
		return fail(
		    p, LT_E_INVALID, "\"merge\" max and min stand only with numbers and dates");
	if (f->has_min && f->has_max && f->min > f->max)
		return fail(p, LT_E_INVALID, "\"min\" is above \"max\"");
	if ((f->in_key || f->is_unit) && r->personal != LT_PERSONAL_NONE)
		return fail(p, LT_E_INVALID, "a key or unit field cannot be personal");
	if ((f->in_key || f->is_unit) && !f->required)
		return fail(p, LT_E_INVALID, "a key or unit field must be required");
	if (f->is_unit && r->type != LT_TYPE_TEXT)
		return fail(p, LT_E_INVALID, "\"is_unit\" stands only with type string");
	if (f->in_key && r->type != LT_TYPE_TEXT && r->type != LT_TYPE_INT &&
	    r->type != LT_TYPE_DATE && r->type != LT_TYPE_ENUM)
		return fail(p, LT_E_INVALID, "a key field is a string, int64, date or enum");
	if (f->in_key && r->type == LT_TYPE_TEXT && !f->has_pattern)
		return fail(p, LT_E_INVALID, "a key field of type string needs a pattern");
	return LT_OK;
}

static int
parse_field(struct parse *p, json_t *o, struct lt_field *f)
{
	static const char *const known[] = { "name", "type", "title_vi", "required", "indexed",
		"personal", "merge", "authority", "pattern", "min", "max", "in_key", "unit",
		"values", "ref", "scale", "is_unit", "max_len", "transitions", "list_separator",
		"note" };
	const char *note;
	int rc;

	if (!json_is_object(o))
		return fail(p, LT_E_INVALID, "a field is not an object");
	rc = get_text(p, o, "name", LT_NAME_MAX, &f->rule.name);
	if (rc != LT_OK)
		return rc;
	/* names with '_' first are ours: _actor */
	if (f->rule.name[0] == '_' || !lt_name_valid(f->rule.name))
		return fail(p, LT_E_INVALID,
		    "a field name is not of a-z, 0-9 and _, beginning with a letter");
	p->field = f->rule.name;
	if ((rc = members_known(p, o, known, COUNT(known))) != LT_OK ||
	    (rc = parse_words(p, o, f)) != LT_OK || (rc = parse_list_separator(p, o, f)) != LT_OK ||
	    (rc = get_text(p, o, "title_vi", TITLE_MAX, &f->title_vi)) != LT_OK ||
	    (rc = get_text_or_empty(p, o, "unit", TITLE_MAX, &f->unit_of_measure)) != LT_OK ||
	    (rc = get_text_or_empty(p, o, "ref", 2 * LT_NAME_MAX + 1, &f->ref)) != LT_OK ||
	    (rc = get_text_or_empty(p, o, "note", LT_VALUE_MAX, &note)) != LT_OK ||
	    (rc = get_bool(p, o, "required", true, &f->required)) != LT_OK ||
	    (rc = get_bool(p, o, "indexed", true, &f->indexed)) != LT_OK ||
	    (rc = get_bool(p, o, "in_key", false, &f->in_key)) != LT_OK ||
	    (rc = get_bool(p, o, "is_unit", false, &f->is_unit)) != LT_OK ||
	    (rc = parse_scale(p, o, f)) != LT_OK || (rc = parse_max_len(p, o, f)) != LT_OK ||
	    (rc = parse_values(p, o, f)) != LT_OK || (rc = parse_pattern(p, o, f)) != LT_OK ||
	    (rc = parse_bound(p, o, "min", f, &f->has_min, &f->min)) != LT_OK ||
	    (rc = parse_bound(p, o, "max", f, &f->has_max, &f->max)) != LT_OK ||
	    (rc = parse_transitions(p, o, f)) != LT_OK)
		return rc;
	return field_agrees(p, f);
}

/* ---- one collection ---- */

static const struct word lane_words[] = {
	{ "urgent", LT_LANE_URGENT },
	{ "normal", LT_LANE_NORMAL },
	{ "bulk", LT_LANE_BULK },
};

static const struct word unit_rule_words[] = {
	{ "commune", LT_UNIT_COMMUNE },
	{ "province", LT_UNIT_PROVINCE },
};

static const struct word cadence_words[] = {
	{ "daily", 0 },
	{ "weekly", 1 },
	{ "monthly", 2 },
	{ "once", 3 },
};

static const struct word writer_words[] = {
	{ "commune", LT_WRITER_COMMUNE },
	{ "province", LT_WRITER_PROVINCE },
	{ "department", LT_WRITER_DEPARTMENT },
};

static int
parse_writers(struct parse *p, const json_t *o, const char *member, unsigned *out)
{
	const char **list = NULL;
	size_t n = 0, i, k;
	int rc = get_list(p, o, member, 1, COUNT(writer_words), &list, &n);

	*out = 0;
	for (i = 0; i < n && rc == LT_OK; i++) {
		for (k = 0; k < COUNT(writer_words); k++)
			if (strcmp(list[i], writer_words[k].name) == 0)
				break;
		if (k == COUNT(writer_words))
			return fail(p, LT_E_INVALID, "\"%s\" names \"%s\"", member, list[i]);
		*out |= (unsigned)writer_words[k].value;
	}
	return rc;
}

static int
parse_fields(struct parse *p, const json_t *o, struct lt_collection *c)
{
	const json_t *list = json_object_get(o, "fields");
	size_t n = json_array_size(list), i;
	int rc;

	if (!json_is_array(list) || n == 0 || n > LT_FIELDS_MAX)
		return fail(p, LT_E_INVALID, "\"fields\" is not a list of 1 to %d", LT_FIELDS_MAX);
	c->field = lt_arena_alloc(&p->cat->arena, n * sizeof(*c->field));
	if (c->field == NULL)
		return no_memory(p);
	for (i = 0; i < n; i++) {
		c->nfield = i + 1;
		rc = parse_field(p, json_array_get(list, i), &c->field[i]);
		if (rc != LT_OK)
			return rc;
		p->field = NULL;
		if (c->field[i].is_unit && c->has_unit_field)
			return fail(p, LT_E_INVALID, "two fields have \"is_unit\"");
		c->has_unit_field = c->has_unit_field || c->field[i].is_unit;
		if (!c->field[i].indexed)
			continue;
		if (c->nindex == LT_INDEXED_MAX)
			return fail(
			    p, LT_E_INVALID, "more than %d fields are indexed", LT_INDEXED_MAX);
		c->index[c->nindex++] = i;
	}
	return LT_OK;
}

/* Place of a field while the collection is not sealed yet; nfield: none. */
static size_t
place_of(const struct lt_collection *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nfield && strcmp(c->field[i].rule.name, name) != 0; i++)
		;
	return i;
}

static int
parse_key(struct parse *p, const json_t *o, struct lt_collection *c)
{
	static const char *const known[] = { "fields", "example" };
	json_t *key = json_object_get(o, "key");
	const char **list = NULL, *example;
	size_t n = 0, i, in_key = 0;
	int rc;

	if (!json_is_object(key))
		return fail(p, LT_E_INVALID, "\"key\" is missing");
	if ((rc = members_known(p, key, known, COUNT(known))) != LT_OK ||
	    (rc = get_text(p, key, "example", LT_KEY_MAX, &example)) != LT_OK ||
	    (rc = get_list(p, key, "fields", 1, LT_KEY_FIELDS_MAX, &list, &n)) != LT_OK)
		return rc;
	for (i = 0; i < n; i++) {
		c->key[i] = place_of(c, list[i]);
		if (c->key[i] == c->nfield || !c->field[c->key[i]].in_key)
			return fail(p, LT_E_INVALID, "key field \"%s\" is no field with \"in_key\"",
			    list[i]);
	}
	for (i = 0; i < c->nfield; i++)
		in_key += c->field[i].in_key;
	if (in_key != n)
		return fail(
		    p, LT_E_INVALID, "a field with \"in_key\" is not among the key's fields");
	c->nkey = c->nkey_min = n;
	return LT_OK;
}

/* Can values of the two fields be added and compared? */
static bool
comparable(const struct lt_field *a, const struct lt_field *b, bool alone)
{
	bool number_a = a->rule.type == LT_TYPE_INT || a->rule.type == LT_TYPE_DECIMAL;
	bool number_b = b->rule.type == LT_TYPE_INT || b->rule.type == LT_TYPE_DECIMAL;

	if (number_a || number_b)
		return number_a && number_b;
	return alone && a->rule.type == b->rule.type &&
	       (a->rule.type == LT_TYPE_DATE || a->rule.type == LT_TYPE_TIMESTAMP);
}

static int
check_side(struct parse *p, const struct lt_collection *c, const struct lt_check_sum *s,
    const char *const *side, size_t n)
{
	const struct lt_field *first = &c->field[place_of(c, s->left[0])];
	size_t i, at;

	for (i = 0; i < n; i++) {
		at = place_of(c, side[i]);
		if (at == c->nfield ||
		    !comparable(first, &c->field[at], s->nleft == 1 && s->nright == 1))
			return fail(p, LT_E_INVALID,
			    "a check with \"%s\", which cannot be compared", side[i]);
	}
	return LT_OK;
}

static int
parse_check(struct parse *p, json_t *o, const struct lt_collection *c, struct lt_check_sum *s)
{
	static const char *const known[] = { "left", "op", "right" };
	static const struct word ops[] = { { "=", 0 }, { "<=", 0 }, { ">=", 0 }, { "<", 0 },
		{ ">", 0 } };
	int rc, any;

	if (!json_is_object(o))
		return fail(p, LT_E_INVALID, "a check is not an object");
	if ((rc = members_known(p, o, known, COUNT(known))) != LT_OK ||
	    (rc = get_list(p, o, "left", 1, LT_LIST_MAX, &s->left, &s->nleft)) != LT_OK ||
	    (rc = get_list(p, o, "right", 1, LT_LIST_MAX, &s->right, &s->nright)) != LT_OK ||
	    (rc = get_word(p, o, "op", ops, COUNT(ops), &any)) != LT_OK)
		return rc;
	snprintf(s->op, sizeof(s->op), "%s", json_string_value(json_object_get(o, "op")));
	if (place_of(c, s->left[0]) == c->nfield)
		return fail(p, LT_E_INVALID, "a check with \"%s\", which is no field", s->left[0]);
	rc = check_side(p, c, s, s->left, s->nleft);
	return rc != LT_OK ? rc : check_side(p, c, s, s->right, s->nright);
}

static int
parse_checks(struct parse *p, const json_t *o, struct lt_collection *c)
{
	const json_t *list = json_object_get(o, "checks");
	size_t n = json_array_size(list), i;
	int rc;

	if (list == NULL)
		return LT_OK;
	if (!json_is_array(list) || n > LT_LIST_MAX)
		return fail(p, LT_E_INVALID, "\"checks\" is not a list of at most %d", LT_LIST_MAX);
	c->check = lt_arena_alloc(&p->cat->arena, n * sizeof(*c->check));
	if (c->check == NULL)
		return no_memory(p);
	for (i = 0; i < n; i++) {
		rc = parse_check(p, json_array_get(list, i), c, &c->check[i]);
		if (rc != LT_OK)
			return rc;
	}
	c->ncheck = n;
	return LT_OK;
}

/* required_rule: whoever may make a record has authority for what it must hold. */
static int
required_agrees(struct parse *p, const struct lt_collection *c)
{
	unsigned hub = LT_WRITER_PROVINCE | LT_WRITER_DEPARTMENT;
	bool of_province = c->unit_rule == LT_UNIT_PROVINCE || !c->has_unit_field;
	size_t i;

	for (i = 0; i < c->nfield; i++) {
		const struct lt_field *f = &c->field[i];

		if (!f->required || f->in_key || f->is_unit)
			continue;
		if ((f->rule.authority == LT_AUTHORITY_HUB &&
			(c->creators & LT_WRITER_COMMUNE) != 0) ||
		    (f->rule.authority == LT_AUTHORITY_UNIT && (c->creators & hub) != 0 &&
			!of_province))
			return fail(p, LT_E_INVALID,
			    "required field \"%s\" cannot be written by all who make records",
			    f->rule.name);
	}
	return LT_OK;
}

static int
personal_agrees(struct parse *p, const json_t *o, const struct lt_collection *c)
{
	bool personal, sensitive, has_personal = false, has_sensitive = false;
	size_t i;
	int rc;

	if ((rc = get_bool(p, o, "contains_personal_data", true, &personal)) != LT_OK ||
	    (rc = get_bool(p, o, "contains_sensitive_personal_data", true, &sensitive)) != LT_OK)
		return rc;
	for (i = 0; i < c->nfield; i++) {
		has_personal = has_personal || c->field[i].rule.personal != LT_PERSONAL_NONE;
		has_sensitive = has_sensitive || c->field[i].rule.personal == LT_PERSONAL_SENSITIVE;
	}
	if (personal != has_personal || sensitive != has_sensitive)
		return fail(
		    p, LT_E_INVALID, "the personal-data flags do not agree with the fields");
	return LT_OK;
}

static int
parse_organs(struct parse *p, const json_t *o, struct lt_collection *c)
{
	size_t i;
	int rc;

	if ((rc = get_list(p, o, "owner_departments", 1, LT_LIST_MAX, &c->owner, &c->nowner)) !=
		LT_OK ||
	    (rc = get_list(p, o, "readers", 0, LT_LIST_MAX, &c->reader, &c->nreader)) != LT_OK)
		return rc;
	for (i = 0; i < c->nowner; i++)
		if (lt_catalogue_org(p->cat, c->owner[i]) == NULL)
			return fail(
			    p, LT_E_INVALID, "owner \"%s\" is no organisation", c->owner[i]);
	for (i = 0; i < c->nreader; i++)
		if (strcmp(c->reader[i], "all_departments") != 0 &&
		    lt_catalogue_org(p->cat, c->reader[i]) == NULL)
			return fail(
			    p, LT_E_INVALID, "reader \"%s\" is no organisation", c->reader[i]);
	return LT_OK;
}

static int
parse_collection_head(struct parse *p, json_t *o, struct lt_collection *c)
{
	static const char *const known[] = { "id", "title_vi", "title_en", "owner_departments",
		"readers", "writers", "creators", "cadence", "lane", "unit_rule", "immutable",
		"key", "contains_personal_data", "contains_sensitive_personal_data",
		"volume_per_commune", "fields", "source", "note", "practice_note", "checks" };
	int lane = 0, unit_rule = 0, any, rc;

	if ((rc = get_text(p, o, "id", LT_NAME_MAX, &c->id)) != LT_OK)
		return rc;
	if (c->id[0] == '_' || !lt_name_valid(c->id))
		return fail(p, LT_E_INVALID,
		    "a collection id is not of a-z, 0-9 and _, beginning with a letter");
	p->collection = c->id;
	if ((rc = members_known(p, o, known, COUNT(known))) != LT_OK ||
	    (rc = get_text(p, o, "title_vi", TITLE_MAX, &c->title_vi)) != LT_OK ||
	    (rc = get_text(p, o, "title_en", TITLE_MAX, &c->title_en)) != LT_OK ||
	    (rc = get_word(p, o, "cadence", cadence_words, COUNT(cadence_words), &any)) != LT_OK ||
	    (rc = get_text(p, o, "cadence", CODE_MAX, &c->cadence)) != LT_OK ||
	    (rc = get_word(p, o, "lane", lane_words, COUNT(lane_words), &lane)) != LT_OK ||
	    (rc = get_word(p, o, "unit_rule", unit_rule_words, COUNT(unit_rule_words),
		 &unit_rule)) != LT_OK ||
	    (rc = get_bool(p, o, "immutable", false, &c->immutable)) != LT_OK ||
	    (rc = parse_writers(p, o, "writers", &c->writers)) != LT_OK ||
	    (rc = parse_writers(p, o, "creators", &c->creators)) != LT_OK)
		return rc;
	c->lane = (enum lt_lane)lane;
	c->unit_rule = (enum lt_unit_rule)unit_rule;
	if ((c->creators & ~c->writers) != 0)
		return fail(
		    p, LT_E_INVALID, "\"creators\" names somebody who is not in \"writers\"");
	return LT_OK;
}

static int
parse_collection(struct parse *p, json_t *o, struct lt_collection *c)
{
	int rc;

	p->collection = NULL;
	if (!json_is_object(o))
		return fail(p, LT_E_INVALID, "a collection is not an object");
	if ((rc = parse_collection_head(p, o, c)) != LT_OK ||
	    (rc = parse_organs(p, o, c)) != LT_OK || (rc = parse_fields(p, o, c)) != LT_OK ||
	    (rc = parse_key(p, o, c)) != LT_OK || (rc = parse_checks(p, o, c)) != LT_OK ||
	    (rc = personal_agrees(p, o, c)) != LT_OK)
		return rc;
	return required_agrees(p, c);
}

/* ---- the whole ---- */

static const struct word org_kind_words[] = {
	{ "department", 0 },
	{ "province", 1 },
	{ "party", 2 },
	{ "other", 3 },
};

static int
parse_org(struct parse *p, json_t *o, struct lt_org *org)
{
	static const char *const known[] = { "id", "name_vi", "kind" };
	int rc, any;

	if (!json_is_object(o))
		return fail(p, LT_E_INVALID, "an organisation is not an object");
	if ((rc = members_known(p, o, known, COUNT(known))) != LT_OK ||
	    (rc = get_text(p, o, "id", LT_NAME_MAX, &org->id)) != LT_OK ||
	    (rc = get_text(p, o, "name_vi", TITLE_MAX, &org->name_vi)) != LT_OK ||
	    (rc = get_word(p, o, "kind", org_kind_words, COUNT(org_kind_words), &any)) != LT_OK ||
	    (rc = get_text(p, o, "kind", CODE_MAX, &org->kind)) != LT_OK)
		return rc;
	if (!lt_name_valid(org->id))
		return fail(p, LT_E_INVALID, "organisation \"%s\": the id is not of a-z, 0-9 and _",
		    org->id);
	if (lt_catalogue_org(p->cat, org->id) != NULL)
		return fail(p, LT_E_INVALID, "organisation \"%s\" stands twice", org->id);
	return LT_OK;
}

static int
parse_orgs(struct parse *p, const json_t *root)
{
	const json_t *list = json_object_get(root, "organisations");
	size_t n = json_array_size(list), i;
	int rc;

	if (!json_is_array(list) || n > LT_ORGS_MAX)
		return fail(
		    p, LT_E_INVALID, "\"organisations\" is not a list of at most %d", LT_ORGS_MAX);
	p->cat->org = lt_arena_alloc(&p->cat->arena, n * sizeof(*p->cat->org));
	if (p->cat->org == NULL)
		return no_memory(p);
	for (i = 0; i < n; i++) {
		rc = parse_org(p, json_array_get(list, i), &p->cat->org[i]);
		if (rc != LT_OK)
			return rc;
		p->cat->norg++;
	}
	return LT_OK;
}

static int
parse_head(struct parse *p, const json_t *root)
{
	const char *format = json_string_value(json_object_get(root, "format"));
	const json_t *version = json_object_get(root, "version");
	int64_t n = 0;
	int rc;

	if (format == NULL || strcmp(format, "lienthong-catalogue") != 0)
		return fail(p, LT_E_INVALID, "\"format\" is not lienthong-catalogue");
	if (!json_is_integer(version) || json_integer_value(version) != 2)
		return fail(p, LT_E_VERSION, "\"version\" is not 2, the format this program knows");
	rc = get_number(p, root, "default_max_len", 1, LT_VALUE_MAX, &n);
	p->default_max_len = (uint32_t)n;
	return rc;
}

/* collection.field: a key field of a collection that is there. */
static bool
reference_known(const struct lt_catalogue *cat, const char *ref)
{
	char id[LT_NAME_MAX + 1];
	const char *dot = strchr(ref, '.');
	const struct lt_collection *c;
	const struct lt_field *f;

	if (ref[0] == '\0' || strcmp(ref, "units") == 0 || strcmp(ref, "org") == 0)
		return true;
	if (dot == NULL || (size_t)(dot - ref) > LT_NAME_MAX)
		return false;
	snprintf(id, sizeof(id), "%.*s", (int)(dot - ref), ref);
	c = lt_catalogue_find(cat, id);
	f = c == NULL ? NULL : lt_collection_field(c, dot + 1);
	return f != NULL && f->in_key;
}

static int
check_references(struct parse *p, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		const struct lt_collection *c = &p->cat->collection[i];

		p->collection = c->id;
		for (k = 0; k < c->nfield; k++) {
			p->field = c->field[k].rule.name;
			if (!reference_known(p->cat, c->field[k].ref))
				return fail(p, LT_E_INVALID, "\"ref\" names no key field: \"%s\"",
				    c->field[k].ref);
		}
	}
	return LT_OK;
}

static int
parse_root(struct parse *p, const json_t *root, const json_t *cols)
{
	size_t n = json_array_size(cols), i;
	int rc;

	rc = parse_orgs(p, root);
	if (rc != LT_OK)
		return rc;
	for (i = 0; i < n; i++) {
		p->cat->ncollection = i + 1;
		rc = parse_collection(p, json_array_get(cols, i), &p->cat->collection[i]);
		if (rc != LT_OK)
			return rc;
	}
	p->collection = NULL;
	rc = lt_builtin_add(p->cat);
	if (rc != LT_OK)
		return no_memory(p);
	rc = lt_catalogue_seal(p->cat, p->err);
	if (rc != LT_OK)
		return rc == LT_E_EXISTS ? LT_E_INVALID : rc;
	return check_references(p, n);
}

int
lt_catalogue_parse(
    struct lt_slice json, uint64_t version, struct lt_catalogue **out, struct lt_err *err)
{
	struct parse p = { .err = err };
	json_t *root = NULL, *cols;
	int rc = lt_catalogue_json(json, &root, err);

	if (rc != LT_OK)
		return rc;
	rc = parse_head(&p, root);
	if (rc != LT_OK)
		goto out;
	cols = json_object_get(root, "collections");
	if (!json_is_array(cols) || json_array_size(cols) == 0 ||
	    json_array_size(cols) > LT_COLLECTIONS_MAX) {
		rc = fail(&p, LT_E_INVALID, "\"collections\" is not a list of 1 to %d",
		    LT_COLLECTIONS_MAX);
		goto out;
	}
	p.cat = lt_catalogue_new(version, json_array_size(cols));
	if (p.cat == NULL) {
		rc = lt_err_set(err, LT_E_NOMEM, "out of memory");
		goto out;
	}
	rc = parse_root(&p, root, cols);
	if (rc == LT_OK) {
		*out = p.cat;
		p.cat = NULL;
	}
out:
	lt_catalogue_unref(p.cat);
	json_decref(root);
	return rc;
}
