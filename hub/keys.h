/* hub/keys.h - the life of principals and their keys after enrolment (FORMAT.md 8.4): suspended and resumed, retired, revoked.
 *
 * What is written are records of unit `_`, so nodes and mirrors obey them too. A revocation is in force from the call on: what
 * was not in the log by then is not taken any more, whatever waits in a queue. Any thread. */
#ifndef LT_HUB_KEYS_H
#define LT_HUB_KEYS_H

#include "hub/hub.h"
#include "proto/feed/trust.h"

struct lt_revoking {
	struct lt_id principal;
	uint32_t key_no; /* 0: every key */
	const char *reason; /* one of lt_revocation_reason() */
	const struct lt_id *by; /* operator; NULL: somebody at the hub's own machine */
};

/* Words that an operator may give: stolen, lost, compromised, replaced, other. NULL behind the last. ("retired" and "rotated" are
 * said by what does that.) */
const char *lt_revocation_reason(size_t i);

/* *why, below: for who asked, the reason of a status (proto/rpc/status_words.c): KEYS_UNKNOWN, KEYS_STATE, KEYS_HUB, KEYS_INVALID, KEYS. */

/* The last change-set of each of its feeds that is here counts, and nothing after it under that key, for ever. Done before: LT_OK,
 * and nothing is written. LT_E_NOTFOUND, LT_E_INVALID (a hub; no reason of the list), LT_E_UNAVAILABLE, or
 * whatever else kept it from being written: it is shut out all the same, until this process ends: to be asked again; LT_E_TIMEOUT:
 * in force and durable, not in the tables yet. */
int lt_hub_revoke(
    struct lt_hub *h, const struct lt_revoking *r, const char **why, struct lt_err *err);
/* The same for one that leaves in order: its state is retired. LT_E_REFUSED: it is revoked. Whether all it wrote is here is the
 * caller's to ask before. */
int lt_hub_retire(struct lt_hub *h, const struct lt_id *principal, const struct lt_id *by,
    const char **why, struct lt_err *err);
/* Not let in any more until resumed; what it has not sent by then it sends afterwards. So already: LT_OK. LT_E_NOTFOUND;
 * LT_E_INVALID (a hub); LT_E_REFUSED: neither active nor suspended; LT_E_TIMEOUT: durable, in force when the tables show it. */
int lt_hub_suspend(struct lt_hub *h, const struct lt_id *principal, bool suspended,
    const char **why, struct lt_err *err);

/* New keys of an active node, signed by its key old_no (the one whose line it asks on) and, as proof that it has them, by themselves. Both
 * keys are good when this returns. The same asked again: LT_OK, *again. LT_E_BADSIG; LT_E_REFUSED: not the next number, two keys are in use
 * already, the one in use is revoked, or a key of them is not new. Whether somebody who only asked to join has that line is the caller's
 * to ask before. */
int lt_hub_rotate(struct lt_hub *h, const struct lt_rotation *r, struct lt_slice signature,
    struct lt_slice proof, bool *again, const char **why, struct lt_err *err);
/* The keys of the principal before key_no are over: of each feed counts what was signed with them up to the cut, and at least what the hub
 * has. Meanwhile what they signed is not taken (a push: LT_E_UNAVAILABLE). cuts: in order of unit and feed, of its own feeds. *ended: how many are over by this. */
int lt_hub_end_rotation(struct lt_hub *h, const struct lt_id *principal, uint32_t key_no,
    const struct lt_cut *cuts, size_t ncut, uint32_t *ended, const char **why, struct lt_err *err);

/* Is this principal (key_no 0), or this key of it, revoked by a record that the registry in memory does not show yet? */
bool lt_hub_barred(struct lt_hub *h, const struct lt_id *principal, uint32_t key_no);

#endif
