#include "proto/rpc/methods.h"

#include "grpc/health/v1/health.pb-c.h"
#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/reflection.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

#define S 1000u
#define MIN (60 * S)

/* name, server streaming, idempotent, default deadline, longest deadline, verb, class of work */
const struct lt_method lt_methods[] = {
	{ "/grpc.health.v1.Health/Check", false, true, 5 * S, MIN, LT_VERB_NONE, LT_WORK_QUICK },
	{ "/lienthong.v1.Enrol/Join", false, true, 30 * S, 5 * MIN, LT_VERB_JOIN, LT_WORK_QUICK },
	{ "/lienthong.v1.Sync/Hello", false, true, 30 * S, 5 * MIN, LT_VERB_SYNC, LT_WORK_QUICK },
	{ "/lienthong.v1.Sync/Push", false, true, MIN, 10 * MIN, LT_VERB_SYNC, LT_WORK_INTAKE },
	{ "/lienthong.v1.Sync/Pull", true, true, 0, 0, LT_VERB_SYNC, LT_WORK_QUICK },
	{ "/lienthong.v1.Sync/Announce", false, true, 30 * S, 5 * MIN, LT_VERB_SYNC,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Records/Put", false, true, 30 * S, 5 * MIN, LT_VERB_WRITE, LT_WORK_QUICK },
	{ "/lienthong.v1.Records/Delete", false, true, 30 * S, 5 * MIN, LT_VERB_WRITE,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Records/Import", false, true, MIN, 10 * MIN, LT_VERB_WRITE,
	    LT_WORK_INTAKE },
	{ "/lienthong.v1.Query/Get", false, true, 10 * S, MIN, LT_VERB_READ, LT_WORK_QUICK },
	{ "/lienthong.v1.Query/List", false, true, 30 * S, 5 * MIN, LT_VERB_READ, LT_WORK_QUICK },
	{ "/lienthong.v1.Query/Aggregate", false, true, 30 * S, 5 * MIN, LT_VERB_READ,
	    LT_WORK_LONG },
	{ "/lienthong.v1.Query/History", false, true, 30 * S, 5 * MIN, LT_VERB_READ, LT_WORK_LONG },
	{ "/lienthong.v1.Query/Freshness", false, true, 10 * S, MIN, LT_VERB_READ, LT_WORK_QUICK },
	{ "/lienthong.v1.Query/Prove", false, true, 30 * S, 5 * MIN, LT_VERB_READ, LT_WORK_LONG },
	{ "/lienthong.v1.Admin/Status", false, true, 10 * S, MIN, LT_VERB_INSPECT, LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/ListNodes", false, true, 10 * S, MIN, LT_VERB_INSPECT,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/ListFeeds", false, true, 30 * S, 5 * MIN, LT_VERB_INSPECT,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/ReadLog", false, true, 30 * S, 5 * MIN, LT_VERB_INSPECT,
	    LT_WORK_LONG },
	{ "/lienthong.v1.Admin/ListReceipts", false, true, 30 * S, 5 * MIN, LT_VERB_INSPECT,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/Invite", false, false, 30 * S, 5 * MIN, LT_VERB_ENROL,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/ListEnrolments", false, true, 30 * S, 5 * MIN, LT_VERB_ENROL,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/Approve", false, true, MIN, 5 * MIN, LT_VERB_ENROL, LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/Reject", false, true, 30 * S, 5 * MIN, LT_VERB_ENROL,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/AcknowledgeAlarm", false, true, 30 * S, 5 * MIN, LT_VERB_ENROL,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/Scrub", false, true, 10 * S, MIN, LT_VERB_INSPECT, LT_WORK_QUICK },
	{ "/lienthong.v1.Admin/Rebuild", false, true, 10 * S, MIN, LT_VERB_INSPECT, LT_WORK_QUICK },
	{ "/lienthong.v1.Reflection/ListServices", false, true, 10 * S, MIN, LT_VERB_NONE,
	    LT_WORK_QUICK },
	{ "/lienthong.v1.Reflection/Describe", false, true, 10 * S, MIN, LT_VERB_NONE,
	    LT_WORK_QUICK },
};
const size_t lt_nmethods = sizeof(lt_methods) / sizeof(lt_methods[0]);

const ProtobufCServiceDescriptor *const lt_services[] = { &healthpb__health__descriptor,
	&ltpb__enrol__descriptor, &ltpb__sync__descriptor, &ltpb__records__descriptor,
	&ltpb__query__descriptor, &ltpb__admin__descriptor, &ltpb__reflection__descriptor };
const size_t lt_nservices = sizeof(lt_services) / sizeof(lt_services[0]);
