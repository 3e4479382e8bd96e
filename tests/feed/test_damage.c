/* Hostile and damaged change-sets: an answer for each, never a crash, and never another meaning accepted. */
#include "tests/feed/sample.h"

#include "proto/base/wire.h"
#include "proto/feed/changeset_impl.h"
#include "proto/feed/leaf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The good one, parsed, with its three forms: seed, salts, one opening withheld. */
struct good {
	struct sample s;
	struct lt_arena arena;
	struct lt_changeset cs;
	struct lt_buf bare, salts, withheld;
};

static void
good_init(struct good *g)
{
	struct lt_opening o[5];
	struct lt_err err = { "" };

	memset(g, 0, sizeof(*g));
	sample_init(&g->s);
	sample_seal(&g->s);
	lt_arena_init(&g->arena, lt_arena_cap_for(g->s.bytes.len));
	if (sample_verify(lt_buf_slice(&g->s.bytes), g->s.key.pk, &g->arena, &g->cs, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_int_equal(g->cs.nopening, 5);
	memcpy(o, g->cs.opening, sizeof(o));
	assert_int_equal(lt_changeset_strip(&g->cs, &g->bare), LT_OK);
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&g->bare), 5, o, &g->salts, NULL), LT_OK);
	o[2].withheld = true;
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&g->bare), 5, o, &g->withheld, NULL), LT_OK);
}

static void
good_fini(struct good *g)
{
	lt_buf_fini(&g->bare);
	lt_buf_fini(&g->salts);
	lt_buf_fini(&g->withheld);
	lt_arena_fini(&g->arena);
	sample_fini(&g->s);
}

static int
verify(const struct good *g, struct lt_slice bytes, struct lt_err *err)
{
	struct lt_changeset cs;
	struct lt_arena a;
	int rc;

	lt_arena_init(&a, lt_arena_cap_for(bytes.len));
	rc = sample_verify(bytes, g->s.key.pk, &a, &cs, err);
	lt_arena_fini(&a);
	return rc;
}

static void
same_opening(const struct lt_opening *a, const struct lt_opening *b)
{
	assert_int_equal(a->change, b->change);
	assert_string_equal(a->name, b->name);
	assert_memory_equal(a->leaf.b, b->leaf.b, LT_HASH_LEN);
	if (a->withheld || b->withheld)
		return; /* who got it withheld got less, not something else */
	assert_memory_equal(a->salt, b->salt, LT_SALT_LEN);
	assert_true(lt_slice_eq(a->field_set, b->field_set));
}

/* Whatever is accepted says the same as the good one. Returns whether it was. */
static bool
same_if_accepted(const struct good *g, struct lt_slice bytes)
{
	struct lt_changeset cs;
	struct lt_arena a;
	size_t i;
	int rc;

	lt_arena_init(&a, lt_arena_cap_for(bytes.len));
	rc = sample_verify(bytes, g->s.key.pk, &a, &cs, NULL);
	if (rc == LT_OK) {
		assert_true(lt_slice_eq(cs.header, g->cs.header));
		assert_memory_equal(cs.hash.b, g->cs.hash.b, LT_HASH_LEN);
		assert_int_equal(cs.nchange, g->cs.nchange);
		for (i = 0; i < cs.nchange; i++)
			assert_true(lt_slice_eq(cs.change_raw[i], g->cs.change_raw[i]));
		assert_int_equal(cs.nopening, g->cs.nopening);
		for (i = 0; i < cs.nopening; i++)
			same_opening(&cs.opening[i], &g->cs.opening[i]);
	}
	lt_arena_fini(&a);
	return rc == LT_OK;
}

