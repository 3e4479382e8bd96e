/* proto/store/scrub_impl.h - what the files of the scrub share. */
#ifndef LT_STORE_SCRUB_IMPL_H
#define LT_STORE_SCRUB_IMPL_H

#include "proto/store/feed_log.h"
#include "proto/store/kv_sums.h"
#include "proto/store/projection_impl.h"
#include "proto/store/scrub.h"

/* In the order of a round: what is derived is compared with what was found sound before. */
enum lt_scrub_phase {
	LT_SCRUB_TABLES, /* checksums and sums, table by table */
	LT_SCRUB_DERIVED_TABLES, /* of a hub's other environment */
	LT_SCRUB_ENTRIES,
	LT_SCRUB_HEADS,
	LT_SCRUB_HISTORY,
	LT_SCRUB_RECORDS,
	LT_SCRUB_ORPHANS,
	LT_SCRUB_DIGESTS,
	LT_SCRUB_SUSPECTS,
	LT_SCRUB_PHASES
};

#define LT_SCRUB_SUSPECTS_MAX 32

/* A record of a hub that differed while verdicts were on their way: looked at again when they have arrived. */
struct lt_scrub_suspect {
	uint64_t until; /* the tables must reach this; 0: not known yet, verdicts are owed */
	unsigned times;
	size_t rk_len;
	uint8_t rk[LT_RK_MAX];
};

/* How far a round is. */
struct lt_scrub_at {
	unsigned phase;
	unsigned table;
	uint64_t position;
	bool begun; /* key and segment are those of something */
	size_t key_len, segment_len;
	uint8_t key[LT_KV_KEY_MAX], segment[LT_KV_KEY_MAX];
	struct lt_hash running; /* of the entry at position */
};

struct lt_scrub {
	struct lt_scrub_options o;
	bool node;
	struct lt_scrub_status st;
	uint64_t found[LT_SCRUB_FINDINGS_MAX]; /* the round in which it was found last */
	uint64_t round; /* of the progress; rises with every beginning */
	bool running, full;
	bool mending; /* not a scrub: what differs is put right (mend.c) */
	struct lt_scrub_at at;
	size_t nsuspect;
	struct lt_scrub_suspect suspect[LT_SCRUB_SUSPECTS_MAX];
	unsigned waits; /* for the suspects, in this round */
	/* of one step */
	struct lt_kv_txn *log, *derived; /* the same on a node */
	struct lt_scrub_world world;
	uint64_t projected; /* the derived tables are of the log up to here */
	uint64_t last; /* position of the log */
	bool owed; /* verdicts on held changes are not written yet */
	uint64_t entries_left, bytes_left;
};

/* Look at so many bytes of one entry. */
void lt_scrub_took(struct lt_scrub *s, size_t bytes);
bool lt_scrub_more(const struct lt_scrub *s);
/* A finding; key may be empty: the table as a whole. */
void lt_scrub_found(
    struct lt_scrub *s, unsigned table, struct lt_slice key, enum lt_scrub_what what);
/* Does a code that reading gave mean damage (true: it was noted)? Else it is an error of the step. */
bool lt_scrub_is_damage(struct lt_scrub *s, int rc, unsigned table, struct lt_slice key);
/* The first entry behind the key (or the first of all: len 0), damaged or not. LT_E_NOTFOUND; LT_E_CORRUPT: *k names it when it
 * can. */
int lt_scrub_after(
    struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *v);

/* ---- scrub_rows.c, for mend.c as well ---- */

/* The records of one collection and unit: what their keys begin with. */
struct lt_scrub_group {
	size_t len; /* 0: none left */
	uint8_t b[LT_KV_KEY_MAX];
};
typedef uint16_t lt_scrub_lanes[LT_DIGEST_LANES];

/* Every change of the change-set at a position, in the history (and overlay) of its record. */
int lt_scrub_changes(struct lt_scrub *s, uint64_t position);
/* Work a record out again and compare. LT_E_CORRUPT: its history or the log is damaged; LT_E_UNKNOWN: no such collection any
 * more. */
int lt_scrub_record(struct lt_scrub *s, struct lt_slice rk, lt_differs_fn *differs, void *ctx);
/* The record behind the one in at, by the keys of the history. LT_E_NOTFOUND; LT_E_CORRUPT: they cannot be walked behind at, *key (if it
 * is not empty) is none of a history. */
int lt_scrub_next_record(struct lt_scrub *s, struct lt_kv_cursor *c, struct lt_slice *key);
/* Does something account for this row of record, shown, index or overlay? */
int lt_scrub_accounted(struct lt_scrub *s, unsigned table, struct lt_slice k, bool *known);
/* The group of the first key of the table that is not below from. */
int lt_scrub_group(
    struct lt_scrub *s, unsigned table, struct lt_slice from, struct lt_scrub_group *g);
/* The sums of its rows, bucket by bucket. *sound false: a row is damaged, no sum of it says anything. */
int lt_scrub_sum_group(
    struct lt_scrub *s, struct lt_slice group, lt_scrub_lanes *lanes, bool *sound);

/* Each: part of its phase; *done when the phase is through. */
typedef int lt_scrub_phase_fn(struct lt_scrub *s, bool *done);
lt_scrub_phase_fn lt_scrub_tables, lt_scrub_derived_tables, lt_scrub_entries, lt_scrub_heads;
lt_scrub_phase_fn lt_scrub_history, lt_scrub_records, lt_scrub_orphans, lt_scrub_digests,
    lt_scrub_suspects;

#endif
