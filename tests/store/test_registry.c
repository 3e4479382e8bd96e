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

static const struct lt_principal_key *
node_key(const struct lt_registry *r, uint8_t n, uint32_t key_no)
{
	struct lt_id id;

	memset(id.b, n, sizeof(id.b));
	return lt_registry_node_key(r, &id, key_no);
}

/* Of a node, active, with that key, active: each of the four alone is not enough. */
static void
key_of_a_node_that_counts(void **state)
{
	struct fix *f = *state;
	struct lt_registry *r;

	principal(f, 1, "node", "17254", "active");
	key(f, 1, "/1", 0x11, 0x21, "active");
	key(f, 1, "/2", 0x12, 0x22, "retired");
	key(f, 1, "/3", 0x13, 0x23, "revoked");
	principal(f, 2, "node", "16906", "suspended");
	key(f, 2, "/1", 0x14, 0x24, "active");
	principal(f, 3, "node", "16906", "revoked");
	key(f, 3, "/1", 0x15, 0x25, "active");
	principal(f, 4, "department", "", "active");
	key(f, 4, "/1", 0x16, 0x26, "active");
	principal(f, 5, "hub", "40", "active");
	key(f, 5, "/1", 0x17, 0x27, "active");
	ok(lt_registry_load(f->txn, NULL, 0, &r, NULL));
	assert_int_equal(node_key(r, 1, 1)->sign_key[0], 0x11);
	assert_null(node_key(r, 1, 2));
	assert_null(node_key(r, 1, 3));
	assert_null(node_key(r, 1, 4)); /* none of that number */
	assert_null(node_key(r, 1, 0));
	assert_non_null(lt_principal_key(find(r, 2), 1));
	assert_null(node_key(r, 2, 1));
	assert_non_null(lt_principal_key(find(r, 3), 1));
	assert_null(node_key(r, 3, 1));
	assert_non_null(lt_principal_key(find(r, 4), 1));
	assert_null(node_key(r, 4, 1));
	assert_null(node_key(r, 5, 1));
	assert_null(node_key(r, 6, 1)); /* nobody */
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

/* ---- revocations ---- */

static struct lt_feed_id
feed_of(uint8_t n, uint64_t epoch)
{
	struct lt_id id;

	memset(id.b, n, sizeof(id.b));
	return lt_feed_id_make(id, LT_LANE_NORMAL, epoch);
}

/* Bytes of a cut-off: each feed of the principal of byte n, epochs from 1 on, up to seq[i] with a hash of bytes mark. */
static struct lt_slice
cut_of(struct fix *f, uint8_t n, const uint64_t *seq, size_t nseq, uint8_t mark)
{
	Ltpb__CutOff m = LTPB__CUT_OFF__INIT;
	Ltpb__FeedHead *heads = lt_arena_alloc(&f->arena, nseq * sizeof(*heads));
	uint8_t *out;
	size_t i;

	m.feed = lt_arena_alloc(&f->arena, nseq * sizeof(*m.feed));
	for (i = 0; i < nseq; i++) {
		struct lt_feed_id id = feed_of(n, i + 1);

		ltpb__feed_head__init(&heads[i]);
		heads[i].unit = (char *)"17254";
		heads[i].feed.data = lt_arena_dup(&f->arena, id.b, LT_FEED_LEN);
		heads[i].feed.len = LT_FEED_LEN;
		heads[i].seq = seq[i];
		heads[i].hash.data = lt_arena_alloc(&f->arena, LT_HASH_LEN);
		heads[i].hash.len = LT_HASH_LEN;
		memset(heads[i].hash.data, mark, LT_HASH_LEN);
		m.feed[m.n_feed++] = &heads[i];
	}
	out = lt_arena_alloc(&f->arena, ltpb__cut_off__get_packed_size(&m) + 1);
	return lt_slice(out, ltpb__cut_off__pack(&m, out));
}

static struct lt_draft
revocation(struct fix *f, uint8_t n, const char *behind, int64_t key_no, const char *reason,
    struct lt_slice cut)
{
	return world_draft(&f->arena, "_revocation", key_of(f, n, behind),
	    fs_int(&f->arena, "key_no", key_no), fs_enum(&f->arena, "reason", reason),
	    fs_bytes(&f->arena, "cutoff", cut.data, cut.len), NULL);
}

/* Whether the change-set seq with a hash of bytes mark, in the feed of this epoch, still counts under the key. */
static bool
covers(const struct lt_registry *r, uint8_t n, uint32_t key_no, uint64_t epoch, uint64_t seq,
    uint8_t mark)
{
	struct lt_unit unit;
	struct lt_feed_id feed = feed_of(n, epoch);
	struct lt_hash hash;

	memset(hash.b, mark, sizeof(hash.b));
	ok(lt_unit_set(&unit, lt_slice_str("17254")));
	return lt_principal_covers(find(r, n), key_no, &unit, &feed, seq, &hash);
}

static bool
knows(const struct lt_registry *r, uint8_t line)
{
	uint8_t l[32];

	memset(l, line, sizeof(l));
	return lt_registry_knows_line(r, l);
}

/* All keys of one, one key of another, the end of a third; and those whom nothing was said of. */
static void
revoked(void **state)
{
	static const uint64_t to[] = { 7, 1 };
	struct fix *f = *state;
	struct lt_registry *r;
	struct lt_draft d;
	int i;

	for (i = 1; i <= 4; i++) {
		principal(f, (uint8_t)i, "node", "17254", "active");
		key(f, (uint8_t)i, "/1", (uint8_t)i, (uint8_t)(0x10 + i), "active");
		key(f, (uint8_t)i, "/2", (uint8_t)i, (uint8_t)(0x20 + i), "active");
	}
	d = revocation(f, 1, "/9223372036854775807", 0, "stolen", cut_of(f, 1, to, 2, 0xaa));
	publish(f, d);
	d = revocation(f, 2, "/5", 1, "rotated", cut_of(f, 2, to, 1, 0xaa));
	publish(f, d);
	d = revocation(f, 3, "/6", 0, "retired", cut_of(f, 3, to, 1, 0xaa));
	publish(f, d);
	ok(lt_registry_load(f->txn, NULL, 0, &r, NULL));
	assert_int_equal(find(r, 1)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED);
	assert_int_equal(find(r, 2)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
	assert_int_equal(find(r, 3)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_RETIRED);
	assert_int_equal(find(r, 4)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
	assert_int_equal(find(r, 1)->nrevocation, 1);
	assert_true(find(r, 1)->revocation[0].number == INT64_MAX);
	assert_int_equal(find(r, 1)->revocation[0].ncut, 2);
	assert_int_equal(find(r, 4)->nrevocation, 0);
	/* lines */
	assert_null(by_line(r, 0x11));
	assert_null(by_line(r, 0x21));
	assert_null(by_line(r, 0x12));
	assert_ptr_equal(by_line(r, 0x22), find(r, 2));
	assert_null(by_line(r, 0x13));
	assert_ptr_equal(by_line(r, 0x14), find(r, 4));
	for (i = 1; i <= 4; i++)
		assert_true(knows(r, (uint8_t)(0x10 + i)) && knows(r, (uint8_t)(0x20 + i)));
	assert_false(knows(r, 0x15));
	/* the cut, on both sides; a hash counts at the cut itself */
	assert_true(covers(r, 1, 1, 1, 6, 0));
	assert_true(covers(r, 1, 1, 1, 7, 0xaa));
	assert_false(covers(r, 1, 1, 1, 7, 0xab));
	assert_false(covers(r, 1, 1, 1, 8, 0xaa));
	assert_true(covers(r, 1, 2, 2, 1, 0xaa));
	assert_false(covers(r, 1, 2, 2, 2, 0xaa));
	assert_false(covers(r, 1, 1, 3, 1, 0xaa)); /* a feed that is not named */
	/* the other key is as before */
	assert_false(covers(r, 2, 1, 1, 8, 0xaa));
	assert_false(covers(r, 2, 1, 2, 1, 0xaa));
	assert_true(covers(r, 2, 2, 1, 8, 0xaa));
	assert_true(covers(r, 4, 1, 1, 99, 0));
	assert_true(lt_principal_revoked(find(r, 2), 1));
	assert_false(lt_principal_revoked(find(r, 2), 2));
	assert_false(lt_principal_revoked(find(r, 2), 0));
	assert_true(lt_principal_revoked(find(r, 1), 2));
	lt_registry_unref(r);
}

/* Of two revocations both hold; of a damaged cut-off nothing is left; nobody's and a hub's are passed over. */
static void
revoked_oddly(void **state)
{
	static const uint64_t low[] = { 3 }, high[] = { 9, 9 };
	struct fix *f = *state;
	struct lt_principal_key k = { .no = 1, .active = true };
	struct lt_principal hub = { .role = LTPB__ROLE__ROLE_HUB,
		.label = "hub",
		.state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE,
		.nkey = 1,
		.key = &k };
	struct lt_registry *r;
	int i;

	memset(hub.id.b, 6, sizeof(hub.id.b));
	for (i = 1; i <= 3; i++) {
		principal(f, (uint8_t)i, "node", "17254", "active");
		key(f, (uint8_t)i, "/1", (uint8_t)i, (uint8_t)i, "active");
	}
	publish(f, revocation(f, 1, "/1", 0, "lost", cut_of(f, 1, high, 2, 0xaa)));
	publish(f, revocation(f, 1, "/2", 1, "other", cut_of(f, 1, low, 1, 0xbb)));
	publish(f, revocation(f, 2, "/1", 0, "retired", cut_of(f, 2, high, 1, 0xaa)));
	publish(f, revocation(f, 2, "/2", 0, "stolen", cut_of(f, 2, high, 1, 0xaa)));
	publish(f, revocation(f, 3, "/1", -4, "lost", lt_slice("\x0a\xff", 2)));
	publish(f, revocation(f, 6, "/1", 0, "lost", cut_of(f, 6, low, 1, 0xaa)));
	publish(f, revocation(f, 8, "/1", 0, "lost", cut_of(f, 8, low, 1, 0xaa)));
	publish(f, revocation(f, 3, "/9223372036854775808", 0, "lost", lt_slice("", 0)));
	ok(lt_registry_load(f->txn, &hub, 1, &r, NULL));
	assert_int_equal(lt_registry_count(r), 4);
	assert_true(covers(r, 1, 1, 1, 2, 0));
	assert_true(covers(r, 1, 1, 1, 3, 0xbb));
	assert_false(covers(r, 1, 1, 1, 3, 0xaa));
	assert_false(covers(r, 1, 1, 1, 4, 0xaa));
	assert_false(covers(r, 1, 1, 2, 1, 0xaa)); /* one names the feed, the other does not */
	assert_int_equal(find(r, 2)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED);
	assert_int_equal(find(r, 3)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED);
	assert_int_equal(find(r, 3)->nrevocation, 1);
	assert_false(covers(r, 3, 1, 1, 1, 0xaa));
	assert_int_equal(find(r, 6)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
	assert_int_equal(find(r, 6)->nrevocation, 0);
	assert_true(find(r, 6)->key[0].active);
	lt_registry_unref(r);
}

/* To be called a hub by a record lifts no revocation: that takes a certificate of the root. */
static void
revoked_and_called_hub(void **state)
{
	static const uint64_t low[] = { 3 };
	struct fix *f = *state;
	struct lt_registry *r;

	principal(f, 1, "node", "17254", "active");
	key(f, 1, "/1", 1, 1, "active");
	publish(f, revocation(f, 1, "/1", 0, "stolen", cut_of(f, 1, low, 1, 0xaa)));
	principal(f, 1, "hub", "40", "active");
	ok(lt_registry_load(f->txn, NULL, 0, &r, NULL));
	assert_int_equal(find(r, 1)->role, LTPB__ROLE__ROLE_HUB);
	assert_int_equal(find(r, 1)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED);
	assert_true(lt_principal_revoked(find(r, 1), 1));
	assert_null(by_line(r, 1));
	lt_registry_unref(r);
}

/* What the hub's other self (restored, promoted) wrote about it. */
static void
publish_as(struct fix *f, struct feed *feed, struct lt_draft d)
{
	struct lt_projection_options o = { .log = f->txn, .derived = f->txn, .catalogue = f->cat };
	struct lt_merge_change mc = { .by_hub = true };
	struct lt_projection *p;
	struct lt_changeset cs;
	struct lt_buf b = { 0 };
	uint64_t position;
	uint8_t *copy;

	ok(lt_unit_set(&o.province, lt_slice_str(WORLD_PROVINCE)));
	feed_seal(feed, feed->stamp + 1, &d, 1, &b);
	copy = lt_arena_dup(&f->arena, b.data, b.len);
	world_append(f->txn, lt_slice(copy, b.len), &f->arena, &cs, &position);
	lt_buf_fini(&b);
	ok(lt_projection_begin(&o, &p));
	mc.dot = (struct lt_dot){ cs.feed, cs.seq, 0 };
	mc.stamp = cs.stamp;
	mc.hash8 = lt_load_u64(cs.hash.b);
	mc.change = &cs.change[0];
	/* Taking back is refused, whoever asks; anything else merges. */
	assert_int_equal(lt_projection_add(p, &cs.unit, &mc, position),
	    strcmp(d.collection, "_revocation") == 0 && (d.is_delete || d.ncleared != 0)
		? LT_E_INVALID
		: LT_OK);
	ok(lt_projection_flush(p, NULL, NULL));
}

#define SAID 12

/* Everything that is said, by two hubs, in an order drawn from the seed; each hub's in its own order as far as it is about
 * one record, with clocks that run apart. */
static void
say_in_order(struct fix *f, uint64_t seed)
{
	static const uint64_t to[] = { 5 }, wider[] = { 50, 50 };
	static char *const fields[] = { (char *)"key_no", (char *)"reason" };
	struct author other;
	struct feed late;
	struct lt_draft d[SAID];
	size_t order[SAID], i, k, t;

	author_init(&other, 77);
	feed_init(&late, &other, "_", LT_LANE_NORMAL, 1);
	late.stamp = LT_STAMP(LT_BUILD_FLOOR_MS, 0) + (seed % 2 ? UINT64_C(1) << 40 : 1);
	f->feed.stamp = LT_STAMP(LT_BUILD_FLOOR_MS, 0) + (seed % 3 ? 1 : UINT64_C(1) << 41);
	d[0] = world_draft(&f->arena, "_registry", key_of(f, 1, ""),
	    fs_enum(&f->arena, "role", "node"), fs_text(&f->arena, "unit", "17254"),
	    fs_enum(&f->arena, "state", "active"), NULL);
	d[1] = world_draft(&f->arena, "_key", key_of(f, 1, "/1"),
	    fs_bytes(&f->arena, "sign_key", (const uint8_t[32]){ 1 }, 32),
	    fs_bytes(&f->arena, "line_key", (const uint8_t[32]){ 2 }, 32),
	    fs_enum(&f->arena, "state", "active"), NULL);
	d[2] = revocation(f, 1, "/7", 0, "stolen", cut_of(f, 1, to, 1, 0xaa));
	d[3] = revocation(f, 1, "/8", 1, "lost", cut_of(f, 1, wider, 2, 0xbb));
	/* attempts to undo, by either hub */
	d[4] = world_draft(&f->arena, "_revocation", key_of(f, 1, "/7"), NULL);
	d[4].is_delete = true;
	d[5] = world_draft(&f->arena, "_revocation", key_of(f, 1, "/7"), NULL);
	d[5].cleared = (char **)fields;
	d[5].ncleared = 2;
	d[6] = world_draft(
	    &f->arena, "_registry", key_of(f, 1, ""), fs_enum(&f->arena, "state", "active"), NULL);
	d[7] = world_draft(
	    &f->arena, "_key", key_of(f, 1, "/1"), fs_enum(&f->arena, "state", "active"), NULL);
	d[8] = world_draft(&f->arena, "_revocation", key_of(f, 1, "/8"), NULL);
	d[8].is_delete = true;
	d[9] = world_draft(&f->arena, "_registry", key_of(f, 2, ""),
	    fs_enum(&f->arena, "role", "node"), fs_text(&f->arena, "unit", "17254"),
	    fs_enum(&f->arena, "state", "active"), NULL);
	d[10] = revocation(f, 2, "/7", 0, "retired", cut_of(f, 2, to, 1, 0xaa));
	d[11] = world_draft(&f->arena, "_revocation", key_of(f, 2, "/7"), NULL);
	d[11].is_delete = true;
	for (i = 0; i < SAID; i++)
		order[i] = i;
	for (i = SAID; i > 1; i--) {
		k = rnd_below(&seed, i);
		t = order[k];
		order[k] = order[i - 1];
		order[i - 1] = t;
	}
	/* The second hub says everything that is only there to undo. */
	for (i = 0; i < SAID; i++) {
		k = order[i];
		publish_as(f, (k >= 4 && k <= 8) || k == 11 ? &late : &f->feed, d[k]);
	}
}

/* In whatever order it comes, also before the principal itself, and whatever is said to undo it: revoked is revoked. */
static void
any_order(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 300; seed++) {
		struct lt_registry *r;
		struct fix *f;
		void *own;

		setup(&own);
		f = own;
		say_in_order(f, seed * UINT64_C(0x9e3779b97f4a7c15));
		ok(lt_registry_load(f->txn, NULL, 0, &r, NULL));
		assert_int_equal(find(r, 1)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED);
		assert_int_equal(find(r, 2)->state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_RETIRED);
		assert_int_equal(find(r, 1)->nrevocation, 2);
		assert_string_equal(find(r, 1)->revocation[0].reason, "stolen");
		assert_int_equal(find(r, 1)->revocation[1].key_no, 1);
		assert_false(find(r, 1)->key[0].active);
		assert_true(covers(r, 1, 1, 1, 4, 0));
		assert_false(covers(r, 1, 1, 1, 5, 0xbb));
		assert_true(covers(r, 1, 1, 1, 5, 0xaa));
		assert_false(covers(r, 1, 1, 1, 6, 0xaa));
		lt_registry_unref(r);
		teardown(&own);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(empty, setup, teardown),
		cmocka_unit_test_setup_teardown(as_written, setup, teardown),
		cmocka_unit_test_setup_teardown(line_key_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(key_of_a_node_that_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(certified_hub, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
		cmocka_unit_test_setup_teardown(revoked, setup, teardown),
		cmocka_unit_test_setup_teardown(revoked_oddly, setup, teardown),
		cmocka_unit_test_setup_teardown(revoked_and_called_hub, setup, teardown),
		cmocka_unit_test(any_order),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("store.registry", tests, NULL, NULL);
}
