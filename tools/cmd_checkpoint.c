/* checkpoint show, export, compare: what the hub says of its own history, who says the same, and whether two communes were shown two. */
#include "proto/base/file.h"
#include "proto/feed/changeset.h"
#include "tools/ctl_checkpoint.h"
#include "tools/ctl.h"

#include <stdlib.h>
#include <string.h>

#define COMPARE_ARENA ((size_t)64 * 1024 * 1024)

static enum ctl_exit
ask(struct ctl *c, ProtobufCMessage **m)
{
	Ltpb__ShowCheckpointRequest req = LTPB__SHOW_CHECKPOINT_REQUEST__INIT;
	enum ctl_exit code = ctl_connect(c);

	return code == CTL_DONE
		   ? ctl_call(c, &ltpb__admin__descriptor, "ShowCheckpoint", &req.base, m)
		   : code;
}

/* ---- show ---- */

static const char *
words_of(struct ctl *c, const struct lt_checkpoint *k)
{
	struct lt_buf b = { 0 };
	const char *out = "";

	lt_checkpoint_words(k, &b);
	lt_buf_u8(&b, 0);
	if (b.err == LT_OK)
		out = lt_arena_dup(&c->arena, b.data, b.len);
	lt_buf_fini(&b);
	return out != NULL ? out : "";
}

static size_t
on_newest(const Ltpb__ShowCheckpointReply *r, const Ltpb__CosignedBy **last)
{
	size_t i, n = 0;

	*last = NULL;
	for (i = 0; i < r->n_by; i++) {
		if (r->by[i]->checkpoint != 0)
			continue;
		if (n++ == 0)
			*last = r->by[i];
	}
	return n;
}

static void
print_cosigners(struct ctl *c, const Ltpb__ShowCheckpointReply *r)
{
	const Ltpb__CosignedBy *last;
	size_t n = on_newest(r, &last);
	struct ctl_table t;
	size_t i;

	printf(T("cosigned by %zu of %u", "được %zu trên %u máy cùng ký"), n, r->nodes);
	if (last != NULL)
		printf(T(", the last from %s at %s", ", mới nhất từ %s lúc %s"), last->unit,
		    ctl_time(&c->arena, last->seen_ms));
	printf("%s\n", r->own ? T("; this machine agrees", "; máy này cũng đồng ý") : "");
	if (r->n_by == 0)
		return;
	ctl_table_init(&t, 4);
	ctl_cell(&t, "%s", T("unit", "đơn vị"));
	ctl_cell(&t, "%s", T("name", "tên"));
	ctl_cell(&t, "%s", T("last cosigned", "ký lần cuối"));
	ctl_cell(&t, "%s", T("which", "điểm mốc"));
	for (i = 0; i < r->n_by; i++) {
		ctl_cell(&t, "%s", r->by[i]->unit);
		ctl_cell_short(&t, r->by[i]->label);
		ctl_cell(&t, "%s", ctl_time(&c->arena, r->by[i]->seen_ms));
		ctl_cell(&t, "%s",
		    r->by[i]->checkpoint == 0 ? T("the newest", "mới nhất")
					      : T("an older one", "cũ hơn"));
	}
	ctl_table_print(&t);
}

static void
print_equivocations(struct ctl *c, const Ltpb__ShowCheckpointReply *r)
{
	size_t i;

	for (i = 0; i < r->n_equivocation; i++)
		printf(
		    T("ALARM: the hub signed two change-sets under number %llu of its feed %s "
		      "(found %s)\n",
			"BÁO ĐỘNG: đầu mối đã ký hai gói cùng số %llu của dòng %s (phát hiện lúc "
			"%s)\n"),
		    (unsigned long long)r->equivocation[i]->seq,
		    ctl_hex(&c->arena, r->equivocation[i]->feed.data, r->equivocation[i]->feed.len),
		    ctl_time(&c->arena, r->equivocation[i]->found_ms));
	if (r->n_equivocation != 0)
		printf("%s\n",
		    T("Do not rely on what the hub decided since. Call the province and another "
		      "commune, and save the evidence: 'ltctl checkpoint export FILE'.",
			"Đừng tin những gì đầu mối quyết định từ đó. Hãy gọi cho tỉnh và một xã "
			"khác, và lưu chứng cứ: 'ltctl checkpoint export TỆP'."));
}

