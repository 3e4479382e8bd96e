/* quarantine: changes that were refused, why, and what to do; quarantine show: one of them with its values. */
#include "proto/model/validate.h"
#include "tools/ctl.h"

#include <stdlib.h>
#include <string.h>

static const char *
state_name(Ltpb__RefusedState s)
{
	return s == LTPB__REFUSED_STATE__REFUSED_STATE_SUPERSEDED ? "superseded"
	       : s == LTPB__REFUSED_STATE__REFUSED_STATE_WAITING  ? "waiting"
								  : "open";
}

static json_t *
refused_json(const Ltpb__RefusedChange *r)
{
	json_t *o = json_object();
	char id[48];

	(void)snprintf(id, sizeof(id), "%llu.%u", (unsigned long long)r->position, r->index);
	json_object_set_new(o, "id", json_string(id));
	json_object_set_new(o, "state", json_string(state_name(r->state)));
	json_object_set_new(o, "unit", ctl_json_text(r->unit));
	json_object_set_new(o, "unit_name", ctl_json_text(r->unit_name));
	json_object_set_new(o, "collection", ctl_json_text(r->collection));
	json_object_set_new(o, "key", ctl_json_text(r->key));
	json_object_set_new(o, "time_ms", json_integer(r->time_ms));
	json_object_set_new(o, "author", ctl_json_text(r->author));
	json_object_set_new(o, "kind",
	    json_string(r->kind == LTPB__CHANGE_KIND__CHANGE_KIND_DELETE ? "delete" : "put"));
	json_object_set_new(o, "reason", json_string(lt_reason_name(r->reason)));
	json_object_set_new(o, "text", ctl_json_text(r->text));
	json_object_set_new(o, "text_vi", ctl_json_text(r->text_vi));
	json_object_set_new(o, "next", ctl_json_text(r->next));
	json_object_set_new(o, "next_vi", ctl_json_text(r->next_vi));
	json_object_set_new(o, "superseded_ms", json_integer(r->superseded_ms));
	json_object_set_new(o, "feed", ctl_json_hex(r->feed.data, r->feed.len));
	json_object_set_new(o, "seq", json_integer((json_int_t)r->seq));
	return o;
}

static void
print_refused(struct ctl *c, const Ltpb__RefusedChange *r)
{
	printf("%llu.%u  %s/", (unsigned long long)r->position, r->index, r->collection);
	ctl_say_text(stdout, r->key[0] != '\0' ? r->key : "***");
	printf("  ");
	ctl_say_text(stdout, r->unit_name[0] != '\0' ? r->unit_name : r->unit);
	printf(" (%s)  %s  ", r->unit, ctl_time(&c->arena, r->time_ms));
	ctl_say_text(stdout, r->author);
	printf("\n    %s: %s\n", T("refused", "bị từ chối"), ctl_vietnamese ? r->text_vi : r->text);
	switch (r->state) {
	case LTPB__REFUSED_STATE__REFUSED_STATE_SUPERSEDED:
		printf(T("    settled: the record was saved again and accepted, %s\n",
			   "    đã xong: hồ sơ đã được lưu lại và chấp nhận lúc %s\n"),
		    ctl_time(&c->arena, r->superseded_ms));
		break;
	case LTPB__REFUSED_STATE__REFUSED_STATE_WAITING:
		printf("    %s\n",
		    T("saved again, waiting for the province", "đã lưu lại, đang chờ tỉnh xét"));
		break;
	default:
		printf("    %s: %s\n", T("what to do", "việc cần làm"),
		    ctl_vietnamese ? r->next_vi : r->next);
	}
}

/* ---- list ---- */

static enum ctl_exit
take_page(struct ctl *c, Ltpb__RefusedRequest *req, size_t *n, size_t *open)
{
	const Ltpb__RefusedReply *r;
	ProtobufCMessage *m = NULL;
	size_t i;
	enum ctl_exit code = ctl_call(c, &ltpb__query__descriptor, "Refused", &req->base, &m);

	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__RefusedReply *)m;
	for (i = 0; i < r->n_change; i++) {
		*open += r->change[i]->state == LTPB__REFUSED_STATE__REFUSED_STATE_OPEN;
		if (c->json)
			ctl_print_json(refused_json(r->change[i]));
		else
			print_refused(c, r->change[i]);
	}
	*n += r->n_change;
	req->page_token.len = r->next_page_token.len;
	req->page_token.data =
	    lt_arena_dup(&c->arena, r->next_page_token.data, r->next_page_token.len);
	ctl_reply_free(m);
	return req->page_token.data != NULL ? CTL_DONE : ctl_error(LT_E_NOMEM, NULL);
}

