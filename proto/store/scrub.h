/* proto/store/scrub.h - is what lies in the store what was put there? All of it, a little at a time, while reading and writing go
 * on (design section 9; FORMAT.md 9.12).
 *
 * A round goes over every table: each value against its checksum; the counts and sums of segments against the entries (what is
 * gone, or is an older entry, shows there); the log's running hash, chains, signatures, openings against their leaves, heads, the
 * way from a feed's number to its position; then the derived tables against the log: every change in the history of its record,
 * every record worked out again, what it shows, its index entries both ways, the digests. Each step reads in short transactions
 * of its own and compares only what one snapshot shows, so that writes meanwhile are no findings. Any store behind kv.h.
 *
 * Thread: one at a time for a struct lt_scrub; never the writer's. proto/store/scrubber.h is the thread that daemons run it on.
 */
#ifndef LT_STORE_SCRUB_H
#define LT_STORE_SCRUB_H

#include "proto/base/clock.h"
#include "proto/model/catalogue.h"
#include "proto/store/registry.h"
#include "proto/store/tables.h"

#define LT_SCRUB_FINDINGS_MAX 64

enum lt_scrub_what {
	LT_SCRUB_DAMAGED = 1, /* a value does not verify */
	LT_SCRUB_MISSING, /* what must be there is not */
	LT_SCRUB_EXTRA, /* nothing accounts for what is there */
	LT_SCRUB_WRONG, /* it verifies, but says something else than what it comes from */
	LT_SCRUB_COUNT, /* the entries of a segment are not those that were written last */
	LT_SCRUB_UNREADABLE, /* the table cannot be walked */
};
/* "damaged", "missing", ...; static. */
const char *lt_scrub_what_name(enum lt_scrub_what what);

struct lt_scrub_finding {
	unsigned table; /* LT_T_ */
	enum lt_scrub_what what;
	bool derived; /* building the derived tables anew mends it */
	uint8_t key_digest
	    [8]; /* H16("lt1.value", framed(table name) || framed(key)), its beginning: keys may be long */
	int64_t since_ms, last_ms; /* wall clock: found first, and last */
};

/* What a round compares with, of one moment. References, given back by the scrub. */
struct lt_scrub_world {
	struct lt_catalogue *catalogue;
	struct lt_registry *registry;
	struct lt_unit province; /* "": not known yet */
	uint64_t
	    builds; /* how often the derived tables were begun anew since the environments were opened */
};

struct lt_scrub_options {
	struct lt_kv *log; /* borrowed for the scrub's life */
	struct lt_kv *derived; /* the same as log on a node */
	const struct lt_fed *federation; /* borrowed */
	const struct lt_id
	    *author; /* whose own changes wait here for verdicts; borrowed; NULL: a hub */
	const struct lt_clock *clock;
	/* What the environments' owner works with now. LT_E_UNAVAILABLE: the derived tables are being built; or another code, why
	 * there is none now: the step is tried again. */
	int (*world)(void *ctx, struct lt_scrub_world *out);
	void *ctx;
};

struct lt_scrub_budget {
	uint64_t entries; /* looked at in one step; 0: 256 */
	uint64_t
	    bytes; /* of them; 0: 1 MiB. A step does one thing at least: a whole segment, a record, a change-set */
};

struct lt_scrub_status {
	uint64_t rounds; /* whole ones, since the progress was begun */
	int64_t round_began_ms; /* wall clock; 0: none is under way */
	int64_t round_ended_ms, round_took_ms; /* the last whole one; 0: none */
	bool round_full; /* the last whole one verified every signature */
	uint64_t entries, bytes; /* looked at in the round under way */
	const char *phase; /* of it, for people */
	uint64_t sampled; /* signatures verified in the round under way */
	bool truth_clean; /* this round has found nothing that a rebuild does not mend */
	size_t nfinding;
	struct lt_scrub_finding finding[LT_SCRUB_FINDINGS_MAX];
	uint64_t more; /* found beyond those */
};

struct lt_scrub;

/* LT_E_NOMEM. */
int lt_scrub_open(const struct lt_scrub_options *o, struct lt_scrub **out);
void lt_scrub_close(struct lt_scrub *s); /* NULL allowed */

/* The next step of the round under way, or of a new one. *done: with it the round is whole, and findings that were not found again
 * are gone. LT_E_UNAVAILABLE: nothing can be compared at the moment (the derived tables are being built): again later. LT_E_NOMEM,
 * LT_E_BUSY: likewise. Damage is no error but a finding. */
int lt_scrub_step(struct lt_scrub *s, const struct lt_scrub_budget *budget, bool *done);
/* Begin a new round with the next step. full: every signature is verified, else one in 16, another one each time. */
void lt_scrub_restart(struct lt_scrub *s, bool full);
/* Steps until a round that begins now is whole. */
int lt_scrub_round(struct lt_scrub *s, bool full);

void lt_scrub_status(const struct lt_scrub *s, struct lt_scrub_status *out);

/* Progress and findings as bytes, appended; and from there on again. LT_E_INVALID: of another program or damaged, nothing is
 * taken over. */
int lt_scrub_save(const struct lt_scrub *s, struct lt_buf *out);
int lt_scrub_resume(struct lt_scrub *s, struct lt_slice saved);

#endif