static json_t *
heads_json(const struct lt_checkpoint *k)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < k->nhead; i++)
		json_array_append_new(a, json_pack("{s:o, s:I, s:o}", "feed",
					     ctl_json_hex(k->head[i].feed.b, LT_FEED_LEN), "seq",
					     (json_int_t)k->head[i].seq, "hash",
					     ctl_json_hex(k->head[i].hash.b, LT_HASH_LEN)));
	return a;
}

static void
show_json(struct ctl *c, const Ltpb__ShowCheckpointReply *r, const struct lt_checkpoint *k)
{
	const Ltpb__CosignedBy *last;
	json_t *o = json_object(), *by = json_array();
	size_t i;

	json_object_set_new(o, "any", json_boolean(r->any));
	if (r->any) {
		json_object_set_new(o, "time_ms", json_integer((json_int_t)k->time_ms));
		json_object_set_new(o, "words", ctl_json_text(words_of(c, k)));
		json_object_set_new(o, "heads", heads_json(k));
	}
	json_object_set_new(o, "cosigned", json_integer((json_int_t)on_newest(r, &last)));
	json_object_set_new(o, "nodes", json_integer((json_int_t)r->nodes));
	json_object_set_new(o, "own", json_boolean(r->own));
	for (i = 0; i < r->n_by; i++)
		json_array_append_new(by,
		    json_pack("{s:o, s:o, s:I, s:b}", "unit", ctl_json_text(r->by[i]->unit),
			"principal",
			ctl_json_hex(r->by[i]->principal.data, r->by[i]->principal.len), "seen_ms",
			(json_int_t)r->by[i]->seen_ms, "newest", (int)(r->by[i]->checkpoint == 0)));
	json_object_set_new(o, "by", by);
	json_object_set_new(o, "equivocations", json_integer((json_int_t)r->n_equivocation));
	ctl_print_json(o);
}

enum ctl_exit
cmd_checkpoint_show(struct ctl *c, int argc, char **argv)
{
	const Ltpb__ShowCheckpointReply *r;
	struct lt_checkpoint k = { .nhead = 0 };
	ProtobufCMessage *m = NULL;
	struct lt_err err = { "" };
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 0, 0);
	int rc = LT_OK;

	if (code == CTL_DONE)
		code = ask(c, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ShowCheckpointReply *)m;
	if (r->any && r->n_checkpoint != 0)
		rc = lt_checkpoint_parse(
		    lt_slice(r->checkpoint[0]->body.data, r->checkpoint[0]->body.len), &k, &err);
	if (rc != LT_OK) {
		ctl_reply_free(m);
		return ctl_error(rc, &err);
	}
	if (c->json)
		show_json(c, r, &k);
	else if (!r->any)
		printf(
		    "%s\n", T("There is no checkpoint here yet.", "Chưa có điểm mốc nào ở đây."));
	else
		printf(T("checkpoint of %s, of %zu feeds\nto be read out on the telephone: %s\n",
			   "điểm mốc lúc %s, của %zu dòng\nđể đọc qua điện thoại: %s\n"),
		    ctl_time(&c->arena, (int64_t)k.time_ms), k.nhead, words_of(c, &k));
	if (!c->json && r->any)
		print_cosigners(c, r);
	if (!c->json)
		print_equivocations(c, r);
	code = r->any && r->n_equivocation == 0 ? CTL_DONE : CTL_NO;
	ctl_reply_free(m);
	return code;
}

/* ---- export ---- */

