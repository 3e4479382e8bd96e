/* hub/svc_audit.c - Audit: the log to operators, and to each node the part that is its commune's. */
#include "hub/service_impl.h"
#include "proto/service/call.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 100
#define PAGE_MAX 1000
#define SHOWN_MAX 64
#define FOUND_MAX 4096 /* entries under one head */

static bool
may(struct lt_asking *a)
{
	if (a->s->audit == NULL)
		lt_call_refuse(a->call, LT_STATUS_UNIMPLEMENTED, "NO_AUDIT",
		    "this hub keeps no read audit", "đầu mối này không giữ nhật ký truy cập");
	else if (!lt_access_unit(&a->who, LT_VERB_INSPECT, "_"))
		lt_call_refuse(a->call, LT_STATUS_PERMISSION_DENIED, "AUDIT",
		    "the audit is for operators with the right to inspect '_'",
		    "nhật ký truy cập chỉ dành cho người vận hành có quyền inspect với '_'");
	else
		return true;
	return false;
}

/* ---- list ---- */

struct listing {
	struct lt_asking *a;
	const Ltpb__AuditListRequest *req;
	Ltpb__AuditListReply *reply;
	size_t cap;
	uint64_t log, head_seq; /* the log under way; entries below are under a head */
	uint64_t after_log, after_seq; /* where the page begins */
	bool passed;
	uint64_t segment;
	unsigned ticks;
	int rc;
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

/* Its parts, as far as they are asked for. none: true where no part fits. */
static int
parts_out(struct listing *l, const struct lt_audit_full *f, Ltpb__AuditEntry *o, bool *none)
{
	const Ltpb__AuditListRequest *q = l->req;
	struct lt_reader r;
	unsigned i;
	int rc = LT_OK;

	*none = q->unit[0] != '\0' || q->collection[0] != '\0';
	o->part = lt_arena_alloc(&l->a->arena, (f->entry.nparts + 1u) * sizeof(*o->part));
	if (o->part == NULL)
		return LT_E_NOMEM;
	lt_reader_init(&r, f->parts);
	for (i = 0; rc == LT_OK && i < f->entry.nparts; i++) {
		struct lt_audit_part p;

		rc = lt_audit_part_read(lt_read_framed(&r), &p);
		if (rc != LT_OK || (q->unit[0] != '\0' && strcmp(p.unit, q->unit) != 0) ||
		    !has_collection(&p, q->collection))
			continue;
		*none = false;
		rc = part_out(&l->a->arena, &p, &o->part[o->n_part]);
		o->n_part += rc == LT_OK;
	}
	return rc;
}

static int
page_full(struct listing *l, const struct lt_audit_entry *e)
{
	uint8_t *token;

	if (l->reply->n_entry < l->cap)
		return LT_OK;
	token = lt_arena_alloc(&l->a->arena, 24);
	if (token == NULL)
		return LT_E_NOMEM;
	lt_store_u64(token, l->segment);
	lt_store_u64(token + 8, l->log);
	lt_store_u64(token + 16, e->seq);
	l->reply->next_page_token.data = token;
	l->reply->next_page_token.len = 24;
	return LT_E_CANCELLED;
}

static int
list_entry(struct listing *l, struct lt_slice payload)
{
	struct lt_audit_full f;
	Ltpb__AuditEntry *o;
	bool none;
	int rc = lt_audit_full_read(payload, &f);

	if (rc == LT_OK && (++l->ticks & 1023) == 0)
		rc = lt_call_tick(l->a->call);
	if (rc != LT_OK)
		return rc;
	if (!l->passed)
		l->passed = l->log == l->after_log && f.entry.seq >= l->after_seq;
	if (!l->passed || !wanted(l->req, &f.entry))
		return LT_OK;
	rc = page_full(l, &f.entry);
	if (rc == LT_OK)
		rc = entry_out(l, &f.entry, &o);
	if (rc == LT_OK)
		rc = parts_out(l, &f, o, &none);
	if (rc == LT_OK && !none)
		l->reply->entry[l->reply->n_entry++] = o;
	return rc;
}

static int
list_frame(void *ctx, enum lt_audit_frame type, struct lt_slice payload)
{
	struct listing *l = ctx;
	struct lt_slice body, sig;
	struct lt_audit_start s;
	size_t i;

	if (type == LT_AUDIT_ENTRY)
		return list_entry(l, payload);
	if (type == LT_AUDIT_HEAD) {
		for (i = l->reply->n_entry; i > 0 && !l->reply->entry[i - 1]->signed_head; i--)
			l->reply->entry[i - 1]->signed_head = true;
		return LT_OK;
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
list_files(struct listing *l, const struct lt_audit_dir *d, struct lt_err *err)
{
	const ProtobufCBinaryData *t = &l->req->page_token;
	struct lt_buf b = { 0 };
	size_t good;
	int rc = LT_OK;

	l->passed = t->len == 0;
	l->segment = t->len == 0 ? file_of(d, l->req->since_ms) : lt_load_u64(t->data);
	if (t->len != 0) {
		l->after_log = lt_load_u64(t->data + 8);
		l->after_seq = lt_load_u64(t->data + 16);
	}
	if (l->segment < d->first || l->segment > d->last)
		return lt_err_set(err, LT_E_INVALID,
		    "this page token is of a part of the audit that is gone: begin again");
	for (; rc == LT_OK && l->segment <= d->last; l->segment++) {
		lt_buf_clear(&b);
		rc = lt_audit_dir_read(d, l->segment, &b, err);
		if (rc == LT_OK)
			rc = lt_audit_frames(lt_buf_slice(&b), list_frame, l, &good);
		if (rc == LT_OK)
			rc = lt_call_tick(l->a->call);
		if (rc == LT_E_CANCELLED && l->reply->next_page_token.len != 0)
			break;
	}
	lt_buf_fini(&b);
	return rc == LT_E_CANCELLED && l->reply->next_page_token.len != 0 ? LT_OK : rc;
}

static void
list_entries(Ltpb__Audit_Service *service, const Ltpb__AuditListRequest *req,
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
	if (!may(&a))
		goto out;
	l.cap = req->page_size == 0 ? PAGE : req->page_size < PAGE_MAX ? req->page_size : PAGE_MAX;
	r.entry = lt_arena_alloc(&a.arena, l.cap * sizeof(*r.entry));
	if (r.entry == NULL)
		rc = LT_E_NOMEM;
	else if (req->page_token.len != 0 && req->page_token.len != 24)
		rc = lt_err_set(&err, LT_E_INVALID, "this page token is none");
	lt_audit_status(a.s->audit, &st);
	if (rc == LT_OK && lt_audit_files(a.s->audit, &d))
		rc = list_files(&l, &d, &err);
	r.stopped = st.stopped;
	r.lost = st.lost;
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "AUDIT", err.text);
out:
	lt_asking_end(&a);
}

/* ---- verify ---- */

static void
fill(Ltpb__AuditVerifyReply *r, const struct lt_audit_report *rep)
{
	r->files = rep->files;
	r->entries = rep->entries;
	r->heads = rep->heads;
	r->gaps = rep->gaps;
	r->missing = rep->missing;
	r->logs = rep->logs;
	r->log = rep->last_log;
	r->head = rep->last_head;
	r->unsigned_entries = rep->unsigned_entries;
	r->witnessed = rep->witnessed;
}

static void
verify(Ltpb__Audit_Service *service, const Ltpb__AuditVerifyRequest *req,
    Ltpb__AuditVerifyReply_Closure closure, void *data)
{
	Ltpb__AuditVerifyReply r = LTPB__AUDIT_VERIFY_REPLY__INIT;
	struct lt_audit_report rep;
	struct lt_audit_seen seen;
	struct lt_audit_status st;
	struct lt_audit_dir d;
	struct lt_asking a;
	struct lt_err err = { "" };
	bool have = req->hash.len == LT_HASH_LEN;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, audit_rpc), data);
	if (!may(&a))
		goto out;
	if (req->hash.len != 0 && !have) {
		lt_asking_fail(&a, LT_E_INVALID, "AUDIT", "a head's hash has 32 bytes");
		goto out;
	}
	seen.log = req->log;
	seen.no = req->no;
	if (have)
		memcpy(seen.hash.b, req->hash.data, LT_HASH_LEN);
	lt_audit_status(a.s->audit, &st);
	(void)lt_audit_files(a.s->audit, &d);
	/* The witness is older than the files as they are now; read after them it might not be. */
	if (!have)
		have = lt_audit_witness_read(d.dir, &seen, NULL) == LT_OK;
	(void)lt_audit_files(a.s->audit, &d);
	rc = lt_audit_dir_verify(&d, lt_hub_identity(a.s->hub)->root_key, have ? &seen : NULL,
	    lt_call_tick, a.call, &rep, &err);
	if (rc == LT_E_NOMEM || rc == LT_E_CANCELLED || rc == LT_E_TIMEOUT) {
		lt_asking_fail(&a, rc, "AUDIT", err.text);
		goto out;
	}
	fill(&r, &rep);
	r.good = rc == LT_OK;
	r.problem = err.text;
	r.stopped = st.stopped;
	r.lost = st.lost;
	closure(&r, data);
out:
	lt_asking_end(&a);
}

