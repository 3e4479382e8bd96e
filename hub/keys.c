#include "hub/keys.h"
#include "hub/hub_impl.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/store/key_span.h"

#include "lienthong/v1/trust.pb-c.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_ARENA ((size_t)4 * 1024 * 1024)

static const char *const reasons[] = { "stolen", "lost", "compromised", "replaced", "other" };

const char *
lt_revocation_reason(size_t i)
{
	return i < sizeof(reasons) / sizeof(reasons[0]) ? reasons[i] : NULL;
}

/* One record of `_`, to be written. */
struct act {
	struct lt_arena arena;
	char key[80];
	struct lt_write w;
	Ltpb__FieldSet *set[4];
};

static void
act_init(struct act *a, const char *collection)
{
	memset(a, 0, sizeof(*a));
	lt_arena_init(&a->arena, KEYS_ARENA);
	a->w.collection = collection;
	a->w.key = a->key;
	a->w.set = a->set;
	a->w.builtin = true;
	a->w.writer = LT_WRITER_PROVINCE;
}

/* NULL: memory. */
static Ltpb__Value *
act_field(struct act *a, const char *name, Ltpb__Value__VCase type)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(&a->arena, sizeof(*fs));
	Ltpb__Value *v = lt_arena_alloc(&a->arena, sizeof(*v));

	if (fs == NULL || v == NULL)
		return NULL;
	ltpb__field_set__init(fs);
	ltpb__value__init(v);
	fs->name = (char *)name;
	fs->value = v;
	v->v_case = type;
	a->set[a->w.nset++] = fs;
	return v;
}

static int
act_word(struct act *a, const char *name, const char *word)
{
	Ltpb__Value *v = act_field(a, name, LTPB__VALUE__V_ENUMERATION);

	if (v == NULL)
		return LT_E_NOMEM;
	v->enumeration = (char *)word;
	return LT_OK;
}

static int
act_result(const struct act *a, int rc, struct lt_err *err)
{
	if (rc == LT_OK && a->w.rc != LT_OK)
		return lt_err_set(
		    err, a->w.rc, "the registry does not take it: %s", a->w.violation.message);
	return rc;
}

/* ---- who ---- */

/* A principal of the registry that is no hub. p borrows from reg. */
static int
find(const struct lt_registry *reg, const struct lt_id *id, const struct lt_principal **p,
    const char **why, struct lt_err *err)
{
	*p = lt_registry_find(reg, id);
	if (*p == NULL) {
		*why = "KEYS_UNKNOWN";
		return lt_err_set(err, LT_E_NOTFOUND,
		    "there is no such principal; who only asked to join is rejected, not revoked");
	}
	if ((*p)->role == LTPB__ROLE__ROLE_HUB) {
		*why = "KEYS_HUB";
		return lt_err_set(err, LT_E_INVALID,
		    "a hub's keys stand by the root's certificate: no record takes them away");
	}
	return LT_OK;
}

/* ---- revoking ---- */

struct revocation {
	struct lt_hub *h;
	const struct lt_revoking *r;
	bool rotated; /* by the principal itself, which says how far the key reached: */
	const struct lt_cut *cut;
	size_t ncut;
	struct lt_unit unit; /* of its feeds */
	struct act act;
	Ltpb__Value *cutoff;
	/* of the transaction */
	struct lt_kv_txn *log;
	Ltpb__CutOff m;
	Ltpb__FeedHead *feed[LT_CUTS_MAX];
	uint64_t at[LT_CUTS_MAX]; /* log position where each began */
};

/* Where one goes: behind the others, or, where there is no room, in place of the one that began last. A thief's began after the true ones. */
static size_t
place(struct revocation *v, uint64_t began)
{
	size_t i, last = 0;

	if (v->m.n_feed < LT_CUTS_MAX)
		return v->m.n_feed++;
	for (i = 1; i < LT_CUTS_MAX; i++)
		if (v->at[i] > v->at[last])
			last = i;
	return v->at[last] > began ? last : LT_CUTS_MAX;
}

