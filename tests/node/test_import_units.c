/* The official lists and what the hub makes of them. Figures for province 40 (Nghệ An) were counted in the
 * lists by Python and are counted here again by the plainest reading of the lines. */
#include "node/import_units.h"
#include "proto/model/value.h"
#include "tests/node/lists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* By Python: rows that lead to a commune of province 40, and the profile of one. */
#define NGHE_AN_SUCCESSIONS 412
#define CON_CUONG_PROFILE "17254 name=Con Cuông|old_communes=17251;17254;17257|type=xa|"

static struct lt_catalogue *cat;
static struct lt_units *units;
static struct lt_succession *succession;

static int
setup(void **state)
{
	struct lt_err err = { "" };
	struct lt_buf b;

	(void)state;
	b = read_file(LT_PROTO_DATA "/catalogue.json");
	assert_int_equal(lt_catalogue_parse(lt_buf_slice(&b), 1, &cat, &err), LT_OK);
	lt_buf_fini(&b);
	b = read_file(LT_PROTO_DATA "/units.csv");
	assert_int_equal(lt_units_load(lt_buf_slice(&b), &units, &err), LT_OK);
	lt_buf_fini(&b);
	b = read_file(LT_PROTO_DATA "/succession.csv");
	assert_int_equal(lt_succession_load(lt_buf_slice(&b), &succession, &err), LT_OK);
	lt_buf_fini(&b);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	lt_units_free(units);
	lt_succession_free(succession);
	lt_catalogue_unref(cat);
	return 0;
}

/* Official totals of 1 July 2025. */
static void
lists_are_whole(void **state)
{
	(void)state;
	assert_int_equal(lt_units_count(units), 34 + 3321);
	assert_int_equal(lt_succession_count(succession), 10571);
	assert_string_equal(lt_units_find(units, "17254")->name, "Con Cuông");
	assert_string_equal(lt_units_find(units, "40")->name, "Nghệ An");
	assert_string_equal(lt_units_find(units, "40")->province_code, "");
	assert_null(lt_units_find(units, "00000"));
	assert_null(lt_units_find(units, ""));
}

static void
whole_partial_unknown(void **state)
{
	struct lt_unit u;

	(void)state;
	assert_int_equal(lt_succession_whole(succession, "23959", &u), LT_OK);
	assert_string_equal(u.s, "23977");
	assert_int_equal(lt_succession_whole(succession, "23971", &u), LT_OK);
	assert_string_equal(u.s, "23971");
	assert_int_equal(lt_succession_whole(succession, "04957", &u), LT_E_CONFLICT);
	assert_int_equal(lt_succession_whole(succession, "18796", &u), LT_E_CONFLICT);
	assert_int_equal(lt_succession_whole(succession, "99999", &u), LT_E_NOTFOUND);
	assert_int_equal(lt_succession_whole(succession, "", &u), LT_E_NOTFOUND);
}

struct seen {
	size_t rows, old_codes, fail_at;
	char last[40];
	char con_cuong[2000];
};

static int
take(void *ctx, const struct lt_unit *unit, const char *key, Ltpb__FieldSet **set, size_t nset)
{
	struct seen *s = ctx;
	struct lt_buf text = { 0 };
	size_t i, k;

	assert_true(strcmp(s->last, key) < 0 || s->last[0] == '_');
	snprintf(s->last, sizeof(s->last), "%s", key);
	for (i = 0; i < nset; i++) {
		assert_true(i == 0 || strcmp(set[i - 1]->name, set[i]->name) < 0);
		assert_int_equal(lt_value_check(set[i]->value, NULL), LT_OK);
		lt_buf_printf(&text, "%s=", set[i]->name);
		lt_value_text(set[i]->value, &text);
		lt_buf_str(&text, "|");
		for (k = 0;
		     set[i]->value->v_case == LTPB__VALUE__V_SET && k < set[i]->value->set->n_item;
		     k++)
			s->old_codes++;
	}
	lt_buf_u8(&text, 0);
	if (strcmp(key, "17254") == 0)
		snprintf(s->con_cuong, sizeof(s->con_cuong), "%s %s", unit->s, (char *)text.data);
	lt_buf_fini(&text);
	s->rows++;
	return s->rows == s->fail_at ? LT_E_IO : LT_OK;
}

static struct seen
run(enum lt_units_rows what, const char *province)
{
	struct lt_err err = { "" };
	struct seen s = { 0 };

	if (lt_units_rows(what, cat, units, succession, province, take, &s, &err) != LT_OK)
		fail_msg("%s", err.text);
	return s;
}

