/* The catalogue as the other side has it, and values typed in as text. */
#include "proto/model/value.h"
#include "proto/store/catalogue_store.h"
#include "tools/ctl.h"

#include <stdlib.h>
#include <string.h>

/* Every part may be a value at its limit, and a page must fit a message. */
#define CATALOGUE_PAGE 15
#define CATALOGUE_PARTS_MAX 65536

/* ---- fetching the catalogue ---- */

struct part {
	uint64_t version;
	struct lt_catalogue_part part;
	int64_t count; /* the version's own record: how many collections; else -1 */
	struct lt_slice digest;
};

struct parts {
	size_t n, cap;
	struct part *part;
};

static const Ltpb__Value *
value_of(const Ltpb__Record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_field; i++)
		if (strcmp(r->field[i]->name, name) == 0)
			return r->field[i]->value;
	return NULL;
}

static int
take_part(struct lt_arena *arena, const Ltpb__Record *r, struct part *p)
{
	const Ltpb__Value *json = value_of(r, "json"), *count = value_of(r, "count"),
			  *digest = value_of(r, "digest");
	char *end, *text;

	memset(p, 0, sizeof(*p));
	p->count = -1;
	p->version = strtoull(r->key, &end, 10);
	if (json == NULL || json->v_case != LTPB__VALUE__V_TEXT || (*end != '\0' && *end != '/'))
		return LT_E_NOTFOUND;
	text = lt_arena_dup(arena, json->text, strlen(json->text));
	p->part.id = *end == '/' ? lt_arena_dup(arena, end + 1, strlen(end + 1)) : "";
	if (text == NULL || p->part.id == NULL)
		return LT_E_NOMEM;
	p->part.json = lt_slice_str(text);
	if (*end == '/')
		return LT_OK;
	if (count == NULL || count->v_case != LTPB__VALUE__V_INTEGER || digest == NULL ||
	    digest->v_case != LTPB__VALUE__V_BYTES || digest->bytes.len != LT_HASH_LEN)
		return LT_E_NOTFOUND;
	p->count = count->integer;
	p->digest = lt_slice(lt_arena_dup(arena, digest->bytes.data, LT_HASH_LEN), LT_HASH_LEN);
	return p->digest.data == NULL ? LT_E_NOMEM : LT_OK;
}

static int
add_page(struct lt_arena *arena, const Ltpb__ListReply *r, struct parts *all)
{
	struct part p;
	size_t i;
	int rc;

	for (i = 0; i < r->n_record; i++) {
		rc = take_part(arena, r->record[i], &p);
		if (rc == LT_E_NOTFOUND)
			continue;
		if (rc != LT_OK || all->n == CATALOGUE_PARTS_MAX)
			return LT_E_NOMEM;
		if (all->n == all->cap) {
			struct part *more = realloc(all->part, (all->cap * 2 + 64) * sizeof(*more));

			if (more == NULL)
				return LT_E_NOMEM;
			all->part = more;
			all->cap = all->cap * 2 + 64;
		}
		all->part[all->n++] = p;
	}
	return LT_OK;
}

static enum ctl_exit
fetch_parts(struct ctl *c, struct parts *all)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	char *unit = (char *)"_";
	ProtobufCMessage *m = NULL;
	enum ctl_exit code;
	int rc = LT_OK;

	req.collection = (char *)"_catalogue";
	req.n_unit = 1;
	req.unit = &unit;
	req.page_size = CATALOGUE_PAGE;
	do {
		const Ltpb__ListReply *r;

		code = ctl_call(c, &ltpb__query__descriptor, "List", &req.base, &m);
		if (code != CTL_DONE)
			return code;
		r = (const Ltpb__ListReply *)m;
		rc = add_page(&c->arena, r, all);
		req.page_token.len = r->next_page_token.len;
		req.page_token.data =
		    lt_arena_dup(&c->arena, r->next_page_token.data, r->next_page_token.len);
		if (req.page_token.data == NULL)
			rc = LT_E_NOMEM;
		ctl_reply_free(m);
	} while (rc == LT_OK && req.page_token.len != 0);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, NULL);
}

