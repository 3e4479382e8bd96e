/* Working out a batch, and writing it: digests, rows, history, overlay, shown values and indexes, each table in key order. */
#include "proto/store/projection_impl.h"

#include "proto/base/simbug.h"
#include "proto/model/digest.h"
#include "proto/store/short_row.h"
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

/* What the digest has of the row in the table, where it was not read yet, and whether the row becomes another. */
static int
compare_row(struct lt_projection *p, struct lt_touched *t)
{
	const struct lt_record_id id = { t->collection, t->unit.s, t->key };
	struct lt_slice row;
	int rc = LT_E_NOTFOUND;

	if (!t->loaded)
		return LT_OK;
	if (!t->has_old && !t->fresh)
		rc = lt_kv_get(p->o.derived, LT_T_RECORD, lt_slice(t->rk, t->rk_len), &row);
	if (rc == LT_OK)
		rc = lt_record_whole(
		    p->o.derived, lt_slice(t->rk, t->rk_len), row, &p->scratch, &row);
	if (rc == LT_OK) {
		lt_digest_key(&id, row, &t->old);
		t->has_old = true;
	}
	/* The key stands for the row: no two rows have the same. */
	t->row_changed = t->row.len == 0
			     ? t->has_old
			     : !t->has_old || memcmp(t->old.b, t->new.b, sizeof(t->old.b)) != 0;
	t->changed = t->row_changed;
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
static void
digest_record(struct lt_projection *p, const struct lt_touched *t)
{
	uint16_t *lanes;

	if (!t->row_changed)
		return;
	lanes = lanes_of(p, t->bucket);
	if (t->has_old && !LT_SIM_BUG(DIGEST_STALE))
		lt_digest_sub_key(lanes, &t->old);
	if (t->row.len != 0)
		lt_digest_add_key(lanes, &t->new);
}

static int
digest_write(struct lt_projection *p, struct lt_kv_txn *txn, struct lt_slice group, uint8_t bucket,
    uint16_t *lanes)
{
	static const uint8_t empty[LT_DIGEST_BYTES];
	struct lt_slice v;
	uint8_t key[LT_NAME_MAX + 1 + LT_UNIT_MAX + 1 + 1], value[LT_DIGEST_BYTES];
	uint16_t stored[LT_DIGEST_LANES];
	int rc;

	memcpy(key, group.data, group.len);
	key[group.len] = bucket;
	rc = lt_kv_get(txn, LT_T_DIGEST, lt_slice(key, group.len + 1), &v);
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
		return del_quiet(txn, LT_T_DIGEST, lt_slice(key, group.len + 1));
	return lt_kv_put(
	    txn, LT_T_DIGEST, lt_slice(key, group.len + 1), lt_slice(value, sizeof(value)));
}

/* The buckets of one group: each is read and written once. */
static int
write_buckets(struct lt_projection *p, struct lt_kv_txn *txn, struct lt_slice group)
{
	unsigned i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < LT_DIGEST_BUCKETS; i++) {
		if (p->bucket_used[i])
			rc = digest_write(p, txn, group, (uint8_t)i, p->lanes[i]);
		p->bucket_used[i] = false;
	}
	return rc;
}

/* The list is in order of rk, so groups stand together. */
static int
write_digests(struct lt_projection *p, struct lt_kv_txn *txn)
{
	size_t i;
	int rc = LT_OK;

	if (p->lanes == NULL)
		p->lanes = calloc(LT_DIGEST_BUCKETS, sizeof(*p->lanes));
	if (p->lanes == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < p->nlist;) {
		struct lt_slice group = group_of(p->list[i]);

		for (; i < p->nlist && lt_slice_eq(group_of(p->list[i]), group); i++)
			digest_record(p, p->list[i]);
		rc = write_buckets(p, txn, group);
	}
	return rc;
}

static int
write_marks(struct lt_projection *p, struct lt_kv_txn *txn, const struct lt_touched *t)
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
			rc = del_quiet(txn, table, lt_buf_slice(key));
		else
			rc = lt_kv_put(
			    txn, table, lt_buf_slice(key), lt_slice(value, sizeof(value)));
	}
	return rc;
}

