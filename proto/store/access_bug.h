/* proto/store/access_bug.h - errors planted in the decision of access for the test that asks it a million questions (tests/access),
 * which must find each of them. Compiled in only with LT_ACCESS_BUGS; else every question is false at compile time. */
#ifndef LT_STORE_ACCESS_BUG_H
#define LT_STORE_ACCESS_BUG_H

#include <stdbool.h>

#define LT_ACCESS_BUG_LIST(X) \
	X(SUSPENDED_MAY, "a suspended principal still may") \
	X(GRANTS_PIECED, "the unit from one grant, the rest from another") \
	X(PART_FOR_WHOLE, "a grant of some fields will do where nothing can be left out") \
	X(READERS_SEE_BASIC, "a reader sees what is personal") \
	X(NEIGHBOURS_SEEN, "a commune sees another's records") \
	X(OPEN_ALL, "a node is sent personal values of the province's feeds") \
	X(WRITE_UNSEEN, "one may write where one may not read") \
	X(UNKNOWN_ORG_READS, \
	    "an organisation that the catalogue does not know reads what all departments read") \
	X(EMPTY_IS_ALL, "an empty list of units stands for all") \
	X(ANY_COLLECTION, "a node's change of a collection that communes do not write is taken") \
	X(HIDDEN_SOMEWHERE, "one unit is enough to filter by a field everywhere")

#ifdef LT_ACCESS_BUGS
#define LT_ACCESS_BUG_ENUM(name, text) LT_ACCESS_BUG_##name,
enum { LT_ACCESS_BUG_NONE, LT_ACCESS_BUG_LIST(LT_ACCESS_BUG_ENUM) LT_ACCESS_BUG_COUNT };
#undef LT_ACCESS_BUG_ENUM
/* Which one is alive; set before anything runs. */
extern int lt_access_bug;
#define LT_ACCESS_BUG(name) (lt_access_bug == LT_ACCESS_BUG_##name)
#else
#define LT_ACCESS_BUG(name) false
#endif

#endif
