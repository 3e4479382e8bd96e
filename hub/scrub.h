/* hub/scrub.h - scrubbing the hub's store. */
#ifndef LT_HUB_SCRUB_H
#define LT_HUB_SCRUB_H

#include "hub/hub.h"
#include "proto/store/scrubber.h"

/* For lt_scrub_open() over this hub. */
void lt_hub_scrub_options(struct lt_hub *h, struct lt_scrub_options *o);
/* The thread that scrubs it, from where it was at the end of the program before. Stop it before the hub is closed. */
int lt_hub_scrubber_start(
    struct lt_hub *h, int64_t every_ms, unsigned percent, struct lt_scrubber **out);

#endif
