/* node/service.h - the node's local service over ipc: clerks' programs and ltctl write, read and look. */
#ifndef LT_NODE_SERVICE_H
#define LT_NODE_SERVICE_H

#include "node/link.h"
#include "node/node.h"
#include "node/repair.h"
#include "node/rotate.h"
#include "proto/rpc/methods.h"
#include "proto/store/scrubber.h"

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/audit.pb-c.h"
#include "lienthong/v1/keys.pb-c.h"
#include "lienthong/v1/record.pb-c.h"

struct lt_node_service {
	struct lt_node *node;
	struct lt_link *link; /* NULL: no line (offline use) */
	struct lt_scrubber *scrubber; /* NULL: none */
	struct lt_node_repair *repair; /* NULL: none */
	struct lt_rotator *rotator; /* NULL: none */
	/* Filled by lt_node_service_add(); a handler finds its lt_node_service around the service it is given. */
	Ltpb__Records_Service records_rpc;
	Ltpb__Query_Service query_rpc;
	Ltpb__Admin_Service admin_rpc;
	Ltpb__Keys_Service keys_rpc;
	Ltpb__Audit_Service audit_rpc;
};

void lt_node_service_authorize(void *ctx, const struct lt_peer *peer,
    const struct lt_method *method, struct lt_status *status);
/* Add Records, Query, Admin, Keys and Audit. s outlives the server. */
int lt_node_service_add(struct lt_node_service *s, struct lt_server *server, struct lt_err *err);

#endif