/* The version that this own record stands for, put together. LT_E_UNKNOWN: parts are missing or not those published. */
static int
assemble(struct ctl *c, const struct parts *all, const struct part *own, struct lt_err *err)
{
	struct lt_catalogue_part *list = lt_arena_alloc(&c->arena, (all->n + 1) * sizeof(*list));
	struct lt_hash digest;
	struct lt_buf json;
	size_t i, n = 0;
	int rc;

	if (list == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < all->n; i++)
		if (all->part[i].version == own->version)
			list[n++] = all->part[i].part;
	if (own->count < 0 || (uint64_t)own->count + 1 != n ||
	    lt_catalogue_digest(list, n, &digest) != LT_OK ||
	    memcmp(digest.b, own->digest.data, LT_HASH_LEN) != 0)
		return LT_E_UNKNOWN;
	lt_buf_init(&json, LT_CATALOGUE_BYTES_MAX);
	rc = lt_catalogue_join(list, n, &json, err);
	if (rc == LT_OK)
		rc = lt_catalogue_parse(lt_buf_slice(&json), own->version, &c->catalogue, err);
	lt_buf_fini(&json);
	return rc;
}

enum ctl_exit
ctl_catalogue(struct ctl *c)
{
	struct parts all = { 0 };
	struct lt_err err = { "" };
	const struct part *best;
	enum ctl_exit code;
	uint64_t below = UINT64_MAX;
	size_t i;
	int rc = LT_E_UNKNOWN;

	if (c->catalogue != NULL)
		return CTL_DONE;
	code = ctl_connect(c);
	if (code == CTL_DONE)
		code = fetch_parts(c, &all);
	while (code == CTL_DONE && rc == LT_E_UNKNOWN) {
		best = NULL;
		for (i = 0; i < all.n; i++)
			if (all.part[i].count >= 0 && all.part[i].version < below &&
			    (best == NULL || all.part[i].version > best->version))
				best = &all.part[i];
		if (best == NULL) {
			rc = lt_catalogue_builtin(&c->catalogue);
			break;
		}
		below = best->version;
		rc = assemble(c, &all, best, &err);
	}
	free(all.part);
	if (code == CTL_DONE && rc != LT_OK)
		code = ctl_error(rc, &err);
	return code;
}

const struct lt_collection *
ctl_collection(struct ctl *c, const char *id, enum ctl_exit *code)
{
	const struct lt_collection *col;

	*code = ctl_catalogue(c);
	if (*code != CTL_DONE)
		return NULL;
	col = lt_catalogue_find(c->catalogue, id);
	if (col != NULL)
		return col;
	if (lt_catalogue_version(c->catalogue) == 0)
		*code = ctl_fail(CTL_UNKNOWN,
		    T("the catalogue is not here yet; connect this machine to its hub once",
			"danh mục chưa có ở đây; hãy nối máy này với đầu mối một lần"));
	else
		*code = ctl_fail(CTL_USAGE,
		    T("the catalogue has no collection '%s'",
			"danh mục không có loại dữ liệu '%s'"),
		    id);
	return NULL;
}

/* ---- values ---- */

static const struct lt_field *
find_field(const struct lt_collection *col, const char *name, struct lt_err *err)
{
	const struct lt_field *f = lt_collection_field(col, name);

	if (f == NULL)
		(void)lt_err_set(err, LT_E_UNKNOWN,
		    T("%s has no field '%s'", "%s không có trường '%s'"), col->id, name);
	return f;
}

/* The words of the value's parser, with the field's name before them. */
static int
parse_value(const struct lt_field *f, const char *text, struct lt_arena *arena, Ltpb__Value **out,
    struct lt_err *err)
{
	struct lt_err why = { "" };
	int rc = lt_value_parse(f->rule.type, f->scale, lt_slice_str(text), arena, out, &why);

	return rc == LT_OK ? rc
			   : lt_err_set(err, rc, "%s: %s", f->rule.name,
				 why.text[0] != '\0' ? why.text : lt_strerror(rc));
}

