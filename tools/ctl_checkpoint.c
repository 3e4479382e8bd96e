#include "tools/ctl_checkpoint.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "tools/ctl.h"

#include "lienthong/v1/changeset.pb-c.h"

#include <string.h>

#define CHECKPOINTS_MAX 512
#define COSIGNATURES_MAX 1024 /* in all */
#define HEADERS_MAX 64
#define CERTIFICATES_MAX 80
#define CERTIFICATE_BYTES_MAX 4096
#define HEADER_BYTES_MAX ((size_t)512 * 1024)

/* ---- making ---- */

static json_t *
checkpoint_json(const Ltpb__Checkpoint *c, json_t *cosignatures)
{
	return json_pack("{s:o, s:o, s:o}", "checkpoint", ctl_json_hex(c->body.data, c->body.len),
	    "signature", ctl_json_hex(c->signature.data, c->signature.len), "cosignatures",
	    cosignatures);
}

static json_t *
cosigners_json(const Ltpb__ShowCheckpointReply *r, uint32_t of)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < r->n_by; i++) {
		const Ltpb__CosignedBy *by = r->by[i];

		if (by->checkpoint != of)
			continue;
		json_array_append_new(
		    a, json_pack("{s:o, s:o, s:I, s:o, s:o}", "principal",
			   ctl_json_hex(by->principal.data, by->principal.len), "unit",
			   ctl_json_text(by->unit), "key_no", (json_int_t)by->key_no, "sign_key",
			   ctl_json_hex(by->sign_key.data, by->sign_key.len), "signature",
			   ctl_json_hex(by->signature.data, by->signature.len)));
	}
	return a;
}

static void
add_header(json_t *list, const ProtobufCBinaryData *header, const ProtobufCBinaryData *signature)
{
	if (header->len != 0)
		json_array_append_new(
		    list, json_pack("{s:o, s:o}", "header", ctl_json_hex(header->data, header->len),
			      "signature", ctl_json_hex(signature->data, signature->len)));
}

json_t *
checkpoint_file_make(
    const Ltpb__ShowCheckpointReply *r, const uint8_t root_key[32], const uint8_t salt[16])
{
	json_t *o = json_object(), *list = json_array(), *headers = json_array(),
	       *certs = json_array();
	size_t i;

	for (i = 0; i < r->n_checkpoint; i++)
		json_array_append_new(
		    list, checkpoint_json(r->checkpoint[i], cosigners_json(r, (uint32_t)i)));
	for (i = 0; i < r->n_equivocation; i++) {
		const Ltpb__Equivocation *e = r->equivocation[i];

		if (e->one != NULL)
			json_array_append_new(list, checkpoint_json(e->one, json_array()));
		if (e->other != NULL)
			json_array_append_new(list, checkpoint_json(e->other, json_array()));
		add_header(headers, &e->came, &e->came_signature);
		add_header(headers, &e->header, &e->signature);
	}
	for (i = 0; i < r->n_certificate; i++)
		json_array_append_new(
		    certs, ctl_json_hex(r->certificate[i].data, r->certificate[i].len));
	json_object_set_new(o, "format", json_string(CHECKPOINT_FORMAT));
	json_object_set_new(o, "version", json_integer(1));
	json_object_set_new(o, "root_key", ctl_json_hex(root_key, 32));
	json_object_set_new(o, "salt", ctl_json_hex(salt, 16));
	json_object_set_new(o, "certificates", certs);
	json_object_set_new(o, "checkpoints", list);
	json_object_set_new(o, "headers", headers);
	return o;
}

/* ---- checking ---- */

struct hub_key {
	struct lt_id hub;
	uint32_t no;
	uint8_t key[32];
};

struct check {
	const json_t *file;
	struct lt_arena *arena;
	struct lt_err *err;
	struct lt_fed federation;
	struct checkpoint_file *out;
	size_t nkey, cap, ncosignature;
	struct hub_key key[CERTIFICATES_MAX];
};

#define BAD(k, rc, en, vi) lt_err_set((k)->err, (rc), "%s", T(en, vi))

static int
damaged(struct check *k, const char *member)
{
	return lt_err_set(k->err, LT_E_INVALID,
	    T("the file is damaged, or no file of checkpoints: member \"%s\"",
		"tệp bị hỏng, hoặc không phải tệp điểm mốc: mục \"%s\""),
	    member);
}

