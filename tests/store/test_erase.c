/* Erasing: what an act names goes, and stays away, whichever comes first; the rest of the change-set verifies as before. */
#include "world.h"

#include "proto/base/clock.h"
#include "proto/store/author.h"
#include "proto/store/erase.h"
#include "proto/store/erase_list.h"
#include "proto/store/kv_test.h"
#include "proto/store/projection_impl.h"

#include "lienthong/v1/trust.pb-c.h"

#include <stdlib.h>

#define STAMP(n) LT_STAMP(LT_BUILD_FLOOR_MS + 1000, n)
#define NAME "Nguyen Van Xoa"
#define ILL "benh can quen"

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author author;
	struct feed feed;
	struct lt_slice sealed;
	struct lt_changeset cs; /* parsed, with openings */
};

static struct lt_draft
draft(struct lt_arena *a)
{
	struct lt_draft d = world_draft(a, "thing", "17254/1", fs_text(a, "a", "x"), NULL);

	d.personal = lt_arena_alloc(a, 3 * sizeof(*d.personal));
	d.personal[d.npersonal++] = fs_text(a, LT_ACTOR_FIELD, "acc-12");
	d.personal[d.npersonal++] = fs_text(a, "p", NAME);
	d.personal[d.npersonal++] = fs_text(a, "q", ILL);
	return d;
}

static int
setup_kind(void **state, bool disk)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct lt_buf b = { 0 };
	struct lt_draft d;
	uint8_t *copy;

	env_open(&f->env, disk);
	lt_arena_init(&f->arena, (size_t)64 << 20);
	author_init(&f->author, 7);
	feed_init(&f->feed, &f->author, WORLD_UNIT, LT_LANE_NORMAL, 5);
	d = draft(&f->arena);
	feed_seal(&f->feed, STAMP(0), &d, 1, &b);
	copy = lt_arena_dup(&f->arena, b.data, b.len);
	f->sealed = lt_slice(copy, b.len);
	lt_buf_fini(&b);
	ok(lt_changeset_parse(f->sealed, &f->arena, &f->cs, NULL));
	*state = f;
	return 0;
}

static int
setup_mem(void **state)
{
	return setup_kind(state, false);
}

static int
setup_disk(void **state)
{
	return setup_kind(state, true);
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	env_close(&f->env);
	lt_arena_fini(&f->arena);
	free(f);
	return 0;
}

static const char *p_alone[] = { "p" };

static struct lt_erased
named(const struct fix *f)
{
	return (struct lt_erased){ .feed = f->cs.feed,
		.seq = 1,
		.index = 0,
		.hash8 = lt_load_u64(f->cs.hash.b),
		.nfield = 1,
		.field = p_alone };
}

static enum lt_opening_state
state_of(struct lt_kv_txn *txn, uint64_t position, const char *field)
{
	enum lt_opening_state s;

	ok(lt_opening_state(txn, position, 0, field, &s));
	return s;
}

/* The change-set as it leaves the log: chain, signature and openings verify; how many are withheld. */
static size_t
composed(struct fix *f, struct lt_kv_txn *txn, uint64_t position, struct lt_buf *out)
{
	struct lt_changeset cs;
	struct lt_entry e;
	size_t i, n = 0;

	lt_buf_clear(out);
	ok(lt_feed_log_read(txn, position, &e));
	ok(lt_feed_log_compose(txn, &e, NULL, NULL, out, NULL));
	ok(lt_changeset_parse(lt_buf_slice(out), &f->arena, &cs, NULL));
	ok(lt_changeset_verify_signature(&cs, f->author.key.pk));
	ok(lt_changeset_verify_openings(&cs, NULL));
	assert_memory_equal(cs.hash.b, f->cs.hash.b, LT_HASH_LEN);
	for (i = 0; i < cs.nopening; i++)
		n += cs.opening[i].withheld;
	return n;
}

