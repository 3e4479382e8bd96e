/* proto/rpc/mux.h - the calls of one connection: numbers, message pieces, credit, and whose turn it is
 * (FORMAT.md 6.3). Pure: frames in and events out, messages in and frames out; no socket, no clock.
 *
 * Symmetric: both sides may open calls; `local` calls are ours, `remote` ones the peer's. A frame is made at
 * the moment it is written (lt_mux_take), so a short call never waits behind a long one.
 * Not thread safe: the connection's lock guards it.
 *
 * Memory a peer can make us hold: messages being put together or not yet consumed, LT_MUX_HELD_MAX in all;
 * control frames, LT_MUX_CONTROL_MAX; calls, LT_MUX_CALLS_MAX.
 */
#ifndef LT_RPC_MUX_H
#define LT_RPC_MUX_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/rpc/frame.h"

#include <stdbool.h>

#define LT_MUX_CREDIT 65536 /* initial, per call and direction */
#define LT_MUX_GRANT_MIN (LT_MUX_CREDIT / 2)
#define LT_MUX_CALLS_MAX 64 /* open calls of the peer */
#define LT_MUX_LOCAL_MAX 1024 /* open calls of ours; the peer refuses beyond its own limit */
#define LT_MUX_HELD_MAX (8u * 1024 * 1024) /* bytes of messages received and not consumed */
#define LT_MUX_QUEUED_MAX (8u * 1024 * 1024) /* bytes of messages waiting to be sent */
#define LT_MUX_CALL_QUEUED_MAX 32768 /* of one stream, before it must wait */
#define LT_MUX_CALL_MESSAGES_MAX 512 /* the same in messages: those without bytes take no credit */
/* What a message received counts besides its bytes: one without bytes takes no credit, and is kept all the same. */
#define LT_MUX_MESSAGE_COST 64
#define LT_MUX_CONTROL_MAX 65536 /* bytes of frames without credit waiting to be sent */
#define LT_MUX_BUCKETS 64

struct lt_mux_msg; /* one message waiting to be sent */

struct lt_mux_call {
	uint32_t id;
	bool local;
	void *user; /* the owner's; NULL once the owner has ended the call */

	/* receiving */
	struct lt_buf rx; /* the message being put together */
	struct lt_buf rx_token; /* what the peer has named the position behind it */
	size_t rx_credit; /* bytes the peer may still send */
	size_t owed; /* bytes received and not granted anew */
	size_t waiting; /* whole messages the owner has not consumed */
	size_t held; /* bytes of rx and of those */
	bool rx_zstd; /* rx is compressed */
	bool rx_done; /* the peer sends no more messages */

	/* sending */
	struct lt_buf head; /* REQUEST, until sent */
	struct lt_mux_msg *tx_first, *tx_last;
	size_t tx_bytes; /* not yet sent */
	unsigned tx_messages;
	size_t tx_credit;
	bool tx_done; /* NO_MORE is sent or queued */
	bool ending;
	bool want; /* lt_mux_writable() said no */
	struct lt_buf end; /* END, sent when the messages are */

	bool in_ring;
	struct lt_mux_call *ring_next, *ring_prev, *hash_next;
};

struct lt_mux {
	bool initiator;
	uint32_t next_id; /* of our next call; 0: used up */
	uint32_t last_remote_id; /* highest the peer has used */
	struct lt_mux_call *bucket[LT_MUX_BUCKETS];
	unsigned nlocal, nremote;
	struct lt_mux_call *ring; /* calls with a frame to send; ring is next in turn */
	struct lt_buf control;
	size_t control_off;
	size_t held, queued;
	uint32_t encodings; /* LT_ENCODING_: what the peer has said it takes */
	bool starved; /* a stream waits for `queued` to fall */
	int err; /* sticky: the control queue overran, or no memory */
};

