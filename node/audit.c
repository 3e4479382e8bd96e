#include "node/audit.h"
#include "node/node_impl.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/store/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_VERSION 1
#define SHOWN_MAX 16384
#define NAME_MAX_LEN 64

static void
at_name(const char *unit, char name[NAME_MAX_LEN])
{
	(void)snprintf(name, NAME_MAX_LEN, "audit-at/%s", unit);
}

static void
row_name(const char *unit, uint64_t row, char name[NAME_MAX_LEN])
{
	(void)snprintf(name, NAME_MAX_LEN, "audit/%s/%016llx", unit, (unsigned long long)row);
}

/* ---- state ---- */

static int
at_read(struct lt_kv_txn *txn, const char *unit, struct lt_node_audit_at *out)
{
	char name[NAME_MAX_LEN];
	struct lt_slice v, h;
	struct lt_reader r;
	uint8_t version;
	int rc;

	memset(out, 0, sizeof(*out));
	at_name(unit, name);
	rc = lt_local_get(txn, name, &v);
	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	if (rc != LT_OK)
		return rc;
	lt_reader_init(&r, v);
	version = lt_read_u8(&r);
	out->log = lt_read_u64(&r);
	out->next = lt_read_u64(&r);
	h = lt_read_bytes(&r, LT_HASH_LEN);
	if (r.err == LT_OK)
		memcpy(out->prev.b, h.data, LT_HASH_LEN);
	out->first_row = lt_read_u64(&r);
	out->next_row = lt_read_u64(&r);
	out->head = lt_read_u64(&r);
	h = lt_read_bytes(&r, LT_HASH_LEN);
	if (r.err == LT_OK)
		memcpy(out->head_hash.b, h.data, LT_HASH_LEN);
	out->contradicted = lt_read_u8(&r) != 0;
	return r.err == LT_OK && version == AT_VERSION ? LT_OK : LT_E_CORRUPT;
}

static int
at_write(struct lt_kv_txn *txn, const char *unit, const struct lt_node_audit_at *at)
{
	char name[NAME_MAX_LEN];
	struct lt_buf b = { 0 };
	int rc;

	at_name(unit, name);
	lt_buf_u8(&b, AT_VERSION);
	lt_buf_u64(&b, at->log);
	lt_buf_u64(&b, at->next);
	lt_buf_put(&b, at->prev.b, LT_HASH_LEN);
	lt_buf_u64(&b, at->first_row);
	lt_buf_u64(&b, at->next_row);
	lt_buf_u64(&b, at->head);
	lt_buf_put(&b, at->head_hash.b, LT_HASH_LEN);
	lt_buf_u8(&b, at->contradicted);
	rc = b.err != LT_OK ? b.err : lt_local_put(txn, name, lt_buf_slice(&b));
	lt_buf_fini(&b);
	return rc;
}

int
lt_node_audit_at(struct lt_node *n, const char *unit, struct lt_node_audit_at *out)
{
	struct lt_kv_txn *txn;
	int rc = lt_kv_begin_read(n->kv, &txn);

	if (rc != LT_OK)
		return rc;
	rc = at_read(txn, unit, out);
	lt_kv_abort(txn);
	return rc;
}

int
lt_node_audit_ask(struct lt_node *n, const char *unit, Ltpb__AuditUnitRequest *req)
{
	struct lt_node_audit_at at;
	int rc = lt_node_audit_at(n, unit, &at);

	if (rc != LT_OK)
		return rc;
	ltpb__audit_unit_request__init(req);
	req->unit = (char *)unit;
	req->log = at.log;
	req->next = at.next;
	return LT_OK;
}

/* ---- verifying ---- */

static int
hashes(size_t n, const ProtobufCBinaryData *in, struct lt_hash *out)
{
	size_t i;

	if (n > LT_MERKLE_PATH_MAX)
		return LT_E_INVALID;
	for (i = 0; i < n; i++) {
		if (in[i].len != LT_HASH_LEN)
			return LT_E_INVALID;
		memcpy(out[i].b, in[i].data, LT_HASH_LEN);
	}
	return LT_OK;
}

