/* The catalogue: the real file as it should be, and every kind of file it should not be. */
#include "proto/model/catalogue.h"

#include "proto/base/file.h"
#include "proto/base/limits.h"
#include "proto/model/catalogue_impl.h"

#include <locale.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct lt_buf file;

static int
read_file(void **state)
{
	(void)state;
	lt_buf_init(&file, 0);
	return lt_file_read(LT_PROTO_DATA "/catalogue.json", LT_CATALOGUE_BYTES_MAX, &file, NULL);
}

static int
free_file(void **state)
{
	(void)state;
	lt_buf_fini(&file);
	return 0;
}

static struct lt_catalogue *
load(void)
{
	struct lt_catalogue *c = NULL;
	struct lt_err err = { "" };

	if (lt_catalogue_parse(lt_buf_slice(&file), 7, &c, &err) != LT_OK)
		fail_msg("%s", err.text);
	return c;
}

/* Figures of the data's own description: 37 collections, 447 fields, 124 indexed, 82 of keys, 33 units,
 * 108 patterns, 14 with transitions, 8 lists; lanes 4, 30, 3; 34 of communes, 3 of the province. */
static void
test_counts(void **state)
{
	struct lt_catalogue *cat = load();
	size_t own = 0, fields = 0, indexed = 0, key = 0, unit = 0, patterns = 0, transitions = 0,
	       lists = 0;
	size_t lane[4] = { 0 }, rule[4] = { 0 }, keys = 0, checks = 0, immutable = 0, i, k;

	(void)state;
	for (i = 0; i < lt_catalogue_count(cat); i++) {
		const struct lt_collection *c = lt_catalogue_at(cat, i);

		assert_ptr_equal(lt_catalogue_find(cat, c->id), c);
		assert_true(c->builtin == (c->id[0] == '_'));
		if (c->builtin)
			continue;
		assert_int_equal(i, own); /* built-in ones come last */
		own++;
		fields += c->nfield;
		indexed += c->nindex;
		keys += c->nkey;
		checks += c->ncheck;
		immutable += c->immutable;
		lane[c->lane]++;
		rule[c->unit_rule]++;
		for (k = 0; k < c->nfield; k++) {
			const struct lt_field *f = &c->field[k];

			assert_ptr_equal(lt_collection_field(c, f->rule.name), f);
			assert_ptr_equal(c->rules.find(c->rules.ctx, f->rule.name), &f->rule);
			key += f->in_key;
			unit += f->is_unit;
			patterns += f->has_pattern;
			transitions += f->ntransition > 0;
			lists += f->rule.type == LT_TYPE_SET;
		}
		assert_null(lt_collection_field(c, "no_such_field"));
		assert_null(c->rules.find(c->rules.ctx, ""));
	}
	assert_int_equal(own, 37);
	assert_int_equal(lt_catalogue_count(cat), 37 + 11);
	assert_int_equal(fields, 447);
	assert_int_equal(indexed, 124);
	assert_int_equal(key, 82);
	assert_int_equal(keys, 82);
	assert_int_equal(unit, 33);
	assert_int_equal(patterns, 108);
	assert_int_equal(transitions, 14);
	assert_int_equal(lists, 8);
	assert_int_equal(checks, 7);
	assert_int_equal(immutable, 1);
	assert_int_equal(lane[LT_LANE_URGENT], 4);
	assert_int_equal(lane[LT_LANE_NORMAL], 30);
	assert_int_equal(lane[LT_LANE_BULK], 3);
	assert_int_equal(rule[LT_UNIT_COMMUNE], 34);
	assert_int_equal(rule[LT_UNIT_PROVINCE], 3);
	assert_int_equal(lt_catalogue_version(cat), 7);
	assert_null(lt_catalogue_find(cat, "no_such_collection"));
	assert_null(lt_catalogue_find(cat, ""));
	assert_string_equal(lt_catalogue_org(cat, "so_tai_chinh")->name_vi, "Sở Tài chính");
	assert_string_equal(lt_catalogue_org(cat, "tinh_uy")->kind, "party");
	assert_null(lt_catalogue_org(cat, "so_khac"));
	lt_catalogue_unref(cat);
}

