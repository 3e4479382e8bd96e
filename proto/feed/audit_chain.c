/* The read audit's chain: every frame is held against those before it. */
#include "proto/feed/audit.h"

#include <assert.h>
#include <stdlib.h>

void
lt_audit_chain_fini(struct lt_audit_chain *c)
{
	free(c->unit);
	free(c->open);
	memset(c, 0, sizeof(*c));
}

/* The place of a unit, or where it would stand. */
static size_t
place_of(const struct lt_audit_chain *c, const char *unit, bool *there)
{
	size_t lo = 0, hi = c->nunit;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(c->unit[mid].unit, unit) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*there = lo < c->nunit && strcmp(c->unit[lo].unit, unit) == 0;
	return lo;
}

const struct lt_audit_unit *
lt_audit_chain_unit(const struct lt_audit_chain *c, const char *unit)
{
	bool there;
	size_t at = place_of(c, unit, &there);

	return there ? &c->unit[at] : NULL;
}

int
lt_audit_chain_reserve(struct lt_audit_chain *c, size_t more)
{
	size_t cap = c->cap == 0 ? 256 : c->cap;
	struct lt_audit_unit *unit;

	if (more > LT_AUDIT_UNITS_MAX - c->nunit)
		return LT_E_TOOBIG;
	if (c->nunit + more <= c->cap)
		return LT_OK;
	while (cap < c->nunit + more)
		cap *= 2;
	unit = realloc(c->unit, cap * sizeof(*unit));
	if (unit == NULL)
		return LT_E_NOMEM;
	c->unit = unit;
	c->cap = cap;
	return LT_OK;
}

static int
set_unit(struct lt_audit_chain *c, const char *unit, uint64_t no, const struct lt_hash *leaf)
{
	bool there;
	size_t at = place_of(c, unit, &there);
	int rc = there ? LT_OK : lt_audit_chain_reserve(c, 1);

	if (rc != LT_OK)
		return rc;
	assert(c->unit != NULL);
	if (!there) {
		memmove(&c->unit[at + 1], &c->unit[at], (c->nunit - at) * sizeof(*c->unit));
		c->nunit++;
		memset(&c->unit[at], 0, sizeof(c->unit[at]));
		lt_slice_to_text(c->unit[at].unit, sizeof(c->unit[at].unit), lt_slice_str(unit));
	}
	c->unit[at].no = no;
	c->unit[at].leaf = *leaf;
	return LT_OK;
}

/* ---- start ---- */

static int
key_of(struct lt_audit_chain *c, const struct lt_audit_start *s, const uint8_t root_key[32],
    struct lt_err *err)
{
	Ltpb__CertificateBody *body;
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, lt_arena_cap_for(s->certificate.len));
	rc = lt_certificate_verify(s->certificate, root_key, &s->federation, &arena, &body, err);
	if (rc == LT_OK && (body->role != LTPB__ROLE__ROLE_HUB || body->key_no != s->key_no ||
			       body->principal.len != LT_ID_LEN ||
			       memcmp(body->principal.data, s->hub.b, LT_ID_LEN) != 0))
		rc = lt_err_both(err, LT_E_BADSIG,
		    "the certificate in the audit is not that of its hub's key",
		    "chứng thư trong nhật ký không phải của khóa đầu mối đã ghi nhật ký");
	if (rc == LT_OK)
		memcpy(c->sign_key, body->sign_key.data, sizeof(c->sign_key));
	lt_arena_fini(&arena);
	return rc;
}

/* The table in a start: the chain's own at this place, or, in the first one there is, what it begins with. */
static int
take_units(struct lt_audit_chain *c, const struct lt_audit_start *s, bool known, struct lt_err *err)
{
	struct lt_reader r;
	char last[LT_UNIT_MAX + 1] = "", unit[LT_UNIT_MAX + 1];
	uint32_t i;
	int rc = LT_OK;

	if (known && s->nunits != c->nunit)
		return lt_err_both(err, LT_E_BADHASH, "the table of units is not what the log says",
		    "bảng đơn vị không khớp với nhật ký");
	if (!known)
		c->nunit = 0;
	lt_reader_init(&r, s->units);
	for (i = 0; rc == LT_OK && i < s->nunits; i++) {
		struct lt_slice name = lt_read_framed8(&r), h;
		uint64_t no = lt_read_u64(&r);
		struct lt_hash leaf;

		h = lt_read_bytes(&r, LT_HASH_LEN);
		if (r.err != LT_OK || name.len == 0 || name.len > LT_UNIT_MAX)
			return lt_err_both(err, LT_E_INVALID, "a table of units is malformed",
			    "bảng đơn vị sai định dạng");
		lt_slice_to_text(unit, sizeof(unit), name);
		memcpy(leaf.b, h.data, LT_HASH_LEN);
		if (strlen(unit) != name.len || !lt_audit_unit_valid(unit) ||
		    strcmp(unit, last) <= 0)
			return lt_err_both(err, LT_E_INVALID, "a table of units is malformed",
			    "bảng đơn vị sai định dạng");
		memcpy(last, unit, sizeof(last));
		if (!known)
			rc = set_unit(c, unit, no, &leaf);
		else if (strcmp(c->unit[i].unit, unit) != 0 || c->unit[i].no != no ||
			 !lt_hash_eq(&c->unit[i].leaf, &leaf))
			rc = lt_err_both(err, LT_E_BADHASH,
			    "the table of units is not what the log says",
			    "bảng đơn vị không khớp với nhật ký");
	}
	if (rc == LT_OK && lt_reader_left(&r) != 0)
		rc = lt_err_both(err, LT_E_INVALID, "a table of units is malformed",
		    "bảng đơn vị sai định dạng");
	return rc;
}

