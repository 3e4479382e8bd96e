#include "tools/ctl_log.h"

#include <string.h>

#define LIMIT_DEFAULT 200

struct logging {
	struct ctl *c;
	struct ctl_table table;
};

/* "dossier +3 household_poverty +1": what a change-set is about. */
static const char *
summary(struct ctl *c, const struct lt_changeset *cs)
{
	struct lt_buf b = { 0 };
	const char *s;
	size_t i, n;

	for (i = 0; i < cs->nchange; i += n) {
		for (n = 1; i + n < cs->nchange; n++)
			if (strcmp(cs->change[i + n].collection, cs->change[i].collection) != 0)
				break;
		lt_buf_printf(&b, "%s%s ×%zu", i != 0 ? ", " : "", cs->change[i].collection, n);
	}
	s = lt_arena_dup(&c->arena, b.data, b.len);
	lt_buf_fini(&b);
	return s != NULL ? s : "";
}

static enum ctl_exit
line(void *ctx, const struct lt_changeset *cs)
{
	struct logging *l = ctx;
	struct ctl *c = l->c;

	if (c->json) {
		ctl_print_json(json_pack("{s:I,s:I,s:I,s:I,s:s,s:o}", "seq", (json_int_t)cs->seq,
		    "time_ms", (json_int_t)LT_STAMP_MS(cs->stamp), "changes",
		    (json_int_t)cs->nchange, "bytes", (json_int_t)cs->raw.len, "about",
		    summary(c, cs), "hash", ctl_json_hex(cs->hash.b, LT_HASH_LEN)));
		return CTL_DONE;
	}
	ctl_cell(&l->table, "%llu", (unsigned long long)cs->seq);
	ctl_cell(&l->table, "%s", ctl_time(&c->arena, LT_STAMP_MS(cs->stamp)));
	ctl_cell(&l->table, "%zu", cs->nchange);
	ctl_cell(&l->table, "%zu", cs->raw.len);
	ctl_cell(&l->table, "%s", ctl_hex(&c->arena, cs->hash.b, 8));
	ctl_cell_short(&l->table, summary(c, cs));
	return CTL_DONE;
}

enum ctl_exit
cmd_log(struct ctl *c, int argc, char **argv)
{
	uint64_t from = 1, limit = LIMIT_DEFAULT;
	const struct ctl_option options[] = { { "from", CTL_NUMBER, &from },
		{ "limit", CTL_NUMBER, &limit } };
	struct logging l = { .c = c };
	const struct ctl_feed *feed;
	struct ctl_log log = { 0 };
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 2, &args, 2, 2);

	if (code != CTL_DONE)
		return code;
	code = ctl_log_open(c, false, args.item[0], &log);
	if (code == CTL_DONE)
		code = ctl_log_find(&log, args.item[0], args.item[1], &feed);
	if (code == CTL_DONE) {
		ctl_table_init(&l.table, 6);
		if (!c->json) {
			ctl_cell(&l.table, "%s", T("seq", "số"));
			ctl_cell(&l.table, "%s", T("made", "làm lúc"));
			ctl_cell(&l.table, "%s", T("changes", "thay đổi"));
			ctl_cell(&l.table, "%s", "byte");
			ctl_cell(&l.table, "%s", T("hash", "băm"));
			ctl_cell(&l.table, "%s", T("about", "về"));
		}
		code = ctl_log_walk(&log, feed, from, limit, line, &l);
		ctl_table_print(&l.table);
	}
	ctl_log_close(&log);
	return code;
}
