/* hub/svc_keys.c - Keys at the hub: who is in, and the life of their keys. Whoever may enrol somebody may also end that. */
#include "hub/grant.h"
#include "hub/keys.h"
#include "hub/service_impl.h"
#include "proto/base/log.h"
#include "proto/feed/crypto.h"
#include "proto/service/call.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* ---- who may ---- */

static bool
may_manage(const struct lt_asking *a, const struct lt_principal *p)
{
	static const struct lt_grant none = { 0 };
	size_t i;

	if (p->role == LTPB__ROLE__ROLE_HUB)
		return lt_access_unit(&a->who, LT_VERB_ENROL, "_");
	if (p->role == LTPB__ROLE__ROLE_NODE)
		return lt_access_give(&a->who, p->role, &p->unit, &none);
	if (p->ngrant == 0)
		return lt_access_unit(&a->who, LT_VERB_ENROL, "_");
	for (i = 0; i < p->ngrant; i++)
		if (!lt_access_give(&a->who, p->role, &p->unit, &p->grant[i]))
			return false;
	return true;
}

/* Whom the asker does not see is not there. */
static int
find(struct lt_asking *a, const ProtobufCBinaryData *id, const struct lt_principal **p,
    const char **why, struct lt_err *err)
{
	struct lt_id want;

	*why = "KEYS_INVALID";
	if (id->len != LT_ID_LEN)
		return lt_err_set(err, LT_E_INVALID, "a principal is named by 16 bytes");
	memcpy(want.b, id->data, LT_ID_LEN);
	*p = lt_registry_find(a->reg, &want);
	if (*p != NULL && may_manage(a, *p))
		return LT_OK;
	*why = "KEYS_UNKNOWN";
	return lt_err_set(err, LT_E_NOTFOUND,
	    "there is no such principal; who only asked to join is rejected, not revoked");
}

/* Nobody locks itself out by a slip. */
static int
not_oneself(struct lt_asking *a, const struct lt_principal *p, const char **why, struct lt_err *err)
{
	if (a->who.principal != p)
		return LT_OK;
	*why = "KEYS_SELF";
	return lt_err_set(err, LT_E_REFUSED,
	    "nobody takes its own keys away: another operator does, or who sits at the hub");
}

static const struct lt_id *
by_whom(const struct lt_asking *a)
{
	return a->who.principal != NULL ? &a->who.principal->id : NULL;
}

/* ---- what is told ---- */

static int
tell_key(struct lt_asking *a, const struct lt_principal *p, const struct lt_principal_key *k,
    Ltpb__PrincipalKey **out)
{
	Ltpb__PrincipalKey *m = lt_arena_alloc(&a->arena, sizeof(*m));
	struct lt_buf words;

	if (m == NULL)
		return LT_E_NOMEM;
	ltpb__principal_key__init(m);
	lt_buf_init(&words, 256);
	lt_fingerprint(
	    &lt_hub_identity(a->s->hub)->federation, &p->id, k->sign_key, k->line_key, &words);
	m->key_no = k->no;
	m->active = k->active;
	m->sign_key.data = (uint8_t *)k->sign_key;
	m->sign_key.len = sizeof(k->sign_key);
	m->line_key.data = (uint8_t *)k->line_key;
	m->line_key.len = sizeof(k->line_key);
	m->fingerprint = words.err != LT_OK ? NULL : lt_arena_dup(&a->arena, words.data, words.len);
	lt_buf_fini(&words);
	*out = m;
	return m->fingerprint == NULL ? LT_E_NOMEM : LT_OK;
}

static int
tell_revocation(struct lt_asking *a, const struct lt_revocation *r, Ltpb__Revocation **out)
{
	static const struct lt_id nobody;
	Ltpb__Revocation *m = lt_arena_alloc(&a->arena, sizeof(*m));
	Ltpb__FeedHead *heads = lt_arena_alloc(&a->arena, r->ncut * sizeof(*heads));
	size_t i;

	if (m == NULL || heads == NULL)
		return LT_E_NOMEM;
	ltpb__revocation__init(m);
	m->number = r->number;
	m->key_no = r->key_no;
	m->reason = (char *)r->reason;
	if (!lt_id_eq(&r->by, &nobody)) {
		m->by.data = (uint8_t *)r->by.b;
		m->by.len = LT_ID_LEN;
	}
	m->cut = lt_arena_alloc(&a->arena, r->ncut * sizeof(*m->cut));
	if (m->cut == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < r->ncut; i++) {
		Ltpb__FeedHead *f = &heads[i];

		ltpb__feed_head__init(f);
		f->unit = (char *)r->cut[i].unit.s;
		f->feed.data = (uint8_t *)r->cut[i].feed.b;
		f->feed.len = LT_FEED_LEN;
		f->seq = r->cut[i].seq;
		f->hash.data = (uint8_t *)r->cut[i].hash.b;
		f->hash.len = LT_HASH_LEN;
		m->cut[m->n_cut++] = f;
	}
	*out = m;
	return LT_OK;
}

