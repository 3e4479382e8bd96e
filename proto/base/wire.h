/* proto/base/wire.h - the bounded wire walker: every message from outside is read by it, and not by protobuf-c's own
 * unpacking. Change-sets that are written the plain way are read by hand (proto/model/change_read.h), which accepts nothing that
 * the walker does not.
 *
 * protobuf-c recurses without limit, allocates what is announced, and cuts strings at NUL. The
 * walker allocates nothing and checks, driven by the message's descriptor: depth, repeats, lengths,
 * that strings are UTF-8 without NUL, that wire types and numbers fit, that enum numbers are
 * known, that nothing that can stand once stands twice and at most one member of a oneof is
 * there. Unknown fields are skipped; they and the repeated ones count together against
 * LT_REPEATED_MAX (the others are bounded by the descriptor). Groups are refused. Any thread.
 */
#ifndef LT_BASE_WIRE_H
#define LT_BASE_WIRE_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <protobuf-c/protobuf-c.h>

/* LT_OK; LT_E_TOOBIG: longer than max_len, too deep or too many fields; LT_E_INVALID: malformed. */
int lt_wire_check(
    const ProtobufCMessageDescriptor *d, struct lt_slice bytes, size_t max_len, struct lt_err *err);
/* Check, and in the same walk build what protobuf-c's unpacking would give, in the arena: nothing in *msg borrows from bytes, it
 * lives as long as the arena. Not to be given to *_free_unpacked(). LT_E_NOMEM at the arena's cap, for a message that is
 * otherwise good. On error the arena may hold some of it. */
int lt_wire_unpack(const ProtobufCMessageDescriptor *d, struct lt_slice bytes, size_t max_len,
    struct lt_arena *arena, ProtobufCMessage **msg, struct lt_err *err);
/* A message with nothing in it. m: sizeof_message bytes, zeroed. Also of descriptors made at run time, which have no function for it
 * (proto/rpc/describe.h). */
void lt_wire_init(const ProtobufCMessageDescriptor *d, ProtobufCMessage *m);
/* Append the packed message to out. LT_E_TOOBIG above max_len. */
int lt_wire_pack(const ProtobufCMessage *msg, size_t max_len, struct lt_buf *out);

#endif
