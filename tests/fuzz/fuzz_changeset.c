/* A change-set from anywhere: parse, verify, strip, compose, and every member.
 *
 * Input: ChangeSet bytes. The mutator changes header, changes and openings by their schema and mostly signs again. Must hold:
 * parse gives the same each time; stripped and composed again, it is the same change-set, with the same hash; openings that
 * verify do so in either form; the two Merkle trees agree; read by hand and by the walker it is the same.
 */
#include "tests/fuzz/lib/changeset.h"
#include "tests/fuzz/lib/ways.h"

#include "proto/base/limits.h"
#include "proto/feed/lean.h"

#include <stdlib.h>
#include <string.h>

static struct lt_sign_key key;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	fuzz_sign_key(&key);
	return 0;
}

static void
members(const struct lt_changeset *cs)
{
	struct lt_hash leaf[LT_CHANGES_MAX], root;
	struct lt_merkle tree;
	size_t i, k, leaves = 0;

	FUZZ_MUST(
	    cs->nchange >= 1 && cs->nchange <= LT_CHANGES_MAX && cs->seq >= 1 && cs->key_no >= 1);
	FUZZ_MUST(lt_unit_valid(cs->unit.s));
	lt_merkle_init(&tree);
	for (i = 0; i < cs->nchange; i++) {
		const struct lt_change *c = &cs->change[i];

		FUZZ_MUST(lt_name_valid(c->collection) && strlen(c->key) <= LT_KEY_MAX &&
			  c->key[0] != '\0');
		FUZZ_MUST(lt_slice_eq(c->raw, cs->change_raw[i]));
		FUZZ_MUST(c->nset + c->ncleared + c->npersonal <= 3 * LT_FIELDS_MAX);
		for (k = 0; k < c->nset; k++)
			FUZZ_MUST(
			    c->set[k].raw.data >= cs->raw.data &&
			    c->set[k].raw.data + c->set[k].raw.len <= cs->raw.data + cs->raw.len);
		for (k = 1; k < c->nset; k++)
			FUZZ_MUST(strcmp(c->set[k - 1].pb->name, c->set[k].pb->name) < 0);
		for (k = 0; k < c->ncontext; k++)
			FUZZ_MUST(lt_feed_id_cmp(&c->context[k].feed, &cs->feed) != 0);
		leaves += c->npersonal;
		lt_h1(LT_TAG_CHANGE, cs->change_raw[i], &leaf[i]);
		lt_merkle_add(&tree, &leaf[i]);
	}
	lt_merkle_end(&tree, &root);
	lt_merkle_root(leaf, cs->nchange, &leaf[0]);
	FUZZ_MUST(lt_hash_eq(&root, &leaf[0]));
	FUZZ_MUST(cs->has_openings ? cs->nopening == leaves : cs->nopening == 0);
}

static void
chain(const struct lt_changeset *cs)
{
	struct lt_hash other = cs->prev;
	int rc;

	other.b[0] ^= 1;
	rc = lt_changeset_verify_chain(
	    cs, cs->seq - 1, &cs->prev, cs->stamp == 0 ? 0 : cs->stamp - 1);
	FUZZ_MUST(rc == (cs->stamp == 0 ? LT_E_INVALID : LT_OK));
	FUZZ_MUST(lt_changeset_verify_chain(cs, cs->seq, &cs->prev, 0) == LT_E_EXISTS);
	FUZZ_MUST(lt_changeset_verify_chain(cs, cs->seq - 1, &cs->prev, cs->stamp) == LT_E_INVALID);
	if (cs->seq > 1) {
		FUZZ_MUST(lt_changeset_verify_chain(cs, cs->seq - 1, &other, 0) == LT_E_BADHASH);
		FUZZ_MUST(lt_changeset_verify_chain(cs, 0, &other, 0) == LT_E_GAP);
	}
}

