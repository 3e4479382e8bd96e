/* proto/store/repair_impl.h - what the files of the repair share. */
#ifndef LT_STORE_REPAIR_IMPL_H
#define LT_STORE_REPAIR_IMPL_H

#include "proto/store/feed_log_impl.h"
#include "proto/store/repair.h"

#include <pthread.h>
#include <stdatomic.h>

#define LT_REPAIR_ARENA ((size_t)64 * 1024 * 1024)

/* ---- one position (repair_place.c) ---- */

/* What others say of an entry, without its change-set: copied. */
struct lt_repair_near {
	bool here; /* it can be read; so can "position 0", before the first, of zeros */
	uint64_t arrival_ms;
	struct lt_hash running, hash;
};
/* LT_OK also where nothing can be read. */
int lt_repair_near(struct lt_kv_txn *txn, uint64_t position, struct lt_repair_near *out);
/* Does the running hash of `position` follow from that of the one before? */
bool lt_repair_follows(
    const struct lt_repair_near *before, const struct lt_repair_near *at, uint64_t position);

enum lt_repair_way {
	LT_REPAIR_LEADS, /* a number leads to it */
	LT_REPAIR_NO_WAY, /* the rows that could cannot be read, or are gone */
	LT_REPAIR_ASTRAY /* a sound row leads elsewhere: left as it is */
};

/* An entry looked at. The change-set borrows from the transaction until it is written to. */
struct lt_repair_place {
	uint64_t position;
	bool sound; /* it can be read, and is the one that the running hash names */
	struct lt_entry e; /* when sound, as all that follows */
	struct lt_changeset cs;
	enum lt_repair_way way;
	bool aside; /* it stands, or with NO_WAY will stand, in a branch aside */
	bool seed_damaged;
	bool erased_here; /* values that an act names */
	bool openings; /* some are missing or damaged, or are not those that were signed */
	bool nobodys; /* rows of openings lie here that are none of its own (repair_keys.c) */
};
/* self: of the options. In the arena, which the caller clears. */
int lt_repair_look_at(struct lt_kv_txn *txn, const struct lt_repairer_options *o, uint64_t position,
    struct lt_arena *arena, struct lt_repair_place *out);
/* The name under which its row of the table seq stands. */
struct lt_feed_id lt_repair_feed(const struct lt_feed_id *feed, bool aside);

/* ---- writing (repair_put.c): jobs of the writer ---- */

#define LT_REPAIR_CANDIDATES 4 /* of one want: its author's branches, each of another peer */

/* A change-set that a peer gave, signed by its author, of which nothing else could be told yet: those behind it may tell. */
struct lt_repair_candidate {
	bool given;
	struct lt_id
	    from; /* who has had its say with it: a peer with the author's key would fill all places */
	struct lt_unit unit;
	struct lt_feed_id feed;
	bool aside;
	uint64_t seq;
	struct lt_hash hash, prev;
};

/* What a peer gave, verified, and what of it is wanted. */
struct lt_repair_put {
	const struct lt_repairer_options *o;
	const struct lt_changeset *cs;
	bool aside;
	bool by_hub; /* its author is one: acts of erasure in it count */
	uint64_t position; /* 0: one of these */
	const uint64_t *lost;
	size_t nlost;
	const struct lt_repair_candidate *candidate; /* of which some are not given */
	size_t ncandidate;
	/* out */
	int rc; /* of the job that ended with LT_OK */
	uint64_t at; /* where it stands */
	bool entry; /* put back */
	size_t rows; /* openings put back */
	size_t left; /* openings that are still missing */
	bool
	    unsettled; /* whether their sums hold cannot be told before all of their segment are back */
};
/* In rc, for nothing was written and nobody else's job need be done again: LT_E_NOTFOUND: nothing of it is missing any more. LT_E_GAP: others must come first, the entry before it, or those that tell
 * that it stood here. LT_E_REFUSED, LT_E_BADHASH: it does not fit. */
lt_job_fn lt_repair_run_put;

#define LT_REPAIR_SEGMENT 256 /* positions of which the openings have one sum */

/* When nothing in the segment of a position is missing or damaged any more, as far as can be told: the sums say what is there. */
struct lt_repair_settle {
	const struct lt_repairer_options *o;
	uint64_t position;
	bool settled; /* out */
};
lt_job_fn lt_repair_run_settle;

/* What lies here puts right. */
struct lt_repair_mend {
	const struct lt_repairer_options *o;
	const uint64_t *position;
	size_t n;
	/* out */
	uint64_t rows;
};
lt_job_fn lt_repair_run_mend;

/* The head of a feed of which the row is damaged or gone. */
struct lt_repair_head {
	const struct lt_repairer_options *o;
	struct lt_unit unit;
	struct lt_feed_id feed;
	bool put; /* out; false: it cannot be told with certainty, and stays as it is */
};
lt_job_fn lt_repair_run_head;

/* ---- nobody's rows (repair_keys.c) ----
 *
 * A bit of a key's length or content the other way, and the row stands under a key that no change-set has, where nobody finds it, and its
 * checksum does not verify; the row that it was is missing in its own place. It goes once it is a witness of nothing any more (FORMAT.md
 * 9.14). One that verifies never goes. */

