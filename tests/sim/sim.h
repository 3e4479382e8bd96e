/* tests/sim/sim.h - a province in one thread: a hub and 20 nodes, the real code of both over stores in memory, with virtual
 * time, network, disks and randomness. One 64-bit seed is a whole run.
 *
 * world.c makes machines and lets them crash, net.c carries messages between session and hub, work.c is people, fault.c
 * what goes wrong, restore.c backups and the tool's restore, copies.c files copied by hand, thieves and disks that lie, hubhand.c the same
 * of the hub's, check.c what must hold, branch.c what must hold of forks, sim.c the order of it all.
 */
#ifndef LT_TESTS_SIM_H
#define LT_TESTS_SIM_H

#include "hub/sync_answer.h"
#include "node/session.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv.h"

#define SIM_NODES 20
#define SIM_LATE 4 /* of these, not enrolled when a run begins */
#define SIM_UNITS 8
#define SIM_PROVINCE "40"
/* 2026-11-22T00:00:00Z, by `date -u -d 2026-11-22 +%s` */
#define SIM_START_MS INT64_C(1795305600000)
/* After the last fault everything has converged within so much virtual time: twice the longest back-off, and room. */
#define SIM_CONVERGE_MS INT64_C(900000)
#define SIM_KEYS 12 /* record keys of a unit and collection, so that clerks meet */
#define SIM_HUB 0
#define SIM_COPIES 4 /* machines made by copying a disk, behind the nodes */
#define SIM_MACHINES (1 + SIM_NODES + SIM_COPIES)

/* clang-format off */
#define SIM_FAULTS(X) \
	X(CUT, "cut") X(HALF_UP, "half-open-up") X(HALF_DOWN, "half-open-down") X(DELAY, "delay") \
	X(DUPLICATE, "duplicate") X(LOST_REPLY, "lost-reply") X(REORDER, "reorder") X(FLAP, "flap") \
	X(HUB_DOWN, "hub-down") X(CRASH_STORE, "crash-at-store-call") X(CRASH_STEP, "crash-at-step") \
	X(RESTART, "restart") X(CLOCK_FORWARD, "clock-forward") X(CLOCK_BACK, "clock-back") \
	X(CLOCK_1970, "clock-1970") X(SLOW_DISK, "slow-disk") X(DISK_FULL, "disk-full") \
	X(EXHAUSTED, "exhausted") X(LOST_NOTIFY, "lost-notify") X(FORGED, "forged") \
	X(LOSS, "loss")
/* Of files copied by hand, as many as --copies says: by the order of these names. */
#define SIM_BY_HAND(X) \
	X(ROLLED_BACK, "rolled-back") X(TWIN, "twin") X(THIEF, "thief") X(LYING_DISK, "lying-disk") \
	X(HUB_BOTH, "hub-both") X(HUB_LOG, "hub-log") X(HUB_TABLES, "hub-tables") \
	X(HUB_LYING, "hub-lying-disk")
/* clang-format on */

#define SIM_FAULT_ENUM(name, text) SIM_F_##name,
enum sim_fault { SIM_FAULTS(SIM_FAULT_ENUM) SIM_F_COUNT };
enum sim_by_hand { SIM_BY_HAND(SIM_FAULT_ENUM) SIM_BY_HAND_COUNT };
#undef SIM_FAULT_ENUM
extern const char *const sim_fault_name[];
extern const char *const sim_by_hand_name[];

/* ---- randomness (rng.c): xoshiro256**, begun by splitmix64 ---- */

struct sim_rng {
	uint64_t s[4];
};
void sim_rng_seed(struct sim_rng *r, uint64_t seed);
uint64_t sim_rng_next(struct sim_rng *r);
uint64_t sim_rng_below(struct sim_rng *r, uint64_t n); /* 0 to n - 1 */
int64_t sim_rng_between(struct sim_rng *r, int64_t from, int64_t to); /* both included */
bool sim_rng_chance(struct sim_rng *r, unsigned per_mille);
void sim_rng_fill(struct sim_rng *r, void *buf, size_t len);

