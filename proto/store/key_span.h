/* proto/store/key_span.h - how far a key reaches in a feed. Within one feed key numbers never fall: the hub takes none that does. */
#ifndef LT_STORE_KEY_SPAN_H
#define LT_STORE_KEY_SPAN_H

#include "proto/store/feed_log.h"

/* The last change-set of the feed that was signed with this key number or one below it: its seq, 0 if there is none, and its hash.
 * head: of the feed, in this transaction. LT_E_CORRUPT, store errors. */
int lt_key_span(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head, uint32_t key_no, uint64_t *seq, struct lt_hash *hash);

#endif
