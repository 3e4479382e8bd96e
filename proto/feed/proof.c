/* A proof, checked in the order of FORMAT.md 11: form, who the hub is, parts, chain, verdicts, authors, receipts, context, and that
 * nothing is there for nothing. */
#include "proto/feed/proof.h"

#include "proto/base/wire.h"
#include "proto/feed/changeset_impl.h"
#include "proto/feed/leaf.h"
#include "proto/feed/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULT_TEXT(name, code, en, vi) { code, en, vi },
static const struct {
	int code;
	const char *en, *vi;
} fault_text[] = { LT_PROOF_FAULTS(FAULT_TEXT) };
#undef FAULT_TEXT

struct hub_key {
	struct lt_id id;
	uint32_t no;
	uint8_t sign_key[32];
	bool used;
};

/* A header of the record's feeds. Runs are numbered: in one run each names the one before by its hash. */
struct place {
	const struct lt_changeset *cs;
	size_t run;
	bool used;
};

/* One act about an author: a change of the registry parts. */
struct act {
	const struct lt_proof_part *part;
	const struct lt_proof_change *change;
	bool is_key;
	struct lt_id author;
	uint32_t key_no; /* of a key */
	bool used;
};

struct ruling {
	const struct lt_proof_part *part;
	const Ltpb__Verdict *v;
	struct lt_feed_id feed;
	bool settles;
	bool used;
};

struct check {
	const uint8_t *root_key;
	struct lt_arena *arena;
	const Ltpb__Proof *m;
	struct lt_proof *p;
	struct lt_err *err;
	size_t nhub, nplace, nact, nruling;
	struct hub_key *hub;
	struct place *place; /* by feed and seq */
	struct act *act; /* by stamp, then dot */
	struct ruling *ruling;
	struct lt_proof_part *verdict, *registry;
};

const char *
lt_proof_fault_text(enum lt_proof_fault f, bool vietnamese)
{
	return vietnamese ? fault_text[f].vi : fault_text[f].en;
}

/* what: the subject, may be NULL. */
static int
fault(struct check *k, enum lt_proof_fault f, const char *what)
{
	k->p->fault = f;
	return lt_err_set(k->err, fault_text[f].code, "%s%s%s", fault_text[f].en,
	    what != NULL ? ": " : "", what != NULL ? what : "");
}

static int
fault_at(struct check *k, enum lt_proof_fault f, const struct lt_changeset *cs)
{
	char what[2 * LT_FEED_LEN + 40], hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, cs->feed.b, LT_FEED_LEN);
	(void)snprintf(what, sizeof(what), "%s/%llu", hex, (unsigned long long)cs->seq);
	return fault(k, f, what);
}

/* An error of the functions below: memory, or the fault that it means here. */
static int
fault_of(struct check *k, int rc, enum lt_proof_fault f, const struct lt_err *why)
{
	return fault(
	    k, rc == LT_E_NOMEM ? LT_PROOF_MEMORY : f, why->text[0] != '\0' ? why->text : NULL);
}

static void *
alloc(struct check *k, size_t n, size_t size)
{
	void *p = lt_arena_alloc(k->arena, (n + 1) * size);

	if (p == NULL)
		(void)fault(k, LT_PROOF_MEMORY, NULL);
	return p;
}

/* ---- form: one spelling, nothing unknown ---- */

/* Unpack, and pack again: what comes out must be what came in. */
static int
unpack_exact(struct check *k, const ProtobufCMessageDescriptor *d, struct lt_slice bytes,
    ProtobufCMessage **out)
{
	struct lt_err why = { "" };
	struct lt_buf again;
	int rc = lt_wire_unpack(d, bytes, LT_PROOF_MAX, k->arena, out, &why);

	if (rc != LT_OK)
		return fault_of(k, rc, LT_PROOF_FORM, &why);
	lt_buf_init(&again, LT_PROOF_MAX);
	rc = lt_wire_pack(*out, LT_PROOF_MAX, &again);
	if (rc == LT_E_NOMEM)
		rc = fault(k, LT_PROOF_MEMORY, NULL);
	else if (rc != LT_OK || !lt_slice_eq(lt_buf_slice(&again), bytes) ||
		 (*out)->n_unknown_fields != 0)
		rc = fault(k, LT_PROOF_SPELLING, NULL);
	lt_buf_fini(&again);
	return rc;
}

static bool
part_known(const Ltpb__ProofPart *part)
{
	size_t i, f;

	if (part->base.n_unknown_fields != 0)
		return false;
	for (i = 0; i < part->n_change; i++) {
		if (part->change[i]->base.n_unknown_fields != 0)
			return false;
		for (f = 0; f < part->change[i]->n_opening; f++)
			if (part->change[i]->opening[f]->base.n_unknown_fields != 0)
				return false;
	}
	return true;
}

