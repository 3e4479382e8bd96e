/* What an import tells of each row, in both languages, whatever the row failed by. */
#include "proto/service/writing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void
taken(void **state)
{
	struct lt_write w;
	struct lt_arena arena;
	Ltpb__ImportRowReply *r;

	(void)state;
	memset(&w, 0, sizeof(w));
	lt_arena_init(&arena, 1 << 16);
	r = lt_import_row_answer(&w, 7, &arena);
	assert_non_null(r);
	assert_int_equal(r->row, 7);
	assert_int_equal(r->result, LTPB__IMPORT_RESULT__IMPORT_RESULT_UPDATED);
	assert_string_equal(r->message, "");
	assert_string_equal(r->message_vi, "");
	w.created = true;
	r = lt_import_row_answer(&w, 7, &arena);
	assert_int_equal(r->result, LTPB__IMPORT_RESULT__IMPORT_RESULT_CREATED);
	w.unchanged = true;
	r = lt_import_row_answer(&w, 7, &arena);
	assert_int_equal(r->result, LTPB__IMPORT_RESULT__IMPORT_RESULT_UNCHANGED);
	lt_arena_fini(&arena);
}

static void
refused_with_words(void **state)
{
	struct lt_write w;
	struct lt_arena arena;
	Ltpb__ImportRowReply *r;

	(void)state;
	memset(&w, 0, sizeof(w));
	w.rc = LT_E_REFUSED;
	(void)snprintf(w.violation.field, sizeof(w.violation.field), "status");
	(void)snprintf(w.violation.rule, sizeof(w.violation.rule), "enum");
	(void)snprintf(w.violation.message, sizeof(w.violation.message), "not in the list");
	(void)snprintf(
	    w.violation.message_vi, sizeof(w.violation.message_vi), "không có trong danh sách");
	lt_arena_init(&arena, 1 << 16);
	r = lt_import_row_answer(&w, 8, &arena);
	assert_int_equal(r->result, LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED);
	assert_string_equal(r->field, "status");
	assert_string_equal(r->rule, "enum");
	assert_string_equal(r->message, "not in the list");
	assert_string_equal(r->message_vi, "không có trong danh sách");
	lt_arena_fini(&arena);
}

/* A failure that no rule of the catalogue made still says something in each language, and not the same. */
static void
failed_without_words(void **state)
{
	struct lt_write w;
	struct lt_arena arena;
	Ltpb__ImportRowReply *r;

	(void)state;
	memset(&w, 0, sizeof(w));
	w.rc = LT_E_TOOBIG;
	lt_arena_init(&arena, 1 << 16);
	r = lt_import_row_answer(&w, 9, &arena);
	assert_int_equal(r->result, LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED);
	assert_string_not_equal(r->message, "");
	assert_string_not_equal(r->message_vi, "");
	assert_string_not_equal(r->message, r->message_vi);
	lt_arena_fini(&arena);
}

static void
no_memory(void **state)
{
	struct lt_write w;
	struct lt_arena arena;

	(void)state;
	memset(&w, 0, sizeof(w));
	lt_arena_init(&arena, 1);
	assert_null(lt_import_row_answer(&w, 1, &arena));
	lt_arena_fini(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken),
		cmocka_unit_test(refused_with_words),
		cmocka_unit_test(failed_without_words),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
