/* The read audit: entries, parts and frames as bytes. */
#include "proto/feed/audit.h"

#include "proto/base/text.h"

#define VERSION 1
#define CHECK 8

bool
lt_audit_unit_valid(const char *unit)
{
	return strcmp(unit, "*") == 0 || lt_unit_valid(unit);
}

/* A text of the log: printable ASCII, for it is shown as it stands. */
static int
read_text(struct lt_reader *r, char *out, size_t max)
{
	struct lt_slice s = lt_read_framed8(r);
	size_t i;

	if (r->err != LT_OK || s.len > max)
		return LT_E_INVALID;
	for (i = 0; i < s.len; i++)
		if (s.data[i] <= ' ' || s.data[i] > '~')
			return LT_E_INVALID;
	lt_slice_to_text(out, max + 1, s);
	return LT_OK;
}

static void
read_into(struct lt_reader *r, void *out, size_t n)
{
	struct lt_slice s = lt_read_bytes(r, n);

	if (r->err == LT_OK)
		memcpy(out, s.data, n);
}

static int
read_end(const struct lt_reader *r)
{
	return r->err == LT_OK && lt_reader_left(r) == 0 ? LT_OK : LT_E_INVALID;
}

/* ---- entry ---- */

void
lt_audit_entry_put(struct lt_buf *b, const struct lt_audit_entry *e)
{
	uint8_t who[LT_ID_LEN] = { 0 };

	if (e->who.kind == LT_AUDIT_PRINCIPAL)
		memcpy(who, e->who.id.b, LT_ID_LEN);
	else if (e->who.kind == LT_AUDIT_LOCAL)
		lt_store_u64(who + 8, e->who.uid);
	lt_buf_u8(b, VERSION);
	lt_buf_u8(b, (uint8_t)e->kind);
	lt_buf_u64(b, e->seq);
	lt_buf_u64(b, (uint64_t)e->time_ms);
	lt_buf_u64(b, (uint64_t)e->until_ms);
	lt_buf_u32(b, e->count);
	lt_buf_u8(b, (uint8_t)e->who.kind);
	lt_buf_put(b, who, sizeof(who));
	lt_buf_framed8(b, lt_slice_str(e->method));
	lt_buf_u8(b, e->status);
	lt_buf_put(b, e->query.b, LT_HASH_LEN);
	lt_buf_u16(b, e->nparts);
	lt_buf_put(b, e->parts_root.b, LT_HASH_LEN);
}

static int
read_who(struct lt_reader *r, struct lt_audit_who *who)
{
	static const uint8_t zero[LT_ID_LEN];
	uint8_t kind = lt_read_u8(r), id[LT_ID_LEN] = { 0 };

	read_into(r, id, sizeof(id));
	who->kind = (enum lt_audit_asker)kind;
	if (kind == LT_AUDIT_PRINCIPAL) {
		memcpy(who->id.b, id, LT_ID_LEN);
		return LT_OK;
	}
	if (kind > LT_AUDIT_LOCAL || memcmp(id, zero, kind == LT_AUDIT_LOCAL ? 8 : LT_ID_LEN) != 0)
		return LT_E_INVALID;
	who->uid = lt_load_u64(id + 8);
	return LT_OK;
}

int
lt_audit_entry_read(struct lt_slice bytes, struct lt_audit_entry *out)
{
	struct lt_reader r;
	uint8_t version, kind;

	memset(out, 0, sizeof(*out));
	lt_reader_init(&r, bytes);
	version = lt_read_u8(&r);
	kind = lt_read_u8(&r);
	out->kind = (enum lt_audit_kind)kind;
	out->seq = lt_read_u64(&r);
	out->time_ms = (int64_t)lt_read_u64(&r);
	out->until_ms = (int64_t)lt_read_u64(&r);
	out->count = lt_read_u32(&r);
	if (r.err != LT_OK || version != VERSION || kind < LT_AUDIT_READ || kind > LT_AUDIT_GAP ||
	    out->seq == 0 || read_who(&r, &out->who) != LT_OK ||
	    read_text(&r, out->method, LT_AUDIT_METHOD_MAX) != LT_OK)
		return LT_E_INVALID;
	out->status = lt_read_u8(&r);
	read_into(&r, out->query.b, LT_HASH_LEN);
	out->nparts = lt_read_u16(&r);
	read_into(&r, out->parts_root.b, LT_HASH_LEN);
	return out->nparts <= LT_AUDIT_PARTS_MAX ? read_end(&r) : LT_E_INVALID;
}

