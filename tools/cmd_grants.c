/* grants list, give, take: what those who are in may, after their enrolment. */
#include "tools/ctl_grant.h"

#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 64 /* the hub takes so many at once */

/* ---- list ---- */

static json_t *
record_json(const Ltpb__GrantRecord *g)
{
	json_t *o = json_object();

	json_object_set_new(o, "principal", ctl_json_hex(g->principal.data, g->principal.len));
	json_object_set_new(o, "number", json_integer(g->number));
	json_object_set_new(o, "role", json_string(ctl_role_name(g->role)));
	json_object_set_new(o, "org", ctl_json_text(g->org));
	json_object_set_new(o, "label", ctl_json_text(g->label));
	json_object_set_new(o, "state", json_string(ctl_state_name(g->state)));
	json_object_set_new(o, "grant", ctl_grant_json(g->grant));
	return o;
}

static void
print_records(struct ctl *c, const Ltpb__ListGrantsReply *r)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 6);
	ctl_cell(&t, "%s", T("principal", "mã"));
	ctl_cell(&t, "%s", T("number", "số"));
	ctl_cell(&t, "%s", T("who", "ai"));
	ctl_cell(&t, "%s", T("label", "tên máy"));
	ctl_cell(&t, "%s", T("state", "trạng thái"));
	ctl_cell(&t, "%s", T("may", "được phép"));
	for (i = 0; i < r->n_grant; i++) {
		const Ltpb__GrantRecord *g = r->grant[i];

		ctl_cell(&t, "%s", ctl_hex(&c->arena, g->principal.data, g->principal.len));
		if (g->number != 0)
			ctl_cell(&t, "%u", g->number);
		else
			ctl_cell(&t, "-");
		ctl_cell(&t, "%s%s%s", ctl_role(g->role), g->org[0] != '\0' ? " " : "", g->org);
		ctl_cell_short(&t, g->label);
		ctl_cell(&t, "%s", ctl_state(g->state));
		if (g->grant != NULL)
			ctl_grant_cell(&t, g->grant);
		else
			ctl_cell(&t, "%s", T("nothing", "không gì cả"));
	}
	ctl_table_print(&t);
}

enum ctl_exit
cmd_grants_list(struct ctl *c, int argc, char **argv)
{
	Ltpb__ListGrantsRequest req = LTPB__LIST_GRANTS_REQUEST__INIT;
	const Ltpb__ListGrantsReply *r;
	ProtobufCMessage *m = NULL;
	uint8_t id[LT_ID_LEN];
	struct ctl_list args;
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 0, 1);

	if (code == CTL_DONE && args.n == 1) {
		code = ctl_principal(args.item[0], id);
		req.principal.data = id;
		req.principal.len = LT_ID_LEN;
	}
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "ListGrants", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListGrantsReply *)m;
	for (i = 0; c->json && i < r->n_grant; i++)
		ctl_print_json(record_json(r->grant[i]));
	if (!c->json)
		print_records(c, r);
	ctl_reply_free(m);
	return CTL_DONE;
}

/* ---- give ---- */

/* Nothing named could be a slip, and it would be the widest grant there is. */
static enum ctl_exit
fill_give(struct ctl *c, const struct ctl_grant_lists *lists, bool all, Ltpb__Grant *g,
    Ltpb__GiveGrantRequest *req)
{
	if (all == ctl_grant_asked(lists))
		return ctl_fail(CTL_USAGE, "%s",
		    T("say what to give: --verbs, --units, --collections, --fields; or --all, and "
		      "nothing else, for all that the role may",
			"hãy nói cấp gì: --verbs, --units, --collections, --fields; hoặc chỉ "
			"--all, "
			"tức là mọi quyền của vai trò đó"));
	if (all)
		return CTL_DONE;
	req->grant = g;
	return ctl_grant_words(c, lists, g);
}

