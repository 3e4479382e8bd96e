/* proto/store/admit.h - admission of one change-set: four questions, then a judgement (design 8, 6).
 *
 * Pure but for what it is given: the parsed change-set, the registry, a catalogue for the version
 * the header names, and (inside the transaction) the log for contexts. The hub judges with it; a replica
 * checks signature, chain, commitments and authority with the same functions and takes the hub's verdict.
 */
#ifndef LT_STORE_ADMIT_H
#define LT_STORE_ADMIT_H

#include "proto/model/validate.h"
#include "proto/store/feed_log.h"
#include "proto/store/registry.h"

/* Questions 1 to 3 as far as they need no log: federation, author known with this key, signature, author may
 * write this unit (node: its own commune; hub: everything), openings true.
 * A revocation of the author's key bars all that its cut-off does not cover, new or not (LT_E_REVOKED); what it covers is admitted.
 * new_entry: the change-set is new in the federation, so author and key must be active now; false where it was
 * admitted before (a replica, a check): what a revoked author signed stays verifiable.
 * need_openings: every leaf must be opened or given as leaf; openings that are there are checked in either case.
 * LT_OK; LT_E_DENIED, LT_E_REVOKED, LT_E_UNKNOWN (author or key not in the registry), LT_E_BADSIG, LT_E_BADHASH, LT_E_NOTFOUND (openings missing). */
int lt_admit_signed(const struct lt_changeset *cs, const struct lt_fed *fed,
    const struct lt_registry *reg, bool new_entry, bool need_openings, struct lt_err *err);
/* The same without working out the signature: of a change-set that has the hash and the very signature of one that was admitted before. */
int lt_admit_known(const struct lt_changeset *cs, const struct lt_fed *fed,
    const struct lt_registry *reg, bool new_entry, bool need_openings, struct lt_err *err);

/* Judge every change by the catalogue (lt_admit_change(), and whether communes write the collection at all): refused dots with reasons, added to j (zeroed by the caller). In the arena.
 * What a hub wrote is accepted (FORMAT.md 8). cat must be the version cs names (the built-in one for version 0),
 * else LT_E_UNKNOWN. LT_E_NOMEM. */
int lt_admit_judge(const struct lt_changeset *cs, const struct lt_catalogue *cat,
    const struct lt_registry *reg, const struct lt_unit *province, struct lt_arena *arena,
    struct lt_judgement *j);

enum lt_context_answer { LT_CONTEXT_HERE, LT_CONTEXT_MISSING, LT_CONTEXT_WRONG };

/* One change against the log: everything its context names is here with these hashes; or something is not here yet (*missing: its
 * place in change->context, what to give lt_held_add()); or a hash is another. Wrong wins over missing. */
int lt_admit_context(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_change *change, enum lt_context_answer *answer, size_t *missing);

/* Inside the append transaction: lt_admit_context() for each change not refused yet. Wrong hash: the dot is refused; not
 * here yet: held (to be noted with lt_held_add once appended). Adds to j, in the arena. */
int lt_admit_contexts(struct lt_kv_txn *txn, const struct lt_changeset *cs, struct lt_arena *arena,
    struct lt_judgement *j);

/* The clamp of a stamp at the hub (FORMAT.md 3.8): sets j->clamped, floor, ceiling when needed. */
void lt_admit_clamp(const struct lt_changeset *cs, int64_t arrival_ms, uint64_t last_effective,
    struct lt_judgement *j);

#endif
