/* who-holds, erase, erase list: a person's number, where it stands, and that it goes (FORMAT.md 8.5). */
#include "proto/base/file.h"
#include "proto/store/erase_list.h"
#include "tools/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMBER_MAX 256
#define RECORDS_MAX 4096
#define TOKEN_MAX 1024 /* of a page */

/* As the hub has it, in the reader's language; a later one's as it is. */
static const char *
reason_word(const char *reason)
{
	static const char *const words[][2] = { { "request", "theo yêu cầu" },
		{ "withdrawn", "rút lại đồng ý" }, { "unlawful", "thu thập trái luật" },
		{ "expired", "hết hạn lưu" }, { "mistake", "ghi nhầm" },
		{ "order", "theo quyết định" }, { "other", "lý do khác" } };
	size_t i;

	for (i = 0; ctl_vietnamese && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i][0], reason) == 0)
			return words[i][1];
	return reason;
}

/* ---- the number ---- */

/* One line of a file or of standard input, so that it stands in no list of processes and in no shell's history. */
static enum ctl_exit
read_number(const char *path, char out[NUMBER_MAX + 2])
{
	FILE *from = path == NULL ? stdin : fopen(path, "re");
	size_t n = 0;

	if (from == NULL)
		return ctl_fail(CTL_UNKNOWN,
		    T("cannot read \"%s\": %s", "không đọc được \"%s\": %s"), path,
		    T(strerror(errno), lt_errno_vi(errno)));
	if (path == NULL && isatty(STDIN_FILENO))
		(void)fprintf(stderr, "%s", T("number: ", "số định danh: "));
	if (fgets(out, NUMBER_MAX + 2, from) != NULL)
		n = strcspn(out, "\r\n");
	out[n] = '\0';
	if (path != NULL)
		(void)fclose(from);
	return n == 0 ? ctl_fail(CTL_USAGE, "%s",
			    T("there is no number to look for; type it, or give --file FILE",
				"chưa có số để tìm; hãy nhập số, hoặc dùng --file TỆP"))
		      : CTL_DONE;
}

/* Given on the line (it then stands where others can read it), in a file, or asked for. */
static enum ctl_exit
take_number(const struct ctl_list *args, const char *path, char out[NUMBER_MAX + 2])
{
	if (args->n == 0 || strcmp(args->item[0], "-") == 0)
		return read_number(path, out);
	if (strlen(args->item[0]) > NUMBER_MAX)
		return ctl_fail(
		    CTL_USAGE, "%s", T("the number is too long", "số định danh quá dài"));
	(void)snprintf(out, NUMBER_MAX + 2, "%s", args->item[0]);
	return CTL_DONE;
}

/* ---- who holds ---- */

typedef enum ctl_exit holding_fn(struct ctl *c, void *ctx, const Ltpb__Holding *h);

struct seen {
	char *name[RECORDS_MAX]; /* owned */
	size_t n;
};

/* A record comes again when a later page finds it a second time. */
static bool
seen_before(struct seen *s, const Ltpb__Holding *h)
{
	char name[512];
	size_t i;

	(void)snprintf(name, sizeof(name), "%s %s %s", h->unit, h->collection, h->key);
	for (i = 0; i < s->n; i++)
		if (strcmp(s->name[i], name) == 0)
			return true;
	if (s->n < RECORDS_MAX) {
		s->name[s->n] = strdup(name);
		s->n += s->name[s->n] != NULL;
	}
	return false;
}

/* How far the look got. */
struct look {
	size_t n; /* records */
	uint64_t unreadable;
	bool behind;
};

