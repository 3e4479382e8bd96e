/* enrol invite, list, approve, reject: who belongs to the federation is decided at the hub. */
#include "tools/ctl_grant.h"
#include "tools/ctl_invitation.h"
#include "tools/ctl_words.h"

#include <string.h>

/* ---- invite ---- */

struct inviting {
	const char *unit, *org, *label;
	bool op, mirror, approve;
	struct ctl_handing hand;
	uint64_t expires;
	struct ctl_list address;
	struct ctl_grant_lists narrow;
};

/* What it may, where the command line says so; else the hub gives all that the role may. */
static enum ctl_exit
fill_grant(struct ctl *c, const struct inviting *i, Ltpb__Grant *g, Ltpb__InviteRequest *req)
{
	enum ctl_exit code;

	if (!ctl_grant_asked(&i->narrow))
		return CTL_DONE;
	if (i->unit != NULL)
		return ctl_fail(CTL_USAGE, "%s",
		    T("--collections, --units, --fields and --verbs narrow departments, "
		      "operators "
		      "and mirrors only: a node's rights are those of its commune",
			"--collections, --units, --fields, --verbs chỉ thu hẹp quyền của sở, "
			"ngành, người vận hành và máy sao: quyền của nút là quyền của xã mình"));
	code = ctl_grant_words(c, &i->narrow, g);
	req->grant = g;
	return code;
}

static enum ctl_exit
fill_invite(const struct inviting *i, Ltpb__InviteRequest *req)
{
	if ((i->unit != NULL) + (i->org != NULL) + i->op + i->mirror != 1)
		return ctl_fail(CTL_USAGE, "%s",
		    T("say whom: one of --unit, --org, --operator, --mirror",
			"hãy nói mời ai: một trong --unit, --org, --operator, --mirror"));
	req->role = i->unit != NULL  ? LTPB__ROLE__ROLE_NODE
		    : i->org != NULL ? LTPB__ROLE__ROLE_DEPARTMENT
		    : i->op          ? LTPB__ROLE__ROLE_OPERATOR
				     : LTPB__ROLE__ROLE_MIRROR;
	req->unit = (char *)(i->unit != NULL ? i->unit : "");
	req->org = (char *)(i->org != NULL ? i->org : "");
	req->label = (char *)(i->label != NULL ? i->label : "");
	req->auto_approve = i->approve;
	req->expires_in_s = i->expires;
	req->n_address = i->address.n;
	req->address = (char **)i->address.item;
	return CTL_DONE;
}

static enum ctl_exit
hand_over(
    struct ctl *c, struct inviting *i, const Ltpb__InviteRequest *req, const Ltpb__InviteReply *r)
{
	i->hand.line = r->line;
	i->hand.role = req->role;
	i->hand.unit = req->unit;
	i->hand.unit_name = r->unit_name;
	i->hand.org = req->org;
	i->hand.expires_s = r->expires_s;
	return ctl_hand_over(c, &i->hand);
}

/* The usual short name of --out. */
static void
long_out(int argc, char **argv)
{
	int i;

	for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-o") == 0)
			argv[i] = (char *)"--out";
}

enum ctl_exit
cmd_enrol_invite(struct ctl *c, int argc, char **argv)
{
	struct inviting i = { 0 };
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &i.unit },
		{ "org", CTL_TEXT, &i.org }, { "operator", CTL_FLAG, &i.op },
		{ "mirror", CTL_FLAG, &i.mirror }, { "auto-approve", CTL_FLAG, &i.approve },
		{ "expires", CTL_SECONDS, &i.expires }, { "label", CTL_TEXT, &i.label },
		{ "address", CTL_LIST, &i.address }, { "out", CTL_TEXT, &i.hand.out },
		{ "qr", CTL_FLAG, &i.hand.qr }, { "no-qr", CTL_FLAG, &i.hand.no_qr },
		{ "verbs", CTL_LIST, &i.narrow.verbs }, { "units", CTL_LIST, &i.narrow.units },
		{ "collections", CTL_LIST, &i.narrow.collections },
		{ "fields", CTL_LIST, &i.narrow.fields } };
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	Ltpb__Grant grant = LTPB__GRANT__INIT;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code;

	long_out(argc, argv);
	code =
	    ctl_options(c, argc, argv, options, sizeof(options) / sizeof(options[0]), &args, 0, 0);
	if (code == CTL_DONE)
		code = ctl_hand_check(&i.hand);
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
		code = hand_over(c, &i, &req, (const Ltpb__InviteReply *)m);
	if (code == CTL_DONE)
		fprintf(stderr,
		    T("invitation for %s%s%s%s, valid until %s; one use; keep it secret until "
		      "then\n",
			"thư mời cho %s%s%s%s, có hiệu lực đến %s; dùng một lần; giữ kín cho đến "
			"khi "
			"dùng\n"),
		    ctl_role(req.role), req.unit[0] != '\0' || req.org[0] != '\0' ? " " : "",
		    req.unit, req.org,
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
	json_object_set_new(o, "role", json_string(ctl_role_name(e->role)));
	json_object_set_new(o, "unit", ctl_json_text(e->unit));
	json_object_set_new(o, "unit_name", ctl_json_text(e->unit_name));
	json_object_set_new(o, "org", ctl_json_text(e->org));
	json_object_set_new(o, "label", ctl_json_text(e->label));
	json_object_set_new(o, "fingerprint", ctl_json_text(e->fingerprint));
	json_object_set_new(o, "address", ctl_json_text(e->address));
	json_object_set_new(o, "asked_ms", json_integer(e->asked_ms));
	json_object_set_new(o, "grant", ctl_grant_json(e->grant));
	json_object_set_new(o, "reason", ctl_json_text(e->reason));
	return o;
}

