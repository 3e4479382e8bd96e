#include "hub/keys.h"
#include "hub/service_impl.h"
#include "proto/base/log.h"
#include "proto/service/call.h"

#include <string.h>

#define CALL_ARENA ((size_t)16 * 1024 * 1024)

/* Revoked a moment ago. */
static bool
is_barred(struct lt_service *s, const struct lt_principal *p, const uint8_t line_key[32])
{
	size_t i;

	for (i = 0; i < p->nkey; i++)
		if (memcmp(p->key[i].line_key, line_key, 32) == 0)
			return lt_hub_barred(s->hub, &p->id, p->key[i].no);
	return false;
}

void
lt_service_identify(struct lt_service *s, const struct lt_registry *reg, const struct lt_peer *peer,
    struct lt_asker *who)
{
	const struct lt_principal *p;

	memset(who, 0, sizeof(*who));
	if (peer->kind == LT_PEER_LOCAL) {
		who->kind = LT_ASKER_LOCAL;
		who->local_hub = true;
		return;
	}
	p = lt_registry_by_line_key(reg, peer->line_key);
	if (p != NULL && !is_barred(s, p, peer->line_key) &&
	    p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE &&
	    p->role != LTPB__ROLE__ROLE_HUB) {
		who->kind = LT_ASKER_PRINCIPAL;
		who->principal = p;
	} else if (p == NULL && lt_enrol_is_pending(s->enrol, peer->line_key)) {
		who->kind = LT_ASKER_PENDING;
	} else {
		who->kind = LT_ASKER_STRANGER;
	}
}

int
lt_service_admit(void *ctx, const struct lt_peer *peer)
{
	struct lt_service *s = ctx;
	struct lt_registry *reg = lt_hub_registry(s->hub);
	struct lt_asker who;
	/* Who was somebody once is no stranger who may ask to join. */
	bool known = lt_registry_knows_line(reg, peer->line_key), in;

	lt_service_identify(s, reg, peer, &who);
	in = who.kind == LT_ASKER_PRINCIPAL || (!known && lt_hub_knows_principals(s->hub) &&
						   lt_enrol_lets_in(s->enrol, peer->line_key));
	lt_registry_unref(reg);
	return in ? LT_OK : LT_E_DENIED;
}

void
lt_service_authorize(
    void *ctx, const struct lt_peer *peer, const struct lt_method *method, struct lt_status *status)
{
	struct lt_service *s = ctx;
	struct lt_registry *reg = lt_hub_registry(s->hub);
	struct lt_asker who;

	lt_service_identify(s, reg, peer, &who);
	/* One who asks to join may be anybody whom the line let in: the invitation decides. */
	if (lt_access_method(&who, (enum lt_verb)method->grant))
		lt_status_set(status, LT_STATUS_OK, "", "%s", "");
	else if (who.kind == LT_ASKER_STRANGER || who.kind == LT_ASKER_PENDING)
		lt_status_set(status, LT_STATUS_UNAUTHENTICATED, "NOT_A_PRINCIPAL",
		    "not enrolled, or not approved yet");
	else
		lt_status_set(status, LT_STATUS_PERMISSION_DENIED, "METHOD",
		    "this principal may not call %s", method->name);
	lt_registry_unref(reg);
}

static bool
look(void *ctx, uint64_t conn_id, bool ping, uint64_t *frames)
{
	struct lt_service *s = ctx;

	return lt_server_look(s->server, conn_id, ping, frames);
}

static void
cut(void *ctx, uint64_t conn_id)
{
	struct lt_service *s = ctx;

	lt_server_cut_one(s->server, conn_id);
}

int
lt_service_twins(struct lt_service *s, const struct lt_clock *clock)
{
	const struct lt_twins_lines lines = { look, cut, s };

	return lt_twins_open(clock, &lines, &s->twins);
}

void
lt_service_closed(void *ctx, const struct lt_peer *peer)
{
	struct lt_service *s = ctx;

	lt_fresh_gone(s->fresh, peer->conn_id);
	if (s->twins != NULL)
		lt_twins_gone(s->twins, peer->conn_id);
}

