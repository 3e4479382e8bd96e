#include "proto/store/derived.h"
#include "proto/base/wire.h"
#include "proto/model/merge.h"
#include "proto/store/feed_log.h"

#include <string.h>

static int
compare(struct lt_kv *log, struct lt_kv_txn *txn, struct lt_slice cursor, bool *ahead,
    uint8_t sign[LT_DERIVED_SIGN_LEN])
{
	struct lt_entry e;
	uint64_t position, last;
	int rc;

	/* Of whatever merge version: rows may be another program's, position and hash are of the log. */
	if (cursor.len != LT_DERIVED_CURSOR_LEN ||
	    memcmp(cursor.data, lt_kv_incarnation(log), 16) != 0)
		return LT_OK;
	position = lt_load_u64(cursor.data + 16);
	memcpy(sign, cursor.data + 24, LT_DERIVED_SIGN_LEN);
	rc = lt_feed_log_last(txn, &last);
	if (rc != LT_OK || position == 0)
		return rc;
	*ahead = position > last;
	/* An entry that cannot be read is damage, and no sign of this. */
	if (!*ahead && lt_feed_log_read(txn, position, &e) == LT_OK)
		*ahead = memcmp(e.running.b, cursor.data + 24, LT_HASH_LEN) != 0;
	return LT_OK;
}

int
lt_derived_ahead(
    struct lt_kv *log, struct lt_kv *derived, bool *ahead, uint8_t sign[LT_DERIVED_SIGN_LEN])
{
	struct lt_kv_txn *l, *d;
	struct lt_slice v;
	int rc = lt_kv_begin_read(log, &l);

	*ahead = false;
	memset(sign, 0, LT_DERIVED_SIGN_LEN);
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_begin_read(derived, &d);
	if (rc == LT_OK) {
		rc = lt_kv_get(d, LT_T_CURSOR, lt_slice_str(LT_DERIVED_CURSOR), &v);
		if (rc == LT_OK)
			rc = compare(log, l, v, ahead, sign);
		lt_kv_abort(d);
	}
	lt_kv_abort(l);
	return rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_derived_other_version(struct lt_kv *derived, bool *other)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	int rc = lt_kv_begin_read(derived, &txn);

	*other = true;
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_get(txn, LT_T_CURSOR, lt_slice_str(LT_DERIVED_CURSOR), &v);
	if (rc == LT_OK && v.len == LT_DERIVED_CURSOR_LEN)
		*other = lt_load_u32(v.data + 56) != LT_MERGE_VERSION;
	lt_kv_abort(txn);
	return rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND ? LT_OK : rc;
}