/* ---- with proof: one entry, or a unit's parts ---- */

struct found {
	struct lt_slice payload; /* of the entry's frame */
	uint32_t at; /* among those under the head */
	uint32_t part; /* of the entry */
};

struct seeking {
	struct lt_arena *arena;
	const char *unit; /* NULL: one entry */
	uint64_t log; /* whose; of a unit: that is written */
	uint64_t from; /* first number wanted */
	uint64_t to; /* of one entry: the same */
	uint64_t here; /* log of this file */
	struct lt_hash open[FOUND_MAX];
	uint32_t nopen;
	struct found found[FOUND_MAX];
	size_t nfound;
	Ltpb__AuditShown *shown[SHOWN_MAX];
	size_t nshown;
	uint64_t first; /* number of the first one found */
	bool more;
	Ltpb__AuditProveReply *prove;
	uint8_t certificate[4096];
	size_t certificate_len;
};

static int
bytes_out(struct lt_arena *arena, const void *data, size_t len, ProtobufCBinaryData *out)
{
	out->data = lt_arena_dup(arena, data, len);
	out->len = len;
	return out->data == NULL ? LT_E_NOMEM : LT_OK;
}

static int
path_out(struct lt_arena *arena, const struct lt_hash *leaf, size_t n, size_t at,
    ProtobufCBinaryData **out, size_t *nout)
{
	struct lt_hash path[LT_MERKLE_PATH_MAX];
	size_t len, i;
	int rc = LT_OK;

	lt_merkle_path(leaf, n, at, path, &len);
	*out = lt_arena_alloc(arena, (len + 1) * sizeof(**out));
	if (*out == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < len; i++)
		rc = bytes_out(arena, path[i].b, LT_HASH_LEN, &(*out)[i]);
	*nout = len;
	return rc;
}

