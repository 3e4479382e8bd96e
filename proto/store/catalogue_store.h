/* proto/store/catalogue_store.h - catalogue versions as acts: written to `_catalogue`, read back from its records
 * (FORMAT.md 8.1). */
#ifndef LT_STORE_CATALOGUE_STORE_H
#define LT_STORE_CATALOGUE_STORE_H

#include "proto/feed/changeset.h"
#include "proto/model/catalogue.h"
#include "proto/store/kv.h"

/* The catalogue of a version from the records of a derived environment, its count and digest verified. Version 0: the
 * built-in one. LT_E_UNKNOWN: not here, or not complete yet; LT_E_BADHASH: complete, but not what was published;
 * LT_E_INVALID: the catalogue does not parse; LT_E_NOMEM, LT_E_CORRUPT. */
int lt_catalogue_load(
    struct lt_kv_txn *derived, uint64_t version, struct lt_catalogue **out, struct lt_err *err);
/* The highest version of which every part is here and true; 0 when there is none. */
int lt_catalogue_newest(struct lt_kv_txn *derived, uint64_t *version);

/* What publishes a catalogue file under a version (1 or more): drafts for one or more change-sets of the hub's feed of `_`,
 * the version's own record last. In the arena; json must outlive them. The file is parsed first: LT_E_INVALID
 * and the like as lt_catalogue_parse(); LT_E_TOOBIG: a collection is over LT_VALUE_MAX. */
int lt_catalogue_publish(struct lt_slice json, uint64_t version, struct lt_arena *arena,
    struct lt_draft **drafts, size_t *n, struct lt_err *err);

/* H("lt1.catalogue", framed(id) || framed(json) of each part, rising by id; the common part has the id ""). Sorts parts. */
int lt_catalogue_digest(struct lt_catalogue_part *parts, size_t n, struct lt_hash *out);

#endif
