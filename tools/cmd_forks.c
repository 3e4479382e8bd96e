/* forks: feeds of which two branches were met, and which one counts. export, verify: the evidence, without anybody's help. */
#include "proto/base/file.h"
#include "proto/feed/trust.h"
#include "tools/ctl_log.h"
#include "tools/ctl_fork.h"

#include <string.h>

/* ---- the list ---- */

static json_t *
fork_json(const Ltpb__Fork *f)
{
	json_t *o = json_object();

	json_object_set_new(o, "unit", ctl_json_text(f->unit));
	json_object_set_new(o, "feed", ctl_json_hex(f->feed.data, f->feed.len));
	json_object_set_new(o, "seq", json_integer((json_int_t)f->seq));
	json_object_set_new(o, "author", ctl_json_text(f->author));
	json_object_set_new(o, "counts", ctl_json_hex(f->counts.data, f->counts.len));
	json_object_set_new(o, "other", ctl_json_hex(f->other.data, f->other.len));
	json_object_set_new(o, "ruled_ms", json_integer(f->ruled_ms));
	json_object_set_new(o, "hub", ctl_json_hex(f->hub.data, f->hub.len));
	json_object_set_new(o, "here", json_boolean(f->here));
	return o;
}

static void
cell_hash(struct ctl *c, struct ctl_table *t, const ProtobufCBinaryData *h)
{
	ctl_cell(t, "%s",
	    h->len == LT_HASH_LEN ? ctl_hex(&c->arena, h->data, 8)
				  : T("not here yet", "chưa có ở đây"));
}

static void
print_forks(struct ctl *c, const Ltpb__ListForksReply *r)
{
	struct ctl_table t;
	size_t i;

	if (r->n_fork == 0) {
		printf("%s\n", T("No feed has two branches, as far as is known here.",
				   "Chưa thấy dòng nào bị rẽ nhánh."));
		return;
	}
	ctl_table_init(&t, 8);
	ctl_cell(&t, "%s", T("unit", "đơn vị"));
	ctl_cell(&t, "%s", T("author", "tác giả"));
	ctl_cell(&t, "%s", T("number", "số gói"));
	ctl_cell(&t, "%s", T("counts", "được tính"));
	ctl_cell(&t, "%s", T("does not", "không tính"));
	ctl_cell(&t, "%s", T("ruled", "phán quyết lúc"));
	ctl_cell(&t, "%s", T("evidence", "chứng cứ"));
	ctl_cell(&t, "%s", T("feed", "dòng"));
	for (i = 0; i < r->n_fork; i++) {
		const Ltpb__Fork *f = r->fork[i];

		ctl_cell(&t, "%s", f->unit);
		ctl_cell_short(&t, f->author);
		ctl_cell(&t, "%llu", (unsigned long long)f->seq);
		cell_hash(c, &t, &f->counts);
		cell_hash(c, &t, &f->other);
		ctl_cell(&t, "%s",
		    f->ruled_ms != 0 ? ctl_time(&c->arena, f->ruled_ms) : T("not yet", "chưa"));
		ctl_cell(&t, "%s", f->here ? T("here", "có ở đây") : T("elsewhere", "ở nơi khác"));
		ctl_cell(&t, "%s", ctl_hex(&c->arena, f->feed.data, f->feed.len));
	}
	ctl_table_print(&t);
	printf("%s\n",
	    T("Two machines signed with one key, or an old copy was put back: find the machine. "
	      "Was the key stolen, revoke it ('ltctl keys revoke').",
		"Hai máy cùng ký bằng một khóa, hoặc có bản cũ được chép lại: hãy tìm ra máy đó. "
		"Nếu khóa bị lộ, hãy thu hồi ('ltctl keys revoke')."));
}

enum ctl_exit
cmd_forks(struct ctl *c, int argc, char **argv)
{
	Ltpb__ListForksRequest req = LTPB__LIST_FORKS_REQUEST__INIT;
	const char *unit = NULL;
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &unit } };
	const Ltpb__ListForksReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);
	size_t i;

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (unit != NULL)
		req.unit = (char *)unit;
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "ListForks", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListForksReply *)m;
	for (i = 0; c->json && i < r->n_fork; i++)
		ctl_print_json(fork_json(r->fork[i]));
	if (!c->json)
		print_forks(c, r);
	if (r->more)
		ctl_complain(
		    "%s", T("there are more: name a unit with --unit", "còn nữa: hãy nêu --unit"));
	ctl_reply_free(m);
	return CTL_DONE;
}

