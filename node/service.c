#include "node/service_impl.h"
#include "proto/service/call.h"

#include <string.h>

#define CALL_ARENA ((size_t)16 * 1024 * 1024)

static void
identify(struct lt_node_service *s, struct lt_asker *who)
{
	memset(who, 0, sizeof(*who));
	who->kind = LT_ASKER_LOCAL;
	who->unit = lt_node_identity(s->node)->unit;
}

void
lt_node_service_authorize(
    void *ctx, const struct lt_peer *peer, const struct lt_method *method, struct lt_status *status)
{
	struct lt_asker who;

	identify(ctx, &who);
	if (peer->kind == LT_PEER_LOCAL && lt_access_method(&who, (enum lt_verb)method->grant))
		lt_status_set(status, LT_STATUS_OK, "", "%s", "");
	else
		lt_status_set(status, LT_STATUS_PERMISSION_DENIED, "METHOD",
		    "%s is not called at a node", method->name);
}

void
lt_node_call_begin(struct lt_node_call *c, struct lt_node_service *s, void *closure_data)
{
	memset(c, 0, sizeof(*c));
	c->s = s;
	c->call = lt_call_of(closure_data);
	c->cat = lt_node_catalogue(c->s->node);
	lt_node_province(c->s->node, &c->province);
	identify(c->s, &c->who);
	lt_arena_init(&c->arena, CALL_ARENA);
}

void
lt_node_call_end(struct lt_node_call *c)
{
	lt_arena_fini(&c->arena);
	lt_catalogue_unref(c->cat);
}

void
lt_node_call_fail(struct lt_node_call *c, int rc, const char *reason)
{
	lt_call_fail_err(c->call, rc, reason, &c->err);
}

int
lt_node_service_add(struct lt_node_service *s, struct lt_server *server, struct lt_err *err)
{
	ProtobufCService *all[] = { &s->records_rpc.base, &s->query_rpc.base, &s->admin_rpc.base,
		&s->keys_rpc.base, &s->audit_rpc.base };
	size_t i;
	int rc = LT_OK;

	s->records_rpc = lt_node_records_service;
	s->query_rpc = lt_node_query_service;
	s->admin_rpc = lt_node_admin_service;
	s->keys_rpc = lt_node_keys_service;
	s->audit_rpc = lt_node_audit_service;
	for (i = 0; rc == LT_OK && i < sizeof(all) / sizeof(all[0]); i++)
		rc = lt_server_add(server, all[i], err);
	return rc;
}
