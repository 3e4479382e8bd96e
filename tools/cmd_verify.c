#include "tools/ctl_log.h"

#include <string.h>

struct verifying {
	struct ctl_log *log;
	struct ctl_chain chain;
	uint64_t withheld, changes;
	int rc; /* of the first change-set that does not hold */
	struct lt_err err;
};

static enum ctl_exit
verify_one(void *ctx, const struct lt_changeset *cs)
{
	struct verifying *v = ctx;

	v->rc = ctl_verify_next(v->log, cs, &v->chain, &v->withheld, &v->err);
	v->changes += cs->nchange;
	if (v->rc == LT_OK)
		return CTL_DONE;
	return v->rc == LT_E_UNKNOWN ? CTL_UNKNOWN : CTL_NO;
}

/* The head that the list names must be the one that the chain leads to. */
static void
compare_head(struct verifying *v, const struct ctl_feed *f)
{
	if (v->chain.seq != f->seq || memcmp(v->chain.hash.b, f->hash.b, LT_HASH_LEN) != 0)
		v->rc = lt_err_set(&v->err, LT_E_BADHASH, "%s",
		    T("the chain does not lead to the head that is claimed",
			"chuỗi không dẫn tới đầu dòng đã báo"));
}

static void
print_result(struct ctl *c, const struct ctl_feed *f, const struct verifying *v, enum ctl_exit code)
{
	if (c->json) {
		json_t *o = json_object();

		json_object_set_new(o, "unit", ctl_json_text(f->unit.s));
		json_object_set_new(o, "feed", ctl_json_hex(f->feed.b, LT_FEED_LEN));
		json_object_set_new(o, "seq", json_integer((json_int_t)f->seq));
		json_object_set_new(o, "changes", json_integer((json_int_t)v->changes));
		json_object_set_new(o, "withheld_leaves", json_integer((json_int_t)v->withheld));
		json_object_set_new(o, "good", json_boolean(code == CTL_DONE));
		if (code != CTL_DONE) {
			json_object_set_new(
			    o, "bad_seq", json_integer((json_int_t)v->chain.seq + 1));
			json_object_set_new(o, "error", ctl_json_text(v->err.text));
		}
		ctl_print_json(o);
		return;
	}
	printf("%-5s %-6s %s %s: ", f->unit.s, ctl_lane((int)lt_feed_lane(&f->feed)),
	    ctl_hex(&c->arena, f->feed.b, LT_FEED_LEN), f->author);
	if (code == CTL_DONE)
		printf(T("%llu change-sets, %llu changes: good", "%llu gói, %llu thay đổi: tốt"),
		    (unsigned long long)f->seq, (unsigned long long)v->changes);
	else
		printf(T("NOT GOOD at %llu: %s", "KHÔNG TỐT ở gói %llu: %s"),
		    (unsigned long long)(v->chain.seq + 1),
		    v->err.text[0] != '\0' ? ctl_said(LT_E_INVALID, &v->err)
					   : T("see the complaint", "xem lời báo"));
	if (v->withheld != 0)
		printf(T(" (%llu personal values not here, their commitments hold)",
			   " (%llu giá trị cá nhân không có ở đây, cam kết vẫn đúng)"),
		    (unsigned long long)v->withheld);
	(void)fputc('\n', stdout);
}

static enum ctl_exit
verify_feed(struct ctl_log *log, const struct ctl_feed *f)
{
	struct verifying v = { .log = log };
	enum ctl_exit code = ctl_log_walk(log, f, 1, 0, verify_one, &v);

	if (code == CTL_DONE) {
		compare_head(&v, f);
		code = v.rc == LT_OK ? CTL_DONE : CTL_NO;
	}
	print_result(log->c, f, &v, code);
	return code;
}

/* A bad feed weighs more than one that could not be checked. */
static enum ctl_exit
worse(enum ctl_exit a, enum ctl_exit b)
{
	if (a == CTL_NO || b == CTL_NO)
		return CTL_NO;
	return a != CTL_DONE ? a : b;
}

static enum ctl_exit
verify_all(struct ctl_log *log)
{
	enum ctl_exit code = CTL_DONE;
	size_t i, bad = 0;

	for (i = 0; i < log->nfeed; i++) {
		enum ctl_exit one = verify_feed(log, &log->feed[i]);

		bad += one != CTL_DONE;
		code = worse(code, one);
	}
	if (!log->c->json)
		printf(
		    T("%zu feeds, %zu not good.\n", "%zu dòng, %zu không tốt.\n"), log->nfeed, bad);
	return code;
}

enum ctl_exit
cmd_verify(struct ctl *c, int argc, char **argv)
{
	const struct ctl_feed *feed;
	struct ctl_log log = { 0 };
	bool offline = false, all;
	const struct ctl_option options[] = { { "offline", CTL_FLAG, &offline } };
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 2);

	if (code != CTL_DONE)
		return code;
	all = args.n == 0 || (args.n == 1 && strcmp(args.item[0], "all") == 0);
	if (!all && args.n != 2)
		return ctl_fail(CTL_USAGE, "%s",
		    T("name a unit and a feed, or all", "hãy nêu đơn vị và dòng, hoặc all"));
	code = ctl_log_open(c, offline, all ? NULL : args.item[0], &log);
	if (code == CTL_DONE)
		code = ctl_log_keys(&log);
	if (code == CTL_DONE && all)
		code = verify_all(&log);
	else if (code == CTL_DONE) {
		code = ctl_log_find(&log, args.item[0], args.item[1], &feed);
		if (code == CTL_DONE)
			code = verify_feed(&log, feed);
	}
	ctl_log_close(&log);
	return code;
}
