/* One change-set explained: four questions, four answers, and what it says. */
#include "proto/base/wire.h"
#include "proto/model/validate.h"
#include "proto/model/value.h"
#include "tools/ctl_log.h"

#include <stdlib.h>
#include <string.h>

#define VERDICT_ARENA ((size_t)8 * 1024 * 1024)

struct showing {
	struct ctl *c;
	struct ctl_log *log;
	const struct ctl_feed *feed;
	uint64_t seq;
	struct ctl_chain chain; /* of seq - 1 */
	bool shown;
	enum ctl_exit result;
	/* the verdict that covers seq */
	bool judged;
	struct lt_buf refused; /* text, "" when all accepted */
	json_t *refused_json;
};

/* ---- the verdict ---- */

static void
note_refused(struct showing *s, uint32_t index, const char *name, const char *text)
{
	lt_buf_printf(&s->refused, "    %s %u: %s\n", T("change", "thay đổi"), index, text);
	json_array_append_new(
	    s->refused_json, json_pack("{s:I,s:s}", "index", (json_int_t)index, "reason", name));
}

static void
take_verdict(struct showing *s, const Ltpb__Verdict *v)
{
	size_t i;

	if (s->seq < v->from || s->seq > v->to)
		return;
	s->judged = true;
	for (i = 0; i < v->n_refused; i++)
		if (v->refused[i]->seq == s->seq)
			note_refused(s, v->refused[i]->index, lt_reason_name(v->refused[i]->reason),
			    lt_reason_text(v->refused[i]->reason, ctl_vietnamese));
	for (i = 0; i < v->n_held; i++)
		if (v->held[i]->seq == s->seq)
			note_refused(s, v->held[i]->index, "held",
			    T("held back until what it names is here",
				"giữ lại cho tới khi có dữ liệu mà nó nhắc tới"));
	for (i = 0; i < v->n_clamp; i++)
		if (v->clamp[i]->from <= s->seq && s->seq <= v->clamp[i]->to)
			lt_buf_printf(&s->refused, "    %s\n",
			    T("its time is taken within bounds: the clock was wrong",
				"thời điểm được chỉnh: đồng hồ máy đã sai"));
}

static enum ctl_exit
look_for_verdict(void *ctx, const struct lt_changeset *cs)
{
	struct showing *s = ctx;
	char hex[2 * LT_FEED_LEN + 1];
	struct lt_arena arena;
	ProtobufCMessage *m;
	size_t i;

	lt_hex(hex, s->feed->feed.b, LT_FEED_LEN);
	for (i = 0; i < cs->nchange; i++) {
		const struct lt_change *ch = &cs->change[i];
		const Ltpb__Value *v = ch->nset == 1 ? ch->set[0].pb->value : NULL;

		if (strcmp(ch->collection, "_verdict") != 0 ||
		    strncmp(ch->key, hex, 2 * LT_FEED_LEN) != 0 || v == NULL ||
		    v->v_case != LTPB__VALUE__V_BYTES)
			continue;
		lt_arena_init(&arena, VERDICT_ARENA);
		if (lt_wire_unpack(&ltpb__verdict__descriptor,
			lt_slice(v->bytes.data, v->bytes.len), LT_VALUE_MAX, &arena, &m,
			NULL) == LT_OK)
			take_verdict(s, (const Ltpb__Verdict *)m);
		lt_arena_fini(&arena);
	}
	return CTL_DONE;
}

static enum ctl_exit
find_verdict(struct showing *s)
{
	enum ctl_exit code = CTL_DONE;
	size_t i;

	for (i = 0; code == CTL_DONE && i < s->log->nfeed; i++) {
		const struct ctl_feed *f = &s->log->feed[i];
		struct lt_id author = lt_feed_author(&f->feed);

		if (lt_unit_eq(&f->unit, &s->feed->unit) && lt_id_eq(&author, &s->log->hub) &&
		    lt_feed_lane(&f->feed) == LT_LANE_URGENT)
			code = ctl_log_walk(s->log, f, 1, 0, look_for_verdict, s);
	}
	return code;
}

/* ---- the change-set ---- */

static void
print_header(struct showing *s, const struct lt_changeset *cs)
{
	struct lt_arena *a = &s->c->arena;
	struct lt_id author = lt_feed_author(&cs->feed);

	printf("%s %s %llu\n", cs->unit.s, ctl_hex(a, cs->feed.b, LT_FEED_LEN),
	    (unsigned long long)cs->seq);
	printf("  %s ", T("author", "tác giả"));
	/* Without a registry (--offline) there is no name. */
	if (strcmp(s->feed->author, ctl_hex(a, author.b, LT_ID_LEN)) != 0) {
		ctl_say_text(stdout, s->feed->author);
		printf(" (%s), ", ctl_hex(a, author.b, LT_ID_LEN));
	} else {
		printf("%s, ", s->feed->author);
	}
	printf("%s %u\n", T("key", "khóa"), cs->key_no);
	printf("  %s %s, %s %016llx\n", T("lane", "làn"), ctl_lane((int)lt_feed_lane(&cs->feed)),
	    T("epoch", "kỷ"), (unsigned long long)lt_feed_epoch(&cs->feed));
	printf("  %s %s, %s %llu\n", T("made", "làm lúc"), ctl_time(a, LT_STAMP_MS(cs->stamp)),
	    T("catalogue", "danh mục"), (unsigned long long)cs->catalogue_version);
	printf("  %s %s\n", T("hash", "băm"), ctl_hex(a, cs->hash.b, LT_HASH_LEN));
	printf("  %s %s\n", T("before", "trước"), ctl_hex(a, cs->prev.b, LT_HASH_LEN));
}

