/* The mapping file: what it may say, and that every mistake in it is named. */
#include "node/import_map.h"
#include "proto/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HEAD "{\"format\":\"lienthong-import\",\"version\":1,\"collection\":\"x\""

static int
parse(const char *json, struct lt_import_map **m, struct lt_err *err)
{
	*m = NULL;
	err->text[0] = 0;
	return lt_import_map_parse(lt_slice_str(json), m, err);
}

static void
everything_it_may_say(void **state)
{
	struct lt_import_map *m;
	struct lt_err err;

	(void)state;
	assert_int_equal(
	    parse(HEAD
		",\"about\":\"a\",\"encoding\":\"tcvn3\",\"separator\":\"tab\","
		"\"header_line\":4,\"number_format\":\"plain\",\"date_format\":\"m/d/"
		"yyyy\",\"time_zone\":\"-03:30\","
		"\"other_columns\":\"ignore\",\"columns\":{\"Họ  TÊN\":\"name\",\"STT\":null},"
		"\"values\":{\"c\":{\"Thuỷ lợi\":\"thuy_loi\"}},"
		"\"derived\":{\"u\":{\"unit\":true},\"y\":{\"year_of\":\"d\"},\"k\":{\"constant\":"
		"\"7\"},"
		"\"s\":{\"succession\":\"o\"}}}",
		&m, &err),
	    LT_OK);
	assert_string_equal(m->collection, "x");
	assert_int_equal(m->encoding, LT_CHARSET_TCVN3);
	assert_int_equal(m->separator, '\t');
	assert_int_equal(m->header_line, 4);
	assert_int_equal(m->number_format, LT_NUMBER_PLAIN);
	assert_int_equal(m->date_format, LT_DATE_MDY);
	assert_true(m->has_zone);
	assert_int_equal(m->zone_minutes, -210);
	assert_true(m->ignore_other);
	assert_int_equal(m->ncolumn, 2);
	assert_string_equal(m->column[0].folded, "họ tên");
	assert_string_equal(m->column[0].field, "name");
	assert_null(m->column[1].field);
	assert_int_equal(m->nvalue, 1);
	assert_string_equal(m->value[0].folded, "thủy lợi");
	assert_int_equal(m->nderive, 4);
	assert_int_equal(m->derive[0].kind, LT_DERIVE_UNIT);
	assert_int_equal(m->derive[3].kind, LT_DERIVE_SUCCESSION);
	assert_string_equal(m->derive[3].arg, "o");
	lt_import_map_free(m);
}

static void
defaults_are_the_careful_ones(void **state)
{
	struct lt_import_map *m;
	struct lt_err err;

	(void)state;
	assert_int_equal(parse(HEAD "}", &m, &err), LT_OK);
	assert_int_equal(m->encoding, LT_CHARSET_AUTO);
	assert_int_equal(m->separator, 0);
	assert_int_equal(m->header_line, 0);
	assert_int_equal(m->number_format, LT_NUMBER_VI);
	assert_int_equal(m->date_format, LT_DATE_DMY);
	assert_false(m->has_zone);
	assert_false(m->ignore_other);
	lt_import_map_free(m);
}

/* Each with a word that the message must have. */
static const struct {
	const char *json, *word;
	int rc;
} bad[] = {
	{ "", "JSON", LT_E_INVALID },
	{ "[]", "JSON", LT_E_INVALID },
	{ "{\"a\":1,\"a\":2}", "JSON", LT_E_INVALID },
	{ "{}", "format", LT_E_INVALID },
	{ "{\"format\":\"lienthong-import\",\"version\":1}", "collection", LT_E_INVALID },
	{ "{\"format\":\"other\",\"version\":1,\"collection\":\"x\"}", "format", LT_E_INVALID },
	{ "{\"format\":\"lienthong-import\",\"version\":2,\"collection\":\"x\"}", "version",
	    LT_E_VERSION },
	{ "{\"format\":\"lienthong-import\",\"version\":1,\"collection\":\"X y\"}", "collection",
	    LT_E_INVALID },
	{ HEAD ",\"colums\":{}}", "colums", LT_E_INVALID },
	{ HEAD ",\"encoding\":\"vni\"}", "encoding", LT_E_INVALID },
	{ HEAD ",\"encoding\":3}", "encoding", LT_E_INVALID },
	{ HEAD ",\"separator\":\";;\"}", "separator", LT_E_INVALID },
	{ HEAD ",\"separator\":\"\"}", "separator", LT_E_INVALID },
	{ HEAD ",\"separator\":\"a\"}", "separator", LT_E_INVALID },
	{ HEAD ",\"header_line\":0}", "header_line", LT_E_INVALID },
	{ HEAD ",\"header_line\":1001}", "header_line", LT_E_INVALID },
	{ HEAD ",\"header_line\":\"4\"}", "header_line", LT_E_INVALID },
	{ HEAD ",\"number_format\":\"en-US\"}", "number_format", LT_E_INVALID },
	{ HEAD ",\"date_format\":\"dd/mm/yy\"}", "date_format", LT_E_INVALID },
	{ HEAD ",\"time_zone\":\"7\"}", "time_zone", LT_E_INVALID },
	{ HEAD ",\"time_zone\":\"+15:00\"}", "time_zone", LT_E_INVALID },
	{ HEAD ",\"time_zone\":\"+07:60\"}", "time_zone", LT_E_INVALID },
	{ HEAD ",\"columns\":[]}", "columns", LT_E_INVALID },
	{ HEAD ",\"columns\":{\"A\":1}}", "A", LT_E_INVALID },
	{ HEAD ",\"columns\":{\"A\":\"b c\"}}", "A", LT_E_INVALID },
	{ HEAD ",\"columns\":{\" \":\"b\"}}", "header", LT_E_INVALID },
	{ HEAD ",\"columns\":{\"Hoà\":\"b\",\"hòa\":null}}", "twice", LT_E_INVALID },
	{ HEAD ",\"columns\":{\"A\":\"b\",\"C\":\"b\"}}", "two columns", LT_E_INVALID },
	{ HEAD ",\"values\":{\"a\":3}}", "a", LT_E_INVALID },
	{ HEAD ",\"values\":{\"a\":{\"x\":null}}}", "x", LT_E_INVALID },
	{ HEAD ",\"derived\":{\"a\":\"b\"}}", "a", LT_E_INVALID },
	{ HEAD ",\"derived\":{\"a\":{\"unit\":false}}}", "a", LT_E_INVALID },
	{ HEAD ",\"derived\":{\"a\":{\"year_of\":\"d\",\"unit\":true}}}", "a", LT_E_INVALID },
	{ HEAD ",\"derived\":{\"a\":{\"sum\":\"d\"}}}", "a", LT_E_INVALID },
	{ HEAD ",\"derived\":{\"a\":{\"year_of\":\"D D\"}}}", "a", LT_E_INVALID },
	{ HEAD ",\"columns\":{\"A\":\"b\"},\"derived\":{\"b\":{\"unit\":true}}}", "both",
	    LT_E_INVALID },
};

