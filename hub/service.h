/* hub/service.h - the hub's RPC services over its parts. Handlers run on the pool.
 *
 * Every call passes lt_access_method() before dispatch and the record rules inside; who asks is looked up in the
 * registry anew for each call, so that a change of the registry takes effect at once, on live sessions too. */
#ifndef LT_HUB_SERVICE_H
#define LT_HUB_SERVICE_H

#include "hub/audit.h"
#include "hub/enrol.h"
#include "hub/fresh.h"
#include "hub/hub.h"
#include "hub/pull.h"
#include "hub/quota.h"
#include "hub/repair.h"
#include "hub/twins.h"
#include "proto/rpc/methods.h"
#include "proto/store/scrubber.h"

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/audit.pb-c.h"
#include "lienthong/v1/keys.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

struct lt_service {
	struct lt_hub *hub;
	struct lt_enrol *enrol;
	struct lt_fresh *fresh;
	struct lt_pulls *pulls;
	struct lt_scrubber *scrubber; /* NULL: none */
	struct lt_hub_repair *repair; /* NULL: what is damaged is asked of nobody */
	struct lt_audit *audit; /* NULL: none */
	struct lt_twins *twins; /* NULL: two live machines with one key are not told apart */
	struct lt_server *server; /* for counts and cutting; set by lt_service_add() */
	struct lt_quotas quotas; /* all zeros: nobody has a bound of its own */
	uint64_t
	    cut_generation; /* of the registry whose former principals were cut off; lt_service_news() only */
	const char *const *addresses; /* told to those who are invited */
	size_t naddress;
	/* Filled by lt_service_add(); a handler finds its lt_service around the service it is given. */
	Ltpb__Enrol_Service enrol_rpc;
	Ltpb__Sync_Service sync_rpc;
	Ltpb__Records_Service records_rpc;
	Ltpb__Query_Service query_rpc;
	Ltpb__Admin_Service admin_rpc;
	Ltpb__Keys_Service keys_rpc;
	Ltpb__Audit_Service audit_rpc;
};

/* Make s->twins, which looks at the connections of s->server; lt_twins_close() once that has stopped. */
int lt_service_twins(struct lt_service *s, const struct lt_clock *clock);

/* Server callbacks; ctx is the struct lt_service. */
int lt_service_admit(void *ctx, const struct lt_peer *peer);
void lt_service_authorize(void *ctx, const struct lt_peer *peer, const struct lt_method *method,
    struct lt_status *status);
void lt_service_closed(void *ctx, const struct lt_peer *peer);
/* Notes in the audit what was read, and what was denied. */
void lt_service_ended(void *ctx, const struct lt_peer *peer, const struct lt_method *method,
    const ProtobufCMessage *request, const ProtobufCMessage *reply, const struct lt_status *status);
void lt_service_quota(void *ctx, const struct lt_peer *peer, struct lt_quota *out);
/* For lt_hub_on_news(), once the server listens: wakes the streams that wait, and when the registry has changed cuts the
 * connections of those who are not active any more, with every stream on them. */
void lt_service_news(void *ctx);
/* Add Enrol, Sync, Records, Query, Admin, Keys and Audit. s outlives the server. */
int lt_service_add(struct lt_service *s, struct lt_server *server, struct lt_err *err);

#endif
