/* hub/svc_erase.c - personal data at the hub: whose number stands where, and erasing (part of Admin). */
#include "hub/erase.h"
#include "hub/service_impl.h"
#include "hub/who_holds.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/base/text.h"
#include "proto/service/call.h"
#include "proto/store/erase.h"
#include "proto/store/projection.h"

#include <string.h>

#define LISTED 100 /* acts on a page */

/* ---- erasing ---- */

/* May the asker do all of it? Of what it may not nothing is told. */
static bool
may_erase(const struct lt_asking *a, const Ltpb__EraseRequest *req)
{
	const struct lt_unit *province = lt_hub_province(a->s->hub);
	const struct lt_collection *c = lt_catalogue_find(a->cat, req->collection);
	size_t i;

	if (c == NULL)
		return false;
	for (i = 0; i < req->n_field; i++)
		if (!lt_access_erase(&a->who, province, c, req->unit, req->field[i]))
			return false;
	return req->n_field != 0 || lt_access_erase(&a->who, province, c, req->unit, NULL);
}

static int
tell_report(struct lt_asking *a, const struct lt_erasing_report *r, Ltpb__EraseReply *out)
{
	Ltpb__ErasedField *f = lt_arena_alloc(&a->arena, (r->nfield + 1) * sizeof(*f));
	size_t i;

	out->field = lt_arena_alloc(&a->arena, (r->nfield + 1) * sizeof(*out->field));
	if (f == NULL || out->field == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < r->nfield; i++) {
		ltpb__erased_field__init(&f[i]);
		f[i].name = (char *)r->field[i].name;
		f[i].here = r->field[i].here;
		f[i].erased = r->field[i].erased;
		out->field[out->n_field++] = &f[i];
	}
	out->changes = r->changes;
	out->values = r->values;
	out->more = r->more;
	out->act = r->act;
	out->n_act = r->nact;
	return LT_OK;
}

static int
run_erase(struct lt_asking *a, const Ltpb__EraseRequest *req, struct lt_erasing_report *r,
    const char **why, struct lt_err *err)
{
	struct lt_erasing e = { .collection = req->collection,
		.key = req->key,
		.nfield = req->n_field,
		.field = req->field,
		.reason = req->reason,
		.basis = req->basis,
		.by = a->who.principal != NULL ? &a->who.principal->id : NULL };

	*why = "ERASE";
	if (lt_unit_set(&e.unit, lt_slice_str(req->unit)) != LT_OK || req->n_field > LT_FIELDS_MAX)
		return lt_err_set(err, LT_E_INVALID,
		    "name the unit by its code, a collection, a key, and at most %d fields",
		    LT_FIELDS_MAX);
	if (!may_erase(a, req))
		return LT_E_DENIED;
	if (req->confirm && !lt_text_is_nfc(lt_slice_str(req->basis))) {
		*why = "ERASE_BASIS";
		return lt_err_set(err, LT_E_INVALID, "the legal basis is not Unicode in NFC");
	}
	return req->confirm ? lt_hub_erase(a->s->hub, &e, &a->arena, r, why, err)
			    : lt_hub_erase_look(a->s->hub, &e, &a->arena, r, why, err);
}

void
lt_admin_erase(Ltpb__Admin_Service *service, const Ltpb__EraseRequest *req,
    Ltpb__EraseReply_Closure closure, void *data)
{
	Ltpb__EraseReply r = LTPB__ERASE_REPLY__INIT;
	struct lt_erasing_report report = { 0 };
	struct lt_err err = { "" };
	struct lt_asking a;
	const char *why;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = run_erase(&a, req, &report, &why, &err);
	/* Gone for good, and said to be so. */
	r.not_visible = rc == LT_E_TIMEOUT && report.position != 0;
	if (r.not_visible)
		rc = LT_OK;
	if (rc == LT_OK)
		rc = tell_report(&a, &report, &r);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, why, err.text);
	lt_asking_end(&a);
}

/* ---- who holds ---- */

static bool
may_tell(void *ctx, const struct lt_collection *c, const char *unit, const char *field)
{
	const struct lt_asking *a = ctx;

	return lt_access_erase(&a->who, lt_hub_province(a->s->hub), c, unit, field);
}

static int
on_tick(void *ctx)
{
	const struct lt_asking *a = ctx;

	return a->call == NULL ? LT_OK : lt_call_tick(a->call);
}

static bool
may_read(const struct lt_asking *a, const struct lt_principal *p, const struct lt_collection *c,
    const struct lt_holding *h)
{
	const struct lt_asker who = { .kind = LT_ASKER_PRINCIPAL, .principal = p };
	const struct lt_field *f;
	size_t i;

	for (i = 0; i < h->nfield; i++) {
		f = lt_collection_field(c, h->field[i]);
		if (f != NULL &&
		    lt_access_field(&who, a->cat, lt_hub_province(a->s->hub), c, h->unit.s, f))
			return true;
	}
	return false;
}

