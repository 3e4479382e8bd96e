/* node/rotate.h - new keys for this machine while everything goes on (FORMAT.md 4.6).
 *
 * In steps, each durable before the next, and each doing no harm when it is done twice: new keys into the second slot of the
 * identity; the hub confirms them, signed by the old ones, and takes both from then on; they come into the first slot; from here on they
 * sign and dial; the hub is told how far the old ones reached, and ends them. Wherever the power fails, the keys in the first slot work. */
#ifndef LT_NODE_ROTATE_H
#define LT_NODE_ROTATE_H

#include "node/node.h"
#include "proto/rpc/rpc.h"

struct lt_rotator;

struct lt_rotator_options {
	struct lt_node *node;
	struct lt_pool *pool;
	const char *dir; /* of the identity */
	const char *addresses; /* of the hub, blanks between */
};

/* What the options point to is borrowed. LT_E_NOMEM. */
int lt_rotator_new(const struct lt_rotator_options *o, struct lt_rotator **out);
void lt_rotator_free(struct lt_rotator *r); /* nothing of it runs any more; NULL allowed */
/* New keys; or, where that was begun before and did not come to its end, those. Blocks for seconds: it dials the hub on a line of its
 * own. Any thread, one at a time: LT_E_BUSY. LT_E_REFUSED: not enrolled; LT_E_UNAVAILABLE and the like: the hub cannot be asked; what it
 * refused, as LT_E_REFUSED with its words. On failure the machine goes on with the keys that it has. */
int lt_rotator_run(struct lt_rotator *r, struct lt_err *err);
/* Only what was begun and did not come to its end. Nothing: LT_OK, without asking the hub. */
int lt_rotator_resume(struct lt_rotator *r, struct lt_err *err);
/* Whether there is anything to resume. No line. */
bool lt_rotator_begun(struct lt_rotator *r);

#endif