static int
read_form(struct check *k, struct lt_slice bytes)
{
	ProtobufCMessage *msg = NULL;
	const Ltpb__Proof *m;
	size_t i;
	bool known = true;
	int rc = unpack_exact(k, &ltpb__proof__descriptor, bytes, &msg);

	if (rc != LT_OK)
		return rc;
	k->m = m = (const Ltpb__Proof *)msg;
	if (m->version != LT_PROOF_VERSION)
		return fault(k, m->version == 0 ? LT_PROOF_FORM : LT_PROOF_NEWER, NULL);
	for (i = 0; i < m->n_record; i++)
		known = known && part_known(m->record[i]);
	for (i = 0; i < m->n_verdict; i++)
		known = known && part_known(m->verdict[i]);
	for (i = 0; i < m->n_registry; i++)
		known = known && part_known(m->registry[i]);
	if (!known)
		return fault(k, LT_PROOF_SPELLING, NULL);
	if (m->federation_salt.len != 16 || m->n_record == 0 || !lt_unit_valid(m->unit))
		return fault(k, LT_PROOF_FORM, NULL);
	lt_federation_id(k->root_key, m->federation_salt.data, &k->p->federation);
	k->p->collection = m->collection;
	k->p->unit = m->unit;
	k->p->key = m->key;
	return LT_OK;
}

/* ---- the hub ---- */

static struct hub_key *
find_hub(struct check *k, const struct lt_id *id, uint32_t no)
{
	size_t i;

	for (i = 0; i < k->nhub; i++)
		if (lt_id_eq(&k->hub[i].id, id) && (no == 0 || k->hub[i].no == no))
			return &k->hub[i];
	return NULL;
}

static int
read_certificate(struct check *k, struct lt_slice bytes)
{
	ProtobufCMessage *outer = NULL;
	Ltpb__CertificateBody *body = NULL;
	struct lt_err why = { "" };
	struct hub_key *h = &k->hub[k->nhub];
	int rc = unpack_exact(k, &ltpb__certificate__descriptor, bytes, &outer);

	if (rc != LT_OK)
		return rc;
	rc = lt_certificate_verify(bytes, k->root_key, &k->p->federation, k->arena, &body, &why);
	if (rc == LT_E_DENIED)
		return fault(k, LT_PROOF_FEDERATION, "certificate");
	if (rc != LT_OK)
		return fault_of(k, rc, LT_PROOF_CERTIFICATE, &why);
	if (body->role != LTPB__ROLE__ROLE_HUB)
		return fault(k, LT_PROOF_CERTIFICATE, "not a hub's");
	memcpy(h->id.b, body->principal.data, LT_ID_LEN);
	memcpy(h->sign_key, body->sign_key.data, 32);
	h->no = body->key_no;
	if (find_hub(k, &h->id, h->no) != NULL)
		return fault(k, LT_PROOF_ORDER, "certificate");
	k->nhub++;
	return LT_OK;
}

static int
read_certificates(struct check *k)
{
	size_t i;
	int rc = LT_OK;

	k->hub = alloc(k, k->m->n_certificate, sizeof(*k->hub));
	if (k->hub == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < k->m->n_certificate; i++)
		rc = read_certificate(
		    k, lt_slice(k->m->certificate[i].data, k->m->certificate[i].len));
	k->p->ncertificate = k->m->n_certificate;
	return rc;
}

/* ---- parts ---- */

static int
read_path(struct check *k, const Ltpb__ProofChange *m, const struct lt_proof_part *part)
{
	struct lt_hash path[LT_MERKLE_PATH_MAX], leaf, root;
	size_t i;

	if (m->n_path > LT_MERKLE_PATH_MAX)
		return fault_at(k, LT_PROOF_PATH, &part->cs);
	for (i = 0; i < m->n_path; i++) {
		if (m->path[i].len != LT_HASH_LEN)
			return fault_at(k, LT_PROOF_FORM, &part->cs);
		memcpy(path[i].b, m->path[i].data, LT_HASH_LEN);
	}
	lt_h1(LT_TAG_CHANGE, lt_slice(m->change.data, m->change.len), &leaf);
	if (lt_merkle_path_root(&leaf, part->change_count, m->index, path, m->n_path, &root) !=
		LT_OK ||
	    !lt_hash_eq(&root, &part->changes_root))
		return fault_at(k, LT_PROOF_PATH, &part->cs);
	return LT_OK;
}

static int
read_change(struct check *k, const Ltpb__ProofChange *m, const struct lt_proof_part *part,
    struct lt_proof_change *out)
{
	struct lt_err why = { "" };
	int rc = read_path(k, m, part);

	if (rc != LT_OK)
		return rc;
	out->index = m->index;
	rc = lt_change_decode(
	    lt_slice(m->change.data, m->change.len), &part->cs.feed, k->arena, &out->change, &why);
	return rc == LT_OK ? LT_OK : fault_of(k, rc, LT_PROOF_FORM, &why);
}