static void
test_one_collection(void **state)
{
	struct lt_catalogue *cat = load();
	const struct lt_collection *c = lt_catalogue_find(cat, "dossier");
	const struct lt_field *f;

	(void)state;
	assert_string_equal(c->title_en, "Administrative procedure dossier");
	assert_string_equal(c->cadence, "daily");
	assert_int_equal(c->writers, LT_WRITER_COMMUNE | LT_WRITER_DEPARTMENT);
	assert_int_equal(c->creators, LT_WRITER_COMMUNE);
	assert_int_equal(c->nkey, 1);
	assert_string_equal(c->field[c->key[0]].rule.name, "dossier_code");
	assert_true(c->has_unit_field);
	f = lt_collection_field(c, "applicant_id_no");
	assert_int_equal(f->rule.personal, LT_PERSONAL_BASIC);
	assert_true(lt_field_matches(f, "099085000001"));
	assert_false(lt_field_matches(f, "09908500000"));
	assert_false(lt_field_matches(f, "0990850000011"));
	assert_false(lt_field_matches(f, "x099085000001"));
	assert_false(lt_field_matches(f, "099085000001\n"));
	assert_false(lt_field_matches(f, ""));
	f = lt_collection_field(c, "procedure_name");
	assert_int_equal(f->max_len, 1000);
	assert_true(lt_field_matches(f, "anything"));
	assert_int_equal(lt_collection_field(c, "applicant_name")->max_len, 500);
	f = lt_collection_field(c, "status");
	assert_int_equal(f->nvalue, 8);
	assert_int_equal(f->ntransition, 8);
	f = lt_collection_field(lt_catalogue_find(cat, "investment_project"), "lat");
	assert_true(f->has_min && f->has_max);
	assert_int_equal(f->scale, 6);
	assert_int_equal(f->min, 6000000);
	assert_int_equal(f->max, 24000000);
	f = lt_collection_field(lt_catalogue_find(cat, "legacy_dossier"), "received_date");
	assert_false(f->has_min);
	assert_int_equal(f->max, 20269); /* 2025-06-30: one day before 20270 */
	f = lt_collection_field(lt_catalogue_find(cat, "proposal"), "submitted_by");
	assert_int_equal(f->rule.type, LT_TYPE_SET);
	assert_int_equal(f->rule.policy, LT_POLICY_SET);
	assert_false(lt_catalogue_find(cat, "proposal")->has_unit_field);
	lt_catalogue_unref(cat);
}

/* Ranges in patterns mean bytes, whatever language the program speaks. */
static void
test_locale(void **state)
{
	struct lt_catalogue *cat;
	const struct lt_field *f;

	(void)state;
	if (setlocale(LC_ALL, "C.UTF-8") == NULL)
		skip();
	cat = load();
	f = lt_collection_field(lt_catalogue_find(cat, "target"), "indicator_code");
	assert_true(lt_field_matches(f, "abc_1"));
	assert_false(lt_field_matches(f, "aBc"));
	assert_false(lt_field_matches(f, "\xc3\xa9t\xc3\xa9"));
	assert_non_null(setlocale(LC_ALL, "C"));
	assert_true(lt_field_matches(f, "abc_1"));
	assert_false(lt_field_matches(f, "aBc"));
	lt_catalogue_unref(cat);
}

static void
test_builtin(void **state)
{
	static const char *ids[] = { "_catalogue", "_registry", "_key", "_grant", "_unit",
		"_succession", "_federation", "_revocation", "_verdict", "_erase", "_ruling" };
	struct lt_catalogue *cat = NULL;
	size_t i, k;

	(void)state;
	assert_int_equal(lt_catalogue_builtin(&cat), LT_OK);
	assert_int_equal(lt_catalogue_version(cat), 0);
	assert_int_equal(lt_catalogue_count(cat), 11);
	for (i = 0; i < 11; i++) {
		const struct lt_collection *c = lt_catalogue_find(cat, ids[i]);
		bool erase = strcmp(ids[i], "_erase") == 0;
		bool anywhere = lt_act_is_consumed(ids[i]) || erase;
		bool stays = strcmp(ids[i], "_revocation") == 0 || erase;

		assert_non_null(c);
		assert_true(c->builtin);
		assert_int_equal(c->lane, anywhere ? LT_LANE_URGENT : LT_LANE_NORMAL);
		assert_int_equal(c->unit_rule, anywhere ? LT_UNIT_ANY : LT_UNIT_FEDERATION);
		for (k = 0; k < c->nfield; k++) {
			assert_int_equal(
			    c->field[k].rule.policy, stays ? LT_POLICY_FIRST : LT_POLICY_LWW);
			assert_int_equal(c->field[k].rule.authority, LT_AUTHORITY_HUB);
			assert_int_equal(c->field[k].rule.personal, LT_PERSONAL_NONE);
		}
	}
	assert_null(lt_catalogue_find(cat, "_adopt"));
	assert_int_equal(lt_collection_field(lt_catalogue_find(cat, "_key"), "sign_key")->rule.type,
	    LT_TYPE_BYTES);
	assert_int_equal(
	    lt_collection_field(lt_catalogue_find(cat, "_grant"), "verbs")->rule.type, LT_TYPE_SET);
	lt_catalogue_unref(cat);
}

struct mutation {
	const char *collection; /* NULL: top level */
	const char *field; /* NULL: the collection itself */
	const char *member;
	const char *json; /* NULL: member removed */
	const char *says[2]; /* words of the message */
};

