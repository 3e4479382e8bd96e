/* keys list, show, suspend, resume, retire, revoke, replace, rotate: the life of keys after enrolment, decided at the hub. */
#include "tools/ctl_invitation.h"

#include <string.h>

#define DIGITS_MIN 6
#define SUSPEND LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_SUSPEND
#define RESUME LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_RESUME
#define RETIRE LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_RETIRE
#define REVOKE LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_REVOKE

static const char *
reason_text(const char *word)
{
	static const char *const text[][3] = { { "stolen", "stolen", "mất cắp" },
		{ "lost", "lost", "thất lạc" }, { "compromised", "compromised", "bị lộ" },
		{ "replaced", "replaced", "thay máy" }, { "retired", "retired", "nghỉ" },
		{ "rotated", "new key", "đổi khóa" }, { "other", "other", "khác" } };
	size_t i;

	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		if (strcmp(text[i][0], word) == 0)
			return T(text[i][1], text[i][2]);
	return word;
}

/* ---- as JSON ---- */

static json_t *
revocation_json(const Ltpb__Revocation *r)
{
	json_t *o = json_object(), *cut = json_array(), *f;
	size_t i;

	json_object_set_new(o, "key_no", json_integer(r->key_no));
	json_object_set_new(o, "reason", ctl_json_text(r->reason));
	json_object_set_new(o, "by", ctl_json_hex(r->by.data, r->by.len));
	for (i = 0; i < r->n_cut; i++) {
		f = json_object();
		json_object_set_new(f, "unit", ctl_json_text(r->cut[i]->unit));
		json_object_set_new(
		    f, "feed", ctl_json_hex(r->cut[i]->feed.data, r->cut[i]->feed.len));
		json_object_set_new(f, "seq", json_integer((json_int_t)r->cut[i]->seq));
		json_object_set_new(
		    f, "hash", ctl_json_hex(r->cut[i]->hash.data, r->cut[i]->hash.len));
		json_array_append_new(cut, f);
	}
	json_object_set_new(o, "cut", cut);
	return o;
}

static json_t *
key_json(const Ltpb__PrincipalKey *k)
{
	json_t *o = json_object();

	json_object_set_new(o, "key_no", json_integer(k->key_no));
	json_object_set_new(o, "active", json_boolean(k->active));
	json_object_set_new(o, "fingerprint", ctl_json_text(k->fingerprint));
	json_object_set_new(o, "sign_key", ctl_json_hex(k->sign_key.data, k->sign_key.len));
	json_object_set_new(o, "line_key", ctl_json_hex(k->line_key.data, k->line_key.len));
	return o;
}

static json_t *
principal_json(const Ltpb__Principal *p)
{
	json_t *o = json_object(), *keys = json_array(), *revoked = json_array();
	size_t i;

	for (i = 0; i < p->n_key; i++)
		json_array_append_new(keys, key_json(p->key[i]));
	for (i = 0; i < p->n_revocation; i++)
		json_array_append_new(revoked, revocation_json(p->revocation[i]));
	json_object_set_new(o, "principal", ctl_json_hex(p->principal.data, p->principal.len));
	json_object_set_new(o, "state", json_string(ctl_state_name(p->state)));
	json_object_set_new(o, "role", json_string(ctl_role_name(p->role)));
	json_object_set_new(o, "unit", ctl_json_text(p->unit));
	json_object_set_new(o, "org", ctl_json_text(p->org));
	json_object_set_new(o, "label", ctl_json_text(p->label));
	json_object_set_new(o, "connected", json_boolean(p->connected));
	json_object_set_new(o, "keys", keys);
	json_object_set_new(o, "revocations", revoked);
	return o;
}

/* ---- for people ---- */

/* "2 of 3": what may be used of what there is. */
static void
keys_cell(struct ctl_table *t, const Ltpb__Principal *p)
{
	size_t i, active = 0;

	for (i = 0; i < p->n_key; i++)
		active += p->key[i]->active ? 1 : 0;
	ctl_cell(t, "%zu/%zu", active, p->n_key);
}

static void
print_principals(struct ctl *c, const Ltpb__ListPrincipalsReply *r)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 6);
	ctl_cell(&t, "%s", T("state", "trạng thái"));
	ctl_cell(&t, "%s", T("who", "ai"));
	ctl_cell(&t, "%s", T("label", "tên máy"));
	ctl_cell(&t, "%s", T("connected", "đang nối"));
	ctl_cell(&t, "%s", T("keys in use", "khóa còn dùng"));
	ctl_cell(&t, "%s", T("principal", "mã"));
	for (i = 0; i < r->n_principal; i++) {
		const Ltpb__Principal *p = r->principal[i];

		ctl_cell(&t, "%s", ctl_state(p->state));
		ctl_cell(&t, "%s %s%s %s", ctl_role(p->role), p->unit, p->org, p->unit_name);
		ctl_cell_short(&t, p->label);
		ctl_cell(&t, "%s", p->connected ? T("yes", "có") : "-");
		keys_cell(&t, p);
		ctl_cell(&t, "%s", ctl_hex(&c->arena, p->principal.data, p->principal.len));
	}
	ctl_table_print(&t);
}