/* ---- events (queue.c): by time, then by the order in which they were made ---- */

enum sim_event_kind {
	SIM_EV_TIMER, /* of a node's step function */
	SIM_EV_SYNC, /* an event for a node's step function */
	SIM_EV_UP, /* a message to the hub */
	SIM_EV_DOWN, /* a message to a node */
	SIM_EV_NODE_STEP, /* its writer's turn */
	SIM_EV_HUB_STEP,
	SIM_EV_PUMP, /* the hub's streams look for news */
	SIM_EV_DEADLINE, /* of a call */
	SIM_EV_IDLE, /* one side of a line has heard nothing for too long */
	SIM_EV_START, /* a machine is switched on */
	SIM_EV_WORK, /* somebody does something */
	SIM_EV_FAULT,
	SIM_EV_FAULT_END,
	SIM_EV_HEAL,
	SIM_EV_LOOK, /* has it converged? */
	SIM_EV_BACKUP,
	SIM_EV_RESTORE,
	SIM_EV_COPY, /* files are copied by hand, or a disk begins to lie */
	SIM_EV_POWER, /* of a machine whose disk lies: it goes */
	SIM_EV_THIEF, /* he signs and sends */
};

/* What travels on a line. */
enum sim_message_kind {
	SIM_M_DIAL,
	SIM_M_CLOSE,
	SIM_M_CALL,
	SIM_M_CANCEL,
	SIM_M_CREDIT,
	SIM_M_DIALED,
	SIM_M_REFUSED,
	SIM_M_ITEM, /* of a stream */
	SIM_M_REPLY, /* and the call's end */
	SIM_M_END,
	SIM_M_PING, /* of the hub, to a session that another one asks for (hub/twins.h) */
	SIM_M_PONG,
};

struct sim_message {
	enum sim_message_kind kind;
	uint64_t line, call;
	const ProtobufCServiceDescriptor *service;
	const char *method;
	struct lt_buf bytes;
	struct lt_status status; /* END */
};

struct sim_event {
	int64_t at;
	uint64_t tie;
	enum sim_event_kind kind;
	int machine;
	uint64_t life; /* of the machine's process that it concerns; 0: any */
	uint64_t a, b;
	struct sim_message *message; /* owned */
	struct lt_sync_event sync;
	struct lt_sync_feed *feeds; /* owned; of sync */
};

struct sim_queue {
	struct sim_event **heap;
	size_t n, cap;
	uint64_t tie;
};
/* ev is copied, what it owns is taken. */
void sim_queue_push(struct sim_queue *q, const struct sim_event *ev);
struct sim_event *sim_queue_pop(struct sim_queue *q); /* NULL: empty */
void sim_event_free(struct sim_event *ev);
void sim_queue_clear(struct sim_queue *q);

/* ---- machines ---- */

struct sim_call {
	bool open, pull;
	uint64_t id, line;
	struct lt_session_call c;
	const ProtobufCServiceDescriptor *service;
	const char *method;
};
#define SIM_CALLS 16

/* A line, as both ends see it. */
struct sim_line {
	uint64_t id;
	int node;
	uint64_t node_life, hub_life;
	bool node_open, hub_open;
	bool up_dead, down_dead;
	int64_t latency_ms;
	int64_t up_at, down_at; /* of the last message: none overtakes it, save by a fault */
	uint64_t frames; /* that came to the hub */
};

/* A pull that the hub serves. */
struct sim_stream {
	uint64_t line, call;
	struct lt_pull_plan *plan;
	int credit;
};

/* What a clerk was told is saved. */
struct sim_saved {
	struct lt_dot dot;
	struct lt_hash hash;
	char collection[16], key[LT_KEY_MAX + 1];
	uint64_t token; /* 0: a delete */
};

