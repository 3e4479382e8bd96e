/* What an import tells of each row, in both languages, whatever the row failed by. */
#include "proto/service/writing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define ROWS 5

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

/* Each row is written in the unit of the call; one that says another is refused, alone. */
static void
units_of_rows(void **state)
{
	static const char *const unit[ROWS] = { "", "16906", "17254", "1725", "17254" };
	static const char *const key[ROWS] = { "a", "b", "c", "d", "e" };
	Ltpb__ImportRequest req = LTPB__IMPORT_REQUEST__INIT;
	Ltpb__ImportReply reply = LTPB__IMPORT_REPLY__INIT;
	Ltpb__ImportRow row[ROWS], *rows[ROWS];
	struct lt_import_rows out;
	struct lt_arena arena;
	struct lt_unit own;
	size_t i;

	(void)state;
	assert_int_equal(lt_unit_set(&own, lt_slice_str("17254")), LT_OK);
	lt_arena_init(&arena, 1 << 20);
	for (i = 0; i < ROWS; i++) {
		ltpb__import_row__init(&row[i]);
		row[i].row = (uint32_t)i + 10;
		row[i].key = (char *)key[i];
		row[i].unit = (char *)unit[i];
		rows[i] = &row[i];
	}
	req.row = rows;
	req.n_row = ROWS;
	assert_int_equal(lt_import_rows_take(&req, &own, 1, &arena, &out), LT_OK);
	assert_int_equal(out.n, 3);
	assert_string_equal(out.write[0].key, "a");
	assert_string_equal(out.write[1].key, "c");
	assert_string_equal(out.write[2].key, "e");
	for (i = 0; i < out.n; i++)
		out.write[i].created = true;
	assert_int_equal(lt_import_rows_answer(&req, &out, &arena, &reply), LT_OK);
	assert_int_equal(reply.n_row, ROWS);
	for (i = 0; i < ROWS; i++) {
		bool good = i != 1 && i != 3;

		assert_int_equal(reply.row[i]->row, i + 10);
		assert_int_equal(
		    reply.row[i]->result, good ? LTPB__IMPORT_RESULT__IMPORT_RESULT_CREATED
					       : LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED);
		assert_string_equal(reply.row[i]->field, good ? "" : "unit");
		if (good)
			continue;
		assert_string_equal(reply.row[i]->rule, "foreign_unit");
		assert_string_equal(reply.row[i]->key, key[i]);
		assert_non_null(strstr(reply.row[i]->message, unit[i]));
		assert_non_null(strstr(reply.row[i]->message_vi, unit[i]));
		assert_non_null(strstr(reply.row[i]->message, "17254"));
	}
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
		cmocka_unit_test(units_of_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