/* Borrows from the registry that p is of. */
static int
tell(struct lt_asking *a, struct lt_kv_txn *derived, const struct lt_principal *p,
    Ltpb__Principal **out)
{
	Ltpb__Principal *m = lt_arena_alloc(&a->arena, sizeof(*m));
	struct lt_fresh_node f;
	int rc = LT_OK;

	if (m == NULL)
		return LT_E_NOMEM;
	ltpb__principal__init(m);
	m->principal.data = (uint8_t *)p->id.b;
	m->principal.len = LT_ID_LEN;
	m->role = p->role;
	m->unit = (char *)p->unit.s;
	m->org = (char *)p->org;
	m->label = (char *)p->label;
	m->state = p->state;
	m->unit_name = (char *)lt_record_unit_name(derived, p->unit.s, &a->arena);
	m->connected = lt_fresh_node(a->s->fresh, &p->id, &f) && f.connected;
	m->key = lt_arena_alloc(&a->arena, p->nkey * sizeof(*m->key));
	m->revocation = lt_arena_alloc(&a->arena, p->nrevocation * sizeof(*m->revocation));
	if (m->key == NULL || m->revocation == NULL)
		return LT_E_NOMEM;
	for (; rc == LT_OK && m->n_key < p->nkey; m->n_key += rc == LT_OK)
		rc = tell_key(a, p, &p->key[m->n_key], &m->key[m->n_key]);
	for (; rc == LT_OK && m->n_revocation < p->nrevocation; m->n_revocation += rc == LT_OK)
		rc = tell_revocation(
		    a, &p->revocation[m->n_revocation], &m->revocation[m->n_revocation]);
	*out = m;
	return rc;
}

/* One, from the registry as it is after what was done. */
static int
tell_now(struct lt_asking *a, const struct lt_id *id, Ltpb__Principal **out)
{
	const struct lt_principal *p;
	struct lt_kv_txn *derived;
	int rc;

	lt_registry_unref(a->reg);
	a->reg = lt_hub_registry(a->s->hub);
	p = lt_registry_find(a->reg, id);
	if (p == NULL)
		return LT_E_NOTFOUND;
	rc = lt_kv_begin_read(lt_hub_derived(a->s->hub), &derived);
	if (rc != LT_OK)
		return rc;
	rc = tell(a, derived, p, out);
	lt_kv_abort(derived);
	return rc;
}

static bool
is_asked_for(const Ltpb__ListPrincipalsRequest *req, const struct lt_principal *p)
{
	bool gone = p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED ||
		    p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_RETIRED;

	return (req->gone || !gone) && req->prefix.len <= LT_ID_LEN &&
	       (req->prefix.len == 0 || memcmp(req->prefix.data, p->id.b, req->prefix.len) == 0);
}

static void
list_principals(Ltpb__Keys_Service *service, const Ltpb__ListPrincipalsRequest *req,
    Ltpb__ListPrincipalsReply_Closure closure, void *data)
{
	Ltpb__ListPrincipalsReply r = LTPB__LIST_PRINCIPALS_REPLY__INIT;
	struct lt_kv_txn *derived = NULL;
	struct lt_asking a;
	size_t i, n;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, keys_rpc), data);
	n = lt_registry_count(a.reg);
	r.principal = lt_arena_alloc(&a.arena, (n + 1) * sizeof(*r.principal));
	rc =
	    r.principal == NULL ? LT_E_NOMEM : lt_kv_begin_read(lt_hub_derived(a.s->hub), &derived);
	for (i = 0; rc == LT_OK && i < n; i++) {
		const struct lt_principal *p = lt_registry_at(a.reg, i);

		if (!is_asked_for(req, p) || !may_manage(&a, p))
			continue;
		rc = tell(&a, derived, p, &r.principal[r.n_principal]);
		r.n_principal += rc == LT_OK;
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "KEYS", "");
	lt_kv_abort(derived);
	lt_asking_end(&a);
}

/* ---- changes ---- */

/* At once, whatever the registry in memory shows. */
static void
cut_lines(struct lt_asking *a, const struct lt_principal *p, uint32_t key_no)
{
	size_t i;

	for (i = 0; i < p->nkey; i++)
		if (key_no == 0 || p->key[i].no == key_no)
			lt_server_cut(a->s->server, p->key[i].line_key);
}