static json_t *
find_by(json_t *list, const char *member, const char *name)
{
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		json_t *o = json_array_get(list, i);

		if (strcmp(json_string_value(json_object_get(o, member)), name) == 0)
			return o;
	}
	fail_msg("the file has no \"%s\"", name);
	return NULL;
}

static char *
mutate(const struct mutation *m)
{
	json_t *root = json_loadb((const char *)file.data, file.len, 0, NULL);
	json_t *o = root;
	char *text;

	assert_non_null(root);
	if (m->collection != NULL)
		o = find_by(json_object_get(o, "collections"), "id", m->collection);
	if (m->field != NULL)
		o = find_by(json_object_get(o, "fields"), "name", m->field);
	if (m->json == NULL) {
		assert_int_equal(json_object_del(o, m->member), 0);
	} else {
		json_t *v = json_loads(m->json, JSON_DECODE_ANY, NULL);

		assert_non_null(v);
		assert_int_equal(json_object_set_new(o, m->member, v), 0);
	}
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

static const struct mutation refused[] = {
	{ NULL, NULL, "format", "\"other\"", { "format", NULL } },
	{ NULL, NULL, "format", NULL, { "format", NULL } },
	{ NULL, NULL, "version", "3", { "version", NULL } },
	{ NULL, NULL, "version", "\"2\"", { "version", NULL } },
	{ NULL, NULL, "default_max_len", "0", { "default_max_len", NULL } },
	{ NULL, NULL, "default_max_len", "65537", { "default_max_len", NULL } },
	{ NULL, NULL, "collections", "[]", { "collections", NULL } },
	{ NULL, NULL, "collections", "{}", { "collections", NULL } },
	{ NULL, NULL, "collections", "[1]", { "collection", "object" } },
	{ NULL, NULL, "organisations", NULL, { "organisations", NULL } },
	{ NULL, NULL, "organisations", "[{\"id\":\"a\",\"name_vi\":\"A\",\"kind\":\"club\"}]",
	    { "kind", NULL } },
	{ NULL, NULL, "organisations", "[{\"id\":\"a b\",\"name_vi\":\"A\",\"kind\":\"other\"}]",
	    { "a b", NULL } },
	{ NULL, NULL, "organisations", "[]", { "owner", "no organisation" } },
	{ NULL, NULL, "organisations",
	    "[{\"id\":\"a\",\"name_vi\":\"A\",\"kind\":\"other\"},{\"id\":\"a\",\"name_vi\":\"A\","
	    "\"kind\":\"other\"}]",
	    { "twice", NULL } },
	{ "dossier", NULL, "id", "\"school\"", { "school", "twice" } },
	{ "dossier", NULL, "id", "\"_registry\"", { "id", NULL } },
	{ "dossier", NULL, "id", "\"Dossier\"", { "id", NULL } },
	{ "dossier", NULL, "id", "\"\"", { "id", NULL } },
	{ "dossier", NULL, "id", NULL, { "id", "missing" } },
	{ "dossier", NULL, "lane", "\"fast\"", { "dossier", "lane" } },
	{ "dossier", NULL, "lane", NULL, { "dossier", "lane" } },
	{ "dossier", NULL, "unit_rule", "\"any\"", { "dossier", "unit_rule" } },
	{ "dossier", NULL, "cadence", "\"hourly\"", { "dossier", "cadence" } },
	{ "dossier", NULL, "writers", "[]", { "dossier", "writers" } },
	{ "dossier", NULL, "writers", "[\"hub\"]", { "dossier", "hub" } },
	{ "dossier", NULL, "creators", "[\"province\"]", { "dossier", "creators" } },
	{ "dossier", NULL, "creators", "[\"commune\",\"commune\"]", { "dossier", "twice" } },
	{ "dossier", NULL, "creators", "[\"commune\",\"department\"]",
	    { "dossier", "cannot be written" } },
	{ "dossier", NULL, "owner_departments", "[\"so_khac\"]", { "dossier", "so_khac" } },
	{ "dossier", NULL, "readers", "[\"so_khac\"]", { "dossier", "so_khac" } },
	{ "dossier", NULL, "immutable", "1", { "dossier", "immutable" } },
	{ "dossier", NULL, "secret_rule", "true", { "dossier", "secret_rule" } },
	{ "dossier", NULL, "contains_personal_data", "false", { "dossier", "personal-data" } },
	{ "dossier", NULL, "contains_sensitive_personal_data", "true",
	    { "dossier", "personal-data" } },
	{ "dossier", NULL, "key", "{\"fields\":[],\"example\":\"x\"}", { "dossier", "fields" } },
	{ "dossier", NULL, "key", "{\"fields\":[\"status\"],\"example\":\"x\"}",
	    { "dossier", "status" } },
	{ "dossier", NULL, "key", "{\"fields\":[\"nothing\"],\"example\":\"x\"}",
	    { "dossier", "nothing" } },
	{ "dossier", NULL, "key", "{\"fields\":[\"dossier_code\"]}", { "dossier", "example" } },
	{ "dossier", NULL, "key", "[]", { "dossier", "key" } },
	{ "dossier", NULL, "fields", "[]", { "dossier", "fields" } },
	{ "dossier", NULL, "fields", "[[]]", { "dossier", "object" } },
	{ "dossier", NULL, "checks", "{}", { "dossier", "checks" } },
	{ "dossier", NULL, "checks",
	    "[{\"left\":[\"due_date\"],\"op\":\"<=\",\"right\":[\"nothing\"]}]",
	    { "dossier", "nothing" } },
	{ "dossier", NULL, "checks",
	    "[{\"left\":[\"nothing\"],\"op\":\"<=\",\"right\":[\"due_date\"]}]",
	    { "dossier", "nothing" } },
	{ "dossier", NULL, "checks",
	    "[{\"left\":[\"due_date\"],\"op\":\"!=\",\"right\":[\"due_date\"]}]",
	    { "dossier", "op" } },
	{ "dossier", NULL, "checks",
	    "[{\"left\":[\"due_date\"],\"op\":\"<=\",\"right\":[\"status\"]}]",
	    { "dossier", "status" } },
	{ "dossier", NULL, "checks",
	    "[{\"left\":[\"due_date\"],\"op\":\"<=\",\"right\":[\"received_at\"]}]",
	    { "dossier", "received_at" } },
	{ "disaster_event", NULL, "checks",
	    "[{\"left\":[\"from_at\",\"to_at\"],\"op\":\"<=\",\"right\":[\"to_at\"]}]",
	    { "disaster_event", "from_at" } },
	{ "dossier", "status", "name", "\"due_date\"", { "dossier", "twice" } },
	{ "dossier", "status", "name", "\"_actor\"", { "dossier", "name" } },
	{ "dossier", "status", "name", "\"a-b\"", { "dossier", "name" } },
	{ "dossier", "status", "name", NULL, { "dossier", "name" } },
	{ "dossier", "status", "type", "\"float\"", { "\"status\"", "type" } },
	{ "dossier", "status", "type", "\"string\"", { "\"status\"", "values" } },
	{ "dossier", "status", "merge", "\"last\"", { "\"status\"", "merge" } },
	{ "dossier", "status", "merge", "\"max\"", { "\"status\"", "merge" } },
	{ "dossier", "status", "merge", "\"set\"", { "\"status\"", "list_separator" } },
	{ "dossier", "status", "authority", "\"all\"", { "\"status\"", "authority" } },
	{ "dossier", "status", "authority", "\"hub\"", { "\"status\"", "cannot be written" } },
	{ "dossier", "status", "personal", "\"secret\"", { "\"status\"", "personal" } },
	{ "dossier", "status", "personal", NULL, { "\"status\"", "personal" } },
	{ "dossier", "status", "required", "\"yes\"", { "\"status\"", "required" } },
	{ "dossier", "status", "required", NULL, { "\"status\"", "required" } },
	{ "dossier", "status", "indexed", NULL, { "\"status\"", "indexed" } },
	{ "dossier", "status", "title_vi", "\"\"", { "\"status\"", "title_vi" } },
	{ "dossier", "status", "title_vi", "\"e\\u0302\"", { "\"status\"", "NFC" } },
	{ "dossier", "status", "values", "[]", { "\"status\"", "values" } },
	{ "dossier", "status", "values", "[\"a\",\"a\"]", { "\"status\"", "twice" } },
	{ "dossier", "status", "values", "[\"\"]", { "\"status\"", "values" } },
	{ "dossier", "status", "values", "[1]", { "\"status\"", "values" } },
	{ "dossier", "status", "values", "[\"a\"]", { "\"status\"", "transitions" } },
	{ "dossier", "status", "transitions", "{\"nothing\":[]}", { "\"status\"", "nothing" } },
	{ "dossier", "status", "transitions", "{\"tiep_nhan\":[\"nothing\"]}",
	    { "\"status\"", "nothing" } },
	{ "dossier", "status", "transitions", "[]", { "\"status\"", "transitions" } },
	{ "dossier", "status", "transitions", "{\"tiep_nhan\":1}",
	    { "\"status\"", "transitions" } },
	{ "dossier", "status", "min", "1", { "\"status\"", "min" } },
	{ "dossier", "status", "max_len", "10", { "\"status\"", "max_len" } },
	{ "dossier", "status", "scale", "2", { "\"status\"", "scale" } },
	{ "dossier", "status", "list_separator", "\";\"", { "\"status\"", "list_separator" } },
	{ "dossier", "status", "is_unit", "true", { "\"status\"", "is_unit" } },
	{ "dossier", "status", "in_key", "true", { "dossier", "in_key" } },
	{ "dossier", "status", "ref", "\"nothing\"", { "\"status\"", "nothing" } },
	{ "dossier", "status", "ref", "\"school.nothing\"", { "\"status\"", "school.nothing" } },
	{ "dossier", "status", "ref", "\"nothing.school\"", { "\"status\"", "nothing.school" } },
	{ "dossier", "status", "ref", "\"dossier.status\"", { "\"status\"", "dossier.status" } },
	{ "dossier", "status", "rule_of_2030", "1", { "\"status\"", "rule_of_2030" } },
	{ "dossier", "procedure_name", "max_len", "0", { "procedure_name", "max_len" } },
	{ "dossier", "procedure_name", "max_len", "65537", { "procedure_name", "max_len" } },
	{ "dossier", "procedure_name", "indexed", "1", { "procedure_name", "indexed" } },
	{ "dossier", "procedure_name", "is_unit", "true", { "dossier", "is_unit" } },
	{ "dossier", "procedure_name", "list_separator", "\",\"",
	    { "procedure_name", "list_separator" } },
	{ "dossier", "dossier_code", "pattern", NULL, { "dossier_code", "pattern" } },
	{ "dossier", "dossier_code", "required", "false", { "dossier_code", "required" } },
	{ "dossier", "dossier_code", "personal", "\"basic\"", { "dossier_code", "personal" } },
	{ "dossier", "dossier_code", "in_key", "false", { "dossier", "dossier_code" } },
	{ "dossier", "due_date", "pattern", "\"^2$\\u0001\"", { "due_date", "pattern" } },
	{ "dossier", "due_date", "min", "20000", { "due_date", "min" } },
	{ "dossier", "due_date", "min", "\"2025-02-30\"", { "due_date", "min" } },
	{ "dossier", "received_at", "min", "1", { "received_at", "min" } },
	{ "dossier", "received_at", "pattern", "\"^a$\"", { "received_at", "pattern" } },
	{ "legacy_dossier", "received_date", "min", "\"2025-07-01\"", { "received_date", "min" } },
	{ "investment_project", "lat", "scale", NULL, { "\"lat\"", "scale" } },
	{ "investment_project", "lat", "scale", "19", { "\"lat\"", "scale" } },
	{ "investment_project", "lat", "scale", "-1", { "\"lat\"", "scale" } },
	{ "investment_project", "lat", "scale", "18",
	    { "\"lat\"", "max" } }, /* 24 * 10^18 is over 64 bits */
	{ "investment_project", "lat", "min", "0.5", { "\"lat\"", "min" } },
	{ "investment_project", "lat", "min", "\"0.1234567\"", { "\"lat\"", "min" } },
	{ "investment_project", "lat", "min", "25", { "\"lat\"", "min" } },
	{ "household_poverty", "members", "min", "\"1\"", { "members", "min" } },
};

static void
test_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const struct mutation *m = &refused[i];
		struct lt_catalogue *cat = NULL;
		struct lt_err err = { "" };
		char *text = mutate(m);
		int rc = lt_catalogue_parse(lt_slice_str(text), 1, &cat, &err);

		if (rc == LT_OK || strstr(err.text, m->says[0]) == NULL ||
		    (m->says[1] != NULL && strstr(err.text, m->says[1]) == NULL))
			fail_msg("%s %s %s = %s: %d \"%s\"", m->collection, m->field, m->member,
			    m->json, rc, err.text);
		assert_null(cat);
		free(text);
	}
	assert_true(i > 90);
}