int
ctl_assignment(const struct lt_collection *col, const char *text, struct lt_arena *arena,
    Ltpb__FieldSet **out, struct lt_err *err)
{
	const char *eq = strchr(text, '=');
	const struct lt_field *f;
	Ltpb__FieldSet *fs;
	char *name;

	if (eq == NULL || eq == text)
		return lt_err_set(err, LT_E_USAGE,
		    T("'%s' is not FIELD=VALUE", "'%s' không phải TRƯỜNG=GIÁ TRỊ"), text);
	if (eq[1] == '\0')
		return lt_err_set(err, LT_E_USAGE,
		    T("'%s' has no value; to take a value away use --clear",
			"'%s' không có giá trị; muốn bỏ giá trị hãy dùng --clear"),
		    text);
	name = lt_arena_dup(arena, text, (size_t)(eq - text));
	fs = lt_arena_alloc(arena, sizeof(*fs));
	if (name == NULL || fs == NULL)
		return lt_err_set(err, LT_E_NOMEM, "%s", lt_strerror(LT_E_NOMEM));
	f = find_field(col, name, err);
	if (f == NULL)
		return LT_E_UNKNOWN;
	ltpb__field_set__init(fs);
	fs->name = name;
	*out = fs;
	return parse_value(f, eq + 1, arena, &fs->value, err);
}

/* ---- filters ---- */

static const struct filter_word {
	const char *word;
	Ltpb__FilterOp op;
	bool has_value;
	bool is_word; /* must be set off by blanks */
} operators[] = {
	{ "!=", LTPB__FILTER_OP__FILTER_OP_NE, true, false },
	{ "<=", LTPB__FILTER_OP__FILTER_OP_LE, true, false },
	{ ">=", LTPB__FILTER_OP__FILTER_OP_GE, true, false },
	{ "==", LTPB__FILTER_OP__FILTER_OP_EQ, true, false },
	{ "=", LTPB__FILTER_OP__FILTER_OP_EQ, true, false },
	{ "<", LTPB__FILTER_OP__FILTER_OP_LT, true, false },
	{ ">", LTPB__FILTER_OP__FILTER_OP_GT, true, false },
	{ "prefix", LTPB__FILTER_OP__FILTER_OP_PREFIX, true, true },
	{ "in", LTPB__FILTER_OP__FILTER_OP_IN, true, true },
	{ "is-null", LTPB__FILTER_OP__FILTER_OP_IS_NULL, false, true },
	{ "not-null", LTPB__FILTER_OP__FILTER_OP_NOT_NULL, false, true },
};

static const struct filter_word *
find_operator(const char *s, const char **rest)
{
	size_t i, n;

	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		n = strlen(operators[i].word);
		if (strncmp(s, operators[i].word, n) != 0)
			continue;
		if (operators[i].is_word && s[n] != ' ' && s[n] != '\0')
			continue;
		*rest = s + n + strspn(s + n, " ");
		return &operators[i];
	}
	return NULL;
}

char **
ctl_split(struct lt_arena *arena, const char *text, size_t *n)
{
	size_t len = strlen(text), i, count = 1;
	char *copy = lt_arena_dup(arena, text, len), **item;

	for (i = 0; i < len; i++)
		count += text[i] == ',';
	item = lt_arena_alloc(arena, count * sizeof(*item));
	if (copy == NULL || item == NULL)
		return NULL;
	*n = 0;
	item[(*n)++] = copy;
	for (i = 0; i < len; i++)
		if (copy[i] == ',') {
			copy[i] = '\0';
			item[(*n)++] = copy + i + 1;
		}
	return item;
}

/* f NULL: the unit or the key. Of a list single codes are compared. */
static int
filter_value(const struct lt_field *f, const char *text, int32_t today, struct lt_arena *arena,
    Ltpb__Value **out, struct lt_err *err)
{
	if (f != NULL && f->rule.type == LT_TYPE_DATE && strcmp(text, "today") == 0) {
		*out = lt_arena_alloc(arena, sizeof(**out));
		if (*out == NULL)
			return lt_err_set(err, LT_E_NOMEM, "%s", lt_strerror(LT_E_NOMEM));
		ltpb__value__init(*out);
		(*out)->v_case = LTPB__VALUE__V_DATE;
		(*out)->date = today;
		return LT_OK;
	}
	if (f == NULL || f->rule.type == LT_TYPE_SET)
		return lt_value_parse(LT_TYPE_TEXT, 0, lt_slice_str(text), arena, out, err);
	return parse_value(f, text, arena, out, err);
}

