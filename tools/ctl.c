#include "tools/ctl.h"
#include "proto/base/file.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/rpc/methods.h"
#include "proto/rpc/resume.h"
#include "proto/store/access.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define WORKERS 2
#define WORK_QUEUE 64
#define CALL_MS 60000 /* of one call, connecting anew after a cut included */
#define REDIAL_MS 5000
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define CERTIFICATE_MAX 4096
#define CERTIFICATE_ARENA ((size_t)1024 * 1024)

/* ---- complaints ---- */

void
ctl_complain(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)fputs("ltctl: ", stderr);
	ctl_say_text(stderr, text);
	(void)fputc('\n', stderr);
}

/* The next step, for the language in which the other side's words have none. */
static const char *
next_step(const struct lt_status *st)
{
	switch (st->code) {
	case LT_STATUS_UNAVAILABLE:
		return "try again in a while";
	case LT_STATUS_DEADLINE_EXCEEDED:
		return "it took too long; try again, or ask for less";
	case LT_STATUS_UNAUTHENTICATED:
		return "ask the operator of the hub to approve this machine";
	case LT_STATUS_RESOURCE_EXHAUSTED:
		return "the other side is full or busy; try again later";
	case LT_STATUS_ABORTED:
		/* Of the rest no record is spoken of: their words say what to do. */
		return strcmp(st->reason, "WRITE") == 0 || strcmp(st->reason, "IMPORT") == 0
			   ? "read the record again, then decide"
			   : "";
	case LT_STATUS_DATA_LOSS:
		return "stored data is damaged; call whoever looks after this machine";
	default:
		return "";
	}
}

static void
complain_at(const struct lt_status *st, const char *said)
{
	if (st->field[0] != '\0')
		ctl_complain("%s (%s '%s', %s %s)", said, T("field", "trường"), st->field,
		    T("rule", "quy tắc"), st->rule);
	else
		ctl_complain("%s", said);
}

static void
complain_english(const struct lt_status *st)
{
	const char *step = next_step(st);

	complain_at(st, st->message[0] != '\0' ? st->message : lt_status_name((int)st->code));
	if (step[0] != '\0')
		ctl_complain("%s", step);
}

/* Words that fit every failure of the kind leave out what the English ones name. */
static void
complain_vietnamese(const struct lt_status *st, const char *general)
{
	bool own = st->message_vi[0] != '\0' && strcmp(st->message_vi, general) != 0;

	complain_at(st, own ? st->message_vi : general);
	if (!own && st->message[0] != '\0')
		ctl_complain("chi tiết (tiếng Anh): %s", st->message);
}

static void
complain_json(const struct ctl *c, const struct lt_status *st, const char *general)
{
	json_t *o = json_object();

	json_object_set_new(o, "code", ctl_json_text(lt_status_name((int)st->code)));
	json_object_set_new(o, "reason", ctl_json_text(st->reason));
	json_object_set_new(o, "message", ctl_json_text(st->message));
	json_object_set_new(
	    o, "message_vi", ctl_json_text(st->message_vi[0] != '\0' ? st->message_vi : general));
	json_object_set_new(o, "field", ctl_json_text(st->field));
	json_object_set_new(o, "rule", ctl_json_text(st->rule));
	json_object_set_new(o, "retry_delay_ms", json_integer((json_int_t)st->retry_delay_ms));
	json_object_set_new(o, "request_id", ctl_json_text(c->request_id));
	if (o == NULL || json_dumpf(o, stderr, JSON_COMPACT) != 0)
		ctl_complain("%s", lt_strerror(LT_E_NOMEM));
	(void)fputc('\n', stderr);
	json_decref(o);
}

static enum ctl_exit
exit_of(const struct lt_status *st)
{
	switch (st->code) {
	case LT_STATUS_OK:
		return CTL_DONE;
	case LT_STATUS_INVALID_ARGUMENT:
	case LT_STATUS_NOT_FOUND:
	case LT_STATUS_ALREADY_EXISTS:
	case LT_STATUS_PERMISSION_DENIED:
	case LT_STATUS_FAILED_PRECONDITION:
	case LT_STATUS_ABORTED:
	case LT_STATUS_OUT_OF_RANGE:
	case LT_STATUS_UNAUTHENTICATED:
		return CTL_NO;
	default:
		return CTL_UNKNOWN;
	}
}

