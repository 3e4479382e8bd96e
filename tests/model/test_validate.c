/* Admission, keys and the writing program's checks: the real records pass, everything else is refused
 * with its reason. */
#include "proto/model/validate.h"

#include "proto/base/file.h"
#include "proto/base/limits.h"
#include "proto/base/text.h"
#include "proto/model/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#define R(name) LTPB__REASON_CODE__REASON_##name
#define OK LTPB__REASON_CODE__REASON_UNSPECIFIED
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct lt_catalogue *cat;

static int
load(void **state)
{
	struct lt_buf b;
	struct lt_err err = { "" };
	int rc;

	(void)state;
	lt_buf_init(&b, 0);
	rc = lt_file_read(LT_PROTO_DATA "/catalogue.json", LT_CATALOGUE_BYTES_MAX, &b, &err);
	if (rc == LT_OK)
		rc = lt_catalogue_parse(lt_buf_slice(&b), 1, &cat, &err);
	lt_buf_fini(&b);
	return rc;
}

static int
unload(void **state)
{
	(void)state;
	lt_catalogue_unref(cat);
	return 0;
}

/* ---- making changes ---- */

/* A change under construction: fields by name, in the clear or committed. */
struct draft {
	struct lt_arena arena;
	const struct lt_collection *col;
	Ltpb__FieldSet *set[LT_FIELDS_MAX];
	size_t nset;
	Ltpb__FieldSet *personal[LT_FIELDS_MAX];
	size_t npersonal;
	char *cleared[LT_FIELDS_MAX];
	size_t ncleared;
	char *key;
	bool is_delete;
};

static void
draft_init(struct draft *d, const char *collection, const char *key)
{
	memset(d, 0, sizeof(*d));
	lt_arena_init(&d->arena, (size_t)8 * 1024 * 1024);
	d->col = lt_catalogue_find(cat, collection);
	d->key = lt_arena_dup(&d->arena, key, strlen(key));
}

static Ltpb__FieldSet *
make_field(struct draft *d, const char *name, enum lt_type type, uint32_t scale, const char *text)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(&d->arena, sizeof(*fs));
	struct lt_err err = { "" };

	assert_non_null(fs);
	ltpb__field_set__init(fs);
	fs->name = lt_arena_dup(&d->arena, name, strlen(name));
	if (lt_value_parse(type, scale, lt_slice_str(text), &d->arena, &fs->value, &err) != LT_OK)
		fail_msg("%s = %s: %s", name, text, err.text);
	return fs;
}

static void
insert(Ltpb__FieldSet **list, size_t *n, Ltpb__FieldSet *fs)
{
	size_t i = (*n)++;

	for (; i > 0 && strcmp(list[i - 1]->name, fs->name) > 0; i--)
		list[i] = list[i - 1];
	list[i] = fs;
}

/* Pack, decode as it would come over the wire, and ask. */
static int
admit(const struct draft *d, const char *collection, const struct lt_writer_info *who,
    struct lt_violation *v)
{
	Ltpb__Change pb = LTPB__CHANGE__INIT;
	struct lt_field_set opened[LT_FIELDS_MAX];
	char *names[LT_FIELDS_MAX];
	uint8_t root[LT_HASH_LEN] = { 1 };
	struct lt_arena arena;
	struct lt_change c;
	struct lt_buf raw, fs[LT_FIELDS_MAX];
	struct lt_err err = { "" };
	size_t i;
	int rc;

	pb.collection = (char *)collection;
	pb.key = d->key;
	pb.kind = d->is_delete ? LTPB__CHANGE_KIND__CHANGE_KIND_DELETE
			       : LTPB__CHANGE_KIND__CHANGE_KIND_PUT;
	pb.n_set = d->nset;
	pb.set = (Ltpb__FieldSet **)d->set;
	pb.n_cleared = d->ncleared;
	pb.cleared = (char **)d->cleared;
	for (i = 0; i < d->npersonal; i++)
		names[i] = d->personal[i]->name;
	pb.n_personal = d->npersonal;
	pb.personal = names;
	pb.personal_root.data = root;
	pb.personal_root.len = d->npersonal > 0 ? sizeof(root) : 0;
	lt_arena_init(&arena, (size_t)8 * 1024 * 1024);
	lt_buf_init(&raw, 0);
	assert_int_equal(lt_change_encode(&pb, &raw), LT_OK);
	if (lt_change_decode(lt_buf_slice(&raw), NULL, &arena, &c, &err) != LT_OK)
		fail_msg("%s", err.text);
	for (i = 0; i < d->npersonal; i++) {
		size_t n = ltpb__field_set__get_packed_size(d->personal[i]);

		lt_buf_init(&fs[i], 0);
		ltpb__field_set__pack(d->personal[i], lt_buf_reserve(&fs[i], n));
		lt_buf_added(&fs[i], n);
		assert_int_equal(
		    lt_field_set_decode(lt_buf_slice(&fs[i]), &arena, &opened[i], &err), LT_OK);
	}
	rc = lt_admit_change(cat, who, &c, opened, d->npersonal, v);
	assert_int_equal(lt_admit_change(cat, who, &c, opened, d->npersonal, NULL), rc);
	for (i = 0; i < d->npersonal; i++)
		lt_buf_fini(&fs[i]);
	lt_buf_fini(&raw);
	lt_arena_fini(&arena);
	return rc;
}

static void
set_unit(struct lt_unit *u, const char *code)
{
	assert_int_equal(lt_unit_set(u, lt_slice_str(code)), LT_OK);
}

/* ---- real records ---- */

static const char *
json_text(const json_t *v, const struct lt_field *f, char buf[64])
{
	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_integer(v))
		snprintf(buf, 64, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		snprintf(buf, 64, "%.*f", (int)f->scale, json_real_value(v));
	else
		snprintf(buf, 64, "%s", json_is_true(v) ? "true" : "false");
	return buf;
}

/* Every member that is not null becomes a field. keep: NULL or which fields to take. */
static void
draft_json(struct draft *d, json_t *values, bool (*keep)(const struct lt_field *f))
{
	const char *name;
	json_t *v;

	json_object_foreach(values, name, v)
	{
		const struct lt_field *f = lt_collection_field(d->col, name);
		Ltpb__FieldSet *fs;
		char buf[64];

		if (strcmp(name, "collection") == 0 || json_is_null(v))
			continue;
		if (f == NULL)
			fail_msg("no field %s in %s", name, d->col->id);
		if (keep != NULL && !keep(f))
			continue;
		fs = make_field(d, name, f->rule.type, f->scale, json_text(v, f, buf));
		if (f->rule.personal != LT_PERSONAL_NONE)
			insert(d->personal, &d->npersonal, fs);
		else
			insert(d->set, &d->nset, fs);
	}
}

/* Take the key's fields out of the draft and build the key from them. */
static void
draft_key(struct draft *d, const struct lt_unit *unit)
{
	struct lt_violation v;
	struct lt_buf key;
	size_t i, kept = 0;

	lt_buf_init(&key, 0);
	if (lt_key_build(d->col, unit, (const Ltpb__FieldSet *const *)d->set, d->nset, &key, &v) !=
	    LT_OK)
		fail_msg("%s", v.message);
	d->key = lt_arena_dup(&d->arena, key.data, key.len);
	lt_buf_fini(&key);
	for (i = 0; i < d->nset; i++)
		if (!lt_collection_field(d->col, d->set[i]->name)->in_key)
			d->set[kept++] = d->set[i];
	d->nset = kept;
}

static void
expect_writable(const struct draft *d, unsigned writer)
{
	const Ltpb__FieldSet *all[2 * LT_FIELDS_MAX];
	struct lt_shown nothing = { 0 };
	struct lt_violation v;
	size_t n = 0, i;

	for (i = 0; i < d->nset; i++)
		all[n++] = d->set[i];
	for (i = 0; i < d->npersonal; i++)
		all[n++] = d->personal[i];
	if (lt_write_check(d->col, writer, &nothing, all, n, NULL, 0, false, &v) != LT_OK)
		fail_msg("%s %s: %s", d->col->id, d->key, v.message);
}

static void
expect_admitted(const struct draft *d, const struct lt_writer_info *who)
{
	struct lt_violation v = { 0 };

	if (admit(d, d->col->id, who, &v) != LT_OK)
		fail_msg("%s %s: %s", d->col->id, d->key, v.message);
}

static bool
not_of_the_hub(const struct lt_field *f)
{
	return f->rule.authority != LT_AUTHORITY_HUB;
}

/* All 113 directives and proposals, as the hub makes them for the province; and the proposals of a single
 * commune, as that commune would. */
