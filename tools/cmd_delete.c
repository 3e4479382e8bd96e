#include "tools/ctl.h"

enum ctl_exit
cmd_delete(struct ctl *c, int argc, char **argv)
{
	Ltpb__DeleteRequest req = LTPB__DELETE_REQUEST__INIT;
	const char *revision = NULL;
	const struct ctl_option options[] = { { "if-revision", CTL_TEXT, &revision },
		{ "unit", CTL_TEXT, &req.unit }, { "actor", CTL_TEXT, &req.actor } };
	const Ltpb__PutReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	uint8_t id[16], rev[16];
	enum ctl_exit code = ctl_options(c, argc, argv, options, 3, &args, 2, 2);

	if (code != CTL_DONE)
		return code;
	req.collection = (char *)args.item[0];
	req.key = (char *)args.item[1];
	if (revision != NULL) {
		if (lt_unhex(rev, sizeof(rev), revision) != LT_OK)
			return ctl_fail(CTL_USAGE, "%s",
			    T("a revision is 32 hexadecimal digits",
				"bản là 32 chữ số thập lục phân"));
		req.if_revision = true;
		req.expected_revision.data = rev;
		req.expected_revision.len = sizeof(rev);
	}
	randombytes_buf(id, sizeof(id));
	req.request_id.data = id;
	req.request_id.len = sizeof(id);
	code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__records__descriptor, "Delete", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__PutReply *)m;
	if (c->json)
		ctl_print_json(json_pack("{s:s,s:s,s:b}", "unit", r->unit, "key", r->key,
		    "unchanged", (int)r->unchanged));
	else
		printf("%s\n",
		    r->unchanged ? T("was not there", "vốn không có") : T("deleted", "đã xóa"));
	ctl_reply_free(m);
	return CTL_DONE;
}