static void
print_revocation(struct ctl *c, const Ltpb__Revocation *r)
{
	size_t i;

	if (r->key_no != 0)
		printf(T("revoked: key %u (%s), by %s\n", "thu hồi: khóa %u (%s), do %s\n"),
		    r->key_no, reason_text(r->reason),
		    r->by.len != 0 ? ctl_hex(&c->arena, r->by.data, r->by.len)
				   : T("the hub's machine", "máy đầu mối"));
	else
		printf(T("revoked: every key (%s), by %s\n", "thu hồi: mọi khóa (%s), do %s\n"),
		    reason_text(r->reason),
		    r->by.len != 0 ? ctl_hex(&c->arena, r->by.data, r->by.len)
				   : T("the hub's machine", "máy đầu mối"));
	for (i = 0; i < r->n_cut; i++)
		printf(T("  counts up to: %s %s %llu\n", "  có giá trị tới: %s %s %llu\n"),
		    r->cut[i]->unit, ctl_hex(&c->arena, r->cut[i]->feed.data, r->cut[i]->feed.len),
		    (unsigned long long)r->cut[i]->seq);
	if (r->n_cut == 0)
		printf("%s\n", T("  nothing was written with it", "  chưa ghi gì bằng khóa này"));
}

static void
print_principal(struct ctl *c, const Ltpb__Principal *p)
{
	size_t i;

	printf("%s %s\n", ctl_hex(&c->arena, p->principal.data, p->principal.len),
	    ctl_state(p->state));
	printf("%s %s%s %s\n", ctl_role(p->role), p->unit, p->org, p->unit_name);
	if (p->label[0] != '\0') {
		ctl_say_text(stdout, p->label);
		(void)putchar('\n');
	}
	for (i = 0; i < p->n_key; i++)
		printf(T("key %u, %s: %s\n", "khóa %u, %s: %s\n"), p->key[i]->key_no,
		    p->key[i]->active ? T("in use", "đang dùng") : T("not in use", "không dùng"),
		    p->key[i]->fingerprint);
	for (i = 0; i < p->n_revocation; i++)
		print_revocation(c, p->revocation[i]);
}

static void
say(struct ctl *c, const Ltpb__Principal *p)
{
	if (p == NULL)
		return;
	if (c->json)
		ctl_print_json(principal_json(p));
	else
		printf("%s %s\n", ctl_hex(&c->arena, p->principal.data, p->principal.len),
		    ctl_state(p->state));
}

/* ---- which one ---- */

static enum ctl_exit
fetch(struct ctl *c, const uint8_t *prefix, size_t len, bool gone, ProtobufCMessage **m)
{
	Ltpb__ListPrincipalsRequest req = LTPB__LIST_PRINCIPALS_REQUEST__INIT;

	req.prefix.data = (uint8_t *)prefix;
	req.prefix.len = len;
	req.gone = gone;
	return ctl_call(c, &ltpb__keys__descriptor, "ListPrincipals", &req.base, m);
}

static enum ctl_exit
check_digits(const char *digits)
{
	size_t n = strlen(digits);

	if (n >= DIGITS_MIN && n <= 2 * LT_ID_LEN && strspn(digits, "0123456789abcdef") == n)
		return CTL_DONE;
	return ctl_fail(CTL_USAGE,
	    T("'%s' is no principal: %d to %d hexadecimal digits, see 'ltctl keys list'",
		"'%s' không phải mã: %d đến %d chữ số thập lục phân, xem 'ltctl keys list'"),
	    digits, DIGITS_MIN, 2 * LT_ID_LEN);
}

static const Ltpb__Principal *
only_one(struct ctl *c, const Ltpb__ListPrincipalsReply *r, const char *digits, enum ctl_exit *code)
{
	const Ltpb__Principal *found = NULL;
	size_t i;

	for (i = 0; i < r->n_principal; i++) {
		const Ltpb__Principal *p = r->principal[i];

		if (strncmp(ctl_hex(&c->arena, p->principal.data, p->principal.len), digits,
			strlen(digits)) != 0)
			continue;
		if (found != NULL) {
			*code = ctl_fail(CTL_USAGE,
			    T("several begin with '%s': give more digits",
				"nhiều mã bắt đầu bằng '%s': hãy gõ thêm chữ số"),
			    digits);
			return NULL;
		}
		found = p;
	}
	if (found == NULL || found->principal.len != LT_ID_LEN)
		*code = ctl_fail(CTL_NO,
		    T("no principal '%s' that is yours to see, see 'ltctl keys list --gone'",
			"không có thành viên '%s', hoặc không thuộc quyền của bạn, xem 'ltctl keys "
			"list --gone'"),
		    digits);
	return *code == CTL_DONE ? found : NULL;
}

