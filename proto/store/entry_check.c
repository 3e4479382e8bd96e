#include "proto/store/entry_check.h"

size_t
lt_entry_leaves(const struct lt_changeset *cs)
{
	size_t i, n = 0;

	for (i = 0; i < cs->nchange; i++)
		n += cs->change[i].npersonal;
	return n;
}

int
lt_entry_openings(
    struct lt_kv_txn *txn, const struct lt_entry *e, struct lt_arena *arena, size_t *bytes)
{
	struct lt_buf whole = { 0 };
	struct lt_changeset cs;
	int rc = lt_feed_log_compose(txn, e, NULL, NULL, &whole, NULL);

	if (rc == LT_OK)
		rc = lt_changeset_parse(lt_buf_slice(&whole), arena, &cs, NULL);
	if (rc == LT_OK)
		rc = lt_changeset_verify_openings(&cs, NULL);
	*bytes = whole.len;
	lt_buf_fini(&whole);
	return rc;
}
