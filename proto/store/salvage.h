/* proto/store/salvage.h - a store whose pages do not hold together: what can still be read of it, and another file in its place
 * (FORMAT.md 9.16).
 *
 * LMDB never sees the damaged file. A child walks its pages as they are read (page_walk.h) and sends each entry whose checksum, bound to table and key,
 * is right; the parent verifies it again and writes it into a store of its own. Nothing is changed in the damaged file, which keeps its bytes
 * under another name for good: it may be the only one that has something. Who keeps the data directory's lock calls this, and nobody has the
 * store open.
 */
#ifndef LT_STORE_SALVAGE_H
#define LT_STORE_SALVAGE_H

#include "proto/base/clock.h"
#include "proto/base/ids.h"
#include "proto/store/kv.h"

/* A disk that dies does not get better by it: one in so long, and so many that broke off. */
#define LT_SALVAGE_EVERY_MS INT64_C(86400000)
#define LT_SALVAGE_TRIES 3
/* By a clock that is not believed at most LT_SALVAGE_TRIES are begun in all. */
#define LT_SALVAGE_CLOCK_MS LT_BUILD_FLOOR_MS

struct lt_salvage_report {
	uint64_t rows; /* taken over, the tables' sums not among them */
	uint64_t
	    lost; /* that there should be besides, as far as the file says how many there were */
	uint64_t left; /* pages that could not be read, or were not those that belong there */
	bool older; /* what was committed last may not be among it */
	uint64_t table_lost[LT_KV_TABLES_MAX]; /* of each; 1 at least where pages were left */
};

/* May one be begun in this folder of a store? Then it counts as begun. LT_E_CORRUPT, with words: one was finished, or LT_SALVAGE_TRIES were begun, within
 * LT_SALVAGE_EVERY_MS; LT_E_NOTFOUND: there is no file, or an empty one; LT_E_NOSPACE: the disk has no room for two more files of that
 * size; nothing is noted then. */
int lt_salvage_begin(const char *path, int64_t now_ms, struct lt_err *err);

/* The one begun last does not count: it was broken off by a person, or for a reason that is not the file's. */
void lt_salvage_broke_off(const char *path);

/* Every entry of o->path/data.mdb that can be read into `into`, which is open, empty, and has the same tables. Takes as long as reading the
 * file does. LT_E_CORRUPT: nothing leads to its tables; LT_E_IO: also where the disk does not give pages, but not in the last of LT_SALVAGE_TRIES, which takes what it gives; LT_E_VERSION: another program's, federation's or kind's; LT_E_TIMEOUT; LT_E_CLOSED: the daemon was told to
 * stop; store errors of `into`. */
int lt_salvage_rows(const struct lt_kv_options *o, struct lt_kv *into, struct lt_salvage_report *r,
    struct lt_err *err);

/* The file of the folder `from`, a closed store, becomes path/data.mdb, in one step; the one there gets the name damaged-N.mdb first, which is in aside
 * when this returns LT_OK. A stop in between leaves the old file in its place, under both names, and what
 * was noted about it. */
int lt_salvage_put_in_place(
    const char *path, const char *from, int64_t now_ms, char aside[64], struct lt_err *err);

#endif
