#include "tools/ctl.h"

#include <string.h>

static json_t *
node_json(const Ltpb__NodeStatus *n)
{
	json_t *o = json_object();

	json_object_set_new(o, "principal", ctl_json_hex(n->principal.data, n->principal.len));
	json_object_set_new(o, "role", json_string(ctl_role_name(n->role)));
	json_object_set_new(o, "unit", ctl_json_text(n->unit));
	json_object_set_new(o, "unit_name", ctl_json_text(n->unit_name));
	json_object_set_new(o, "org", ctl_json_text(n->org));
	json_object_set_new(o, "label", ctl_json_text(n->label));
	json_object_set_new(o, "state", json_string(ctl_state_name(n->state)));
	json_object_set_new(o, "connected", json_boolean(n->connected));
	json_object_set_new(o, "last_seen_ms", json_integer(n->last_seen_ms));
	json_object_set_new(o, "announced", json_integer((json_int_t)n->announced));
	json_object_set_new(o, "held", json_integer((json_int_t)n->held));
	json_object_set_new(o, "fresh_age_ms", json_integer(n->fresh_age_ms));
	json_object_set_new(o, "clock_offset_ms", json_integer(n->clock_offset_ms));
	json_object_set_new(o, "forks", json_integer((json_int_t)n->forks));
	json_object_set_new(o, "twins", json_integer((json_int_t)n->twins));
	json_object_set_new(o, "foreign", json_boolean(n->foreign));
	return o;
}

enum ctl_exit
cmd_nodes(struct ctl *c, int argc, char **argv)
{
	Ltpb__ListNodesRequest req = LTPB__LIST_NODES_REQUEST__INIT;
	const Ltpb__ListNodesReply *r;
	bool all = false;
	const struct ctl_option options[] = { { "all", CTL_FLAG, &all } };
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	req.all_roles = all;
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "ListNodes", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListNodesReply *)m;
	for (i = 0; c->json && i < r->n_node; i++)
		ctl_print_json(node_json(r->node[i]));
	if (!c->json)
		ctl_print_nodes(c, r->n_node, r->node);
	ctl_reply_free(m);
	return CTL_DONE;
}
