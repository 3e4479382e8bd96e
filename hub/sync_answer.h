/* hub/sync_answer.h - what the hub answers to Join, Hello, Announce, Push, Pull, Fetch and Supply, apart from the call that asks:
 * svc_sync.c puts it on calls, and a test or the simulator may ask without a line.
 *
 * Whether the method may be called at all is lt_service_authorize()'s, before. Of the lt_service only hub, enrol, fresh
 * and repair are used. */
#ifndef LT_HUB_SYNC_ANSWER_H
#define LT_HUB_SYNC_ANSWER_H

#include "hub/service_impl.h"

/* True: *r, initialised by the caller, is the reply; it borrows from the asking, the request and the hub. False: *st says why
 * not. The asking has been opened by lt_asking_open() or lt_asking_begin(). */
bool lt_answer_join(
    struct lt_asking *a, const Ltpb__JoinRequest *req, Ltpb__JoinReply *r, struct lt_status *st);
bool lt_answer_hello(
    struct lt_asking *a, const Ltpb__HelloRequest *req, Ltpb__HelloReply *r, struct lt_status *st);
bool lt_answer_announce(struct lt_asking *a, const Ltpb__AnnounceRequest *req,
    Ltpb__AnnounceReply *r, struct lt_status *st);
/* New keys for the node on this line, and the end of those before it. */
bool lt_answer_rotate(struct lt_asking *a, const Ltpb__RotateRequest *req, Ltpb__RotateReply *r,
    struct lt_status *st);
bool lt_answer_end_rotation(struct lt_asking *a, const Ltpb__EndRotationRequest *req,
    Ltpb__EndRotationReply *r, struct lt_status *st);
/* Single change-sets, to who may be sent them and from who has them (hub/repair.h). A supply is answered when what it brought is durable:
 * not on the writer's thread. */
bool lt_answer_fetch(
    struct lt_asking *a, const Ltpb__FetchRequest *req, Ltpb__FetchReply *r, struct lt_status *st);
bool lt_answer_supply(struct lt_asking *a, const Ltpb__SupplyRequest *req, Ltpb__SupplyReply *r,
    struct lt_status *st);
/* True: *plan is the caller's. */
bool lt_answer_pull(struct lt_asking *a, const Ltpb__PullRequest *req, struct lt_pull_plan **plan,
    struct lt_status *st);

/* What a push brought: changes that were appended, and change-sets that changed nothing and nobody had asked for. */
struct lt_took {
	size_t changes, vain;
};

/* r NULL: *st says why not. Both die with the call; took is there either way. */
typedef void lt_pushed_fn(
    void *ctx, const Ltpb__PushReply *r, const struct lt_status *st, const struct lt_took *took);
/* done: exactly once, at once or on a thread of the hub after the commit: what is acknowledged is durable. The asking may end
 * before; the request's bytes are borrowed until then. */
void lt_answer_push(
    struct lt_asking *a, const Ltpb__PushRequest *req, lt_pushed_fn *done, void *ctx);

#endif
