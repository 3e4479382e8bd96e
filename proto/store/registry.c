#include "proto/store/registry.h"

#include "proto/base/log.h"
#include "proto/store/projection.h"
#include "proto/store/projection_impl.h"

#include "proto/base/wire.h"

#include "lienthong/v1/trust.pb-c.h"

#include <stdatomic.h>
#include <stdlib.h>

#define REGISTRY_ARENA ((size_t)256 * 1024 * 1024)
#define RECORD_ARENA ((size_t)4 * 1024 * 1024)
#define NUMBER_DIGITS_MAX 19

struct line_entry {
	uint8_t key[32];
	const struct lt_principal *principal;
};

struct lt_registry {
	atomic_uint refs;
	uint64_t generation;
	struct lt_arena arena; /* everything below */
	size_t n;
	struct lt_principal *principal; /* by id */
	size_t nline;
	struct line_entry *line; /* by key, unique */
	size_t nknown;
	uint8_t (*known)[32]; /* every line key there is or was, rising */
};

/* What the records say, while they are read. */
struct load {
	struct lt_registry *r;
	struct lt_arena record; /* of the record at hand */
	size_t principal_cap;
	size_t nkey, key_cap;
	struct key_row *key;
	size_t ngrant, grant_cap;
	struct grant_row *grant;
	size_t nrevocation, revocation_cap;
	struct revocation_row *revocation;
};

struct key_row {
	struct lt_id id;
	struct lt_principal_key key;
};

struct grant_row {
	struct lt_id id;
	struct lt_grant grant;
};

struct revocation_row {
	struct lt_id id;
	struct lt_revocation revocation;
};

static atomic_uint_fast64_t generations;

static const Ltpb__Value *
field(const Ltpb__Record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_field; i++) {
		if (strcmp(r->field[i]->name, name) == 0)
			return r->field[i]->value;
	}
	return NULL;
}

static const char *
field_text(const Ltpb__Record *r, const char *name)
{
	const Ltpb__Value *v = field(r, name);

	if (v != NULL && v->v_case == LTPB__VALUE__V_TEXT)
		return v->text;
	return v != NULL && v->v_case == LTPB__VALUE__V_ENUMERATION ? v->enumeration : "";
}

static bool
field_key(const Ltpb__Record *r, const char *name, uint8_t out[32])
{
	const Ltpb__Value *v = field(r, name);

	if (v == NULL || v->v_case != LTPB__VALUE__V_BYTES || v->bytes.len != 32)
		return false;
	memcpy(out, v->bytes.data, 32);
	return true;
}

/* "principal" or "principal/number", the number at most `max`: no is NULL for the first. */
static bool
key_read(const char *key, uint64_t max, struct lt_id *id, uint64_t *no)
{
	char hex[2 * LT_ID_LEN + 1], *end = NULL;

	if (strlen(key) < 2 * LT_ID_LEN)
		return false;
	memcpy(hex, key, 2 * LT_ID_LEN);
	hex[2 * LT_ID_LEN] = '\0';
	key += 2 * LT_ID_LEN;
	if (lt_unhex(id->b, LT_ID_LEN, hex) != LT_OK)
		return false;
	if (no == NULL)
		return *key == '\0';
	/* The format has no more digits: beyond them nothing wraps. */
	if (key[0] != '/' || key[1] < '1' || key[1] > '9' || strlen(key) > 1 + NUMBER_DIGITS_MAX)
		return false;
	*no = strtoull(key + 1, &end, 10);
	return *end == '\0' && *no <= max;
}

static Ltpb__Role
role_of(const char *s)
{
	static const char *const name[] = { "", "node", "hub", "department", "operator", "mirror" };
	size_t i;

	for (i = 1; i < sizeof(name) / sizeof(name[0]); i++) {
		if (strcmp(name[i], s) == 0)
			return (Ltpb__Role)i;
	}
	return LTPB__ROLE__ROLE_UNSPECIFIED;
}

static Ltpb__PrincipalState
state_of(const char *s)
{
	static const char *const name[] = { "", "pending", "active", "suspended", "revoked",
		"rejected", "retired" };
	size_t i;

	for (i = 1; i < sizeof(name) / sizeof(name[0]); i++) {
		if (strcmp(name[i], s) == 0)
			return (Ltpb__PrincipalState)i;
	}
	return LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_UNSPECIFIED;
}