/* The other side of the bounds above. */
static void
test_accepted(void **state)
{
	static const struct mutation cases[] = {
		{ NULL, NULL, "remark", "\"prose at the top is free\"", { NULL, NULL } },
		{ NULL, NULL, "default_max_len", "65536", { NULL, NULL } },
		{ "dossier", "procedure_name", "max_len", "65536", { NULL, NULL } },
		{ "dossier", "procedure_name", "max_len", "1", { NULL, NULL } },
		{ "dossier", "status", "transitions", NULL, { NULL, NULL } },
		{ "dossier", "due_date", "min", "\"2025-07-01\"", { NULL, NULL } },
		{ "investment_project", "lat", "min", "\"6.500000\"", { NULL, NULL } },
		{ "investment_project", "lat", "min", "24", { NULL, NULL } },
		{ "legacy_dossier", "received_date", "min", "\"2025-06-30\"", { NULL, NULL } },
		{ "disaster_event", NULL, "checks",
		    "[{\"left\":[\"to_at\"],\"op\":\">\",\"right\":[\"from_at\"]}]",
		    { NULL, NULL } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lt_catalogue *cat = NULL;
		struct lt_err err = { "" };
		char *text = mutate(&cases[i]);

		if (lt_catalogue_parse(lt_slice_str(text), 1, &cat, &err) != LT_OK)
			fail_msg("%s: %s", cases[i].json, err.text);
		lt_catalogue_unref(cat);
		free(text);
	}
}

static int
parse_text(const char *text, struct lt_err *err)
{
	struct lt_catalogue *cat = NULL;
	int rc = lt_catalogue_parse(lt_slice_str(text), 1, &cat, err);

	assert_null(cat);
	return rc;
}

/* What would cost memory is refused before it does. */
static void
test_hostile_json(void **state)
{
	char *s = malloc(LT_CATALOGUE_BYTES_MAX + 2);
	struct lt_err err = { "" };
	size_t i;

	(void)state;
	assert_non_null(s);
	assert_int_equal(parse_text("", &err), LT_E_INVALID);
	assert_int_equal(parse_text("[]", &err), LT_E_INVALID);
	assert_int_equal(parse_text("{", &err), LT_E_INVALID);
	assert_int_equal(parse_text("{\"version\":2,\"version\":2}", &err), LT_E_INVALID);
	assert_int_equal(parse_text("{\"format\":\"\xff\"}", &err), LT_E_INVALID);
	assert_int_equal(parse_text("{\"format\":\"a\\u0000b\"}", &err), LT_E_INVALID);
	memset(s, ' ', LT_CATALOGUE_BYTES_MAX + 1);
	s[LT_CATALOGUE_BYTES_MAX] = '\0';
	assert_int_equal(parse_text(s, &err), LT_E_INVALID);
	s[LT_CATALOGUE_BYTES_MAX] = ' ';
	s[LT_CATALOGUE_BYTES_MAX + 1] = '\0';
	assert_int_equal(parse_text(s, &err), LT_E_TOOBIG);
	memset(s, '[', 100000);
	s[100000] = '\0';
	assert_int_equal(parse_text(s, &err), LT_E_TOOBIG);
	memcpy(s, "{\"a\":[", 6);
	for (i = 0; i < 70000; i++)
		memcpy(s + 6 + 2 * i, "1,", 3);
	assert_int_equal(parse_text(s, &err), LT_E_TOOBIG);
	/* brackets in a text are no nesting */
	snprintf(s, 100, "{\"format\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[\",\"version\":2}");
	assert_int_equal(parse_text(s, &err), LT_E_INVALID);
	assert_non_null(strstr(err.text, "format"));
	free(s);
}

/* Each file cut short, or with one byte changed, is refused or loads; it never crashes. */
static void
test_damaged_file(void **state)
{
	uint8_t *copy = malloc(file.len);
	struct lt_catalogue *cat;
	size_t i;

	(void)state;
	assert_non_null(copy);
	memcpy(copy, file.data, file.len);
	for (i = 0; i + 2 < file.len; i += 1009) {
		cat = NULL;
		assert_int_not_equal(lt_catalogue_parse(lt_slice(copy, i), 1, &cat, NULL), LT_OK);
		copy[i] ^= 1u << (i / 1009 % 8);
		cat = NULL;
		if (lt_catalogue_parse(lt_slice(copy, file.len), 1, &cat, NULL) == LT_OK)
			lt_catalogue_unref(cat);
		copy[i] = file.data[i];
	}
	free(copy);
}

static void
test_patterns(void **state)
{
	static const struct {
		const char *pattern;
		int rc;
	} cases[] = {
		{ "^a$", LT_OK },
		{ "^[a-z][a-z0-9_]{1,63}$", LT_OK },
		{ "^([0-9]{2}|[0-9]{5})$", LT_OK },
		{ "^[-a]$", LT_OK },
		{ "^[a-]$", LT_OK },
		{ "^[^0-9]+$", LT_OK },
		{ "^a{255}$", LT_OK },
		{ "^a{256}$", LT_E_INVALID },
		{ "^a{1,255}$", LT_OK },
		{ "^a{1,256}$", LT_E_INVALID },
		{ "^a{1000}$", LT_E_INVALID },
		{ "^a{0}$", LT_E_INVALID },
		{ "^a{2,1}$", LT_E_INVALID },
		{ "^a{,2}$", LT_E_INVALID },
		{ "^a{2,}$", LT_OK },
		{ "^a{}$", LT_E_INVALID },
		{ "^a{2$", LT_E_INVALID },
		{ "^(a{100}){10}$", LT_OK },
		{ "^(a{100}){11}$", LT_E_INVALID },
		{ "^((a)*)*$", LT_E_INVALID },
		{ "^((a)+b)+$", LT_E_INVALID },
		{ "^((a){2}b){2}$", LT_E_INVALID },
		{ "^((a)?b)*$", LT_OK },
		{ "^((a)*b)?$", LT_OK },
		{ "^(((a)*b)?c)*$", LT_E_INVALID },
		{ "^a**$", LT_E_INVALID },
		{ "^a+?$", LT_E_INVALID },
		{ "^*$", LT_E_INVALID },
		{ "^()$", LT_E_INVALID },
		{ "^(a|)$", LT_E_INVALID },
		{ "^(a||b)$", LT_E_INVALID },
		{ "^(a$", LT_E_INVALID },
		{ "^a)$", LT_E_INVALID },
		{ "^a|b$", LT_E_INVALID },
		{ "^(a|b)$", LT_OK },
		{ "^a^b$", LT_E_INVALID },
		{ "^a$b$", LT_E_INVALID },
		{ "^[a$", LT_E_INVALID },
		{ "^[]$", LT_E_INVALID },
		{ "^[z-a]$", LT_E_INVALID },
		{ "^[[:alpha:]]$", LT_E_INVALID },
		{ "^[a[.b.]]$", LT_E_INVALID },
		{ "^\\d$", LT_E_INVALID },
		{ "^(a)\\1$", LT_E_INVALID },
		{ "^\xc4\x91$", LT_E_INVALID },
		{ "^a\t$", LT_E_INVALID },
		{ "a", LT_E_INVALID },
		{ "^a", LT_E_INVALID },
		{ "a$", LT_E_INVALID },
		{ "", LT_E_INVALID },
		{ "^", LT_E_INVALID },
		{ "^$", LT_E_INVALID },
		{ "^((((((((a))))))))$", LT_OK },
		{ "^(((((((((a)))))))))$", LT_E_INVALID },
		{ "^a]$", LT_E_INVALID },
		{ "^a}$", LT_E_INVALID },
	};
	char longest[LT_PATTERN_MAX + 2];
	size_t i, nodes;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lt_err err = { "" };
		int rc = lt_pattern_check(cases[i].pattern, &nodes, &err);
		regex_t regex;

		if (rc != cases[i].rc)
			fail_msg("%s: %d %s", cases[i].pattern, rc, err.text);
		if (rc != LT_OK)
			continue;
		/* what the check lets through compiles, and matches nothing longer than itself */
		assert_int_equal(lt_pattern_compile(cases[i].pattern, &regex, &err), LT_OK);
		assert_false(lt_pattern_match(&regex, "0\x01"));
		regfree(&regex);
	}
	memset(longest, 'a', sizeof(longest));
	longest[0] = '^';
	longest[LT_PATTERN_MAX - 1] = '$';
	longest[LT_PATTERN_MAX] = '\0';
	assert_int_equal(lt_pattern_check(longest, &nodes, NULL), LT_OK);
	assert_int_equal(nodes, LT_PATTERN_MAX - 2);
	longest[LT_PATTERN_MAX - 1] = 'a';
	longest[LT_PATTERN_MAX] = '$';
	longest[LT_PATTERN_MAX + 1] = '\0';
	assert_int_equal(lt_pattern_check(longest, &nodes, NULL), LT_E_TOOBIG);
}

