/* Filters: reading them, and whether a value passes. */
#include "proto/store/query_impl.h"

#include "proto/model/value.h"

/* How many values each operator takes. */
static bool
count_fits(Ltpb__FilterOp op, size_t n)
{
	switch (op) {
	case LTPB__FILTER_OP__FILTER_OP_EQ:
	case LTPB__FILTER_OP__FILTER_OP_NE:
	case LTPB__FILTER_OP__FILTER_OP_LT:
	case LTPB__FILTER_OP__FILTER_OP_LE:
	case LTPB__FILTER_OP__FILTER_OP_GT:
	case LTPB__FILTER_OP__FILTER_OP_GE:
	case LTPB__FILTER_OP__FILTER_OP_PREFIX:
		return n == 1;
	case LTPB__FILTER_OP__FILTER_OP_IN:
		return n >= 1 && n <= LT_IN_MAX;
	case LTPB__FILTER_OP__FILTER_OP_IS_NULL:
	case LTPB__FILTER_OP__FILTER_OP_NOT_NULL:
		return n == 0;
	case LTPB__FILTER_OP__FILTER_OP_UNSPECIFIED:
	case _LTPB__FILTER_OP_IS_INT_SIZE:
		break;
	}
	return false;
}

static bool
is_order(Ltpb__FilterOp op)
{
	return op == LTPB__FILTER_OP__FILTER_OP_LT || op == LTPB__FILTER_OP__FILTER_OP_LE ||
	       op == LTPB__FILTER_OP__FILTER_OP_GT || op == LTPB__FILTER_OP__FILTER_OP_GE;
}

static bool
has_prefix(enum lt_type type)
{
	return type == LT_TYPE_TEXT || type == LT_TYPE_ENUM || type == LT_TYPE_SET ||
	       type == LT_TYPE_BYTES;
}

static const char *
plain_text(const Ltpb__Value *v)
{
	if (v->v_case == LTPB__VALUE__V_TEXT)
		return v->text;
	return v->v_case == LTPB__VALUE__V_ENUMERATION ? v->enumeration : NULL;
}

/* Any text for a textual field, in form NFC, so that it can be found. */
static int
read_text(struct lt_scope *s, const struct lt_qfield *f, const char *text, const Ltpb__Value **out,
    struct lt_err *err)
{
	/* Of a set the single codes are compared. */
	enum lt_type type = f->type == LT_TYPE_SET ? LT_TYPE_TEXT : f->type;
	struct lt_err why = { "" };
	Ltpb__Value *v;
	int rc = lt_value_parse(type, f->scale, lt_slice_str(text), s->q->arena, &v, &why);

	if (rc == LT_E_NOMEM)
		return lt_nomem(err);
	if (rc != LT_OK)
		return lt_err_set(err, LT_E_INVALID, "the filter on \"%s\": %s", f->name, why.text);
	*out = v;
	return LT_OK;
}

static int
read_value(struct lt_scope *s, const struct lt_qfield *f, const Ltpb__Value *given,
    const Ltpb__Value **out, struct lt_err *err)
{
	struct lt_err why = { "" };
	enum lt_type type;

	if (given != NULL && plain_text(given) != NULL)
		return read_text(s, f, plain_text(given), out, err);
	if (given == NULL || lt_value_check(given, &why) != LT_OK || !lt_value_type(given, &type))
		return lt_err_set(err, LT_E_INVALID, "the filter on \"%s\": %s", f->name,
		    why.text[0] != '\0' ? why.text : "no value");
	if (type != f->type || type == LT_TYPE_SET)
		return lt_err_set(
		    err, LT_E_INVALID, "the filter on \"%s\" has a value of another type", f->name);
	*out = given;
	return LT_OK;
}

static int
check_op(const struct lt_test *t, struct lt_err *err)
{
	if (!count_fits(t->op, t->nvalue))
		return lt_err_set(err, LT_E_INVALID,
		    "the filter on \"%s\" has an unknown operator or %zu values", t->field.name,
		    t->nvalue);
	if (is_order(t->op) && t->field.type == LT_TYPE_SET)
		return lt_err_set(err, LT_E_INVALID,
		    "\"%s\" is a list of codes, which has no order", t->field.name);
	if (t->op == LTPB__FILTER_OP__FILTER_OP_PREFIX && !has_prefix(t->field.type))
		return lt_err_set(
		    err, LT_E_INVALID, "\"%s\" is no text and has no prefix", t->field.name);
	return LT_OK;
}

