/* Openings at rest: apart from the signed bytes, so that one can be forgotten and the rest still
 * verifies (FORMAT.md 3.4, 9.3). */
#include "proto/store/feed_log_impl.h"

#include "proto/base/wire.h"
#include "proto/feed/leaf.h"

#define OPENED 0
#define WITHHELD 1
#define ERASED 2 /* withheld for good: an act names it */
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
put_last(struct lt_kv_txn *txn, struct lt_slice key, struct lt_slice value)
{
	int rc = lt_kv_append(txn, LT_T_OPENING, key, value);

	return rc == LT_E_EXISTS ? lt_kv_put(txn, LT_T_OPENING, key, value) : rc;
}

/* The seed is kept beside the salts: with it the openings travel without 16 bytes each. */
static bool
keeps_seed(const struct lt_changeset *cs)
{
	return cs->seed.len == LT_SALT_LEN;
}

static size_t
value_len(const struct lt_opening *o)
{
	return 1 + (o->withheld ? LT_HASH_LEN : LT_SALT_LEN + o->field_set.len);
}

static void
write_value(const struct lt_opening *o, uint8_t *p)
{
	p[0] = o->withheld ? WITHHELD : OPENED;
	if (o->withheld) {
		memcpy(p + 1, o->leaf.b, LT_HASH_LEN);
		return;
	}
	memcpy(p + 1, o->salt, LT_SALT_LEN);
	if (o->field_set.len != 0)
		memcpy(p + 1 + LT_SALT_LEN, o->field_set.data, o->field_set.len);
}

/* Key at p, room for the value behind it; the end of that. */
static uint8_t *
prepare_row(
    struct lt_log_row *row, uint8_t *p, uint32_t change, const char *field, size_t value_bytes)
{
	size_t len = strlen(field);

	row->key = p;
	row->key_len = 8 + 4 + len;
	row->value_len = value_bytes;
	lt_store_u64(p, 0);
	lt_store_u32(p + 8, change);
	memcpy(p + 12, field, len);
	return p + row->key_len + value_bytes;
}

int
lt_opening_prepare(const struct lt_changeset *cs, struct lt_arena *arena, struct lt_log_rows *out)
{
	size_t i, n, bytes = 8 + 4 + LT_SALT_LEN;
	struct lt_log_row *row;
	uint8_t *p;

	if (!cs->has_openings)
		return LT_OK;
	for (i = 0; i < cs->nopening; i++)
		bytes += 8 + 4 + strlen(cs->opening[i].name) + value_len(&cs->opening[i]);
	row = lt_arena_room(arena, (cs->nopening + 1) * sizeof(*row));
	p = lt_arena_room(arena, bytes);
	if (row == NULL || p == NULL)
		return LT_E_NOMEM;
	for (n = 0; n < cs->nopening; n++) {
		const struct lt_opening *o = &cs->opening[n];

		p = prepare_row(&row[n], p, o->change, o->name, value_len(o));
		write_value(o, row[n].key + row[n].key_len);
	}
	if (keeps_seed(cs)) {
		(void)prepare_row(&row[n], p, SEED_CHANGE, "", LT_SALT_LEN);
		memcpy(row[n].key + row[n].key_len, cs->seed.data, LT_SALT_LEN);
		n++;
	}
	out->opening = row;
	out->nopening = n;
	return LT_OK;
}

static int
put_prepared(struct lt_kv_txn *txn, const struct lt_log_rows *rows, uint64_t position)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < rows->nopening; i++) {
		const struct lt_log_row *row = &rows->opening[i];

		lt_store_u64(row->key, position);
		rc = put_last(txn, lt_slice(row->key, row->key_len),
		    lt_slice(row->key + row->key_len, row->value_len));
	}
	return rc;
}

static int
opening_put(
    struct lt_kv_txn *txn, const struct lt_opening *o, uint64_t position, struct lt_buf *value)
{
	struct lt_log_key k;
	uint8_t *p;

	opening_key(&k, position, o->change, o->name);
	lt_buf_clear(value);
	p = lt_buf_reserve(value, value_len(o));
	if (p == NULL)
		return value->err;
	write_value(o, p);
	return put_last(txn, lt_log_key_slice(&k), lt_slice(p, value_len(o)));
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
	if (cs->rows != NULL)
		return put_prepared(txn, cs->rows, position);
	for (i = 0; rc == LT_OK && i < cs->nopening; i++)
		rc = opening_put(txn, &cs->opening[i], position, &value);
	lt_buf_fini(&value);
	if (rc == LT_OK && keeps_seed(cs)) {
		opening_key(&k, position, SEED_CHANGE, "");
		rc = put_last(txn, lt_log_key_slice(&k), cs->seed);
	}
	return rc;
}

