/* hub/recovery.h - a hub restored from a backup, or in doubt: what it signed since lies with the nodes, and it signs nothing before they have
 * given it back (design section 8, "The hub is an author too").
 *
 * Each node says at login how far the hub's own feeds reach there; where they reach further than here, the hub asks for the tail,
 * which comes as a push (lt_hub_take_back()). A node whose feeds of the hub reach no further has been heard. Who is waited for: every node
 * that the registry has as active, those that came to it by a tail among them. It may have been the only one to get a revocation,
 * or a verdict on what it wrote; so nobody is left out but by an operator, who says so, and it is logged. What such a node brings later is
 * taken all the same. Meanwhile: questions are answered, feeds go down, nothing is taken in, no verdict, receipt or act is signed.
 *
 * That no number is given twice is the restore's doing, which ended all epochs (proto/store/backup.h), and not this waiting's.
 *
 * In doubt is a hub whose files were put back by hand, or whose disk lost what it had acknowledged. Its tables tell at the start, if they show more
 * than its log; else a node, by giving back what the hub signed and does not have: a claim alone does nothing. From then on it is as after
 * a restore: epochs over, everybody awaited. What it signed before it knew may be a second branch of its own feed, or a verdict that
 * contradicts one of before: the first is kept as evidence and ruled on; the second is taken with all that stands behind it, and on what another
 * one has spoken of since it has no effect. Nodes get it behind all else (lt_recovery_late()), so that who has neither obeys the one that
 * counts; an operator sets up anew who had it. Nothing at the hub can tell before that: log and tables that are put back together fit each other. */
#ifndef LT_HUB_RECOVERY_H
#define LT_HUB_RECOVERY_H

#include "hub/hub.h"

#include "lienthong/v1/admin.pb-c.h"

struct lt_recovery;

/* Before lt_recovery_open(), and before anything is signed or takes the tables away: they may know of more than the log has. The log was put back
 * then, or its disk lost what it had acknowledged. Who puts both back has the nodes to tell him. Where the disk is full the hub is in doubt from
 * now on all the same, in memory: it signs nothing, and its tables stay, as they are what tells it at the next start. */
int lt_recovery_ask_tables(struct lt_hub *h);
/* Write down what there was no room for then. LT_OK: nothing is owed (any more); LT_E_NOSPACE. The projector asks every LT_HUB_RETRY_MS, and
 * nothing else takes the tables away before. Not on the writer's thread. */
int lt_recovery_durable(struct lt_hub *h);
int lt_recovery_open(struct lt_hub *h, struct lt_recovery **out);
void lt_recovery_close(struct lt_recovery *r); /* NULL allowed */

/* Any thread. */
bool lt_hub_recovering(struct lt_hub *h);
/* Once, and perhaps over: a node that was left out may still come with what it has. */
bool lt_hub_was_restored(struct lt_hub *h);
/* This node's feeds of the hub reach no further than ours. */
void lt_hub_heard(struct lt_hub *h, const struct lt_id *node);
/* A node says that it has more, or something else, of the feeds of a hub that was never restored. true: worth a line in the log, which a node
 * gets once an hour, whatever it says. */
bool lt_recovery_claimed(struct lt_hub *h, const struct lt_id *node);
/* A node has more of this feed of the hub's, of an epoch that was over, than the hub knows it to have signed. true: worth a line in the log, which a
 * feed gets once an hour. */
bool lt_recovery_outlived(struct lt_hub *h, const struct lt_feed_id *feed);
/* Has this change-set of the hub's own a verdict that another one contradicts, which was said before it came back? */
bool lt_recovery_late(struct lt_hub *h, struct lt_kv_txn *log, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq);
/* Is it over? After commits, and when the tables moved. */
void lt_recovery_look(struct lt_hub *h);
/* Go on without the nodes of this unit, or (NULL) without all who are still awaited: from now on, restarts included. *n: how many. by: the
 * operator's principal, NULL: at the hub's machine. LT_E_NOTFOUND: nobody of it is awaited; LT_E_EXISTS: it does not recover; LT_E_NOSPACE. */
int lt_hub_go_on_without(struct lt_hub *h, const struct lt_unit *unit, const struct lt_id *by,
    size_t *n, struct lt_err *err);
/* For people; in the arena. */
int lt_recovery_tell(struct lt_hub *h, struct lt_arena *arena, Ltpb__RecoveryReply *r);
size_t lt_recovery_awaited(struct lt_hub *h);

/* Change-sets of this hub's own feeds, from a node that has them. done as of lt_hub_intake(): feed[] says how far each reaches now. */
void lt_hub_take_back(
    struct lt_hub *h, const struct lt_slice *bytes, size_t n, lt_intake_fn *done, void *ctx);
/* Is it by this hub? Looks at the header alone. */
bool lt_hub_wrote(struct lt_hub *h, struct lt_slice change_set);

#endif
