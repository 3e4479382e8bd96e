/* hub/svc_audit_list.c - Audit.ListEntries: the log to operators, page after page. */
#include "hub/service_impl.h"
#include "proto/service/call.h"
#include "proto/service/reading.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 100
#define PAGE_MAX 1000
#define PAGE_BYTES ((size_t)768 * 1024) /* packed; an answer has LT_MESSAGE_MAX at most */
#define PARTS_BYTES ((size_t)700 * 1024) /* of one entry's parts */
#define PAGE_MEMORY ((size_t)8 << 20) /* in the call's arena, which holds twice that */
#define DAMAGED_MAX 100 /* files named in a page */
#define TOKEN_LEN 24

struct listing {
	struct lt_asking *a;
	const Ltpb__AuditListRequest *req;
	Ltpb__AuditListReply *reply;
	size_t cap;
	size_t bytes; /* packed, of the entries in it */
	size_t group; /* entries from here on wait for their head */
	bool full; /* only that head is still wanted */
	uint64_t log; /* of the file under way */
	uint64_t after_file, after_log, after_seq; /* where the page begins; file 0: everywhere */
	bool passed;
	uint64_t segment;
	unsigned ticks;
};

static int
part_out(struct lt_arena *arena, const struct lt_audit_part *p, Ltpb__AuditPart **out)
{
	Ltpb__AuditPart *o = lt_arena_alloc(arena, sizeof(*o));
	size_t i;

	if (o == NULL)
		return LT_E_NOMEM;
	ltpb__audit_part__init(o);
	o->unit = lt_arena_dup(arena, p->unit, strlen(p->unit));
	o->no = p->no;
	o->rows = p->rows;
	o->masked = p->masked;
	o->withheld = p->withheld;
	o->collection = lt_arena_alloc(arena, (p->ncollection + 1u) * sizeof(*o->collection));
	if (o->unit == NULL || o->collection == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < p->ncollection; i++) {
		o->collection[i] = lt_arena_dup(arena, p->collection[i], strlen(p->collection[i]));
		if (o->collection[i] == NULL)
			return LT_E_NOMEM;
		o->n_collection++;
	}
	*out = o;
	return LT_OK;
}

static bool
has_collection(const struct lt_audit_part *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->ncollection; i++)
		if (strcmp(p->collection[i], name) == 0)
			return true;
	return name[0] == '\0';
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return m <= n && strcmp(s + n - m, end) == 0;
}

static bool
wanted(const Ltpb__AuditListRequest *q, const struct lt_audit_entry *e)
{
	return e->until_ms >= q->since_ms && (q->until_ms == 0 || e->time_ms < q->until_ms) &&
	       (q->kind == 0 || (unsigned)q->kind == (unsigned)e->kind) &&
	       (q->principal.len == 0 ||
		   (e->who.kind == LT_AUDIT_PRINCIPAL && q->principal.len == LT_ID_LEN &&
		       memcmp(q->principal.data, e->who.id.b, LT_ID_LEN) == 0)) &&
	       ends_with(e->method, q->method);
}

static int
who_out(const struct lt_asking *a, const struct lt_audit_entry *e, Ltpb__AuditEntry *o)
{
	const struct lt_principal *p = NULL;

	o->asker = (Ltpb__AuditAsker)e->who.kind;
	o->uid = e->who.uid;
	if (e->who.kind != LT_AUDIT_PRINCIPAL)
		return LT_OK;
	p = lt_registry_find(a->reg, &e->who.id);
	o->principal.data = lt_arena_dup((struct lt_arena *)&a->arena, e->who.id.b, LT_ID_LEN);
	o->principal.len = LT_ID_LEN;
	if (p != NULL) {
		o->label = (char *)p->label;
		o->org = (char *)p->org;
	}
	return o->principal.data == NULL ? LT_E_NOMEM : LT_OK;
}

