/* hub/scrub.h - scrubbing the hub's store. */
#ifndef LT_HUB_SCRUB_H
#define LT_HUB_SCRUB_H

#include "hub/hub.h"
#include "proto/store/repair.h"
#include "proto/store/scrubber.h"

/* For lt_scrub_open() over this hub. */
void lt_hub_scrub_options(struct lt_hub *h, struct lt_scrub_options *o);
/* The thread that scrubs it, from where it was at the end of the program before. repairer: puts back what is
 * damaged and not derived; NULL: it is reported only. Stop it before that and the hub are closed. */
int lt_hub_scrubber_start(struct lt_hub *h, struct lt_repairer *repairer, int64_t every_ms,
    unsigned percent, struct lt_scrubber **out);

#endif
