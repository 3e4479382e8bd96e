/* hub/checkpoint.h - the hub's checkpoints: what it says of its own feeds in `_`, who has cosigned what, and what each node is told of the
 * others (FORMAT.md 15).
 *
 * Threads: any. One is made, durable before it is shown, when somebody asks and something changed, at most one a minute. A hub
 * that waits for its nodes (recovery.h) makes none: what it has signed since is not all known yet.
 */
#ifndef LT_HUB_CHECKPOINT_H
#define LT_HUB_CHECKPOINT_H

#include "hub/hub.h"

#include "lienthong/v1/admin.pb-c.h"

struct lt_checkpoints;

#define LT_CHECKPOINT_EVERY_MS INT64_C(60000)
/* Of one node: one a minute is made, and a line that comes back brings the same again. */
#define LT_COSIGN_GAP_MS INT64_C(20000)
/* What others were shown goes to a node once in so long, LT_COSIGNED_BYTES_MAX at most: 550 bit/s, of a line of 20 kbit/s. */
#define LT_COSIGNED_EVERY_MS INT64_C(60000)
/* A new connection is told of all others again that soon at the earliest: what was lost on the way comes then, and a line that drops every few
 * seconds does not carry it each time. */
#define LT_COSIGNED_ANEW_MS INT64_C(3600000)

/* Before the writer starts; closed when it has stopped. */
int lt_checkpoints_open(struct lt_hub *h, struct lt_checkpoints **out);
void lt_checkpoints_close(struct lt_checkpoints *c); /* NULL allowed */

/* What a node is told: the newest, unless it was told that on this connection, and those that others cosigned and it was not told of. hello: the
 * connection begins. In the arena. Where it is time for the next one it is made, and this waits for the writer: not on its thread. */
int lt_hub_checkpoint_tell(struct lt_hub *h, const struct lt_registry *reg,
    const struct lt_id *node, bool hello, struct lt_arena *arena, Ltpb__Checkpoint **newest,
    size_t *ncosigned, Ltpb__Checkpoint ***cosigned);
/* One that a node cosigned: verified, and kept in place of what it cosigned before. Durable when this returns LT_OK: not on the writer's thread. LT_E_EXISTS: that one is kept already, or it is too early for
 * another; LT_E_INVALID, LT_E_DENIED, LT_E_BADSIG, LT_E_UNKNOWN (signed with a key of before), LT_E_REFUSED (there is no room). */
int lt_hub_checkpoint_cosigned(struct lt_hub *h, const struct lt_principal *node,
    const Ltpb__Checkpoint *c, struct lt_err *err);

#endif
