/* proto/service/feeds.h - a handler of Admin: the feeds of this machine's log, and what stands in one. Any thread, in a
 * read transaction of the log. */
#ifndef LT_SERVICE_FEEDS_H
#define LT_SERVICE_FEEDS_H

#include "proto/store/feed_log.h"
#include "proto/store/registry.h"

#include "lienthong/v1/admin.pb-c.h"

/* Bytes in one reply of ListFeeds, ReadLog and the like: well under a message. */
#define LT_LISTING_BYTES_MAX ((size_t)900 * 1024)

/* What of the log an asker may see; NULL in its place: everything. */
struct lt_feeds_sight {
	bool (*unit)(
	    void *ctx, const char *unit); /* that the unit has feeds, and how long they are */
	bool (*changes)(void *ctx, const char *unit, const char *collection);
	void *ctx;
};

/* Every feed in sight, or those of the unit asked for. as_signed: tells the author's own time of its last change-set, not the one
 * it was judged to have (a node has no judgement of what it has just made). max: LT_E_NOMEM beyond it. The reply lives
 * in the arena. LT_E_INVALID: no unit code. LT_E_DENIED: that unit is out of sight. */
int lt_feeds_list(struct lt_kv_txn *log, const Ltpb__ListFeedsRequest *req,
    const struct lt_registry *reg, const struct lt_feeds_sight *sight, bool as_signed, size_t max,
    struct lt_arena *arena, Ltpb__ListFeedsReply *reply);

/* Change-sets of one feed from a number on, until the reply is full: at most 64 and LT_LISTING_BYTES_MAX, but always
 * one, with the openings that may says (lt_feed_log_compose(), ctx NULL). A feed that is not here, or ends before: none.
 * One that holds changes out of sight is withheld whole, as without them nobody could check it: the reply ends before it,
 * and LT_E_DENIED when it is the first, with the number to go on from; a gap that nobody is told of there is none.
 * LT_E_INVALID with words: unit and feed must be named. */
int lt_feeds_read(struct lt_kv_txn *log, const Ltpb__ReadLogRequest *req, lt_may_fn *may,
    const struct lt_feeds_sight *sight, struct lt_arena *arena, Ltpb__ReadLogReply *reply,
    struct lt_err *err);

#endif
