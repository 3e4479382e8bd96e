/* proto/rpc/conn_impl.h - one connection: the stream, the line on it and the calls in it; what server_impl.h and client.c
 * have in common.
 *
 * Threads. conn->mx guards everything below it. nng's callbacks and the timer take it for as long as moving, opening
 * and sealing takes. Handshake curves run on a worker, which alone touches the line meanwhile (nothing is being
 * received then). Lock order: conn->mx before the server's.
 *
 * Time. A connection must be open by open_by_ms; then a frame must come every idle_ms, and one that has begun must end
 * within LT_CONN_FRAME_MS.
 *
 * End. lt_conn_die() marks it dead; the service thread then closes the stream, waits for its callbacks and calls
 * ops->gone. Nothing is started on a dead connection. The struct lives until its last reference.
 */
#ifndef LT_RPC_CONN_IMPL_H
#define LT_RPC_CONN_IMPL_H

#include "proto/rpc/line.h"
#include "proto/rpc/mux.h"
#include "proto/rpc/pool_impl.h"
#include "proto/rpc/rpc.h"

#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>

#define LT_CONN_HANDSHAKE_MS 4900 /* of who dials */
#define LT_CONN_IDLE_MS 60000
/* A peer that lets more than this wait and takes nothing for so long is cut. */
#define LT_CONN_SEND_QUEUE_MAX (1024u * 1024)
#define LT_CONN_STALL_MS 10000
/* A client whose server has said that it goes away gives its calls this long to end. */
#define LT_CONN_GOAWAY_MS 30000

/* From a frame's first byte to its last; then the connection is closed. The length before a sealed frame is not
 * authenticated: one flipped bit makes it up to 16 KiB longer, and the rest never comes. The largest frame, 16,418
 * bytes, takes 4.4 s at 30 kbit/s. Of its twelve segments one in twenty is lost there; TCP sends it again after some 2 s
 * (600 ms there and back), then after 4 and 8 s more: three losses of one segment in a row, 18.4 s in all, are waited
 * for. A fourth (16 s more) comes in one of 13,000 such frames and costs a new connection, no data. */
#define LT_CONN_FRAME_MS 20000

enum lt_conn_phase { LT_CONN_CONNECTING, LT_CONN_HANDSHAKE, LT_CONN_OPEN };

/* All under conn->mx unless said. */
struct lt_conn_ops {
	void (*opened)(struct lt_conn *c);
	void (*event)(struct lt_conn *c, struct lt_mux_event *ev);
	void (*writable)(struct lt_conn *c, struct lt_mux_call *mc);
	/* Look at deadlines; returns the next one (clock of the connection), INT64_MAX for none. */
	int64_t (*tick)(struct lt_conn *c, int64_t now_ms);
	/* The other side has shown that it knows whom it calls; NULL allowed. */
	bool (*knocked)(struct lt_conn *c);
	/* Worker, without the lock: the key of the other side. */
	int (*admit)(void *conn, const uint8_t line_key[32]);
	/* Service thread, without the lock, once: the stream is closed and freed; let go of all calls. */
	void (*gone)(struct lt_conn *c);
	/* Worker, without the lock: whatever the owner wants done there (lt_conn_push). */
	void (*task)(struct lt_conn *c);
	/* The last reference is gone: free the owner's part. */
	void (*fini)(struct lt_conn *c);
};

struct lt_account;
struct lt_patron;
struct lt_client_call;
struct lt_handshakes;
struct lt_client_service;

/* The client's part. */
struct lt_client {
	void (*done)(void *ctx, struct lt_conn *c, int rc, const char *why);
	void *done_ctx;
	void (*closed)(void *ctx, int rc, const char *why);
	void *closed_ctx;
	bool opened, gone, done_told, closed_told, finished, goaway;
	int64_t goaway_by_ms; /* when goaway: whatever still runs ends */
	unsigned ncalls;
	uint64_t requests;
	char id_prefix[17];
	struct lt_client_service *services;
	pthread_cond_t cv; /* finished */
};

/* The server's part. */
struct lt_server_conn {
	struct lt_server *server;
	struct lt_conn *next, *prev; /* of the server's list, under its lock */
	bool admitted, closed_told, gone;
	_Atomic unsigned ncalls; /* call structs alive */
	struct lt_patron *patron; /* whose it is; the server's */
	struct lt_account
	    *account; /* of the peer; NULL: local, or without bounds. Constant once open */

