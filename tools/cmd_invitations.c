/* enrol invitations, enrol cancel: what was sent out and not used yet. */
#include "tools/ctl.h"

#include <string.h>

#define ID_DIGITS_MIN 8

static const char *
state_word(Ltpb__InvitationState s)
{
	switch (s) {
	case LTPB__INVITATION_STATE__INVITATION_STATE_OPEN:
		return T("open", "còn hiệu lực");
	case LTPB__INVITATION_STATE__INVITATION_STATE_USED:
		return T("used", "đã dùng");
	case LTPB__INVITATION_STATE__INVITATION_STATE_EXPIRED:
		return T("expired", "hết hạn");
	case LTPB__INVITATION_STATE__INVITATION_STATE_CANCELLED:
		return T("cancelled", "đã hủy");
	default:
		return "?";
	}
}

/* The same in every language, for programs. */
static const char *
state_name(Ltpb__InvitationState s)
{
	static const char *const name[] = { "unknown", "open", "used", "expired", "cancelled" };

	return (unsigned)s < sizeof(name) / sizeof(name[0]) ? name[s] : name[0];
}

static json_t *
invitation_json(const Ltpb__OpenInvitation *i)
{
	json_t *o = json_object();

	json_object_set_new(o, "id", ctl_json_hex(i->id.data, i->id.len));
	json_object_set_new(o, "state", json_string(state_name(i->state)));
	json_object_set_new(o, "role", json_string(ctl_role_name(i->role)));
	json_object_set_new(o, "unit", ctl_json_text(i->unit));
	json_object_set_new(o, "unit_name", ctl_json_text(i->unit_name));
	json_object_set_new(o, "org", ctl_json_text(i->org));
	json_object_set_new(o, "label", ctl_json_text(i->label));
	json_object_set_new(o, "expires_s", json_integer(i->expires_s));
	json_object_set_new(o, "auto_approve", json_boolean(i->auto_approve));
	json_object_set_new(o, "principal", ctl_json_hex(i->principal.data, i->principal.len));
	return o;
}

static void
print_all(struct ctl *c, const Ltpb__ListInvitationsReply *r)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 6);
	ctl_cell(&t, "%s", T("state", "trạng thái"));
	ctl_cell(&t, "%s", T("for", "dành cho"));
	ctl_cell(&t, "%s", T("label", "tên máy"));
	ctl_cell(&t, "%s", T("until", "đến"));
	ctl_cell(&t, "%s", T("let in", "chấp nhận"));
	ctl_cell(&t, "%s", T("id", "mã"));
	for (i = 0; i < r->n_invitation; i++) {
		const Ltpb__OpenInvitation *v = r->invitation[i];

		ctl_cell(&t, "%s", state_word(v->state));
		ctl_cell(&t, "%s %s%s%s%s%s", ctl_role(v->role),
		    v->unit_name[0] != '\0' ? v->unit_name : v->unit,
		    v->unit_name[0] != '\0' ? " (" : "", v->unit_name[0] != '\0' ? v->unit : "",
		    v->unit_name[0] != '\0' ? ")" : "", v->org);
		ctl_cell_short(&t, v->label);
		ctl_cell(&t, "%s", ctl_time(&c->arena, v->expires_s * 1000));
		ctl_cell(
		    &t, "%s", v->auto_approve ? T("at once", "tự động") : T("by hand", "bằng tay"));
		ctl_cell(&t, "%.16s", ctl_hex(&c->arena, v->id.data, v->id.len));
	}
	ctl_table_print(&t);
}

static enum ctl_exit
fetch(struct ctl *c, bool all, ProtobufCMessage **m)
{
	Ltpb__ListInvitationsRequest req = LTPB__LIST_INVITATIONS_REQUEST__INIT;
	enum ctl_exit code = ctl_connect(c);

	req.all = all;
	return code == CTL_DONE
		   ? ctl_call(c, &ltpb__admin__descriptor, "ListInvitations", &req.base, m)
		   : code;
}

enum ctl_exit
cmd_enrol_invitations(struct ctl *c, int argc, char **argv)
{
	const Ltpb__ListInvitationsReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	bool all = false;
	const struct ctl_option options[] = { { "all", CTL_FLAG, &all } };
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = fetch(c, all, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListInvitationsReply *)m;
	for (i = 0; c->json && i < r->n_invitation; i++)
		ctl_print_json(invitation_json(r->invitation[i]));
	if (!c->json)
		print_all(c, r);
	ctl_reply_free(m);
	return CTL_DONE;
}

/* ---- cancel ---- */

static enum ctl_exit
find_named(struct ctl *c, const Ltpb__ListInvitationsReply *r, const char *digits,
    const Ltpb__OpenInvitation **found)
{
	size_t i;

	*found = NULL;
	for (i = 0; i < r->n_invitation; i++) {
		const Ltpb__OpenInvitation *v = r->invitation[i];

		if (strncmp(ctl_hex(&c->arena, v->id.data, v->id.len), digits, strlen(digits)) != 0)
			continue;
		if (*found != NULL)
			return ctl_fail(CTL_USAGE,
			    T("several invitations begin with '%s': give more digits",
				"nhiều thư mời bắt đầu bằng '%s': hãy gõ thêm chữ số"),
			    digits);
		*found = v;
	}
	return *found != NULL ? CTL_DONE
			      : ctl_fail(CTL_NO,
				    T("no invitation '%s', see 'ltctl enrol invitations'",
					"không có thư mời '%s', xem 'ltctl enrol invitations'"),
				    digits);
}

enum ctl_exit
cmd_enrol_cancel(struct ctl *c, int argc, char **argv)
{
	Ltpb__CancelInvitationRequest req = LTPB__CANCEL_INVITATION_REQUEST__INIT;
	const Ltpb__OpenInvitation *found = NULL, *now;
	ProtobufCMessage *list = NULL, *m = NULL;
	struct ctl_list args;
	const char *which;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 1, 1);

	if (code != CTL_DONE)
		return code;
	which = args.item[0];
	if (strlen(which) < ID_DIGITS_MIN || strspn(which, "0123456789abcdef") != strlen(which))
		return ctl_fail(CTL_USAGE,
		    T("'%s' is no invitation's id: %d hexadecimal digits or more, see 'ltctl enrol "
		      "invitations'",
			"'%s' không phải mã thư mời: %d chữ số thập lục phân trở lên, xem 'ltctl "
			"enrol invitations'"),
		    which, ID_DIGITS_MIN);
	code = fetch(c, true, &list);
	if (code == CTL_DONE)
		code = find_named(c, (const Ltpb__ListInvitationsReply *)list, which, &found);
	if (code == CTL_DONE && found != NULL) {
		req.id = found->id;
		code = ctl_call(c, &ltpb__admin__descriptor, "CancelInvitation", &req.base, &m);
	}
	now = m != NULL ? ((const Ltpb__CancelInvitationReply *)m)->invitation : NULL;
	if (code == CTL_DONE && now != NULL && c->json)
		ctl_print_json(invitation_json(now));
	else if (code == CTL_DONE && now != NULL)
		printf("%.16s %s\n", ctl_hex(&c->arena, now->id.data, now->id.len),
		    state_word(now->state));
	ctl_reply_free(m);
	ctl_reply_free(list);
	return code;
}
