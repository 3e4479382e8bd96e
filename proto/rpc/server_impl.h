/* proto/rpc/server_impl.h - what the server's files share. For server*.c only.
 *
 *   server.c         the server as a whole: services, counts, stop
 *   server_listen.c  listeners, and the limits on what they accept
 *   server_conn.c    the life of a connection: let in, open, gone
 *   server_call.c    the life of a call: made of a request, dispatched, ended
 *   server_reply.c   what a handler does with its call: answer, fail, stream
 *
 * Lock order: a connection's before the server's. A call is guarded by its connection's.
 */
#ifndef LT_RPC_SERVER_IMPL_H
#define LT_RPC_SERVER_IMPL_H

#include "proto/base/rate.h"
#include "proto/base/wire.h"
#include "proto/rpc/account.h"
#include "proto/rpc/conn_impl.h"
#include "proto/rpc/head.h"

#define LT_SERVER_SERVICES_MAX 32
/* Evicted connections that are not closed yet: no more are accepted meanwhile. */
#define LT_SERVER_EVICTED_MAX 64
/* Handshakes that are computed for those who turn out not to be let in, each some 40 us of a core (one X25519; up to five, 200 us, while an
 * invitation is open): of all strangers together, of one address, and of one address where somebody was let in. The reserves are
 * those of a restart, when all nodes of a province come at once and none is known. */
#define LT_SERVER_STRANGERS_WORK_PER_S 400
#define LT_SERVER_STRANGERS_WORK_BURST 4096
#define LT_SERVER_STRANGER_WORK_PER_S 20
#define LT_SERVER_KNOWN_WORK_PER_S 50
#define LT_SERVER_WORK_BURST 512

struct lt_listener;

/* Connections of one address; of IPv6, of one /64, which is what one stranger has. */
struct lt_server_address {
	char text[64];
	unsigned nconns;
	unsigned nsilent; /* of these, such as have not knocked */
	bool known; /* somebody there was let in */
	struct lt_rate work; /* handshakes that were computed for it */
};

/* Unfinished handshakes of those from known addresses, or of the others: neither takes the places of the other. */
struct lt_handshakes {
	unsigned n;
	struct lt_conn *oldest, *newest; /* who has not knocked, by arrival */
};

/* With the time that two thousand at once wait in the kernel to be accepted, gone within 5 s. */
#define LT_SERVER_HANDSHAKE_MS 4000
#define LT_SERVER_PATRON_BUCKETS 1024
#define LT_PATRON_KEY_LEN \
	(1 + 32) /* which of the two it is; lt_quota.whom, or the key at the other end */
#define LT_SERVER_GUESTS_MAX 128
#define LT_SERVER_LOCAL_KEPT \
	8 /* places for the local socket, where there are ten times as many and more */

/* A peer that has connections, or had some: who comes back finds what it owed. */
struct lt_patron {
	struct lt_patron *next;
	uint8_t key[LT_PATRON_KEY_LEN];
	unsigned nconns;
	bool guest; /* as of its last connection that came */
	struct lt_account *account;
};

struct lt_server_secrets {
	uint8_t resume_key[32], page_key[32];
};

struct lt_server {
	_Atomic unsigned refs; /* one of its owner, one of each connection */
	struct lt_server_options o; /* with the limits that stand for 0 filled in */
	uint8_t federation[LT_FED_LEN];
	ProtobufCService *services[LT_SERVER_SERVICES_MAX];
	size_t nservices;
	struct lt_listener *listeners; /* newest first */
	bool listening;
	struct lt_line_key *line_key; /* NULL: ipc only */
	struct lt_server_secrets *secrets; /* guarded memory */

	_Atomic unsigned ncalls; /* call structs alive */
	_Atomic unsigned nstreams; /* of these, streams that have begun */
	_Atomic unsigned nwork[LT_WORK_CLASSES]; /* of these, not such streams, by class */
	_Atomic unsigned nopen;
	_Atomic bool stopping;
	_Atomic uint64_t n_accepted, n_over_limit, n_evicted, n_bad, n_not_admitted, n_late, n_cut,
	    n_silent, n_over_rate, n_calls, n_refused;
	_Atomic int64_t next_log_ms;
	_Atomic unsigned logs_kept_back;
	_Atomic int64_t failures_until_ms; /* the second that failures_told is of */
	_Atomic unsigned failures_told, failures_kept_back;

	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cv; /* a call or a connection is gone, while stopping */
	struct lt_conn *conns;
	unsigned nconns;
	struct lt_handshakes strangers, acquainted;
	struct lt_patron *patrons[LT_SERVER_PATRON_BUCKETS]; /* peers with accounts, by key */
	unsigned npatrons;
	unsigned nguests;
	unsigned nevicted; /* on their way out */
	unsigned naddresses;
	struct lt_server_address *addresses; /* one for each connection there can be */
	struct lt_rate stranger_work; /* handshakes of those from addresses that are not known */
	/* The turns of all streams together: many that catch up leave a thread of each class to calls. Has its own lock. */
	struct lt_account *streams;
};

