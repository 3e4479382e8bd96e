#include "node/import_cell.h"
#include "proto/model/validate.h"
#include "tools/ctl.h"

#include <string.h>

#define PAGE_SIZE 200
#define TABLE_FIELDS_MAX 6 /* besides unit and key; --fields asks for others */

struct listing {
	struct ctl *c;
	const struct lt_collection *col;
	bool csv, told_header;
	bool refused, held; /* only those, existing or not */
	uint64_t nrefused, nheld; /* in the collection, told with the first page */
	struct ctl_table table;
	size_t ncol;
	const char **column; /* names of the fields shown */
	uint64_t records, masked;
};

/* The columns: as asked for, or every field in the catalogue's order; of a table as many as a screen takes. */
static enum ctl_exit
choose_columns(struct listing *l, Ltpb__ListRequest *req, const char *fields)
{
	bool table = !l->csv && !l->c->json;
	size_t i;
	int k;

	if (fields != NULL) {
		req->mask = ctl_split(&l->c->arena, fields, &req->n_mask);
		if (req->mask == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
		for (i = 0; i < req->n_mask; i++)
			if (lt_collection_field(l->col, req->mask[i]) == NULL)
				return ctl_fail(CTL_USAGE,
				    T("%s has no field '%s'", "%s không có trường '%s'"),
				    l->col->id, req->mask[i]);
		l->column = (const char **)req->mask;
		l->ncol = req->n_mask;
		return CTL_DONE;
	}
	l->column = lt_arena_alloc(&l->c->arena, l->col->nfield * sizeof(*l->column));
	if (l->column == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	/* Of a table: those that every record has, then the others. */
	for (k = 0; k < (table ? 2 : 1); k++)
		for (i = 0; i < l->col->nfield; i++) {
			const struct lt_field *f = &l->col->field[i];

			if (table && (f->in_key || f->is_unit || f->required != (k == 0) ||
					 l->ncol == TABLE_FIELDS_MAX))
				continue;
			l->column[l->ncol++] = f->rule.name;
		}
	return CTL_DONE;
}

static const Ltpb__Value *
value_of(const Ltpb__Record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_field; i++)
		if (strcmp(r->field[i]->name, name) == 0)
			return r->field[i]->value;
	return NULL;
}

static bool
is_masked(const Ltpb__Record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_masked; i++)
		if (strcmp(r->masked[i], name) == 0)
			return true;
	for (i = 0; i < r->n_withheld; i++)
		if (strcmp(r->withheld[i], name) == 0)
			return true;
	return false;
}

/* As a spreadsheet opens it rightly: text that it would run as a formula gets a ' before it. */
static void
csv_cell(const char *text, bool last)
{
	const char *p;

	(void)fputc('"', stdout);
	if (lt_import_is_formula(lt_slice_str(text)))
		(void)fputc('\'', stdout);
	for (p = text; *p != '\0'; p++) {
		if (*p == '"')
			(void)fputc('"', stdout);
		(void)fputc(*p, stdout);
	}
	(void)fputs(last ? "\"\r\n" : "\";", stdout);
}

static void
csv_header(struct listing *l)
{
	size_t i;

	(void)fputs("\xef\xbb\xbf", stdout);
	csv_cell("_unit", false);
	csv_cell("_key", l->ncol == 0);
	for (i = 0; i < l->ncol; i++)
		csv_cell(l->column[i], i + 1 == l->ncol);
}

static void
csv_record(struct listing *l, const Ltpb__Record *r)
{
	size_t i;

	csv_cell(r->unit, false);
	csv_cell(r->key, l->ncol == 0);
	for (i = 0; i < l->ncol; i++)
		csv_cell(is_masked(r, l->column[i]) && value_of(r, l->column[i]) == NULL
			     ? "***"
			     : ctl_value_text(&l->c->arena, value_of(r, l->column[i])),
		    i + 1 == l->ncol);
}