/* Has it handed over everything? A machine that leaves with something of its own would take it along for ever. */
static int
all_is_here(struct lt_asking *a, const struct lt_principal *p, const char **why, struct lt_err *err)
{
	struct lt_fresh_node f;
	uint64_t announced = 0, held = 0;
	int lane;

	if (p->role != LTPB__ROLE__ROLE_NODE)
		return LT_OK;
	*why = "KEYS_BEHIND";
	if (!lt_fresh_node(a->s->fresh, &p->id, &f) || f.last_seen_ms == 0)
		return lt_err_set(err, LT_E_REFUSED,
		    "this machine has not said yet how far it wrote: let it connect, or say "
		    "anyway");
	for (lane = 1; lane <= 3; lane++) {
		announced += f.announced[lane];
		held += f.held[lane];
	}
	if (f.foreign || held < announced)
		return lt_err_set(err, LT_E_REFUSED,
		    "%llu change-sets of this machine are not here yet: let it connect and send "
		    "them, or say anyway and they are lost",
		    (unsigned long long)(held < announced ? announced - held : 1));
	return LT_OK;
}

static int
retire(struct lt_asking *a, const struct lt_principal *p, bool anyway, const char **why,
    struct lt_err *err)
{
	int rc = anyway || p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_RETIRED
		     ? LT_OK
		     : all_is_here(a, p, why, err);

	return rc == LT_OK ? lt_hub_retire(a->s->hub, &p->id, by_whom(a), why, err) : rc;
}

static int
revoke(struct lt_asking *a, const struct lt_principal *p, uint32_t key_no, const char *reason,
    const char **why, struct lt_err *err)
{
	struct lt_revoking r = { p->id, key_no, reason, by_whom(a) };

	return lt_hub_revoke(a->s->hub, &r, why, err);
}

/* A revocation: in force and durable; that the tables do not show it yet does not matter to who asked. Suspended is in force when they do. */
static int
in_force(int rc)
{
	return rc == LT_E_TIMEOUT ? LT_OK : rc;
}

static bool
is_barred(struct lt_asking *a, const struct lt_principal *p, uint32_t key_no)
{
	return p != NULL && lt_hub_barred(a->s->hub, &p->id, key_no);
}

static int
change(struct lt_asking *a, const Ltpb__ChangePrincipalRequest *req, const struct lt_principal *p,
    const char **why, struct lt_err *err)
{
	switch (req->action) {
	case LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_SUSPEND:
		return lt_hub_suspend(a->s->hub, &p->id, true, why, err);
	case LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_RESUME:
		return lt_hub_suspend(a->s->hub, &p->id, false, why, err);
	case LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_RETIRE:
		return in_force(retire(a, p, req->anyway, why, err));
	case LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_REVOKE:
		return in_force(revoke(a, p, req->key_no, req->reason, why, err));
	default:
		*why = "KEYS_INVALID";
		return lt_err_set(err, LT_E_INVALID, "suspend, resume, retire or revoke");
	}
}

static void
change_principal(Ltpb__Keys_Service *service, const Ltpb__ChangePrincipalRequest *req,
    Ltpb__ChangePrincipalReply_Closure closure, void *data)
{
	Ltpb__ChangePrincipalReply r = LTPB__CHANGE_PRINCIPAL_REPLY__INIT;
	const struct lt_principal *p = NULL;
	struct lt_err err = { "" };
	struct lt_asking a;
	const char *why;
	struct lt_id id;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, keys_rpc), data);
	rc = find(&a, &req->principal, &p, &why, &err);
	if (rc == LT_OK)
		rc = not_oneself(&a, p, &why, &err);
	if (rc == LT_OK)
		rc = change(&a, req, p, &why, &err);
	if ((rc == LT_OK && req->action != LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_RESUME) ||
	    is_barred(&a, p, req->key_no))
		cut_lines(&a, p, req->key_no);
	if (rc == LT_OK) {
		id = p->id; /* p goes with the registry that it is of */
		rc = tell_now(&a, &id, &r.principal);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, why, &err);
	lt_asking_end(&a);
}

/* ---- in place of one ---- */

