/* Sealing, and what comes back from reading; chains; the forms without and with openings. Hostile bytes are
 * in test_damage.c, byte-exact values in test_golden.c. */
#include "tests/feed/sample.h"

#include "proto/feed/changeset_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int
verify(const struct sample *s, struct lt_slice bytes, struct lt_arena *a, struct lt_changeset *cs)
{
	lt_arena_init(a, lt_arena_cap_for(bytes.len));
	return sample_verify(bytes, s->key.pk, a, cs, NULL);
}

/* What was put in comes back, sorted; slices point into the message. */
static void
sealed_reads_back(void **state)
{
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;

	(void)state;
	sample_init(&s);
	sample_seal(&s);
	assert_int_equal(verify(&s, lt_buf_slice(&s.bytes), &a, &cs), LT_OK);
	assert_memory_equal(cs.hash.b, s.hash.b, 32);
	assert_memory_equal(cs.federation.b, s.seal.federation.b, 32);
	assert_string_equal(cs.unit.s, "23956");
	assert_memory_equal(cs.feed.b, s.seal.feed.b, LT_FEED_LEN);
	assert_int_equal(cs.seq, 7);
	assert_memory_equal(cs.prev.b, s.seal.prev.b, 32);
	assert_true(cs.stamp == s.seal.stamp && cs.hub_stamp == s.seal.hub_stamp);
	assert_int_equal(cs.catalogue_version, 12);
	assert_int_equal(cs.key_no, 2);
	assert_int_equal(cs.nchange, 3);
	assert_int_equal(cs.change[0].nset, 9);
	assert_string_equal(cs.change[0].set[0].pb->name, "amount");
	assert_string_equal(cs.change[0].set[8].pb->name, "tags");
	assert_string_equal(cs.change[1].cleared[0], "note");
	assert_int_equal(cs.change[1].ncontext, 2);
	assert_int_equal(cs.change[1].context[0].feed.b[0], 0x10);
	assert_true(cs.change[2].is_delete);
	assert_true(cs.has_openings);
	assert_true(lt_slice_eq(cs.seed, lt_slice(s.seal.seed, LT_SALT_LEN)));
	assert_int_equal(cs.nopening, 5);
	assert_string_equal(cs.opening[0].name, "_actor");
	assert_string_equal(cs.opening[1].name, "birth_year");
	assert_string_equal(cs.opening[2].name, "ho_ten");
	assert_int_equal(cs.opening[4].change, 2);
	assert_int_equal(cs.opening[1].field.pb->value->integer, 1961);
	assert_true(cs.opening[0].field_set.data > s.bytes.data &&
		    cs.opening[0].field_set.data < s.bytes.data + s.bytes.len);
	assert_true(cs.change_raw[0].data > s.bytes.data);
	/* The drafts were sorted in a copy. */
	assert_string_equal(s.draft[0].set[0]->name, "name");
	lt_arena_fini(&a);
	sample_fini(&s);
}

static void
nothing_personal_stands_in_the_changes(void **state)
{
	struct lt_buf bare = { 0 };
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;

	(void)state;
	sample_init(&s);
	sample_seal(&s);
	assert_int_equal(verify(&s, lt_buf_slice(&s.bytes), &a, &cs), LT_OK);
	assert_int_equal(lt_changeset_strip(&cs, &bare), LT_OK);
	assert_non_null(memmem(s.bytes.data, s.bytes.len, "Nguyễn", strlen("Nguyễn")));
	assert_null(memmem(bare.data, bare.len, "Nguyễn", strlen("Nguyễn")));
	assert_null(memmem(bare.data, bare.len, "acc-7", 5));
	assert_null(memmem(bare.data, bare.len, s.seal.seed, LT_SALT_LEN));
	lt_buf_fini(&bare);
	lt_arena_fini(&a);
	sample_fini(&s);
}

