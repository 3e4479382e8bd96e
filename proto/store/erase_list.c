#include "proto/store/erase_list.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/store/author.h"
#include "proto/store/catalogue_store.h"
#include "proto/store/erase.h"
#include "proto/store/rebuild.h"

#include "lienthong/v1/backup.pb-c.h"

#include <string.h>

#define LIST_ARENA ((size_t)256 * 1024 * 1024)
#define SET_ARENA ((size_t)64 * 1024 * 1024)

struct applying {
	struct lt_kv_txn *txn;
	struct lt_id hub;
	uint8_t sign_key[32];
	struct lt_fed federation;
	struct lt_catalogue *cat; /* of a node; NULL: nothing is shown here */
	struct lt_unit province;
	bool building;
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
	if (rc == LT_OK && lt_changeset_verify_signature(&cs, a->sign_key) != LT_OK)
		rc = lt_err_set(
		    a->err, LT_E_BADSIG, "the signature of an erasure in the list is not good");
	if (rc == LT_OK)
		rc = lt_erase_acts(a->txn, &cs, &removed);
	if (rc == LT_OK && a->cat != NULL)
		rc = reshow(a, &cs, &arena);
	a->acts += rc == LT_OK ? 1 : 0;
	a->values += removed;
	lt_arena_fini(&arena);
	return rc;
}

static int
check_list(
    struct applying *a, const Ltpb__Erasures *m, const uint8_t root_key[32], struct lt_arena *arena)
{
	Ltpb__CertificateBody *body;
	int rc;

	if (m->version != 1)
		return lt_err_set(
		    a->err, LT_E_INVALID, "this is no list of erasures, or one of a newer program");
	rc = lt_certificate_verify(lt_slice(m->certificate.data, m->certificate.len), root_key,
	    &a->federation, arena, &body, a->err);
	if (rc != LT_OK)
		return rc;
	if (body->role != LTPB__ROLE__ROLE_HUB || body->principal.len != LT_ID_LEN ||
	    body->sign_key.len != sizeof(a->sign_key))
		return lt_err_set(a->err, LT_E_DENIED, "the list is not by a hub");
	memcpy(a->hub.b, body->principal.data, LT_ID_LEN);
	memcpy(a->sign_key, body->sign_key.data, sizeof(a->sign_key));
	return LT_OK;
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
	struct applying a = { .txn = txn, .federation = *federation, .err = err };
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
