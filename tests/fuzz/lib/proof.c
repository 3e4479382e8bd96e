#include "tests/fuzz/lib/proof.h"

#include "proto/feed/leaf.h"

#include "lienthong/v1/proof.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"
#include "lienthong/v1/trust.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX 256
#define CHANGES_MAX 64

/* A header that was made right. */
struct place {
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_hash hash;
};

struct fixing {
	Ltpb__Proof *m;
	struct place place[PLACES_MAX];
	size_t nplace;
};

const struct lt_sign_key *
fuzz_proof_key(enum fuzz_signer who)
{
	static const uint8_t first[FUZZ_SIGNERS] = { 0x01, 0x61, 0x91 };
	static struct lt_sign_key key[FUZZ_SIGNERS];
	static bool made;
	uint8_t seed[32];
	size_t k, i;

	for (k = 0; !made && k < FUZZ_SIGNERS; k++) {
		for (i = 0; i < sizeof(seed); i++)
			seed[i] = (uint8_t)(first[k] + i);
		lt_sign_key_from_seed(seed, &key[k]);
	}
	made = true;
	return &key[who];
}

static void *
loose(const ProtobufCMessageDescriptor *d, const ProtobufCBinaryData *b)
{
	return b->len == 0 ? NULL : protobuf_c_message_unpack(d, NULL, b->len, b->data);
}

static void
set_bytes(ProtobufCBinaryData *b, const void *data, size_t len)
{
	free(b->data);
	b->data = fuzz_copy(lt_slice(data, len));
	b->len = len;
}

static void
put_back(ProtobufCMessage *m, ProtobufCBinaryData *b)
{
	uint8_t *p = malloc(protobuf_c_message_get_packed_size(m) + 1);

	FUZZ_MUST(p != NULL);
	free(b->data);
	b->len = protobuf_c_message_pack(m, p);
	b->data = p;
	protobuf_c_message_free_unpacked(m, NULL);
}

static void
sign(
    enum fuzz_signer who, const char *tag, const ProtobufCBinaryData *what, ProtobufCBinaryData *to)
{
	uint8_t sig[LT_SIG_LEN];

	lt_sign(fuzz_proof_key(who), tag, lt_slice(what->data, what->len), sig);
	set_bytes(to, sig, sizeof(sig));
}

static const struct place *
find(const struct fixing *f, const uint8_t *feed, size_t len, uint64_t seq)
{
	size_t i;

	for (i = 0; len == LT_FEED_LEN && i < f->nplace; i++)
		if (f->place[i].seq == seq && memcmp(f->place[i].feed.b, feed, LT_FEED_LEN) == 0)
			return &f->place[i];
	return NULL;
}

static bool
feed_of(const Ltpb__Header *h, struct lt_feed_id *feed)
{
	struct lt_id author;

	if (h->author.len != LT_ID_LEN)
		return false;
	memcpy(author.b, h->author.data, LT_ID_LEN);
	*feed = lt_feed_id_make(author, (enum lt_lane)h->lane, h->epoch);
	return true;
}

/* ---- one change ---- */

static void
fix_openings(const Ltpb__Header *h, const Ltpb__ProofChange *pc, Ltpb__Change *c)
{
	struct lt_unit unit;
	struct lt_feed_id feed;
	struct lt_leaf_place place = { &unit, &feed, h->seq, pc->index, c->collection, c->key,
		NULL };
	struct lt_merkle tree;
	struct lt_hash leaf;
	size_t i;

	if (pc->n_opening == 0 || pc->n_opening != c->n_personal || !feed_of(h, &feed) ||
	    lt_unit_set(&unit, lt_slice_str(h->unit)) != LT_OK)
		return;
	lt_merkle_init(&tree);
	for (i = 0; i < pc->n_opening; i++) {
		const Ltpb__OpenedField *o = pc->opening[i];

		place.field = c->personal[i];
		if (o->leaf.len == LT_HASH_LEN)
			memcpy(leaf.b, o->leaf.data, LT_HASH_LEN);
		else if (o->salt.len == LT_SALT_LEN)
			lt_leaf_hash(&place, o->salt.data,
			    lt_slice(o->field_set.data, o->field_set.len), &leaf);
		else
			return;
		lt_merkle_add(&tree, &leaf);
	}
	lt_merkle_end(&tree, &leaf);
	set_bytes(&c->personal_root, leaf.b, LT_HASH_LEN);
}