/* A write whose answer never came: its program asks again with the same request id. */
struct sim_unsure {
	bool used;
	uint8_t request_id[16];
	uint64_t what; /* seed of its content */
	uint64_t token;
};

struct sim;

struct sim_machine {
	struct sim *sim;
	int no;
	bool up;
	bool dead; /* crashed inside what it does now: nothing of it leaves the machine */
	uint64_t life;
	struct lt_clock clock;
	int64_t wall_offset_ms;
	int64_t disk_full_until, disk_slow_until;
	bool disk_was_full; /* counted */
	bool exhausted;
	uint64_t crash_in; /* store calls until it crashes, 0: it does not */
	bool crash_after_commit; /* the commit that it crashes at counts */
	int64_t down_for_ms; /* after that crash */
	uint64_t store_calls;
	struct lt_kv *kv, *derived; /* the disk: outlives the process; derived: hub only */
	struct lt_identity id;
	bool step_due;
	int64_t blocked_until; /* nodes: no line to be had (flapping) */
	int64_t flap_until;

	/* node */
	struct lt_unit unit;
	bool enrolled; /* has been told to join */
	struct lt_node *node;
	struct lt_session *session;
	struct lt_sync sync;
	struct sim_line *line;
	bool dialing;
	uint64_t timer_no;
	bool pull_broke;
	struct sim_call call[SIM_CALLS];
	size_t nsaved, saved_cap;
	struct sim_saved *saved;
	struct sim_unsure unsure;
	bool
	    forged_at; /* its line carried a forgery, or lost an item: a session may not see the end of a feed */

	/* copies.c */
	int copy_of; /* whose disk it was, of a machine that was made by copying; 0: of none */
	struct lt_feed_id ruled_out; /* of a thief: he was told that another branch of it counts */
	bool thief, gone; /* of such a machine: it never says hello; it is off for good */
	bool held_off; /* stays off */
	struct lt_kv_image *synced; /* a disk that lies: what it really has */
	struct sim_watch *synced_watch;
	struct lt_kv_image *synced_derived; /* of a hub: with synced, or alone */
	bool said_otherwise; /* it has a verdict of the hub's that another one contradicts */

	/* check.c */
	struct sim_watch *watch;
};

struct sim_options {
	uint64_t seed;
	unsigned nodes; /* that somebody works at */
	unsigned writes; /* in all */
	unsigned late; /* nodes that join during the run */
	int64_t fault_ms; /* faults and work go on for so long */
	unsigned faults; /* in all */
	uint32_t weight[SIM_F_COUNT]; /* of each kind among the faults; 0: none in this run */
	unsigned per_mille[SIM_F_COUNT]; /* of messages: those kinds that strike messages */
	int64_t latency_ms;
	int64_t disk_ms;
	unsigned check_every; /* steps between deep checks */
	bool second_catalogue;
	bool verbose;
	unsigned restores; /* of machines from old backups, tried */
	unsigned copies; /* by hand, tried */
	bool of_nodes; /* none of them of the hub */
};

struct sim_ledger; /* check.c */
struct sim_backups; /* restore.c */
struct sim_forkable; /* branch.c */

