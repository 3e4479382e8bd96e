/* Index entries of records, and the walk over them (FORMAT.md 9.3, 9.4). */
#include "proto/store/projection_impl.h"

#include "proto/base/wire.h"
#include "proto/base/wire_read.h"
#include "proto/model/plain.h"
#include "proto/model/validate.h"
#include "proto/model/value.h"

#include <stdlib.h>

struct keys {
	const struct lt_show *s;
	struct lt_arena *arena;
	struct lt_index_ops *ops;
	bool put;
	struct lt_buf value; /* of the field at hand */
	size_t nc, nu, nk; /* lengths of collection, unit, key */
};

/* A field of the record that is indexed, and has its name's length beside it. */
struct wanted {
	const struct lt_field *f;
	size_t len;
};

static int
keys_room(struct lt_index_ops *ops)
{
	size_t cap = ops->cap == 0 ? 256 : ops->cap * 2;
	struct lt_index_op *op;

	if (ops->n < ops->cap)
		return LT_OK;
	op = realloc(ops->op, cap * sizeof(*op));
	if (op == NULL)
		return LT_E_NOMEM;
	ops->op = op;
	ops->cap = cap;
	return LT_OK;
}

static uint8_t *
append(uint8_t *p, const void *s, size_t len)
{
	if (len != 0)
		memcpy(p, s, len);
	p[len] = 0;
	return p + len + 1;
}

/* collection, field, value, unit, key: a 0 after each but the last. */
static int
keys_add(struct keys *keys, const char *field, struct lt_slice value)
{
	const struct lt_show *s = keys->s;
	size_t nf = strlen(field),
	       len = keys->nc + 1 + nf + 1 + value.len + 1 + keys->nu + 1 + keys->nk;
	struct lt_index_ops *ops = keys->ops;
	uint8_t *p;

	if (value.len > LT_INDEX_VALUE_MAX)
		return LT_E_INVALID;
	if (keys_room(ops) != LT_OK)
		return LT_E_NOMEM;
	p = lt_buf_reserve(&ops->keys, len + 1);
	if (p == NULL)
		return ops->keys.err;
	p = append(p, s->col->id, keys->nc);
	p = append(p, field, nf);
	p = append(p, value.data, value.len);
	p = append(p, s->unit->s, keys->nu);
	(void)append(p, s->key, keys->nk);
	ops->op[ops->n++] = (struct lt_index_op){ ops->keys.len, (uint16_t)len, keys->put };
	lt_buf_added(&ops->keys, len);
	return LT_OK;
}

/* A value that has no place in the order (a decimal beyond the scale) is found by reading. */
static int
keys_add_made(struct keys *keys, const char *field, int rc)
{
	if (rc == LT_OK)
		rc = keys->value.err;
	if (rc == LT_OK)
		return keys_add(keys, field, lt_buf_slice(&keys->value));
	return rc == LT_E_NOMEM ? rc : LT_OK;
}

static int
keys_of_value(struct keys *keys, const struct lt_field *f, const Ltpb__Value *v)
{
	size_t i, n = v->v_case == LTPB__VALUE__V_SET ? v->set->n_item : 1;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < n; i++) {
		lt_buf_clear(&keys->value);
		rc =
		    keys_add_made(keys, f->rule.name, lt_value_index(v, f->scale, i, &keys->value));
	}
	return rc;
}

/* The field's FieldSet bytes are `raw`. */
static int
keys_of_bytes(struct keys *keys, const struct lt_field *f, struct lt_slice raw)
{
	struct lt_slice value;
	ProtobufCMessage *msg;
	const Ltpb__FieldSet *fs;
	int rc;

	if (lt_plain(raw, lt_slice_str(f->rule.name), &value)) {
		lt_buf_clear(&keys->value);
		return keys_add_made(
		    keys, f->rule.name, lt_plain_index(value, f->scale, &keys->value));
	}
	rc = lt_wire_unpack(
	    &ltpb__field_set__descriptor, raw, LT_MESSAGE_MAX, keys->arena, &msg, NULL);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	fs = (const Ltpb__FieldSet *)msg;
	return fs->value == NULL ? LT_OK : keys_of_value(keys, f, fs->value);
}