/* "xã (17254)", "17254", an organisation. In the arena. */
static const char *
whom(struct ctl *c, const Ltpb__Enrolment *e)
{
	size_t n = strlen(e->unit_name) + strlen(e->unit) + strlen(e->org) + 4;
	char *text = lt_arena_alloc(&c->arena, n);

	if (text == NULL)
		return e->unit;
	if (e->unit_name[0] != '\0')
		(void)snprintf(text, n, "%s (%s)", e->unit_name, e->unit);
	else
		(void)snprintf(text, n, "%s%s", e->unit, e->org);
	return text;
}

/* Who waits is read out: a line for each thing. */
static void
print_waiting(struct ctl *c, const Ltpb__Enrolment *e)
{
	struct ctl_table t;

	printf("%s: %s ", T("WAITING", "ĐANG CHỜ"), ctl_role(e->role));
	ctl_say_text(stdout, whom(c, e));
	if (e->label[0] != '\0') {
		printf(", \"");
		ctl_say_text(stdout, e->label);
		printf("\"");
	}
	printf("\n");
	ctl_table_init(&t, 2);
	ctl_cell(&t, "    %s", T("its words", "tám từ của máy"));
	ctl_cell(&t, "%s", e->fingerprint);
	ctl_cell(&t, "    %s", T("asked", "xin lúc"));
	ctl_cell(&t, "%s", ctl_time(&c->arena, e->asked_ms));
	ctl_cell(&t, "    %s", T("from", "từ địa chỉ"));
	ctl_cell(&t, "%s", e->address);
	ctl_cell(&t, "    %s", T("may", "được phép"));
	ctl_grant_cell(&t, e->grant);
	ctl_cell(&t, "    %s", T("principal", "mã"));
	ctl_cell(&t, "%s", ctl_hex(&c->arena, e->principal.data, e->principal.len));
	ctl_table_print(&t);
}

static void
print_answered(struct ctl *c, const Ltpb__ListEnrolmentsReply *r)
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
	ctl_cell(&t, "%s", T("may", "được phép"));
	for (i = 0; i < r->n_enrolment; i++) {
		const Ltpb__Enrolment *e = r->enrolment[i];

		if (e->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING)
			continue;
		ctl_cell(
		    &t, "%s%s%s", ctl_state(e->state), e->reason[0] != '\0' ? ": " : "", e->reason);
		ctl_cell(&t, "%s %s", ctl_role(e->role), whom(c, e));
		ctl_cell_short(&t, e->label);
		ctl_cell(&t, "%s", ctl_time(&c->arena, e->asked_ms));
		ctl_cell(&t, "%s", e->address);
		ctl_cell(&t, "%s", ctl_hex(&c->arena, e->principal.data, e->principal.len));
		ctl_grant_cell(&t, e->grant);
	}
	if (ctl_table_rows(&t) != 0)
		ctl_table_print(&t);
	else
		ctl_table_drop(&t);
}

static void
print_enrolments(struct ctl *c, const Ltpb__ListEnrolmentsReply *r)
{
	size_t i, waiting = 0;

	print_answered(c, r);
	if (r->more)
		printf("%s\n",
		    T("some who asked long ago are not listed: there was no room for all",
			"một số máy xin từ lâu không có trong danh sách này vì không đủ chỗ"));
	for (i = 0; i < r->n_enrolment; i++)
		if (r->enrolment[i]->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING) {
			print_waiting(c, r->enrolment[i]);
			waiting++;
		}
	if (waiting == 0) {
		printf("%s\n", T("nobody waits", "không có ai đang chờ"));
		return;
	}
	ctl_print_words(stdout, c->id);
	printf("%s\n",
	    T("Call the commune on a number you know: read the province's words to it, type those "
	      "it "
	      "reads to you:\n    ltctl enrol approve --words \"...\"    or    ltctl enrol reject "
	      "PRINCIPAL --reason \"...\"",
		"Hãy gọi cho xã theo số đã biết: đọc tám từ của tỉnh cho xã nghe, rồi gõ tám từ xã "
		"đọc:\n    ltctl enrol approve --words \"...\"    hoặc    ltctl enrol reject MÃ "
		"--reason \"...\""));
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
approve_one(struct ctl *c, const uint8_t *principal, const char *words)
{
	Ltpb__ApproveRequest req = LTPB__APPROVE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	enum ctl_exit code;

	req.principal.data = (uint8_t *)principal;
	req.principal.len = LT_ID_LEN;
	req.words = (char *)words;
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
		one = approve_one(c, e->principal.data, "");
		if (one > code)
			code = one;
	}
	ctl_reply_free(m);
	if (n == 0)
		return ctl_fail(CTL_NO, "%s", T("nobody waits", "không có ai đang chờ"));
	return code;
}