static void
mistakes_are_named(void **state)
{
	struct lt_import_map *m;
	struct lt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = parse(bad[i].json, &m, &err);

		if (rc != bad[i].rc || strstr(err.text, bad[i].word) == NULL)
			fail_msg("%s: %d \"%s\"", bad[i].json, rc, err.text);
	}
}

static void
size_is_bounded(void **state)
{
	struct lt_buf b = { 0 };
	struct lt_import_map *m;
	struct lt_err err;
	int extra, i;

	(void)state;
	for (extra = 0; extra < 2; extra++) { /* 1,024 columns, and one more */
		lt_buf_clear(&b);
		lt_buf_str(&b, HEAD ",\"columns\":{");
		for (i = 0; i < LT_IMPORT_MAP_ITEMS_MAX + extra; i++)
			lt_buf_printf(&b, "%s\"h%d\":null", i ? "," : "", i);
		lt_buf_str(&b, "}}");
		assert_int_equal(
		    lt_import_map_parse(lt_buf_slice(&b), &m, &err), extra ? LT_E_TOOBIG : LT_OK);
		if (!extra)
			lt_import_map_free(m);
	}
	lt_buf_clear(&b);
	lt_buf_str(&b, HEAD "}");
	while (b.len < LT_IMPORT_MAP_BYTES_MAX)
		lt_buf_u8(&b, ' ');
	assert_int_equal(lt_import_map_parse(lt_buf_slice(&b), &m, &err), LT_OK);
	lt_import_map_free(m);
	lt_buf_u8(&b, ' ');
	assert_int_equal(lt_import_map_parse(lt_buf_slice(&b), &m, &err), LT_E_TOOBIG);
	lt_buf_fini(&b);
}

static void
fold(const char *in, const char *want)
{
	struct lt_buf b = { 0 };

	assert_int_equal(lt_import_fold(&b, lt_slice_str(in)), LT_OK);
	lt_buf_u8(&b, 0);
	assert_string_equal((char *)b.data, want);
	lt_buf_fini(&b);
}

static void
what_people_type_compares_equal(void **state)
{
	(void)state;
	fold("  HỘ \xc2\xa0 NGHÈO\t", "hộ nghèo");
	fold("Ho\xcc\xa3\xcc\x82", "hộ");
	fold("Văn hoá", "văn hóa");
	fold("THUỶ LỢI", "thủy lợi");
	fold("khoẻ", "khỏe");
	fold("hoàn", "hòan"); /* odd, but the same on both sides */
	fold("Ðiện", "điện");
	fold("", "");
}

/* The mapping files that are part of the project. */
static void
shipped_files_parse(void **state)
{
	static const char *const name[] = { "ho_ngheo", "du_an_dau_tu", "ho_so_cu_tcvn3",
		"ho_so_cu_cp1258" };
	struct lt_import_map *m;
	struct lt_err err = { "" };
	char path[512];
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct lt_buf b = { 0 };

		snprintf(path, sizeof(path), LT_SOURCE_DIR "/tools/data/import/%s.json", name[i]);
		assert_int_equal(lt_file_read(path, LT_IMPORT_MAP_BYTES_MAX, &b, &err), LT_OK);
		if (lt_import_map_parse(lt_buf_slice(&b), &m, &err) != LT_OK)
			fail_msg("%s: %s", path, err.text);
		lt_import_map_free(m);
		lt_buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_it_may_say),
		cmocka_unit_test(defaults_are_the_careful_ones),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(size_is_bounded),
		cmocka_unit_test(what_people_type_compares_equal),
		cmocka_unit_test(shipped_files_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
