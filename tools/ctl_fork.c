#include "tools/ctl_fork.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "tools/ctl.h"

#include <string.h>

#define HEX_MAX ((size_t)1024 * 1024)
#define LEAVES_MAX 1024
#define FORK_ARENA ((size_t)16 * 1024 * 1024)
#define CERT_MAX 4096

/* ---- making ---- */

static json_t *
hex_list(size_t n, const ProtobufCBinaryData *v)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(a, ctl_json_hex(v[i].data, v[i].len));
	return a;
}

static json_t *
branch_json(const Ltpb__Branch *b)
{
	json_t *o = json_object();

	json_object_set_new(o, "header", ctl_json_hex(b->header.data, b->header.len));
	json_object_set_new(o, "signature", ctl_json_hex(b->signature.data, b->signature.len));
	json_object_set_new(o, "leaves", hex_list(b->n_leaf, b->leaf));
	return o;
}

static json_t *
keys_json(const Ltpb__Fork *f)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < f->n_key; i++)
		json_array_append_new(
		    a, json_pack("{s:I, s:o}", "key_no", (json_int_t)f->key[i]->key_no, "sign_key",
			   ctl_json_hex(f->key[i]->sign_key.data, f->key[i]->sign_key.len)));
	return a;
}

/* NULL: it is no ChangeSet. */
static json_t *
ruling_json(const ProtobufCBinaryData *bytes)
{
	struct lt_arena arena;
	ProtobufCMessage *m;
	json_t *o = NULL;

	lt_arena_init(&arena, FORK_ARENA);
	if (lt_wire_unpack(&ltpb__change_set__descriptor, lt_slice(bytes->data, bytes->len),
		LT_MESSAGE_MAX, &arena, &m, NULL) == LT_OK) {
		const Ltpb__ChangeSet *cs = (const Ltpb__ChangeSet *)m;

		o = json_object();
		json_object_set_new(o, "header", ctl_json_hex(cs->header.data, cs->header.len));
		json_object_set_new(
		    o, "signature", ctl_json_hex(cs->signature.data, cs->signature.len));
		json_object_set_new(o, "changes", hex_list(cs->n_change, cs->change));
	}
	lt_arena_fini(&arena);
	return o;
}

json_t *
fork_file_make(const Ltpb__Fork *f, const uint8_t root_key[32], const uint8_t salt[16],
    struct lt_slice certificate, struct lt_err *err)
{
	json_t *o;

	if (f->counting == NULL || f->dropped == NULL) {
		(void)lt_err_set(err, LT_E_NOTFOUND, "%s",
		    T("only one of the two branches is here; the other one lies with the province, "
		      "or with the machine that signed it",
			"ở đây chỉ có một trong hai nhánh; nhánh kia ở tỉnh, hoặc ở máy đã ký"));
		return NULL;
	}
	if (f->ruling.len == 0) {
		(void)lt_err_set(err, LT_E_NOTFOUND, "%s",
		    T("the hub has not ruled yet; try again in a minute",
			"đầu mối chưa phán quyết; hãy thử lại sau một phút"));
		return NULL;
	}
	o = json_object();
	json_object_set_new(o, "format", json_string(FORK_FORMAT));
	json_object_set_new(o, "version", json_integer(1));
	json_object_set_new(o, "root_key", ctl_json_hex(root_key, 32));
	json_object_set_new(o, "salt", ctl_json_hex(salt, 16));
	json_object_set_new(o, "unit", ctl_json_text(f->unit));
	json_object_set_new(o, "feed", ctl_json_hex(f->feed.data, f->feed.len));
	json_object_set_new(o, "seq", json_integer((json_int_t)f->seq));
	json_object_set_new(o, "keys", keys_json(f));
	json_object_set_new(o, "counts", branch_json(f->counting));
	json_object_set_new(o, "other", branch_json(f->dropped));
	json_object_set_new(o, "certificate", ctl_json_hex(certificate.data, certificate.len));
	json_object_set_new(o, "ruling", ruling_json(&f->ruling));
	return o;
}

/* ---- checking ---- */

