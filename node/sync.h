/* node/sync.h - decides what the replicator does next. No socket, no disk, no clock, no thread: the caller
 * passes events in with the time and carries out what comes back, in order (design section 10).
 *
 * The resume point is the hub's: after every login the heads it names are the truth about what it holds,
 * checked by hash before anything is pushed. One push is under way for a lane at most, the urgent lane first, batches sized
 * to what the line carries in about a second. After a loss, a push that gained nothing and a pull that ended: exponential
 * back-off with full jitter, each with a count of its own, and never before the time that the hub asked for.
 */
#ifndef LT_NODE_SYNC_H
#define LT_NODE_SYNC_H

#include "proto/base/ids.h"
#include "proto/base/limits.h"

/* Own feeds followed: 3 lanes and earlier epochs not yet held whole. All are announced. */
#define LT_SYNC_FEEDS_MAX LT_ANNOUNCE_MAX
#define LT_SYNC_TODO_MAX 16
#define LT_SYNC_BATCH_MIN 4096
#define LT_SYNC_BATCH_MAX (512 * 1024)
#define LT_SYNC_BATCH_FIRST (64 * 1024)
#define LT_SYNC_BACKOFF_BASE_MS 1000
#define LT_SYNC_BACKOFF_MAX_MS 300000
#define LT_SYNC_PULL_STOOD_MS \
	10000 /* a pull that caught up and stood so long did not fail at once */
#define LT_SYNC_ANNOUNCE_MS 10000
/* After a login that met another branch of an own feed: what of ours stands aside then goes with an announcement. */
#define LT_SYNC_BRISK_MS 500
#define LT_SYNC_BRISK 6
#define LT_SYNC_JOIN_MS 5000
/* Until the next attempt to put right what is damaged, here or at the hub, after one that failed or led no further. */
#define LT_SYNC_REPAIR_MS 60000
/* On a line that could not give back what the hub asked for: until the next line, twice as long each time. */
#define LT_SYNC_GIVE_AGAIN_MS 120000
#define LT_SYNC_GIVE_AGAIN_MAX_MS 3600000

enum lt_sync_phase {
	LT_SYNC_WAITING, /* until the timer, then dial */
	LT_SYNC_DIALING,
	LT_SYNC_JOINING, /* not yet a principal: asking, or waiting for approval */
	LT_SYNC_GREETING, /* Hello under way */
	LT_SYNC_ONLINE,
	LT_SYNC_STOPPED,
};

enum lt_sync_event_kind {
	LT_SYNC_EV_START,
	LT_SYNC_EV_STOP,
	LT_SYNC_EV_TIMER,
	LT_SYNC_EV_DIALED, /* ok, or not */
	LT_SYNC_EV_LOST, /* the connection is gone */
	LT_SYNC_EV_JOINED, /* answer to join: ok and active, or not yet, or refused for good */
	LT_SYNC_EV_GREETED, /* answer to hello; held in feeds */
	LT_SYNC_EV_GIVEN_BACK, /* answer to what was given back; ok: it was not refused as a whole */
	LT_SYNC_EV_PUSHED, /* answer to a push */
	LT_SYNC_EV_ANNOUNCED,
	LT_SYNC_EV_PULL_ENDED, /* the pull stream ended while the connection lives; ok: not by a failure */
	LT_SYNC_EV_COMMITTED, /* local commit: feed and its head */
	LT_SYNC_EV_FETCHED, /* answer to a fetch of what is damaged here */
	LT_SYNC_EV_SUPPLIED, /* answer to what was given of what is damaged there */
};

struct lt_sync_feed {
	struct lt_feed_id feed;
	uint64_t head; /* last local seq */
	uint64_t held; /* the hub holds up to here, as far as known */
	bool
	    usable; /* held agrees with our hash there; else nothing is pushed (the hub knows another branch) */
	bool in_flight;
	bool refused; /* for good, as far as this line goes */
	bool
	    whole; /* as told by the hub: it holds this very head, at most its receipt is missing here */
};