static int
read_part(struct check *k, const Ltpb__ProofPart *m, struct lt_proof_part *out)
{
	struct lt_err why = { "" };
	size_t i;
	int rc = lt_header_read(lt_slice(m->header.data, m->header.len), k->arena, &out->cs,
	    &out->change_count, &out->changes_root, &why);

	if (rc != LT_OK)
		return fault_of(k, rc, LT_PROOF_FORM, &why);
	if (memcmp(out->cs.federation.b, k->p->federation.b, LT_FED_LEN) != 0)
		return fault_at(k, LT_PROOF_FEDERATION, &out->cs);
	if (m->signature.len != LT_SIG_LEN || m->n_change == 0)
		return fault_at(k, LT_PROOF_FORM, &out->cs);
	out->cs.signature = lt_slice(m->signature.data, m->signature.len);
	out->nchange = m->n_change;
	out->change = alloc(k, m->n_change, sizeof(*out->change));
	if (out->change == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < m->n_change; i++) {
		if (i != 0 && m->change[i - 1]->index >= m->change[i]->index)
			return fault_at(k, LT_PROOF_ORDER, &out->cs);
		rc = read_change(k, m->change[i], out, &out->change[i]);
	}
	return rc;
}

static int
place_cmp(const struct lt_changeset *a, const struct lt_changeset *b)
{
	int c = lt_feed_id_cmp(&a->feed, &b->feed);

	return c != 0 ? c : (a->seq > b->seq) - (a->seq < b->seq);
}

static int
read_parts(struct check *k, size_t n, Ltpb__ProofPart *const *m, struct lt_proof_part **out)
{
	size_t i;
	int rc = LT_OK;

	*out = alloc(k, n, sizeof(**out));
	if (*out == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < n; i++) {
		rc = read_part(k, m[i], &(*out)[i]);
		if (rc == LT_OK && i != 0 && place_cmp(&(*out)[i - 1].cs, &(*out)[i].cs) >= 0)
			rc = fault_at(k, LT_PROOF_ORDER, &(*out)[i].cs);
	}
	return rc;
}

/* Signed by a hub, for this unit, without openings. */
static int
check_hub_part(
    struct check *k, const Ltpb__ProofPart *m, const struct lt_proof_part *part, const char *unit)
{
	struct lt_id author = lt_feed_author(&part->cs.feed);
	struct hub_key *h = find_hub(k, &author, part->cs.key_no);
	size_t i;

	if (h == NULL || strcmp(part->cs.unit.s, unit) != 0)
		return fault_at(k, LT_PROOF_ACT, &part->cs);
	h->used = true;
	if (lt_changeset_verify_signature(&part->cs, h->sign_key) != LT_OK)
		return fault_at(k, LT_PROOF_SIGNATURE, &part->cs);
	for (i = 0; i < part->nchange; i++)
		if (m->change[i]->n_opening != 0 || part->change[i].change.is_delete)
			return fault_at(k, LT_PROOF_ACT, &part->cs);
	return LT_OK;
}

/* ---- openings of the record's changes ---- */

static int
open_leaf(struct check *k, const Ltpb__OpenedField *m, const struct lt_leaf_place *place,
    struct lt_opening *o)
{
	struct lt_err why = { "" };
	int rc;

	o->name = place->field;
	o->withheld = m->leaf.len != 0;
	if (o->withheld) {
		if (m->leaf.len != LT_HASH_LEN || m->salt.len != 0 || m->field_set.len != 0)
			return fault(k, LT_PROOF_FORM, "opening");
		memcpy(o->leaf.b, m->leaf.data, LT_HASH_LEN);
		k->p->nwithheld++;
		return LT_OK;
	}
	if (m->salt.len != LT_SALT_LEN || m->field_set.len == 0)
		return fault(k, LT_PROOF_FORM, "opening");
	memcpy(o->salt, m->salt.data, LT_SALT_LEN);
	o->field_set = lt_slice(m->field_set.data, m->field_set.len);
	rc = lt_field_set_decode(o->field_set, k->arena, &o->field, &why);
	if (rc != LT_OK)
		return fault_of(k, rc, LT_PROOF_FORM, &why);
	if (strcmp(o->field.pb->name, o->name) != 0)
		return fault(k, LT_PROOF_OPENING, o->name);
	lt_leaf_hash(place, o->salt, o->field_set, &o->leaf);
	return LT_OK;
}

static int
open_change(struct check *k, const Ltpb__ProofChange *m, const struct lt_proof_part *part,
    struct lt_proof_change *pc)
{
	const struct lt_change *c = &pc->change;
	struct lt_leaf_place place = { &part->cs.unit, &part->cs.feed, part->cs.seq, pc->index,
		c->collection, c->key, NULL };
	struct lt_merkle tree;
	struct lt_hash root;
	size_t i;
	int rc;

	if (m->n_opening != c->npersonal)
		return fault_at(k, LT_PROOF_OPENING, &part->cs);
	pc->opening = alloc(k, c->npersonal, sizeof(*pc->opening));
	if (pc->opening == NULL)
		return LT_E_NOMEM;
	lt_merkle_init(&tree);
	for (i = 0; i < c->npersonal; i++) {
		if (m->opening[i]->change != 0 || strcmp(m->opening[i]->name, c->personal[i]) != 0)
			return fault_at(k, LT_PROOF_OPENING, &part->cs);
		place.field = c->personal[i];
		rc = open_leaf(k, m->opening[i], &place, &pc->opening[i]);
		if (rc != LT_OK)
			return rc;
		lt_merkle_add(&tree, &pc->opening[i].leaf);
	}
	lt_merkle_end(&tree, &root);
	if (c->npersonal != 0 && !lt_hash_eq(&root, &c->personal_root))
		return fault_at(k, LT_PROOF_OPENING, &part->cs);
	return LT_OK;
}