/* The Record that is shown as long as this batch is not there; empty: nothing is. */
static int
shown_now(const struct lt_projection *p, const struct lt_touched *t, struct lt_slice *now)
{
	int rc;

	*now = lt_slice(NULL, 0);
	/* Without a row and without an overlay nothing was shown. */
	if (t->fresh && !p->o.overlay)
		return LT_OK;
	if (t->before != NULL && t->before->shown_changed) {
		*now = t->before->shown;
		return LT_OK;
	}
	rc = lt_kv_get(p->o.derived, LT_T_SHOWN, lt_slice(t->rk, t->rk_len), now);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* The Record is to be `packed` (empty: nothing is shown any more); note what changes in the indexes. */
static int
shown_replace(struct lt_projection *p, struct lt_touched *t, const struct lt_show *s,
    struct lt_slice packed, struct lt_arena *arena)
{
	struct lt_slice old;
	uint8_t *copy = NULL;
	int rc = shown_now(p, t, &old);

	if (rc != LT_OK)
		return rc;
	t->shown_changed = !lt_slice_eq(old, packed);
	t->changed = t->changed || t->shown_changed;
	if (t->changed && packed.len != 0) {
		copy = lt_arena_dup(&p->mem, packed.data, packed.len);
		if (copy == NULL)
			return LT_E_NOMEM;
	}
	t->shown = lt_slice(copy, copy == NULL ? 0 : packed.len);
	if (!t->shown_changed && !p->o.reindex)
		return LT_OK;
	rc = lt_index_keys(s, old, arena, &p->index, false);
	return rc == LT_OK ? lt_index_keys(s, packed, arena, &p->index, true) : rc;
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
work_shown(struct lt_projection *p, struct lt_touched *t)
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
put_or_del(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice value)
{
	return value.len != 0 ? lt_kv_put(txn, table, key, value) : del_quiet(txn, table, key);
}

/* What is put of a row. A node's rows are whole: its shown records have changes that are not judged yet (FORMAT.md 9.13). */
static int
stored_form(
    struct lt_projection *p, struct lt_slice row, struct lt_slice shown, struct lt_slice *out)
{
	int rc;

	*out = row;
	if (p->o.overlay)
		return LT_OK;
	lt_buf_clear(&p->stored);
	rc = lt_short_row_make(row, shown, &p->stored);
	*out = lt_buf_slice(&p->stored);
	return rc;
}

/* What is left out of a short row is in the shown record: it follows that. */
static int
write_row(struct lt_projection *p, struct lt_kv_txn *txn, const struct lt_touched *t)
{
	struct lt_slice stored;
	int rc;

	if (!t->row_changed && (p->o.overlay || !t->shown_changed))
		return LT_OK;
	rc = stored_form(p, t->row, t->shown, &stored);
	return rc == LT_OK ? put_or_del(txn, LT_T_RECORD, lt_slice(t->rk, t->rk_len), stored) : rc;
}

static int
write_record(struct lt_projection *p, struct lt_kv_txn *txn, const struct lt_touched *t)
{
	struct lt_slice rk = lt_slice(t->rk, t->rk_len);
	int rc = LT_OK;

	if (t->shown_changed)
		rc = put_or_del(txn, LT_T_SHOWN, rk, t->shown);
	if (rc == LT_OK)
		rc = write_row(p, txn, t);
	return rc == LT_OK ? write_marks(p, txn, t) : rc;
}

/* The entries of one key: what is both taken out and put in stays. */
static int
index_entry(struct lt_projection *p, struct lt_kv_txn *txn, const struct lt_sorting *op, size_t n)
{
	bool put = false, del = false;
	size_t i;

	for (i = 0; i < n; i++) {
		put = put || p->index.op[op[i].tag].put;
		del = del || !p->index.op[op[i].tag].put;
	}
	/* An index that is built anew may lack what it had. */
	if (put && (!del || p->o.reindex))
		return lt_kv_put(txn, LT_T_INDEX, op->key, lt_slice(NULL, 0));
	return put ? LT_OK : del_quiet(txn, LT_T_INDEX, op->key);
}

static int
write_index(struct lt_projection *p, struct lt_kv_txn *txn)
{
	const struct lt_sorting *op = p->entry;
	size_t i, n;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < p->index.n; i += n) {
		for (n = 1; i + n < p->index.n && lt_slice_eq(op[i].key, op[i + n].key); n++)
			;
		rc = index_entry(p, txn, &op[i], n);
	}
	return rc;
}

/* Room to sort n keys in. */
static int
entry_room(struct lt_projection *p, size_t n)
{
	struct lt_sorting *entry;

	if (n <= p->entry_cap)
		return LT_OK;
	entry = malloc(n * sizeof(*entry));
	if (entry == NULL)
		return LT_E_NOMEM;
	free(p->entry);
	p->entry = entry;
	p->entry_cap = n;
	return LT_OK;
}

static int
sort_index(struct lt_projection *p)
{
	const struct lt_index_ops *index = &p->index;
	size_t i;
	int rc = entry_room(p, index->n);

	if (rc != LT_OK)
		return rc;
	for (i = 0; i < index->n; i++) {
		p->entry[i].key = lt_slice(index->keys.data + index->op[i].off, index->op[i].len);
		p->entry[i].tag = i;
	}
	lt_sort(p->entry, index->n);
	return LT_OK;
}

/* What the batch touched, in order of rk. */
static int
list_make(struct lt_projection *p)
{
	size_t i, n = p->ntouched;
	int rc = entry_room(p, n);

	if (rc != LT_OK)
		return rc;
	/* In the order they came, which is that of memory. */
	for (i = 0; i < n; i++) {
		p->entry[i].key = lt_slice(p->touched[i]->rk, p->touched[i]->rk_len);
		p->entry[i].tag = i;
	}
	lt_sort(p->entry, n);
	for (i = 0; i < n; i++)
		p->list[i] = p->touched[p->entry[i].tag];
	p->nlist = n;
	return LT_OK;
}

int
lt_projection_work(struct lt_projection *p)
{
	size_t i;
	int rc = list_make(p);

	if (rc != LT_OK)
		return rc;
	lt_touched_hash(p->list, p->nlist);
	for (i = 0; rc == LT_OK && i < p->nlist; i++) {
		rc = compare_row(p, p->list[i]);
		if (rc == LT_OK && p->list[i]->col != NULL)
			rc = work_shown(p, p->list[i]);
	}
	lt_arena_fini(&p->show);
	return rc;
}

int
lt_projection_write(struct lt_projection *p, struct lt_kv_txn *txn)
{
	size_t i;
	int rc = write_digests(p, txn);

	/* Marks come after all has been worked out: that reads the overlay as it was, and adds them itself. */
	for (i = 0; rc == LT_OK && i < p->nlist; i++)
		rc = write_record(p, txn, p->list[i]);
	if (rc == LT_OK)
		rc = sort_index(p);
	return rc == LT_OK ? write_index(p, txn) : rc;
}

/* As if it had not been worked out. */
static void
unwork(struct lt_projection *p)
{
	p->nlist = 0;
	lt_index_ops_clear(&p->index);
}

int
lt_projection_try(struct lt_projection *p)
{
	int rc = lt_projection_work(p);

	p->trial = true;
	if (rc == LT_OK)
		rc = write_digests(p, p->o.derived);
	p->trial = false;
	unwork(p);
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
	struct lt_slice rk = lt_slice(t->rk, t->rk_len), stored;
	struct lt_buf visible = { 0 };
	size_t i;
	bool exists = false;
	int rc = LT_OK;

	lt_arena_clear(&p->show);
	lt_buf_clear(&p->packed);
	lt_index_ops_clear(index);
	if (p->o.overlay)
		rc = visible_row(p, t, &visible);
	if (rc == LT_OK)
		rc = lt_show_record(&s, p->o.overlay ? lt_buf_slice(&visible) : t->row, &p->show,
		    &p->packed, &exists);
	if (rc == LT_OK && !p->o.overlay) {
		rc = stored_form(p, t->row, lt_buf_slice(&p->packed), &stored);
		if (rc == LT_OK)
			rc = compare_value(c, LT_T_RECORD, rk, stored, stored.len != 0);
	}
	if (rc == LT_OK)
		rc = compare_value(c, LT_T_SHOWN, rk, lt_buf_slice(&p->packed), exists);
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
	struct lt_touched *t;
	size_t i;
	int rc = list_make(p);

	if (rc != LT_OK)
		return rc;
	for (i = 0; rc == LT_OK && i < p->nlist; i++) {
		t = p->list[i];
		if (t->col == NULL || !t->loaded)
			continue;
		if (p->o.overlay)
			rc = compare_value(
			    &c, LT_T_RECORD, lt_slice(t->rk, t->rk_len), t->row, t->row.len != 0);
		if (rc == LT_OK)
			rc = compare_shown(&c, t);
	}
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
	size_t i;
	int rc = lt_projection_work(p);

	if (rc == LT_OK)
		rc = lt_projection_write(p, p->o.derived);
	for (i = 0; rc == LT_OK && touched != NULL && i < p->nlist; i++) {
		if (p->list[i]->changed)
			touched(ctx, p->list[i]->collection, p->list[i]->unit.s, p->list[i]->key);
	}
	lt_projection_abort(p);
	return rc;
}
