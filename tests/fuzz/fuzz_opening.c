/* Openings for a change-set that is known: nothing but what was signed may come out of them.
 *
 * Input: u8 kind, u8 choices, then Openings bytes (put behind the signed, stripped change-set) or, for odd kinds, the bytes of one
 * FieldSet. Must hold: what verifies opens to the very bytes that were signed, field by field, or is withheld; stored and
 * composed again for a reader who may see some of it, it still verifies and shows that much and no more. Read by hand and by the
 * walker it is the same.
 */
#include "tests/fuzz/lib/changeset.h"
#include "tests/fuzz/lib/ways.h"

#include "proto/base/limits.h"
#include "proto/store/feed_log.h"
#include "tests/fuzz/lib/sample.h"

#include <stdlib.h>
#include <string.h>

static struct fuzz_sample sample; /* as it was sealed */
static struct lt_buf bare;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	fuzz_sample(&sample);
	FUZZ_MUST(lt_changeset_strip(&sample.cs, &bare) == LT_OK);
	return 0;
}

static void
one_field(const uint8_t *data, size_t size)
{
	struct lt_field_set fs;
	struct lt_arena arena;
	struct lt_err err = { "" };

	fuzz_arena_init(&arena, size);
	if (lt_field_set_decode(lt_slice(data, size), &arena, &fs, &err) == LT_OK) {
		FUZZ_MUST(lt_name_valid(fs.pb->name) || strcmp(fs.pb->name, LT_ACTOR_FIELD) == 0);
		FUZZ_MUST(fs.pb->value != NULL && fs.raw.len == size);
	} else {
		FUZZ_MUST(err.text[0] != '\0');
	}
	fuzz_arena_fini(&arena);
	(void)fuzz_ways_field_set(lt_slice(data, size));
}

/* The choices of a reader: one bit a field. */
struct reader {
	unsigned choices;
};

static bool
may(void *ctx, const char *collection, const char *field)
{
	const struct reader *r = ctx;

	(void)collection;
	return (r->choices >> (unsigned)field[0] % 8 & 1) != 0;
}

static void
check_bound(const struct lt_changeset *cs)
{
	size_t i;

	FUZZ_MUST(cs->nopening == sample.cs.nopening);
	for (i = 0; i < cs->nopening; i++) {
		const struct lt_opening *o = &cs->opening[i], *was = &sample.cs.opening[i];

		FUZZ_MUST(lt_hash_eq(&o->leaf, &was->leaf));
		if (!o->withheld)
			FUZZ_MUST(lt_slice_eq(o->field_set, was->field_set));
	}
}

static void
check_composed(struct lt_kv_txn *txn, const struct lt_changeset *in, unsigned choices)
{
	struct reader r = { choices };
	struct lt_changeset cs;
	struct lt_buf out = { 0 };
	struct lt_err err = { "" };
	struct lt_entry e;
	struct lt_arena arena;
	size_t i;

	lt_arena_init(&arena, 64u << 20);
	FUZZ_MUST(lt_feed_log_read(txn, 1, &e) == LT_OK);
	FUZZ_MUST(
	    lt_feed_log_compose(txn, &e, choices == 255 ? NULL : may, &r, &out, &err) == LT_OK);
	FUZZ_MUST(lt_changeset_parse(lt_buf_slice(&out), &arena, &cs, &err) == LT_OK);
	FUZZ_MUST(lt_changeset_verify_openings(&cs, &err) == LT_OK);
	check_bound(&cs);
	for (i = 0; i < cs.nopening; i++) {
		const char *name = cs.opening[i].name;
		bool shown = choices == 255 || may(&r, "", name);

		FUZZ_MUST(cs.opening[i].withheld == (in->opening[i].withheld || !shown));
	}
	lt_arena_fini(&arena);
	lt_buf_fini(&out);
}