static int
check(const struct lt_node *n, const Ltpb__AuditShown *m, const uint8_t sign_key[32],
    struct lt_audit_entry *entry, struct lt_audit_part *part, struct lt_audit_head *head,
    struct lt_err *err)
{
	struct lt_hash part_path[LT_MERKLE_PATH_MAX], path[LT_MERKLE_PATH_MAX];
	struct lt_audit_shown s = { .entry = lt_slice(m->entry.data, m->entry.len),
		.part = lt_slice(m->part.data, m->part.len),
		.index = m->index,
		.part_path = part_path,
		.npart_path = m->n_part_path,
		.path = path,
		.npath = m->n_path,
		.head = lt_slice(m->head.data, m->head.len),
		.signature = lt_slice(m->signature.data, m->signature.len) };

	if (m->part_salt.len != LT_AUDIT_SALT ||
	    hashes(m->n_part_path, m->part_path, part_path) != LT_OK ||
	    hashes(m->n_path, m->path, path) != LT_OK)
		return lt_err_set(err, LT_E_INVALID, "an entry of the audit is malformed");
	memcpy(s.part_salt, m->part_salt.data, LT_AUDIT_SALT);
	return lt_audit_shown_verify(&s, sign_key,
	    &lt_node_identity((struct lt_node *)n)->federation, entry, part, head, err);
}

int
lt_node_audit_check(struct lt_node *n, struct lt_slice shown, const uint8_t sign_key[32],
    struct lt_audit_entry *entry, struct lt_audit_part *part, struct lt_audit_head *head,
    struct lt_err *err)
{
	struct lt_arena arena;
	ProtobufCMessage *m;
	int rc;

	lt_arena_init(&arena, lt_arena_cap_for(shown.len));
	rc = lt_wire_unpack(&ltpb__audit_shown__descriptor, shown, SHOWN_MAX, &arena, &m, err);
	if (rc == LT_OK)
		rc = check(n, (const Ltpb__AuditShown *)m, sign_key, entry, part, head, err);
	lt_arena_fini(&arena);
	return rc;
}

/* The hub's key, by the certificate it showed; heads name the same hub and key number. */
static int
key_of(const struct lt_node *n, const Ltpb__AuditUnitReply *r, uint8_t key[32], struct lt_id *hub,
    uint32_t *key_no, struct lt_err *err)
{
	const struct lt_identity *id = lt_node_identity((struct lt_node *)n);
	Ltpb__CertificateBody *body;
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, lt_arena_cap_for(r->certificate.len));
	rc = lt_certificate_verify(lt_slice(r->certificate.data, r->certificate.len), id->root_key,
	    &id->federation, &arena, &body, err);
	if (rc == LT_OK && (body->role != LTPB__ROLE__ROLE_HUB ||
			       body->principal.len != LT_ID_LEN || body->sign_key.len != 32))
		rc = lt_err_set(err, LT_E_DENIED, "the certificate shown is not that of a hub");
	if (rc == LT_OK) {
		memcpy(key, body->sign_key.data, 32);
		memcpy(hub->b, body->principal.data, LT_ID_LEN);
		*key_no = body->key_no;
	}
	lt_arena_fini(&arena);
	return rc;
}

/* ---- taking ---- */

struct take_job {
	struct lt_node *n;
	const char *unit;
	const Ltpb__AuditUnitReply *r;
	struct lt_node_audit_at at; /* how it was, then how it becomes */
	struct lt_buf *row; /* to be written, in order */
	size_t nrow;
};

static struct lt_buf *
new_row(struct take_job *j, enum lt_node_audit_row kind)
{
	struct lt_buf *b = &j->row[j->nrow++];

	lt_buf_u8(b, (uint8_t)kind);
	lt_buf_u64(b, j->at.log);
	return b;
}

static void
missing(struct take_job *j, uint64_t from, uint64_t to)
{
	struct lt_buf *b = new_row(j, LT_NODE_AUDIT_MISSING);

	lt_buf_u64(b, from);
	lt_buf_u64(b, to);
}