/* The grant that a new one in its place gets; *g is NULL where the role says all. */
static int
same_grant(const struct lt_principal *p, Ltpb__Grant *m, Ltpb__Grant **g, const char **why,
    struct lt_err *err)
{
	*g = NULL;
	if (p->role == LTPB__ROLE__ROLE_NODE)
		return LT_OK;
	if (p->role == LTPB__ROLE__ROLE_HUB) {
		*why = "KEYS_HUB";
		return lt_err_set(err, LT_E_INVALID,
		    "a hub's keys stand by the root's certificate: no record takes them away");
	}
	if (p->ngrant != 1) {
		*why = "KEYS_STATE";
		return lt_err_set(err, LT_E_REFUSED,
		    "this one has %zu grants, an invitation gives one: revoke it, and invite anew",
		    p->ngrant);
	}
	ltpb__grant__init(m);
	m->n_verbs = p->grant->nverb;
	m->verbs = (char **)p->grant->verb;
	m->n_units = p->grant->nunit;
	m->units = (char **)p->grant->unit;
	m->n_collections = p->grant->ncollection;
	m->collections = (char **)p->grant->collection;
	m->n_fields = p->grant->nfield;
	m->fields = (char **)p->grant->field;
	*g = m;
	return LT_OK;
}

static int
invite(struct lt_asking *a, const struct lt_principal *p, const Ltpb__ReplacePrincipalRequest *req,
    Ltpb__Grant *grant, struct lt_buf *line, int64_t *expires_s, struct lt_err *err)
{
	Ltpb__InviteRequest inv = LTPB__INVITE_REQUEST__INIT;
	struct lt_issuer issuer;
	bool own = req->n_address != 0;

	inv.role = p->role;
	inv.unit = (char *)p->unit.s;
	inv.org = (char *)p->org;
	inv.label = (char *)p->label;
	inv.auto_approve = req->auto_approve;
	inv.expires_in_s = req->expires_in_s;
	inv.grant = grant;
	return lt_enrol_invite_by(a->s->enrol, lt_asking_issuer(a, &issuer), &inv,
	    own ? (const char *const *)req->address : a->s->addresses,
	    own ? req->n_address : a->s->naddress, line, expires_s, err);
}

static int
replace(struct lt_asking *a, const struct lt_principal *p, const Ltpb__ReplacePrincipalRequest *req,
    struct lt_buf *line, int64_t *expires_s, const char **why, struct lt_err *err)
{
	const char *reason = req->reason[0] != '\0' ? req->reason : "replaced";
	Ltpb__Grant m, *grant;
	int rc = same_grant(p, &m, &grant, why, err);

	/* First: who finds no room for an invitation asks again, and meanwhile the thief is out. */
	if (rc == LT_OK)
		rc = in_force(revoke(a, p, 0, reason, why, err));
	if (rc == LT_OK || is_barred(a, p, 0))
		cut_lines(a, p, 0);
	if (rc != LT_OK)
		return rc;
	*why = "INVITE";
	return invite(a, p, req, grant, line, expires_s, err);
}

static void
replace_principal(Ltpb__Keys_Service *service, const Ltpb__ReplacePrincipalRequest *req,
    Ltpb__ReplacePrincipalReply_Closure closure, void *data)
{
	Ltpb__ReplacePrincipalReply r = LTPB__REPLACE_PRINCIPAL_REPLY__INIT;
	const struct lt_principal *p = NULL;
	struct lt_err err = { "" };
	struct lt_asking a;
	struct lt_buf line;
	const char *why;
	struct lt_id id;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, keys_rpc), data);
	lt_buf_init(&line, 4096);
	rc = find(&a, &req->principal, &p, &why, &err);
	if (rc == LT_OK)
		rc = not_oneself(&a, p, &why, &err);
	if (rc == LT_OK)
		rc = replace(&a, p, req, &line, &r.expires_s, &why, &err);
	lt_buf_u8(&line, 0);
	if (rc == LT_OK)
		rc = line.err;
	if (rc == LT_OK) {
		id = p->id;
		rc = tell_now(&a, &id, &r.principal);
	}
	if (rc == LT_OK) {
		r.line = (char *)line.data;
		closure(&r, data);
	} else {
		lt_asking_refuse(&a, rc, why, &err);
	}
	if (line.len != 0)
		sodium_memzero(line.data, line.len); /* the token lets a machine in */
	lt_buf_fini(&line);
	lt_asking_end(&a);
}

static void
rotate_keys(Ltpb__Keys_Service *service, const Ltpb__RotateKeysRequest *req,
    Ltpb__RotateKeysReply_Closure closure, void *data)
{
	struct lt_asking a;

	(void)req;
	(void)closure;
	lt_asking_begin(&a, LT_SERVICE_OF(service, keys_rpc), data);
	lt_call_failf(a.call, LT_STATUS_UNIMPLEMENTED, "NODE_ONLY",
	    "a node changes its own keys: ask it, at its machine");
	lt_asking_end(&a);
}

const Ltpb__Keys_Service lt_keys_service = { .base = LTPB__KEYS__BASE_INIT,
	.list_principals = list_principals,
	.change_principal = change_principal,
	.replace_principal = replace_principal,
	.rotate_keys = rotate_keys };
