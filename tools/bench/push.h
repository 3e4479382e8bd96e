/* tools/bench/push.h - feeds into a hub opened in this process, from as many threads as lt-hub's pool has. */
#ifndef LT_TOOLS_BENCH_PUSH_H
#define LT_TOOLS_BENCH_PUSH_H

#include "tools/bench/world.h"

/* What a node puts into one message (LT_SYNC_BATCH_MAX of node/sync.h). */
#define BENCH_PUSH_BYTES ((size_t)512 * 1024)

struct bench_push_options {
	size_t first, sets; /* of each feed: sets from `first` on, so many; 0 sets: the rest */
	size_t per_push; /* sets in one message at most, 1 to LT_PUSH_MAX */
	size_t window; /* messages of one feed under way at most */
};

/* All of it, until the last receipt is there. Every push must be receipted whole. position: of the last change-set. */
int bench_push(struct bench *b, struct lt_hub *hub, const struct bench_feeds *f,
    const struct bench_push_options *o, uint64_t *position);
/* Sets of a feed from `from` on that go into one message: at least 1. */
size_t bench_push_count(const struct bench_feed *feed, size_t from, size_t until, size_t per_push);

#endif