/* Room for one more item; the arrays live in the arena until they are final. */
static void *
grow(struct lt_arena *arena, void *list, size_t n, size_t *cap, size_t size)
{
	size_t wider = *cap == 0 ? 64 : *cap * 2;
	void *p;

	if (n < *cap)
		return list;
	p = lt_arena_alloc(arena, wider * size);
	if (p != NULL && n != 0)
		memcpy(p, list, n * size);
	if (p != NULL)
		*cap = wider;
	return p;
}

static int
add_principal(struct load *l, const Ltpb__Record *rec)
{
	struct lt_registry *r = l->r;
	struct lt_principal *p;
	const char *unit = field_text(rec, "unit");
	struct lt_id id;

	p = grow(&r->arena, r->principal, r->n, &l->principal_cap, sizeof(*p));
	if (p == NULL)
		return LT_E_NOMEM;
	r->principal = p;
	p += r->n;
	memset(p, 0, sizeof(*p));
	p->role = role_of(field_text(rec, "role"));
	p->state = state_of(field_text(rec, "state"));
	if (!key_read(rec->key, 0, &id, NULL) || p->role == LTPB__ROLE__ROLE_UNSPECIFIED ||
	    (unit[0] != '\0' && lt_unit_set(&p->unit, lt_slice_str(unit)) != LT_OK)) {
		lt_warn("registry: record \"%s\" says nothing usable, passed over", rec->key);
		return LT_OK;
	}
	p->id = id;
	p->org = lt_arena_dup(&r->arena, field_text(rec, "org"), strlen(field_text(rec, "org")));
	p->label =
	    lt_arena_dup(&r->arena, field_text(rec, "label"), strlen(field_text(rec, "label")));
	r->n++;
	return p->org == NULL || p->label == NULL ? LT_E_NOMEM : LT_OK;
}

static int
add_key(struct load *l, const Ltpb__Record *rec)
{
	struct key_row *k = grow(&l->r->arena, l->key, l->nkey, &l->key_cap, sizeof(*k));
	uint64_t no;

	if (k == NULL)
		return LT_E_NOMEM;
	l->key = k;
	k += l->nkey;
	memset(k, 0, sizeof(*k));
	k->key.active = strcmp(field_text(rec, "state"), "active") == 0;
	if (!key_read(rec->key, UINT32_MAX, &k->id, &no) ||
	    !field_key(rec, "sign_key", k->key.sign_key)) {
		lt_warn("registry: key \"%s\" says nothing usable, passed over", rec->key);
		return LT_OK;
	}
	k->key.no = (uint32_t)no;
	/* Departments that only read have no signing use, authors without a line none for a line key. */
	(void)field_key(rec, "line_key", k->key.line_key);
	l->nkey++;
	return LT_OK;
}

static int
copy_set(
    struct lt_arena *arena, const Ltpb__Record *rec, const char *name, const char ***out, size_t *n)
{
	const Ltpb__Value *v = field(rec, name);
	size_t i;

	*n = 0;
	*out = NULL;
	if (v == NULL || v->v_case != LTPB__VALUE__V_SET || v->set->n_item == 0)
		return LT_OK;
	*out = lt_arena_alloc(arena, v->set->n_item * sizeof(**out));
	if (*out == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < v->set->n_item; i++) {
		(*out)[i] = lt_arena_dup(arena, v->set->item[i], strlen(v->set->item[i]));
		if ((*out)[i] == NULL)
			return LT_E_NOMEM;
	}
	*n = v->set->n_item;
	return LT_OK;
}

