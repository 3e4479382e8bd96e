/* Writing a batch: digests, rows, history, overlay, shown values and indexes, each table in key order. */
#include "proto/store/projection_impl.h"

#include "proto/base/simbug.h"
#include "proto/model/digest.h"
#include "proto/store/sort.h"

#include <stdlib.h>

/* collection, unit: the part of rk before the key. */
static struct lt_slice
group_of(const struct lt_touched *t)
{
	return lt_slice(t->rk, (size_t)(t->key - t->rk));
}

static int
del_quiet(struct lt_kv_txn *txn, unsigned table, struct lt_slice key)
{
	int rc = lt_kv_del(txn, table, key);

	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* What the digest has of the row in the table: as it was read, or read now. *any false: there is none. */
static int
old_key(struct lt_projection *p, const struct lt_touched *t, const struct lt_record_id *id,
    struct lt_digest_key *key, bool *any)
{
	struct lt_slice row;
	int rc;

	*any = t->has_old;
	*key = t->old;
	if (t->has_old || t->fresh)
		return LT_OK;
	rc = lt_kv_get(p->o.derived, LT_T_RECORD, lt_slice(t->rk, t->rk_len), &row);
	if (rc == LT_OK)
		lt_digest_key(id, row, key);
	*any = rc == LT_OK;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* The lanes of the record's bucket, empty when it is the first of its group. */
static uint16_t *
lanes_of(struct lt_projection *p, uint8_t bucket)
{
	if (!p->bucket_used[bucket]) {
		p->bucket_used[bucket] = true;
		memset(p->lanes[bucket], 0, sizeof(p->lanes[bucket]));
	}
	return p->lanes[bucket];
}

/* Take the old row of one record out of the lanes and the new one in. */
static int
digest_record(struct lt_projection *p, struct lt_touched *t)
{
	const struct lt_record_id id = { t->collection, t->unit.s, t->key };
	struct lt_digest_key old;
	uint16_t *lanes;
	bool any = false;
	int rc;

	if (!t->loaded)
		return LT_OK;
	rc = old_key(p, t, &id, &old, &any);
	if (rc != LT_OK)
		return rc;
	/* The key stands for the row: no two rows have the same. */
	if (t->row.len == 0 ? !any : any && memcmp(old.b, t->new.b, sizeof(old.b)) == 0)
		return LT_OK;
	t->changed = t->row_changed = true;
	lanes = lanes_of(p, t->bucket);
	if (any && !LT_SIM_BUG(DIGEST_STALE))
		lt_digest_sub_key(lanes, &old);
	if (t->row.len != 0)
		lt_digest_add_key(lanes, &t->new);
	return LT_OK;
}

static int
digest_write(struct lt_projection *p, struct lt_slice group, uint8_t bucket, uint16_t *lanes)
{
	static const uint8_t empty[LT_DIGEST_BYTES];
	struct lt_slice v;
	uint8_t key[LT_NAME_MAX + 1 + LT_UNIT_MAX + 1 + 1], value[LT_DIGEST_BYTES];
	uint16_t stored[LT_DIGEST_LANES];
	int rc;

	memcpy(key, group.data, group.len);
	key[group.len] = bucket;
	rc = lt_kv_get(p->o.derived, LT_T_DIGEST, lt_slice(key, group.len + 1), &v);
	if (rc != LT_OK && rc != LT_E_NOTFOUND)
		return rc;
	if (rc == LT_OK && v.len != LT_DIGEST_BYTES)
		return LT_E_CORRUPT;
	if (rc == LT_OK) {
		lt_digest_load(stored, v.data);
		lt_digest_join(lanes, stored);
	}
	if (p->trial)
		return LT_OK;
	lt_digest_store(value, lanes);
	/* An empty bucket has no row, whatever was in it before. */
	if (memcmp(value, empty, sizeof(value)) == 0)
		return del_quiet(p->o.derived, LT_T_DIGEST, lt_slice(key, group.len + 1));
	return lt_kv_put(p->o.derived, LT_T_DIGEST, lt_slice(key, group.len + 1),
	    lt_slice(value, sizeof(value)));
}

/* The buckets of one group: each is read and written once. */
static int
write_buckets(struct lt_projection *p, struct lt_slice group)
{
	unsigned i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < LT_DIGEST_BUCKETS; i++) {
		if (p->bucket_used[i])
			rc = digest_write(p, group, (uint8_t)i, p->lanes[i]);
		p->bucket_used[i] = false;
	}
	return rc;
}

/* Before the rows are written, as the old ones may be needed. The list is in order of rk, so groups stand together. */
static int
flush_digests(struct lt_projection *p, struct lt_touched **list, size_t n)
{
	size_t i;
	int rc = LT_OK;

	if (p->lanes == NULL)
		p->lanes = calloc(LT_DIGEST_BUCKETS, sizeof(*p->lanes));
	if (p->lanes == NULL)
		return LT_E_NOMEM;
	lt_touched_hash(list, n);
	for (i = 0; rc == LT_OK && i < n;) {
		struct lt_slice group = group_of(list[i]);

		for (; rc == LT_OK && i < n && lt_slice_eq(group_of(list[i]), group); i++)
			rc = digest_record(p, list[i]);
		if (rc == LT_OK)
			rc = write_buckets(p, group);
	}
	return rc;
}

static int
flush_marks(struct lt_projection *p, const struct lt_touched *t)
{
	struct lt_slice rk = lt_slice(t->rk, t->rk_len);
	struct lt_buf *key = &p->key;
	uint8_t value[8];
	unsigned table;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < t->nmark; i++) {
		lt_buf_clear(key);
		lt_dot_key(key, rk, &t->mark[i].dot);
		if (key->err != LT_OK)
			return key->err;
		table = t->mark[i].what <= LT_MARK_HISTORY_DEL ? LT_T_HISTORY : LT_T_OVERLAY;
		lt_store_u64(value, t->mark[i].position);
		if (t->mark[i].what == LT_MARK_OVERLAY_DEL ||
		    t->mark[i].what == LT_MARK_HISTORY_DEL)
			rc = del_quiet(p->o.derived, table, lt_buf_slice(key));
		else
			rc = lt_kv_put(
			    p->o.derived, table, lt_buf_slice(key), lt_slice(value, sizeof(value)));
	}
	return rc;
}