/* The leaves of an entry's parts; part: the bytes of one of them. */
static int
leaves(struct lt_arena *arena, const struct lt_audit_full *f, struct lt_hash **out,
    struct lt_slice **parts)
{
	struct lt_reader r;
	unsigned i;

	*out = lt_arena_alloc(arena, (f->entry.nparts + 1u) * sizeof(**out));
	*parts = lt_arena_alloc(arena, (f->entry.nparts + 1u) * sizeof(**parts));
	if (*out == NULL || *parts == NULL)
		return LT_E_NOMEM;
	lt_reader_init(&r, f->parts);
	for (i = 0; i < f->entry.nparts; i++) {
		uint8_t salt[LT_AUDIT_SALT];

		(*parts)[i] = lt_read_framed(&r);
		lt_audit_part_salt(f->salt, i, salt);
		lt_audit_leaf(salt, (*parts)[i], &(*out)[i]);
	}
	return LT_OK;
}

static int
show_part(struct seeking *s, const struct found *x, struct lt_slice head, struct lt_slice sig)
{
	Ltpb__AuditShown *o = lt_arena_alloc(s->arena, sizeof(*o));
	uint8_t salt[LT_AUDIT_SALT];
	struct lt_audit_full f;
	struct lt_hash *leaf;
	struct lt_slice *part;
	int rc = o == NULL ? LT_E_NOMEM : lt_audit_full_read(x->payload, &f);

	if (rc == LT_OK)
		rc = leaves(s->arena, &f, &leaf, &part);
	if (rc != LT_OK)
		return rc;
	ltpb__audit_shown__init(o);
	lt_audit_part_salt(f.salt, x->part, salt);
	o->index = x->part;
	rc = bytes_out(s->arena, f.bytes.data, f.bytes.len, &o->entry);
	if (rc == LT_OK)
		rc = bytes_out(s->arena, part[x->part].data, part[x->part].len, &o->part);
	if (rc == LT_OK)
		rc = bytes_out(s->arena, salt, sizeof(salt), &o->part_salt);
	if (rc == LT_OK)
		rc = path_out(
		    s->arena, leaf, f.entry.nparts, x->part, &o->part_path, &o->n_part_path);
	if (rc == LT_OK)
		rc = path_out(s->arena, s->open, s->nopen, x->at, &o->path, &o->n_path);
	if (rc == LT_OK)
		rc = bytes_out(s->arena, head.data, head.len, &o->head);
	if (rc == LT_OK)
		rc = bytes_out(s->arena, sig.data, sig.len, &o->signature);
	if (rc == LT_OK)
		s->shown[s->nshown++] = o;
	return rc;
}