static int
add_grant(struct load *l, const Ltpb__Record *rec)
{
	struct lt_arena *a = &l->r->arena;
	struct grant_row *g = grow(a, l->grant, l->ngrant, &l->grant_cap, sizeof(*g));
	uint64_t no;
	int rc;

	if (g == NULL)
		return LT_E_NOMEM;
	l->grant = g;
	g += l->ngrant;
	memset(g, 0, sizeof(*g));
	if (!key_read(rec->key, UINT32_MAX, &g->id, &no)) {
		lt_warn("registry: grant \"%s\" says nothing usable, passed over", rec->key);
		return LT_OK;
	}
	if (strcmp(field_text(rec, "state"), "active") != 0)
		return LT_OK;
	rc = copy_set(a, rec, "verbs", &g->grant.verb, &g->grant.nverb);
	if (rc == LT_OK)
		rc = copy_set(a, rec, "units", &g->grant.unit, &g->grant.nunit);
	if (rc == LT_OK)
		rc = copy_set(a, rec, "collections", &g->grant.collection, &g->grant.ncollection);
	if (rc == LT_OK)
		rc = copy_set(a, rec, "fields", &g->grant.field, &g->grant.nfield);
	if (rc == LT_OK)
		l->ngrant++;
	return rc;
}

/* ---- revocations ---- */

static int
cut_order(const void *a, const void *b)
{
	const struct lt_cut *x = a, *y = b;
	int c = strcmp(x->unit.s, y->unit.s);

	return c != 0 ? c : lt_feed_id_cmp(&x->feed, &y->feed);
}

/* Of a feed that is named twice the lower number counts. */
static int
cut_whole_order(const void *a, const void *b)
{
	const struct lt_cut *x = a, *y = b;
	int c = cut_order(a, b);

	if (c == 0)
		c = (x->seq > y->seq) - (x->seq < y->seq);
	return c != 0 ? c : memcmp(x->hash.b, y->hash.b, LT_HASH_LEN);
}

/* What of a cut-off makes sense; a feed left out has nothing that counts. */
static int
take_cuts(struct load *l, const Ltpb__CutOff *m, struct lt_revocation *r)
{
	size_t i, kept = 0;

	r->cut = lt_arena_alloc(&l->r->arena, m->n_feed * sizeof(*r->cut));
	if (r->cut == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < m->n_feed && i < LT_CUTS_MAX; i++) {
		const Ltpb__FeedHead *f = m->feed[i];
		struct lt_cut *cut = &r->cut[r->ncut];

		if (f->feed.len != LT_FEED_LEN || f->hash.len != LT_HASH_LEN || f->seq == 0 ||
		    lt_unit_set(&cut->unit, lt_slice_str(f->unit)) != LT_OK)
			continue;
		memcpy(cut->feed.b, f->feed.data, LT_FEED_LEN);
		memcpy(cut->hash.b, f->hash.data, LT_HASH_LEN);
		cut->seq = f->seq;
		r->ncut++;
	}
	if (r->ncut != 0)
		qsort(r->cut, r->ncut, sizeof(*r->cut), cut_whole_order);
	for (i = 0; i < r->ncut; i++)
		if (kept == 0 || cut_order(&r->cut[kept - 1], &r->cut[i]) != 0)
			r->cut[kept++] = r->cut[i];
	r->ncut = kept;
	return LT_OK;
}

/* A cut-off that cannot be read cuts off everything: a key that was revoked does not come back by a damaged record. */
static int
add_cutoff(struct load *l, const Ltpb__Record *rec, struct lt_revocation *r)
{
	const Ltpb__Value *v = field(rec, "cutoff");
	ProtobufCMessage *msg = NULL;
	int rc;

	if (v == NULL || v->v_case != LTPB__VALUE__V_BYTES)
		return LT_OK;
	rc = lt_wire_unpack(&ltpb__cut_off__descriptor, lt_slice(v->bytes.data, v->bytes.len),
	    LT_VALUE_MAX, &l->record, &msg, NULL);
	if (rc == LT_OK)
		return take_cuts(l, (const Ltpb__CutOff *)msg, r);
	if (rc == LT_E_NOMEM)
		return rc;
	lt_warn("registry: the cut-off of revocation \"%s\" cannot be read", rec->key);
	return LT_OK;
}

