#include "proto/service/repairing.h"

#include <string.h>

int
lt_giving_name_read(const Ltpb__ChangeSetName *m, struct lt_giving_name *out)
{
	if (m->feed.len != LT_FEED_LEN || m->seq == 0 || m->seq > INT64_MAX ||
	    lt_unit_set(&out->unit, lt_slice_str(m->unit)) != LT_OK)
		return LT_E_INVALID;
	memcpy(out->feed.b, m->feed.data, LT_FEED_LEN);
	out->seq = m->seq;
	return LT_OK;
}

Ltpb__ChangeSetName *
lt_giving_name_pack(const struct lt_repair_want *w, struct lt_arena *arena)
{
	Ltpb__ChangeSetName *m = lt_arena_alloc(arena, sizeof(*m));

	if (m == NULL)
		return NULL;
	ltpb__change_set_name__init(m);
	m->unit = lt_arena_dup(arena, w->unit.s, strlen(w->unit.s));
	m->feed.data = lt_arena_dup(arena, w->feed.b, LT_FEED_LEN);
	m->feed.len = LT_FEED_LEN;
	m->seq = w->seq;
	return m->unit == NULL || m->feed.data == NULL ? NULL : m;
}

/* Into the message while there is room; the first one in any case. */
static int
put(struct lt_giving *g, struct lt_slice bytes)
{
	ProtobufCBinaryData *d = &g->set[g->n];

	g->full = g->n != 0 && (g->n == LT_REPAIR_CALL_MAX || g->bytes + bytes.len > g->max_bytes);
	if (g->full)
		return LT_OK;
	d->data = lt_arena_dup(g->arena, bytes.data, bytes.len);
	if (d->data == NULL)
		return LT_E_NOMEM;
	d->len = bytes.len;
	g->bytes += bytes.len;
	g->n++;
	return LT_OK;
}

int
lt_giving_add(struct lt_giving *g, const struct lt_giving_name *name, lt_may_fn *may, void *ctx)
{
	struct lt_err err = { "" };
	uint64_t position;
	struct lt_entry e;
	struct lt_buf b;
	int rc = lt_feed_log_find(g->txn, &name->unit, &name->feed, name->seq, &position);

	lt_buf_init(&b, LT_MESSAGE_MAX);
	if (rc == LT_OK)
		rc = lt_feed_log_read(g->txn, position, &e);
	if (rc == LT_OK)
		rc = lt_feed_log_compose(g->txn, &e, may, ctx, &b, &err);
	if (rc == LT_OK)
		rc = put(g, lt_buf_slice(&b));
	else if (rc != LT_E_NOMEM)
		rc = LT_OK; /* who asks has others to ask */
	lt_buf_fini(&b);
	return rc;
}

int
lt_repairing_tell(
    struct lt_repairer *r, uint64_t unasked, struct lt_arena *arena, Ltpb__Repair **out)
{
	struct lt_repair_status st;
	Ltpb__Repair *m;

	*out = NULL;
	if (r == NULL)
		return LT_OK;
	m = lt_arena_alloc(arena, sizeof(*m));
	if (m == NULL)
		return LT_E_NOMEM;
	lt_repairer_status(r, &st);
	ltpb__repair__init(m);
	m->looking = st.looking;
	m->pages_broken = st.pages_broken;
	m->wanted = st.wanted;
	m->more = st.more;
	m->lost = st.lost;
	m->repaired = st.repaired;
	m->mended = st.mended;
	m->refused = st.refused;
	m->unasked = unasked;
	*out = m;
	return LT_OK;
}