/* Replace the stored Record by `packed` (empty: nothing is shown any more) and note what changes in the indexes. */
static int
shown_replace(struct lt_projection *p, struct lt_touched *t, const struct lt_show *s,
    struct lt_slice packed, struct lt_arena *arena)
{
	struct lt_slice rk = lt_slice(t->rk, t->rk_len), old = { NULL, 0 };
	bool same;
	int rc = LT_E_NOTFOUND;

	/* Without a row and without an overlay nothing was shown. */
	if (!t->fresh || p->o.overlay)
		rc = lt_kv_get(p->o.derived, LT_T_SHOWN, rk, &old);
	if (rc == LT_E_NOTFOUND)
		rc = LT_OK;
	same = lt_slice_eq(old, packed);
	if (rc != LT_OK || (same && !p->o.reindex))
		return rc;
	t->changed = t->changed || !same;
	rc = lt_index_keys(s, old, arena, &p->index, false);
	if (rc == LT_OK)
		rc = lt_index_keys(s, packed, arena, &p->index, true);
	if (rc == LT_OK && !same && !p->trial)
		rc = packed.len != 0 ? lt_kv_put(p->o.derived, LT_T_SHOWN, rk, packed)
				     : del_quiet(p->o.derived, LT_T_SHOWN, rk);
	return rc;
}

/* The row with what no verdict has judged yet. */
static int
visible_row(struct lt_projection *p, struct lt_touched *t, struct lt_buf *visible)
{
	struct lt_dots overlay = { 0 };
	int rc = lt_touched_overlay(p, t, &overlay);

	lt_buf_put_slice(visible, t->row);
	if (rc == LT_OK)
		rc = visible->err;
	if (rc == LT_OK)
		rc = lt_overlay_apply(p->o.log, &p->view, &t->col->rules,
		    lt_unit_eq(&t->unit, &p->o.province), &overlay, visible, &p->scratch);
	lt_dots_fini(&overlay);
	return rc;
}

