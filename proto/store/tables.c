#include "proto/store/tables.h"

#include "proto/base/error.h"

#include <assert.h>
#include <stdio.h>

#define LT_TABLE_NAME(name, text) text,
const char *const lt_table_names[] = { LT_TABLES(LT_TABLE_NAME) NULL };
#undef LT_TABLE_NAME

int
lt_tables_open(const char *dir, const char *name, enum lt_kv_kind kind,
    const struct lt_fed *federation, uint64_t map_bytes, struct lt_kv **out, struct lt_err *err)
{
	struct lt_kv_options o = { .kind = kind,
		.federation = federation->b,
		.tables = lt_table_names,
		.map_bytes = map_bytes };
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return lt_err_set(err, LT_E_INVALID, "the path of the data directory is too long");
	o.path = path;
	return lt_kv_open_lmdb(&o, out, err);
}

void
lt_key_feed(struct lt_buf *out, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	lt_buf_framed8(out, lt_slice_str(unit->s));
	lt_buf_put(out, feed->b, LT_FEED_LEN);
}

void
lt_key_record(struct lt_buf *out, const char *collection, const char *unit, const char *key)
{
	lt_buf_str(out, collection);
	lt_buf_u8(out, 0);
	lt_buf_str(out, unit);
	lt_buf_u8(out, 0);
	lt_buf_str(out, key);
}

int
lt_key_record_split(
    struct lt_slice rk, struct lt_slice *collection, struct lt_slice *unit, struct lt_slice *key)
{
	const uint8_t *a, *b, *end = rk.data + rk.len;

	a = rk.len == 0 ? NULL : memchr(rk.data, 0, rk.len);
	b = a == NULL ? NULL : memchr(a + 1, 0, (size_t)(end - a - 1));
	if (b == NULL || memchr(b + 1, 0, (size_t)(end - b - 1)) != NULL)
		return LT_E_CORRUPT;
	if (a == rk.data || b == a + 1 || b + 1 == end)
		return LT_E_CORRUPT;
	*collection = lt_slice(rk.data, (size_t)(a - rk.data));
	*unit = lt_slice(a + 1, (size_t)(b - a - 1));
	*key = lt_slice(b + 1, (size_t)(end - b - 1));
	return LT_OK;
}