enum lt_mux_event_type {
	LT_MUX_NONE,
	LT_MUX_REQUEST, /* call is new; bytes: the head. The owner sets call->user */
	LT_MUX_REFUSED, /* id: over LT_MUX_CALLS_MAX. The owner answers with lt_mux_refuse() */
	LT_MUX_MESSAGE, /* call, message (now the owner's; lt_mux_consumed() when done with) */
	LT_MUX_EMPTY, /* call: the peer sends no more and has sent no message with this frame */
	LT_MUX_BAD, /* call, rc: LT_E_TOOBIG message over its limit, LT_E_NOMEM too much held.
	                  * The owner ends or cancels the call */
	LT_MUX_WRITABLE, /* call may send again */
	LT_MUX_END, /* user, bytes: Status; the call is gone. rc LT_E_INVALID: inside a message */
	LT_MUX_CANCEL, /* user; the call is gone */
	LT_MUX_PONG,
	LT_MUX_GOAWAY, /* id: last accepted; bytes: text */
};

struct lt_mux_event {
	enum lt_mux_event_type type;
	struct lt_mux_call *call;
	void *user;
	uint32_t id;
	int rc;
	struct lt_slice bytes; /* borrowed from the frame */
	struct lt_buf message; /* owned by the receiver of the event */
	struct lt_buf token; /* likewise: of a message of a local call, empty without one */
	bool zstd; /* message is compressed (lt_zstd_unpack) */
};

void lt_mux_init(struct lt_mux *m, bool initiator);
void lt_mux_fini(struct lt_mux *m);

/* A frame came in. LT_OK with one event, or LT_E_INVALID: the peer broke the rules, end the connection;
 * why (never NULL) says how. Messages for a call that is over are dropped unseen. */
int lt_mux_frame(
    struct lt_mux *m, struct lt_slice frame, struct lt_mux_event *ev, const char **why);

/* Open a call. NULL: too many open, numbers used up, or no memory. */
struct lt_mux_call *lt_mux_open(struct lt_mux *m, struct lt_slice head, void *user);
/* Queue a message, at most LT_MESSAGE_MAX; its memory is taken, also on failure. no_more: the last one. */
int lt_mux_send(struct lt_mux *m, struct lt_mux_call *c, struct lt_buf *message, bool no_more);
/* The same with LT_DATA_NO_MORE, LT_DATA_ZSTD (the message is a zstd frame), both or none. */
int lt_mux_send_as(struct lt_mux *m, struct lt_mux_call *c, struct lt_buf *message, uint8_t flags);
/* The same to a remote call with the token of its position, at most LT_RESUME_TOKEN_MAX bytes, copied; empty: none. */
int lt_mux_send_token(struct lt_mux *m, struct lt_mux_call *c, struct lt_buf *message,
    uint8_t flags, struct lt_slice token);
/* May a stream queue one more? If not, a WRITABLE event or lt_mux_take() tells when. */
bool lt_mux_writable(struct lt_mux *m, struct lt_mux_call *c);
/* A message that had len bytes, its token's included, has been dealt with; gives the peer credit. */
void lt_mux_consumed(struct lt_mux *m, struct lt_mux_call *c, size_t len);
/* End a remote call. drop: what is queued is not sent any more. c is not the owner's afterwards. */
void lt_mux_end(struct lt_mux *m, struct lt_mux_call *c, struct lt_slice status, bool drop);
/* Give up a local call; nothing of it is heard again. c is gone. */
void lt_mux_cancel(struct lt_mux *m, struct lt_mux_call *c);
void lt_mux_refuse(struct lt_mux *m, uint32_t id, struct lt_slice status);
void lt_mux_ping(struct lt_mux *m, uint64_t value);
/* Tell the peer which encodings are taken here. */
void lt_mux_tell_encodings(struct lt_mux *m, uint32_t encodings);
void lt_mux_goaway(struct lt_mux *m, struct lt_slice text);

bool lt_mux_has_frame(const struct lt_mux *m);
/* The next frame to write, LT_FRAME_MAX bytes of room; 0: none. *woke: a call that may send again, or NULL;
 * *woke_all: so may every call whose `want` is set (the owner clears it). */
size_t lt_mux_take(struct lt_mux *m, uint8_t *out, struct lt_mux_call **woke, bool *woke_all);

/* Walk the open calls that the owner has not ended: NULL first, then what was returned. */
struct lt_mux_call *lt_mux_next(const struct lt_mux *m, const struct lt_mux_call *after);

#endif