/* Stripped, then composed with all openings, with some withheld, with none. */
static void
strip_and_compose(void **state)
{
	struct lt_buf bare = { 0 }, full = { 0 }, again = { 0 };
	struct lt_changeset cs, back;
	struct lt_arena a, a2, a3;
	struct sample s;

	(void)state;
	sample_init(&s);
	sample_seal(&s);
	assert_int_equal(verify(&s, lt_buf_slice(&s.bytes), &a, &cs), LT_OK);
	assert_int_equal(lt_changeset_strip(&cs, &bare), LT_OK);

	assert_int_equal(verify(&s, lt_buf_slice(&bare), &a2, &back), LT_E_NOTFOUND);
	assert_false(back.has_openings);
	assert_int_equal(back.nopening, 0);
	assert_memory_equal(back.hash.b, s.hash.b, 32);
	lt_arena_fini(&a2);

	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&bare), 5, cs.opening, &full, NULL), LT_OK);
	assert_int_equal(verify(&s, lt_buf_slice(&full), &a2, &back), LT_OK);
	assert_int_equal(back.seed.len, 0);
	assert_true(lt_slice_eq(back.header, cs.header));
	assert_true(lt_slice_eq(back.change_raw[2], cs.change_raw[2]));
	assert_memory_equal(back.opening[3].salt, cs.opening[3].salt, LT_SALT_LEN);
	assert_int_equal(lt_changeset_strip(&back, &again), LT_OK);
	assert_true(lt_slice_eq(lt_buf_slice(&again), lt_buf_slice(&bare)));

	cs.opening[0].withheld = cs.opening[3].withheld = true;
	lt_buf_clear(&full);
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&bare), 5, cs.opening, &full, NULL), LT_OK);
	assert_null(memmem(full.data, full.len, "Lò Văn", strlen("Lò Văn")));
	assert_int_equal(verify(&s, lt_buf_slice(&full), &a3, &back), LT_OK);
	assert_true(back.opening[0].withheld && back.opening[3].withheld);
	assert_false(back.opening[1].withheld);
	assert_null(back.opening[0].field.pb);
	assert_memory_equal(back.opening[0].leaf.b, cs.opening[0].leaf.b, 32);
	lt_arena_fini(&a3);

	lt_buf_clear(&full);
	assert_int_equal(lt_changeset_compose(lt_buf_slice(&bare), 0, NULL, &full, NULL), LT_OK);
	assert_true(lt_slice_eq(lt_buf_slice(&full), lt_buf_slice(&bare)));
	lt_arena_fini(&a2);
	lt_arena_fini(&a);
	lt_buf_fini(&bare);
	lt_buf_fini(&full);
	lt_buf_fini(&again);
	sample_fini(&s);
}

static void
compose_refuses(void **state)
{
	struct lt_buf bare = { 0 }, out = { 0 };
	struct lt_opening swapped[2];
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;

	(void)state;
	sample_init(&s);
	sample_seal(&s);
	assert_int_equal(verify(&s, lt_buf_slice(&s.bytes), &a, &cs), LT_OK);
	assert_int_equal(lt_changeset_strip(&cs, &bare), LT_OK);
	lt_buf_str(&out, "kept");
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&s.bytes), 5, cs.opening, &out, NULL), LT_E_INVALID);
	assert_int_equal(
	    lt_changeset_compose(lt_slice(bare.data, bare.len - 1), 5, cs.opening, &out, NULL),
	    LT_E_INVALID);
	swapped[0] = cs.opening[1];
	swapped[1] = cs.opening[0];
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&bare), 2, swapped, &out, NULL), LT_E_INVALID);
	swapped[1] = cs.opening[1];
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&bare), 2, swapped, &out, NULL), LT_E_INVALID);
	assert_int_equal(out.len, 4);
	lt_buf_fini(&bare);
	lt_buf_fini(&out);
	lt_arena_fini(&a);
	sample_fini(&s);
}

/* Without personal fields there is nothing to open, with or without an empty Openings. */
static void
no_personal_fields(void **state)
{
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;

	(void)state;
	sample_init(&s);
	s.draft[0].npersonal = s.draft[1].npersonal = s.draft[2].npersonal = 0;
	sample_seal(&s);
	assert_int_equal(verify(&s, lt_buf_slice(&s.bytes), &a, &cs), LT_OK);
	assert_false(cs.has_openings);
	lt_arena_fini(&a);
	lt_field_put(&s.bytes, CS_OPENINGS, lt_slice(NULL, 0));
	assert_int_equal(verify(&s, lt_buf_slice(&s.bytes), &a, &cs), LT_OK);
	assert_true(cs.has_openings);
	assert_int_equal(cs.nopening, 0);
	lt_arena_fini(&a);
	sample_fini(&s);
}