static const struct lt_opening *
opening_of(const struct lt_changeset *cs, size_t change, const char *name)
{
	size_t i;

	for (i = 0; i < cs->nopening; i++)
		if (cs->opening[i].change == change && strcmp(cs->opening[i].name, name) == 0)
			return &cs->opening[i];
	return NULL;
}

static void
print_field(struct showing *s, const char *name, const Ltpb__Value *v, const char *note)
{
	printf("      %s = ", name);
	ctl_say_text(stdout, ctl_value_text(&s->c->arena, v));
	printf("%s\n", note);
}

static void
print_change(struct showing *s, const struct lt_changeset *cs, size_t i)
{
	const struct lt_change *ch = &cs->change[i];
	size_t k;

	printf("    %zu. %s %s %s\n", i, ch->is_delete ? T("delete", "xóa") : T("put", "ghi"),
	    ch->collection, ch->key);
	for (k = 0; k < ch->nset; k++)
		print_field(s, ch->set[k].pb->name, ch->set[k].pb->value, "");
	for (k = 0; k < ch->ncleared; k++)
		printf("      %s %s\n", ch->cleared[k], T("cleared", "bỏ trống"));
	for (k = 0; k < ch->npersonal; k++) {
		const struct lt_opening *o = opening_of(cs, i, ch->personal[k]);

		if (o != NULL && !o->withheld)
			print_field(s, ch->personal[k], o->field.pb->value,
			    T("  (personal, opened)", "  (cá nhân, có ở đây)"));
		else
			printf("      %s = ***  %s\n", ch->personal[k],
			    T("(personal, withheld)", "(cá nhân, không có ở đây)"));
	}
	if (ch->ncontext != 0)
		printf("      %s %zu %s\n", T("had seen", "đã thấy"), ch->ncontext,
		    T("other feeds", "dòng khác"));
}

static json_t *
change_json(const struct lt_changeset *cs, size_t i)
{
	const struct lt_change *ch = &cs->change[i];
	json_t *o = json_object(), *fields = json_object(), *withheld = json_array();
	size_t k;

	for (k = 0; k < ch->nset; k++)
		json_object_set_new(
		    fields, ch->set[k].pb->name, ctl_json_value(ch->set[k].pb->value));
	for (k = 0; k < ch->npersonal; k++) {
		const struct lt_opening *op = opening_of(cs, i, ch->personal[k]);

		if (op != NULL && !op->withheld)
			json_object_set_new(
			    fields, ch->personal[k], ctl_json_value(op->field.pb->value));
		else
			json_array_append_new(withheld, ctl_json_text(ch->personal[k]));
	}
	json_object_set_new(o, "kind", json_string(ch->is_delete ? "delete" : "put"));
	json_object_set_new(o, "collection", ctl_json_text(ch->collection));
	json_object_set_new(o, "key", ctl_json_text(ch->key));
	json_object_set_new(o, "fields", fields);
	json_object_set_new(o, "cleared", ctl_json_texts(ch->ncleared, ch->cleared));
	json_object_set_new(o, "withheld", withheld);
	return o;
}

static const char *
verdict_name(const struct showing *s, const struct lt_changeset *cs)
{
	struct lt_id author = lt_feed_author(&cs->feed);

	if (s->log->hub_known && lt_id_eq(&author, &s->log->hub))
		return "hub"; /* the hub's own change-sets need none */
	if (!s->judged)
		return "none";
	return json_array_size(s->refused_json) != 0 ? "partly" : "accepted";
}

static void
print_json(struct showing *s, const struct lt_changeset *cs, int rc, const struct lt_err *err,
    uint64_t withheld)
{
	struct lt_id author = lt_feed_author(&cs->feed);
	json_t *o = json_object(), *changes = json_array();
	size_t i;

	for (i = 0; i < cs->nchange; i++)
		json_array_append_new(changes, change_json(cs, i));
	json_object_set_new(o, "unit", ctl_json_text(cs->unit.s));
	json_object_set_new(o, "feed", ctl_json_hex(cs->feed.b, LT_FEED_LEN));
	json_object_set_new(o, "seq", json_integer((json_int_t)cs->seq));
	json_object_set_new(o, "author", ctl_json_hex(author.b, LT_ID_LEN));
	json_object_set_new(o, "key_no", json_integer((json_int_t)cs->key_no));
	json_object_set_new(o, "time_ms", json_integer((json_int_t)LT_STAMP_MS(cs->stamp)));
	json_object_set_new(
	    o, "catalogue_version", json_integer((json_int_t)cs->catalogue_version));
	json_object_set_new(o, "hash", ctl_json_hex(cs->hash.b, LT_HASH_LEN));
	json_object_set_new(o, "prev_hash", ctl_json_hex(cs->prev.b, LT_HASH_LEN));
	json_object_set_new(o, "verified", json_boolean(rc == LT_OK));
	if (rc != LT_OK)
		json_object_set_new(o, "error", ctl_json_text(err->text));
	json_object_set_new(o, "withheld_leaves", json_integer((json_int_t)withheld));
	json_object_set_new(o, "verdict", json_string(verdict_name(s, cs)));
	json_object_set(o, "refused", s->refused_json);
	json_object_set_new(o, "changes", changes);
	ctl_print_json(o);
}