struct check {
	const json_t *file;
	struct lt_arena arena;
	struct lt_err *err;
	uint8_t root[32];
	struct lt_fed federation;
	struct fork_says *out;
	size_t nkey;
	struct lt_ruling_key key[LT_RULING_KEYS];
	bool used[LT_RULING_KEYS];
};

#define BAD(k, rc, en, vi) lt_err_set((k)->err, (rc), "%s", T(en, vi))

static int
damaged(struct check *k, const char *member)
{
	return lt_err_set(k->err, LT_E_INVALID,
	    T("the file is damaged, or no file of evidence: member \"%s\"",
		"tệp bị hỏng, hoặc không phải tệp chứng cứ: mục \"%s\""),
	    member);
}

/* Lower-case digits, one spelling. In the arena. */
static bool
from_hex(struct check *k, const json_t *v, size_t want, struct lt_slice *out)
{
	const char *hex = json_string_value(v);
	size_t n = hex != NULL ? json_string_length(v) : 0;
	uint8_t *p;

	if (n == 0 || n % 2 != 0 || n / 2 > HEX_MAX || (want != 0 && n / 2 != want) ||
	    strspn(hex, "0123456789abcdef") != n)
		return false;
	p = lt_arena_alloc(&k->arena, n / 2);
	if (p == NULL || lt_unhex(p, n / 2, hex) != LT_OK)
		return false;
	*out = lt_slice(p, n / 2);
	return true;
}

static bool
only(const json_t *o, const char *const *name, size_t n)
{
	size_t i;

	if (!json_is_object(o) || json_object_size(o) != n)
		return false;
	for (i = 0; i < n; i++)
		if (json_object_get(o, name[i]) == NULL)
			return false;
	return true;
}

bool
fork_file_root(const json_t *file, uint8_t root_key[32])
{
	const char *hex = json_string_value(json_object_get(file, "root_key"));

	return hex != NULL && lt_unhex(root_key, 32, hex) == LT_OK;
}

static int
take_root(struct check *k)
{
	struct lt_slice root, salt;

	if (!from_hex(k, json_object_get(k->file, "root_key"), 32, &root))
		return damaged(k, "root_key");
	if (!from_hex(k, json_object_get(k->file, "salt"), 16, &salt))
		return damaged(k, "salt");
	if (memcmp(root.data, k->root, 32) != 0)
		return BAD(k, LT_E_DENIED,
		    "it is of another federation: its root key is not the one that is trusted",
		    "tệp của liên thông khác: khóa gốc không phải khóa được tin");
	lt_federation_id(k->root, salt.data, &k->federation);
	return LT_OK;
}

static int
take_place(struct check *k)
{
	const char *unit = json_string_value(json_object_get(k->file, "unit"));
	const json_t *seq = json_object_get(k->file, "seq");
	struct lt_slice feed;

	if (unit == NULL || lt_unit_set(&k->out->unit, lt_slice_str(unit)) != LT_OK)
		return damaged(k, "unit");
	if (!from_hex(k, json_object_get(k->file, "feed"), LT_FEED_LEN, &feed))
		return damaged(k, "feed");
	memcpy(k->out->feed.b, feed.data, LT_FEED_LEN);
	if (!json_is_integer(seq) || json_integer_value(seq) < 1)
		return damaged(k, "seq");
	k->out->seq = (uint64_t)json_integer_value(seq);
	return LT_OK;
}

static int
take_keys(struct check *k)
{
	static const char *const names[] = { "key_no", "sign_key" };
	const json_t *list = json_object_get(k->file, "keys");
	size_t i;

	k->nkey = json_array_size(list);
	if (k->nkey == 0 || k->nkey > LT_RULING_KEYS)
		return damaged(k, "keys");
	for (i = 0; i < k->nkey; i++) {
		const json_t *o = json_array_get(list, i), *no = json_object_get(o, "key_no");
		struct lt_slice pk;

		if (!only(o, names, 2) || !json_is_integer(no) || json_integer_value(no) < 1 ||
		    json_integer_value(no) > UINT32_MAX ||
		    !from_hex(k, json_object_get(o, "sign_key"), 32, &pk))
			return damaged(k, "keys");
		k->key[i].no = (uint32_t)json_integer_value(no);
		memcpy(k->key[i].pk, pk.data, 32);
	}
	return LT_OK;
}

