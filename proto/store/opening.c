/* Openings at rest: apart from the signed bytes, so that one can be forgotten and the rest still
 * verifies (FORMAT.md 3.4, 9.3). */
#include "proto/store/feed_log_impl.h"

#include "proto/base/wire.h"
#include "proto/feed/leaf.h"

#define OPENED 0
#define WITHHELD 1
#define SEED_CHANGE UINT32_MAX /* no change-set has so many changes */
#define COMPOSE_ARENA ((size_t)32 * 1024 * 1024)

static void
opening_key(struct lt_log_key *k, uint64_t position, uint32_t change, const char *field)
{
	k->len = 0;
	lt_log_key_u64(k, position);
	lt_log_key_u32(k, change);
	lt_log_key_put(k, field, strlen(field));
}

/* Positions rise, and within a change-set the keys do: all but always there is nothing behind. */
static int
put_last(struct lt_kv_txn *txn, const struct lt_log_key *k, struct lt_slice value)
{
	int rc = lt_kv_append(txn, LT_T_OPENING, lt_log_key_slice(k), value);

	return rc == LT_E_EXISTS ? lt_kv_put(txn, LT_T_OPENING, lt_log_key_slice(k), value) : rc;
}

static int
opening_put(
    struct lt_kv_txn *txn, const struct lt_opening *o, uint64_t position, struct lt_buf *value)
{
	struct lt_log_key k;

	opening_key(&k, position, o->change, o->name);
	lt_buf_clear(value);
	lt_buf_u8(value, o->withheld ? WITHHELD : OPENED);
	if (o->withheld) {
		lt_buf_put(value, o->leaf.b, LT_HASH_LEN);
	} else {
		lt_buf_put(value, o->salt, LT_SALT_LEN);
		lt_buf_put_slice(value, o->field_set);
	}
	return value->err != LT_OK ? value->err : put_last(txn, &k, lt_buf_slice(value));
}

int
lt_opening_put_all(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position)
{
	struct lt_buf value = { 0 };
	struct lt_log_key k;
	size_t i;
	int rc = LT_OK;

	if (!cs->has_openings)
		return LT_OK;
	for (i = 0; rc == LT_OK && i < cs->nopening; i++)
		rc = opening_put(txn, &cs->opening[i], position, &value);
	lt_buf_fini(&value);
	/* The seed is kept beside the salts: with it the openings travel without 16 bytes each. */
	if (rc == LT_OK && cs->seed.len == LT_SALT_LEN) {
		opening_key(&k, position, SEED_CHANGE, "");
		rc = put_last(txn, &k, cs->seed);
	}
	return rc;
}

/* One row: salt and FieldSet, or the leaf alone. Slices borrow from the transaction. */
struct row {
	bool withheld;
	struct lt_slice salt, field_set, leaf;
};

static int
row_get(
    struct lt_kv_txn *txn, uint64_t position, uint32_t change, const char *field, struct row *row)
{
	struct lt_log_key k;
	struct lt_slice v;
	int rc;

	memset(row, 0, sizeof(*row));
	if (strlen(field) > LT_NAME_MAX)
		return LT_E_NOTFOUND;
	opening_key(&k, position, change, field);
	rc = lt_kv_get(txn, LT_T_OPENING, lt_log_key_slice(&k), &v);
	if (rc != LT_OK)
		return rc;
	if (v.len == 1 + LT_HASH_LEN && v.data[0] == WITHHELD) {
		row->withheld = true;
		row->leaf = lt_slice(v.data + 1, LT_HASH_LEN);
	} else if (v.len >= 1 + LT_SALT_LEN && v.data[0] == OPENED) {
		row->salt = lt_slice(v.data + 1, LT_SALT_LEN);
		row->field_set = lt_slice(v.data + 1 + LT_SALT_LEN, v.len - 1 - LT_SALT_LEN);
	} else {
		return LT_E_CORRUPT;
	}
	return LT_OK;
}

int
lt_opening_get(struct lt_kv_txn *txn, uint64_t position, uint32_t change, const char *field,
    struct lt_arena *arena, struct lt_slice *field_set, uint8_t salt[LT_SALT_LEN],
    struct lt_hash *leaf)
{
	struct row row;
	uint8_t *copy;
	int rc;

	if (leaf != NULL)
		memset(leaf, 0, sizeof(*leaf));
	rc = row_get(txn, position, change, field, &row);
	if (rc != LT_OK)
		return rc;
	if (row.withheld) {
		if (leaf != NULL)
			memcpy(leaf->b, row.leaf.data, LT_HASH_LEN);
		return LT_E_NOTFOUND;
	}
	copy = lt_arena_dup(arena, row.field_set.data, row.field_set.len);
	if (copy == NULL)
		return LT_E_NOMEM;
	*field_set = lt_slice(copy, row.field_set.len);
	if (salt != NULL)
		memcpy(salt, row.salt.data, LT_SALT_LEN);
	return LT_OK;
}

int
lt_opening_view(struct lt_kv_txn *txn, uint64_t position, uint32_t change, const char *field,
    struct lt_slice *field_set)
{
	struct row row;
	int rc = row_get(txn, position, change, field, &row);

