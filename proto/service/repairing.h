/* proto/service/repairing.h - what hub and node share of putting damaged change-sets back from each other (Sync.Fetch, Sync.Supply;
 * FORMAT.md 6.14): giving single ones by name, and what is told of it. */
#ifndef LT_SERVICE_REPAIRING_H
#define LT_SERVICE_REPAIRING_H

#include "proto/base/arena.h"
#include "proto/store/feed_log.h"
#include "proto/store/repair.h"

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

/* Named, or given, in one call: as many as in a push. */
#define LT_REPAIR_CALL_MAX 64
/* Bytes of what one call gives, but for one change-set alone: with the frame's overhead well under LT_MESSAGE_MAX. */
#define LT_REPAIR_BYTES_MAX ((size_t)768 * 1024)

/* Change-sets that are being gathered for one message. */
struct lt_giving {
	struct lt_kv_txn *txn;
	struct lt_arena *arena; /* what was gathered lies here */
	size_t max_bytes; /* at least one goes in any case */
	size_t bytes, n;
	ProtobufCBinaryData set[LT_REPAIR_CALL_MAX];
	bool full; /* the one asked for last has no room here any more */
};

struct lt_giving_name {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
};

/* LT_E_INVALID. */
int lt_giving_name_read(const Ltpb__ChangeSetName *m, struct lt_giving_name *out);
/* In the arena with all that it points to; NULL: no memory. */
Ltpb__ChangeSetName *lt_giving_name_pack(const struct lt_repair_want *w, struct lt_arena *arena);
/* Add this one, with openings as may says (lt_feed_log_compose()). What is not here, or damaged here, is passed over. LT_E_NOMEM. */
int lt_giving_add(
    struct lt_giving *g, const struct lt_giving_name *name, lt_may_fn *may, void *ctx);

/* What is told of a repair; NULL: there is none. In the arena; LT_E_NOMEM. */
int lt_repairing_tell(
    struct lt_repairer *r, uint64_t unasked, struct lt_arena *arena, Ltpb__Repair **out);

#endif
