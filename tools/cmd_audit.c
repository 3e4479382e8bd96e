/* audit: who was given what of whose records, and who was denied; at the hub everything, at a node what is its commune's. */
#include "proto/base/wire.h"
#include "proto/rpc/json.h"
#include "proto/rpc/methods.h"
#include "proto/store/audit_dir.h"
#include "tools/ctl.h"

#include "lienthong/v1/audit.pb-c.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *
kind_name(Ltpb__AuditKind k)
{
	return k == LTPB__AUDIT_KIND__AUDIT_KIND_DENIED ? "denied"
	       : k == LTPB__AUDIT_KIND__AUDIT_KIND_ACT  ? "act"
	       : k == LTPB__AUDIT_KIND__AUDIT_KIND_GAP  ? "gap"
							: "read";
}

static const char *
kind_words(Ltpb__AuditKind k)
{
	return k == LTPB__AUDIT_KIND__AUDIT_KIND_DENIED ? T("DENIED", "BỊ TỪ CHỐI")
	       : k == LTPB__AUDIT_KIND__AUDIT_KIND_ACT  ? T("act", "thao tác")
	       : k == LTPB__AUDIT_KIND__AUDIT_KIND_GAP  ? T("GAP", "THIẾU")
							: T("read", "đọc");
}

/* Why entries are missing, for people. */
static const char *
gap_words(const char *why)
{
	static const struct {
		const char *why, *en, *vi;
	} words[] = {
		{ "torn", "the machine stopped in the middle of an entry",
		    "máy dừng giữa lúc ghi một mục" },
		{ "disk-full", "the disk was full", "đĩa đầy" },
		{ "cap-reached", "max_bytes was reached", "đã hết dung lượng max_bytes" },
		{ "write-failed", "it could not be written", "không ghi được" },
		{ "sync-failed", "the disk did not take it", "đĩa không nhận" },
		{ "end-missing", "the end of the log before was taken away",
		    "phần cuối của nhật ký trước đã bị lấy mất" },
		{ "log-lost", "the log before is gone", "nhật ký trước đã mất" },
		{ "damaged", "the log before is damaged", "nhật ký trước bị hỏng" },
		{ "key-changed", "the hub's key changed before the end of the log was signed",
		    "khóa của đầu mối đã đổi trước khi phần cuối nhật ký được ký" },
		{ "of-another-hub", "the log before is of another hub",
		    "nhật ký trước là của đầu mối khác" },
		{ "count-damaged", "how many are missing is not known: audit.lost is damaged",
		    "không biết thiếu bao nhiêu: tệp audit.lost bị hỏng" },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].why, why) == 0)
			return T(words[i].en, words[i].vi);
	return why;
}

static const char *
who_name(struct ctl *c, const Ltpb__AuditEntry *e)
{
	char text[64];

	if (e->asker == LTPB__AUDIT_ASKER__AUDIT_ASKER_NOBODY)
		return T("not enrolled", "chưa được cấp quyền");
	if (e->asker == LTPB__AUDIT_ASKER__AUDIT_ASKER_LOCAL) {
		(void)snprintf(text, sizeof(text),
		    T("hub's machine, user %llu", "máy đầu mối, uid %llu"),
		    (unsigned long long)e->uid);
		return lt_arena_dup(&c->arena, text, strlen(text));
	}
	if (e->label[0] != '\0')
		return e->label;
	return e->org[0] != '\0' ? e->org : ctl_hex(&c->arena, e->principal.data, e->principal.len);
}