static void
assert_gone(struct fix *f, struct lt_kv_txn *txn, uint64_t position)
{
	struct lt_buf out = { 0 };
	struct lt_slice fs;
	struct lt_hash leaf;
	bool yes;

	assert_int_equal(state_of(txn, position, "p"), LT_OPENING_ERASED);
	assert_int_equal(state_of(txn, position, "q"), LT_OPENING_HERE);
	assert_int_equal(state_of(txn, position, LT_ACTOR_FIELD), LT_OPENING_HERE);
	assert_int_equal(
	    lt_opening_get(txn, position, 0, "p", &f->arena, &fs, NULL, &leaf), LT_E_NOTFOUND);
	assert_memory_equal(leaf.b, f->cs.opening[1].leaf.b, LT_HASH_LEN);
	assert_int_equal(composed(f, txn, position, &out), 1);
	assert_null(memmem(out.data, out.len, NAME, strlen(NAME)));
	assert_null(memmem(out.data, out.len, f->cs.seed.data, LT_SALT_LEN));
	assert_null(memmem(out.data, out.len, f->cs.opening[1].salt, LT_SALT_LEN));
	assert_non_null(memmem(out.data, out.len, ILL, strlen(ILL)));
	ok(lt_erase_names(txn, &f->cs, 0, "p", &yes));
	assert_true(yes);
	ok(lt_erase_names(txn, &f->cs, 0, "q", &yes));
	assert_false(yes);
	ok(lt_erase_names(txn, &f->cs, 1, "p", &yes));
	assert_false(yes);
	lt_buf_fini(&out);
}

/* The act after the change-set, before it, and both again: the same rows each time. */
static void
either_order(void **state)
{
	static const unsigned tables[] = { LT_T_OPENING, LT_T_LOCAL, LT_T_SUMS, LT_T_COUNT };
	struct fix *f = *state;
	struct lt_erased e = named(f);
	struct lt_unit unit = f->cs.unit;
	struct lt_buf after = { 0 }, before = { 0 };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position, removed;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	assert_int_equal(state_of(txn, position, "p"), LT_OPENING_HERE);
	ok(lt_erase(txn, &unit, &e, 1, &removed));
	assert_int_equal(removed, 1);
	assert_gone(f, txn, position);
	env_dump(txn, tables, &after);
	ok(lt_erase(txn, &unit, &e, 1, &removed));
	assert_int_equal(removed, 0);
	env_dump(txn, tables, &before);
	assert_true(lt_slice_eq(lt_buf_slice(&after), lt_buf_slice(&before)));
	lt_kv_abort(txn);

	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_erase(txn, &unit, &e, 1, &removed));
	assert_int_equal(removed, 0);
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	assert_gone(f, txn, position);
	lt_buf_clear(&before);
	env_dump(txn, tables, &before);
	assert_true(lt_slice_eq(lt_buf_slice(&after), lt_buf_slice(&before)));
	ok(lt_kv_commit(txn));
	lt_buf_fini(&after);
	lt_buf_fini(&before);
}

/* With rows prepared before the transaction, as the hub takes change-sets in. */
static void
prepared_rows(void **state)
{
	struct fix *f = *state;
	struct lt_erased e = named(f);
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position, removed;

	ok(lt_changeset_keep(&f->cs, &f->arena, &cs));
	ok(lt_feed_log_prepare(&cs, &f->arena));
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	ok(lt_feed_log_append(txn, &cs, 1, &position));
	assert_gone(f, txn, position);
	ok(lt_kv_commit(txn));
}

/* Already a leaf here: marked as erased, and what came without openings stays without. */
static void
leaves(void **state)
{
	struct fix *f = *state;
	struct lt_erased e = named(f);
	struct lt_buf out = { 0 };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position, removed;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	assert_int_equal(composed(f, txn, position, &out), 1);
	lt_kv_abort(txn);

	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, lt_buf_slice(&out), &f->arena, &cs, &position);
	assert_int_equal(state_of(txn, position, "p"), LT_OPENING_WITHHELD);
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	assert_int_equal(removed, 0);
	assert_int_equal(state_of(txn, position, "p"), LT_OPENING_ERASED);
	lt_kv_abort(txn);

	lt_buf_clear(&out);
	ok(lt_changeset_strip(&f->cs, &out));
	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, lt_buf_slice(&out), &f->arena, &cs, &position);
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	assert_int_equal(removed, 0);
	assert_int_equal(state_of(txn, position, "p"), LT_OPENING_NONE);
	lt_kv_abort(txn);
	lt_buf_fini(&out);
}

