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
	const char *next_en; /* what its author does about it */
	const char *next_vi;
};

static const struct reason reasons[] = {
	{ LTPB__REASON_CODE__REASON_UNSPECIFIED, "unspecified", "no reason given", "không rõ lý do",
	    "call the province's IT staff and name this entry",
	    "gọi cán bộ CNTT của tỉnh và đọc mã của mục này" },
	{ LTPB__REASON_CODE__REASON_UNKNOWN_COLLECTION, "unknown_collection",
	    "the catalogue has no such collection", "danh mục không có loại hồ sơ này",
	    "let the machine connect to the province so that it gets the present catalogue, then "
	    "save the record again",
	    "để máy nối với tỉnh nhận danh mục mới, rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_UNKNOWN_FIELD, "unknown_field",
	    "the collection has no such field", "loại hồ sơ này không có trường đó",
	    "save the record again without this field, or after the machine has got the present "
	    "catalogue",
	    "lưu lại hồ sơ, bỏ trường này, hoặc chờ máy nhận danh mục mới rồi lưu lại" },
	{ LTPB__REASON_CODE__REASON_WRONG_TYPE, "wrong_type", "the value is of another type",
	    "giá trị sai kiểu dữ liệu",
	    "enter the value as the field asks for it (a number, a date, ...) and save the record "
	    "again",
	    "nhập lại giá trị đúng kiểu (số, ngày...) rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_RANGE, "range", "the value is outside of the allowed range",
	    "giá trị nằm ngoài khoảng cho phép",
	    "enter a value within the range and save the record again",
	    "nhập lại giá trị trong khoảng cho phép rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_PATTERN, "pattern", "the value does not have the required form",
	    "giá trị không đúng mẫu quy định",
	    "enter the value in the required form and save the record again",
	    "nhập lại giá trị theo đúng mẫu rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_TOO_LONG, "too_long", "the value is too long",
	    "giá trị quá dài", "shorten the value and save the record again",
	    "rút ngắn giá trị rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_NOT_NFC, "not_nfc", "the text is not Unicode in form NFC",
	    "văn bản không phải Unicode dựng sẵn (NFC)",
	    "type the text again with a Unicode keyboard and save the record again",
	    "gõ lại bằng bảng mã Unicode dựng sẵn rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_BAD_KEY, "bad_key", "the record's key is not valid",
	    "khóa hồ sơ không hợp lệ",
	    "make the record again under its right key; this one stays refused",
	    "tạo lại hồ sơ với khóa đúng; mục này vẫn ở trạng thái bị từ chối" },
	{ LTPB__REASON_CODE__REASON_FOREIGN_UNIT, "foreign_unit",
	    "the record belongs to another unit", "hồ sơ thuộc đơn vị khác",
	    "correct the commune's code, or let the commune enter it to which it belongs",
	    "sửa lại mã xã, hoặc để xã có thẩm quyền nhập hồ sơ này" },
	{ LTPB__REASON_CODE__REASON_AUTHORITY, "authority", "the author has no authority over this",
	    "người ghi không có thẩm quyền",
	    "leave this to whom the catalogue names for it, and ask the province if in doubt",
	    "để cấp có thẩm quyền theo danh mục ghi; chưa rõ thì hỏi tỉnh" },
	{ LTPB__REASON_CODE__REASON_LANE, "lane", "the collection belongs to another lane",
	    "loại hồ sơ này thuộc luồng khác",
	    "update the program on this machine and save the record again",
	    "cập nhật chương trình trên máy rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_BAD_CONTEXT, "bad_context",
	    "what the change builds on is not what is known here",
	    "thay đổi dựa trên dữ liệu không khớp với nơi nhận",
	    "let the machine catch up with the province, look at the record and save it again",
	    "chờ máy nhận đủ dữ liệu từ tỉnh, xem lại hồ sơ rồi lưu lại" },
	{ LTPB__REASON_CODE__REASON_BAD_LEAF, "bad_leaf",
	    "the personal data do not agree with their commitment",
	    "dữ liệu cá nhân không khớp với cam kết",
	    "save the record again; if that is refused, too, call the province's IT staff",
	    "lưu lại hồ sơ; nếu vẫn bị từ chối, gọi cán bộ CNTT của tỉnh" },
	{ LTPB__REASON_CODE__REASON_MALFORMED, "malformed", "the change is malformed",
	    "thay đổi sai định dạng",
	    "update the program on this machine and save the record again; if that is refused, "
	    "too, call the province's IT staff",
	    "cập nhật chương trình trên máy rồi lưu lại hồ sơ; nếu vẫn bị từ chối, gọi cán bộ CNTT "
	    "của tỉnh" },
	{ LTPB__REASON_CODE__REASON_GRANT, "grant", "the grant does not cover this",
	    "quyền được cấp không bao gồm việc này",
	    "ask the province for the right, then save the record again",
	    "xin tỉnh cấp quyền, rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_UNIT_FIELD, "unit_field",
	    "the unit in the field is not the unit of the record",
	    "mã đơn vị trong trường khác với đơn vị của hồ sơ",
	    "correct the commune's code in the field and save the record again",
	    "sửa mã đơn vị trong trường cho đúng rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_ENUM, "enum", "the value is not one of those allowed",
	    "giá trị không có trong danh sách cho phép",
	    "choose one of the values allowed and save the record again",
	    "chọn một giá trị trong danh sách rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_PERSONAL_IN_CLEAR, "personal_in_clear",
	    "personal data stand in the clear", "dữ liệu cá nhân không được che",
	    "update the program on this machine, tell the province, and save the record again",
	    "cập nhật chương trình trên máy, báo cho tỉnh, rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_SET, "set", "the list is not as it must be",
	    "danh sách mã không hợp lệ",
	    "choose the codes of the list again, each once, and save the record again",
	    "chọn lại các mã, mỗi mã một lần, rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_IMMUTABLE, "immutable", "the record must not be changed",
	    "hồ sơ không được phép sửa đổi",
	    "leave the record as it is, and make a new one that corrects it",
	    "giữ nguyên hồ sơ và lập hồ sơ mới để đính chính" },
	{ LTPB__REASON_CODE__REASON_REQUIRED, "required", "a required field is missing",
	    "thiếu trường bắt buộc", "fill in the field and save the record again",
	    "điền đủ trường bắt buộc rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_TRANSITION, "transition",
	    "this value cannot follow the present one", "không được chuyển sang giá trị này",
	    "choose a value that may follow the present one and save the record again",
	    "chọn giá trị được phép chuyển tới rồi lưu lại hồ sơ" },
	{ LTPB__REASON_CODE__REASON_CHECK, "check", "the figures do not agree with each other",
	    "các số liệu không khớp nhau", "make the figures agree and save the record again",
	    "sửa các số liệu cho khớp rồi lưu lại hồ sơ" },
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

const char *
lt_reason_next(Ltpb__ReasonCode r, bool vietnamese)
{
	return vietnamese ? find_reason(r)->next_vi : find_reason(r)->next_en;
}

/* A value for a person's eyes: short, without control characters. */
static void
put_value(struct lt_buf *b, const char *value)
{
	char cut[VALUE_SHOWN_MAX + 1], shown[4 * VALUE_SHOWN_MAX];
	size_t len = strlen(value), n;

	(void)lt_text_copy(cut, sizeof(cut), lt_slice_str(value));
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
		(void)lt_text_copy(out, cap, lt_buf_slice(&b));
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
	(void)lt_text_copy(v->field, sizeof(v->field), lt_slice_str(c->name));
	(void)lt_text_copy(v->rule, sizeof(v->rule), lt_slice_str(c->rule));
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
