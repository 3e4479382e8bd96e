/* enrol invite, list, approve, reject: who belongs to the federation is decided at the hub. */
#include "proto/base/file.h"
#include "tools/ctl.h"

#include <string.h>

/* ---- invite ---- */

struct inviting {
	const char *unit, *org, *label, *out;
	bool op, approve;
	uint64_t expires;
	struct ctl_list address;
};

static enum ctl_exit
fill_invite(const struct inviting *i, Ltpb__InviteRequest *req)
{
	if ((i->unit != NULL) + (i->org != NULL) + i->op != 1)
		return ctl_fail(CTL_USAGE, "%s",
		    T("say whom: one of --unit, --org, --operator",
			"hãy nói mời ai: một trong --unit, --org, --operator"));
	req->role = i->unit != NULL  ? LTPB__ROLE__ROLE_NODE
		    : i->org != NULL ? LTPB__ROLE__ROLE_DEPARTMENT
				     : LTPB__ROLE__ROLE_OPERATOR;
	req->unit = (char *)(i->unit != NULL ? i->unit : "");
	req->org = (char *)(i->org != NULL ? i->org : "");
	req->label = (char *)(i->label != NULL ? i->label : "");
	req->auto_approve = i->approve;
	req->expires_in_s = i->expires;
	req->n_address = i->address.n;
	req->address = (char **)i->address.item;
	return CTL_DONE;
}

/* The line is a secret until it is used: a file of it is for its owner only. */
static enum ctl_exit
give_line(const struct inviting *i, const Ltpb__InviteReply *r)
{
	struct lt_err err = { "" };
	struct lt_buf b;
	int rc;

	if (i->out == NULL) {
		printf("%s\n", r->line);
		return CTL_DONE;
	}
	lt_buf_init(&b, 0);
	lt_buf_str(&b, r->line);
	lt_buf_u8(&b, '\n');
	rc = b.err != LT_OK ? b.err : lt_file_write(i->out, lt_buf_slice(&b), 0600, true, &err);
	lt_buf_fini(&b);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
}

enum ctl_exit
cmd_enrol_invite(struct ctl *c, int argc, char **argv)
{
	struct inviting i = { 0 };
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &i.unit },
		{ "org", CTL_TEXT, &i.org }, { "operator", CTL_FLAG, &i.op },
		{ "auto-approve", CTL_FLAG, &i.approve }, { "expires", CTL_SECONDS, &i.expires },
		{ "label", CTL_TEXT, &i.label }, { "address", CTL_LIST, &i.address },
		{ "out", CTL_TEXT, &i.out } };
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code =
	    ctl_options(c, argc, argv, options, sizeof(options) / sizeof(options[0]), &args, 0, 0);

	if (code == CTL_DONE)
		code = fill_invite(&i, &req);
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "Invite", &req.base, &m);
	if (code == CTL_DONE)
		code = give_line(&i, (const Ltpb__InviteReply *)m);
	if (code == CTL_DONE)
		fprintf(stderr,
		    T("valid until %s; one use; keep it secret until then\n",
			"có hiệu lực đến %s; dùng một lần; giữ kín cho đến khi dùng\n"),
		    ctl_time(&c->arena, ((const Ltpb__InviteReply *)m)->expires_s * 1000));
	ctl_reply_free(m);
	return code;
}

/* ---- list ---- */

static json_t *
enrolment_json(const Ltpb__Enrolment *e)
{
	json_t *o = json_object();

	json_object_set_new(o, "principal", ctl_json_hex(e->principal.data, e->principal.len));
	json_object_set_new(o, "state", json_string(ctl_state_name(e->state)));
	json_object_set_new(o, "role", json_string(ctl_role(e->role)));
	json_object_set_new(o, "unit", ctl_json_text(e->unit));
	json_object_set_new(o, "org", ctl_json_text(e->org));
	json_object_set_new(o, "label", ctl_json_text(e->label));
	json_object_set_new(o, "fingerprint", ctl_json_text(e->fingerprint));
	json_object_set_new(o, "address", ctl_json_text(e->address));
	json_object_set_new(o, "asked_ms", json_integer(e->asked_ms));
	return o;
}

