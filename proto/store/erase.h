/* proto/store/erase.h - personal values that are forgotten: acts of `_erase` and how they are obeyed (FORMAT.md 8.5).
 *
 * An act names changes and fields, never a value. Whoever holds their openings, hub, node or mirror, takes them away in the
 * transaction in which the act becomes durable, keeps the leaf, and notes the name in table local: whatever brings the same
 * change-set later (a peer, a bundle, a restored copy) brings no opening of it. Signatures and chains verify as before.
 * Thread: of the transaction. Everything here may be done again with the same effect.
 */
#ifndef LT_STORE_ERASE_H
#define LT_STORE_ERASE_H

#include "proto/feed/changeset.h"
#include "proto/store/feed_log.h"

#define LT_ERASE_COLLECTION "_erase"
#define LT_ERASED_MAX 1024 /* changes in one act */

struct lt_projection;

/* One change of the unit in which the act stands, and which of its personal fields are named (`_actor` may be one). Borrowed. */
struct lt_erased {
	struct lt_feed_id feed;
	uint64_t seq;
	uint32_t index;
	uint64_t hash8; /* of the change-set */
	size_t nfield;
	const char **field;
};

/* What field `dots` holds. LT_E_TOOBIG: more than one act takes. */
int lt_erased_pack(const struct lt_erased *e, size_t n, struct lt_buf *out);
/* In the arena. LT_E_INVALID: malformed. */
int lt_erased_read(struct lt_slice dots, struct lt_arena *arena, struct lt_erased **out, size_t *n);
/* Of a change of `_erase`. LT_E_NOTFOUND: it names nothing (a change of another field, or no such act). */
int lt_erased_of(
    const struct lt_change *c, struct lt_arena *arena, struct lt_erased **out, size_t *n);

/* Obey: what is named is noted, and what is here of it goes. *removed: how many values were here. */
int lt_erase(struct lt_kv_txn *log, const struct lt_unit *unit, const struct lt_erased *e, size_t n,
    uint64_t *removed);
/* Obey every act of erasure in a change-set of a hub. Malformed ones count for nothing. */
int lt_erase_acts(struct lt_kv_txn *log, const struct lt_changeset *cs, uint64_t *removed);
/* The same of what was noted before, for a change-set that was just appended. */
int lt_erase_again(struct lt_kv_txn *log, const struct lt_changeset *cs, uint64_t position);
/* Does an act that was obeyed here name it? */
int lt_erase_names(struct lt_kv_txn *log, const struct lt_changeset *cs, uint32_t index,
    const char *field, bool *named);
/* How many openings of a stored change-set are here although they are named: none ever should be. */
int lt_erase_left(
    struct lt_kv_txn *log, const struct lt_changeset *cs, uint64_t position, uint64_t *left);
/* The records of what is named show what is left of them: after lt_erase(), into a batch that reads the log as it is then. */
int lt_erase_reshow(struct lt_projection *p, struct lt_kv_txn *log, const struct lt_unit *unit,
    const struct lt_erased *e, size_t n);

#endif
