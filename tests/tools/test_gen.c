/* Invented records must pass every check that real ones pass, and mean what they claim. */
#include "node/import_row.h"
#include "proto/base/file.h"
#include "proto/base/text.h"
#include "proto/model/validate.h"
#include "proto/model/value.h"
#include "tools/gen_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FRIDAY 20777 /* 2026-11-20, by Python */

static struct lt_catalogue *cat;

static int
setup(void **state)
{
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };

	(void)state;
	assert_int_equal(
	    lt_file_read(LT_PROTO_DATA "/catalogue.json", LT_CATALOGUE_BYTES_MAX, &b, &err), LT_OK);
	assert_int_equal(lt_catalogue_parse(lt_buf_slice(&b), 1, &cat, &err), LT_OK);
	lt_buf_fini(&b);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	lt_catalogue_unref(cat);
	return 0;
}

/* ---- a row as a signed change would carry it ---- */

struct carried {
	Ltpb__FieldSet *clear[LT_FIELDS_MAX];
	size_t nclear;
	char *name[LT_FIELDS_MAX]; /* of personal fields */
	struct lt_field_set opened[LT_FIELDS_MAX];
	size_t nopened;
};

static void
split_personal(const struct lt_import_row *row, struct carried *c)
{
	size_t i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < row->nset; i++) {
		const struct lt_field *f = lt_collection_field(row->collection, row->set[i]->name);

		if (f->rule.personal == LT_PERSONAL_NONE) {
			c->clear[c->nclear++] = row->set[i];
		} else {
			c->name[c->nopened] = row->set[i]->name;
			c->opened[c->nopened++].pb = row->set[i];
		}
	}
}

static void
admit(const struct lt_import_row *row)
{
	struct lt_writer_info who = { .unit = row->unit, .lane = row->collection->lane };
	uint8_t root[LT_HASH_LEN] = { 1 };
	Ltpb__Change pb = LTPB__CHANGE__INIT;
	struct lt_violation v = { 0 };
	struct lt_buf raw = { 0 };
	struct lt_change change;
	struct lt_arena arena;
	struct lt_err err = { "" };
	struct carried c;

	split_personal(row, &c);
	assert_int_equal(lt_unit_set(&who.province, lt_slice_str("40")), LT_OK);
	pb.collection = (char *)(uintptr_t)row->collection->id;
	pb.key = (char *)(uintptr_t)row->key;
	pb.kind = LTPB__CHANGE_KIND__CHANGE_KIND_PUT;
	pb.set = c.clear;
	pb.n_set = c.nclear;
	pb.personal = c.name;
	pb.n_personal = c.nopened;
	pb.personal_root = (ProtobufCBinaryData){ c.nopened ? sizeof(root) : 0, root };
	assert_int_equal(lt_change_encode(&pb, &raw), LT_OK);
	lt_arena_init(&arena, lt_arena_cap_for(raw.len));
	if (lt_change_decode(lt_buf_slice(&raw), NULL, &arena, &change, &err) != LT_OK)
		fail_msg("%s", err.text);
	if (lt_admit_change(cat, &who, &change, c.opened, c.nopened, &v) != LT_OK)
		fail_msg("%s: %s", row->key, v.message);
	lt_arena_fini(&arena);
	lt_buf_fini(&raw);
}

/* ---- reading what was generated ---- */

typedef void row_fn(void *ctx, const struct lt_import_row *row);

static size_t
each(const struct lt_buf *lines, const char *unit, row_fn *fn, void *ctx)
{
	struct lt_import_options o = { .catalogue = cat, .json_lines = true };
	struct lt_slice s = lt_buf_slice(lines);
	struct lt_import_row row;
	struct lt_err err = { "" };
	struct lt_import *im = NULL;
	size_t n = 0;

	assert_true(lt_text_is_nfc(s));
	assert_int_equal(lt_unit_set(&o.unit, lt_slice_str(unit)), LT_OK);
	o.source = (struct lt_csv_source){ lt_csv_read_slice, &s };
	assert_int_equal(lt_import_open(&o, &im, &err), LT_OK);
	while (lt_import_next(im, &row, &err) == LT_OK) {
		if (row.result != LT_IMPORT_ROW)
			fail_msg("line %d: %s", (int)row.line, row.fault.message);
		assert_int_equal(row.warn, 0);
		admit(&row);
		fn(ctx, &row);
		n++;
	}
	lt_import_close(im);
	return n;
}

