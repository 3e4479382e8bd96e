/* proto/rpc/zstd.h - a message to and from one zstd frame (FORMAT.md 6.4). Any thread; contexts are kept for the next
 * one, at most LT_ZSTD_KEPT of each kind in a process, however many connections there are.
 *
 * Memory: a context to compress takes 1.3 MiB when fast, up to 6.6 MiB when small (of a message of 1 MiB; such a one is not
 * kept), one to decompress 160 KiB, and what is being decompressed
 * its own length, at most `max`: it is decompressed where it is consumed, never where it waits.
 */
#ifndef LT_RPC_ZSTD_H
#define LT_RPC_ZSTD_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#define LT_ZSTD_MIN 1024 /* bytes; what is not longer goes as it is */
#define LT_ZSTD_KEPT 8
#define LT_ZSTD_KEPT_BYTES (2u << 20) /* of one; a larger one is made anew for each message */

/* Whoever answers answers many; whoever asks has a line of its own, maybe a thin one, and what is large in its requests are
 * records for which every byte counts. */
enum lt_zstd_effort { LT_ZSTD_FAST, LT_ZSTD_SMALL };

/* Put a zstd frame in the place of *message. False, and *message as it was: too short, does not shrink by a 16th, or no
 * memory. */
bool lt_zstd_pack(struct lt_buf *message, enum lt_zstd_effort effort);
/* Fill *out, which is empty, with what the frame holds. Nothing is taken on trust: before memory is taken the bytes must
 * be one whole frame, with its content size, at most max, and long enough to be able to hold it.
 * LT_E_INVALID: they are not, or do not hold what they say. LT_E_TOOBIG: over max. LT_E_NOMEM. */
int lt_zstd_unpack(struct lt_slice frame, size_t max, struct lt_buf *out);

#endif
