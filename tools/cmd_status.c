#include "tools/ctl_invitation.h"

#include <stdlib.h>
#include <string.h>

#define WITHIN_DEFAULT_S 3600

/* ---- the store ---- */

/* The disk of such a machine is to be looked at, and what only it had may have to be entered again. */
static void
print_salvage(struct ctl *c, const Ltpb__StatusReply *r)
{
	size_t i;

	if (r->salvaged_ms == 0)
		return;
	printf(
	    T("THE STORE WAS DAMAGED and was made anew on %s; %llu rows could not be read%s; have "
	      "the disk looked at\n",
		"KHO DỮ LIỆU BỊ HỎNG và đã được dựng lại lúc %s; %llu hàng không đọc được%s; hãy "
		"cho kiểm tra ổ đĩa\n"),
	    ctl_time(&c->arena, r->salvaged_ms), (unsigned long long)r->salvage_rows,
	    r->salvage_open ? T("; what is missing is being fetched from the province",
				  "; phần thiếu đang được lấy từ tỉnh")
			    : "");
	for (i = 0; i < r->n_salvage_gap; i++)
		printf(
		    r->salvage_open
			? T("change-sets of this machine not back yet (lane/epoch/numbers): %s\n",
			      "gói của máy này chưa có lại (làn/kỳ/số): %s\n")
			: T("LOST, neither here nor in the province (lane/epoch/numbers): %s; "
			    "enter "
			    "again what was saved then\n",
			      "ĐÃ MẤT, không còn ở đây và ở tỉnh (làn/kỳ/số): %s; hãy nhập lại "
			      "những "
			      "gì đã lưu khi đó\n"),
		    r->salvage_gap[i]);
	if (r->salvage_older)
		printf(T(
		    "what was saved last before the damage may be missing besides: look, and enter "
		    "again what is not there\n",
		    "những gì lưu sau cùng trước khi hỏng cũng có thể thiếu: hãy xem lại, thiếu "
		    "thì nhập lại\n"));
	if (r->salvage_waiting != 0)
		printf(
		    r->salvage_open
			? T("%llu change-sets behind these are kept here, not sent and not shown "
			    "yet\n",
			      "%llu gói sau đó được giữ ở đây, chưa gửi và chưa hiện\n")
			: T("%llu change-sets of this machine are kept here and shown nowhere, as "
			    "what they follow is lost: ask the province, and enter again what was "
			    "saved with them\n",
			      "%llu gói của máy này được giữ ở đây mà không hiện ở đâu, vì gói đi "
			      "trước đã mất: hãy hỏi tỉnh và nhập lại những gì đã lưu khi đó\n"),
		    (unsigned long long)r->salvage_waiting);
	for (i = 0; i < r->n_salvage_record; i++)
		printf(T("  about record %s\n", "  về bản ghi %s\n"), r->salvage_record[i]);
}

static void
print_store(struct ctl *c, const Ltpb__StatusReply *r)
{
	print_salvage(c, r);
	if (r->recovering)
		printf(T("THIS HUB WAS RESTORED FROM A BACKUP and waits for %u nodes before it "
			 "takes in and "
			 "signs again; see 'ltctl recovery'\n",
			   "ĐẦU MỐI NÀY ĐƯỢC KHÔI PHỤC TỪ BẢN SAO LƯU và còn chờ %u máy trước khi "
			   "nhận "
			   "và ký tiếp; xem 'ltctl recovery'\n"),
		    r->awaited);
	if (r->rebuilding)
		printf("%s\n",
		    T("THE DERIVED TABLES WERE DAMAGED and are being built anew; answers are not "
		      "whole yet",
			"CÁC BẢNG DẪN XUẤT BỊ HỎNG và đang được dựng lại; câu trả lời chưa đầy "
			"đủ"));
	if (r->lost != 0)
		printf(
		    T("ALARM: THE STORE IS DAMAGED in %llu places that no rebuild mends; call the "
		      "province's IT staff, switch nothing off; see 'ltctl scrub --last'\n",
			"BÁO ĐỘNG: KHO DỮ LIỆU BỊ HỎNG ở %llu chỗ không dựng lại được; hãy gọi cán "
			"bộ CNTT của tỉnh, đừng tắt máy; xem 'ltctl scrub --last'\n"),
		    (unsigned long long)r->lost);
	else if (r->findings != 0)
		printf(
		    T("the store is damaged in %llu places that a rebuild mends; see 'ltctl scrub "
		      "--last'\n",
			"kho dữ liệu hỏng ở %llu chỗ có thể dựng lại; xem 'ltctl scrub --last'\n"),
		    (unsigned long long)r->findings);
	printf(T("store checked as a whole: %s\n", "kho được kiểm tra toàn bộ lần cuối: %s\n"),
	    ctl_time(&c->arena, r->scrubbed_ms));
}

