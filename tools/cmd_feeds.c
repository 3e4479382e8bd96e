#include "tools/ctl_log.h"

#include <string.h>

static json_t *
feed_json(const struct ctl_feed *f)
{
	json_t *o = json_object();

	json_object_set_new(o, "unit", ctl_json_text(f->unit.s));
	json_object_set_new(o, "feed", ctl_json_hex(f->feed.b, LT_FEED_LEN));
	json_object_set_new(o, "author", ctl_json_text(f->author));
	json_object_set_new(o, "lane", json_string(ctl_lane((int)lt_feed_lane(&f->feed))));
	json_object_set_new(o, "seq", json_integer((json_int_t)f->seq));
	json_object_set_new(o, "hash", ctl_json_hex(f->hash.b, LT_HASH_LEN));
	json_object_set_new(o, "judged", json_integer((json_int_t)f->judged));
	json_object_set_new(o, "time_ms", json_integer(f->time_ms));
	json_object_set_new(o, "forked_from", json_integer((json_int_t)f->forked_from));
	json_object_set_new(o, "forked_to", json_integer((json_int_t)f->forked_to));
	return o;
}

static void
print_branch(struct ctl *c, const struct ctl_feed *f)
{
	printf(
	    T("only on this machine: change-sets %llu to %llu of feed %s; the hub holds others "
	      "in their place\n",
		"chỉ có ở máy này: gói %llu đến %llu của dòng %s; đầu mối giữ gói khác cùng số\n"),
	    (unsigned long long)f->forked_from, (unsigned long long)f->forked_to,
	    ctl_hex(&c->arena, f->feed.b, LT_FEED_LEN));
}

static void
print_feeds(struct ctl *c, const struct ctl_log *log)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 7);
	ctl_cell(&t, "%s", T("unit", "đơn vị"));
	ctl_cell(&t, "%s", T("author", "tác giả"));
	ctl_cell(&t, "%s", T("lane", "làn"));
	ctl_cell(&t, "%s", T("change-sets", "số gói"));
	ctl_cell(&t, "%s", T("judged", "đã xét"));
	ctl_cell(&t, "%s", T("last", "gần nhất"));
	ctl_cell(&t, "%s", T("feed", "dòng"));
	for (i = 0; i < log->nfeed; i++) {
		const struct ctl_feed *f = &log->feed[i];

		ctl_cell(&t, "%s", f->unit.s);
		ctl_cell_short(&t, f->author);
		ctl_cell(&t, "%s", ctl_lane((int)lt_feed_lane(&f->feed)));
		ctl_cell(&t, "%llu", (unsigned long long)f->seq);
		ctl_cell(&t, "%llu", (unsigned long long)f->judged);
		ctl_cell(&t, "%s", ctl_time(&c->arena, f->time_ms));
		ctl_cell(&t, "%s", ctl_hex(&c->arena, f->feed.b, LT_FEED_LEN));
	}
	ctl_table_print(&t);
	for (i = 0; i < log->nfeed; i++)
		if (log->feed[i].forked_from != 0)
			print_branch(c, &log->feed[i]);
}

enum ctl_exit
cmd_feeds(struct ctl *c, int argc, char **argv)
{
	const char *unit = NULL;
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &unit } };
	struct ctl_log log = { 0 };
	struct ctl_list args;
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_log_open(c, false, unit, &log);
	if (code != CTL_DONE) {
		ctl_log_close(&log);
		return code;
	}
	for (i = 0; c->json && i < log.nfeed; i++)
		ctl_print_json(feed_json(&log.feed[i]));
	if (!c->json)
		print_feeds(c, &log);
	ctl_log_close(&log);
	return CTL_DONE;
}
