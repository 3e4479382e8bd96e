/* hub/outvoted.h - is the hub's clock the wrong one? One machine's clock against one other says nothing; against most of those on
 * the line it does (reliability C4). Nothing that is merged or decided asks this: people do, who would else set the clocks that are right. */
#ifndef LT_HUB_OUTVOTED_H
#define LT_HUB_OUTVOTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So far apart that neither zone, nor drift, nor a slow line is the reason. */
#define LT_OUTVOTED_MS INT64_C(3600000)
/* Of two nobody knows which is wrong. */
#define LT_OUTVOTED_MIN 3

/* offset: of each machine its clock minus the hub's, ms; put in order. true: more than half of at least LT_OUTVOTED_MIN are more than
 * LT_OUTVOTED_MS away on the same side; *by is then the middle one. Pure. */
bool lt_outvoted(int64_t *offset, size_t n, int64_t *by);

#endif
