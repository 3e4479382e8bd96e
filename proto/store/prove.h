/* proto/store/prove.h - the history of one record with its proof (FORMAT.md 11), out of a log and its derived tables; the same
 * on a node, at the hub, and on a store that nobody runs.
 *
 * Who may see the record's history may have its proof; what of a person is not for its eyes goes as a leaf. What stands in the signed
 * bytes themselves cannot be masked: a field of that kind that the asker may not see makes the whole LT_E_DENIED. That a
 * personal field was cleared stands there too, and is told: it has no value.
 */
#ifndef LT_STORE_PROVE_H
#define LT_STORE_PROVE_H

#include "proto/feed/identity.h"
#include "proto/store/query.h"

#include "lienthong/v1/record.pb-c.h"

struct lt_prove {
	const struct lt_query *q;
	const struct lt_identity *id; /* of this machine: a hub signs the receipts it puts in */
	struct lt_slice certificate; /* Certificate bytes of the hub; empty: not here yet */
};

/* The proof lives in the query's arena, which needs LT_PROOF_ARENA besides. What is not judged yet is left out and counted.
 * Codes as in query.h; LT_E_UNAVAILABLE: no change of it is judged yet; LT_E_TOOBIG: the record's changes, or the chain from one to the
 * verdict on it, pass LT_PROOF_MAX. */
int lt_query_prove(const struct lt_prove *with, const Ltpb__ProveRequest *req,
    Ltpb__ProveReply *reply, struct lt_err *err);

#endif