static void
print_verdict(struct showing *s, const struct lt_changeset *cs)
{
	const char *name = verdict_name(s, cs);

	printf("  %s: %s\n", T("verdict", "phán quyết"),
	    strcmp(name, "hub") == 0
		? T("none needed, the hub wrote it", "không cần, do đầu mối viết")
	    : strcmp(name, "none") == 0 ? T("none here yet", "chưa có ở đây")
	    : strcmp(name, "partly") == 0 ? T("not all of it was accepted", "không được nhận hết")
					  : T("accepted", "được nhận"));
	printf("%.*s", (int)s->refused.len, (const char *)s->refused.data);
}

static void
print_text(struct showing *s, const struct lt_changeset *cs, int rc, const struct lt_err *err,
    uint64_t withheld)
{
	size_t i;

	print_header(s, cs);
	printf("  %s: %s\n", T("verified", "kiểm tra"),
	    rc == LT_OK
		? T("chain, signature and openings hold", "chuỗi, chữ ký, dữ liệu cá nhân đều đúng")
		: err->text);
	if (withheld != 0)
		printf(T("  %llu personal values are withheld here\n",
			   "  %llu giá trị cá nhân không có ở đây\n"),
		    (unsigned long long)withheld);
	print_verdict(s, cs);
	printf("  %s:\n", T("changes", "các thay đổi"));
	for (i = 0; i < cs->nchange; i++)
		print_change(s, cs, i);
}

static enum ctl_exit
show_one(void *ctx, const struct lt_changeset *cs)
{
	struct showing *s = ctx;
	struct lt_err err = { "" };
	uint64_t withheld = 0;
	int rc;

	if (cs->seq != s->seq) {
		s->chain.seq = cs->seq;
		s->chain.hash = cs->hash;
		s->chain.stamp = cs->stamp;
		return CTL_DONE;
	}
	rc = ctl_verify_next(s->log, cs, &s->chain, &withheld, &err);
	s->shown = true;
	s->result = rc == LT_OK ? CTL_DONE : rc == LT_E_UNKNOWN ? CTL_UNKNOWN : CTL_NO;
	if (s->c->json)
		print_json(s, cs, rc, &err, withheld);
	else
		print_text(s, cs, rc, &err, withheld);
	return CTL_DONE;
}

static enum ctl_exit
show(struct showing *s, const struct ctl_list *args)
{
	enum ctl_exit code = ctl_log_find(s->log, args->item[0], args->item[1], &s->feed);

	if (code == CTL_DONE && (s->seq == 0 || s->seq > s->feed->seq))
		code = ctl_fail(CTL_NO,
		    T("the feed has change-sets 1 to %llu", "dòng này có các gói từ 1 đến %llu"),
		    (unsigned long long)s->feed->seq);
	if (code == CTL_DONE)
		code = ctl_log_keys(s->log);
	if (code == CTL_DONE)
		code = find_verdict(s);
	if (code == CTL_DONE)
		code = ctl_log_walk(
		    s->log, s->feed, s->seq > 1 ? s->seq - 1 : 1, s->seq > 1 ? 2 : 1, show_one, s);
	return code == CTL_DONE ? s->result : code;
}

enum ctl_exit
cmd_show(struct ctl *c, int argc, char **argv)
{
	struct ctl_log log = { 0 };
	struct showing s = { .c = c, .log = &log, .result = CTL_UNKNOWN };
	bool offline = false;
	const struct ctl_option options[] = { { "offline", CTL_FLAG, &offline } };
	struct ctl_list args;
	char *end;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 3, 3);

	if (code != CTL_DONE)
		return code;
	s.seq = strtoull(args.item[2], &end, 10);
	if (*end != '\0' || args.item[2][0] < '0' || args.item[2][0] > '9')
		return ctl_fail(
		    CTL_USAGE, T("'%s' is no number", "'%s' không phải số"), args.item[2]);
	s.refused_json = json_array();
	code = ctl_log_open(c, offline, args.item[0], &log);
	if (code == CTL_DONE)
		code = show(&s, &args);
	ctl_log_close(&log);
	json_decref(s.refused_json);
	lt_buf_fini(&s.refused);
	return code;
}