/* ---- a branch ---- */

struct head {
	uint64_t seq;
	struct lt_hash hash, prev;
};

static bool
names_feed(const struct check *k, const Ltpb__Header *h)
{
	const struct lt_feed_id *feed = &k->out->feed;

	return h->author.len == LT_ID_LEN && memcmp(h->author.data, feed->b, LT_ID_LEN) == 0 &&
	       (unsigned)h->lane == feed->b[LT_ID_LEN] && h->epoch == lt_feed_epoch(feed) &&
	       strcmp(h->unit, k->out->unit.s) == 0;
}

static int
check_leaves(struct check *k, const json_t *list, const Ltpb__Header *h)
{
	struct lt_hash *leaf = lt_arena_alloc(&k->arena, LEAVES_MAX * sizeof(*leaf)), root;
	size_t n = json_array_size(list), i;
	struct lt_slice s;

	if (leaf == NULL)
		return LT_E_NOMEM;
	if (n == 0 || n > LEAVES_MAX || n != h->change_count)
		return damaged(k, "leaves");
	for (i = 0; i < n; i++) {
		if (!from_hex(k, json_array_get(list, i), LT_HASH_LEN, &s))
			return damaged(k, "leaves");
		memcpy(leaf[i].b, s.data, LT_HASH_LEN);
	}
	lt_merkle_root(leaf, n, &root);
	if (h->changes_root.len != LT_HASH_LEN ||
	    memcmp(root.b, h->changes_root.data, LT_HASH_LEN) != 0)
		return BAD(k, LT_E_BADHASH, "the hashes of the changes are not those of the header",
		    "băm của các thay đổi không khớp với phần đầu gói");
	return LT_OK;
}

static int
check_signed(
    struct check *k, struct lt_slice header, struct lt_slice signature, const Ltpb__Header *h)
{
	size_t i;

	for (i = 0; i < k->nkey; i++)
		if (k->key[i].no == h->key_no)
			break;
	if (i == k->nkey)
		return BAD(k, LT_E_BADSIG, "a branch is signed with a key that the file lacks",
		    "một nhánh ký bằng khóa không có trong tệp");
	k->used[i] = true;
	/* A change-set is signed by its hash, like all else: H(tag, header). */
	if (lt_sign_verify(k->key[i].pk, LT_TAG_CHANGESET, header, signature) != LT_OK)
		return BAD(k, LT_E_BADSIG, "the signature of a branch does not verify",
		    "chữ ký của một nhánh không đúng");
	return LT_OK;
}

static int
check_branch(struct check *k, const char *member, struct head *out)
{
	static const char *const names[] = { "header", "signature", "leaves" };
	const json_t *o = json_object_get(k->file, member);
	struct lt_slice header, signature;
	const Ltpb__Header *h;
	ProtobufCMessage *m;
	int rc;

	if (!only(o, names, 3) || !from_hex(k, json_object_get(o, "header"), 0, &header) ||
	    !from_hex(k, json_object_get(o, "signature"), LT_SIG_LEN, &signature))
		return damaged(k, member);
	rc = lt_wire_unpack(&ltpb__header__descriptor, header, LT_MESSAGE_MAX, &k->arena, &m, NULL);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : damaged(k, member);
	h = (const Ltpb__Header *)m;
	if (h->federation.len != LT_FED_LEN ||
	    memcmp(h->federation.data, k->federation.b, LT_FED_LEN) != 0)
		return BAD(k, LT_E_DENIED, "a branch is of another federation than the file says",
		    "một nhánh thuộc liên thông khác với tệp");
	if (!names_feed(k, h) || h->prev_hash.len != LT_HASH_LEN)
		return BAD(k, LT_E_INVALID, "a branch is of another feed than the file says",
		    "một nhánh thuộc dòng khác với tệp");
	rc = check_signed(k, header, signature, h);
	if (rc == LT_OK)
		rc = check_leaves(k, json_object_get(o, "leaves"), h);
	out->seq = h->seq;
	lt_h1(LT_TAG_CHANGESET, header, &out->hash);
	memcpy(out->prev.b, h->prev_hash.data, LT_HASH_LEN);
	return rc;
}

