#include "tools/ctl_grant.h"

#include <string.h>

/* Every a,b,c of an option that may stand several times. An empty word is a slip (an unset variable, say), and must not
 * become the widest grant. */
static enum ctl_exit
take_words(struct ctl *c, const char *name, const struct ctl_list *list, char ***out, size_t *n)
{
	char **all = NULL, **more, **part;
	size_t i, k, npart;

	*n = 0;
	for (i = 0; i < list->n; i++) {
		part = ctl_split(&c->arena, list->item[i], &npart);
		more = lt_arena_alloc(&c->arena, (*n + (part != NULL ? npart : 0)) * sizeof(*more));
		if (part == NULL || more == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
		for (k = 0; k < npart; k++)
			if (part[k][0] == '\0')
				return ctl_fail(CTL_USAGE,
				    T("'--%s' has an empty word: 'a,b,c' without blanks, or 'all'",
					"'--%s' có từ trống: viết 'a,b,c' không có dấu cách, hoặc "
					"'all'"),
				    name);
		if (*n != 0)
			memcpy(more, all, *n * sizeof(*more));
		memcpy(more + *n, part, npart * sizeof(*more));
		*n += npart;
		all = more;
	}
	*out = all;
	return CTL_DONE;
}

bool
ctl_grant_asked(const struct ctl_grant_lists *l)
{
	return l->verbs.n + l->units.n + l->collections.n + l->fields.n != 0;
}

enum ctl_exit
ctl_grant_words(struct ctl *c, const struct ctl_grant_lists *l, Ltpb__Grant *g)
{
	enum ctl_exit code = take_words(c, "verbs", &l->verbs, &g->verbs, &g->n_verbs);

	if (code == CTL_DONE)
		code = take_words(c, "units", &l->units, &g->units, &g->n_units);
	if (code == CTL_DONE)
		code = take_words(
		    c, "collections", &l->collections, &g->collections, &g->n_collections);
	if (code == CTL_DONE)
		code = take_words(c, "fields", &l->fields, &g->fields, &g->n_fields);
	return code;
}

json_t *
ctl_grant_json(const Ltpb__Grant *g)
{
	json_t *o;

	if (g == NULL)
		return json_null();
	o = json_object();
	json_object_set_new(o, "verbs", ctl_json_texts(g->n_verbs, g->verbs));
	json_object_set_new(o, "units", ctl_json_texts(g->n_units, g->units));
	json_object_set_new(o, "collections", ctl_json_texts(g->n_collections, g->collections));
	json_object_set_new(o, "fields", ctl_json_texts(g->n_fields, g->fields));
	return o;
}

static void
say_words(struct lt_buf *b, const char *what, size_t n, char *const *word)
{
	size_t i;

	if (n == 1 && strcmp(word[0], "all") == 0)
		return;
	lt_buf_printf(b, "%s%s ", b->len != 0 ? "; " : "", what);
	for (i = 0; i < n; i++)
		lt_buf_printf(b, "%s%s", i != 0 ? "," : "", word[i]);
}

/* Whoever approves has to see all of what it gives: the cell is not cut. */
void
ctl_grant_cell(struct ctl_table *t, const Ltpb__Grant *g)
{
	struct lt_buf b;
	size_t i;

	lt_buf_init(&b, LT_MESSAGE_MAX);
	for (i = 0; g != NULL && i < g->n_verbs; i++)
		lt_buf_printf(&b, "%s%s", i != 0 ? "," : "", g->verbs[i]);
	if (g != NULL) {
		say_words(&b, T("collections", "loại dữ liệu"), g->n_collections, g->collections);
		say_words(&b, T("units", "đơn vị"), g->n_units, g->units);
		say_words(&b, T("fields", "trường"), g->n_fields, g->fields);
	}
	lt_buf_u8(&b, 0);
	if (b.err != LT_OK)
		t->failed = true;
	else
		ctl_cell(t, "%s", g != NULL ? (const char *)b.data : "-");
	lt_buf_fini(&b);
}

enum ctl_exit
ctl_principal(const char *text, uint8_t id[LT_ID_LEN])
{
	if (lt_unhex(id, LT_ID_LEN, text) == LT_OK)
		return CTL_DONE;
	return ctl_fail(CTL_USAGE,
	    T("'%s' is no principal: 32 hexadecimal digits, see 'ltctl enrol list'",
		"'%s' không phải mã: 32 chữ số thập lục phân, xem 'ltctl enrol list'"),
	    text);
}