static int
add_revocation(struct load *l, const Ltpb__Record *rec)
{
	struct lt_arena *a = &l->r->arena;
	struct revocation_row *row =
	    grow(a, l->revocation, l->nrevocation, &l->revocation_cap, sizeof(*row));
	const Ltpb__Value *no = field(rec, "key_no"), *by = field(rec, "by");
	const char *reason = field_text(rec, "reason");

	if (row == NULL)
		return LT_E_NOMEM;
	l->revocation = row;
	row += l->nrevocation;
	memset(row, 0, sizeof(*row));
	if (!key_read(rec->key, INT64_MAX, &row->id, &row->revocation.number)) {
		lt_warn("registry: revocation \"%s\" names nobody, passed over", rec->key);
		return LT_OK;
	}
	/* A hub writes both at once. What was added later to a record that counted without would change what it says. */
	if (no == NULL || field(rec, "cutoff") == NULL) {
		lt_warn("registry: revocation \"%s\" lacks its key or its cut-off, passed over",
		    rec->key);
		return LT_OK;
	}
	/* Anything that is no key number stands for all of them. */
	if (no != NULL && no->v_case == LTPB__VALUE__V_INTEGER && no->integer > 0 &&
	    no->integer <= UINT32_MAX)
		row->revocation.key_no = (uint32_t)no->integer;
	if (by != NULL && by->v_case == LTPB__VALUE__V_BYTES && by->bytes.len == LT_ID_LEN)
		memcpy(row->revocation.by.b, by->bytes.data, LT_ID_LEN);
	row->revocation.reason =
	    reason[0] != '\0' ? lt_arena_dup(a, reason, strlen(reason)) : "other";
	if (row->revocation.reason == NULL)
		return LT_E_NOMEM;
	l->nrevocation++;
	return add_cutoff(l, rec, &row->revocation);
}

static int
on_record(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	struct load *l = ctx;
	Ltpb__Record *rec;
	int rc;

	(void)rk;
	lt_arena_init(&l->record, RECORD_ARENA);
	rc = lt_record_unpack(record, &l->record, &rec);
	if (rc == LT_OK && strcmp(rec->collection, "_registry") == 0)
		rc = add_principal(l, rec);
	else if (rc == LT_OK && strcmp(rec->collection, "_key") == 0)
		rc = add_key(l, rec);
	else if (rc == LT_OK && strcmp(rec->collection, "_revocation") == 0)
		rc = add_revocation(l, rec);
	else if (rc == LT_OK)
		rc = add_grant(l, rec);
	lt_arena_fini(&l->record);
	return rc;
}

static int
by_id(const void *a, const void *b)
{
	return memcmp(((const struct lt_principal *)a)->id.b,
	    ((const struct lt_principal *)b)->id.b, LT_ID_LEN);
}

static struct lt_principal *
find(const struct lt_registry *r, const struct lt_id *id)
{
	struct lt_principal want;

	if (r->n == 0)
		return NULL;
	want.id = *id;
	return bsearch(&want, r->principal, r->n, sizeof(want), by_id);
}

static int
hub_keys(struct load *l, const struct lt_principal *hub)
{
	struct key_row *row;
	size_t i, kept = 0;

	for (i = 0; i < l->nkey; i++) {
		if (!lt_id_eq(&l->key[i].id, &hub->id))
			l->key[kept++] = l->key[i];
	}
	l->nkey = kept;
	for (i = 0; i < hub->nkey; i++) {
		row = grow(&l->r->arena, l->key, l->nkey, &l->key_cap, sizeof(*row));
		if (row == NULL)
			return LT_E_NOMEM;
		l->key = row;
		row[l->nkey].id = hub->id;
		row[l->nkey++].key = hub->key[i];
	}
	return LT_OK;
}

/* Certified hubs stand in the registry as their certificates say, whatever a record claims. */
static int
add_hubs(struct load *l, const struct lt_principal *hub, size_t nhub)
{
	struct lt_registry *r = l->r;
	struct lt_principal *p;
	size_t i, j;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < nhub; i++) {
		for (j = 0; j < r->n && !lt_id_eq(&r->principal[j].id, &hub[i].id); j++)
			;
		p = grow(&r->arena, r->principal, r->n, &l->principal_cap, sizeof(*p));
		if (p == NULL)
			return LT_E_NOMEM;
		r->principal = p;
		r->n += j == r->n;
		p[j] = hub[i];
		p[j].certified = true;
		p[j].org = lt_arena_dup(&r->arena, hub[i].org == NULL ? "" : hub[i].org,
		    hub[i].org == NULL ? 0 : strlen(hub[i].org));
		p[j].label = lt_arena_dup(&r->arena, hub[i].label == NULL ? "" : hub[i].label,
		    hub[i].label == NULL ? 0 : strlen(hub[i].label));
		p[j].nkey = p[j].ngrant = p[j].nrevocation = 0;
		p[j].revocation = NULL;
		p[j].key = NULL;
		p[j].grant = NULL;
		if (p[j].org == NULL || p[j].label == NULL)
			return LT_E_NOMEM;
		rc = hub_keys(l, &hub[i]);
	}
	return rc;
}