/* What is not meant stays: another branch's change-set, a field that is not personal, a change that is not there. */
static void
others_stay(void **state)
{
	static const char *a_alone[] = { "a" }, *zz[] = { "zz" };
	struct fix *f = *state;
	struct lt_erased e[4] = { named(f), named(f), named(f), named(f) };
	struct lt_buf out = { 0 };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position, removed, left;
	bool yes;
	int before;

	e[0].hash8 ^= 1;
	e[1].field = a_alone;
	e[2].index = 1;
	e[3].field = zz;
	for (before = 0; before < 2; before++) {
		ok(lt_kv_begin_write(f->env.kv, &txn));
		if (before)
			ok(lt_erase(txn, &f->cs.unit, e, 1, &removed));
		world_append(txn, f->sealed, &f->arena, &cs, &position);
		ok(lt_erase(txn, &f->cs.unit, e, before ? 1 : 4, &removed));
		assert_int_equal(removed, 0);
		assert_int_equal(state_of(txn, position, "p"), LT_OPENING_HERE);
		assert_int_equal(composed(f, txn, position, &out), 0);
		ok(lt_erase_names(txn, &f->cs, 0, "p", &yes));
		assert_false(yes);
		ok(lt_erase_left(txn, &cs, position, &left));
		assert_int_equal(left, 0);
		lt_kv_abort(txn);
	}
	lt_buf_fini(&out);
}

/* A value put back by whatever is seen. */
static void
one_that_is_left(void **state)
{
	struct fix *f = *state;
	struct lt_erased e = named(f);
	struct lt_buf key = { 0 }, value = { 0 };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_slice v;
	uint64_t position, removed, left;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	lt_buf_u64(&key, position);
	lt_buf_u32(&key, 0);
	lt_buf_str(&key, "p");
	ok(lt_kv_get(txn, LT_T_OPENING, lt_buf_slice(&key), &v));
	lt_buf_put_slice(&value, v);
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	ok(lt_erase_left(txn, &cs, position, &left));
	assert_int_equal(left, 0);
	ok(lt_kv_put(txn, LT_T_OPENING, lt_buf_slice(&key), lt_buf_slice(&value)));
	ok(lt_erase_left(txn, &cs, position, &left));
	assert_int_equal(left, 1);
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	assert_int_equal(removed, 1);
	ok(lt_erase_left(txn, &cs, position, &left));
	assert_int_equal(left, 0);
	lt_kv_abort(txn);
	lt_buf_fini(&key);
	lt_buf_fini(&value);
}

/* ---- damage ---- */

/* What is stored under this key loses a bit. */
static void
damage(struct lt_kv_txn *txn, unsigned table, struct lt_slice key)
{
	struct lt_buf b = { 0 };
	struct lt_slice v;

	ok(lt_kv_test_get_raw(txn, table, key, &v));
	lt_buf_put_slice(&b, v);
	b.data[0] ^= 4;
	ok(lt_kv_test_put_raw(txn, table, key, lt_buf_slice(&b)));
	lt_buf_fini(&b);
	assert_int_equal(lt_kv_get(txn, table, key, &v), LT_E_CORRUPT);
}

static void
note_of(const struct fix *f, uint64_t seq, const char *tail, char out[256])
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, f->cs.feed.b, LT_FEED_LEN);
	(void)snprintf(
	    out, 256, "erased/%s/%s/%016llx/%s", f->cs.unit.s, hex, (unsigned long long)seq, tail);
}