/* ---- part ---- */

void
lt_audit_part_put(struct lt_buf *b, const struct lt_audit_part *p)
{
	size_t i;

	lt_buf_framed8(b, lt_slice_str(p->unit));
	lt_buf_u64(b, p->no);
	lt_buf_put(b, p->prev.b, LT_HASH_LEN);
	lt_buf_u32(b, p->rows);
	lt_buf_u32(b, p->masked);
	lt_buf_u32(b, p->withheld);
	lt_buf_u8(b, p->ncollection);
	for (i = 0; i < p->ncollection; i++)
		lt_buf_framed8(b, lt_slice_str(p->collection[i]));
}

int
lt_audit_part_read(struct lt_slice bytes, struct lt_audit_part *out)
{
	struct lt_reader r;
	size_t i;

	memset(out, 0, sizeof(*out));
	lt_reader_init(&r, bytes);
	if (read_text(&r, out->unit, LT_UNIT_MAX) != LT_OK || !lt_audit_unit_valid(out->unit))
		return LT_E_INVALID;
	out->no = lt_read_u64(&r);
	read_into(&r, out->prev.b, LT_HASH_LEN);
	out->rows = lt_read_u32(&r);
	out->masked = lt_read_u32(&r);
	out->withheld = lt_read_u32(&r);
	out->ncollection = lt_read_u8(&r);
	if (r.err != LT_OK || out->no == 0 || out->ncollection > LT_AUDIT_COLLECTIONS_MAX)
		return LT_E_INVALID;
	for (i = 0; i < out->ncollection; i++)
		if (read_text(&r, out->collection[i], LT_NAME_MAX) != LT_OK)
			return LT_E_INVALID;
	return read_end(&r);
}

void
lt_audit_part_salt(
    const uint8_t entry_salt[LT_AUDIT_SALT], uint32_t index, uint8_t out[LT_AUDIT_SALT])
{
	uint8_t in[1 + sizeof(LT_TAG_AUDIT_SALT) - 1 + 4];

	in[0] = sizeof(LT_TAG_AUDIT_SALT) - 1;
	memcpy(in + 1, LT_TAG_AUDIT_SALT, sizeof(LT_TAG_AUDIT_SALT) - 1);
	lt_store_u32(in + sizeof(LT_TAG_AUDIT_SALT), index);
	(void)crypto_generichash_blake2b(
	    out, LT_AUDIT_SALT, in, sizeof(in), entry_salt, LT_AUDIT_SALT);
}

void
lt_audit_leaf(const uint8_t part_salt[LT_AUDIT_SALT], struct lt_slice part, struct lt_hash *out)
{
	const struct lt_slice in[] = { lt_slice(part_salt, LT_AUDIT_SALT), part };

	lt_h(LT_TAG_AUDIT_PART, in, 2, out);
}

void
lt_audit_commit(const uint8_t entry_salt[LT_AUDIT_SALT], const char *method, struct lt_slice query,
    struct lt_hash *out)
{
	const struct lt_slice name = lt_slice_str(method);
	uint8_t len[4];
	struct lt_slice in[] = { lt_slice(entry_salt, LT_AUDIT_SALT), lt_slice(len, sizeof(len)),
		name, query };

	lt_store_u32(len, (uint32_t)name.len);
	lt_h(LT_TAG_AUDIT_QUERY, in, 4, out);
}

/* ---- frames ---- */

static void
check_of(uint8_t type, struct lt_slice payload, uint8_t out[CHECK])
{
	const struct lt_slice in[] = { lt_slice(&type, 1), payload };
	struct lt_hash h;

	lt_h(LT_TAG_AUDIT_FRAME, in, 2, &h);
	memcpy(out, h.b, CHECK);
}

void
lt_audit_frame_put(struct lt_buf *b, enum lt_audit_frame type, struct lt_slice payload)
{
	uint8_t check[CHECK];

	check_of((uint8_t)type, payload, check);
	lt_buf_u32(b, (uint32_t)payload.len);
	lt_buf_u8(b, (uint8_t)type);
	lt_buf_put_slice(b, payload);
	lt_buf_put(b, check, CHECK);
}

int
lt_audit_frame_read(
    struct lt_slice bytes, enum lt_audit_frame *type, struct lt_slice *payload, size_t *used)
{
	uint8_t check[CHECK];
	size_t len;

