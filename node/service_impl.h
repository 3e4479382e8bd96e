/* node/service_impl.h - what the node's handlers share. */
#ifndef LT_NODE_SERVICE_IMPL_H
#define LT_NODE_SERVICE_IMPL_H

#include "node/service.h"

#include <stddef.h>

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/record.pb-c.h"

/* The lt_node_service around one of its protobuf-c services. */
#define LT_NODE_SERVICE_OF(service, member) \
	((struct lt_node_service *)(void *)((char *)(service)-offsetof( \
	    struct lt_node_service, member)))

/* One call. */
struct lt_node_call {
	struct lt_node_service *s;
	struct lt_call *call;
	struct lt_catalogue *cat;
	struct lt_asker who;
	struct lt_unit province;
	struct lt_arena arena;
	struct lt_err err;
};

void lt_node_call_begin(struct lt_node_call *c, struct lt_node_service *s, void *closure_data);
void lt_node_call_end(struct lt_node_call *c);
void lt_node_call_fail(struct lt_node_call *c, int rc, const char *reason);

extern const Ltpb__Records_Service lt_node_records_service;
extern const Ltpb__Query_Service lt_node_query_service;
extern const Ltpb__Admin_Service lt_node_admin_service;
extern const Ltpb__Keys_Service lt_node_keys_service;
extern const Ltpb__Audit_Service lt_node_audit_service;

#endif