static int
keys_of_key(struct keys *keys)
{
	const struct lt_collection *col = keys->s->col;
	struct lt_violation violation;
	Ltpb__FieldSet **part = NULL;
	const struct lt_field *f;
	size_t i, k, n = 0;
	int rc = LT_OK;

	for (i = 0; i < col->nindex; i++) {
		f = &col->field[col->index[i]];
		if (f->in_key && !f->is_unit)
			break;
	}
	if (i == col->nindex ||
	    lt_key_split(col, keys->s->key, keys->arena, &part, &n, &violation) != LT_OK)
		return LT_OK;
	for (; rc == LT_OK && i < col->nindex; i++) {
		f = &col->field[col->index[i]];
		/* The order of the records themselves is by unit. */
		if (!f->in_key || f->is_unit)
			continue;
		for (k = 0; k < n && strcmp(part[k]->name, f->rule.name) != 0; k++)
			;
		if (k < n)
			rc = keys_of_value(keys, f, part[k]->value);
	}
	return rc;
}

enum { WIRE_BYTES = 2, RECORD_FIELD = 4, FIELD_SET_NAME = 1 << 3 | WIRE_BYTES };

/* The next FieldSet of a packed Record. */
static bool
next_field(struct lt_reader *r, struct lt_slice *raw)
{
	uint64_t tag, n;

	while (r->err == LT_OK && lt_reader_left(r) != 0) {
		tag = lt_wire_varint(r);
		n = lt_wire_varint(r);
		if ((tag & 7) == WIRE_BYTES) {
			if (n > lt_reader_left(r))
				r->err = LT_E_INVALID;
			else
				*raw = lt_read_bytes(r, (size_t)n);
		} else if ((tag & 7) != 0) {
			r->err = LT_E_INVALID;
		}
		if (r->err == LT_OK && tag == (RECORD_FIELD << 3 | WIRE_BYTES))
			return true;
	}
	return false;
}

/* What we packed begins with the name. */
static bool
is_named(struct lt_slice raw, const struct wanted *w)
{
	return raw.len >= w->len + 2 && raw.data[1] == w->len && raw.data[0] == FIELD_SET_NAME &&
	       memcmp(raw.data + 2, w->f->rule.name, w->len) == 0;
}

static size_t
wanted_of(const struct lt_collection *col, struct wanted want[LT_INDEXES_MAX])
{
	const struct lt_field *f;
	size_t i, n = 0;

	for (i = 0; i < col->nindex; i++) {
		f = &col->field[col->index[i]];
		if (!f->in_key && !f->is_unit)
			want[n++] = (struct wanted){ f, strlen(f->rule.name) };
	}
	return n;
}

int
lt_index_keys(const struct lt_show *s, struct lt_slice record, struct lt_arena *arena,
    struct lt_index_ops *ops, bool put)
{
	struct keys keys = { .s = s,
		.arena = arena,
		.ops = ops,
		.put = put,
		.nc = strlen(s->col->id),
		.nu = strlen(s->unit->s),
		.nk = strlen(s->key) };
	struct wanted want[LT_INDEXES_MAX];
	struct lt_reader r;
	struct lt_slice raw;
	size_t i, n;
	int rc;

	if (record.len == 0 || s->col->nindex == 0)
		return LT_OK;
	n = wanted_of(s->col, want);
	rc = keys_of_key(&keys);
	lt_reader_init(&r, record);
	while (rc == LT_OK && next_field(&r, &raw)) {
		for (i = 0; rc == LT_OK && i < n; i++)
			if (is_named(raw, &want[i]))
				rc = keys_of_bytes(&keys, want[i].f, raw);
	}
	lt_buf_fini(&keys.value);
	return rc == LT_OK && r.err != LT_OK ? LT_E_CORRUPT : rc;
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
