/* Rows as bytes: a golden row by hand, damage of every kind, contexts, limits. */
#include "proto/model/row_impl.h"
#include "tests/model/merge_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A row with everything in it: both classes of deletes, covers written and implied, fields of every
 * policy, a clear, a personal field, a field without entries. */
static const char everything[] = "A1@1 f=a g=lost l=a x~3;B1@2 <A1 f=b l= s=a,b+a,b;A2@3 del;"
				 "C1.3@4 <A1,B1 f=c m=4 r=x;H1@5 <A2 del;B2@6 <A2 f~q l=b u=d;"
				 "C2@7 <A2 del;D1@8 f=z r=y z9=b";

static void
build(const char *changes, struct lt_buf *row)
{
	struct fixture fx;
	size_t i, order[16];

	fixture_init(&fx, changes);
	for (i = 0; i < fx.n; i++)
		order[i] = i;
	fixture_apply(&fx, order, fx.n, row);
	fixture_fini(&fx);
}

/* Version, one feed (author, lane 2, epoch 1), touched at 5 by hash8 5065. */
#define HEAD "01 01 41414141414141414141414141414141 02 0000000000000001 05 00000000000013c9"

/* The bytes of head and tail, blanks in them passed over. */
static void
row_of(const char *head, const char *tail, struct lt_buf *row)
{
	const char *parts[] = { head, tail };
	char hex[512];
	size_t n = 0, i;

	for (i = 0; i < 2; i++)
		for (const char *p = parts[i]; *p != '\0'; p++)
			if (*p != ' ')
				hex[n++] = *p;
	hex[n] = '\0';
	lt_buf_clear(row);
	assert_non_null(lt_buf_reserve(row, n / 2));
	assert_int_equal(lt_unhex(row->data, n / 2, hex), LT_OK);
	lt_buf_added(row, n / 2);
}

static void
golden(void **state)
{
	struct lt_buf row = { 0 }, want = { 0 };

	(void)state;
	build("A5.1@9 l=a", &row);
	/* 1 change: feed 0, seq 5, index 1, stamp 9, no flags; no deletes of the unit, none of the hub;
	 * 2 fields: existence: no covers, 1 entry: change 0, no flags; "l": no covers, 1 entry: change 0, a
	 * set, 8 bytes */
	row_of(HEAD,
	    "01 00 05 01 0000000000000009 00  00 00 00 00  02  00 00 01 00 00"
	    "01 6c 00 01 00 01 08 0a016c12030a0161",
	    &want);
	assert_int_equal(row.len, want.len);
	assert_memory_equal(row.data, want.data, want.len);
	lt_buf_fini(&row);
	lt_buf_fini(&want);
}

/* Bytes that come back from memory as they went in. */
static bool
canonical(struct lt_slice bytes)
{
	struct lt_scratch *s = malloc(sizeof(*s));
	struct lt_row row;
	struct lt_buf out = { 0 };
	bool same;

	assert_non_null(s);
	lt_scratch_init(s);
	assert_int_equal(lt_row_parse(bytes, NULL, 0, s, &row), LT_OK);
	assert_int_equal(lt_row_encode(&row, &out), LT_OK);
	same = lt_slice_eq(bytes, lt_buf_slice(&out));
	lt_buf_fini(&out);
	lt_scratch_fini(s);
	free(s);
	return same;
}

/* Whatever stands in a row, every function ends with a code that it may give. */
static bool
survives(struct fixture *fx, struct lt_slice bytes)
{
	struct lt_feed_id own = fixture_feed('A');
	struct lt_context *context;
	struct lt_shown shown;
	struct lt_buf out = { 0 };
	struct lt_err err;
	size_t n;
	int rc = lt_row_check(bytes, &err), other;

	assert_true(rc == LT_OK || rc == LT_E_CORRUPT);
	if (rc == LT_OK)
		assert_true(canonical(bytes));
	other = lt_row_context(bytes, &own, &fx->arena, &context, &n);
	assert_true(other == LT_OK || other == LT_E_CORRUPT);
	other = lt_merge_show(&fixture_rules, bytes, NULL, NULL, &fx->arena, &shown);
	assert_true(other == LT_OK || other == LT_E_CORRUPT);
	other = lt_merge_apply(&fixture_rules, false, bytes, &fx->change[0], &out);
	assert_true(other == LT_OK || other == LT_E_CORRUPT);
	(void)lt_row_has(bytes, &fx->change[0].dot);
	lt_buf_fini(&out);
	return rc == LT_OK;
}

