/* node/svc_audit.c - Audit at the node: who read this commune's records at the province, as the hub has shown. */
#include "node/audit.h"
#include "node/service_impl.h"
#include "proto/service/call.h"
#include "proto/service/reading.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 100
#define PAGE_MAX 1000

struct row {
	int64_t time_ms;
	Ltpb__AuditEntry *entry;
};

struct listing {
	struct lt_node_call *c;
	struct lt_registry *reg;
	const Ltpb__AuditListRequest *req;
	struct row *row;
	size_t n, cap;
	int64_t last_ms; /* what has no time of its own stands behind the one before */
	int rc;
};

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return m <= n && strcmp(s + n - m, end) == 0;
}

static bool
wanted(const Ltpb__AuditListRequest *q, const struct lt_node_audit_entry *e)
{
	const struct lt_audit_entry *x = &e->entry;
	size_t i;
	bool in = q->collection[0] == '\0';

	if (e->row != LT_NODE_AUDIT_SHOWN)
		return true;
	for (i = 0; i < e->part.ncollection; i++)
		in = in || strcmp(e->part.collection[i], q->collection) == 0;
	return in && x->until_ms >= q->since_ms && (q->until_ms == 0 || x->time_ms < q->until_ms) &&
	       (q->kind == 0 || (unsigned)q->kind == (unsigned)x->kind) &&
	       (q->unit[0] == '\0' || strcmp(q->unit, e->part.unit) == 0) &&
	       (q->principal.len == 0 ||
		   (x->who.kind == LT_AUDIT_PRINCIPAL && q->principal.len == LT_ID_LEN &&
		       memcmp(q->principal.data, x->who.id.b, LT_ID_LEN) == 0)) &&
	       ends_with(x->method, q->method);
}

static char *
dup_text(struct listing *l, const char *s)
{
	char *t = lt_arena_dup(&l->c->arena, s, strlen(s));

	if (t == NULL)
		l->rc = LT_E_NOMEM;
	return t;
}

static void
put_part(struct listing *l, const struct lt_audit_part *p, Ltpb__AuditEntry *o)
{
	Ltpb__AuditPart *out = lt_arena_alloc(&l->c->arena, sizeof(*out));
	size_t i;

	o->part = lt_arena_alloc(&l->c->arena, sizeof(*o->part));
	if (out == NULL || o->part == NULL) {
		l->rc = LT_E_NOMEM;
		return;
	}
	ltpb__audit_part__init(out);
	out->unit = dup_text(l, p->unit);
	out->no = p->no;
	out->rows = p->rows;
	out->masked = p->masked;
	out->withheld = p->withheld;
	out->collection =
	    lt_arena_alloc(&l->c->arena, (p->ncollection + 1u) * sizeof(*out->collection));
	if (out->collection == NULL) {
		l->rc = LT_E_NOMEM;
		return;
	}
	for (i = 0; i < p->ncollection; i++)
		out->collection[i] = dup_text(l, p->collection[i]);
	out->n_collection = p->ncollection;
	o->part[o->n_part++] = out;
}

static void
put_entry(struct listing *l, const struct lt_node_audit_entry *e, Ltpb__AuditEntry *o)
{
	const struct lt_audit_entry *x = &e->entry;
	const struct lt_principal *p = NULL;

	o->seq = x->seq;
	o->kind = (Ltpb__AuditKind)x->kind;
	o->time_ms = x->time_ms;
	o->until_ms = x->until_ms;
	o->count = x->count;
	o->asker = (Ltpb__AuditAsker)x->who.kind;
	o->uid = x->who.uid;
	o->method = dup_text(l, x->method);
	o->status = x->status;
	o->signed_head = true;
	if (x->who.kind == LT_AUDIT_PRINCIPAL) {
		p = lt_registry_find(l->reg, &x->who.id);
		o->principal.data = lt_arena_dup(&l->c->arena, x->who.id.b, LT_ID_LEN);
		o->principal.len = o->principal.data == NULL ? 0 : LT_ID_LEN;
	}
	if (p != NULL) {
		o->label = (char *)p->label;
		o->org = (char *)p->org;
	}
	put_part(l, &e->part, o);
}

static int
note_row(void *ctx, const struct lt_node_audit_entry *e)
{
	struct listing *l = ctx;
	Ltpb__AuditEntry *o;

	if (e->row == LT_NODE_AUDIT_SHOWN)
		l->last_ms = e->entry.time_ms;
	if (!wanted(l->req, e))
		return LT_OK;
	if (l->n == l->cap)
		return LT_E_TOOBIG;
	o = lt_arena_alloc(&l->c->arena, sizeof(*o));
	if (o == NULL)
		return LT_E_NOMEM;
	ltpb__audit_entry__init(o);
	o->log = e->log;
	if (e->row == LT_NODE_AUDIT_SHOWN)
		put_entry(l, e, o);
	o->missing_from = e->from;
	o->missing_to = e->row == LT_NODE_AUDIT_MISSING ? e->to : 0;
	l->row[l->n].time_ms = l->last_ms;
	l->row[l->n++].entry = o;
	return l->rc;
}

