#include "proto/model/validate_impl.h"

#include "proto/base/limits.h"
#include "proto/model/value.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* The write being judged. */
struct write {
	const struct lt_collection *col;
	const struct lt_shown *shown;
	const Ltpb__FieldSet *const *set;
	size_t nset;
	const char *const *cleared;
	size_t ncleared;
};

static int
refuse(struct lt_violation *v, Ltpb__ReasonCode reason, const char *rule, const struct lt_field *f,
    const char *en, const char *vi)
{
	struct lt_complaint c = { reason, rule, f == NULL ? "" : f->rule.name, f, NULL, en, vi,
		NULL };

	return lt_refuse(v, &c);
}

static const Ltpb__Value *
value_set(const struct write *w, const char *name)
{
	size_t i;

	for (i = 0; i < w->nset; i++)
		if (strcmp(w->set[i]->name, name) == 0)
			return w->set[i]->value;
	return NULL;
}

static const struct lt_shown_field *
field_shown(const struct write *w, const char *name)
{
	size_t i;

	for (i = 0; w->shown->exists && i < w->shown->nfield; i++)
		if (strcmp(w->shown->field[i].name, name) == 0)
			return &w->shown->field[i];
	return NULL;
}

static bool
is_cleared(const struct write *w, const char *name)
{
	size_t i;

	for (i = 0; i < w->ncleared; i++)
		if (strcmp(w->cleared[i], name) == 0)
			return true;
	return false;
}

static bool
is_empty(const Ltpb__Value *v)
{
	return v == NULL || v->v_case == LTPB__VALUE__V__NOT_SET ||
	       (v->v_case == LTPB__VALUE__V_TEXT && v->text[0] == '\0') ||
	       (v->v_case == LTPB__VALUE__V_SET && v->set->n_item == 0);
}

static int
check_writer(const struct write *w, unsigned writer, bool is_delete, struct lt_violation *v)
{
	bool creates = !w->shown->exists && !is_delete;

	if ((w->col->writers & writer) == 0)
		return refuse(v, LTPB__REASON_CODE__REASON_AUTHORITY, "writers", NULL,
		    "records of this collection are written by others",
		    "loại hồ sơ này do đơn vị khác ghi");
	if (creates && (w->col->creators & writer) == 0)
		return refuse(v, LTPB__REASON_CODE__REASON_AUTHORITY, "creators", NULL,
		    "new records of this collection are made by others",
		    "hồ sơ mới loại này do đơn vị khác lập");
	if (w->col->immutable && w->shown->exists && (is_delete || w->nset + w->ncleared > 0))
		return refuse(v, LTPB__REASON_CODE__REASON_IMMUTABLE, "immutable", NULL,
		    "a record of this collection is not changed; a correction is a new record",
		    "hồ sơ loại này không được sửa hay xóa; muốn đính chính hãy lập hồ sơ mới");
	return LT_OK;
}

static int
check_required(const struct write *w, struct lt_violation *v)
{
	size_t i;

	for (i = 0; i < w->col->nfield; i++) {
		const struct lt_field *f = &w->col->field[i];
		const Ltpb__Value *value;

		if (!f->required || f->in_key || f->is_unit)
			continue;
		value = value_set(w, f->rule.name);
		if (value == NULL ? !w->shown->exists || is_cleared(w, f->rule.name)
				  : is_empty(value))
			return refuse(v, LTPB__REASON_CODE__REASON_REQUIRED, "required", f,
			    "a required field has no value", "trường bắt buộc chưa có giá trị");
	}
	return LT_OK;
}

static bool
may_follow(const struct lt_field *f, const char *from, const char *to)
{
	size_t i, k;

	for (i = 0; i < f->ntransition; i++) {
		const struct lt_transition *t = &f->transition[i];

		if (strcmp(t->from, from) != 0)
			continue;
		for (k = 0; k < t->nto; k++)
			if (strcmp(t->to[k], to) == 0)
				return true;
		return false;
	}
	/* nothing is said of this value */
	return true;
}

static int
check_transition(
    const struct write *w, const struct lt_field *f, const Ltpb__Value *to, struct lt_violation *v)
{
	const struct lt_shown_field *now = field_shown(w, f->rule.name);
	char from[LT_NAME_MAX + 8];

	if (now == NULL || now->value == NULL || now->value->v_case != LTPB__VALUE__V_ENUMERATION ||
	    to == NULL || to->v_case != LTPB__VALUE__V_ENUMERATION ||
	    strcmp(now->value->enumeration, to->enumeration) == 0 ||
	    may_follow(f, now->value->enumeration, to->enumeration))
		return LT_OK;
	snprintf(from, sizeof(from), "\"%s\"", now->value->enumeration);
	return lt_refuse_value(v, LTPB__REASON_CODE__REASON_TRANSITION, "transition", f, to,
	    "cannot follow", "không được đặt sau",
	    f->rule.personal == LT_PERSONAL_NONE ? from : NULL);
}