static int
note_cut(struct revocation *v, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, const struct lt_hash *hash, uint64_t began)
{
	Ltpb__FeedHead *f;
	size_t i = place(v, began);

	if (i == LT_CUTS_MAX)
		return LT_OK;
	f = lt_arena_alloc(&v->act.arena, sizeof(*f));
	if (f == NULL)
		return LT_E_NOMEM;
	ltpb__feed_head__init(f);
	f->unit = lt_arena_dup(&v->act.arena, unit->s, strlen(unit->s));
	f->feed.data = lt_arena_dup(&v->act.arena, feed->b, LT_FEED_LEN);
	f->feed.len = LT_FEED_LEN;
	f->seq = seq;
	f->hash.data = lt_arena_dup(&v->act.arena, hash->b, LT_HASH_LEN);
	f->hash.len = LT_HASH_LEN;
	if (f->unit == NULL || f->feed.data == NULL || f->hash.data == NULL)
		return LT_E_NOMEM;
	v->feed[i] = f;
	v->at[i] = began;
	return LT_OK;
}

/* Said by the node to reach further than what is here, and at a place that does not contradict it. */
static const struct lt_cut *
said_further(const struct revocation *v, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq)
{
	size_t i;

	for (i = 0; i < v->ncut; i++)
		if (lt_feed_id_cmp(&v->cut[i].feed, feed) == 0 && lt_unit_eq(&v->cut[i].unit, unit))
			return v->cut[i].seq > seq ? &v->cut[i] : NULL;
	return NULL;
}

/* What is here with the key counts; where nothing newer is here, also what the node says is still to come. */
static int
note_rotated(struct revocation *v, struct lt_kv_txn *log, const struct lt_unit *unit,
    const struct lt_feed_id *feed, const struct lt_head *head, uint64_t began)
{
	const struct lt_cut *further;
	struct lt_hash hash;
	uint64_t seq;
	int rc = lt_key_span(log, unit, feed, head, v->r->key_no, &seq, &hash);

	if (rc != LT_OK)
		return rc;
	further = seq == head->seq ? said_further(v, unit, feed, seq) : NULL;
	if (further != NULL)
		return note_cut(v, unit, feed, further->seq, &further->hash, began);
	return seq == 0 ? LT_OK : note_cut(v, unit, feed, seq, &hash, began);
}

static int
note_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct revocation *v = ctx;
	struct lt_id author = lt_feed_author(feed);
	uint64_t began;
	int rc;

	if (head->seq == 0 || !lt_id_eq(&author, &v->r->principal))
		return LT_OK;
	rc = lt_feed_log_find(v->log, unit, feed, 1, &began);
	if (rc != LT_OK)
		return rc;
	if (v->rotated)
		return note_rotated(v, v->log, unit, feed, head, began);
	return note_cut(v, unit, feed, head->seq, &head->hash, began);
}

/* Feeds of which nothing has come yet. */
static int
note_to_come(struct revocation *v)
{
	struct lt_head head;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < v->ncut; i++) {
		const struct lt_cut *c = &v->cut[i];

		rc = lt_feed_log_head(v->log, &c->unit, &c->feed, &head);
		if (rc == LT_OK && head.seq == 0)
			rc = note_cut(v, &c->unit, &c->feed, c->seq, &c->hash, UINT64_MAX);
	}
	return rc;
}

/* In the transaction that writes the record: since the bar nothing of that key is appended any more, so these are the last. */
static int
cut_off(struct lt_kv_txn *log, void *ctx)
{
	struct revocation *v = ctx;
	struct lt_buf b;
	int rc;

	ltpb__cut_off__init(&v->m);
	v->m.feed = v->feed;
	v->log = log;
	rc = lt_feed_log_each(log, v->unit.s[0] != '\0' ? &v->unit : NULL, note_feed, v);
	if (rc == LT_OK)
		rc = note_to_come(v);
	if (rc != LT_OK)
		return rc;
	lt_buf_init(&b, LT_VALUE_MAX);
	rc = lt_wire_pack(&v->m.base, LT_VALUE_MAX, &b);
	if (rc == LT_OK) {
		v->cutoff->bytes.data = lt_arena_dup(&v->act.arena, b.data, b.len);
		v->cutoff->bytes.len = b.len;
		rc = v->cutoff->bytes.data == NULL ? LT_E_NOMEM : LT_OK;
	}
	lt_buf_fini(&b);
	return rc;
}

