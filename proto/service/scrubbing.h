/* proto/service/scrubbing.h - what a daemon tells of its scrub. */
#ifndef LT_SERVICE_SCRUBBING_H
#define LT_SERVICE_SCRUBBING_H

#include "proto/base/arena.h"
#include "proto/rpc/status.h"
#include "proto/store/scrubber.h"

#include "lienthong/v1/admin.pb-c.h"

/* Begin a round if that was asked for, and say how far it is. In the arena. LT_E_NOMEM. scrubber NULL: there
 * is none, and no round ever was. (What is told of the repair: repairing.h.) */
int lt_scrubbing_answer(struct lt_scrubber *s, const Ltpb__ScrubRequest *req,
    struct lt_arena *arena, Ltpb__ScrubReply *reply);
/* The members of a status that tell of it; scrubber NULL: none. */
void lt_scrubbing_status(struct lt_scrubber *s, Ltpb__StatusReply *reply);
/* What it has found and what is not mended yet: until then, answers from this store may lack something. NULL: 0. */
uint64_t lt_scrubbing_findings(struct lt_scrubber *s);
/* Words for an answer that something is not there, while that may be the damage. False: there are no findings. */
bool lt_scrubbing_not_found(struct lt_scrubber *s, struct lt_status *out);
/* Would building the derived tables anew lose what stands in them? LT_OK, or LT_E_CORRUPT with words: the scrub found the log
 * damaged, and what comes from there cannot be built again. */
int lt_scrubbing_may_rebuild(struct lt_scrubber *s, struct lt_err *err);

#endif