static int
check_record_part(struct check *k, const Ltpb__ProofPart *m, struct lt_proof_part *part)
{
	struct lt_id author = lt_feed_author(&part->cs.feed);
	size_t i;
	int rc = LT_OK;

	if (strcmp(part->cs.unit.s, k->p->unit) != 0)
		return fault_at(k, LT_PROOF_RECORD, &part->cs);
	part->by_hub = find_hub(k, &author, 0) != NULL;
	part->label = "";
	part->effective = part->cs.stamp;
	for (i = 0; rc == LT_OK && i < part->nchange; i++) {
		if (strcmp(part->change[i].change.collection, k->p->collection) != 0 ||
		    strcmp(part->change[i].change.key, k->p->key) != 0)
			return fault_at(k, LT_PROOF_RECORD, &part->cs);
		rc = open_change(k, m->change[i], part, &part->change[i]);
	}
	return rc;
}

/* ---- the chain ---- */

static int
by_place(const void *a, const void *b)
{
	return place_cmp(((const struct place *)a)->cs, ((const struct place *)b)->cs);
}

static struct place *
find_place(struct check *k, const struct lt_feed_id *feed, uint64_t seq)
{
	struct lt_changeset want = { .feed = *feed, .seq = seq };
	struct place p = { .cs = &want };

	return bsearch(&p, k->place, k->nplace, sizeof(p), by_place);
}

static int
read_link(struct check *k, const ProtobufCBinaryData *bytes, struct lt_changeset *cs)
{
	struct lt_err why = { "" };
	struct lt_hash root;
	uint32_t count;
	int rc =
	    lt_header_read(lt_slice(bytes->data, bytes->len), k->arena, cs, &count, &root, &why);

	if (rc != LT_OK)
		return fault_of(k, rc, LT_PROOF_FORM, &why);
	if (memcmp(cs->federation.b, k->p->federation.b, LT_FED_LEN) != 0)
		return fault_at(k, LT_PROOF_FEDERATION, cs);
	/* Of a feed of the record parts: a run with none of them would not be used. */
	return strcmp(cs->unit.s, k->p->unit) == 0 ? LT_OK : fault_at(k, LT_PROOF_CHAIN, cs);
}

static int
number_runs(struct check *k)
{
	size_t i;

	for (i = 0; i < k->nplace; i++) {
		const struct lt_changeset *now = k->place[i].cs, *before;

		if (i == 0)
			continue;
		before = k->place[i - 1].cs;
		if (place_cmp(before, now) == 0)
			return fault_at(k, LT_PROOF_ORDER, now);
		k->place[i].run = k->place[i - 1].run;
		if (lt_feed_id_cmp(&before->feed, &now->feed) != 0 || now->seq - 1 != before->seq ||
		    !lt_hash_eq(&now->prev, &before->hash))
			k->place[i].run++;
	}
	return LT_OK;
}

static int
read_chain(struct check *k)
{
	size_t i, n = k->p->nrecord, nlink = k->m->n_link;
	struct lt_changeset *link = alloc(k, nlink, sizeof(*link));
	int rc = LT_OK;

	k->place = alloc(k, n + nlink, sizeof(*k->place));
	if (link == NULL || k->place == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < nlink; i++) {
		rc = read_link(k, &k->m->link[i], &link[i]);
		if (rc == LT_OK && i != 0 && place_cmp(&link[i - 1], &link[i]) >= 0)
			rc = fault_at(k, LT_PROOF_ORDER, &link[i]);
		k->place[n + i].cs = &link[i];
	}
	if (rc != LT_OK)
		return rc;
	for (i = 0; i < n; i++) {
		k->place[i].cs = &k->p->record[i].cs;
		k->place[i].used = true;
	}
	k->nplace = n + nlink;
	k->p->nlink = nlink;
	qsort(k->place, k->nplace, sizeof(*k->place), by_place);
	return number_runs(k);
}

/* Does an unbroken run lead from a change-set to (seq, hash) of its feed? NULL: no; else the place it begins at, *end the other. */
static struct place *
run_to(struct check *k, const struct lt_changeset *from, uint64_t seq, const uint8_t *hash,
    struct place **end)
{
	struct place *a = find_place(k, &from->feed, from->seq);
	struct place *b = find_place(k, &from->feed, seq);

	if (a == NULL || b == NULL || b < a || a->run != b->run ||
	    memcmp(b->cs->hash.b, hash, LT_HASH_LEN) != 0)
		return NULL;
	*end = b;
	return a;
}

/* The same; what the run leads over is used. */
static bool
leads_to(struct check *k, const struct lt_changeset *from, uint64_t seq, const uint8_t *hash)
{
	struct place *b, *a = run_to(k, from, seq, hash, &b);

	for (; a != NULL && a <= b; a++)
		a->used = true;
	return a != NULL;
}