static int
flush_shown(struct lt_projection *p, struct lt_touched *t)
{
	struct lt_show s = { p->o.log, t->col, &t->unit, t->key, t->mark, t->nmark,
		p->o.overlay ? NULL : t->revision };
	struct lt_buf visible = { 0 };
	bool exists = false;
	int rc = LT_OK;

	lt_arena_clear(&p->show);
	lt_buf_clear(&p->packed);
	if (p->o.overlay)
		rc = visible_row(p, t, &visible);
	if (rc == LT_OK)
		rc = lt_show_record(&s, p->o.overlay ? lt_buf_slice(&visible) : t->row, &p->show,
		    &p->packed, &exists);
	if (rc == LT_OK)
		rc = shown_replace(p, t, &s, lt_buf_slice(&p->packed), &p->show);
	lt_buf_fini(&visible);
	return rc;
}

static int
flush_record(struct lt_projection *p, struct lt_touched *t)
{
	struct lt_slice rk = lt_slice(t->rk, t->rk_len);
	int rc = LT_OK;

	if (t->col != NULL) {
		rc = flush_shown(p, t);
		if (rc == LT_OK && t->row_changed && !p->trial)
			rc = t->row.len != 0 ? lt_kv_put(p->o.derived, LT_T_RECORD, rk, t->row)
					     : del_quiet(p->o.derived, LT_T_RECORD, rk);
	}
	/* After the shown value, which reads the overlay as it was and adds the marks itself. */
	return rc == LT_OK && !p->trial ? flush_marks(p, t) : rc;
}

/* The entries of one key: what is both taken out and put in stays. */
static int
index_entry(struct lt_projection *p, const struct lt_sorting *op, size_t n)
{
	bool put = false, del = false;
	size_t i;

	for (i = 0; i < n; i++) {
		put = put || p->index.op[op[i].tag].put;
		del = del || !p->index.op[op[i].tag].put;
	}
	/* An index that is built anew may lack what it had. */
	if (put && (!del || p->o.reindex))
		return lt_kv_put(p->o.derived, LT_T_INDEX, op->key, lt_slice(NULL, 0));
	return put ? LT_OK : del_quiet(p->o.derived, LT_T_INDEX, op->key);
}

static int
flush_index(struct lt_projection *p)
{
	const struct lt_index_ops *index = &p->index;
	struct lt_sorting *op;
	size_t i, n;
	int rc = LT_OK;

	if (index->n == 0)
		return LT_OK;
	op = calloc(index->n, sizeof(*op));
	if (op == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < index->n; i++) {
		op[i].key = lt_slice(index->keys.data + index->op[i].off, index->op[i].len);
		op[i].tag = i;
	}
	lt_sort(op, index->n);
	for (i = 0; rc == LT_OK && i < index->n; i += n) {
		for (n = 1; i + n < index->n && lt_slice_eq(op[i].key, op[i + n].key); n++)
			;
		rc = index_entry(p, &op[i], n);
	}
	free(op);
	return rc;
}

/* What the batch touched, in order of rk. */
static int
list_make(const struct lt_projection *p, struct lt_touched ***out, size_t *count)
{
	struct lt_sorting *s = malloc((p->ntouched + 1) * sizeof(*s));
	struct lt_touched **list = calloc(p->ntouched + 1, sizeof(struct lt_touched *));
	size_t i, n = 0;

	if (s == NULL || list == NULL) {
		free(s);
		free(list);
		return LT_E_NOMEM;
	}
	for (i = 0; i < p->nslot; i++) {
		if (p->slot[i].t == NULL)
			continue;
		s[n].key = lt_slice(p->slot[i].t->rk, p->slot[i].t->rk_len);
		s[n++].tag = i;
	}
	lt_sort(s, n);
	for (i = 0; i < n; i++)
		list[i] = p->slot[s[i].tag].t;
	free(s);
	*out = list;
	*count = n;
	return LT_OK;
}

static int
flush(struct lt_projection *p, lt_touched_fn *touched, void *ctx)
{
	struct lt_touched **list;
	size_t i, n;
	int rc = list_make(p, &list, &n);

	if (rc != LT_OK)
		return rc;
	rc = flush_digests(p, list, n);
	for (i = 0; rc == LT_OK && i < n; i++)
		rc = flush_record(p, list[i]);
	if (rc == LT_OK && !p->trial)
		rc = flush_index(p);
	for (i = 0; rc == LT_OK && touched != NULL && i < n; i++) {
		if (list[i]->changed)
			touched(ctx, list[i]->collection, list[i]->unit.s, list[i]->key);
	}
	free(list);
	return rc;
}

