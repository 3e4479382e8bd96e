#include "proto/store/tables.h"

#include "proto/base/error.h"

#include <assert.h>

#define LT_TABLE_NAME(name, text) text,
const char *const lt_table_names[] = { LT_TABLES(LT_TABLE_NAME) NULL };
#undef LT_TABLE_NAME

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