static int
goes_on(const struct lt_audit_chain *c, const struct lt_audit_start *s, struct lt_err *err)
{
	if (c->begun && s->segment != c->at.segment + 1)
		return lt_err_both(err, LT_E_GAP, "file %llu is missing: %llu follows %llu",
		    "thiếu tệp %llu: %llu đứng ngay sau %llu",
		    (unsigned long long)c->at.segment + 1, (unsigned long long)s->segment,
		    (unsigned long long)c->at.segment);
	if (c->begun && s->log == c->at.log) {
		if (c->nopen != 0)
			return lt_err_both(err, LT_E_BADHASH,
			    "the head over the last %u entries of a file is missing",
			    "thiếu đầu chuỗi trên %u mục cuối của một tệp", c->nopen);
		if (!lt_hash_eq(&s->prev, &c->prev) || s->next_seq != c->next_seq ||
		    s->next_head != c->next_head)
			return lt_err_both(err, LT_E_BADHASH,
			    "a file does not go on where the one before it ends",
			    "một tệp không nối tiếp tệp trước nó");
	} else if (c->begun && (s->next_seq != 1 || s->next_head != 1 || s->nunits != 0)) {
		return lt_err_both(err, LT_E_BADHASH,
		    "another log begins, and not with its first entry",
		    "một nhật ký khác bắt đầu mà không từ mục đầu tiên của nó");
	}
	return LT_OK;
}

static int
add_start(struct lt_audit_chain *c, struct lt_slice payload, const uint8_t root_key[32],
    struct lt_err *err)
{
	struct lt_slice body, sig;
	struct lt_audit_start s;
	bool known;
	int rc;