static void
every_bit_flipped(void **state)
{
	struct lt_buf *form[3];
	struct good g;
	size_t i, k;

	(void)state;
	good_init(&g);
	form[0] = &g.salts;
	form[1] = &g.withheld;
	form[2] = &g.s.bytes; /* last: g.cs points into it */
	for (k = 0; k < 3; k++) {
		/* A copy of the exact size, so that a read beyond the end is seen. */
		uint8_t *copy = malloc(form[k]->len);

		memcpy(copy, form[k]->data, form[k]->len);
		for (i = 0; i < form[k]->len * 8; i++) {
			copy[i / 8] ^= (uint8_t)(1u << i % 8);
			assert_false(same_if_accepted(&g, lt_slice(copy, form[k]->len)));
			copy[i / 8] ^= (uint8_t)(1u << i % 8);
		}
		assert_true(same_if_accepted(&g, lt_slice(copy, form[k]->len)));
		free(copy);
	}
	good_fini(&g);
}

/* Cut after every byte; with the openings cut off whole, that is the stripped form and says so. */
static void
every_length_cut(void **state)
{
	struct good g;
	size_t i;
	int rc;

	(void)state;
	good_init(&g);
	for (i = 0; i < g.s.bytes.len; i++) {
		uint8_t *copy = malloc(i == 0 ? 1 : i);

		memcpy(copy, g.s.bytes.data, i);
		rc = verify(&g, lt_slice(copy, i), NULL);
		if (i == g.bare.len)
			assert_int_equal(rc, LT_E_NOTFOUND);
		else
			assert_true(rc == LT_E_INVALID || rc == LT_E_BADHASH);
		free(copy);
	}
	good_fini(&g);
}

static uint32_t
next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* Several bytes changed, moved, cut and doubled at once. */
static void
random_damage(void **state)
{
	struct good g;
	uint32_t x = 2463534242u;
	uint8_t copy[4096];
	size_t round, k, n, from, to, len;

	(void)state;
	good_init(&g);
	assert_true(g.salts.len * 2 < sizeof(copy));
	for (round = 0; round < 20000; round++) {
		const struct lt_buf *b = round % 2 ? &g.salts : &g.s.bytes;

		n = b->len;
		memcpy(copy, b->data, n);
		for (k = next_random(&x) % 4; k > 0; k--)
			copy[next_random(&x) % n] = (uint8_t)next_random(&x);
		from = next_random(&x) % n;
		len = next_random(&x) % (n - from) % 64;
		to = next_random(&x) % (n - len);
		if (round % 3 == 0)
			memmove(copy + to, copy + from, len);
		else if (round % 3 == 1) {
			memmove(copy + from, copy + from + len, n - from - len);
			n -= len;
		} else if (len > 0) {
			memmove(copy + from + len, copy + from, n - from);
			n += len;
		}
		(void)same_if_accepted(&g, lt_slice(copy, n));
	}
	good_fini(&g);
}

/* What has no meaning changes nothing; what would have two is refused. */
static void
fields_added(void **state)
{
	struct lt_buf b = { 0 };
	struct good g;
	size_t i;

	(void)state;
	good_init(&g);
	lt_buf_put_slice(&b, lt_buf_slice(&g.s.bytes));
	lt_field_put(&b, 9, lt_slice("later", 5));
	assert_true(same_if_accepted(&g, lt_buf_slice(&b)));
	for (i = 0; i < 4; i++) {
		struct lt_slice again[4] = { g.cs.header, g.cs.signature, g.cs.change_raw[2],
			lt_slice(NULL, 0) };
		static const uint32_t number[4] = { CS_HEADER, CS_SIGNATURE, CS_CHANGE,
			CS_OPENINGS };

		lt_buf_clear(&b);
		lt_buf_put_slice(&b, lt_buf_slice(&g.s.bytes));
		lt_field_put(&b, number[i], again[i]);
		assert_int_equal(verify(&g, lt_buf_slice(&b), NULL), LT_E_INVALID);
	}
	/* Order of the top fields is free on the wire, order of the changes is not. */
	lt_buf_clear(&b);
	for (i = 0; i < 3; i++)
		lt_field_put(&b, CS_CHANGE, g.cs.change_raw[i]);
	lt_field_put(&b, CS_SIGNATURE, g.cs.signature);
	lt_field_put(&b, CS_HEADER, g.cs.header);
	lt_buf_put(&b, g.s.bytes.data + g.bare.len, g.s.bytes.len - g.bare.len);
	assert_true(same_if_accepted(&g, lt_buf_slice(&b)));
	lt_buf_clear(&b);
	lt_field_put(&b, CS_HEADER, g.cs.header);
	lt_field_put(&b, CS_SIGNATURE, g.cs.signature);
	lt_field_put(&b, CS_CHANGE, g.cs.change_raw[1]);
	lt_field_put(&b, CS_CHANGE, g.cs.change_raw[0]);
	lt_field_put(&b, CS_CHANGE, g.cs.change_raw[2]);
	assert_int_equal(verify(&g, lt_buf_slice(&b), NULL), LT_E_BADHASH);
	lt_buf_fini(&b);
	good_fini(&g);
}