/* Does it go on where we are, in the hub's own order? */
static int
follows(struct take_job *j, const struct lt_audit_part *p, const struct lt_audit_head *h,
    const struct lt_hash *hash, bool known, struct lt_err *err)
{
	if (strcmp(p->unit, j->unit) != 0 || h->log != j->r->log || p->no != j->at.next)
		return lt_err_set(err, LT_E_BADHASH,
		    "the hub shows entry %llu of unit %s where %llu of %s belongs",
		    (unsigned long long)p->no, p->unit, (unsigned long long)j->at.next, j->unit);
	if (known && !lt_hash_eq(&p->prev, &j->at.prev))
		return lt_err_set(err, LT_E_BADHASH,
		    "entry %llu of unit %s does not follow the one that the hub showed before",
		    (unsigned long long)p->no, j->unit);
	if (h->no < j->at.head || (h->no == j->at.head && !lt_hash_eq(hash, &j->at.head_hash)))
		return lt_err_set(err, LT_E_BADHASH,
		    "head %llu of the audit is another than the one that the hub showed before",
		    (unsigned long long)h->no);
	return LT_OK;
}

static int
take_one(struct take_job *j, const Ltpb__AuditShown *m, const uint8_t key[32],
    const struct lt_id *hub, uint32_t key_no, bool known, struct lt_err *err)
{
	struct lt_audit_entry entry;
	struct lt_audit_part part;
	struct lt_audit_head head;
	struct lt_hash hash;
	int rc = check(j->n, m, key, &entry, &part, &head, err);

	if (rc != LT_OK)
		return rc;
	if (!lt_id_eq(&head.hub, hub) || head.key_no != key_no)
		return lt_err_set(
		    err, LT_E_BADSIG, "a head of the audit is of another key than its certificate");
	lt_h1(LT_TAG_AUDIT_HEAD, lt_slice(m->head.data, m->head.len), &hash);
	rc = follows(j, &part, &head, &hash, known, err);
	if (rc != LT_OK)
		return rc;
	rc = lt_wire_pack(&m->base, SHOWN_MAX, new_row(j, LT_NODE_AUDIT_SHOWN));
	if (rc != LT_OK)
		return lt_err_set(err, rc, "an entry of the audit is too large");
	lt_audit_leaf(m->part_salt.data, lt_slice(m->part.data, m->part.len), &j->at.prev);
	j->at.next++;
	j->at.head = head.no;
	j->at.head_hash = hash;
	return LT_OK;
}

static int
take_all(struct take_job *j, struct lt_err *err)
{
	const Ltpb__AuditUnitReply *r = j->r;
	bool known = true;
	uint8_t key[32];
	struct lt_id hub;
	uint32_t key_no;
	size_t i;
	int rc = key_of(j->n, r, key, &hub, &key_no, err);

	if (rc == LT_OK && r->first < j->at.next)
		rc = lt_err_set(err, LT_E_BADHASH, "the hub shows entries that were not asked for");
	if (rc != LT_OK)
		return rc;
	if (r->first > j->at.next) {
		missing(j, j->at.next, r->first - 1);
		j->at.next = r->first;
		known = false;
	}
	for (i = 0; rc == LT_OK && i < r->n_shown; i++, known = true)
		rc = take_one(j, r->shown[i], key, &hub, key_no, known, err);
	return rc;
}

static int
run_take(struct lt_kv_txn *txn, void *ctx)
{
	struct take_job *j = ctx;
	struct lt_node_audit_at at = j->at;
	char name[NAME_MAX_LEN];
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < j->nrow; i++) {
		row_name(j->unit, at.next_row++, name);
		rc = j->row[i].err != LT_OK ? j->row[i].err
					    : lt_local_put(txn, name, lt_buf_slice(&j->row[i]));
	}
	while (rc == LT_OK && at.next_row - at.first_row > LT_NODE_AUDIT_ROWS) {
		row_name(j->unit, at.first_row++, name);
		rc = lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(name));
		if (rc == LT_E_NOTFOUND)
			rc = LT_OK;
	}
	return rc == LT_OK ? at_write(txn, j->unit, &at) : rc;
}

static void
contradict(struct take_job *j, const struct lt_err *err)
{
	lt_error("the hub's read audit does not hold: %s; tell the province's operator and keep "
		 "this machine's data",
	    err->text);
	j->at.contradicted = true;
	lt_buf_u64(new_row(j, LT_NODE_AUDIT_FALSE), j->at.next);
}