/* ---- a node ---- */

static bool
node_is_behind(const Ltpb__StatusReply *r)
{
	size_t i;

	for (i = 0; i < r->n_lane; i++)
		if (r->lane[i]->receipted < r->lane[i]->made)
			return true;
	/* Before the first contact nothing can have arrived, and nothing came down. */
	return r->last_hub_contact_ms == 0 && !r->connected;
}

static const char *
link_state(const char *s)
{
	static const struct {
		const char *name, *en, *vi;
	} words[] = { { "online", "online", "đang nối với đầu mối" },
		{ "waiting", "waiting to dial again", "chờ nối lại" },
		{ "connecting", "connecting", "đang gọi đầu mối" },
		{ "pending", "waiting for the hub's operator to approve", "chờ đầu mối chấp nhận" },
		{ "greeting", "saying hello", "đang chào đầu mối" },
		{ "stopped", "stopped", "đã dừng" } };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(s, words[i].name) == 0)
			return T(words[i].en, words[i].vi);
	return s;
}

static void
print_lanes(const Ltpb__StatusReply *r)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 5);
	ctl_cell(&t, "%s", T("lane", "làn"));
	ctl_cell(&t, "%s", T("made", "đã làm"));
	ctl_cell(&t, "%s", T("receipted", "có biên nhận"));
	ctl_cell(&t, "%s", T("refused changes", "thay đổi bị từ chối"));
	ctl_cell(&t, "%s", T("only here", "chỉ có ở máy này"));
	for (i = 0; i < r->n_lane; i++) {
		ctl_cell(&t, "%s", ctl_lane((int)r->lane[i]->lane));
		ctl_cell(&t, "%llu", (unsigned long long)r->lane[i]->made);
		ctl_cell(&t, "%llu", (unsigned long long)r->lane[i]->receipted);
		ctl_cell(&t, "%llu", (unsigned long long)r->lane[i]->refused);
		ctl_cell(&t, "%llu", (unsigned long long)r->lane[i]->forked);
	}
	ctl_table_print(&t);
}

/* A network that drops lines without telling the ends: worth asking who runs it. */
static void
print_silent(const Ltpb__StatusReply *r)
{
	if (r->silent_lines == 0)
		return;
	printf(T("%llu lines fell silent since the start and were given up\n",
		   "từ khi khởi động, %llu lần đường truyền im lặng rồi bị bỏ\n"),
	    (unsigned long long)r->silent_lines);
}

