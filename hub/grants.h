/* hub/grants.h - grants of those who are in: listed, given and taken as records of `_grant` (FORMAT.md 8.3).
 *
 * What a new one may hold hub/grant.h says, who may give which proto/store/access.h. Any thread. */
#ifndef LT_HUB_GRANTS_H
#define LT_HUB_GRANTS_H

#include "hub/grant.h"

#define LT_GRANTS_EACH_MAX \
	64 /* active ones of one principal: each request is held against all of them */
#define LT_GRANTS_TAKEN_TOLD \
	64 /* of those taken, the newest ones: who could have given one may know of the principal */

struct lt_grant_held {
	uint32_t no;
	bool active;
	Ltpb__Grant *grant; /* NULL: taken, and not told (lt_grants_of()) */
};

/* Every grant of a principal that there ever was, rising by number, in the arena; of those that were taken only the newest `taken` are
 * told, for they grow in number without an end. LT_E_CORRUPT, LT_E_NOMEM. */
int lt_grants_of(struct lt_hub *h, const struct lt_id *principal, size_t taken,
    struct lt_arena *arena, struct lt_grant_held **out, size_t *n);
/* One more, as lt_grant_take() made it; *no is its number, or that of an active one that says the same: then nothing is written. It
 * counts when this returns. Asked again, or by several at once, it is one: what was written and not shown yet is seen, too. LT_E_INVALID:
 * too many; else as lt_hub_write(). */
int lt_grants_give(struct lt_hub *h, const struct lt_id *principal, const Ltpb__Grant *grant,
    uint32_t *no, struct lt_err *err);
/* One less; it counts no more when this returns. Taken before: LT_OK. */
int lt_grants_take(
    struct lt_hub *h, const struct lt_id *principal, uint32_t no, struct lt_err *err);

#endif
