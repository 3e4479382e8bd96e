/* proto/store/rebuild.h - rows that another catalogue made are made anew, in steps, while reading and writing go on.
 *
 * For an environment that holds its own log (a node). Each record is worked out again from its history in its place, so that
 * nothing vanishes meanwhile: a record shows what the old catalogue makes of it or what the new one does. The table index is
 * emptied at the beginning and complete at the end; in between queries read the records themselves. How far it got lies in the
 * transaction of the rows (FORMAT.md 9.8, `rows`), so that a power cut leaves a rebuild that goes on at the next start.
 * Thread: of the write transaction. */
#ifndef LT_STORE_REBUILD_H
#define LT_STORE_REBUILD_H

#include "proto/base/clock.h"
#include "proto/store/projection.h"

/* Before anything is projected in txn, and before a step: are the rows those of this catalogue? The first catalogue is noted;
 * of another one, or another version of the merge, the rebuild is begun. *building: a rebuild is under way: project with
 * `reindex`.
 * unmarked_is_other: rows without a note are somebody else's (a store that was just opened and has a catalogue). */
int lt_rebuild_check(
    struct lt_kv_txn *txn, const struct lt_catalogue *cat, bool unmarked_is_other, bool *building);

struct lt_rebuild_options {
	struct lt_kv_txn *txn;
	const struct lt_catalogue *catalogue; /* that lt_rebuild_check() was called with */
	struct lt_unit province;
	bool overlay;
	lt_by_hub_fn *by_hub;
	void *ctx;
	size_t records; /* at most, 1 or more */
	const struct lt_clock *clock; /* NULL: as many records as there may be */
	int64_t ms; /* no record is begun after so long */
	bool
	    careful; /* each record by itself, and nothing of it is written before all of it was found sound */
};

/* The next records. *more false: all are done, and the index may be used again. A record that cannot be worked out (its
 * collection is gone, its history is damaged) stays as it was, a line of the log names it. Errors: give the transaction up and
 * try again later; after LT_E_CORRUPT, LT_E_TOOBIG and LT_E_INVALID with `careful`, as what the batch was to replace is damaged
 * and half of the batch may be written. */
int lt_rebuild_step(const struct lt_rebuild_options *o, bool *more);

/* Is it an error that a careful step goes past? */
bool lt_rebuild_wants_care(int rc);

/* One record now, whether its turn has come or not: before somebody looks at its row with the new catalogue. records, clock,
 * ms and careful are not used. Of a collection or key that can have no record: LT_OK. */
int lt_rebuild_record(const struct lt_rebuild_options *o, const char *collection,
    const struct lt_unit *unit, const char *key);

/* May a query with this catalogue use the table index? */
int lt_rebuild_indexed(struct lt_kv_txn *derived, uint64_t catalogue_version, bool *indexed);

#endif