/* Every record, page by page. */
static enum ctl_exit
each_holding(struct ctl *c, char *number, holding_fn *fn, void *ctx, struct look *look)
{
	Ltpb__WhoHoldsRequest req = LTPB__WHO_HOLDS_REQUEST__INIT;
	struct seen *seen = calloc(1, sizeof(*seen));
	enum ctl_exit code = seen == NULL ? CTL_UNKNOWN : CTL_DONE;
	const Ltpb__WhoHoldsReply *r;
	ProtobufCMessage *m;
	uint8_t token[TOKEN_MAX];
	bool more = true;
	size_t i;

	memset(look, 0, sizeof(*look));
	req.value = number;
	while (code == CTL_DONE && more) {
		m = NULL;
		code = ctl_call(c, &ltpb__admin__descriptor, "WhoHolds", &req.base, &m);
		if (code != CTL_DONE)
			break;
		r = (const Ltpb__WhoHoldsReply *)m;
		look->unreadable += r->unreadable;
		for (i = 0; code == CTL_DONE && i < r->n_holding; i++) {
			if (seen_before(seen, r->holding[i]))
				continue;
			look->n++;
			code = fn(c, ctx, r->holding[i]);
		}
		look->behind |= r->behind;
		more = r->next_page_token.len != 0;
		if (more && r->next_page_token.len <= sizeof(token)) {
			memcpy(token, r->next_page_token.data, r->next_page_token.len);
			req.page_token.data = token;
			req.page_token.len = r->next_page_token.len;
		} else if (more && code == CTL_DONE) {
			code = ctl_fail(CTL_UNKNOWN, "%s",
			    T("the hub's answer cannot be read", "không đọc được câu trả lời"));
		}
		ctl_reply_free(m);
	}
	if (code != CTL_DONE && more && look->n != 0)
		ctl_complain("%s",
		    T("not everything was looked at: ask again", "chưa tìm hết: hãy chạy lại"));
	for (i = 0; seen != NULL && i < seen->n; i++)
		free(seen->name[i]);
	free(seen);
	return code;
}

static json_t *
holding_json(const Ltpb__Holding *h)
{
	json_t *o = json_object(), *a = json_array();
	size_t i;

	json_object_set_new(o, "unit", ctl_json_text(h->unit));
	json_object_set_new(o, "unit_name", ctl_json_text(h->unit_name));
	json_object_set_new(o, "collection", ctl_json_text(h->collection));
	json_object_set_new(o, "key", ctl_json_text(h->key));
	json_object_set_new(o, "fields", ctl_json_texts(h->n_field, h->field));
	json_object_set_new(o, "shown", ctl_json_texts(h->n_shown, h->shown));
	json_object_set_new(o, "erased", ctl_json_texts(h->n_erased, h->erased));
	json_object_set_new(o, "departments", ctl_json_texts(h->n_department, h->department));
	for (i = 0; i < h->n_machine; i++)
		json_array_append_new(a,
		    json_pack("{s:o,s:s,s:o,s:b}", "principal",
			ctl_json_hex(h->machine[i]->principal.data, h->machine[i]->principal.len),
			"role", ctl_role_name(h->machine[i]->role), "label",
			ctl_json_text(h->machine[i]->label), "values",
			(int)h->machine[i]->openings));
	json_object_set_new(o, "machines", a);
	return o;
}

static void
say_list(const char *what, size_t n, char *const *item)
{
	size_t i;

	if (n == 0)
		return;
	printf("    %s:", what);
	for (i = 0; i < n; i++)
		printf(" %s", item[i]);
	(void)fputc('\n', stdout);
}

static enum ctl_exit
print_holding(struct ctl *c, void *ctx, const Ltpb__Holding *h)
{
	size_t i;

	if (ctx != NULL) {
		json_array_append_new(ctx, holding_json(h));
		return CTL_DONE;
	}
	printf("%s (%s)  %s %s\n", h->unit, h->unit_name, h->collection, h->key);
	say_list(T("in the fields", "trong các trường"), h->n_field, h->field);
	say_list(T("shown now in", "đang hiển thị ở"), h->n_shown, h->shown);
	say_list(T("erased before", "đã xóa trước đây"), h->n_erased, h->erased);
	say_list(
	    T("departments that may read it", "các sở được đọc"), h->n_department, h->department);
	for (i = 0; i < h->n_machine; i++) {
		printf("    %s%s  ", T("machine ", ""), ctl_role(h->machine[i]->role));
		ctl_say_text(stdout, h->machine[i]->label);
		printf("  %s%s\n",
		    ctl_hex(&c->arena, h->machine[i]->principal.data, h->machine[i]->principal.len),
		    h->machine[i]->openings ? ""
					    : T("  (without the value)", "  (không có giá trị)"));
	}
	return CTL_DONE;
}