/* What a secretary reads over the phone. */
static void
print_node(struct ctl *c, const Ltpb__StatusReply *r)
{
	uint64_t made = 0, held = 0, forked = 0;
	size_t i;

	for (i = 0; i < r->n_lane; i++) {
		forked += r->lane[i]->forked;
		made += r->lane[i]->made;
		held += r->lane[i]->receipted;
	}
	printf("%s ", T("Node of", "Máy của"));
	/* Before its catalogue it does not know what its commune is called. */
	if (r->unit_name[0] != '\0') {
		ctl_say_text(stdout, r->unit_name);
		printf(" (%s), lt-node %s\n", r->unit, r->version);
	} else {
		printf("%s, lt-node %s\n", r->unit, r->version);
	}
	printf("%s: %s", T("line", "đường truyền"), link_state(r->link_state));
	if (r->link_error[0] != '\0' && !r->connected) {
		(void)fputs(" (", stdout);
		ctl_say_text(stdout, ctl_vietnamese && r->link_error_vi[0] != '\0'
					 ? r->link_error_vi
					 : r->link_error);
		(void)fputc(')', stdout);
	}
	printf(T(", last contact %s\n", ", liên lạc lần cuối %s\n"),
	    ctl_time(&c->arena, r->last_hub_contact_ms));
	printf(T("sent and receipted: %llu of %llu change-sets; %llu records; catalogue %llu; "
		 "store %llu KiB\n",
		   "đã gửi và có biên nhận: %llu/%llu gói; %llu bản ghi; danh mục %llu; kho %llu "
		   "KiB\n"),
	    (unsigned long long)held, (unsigned long long)made, (unsigned long long)r->records,
	    (unsigned long long)r->catalogue_version, (unsigned long long)(r->store_bytes / 1024));
	print_silent(r);
	if (r->equivocations != 0)
		printf("%s\n",
		    T("ALARM: THE HUB HAS SIGNED TWO HISTORIES: it shows communes different ones, "
		      "or "
		      "its files were put back by hand. This machine goes on working. Do not rely "
		      "on what the hub decided since; call the province (and another commune), and "
		      "save the evidence: 'ltctl checkpoint export FILE'; see 'ltctl checkpoint "
		      "show'",
			"BÁO ĐỘNG: ĐẦU MỐI ĐÃ KÝ HAI LỊCH SỬ KHÁC NHAU: cho các xã thấy khác nhau, "
			"hoặc tệp của đầu mối đã bị chép đè. Máy này vẫn làm việc. Đừng tin những "
			"gì đầu mối quyết định từ đó; hãy gọi cho tỉnh (và một xã khác), và lưu "
			"chứng cứ: 'ltctl checkpoint export TỆP'; xem 'ltctl checkpoint show'"));
	if (r->clock_wrong)
		printf(T("THE CLOCK OF THIS MACHINE IS WRONG by %lld s; set it\n",
			   "ĐỒNG HỒ MÁY NÀY SAI %lld giây; hãy chỉnh lại\n"),
		    (long long)(r->clock_offset_ms / 1000));
	if (r->hub_clock_wrong)
		printf(T("THE HUB'S CLOCK IS IN DOUBT (it is %lld s behind this machine's): leave "
			 "this "
			 "machine's as it is and tell the province\n",
			   "ĐỒNG HỒ CỦA ĐẦU MỐI CÓ THỂ SAI (chậm hơn máy này %lld giây): giữ "
			   "nguyên đồng "
			   "hồ máy này và hãy báo cho tỉnh\n"),
		    (long long)(r->clock_offset_ms / 1000));
	if (forked != 0)
		printf(
		    T("ONLY ON THIS MACHINE: %llu change-sets in whose place the hub holds others "
		      "(a copied machine, or one restored from an old copy); tell the province. "
		      "What "
		      "they said is written again by itself, but for what 'ltctl list' calls "
		      "forked: open and save those records\n",
			"CHỈ CÓ Ở MÁY NÀY: %llu gói mà đầu mối giữ gói khác cùng số (máy bị sao "
			"chép hoặc khôi phục từ bản cũ); hãy báo cho tỉnh. Nội dung được tự ghi "
			"lại, trừ những bản ghi mà 'ltctl list' báo là chỉ có ở máy này: hãy mở "
			"và lưu lại\n"),
		    (unsigned long long)forked);
	print_store(c, r);
	print_lanes(r);
}

/* ---- the hub ---- */

static bool
unit_node_behind(const Ltpb__NodeStatus *n, uint64_t within_s)
{
	if (n->state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE ||
	    n->role != LTPB__ROLE__ROLE_NODE)
		return false;
	return n->held < n->announced || n->fresh_age_ms < 0 ||
	       (uint64_t)n->fresh_age_ms > within_s * 1000;
}