static int
key_order(const void *a, const void *b)
{
	const struct key_row *x = a, *y = b;
	int c = memcmp(x->id.b, y->id.b, LT_ID_LEN);

	return c != 0 ? c : (x->key.no > y->key.no) - (x->key.no < y->key.no);
}

static int
grant_order(const void *a, const void *b)
{
	return memcmp(
	    ((const struct grant_row *)a)->id.b, ((const struct grant_row *)b)->id.b, LT_ID_LEN);
}

static int
attach_keys(struct load *l)
{
	struct lt_registry *r = l->r;
	struct lt_principal_key *all = lt_arena_alloc(&r->arena, l->nkey * sizeof(*all));
	struct lt_principal *p;
	size_t i;

	if (all == NULL)
		return LT_E_NOMEM;
	if (l->nkey != 0)
		qsort(l->key, l->nkey, sizeof(*l->key), key_order);
	for (i = 0; i < l->nkey; i++) {
		all[i] = l->key[i].key;
		p = find(r, &l->key[i].id);
		if (p != NULL && p->nkey++ == 0)
			p->key = &all[i];
	}
	return LT_OK;
}

static int
attach_grants(struct load *l)
{
	struct lt_registry *r = l->r;
	struct lt_grant *all = lt_arena_alloc(&r->arena, l->ngrant * sizeof(*all));
	struct lt_principal *p;
	size_t i;

	if (all == NULL)
		return LT_E_NOMEM;
	if (l->ngrant != 0)
		qsort(l->grant, l->ngrant, sizeof(*l->grant), grant_order);
	for (i = 0; i < l->ngrant; i++) {
		all[i] = l->grant[i].grant;
		p = find(r, &l->grant[i].id);
		if (p != NULL && p->ngrant++ == 0)
			p->grant = &all[i];
	}
	return LT_OK;
}

static int
revocation_order(const void *a, const void *b)
{
	const struct revocation_row *x = a, *y = b;
	int c = memcmp(x->id.b, y->id.b, LT_ID_LEN);

	return c != 0 ? c
		      : (x->revocation.number > y->revocation.number) -
			    (x->revocation.number < y->revocation.number);
}

/* Whoever left in order is retired, unless something else was ever said of it. */
static void
revoke(struct lt_principal *p)
{
	bool whole = false, other = false;
	size_t i, k;

	for (i = 0; i < p->nrevocation; i++) {
		const struct lt_revocation *r = &p->revocation[i];

		whole |= r->key_no == 0;
		other |= r->key_no == 0 && strcmp(r->reason, "retired") != 0;
		for (k = 0; k < p->nkey; k++)
			p->key[k].active &= r->key_no != 0 && r->key_no != p->key[k].no;
	}
	if (whole)
		p->state = other ? LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED
				 : LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_RETIRED;
}

/* Hubs stand by their certificates: a record takes nothing from them. A record that calls somebody a hub is no certificate: a node that was
 * revoked would be let in again by it. */
static int
attach_revocations(struct load *l)
{
	struct lt_registry *r = l->r;
	struct lt_revocation *all = lt_arena_alloc(&r->arena, l->nrevocation * sizeof(*all));
	struct lt_principal *p;
	size_t i;

	if (all == NULL)
		return LT_E_NOMEM;
	if (l->nrevocation != 0)
		qsort(l->revocation, l->nrevocation, sizeof(*l->revocation), revocation_order);
	for (i = 0; i < l->nrevocation; i++) {
		all[i] = l->revocation[i].revocation;
		p = find(r, &l->revocation[i].id);
		if (p != NULL && !p->certified && p->nrevocation++ == 0)
			p->revocation = &all[i];
	}
	for (i = 0; i < r->n; i++)
		revoke(&r->principal[i]);
	return LT_OK;
}