static void
say_rest(const struct look *look)
{
	if (look->unreadable != 0)
		ctl_complain(
		    T("%llu values are damaged and could not be looked at; see 'ltctl scrub'",
			"%llu giá trị bị hỏng nên không tìm được; xem 'ltctl scrub'"),
		    (unsigned long long)look->unreadable);
	if (look->behind)
		ctl_complain("%s",
		    T("the hub's tables do not show yet all that came in: ask again later for what "
		      "is not personal",
			"các bảng của đầu mối chưa hiển thị hết dữ liệu mới: hãy hỏi lại sau để "
			"tìm trong trường không phải cá nhân"));
}

static enum ctl_exit
look_code(const struct look *look)
{
	return look->unreadable != 0 || look->behind ? CTL_UNKNOWN
	       : look->n == 0                        ? CTL_NO
						     : CTL_DONE;
}

enum ctl_exit
cmd_who_holds(struct ctl *c, int argc, char **argv)
{
	const char *path = NULL;
	const struct ctl_option options[] = { { "file", CTL_TEXT, &path } };
	json_t *list = NULL;
	char number[NUMBER_MAX + 2];
	struct ctl_list args;
	struct look look;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 1);

	if (code == CTL_DONE)
		code = take_number(&args, path, number);
	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	if (c->json)
		list = json_array();
	code = each_holding(c, number, print_holding, list, &look);
	if (code != CTL_DONE) {
		json_decref(list);
		return code;
	}
	say_rest(&look);
	if (c->json)
		ctl_print_json(json_pack("{s:o,s:I,s:b}", "holdings", list, "unreadable",
		    (json_int_t)look.unreadable, "behind", (int)look.behind));
	else if (look.n == 0)
		printf("%s\n", T("this hub holds nothing with this number",
				   "đầu mối không giữ dữ liệu nào có số này"));
	return look_code(&look);
}

/* ---- erasing ---- */

struct erasing {
	Ltpb__EraseRequest req;
	json_t *list; /* NULL: for people */
	uint64_t values; /* gone, or to go */
	size_t records;
	uint64_t acts; /* written */
	bool unreached; /* something that no act names */
};

static json_t *
erased_json(const Ltpb__EraseRequest *q, const Ltpb__EraseReply *r)
{
	json_t *o = json_object(), *fields = json_array(), *acts = json_array(),
	       *unreached = json_array();
	char number[24];
	size_t i;

	json_object_set_new(o, "unit", ctl_json_text(q->unit));
	json_object_set_new(o, "collection", ctl_json_text(q->collection));
	json_object_set_new(o, "key", ctl_json_text(q->key));
	json_object_set_new(o, "erased", json_boolean(q->confirm));
	json_object_set_new(o, "values", json_integer((json_int_t)r->values));
	json_object_set_new(o, "changes", json_integer((json_int_t)r->changes));
	for (i = 0; i < r->n_field; i++)
		json_array_append_new(
		    fields, json_pack("{s:s,s:I,s:I}", "name", r->field[i]->name, "values",
				(json_int_t)r->field[i]->here, "erased_before",
				(json_int_t)r->field[i]->erased));
	json_object_set_new(o, "fields", fields);
	for (i = 0; i < r->n_act; i++) {
		(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)r->act[i]);
		json_array_append_new(acts, json_string(number));
	}
	json_object_set_new(o, "acts", acts);
	json_object_set_new(o, "unreadable", json_integer((json_int_t)r->unreadable));
	for (i = 0; i < r->n_unreached; i++)
		json_array_append_new(unreached, ctl_json_text(r->unreached[i]));
	json_object_set_new(o, "unreached", unreached);
	return o;
}