static int
tell_departments(struct lt_asking *a, const struct lt_collection *c, const struct lt_holding *h,
    Ltpb__Holding *m)
{
	size_t i, k, n = lt_registry_count(a->reg);

	m->department = lt_arena_alloc(&a->arena, (n + 1) * sizeof(*m->department));
	if (m->department == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < n; i++) {
		const struct lt_principal *p = lt_registry_at(a->reg, i);

		if (p->role != LTPB__ROLE__ROLE_DEPARTMENT || p->org == NULL ||
		    !may_read(a, p, c, h))
			continue;
		for (k = 0; k < m->n_department; k++)
			if (strcmp(m->department[k], p->org) == 0)
				break;
		if (k == m->n_department)
			m->department[m->n_department++] = (char *)p->org;
	}
	return LT_OK;
}

/* Has it the unit's feeds? *openings: and the value with them. A revoked machine may still have what it had. */
static bool
holds(const struct lt_asking *a, const struct lt_principal *p, const struct lt_holding *h,
    bool *openings)
{
	const struct lt_unit *province = lt_hub_province(a->s->hub);
	const struct lt_asker who = { .kind = LT_ASKER_PRINCIPAL, .principal = p };
	size_t i;

	*openings = p->role == LTPB__ROLE__ROLE_HUB;
	if (p->role == LTPB__ROLE__ROLE_NODE)
		*openings = lt_unit_eq(&p->unit, &h->unit);
	if (p->role != LTPB__ROLE__ROLE_MIRROR)
		return *openings;
	for (i = 0; i < h->nfield; i++)
		*openings |= lt_access_open(&who, province, &h->unit, h->collection, h->field[i]);
	return lt_access_pull(&who, province, &h->unit);
}

static int
tell_machines(struct lt_asking *a, const struct lt_holding *h, Ltpb__Holding *m)
{
	size_t i, n = lt_registry_count(a->reg);
	Ltpb__HoldingMachine *o;
	bool openings;

	m->machine = lt_arena_alloc(&a->arena, (n + 1) * sizeof(*m->machine));
	if (m->machine == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < n; i++) {
		const struct lt_principal *p = lt_registry_at(a->reg, i);

		if (!holds(a, p, h, &openings))
			continue;
		o = lt_arena_alloc(&a->arena, sizeof(*o));
		if (o == NULL)
			return LT_E_NOMEM;
		ltpb__holding_machine__init(o);
		o->principal.data = (uint8_t *)p->id.b;
		o->principal.len = LT_ID_LEN;
		o->role = p->role;
		o->label = (char *)(p->label == NULL ? "" : p->label);
		o->openings = openings;
		m->machine[m->n_machine++] = o;
	}
	return LT_OK;
}

/* Which of the fields show the value now; and what of the record was erased, as far as the asker may erase it. */
static int
tell_state(struct lt_asking *a, struct lt_kv_txn *derived, const char *value,
    const struct lt_collection *c, const struct lt_holding *h, Ltpb__Holding *m)
{
	struct lt_erasing e = { .unit = h->unit, .collection = h->collection, .key = h->key };
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	const char *why;
	Ltpb__Record *rec;
	size_t i, k;
	int rc = lt_record_get(derived, h->collection, h->unit.s, h->key, &a->arena, &rec);

	m->shown = lt_arena_alloc(&a->arena, (h->nfield + 1) * sizeof(*m->shown));
	m->erased = lt_arena_alloc(&a->arena, LT_FIELDS_MAX * sizeof(*m->erased));
	if (m->shown == NULL || m->erased == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < h->nfield; i++)
		for (k = 0; k < rec->n_field; k++)
			if (strcmp(rec->field[k]->name, h->field[i]) == 0 &&
			    lt_holds_value(rec->field[k]->value, value))
				m->shown[m->n_shown++] = (char *)h->field[i];
	if (rc != LT_OK && rc != LT_E_NOTFOUND)
		return rc;
	rc = lt_hub_erase_look(a->s->hub, &e, &a->arena, &r, &why, &err);
	for (i = 0; rc == LT_OK && i < r.nfield; i++)
		if (r.field[i].erased != 0 && may_tell(a, c, h->unit.s, r.field[i].name))
			m->erased[m->n_erased++] = (char *)r.field[i].name;
	return rc == LT_E_NOTFOUND || rc == LT_E_UNAVAILABLE ? LT_OK : rc;
}

