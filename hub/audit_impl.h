/* hub/audit_impl.h - for audit*.c only: the log as it is written. Functions with mx held, or before there is a thread. */
#ifndef LT_HUB_AUDIT_IMPL_H
#define LT_HUB_AUDIT_IMPL_H

#include "hub/audit.h"

#include <pthread.h>

#define LT_AUDIT_MERGES 256 /* kinds of denials that are counted at a time */

/* Denials like one that was noted a while ago. */
struct lt_audit_merge {
	struct lt_audit_who who;
	char method[LT_AUDIT_METHOD_MAX + 1];
	char unit[LT_UNIT_MAX + 1];
	uint8_t status;
	uint32_t count;
	int64_t first_ms, last_ms; /* wall clock, of those counted */
	int64_t due_ms; /* monotonic: then they are written; 0: the place is free */
};

/* Which thread may change what: files (fd to named) are changed by the thread alone, with mx held, or before there is one; so it may look
 * at them without. */
struct lt_audit {
	struct lt_audit_options o;
	char dir[LT_AUDIT_PATH_MAX];
	pthread_t thread;
	bool running;
	uint8_t salt_key[32];
	int lost_fd, synced_fd; /* audit.lost and audit.synced, of the thread; -1 */
	struct lt_audit_synced noted; /* what audit.synced says, of the thread */
	int64_t complained_ms; /* monotonic, of the thread: that a file cannot be begun */
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cond;
	bool stopping;
	int fd; /* what is written to; -1: a file has to begin first */
	int before_fd; /* the file before it, as long as its end is not synced; -1 */
	uint64_t before_size, before_synced; /* of it, and as far as the disk is known to have it */
	bool before_again, again; /* a sync of it, or of fd without its name, failed */
	uint64_t first, segment; /* numbers of the files; of fd the last */
	bool placed; /* fd has its name; until then NAME.next */
	bool named; /* and the disk knows it, and the file before is synced */
	bool anew; /* what has to begin is another log */
	const char *anew_why; /* the gap it begins with; NULL: none */
	bool beginning; /* that gap is being written, beyond the cap if need be */
	int begin_rc; /* why there is no fd */
	bool leave; /* a sync of fd failed: on in another file */
	int64_t left_ms; /* monotonic, of the thread: when that was last; 0: never */
	bool forget; /* the witness is of a log before this one */
	uint64_t size, bytes; /* of fd; of all */
	uint64_t shown,
	    synced; /* as far as a power cut takes nothing back: this file, up to there, behind a head */
	uint64_t start; /* of fd its start, with a table of units; 0: not known */
	bool full; /* the cap is reached */
	bool unsynced; /* written since the last sync */
	bool ragged; /* behind size stands half a frame that could not be cut */
	struct lt_audit_chain chain;
	struct lt_buf parts, entry, payload, frame; /* of the entry being made */
	struct lt_buf head; /* the last head's frame, for the witness */
	int64_t witness_ms;
	struct lt_audit_merge merge[LT_AUDIT_MERGES];
	const char *owed; /* a gap of no known count that could not be written yet; NULL: none */
	struct lt_audit_lost lost; /* log and seq not used */
	int64_t told_ms;
	bool lost_news; /* audit.lost says something else */
};

/* ---- audit_log.c: entries and heads ---- */

/* So many calls are missing from the log from here on. why: a reason of FORMAT.md 13.2. */
void lt_audit_lose(struct lt_audit *a, const char *why, uint32_t count);
/* What was lost is said, before anything that follows it. */
int lt_audit_own_up(struct lt_audit *a);
int lt_audit_put_gap(
    struct lt_audit *a, const char *why, uint64_t count, int64_t from_ms, int64_t to_ms);
/* LT_E_TOOBIG: more parts than a frame holds, or more units than a log. LT_E_NOSPACE, LT_E_IO, LT_E_NOMEM. */
int lt_audit_put_entry(struct lt_audit *a, struct lt_audit_entry *e, struct lt_slice query,
    const struct lt_audit_share *share, size_t nshare);
/* A head over all entries that have none. */
int lt_audit_seal(struct lt_audit *a);

/* ---- audit_file.c: files ---- */

/* The next file beside the last, and on in it at once; the old one has a head over all its entries. No sync: lt_audit_place(). On error
 * everything is as it was. */
int lt_audit_next(struct lt_audit *a, struct lt_err *err);
/* What was written to is the file before, from now on: a->fd is -1. */
void lt_audit_keep_before(struct lt_audit *a);
/* The same where there is no file to go on from: the next one of this log, or (a->anew) another log with the gap it begins with, whole or
 * not at all. On error a->fd is -1 and a->begin_rc says why. */
int lt_audit_begin(struct lt_audit *a, struct lt_err *err);
/* What next and begin have left to the disk: the old file is synced, then the new one, then it has its name. Lets mx go meanwhile. false: not
 * all of it, to be called again; what is noted until then stands in the new file all the same. Where a sync failed, what it was to bring to
 * the disk is written again first: there is no name, and nothing more is shown, until the disk has taken it. */
bool lt_audit_place(struct lt_audit *a);
/* Sync a file of which the system may have told a failed write already, and takes for written since what was not: these bytes are written over
 * themselves first, if they can be read whole. An errno. */
int lt_audit_sync_again(const char *path, uint64_t from, uint64_t to);
/* That the disk did not take what was written to a file: said, and a gap. */
void lt_audit_not_synced(struct lt_audit *a, int error);
/* That a file could not be begun; once a minute. */
void lt_audit_complain(struct lt_audit *a, const char *words);
/* The oldest files go while there is too much, if nothing in them is younger than what must be kept. Lets mx go. */
void lt_audit_make_room(struct lt_audit *a);
/* Before the log that it is not of has its name: after a stop in between there would seem to be an end missing. */
bool lt_audit_forget_witness(const struct lt_audit *a);
void lt_audit_write_witness(struct lt_audit *a, struct lt_slice head);
/* What was begun beside the last file when a process ended: NAME.next, out of the way. */
void lt_audit_aside(struct lt_audit *a, uint64_t segment);

/* ---- audit_lost.c: how much is missing, over a restart ---- */

/* What the last process could not say in the log, as far as the log does not say it after all; the log is taken up. */
void lt_audit_recall(struct lt_audit *a);
/* Keep what is missing now. settled: that there is nothing missing any more is synced. Lets mx go. */
void lt_audit_remember(struct lt_audit *a, bool settled);
/* Open its file, unless it is open; a failure is one of when it is needed. The same for the other one below. */
void lt_audit_lost_open(struct lt_audit *a);

/* ---- audit_synced.c: how far the disk has taken it, over a restart ---- */

/* Keep that, if it is news. Lets mx go. */
void lt_audit_note_synced(struct lt_audit *a);
void lt_audit_synced_open(struct lt_audit *a);

/* ---- audit_open.c ---- */

/* With mx held. Where the disk is full and a file has to begin: LT_OK, with no a->fd. */
int lt_audit_open_log(struct lt_audit *a, struct lt_err *err);

#endif