#define LT_REPAIR_KEYS_MAX 32 /* dropped at a time; the next look finds the others */

struct lt_repair_key {
	unsigned table;
	size_t len;
	uint8_t b[LT_KV_KEY_MAX];
};

/* Can a row of the table (entry, seq, feed) have this key, in any log? */
bool lt_repair_key_fits(unsigned table, struct lt_slice key);
/* Rows of a table whose keys do not fit, and which do not verify: how many, and the sum of their checksums. Reads all of its keys. */
int lt_repair_keys_count(struct lt_kv_txn *txn, unsigned table, uint64_t *n, uint64_t *sum);

/* The openings at the position of a sound change-set: does a row lie there that does not verify and is none of its own? */
int lt_repair_openings_strange(
    struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position, bool *strange);
/* They go; what the sums say of the position stays: what is missing was counted. *rows: how many more went; *seeds: of them, what was the
 * change-set's seed, which does not come back. */
int lt_repair_openings_weed(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position,
    uint64_t *rows, uint64_t *seeds);

/* What a look found of them in entry, seq and feed. */
struct lt_repair_keys {
	const struct lt_repair_key *key;
	size_t n;
	uint64_t numbers; /* of the table seq, those beyond the first n among them */
	/* out */
	uint64_t rows; /* dropped; the others have something to witness yet */
};
lt_job_fn lt_repair_run_keys;

/* ---- the look (repair_look.c) ---- */

enum lt_repair_phase {
	LT_REPAIR_IDLE,
	LT_REPAIR_PAGES,
	LT_REPAIR_POSITIONS,
	LT_REPAIR_NUMBERS, /* the table seq: which change-set stood where nothing can be read */
	LT_REPAIR_HEADS,
	LT_REPAIR_KEYS
};

struct lt_repair_look {
	enum lt_repair_phase phase;
	unsigned failed; /* steps, one after the other */
	/* The look begins behind `from`, and ends where its lists are full: there the next one begins. */
	bool begun;
	uint64_t from, position, last;
	bool numbers; /* the table seq has rows to positions beyond the last */
	/* Positions that cannot be read, and how many of these no number leads to yet. */
	size_t nlost;
	uint64_t lost[LT_REPAIR_WANTS_MAX];
	bool found[LT_REPAIR_WANTS_MAX];
	/* Change-sets to which no number leads any more. */
	size_t ngone;
	struct lt_repair_want gone[LT_REPAIR_WANTS_MAX];
	/* How far the table seq is walked. */
	size_t key_len;
	uint8_t key[LT_LOG_KEY_MAX];
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq; /* the last of this feed; 0: none yet */
	/* A feed without a head. */
	size_t nheadless;
	struct lt_unit head_unit;
	struct lt_feed_id head_feed, checked_feed;
	struct lt_unit checked_unit;
	size_t nwant;
	bool more;
	struct lt_repair_want want[LT_REPAIR_WANTS_MAX];
	size_t nmend;
	uint64_t mend[LT_REPAIR_WANTS_MAX];
	/* Nobody's rows; how far which table is walked. */
	unsigned walked; /* tables */
	struct lt_repair_key at;
	uint64_t numbers_nobodys;
	size_t nkey;
	struct lt_repair_key nobodys[LT_REPAIR_KEYS_MAX];
};

/* A step over the keys, in its snapshot. *through: there are no more. */
int lt_repair_look_keys(struct lt_kv_txn *txn, struct lt_repair_look *l, bool *through);
/* The last position of the log, whatever does not verify behind it under keys that cannot be; at most `most`. LT_E_CORRUPT: what stands
 * behind it verifies, or there is too much of it. */
int lt_repair_last(struct lt_kv_txn *txn, uint64_t most, uint64_t *last);

struct lt_repair_asked {
	struct lt_id peer;
	bool answered;
};

struct lt_repair_slot {
	struct lt_repair_want w;
	struct lt_repair_candidate
	    candidate[LT_REPAIR_CANDIDATES]; /* the first that came, each another */
	size_t nasked;
	struct lt_repair_asked asked[LT_REPAIR_ASKED_MAX];
};

struct lt_repairer {
	struct lt_repairer_options o;
	struct lt_repair_look *look; /* owned; of the look's thread */
	bool pages_whole; /* of the look's thread: they were looked at */
	uint64_t from; /* likewise: the position behind which the next look begins */
	atomic_bool stop; /* of any */
	pthread_mutex_t mx; /* guards what follows */
	bool begin, begin_pages; /* a look is asked for */
	bool pages_unknown; /* they are to be looked at first: nothing is written meanwhile */
	bool unsettled; /* there were sums of which it could not be told yet whether they hold */
	struct lt_repair_status status;
	size_t nslot;
	struct lt_repair_slot slot[LT_REPAIR_WANTS_MAX]; /* by position */
	size_t nlost;
	uint64_t lost[LT_REPAIR_WANTS_MAX]; /* positions of wants without one */
};

/* Takes over what the look found, and ends it. */
void lt_repairer_looked(struct lt_repairer *r, const struct lt_repair_look *l);

#endif
