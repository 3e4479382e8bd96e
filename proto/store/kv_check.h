/* proto/store/kv_check.h - the look at a store's file before LMDB maps it, and the note beside it that says what to expect.
 *
 * LMDB crashes on a damaged page, so a child reads the file first (page_walk.h). It is forked, not a program of its own: stores
 * are opened by daemons, tools and tests, which need not know where such a program stands; and it calls nothing that takes a lock or
 * memory of the heap, so that other threads of the parent do not matter. It has one descriptor, the file; it holds none of the
 * parent's locks (the lock of the folder goes with its descriptor), and dies with the parent.
 *
 * The note, `guard` (FORMAT.md 9.1): whether the last writer closed the store, what the newest meta page was and, once closed, the page
 * that says where each table begins (an older one names older tables, of which no part need be damaged), and when the whole
 * file was read last. It is synced when the store is opened and when it is closed; after a commit it is written without a sync, and
 * so may be older than the file after a power cut, never newer.
 */
#ifndef LT_STORE_KV_CHECK_H
#define LT_STORE_KV_CHECK_H

#include "proto/store/page_walk.h"

/* Up to this the whole file is read every time: a tenth of a second. */
#define LT_KV_CHECK_ALWAYS ((uint64_t)64 << 20)
#define LT_KV_CHECK_SAMPLES 32
/* Else after an unclean stop, or after so long; a machine without a clock that runs counts its starts, one a day. */
#define LT_KV_CHECK_SECONDS ((uint64_t)7 * 24 * 3600)
#define LT_KV_CHECK_OPENS 7

struct lt_kv_guard {
	bool clean; /* closed; nothing was written since */
	uint64_t txnid; /* of the newest meta page, */
	uint64_t meta; /* and what it says, as one number (lt_pages_meta()) */
	uint64_t full_s; /* when the whole file was read last, seconds since 1970; 0: never */
	uint64_t opens; /* since then */
	uint64_t
	    names; /* when closed: the page with the tables' names (lt_pages_names()); 0: none, or not noted */
};

/* false: none, or damaged (then it is as if there were none). dir: the store's folder. */
bool lt_kv_guard_read(int dir, struct lt_kv_guard *g);
/* Open the file, made when it is not there and then durable in its folder. -1: errno says why. */
int lt_kv_guard_open(int dir);
/* 0 or an errno. */
int lt_kv_guard_write(int fd, const struct lt_kv_guard *g, bool sync);

enum lt_kv_look {
	LT_KV_LOOK_WHOLE, /* the report may name entries that do not verify */
	LT_KV_LOOK_DAMAGED, /* as the report says */
	LT_KV_LOOK_KILLED, /* the child died of a signal */
	LT_KV_LOOK_TIMEOUT, /* or was too slow */
	LT_KV_LOOK_UNREAD, /* the disk does not give some of it (EIO): once may pass, twice is damage */
	LT_KV_LOOK_FAILED /* there was none, it could not read the file, or something else ended it */
};

struct lt_kv_check {
	/* in */
	int dir;
	const char *file;
	const struct lt_kv_table *table; /* the last is "meta" */
	unsigned ntable;
	const uint8_t *need; /* of each, as in page_walk.h */
	uint64_t now_s;
	uint64_t always; /* LT_KV_CHECK_ALWAYS */
	unsigned samples; /* leaves of each table in a look that is not full: LT_KV_CHECK_SAMPLES */
	unsigned seconds; /* to give up after; 0: by the size of the file */
	/* Asked while the child reads: true ends it, and nothing is known of the file. NULL: it is waited for. */
	bool (*stop)(void *ctx);
	void *stop_ctx;
	/* Of a store that is open: its first two pages as they were when the read transaction began that is held meanwhile; all of what
	 * that sees is read. NULL: as they stand in the file. */
	const uint8_t *meta;
	/* out */
	enum lt_kv_look look;
	bool full; /* the whole file was read */
	int signal; /* of LOOK_KILLED; of LOOK_FAILED where one ended the child that the file had nothing to do with, else 0 */
	int error; /* errno of LOOK_FAILED; ECANCELED: stopped */
	struct lt_pages_report report;
};

/* Without c->meta no LMDB environment of this process has the file open. guard NULL: there is none. */
void lt_kv_check(struct lt_kv_check *c, const struct lt_kv_guard *guard);
/* What was found, lower case, no full stop. */
void lt_kv_check_text(const struct lt_kv_check *c, char *out, size_t cap);

#endif
