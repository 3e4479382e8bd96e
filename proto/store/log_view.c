#include "proto/store/log_view.h"

#include "proto/base/wire.h"

/* A ChangeSet of 512 KiB, its 1,024 places and a full judgement. */
#define VIEW_ARENA ((size_t)8 * 1024 * 1024)

enum { CHANGESET_HEADER = 1, CHANGESET_CHANGE = 3 };

/* The length-delimited fields of the stored message: header and changes as they stand. */
static int
split(struct lt_log_view *v, struct lt_slice bytes, struct lt_slice *header)
{
	struct lt_reader r;
	struct lt_slice field;
	uint64_t tag, len;

	v->nchange = 0;
	*header = lt_slice(NULL, 0);
	lt_reader_init(&r, bytes);
	while (lt_reader_left(&r) != 0) {
		tag = lt_read_varint(&r);
		len = lt_read_varint(&r);
		if (r.err != LT_OK || (tag & 7) != 2 || len > lt_reader_left(&r))
			return LT_E_CORRUPT;
		field = lt_read_bytes(&r, (size_t)len);
		if (tag >> 3 == CHANGESET_HEADER)
			*header = field;
		if (tag >> 3 == CHANGESET_CHANGE && v->nchange == LT_CHANGES_MAX)
			return LT_E_CORRUPT;
		if (tag >> 3 == CHANGESET_CHANGE)
			v->change[v->nchange++] = field;
	}
	return header->len == 0 || v->nchange == 0 ? LT_E_CORRUPT : LT_OK;
}

static int
header_read(struct lt_log_view *v, struct lt_slice header)
{
	ProtobufCMessage *msg;
	Ltpb__Header *h;
	struct lt_id author;
	int rc = lt_wire_unpack(
	    &ltpb__header__descriptor, header, LT_CHANGESET_MAX, &v->arena, &msg, NULL);

	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	h = (Ltpb__Header *)msg;
	if (h->author.len != LT_ID_LEN || h->seq == 0 || strcmp(h->unit, v->unit.s) != 0)
		return LT_E_CORRUPT;
	memcpy(author.b, h->author.data, LT_ID_LEN);
	v->feed = lt_feed_id_make(author, (enum lt_lane)h->lane, h->epoch);
	v->seq = h->seq;
	v->stamp = h->stamp;
	lt_h1(LT_TAG_CHANGESET, header, &v->hash);
	return LT_OK;
}

static int
view_read(struct lt_log_view *v, struct lt_kv_txn *log, uint64_t position)
{
	struct lt_entry e;
	struct lt_slice header;
	uint8_t *copy;
	int rc = lt_feed_log_read(log, position, &e);

	if (rc != LT_OK)
		return rc;
	v->unit = e.unit;
	copy = lt_arena_dup(&v->arena, e.changeset.data, e.changeset.len);
	v->change = lt_arena_alloc(&v->arena, LT_CHANGES_MAX * sizeof(*v->change));
	if (copy == NULL || v->change == NULL)
		return LT_E_NOMEM;
	rc = split(v, lt_slice(copy, e.changeset.len), &header);
	if (rc == LT_OK)
		rc = header_read(v, header);
	if (rc == LT_OK)
		rc = lt_feed_log_judgement(log, position, &v->arena, &v->judgement);
	return rc;
}

int
lt_log_view_open(struct lt_log_view *v, struct lt_kv_txn *log, uint64_t position)
{
	int rc;

	if (position != 0 && v->position == position)
		return LT_OK;
	lt_log_view_close(v);
	lt_arena_init(&v->arena, VIEW_ARENA);
	rc = view_read(v, log, position);
	if (rc == LT_OK)
		v->position = position;
	else
		lt_log_view_close(v);
	return rc;
}

int
lt_log_view_change(
    const struct lt_log_view *v, uint32_t index, struct lt_arena *arena, struct lt_change *change)
{
	int rc;

	if (index >= v->nchange)
		return LT_E_CORRUPT;
	rc = lt_change_decode(v->change[index], &v->feed, arena, change, NULL);
	return rc == LT_OK || rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
}

void
lt_log_view_merge_change(const struct lt_log_view *v, uint32_t index,
    const struct lt_change *change, struct lt_merge_change *mc)
{
	memset(mc, 0, sizeof(*mc));
	mc->dot.feed = v->feed;
	mc->dot.seq = v->seq;
	mc->dot.index = index;
	mc->stamp = lt_judgement_stamp(&v->judgement, v->stamp);
	mc->hash8 = lt_load_u64(v->hash.b);
	mc->change = change;
}

void
lt_log_view_close(struct lt_log_view *v)
{
	lt_arena_fini(&v->arena);
	memset(v, 0, sizeof(*v));
}
