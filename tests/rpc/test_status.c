#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/base/limits.h"
#include "proto/base/text.h"
#include "proto/base/wire.h"
#include "proto/rpc/status_impl.h"

#include "lienthong/v1/rpc.pb-c.h"

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
		(void)snprintf(
		    a.message_vi, sizeof(a.message_vi), "%s", code == 0 ? "" : "lời riêng");
		a.retry_delay_ms = (uint32_t)code * 1000;
		(void)snprintf(a.field, sizeof(a.field), "commune_code");
		(void)snprintf(a.rule, sizeof(a.rule), "unit");
		lt_buf_clear(&bytes);
		assert_int_equal(lt_status_pack(&a, &bytes), LT_OK);
		assert_int_equal(lt_status_unpack(lt_buf_slice(&bytes), &b), LT_OK);
		assert_int_equal(b.code, code);
		assert_string_equal(a.message, b.message);
		assert_string_equal(a.message_vi, b.message_vi);
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

/* Nobody has to write Vietnamese words for a failure to have some; who did is not overruled. */
static void
words_are_filled_in(void **state)
{
	struct lt_status a, b;
	struct lt_buf bytes = { 0 };
	char words[512];
	int code;

	(void)state;
	for (code = 0; code < 17; code++) {
		lt_status_set(&a, (enum lt_status_code)code, "NOBODY_KNOWS_THIS", "english");
		lt_buf_clear(&bytes);
		assert_int_equal(lt_status_pack(&a, &bytes), LT_OK);
		assert_int_equal(lt_status_unpack(lt_buf_slice(&bytes), &b), LT_OK);
		lt_status_words("", code, words, sizeof(words));
		assert_string_equal(b.message_vi, words);
		assert_string_equal(b.message, "english");
		assert_int_equal(words[0] == '\0', code == 0);
	}
	lt_status_set_both(
	    &a, LT_STATUS_NOT_FOUND, "WRITE", "no %s, %d", "không có %s, %d", "x", 3);
	assert_string_equal(a.message, "no x, 3");
	assert_string_equal(a.message_vi, "không có x, 3");
	assert_string_equal(a.reason, "WRITE");
	lt_buf_fini(&bytes);
}

/* n messages, the one at `at` in this locale, the others English. */
static void
unpack_localized(size_t n, size_t at, const char *locale, size_t len, struct lt_status *out)
{
	Ltpb__Status m = LTPB__STATUS__INIT;
	Ltpb__LocalizedMessage one[8], *all[8];
	char text[1200];
	struct lt_buf bytes = { 0 };
	size_t i;

	memset(text, 'v', len);
	text[len] = '\0';
	for (i = 0; i < n; i++) {
		ltpb__localized_message__init(&one[i]);
		one[i].locale = (char *)(i == at ? locale : "en");
		one[i].message = i == at ? text : (char *)"english";
		all[i] = &one[i];
	}
	m.code = LT_STATUS_NOT_FOUND;
	m.n_localized_message = n;
	m.localized_message = all;
	assert_int_equal(lt_wire_pack(&m.base, LT_FRAME_PAYLOAD_MAX, &bytes), LT_OK);
	assert_int_equal(lt_status_unpack(lt_buf_slice(&bytes), out), LT_OK);
	assert_int_equal(out->code, LT_STATUS_NOT_FOUND);
	lt_buf_fini(&bytes);
}

static void
localized_bounds(void **state)
{
	static const struct {
		const char *locale;
		bool taken;
	} locales[] = { { "vi", true }, { "VI", true }, { "vi-VN", true }, { "v", false },
		{ "", false }, { "vie", false }, { "en", false }, { "vi_VN", false } };
	struct lt_status st;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(locales) / sizeof(locales[0]); i++) {
		unpack_localized(1, 0, locales[i].locale, 3, &st);
		assert_string_equal(st.message_vi, locales[i].taken ? "vvv" : "");
	}
	unpack_localized(LT_LOCALIZED_MAX, LT_LOCALIZED_MAX - 1, "vi", 3, &st);
	assert_string_equal(st.message_vi, "vvv");
	unpack_localized(LT_LOCALIZED_MAX + 1, LT_LOCALIZED_MAX, "vi", 3, &st);
	assert_string_equal(st.message_vi, "");
	unpack_localized(1, 0, "vi", sizeof(st.message_vi) - 1, &st);
	assert_int_equal(strlen(st.message_vi), 511);
	unpack_localized(1, 0, "vi", sizeof(st.message_vi), &st);
	assert_int_equal(strlen(st.message_vi), 511);
}

/* The largest status there is, every byte of it to be escaped, fits one frame. */
static void
largest(void **state)
{
	struct lt_status a = { .code = LT_STATUS_INTERNAL, .retry_delay_ms = UINT32_MAX }, b;
	struct lt_buf bytes = { 0 };

	(void)state;
	memset(a.message, 0xff, sizeof(a.message) - 1);
	memset(a.message_vi, 0xff, sizeof(a.message_vi) - 1);
	memset(a.reason, 0xff, sizeof(a.reason) - 1);
	memset(a.field, 0xff, sizeof(a.field) - 1);
	memset(a.rule, 0xff, sizeof(a.rule) - 1);
	assert_int_equal(lt_status_pack(&a, &bytes), LT_OK);
	assert_int_equal(lt_status_unpack(lt_buf_slice(&bytes), &b), LT_OK);
	assert_int_equal(b.code, LT_STATUS_INTERNAL);
	assert_memory_equal(b.message_vi, "\\xff\\xff", 8);
	lt_buf_fini(&bytes);
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
		cmocka_unit_test(words_are_filled_in),
		cmocka_unit_test(localized_bounds),
		cmocka_unit_test(largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