static enum ctl_exit
save(struct ctl *c, const Ltpb__ShowCheckpointReply *r, const char *path)
{
	struct checkpoint_file says;
	struct lt_err err = { "" };
	struct lt_arena arena;
	enum ctl_exit code;
	json_t *o = checkpoint_file_make(r, c->id->root_key, c->id->salt);
	char *text;
	int rc;

	/* What does not verify here does not elsewhere. */
	lt_arena_init(&arena, COMPARE_ARENA);
	rc = checkpoint_file_read(o, c->id->root_key, &arena, &says, &err);
	lt_arena_fini(&arena);
	if (rc != LT_OK) {
		json_decref(o);
		return ctl_fail(CTL_NO, "%s: %s",
		    T("what is here does not verify", "dữ liệu ở đây không đúng"),
		    ctl_said(rc, &err));
	}
	text = json_dumps(o, JSON_INDENT(1));
	rc = text == NULL ? LT_E_NOMEM : lt_file_write(path, lt_slice_str(text), 0644, false, &err);
	code = rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
	free(text);
	json_decref(o);
	return code;
}

enum ctl_exit
cmd_checkpoint_export(struct ctl *c, int argc, char **argv)
{
	const Ltpb__ShowCheckpointReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 1, 1);

	if (code == CTL_DONE)
		code = ask(c, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ShowCheckpointReply *)m;
	code = r->n_checkpoint == 0
		   ? ctl_fail(CTL_NO, "%s",
			 T("there is no checkpoint here yet", "chưa có điểm mốc nào ở đây"))
		   : save(c, r, args.item[0]);
	if (code == CTL_DONE && !c->json)
		printf(T("The checkpoint is in %s%s. Another commune compares it with what it was "
			 "shown: 'ltctl checkpoint compare FILE'.\n",
			   "Điểm mốc ở tệp %s%s. Xã khác so với những gì mình được thấy: 'ltctl "
			   "checkpoint compare TỆP'.\n"),
		    args.item[0],
		    r->n_equivocation != 0
			? T(", with the evidence of the alarm", ", kèm chứng cứ của báo động")
			: "");
	ctl_reply_free(m);
	return code;
}

/* ---- compare ---- */

struct comparing {
	struct ctl *c;
	struct lt_arena arena;
	bool with_log; /* of the machine that -C names */
	unsigned nfile;
	struct checkpoint_file file[CTL_LIST_MAX];
	const char *name[CTL_LIST_MAX];
	size_t nsaid;
	struct checkpoint_said *said;
	/* What comes of it. */
	size_t compared, unknown;
	const struct checkpoint_said *one, *other; /* they contradict each other */
	struct checkpoint_said here; /* what stands in the log */
};

static enum ctl_exit
read_file(struct comparing *k, const char *path, const uint8_t root[32])
{
	struct checkpoint_file *f = &k->file[k->nfile];
	struct lt_err err = { "" };
	struct lt_buf text;
	json_t *o;
	size_t i;
	int rc;

	lt_buf_init(&text, CHECKPOINT_FILE_MAX);
	rc = lt_file_read(path, CHECKPOINT_FILE_MAX, &text, &err);
	if (rc != LT_OK) {
		lt_buf_fini(&text);
		return ctl_error(rc, &err);
	}
	o = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	lt_buf_fini(&text);
	if (o == NULL)
		return ctl_fail(CTL_NO,
		    T("'%s' is no file of checkpoints, or it is damaged",
			"'%s' không phải tệp điểm mốc, hoặc đã hỏng"),
		    path);
	rc = checkpoint_file_read(o, root, &k->arena, f, &err);
	json_decref(o);
	if (rc != LT_OK)
		return ctl_fail(CTL_NO, "%s: %s", path, ctl_said(rc, &err));
	for (i = 0; i < f->nsaid; i++)
		f->said[i].file = k->nfile;
	k->name[k->nfile++] = path;
	k->nsaid += f->nsaid;
	return CTL_DONE;
}

static int
by_place(const void *x, const void *y)
{
	const struct checkpoint_said *a = x, *b = y;
	int d = lt_feed_id_cmp(&a->feed, &b->feed);

	return d != 0 ? d : a->seq != b->seq ? (a->seq < b->seq ? -1 : 1) : 0;
}

