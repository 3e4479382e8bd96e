/* hub/service_impl.h - what the hub's handlers share. */
#ifndef LT_HUB_SERVICE_IMPL_H
#define LT_HUB_SERVICE_IMPL_H

#include "hub/enrol.h"
#include "hub/service.h"

#include <stddef.h>

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

/* The lt_service around one of its protobuf-c services. */
#define LT_SERVICE_OF(service, member) \
	((struct lt_service *)(void *)((char *)(service)-offsetof(struct lt_service, member)))

/* One call: who asks, under which registry and catalogue. */
struct lt_asking {
	struct lt_service *s;
	struct lt_call *call; /* NULL: asked without one */
	const struct lt_peer *peer;
	struct lt_registry *reg;
	struct lt_catalogue *cat;
	struct lt_asker who;
	struct lt_arena arena;
};

/* Without a call; peer is borrowed. */
void lt_asking_open(struct lt_asking *a, struct lt_service *s, const struct lt_peer *peer);
void lt_asking_begin(struct lt_asking *a, struct lt_service *s, void *closure_data);
void lt_asking_end(struct lt_asking *a);
/* End the call with the status of an error code; words for people. */
void lt_asking_fail(struct lt_asking *a, int rc, const char *reason, const char *words);
/* The same with the words of an error, in both languages where it has both. */
void lt_asking_refuse(struct lt_asking *a, int rc, const char *reason, const struct lt_err *err);

/* Who is at the other end of a line, by the registry as it is now. The principal borrows from reg. */
void lt_service_identify(struct lt_service *s, const struct lt_registry *reg,
    const struct lt_peer *peer, struct lt_asker *who);
/* As the audit names who asks. */
void lt_asking_who(
    const struct lt_asker *who, const struct lt_peer *peer, struct lt_audit_who *out);

/* audit_hook.c: a pull begins; a mirror's is noted, of the units that it was granted. */
void lt_service_pulling(
    struct lt_asking *a, const struct lt_peer *peer, const Ltpb__PullRequest *req);

/* May the asker give this to somebody of that role, as an invitation or later? unit: of a node. */
bool lt_asking_may_give(
    const struct lt_asking *a, Ltpb__Role role, const char *unit, const Ltpb__Grant *g);

/* Who makes an invitation, in out; NULL where it is asked for at the hub's own machine. */
const struct lt_issuer *lt_asking_issuer(const struct lt_asking *a, struct lt_issuer *out);

/* svc_grants.c: part of Admin */
void lt_admin_list_grants(Ltpb__Admin_Service *service, const Ltpb__ListGrantsRequest *req,
    Ltpb__ListGrantsReply_Closure closure, void *data);
void lt_admin_give_grant(Ltpb__Admin_Service *service, const Ltpb__GiveGrantRequest *req,
    Ltpb__GiveGrantReply_Closure closure, void *data);
void lt_admin_take_grant(Ltpb__Admin_Service *service, const Ltpb__TakeGrantRequest *req,
    Ltpb__TakeGrantReply_Closure closure, void *data);

/* svc_erase.c: part of Admin */
void lt_admin_erase(Ltpb__Admin_Service *service, const Ltpb__EraseRequest *req,
    Ltpb__EraseReply_Closure closure, void *data);
void lt_admin_who_holds(Ltpb__Admin_Service *service, const Ltpb__WhoHoldsRequest *req,
    Ltpb__WhoHoldsReply_Closure closure, void *data);
void lt_admin_list_erasures(Ltpb__Admin_Service *service, const Ltpb__ListErasuresRequest *req,
    Ltpb__ListErasuresReply_Closure closure, void *data);

/* svc_audit_list.c: part of Audit */
void lt_audit_list(Ltpb__Audit_Service *service, const Ltpb__AuditListRequest *req,
    Ltpb__AuditListReply_Closure closure, void *data);
/* svc_audit.c: is there an audit, and is it for this asker? Else the call has ended. */
bool lt_audit_may(struct lt_asking *a);

/* svc_*.c: the handlers; copied into the lt_service */
extern const Ltpb__Enrol_Service lt_enrol_service;
extern const Ltpb__Sync_Service lt_sync_service;
extern const Ltpb__Records_Service lt_records_service;
extern const Ltpb__Query_Service lt_query_service;
extern const Ltpb__Admin_Service lt_admin_service;
extern const Ltpb__Keys_Service lt_keys_service;
extern const Ltpb__Audit_Service lt_audit_service;

#endif
