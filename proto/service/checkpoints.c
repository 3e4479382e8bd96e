#include "proto/service/checkpoints.h"

#include "proto/store/hub_cert.h"

#include <stdlib.h>
#include <string.h>

struct showing {
	struct lt_kv_txn *log;
	const struct lt_registry *reg;
	struct lt_arena *arena;
	Ltpb__ShowCheckpointReply *r;
	size_t n, cap;
	struct lt_cosigned *row;
};

static bool
dup_bytes(struct lt_arena *arena, struct lt_slice s, ProtobufCBinaryData *out)
{
	out->data = lt_arena_dup(arena, s.data, s.len);
	out->len = s.len;
	return out->data != NULL;
}

static Ltpb__Checkpoint *
dup_checkpoint(struct lt_arena *arena, const struct lt_checkpoint_signed *c)
{
	Ltpb__Checkpoint *m = lt_arena_alloc(arena, sizeof(*m));

	if (m == NULL)
		return NULL;
	ltpb__checkpoint__init(m);
	return dup_bytes(arena, c->body, &m->body) && dup_bytes(arena, c->signature, &m->signature)
		   ? m
		   : NULL;
}

/* Its place in the list, where it is put if it is not there yet. *at UINT32_MAX: there is no room. */
static int
place(struct showing *s, const struct lt_checkpoint_signed *c, uint32_t *at)
{
	Ltpb__ShowCheckpointReply *r = s->r;
	size_t i;

	for (i = 0; i < r->n_checkpoint; i++)
		if (lt_slice_eq(
			lt_slice(r->checkpoint[i]->body.data, r->checkpoint[i]->body.len), c->body))
			break;
	*at = i < LT_SHOWN_CHECKPOINTS_MAX ? (uint32_t)i : UINT32_MAX;
	if (i < r->n_checkpoint || i == LT_SHOWN_CHECKPOINTS_MAX)
		return LT_OK;
	r->checkpoint[i] = dup_checkpoint(s->arena, c);
	if (r->checkpoint[i] == NULL)
		return LT_E_NOMEM;
	r->n_checkpoint++;
	return LT_OK;
}

/* ---- who ---- */

static int
note_row(void *ctx, const struct lt_cosigned *row)
{
	struct showing *s = ctx;

	if (s->n < s->cap && lt_registry_active_node(s->reg, &row->principal) != NULL)
		s->row[s->n++] = *row; /* borrows from the transaction, which writes nothing */
	return LT_OK;
}

static int
newest_first(const void *x, const void *y)
{
	const struct lt_cosigned *a = x, *b = y;

	return a->seen_ms != b->seen_ms ? (a->seen_ms < b->seen_ms ? 1 : -1)
					: memcmp(a->principal.b, b->principal.b, LT_ID_LEN);
}

static int
show_row(struct showing *s, const struct lt_cosigned *row)
{
	const struct lt_principal *p = lt_registry_active_node(s->reg, &row->principal);
	const struct lt_principal_key *key = p == NULL ? NULL : lt_principal_key(p, row->key_no);
	Ltpb__CosignedBy *by = lt_arena_alloc(s->arena, sizeof(*by));
	uint32_t at;
	int rc;

	if (by == NULL)
		return LT_E_NOMEM;
	rc = place(s, &row->checkpoint, &at);
	if (rc != LT_OK || at == UINT32_MAX || p == NULL || key == NULL)
		return rc;
	ltpb__cosigned_by__init(by);
	by->unit = lt_arena_dup(s->arena, p->unit.s, strlen(p->unit.s));
	by->label = lt_arena_dup(s->arena, p->label, strlen(p->label));
	by->seen_ms = (int64_t)row->seen_ms;
	by->checkpoint = at;
	by->key_no = row->key_no;
	if (by->unit == NULL || by->label == NULL ||
	    !dup_bytes(s->arena, lt_slice(row->principal.b, LT_ID_LEN), &by->principal) ||
	    !dup_bytes(s->arena, row->cosignature, &by->signature) ||
	    !dup_bytes(s->arena, lt_slice(key->sign_key, 32), &by->sign_key))
		return LT_E_NOMEM;
	s->r->by[s->r->n_by++] = by;
	return LT_OK;
}

static int
show_cosigners(struct showing *s)
{
	size_t i;
	int rc;

	s->cap = LT_COSIGNERS_MAX;
	s->row = malloc(s->cap * sizeof(*s->row));
	s->r->by = lt_arena_alloc(s->arena, LT_SHOWN_COSIGNERS_MAX * sizeof(*s->r->by));
	rc =
	    s->row == NULL || s->r->by == NULL ? LT_E_NOMEM : lt_cosigned_each(s->log, note_row, s);
	if (rc == LT_OK)
		qsort(s->row, s->n, sizeof(*s->row), newest_first);
	for (i = 0; rc == LT_OK && i < s->n && s->r->n_by < LT_SHOWN_COSIGNERS_MAX; i++)
		rc = show_row(s, &s->row[i]);
	free(s->row);
	return rc;
}

