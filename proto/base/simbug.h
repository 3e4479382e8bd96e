/* proto/base/simbug.h - bugs planted for the simulator, which must find each of them (tests/sim). Compiled in only with
 * LT_SIM_BUGS; else every question is false at compile time. One at most is alive. */
#ifndef LT_BASE_SIMBUG_H
#define LT_BASE_SIMBUG_H

#include <stdbool.h>

/* clang-format off */
#define LT_SIM_BUG_LIST(X) \
	X(ACK_BEFORE_COMMIT, "the writer answers before its batch is durable") \
	X(RESUME_AT_SENDER, "a node goes on from what it sent, not from what the hub holds") \
	X(UNSIGNED_AT_NODE, "a node checks no signature") \
	X(UNSIGNED_AT_HUB, "the hub checks no signature") \
	X(PAST_GAP, "a pull goes on behind a change-set that was not taken") \
	X(OVERLAY_FORGOTTEN, "an own change does not show before its verdict") \
	X(VERDICT_FORGOTTEN, "what came alone in a push gets a receipt and no verdict") \
	X(OWED_FORGOTTEN, "verdicts owed before a restart are not written") \
	X(CURSOR_APART, "the projector's cursor is written before its rows, in another transaction") \
	X(CLAMP_LEFT_OUT, "a stamp from the future counts as it is") \
	X(REQUEST_APART, "a request id is remembered in a transaction after its write") \
	X(WRONG_LANE, "an urgent collection goes in the normal lane") \
	X(RECEIPT_NOT_ASKED, "a receipt that got lost is not asked for again") \
	X(RECEIPT_NOT_GIVEN, "no receipt for what was pushed before") \
	X(EARLY_VERDICT, "a verdict ahead of the feed that it judges is dropped") \
	X(STAMP_FROM_CLOCK, "stamps follow a clock that went back") \
	X(NEWS_SKIPPED, "a lone new entry wakes no stream") \
	X(NEXT_SKIPPED, "a pull goes on one after the next") \
	X(ROWS_OF_OLD, "the hub's rows stay as an earlier catalogue made them") \
	X(ROWS_OF_OLD_NODE, "a node's rows stay as an earlier catalogue made them") \
	X(DIGEST_STALE, "a record's old row stays in its digest") \
	X(RECEIPT_FOR_MORE, "a receipt is kept for one change-set more than it names") \
	X(FORK_UNNOTICED, "a change-set under a number that is taken is taken for the one that is there") \
	X(FORK_NOT_KEPT, "a second branch is refused, and nothing kept of it") \
	X(RULING_FORGOTTEN, "evidence is kept, and no ruling comes of it") \
	X(ASIDE_MERGED, "a branch that was set aside counts in the rows") \
	X(ASIDE_SILENT, "a branch that was set aside is not told of") \
	X(TAIL_NOT_MET, "a node at work does not notice that another signs with its keys") \
	X(EPOCH_KEPT, "a restore by the tool goes on in the old epoch") \
	X(REISSUE_DROPPED, "what stood aside is dropped as if it had been written again") \
	X(REISSUE_EARLY, "what stands aside is written again before all that the hub has is here") \
	X(REISSUE_DOUBLED, "what was written again stands aside as before") \
	X(HUB_ASKS_NOT, "a hub whose files were put back by hand asks for nothing that its nodes have more") \
	X(TABLES_NO_WITNESS, "a hub goes on signing behind its log's end though its tables show more") \
	X(HUB_EPOCH_KEPT, "a hub that is in doubt goes on in its old epochs") \
	X(HUB_FORK_NOT_KEPT, "a second branch of a feed of the hub's own is left where it is") \
	X(CHECKPOINT_UNCOMPARED, "what the hub showed others is not compared with what it showed here") \
	X(RECEIPTED_NOT_OFFERED, "a restored hub is not offered again what it gave a receipt for")
/* clang-format on */

#ifdef LT_SIM_BUGS
#define LT_SIM_BUG_ENUM(name, text) LT_SIM_BUG_##name,
enum { LT_SIM_BUG_NONE, LT_SIM_BUG_LIST(LT_SIM_BUG_ENUM) LT_SIM_BUG_COUNT };
#undef LT_SIM_BUG_ENUM
/* Which one is alive; set before anything runs. */
extern int lt_sim_bug;
#define LT_SIM_BUG(name) (lt_sim_bug == LT_SIM_BUG_##name)
#else
#define LT_SIM_BUG(name) false
#endif

#endif