static int
show_entry(struct seeking *s, const struct found *x, struct lt_slice head, struct lt_slice sig)
{
	Ltpb__AuditProveReply *o = s->prove;
	struct lt_audit_full f;
	struct lt_hash *leaf;
	struct lt_slice *part;
	unsigned i;
	int rc = lt_audit_full_read(x->payload, &f);

	if (rc == LT_OK)
		rc = leaves(s->arena, &f, &leaf, &part);
	if (rc == LT_OK)
		rc = bytes_out(s->arena, f.bytes.data, f.bytes.len, &o->entry);
	if (rc == LT_OK)
		rc = bytes_out(s->arena, f.salt, LT_AUDIT_SALT, &o->salt);
	o->part = lt_arena_alloc(s->arena, (f.entry.nparts + 1u) * sizeof(*o->part));
	if (rc == LT_OK && o->part == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < f.entry.nparts; i++)
		rc = bytes_out(s->arena, part[i].data, part[i].len, &o->part[o->n_part++]);
	if (rc == LT_OK)
		rc = path_out(s->arena, s->open, s->nopen, x->at, &o->path, &o->n_path);
	if (rc == LT_OK)
		rc = bytes_out(s->arena, head.data, head.len, &o->head);
	if (rc == LT_OK)
		rc = bytes_out(s->arena, sig.data, sig.len, &o->signature);
	return rc;
}

/* Which part of an entry is the unit's, from the number wanted on; LT_E_NOTFOUND. */
static int
part_of(const struct seeking *s, const struct lt_audit_full *f, uint32_t *at, uint64_t *no)
{
	struct lt_reader r;
	unsigned i;

	lt_reader_init(&r, f->parts);
	for (i = 0; i < f->entry.nparts; i++) {
		struct lt_audit_part p;

		if (lt_audit_part_read(lt_read_framed(&r), &p) == LT_OK &&
		    strcmp(p.unit, s->unit) == 0) {
			*at = i;
			*no = p.no;
			return p.no >= s->from ? LT_OK : LT_E_NOTFOUND;
		}
	}
	return LT_E_NOTFOUND;
}

static int
seek_entry(struct seeking *s, struct lt_slice payload)
{
	struct lt_audit_full f;
	struct found *x = &s->found[s->nfound];
	uint64_t no = 0;
	int rc = lt_audit_full_read(payload, &f);

	if (rc != LT_OK || s->nopen == FOUND_MAX)
		return LT_E_CORRUPT;
	x->payload = payload;
	x->at = s->nopen;
	x->part = 0;
	lt_h1(LT_TAG_AUDIT, f.bytes, &s->open[s->nopen++]);
	if (s->here != s->log)
		return LT_OK;
	rc = s->unit != NULL          ? part_of(s, &f, &x->part, &no)
	     : f.entry.seq == s->from ? LT_OK
				      : LT_E_NOTFOUND;
	if (rc != LT_OK)
		return LT_OK;
	if (s->nfound == 0 && s->nshown == 0)
		s->first = no;
	s->nfound++;
	return LT_OK;
}

