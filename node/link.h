/* node/link.h - carries out what node/sync.h decides: dials the hub and calls it. What is asked and what answers mean is
 * session.h's.
 *
 * One thread of its own runs the step function; calls and answers run on the pool. */
#ifndef LT_NODE_LINK_H
#define LT_NODE_LINK_H

#include "node/node.h"
#include "node/repair.h"
#include "node/sync.h"
#include "proto/rpc/rpc.h"

struct lt_link;

struct lt_link_options {
	struct lt_node *node;
	struct lt_pool *pool;
	struct lt_node_repair *repair; /* NULL: nothing that is damaged here is asked of the hub */
	const char *addresses; /* of the hub, blanks between; tried in turn */
	const char *label; /* this machine's name for people, told when joining; NULL: none */
	int bulk_from, bulk_to; /* minutes of the day; equal: always */
	uint32_t idle_ms; /* of the line, as in lt_dial_options */
	/* So often the hub is asked who has read this commune's records (audit.h); 0: never. */
	uint32_t audit_every_ms;
	/* Called once when the hub says the principal is active (the invitation is spent). NULL allowed. */
	void (*joined)(void *ctx);
	/* Called after each login, on a thread of the pool: short. NULL allowed. */
	void (*greeted)(void *ctx);
	void *ctx;
};

struct lt_link_status {
	enum lt_sync_phase phase;
	char error_vi
	    [768]; /* the same for people who read Vietnamese; "" where there are no such words */
	char error[768]; /* last failure, "" when none since the last login */
	int64_t last_contact_ms; /* wall clock, 0 never */
	uint64_t
	    silent; /* lines given up because nothing was heard or taken on them any more, since the start */
};

int lt_link_start(const struct lt_link_options *o, struct lt_link **out, struct lt_err *err);
void lt_link_stop(struct lt_link *l); /* NULL allowed; returns when nothing runs any more */
void lt_link_status(struct lt_link *l, struct lt_link_status *out);
/* Whether (feed, seq) is in a push under way, or in one that the hub answered (sent.h): for the clerk's "sent". */
bool lt_link_sent(void *link, const struct lt_feed_id *feed, uint64_t seq);

#endif
