/* proto/rpc/describe.h - descriptors as messages, and back: what Reflection answers, and what a tool makes of the answer.
 *
 * Pure; any thread. */
#ifndef LT_RPC_DESCRIBE_H
#define LT_RPC_DESCRIBE_H

#include "proto/base/arena.h"
#include "proto/rpc/rpc.h"

#include "lienthong/v1/reflection.pb-c.h"

/* What there is to describe. */
struct lt_described {
	const ProtobufCServiceDescriptor *const *services;
	size_t nservices;
	const struct lt_method *methods; /* a row for each method of the services */
	size_t nmethods;
	/* Is the method in sight? NULL: every one. Types are when a method in sight reaches them. */
	bool (*allowed)(void *ctx, const struct lt_method *m);
	void *ctx;
};

/* Services with the methods in sight. Names are borrowed from the descriptors, the rest lives in the arena. LT_E_NOMEM. */
int lt_describe_services(
    const struct lt_described *w, struct lt_arena *arena, Ltpb__ListServicesReply *out);
/* What name stands for: "lienthong.v1.Query", "/lienthong.v1.Query/Get" (with '.' for the last '/', too), a message, an enumeration. As above;
 * LT_E_NOTFOUND: not there, or not in sight. */
int lt_describe(const struct lt_described *w, const char *name, struct lt_arena *arena,
    Ltpb__DescribeReply *out);

/* Descriptors that protobuf-c and proto/rpc/json.h work with, made at run time. */
struct lt_schema {
	const ProtobufCServiceDescriptor *service; /* NULL: none was described */
	struct lt_method *methods; /* of the service, in its order */
	const ProtobufCMessageDescriptor *const *messages;
	size_t nmessages;
};

/* Make descriptors of an answer from outside; they live in the arena, and borrow the names from r. LT_E_INVALID: it does not hold together
 * (a name, number or type that cannot be, a type that is not described); err says what. LT_E_NOMEM. */
int lt_schema_build(const Ltpb__DescribeReply *r, struct lt_arena *arena, struct lt_schema *out,
    struct lt_err *err);

#endif
