#include "proto/base/error.h"

#include <stdarg.h>
#include <stdio.h>

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

int
lt_err_set(struct lt_err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return code;
}
