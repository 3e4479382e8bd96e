#include "proto/base/error.h"

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

/* e's own words may be among the arguments: what is put together is copied in whole. */
static void
put(struct lt_err *e, const char *en, const char *vi)
{
	size_t n = strlen(en) + 1;

	memcpy(e->text, en, n);
	(void)snprintf(e->text + n, sizeof(e->text) - n, "%s", vi);
}

void
lt_err_put(struct lt_err *e, const char *fmt, ...)
{
	char en[LT_ERR_TEXT];
	va_list ap;

	if (e == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(en, sizeof(en), fmt, ap);
	va_end(ap);
	put(e, en, "");
}

void
lt_err_put_both(struct lt_err *e, const char *en, const char *vi, ...)
{
	char text[2][LT_ERR_TEXT];
	va_list ap, again;

	if (e == NULL)
		return;
	va_start(ap, vi);
	va_copy(again, ap);
	(void)vsnprintf(text[0], sizeof(text[0]), en, ap);
	(void)vsnprintf(text[1], sizeof(text[1]), vi, again);
	va_end(again);
	va_end(ap);
	put(e, text[0], text[1]);
}

const char *
lt_err_vi(const struct lt_err *e)
{
	size_t n = strnlen(e->text, sizeof(e->text)) + 1;

	return n != 1 && n < sizeof(e->text) ? e->text + n : "";
}
