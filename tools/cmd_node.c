/* node init, client init, client join: from an invitation to a machine of the federation. The keys are made here and never
 * leave. */
#include "proto/base/file.h"
#include "proto/feed/trust.h"
#include "tools/ctl_invitation.h"

#include <string.h>
#include <unistd.h>

#define INVITATION_ARENA ((size_t)256 * 1024)

struct joining {
	struct ctl *c;
	const char *label;
	bool anyway;
	struct lt_identity *id; /* guarded memory */
	struct lt_err err;
};

static int
join_addresses(const Ltpb__Invitation *inv, char *out, size_t cap)
{
	size_t i, n = 0, len;

	for (i = 0; i < inv->n_address; i++) {
		len = strlen(inv->address[i]);
		if (n + len + 2 > cap)
			return LT_E_TOOBIG;
		if (n > 0)
			out[n++] = ' ';
		memcpy(out + n, inv->address[i], len);
		n += len;
	}
	out[n] = '\0';
	return LT_OK;
}

static int
fill_identity(struct lt_identity *id, const Ltpb__Invitation *inv)
{
	int rc;

	memset(id, 0, sizeof(*id));
	id->role = inv->role;
	if (inv->root_key.len != 32 || inv->federation_salt.len != 16 ||
	    inv->hub_line_key.len != 32 || inv->token.len != 16 || strlen(inv->org) > LT_NAME_MAX)
		return LT_E_INVALID;
	memcpy(id->root_key, inv->root_key.data, 32);
	memcpy(id->salt, inv->federation_salt.data, 16);
	lt_federation_id(id->root_key, id->salt, &id->federation);
	memcpy(id->hub_line_key, inv->hub_line_key.data, 32);
	memcpy(id->token, inv->token.data, 16);
	memcpy(id->org, inv->org, strlen(inv->org) + 1);
	rc = inv->unit[0] != '\0' ? lt_unit_set(&id->unit, lt_slice_str(inv->unit)) : LT_OK;
	if (rc == LT_OK)
		rc = join_addresses(inv, id->addresses, sizeof(id->addresses));
	lt_identity_keys(id);
	return rc;
}

static enum ctl_exit
make_directory(struct joining *j)
{
	int rc = lt_dir_make(j->c->dir, 0700, &j->err);
	char *path = ctl_path(j->c, "identity");

	if (rc != LT_OK)
		return ctl_error(rc, &j->err);
	if (path != NULL && access(path, F_OK) == 0)
		return ctl_fail(CTL_NO,
		    T("'%s' is there already: this directory belongs to a machine; nothing was "
		      "changed",
			"đã có '%s': thư mục này đã thuộc về một máy; không thay đổi gì"),
		    path);
	return CTL_DONE;
}

static enum ctl_exit
write_settings(struct joining *j, bool node)
{
	char *path = ctl_path(j->c, node ? "lienthong.conf" : "label"), text[512];
	int rc;

	if (j->label != NULL &&
	    (strlen(j->label) > LT_NAME_MAX || strpbrk(j->label, "\n\r;#\"") != NULL))
		return ctl_fail(CTL_USAGE, "%s",
		    T("a label is one line of at most 64 bytes without ; # \"",
			"tên máy là một dòng không quá 64 byte, không có ; # \""));
	if (path == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	if (!node)
		(void)snprintf(text, sizeof(text), "%s", j->label != NULL ? j->label : "");
	else
		(void)snprintf(text, sizeof(text),
		    "; lt-node, see lt-node(8)\n[node]\n%s%s%s"
		    "; addresses of the hub in place of the invitation's, blanks between\n; hub = "
		    "tcp://host:7340\n",
		    j->label != NULL ? "label = " : "", j->label != NULL ? j->label : "",
		    j->label != NULL ? "\n" : "");
	/* Replaced: what an attempt that broke off left is of no use. */
	rc = lt_file_write(path, lt_slice_str(text), 0600, false, &j->err);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &j->err);
}

