/* Reading records, and the digest of many. */
#include "proto/store/projection_impl.h"

#include "proto/model/digest.h"
#include "proto/store/short_row.h"

int
lt_record_whole(struct lt_kv_txn *derived, struct lt_slice rk, struct lt_slice stored,
    struct lt_buf *mem, struct lt_slice *row)
{
	struct lt_slice shown;
	int rc;

	*row = stored;
	if (!lt_short_row_is(stored))
		return LT_OK;
	rc = lt_kv_get(derived, LT_T_SHOWN, rk, &shown);
	lt_buf_clear(mem);
	if (rc == LT_OK)
		rc = lt_short_row_restore(stored, shown, mem);
	*row = lt_buf_slice(mem);
	return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
}

/* base: without what was set aside. */
static int
read_row(struct lt_kv_txn *log, struct lt_kv_txn *derived, const struct lt_catalogue *cat,
    const struct lt_unit *province, const char *collection, const char *unit, const char *key,
    bool base, struct lt_buf *out, bool *aside)
{
	const struct lt_collection *col = lt_catalogue_find(cat, collection);
	struct lt_buf rk = { 0 }, row = { 0 }, scratch = { 0 };
	struct lt_dots overlay = { 0 };
	struct lt_log_view view;
	struct lt_slice v;
	int rc;

	memset(&view, 0, sizeof(view));
	lt_key_record(&rk, collection, unit, key);
	rc = rk.err;
	if (rc == LT_OK && (rk.len > LT_RK_MAX || col == NULL))
		rc = LT_E_NOTFOUND;
	if (rc != LT_OK)
		goto out;
	rc = lt_kv_get(derived, LT_T_RECORD, lt_buf_slice(&rk), &v);
	if (rc == LT_OK)
		rc = lt_record_whole(derived, lt_buf_slice(&rk), v, &scratch, &v);
	if (rc == LT_OK)
		lt_buf_put_slice(&row, v);
	if (rc == LT_OK || rc == LT_E_NOTFOUND)
		rc = lt_dots_read(derived, LT_T_OVERLAY, lt_buf_slice(&rk), &overlay);
	if (rc == LT_OK)
		rc = row.err;
	if (rc == LT_OK && base)
		*aside = lt_dots_drop_aside(&overlay);
	if (rc == LT_OK)
		rc = lt_overlay_apply(log, &view, &col->rules, strcmp(unit, province->s) == 0,
		    &overlay, &row, &scratch);
	if (rc == LT_OK && row.len == 0)
		rc = LT_E_NOTFOUND;
	if (rc == LT_OK) {
		lt_buf_put_slice(out, lt_buf_slice(&row));
		rc = out->err;
	}
out:
	lt_log_view_close(&view);
	lt_dots_fini(&overlay);
	lt_buf_fini(&rk);
	lt_buf_fini(&row);
	lt_buf_fini(&scratch);
	return rc;
}

int
lt_record_row(struct lt_kv_txn *log, struct lt_kv_txn *derived, const struct lt_catalogue *cat,
    const struct lt_unit *province, const char *collection, const char *unit, const char *key,
    struct lt_buf *out)
{
	return read_row(log, derived, cat, province, collection, unit, key, false, out, NULL);
}

int
lt_record_base(struct lt_kv_txn *log, struct lt_kv_txn *derived, const struct lt_catalogue *cat,
    const struct lt_unit *province, const char *collection, const char *unit, const char *key,
    struct lt_buf *out, bool *aside)
{
	*aside = false;
	return read_row(log, derived, cat, province, collection, unit, key, true, out, aside);
}

static int
read_overlay(struct lt_kv_txn *derived, const char *collection, const char *unit, const char *key,
    struct lt_dots *overlay)
{
	struct lt_buf rk = { 0 };
	int rc;

	lt_key_record(&rk, collection, unit, key);
	rc = rk.err;
	if (rc == LT_OK && rk.len <= LT_RK_MAX)
		rc = lt_dots_read(derived, LT_T_OVERLAY, lt_buf_slice(&rk), overlay);
	lt_buf_fini(&rk);
	return rc;
}

int
lt_record_aside(struct lt_kv_txn *derived, const char *collection, const char *unit,
    const char *key, bool *aside)
{
	struct lt_dots overlay = { 0 };
	int rc = read_overlay(derived, collection, unit, key, &overlay);

	*aside = rc == LT_OK && lt_dots_drop_aside(&overlay);
	lt_dots_fini(&overlay);
	return rc;
}

int
lt_record_in_overlay(struct lt_kv_txn *derived, const char *collection, const char *unit,
    const char *key, const struct lt_dot *dot, bool *in)
{
	struct lt_dots overlay = { 0 };
	size_t i;
	int rc = read_overlay(derived, collection, unit, key, &overlay);

	*in = false;
	for (i = 0; rc == LT_OK && i < overlay.n; i++)
		*in = *in || lt_dot_cmp(&overlay.d[i].dot, dot) == 0;
	lt_dots_fini(&overlay);
	return rc;
}