static bool
same_place(const struct checkpoint_said *a, const struct checkpoint_said *b)
{
	return by_place(a, b) == 0;
}

/* What the log has under that number. *there false: nothing yet. */
static enum ctl_exit
look_up(struct comparing *k, const struct checkpoint_said *s, bool *there)
{
	Ltpb__ReadLogRequest req = LTPB__READ_LOG_REQUEST__INIT;
	const Ltpb__ReadLogReply *r;
	ProtobufCMessage *m = NULL;
	struct lt_changeset cs;
	struct lt_status st;
	enum ctl_exit code;

	*there = false;
	req.unit = (char *)"_";
	req.feed.data = (uint8_t *)s->feed.b;
	req.feed.len = LT_FEED_LEN;
	req.from_seq = s->seq;
	req.limit = 1;
	code = ctl_try(k->c, &ltpb__admin__descriptor, "ReadLog", &req.base, &m, &st);
	if (code != CTL_DONE)
		return st.code == LT_STATUS_NOT_FOUND ? CTL_DONE : ctl_status(k->c, &st);
	r = (const Ltpb__ReadLogReply *)m;
	if (r->n_change_set == 1 &&
	    lt_changeset_parse(lt_slice(r->change_set[0].data, r->change_set[0].len), &k->arena,
		&cs, NULL) == LT_OK &&
	    cs.seq == s->seq && lt_feed_id_cmp(&cs.feed, &s->feed) == 0) {
		k->here = *s;
		k->here.hash = cs.hash;
		*there = true;
	}
	ctl_reply_free(m);
	return CTL_DONE;
}

/* Those of one number, which stand beside each other: from..to. Two of one file say nothing of another. */
static enum ctl_exit
weigh(struct comparing *k, size_t from, size_t to)
{
	enum ctl_exit code = CTL_DONE;
	bool with_other = false, there = false;
	size_t i;

	for (i = from + 1; i < to; i++) {
		with_other |= k->said[i].file != k->said[from].file;
		if (!lt_hash_eq(&k->said[i].hash, &k->said[from].hash)) {
			k->one = &k->said[from];
			k->other = &k->said[i];
			return CTL_DONE;
		}
	}
	if (k->with_log)
		code = look_up(k, &k->said[from], &there);
	if (code == CTL_DONE && there && !lt_hash_eq(&k->here.hash, &k->said[from].hash)) {
		k->one = &k->said[from];
		k->other = &k->here;
		return CTL_DONE;
	}
	k->compared += with_other || there;
	k->unknown += !with_other && !there;
	return code;
}

