/* proto/store/mend.h - damaged derived tables are put right in their place, from the log, in steps while reading and writing go on.
 *
 * For an environment that holds its own log (a node; a hub empties its derived tables and projects anew). First histories and
 * overlays by the log, then each record by its history, then what nothing accounts for goes, then the digests are added up. What is
 * sound stays where it is all the time; what is damaged answers with LT_E_CORRUPT until its turn has come. How far it got lies in
 * the transaction of the rows (FORMAT.md 9.8, `mend`). Thread: of the write transaction. */
#ifndef LT_STORE_MEND_H
#define LT_STORE_MEND_H

#include "proto/base/clock.h"
#include "proto/store/projection.h"
#include "proto/store/registry.h"

/* From the beginning, also where one is under way. */
int lt_mend_begin(struct lt_kv_txn *txn);
/* Is one under way? */
int lt_mend_running(struct lt_kv_txn *txn, bool *running);

struct lt_mend_options {
	struct lt_kv_txn *txn;
	struct lt_catalogue *catalogue; /* of which the rows are (rebuild.h) */
	struct lt_registry *registry;
	struct lt_unit province;
	const struct lt_id *author; /* of this machine */
	const struct lt_clock *clock;
	int64_t ms; /* nothing is begun after so long; one thing is done at least */
};

/* *more false: all is done. Errors: give the transaction up and try again later. */
int lt_mend_step(const struct lt_mend_options *o, bool *more);

#endif