static void
chain_answers(void **state)
{
	struct lt_changeset cs = { .seq = 7, .stamp = 100 };
	struct lt_hash prev, other;

	(void)state;
	sample_fill(prev.b, 32, 1);
	sample_fill(other.b, 32, 2);
	cs.prev = prev;
	assert_int_equal(lt_changeset_verify_chain(&cs, 6, &prev, 99), LT_OK);
	assert_int_equal(lt_changeset_verify_chain(&cs, 6, &prev, 100), LT_E_INVALID);
	assert_int_equal(lt_changeset_verify_chain(&cs, 6, &prev, 101), LT_E_INVALID);
	assert_int_equal(lt_changeset_verify_chain(&cs, 6, &other, 99), LT_E_BADHASH);
	assert_int_equal(lt_changeset_verify_chain(&cs, 5, &prev, 99), LT_E_GAP);
	assert_int_equal(lt_changeset_verify_chain(&cs, 0, NULL, 0), LT_E_GAP);
	assert_int_equal(lt_changeset_verify_chain(&cs, 7, &prev, 99), LT_E_EXISTS);
	assert_int_equal(lt_changeset_verify_chain(&cs, 8, &prev, 99), LT_E_EXISTS);
	assert_int_equal(lt_changeset_verify_chain(&cs, UINT64_MAX, &prev, 99), LT_E_EXISTS);
	cs.seq = UINT64_MAX;
	assert_int_equal(lt_changeset_verify_chain(&cs, UINT64_MAX - 1, &prev, 99), LT_OK);
	assert_int_equal(lt_changeset_verify_chain(&cs, 0, NULL, 0), LT_E_GAP);
	cs.seq = 1;
	memset(cs.prev.b, 0, 32);
	assert_int_equal(lt_changeset_verify_chain(&cs, 0, NULL, 0), LT_OK);
	assert_int_equal(lt_changeset_verify_chain(&cs, 1, &prev, 0), LT_E_EXISTS);
	cs.stamp = 0;
	assert_int_equal(lt_changeset_verify_chain(&cs, 0, NULL, 0), LT_E_INVALID);
}

/* Each spoils one thing of the good drafts. */
struct spoiled {
	const char *descr;
	void (*spoil)(struct sample *s);
	int rc;
};

static void
leave_alone(struct sample *s)
{
	(void)s;
}

static void
no_drafts(struct sample *s)
{
	s->seal.ndraft = 0;
}

static void
field_twice(struct sample *s)
{
	s->draft[0].set[1] = s->draft[0].set[0];
}

static void
personal_and_public(struct sample *s)
{
	s->draft[0].personal[0] = sample_text("name", "x");
}

static void
personal_twice(struct sample *s)
{
	s->draft[0].personal[0] = sample_text("birth_year", "x");
}

static void
bad_field_name(struct sample *s)
{
	s->draft[0].set[0] = sample_text("Name", "x");
}

static void
bad_personal_name(struct sample *s)
{
	s->draft[0].personal[0] = sample_text("", "x");
}

static void
not_nfc(struct sample *s)
{
	s->draft[0].set[0] = sample_text("name", "a\314\201");
}

static void
not_utf8(struct sample *s)
{
	s->draft[0].personal[0] = sample_text("ho_ten", "\300\257");
}

static void
no_value(struct sample *s)
{
	s->draft[0].personal[0]->value->v_case = LTPB__VALUE__V__NOT_SET;
}

static void
actor_is_a_number(struct sample *s)
{
	s->draft[2].personal[0] = sample_integer("_actor", 3);
}

static void
bad_key(struct sample *s)
{
	s->draft[1].key = "a b";
}

static void
bad_collection(struct sample *s)
{
	s->draft[1].collection = "9x";
}

