/* node/audit.h - the read audit of this node's commune, as the hub shows it: verified, kept in the store, bounded (FORMAT.md 13.6).
 * Any thread. */
#ifndef LT_NODE_AUDIT_H
#define LT_NODE_AUDIT_H

#include "node/node.h"
#include "proto/feed/audit.h"

#include "lienthong/v1/audit.pb-c.h"

#define LT_NODE_AUDIT_ROWS 10000 /* kept of each chain (the commune's, and "*"); the oldest go */

/* Where a chain is. Zeroed: nothing was shown yet. */
struct lt_node_audit_at {
	uint64_t log, next; /* the next number; 0: none yet */
	struct lt_hash prev; /* leaf of the one before */
	uint64_t first_row, next_row;
	uint64_t head; /* the last head that was shown, and its hash */
	struct lt_hash head_hash;
	bool
	    contradicted; /* the hub showed something that cannot be: nothing more of this log is believed */
};

int lt_node_audit_at(struct lt_node *n, const char *unit, struct lt_node_audit_at *out);
/* What to ask for; borrows unit. */
int lt_node_audit_ask(struct lt_node *n, const char *unit, Ltpb__AuditUnitRequest *req);
/* An answer to that: each part verified, then kept, durable when this returns LT_OK. What does not hold is not kept: LT_E_BADSIG,
 * LT_E_BADHASH, LT_E_INVALID, LT_E_DENIED with words, and one row says so. */
int lt_node_audit_take(
    struct lt_node *n, const char *unit, const Ltpb__AuditUnitReply *reply, struct lt_err *err);

/* Is there more to be asked for at once? Not where nothing is believed any more, nor where the answer led no further than before. */
bool lt_node_audit_more(
    const struct lt_node_audit_at *before, const struct lt_node_audit_at *after, bool more);

enum lt_node_audit_row { LT_NODE_AUDIT_SHOWN = 1, LT_NODE_AUDIT_MISSING, LT_NODE_AUDIT_FALSE };

struct lt_node_audit_entry {
	enum lt_node_audit_row row;
	uint64_t log;
	uint64_t from, to; /* MISSING: numbers; FALSE: from, the number that did not hold */
	struct lt_audit_entry entry; /* SHOWN, as all below */
	struct lt_audit_part part;
	struct lt_slice shown; /* AuditShown bytes; borrowed for the call */
};
/* Every row of a chain, oldest first; LT_E_CANCELLED of fn ends it without an error. */
int lt_node_audit_each(struct lt_kv_txn *txn, const char *unit,
    int (*fn)(void *ctx, const struct lt_node_audit_entry *e), void *ctx);
/* A row that was read, verified again by this hub's key. As lt_audit_shown_verify(). */
int lt_node_audit_check(struct lt_node *n, struct lt_slice shown, const uint8_t sign_key[32],
    struct lt_audit_entry *entry, struct lt_audit_part *part, struct lt_audit_head *head,
    struct lt_err *err);

#endif
