#include "tests/fuzz/lib/changeset.h"

#include "proto/feed/leaf.h"

#include <stdlib.h>
#include <string.h>

void
fuzz_sign_key(struct lt_sign_key *k)
{
	uint8_t seed[32];

	memset(seed, 0x5a, sizeof(seed));
	lt_sign_key_from_seed(seed, k);
}

/* ---- a message of ours, unpacked as loosely as protobuf-c does ---- */

static void *
loose(const ProtobufCMessageDescriptor *d, const ProtobufCBinaryData *b)
{
	return b->len == 0 ? NULL : protobuf_c_message_unpack(d, NULL, b->len, b->data);
}

static void
put_back(const ProtobufCMessage *m, ProtobufCBinaryData *b)
{
	uint8_t *p = malloc(protobuf_c_message_get_packed_size(m) + 1);

	FUZZ_MUST(p != NULL);
	free(b->data);
	b->len = protobuf_c_message_pack(m, p);
	b->data = p;
}

static void
set_hash(ProtobufCBinaryData *b, const struct lt_hash *h)
{
	free(b->data);
	b->data = fuzz_copy(lt_slice(h->b, LT_HASH_LEN));
	b->len = LT_HASH_LEN;
}

/* The leaf of an opening, as FORMAT.md 3.4 has it. */
static bool
leaf_of(const Ltpb__Header *h, const Ltpb__Change *c, const Ltpb__Openings *o,
    const Ltpb__OpenedField *of, struct lt_hash *leaf)
{
	struct lt_unit unit;
	struct lt_feed_id feed;
	struct lt_id author;
	struct lt_leaf_place place = { &unit, &feed, h->seq, of->change, c->collection, c->key,
		of->name };
	uint8_t salt[LT_SALT_LEN];

	if (of->leaf.len == LT_HASH_LEN) {
		memcpy(leaf->b, of->leaf.data, LT_HASH_LEN);
		return true;
	}
	if (h->author.len != LT_ID_LEN || lt_unit_set(&unit, lt_slice_str(h->unit)) != LT_OK)
		return false;
	memcpy(author.b, h->author.data, LT_ID_LEN);
	feed = lt_feed_id_make(author, (enum lt_lane)h->lane, h->epoch);
	if (o->seed.len == LT_SALT_LEN)
		lt_leaf_salt(o->seed.data, of->change, of->name, salt);
	else if (of->salt.len == LT_SALT_LEN)
		memcpy(salt, of->salt.data, LT_SALT_LEN);
	else
		return false;
	lt_leaf_hash(&place, salt, lt_slice(of->field_set.data, of->field_set.len), leaf);
	return true;
}

/* The names and the root of a change's personal fields, as its openings give them. */
static void
fix_change(
    const Ltpb__Header *h, const Ltpb__Openings *o, uint32_t index, ProtobufCBinaryData *bytes)
{
	Ltpb__Change *c = loose(&ltpb__change__descriptor, bytes);
	struct lt_merkle tree;
	struct lt_hash leaf, root;
	size_t i, n = 0;
	bool ok = c != NULL;

	lt_merkle_init(&tree);
	for (i = 0; ok && o != NULL && i < o->n_field; i++) {
		if (o->field[i]->change != index)
			continue;
		ok = leaf_of(h, c, o, o->field[i], &leaf);
		lt_merkle_add(&tree, &leaf);
		n++;
	}
	if (ok && n != 0 && n == c->n_personal) {
		lt_merkle_end(&tree, &root);
		if (c->personal_root.len != LT_HASH_LEN ||
		    memcmp(c->personal_root.data, root.b, LT_HASH_LEN) != 0) {
			set_hash(&c->personal_root, &root);
			put_back(&c->base, bytes);
		}
	}
	if (c != NULL)
		protobuf_c_message_free_unpacked(&c->base, NULL);
}

static void
fix_header(Ltpb__ChangeSet *cs, Ltpb__Header *h)
{
	struct lt_hash *leaf = calloc(cs->n_change + 1, sizeof(*leaf)), root;
	size_t i;

	FUZZ_MUST(leaf != NULL);
	for (i = 0; i < cs->n_change; i++)
		lt_h1(LT_TAG_CHANGE, lt_slice(cs->change[i].data, cs->change[i].len), &leaf[i]);
	lt_merkle_root(leaf, cs->n_change, &root);
	h->change_count = (uint32_t)cs->n_change;
	set_hash(&h->changes_root, &root);
	if (h->seq == 1 && h->prev_hash.len == LT_HASH_LEN)
		memset(h->prev_hash.data, 0, LT_HASH_LEN);
	put_back(&h->base, &cs->header);
	free(leaf);
}

static void
sign(const struct lt_sign_key *key, Ltpb__ChangeSet *cs)
{
	uint8_t sig[LT_SIG_LEN];

	lt_sign(key, LT_TAG_CHANGESET, lt_slice(cs->header.data, cs->header.len), sig);
	free(cs->signature.data);
	cs->signature.data = fuzz_copy(lt_slice(sig, sizeof(sig)));
	cs->signature.len = sizeof(sig);
}

size_t
fuzz_changeset_fix_with(const struct lt_sign_key *key, uint8_t *data, size_t size, size_t max_size)
{
	ProtobufCBinaryData whole = { size, data };
	Ltpb__ChangeSet *cs = loose(&ltpb__change_set__descriptor, &whole);
	Ltpb__Header *h;
	size_t i, n;

	if (cs == NULL)
		return size;
	h = loose(&ltpb__header__descriptor, &cs->header);
	if (h != NULL) {
		for (i = 0; i < cs->n_change; i++)
			fix_change(h, cs->openings, (uint32_t)i, &cs->change[i]);
		fix_header(cs, h);
		protobuf_c_message_free_unpacked(&h->base, NULL);
	}
	sign(key, cs);
	n = protobuf_c_message_get_packed_size(&cs->base);
	if (n <= max_size)
		size = protobuf_c_message_pack(&cs->base, data);
	protobuf_c_message_free_unpacked(&cs->base, NULL);
	return size;
}

size_t
fuzz_changeset_fix(uint8_t *data, size_t size, size_t max_size)
{
	struct lt_sign_key key;

	fuzz_sign_key(&key);
	return fuzz_changeset_fix_with(&key, data, size, max_size);
}
