#include "proto/model/validate.h"
#include "tools/ctl.h"

#include <string.h>

/* What is typed is checked here as well, so that the reason comes in the language of who typed it. */
static enum ctl_exit
check_field(const struct lt_collection *col, const Ltpb__FieldSet *fs)
{
	const struct lt_field *f = lt_collection_field(col, fs->name);
	struct lt_violation v;

	if (f == NULL || lt_field_check(f, fs, &v) == LT_OK)
		return CTL_DONE;
	return ctl_fail(CTL_NO, "%s", T(v.message, v.message_vi));
}

static enum ctl_exit
check_key(struct ctl *c, const struct lt_collection *col, const char *key)
{
	Ltpb__FieldSet **part;
	struct lt_violation v;
	size_t n;

	if (key[0] == '\0' || lt_key_split(col, key, &c->arena, &part, &n, &v) != LT_E_REFUSED)
		return CTL_DONE;
	return ctl_fail(CTL_NO, "%s", T(v.message, v.message_vi));
}

/* KEY and FIELD=VALUE may stand in any order; a key holds no '='. */
static enum ctl_exit
take_words(struct ctl *c, const struct lt_collection *col, const struct ctl_list *args,
    Ltpb__PutRequest *req)
{
	struct lt_err err = { "" };
	enum ctl_exit code = CTL_DONE;
	size_t i;
	int rc;

	req->field = lt_arena_alloc(&c->arena, args->n * sizeof(*req->field));
	if (req->field == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	for (i = 1; code == CTL_DONE && i < args->n; i++) {
		if (strchr(args->item[i], '=') == NULL) {
			if (req->key[0] != '\0')
				return ctl_fail(CTL_USAGE,
				    T("'%s' is not FIELD=VALUE", "'%s' không phải TRƯỜNG=GIÁ TRỊ"),
				    args->item[i]);
			req->key = (char *)args->item[i];
			continue;
		}
		rc = ctl_assignment(col, args->item[i], &c->arena, &req->field[req->n_field], &err);
		if (rc != LT_OK)
			return ctl_fail(
			    rc == LT_E_NOMEM ? CTL_UNKNOWN : CTL_USAGE, "%s", ctl_said(rc, &err));
		code = check_field(col, req->field[req->n_field++]);
	}
	return code == CTL_DONE ? check_key(c, col, req->key) : code;
}

static enum ctl_exit
take_revision(struct ctl *c, const char *text, Ltpb__PutRequest *req)
{
	uint8_t *rev;

	if (text == NULL)
		return CTL_DONE;
	req->if_revision = true;
	if (strcmp(text, "none") == 0)
		return CTL_DONE;
	rev = lt_arena_alloc(&c->arena, 16);
	if (rev == NULL || lt_unhex(rev, 16, text) != LT_OK)
		return ctl_fail(CTL_USAGE, T("a revision is 32 hexadecimal digits, or 'none'",
					       "bản là 32 chữ số thập lục phân, hoặc 'none'"));
	req->expected_revision.data = rev;
	req->expected_revision.len = 16;
	return CTL_DONE;
}

static void
print_reply(struct ctl *c, const Ltpb__PutReply *r)
{
	if (c->json) {
		json_t *o = json_object();

		json_object_set_new(o, "unit", ctl_json_text(r->unit));
		json_object_set_new(o, "key", ctl_json_text(r->key));
		json_object_set_new(o, "unchanged", json_boolean(r->unchanged));
		json_object_set_new(o, "revision", ctl_json_hex(r->revision.data, r->revision.len));
		if (!r->unchanged) {
			json_object_set_new(o, "feed", ctl_json_hex(r->feed.data, r->feed.len));
			json_object_set_new(o, "seq", json_integer((json_int_t)r->seq));
			json_object_set_new(o, "index", json_integer((json_int_t)r->index));
		}
		ctl_print_json(o);
		return;
	}
	printf("%s: ", r->unchanged ? T("unchanged", "không đổi") : T("saved", "đã lưu"));
	ctl_say_text(stdout, r->unit);
	(void)fputc(' ', stdout);
	ctl_say_text(stdout, r->key);
	printf(" (%s %s)\n", T("revision", "bản"),
	    ctl_hex(&c->arena, r->revision.data, r->revision.len));
}

enum ctl_exit
cmd_put(struct ctl *c, int argc, char **argv)
{
	Ltpb__PutRequest req = LTPB__PUT_REQUEST__INIT;
	const char *revision = NULL;
	struct ctl_list args, clear = { 0 };
	const struct ctl_option options[] = { { "clear", CTL_LIST, &clear },
		{ "if-revision", CTL_TEXT, &revision }, { "unit", CTL_TEXT, &req.unit },
		{ "actor", CTL_TEXT, &req.actor } };
	const struct lt_collection *col;
	ProtobufCMessage *m = NULL;
	uint8_t id[16];
	enum ctl_exit code = ctl_options(c, argc, argv, options, 4, &args, 1, CTL_LIST_MAX);

	if (code != CTL_DONE)
		return code;
	col = ctl_collection(c, args.item[0], &code);
	if (code == CTL_DONE)
		code = take_words(c, col, &args, &req);
	if (code == CTL_DONE)
		code = take_revision(c, revision, &req);
	if (code != CTL_DONE)
		return code;
	req.collection = (char *)args.item[0];
	req.n_clear = clear.n;
	req.clear = (char **)clear.item;
	if (req.n_field + req.n_clear == 0)
		return ctl_fail(CTL_USAGE, "%s",
		    T("nothing to write: give FIELD=VALUE or --clear",
			"không có gì để ghi: hãy cho TRƯỜNG=GIÁ TRỊ hoặc --clear"));
	randombytes_buf(id, sizeof(id));
	req.request_id.data = id;
	req.request_id.len = sizeof(id);
	code = ctl_call(c, &ltpb__records__descriptor, "Put", &req.base, &m);
	if (code == CTL_DONE)
		print_reply(c, (const Ltpb__PutReply *)m);
	ctl_reply_free(m);
	return code;
}