static void
print_erased(const Ltpb__EraseRequest *q, const Ltpb__EraseReply *r)
{
	size_t i;

	printf("%s  %s %s: ", q->unit, q->collection, q->key);
	if (r->values == 0)
		printf("%s\n", T("nothing is left to erase", "không còn gì để xóa"));
	else
		printf(q->confirm
			   ? T("%llu personal values erased\n", "đã xóa %llu giá trị cá nhân\n")
			   : T("%llu personal values would go\n", "sẽ xóa %llu giá trị cá nhân\n"),
		    (unsigned long long)r->values);
	for (i = 0; i < r->n_field; i++)
		printf(T("    %s: %llu values, erased before: %llu\n",
			   "    %s: %llu giá trị, đã xóa trước đây: %llu\n"),
		    r->field[i]->name, (unsigned long long)r->field[i]->here,
		    (unsigned long long)r->field[i]->erased);
	for (i = 0; i < r->n_act; i++)
		printf(T("    act %llu\n", "    quyết định %llu\n"), (unsigned long long)r->act[i]);
	if (r->not_visible)
		printf("    %s\n", T("gone for good; the tables follow in a moment",
				       "đã xóa hẳn; các bảng sẽ cập nhật sau giây lát"));
}

static void
say_damage(const Ltpb__EraseReply *r)
{
	size_t i;

	if (r->unreadable > r->n_unreached)
		ctl_complain(T("%llu changes are damaged: an act names all that may stand in them, "
			       "and holds "
			       "when they are repaired",
				 "%llu lần thay đổi bị hỏng: quyết định xóa nêu mọi trường có thể "
				 "có trong đó, "
				 "và có hiệu lực cả khi dữ liệu được khôi phục"),
		    (unsigned long long)(r->unreadable - r->n_unreached));
	for (i = 0; i < r->n_unreached; i++)
		ctl_complain(
		    T("change %s is damaged, and no act can name it: erase again when it is "
		      "repaired ('ltctl scrub')",
			"lần thay đổi %s bị hỏng và không quyết định nào nêu được: hãy xóa "
			"lại sau khi khôi phục ('ltctl scrub')"),
		    r->unreached[i]);
}

static enum ctl_exit
erase_record(struct ctl *c, struct erasing *e)
{
	const Ltpb__EraseReply *r;
	ProtobufCMessage *m = NULL;
	enum ctl_exit code;
	bool more;

	e->records++;
	do {
		code = ctl_call(c, &ltpb__admin__descriptor, "Erase", &e->req.base, &m);
		if (code != CTL_DONE)
			return code;
		r = (const Ltpb__EraseReply *)m;
		e->values += r->values;
		if (e->list != NULL)
			json_array_append_new(e->list, erased_json(&e->req, r));
		else
			print_erased(&e->req, r);
		e->acts += r->n_act;
		e->unreached |= r->n_unreached != 0;
		say_damage(r);
		/* Of what only would go, the first part tells enough. */
		more = r->more && e->req.confirm && r->n_act != 0;
		ctl_reply_free(m);
		m = NULL;
	} while (more);
	return CTL_DONE;
}

static enum ctl_exit
erase_holding(struct ctl *c, void *ctx, const Ltpb__Holding *h)
{
	struct erasing *e = ctx;

	e->req.unit = h->unit;
	e->req.collection = h->collection;
	e->req.key = h->key;
	return erase_record(c, e);
}

static enum ctl_exit
erase_number(struct ctl *c, struct erasing *e, const char *path)
{
	const struct ctl_list none = { 0 };
	char number[NUMBER_MAX + 2];
	struct look look;
	enum ctl_exit code = take_number(&none, path, number);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code == CTL_DONE)
		code = each_holding(c, number, erase_holding, e, &look);
	if (code != CTL_DONE)
		return code;
	say_rest(&look);
	return look.unreadable != 0 || look.behind ? CTL_UNKNOWN : CTL_DONE;
}

static enum ctl_exit
erase_one(struct ctl *c, struct erasing *e, const struct ctl_list *args)
{
	enum ctl_exit code = ctl_connect(c);

	if (code != CTL_DONE)
		return code;
	e->req.collection = (char *)args->item[0];
	e->req.key = (char *)args->item[1];
	return erase_record(c, e);
}

