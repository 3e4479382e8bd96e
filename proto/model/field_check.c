#include "proto/model/validate_impl.h"

#include "proto/base/limits.h"
#include "proto/base/text.h"
#include "proto/model/value.h"

#include <stdio.h>
#include <string.h>

/* The text form of any number, date or decimal, with its NUL. */
#define FORM_MAX 48

static const char *
type_name(enum lt_type t, bool vi)
{
	static const char *const en[] = { "text", "a whole number", "a decimal number",
		"true or false", "a date", "a point in time", "bytes", "one of the listed values",
		"a list of codes" };
	static const char *const viet[] = { "văn bản", "số nguyên", "số thập phân", "đúng hoặc sai",
		"ngày", "thời điểm", "dãy byte", "một giá trị trong danh sách", "danh sách mã" };

	return vi ? viet[t] : en[t];
}

static int
wrong_type(const struct lt_field *f, struct lt_violation *v)
{
	char en[64], vi[96];
	struct lt_complaint c = { LTPB__REASON_CODE__REASON_WRONG_TYPE, "type", f->rule.name, f,
		NULL, en, vi, NULL };

	snprintf(en, sizeof(en), "is not %s", type_name(f->rule.type, false));
	snprintf(vi, sizeof(vi), "không phải là %s", type_name(f->rule.type, true));
	return lt_refuse(v, &c);
}

/* Text form of a number, date or decimal into a small buffer. */
static void
form(const Ltpb__Value *value, char out[FORM_MAX])
{
	struct lt_buf b;
	size_t n;

	lt_buf_init(&b, FORM_MAX - 1);
	lt_value_text(value, &b);
	n = b.err == LT_OK ? b.len : 0;
	if (n > 0)
		memcpy(out, b.data, n);
	out[n] = '\0';
	lt_buf_fini(&b);
}

static void
bound_form(const struct lt_field *f, int64_t bound, char out[FORM_MAX])
{
	Ltpb__Decimal d = LTPB__DECIMAL__INIT;
	Ltpb__Value value = LTPB__VALUE__INIT;

	if (f->rule.type == LT_TYPE_DATE) {
		value.v_case = LTPB__VALUE__V_DATE;
		value.date = (int32_t)bound;
	} else if (f->rule.type == LT_TYPE_DECIMAL) {
		value.v_case = LTPB__VALUE__V_DECIMAL;
		value.decimal = &d;
		d.unscaled = bound;
		d.scale = f->scale;
	} else {
		value.v_case = LTPB__VALUE__V_INTEGER;
		value.integer = bound;
	}
	form(&value, out);
}

static int
check_range(const struct lt_field *f, const Ltpb__Value *value, int64_t n, struct lt_violation *v)
{
	char bound[FORM_MAX];

	if (f->has_min && n < f->min) {
		bound_form(f, f->min, bound);
		return lt_refuse_value(v, LTPB__REASON_CODE__REASON_RANGE, "min", f, value,
		    "is below", "nhỏ hơn", bound);
	}
	if (f->has_max && n > f->max) {
		bound_form(f, f->max, bound);
		return lt_refuse_value(v, LTPB__REASON_CODE__REASON_RANGE, "max", f, value,
		    "is above", "lớn hơn", bound);
	}
	return LT_OK;
}

static int
check_pattern(
    const struct lt_field *f, const Ltpb__Value *value, const char *text, struct lt_violation *v)
{
	if (lt_field_matches(f, text))
		return LT_OK;
	return lt_refuse_value(v, LTPB__REASON_CODE__REASON_PATTERN, "pattern", f, value,
	    "does not have the form", "không đúng mẫu", f->pattern);
}

static int
too_long(const struct lt_field *f, const Ltpb__Value *value, struct lt_violation *v)
{
	char limit[32];

	snprintf(limit, sizeof(limit), "%u byte", f->max_len);
	return lt_refuse_value(v, LTPB__REASON_CODE__REASON_TOO_LONG, "max_len", f, value,
	    "is longer than the limit of", "dài quá", limit);
}

static int
check_number(const struct lt_field *f, const Ltpb__Value *value, int64_t n, struct lt_violation *v)
{
	char text[FORM_MAX];
	int rc = check_range(f, value, n, v);

	if (rc != LT_OK || !f->has_pattern)
		return rc;
	form(value, text);
	return check_pattern(f, value, text, v);
}

/* At the field's scale; what has more digits, or does not fit then, is refused. */
static int
check_decimal(const struct lt_field *f, const Ltpb__Value *value, struct lt_violation *v)
{
	int64_t n = value->decimal->unscaled;
	uint32_t scale = value->decimal->scale;
	char digits[16];

	if (scale > f->scale) {
		snprintf(digits, sizeof(digits), "%u", f->scale);
		return lt_refuse_value(v, LTPB__REASON_CODE__REASON_RANGE, "scale", f, value,
		    "has more digits after the point than", "có nhiều chữ số thập phân hơn",
		    digits);
	}
	for (; scale < f->scale; scale++)
		if (__builtin_mul_overflow(n, INT64_C(10), &n))
			return lt_refuse_value(v, LTPB__REASON_CODE__REASON_RANGE, "range", f,
			    value, "is too large", "quá lớn", NULL);
	return check_range(f, value, n, v);
}