/* A second branch means a copied machine or a stolen key: somebody must look. */
static void
print_branches(const Ltpb__NodeStatus *s)
{
	if (s->twins != 0) {
		printf(T("ALARM: %s ", "BÁO ĐỘNG: %s "), s->unit);
		ctl_say_text(stdout, s->label[0] != '\0' ? s->label : s->unit_name);
		if (s->twins == 1)
			printf("%s\n", T(": a second machine came once with its keys while it was "
					 "at work, and "
					 "was refused",
					   ": máy thứ hai đã một lần dùng khóa của máy này khi máy "
					   "này đang chạy, và "
					   "bị từ chối"));
		else
			printf(
			    T(": a second machine came %llu times with its keys while it was at "
			      "work, "
			      "and was refused\n",
				": máy thứ hai đã %llu lần dùng khóa của máy này khi máy này đang "
				"chạy, và bị từ chối\n"),
			    (unsigned long long)s->twins);
	}
	if (!s->foreign && s->forks == 0)
		return;
	printf(T("ALARM: %s ", "BÁO ĐỘNG: %s "), s->unit);
	ctl_say_text(stdout, s->label[0] != '\0' ? s->label : s->unit_name);
	printf("%s", T(": two machines sign with its key, or one was restored from an old copy",
			 ": hai máy cùng ký bằng một khóa, hoặc máy được khôi phục từ bản cũ"));
	if (s->foreign)
		printf("; %s", T("it has change-sets in whose place the hub holds others",
				   "máy có gói mà đầu mối giữ gói khác cùng số"));
	if (s->forks != 0)
		printf(T("; %llu change-sets of a second branch are kept as evidence",
			   "; %llu gói của nhánh thứ hai được giữ làm chứng cứ"),
		    (unsigned long long)s->forks);
	(void)fputc('\n', stdout);
}

void
ctl_print_nodes(struct ctl *c, size_t n, Ltpb__NodeStatus *const *node)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 8);
	ctl_cell(&t, "%s", T("who", "ai"));
	ctl_cell(&t, "%s", T("name", "tên"));
	ctl_cell(&t, "%s", T("state", "trạng thái"));
	ctl_cell(&t, "%s", T("connected", "đang nối"));
	ctl_cell(&t, "%s", T("held/announced", "có/báo"));
	ctl_cell(&t, "%s", T("fresh", "độ mới"));
	ctl_cell(&t, "%s", T("last seen", "gặp lần cuối"));
	ctl_cell(&t, "%s", T("clock", "đồng hồ lệch"));
	for (i = 0; i < n; i++) {
		const Ltpb__NodeStatus *s = node[i];
		bool is_node = s->role == LTPB__ROLE__ROLE_NODE;

		ctl_cell(&t, "%s %s%s", ctl_role(s->role), s->unit, s->org);
		ctl_cell_short(&t, s->label[0] != '\0' ? s->label : s->unit_name);
		ctl_cell(&t, "%s", ctl_state(s->state));
		ctl_cell(&t, "%s", s->connected ? T("yes", "có") : T("no", "không"));
		ctl_cell(
		    &t, "%llu/%llu", (unsigned long long)s->held, (unsigned long long)s->announced);
		ctl_cell(&t, "%s", is_node ? ctl_age(&c->arena, s->fresh_age_ms) : "-");
		ctl_cell(&t, "%s", ctl_time(&c->arena, s->last_seen_ms));
		ctl_cell(&t, "%lld s", (long long)(s->clock_offset_ms / 1000));
	}
	ctl_table_print(&t);
	for (i = 0; i < n; i++)
		print_branches(node[i]);
}

