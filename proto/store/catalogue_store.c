#include "proto/store/catalogue_store.h"

#include "proto/store/projection_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PARTS_ARENA ((size_t)16 * 1024 * 1024)
#define PARTS_MAX 4096

static int
by_part_id(const void *a, const void *b)
{
	return strcmp(
	    ((const struct lt_catalogue_part *)a)->id, ((const struct lt_catalogue_part *)b)->id);
}

int
lt_catalogue_digest(struct lt_catalogue_part *parts, size_t n, struct lt_hash *out)
{
	struct lt_buf b = { 0 };
	size_t i;
	int rc;

	if (n != 0)
		qsort(parts, n, sizeof(*parts), by_part_id);
	for (i = 0; i < n; i++) {
		lt_buf_framed(&b, lt_slice_str(parts[i].id));
		lt_buf_framed(&b, parts[i].json);
	}
	rc = b.err;
	if (rc == LT_OK)
		lt_h1(LT_TAG_CATALOGUE, lt_buf_slice(&b), out);
	lt_buf_fini(&b);
	return rc;
}

/* The parts of one version as the records give them. */
struct reading {
	struct lt_arena *arena;
	char version[24];
	struct lt_catalogue_part *part;
	size_t n;
	bool has_head;
	int64_t count;
	struct lt_hash digest;
};

static const Ltpb__Value *
field(const Ltpb__Record *r, const char *name, Ltpb__Value__VCase type)
{
	size_t i;

	for (i = 0; i < r->n_field; i++) {
		if (strcmp(r->field[i]->name, name) == 0)
			return r->field[i]->value->v_case == type ? r->field[i]->value : NULL;
	}
	return NULL;
}

static int
read_part(struct reading *rd, const Ltpb__Record *r, const char *id)
{
	const Ltpb__Value *json = field(r, "json", LTPB__VALUE__V_TEXT);
	struct lt_catalogue_part *p;

	if (json == NULL)
		return LT_OK; /* counted as missing */
	if (rd->n == PARTS_MAX)
		return LT_E_TOOBIG;
	p = &rd->part[rd->n++];
	p->id = lt_arena_dup(rd->arena, id, strlen(id));
	p->json =
	    lt_slice(lt_arena_dup(rd->arena, json->text, strlen(json->text)), strlen(json->text));
	return p->id == NULL || p->json.data == NULL ? LT_E_NOMEM : LT_OK;
}

static int
on_part(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	struct reading *rd = ctx;
	const Ltpb__Value *count, *digest;
	size_t len = strlen(rd->version);
	struct lt_arena arena;
	Ltpb__Record *r;
	int rc;

	(void)rk;
	lt_arena_init(&arena, PARTS_ARENA);
	rc = lt_record_unpack(record, &arena, &r);
	if (rc != LT_OK || strncmp(r->key, rd->version, len) != 0)
		goto out;
	if (r->key[len] == '/')
		rc = read_part(rd, r, r->key + len + 1);
	if (r->key[len] != '\0')
		goto out;
	count = field(r, "count", LTPB__VALUE__V_INTEGER);
	digest = field(r, "digest", LTPB__VALUE__V_BYTES);
	if (count == NULL || digest == NULL || digest->bytes.len != LT_HASH_LEN)
		goto out;
	rd->has_head = true;
	rd->count = count->integer;
	memcpy(rd->digest.b, digest->bytes.data, LT_HASH_LEN);
	rc = read_part(rd, r, "");
out:
	lt_arena_fini(&arena);
	return rc;
}