/* The row behind the notes is none of them; one among them that cannot be read still names. */
static void
damaged_notes(void **state)
{
	struct fix *f = *state;
	struct lt_erased e = named(f);
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position, removed, left;
	char name[256];
	bool yes;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_kv_put(txn, LT_T_LOCAL, lt_slice_str("erasedzzz"), lt_slice_str("else")));
	damage(txn, LT_T_LOCAL, lt_slice_str("erasedzzz"));
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	assert_int_equal(state_of(txn, position, "p"), LT_OPENING_HERE);
	ok(lt_erase_left(txn, &cs, position, &left));
	assert_int_equal(left, 0);
	lt_kv_abort(txn);

	/* Of the change-set after it. */
	ok(lt_kv_begin_write(f->env.kv, &txn));
	e.seq = 2;
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	note_of(f, 2, "00000000/p", name);
	damage(txn, LT_T_LOCAL, lt_slice_str(name));
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	assert_int_equal(state_of(txn, position, "p"), LT_OPENING_HERE);
	lt_kv_abort(txn);

	ok(lt_kv_begin_write(f->env.kv, &txn));
	e.seq = 1;
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	note_of(f, 1, "00000000/p", name);
	damage(txn, LT_T_LOCAL, lt_slice_str(name));
	/* Keys that name nothing are passed by. */
	note_of(f, 1, "00000000/a/b/c", name);
	ok(lt_kv_put(txn, LT_T_LOCAL, lt_slice_str(name), lt_slice(f->cs.hash.b, 8)));
	note_of(f, 1, "zzzzzzzz/q", name);
	ok(lt_kv_put(txn, LT_T_LOCAL, lt_slice_str(name), lt_slice(f->cs.hash.b, 8)));
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	assert_gone(f, txn, position);
	ok(lt_erase_left(txn, &cs, position, &left));
	assert_int_equal(left, 0);
	ok(lt_erase_names(txn, &f->cs, 0, "p", &yes));
	assert_true(yes);
	lt_kv_abort(txn);
}

/* An opening, the seed, the change-set itself: what cannot be read does not keep an act from being obeyed. */
static void
damaged_rows(void **state)
{
	struct fix *f = *state;
	struct lt_erased e = named(f);
	struct lt_buf opening = { 0 }, seed = { 0 }, entry = { 0 };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position, removed;
	int i;
	bool yes;

	for (i = 0; i < 3; i++) {
		ok(lt_kv_begin_write(f->env.kv, &txn));
		world_append(txn, f->sealed, &f->arena, &cs, &position);
		lt_buf_clear(&opening);
		lt_buf_u64(&opening, position);
		lt_buf_u32(&opening, 0);
		lt_buf_str(&opening, "p");
		lt_buf_clear(&seed);
		lt_buf_u64(&seed, position);
		lt_buf_u32(&seed, UINT32_MAX);
		lt_buf_clear(&entry);
		lt_buf_u64(&entry, position);
		damage(txn, i == 2 ? LT_T_ENTRY : LT_T_OPENING,
		    lt_buf_slice(i == 0   ? &opening
				 : i == 1 ? &seed
					  : &entry));
		ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
		assert_int_equal(removed, i == 1 ? 1 : 0);
		assert_int_equal(
		    state_of(txn, position, "p"), i == 1 ? LT_OPENING_ERASED : LT_OPENING_NONE);
		assert_int_equal(state_of(txn, position, "q"), LT_OPENING_HERE);
		ok(lt_erase_names(txn, &f->cs, 0, "p", &yes));
		assert_true(yes);
		ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
		assert_int_equal(removed, 0);
		lt_kv_abort(txn);
	}
	lt_buf_fini(&opening);
	lt_buf_fini(&seed);
	lt_buf_fini(&entry);
}