static int
entry_out(struct listing *l, const struct lt_audit_entry *e, Ltpb__AuditEntry **out)
{
	struct lt_arena *arena = &l->a->arena;
	Ltpb__AuditEntry *o = lt_arena_alloc(arena, sizeof(*o));

	if (o == NULL)
		return LT_E_NOMEM;
	ltpb__audit_entry__init(o);
	o->log = l->log;
	o->seq = e->seq;
	o->kind = (Ltpb__AuditKind)e->kind;
	o->time_ms = e->time_ms;
	o->until_ms = e->until_ms;
	o->count = e->count;
	o->method = lt_arena_dup(arena, e->method, strlen(e->method));
	o->status = e->status;
	o->query.data = lt_arena_dup(arena, e->query.b, LT_HASH_LEN);
	o->query.len = sodium_is_zero(e->query.b, LT_HASH_LEN) ? 0 : LT_HASH_LEN;
	if (o->method == NULL || o->query.data == NULL)
		return LT_E_NOMEM;
	*out = o;
	return who_out(l->a, e, o);
}

static bool
part_fits(const Ltpb__AuditListRequest *q, const struct lt_audit_part *p)
{
	return (q->unit[0] == '\0' || strcmp(p->unit, q->unit) == 0) &&
	       has_collection(p, q->collection);
}

/* How many of its parts are asked for. Nothing is taken from the arena before that is known. LT_E_NOTFOUND: none, and there should be one. */
static int
count_parts(const Ltpb__AuditListRequest *q, const struct lt_audit_full *f, size_t *n)
{
	struct lt_audit_part p;
	struct lt_reader r;
	unsigned i;

	*n = 0;
	lt_reader_init(&r, f->parts);
	for (i = 0; i < f->entry.nparts; i++) {
		if (lt_audit_part_read(lt_read_framed(&r), &p) != LT_OK)
			return LT_E_CORRUPT;
		*n += part_fits(q, &p);
	}
	return *n == 0 && (q->unit[0] != '\0' || q->collection[0] != '\0') ? LT_E_NOTFOUND : LT_OK;
}

/* n of them are asked for. */
static int
parts_out(struct listing *l, const struct lt_audit_full *f, size_t n, Ltpb__AuditEntry *o)
{
	struct lt_audit_part p;
	struct lt_reader r;
	size_t bytes = 0;
	unsigned i;
	int rc = LT_OK;

	o->part = lt_arena_alloc(&l->a->arena, (n + 1) * sizeof(*o->part));
	if (o->part == NULL)
		return LT_E_NOMEM;
	lt_reader_init(&r, f->parts);
	for (i = 0; rc == LT_OK && i < f->entry.nparts; i++) {
		rc = lt_audit_part_read(lt_read_framed(&r), &p);
		if (rc != LT_OK || !part_fits(l->req, &p))
			continue;
		if (bytes > PARTS_BYTES) {
			o->parts_left++;
			continue;
		}
		rc = part_out(&l->a->arena, &p, &o->part[o->n_part]);
		if (rc == LT_OK)
			bytes += 8 + ltpb__audit_part__get_packed_size(o->part[o->n_part++]);
	}
	return rc;
}

/* The next page begins with this entry. What stands over the last of this one is still to be read. */
static int
page_full(struct listing *l, const struct lt_audit_entry *e)
{
	uint8_t *token = lt_arena_alloc(&l->a->arena, TOKEN_LEN);

	if (token == NULL)
		return LT_E_NOMEM;
	lt_store_u64(token, l->segment);
	lt_store_u64(token + 8, l->log);
	lt_store_u64(token + 16, e->seq);
	l->reply->next_page_token.data = token;
	l->reply->next_page_token.len = TOKEN_LEN;
	l->full = true;
	return l->group == l->reply->n_entry ? LT_E_CANCELLED : LT_OK;
}

