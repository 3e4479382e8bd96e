/* hub/who_holds.h - where a value stands: which records, in which fields, now or in some change before.
 *
 * First by the indexes, which answers at once what is shown in an indexed field; then page by page through the openings, which
 * are everything personal that this hub holds: earlier values, conflicts and refused changes among it. The value is not
 * logged and not kept. Any thread. */
#ifndef LT_HUB_WHO_HOLDS_H
#define LT_HUB_WHO_HOLDS_H

#include "hub/hub.h"

#define LT_WHO_VALUE_MIN 4 /* bytes: shorter ones stand everywhere and mean nobody */
#define LT_WHO_VALUE_MAX 256

/* A record; in the arena. */
struct lt_holding {
	struct lt_unit unit;
	const char *collection, *key;
	size_t nfield;
	const char **field;
};

struct lt_who_holds {
	const char *value;
	struct lt_catalogue *cat; /* borrowed */
	/* May the asker be told? Of what it may not nothing is said. */
	bool (*may)(void *ctx, const struct lt_collection *c, const char *unit, const char *field);
	int (*tick)(void *
		ctx); /* NULL, or asked now and then: another answer than LT_OK ends the search with it */
	void *ctx;
	struct lt_arena *arena;
	uint64_t from; /* where the page before ended; 0: the first page */
	/* answered */
	size_t n;
	struct lt_holding *holding;
	uint64_t next; /* the next page's from; 0: all was looked at */
	uint64_t looked_at, unreadable; /* openings; damaged ones among them */
};

int lt_hub_who_holds(struct lt_hub *h, struct lt_who_holds *w);
/* Is the value the field's, or one of its items? */
bool lt_holds_value(const Ltpb__Value *v, const char *value);

#endif