/* The message anew with another header and signature and the good changes and openings. */
static int
with_header(const struct good *g, struct lt_slice header, struct lt_slice sig)
{
	struct lt_buf b = { 0 };
	size_t i;
	int rc;

	lt_field_put(&b, CS_HEADER, header);
	lt_field_put(&b, CS_SIGNATURE, sig);
	for (i = 0; i < g->cs.nchange; i++)
		lt_field_put(&b, CS_CHANGE, g->cs.change_raw[i]);
	lt_buf_put(&b, g->s.bytes.data + g->bare.len, g->s.bytes.len - g->bare.len);
	rc = verify(g, lt_buf_slice(&b), NULL);
	lt_buf_fini(&b);
	return rc;
}

static int
with_header_signed(const struct good *g, const Ltpb__Header *h)
{
	struct lt_buf b = { 0 };
	uint8_t sig[64];
	int rc;

	assert_int_equal(lt_wire_pack(&h->base, LT_CHANGESET_MAX, &b), LT_OK);
	lt_sign(&g->s.key, LT_TAG_CHANGESET, lt_buf_slice(&b), sig);
	rc = with_header(g, lt_buf_slice(&b), lt_slice(sig, 64));
	lt_buf_fini(&b);
	return rc;
}

static void
leave_alone(Ltpb__Header *h)
{
	(void)h;
}

static void
short_federation(Ltpb__Header *h)
{
	h->federation.len--;
}

static void
no_author(Ltpb__Header *h)
{
	h->author.len = 0;
}

static void
odd_unit(Ltpb__Header *h)
{
	h->unit = (char *)(uintptr_t) "239";
}

static void
no_unit(Ltpb__Header *h)
{
	h->unit = (char *)(uintptr_t) "";
}

static void
no_lane(Ltpb__Header *h)
{
	h->lane = LTPB__LANE__LANE_UNSPECIFIED;
}

static void
unknown_lane(Ltpb__Header *h)
{
	h->lane = (Ltpb__Lane)4;
}

static void
seq_zero(Ltpb__Header *h)
{
	h->seq = 0;
}

static void
first_with_prev(Ltpb__Header *h)
{
	h->seq = 1;
}

static void
short_prev(Ltpb__Header *h)
{
	h->prev_hash.len = 0;
}

static void
no_count(Ltpb__Header *h)
{
	h->change_count = 0;
}

static void
one_less(Ltpb__Header *h)
{
	h->change_count--;
}

static void
one_more(Ltpb__Header *h)
{
	h->change_count++;
}

static void
short_root(Ltpb__Header *h)
{
	h->changes_root.len--;
}

static void
other_root(Ltpb__Header *h)
{
	h->changes_root.data[0] ^= 1;
}

static void
no_key(Ltpb__Header *h)
{
	h->key_no = 0;
}

/* Signed rightly, and yet: the leaves bind unit, author, lane, epoch and seq. */
static void
other_unit(Ltpb__Header *h)
{
	h->unit = (char *)(uintptr_t) "23957";
}

static void
other_author(Ltpb__Header *h)
{
	h->author.data[3] ^= 1;
}

static void
other_lane(Ltpb__Header *h)
{
	h->lane = LTPB__LANE__LANE_BULK;
}

static void
other_epoch(Ltpb__Header *h)
{
	h->epoch++;
}

static void
other_seq(Ltpb__Header *h)
{
	h->seq++;
}

