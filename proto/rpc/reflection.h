/* proto/rpc/reflection.h - lienthong.v1.Reflection: what this server serves, as far as the asker may call it. */
#ifndef LT_RPC_REFLECTION_H
#define LT_RPC_REFLECTION_H

#include "proto/rpc/rpc.h"

/* For lt_server_add(). It has no state of its own: it looks at the services and the table of the server that it is
 * called on, and asks that server's `authorize` about each method. */
ProtobufCService *lt_reflection_service(void);

#endif
