/* hub/svc_who_holds.c - whose number stands where (part of Admin). */
#include "hub/erase.h"
#include "hub/service_impl.h"
#include "hub/who_holds.h"
#include "proto/base/clock.h"
#include "proto/base/text.h"
#include "proto/service/call.h"
#include "proto/store/projection.h"

#include <string.h>

#define REPLY_BYTES ((size_t)768 * 1024) /* then a page ends: a message is 1 MiB */
#define HOLDING_ARENA \
	((size_t)8 * 1024 * 1024) /* to look at one record: 512 KiB, and its changes */
#define PAGE_MS 30000 /* a page takes no longer, whatever time is given */
#define WAIT_MS 2000 /* for the tables, and at most a quarter of the time that a call has */

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

/* In which of the fields the record shows the value now. */
static int
tell_shown(struct lt_asking *a, struct lt_kv_txn *derived, const char *value,
    const struct lt_holding *h, struct lt_arena *scratch, Ltpb__Holding *m)
{
	Ltpb__Record *rec;
	size_t i, k;
	int rc = lt_record_get(derived, h->collection, h->unit.s, h->key, scratch, &rec);

	m->shown = lt_arena_alloc(&a->arena, (h->nfield + 1) * sizeof(*m->shown));
	if (m->shown == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < h->nfield; i++)
		for (k = 0; k < rec->n_field; k++)
			if (strcmp(rec->field[k]->name, h->field[i]) == 0 &&
			    lt_holds_value(rec->field[k]->value, value))
				m->shown[m->n_shown++] = (char *)h->field[i];
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* What cannot be read of a record does not keep the others from being told, nor what else is known of it. */
static int
or_unreadable(Ltpb__WhoHoldsReply *r, int rc)
{
	r->unreadable += rc == LT_E_CORRUPT;
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* What of the record was erased, as far as the asker may erase it. */
static int
tell_erased(struct lt_asking *a, const struct lt_collection *c, const struct lt_holding *h,
    struct lt_arena *scratch, Ltpb__Holding *m)
{
	struct lt_erasing e = { .unit = h->unit, .collection = h->collection, .key = h->key };
	struct lt_erasing_report r;
	struct lt_err err = { "" };
	const char *why;
	size_t i;
	int rc = lt_hub_erase_glance(a->s->hub, &e, scratch, &r, &why, &err);

	if (rc != LT_OK) /* not in the tables yet */
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	m->erased = lt_arena_alloc(&a->arena, (r.nfield + 1) * sizeof(*m->erased));
	if (m->erased == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < r.nfield; i++) {
		const char *name = r.field[i].name;

		if (r.field[i].erased == 0 || !may_tell(a, c, h->unit.s, name))
			continue;
		m->erased[m->n_erased] = lt_arena_dup(&a->arena, name, strlen(name));
		if (m->erased[m->n_erased++] == NULL)
			return LT_E_NOMEM;
	}
	return LT_OK;
}

static int
tell_holding(struct lt_asking *a, struct lt_kv_txn *derived, const char *value,
    const struct lt_holding *h, Ltpb__WhoHoldsReply *r, Ltpb__Holding **out)
{
	Ltpb__Holding *m = lt_arena_alloc(&a->arena, sizeof(*m));
	const struct lt_collection *c = lt_catalogue_find(a->cat, h->collection);
	struct lt_arena scratch;
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
	lt_arena_init(&scratch, HOLDING_ARENA);
	rc = or_unreadable(r, tell_shown(a, derived, value, h, &scratch, m));
	if (rc == LT_OK)
		rc = or_unreadable(r, tell_erased(a, c, h, &scratch, m));
	lt_arena_fini(&scratch);
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
	if (req->page_token.len > LT_WHO_TOKEN_MAX)
		return lt_err_set(err, LT_E_INVALID, "this is no page token of ours");
	return LT_OK;
}

/* What was found is told until the message is full or the time of the call is nearly over; the page then ends before what is left. */
static int
tell_holdings(
    struct lt_asking *a, const struct lt_who_holds *w, int64_t until_ms, Ltpb__WhoHoldsReply *r)
{
	const struct lt_clock *clock = lt_hub_clock(a->s->hub);
	struct lt_slice next = w->next;
	struct lt_kv_txn *derived;
	size_t i, bytes = 0;
	int rc = lt_kv_begin_read(lt_hub_derived(a->s->hub), &derived);

	if (rc != LT_OK)
		return rc;
	for (i = 0; rc == LT_OK && i < w->n; i++) {
		if (i != 0 && (bytes > REPLY_BYTES || lt_mono_ms(clock) >= until_ms)) {
			next = w->holding[i].at;
			break;
		}
		rc = on_tick(a);
		if (rc == LT_OK)
			rc = tell_holding(a, derived, w->value, &w->holding[i], r, &r->holding[i]);
		if (rc == LT_OK)
			bytes += ltpb__holding__get_packed_size(r->holding[i]) + 8;
		r->n_holding += rc == LT_OK;
	}
	r->next_page_token.data = (uint8_t *)(uintptr_t)next.data;
	r->next_page_token.len = next.len;
	lt_kv_abort(derived);
	return rc;
}

/* A quarter of the call's time for the tables, a quarter to look, the rest to tell; a call without a deadline has as much as the longest
 * page takes. */
static int
run_who_holds(struct lt_asking *a, const Ltpb__WhoHoldsRequest *req, Ltpb__WhoHoldsReply *r)
{
	struct lt_hub *hub = a->s->hub;
	const struct lt_clock *clock = lt_hub_clock(hub);
	int64_t left = a->call == NULL ? INT64_MAX : lt_call_left_ms(a->call), now;
	struct lt_who_holds w = { .value = req->value,
		.cat = a->cat,
		.may = may_tell,
		.tick = on_tick,
		.ctx = a,
		.arena = &a->arena,
		.from = lt_slice(req->page_token.data, req->page_token.len) };
	int rc;

	left = left < 0 ? 0 : left < PAGE_MS ? left : PAGE_MS;
	/* Without what the tables lack the page is told all the same, and that it is. */
	r->behind = lt_hub_wait_projected(hub, lt_hub_log_position(hub),
			left / 4 < WAIT_MS ? left / 4 : WAIT_MS) != LT_OK;
	now = lt_mono_ms(clock);
	w.until_ms = now + left / 4;
	rc = lt_hub_who_holds(hub, &w);
	if (rc != LT_OK)
		return rc;
	r->looked_at = w.looked_at;
	r->unreadable = w.unreadable;
	r->holding = lt_arena_alloc(&a->arena, (w.n + 1) * sizeof(*r->holding));
	return r->holding == NULL ? LT_E_NOMEM : tell_holdings(a, &w, now + left / 2, r);
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
		lt_asking_refuse(&a, rc, "WHO_HOLDS", &err);
	lt_asking_end(&a);
}