static void
check_stored(const struct lt_changeset *cs, unsigned choices)
{
	struct lt_kv_options o = {
		.kind = LT_KV_TEST, .federation = cs->federation.b, .tables = lt_table_names
	};
	struct lt_kv_txn *txn;
	struct lt_err err = { "" };
	struct lt_kv *kv;
	uint64_t position;

	FUZZ_MUST(lt_kv_open_mem(&o, &kv, &err) == LT_OK);
	FUZZ_MUST(lt_kv_begin_write(kv, &txn) == LT_OK);
	FUZZ_MUST(lt_feed_log_append(txn, cs, 1, &position) == LT_OK && position == 1);
	check_composed(txn, cs, choices);
	lt_kv_abort(txn);
	lt_kv_close(kv);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_buf whole = { 0 };
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_err err = { "" };
	struct fuzz_in in;
	unsigned kind, choices;

	fuzz_in_init(&in, data, size);
	kind = fuzz_u8(&in);
	choices = fuzz_u8(&in);
	if ((kind & 1) != 0) {
		one_field(in.p, fuzz_left(&in));
		return 0;
	}
	lt_buf_put_slice(&whole, lt_buf_slice(&bare));
	lt_buf_u8(&whole, 4 << 3 | 2);
	lt_buf_varint(&whole, fuzz_left(&in));
	lt_buf_put_slice(&whole, fuzz_rest(&in));
	(void)fuzz_ways_changeset(lt_buf_slice(&whole));
	fuzz_arena_init(&arena, whole.len);
	if (lt_changeset_parse(lt_buf_slice(&whole), &arena, &cs, &err) == LT_OK &&
	    lt_changeset_verify_openings(&cs, &err) == LT_OK) {
		check_bound(&cs);
		check_stored(&cs, choices);
	}
	fuzz_arena_fini(&arena);
	lt_buf_fini(&whole);
	return 0;
}

/* A leaf in place of salt and value, as a hub sends it to who may not see it; or the value again. */
static size_t
withhold(uint8_t *data, size_t size, size_t max_size, struct fuzz_rng *rng)
{
	Ltpb__Openings *o = ltpb__openings__unpack(NULL, size, data);
	size_t i, n;

	if (o == NULL)
		return size;
	for (i = 0; i < o->n_field; i++) {
		Ltpb__OpenedField *f = o->field[i];
		const struct lt_opening *was = &sample.cs.opening[i % sample.cs.nopening];
		bool hide = fuzz_below(rng, 2) != 0;

		free(o->seed.data);
		memset(&o->seed, 0, sizeof(o->seed));
		free(f->salt.data);
		free(f->field_set.data);
		free(f->leaf.data);
		memset(&f->salt, 0, sizeof(f->salt));
		memset(&f->field_set, 0, sizeof(f->field_set));
		memset(&f->leaf, 0, sizeof(f->leaf));
		if (hide) {
			f->leaf.data = fuzz_copy(lt_slice(was->leaf.b, LT_HASH_LEN));
			f->leaf.len = LT_HASH_LEN;
			continue;
		}
		f->salt.data = fuzz_copy(lt_slice(was->salt, LT_SALT_LEN));
		f->salt.len = LT_SALT_LEN;
		f->field_set.data = fuzz_copy(was->field_set);
		f->field_set.len = was->field_set.len;
	}
	n = protobuf_c_message_get_packed_size(&o->base);
	if (n <= max_size)
		size = protobuf_c_message_pack(&o->base, data);
	protobuf_c_message_free_unpacked(&o->base, NULL);
	return size;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };

	if (size < 2 || max_size < size || fuzz_below(&rng, 16) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	if (fuzz_below(&rng, 8) == 0)
		data[1] = (uint8_t)fuzz_next(&rng);
	if ((data[0] & 1) == 0 && fuzz_below(&rng, 8) == 0)
		return 2 + withhold(data + 2, size - 2, max_size - 2, &rng);
	return 2 + fuzz_pb_mutate((data[0] & 1) != 0 ? &ltpb__field_set__descriptor
						     : &ltpb__openings__descriptor,
		       data + 2, size - 2, max_size - 2, &rng);
}
