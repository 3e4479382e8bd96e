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

/* Entries that could not be written. */
struct lt_audit_lost {
	uint64_t count;
	int64_t from_ms, to_ms;
	const char *why;
	int64_t told_ms;
};

struct lt_audit {
	struct lt_audit_options o;
	char dir[LT_AUDIT_PATH_MAX];
	pthread_t thread;
	bool running;
	uint8_t salt_key[32];
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cond;
	bool stopping;
	int fd;
	uint64_t size, bytes; /* of the file that is written; of all */
	uint64_t
	    synced; /* of the file that is written: as far as a power cut cannot take it back; behind a head */
	uint64_t start; /* of that file its start, with a table of units; 0: not known */
	uint64_t first, segment; /* files */
	bool full; /* the cap is reached */
	bool unsynced; /* written since the last sync */
	bool ragged; /* behind size stands half a frame that could not be cut */
	struct lt_audit_chain chain;
	struct lt_buf parts, entry, payload, frame; /* of the entry being made */
	struct lt_buf head; /* the last head's frame, for the witness */
	int64_t witness_ms;
	struct lt_audit_merge merge[LT_AUDIT_MERGES];
	struct lt_audit_lost lost;
};

/* ---- audit_log.c: entries and heads ---- */

/* So many calls are missing from the log from here on. why: a reason of FORMAT.md 13.2, kept. */
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

/* The next file, and on with it. The old one is whole and synced. anew: another log. */
int lt_audit_begin_file(struct lt_audit *a, bool anew, struct lt_err *err);
/* The oldest files go while there is too much, if nothing in them is younger than what must be kept. */
void lt_audit_make_room(struct lt_audit *a);
void lt_audit_write_witness(struct lt_audit *a, struct lt_slice head);
void lt_audit_forget_witness(struct lt_audit *a);

/* ---- audit_open.c ---- */

int lt_audit_open_log(struct lt_audit *a, struct lt_err *err);

#endif
