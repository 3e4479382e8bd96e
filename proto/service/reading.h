/* proto/service/reading.h - a handler of Query: what its asker may see, and until when somebody waits. */
#ifndef LT_SERVICE_READING_H
#define LT_SERVICE_READING_H

#include "proto/rpc/rpc.h"
#include "proto/store/query.h"

/* Points into itself: stays where it was filled. */
struct lt_reading {
	struct lt_sight_of of;
	struct lt_sight sight;
	struct lt_query q;
};

/* All but q.log and q.derived, which the caller opens; those are NULL. who, cat and arena are borrowed, province is
 * copied. */
void lt_reading_init(struct lt_reading *r, struct lt_call *call, const struct lt_asker *who,
    const struct lt_catalogue *cat, const struct lt_unit *province, struct lt_arena *arena);

/* Do these units exist? One that does not would be answered like one that has nothing: false, and the call has failed with
 * its name. Of no list of units (a node that has not caught up), of `_`, the province, a node's own commune and of what is no
 * code at all nothing is said here. */
bool lt_reading_units(
    const struct lt_reading *r, struct lt_call *call, char *const *unit, size_t n);

/* The same of the one unit that a list of something else is narrowed down to; what is no code fails as well. "" is no filter, "*" every unit
 * (of the read audit). Of r only q.derived, q.province and of are asked. */
bool lt_reading_filter(const struct lt_reading *r, struct lt_call *call, const char *unit);

/* For lt_query_history(): the author's label, else its unit. registry: the struct lt_registry that lends the text. */
const char *lt_author_label(void *registry, const struct lt_id *author);

#endif