static const Ltpb__Value *
value(const struct lt_import_row *row, const char *field)
{
	size_t i;

	for (i = 0; i < row->nvalue; i++)
		if (strcmp(row->value[i]->name, field) == 0)
			return row->value[i]->value;
	return NULL;
}

struct tally {
	size_t online, overdue, received_today, open, finished;
	int32_t day;
};

static bool
is_open(const char *status)
{
	return strcmp(status, "tiep_nhan") == 0 || strcmp(status, "dang_xu_ly") == 0 ||
	       strcmp(status, "yeu_cau_bo_sung") == 0 || strcmp(status, "tam_dung") == 0;
}

static void
check_dossier(void *ctx, const struct lt_import_row *row)
{
	struct tally *t = ctx;
	const char *status = value(row, "status")->enumeration;
	const Ltpb__Value *resolved = value(row, "resolved_at"),
			  *returned = value(row, "returned_at");
	int64_t received = value(row, "received_at")->timestamp;
	int32_t due = value(row, "due_date")->date;

	assert_int_equal(strncmp(value(row, "applicant_id_no")->text, "099", 3), 0);
	assert_non_null(strstr(value(row, "applicant_name")->text, " Mẫu "));
	assert_int_equal(strncmp(row->key, "H41.17.254-", 11), 0);
	assert_true(due >= lt_days_vietnam(received));
	assert_true(lt_days_vietnam(received) <= t->day);
	assert_true((resolved != NULL) ==
		    (strcmp(status, "da_giai_quyet") == 0 || strcmp(status, "tu_choi") == 0 ||
			strcmp(status, "da_tra_ket_qua") == 0));
	assert_true((returned != NULL) == (strcmp(status, "da_tra_ket_qua") == 0));
	if (resolved != NULL)
		assert_true(resolved->timestamp > received &&
			    lt_days_vietnam(resolved->timestamp) <= t->day);
	if (returned != NULL && resolved != NULL)
		assert_true(returned->timestamp > resolved->timestamp);
	t->online += strncmp(value(row, "submit_channel")->enumeration, "truc_tuyen", 10) == 0;
	t->overdue += is_open(status) && due < t->day;
	t->received_today += lt_days_vietnam(received) == t->day;
	t->open += is_open(status);
	t->finished += returned != NULL;
}

static void
day_of_dossiers(void **state)
{
	struct lt_gen_options o = { .unit = "17254", .day = FRIDAY, .count = 60, .open_days = 30 };
	size_t online = 0, all = 0;
	struct lt_err err = { "" };

	(void)state;
	for (o.seed = 0; o.seed < 40; o.seed++) {
		struct tally t = { .day = FRIDAY };
		struct lt_buf out = { 0 };

		assert_int_equal(lt_gen_dossiers(&o, &out, &err), LT_OK);
		assert_int_equal(each(&out, "17254", check_dossier, &t), 60);
		assert_true(t.overdue >= 3 && t.overdue <= 20);
		assert_true(t.received_today >= 36 && t.received_today < 60);
		assert_true(t.open > 0 && t.finished > 0);
		online += t.online;
		all += 60;
		lt_buf_fini(&out);
	}
	assert_true(online * 10 > all * 9); /* more than 90 of 100 */
}

/* ---- the same day at two times: transitions ---- */

struct state_of {
	char key[80];
	char status[40];
};

struct states {
	size_t n, moved;
	struct state_of was[200];
};

static void
remember(void *ctx, const struct lt_import_row *row)
{
	struct states *s = ctx;

	snprintf(s->was[s->n].key, sizeof(s->was[0].key), "%s", row->key);
	snprintf(s->was[s->n++].status, sizeof(s->was[0].status), "%s",
	    value(row, "status")->enumeration);
}

static void
check_move(void *ctx, const struct lt_import_row *row)
{
	struct states *s = ctx;
	Ltpb__Value before = LTPB__VALUE__INIT;
	struct lt_shown_field field = { .name = "status", .value = &before };
	struct lt_shown shown = { .exists = true, .nfield = 1, .field = &field };
	struct lt_violation v = { 0 };
	size_t i;

	before.v_case = LTPB__VALUE__V_ENUMERATION;
	for (i = 0; i < s->n; i++) {
		if (strcmp(s->was[i].key, row->key) != 0)
			continue;
		before.enumeration = s->was[i].status;
		s->moved += strcmp(s->was[i].status, value(row, "status")->enumeration) != 0;
		if (lt_write_check(row->collection, LT_WRITER_COMMUNE, &shown,
			(const Ltpb__FieldSet *const *)row->set, row->nset, NULL, 0, false,
			&v) != LT_OK)
			fail_msg("%s: %s", row->key, v.message);
	}
}

