/* hub/svc_grants.c - Admin at the hub: what those who are in may, and giving and taking of it.
 *
 * Who asks sees, gives and takes what it could have given itself (lt_access_give()); of all else it is told what it is told of what
 * does not exist. */
#include "hub/grants.h"
#include "hub/service_impl.h"
#include "proto/base/log.h"

#include <string.h>

#define LISTED_MAX 16384

bool
lt_asking_may_give(
    const struct lt_asking *a, Ltpb__Role role, const char *unit, const Ltpb__Grant *g)
{
	struct lt_unit u = { "" };
	struct lt_grant given = { .nverb = g->n_verbs,
		.nunit = g->n_units,
		.ncollection = g->n_collections,
		.nfield = g->n_fields,
		.verb = (const char **)g->verbs,
		.unit = (const char **)g->units,
		.collection = (const char **)g->collections,
		.field = (const char **)g->fields };

	(void)lt_unit_set(&u, lt_slice_str(unit));
	return lt_access_give(&a->who, role, &u, &given);
}

/* Nodes have what their commune has; a hub's certificate stands above the registry. */
static bool
is_bound(const struct lt_principal *p)
{
	return p->role == LTPB__ROLE__ROLE_DEPARTMENT || p->role == LTPB__ROLE__ROLE_OPERATOR ||
	       p->role == LTPB__ROLE__ROLE_MIRROR;
}

/* Whoever enrols for the federation knows who is in. */
static bool
knows_all(const struct lt_asking *a)
{
	return lt_access_unit(&a->who, LT_VERB_ENROL, "_");
}

static bool
may_have_given(
    const struct lt_asking *a, const struct lt_principal *p, const struct lt_grant_held *g)
{
	return g->grant != NULL && lt_asking_may_give(a, p->role, p->unit.s, g->grant);
}

/* The principal with all its grants, if the asker may know of it at all. Whether it is there or not, as much is read. */
static int
find(struct lt_asking *a, const ProtobufCBinaryData *id, const struct lt_principal **out,
    struct lt_grant_held **held, size_t *n, struct lt_err *err)
{
	const struct lt_principal *p;
	struct lt_id principal;
	bool known;
	size_t i;
	int rc;

	if (id->len != LT_ID_LEN)
		return lt_err_both(err, LT_E_INVALID, "a principal is named by its 16 bytes",
		    "tài khoản được nêu bằng mã 16 byte; hãy xem 'ltctl grants list'");
	memcpy(principal.b, id->data, LT_ID_LEN);
	p = lt_registry_find(a->reg, &principal);
	rc = lt_grants_of(a->s->hub, &principal, LT_GRANTS_TAKEN_TOLD, &a->arena, held, n);
	known = rc == LT_OK && p != NULL && knows_all(a);
	for (i = 0; rc == LT_OK && p != NULL && !known && i < *n; i++)
		known = may_have_given(a, p, &(*held)[i]);
	if (rc == LT_OK && !known)
		rc = lt_err_both(err, LT_E_NOTFOUND,
		    "there is no such principal, or it is not this operator's to give to",
		    "không có tài khoản này, hoặc nó không thuộc phần bạn được cấp; hãy xem 'ltctl "
		    "grants list'");
	if (rc == LT_OK && !is_bound(p))
		rc = lt_err_both(err, LT_E_INVALID,
		    "grants bind departments, operators and mirrors; a node's rights are those of "
		    "its commune",
		    "quyền chỉ dùng cho sở ngành, người vận hành và máy chủ bản sao: quyền của máy "
		    "xã là quyền của xã; hãy nêu tài khoản khác");
	*out = p;
	return rc;
}

/* ---- list ---- */

static int
list_one(struct lt_asking *a, const struct lt_principal *p, const struct lt_grant_held *g,
    Ltpb__ListGrantsReply *r)
{
	Ltpb__GrantRecord *to = lt_arena_alloc(&a->arena, sizeof(*to));

	if (to == NULL || r->n_grant == LISTED_MAX)
		return LT_E_NOMEM;
	ltpb__grant_record__init(to);
	to->principal.data = (uint8_t *)p->id.b;
	to->principal.len = LT_ID_LEN;
	to->role = p->role;
	to->org = (char *)p->org;
	to->label = (char *)p->label;
	to->state = p->state;
	if (g != NULL) {
		to->number = g->no;
		to->grant = g->grant;
	}
	r->grant[r->n_grant++] = to;
	return LT_OK;
}

/* Without any grant it stands there too: it is in, and may nothing. */
static int
list_principal(struct lt_asking *a, const struct lt_principal *p, Ltpb__ListGrantsReply *r)
{
	struct lt_grant_held *held;
	size_t i, n, shown = 0;
	bool any = false;
	int rc = lt_grants_of(a->s->hub, &p->id, 0, &a->arena, &held, &n);

	for (i = 0; rc == LT_OK && i < n; i++) {
		any |= held[i].active;
		if (!held[i].active || !may_have_given(a, p, &held[i]))
			continue;
		rc = list_one(a, p, &held[i], r);
		shown++;
	}
	if (rc == LT_OK && shown == 0 && !any && knows_all(a))
		rc = list_one(a, p, NULL, r);
	return rc;
}