static void
print_hub(struct ctl *c, const Ltpb__StatusReply *r, const Ltpb__ListNodesReply *nodes)
{
	printf("%s ", T("Hub of province", "Đầu mối tỉnh"));
	ctl_say_text(stdout, r->unit_name);
	printf("%s%s%s, lt-hub %s\n", r->unit_name[0] != '\0' ? " (" : "", r->unit,
	    r->unit_name[0] != '\0' ? ")" : "", r->version);
	printf(T("log %llu, derived tables reach %llu; %llu records; %llu held back; %u sessions; "
		 "catalogue %llu; store "
		 "%llu KiB\n",
		   "nhật ký %llu, bảng dẫn xuất tới %llu; %llu bản ghi; %llu đang chờ; %u phiên; "
		   "danh mục %llu; kho "
		   "%llu KiB\n"),
	    (unsigned long long)r->log_head, (unsigned long long)r->projected,
	    (unsigned long long)r->records, (unsigned long long)r->held, r->sessions,
	    (unsigned long long)r->catalogue_version, (unsigned long long)(r->store_bytes / 1024));
	print_silent(r);
	if (r->invitation_alarms != 0)
		printf(T("ALARM: %llu invitations were used a second time; see 'ltctl alarms'\n",
			   "BÁO ĐỘNG: %llu thư mời bị dùng lần nữa; xem 'ltctl alarms'\n"),
		    (unsigned long long)r->invitation_alarms);
	if (r->forks != 0)
		printf(T("ALARM: %llu change-sets of second branches are kept as evidence; see "
			 "'ltctl forks'\n",
			   "BÁO ĐỘNG: %llu gói của nhánh thứ hai được giữ làm chứng cứ; xem 'ltctl "
			   "forks'\n"),
		    (unsigned long long)r->forks);
	if (r->twins != 0)
		printf(T("ALARM: %llu time(s) since the start, a second machine came with the keys "
			 "of one that was at work, and was refused; see 'ltctl nodes'\n",
			   "BÁO ĐỘNG: từ khi khởi động, %llu lần có máy thứ hai dùng khóa của máy "
			   "đang "
			   "chạy và bị từ chối; xem 'ltctl nodes'\n"),
		    (unsigned long long)r->twins);
	if (r->hub_clock_wrong)
		printf(
		    T("ALARM: the clock of this hub is wrong: those of most nodes on the line are "
		      "%lld s ahead of it; set it, not theirs\n",
			"BÁO ĐỘNG: đồng hồ của đầu mối này sai: đồng hồ của phần lớn các máy đang "
			"nối nhanh hơn %lld giây; hãy chỉnh đồng hồ đầu mối, không chỉnh các máy "
			"kia\n"),
		    (long long)(r->clock_offset_ms / 1000));
	print_store(c, r);
	ctl_print_nodes(c, nodes->n_node, nodes->node);
}

/* ---- both ---- */

static json_t *
lanes_json(const Ltpb__StatusReply *r)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < r->n_lane; i++)
		json_array_append_new(a,
		    json_pack("{s:s,s:I,s:I,s:I,s:I}", "lane", ctl_lane((int)r->lane[i]->lane),
			"made", (json_int_t)r->lane[i]->made, "receipted",
			(json_int_t)r->lane[i]->receipted, "refused",
			(json_int_t)r->lane[i]->refused, "forked", (json_int_t)r->lane[i]->forked));
	return a;
}

