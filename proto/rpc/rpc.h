/* proto/rpc/rpc.h - calls over nng byte streams: server and client (FORMAT.md 6).
 *
 * One connection carries many calls at once in both directions. Methods are those of protobuf-c
 * services; a method table beside them says what protoc-c drops (streaming, idempotent, deadline).
 *
 * Threads. nng's callbacks only move bytes and open and seal frames. Handlers and `ready` functions run on
 * the server's worker threads, never two at once for one call. Client callbacks run on the worker threads
 * of the same pool. Nothing here blocks a callback.
 */
#ifndef LT_RPC_RPC_H
#define LT_RPC_RPC_H

#include "proto/base/rate.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/ids.h"
#include "proto/rpc/status.h"

#include <protobuf-c/protobuf-c.h>

struct lt_pool; /* worker threads with a bounded queue */
struct lt_server; /* listeners and the services behind them */
struct lt_conn; /* one connection, either side; reference counted inside */
struct lt_call; /* server side of one call */

/* ---- what protoc-c drops ---- */

/* What a call does to the thread that runs it. Each class has its own threads and its own measure of calls (calls_max): however
 * many of one wait, no other class stands behind them. Those that are not quick give way where the processor is
 * wanted (proto/base/thread.h). */
enum lt_work {
	LT_WORK_QUICK, /* an answer in well under a millisecond, or a wait for somebody else's work */
	LT_WORK_LONG, /* reads and computes for long */
	LT_WORK_INTAKE, /* takes in: milliseconds for every message, and as many messages as there are */
	/* An answer in some microseconds that waits for nobody. It has no threads of its own: a quick one takes those that wait one
	 * after the other, and calls another only for many. */
	LT_WORK_BRIEF,
	LT_WORK_CLASSES
};

struct lt_method {
	const char *name; /* "/lienthong.v1.Sync/Push" */
	bool server_streaming;
	bool idempotent;
	uint32_t deadline_ms; /* used when the caller names none; 0: none (streams) */
	uint32_t deadline_max_ms; /* a longer one is cut to this; 0: no limit */
	unsigned grant; /* the owner's word for what a caller needs; see `authorize` */
	enum lt_work work; /* the threads it runs on */
};

/* ---- workers ---- */

struct lt_pool_options {
	/* Of each class; what has none of its own is done by the quick ones, of which there is at least one. */
	unsigned threads[LT_WORK_CLASSES];
	size_t queue_max; /* of what lt_pool_submit() has taken and not run; 0: 1,024 */
};
int lt_pool_open(const struct lt_pool_options *o, struct lt_pool **out);
/* The same with quick ones alone, which then do everything. */
int lt_pool_start(unsigned nthreads, size_t queue_max, struct lt_pool **out);
/* On a quick thread. LT_E_UNAVAILABLE when the queue is full. Any thread. */
int lt_pool_submit(struct lt_pool *p, void (*fn)(void *), void *arg);
void lt_pool_stop(struct lt_pool *p); /* runs what waits, joins */

/* ---- who is at the other end ---- */

enum lt_peer_kind { LT_PEER_LOCAL, LT_PEER_LINE };

struct lt_peer {
	enum lt_peer_kind kind;
	uint64_t uid; /* local */
	uint8_t line_key[32]; /* line: the peer's static key, proven by the handshake */
	char address[64]; /* "127.0.0.1" or "local" */
	uint64_t conn_id; /* rises, never re-used in a process */
};

/* ---- server ---- */

/* What one peer of the line may have, over all its connections; 0 where there is no bound of its own. */
struct lt_quota {
	/* Whose account it is: the same bytes for every key of one peer (a machine that changes its keys has two); zeros: who holds the key. */
	uint8_t whom[16];
	unsigned conns_max; /* open at once */
	/* Nobody yet: where it comes from is not known by it, and of such only some may be in at a time; the oldest makes room. */
	bool guest;
	unsigned calls_max; /* running and waiting; without streams */
	unsigned streams_max;
	/* Bytes of requests and answers, rows of answers; items of streams are neither. */
	struct lt_rate_limit calls, bytes, rows;
	struct lt_rate_limit changes, vain; /* of what lt_call_took() counts */
};