static void
table_record(struct listing *l, const Ltpb__Record *r)
{
	size_t i;

	ctl_cell(&l->table, "%s", r->unit);
	ctl_cell(&l->table, "%s", r->key);
	for (i = 0; i < l->ncol; i++) {
		const Ltpb__Value *v = value_of(r, l->column[i]);

		if (v == NULL && is_masked(r, l->column[i]))
			ctl_cell(&l->table, "%s", "***");
		else
			ctl_cell_short(&l->table, ctl_value_text(&l->c->arena, v));
	}
	ctl_cell(&l->table, "%s%s%s%s%s", ctl_delivery(r->delivery),
	    (l->refused || l->held) && r->reason != LTPB__REASON_CODE__REASON_UNSPECIFIED ? ": "
											  : "",
	    (l->refused || l->held) && r->reason != LTPB__REASON_CODE__REASON_UNSPECIFIED
		? lt_reason_text(r->reason, ctl_vietnamese)
		: "",
	    r->n_conflict != 0 ? T(" conflict!", " cần xử lý!") : "",
	    r->incomplete ? T(" incomplete!", " chưa đủ!") : "");
}

static void
begin_table(struct listing *l)
{
	size_t i;

	ctl_table_init(&l->table, l->ncol + 3);
	ctl_cell(&l->table, "%s", T("unit", "đơn vị"));
	ctl_cell(&l->table, "%s", T("key", "khóa"));
	for (i = 0; i < l->ncol; i++)
		ctl_cell(&l->table, "%s", l->column[i]);
	ctl_cell(&l->table, "%s", ctl_is_client(l->c) ? "" : T("state", "tình trạng"));
}

static void
show_page(struct listing *l, const Ltpb__ListReply *r)
{
	size_t i;

	if (!l->told_header && l->csv)
		csv_header(l);
	if (!l->told_header && !l->csv && !l->c->json)
		begin_table(l);
	l->told_header = true;
	for (i = 0; i < r->n_record; i++) {
		l->records++;
		l->masked += r->record[i]->n_masked;
		if (l->c->json)
			ctl_print_json(ctl_json_record(r->record[i]));
		else if (l->csv)
			csv_record(l, r->record[i]);
		else
			table_record(l, r->record[i]);
	}
}

/* What the hub did not take is told after every list, as it may be missing in it. */
static void
tell_stopped(const struct listing *l)
{
	if (l->nrefused != 0)
		printf(T("%llu records of this unit were refused by the hub: ltctl list %s "
			 "--refused\n",
			   "%llu bản ghi của đơn vị bị đầu mối từ chối: ltctl list %s --refused\n"),
		    (unsigned long long)l->nrefused, l->col->id);
	if (l->nheld != 0)
		printf(T("%llu records of this unit are held by the hub: ltctl list %s --held\n",
			   "%llu bản ghi của đơn vị đang được đầu mối giữ: ltctl list %s --held\n"),
		    (unsigned long long)l->nheld, l->col->id);
}

static void
show_end(struct listing *l, const Ltpb__ListReply *last)
{
	if (l->c->json) {
		json_t *o = json_object();

		json_object_set_new(o, "records", json_integer((json_int_t)l->records));
		json_object_set_new(o, "more", json_boolean(last->next_page_token.len != 0));
		if (l->c->id->role == LTPB__ROLE__ROLE_NODE && !l->refused && !l->held) {
			json_object_set_new(o, "refused", json_integer((json_int_t)l->nrefused));
			json_object_set_new(o, "held", json_integer((json_int_t)l->nheld));
		}
		json_object_set_new(o, "freshness", ctl_json_freshness(last->freshness));
		ctl_print_json(o);
		return;
	}
	if (l->csv)
		return;
	if (l->told_header)
		ctl_table_print(&l->table);
	printf(T("%llu records%s.\n", "%llu bản ghi%s.\n"), (unsigned long long)l->records,
	    last->next_page_token.len != 0
		? T(" (more: --all, or --page N)", " (còn nữa: --all, hoặc --page N)")
		: "");
	tell_stopped(l);
	if (l->masked != 0)
		printf("%s\n", T("*** hidden from you", "*** bạn không được xem"));
	ctl_print_freshness(l->c, last->freshness);
}