static int
list_entry(struct listing *l, struct lt_slice payload)
{
	struct lt_audit_full f;
	Ltpb__AuditEntry *o;
	size_t nparts, bytes;
	int rc = LT_OK;

	if (l->full)
		return LT_OK;
	if ((++l->ticks & 1023) == 0)
		rc = lt_call_tick(l->a->call);
	if (rc == LT_OK)
		rc = lt_audit_full_read(payload, &f);
	if (rc != LT_OK)
		return rc;
	if (!l->passed)
		l->passed = l->log == l->after_log && f.entry.seq >= l->after_seq;
	if (!l->passed || !wanted(l->req, &f.entry))
		return LT_OK;
	rc = count_parts(l->req, &f, &nparts);
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	if (l->reply->n_entry == l->cap || l->a->arena.used > PAGE_MEMORY)
		return page_full(l, &f.entry);
	rc = entry_out(l, &f.entry, &o);
	if (rc == LT_OK)
		rc = parts_out(l, &f, nparts, o);
	if (rc != LT_OK)
		return rc;
	bytes = 8 + ltpb__audit_entry__get_packed_size(o);
	if (l->reply->n_entry != 0 && l->bytes + bytes > PAGE_BYTES)
		return page_full(l, &f.entry);
	l->bytes += bytes;
	l->reply->entry[l->reply->n_entry++] = o;
	return LT_OK;
}

static int
list_frame(void *ctx, enum lt_audit_frame type, struct lt_slice payload)
{
	struct listing *l = ctx;
	struct lt_slice body, sig;
	struct lt_audit_start s;

	if (type == LT_AUDIT_ENTRY)
		return list_entry(l, payload);
	if (type == LT_AUDIT_HEAD) {
		for (; l->group < l->reply->n_entry; l->group++)
			l->reply->entry[l->group]->signed_head = true;
		return l->full ? LT_E_CANCELLED : LT_OK;
	}
	if (lt_audit_signed_read(payload, &body, &sig) != LT_OK ||
	    lt_audit_start_read(body, &s) != LT_OK)
		return LT_E_CORRUPT;
	l->log = s.log;
	return LT_OK;
}

/* The first file that can have something of that time: the one before the first that begins later. */
static uint64_t
file_of(const struct lt_audit_dir *d, int64_t since_ms)
{
	uint64_t lo = d->first, hi = d->last;
	struct lt_buf b = { 0 };

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo + 1) / 2;
		struct lt_audit_start s;

		if (lt_audit_dir_start(d, mid, &b, &s, NULL) == LT_OK && s.time_ms <= since_ms)
			lo = mid;
		else
			hi = mid - 1;
	}
	lt_buf_fini(&b);
	return lo;
}

static int
damaged(struct listing *l, size_t at)
{
	Ltpb__AuditListReply *r = l->reply;
	Ltpb__AuditDamage *x = lt_arena_alloc(&l->a->arena, sizeof(*x));

	if (r->damaged == NULL)
		r->damaged = lt_arena_alloc(&l->a->arena, DAMAGED_MAX * sizeof(*r->damaged));
	if (x == NULL || r->damaged == NULL)
		return LT_E_NOMEM;
	ltpb__audit_damage__init(x);
	x->file = l->segment;
	x->at = at;
	if (r->n_damaged < DAMAGED_MAX)
		r->damaged[r->n_damaged++] = x;
	return LT_OK;
}

/* One file. What is wrong with it is told, and nothing to stop at: the others have what they have. */
static int
list_file(struct listing *l, const struct lt_audit_dir *d, struct lt_buf *b)
{
	struct lt_audit_dir now;
	size_t good = 0;
	int rc;

	l->passed = l->after_file == 0 || l->segment > l->after_file;
	l->group = l->reply->n_entry;
	lt_buf_clear(b);
	rc = lt_audit_dir_read(d, l->segment, b, NULL);
	/* Let go since it was listed. */
	if (rc == LT_E_NOTFOUND && lt_audit_files(l->a->s->audit, &now) && l->segment < now.first) {
		l->reply->expired = true;
		return LT_OK;
	}
	if (rc == LT_OK)
		rc = lt_audit_frames(lt_buf_slice(b), list_frame, l, &good);
	if (rc == LT_OK)
		rc = lt_call_tick(l->a->call);
	if (rc == LT_OK || rc == LT_E_NOMEM || rc == LT_E_CANCELLED || rc == LT_E_TIMEOUT ||
	    l->full)
		return rc == LT_OK && l->full ? LT_E_CANCELLED : rc;
	return damaged(l, good);
}