static void
delete_with_field(struct sample *s)
{
	s->draft[2].personal[0] = sample_text("ho_ten", "x");
}

static void
own_feed_in_context(struct sample *s)
{
	s->context[0].feed = s->seal.feed;
}

static void
feed_twice_in_context(struct sample *s)
{
	s->context[0].feed = s->context[1].feed;
}

static void
context_seq_zero(struct sample *s)
{
	s->context[0].seq = 0;
}

static void
first_with_prev(struct sample *s)
{
	s->seal.seq = 1;
}

static void
first(struct sample *s)
{
	s->seal.seq = 1;
	memset(s->seal.prev.b, 0, 32);
}

static Ltpb__FeedHead head;
static uint8_t head_feed[LT_FEED_LEN], head_hash[LT_HASH_LEN];

static void
with_earlier(struct sample *s)
{
	first(s);
	ltpb__feed_head__init(&head);
	memcpy(head_feed, s->seal.feed.b, LT_FEED_LEN);
	head_feed[LT_FEED_LEN - 1] ^= 1;
	head.unit = s->seal.unit.s;
	head.feed.data = head_feed;
	head.feed.len = LT_FEED_LEN;
	head.seq = 9;
	head.hash.data = head_hash;
	head.hash.len = LT_HASH_LEN;
	s->seal.earlier = &head;
	s->seal.nearlier = 1;
}

static void
earlier_later(struct sample *s)
{
	with_earlier(s);
	s->seal.seq = 2;
}

static void
earlier_is_itself(struct sample *s)
{
	with_earlier(s);
	head_feed[LT_FEED_LEN - 1] ^= 1;
}

static void
earlier_of_another_author(struct sample *s)
{
	with_earlier(s);
	head_feed[0] ^= 1;
}

static void
earlier_of_another_unit(struct sample *s)
{
	with_earlier(s);
	head.unit = (char *)(uintptr_t) "23957";
}

static void
earlier_seq_zero(struct sample *s)
{
	with_earlier(s);
	head.seq = 0;
}

static void
wrong_secret(struct sample *s)
{
	struct lt_sign_key k;

	sample_key(&k, 0x21);
	memcpy(s->key.sk, k.sk, sizeof(k.sk));
}

static void
sealing_checks_what_it_is_given(void **state)
{
	static const struct spoiled t[] = {
		{ "as given", leave_alone, LT_OK },
		{ "first of a feed", first, LT_OK },
		{ "first with an earlier epoch", with_earlier, LT_OK },
		{ "no drafts", no_drafts, LT_E_INVALID },
		{ "a field twice", field_twice, LT_E_INVALID },
		{ "a field public and personal", personal_and_public, LT_E_INVALID },
		{ "a personal field twice", personal_twice, LT_E_INVALID },
		{ "a bad field name", bad_field_name, LT_E_INVALID },
		{ "an empty personal name", bad_personal_name, LT_E_INVALID },
		{ "text not in NFC", not_nfc, LT_E_INVALID },
		{ "text not UTF-8", not_utf8, LT_E_INVALID },
		{ "no value", no_value, LT_E_INVALID },
		{ "an actor that is no text", actor_is_a_number, LT_E_INVALID },
		{ "a bad key", bad_key, LT_E_INVALID },
		{ "a bad collection", bad_collection, LT_E_INVALID },
		{ "a delete with a field", delete_with_field, LT_E_INVALID },
		{ "the own feed in the context", own_feed_in_context, LT_E_INVALID },
		{ "a feed twice in the context", feed_twice_in_context, LT_E_INVALID },
		{ "seq 0 in the context", context_seq_zero, LT_E_INVALID },
		{ "seq 1 with a prev_hash", first_with_prev, LT_E_INVALID },
		{ "earlier epochs at seq 2", earlier_later, LT_E_INVALID },
		{ "earlier epoch is this one", earlier_is_itself, LT_E_INVALID },
		{ "earlier epoch of another author", earlier_of_another_author, LT_E_INVALID },
		{ "earlier epoch of another unit", earlier_of_another_unit, LT_E_INVALID },
		{ "earlier epoch with seq 0", earlier_seq_zero, LT_E_INVALID },
		{ "secret and public key apart", wrong_secret, LT_E_BADSIG },
	};
	struct lt_err err;
	struct sample s;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		sample_init(&s);
		t[i].spoil(&s);
		lt_buf_str(&s.bytes, "kept");
		memset(&err, 0, sizeof(err));
		rc = lt_changeset_seal(&s.seal, &s.bytes, &s.hash, &err);
		if (rc != t[i].rc)
			fail_msg("%s: %d, %s", t[i].descr, rc, err.text);
		if (rc != LT_OK) {
			assert_int_equal(s.bytes.len, 4);
			assert_int_not_equal(err.text[0], '\0');
		}
		sample_fini(&s);
	}
}