void
lt_admin_list_grants(Ltpb__Admin_Service *service, const Ltpb__ListGrantsRequest *req,
    Ltpb__ListGrantsReply_Closure closure, void *data)
{
	Ltpb__ListGrantsReply r = LTPB__LIST_GRANTS_REPLY__INIT;
	const struct lt_principal *p;
	struct lt_err err = { "" };
	struct lt_grant_held *held;
	struct lt_asking a;
	size_t i, n;
	int rc = LT_OK;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	r.grant = lt_arena_alloc(&a.arena, LISTED_MAX * sizeof(*r.grant));
	if (r.grant == NULL)
		rc = LT_E_NOMEM;
	if (rc == LT_OK && req->principal.len != 0) {
		rc = find(&a, &req->principal, &p, &held, &n, &err);
		if (rc == LT_OK)
			rc = list_principal(&a, p, &r);
	}
	for (i = 0; rc == LT_OK && req->principal.len == 0 && i < lt_registry_count(a.reg); i++) {
		p = lt_registry_at(a.reg, i);
		if (is_bound(p))
			rc = list_principal(&a, p, &r);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, "GRANTS", &err);
	lt_asking_end(&a);
}

/* ---- give and take ---- */

static void
log_act(const struct lt_asking *a, const char *what, const struct lt_principal *p, uint32_t no)
{
	char hex[2 * LT_ID_LEN + 1], by[2 * LT_ID_LEN + 1] = "the hub's own machine";

	lt_hex(hex, p->id.b, LT_ID_LEN);
	if (a->who.principal != NULL)
		lt_hex(by, a->who.principal->id.b, LT_ID_LEN);
	lt_info("grant %u of principal %s %s by %s", no, hex, what, by);
}

/* As it will be kept, in the arena; within what the asker has itself. */
static int
take_asked(struct lt_asking *a, const struct lt_principal *p, const Ltpb__Grant *asked,
    Ltpb__Grant **out, struct lt_err *err)
{
	struct lt_buf b;
	int rc;

	lt_buf_init(&b, LT_GRANT_BYTES_MAX);
	rc = lt_grant_take(a->s->hub, p->role, asked, &b, err);
	if (rc == LT_OK)
		rc = lt_grant_read(lt_buf_slice(&b), &a->arena, out);
	lt_buf_fini(&b);
	if (rc == LT_OK && !lt_asking_may_give(a, p->role, p->unit.s, *out))
		rc = lt_err_both(err, LT_E_DENIED,
		    "an operator gives no more than one grant of its own has: name verbs, units, "
		    "collections and fields within it",
		    "người vận hành không cấp nhiều hơn một quyền mà mình có; hãy nêu verbs, "
		    "units, collections, fields trong phần đó");
	return rc;
}

void
lt_admin_give_grant(Ltpb__Admin_Service *service, const Ltpb__GiveGrantRequest *req,
    Ltpb__GiveGrantReply_Closure closure, void *data)
{
	Ltpb__GiveGrantReply r = LTPB__GIVE_GRANT_REPLY__INIT;
	const struct lt_principal *p;
	struct lt_grant_held *held;
	struct lt_err err = { "" };
	struct lt_asking a;
	size_t n;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = find(&a, &req->principal, &p, &held, &n, &err);
	if (rc == LT_OK)
		rc = take_asked(&a, p, req->grant, &r.grant, &err);
	if (rc == LT_OK)
		rc = lt_grants_give(a.s->hub, &p->id, r.grant, &r.number, &err);
	if (rc == LT_OK) {
		log_act(&a, "given", p, r.number);
		closure(&r, data);
	} else {
		lt_asking_refuse(&a, rc, "GRANTS", &err);
	}
	lt_asking_end(&a);
}

/* Which of them are meant: those named, or with none named every active one that is the asker's to take. */
static int
choose(struct lt_asking *a, const struct lt_principal *p, const struct lt_grant_held *held,
    size_t n, const Ltpb__TakeGrantRequest *req, Ltpb__TakeGrantReply *r, struct lt_err *err)
{
	size_t i, k;

	r->number = lt_arena_alloc(&a->arena, (n + req->n_number + 1) * sizeof(*r->number));
	if (r->number == NULL)
		return LT_E_NOMEM;
	for (i = 0; req->n_number == 0 && i < n; i++)
		if (held[i].active && may_have_given(a, p, &held[i]))
			r->number[r->n_number++] = held[i].no;
	for (k = 0; k < req->n_number; k++) {
		for (i = 0; i < n && held[i].no != req->number[k]; i++)
			;
		if (i == n || !may_have_given(a, p, &held[i]))
			return lt_err_both(err, LT_E_NOTFOUND,
			    "there is no grant %u of this principal, or it is not this operator's "
			    "to take",
			    "tài khoản này không có quyền số %u, hoặc quyền đó không thuộc phần "
			    "bạn được thu hồi; hãy xem 'ltctl grants list'",
			    req->number[k]);
		r->number[r->n_number++] = held[i].no;
	}
	return LT_OK;
}

void
lt_admin_take_grant(Ltpb__Admin_Service *service, const Ltpb__TakeGrantRequest *req,
    Ltpb__TakeGrantReply_Closure closure, void *data)
{
	Ltpb__TakeGrantReply r = LTPB__TAKE_GRANT_REPLY__INIT;
	const struct lt_principal *p;
	struct lt_grant_held *held;
	struct lt_err err = { "" };
	struct lt_asking a;
	size_t i, n;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = req->n_number > LT_GRANTS_EACH_MAX
		 ? lt_err_both(&err, LT_E_INVALID, "at most %d grants at once",
		       "mỗi lần nhiều nhất %d quyền; hãy chia thành nhiều lần", LT_GRANTS_EACH_MAX)
		 : find(&a, &req->principal, &p, &held, &n, &err);
	if (rc == LT_OK)
		rc = choose(&a, p, held, n, req, &r, &err);
	for (i = 0; rc == LT_OK && i < r.n_number; i++) {
		rc = lt_grants_take(a.s->hub, &p->id, r.number[i], &err);
		if (rc == LT_OK)
			log_act(&a, "taken", p, r.number[i]);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, "GRANTS", &err);
	lt_asking_end(&a);
}