static json_t *
entry_json(const Ltpb__AuditEntry *e)
{
	json_t *o = json_object(), *parts = json_array();
	static const char *const asker[] = { "nobody", "principal", "local" };
	size_t i;

	json_object_set_new(o, "log", json_sprintf("%016llx", (unsigned long long)e->log));
	if (e->missing_from != 0) {
		json_object_set_new(
		    o, "kind", json_string(e->missing_to != 0 ? "missing" : "false"));
		json_object_set_new(o, "from", json_integer((json_int_t)e->missing_from));
		json_object_set_new(o, "to", json_integer((json_int_t)e->missing_to));
	} else {
		json_object_set_new(o, "seq", json_integer((json_int_t)e->seq));
		json_object_set_new(o, "kind", json_string(kind_name(e->kind)));
		json_object_set_new(o, "time_ms", json_integer(e->time_ms));
		json_object_set_new(o, "until_ms", json_integer(e->until_ms));
		json_object_set_new(o, "count", json_integer(e->count));
		json_object_set_new(
		    o, "asker", json_string(e->asker <= 2 ? asker[e->asker] : "unknown"));
		json_object_set_new(
		    o, "principal", ctl_json_hex(e->principal.data, e->principal.len));
		json_object_set_new(o, "uid", json_integer((json_int_t)e->uid));
		json_object_set_new(o, "label", ctl_json_text(e->label));
		json_object_set_new(o, "org", ctl_json_text(e->org));
		json_object_set_new(o, "method", ctl_json_text(e->method));
		json_object_set_new(o, "status", json_string(lt_status_name((int)e->status)));
		json_object_set_new(o, "query", ctl_json_hex(e->query.data, e->query.len));
		json_object_set_new(o, "signed", json_boolean(e->signed_head));
	}
	for (i = 0; i < e->n_part; i++)
		json_array_append_new(parts,
		    json_pack("{s:o,s:I,s:I,s:I,s:I,s:o}", "unit", ctl_json_text(e->part[i]->unit),
			"no", (json_int_t)e->part[i]->no, "rows", (json_int_t)e->part[i]->rows,
			"masked", (json_int_t)e->part[i]->masked, "withheld",
			(json_int_t)e->part[i]->withheld, "collections",
			ctl_json_texts(e->part[i]->n_collection, e->part[i]->collection)));
	json_object_set_new(o, "parts", parts);
	if (e->parts_left != 0)
		json_object_set_new(o, "parts_left", json_integer(e->parts_left));
	return o;
}

/* "Query/Get" of "/lienthong.v1.Query/Get". */
static const char *
short_method(const char *method)
{
	const char *dot = strrchr(method, '.');

	return dot != NULL ? dot + 1 : method;
}

static void
print_part(const Ltpb__AuditPart *p)
{
	size_t i;

	printf("    %s: ", strcmp(p->unit, "*") == 0 ? T("all units", "mọi đơn vị") : p->unit);
	printf(T("%u rows", "%u dòng"), p->rows);
	if (p->masked != 0)
		printf(T(", %u fields masked", ", %u trường bị che"), p->masked);
	if (p->withheld != 0)
		printf(T(", %u values withheld", ", %u giá trị không có"), p->withheld);
	for (i = 0; i < p->n_collection; i++) {
		printf("%s", i == 0 ? "  " : ", ");
		ctl_say_text(stdout, p->collection[i]);
	}
	printf("\n");
}