/* A quarter of an hour at a time: no more than two steps of a dossier lie between, and those are allowed
 * one after the other only if each is; so look at every minute. */
static void
day_moves_by_allowed_transitions(void **state)
{
	struct lt_gen_options o = {
		.unit = "17254", .day = FRIDAY, .count = 60, .open_days = 30, .seed = 7
	};
	static struct states s;
	struct lt_err err = { "" };
	size_t before = 0, n;

	(void)state;
	memset(&s, 0, sizeof(s));
	for (o.until = 7 * 60; o.until <= LT_GEN_END_OF_DAY; o.until++) {
		struct lt_buf out = { 0 };

		assert_int_equal(lt_gen_dossiers(&o, &out, &err), LT_OK);
		n = each(&out, "17254", check_move, &s);
		assert_true(n >= before);
		before = n;
		s.n = 0;
		each(&out, "17254", remember, &s);
		lt_buf_fini(&out);
	}
	assert_int_equal(before, 60);
	assert_true(s.moved > 60);
}

static void
check_household(void *ctx, const struct lt_import_row *row)
{
	struct tally *t = ctx;
	const Ltpb__Value *lacks = value(row, "deprivation_codes");
	int32_t reviewed = value(row, "reviewed_date")->date;
	int y, m, d;

	lt_days_to_date(reviewed, &y, &m, &d);
	assert_int_equal(value(row, "recognised_year")->integer, y);
	assert_true(reviewed <= t->day);
	assert_int_equal(strncmp(value(row, "head_id_no")->text, "099", 3), 0);
	assert_non_null(strstr(value(row, "head_name")->text, " Mẫu "));
	if (strcmp(value(row, "class")->enumeration, "ngheo") == 0)
		assert_true(lacks != NULL && lacks->set->n_item >= 3);
	t->open++;
}

static void
households(void **state)
{
	struct lt_gen_options o = { .unit = "16906", .day = FRIDAY, .count = 500, .seed = 3 };
	struct tally t = { .day = FRIDAY };
	struct lt_buf out = { 0 };
	struct lt_err err = { "" };

	(void)state;
	assert_int_equal(lt_gen_households(&o, &out, &err), LT_OK);
	assert_int_equal(each(&out, "16906", check_household, &t), 500);
	assert_non_null(strstr((char *)out.data, "\"HN00101\""));
	lt_buf_fini(&out);
}

static void
same_seed_same_bytes(void **state)
{
	struct lt_gen_options o = {
		.unit = "17254", .day = FRIDAY, .count = 20, .open_days = 10, .seed = 1
	};
	struct lt_buf a = { 0 }, b = { 0 }, c = { 0 };
	struct lt_err err = { "" };

	(void)state;
	assert_int_equal(lt_gen_dossiers(&o, &a, &err), LT_OK);
	assert_int_equal(lt_gen_dossiers(&o, &b, &err), LT_OK);
	o.seed = 2;
	assert_int_equal(lt_gen_dossiers(&o, &c, &err), LT_OK);
	assert_true(lt_slice_eq(lt_buf_slice(&a), lt_buf_slice(&b)));
	assert_false(lt_slice_eq(lt_buf_slice(&a), lt_buf_slice(&c)));
	lt_buf_fini(&a);
	lt_buf_fini(&b);
	lt_buf_fini(&c);
}

static void
wrong_options(void **state)
{
	const struct lt_gen_options good = { .unit = "17254", .day = FRIDAY, .count = 1 };
	struct lt_gen_options bad[10];
	struct lt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < 10; i++)
		bad[i] = good;
	bad[0].unit = NULL;
	bad[1].unit = "40";
	bad[2].count = 0;
	bad[3].count = LT_GEN_COUNT_MAX + 1;
	bad[4].open_days = LT_GEN_OPEN_DAYS_MAX + 1;
	bad[5].until = 1440;
	bad[6].day = 0;
	bad[7].agency = "h41";
	bad[8].agency = "H41.";
	bad[9].agency = "H41.12345";
	for (i = 0; i < 10; i++) {
		struct lt_buf out = { 0 };

		assert_int_equal(lt_gen_dossiers(&bad[i], &out, &err), LT_E_USAGE);
		assert_int_equal(out.len, 0);
		lt_buf_fini(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(day_of_dossiers),
		cmocka_unit_test(day_moves_by_allowed_transitions),
		cmocka_unit_test(households),
		cmocka_unit_test(same_seed_same_bytes),
		cmocka_unit_test(wrong_options),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