/* Exit 1 where something is open: a script need not read. */
enum ctl_exit
cmd_quarantine(struct ctl *c, int argc, char **argv)
{
	Ltpb__RefusedRequest req = LTPB__REFUSED_REQUEST__INIT;
	const char *unit = NULL;
	bool all = false;
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &unit },
		{ "all", CTL_FLAG, &all } };
	struct ctl_list args;
	size_t n = 0, open = 0;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 2, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	req.unit = (char *)(unit != NULL ? unit : "");
	req.all = all;
	do
		code = take_page(c, &req, &n, &open);
	while (code == CTL_DONE && req.page_token.len != 0);
	if (code == CTL_DONE && n == 0 && !c->json)
		printf("%s\n",
		    T("no refused change waits for anybody", "không có thay đổi nào bị từ chối"));
	return code != CTL_DONE ? code : open == 0 ? CTL_DONE : CTL_NO;
}

/* ---- show ---- */

static bool
take_id(const char *text, uint64_t *position, uint32_t *index)
{
	char *end;
	unsigned long long p, i;

	if (text[0] < '1' || text[0] > '9')
		return false;
	p = strtoull(text, &end, 10);
	if (end[0] != '.' || end[1] < '0' || end[1] > '9')
		return false;
	i = strtoull(end + 1, &end, 10);
	*position = p;
	*index = (uint32_t)i;
	return end[0] == '\0' && i <= UINT32_MAX;
}

static bool
is_it(const Ltpb__RefusedChange *r, const Ltpb__HistoryEntry *e)
{
	return e->seq == r->seq && e->index == r->index && e->feed.len == r->feed.len &&
	       memcmp(e->feed.data, r->feed.data, r->feed.len) == 0;
}

/* Its values, as far as the asker may see them, and what was done to the record since. Of a record whose history cannot be asked for
 * (a key that is none, a collection of which nothing is known) there is no more to say. */
static void
show_history(struct ctl *c, const Ltpb__RefusedChange *r)
{
	Ltpb__HistoryRequest req = LTPB__HISTORY_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	bool found = false;
	size_t i;

	req.collection = r->collection;
	req.unit = r->unit;
	req.key = r->key;
	do {
		const Ltpb__HistoryReply *h;

		if (r->key[0] == '\0' ||
		    ctl_try(c, &ltpb__query__descriptor, "History", &req.base, &m, &st) != CTL_DONE)
			return;
		h = (const Ltpb__HistoryReply *)m;
		for (i = 0; i < h->n_entry; i++) {
			found = found || is_it(r, h->entry[i]);
			if (found && c->json)
				ctl_print_json(ctl_entry_json(h->entry[i]));
			else if (found)
				ctl_print_entry(c, h->entry[i]);
		}
		req.page_token.len = h->next_page_token.len;
		req.page_token.data =
		    lt_arena_dup(&c->arena, h->next_page_token.data, h->next_page_token.len);
		ctl_reply_free(m);
		m = NULL;
	} while (req.page_token.data != NULL && req.page_token.len != 0);
}

enum ctl_exit
cmd_quarantine_show(struct ctl *c, int argc, char **argv)
{
	Ltpb__RefusedRequest req = LTPB__REFUSED_REQUEST__INIT;
	const Ltpb__RefusedReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 1, 1);

	if (code != CTL_DONE)
		return code;
	if (!take_id(args.item[0], &req.position, &req.index))
		return ctl_fail(CTL_USAGE,
		    T("'%s' is no refused change: like 1234.0, see 'ltctl quarantine'",
			"'%s' không phải mã của thay đổi bị từ chối: có dạng 1234.0, xem 'ltctl "
			"quarantine'"),
		    args.item[0]);
	code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__query__descriptor, "Refused", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__RefusedReply *)m;
	if (r->n_change == 1 && c->json)
		ctl_print_json(refused_json(r->change[0]));
	else if (r->n_change == 1)
		print_refused(c, r->change[0]);
	if (r->n_change == 1)
		show_history(c, r->change[0]);
	ctl_reply_free(m);
	return CTL_DONE;
}