/* References: the connection's while mc is set, the handler's from dispatch to its end (a stream's to `closed`), and one of
 * each task in the pool. */
struct lt_call {
	_Atomic unsigned refs;
	struct lt_conn *conn; /* a reference */
	struct lt_server *server;
	struct lt_task task;
	struct lt_turn turn; /* guarded by the account */
	bool
	    has_turn; /* of conn->sv.account, from its push until its handler has run; a stream's passes take server->streams' */
	const struct lt_method *method;
	ProtobufCService *service;
	unsigned index;
	struct lt_head head;
	int64_t arrived_ms, deadline_ms;
	struct lt_arena arena;
	const ProtobufCMessage *asked; /* the request, in the arena; set before the handler runs */
	/* Of a stream whose caller wants or gives tokens; set before the handler runs. */
	struct lt_hash request;
	struct lt_slice resume_at; /* the position, in head.resume_token */

	/* Guarded by conn->mx. */
	struct lt_mux_call *mc; /* NULL: over for the other side */
	struct lt_buf body;
	size_t body_len;
	bool have_body;
	bool zstd; /* body is compressed */
	bool dispatched;
	bool finished; /* the handler has said its end */
	bool ready_due;
	bool stream_closed;
	enum { LT_PASS_NONE, LT_PASS_DUE, LT_PASS_RUNNING } pass; /* of its stream */
	int64_t pass_since_ms;
	size_t pass_bytes; /* sent in this one */
	const struct lt_stream_ops *stream;
	void *stream_ctx;
};

/* ---- server.c ---- */

void lt_server_unref(struct lt_server *s);
/* The row of the table; NULL if there is none. */
const struct lt_method *lt_server_method(const struct lt_server *s, const char *name);
/* "/service/method" among the services added; NULL if there is none. */
ProtobufCService *lt_server_service(const struct lt_server *s, const char *name, unsigned *index);

/* ---- server_listen.c ---- */

/* Close and free all listeners. Not from a callback. */
void lt_server_unlisten(struct lt_server *s);
/* It has knocked: nobody silent takes its place any more. Takes the server's lock. false: no curve operation for it, there were too
 * many; it is dead. */
bool lt_server_knocked(struct lt_conn *c);
/* The handshake is over: give back its place, and know its address. Takes the server's lock. */
void lt_server_handshake_done(struct lt_conn *c);
/* The connection is gone: give back all its places. Takes the server's lock. */
void lt_server_places_done(struct lt_conn *c);

/* ---- server_conn.c ---- */

extern const struct lt_conn_ops lt_server_conn_ops;

/* ---- server_account.c ---- */

/* The account of the peer of a connection that has just opened; NULL: it has none, or no memory (then it is cut). */
void lt_server_account_open(struct lt_conn *c);
/* Of a guest, before each of its calls: it may have become somebody. */
void lt_server_account_again(struct lt_conn *c);
void lt_server_account_close(struct lt_conn *c);
/* On a worker, without locks: cut the guest who has to go for this one, if there is one. */
void lt_server_guest_out(struct lt_conn *c);
void lt_server_accounts_free(struct lt_server *s);

/* ---- server_call.c ---- */

/* As in struct lt_conn_ops; under the connection's lock. */
void lt_server_on_event(struct lt_conn *c, struct lt_mux_event *ev);
void lt_server_on_writable(struct lt_conn *c, struct lt_mux_call *mc);
int64_t lt_server_on_tick(struct lt_conn *c, int64_t now);

void lt_call_unref(struct lt_call *call);
/* Have `ready` or `closed` of its stream, if it has one, run on a worker when it is their turn. Under conn->mx. */
void lt_call_push(struct lt_call *call);
/* The other side hears no more of this call. Ends the connection's reference. Under conn->mx. */
void lt_call_over(struct lt_call *call);
/* End the mux call and, with it, the call; drop: what waits to be sent of it goes too. Does nothing if it is over
 * already. Under conn->mx. */
void lt_call_end(struct lt_call *call, const struct lt_status *status, bool drop);
/* RESOURCE_EXHAUSTED, with the time after which it is worth trying again. */
void lt_call_set_exhausted(struct lt_status *st, const char *what);

/* ---- server_reply.c ---- */

/* The closure of a handler: its answer, or NULL if it has none. */
void lt_call_reply(const ProtobufCMessage *reply, void *closure_data);
/* One pass of the stream: run `ready` or `closed`, whichever is due. Worker; under conn->mx, which it lets go meanwhile. Whether more is
 * due then. */
bool lt_call_stream_pass(struct lt_call *call);

#endif
