#include "tools/ctl.h"

#include <string.h>

#define UNITS_PAGE 1000

struct query {
	struct ctl *c;
	Ltpb__AggregateRequest req;
	ProtobufCMessage *names; /* List of _unit, NULL: not asked, or not for us */
};

/* Codes alone tell people little: the names of units, when they may be seen. */
static void
fetch_names(struct query *q)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	char *unit = (char *)"_", *mask = (char *)"name";
	struct lt_status st;
	size_t i;

	for (i = 0; i < q->req.n_group_by; i++)
		if (strcmp(q->req.group_by[i], "_unit") == 0)
			break;
	if (i == q->req.n_group_by || q->c->json)
		return;
	req.collection = (char *)"_unit";
	req.n_unit = 1;
	req.unit = &unit;
	req.page_size = UNITS_PAGE;
	req.n_mask = 1;
	req.mask = &mask;
	if (ctl_try(q->c, &ltpb__query__descriptor, "List", &req.base, &q->names, &st) != CTL_DONE)
		q->names = NULL;
}

static const char *
unit_name(const struct query *q, const char *code)
{
	const Ltpb__ListReply *r = (const Ltpb__ListReply *)q->names;
	size_t i, k;

	for (i = 0; r != NULL && i < r->n_record; i++) {
		const Ltpb__Record *rec = r->record[i];

		if (strcmp(rec->key, code) != 0)
			continue;
		for (k = 0; k < rec->n_field; k++)
			if (strcmp(rec->field[k]->name, "name") == 0 &&
			    rec->field[k]->value->v_case == LTPB__VALUE__V_TEXT)
				return rec->field[k]->value->text;
	}
	return "";
}

static const char *
sum_text(struct query *q, const Ltpb__Decimal *d)
{
	Ltpb__Value v = LTPB__VALUE__INIT;
	Ltpb__Decimal zero = LTPB__DECIMAL__INIT;

	v.v_case = LTPB__VALUE__V_DECIMAL;
	v.decimal = d != NULL ? (Ltpb__Decimal *)d : &zero;
	return ctl_value_text(&q->c->arena, &v);
}

static void
print_groups(struct query *q, const Ltpb__AggregateReply *r)
{
	struct ctl_table t;
	uint64_t total = 0;
	size_t i, k;

	ctl_table_init(&t, q->req.n_group_by + q->req.n_sum + 1);
	for (k = 0; k < q->req.n_group_by; k++)
		ctl_cell(&t, "%s",
		    strcmp(q->req.group_by[k], "_unit") == 0 ? T("unit", "đơn vị")
							     : q->req.group_by[k]);
	ctl_cell(&t, "%s", T("count", "số lượng"));
	for (k = 0; k < q->req.n_sum; k++)
		ctl_cell(&t, T("sum of %s", "tổng %s"), q->req.sum[k]);
	for (i = 0; i < r->n_group; i++) {
		const Ltpb__AggregateGroup *g = r->group[i];

		for (k = 0; k < q->req.n_group_by; k++) {
			const char *text =
			    k < g->n_group ? ctl_value_text(&q->c->arena, g->group[k]) : "";

			if (strcmp(q->req.group_by[k], "_unit") == 0)
				ctl_cell(&t, "%s %s", text, unit_name(q, text));
			else
				ctl_cell(&t, "%s", text[0] != '\0' ? text : "-");
		}
		ctl_cell(&t, "%llu", (unsigned long long)g->count);
		for (k = 0; k < q->req.n_sum; k++)
			ctl_cell(&t, "%s", k < g->n_sum ? sum_text(q, g->sum[k]) : "");
		total += g->count;
	}
	ctl_table_print(&t);
	printf(T("%zu groups, %llu records.\n", "%zu nhóm, %llu bản ghi.\n"), r->n_group,
	    (unsigned long long)total);
	ctl_print_freshness(q->c, r->freshness);
}

