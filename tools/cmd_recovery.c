/* recovery: whom a hub restored from a backup waits for, and going on without some of them. */
#include "tools/ctl.h"

#include <string.h>

static void
print_json(const Ltpb__RecoveryReply *r)
{
	json_t *o = json_object(), *a = json_array();
	size_t i;

	json_object_set_new(o, "recovering", json_boolean(r->recovering));
	json_object_set_new(o, "restored_ms", json_integer(r->restored_ms));
	json_object_set_new(o, "heard", json_integer((json_int_t)r->heard));
	json_object_set_new(o, "without", json_integer((json_int_t)r->without));
	for (i = 0; i < r->n_awaited; i++)
		json_array_append_new(a,
		    json_pack("{s:o,s:o,s:o}", "principal",
			ctl_json_hex(r->awaited[i]->principal.data, r->awaited[i]->principal.len),
			"unit", ctl_json_text(r->awaited[i]->unit), "label",
			ctl_json_text(r->awaited[i]->label)));
	json_object_set_new(o, "awaited", a);
	ctl_print_json(o);
}

void
ctl_print_recovery(struct ctl *c, const Ltpb__RecoveryReply *r)
{
	struct ctl_table t;
	size_t i;

	if (!r->recovering) {
		printf("%s\n", T("this hub waits for nobody: it takes in and signs",
				   "đầu mối không chờ ai: đang nhận và ký bình thường"));
		return;
	}
	/* Between the last one heard and the first signature. */
	if (r->n_awaited == 0) {
		printf(T("restored %s; heard %u nodes, without %u, waiting for nobody any more: "
			 "the hub "
			 "takes in and signs again in a moment, by itself\n",
			   "khôi phục lúc %s; đã nghe %u máy, bỏ qua %u, không còn chờ máy nào: "
			   "đầu mối sẽ "
			   "tự nhận và ký lại sau ít giây, không phải làm gì thêm\n"),
		    ctl_time(&c->arena, r->restored_ms), r->heard, r->without);
		return;
	}
	printf(T("restored %s; heard %u nodes, without %u, waiting for %zu:\n",
		   "khôi phục lúc %s; đã nghe %u máy, bỏ qua %u, còn chờ %zu:\n"),
	    ctl_time(&c->arena, r->restored_ms), r->heard, r->without, r->n_awaited);
	ctl_table_init(&t, 3);
	ctl_cell(&t, "%s", T("unit", "đơn vị"));
	ctl_cell(&t, "%s", T("name", "tên máy"));
	ctl_cell(&t, "%s", T("principal", "chủ thể"));
	for (i = 0; i < r->n_awaited; i++) {
		ctl_cell(&t, "%s", r->awaited[i]->unit);
		ctl_cell_short(&t, r->awaited[i]->label);
		ctl_cell(&t, "%s",
		    ctl_hex(
			&c->arena, r->awaited[i]->principal.data, r->awaited[i]->principal.len));
	}
	ctl_table_print(&t);
	printf("%s\n", T("switch these machines on; of one that will not come: ltctl recovery "
			 "--without UNIT (it may "
			 "have been the only one to hold what the hub signed last for that unit)",
			   "hãy bật các máy này; máy nào không thể lên nữa: ltctl recovery "
			   "--without MÃ (có thể chỉ máy đó "
			   "còn giữ những gì đầu mối ký sau cùng cho đơn vị ấy)"));
}

enum ctl_exit
cmd_recovery(struct ctl *c, int argc, char **argv)
{
	Ltpb__RecoveryRequest req = LTPB__RECOVERY_REQUEST__INIT;
	struct ctl_list without = { 0 };
	bool all = false;
	const struct ctl_option options[] = { { "without", CTL_LIST, &without },
		{ "without-all", CTL_FLAG, &all } };
	const Ltpb__RecoveryReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 2, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	req.n_without = without.n;
	req.without = (char **)(uintptr_t)without.item;
	req.without_all = all;
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "Recovery", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__RecoveryReply *)m;
	if (c->json)
		print_json(r);
	else
		ctl_print_recovery(c, r);
	code = r->recovering ? CTL_NO : CTL_DONE;
	ctl_reply_free(m);
	return code;
}
