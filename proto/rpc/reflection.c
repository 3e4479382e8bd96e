#include "proto/rpc/reflection.h"
#include "proto/rpc/describe.h"
#include "proto/rpc/server_impl.h"

#define DESCRIBE_ARENA ((size_t)1024 * 1024) /* the whole schema takes 100 KiB */

static bool
may_call(void *ctx, const struct lt_method *m)
{
	const struct lt_call *call = ctx;
	const struct lt_server_options *o = &call->server->o;
	struct lt_status st = { 0 };

	if (o->authorize != NULL)
		o->authorize(o->ctx, &call->conn->peer, m, &st);
	return st.code == LT_STATUS_OK;
}

/* room: for LT_SERVER_SERVICES_MAX. */
static void
look(struct lt_call *call, const ProtobufCServiceDescriptor **room, struct lt_described *w)
{
	const struct lt_server *s = call->server;
	size_t i;

	for (i = 0; i < s->nservices; i++)
		room[i] = s->services[i]->descriptor;
	*w = (struct lt_described){ room, s->nservices, s->o.methods, s->o.nmethods, may_call,
		call };
}

static void
fail(struct lt_call *call, int rc, const char *name)
{
	if (rc == LT_E_NOTFOUND)
		lt_call_refuse(call, LT_STATUS_NOT_FOUND, "NO_SUCH_NAME",
		    "nothing that you may call here is named \"%.100s\"",
		    "ở đây không có gì tên \"%.100s\" mà bạn được gọi", name);
	else
		lt_call_failf(call, lt_status_from_error(rc), "MEMORY", "%s", lt_strerror(rc));
}

static void
reflect_list_services(Ltpb__Reflection_Service *service, const Ltpb__ListServicesRequest *req,
    Ltpb__ListServicesReply_Closure closure, void *closure_data)
{
	const ProtobufCServiceDescriptor *room[LT_SERVER_SERVICES_MAX];
	struct lt_call *call = lt_call_of(closure_data);
	Ltpb__ListServicesReply reply;
	struct lt_described w;
	struct lt_arena arena;
	int rc;

	(void)service;
	(void)req;
	lt_arena_init(&arena, DESCRIBE_ARENA);
	look(call, room, &w);
	rc = lt_describe_services(&w, &arena, &reply);
	if (rc == LT_OK)
		closure(&reply, closure_data);
	else
		fail(call, rc, "");
	lt_arena_fini(&arena);
}

static void
reflect_describe(Ltpb__Reflection_Service *service, const Ltpb__DescribeRequest *req,
    Ltpb__DescribeReply_Closure closure, void *closure_data)
{
	const ProtobufCServiceDescriptor *room[LT_SERVER_SERVICES_MAX];
	struct lt_call *call = lt_call_of(closure_data);
	Ltpb__DescribeReply reply;
	struct lt_described w;
	struct lt_arena arena;
	int rc;

	(void)service;
	lt_arena_init(&arena, DESCRIBE_ARENA);
	look(call, room, &w);
	rc = lt_describe(&w, req->name, &arena, &reply);
	if (rc == LT_OK)
		closure(&reply, closure_data);
	else
		fail(call, rc, req->name);
	lt_arena_fini(&arena);
}

static Ltpb__Reflection_Service reflection = LTPB__REFLECTION__INIT(reflect_);

ProtobufCService *
lt_reflection_service(void)
{
	return &reflection.base;
}