/* n changes of one text of len bytes each. */
static int
seal_many(size_t n, size_t len, bool personal, struct lt_buf *out)
{
	struct lt_draft *d = calloc(n, sizeof(*d));
	Ltpb__FieldSet **fs = calloc(n, sizeof(Ltpb__FieldSet *));
	char *text = malloc(len + 1);
	struct sample s;
	size_t i;
	int rc;

	sample_init(&s);
	memset(text, 'a', len);
	text[len] = '\0';
	for (i = 0; i < n; i++) {
		fs[i] = sample_text("t", text);
		d[i].collection = "c";
		d[i].key = "k";
		d[i].nset = personal ? 0 : 1;
		d[i].set = &fs[i];
		d[i].npersonal = personal ? 1 : 0;
		d[i].personal = &fs[i];
	}
	s.seal.ndraft = n;
	s.seal.draft = d;
	rc = lt_changeset_seal(&s.seal, out, &s.hash, NULL);
	free(text);
	free(fs);
	free(d);
	sample_fini(&s);
	return rc;
}

static void
at_most_1024_changes(void **state)
{
	struct lt_buf b = { 0 };
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;

	(void)state;
	assert_int_equal(seal_many(1024, 1, false, &b), LT_OK);
	sample_init(&s);
	assert_int_equal(verify(&s, lt_buf_slice(&b), &a, &cs), LT_OK);
	assert_int_equal(cs.nchange, 1024);
	lt_arena_fini(&a);
	assert_int_equal(seal_many(1025, 1, false, &b), LT_E_TOOBIG);
	/* The reader counts for itself: one change more at the end of a full message. */
	lt_field_put(&b, CS_CHANGE, lt_slice("x", 1));
	assert_int_equal(verify(&s, lt_buf_slice(&b), &a, &cs), LT_E_TOOBIG);
	lt_arena_fini(&a);
	lt_buf_fini(&b);
}

/* Exactly 512 KiB without openings passes, one byte more does not. */
static void
at_most_512_kib(void **state)
{
	struct lt_buf b = { 0 };
	size_t fits, base;

	(void)state;
	/* Nine texts near the value limit; what is left goes into the last bytes of each. */
	assert_int_equal(seal_many(9, 58000, false, &b), LT_OK);
	base = b.len;
	fits = 58000 + (LT_CHANGESET_MAX - base) / 9;
	assert_int_equal(seal_many(9, fits, false, &b), LT_OK);
	assert_true(b.len - base > LT_CHANGESET_MAX - 9);
	assert_int_equal(seal_many(9, fits + 1, false, &b), LT_E_TOOBIG);
	lt_buf_fini(&b);
}

static int
parse_padded(size_t total, struct lt_slice signature, size_t *bare)
{
	struct lt_buf b = { 0 };
	struct lt_changeset cs;
	struct lt_arena a;
	uint8_t *pad = calloc(1, total);
	int rc;

	lt_field_put(&b, CS_SIGNATURE, signature);
	lt_field_put(&b, CS_CHANGE, lt_slice(pad, total - b.len - 4));
	*bare = b.len;
	lt_arena_init(&a, lt_arena_cap_for(b.len));
	rc = lt_changeset_parse(lt_buf_slice(&b), &a, &cs, NULL);
	lt_arena_fini(&a);
	lt_buf_fini(&b);
	free(pad);
	return rc;
}

/* The reader measures by itself, before it looks at anything: at the bound the missing header is what is
 * wrong, one byte beyond it the size. */