	if (bytes.len < 4)
		return LT_E_GAP;
	len = lt_load_u32(bytes.data);
	if (len > LT_AUDIT_FRAME_MAX)
		return LT_E_CORRUPT;
	if (bytes.len < 5 + len + CHECK)
		return LT_E_GAP;
	*payload = lt_slice(bytes.data + 5, len);
	check_of(bytes.data[4], *payload, check);
	if (memcmp(check, bytes.data + 5 + len, CHECK) != 0)
		return LT_E_CORRUPT;
	*type = (enum lt_audit_frame)bytes.data[4];
	*used = 5 + len + CHECK;
	return LT_OK;
}

int
lt_audit_full_read(struct lt_slice payload, struct lt_audit_full *out)
{
	struct lt_reader r;
	struct lt_merkle m;
	struct lt_hash root;
	const uint8_t *from;
	unsigned i;

	memset(out, 0, sizeof(*out));
	lt_reader_init(&r, payload);
	out->bytes = lt_read_framed(&r);
	out->salt = lt_read_bytes(&r, LT_AUDIT_SALT).data;
	if (r.err != LT_OK || lt_audit_entry_read(out->bytes, &out->entry) != LT_OK)
		return LT_E_INVALID;
	lt_merkle_init(&m);
	from = r.p;
	for (i = 0; i < out->entry.nparts; i++) {
		struct lt_slice part = lt_read_framed(&r);
		uint8_t salt[LT_AUDIT_SALT];
		struct lt_hash leaf;

		if (r.err != LT_OK)
			return LT_E_INVALID;
		lt_audit_part_salt(out->salt, i, salt);
		lt_audit_leaf(salt, part, &leaf);
		lt_merkle_add(&m, &leaf);
	}
	out->parts = lt_slice(from, (size_t)(r.p - from));
	lt_merkle_end(&m, &root);
	return lt_hash_eq(&root, &out->entry.parts_root) ? read_end(&r) : LT_E_INVALID;
}

/* What a head and a start both begin with: whose they are. */
static void
put_whose(struct lt_buf *b, const struct lt_fed *fed, const struct lt_id *hub, uint32_t key_no)
{
	lt_buf_u8(b, VERSION);
	lt_buf_put(b, fed->b, LT_FED_LEN);
	lt_buf_put(b, hub->b, LT_ID_LEN);
	lt_buf_u32(b, key_no);
}

static void
read_whose(struct lt_reader *r, struct lt_fed *fed, struct lt_id *hub, uint32_t *key_no)
{
	if (lt_read_u8(r) != VERSION)
		r->err = LT_E_INVALID;
	read_into(r, fed->b, LT_FED_LEN);
	read_into(r, hub->b, LT_ID_LEN);
	*key_no = lt_read_u32(r);
}

void
lt_audit_head_put(struct lt_buf *b, const struct lt_audit_head *h)
{
	put_whose(b, &h->federation, &h->hub, h->key_no);
	lt_buf_u64(b, h->log);
	lt_buf_u64(b, h->no);
	lt_buf_u64(b, h->first);
	lt_buf_u32(b, h->count);
	lt_buf_put(b, h->root.b, LT_HASH_LEN);
	lt_buf_put(b, h->prev.b, LT_HASH_LEN);
	lt_buf_u64(b, (uint64_t)h->time_ms);
}

int
lt_audit_head_read(struct lt_slice body, struct lt_audit_head *out)
{
	struct lt_reader r;

	memset(out, 0, sizeof(*out));
	lt_reader_init(&r, body);
	read_whose(&r, &out->federation, &out->hub, &out->key_no);
	out->log = lt_read_u64(&r);
	out->no = lt_read_u64(&r);
	out->first = lt_read_u64(&r);
	out->count = lt_read_u32(&r);
	read_into(&r, out->root.b, LT_HASH_LEN);
	read_into(&r, out->prev.b, LT_HASH_LEN);
	out->time_ms = (int64_t)lt_read_u64(&r);
	if (out->no == 0 || out->first == 0 || out->count == 0 || out->count > LT_AUDIT_ENTRIES_MAX)
		return LT_E_INVALID;
	return read_end(&r);
}

void
lt_audit_start_put(struct lt_buf *b, const struct lt_audit_start *s)
{
	put_whose(b, &s->federation, &s->hub, s->key_no);
	lt_buf_framed(b, s->certificate);
	lt_buf_u64(b, s->log);
	lt_buf_u64(b, s->segment);
	lt_buf_u64(b, s->next_seq);
	lt_buf_u64(b, s->next_head);
	lt_buf_put(b, s->prev.b, LT_HASH_LEN);
	lt_buf_u64(b, (uint64_t)s->time_ms);
	lt_buf_u32(b, s->nunits);
	lt_buf_put_slice(b, s->units);
}