static void
print_entry(struct ctl *c, const Ltpb__AuditEntry *e)
{
	size_t i;

	if (e->missing_from != 0 && e->missing_to == 0) {
		printf(
		    T("FALSE: what the hub showed as entry %llu of this unit cannot be; tell the "
		      "province's operator, and keep this machine's data\n",
			"SAI: mục %llu mà đầu mối đưa ra cho đơn vị này không thể đúng; hãy báo "
			"người vận hành của tỉnh và giữ nguyên dữ liệu máy này\n"),
		    (unsigned long long)e->missing_from);
		return;
	}
	if (e->missing_from != 0) {
		printf(T("MISSING: entries %llu to %llu of this unit are not kept at the hub any "
			 "more\n",
			   "THIẾU: các mục %llu đến %llu của đơn vị này đầu mối không còn giữ\n"),
		    (unsigned long long)e->missing_from, (unsigned long long)e->missing_to);
		return;
	}
	printf("%llu  %s  ", (unsigned long long)e->seq, ctl_time(&c->arena, e->time_ms));
	if (e->kind == LTPB__AUDIT_KIND__AUDIT_KIND_GAP) {
		printf("%s: %s", kind_words(e->kind), gap_words(e->method));
		if (e->count != 0)
			printf(T(", %u entries missing", ", thiếu %u mục"), e->count);
		printf("\n");
		return;
	}
	ctl_say_text(stdout, who_name(c, e));
	/* For the log it is a question like others; who reads is to see that something went. */
	printf("  %s  ", e->kind == LTPB__AUDIT_KIND__AUDIT_KIND_READ &&
				 strcmp(short_method(e->method), "Admin/Erase") == 0
			     ? T("erasing, or its preview", "xóa, hoặc xem trước khi xóa")
			     : kind_words(e->kind));
	ctl_say_text(stdout, short_method(e->method));
	if (e->status != 0)
		printf("  %s", lt_status_name((int)e->status));
	if (e->count > 1)
		printf(T("  %u times until %s", "  %u lần tới %s"), e->count,
		    ctl_time(&c->arena, e->until_ms));
	printf("\n");
	for (i = 0; i < e->n_part; i++)
		print_part(e->part[i]);
	if (e->parts_left != 0)
		printf(T("    and %u units more: see each with --unit\n",
			   "    và %u đơn vị nữa: xem từng đơn vị bằng --unit\n"),
		    e->parts_left);
}

/* ---- list ---- */

/* "2026-11-22", "2026-11-22 08:30" (Vietnam), or how long ago: "7d". */
static bool
take_time(const char *text, int64_t *ms)
{
	struct tm tm = { 0 };
	uint64_t s;
	const char *end;

	if (ctl_seconds(text, &s)) {
		*ms = lt_wall_ms(lt_clock_system()) - (int64_t)s * 1000;
		return true;
	}
	end = strptime(text, "%Y-%m-%d", &tm);
	if (end != NULL && (*end == ' ' || *end == 'T'))
		end = strptime(end + 1, "%H:%M", &tm);
	if (end == NULL || *end != '\0')
		return false;
	*ms = ((int64_t)timegm(&tm) - 7 * 3600) * 1000;
	return true;
}

/* At a node: what the hub cannot take back. */
static void
print_head(struct ctl *c, const Ltpb__AuditListReply *r)
{
	const char *hash = ctl_hex(&c->arena, r->head_hash.data, r->head_hash.len);

	if (r->head == 0)
		return;
	if (c->json)
		ctl_print_json(json_pack("{s:s,s:o,s:I,s:s}", "kind", "head", "log",
		    json_sprintf("%016llx", (unsigned long long)r->log), "head",
		    (json_int_t)r->head, "hash", hash));
	else
		printf(T("the hub's log must have: %016llx:%llu:%s\n",
			   "nhật ký của đầu mối phải có: %016llx:%llu:%s\n"),
		    (unsigned long long)r->log, (unsigned long long)r->head, hash);
}

/* What is not shown, and why. true: because it is damaged. */
static bool
print_damage(const struct ctl *c, const Ltpb__AuditListReply *r)
{
	size_t i;

	for (i = 0; i < r->n_damaged; i++) {
		unsigned long long file = r->damaged[i]->file, at = r->damaged[i]->at;

		if (c->json)
			ctl_print_json(json_pack("{s:s,s:I,s:I}", "kind", "damaged", "file",
			    (json_int_t)file, "at", (json_int_t)at));
		ctl_complain(T("file %llu of the audit is damaged: what stood behind byte %llu in "
			       "it is not shown; see 'ltctl audit verify'",
				 "tệp %llu của nhật ký truy cập bị hỏng: phần sau byte %llu trong "
				 "tệp này không hiện ra; hãy xem 'ltctl audit verify'"),
		    file, at);
	}
	if (r->expired)
		ctl_complain(
		    "%s", T("older entries were let go meanwhile, and are not shown",
			      "các mục cũ hơn vừa hết hạn lưu và được bỏ đi, nên không hiện ra"));
	return r->n_damaged != 0;
}