/* The verdict of a change of _verdict: what it names, and its key. */
static void
fix_verdict(const struct fixing *f, Ltpb__Change *c)
{
	Ltpb__Value *value = c->n_set == 1 ? c->set[0]->value : NULL;
	char hex[2 * LT_FEED_LEN + 1], key[2 * LT_FEED_LEN + 24];
	const struct place *to;
	Ltpb__Verdict *v;

	if (value == NULL || value->v_case != LTPB__VALUE__V_BYTES ||
	    (v = loose(&ltpb__verdict__descriptor, &value->bytes)) == NULL)
		return;
	to = find(f, v->feed.data, v->feed.len, v->to);
	if (to != NULL)
		set_bytes(&v->to_hash, to->hash.b, LT_HASH_LEN);
	if (v->feed.len == LT_FEED_LEN) {
		lt_hex(hex, v->feed.data, LT_FEED_LEN);
		(void)snprintf(key, sizeof(key), "%s/%llu", hex, (unsigned long long)v->from);
		if (c->key != protobuf_c_empty_string)
			free(c->key);
		c->key = strdup(key);
	}
	put_back(&v->base, &value->bytes);
}

static void
fix_change(const struct fixing *f, const Ltpb__Header *h, Ltpb__ProofChange *pc)
{
	Ltpb__Change *c = loose(&ltpb__change__descriptor, &pc->change);
	const struct place *named;
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->n_context; i++) {
		named =
		    find(f, c->context[i]->feed.data, c->context[i]->feed.len, c->context[i]->seq);
		if (named != NULL)
			c->context[i]->hash8 = lt_load_u64(named->hash.b);
	}
	fix_openings(h, pc, c);
	fix_verdict(f, c);
	put_back(&c->base, &pc->change);
}

/* ---- one part ---- */

/* A change alone keeps its place in a larger change-set; several become a change-set of their own. */
static void
fix_tree(Ltpb__ProofPart *part, Ltpb__Header *h)
{
	struct lt_hash leaf[CHANGES_MAX], path[LT_MERKLE_PATH_MAX], root;
	Ltpb__ProofChange *pc = part->change[0];
	size_t i, k, n = part->n_change, len;
	bool fits = n == 1 && pc->n_path <= LT_MERKLE_PATH_MAX;

	memset(&leaf[0], 0, sizeof(leaf[0])); /* there is one: the compiler cannot know */
	for (i = 0; i < n; i++)
		lt_h1(LT_TAG_CHANGE,
		    lt_slice(part->change[i]->change.data, part->change[i]->change.len), &leaf[i]);
	for (i = 0; fits && i < pc->n_path; i++) {
		fits = pc->path[i].len == LT_HASH_LEN;
		if (fits)
			memcpy(path[i].b, pc->path[i].data, LT_HASH_LEN);
	}
	if (!fits || lt_merkle_path_root(
			 leaf, h->change_count, pc->index, path, pc->n_path, &root) != LT_OK) {
		h->change_count = (uint32_t)n;
		lt_merkle_root(leaf, n, &root);
		for (i = 0; i < n; i++) {
			pc = part->change[i];
			for (k = 0; k < pc->n_path; k++)
				free(pc->path[k].data);
			free(pc->path);
			lt_merkle_path(leaf, n, i, path, &len);
			pc->path = len == 0 ? NULL : calloc(len, sizeof(*pc->path));
			pc->n_path = len;
			for (k = 0; k < len; k++)
				set_bytes(&pc->path[k], path[k].b, LT_HASH_LEN);
		}
	}
	set_bytes(&h->changes_root, root.b, LT_HASH_LEN);
}

/* A header: what came before it, then its own place. */
static void
fix_header(struct fixing *f, Ltpb__Header *h, ProtobufCBinaryData *bytes)
{
	const struct place *before;
	struct lt_feed_id feed;
	bool placed = feed_of(h, &feed) && f->nplace < PLACES_MAX;
	uint64_t seq = h->seq;

	before = placed ? find(f, feed.b, LT_FEED_LEN, seq - 1) : NULL;
	if (before != NULL)
		set_bytes(&h->prev_hash, before->hash.b, LT_HASH_LEN);
	else if (seq == 1 && h->prev_hash.len == LT_HASH_LEN)
		memset(h->prev_hash.data, 0, LT_HASH_LEN);
	put_back(&h->base, bytes);
	if (!placed)
		return;
	f->place[f->nplace].feed = feed;
	f->place[f->nplace].seq = seq;
	lt_h1(LT_TAG_CHANGESET, lt_slice(bytes->data, bytes->len), &f->place[f->nplace].hash);
	f->nplace++;
}