int
lt_audit_start_read(struct lt_slice body, struct lt_audit_start *out)
{
	struct lt_reader r;

	memset(out, 0, sizeof(*out));
	lt_reader_init(&r, body);
	read_whose(&r, &out->federation, &out->hub, &out->key_no);
	out->certificate = lt_read_framed(&r);
	out->log = lt_read_u64(&r);
	out->segment = lt_read_u64(&r);
	out->next_seq = lt_read_u64(&r);
	out->next_head = lt_read_u64(&r);
	read_into(&r, out->prev.b, LT_HASH_LEN);
	out->time_ms = (int64_t)lt_read_u64(&r);
	out->nunits = lt_read_u32(&r);
	if (r.err != LT_OK || out->segment == 0 || out->next_seq == 0 || out->next_head == 0 ||
	    out->nunits > LT_AUDIT_UNITS_MAX)
		return LT_E_INVALID;
	out->units = lt_slice(r.p, lt_reader_left(&r));
	return LT_OK;
}

void
lt_audit_signed_put(
    struct lt_buf *b, const struct lt_sign_key *k, const char *tag, struct lt_slice body)
{
	uint8_t sig[LT_SIG_LEN];

	lt_sign(k, tag, body, sig);
	lt_buf_framed(b, body);
	lt_buf_put(b, sig, sizeof(sig));
}

int
lt_audit_signed_read(struct lt_slice payload, struct lt_slice *body, struct lt_slice *sig)
{
	struct lt_reader r;

	lt_reader_init(&r, payload);
	*body = lt_read_framed(&r);
	*sig = lt_read_bytes(&r, LT_SIG_LEN);
	return read_end(&r);
}

/* ---- a unit's part ---- */

static int
verify_paths(
    const struct lt_audit_shown *s, const struct lt_audit_entry *e, const struct lt_audit_head *h)
{
	struct lt_hash leaf, root;

	lt_audit_leaf(s->part_salt, s->part, &leaf);
	if (lt_merkle_path_root(&leaf, e->nparts, s->index, s->part_path, s->npart_path, &root) !=
		LT_OK ||
	    !lt_hash_eq(&root, &e->parts_root))
		return LT_E_BADHASH;
	if (e->seq < h->first || e->seq - h->first >= h->count)
		return LT_E_BADHASH;
	lt_h1(LT_TAG_AUDIT, s->entry, &leaf);
	if (lt_merkle_path_root(
		&leaf, h->count, (size_t)(e->seq - h->first), s->path, s->npath, &root) != LT_OK ||
	    !lt_hash_eq(&root, &h->root))
		return LT_E_BADHASH;
	return LT_OK;
}

int
lt_audit_shown_verify(const struct lt_audit_shown *s, const uint8_t sign_key[32],
    const struct lt_fed *fed, struct lt_audit_entry *entry, struct lt_audit_part *part,
    struct lt_audit_head *head, struct lt_err *err)
{
	if (lt_audit_entry_read(s->entry, entry) != LT_OK ||
	    lt_audit_part_read(s->part, part) != LT_OK ||
	    lt_audit_head_read(s->head, head) != LT_OK)
		return lt_err_both(err, LT_E_INVALID, "an entry of the audit is malformed",
		    "mục nhật ký truy cập sai định dạng");
	if (memcmp(head->federation.b, fed->b, LT_FED_LEN) != 0)
		return lt_err_both(err, LT_E_DENIED,
		    "an entry of the audit is of another federation",
		    "mục nhật ký truy cập thuộc liên thông khác");
	if (lt_sign_verify(sign_key, LT_TAG_AUDIT_HEAD, s->head, s->signature) != LT_OK)
		return lt_err_both(err, LT_E_BADSIG,
		    "a head of the audit is not signed by the hub's key",
		    "đầu chuỗi của nhật ký truy cập không được ký bằng khóa của đầu mối");
	if (verify_paths(s, entry, head) != LT_OK)
		return lt_err_both(err, LT_E_BADHASH,
		    "an entry of the audit does not lead to the head it came with",
		    "mục nhật ký truy cập không dẫn tới đầu chuỗi đi cùng nó");
	return LT_OK;
}
