/* proto/store/damage_bug.h - defects planted for the rig that damages stores (tests/damage), which must find each of them.
 * Compiled in only with LT_DAMAGE_BUGS; else every question is false at compile time. */
#ifndef LT_STORE_DAMAGE_BUG_H
#define LT_STORE_DAMAGE_BUG_H

#include <stdbool.h>

#define LT_DAMAGE_BUG_LIST(X) \
	X(NO_SUM, "a value's checksum is not compared") \
	X(NO_CHECK, "a file is mapped without a look at it") \
	X(NO_OMISSION, "a scrub does not ask whether anything is missing") \
	X(REPAIR_HALF, "a change-set is put back without its openings") \
	X(REPAIR_BELIEVES, "what a peer gave is not verified before it is put back")

#ifdef LT_DAMAGE_BUGS
#define LT_DAMAGE_BUG_ENUM(name, text) LT_DAMAGE_BUG_##name,
enum { LT_DAMAGE_BUG_NONE, LT_DAMAGE_BUG_LIST(LT_DAMAGE_BUG_ENUM) LT_DAMAGE_BUG_COUNT };
#undef LT_DAMAGE_BUG_ENUM
/* Which one is alive; set before anything runs. */
extern int lt_damage_bug;
#define LT_DAMAGE_BUG(name) (lt_damage_bug == LT_DAMAGE_BUG_##name)
#else
#define LT_DAMAGE_BUG(name) false
#endif

#endif
