#include "proto/service/call.h"

#include "proto/base/text.h"

void
lt_call_fail_code(struct lt_call *c, int rc, const char *reason, const char *words)
{
	lt_call_failf(
	    c, lt_status_from_error(rc), reason, "%s", words[0] != '\0' ? words : lt_strerror(rc));
}

void
lt_call_fail_err(struct lt_call *c, int rc, const char *reason, const struct lt_err *err)
{
	struct lt_status st;

	lt_status_set(&st, lt_status_from_error(rc), reason, "%s",
	    err->text[0] != '\0' ? err->text : lt_strerror(rc));
	(void)lt_text_copy(st.message_vi, sizeof(st.message_vi), lt_slice_str(lt_err_vi(err)));
	lt_call_fail(c, &st);
}

int
lt_call_tick(void *ctx)
{
	struct lt_call *c = ctx;

	if (lt_call_cancelled(c))
		return LT_E_CANCELLED;
	return lt_call_left_ms(c) <= 0 ? LT_E_TIMEOUT : LT_OK;
}
