#include "proto/base/error.h"

#include "proto/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *
lt_strerror(int code)
{
	switch (code) {
#define LT_ERROR_CASE(name, number, text) \
	case number: \
		return text;
		LT_ERRORS(LT_ERROR_CASE)
#undef LT_ERROR_CASE
	default:
		return "unknown error";
	}
}

#define ROOM (LT_ERR_TEXT + 8) /* more than is kept, so that the cut is made between characters */

void
lt_err_put_pair(struct lt_err *e, const char *en, const char *vi)
{
	size_t n;

	if (e == NULL)
		return;
	n = 1 + lt_text_copy(e->text, LT_ERR_TEXT, lt_slice_str(en));
	(void)lt_text_copy(e->text + n, LT_ERR_TEXT, lt_slice_str(vi));
}

void
lt_err_put(struct lt_err *e, const char *fmt, ...)
{
	char en[ROOM];
	va_list ap;

	if (e == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(en, sizeof(en), fmt, ap);
	va_end(ap);
	lt_err_put_pair(e, en, "");
}

void
lt_err_put_both(struct lt_err *e, const char *en, const char *vi, ...)
{
	char text[2][ROOM];
	va_list ap, again;

	if (e == NULL)
		return;
	va_start(ap, vi);
	va_copy(again, ap);
	(void)vsnprintf(text[0], sizeof(text[0]), en, ap);
	(void)vsnprintf(text[1], sizeof(text[1]), vi, again);
	va_end(again);
	va_end(ap);
	lt_err_put_pair(e, text[0], text[1]);
}

const char *
lt_errno_vi(int e)
{
	switch (e) {
	case ENOENT:
		return "không có tệp hoặc thư mục này; hãy xem lại tên";
	case EEXIST:
		return "đã có rồi; hãy chọn tên khác, hoặc cất cái đang có đi nơi khác";
	case ENOTEMPTY:
		return "thư mục không trống; hãy chọn thư mục khác";
	case EACCES:
	case EPERM:
		return "không có quyền; hãy dùng đúng tài khoản, hoặc xem lại quyền của tệp và thư "
		       "mục";
	case ENOTDIR:
		return "một tên trên đường dẫn không phải thư mục; hãy xem lại tên";
	case EISDIR:
		return "đây là thư mục, không phải tệp; hãy xem lại tên";
	case ELOOP:
		return "đây là liên kết, không phải tệp; hãy xem lại tên";
	case ENAMETOOLONG:
		return "tên quá dài; hãy chọn tên ngắn hơn";
	case ENOSPC:
	case EDQUOT:
		return "đĩa đầy; hãy dọn bớt, rồi làm lại";
	case EROFS:
		return "đĩa chỉ cho đọc; hãy xem lại đĩa";
	case EIO:
		return "đĩa không đọc hoặc ghi được; hãy kiểm tra đĩa";
	default:
		return strerror(e);
	}
}

const char *
lt_err_vi(const struct lt_err *e)
{
	size_t n = strnlen(e->text, sizeof(e->text)) + 1;

	return n != 1 && n < sizeof(e->text) ? e->text + n : "";
}