struct heard {
	uint8_t bytes[CTL_WORDS];
	const char *plain;
	const uint8_t *principal; /* NULL: whose words they are */
};

static bool
may_be(const struct heard *h, const Ltpb__Enrolment *e)
{
	return e->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING &&
	       e->principal.len == LT_ID_LEN &&
	       (h->principal == NULL || memcmp(h->principal, e->principal.data, LT_ID_LEN) == 0);
}

/* The words that agree in their places: misheard, most do; another machine's, none. */
static size_t
agreeing(const struct heard *h, const Ltpb__Enrolment *e)
{
	uint8_t own[CTL_WORDS];
	size_t i, n = 0;

	if (!ctl_words_of(e->fingerprint, own))
		return 0;
	for (i = 0; i < CTL_WORDS; i++)
		n += own[i] == h->bytes[i];
	return n;
}

/* The machine is found by what its people read; nothing else is let in. */
static enum ctl_exit
approve_heard(struct ctl *c, const struct heard *h)
{
	const Ltpb__ListEnrolmentsReply *r;
	const Ltpb__Enrolment *found = NULL;
	ProtobufCMessage *m = NULL;
	size_t i, n, best = 0;
	enum ctl_exit code = list_enrolments(c, &m);

	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListEnrolmentsReply *)m;
	for (i = 0; i < r->n_enrolment; i++) {
		if (!may_be(h, r->enrolment[i]))
			continue;
		n = agreeing(h, r->enrolment[i]);
		if (n == CTL_WORDS)
			found = r->enrolment[i];
		if (n > best)
			best = n;
	}
	if (found != NULL)
		code = approve_one(c, found->principal.data, h->plain);
	else if (best > CTL_WORDS / 2)
		code = ctl_fail(CTL_NO,
		    T("no machine that waits has these words, one has %zu of the %d: have them "
		      "read "
		      "again, slowly; nobody was let in",
			"không máy nào đang chờ có đúng các từ này, có máy khớp %zu/%d từ: hãy "
			"nghe đọc "
			"lại chậm hơn; chưa chấp nhận ai"),
		    best, CTL_WORDS);
	else
		code = ctl_fail(CTL_NO, "%s",
		    T("no machine that waits has these words: whoever waits is not the one that "
		      "you "
		      "speak with; nobody was let in",
			"không máy nào đang chờ có các từ này: máy đang chờ không phải máy của "
			"người đang "
			"gọi; chưa chấp nhận ai"));
	ctl_reply_free(m);
	return code;
}

enum ctl_exit
cmd_enrol_approve(struct ctl *c, int argc, char **argv)
{
	uint8_t id[LT_ID_LEN];
	struct heard h = { .principal = NULL };
	const char *words = NULL;
	const struct ctl_option options[] = { { "words", CTL_TEXT, &words } };
	struct ctl_list args;
	bool all;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 1);

	if (code != CTL_DONE)
		return code;
	all = args.n == 1 && strcmp(args.item[0], "all") == 0;
	if (args.n == 0 && words == NULL)
		return ctl_fail(CTL_USAGE, "%s",
		    T("say whom: --words \"...\", a principal of 'ltctl enrol list', or all",
			"hãy nói chấp nhận ai: --words \"...\", một mã trong 'ltctl enrol list', "
			"hoặc all"));
	if (all && words != NULL)
		return ctl_fail(CTL_USAGE, "%s",
		    T("words are of one machine, not of all",
			"tám từ là của một máy, không dùng với all"));
	if (args.n == 1 && !all) {
		code = ctl_principal(args.item[0], id);
		h.principal = id;
	}
	if (code == CTL_DONE && words != NULL)
		code = ctl_words(c, words, h.bytes, &h.plain);
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	return all ? approve_all(c) : words != NULL ? approve_heard(c, &h) : approve_one(c, id, "");
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
		code = ctl_principal(args.item[0], id);
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
