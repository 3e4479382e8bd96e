/* proto/rpc/head.h - what the head of a request carries besides its method: an id and metadata (FORMAT.md 6.5). For
 * the room's own files.
 */
#ifndef LT_RPC_HEAD_H
#define LT_RPC_HEAD_H

#include "proto/rpc/rpc.h"

#include "lienthong/v1/rpc.pb-c.h"

/* A copy that outlives the message. Zeroed: nothing carried. */
struct lt_head {
	char request_id[LT_REQUEST_ID_MAX + 1]; /* "" if none */
	char *metadata; /* "key\0value\0" one behind the other; owned */
	size_t nmetadata;
	bool zstd; /* the caller takes compressed answers */
	bool want_tokens; /* of the items of a stream */
	size_t resume_len; /* 0: from the start */
	uint8_t resume_token[LT_RESUME_TOKEN_MAX]; /* nobody has looked at it yet */
};

/* At most LT_REQUEST_ID_MAX bytes of visible ASCII: it stands in logs between other words. "" is none, and valid. */
bool lt_request_id_valid(const char *id);
bool lt_metadata_valid(const char *key, const char *value);
/* Copy. Anything but LT_OK: *st says why, and nothing is kept. */
int lt_head_take(struct lt_head *h, const Ltpb__RequestHead *m, struct lt_status *st);
void lt_head_fini(struct lt_head *h);
/* The one status for a token that does not hold, whatever is wrong with it. */
void lt_head_bad_token(struct lt_status *st);
/* The first value of a key; NULL if there is none. Borrowed. */
const char *lt_head_metadata(const struct lt_head *h, const char *key);

#endif