/* Split and joined again it is the same catalogue, byte for byte on the second way round. */
static void
test_split_join(void **state)
{
	struct lt_catalogue_part *parts = NULL, *again = NULL, one[2];
	struct lt_arena arena;
	struct lt_buf json;
	struct lt_catalogue *a = load(), *b = NULL;
	struct lt_err err = { "" };
	size_t n = 0, m = 0, i;

	(void)state;
	lt_arena_init(&arena, (size_t)8 * 1024 * 1024);
	lt_buf_init(&json, LT_CATALOGUE_BYTES_MAX);
	assert_int_equal(lt_catalogue_split(lt_buf_slice(&file), &arena, &parts, &n, &err), LT_OK);
	assert_int_equal(n, 38);
	assert_string_equal(parts[0].id, "");
	for (i = 0; i < n; i++)
		assert_true(parts[i].json.len <= LT_VALUE_MAX);
	assert_int_equal(lt_catalogue_join(parts, n, &json, &err), LT_OK);
	assert_int_equal(lt_catalogue_parse(lt_buf_slice(&json), 1, &b, &err), LT_OK);
	assert_int_equal(lt_catalogue_count(a), lt_catalogue_count(b));
	for (i = 0; i < lt_catalogue_count(a); i++) {
		assert_string_equal(lt_catalogue_at(a, i)->id, lt_catalogue_at(b, i)->id);
		assert_int_equal(lt_catalogue_at(a, i)->nfield, lt_catalogue_at(b, i)->nfield);
	}
	assert_int_equal(lt_catalogue_split(lt_buf_slice(&json), &arena, &again, &m, &err), LT_OK);
	assert_int_equal(m, n);
	for (i = 0; i < n; i++) {
		assert_string_equal(parts[i].id, again[i].id);
		assert_true(lt_slice_eq(parts[i].json, again[i].json));
	}
	lt_buf_clear(&json);
	assert_int_equal(lt_catalogue_join(parts + 1, n - 1, &json, &err), LT_E_NOTFOUND);
	one[0] = one[1] = parts[0];
	assert_int_equal(lt_catalogue_join(one, 2, &json, &err), LT_E_INVALID);
	one[1] = parts[1];
	one[1].id = "other";
	assert_int_equal(lt_catalogue_join(one, 2, &json, &err), LT_E_INVALID);
	one[0].json = lt_buf_slice(&file); /* the common part must not hold collections */
	assert_int_equal(lt_catalogue_join(one, 1, &json, &err), LT_E_INVALID);
	assert_int_equal(lt_catalogue_split(lt_slice_str("{\"collections\":[{\"id\":\"../x\"}]}"),
			     &arena, &again, &m, &err),
	    LT_E_INVALID);
	lt_catalogue_unref(a);
	lt_catalogue_unref(b);
	lt_buf_fini(&json);
	lt_arena_fini(&arena);
}

