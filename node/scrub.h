/* node/scrub.h - scrubbing the node's store, and putting right what is derived. */
#ifndef LT_NODE_SCRUB_H
#define LT_NODE_SCRUB_H

#include "node/node.h"
#include "proto/store/repair.h"
#include "proto/store/scrubber.h"

/* For lt_scrub_open() over this node. */
void lt_node_scrub_options(struct lt_node *n, struct lt_scrub_options *o);
/* The thread that scrubs it, from where it was at the end of the program before. repairer: puts back what is
 * damaged and not derived; NULL: it is reported only. Stop it before that and the node are closed. */
int lt_node_scrubber_start(struct lt_node *n, struct lt_repairer *repairer, int64_t every_ms,
    unsigned percent, struct lt_scrubber **out);

/* Put the derived tables right in their place (proto/store/mend.h), in steps between the writes of clerks; goes on after a restart.
 * LT_OK: it will begin; LT_E_UNAVAILABLE: the queue is full. Any thread. */
int lt_node_mend(struct lt_node *n);
/* Is that under way? Any thread. */
bool lt_node_mending(struct lt_node *n);

#endif