struct sim {
	struct sim_options o;
	struct sim_rng rng; /* of the world: faults, people, network */
	struct sim_rng machine_rng; /* what the programs get from the system */
	struct sim_queue queue;
	int64_t now;
	uint64_t steps;
	uint64_t trace; /* hash of everything that happened */
	struct sim_machine m[SIM_MACHINES];
	struct lt_hub *hub;
	struct lt_enrol *enrol;
	struct lt_fresh *fresh;
	struct lt_service service;
	bool pump_due;
	uint64_t news_seen;
	uint64_t next_id; /* of lines and calls */
	size_t nline, line_cap;
	struct sim_line **line; /* all that ever were */
	size_t nstream;
	struct sim_stream stream[4 * SIM_MACHINES];
	struct lt_sign_key root;
	uint64_t next_token;
	uint64_t count[SIM_F_COUNT];
	uint64_t saved, received, pulled, crashes, hub_writes, reads, refused_writes;
	bool healed;
	int64_t healed_at, converged_at;
	unsigned work_left, faults_left;
	uint64_t catalogue_version;
	struct sim_backups *backups;
	uint64_t restored_nodes, restored_hub, restores_put_off, lost_with_disk;
	uint64_t by_hand[SIM_BY_HAND_COUNT], copies_put_off;
	uint64_t lost_by_hand; /* saved, and gone with files that were put over them */
	uint64_t reissued, aside_left; /* of what was saved on branches that do not count */
	uint64_t named_other; /* changes refused, as they named a branch that does not count */
	/* hubhand.c */
	unsigned hub_went_back; /* how often its log did, by hand */
	bool hub_hurries; /* it is written at as soon as it is up */
	bool hub_waits; /* for its nodes, when it was last looked at */
	int64_t hub_waited_ms; /* when a wait of its was over last */
	bool hub_must_doubt; /* its tables tell at its next start */
	bool hub_forked; /* it signed numbers again that a node has */
	bool hub_exposed; /* a node said so, by checkpoints alone */
	uint64_t two_faced; /* the same of the last thing in a run */
	uint64_t hub_doubts; /* how often it found out */
	uint64_t hub_contradicted; /* nodes that had a verdict that another one contradicts */
	uint64_t set_up_anew; /* nodes that had another branch of a feed of the hub's */
	uint64_t hub_lost; /* change-sets of the hub's own that went with those */
	uint64_t branches; /* that were found, of feeds signed by two */
	struct sim_forkable *forkable;
	struct sim_ledger *ledger;
	bool failed;
	char why[1024];
	char waits_for[512]; /* why it has not converged yet */
};

