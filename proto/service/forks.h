/* proto/service/forks.h - a handler of Admin: the forks that this machine knows of, and their evidence. Any thread, in a read
 * transaction of the log. */
#ifndef LT_SERVICE_FORKS_H
#define LT_SERVICE_FORKS_H

#include "proto/service/feeds.h"
#include "proto/store/ruling.h"

/* Where this machine keeps branches that do not count. */
struct lt_forks_from {
	/* Each change-set of such a branch, in the unit (NULL: all); fn's answer other than LT_OK stops. cs is without its changes. */
	int (*each)(void *ctx, struct lt_kv_txn *log, const struct lt_unit *unit,
	    int (*fn)(void *to, const struct lt_changeset *cs), void *to);
	void *ctx;
};

/* What is asked for and in sight, in order of unit, feed, number: first what is ruled, then what is not yet. The reply lives in the arena.
 * LT_E_INVALID with words; LT_E_DENIED: that unit is out of sight. */
int lt_forks_list(struct lt_kv_txn *log, const Ltpb__ListForksRequest *req,
    const struct lt_registry *reg, const struct lt_feeds_sight *sight,
    const struct lt_forks_from *from, struct lt_arena *arena, Ltpb__ListForksReply *reply,
    struct lt_err *err);

#endif