static int
check_enum(const struct lt_field *f, const Ltpb__Value *value, struct lt_violation *v)
{
	struct lt_buf b;
	size_t i;
	int rc;

	for (i = 0; i < f->nvalue; i++)
		if (strcmp(f->value[i], value->enumeration) == 0)
			return check_pattern(f, value, value->enumeration, v);
	lt_buf_init(&b, 0);
	for (i = 0; i < f->nvalue; i++)
		lt_buf_printf(&b, i == 0 ? "%s" : ", %s", f->value[i]);
	lt_buf_u8(&b, 0);
	rc = lt_refuse_value(v, LTPB__REASON_CODE__REASON_ENUM, "enum", f, value, "is not one of",
	    "không thuộc các giá trị", b.err == LT_OK ? (const char *)b.data : NULL);
	lt_buf_fini(&b);
	return rc;
}

static bool
code_valid(const struct lt_field *f, const char *s)
{
	if (f->wildcard && strcmp(s, "*") == 0)
		return true;
	for (; *s != '\0'; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			(*s >= '0' && *s <= '9') || strchr("._:-", *s) != NULL))
			return false;
	return true;
}

static int
check_set(const struct lt_field *f, const Ltpb__Value *value, struct lt_violation *v)
{
	size_t i, len = 0;

	for (i = 0; i < value->set->n_item; i++) {
		len += strlen(value->set->item[i]) + (i > 0);
		if (!code_valid(f, value->set->item[i]))
			return lt_refuse_value(v, LTPB__REASON_CODE__REASON_SET, "list_separator",
			    f, value, "has a code with other characters than A-Z a-z 0-9 . _ : -",
			    "có mã chứa ký tự ngoài A-Z a-z 0-9 . _ : -", NULL);
	}
	return len > f->max_len ? too_long(f, value, v) : LT_OK;
}

int
lt_field_check_decoded(const struct lt_field *f, const Ltpb__Value *value, struct lt_violation *v)
{
	enum lt_type type;

	if (!lt_value_type(value, &type) || type != f->rule.type)
		return wrong_type(f, v);
	switch (type) {
	case LT_TYPE_TEXT:
		if (strlen(value->text) > f->max_len)
			return too_long(f, value, v);
		return check_pattern(f, value, value->text, v);
	case LT_TYPE_INT:
		return check_number(f, value, value->integer, v);
	case LT_TYPE_DATE:
		return check_number(f, value, value->date, v);
	case LT_TYPE_DECIMAL:
		return check_decimal(f, value, v);
	case LT_TYPE_BYTES:
		return value->bytes.len > f->max_len ? too_long(f, value, v) : LT_OK;
	case LT_TYPE_ENUM:
		return check_enum(f, value, v);
	case LT_TYPE_SET:
		return check_set(f, value, v);
	case LT_TYPE_BOOL:
	case LT_TYPE_TIMESTAMP:
		return LT_OK;
	}
	return wrong_type(f, v);
}

/* A text among the values that is not NFC; for the right reason code. */
static bool
has_other_form(const Ltpb__Value *value)
{
	size_t i;

	if (value->v_case == LTPB__VALUE__V_TEXT)
		return !lt_text_is_nfc(lt_slice_str(value->text));
	if (value->v_case == LTPB__VALUE__V_ENUMERATION)
		return !lt_text_is_nfc(lt_slice_str(value->enumeration));
	if (value->v_case != LTPB__VALUE__V_SET || value->set == NULL)
		return false;
	for (i = 0; i < value->set->n_item; i++)
		if (!lt_text_is_nfc(lt_slice_str(value->set->item[i])))
			return true;
	return false;
}

int
lt_field_check(const struct lt_field *f, const Ltpb__FieldSet *fs, struct lt_violation *v)
{
	struct lt_complaint c = { LTPB__REASON_CODE__REASON_MALFORMED, "value", f->rule.name, f,
		NULL, "the value is malformed:", "giá trị sai định dạng:", NULL };
	struct lt_err err = { "" };
	int rc;

	if (fs->value == NULL)
		return wrong_type(f, v);
	rc = lt_value_check(fs->value, &err);
	if (rc == LT_OK)
		return lt_field_check_decoded(f, fs->value, v);
	c.detail = err.text;
	if (fs->value->v_case == LTPB__VALUE__V__NOT_SET)
		return wrong_type(f, v);
	if (rc == LT_E_TOOBIG) {
		c.reason = LTPB__REASON_CODE__REASON_TOO_LONG;
		c.rule = "max_len";
	} else if (has_other_form(fs->value)) {
		c.reason = LTPB__REASON_CODE__REASON_NOT_NFC;
		c.rule = "nfc";
	} else if (fs->value->v_case == LTPB__VALUE__V_SET) {
		c.reason = LTPB__REASON_CODE__REASON_SET;
		c.rule = "list_separator";
	}
	return lt_refuse(v, &c);
}
