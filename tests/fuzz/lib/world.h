/* tests/fuzz/lib/world.h - a small federation, made once: a hub and a node of one commune that have talked, as images of their
 * stores; from them a target opens machines of its own as often as it likes, without threads.
 */
#ifndef LT_TESTS_FUZZ_LIB_WORLD_H
#define LT_TESTS_FUZZ_LIB_WORLD_H

#include "node/session.h"
#include "proto/store/query.h"
#include "proto/store/kv_image.h"
#include "proto/store/tables.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/lib/memfed.h"

#define FUZZ_WORLD_UNIT "17254"

enum fuzz_store { FUZZ_HUB_LOG, FUZZ_HUB_DERIVED, FUZZ_NODE, FUZZ_STORES };

/* Made by the first call; the folders it needed are gone when it returns. */
void fuzz_world(void);
/* A store that begins as the hub's or the node's. For lt_kv_close(). */
struct lt_kv *fuzz_world_store(enum fuzz_store which);

/* One entry of a store as it was made. */
struct fuzz_entry {
	unsigned table;
	struct lt_slice key, value;
};
const struct fuzz_entry *fuzz_world_entries(enum fuzz_store which, size_t *n);

/* The hub and what stands around it, over these stores. False: it does not open (they are not closed then). */
bool fuzz_hub_open(struct lt_kv *log, struct lt_kv *derived);
void fuzz_hub_close(void); /* the stores, too */
struct memfed *fuzz_hub(void);
struct lt_peer fuzz_node_line(void);
/* NULL: it does not open. */
struct lt_node *fuzz_node_open(struct lt_kv *kv);
const struct lt_identity *fuzz_node_identity(void);
/* Everything is in sight. */
const struct lt_sight *fuzz_all_in_sight(void);

#endif
