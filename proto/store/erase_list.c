#include "proto/store/erase_list.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/store/author.h"
#include "proto/store/catalogue_store.h"
#include "proto/store/erase.h"
#include "proto/store/feed_log.h"
#include "proto/store/hub_cert.h"
#include "proto/store/rebuild.h"

#include "lienthong/v1/backup.pb-c.h"

#include <stdio.h>
#include <string.h>

#define LIST_ARENA ((size_t)256 * 1024 * 1024)
#define SET_ARENA ((size_t)64 * 1024 * 1024)

static const char unsaid[] = "unsaid/";

/* ---- what is to be said again ---- */

/* The rows of a feed, "": of all. Its length. */
static size_t
unsaid_prefix(char out[LT_UNSAID_NAME], const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	char hex[2 * LT_FEED_LEN + 1];

	if (unit == NULL || feed == NULL)
		return (size_t)snprintf(out, LT_UNSAID_NAME, "%s", unsaid);
	lt_hex(hex, feed->b, LT_FEED_LEN);
	return (size_t)snprintf(out, LT_UNSAID_NAME, "%s%s/%s/", unsaid, unit->s, hex);
}

int
lt_unsaid_is_here(struct lt_kv_txn *log, const struct lt_changeset *cs, bool *here)
{
	struct lt_hash have;
	int rc = lt_feed_log_hash(log, &cs->unit, &cs->feed, cs->seq, &have);

	*here = rc == LT_OK && lt_hash_eq(&have, &cs->hash);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* Under the name that rows had before the hash stood in it, which names no change-set alone. */
static int
has_old_row(struct lt_kv_txn *log, const char *name, struct lt_slice bytes, bool *has)
{
	struct lt_slice row;
	int rc = lt_local_get(log, name, &row);

	*has = rc == LT_OK && lt_slice_eq(row, bytes);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

static int
put_unsaid(struct lt_kv_txn *log, const struct lt_changeset *cs, struct lt_slice bytes)
{
	char name[LT_UNSAID_NAME], hash[17];
	size_t at = unsaid_prefix(name, &cs->unit, &cs->feed);
	bool has;
	int rc;

	at +=
	    (size_t)snprintf(name + at, sizeof(name) - at, "%016llx", (unsigned long long)cs->seq);
	rc = has_old_row(log, name, bytes, &has);
	if (rc != LT_OK || has)
		return rc;
	lt_hex(hash, cs->hash.b, 8);
	(void)snprintf(name + at, sizeof(name) - at, "/%s", hash);
	return lt_local_put(log, name, bytes);
}

int
lt_unsaid_keep(struct lt_kv_txn *log, const struct lt_changeset *cs)
{
	struct lt_buf bytes;
	bool here;
	int rc = lt_unsaid_is_here(log, cs, &here);

	if (rc != LT_OK || here)
		return rc;
	lt_buf_init(&bytes, LT_MESSAGE_MAX);
	rc = lt_changeset_strip(cs, &bytes);
	if (rc == LT_OK)
		rc = bytes.err;
	if (rc == LT_OK)
		rc = put_unsaid(log, cs, lt_buf_slice(&bytes));
	lt_buf_fini(&bytes);
	return rc;
}

/* The row behind `name`, in the prefix: rows of it that are damaged are passed over. */
static int
unsaid_row(struct lt_kv_cursor *c, struct lt_slice prefix, const char *name, struct lt_slice *k,
    struct lt_slice *v)
{
	/* Behind a name is where it goes on with one byte more. */
	struct lt_slice from = name[0] == '\0' ? prefix : lt_slice(name, strlen(name) + 1);
	int rc = lt_kv_seek_at(c, prefix, from, k, v);

	return rc == LT_E_CORRUPT && k->len != 0 ? lt_kv_next_in(c, prefix, k, v) : rc;
}

int
lt_unsaid_next(struct lt_kv_txn *log, const struct lt_unit *unit, const struct lt_feed_id *feed,
    char name[LT_UNSAID_NAME], struct lt_arena *arena, struct lt_changeset *cs)
{
	char prefix[LT_UNSAID_NAME];
	struct lt_slice in = lt_slice(prefix, unsaid_prefix(prefix, unit, feed)), k, v;
	struct lt_kv_cursor *c;
	bool good = false;
	uint8_t *copy;
	int rc = lt_kv_cursor_open(log, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	rc = unsaid_row(c, in, name, &k, &v);
	while (rc == LT_OK && !good) {
		copy = k.len < LT_UNSAID_NAME ? lt_arena_dup(arena, v.data, v.len) : NULL;
		rc = k.len < LT_UNSAID_NAME && copy == NULL ? LT_E_NOMEM : LT_OK;
		good = copy != NULL &&
		       lt_changeset_parse(lt_slice(copy, v.len), arena, cs, NULL) == LT_OK;
		if (good)
			lt_slice_to_text(name, LT_UNSAID_NAME, k);
		else if (rc == LT_OK) {
			lt_error("an act that is to be said again cannot be read: it is "
				 "passed over");
			rc = lt_kv_next_in(c, in, &k, &v);
		}
	}
	lt_kv_cursor_close(c);
	return rc;
}

static int
says_something(struct lt_slice row, bool *yes)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, SET_ARENA);
	rc = lt_changeset_parse(row, &arena, &cs, NULL);
	lt_arena_fini(&arena);
	*yes = rc == LT_OK;
	return rc == LT_E_NOMEM ? rc : LT_OK;
}

int
lt_unsaid_unreadable(struct lt_kv_txn *log, uint64_t *n)
{
	const struct lt_slice in = lt_slice_str(unsaid);
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(log, LT_T_LOCAL, &c), out = LT_OK;

	*n = 0;
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_at(c, in, in, &k, &v);
	while (out == LT_OK && (rc == LT_OK || (rc == LT_E_CORRUPT && k.len != 0))) {
		bool sound = false;

		if (rc == LT_OK)
			out = says_something(v, &sound);
		*n += !sound;
		rc = lt_kv_next_at(c, in, &k, &v);
	}
	lt_kv_cursor_close(c);
	*n += rc == LT_E_CORRUPT;
	return out != LT_OK || rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? out : rc;
}

int
lt_unsaid_drop(struct lt_kv_txn *log, const char *name)
{
	return lt_kv_del(log, LT_T_LOCAL, lt_slice_str(name));
}

/* ---- the list ---- */

struct applying {
	struct lt_kv_txn *txn;
	struct lt_id hub;
	size_t nkey;
	struct hub_key {
		uint32_t no;
		uint8_t pk[32];
	} key[1 + LT_HUB_CERTS_MAX];
	struct lt_fed federation;
	struct lt_catalogue *cat; /* of a node; NULL: nothing is shown here */
	struct lt_unit province;
	bool building;
	bool keeps; /* a hub: what its log does not have it says again */
	uint64_t acts, values, foreign;
	struct lt_err *err;
};

/* Who else may be a hub does not matter here: what a rebuild of the rows goes by is worked out by the node itself. */
static bool
by_hub(void *ctx, const struct lt_id *author)
{
	const struct applying *a = ctx;

	return lt_id_eq(author, &a->hub);
}

/* What a node shows, with the log as it is now. */
static int
reshow(struct applying *a, const struct lt_changeset *cs, struct lt_arena *arena)
{
	struct lt_projection_options o = { .log = a->txn,
		.derived = a->txn,
		.catalogue = a->cat,
		.province = a->province,
		.overlay = true,
		.reindex = a->building,
		.by_hub = by_hub,
		.by_hub_ctx = a };
	struct lt_projection *p;
	struct lt_erased *e;
	size_t i, n;
	int rc = lt_projection_begin(&o, &p);

	if (rc != LT_OK)
		return rc;
	for (i = 0; rc == LT_OK && i < cs->nchange; i++) {
		rc = lt_erased_of(&cs->change[i], arena, &e, &n);
		if (rc == LT_OK)
			rc = lt_erase_reshow(p, a->txn, &cs->unit, e, n);
		else if (rc == LT_E_NOTFOUND || rc == LT_E_INVALID)
			rc = LT_OK;
	}
	if (rc == LT_OK)
		return lt_projection_flush(p, NULL, NULL);
	lt_projection_abort(p);
	return rc;
}

/* By any key that the hub was certified for: what it signed with the one before is as good. */
static int
check_signature(const struct applying *a, const struct lt_changeset *cs)
{
	size_t i;

	for (i = 0; i < a->nkey; i++)
		if (a->key[i].no == cs->key_no &&
		    lt_changeset_verify_signature(cs, a->key[i].pk) == LT_OK)
			return LT_OK;
	return lt_err_set(
	    a->err, LT_E_BADSIG, "the signature of an erasure in the list is not good");
}

static int
apply_one(struct applying *a, struct lt_slice bytes)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_id author;
	uint64_t removed = 0;
	int rc;

	lt_arena_init(&arena, SET_ARENA);
	rc = lt_changeset_parse(bytes, &arena, &cs, a->err);
	if (rc == LT_OK) {
		author = lt_feed_author(&cs.feed);
		if (memcmp(cs.federation.b, a->federation.b, LT_FED_LEN) != 0)
			rc = lt_err_set(a->err, LT_E_DENIED,
			    "an erasure in the list is not by this federation's hub");
		if (rc == LT_OK && !lt_id_eq(&author, &a->hub)) {
			a->foreign++; /* nothing that it says is obeyed, and nothing else waits for it */
			lt_arena_fini(&arena);
			return LT_OK;
		}
	}
	if (rc == LT_OK)
		rc = check_signature(a, &cs);
	if (rc == LT_OK)
		rc = lt_erase_acts(a->txn, &cs, &removed);
	if (rc == LT_OK && a->keeps)
		rc = lt_unsaid_keep(a->txn, &cs);
	if (rc == LT_OK && a->cat != NULL)
		rc = reshow(a, &cs, &arena);
	a->acts += rc == LT_OK ? 1 : 0;
	a->values += removed;
	lt_arena_fini(&arena);
	return rc;
}