static void
same(const struct lt_changeset *a, const struct lt_changeset *b)
{
	size_t i;

	FUZZ_MUST(lt_hash_eq(&a->hash, &b->hash) && a->nchange == b->nchange);
	FUZZ_MUST(lt_slice_eq(a->header, b->header) && lt_slice_eq(a->signature, b->signature));
	for (i = 0; i < a->nchange; i++)
		FUZZ_MUST(lt_slice_eq(a->change_raw[i], b->change_raw[i]));
}

/* Read again as the projector does: without hashes and values, the same changes. */
static void
opened_again(const struct lt_changeset *cs, struct lt_slice bare, struct lt_arena *arena)
{
	struct lt_changeset o;
	struct lt_change c;
	size_t i, k;

	FUZZ_MUST(lt_changeset_open(bare, arena, &o) == LT_OK);
	same(cs, &o);
	FUZZ_MUST(o.seq == cs->seq && o.stamp == cs->stamp &&
		  lt_feed_id_cmp(&o.feed, &cs->feed) == 0 && lt_unit_eq(&o.unit, &cs->unit));
	for (i = 0; i < o.nchange; i++) {
		const struct lt_change *was = &cs->change[i];

		FUZZ_MUST(lt_change_skim(o.change_raw[i], arena, &c) == LT_OK);
		FUZZ_MUST(strcmp(c.collection, was->collection) == 0 &&
			  strcmp(c.key, was->key) == 0 && c.is_delete == was->is_delete);
		FUZZ_MUST(c.nset == was->nset && c.ncleared == was->ncleared &&
			  c.npersonal == was->npersonal && c.ncontext == was->ncontext);
		for (k = 0; k < c.nset; k++)
			FUZZ_MUST(strcmp(c.set[k].pb->name, was->set[k].pb->name) == 0 &&
				  lt_slice_eq(c.set[k].raw, was->set[k].raw));
		for (k = 0; k < c.ncontext; k++)
			FUZZ_MUST(lt_feed_id_cmp(&c.context[k].feed, &was->context[k].feed) == 0 &&
				  c.context[k].seq == was->context[k].seq &&
				  c.context[k].hash8 == was->context[k].hash8);
		FUZZ_MUST(lt_hash_eq(&c.personal_root, &was->personal_root));
	}
}

/* Stripped, and composed of that and the openings. */
static void
other_forms(const struct lt_changeset *cs, int verified)
{
	struct lt_buf bare = { 0 }, again = { 0 }, whole = { 0 };
	struct lt_changeset second, third;
	struct lt_err err = { "" };
	struct lt_arena arena;
	size_t i;
	int rc;

	lt_arena_init(&arena, 64u << 20);
	FUZZ_MUST(lt_changeset_strip(cs, &bare) == LT_OK);
	FUZZ_MUST(bare.len <= LT_CHANGESET_MAX);
	FUZZ_MUST(lt_changeset_parse(lt_buf_slice(&bare), &arena, &second, &err) == LT_OK);
	FUZZ_MUST(!second.has_openings);
	same(cs, &second);
	opened_again(cs, lt_buf_slice(&bare), &arena);
	FUZZ_MUST(lt_changeset_strip(&second, &again) == LT_OK);
	FUZZ_MUST(lt_slice_eq(lt_buf_slice(&bare), lt_buf_slice(&again)));
	if (cs->has_openings && cs->nopening != 0) {
		rc = lt_changeset_compose(
		    lt_buf_slice(&bare), cs->nopening, cs->opening, &whole, &err);
		FUZZ_MUST(rc == LT_OK && whole.len <= LT_MESSAGE_MAX);
		FUZZ_MUST(lt_changeset_parse(lt_buf_slice(&whole), &arena, &third, &err) == LT_OK);
		same(cs, &third);
		FUZZ_MUST(third.nopening == cs->nopening);
		for (i = 0; i < cs->nopening; i++)
			FUZZ_MUST(lt_hash_eq(&third.opening[i].leaf, &cs->opening[i].leaf));
		FUZZ_MUST(lt_changeset_verify_openings(&third, &err) == verified);
	}
	lt_arena_fini(&arena);
	lt_buf_fini(&bare);
	lt_buf_fini(&again);
	lt_buf_fini(&whole);
}