static int
fill(struct revocation *v)
{
	char hex[2 * LT_ID_LEN + 1];
	Ltpb__Value *no, *by;
	uint64_t number;

	act_init(&v->act, "_revocation");
	/* Drawn: two hubs that write about one principal (before a restore and after it) do not meet in one record. */
	randombytes_buf(&number, sizeof(number));
	number = number >> 1 | 1;
	lt_hex(hex, v->r->principal.b, LT_ID_LEN);
	(void)snprintf(v->act.key, sizeof(v->act.key), "%s/%llu", hex, (unsigned long long)number);
	no = act_field(&v->act, "key_no", LTPB__VALUE__V_INTEGER);
	v->cutoff = act_field(&v->act, "cutoff", LTPB__VALUE__V_BYTES);
	if (no == NULL || v->cutoff == NULL)
		return LT_E_NOMEM;
	no->integer = v->r->key_no;
	if (v->r->by != NULL) {
		by = act_field(&v->act, "by", LTPB__VALUE__V_BYTES);
		if (by == NULL)
			return LT_E_NOMEM;
		by->bytes.data = (uint8_t *)v->r->by->b;
		by->bytes.len = LT_ID_LEN;
	}
	return act_word(&v->act, "reason", v->r->reason);
}

/* With the bar up. *position: of the record, 0 when none was written. */
static int
write_revocation(struct revocation *v, uint64_t *position, struct lt_err *err)
{
	static const struct lt_unit federation = { "_" };
	int rc = fill(v);

	if (rc == LT_OK)
		rc = lt_hub_write_prepared(
		    v->h, &federation, &v->act.w, 1, &v->act.arena, cut_off, v, position, err);
	return act_result(&v->act, rc, err);
}

static int
revoke(
    struct lt_hub *h, const struct lt_principal *p, const struct lt_revoking *r, struct lt_err *err)
{
	struct revocation *v = calloc(1, sizeof(*v));
	char hex[2 * LT_ID_LEN + 1], by[2 * LT_ID_LEN + 1] = "the hub's own machine";
	uint64_t position = 0;
	size_t ncut;
	int rc;

	if (v == NULL)
		return LT_E_NOMEM;
	v->h = h;
	v->r = r;
	v->unit = p->unit; /* a node's feeds stand in its commune; others have none */
	rc = lt_bar_put(h, LT_BAR_OUT, &r->principal, r->key_no, LT_BAR_WRITING);
	if (rc == LT_OK) {
		rc = write_revocation(v, &position, err);
		/* While nothing can be written (tables that are built anew, a full disk) the bar stays: a thief does not wait for that. */
		if (rc == LT_OK || position != 0)
			lt_bar_until(h, LT_BAR_OUT, &r->principal, r->key_no, position);
	}
	ncut = v->m.n_feed;
	lt_arena_fini(&v->act.arena);
	free(v);
	lt_hex(hex, r->principal.b, LT_ID_LEN);
	if (r->by != NULL)
		lt_hex(by, r->by->b, LT_ID_LEN);
	if (rc == LT_OK || position != 0)
		lt_warn("principal %s: %s revoked (%s) by %s, %zu feeds end here", hex,
		    r->key_no != 0 ? "one key" : "all keys", r->reason, by, ncut);
	return rc;
}

static bool
known_reason(const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(reasons[i], word) == 0)
			return true;
	return false;
}

static int
check_revoke(
    const struct lt_principal *p, const struct lt_revoking *r, const char **why, struct lt_err *err)
{
	if (!known_reason(r->reason)) {
		*why = "KEYS_INVALID";
		return lt_err_set(err, LT_E_INVALID,
		    "a revocation says why: stolen, lost, compromised, replaced or other");
	}
	if (r->key_no != 0 && lt_principal_key(p, r->key_no) == NULL) {
		*why = "KEYS_UNKNOWN";
		return lt_err_set(err, LT_E_NOTFOUND, "this principal has no key %u", r->key_no);
	}
	return LT_OK;
}

/* Said before, with the same reach? Retired is less than revoked. */
static bool
said_before(const struct lt_principal *p, uint32_t key_no, bool retiring)
{
	size_t i;

	for (i = 0; i < p->nrevocation; i++) {
		const struct lt_revocation *r = &p->revocation[i];

		if ((r->key_no == 0 || r->key_no == key_no) &&
		    (retiring || strcmp(r->reason, "retired") != 0))
			return true;
	}
	return false;
}

