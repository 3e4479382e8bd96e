/* hub/svc_audit.c - Audit: the log verified, proofs from it to operators, and to each node the part that is its commune's. */
#include "hub/service_impl.h"
#include "proto/service/call.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 64
#define FOUND_MAX 4096 /* entries under one head */

bool
lt_audit_may(struct lt_asking *a)
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
	if (!lt_audit_may(&a))
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
		lt_asking_refuse(&a, rc, "AUDIT", &err);
		goto out;
	}
	fill(&r, &rep);
	r.good = rc == LT_OK;
	r.problem = err.text;
	r.problem_vi = (char *)lt_err_vi(&err);
	r.expired = rc == LT_E_NOTFOUND && rep.expired;
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
	bool done; /* what comes is of no use */
	bool expired; /* what is sought was let go */
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
	s->done = s->more || (s->unit == NULL && s->prove->entry.len != 0);
	return rc == LT_OK && s->done ? LT_E_CANCELLED : rc;
}

/* Nothing of what is sought can stand in this file, nor behind it: another log, or later entries; or heads by another key than those that
 * are shown already, which need another certificate and so another answer. */
static bool
is_behind(struct seeking *s, const struct lt_audit_start *st)
{
	if (s->unit == NULL)
		return s->here == s->log && (st->log != s->log || st->next_seq > s->from);
	if (s->nshown == 0 ||
	    lt_slice_eq(st->certificate, lt_slice(s->certificate, s->certificate_len)))
		return false;
	s->more = true;
	return true;
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
	s->done = is_behind(s, &st);
	if (s->done)
		return LT_E_CANCELLED;
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

/* Where the log is that is written: by its numbers. */
static uint64_t
file_by_number(const struct seeking *s, const struct lt_audit_dir *d, struct lt_buf *b)
{
	uint64_t lo = d->first, hi = d->last;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo + 1) / 2;
		struct lt_audit_start st;

		if (lt_audit_dir_start(d, mid, b, &st, NULL) == LT_OK && begins_before(s, &st))
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

/* One entry of any log: logs have no order but that of their files. 0: no file has it; expired: the one that had it was let go. */
static uint64_t
file_by_log(struct seeking *s, const struct lt_audit_dir *d, struct lt_buf *b)
{
	uint64_t n, found = 0;

	for (n = d->first; n <= d->last; n++) {
		struct lt_audit_start st;

		if (lt_audit_dir_start(d, n, b, &st, NULL) != LT_OK)
			continue;
		if (st.log == s->log && st.next_seq <= s->from)
			found = n;
		else if (st.log == s->log && n == d->first)
			s->expired = n > 1 && s->from != 0;
		if (found != 0 && (st.log != s->log || st.next_seq > s->from))
			break;
	}
	return found;
}

/* One file. LT_E_CANCELLED: there is all that is wanted. */
static int
seek_file(struct seeking *s, const struct lt_audit_dir *d, uint64_t *n, struct lt_audit *audit,
    struct lt_buf *b, struct lt_err *err)
{
	struct lt_audit_dir now;
	size_t good = 0;
	int rc;

	lt_buf_clear(b);
	rc = lt_audit_dir_read(d, *n, b, err);
	/* Let go since it was listed: on with the first that is kept. */
	if (rc == LT_E_NOTFOUND && lt_audit_files(audit, &now) && *n < now.first) {
		s->expired = true;
		*n = now.first - 1;
		return s->unit != NULL ? LT_OK : LT_E_NOTFOUND;
	}
	if (rc == LT_OK)
		rc = lt_audit_frames(lt_buf_slice(b), seek_frame, s, &good);
	s->nfound = s->nopen = 0; /* their bytes are gone */
	if (rc != LT_E_CORRUPT && rc != LT_E_GAP && rc != LT_E_INVALID)
		return rc;
	/* A node is shown what can be shown: what is missing in between its numbers tell. */
	if (s->unit != NULL) {
		s->more = s->done = s->nshown != 0;
		return s->done ? LT_E_CANCELLED : LT_OK;
	}
	return lt_err_set(err, LT_E_CORRUPT, "file %llu of the audit is damaged at byte %zu",
	    (unsigned long long)*n, good);
}

static int
seek(struct seeking *s, const struct lt_audit_dir *d, struct lt_asking *a, struct lt_err *err)
{
	struct lt_buf b = { 0 };
	uint64_t n;
	int rc = LT_OK;

	if (d->last == 0)
		return LT_OK;
	n = s->unit != NULL ? file_by_number(s, d, &b) : file_by_log(s, d, &b);
	for (; rc == LT_OK && n != 0 && n <= d->last; n++) {
		rc = seek_file(s, d, &n, a->s->audit, &b, err);
		if (rc == LT_OK)
			rc = lt_call_tick(a->call);
		if (rc == LT_OK && s->nshown == SHOWN_MAX) {
			s->more = true;
			break;
		}
	}
	lt_buf_fini(&b);
	return rc == LT_E_CANCELLED && s->done ? LT_OK : rc;
}

/* Why there is no such entry. */
static void
no_entry(struct lt_asking *a, const struct seeking *s)
{
	if (s->expired)
		lt_call_refuse(a->call, LT_STATUS_NOT_FOUND, "AUDIT_EXPIRED",
		    "entry %llu is older than what is kept of the audit: its file was let go",
		    "mục %llu đã quá hạn lưu: tệp chứa mục này đã được bỏ đi",
		    (unsigned long long)s->from);
	else
		lt_asking_fail(a, LT_E_NOTFOUND, "AUDIT_ENTRY",
		    "no such entry under a signed head: it never was, or is not a second old yet");
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
	if (!lt_audit_may(&a))
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
		rc = seek(s, &d, &a, &err);
	}
	if (rc == LT_OK && r.entry.len != 0) {
		r.certificate.data = s->certificate;
		r.certificate.len = s->certificate_len;
		closure(&r, data);
	} else if (rc == LT_OK || rc == LT_E_NOTFOUND) {
		no_entry(&a, s);
	} else {
		lt_asking_refuse(&a, rc, "AUDIT_ENTRY", &err);
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
	rc = seek(s, &d, a, err);
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
		lt_asking_refuse(&a, rc, "AUDIT", &err);
out:
	free(s);
	lt_asking_end(&a);
}

const Ltpb__Audit_Service lt_audit_service = { .base = LTPB__AUDIT__BASE_INIT,
	.list_entries = lt_audit_list,
	.verify_log = verify,
	.prove_entry = prove,
	.unit_parts = unit_parts };
