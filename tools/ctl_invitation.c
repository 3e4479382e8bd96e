#include "tools/ctl_invitation.h"
#include "proto/base/file.h"
#include "proto/feed/invitation_text.h"
#include "tools/ctl_qr.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- handing over ---- */

enum ctl_exit
ctl_hand_check(const struct ctl_handing *h)
{
	if (h->qr && h->no_qr)
		return ctl_fail(CTL_USAGE, "%s",
		    T("--qr or --no-qr, not both", "chỉ dùng một trong --qr và --no-qr"));
	if (h->out != NULL && access(h->out, F_OK) == 0)
		return ctl_fail(CTL_NO,
		    T("'%s' is there already; name another file; nothing was done",
			"đã có tệp '%s'; hãy nêu tên tệp khác; chưa làm gì cả"),
		    h->out);
	return CTL_DONE;
}

/* For the officer, who has this file and a telephone. */
static void
letter(struct ctl *c, const struct ctl_handing *h, struct lt_buf *b)
{
	bool node = h->role == LTPB__ROLE__ROLE_NODE;

	lt_buf_str(b, "THƯ MỜI THAM GIA HỆ THỐNG LIÊN THÔNG\n\nDành cho: ");
	if (h->unit_name[0] != '\0')
		lt_buf_printf(b, "%s (%s)\n", h->unit_name, h->unit);
	else
		lt_buf_printf(b, "%s%s\n",
		    node                                     ? "đơn vị "
		    : h->role == LTPB__ROLE__ROLE_DEPARTMENT ? "cơ quan "
		    : h->role == LTPB__ROLE__ROLE_MIRROR     ? "máy chủ bản sao"
							     : "người vận hành",
		    node ? h->unit : h->org);
	lt_buf_printf(b, "Có hiệu lực đến: %s, giờ Việt Nam. Chỉ dùng được một lần.\n",
	    ctl_time(&c->arena, h->expires_s * 1000));
	lt_buf_str(b, "Ai có tệp này đều có thể xin vào thay: hãy giữ kín, dùng xong thì xóa.\n\n"
		      "Việc cần làm trên máy mới:\n"
		      "  1. Chép tệp này vào máy, rồi chạy lệnh (thay TỆP bằng tên tệp này):\n\n");
	lt_buf_printf(
	    b, "       ltctl -C /var/lib/lienthong %s init TỆP\n\n", node ? "node" : "client");
	lt_buf_str(b,
	    "  2. Máy sẽ hiện tám từ của máy và tám từ của tỉnh. Gọi cho tỉnh theo số đã "
	    "biết,\n     không theo số ghi trong thư lạ. Tám từ của tỉnh phải đúng là:\n\n"
	    "       ");
	lt_hub_words(&c->id->federation, b);
	lt_buf_str(b, "\n\n     Khác một từ: dừng lại. Đúng: đọc cho tỉnh nghe tám từ của máy.\n");
	lt_buf_printf(b, "  3. Chạy %s\n\nDòng thư mời:\n\n%s\n",
	    node ? "lt-node -C /var/lib/lienthong rồi chờ tỉnh chấp nhận."
		 : "ltctl -C /var/lib/lienthong client join",
	    h->line);
}

static enum ctl_exit
write_letter(struct ctl *c, const struct ctl_handing *h)
{
	struct lt_err err = { "" };
	struct lt_buf b;
	int rc;

	lt_buf_init(&b, LT_INVITATION_TEXT_MAX);
	letter(c, h, &b);
	rc = b.err != LT_OK ? b.err : lt_file_write(h->out, lt_buf_slice(&b), 0600, true, &err);
	if (b.data != NULL)
		sodium_memzero(b.data, b.len);
	lt_buf_fini(&b);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
}