static void
every_bit(void **state)
{
	struct fixture fx;
	struct lt_buf row = { 0 };
	size_t i, sound = 0;

	(void)state;
	build(everything, &row);
	for (i = 0; i < row.len * 8; i++) {
		/* memory of its own, of the exact size, so that a sanitizer sees a step outside */
		uint8_t *bent = malloc(row.len);

		assert_non_null(bent);
		memcpy(bent, row.data, row.len);
		bent[i / 8] ^= (uint8_t)(1u << (i % 8));
		fixture_init(&fx, "B3@9 <A2,C2 l=n q=n");
		sound += survives(&fx, lt_slice(bent, row.len));
		fixture_fini(&fx);
		free(bent);
	}
	/* ids, stamps, hashes and texts can be any; everything else cannot */
	assert_true(sound < row.len * 8);
	lt_buf_fini(&row);
}

static void
every_length(void **state)
{
	struct fixture fx;
	struct lt_buf row = { 0 };
	struct lt_err err;
	size_t i;

	(void)state;
	build(everything, &row);
	for (i = 0; i < row.len; i++) {
		uint8_t *cut = malloc(i + 1);

		assert_non_null(cut);
		memcpy(cut, row.data, i);
		assert_int_equal(lt_row_check(lt_slice(cut, i), &err), LT_E_CORRUPT);
		fixture_init(&fx, "B3@9 <A2,C2 l=n q=n");
		(void)survives(&fx, lt_slice(cut, i));
		fixture_fini(&fx);
		free(cut);
	}
	assert_int_equal(lt_row_check(lt_buf_slice(&row), &err), LT_OK);
	lt_buf_u8(&row, 0);
	assert_int_equal(lt_row_check(lt_buf_slice(&row), &err), LT_E_CORRUPT);
	lt_buf_fini(&row);
}

/* Damage of several bytes, which gets further than a single bit. */
static void
random_damage(void **state)
{
	struct fixture fx;
	struct lt_buf row = { 0 }, bent = { 0 };
	uint64_t r = 88172645463325252u; /* xorshift */
	size_t i, k;

	(void)state;
	build(everything, &row);
	for (i = 0; i < 20000; i++) {
		lt_buf_clear(&bent);
		lt_buf_put_slice(&bent, lt_buf_slice(&row));
		for (k = 0; k < 1 + i % 4; k++) {
			r ^= r << 13;
			r ^= r >> 7;
			r ^= r << 17;
			bent.data[(r >> 8) % bent.len] = (uint8_t)((r & 0x80) ? r & 3 : r >> 32);
		}
		fixture_init(&fx, "B3@9 <A2,C2 l=n q=n");
		(void)survives(&fx, lt_buf_slice(&bent));
		fixture_fini(&fx);
	}
	lt_buf_fini(&bent);
	lt_buf_fini(&row);
}