/* ---- verdicts ---- */

static bool
key_is(const char *key, const struct lt_feed_id *feed, uint64_t from)
{
	char hex[2 * LT_FEED_LEN + 1], want[2 * LT_FEED_LEN + 24];

	lt_hex(hex, feed->b, LT_FEED_LEN);
	(void)snprintf(want, sizeof(want), "%s/%llu", hex, (unsigned long long)from);
	return strcmp(key, want) == 0;
}

static int
read_ruling(struct check *k, const struct lt_proof_part *part, const struct lt_change *c,
    struct ruling *out)
{
	ProtobufCMessage *msg = NULL;
	struct lt_err why = { "" };
	const Ltpb__Value *val = c->nset == 1 ? c->set[0].pb->value : NULL;
	const Ltpb__Verdict *v;
	int rc;

	if (strcmp(c->collection, "_verdict") != 0 || val == NULL ||
	    strcmp(c->set[0].pb->name, "verdict") != 0 || val->v_case != LTPB__VALUE__V_BYTES)
		return fault_at(k, LT_PROOF_ACT, &part->cs);
	rc = lt_wire_unpack(&ltpb__verdict__descriptor, lt_slice(val->bytes.data, val->bytes.len),
	    LT_VALUE_MAX, k->arena, &msg, &why);
	if (rc != LT_OK)
		return fault_of(k, rc, LT_PROOF_ACT, &why);
	out->v = v = (const Ltpb__Verdict *)msg;
	if (v->feed.len != LT_FEED_LEN || v->from == 0 || v->to < v->from ||
	    v->to_hash.len != LT_HASH_LEN)
		return fault_at(k, LT_PROOF_ACT, &part->cs);
	memcpy(out->feed.b, v->feed.data, LT_FEED_LEN);
	out->part = part;
	out->settles = v->settling || v->n_settled != 0;
	return key_is(c->key, &out->feed, v->from) ? LT_OK : fault_at(k, LT_PROOF_ACT, &part->cs);
}

static int
read_rulings(struct check *k)
{
	size_t i, c, n = 0;
	int rc = LT_OK;

	for (i = 0; i < k->p->nverdict; i++)
		n += k->verdict[i].nchange;
	k->ruling = alloc(k, n, sizeof(*k->ruling));
	if (k->ruling == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < k->p->nverdict; i++) {
		const struct lt_proof_part *part = &k->verdict[i];

		rc = check_hub_part(k, k->m->verdict[i], part, k->p->unit);
		if (rc == LT_OK && lt_feed_lane(&part->cs.feed) != LT_LANE_URGENT)
			rc = fault_at(k, LT_PROOF_ACT, &part->cs);
		for (c = 0; rc == LT_OK && c < part->nchange; c++)
			rc =
			    read_ruling(k, part, &part->change[c].change, &k->ruling[k->nruling++]);
	}
	return rc;
}

static bool
speaks_of(const struct ruling *r, const struct lt_changeset *cs)
{
	return lt_feed_id_cmp(&r->feed, &cs->feed) == 0 && r->v->from <= cs->seq &&
	       cs->seq <= r->v->to;
}

static const Ltpb__RefusedDot *
refusal(const Ltpb__Verdict *v, uint64_t seq, uint32_t index)
{
	size_t i;

	for (i = 0; i < v->n_refused; i++)
		if (v->refused[i]->seq == seq && v->refused[i]->index == index)
			return v->refused[i];
	return NULL;
}

static void
take_ruling(struct lt_proof_part *part, const struct ruling *r)
{
	const Ltpb__RefusedDot *no;
	size_t i;

	part->judged = r->part->cs.stamp;
	for (i = 0; i < r->v->n_clamp; i++) {
		const Ltpb__Clamp *c = r->v->clamp[i];

		if (part->cs.seq < c->from || part->cs.seq > c->to)
			continue;
		part->effective = part->cs.stamp > c->floor ? part->cs.stamp : c->floor;
		if (part->effective > c->ceiling)
			part->effective = c->ceiling;
	}
	for (i = 0; i < part->nchange; i++) {
		struct lt_proof_change *pc = &part->change[i];

		no = refusal(r->v, part->cs.seq, pc->index);
		if (no != NULL) {
			pc->state = LT_PROOF_REFUSED;
			pc->reason = no->reason;
		} else if (lt_verdict_names(r->v->n_held, r->v->held, part->cs.seq, pc->index)) {
			pc->state = LT_PROOF_HELD;
		}
	}
}

static int
cover(struct check *k, struct lt_proof_part *part)
{
	bool covered = false;
	size_t i;

	for (i = 0; i < k->nruling; i++) {
		struct ruling *r = &k->ruling[i];

		if (r->settles || !speaks_of(r, &part->cs))
			continue;
		if (covered)
			return fault_at(k, LT_PROOF_VERDICTS, &part->cs);
		if (!leads_to(k, &part->cs, r->v->to, r->v->to_hash.data))
			return fault_at(k, LT_PROOF_CHAIN, &part->cs);
		covered = r->used = true;
		take_ruling(part, r);
	}
	return covered ? LT_OK : fault_at(k, LT_PROOF_NO_VERDICT, &part->cs);
}