	/* Its places, under the server's lock. */
	unsigned address_slot;
	bool counted_handshake; /* in `group` */
	bool guest,
	    guest_going; /* let in, and nobody yet; told to make room. Under the server's lock */
	struct lt_conn *guest_out; /* who has to go for it, with a reference; under conn->mx */
	bool over_rate; /* no curve operation was done for it */
	bool as_stranger; /* or one of those that all strangers share */
	bool silent; /* on the group's list of those who have not knocked */
	_Atomic bool
	    evicted; /* for another; counted until it is gone. Set while it may end by itself on another thread */
	struct lt_handshakes *group;
	struct lt_conn *silent_next, *silent_prev;
};

/* Tasks to be pushed when the lock is free again, which they all need first. */
struct lt_conn_batch {
	struct lt_task *task[64];
	size_t n;
};

struct lt_conn {
	_Atomic unsigned refs;
	struct lt_pool *pool;
	const struct lt_clock *clock;
	const struct lt_conn_ops *ops;
	uint32_t idle_ms;
	struct lt_peer peer; /* written before it is open, constant afterwards */
	bool local;

	pthread_mutex_t mx; /* guards what follows */
	enum lt_conn_phase phase;
	bool dead;
	int rc; /* why it died */
	char why[160];
	nng_stream *stream;
	nng_stream_dialer *dialer;
	nng_aio *rx, *tx, *dial;
	nng_aio
	    *now; /* for what the stream takes at once; NULL: not tried on this connection yet */
	unsigned sends; /* until it is */
	struct lt_line *line;
	bool line_work; /* the line belongs to a worker */
	struct lt_mux mux;
	uint8_t *rxbuf;
	size_t rxcap;
	unsigned rx_small; /* receives in a row that would have fitted a small buffer */
	struct lt_buf txbuf;
	size_t txoff;
	bool tx_busy;
	int64_t
	    frame_by_ms; /* a part of a frame is there and the rest is due; INT64_MAX: no part */
	int64_t open_by_ms, last_rx_ms, tx_progress_ms, armed_ms;
	bool pinged;
	uint64_t frames_in; /* so far */
	bool finishing; /* dies as soon as all that was queued is written */
	struct lt_task task;
	struct lt_task flush;
	struct lt_conn_batch *batch; /* while bytes that came in are gone through */
	struct lt_timer timer;
	struct lt_chore reap;

	struct lt_client cl;
	struct lt_server_conn sv;
};

/* A connection with one reference (the transport's). open_ms: time until it must be open. */
struct lt_conn *lt_conn_new(struct lt_pool *pool, const struct lt_clock *clock,
    const struct lt_conn_ops *ops, bool initiator, uint32_t idle_ms, uint32_t open_ms);
void lt_conn_ref(struct lt_conn *c);
void lt_conn_unref(struct lt_conn *c);
/* Start on a stream; both are taken. Under the lock. */
void lt_conn_start(struct lt_conn *c, nng_stream *stream, struct lt_line *line);
/* Dial. LT_E_INVALID: url. LT_E_NOMEM. Without the lock; line is taken. */
int lt_conn_dial(struct lt_conn *c, const char *url, struct lt_line *line);
/* Under the lock; idempotent. why is copied. */
void lt_conn_die(struct lt_conn *c, int rc, const char *why);
/* The same once everything queued is written, answers that wait for credit included; at once if it is not open. Whoever
 * asks sets a limit to how long that may take. Under the lock; idempotent. */
void lt_conn_finish(struct lt_conn *c, const char *why);
/* Send what there is to send. Under the lock. */
void lt_conn_kick(struct lt_conn *c);
/* The same behind what waits for a thread now, if anything does: it may have more to send, which goes out in the same write. */
void lt_conn_kick_behind(struct lt_conn *c);
/* Push the task of a call, whose reference the caller has taken; of calls that arrive together, together. Under the lock. */
void lt_conn_push_task(struct lt_conn *c, struct lt_task *t);
/* Have tick run by then (clock of the connection). Under the lock. */
void lt_conn_due(struct lt_conn *c, int64_t due_ms);
/* Have ops->task run. Under the lock or not. */
void lt_conn_push(struct lt_conn *c);
int64_t lt_conn_now(const struct lt_conn *c);
/* An nng error as ours. */
int lt_conn_nng_error(int rv);

#endif