/* Bytes that say the right thing in a way this module would not. */
static void
not_canonical(void **state)
{
	static const struct {
		const char *descr;
		const char *tail; /* what follows feed and touch of A5 */
	} cases[] = {
		{ "no put and no delete", "00 0000 0000 00" },
		{ "a change nobody names",
		    "02 000400 0000000000000001 00 000501 0000000000000009 00"
		    "0000 0000 01 00 0001 0100" },
		{ "a change later than the touch",
		    "01 000600 0000000000000009 00 0000 0000 01 00 0001 0000" },
		{ "a cover below the entry it stands with",
		    "01 000501 0000000000000009 00 0000 0000 01 00 01000400 01 0000" },
		{ "a cover of the entry it stands with",
		    "01 000501 0000000000000009 00 0000 0000 01 00 01000600 01 0000" },
		{ "the cover is the entry's position",
		    "01 000501 0000000000000009 00 0000 0000 01 00 01000501 01 0000" },
		{ "a field without existence",
		    "01 000501 0000000000000009 00 0000 0000 01 016c 0001 0000" },
		{ "a long varint", "8100 000501 0000000000000009 00 0000 0000 01 00 0001 0000" },
		{ "a unit's delete among the hub's",
		    "01 000501 0000000000000009 00 0000 000100 00" },
		{ "a delete that is a put",
		    "01 000501 0000000000000009 00 000100 0000 01 00 0001 0000" },
		{ "covers nobody asked for",
		    "01 000501 0000000000000009 0200 0000 0000 01 00 0001 0000" },
		{ "an unknown flag", "01 000501 0000000000000009 08 0000 0000 01 00 0001 0000" },
		{ "existence with a value",
		    "01 000501 0000000000000009 00 0000 0000 01 00 0001 000100" },
		{ "seq 0", "01 000001 0000000000000009 00 0000 0000 01 00 0001 0000" },
		{ "an index beyond a change-set",
		    "01 00058008 0000000000000009 00 0000 0000 01 00 0001 0000" },
		{ "a count beyond the end", "ffffffffffffffffff01" },
	};
	struct lt_err err;
	struct lt_buf row = { 0 };
	size_t i;

	(void)state;
	row_of(HEAD " 01 000501 0000000000000009 00 0000 0000 01 00 0001 0000", "", &row);
	assert_int_equal(lt_row_check(lt_buf_slice(&row), &err), LT_OK);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		row_of(HEAD, cases[i].tail, &row);
		if (lt_row_check(lt_buf_slice(&row), &err) != LT_E_CORRUPT)
			fail_msg("taken for sound: %s", cases[i].descr);
	}
	lt_buf_fini(&row);
}

static void
has(void **state)
{
	struct lt_buf row = { 0 };
	struct lt_dot d = { .feed = fixture_feed('A'), .seq = 5, .index = 9 };

	(void)state;
	build("A5@1 l=a;B2@1 <C7 l=b", &row);
	assert_true(lt_row_has(lt_buf_slice(&row), &d));
	d.seq = 6;
	assert_false(lt_row_has(lt_buf_slice(&row), &d));
	d = (struct lt_dot){ .feed = fixture_feed('C'), .seq = 1 };
	assert_false(lt_row_has(lt_buf_slice(&row), &d)); /* named, not applied */
	assert_false(lt_row_has(lt_slice(NULL, 0), &d));
	lt_buf_fini(&row);
}

static void
context(void **state)
{
	struct lt_buf row = { 0 };
	struct lt_feed_id own = fixture_feed('A');
	struct lt_context *c;
	struct lt_arena arena;
	size_t n;

	(void)state;
	lt_arena_init(&arena, 1 << 16);
	build("A5@1 l=a;B2@1 <C7 l=b;B3@2 q=b;D4.3@1 <A5,B3 del", &row);
	assert_int_equal(lt_row_context(lt_buf_slice(&row), &own, &arena, &c, &n), LT_OK);
	assert_int_equal(n, 2);
	own = fixture_feed('B');
	assert_memory_equal(&c[0].feed, &own, sizeof(own));
	assert_int_equal(c[0].seq, 3);
	assert_int_equal(c[0].hash8, 3000 + 'B');
	assert_int_equal(c[1].seq, 4);
	assert_int_equal(lt_row_context(lt_slice(NULL, 0), &own, &arena, &c, &n), LT_OK);
	assert_int_equal(n, 0);
	lt_arena_fini(&arena);
	lt_buf_fini(&row);
}