int
lt_record_aside_last(struct lt_kv_txn *derived, const char *collection, const char *unit,
    const char *key, struct lt_dot *dot, uint64_t *position)
{
	struct lt_dots overlay = { 0 };
	bool any = false;
	size_t i;
	int rc = read_overlay(derived, collection, unit, key, &overlay);

	for (i = 0; rc == LT_OK && i < overlay.n; i++) {
		const struct lt_dot_at *at = &overlay.d[i];

		if (!lt_feed_is_aside(&at->dot.feed) ||
		    (any && (at->position < *position ||
				(at->position == *position && at->dot.index < dot->index))))
			continue;
		any = true;
		*dot = at->dot;
		dot->feed = lt_feed_plain(&at->dot.feed);
		*position = at->position;
	}
	lt_dots_fini(&overlay);
	return rc == LT_OK && !any ? LT_E_NOTFOUND : rc;
}

int
lt_record_get(struct lt_kv_txn *derived, const char *collection, const char *unit, const char *key,
    struct lt_arena *arena, Ltpb__Record **out)
{
	struct lt_buf rk = { 0 };
	struct lt_slice v;
	int rc;

	lt_key_record(&rk, collection, unit, key);
	rc = rk.err;
	if (rc == LT_OK)
		rc = rk.len > LT_RK_MAX ? LT_E_NOTFOUND
					: lt_kv_get(derived, LT_T_SHOWN, lt_buf_slice(&rk), &v);
	if (rc == LT_OK)
		rc = lt_record_unpack(v, arena, out);
	lt_buf_fini(&rk);
	return rc;
}

const char *
lt_record_unit_name(struct lt_kv_txn *derived, const char *unit, struct lt_arena *arena)
{
	Ltpb__Record *rec;
	size_t i;

	if (unit[0] == '\0' || lt_record_get(derived, "_unit", "_", unit, arena, &rec) != LT_OK)
		return "";
	for (i = 0; i < rec->n_field; i++) {
		const Ltpb__Value *v = rec->field[i]->value;

		if (strcmp(rec->field[i]->name, "name") == 0 && v != NULL &&
		    v->v_case == LTPB__VALUE__V_TEXT)
			return v->text;
	}
	return "";
}

/* Entries of a table whose key begins with prefix, from `from` on. */
typedef int entry_fn(void *ctx, struct lt_slice k, struct lt_slice v);

static int
each_entry(struct lt_kv_txn *txn, unsigned table, struct lt_slice prefix, struct lt_slice from,
    entry_fn *fn, void *ctx)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, table, &c), stop = LT_OK;

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek(c, from, &k, &v);
	while (rc == LT_OK && stop == LT_OK && k.len >= prefix.len &&
	       memcmp(k.data, prefix.data, prefix.len) == 0) {
		stop = fn(ctx, k, v);
		if (stop == LT_OK)
			rc = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return stop != LT_OK ? stop : rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_record_each(struct lt_kv_txn *derived, const char *collection, const char *unit,
    struct lt_slice after, lt_shown_fn *fn, void *ctx)
{
	struct lt_buf prefix = { 0 }, from = { 0 };
	int rc;

	lt_buf_str(&prefix, collection);
	lt_buf_u8(&prefix, 0);
	if (unit != NULL) {
		lt_buf_str(&prefix, unit);
		lt_buf_u8(&prefix, 0);
	}
	if (lt_slice_cmp(after, lt_buf_slice(&prefix)) >= 0) {
		lt_buf_put_slice(&from, after);
		lt_buf_u8(&from, 0);
	} else {
		lt_buf_put_slice(&from, lt_buf_slice(&prefix));
	}
	rc = prefix.err != LT_OK ? prefix.err : from.err;
	if (rc == LT_OK && from.len > LT_KV_KEY_MAX)
		rc = LT_E_INVALID;
	if (rc == LT_OK)
		rc = each_entry(
		    derived, LT_T_SHOWN, lt_buf_slice(&prefix), lt_buf_slice(&from), fn, ctx);
	lt_buf_fini(&prefix);
	lt_buf_fini(&from);
	return rc == LT_E_CANCELLED ? LT_OK : rc;
}

static int
sum_bucket(void *ctx, struct lt_slice k, struct lt_slice v)
{
	uint16_t lanes[LT_DIGEST_LANES];

	(void)k;
	if (v.len != LT_DIGEST_BYTES)
		return LT_E_CORRUPT;
	lt_digest_load(lanes, v.data);
	lt_digest_join(ctx, lanes);
	return LT_OK;
}

int
lt_digest_short(
    struct lt_kv_txn *derived, const char *collection, const char *unit, uint8_t out[16])
{
	uint16_t lanes[LT_DIGEST_LANES];
	struct lt_buf prefix = { 0 };
	int rc;

	memset(lanes, 0, sizeof(lanes));
	lt_buf_str(&prefix, collection);
	lt_buf_u8(&prefix, 0);
	lt_buf_str(&prefix, unit);
	lt_buf_u8(&prefix, 0);
	rc = prefix.err;
	if (rc == LT_OK && prefix.len > LT_KV_KEY_MAX)
		rc = LT_E_INVALID;
	if (rc == LT_OK)
		rc = each_entry(derived, LT_T_DIGEST, lt_buf_slice(&prefix), lt_buf_slice(&prefix),
		    sum_bucket, lanes);
	lt_buf_fini(&prefix);
	if (rc == LT_OK)
		lt_digest_lanes_short(out, lanes);
	return rc;
}