enum ctl_exit
ctl_status(const struct ctl *c, const struct lt_status *st)
{
	char general[sizeof(st->message_vi)];

	lt_status_words(st->reason, (int)st->code, general, sizeof(general));
	if (c->json)
		complain_json(c, st, general);
	else if (ctl_vietnamese)
		complain_vietnamese(st, general);
	else
		complain_english(st);
	if (!c->json && st->retry_delay_ms != 0)
		ctl_complain(T("try again after %u ms", "thử lại sau %u mili giây"),
		    (unsigned)st->retry_delay_ms);
	/* For whoever looks after the machines: the other side's log has it. A refusal says itself what to do. */
	if (!c->json && exit_of(st) == CTL_UNKNOWN && c->request_id[0] != '\0')
		ctl_complain(T("request %s", "mã yêu cầu %s"), c->request_id);
	return exit_of(st);
}

const char *
ctl_said(int rc, const struct lt_err *err)
{
	static const struct {
		int rc;
		const char *vi;
	} codes[] = { { LT_E_NOMEM, "thiếu bộ nhớ; hãy đóng bớt chương trình rồi làm lại" },
		{ LT_E_NOTFOUND, "không tìm thấy; hãy xem lại tên" },
		{ LT_E_EXISTS, "đã có rồi; hãy chọn tên khác" },
		{ LT_E_DENIED, "không được phép; hãy hỏi người phụ trách" },
		{ LT_E_INVALID, "sai định dạng; hãy xem lại dữ liệu" },
		{ LT_E_TOOBIG, "quá lớn; hãy bớt đi" },
		{ LT_E_CORRUPT, "dữ liệu lưu bị hỏng; hãy gọi người phụ trách máy" },
		{ LT_E_NOSPACE, "đĩa đầy; hãy dọn bớt, rồi làm lại" },
		{ LT_E_IO, "đĩa không đọc hoặc ghi được; hãy kiểm tra đĩa" },
		{ LT_E_BUSY, "đang được chương trình khác dùng; hãy dừng nó trước" },
		{ LT_E_CLOSED, "kết nối đã đóng; hãy thử lại" },
		{ LT_E_TIMEOUT, "quá thời hạn; hãy thử lại" },
		{ LT_E_UNAVAILABLE, "lúc này chưa nối được; hãy thử lại sau" },
		{ LT_E_BADSIG, "chữ ký không đúng" }, { LT_E_BADHASH, "giá trị băm không khớp" },
		{ LT_E_VERSION, "do chương trình mới hơn ghi; hãy cập nhật chương trình" } };
	size_t i;

	if (!ctl_vietnamese)
		return err != NULL && err->text[0] != '\0' ? err->text : lt_strerror(rc);
	if (err != NULL && lt_err_vi(err)[0] != '\0')
		return lt_err_vi(err);
	if (err != NULL && err->text[0] != '\0')
		return err->text;
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].rc == rc)
			return codes[i].vi;
	return lt_strerror(rc);
}

enum ctl_exit
ctl_error(int rc, const struct lt_err *err)
{
	ctl_complain("%s", ctl_said(rc, err));
	return CTL_UNKNOWN;
}

/* ---- the command line ---- */

bool
ctl_seconds(const char *text, uint64_t *out)
{
	static const struct {
		char unit;
		uint64_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	uint64_t v;
	size_t i;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || end == text || text[0] < '0' || text[0] > '9' ||
	    v > UINT64_C(100) * 366 * 86400)
		return false;
	if (*end == '\0') {
		*out = v;
		return true;
	}
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (*end == units[i].unit && end[1] == '\0') {
			*out = v * units[i].s;
			return true;
		}
	return false;
}

static bool
take_value(const struct ctl_option *o, const char *value)
{
	struct ctl_list *list;
	char *end;

	switch (o->kind) {
	case CTL_TEXT:
		*(const char **)o->out = value;
		return true;
	case CTL_LIST:
		list = o->out;
		if (list->n == CTL_LIST_MAX)
			return false;
		list->item[list->n++] = value;
		return true;
	case CTL_NUMBER:
		errno = 0;
		*(uint64_t *)o->out = strtoull(value, &end, 10);
		return errno == 0 && value[0] >= '0' && value[0] <= '9' && *end == '\0';
	case CTL_SECONDS:
		return ctl_seconds(value, o->out);
	case CTL_FLAG:
		break;
	}
	return false;
}