static int
add_key(struct applying *a, const ProtobufCBinaryData *cert, const uint8_t root_key[32],
    struct lt_arena *arena)
{
	Ltpb__CertificateBody *body;
	int rc = lt_certificate_verify(
	    lt_slice(cert->data, cert->len), root_key, &a->federation, arena, &body, a->err);

	if (rc != LT_OK)
		return rc;
	if (body->role != LTPB__ROLE__ROLE_HUB || body->principal.len != LT_ID_LEN ||
	    body->sign_key.len != sizeof(a->key[0].pk) ||
	    (a->nkey != 0 && memcmp(a->hub.b, body->principal.data, LT_ID_LEN) != 0))
		return lt_err_set(a->err, LT_E_DENIED, "the list is not by a hub");
	memcpy(a->hub.b, body->principal.data, LT_ID_LEN);
	a->key[a->nkey].no = body->key_no;
	memcpy(a->key[a->nkey++].pk, body->sign_key.data, sizeof(a->key[0].pk));
	return LT_OK;
}

static int
check_list(
    struct applying *a, const Ltpb__Erasures *m, const uint8_t root_key[32], struct lt_arena *arena)
{
	size_t i;
	int rc;

	if (m->version != 1 || m->n_certificate_before > LT_HUB_CERTS_MAX)
		return lt_err_set(
		    a->err, LT_E_INVALID, "this is no list of erasures, or one of a newer program");
	rc = add_key(a, &m->certificate, root_key, arena);
	for (i = 0; rc == LT_OK && i < m->n_certificate_before; i++)
		rc = add_key(a, &m->certificate_before[i], root_key, arena);
	return rc;
}

