/* node/session.h - a node's half of the talk with the hub, as messages: what is asked of it, worked out from the store, and
 * what its answers mean for the store and for the step function (sync.h). It knows no connection, no queue and no thread of its
 * own: link.c carries the messages over the line.
 *
 * A call: lt_session_ask() makes the request and fills the call, every reply or item of it goes to lt_session_take(), and its
 * end to lt_session_end(), after which call->ev is the event for lt_sync_step() (its time is the caller's to set).
 * Threads: any, a call by one at a time; lt_session_ask() by one only. With one thread alone everything is
 * done when a function returns, but for change-sets pulled: these are done when the node's writer has run.
 */
#ifndef LT_NODE_SESSION_H
#define LT_NODE_SESSION_H

#include "node/node.h"
#include "node/repair.h"
#include "node/sent.h"
#include "node/sync.h"
#include "proto/rpc/status.h"

struct lt_session;

struct lt_session_options {
	struct lt_node *node;
	struct lt_node_repair *repair; /* NULL: nothing that is damaged here is asked of the hub */
	const char *label; /* this machine's name for people, told when joining; NULL: none */
	/* Called once when the hub says the principal is active (the invitation is spent). NULL allowed. */
	void (*joined)(void *ctx);
	/* Nothing more of the pull is taken, as a change-set of it was not, or a push met a fork: end its call. Called with no lock held, on the
	 * thread that found out. NULL allowed. */
	void (*pull_broke)(void *ctx);
	void *ctx;
	size_t
	    evidence_max; /* tests only: bytes of evidence that an announcement takes; 0: as is good */
};

struct lt_session_call {
	struct lt_sync_event ev;
	struct lt_sync_feed feeds[LT_SYNC_FEEDS_MAX]; /* ev.feeds of GREETED: point there */
	uint64_t line; /* the connection that it was made for */
	struct lt_feed_id feed; /* PUSHED, as what follows */
	uint64_t from_seq, to_seq, push_no;
	size_t bytes;
	size_t given; /* SUPPLIED: of what the hub has lost, so many are dealt with by this call */
	bool cosigns; /* ANNOUNCED: with the checkpoint of this hash, cosigned */
	struct lt_hash cosigned;
};

struct lt_session_request {
	const ProtobufCServiceDescriptor *service;
	const char *method;
	const ProtobufCMessage *message; /* in the arena, and in the session and identity */
	uint32_t timeout_ms; /* 0: none, a stream */
};

/* Options and what they point to are borrowed for the session's life. LT_E_NOMEM. */
int lt_session_new(const struct lt_session_options *o, struct lt_session **out);
/* No call and no change-set may be under way (lt_session_await_idle). NULL allowed. */
void lt_session_free(struct lt_session *s);

/* The request of DO_JOIN, DO_HELLO, DO_GIVE_BACK, DO_PULL, DO_PUSH, DO_ANNOUNCE, DO_FETCH or DO_SUPPLY. For DO_PULL nothing pulled before may still be under
 * way to the disk, as positions are asked for from there. LT_E_NOTFOUND: nothing to push, to give back, to fetch, or to supply; LT_E_NOMEM,
 * store errors: in each case the call is over, and the event in it says how. */
int lt_session_ask(struct lt_session *s, const struct lt_sync_action *a, struct lt_arena *arena,
    struct lt_session_call *c, struct lt_session_request *out);
/* A reply, or an item of the pull. Before an item wait for room, or ask. */
void lt_session_take(struct lt_session *s, struct lt_session_call *c, const ProtobufCMessage *m);
void lt_session_end(
    struct lt_session *s, struct lt_session_call *c, const struct lt_status *status);
/* The connection goes or is gone: what was sent on it and not answered is not on its way any more, and no more items of its
 * pull are taken. */
void lt_session_drop(struct lt_session *s);

/* Is there room for one more pulled change-set under way to the disk? Also when the pull broke, as then it is not taken. */
bool lt_session_has_room(struct lt_session *s);
/* Pulled change-sets under way to the disk. */
unsigned lt_session_applying(struct lt_session *s);
/* The same two, waiting until there is room, and until there are none. Not on the writer thread. */
void lt_session_await_room(struct lt_session *s);
void lt_session_await_idle(struct lt_session *s);
bool lt_session_pull_broke(struct lt_session *s);

/* Whether (feed, seq) is in a push under way, or in one that the hub answered (sent.h). */
bool lt_session_sent(struct lt_session *s, const struct lt_feed_id *feed, uint64_t seq);
/* What went wrong: logged, and kept as the last failure. */
void lt_session_say(struct lt_session *s, const char *what, const char *why);
/* The same, with a whole sentence for people who read Vietnamese. */
void lt_session_say_both(struct lt_session *s, const char *what, const char *why, const char *vi);
/* The last failure, "" when none since the last login, and the wall clock at the hub's last sign of life, 0: never. */
void lt_session_status(
    struct lt_session *s, char *error, char *error_vi, size_t cap, int64_t *last_contact_ms);

#endif
