/* Index entries of records, and the walk over them (FORMAT.md 9.3, 9.4). */
#include "proto/store/projection_impl.h"

#include "proto/model/validate.h"
#include "proto/model/value.h"

#include <stdlib.h>

struct keys {
	const struct lt_show *s;
	struct lt_arena *arena;
	struct lt_slice *k;
	size_t n, cap;
};

static int
keys_add(struct keys *keys, const char *field, struct lt_slice value)
{
	struct lt_slice *wider;
	struct lt_buf b = { 0 };
	uint8_t *copy;
	size_t cap = keys->cap == 0 ? 16 : keys->cap * 2;

	if (value.len > LT_INDEX_VALUE_MAX)
		return LT_E_INVALID;
	if (keys->n == keys->cap) {
		wider = lt_arena_alloc(keys->arena, cap * sizeof(*wider));
		if (wider == NULL)
			return LT_E_NOMEM;
		if (keys->n != 0)
			memcpy(wider, keys->k, keys->n * sizeof(*wider));
		keys->k = wider;
		keys->cap = cap;
	}
	lt_buf_str(&b, keys->s->col->id);
	lt_buf_u8(&b, 0);
	lt_buf_str(&b, field);
	lt_buf_u8(&b, 0);
	lt_buf_put_slice(&b, value);
	lt_buf_u8(&b, 0);
	lt_buf_str(&b, keys->s->unit->s);
	lt_buf_u8(&b, 0);
	lt_buf_str(&b, keys->s->key);
	copy = b.err == LT_OK ? lt_arena_dup(keys->arena, b.data, b.len) : NULL;
	if (copy != NULL)
		keys->k[keys->n++] = lt_slice(copy, b.len);
	lt_buf_fini(&b);
	return copy == NULL ? LT_E_NOMEM : LT_OK;
}

static int
keys_of_field(struct keys *keys, const struct lt_field *f, const Ltpb__Value *v)
{
	struct lt_buf b = { 0 };
	size_t i, n = v->v_case == LTPB__VALUE__V_SET ? v->set->n_item : 1;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < n; i++) {
		lt_buf_clear(&b);
		rc = lt_value_index(v, f->scale, i, &b);
		if (rc == LT_OK)
			rc = b.err;
		if (rc == LT_OK)
			rc = keys_add(keys, f->rule.name, lt_buf_slice(&b));
		/* A value that has no place in the order (a decimal beyond the scale) is found by reading. */
		else if (rc != LT_E_NOMEM)
			rc = LT_OK;
	}
	lt_buf_fini(&b);
	return rc;
}

static const Ltpb__Value *
value_of(Ltpb__FieldSet *const *field, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(field[i]->name, name) == 0)
			return field[i]->value;
	}
	return NULL;
}

static int
slice_order(const void *a, const void *b)
{
	return lt_slice_cmp(*(const struct lt_slice *)a, *(const struct lt_slice *)b);
}

static size_t
unique(struct lt_slice *k, size_t n)
{
	size_t i, kept = 0;

	if (n != 0)
		qsort(k, n, sizeof(*k), slice_order);
	for (i = 0; i < n; i++) {
		if (kept == 0 || !lt_slice_eq(k[kept - 1], k[i]))
			k[kept++] = k[i];
	}
	return kept;
}

int
lt_index_keys(const struct lt_show *s, const Ltpb__Record *r, struct lt_arena *arena,
    struct lt_slice **out, size_t *n)
{
	struct keys keys = { .s = s, .arena = arena };
	struct lt_violation violation;
	Ltpb__FieldSet **part = NULL;
	const struct lt_field *f;
	const Ltpb__Value *v;
	size_t i, nparts = 0;
	bool asked = false;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && r != NULL && i < s->col->nindex; i++) {
		f = &s->col->field[s->col->index[i]];
		/* The order of the records themselves is by unit. */
		if (f->is_unit)
			continue;
		if (f->in_key && !asked) {
			asked = true;
			if (lt_key_split(s->col, s->key, arena, &part, &nparts, &violation) !=
			    LT_OK)
				nparts = 0;
		}
		v = f->in_key ? value_of(part, nparts, f->rule.name)
			      : value_of(r->field, r->n_field, f->rule.name);
		if (v != NULL)
			rc = keys_of_field(&keys, f, v);
	}
	*out = keys.k;
	*n = unique(keys.k, keys.n);
	return rc;
}