#define NAMES 256

/* Names of every length, some of which differ in one letter only. */
static size_t
make_names(char name[NAMES][LT_NAME_MAX + 1])
{
	size_t n = 0, len, i, k, at[4];

	for (len = 1; len <= LT_NAME_MAX; len++) {
		at[0] = len; /* nowhere */
		at[1] = 0;
		at[2] = len - 1;
		at[3] = 8;
		for (i = 0; i < 4; i++) {
			if (at[i] > len)
				continue;
			memset(name[n], 'a', len);
			name[n][len] = '\0';
			if (at[i] < len)
				name[n][at[i]] = 'b';
			for (k = 0; k < n && strcmp(name[k], name[n]) != 0; k++)
				;
			n += k == n;
		}
	}
	return n;
}

static const struct lt_field *
one_by_one(const struct lt_collection *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nfield; i++)
		if (strcmp(c->field[i].rule.name, name) == 0)
			return &c->field[i];
	return NULL;
}

/* Every name with each of its letters changed, one less and one more is found where it stands, or not at all. */
static void
check_names_near(const struct lt_collection *c, const char *name)
{
	size_t len = strlen(name), i;
	const struct lt_field *f = one_by_one(c, name);
	char near[LT_NAME_MAX + 2];

	assert_ptr_equal(lt_collection_field(c, name), f);
	assert_ptr_equal(lt_collection_field_named(c, lt_slice_str(name)), f);
	for (i = 0; i < len; i++) {
		memcpy(near, name, len + 1);
		near[i] = name[i] == 'b' ? 'a' : 'b';
		assert_ptr_equal(lt_collection_field(c, near), one_by_one(c, near));
		near[i] = '\0'; /* bytes are compared, not text */
		assert_null(lt_collection_field_named(c, lt_slice(near, len)));
	}
	memcpy(near, name, len - 1);
	near[len - 1] = '\0';
	assert_ptr_equal(lt_collection_field(c, near), one_by_one(c, near));
	memcpy(near, name, len);
	memcpy(near + len, "b", 2);
	assert_ptr_equal(lt_collection_field(c, near), one_by_one(c, near));
	near[len] = '\0';
	assert_null(lt_collection_field_named(c, lt_slice(near, len + 1)));
}

