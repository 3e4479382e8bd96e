/* proto/rpc/line.h - the line as a pure state machine: bytes from the stream in, frames and bytes for
 * the stream out (FORMAT.md 6.1, 6.2). No socket, no clock, no thread of its own.
 *
 * The caller feeds what arrives to lt_line_feed() until nothing is left:
 *
 *   LT_LINE_MORE   all taken, nothing to do
 *   LT_LINE_WORK   curve operations are due: call lt_line_work(), on a thread that may take its time. Until
 *                  it has returned no other function may be called.
 *   LT_LINE_FRAME  one frame lies in `plain`
 *
 * and writes what lt_line_out() collected. A negative code from any function ends the connection; the
 * reason is in lt_line_why(). Nothing tells the other side.
 */
#ifndef LT_RPC_LINE_H
#define LT_RPC_LINE_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/ids.h"
#include "proto/rpc/frame.h"
#include "proto/rpc/line_key.h"
#include "proto/rpc/noise.h"

#define LT_LINE_NONCE_LEN 16
#define LT_LINE_KNOCK_LEN 16
#define LT_LINE_PLAIN_MAX 16400 /* bytes of one transport message without its tag */
/* Transport messages of one direction under one key. */
#define LT_LINE_REKEY_EVERY 65536

enum lt_line_event { LT_LINE_MORE = 0, LT_LINE_WORK = 1, LT_LINE_FRAME = 2 };

struct lt_line; /* opaque; lt_line_new*() / lt_line_free() */

/* The federation is copied, the key held until the handshake is over. remote_pk: the pinned key of the acceptor. NULL: out of
 * memory. */
struct lt_line *lt_line_new_initiator(
    const uint8_t federation[LT_FED_LEN], struct lt_line_key *key, const uint8_t remote_pk[32]);
/* nonce: 16 bytes that no one can foretell and that never repeat; NULL: random (tests give one). */
struct lt_line *lt_line_new_acceptor(
    const uint8_t federation[LT_FED_LEN], struct lt_line_key *key, const uint8_t *nonce);
struct lt_line *lt_line_new_local(bool initiator);
void lt_line_free(struct lt_line *l); /* zeroes secrets; NULL allowed */

/* Take bytes from *data, *len until there is an event. plain: LT_LINE_PLAIN_MAX bytes, filled for
 * LT_LINE_FRAME with *plain_len. Returns an enum lt_line_event, or LT_E_INVALID, LT_E_DENIED (knock). */
int lt_line_feed(
    struct lt_line *l, const uint8_t **data, size_t *len, uint8_t *plain, size_t *plain_len);
/* admit: asked at the acceptor with the initiator's static key before the key is proven (`ss`); anything but
 * LT_OK ends it. NULL: everybody. LT_OK; LT_E_INVALID; LT_E_DENIED: not admitted. */
int lt_line_work(struct lt_line *l, int (*admit)(void *ctx, const uint8_t line_key[32]), void *ctx);
/* Bytes to send, appended to out and forgotten here. */
void lt_line_out(struct lt_line *l, struct lt_buf *out);
/* Seal one frame behind out, at the moment it is written. Only when lt_line_ready(). */
void lt_line_seal(struct lt_line *l, struct lt_slice frame, struct lt_buf *out);
/* May frames be sent? At the acceptor: the first frame of the initiator has decrypted. */
bool lt_line_ready(const struct lt_line *l);
/* Has a record begun that is not whole yet? */
bool lt_line_partial(const struct lt_line *l);
/* Has the other side said anything at all yet? */
bool lt_line_heard(const struct lt_line *l);
/* The other side's static key once it is proven, else NULL. */
const uint8_t *lt_line_remote(const struct lt_line *l);
/* What went wrong, static text, "" if nothing. */
const char *lt_line_why(const struct lt_line *l);

/* Tests: another re-key count on both sides; a fixed ephemeral secret. */
void lt_line_set_rekey(struct lt_line *l, uint64_t every);
void lt_line_set_ephemeral(struct lt_line *l, const uint8_t sk[32]);

#endif
