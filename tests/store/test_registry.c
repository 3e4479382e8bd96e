/* The registry as its records say, and what it makes of records that say nonsense. */
#include "world.h"

#include "proto/base/clock.h"
#include "proto/store/registry.h"

#include <stdio.h>
#include <stdlib.h>

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author hub;
	struct feed feed;
	struct lt_catalogue *cat;
	struct lt_kv_txn *txn;
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	env_open(&f->env, false);
	lt_arena_init(&f->arena, (size_t)64 << 20);
	author_init(&f->hub, 1);
	feed_init(&f->feed, &f->hub, "_", LT_LANE_NORMAL, 1);
	ok(lt_catalogue_builtin(&f->cat));
	ok(lt_kv_begin_write(f->env.kv, &f->txn));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_kv_abort(f->txn);
	env_close(&f->env);
	lt_catalogue_unref(f->cat);
	lt_arena_fini(&f->arena);
	free(f);
	return 0;
}

/* Id of 16 bytes n in hex, with something behind. */
static const char *
key_of(struct fix *f, uint8_t n, const char *behind)
{
	char s[80];
	struct lt_id id;

	memset(id.b, n, sizeof(id.b));
	lt_hex(s, id.b, sizeof(id.b));
	(void)snprintf(s + 2 * LT_ID_LEN, sizeof(s) - 2 * LT_ID_LEN, "%s", behind);
	return lt_arena_dup(&f->arena, s, strlen(s));
}

static void
publish(struct fix *f, struct lt_draft d)
{
	world_publish(f->txn, &f->feed, f->cat, &d, 1, &f->arena);
}

static void
principal(struct fix *f, uint8_t n, const char *role, const char *unit, const char *state)
{
	publish(f, world_draft(&f->arena, "_registry", key_of(f, n, ""),
		       fs_enum(&f->arena, "role", role), fs_text(&f->arena, "unit", unit),
		       fs_enum(&f->arena, "state", state), fs_text(&f->arena, "label", "may chu"),
		       fs_text(&f->arena, "org", "so_y_te"), NULL));
}

static void
key(struct fix *f, uint8_t n, const char *no, uint8_t sign, uint8_t line, const char *state)
{
	uint8_t s[32], l[32];

	memset(s, sign, sizeof(s));
	memset(l, line, sizeof(l));
	publish(f,
	    world_draft(&f->arena, "_key", key_of(f, n, no), fs_bytes(&f->arena, "sign_key", s, 32),
		fs_bytes(&f->arena, "line_key", l, 32), fs_enum(&f->arena, "state", state), NULL));
}

static const struct lt_principal *
find(const struct lt_registry *r, uint8_t n)
{
	struct lt_id id;

	memset(id.b, n, sizeof(id.b));
	return lt_registry_find(r, &id);
}

static const struct lt_principal *
by_line(const struct lt_registry *r, uint8_t line)
{
	uint8_t l[32];

	memset(l, line, sizeof(l));
	return lt_registry_by_line_key(r, l);
}

static void
empty(void **state)
{
	struct fix *f = *state;
	struct lt_registry *r, *other;

	ok(lt_registry_load(f->txn, NULL, 0, &r, NULL));
	assert_int_equal(lt_registry_count(r), 0);
	assert_null(find(r, 1));
	assert_null(by_line(r, 1));
	assert_null(lt_registry_at(r, 0));
	ok(lt_registry_load(f->txn, NULL, 0, &other, NULL));
	assert_true(lt_registry_generation(other) > lt_registry_generation(r));
	lt_registry_unref(lt_registry_ref(r));
	lt_registry_unref(r);
	lt_registry_unref(other);
	lt_registry_unref(NULL);
}