void
lt_service_quota(void *ctx, const struct lt_peer *peer, struct lt_quota *out)
{
	struct lt_service *s = ctx;
	struct lt_registry *reg = lt_hub_registry(s->hub);
	const struct lt_principal *p = lt_registry_by_line_key(reg, peer->line_key);

	*out = *lt_quota_of(&s->quotas, p == NULL ? LTPB__ROLE__ROLE_UNSPECIFIED : p->role);
	if (p != NULL)
		memcpy(out->whom, p->id.b, sizeof(out->whom));
	lt_registry_unref(reg);
}

static void
cut_former(struct lt_service *s, const struct lt_registry *reg)
{
	size_t i, k;

	for (i = 0; i < lt_registry_count(reg); i++) {
		const struct lt_principal *p = lt_registry_at(reg, i);

		for (k = 0; k < p->nkey; k++) {
			const struct lt_principal *now =
			    lt_registry_by_line_key(reg, p->key[k].line_key);

			if (now == NULL ||
			    now->state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE)
				lt_server_cut(s->server, p->key[k].line_key);
		}
	}
}

void
lt_service_news(void *ctx)
{
	struct lt_service *s = ctx;
	struct lt_registry *reg = lt_hub_registry(s->hub);

	lt_pulls_news(s->pulls);
	if (lt_registry_generation(reg) != s->cut_generation) {
		s->cut_generation = lt_registry_generation(reg);
		cut_former(s, reg);
		lt_pulls_recheck(s->pulls);
	}
	lt_registry_unref(reg);
}

void
lt_asking_who(const struct lt_asker *who, const struct lt_peer *peer, struct lt_audit_who *out)
{
	memset(out, 0, sizeof(*out));
	if (who->kind == LT_ASKER_LOCAL) {
		out->kind = LT_AUDIT_LOCAL;
		out->uid = peer->uid;
	} else if (who->kind == LT_ASKER_PRINCIPAL) {
		out->kind = LT_AUDIT_PRINCIPAL;
		out->id = who->principal->id;
	}
}

void
lt_asking_open(struct lt_asking *a, struct lt_service *s, const struct lt_peer *peer)
{
	memset(a, 0, sizeof(*a));
	a->s = s;
	a->peer = peer;
	a->reg = lt_hub_registry(a->s->hub);
	a->cat = lt_hub_catalogue(a->s->hub);
	lt_service_identify(a->s, a->reg, peer, &a->who);
	lt_arena_init(&a->arena, CALL_ARENA);
}

void
lt_asking_begin(struct lt_asking *a, struct lt_service *s, void *closure_data)
{
	struct lt_call *call = lt_call_of(closure_data);

	lt_asking_open(a, s, lt_call_peer(call));
	a->call = call;
}

void
lt_asking_end(struct lt_asking *a)
{
	lt_arena_fini(&a->arena);
	lt_registry_unref(a->reg);
	lt_catalogue_unref(a->cat);
}

const struct lt_issuer *
lt_asking_issuer(const struct lt_asking *a, struct lt_issuer *out)
{
	if (a->who.principal == NULL)
		return NULL;
	out->principal = a->who.principal->id;
	memcpy(out->line_key, a->peer->line_key, sizeof(out->line_key));
	return out;
}

void
lt_asking_fail(struct lt_asking *a, int rc, const char *reason, const char *words)
{
	lt_call_fail_code(a->call, rc, reason, words);
}

void
lt_asking_refuse(struct lt_asking *a, int rc, const char *reason, const struct lt_err *err)
{
	lt_call_fail_err(a->call, rc, reason, err);
}

int
lt_service_add(struct lt_service *s, struct lt_server *server, struct lt_err *err)
{
	ProtobufCService *all[] = { &s->enrol_rpc.base, &s->sync_rpc.base, &s->records_rpc.base,
		&s->query_rpc.base, &s->admin_rpc.base, &s->keys_rpc.base, &s->audit_rpc.base };
	size_t i;
	int rc = LT_OK;

	s->enrol_rpc = lt_enrol_service;
	s->sync_rpc = lt_sync_service;
	s->records_rpc = lt_records_service;
	s->query_rpc = lt_query_service;
	s->admin_rpc = lt_admin_service;
	s->keys_rpc = lt_keys_service;
	s->audit_rpc = lt_audit_service;
	s->server = server;
	for (i = 0; rc == LT_OK && i < sizeof(all) / sizeof(all[0]); i++)
		rc = lt_server_add(server, all[i], err);
	return rc;
}
