/* compact: the store of a stopped machine without the bytes that it does not use any more (FORMAT.md 9.15). */
#include "proto/base/file.h"
#include "proto/store/compact.h"
#include "proto/store/derived.h"
#include "proto/store/tables.h"
#include "tools/ctl.h"

#include <string.h>
#include <unistd.h>

static enum ctl_exit
say(struct ctl *c, const struct lt_compact_report *r, uint64_t derived)
{
	if (c->json)
		ctl_print_json(json_pack("{s:I,s:I,s:I,s:I}", "before", (json_int_t)r->before,
		    "after", (json_int_t)r->after, "derived", (json_int_t)derived, "damaged",
		    (json_int_t)r->bad));
	else
		printf(T("The store has %llu KiB, before it had %llu KiB; the old file is "
			 "overwritten.\n",
			   "Kho còn %llu KiB, trước đó %llu KiB; tệp cũ đã bị ghi đè.\n"),
		    (unsigned long long)r->after / 1024, (unsigned long long)r->before / 1024);
	if (!c->json && derived != 0)
		printf("%s\n", T("The derived tables are made from the log at the next start.",
				   "Các bảng dẫn xuất sẽ được dựng lại từ nhật ký khi khởi động."));
	if (r->bad != 0)
		ctl_complain(T("%llu values are damaged, as before; see 'ltctl scrub'",
				 "%llu giá trị bị hỏng như trước; xem 'ltctl scrub'"),
		    (unsigned long long)r->bad);
	return CTL_DONE;
}

/* A hub's tables that show more than its log are the witness of files put back by hand, and compacting takes them away. What cannot be opened
 * tells nothing here. */
static bool
is_witness(const struct ctl *c)
{
	struct lt_kv *log = NULL, *derived = NULL;
	struct lt_err err = { "" };
	uint8_t sign[LT_DERIVED_SIGN_LEN];
	bool ahead = false;
	int rc = lt_tables_open(c->dir, "log", LT_KV_HUB_LOG, &c->id->federation, 0, &log, &err);

	if (rc == LT_OK)
		rc = lt_tables_open(
		    c->dir, "derived", LT_KV_HUB_DERIVED, &c->id->federation, 0, &derived, &err);
	if (rc == LT_OK && lt_derived_ahead(log, derived, &ahead, sign) != LT_OK)
		ahead = false;
	lt_kv_close(derived);
	lt_kv_close(log);
	return ahead;
}

enum ctl_exit
cmd_compact(struct ctl *c, int argc, char **argv)
{
	struct lt_compact_report report;
	struct lt_err err = { "" };
	struct ctl_list args;
	uint64_t derived = 0;
	bool hub;
	int lock, rc;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_open(c);
	if (code != CTL_DONE)
		return code;
	if (ctl_is_client(c))
		return ctl_fail(CTL_USAGE, "%s",
		    T("this is a client's directory: it has no store",
			"thư mục của máy khách không có kho dữ liệu"));
	hub = c->id->role == LTPB__ROLE__ROLE_HUB;
	rc = lt_dir_lock(c->dir, &lock, &err);
	if (rc != LT_OK)
		return rc == LT_E_BUSY ? ctl_fail(CTL_UNKNOWN, "%s",
					     T("stop the service first: its store is in use",
						 "hãy dừng dịch vụ trước: kho đang được dùng"))
				       : ctl_error(rc, &err);
	if (hub && is_witness(c)) {
		(void)close(lock);
		return ctl_fail(CTL_NO, "%s",
		    T("the hub's tables show more than its log: files were put back by hand, and "
		      "only the tables tell; start the hub first (on a full disk remove other "
		      "files before that), then it waits for its nodes (see 'ltctl recovery')",
			"các bảng của tỉnh có nhiều hơn nhật ký: tệp cũ đã được chép về, và chỉ "
			"các "
			"bảng cho biết điều đó; hãy khởi động dịch vụ trước (nếu đĩa đầy, hãy xóa "
			"tệp khác trước đã), nó sẽ chờ các máy xã (xem 'ltctl recovery')"));
	}
	rc = lt_store_compact(c->dir, hub ? "log" : "store", hub ? LT_KV_HUB_LOG : LT_KV_NODE,
	    &c->id->federation, &report, &err);
	if (rc == LT_OK && hub)
		rc = lt_store_drop_derived(c->dir, "derived", &derived, &err);
	/* Else the next start would do it once more. */
	if (rc == LT_OK)
		rc = lt_compact_settle(c->dir, hub ? "log" : "store",
		    hub ? LT_KV_HUB_LOG : LT_KV_NODE, &c->id->federation, &err);
	(void)close(lock);
	return rc == LT_OK ? say(c, &report, derived) : ctl_error(rc, &err);
}