static void
headers_of_nonsense(void **state)
{
	static const struct {
		const char *descr;
		void (*spoil)(Ltpb__Header *h);
		int rc;
	} t[] = {
		{ "as made", leave_alone, LT_OK },
		{ "federation of 31 bytes", short_federation, LT_E_INVALID },
		{ "no author", no_author, LT_E_INVALID },
		{ "unit of three digits", odd_unit, LT_E_INVALID },
		{ "no unit", no_unit, LT_E_INVALID },
		{ "no lane", no_lane, LT_E_INVALID },
		{ "lane 4", unknown_lane, LT_E_INVALID },
		{ "seq 0", seq_zero, LT_E_INVALID },
		{ "seq 1 with a prev_hash", first_with_prev, LT_E_INVALID },
		{ "no prev_hash", short_prev, LT_E_INVALID },
		{ "change_count 0", no_count, LT_E_INVALID },
		{ "one change less", one_less, LT_E_INVALID },
		{ "one change more", one_more, LT_E_INVALID },
		{ "changes_root of 31 bytes", short_root, LT_E_INVALID },
		{ "another changes_root", other_root, LT_E_BADHASH },
		{ "key number 0", no_key, LT_E_INVALID },
		{ "another unit", other_unit, LT_E_BADHASH },
		{ "another author", other_author, LT_E_BADHASH },
		{ "another lane", other_lane, LT_E_BADHASH },
		{ "another epoch", other_epoch, LT_E_BADHASH },
		{ "another seq", other_seq, LT_E_BADHASH },
	};
	ProtobufCMessage *msg = NULL;
	struct good g;
	size_t i;
	int rc;

	(void)state;
	good_init(&g);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(lt_wire_unpack(&ltpb__header__descriptor, g.cs.header,
				     LT_CHANGESET_MAX, &g.arena, &msg, NULL),
		    LT_OK);
		t[i].spoil((Ltpb__Header *)msg);
		rc = with_header_signed(&g, (const Ltpb__Header *)msg);
		if (rc != t[i].rc)
			fail_msg("%s: %d", t[i].descr, rc);
	}
	good_fini(&g);
}

static void
signatures_that_are_none(void **state)
{
	struct good g;
	struct lt_sign_key other;
	uint8_t sig[65];
	struct lt_hash unsigned_hash;

	(void)state;
	good_init(&g);
	memcpy(sig, g.cs.signature.data, 64);
	assert_int_equal(with_header(&g, g.cs.header, lt_slice(sig, 64)), LT_OK);
	assert_int_equal(with_header(&g, g.cs.header, lt_slice(sig, 63)), LT_E_INVALID);
	assert_int_equal(with_header(&g, g.cs.header, lt_slice(sig, 65)), LT_E_INVALID);
	assert_int_equal(with_header(&g, g.cs.header, lt_slice(sig, 0)), LT_E_INVALID);
	lt_sign(&g.s.key, LT_TAG_CHANGE, g.cs.header, sig);
	assert_int_equal(with_header(&g, g.cs.header, lt_slice(sig, 64)), LT_E_BADSIG);
	sample_key(&other, 9);
	lt_sign(&other, LT_TAG_CHANGESET, g.cs.header, sig);
	assert_int_equal(with_header(&g, g.cs.header, lt_slice(sig, 64)), LT_E_BADSIG);
	/* The hash without a tag. */
	assert_int_equal(
	    crypto_generichash(unsigned_hash.b, 32, g.cs.header.data, g.cs.header.len, NULL, 0), 0);
	assert_int_equal(crypto_sign_detached(sig, NULL, unsigned_hash.b, 32, g.s.key.sk), 0);
	assert_int_equal(with_header(&g, g.cs.header, lt_slice(sig, 64)), LT_E_BADSIG);
	good_fini(&g);
}

/* One opening, as a table of tests writes it: from the good ones, and what is spoiled. */
struct op {
	uint32_t change;
	const char *name;
	int value_of; /* field_set of this good opening; -1: none */
	int salt_of; /* salt of this one */
	int leaf_of; /* leaf of this one */
};