/* Two under one number; or the other one names what is not under the number before it. */
static int
check_branches(struct check *k)
{
	struct head counts = { 0 }, other = { 0 };
	int rc = check_branch(k, "counts", &counts);
	size_t i;

	if (rc == LT_OK)
		rc = check_branch(k, "other", &other);
	if (rc != LT_OK)
		return rc;
	if (counts.seq != k->out->seq || (other.seq != counts.seq && other.seq != counts.seq + 1))
		return BAD(k, LT_E_INVALID,
		    "the branches do not stand under the number of the file",
		    "các nhánh không mang số của tệp");
	k->out->counts = counts.hash;
	k->out->other = other.seq == counts.seq ? other.hash : other.prev;
	if (lt_hash_eq(&k->out->counts, &k->out->other))
		return BAD(k, LT_E_INVALID, "both branches are the same: this is no fork",
		    "hai nhánh là một: không có rẽ nhánh");
	for (i = 0; i < k->nkey; i++)
		if (!k->used[i])
			return damaged(k, "keys");
	return LT_OK;
}

/* ---- the ruling ---- */

static int
check_certificate(struct check *k, Ltpb__CertificateBody **body)
{
	struct lt_err why = { "" };
	struct lt_slice cert;
	int rc;

	if (!from_hex(k, json_object_get(k->file, "certificate"), 0, &cert) || cert.len > CERT_MAX)
		return damaged(k, "certificate");
	rc = lt_certificate_verify(cert, k->root, &k->federation, &k->arena, body, &why);
	if (rc == LT_OK && (*body)->role != LTPB__ROLE__ROLE_HUB)
		rc = LT_E_DENIED;
	if (rc != LT_OK && rc != LT_E_NOMEM)
		return BAD(k, rc, "the certificate is not of a hub that this root key certified",
		    "chứng thư không phải của đầu mối được khóa gốc này chứng nhận");
	return rc;
}

/* The act as a ChangeSet again, parsed. */
static int
ruling_changeset(struct check *k, const json_t *o, struct lt_changeset *cs)
{
	static const char *const names[] = { "header", "signature", "changes" };
	const json_t *list = json_object_get(o, "changes");
	Ltpb__ChangeSet m = LTPB__CHANGE_SET__INIT;
	ProtobufCBinaryData change;
	struct lt_slice s;
	struct lt_buf b;
	uint8_t *copy;
	int rc;

	if (!only(o, names, 3) || json_array_size(list) != 1)
		return damaged(k, "ruling");
	if (!from_hex(k, json_object_get(o, "header"), 0, &s))
		return damaged(k, "ruling");
	m.header = (ProtobufCBinaryData){ s.len, (uint8_t *)s.data };
	if (!from_hex(k, json_object_get(o, "signature"), LT_SIG_LEN, &s))
		return damaged(k, "ruling");
	m.signature = (ProtobufCBinaryData){ s.len, (uint8_t *)s.data };
	if (!from_hex(k, json_array_get(list, 0), 0, &s))
		return damaged(k, "ruling");
	change = (ProtobufCBinaryData){ s.len, (uint8_t *)s.data };
	m.change = &change;
	m.n_change = 1;
	lt_buf_init(&b, LT_MESSAGE_MAX);
	rc = lt_wire_pack(&m.base, LT_MESSAGE_MAX, &b);
	copy = rc == LT_OK ? lt_arena_dup(&k->arena, b.data, b.len) : NULL;
	if (rc == LT_OK)
		rc = copy == NULL ? LT_E_NOMEM
				  : lt_changeset_parse(lt_slice(copy, b.len), &k->arena, cs, NULL);
	lt_buf_fini(&b);
	return rc == LT_OK || rc == LT_E_NOMEM ? rc : damaged(k, "ruling");
}

static bool
same_keys(const struct check *k, const struct lt_ruling *r)
{
	size_t i;

	if (r->nkey != k->nkey)
		return false;
	for (i = 0; i < k->nkey; i++)
		if (r->key[i].no != k->key[i].no || memcmp(r->key[i].pk, k->key[i].pk, 32) != 0)
			return false;
	return true;
}

