/* proto/rpc/json.h - protobuf messages as JSON and back, by their descriptors: proto3's canonical JSON mapping.
 *
 * Names are lowerCamelCase when written; that and the name in the .proto are read. Whole numbers of 64 bits are
 * written as strings; numbers of every type are read with or without quotes, with an exponent too where the value is
 * whole, and never pass through a double. Bytes are base64: written in the standard alphabet with padding, read in either
 * alphabet with or without it. Enumerations are written by name, read by name or number. Floats know "NaN", "Infinity" and
 * "-Infinity". What has its default value is left out; null stands for it when read.
 *
 * Stricter than the mapping, as the wire walker (proto/base/wire.h) is: unknown members, unknown enumeration numbers, a
 * field given twice (also once under each of its names), two members of a oneof and NUL in a text are refused, and so
 * are bits of base64 that belong to no byte. Not there: maps and the well-known types, which protobuf-c's
 * descriptors do not tell from others.
 *
 * Any thread.
 */
#ifndef LT_RPC_JSON_H
#define LT_RPC_JSON_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/limits.h"

/* What is looked at before any memory is taken. A value of JSON takes 180 bytes at most while it is read, 11 MiB for all; with the text's
 * copy and the message 16 MiB and 0.1 s at the worst (measured on one core of 2 that were busy). Whoever reads several at once bounds how many. */
#define LT_JSON_TEXT_MAX (2 * LT_MESSAGE_MAX) /* bytes: 1 MiB of base64 and as much again */
#define LT_JSON_VALUES_MAX LT_REPEATED_MAX
#define LT_JSON_NEST_MAX (2 * LT_DEPTH_MAX) /* objects and lists in one another */
/* Largest text of a message: what a server or tool gives lt_buf_init() for lt_json_write(). */
#define LT_JSON_OUT_MAX (32 * LT_MESSAGE_MAX)

struct lt_json_err {
	bool unknown_field; /* the type has none of this name; another version of it may */
	char path[256]; /* "record.field[3].value", cut in front; "" for the text as a whole */
	char value
	    [96]; /* what stands there, made harmless for terminals and cut; "" if it has none */
	/* Path, value and what was expected in one sentence, without full stop. */
	char message[640];
	char message_vi[640];
};

/* Read one JSON object as a message of type d into the arena, where it lives. *msg: written on success only; err: on failure only, NULL
 * allowed.
 *
 * LT_E_TOOBIG   over one of the limits above.
 * LT_E_INVALID  no JSON, or not one of such a message.
 * LT_E_NOMEM    out of memory, or at the cap of the arena (lt_arena_cap_for() of the text's length suits). */
int lt_json_read(const ProtobufCMessageDescriptor *d, struct lt_slice text, struct lt_arena *arena,
    ProtobufCMessage **msg, struct lt_json_err *err);

/* Append the message as one line of JSON, without line end. Unknown fields are left out. Control characters, also those of
 * reading direction, are written as \u escapes. On error what was appended is of no use.
 *
 * LT_E_TOOBIG   over the cap of out, or nested deeper than LT_DEPTH_MAX.
 * LT_E_INVALID  a text in it is not UTF-8.
 * LT_E_NOMEM */
int lt_json_write(const ProtobufCMessage *m, struct lt_buf *out);

/* The lowerCamelCase form of a name of a .proto in cap bytes, cut to them; 65 are enough for ours. */
void lt_json_name(char *out, size_t cap, const char *name);

#endif
