/* proto/service/scrubbing.h - what a daemon tells of its scrub. */
#ifndef LT_SERVICE_SCRUBBING_H
#define LT_SERVICE_SCRUBBING_H

#include "proto/base/arena.h"
#include "proto/store/scrubber.h"

#include "lienthong/v1/admin.pb-c.h"

/* Begin a round if that was asked for, and say how far it is. In the arena. LT_E_NOMEM. scrubber NULL: there
 * is none, and no round ever was. */
int lt_scrubbing_answer(struct lt_scrubber *s, const Ltpb__ScrubRequest *req,
    struct lt_arena *arena, Ltpb__ScrubReply *reply);
/* The members of a status that tell of it; scrubber NULL: none. */
void lt_scrubbing_status(struct lt_scrubber *s, Ltpb__StatusReply *reply);
/* Would building the derived tables anew lose what stands in them? LT_OK, or LT_E_CORRUPT with words: the scrub found the log
 * damaged, and what comes from there cannot be built again. */
int lt_scrubbing_may_rebuild(struct lt_scrubber *s, struct lt_err *err);

#endif