static void
test_directives(void **state)
{
	FILE *in = fopen(LT_SOURCE_DIR "/tools/data/directives.jsonl", "r");
	char line[32768];
	size_t n = 0, alone = 0;

	(void)state;
	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		json_t *o = json_loads(line, 0, NULL);
		const char *by = json_string_value(json_object_get(o, "submitted_by"));
		const char *collection = json_string_value(json_object_get(o, "collection"));
		struct lt_writer_info who = { .by_hub = true };
		struct draft d;

		assert_non_null(o);
		draft_init(&d, collection, "");
		set_unit(&who.province, json_string_value(json_object_get(o, "province_code")));
		who.unit = who.province;
		who.lane = d.col->lane;
		draft_json(&d, o, NULL);
		draft_key(&d, &who.unit);
		expect_admitted(&d, &who);
		expect_writable(&d, LT_WRITER_PROVINCE);
		lt_arena_fini(&d.arena);
		n++;
		if (by != NULL && strncmp(by, "commune:", 8) == 0 && strlen(by) == 13) {
			draft_init(&d, collection, "");
			set_unit(&who.unit, by + 8);
			who.by_hub = false;
			draft_json(&d, o, not_of_the_hub);
			draft_key(&d, &who.unit);
			expect_admitted(&d, &who);
			expect_writable(&d, LT_WRITER_COMMUNE);
			lt_arena_fini(&d.arena);
			alone++;
		}
		json_decref(o);
	}
	assert_int_equal(fclose(in), 0);
	assert_int_equal(n, 113);
	assert_int_equal(alone, 3);
}

static size_t
sample_imports(const char *path)
{
	FILE *in = fopen(path, "r");
	json_t *head = NULL;
	char line[32768];
	size_t n = 0;

	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		json_t *o = json_loads(line, 0, NULL), *values = json_object_get(o, "values");
		const char *result = json_string_value(json_object_get(o, "result"));
		struct lt_writer_info who = { .by_hub = false };
		struct draft d;

		assert_non_null(o);
		if (head == NULL) {
			head = o;
			continue;
		}
		if (strcmp(result, "import") == 0) {
			draft_init(&d, json_string_value(json_object_get(head, "collection")), "");
			set_unit(
			    &who.unit, json_string_value(json_object_get(values, "commune_code")));
			set_unit(&who.province, "40");
			who.lane = d.col->lane;
			draft_json(&d, values, NULL);
			draft_key(&d, &who.unit);
			assert_string_equal(d.key, json_string_value(json_object_get(o, "key")));
			expect_admitted(&d, &who);
			expect_writable(&d, LT_WRITER_COMMUNE);
			lt_arena_fini(&d.arena);
			n++;
		}
		json_decref(o);
	}
	assert_int_equal(fclose(in), 0);
	json_decref(head);
	return n;
}

static void
test_samples(void **state)
{
	(void)state;
	assert_int_equal(
	    sample_imports(LT_TEST_DATA "/sample/a_ho_ngheo_luong_minh.expected.jsonl"), 5);
	assert_int_equal(sample_imports(LT_TEST_DATA "/sample/b_du_an_ia_ko.expected.jsonl"), 6);
	assert_int_equal(
	    sample_imports(LT_TEST_DATA "/sample/c_ho_so_cu_ia_ko_tcvn3.expected.jsonl"), 4);
	assert_int_equal(
	    sample_imports(LT_TEST_DATA "/sample/d_ho_so_cu_ia_ko_cp1258.expected.jsonl"), 4);
}

/* The example key of every collection splits, and building from the parts gives it again. */
static void
test_example_keys(void **state)
{
	struct lt_buf b;
	json_t *root, *cols;
	size_t i;

	(void)state;
	lt_buf_init(&b, 0);
	assert_int_equal(
	    lt_file_read(LT_PROTO_DATA "/catalogue.json", LT_CATALOGUE_BYTES_MAX, &b, NULL), LT_OK);
	root = json_loadb((const char *)b.data, b.len, 0, NULL);
	cols = json_object_get(root, "collections");
	for (i = 0; i < json_array_size(cols); i++) {
		json_t *o = json_array_get(cols, i);
		const struct lt_collection *c =
		    lt_catalogue_find(cat, json_string_value(json_object_get(o, "id")));
		const char *key =
		    json_string_value(json_object_get(json_object_get(o, "key"), "example"));
		struct lt_violation v;
		struct lt_arena arena;
		Ltpb__FieldSet **fields;
		struct lt_unit unit;
		struct lt_buf again;
		size_t n, k;

		lt_arena_init(&arena, 65536);
		if (lt_key_split(c, key, &arena, &fields, &n, &v) != LT_OK)
			fail_msg("%s %s: %s", c->id, key, v.message);
		assert_int_equal(n, c->nkey);
		set_unit(&unit, "23977");
		for (k = 0; k < n; k++) {
			assert_string_equal(fields[k]->name, c->field[c->key[k]].rule.name);
			if (c->field[c->key[k]].is_unit)
				set_unit(&unit, fields[k]->value->text);
		}
		lt_buf_init(&again, 0);
		assert_int_equal(
		    lt_key_build(c, &unit, (const Ltpb__FieldSet *const *)fields, n, &again, &v),
		    LT_OK);
		assert_true(lt_slice_eq(lt_buf_slice(&again), lt_slice_str(key)));
		lt_buf_fini(&again);
		lt_arena_fini(&arena);
	}
	assert_int_equal(i, 37);
	json_decref(root);
	lt_buf_fini(&b);
}

/* ---- one rule at a time ---- */

struct admit_case {
	const char *descr;
	const char *collection;
	const char *unit;
	bool by_hub;
	const char *key;
	const char *set; /* name=text|name=text; name:type=text for another type than the field's */
	const char *personal; /* likewise, committed and opened */
	const char *cleared; /* name|name */
	Ltpb__ReasonCode reason;
	const char *field;
};

static enum lt_type
type_word(const char *s)
{
	static const char *words[] = { "text", "int", "decimal", "bool", "date", "timestamp",
		"bytes", "enum", "set" };
	size_t i;

	for (i = 0; i < COUNT(words); i++)
		if (strcmp(words[i], s) == 0)
			return (enum lt_type)i;
	fail_msg("no type %s", s);
	return LT_TYPE_TEXT;
}

static void
draft_fields(struct draft *d, const char *spec, Ltpb__FieldSet **list, size_t *n)
{
	char *copy = strdup(spec), *save = NULL, *item;

	assert_non_null(copy);
	for (item = strtok_r(copy, "|", &save); item != NULL; item = strtok_r(NULL, "|", &save)) {
		char *value = strchr(item, '='), *type;
		const struct lt_field *f;

		assert_non_null(value);
		*value++ = '\0';
		type = strchr(item, ':');
		if (type != NULL)
			*type++ = '\0';
		f = d->col == NULL ? NULL : lt_collection_field(d->col, item);
		if (type != NULL) {
			/* a decimal's digits give its scale */
			const char *point = strchr(value, '.');

			insert(list, n,
			    make_field(d, item, type_word(type),
				point == NULL ? 0 : (uint32_t)strlen(point + 1), value));
		} else {
			insert(list, n,
			    make_field(d, item, f == NULL ? LT_TYPE_TEXT : f->rule.type,
				f == NULL ? 0 : f->scale, value));
		}
	}
	free(copy);
}

static void
draft_cleared(struct draft *d, const char *spec)
{
	char *copy = lt_arena_dup(&d->arena, spec, strlen(spec)), *save = NULL, *item;

	for (item = strtok_r(copy, "|", &save); item != NULL; item = strtok_r(NULL, "|", &save))
		d->cleared[d->ncleared++] = item;
}

#define HP "household_poverty"
#define HP_KEY "16906/HN00001"
#define IP "investment_project"
#define IP_KEY "23977/DA0001"
#define COMMUNE "16906", false
#define ZEROS "0000000000000000000000000000000"