#define OPS 6

static int
with_openings(const struct good *g, bool seed, const struct op *op, size_t n)
{
	const struct lt_slice none = { NULL, 0 };
	const struct lt_opening *o = g->cs.opening;
	struct lt_buf b = { 0 }, f = { 0 };
	size_t i;
	int rc;

	if (seed)
		lt_field_put(&f, OPENINGS_SEED, lt_slice(g->s.seal.seed, LT_SALT_LEN));
	for (i = 0; i < n; i++)
		lt_opened_put(&f, op[i].change, op[i].name,
		    op[i].salt_of < 0 ? none : lt_slice(o[op[i].salt_of].salt, LT_SALT_LEN),
		    op[i].value_of < 0 ? none : o[op[i].value_of].field_set,
		    op[i].leaf_of < 0 ? none : lt_slice(o[op[i].leaf_of].leaf.b, LT_HASH_LEN));
	lt_buf_put_slice(&b, lt_buf_slice(&g->bare));
	lt_field_put(&b, CS_OPENINGS, lt_buf_slice(&f));
	rc = verify(g, lt_buf_slice(&b), NULL);
	lt_buf_fini(&b);
	lt_buf_fini(&f);
	return rc;
}

/* Good openings: 0 (0, _actor), 1 (0, birth_year), 2 (0, ho_ten), 3 (1, ho_ten), 4 (2, _actor). */
#define GOOD0 \
	{ \
		0, "_actor", 0, 0, -1 \
	}
#define GOOD1 \
	{ \
		0, "birth_year", 1, 1, -1 \
	}
#define GOOD2 \
	{ \
		0, "ho_ten", 2, 2, -1 \
	}
#define GOOD3 \
	{ \
		1, "ho_ten", 3, 3, -1 \
	}
#define GOOD4 \
	{ \
		2, "_actor", 4, 4, -1 \
	}