struct lt_server_options {
	struct lt_pool *pool;
	const struct lt_clock *clock;
	const struct lt_method
	    *methods; /* checked at start against the services' descriptors: every method once */
	size_t nmethods;
	/* Line only. Asked after the initiator's static key is known and before anything else happens:
	 * LT_OK lets it in, anything else closes without a word. Any thread; must not block on disk. */
	int (*admit)(void *ctx, const struct lt_peer *peer);
	/* Asked before every dispatch, after the method is found. Anything but OK ends the call with it. */
	void (*authorize)(void *ctx, const struct lt_peer *peer, const struct lt_method *method,
	    struct lt_status *status);
	/* Told once, on a worker, when a connection that was let in is gone (line: `admit` said yes; local: its user
	 * was right). */
	void (*closed)(void *ctx, const struct lt_peer *peer);
	/* Line only. Asked when the first connection of a peer opens, and holds until its last one is gone; of a guest again before each call. Any thread; must not block on disk.
	 * NULL: nobody has a bound of its own. Above it: RESOURCE_EXHAUSTED + RetryInfo. */
	void (*quota)(void *ctx, const struct lt_peer *peer, struct lt_quota *out);
	/* Told of every call that was dispatched, right before its answer or its status goes out, on the thread that gives it: who,
	 * what was asked (NULL where the request was not read) and given (NULL: nothing; of streams always). Both are
	 * borrowed; must not block. NULL: nobody is. */
	void (*ended)(void *ctx, const struct lt_peer *peer, const struct lt_method *method,
	    const ProtobufCMessage *request, const ProtobufCMessage *reply,
	    const struct lt_status *status);
	void *ctx;
	/* X25519 secret, 32 bytes, copied by lt_server_new() to guarded memory; NULL: ipc only. */
	const uint8_t *line_sk;
	/* 32 bytes, read by lt_server_new() alone: resume tokens and page tokens hold for as long as it stays the same.
	 * NULL: line_sk; neither: tokens hold until the server stops. */
	const uint8_t *resume_secret;
	const uint8_t *federation; /* 32 bytes */
	uint32_t handshake_ms; /* 0: 4,000 */
	uint32_t idle_ms; /* no frame received: ping after half of it, close after it; 0: 60,000 */
	unsigned conns_max; /* 0: 4,096 */
	unsigned conns_per_address_max; /* unfinished handshakes included; 0: 512 */
	/* Unfinished, from addresses where somebody was let in before (and of the local socket), and as many from all
	 * others; 0: 256. One more takes the place of the oldest that has not knocked, of the address that has most of
	 * those: who comes from an address of its own is not kept out by any number from others. */
	unsigned handshakes_max;
	/* Running and queued, of each class of work; 0: 1,024. Streams that have begun are none of them: of those there may be
	 * as many as connections besides. Above: RESOURCE_EXHAUSTED + RetryInfo. */
	unsigned calls_max;
};

int lt_server_new(const struct lt_server_options *o, struct lt_server **out, struct lt_err *err);
/* Before listening. service: a protobuf-c service filled with handlers, borrowed. Each of its methods must stand
 * once in the table, and the table must name none that it lacks: LT_E_INVALID. Rows of services that are never
 * added are allowed. LT_E_EXISTS: added already. */
int lt_server_add(struct lt_server *s, ProtobufCService *service, struct lt_err *err);
/* url: "tcp://0.0.0.0:7340" (secured line) or "ipc:///path/sock" (mode 0600, same uid only).
 * A port 0 is chosen by the system: lt_server_port() tells. LT_E_BUSY: address in use. */
int lt_server_listen(struct lt_server *s, const char *url, struct lt_err *err);
int lt_server_port(const struct lt_server *s); /* of the first tcp listener, -1 if none */
/* Cut every connection of a peer (revocation). Any thread. */
void lt_server_cut(struct lt_server *s, const uint8_t line_key[32]);
/* One connection: how many frames came on it so far, and, with ping, it is asked for one at once. false: it is gone. Any thread. */
bool lt_server_look(struct lt_server *s, uint64_t conn_id, bool ping, uint64_t *frames);
/* Cut that one. Any thread. */
void lt_server_cut_one(struct lt_server *s, uint64_t conn_id);
unsigned lt_server_connections(const struct lt_server *s);
/* Connections closed without a word, by reason. Any thread. */
struct lt_server_counts {
	uint64_t accepted;
	uint64_t
	    over_limit; /* too many connections, in all or of an address, or too many who knocked */
	uint64_t
	    over_rate; /* knocked more often than is computed for strangers, or for one address */
	uint64_t evicted; /* silent ones, for others who came after them */
	uint64_t bad_handshake; /* malformed, wrong knock, a key not proven, gone before the end */
	uint64_t not_admitted; /* `admit` said no, or another user on the local socket */
	uint64_t handshake_late;
	uint64_t cut; /* open ones ended by us: rules broken, silent, not reading, revoked */
	uint64_t
	    silent; /* of these, such as were half open: nothing heard, or nothing taken, for too long */
	uint64_t calls;
	uint64_t calls_refused; /* RESOURCE_EXHAUSTED */
};
void lt_server_counts(const struct lt_server *s, struct lt_server_counts *out);
/* No new connections and calls (GOAWAY), running ones get until wait_ms, streams nothing; then everything is closed and freed.
 * Not from a worker. A handler that has still not answered keeps its call's memory and may answer later, to
 * nobody; `closed`, `admit` and `authorize` are not called any more once this has returned. */