static const struct admit_case admit_cases[] = {
	/* collection, lane (see test_lane), unit */
	{ "a field of its own", HP, COMMUNE, HP_KEY, "village=Bản Một", NULL, NULL, OK, "" },
	{ "nothing but existence", HP, COMMUNE, HP_KEY, NULL, NULL, NULL, OK, "" },
	{ "unknown collection", "household", COMMUNE, "x", NULL, NULL, NULL, R(UNKNOWN_COLLECTION),
	    "" },
	{ "reserved act", "_adopt", "_", true, "x", NULL, NULL, NULL, R(UNKNOWN_COLLECTION), "" },
	{ "a commune's record in the province", HP, "40", true, "40/HN00001", NULL, NULL, NULL,
	    R(FOREIGN_UNIT), "" },
	{ "a province's record in a commune", "disaster_event", "16906", false, "TT-40-2025-05",
	    NULL, NULL, NULL, R(FOREIGN_UNIT), "" },
	{ "a province's record by the hub in a commune", "disaster_event", "16906", true,
	    "TT-40-2025-05", NULL, NULL, NULL, R(FOREIGN_UNIT), "" },
	{ "a province's record by the hub", "disaster_event", "40", true, "TT-40-2025-05",
	    "kind=bao", NULL, NULL, OK, "" },
	{ "a province's record by a node", "disaster_event", "40", false, "TT-40-2025-05", NULL,
	    NULL, NULL, R(FOREIGN_UNIT), "" },
	{ "another province", "disaster_event", "52", true, "TT-40-2025-05", NULL, NULL, NULL,
	    R(FOREIGN_UNIT), "" },
	{ "a proposal of the province", "proposal", "40", true, "KN-40-20250711-01", "text=a", NULL,
	    NULL, OK, "" },
	{ "a proposal of a commune", "proposal", COMMUNE, "KN-40-20250711-01", "text=a", NULL, NULL,
	    OK, "" },
	{ "a proposal of the province by a node", "proposal", "40", false, "KN-40-20250711-01",
	    "text=a", NULL, NULL, R(FOREIGN_UNIT), "" },
	{ "a proposal in _", "proposal", "_", true, "KN-40-20250711-01", "text=a", NULL, NULL,
	    R(FOREIGN_UNIT), "" },
	/* acts */
	{ "an act by the hub", "_unit", "_", true, "16906", "name=Xã Lượng Minh", NULL, NULL, OK,
	    "" },
	{ "an act by a node", "_unit", "_", false, "16906", "name=Xã Lượng Minh", NULL, NULL,
	    R(AUTHORITY), "" },
	{ "an act in a commune", "_unit", "16906", true, "16906", NULL, NULL, NULL, R(FOREIGN_UNIT),
	    "" },
	{ "an act with a bad key", "_registry", "_", true, "0123", NULL, NULL, NULL, R(BAD_KEY),
	    "principal" },
	{ "a principal", "_registry", "_", true, ZEROS "1",
	    "role=node|state=active|unit=16906|generation=1", NULL, NULL, OK, "" },
	{ "a principal of no role", "_registry", "_", true, ZEROS "1", "role=king", NULL, NULL,
	    R(ENUM), "role" },
	{ "a grant on everything", "_grant", "_", true, ZEROS "1/1",
	    "verbs=read|units=*|fields=a;b", NULL, NULL, OK, "" },
	{ "a grant with half a wildcard", "_grant", "_", true, ZEROS "1/1", "units=4*", NULL, NULL,
	    R(SET), "units" },
	{ "a sign key", "_key", "_", true, ZEROS "1/1",
	    "sign_key=0000000000000000000000000000000000000000000000000000000000000000", NULL, NULL,
	    OK, "" },
	{ "a sign key of 33 bytes", "_key", "_", true, ZEROS "1/1",
	    "sign_key=000000000000000000000000000000000000000000000000000000000000000000", NULL,
	    NULL, R(TOO_LONG), "sign_key" },
	{ "a catalogue version", "_catalogue", "_", true, "3", "json={}|count=37", NULL, NULL, OK,
	    "" },
	{ "a part of it", "_catalogue", "_", true, "3/dossier", "json={}", NULL, NULL, OK, "" },
	{ "a part of a part", "_catalogue", "_", true, "3/dossier/x", "json={}", NULL, NULL,
	    R(BAD_KEY), "" },
	{ "version 0", "_catalogue", "_", true, "0", "json={}", NULL, NULL, R(BAD_KEY), "version" },
	{ "a verdict in a commune", "_verdict", "16906", true, ZEROS ZEROS "/1", NULL, NULL, NULL,
	    R(BAD_KEY), "feed" },
	{ "a verdict of a feed", "_verdict", "16906", true,
	    "00000000000000000000000000000000000000000000000000/1", "verdict=00", NULL, NULL, OK,
	    "" },
	{ "a ruling on a feed", "_ruling", "16906", true,
	    "00000000000000000000000000000000000000000000000000/1/0123456789abcdef", "ruling=00",
	    NULL, NULL, OK, "" },
	{ "a ruling on nobody's branch", "_ruling", "16906", true,
	    "00000000000000000000000000000000000000000000000000/1", "ruling=00", NULL, NULL,
	    R(BAD_KEY), "other" },
	{ "a successor of nothing", "_succession", "_", true, "_/00101", "kind=whole", NULL, NULL,
	    OK, "" },
	/* keys */
	{ "a key part missing", HP, COMMUNE, "16906", NULL, NULL, NULL, R(BAD_KEY),
	    "household_no" },
	{ "a key part too many", HP, COMMUNE, "16906/HN00001/1", NULL, NULL, NULL, R(BAD_KEY), "" },
	{ "an empty key part", HP, COMMUNE, "16906/", NULL, NULL, NULL, R(BAD_KEY),
	    "household_no" },
	{ "a key that begins with /", HP, COMMUNE, "/HN00001", NULL, NULL, NULL, R(BAD_KEY),
	    "commune_code" },
	{ "a key part against its pattern", HP, COMMUNE, "16906/HN0001", NULL, NULL, NULL,
	    R(BAD_KEY), "household_no" },
	{ "the shortest number", HP, COMMUNE, "16906/HN00001", NULL, NULL, NULL, OK, "" },
	{ "the longest number", HP, COMMUNE, "16906/HN000001", NULL, NULL, NULL, OK, "" },
	{ "a number too long", HP, COMMUNE, "16906/HN0000001", NULL, NULL, NULL, R(BAD_KEY),
	    "household_no" },
	{ "an unreserved character encoded", HP, COMMUNE, "16906/%48N00001", NULL, NULL, NULL,
	    R(BAD_KEY), "household_no" },
	{ "encoded NUL", HP, COMMUNE, "16906/%00", NULL, NULL, NULL, R(BAD_KEY), "household_no" },
	{ "half an escape", HP, COMMUNE, "16906/HN0000%2", NULL, NULL, NULL, R(BAD_KEY),
	    "household_no" },
	{ "another commune in the key", HP, COMMUNE, "16855/HN00001", NULL, NULL, NULL,
	    R(UNIT_FIELD), "commune_code" },
	{ "a day that is none", "dossier_daily_summary", "23977", false, "23977/2025-02-29/dat_dai",
	    NULL, NULL, NULL, R(BAD_KEY), "report_date" },
	{ "a leap day", "dossier_daily_summary", "23977", false, "23977/2024-02-29/dat_dai", NULL,
	    NULL, NULL, OK, "" },
	{ "a field area that is none", "dossier_daily_summary", "23977", false,
	    "23977/2025-02-28/ao_ho", NULL, NULL, NULL, R(BAD_KEY), "field_area" },
	{ "a year with zeros", "target", "23977", true, "23977/02025/ty_le_ho_ngheo", NULL, NULL,
	    NULL, R(BAD_KEY), "year" },
	{ "a year above the range", "target", "23977", true, "23977/2101/ty_le_ho_ngheo", NULL,
	    NULL, NULL, R(BAD_KEY), "year" },
	{ "the last year", "target", "23977", true, "23977/2100/ty_le_ho_ngheo", NULL, NULL, NULL,
	    OK, "" },
	/* fields */
	{ "unknown field", HP, COMMUNE, HP_KEY, "shoe_size=40", NULL, NULL, R(UNKNOWN_FIELD),
	    "shoe_size" },
	{ "a key field as a field", HP, COMMUNE, HP_KEY, "household_no=HN00001", NULL, NULL,
	    R(BAD_KEY), "household_no" },
	{ "the unit as a field", "dossier", COMMUNE, "H21.65-250709-0001", "commune_code=16906",
	    NULL, NULL, OK, "" },
	{ "another unit as a field", "dossier", COMMUNE, "H21.65-250709-0001", "commune_code=16855",
	    NULL, NULL, R(UNIT_FIELD), "commune_code" },
	{ "the unit cleared", "dossier", COMMUNE, "H21.65-250709-0001", NULL, NULL, "commune_code",
	    R(UNIT_FIELD), "commune_code" },
	{ "unknown field cleared", HP, COMMUNE, HP_KEY, NULL, NULL, "shoe_size", R(UNKNOWN_FIELD),
	    "shoe_size" },
	{ "a key field cleared", HP, COMMUNE, HP_KEY, NULL, NULL, "household_no", R(BAD_KEY),
	    "household_no" },
	{ "own fields cleared, personal ones too", HP, COMMUNE, HP_KEY, NULL, NULL,
	    "head_id_no|village", OK, "" },
	/* authority */
	{ "the hub's field by a commune", IP, "23977", false, IP_KEY, "decision_no=1", NULL, NULL,
	    R(AUTHORITY), "decision_no" },
	{ "the hub's field by the hub", IP, "23977", true, IP_KEY, "decision_no=1", NULL, NULL, OK,
	    "" },
	{ "the hub's field cleared by a commune", IP, "23977", false, IP_KEY, NULL, NULL,
	    "decision_no", R(AUTHORITY), "decision_no" },
	{ "the unit's field by the hub", IP, "23977", true, IP_KEY, "priority=1", NULL, NULL,
	    R(AUTHORITY), "priority" },
	{ "anybody's field by the hub", IP, "23977", true, IP_KEY, "stage=thi_cong", NULL, NULL, OK,
	    "" },
	{ "the unit's field by the hub for the province", "proposal", "40", true,
	    "KN-40-20250711-01", "submitter_kind=commune", NULL, NULL, OK, "" },
	{ "a personal field by the hub", HP, "16906", true, HP_KEY, NULL, "head_name=Lô Văn A",
	    NULL, R(AUTHORITY), "head_name" },
	/* types */
	{ "text for a number", IP, "23977", false, IP_KEY, "priority:text=1", NULL, NULL,
	    R(WRONG_TYPE), "priority" },
	{ "enum for text", HP, COMMUNE, HP_KEY, "village:enum=a", NULL, NULL, R(WRONG_TYPE),
	    "village" },
	{ "text for a set", HP, COMMUNE, HP_KEY, "policy_codes:text=a", NULL, NULL, R(WRONG_TYPE),
	    "policy_codes" },
	{ "a number for a decimal", IP, "23977", false, IP_KEY, "progress_percent:int=5", NULL,
	    NULL, R(WRONG_TYPE), "progress_percent" },
	{ "a timestamp for a date", HP, COMMUNE, HP_KEY,
	    "reviewed_date:timestamp=2025-07-01T00:00:00Z", NULL, NULL, R(WRONG_TYPE),
	    "reviewed_date" },
	{ "text for a truth value", HP, COMMUNE, HP_KEY, "social_protection:text=true", NULL, NULL,
	    R(WRONG_TYPE), "social_protection" },
	/* ranges */
	{ "at the minimum", IP, "23977", false, IP_KEY, "priority=1", NULL, NULL, OK, "" },
	{ "below the minimum", IP, "23977", false, IP_KEY, "priority=0", NULL, NULL, R(RANGE),
	    "priority" },
	{ "at the maximum", IP, "23977", false, IP_KEY, "finish_year=2100", NULL, NULL, OK, "" },
	{ "above the maximum", IP, "23977", false, IP_KEY, "finish_year=2101", NULL, NULL, R(RANGE),
	    "finish_year" },
	{ "a decimal at the maximum", IP, "23977", false, IP_KEY, "progress_percent=100.0", NULL,
	    NULL, OK, "" },
	{ "a decimal above the maximum", IP, "23977", false, IP_KEY, "progress_percent=100.1", NULL,
	    NULL, R(RANGE), "progress_percent" },
	{ "a decimal below the minimum", IP, "23977", false, IP_KEY, "lat=5.999999", NULL, NULL,
	    R(RANGE), "lat" },
	{ "a decimal at the minimum", IP, "23977", false, IP_KEY, "lat=6", NULL, NULL, OK, "" },
	{ "a decimal of fewer digits", IP, "23977", false, IP_KEY, "lat:decimal=23.5", NULL, NULL,
	    OK, "" },
	{ "a decimal of more digits", IP, "23977", false, IP_KEY, "lat:decimal=23.5000000", NULL,
	    NULL, R(RANGE), "lat" },
	{ "a decimal that overflows at the field's scale", IP, "23977", false, IP_KEY,
	    "lat:decimal=9223372036854775.0", NULL, NULL, R(RANGE), "lat" },
	{ "a date at the maximum", "legacy_dossier", "23977", false, "mot_cua/2021-3",
	    "received_date=2025-06-30", NULL, NULL, OK, "" },
	{ "a date above the maximum", "legacy_dossier", "23977", false, "mot_cua/2021-3",
	    "received_date=2025-07-01", NULL, NULL, R(RANGE), "received_date" },
	/* enums, patterns, sets */
	{ "a listed value", HP, COMMUNE, HP_KEY, "class=ngheo", NULL, NULL, OK, "" },
	{ "a value that is not listed", HP, COMMUNE, HP_KEY, "class=giau", NULL, NULL, R(ENUM),
	    "class" },
	{ "an empty value", HP, COMMUNE, HP_KEY, "class=", NULL, NULL, R(ENUM), "class" },
	{ "a pattern", "dossier", COMMUNE, "H21.65-250709-0001", "procedure_code=1.004082", NULL,
	    NULL, OK, "" },
	{ "against the pattern", "dossier", COMMUNE, "H21.65-250709-0001", "procedure_code=1.00408",
	    NULL, NULL, R(PATTERN), "procedure_code" },
	{ "a pattern only in the middle", "dossier", COMMUNE, "H21.65-250709-0001",
	    "procedure_code=x1.004082x", NULL, NULL, R(PATTERN), "procedure_code" },
	{ "a list", HP, COMMUNE, HP_KEY, "policy_codes=A.1;b_2:c-3", NULL, NULL, OK, "" },
	{ "an empty list", HP, COMMUNE, HP_KEY, "policy_codes=", NULL, NULL, OK, "" },
	{ "a list with a blank in a code", HP, COMMUNE, HP_KEY, "policy_codes=a b", NULL, NULL,
	    R(SET), "policy_codes" },
	{ "a list with a wildcard", HP, COMMUNE, HP_KEY, "policy_codes=*", NULL, NULL, R(SET),
	    "policy_codes" },
	{ "a list with marks", HP, COMMUNE, HP_KEY, "policy_codes=đất", NULL, NULL, R(SET),
	    "policy_codes" },
	/* personal data */
	{ "committed", HP, COMMUNE, HP_KEY, NULL,
	    "head_name=Lô Văn A|head_id_no=099085000001|_actor=u1", NULL, OK, "" },
	{ "in the clear", HP, COMMUNE, HP_KEY, "head_name=Lô Văn A", NULL, NULL,
	    R(PERSONAL_IN_CLEAR), "head_name" },
	{ "sensitive in the clear", HP, COMMUNE, HP_KEY, "ethnicity=Thái", NULL, NULL,
	    R(PERSONAL_IN_CLEAR), "ethnicity" },
	{ "the actor in the clear", HP, COMMUNE, HP_KEY, "_actor=u1", NULL, NULL,
	    R(PERSONAL_IN_CLEAR), "_actor" },
	{ "committed but not personal", HP, COMMUNE, HP_KEY, NULL, "village=a", NULL, R(BAD_LEAF),
	    "village" },
	{ "committed and unknown", HP, COMMUNE, HP_KEY, NULL, "shoe_size=a", NULL, R(UNKNOWN_FIELD),
	    "shoe_size" },
	{ "an opened value against its pattern", HP, COMMUNE, HP_KEY, NULL,
	    "head_id_no=09908500000", NULL, R(PATTERN), "head_id_no" },
	{ "an opened value of another type", HP, COMMUNE, HP_KEY, NULL, "head_name:int=1", NULL,
	    R(WRONG_TYPE), "head_name" },
	{ "an opened list", HP, COMMUNE, HP_KEY, NULL, "deprivation_codes=nha_o;viec_lam", NULL, OK,
	    "" },
	{ "an actor that is a number", HP, COMMUNE, HP_KEY, NULL, "_actor:int=1", NULL,
	    R(WRONG_TYPE), "_actor" },
};

