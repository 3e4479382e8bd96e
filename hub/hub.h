/* hub/hub.h - the provincial hub without its network: two environments (feed log; derived tables), the log's
 * writer, the projector between them, and this machine as an author.
 *
 * Threads: every function may be called from any thread. Readers take short read transactions of
 * lt_hub_log() and lt_hub_derived(). A manual hub has no threads and no wait: lt_hub_step() is what they would do, all calls
 * come from one thread, and what would wait (lt_hub_write() and the like) steps instead. Notes on "the writer thread" then
 * mean whoever steps.
 */
#ifndef LT_HUB_HUB_H
#define LT_HUB_HUB_H

#include "proto/base/clock.h"
#include "proto/feed/identity.h"
#include "proto/store/author.h"
#include "proto/store/registry.h"
#include "proto/store/writer.h"

#include "lienthong/v1/sync.pb-c.h"

struct lt_hub;

struct lt_hub_options {
	const char *dir;
	const struct lt_identity *identity; /* borrowed for the hub's life */
	const struct lt_clock *clock;
	uint64_t map_bytes; /* 0: default */
	struct lt_kv *log,
	    *derived; /* NULL: LMDB in dir/log and dir/derived. Else used and not closed */
	bool manual; /* no threads: see above */
	/* The log could not commit: nothing is written any more. NULL: the process ends. */
	void (*store_failed)(void *ctx, int rc);
	void *store_failed_ctx;
};

int lt_hub_open(const struct lt_hub_options *o, struct lt_hub **out, struct lt_err *err);
/* Finishes what is queued, stops the projector. NULL allowed. */
void lt_hub_close(struct lt_hub *h);
/* Manual only: one batch of the log's writer (what was taken in, the hub's own writes, the verdicts owed since the batch
 * before), then one batch of the projector. false: there was nothing to do, or what failed waits for its time on the clock. */
bool lt_hub_step(struct lt_hub *h);

const struct lt_identity *lt_hub_identity(const struct lt_hub *h);
const struct lt_clock *lt_hub_clock(const struct lt_hub *h);
struct lt_kv *lt_hub_log(struct lt_hub *h);
struct lt_kv *lt_hub_derived(struct lt_hub *h);
struct lt_writer *lt_hub_writer(struct lt_hub *h);
const struct lt_unit *lt_hub_province(const struct lt_hub *h);
/* References; the caller gives them back. */
struct lt_catalogue *lt_hub_catalogue(struct lt_hub *h);
struct lt_registry *lt_hub_registry(struct lt_hub *h);

/* Last durable position, and how far the derived tables reach. */
uint64_t lt_hub_log_position(struct lt_hub *h);
uint64_t lt_hub_projected(struct lt_hub *h);
/* False while the tables are built anew at the start: nobody can be told from a stranger yet. */
bool lt_hub_knows_principals(struct lt_hub *h);
/* Build the derived tables anew from the log, beginning now; also of a projector that stopped at something damaged. Until
 * lt_hub_mending() is false again, queries are to be refused: what is not there yet would look like what is not there. */
void lt_hub_rebuild(struct lt_hub *h);
bool lt_hub_mending(struct lt_hub *h);
/* Wait until the derived tables reach the position. LT_E_TIMEOUT. */
int lt_hub_wait_projected(struct lt_hub *h, uint64_t position, int64_t timeout_ms);

/* Told after commits of the log, on the writer thread, and after the projector moved, on its thread. Short. Once lt_hub_on_news() has returned, the one before is not called any more. */
typedef void lt_hub_news_fn(void *ctx);
void lt_hub_on_news(struct lt_hub *h, lt_hub_news_fn *fn, void *ctx);

/* Write as the hub, in any unit: durable and visible in the derived tables when this returns LT_OK; each write's own
 * result is in it. One at a time. LT_E_TIMEOUT: durable, not yet visible. LT_E_UNAVAILABLE: the tables do not reach what
 * the hub wrote before, or it was restored and waits for its nodes (recovery.h); nothing was written. */