void lt_server_stop(struct lt_server *s, uint32_t wait_ms);

/* ---- inside a handler: closure_data is the call ---- */

struct lt_call *lt_call_of(void *closure_data);
const struct lt_peer *lt_call_peer(const struct lt_call *c);
/* 32 secret bytes to seal page tokens with (FORMAT.md 6.8): the server's, the same for every caller and after every start with
 * the same secret. Borrowed for the server's life. */
const uint8_t *lt_call_page_key(const struct lt_call *c);
/* What the caller names this call by: at most LT_REQUEST_ID_MAX bytes of visible ASCII, "" if it named none. It stands
 * in the log if the call fails. */
const char *lt_call_request_id(const struct lt_call *c);
/* What the caller sent along under a key, the first if more; NULL if nothing. Nobody has checked who says it: never
 * decide on it. Borrowed for the life of the call. */
const char *lt_call_metadata(const struct lt_call *c, const char *key);
/* Milliseconds until its deadline, negative when passed; INT64_MAX for none. */
int64_t lt_call_left_ms(const struct lt_call *c);
bool lt_call_cancelled(const struct lt_call *c);
/* Unary: the generated closure(reply, closure_data) answers and ends the call. To fail instead: */
void lt_call_fail(struct lt_call *c, const struct lt_status *status);
void lt_call_failf(struct lt_call *c, enum lt_status_code code, const char *reason, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
/* The same in English and Vietnamese; both formats take the same arguments in the same order. */
void lt_call_refuse(struct lt_call *c, enum lt_status_code code, const char *reason, const char *en,
    const char *vi, ...) __attribute__((format(printf, 4, 6), format(printf, 5, 6)));
/* What a peer gave: so many changes that were taken, and so many pieces that served nobody, as change-sets that were held already
 * (quota.changes, quota.vain). What is over a bound is owed. Any thread, while the call has not ended. */
void lt_call_took(struct lt_call *c, size_t changes, size_t vain);
/* Before it gives more (asked for at the head of calls of LT_WORK_INTAKE, and again here where calls have waited for each other): false while
 * the peer owes of either; *st is the refusal, with the time after which to try again. */
bool lt_call_owes_nothing(struct lt_call *c, struct lt_status *st);
/* A handler that answers later (from another thread) keeps the call; the request message stays
 * valid until the call has ended. Exactly one end for each call: closure, fail, or stream_end. */

/* Server streaming. The handler installs a stream and returns. `ready` runs on a worker whenever the
 * call may send (at once, when credit comes back) and after each lt_call_kick(); it sends with
 * lt_call_send() until that says LT_E_BUSY or there is nothing more. `closed` runs exactly once, last.
 *
 * One run of `ready` sends so many bytes, or for so long (of the server's clock; one item in any case), then lt_call_send() says
 * LT_E_BUSY and the stream goes on behind what waits. All streams of a server together run on all threads but one of a class at most. */
#define LT_STREAM_PASS_BYTES ((size_t)256 * 1024)
#define LT_STREAM_PASS_MS 5
struct lt_stream_ops {
	void (*ready)(struct lt_call *c, void *ctx);
	void (*closed)(void *ctx);
};
void lt_call_stream(struct lt_call *c, const struct lt_stream_ops *ops, void *ctx);
/* LT_OK: taken; LT_E_BUSY: no credit, or the pass is over: `ready` comes again; LT_E_CLOSED: the call is over. */
int lt_call_send(struct lt_call *c, const ProtobufCMessage *item);
/* A stream that can be gone on with (FORMAT.md 6.10) sends every item with the position behind it: 1 to LT_RESUME_POSITION_MAX
 * bytes that mean something to its handler alone, and the same after a restart; the caller can read them. Every streaming
 * method sends so, but for those whose items tell their position themselves (Sync.Pull: feed, number, hash). */
int lt_call_send_at(struct lt_call *c, const ProtobufCMessage *item, struct lt_slice position);
/* Where the caller goes on: a position that this handler gave out to this caller for this very request. Empty: from the
 * start. Borrowed for the life of the call. */
struct lt_slice lt_call_resume_at(const struct lt_call *c);
/* Fail it, before there is a stream: what follows that position is not there any more (OUT_OF_RANGE, RESUME_TOO_OLD). */
void lt_call_resume_gone(struct lt_call *c);
void lt_call_stream_end(struct lt_call *c, const struct lt_status *status);
/* Have `ready` run soon: there is news. Any thread, while `closed` has not run. */
void lt_call_kick(struct lt_call *c);

/* ---- client ---- */

/* Why a connection could not be made, with LT_E_DENIED: the other side proved that it is the one that is meant, and hung up when it had
 * seen our key. What it has against that key it tells nobody. */
#define LT_WHY_AT_THE_DOOR "closed during the handshake"

struct lt_dial_options {
	struct lt_pool *pool;
	const struct lt_clock *clock;
	const char *url; /* tcp://host:port or ipc:///path */
	const uint8_t *line_sk; /* tcp: own static secret, 32 bytes, copied to guarded memory */
	const uint8_t *remote_line_key; /* tcp: the pinned key of the other side */
	const uint8_t *federation;
	uint32_t connect_ms; /* connect and handshake; 0: 4,900 */
	uint32_t idle_ms; /* 0: 60,000: ping after half of it, close after it */
	/* Told once when the connection is gone, with the reason; LT_E_TIMEOUT: it was half open, nothing was heard or taken on
	 * it for too long. NULL allowed. */
	void (*closed)(void *ctx, int rc, const char *why);
	void *ctx;
};

/* Blocking, bounded by connect_ms. LT_E_TIMEOUT, LT_E_UNAVAILABLE (nobody there), LT_E_DENIED (closed during
 * the handshake: not known there, or another key), LT_E_INVALID (url). */
int lt_dial(const struct lt_dial_options *o, struct lt_conn **out, struct lt_err *err);
/* The same without blocking: done runs on a worker. Returns an error only if it could not start. */
int lt_dial_async(const struct lt_dial_options *o,
    void (*done)(void *ctx, struct lt_conn *c, int rc, const char *why), void *ctx);
/* Closes, waits for callbacks to end, frees. Not from a callback of this connection. NULL allowed. */
void lt_conn_close(struct lt_conn *c);
bool lt_conn_alive(const struct lt_conn *c);

struct lt_call_ops {
	/* Each message of the answer (one for unary). Borrowed for the time of the callback. */
	void (*item)(void *ctx, const ProtobufCMessage *m);
	/* Exactly once, last. status OK: done. */
	void (*end)(void *ctx, const struct lt_status *status);
};

/* Start a call. id: for lt_conn_cancel, NULL allowed. timeout_ms 0: the server's default.
 * Returns an error only if nothing was started (then no callback comes): LT_E_CLOSED, LT_E_TOOBIG. */
int lt_conn_call(struct lt_conn *c, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *request, uint32_t timeout_ms, const struct lt_call_ops *ops, void *ctx,
    uint32_t *id);
void lt_conn_cancel(struct lt_conn *c, uint32_t id);

struct lt_metadata {
	const char *key; /* 1 to LT_METADATA_KEY_MAX bytes of a-z 0-9 _ . - */
	const char *value; /* at most LT_METADATA_VALUE_MAX bytes */
};
/* What goes along with a call. NULL or zeroed: a request id is made, no metadata. */
struct lt_call_head {
	const char *request_id; /* as in lt_call_request_id(); NULL or "": one is made */
	const struct lt_metadata *metadata;
	size_t nmetadata; /* at most LT_METADATA_MAX */
	/* Streams: told right before the item behind which it goes on, borrowed for that time; not told where the method
	 * gives no tokens. NULL: none are asked for. */
	void (*token)(void *ctx, struct lt_slice token);
	struct lt_slice
	    resume_token; /* of the last item that came: go on behind it; empty: from the start */
};
/* lt_conn_call() and lt_conn_call_wait() with a head, borrowed for the time of this function. LT_E_USAGE (NOT_SENT): it breaks
 * a limit. */
int lt_conn_call_with(struct lt_conn *c, const ProtobufCServiceDescriptor *service,
    const char *method, const struct lt_call_head *head, const ProtobufCMessage *request,
    uint32_t timeout_ms, const struct lt_call_ops *ops, void *ctx, uint32_t *id);
int lt_conn_call_wait_with(struct lt_conn *c, const ProtobufCServiceDescriptor *service,
    const char *method, const struct lt_call_head *head, const ProtobufCMessage *request,
    uint32_t timeout_ms, ProtobufCMessage **reply, struct lt_status *status);
/* Unary and blocking, for tools and tests. *reply is freed with protobuf_c_message_free_unpacked(reply, NULL);
 * NULL unless OK. Returns status->code. */
int lt_conn_call_wait(struct lt_conn *c, const ProtobufCServiceDescriptor *service,
    const char *method, const ProtobufCMessage *request, uint32_t timeout_ms,
    ProtobufCMessage **reply, struct lt_status *status);
/* A protobuf-c service whose generated client functions call over this connection: the closure runs
 * once with the reply, or with NULL on failure. Freed with the connection. */
ProtobufCService *lt_conn_service(struct lt_conn *c, const ProtobufCServiceDescriptor *service);

#endif