static void
print_enrolments(struct ctl *c, const Ltpb__ListEnrolmentsReply *r)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 7);
	ctl_cell(&t, "%s", T("state", "trạng thái"));
	ctl_cell(&t, "%s", T("who", "ai"));
	ctl_cell(&t, "%s", T("label", "tên máy"));
	ctl_cell(&t, "%s", T("asked", "xin lúc"));
	ctl_cell(&t, "%s", T("from", "từ"));
	ctl_cell(&t, "%s", T("principal", "mã"));
	ctl_cell(
	    &t, "%s", T("fingerprint, read it over the phone", "dấu vân tay, đọc qua điện thoại"));
	for (i = 0; i < r->n_enrolment; i++) {
		const Ltpb__Enrolment *e = r->enrolment[i];

		ctl_cell(&t, "%s", ctl_state(e->state));
		ctl_cell(&t, "%s %s%s", ctl_role(e->role), e->unit, e->org);
		ctl_cell_short(&t, e->label);
		ctl_cell(&t, "%s", ctl_time(&c->arena, e->asked_ms));
		ctl_cell(&t, "%s", e->address);
		ctl_cell(&t, "%s", ctl_hex(&c->arena, e->principal.data, e->principal.len));
		ctl_cell(&t, "%s", e->fingerprint);
	}
	ctl_table_print(&t);
}

static enum ctl_exit
list_enrolments(struct ctl *c, ProtobufCMessage **m)
{
	Ltpb__ListEnrolmentsRequest req = LTPB__LIST_ENROLMENTS_REQUEST__INIT;
	enum ctl_exit code = ctl_connect(c);

	return code == CTL_DONE
		   ? ctl_call(c, &ltpb__admin__descriptor, "ListEnrolments", &req.base, m)
		   : code;
}

enum ctl_exit
cmd_enrol_list(struct ctl *c, int argc, char **argv)
{
	const Ltpb__ListEnrolmentsReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 0, 0);

	if (code == CTL_DONE)
		code = list_enrolments(c, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListEnrolmentsReply *)m;
	for (i = 0; c->json && i < r->n_enrolment; i++)
		ctl_print_json(enrolment_json(r->enrolment[i]));
	if (!c->json)
		print_enrolments(c, r);
	ctl_reply_free(m);
	return CTL_DONE;
}

/* ---- approve and reject ---- */

static enum ctl_exit
approve_one(struct ctl *c, const uint8_t *principal)
{
	Ltpb__ApproveRequest req = LTPB__APPROVE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	enum ctl_exit code;

	req.principal.data = (uint8_t *)principal;
	req.principal.len = LT_ID_LEN;
	code = ctl_call(c, &ltpb__admin__descriptor, "Approve", &req.base, &m);
	if (code == CTL_DONE)
		printf("%s %s\n", ctl_hex(&c->arena, principal, LT_ID_LEN),
		    ctl_state(((const Ltpb__ApproveReply *)m)->state));
	ctl_reply_free(m);
	return code;
}

/* Exit 1 when nobody waits: whoever scripts this wants to know. */
static enum ctl_exit
approve_all(struct ctl *c)
{
	const Ltpb__ListEnrolmentsReply *r;
	ProtobufCMessage *m = NULL;
	size_t i, n = 0;
	enum ctl_exit code = list_enrolments(c, &m), one;

	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListEnrolmentsReply *)m;
	for (i = 0; i < r->n_enrolment; i++) {
		const Ltpb__Enrolment *e = r->enrolment[i];

		if (e->state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING ||
		    e->principal.len != LT_ID_LEN)
			continue;
		n++;
		one = approve_one(c, e->principal.data);
		if (one > code)
			code = one;
	}
	ctl_reply_free(m);
	if (n == 0)
		return ctl_fail(CTL_NO, "%s", T("nobody waits", "không có ai đang chờ"));
	return code;
}

static enum ctl_exit
take_principal(const char *text, uint8_t id[LT_ID_LEN])
{
	if (lt_unhex(id, LT_ID_LEN, text) == LT_OK)
		return CTL_DONE;
	return ctl_fail(CTL_USAGE,
	    T("'%s' is no principal: 32 hexadecimal digits, see 'ltctl enrol list'",
		"'%s' không phải mã: 32 chữ số thập lục phân, xem 'ltctl enrol list'"),
	    text);
}

enum ctl_exit
cmd_enrol_approve(struct ctl *c, int argc, char **argv)
{
	uint8_t id[LT_ID_LEN];
	struct ctl_list args;
	bool all;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 1, 1);

	if (code != CTL_DONE)
		return code;
	all = strcmp(args.item[0], "all") == 0;
	if (!all)
		code = take_principal(args.item[0], id);
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	return all ? approve_all(c) : approve_one(c, id);
}

enum ctl_exit
cmd_enrol_reject(struct ctl *c, int argc, char **argv)
{
	Ltpb__RejectRequest req = LTPB__REJECT_REQUEST__INIT;
	uint8_t id[LT_ID_LEN];
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 1, 1);

	if (code == CTL_DONE)
		code = take_principal(args.item[0], id);
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	req.principal.data = id;
	req.principal.len = LT_ID_LEN;
	code = ctl_call(c, &ltpb__admin__descriptor, "Reject", &req.base, &m);
	if (code == CTL_DONE)
		printf("%s %s\n", args.item[0], ctl_state(((const Ltpb__ApproveReply *)m)->state));
	ctl_reply_free(m);
	return code;
}