static int
seek_head(struct seeking *s, struct lt_slice payload)
{
	struct lt_slice body, sig;
	size_t i;
	int rc = lt_audit_signed_read(payload, &body, &sig);

	for (i = 0; rc == LT_OK && i < s->nfound; i++) {
		if (s->unit == NULL) {
			rc = show_entry(s, &s->found[i], body, sig);
		} else if (s->nshown < SHOWN_MAX) {
			rc = show_part(s, &s->found[i], body, sig);
		} else {
			s->more = true;
			break;
		}
	}
	s->nfound = 0;
	s->nopen = 0;
	if (rc == LT_OK && (s->more || (s->unit == NULL && s->prove->entry.len != 0)))
		return LT_E_CANCELLED;
	return rc;
}

static int
seek_frame(void *ctx, enum lt_audit_frame type, struct lt_slice payload)
{
	struct seeking *s = ctx;
	struct lt_slice body, sig;
	struct lt_audit_start st;

	if (type == LT_AUDIT_ENTRY)
		return seek_entry(s, payload);
	if (type == LT_AUDIT_HEAD)
		return seek_head(s, payload);
	if (lt_audit_signed_read(payload, &body, &sig) != LT_OK ||
	    lt_audit_start_read(body, &st) != LT_OK || st.certificate.len > sizeof(s->certificate))
		return LT_E_CORRUPT;
	s->here = st.log;
	s->nopen = 0;
	s->nfound = 0;
	s->certificate_len = st.certificate.len;
	memcpy(s->certificate, st.certificate.data, st.certificate.len);
	return LT_OK;
}

/* Is what is sought behind the beginning of this file? */
static bool
begins_before(const struct seeking *s, const struct lt_audit_start *st)
{
	struct lt_reader r;
	uint32_t i;

	if (st->log != s->log)
		return true;
	if (s->unit == NULL)
		return st->next_seq <= s->from;
	lt_reader_init(&r, st->units);
	for (i = 0; i < st->nunits; i++) {
		struct lt_slice name = lt_read_framed8(&r);
		uint64_t no = lt_read_u64(&r);

		(void)lt_read_bytes(&r, LT_HASH_LEN);
		if (r.err == LT_OK && lt_slice_eq(name, lt_slice_str(s->unit)))
			return no < s->from;
	}
	return true;
}

static int
seek(struct seeking *s, const struct lt_audit_dir *d, struct lt_call *call, struct lt_err *err)
{
	uint64_t lo = d->first, hi = d->last;
	struct lt_buf b = { 0 };
	size_t good;
	int rc = LT_OK;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo + 1) / 2;
		struct lt_audit_start st;

		if (lt_audit_dir_start(d, mid, &b, &st, NULL) == LT_OK && begins_before(s, &st))
			lo = mid;
		else
			hi = mid - 1;
	}
	for (; rc == LT_OK && lo <= d->last; lo++) {
		lt_buf_clear(&b);
		rc = lt_audit_dir_read(d, lo, &b, err);
		if (rc == LT_OK)
			rc = lt_audit_frames(lt_buf_slice(&b), seek_frame, s, &good);
		s->nfound = s->nopen = 0; /* their bytes are gone */
		if (rc == LT_OK)
			rc = lt_call_tick(call);
		if (rc == LT_OK && s->nshown == SHOWN_MAX) {
			s->more = true;
			break;
		}
	}
	lt_buf_fini(&b);
	return rc == LT_E_CANCELLED && (s->more || (s->prove != NULL && s->prove->entry.len != 0))
		   ? LT_OK
		   : rc;
}