/* ---- export ---- */

static enum ctl_exit
save(struct ctl *c, const Ltpb__Fork *f, const char *path)
{
	struct lt_err err = { "" };
	struct lt_buf cert;
	enum ctl_exit code;
	json_t *o = NULL;
	char *text = NULL;
	int rc;

	lt_buf_init(&cert, 0);
	/* That of the ruling's key, where it is kept: the hub's own may be of a later one. */
	if (f->certificate.len != 0)
		lt_buf_put(&cert, f->certificate.data, f->certificate.len);
	code = f->certificate.len != 0 ? CTL_DONE : ctl_hub_certificate(c, NULL, &cert);
	if (code == CTL_DONE) {
		o = fork_file_make(f, c->id->root_key, c->id->salt, lt_buf_slice(&cert), &err);
		if (o == NULL)
			code = ctl_fail(CTL_NO, "%s", ctl_said(LT_E_INVALID, &err));
	}
	if (code == CTL_DONE) {
		struct fork_says says;

		/* What does not verify here does not elsewhere. */
		rc = fork_file_verify(o, c->id->root_key, &says, &err);
		if (rc != LT_OK)
			code = ctl_fail(CTL_NO, "%s: %s",
			    T("the evidence does not verify", "chứng cứ không đúng"),
			    ctl_said(rc, &err));
	}
	if (code == CTL_DONE) {
		text = json_dumps(o, JSON_INDENT(1));
		rc = text == NULL ? LT_E_NOMEM
				  : lt_file_write(path, lt_slice_str(text), 0644, false, &err);
		code = rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
	}
	free(text);
	json_decref(o);
	lt_buf_fini(&cert);
	return code;
}

static const Ltpb__Fork *
choose(const Ltpb__ListForksReply *r)
{
	size_t i;

	for (i = 0; i < r->n_fork; i++)
		if (r->fork[i]->here)
			return r->fork[i];
	return r->n_fork != 0 ? r->fork[0] : NULL;
}

enum ctl_exit
cmd_forks_export(struct ctl *c, int argc, char **argv)
{
	Ltpb__ListForksRequest req = LTPB__LIST_FORKS_REQUEST__INIT;
	const char *path = NULL;
	const struct ctl_option options[] = { { "out", CTL_TEXT, &path } };
	const struct ctl_feed *feed = NULL;
	struct ctl_log log = { 0 };
	ProtobufCMessage *m = NULL;
	const Ltpb__Fork *f;
	struct ctl_list args;
	char *end = NULL;
	enum ctl_exit code;
	int i;

	/* The usual short name of --out. */
	for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-o") == 0)
			argv[i] = (char *)"--out";
	code = ctl_options(c, argc, argv, options, 1, &args, 3, 3);
	if (code == CTL_DONE) {
		req.seq = strtoull(args.item[2], &end, 10);
		if (req.seq == 0 || *end != '\0' || path == NULL)
			return ctl_fail(CTL_USAGE, "%s",
			    T("UNIT FEED NUMBER -o FILE, as 'ltctl forks' lists them",
				"ĐƠN_VỊ DÒNG SỐ -o TỆP, như 'ltctl forks' liệt kê"));
		code = ctl_log_open(c, false, args.item[0], &log);
	}
	if (code == CTL_DONE)
		code = ctl_log_find(&log, args.item[0], args.item[1], &feed);
	if (code == CTL_DONE) {
		req.unit = (char *)feed->unit.s;
		req.feed.data = (uint8_t *)feed->feed.b;
		req.feed.len = LT_FEED_LEN;
		req.evidence = true;
		code = ctl_call(c, &ltpb__admin__descriptor, "ListForks", &req.base, &m);
	}
	if (code == CTL_DONE) {
		f = choose((const Ltpb__ListForksReply *)m);
		code = f == NULL ? ctl_fail(CTL_NO, "%s",
				       T("no fork is known there; see 'ltctl forks'",
					   "không thấy rẽ nhánh ở đó; xem 'ltctl forks'"))
				 : save(c, f, path);
	}
	if (code == CTL_DONE && !c->json)
		printf(T("The evidence is in %s. 'ltctl forks verify' checks it with the root key "
			 "alone.\n",
			   "Chứng cứ ở tệp %s. 'ltctl forks verify' kiểm tra chỉ bằng khóa gốc.\n"),
		    path);
	ctl_reply_free(m);
	ctl_log_close(&log);
	return code;
}