int
lt_hub_revoke(struct lt_hub *h, const struct lt_revoking *r, const char **why, struct lt_err *err)
{
	struct lt_registry *reg = lt_hub_registry(h);
	const struct lt_principal *p;
	int rc;

	*why = "KEYS";
	rc = find(reg, &r->principal, &p, why, err);
	if (rc == LT_OK)
		rc = check_revoke(p, r, why, err);
	if (rc == LT_OK && !said_before(p, r->key_no, false))
		rc = revoke(h, p, r, err);
	lt_registry_unref(reg);
	return rc;
}

int
lt_hub_retire(struct lt_hub *h, const struct lt_id *principal, const struct lt_id *by,
    const char **why, struct lt_err *err)
{
	const struct lt_revoking r = { .principal = *principal, .reason = "retired", .by = by };
	struct lt_registry *reg = lt_hub_registry(h);
	const struct lt_principal *p;
	int rc;

	*why = "KEYS";
	rc = find(reg, principal, &p, why, err);
	if (rc == LT_OK && p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED) {
		*why = "KEYS_STATE";
		rc = lt_err_set(
		    err, LT_E_REFUSED, "it is revoked: that is more than retired, and stays");
	}
	if (rc == LT_OK && !said_before(p, 0, true))
		rc = revoke(h, p, &r, err);
	lt_registry_unref(reg);
	return rc;
}

/* ---- suspending ---- */

static int
write_state(struct lt_hub *h, const struct lt_id *principal, const char *word, struct lt_err *err)
{
	static const struct lt_unit federation = { "_" };
	char hex[2 * LT_ID_LEN + 1];
	struct act a;
	int rc;

	act_init(&a, "_registry");
	lt_hex(hex, principal->b, LT_ID_LEN);
	(void)snprintf(a.key, sizeof(a.key), "%s", hex);
	rc = act_word(&a, "state", word);
	if (rc == LT_OK)
		rc = lt_hub_write(h, &federation, &a.w, 1, &a.arena, err);
	rc = act_result(&a, rc, err);
	lt_arena_fini(&a.arena);
	return rc;
}

int
lt_hub_suspend(struct lt_hub *h, const struct lt_id *principal, bool suspended, const char **why,
    struct lt_err *err)
{
	const Ltpb__PrincipalState active = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE,
				   still = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_SUSPENDED;
	struct lt_registry *reg = lt_hub_registry(h);
	const struct lt_principal *p;
	bool done = false;
	int rc;

	*why = "KEYS";
	rc = find(reg, principal, &p, why, err);
	if (rc == LT_OK && p->state != active && p->state != still) {
		*why = "KEYS_STATE";
		rc = lt_err_set(err, LT_E_REFUSED,
		    "only who is active is suspended, only who is suspended is resumed: this one "
		    "is revoked, retired or was never in");
	}
	if (rc == LT_OK)
		done = p->state == (suspended ? still : active);
	lt_registry_unref(reg);
	if (rc != LT_OK || done)
		return rc;
	rc = write_state(h, principal, suspended ? "suspended" : "active", err);
	if (rc == LT_OK) {
		char hex[2 * LT_ID_LEN + 1];

		lt_hex(hex, principal->b, LT_ID_LEN);
		lt_warn("principal %s %s", hex, suspended ? "suspended" : "resumed");
	}
	return rc;
}

/* ---- new keys for old ---- */

static bool
is_new(const struct lt_registry *reg, const struct lt_principal *p, const struct lt_rotation *r)
{
	size_t i;

	if (sodium_is_zero(r->line_key, 32) == 1 || lt_registry_knows_line(reg, r->line_key))
		return false;
	for (i = 0; i < p->nkey; i++)
		if (memcmp(p->key[i].sign_key, r->sign_key, 32) == 0)
			return false;
	return true;
}