/* A node without a catalogue shows acts alone. */
static int
take_catalogue(struct applying *a)
{
	struct lt_slice province;
	uint64_t version;
	int rc = lt_catalogue_newest(a->txn, &version);

	if (rc == LT_OK && version != 0)
		rc = lt_catalogue_load(a->txn, version, &a->cat, a->err);
	if (rc == LT_OK && a->cat != NULL)
		rc = lt_rebuild_check(a->txn, a->cat, true, &a->building);
	if (rc == LT_OK && lt_local_get(a->txn, "province", &province) == LT_OK)
		rc = lt_unit_set(&a->province, province);
	return rc;
}

int
lt_erasures_apply(struct lt_kv_txn *txn, bool node, struct lt_slice list,
    const uint8_t root_key[32], const struct lt_fed *federation, uint64_t *acts, uint64_t *values,
    struct lt_err *err)
{
	struct applying a = { .txn = txn, .federation = *federation, .keeps = !node, .err = err };
	const Ltpb__Erasures *m = NULL;
	ProtobufCMessage *msg;
	struct lt_arena arena;
	size_t i;
	int rc;

	lt_arena_init(&arena, LIST_ARENA);
	rc = lt_wire_unpack(
	    &ltpb__erasures__descriptor, list, LT_ERASURES_BYTES_MAX, &arena, &msg, err);
	if (rc == LT_OK) {
		m = (const Ltpb__Erasures *)msg;
		rc = check_list(&a, m, root_key, &arena);
	}
	if (rc == LT_OK && node)
		rc = take_catalogue(&a);
	for (i = 0; rc == LT_OK && i < m->n_changeset; i++)
		rc = apply_one(&a, lt_slice(m->changeset[i].data, m->changeset[i].len));
	if (a.foreign != 0)
		lt_warn("%llu change-sets of the list of erasures are not by the hub whose list it "
			"is, and were passed by",
		    (unsigned long long)a.foreign);
	lt_catalogue_unref(a.cat);
	lt_arena_fini(&arena);
	*acts = a.acts;
	*values = a.values;
	return rc;
}
