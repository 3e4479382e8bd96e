/* node/sent.h - which own change-sets are on their way to the hub at this moment: for the clerk's "sent".
 *
 * On its way is what a push carries that has begun and not ended. A push that fails, or whose line drops, takes its
 * change-sets back to saved; one that was answered leaves a mark of what the hub holds, so that a reader with a snapshot of the
 * store from before the receipt does not see them fall back. No socket, no disk, no lock: the caller's. */
#ifndef LT_NODE_SENT_H
#define LT_NODE_SENT_H

#include "node/sync.h"

struct lt_sent_feed {
	struct lt_feed_id feed;
	uint64_t held; /* the hub has said so */
	uint64_t to; /* of the push under way; 0: none */
	uint64_t push; /* its number */
};

struct lt_sent {
	size_t n;
	struct lt_sent_feed feed[LT_SYNC_FEEDS_MAX];
};

/* A push of this feed up to seq `to` begins. push: a number of its own. In place of an earlier one of the same feed. With every
 * place taken by pushes under way it is not noted: its change-sets stay saved. */
void lt_sent_begin(struct lt_sent *s, const struct lt_feed_id *feed, uint64_t to, uint64_t push);
/* It ended. held: what the hub holds by its answer, 0 when there was none. Nothing when the push is not, or no longer, noted. */
void lt_sent_end(struct lt_sent *s, uint64_t push, uint64_t held);
/* The line is gone, and every push with it. */
void lt_sent_drop(struct lt_sent *s);
bool lt_sent_has(const struct lt_sent *s, const struct lt_feed_id *feed, uint64_t seq);

#endif