/* ---- what contradicts ---- */

static int
show_equivocation(void *ctx, const struct lt_equivocation *e)
{
	struct showing *s = ctx;
	Ltpb__Equivocation *m = lt_arena_alloc(s->arena, sizeof(*m));

	if (s->r->n_equivocation == LT_EQUIVOCATIONS_MAX)
		return LT_OK;
	if (m == NULL)
		return LT_E_NOMEM;
	ltpb__equivocation__init(m);
	m->seq = e->seq;
	m->found_ms = (int64_t)e->found_ms;
	if (e->came.len != 0) {
		if (!dup_bytes(s->arena, e->came, &m->came) ||
		    !dup_bytes(s->arena, e->came_signature, &m->came_signature))
			return LT_E_NOMEM;
	} else {
		m->one = dup_checkpoint(s->arena, &e->one);
	}
	if ((e->came.len == 0 && m->one == NULL) ||
	    !dup_bytes(s->arena, lt_slice(e->feed.b, LT_FEED_LEN), &m->feed))
		return LT_E_NOMEM;
	if (e->other.body.len != 0)
		m->other = dup_checkpoint(s->arena, &e->other);
	else if (!dup_bytes(s->arena, e->header, &m->header) ||
		 !dup_bytes(s->arena, e->header_signature, &m->signature))
		return LT_E_NOMEM;
	if (e->other.body.len != 0 && m->other == NULL)
		return LT_E_NOMEM;
	s->r->equivocation[s->r->n_equivocation++] = m;
	return LT_OK;
}

static int
show_certificate(void *ctx, uint32_t key_no, struct lt_slice certificate)
{
	struct showing *s = ctx;
	Ltpb__ShowCheckpointReply *r = s->r;

	(void)key_no;
	if (r->n_certificate > LT_HUB_CERTS_MAX ||
	    lt_slice_eq(certificate, lt_slice(r->certificate[0].data, r->certificate[0].len)))
		return LT_OK;
	if (!dup_bytes(s->arena, certificate, &r->certificate[r->n_certificate]))
		return LT_E_NOMEM;
	r->n_certificate++;
	return LT_OK;
}

static int
show_certificates(struct showing *s, struct lt_slice now)
{
	Ltpb__ShowCheckpointReply *r = s->r;
	struct lt_checkpoint c;

	if (now.len == 0 || r->n_checkpoint == 0 ||
	    lt_checkpoint_parse(lt_slice(r->checkpoint[0]->body.data, r->checkpoint[0]->body.len),
		&c, NULL) != LT_OK)
		return LT_OK;
	r->certificate =
	    lt_arena_alloc(s->arena, (1 + LT_HUB_CERTS_MAX + 1) * sizeof(*r->certificate));
	if (r->certificate == NULL || !dup_bytes(s->arena, now, &r->certificate[0]))
		return LT_E_NOMEM;
	r->n_certificate = 1;
	return lt_hub_cert_each(s->log, &c.hub, show_certificate, s);
}

int
lt_checkpoint_show(struct lt_kv_txn *log, const struct lt_registry *reg,
    struct lt_slice certificate, struct lt_arena *arena, Ltpb__ShowCheckpointReply *r)
{
	struct showing s = { .log = log, .reg = reg, .arena = arena, .r = r };
	struct lt_checkpoint_signed newest;
	uint32_t at;
	size_t i;
	int rc;

	r->checkpoint = lt_arena_alloc(arena, LT_SHOWN_CHECKPOINTS_MAX * sizeof(*r->checkpoint));
	r->equivocation = lt_arena_alloc(arena, LT_EQUIVOCATIONS_MAX * sizeof(*r->equivocation));
	if (r->checkpoint == NULL || r->equivocation == NULL)
		return LT_E_NOMEM;
	rc = lt_checkpoint_get(log, &newest);
	r->any = rc == LT_OK;
	if (rc == LT_OK)
		rc = place(&s, &newest, &at);
	else if (rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT)
		rc = LT_OK;
	if (rc == LT_OK)
		rc = show_cosigners(&s);
	if (rc == LT_OK)
		rc = lt_equivocation_each(log, show_equivocation, &s);
	if (rc == LT_OK)
		rc = show_certificates(&s, certificate);
	for (i = 0; i < lt_registry_count(reg); i++)
		r->nodes += lt_registry_active_node(reg, &lt_registry_at(reg, i)->id) != NULL;
	return rc;
}