static enum ctl_exit
list_pages(struct ctl *c, Ltpb__AuditListRequest *req, size_t *n)
{
	enum ctl_exit code;
	bool stopped, damaged = false;

	do {
		const Ltpb__AuditListReply *r;
		ProtobufCMessage *m = NULL;
		size_t i;

		code = ctl_call(c, &ltpb__audit__descriptor, "ListEntries", &req->base, &m);
		if (code != CTL_DONE)
			return code;
		r = (const Ltpb__AuditListReply *)m;
		for (i = 0; i < r->n_entry; i++)
			if (c->json)
				ctl_print_json(entry_json(r->entry[i]));
			else
				print_entry(c, r->entry[i]);
		*n += r->n_entry;
		damaged |= print_damage(c, r);
		if (r->next_page_token.len == 0)
			print_head(c, r);
		stopped = r->stopped;
		if (stopped && r->next_page_token.len == 0)
			ctl_complain(
			    T("the audit has stopped: %llu entries are missing so far; make "
			      "room on the hub's disk, or raise max_bytes in [audit]",
				"nhật ký truy cập đã dừng: hiện thiếu %llu mục; hãy giải "
				"phóng đĩa của đầu mối, hoặc tăng max_bytes trong [audit]"),
			    (unsigned long long)r->lost);
		req->page_token.len = r->next_page_token.len;
		req->page_token.data =
		    lt_arena_dup(&c->arena, r->next_page_token.data, r->next_page_token.len);
		ctl_reply_free(m);
		if (req->page_token.data == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
	} while (req->page_token.len != 0);
	return stopped || damaged ? CTL_NO : CTL_DONE;
}

static enum ctl_exit
take_times(const char *since, const char *until, Ltpb__AuditListRequest *req)
{
	if ((since == NULL || take_time(since, &req->since_ms)) &&
	    (until == NULL || take_time(until, &req->until_ms)))
		return CTL_DONE;
	return ctl_fail(CTL_USAGE, "%s",
	    T("a time is like 2026-11-22, '2026-11-22 08:30', or 7d for seven days ago",
		"thời gian có dạng 2026-11-22, '2026-11-22 08:30', hoặc 7d là bảy ngày trước"));
}

enum ctl_exit
cmd_audit_list(struct ctl *c, int argc, char **argv)
{
	Ltpb__AuditListRequest req = LTPB__AUDIT_LIST_REQUEST__INIT;
	const char *since = NULL, *until = NULL, *principal = NULL, *unit = "", *collection = "",
		   *method = "";
	bool denied = false;
	const struct ctl_option options[] = { { "since", CTL_TEXT, &since },
		{ "until", CTL_TEXT, &until }, { "principal", CTL_TEXT, &principal },
		{ "unit", CTL_TEXT, &unit }, { "collection", CTL_TEXT, &collection },
		{ "method", CTL_TEXT, &method }, { "denied", CTL_FLAG, &denied } };
	struct ctl_list args;
	uint8_t id[LT_ID_LEN];
	size_t n = 0;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 7, &args, 0, 0);

	if (code == CTL_DONE)
		code = take_times(since, until, &req);
	if (code == CTL_DONE && principal != NULL && lt_unhex(id, sizeof(id), principal) != LT_OK)
		code = ctl_fail(CTL_USAGE, "%s",
		    T("a principal is 32 hexadecimal digits: see 'ltctl keys list'",
			"chủ thể là 32 chữ số thập lục phân: xem 'ltctl keys list'"));
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	if (principal != NULL) {
		req.principal.data = id;
		req.principal.len = sizeof(id);
	}
	req.unit = (char *)unit;
	req.collection = (char *)collection;
	req.method = (char *)method;
	req.kind = denied ? LTPB__AUDIT_KIND__AUDIT_KIND_DENIED : 0;
	req.page_size = 1000;
	code = list_pages(c, &req, &n);
	if (n == 0 && !c->json && code == CTL_DONE)
		printf("%s\n", T("nothing was read, as far as is known here",
				   "theo những gì ở đây biết, chưa ai đọc gì"));
	return code;
}

