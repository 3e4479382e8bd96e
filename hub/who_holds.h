/* hub/who_holds.h - where a value stands: which records, in which fields, now or in some change before.
 *
 * First by the indexes, which answers at once what is shown in an indexed field; then through the openings, which are everything
 * personal that this hub holds: earlier values, conflicts and refused changes among it. Both page by page, and a page ends anywhere, within
 * a change-set too: what does not fit on it is on the next one. The value is not logged and not kept. Any thread. */
#ifndef LT_HUB_WHO_HOLDS_H
#define LT_HUB_WHO_HOLDS_H

#include "hub/hub.h"
#include "proto/store/kv.h"

#define LT_WHO_VALUE_MIN 4 /* bytes: shorter ones stand everywhere and mean nobody */
#define LT_WHO_VALUE_MAX 256
#define LT_WHO_PAGE 100 /* records on a page at most */
#define LT_WHO_TOKEN_MAX (1 + LT_KV_KEY_MAX)

/* A record; in the arena. */
struct lt_holding {
	struct lt_unit unit;
	const char *collection, *key;
	size_t nfield, field_cap;
	const char **field;
	struct lt_slice at; /* a page that begins with it is asked for so */
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
	struct lt_slice
	    from; /* `next` of the page before, or `at` of a holding; empty: the first page */
	int64_t until_ms; /* on the monotonic clock: the page ends then; 0: after its own time */
	/* answered */
	size_t n;
	struct lt_holding *holding; /* LT_WHO_PAGE at most */
	struct lt_slice next; /* the next page's from, in the arena; empty: all was looked at */
	uint64_t looked_at, unreadable; /* openings; damaged ones among them */
};

/* One page. LT_E_INVALID: `from` is none of ours, or not of this value, or of a field that the catalogue has no more. */
int lt_hub_who_holds(struct lt_hub *h, struct lt_who_holds *w);
/* Is the value the field's, or one of its items? */
bool lt_holds_value(const Ltpb__Value *v, const char *value);

#endif