/* By its first digits, as many as tell it from the others; connects. *m is freed by the caller, p is in it. */
static enum ctl_exit
find(struct ctl *c, const char *digits, ProtobufCMessage **m, const Ltpb__Principal **p)
{
	uint8_t prefix[LT_ID_LEN];
	char even[2 * LT_ID_LEN + 1];
	size_t n = strlen(digits) / 2;
	enum ctl_exit code = check_digits(digits);

	if (code != CTL_DONE)
		return code;
	memcpy(even, digits, 2 * n);
	even[2 * n] = '\0';
	if (lt_unhex(prefix, n, even) != LT_OK)
		return CTL_USAGE;
	code = ctl_connect(c);
	if (code == CTL_DONE)
		code = fetch(c, prefix, n, true, m);
	if (code == CTL_DONE)
		*p = only_one(c, (const Ltpb__ListPrincipalsReply *)*m, digits, &code);
	return code;
}

/* ---- list and show ---- */

enum ctl_exit
cmd_keys_list(struct ctl *c, int argc, char **argv)
{
	const Ltpb__ListPrincipalsReply *r;
	ProtobufCMessage *m = NULL;
	bool gone = false;
	const struct ctl_option options[] = { { "gone", CTL_FLAG, &gone } };
	struct ctl_list args;
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code == CTL_DONE)
		code = fetch(c, NULL, 0, gone, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListPrincipalsReply *)m;
	for (i = 0; c->json && i < r->n_principal; i++)
		ctl_print_json(principal_json(r->principal[i]));
	if (!c->json)
		print_principals(c, r);
	ctl_reply_free(m);
	return CTL_DONE;
}

enum ctl_exit
cmd_keys_show(struct ctl *c, int argc, char **argv)
{
	const Ltpb__Principal *p = NULL;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 1, 1);

	if (code == CTL_DONE)
		code = find(c, args.item[0], &m, &p);
	if (code == CTL_DONE && c->json)
		ctl_print_json(principal_json(p));
	else if (code == CTL_DONE)
		print_principal(c, p);
	ctl_reply_free(m);
	return code;
}

/* ---- changes ---- */

static enum ctl_exit
change(struct ctl *c, const char *digits, Ltpb__ChangePrincipalRequest *req)
{
	const Ltpb__Principal *p = NULL;
	ProtobufCMessage *found = NULL, *m = NULL;
	enum ctl_exit code = find(c, digits, &found, &p);

	if (code == CTL_DONE) {
		req->principal = p->principal;
		code = ctl_call(c, &ltpb__keys__descriptor, "ChangePrincipal", &req->base, &m);
	}
	if (code == CTL_DONE)
		say(c, ((const Ltpb__ChangePrincipalReply *)m)->principal);
	ctl_reply_free(m);
	ctl_reply_free(found);
	return code;
}

static enum ctl_exit
simple(struct ctl *c, int argc, char **argv, Ltpb__PrincipalAction action)
{
	Ltpb__ChangePrincipalRequest req = LTPB__CHANGE_PRINCIPAL_REQUEST__INIT;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 1, 1);

	req.action = action;
	return code == CTL_DONE ? change(c, args.item[0], &req) : code;
}

enum ctl_exit
cmd_keys_suspend(struct ctl *c, int argc, char **argv)
{
	return simple(c, argc, argv, SUSPEND);
}

enum ctl_exit
cmd_keys_resume(struct ctl *c, int argc, char **argv)
{
	return simple(c, argc, argv, RESUME);
}

enum ctl_exit
cmd_keys_retire(struct ctl *c, int argc, char **argv)
{
	Ltpb__ChangePrincipalRequest req = LTPB__CHANGE_PRINCIPAL_REQUEST__INIT;
	bool anyway = false;
	const struct ctl_option options[] = { { "anyway", CTL_FLAG, &anyway } };
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 1, 1);

	req.action = RETIRE;
	req.anyway = anyway;
	return code == CTL_DONE ? change(c, args.item[0], &req) : code;
}

