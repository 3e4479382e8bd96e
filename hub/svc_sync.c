/* hub/svc_sync.c - Enrol and Sync: what nodes call. What they are answered is sync_answer.c's. */
#include "hub/sync_answer.h"

#include <stdlib.h>

static void
join(Ltpb__Enrol_Service *service, const Ltpb__JoinRequest *req, Ltpb__JoinReply_Closure closure,
    void *data)
{
	Ltpb__JoinReply r = LTPB__JOIN_REPLY__INIT;
	struct lt_status st;
	struct lt_asking a;

	lt_asking_begin(&a, LT_SERVICE_OF(service, enrol_rpc), data);
	if (lt_answer_join(&a, req, &r, &st))
		closure(&r, data);
	else
		lt_call_fail(a.call, &st);
	lt_asking_end(&a);
}

const Ltpb__Enrol_Service lt_enrol_service = { .base = LTPB__ENROL__BASE_INIT, .join = join };

static void
hello(Ltpb__Sync_Service *service, const Ltpb__HelloRequest *req, Ltpb__HelloReply_Closure closure,
    void *data)
{
	Ltpb__HelloReply r = LTPB__HELLO_REPLY__INIT;
	struct lt_status st;
	struct lt_asking a;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (lt_answer_hello(&a, req, &r, &st))
		closure(&r, data);
	else
		lt_call_fail(a.call, &st);
	lt_asking_end(&a);
}

static void
announce(Ltpb__Sync_Service *service, const Ltpb__AnnounceRequest *req,
    Ltpb__AnnounceReply_Closure closure, void *data)
{
	Ltpb__AnnounceReply r = LTPB__ANNOUNCE_REPLY__INIT;
	struct lt_status st;
	struct lt_asking a;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (lt_answer_announce(&a, req, &r, &st))
		closure(&r, data);
	else
		lt_call_fail(a.call, &st);
	lt_asking_end(&a);
}

static void
rotate(Ltpb__Sync_Service *service, const Ltpb__RotateRequest *req,
    Ltpb__RotateReply_Closure closure, void *data)
{
	Ltpb__RotateReply r = LTPB__ROTATE_REPLY__INIT;
	struct lt_status st;
	struct lt_asking a;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (lt_answer_rotate(&a, req, &r, &st))
		closure(&r, data);
	else
		lt_call_fail(a.call, &st);
	lt_asking_end(&a);
}

static void
end_rotation(Ltpb__Sync_Service *service, const Ltpb__EndRotationRequest *req,
    Ltpb__EndRotationReply_Closure closure, void *data)
{
	Ltpb__EndRotationReply r = LTPB__END_ROTATION_REPLY__INIT;
	struct lt_status st;
	struct lt_asking a;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (lt_answer_end_rotation(&a, req, &r, &st))
		closure(&r, data);
	else
		lt_call_fail(a.call, &st);
	lt_asking_end(&a);
}

static void
fetch(Ltpb__Sync_Service *service, const Ltpb__FetchRequest *req, Ltpb__FetchReply_Closure closure,
    void *data)
{
	Ltpb__FetchReply r = LTPB__FETCH_REPLY__INIT;
	struct lt_status st;
	struct lt_asking a;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (lt_answer_fetch(&a, req, &r, &st))
		closure(&r, data);
	else
		lt_call_fail(a.call, &st);
	lt_asking_end(&a);
}

static void
supply(Ltpb__Sync_Service *service, const Ltpb__SupplyRequest *req,
    Ltpb__SupplyReply_Closure closure, void *data)
{
	Ltpb__SupplyReply r = LTPB__SUPPLY_REPLY__INIT;
	struct lt_status st;
	struct lt_asking a;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (lt_answer_supply(&a, req, &r, &st))
		closure(&r, data);
	else
		lt_call_fail(a.call, &st);
	lt_asking_end(&a);
}

struct push {
	struct lt_call *call;
	Ltpb__PushReply_Closure closure;
	void *data;
};

static void
pushed(void *ctx, const Ltpb__PushReply *r, const struct lt_status *st, const struct lt_took *took)
{
	struct push *p = ctx;

	lt_call_took(p->call, took->changes, took->vain);
	if (r != NULL)
		p->closure(r, p->data);
	else
		lt_call_fail(p->call, st);
	free(p);
}

static void
push(Ltpb__Sync_Service *service, const Ltpb__PushRequest *req, Ltpb__PushReply_Closure closure,
    void *data)
{
	struct push *p = calloc(1, sizeof(*p));
	struct lt_status st;
	struct lt_asking a;

	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	if (p == NULL) {
		lt_asking_fail(&a, LT_E_NOMEM, "PUSH", "");
	} else if (!lt_call_owes_nothing(a.call, &st)) {
		lt_call_fail(a.call, &st);
		free(p);
	} else {
		p->call = a.call;
		p->closure = closure;
		p->data = data;
		lt_answer_push(&a, req, pushed, p);
	}
	lt_asking_end(&a);
}

static void
pull(Ltpb__Sync_Service *service, const Ltpb__PullRequest *req, Ltpb__PullItem_Closure closure,
    void *data)
{
	struct lt_pull_plan *plan;
	struct lt_status st;
	struct lt_asking a;
	bool go;

	(void)closure;
	lt_asking_begin(&a, LT_SERVICE_OF(service, sync_rpc), data);
	go = lt_answer_pull(&a, req, &plan, &st);
	if (go)
		lt_service_pulling(&a, a.peer, req);
	else
		lt_call_fail(a.call, &st);
	lt_asking_end(&a);
	if (go)
		lt_pulls_start(LT_SERVICE_OF(service, sync_rpc)->pulls, lt_call_of(data), plan);
}

const Ltpb__Sync_Service lt_sync_service = { .base = LTPB__SYNC__BASE_INIT,
	.hello = hello,
	.push = push,
	.pull = pull,
	.announce = announce,
	.fetch = fetch,
	.supply = supply,
	.rotate = rotate,
	.end_rotation = end_rotation };