	if (lt_audit_signed_read(payload, &body, &sig) != LT_OK ||
	    lt_audit_start_read(body, &s) != LT_OK)
		return lt_err_both(err, LT_E_INVALID, "the start of a file is malformed",
		    "phần đầu của một tệp sai định dạng");
	rc = key_of(c, &s, root_key, err);
	if (rc != LT_OK)
		return rc;
	if (lt_sign_verify(c->sign_key, LT_TAG_AUDIT_START, body, sig) != LT_OK)
		return lt_err_both(err, LT_E_BADSIG,
		    "the start of a file is not signed by the hub's key",
		    "phần đầu của một tệp không được ký bằng khóa của đầu mối");
	rc = goes_on(c, &s, err);
	known = c->begun && s.log == c->at.log;
	if (rc == LT_OK)
		rc = take_units(c, &s, known, err);
	if (rc != LT_OK)
		return rc;
	if (c->open == NULL && (c->open = malloc(LT_AUDIT_ENTRIES_MAX * sizeof(*c->open))) == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	c->begun = true;
	c->at = s;
	c->at.certificate = c->at.units = lt_slice(NULL, 0);
	c->next_seq = s.next_seq;
	c->next_head = s.next_head;
	c->nopen = 0;
	lt_h1(LT_TAG_AUDIT_START, body, &c->prev);
	return LT_OK;
}

/* ---- entry ---- */

static int
take_parts(struct lt_audit_chain *c, const struct lt_audit_full *e, bool check)
{
	struct lt_reader r;
	unsigned i;
	int rc = LT_OK;

	lt_reader_init(&r, e->parts);
	for (i = 0; rc == LT_OK && i < e->entry.nparts; i++) {
		struct lt_slice bytes = lt_read_framed(&r);
		const struct lt_audit_unit *u;
		struct lt_audit_part p;
		uint8_t salt[LT_AUDIT_SALT];
		struct lt_hash leaf, none = { { 0 } };

		if (lt_audit_part_read(bytes, &p) != LT_OK)
			return LT_E_INVALID;
		u = lt_audit_chain_unit(c, p.unit);
		if (check && (p.no != (u == NULL ? 1 : u->no + 1) ||
				 !lt_hash_eq(&p.prev, u == NULL ? &none : &u->leaf)))
			return LT_E_BADHASH;
		lt_audit_part_salt(e->salt, i, salt);
		lt_audit_leaf(salt, bytes, &leaf);
		rc = set_unit(c, p.unit, p.no, &leaf);
	}
	return rc;
}

static int
take_entry(struct lt_audit_chain *c, const struct lt_audit_full *e, bool check)
{
	int rc = take_parts(c, e, check);

	if (rc != LT_OK)
		return rc;
	lt_h1(LT_TAG_AUDIT, e->bytes, &c->open[c->nopen++]);
	c->next_seq++;
	return LT_OK;
}

int
lt_audit_chain_made(struct lt_audit_chain *c, const struct lt_audit_full *e)
{
	return take_entry(c, e, false);
}

static int
add_entry(struct lt_audit_chain *c, struct lt_slice payload, struct lt_err *err)
{
	struct lt_audit_full e;
	int rc;

	if (lt_audit_full_read(payload, &e) != LT_OK)
		return lt_err_both(err, LT_E_INVALID, "entry %llu is malformed or was altered",
		    "mục %llu sai định dạng hoặc đã bị sửa", (unsigned long long)c->next_seq);
	if (e.entry.seq != c->next_seq)
		return lt_err_both(err, LT_E_GAP, "entry %llu stands where %llu belongs",
		    "mục %llu nằm ở chỗ của mục %llu", (unsigned long long)e.entry.seq,
		    (unsigned long long)c->next_seq);
	if (c->nopen == LT_AUDIT_ENTRIES_MAX)
		return lt_err_both(err, LT_E_INVALID, "no head stands behind %d entries",
		    "không có đầu chuỗi nào sau %d mục", LT_AUDIT_ENTRIES_MAX);
	rc = take_entry(c, &e, true);
	return rc == LT_OK ? LT_OK
			   : lt_err_both(err, rc,
				 "entry %llu has a part that does not follow the one before it of "
				 "its unit",
				 "mục %llu có một phần không nối tiếp phần trước của đơn vị đó",
				 (unsigned long long)e.entry.seq);
}

/* ---- head ---- */

void
lt_audit_chain_sealed(struct lt_audit_chain *c, struct lt_slice head_body)
{
	lt_h1(LT_TAG_AUDIT_HEAD, head_body, &c->prev);
	c->next_head++;
	c->nopen = 0;
}

static int
add_head(struct lt_audit_chain *c, struct lt_slice payload, struct lt_err *err)
{
	struct lt_slice body, sig;
	struct lt_audit_head h;
	struct lt_hash root;

	if (lt_audit_signed_read(payload, &body, &sig) != LT_OK ||
	    lt_audit_head_read(body, &h) != LT_OK)
		return lt_err_both(err, LT_E_INVALID, "head %llu is malformed",
		    "đầu chuỗi %llu sai định dạng", (unsigned long long)c->next_head);
	if (lt_sign_verify(c->sign_key, LT_TAG_AUDIT_HEAD, body, sig) != LT_OK)
		return lt_err_both(err, LT_E_BADSIG, "head %llu is not signed by the hub's key",
		    "đầu chuỗi %llu không được ký bằng khóa của đầu mối",
		    (unsigned long long)c->next_head);
	if (h.no != c->next_head)
		return lt_err_both(err, LT_E_GAP, "head %llu stands where %llu belongs",
		    "đầu chuỗi %llu nằm ở chỗ của đầu chuỗi %llu", (unsigned long long)h.no,
		    (unsigned long long)c->next_head);
	lt_merkle_root(c->open, c->nopen, &root);
	if (h.log != c->at.log || h.key_no != c->at.key_no ||
	    memcmp(h.federation.b, c->at.federation.b, LT_FED_LEN) != 0 ||
	    !lt_id_eq(&h.hub, &c->at.hub) || !lt_hash_eq(&h.prev, &c->prev) ||
	    h.count != c->nopen || h.first != c->next_seq - c->nopen || !lt_hash_eq(&h.root, &root))
		return lt_err_both(err, LT_E_BADHASH,
		    "the entries under head %llu are not those that were signed",
		    "các mục dưới đầu chuỗi %llu không phải các mục đã ký",
		    (unsigned long long)h.no);
	lt_audit_chain_sealed(c, body);
	return LT_OK;
}

int
lt_audit_chain_add(struct lt_audit_chain *c, enum lt_audit_frame type, struct lt_slice payload,
    const uint8_t root_key[32], struct lt_err *err)
{
	if (type == LT_AUDIT_START)
		return add_start(c, payload, root_key, err);
	if (!c->begun)
		return lt_err_both(
		    err, LT_E_INVALID, "a file has no start", "một tệp không có phần đầu");
	if (type == LT_AUDIT_ENTRY)
		return add_entry(c, payload, err);
	if (type == LT_AUDIT_HEAD)
		return add_head(c, payload, err);
	return lt_err_both(
	    err, LT_E_INVALID, "a frame is of no known type", "một khung thuộc loại không biết");
}
