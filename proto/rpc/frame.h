/* proto/rpc/frame.h - one frame to and from bytes (FORMAT.md 6.3). Pure; any thread. */
#ifndef LT_RPC_FRAME_H
#define LT_RPC_FRAME_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/limits.h"

#define LT_FRAME_HEAD_LEN 8
#define LT_FRAME_MAX (LT_FRAME_HEAD_LEN + LT_FRAME_PAYLOAD_MAX)

enum lt_frame_type {
	LT_FRAME_REQUEST = 1,
	LT_FRAME_DATA = 2,
	LT_FRAME_END = 3,
	LT_FRAME_CANCEL = 4,
	LT_FRAME_CREDIT = 5,
	LT_FRAME_PING = 6,
	LT_FRAME_PONG = 7,
	LT_FRAME_GOAWAY = 8,
	LT_FRAME_IGNORED_MIN = 16, /* from here on unknown types are skipped */
	LT_FRAME_ENCODINGS = 16, /* an older program skips it, as it should */
	LT_FRAME_TOKEN = 17, /* the resume token of the message that follows it in its call */
};

/* Flags of DATA. */
#define LT_DATA_LAST_PIECE 1
#define LT_DATA_NO_MORE 2
#define LT_DATA_ZSTD 4

/* Bits of ENCODINGS and of RequestHead.accept_encoding. */
#define LT_ENCODING_ZSTD 1u

struct lt_frame {
	uint8_t type;
	uint8_t flags;
	uint32_t id;
	struct lt_slice payload; /* borrowed from the bytes parsed */
};

/* Everything that a frame alone can have wrong is LT_E_INVALID: too short or long, the zero bytes, an
 * unknown type below 16, a flag that is none, call id 0 where a call is meant or a call where the
 * connection is, a payload of the wrong size. End the connection on it. */
int lt_frame_parse(struct lt_slice bytes, struct lt_frame *f);
/* Write head and payload to out, which has LT_FRAME_MAX bytes. Returns the length. */
size_t lt_frame_build(
    uint8_t *out, uint8_t type, uint8_t flags, uint32_t id, struct lt_slice payload);

#endif