static enum ctl_exit
fetch(struct listing *l, Ltpb__ListRequest *req, uint64_t page, bool all)
{
	ProtobufCMessage *m = NULL;
	uint64_t at = 1;
	enum ctl_exit code;

	for (;; at++) {
		const Ltpb__ListReply *r;

		code = ctl_call(l->c, &ltpb__query__descriptor, "List", &req->base, &m);
		if (code != CTL_DONE)
			return code;
		r = (const Ltpb__ListReply *)m;
		if (at == 1) {
			l->nrefused = r->refused;
			l->nheld = r->held;
		}
		if (all || at == page)
			show_page(l, r);
		if ((!all && at >= page) || r->next_page_token.len == 0)
			break;
		req->page_token.len = r->next_page_token.len;
		req->page_token.data =
		    lt_arena_dup(&l->c->arena, r->next_page_token.data, r->next_page_token.len);
		ctl_reply_free(m);
		m = NULL;
		if (req->page_token.data == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
	}
	show_end(l, (const Ltpb__ListReply *)m);
	ctl_reply_free(m);
	return CTL_DONE;
}

enum ctl_exit
cmd_list(struct ctl *c, int argc, char **argv)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	struct listing l = { .c = c };
	struct ctl_list args, units = { 0 }, where = { 0 };
	const char *order = NULL, *fields = NULL;
	uint64_t page = 1, size = PAGE_SIZE;
	bool all = false;
	const struct ctl_option options[] = { { "unit", CTL_LIST, &units },
		{ "where", CTL_LIST, &where }, { "order", CTL_TEXT, &order },
		{ "page", CTL_NUMBER, &page }, { "page-size", CTL_NUMBER, &size },
		{ "all", CTL_FLAG, &all }, { "fields", CTL_TEXT, &fields },
		{ "csv", CTL_FLAG, &l.csv }, { "refused", CTL_FLAG, &l.refused },
		{ "held", CTL_FLAG, &l.held } };
	Ltpb__Delivery delivery[2];
	enum ctl_exit code =
	    ctl_options(c, argc, argv, options, sizeof(options) / sizeof(options[0]), &args, 1, 1);

	if (code != CTL_DONE)
		return code;
	if (page == 0 || size == 0 || size > 1000 || (l.csv && c->json))
		return ctl_fail(CTL_USAGE, "%s",
		    T("pages count from 1 and have 1 to 1000 records; --csv and --json exclude "
		      "each other",
			"trang tính từ 1, mỗi trang 1 đến 1000 bản ghi; --csv và --json không đi "
			"cùng nhau"));
	if ((l.refused || l.held) && (l.csv || where.n != 0 || order != NULL))
		return ctl_fail(CTL_USAGE, "%s",
		    T("--refused and --held go without --where, --order and --csv",
			"--refused và --held không đi cùng --where, --order và --csv"));
	l.col = ctl_collection(c, args.item[0], &code);
	if (code == CTL_DONE)
		code = choose_columns(&l, &req, fields);
	if (code == CTL_DONE)
		code = ctl_filters(c, l.col, &where, &req.filter);
	if (code != CTL_DONE)
		return code;
	req.collection = (char *)l.col->id;
	ctl_default_unit(c, l.col, &units);
	req.n_unit = units.n;
	req.unit = (char **)units.item;
	req.n_filter = where.n;
	req.page_size = (uint32_t)size;
	req.delivery = delivery;
	if (l.refused)
		delivery[req.n_delivery++] = LTPB__DELIVERY__DELIVERY_REFUSED;
	if (l.held)
		delivery[req.n_delivery++] = LTPB__DELIVERY__DELIVERY_HELD;
	if (order != NULL) {
		req.descending = order[0] == '-';
		req.order_by = (char *)order + (order[0] == '-' ? 1 : 0);
	}
	return fetch(&l, &req, page, all);
}
