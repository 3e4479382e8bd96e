#include "proto/rpc/frame.h"

#include <assert.h>
#include <string.h>

/* What each type must look like. */
static const struct shape {
	bool known;
	bool on_connection; /* call id 0, else not 0 */
	uint8_t flags;
	size_t len_min, len_max;
} shapes[] = {
	[LT_FRAME_REQUEST] = { true, false, 0, 1, LT_FRAME_PAYLOAD_MAX },
	[LT_FRAME_DATA] = { true, false, LT_DATA_LAST_PIECE | LT_DATA_NO_MORE | LT_DATA_ZSTD, 0,
	    LT_FRAME_PAYLOAD_MAX },
	[LT_FRAME_END] = { true, false, 0, 0, LT_FRAME_PAYLOAD_MAX },
	[LT_FRAME_CANCEL] = { true, false, 0, 0, 0 },
	[LT_FRAME_CREDIT] = { true, false, 0, 4, 4 },
	[LT_FRAME_PING] = { true, true, 0, 8, 8 },
	[LT_FRAME_PONG] = { true, true, 0, 8, 8 },
	[LT_FRAME_GOAWAY] = { true, true, 0, 4, 1024 },
};

int
lt_frame_parse(struct lt_slice bytes, struct lt_frame *f)
{
	const struct shape *s;

	if (bytes.len < LT_FRAME_HEAD_LEN || bytes.len > LT_FRAME_MAX)
		return LT_E_INVALID;
	f->type = bytes.data[0];
	f->flags = bytes.data[1];
	f->id = lt_load_u32(bytes.data + 4);
	f->payload = lt_slice(bytes.data + LT_FRAME_HEAD_LEN, bytes.len - LT_FRAME_HEAD_LEN);
	if (f->type >= LT_FRAME_IGNORED_MIN)
		return LT_OK;
	if (f->type >= sizeof(shapes) / sizeof(shapes[0]) || !shapes[f->type].known)
		return LT_E_INVALID;
	s = &shapes[f->type];
	if (lt_load_u16(bytes.data + 2) != 0 || (f->flags & ~s->flags) != 0)
		return LT_E_INVALID;
	if ((f->id == 0) != s->on_connection)
		return LT_E_INVALID;
	if (f->payload.len < s->len_min || f->payload.len > s->len_max)
		return LT_E_INVALID;
	return LT_OK;
}

size_t
lt_frame_build(uint8_t *out, uint8_t type, uint8_t flags, uint32_t id, struct lt_slice payload)
{
	assert(payload.len <= LT_FRAME_PAYLOAD_MAX);
	out[0] = type;
	out[1] = flags;
	out[2] = out[3] = 0;
	lt_store_u32(out + 4, id);
	if (payload.len != 0)
		memcpy(out + LT_FRAME_HEAD_LEN, payload.data, payload.len);
	return LT_FRAME_HEAD_LEN + payload.len;
}
