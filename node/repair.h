/* node/repair.h - what is damaged in the node's log is put back from the hub: what is asked for, and what comes (FORMAT.md 6.14). Any
 * thread. */
#ifndef LT_NODE_REPAIR_H
#define LT_NODE_REPAIR_H

#include "node/node.h"
#include "proto/store/repair.h"

struct lt_node_repair;

int lt_node_repair_open(struct lt_node *n, struct lt_node_repair **out);
/* After whoever may yet call, the scrubber too. NULL allowed. */
void lt_node_repair_close(struct lt_node_repair *r);
/* For the scrubber, and for what is told of it; NULL of NULL. */
struct lt_repairer *lt_node_repair_repairer(struct lt_node_repair *r);

/* Is there anything that the hub could be asked for? Also when it was. r NULL: no. */
bool lt_node_repair_lacks(struct lt_node_repair *r);
/* What to ask the hub for now: at most cap of what it was not asked for since the last look. */
size_t lt_node_repair_wants(struct lt_node_repair *r, struct lt_repair_want *out, size_t cap);
/* It could not answer all: what it was asked for and has not given, it is asked for again. */
void lt_node_repair_unasked(struct lt_node_repair *r);
/* What it gave, as lt_repairer_take(). */
int lt_node_repair_take(struct lt_node_repair *r, struct lt_slice changeset, struct lt_err *err);
/* Given and not wanted, or not any more. */
uint64_t lt_node_repair_unwanted(struct lt_node_repair *r);

#endif
