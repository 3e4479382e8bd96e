/* proto/store/author.h - this machine as an author: from what a person asks for to a signed, appended
 * change-set (design sections 5, 6, 8). The same on a node and at the hub.
 *
 * Works inside the caller's write transaction of the log; `derived` is the same transaction on a
 * node and a read transaction of the other environment at the hub. Nothing is published before the caller's
 * commit. One thread at a time for an author.
 * Table: local (epochs, last stamp, known hub time).
 */
#ifndef LT_STORE_AUTHOR_H
#define LT_STORE_AUTHOR_H

#include "proto/base/clock.h"
#include "proto/feed/identity.h"
#include "proto/model/validate.h"
#include "proto/store/feed_log.h"
#include "proto/store/projection.h"

struct lt_author {
	struct lt_fed federation;
	struct lt_id id;
	uint32_t key_no;
	const struct lt_sign_key *key; /* borrowed */
	bool by_hub;
	struct lt_unit province;
	const struct lt_clock *clock;
	void (*random)(void *ctx, void *buf, size_t len); /* seeds and epochs */
	void *random_ctx;
};

/* The author that an identity is; the key is borrowed from it, randomness is the system's. The rest is zero: not the hub,
 * no province yet. */
void lt_author_init(
    struct lt_author *a, const struct lt_identity *id, const struct lt_clock *clock);

/* One thing asked for. Borrowed; the result members are set by lt_author_write(). */
struct lt_write {
	const char *collection;
	const char *key; /* "" or NULL: built from the key fields in set */
	size_t nset;
	Ltpb__FieldSet **set; /* wanted values; key and unit fields allowed if they agree */
	size_t nclear;
	char **clear;
	bool is_delete;
	bool if_revision;
	struct lt_slice revision; /* empty with if_revision: must not exist */
	const char *actor; /* "" or NULL: none */
	unsigned writer; /* one LT_WRITER_ bit */
	bool builtin; /* acts: no record checks */
	/* What stands aside of the record (FORMAT.md 9.11) is issued again: nothing is in set and clear. LT_E_CONFLICT: a person has to choose;
	 * unchanged: others have it all, or a change here says that it was done; LT_E_UNAVAILABLE: one says so on which the hub has not
	 * decided yet. */
	bool reissue;
	/* results */
	int rc; /* LT_OK, LT_E_REFUSED (violation), LT_E_CONFLICT (revision), LT_E_NOTFOUND (delete),
	                             * LT_E_TOOBIG */
	struct lt_violation violation;
	char key_out[LT_KEY_MAX + 1];
	bool unchanged; /* stood there already: nothing made */
	bool created;
	struct lt_dot dot; /* where it stands, unless unchanged */
};

/* A change-set that was made. Slices live in the arena. */
struct lt_made {
	uint64_t position;
	struct lt_changeset cs;
};

/* Make what is asked for in one unit: each write is judged alone (its rc), the good ones are sealed into as few
 * change-sets as limits, lanes and repeated records allow, and appended. Only what differs from what is shown is
 * written. made: the change-sets in order, in the arena. after_append (NULL allowed) runs after each append, so that a
 * node can project it before the next write looks at the record.
 * Returns store errors (give the transaction up), LT_E_REFUSED where an epoch would have to begin and may not
 * (lt_author_may_begin(); the same), or LT_OK. */
typedef int lt_made_fn(void *ctx, const struct lt_made *made);
int lt_author_write(struct lt_kv_txn *log, struct lt_kv_txn *derived, const struct lt_author *a,
    const struct lt_catalogue *cat, const struct lt_unit *unit, struct lt_write *writes, size_t n,
    struct lt_arena *arena, lt_made_fn *after_append, void *ctx, struct lt_err *err);

/* The author's present feed of (unit, lane): its epoch is made when there is none. */
int lt_author_feed(struct lt_kv_txn *log, const struct lt_author *a, const struct lt_unit *unit,
    enum lt_lane lane, struct lt_feed_id *feed);
/* May this author begin one more feed of the unit? A cut-off names LT_CUTS_MAX, and no more, so that who has a stolen key cannot begin so
 * many that the true ones find no place in it. A hub's author is not asked: no cut-off ends its feeds. LT_E_REFUSED, with words. */
int lt_author_may_begin(struct lt_kv_txn *log, const struct lt_unit *unit,
    const struct lt_id *author, struct lt_err *err);
/* Give the epoch up: the next change-set of (unit, lane) opens a new one. */
int lt_author_end_epoch(struct lt_kv_txn *log, const struct lt_unit *unit, enum lt_lane lane);
/* Remember the latest hub time and the effective stamps seen (monotone). Any may be 0. */
int lt_author_saw(struct lt_kv_txn *log, uint64_t hub_stamp, uint64_t effective);

/* Request ids (16 bytes): what is sent twice has the effect of one. In the transaction of the write. recall: the result of
 * then (dot, key_out, unchanged) into w, texts in the arena; LT_E_NOTFOUND: not seen. remember keeps what went well, and
 * forgets the oldest: LT_REQUEST_KEEP_MS and LT_REQUESTS_MAX bound what is kept, a few are taken out with each new one.
 * now_ms: the wall clock's. */
int lt_request_recall(struct lt_kv_txn *txn, const uint8_t request_id[16], struct lt_write *w,
    struct lt_arena *arena, struct lt_err *err);
int lt_request_remember(struct lt_kv_txn *txn, const uint8_t request_id[16],
    const struct lt_unit *unit, const struct lt_write *w, int64_t now_ms);

/* Small values of this machine (table local). LT_E_NOTFOUND. */
int lt_local_get(struct lt_kv_txn *txn, const char *name, struct lt_slice *value);
int lt_local_put(struct lt_kv_txn *txn, const char *name, struct lt_slice value);
int lt_local_get_u64(struct lt_kv_txn *txn, const char *name, uint64_t *v); /* 0 when absent */
int lt_local_put_u64(struct lt_kv_txn *txn, const char *name, uint64_t v);

#endif