/* Its place in the log cannot be found, or there is nothing there: the names are noted, and hold when it is back. */
static void
damaged_places(void **state)
{
	struct fix *f = *state;
	struct lt_erased e = named(f);
	struct lt_buf key = { 0 };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	uint64_t position, removed;
	bool yes;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	ok(lt_kv_cursor_open(txn, LT_T_SEQ, &c));
	ok(lt_kv_seek(c, lt_slice(NULL, 0), &k, &v));
	lt_buf_put_slice(&key, k);
	lt_kv_cursor_close(c);
	damage(txn, LT_T_SEQ, lt_buf_slice(&key));
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	assert_int_equal(removed, 0);
	ok(lt_erase_names(txn, &f->cs, 0, "p", &yes));
	assert_true(yes);
	ok(lt_erase_again(txn, &f->cs, position));
	assert_int_equal(state_of(txn, position, "p"), LT_OPENING_ERASED);
	lt_kv_abort(txn);

	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	lt_buf_clear(&key);
	lt_buf_u64(&key, position);
	ok(lt_kv_test_del_raw(txn, LT_T_ENTRY, lt_buf_slice(&key)));
	ok(lt_erase(txn, &f->cs.unit, &e, 1, &removed));
	assert_int_equal(state_of(txn, position, "p"), LT_OPENING_NONE);
	assert_int_equal(state_of(txn, position, "q"), LT_OPENING_HERE);
	lt_kv_abort(txn);
	lt_buf_fini(&key);
}

/* ---- the act's bytes ---- */

static int
read_back(struct fix *f, const Ltpb__Erasure *m, size_t *n)
{
	size_t len = ltpb__erasure__get_packed_size(m);
	uint8_t *b = malloc(len + 1);
	struct lt_erased *e;
	int rc;

	assert_non_null(b);
	(void)ltpb__erasure__pack(m, b);
	rc = lt_erased_read(lt_slice(b, len), &f->arena, &e, n);
	free(b);
	return rc;
}

static void
bytes_of_an_act(void **state)
{
	struct fix *f = *state;
	struct lt_erased *many = calloc(LT_ERASED_MAX + 1, sizeof(*many)), *back;
	struct lt_buf out = { 0 };
	Ltpb__Erasure m = LTPB__ERASURE__INIT;
	Ltpb__ErasedChange c = LTPB__ERASED_CHANGE__INIT, *list[1] = { &c };
	uint8_t feed[LT_FEED_LEN + 1] = { 0 };
	char fine[] = "p", empty[] = "", upper[] = "P", slash[] = "p/q", digit[] = "1p";
	char longest[LT_NAME_MAX + 2], *bad[] = { empty, upper, slash, digit, longest };
	char *field[LT_FIELDS_MAX + 1];
	size_t i, n = 0;

	assert_non_null(many);
	for (i = 0; i <= LT_ERASED_MAX; i++) {
		many[i] = named(f);
		many[i].seq = i + 1;
	}
	ok(lt_erased_pack(many, LT_ERASED_MAX, &out));
	ok(lt_erased_read(lt_buf_slice(&out), &f->arena, &back, &n));
	assert_int_equal(n, LT_ERASED_MAX);
	assert_memory_equal(back[1023].feed.b, f->cs.feed.b, LT_FEED_LEN);
	assert_int_equal(back[1023].seq, 1024);
	assert_int_equal(back[1023].hash8, many[0].hash8);
	assert_int_equal(back[1023].nfield, 1);
	assert_string_equal(back[1023].field[0], "p");
	assert_int_equal(lt_erased_pack(many, LT_ERASED_MAX + 1, &out), LT_E_TOOBIG);
	free(many);
	lt_buf_fini(&out);

	m.n_change = 1;
	m.change = list;
	c.feed.data = feed;
	c.feed.len = LT_FEED_LEN;
	c.seq = 1;
	c.index = LT_CHANGES_MAX - 1;
	for (i = 0; i <= LT_FIELDS_MAX; i++)
		field[i] = fine;
	c.field = field;
	c.n_field = LT_FIELDS_MAX;
	ok(read_back(f, &m, &n));
	c.n_field = LT_FIELDS_MAX + 1;
	assert_int_equal(read_back(f, &m, &n), LT_E_INVALID);
	c.n_field = 0;
	assert_int_equal(read_back(f, &m, &n), LT_E_INVALID);
	c.n_field = 1;
	c.index = LT_CHANGES_MAX;
	assert_int_equal(read_back(f, &m, &n), LT_E_INVALID);
	c.index = 0;
	c.seq = 0;
	assert_int_equal(read_back(f, &m, &n), LT_E_INVALID);
	c.seq = UINT64_MAX;
	c.feed.len = LT_FEED_LEN + 1;
	assert_int_equal(read_back(f, &m, &n), LT_E_INVALID);
	c.feed.len = LT_FEED_LEN - 1;
	assert_int_equal(read_back(f, &m, &n), LT_E_INVALID);
	c.feed.len = LT_FEED_LEN;
	memset(longest, 'n', sizeof(longest) - 1);
	longest[LT_NAME_MAX + 1] = '\0';
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		field[0] = bad[i];
		assert_int_equal(read_back(f, &m, &n), LT_E_INVALID);
	}
	longest[LT_NAME_MAX] = '\0';
	ok(read_back(f, &m, &n));
	assert_int_equal(
	    lt_erased_read(lt_slice_str("\x0a\x7f"), &f->arena, &back, &n), LT_E_INVALID);
}