static void
test_admit_table(void **state)
{
	bool seen[64] = { false };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(admit_cases); i++) {
		const struct admit_case *c = &admit_cases[i];
		struct lt_writer_info who = { .by_hub = c->by_hub };
		struct lt_violation v = { 0 };
		struct draft d;
		int rc;

		draft_init(&d, c->collection, c->key);
		set_unit(&who.unit, c->unit);
		set_unit(&who.province, "40");
		who.lane = d.col == NULL ? LT_LANE_NORMAL : d.col->lane;
		if (c->set != NULL)
			draft_fields(&d, c->set, d.set, &d.nset);
		if (c->personal != NULL)
			draft_fields(&d, c->personal, d.personal, &d.npersonal);
		if (c->cleared != NULL)
			draft_cleared(&d, c->cleared);
		rc = admit(&d, c->collection, &who, &v);
		if ((rc == LT_OK) != (c->reason == OK) || v.reason != c->reason ||
		    strcmp(v.field, c->field) != 0)
			fail_msg("%s: rc %d, reason %s, field \"%s\", \"%s\"", c->descr, rc,
			    lt_reason_name(v.reason), v.field, v.message);
		if (rc != LT_OK &&
		    (v.rule[0] == '\0' || v.message[0] == '\0' || v.message_vi[0] == '\0'))
			fail_msg("%s: no words", c->descr);
		assert_true(lt_text_valid(lt_slice_str(v.message_vi)));
		if (rc != LT_OK && c->field[0] != '\0')
			assert_non_null(strstr(v.message, c->field));
		seen[c->reason] = true;
		lt_arena_fini(&d.arena);
	}
	assert_true(seen[R(UNKNOWN_COLLECTION)] && seen[R(UNKNOWN_FIELD)] && seen[R(WRONG_TYPE)]);
	assert_true(seen[R(RANGE)] && seen[R(PATTERN)] && seen[R(TOO_LONG)] && seen[R(BAD_KEY)]);
	assert_true(seen[R(FOREIGN_UNIT)] && seen[R(AUTHORITY)] && seen[R(BAD_LEAF)] &&
		    seen[R(UNIT_FIELD)]);
	assert_true(seen[R(ENUM)] && seen[R(PERSONAL_IN_CLEAR)] && seen[R(SET)]);
}

