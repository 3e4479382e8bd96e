/* proto/store/repair.h - change-sets of the log that are damaged: which they are, and putting them back from what a peer has, in
 * their places (design section 9; FORMAT.md 9.14).
 *
 * A scrub finds that something is damaged and keeps 64 findings of it; a look goes over every position and number of the log
 * itself, and leaves a list of wants: which change-set stands where, and what of it is missing. What needs no peer is put right by the
 * look ("mended"): the number that leads to a sound entry, a value that was erased and is still
 * here, a seed that cannot be read (each opening has its salt), the head of another's feed; and what lies under a key that no change-set
 * has goes, once it is a witness of nothing. For the rest a peer's
 * change-set is taken, when it is the one that stood there: its signature, its openings, its place in its chain and the running
 * hash of the log say so. A row that verifies is never replaced. What no peer has stays wanted, and reported by the scrub; so do rows that
 * no change-set tells (judgements, quarantine, this machine's own small state): for these there is the backup.
 *
 * Nothing is written into a file whose pages do not hold together (kv.h, lt_kv_look_pages()): then a backup has to be restored.
 *
 * Threads: look functions on one thread (the scrubber's, scrubber.h: give it the repairer, and it calls them); the others on any.
 */
#ifndef LT_STORE_REPAIR_H
#define LT_STORE_REPAIR_H

#include "proto/base/clock.h"
#include "proto/store/registry.h"
#include "proto/store/writer.h"

#define LT_REPAIR_WANTS_MAX 256 /* known at a time; the next look goes on behind them */
#define LT_REPAIR_ASKED_MAX 16 /* peers that one want is asked of between two looks */

/* Bits: what of a change-set is missing or damaged. */
enum lt_repair_part { LT_REPAIR_ENTRY = 1, LT_REPAIR_OPENINGS = 2 };

struct lt_repair_want {
	uint64_t position; /* 0: one of some, which only the change-set itself will tell */
	struct lt_unit unit;
	struct lt_feed_id feed; /* the plain name, also of a branch aside */
	uint64_t seq;
	unsigned parts;
	bool aside; /* it stands in a branch aside (FORMAT.md 9.11): no hub has it */
};

struct lt_repair_status {
	bool looking; /* the log is being looked over */
	bool
	    pages_broken; /* the store's pages do not hold together, or cannot be read: a backup helps */
	size_t wanted; /* change-sets that a peer has to give */
	bool more; /* there are more than those */
	uint64_t lost; /* positions of which nothing here tells which change-set stood there */
	uint64_t repaired; /* since the process started: change-sets put back from peers */
	uint64_t mended; /* likewise: rows put right by what lies here */
	uint64_t refused; /* likewise: answers of peers that did not verify or did not fit */
};

struct lt_repairer;

struct lt_repairer_options {
	struct lt_kv *log; /* borrowed, as all here */
	struct lt_writer *writer; /* of log */
	const struct lt_fed *federation;
	/* This machine, node or hub: its own feeds' heads are not made anew, a number could be signed twice. */
	const struct lt_id *self;
	const struct lt_clock *clock;
	/* A reference, given back by the repairer; NULL: none now, then nothing is taken. Any thread. */
	struct lt_registry *(*registry)(void *ctx);
	/* Node: may this machine see that personal field of a record of the unit? Where it may not, a leaf in place of the value is whole, and
	 * none at all too. Where it may, only values are. NULL (hub): everything is to be here, and a leaf counts only where an act of
	 * erasure names it. Any thread. */
	bool (*may_open)(
	    void *ctx, const struct lt_unit *unit, const char *collection, const char *field);
	void *ctx;
};

/* LT_E_NOMEM. */
int lt_repairer_open(const struct lt_repairer_options *o, struct lt_repairer **out);
void lt_repairer_close(struct lt_repairer *r); /* NULL allowed */
/* No more steps: the one under way ends soon, also in the middle of the pages, with LT_E_CLOSED as all that are tried after it. For who
 * waits for the look's thread to end. NULL allowed. */
void lt_repairer_stop(struct lt_repairer *r);

/* ---- the look: for the scrubber ---- */

/* Begin one with the next step; what was wanted is found again or forgotten then, and every peer may be asked again. pages: the pages of the
 * file are looked at first also when that was done before (a scrub found something new). */
void lt_repairer_look(struct lt_repairer *r, bool pages);
/* Its next step, in a short read transaction (the first one looks at the pages: as long as reading the file takes). *done: none is under way
 * any more. Other codes: again later; after some steps that failed one after the other the look is given up, with LT_OK and *done. */
int lt_repairer_look_step(struct lt_repairer *r, bool *done);

/* ---- peers ---- */

/* What to ask this peer for: at most cap of what was not asked of it since the last look and may_have (NULL: all) says it may have.
 * They count as asked from then on. The number of them; 0 while the pages are doubted.
 * Must not be called from may_have, and may_have must not take long. */
size_t lt_repairer_wants(struct lt_repairer *r, const struct lt_id *peer,
    bool (*may_have)(void *ctx, const struct lt_repair_want *w), void *ctx,
    struct lt_repair_want *out, size_t cap);
/* The line broke before it could answer: what was given out for it may be asked of it again. */
void lt_repairer_unasked(struct lt_repairer *r, const struct lt_id *peer);
/* What a peer gave: a ChangeSet, with openings as far as it has them. Verified on the calling thread, then put by the writer; returns
 * when durable (so not from the writer's thread).
 * LT_OK: put back, as far as it was missing and given; what is still missing of it stays wanted, of other peers.
 * LT_E_NOTFOUND: nobody wants it (any more), or not of this peer, which has answered. LT_E_INVALID, LT_E_TOOBIG, LT_E_BADSIG, LT_E_BADHASH, LT_E_DENIED, LT_E_REVOKED, LT_E_UNKNOWN,
 * LT_E_REFUSED (true, but without what is missing here): does not fit; counted in `refused`, nothing written. LT_E_GAP: it may be the one, but
 * nothing besides its signature says so before others are put back or given; it is asked for again when they were. LT_E_UNAVAILABLE: no registry now, the writer's
 * queue is full, or the pages are broken, or doubted and not looked at yet.
 * Other codes: of the store; nothing was written. */
int lt_repairer_take(
    struct lt_repairer *r, const struct lt_id *peer, struct lt_slice changeset, struct lt_err *err);

void lt_repairer_status(struct lt_repairer *r, struct lt_repair_status *out);

#endif