static void
openings_moved_missing_or_mixed(void **state)
{
	static const struct {
		const char *descr;
		int rc;
		size_t n;
		struct op op[OPS];
	} t[] = {
		{ "all", LT_OK, 5, { GOOD0, GOOD1, GOOD2, GOOD3, GOOD4 } },
		{ "one withheld", LT_OK, 5,
		    { GOOD0, { 0, "birth_year", -1, -1, 1 }, GOOD2, GOOD3, GOOD4 } },
		{ "all withheld", LT_OK, 5,
		    { { 0, "_actor", -1, -1, 0 }, { 0, "birth_year", -1, -1, 1 },
			{ 0, "ho_ten", -1, -1, 2 }, { 1, "ho_ten", -1, -1, 3 },
			{ 2, "_actor", -1, -1, 4 } } },
		{ "none of them", LT_E_INVALID, 0, { GOOD0 } },
		{ "the last missing", LT_E_INVALID, 4, { GOOD0, GOOD1, GOOD2, GOOD3 } },
		{ "the first missing", LT_E_INVALID, 4, { GOOD1, GOOD2, GOOD3, GOOD4 } },
		{ "one twice", LT_E_INVALID, 6, { GOOD0, GOOD1, GOOD1, GOOD2, GOOD3, GOOD4 } },
		{ "one twice, one missing", LT_E_INVALID, 5,
		    { GOOD0, GOOD1, GOOD1, GOOD3, GOOD4 } },
		{ "one too many", LT_E_INVALID, 6,
		    { GOOD0, GOOD1, GOOD2, GOOD3, GOOD4, { 2, "ho_ten", 2, 2, -1 } } },
		{ "of a change that is not there", LT_E_INVALID, 5,
		    { GOOD0, GOOD1, GOOD2, GOOD3, { 3, "_actor", 4, 4, -1 } } },
		{ "swapped", LT_E_INVALID, 5, { GOOD1, GOOD0, GOOD2, GOOD3, GOOD4 } },
		{ "value and salt of another record", LT_E_BADHASH, 5,
		    { GOOD0, GOOD1, { 0, "ho_ten", 3, 3, -1 }, { 1, "ho_ten", 2, 2, -1 }, GOOD4 } },
		{ "value of another record", LT_E_BADHASH, 5,
		    { GOOD0, GOOD1, { 0, "ho_ten", 3, 2, -1 }, GOOD3, GOOD4 } },
		{ "the same value with the salt of another dot", LT_E_BADHASH, 5,
		    { { 0, "_actor", 4, 4, -1 }, GOOD1, GOOD2, GOOD3, GOOD4 } },
		{ "value of another field", LT_E_INVALID, 5,
		    { GOOD0, { 0, "birth_year", 2, 2, -1 }, GOOD2, GOOD3, GOOD4 } },
		{ "salt of another field", LT_E_BADHASH, 5,
		    { GOOD0, { 0, "birth_year", 1, 2, -1 }, GOOD2, GOOD3, GOOD4 } },
		{ "leaf of another field", LT_E_BADHASH, 5,
		    { GOOD0, { 0, "birth_year", -1, -1, 2 }, GOOD2, GOOD3, GOOD4 } },
		{ "leaf of another dot", LT_E_BADHASH, 5,
		    { { 0, "_actor", -1, -1, 4 }, GOOD1, GOOD2, GOOD3, GOOD4 } },
		{ "value and leaf", LT_E_INVALID, 5,
		    { GOOD0, { 0, "birth_year", 1, 1, 1 }, GOOD2, GOOD3, GOOD4 } },
		{ "leaf and salt", LT_E_INVALID, 5,
		    { GOOD0, { 0, "birth_year", -1, 1, 1 }, GOOD2, GOOD3, GOOD4 } },
		{ "value without salt", LT_E_INVALID, 5,
		    { GOOD0, { 0, "birth_year", 1, -1, -1 }, GOOD2, GOOD3, GOOD4 } },
		{ "salt alone", LT_E_INVALID, 5,
		    { GOOD0, { 0, "birth_year", -1, 1, -1 }, GOOD2, GOOD3, GOOD4 } },
		{ "nothing in it", LT_E_INVALID, 5,
		    { GOOD0, { 0, "birth_year", -1, -1, -1 }, GOOD2, GOOD3, GOOD4 } },
	};
	struct good g;
	size_t i;
	int rc;

	(void)state;
	good_init(&g);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		rc = with_openings(&g, false, t[i].op, t[i].n);
		if (rc != t[i].rc)
			fail_msg("%s: %d", t[i].descr, rc);
		/* With the seed, a salt or a leaf beside it is one answer too many. */
		rc = with_openings(&g, true, t[i].op, t[i].n);
		if (rc != LT_E_INVALID)
			fail_msg("%s, with the seed: %d", t[i].descr, rc);
	}
	good_fini(&g);
}

static int
with_opening_bytes(const struct good *g, struct lt_slice seed, uint32_t number, struct lt_slice f0)
{
	struct lt_buf b = { 0 }, f = { 0 };
	const struct lt_slice none = { NULL, 0 };
	size_t i;
	int rc;

	lt_field_put(&f, OPENINGS_SEED, seed);
	for (i = 0; i < 5; i++)
		lt_opened_put(&f, g->cs.opening[i].change, g->cs.opening[i].name, none,
		    i == number ? f0 : g->cs.opening[i].field_set, none);
	lt_buf_put_slice(&b, lt_buf_slice(&g->bare));
	lt_field_put(&b, CS_OPENINGS, lt_buf_slice(&f));
	rc = verify(g, lt_buf_slice(&b), NULL);
	lt_buf_fini(&b);
	lt_buf_fini(&f);
	return rc;
}

static int
with_field(const struct good *g, uint32_t number, Ltpb__FieldSet *f)
{
	struct lt_buf b = { 0 };
	int rc;

	assert_int_equal(lt_wire_pack(&f->base, LT_CHANGESET_MAX, &b), LT_OK);
	rc = with_opening_bytes(g, lt_slice(g->s.seal.seed, LT_SALT_LEN), number, lt_buf_slice(&b));
	lt_buf_fini(&b);
	return rc;
}