static int
key_bytes_order(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

static int
attach_known(struct load *l)
{
	static const uint8_t none[32];
	struct lt_registry *r = l->r;
	size_t i;

	r->known = lt_arena_alloc(&r->arena, l->nkey * sizeof(*r->known));
	if (r->known == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < l->nkey; i++)
		if (memcmp(l->key[i].key.line_key, none, sizeof(none)) != 0)
			memcpy(r->known[r->nknown++], l->key[i].key.line_key, sizeof(none));
	if (r->nknown != 0)
		qsort(r->known, r->nknown, sizeof(*r->known), key_bytes_order);
	return LT_OK;
}

static int
line_order(const void *a, const void *b)
{
	const struct line_entry *x = a, *y = b;
	int c = memcmp(x->key, y->key, sizeof(x->key));

	return c != 0 ? c : memcmp(x->principal->id.b, y->principal->id.b, LT_ID_LEN);
}

/* Active line keys; where two principals claim one, it stays with the lower id. */
static int
attach_lines(struct load *l)
{
	static const uint8_t none[32];
	struct lt_registry *r = l->r;
	struct line_entry *e = lt_arena_alloc(&r->arena, l->nkey * sizeof(*e));
	size_t i, k, kept = 0;
	char hex[2 * LT_ID_LEN + 1];

	if (e == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < r->n; i++) {
		for (k = 0; k < r->principal[i].nkey; k++) {
			const struct lt_principal_key *key = &r->principal[i].key[k];

			if (!key->active || memcmp(key->line_key, none, sizeof(none)) == 0)
				continue;
			memcpy(e[r->nline].key, key->line_key, sizeof(none));
			e[r->nline++].principal = &r->principal[i];
		}
	}
	if (r->nline != 0)
		qsort(e, r->nline, sizeof(*e), line_order);
	for (i = 0; i < r->nline; i++) {
		if (kept == 0 || memcmp(e[kept - 1].key, e[i].key, sizeof(none)) != 0) {
			e[kept++] = e[i];
		} else if (e[kept - 1].principal != e[i].principal) {
			lt_hex(hex, e[i].principal->id.b, LT_ID_LEN);
			lt_warn(
			    "registry: line key of principal %s belongs to another, ignored", hex);
		}
	}
	r->nline = kept;
	r->line = e;
	return LT_OK;
}

static int
load(struct load *l, struct lt_kv_txn *derived, const struct lt_principal *hub, size_t nhub)
{
	static const char *const collection[] = { "_registry", "_key", "_grant", "_revocation" };
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < sizeof(collection) / sizeof(collection[0]); i++)
		rc = lt_record_each(derived, collection[i], "_", lt_slice(NULL, 0), on_record, l);
	if (rc == LT_OK)
		rc = add_hubs(l, hub, nhub);
	if (rc != LT_OK)
		return rc;
	if (l->r->n != 0)
		qsort(l->r->principal, l->r->n, sizeof(struct lt_principal), by_id);
	rc = attach_keys(l);
	if (rc == LT_OK)
		rc = attach_grants(l);
	if (rc == LT_OK)
		rc = attach_revocations(l);
	if (rc == LT_OK)
		rc = attach_known(l);
	return rc == LT_OK ? attach_lines(l) : rc;
}

int
lt_registry_load(struct lt_kv_txn *derived, const struct lt_principal *hub, size_t nhub,
    struct lt_registry **out, struct lt_err *err)
{
	struct load l;
	int rc;

