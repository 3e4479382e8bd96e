/* Any method, by name and from JSON. */
#include "proto/base/file.h"
#include "proto/rpc/describe.h"
#include "proto/rpc/json.h"
#include "proto/rpc/methods.h"
#include "proto/rpc/resume.h"
#include "tools/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNARY_MS 60000
#define PACKAGE "lienthong.v1."

/* What this program was built with. */
static struct lt_described
own_schema(void)
{
	struct lt_described w = { lt_services, lt_nservices, lt_methods, lt_nmethods, NULL, NULL };

	return w;
}

/* ---- names ---- */

static const char *
after_last_dot(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL ? dot + 1 : name;
}

/* The full name of what people write for short: "Query/Get", "Query", "Record". Packages begin with small letters. */
static const char *
full_name(struct ctl *c, const char *name)
{
	size_t head, i, n;
	const char *own = NULL;
	char *full;

	name += name[0] == '/';
	if (name[0] < 'A' || name[0] > 'Z')
		return name;
	head = strcspn(name, "/.");
	for (i = 0; own == NULL && i < lt_nservices; i++) {
		const char *last = after_last_dot(lt_services[i]->name);

		if (strlen(last) == head && strncmp(last, name, head) == 0)
			own = lt_services[i]->name;
	}
	n = strlen(PACKAGE) + strlen(name) + (own != NULL ? strlen(own) : 0) + 1;
	full = lt_arena_alloc(&c->arena, n);
	if (full == NULL)
		return name;
	if (own != NULL)
		(void)snprintf(full, n, "%s%s", own, name + head);
	else
		(void)snprintf(full, n, PACKAGE "%s", name);
	return full;
}

/* ---- what the other side tells ---- */

/* UNIMPLEMENTED: it is older than Reflection. */
static bool
is_older(const struct lt_status *st)
{
	return st->code == LT_STATUS_UNIMPLEMENTED;
}

static void
say_older(void)
{
	ctl_complain("%s",
	    T("the other side is older and does not tell what it serves; this is what this ltctl "
	      "knows",
		"bên kia là phiên bản cũ, không cho biết các phương thức; đây là những gì ltctl "
		"này biết"));
}

static enum ctl_exit
ask_services(struct ctl *c, bool offline, Ltpb__ListServicesReply *own,
    const Ltpb__ListServicesReply **out, ProtobufCMessage **reply)
{
	Ltpb__ListServicesRequest req = LTPB__LIST_SERVICES_REQUEST__INIT;
	struct lt_described w = own_schema();
	enum ctl_exit code = offline ? CTL_DONE : ctl_connect(c);
	struct lt_status st;

	if (code != CTL_DONE)
		return code;
	if (!offline) {
		if (ctl_try(c, &ltpb__reflection__descriptor, "ListServices", &req.base, reply,
			&st) == CTL_DONE) {
			*out = (const Ltpb__ListServicesReply *)*reply;
			return CTL_DONE;
		}
		if (!is_older(&st))
			return ctl_status(c, &st);
		say_older();
	}
	return lt_describe_services(&w, &c->arena, own) == LT_OK ? CTL_DONE
								 : ctl_error(LT_E_NOMEM, NULL);
}

static enum ctl_exit
try_describe(struct ctl *c, const char *name, ProtobufCMessage **reply, struct lt_status *st)
{
	Ltpb__DescribeRequest req = LTPB__DESCRIBE_REQUEST__INIT;

	req.name = (char *)name;
	return ctl_try(c, &ltpb__reflection__descriptor, "Describe", &req.base, reply, st);
}

/* ---- output ---- */

static enum ctl_exit
print_message_json(const ProtobufCMessage *m)
{
	struct lt_buf out;
	int rc;

	lt_buf_init(&out, LT_JSON_OUT_MAX);
	rc = lt_json_write(m, &out);
	lt_buf_u8(&out, '\n');
	if (rc == LT_OK && out.err == LT_OK)
		(void)fwrite(out.data, 1, out.len, stdout);
	lt_buf_fini(&out);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, NULL);
}

static void
say_deadline(const Ltpb__MethodDescription *m)
{
	if (m->deadline_ms != 0)
		printf(T("; deadline %u s", "; hạn %u giây"), m->deadline_ms / 1000);
	if (m->deadline_max_ms != 0)
		printf(T(", at most %u s", ", tối đa %u giây"), m->deadline_max_ms / 1000);
}