/* The first failure counts; the run ends. */
void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *s, uint64_t a, uint64_t b);
void sim_say(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_at(
    struct sim *s, int64_t in_ms, enum sim_event_kind kind, int machine, uint64_t a, uint64_t b);

/* world.c */
/* The province before a run: hub with catalogue and units, nodes enrolled and caught up. Always the same. */
bool sim_world_make(struct sim *s);
void sim_world_free(struct sim *s);
void sim_start(struct sim *s, int machine); /* switch on */
void sim_stop(struct sim *s, int machine); /* in good order */
void sim_crash(struct sim *s, int machine, int64_t down_ms);
/* After anything that ran on a machine: take the consequences of a crash inside it. */
void sim_after(struct sim *s, int machine);
void sim_node_turn(struct sim *s, int machine);
void sim_hub_turn(struct sim *s);
void sim_step_due(struct sim *s, int machine);
bool sim_publish(struct sim *s, uint64_t version);

/* net.c */
void sim_sync_event(struct sim *s, int node, const struct lt_sync_event *ev);
void sim_post_sync(struct sim *s, int node, int64_t in_ms, const struct lt_sync_event *ev,
    const struct lt_sync_feed *feeds);
void sim_arrive_up(struct sim *s, struct sim_message *msg);
void sim_arrive_down(struct sim *s, int node, struct sim_message *msg);
void sim_deadline(struct sim *s, int node, uint64_t call, uint64_t line);
void sim_idle(struct sim *s, uint64_t line, bool hub_side);
void sim_pump(struct sim *s);
void sim_news(struct sim *s);
void sim_pull_check(struct sim *s, int node);
void sim_line_cut(struct sim *s, struct sim_line *l, bool told);
bool sim_open_twins(struct sim *s);
void sim_push_as_thief(struct sim *s, int machine, const Ltpb__PushRequest *req);
void sim_line_half(struct sim *s, struct sim_line *l, bool up);
/* The process of a machine is gone: what its lines and calls become. silent: nobody tells the other side. */
void sim_lines_lost(struct sim *s, int machine, bool silent);

/* work.c */
void sim_work(struct sim *s);
void sim_work_province(struct sim *s); /* the hub's own writes */
void sim_work_at(struct sim *s, struct sim_machine *m); /* a clerk, or an import */
void sim_work_retry(struct sim *s, int node);
void sim_late_join(struct sim *s);

/* fault.c */
void sim_options_from(struct sim_options *o, uint64_t seed);
void sim_options_print(const struct sim_options *o);
void sim_fault_strike(struct sim *s);
void sim_fault_end(struct sim *s, int machine, enum sim_fault kind);
void sim_heal(struct sim *s);
int sim_store_call(void *ctx, uint64_t ordinal); /* lt_kv_fault_fn; ctx is the machine */

/* check.c */
void sim_check_open(struct sim *s);
void sim_check_close(struct sim *s);
void sim_check_step(struct sim *s, int machine); /* cheap; after every event */
/* The hub's disk once more, up to where this push begins in it: what was signed in the same commit before it was taken. */
void sim_check_before_push(struct sim *s, const Ltpb__PushRequest *req);
void sim_check_deep(struct sim *s);
void sim_check_receipt(struct sim *s, const Ltpb__Receipt *r);
void sim_check_saved(struct sim *s, int node, const struct sim_saved *saved);
bool sim_converged(struct sim *s);
/* Feeds of the hub and a machine that is up are the same, judged and receipted. */
bool sim_same_feeds(struct sim *s, int machine);
/* Of who signed a change-set with this hash under this number: was it seen to, and what stands before it? */
bool sim_ledger_prev(const struct sim *s, const struct lt_feed_id *feed, uint64_t seq,
    const struct lt_hash *hash, struct lt_hash *prev);
/* When this was; 0: nobody signed it. And did the hub give a receipt for it? */
int64_t sim_signed_at(
    const struct sim *s, const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash);
bool sim_is_receipted(
    const struct sim *s, const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash);
void sim_check_end(struct sim *s);

/* shown.c: checkpoints on a machine's disk, and its alarm */
void sim_check_histories(struct sim *s, int machine);
/* The last thing in a run: an evil hub. */
void sim_two_faces(struct sim *s);

/* judged.c: what the hub decided about an entry of its log; what a clerk sees of what was saved */
void sim_check_judged(
    struct sim *s, struct lt_kv_txn *txn, const struct lt_entry *e, const struct lt_changeset *cs);
void sim_check_shown(struct sim *s, int node, const struct sim_saved *saved);
bool sim_is_made(struct sim *s, int node, uint64_t token);

/* branch.c: what must hold of feeds that two machines signed, or one twice */
/* The epochs that a disk goes on in: whoever has a copy of it may sign the same numbers. */
void sim_forkable_note(struct sim *s, struct sim_machine *m);
bool sim_is_forkable(const struct sim *s, const struct lt_feed_id *feed);
/* The same of the hub's log, in all units; and from now on it may sign in none of them. */
void sim_forkable_note_hub(struct sim *s);
void sim_forkable_close_hub(struct sim *s);
bool sim_is_closed(const struct sim *s, const struct lt_feed_id *feed);
/* This change-set, or one before it that the hub has not either: is it kept as evidence, or ruled on? */
bool sim_is_known(const struct sim *s, struct lt_kv_txn *hub, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash);
bool sim_is_copied(const struct sim *s, const struct lt_id *author); /* a feed of it is */
/* After a push was answered: what it met is known from then on. */
void sim_check_contact(struct sim *s, const Ltpb__PushRequest *req, bool refused_as_fork);
/* What stands aside on a disk has its ruling, at the hub and here. *why: what is missing. */
bool sim_branches_ruled(struct sim *s, int machine, char *why, size_t cap);
/* Forks are of feeds that were copied by hand alone; and of none, where nothing was. */
void sim_check_forks(struct sim *s);
/* A change-set that somebody was told is saved: where it is. */
bool sim_disk_has(
    const struct sim_machine *m, const struct lt_unit *unit, const struct sim_saved *v);
/* It is not at the hub: is its clerk told so? */
void sim_check_aside(struct sim *s, int machine, const struct sim_saved *v,
    const uint64_t *came); /* effective stamps of the tokens that the hub has; 0: not */

/* restore.c */
void sim_backup(struct sim *s);
void sim_restore(struct sim *s);
void sim_backups_free(struct sim *s);
/* Another disk in a machine that is off. by_tool: marked as `ltctl restore` marks it. */
void sim_disk_put(struct sim *s, struct sim_machine *m, const struct lt_kv_image *img,
    const struct sim_watch *w, bool by_tool);
/* After that: what was saved and is neither on the disk nor with the hub. */
void sim_forget_lost(struct sim *s, struct sim_machine *m, uint64_t *lost);
/* Is nothing on this disk alone that the hub, restored and not yet whole, will ask for? */
bool sim_node_may_go(struct sim *s, const struct sim_machine *m);
bool sim_recovering(struct sim *s);
/* A random backup of a machine, if there is one. */
bool sim_backup_of(
    struct sim *s, int machine, const struct lt_kv_image **img, const struct sim_watch **w);

/* The hub's, both tables, of one moment. */
bool sim_backup_of_hub(struct sim *s, const struct lt_kv_image **log,
    const struct lt_kv_image **derived, const struct sim_watch **w);
/* Is everything that the hub has on the disk of some node that will not be touched? */
bool sim_hub_may_go(struct sim *s);

/* hubhand.c */
bool sim_hub_back(struct sim *s, enum sim_by_hand kind); /* false: not now */
/* The hub is off: a disk that lied shows what it has. */
void sim_hub_truth(struct sim *s);
bool sim_hub_was_back(const struct sim *s); /* its log, by the tool or by hand */
void sim_check_hub_up(struct sim *s); /* after each step of the hub */
void sim_check_hello(struct sim *s, const Ltpb__HelloRequest *req, const Ltpb__HelloReply *r);
/* Before a push is handed over, and when it was answered: change-sets of the hub's own. */
bool sim_hub_lacks(struct sim *s, const Ltpb__PushRequest *req);
void sim_check_given_back(struct sim *s, const Ltpb__PushRequest *req, bool lacked);
/* Of an entry that the hub has now: whom it has to set up anew. */
void sim_check_late(struct sim *s, struct lt_kv_txn *hub, const struct lt_changeset *cs);
/* After the last fault: what an operator does about nodes that have another branch of a feed of the hub's. true: nothing is left to do. */
bool sim_hub_remedy(struct sim *s);
/* Before that, and before copies come one by one: it does not wait for such nodes any more. true: it waits for nobody. */
bool sim_hub_goes_on(struct sim *s);
/* A copy that has another branch of the hub's, and whose own feeds the hub has. */
bool sim_hub_left_copy(struct sim *s, int machine);

/* copies.c */
void sim_copy(struct sim *s);
void sim_power_cut(struct sim *s, int machine);
/* The machine is off: a disk that lied shows what it has. */
void sim_disk_truth(struct sim *s, struct sim_machine *m);
void sim_thief(struct sim *s, int machine);
void sim_thief_met_fork(struct sim *s, int machine, const Ltpb__PushRequest *req);
struct sim_machine *sim_copy_at_work(struct sim *s); /* NULL: no copy is used by anybody now */
bool sim_copies_live(const struct sim *s);
/* After the last fault: copies come to the hub one by one, while their originals are off, and then go for good. true: all did. */
bool sim_copies_settle(struct sim *s);
void sim_copies_free(struct sim *s);
void sim_stop_lying(struct sim_machine *m);
/* What was seen on its disk, for a copy of the disk; free(). And back; NULL: nothing. */
struct sim_watch *sim_watch_copy(const struct sim_machine *m);
void sim_watch_put(struct sim_machine *m, const struct sim_watch *w);

/* sim.c */
bool sim_world_step(struct sim *s); /* one event; false: none is left */
bool sim_run(struct sim *s); /* from a world that was made; false: failed */

#endif