/* Whatever decodes after a bit was flipped is admitted or refused with words; nothing crashes. */
static void
test_admit_damaged(void **state)
{
	struct lt_writer_info who = { .lane = LT_LANE_NORMAL };
	Ltpb__Change pb = LTPB__CHANGE__INIT;
	size_t i, admitted = 0, refused = 0;
	struct lt_buf raw;
	struct draft d;

	(void)state;
	draft_init(&d, HP, HP_KEY);
	draft_fields(&d,
	    "village=Bản Một|members=5|class=ngheo|policy_codes=a;b|reviewed_date=2025-09-15|"
	    "social_protection=true",
	    d.set, &d.nset);
	set_unit(&who.unit, "16906");
	set_unit(&who.province, "40");
	pb.collection = (char *)d.col->id;
	pb.key = d.key;
	pb.kind = LTPB__CHANGE_KIND__CHANGE_KIND_PUT;
	pb.n_set = d.nset;
	pb.set = d.set;
	lt_buf_init(&raw, 0);
	assert_int_equal(lt_change_encode(&pb, &raw), LT_OK);
	for (i = 0; i < raw.len * 8; i++) {
		struct lt_violation v = { 0 };
		struct lt_arena arena;
		struct lt_change c;

		lt_arena_init(&arena, lt_arena_cap_for(raw.len));
		raw.data[i / 8] ^= (uint8_t)(1u << i % 8);
		if (lt_change_decode(lt_buf_slice(&raw), NULL, &arena, &c, NULL) == LT_OK) {
			if (lt_admit_change(cat, &who, &c, NULL, 0, &v) == LT_OK) {
				admitted++;
			} else {
				refused++;
				assert_true(v.message[0] != '\0' && v.reason != OK);
				assert_true(lt_text_valid(lt_slice_str(v.message)));
				assert_true(lt_text_valid(lt_slice_str(v.message_vi)));
			}
		}
		raw.data[i / 8] ^= (uint8_t)(1u << i % 8);
		lt_arena_fini(&arena);
	}
	assert_true(admitted > 0 && refused > 0);
	lt_buf_fini(&raw);
	lt_arena_fini(&d.arena);
}

static void
test_lane(void **state)
{
	static const char *ids[] = { "household_poverty", "disaster_damage", "household_member" };
	size_t i;
	int lane;

	(void)state;
	for (i = 0; i < COUNT(ids); i++) {
		for (lane = LT_LANE_URGENT; lane <= LT_LANE_BULK; lane++) {
			const struct lt_collection *c = lt_catalogue_find(cat, ids[i]);
			struct lt_writer_info who = { .lane = (enum lt_lane)lane };
			struct lt_violation v = { 0 };
			struct draft d;

			draft_init(&d, ids[i], "x");
			set_unit(&who.unit, "16906");
			set_unit(&who.province, "40");
			assert_int_equal(admit(&d, ids[i], &who, &v), LT_E_REFUSED);
			assert_int_equal(
			    v.reason, c->lane == (enum lt_lane)lane ? R(BAD_KEY) : R(LANE));
			lt_arena_fini(&d.arena);
		}
	}
}

/* Both sides of max_len, in bytes: of one text, of a list when joined, of the default of 500. */
static void
test_lengths(void **state)
{
	static const struct {
		const char *collection;
		const char *field;
		size_t max;
	} cases[] = { { "dossier", "procedure_name", 1000 }, { "directive", "work_text", 8000 },
		{ "directive", "doc_no", 500 }, { "directive", "lead_orgs", 4000 },
		{ "household_poverty", "policy_codes", 500 },
		{ "legacy_dossier", "source_file_sha256", 32 } };
	size_t i, extra;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		const struct lt_field *f = lt_collection_field(
		    lt_catalogue_find(cat, cases[i].collection), cases[i].field);

		for (extra = 0; extra < 2; extra++) {
			struct lt_violation v = { 0 };
			struct draft d;
			char text[8100];
			size_t n = cases[i].max + extra;
			Ltpb__FieldSet *fs;
			int rc;

			memset(text, 'a', sizeof(text));
			if (f->rule.type == LT_TYPE_BYTES)
				n *= 2;
			else if (f->rule.type == LT_TYPE_SET)
				text[n / 2] = 'b', text[n / 2 - 1] = ';';
			text[n] = '\0';
			draft_init(&d, cases[i].collection, "x");
			fs = make_field(&d, cases[i].field, f->rule.type, 0, text);
			rc = lt_field_check(f, fs, &v);
			if (rc != (extra == 0 ? LT_OK : LT_E_REFUSED))
				fail_msg("%s %zu: %d %s", cases[i].field, n, rc, v.message);
			if (extra == 1)
				assert_int_equal(v.reason, R(TOO_LONG));
			lt_arena_fini(&d.arena);
		}
	}
}