/* ---- what is shown ---- */

static bool
by_hub(void *ctx, const struct lt_id *author)
{
	(void)ctx;
	(void)author;
	return false;
}

static void
none_differs(void *ctx, unsigned table, struct lt_slice key, int how)
{
	(void)ctx;
	(void)key;
	fail_msg("%s differs: %d", lt_table_names[table], how);
}

static struct lt_projection *
batch(struct lt_kv_txn *txn, const struct lt_catalogue *cat, bool overlay)
{
	struct lt_projection_options o = {
		.log = txn, .derived = txn, .catalogue = cat, .overlay = overlay
	};
	struct lt_projection *p = NULL;

	memcpy(o.province.s, WORLD_PROVINCE, sizeof(WORLD_PROVINCE));
	ok(lt_projection_begin(&o, &p));
	return p;
}

static bool
table_has(struct lt_kv_txn *txn, unsigned table, const char *text)
{
	const unsigned tables[] = { table, LT_T_COUNT };
	struct lt_buf b = { 0 };
	bool has;

	env_dump(txn, tables, &b);
	has = b.len != 0 && memmem(b.data, b.len, text, strlen(text)) != NULL;
	lt_buf_fini(&b);
	return has;
}

/* The record, its index entry and (hub) its short row follow; row and digest stay. */
static void
shown_without(struct fix *f, bool overlay)
{
	static const unsigned digest[] = { LT_T_DIGEST, LT_T_HISTORY, LT_T_COUNT };
	struct lt_catalogue *cat = world_catalogue();
	struct lt_erased e = named(f);
	struct lt_merge_change mc = { .dot = { f->cs.feed, 1, 0 }, .stamp = f->cs.stamp };
	struct lt_buf before = { 0 }, after = { 0 };
	struct lt_changeset cs;
	struct lt_projection *p;
	struct lt_kv_txn *txn;
	Ltpb__Record *r;
	uint64_t position, removed;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	mc.hash8 = lt_load_u64(cs.hash.b);
	mc.change = &cs.change[0];
	p = batch(txn, cat, overlay);
	ok(lt_projection_add(p, &cs.unit, &mc, position));
	ok(lt_projection_flush(p, NULL, NULL));
	assert_true(table_has(txn, LT_T_SHOWN, NAME));
	assert_true(table_has(txn, LT_T_INDEX, NAME));
	env_dump(txn, digest, &before);

	ok(lt_erase(txn, &cs.unit, &e, 1, &removed));
	p = batch(txn, cat, overlay);
	ok(lt_erase_reshow(p, txn, &cs.unit, &e, 1));
	ok(lt_projection_flush(p, NULL, NULL));
	assert_false(table_has(txn, LT_T_SHOWN, NAME));
	assert_false(table_has(txn, LT_T_INDEX, NAME));
	env_dump(txn, digest, &after);
	assert_true(lt_slice_eq(lt_buf_slice(&before), lt_buf_slice(&after)));
	ok(lt_record_get(txn, "thing", WORLD_UNIT, "17254/1", &f->arena, &r));
	assert_int_equal(r->n_withheld, 1);
	assert_string_equal(r->withheld[0], "p");
	p = batch(txn, cat, overlay);
	ok(lt_projection_rebuild(p, "thing", &cs.unit, "17254/1", by_hub, NULL));
	ok(lt_projection_compare(p, none_differs, NULL));
	lt_projection_abort(p);
	/* Nothing to show of what is not here, or of what no catalogue knows. */
	e.seq = 9;
	p = batch(txn, cat, overlay);
	ok(lt_erase_reshow(p, txn, &cs.unit, &e, 1));
	ok(lt_projection_reshow(p, "nowhere", &cs.unit, "1"));
	ok(lt_projection_reshow(p, "thing", &cs.unit, "17254/77"));
	ok(lt_projection_flush(p, NULL, NULL));
	lt_kv_abort(txn);
	lt_buf_fini(&before);
	lt_buf_fini(&after);
	lt_catalogue_unref(cat);
}