static int
check_rotation(const struct lt_registry *reg, const struct lt_principal *p,
    const struct lt_rotation *r, const char **why, struct lt_err *err)
{
	size_t i, active = 0;
	uint32_t last = 0;

	for (i = 0; i < p->nkey; i++) {
		active += p->key[i].active ? 1 : 0;
		last = p->key[i].no > last ? p->key[i].no : last;
	}
	*why = "KEYS_STATE";
	/* The old one is in use (check_signatures()); those above it were revoked before the machine had them. */
	if (active != 1)
		return lt_err_set(err, LT_E_REFUSED,
		    "two keys are in use already: the change begun before comes to its end first");
	if (r->new_no != last + 1 || r->new_no == 0)
		return lt_err_set(
		    err, LT_E_REFUSED, "the next key of this machine has number %u", last + 1);
	if (!is_new(reg, p, r))
		return lt_err_set(
		    err, LT_E_REFUSED, "a key that was somebody's before is no new one");
	return LT_OK;
}

static int
check_signatures(struct lt_hub *h, const struct lt_principal *p, const struct lt_rotation *r,
    struct lt_slice signature, struct lt_slice proof, const char **why, struct lt_err *err)
{
	const struct lt_principal_key *old = lt_principal_key(p, r->old_no);
	const struct lt_fed *fed = &h->identity->federation;

	*why = "KEYS_STATE";
	if (p->role != LTPB__ROLE__ROLE_NODE ||
	    p->state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE || old == NULL ||
	    !old->active)
		return lt_err_set(
		    err, LT_E_REFUSED, "an active node changes its keys, nobody else");
	*why = "KEYS_INVALID";
	if (lt_rotation_verify(old->sign_key, fed, r, signature) != LT_OK)
		return lt_err_set(err, LT_E_BADSIG, "the new key is not signed by the one in use");
	if (lt_rotation_verify(r->sign_key, fed, r, proof) != LT_OK)
		return lt_err_set(err, LT_E_BADSIG, "the new key's own signature does not verify");
	return LT_OK;
}

struct rotating {
	struct lt_hub *h;
	const struct lt_rotation *r;
	struct lt_slice signature, proof;
	const char **why;
	struct lt_err *err;
};

/* By this registry, and by what it does not show yet. */
static int
check_all(const struct rotating *w, const struct lt_registry *reg, const struct lt_principal **p)
{
	int rc = find(reg, &w->r->principal, p, w->why, w->err);

	if (rc == LT_OK)
		rc = check_signatures(w->h, *p, w->r, w->signature, w->proof, w->why, w->err);
	if (rc == LT_OK && lt_hub_barred(w->h, &w->r->principal, w->r->old_no)) {
		*w->why = "KEYS_STATE";
		rc = lt_err_set(w->err, LT_E_REFUSED, "the key in use was revoked");
	}
	return rc;
}

/* While this one waited for the write before it, that one may have revoked the key in use, or given the new one to somebody. */
static int
check_again(struct lt_kv_txn *log, void *ctx)
{
	struct rotating *w = ctx;
	struct lt_registry *reg = lt_hub_registry(w->h);
	const struct lt_principal *p;
	int rc = check_all(w, reg, &p);

	(void)log;
	if (rc == LT_OK)
		rc = check_rotation(reg, p, w->r, w->why, w->err);
	lt_registry_unref(reg);
	if (rc == LT_OK)
		*w->why = "KEYS";
	return rc;
}

static int
write_key(struct rotating *w)
{
	const struct lt_rotation *r = w->r;
	struct lt_slice signature = w->signature;
	struct lt_err *err = w->err;
	uint64_t position;
	static const struct lt_unit federation = { "_" };
	const struct {
		const char *name;
		const uint8_t *data;
		size_t len;
	} fields[3] = { { "sign_key", r->sign_key, 32 }, { "line_key", r->line_key, 32 },
		{ "signature", signature.data, signature.len } };
	char hex[2 * LT_ID_LEN + 1];
	struct act a;
	size_t i;
	int rc = LT_OK;

	act_init(&a, "_key");
	lt_hex(hex, r->principal.b, LT_ID_LEN);
	(void)snprintf(a.key, sizeof(a.key), "%s/%u", hex, r->new_no);
	for (i = 0; rc == LT_OK && i < 3; i++) {
		Ltpb__Value *v = act_field(&a, fields[i].name, LTPB__VALUE__V_BYTES);

		if (v == NULL) {
			rc = LT_E_NOMEM;
		} else {
			v->bytes.data = (uint8_t *)fields[i].data;
			v->bytes.len = fields[i].len;
		}
	}
	if (rc == LT_OK)
		rc = act_word(&a, "state", "active");
	/* Two machines with one key must not both write the next one. */
	a.w.if_revision = true;
	if (rc == LT_OK)
		rc = lt_hub_write_prepared(
		    w->h, &federation, &a.w, 1, &a.arena, check_again, w, &position, err);
	rc = act_result(&a, rc, err);
	lt_arena_fini(&a.arena);
	return rc;
}

