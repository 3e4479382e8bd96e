/* hub/pull.h - what goes down to nodes: server streams of change-sets that wait for news (design section 10).
 *
 * What a stream sends is hub/pull_plan.h's. Any thread. */
#ifndef LT_HUB_PULL_H
#define LT_HUB_PULL_H

#include "hub/pull_plan.h"
#include "proto/rpc/rpc.h"

struct lt_pulls;

int lt_pulls_open(struct lt_hub *h, struct lt_pool *pool, struct lt_pulls **out);
void lt_pulls_close(struct lt_pulls *p); /* after every stream has closed; NULL allowed */
/* The log has grown: wake the streams it concerns. Short; any thread. */
void lt_pulls_news(struct lt_pulls *p);
/* The registry is another: whoever may no more is told so, or gets less, also when nothing new comes. Short; any thread. */
void lt_pulls_recheck(struct lt_pulls *p);
/* Serve a Pull call by its plan, which is taken. Ends the call itself on failure. */
void lt_pulls_start(struct lt_pulls *p, struct lt_call *call, struct lt_pull_plan *plan);

#endif