static void
shown_at_a_hub(void **state)
{
	shown_without(*state, false);
}

static void
shown_at_a_node(void **state)
{
	shown_without(*state, true);
}

/* ---- acts that are to be said again ---- */

static void
unsaid_row(struct fix *f, struct lt_kv_txn *txn, uint64_t seq, char name[LT_UNSAID_NAME])
{
	char hex[2 * LT_FEED_LEN + 1];
	struct lt_buf b = { 0 };

	lt_hex(hex, f->cs.feed.b, LT_FEED_LEN);
	(void)snprintf(name, LT_UNSAID_NAME, "unsaid/%s/%s/%016llx", f->cs.unit.s, hex,
	    (unsigned long long)seq);
	ok(lt_changeset_strip(&f->cs, &b));
	ok(lt_local_put(txn, name, lt_buf_slice(&b)));
	lt_buf_fini(&b);
}

/* In their order, of one feed or of all; a row that is damaged, or says nothing, stands in nobody's way. */
static void
unsaid_in_order(void **state)
{
	struct fix *f = *state;
	char name[5][LT_UNSAID_NAME], at[LT_UNSAID_NAME] = "";
	struct lt_feed_id other = f->cs.feed;
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t rows;
	size_t i;

	other.b[LT_FEED_LEN - 1] ^= 1;
	ok(lt_kv_begin_write(f->env.kv, &txn));
	assert_int_equal(lt_unsaid_next(txn, NULL, NULL, at, &f->arena, &cs), LT_E_NOTFOUND);
	ok(lt_local_put(txn, "unsaic", lt_slice_str("before")));
	ok(lt_local_put(txn, "unsaid0", lt_slice_str("behind")));
	for (i = 0; i < 5; i++)
		unsaid_row(f, txn, i + 1, name[i]);
	ok(lt_unsaid_unreadable(txn, &rows));
	assert_int_equal(rows, 0);
	damage(txn, LT_T_LOCAL, lt_slice_str(name[1]));
	ok(lt_local_put(txn, name[3], lt_slice_str("no change-set")));
	ok(lt_unsaid_unreadable(txn, &rows));
	assert_int_equal(rows, 2);
	for (i = 0; i < 5; i += 2) {
		ok(lt_unsaid_next(txn, NULL, NULL, at, &f->arena, &cs));
		assert_string_equal(at, name[i]);
		assert_true(lt_hash_eq(&cs.hash, &f->cs.hash));
	}
	assert_int_equal(lt_unsaid_next(txn, NULL, NULL, at, &f->arena, &cs), LT_E_NOTFOUND);
	at[0] = '\0';
	assert_int_equal(
	    lt_unsaid_next(txn, &f->cs.unit, &other, at, &f->arena, &cs), LT_E_NOTFOUND);
	ok(lt_unsaid_next(txn, &f->cs.unit, &f->cs.feed, at, &f->arena, &cs));
	assert_string_equal(at, name[0]);
	ok(lt_unsaid_drop(txn, at));
	ok(lt_unsaid_next(txn, &f->cs.unit, &f->cs.feed, at, &f->arena, &cs));
	assert_string_equal(at, name[2]);
	lt_kv_abort(txn);
}

