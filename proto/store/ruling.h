/* proto/store/ruling.h - rulings of a hub on branches of a feed (FORMAT.md 8.6), as hub and nodes keep them: in table local,
 * `ruling/<unit>/<feed>/<seq>/<first 8 bytes of the other hash>`. They stay; the first one about a branch counts.
 *
 * Functions work inside the caller's transaction of the log (a node's store). */
#ifndef LT_STORE_RULING_H
#define LT_STORE_RULING_H

#include "proto/feed/changeset.h"
#include "proto/store/kv.h"

#include "lienthong/v1/trust.pb-c.h"

#define LT_RULING_KEYS 2
#define LT_RULING_NAME 160
#define LT_RULING_MAX 1024 /* bytes of a Ruling; one has less than 250 */

struct lt_ruling_key {
	uint32_t no;
	uint8_t pk[32];
};

struct lt_ruling {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_hash counts, other;
	size_t nkey;
	struct lt_ruling_key key[LT_RULING_KEYS];
	uint64_t position; /* in this log, of the change-set that carries it; 0: not said */
};

/* From the bytes of a Ruling; position is 0. LT_E_INVALID: malformed, or both hashes are the same. LT_E_NOMEM. */
int lt_ruling_parse(const struct lt_unit *unit, struct lt_slice bytes, struct lt_ruling *out);
/* Back, appended. Key of its record: 120 bytes are enough. */
int lt_ruling_pack(const struct lt_ruling *r, struct lt_buf *out);
void lt_ruling_key(const struct lt_ruling *r, char *key, size_t cap);
/* The Ruling bytes in a change of collection `_ruling`. LT_E_INVALID. */
int lt_ruling_of_change(const struct lt_change *c, struct lt_slice *bytes);

/* Keep one that was written or came. *again (NULL allowed): there is one about this branch already, nothing is changed. Store errors. */
int lt_ruling_put(struct lt_kv_txn *txn, const struct lt_ruling *r, bool *again);
/* LT_E_NOTFOUND: none about a branch whose change-set seq has this hash. */
int lt_ruling_get(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, const struct lt_hash *other, struct lt_ruling *out);
/* LT_E_FORK: a ruling says that this change-set is of a branch that does not count. LT_OK: none does. */
int lt_ruling_check(struct lt_kv_txn *txn, const struct lt_changeset *cs);
/* All, or those of one unit (NULL: all), by unit, feed, seq. fn: LT_OK to go on; it must not write.
 * Rows that are damaged are logged and passed over. */
typedef int lt_ruling_fn(void *ctx, const struct lt_ruling *r);
int lt_ruling_each(struct lt_kv_txn *txn, const struct lt_unit *unit, lt_ruling_fn *fn, void *ctx);

#endif