static void
print_json(
    const Ltpb__StatusReply *r, const Ltpb__ListNodesReply *nodes, uint64_t within, bool behind)
{
	json_t *o = json_object();
	size_t i, late = 0;

	json_object_set_new(o, "role", ctl_json_text(r->role));
	json_object_set_new(o, "unit", ctl_json_text(r->unit));
	json_object_set_new(o, "unit_name", ctl_json_text(r->unit_name));
	json_object_set_new(o, "version", ctl_json_text(r->version));
	json_object_set_new(o, "federation", ctl_json_hex(r->federation.data, r->federation.len));
	json_object_set_new(o, "principal", ctl_json_hex(r->principal.data, r->principal.len));
	json_object_set_new(o, "behind", json_boolean(behind));
	json_object_set_new(o, "records", json_integer((json_int_t)r->records));
	json_object_set_new(o, "catalogue_version", json_integer((json_int_t)r->catalogue_version));
	json_object_set_new(o, "store_bytes", json_integer((json_int_t)r->store_bytes));
	json_object_set_new(o, "held", json_integer((json_int_t)r->held));
	json_object_set_new(o, "silent_lines", json_integer((json_int_t)r->silent_lines));
	json_object_set_new(o, "findings", json_integer((json_int_t)r->findings));
	json_object_set_new(o, "lost", json_integer((json_int_t)r->lost));
	json_object_set_new(o, "scrubbed_ms", json_integer(r->scrubbed_ms));
	json_object_set_new(o, "rebuilding", json_boolean(r->rebuilding));
	if (nodes == NULL) {
		json_object_set_new(o, "connected", json_boolean(r->connected));
		json_object_set_new(o, "link_state", ctl_json_text(r->link_state));
		json_object_set_new(o, "link_error", ctl_json_text(r->link_error));
		json_object_set_new(o, "link_error_vi", ctl_json_text(r->link_error_vi));
		json_object_set_new(o, "last_hub_contact_ms", json_integer(r->last_hub_contact_ms));
		json_object_set_new(o, "clock_offset_ms", json_integer(r->clock_offset_ms));
		json_object_set_new(o, "clock_wrong", json_boolean(r->clock_wrong));
		json_object_set_new(o, "hub_clock_wrong", json_boolean(r->hub_clock_wrong));
		json_object_set_new(o, "equivocations", json_integer((json_int_t)r->equivocations));
		json_object_set_new(o, "lanes", lanes_json(r));
	} else {
		for (i = 0; i < nodes->n_node; i++)
			late += unit_node_behind(nodes->node[i], within);
		json_object_set_new(o, "hub_clock_wrong", json_boolean(r->hub_clock_wrong));
		json_object_set_new(o, "hub_clock_offset_ms", json_integer(r->clock_offset_ms));
		json_object_set_new(o, "log_head", json_integer((json_int_t)r->log_head));
		json_object_set_new(o, "projected", json_integer((json_int_t)r->projected));
		json_object_set_new(o, "sessions", json_integer((json_int_t)r->sessions));
		json_object_set_new(
		    o, "invitation_alarms", json_integer((json_int_t)r->invitation_alarms));
		json_object_set_new(o, "forks", json_integer((json_int_t)r->forks));
		json_object_set_new(o, "twins", json_integer((json_int_t)r->twins));
		json_object_set_new(o, "nodes", json_integer((json_int_t)nodes->n_node));
		json_object_set_new(o, "recovering", json_boolean(r->recovering));
		json_object_set_new(o, "awaited", json_integer((json_int_t)r->awaited));
		json_object_set_new(o, "nodes_behind", json_integer((json_int_t)late));
	}
	ctl_print_json(o);
}

enum ctl_exit
cmd_status(struct ctl *c, int argc, char **argv)
{
	Ltpb__StatusRequest req = LTPB__STATUS_REQUEST__INIT;
	Ltpb__ListNodesRequest list = LTPB__LIST_NODES_REQUEST__INIT;
	uint64_t within = WITHIN_DEFAULT_S;
	const struct ctl_option options[] = { { "within", CTL_SECONDS, &within } };
	ProtobufCMessage *m = NULL, *n = NULL;
	const Ltpb__ListNodesReply *nodes = NULL;
	const Ltpb__StatusReply *r;
	struct ctl_list args;
	bool behind;
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "Status", &req.base, &m);
	if (code != CTL_DONE)
		return code == CTL_USAGE ? code : CTL_UNKNOWN;
	r = (const Ltpb__StatusReply *)m;
	behind = node_is_behind(r);
	if (strcmp(r->role, "hub") == 0) {
		code = ctl_call(c, &ltpb__admin__descriptor, "ListNodes", &list.base, &n);
		if (code != CTL_DONE)
			goto out;
		nodes = (const Ltpb__ListNodesReply *)n;
		behind = r->projected < r->log_head;
		for (i = 0; i < nodes->n_node; i++)
			behind |= unit_node_behind(nodes->node[i], within);
	}
	if (c->json)
		print_json(r, nodes, within, behind);
	else if (nodes != NULL)
		print_hub(c, r, nodes);
	else
		print_node(c, r);
	/* By which those on the telephone know each other. */
	if (!c->json && !ctl_is_client(c))
		ctl_print_words(stdout, c->id);
	code = behind || r->findings != 0 || r->rebuilding || r->recovering || r->equivocations != 0
		   ? CTL_NO
		   : CTL_DONE;
out:
	ctl_reply_free(m);
	ctl_reply_free(n);
	return code;
}
