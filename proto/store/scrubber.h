/* proto/store/scrubber.h - the thread on which a daemon scrubs its store: a round at every interval, at a few percent of a core, or
 * at once and without pause when somebody asked.
 *
 * Threads: every function from any thread but those of the options, which run on the scrubber's. */
#ifndef LT_STORE_SCRUBBER_H
#define LT_STORE_SCRUBBER_H

#include "proto/store/repair.h"
#include "proto/store/scrub.h"
#include "proto/store/writer.h"

struct lt_scrubber;

struct lt_scrubber_options {
	const struct lt_scrub_options *scrub; /* copied */
	/* Of scrub->log, whose table local keeps the progress for the next start. Runs until the scrubber has stopped. */
	struct lt_writer *writer;
	int64_t
	    every_ms; /* from the end of a round to the beginning of the next; 0: only when asked */
	unsigned percent; /* of one core, 1..100, while nobody asks; 0: 2 */
	/* A round found something derived damaged and everything else sound: build it anew. NULL allowed. Called at most once in
	 * mend_pause_ms, as what comes back at once does not come from the disk. */
	void (*mend)(void *ctx);
	int64_t mend_pause_ms; /* 0: an hour */
	/* A round found something damaged that is not derived: the log is looked over for what to put back. What was put back is scrubbed again,
	 * which clears the findings. Borrowed, open until the scrubber has stopped; NULL: none. */
	struct lt_repairer *repair;
	void *ctx;
};

/* LT_E_NOMEM. */
int lt_scrubber_start(const struct lt_scrubber_options *o, struct lt_scrubber **out);
void lt_scrubber_stop(struct lt_scrubber *s); /* NULL allowed; keeps the progress */

/* A round from its beginning, now. full: every signature. */
void lt_scrubber_ask(struct lt_scrubber *s, bool full);
/* As of the last step. *asked: a round that was asked for is under way, or about to begin. */
void lt_scrubber_status(struct lt_scrubber *s, struct lt_scrub_status *out, bool *asked);

#endif