static enum ctl_exit
erase_end(const struct erasing *e)
{
	if (e->list != NULL)
		ctl_print_json(
		    json_pack("{s:b,s:I,s:I,s:O}", "erased", (int)e->req.confirm, "records",
			(json_int_t)e->records, "values", (json_int_t)e->values, "list", e->list));
	else if (e->records == 0)
		printf("%s\n", T("this hub holds nothing with this number",
				   "đầu mối không giữ dữ liệu nào có số này"));
	else if (!e->req.confirm && e->values != 0)
		printf("%s\n",
		    T("nothing was erased: add --yes, --reason and --basis to erase. It cannot be "
		      "taken back.",
			"chưa xóa gì: thêm --yes, --reason và --basis để xóa. Đã xóa thì không lấy "
			"lại được."));
	else if (e->req.confirm && e->values != 0)
		printf("%s\n",
		    T("nodes follow at their next contact; backups made before keep what they "
		      "have: put 'ltctl erase list --export FILE' beside them, for 'ltctl restore "
		      "--erasures'",
			"các máy xã xóa theo khi nối mạng; bản sao lưu cũ vẫn còn giữ: hãy chạy "
			"'ltctl erase list --export TỆP' và cất cùng chúng, để 'ltctl restore "
			"--erasures' xóa lại"));
	return e->unreached ? CTL_UNKNOWN : e->values == 0 && e->acts == 0 ? CTL_NO : CTL_DONE;
}

enum ctl_exit
cmd_erase(struct ctl *c, int argc, char **argv)
{
	struct erasing e = { .req = LTPB__ERASE_REQUEST__INIT };
	struct ctl_list args, fields = { 0 };
	const char *unit = NULL, *reason = NULL, *basis = NULL, *path = NULL;
	bool yes = false, by_number = false;
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &unit },
		{ "field", CTL_LIST, &fields }, { "reason", CTL_TEXT, &reason },
		{ "basis", CTL_TEXT, &basis }, { "yes", CTL_FLAG, &yes },
		{ "by-number", CTL_FLAG, &by_number }, { "file", CTL_TEXT, &path } };
	enum ctl_exit code = ctl_options(c, argc, argv, options, 7, &args, 0, 2);

	if (code != CTL_DONE)
		return code;
	if (by_number ? args.n != 0 || unit != NULL : args.n != 2 || unit == NULL || path != NULL)
		return ctl_fail(CTL_USAGE, "%s",
		    T("name the record: --unit CODE COLLECTION KEY; or --by-number, which asks for "
		      "the number",
			"hãy nêu bản ghi: --unit MÃ LOẠI KHÓA; hoặc --by-number rồi nhập số"));
	if (yes && (reason == NULL || basis == NULL))
		return ctl_fail(CTL_USAGE, "%s",
		    T("to erase, say why (--reason) and by which law or document (--basis)",
			"muốn xóa phải nêu lý do (--reason) và căn cứ pháp lý (--basis)"));
	e.req.unit = (char *)(unit == NULL ? "" : unit);
	e.req.field = (char **)(uintptr_t)fields.item;
	e.req.n_field = fields.n;
	e.req.reason = (char *)(reason == NULL ? "" : reason);
	e.req.basis = (char *)(basis == NULL ? "" : basis);
	e.req.confirm = yes;
	if (c->json)
		e.list = json_array();
	code = by_number ? erase_number(c, &e, path) : erase_one(c, &e, &args);
	if (code == CTL_DONE)
		code = erase_end(&e);
	json_decref(e.list);
	return code;
}

/* ---- the list ---- */

struct listing {
	json_t *json; /* NULL: for people */
	struct ctl_table table;
	Ltpb__Erasures file; /* what is exported; all owned */
	bool certified; /* its certificates are in there */
	size_t n, damaged;
	uint64_t unreadable;
};

