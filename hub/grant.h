/* hub/grant.h - what an invitation gives: asked for by whoever invites, checked here, written into `_grant` by approval.
 *
 * Kept packed, as Grant bytes (FORMAT.md 9.7), where no list is empty and "all" stands alone. Any thread. */
#ifndef LT_HUB_GRANT_H
#define LT_HUB_GRANT_H

#include "hub/hub.h"

#include "lienthong/v1/trust.pb-c.h"

/* Items of one grant, repeats counted: a province has some 130 communes, the catalogue some 40 collections. Together they
 * keep each set of a `_grant` record below its 16,384 bytes. */
#define LT_GRANT_VERBS_MAX 8
#define LT_GRANT_UNITS_MAX 256
#define LT_GRANT_COLLECTIONS_MAX 64
#define LT_GRANT_FIELDS_MAX 128
#define LT_GRANT_BYTES_MAX 16384

/* The grant of somebody with this role, appended to out. asked: NULL, or with lists that may be empty: all that the role
 * may. LT_E_INVALID with words that name the value and what to do. */
int lt_grant_take(struct lt_hub *h, Ltpb__Role role, const Ltpb__Grant *asked, struct lt_buf *out,
    struct lt_err *err);
/* All that the role may, appended to out. */
int lt_grant_whole(Ltpb__Role role, struct lt_buf *out);
/* In the arena. LT_E_CORRUPT: not what lt_grant_take() makes. */
int lt_grant_read(struct lt_slice bytes, struct lt_arena *arena, Ltpb__Grant **out);
/* The hub knows its communes: a code typed wrongly is found before anybody is told a wrong thing. LT_E_INVALID with words. */
int lt_grant_commune(struct lt_hub *h, const struct lt_unit *unit, struct lt_err *err);

#endif