static int
list_files(struct listing *l, const struct lt_audit_dir *d, struct lt_err *err)
{
	const ProtobufCBinaryData *t = &l->req->page_token;
	struct lt_buf b = { 0 };
	int rc = LT_OK;

	if (d->last == 0)
		return LT_OK;
	l->segment = t->len == 0 ? file_of(d, l->req->since_ms) : lt_load_u64(t->data);
	if (t->len != 0) {
		l->after_file = l->segment;
		l->after_log = lt_load_u64(t->data + 8);
		l->after_seq = lt_load_u64(t->data + 16);
	}
	if (l->segment == 0 || l->segment > d->last)
		return lt_err_set(err, LT_E_INVALID, "this page token is none");
	if (l->segment < d->first) {
		l->reply->expired = true;
		l->segment = d->first;
	}
	for (; rc == LT_OK && l->segment <= d->last; l->segment++)
		rc = list_file(l, d, &b);
	lt_buf_fini(&b);
	/* Else nobody waits any more. */
	return l->full && (rc == LT_E_CANCELLED || rc == LT_E_CORRUPT || rc == LT_E_GAP ||
			      rc == LT_E_INVALID)
		   ? LT_OK
		   : rc;
}

/* Nothing was found of a unit: is there one? What was noted of one that is no more is found all the same, so it is asked last. */
static bool
is_unit(struct lt_asking *a, const char *unit)
{
	struct lt_kv_txn *derived;
	struct lt_reading r;
	bool is;

	/* Tables that are being built do not say. */
	if (lt_hub_mending(a->s->hub) ||
	    lt_kv_begin_read(lt_hub_derived(a->s->hub), &derived) != LT_OK)
		return true;
	lt_reading_init(&r, a->call, &a->who, a->cat, lt_hub_province(a->s->hub), &a->arena);
	r.q.derived = derived;
	is = lt_reading_filter(&r, a->call, unit);
	lt_kv_abort(derived);
	return is;
}

void
lt_audit_list(Ltpb__Audit_Service *service, const Ltpb__AuditListRequest *req,
    Ltpb__AuditListReply_Closure closure, void *data)
{
	Ltpb__AuditListReply r = LTPB__AUDIT_LIST_REPLY__INIT;
	struct lt_asking a;
	struct listing l = { .a = &a, .req = req, .reply = &r };
	struct lt_audit_status st;
	struct lt_audit_dir d;
	struct lt_err err = { "" };
	int rc = LT_OK;

	lt_asking_begin(&a, LT_SERVICE_OF(service, audit_rpc), data);
	if (!lt_audit_may(&a))
		goto out;
	l.cap = req->page_size == 0 ? PAGE : req->page_size < PAGE_MAX ? req->page_size : PAGE_MAX;
	r.entry = lt_arena_alloc(&a.arena, l.cap * sizeof(*r.entry));
	if (r.entry == NULL)
		rc = LT_E_NOMEM;
	else if (req->page_token.len != 0 && req->page_token.len != TOKEN_LEN)
		rc = lt_err_set(&err, LT_E_INVALID, "this page token is none");
	lt_audit_status(a.s->audit, &st);
	if (rc == LT_OK && lt_audit_files(a.s->audit, &d))
		rc = list_files(&l, &d, &err);
	r.stopped = st.stopped;
	r.lost = st.lost;
	if (rc == LT_OK && r.n_entry == 0 && req->page_token.len == 0 && !is_unit(&a, req->unit))
		goto out;
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, "AUDIT", &err);
out:
	lt_asking_end(&a);
}
