/* proto/rpc/health.h - grpc.health.v1: may this program be asked now? */
#ifndef LT_RPC_HEALTH_H
#define LT_RPC_HEALTH_H

#include "proto/rpc/rpc.h"

/* The row of the method table. */
#define LT_HEALTH_METHOD \
	{ \
		.name = "/grpc.health.v1.Health/Check", .idempotent = true, .deadline_ms = 5000, \
		.deadline_max_ms = 60000 \
	}

struct lt_health; /* opaque; any thread */

/* Service "" (the whole program) is there from the start, not serving. NULL: no memory. */
struct lt_health *lt_health_new(void);
/* After the server has stopped. NULL allowed. */
void lt_health_free(struct lt_health *h);
/* name: "lienthong.v1.Sync", at most 127 bytes. LT_E_TOOBIG, LT_E_NOMEM. */
int lt_health_set(struct lt_health *h, const char *name, bool serving);
/* For lt_server_add(). Check answers SERVING or NOT_SERVING, NOT_FOUND for a service never set. */
ProtobufCService *lt_health_service(struct lt_health *h);

#endif
