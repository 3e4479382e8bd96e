#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/frame.h"

struct frame_case {
	const char *descr;
	uint8_t head[8];
	size_t payload;
	int rc;
};

static const struct frame_case cases[] = {
	{ "request of one byte", { 1, 0, 0, 0, 0, 0, 0, 1 }, 1, LT_OK },
	{ "request without a head", { 1, 0, 0, 0, 0, 0, 0, 1 }, 0, LT_E_INVALID },
	{ "request, largest", { 1, 0, 0, 0, 0, 0, 0, 1 }, 16384, LT_OK },
	{ "request, one byte over", { 1, 0, 0, 0, 0, 0, 0, 1 }, 16385, LT_E_INVALID },
	{ "request with a flag", { 1, 1, 0, 0, 0, 0, 0, 1 }, 1, LT_E_INVALID },
	{ "request on the connection", { 1, 0, 0, 0, 0, 0, 0, 0 }, 1, LT_E_INVALID },
	{ "data, empty", { 2, 0, 0, 0, 0, 0, 0, 1 }, 0, LT_OK },
	{ "data, all flags", { 2, 7, 0, 0, 0, 0, 0, 1 }, 0, LT_OK },
	{ "data, unknown flag", { 2, 8, 0, 0, 0, 0, 0, 1 }, 0, LT_E_INVALID },
	{ "data, largest", { 2, 0, 0, 0, 0, 0, 0, 1 }, 16384, LT_OK },
	{ "data, one byte over", { 2, 0, 0, 0, 0, 0, 0, 1 }, 16385, LT_E_INVALID },
	{ "data, first zero byte set", { 2, 0, 1, 0, 0, 0, 0, 1 }, 0, LT_E_INVALID },
	{ "data, second zero byte set", { 2, 0, 0, 1, 0, 0, 0, 1 }, 0, LT_E_INVALID },
	{ "end, empty status", { 3, 0, 0, 0, 0, 0, 0, 1 }, 0, LT_OK },
	{ "cancel", { 4, 0, 0, 0, 0, 0, 0, 1 }, 0, LT_OK },
	{ "cancel with payload", { 4, 0, 0, 0, 0, 0, 0, 1 }, 1, LT_E_INVALID },
	{ "credit", { 5, 0, 0, 0, 0, 0, 0, 1 }, 4, LT_OK },
	{ "credit, short", { 5, 0, 0, 0, 0, 0, 0, 1 }, 3, LT_E_INVALID },
	{ "credit, long", { 5, 0, 0, 0, 0, 0, 0, 1 }, 5, LT_E_INVALID },
	{ "credit on the connection", { 5, 0, 0, 0, 0, 0, 0, 0 }, 4, LT_E_INVALID },
	{ "ping", { 6, 0, 0, 0, 0, 0, 0, 0 }, 8, LT_OK },
	{ "ping on a call", { 6, 0, 0, 0, 0, 0, 0, 1 }, 8, LT_E_INVALID },
	{ "ping, short", { 6, 0, 0, 0, 0, 0, 0, 0 }, 7, LT_E_INVALID },
	{ "pong", { 7, 0, 0, 0, 0, 0, 0, 0 }, 8, LT_OK },
	{ "pong, long", { 7, 0, 0, 0, 0, 0, 0, 0 }, 9, LT_E_INVALID },
	{ "goaway without text", { 8, 0, 0, 0, 0, 0, 0, 0 }, 4, LT_OK },
	{ "goaway without id", { 8, 0, 0, 0, 0, 0, 0, 0 }, 3, LT_E_INVALID },
	{ "goaway, long text", { 8, 0, 0, 0, 0, 0, 0, 0 }, 1024, LT_OK },
	{ "goaway, too long", { 8, 0, 0, 0, 0, 0, 0, 0 }, 1025, LT_E_INVALID },
	{ "type 0", { 0, 0, 0, 0, 0, 0, 0, 1 }, 0, LT_E_INVALID },
	{ "type 9, reserved", { 9, 0, 0, 0, 0, 0, 0, 1 }, 0, LT_E_INVALID },
	{ "type 15, reserved", { 15, 0, 0, 0, 0, 0, 0, 1 }, 0, LT_E_INVALID },
	{ "type 16, to be ignored", { 16, 0xff, 1, 2, 3, 4, 5, 6 }, 99, LT_OK },
	{ "type 255, to be ignored", { 255, 0, 0, 0, 0, 0, 0, 0 }, 16384, LT_OK },
};

static void
table(void **state)
{
	static uint8_t bytes[8 + 16385];
	struct lt_frame f;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].descr);
		memcpy(bytes, cases[i].head, 8);
		assert_int_equal(
		    lt_frame_parse(lt_slice(bytes, 8 + cases[i].payload), &f), cases[i].rc);
		if (cases[i].rc == LT_OK) {
			assert_int_equal(f.type, cases[i].head[0]);
			assert_int_equal(f.payload.len, cases[i].payload);
		}
	}
	for (i = 0; i < 8; i++)
		assert_int_equal(lt_frame_parse(lt_slice(bytes, i), &f), LT_E_INVALID);
}

/* FORMAT.md 6.3, byte by byte. */
static void
layout(void **state)
{
	static const uint8_t want[] = { 5, 0, 0, 0, 0x01, 0x02, 0x03, 0x05, 0, 1, 0, 0 };
	uint8_t out[LT_FRAME_MAX];
	struct lt_frame f;

	(void)state;
	assert_int_equal(
	    lt_frame_build(out, LT_FRAME_CREDIT, 0, 0x01020305, lt_slice(want + 8, 4)), 12);
	assert_memory_equal(out, want, sizeof(want));
	assert_int_equal(lt_frame_parse(lt_slice(want, sizeof(want)), &f), LT_OK);
	assert_int_equal(f.id, 0x01020305);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
