/* Catalogue versions: published as acts, read back whole, and not taken while something is missing or other. */
#include "world.h"

#include "proto/base/clock.h"
#include "proto/store/catalogue_store.h"

#include <stdlib.h>

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author hub;
	struct feed feed;
	struct lt_catalogue *builtin;
	struct lt_kv_txn *txn;
	struct lt_buf file;
	struct lt_draft *draft; /* of version 3 */
	size_t n;
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct lt_err err = { "" };

	env_open(&f->env, false);
	lt_arena_init(&f->arena, (size_t)128 << 20);
	author_init(&f->hub, 1);
	feed_init(&f->feed, &f->hub, "_", LT_LANE_NORMAL, 1);
	ok(lt_catalogue_builtin(&f->builtin));
	ok(lt_kv_begin_write(f->env.kv, &f->txn));
	world_catalogue_file(&f->file);
	if (lt_catalogue_publish(lt_buf_slice(&f->file), 3, &f->arena, &f->draft, &f->n, &err) !=
	    LT_OK)
		fail_msg("%s", err.text);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_kv_abort(f->txn);
	env_close(&f->env);
	lt_catalogue_unref(f->builtin);
	lt_arena_fini(&f->arena);
	lt_buf_fini(&f->file);
	free(f);
	return 0;
}

static void
publish(struct fix *f, const struct lt_draft *d, size_t n)
{
	world_publish(f->txn, &f->feed, f->builtin, d, n, &f->arena);
}

static uint64_t
newest(struct fix *f)
{
	uint64_t v = 99;

	ok(lt_catalogue_newest(f->txn, &v));
	return v;
}

static void
round_trip(void **state)
{
	struct fix *f = *state;
	struct lt_catalogue *cat, *plain;
	size_t i, k;

	assert_int_equal(f->n, 37 + 1); /* collections and the common part */
	assert_string_equal(f->draft[f->n - 1].key, "3");
	assert_int_equal(newest(f), 0);
	publish(f, f->draft, f->n);
	assert_int_equal(newest(f), 3);
	ok(lt_catalogue_load(f->txn, 3, &cat, NULL));
	assert_int_equal(lt_catalogue_version(cat), 3);
	ok(lt_catalogue_parse(lt_buf_slice(&f->file), 3, &plain, NULL));
	assert_int_equal(lt_catalogue_count(cat), lt_catalogue_count(plain));
	for (i = 0; i < lt_catalogue_count(plain); i++) {
		const struct lt_collection *c = lt_catalogue_at(plain, i);
		const struct lt_collection *d = lt_catalogue_find(cat, c->id);

		assert_non_null(d);
		assert_int_equal(c->nfield, d->nfield);
		assert_int_equal(c->lane, d->lane);
		for (k = 0; k < c->nfield; k++)
			assert_string_equal(c->field[k].rule.name, d->field[k].rule.name);
	}
	assert_string_equal(lt_catalogue_org(cat, "so_tai_chinh")->name_vi, "Sở Tài chính");
	lt_catalogue_unref(cat);
	lt_catalogue_unref(plain);
	ok(lt_catalogue_load(f->txn, 0, &cat, NULL));
	assert_null(lt_catalogue_find(cat, "dossier"));
	assert_non_null(lt_catalogue_find(cat, "_registry"));
	lt_catalogue_unref(cat);
	assert_int_equal(lt_catalogue_load(f->txn, 4, &cat, NULL), LT_E_UNKNOWN);
	/* 3 begins 30 and 37, and is none of them. */
	assert_int_equal(lt_catalogue_load(f->txn, 30, &cat, NULL), LT_E_UNKNOWN);
}

/* Whatever part is missing, first, last or between: not known yet. */
static void
incomplete(void **state)
{
	struct fix *f = *state;
	const size_t missing[3] = { 0, f->n / 2, f->n - 1 };
	struct lt_draft *later;
	struct lt_catalogue *cat;
	size_t i, n;

	publish(f, f->draft, f->n);
	for (i = 0; i < 3; i++) {
		ok(lt_catalogue_publish(
		    lt_buf_slice(&f->file), 10 + i, &f->arena, &later, &n, NULL));
		if (missing[i] != 0)
			publish(f, later, missing[i]);
		if (missing[i] + 1 != n)
			publish(f, later + missing[i] + 1, n - missing[i] - 1);
		assert_int_equal(lt_catalogue_load(f->txn, 10 + i, &cat, NULL), LT_E_UNKNOWN);
		assert_int_equal(newest(f), 3); /* the newest that is whole */
	}
	publish(f, later + n - 1, 1);
	assert_int_equal(newest(f), 12);
}

/* A part that is not what was published. */
static void
other_part(void **state)
{
	struct fix *f = *state;
	struct lt_catalogue *cat;
	struct lt_draft d;

	publish(f, f->draft, f->n);
	d = world_draft(
	    &f->arena, "_catalogue", f->draft[0].key, fs_text(&f->arena, "json", "{}"), NULL);
	publish(f, &d, 1);
	assert_int_equal(lt_catalogue_load(f->txn, 3, &cat, NULL), LT_E_BADHASH);
	assert_int_equal(newest(f), 0);
	/* One too many is another version too. */
	publish(f, f->draft, 1);
	assert_int_equal(newest(f), 3);
	d = world_draft(&f->arena, "_catalogue", "3/zzz", fs_text(&f->arena, "json", "{}"), NULL);
	publish(f, &d, 1);
	assert_int_equal(lt_catalogue_load(f->txn, 3, &cat, NULL), LT_E_UNKNOWN);
}

/* The digest by hand: H("lt1.catalogue", u32 0 || u32 2 || "{}" || u32 1 || "b" || u32 1 || "x"), computed with
 * Python's hashlib.blake2b(digest_size=32). */
static void
digest(void **state)
{
	static const char want[] =
	    "c7eeb43c117f46172881bd6f6a63094ea87830fa2222434f564a23ef8486ae0b";
	struct lt_catalogue_part parts[2] = { { "b", lt_slice_str("x") },
		{ "", lt_slice_str("{}") } };
	struct lt_hash h;
	char hex[65];

	(void)state;
	ok(lt_catalogue_digest(parts, 2, &h));
	lt_hex(hex, h.b, 32);
	assert_string_equal(hex, want);
	assert_string_equal(parts[0].id, "");
}

static void
not_published(void **state)
{
	struct fix *f = *state;
	struct lt_draft *d;
	size_t n;

	assert_int_equal(
	    lt_catalogue_publish(lt_buf_slice(&f->file), 0, &f->arena, &d, &n, NULL), LT_E_INVALID);
	assert_int_equal(lt_catalogue_publish(lt_buf_slice(&f->file), (uint64_t)INT64_MAX + 1,
			     &f->arena, &d, &n, NULL),
	    LT_E_INVALID);
	assert_int_equal(
	    lt_catalogue_publish(lt_slice_str("{}"), 1, &f->arena, &d, &n, NULL), LT_E_INVALID);
	assert_int_equal(
	    lt_catalogue_publish(lt_slice_str(""), 1, &f->arena, &d, &n, NULL), LT_E_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(incomplete, setup, teardown),
		cmocka_unit_test_setup_teardown(other_part, setup, teardown),
		cmocka_unit_test_setup_teardown(digest, setup, teardown),
		cmocka_unit_test_setup_teardown(not_published, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("store.catalogue_store", tests, NULL, NULL);
}