struct lt_sync_event {
	enum lt_sync_event_kind kind;
	int64_t now_ms; /* monotonic */
	int minute_of_day; /* Vietnam time, for the bulk window; -1 unknown */
	bool ok;
	bool active; /* JOINED */
	bool final; /* a refusal that retrying cannot mend: back off to the maximum */
	uint32_t retry_after_ms; /* asked for by the hub, 0 none */
	struct lt_feed_id feed; /* PUSHED, COMMITTED */
	uint64_t
	    seq; /* PUSHED: held now; COMMITTED: head; PULL_ENDED, FETCHED, SUPPLIED: change-sets of it that were taken */
	size_t bytes; /* PUSHED: of the batch */
	const struct lt_sync_feed
	    *feeds; /* GREETED, ANNOUNCED: every own feed with head, held, usable */
	size_t nfeed;
	bool tried; /* FETCHED, SUPPLIED: something was asked for, or given */
	bool more; /* likewise: there are others to be asked for, or given */
	bool lacks; /* ANNOUNCED: change-sets are damaged here */
	bool lost; /* ANNOUNCED: some are damaged at the hub, and it asked for them */
	bool
	    wants_back; /* GREETED: the hub, restored from a backup, asks for the tails of its own feeds */
};

enum lt_sync_action_kind {
	LT_SYNC_DO_DIAL,
	LT_SYNC_DO_JOIN,
	LT_SYNC_DO_HELLO,
	LT_SYNC_DO_GIVE_BACK, /* what the hub asked for in its answer to hello, some of it */
	LT_SYNC_DO_PULL,
	LT_SYNC_DO_PUSH, /* feed from from_seq on, at most max_bytes but at least one change-set */
	LT_SYNC_DO_ANNOUNCE,
	LT_SYNC_DO_FETCH, /* what is damaged here */
	LT_SYNC_DO_SUPPLY, /* what is damaged at the hub, about max_bytes of it but at least one */
	LT_SYNC_DO_CLOSE,
	LT_SYNC_DO_TIMER, /* one timer only: replaces the one before */
};

struct lt_sync_action {
	enum lt_sync_action_kind kind;
	struct lt_feed_id feed;
	uint64_t from_seq;
	size_t max_bytes;
	int64_t at_ms;
};

struct lt_sync_todo {
	size_t n;
	struct lt_sync_action action[LT_SYNC_TODO_MAX];
};

struct lt_sync_config {
	bool joining; /* the principal is not known to be active yet */
	int bulk_from, bulk_to; /* minutes of the day in which bulk may go; equal: always */
	uint64_t seed; /* of the jitter */
};

/* One way of repairing: a call at a time. */
struct lt_sync_repair {
	bool due, under_way;
	int64_t not_before_ms;
};

struct lt_sync {
	struct lt_sync_config config;
	enum lt_sync_phase phase;
	unsigned attempts; /* failures in a row, of dialing, joining and greeting */
	unsigned push_failures; /* in a row, of this session, any lane */
	unsigned pull_failures;
	uint64_t rng;
	bool pulling;
	bool announcing;
	int64_t announce_at_ms;
	unsigned brisk; /* announcements still to be made soon after each other */
	int64_t pull_started_ms;
	int64_t pull_at_ms; /* when to pull again after the stream ended; 0 not */
	int64_t wait_until_ms; /* phase WAITING and JOINING */
	int64_t hold_until_ms; /* pushes held back: the hub asked for time */
	int64_t
	    give_again_ms; /* the line is given up then, and what was refused given once more; 0 not */
	unsigned give_failures; /* lines that could not, one after the other */
	int64_t push_started_ms[4]; /* by lane */
	struct lt_sync_repair fetch, supply;
	size_t batch_bytes;
	size_t nfeed;
	struct lt_sync_feed feed[LT_SYNC_FEEDS_MAX];
};

void lt_sync_init(struct lt_sync *s, const struct lt_sync_config *config);
/* todo is emptied first. Same state, same event: same todo. */
void lt_sync_step(struct lt_sync *s, const struct lt_sync_event *ev, struct lt_sync_todo *todo);
const char *lt_sync_phase_name(enum lt_sync_phase p);

#endif
