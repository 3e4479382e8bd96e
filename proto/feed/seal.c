/* From drafts to a signed change-set. Data that breaks the format comes back as a code from reading the
 * result, which happens in any case: nothing that does not parse and verify leaves here. */
#include "proto/feed/changeset.h"

#include "proto/base/wire.h"
#include "proto/feed/changeset_impl.h"
#include "proto/feed/leaf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Scratch of one sealing; what is sealed is our own and at most a message. */
#define SEAL_MEMORY_MAX ((size_t)64 * 1024 * 1024)

struct build {
	const struct lt_seal *s;
	bool sign;
	struct lt_arena arena;
	struct lt_buf scratch;
	struct lt_buf changes; /* as fields of the message */
	struct lt_buf openings; /* Openings bytes */
	struct lt_merkle root;
	struct lt_err *err;
};

static int
by_name(const void *a, const void *b)
{
	const Ltpb__FieldSet *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int
by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static int
by_feed(const void *a, const void *b)
{
	const struct lt_context *x = a, *y = b;

	return lt_feed_id_cmp(&x->feed, &y->feed);
}

/* Sorted copy in the arena; the caller's array stays as it is. */
static void *
sorted(struct build *b, const void *base, size_t n, size_t size,
    int (*cmp)(const void *, const void *))
{
	void *p = lt_arena_alloc(&b->arena, n * size);

	if (p != NULL && n != 0) {
		memcpy(p, base, n * size);
		qsort(p, n, size, cmp);
	}
	return p;
}

static ProtobufCBinaryData
binary(const void *data, size_t len)
{
	ProtobufCBinaryData d = { len, (uint8_t *)(uintptr_t)data };

	return d;
}

/* Leaves of one draft: names into pb, root into *root, openings appended. */
static int
build_personal(struct build *b, const struct lt_draft *d, uint32_t index, Ltpb__Change *pb,
    struct lt_hash *root)
{
	const struct lt_slice none = { NULL, 0 };
	Ltpb__FieldSet **fs = sorted(b, d->personal, d->npersonal, sizeof(*fs), by_name);
	struct lt_leaf_place place = { &b->s->unit, &b->s->feed, b->s->seq, index, d->collection,
		d->key, NULL };
	uint8_t salt[LT_SALT_LEN];
	struct lt_merkle tree;
	struct lt_hash leaf;
	size_t i;
	int rc;

	pb->personal = lt_arena_alloc(&b->arena, d->npersonal * sizeof(*pb->personal));
	if (fs == NULL || pb->personal == NULL)
		return LT_E_NOMEM;
	lt_merkle_init(&tree);
	for (i = 0; i < d->npersonal; i++) {
		place.field = fs[i]->name;
		lt_buf_clear(&b->scratch);
		rc = lt_wire_pack(&fs[i]->base, LT_CHANGESET_MAX, &b->scratch);
		if (rc != LT_OK)
			return rc;
		lt_leaf_salt(b->s->seed, index, place.field, salt);
		lt_leaf_hash(&place, salt, lt_buf_slice(&b->scratch), &leaf);
		lt_merkle_add(&tree, &leaf);
		lt_opened_put(
		    &b->openings, index, place.field, none, lt_buf_slice(&b->scratch), none);
		pb->personal[i] = fs[i]->name;
	}
	pb->n_personal = d->npersonal;
	lt_merkle_end(&tree, root);
	return b->openings.err;
}

static int
build_context(struct build *b, const struct lt_draft *d, Ltpb__Change *pb)
{
	struct lt_context *c = sorted(b, d->context, d->ncontext, sizeof(*c), by_feed);
	Ltpb__ContextEntry *e = lt_arena_alloc(&b->arena, d->ncontext * sizeof(*e));
	size_t i;

	pb->context = lt_arena_alloc(&b->arena, d->ncontext * sizeof(*pb->context));
	if (c == NULL || e == NULL || pb->context == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < d->ncontext; i++) {
		ltpb__context_entry__init(&e[i]);
		e[i].feed = binary(c[i].feed.b, LT_FEED_LEN);
		e[i].seq = c[i].seq;
		e[i].hash8 = c[i].hash8;
		pb->context[i] = &e[i];
	}
	pb->n_context = d->ncontext;
	return LT_OK;
}

static int
build_change(struct build *b, const struct lt_draft *d, uint32_t index)
{
	Ltpb__Change pb = LTPB__CHANGE__INIT;
	struct lt_hash root, leaf;
	uint8_t origin[LT_ORIGIN_LEN];
	int rc;

	pb.collection = (char *)(uintptr_t)d->collection;
	pb.key = (char *)(uintptr_t)d->key;
	pb.kind = d->is_delete ? LTPB__CHANGE_KIND__CHANGE_KIND_DELETE
			       : LTPB__CHANGE_KIND__CHANGE_KIND_PUT;
	pb.n_set = d->nset;
	pb.set = sorted(b, d->set, d->nset, sizeof(*pb.set), by_name);
	pb.n_cleared = d->ncleared;
	pb.cleared = sorted(b, d->cleared, d->ncleared, sizeof(*pb.cleared), by_text);
	if (pb.set == NULL || pb.cleared == NULL)
		return LT_E_NOMEM;
	if ((rc = build_context(b, d, &pb)) != LT_OK ||
	    (rc = build_personal(b, d, index, &pb, &root)) != LT_OK)
		return rc;
	if (d->npersonal != 0)
		pb.personal_root = binary(root.b, LT_HASH_LEN);
	if (d->origin != NULL) {
		lt_origin_pack(d->origin, origin);
		pb.origin = binary(origin, sizeof(origin));
	}
	lt_buf_clear(&b->scratch);
	rc = lt_wire_pack(&pb.base, LT_CHANGESET_MAX, &b->scratch);
	if (rc != LT_OK)
		return rc;
	lt_h1(LT_TAG_CHANGE, lt_buf_slice(&b->scratch), &leaf);
	lt_merkle_add(&b->root, &leaf);
	lt_field_put(&b->changes, CS_CHANGE, lt_buf_slice(&b->scratch));
	return b->changes.err;
}

/* Header bytes into scratch. */
static int
build_header(struct build *b)
{
	const struct lt_seal *s = b->s;
	const struct lt_id author = lt_feed_author(&s->feed);
	Ltpb__Header h = LTPB__HEADER__INIT;
	struct lt_hash root;
	size_t i;

	h.earlier = lt_arena_alloc(&b->arena, s->nearlier * sizeof(*h.earlier));
	if (h.earlier == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < s->nearlier; i++)
		h.earlier[i] = (Ltpb__FeedHead *)(uintptr_t)&s->earlier[i];
	h.n_earlier = s->nearlier;
	lt_merkle_end(&b->root, &root);
	h.federation = binary(s->federation.b, LT_FED_LEN);
	h.author = binary(author.b, LT_ID_LEN);
	h.unit = (char *)(uintptr_t)s->unit.s;
	h.lane = (Ltpb__Lane)lt_feed_lane(&s->feed);
	h.epoch = lt_feed_epoch(&s->feed);
	h.seq = s->seq;
	h.prev_hash = binary(s->prev.b, LT_HASH_LEN);
	h.stamp = s->stamp;
	h.catalogue_version = s->catalogue_version;
	h.change_count = (uint32_t)s->ndraft;
	h.changes_root = binary(root.b, LT_HASH_LEN);
	h.key_no = s->key_no;
	h.hub_stamp = s->hub_stamp;
	lt_buf_clear(&b->scratch);
	return lt_wire_pack(&h.base, LT_CHANGESET_MAX, &b->scratch);
}

static int
build_message(struct build *b, struct lt_buf *out, struct lt_hash *hash)
{
	uint8_t sig[LT_SIG_LEN] = { 0 };
	size_t fields = b->openings.len;
	int rc = build_header(b);

	if (rc != LT_OK)
		return rc;
	lt_h1(LT_TAG_CHANGESET, lt_buf_slice(&b->scratch), hash);
	if (b->sign)
		(void)crypto_sign_detached(sig, NULL, hash->b, sizeof(hash->b), b->s->key->sk);
	lt_field_put(out, CS_HEADER, lt_buf_slice(&b->scratch));
	lt_field_put(out, CS_SIGNATURE, lt_slice(sig, sizeof(sig)));
	lt_buf_put_slice(out, lt_buf_slice(&b->changes));
	if (fields != 0) {
		lt_buf_clear(&b->scratch);
		lt_field_put(&b->scratch, OPENINGS_SEED, lt_slice(b->s->seed, LT_SALT_LEN));
		lt_buf_put_slice(&b->scratch, lt_buf_slice(&b->openings));
		lt_field_put(out, CS_OPENINGS, lt_buf_slice(&b->scratch));
	}
	return b->scratch.err != LT_OK ? b->scratch.err : out->err;
}

static int
build(const struct lt_seal *s, bool sign, struct lt_buf *out, struct lt_hash *hash,
    struct lt_err *err)
{
	struct build b = { .s = s, .sign = sign, .err = err };
	size_t i;
	int rc = LT_OK;

	lt_arena_init(&b.arena, SEAL_MEMORY_MAX);
	lt_buf_init(&b.changes, LT_CHANGESET_MAX);
	lt_buf_init(&b.openings, LT_MESSAGE_MAX);
	lt_merkle_init(&b.root);
	for (i = 0; i < s->ndraft && rc == LT_OK; i++)
		rc = build_change(&b, &s->draft[i], (uint32_t)i);
	if (rc == LT_OK)
		rc = build_message(&b, out, hash);
	if (rc != LT_OK)
		(void)lt_err_set(err, rc, "change-set: %s", lt_strerror(rc));
	sodium_memzero(b.scratch.data, b.scratch.data == NULL ? 0 : b.scratch.len);
	lt_buf_fini(&b.scratch);
	lt_buf_fini(&b.changes);
	lt_buf_fini(&b.openings);
	lt_arena_fini(&b.arena);
	return rc;
}

int
lt_seal_build(const struct lt_seal *s, struct lt_buf *out, struct lt_hash *hash, struct lt_err *err)
{
	return build(s, true, out, hash, err);
}

int
lt_seal_check(
    const struct lt_seal *s, struct lt_slice bytes, const struct lt_hash *hash, struct lt_err *err)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, SEAL_MEMORY_MAX);
	rc = lt_changeset_parse(bytes, &arena, &cs, err);
	if (rc == LT_OK && !lt_hash_eq(&cs.hash, hash))
		rc = lt_err_set(err, LT_E_BADHASH, "change-set: not the header that was hashed");
	if (rc == LT_OK && lt_changeset_verify_signature(&cs, s->key->pk) != LT_OK)
		rc = lt_err_set(err, LT_E_BADSIG, "change-set: our own signature does not verify");
	if (rc == LT_OK)
		rc = lt_changeset_verify_openings(&cs, err);
	lt_arena_fini(&arena);
	return rc;
}