static void
print_json(struct query *q, const Ltpb__AggregateReply *r)
{
	size_t i, k;

	for (i = 0; i < r->n_group; i++) {
		const Ltpb__AggregateGroup *g = r->group[i];
		json_t *o = json_object(), *group = json_object(), *sum = json_object();

		for (k = 0; k < q->req.n_group_by && k < g->n_group; k++)
			json_object_set_new(group, q->req.group_by[k], ctl_json_value(g->group[k]));
		for (k = 0; k < q->req.n_sum && k < g->n_sum; k++)
			json_object_set_new(
			    sum, q->req.sum[k], ctl_json_text(sum_text(q, g->sum[k])));
		json_object_set_new(o, "group", group);
		json_object_set_new(o, "count", json_integer((json_int_t)g->count));
		json_object_set_new(o, "sum", sum);
		ctl_print_json(o);
	}
	ctl_print_json(json_pack("{s:I,s:o}", "groups", (json_int_t)r->n_group, "freshness",
	    ctl_json_freshness(r->freshness)));
}

static enum ctl_exit
check_names(struct ctl *c, const struct lt_collection *col, char **name, size_t n)
{
	size_t i;

	(void)c;
	for (i = 0; i < n; i++)
		if (strcmp(name[i], "_unit") != 0 && lt_collection_field(col, name[i]) == NULL)
			return ctl_fail(CTL_USAGE,
			    T("%s has no field '%s'", "%s không có trường '%s'"), col->id, name[i]);
	return CTL_DONE;
}

/* Lists may be given once with commas, or several times. */
static enum ctl_exit
join_lists(struct ctl *c, const struct ctl_list *list, char ***out, size_t *n)
{
	size_t i, k, part;

	*n = 0;
	*out = lt_arena_alloc(&c->arena, (CTL_LIST_MAX + 1) * sizeof(**out));
	for (i = 0; *out != NULL && i < list->n; i++) {
		char **item = ctl_split(&c->arena, list->item[i], &part);

		if (item == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
		for (k = 0; k < part && *n < CTL_LIST_MAX; k++)
			(*out)[(*n)++] = item[k];
	}
	return *out != NULL ? CTL_DONE : ctl_error(LT_E_NOMEM, NULL);
}

enum ctl_exit
cmd_query(struct ctl *c, int argc, char **argv)
{
	struct query q = { .c = c, .req = LTPB__AGGREGATE_REQUEST__INIT };
	struct ctl_list args, units = { 0 }, where = { 0 }, group = { 0 }, sum = { 0 };
	const struct ctl_option options[] = { { "unit", CTL_LIST, &units },
		{ "where", CTL_LIST, &where }, { "group-by", CTL_LIST, &group },
		{ "sum", CTL_LIST, &sum } };
	const struct lt_collection *col;
	ProtobufCMessage *m = NULL;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 4, &args, 1, 1);

	if (code != CTL_DONE)
		return code;
	col = ctl_collection(c, args.item[0], &code);
	if (code == CTL_DONE)
		code = ctl_filters(c, col, &where, &q.req.filter);
	if (code == CTL_DONE)
		code = join_lists(c, &group, &q.req.group_by, &q.req.n_group_by);
	if (code == CTL_DONE)
		code = join_lists(c, &sum, &q.req.sum, &q.req.n_sum);
	if (code == CTL_DONE)
		code = check_names(c, col, q.req.group_by, q.req.n_group_by);
	if (code == CTL_DONE)
		code = check_names(c, col, q.req.sum, q.req.n_sum);
	if (code != CTL_DONE)
		return code;
	q.req.collection = (char *)col->id;
	ctl_default_unit(c, col, &units);
	q.req.n_unit = units.n;
	q.req.unit = (char **)units.item;
	q.req.n_filter = where.n;
	code = ctl_call(c, &ltpb__query__descriptor, "Aggregate", &q.req.base, &m);
	if (code == CTL_DONE) {
		fetch_names(&q);
		if (c->json)
			print_json(&q, (const Ltpb__AggregateReply *)m);
		else
			print_groups(&q, (const Ltpb__AggregateReply *)m);
	}
	ctl_reply_free(q.names);
	ctl_reply_free(m);
	return code;
}