static size_t
columns(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

static void
draw(const struct ctl_handing *h)
{
	struct lt_buf b;
	int rc;

	lt_buf_init(&b, 1u << 20);
	rc = ctl_qr(&b, h->line, columns());
	if (rc == LT_OK)
		(void)fwrite(b.data, 1, b.len, stdout);
	else
		ctl_complain("%s",
		    rc == LT_E_TOOBIG
			? T("no QR code is drawn: the terminal is too narrow for it; widen it, or "
			    "send the line or the file",
			      "không vẽ được mã QR: cửa sổ dòng lệnh hẹp quá; hãy mở rộng cửa sổ, "
			      "hoặc gửi dòng chữ hay tệp")
			: T("no QR code is drawn: no memory", "không vẽ được mã QR: thiếu bộ nhớ"));
	if (b.data != NULL)
		sodium_memzero(b.data, b.len);
	lt_buf_fini(&b);
}

enum ctl_exit
ctl_hand_over(struct ctl *c, const struct ctl_handing *h)
{
	bool terminal = isatty(STDOUT_FILENO) == 1;
	enum ctl_exit code = CTL_DONE;

	if (h->out != NULL)
		code = write_letter(c, h);
	/* Where the file could not be written, the line is nowhere else. */
	if (h->out == NULL || terminal || code != CTL_DONE)
		printf("%s\n", h->line);
	if (h->qr || (terminal && !h->no_qr))
		draw(h);
	return code;
}

/* ---- taking in ---- */

static enum ctl_exit
read_stdin(struct lt_buf *b)
{
	char part[4096];
	size_t n;

	if (isatty(STDIN_FILENO) == 1)
		fprintf(stderr, "%s",
		    T("paste the invitation, then Enter and Ctrl-D:\n",
			"hãy dán thư mời, rồi nhấn Enter và Ctrl-D:\n"));
	while (b->err == LT_OK && (n = fread(part, 1, sizeof(part), stdin)) > 0)
		lt_buf_put(b, part, n);
	sodium_memzero(part, sizeof(part));
	if (ferror(stdin))
		return ctl_fail(CTL_UNKNOWN, T("standard input: %s", "không đọc được đầu vào: %s"),
		    T(strerror(errno), lt_errno_vi(errno)));
	return CTL_DONE;
}

static enum ctl_exit
read_text(const struct ctl_list *args, struct lt_buf *b)
{
	struct lt_err err = { "" };
	const char *path = NULL;
	size_t i;
	int rc;

	if (args->n == 0 || (args->n == 1 && strcmp(args->item[0], "-") == 0))
		return read_stdin(b);
	if (args->n == 1 && args->item[0][0] == '@')
		path = args->item[0] + 1;
	else if (args->n == 1 && access(args->item[0], F_OK) == 0)
		path = args->item[0];
	if (path != NULL) {
		rc = lt_file_read(path, LT_INVITATION_TEXT_MAX, b, &err);
		return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
	}
	/* A line that broke when it was pasted arrives in several words. */
	for (i = 0; i < args->n; i++) {
		lt_buf_str(b, args->item[i]);
		lt_buf_u8(b, ' ');
	}
	return CTL_DONE;
}

static const char *
fault_words(enum lt_invitation_fault fault)
{
	switch (fault) {
	case LT_INVITATION_NEWER:
		return T(
		    "this invitation is of a newer version: update lienthong on this machine, then "
		    "try again with the same invitation",
		    "thư mời này của phiên bản mới hơn: hãy cập nhật lienthong trên máy này rồi "
		    "làm lại với chính thư mời đó");
	case LT_INVITATION_CUT:
		return T(
		    "the invitation is cut off: its end is missing; copy the whole line again, or "
		    "use the file or the QR code",
		    "thư mời bị cắt giữa chừng, thiếu phần cuối: hãy chép lại cả dòng, hoặc dùng "
		    "tệp hay mã QR");
	case LT_INVITATION_CHANGED:
		return T(
		    "the invitation is damaged: a character of it is another (its checksum does "
		    "not fit); copy it again, do not type it",
		    "thư mời bị sai ký tự (không khớp mã kiểm tra): hãy chép lại nguyên dòng, đừng "
		    "gõ tay");
	case LT_INVITATION_SENSELESS:
		return T(
		    "the invitation is whole but not for use: ask the province for another one",
		    "thư mời đủ chữ nhưng không dùng được: hãy xin tỉnh thư mời khác");
	default:
		return T(
		    "this is no invitation: no line that begins with LT1. is in it; give the line, "
		    "or the file that holds it",
		    "đây không phải thư mời: không thấy dòng bắt đầu bằng LT1.; hãy đưa vào cả "
		    "dòng, hoặc tệp có dòng đó");
	}
}

/* As far as this machine knows what time it is; the hub's clock decides. */
static enum ctl_exit
check_expiry(struct lt_arena *arena, const Ltpb__Invitation *inv, bool anyway)
{
	int64_t now = (int64_t)time(NULL);

	if (anyway || inv->expires_s == 0 || inv->expires_s > now)
		return CTL_DONE;
	return ctl_fail(CTL_NO,
	    T("by this machine's clock (%s) the invitation has expired (%s): ask the province for "
	      "a new one; if the clock is wrong, set it, or add --anyway",
		"theo đồng hồ máy này (%s) thư mời đã hết hạn (%s): hãy xin tỉnh thư mời mới; nếu "
		"đồng hồ sai thì chỉnh lại, hoặc thêm --anyway"),
	    ctl_time(arena, now * 1000), ctl_time(arena, inv->expires_s * 1000));
}

enum ctl_exit
ctl_take_invitation(
    const struct ctl_list *args, bool anyway, struct lt_arena *arena, Ltpb__Invitation **out)
{
	enum lt_invitation_fault fault = LT_INVITATION_NONE;
	enum ctl_exit code;
	struct lt_buf b;
	int rc;

	lt_buf_init(&b, LT_INVITATION_TEXT_MAX);
	code = read_text(args, &b);
	rc = b.err != LT_OK ? LT_E_TOOBIG : LT_OK;
	if (code == CTL_DONE && rc == LT_OK)
		rc = lt_invitation_find(lt_buf_slice(&b), arena, out, &fault);
	if (b.data != NULL)
		sodium_memzero(b.data, b.len);
	lt_buf_fini(&b);
	if (code != CTL_DONE)
		return code;
	if (rc == LT_E_TOOBIG)
		return ctl_fail(CTL_NO, "%s",
		    T("this is too long for an invitation: give the line itself, or the file from "
		      "the province",
			"dài quá, không phải thư mời: hãy đưa vào đúng dòng thư mời, hoặc tệp của "
			"tỉnh"));
	if (rc == LT_E_INVALID)
		return ctl_fail(CTL_NO, "%s", fault_words(fault));
	return rc == LT_OK ? check_expiry(arena, *out, anyway) : ctl_error(rc, NULL);
}

static void
both_words(const struct lt_identity *id, struct lt_buf *own, struct lt_buf *hub)
{
	lt_buf_init(own, 256);
	lt_buf_init(hub, 256);
	lt_fingerprint(&id->federation, &id->principal, id->sign.pk, id->line_pk, own);
	lt_hub_words(&id->federation, hub);
}

json_t *
ctl_words_json(const struct lt_identity *id)
{
	json_t *o = json_object();
	struct lt_buf own, hub;

	both_words(id, &own, &hub);
	lt_buf_u8(&own, 0);
	lt_buf_u8(&hub, 0);
	json_object_set_new(o, "role", json_string(ctl_role_name(id->role)));
	json_object_set_new(o, "unit", ctl_json_text(id->unit.s));
	json_object_set_new(o, "org", ctl_json_text(id->org));
	json_object_set_new(o, "principal", ctl_json_hex(id->principal.b, LT_ID_LEN));
	json_object_set_new(o, "federation", ctl_json_hex(id->federation.b, LT_FED_LEN));
	json_object_set_new(o, "hub", ctl_json_text(id->addresses));
	json_object_set_new(
	    o, "words", ctl_json_text(own.err == LT_OK ? (const char *)own.data : ""));
	json_object_set_new(
	    o, "province_words", ctl_json_text(hub.err == LT_OK ? (const char *)hub.data : ""));
	lt_buf_fini(&own);
	lt_buf_fini(&hub);
	return o;
}

void
ctl_print_words(FILE *to, const struct lt_identity *id)
{
	struct lt_buf own, hub;

	both_words(id, &own, &hub);
	if (id->role != LTPB__ROLE__ROLE_HUB)
		fprintf(to, T("words of this machine: %.*s\n", "tám từ của máy này: %.*s\n"),
		    (int)own.len, (const char *)own.data);
	fprintf(to, T("words of the province: %.*s\n", "tám từ của tỉnh:    %.*s\n"), (int)hub.len,
	    (const char *)hub.data);
	lt_buf_fini(&own);
	lt_buf_fini(&hub);
}
