/* node/import_seen.h - which records a file has brought so far, in 24 bytes each.
 *
 * Hashes stand for keys and values: 96 bits of the key and 64 of the values, so that ten million
 * records have a chance of 1e-15 of a false match. Not thread safe.
 */
#ifndef LT_NODE_IMPORT_SEEN_H
#define LT_NODE_IMPORT_SEEN_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdint.h>

struct lt_seen_slot;

struct lt_seen {
	struct lt_seen_slot *slot; /* owned; open addressing, a power of two */
	size_t cap, count;
};

void lt_seen_init(struct lt_seen *s);
void lt_seen_fini(struct lt_seen *s);

/* LT_OK: new, remembered. LT_E_EXISTS: the key came before, in *record; *same tells whether with the
 * same values. LT_E_NOMEM. */
int lt_seen_add(struct lt_seen *s, struct lt_slice key, struct lt_slice values, uint32_t record,
    uint32_t *before, bool *same);

#endif
