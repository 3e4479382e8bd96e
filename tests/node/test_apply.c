/* What comes down of collections that the catalogue at hand does not have: the feed goes on, and nothing is lost. */
#include "../store/world.h"
#include "node/node_impl.h"
#include "proto/base/clock.h"
#include "proto/store/rebuild.h"
#include "proto/store/registry.h"
#include "proto/store/tables.h"

#include <stdlib.h>
#include <string.h>

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author hub, own;
	struct feed down, up;
	struct lt_catalogue *with, *without; /* the collection "thing" */
	struct lt_registry *reg;
	struct lt_identity identity;
	struct lt_node node;
	struct lt_kv_txn *txn;
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	static const uint8_t line[32] = { 1 };
	struct lt_principal_key key;
	struct lt_principal p;

	env_open(&f->env, false);
	lt_arena_init(&f->arena, (size_t)64 << 20);
	author_init(&f->hub, 1);
	author_init(&f->own, 2);
	feed_init(&f->down, &f->hub, WORLD_UNIT, LT_LANE_NORMAL, 1);
	feed_init(&f->up, &f->own, WORLD_UNIT, LT_LANE_NORMAL, 1);
	f->down.catalogue_version = f->up.catalogue_version = 0;
	f->with = world_catalogue();
	ok(lt_catalogue_builtin(&f->without));
	ok(lt_kv_begin_write(f->env.kv, &f->txn));
	lt_principal_of_hub(&p, &key, f->hub.id.b, 1, line, line);
	ok(lt_registry_load(f->txn, &p, 1, &f->reg, NULL));
	ok(lt_unit_set(&f->identity.unit, lt_slice_str(WORLD_UNIT)));
	ok(lt_unit_set(&f->node.province, lt_slice_str(WORLD_PROVINCE)));
	f->node.identity = &f->identity;
	f->node.clock = lt_clock_system();
	f->node.author.id = f->own.id;
	f->node.registry = f->reg;
	(void)pthread_mutex_init(&f->node.mx, NULL);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_kv_abort(f->txn);
	(void)pthread_mutex_destroy(&f->node.mx);
	lt_registry_unref(f->reg);
	lt_catalogue_unref(f->with);
	lt_catalogue_unref(f->without);
	env_close(&f->env);
	lt_arena_fini(&f->arena);
	free(f);
	return 0;
}

static struct lt_changeset
sealed(struct fix *f, struct feed *feed, const struct lt_draft *d, size_t n)
{
	static uint64_t hour;
	struct lt_buf bytes = { 0 };
	struct lt_changeset cs;
	uint8_t *kept;

	feed_seal(feed, LT_STAMP(1000 + ++hour, 0), d, n, &bytes);
	kept = lt_arena_dup(&f->arena, bytes.data, bytes.len);
	ok(lt_changeset_parse(lt_slice(kept, bytes.len), &f->arena, &cs, NULL));
	lt_buf_fini(&bytes);
	return cs;
}

static int
comes(struct fix *f, const struct lt_catalogue *cat, const struct lt_draft *d, size_t n)
{
	struct lt_changeset cs = sealed(f, &f->down, d, n);

	return lt_node_apply_in(&f->node, f->txn, &cs, cat, f->reg, &f->arena, NULL);
}

static uint64_t
count(struct fix *f, unsigned table)
{
	uint64_t n;

	ok(lt_kv_count(f->txn, table, &n));
	return n;
}

static bool
shows(struct fix *f, const char *collection, const char *key)
{
	Ltpb__Record *r;
	int rc = lt_record_get(f->txn, collection, WORLD_UNIT, key, &f->arena, &r);

	assert_true(rc == LT_OK || rc == LT_E_NOTFOUND);
	return rc == LT_OK;
}

static void
work_out(struct fix *f, const struct lt_catalogue *cat)
{
	struct lt_rebuild_options o = { .txn = f->txn,
		.catalogue = cat,
		.province = f->node.province,
		.overlay = true,
		.by_hub = lt_node_by_hub,
		.ctx = f->reg,
		.records = 1 };
	bool more;

	ok(lt_rebuild_check(f->txn, cat, false, &more));
	assert_true(more);
	while (more)
		ok(lt_rebuild_step(&o, &more));
}