/* Every part of a version, found complete and true. */
static int
read_version(struct lt_kv_txn *derived, uint64_t version, struct reading *rd)
{
	struct lt_hash digest;
	int rc;

	(void)snprintf(rd->version, sizeof(rd->version), "%" PRIu64, version);
	rd->part = lt_arena_alloc(rd->arena, PARTS_MAX * sizeof(*rd->part));
	if (rd->part == NULL)
		return LT_E_NOMEM;
	rc = lt_record_each(derived, "_catalogue", "_", lt_slice(NULL, 0), on_part, rd);
	if (rc != LT_OK)
		return rc;
	/* count is of collections; the common part stands in the version's own record. */
	if (!rd->has_head || rd->count < 0 || rd->n != (uint64_t)rd->count + 1)
		return LT_E_UNKNOWN;
	rc = lt_catalogue_digest(rd->part, rd->n, &digest);
	if (rc == LT_OK && !lt_hash_eq(&digest, &rd->digest))
		rc = LT_E_BADHASH;
	return rc;
}

int
lt_catalogue_load(
    struct lt_kv_txn *derived, uint64_t version, struct lt_catalogue **out, struct lt_err *err)
{
	struct lt_arena arena;
	struct reading rd;
	struct lt_buf json = { 0 };
	int rc;

	if (version == 0)
		return lt_catalogue_builtin(out);
	memset(&rd, 0, sizeof(rd));
	lt_arena_init(&arena, PARTS_ARENA);
	rd.arena = &arena;
	rc = read_version(derived, version, &rd);
	if (rc != LT_OK)
		(void)lt_err_set(
		    err, rc, "catalogue version %" PRIu64 ": %s", version, lt_strerror(rc));
	if (rc == LT_OK)
		rc = lt_catalogue_join(rd.part, rd.n, &json, err);
	if (rc == LT_OK)
		rc = lt_catalogue_parse(lt_buf_slice(&json), version, out, err);
	lt_buf_fini(&json);
	lt_arena_fini(&arena);
	return rc;
}

struct newest {
	struct lt_kv_txn *derived;
	uint64_t below; /* versions from here on were tried */
	uint64_t best;
};

static int
on_version(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	struct newest *nw = ctx;
	struct lt_slice c, u, key;
	uint64_t v = 0;
	size_t i;
	int rc = lt_key_record_split(rk, &c, &u, &key);

	(void)record;
	if (rc != LT_OK || key.len > 19)
		return rc;
	for (i = 0; i < key.len; i++) {
		if (key.data[i] < '0' || key.data[i] > '9')
			return LT_OK;
		v = v * 10 + (uint64_t)(key.data[i] - '0');
	}
	if (v > nw->best && v < nw->below)
		nw->best = v;
	return LT_OK;
}

int
lt_catalogue_newest(struct lt_kv_txn *derived, uint64_t *version)
{
	struct newest nw = { derived, UINT64_MAX, 0 };
	struct lt_arena arena;
	struct reading rd;
	int rc;

	for (;;) {
		nw.best = 0;
		rc = lt_record_each(derived, "_catalogue", "_", lt_slice(NULL, 0), on_version, &nw);
		if (rc != LT_OK || nw.best == 0)
			break;
		memset(&rd, 0, sizeof(rd));
		lt_arena_init(&arena, PARTS_ARENA);
		rd.arena = &arena;
		rc = read_version(derived, nw.best, &rd);
		lt_arena_fini(&arena);
		if (rc != LT_E_UNKNOWN && rc != LT_E_BADHASH)
			break;
		nw.below = nw.best;
	}
	if (rc == LT_OK)
		*version = nw.best;
	return rc;
}

static Ltpb__FieldSet *
field_new(struct lt_arena *arena, const char *name)
{
	Ltpb__FieldSet *f = lt_arena_alloc(arena, sizeof(*f));
	Ltpb__Value *v = lt_arena_alloc(arena, sizeof(*v));

	if (f == NULL || v == NULL)
		return NULL;
	ltpb__field_set__init(f);
	ltpb__value__init(v);
	f->name = (char *)name;
	f->value = v;
	return f;
}

static Ltpb__FieldSet *
text_new(struct lt_arena *arena, const char *name, struct lt_slice text)
{
	Ltpb__FieldSet *f = field_new(arena, name);

	if (f == NULL)
		return NULL;
	f->value->v_case = LTPB__VALUE__V_TEXT;
	f->value->text = lt_arena_dup(arena, text.data, text.len);
	return f->value->text == NULL ? NULL : f;
}