static void
print_given(struct ctl *c, const char *principal, const Ltpb__GiveGrantReply *r)
{
	json_t *o;

	if (!c->json) {
		printf(T("%s has grant %u\n", "%s có quyền số %u\n"), principal, r->number);
		return;
	}
	o = json_object();
	json_object_set_new(o, "principal", json_string(principal));
	json_object_set_new(o, "number", json_integer(r->number));
	json_object_set_new(o, "grant", ctl_grant_json(r->grant));
	ctl_print_json(o);
}

enum ctl_exit
cmd_grants_give(struct ctl *c, int argc, char **argv)
{
	Ltpb__GiveGrantRequest req = LTPB__GIVE_GRANT_REQUEST__INIT;
	Ltpb__Grant grant = LTPB__GRANT__INIT;
	struct ctl_grant_lists lists;
	ProtobufCMessage *m = NULL;
	uint8_t id[LT_ID_LEN];
	struct ctl_list args;
	bool all = false;
	const struct ctl_option options[] = { { "all", CTL_FLAG, &all },
		{ "verbs", CTL_LIST, &lists.verbs }, { "units", CTL_LIST, &lists.units },
		{ "collections", CTL_LIST, &lists.collections },
		{ "fields", CTL_LIST, &lists.fields } };
	enum ctl_exit code;

	memset(&lists, 0, sizeof(lists));
	code =
	    ctl_options(c, argc, argv, options, sizeof(options) / sizeof(options[0]), &args, 1, 1);
	if (code == CTL_DONE)
		code = ctl_principal(args.item[0], id);
	if (code == CTL_DONE)
		code = fill_give(c, &lists, all, &grant, &req);
	if (code == CTL_DONE)
		code = ctl_connect(c);
	req.principal.data = id;
	req.principal.len = LT_ID_LEN;
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "GiveGrant", &req.base, &m);
	if (code == CTL_DONE)
		print_given(c, args.item[0], (const Ltpb__GiveGrantReply *)m);
	ctl_reply_free(m);
	return code;
}

/* ---- take ---- */

static enum ctl_exit
take_numbers(const struct ctl_list *args, uint32_t *number, size_t *n)
{
	unsigned long v;
	char *end;
	size_t i;

	*n = 0;
	if (args->n == 2 && strcmp(args->item[1], "all") == 0)
		return CTL_DONE;
	for (i = 1; i < args->n; i++) {
		v = args->item[i][0] >= '1' && args->item[i][0] <= '9'
			? strtoul(args->item[i], &end, 10)
			: 0;
		if (v == 0 || v > UINT32_MAX || *end != '\0')
			return ctl_fail(CTL_USAGE,
			    T("'%s' is no number of a grant, nor 'all'; see 'ltctl grants list'",
				"'%s' không phải số của quyền, cũng không phải 'all'; xem 'ltctl "
				"grants list'"),
			    args->item[i]);
		number[(*n)++] = (uint32_t)v;
	}
	return CTL_DONE;
}

/* Exit 1 when there was nothing to take: whoever scripts this wants to know. */
enum ctl_exit
cmd_grants_take(struct ctl *c, int argc, char **argv)
{
	Ltpb__TakeGrantRequest req = LTPB__TAKE_GRANT_REQUEST__INIT;
	uint32_t number[NUMBERS_MAX];
	const Ltpb__TakeGrantReply *r;
	ProtobufCMessage *m = NULL;
	uint8_t id[LT_ID_LEN];
	struct ctl_list args;
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 2, NUMBERS_MAX + 1);

	if (code == CTL_DONE)
		code = ctl_principal(args.item[0], id);
	if (code == CTL_DONE)
		code = take_numbers(&args, number, &req.n_number);
	if (code == CTL_DONE)
		code = ctl_connect(c);
	req.number = number;
	req.principal.data = id;
	req.principal.len = LT_ID_LEN;
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "TakeGrant", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__TakeGrantReply *)m;
	for (i = 0; i < r->n_number; i++)
		printf(T("%s has grant %u no more\n", "%s không còn quyền số %u\n"), args.item[0],
		    r->number[i]);
	if (r->n_number == 0)
		code = ctl_fail(
		    CTL_NO, "%s", T("there was nothing to take", "không có quyền nào để thu hồi"));
	ctl_reply_free(m);
	return code;
}