static void
list_act(struct ctl *c, struct listing *l, const Ltpb__ErasureAct *a)
{
	l->n++;
	l->damaged += a->damaged;
	if (l->json != NULL) {
		json_array_append_new(l->json,
		    json_pack("{s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:b}", "unit",
			ctl_json_text(a->unit), "number", ctl_json_text(a->number), "reason",
			ctl_json_text(a->reason), "basis", ctl_json_text(a->basis), "by",
			ctl_json_hex(a->by.data, a->by.len), "time_ms", (json_int_t)a->time_ms,
			"changes", (json_int_t)a->changes, "values", (json_int_t)a->values,
			"damaged", (int)a->damaged));
		return;
	}
	ctl_cell(&l->table, "%s", ctl_time(&c->arena, a->time_ms));
	ctl_cell(&l->table, "%s", a->unit);
	ctl_cell(&l->table, "%s", a->number);
	ctl_cell(&l->table, "%llu", (unsigned long long)a->values);
	ctl_cell(&l->table, "%s", a->damaged ? T("damaged", "bị hỏng") : reason_word(a->reason));
	ctl_cell_short(&l->table, a->basis);
	ctl_cell(&l->table, "%s",
	    a->by.len == 0 ? T("the hub's machine", "tại máy đầu mối")
			   : ctl_hex(&c->arena, a->by.data, a->by.len));
}

static bool
keep(ProtobufCBinaryData *out, const ProtobufCBinaryData *in)
{
	out->data = malloc(in->len + 1);
	if (out->data == NULL)
		return false;
	if (in->len != 0)
		memcpy(out->data, in->data, in->len);
	out->len = in->len;
	return true;
}

/* Of the first page. */
static enum ctl_exit
keep_certificates(struct listing *l, const Ltpb__ListErasuresReply *r)
{
	Ltpb__Erasures *f = &l->file;

	f->certificate_before = calloc(r->n_certificate_before + 1, sizeof(*f->certificate_before));
	if (f->certificate_before == NULL || !keep(&f->certificate, &r->certificate))
		return ctl_error(LT_E_NOMEM, NULL);
	while (f->n_certificate_before < r->n_certificate_before) {
		if (!keep(&f->certificate_before[f->n_certificate_before],
			&r->certificate_before[f->n_certificate_before]))
			return ctl_error(LT_E_NOMEM, NULL);
		f->n_certificate_before++;
	}
	return CTL_DONE;
}