int
lt_projection_try(struct lt_projection *p)
{
	int rc;

	p->trial = true;
	rc = flush(p, NULL, NULL);
	p->trial = false;
	p->index.n = 0;
	lt_buf_clear(&p->index.keys);
	return rc;
}

/* ---- comparing ---- */

struct comparing {
	struct lt_projection *p;
	lt_differs_fn *differs; /* NULL: mend */
	void *ctx;
};

/* want empty: nothing should be there. */
static int
compare_value(
    const struct comparing *c, unsigned table, struct lt_slice key, struct lt_slice want, bool any)
{
	struct lt_kv_txn *txn = c->p->o.derived;
	struct lt_slice have;
	int rc = lt_kv_get(txn, table, key, &have);

	if (c->differs == NULL && (rc == LT_OK || rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT)) {
		if (rc == LT_OK ? any && lt_slice_eq(have, want) : rc == LT_E_NOTFOUND && !any)
			return LT_OK;
		return any ? lt_kv_put(txn, table, key, want) : del_quiet(txn, table, key);
	}
	if (rc == LT_E_CORRUPT || (rc == LT_E_NOTFOUND && any))
		c->differs(c->ctx, table, key, rc);
	else if (rc == LT_OK && !any)
		c->differs(c->ctx, table, key, LT_E_EXISTS);
	else if (rc == LT_OK && !lt_slice_eq(have, want))
		c->differs(c->ctx, table, key, LT_E_CONFLICT);
	return rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
compare_shown(const struct comparing *c, struct lt_touched *t)
{
	struct lt_projection *p = c->p;
	struct lt_show s = { p->o.log, t->col, &t->unit, t->key, t->mark, t->nmark, NULL };
	struct lt_index_ops *index = &p->index;
	struct lt_buf visible = { 0 };
	size_t i;
	bool exists = false;
	int rc = LT_OK;

	lt_arena_clear(&p->show);
	lt_buf_clear(&p->packed);
	index->n = 0;
	lt_buf_clear(&index->keys);
	if (p->o.overlay)
		rc = visible_row(p, t, &visible);
	if (rc == LT_OK)
		rc = lt_show_record(&s, p->o.overlay ? lt_buf_slice(&visible) : t->row, &p->show,
		    &p->packed, &exists);
	if (rc == LT_OK)
		rc = compare_value(
		    c, LT_T_SHOWN, lt_slice(t->rk, t->rk_len), lt_buf_slice(&p->packed), exists);
	if (rc == LT_OK)
		rc = lt_index_keys(&s, lt_buf_slice(&p->packed), &p->show, index, true);
	for (i = 0; rc == LT_OK && i < index->n; i++)
		rc = compare_value(c, LT_T_INDEX,
		    lt_slice(index->keys.data + index->op[i].off, index->op[i].len),
		    lt_slice(NULL, 0), true);
	lt_buf_fini(&visible);
	return rc;
}

int
lt_projection_compare(struct lt_projection *p, lt_differs_fn *differs, void *ctx)
{
	const struct comparing c = { p, differs, ctx };
	struct lt_touched **list, *t;
	size_t i, n;
	int rc = list_make(p, &list, &n);

	if (rc != LT_OK)
		return rc;
	for (i = 0; rc == LT_OK && i < n; i++) {
		t = list[i];
		if (t->col == NULL || !t->loaded)
			continue;
		rc = compare_value(
		    &c, LT_T_RECORD, lt_slice(t->rk, t->rk_len), t->row, t->row.len != 0);
		if (rc == LT_OK)
			rc = compare_shown(&c, t);
	}
	free(list);
	return rc;
}

int
lt_projection_mend(struct lt_projection *p)
{
	return lt_projection_compare(p, NULL, NULL);
}

int
lt_projection_flush(struct lt_projection *p, lt_touched_fn *touched, void *ctx)
{
	int rc = flush(p, touched, ctx);

	lt_projection_abort(p);
	return rc;
}
