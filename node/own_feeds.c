#include "node/own_feeds.h"
#include "node/node.h"
#include "proto/base/simbug.h"

#include <string.h>

#define LANES 3

struct choosing {
	struct lt_kv_txn *txn;
	const struct lt_id *author;
	bool asked;
	size_t nheld;
	Ltpb__FeedHead *const *held;
	struct lt_own_feeds *out;
	bool any[LANES];
	struct lt_sync_feed newest[LANES];
	struct lt_head newest_head[LANES];
};

/* The lane's place, -1: not one of ours. */
static int
lane_of(const struct choosing *c, const struct lt_feed_id *feed)
{
	struct lt_id author = lt_feed_author(feed);
	int lane = (int)lt_feed_lane(feed) - 1;

	return lt_id_eq(&author, c->author) && lane >= 0 && lane < LANES ? lane : -1;
}

static int
find_newest(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct choosing *c = ctx;
	int lane = lane_of(c, feed);

	(void)unit;
	if (lane < 0 || (c->any[lane] && head->last_position < c->newest_head[lane].last_position))
		return LT_OK;
	c->any[lane] = true;
	c->newest[lane].feed = *feed;
	c->newest[lane].head = head->seq;
	c->newest_head[lane] = *head;
	return LT_OK;
}

static bool
hub_lacks(const struct choosing *c, const struct lt_feed_id *feed, const struct lt_head *head)
{
	size_t i;

	if (!c->asked || LT_SIM_BUG(RECEIPTED_NOT_OFFERED))
		return false;
	for (i = 0; i < c->nheld; i++)
		if (c->held[i]->feed.len == LT_FEED_LEN &&
		    memcmp(c->held[i]->feed.data, feed->b, LT_FEED_LEN) == 0)
			return c->held[i]->seq != head->seq ||
			       c->held[i]->hash.len != LT_HASH_LEN ||
			       memcmp(c->held[i]->hash.data, head->hash.b, LT_HASH_LEN) != 0;
	return true;
}

static int
take_open(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct choosing *c = ctx;
	struct lt_own_feeds *o = c->out;
	int lane = lane_of(c, feed), rc;
	uint64_t receipted;

	if (lane < 0 || o->n == LT_SYNC_FEEDS_MAX - LANES ||
	    lt_feed_id_cmp(feed, &c->newest[lane].feed) == 0)
		return LT_OK;
	rc = lt_node_receipted(c->txn, unit, feed, &receipted);
	if (rc != LT_OK || (receipted >= head->seq && !hub_lacks(c, feed, head)))
		return rc;
	o->feed[o->n].feed = *feed;
	o->feed[o->n].head = head->seq;
	o->head[o->n++] = *head;
	return LT_OK;
}

int
lt_own_feeds_read(struct lt_kv_txn *txn, const struct lt_id *author, const struct lt_unit *unit,
    bool asked, size_t nheld, Ltpb__FeedHead *const *held, struct lt_own_feeds *out)
{
	struct choosing c = { .txn = txn,
		.author = author,
		.asked = asked,
		.nheld = nheld,
		.held = held,
		.out = out };
	int lane, rc;

	memset(out, 0, sizeof(*out));
	rc = lt_feed_log_each(txn, unit, find_newest, &c);
	if (rc == LT_OK)
		rc = lt_feed_log_each(txn, unit, take_open, &c);
	for (lane = 0; rc == LT_OK && lane < LANES; lane++) {
		if (!c.any[lane])
			continue;
		out->feed[out->n] = c.newest[lane];
		out->head[out->n++] = c.newest_head[lane];
	}
	return rc;
}