/* "any", "join" and "sync" are no grants but who may. */
static void
say_method_needs(const Ltpb__MethodDescription *m)
{
	if (strcmp(m->verb, "any") == 0)
		(void)fputs(T("everybody", "ai cũng gọi được"), stdout);
	else if (strcmp(m->verb, "join") == 0)
		(void)fputs(T("whoever joins", "người xin tham gia"), stdout);
	else if (strcmp(m->verb, "sync") == 0)
		(void)fputs(T("nodes", "máy của xã"), stdout);
	else {
		(void)fputs(T("needs ", "cần quyền "), stdout);
		ctl_say_text(stdout, m->verb);
	}
	(void)fputs(m->idempotent
			? T("; a second time changes nothing", "; gọi lại không đổi gì thêm")
			: T("; a second time does it again", "; gọi lại là làm lại"),
	    stdout);
	say_deadline(m);
}

static void
print_service(const Ltpb__ServiceDescription *s)
{
	const char *slash;
	size_t i;

	(void)fputs("service ", stdout);
	ctl_say_text(stdout, s->name);
	(void)fputs(" {\n", stdout);
	for (i = 0; i < s->n_method; i++) {
		slash = strrchr(s->method[i]->name, '/');
		(void)fputs("  // ", stdout);
		say_method_needs(s->method[i]);
		(void)fputs("\n  rpc ", stdout);
		ctl_say_text(stdout, slash != NULL ? slash + 1 : s->method[i]->name);
		(void)fputs("(", stdout);
		ctl_say_text(stdout, s->method[i]->input);
		(void)fputs(") returns (", stdout);
		(void)fputs(s->method[i]->server_streaming ? "stream " : "", stdout);
		ctl_say_text(stdout, s->method[i]->output);
		(void)fputs(");\n", stdout);
	}
	(void)fputs("}\n", stdout);
}

static const char *
type_word(const Ltpb__FieldDescription *f)
{
	static const char *const word[] = { "?", "double", "float", "int64", "uint64", "int32",
		"fixed64", "fixed32", "bool", "string", "?", "?", "bytes", "uint32", "?",
		"sfixed32", "sfixed64", "sint32", "sint64" };

	if (f->type_name[0] != '\0')
		return f->type_name;
	return (size_t)f->type < sizeof(word) / sizeof(word[0]) ? word[f->type] : "?";
}

static void
print_type(const Ltpb__MessageDescription *m)
{
	size_t i;

	(void)fputs("message ", stdout);
	ctl_say_text(stdout, m->name);
	(void)fputs(" {\n", stdout);
	for (i = 0; i < m->n_field; i++) {
		const Ltpb__FieldDescription *f = m->field[i];

		(void)fputs(f->repeated ? "  repeated " : "  ", stdout);
		ctl_say_text(stdout, type_word(f));
		(void)fputc(' ', stdout);
		ctl_say_text(stdout, f->name);
		printf(" = %u;", f->number);
		if (f->oneof != 0)
			printf(T("  // one of group %u at most",
				   "  // nhiều nhất một trường của nhóm %u"),
			    f->oneof);
		(void)fputc('\n', stdout);
	}
	(void)fputs("}\n", stdout);
}

static void
print_enum(const Ltpb__EnumDescription *e)
{
	size_t i;

	(void)fputs("enum ", stdout);
	ctl_say_text(stdout, e->name);
	(void)fputs(" {\n", stdout);
	for (i = 0; i < e->n_value; i++) {
		(void)fputs("  ", stdout);
		ctl_say_text(stdout, e->value[i]->name);
		printf(" = %d;\n", e->value[i]->number);
	}
	(void)fputs("}\n", stdout);
}

static void
print_description(const Ltpb__DescribeReply *r)
{
	bool first = true;
	size_t i;

	if (r->service != NULL) {
		print_service(r->service);
		first = false;
	}
	for (i = 0; i < r->n_message; i++, first = false) {
		(void)fputs(first ? "" : "\n", stdout);
		print_type(r->message[i]);
	}
	for (i = 0; i < r->n_enumeration; i++, first = false) {
		(void)fputs(first ? "" : "\n", stdout);
		print_enum(r->enumeration[i]);
	}
}

/* ---- rpc list ---- */