static int
check_drafts(const struct lt_seal *s, struct lt_err *err)
{
	assert(s->seq > 0);
	assert(s->key_no > 0);
	assert(lt_unit_valid(s->unit.s));
	assert(lt_feed_lane(&s->feed) >= LT_LANE_URGENT && lt_feed_lane(&s->feed) <= LT_LANE_BULK);
	if (s->ndraft == 0)
		return lt_err_set(err, LT_E_INVALID, "a change-set without changes");
	if (s->ndraft > LT_CHANGES_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "change-set: %zu changes, at most %d allowed",
		    s->ndraft, LT_CHANGES_MAX);
	return LT_OK;
}

int
lt_changeset_seal(
    const struct lt_seal *s, struct lt_buf *out, struct lt_hash *hash, struct lt_err *err)
{
	struct lt_buf msg = { .max = LT_MESSAGE_MAX };
	struct lt_hash h;
	int rc;

	rc = check_drafts(s, err);
	if (rc == LT_OK)
		rc = lt_seal_build(s, &msg, &h, err);
	if (rc == LT_OK)
		rc = lt_seal_check(s, lt_buf_slice(&msg), &h, err);
	if (rc == LT_OK) {
		lt_buf_put_slice(out, lt_buf_slice(&msg));
		rc = out->err;
	}
	if (rc == LT_OK)
		*hash = h;
	lt_buf_fini(&msg);
	return rc;
}

int
lt_changeset_try(const struct lt_seal *s, struct lt_buf *out, struct lt_err *err)
{
	struct lt_hash h;
	size_t start = out->len;
	int rc = check_drafts(s, err);

	if (rc == LT_OK)
		rc = build(s, false, out, &h, err);
	if (rc != LT_OK)
		out->len = start;
	return rc;
}
