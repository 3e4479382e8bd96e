/* node/own_feeds.h - which of this machine's feeds are told to the hub and followed: of many epochs those that matter. */
#ifndef LT_NODE_OWN_FEEDS_H
#define LT_NODE_OWN_FEEDS_H

#include "node/sync.h"
#include "proto/store/feed_log.h"

#include "lienthong/v1/sync.pb-c.h"

struct lt_own_feeds {
	size_t n;
	struct lt_sync_feed feed[LT_SYNC_FEEDS_MAX];
	struct lt_head head[LT_SYNC_FEEDS_MAX];
	bool unread
	    [LT_SYNC_FEEDS_MAX]; /* what the hub holds could not be compared: not usable, and no branch either */
};

/* The epoch of each lane that was written last, always, at the end of the list; before it the others that are not receipted to
 * their head, as many as there is room for: the rest come when these are held whole. asked: held is what the
 * hub says that it holds (nothing, perhaps); what it lacks is listed, receipted or not, as it may have been restored from a backup.
 * feed[].held, usable and unread are left zero. */
int lt_own_feeds_read(struct lt_kv_txn *txn, const struct lt_id *author, const struct lt_unit *unit,
    bool asked, size_t nheld, Ltpb__FeedHead *const *held, struct lt_own_feeds *out);

#endif
