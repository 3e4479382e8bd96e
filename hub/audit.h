/* hub/audit.h - the read audit: who was given what of whose records, and who was denied (FORMAT.md 13).
 *
 * A hash-chained log of files in DIR/audit, signed by the hub, of which each commune's nodes get the part that is theirs. What is
 * noted stands in the file before lt_audit_note() returns (the death of this process loses nothing); it is synced and signed within
 * LT_AUDIT_SEAL_MS or LT_AUDIT_BATCH entries, so that a power cut may take what was noted in that time. No query's text goes in:
 * identity numbers and names do not enter it, a salted commitment does.
 *
 * Any thread, unless it says otherwise. */
#ifndef LT_HUB_AUDIT_H
#define LT_HUB_AUDIT_H

#include "hub/hub.h"
#include "proto/store/audit_dir.h"

#define LT_AUDIT_SEAL_MS 1000 /* an entry is signed and synced after so long at the latest */
#define LT_AUDIT_BATCH 1024 /* or when so many wait */
#define LT_AUDIT_MERGE_MS \
	60000 /* denials alike: the first at once, the others of that time in one entry */

struct lt_audit;

struct lt_audit_options {
	const char *dir; /* data directory of the hub */
	const struct lt_identity *identity; /* borrowed for the log's life; with its certificate */
	const struct lt_clock *clock;
	int64_t keep_ms; /* no entry younger than this is removed for want of room */
	uint64_t
	    max_bytes; /* above it the oldest files go, if old enough; else nothing more is noted until there is room */
	uint64_t segment_bytes; /* a file; 0: LT_AUDIT_SEGMENT_BYTES */
};

/* One part of what was given: of one unit. */
struct lt_audit_share {
	const char *unit; /* a unit's code, or "*": over all units that the asker may see */
	uint32_t
	    rows; /* records, history entries, change-sets, groups: whatever the method gives */
	uint32_t masked; /* fields that were not for the asker's eyes */
	uint32_t withheld; /* values erased, or not at hand */
	const char *const
	    *collection; /* names, no two alike; LT_AUDIT_COLLECTIONS_MAX at most are noted */
	size_t ncollection;
};

/* What happened. Everything is borrowed for the call. */
struct lt_audit_event {
	enum lt_audit_kind kind; /* READ, DENIED or ACT */
	const struct lt_audit_who *who; /* lt_asking_who() */
	const char *method; /* "/lienthong.v1.Query/Get" */
	unsigned status; /* enum lt_status_code of the answer */
	struct lt_slice
	    query; /* what is committed to: the request as lt_wire_pack() writes it; empty: nothing */
	const struct lt_audit_share *share; /* no unit twice */
	size_t nshare;
};

/* Takes up the log in DIR/audit, or begins one. A torn end is cut and named by an entry; where what is there does not
 * go on as signed, it is left as it is and a new log begins behind it. LT_E_DENIED, LT_E_NOSPACE, LT_E_IO, LT_E_NOMEM. */
int lt_audit_open(const struct lt_audit_options *o, struct lt_audit **out, struct lt_err *err);
void lt_audit_close(struct lt_audit *a); /* seals what waits; NULL allowed */
/* Note it. Never refuses and never waits for the disk to sync. What cannot be written (disk full, cap reached) is counted, said in the
 * log and, once there is room, named by a chained gap entry. a NULL: no audit here (tests, the simulator), nothing happens. */
void lt_audit_note(struct lt_audit *a, const struct lt_audit_event *e);

struct lt_audit_status {
	bool stopped; /* nothing can be noted now: the disk or the cap is full */
	uint64_t lost; /* not noted since it stopped */
	uint64_t seq; /* of the last entry, 0 none */
	uint64_t head; /* number of the last signed head */
	uint64_t bytes;
};
void lt_audit_status(struct lt_audit *a, struct lt_audit_status *out);

/* For reading: the files as they are, with frames that are whole. false: a is NULL. */
bool lt_audit_files(struct lt_audit *a, struct lt_audit_dir *out);
/* The same up to the last head that is on the disk: what somebody may be shown who holds the hub to it for ever. */
bool lt_audit_files_synced(struct lt_audit *a, struct lt_audit_dir *out);
/* How many parts of this unit there are in the log that is written, whose id it is. */
uint64_t lt_audit_unit_no(struct lt_audit *a, const char *unit, uint64_t *log);

#endif
