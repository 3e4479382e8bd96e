/* tests/lib/memnode.h - two nodes of one commune over stores in memory, with the hub of memfed.h, talking as on a line. */
#ifndef LT_TESTS_MEMNODE_H
#define LT_TESTS_MEMNODE_H

#include "node/session.h"
#include "tests/lib/memfed.h"

struct memnode {
	struct fed_node n;
	struct lt_kv *kv;
	struct lt_session *session;
	struct lt_peer line;
	bool manual;
};

struct memnode_story {
	struct memfed m;
	struct memnode a, b; /* of one commune; b always manual */
};

/* manual: node a; b always is. Both are enrolled and have what came down. */
void memnode_begin(struct memnode_story *s, bool manual, struct memfed_marks *marks);
void memnode_end(struct memnode_story *s);
void memnode_start(struct memnode_story *s, struct memnode *x);
void memnode_stop(struct memnode *x);
/* A dossier made or changed; a second passes. */
void memnode_put(struct memnode_story *s, struct memnode *x, unsigned number, const char *status);
/* Greet, push what the hub lacks, pull. Returns the change-sets pushed. */
uint64_t memnode_sync(struct memnode_story *s, struct memnode *x);

#endif