static int
settle(struct check *k, struct lt_proof_part *part, struct lt_proof_change *pc)
{
	const Ltpb__RefusedDot *no;
	size_t i;

	for (i = 0; pc->state == LT_PROOF_HELD && i < k->nruling; i++) {
		struct ruling *r = &k->ruling[i];
		bool yes;

		if (!r->settles || !speaks_of(r, &part->cs))
			continue;
		no = refusal(r->v, part->cs.seq, pc->index);
		yes = lt_verdict_names(r->v->n_settled, r->v->settled, part->cs.seq, pc->index);
		if (no == NULL && !yes)
			continue;
		if (!leads_to(k, &part->cs, r->v->to, r->v->to_hash.data))
			return fault_at(k, LT_PROOF_CHAIN, &part->cs);
		r->used = true;
		pc->state = no != NULL ? LT_PROOF_REFUSED : LT_PROOF_ACCEPTED;
		pc->reason = no != NULL ? no->reason : LTPB__REASON_CODE__REASON_UNSPECIFIED;
	}
	return LT_OK;
}

static int
judge_parts(struct check *k)
{
	size_t i, c;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < k->p->nrecord; i++) {
		struct lt_proof_part *part = &k->p->record[i];

		if (part->by_hub)
			continue;
		rc = cover(k, part);
		for (c = 0; rc == LT_OK && c < part->nchange; c++)
			rc = settle(k, part, &part->change[c]);
	}
	return rc;
}

/* ---- authors ---- */

/* `principal (hex)`, or `principal (hex)/number`. */
static bool
read_act_key(const char *key, struct act *a)
{
	char hex[2 * LT_ID_LEN + 1], again[2 * LT_ID_LEN + 16];

	if (strlen(key) < 2 * LT_ID_LEN)
		return false;
	memcpy(hex, key, 2 * LT_ID_LEN);
	hex[2 * LT_ID_LEN] = '\0';
	if (lt_unhex(a->author.b, LT_ID_LEN, hex) != LT_OK)
		return false;
	lt_hex(hex, a->author.b, LT_ID_LEN);
	if (a->is_key) {
		if (key[2 * LT_ID_LEN] != '/')
			return false;
		a->key_no = (uint32_t)strtoul(key + 2 * LT_ID_LEN + 1, NULL, 10);
		(void)snprintf(again, sizeof(again), "%s/%u", hex, a->key_no);
		return strcmp(again, key) == 0;
	}
	return strcmp(hex, key) == 0;
}

static int
by_stamp(const void *x, const void *y)
{
	const struct act *a = x, *b = y;

	if (a->part->cs.stamp != b->part->cs.stamp)
		return a->part->cs.stamp < b->part->cs.stamp ? -1 : 1;
	if (a->part != b->part)
		return place_cmp(&a->part->cs, &b->part->cs);
	return (a->change->index > b->change->index) - (a->change->index < b->change->index);
}

static int
read_acts(struct check *k)
{
	size_t i, c, n = 0;
	int rc = LT_OK;

	for (i = 0; i < k->p->nregistry; i++)
		n += k->registry[i].nchange;
	k->act = alloc(k, n, sizeof(*k->act));
	if (k->act == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < k->p->nregistry; i++) {
		const struct lt_proof_part *part = &k->registry[i];

		rc = check_hub_part(k, k->m->registry[i], part, "_");
		for (c = 0; rc == LT_OK && c < part->nchange; c++) {
			struct act *a = &k->act[k->nact++];

			a->part = part;
			a->change = &part->change[c];
			a->is_key = strcmp(a->change->change.collection, "_key") == 0;
			if ((!a->is_key &&
				strcmp(a->change->change.collection, "_registry") != 0) ||
			    !read_act_key(a->change->change.key, a))
				rc = fault_at(k, LT_PROOF_ACT, &part->cs);
		}
	}
	qsort(k->act, k->nact, sizeof(*k->act), by_stamp);
	return rc;
}

static const Ltpb__Value *
field_of(const struct act *a, const char *name)
{
	const struct lt_change *c = &a->change->change;
	size_t i;

	for (i = 0; i < c->nset; i++)
		if (strcmp(c->set[i].pb->name, name) == 0)
			return c->set[i].pb->value;
	return NULL;
}

static void
take_word(const struct act *a, const char *name, const char **out)
{
	const Ltpb__Value *v = field_of(a, name);

	if (v != NULL && v->v_case == LTPB__VALUE__V_TEXT)
		*out = v->text;
	if (v != NULL && v->v_case == LTPB__VALUE__V_ENUMERATION)
		*out = v->enumeration;
}

/* What the registry said of the author when the verdict was written. */
struct standing {
	const uint8_t *sign_key;
	const char *key_state, *role, *unit, *state, *label;
};