/* One row: salt and FieldSet, or the leaf alone. Slices borrow from the transaction. */
struct row {
	bool withheld, erased; /* erased: withheld too */
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
	if (v.len == 1 + LT_HASH_LEN && (v.data[0] == WITHHELD || v.data[0] == ERASED)) {
		row->withheld = true;
		row->erased = v.data[0] == ERASED;
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

int
lt_opening_state(struct lt_kv_txn *txn, uint64_t position, uint32_t change, const char *field,
    enum lt_opening_state *state)
{
	struct row row;
	int rc = row_get(txn, position, change, field, &row);

	*state = rc == LT_E_NOTFOUND ? LT_OPENING_NONE
		 : row.erased        ? LT_OPENING_ERASED
		 : row.withheld      ? LT_OPENING_WITHHELD
				     : LT_OPENING_HERE;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* ---- repairing ---- */

int
lt_opening_leaf(struct lt_kv_txn *txn, const struct lt_leaf_place *place, uint64_t position,
    enum lt_opening_state *state, struct lt_hash *leaf)
{
	struct row row;
	int rc = row_get(txn, position, place->index, place->field, &row);

	memset(leaf, 0, sizeof(*leaf));
	*state = LT_OPENING_NONE;
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	*state = row.erased     ? LT_OPENING_ERASED
		 : row.withheld ? LT_OPENING_WITHHELD
				: LT_OPENING_HERE;
	if (row.withheld)
		memcpy(leaf->b, row.leaf.data, LT_HASH_LEN);
	else
		lt_leaf_hash(place, row.salt.data, row.field_set, leaf);
	return LT_OK;
}

int
lt_opening_put_back(struct lt_kv_txn *txn, const struct lt_opening *o, uint64_t position,
    enum lt_opening_state state)
{
	struct lt_opening as = *o;
	struct lt_buf value = { 0 };
	struct lt_log_key k;
	uint8_t *p;
	int rc;

	as.withheld = state != LT_OPENING_HERE;
	p = lt_buf_reserve(&value, value_len(&as));
	rc = value.err;
	if (p != NULL) {
		write_value(&as, p);
		if (state == LT_OPENING_ERASED)
			p[0] = ERASED;
		opening_key(&k, position, o->change, o->name);
		rc =
		    lt_kv_put(txn, LT_T_OPENING, lt_log_key_slice(&k), lt_slice(p, value_len(&as)));
	}
	lt_buf_fini(&value);
	return rc;
}

int
lt_opening_seed_check(struct lt_kv_txn *txn, uint64_t position)
{
	struct lt_log_key k;
	struct lt_slice v;
	int rc;

	opening_key(&k, position, SEED_CHANGE, "");
	rc = lt_kv_get(txn, LT_T_OPENING, lt_log_key_slice(&k), &v);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* ---- erasing ---- */

/* Zeros of the same length first, which the store puts in the very place of the value: what goes then leaves nothing of it in its page. */
static int
wipe(struct lt_kv_txn *txn, struct lt_slice key, size_t len)
{
	struct lt_buf zeros = { 0 };
	uint8_t *p = lt_buf_reserve(&zeros, len);
	int rc = zeros.err;

	if (p != NULL) {
		memset(p, 0, len);
		rc = lt_kv_put(txn, LT_T_OPENING, key, lt_slice(p, len));
	}
	lt_buf_fini(&zeros);
	return rc;
}

static int
wipe_row(struct lt_kv_txn *txn, struct lt_slice key)
{
	struct lt_slice v;
	int rc = lt_kv_get(txn, LT_T_OPENING, key, &v);

	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	if (rc == LT_OK)
		rc = wipe(txn, key, v.len);
	return rc == LT_OK || rc == LT_E_CORRUPT ? lt_kv_del(txn, LT_T_OPENING, key) : rc;
}

int
lt_opening_drop(struct lt_kv_txn *txn, uint64_t position, uint32_t change, const char *field)
{
	struct lt_log_key k;

	if (strlen(field) > LT_NAME_MAX)
		return LT_OK;
	opening_key(&k, position, change, field);
	return wipe_row(txn, lt_log_key_slice(&k));
}

int
lt_opening_erase(
    struct lt_kv_txn *txn, const struct lt_leaf_place *place, uint64_t position, bool *removed)
{
	uint8_t value[1 + LT_HASH_LEN] = { ERASED };
	struct lt_hash leaf;
	struct lt_log_key k;
	struct row row;
	size_t len;
	int rc = row_get(txn, position, place->index, place->field, &row);

	*removed = false;
	if (rc == LT_E_NOTFOUND || (rc == LT_OK && row.erased))
		return LT_OK;
	/* Its leaf is lost with it: missing from then on, which a scrub finds. */
	if (rc == LT_E_CORRUPT)
		return lt_opening_drop(txn, position, place->index, place->field);
	if (rc != LT_OK)
		return rc;
	if (row.withheld)
		memcpy(leaf.b, row.leaf.data, LT_HASH_LEN);
	else
		lt_leaf_hash(place, row.salt.data, row.field_set, &leaf);
	memcpy(value + 1, leaf.b, LT_HASH_LEN);
	*removed = !row.withheld;
	len = 1 + LT_SALT_LEN + row.field_set.len;
	opening_key(&k, position, place->index, place->field);
	if (*removed)
		rc = wipe(txn, lt_log_key_slice(&k), len);
	if (rc == LT_OK)
		rc = lt_kv_put(
		    txn, LT_T_OPENING, lt_log_key_slice(&k), lt_slice(value, sizeof(value)));
	return rc;
}

int
lt_opening_erase_seed(struct lt_kv_txn *txn, uint64_t position)
{
	return lt_opening_drop(txn, position, SEED_CHANGE, "");
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
