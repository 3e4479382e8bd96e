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
	struct ctl_list verbs, units, collections, fields;
};

/* Every a,b,c of an option that may stand several times. An empty word is a slip (an unset variable, say), and must not
 * become the widest grant. */
static enum ctl_exit
take_words(struct ctl *c, const char *name, const struct ctl_list *list, char ***out, size_t *n)
{
	char **all = NULL, **more, **part;
	size_t i, k, npart;

	*n = 0;
	for (i = 0; i < list->n; i++) {
		part = ctl_split(&c->arena, list->item[i], &npart);
		more = lt_arena_alloc(&c->arena, (*n + (part != NULL ? npart : 0)) * sizeof(*more));
		if (part == NULL || more == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
		for (k = 0; k < npart; k++)
			if (part[k][0] == '\0')
				return ctl_fail(CTL_USAGE,
				    T("'--%s' has an empty word: 'a,b,c' without blanks, or 'all'",
					"'--%s' có từ trống: viết 'a,b,c' không có dấu cách, hoặc "
					"'all'"),
				    name);
		if (*n != 0)
			memcpy(more, all, *n * sizeof(*more));
		memcpy(more + *n, part, npart * sizeof(*more));
		*n += npart;
		all = more;
	}
	*out = all;
	return CTL_DONE;
}

/* What it may, where the command line says so; else the hub gives all that the role may. */
static enum ctl_exit
fill_grant(struct ctl *c, const struct inviting *i, Ltpb__Grant *g, Ltpb__InviteRequest *req)
{
	enum ctl_exit code;

	if (i->verbs.n + i->units.n + i->collections.n + i->fields.n == 0)
		return CTL_DONE;
	if (i->unit != NULL)
		return ctl_fail(CTL_USAGE, "%s",
		    T("--collections, --units, --fields and --verbs narrow departments and "
		      "operators "
		      "only: a node's rights are those of its commune",
			"--collections, --units, --fields, --verbs chỉ thu hẹp quyền của sở, ngành "
			"và "
			"người vận hành: quyền của nút là quyền của xã mình"));
	code = take_words(c, "verbs", &i->verbs, &g->verbs, &g->n_verbs);
	if (code == CTL_DONE)
		code = take_words(c, "units", &i->units, &g->units, &g->n_units);
	if (code == CTL_DONE)
		code = take_words(
		    c, "collections", &i->collections, &g->collections, &g->n_collections);
	if (code == CTL_DONE)
		code = take_words(c, "fields", &i->fields, &g->fields, &g->n_fields);
	req->grant = g;
	return code;
}

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
		{ "out", CTL_TEXT, &i.out }, { "verbs", CTL_LIST, &i.verbs },
		{ "units", CTL_LIST, &i.units }, { "collections", CTL_LIST, &i.collections },
		{ "fields", CTL_LIST, &i.fields } };
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	Ltpb__Grant grant = LTPB__GRANT__INIT;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code =
	    ctl_options(c, argc, argv, options, sizeof(options) / sizeof(options[0]), &args, 0, 0);

	if (code == CTL_DONE)
		code = fill_invite(&i, &req);
	if (code == CTL_DONE)
		code = fill_grant(c, &i, &grant, &req);
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "Invite", &req.base, &m);
	/* A hub of before would have made an invitation for everything: nobody gets that line. */
	if (code == CTL_DONE && req.grant != NULL && ((const Ltpb__InviteReply *)m)->grant == NULL)
		code = ctl_fail(CTL_UNKNOWN, "%s",
		    T("this hub is too old to narrow a grant; the invitation is thrown away, renew "
		      "the hub's program",
			"đầu mối này quá cũ, chưa thu hẹp được quyền; thư mời đã bỏ, hãy cập nhật "
			"chương trình của đầu mối"));
	if (code == CTL_DONE)
		code = give_line(&i, (const Ltpb__InviteReply *)m);
	if (code == CTL_DONE)
		fprintf(stderr,
		    T("invitation for %s %s%s, valid until %s; one use; keep it secret until "
		      "then\n",
			"thư mời cho %s %s%s, có hiệu lực đến %s; dùng một lần; giữ kín cho đến "
			"khi "
			"dùng\n"),
		    ctl_role(req.role), req.unit, req.org,
		    ctl_time(&c->arena, ((const Ltpb__InviteReply *)m)->expires_s * 1000));
	ctl_reply_free(m);
	return code;
}

/* ---- list ---- */

