/* proto/store/audit_dir.h - reading the read audit's files (FORMAT.md 13): at the hub while it is written, and offline. Any thread. */
#ifndef LT_STORE_AUDIT_DIR_H
#define LT_STORE_AUDIT_DIR_H

#include "proto/feed/audit.h"

#define LT_AUDIT_DIR "audit" /* in the data directory; its files have ten digits as names */
#define LT_AUDIT_WITNESS "audit.head" /* beside it: a head that the log had once reached */
#define LT_AUDIT_LOST "audit.lost" /* and this: how much is missing that the log does not say yet */
#define LT_AUDIT_LOST_BYTES 96
#define LT_AUDIT_SYNCED "audit.synced" /* and this: as far as the disk has taken the last file */
#define LT_AUDIT_SYNCED_BYTES 33
#define LT_AUDIT_WHY_MAX 24
#define LT_AUDIT_PATH_MAX 4096
#define LT_AUDIT_FILE_MAX (64u << 20)

struct lt_audit_dir {
	const char *dir; /* data directory; borrowed */
	uint64_t first, last; /* numbers of the files; 0, 0: none */
	uint64_t bytes; /* of all */
	size_t last_len; /* read of the last one no more than this; SIZE_MAX: all */
};

/* What is there. LT_E_NOTFOUND: no folder; LT_E_DENIED, LT_E_IO. */
int lt_audit_dir_list(const char *dir, struct lt_audit_dir *out, struct lt_err *err);
int lt_audit_dir_path(const char *dir, uint64_t segment, char *out, struct lt_err *err);
/* The same while it has no name yet: what is written has gone on in it, and the file before it is being synced. */
int lt_audit_dir_next(const char *dir, uint64_t segment, char *out, struct lt_err *err);
/* A file, appended to out. LT_E_NOTFOUND, LT_E_TOOBIG, LT_E_IO, ... */
int lt_audit_dir_read(
    const struct lt_audit_dir *d, uint64_t segment, struct lt_buf *out, struct lt_err *err);
/* Its start alone. The slices of out are in b. LT_E_INVALID: there is none. */
int lt_audit_dir_start(const struct lt_audit_dir *d, uint64_t segment, struct lt_buf *b,
    struct lt_audit_start *out, struct lt_err *err);

/* Every frame of a file. good: how far whole frames reach. LT_OK at its end; LT_E_GAP: cut off, LT_E_CORRUPT: damaged, behind
 * good; or what fn returned, if not LT_OK. */
typedef int lt_audit_frame_fn(void *ctx, enum lt_audit_frame type, struct lt_slice payload);
int lt_audit_frames(struct lt_slice file, lt_audit_frame_fn *fn, void *ctx, size_t *good);

/* A head that somebody was shown: it is in the log for ever. */
struct lt_audit_seen {
	uint64_t log, no;
	struct lt_hash hash;
};
/* `audit.head` of a data directory. LT_E_NOTFOUND, LT_E_CORRUPT, ... */
int lt_audit_witness_parse(struct lt_slice file, struct lt_audit_seen *out);
int lt_audit_witness_read(const char *dir, struct lt_audit_seen *out, struct lt_err *err);

/* What `audit.lost` says: calls that are missing, at the place seq of that log, where a gap will say it. count 0: none. */
struct lt_audit_lost {
	uint64_t log, seq, count;
	int64_t from_ms, to_ms;
	char why[LT_AUDIT_WHY_MAX + 1]; /* a reason of a gap */
};
void lt_audit_lost_put(const struct lt_audit_lost *l, uint8_t out[LT_AUDIT_LOST_BYTES]);
/* LT_E_CORRUPT. */
int lt_audit_lost_parse(struct lt_slice file, struct lt_audit_lost *out);

/* What `audit.synced` says: so many bytes of this file of that log are on the disk. */
struct lt_audit_synced {
	uint64_t log, segment, bytes;
};
void lt_audit_synced_put(const struct lt_audit_synced *s, uint8_t out[LT_AUDIT_SYNCED_BYTES]);
/* LT_E_CORRUPT. */
int lt_audit_synced_parse(struct lt_slice file, struct lt_audit_synced *out);
/* Of a data directory; zeros where it is not there or damaged: nothing is known then. */
void lt_audit_synced_read(const char *dir, struct lt_audit_synced *out);
/* So many bytes of this file are on the disk at least, as far as it says: 0 of any other than its own. A file with fewer whole ones is damaged. */
uint64_t lt_audit_synced_of(const struct lt_audit_synced *s, uint64_t log, uint64_t segment);

struct lt_audit_report {
	uint64_t files, entries, heads;
	uint64_t first_seq, last_seq; /* of the last log */
	uint64_t last_log, last_head;
	uint32_t logs; /* more than one: the hub lost one, or was restored */
	uint64_t gaps, missing; /* gap entries, and what they say is missing */
	uint32_t unsigned_entries; /* at the end, where no head stands yet */
	size_t torn; /* bytes behind the last whole frame */
	bool witnessed; /* the head that was seen stands in it */
	bool
	    expired; /* the head that was seen is older than the first file there is: LT_E_NOTFOUND */
	uint64_t bad_file; /* where it is wrong, 0: nowhere */
	size_t bad_at;
};
/* All of it, from the first file on. seen (NULL allowed): a head that must stand in it; the files are listed after it was read. tick (NULL allowed) is asked now and then, anything
 * but LT_OK ends it. LT_OK; else err says what is wrong: as lt_audit_chain_add(), LT_E_CORRUPT (damaged bytes in the middle),
 * LT_E_GAP (a file is missing, or the end of what was signed), LT_E_NOTFOUND (no audit here, or expired). Where the oldest files are let go
 * meanwhile it begins again behind them, and the report is of those. */
int lt_audit_dir_verify(const struct lt_audit_dir *d, const uint8_t root_key[32],
    const struct lt_audit_seen *seen, int (*tick)(void *ctx), void *tick_ctx,
    struct lt_audit_report *out, struct lt_err *err);

#endif
