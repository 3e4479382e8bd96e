#include "proto/model/validate_impl.h"

#include "proto/base/text.h"
#include "proto/model/value.h"

#include <stdio.h>
#include <string.h>

#define VALUE_SHOWN_MAX 120 /* bytes of a value in a message */

struct reason {
	Ltpb__ReasonCode code;
	const char *name;
	const char *en;
	const char *vi;
};

static const struct reason reasons[] = {
	{ LTPB__REASON_CODE__REASON_UNSPECIFIED, "unspecified", "no reason given",
	    "không rõ lý do" },
	{ LTPB__REASON_CODE__REASON_UNKNOWN_COLLECTION, "unknown_collection",
	    "the catalogue has no such collection", "danh mục không có loại hồ sơ này" },
	{ LTPB__REASON_CODE__REASON_UNKNOWN_FIELD, "unknown_field",
	    "the collection has no such field", "loại hồ sơ này không có trường đó" },
	{ LTPB__REASON_CODE__REASON_WRONG_TYPE, "wrong_type", "the value is of another type",
	    "giá trị sai kiểu dữ liệu" },
	{ LTPB__REASON_CODE__REASON_RANGE, "range", "the value is outside of the allowed range",
	    "giá trị nằm ngoài khoảng cho phép" },
	{ LTPB__REASON_CODE__REASON_PATTERN, "pattern", "the value does not have the required form",
	    "giá trị không đúng mẫu quy định" },
	{ LTPB__REASON_CODE__REASON_TOO_LONG, "too_long", "the value is too long",
	    "giá trị quá dài" },
	{ LTPB__REASON_CODE__REASON_NOT_NFC, "not_nfc", "the text is not Unicode in form NFC",
	    "văn bản không phải Unicode dựng sẵn (NFC)" },
	{ LTPB__REASON_CODE__REASON_BAD_KEY, "bad_key", "the record's key is not valid",
	    "khóa hồ sơ không hợp lệ" },
	{ LTPB__REASON_CODE__REASON_FOREIGN_UNIT, "foreign_unit",
	    "the record belongs to another unit", "hồ sơ thuộc đơn vị khác" },
	{ LTPB__REASON_CODE__REASON_AUTHORITY, "authority", "the author has no authority over this",
	    "người ghi không có thẩm quyền" },
	{ LTPB__REASON_CODE__REASON_LANE, "lane", "the collection belongs to another lane",
	    "loại hồ sơ này thuộc luồng khác" },
	{ LTPB__REASON_CODE__REASON_BAD_CONTEXT, "bad_context",
	    "what the change builds on is not what is known here",
	    "thay đổi dựa trên dữ liệu không khớp với nơi nhận" },
	{ LTPB__REASON_CODE__REASON_BAD_LEAF, "bad_leaf",
	    "the personal data do not agree with their commitment",
	    "dữ liệu cá nhân không khớp với cam kết" },
	{ LTPB__REASON_CODE__REASON_MALFORMED, "malformed", "the change is malformed",
	    "thay đổi sai định dạng" },
	{ LTPB__REASON_CODE__REASON_GRANT, "grant", "the grant does not cover this",
	    "quyền được cấp không bao gồm việc này" },
	{ LTPB__REASON_CODE__REASON_UNIT_FIELD, "unit_field",
	    "the unit in the field is not the unit of the record",
	    "mã đơn vị trong trường khác với đơn vị của hồ sơ" },
	{ LTPB__REASON_CODE__REASON_ENUM, "enum", "the value is not one of those allowed",
	    "giá trị không có trong danh sách cho phép" },
	{ LTPB__REASON_CODE__REASON_PERSONAL_IN_CLEAR, "personal_in_clear",
	    "personal data stand in the clear", "dữ liệu cá nhân không được che" },
	{ LTPB__REASON_CODE__REASON_SET, "set", "the list is not as it must be",
	    "danh sách mã không hợp lệ" },
	{ LTPB__REASON_CODE__REASON_IMMUTABLE, "immutable", "the record must not be changed",
	    "hồ sơ không được phép sửa đổi" },
	{ LTPB__REASON_CODE__REASON_REQUIRED, "required", "a required field is missing",
	    "thiếu trường bắt buộc" },
	{ LTPB__REASON_CODE__REASON_TRANSITION, "transition",
	    "this value cannot follow the present one", "không được chuyển sang giá trị này" },
	{ LTPB__REASON_CODE__REASON_CHECK, "check", "the figures do not agree with each other",
	    "các số liệu không khớp nhau" },
};