static void
fix_part(struct fixing *f, Ltpb__ProofPart *part, enum fuzz_signer who)
{
	Ltpb__Header *h = loose(&ltpb__header__descriptor, &part->header);
	static const uint8_t hub_first = 0x90; /* of its principal */
	bool alone = part->n_change == 1;
	size_t i;

	if (h == NULL)
		return;
	if (part->n_change != 0 && part->n_change <= CHANGES_MAX) {
		for (i = 0; i < part->n_change; i++) {
			if (!alone)
				part->change[i]->index = (uint32_t)i;
			fix_change(f, h, part->change[i]);
		}
		fix_tree(part, h);
	}
	if (h->author.len == LT_ID_LEN && h->author.data[0] == hub_first)
		who = FUZZ_HUB_KEY;
	fix_header(f, h, &part->header);
	sign(who, LT_TAG_CHANGESET, &part->header, &part->signature);
}

/* ---- the whole ---- */

/* Where a header stands; false when it cannot be read. */
static bool
stands(const ProtobufCBinaryData *bytes, struct place *p)
{
	Ltpb__Header *h = loose(&ltpb__header__descriptor, bytes);
	bool ok = h != NULL && feed_of(h, &p->feed);

	if (ok)
		p->seq = h->seq;
	if (h != NULL)
		protobuf_c_message_free_unpacked(&h->base, NULL);
	return ok;
}

static int
cmp(const struct place *a, const struct place *b)
{
	int c = memcmp(a->feed.b, b->feed.b, LT_FEED_LEN);

	return c != 0 ? c : (a->seq > b->seq) - (a->seq < b->seq);
}

/* Parts of the record and links, each rising: as they follow each other in their feeds. */
static void
fix_records(struct fixing *f)
{
	struct place at = { 0 }, next = { 0 };
	size_t i = 0, k = 0;

	while (i < f->m->n_record || k < f->m->n_link) {
		bool part = i < f->m->n_record, link = k < f->m->n_link;

		if (part && link)
			part = !stands(&f->m->record[i]->header, &at) ||
			       !stands(&f->m->link[k], &next) || cmp(&at, &next) <= 0;
		if (part) {
			fix_part(f, f->m->record[i++], FUZZ_NODE_KEY);
		} else {
			Ltpb__Header *h = loose(&ltpb__header__descriptor, &f->m->link[k]);

			if (h != NULL)
				fix_header(f, h, &f->m->link[k]);
			k++;
		}
	}
}

static void
fix_receipt(const struct fixing *f, ProtobufCBinaryData *bytes)
{
	Ltpb__Receipt *r = loose(&ltpb__receipt__descriptor, bytes);
	Ltpb__ReceiptBody *b = r == NULL ? NULL : loose(&ltpb__receipt_body__descriptor, &r->body);
	const struct place *p;

	if (b != NULL) {
		p = find(f, b->feed.data, b->feed.len, b->seq);
		if (p != NULL)
			set_bytes(&b->hash, p->hash.b, LT_HASH_LEN);
		put_back(&b->base, &r->body);
	}
	if (r != NULL) {
		sign(FUZZ_HUB_KEY, LT_TAG_RECEIPT, &r->body, &r->signature);
		put_back(&r->base, bytes);
	}
}

static void
fix_certificate(ProtobufCBinaryData *bytes)
{
	Ltpb__Certificate *c = loose(&ltpb__certificate__descriptor, bytes);

	if (c == NULL)
		return;
	sign(FUZZ_ROOT, LT_TAG_CERTIFICATE, &c->body, &c->signature);
	put_back(&c->base, bytes);
}

size_t
fuzz_proof_fix(uint8_t *data, size_t size, size_t max_size)
{
	ProtobufCBinaryData whole = { size, data };
	struct fixing f = { .m = loose(&ltpb__proof__descriptor, &whole) };
	size_t i, n;

	if (f.m == NULL)
		return size;
	for (i = 0; i < f.m->n_certificate; i++)
		fix_certificate(&f.m->certificate[i]);
	fix_records(&f);
	for (i = 0; i < f.m->n_verdict; i++)
		fix_part(&f, f.m->verdict[i], FUZZ_HUB_KEY);
	for (i = 0; i < f.m->n_registry; i++)
		fix_part(&f, f.m->registry[i], FUZZ_HUB_KEY);
	for (i = 0; i < f.m->n_receipt; i++)
		fix_receipt(&f, &f.m->receipt[i]);
	n = protobuf_c_message_get_packed_size(&f.m->base);
	if (n <= max_size)
		size = protobuf_c_message_pack(&f.m->base, data);
	protobuf_c_message_free_unpacked(&f.m->base, NULL);
	return size;
}