/* ---- verify ---- */

static enum ctl_exit
print_verified(struct ctl *c, const Ltpb__AuditVerifyReply *r)
{
	const char *problem =
	    ctl_vietnamese && r->problem_vi[0] != '\0' ? r->problem_vi : r->problem;

	if (c->json) {
		json_t *o = json_object();

		json_object_set_new(o, "good", json_boolean(r->good));
		json_object_set_new(o, "problem", ctl_json_text(r->problem));
		json_object_set_new(o, "problem_vi", ctl_json_text(r->problem_vi));
		json_object_set_new(o, "files", json_integer((json_int_t)r->files));
		json_object_set_new(o, "entries", json_integer((json_int_t)r->entries));
		json_object_set_new(o, "heads", json_integer((json_int_t)r->heads));
		json_object_set_new(o, "gaps", json_integer((json_int_t)r->gaps));
		json_object_set_new(o, "missing", json_integer((json_int_t)r->missing));
		json_object_set_new(o, "logs", json_integer(r->logs));
		json_object_set_new(o, "log", json_sprintf("%016llx", (unsigned long long)r->log));
		json_object_set_new(o, "head", json_integer((json_int_t)r->head));
		json_object_set_new(o, "unsigned", json_integer(r->unsigned_entries));
		json_object_set_new(o, "witnessed", json_boolean(r->witnessed));
		json_object_set_new(o, "expired", json_boolean(r->expired));
		ctl_print_json(o);
		return r->good ? CTL_DONE : r->expired ? CTL_UNKNOWN : CTL_NO;
	}
	if (r->expired)
		printf(T("NOT TO BE TOLD: %s; what is kept is good\n",
			   "KHÔNG KIỂM TRA ĐƯỢC: %s; phần còn giữ thì tốt\n"),
		    problem);
	else if (!r->good)
		printf(T("NOT GOOD: %s\n", "KHÔNG TỐT: %s\n"), problem);
	printf(T("%llu entries, %llu signed heads, %llu files%s\n",
		   "%llu mục, %llu đầu chuỗi đã ký, %llu tệp%s\n"),
	    (unsigned long long)r->entries, (unsigned long long)r->heads,
	    (unsigned long long)r->files, r->good ? T(": good", ": tốt") : "");
	if (r->gaps != 0)
		printf(T("%llu gaps are named in it, %llu entries missing; see 'ltctl audit "
			 "list'\n",
			   "có %llu chỗ ghi rõ là thiếu, thiếu %llu mục; xem 'ltctl audit list'\n"),
		    (unsigned long long)r->gaps, (unsigned long long)r->missing);
	if (r->logs > 1)
		printf(T("%u logs: a former one was lost, or the hub restored\n",
			   "%u nhật ký: nhật ký trước đã mất, hoặc đầu mối đã được khôi phục\n"),
		    r->logs);
	if (r->unsigned_entries != 0)
		printf(
		    T("%u entries at the end are not signed yet\n", "%u mục cuối chưa được ký\n"),
		    r->unsigned_entries);
	return r->good ? CTL_DONE : r->expired ? CTL_UNKNOWN : CTL_NO;
}

static enum ctl_exit
root_key(struct ctl *c, const char *root, uint8_t key[32])
{
	enum ctl_exit code;

	if (root != NULL && lt_unhex(key, 32, root) == LT_OK)
		return CTL_DONE;
	if (root != NULL)
		return ctl_fail(CTL_USAGE, "%s",
		    T("a root key is 64 hexadecimal digits",
			"khóa gốc là 64 chữ số thập lục phân"));
	code = ctl_open(c);
	if (code == CTL_DONE)
		memcpy(key, c->id->root_key, 32);
	return code;
}