static int
stand(struct check *k, const struct lt_proof_part *part, struct standing *s)
{
	struct lt_id author = lt_feed_author(&part->cs.feed);
	const Ltpb__Value *v;
	size_t i;

	for (i = 0; i < k->nact; i++) {
		struct act *a = &k->act[i];
		bool in_force = a->part->cs.stamp < part->judged;

		if (!lt_id_eq(&a->author, &author) || (a->is_key && a->key_no != part->cs.key_no))
			continue;
		a->used = true;
		v = a->is_key ? field_of(a, "sign_key") : NULL;
		if (v != NULL &&
		    (v->v_case != LTPB__VALUE__V_BYTES || v->bytes.len != 32 ||
			(s->sign_key != NULL && memcmp(s->sign_key, v->bytes.data, 32) != 0)))
			return fault_at(k, LT_PROOF_ACT, &a->part->cs);
		if (v != NULL)
			s->sign_key = v->bytes.data;
		if (!in_force)
			continue;
		take_word(a, "state", a->is_key ? &s->key_state : &s->state);
		if (a->is_key)
			continue;
		take_word(a, "role", &s->role);
		take_word(a, "unit", &s->unit);
		take_word(a, "label", &s->label);
	}
	return LT_OK;
}

static int
check_author(struct check *k, struct lt_proof_part *part)
{
	struct standing s = { NULL, "", "", "", "", "" };
	int rc = stand(k, part, &s);

	if (rc != LT_OK)
		return rc;
	if (s.sign_key == NULL || s.key_state[0] == '\0' || strcmp(s.role, "node") != 0 ||
	    strcmp(s.unit, k->p->unit) != 0)
		return fault_at(k, LT_PROOF_AUTHOR, &part->cs);
	if (strcmp(s.key_state, "active") != 0 || strcmp(s.state, "active") != 0)
		return fault_at(k, LT_PROOF_REVOKED, &part->cs);
	part->label = s.label;
	return lt_changeset_verify_signature(&part->cs, s.sign_key) == LT_OK
		   ? LT_OK
		   : fault_at(k, LT_PROOF_SIGNATURE, &part->cs);
}

static int
check_authors(struct check *k)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < k->p->nrecord; i++) {
		struct lt_proof_part *part = &k->p->record[i];
		struct lt_id author = lt_feed_author(&part->cs.feed);
		struct hub_key *h;

		if (!part->by_hub) {
			rc = check_author(k, part);
			continue;
		}
		h = find_hub(k, &author, part->cs.key_no);
		if (h == NULL)
			return fault_at(k, LT_PROOF_AUTHOR, &part->cs);
		h->used = true;
		if (lt_changeset_verify_signature(&part->cs, h->sign_key) != LT_OK)
			return fault_at(k, LT_PROOF_SIGNATURE, &part->cs);
	}
	return rc;
}

/* ---- receipts ---- */

static int
read_receipt(struct check *k, struct lt_slice bytes, Ltpb__ReceiptBody **out)
{
	ProtobufCMessage *msg = NULL, *body = NULL;
	struct lt_err why = { "" };
	const Ltpb__Receipt *r;
	Ltpb__ReceiptBody *b;
	struct hub_key *h;
	struct lt_id hub;
	int rc = unpack_exact(k, &ltpb__receipt__descriptor, bytes, &msg);

	if (rc != LT_OK)
		return rc;
	r = (const Ltpb__Receipt *)msg;
	rc = lt_wire_unpack(&ltpb__receipt_body__descriptor, lt_slice(r->body.data, r->body.len),
	    LT_PROOF_MAX, k->arena, &body, &why);
	if (rc != LT_OK)
		return fault_of(k, rc, LT_PROOF_FORM, &why);
	b = (Ltpb__ReceiptBody *)body;
	if (b == NULL || b->hub.len != LT_ID_LEN || b->key_no == 0)
		return fault(k, LT_PROOF_RECEIPT, NULL);
	memcpy(hub.b, b->hub.data, LT_ID_LEN);
	h = find_hub(k, &hub, b->key_no);
	if (h == NULL)
		return fault(k, LT_PROOF_RECEIPT, NULL);
	h->used = true;
	rc = lt_receipt_verify(bytes, h->sign_key, &k->p->federation, k->arena, out, &why);
	if (rc == LT_E_DENIED)
		return fault(k, LT_PROOF_FEDERATION, "receipt");
	return rc == LT_OK ? LT_OK : fault_of(k, rc, LT_PROOF_RECEIPT, &why);
}

static int
check_receipt(struct check *k, const Ltpb__ReceiptBody *b)
{
	struct lt_feed_id feed;
	struct place *end;
	bool of_any = false;
	size_t i;

	memcpy(feed.b, b->feed.data, LT_FEED_LEN);
	if (strcmp(b->unit, k->p->unit) != 0)
		return fault(k, LT_PROOF_RECEIPT, NULL);
	for (i = 0; i < k->p->nrecord; i++) {
		struct lt_proof_part *part = &k->p->record[i];

		/* The first of them is the lowest: its run holds those of the others. */
		if (lt_feed_id_cmp(&part->cs.feed, &feed) != 0 ||
		    (of_any ? run_to(k, &part->cs, b->seq, b->hash.data, &end) == NULL
			    : !leads_to(k, &part->cs, b->seq, b->hash.data)))
			continue;
		of_any = true;
		/* Rising by seq: the first says the earliest. */
		if (!part->receipted)
			part->since_ms = b->since_ms;
		part->receipted = true;
	}
	return of_any ? LT_OK : fault(k, LT_PROOF_RECEIPT, NULL);
}

