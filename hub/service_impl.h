/* hub/service_impl.h - what the hub's handlers share. */
#ifndef LT_HUB_SERVICE_IMPL_H
#define LT_HUB_SERVICE_IMPL_H

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

/* svc_*.c: the handlers; copied into the lt_service */
extern const Ltpb__Enrol_Service lt_enrol_service;
extern const Ltpb__Sync_Service lt_sync_service;
extern const Ltpb__Records_Service lt_records_service;
extern const Ltpb__Query_Service lt_query_service;
extern const Ltpb__Admin_Service lt_admin_service;

#endif