static struct lt_draft
thing(struct fix *f, const char *key)
{
	return world_draft(&f->arena, "thing", key, fs_text(&f->arena, "a", "x"), NULL);
}

static void
from_the_hub(void **state)
{
	struct fix *f = *state;
	struct lt_draft d[3] = { world_draft(&f->arena, "thing", "17254/1",
				     fs_text(&f->arena, "a", "x"), NULL),
		world_draft(&f->arena, "_of_a_newer_hub", "k", fs_text(&f->arena, "a", "x"), NULL),
		world_draft(&f->arena, "thing", "17254/2", fs_text(&f->arena, "a", "x"), NULL) };

	ok(comes(f, f->with, d, 3));
	assert_true(shows(f, "thing", "17254/1"));
	assert_true(shows(f, "thing", "17254/2"));
	assert_int_equal(count(f, LT_T_HISTORY), 3);
	/* And what stands behind. */
	d[0] = thing(f, "17254/3");
	ok(comes(f, f->with, d, 1));
	assert_true(shows(f, "thing", "17254/3"));
}

static void
and_then_it_is_known(void **state)
{
	struct fix *f = *state;
	struct lt_draft d[2] = { thing(f, "17254/1"), thing(f, "17254/2") };

	ok(comes(f, f->with, d, 1));
	ok(comes(f, f->without, d + 1, 1));
	assert_false(shows(f, "thing", "17254/2"));
	assert_int_equal(count(f, LT_T_HISTORY), 2);
	work_out(f, f->without);
	assert_false(shows(f, "thing", "17254/2"));
	work_out(f, f->with);
	assert_true(shows(f, "thing", "17254/1"));
	assert_true(shows(f, "thing", "17254/2"));
}

static struct lt_draft
verdict(struct fix *f, const struct lt_changeset *cs, Ltpb__RefusedDot *refused)
{
	Ltpb__Verdict v = LTPB__VERDICT__INIT;
	uint8_t *bytes;
	size_t len;

	v.feed.data = (uint8_t *)cs->feed.b;
	v.feed.len = LT_FEED_LEN;
	v.from = v.to = cs->seq;
	v.to_hash.data = (uint8_t *)cs->hash.b;
	v.to_hash.len = LT_HASH_LEN;
	v.n_refused = refused != NULL;
	v.refused = &refused;
	len = protobuf_c_message_get_packed_size(&v.base);
	bytes = lt_arena_alloc(&f->arena, len);
	(void)protobuf_c_message_pack(&v.base, bytes);
	return world_draft(
	    &f->arena, "_verdict", "v", fs_bytes(&f->arena, "verdict", bytes, len), NULL);
}

/* Own changes that a verdict names when the collection has gone: settled, the other way round too. */
static void
own_ones(void **state)
{
	struct fix *f = *state;
	struct lt_draft d[2] = { thing(f, "17254/1"), thing(f, "17254/2") }, v;
	struct lt_changeset cs = sealed(f, &f->up, d, 2);
	Ltpb__RefusedDot refused = LTPB__REFUSED_DOT__INIT;
	uint64_t position;

	ok(lt_feed_log_append(f->txn, &cs, 1, &position));
	ok(lt_node_project_own(&f->node, f->txn, f->with, &cs, position));
	assert_int_equal(count(f, LT_T_OVERLAY), 2);
	refused.seq = 1;
	refused.index = 1;
	refused.reason = LTPB__REASON_CODE__REASON_ENUM;
	v = verdict(f, &cs, &refused);
	ok(comes(f, f->without, &v, 1));
	assert_int_equal(count(f, LT_T_OVERLAY), 0);
	assert_int_equal(count(f, LT_T_HISTORY), 2);
	assert_int_equal(count(f, LT_T_QUARANTINE), 1);
	assert_int_equal(count(f, LT_T_RECORD), 0);
	work_out(f, f->without);
	work_out(f, f->with);
	assert_true(shows(f, "thing", "17254/1"));
	assert_false(shows(f, "thing", "17254/2"));
	assert_int_equal(count(f, LT_T_RECORD), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(from_the_hub, setup, teardown),
		cmocka_unit_test_setup_teardown(and_then_it_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(own_ones, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