static int
tell_holding(struct lt_asking *a, struct lt_kv_txn *derived, const char *value,
    const struct lt_holding *h, Ltpb__Holding **out)
{
	Ltpb__Holding *m = lt_arena_alloc(&a->arena, sizeof(*m));
	const struct lt_collection *c = lt_catalogue_find(a->cat, h->collection);
	int rc;

	if (m == NULL || c == NULL)
		return LT_E_NOMEM;
	ltpb__holding__init(m);
	m->unit = (char *)h->unit.s;
	m->unit_name = (char *)lt_record_unit_name(derived, h->unit.s, &a->arena);
	m->collection = (char *)h->collection;
	m->key = (char *)h->key;
	m->field = (char **)(uintptr_t)h->field;
	m->n_field = h->nfield;
	rc = tell_state(a, derived, value, c, h, m);
	if (rc == LT_OK)
		rc = tell_departments(a, c, h, m);
	if (rc == LT_OK)
		rc = tell_machines(a, h, m);
	*out = m;
	return rc;
}

static int
check_who(const Ltpb__WhoHoldsRequest *req, struct lt_err *err)
{
	size_t len = strlen(req->value);

	if (len < LT_WHO_VALUE_MIN || len > LT_WHO_VALUE_MAX ||
	    !lt_text_is_nfc(lt_slice_str(req->value)))
		return lt_err_set(err, LT_E_INVALID, "a number to look for has %d to %d bytes",
		    LT_WHO_VALUE_MIN, LT_WHO_VALUE_MAX);
	if (req->page_token.len != 0 && req->page_token.len != 8)
		return lt_err_set(err, LT_E_INVALID, "this is no page token of ours");
	return LT_OK;
}

static int
run_who_holds(struct lt_asking *a, const Ltpb__WhoHoldsRequest *req, Ltpb__WhoHoldsReply *r)
{
	struct lt_who_holds w = { .value = req->value,
		.cat = a->cat,
		.may = may_tell,
		.tick = on_tick,
		.ctx = a,
		.arena = &a->arena,
		.from = req->page_token.len == 8 ? lt_load_u64(req->page_token.data) : 0 };
	struct lt_kv_txn *derived;
	size_t i;
	int rc = lt_hub_who_holds(a->s->hub, &w);

	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_hub_derived(a->s->hub), &derived);
	if (rc != LT_OK)
		return rc;
	r->looked_at = w.looked_at;
	r->unreadable = w.unreadable;
	r->holding = lt_arena_alloc(&a->arena, (w.n + 1) * sizeof(*r->holding));
	if (r->holding == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < w.n; i++) {
		rc = on_tick(a);
		if (rc == LT_OK)
			rc = tell_holding(
			    a, derived, req->value, &w.holding[i], &r->holding[r->n_holding++]);
	}
	if (rc == LT_OK && w.next != 0) {
		r->next_page_token.data = lt_arena_alloc(&a->arena, 8);
		r->next_page_token.len = 8;
		if (r->next_page_token.data == NULL)
			rc = LT_E_NOMEM;
		else
			lt_store_u64(r->next_page_token.data, w.next);
	}
	lt_kv_abort(derived);
	return rc;
}

void
lt_admin_who_holds(Ltpb__Admin_Service *service, const Ltpb__WhoHoldsRequest *req,
    Ltpb__WhoHoldsReply_Closure closure, void *data)
{
	Ltpb__WhoHoldsReply r = LTPB__WHO_HOLDS_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_asking a;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = check_who(req, &err);
	if (rc == LT_OK)
		rc = run_who_holds(&a, req, &r);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "WHO_HOLDS", err.text);
	lt_asking_end(&a);
}

/* ---- the list ---- */

struct listing {
	struct lt_asking *a;
	Ltpb__ListErasuresReply *r;
	struct lt_kv_txn *log, *derived;
	bool changesets;
	uint64_t last; /* position of the change-set that was added last */
	struct lt_slice rk; /* of the last one on the page */
	bool full;
	int rc;
};

static const Ltpb__Value *
value_of(const Ltpb__Record *rec, const char *name)
{
	size_t i;

	for (i = 0; i < rec->n_field; i++)
		if (strcmp(rec->field[i]->name, name) == 0)
			return rec->field[i]->value;
	return NULL;
}

static int
count_dots(struct lt_asking *a, const Ltpb__Value *v, Ltpb__ErasureAct *act)
{
	struct lt_erased *e;
	size_t n, i;
	int rc = v == NULL || v->v_case != LTPB__VALUE__V_BYTES
		     ? LT_E_NOTFOUND
		     : lt_erased_read(lt_slice(v->bytes.data, v->bytes.len), &a->arena, &e, &n);

	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_OK;
	act->changes = n;
	for (i = 0; i < n; i++)
		act->values += e[i].nfield;
	return LT_OK;
}