static void
test_names(void **state)
{
	static char name[NAMES][LT_NAME_MAX + 1];
	size_t n = make_names(name), count[] = { 1, 2, 8, 9, 100, n }, i, j, k;

	(void)state;
	assert_true(n > 100);
	for (j = 0; j < sizeof(count) / sizeof(count[0]); j++) {
		struct lt_catalogue *c = lt_catalogue_new(0, 1);
		struct lt_collection *col = &c->collection[0];

		k = count[j];
		c->ncollection = 1;
		col->id = "names";
		col->nfield = k;
		col->field = lt_arena_alloc(&c->arena, k * sizeof(*col->field));
		for (i = 0; i < k; i++)
			col->field[i].rule.name = name[i];
		assert_int_equal(lt_catalogue_seal(c, NULL), LT_OK);
		for (i = 0; i < n; i++)
			check_names_near(col, name[i]);
		assert_null(lt_collection_field(col, ""));
		assert_null(lt_collection_field_named(col, lt_slice(NULL, 0)));
		lt_catalogue_unref(c);
	}
}

static void *
reader(void *arg)
{
	struct lt_catalogue *cat = arg;
	const struct lt_field *f;
	int i;

	for (i = 0; i < 2000; i++) {
		lt_catalogue_ref(cat);
		f = lt_collection_field(
		    lt_catalogue_find(cat, "household_poverty"), "household_no");
		if (!lt_field_matches(f, "HN00001") || lt_field_matches(f, "HN1"))
			return arg;
		lt_catalogue_unref(cat);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct lt_catalogue *cat = load();
	pthread_t t[4];
	void *wrong;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, reader, cat), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], &wrong), 0);
		assert_null(wrong);
	}
	lt_catalogue_unref(cat);
	lt_catalogue_unref(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_one_collection),
		cmocka_unit_test(test_locale),
		cmocka_unit_test(test_builtin),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_hostile_json),
		cmocka_unit_test(test_damaged_file),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_split_join),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, read_file, free_file);
}