int
lt_node_audit_take(
    struct lt_node *n, const char *unit, const Ltpb__AuditUnitReply *reply, struct lt_err *err)
{
	struct take_job j = { .n = n, .unit = unit, .r = reply };
	struct lt_err own = { "" };
	size_t i;
	int rc = lt_node_audit_at(n, unit, &j.at), kept;

	if (err == NULL)
		err = &own;
	if (rc != LT_OK || reply->n_shown == 0)
		return rc;
	/* Another log: a hub that was restored, or lost the one before. */
	if (j.at.log != reply->log || j.at.next == 0) {
		j.at.log = reply->log;
		j.at.next = 1;
		j.at.head = 0;
		memset(&j.at.prev, 0, sizeof(j.at.prev));
		j.at.contradicted = false;
	}
	if (j.at.contradicted)
		return LT_OK;
	j.row = calloc(reply->n_shown + 2, sizeof(*j.row));
	if (j.row == NULL)
		return LT_E_NOMEM;
	rc = take_all(&j, err);
	if (rc != LT_OK && rc != LT_E_NOMEM)
		contradict(&j, err);
	kept = lt_writer_run(n->writer, run_take, &j);
	for (i = 0; i < j.nrow; i++)
		lt_buf_fini(&j.row[i]);
	free(j.row);
	return rc != LT_OK ? rc : kept;
}

bool
lt_node_audit_more(
    const struct lt_node_audit_at *before, const struct lt_node_audit_at *after, bool more)
{
	return more && !after->contradicted &&
	       (after->log != before->log || after->next > before->next);
}

/* ---- reading ---- */

static int
read_shown(struct lt_slice bytes, struct lt_node_audit_entry *out)
{
	struct lt_arena arena;
	ProtobufCMessage *m;
	const Ltpb__AuditShown *s;
	int rc;

	lt_arena_init(&arena, lt_arena_cap_for(bytes.len));
	rc = lt_wire_unpack(&ltpb__audit_shown__descriptor, bytes, SHOWN_MAX, &arena, &m, NULL);
	s = (const Ltpb__AuditShown *)m;
	if (rc == LT_OK)
		rc = lt_audit_entry_read(lt_slice(s->entry.data, s->entry.len), &out->entry);
	if (rc == LT_OK)
		rc = lt_audit_part_read(lt_slice(s->part.data, s->part.len), &out->part);
	out->shown = bytes;
	lt_arena_fini(&arena);
	return rc == LT_OK ? LT_OK : LT_E_CORRUPT;
}

static int
read_row(struct lt_slice v, struct lt_node_audit_entry *out)
{
	struct lt_reader r;

	memset(out, 0, sizeof(*out));
	lt_reader_init(&r, v);
	out->row = (enum lt_node_audit_row)lt_read_u8(&r);
	out->log = lt_read_u64(&r);
	if (r.err != LT_OK)
		return LT_E_CORRUPT;
	if (out->row == LT_NODE_AUDIT_SHOWN)
		return read_shown(lt_slice(r.p, lt_reader_left(&r)), out);
	out->from = lt_read_u64(&r);
	if (out->row == LT_NODE_AUDIT_MISSING)
		out->to = lt_read_u64(&r);
	return r.err == LT_OK && out->row <= LT_NODE_AUDIT_FALSE ? LT_OK : LT_E_CORRUPT;
}

int
lt_node_audit_each(struct lt_kv_txn *txn, const char *unit,
    int (*fn)(void *ctx, const struct lt_node_audit_entry *e), void *ctx)
{
	struct lt_node_audit_at at;
	uint64_t i;
	int rc = at_read(txn, unit, &at);

	for (i = at.first_row; rc == LT_OK && i < at.next_row; i++) {
		struct lt_node_audit_entry e;
		char name[NAME_MAX_LEN];
		struct lt_slice v;

		row_name(unit, i, name);
		rc = lt_local_get(txn, name, &v);
		if (rc == LT_OK)
			rc = read_row(v, &e);
		if (rc == LT_OK)
			rc = fn(ctx, &e);
		if (rc == LT_E_NOTFOUND)
			rc = LT_E_CORRUPT;
	}
	return rc == LT_E_CANCELLED ? LT_OK : rc;
}