static enum ctl_exit
verify_offline(struct ctl *c, const char *root)
{
	Ltpb__AuditVerifyReply r = LTPB__AUDIT_VERIFY_REPLY__INIT;
	struct lt_audit_report rep;
	struct lt_audit_seen seen;
	struct lt_audit_dir d;
	struct lt_err err = { "" };
	uint8_t key[32];
	bool have;
	enum ctl_exit code = root_key(c, root, key);
	int rc;

	if (code != CTL_DONE)
		return code;
	have = lt_audit_witness_read(c->dir, &seen, NULL) == LT_OK;
	rc = lt_audit_dir_list(c->dir, &d, &err);
	if (rc != LT_OK)
		return ctl_error(rc, &err);
	rc = lt_audit_dir_verify(&d, key, have ? &seen : NULL, NULL, NULL, &rep, &err);
	if (rc == LT_E_NOMEM || (rc == LT_E_NOTFOUND && !rep.expired))
		return ctl_error(rc, &err);
	r.good = rc == LT_OK;
	r.expired = rep.expired;
	r.problem = err.text;
	r.problem_vi = (char *)lt_err_vi(&err);
	r.files = rep.files;
	r.entries = rep.entries;
	r.heads = rep.heads;
	r.gaps = rep.gaps;
	r.missing = rep.missing;
	r.logs = rep.logs;
	r.log = rep.last_log;
	r.head = rep.last_head;
	r.unsigned_entries = rep.unsigned_entries;
	r.witnessed = rep.witnessed;
	return print_verified(c, &r);
}

/* LOG:NO:HASH, as a node shows it. */
static bool
take_head(const char *text, Ltpb__AuditVerifyRequest *req, uint8_t hash[LT_HASH_LEN])
{
	char *end;

	req->log = strtoull(text, &end, 16);
	if (*end != ':')
		return false;
	req->no = strtoull(end + 1, &end, 10);
	if (*end != ':' || lt_unhex(hash, LT_HASH_LEN, end + 1) != LT_OK)
		return false;
	req->hash.data = hash;
	req->hash.len = LT_HASH_LEN;
	return true;
}

enum ctl_exit
cmd_audit_verify(struct ctl *c, int argc, char **argv)
{
	Ltpb__AuditVerifyRequest req = LTPB__AUDIT_VERIFY_REQUEST__INIT;
	const char *root = NULL, *head = NULL;
	bool offline = false;
	const struct ctl_option options[] = { { "offline", CTL_FLAG, &offline },
		{ "root", CTL_TEXT, &root }, { "head", CTL_TEXT, &head } };
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	uint8_t hash[LT_HASH_LEN];
	enum ctl_exit code = ctl_options(c, argc, argv, options, 3, &args, 0, 0);

	if (code != CTL_DONE)
		return code;
	if (head != NULL && !take_head(head, &req, hash))
		return ctl_fail(CTL_USAGE, "%s",
		    T("a head is LOG:NUMBER:HASH, as 'ltctl audit list' at a node ends with",
			"đầu chuỗi có dạng NHẬT_KÝ:SỐ:MÃ_BĂM, như dòng cuối của 'ltctl audit list' "
			"ở máy xã"));
	if (offline || root != NULL)
		return verify_offline(c, root);
	code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__audit__descriptor, "VerifyLog", &req.base, &m);
	if (code == CTL_DONE)
		code = print_verified(c, (const Ltpb__AuditVerifyReply *)m);
	ctl_reply_free(m);
	return code;
}

/* ---- prove ---- */

static const ProtobufCMessageDescriptor *
request_of(const char *method)
{
	size_t i, k;
	char name[160];

	for (i = 0; i < lt_nservices; i++)
		for (k = 0; k < lt_services[i]->n_methods; k++) {
			(void)snprintf(name, sizeof(name), "/%s/%s", lt_services[i]->name,
			    lt_services[i]->methods[k].name);
			if (strcmp(name, method) == 0)
				return lt_services[i]->methods[k].input;
		}
	return NULL;
}