static char *
key_new(struct lt_arena *arena, uint64_t version, const char *id)
{
	char key[24 + LT_NAME_MAX + 1];

	if (id[0] == '\0')
		(void)snprintf(key, sizeof(key), "%" PRIu64, version);
	else
		(void)snprintf(key, sizeof(key), "%" PRIu64 "/%s", version, id);
	return lt_arena_dup(arena, key, strlen(key));
}

static int
draft_part(struct lt_arena *arena, uint64_t version, const struct lt_catalogue_part *part,
    struct lt_draft *d, struct lt_err *err)
{
	if (part->json.len > LT_VALUE_MAX)
		return lt_err_set(err, LT_E_TOOBIG,
		    "collection \"%s\" takes %zu bytes, at most %d are allowed", part->id,
		    part->json.len, LT_VALUE_MAX);
	memset(d, 0, sizeof(*d));
	d->collection = "_catalogue";
	d->key = key_new(arena, version, part->id);
	d->set = lt_arena_alloc(arena, 3 * sizeof(*d->set));
	if (d->key == NULL || d->set == NULL)
		return LT_E_NOMEM;
	d->set[d->nset++] = text_new(arena, "json", part->json);
	return d->set[0] == NULL ? LT_E_NOMEM : LT_OK;
}

/* What the version's own record says besides: how many collections, and the digest of all parts. */
static int
draft_head(struct lt_arena *arena, struct lt_catalogue_part *parts, size_t n, struct lt_draft *d)
{
	Ltpb__FieldSet *count = field_new(arena, "count"), *digest = field_new(arena, "digest");
	struct lt_hash *hash = lt_arena_alloc(arena, sizeof(*hash));
	int rc;

	if (count == NULL || digest == NULL || hash == NULL)
		return LT_E_NOMEM;
	rc = lt_catalogue_digest(parts, n, hash);
	count->value->v_case = LTPB__VALUE__V_INTEGER;
	count->value->integer = (int64_t)n - 1;
	digest->value->v_case = LTPB__VALUE__V_BYTES;
	digest->value->bytes.data = hash->b;
	digest->value->bytes.len = LT_HASH_LEN;
	d->set[d->nset++] = count;
	d->set[d->nset++] = digest;
	return rc;
}

int
lt_catalogue_publish(struct lt_slice json, uint64_t version, struct lt_arena *arena,
    struct lt_draft **drafts, size_t *n, struct lt_err *err)
{
	struct lt_catalogue *cat;
	struct lt_catalogue_part *parts;
	struct lt_draft *d;
	size_t nparts, i;
	int rc;

	if (version == 0 || version > INT64_MAX)
		return lt_err_set(err, LT_E_INVALID, "a catalogue version is 1 or more");
	rc = lt_catalogue_parse(json, version, &cat, err);
	if (rc != LT_OK)
		return rc;
	lt_catalogue_unref(cat);
	rc = lt_catalogue_split(json, arena, &parts, &nparts, err);
	if (rc != LT_OK)
		return rc;
	if (nparts == 0 || nparts > PARTS_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "a catalogue of %zu parts", nparts);
	d = lt_arena_alloc(arena, nparts * sizeof(*d));
	if (d == NULL)
		return LT_E_NOMEM;
	/* The common part has the lowest id and goes last: with it the version may be complete. */
	qsort(parts, nparts, sizeof(*parts), by_part_id);
	for (i = 0; rc == LT_OK && i < nparts; i++)
		rc = draft_part(arena, version, &parts[(i + 1) % nparts], &d[i], err);
	if (rc == LT_OK)
		rc = parts[0].id[0] == '\0' ? draft_head(arena, parts, nparts, &d[nparts - 1])
					    : LT_E_INVALID;
	if (rc == LT_OK) {
		*drafts = d;
		*n = nparts;
	}
	return rc;
}