static enum ctl_exit
weigh_all(struct comparing *k)
{
	enum ctl_exit code = CTL_DONE;
	size_t i, n = 0, from;
	unsigned f;

	k->said = lt_arena_alloc(&k->arena, (k->nsaid + 1) * sizeof(*k->said));
	if (k->said == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	for (f = 0; f < k->nfile; f++) {
		if (k->file[f].nsaid != 0)
			memcpy(k->said + n, k->file[f].said, k->file[f].nsaid * sizeof(*k->said));
		n += k->file[f].nsaid;
	}
	qsort(k->said, n, sizeof(*k->said), by_place);
	for (from = 0; code == CTL_DONE && from < n && k->one == NULL; from = i) {
		for (i = from + 1; i < n && same_place(&k->said[from], &k->said[i]); i++)
			;
		code = weigh(k, from, i);
	}
	return code;
}

static const char *
where(const struct comparing *k, const struct checkpoint_said *s)
{
	return s == &k->here ? T("this machine's log", "nhật ký máy này") : k->name[s->file];
}

static void
print_contradiction(struct comparing *k)
{
	struct lt_arena *a = &k->c->arena;

	printf(T("CONTRADICTION: the hub signed two change-sets under number %llu of its feed %s:\n"
		 "  %s (%s)\n  %s (%s)\nIt has shown two histories. Call the province, and keep "
		 "these files: they are the proof.\n",
		   "MÂU THUẪN: đầu mối đã ký hai gói cùng số %llu của dòng %s:\n  %s (%s)\n  %s "
		   "(%s)\nĐầu mối đã cho thấy hai lịch sử. Hãy gọi cho tỉnh và giữ các tệp này: đó "
		   "là chứng cứ.\n"),
	    (unsigned long long)k->one->seq, ctl_hex(a, k->one->feed.b, LT_FEED_LEN),
	    ctl_hex(a, k->one->hash.b, LT_HASH_LEN), where(k, k->one),
	    ctl_hex(a, k->other->hash.b, LT_HASH_LEN), where(k, k->other));
}

static enum ctl_exit
tell(struct comparing *k)
{
	enum ctl_exit code = k->one != NULL ? CTL_NO : k->unknown == 0 ? CTL_DONE : CTL_UNKNOWN;
	unsigned f;

	if (k->c->json) {
		json_t *o = json_pack("{s:b, s:I, s:I}", "contradiction", (int)(k->one != NULL),
		    "compared", (json_int_t)k->compared, "unknown", (json_int_t)k->unknown);

		if (k->one != NULL) {
			json_object_set_new(o, "feed", ctl_json_hex(k->one->feed.b, LT_FEED_LEN));
			json_object_set_new(o, "seq", json_integer((json_int_t)k->one->seq));
		}
		ctl_print_json(o);
		return code;
	}
	for (f = 0; f < k->nfile; f++)
		if (k->file[f].any)
			printf(T("%s: checkpoint of %s, cosigned by %u: %s\n",
				   "%s: điểm mốc lúc %s, %u máy cùng ký: %s\n"),
			    k->name[f], ctl_time(&k->c->arena, (int64_t)k->file[f].newest.time_ms),
			    k->file[f].cosigners, words_of(k->c, &k->file[f].newest));
	if (code == CTL_NO)
		print_contradiction(k);
	else if (code == CTL_DONE)
		printf(T("The same history: %zu numbers compared.\n",
			   "Cùng một lịch sử: đã so %zu số gói.\n"),
		    k->compared);
	else
		printf(T("Nothing contradicts, but %zu numbers could not be compared (%zu could): "
			 "%s\n",
			   "Không thấy mâu thuẫn, nhưng %zu số gói chưa so được (%zu đã so): %s\n"),
		    k->unknown, k->compared,
		    k->with_log
			? T("they are not in this machine's log yet; compare again once it has "
			    "caught up",
			      "máy này chưa có các gói đó; hãy so lại khi đã nhận đủ")
			: T("compare on a commune's machine, without --root: its log tells",
			      "hãy so trên máy của xã, không dùng --root: nhật ký ở đó cho biết"));
	return code;
}

enum ctl_exit
cmd_checkpoint_compare(struct ctl *c, int argc, char **argv)
{
	const char *root = NULL;
	const struct ctl_option options[] = { { "root", CTL_TEXT, &root } };
	struct comparing *k = calloc(1, sizeof(*k));
	struct ctl_list args;
	uint8_t key[32];
	size_t i;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 1, CTL_LIST_MAX);

	if (k == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	k->c = c;
	lt_arena_init(&k->arena, COMPARE_ARENA);
	if (code == CTL_DONE && root != NULL && lt_unhex(key, 32, root) != LT_OK)
		code = ctl_fail(CTL_USAGE, "%s",
		    T("a root key is 64 hexadecimal digits",
			"khóa gốc là 64 chữ số thập lục phân"));
	if (code == CTL_DONE && root == NULL) {
		code = ctl_connect(c);
		if (code == CTL_DONE)
			memcpy(key, c->id->root_key, 32);
		k->with_log = code == CTL_DONE;
	}
	for (i = 0; code == CTL_DONE && i < args.n; i++)
		code = read_file(k, args.item[i], key);
	if (code == CTL_DONE)
		code = weigh_all(k);
	if (code == CTL_DONE)
		code = tell(k);
	lt_arena_fini(&k->arena);
	free(k);
	return code;
}