int
lt_hub_rotate(struct lt_hub *h, const struct lt_rotation *r, struct lt_slice signature,
    struct lt_slice proof, bool *again, const char **why, struct lt_err *err)
{
	struct rotating w = { h, r, signature, proof, why, err };
	struct lt_registry *reg = lt_hub_registry(h);
	const struct lt_principal_key *have;
	const struct lt_principal *p;
	char hex[2 * LT_ID_LEN + 1];
	int rc;

	*why = "KEYS";
	*again = false;
	rc = check_all(&w, reg, &p);
	have = rc == LT_OK ? lt_principal_key(p, r->new_no) : NULL;
	if (have != NULL && have->active && memcmp(have->sign_key, r->sign_key, 32) == 0 &&
	    memcmp(have->line_key, r->line_key, 32) == 0) {
		*again = true;
	} else if (rc == LT_OK) {
		rc = check_rotation(reg, p, r, why, err);
		if (rc == LT_OK) {
			*why = "KEYS";
			rc = write_key(&w);
		}
		lt_hex(hex, r->principal.b, LT_ID_LEN);
		if (rc == LT_OK)
			lt_info("principal %s: key %u confirmed", hex, r->new_no);
	}
	lt_registry_unref(reg);
	return rc;
}

static int
end_key(struct lt_hub *h, const struct lt_principal *p, uint32_t key_no, const struct lt_cut *cuts,
    size_t ncut, struct lt_err *err)
{
	const struct lt_revoking r = { p->id, key_no, "rotated", &p->id };
	struct revocation *v = calloc(1, sizeof(*v));
	char hex[2 * LT_ID_LEN + 1];
	uint64_t position = 0;
	int rc;

	if (v == NULL)
		return LT_E_NOMEM;
	v->h = h;
	v->r = &r;
	v->rotated = true;
	v->cut = cuts;
	v->ncut = ncut;
	v->unit = p->unit;
	/* Behind the cut-off nothing more may come in; what is within it waits until the registry tells the one from the other. */
	rc = lt_bar_put(h, LT_BAR_LATER, &p->id, key_no, LT_BAR_WRITING);
	if (rc == LT_OK) {
		rc = write_revocation(v, &position, err);
		lt_bar_until(h, LT_BAR_LATER, &p->id, key_no, position);
	}
	lt_arena_fini(&v->act.arena);
	free(v);
	lt_hex(hex, p->id.b, LT_ID_LEN);
	if (rc == LT_OK || position != 0)
		lt_info("principal %s: key %u is over", hex, key_no);
	return position != 0 && rc == LT_E_TIMEOUT ? LT_OK : rc;
}

int
lt_hub_end_rotation(struct lt_hub *h, const struct lt_id *principal, uint32_t key_no,
    const struct lt_cut *cuts, size_t ncut, uint32_t *ended, const char **why, struct lt_err *err)
{
	struct lt_registry *reg = lt_hub_registry(h);
	const struct lt_principal *p;
	size_t i;
	int rc;

	*why = "KEYS";
	*ended = 0;
	rc = find(reg, principal, &p, why, err);
	for (i = 0; rc == LT_OK && i < ncut; i++) {
		struct lt_id author = lt_feed_author(&cuts[i].feed);

		*why = "KEYS_INVALID";
		if (!lt_id_eq(&author, principal) || !lt_unit_eq(&cuts[i].unit, &p->unit))
			rc = lt_err_set(err, LT_E_INVALID, "a feed of somebody else");
	}
	for (i = 0; rc == LT_OK && i < p->nkey; i++) {
		if (!p->key[i].active || p->key[i].no >= key_no)
			continue;
		*why = "KEYS";
		rc = end_key(h, p, p->key[i].no, cuts, ncut, err);
		*ended += rc == LT_OK;
	}
	lt_registry_unref(reg);
	return rc;
}