static int
in_time(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->time_ms != y->time_ms)
		return x->time_ms < y->time_ms ? -1 : 1;
	return (x->entry->seq > y->entry->seq) - (x->entry->seq < y->entry->seq);
}

static int
page(struct listing *l, Ltpb__AuditListReply *r)
{
	const Ltpb__AuditListRequest *q = l->req;
	size_t cap = q->page_size == 0 ? PAGE : q->page_size < PAGE_MAX ? q->page_size : PAGE_MAX;
	size_t from = q->page_token.len == 4 ? lt_load_u32(q->page_token.data) : 0;
	uint8_t *token = lt_arena_alloc(&l->c->arena, 4);

	qsort(l->row, l->n, sizeof(*l->row), in_time);
	r->entry = lt_arena_alloc(&l->c->arena, (cap + 1) * sizeof(*r->entry));
	if (r->entry == NULL || token == NULL)
		return LT_E_NOMEM;
	for (; from < l->n && r->n_entry < cap; from++)
		r->entry[r->n_entry++] = l->row[from].entry;
	if (from < l->n) {
		lt_store_u32(token, (uint32_t)from);
		r->next_page_token.data = token;
		r->next_page_token.len = 4;
	}
	return LT_OK;
}

static int
collect(struct listing *l, struct lt_kv_txn *txn, Ltpb__AuditListReply *r)
{
	struct lt_node *n = l->c->s->node;
	struct lt_node_audit_at at;
	uint8_t *hash = lt_arena_alloc(&l->c->arena, LT_HASH_LEN);
	int rc = lt_node_audit_each(txn, lt_node_identity(n)->unit.s, note_row, l);

	l->last_ms = 0;
	if (rc == LT_OK)
		rc = lt_node_audit_each(txn, "*", note_row, l);
	if (rc == LT_OK)
		rc = lt_node_audit_at(n, lt_node_identity(n)->unit.s, &at);
	if (rc == LT_OK && at.head == 0)
		rc = lt_node_audit_at(n, "*", &at);
	if (rc == LT_OK && hash == NULL)
		rc = LT_E_NOMEM;
	if (rc != LT_OK)
		return rc;
	memcpy(hash, at.head_hash.b, LT_HASH_LEN);
	r->log = at.log;
	r->head = at.head;
	r->head_hash.data = hash;
	r->head_hash.len = at.head == 0 ? 0 : LT_HASH_LEN;
	return page(l, r);
}

static void
list_entries(Ltpb__Audit_Service *service, const Ltpb__AuditListRequest *req,
    Ltpb__AuditListReply_Closure closure, void *data)
{
	Ltpb__AuditListReply r = LTPB__AUDIT_LIST_REPLY__INIT;
	struct lt_kv_txn *txn = NULL;
	struct lt_node_call c;
	struct lt_reading reading;
	struct listing l = { .c = &c, .req = req, .cap = 2 * (size_t)LT_NODE_AUDIT_ROWS };
	int rc;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, audit_rpc), data);
	l.reg = lt_node_registry(c.s->node);
	l.row = malloc(l.cap * sizeof(*l.row));
	rc = l.row == NULL ? LT_E_NOMEM : lt_kv_begin_read(lt_node_kv(c.s->node), &txn);
	if (rc == LT_OK && req->page_token.len != 0 && req->page_token.len != 4)
		rc = lt_err_set(&c.err, LT_E_INVALID, "this page token is none");
	if (rc == LT_OK) {
		lt_reading_init(&reading, c.call, &c.who, c.cat, &c.province, &c.arena);
		reading.q.derived = txn;
		if (!lt_reading_filter(&reading, c.call, req->unit))
			goto out;
	}
	if (rc == LT_OK)
		rc = collect(&l, txn, &r);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "AUDIT");
out:
	lt_kv_abort(txn);
	free(l.row);
	lt_registry_unref(l.reg);
	lt_node_call_end(&c);
}

/* ---- what only a hub answers ---- */

#define HUB_ONLY(fn, request, reply) \
	static void fn(Ltpb__Audit_Service *service, const Ltpb__##request *req, \
	    Ltpb__##reply##_Closure closure, void *data) \
	{ \
		(void)service; \
		(void)req; \
		(void)closure; \
		lt_call_failf(lt_call_of(data), LT_STATUS_UNIMPLEMENTED, "HUB_ONLY", \
		    "this is asked at the hub"); \
	}

HUB_ONLY(verify_log, AuditVerifyRequest, AuditVerifyReply)
HUB_ONLY(prove_entry, AuditProveRequest, AuditProveReply)
HUB_ONLY(unit_parts, AuditUnitRequest, AuditUnitReply)

const Ltpb__Audit_Service lt_node_audit_service = { .base = LTPB__AUDIT__BASE_INIT,
	.list_entries = list_entries,
	.verify_log = verify_log,
	.prove_entry = prove_entry,
	.unit_parts = unit_parts };