/* The entry, its parts and its head, by the root key alone. */
static int
check_proof(struct ctl *c, const Ltpb__AuditProveReply *r, struct lt_audit_entry *e,
    struct lt_audit_head *h, struct lt_err *err)
{
	struct lt_slice cert = lt_slice(r->certificate.data, r->certificate.len);
	Ltpb__CertificateBody *body;
	struct lt_hash path[LT_MERKLE_PATH_MAX], leaf, root;
	struct lt_merkle tree;
	size_t i;
	int rc =
	    lt_certificate_verify(cert, c->id->root_key, &c->id->federation, &c->arena, &body, err);

	if (rc != LT_OK)
		return rc;
	if (body->role != LTPB__ROLE__ROLE_HUB || r->salt.len != LT_AUDIT_SALT ||
	    r->n_path > LT_MERKLE_PATH_MAX ||
	    lt_audit_entry_read(lt_slice(r->entry.data, r->entry.len), e) != LT_OK ||
	    lt_audit_head_read(lt_slice(r->head.data, r->head.len), h) != LT_OK)
		return lt_err_set(err, LT_E_INVALID, "the proof is malformed");
	if (lt_sign_verify(body->sign_key.data, LT_TAG_AUDIT_HEAD,
		lt_slice(r->head.data, r->head.len),
		lt_slice(r->signature.data, r->signature.len)) != LT_OK)
		return lt_err_set(err, LT_E_BADSIG, "the head is not signed by the hub's key");
	lt_merkle_init(&tree);
	for (i = 0; i < r->n_part; i++) {
		uint8_t salt[LT_AUDIT_SALT];

		lt_audit_part_salt(r->salt.data, (uint32_t)i, salt);
		lt_audit_leaf(salt, lt_slice(r->part[i].data, r->part[i].len), &leaf);
		lt_merkle_add(&tree, &leaf);
	}
	lt_merkle_end(&tree, &root);
	if (r->n_part != e->nparts || !lt_hash_eq(&root, &e->parts_root))
		return lt_err_set(err, LT_E_BADHASH, "the parts are not those of the entry");
	for (i = 0; i < r->n_path; i++) {
		if (r->path[i].len != LT_HASH_LEN)
			return lt_err_set(err, LT_E_INVALID, "the proof is malformed");
		memcpy(path[i].b, r->path[i].data, LT_HASH_LEN);
	}
	lt_h1(LT_TAG_AUDIT, lt_slice(r->entry.data, r->entry.len), &leaf);
	if (e->seq < h->first || e->seq - h->first >= h->count ||
	    lt_merkle_path_root(
		&leaf, h->count, (size_t)(e->seq - h->first), path, r->n_path, &root) != LT_OK ||
	    !lt_hash_eq(&root, &h->root))
		return lt_err_set(err, LT_E_BADHASH, "the entry does not lead to its head");
	return LT_OK;
}

/* Is this what was asked? */
static enum ctl_exit
check_query(struct ctl *c, const Ltpb__AuditProveReply *r, const struct lt_audit_entry *e,
    const char *query, bool *same)
{
	const ProtobufCMessageDescriptor *d = request_of(e->method);
	ProtobufCMessage *req = NULL;
	struct lt_json_err err;
	struct lt_buf bytes = { 0 };
	struct lt_hash h;

	if (d == NULL)
		return ctl_fail(CTL_NO,
		    T("the method %s is not known here", "ở đây không biết phương thức %s"),
		    e->method);
	if (lt_json_read(d, lt_slice_str(query), &c->arena, &req, &err) != LT_OK)
		return ctl_fail(CTL_USAGE,
		    T("the query is no request of %s: see 'ltctl rpc describe'",
			"câu hỏi không phải yêu cầu của %s: xem 'ltctl rpc "
			"describe'"),
		    e->method);
	if (lt_wire_pack(req, LT_MESSAGE_MAX, &bytes) != LT_OK)
		return ctl_error(LT_E_NOMEM, NULL);
	lt_audit_commit(r->salt.data, e->method, lt_buf_slice(&bytes), &h);
	*same = lt_hash_eq(&h, &e->query);
	lt_buf_fini(&bytes);
	return CTL_DONE;
}