/* Whatever is left out for the line comes back as it was, byte for byte. */
static void
lean_and_back(const struct lt_changeset *cs)
{
	struct lt_buf lean = { 0 };
	struct lt_changeset back;
	struct lt_err err = { "" };
	struct lt_arena arena;

	lt_arena_init(&arena, 64u << 20);
	FUZZ_MUST(lt_changeset_lean(cs->raw, &lean) == LT_OK);
	FUZZ_MUST(lean.len <= cs->raw.len);
	FUZZ_MUST(
	    lt_changeset_parse_lean(lt_buf_slice(&lean), &arena, &arena, &back, &err) == LT_OK);
	same(cs, &back);
	FUZZ_MUST(lt_changeset_verify_openings(&back, &err) == LT_OK);
	lt_arena_fini(&arena);
	lt_buf_fini(&lean);
}

/* Bytes of a stranger that may have left something out: what is taken is what would have been taken whole. */
static void
perhaps_lean(struct lt_slice bytes, int whole)
{
	struct lt_changeset cs, again;
	struct lt_buf bare = { 0 };
	struct lt_err err = { "" };
	struct lt_arena arena;
	int rc;

	fuzz_arena_init(&arena, bytes.len);
	rc = lt_changeset_parse_lean(bytes, &arena, &arena, &cs, &err);
	FUZZ_MUST(rc == LT_OK || err.text[0] != '\0');
	FUZZ_MUST(rc == LT_OK || rc == LT_E_NOMEM || whole != LT_OK);
	if (rc == LT_OK) {
		FUZZ_MUST(lt_changeset_strip(&cs, &bare) == LT_OK && bare.len <= LT_CHANGESET_MAX);
		FUZZ_MUST(lt_changeset_parse(lt_buf_slice(&bare), &arena, &again, &err) == LT_OK);
		same(&cs, &again);
		lt_buf_fini(&bare);
	}
	fuzz_arena_fini(&arena);
}

static void
planted(const struct lt_changeset *cs)
{
#ifdef LT_FUZZ_SELFTEST
	/* A crash on purpose, behind hashes and signature: only who signs again gets here. */
	volatile uint8_t *p = malloc(4);

	FUZZ_MUST(p != NULL);
	if (cs->seq != 7 && cs->nchange == 2 && cs->has_openings)
		p[cs->nchange + 2] = 1;
	free((void *)(uintptr_t)p);
#else
	(void)cs;
#endif
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_changeset cs, twice;
	struct lt_arena arena;
	struct lt_err err = { "" };
	int rc, verified;

	fuzz_arena_init(&arena, size);
	rc = lt_changeset_parse(lt_slice(data, size), &arena, &cs, &err);
	FUZZ_MUST(rc == LT_OK || err.text[0] != '\0');
	if (rc == LT_OK) {
		members(&cs);
		chain(&cs);
		verified = lt_changeset_verify_openings(&cs, &err);
		if (lt_changeset_verify_signature(&cs, key.pk) == LT_OK) {
			FUZZ_MUST(lt_sign_verify(
				      key.pk, LT_TAG_CHANGESET, cs.header, cs.signature) == LT_OK);
			planted(&cs);
		}
		other_forms(&cs, verified);
		if (verified == LT_OK)
			lean_and_back(&cs);
	}
	perhaps_lean(lt_slice(data, size), rc);
	(void)fuzz_ways_changeset(lt_slice(data, size));
	fuzz_arena_fini(&arena);
	fuzz_arena_init(&arena, size);
	FUZZ_MUST(lt_changeset_parse(lt_slice(data, size), &arena, &twice, &err) == rc);
	fuzz_arena_fini(&arena);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };

	size = fuzz_pb_mutate(&ltpb__change_set__descriptor, data, size, max_size, &rng);
	return fuzz_below(&rng, 8) == 0 ? size : fuzz_changeset_fix(data, size, max_size);
}
