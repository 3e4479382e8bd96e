/* proto/rpc/methods.h - every method of every service, with what protoc-c drops: streaming, idempotence, deadlines,
 * and the verb (proto/store/access.h) a caller needs. The one table that servers, tools and the access tests read. */
#ifndef LT_RPC_METHODS_H
#define LT_RPC_METHODS_H

#include "proto/rpc/rpc.h"
#include "proto/store/access.h"

extern const struct lt_method lt_methods[];
extern const size_t lt_nmethods;
/* The services whose methods these are. */
extern const ProtobufCServiceDescriptor *const lt_services[];
extern const size_t lt_nservices;

#endif