	if (rc == LT_OK && row.withheld)
		return LT_E_NOTFOUND;
	if (rc == LT_OK)
		*field_set = row.field_set;
	return rc;
}

/* Every opening of a change-set as the receiver may have it. *found: rows there; *whole: none withheld. */
static int
openings_read(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position,
    lt_may_fn *may, void *ctx, struct lt_opening *o, size_t *found, bool *whole)
{
	struct lt_leaf_place place = { .unit = &cs->unit, .feed = &cs->feed, .seq = cs->seq };
	struct row row;
	size_t i, f;
	int rc;

	*found = 0;
	*whole = true;
	for (i = 0; i < cs->nchange; i++) {
		for (f = 0; f < cs->change[i].npersonal; f++, o++) {
			o->change = place.index = (uint32_t)i;
			o->name = place.field = cs->change[i].personal[f];
			rc = row_get(txn, position, o->change, o->name, &row);
			if (rc == LT_E_NOTFOUND)
				continue;
			if (rc != LT_OK)
				return rc;
			++*found;
			place.collection = cs->change[i].collection;
			place.key = cs->change[i].key;
			o->withheld = row.withheld ||
				      (may != NULL && !may(ctx, place.collection, place.field));
			if (row.withheld)
				memcpy(o->leaf.b, row.leaf.data, LT_HASH_LEN);
			else if (o->withheld)
				lt_leaf_hash(&place, row.salt.data, row.field_set, &o->leaf);
			if (o->withheld) {
				*whole = false;
				continue;
			}
			memcpy(o->salt, row.salt.data, LT_SALT_LEN);
			o->field_set = row.field_set;
		}
	}
	return LT_OK;
}

/* Openings with the seed: no salts (FORMAT.md 3.5). */
static int
put_seeded(struct lt_slice seed, size_t n, const struct lt_opening *opening, struct lt_arena *arena,
    struct lt_buf *out)
{
	Ltpb__Openings msg = LTPB__OPENINGS__INIT;
	Ltpb__ChangeSet wrap = LTPB__CHANGE_SET__INIT;
	Ltpb__OpenedField *f;
	uint8_t *copy = lt_arena_dup(arena, seed.data, seed.len);
	size_t i;

	f = lt_arena_alloc(arena, n * sizeof(*f));
	msg.field = lt_arena_alloc(arena, n * sizeof(*msg.field));
	if (copy == NULL || f == NULL || msg.field == NULL)
		return LT_E_NOMEM;
	msg.n_field = n;
	msg.seed.data = copy;
	msg.seed.len = seed.len;
	for (i = 0; i < n; i++) {
		ltpb__opened_field__init(&f[i]);
		f[i].change = opening[i].change;
		f[i].name = (char *)opening[i].name;
		f[i].field_set.data = (uint8_t *)opening[i].field_set.data;
		f[i].field_set.len = opening[i].field_set.len;
		msg.field[i] = &f[i];
	}
	/* Fields of one message may be joined: the stored bytes stay as they are, the openings follow. */
	wrap.openings = &msg;
	return lt_wire_pack(&wrap.base, LT_MESSAGE_MAX, out);
}

static int
compose(struct lt_kv_txn *txn, const struct lt_entry *e, lt_may_fn *may, void *ctx,
    struct lt_arena *arena, struct lt_buf *out, struct lt_err *err)
{
	struct lt_changeset cs;
	struct lt_opening *o;
	struct lt_log_key k;
	struct lt_slice seed;
	size_t i, n = 0, found;
	bool whole;
	int rc = lt_changeset_parse(e->changeset, arena, &cs, err);

	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	for (i = 0; i < cs.nchange; i++)
		n += cs.change[i].npersonal;
	o = lt_arena_alloc(arena, n * sizeof(*o));
	if (o == NULL)
		return LT_E_NOMEM;
	rc = openings_read(txn, &cs, e->position, may, ctx, o, &found, &whole);
	if (rc == LT_OK && found != 0 && found != n)
		rc = lt_err_set(err, LT_E_CORRUPT,
		    "%zu of %zu openings of position %llu are missing", n - found, n,
		    (unsigned long long)e->position);
	if (rc != LT_OK)
		return rc;
	if (found == 0) {
		lt_buf_put_slice(out, e->changeset);
		return out->err;
	}
	opening_key(&k, e->position, SEED_CHANGE, "");
	rc = whole ? lt_kv_get(txn, LT_T_OPENING, lt_log_key_slice(&k), &seed) : LT_E_NOTFOUND;
	if (rc == LT_E_NOTFOUND)
		return lt_changeset_compose(e->changeset, n, o, out, err);
	if (rc != LT_OK)
		return rc;
	lt_buf_put_slice(out, e->changeset);
	return out->err != LT_OK ? out->err : put_seeded(seed, n, o, arena, out);
}

int
lt_feed_log_compose(struct lt_kv_txn *txn, const struct lt_entry *e, lt_may_fn *may, void *ctx,
    struct lt_buf *out, struct lt_err *err)
{
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, COMPOSE_ARENA);
	rc = compose(txn, e, may, ctx, &arena, out, err);
	lt_arena_fini(&arena);
	return rc;
}