/* Each change-set has its row, also where two have one number; what has one by its old name, without a hash, needs no second. */
static size_t
unsaid_rows(struct fix *f, struct lt_kv_txn *txn, char name[4][LT_UNSAID_NAME])
{
	char at[LT_UNSAID_NAME] = "";
	struct lt_changeset cs;
	size_t n = 0;

	while (lt_unsaid_next(txn, &f->cs.unit, &f->cs.feed, at, &f->arena, &cs) == LT_OK) {
		assert_true(lt_hash_eq(&cs.hash, &f->cs.hash));
		assert_true(n < 4);
		memcpy(name[n++], at, LT_UNSAID_NAME);
	}
	return n;
}

static void
unsaid_of_one_number(void **state)
{
	struct fix *f = *state;
	struct lt_changeset twin = f->cs;
	char name[4][LT_UNSAID_NAME], old[LT_UNSAID_NAME];
	struct lt_kv_txn *txn;

	twin.hash.b[0] ^= 1;
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_unsaid_keep(txn, &f->cs));
	ok(lt_unsaid_keep(txn, &f->cs));
	assert_int_equal(unsaid_rows(f, txn, name), 1);
	ok(lt_unsaid_keep(txn, &twin));
	assert_int_equal(unsaid_rows(f, txn, name), 2);
	ok(lt_unsaid_drop(txn, name[0]));
	assert_int_equal(unsaid_rows(f, txn, name), 1);
	ok(lt_unsaid_drop(txn, name[0]));
	unsaid_row(f, txn, f->cs.seq, old);
	ok(lt_unsaid_keep(txn, &f->cs));
	assert_int_equal(unsaid_rows(f, txn, name), 1);
	assert_string_equal(name[0], old);
	/* By its old name it may be another one of that number, or damaged. */
	ok(lt_local_put(txn, old, lt_slice_str("another")));
	ok(lt_unsaid_keep(txn, &f->cs));
	assert_int_equal(unsaid_rows(f, txn, name), 1);
	assert_string_not_equal(name[0], old);
	ok(lt_unsaid_drop(txn, name[0]));
	damage(txn, LT_T_LOCAL, lt_slice_str(old));
	ok(lt_unsaid_keep(txn, &f->cs));
	assert_int_equal(unsaid_rows(f, txn, name), 1);
	lt_kv_abort(txn);
}

/* Whether the log has it is a matter of the hash, not of the number. */
static void
unsaid_and_here(void **state)
{
	struct fix *f = *state;
	struct lt_changeset cs, twin = f->cs;
	struct lt_kv_txn *txn;
	uint8_t key[8];
	uint64_t position;
	bool here;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_unsaid_is_here(txn, &f->cs, &here));
	assert_false(here);
	world_append(txn, f->sealed, &f->arena, &cs, &position);
	ok(lt_unsaid_is_here(txn, &f->cs, &here));
	assert_true(here);
	twin.hash.b[0] ^= 1;
	ok(lt_unsaid_is_here(txn, &twin, &here));
	assert_false(here);
	/* Said twice, and not never. */
	lt_store_u64(key, position);
	damage(txn, LT_T_ENTRY, lt_slice(key, sizeof(key)));
	ok(lt_unsaid_is_here(txn, &f->cs, &here));
	assert_false(here);
	lt_kv_abort(txn);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(either_order, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(either_order, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(prepared_rows, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(leaves, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(others_stay, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(one_that_is_left, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(damaged_notes, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(damaged_notes, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(damaged_rows, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(damaged_rows, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(damaged_places, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(damaged_places, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(bytes_of_an_act, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(shown_at_a_hub, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(shown_at_a_node, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(unsaid_in_order, setup_mem, teardown),
		cmocka_unit_test_setup_teardown(unsaid_in_order, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(unsaid_of_one_number, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(unsaid_and_here, setup_mem, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