static const struct reason *
find_reason(Ltpb__ReasonCode r)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == r)
			return &reasons[i];
	return &reasons[0];
}

const char *
lt_reason_name(Ltpb__ReasonCode r)
{
	return find_reason(r)->name;
}

const char *
lt_reason_text(Ltpb__ReasonCode r, bool vietnamese)
{
	return vietnamese ? find_reason(r)->vi : find_reason(r)->en;
}

/* Copy at most cap - 1 bytes, never half a character. */
static void
copy_text(char *out, size_t cap, const char *s, size_t len)
{
	if (len >= cap) {
		len = cap - 1;
		while (len > 0 && ((uint8_t)s[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(out, s, len);
	out[len] = '\0';
}

/* A value for a person's eyes: short, without control characters. */
static void
put_value(struct lt_buf *b, const char *value)
{
	char cut[VALUE_SHOWN_MAX + 1], shown[4 * VALUE_SHOWN_MAX];
	size_t len = strlen(value), n;

	copy_text(cut, sizeof(cut), value, len);
	n = lt_text_escape(shown, sizeof(shown), lt_slice_str(cut));
	lt_buf_str(b, " \"");
	lt_buf_put(b, shown, n);
	lt_buf_str(b, len > VALUE_SHOWN_MAX ? "...\"" : "\"");
}

static void
sentence(char *out, size_t cap, const struct lt_complaint *c, bool vietnamese)
{
	bool personal = c->f != NULL && c->f->rule.personal != LT_PERSONAL_NONE;
	struct lt_buf b;

	lt_buf_init(&b, 0);
	if (c->name[0] != '\0' && vietnamese && c->f != NULL)
		lt_buf_printf(&b, "trường \"%s\" (%s): ", c->f->title_vi, c->name);
	else if (c->name[0] != '\0' && c->f != NULL)
		lt_buf_printf(&b, "field \"%s\": ", c->name);
	else if (c->name[0] != '\0')
		lt_buf_printf(&b, "\"%s\": ", c->name);
	if (c->value != NULL && !personal) {
		lt_buf_str(&b, vietnamese ? "giá trị" : "value");
		put_value(&b, c->value);
		lt_buf_str(&b, " ");
	} else if (c->value != NULL) {
		lt_buf_str(&b, vietnamese ? "giá trị " : "the value ");
	}
	lt_buf_str(&b, vietnamese ? c->vi : c->en);
	if (c->detail != NULL)
		lt_buf_printf(&b, " %s", c->detail);
	if (b.err == LT_OK)
		copy_text(out, cap, (const char *)b.data, b.len);
	else
		out[0] = '\0';
	lt_buf_fini(&b);
}

int
lt_refuse(struct lt_violation *v, const struct lt_complaint *c)
{
	if (v == NULL)
		return LT_E_REFUSED;
	memset(v, 0, sizeof(*v));
	v->reason = c->reason;
	copy_text(v->field, sizeof(v->field), c->name, strlen(c->name));
	copy_text(v->rule, sizeof(v->rule), c->rule, strlen(c->rule));
	sentence(v->message, sizeof(v->message), c, false);
	sentence(v->message_vi, sizeof(v->message_vi), c, true);
	return LT_E_REFUSED;
}

int
lt_refuse_value(struct lt_violation *v, Ltpb__ReasonCode reason, const char *rule,
    const struct lt_field *f, const Ltpb__Value *value, const char *en, const char *vi,
    const char *detail)
{
	struct lt_complaint c = { reason, rule, f->rule.name, f, "", en, vi, detail };
	struct lt_buf b;
	int rc;

	if (v == NULL)
		return LT_E_REFUSED;
	lt_buf_init(&b, 0);
	if (f->rule.personal == LT_PERSONAL_NONE && value != NULL)
		lt_value_text(value, &b);
	lt_buf_u8(&b, 0);
	if (b.err == LT_OK)
		c.value = (const char *)b.data;
	rc = lt_refuse(v, &c);
	lt_buf_fini(&b);
	return rc;
}