static enum ctl_exit
print_methods(struct ctl *c, const Ltpb__ListServicesReply *r)
{
	enum ctl_exit code = CTL_DONE;
	struct ctl_table t;
	size_t i, k;

	ctl_table_init(&t, 4);
	ctl_cell(&t, "%s", T("method", "phương thức"));
	ctl_cell(&t, "%s", T("needs", "cần quyền"));
	ctl_cell(&t, "%s", T("takes", "nhận"));
	ctl_cell(&t, "%s", T("gives", "trả"));
	for (i = 0; i < r->n_service; i++)
		for (k = 0; code == CTL_DONE && k < r->service[i]->n_method; k++) {
			const Ltpb__MethodDescription *m = r->service[i]->method[k];

			if (c->json)
				code = print_message_json(&m->base);
			ctl_cell(&t, "%s", m->name + (m->name[0] == '/'));
			ctl_cell(&t, "%s", m->verb);
			ctl_cell(&t, "%s", after_last_dot(m->input));
			ctl_cell(&t, "%s%s", m->server_streaming ? "stream " : "",
			    after_last_dot(m->output));
		}
	if (!c->json)
		ctl_table_print(&t);
	else
		ctl_table_drop(&t);
	return code;
}

enum ctl_exit
cmd_rpc_list(struct ctl *c, int argc, char **argv)
{
	bool offline = false;
	const struct ctl_option options[] = { { "offline", CTL_FLAG, &offline } };
	Ltpb__ListServicesReply own = LTPB__LIST_SERVICES_REPLY__INIT;
	const Ltpb__ListServicesReply *r = &own;
	ProtobufCMessage *reply = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = ask_services(c, offline, &own, &r, &reply);
	if (code == CTL_DONE)
		code = print_methods(c, r);
	ctl_reply_free(reply);
	return code;
}

/* ---- rpc describe ---- */

static enum ctl_exit
describe_own(struct ctl *c, const char *name, Ltpb__DescribeReply *own)
{
	struct lt_described w = own_schema();
	int rc = lt_describe(&w, name, &c->arena, own);

	if (rc == LT_E_NOTFOUND)
		return ctl_fail(CTL_NO,
		    T("this ltctl knows nothing named '%s'", "ltctl này không biết gì tên '%s'"),
		    name);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, NULL);
}

static enum ctl_exit
find_description(struct ctl *c, bool offline, const char *name, Ltpb__DescribeReply *own,
    const Ltpb__DescribeReply **out, ProtobufCMessage **reply)
{
	enum ctl_exit code = offline ? CTL_DONE : ctl_connect(c);
	struct lt_status st;

	if (code != CTL_DONE)
		return code;
	if (!offline) {
		if (try_describe(c, name, reply, &st) == CTL_DONE) {
			*out = (const Ltpb__DescribeReply *)*reply;
			return CTL_DONE;
		}
		if (!is_older(&st))
			return ctl_status(c, &st);
		say_older();
	}
	return describe_own(c, name, own);
}

enum ctl_exit
cmd_rpc_describe(struct ctl *c, int argc, char **argv)
{
	bool offline = false;
	const struct ctl_option options[] = { { "offline", CTL_FLAG, &offline } };
	Ltpb__DescribeReply own = LTPB__DESCRIBE_REPLY__INIT;
	const Ltpb__DescribeReply *r = &own;
	ProtobufCMessage *reply = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 1, 1);

	if (code == CTL_DONE)
		code = find_description(c, offline, full_name(c, args.item[0]), &own, &r, &reply);
	if (code == CTL_DONE && c->json)
		code = print_message_json(&r->base);
	else if (code == CTL_DONE)
		print_description(r);
	ctl_reply_free(reply);
	return code;
}

/* ---- rpc call: the method ---- */

struct method {
	const ProtobufCServiceDescriptor *service;
	const ProtobufCMethodDescriptor *method;
	const struct lt_method *row;
	ProtobufCMessage *description; /* from which they were made; NULL: this program's own */
};

/* "lienthong.v1.Query/Get", or with a dot for the slash. */
static bool
own_method(const char *name, struct method *out)
{
	size_t i, n;

	for (i = 0; i < lt_nservices; i++) {
		n = strlen(lt_services[i]->name);
		if (strncmp(name, lt_services[i]->name, n) == 0 &&
		    (name[n] == '/' || name[n] == '.'))
			break;
	}
	if (i == lt_nservices)
		return false;
	out->service = lt_services[i];
	out->method = protobuf_c_service_descriptor_get_method_by_name(out->service, name + n + 1);
	for (i = 0; out->method != NULL && i < lt_nmethods; i++)
		if (strncmp(lt_methods[i].name + 1, out->service->name, n) == 0 &&
		    lt_methods[i].name[1 + n] == '/' &&
		    strcmp(lt_methods[i].name + n + 2, out->method->name) == 0)
			out->row = &lt_methods[i];
	return out->method != NULL && out->row != NULL;
}

