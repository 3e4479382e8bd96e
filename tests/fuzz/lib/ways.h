/* tests/fuzz/lib/ways.h - the two ways of reading what is signed: by hand (proto/model/change_read.h) and by the walker. Whatever the
 * bytes, they must say the same: the code, the words, and all that was read. */
#ifndef LT_TESTS_FUZZ_LIB_WAYS_H
#define LT_TESTS_FUZZ_LIB_WAYS_H

#include "proto/feed/changeset.h"

/* Bytes of a Change, read as a whole one and as one of a push; own: NULL allowed. True: it is taken. Ends the program (FUZZ_MUST)
 * when the ways differ, as the others do. */
bool fuzz_ways_change(struct lt_slice raw, const struct lt_feed_id *own);
/* Bytes of a FieldSet. */
bool fuzz_ways_field_set(struct lt_slice raw);
/* Bytes of a ChangeSet, whole (lt_changeset_parse) and of a push; then of each change in it. */
bool fuzz_ways_changeset(struct lt_slice raw);
/* How many of all these were read by hand alone: a test that the way by hand was gone at all. */
extern size_t fuzz_ways_by_hand;

#endif