static void
reader_measures_512_kib(void **state)
{
	uint8_t sig[64] = { 0 };
	size_t bare;

	(void)state;
	assert_int_equal(parse_padded(LT_CHANGESET_MAX, lt_slice(sig, 64), &bare), LT_E_INVALID);
	assert_int_equal(bare, LT_CHANGESET_MAX);
	assert_int_equal(parse_padded(LT_CHANGESET_MAX + 1, lt_slice(sig, 64), &bare), LT_E_TOOBIG);
	assert_int_equal(parse_padded(LT_MESSAGE_MAX + 1, lt_slice(sig, 64), &bare), LT_E_TOOBIG);
}

/* Personal texts do not count against the 512 KiB, but they have a limit of their own, and it holds for the
 * longer form with salts too, so that whoever got the one can pass on the other. */
static void
openings_have_a_limit(void **state)
{
	struct lt_buf b = { 0 }, bare = { 0 }, full = { 0 };
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;
	size_t len;

	(void)state;
	for (len = 65100; seal_many(16, len, true, &b) == LT_OK; len++)
		lt_buf_clear(&b);
	assert_in_range(len, 65101, 65536);
	lt_buf_clear(&b);
	assert_int_equal(seal_many(16, len, true, &b), LT_E_TOOBIG);
	assert_int_equal(seal_many(16, len - 1, true, &b), LT_OK);
	sample_init(&s);
	assert_int_equal(verify(&s, lt_buf_slice(&b), &a, &cs), LT_OK);
	assert_int_equal(lt_changeset_strip(&cs, &bare), LT_OK);
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&bare), cs.nopening, cs.opening, &full, NULL), LT_OK);
	assert_in_range(full.len, LT_CHANGESET_OPEN_MAX - 48, LT_CHANGESET_OPEN_MAX);
	lt_arena_fini(&a);
	assert_int_equal(verify(&s, lt_buf_slice(&full), &a, &cs), LT_OK);
	lt_arena_fini(&a);
	lt_buf_fini(&b);
	lt_buf_fini(&bare);
	lt_buf_fini(&full);
}

