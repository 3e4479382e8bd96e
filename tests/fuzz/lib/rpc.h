/* tests/fuzz/lib/rpc.h - the services of the schema. */
#ifndef LT_TESTS_FUZZ_LIB_RPC_H
#define LT_TESTS_FUZZ_LIB_RPC_H

#include "tests/fuzz/lib/fuzz.h"

#include <protobuf-c/protobuf-c.h>

const ProtobufCServiceDescriptor *const *fuzz_services(size_t *n);

#endif
