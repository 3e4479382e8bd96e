/* hub/pull.h - what goes down to nodes: server streams of change-sets that wait for news (design section 10).
 *
 * A stream sends the feeds of `_`, the province and the node's own commune, from the positions the node
 * named, in that order of units; openings only of the commune's own records. Any thread. */
#ifndef LT_HUB_PULL_H
#define LT_HUB_PULL_H

#include "hub/hub.h"
#include "proto/rpc/rpc.h"

struct lt_pulls;

int lt_pulls_open(struct lt_hub *h, struct lt_pool *pool, struct lt_pulls **out);
void lt_pulls_close(struct lt_pulls *p); /* after every stream has closed; NULL allowed */
/* The log has grown: wake the streams it concerns. Short; any thread. */
void lt_pulls_news(struct lt_pulls *p);
/* Serve a Pull call of a node of this unit. Ends the call itself on failure. */
void lt_pulls_start(struct lt_pulls *p, struct lt_call *call, const struct lt_id *node,
    const struct lt_unit *unit, const Ltpb__PullRequest *req);

#endif