static void
prove(Ltpb__Audit_Service *service, const Ltpb__AuditProveRequest *req,
    Ltpb__AuditProveReply_Closure closure, void *data)
{
	Ltpb__AuditProveReply r = LTPB__AUDIT_PROVE_REPLY__INIT;
	struct seeking *s = NULL;
	struct lt_audit_dir d;
	struct lt_asking a;
	struct lt_err err = { "" };
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, audit_rpc), data);
	if (!may(&a))
		goto out;
	s = calloc(1, sizeof(*s));
	rc = s == NULL ? LT_E_NOMEM : LT_OK;
	if (rc == LT_OK) {
		s->arena = &a.arena;
		s->prove = &r;
		(void)lt_audit_unit_no(a.s->audit, "*", &s->log);
		if (req->log != 0)
			s->log = req->log;
		s->from = req->seq;
		(void)lt_audit_files_synced(a.s->audit, &d);
		rc = seek(s, &d, a.call, &err);
	}
	if (rc == LT_OK && r.entry.len == 0)
		rc = lt_err_set(&err, LT_E_NOTFOUND,
		    "no such entry under a signed head: it is gone, or not a second old yet");
	if (rc == LT_OK) {
		r.certificate.data = s->certificate;
		r.certificate.len = s->certificate_len;
		closure(&r, data);
	} else {
		lt_asking_fail(&a, rc, "AUDIT_ENTRY", err.text);
	}
out:
	free(s);
	lt_asking_end(&a);
}

/* What there is for a node: nothing in most cases, and then no file is read. */
static int
seek_unit(struct lt_asking *a, const Ltpb__AuditUnitRequest *req, struct seeking *s,
    Ltpb__AuditUnitReply *r, struct lt_err *err)
{
	struct lt_audit_dir d;
	uint64_t log, have = lt_audit_unit_no(a->s->audit, req->unit, &log);
	int rc;

	s->arena = &a->arena;
	s->unit = req->unit;
	s->log = r->log = log;
	s->from = req->log == log && req->next != 0 ? req->next : 1;
	r->first = s->from;
	if (have < s->from)
		return LT_OK;
	(void)lt_audit_files_synced(a->s->audit, &d);
	rc = seek(s, &d, a->call, err);
	if (rc != LT_OK || s->nshown == 0)
		return rc;
	r->first = s->first;
	r->shown = s->shown;
	r->n_shown = s->nshown;
	r->more = s->more;
	r->certificate.data = s->certificate;
	r->certificate.len = s->certificate_len;
	return LT_OK;
}

static void
unit_parts(Ltpb__Audit_Service *service, const Ltpb__AuditUnitRequest *req,
    Ltpb__AuditUnitReply_Closure closure, void *data)
{
	Ltpb__AuditUnitReply r = LTPB__AUDIT_UNIT_REPLY__INIT;
	struct seeking *s = NULL;
	struct lt_asking a;
	struct lt_err err = { "" };
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, audit_rpc), data);
	if (a.s->audit == NULL) {
		lt_call_refuse(a.call, LT_STATUS_UNIMPLEMENTED, "NO_AUDIT",
		    "this hub keeps no read audit", "đầu mối này không giữ nhật ký truy cập");
		goto out;
	}
	/* Of its own commune, and what was asked over all; of nobody else's. */
	if (a.who.kind != LT_ASKER_PRINCIPAL ||
	    (strcmp(req->unit, "*") != 0 && strcmp(req->unit, a.who.principal->unit.s) != 0)) {
		lt_call_refuse(a.call, LT_STATUS_PERMISSION_DENIED, "AUDIT_UNIT",
		    "a node is shown the audit of its own commune alone",
		    "máy xã chỉ được xem nhật ký truy cập của xã mình");
		goto out;
	}
	s = calloc(1, sizeof(*s));
	rc = s == NULL ? LT_E_NOMEM : seek_unit(&a, req, s, &r, &err);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "AUDIT", err.text);
out:
	free(s);
	lt_asking_end(&a);
}

const Ltpb__Audit_Service lt_audit_service = { .base = LTPB__AUDIT__BASE_INIT,
	.list_entries = list_entries,
	.verify_log = verify,
	.prove_entry = prove,
	.unit_parts = unit_parts };