int lt_hub_write(struct lt_hub *h, const struct lt_unit *unit, struct lt_write *writes,
    size_t count, struct lt_arena *arena, struct lt_err *err);
/* The same, once for a request id (16 bytes, or NULL for none): seen before, the first write gets the result of then. */
int lt_hub_write_once(struct lt_hub *h, const uint8_t *request_id, const struct lt_unit *unit,
    struct lt_write *writes, size_t count, struct lt_arena *arena, struct lt_err *err);
/* What lt_hub_write() would make of them, each write's own result included, and nothing written: no number taken, no epoch begun.
 * dot means nothing. LT_E_UNAVAILABLE as above. */
int lt_hub_check(struct lt_hub *h, const struct lt_unit *unit, struct lt_write *writes,
    size_t count, struct lt_arena *arena, struct lt_err *err);

/* ---- intake ---- */

struct lt_intake_feed {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t held; /* the hub holds up to here, durable */
	struct lt_hash held_hash;
	bool need; /* something before what was sent is missing */
	struct lt_slice
	    receipt; /* Receipt bytes, empty when nothing of this feed is held from this push */
};

struct lt_intake_result {
	int rc; /* LT_OK, or why nothing (more) was taken: LT_E_DENIED, LT_E_BADSIG, LT_E_FORK,
	                             * LT_E_REFUSED (a feed begins, and this author may begin no more),
	                             * LT_E_UNAVAILABLE (later), LT_E_UNKNOWN (catalogue version not here: later), ... */
	const char *why;
	size_t nfeed;
	struct lt_intake_feed *feed;
	uint64_t position; /* of the last one appended, 0 none */
	size_t changes; /* of the change-sets that were appended */
	size_t
	    vain; /* change-sets of the push that changed nothing here, and which nobody had asked for */
};

/* Take change-sets of feeds that `pusher` authors, in order. Verifies on the calling thread, appends on the writer; done runs after the
 * commit on a thread of the hub's, of one pusher in the order in which its pushes were appended, exactly once, also on failure; on
 * the calling thread when there was nothing to append. It must be short, and not wait for the writer. bytes are borrowed until
 * then; the result dies with done. */
typedef void lt_intake_fn(void *ctx, const struct lt_intake_result *result);
void lt_hub_intake(struct lt_hub *h, const struct lt_id *pusher, const struct lt_slice *bytes,
    size_t n, lt_intake_fn *done, void *ctx);
/* Until every push handed over before is answered: done has returned. Not from done. */
void lt_hub_answer_all(struct lt_hub *h);
/* What is kept of second branches, by unit, feed, number; NULL: of every unit. cs is without its changes (lt_changeset_open()) and dies
 * with fn, which returns LT_OK to go on. */
typedef int lt_evidence_fn(void *ctx, const struct lt_changeset *cs);
int lt_forks_evidence(
    struct lt_kv_txn *log, const struct lt_unit *unit, lt_evidence_fn *fn, void *ctx);
/* The first change-set of a branch that a node keeps aside, openings left out: kept as evidence, once verified, where another one stands
 * under its number. It is never taken into the log. Queued: who gives it gives it again until it has the ruling. LT_E_ of verifying. */
int lt_hub_evidence(
    struct lt_hub *h, const struct lt_id *pusher, struct lt_slice bytes, struct lt_err *err);
/* unheld.c: a machine announces its feeds. Dots of its author that name more of one that was ruled on than there is here and there are refused, by a
 * job of the writer. head: borrowed, as it came. Any thread. */
void lt_hub_end_waits(struct lt_hub *h, const struct lt_id *node, const struct lt_unit *unit,
    size_t n, Ltpb__FeedHead *const *head);
/* Change-sets of second branches kept as evidence: of one author in one unit, or (both NULL) of all. */
int lt_hub_forks(
    struct lt_kv_txn *log, const struct lt_unit *unit, const struct lt_id *author, uint64_t *n);

#endif