/* What the act says is what the file shows. */
static int
check_words(struct check *k, const struct lt_changeset *cs)
{
	const struct fork_says *s = k->out;
	char key[120], should[120];
	struct lt_slice bytes;
	struct lt_ruling r;

	if (strcmp(cs->change[0].collection, "_ruling") != 0 || cs->change[0].is_delete ||
	    lt_ruling_of_change(&cs->change[0], &bytes) != LT_OK ||
	    lt_ruling_parse(&cs->unit, bytes, &r) != LT_OK)
		return BAD(k, LT_E_INVALID, "what the hub signed is no ruling",
		    "thứ đầu mối ký không phải phán quyết");
	(void)snprintf(key, sizeof(key), "%s", cs->change[0].key);
	lt_ruling_key(&r, should, sizeof(should));
	if (strcmp(key, should) != 0 || !lt_unit_eq(&r.unit, &s->unit) ||
	    lt_feed_id_cmp(&r.feed, &s->feed) != 0 || r.seq != s->seq)
		return BAD(k, LT_E_INVALID, "the ruling is about another feed or number",
		    "phán quyết nói về dòng hoặc số khác");
	if (!lt_hash_eq(&r.counts, &s->counts) || !lt_hash_eq(&r.other, &s->other))
		return BAD(k, LT_E_INVALID, "the ruling names other branches than the file shows",
		    "phán quyết nêu nhánh khác với tệp");
	if (!same_keys(k, &r))
		return BAD(k, LT_E_INVALID, "the ruling names other keys than the file shows",
		    "phán quyết nêu khóa khác với tệp");
	return LT_OK;
}

static int
check_ruling(struct check *k)
{
	Ltpb__CertificateBody *hub = NULL;
	struct lt_changeset cs;
	struct lt_id author;
	int rc = check_certificate(k, &hub);

	if (rc == LT_OK)
		rc = ruling_changeset(k, json_object_get(k->file, "ruling"), &cs);
	if (rc != LT_OK)
		return rc;
	author = lt_feed_author(&cs.feed);
	if (memcmp(cs.federation.b, k->federation.b, LT_FED_LEN) != 0 ||
	    memcmp(author.b, hub->principal.data, LT_ID_LEN) != 0 || cs.key_no != hub->key_no)
		return BAD(k, LT_E_DENIED, "the ruling is not by the hub of the certificate",
		    "phán quyết không phải của đầu mối trong chứng thư");
	if (lt_changeset_verify_signature(&cs, hub->sign_key.data) != LT_OK)
		return BAD(k, LT_E_BADSIG, "the signature of the ruling does not verify",
		    "chữ ký của phán quyết không đúng");
	k->out->ruled = true;
	k->out->ruled_ms = LT_STAMP_MS(cs.stamp);
	return check_words(k, &cs);
}

int
fork_file_verify(
    const json_t *file, const uint8_t root_key[32], struct fork_says *out, struct lt_err *err)
{
	static const char *const names[] = { "format", "version", "root_key", "salt", "unit",
		"feed", "seq", "keys", "counts", "other", "certificate", "ruling" };
	struct check k = { .file = file, .err = err, .out = out };
	const char *format = json_string_value(json_object_get(file, "format"));
	int rc;

	memset(out, 0, sizeof(*out));
	memcpy(k.root, root_key, 32);
	if (format == NULL || strcmp(format, FORK_FORMAT) != 0)
		return damaged(&k, "format");
	if (json_integer_value(json_object_get(file, "version")) != 1)
		return damaged(&k, "version");
	if (!only(file, names, sizeof(names) / sizeof(names[0])))
		return BAD(&k, LT_E_INVALID,
		    "the file has members that do not belong in it, or lacks some",
		    "tệp thừa hoặc thiếu mục");
	lt_arena_init(&k.arena, FORK_ARENA);
	rc = take_root(&k);
	if (rc == LT_OK)
		rc = take_place(&k);
	if (rc == LT_OK)
		rc = take_keys(&k);
	if (rc == LT_OK)
		rc = check_branches(&k);
	if (rc == LT_OK)
		rc = check_ruling(&k);
	lt_arena_fini(&k.arena);
	return rc;
}