/* Nobody takes it back: so it is said why. */
enum ctl_exit
cmd_keys_revoke(struct ctl *c, int argc, char **argv)
{
	Ltpb__ChangePrincipalRequest req = LTPB__CHANGE_PRINCIPAL_REQUEST__INIT;
	const char *reason = NULL;
	uint64_t key_no = 0;
	const struct ctl_option options[] = { { "reason", CTL_TEXT, &reason },
		{ "key", CTL_NUMBER, &key_no } };
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 2, &args, 1, 1);

	if (code != CTL_DONE)
		return code;
	if (reason == NULL)
		return ctl_fail(CTL_USAGE, "%s",
		    T("say why: --reason stolen, lost, compromised, replaced or other",
			"hãy nói lý do: --reason stolen (mất cắp), lost (thất lạc), compromised "
			"(bị lộ), replaced (thay máy) hoặc other (khác)"));
	if (key_no > UINT32_MAX)
		return ctl_fail(CTL_USAGE, "%s", T("there is no such key", "không có khóa này"));
	req.action = REVOKE;
	req.reason = (char *)reason;
	req.key_no = (uint32_t)key_no;
	return change(c, args.item[0], &req);
}

/* ---- replace ---- */

struct replacing {
	const char *reason;
	struct ctl_handing hand;
	bool approve;
	uint64_t expires;
	struct ctl_list address;
};

/* As of 'enrol invite': for whoever stands at the new machine, with the steps. */
static enum ctl_exit
hand_over(struct ctl *c, struct replacing *o, const Ltpb__Principal *p,
    const Ltpb__ReplacePrincipalReply *r)
{
	o->hand.line = r->line;
	o->hand.role = p->role;
	o->hand.unit = p->unit;
	o->hand.unit_name = p->unit_name;
	o->hand.org = p->org;
	o->hand.expires_s = r->expires_s;
	return ctl_hand_over(c, &o->hand);
}

static enum ctl_exit
replace(struct ctl *c, struct replacing *o, const Ltpb__Principal *p)
{
	Ltpb__ReplacePrincipalRequest req = LTPB__REPLACE_PRINCIPAL_REQUEST__INIT;
	const Ltpb__ReplacePrincipalReply *r;
	ProtobufCMessage *m = NULL;
	enum ctl_exit code;

	req.principal = p->principal;
	req.reason = (char *)(o->reason != NULL ? o->reason : "");
	req.auto_approve = o->approve;
	req.expires_in_s = o->expires;
	req.n_address = o->address.n;
	req.address = (char **)o->address.item;
	code = ctl_call(c, &ltpb__keys__descriptor, "ReplacePrincipal", &req.base, &m);
	r = (const Ltpb__ReplacePrincipalReply *)m;
	if (code == CTL_DONE)
		code = hand_over(c, o, p, r);
	if (code == CTL_DONE)
		fprintf(stderr,
		    T("%s is revoked; invitation for %s %s%s in its place, valid until %s; at the "
		      "new machine: ltctl -C DIR node init INVITATION\n",
			"đã thu hồi khóa của %s; thư mời cho %s %s%s thay thế có hiệu lực đến %s; "
			"tại máy mới: ltctl -C THƯ_MỤC node init THƯ_MỜI\n"),
		    ctl_hex(&c->arena, p->principal.data, p->principal.len), ctl_role(p->role),
		    p->unit, p->org, ctl_time(&c->arena, r->expires_s * 1000));
	ctl_reply_free(m);
	return code;
}

enum ctl_exit
cmd_keys_replace(struct ctl *c, int argc, char **argv)
{
	struct replacing o = { 0 };
	const struct ctl_option options[] = { { "reason", CTL_TEXT, &o.reason },
		{ "auto-approve", CTL_FLAG, &o.approve }, { "expires", CTL_SECONDS, &o.expires },
		{ "address", CTL_LIST, &o.address }, { "out", CTL_TEXT, &o.hand.out },
		{ "qr", CTL_FLAG, &o.hand.qr }, { "no-qr", CTL_FLAG, &o.hand.no_qr } };
	const Ltpb__Principal *p = NULL;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code =
	    ctl_options(c, argc, argv, options, sizeof(options) / sizeof(options[0]), &args, 1, 1);

	if (code == CTL_DONE)
		code = ctl_hand_check(&o.hand);
	if (code == CTL_DONE)
		code = find(c, args.item[0], &m, &p);
	if (code == CTL_DONE)
		code = replace(c, &o, p);
	ctl_reply_free(m);
	return code;
}

/* ---- rotate ---- */

enum ctl_exit
cmd_keys_rotate(struct ctl *c, int argc, char **argv)
{
	Ltpb__RotateKeysRequest req = LTPB__ROTATE_KEYS_REQUEST__INIT;
	const Ltpb__RotateKeysReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	json_t *o;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__keys__descriptor, "RotateKeys", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__RotateKeysReply *)m;
	if (c->json) {
		o = json_object();
		json_object_set_new(o, "key_no", json_integer(r->key_no));
		json_object_set_new(o, "fingerprint", ctl_json_text(r->fingerprint));
		ctl_print_json(o);
	} else {
		printf(T("key %u is in use: %s\n", "đang dùng khóa %u: %s\n"), r->key_no,
		    r->fingerprint);
	}
	ctl_reply_free(m);
	return CTL_DONE;
}