static void
as_written(void **state)
{
	static const char *const verbs[] = { "inspect", "read", NULL }, *const star[] = { "*",
		NULL };
	struct fix *f = *state;
	const struct lt_principal *p;
	struct lt_registry *r;

	principal(f, 9, "node", "17254", "active");
	principal(f, 5, "department", "", "suspended");
	principal(f, 7, "hub", "40", "active");
	key(f, 9, "/2", 0x92, 0x29, "active");
	key(f, 9, "/1", 0x91, 0x19, "revoked");
	key(f, 9, "/10", 0x9a, 0xa9, "retired");
	publish(f,
	    world_draft(&f->arena, "_grant", key_of(f, 5, "/1"), fs_set(&f->arena, "verbs", verbs),
		fs_set(&f->arena, "units", star), fs_set(&f->arena, "collections", star),
		fs_enum(&f->arena, "state", "active"), NULL));
	publish(f,
	    world_draft(&f->arena, "_grant", key_of(f, 5, "/2"), fs_set(&f->arena, "verbs", verbs),
		fs_enum(&f->arena, "state", "revoked"), NULL));
	ok(lt_registry_load(f->txn, NULL, 0, &r, NULL));
	assert_int_equal(lt_registry_count(r), 3);
	p = find(r, 9);
	assert_ptr_equal(p, lt_registry_at(r, 2));
	assert_int_equal(p->role, LTPB__ROLE__ROLE_NODE);
	assert_int_equal(p->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
	assert_string_equal(p->unit.s, "17254");
	assert_string_equal(p->label, "may chu");
	assert_int_equal(p->nkey, 3);
	assert_int_equal(lt_principal_key(p, 2)->sign_key[0], 0x92);
	assert_true(lt_principal_key(p, 2)->active);
	assert_false(lt_principal_key(p, 1)->active);
	assert_false(lt_principal_key(p, 10)->active);
	assert_null(lt_principal_key(p, 3));
	assert_ptr_equal(by_line(r, 0x29), p);
	assert_null(by_line(r, 0x19)); /* revoked: no line */
	assert_null(by_line(r, 0xa9));
	assert_true(lt_registry_is_hub(r, &find(r, 7)->id));
	assert_false(lt_registry_is_hub(r, &p->id));
	p = find(r, 5);
	assert_int_equal(p->role, LTPB__ROLE__ROLE_DEPARTMENT);
	assert_int_equal(p->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_SUSPENDED);
	assert_string_equal(p->org, "so_y_te");
	assert_string_equal(p->unit.s, "");
	assert_int_equal(p->ngrant, 1);
	assert_int_equal(p->grant[0].nverb, 2);
	assert_string_equal(p->grant[0].verb[1], "read");
	assert_string_equal(p->grant[0].unit[0], "*");
	assert_int_equal(p->grant[0].nfield, 0);
	lt_registry_unref(r);
}

/* One line key, one principal: the lower id keeps it, in whatever order they were written. */
static void
line_key_twice(void **state)
{
	struct fix *f = *state;
	struct lt_registry *r;

	principal(f, 9, "node", "17254", "active");
	key(f, 9, "/1", 0x91, 0x77, "active");
	principal(f, 4, "node", "16906", "active");
	key(f, 4, "/1", 0x41, 0x77, "active");
	key(f, 4, "/2", 0x42, 0x77, "active");
	ok(lt_registry_load(f->txn, NULL, 0, &r, NULL));
	assert_ptr_equal(by_line(r, 0x77), find(r, 4));
	assert_non_null(lt_principal_key(find(r, 9), 1)); /* it still signs */
	lt_registry_unref(r);
}

/* A certified hub is what its certificate says, whatever records claim about it. */
static void
certified_hub(void **state)
{
	struct fix *f = *state;
	struct lt_principal_key k = { .no = 1, .active = true };
	struct lt_principal hub = { .role = LTPB__ROLE__ROLE_HUB,
		.label = "hub",
		.state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE,
		.nkey = 1,
		.key = &k };
	struct lt_registry *r;

	memset(hub.id.b, 6, sizeof(hub.id.b));
	memset(k.sign_key, 0x66, 32);
	memset(k.line_key, 0x67, 32);
	ok(lt_registry_load(f->txn, &hub, 1, &r, NULL));
	assert_true(lt_registry_is_hub(r, &hub.id));
	assert_int_equal(lt_principal_key(find(r, 6), 1)->sign_key[0], 0x66);
	assert_ptr_equal(by_line(r, 0x67), find(r, 6));
	assert_string_equal(find(r, 6)->org, "");
	lt_registry_unref(r);
	principal(f, 6, "node", "17254", "revoked");
	principal(f, 8, "node", "17254", "active");
	key(f, 6, "/1", 0x11, 0x12, "active");
	key(f, 6, "/2", 0x13, 0x14, "active");
	ok(lt_registry_load(f->txn, &hub, 1, &r, NULL));
	assert_int_equal(lt_registry_count(r), 2);
	assert_true(lt_registry_is_hub(r, &hub.id));
	assert_int_equal(find(r, 6)->nkey, 1);
	assert_int_equal(lt_principal_key(find(r, 6), 1)->sign_key[0], 0x66);
	assert_null(by_line(r, 0x14));
	lt_registry_unref(r);
}

/* Records that merge let through and that mean nothing here are passed over, the others stand. */
static void
nonsense(void **state)
{
	struct fix *f = *state;
	struct lt_registry *r;
	uint8_t k[32] = { 1 };

	principal(f, 3, "node", "17254", "active");
	principal(f, 4, "king", "17254", "active");
	principal(f, 5, "node", "elsewhere", "active");
	publish(f,
	    world_draft(&f->arena, "_registry", "xyz", fs_enum(&f->arena, "role", "node"), NULL));
	publish(f, world_draft(&f->arena, "_registry", key_of(f, 8, "00"),
		       fs_enum(&f->arena, "role", "node"), NULL));
	publish(f, world_draft(&f->arena, "_key", key_of(f, 3, "/0"),
		       fs_bytes(&f->arena, "sign_key", k, 32), NULL));
	publish(f, world_draft(&f->arena, "_key", key_of(f, 3, "/4294967296"),
		       fs_bytes(&f->arena, "sign_key", k, 32), NULL));
	publish(f, world_draft(&f->arena, "_key", key_of(f, 3, "/1"),
		       fs_bytes(&f->arena, "sign_key", k, 31), NULL));
	publish(f, world_draft(&f->arena, "_key", key_of(f, 3, "/4294967295"),
		       fs_bytes(&f->arena, "sign_key", k, 32), NULL));
	publish(f, world_draft(&f->arena, "_grant", key_of(f, 3, "/x"),
		       fs_enum(&f->arena, "state", "active"), NULL));
	ok(lt_registry_load(f->txn, NULL, 0, &r, NULL));
	assert_int_equal(lt_registry_count(r), 1);
	assert_int_equal(find(r, 3)->nkey, 1);
	assert_non_null(lt_principal_key(find(r, 3), UINT32_MAX));
	assert_false(lt_principal_key(find(r, 3), UINT32_MAX)->active); /* no state given */
	assert_int_equal(find(r, 3)->ngrant, 0);
	lt_registry_unref(r);
}

/* More principals than the arrays begin with, each with its own. */
static void
many(void **state)
{
	struct fix *f = *state;
	struct lt_registry *r;
	int i;

	for (i = 200; i > 0; i--) {
		principal(f, (uint8_t)i, "node", "17254", "active");
		key(f, (uint8_t)i, "/1", (uint8_t)i, (uint8_t)i, "active");
	}
	ok(lt_registry_load(f->txn, NULL, 0, &r, NULL));
	assert_int_equal(lt_registry_count(r), 200);
	for (i = 1; i <= 200; i++) {
		assert_int_equal(lt_registry_at(r, (size_t)i - 1)->id.b[0], i);
		assert_int_equal(lt_principal_key(find(r, (uint8_t)i), 1)->sign_key[5], i);
		assert_ptr_equal(by_line(r, (uint8_t)i), find(r, (uint8_t)i));
	}
	lt_registry_unref(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(empty, setup, teardown),
		cmocka_unit_test_setup_teardown(as_written, setup, teardown),
		cmocka_unit_test_setup_teardown(line_key_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(certified_hub, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("store.registry", tests, NULL, NULL);
}
