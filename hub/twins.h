/* hub/twins.h - two live machines with one key (FORMAT.md 6.13): a second session of a principal, by another process, is let in only
 * if the first one does not answer any more. Any thread; nothing waits. */
#ifndef LT_HUB_TWINS_H
#define LT_HUB_TWINS_H

#include "proto/base/clock.h"
#include "proto/base/ids.h"

#define LT_INSTANCE_LEN 16
#define LT_TWINS_ASKED_MS 2000 /* so long the first one has to answer */

/* How the first one's connection is looked at. */
struct lt_twins_lines {
	/* false: it is gone. *frames: how many came on it so far. ping: ask it for one, at once. */
	bool (*look)(void *ctx, uint64_t conn_id, bool ping, uint64_t *frames);
	void (*cut)(void *ctx, uint64_t conn_id);
	void *ctx;
};

enum lt_twin {
	LT_TWIN_NONE, /* let it in: it is the only one now */
	LT_TWIN_ASKED, /* the first one is being asked: come again in LT_TWINS_ASKED_MS */
	LT_TWIN_REFUSED, /* the first one is at work */
};

struct lt_twins;

int lt_twins_open(
    const struct lt_clock *clock, const struct lt_twins_lines *lines, struct lt_twins **out);
void lt_twins_close(struct lt_twins *t); /* NULL allowed */
/* It has said Hello. LT_E_NOMEM, else LT_OK and *out. */
int lt_twins_hello(struct lt_twins *t, const struct lt_id *principal,
    const uint8_t instance[LT_INSTANCE_LEN], uint64_t conn_id, enum lt_twin *out);
/* A connection is gone. */
void lt_twins_gone(struct lt_twins *t, uint64_t conn_id);
/* How often one of this principal (NULL: anybody) was refused since the start. */
uint64_t lt_twins_refused(struct lt_twins *t, const struct lt_id *principal);

#endif