	memset(&l, 0, sizeof(l));
	l.r = calloc(1, sizeof(*l.r));
	if (l.r == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory for the registry");
	atomic_init(&l.r->refs, 1);
	lt_arena_init(&l.r->arena, REGISTRY_ARENA);
	rc = load(&l, derived, hub, nhub);
	if (rc != LT_OK) {
		lt_registry_unref(l.r);
		return lt_err_set(err, rc, "the registry cannot be read: %s", lt_strerror(rc));
	}
	l.r->generation = atomic_fetch_add(&generations, 1) + 1;
	*out = l.r;
	return LT_OK;
}

struct lt_registry *
lt_registry_ref(struct lt_registry *r)
{
	(void)atomic_fetch_add(&r->refs, 1);
	return r;
}

void
lt_registry_unref(struct lt_registry *r)
{
	if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	lt_arena_fini(&r->arena);
	free(r);
}

uint64_t
lt_registry_generation(const struct lt_registry *r)
{
	return r->generation;
}

const struct lt_principal *
lt_registry_find(const struct lt_registry *r, const struct lt_id *id)
{
	return find(r, id);
}

const struct lt_principal *
lt_registry_by_line_key(const struct lt_registry *r, const uint8_t line_key[32])
{
	size_t lo = 0, hi = r->nline, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (memcmp(r->line[mid].key, line_key, 32) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->nline && memcmp(r->line[lo].key, line_key, 32) == 0 ? r->line[lo].principal
									   : NULL;
}

bool
lt_registry_knows_line(const struct lt_registry *r, const uint8_t line_key[32])
{
	return r->nknown != 0 &&
	       bsearch(line_key, r->known, r->nknown, sizeof(*r->known), key_bytes_order) != NULL;
}

bool
lt_principal_revoked(const struct lt_principal *p, uint32_t key_no)
{
	size_t i;

	for (i = 0; i < p->nrevocation; i++)
		if (p->revocation[i].key_no == 0 ||
		    (key_no != 0 && p->revocation[i].key_no == key_no))
			return true;
	return false;
}

static bool
within(const struct lt_revocation *r, const struct lt_cut *want)
{
	const struct lt_cut *cut =
	    r->ncut == 0 ? NULL : bsearch(want, r->cut, r->ncut, sizeof(*want), cut_order);

	return cut != NULL && (want->seq < cut->seq ||
				  (want->seq == cut->seq && lt_hash_eq(&want->hash, &cut->hash)));
}

bool
lt_principal_covers(const struct lt_principal *p, uint32_t key_no, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash)
{
	struct lt_cut want = { .unit = *unit, .feed = *feed, .seq = seq, .hash = *hash };
	size_t i;

	for (i = 0; i < p->nrevocation; i++) {
		const struct lt_revocation *r = &p->revocation[i];

		if ((r->key_no == 0 || r->key_no == key_no) && !within(r, &want))
			return false;
	}
	return true;
}

void
lt_principal_of_hub(struct lt_principal *p, struct lt_principal_key *key,
    const uint8_t id[LT_ID_LEN], uint32_t key_no, const uint8_t sign_key[32],
    const uint8_t line_key[32])
{
	memset(p, 0, sizeof(*p));
	memset(key, 0, sizeof(*key));
	memcpy(p->id.b, id, LT_ID_LEN);
	p->role = LTPB__ROLE__ROLE_HUB;
	p->state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
	p->org = "";
	p->label = "hub";
	p->nkey = 1;
	p->key = key;
	key->no = key_no;
	key->active = true;
	memcpy(key->sign_key, sign_key, 32);
	memcpy(key->line_key, line_key, 32);
}

const struct lt_principal_key *
lt_principal_key(const struct lt_principal *p, uint32_t key_no)
{
	size_t i;

	for (i = 0; i < p->nkey; i++) {
		if (p->key[i].no == key_no)
			return &p->key[i];
	}
	return NULL;
}

const struct lt_principal *
lt_registry_active_node(const struct lt_registry *r, const struct lt_id *id)
{
	const struct lt_principal *p = lt_registry_find(r, id);

	return p != NULL && p->role == LTPB__ROLE__ROLE_NODE &&
		       p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE
		   ? p
		   : NULL;
}

const struct lt_principal_key *
lt_registry_node_key(const struct lt_registry *r, const struct lt_id *node, uint32_t key_no)
{
	const struct lt_principal *p = lt_registry_active_node(r, node);
	const struct lt_principal_key *key = p == NULL ? NULL : lt_principal_key(p, key_no);

	return key != NULL && key->active ? key : NULL;
}

bool
lt_registry_is_hub(const struct lt_registry *r, const struct lt_id *author)
{
	const struct lt_principal *p = find(r, author);

	return p != NULL && p->role == LTPB__ROLE__ROLE_HUB;
}

size_t
lt_registry_count(const struct lt_registry *r)
{
	return r->n;
}

const struct lt_principal *
lt_registry_at(const struct lt_registry *r, size_t i)
{
	return i < r->n ? &r->principal[i] : NULL;
}