/* Reliability: a bit that flips in memory between building and publishing is caught by our own check. */
static void
flip_before_publishing_is_caught(void **state)
{
	struct lt_buf b = { 0 };
	struct lt_hash h;
	struct sample s;
	size_t i;

	(void)state;
	sample_init(&s);
	assert_int_equal(lt_seal_build(&s.seal, &b, &h, NULL), LT_OK);
	assert_int_equal(lt_seal_check(&s.seal, lt_buf_slice(&b), &h, NULL), LT_OK);
	for (i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_not_equal(lt_seal_check(&s.seal, lt_buf_slice(&b), &h, NULL), LT_OK);
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	h.b[5] ^= 4;
	assert_int_equal(lt_seal_check(&s.seal, lt_buf_slice(&b), &h, NULL), LT_E_BADHASH);
	lt_buf_fini(&b);
}

/* The arena's usual cap is enough for the densest message that is allowed: short names, short values. */
static void
dense_messages_fit_the_usual_cap(void **state)
{
	static char name[256][4];
	static Ltpb__FieldSet *fs[256];
	struct lt_draft *d;
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;
	size_t i, n, personal;
	struct lt_err err;

	(void)state;
	for (personal = 0; personal < 2; personal++)
		for (n = 1; n <= (personal ? 64 : 200); n = n * 3 / 2 + 1) {
			sample_init(&s);
			for (i = 0; i < 256; i++) {
				(void)snprintf(name[i], sizeof(name[i]), "%c%c",
				    (char)('a' + i / 16), (char)('a' + i % 16));
				fs[i] = sample_integer(name[i], 0);
			}
			d = calloc(n, sizeof(*d));
			for (i = 0; i < n; i++) {
				d[i].collection = "c";
				d[i].key = "k";
				d[i].nset = personal ? 0 : 256;
				d[i].set = fs;
				d[i].npersonal = personal ? 256 : 0;
				d[i].personal = fs;
			}
			s.seal.ndraft = n;
			s.seal.draft = d;
			sample_seal(&s);
			lt_arena_init(&a, lt_arena_cap_for(s.bytes.len));
			if (sample_verify(lt_buf_slice(&s.bytes), s.key.pk, &a, &cs, &err) != LT_OK)
				fail_msg("%zu changes, personal %zu: %s", n, personal, err.text);
			lt_arena_fini(&a);
			free(d);
			sample_fini(&s);
		}
}

/* As many changes as are allowed, each as small as can be. */
static void
many_small_changes_fit_the_usual_cap(void **state)
{
	static struct lt_draft d[LT_CHANGES_MAX];
	struct lt_changeset cs;
	struct lt_arena a;
	struct sample s;
	size_t i;

	(void)state;
	sample_init(&s);
	for (i = 0; i < LT_CHANGES_MAX; i++) {
		d[i].collection = "c";
		d[i].key = "k";
	}
	s.seal.ndraft = LT_CHANGES_MAX;
	s.seal.draft = d;
	sample_seal(&s);
	assert_int_equal(verify(&s, lt_buf_slice(&s.bytes), &a, &cs), LT_OK);
	lt_arena_fini(&a);
	sample_fini(&s);
}

/* What admission is asked about is what will be signed: the same bytes, but zeros where the signature stands. What may not be
 * sealed is not tried either. */
static void
a_try_is_the_same_without_a_signature(void **state)
{
	static const uint8_t zeros[LT_SIG_LEN];
	struct lt_changeset cs, tried;
	struct lt_arena a, b;
	struct sample s;
	struct lt_buf bytes = { 0 };
	size_t at;

	(void)state;
	sample_init(&s);
	sample_seal(&s);
	assert_int_equal(verify(&s, lt_buf_slice(&s.bytes), &a, &cs), LT_OK);
	s.seal.key = NULL;
	assert_int_equal(lt_changeset_try(&s.seal, &bytes, NULL), LT_OK);
	assert_int_equal(bytes.len, s.bytes.len);
	at = (size_t)(cs.signature.data - s.bytes.data);
	assert_memory_equal(bytes.data, s.bytes.data, at);
	assert_memory_equal(bytes.data + at, zeros, LT_SIG_LEN);
	assert_memory_equal(bytes.data + at + LT_SIG_LEN, s.bytes.data + at + LT_SIG_LEN,
	    bytes.len - at - LT_SIG_LEN);
	lt_arena_init(&b, 1 << 20);
	assert_int_equal(lt_changeset_parse(lt_buf_slice(&bytes), &b, &tried, NULL), LT_OK);
	assert_int_equal(lt_changeset_verify_openings(&tried, NULL), LT_OK);
	assert_int_equal(lt_changeset_verify_signature(&tried, s.key.pk), LT_E_BADSIG);
	at = bytes.len;
	s.seal.ndraft = 0;
	assert_int_equal(lt_changeset_try(&s.seal, &bytes, NULL), LT_E_INVALID);
	s.seal.ndraft = 1025;
	assert_int_equal(lt_changeset_try(&s.seal, &bytes, NULL), LT_E_TOOBIG);
	assert_int_equal(bytes.len, at);
	lt_arena_fini(&a);
	lt_arena_fini(&b);
	lt_buf_fini(&bytes);
	sample_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sealed_reads_back),
		cmocka_unit_test(a_try_is_the_same_without_a_signature),
		cmocka_unit_test(nothing_personal_stands_in_the_changes),
		cmocka_unit_test(strip_and_compose),
		cmocka_unit_test(compose_refuses),
		cmocka_unit_test(no_personal_fields),
		cmocka_unit_test(chain_answers),
		cmocka_unit_test(sealing_checks_what_it_is_given),
		cmocka_unit_test(at_most_1024_changes),
		cmocka_unit_test(at_most_512_kib),
		cmocka_unit_test(reader_measures_512_kib),
		cmocka_unit_test(openings_have_a_limit),
		cmocka_unit_test(flip_before_publishing_is_caught),
		cmocka_unit_test(dense_messages_fit_the_usual_cap),
		cmocka_unit_test(many_small_changes_fit_the_usual_cap),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
