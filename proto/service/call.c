#include "proto/service/call.h"

void
lt_call_fail_code(struct lt_call *c, int rc, const char *reason, const char *words)
{
	lt_call_failf(
	    c, lt_status_from_error(rc), reason, "%s", words[0] != '\0' ? words : lt_strerror(rc));
}

int
lt_call_tick(void *ctx)
{
	struct lt_call *c = ctx;

	if (lt_call_cancelled(c))
		return LT_E_CANCELLED;
	return lt_call_left_ms(c) <= 0 ? LT_E_TIMEOUT : LT_OK;
}