/* One option and its value; *i moves to the last word taken. */
static enum ctl_exit
take_option(
    int argc, char **argv, int *i, const struct ctl_option *options, size_t noption, bool *json)
{
	const char *name = argv[*i] + 2, *eq = strchr(name, '=');
	size_t len = eq != NULL ? (size_t)(eq - name) : strlen(name), k;
	const char *value;

	if (strcmp(name, "json") == 0) {
		*json = true;
		return CTL_DONE;
	}
	for (k = 0; k < noption; k++)
		if (strlen(options[k].name) == len && strncmp(options[k].name, name, len) == 0)
			break;
	if (k == noption)
		return ctl_fail(
		    CTL_USAGE, T("option '%s' is unknown", "không có tùy chọn '%s'"), argv[*i]);
	if (options[k].kind == CTL_FLAG) {
		if (eq != NULL)
			return ctl_fail(CTL_USAGE,
			    T("option '--%s' takes no value", "tùy chọn '--%s' không nhận giá trị"),
			    options[k].name);
		*(bool *)options[k].out = true;
		return CTL_DONE;
	}
	if (eq == NULL && *i + 1 >= argc)
		return ctl_fail(CTL_USAGE,
		    T("option '--%s' needs a value", "tùy chọn '--%s' cần một giá trị"),
		    options[k].name);
	value = eq != NULL ? eq + 1 : argv[++*i];
	if (!take_value(&options[k], value))
		return ctl_fail(CTL_USAGE,
		    T("option '--%s' does not take '%s'", "tùy chọn '--%s' không nhận '%s'"),
		    options[k].name, value);
	return CTL_DONE;
}

enum ctl_exit
ctl_options(struct ctl *c, int argc, char **argv, const struct ctl_option *options, size_t noption,
    struct ctl_list *args, size_t min, size_t max)
{
	enum ctl_exit code = CTL_DONE;
	bool plain = false;
	int i;

	args->n = 0;
	for (i = 0; code == CTL_DONE && i < argc; i++) {
		if (!plain && strcmp(argv[i], "--") == 0) {
			plain = true;
		} else if (!plain && strncmp(argv[i], "--", 2) == 0) {
			code = take_option(argc, argv, &i, options, noption, &c->json);
		} else if (args->n == max || args->n == CTL_LIST_MAX) {
			code = ctl_fail(CTL_USAGE, T("'%s' is too much", "thừa '%s'"), argv[i]);
		} else {
			args->item[args->n++] = argv[i];
		}
	}
	if (code == CTL_DONE && args->n < min)
		code = ctl_fail(CTL_USAGE, "%s", T("something is missing", "còn thiếu"));
	return code;
}

/* ---- the data directory ---- */

char *
ctl_path(struct ctl *c, const char *name)
{
	size_t n = strlen(c->dir) + strlen(name) + 2;
	char *path = lt_arena_alloc(&c->arena, n);

	if (path != NULL)
		(void)snprintf(path, n, "%s/%s", c->dir, name);
	return path;
}

enum ctl_exit
ctl_write_new(struct ctl *c, const char *name, const char *text)
{
	struct lt_err err = { "" };
	char *path = ctl_path(c, name);
	int rc =
	    path == NULL ? LT_E_NOMEM : lt_file_write(path, lt_slice_str(text), 0600, true, &err);

	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
}

enum ctl_exit
ctl_open(struct ctl *c)
{
	struct lt_err err = { "" };
	int rc;

	if (c->id != NULL)
		return CTL_DONE;
	rc = lt_identity_load(c->dir, &c->id, &err);
	if (rc == LT_OK)
		return CTL_DONE;
	if (rc == LT_E_NOTFOUND)
		return ctl_fail(CTL_UNKNOWN,
		    T("'%s' is no data directory; name one with -C DIR, or make one with 'ltctl -C "
		      "DIR hub init', "
		      "'node init' or 'client init'",
			"'%s' không phải thư mục dữ liệu; hãy chỉ ra bằng -C DIR, hoặc tạo mới "
			"bằng 'ltctl -C DIR "
			"hub init', 'node init' hay 'client init'"),
		    c->dir);
	return ctl_error(rc, &err);
}

bool
ctl_is_client(const struct ctl *c)
{
	return c->id->role != LTPB__ROLE__ROLE_NODE && c->id->role != LTPB__ROLE__ROLE_HUB;
}

static enum ctl_exit
start_pool(struct ctl *c)
{
	int rc = c->pool != NULL ? LT_OK : lt_pool_start(WORKERS, WORK_QUEUE, &c->pool);

	return rc == LT_OK ? CTL_DONE : ctl_error(rc, NULL);
}

