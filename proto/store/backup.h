/* proto/store/backup.h - a data folder as a backup, checked, and put back (FORMAT.md 12).
 *
 * A backup is a folder: a compact copy of the store as of one moment, the heads of its feeds, the settings, keys (see below) and a
 * manifest signed by the machine. It is made while the daemon works: the copy is one read transaction. Under its name it appears
 * by a rename, when all of it is on disk; until then it lies under another, and has no manifest.
 *
 * Of a node the keys are in it: only they can send what the backup has and the hub has not, and a commune that restores is to go on
 * without asking anybody. What else is in it, everybody's personal data, has to be guarded as well as they. Of a hub they are not,
 * since backups of a hub travel and its keys are the province's: in it is an escrow, which the root words open.
 *
 * Of a hub the log alone is copied: the derived tables are built from it.
 */
#ifndef LT_STORE_BACKUP_H
#define LT_STORE_BACKUP_H

#include "proto/feed/identity.h"
#include "proto/store/kv.h"

#include "lienthong/v1/backup.pb-c.h"

/* What stands in the way, for who explains it: err has the detail. */
#define LT_BACKUP_WHYS(X) \
	X(OTHER) \
	X(TARGET) /* something stands at the backup's path */ \
	X(MEDIUM) /* no room, or it cannot be written to */ \
	X(SOURCE) /* what is to be backed up cannot be read, or is damaged */ \
	X(NO_BACKUP) /* no manifest: something else, or a backup that never ended */ \
	X(DAMAGED) /* manifest, or a file that is not as it says */ \
	X(UNSIGNED) /* the signature is not of the machine that it names */ \
	X(NEWER) /* made by a newer program */ \
	X(FOREIGN) /* of another federation, or another machine's keys */ \
	X(NO_KEYS) /* the keys are not in it */ \
	X(NOT_EMPTY) /* the folder to restore into */ \
	X(ERASURES) /* the list of erasures is none, or not of this federation's hub */ \
	X(IN_USE)

#define LT_BACKUP_WHY(name) LT_BACKUP_##name,
enum lt_backup_why { LT_BACKUP_WHYS(LT_BACKUP_WHY) };
#undef LT_BACKUP_WHY

struct lt_backup_error {
	enum lt_backup_why why;
	struct lt_err err;
};

#define LT_BACKUP_ID_LEN 16

struct lt_backup_info {
	Ltpb__Role role;
	struct lt_fed federation;
	struct lt_id principal;
	struct lt_unit unit;
	uint8_t root_key[32];
	uint8_t id[LT_BACKUP_ID_LEN];
	int64_t made_ms;
	uint64_t position, feeds, bytes; /* last one of the log; how many; of all files */
	bool keys, escrow;
	char program[32];
};

struct lt_backup_options {
	const char *dir; /* data folder of a node or hub; its daemon may run */
	const char *path; /* what is made; its folder is there */
	const struct lt_identity *identity;
	bool keys; /* the identity is to be in it */
	int64_t now_ms;
};

/* Whole and on disk, verified against what it was copied from, when this returns LT_OK; else nothing is left of it. A store of which
 * something does not verify is not backed up. LT_E_EXISTS, LT_E_NOSPACE, LT_E_CORRUPT, LT_E_BUSY (another backup to the path, or the folder has other keys by
 * now than identity), and as lt_kv_open_lmdb(). One at a time for a path. */
int lt_backup_make(
    const struct lt_backup_options *o, struct lt_backup_info *info, struct lt_backup_error *e);

/* Offline: the manifest's signature, every file against it, the store's pages and values. Nothing in it changes. A node's manifest is
 * checked with the key it names, a hub's with that which the root key certified: whether it is *your* root key
 * (info->root_key) is for the caller. */
int lt_backup_verify(const char *path, struct lt_backup_info *info, struct lt_backup_error *e);
/* The manifest alone, verified. */
int lt_backup_read(const char *path, struct lt_backup_info *info, struct lt_backup_error *e);

struct lt_restore_options {
	const char *path;
	const char *dir; /* empty, or not there */
	const struct lt_identity
	    *identity; /* where the keys do not come from the backup; else NULL */
	const struct lt_fed *federation; /* it is to be of this one; NULL: any */
	struct lt_slice
	    erasures; /* a list that is obeyed before anything is in place (erase_list.h); empty: none */
	int64_t now_ms;
};

/* Everything is verified before anything is put in place, and the identity comes last: without it the folder is nobody's, and
 * an attempt that broke off is begun anew by the next. What is in place signs in new epochs only (lt_restore_mark()). */
int lt_restore(
    const struct lt_restore_options *o, struct lt_backup_info *info, struct lt_backup_error *e);

/* In the transaction that makes a copy fit to go on: every epoch of this author is over; a hub is to hear its nodes before it signs
 * (hub/recovery.h), and invitations that were open when the copy was made are void, as they may have been used since: *voided. */
int lt_restore_mark(struct lt_kv_txn *txn, bool hub, const uint8_t id[LT_BACKUP_ID_LEN],
    int64_t now_ms, uint64_t *voided);

/* Row of table local: u8 1 || u64 when || id of the backup, as long as a restored hub waits; then u8 2. */
#define LT_LOCAL_RESTORED "restored"

#endif