/* ---- verify ---- */

static enum ctl_exit
choose_root(struct ctl *c, const char *root, uint8_t key[32])
{
	enum ctl_exit code;

	if (root != NULL)
		return lt_unhex(key, 32, root) == LT_OK
			   ? CTL_DONE
			   : ctl_fail(CTL_USAGE, "%s",
				 T("a root key is 64 hexadecimal digits",
				     "khóa gốc là 64 chữ số thập lục phân"));
	code = ctl_open(c);
	if (code != CTL_DONE)
		return ctl_fail(code, "%s",
		    T("whose root key is to be trusted? name it with --root, or a machine of the "
		      "federation with -C",
			"tin khóa gốc nào? hãy nêu bằng --root, hoặc chỉ một máy của liên thông "
			"bằng -C"));
	memcpy(key, c->id->root_key, 32);
	return CTL_DONE;
}

static enum ctl_exit
tell(struct ctl *c, int rc, const struct fork_says *s, const struct lt_err *err)
{
	if (c->json) {
		json_t *o = json_pack("{s:b}", "good", (int)(rc == LT_OK));

		if (rc != LT_OK) {
			json_object_set_new(o, "error",
			    ctl_json_text(err->text[0] != '\0' ? err->text : lt_strerror(rc)));
		} else {
			json_object_set_new(o, "unit", ctl_json_text(s->unit.s));
			json_object_set_new(o, "feed", ctl_json_hex(s->feed.b, LT_FEED_LEN));
			json_object_set_new(o, "seq", json_integer((json_int_t)s->seq));
			json_object_set_new(o, "counts", ctl_json_hex(s->counts.b, LT_HASH_LEN));
			json_object_set_new(o, "other", ctl_json_hex(s->other.b, LT_HASH_LEN));
			json_object_set_new(o, "ruled_ms", json_integer(s->ruled_ms));
		}
		ctl_print_json(o);
		return rc == LT_OK ? CTL_DONE : CTL_NO;
	}
	if (rc != LT_OK)
		return ctl_fail(
		    CTL_NO, "%s: %s", T("not proven", "không chứng minh được"), ctl_said(rc, err));
	printf(
	    T("Proven: under number %llu of feed %s of unit %s, two change-sets were signed "
	      "with the author's key.\nThe province ruled on %s:\n  counts:      %s\n  does not:   "
	      " %s\n",
		"Đã chứng minh: với số %llu của dòng %s, đơn vị %s, có hai gói cùng ký bằng khóa "
		"của tác giả.\nTỉnh phán quyết lúc %s:\n  được tính:   %s\n  không tính:  %s\n"),
	    (unsigned long long)s->seq, ctl_hex(&c->arena, s->feed.b, LT_FEED_LEN), s->unit.s,
	    ctl_time(&c->arena, s->ruled_ms), ctl_hex(&c->arena, s->counts.b, LT_HASH_LEN),
	    ctl_hex(&c->arena, s->other.b, LT_HASH_LEN));
	return CTL_DONE;
}

enum ctl_exit
cmd_forks_verify(struct ctl *c, int argc, char **argv)
{
	const char *root = NULL;
	const struct ctl_option options[] = { { "root", CTL_TEXT, &root } };
	struct lt_err err = { "" };
	struct fork_says says;
	struct ctl_list args;
	struct lt_buf text;
	uint8_t key[32];
	json_t *file;
	int rc;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 1, 1);

	if (code == CTL_DONE)
		code = choose_root(c, root, key);
	if (code != CTL_DONE)
		return code;
	lt_buf_init(&text, FORK_FILE_MAX);
	rc = lt_file_read(args.item[0], FORK_FILE_MAX, &text, &err);
	if (rc != LT_OK) {
		lt_buf_fini(&text);
		return ctl_error(rc, &err);
	}
	file = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	lt_buf_fini(&text);
	if (file == NULL)
		return ctl_fail(CTL_NO,
		    T("'%s' is no file of evidence, or it is damaged",
			"'%s' không phải tệp chứng cứ, hoặc đã hỏng"),
		    args.item[0]);
	rc = fork_file_verify(file, key, &says, &err);
	json_decref(file);
	return tell(c, rc, &says, &err);
}
