/* proto/service/checkpoints.h - a handler of Admin: the newest checkpoint, who has cosigned which, and what contradicts what, as this machine's
 * log keeps it. Any thread, in a read transaction of the log. */
#ifndef LT_SERVICE_CHECKPOINTS_H
#define LT_SERVICE_CHECKPOINTS_H

#include "proto/base/arena.h"
#include "proto/store/checkpoints.h"
#include "proto/store/registry.h"

#include "lienthong/v1/admin.pb-c.h"

/* In one answer, the newest ones. */
#define LT_SHOWN_COSIGNERS_MAX 1024
#define LT_SHOWN_CHECKPOINTS_MAX 256

/* certificate: the hub's of now, borrowed as long as the reply; empty: it is not known. Who is not an active node of the registry is left out. The
 * reply, but for `own`, lives in the arena. LT_E_NOMEM, store errors. */
int lt_checkpoint_show(struct lt_kv_txn *log, const struct lt_registry *reg,
    struct lt_slice certificate, struct lt_arena *arena, Ltpb__ShowCheckpointReply *r);

#endif