/* What a local program hands over is not decoded yet. */
static void
test_field_check_malformed(void **state)
{
	const struct lt_collection *c = lt_catalogue_find(cat, HP);
	char *unsorted[] = { (char *)"b", (char *)"a" };
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT;
	Ltpb__Value value = LTPB__VALUE__INIT;
	Ltpb__TextSet set = LTPB__TEXT_SET__INIT;
	struct lt_violation v;
	char *huge = malloc(LT_VALUE_MAX + 2);

	(void)state;
	assert_non_null(huge);
	assert_int_equal(lt_field_check(lt_collection_field(c, "village"), &fs, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(WRONG_TYPE));
	fs.value = &value;
	assert_int_equal(lt_field_check(lt_collection_field(c, "village"), &fs, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(WRONG_TYPE));
	value.v_case = LTPB__VALUE__V_TEXT;
	value.text = (char *)"Ba\xcc\x89n"; /* a with a combining hook */
	assert_int_equal(lt_field_check(lt_collection_field(c, "village"), &fs, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(NOT_NFC));
	assert_string_equal(v.field, "village");
	memset(huge, 'a', LT_VALUE_MAX + 1);
	huge[LT_VALUE_MAX + 1] = '\0';
	value.text = huge;
	assert_int_equal(lt_field_check(lt_collection_field(c, "village"), &fs, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(TOO_LONG));
	value.v_case = LTPB__VALUE__V_SET;
	value.set = &set;
	set.n_item = 2;
	set.item = unsorted;
	assert_int_equal(
	    lt_field_check(lt_collection_field(c, "policy_codes"), &fs, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(SET));
	value.v_case = LTPB__VALUE__V_DATE;
	value.date = INT32_MAX;
	assert_int_equal(
	    lt_field_check(lt_collection_field(c, "reviewed_date"), &fs, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(MALFORMED));
	free(huge);
}

/* A message never shows what stands in a personal field, in either language. */
static void
test_personal_values_stay_out(void **state)
{
	static const char *specs[] = { "head_id_no=0990850SECRET", "head_name:int=777123",
		"income_per_head_vnd=-777123", "deprivation_codes=SECRET*" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(specs); i++) {
		struct lt_writer_info who = { .lane = LT_LANE_NORMAL };
		struct lt_violation v = { 0 };
		struct draft d;
		int clear;

		for (clear = 0; clear < 2; clear++) {
			draft_init(&d, HP, HP_KEY);
			set_unit(&who.unit, "16906");
			set_unit(&who.province, "40");
			if (clear)
				draft_fields(&d, specs[i], d.set, &d.nset);
			else
				draft_fields(&d, specs[i], d.personal, &d.npersonal);
			assert_int_equal(admit(&d, HP, &who, &v), LT_E_REFUSED);
			assert_null(strstr(v.message, "SECRET"));
			assert_null(strstr(v.message, "777123"));
			assert_null(strstr(v.message_vi, "SECRET"));
			assert_null(strstr(v.message_vi, "777123"));
			lt_arena_fini(&d.arena);
		}
	}
}

/* Other values are shown: short, whole characters, nothing that moves a terminal. */
static void
test_messages(void **state)
{
	const struct lt_field *f = lt_collection_field(lt_catalogue_find(cat, HP), "class");
	struct lt_violation v;
	struct draft d;
	char text[1000];
	size_t i;

	(void)state;
	draft_init(&d, HP, HP_KEY);
	assert_int_equal(
	    lt_field_check(f, make_field(&d, "class", LT_TYPE_ENUM, 0, "giau"), &v), LT_E_REFUSED);
	assert_string_equal(v.message,
	    "field \"class\": value \"giau\" is not one of ngheo, can_ngheo, "
	    "thoat_ngheo, thoat_can_ngheo");
	assert_string_equal(v.rule, "enum");
	assert_non_null(strstr(v.message_vi, f->title_vi));
	assert_non_null(strstr(v.message_vi, "giau"));
	assert_int_equal(
	    lt_field_check(f, make_field(&d, "class", LT_TYPE_ENUM, 0, "\x1b[2J\n"), &v),
	    LT_E_REFUSED);
	for (i = 0; v.message[i] != '\0'; i++)
		assert_true((unsigned char)v.message[i] >= 0x20);
	for (i = 1; i < 4; i++) {
		memset(text, 'a', i);
		memcpy(
		    text + i, "ệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệệ", 3 * 58);
		text[i + 3 * 58] = '\0';
		assert_int_equal(
		    lt_field_check(f, make_field(&d, "class", LT_TYPE_ENUM, 0, text), &v),
		    LT_E_REFUSED);
		assert_true(lt_text_valid(lt_slice_str(v.message)));
		assert_non_null(strstr(v.message, "...\""));
	}
	lt_arena_fini(&d.arena);
}

static void
test_set_delta(void **state)
{
	static const struct {
		const char *field;
		const char *value;
		const char *added;
		const char *removed;
		Ltpb__ReasonCode reason;
	} cases[] = {
		{ "policy_codes", "a;b", "b", "c", OK }, { "policy_codes", "a;b", NULL, "c", OK },
		{ "policy_codes", "a;b", "c", NULL, R(SET) },
		{ "policy_codes", "a;b", NULL, "a", R(SET) },
		{ "lead_orgs", "so_y_te", "so_y_te", NULL, R(SET) }, /* policy lww */
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		bool directive = strcmp(cases[i].field, "lead_orgs") == 0;
		struct lt_writer_info who = { .lane = LT_LANE_NORMAL, .by_hub = directive };
		char *added[] = { (char *)cases[i].added },
		     *removed[] = { (char *)cases[i].removed };
		struct lt_violation v = { 0 };
		struct draft d;

		draft_init(
		    &d, directive ? "directive" : HP, directive ? "CD-40-20250709-15" : HP_KEY);
		set_unit(&who.unit, directive ? "40" : "16906");
		set_unit(&who.province, "40");
		d.set[d.nset++] = make_field(&d, cases[i].field, LT_TYPE_SET, 0, cases[i].value);
		d.set[0]->n_added = cases[i].added != NULL;
		d.set[0]->added = added;
		d.set[0]->n_removed = cases[i].removed != NULL;
		d.set[0]->removed = removed;
		assert_int_equal(
		    admit(&d, d.col->id, &who, &v), cases[i].reason == OK ? LT_OK : LT_E_REFUSED);
		assert_int_equal(v.reason, cases[i].reason);
		lt_arena_fini(&d.arena);
	}
}

/* A withheld opening cannot be checked and passes; one without a commitment does not. */
static void
test_openings(void **state)
{
	struct lt_writer_info who = { .lane = LT_LANE_NORMAL };
	struct lt_violation v = { 0 };
	char name[] = "head_id_no", key[] = HP_KEY, collection[] = HP;
	char *personal[] = { name };
	struct lt_change c = {
		.collection = collection, .key = key, .npersonal = 1, .personal = personal
	};
	struct lt_field_set other;
	struct draft d;

	(void)state;
	draft_init(&d, HP, HP_KEY);
	set_unit(&who.unit, "16906");
	set_unit(&who.province, "40");
	assert_int_equal(lt_admit_change(cat, &who, &c, NULL, 0, &v), LT_OK);
	other.pb = make_field(&d, "head_name", LT_TYPE_TEXT, 0, "a");
	other.raw = lt_slice(NULL, 0);
	assert_int_equal(lt_admit_change(cat, &who, &c, &other, 1, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(BAD_LEAF));
	assert_string_equal(v.field, "head_name");
	lt_arena_fini(&d.arena);
}

static void
test_delete_admitted(void **state)
{
	struct lt_writer_info who = { .lane = LT_LANE_NORMAL };
	struct lt_violation v = { 0 };
	struct draft d;

	(void)state;
	draft_init(&d, HP, HP_KEY);
	d.is_delete = true;
	set_unit(&who.unit, "16906");
	set_unit(&who.province, "40");
	assert_int_equal(admit(&d, HP, &who, &v), LT_OK);
	d.key = (char *)"16855/HN00001";
	assert_int_equal(admit(&d, HP, &who, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(UNIT_FIELD));
	lt_arena_fini(&d.arena);
}

/* ---- keys ---- */

/* No field of the catalogue allows a character that must be encoded today; a field that does keeps its
 * text through a key all the same. */
static void
test_key_encoding(void **state)
{
	static const char json[] =
	    "{\"format\":\"lienthong-catalogue\",\"version\":2,\"default_max_len\":500,"
	    "\"organisations\":["
	    "{\"id\":\"o\",\"name_vi\":\"O\",\"kind\":\"other\"}],\"collections\":[{\"id\":\"c\","
	    "\"title_vi\":\"C\","
	    "\"title_en\":\"C\",\"owner_departments\":[\"o\"],\"readers\":[],\"writers\":["
	    "\"commune\"],"
	    "\"creators\":[\"commune\"],\"cadence\":\"once\",\"lane\":\"normal\",\"unit_rule\":"
	    "\"commune\","
	    "\"contains_personal_data\":false,\"contains_sensitive_personal_data\":false,"
	    "\"key\":{\"fields\":[\"a\",\"b\"],\"example\":\"x/y\"},\"fields\":["
	    "{\"name\":\"a\",\"type\":\"string\",\"title_vi\":\"A\",\"required\":true,\"indexed\":"
	    "false,"
	    "\"personal\":\"none\",\"in_key\":true,\"pattern\":\"^.+$\",\"merge\":\"lww\","
	    "\"authority\":\"any\"},"
	    "{\"name\":\"b\",\"type\":\"int64\",\"title_vi\":\"B\",\"required\":true,\"indexed\":"
	    "false,"
	    "\"personal\":\"none\",\"in_key\":true,\"merge\":\"lww\",\"authority\":\"any\"}]}]}";
	static const struct {
		const char *text;
		const char *key;
	} cases[] = {
		{ "Aa0-._~", "Aa0-._~/-5" },
		{ "a/b", "a%2Fb/-5" },
		{ "50%", "50%25/-5" },
		{ " ", "%20/-5" },
		{ "đ", "%C4%91/-5" },
		{ "a\x7f!", "a%7F%21/-5" },
	};
	static const char *bad[] = { "a%2fb/-5", "%41/-5", "a b/-5", "a%/-5", "a%2/-5", "a%2G/-5",
		"%00/-5", "a/05", "a/-0", "a/5.0", "a/", "a", "a/1/2", "%FF/1", "e%CC%82/1" };
	struct lt_catalogue *own = NULL;
	const struct lt_collection *c;
	struct lt_err err = { "" };
	struct lt_unit unit;
	size_t i;

	(void)state;
	set_unit(&unit, "16906");
	if (lt_catalogue_parse(lt_slice_str(json), 1, &own, &err) != LT_OK)
		fail_msg("%s", err.text);
	c = lt_catalogue_find(own, "c");
	for (i = 0; i < COUNT(cases); i++) {
		const Ltpb__FieldSet *set[2];
		Ltpb__FieldSet **parts;
		struct lt_violation v;
		struct lt_buf key;
		struct draft d;
		size_t n;

		draft_init(&d, HP, "");
		set[0] = make_field(&d, "b", LT_TYPE_INT, 0, "-5");
		set[1] = make_field(&d, "a", LT_TYPE_TEXT, 0, cases[i].text);
		lt_buf_init(&key, 0);
		assert_int_equal(lt_key_build(c, &unit, set, 2, &key, &v), LT_OK);
		lt_buf_u8(&key, 0);
		assert_string_equal((const char *)key.data, cases[i].key);
		assert_int_equal(lt_key_split(c, cases[i].key, &d.arena, &parts, &n, &v), LT_OK);
		assert_int_equal(n, 2);
		assert_string_equal(parts[0]->value->text, cases[i].text);
		assert_int_equal(parts[1]->value->integer, -5);
		lt_buf_fini(&key);
		lt_arena_fini(&d.arena);
	}
	for (i = 0; i < COUNT(bad); i++) {
		struct lt_violation v;
		struct lt_arena arena;
		Ltpb__FieldSet **parts;
		size_t n;

		lt_arena_init(&arena, 65536);
		if (lt_key_split(c, bad[i], &arena, &parts, &n, &v) != LT_E_REFUSED ||
		    v.reason != R(BAD_KEY))
			fail_msg("\"%s\" was taken", bad[i]);
		lt_arena_fini(&arena);
	}
	lt_catalogue_unref(own);
}

static void
test_key_build(void **state)
{
	const struct lt_collection *c = lt_catalogue_find(cat, HP);
	const Ltpb__FieldSet *set[2];
	struct lt_violation v;
	struct lt_unit unit;
	struct lt_buf key;
	struct draft d;

	(void)state;
	set_unit(&unit, "16906");
	draft_init(&d, HP, "");
	lt_buf_init(&key, 0);
	/* the unit need not be said */
	set[0] = make_field(&d, "household_no", LT_TYPE_TEXT, 0, "HN00001");
	assert_int_equal(lt_key_build(c, &unit, set, 1, &key, &v), LT_OK);
	lt_buf_u8(&key, 0);
	assert_string_equal((const char *)key.data, HP_KEY);
	lt_buf_clear(&key);
	/* if it is, it must be right */
	set[1] = make_field(&d, "commune_code", LT_TYPE_TEXT, 0, "16855");
	assert_int_equal(lt_key_build(c, &unit, set, 2, &key, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(UNIT_FIELD));
	lt_buf_clear(&key);
	assert_int_equal(lt_key_build(c, &unit, set + 1, 0, &key, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(BAD_KEY));
	assert_string_equal(v.field, "household_no");
	lt_buf_clear(&key);
	set[0] = make_field(&d, "household_no", LT_TYPE_TEXT, 0, "");
	assert_int_equal(lt_key_build(c, &unit, set, 1, &key, &v), LT_E_REFUSED);
	assert_int_equal(v.reason, R(BAD_KEY));
	lt_buf_clear(&key);
	set[0] = make_field(&d, "household_no", LT_TYPE_INT, 0, "1");
	assert_int_equal(lt_key_build(c, &unit, set, 1, &key, &v), LT_E_REFUSED);
	assert_string_equal(v.rule, "type");
	lt_buf_fini(&key);
	lt_arena_fini(&d.arena);
}

/* ---- the writing program ---- */

struct write_case {
	const char *descr;
	const char *collection;
	unsigned writer;
	const char *shown; /* NULL: the record is not there */
	const char *set;
	const char *cleared;
	bool is_delete;
	Ltpb__ReasonCode reason;
	const char *rule;
	const char *field;
};

#define DDS "dossier_daily_summary"
#define DDS_ALL \
	"revision=1|carried_over=10|received=5|received_online=5|resolved_on_time=6|resolved_" \
	"late=1|refused=1|" \
	"withdrawn=0|pending=7|pending_overdue=7|sealed_at=2025-07-09T10:00:00Z"
#define DP "directive_progress"
#define DP_ALL "percent_done=50|result_text=a|state=dang_thuc_hien"
#define LW_C LT_WRITER_COMMUNE
#define LW_P LT_WRITER_PROVINCE
#define LW_D LT_WRITER_DEPARTMENT

static const struct write_case write_cases[] = {
	{ "a new record", DP, LW_C, NULL, DP_ALL, NULL, false, OK, "", "" },
	{ "without a required field", DP, LW_C, NULL, "percent_done=50|result_text=a", NULL, false,
	    R(REQUIRED), "required", "state" },
	{ "with an empty required text", DP, LW_C, NULL,
	    "percent_done=50|result_text=|state=dang_thuc_hien", NULL, false, R(REQUIRED),
	    "required", "result_text" },
	{ "by a department", DP, LW_D, NULL, DP_ALL, NULL, false, OK, "", "" },
	{ "by who does not write it", DP, LW_P, NULL, DP_ALL, NULL, false, R(AUTHORITY), "writers",
	    "" },
	{ "made by who may only change it", IP, LW_D, NULL, "stage=thi_cong", NULL, false,
	    R(AUTHORITY), "creators", "" },
	{ "changed by who may only change it", IP, LW_D, "stage=phe_duyet", "stage=thi_cong", NULL,
	    false, OK, "", "" },
	{ "immutable: changed", DP, LW_C, DP_ALL, "percent_done=60", NULL, false, R(IMMUTABLE),
	    "immutable", "" },
	{ "immutable: cleared", DP, LW_C, DP_ALL, NULL, "difficulty_text", false, R(IMMUTABLE),
	    "immutable", "" },
	{ "immutable: deleted", DP, LW_C, DP_ALL, NULL, NULL, true, R(IMMUTABLE), "immutable", "" },
	{ "immutable: nothing said", DP, LW_C, DP_ALL, NULL, NULL, false, OK, "", "" },
	{ "deleted", IP, LW_C, "stage=de_xuat", NULL, NULL, true, OK, "", "" },
	{ "deleted by who does not write it", IP, LW_P, "stage=de_xuat", NULL, NULL, true,
	    R(AUTHORITY), "writers", "" },
	{ "a required field cleared", IP, LW_C, "stage=de_xuat", NULL, "name", false, R(REQUIRED),
	    "required", "name" },
	{ "another field cleared", IP, LW_C, "stage=de_xuat", NULL, "lat", false, OK, "", "" },
	{ "a required field emptied", IP, LW_C, "stage=de_xuat", "name=", NULL, false, R(REQUIRED),
	    "required", "name" },
	{ "a change without the required fields", IP, LW_C, "stage=de_xuat", "priority=2", NULL,
	    false, OK, "", "" },
	/* status of dossier: tiep_nhan -> dang_xu_ly ...; rut_ho_so is an end */
	{ "an allowed step", "dossier", LW_C, "status=tiep_nhan", "status=dang_xu_ly", NULL, false,
	    OK, "", "" },
	{ "a step that is not allowed", "dossier", LW_C, "status=tiep_nhan",
	    "status=da_tra_ket_qua", NULL, false, R(TRANSITION), "transition", "status" },
	{ "the same value again", "dossier", LW_C, "status=rut_ho_so", "status=rut_ho_so", NULL,
	    false, OK, "", "" },
	{ "out of an end", "dossier", LW_C, "status=rut_ho_so", "status=tiep_nhan", NULL, false,
	    R(TRANSITION), "transition", "status" },
	{ "a backward step of real work", "dossier", LW_C, "status=da_giai_quyet",
	    "status=dang_xu_ly", NULL, false, OK, "", "" },
	{ "where no value stood", "dossier", LW_C, "due_date=2025-07-09", "status=da_tra_ket_qua",
	    NULL, false, OK, "", "" },
	/* checks */
	{ "sums that agree", DDS, LW_C, NULL, DDS_ALL, NULL, false, OK, "", "" },
	{ "a sum that is one too many", DDS, LW_C, DDS_ALL, "pending=8", NULL, false, R(CHECK),
	    "check", "carried_over" },
	{ "a sum corrected on both sides", DDS, LW_C, DDS_ALL, "pending=8|received=6", NULL, false,
	    OK, "", "" },
	{ "the part above the whole", DDS, LW_C, DDS_ALL, "received_online=6", NULL, false,
	    R(CHECK), "check", "received_online" },
	{ "the part equal to the whole", DDS, LW_C, DDS_ALL, "received_online=5", NULL, false, OK,
	    "", "" },
	{ "the other part above its whole", DDS, LW_C, DDS_ALL, "pending_overdue=8", NULL, false,
	    R(CHECK), "check", "pending_overdue" },
	{ "figures that were wrong before, nothing said about them", DDS, LW_C,
	    "carried_over=1|received=0|resolved_on_time=0|resolved_late=0|refused=0|withdrawn=0|"
	    "pending=0",
	    "sealed_at=2025-07-09T10:00:00Z", NULL, false, OK, "", "" },
	{ "one figure not known", DDS, LW_C, "carried_over=1|received=0", "pending=9", NULL, false,
	    OK, "", "" },
	{ "sums that overflow 64 bits", DDS, LW_C, DDS_ALL,
	    "carried_over=9223372036854775807|received=9223372036854775807", NULL, false, R(CHECK),
	    "check", "carried_over" },
	{ "sums that agree beyond 64 bits", DDS, LW_C, DDS_ALL,
	    "carried_over=9223372036854775807|received=9223372036854775807|pending="
	    "9223372036854775807|"
	    "resolved_late=9223372036854775807|resolved_on_time=0|refused=0|withdrawn=0",
	    NULL, false, OK, "", "" },
	{ "years in order", IP, LW_C, "start_year=2025", "finish_year=2025", NULL, false, OK, "",
	    "" },
	{ "years out of order", IP, LW_C, "start_year=2025", "finish_year=2024", NULL, false,
	    R(CHECK), "check", "start_year" },
	{ "the other year cleared with it", IP, LW_C, "start_year=2025", "finish_year=2024",
	    "start_year", false, OK, "", "" },
	{ "times in order", "disaster_event", LW_P, "from_at=2025-07-09T10:00:00Z",
	    "to_at=2025-07-09T10:00:00Z", NULL, false, OK, "", "" },
	{ "times out of order", "disaster_event", LW_P, "from_at=2025-07-09T10:00:00Z",
	    "to_at=2025-07-09T09:59:59.999Z", NULL, false, R(CHECK), "check", "from_at" },
	{ "dates out of order", "digital_certificate", LW_D, "valid_from=2025-07-09",
	    "valid_to=2025-07-08", NULL, false, R(CHECK), "check", "valid_from" },
	{ "dates in order", "digital_certificate", LW_D, "valid_from=2025-07-09",
	    "valid_to=2025-07-09", NULL, false, OK, "", "" },
};

static void
show(struct draft *d, const char *spec, struct lt_shown *shown)
{
	Ltpb__FieldSet *list[LT_FIELDS_MAX];
	size_t n = 0, i;

	memset(shown, 0, sizeof(*shown));
	if (spec == NULL)
		return;
	draft_fields(d, spec, list, &n);
	shown->exists = true;
	shown->field = lt_arena_alloc(&d->arena, n * sizeof(*shown->field));
	shown->nfield = n;
	for (i = 0; i < n; i++) {
		shown->field[i].name = list[i]->name;
		shown->field[i].value = list[i]->value;
	}
}

static void
test_write_table(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(write_cases); i++) {
		const struct write_case *c = &write_cases[i];
		struct lt_violation v = { 0 };
		struct lt_shown shown;
		struct draft d;
		int rc;

		draft_init(&d, c->collection, "x");
		show(&d, c->shown, &shown);
		if (c->set != NULL)
			draft_fields(&d, c->set, d.set, &d.nset);
		if (c->cleared != NULL)
			draft_cleared(&d, c->cleared);
		rc = lt_write_check(d.col, c->writer, &shown, (const Ltpb__FieldSet *const *)d.set,
		    d.nset, (const char *const *)d.cleared, d.ncleared, c->is_delete, &v);
		if ((rc == LT_OK) != (c->reason == OK) || v.reason != c->reason ||
		    strcmp(v.rule, c->rule) != 0 || strcmp(v.field, c->field) != 0)
			fail_msg("%s: rc %d, reason %s, rule \"%s\", field \"%s\", \"%s\"",
			    c->descr, rc, lt_reason_name(v.reason), v.rule, v.field, v.message);
		lt_arena_fini(&d.arena);
	}
}

/* Values that are withheld here say nothing: neither step nor sum is judged. */
static void
test_write_withheld(void **state)
{
	struct lt_shown shown;
	struct lt_violation v;
	struct draft d;
	size_t i;

	(void)state;
	draft_init(&d, "dossier", "x");
	show(&d, "status=rut_ho_so", &shown);
	shown.field[0].value = NULL;
	shown.field[0].withheld = true;
	draft_fields(&d, "status=tiep_nhan", d.set, &d.nset);
	assert_int_equal(lt_write_check(d.col, LW_C, &shown, (const Ltpb__FieldSet *const *)d.set,
			     1, NULL, 0, false, &v),
	    LT_OK);
	lt_arena_fini(&d.arena);
	draft_init(&d, DDS, "x");
	show(&d, DDS_ALL, &shown);
	for (i = 0; i < shown.nfield; i++)
		if (strcmp(shown.field[i].name, "received") == 0)
			shown.field[i].value = NULL;
	draft_fields(&d, "pending=100", d.set, &d.nset);
	assert_int_equal(lt_write_check(d.col, LW_C, &shown, (const Ltpb__FieldSet *const *)d.set,
			     1, NULL, 0, false, &v),
	    LT_OK);
	lt_arena_fini(&d.arena);
}

static void
test_check_message(void **state)
{
	struct lt_violation v;
	struct lt_shown shown;
	struct draft d;

	(void)state;
	draft_init(&d, DDS, "x");
	show(&d, DDS_ALL, &shown);
	draft_fields(&d, "received_online=6", d.set, &d.nset);
	assert_int_equal(lt_write_check(d.col, LW_C, &shown, (const Ltpb__FieldSet *const *)d.set,
			     1, NULL, 0, false, &v),
	    LT_E_REFUSED);
	assert_string_equal(
	    v.message, "field \"received_online\": must hold: received_online <= received");
	assert_non_null(strstr(v.message_vi, "phải có: "));
	lt_arena_fini(&d.arena);
}

static void
test_reasons(void **state)
{
	int i, k;

	(void)state;
	assert_string_equal(lt_reason_name(R(PATTERN)), "pattern");
	assert_string_equal(lt_reason_name(R(UNKNOWN_FIELD)), "unknown_field");
	assert_string_equal(lt_reason_name((Ltpb__ReasonCode)999), "unspecified");
	for (i = 0; i <= LTPB__REASON_CODE__REASON_CHECK; i++) {
		const ProtobufCEnumValue *e =
		    protobuf_c_enum_descriptor_get_value(&ltpb__reason_code__descriptor, i);

		assert_non_null(e);
		/* a code's name is its name in the .proto without REASON_, in small letters */
		assert_int_equal(
		    strcasecmp(e->name + strlen("REASON_"), lt_reason_name((Ltpb__ReasonCode)i)),
		    0);
		assert_true(lt_reason_text((Ltpb__ReasonCode)i, false)[0] != '\0');
		assert_true(
		    lt_text_is_nfc(lt_slice_str(lt_reason_text((Ltpb__ReasonCode)i, true))));
		/* Both languages say what to do, each in its own words. */
		assert_true(lt_reason_next((Ltpb__ReasonCode)i, false)[0] != '\0');
		assert_true(
		    lt_text_is_nfc(lt_slice_str(lt_reason_next((Ltpb__ReasonCode)i, true))));
		assert_string_not_equal(lt_reason_next((Ltpb__ReasonCode)i, true),
		    lt_reason_next((Ltpb__ReasonCode)i, false));
		assert_string_not_equal(lt_reason_next((Ltpb__ReasonCode)i, true),
		    lt_reason_next((Ltpb__ReasonCode)999, i != 0));
		for (k = 0; k < i; k++)
			assert_string_not_equal(lt_reason_text((Ltpb__ReasonCode)i, true),
			    lt_reason_text((Ltpb__ReasonCode)k, true));
	}
	assert_int_equal(ltpb__reason_code__descriptor.n_values, i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directives),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_example_keys),
		cmocka_unit_test(test_admit_table),
		cmocka_unit_test(test_admit_damaged),
		cmocka_unit_test(test_lane),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_field_check_malformed),
		cmocka_unit_test(test_personal_values_stay_out),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_set_delta),
		cmocka_unit_test(test_openings),
		cmocka_unit_test(test_delete_admitted),
		cmocka_unit_test(test_key_encoding),
		cmocka_unit_test(test_key_build),
		cmocka_unit_test(test_write_table),
		cmocka_unit_test(test_write_withheld),
		cmocka_unit_test(test_check_message),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