/* rk of an index key whose value begins at `value`. */
static int
index_rk(struct lt_slice k, size_t value, const char *collection, struct lt_buf *rk)
{
	const uint8_t *end = memchr(k.data + value, 0, k.len - value);
	struct lt_slice c, u, key;

	if (end == NULL)
		return LT_E_CORRUPT;
	lt_buf_clear(rk);
	lt_buf_str(rk, collection);
	lt_buf_put(rk, end, (size_t)(k.data + k.len - end));
	if (rk->err != LT_OK)
		return rk->err;
	return lt_key_record_split(lt_buf_slice(rk), &c, &u, &key);
}

struct index_walk {
	struct lt_buf prefix, low, high, rk; /* keys in [low, high) */
	const char *collection;
	bool descending;
	lt_index_fn *fn;
	void *ctx;
};

static int
index_bounds(struct index_walk *w, const char *field, struct lt_slice from, struct lt_slice to,
    struct lt_slice after)
{
	lt_buf_str(&w->prefix, w->collection);
	lt_buf_u8(&w->prefix, 0);
	lt_buf_str(&w->prefix, field);
	lt_buf_put_slice(&w->low, lt_buf_slice(&w->prefix));
	lt_buf_put_slice(&w->high, lt_buf_slice(&w->prefix));
	lt_buf_u8(&w->prefix, 0);
	lt_buf_u8(&w->low, 0);
	lt_buf_put_slice(&w->low, from);
	/* No key byte after the field's name is 1: above every value. */
	lt_buf_u8(&w->high, to.len == 0 ? 1 : 0);
	lt_buf_put_slice(&w->high, to);
	if (after.len != 0 && w->descending && lt_slice_cmp(after, lt_buf_slice(&w->high)) < 0) {
		lt_buf_clear(&w->high);
		lt_buf_put_slice(&w->high, after);
	}
	if (after.len != 0 && !w->descending && lt_slice_cmp(after, lt_buf_slice(&w->low)) >= 0) {
		lt_buf_clear(&w->low);
		lt_buf_put_slice(&w->low, after);
		lt_buf_u8(&w->low, 0);
	}
	if (w->prefix.err != LT_OK || w->low.err != LT_OK)
		return LT_E_NOMEM;
	return w->high.err;
}

static int
index_run(struct index_walk *w, struct lt_kv_cursor *c)
{
	struct lt_slice k, v, low = lt_buf_slice(&w->low), high = lt_buf_slice(&w->high);
	int rc, stop;

	rc = w->descending ? lt_kv_seek_before(c, high, &k, &v) : lt_kv_seek(c, low, &k, &v);
	while (rc == LT_OK &&
	       (w->descending ? lt_slice_cmp(k, low) >= 0 : lt_slice_cmp(k, high) < 0)) {
		if (k.len < w->prefix.len || memcmp(k.data, w->prefix.data, w->prefix.len) != 0)
			return LT_OK;
		stop = index_rk(k, w->prefix.len, w->collection, &w->rk);
		if (stop == LT_OK)
			stop = w->fn(w->ctx, k, lt_buf_slice(&w->rk));
		if (stop != LT_OK)
			return stop;
		rc = w->descending ? lt_kv_prev(c, &k, &v) : lt_kv_next(c, &k, &v);
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_index_each(struct lt_kv_txn *derived, const char *collection, const char *field,
    struct lt_slice from, struct lt_slice to, struct lt_slice after, bool descending,
    lt_index_fn *fn, void *ctx)
{
	struct index_walk w = {
		.collection = collection, .descending = descending, .fn = fn, .ctx = ctx
	};
	struct lt_kv_cursor *c;
	int rc = index_bounds(&w, field, from, to, after);

	/* No stored key is longer than the limit; neither may be what is looked for. */
	if (rc == LT_OK && w.low.len > LT_KV_KEY_MAX)
		w.low.len = LT_KV_KEY_MAX;
	if (rc == LT_OK && w.high.len > LT_KV_KEY_MAX)
		w.high.len = LT_KV_KEY_MAX;
	if (rc == LT_OK)
		rc = lt_kv_cursor_open(derived, LT_T_INDEX, &c);
	if (rc == LT_OK) {
		rc = index_run(&w, c);
		lt_kv_cursor_close(c);
	}
	lt_buf_fini(&w.prefix);
	lt_buf_fini(&w.low);
	lt_buf_fini(&w.high);
	lt_buf_fini(&w.rk);
	return rc == LT_E_CANCELLED ? LT_OK : rc;
}
