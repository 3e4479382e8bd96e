/* All that lies in the store checked now, by the daemon that has it open, while it goes on working. */
#include "tools/ctl.h"

#include <string.h>
#include <time.h>

#define ASK_EVERY_MS 500

static void
rest(void)
{
	const struct timespec ts = { ASK_EVERY_MS / 1000, ASK_EVERY_MS % 1000 * 1000000L };

	(void)nanosleep(&ts, NULL);
}

static const char *
what_name(const char *what)
{
	static const struct {
		const char *name, *en, *vi;
	} words[] = { { "damaged", "damaged", "bị hỏng" }, { "missing", "missing", "bị mất" },
		{ "extra", "nothing accounts for it", "không rõ từ đâu" },
		{ "wrong", "says something else than the log", "khác với nhật ký" },
		{ "count", "entries are gone, or older ones stand there",
		    "mất dòng hoặc còn dòng cũ" },
		{ "unreadable", "cannot be read", "không đọc được" } };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(what, words[i].name) == 0)
			return T(words[i].en, words[i].vi);
	return what;
}

/* What becomes of what no rebuild mends, and what there is to do. */
static void
print_repair(const Ltpb__Repair *r)
{
	if (r == NULL)
		return;
	if (r->pages_broken)
		printf("%s\n",
		    T("the file of the store does not hold together any more, and nothing is "
		      "repaired in it: restore a backup ('ltctl restore')",
			"tệp của kho dữ liệu đã hỏng cấu trúc, không sửa tại chỗ được: hãy khôi "
			"phục bản sao lưu ('ltctl restore')"));
	if (r->looking)
		printf("%s\n",
		    T("what is damaged in the log is being looked for; ask again in a while with "
		      "'ltctl scrub --last'",
			"đang tìm chỗ hỏng trong nhật ký; lát nữa hãy xem lại bằng 'ltctl scrub "
			"--last'"));
	if (r->wanted != 0)
		printf(
		    T("%llu%s change-sets are asked for from the other side; leave the line "
		      "connected and see 'ltctl scrub --last'\n",
			"đang xin lại %llu%s gói thay đổi từ phía bên kia; hãy giữ kết nối và xem "
			"'ltctl scrub --last'\n"),
		    (unsigned long long)r->wanted, r->more ? "+" : "");
	if (r->lost != 0)
		printf(
		    T("of %llu places nothing here tells what stood there: restore a backup\n",
			"có %llu chỗ không còn biết trước đây là gì: hãy khôi phục bản sao lưu\n"),
		    (unsigned long long)r->lost);
	if (r->repaired + r->mended + r->refused + r->unasked != 0)
		printf(
		    T("since the start: %llu change-sets put back from the other side, %llu "
		      "rows mended here; of what came, %llu did not fit and %llu were not "
		      "wanted\n",
			"từ lúc khởi động: lấy lại %llu gói thay đổi từ phía bên kia, sửa %llu "
			"dòng tại chỗ; trong số nhận về có %llu gói không khớp và %llu gói không "
			"cần\n"),
		    (unsigned long long)r->repaired, (unsigned long long)r->mended,
		    (unsigned long long)r->refused, (unsigned long long)r->unasked);
}

static void
print_text(struct ctl *c, const Ltpb__ScrubReply *r)
{
	struct ctl_table t;
	char hex[17];
	size_t i;

	printf(T("checked %s in %lld ms: %llu entries, %llu KiB, %llu signatures%s\n",
		   "kiểm tra lúc %s trong %lld ms: %llu dòng, %llu KiB, %llu chữ ký%s\n"),
	    ctl_time(&c->arena, r->ended_ms), (long long)r->took_ms, (unsigned long long)r->entries,
	    (unsigned long long)(r->bytes / 1024), (unsigned long long)r->signatures,
	    r->full ? T(" (all)", " (tất cả)") : T(" (samples)", " (chọn mẫu)"));
	if (r->n_finding == 0) {
		printf("%s\n", T("everything is as it was written", "mọi thứ đúng như khi ghi"));
		print_repair(r->repair);
		return;
	}
	ctl_table_init(&t, 5);
	ctl_cell(&t, "%s", T("table", "bảng"));
	ctl_cell(&t, "%s", T("what", "vấn đề"));
	ctl_cell(&t, "%s", T("place", "chỗ"));
	ctl_cell(&t, "%s", T("since", "từ lúc"));
	ctl_cell(&t, "%s", T("what to do", "cách xử lý"));
	for (i = 0; i < r->n_finding; i++) {
		const Ltpb__ScrubFinding *f = r->finding[i];

		lt_hex(hex, f->key_digest.data, f->key_digest.len < 8 ? f->key_digest.len : 8);
		ctl_cell_short(&t, f->table);
		ctl_cell(&t, "%s", what_name(f->what));
		ctl_cell(&t, "%s", hex);
		ctl_cell(&t, "%s", ctl_time(&c->arena, f->since_ms));
		ctl_cell(&t, "%s",
		    f->derived ? "ltctl rebuild"
			       : T("the other side is asked for it; else restore a backup",
				     "đang xin lại từ phía bên kia; nếu không được, khôi phục bản "
				     "sao lưu"));
	}
	ctl_table_print(&t);
	if (r->more != 0)
		printf(T("and %llu more\n", "và %llu chỗ nữa\n"), (unsigned long long)r->more);
	print_repair(r->repair);
}

