/* hub/repair.h - what is damaged in the hub's log is put back from the nodes that have it: which node is asked for what, and what
 * they return (FORMAT.md 6.14).
 *
 * A node is asked for what it has been sent, or wrote: its author first, others of the commune when the author was given its time;
 * what the hub itself wrote for everybody, any node. One node at a time: 148 would send the same. Any thread. */
#ifndef LT_HUB_REPAIR_H
#define LT_HUB_REPAIR_H

#include "hub/hub.h"
#include "proto/store/repair.h"

#define LT_HUB_REPAIR_TURN_MS 30000 /* what one node was asked for, the next one is not before */

struct lt_hub_repair;

int lt_hub_repair_open(struct lt_hub *h, struct lt_hub_repair **out);
/* After whoever may yet call, the scrubber too. NULL allowed. */
void lt_hub_repair_close(struct lt_hub_repair *r);
/* For the scrubber, and for what is told of it; NULL of NULL. */
struct lt_repairer *lt_hub_repair_repairer(struct lt_hub_repair *r);

/* What this node is asked for now, each time something else: at most cap. r NULL: nothing. */
size_t lt_hub_repair_ask(struct lt_hub_repair *r, const struct lt_registry *reg,
    const struct lt_principal *node, struct lt_repair_want *out, size_t cap);
/* A new session of it: what it was asked for in the last one and has not returned, it is asked for again. */
void lt_hub_repair_greeted(struct lt_hub_repair *r, const struct lt_id *node);
/* What it returned, as lt_repairer_take(). */
int lt_hub_repair_take(struct lt_hub_repair *r, const struct lt_id *node, struct lt_slice changeset,
    struct lt_err *err);
/* Returned and not wanted, or not any more. */
uint64_t lt_hub_repair_unasked(struct lt_hub_repair *r);

#endif
