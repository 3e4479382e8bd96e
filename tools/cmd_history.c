#include "proto/model/validate.h"
#include "tools/ctl.h"

#include <string.h>

json_t *
ctl_entry_json(const Ltpb__HistoryEntry *e)
{
	json_t *o = json_object();

	json_object_set_new(o, "time_ms", json_integer(e->time_ms));
	json_object_set_new(o, "author", ctl_json_text(e->author));
	json_object_set_new(o, "kind",
	    json_string(e->kind == LTPB__CHANGE_KIND__CHANGE_KIND_DELETE ? "delete" : "put"));
	json_object_set_new(o, "fields", ctl_json_fields(e->n_field, e->field));
	json_object_set_new(o, "cleared", ctl_json_texts(e->n_cleared, e->cleared));
	json_object_set_new(o, "masked", ctl_json_texts(e->n_masked, e->masked));
	json_object_set_new(o, "erased", ctl_json_texts(e->n_erased, e->erased));
	json_object_set_new(o, "held", json_boolean(e->held));
	json_object_set_new(o, "forked", json_boolean(e->forked));
	if (e->refused != LTPB__REASON_CODE__REASON_UNSPECIFIED)
		json_object_set_new(o, "refused", json_string(lt_reason_name(e->refused)));
	json_object_set_new(o, "feed", ctl_json_hex(e->feed.data, e->feed.len));
	json_object_set_new(o, "seq", json_integer((json_int_t)e->seq));
	json_object_set_new(o, "index", json_integer((json_int_t)e->index));
	json_object_set_new(o, "hash", ctl_json_hex(e->hash.data, e->hash.len));
	return o;
}

void
ctl_print_entry(struct ctl *c, const Ltpb__HistoryEntry *e)
{
	size_t i;

	printf("%s  ", ctl_time(&c->arena, e->time_ms));
	ctl_say_text(stdout, e->author);
	printf("  %s%s%s%s%s\n",
	    e->kind == LTPB__CHANGE_KIND__CHANGE_KIND_DELETE ? T("delete", "xóa") : T("put", "ghi"),
	    e->refused != LTPB__REASON_CODE__REASON_UNSPECIFIED ? T(", REFUSED: ", ", BỊ TỪ CHỐI: ")
								: "",
	    e->refused != LTPB__REASON_CODE__REASON_UNSPECIFIED
		? lt_reason_text(e->refused, ctl_vietnamese)
		: "",
	    e->held ? T(", held", ", đang chờ") : "",
	    e->forked ? T(", ONLY ON THIS MACHINE: the hub holds another change-set in its place",
			    ", CHỈ CÓ Ở MÁY NÀY: đầu mối giữ gói khác cùng số")
		      : "");
	for (i = 0; i < e->n_field; i++) {
		printf("    %s = ", e->field[i]->name);
		ctl_say_text(stdout, ctl_value_text(&c->arena, e->field[i]->value));
		(void)fputc('\n', stdout);
	}
	for (i = 0; i < e->n_cleared; i++)
		printf("    %s %s\n", e->cleared[i], T("cleared", "bỏ trống"));
	for (i = 0; i < e->n_masked; i++)
		printf("    %s = ***\n", e->masked[i]);
	for (i = 0; i < e->n_erased; i++)
		printf(
		    "    %s %s\n", e->erased[i], T("erased", "đã xóa theo yêu cầu bảo vệ dữ liệu"));
	printf("    %s %s/%llu/%u\n", T("proof", "chứng cứ"),
	    ctl_hex(&c->arena, e->feed.data, e->feed.len), (unsigned long long)e->seq, e->index);
}

enum ctl_exit
cmd_history(struct ctl *c, int argc, char **argv)
{
	Ltpb__HistoryRequest req = LTPB__HISTORY_REQUEST__INIT;
	const char *unit = NULL;
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &unit } };
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 2, 2);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	req.collection = (char *)args.item[0];
	req.key = (char *)args.item[1];
	req.unit = (char *)(unit != NULL ? unit : args.item[0][0] == '_' ? "_" : ctl_own_unit(c));
	do {
		const Ltpb__HistoryReply *r;

		code = ctl_call(c, &ltpb__query__descriptor, "History", &req.base, &m);
		if (code != CTL_DONE)
			return code;
		r = (const Ltpb__HistoryReply *)m;
		for (i = 0; i < r->n_entry; i++) {
			if (c->json)
				ctl_print_json(ctl_entry_json(r->entry[i]));
			else
				ctl_print_entry(c, r->entry[i]);
		}
		req.page_token.len = r->next_page_token.len;
		req.page_token.data =
		    lt_arena_dup(&c->arena, r->next_page_token.data, r->next_page_token.len);
		if (req.page_token.data == NULL)
			code = ctl_error(LT_E_NOMEM, NULL);
		if (req.page_token.len == 0 && !c->json)
			ctl_print_freshness(c, r->freshness);
		ctl_reply_free(m);
	} while (code == CTL_DONE && req.page_token.len != 0);
	return code;
}