static int
tell_act(struct listing *l, const Ltpb__Record *rec)
{
	Ltpb__ErasureAct *act = lt_arena_alloc(&l->a->arena, sizeof(*act));
	const Ltpb__Value *v;

	if (act == NULL)
		return LT_E_NOMEM;
	ltpb__erasure_act__init(act);
	act->unit = rec->unit;
	act->number = rec->key;
	v = value_of(rec, "reason");
	if (v != NULL && v->v_case == LTPB__VALUE__V_ENUMERATION)
		act->reason = v->enumeration;
	v = value_of(rec, "basis");
	if (v != NULL && v->v_case == LTPB__VALUE__V_TEXT)
		act->basis = v->text;
	v = value_of(rec, "by");
	if (v != NULL && v->v_case == LTPB__VALUE__V_BYTES)
		act->by = v->bytes;
	act->time_ms = rec->changed_ms;
	l->r->act[l->r->n_act++] = act;
	return count_dots(l->a, value_of(rec, "dots"), act);
}

/* The change-set in which an act stands. */
static int
on_place(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct listing *l = ctx;
	ProtobufCBinaryData *out = &l->r->changeset[l->r->n_changeset];
	const struct lt_id author = lt_feed_author(&dot->feed);
	struct lt_entry e;
	int rc;

	/* What somebody else wrote under the number of an act was refused, and is noted beside it. */
	if (!lt_registry_is_hub(l->a->reg, &author))
		return LT_OK;
	if (position == l->last || l->r->n_changeset == LISTED)
		return LT_OK;
	rc = lt_feed_log_read(l->log, position, &e);
	if (rc != LT_OK)
		return rc;
	out->data = lt_arena_dup(&l->a->arena, e.changeset.data, e.changeset.len);
	out->len = e.changeset.len;
	l->last = position;
	l->r->n_changeset++;
	return out->data == NULL ? LT_E_NOMEM : LT_OK;
}

static int
on_act(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	struct listing *l = ctx;
	ProtobufCMessage *m;

	l->full = l->r->n_act == LISTED;
	if (l->full)
		return LT_E_CANCELLED;
	m = protobuf_c_message_unpack(
	    &ltpb__record__descriptor, &l->a->arena.pb, record.len, record.data); /* as stored */
	l->rc = m == NULL ? LT_E_CORRUPT : LT_OK;
	if (l->rc == LT_OK &&
	    lt_access_unit(&l->a->who, LT_VERB_ERASE, ((Ltpb__Record *)m)->unit)) {
		l->rc = tell_act(l, (Ltpb__Record *)m);
		if (l->rc == LT_OK && l->changesets)
			l->rc = lt_history_each(l->derived, LT_ERASE_COLLECTION,
			    ((Ltpb__Record *)m)->unit, ((Ltpb__Record *)m)->key, on_place, l);
	}
	l->rk.data = lt_arena_dup(&l->a->arena, rk.data, rk.len);
	l->rk.len = rk.len;
	return l->rc == LT_OK && l->rk.data != NULL ? LT_OK : LT_E_CANCELLED;
}

static int
run_list(struct listing *l, const Ltpb__ListErasuresRequest *req)
{
	struct lt_slice after = lt_slice(req->page_token.data, req->page_token.len);
	struct lt_asking *a = l->a;
	int rc;

	l->changesets = req->changesets;
	l->r->act = lt_arena_alloc(&a->arena, LISTED * sizeof(*l->r->act));
	l->r->changeset = lt_arena_alloc(&a->arena, LISTED * sizeof(*l->r->changeset));
	if (l->r->act == NULL || l->r->changeset == NULL)
		return LT_E_NOMEM;
	rc = lt_kv_begin_read(lt_hub_log(a->s->hub), &l->log);
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_hub_derived(a->s->hub), &l->derived);
	if (rc == LT_OK)
		rc = lt_record_each(l->derived, LT_ERASE_COLLECTION, NULL, after, on_act, l);
	if (rc == LT_OK)
		rc = l->rc;
	if (rc == LT_OK && l->full) {
		l->r->next_page_token.data = (uint8_t *)(uintptr_t)l->rk.data;
		l->r->next_page_token.len = l->rk.len;
	}
	return rc;
}

void
lt_admin_list_erasures(Ltpb__Admin_Service *service, const Ltpb__ListErasuresRequest *req,
    Ltpb__ListErasuresReply_Closure closure, void *data)
{
	Ltpb__ListErasuresReply r = LTPB__LIST_ERASURES_REPLY__INIT;
	const struct lt_identity *id;
	struct lt_asking a;
	struct listing l = { .a = &a, .r = &r };
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = req->page_token.len > LT_KV_KEY_MAX ? LT_E_INVALID : run_list(&l, req);
	id = lt_hub_identity(a.s->hub);
	if (req->changesets) {
		r.certificate.data = (uint8_t *)(uintptr_t)id->certificate.data;
		r.certificate.len = id->certificate.len;
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "ERASE", "");
	lt_kv_abort(l.derived);
	lt_kv_abort(l.log);
	lt_asking_end(&a);
}
