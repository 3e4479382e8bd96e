#include "hub/quota.h"

#include <string.h>

static struct lt_rate_limit
rate_of(int64_t per_s, int64_t burst_s)
{
	struct lt_rate_limit l;

	l.per_s = (uint32_t)per_s;
	l.burst = (uint32_t)(per_s * burst_s);
	return l;
}

static struct lt_rate_limit
rate(int64_t per_s)
{
	return rate_of(per_s, LT_QUOTA_BURST_S);
}

void
lt_quotas_read(const struct lt_conf *c, struct lt_quotas *out)
{
	memset(out, 0, sizeof(*out));
	out->node.calls_max = out->client.calls_max =
	    (unsigned)lt_conf_int(c, "quota", "calls_at_once");
	out->node.streams_max = out->client.streams_max =
	    (unsigned)lt_conf_int(c, "quota", "streams_at_once");
	out->node.conns_max = out->client.conns_max =
	    (unsigned)lt_conf_int(c, "quota", "connections");
	out->guest = (struct lt_quota){
		.conns_max = 2, .guest = true, .calls_max = 4, .streams_max = 1, .calls = { 2, 20 }
	};
	out->node.calls = rate(lt_conf_int(c, "quota", "node_calls"));
	out->node.bytes = rate(lt_conf_int(c, "quota", "node_bytes"));
	out->node.changes =
	    rate_of(lt_conf_int(c, "quota", "node_changes"), LT_QUOTA_CHANGES_BURST_S);
	out->node.vain = rate(lt_conf_int(c, "quota", "node_vain"));
	out->client.calls = rate(lt_conf_int(c, "quota", "client_calls"));
	out->client.bytes = rate(lt_conf_int(c, "quota", "client_bytes"));
	out->client.rows = rate(lt_conf_int(c, "quota", "client_rows"));
}

const struct lt_quota *
lt_quota_of(const struct lt_quotas *q, Ltpb__Role role)
{
	if (role == LTPB__ROLE__ROLE_UNSPECIFIED)
		return &q->guest;
	return role == LTPB__ROLE__ROLE_NODE || role == LTPB__ROLE__ROLE_MIRROR ? &q->node
										: &q->client;
}