static enum ctl_exit
tell_proof(struct ctl *c, const Ltpb__AuditProveReply *r, const char *query)
{
	struct lt_err err = { "" };
	struct lt_audit_entry e;
	struct lt_audit_head h;
	bool same = false;
	enum ctl_exit code = CTL_DONE;

	if (check_proof(c, r, &e, &h, &err) != LT_OK)
		return ctl_fail(CTL_NO, "%s: %s", T("NOT PROVEN", "KHÔNG CHỨNG MINH ĐƯỢC"),
		    ctl_said(LT_E_INVALID, &err));
	if (query != NULL)
		code = check_query(c, r, &e, query, &same);
	if (code != CTL_DONE)
		return code;
	if (c->json) {
		json_t *o = json_object();

		json_object_set_new(o, "good", json_true());
		json_object_set_new(o, "seq", json_integer((json_int_t)e.seq));
		json_object_set_new(o, "method", json_string(e.method));
		json_object_set_new(o, "time_ms", json_integer(e.time_ms));
		json_object_set_new(o, "head", json_integer((json_int_t)h.no));
		json_object_set_new(o, "entry", ctl_json_hex(r->entry.data, r->entry.len));
		json_object_set_new(o, "salt", ctl_json_hex(r->salt.data, r->salt.len));
		json_object_set_new(o, "commitment", ctl_json_hex(e.query.b, LT_HASH_LEN));
		if (query != NULL)
			json_object_set_new(o, "query_matches", json_boolean(same));
		ctl_print_json(o);
	} else {
		printf(T("entry %llu stands under head %llu, signed by the hub: %s, %s\n",
			   "mục %llu nằm dưới đầu chuỗi %llu do đầu mối ký: %s, %s\n"),
		    (unsigned long long)e.seq, (unsigned long long)h.no, short_method(e.method),
		    ctl_time(&c->arena, e.time_ms));
		if (query != NULL)
			printf("%s\n",
			    same ? T("this is what was asked", "đây đúng là câu đã hỏi")
				 : T("this is NOT what was asked", "đây KHÔNG phải câu đã hỏi"));
	}
	return query == NULL || same ? CTL_DONE : CTL_NO;
}

enum ctl_exit
cmd_audit_prove(struct ctl *c, int argc, char **argv)
{
	Ltpb__AuditProveRequest req = LTPB__AUDIT_PROVE_REQUEST__INIT;
	const char *query = NULL, *log = NULL;
	const struct ctl_option options[] = { { "query", CTL_TEXT, &query },
		{ "log", CTL_TEXT, &log } };
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	char *end;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 2, &args, 1, 1);

	if (code != CTL_DONE)
		return code;
	req.seq = strtoull(args.item[0], &end, 10);
	if (*end != '\0' || req.seq == 0 || !isdigit((unsigned char)args.item[0][0]))
		return ctl_fail(CTL_USAGE,
		    T("'%s' is no entry: see 'ltctl audit list'",
			"'%s' không phải số mục: xem 'ltctl audit list'"),
		    args.item[0]);
	if (log != NULL) {
		req.log = strtoull(log, &end, 16);
		if (*end != '\0')
			return ctl_fail(CTL_USAGE, "%s",
			    T("a log is 16 hexadecimal digits",
				"nhật ký là 16 chữ số thập lục phân"));
	}
	code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__audit__descriptor, "ProveEntry", &req.base, &m);
	if (code == CTL_DONE)
		code = tell_proof(c, (const Ltpb__AuditProveReply *)m, query);
	ctl_reply_free(m);
	return code;
}