static json_t *
grant_json(const Ltpb__Grant *g)
{
	json_t *o;

	if (g == NULL)
		return json_null();
	o = json_object();
	json_object_set_new(o, "verbs", ctl_json_texts(g->n_verbs, g->verbs));
	json_object_set_new(o, "units", ctl_json_texts(g->n_units, g->units));
	json_object_set_new(o, "collections", ctl_json_texts(g->n_collections, g->collections));
	json_object_set_new(o, "fields", ctl_json_texts(g->n_fields, g->fields));
	return o;
}

static void
say_words(struct lt_buf *b, const char *what, size_t n, char *const *word)
{
	size_t i;

	if (n == 1 && strcmp(word[0], "all") == 0)
		return;
	lt_buf_printf(b, "%s%s ", b->len != 0 ? "; " : "", what);
	for (i = 0; i < n; i++)
		lt_buf_printf(b, "%s%s", i != 0 ? "," : "", word[i]);
}

/* Whoever approves has to see all of what it gives: the cell is not cut. */
static void
grant_cell(struct ctl_table *t, const Ltpb__Grant *g)
{
	struct lt_buf b;
	size_t i;

	lt_buf_init(&b, LT_MESSAGE_MAX);
	for (i = 0; g != NULL && i < g->n_verbs; i++)
		lt_buf_printf(&b, "%s%s", i != 0 ? "," : "", g->verbs[i]);
	if (g != NULL) {
		say_words(&b, T("collections", "loại dữ liệu"), g->n_collections, g->collections);
		say_words(&b, T("units", "đơn vị"), g->n_units, g->units);
		say_words(&b, T("fields", "trường"), g->n_fields, g->fields);
	}
	lt_buf_u8(&b, 0);
	if (b.err != LT_OK)
		t->failed = true;
	else
		ctl_cell(t, "%s", g != NULL ? (const char *)b.data : "-");
	lt_buf_fini(&b);
}

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
	json_object_set_new(o, "grant", grant_json(e->grant));
	json_object_set_new(o, "reason", ctl_json_text(e->reason));
	return o;
}

static void
print_enrolments(struct ctl *c, const Ltpb__ListEnrolmentsReply *r)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 8);
	ctl_cell(&t, "%s", T("state", "trạng thái"));
	ctl_cell(&t, "%s", T("who", "ai"));
	ctl_cell(&t, "%s", T("label", "tên máy"));
	ctl_cell(&t, "%s", T("asked", "xin lúc"));
	ctl_cell(&t, "%s", T("from", "từ"));
	ctl_cell(&t, "%s", T("principal", "mã"));
	ctl_cell(
	    &t, "%s", T("fingerprint, read it over the phone", "dấu vân tay, đọc qua điện thoại"));
	ctl_cell(&t, "%s", T("may", "được phép"));
	for (i = 0; i < r->n_enrolment; i++) {
		const Ltpb__Enrolment *e = r->enrolment[i];

		ctl_cell(
		    &t, "%s%s%s", ctl_state(e->state), e->reason[0] != '\0' ? ": " : "", e->reason);
		ctl_cell(&t, "%s %s%s", ctl_role(e->role), e->unit, e->org);
		ctl_cell_short(&t, e->label);
		ctl_cell(&t, "%s", ctl_time(&c->arena, e->asked_ms));
		ctl_cell(&t, "%s", e->address);
		ctl_cell(&t, "%s", ctl_hex(&c->arena, e->principal.data, e->principal.len));
		ctl_cell(&t, "%s", e->fingerprint);
		grant_cell(&t, e->grant);
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
	for (i = 0; c->json && i < r->n_alarm; i++)
		ctl_print_json(ctl_alarm_json(r->alarm[i]));
	if (!c->json)
		print_enrolments(c, r);
	for (i = 0; !c->json && i < r->n_alarm; i++)
		ctl_print_alarm(c, r->alarm[i]);
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
	const char *reason = NULL;
	const struct ctl_option options[] = { { "reason", CTL_TEXT, &reason } };
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 1, 1);

	if (code == CTL_DONE)
		code = take_principal(args.item[0], id);
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	if (reason != NULL)
		req.reason = (char *)reason;
	req.principal.data = id;
	req.principal.len = LT_ID_LEN;
	code = ctl_call(c, &ltpb__admin__descriptor, "Reject", &req.base, &m);
	if (code == CTL_DONE)
		printf("%s %s\n", args.item[0], ctl_state(((const Ltpb__ApproveReply *)m)->state));
	ctl_reply_free(m);
	return code;
}