static int
check_receipts(struct check *k)
{
	const Ltpb__ReceiptBody *before = NULL;
	size_t i;
	int rc = LT_OK, c;

	for (i = 0; rc == LT_OK && i < k->m->n_receipt; i++) {
		Ltpb__ReceiptBody *b = NULL;

		rc = read_receipt(k, lt_slice(k->m->receipt[i].data, k->m->receipt[i].len), &b);
		if (rc != LT_OK || b == NULL)
			return rc != LT_OK ? rc : fault(k, LT_PROOF_RECEIPT, NULL);
		c = before == NULL ? -1 : memcmp(before->feed.data, b->feed.data, LT_FEED_LEN);
		if (c > 0 || (c == 0 && before->seq >= b->seq))
			return fault(k, LT_PROOF_ORDER, "receipt");
		rc = check_receipt(k, b);
		before = b;
	}
	k->p->nreceipt = k->m->n_receipt;
	return rc;
}

/* ---- context, and what is there for nothing ---- */

static int
check_named(struct check *k, const struct lt_proof_part *part, const struct lt_context *x)
{
	struct lt_proof_part want = { .cs = { .feed = x->feed, .seq = x->seq } };
	size_t low = 0, high = k->p->nrecord, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (place_cmp(&k->p->record[mid].cs, &want.cs) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == k->p->nrecord || place_cmp(&k->p->record[low].cs, &want.cs) != 0 ||
	    lt_load_u64(k->p->record[low].cs.hash.b) != x->hash8)
		return fault_at(k, LT_PROOF_CONTEXT, &part->cs);
	return LT_OK;
}

static int
check_context(struct check *k)
{
	size_t i, c, x;
	int rc = LT_OK;

	for (i = 0; i < k->p->nrecord; i++) {
		const struct lt_proof_part *part = &k->p->record[i];

		for (c = 0; c < part->nchange; c++) {
			const struct lt_change *ch = &part->change[c].change;

			if (part->change[c].state != LT_PROOF_ACCEPTED)
				continue;
			for (x = 0; rc == LT_OK && x < ch->ncontext; x++)
				rc = check_named(k, part, &ch->context[x]);
		}
	}
	return rc;
}

static int
check_needed(struct check *k)
{
	size_t i;

	for (i = 0; i < k->nhub; i++)
		if (!k->hub[i].used)
			return fault(k, LT_PROOF_USELESS, "certificate");
	for (i = 0; i < k->nruling; i++)
		if (!k->ruling[i].used)
			return fault_at(k, LT_PROOF_USELESS, &k->ruling[i].part->cs);
	for (i = 0; i < k->nact; i++)
		if (!k->act[i].used)
			return fault_at(k, LT_PROOF_USELESS, &k->act[i].part->cs);
	for (i = 0; i < k->nplace; i++)
		if (!k->place[i].used)
			return fault_at(k, LT_PROOF_USELESS, k->place[i].cs);
	return LT_OK;
}

static int
read_all_parts(struct check *k)
{
	struct lt_proof *p = k->p;
	size_t i;
	int rc;

	p->nrecord = k->m->n_record;
	p->nverdict = k->m->n_verdict;
	p->nregistry = k->m->n_registry;
	rc = read_parts(k, p->nrecord, k->m->record, &p->record);
	if (rc == LT_OK)
		rc = read_parts(k, p->nverdict, k->m->verdict, &k->verdict);
	if (rc == LT_OK)
		rc = read_parts(k, p->nregistry, k->m->registry, &k->registry);
	for (i = 0; rc == LT_OK && i < p->nrecord; i++)
		rc = check_record_part(k, k->m->record[i], &p->record[i]);
	return rc;
}

int
lt_proof_check(struct lt_slice bytes, const uint8_t root_key[32], struct lt_arena *arena,
    struct lt_proof *out, struct lt_err *err)
{
	struct check k = { .root_key = root_key, .arena = arena, .p = out, .err = err };
	int rc;

	memset(out, 0, sizeof(*out));
	rc = read_form(&k, bytes);
	if (rc == LT_OK)
		rc = read_certificates(&k);
	if (rc == LT_OK)
		rc = read_all_parts(&k);
	if (rc == LT_OK)
		rc = read_chain(&k);
	if (rc == LT_OK)
		rc = read_rulings(&k);
	if (rc == LT_OK)
		rc = judge_parts(&k);
	if (rc == LT_OK)
		rc = read_acts(&k);
	if (rc == LT_OK)
		rc = check_authors(&k);
	if (rc == LT_OK)
		rc = check_receipts(&k);
	if (rc == LT_OK)
		rc = check_context(&k);
	return rc == LT_OK ? check_needed(&k) : rc;
}
