/* node/svc_keys.c - Keys at the node: its own. */
#include "node/rotate.h"
#include "node/service_impl.h"
#include "proto/feed/crypto.h"
#include "proto/service/call.h"

static int
tell(struct lt_node_call *c, Ltpb__RotateKeysReply *r)
{
	const struct lt_identity *id = lt_node_identity(c->s->node);
	struct lt_buf words;

	lt_buf_init(&words, 256);
	lt_fingerprint(&id->federation, &id->principal, id->sign.pk, id->line_pk, &words);
	r->key_no = id->key_no;
	r->fingerprint = words.err != LT_OK ? NULL : lt_arena_dup(&c->arena, words.data, words.len);
	lt_buf_fini(&words);
	return r->fingerprint == NULL ? LT_E_NOMEM : LT_OK;
}

static void
rotate_keys(Ltpb__Keys_Service *service, const Ltpb__RotateKeysRequest *req,
    Ltpb__RotateKeysReply_Closure closure, void *data)
{
	Ltpb__RotateKeysReply r = LTPB__ROTATE_KEYS_REPLY__INIT;
	struct lt_node_call c;
	int rc;

	(void)req;
	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, keys_rpc), data);
	rc = c.s->rotator != NULL
		 ? lt_rotator_run(c.s->rotator, &c.err)
		 : lt_err_set(&c.err, LT_E_UNAVAILABLE, "this node has no line to a hub");
	if (rc == LT_OK)
		rc = tell(&c, &r);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "ROTATION");
	lt_node_call_end(&c);
}

/* ---- what only a hub answers ---- */

static void
hub_only(Ltpb__Keys_Service *service, void *data)
{
	struct lt_node_call c;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, keys_rpc), data);
	lt_call_failf(c.call, LT_STATUS_UNIMPLEMENTED, "HUB_ONLY", "this is asked at the hub");
	lt_node_call_end(&c);
}

#define HUB_ONLY(fn, request, reply) \
	static void fn(Ltpb__Keys_Service *service, const Ltpb__##request *req, \
	    Ltpb__##reply##_Closure closure, void *data) \
	{ \
		(void)req; \
		(void)closure; \
		hub_only(service, data); \
	}
HUB_ONLY(list_principals, ListPrincipalsRequest, ListPrincipalsReply)
HUB_ONLY(change_principal, ChangePrincipalRequest, ChangePrincipalReply)
HUB_ONLY(replace_principal, ReplacePrincipalRequest, ReplacePrincipalReply)

const Ltpb__Keys_Service lt_node_keys_service = { .base = LTPB__KEYS__BASE_INIT,
	.list_principals = list_principals,
	.change_principal = change_principal,
	.replace_principal = replace_principal,
	.rotate_keys = rotate_keys };