static int
test_make(struct lt_scope *s, const Ltpb__Filter *f, struct lt_test *t, struct lt_err *err)
{
	size_t i;
	int rc = lt_qfield_find(s->col, f->field, &t->field, err);

	if (rc == LT_OK)
		rc = lt_scope_use(s, &t->field, err);
	t->op = f->op;
	t->nvalue = f->n_value;
	if (rc == LT_OK)
		rc = check_op(t, err);
	if (rc != LT_OK)
		return rc;
	t->value = lt_arena_alloc(s->q->arena, (t->nvalue + 1) * sizeof(*t->value));
	if (t->value == NULL)
		return lt_nomem(err);
	for (i = 0; rc == LT_OK && i < t->nvalue; i++)
		rc = read_value(s, &t->field, f->value[i], &t->value[i], err);
	return rc;
}

int
lt_tests_make(struct lt_scope *s, Ltpb__Filter *const *filter, size_t n, struct lt_test **out,
    struct lt_err *err)
{
	size_t i;
	int rc = LT_OK;

	if (n > LT_FILTERS_MAX)
		return lt_err_set(err, LT_E_INVALID, "more than %d filters", LT_FILTERS_MAX);
	*out = lt_arena_alloc(s->q->arena, (n + 1) * sizeof(**out));
	if (*out == NULL)
		return lt_nomem(err);
	for (i = 0; rc == LT_OK && i < n; i++)
		rc = test_make(s, filter[i], &(*out)[i], err);
	return rc;
}

/* ---- holding ---- */

static bool
begins(struct lt_slice s, struct lt_slice with)
{
	return s.len >= with.len && (with.len == 0 || memcmp(s.data, with.data, with.len) == 0);
}

static bool
value_begins(const Ltpb__Value *v, const Ltpb__Value *with)
{
	const char *a = plain_text(v), *b = plain_text(with);

	if (a != NULL && b != NULL)
		return begins(lt_slice_str(a), lt_slice_str(b));
	return v->v_case == LTPB__VALUE__V_BYTES && with->v_case == LTPB__VALUE__V_BYTES &&
	       begins(lt_slice(v->bytes.data, v->bytes.len),
		   lt_slice(with->bytes.data, with->bytes.len));
}

static bool
scalar_holds(const struct lt_test *t, const Ltpb__Value *v)
{
	size_t i;
	int c;

	if (t->op == LTPB__FILTER_OP__FILTER_OP_PREFIX)
		return value_begins(v, t->value[0]);
	if (t->op == LTPB__FILTER_OP__FILTER_OP_IN) {
		for (i = 0; i < t->nvalue; i++) {
			if (lt_value_eq(v, t->value[i]))
				return true;
		}
		return false;
	}
	/* A value of another type (from before the catalogue changed) compares with nothing. */
	if (v->v_case != t->value[0]->v_case)
		return false;
	c = lt_value_cmp(v, t->value[0]);
	switch (t->op) {
	case LTPB__FILTER_OP__FILTER_OP_EQ:
		return c == 0;
	case LTPB__FILTER_OP__FILTER_OP_NE:
		return c != 0;
	case LTPB__FILTER_OP__FILTER_OP_LT:
		return c < 0;
	case LTPB__FILTER_OP__FILTER_OP_LE:
		return c <= 0;
	case LTPB__FILTER_OP__FILTER_OP_GT:
		return c > 0;
	case LTPB__FILTER_OP__FILTER_OP_GE:
		return c >= 0;
	default:
		return false;
	}
}

static bool
set_has(const Ltpb__TextSet *set, const char *code, bool prefix)
{
	size_t i;

	for (i = 0; i < set->n_item; i++) {
		if (prefix ? strncmp(set->item[i], code, strlen(code)) == 0
			   : strcmp(set->item[i], code) == 0)
			return true;
	}
	return false;
}

static bool
set_holds(const struct lt_test *t, const Ltpb__Value *v)
{
	bool prefix = t->op == LTPB__FILTER_OP__FILTER_OP_PREFIX, any = false;
	size_t i;

	if (v->v_case != LTPB__VALUE__V_SET)
		return false;
	for (i = 0; !any && i < t->nvalue; i++)
		any = set_has(v->set, plain_text(t->value[i]), prefix);
	return t->op == LTPB__FILTER_OP__FILTER_OP_NE ? !any : any;
}

bool
lt_test_holds(const struct lt_test *t, const Ltpb__Value *v, bool withheld)
{
	bool is_set = v != NULL || withheld;

	if (t->op == LTPB__FILTER_OP__FILTER_OP_IS_NULL)
		return !is_set;
	if (t->op == LTPB__FILTER_OP__FILTER_OP_NOT_NULL)
		return is_set;
	if (v == NULL)
		return false;
	return t->field.type == LT_TYPE_SET ? set_holds(t, v) : scalar_holds(t, v);
}