/* The other side knows better, or alone. */
static enum ctl_exit
told_method(struct ctl *c, const char *name, struct method *out)
{
	struct lt_schema schema;
	struct lt_status st;
	struct lt_err err = { "" };
	int rc;

	if (try_describe(c, name, &out->description, &st) != CTL_DONE) {
		if (!is_older(&st))
			return ctl_status(c, &st);
		return ctl_fail(CTL_UNKNOWN,
		    T("the other side is older and does not describe methods; call '%s' without "
		      "--reflect if this ltctl knows it (ltctl rpc list --offline)",
			"bên kia là phiên bản cũ, không mô tả phương thức; hãy gọi '%s' không có "
			"--reflect nếu ltctl này biết nó (ltctl rpc list --offline)"),
		    name);
	}
	rc = lt_schema_build(
	    (const Ltpb__DescribeReply *)out->description, &c->arena, &schema, &err);
	if (rc != LT_OK)
		return ctl_error(rc, &err);
	if (schema.service == NULL || schema.service->n_methods != 1)
		return ctl_fail(
		    CTL_USAGE, T("'%s' is not a method", "'%s' không phải phương thức"), name);
	out->service = schema.service;
	out->method = &schema.service->methods[0];
	out->row = &schema.methods[0];
	return CTL_DONE;
}

/* ---- rpc call: the request ---- */

static enum ctl_exit
read_stdin(struct lt_buf *text)
{
	char part[16384];
	size_t n;

	while ((n = fread(part, 1, sizeof(part), stdin)) != 0 && text->err == LT_OK)
		lt_buf_put(text, part, n);
	if (ferror(stdin))
		return ctl_fail(CTL_UNKNOWN, "%s: %s",
		    T("standard input could not be read", "không đọc được đầu vào chuẩn"),
		    T(strerror(errno), lt_errno_vi(errno)));
	return CTL_DONE;
}

static enum ctl_exit
request_text(const char *arg, struct lt_buf *text)
{
	struct lt_err err = { "" };
	enum ctl_exit code = CTL_DONE;
	int rc = LT_OK;

	if (strcmp(arg, "-") == 0)
		code = read_stdin(text);
	else if (arg[0] == '@')
		rc = lt_file_read(arg + 1, LT_JSON_TEXT_MAX, text, &err);
	else
		lt_buf_str(text, arg);
	if (text->err != LT_OK || rc == LT_E_TOOBIG)
		return ctl_fail(
		    CTL_USAGE, "%s", T("the JSON is longer than 2 MiB", "JSON dài quá 2 MiB"));
	return rc == LT_OK ? code : ctl_error(rc, &err);
}

static enum ctl_exit
read_request(struct ctl *c, const struct method *m, struct lt_slice text, ProtobufCMessage **req)
{
	struct lt_json_err err;
	int rc = lt_json_read(m->method->input, text, &c->arena, req, &err);

	if (rc == LT_OK)
		return CTL_DONE;
	ctl_complain("%s", T(err.message, err.message_vi));
	if (err.unknown_field && m->description == NULL)
		ctl_complain(
		    "%s", T("if the other side is newer, it may know this field: --reflect",
			      "nếu bên kia mới hơn, có thể nó biết trường này: --reflect"));
	return rc == LT_E_NOMEM ? CTL_UNKNOWN : CTL_USAGE;
}

/* ---- rpc call: the answer ---- */

/* One call under way; told by a worker, one message after the other. */
struct answer {
	struct ctl *c;
	uint64_t max; /* 0: no limit */
	uint64_t n; /* messages printed */
	bool enough;
	int rc; /* of printing */
	struct lt_status status;
};

static bool
on_item(void *ctx, const ProtobufCMessage *m)
{
	struct answer *a = ctx;
	struct lt_buf out;
	int rc;

	lt_buf_init(&out, LT_JSON_OUT_MAX);
	rc = lt_json_write(m, &out);
	lt_buf_u8(&out, '\n');
	if (rc == LT_OK)
		rc = out.err;
	if (rc == LT_OK)
		(void)fwrite(out.data, 1, out.len, stdout);
	/* Whoever reads a stream reads it as it comes; a write that failed is told at the end. */
	(void)fflush(stdout);
	lt_buf_fini(&out);
	a->rc = rc;
	a->n++;
	a->enough = rc != LT_OK || ferror(stdout) || a->n == a->max;
	return !a->enough;
}