/* One put of field l by author number `who`, knowing author `known` (none if equal). */
static void
apply_one(struct lt_buf *row, uint8_t who, uint8_t known, uint8_t *value, size_t len, int expect)
{
	struct lt_context cx = { .feed = fixture_feed((char)known), .seq = 1 };
	struct lt_change c = { .collection = "c", .key = "k", .nset = 1 };
	struct lt_merge_change mc = { .change = &c, .stamp = 1 };
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT;
	Ltpb__Value v = LTPB__VALUE__INIT;
	char name[] = "l";
	struct lt_field_set set = { .pb = &fs };
	struct lt_buf next = { 0 };
	uint8_t *packed;

	fs.name = name;
	fs.value = &v;
	v.v_case = LTPB__VALUE__V_BYTES;
	v.bytes.data = value;
	v.bytes.len = len;
	packed = malloc(ltpb__field_set__get_packed_size(&fs));
	assert_non_null(packed);
	set.raw = lt_slice(packed, ltpb__field_set__pack(&fs, packed));
	c.set = &set;
	c.ncontext = who == known ? 0 : 1;
	c.context = &cx;
	mc.dot = (struct lt_dot){ .feed = fixture_feed((char)who), .seq = 1 };
	assert_int_equal(
	    lt_merge_apply(&fixture_rules, false, lt_buf_slice(row), &mc, &next), expect);
	lt_buf_fini(row);
	*row = next;
	free(packed);
}

/* 100 feeds touched, each covering the one before, so one change stands: it is named, and 63 others. */
static void
context_of_many(void **state)
{
	struct lt_buf row = { 0 };
	struct lt_feed_id own = fixture_feed(1), last = fixture_feed(100);
	struct lt_context *c;
	struct lt_arena arena;
	uint8_t value[] = { 1 };
	uint8_t i;
	size_t n, k;
	bool named = false;

	(void)state;
	lt_arena_init(&arena, 1 << 16);
	for (i = 1; i <= 65; i++)
		apply_one(&row, i, i, value, 1, LT_OK);
	assert_int_equal(lt_row_context(lt_buf_slice(&row), &own, &arena, &c, &n), LT_OK);
	assert_int_equal(n, 64);
	for (i = 66; i <= 100; i++)
		apply_one(&row, i, i - 1, value, 1, LT_OK);
	assert_int_equal(lt_row_context(lt_buf_slice(&row), &own, &arena, &c, &n), LT_OK);
	assert_int_equal(n, LT_CONTEXT_MAX);
	for (k = 0; k < n; k++) {
		named = named || memcmp(&c[k].feed, &last, sizeof(last)) == 0;
		if (k > 0)
			assert_true(lt_feed_id_cmp(&c[k - 1].feed, &c[k].feed) < 0);
	}
	assert_true(named);
	lt_arena_fini(&arena);
	lt_buf_fini(&row);
}

/* Nine authors write 60,000 bytes each at once: the row passes the author's limit, and is there. */
static void
large(void **state)
{
	struct lt_buf row = { 0 };
	struct lt_err err;
	uint8_t *value = calloc(1, 60000);
	uint8_t i;

	(void)state;
	assert_non_null(value);
	for (i = 1; i <= 8; i++)
		apply_one(&row, i, i, value, 60000, LT_OK);
	assert_true(row.len <= LT_RECORD_MAX);
	apply_one(&row, 9, 9, value, 60000, LT_E_TOOBIG);
	assert_true(row.len > LT_RECORD_MAX);
	assert_int_equal(lt_row_check(lt_buf_slice(&row), &err), LT_OK);
	for (i = 10; i <= 69; i++)
		apply_one(&row, i, i, value, 60000, LT_E_TOOBIG);
	assert_true(row.len > 7 * LT_RECORD_MAX);
	apply_one(&row, 70, 70, value, 60000, LT_E_TOOBIG);
	assert_int_equal(row.len, 0); /* beyond all bounds: nothing */
	free(value);
	lt_buf_fini(&row);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden),
		cmocka_unit_test(every_bit),
		cmocka_unit_test(every_length),
		cmocka_unit_test(random_damage),
		cmocka_unit_test(not_canonical),
		cmocka_unit_test(has),
		cmocka_unit_test(context),
		cmocka_unit_test(context_of_many),
		cmocka_unit_test(large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