static int
check_transitions(const struct write *w, struct lt_violation *v)
{
	size_t i;
	int rc;

	for (i = 0; i < w->nset; i++) {
		const struct lt_field *f = lt_collection_field(w->col, w->set[i]->name);

		if (f == NULL || f->ntransition == 0)
			continue;
		rc = check_transition(w, f, w->set[i]->value, v);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}

/* The value after the write; NULL when there is none or it cannot be known here. */
static const Ltpb__Value *
value_after(const struct write *w, const char *name)
{
	const Ltpb__Value *value = value_set(w, name);
	const struct lt_shown_field *now;

	if (value != NULL || is_cleared(w, name))
		return value;
	now = field_shown(w, name);
	return now == NULL ? NULL : now->value;
}

/* An exact sum of decimals of any scale, in two parts: at 18 digits after the point 64 summands of 64 bits
 * would not fit into 128. */
struct sum {
	__int128 whole;
	__int128 rest; /* units of 10^-18, 0 <= rest < 10^18 after normalise() */
};

#define UNIT_18 INT64_C(1000000000000000000)

static void
normalise(struct sum *s)
{
	__int128 carry = s->rest / UNIT_18;

	s->rest -= carry * UNIT_18;
	if (s->rest < 0) {
		s->rest += UNIT_18;
		carry--;
	}
	s->whole += carry;
}

static bool
add_number(struct sum *s, const Ltpb__Value *value)
{
	int64_t unit = 1, k;
	uint32_t i;

	switch (value->v_case) {
	case LTPB__VALUE__V_INTEGER:
		s->whole += value->integer;
		return true;
	case LTPB__VALUE__V_DATE:
		s->whole += value->date;
		return true;
	case LTPB__VALUE__V_TIMESTAMP:
		s->whole += value->timestamp;
		return true;
	case LTPB__VALUE__V_DECIMAL:
		if (value->decimal->scale > LT_DECIMAL_SCALE_MAX)
			return false;
		for (i = 0; i < value->decimal->scale; i++)
			unit *= 10;
		s->whole += value->decimal->unscaled / unit;
		k = value->decimal->unscaled % unit;
		s->rest += (__int128)k * (UNIT_18 / unit);
		normalise(s);
		return true;
	default:
		return false;
	}
}

/* False when a value is missing. *written: one of the fields is being set. */
static bool
sum_side(const struct write *w, const char *const *names, size_t n, struct sum *s, bool *written)
{
	size_t i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < n; i++) {
		const Ltpb__Value *value = value_after(w, names[i]);

		if (value == NULL || !add_number(s, value))
			return false;
		*written = *written || value_set(w, names[i]) != NULL;
	}
	return true;
}

static bool
compare(const struct sum *a, const char *op, const struct sum *b)
{
	int c = a->whole != b->whole ? (a->whole > b->whole ? 1 : -1)
				     : (a->rest > b->rest) - (a->rest < b->rest);

	if (strcmp(op, "=") == 0)
		return c == 0;
	if (strcmp(op, "<=") == 0)
		return c <= 0;
	if (strcmp(op, ">=") == 0)
		return c >= 0;
	return strcmp(op, "<") == 0 ? c < 0 : c > 0;
}

static void
put_side(const struct write *w, struct lt_buf *b, const char *const *names, size_t n, bool titles)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const struct lt_field *f = lt_collection_field(w->col, names[i]);

		lt_buf_printf(b, i == 0 ? "%s" : " + %s", titles ? f->title_vi : names[i]);
	}
}

/* "received_online <= received", in names or in Vietnamese titles. */
static void
put_rule(const struct write *w, struct lt_buf *b, const struct lt_check_sum *s, bool titles)
{
	lt_buf_str(b, titles ? "phải có: " : "must hold: ");
	put_side(w, b, s->left, s->nleft, titles);
	lt_buf_printf(b, " %s ", s->op);
	put_side(w, b, s->right, s->nright, titles);
	lt_buf_u8(b, 0);
}

static int
refuse_check(const struct write *w, const struct lt_check_sum *s, struct lt_violation *v)
{
	struct lt_buf en, vi;
	int rc;

	lt_buf_init(&en, 0);
	lt_buf_init(&vi, 0);
	put_rule(w, &en, s, false);
	put_rule(w, &vi, s, true);
	if (en.err == LT_OK && vi.err == LT_OK)
		rc = refuse(v, LTPB__REASON_CODE__REASON_CHECK, "check",
		    lt_collection_field(w->col, s->left[0]), (const char *)en.data,
		    (const char *)vi.data);
	else
		rc = LT_E_NOMEM;
	lt_buf_fini(&en);
	lt_buf_fini(&vi);
	return rc;
}

static int
check_sums(const struct write *w, struct lt_violation *v)
{
	size_t i;

	for (i = 0; i < w->col->ncheck; i++) {
		const struct lt_check_sum *s = &w->col->check[i];
		struct sum left, right;
		bool written = false;

		if (!sum_side(w, s->left, s->nleft, &left, &written) ||
		    !sum_side(w, s->right, s->nright, &right, &written))
			continue;
		if (written && !compare(&left, s->op, &right))
			return refuse_check(w, s, v);
	}
	return LT_OK;
}

int
lt_write_check_against(const struct lt_collection *col, const struct lt_shown *shown,
    const Ltpb__FieldSet *const *set, size_t nset, const char *const *cleared, size_t ncleared,
    struct lt_violation *v)
{
	struct write w = { col, shown, set, nset, cleared, ncleared };
	int rc = check_transitions(&w, v);

	return rc == LT_OK ? check_sums(&w, v) : rc;
}

int
lt_write_check(const struct lt_collection *col, unsigned writer, const struct lt_shown *shown,
    const Ltpb__FieldSet *const *set, size_t nset, const char *const *cleared, size_t ncleared,
    bool is_delete, struct lt_violation *v)
{
	struct write w = { col, shown, set, nset, cleared, ncleared };
	int rc;

	assert(writer != 0);
	rc = check_writer(&w, writer, is_delete, v);
	if (rc != LT_OK || is_delete)
		return rc;
	rc = check_required(&w, v);
	return rc == LT_OK ? lt_write_check_against(col, shown, set, nset, cleared, ncleared, v)
			   : rc;
}
