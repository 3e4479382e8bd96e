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

void
lt_err_put(struct lt_err *e, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
}
