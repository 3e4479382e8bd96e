/* proto/base/failpoint.h - places where a test can make the process die as by kill -9.
 *
 * LIENTHONG_FAILPOINT=name or name:n in the environment at process start: the n-th (first) time that
 * any thread passes LT_FAILPOINT("name"), the process gets SIGKILL there. Not set, a point costs the test of one
 * pointer. The variable is ignored in set-user-id programs. Names in use:
 *
 *   writer.before_commit  a batch has run, nothing of it is durable (proto/store/writer.c)
 *   writer.after_commit   the batch is durable, nobody has been told
 *   hub.before_receipt    pushed change-sets are durable, the receipt is not made (hub/intake.c)
 *   node.before_saved     a clerk's write is durable, the answer is not sent (node/node.c)
 *   backup.copied, backup.before_manifest, backup.before_rename, backup.after_rename  (proto/store/backup.c)
 *   restore.copied, restore.marked, restore.before_identity, restore.after_identity  (proto/store/restore.c)
 *   compact.copied, compact.linked, compact.in_place, compact.derived  (proto/store/compact.c)
 *   salvage.begun, salvage.taken, salvage.replayed  a store made anew from one that is damaged (node/salvage.c)
 *   salvage.linked, salvage.renamed, salvage.in_place  and put in its place (proto/store/salvage.c)
 *   rotate.drawn, rotate.confirmed, rotate.in_place, rotate.in_use, rotate.ended  new keys for a node (node/rotate.c)
 *   node.before_receipt_stored  a receipt has come and verifies, the node does not keep it yet (node/node.c)
 */
#ifndef LT_BASE_FAILPOINT_H
#define LT_BASE_FAILPOINT_H

#include <stddef.h>

/* Name of the armed point, NULL if none. Set before main(), constant afterwards. */
extern const char *lt_failpoint_armed;
/* Die here if this is the armed point and its count has run down. Any thread. */
void lt_failpoint_pass(const char *name);

#define LT_FAILPOINT(name) \
	do { \
		if (__builtin_expect(lt_failpoint_armed != NULL, 0)) \
			lt_failpoint_pass(name); \
	} while (0)

#endif