static int
dial(void *ctx, uint32_t left_ms, struct lt_conn **out, struct lt_err *err)
{
	struct answer *a = ctx;

	return ctl_redial(a->c, left_ms, out, err);
}

static enum ctl_exit
say_end(const struct ctl *c, const struct answer *a)
{
	if (a->rc != LT_OK)
		return ctl_fail(CTL_UNKNOWN,
		    T("an answer could not be written as JSON: %s",
			"không viết được câu trả lời dạng JSON: %s"),
		    lt_strerror(a->rc));
	if (a->enough || a->status.code == LT_STATUS_OK)
		return CTL_DONE;
	if (!c->json)
		ctl_complain("%s%s%s", lt_status_name((int)a->status.code),
		    a->status.reason[0] != '\0' ? " " : "", a->status.reason);
	return ctl_status(c, &a->status);
}

/* A stream goes on after a cut where the method knows how (FORMAT.md 6.10). */
static enum ctl_exit
run_stream(struct ctl *c, const struct method *m, const ProtobufCMessage *req, uint32_t timeout_ms,
    struct answer *a)
{
	const struct lt_resume_options o = { .clock = lt_clock_system(),
		.dial = dial,
		.service = m->service,
		.method = m->method->name,
		.request = req,
		.request_id = c->request_id,
		.timeout_ms = timeout_ms,
		.item = on_item,
		.ctx = a };

	(void)lt_resume_read(&o, &a->status, NULL);
	return say_end(c, a);
}

static enum ctl_exit
run_unary(struct ctl *c, const struct method *m, const ProtobufCMessage *req, uint32_t timeout_ms,
    struct answer *a)
{
	const struct lt_call_head head = { .request_id = c->request_id };
	ProtobufCMessage *reply = NULL;

	if (lt_conn_call_wait_with(c->conn, m->service, m->method->name, &head, req, timeout_ms,
		&reply, &a->status) == LT_STATUS_OK)
		(void)on_item(a, reply);
	ctl_reply_free(reply);
	return say_end(c, a);
}

static enum ctl_exit
call_method(
    struct ctl *c, const struct method *m, struct lt_slice text, uint64_t max, uint64_t timeout_s)
{
	struct answer a = { .c = c, .max = max };
	ProtobufCMessage *req = NULL;
	enum ctl_exit code = read_request(c, m, text, &req);
	uint32_t ms = timeout_s != 0             ? (uint32_t)(timeout_s * 1000)
		      : m->row->server_streaming ? 0
						 : UNARY_MS;

	if (code == CTL_DONE && protobuf_c_message_get_packed_size(req) > LT_MESSAGE_MAX)
		code = ctl_fail(CTL_USAGE, "%s",
		    T("the request is larger than 1 MiB", "yêu cầu lớn quá 1 MiB"));
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	ctl_new_request_id(c);
	return m->row->server_streaming ? run_stream(c, m, req, ms, &a)
					: run_unary(c, m, req, ms, &a);
}

enum ctl_exit
cmd_rpc_call(struct ctl *c, int argc, char **argv)
{
	uint64_t max = 0, timeout_s = 0;
	bool reflect = false;
	const struct ctl_option options[] = { { "max", CTL_NUMBER, &max },
		{ "timeout", CTL_SECONDS, &timeout_s }, { "reflect", CTL_FLAG, &reflect } };
	struct method m = { 0 };
	struct lt_buf text;
	struct ctl_list args;
	const char *name;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 3, &args, 1, 2);

	if (code != CTL_DONE)
		return code;
	if (timeout_s > UINT32_MAX / 1000)
		return ctl_fail(
		    CTL_USAGE, "%s", T("--timeout is at most 49d", "--timeout tối đa là 49d"));
	lt_buf_init(&text, LT_JSON_TEXT_MAX);
	name = full_name(c, args.item[0]);
	code = request_text(args.n > 1 ? args.item[1] : "{}", &text);
	if (code == CTL_DONE && (reflect || !own_method(name, &m))) {
		code = ctl_connect(c);
		if (code == CTL_DONE)
			code = told_method(c, name, &m);
	}
	if (code == CTL_DONE)
		code = call_method(c, &m, lt_buf_slice(&text), max, timeout_s);
	ctl_reply_free(m.description);
	lt_buf_fini(&text);
	return code;
}