static int
filter_values(const struct lt_field *f, Ltpb__Filter *filter, const char *text, int32_t today,
    struct lt_arena *arena, struct lt_err *err)
{
	size_t n = 1, i;
	char **item;
	int rc = LT_OK;

	if (filter->op == LTPB__FILTER_OP__FILTER_OP_IN) {
		item = ctl_split(arena, text, &n);
	} else {
		item = lt_arena_alloc(arena, sizeof(*item));
		if (item != NULL)
			item[0] = (char *)text;
	}
	filter->value = lt_arena_alloc(arena, n * sizeof(*filter->value));
	if (item == NULL || filter->value == NULL)
		return lt_err_set(err, LT_E_NOMEM, "%s", lt_strerror(LT_E_NOMEM));
	for (i = 0; rc == LT_OK && i < n; i++)
		rc = filter_value(f, item[i], today, arena, &filter->value[i], err);
	filter->n_value = n;
	return rc;
}

int
ctl_filter(const struct lt_collection *col, const char *text, int32_t today, struct lt_arena *arena,
    Ltpb__Filter **out, struct lt_err *err)
{
	const char *start = text + strspn(text, " "), *rest = NULL;
	size_t n = strspn(start, "abcdefghijklmnopqrstuvwxyz0123456789_");
	const struct filter_word *op = find_operator(start + n + strspn(start + n, " "), &rest);
	const struct lt_field *f = NULL;
	Ltpb__Filter *filter = lt_arena_alloc(arena, sizeof(*filter));
	char *name = lt_arena_dup(arena, start, n);

	if (filter == NULL || name == NULL)
		return lt_err_set(err, LT_E_NOMEM, "%s", lt_strerror(LT_E_NOMEM));
	if (n == 0 || op == NULL || (op->is_word && start[n] != ' ') ||
	    op->has_value != (rest[0] != '\0'))
		return lt_err_set(err, LT_E_USAGE,
		    T("'%s' is not FIELD OP VALUE; OP is one of = != < <= > >= prefix in is-null "
		      "not-null",
			"'%s' không phải TRƯỜNG PHÉP GIÁ TRỊ; PHÉP là một trong = != < <= > >= "
			"prefix in is-null not-null"),
		    text);
	if (strcmp(name, "_unit") != 0 && strcmp(name, "_key") != 0) {
		f = find_field(col, name, err);
		if (f == NULL)
			return LT_E_UNKNOWN;
	}
	ltpb__filter__init(filter);
	filter->field = name;
	filter->op = op->op;
	*out = filter;
	return op->has_value ? filter_values(f, filter, rest, today, arena, err) : LT_OK;
}

enum ctl_exit
ctl_filters(struct ctl *c, const struct lt_collection *col, const struct ctl_list *where,
    Ltpb__Filter ***out)
{
	int32_t today = lt_days_vietnam(lt_wall_ms(lt_clock_system()));
	struct lt_err err = { "" };
	size_t i;

	*out = lt_arena_alloc(&c->arena, (where->n + 1) * sizeof(**out));
	if (*out == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	for (i = 0; i < where->n; i++)
		if (ctl_filter(col, where->item[i], today, &c->arena, &(*out)[i], &err) != LT_OK)
			return ctl_fail(CTL_USAGE, "%s", ctl_said(LT_E_INVALID, &err));
	return CTL_DONE;
}

void
ctl_default_unit(const struct ctl *c, const struct lt_collection *col, struct ctl_list *units)
{
	if (units->n == 0 && c->id->role == LTPB__ROLE__ROLE_NODE && col->has_unit_field &&
	    col->unit_rule == LT_UNIT_COMMUNE)
		units->item[units->n++] = ctl_own_unit(c);
}

Ltpb__FieldSet *
ctl_field_dup(const Ltpb__FieldSet *fs, struct lt_arena *arena)
{
	Ltpb__FieldSet *copy = lt_arena_alloc(arena, sizeof(*copy));

	if (copy == NULL)
		return NULL;
	ltpb__field_set__init(copy);
	copy->name = lt_arena_dup(arena, fs->name, strlen(fs->name));
	copy->value = fs->value != NULL ? lt_value_dup(fs->value, arena) : NULL;
	return copy->name == NULL || (fs->value != NULL && copy->value == NULL) ? NULL : copy;
}