/* Lines of succession.csv whose fifth cell is this code; no cell of the list before it is quoted. */
static size_t
lines_to(struct lt_buf *file, const char *code)
{
	size_t n = 0, commas;
	char *p, *line;

	for (line = (char *)file->data; line != NULL && *line != 0; line = strchr(line, '\n') + 1) {
		for (commas = 0, p = line; commas < 4; p++)
			commas += *p == ',';
		n += strncmp(p, code, strlen(code)) == 0 && line[0] != ',';
	}
	return n;
}

static void
nghe_an(void **state)
{
	struct lt_buf file = read_file(LT_PROTO_DATA "/succession.csv");
	const struct lt_unit_info *u;
	size_t i, communes = 0, old = 0;
	struct seen s;

	(void)state;
	lt_buf_u8(&file, 0);
	for (i = 0; i < lt_units_count(units); i++) {
		u = lt_units_at(units, i);
		if (strcmp(u->province_code, "40") != 0)
			continue;
		communes++;
		old += lines_to(&file, u->code);
	}
	assert_int_equal(communes, 130);
	s = run(LT_ROWS_COMMUNE_PROFILE, "40");
	assert_int_equal(s.rows, 130);
	assert_int_equal(s.old_codes, old);
	assert_int_equal(old, NGHE_AN_SUCCESSIONS);
	assert_string_equal(s.con_cuong, CON_CUONG_PROFILE);
	s = run(LT_ROWS_UNIT, "40");
	assert_int_equal(s.rows, 131);
	assert_string_equal(
	    s.con_cuong, "_ name=Con Cuông|name_ascii=Con Cuong|province_code=40|type=xa|");
	s = run(LT_ROWS_SUCCESSION, "40");
	assert_int_equal(s.rows, NGHE_AN_SUCCESSIONS);
	lt_buf_fini(&file);
}

/* Every province: 3,321 communes, every row of the list once. */
static void
all_provinces(void **state)
{
	size_t i, profiles = 0, rows = 0, acts = 0;

	(void)state;
	for (i = 0; i < lt_units_count(units); i++) {
		const struct lt_unit_info *u = lt_units_at(units, i);

		if (u->province_code[0] != 0)
			continue;
		profiles += run(LT_ROWS_COMMUNE_PROFILE, u->code).rows;
		acts += run(LT_ROWS_UNIT, u->code).rows;
		rows += run(LT_ROWS_SUCCESSION, u->code).rows;
	}
	assert_int_equal(profiles, 3321);
	assert_int_equal(acts, 3321 + 34);
	assert_int_equal(rows, 10571);
}

static void
stops_and_refuses(void **state)
{
	struct seen s = { .fail_at = 3 };
	struct lt_err err = { "" };

	(void)state;
	assert_int_equal(
	    lt_units_rows(LT_ROWS_UNIT, cat, units, succession, "40", take, &s, &err), LT_E_IO);
	assert_int_equal(s.rows, 3);
	assert_int_equal(
	    lt_units_rows(LT_ROWS_UNIT, cat, units, succession, "17254", take, &s, &err),
	    LT_E_NOTFOUND);
	assert_int_equal(lt_units_rows(LT_ROWS_UNIT, cat, units, succession, "00", take, &s, &err),
	    LT_E_NOTFOUND);
}

static void
bad_lists_are_refused_with_the_line(void **state)
{
#define HEAD "code,name,type,province_code,name_ascii\n"
	static const struct {
		const char *text;
		const char *word;
	} t[] = {
		{ "", "empty" },
		{ "code,name,type,province_code,ascii\n", "line 1" },
		{ HEAD "01,A,tinh,,A\n01,B,tinh,,B\n", "01" },
		{ HEAD "01,A,tinh,,A\n1,B,tinh,,B\n", "line 3" },
		{ HEAD "01,A,tinh,,A,x\n", "line 2" },
		{ HEAD "01,,tinh,,A\n", "line 2" },
		{ HEAD "01,A,tinh,x,A\n", "line 2" },
		{ HEAD "01,e\xcc\x81,tinh,,A\n", "line 2" },
		{ HEAD "01,\"A,tinh,,A\n", "line 2" },
	};
	struct lt_units *u = NULL;
	struct lt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		err.text[0] = 0;
		if (lt_units_load(lt_slice_str(t[i].text), &u, &err) != LT_E_INVALID ||
		    strstr(err.text, t[i].word) == NULL)
			fail_msg("%zu: %s", i, err.text);
	}
	assert_int_equal(lt_units_load(lt_slice_str(HEAD), &u, &err), LT_OK);
	assert_int_equal(lt_units_count(u), 0);
	assert_null(lt_units_find(u, "01"));
	lt_units_free(u);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_whole),
		cmocka_unit_test(whole_partial_unknown),
		cmocka_unit_test(nghe_an),
		cmocka_unit_test(all_provinces),
		cmocka_unit_test(stops_and_refuses),
		cmocka_unit_test(bad_lists_are_refused_with_the_line),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
