/* hub/told.h - verdicts of this hub's that came back before what they judge is here (FORMAT.md 9.8, 12.7): what they say of it, and which one counts
 * where several speak of the same numbers.
 *
 * A hub that lost what it knew twice may have signed two verdicts on one range, which contradict each other, and be given back both before the
 * change-sets. The one that came first counts, as it does where they are here: each number has one row `told/...` that decides it. One that
 * speaks of such numbers too is kept besides, as row `again/...`: it is weighed when its last change-set has come with the hash that it names.
 *
 * Table local of the log, in the caller's transaction. */
#ifndef LT_HUB_TOLD_H
#define LT_HUB_TOLD_H

#include "hub/hub_impl.h"

#define LT_TOLD_NAME 200 /* bytes of a row's name, with its end */

/* `what/unit/feed/to`. */
void lt_told_name(char out[LT_TOLD_NAME], const char *what, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t to);

/* The row `told/...` that decides seq, or the first behind it: the first whose `to` is not below it; its name, and what it says in the arena.
 * LT_E_NOTFOUND: none; LT_E_CORRUPT: what was said is not known. */
int lt_told_find(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, struct lt_arena *arena, char name[LT_TOLD_NAME], const Ltpb__Verdict **out);

/* How a verdict that comes back compares with those that wait, in what it says of numbers above `here`. overlaps: another one speaks of some of
 * these. differs: it clamps or refuses otherwise, or settles otherwise, so that who has the one and who has the other show other values; what
 * either of them held is settled in the end. Of two that name other hashes under one number one judged another branch, and nothing differs. */
int lt_told_compare(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, const Ltpb__Verdict *t, uint64_t here, bool *overlaps,
    bool *differs);

/* It decides those numbers above `here` of which none before it spoke. bytes: as signed. *last: those are, or end in, its own last one, and its row has
 * the name that goes with that. */
int lt_told_keep(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const Ltpb__Verdict *t, struct lt_slice bytes, uint64_t here, bool *last);

/* It is weighed with its last change-set. late: that it contradicts another one was said already. */
int lt_told_keep_again(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t to, struct lt_slice bytes, bool late);

/* The first that is kept so for change-set `to`, in the arena; its row goes. LT_E_NOTFOUND: none; LT_E_CORRUPT: that one says nothing, its row is
 * gone all the same. */
int lt_told_take_again(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t to, struct lt_arena *arena, const Ltpb__Verdict **out,
    bool *late);

/* Does anything wait? Also what is damaged. */
int lt_told_any(struct lt_kv_txn *txn, bool *any);

#endif