static enum ctl_exit
dial_local(struct ctl *c)
{
	struct lt_dial_options o = { .pool = c->pool, .clock = lt_clock_system() };
	bool hub = c->id->role == LTPB__ROLE__ROLE_HUB;
	struct lt_err err = { "" };
	char *path = ctl_path(c, "sock"), url[SOCKET_PATH_MAX + 16];
	int rc;

	if (path == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	if (strlen(path) > SOCKET_PATH_MAX)
		return ctl_fail(CTL_UNKNOWN,
		    T("the path '%s' is too long for a socket (at most %zu bytes); go there and "
		      "use '-C .', or choose a "
		      "shorter directory",
			"đường dẫn '%s' quá dài cho socket (tối đa %zu byte); hãy vào thư mục đó "
			"và dùng '-C .', hoặc "
			"chọn thư mục ngắn hơn"),
		    path, SOCKET_PATH_MAX);
	(void)snprintf(url, sizeof(url), "ipc://%s", path);
	o.url = url;
	rc = lt_dial(&o, &c->conn, &err);
	if (rc == LT_OK)
		return CTL_DONE;
	return ctl_fail(CTL_UNKNOWN,
	    T("%s does not answer on '%s' (%s); is it running? start it with: %s -C %s",
		"%s không trả lời ở '%s' (%s); chương trình có đang chạy không? khởi động bằng: %s "
		"-C %s"),
	    hub ? T("the hub", "đầu mối") : T("the node", "máy của xã"), path, ctl_said(rc, &err),
	    hub ? "lt-hub" : "lt-node", c->dir);
}

/* One of the hub's addresses after the other; says nothing. */
static int
try_addresses(struct ctl *c, uint32_t connect_ms, struct lt_conn **out, struct lt_err *err)
{
	struct lt_dial_options o = { .pool = c->pool,
		.clock = lt_clock_system(),
		.line_sk = c->id->line_sk,
		.remote_line_key = c->id->hub_line_key,
		.federation = c->id->federation.b,
		.connect_ms = connect_ms };
	char *save = NULL, *url,
	     *addresses = lt_arena_dup(&c->arena, c->id->addresses, strlen(c->id->addresses));
	int rc = LT_E_INVALID;

	if (addresses == NULL)
		return LT_E_NOMEM;
	for (url = strtok_r(addresses, " ", &save); url != NULL && rc != LT_OK;
	     url = strtok_r(NULL, " ", &save)) {
		o.url = url;
		rc = lt_dial(&o, out, err);
	}
	return rc;
}

enum ctl_exit
ctl_dial_hub(struct ctl *c)
{
	struct lt_err err = { "" };
	int rc;

	if (start_pool(c) != CTL_DONE)
		return CTL_UNKNOWN;
	rc = try_addresses(c, 0, &c->conn, &err);
	if (rc == LT_OK)
		return CTL_DONE;
	if (rc == LT_E_NOMEM)
		return ctl_error(rc, NULL);
	if (rc == LT_E_DENIED)
		return ctl_fail(CTL_UNKNOWN,
		    T("the hub at %s closes the line: it does not let this machine in (not "
		      "approved yet, "
		      "suspended or revoked, or the invitation was used elsewhere or has expired); "
		      "call the "
		      "province",
			"đầu mối ở %s đóng kết nối: chưa cho máy này vào (chưa được nhận, đang tạm "
			"ngừng hoặc "
			"đã bị thu hồi, hay thư mời đã dùng ở nơi khác hoặc hết hạn); hãy gọi cho "
			"tỉnh"),
		    c->id->addresses);
	return ctl_fail(CTL_UNKNOWN,
	    T("no hub answers at %s (%s)", "không có đầu mối nào trả lời ở %s (%s)"),
	    c->id->addresses, ctl_said(rc, &err));
}

static bool
has_token(const struct ctl *c)
{
	return !sodium_is_zero(c->id->token, sizeof(c->id->token));
}

/* A spent invitation need not lie on the disk; the hub's certificate is what receipts are checked by. */
static enum ctl_exit
joined(struct ctl *c, const Ltpb__Certificate *cert)
{
	struct lt_err err = { "" };
	Ltpb__CertificateBody *body;
	struct lt_arena arena;
	struct lt_buf b;
	char *path = ctl_path(c, "hub.certificate");
	int rc = path == NULL || cert == NULL ? LT_E_INVALID : LT_OK;

	lt_buf_init(&b, CERTIFICATE_MAX);
	lt_arena_init(&arena, CERTIFICATE_ARENA);
	if (rc == LT_OK)
		rc = lt_wire_pack(&cert->base, CERTIFICATE_MAX, &b);
	if (rc == LT_OK)
		rc = lt_certificate_verify(
		    lt_buf_slice(&b), c->id->root_key, &c->id->federation, &arena, &body, &err);
	if (rc == LT_OK && body->role != LTPB__ROLE__ROLE_HUB)
		rc = lt_err_set(
		    &err, LT_E_DENIED, "%s", T("this is no hub", "đây không phải đầu mối"));
	if (rc == LT_OK)
		rc = lt_file_write(path, lt_buf_slice(&b), 0600, false, &err);
	if (rc == LT_OK) {
		sodium_memzero(c->id->token, sizeof(c->id->token));
		rc = lt_identity_write(c->id, c->dir, true, &err);
	}
	lt_arena_fini(&arena);
	lt_buf_fini(&b);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
}

static const char *
client_label(struct ctl *c)
{
	char *path = ctl_path(c, "label");
	struct lt_buf b;
	const char *label = "";

	lt_buf_init(&b, LT_NAME_MAX);
	if (path != NULL && lt_file_read(path, LT_NAME_MAX, &b, NULL) == LT_OK)
		label = lt_arena_dup(&c->arena, b.data, b.len);
	lt_buf_fini(&b);
	return label != NULL ? label : "";
}

enum ctl_exit
ctl_join(struct ctl *c, Ltpb__PrincipalState *state)
{
	Ltpb__JoinRequest req = LTPB__JOIN_REQUEST__INIT;
	uint8_t proof[LT_SIG_LEN];
	ProtobufCMessage *m = NULL;
	enum ctl_exit code;

	*state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_UNSPECIFIED;
	if (!has_token(c)) {
		*state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
		return CTL_DONE;
	}
	lt_join_proof(&c->id->sign, &c->id->federation, c->id->token, &c->id->principal,
	    c->id->line_pk, proof);
	req.token.data = c->id->token;
	req.token.len = sizeof(c->id->token);
	req.principal.data = c->id->principal.b;
	req.principal.len = LT_ID_LEN;
	req.sign_key.data = c->id->sign.pk;
	req.sign_key.len = sizeof(c->id->sign.pk);
	req.proof.data = proof;
	req.proof.len = sizeof(proof);
	req.label = (char *)client_label(c);
	code = ctl_call(c, &ltpb__enrol__descriptor, "Join", &req.base, &m);
	if (code == CTL_DONE && m != NULL) {
		const Ltpb__JoinReply *r = (const Ltpb__JoinReply *)m;

		*state = r->state;
		if (r->reason[0] != '\0')
			(void)ctl_fail(CTL_NO,
			    T("the hub has refused this machine: %s",
				"đầu mối đã từ chối máy này: %s"),
			    r->reason);
		if (r->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE)
			code = joined(c, r->hub);
	}
	ctl_reply_free(m);
	return code;
}

static enum ctl_exit
join_first(struct ctl *c)
{
	Ltpb__PrincipalState state;
	enum ctl_exit code;

	if (!has_token(c))
		return CTL_DONE;
	code = ctl_join(c, &state);
	if (code == CTL_DONE && state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE)
		return ctl_fail(CTL_UNKNOWN,
		    T("the hub has not approved this machine yet (%s)",
			"đầu mối chưa chấp nhận máy này (%s)"),
		    ctl_state(state));
	return code;
}

int
ctl_redial(struct ctl *c, uint32_t left_ms, struct lt_conn **out, struct lt_err *err)
{
	struct lt_dial_options o = { .pool = c->pool, .clock = lt_clock_system() };
	char *path, url[SOCKET_PATH_MAX + 16];

	if (left_ms != 0 && left_ms < REDIAL_MS)
		o.connect_ms = left_ms;
	if (c->conn != NULL && lt_conn_alive(c->conn)) {
		*out = c->conn;
		c->conn = NULL;
		return LT_OK;
	}
	lt_conn_close(c->conn);
	c->conn = NULL;
	if (ctl_is_client(c))
		return try_addresses(c, o.connect_ms, out, err);
	path = ctl_path(c, "sock");
	if (path == NULL)
		return LT_E_NOMEM;
	(void)snprintf(url, sizeof(url), "ipc://%s", path);
	o.url = url;
	return lt_dial(&o, out, err);
}

enum ctl_exit
ctl_connect(struct ctl *c)
{
	enum ctl_exit code;

	if (c->conn != NULL)
		return CTL_DONE;
	code = ctl_open(c);
	if (code == CTL_DONE)
		code = start_pool(c);
	if (code != CTL_DONE)
		return code;
	if (!ctl_is_client(c))
		return dial_local(c);
	code = ctl_dial_hub(c);
	return code == CTL_DONE ? join_first(c) : code;
}

void
ctl_close(struct ctl *c)
{
	lt_conn_close(c->conn);
	if (c->pool != NULL)
		lt_pool_stop(c->pool);
	lt_catalogue_unref(c->catalogue);
	lt_identity_free(c->id);
}

/* ---- calls ---- */

void
ctl_new_request_id(struct ctl *c)
{
	uint8_t id[sizeof(c->request_id) / 2];

	randombytes_buf(id, sizeof(id));
	lt_hex(c->request_id, id, sizeof(id));
}

/* Does this method only look? Then asking once more changes nothing. */
static bool
only_reads(const ProtobufCServiceDescriptor *service, const char *method)
{
	char name[256];
	size_t i;

	(void)snprintf(name, sizeof(name), "/%s/%s", service->name, method);
	for (i = 0; i < lt_nmethods; i++)
		if (strcmp(lt_methods[i].name, name) == 0)
			return lt_methods[i].idempotent &&
			       (lt_methods[i].grant == LT_VERB_READ ||
				   lt_methods[i].grant == LT_VERB_INSPECT);
	return false;
}

/* The line is gone or the other side is stopping: wait a little, another time each, and connect anew. false: another failure,
 * or no time is left. */
static bool
connected_again(struct ctl *c, const struct lt_status *st, int64_t end_ms)
{
	struct lt_err err = { "" };
	unsigned n;
	int64_t left;

	if (st->code != LT_STATUS_UNAVAILABLE ||
	    (strcmp(st->reason, "CONNECTION_LOST") != 0 && strcmp(st->reason, "NOT_SENT") != 0 &&
		strcmp(st->reason, "STOPPING") != 0))
		return false;
	for (n = 0;; n++) {
		uint32_t bound = (uint32_t)LT_RESUME_BACKOFF_BASE_MS << (n < 6 ? n : 6);
		int64_t wait = (int64_t)randombytes_uniform(bound + 1);
		struct lt_conn *conn = NULL;
		int rc;

		left = end_ms - lt_mono_ms(lt_clock_system());
		if (left <= wait + 1)
			return false;
		(void)poll(NULL, 0, (int)wait);
		rc = ctl_redial(c, (uint32_t)(left - wait), &conn, &err);
		c->conn = conn;
		if (rc == LT_OK)
			return true;
		if (rc == LT_E_DENIED || rc == LT_E_NOMEM || rc == LT_E_INVALID)
			return false;
	}
}

enum ctl_exit
ctl_try(struct ctl *c, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *request, ProtobufCMessage **reply, struct lt_status *status)
{
	const struct lt_call_head head = { .request_id = c->request_id };
	int64_t end = lt_mono_ms(lt_clock_system()) + CALL_MS, left = CALL_MS;

	ctl_new_request_id(c);
	do {
		memset(status, 0, sizeof(*status));
		*reply = NULL;
		if (c->conn == NULL) /* a call before this one had lost it for good */
			lt_status_set(status, LT_STATUS_UNAVAILABLE, "CONNECTION_LOST",
			    "the connection is gone");
		else if (lt_conn_call_wait_with(c->conn, service, method, &head, request,
			     (uint32_t)left, reply, status) == LT_STATUS_OK)
			return CTL_DONE;
		if (!only_reads(service, method) || !connected_again(c, status, end))
			return CTL_NO;
		left = end - lt_mono_ms(lt_clock_system());
	} while (left > 0);
	return CTL_NO;
}

enum ctl_exit
ctl_call(struct ctl *c, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *request, ProtobufCMessage **reply)
{
	struct lt_status st;

	if (ctl_try(c, service, method, request, reply, &st) == CTL_DONE)
		return CTL_DONE;
	return ctl_status(c, &st);
}

void
ctl_reply_free(void *reply)
{
	if (reply != NULL)
		protobuf_c_message_free_unpacked(reply, NULL);
}

const char *
ctl_own_unit(const struct ctl *c)
{
	return c->id->unit.s;
}
