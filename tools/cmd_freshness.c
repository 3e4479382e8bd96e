/* How old the hub's knowledge of each unit is, by lane. */
#include "tools/ctl.h"

static json_t *
unit_json(const Ltpb__UnitFreshness *u)
{
	json_t *o = json_object();

	json_object_set_new(o, "unit", ctl_json_text(u->unit));
	json_object_set_new(o, "name", ctl_json_text(u->name));
	json_object_set_new(o, "known", json_boolean(u->known));
	json_object_set_new(o, "connected", json_boolean(u->connected));
	json_object_set_new(o, "urgent_age_ms", json_integer(u->known ? u->urgent_age_ms : -1));
	json_object_set_new(o, "normal_age_ms", json_integer(u->known ? u->normal_age_ms : -1));
	json_object_set_new(o, "bulk_age_ms", json_integer(u->known ? u->bulk_age_ms : -1));
	json_object_set_new(o, "behind", json_integer((json_int_t)u->behind));
	return o;
}

static void
print_units(struct ctl *c, const Ltpb__FreshnessReply *r)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 7);
	ctl_cell(&t, "%s", T("unit", "đơn vị"));
	ctl_cell(&t, "%s", T("name", "tên"));
	ctl_cell(&t, "%s", T("connected", "đang nối"));
	ctl_cell(&t, "%s", ctl_lane(LT_LANE_URGENT));
	ctl_cell(&t, "%s", ctl_lane(LT_LANE_NORMAL));
	ctl_cell(&t, "%s", ctl_lane(LT_LANE_BULK));
	ctl_cell(&t, "%s", T("behind", "còn thiếu"));
	for (i = 0; i < r->n_unit; i++) {
		const Ltpb__UnitFreshness *u = r->unit[i];

		ctl_cell(&t, "%s", u->unit);
		ctl_cell_short(&t, u->name);
		ctl_cell(&t, "%s", u->connected ? T("yes", "có") : T("no", "không"));
		ctl_cell(&t, "%s", ctl_age(&c->arena, u->known ? u->urgent_age_ms : -1));
		ctl_cell(&t, "%s", ctl_age(&c->arena, u->known ? u->normal_age_ms : -1));
		ctl_cell(&t, "%s", ctl_age(&c->arena, u->known ? u->bulk_age_ms : -1));
		ctl_cell(&t, "%llu", (unsigned long long)u->behind);
	}
	ctl_table_print(&t);
	ctl_print_freshness(c, r->summary);
}

enum ctl_exit
cmd_freshness(struct ctl *c, int argc, char **argv)
{
	Ltpb__FreshnessRequest req = LTPB__FRESHNESS_REQUEST__INIT;
	const Ltpb__FreshnessReply *r;
	struct ctl_list args, units = { 0 };
	const struct ctl_option options[] = { { "unit", CTL_LIST, &units } };
	ProtobufCMessage *m = NULL;
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	req.unit = (char **)units.item;
	req.n_unit = units.n;
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__query__descriptor, "Freshness", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__FreshnessReply *)m;
	for (i = 0; c->json && i < r->n_unit; i++)
		ctl_print_json(unit_json(r->unit[i]));
	if (c->json)
		ctl_print_json(json_pack("{s:o}", "freshness", ctl_json_freshness(r->summary)));
	else
		print_units(c, r);
	ctl_reply_free(m);
	return CTL_DONE;
}
