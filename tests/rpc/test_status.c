#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/base/text.h"
#include "proto/rpc/status_impl.h"

/* Names and numbers as in gRPC's documentation (statuscodes.md). */
static void
names(void **state)
{
	static const char *const grpc[] = { "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
		"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED" };
	int i;

	(void)state;
	for (i = 0; i < 17; i++)
		assert_string_equal(lt_status_name(i), grpc[i]);
	assert_string_equal(lt_status_name(17), "UNKNOWN");
	assert_string_equal(lt_status_name(-1), "UNKNOWN");
}

/* No error may look like success on the other side, and back. */
static void
errors_stay_errors(void **state)
{
	int i;

	(void)state;
	assert_int_equal(lt_status_from_error(LT_OK), LT_STATUS_OK);
	assert_int_equal(lt_status_to_error(LT_STATUS_OK), LT_OK);
	for (i = -1; i >= -60; i--)
		assert_int_not_equal(lt_status_from_error(i), LT_STATUS_OK);
	for (i = 1; i < 40; i++)
		assert_true(lt_status_to_error(i) < 0);
	assert_int_equal(lt_status_from_error(LT_E_TIMEOUT), LT_STATUS_DEADLINE_EXCEEDED);
	assert_int_equal(lt_status_from_error(LT_E_CONFLICT), LT_STATUS_ABORTED);
	assert_int_equal(lt_status_to_error(LT_STATUS_ABORTED), LT_E_CONFLICT);
	assert_int_equal(lt_status_to_error(LT_STATUS_UNAUTHENTICATED), LT_E_DENIED);
}

static void
round_trip(void **state)
{
	struct lt_status a, b;
	struct lt_buf bytes = { 0 };
	int code;

	(void)state;
	for (code = 0; code < 17; code++) {
		lt_status_set(&a, (enum lt_status_code)code, "A_REASON", "lý do %d", code);
		a.retry_delay_ms = (uint32_t)code * 1000;
		(void)strcpy(a.field, "commune_code");
		(void)strcpy(a.rule, "unit");
		lt_buf_clear(&bytes);
		assert_int_equal(lt_status_pack(&a, &bytes), LT_OK);
		assert_int_equal(lt_status_unpack(lt_buf_slice(&bytes), &b), LT_OK);
		assert_int_equal(b.code, code);
		assert_string_equal(a.message, b.message);
		assert_string_equal(a.reason, b.reason);
		assert_int_equal(a.retry_delay_ms, b.retry_delay_ms);
		assert_string_equal(a.field, b.field);
		assert_string_equal(a.rule, b.rule);
	}
	lt_buf_fini(&bytes);
}

/* A long text is cut between characters, whatever the offset. */
static void
long_text(void **state)
{
	struct lt_status a, b;
	struct lt_buf bytes = { 0 };
	char text[1200];
	size_t pad, i;

	(void)state;
	for (pad = 0; pad < 4; pad++) {
		memset(text, 'x', pad);
		for (i = pad; i + 4 < sizeof(text); i += 3)
			memcpy(text + i, "\xe1\xba\xbf", 3); /* "ế" */
		text[i] = '\0';
		lt_status_set(&a, LT_STATUS_INTERNAL, NULL, "%s", text);
		assert_true(strlen(a.message) > 505);
		assert_true(lt_text_valid(lt_slice_str(a.message)));
		lt_buf_clear(&bytes);
		assert_int_equal(lt_status_pack(&a, &bytes), LT_OK);
		assert_int_equal(lt_status_unpack(lt_buf_slice(&bytes), &b), LT_OK);
		assert_string_equal(a.message, b.message);
	}
	lt_buf_fini(&bytes);
}

/* Text that is not UTF-8 arrives escaped; it never makes the status unreadable. */
static void
bad_text(void **state)
{
	struct lt_status a, b;
	struct lt_buf bytes = { 0 };

	(void)state;
	lt_status_set(&a, LT_STATUS_NOT_FOUND, NULL, "bad \xff byte");
	assert_int_equal(lt_status_pack(&a, &bytes), LT_OK);
	assert_int_equal(lt_status_unpack(lt_buf_slice(&bytes), &b), LT_OK);
	assert_int_equal(b.code, LT_STATUS_NOT_FOUND);
	assert_string_equal(b.message, "bad \\xff byte");
	lt_buf_fini(&bytes);
}

static void
from_outside(void **state)
{
	static const struct {
		const char *descr;
		const char *bytes;
		size_t len;
		int rc;
		enum lt_status_code code;
	} cases[] = {
		{ "empty is OK", "", 0, LT_OK, LT_STATUS_OK },
		{ "code 16", "\x08\x10", 2, LT_OK, LT_STATUS_UNAUTHENTICATED },
		{ "code 17 is none", "\x08\x11", 2, LT_OK, LT_STATUS_UNKNOWN },
		{ "code -1 is none", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, LT_OK,
		    LT_STATUS_UNKNOWN },
		{ "cut in the middle",
		    "\x12\x05"
		    "ab",
		    4, LT_E_INVALID, LT_STATUS_INTERNAL },
		{ "text with NUL",
		    "\x12\x02"
		    "a\0",
		    4, LT_E_INVALID, LT_STATUS_INTERNAL },
	};
	struct lt_status st;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].descr);
		assert_int_equal(
		    lt_status_unpack(lt_slice(cases[i].bytes, cases[i].len), &st), cases[i].rc);
		assert_int_equal(st.code, cases[i].code);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(errors_stay_errors),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(long_text),
		cmocka_unit_test(bad_text),
		cmocka_unit_test(from_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
