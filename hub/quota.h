/* hub/quota.h - what each kind of principal may have of the hub: section [quota] of the configuration. */
#ifndef LT_HUB_QUOTA_H
#define LT_HUB_QUOTA_H

#include "proto/base/config.h"
#include "proto/rpc/rpc.h"

#include "lienthong/v1/trust.pb-c.h"

/* Rows of the daemon's table of keys. Rates are for a second; the reserve is what LT_QUOTA_BURST_S seconds bring. */
#define LT_QUOTA_BURST_S 10
/* Of changes: what is taken at once of one keeps the others waiting. */
#define LT_QUOTA_CHANGES_BURST_S 2
#define LT_QUOTA_KEYS \
	{ "quota", "calls_at_once", LT_CONF_INT, "128", 1, 1024, NULL }, \
	    { "quota", "streams_at_once", LT_CONF_INT, "16", 1, 1024, NULL }, \
	    { "quota", "connections", LT_CONF_INT, "32", 1, 4096, NULL }, \
	    { "quota", "node_calls", LT_CONF_INT, "500", 1, 1000000, NULL }, \
	    { "quota", "node_bytes", LT_CONF_BYTES, "32M", 65536, INT64_C(256) << 20, NULL }, \
	    { "quota", "node_changes", LT_CONF_INT, "4000", 1, 1000000, NULL }, \
	    { "quota", "node_vain", LT_CONF_INT, "128", 1, 1000000, NULL }, \
	    { "quota", "client_calls", LT_CONF_INT, "5000", 1, 1000000, NULL }, \
	    { "quota", "client_bytes", LT_CONF_BYTES, "64M", 65536, INT64_C(256) << 20, NULL }, \
	{ \
		"quota", "client_rows", LT_CONF_INT, "100000", 1, 10000000, NULL \
	}

struct lt_quotas {
	struct lt_quota node; /* nodes and mirrors */
	struct lt_quota client; /* departments and operators */
	struct lt_quota guest; /* whoever is nobody yet: asks to join, and waits */
};

void lt_quotas_read(const struct lt_conf *c, struct lt_quotas *out);
const struct lt_quota *lt_quota_of(const struct lt_quotas *q, Ltpb__Role role);

#endif