static enum ctl_exit
keep_changesets(struct listing *l, const Ltpb__ListErasuresReply *r)
{
	size_t i, n = l->file.n_changeset;
	ProtobufCBinaryData *more =
	    realloc(l->file.changeset, (n + r->n_changeset + 1) * sizeof(*more));

	if (more == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	l->file.changeset = more;
	for (i = 0; i < r->n_changeset; i++) {
		if (!keep(&more[n + i], &r->changeset[i]))
			return ctl_error(LT_E_NOMEM, NULL);
		l->file.n_changeset++;
	}
	if (l->certified)
		return CTL_DONE;
	l->certified = true;
	return keep_certificates(l, r);
}

static enum ctl_exit
list_pages(struct ctl *c, struct listing *l, bool export)
{
	Ltpb__ListErasuresRequest req = LTPB__LIST_ERASURES_REQUEST__INIT;
	const Ltpb__ListErasuresReply *r;
	ProtobufCMessage *m = NULL, *last = NULL;
	enum ctl_exit code;
	size_t i;

	req.changesets = export;
	do {
		code = ctl_call(c, &ltpb__admin__descriptor, "ListErasures", &req.base, &m);
		ctl_reply_free(last);
		last = m;
		m = NULL;
		if (code != CTL_DONE)
			break;
		r = (const Ltpb__ListErasuresReply *)last;
		for (i = 0; i < r->n_act; i++)
			list_act(c, l, r->act[i]);
		l->unreadable += r->unreadable;
		if (export)
			code = keep_changesets(l, r);
		req.page_token = r->next_page_token;
	} while (code == CTL_DONE && req.page_token.len != 0);
	ctl_reply_free(last);
	return code;
}

static enum ctl_exit
save(const struct listing *l, const char *path)
{
	struct lt_err err = { "" };
	struct lt_buf b = { 0 };
	size_t len = ltpb__erasures__get_packed_size(&l->file);
	uint8_t *p;
	int rc;

	if (len > LT_ERASURES_BYTES_MAX)
		return ctl_fail(CTL_NO, "%s",
		    T("the list is larger than 'ltctl restore' takes (64 MiB)",
			"danh sách lớn hơn mức 'ltctl restore' nhận (64 MiB)"));
	p = lt_buf_reserve(&b, len + 1);
	rc = b.err;

	if (p != NULL) {
		lt_buf_added(&b, ltpb__erasures__pack(&l->file, p));
		rc = lt_file_write(path, lt_buf_slice(&b), 0600, false, &err);
	}
	lt_buf_fini(&b);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
}

static void
listing_free(struct listing *l)
{
	size_t i;

	for (i = 0; i < l->file.n_changeset; i++)
		free(l->file.changeset[i].data);
	free(l->file.changeset);
	for (i = 0; i < l->file.n_certificate_before; i++)
		free(l->file.certificate_before[i].data);
	free(l->file.certificate_before);
	free(l->file.certificate.data);
}

static void
print_list(struct listing *l, const char *path)
{
	if (l->json != NULL) {
		ctl_print_json(json_pack(
		    "{s:o,s:I}", "erasures", l->json, "unreadable", (json_int_t)l->unreadable));
		return;
	}
	if (l->n == 0 && l->unreadable == 0) {
		ctl_table_drop(&l->table);
		printf("%s\n", T("nothing was erased here", "chưa xóa dữ liệu cá nhân nào"));
	} else {
		ctl_table_print(&l->table);
	}
	if (path != NULL)
		printf(
		    T("%zu acts written to %s, for 'ltctl restore --erasures'\n",
			"đã ghi %zu quyết định xóa vào %s, dùng cho 'ltctl restore --erasures'\n"),
		    l->n, path);
}

static enum ctl_exit
say_what_is_damaged(const struct listing *l)
{
	if (l->damaged != 0)
		ctl_complain(
		    T("%zu acts are damaged: what is missing of them is in no exported list",
			"%zu quyết định xóa bị hỏng: phần thiếu không có trong danh sách xuất "
			"ra"),
		    l->damaged);
	if (l->unreadable != 0)
		ctl_complain(T("%llu more entries cannot be read; see 'ltctl scrub'",
				 "còn %llu mục không đọc được; xem 'ltctl scrub'"),
		    (unsigned long long)l->unreadable);
	return l->damaged != 0 || l->unreadable != 0 ? CTL_UNKNOWN : CTL_DONE;
}

enum ctl_exit
cmd_erase_list(struct ctl *c, int argc, char **argv)
{
	struct listing l = { .file = LTPB__ERASURES__INIT };
	const char *path = NULL;
	const struct ctl_option options[] = { { "export", CTL_TEXT, &path } };
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	if (c->json)
		l.json = json_array();
	ctl_table_init(&l.table, 7);
	ctl_cell(&l.table, "%s", T("when", "lúc"));
	ctl_cell(&l.table, "%s", T("unit", "đơn vị"));
	ctl_cell(&l.table, "%s", T("act", "quyết định"));
	ctl_cell(&l.table, "%s", T("values", "giá trị"));
	ctl_cell(&l.table, "%s", T("reason", "lý do"));
	ctl_cell(&l.table, "%s", T("basis", "căn cứ"));
	ctl_cell(&l.table, "%s", T("by", "người thực hiện"));
	l.file.version = 1;
	code = list_pages(c, &l, path != NULL);
	if (code == CTL_DONE && path != NULL)
		code = save(&l, path);
	if (code == CTL_DONE)
		print_list(&l, path);
	else
		json_decref(l.json);
	if (c->json || code != CTL_DONE)
		ctl_table_drop(&l.table);
	if (code == CTL_DONE)
		code = say_what_is_damaged(&l);
	listing_free(&l);
	return code;
}