static void
seeds_and_values_of_nonsense(void **state)
{
	uint8_t seed[17] = { 0 };
	struct lt_slice actor;
	struct good g;
	Ltpb__FieldSet *f;

	(void)state;
	good_init(&g);
	actor = g.cs.opening[0].field_set;
	memcpy(seed, g.s.seal.seed, 16);
	assert_int_equal(with_opening_bytes(&g, lt_slice(seed, 16), 0, actor), LT_OK);
	assert_int_equal(with_opening_bytes(&g, lt_slice(seed, 15), 0, actor), LT_E_INVALID);
	assert_int_equal(with_opening_bytes(&g, lt_slice(seed, 17), 0, actor), LT_E_INVALID);
	assert_int_equal(with_opening_bytes(&g, lt_slice(seed, 0), 0, actor), LT_E_INVALID);
	seed[15] ^= 1;
	assert_int_equal(with_opening_bytes(&g, lt_slice(seed, 16), 0, actor), LT_E_BADHASH);
	assert_int_equal(with_field(&g, 0, sample_text("_actor", "acc-7")), LT_OK);
	assert_int_equal(with_field(&g, 0, sample_text("_actor", "acc-8")), LT_E_BADHASH);
	assert_int_equal(with_field(&g, 0, sample_integer("_actor", 7)), LT_E_INVALID);
	assert_int_equal(with_field(&g, 0, sample_text("actor", "acc-7")), LT_E_INVALID);
	assert_int_equal(with_field(&g, 2, sample_text("ho_ten", "\377")), LT_E_INVALID);
	f = sample_text("ho_ten", "x");
	f->value = NULL;
	assert_int_equal(with_field(&g, 2, f), LT_E_INVALID);
	/* Another encoding of the same value is not what was committed to. */
	{
		struct lt_buf b = { 0 };

		lt_buf_put_slice(&b, actor);
		lt_field_put(&b, 9, lt_slice("later", 5));
		memcpy(seed, g.s.seal.seed, 16);
		assert_int_equal(
		    with_opening_bytes(&g, lt_slice(seed, 16), 0, lt_buf_slice(&b)), LT_E_BADHASH);
		lt_buf_fini(&b);
	}
	good_fini(&g);
}

/* A salt guards the value: the same value twice gives leaves that do not show it. */
static void
equal_values_have_unequal_leaves(void **state)
{
	struct good g;

	(void)state;
	good_init(&g);
	assert_true(lt_slice_eq(g.cs.opening[0].field_set, g.cs.opening[4].field_set));
	assert_memory_not_equal(g.cs.opening[0].leaf.b, g.cs.opening[4].leaf.b, LT_HASH_LEN);
	assert_memory_not_equal(g.cs.opening[0].salt, g.cs.opening[4].salt, LT_SALT_LEN);
	good_fini(&g);
}

/* A small message cannot take much memory, whatever it announces. */
static void
memory_is_bounded(void **state)
{
	struct lt_changeset cs;
	struct lt_arena a;
	struct good g;
	size_t cap;
	int rc;

	(void)state;
	good_init(&g);
	for (cap = 0; cap < 64 * 1024; cap += 512) {
		lt_arena_init(&a, cap);
		rc = sample_verify(lt_buf_slice(&g.s.bytes), g.s.key.pk, &a, &cs, NULL);
		assert_true(a.used <= cap);
		assert_true(rc == LT_OK || rc == LT_E_NOMEM);
		lt_arena_fini(&a);
	}
	assert_int_equal(rc, LT_OK);
	good_fini(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bit_flipped),
		cmocka_unit_test(every_length_cut),
		cmocka_unit_test(random_damage),
		cmocka_unit_test(fields_added),
		cmocka_unit_test(headers_of_nonsense),
		cmocka_unit_test(signatures_that_are_none),
		cmocka_unit_test(openings_moved_missing_or_mixed),
		cmocka_unit_test(seeds_and_values_of_nonsense),
		cmocka_unit_test(equal_values_have_unequal_leaves),
		cmocka_unit_test(memory_is_bounded),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