/* Lower-case digits, one spelling. In the arena. want 0: any length up to max. */
static bool
from_hex(struct check *k, const json_t *v, size_t want, size_t max, struct lt_slice *out)
{
	const char *hex = json_string_value(v);
	size_t n = hex != NULL ? json_string_length(v) : 0;
	uint8_t *p;

	if (n == 0 || n % 2 != 0 || n / 2 > max || (want != 0 && n / 2 != want) ||
	    strspn(hex, "0123456789abcdef") != n)
		return false;
	p = lt_arena_alloc(k->arena, n / 2);
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

static int
take_root(struct check *k, const uint8_t root_key[32])
{
	struct lt_slice root, salt;

	if (!from_hex(k, json_object_get(k->file, "root_key"), 32, 32, &root))
		return damaged(k, "root_key");
	if (!from_hex(k, json_object_get(k->file, "salt"), 16, 16, &salt))
		return damaged(k, "salt");
	if (memcmp(root.data, root_key, 32) != 0)
		return BAD(k, LT_E_DENIED,
		    "it is of another federation: its root key is not the one that is trusted",
		    "tệp của liên thông khác: khóa gốc không phải khóa được tin");
	lt_federation_id(root_key, salt.data, &k->federation);
	return LT_OK;
}

static int
take_certificates(struct check *k, const uint8_t root_key[32])
{
	const json_t *list = json_object_get(k->file, "certificates");
	Ltpb__CertificateBody *body = NULL;
	struct lt_slice cert;
	size_t i;
	int rc;

	if (!json_is_array(list) || json_array_size(list) > CERTIFICATES_MAX)
		return damaged(k, "certificates");
	for (i = 0; i < json_array_size(list); i++) {
		if (!from_hex(k, json_array_get(list, i), 0, CERTIFICATE_BYTES_MAX, &cert))
			return damaged(k, "certificates");
		rc = lt_certificate_verify(cert, root_key, &k->federation, k->arena, &body, k->err);
		if (rc != LT_OK)
			return rc;
		if (body->role != LTPB__ROLE__ROLE_HUB)
			return damaged(k, "certificates");
		memcpy(k->key[k->nkey].hub.b, body->principal.data, LT_ID_LEN);
		memcpy(k->key[k->nkey].key, body->sign_key.data, 32);
		k->key[k->nkey++].no = body->key_no;
	}
	return LT_OK;
}

static const uint8_t *
key_of(const struct check *k, const struct lt_id *hub, uint32_t no)
{
	size_t i;

	for (i = 0; i < k->nkey; i++)
		if (k->key[i].no == no && lt_id_eq(&k->key[i].hub, hub))
			return k->key[i].key;
	return NULL;
}

static int
no_key(struct check *k)
{
	return BAD(k, LT_E_BADSIG, "the file has no certificate of the key that signed",
	    "tệp không có chứng thư của khóa đã ký");
}

static int
take_cosignature(struct check *k, const json_t *o, const struct lt_hash *hash)
{
	static const char *const names[] = { "principal", "unit", "key_no", "sign_key",
		"signature" };
	const json_t *no = json_object_get(o, "key_no");
	struct lt_slice who, key, sig;
	struct lt_id id;

	if (++k->ncosignature > COSIGNATURES_MAX || !only(o, names, 5) || !json_is_integer(no) ||
	    json_integer_value(no) < 1 || json_integer_value(no) > UINT32_MAX ||
	    !json_is_string(json_object_get(o, "unit")) ||
	    !from_hex(k, json_object_get(o, "principal"), LT_ID_LEN, LT_ID_LEN, &who) ||
	    !from_hex(k, json_object_get(o, "sign_key"), 32, 32, &key) ||
	    !from_hex(k, json_object_get(o, "signature"), LT_SIG_LEN, LT_SIG_LEN, &sig))
		return damaged(k, "cosignatures");
	memcpy(id.b, who.data, LT_ID_LEN);
	if (lt_cosign_verify(key.data, &id, (uint32_t)json_integer_value(no), hash, sig) != LT_OK)
		return BAD(k, LT_E_BADSIG,
		    "a signature of a commune on a checkpoint does not verify",
		    "chữ ký của một xã trên điểm mốc không đúng");
	return LT_OK;
}

/* One more statement. */
static int
say(struct check *k, const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash)
{
	struct checkpoint_said *s;

	if (k->out->nsaid == k->cap)
		return damaged(k, "checkpoints");
	s = &k->out->said[k->out->nsaid++];
	s->feed = *feed;
	s->seq = seq;
	s->hash = *hash;
	s->file = 0;
	return LT_OK;
}

static int
take_checkpoint(struct check *k, const json_t *o, bool first)
{
	static const char *const names[] = { "checkpoint", "signature", "cosignatures" };
	const json_t *list = json_object_get(o, "cosignatures");
	struct lt_slice body, sig;
	struct lt_checkpoint c;
	const uint8_t *key;
	struct lt_hash hash;
	size_t i;
	int rc;

	if (!only(o, names, 3) || !json_is_array(list) ||
	    !from_hex(k, json_object_get(o, "checkpoint"), 0, LT_CHECKPOINT_BYTES_MAX, &body) ||
	    !from_hex(k, json_object_get(o, "signature"), LT_SIG_LEN, LT_SIG_LEN, &sig))
		return damaged(k, "checkpoints");
	rc = lt_checkpoint_parse(body, &c, k->err);
	key = rc == LT_OK ? key_of(k, &c.hub, c.key_no) : NULL;
	if (rc == LT_OK)
		rc = key == NULL
			 ? no_key(k)
			 : lt_checkpoint_verify(body, sig, &k->federation, &c.hub, key, &c, k->err);
	lt_checkpoint_hash(body, &hash);
	for (i = 0; rc == LT_OK && i < json_array_size(list); i++)
		rc = take_cosignature(k, json_array_get(list, i), &hash);
	for (i = 0; rc == LT_OK && i < c.nhead; i++)
		rc = say(k, &c.head[i].feed, c.head[i].seq, &c.head[i].hash);
	if (rc == LT_OK && first) {
		k->out->any = true;
		k->out->newest = c;
		k->out->cosigners = (unsigned)json_array_size(list);
	}
	return rc;
}

static int
take_header(struct check *k, const json_t *o)
{
	static const char *const names[] = { "header", "signature" };
	struct lt_slice bytes, sig;
	const Ltpb__Header *h;
	ProtobufCMessage *m;
	struct lt_hash hash;
	struct lt_feed_id feed;
	struct lt_id author;
	const uint8_t *key;
	int rc;

	if (!only(o, names, 2) ||
	    !from_hex(k, json_object_get(o, "header"), 0, HEADER_BYTES_MAX, &bytes) ||
	    !from_hex(k, json_object_get(o, "signature"), LT_SIG_LEN, LT_SIG_LEN, &sig) ||
	    lt_wire_unpack(
		&ltpb__header__descriptor, bytes, HEADER_BYTES_MAX, k->arena, &m, NULL) != LT_OK)
		return damaged(k, "headers");
	h = (const Ltpb__Header *)m;
	if (h->federation.len != LT_FED_LEN || h->author.len != LT_ID_LEN || h->seq == 0 ||
	    memcmp(h->federation.data, k->federation.b, LT_FED_LEN) != 0 ||
	    strcmp(h->unit, "_") != 0 || h->lane < LTPB__LANE__LANE_URGENT ||
	    h->lane > LTPB__LANE__LANE_BULK)
		return damaged(k, "headers");
	memcpy(author.b, h->author.data, LT_ID_LEN);
	key = key_of(k, &author, h->key_no);
	if (key == NULL)
		return no_key(k);
	if (lt_sign_verify(key, LT_TAG_CHANGESET, bytes, sig) != LT_OK)
		return BAD(k, LT_E_BADSIG, "a change-set in it is not signed by the hub",
		    "một gói trong tệp không phải do đầu mối ký");
	feed = lt_feed_id_make(author, (enum lt_lane)h->lane, h->epoch);
	lt_h1(LT_TAG_CHANGESET, bytes, &hash);
	rc = say(k, &feed, h->seq, &hash);
	if (rc != LT_OK || h->seq == 1 || h->prev_hash.len != LT_HASH_LEN)
		return rc;
	memcpy(hash.b, h->prev_hash.data, LT_HASH_LEN);
	return say(k, &feed, h->seq - 1, &hash);
}

static int
take_lists(struct check *k)
{
	const json_t *list = json_object_get(k->file, "checkpoints"),
		     *headers = json_object_get(k->file, "headers");
	size_t i, n = json_array_size(list);
	int rc = LT_OK;

	if (!json_is_array(list) || n > CHECKPOINTS_MAX)
		return damaged(k, "checkpoints");
	if (!json_is_array(headers) || json_array_size(headers) > HEADERS_MAX)
		return damaged(k, "headers");
	k->cap = n * LT_CHECKPOINT_HEADS_MAX + 2 * HEADERS_MAX;
	k->out->said = lt_arena_alloc(k->arena, k->cap * sizeof(*k->out->said));
	if (k->out->said == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < n; i++)
		rc = take_checkpoint(k, json_array_get(list, i), i == 0);
	for (i = 0; rc == LT_OK && i < json_array_size(headers); i++)
		rc = take_header(k, json_array_get(headers, i));
	return rc;
}

int
checkpoint_file_read(const json_t *file, const uint8_t root_key[32], struct lt_arena *arena,
    struct checkpoint_file *out, struct lt_err *err)
{
	static const char *const names[] = { "format", "version", "root_key", "salt",
		"certificates", "checkpoints", "headers" };
	struct check k = { .file = file, .arena = arena, .err = err, .out = out };
	const char *format = json_string_value(json_object_get(file, "format"));
	int rc;

	memset(out, 0, sizeof(*out));
	if (format == NULL || strcmp(format, CHECKPOINT_FORMAT) != 0)
		return damaged(&k, "format");
	if (json_integer_value(json_object_get(file, "version")) != 1)
		return damaged(&k, "version");
	if (!only(file, names, sizeof(names) / sizeof(names[0])))
		return BAD(&k, LT_E_INVALID,
		    "the file has members that do not belong in it, or lacks some",
		    "tệp thừa hoặc thiếu mục");
	rc = take_root(&k, root_key);
	if (rc == LT_OK)
		rc = take_certificates(&k, root_key);
	return rc == LT_OK ? take_lists(&k) : rc;
}
