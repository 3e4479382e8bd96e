/* hub/pull_plan.h - what a node or a mirror that pulls gets, and in which order, apart from the stream that carries it.
 *
 * The feeds of `_`, the province and then the node's own commune, or whatever units a mirror was granted, from the positions that
 * it named; which of them, and which personal values, proto/store/access.h says, asked anew each time something is sent. Of what the
 * node wrote itself only a tail that it lost. A plan is used by one thread at a time. */
#ifndef LT_HUB_PULL_PLAN_H
#define LT_HUB_PULL_PLAN_H

#include "hub/hub.h"

struct lt_pull_plan;

/* For a node of this unit, or a mirror ("" as its unit), on the line of its key key_no, from where its request says that it stands; nothing of the arguments is kept but h.
 * LT_E_INVALID: a position in it is malformed. */
int lt_pull_plan_new(struct lt_hub *h, const struct lt_id *node, uint32_t key_no,
    const struct lt_unit *unit, const Ltpb__PullRequest *req, struct lt_pull_plan **out);
void lt_pull_plan_free(struct lt_pull_plan *p); /* NULL allowed */
const struct lt_unit *lt_pull_plan_unit(const struct lt_pull_plan *p);
/* The node asked to be sent what comes later, too. */
bool lt_pull_plan_follows(const struct lt_pull_plan *p);

/* Takes one PullItem, or says with any other code that it did not; the item dies with the call. */
typedef int lt_pull_send_fn(void *ctx, const ProtobufCMessage *item);
/* Hand over what the node lacks, each change-set once, then CaughtUp if that was not said since the last one. LT_OK: all
 * of that. Else send's code, and the plan goes on there next time; LT_E_DENIED: neither an active node of the unit
 * nor a mirror that may pull, any more, or revoked a moment ago; or a store error. */
int lt_pull_plan_send(struct lt_pull_plan *p, lt_pull_send_fn *send, void *ctx);

/* Whose feeds moved. */
struct lt_pull_news {
	bool all; /* of everybody's interest, or too many to list */
	size_t n;
	struct lt_unit unit[256];
};

/* Units of the log's entries after *seen, which is raised to the log's end. */
int lt_pull_news_read(struct lt_hub *h, uint64_t *seen, struct lt_pull_news *out);
bool lt_pull_news_concern(const struct lt_pull_news *news, const struct lt_unit *unit);

#endif