static json_t *
json_repair(const Ltpb__Repair *r)
{
	return json_pack("{s:b,s:b,s:I,s:b,s:I,s:I,s:I,s:I,s:I}", "looking", r->looking,
	    "pages_broken", r->pages_broken, "wanted", (json_int_t)r->wanted, "more", r->more,
	    "lost", (json_int_t)r->lost, "repaired", (json_int_t)r->repaired, "mended",
	    (json_int_t)r->mended, "refused", (json_int_t)r->refused, "unasked",
	    (json_int_t)r->unasked);
}

static void
print_json(const Ltpb__ScrubReply *r)
{
	json_t *o = json_object();
	size_t i;

	for (i = 0; i < r->n_finding; i++) {
		const Ltpb__ScrubFinding *f = r->finding[i];
		json_t *j = json_object();

		json_object_set_new(j, "table", ctl_json_text(f->table));
		json_object_set_new(j, "what", ctl_json_text(f->what));
		json_object_set_new(
		    j, "key_digest", ctl_json_hex(f->key_digest.data, f->key_digest.len));
		json_object_set_new(j, "derived", json_boolean(f->derived));
		json_object_set_new(j, "since_ms", json_integer(f->since_ms));
		json_object_set_new(j, "last_ms", json_integer(f->last_ms));
		ctl_print_json(j);
	}
	json_object_set_new(o, "clean", json_boolean(r->n_finding == 0));
	json_object_set_new(
	    o, "findings", json_integer((json_int_t)r->n_finding + (json_int_t)r->more));
	json_object_set_new(o, "full", json_boolean(r->full));
	json_object_set_new(o, "rounds", json_integer((json_int_t)r->rounds));
	json_object_set_new(o, "ended_ms", json_integer(r->ended_ms));
	json_object_set_new(o, "took_ms", json_integer(r->took_ms));
	json_object_set_new(o, "entries", json_integer((json_int_t)r->entries));
	json_object_set_new(o, "bytes", json_integer((json_int_t)r->bytes));
	json_object_set_new(o, "signatures", json_integer((json_int_t)r->signatures));
	if (r->repair != NULL)
		json_object_set_new(o, "repair", json_repair(r->repair));
	ctl_print_json(o);
}

/* Start a round unless `last`, and wait for its end. */
static enum ctl_exit
ask(struct ctl *c, bool full, bool last, ProtobufCMessage **m)
{
	Ltpb__ScrubRequest req = LTPB__SCRUB_REQUEST__INIT;
	enum ctl_exit code;

	req.start = !last;
	req.full = full;
	code = ctl_call(c, &ltpb__admin__descriptor, "Scrub", &req.base, m);
	req.start = req.full = false;
	while (code == CTL_DONE && !last && ((const Ltpb__ScrubReply *)*m)->running) {
		ctl_reply_free(*m);
		*m = NULL;
		rest();
		code = ctl_call(c, &ltpb__admin__descriptor, "Scrub", &req.base, m);
	}
	return code;
}

enum ctl_exit
cmd_scrub(struct ctl *c, int argc, char **argv)
{
	bool full = false, last = false;
	const struct ctl_option options[] = { { "full", CTL_FLAG, &full },
		{ "last", CTL_FLAG, &last } };
	const Ltpb__ScrubReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 2, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ask(c, full, last, &m);
	if (code != CTL_DONE)
		return code == CTL_USAGE ? code : CTL_UNKNOWN;
	r = (const Ltpb__ScrubReply *)m;
	if (c->json)
		print_json(r);
	else
		print_text(c, r);
	code = r->n_finding == 0 ? CTL_DONE : CTL_NO;
	if (r->rounds == 0)
		code = CTL_UNKNOWN; /* asked for the last one, and there is none */
	ctl_reply_free(m);
	return code;
}

/* ---- the derived tables anew ---- */

enum ctl_exit
cmd_rebuild(struct ctl *c, int argc, char **argv)
{
	Ltpb__RebuildRequest req = LTPB__REBUILD_REQUEST__INIT;
	bool anyway = false;
	const struct ctl_option options[] = { { "anyway", CTL_FLAG, &anyway } };
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	req.start = true;
	req.anyway = anyway;
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "Rebuild", &req.base, &m);
	req.start = req.anyway = false;
	while (code == CTL_DONE && ((const Ltpb__RebuildReply *)m)->running) {
		ctl_reply_free(m);
		m = NULL;
		rest();
		code = ctl_call(c, &ltpb__admin__descriptor, "Rebuild", &req.base, &m);
	}
	if (code == CTL_DONE && c->json)
		ctl_print_json(json_pack("{s:b}", "rebuilt", 1));
	else if (code == CTL_DONE)
		printf("%s\n",
		    T("the derived tables were built anew", "đã dựng lại các bảng dẫn xuất"));
	ctl_reply_free(m);
	return code;
}