static void
print_made(struct joining *j)
{
	struct lt_identity *id = j->id;

	if (id->role == LTPB__ROLE__ROLE_NODE)
		printf(T("Node of unit %s made in '%s'; hub: %s\n",
			   "Đã tạo máy của đơn vị %s trong '%s'; đầu mối: %s\n"),
		    id->unit.s, j->c->dir, id->addresses);
	else
		printf(T("Directory of %s %s made in '%s'; hub: %s\n",
			   "Đã tạo thư mục của %s %s trong '%s'; đầu mối: %s\n"),
		    ctl_role(id->role), id->org, j->c->dir, id->addresses);
	printf("\n%s\n",
	    T("Call the province on a number you know. It reads its words to you, you read this "
	      "machine's to it;\nboth must be the same at both ends, or stop:",
		"Hãy gọi cho tỉnh theo số đã biết. Tỉnh đọc tám từ của tỉnh, bạn đọc tám từ của "
		"máy này;\nhai bên phải thấy giống hệt nhau, khác một từ thì dừng lại:"));
	ctl_print_words(stdout, id);
	(void)fputc('\n', stdout);
	if (id->role == LTPB__ROLE__ROLE_NODE)
		printf(T("Next: start lt-node -C %s; it asks the hub by itself. Then the hub's "
			 "operator approves\n"
			 "(ltctl enrol approve), and 'ltctl -C %s status' says online.\n",
			   "Tiếp theo: chạy lt-node -C %s; máy sẽ tự xin đầu mối. Sau đó người vận "
			   "hành đầu mối chấp nhận\n"
			   "(ltctl enrol approve), và 'ltctl -C %s status' báo đang nối với đầu "
			   "mối.\n"),
		    j->c->dir, j->c->dir);
	else
		printf(T("Next: ltctl -C %s client join\n", "Tiếp theo: ltctl -C %s client join\n"),
		    j->c->dir);
}

static enum ctl_exit
take_in(struct joining *j, const struct ctl_list *args, bool node)
{
	Ltpb__Invitation *inv = NULL;
	struct lt_arena arena;
	enum ctl_exit code;
	int rc;

	lt_arena_init(&arena, INVITATION_ARENA);
	code = ctl_take_invitation(args, j->anyway, &arena, &inv);
	if (inv != NULL && code == CTL_DONE && node != (inv->role == LTPB__ROLE__ROLE_NODE))
		code = ctl_fail(CTL_NO,
		    T("this invitation is for a %s: use 'ltctl %s init'",
			"thư mời này dành cho %s: hãy dùng 'ltctl %s init'"),
		    ctl_role(inv->role), node ? "client" : "node");
	if (code == CTL_DONE)
		code = make_directory(j);
	if (code == CTL_DONE)
		code = write_settings(j, node);
	if (inv != NULL && code == CTL_DONE) {
		rc = fill_identity(j->id, inv);
		if (rc == LT_OK)
			rc = lt_identity_write(j->id, j->c->dir, false, &j->err);
		code = rc == LT_OK ? CTL_DONE : ctl_error(rc, &j->err);
	}
	lt_arena_fini(&arena);
	if (code == CTL_DONE)
		print_made(j);
	return code;
}

static enum ctl_exit
init(struct ctl *c, int argc, char **argv, bool node)
{
	struct joining j = { .c = c };
	const struct ctl_option options[] = { { "label", CTL_TEXT, &j.label },
		{ "anyway", CTL_FLAG, &j.anyway } };
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 2, &args, 0, CTL_LIST_MAX);

	if (code != CTL_DONE)
		return code;
	j.id = sodium_malloc(sizeof(*j.id));
	if (j.id == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	code = take_in(&j, &args, node);
	sodium_free(j.id);
	return code;
}

enum ctl_exit
cmd_node_init(struct ctl *c, int argc, char **argv)
{
	return init(c, argc, argv, true);
}

/* Works without a running daemon: the officer is on the telephone. */
enum ctl_exit
cmd_node_show(struct ctl *c, int argc, char **argv)
{
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_open(c);
	if (code != CTL_DONE)
		return code;
	if (c->json) {
		ctl_print_json(ctl_words_json(c->id));
		return CTL_DONE;
	}
	printf("%s %s%s\n", ctl_role(c->id->role), c->id->unit.s, c->id->org);
	printf(T("principal: %s\n", "mã: %s\n"), ctl_hex(&c->arena, c->id->principal.b, LT_ID_LEN));
	if (c->id->addresses[0] != '\0')
		printf(T("hub: %s\n", "đầu mối: %s\n"), c->id->addresses);
	ctl_print_words(stdout, c->id);
	return CTL_DONE;
}

enum ctl_exit
cmd_client_init(struct ctl *c, int argc, char **argv)
{
	return init(c, argc, argv, false);
}

enum ctl_exit
cmd_client_join(struct ctl *c, int argc, char **argv)
{
	Ltpb__PrincipalState state;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_open(c);
	if (code == CTL_DONE && !ctl_is_client(c))
		return ctl_fail(CTL_USAGE, "%s",
		    T("this is no client's directory; nodes join by themselves",
			"đây không phải thư mục của máy khách; máy của xã tự xin tham gia"));
	if (code == CTL_DONE)
		code = ctl_dial_hub(c);
	if (code == CTL_DONE)
		code = ctl_join(c, &state);
	if (code != CTL_DONE)
		return code;
	if (c->json)
		ctl_print_json(json_pack("{s:s}", "state", ctl_state_name(state)));
	else
		printf("%s\n", ctl_state(state));
	return state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE ? CTL_DONE : CTL_NO;
}
