/* prove: the history of one record with what proves it, in one file. verify-proof: the same file, checked without anybody's help. */
#include "proto/base/file.h"
#include "proto/feed/proof.h"
#include "proto/model/validate.h"
#include "proto/store/author.h"
#include "proto/store/catalogue_store.h"
#include "proto/store/prove.h"
#include "tools/ctl_log.h"

#include <stdlib.h>
#include <string.h>

#define STORE_ARENA ((size_t)64 * 1024 * 1024)
#define CERTIFICATE_MAX 4096

/* ---- prove ---- */

struct proving {
	struct ctl *c;
	Ltpb__ProveRequest req;
	const char *path;
};

static enum ctl_exit
keep(struct proving *p, const Ltpb__ProveReply *r)
{
	struct lt_err err = { "" };
	struct ctl *c = p->c;
	int rc = lt_file_write(p->path, lt_slice(r->proof.data, r->proof.len), 0644, false, &err);

	if (rc != LT_OK)
		return ctl_error(rc, &err);
	if (c->json) {
		json_t *o = json_object();

		json_object_set_new(o, "file", ctl_json_text(p->path));
		json_object_set_new(o, "bytes", json_integer((json_int_t)r->proof.len));
		json_object_set_new(o, "changes", json_integer(r->changes));
		json_object_set_new(o, "unjudged", json_integer(r->unjudged));
		json_object_set_new(o, "masked", json_integer(r->masked));
		json_object_set_new(o, "root_key", ctl_json_hex(c->id->root_key, 32));
		ctl_print_json(o);
		return CTL_DONE;
	}
	printf(T("%s: %u changes with their proof, %zu bytes.\n",
		   "%s: %u thay đổi kèm chứng cứ, %zu byte.\n"),
	    p->path, r->changes, r->proof.len);
	if (r->unjudged != 0)
		printf(T("Left out: %u that the hub has not judged yet.\n",
			   "Không kèm: %u thay đổi đầu mối chưa phán quyết.\n"),
		    r->unjudged);
	if (r->masked != 0)
		printf(T("Left out: %u refused ones with fields that you may not see.\n",
			   "Không kèm: %u thay đổi bị từ chối có trường không được xem.\n"),
		    r->masked);
	printf(T("Anybody can check it: ltctl verify-proof FILE --root %s\n",
		   "Ai cũng kiểm tra được: ltctl verify-proof TỆP --root %s\n"),
	    ctl_hex(&c->arena, c->id->root_key, 32));
	return CTL_DONE;
}

static enum ctl_exit
ask(struct proving *p)
{
	ProtobufCMessage *m = NULL;
	enum ctl_exit code = ctl_connect(p->c);

	if (code == CTL_DONE)
		code = ctl_call(p->c, &ltpb__query__descriptor, "Prove", &p->req.base, &m);
	if (code == CTL_DONE)
		code = keep(p, (const Ltpb__ProveReply *)m);
	ctl_reply_free(m);
	return code;
}

/* A store that nobody runs, read as whoever sits at its machine would. */
struct store {
	struct lt_kv *log, *derived; /* the same one on a node */
	struct lt_kv_txn *log_txn, *derived_txn;
	struct lt_catalogue *catalogue;
	struct lt_unit province;
	struct lt_arena arena;
};

static int
open_env(struct ctl *c, const char *name, enum lt_kv_kind kind, struct lt_kv **kv,
    struct lt_kv_txn **txn, struct lt_err *err)
{
	struct lt_kv_options o = { .kind = kind,
		.federation = c->id->federation.b,
		.tables = lt_table_names,
		.read_only = true,
		.path = ctl_path(c, name) };
	int rc = o.path == NULL ? LT_E_NOMEM : lt_kv_open_lmdb(&o, kv, err);

	return rc == LT_OK ? lt_kv_begin_read(*kv, txn) : rc;
}

static int
open_store(struct ctl *c, struct store *s, struct lt_err *err)
{
	struct lt_slice code = { NULL, 0 };
	uint64_t version = 0;
	int rc;

	lt_arena_init(&s->arena, STORE_ARENA);
	if (c->id->role == LTPB__ROLE__ROLE_HUB) {
		rc = open_env(c, "derived", LT_KV_HUB_DERIVED, &s->derived, &s->derived_txn, err);
		if (rc == LT_OK)
			rc = open_env(c, "log", LT_KV_HUB_LOG, &s->log, &s->log_txn, err);
		s->province = c->id->unit;
	} else {
		rc = open_env(c, "store", LT_KV_NODE, &s->log, &s->log_txn, err);
		s->derived_txn = s->log_txn;
		if (rc == LT_OK)
			rc = lt_local_get(s->log_txn, "province", &code);
		if (rc == LT_OK)
			rc = lt_unit_set(&s->province, code);
		if (rc == LT_E_NOTFOUND)
			rc = LT_OK;
	}
	if (rc == LT_OK)
		rc = lt_catalogue_newest(s->derived_txn, &version);
	return rc == LT_OK ? lt_catalogue_load(s->derived_txn, version, &s->catalogue, err) : rc;
}

static void
close_store(struct store *s)
{
	lt_catalogue_unref(s->catalogue);
	lt_kv_abort(s->log_txn);
	if (s->derived_txn != s->log_txn)
		lt_kv_abort(s->derived_txn);
	lt_kv_close(s->log);
	lt_kv_close(s->derived);
	lt_arena_fini(&s->arena);
}

static int
prove_from(struct proving *p, struct store *s, struct lt_slice certificate, Ltpb__ProveReply *r,
    struct lt_err *err)
{
	const struct lt_identity *id = p->c->id;
	struct lt_asker who = { .kind = LT_ASKER_LOCAL,
		.local_hub = id->role == LTPB__ROLE__ROLE_HUB,
		.unit = id->unit };
	struct lt_sight_of of = {
		.who = &who, .catalogue = s->catalogue, .province = &s->province
	};
	struct lt_sight sight;
	struct lt_query q = { .log = s->log_txn,
		.derived = s->derived_txn,
		.catalogue = s->catalogue,
		.province = s->province,
		.sight = &sight,
		.arena = &s->arena };
	struct lt_prove with = { .q = &q, .id = id, .certificate = certificate };

	lt_sight_of_asker(&of, &sight);
	return lt_query_prove(&with, &p->req, r, err);
}

static enum ctl_exit
read_store(struct proving *p)
{
	Ltpb__ProveReply r = LTPB__PROVE_REPLY__INIT;
	struct lt_err err = { "" };
	struct store s = { 0 };
	struct lt_buf cert;
	enum ctl_exit code;
	int rc;

	if (ctl_is_client(p->c))
		return ctl_fail(CTL_USAGE, "%s",
		    T("a client keeps no store; --offline is for nodes and hubs",
			"máy khách không có kho; --offline dành cho máy của xã và đầu mối"));
	lt_buf_init(&cert, CERTIFICATE_MAX);
	rc = open_store(p->c, &s, &err);
	code = rc == LT_OK ? ctl_hub_certificate(p->c, s.log, &cert) : ctl_error(rc, &err);
	if (code == CTL_DONE) {
		rc = prove_from(p, &s, lt_buf_slice(&cert), &r, &err);
		code = rc == LT_OK ? keep(p, &r)
		       : rc == LT_E_NOTFOUND || rc == LT_E_DENIED
			   ? ctl_fail(CTL_NO, "%s", ctl_said(rc, &err))
			   : ctl_error(rc, &err);
	}
	close_store(&s);
	lt_buf_fini(&cert);
	return code;
}

enum ctl_exit
cmd_prove(struct ctl *c, int argc, char **argv)
{
	struct proving p = { .c = c, .req = LTPB__PROVE_REQUEST__INIT };
	const char *unit = NULL;
	bool offline = false;
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &unit },
		{ "out", CTL_TEXT, &p.path }, { "offline", CTL_FLAG, &offline } };
	struct ctl_list args;
	enum ctl_exit code;
	int i;

	/* The usual short name of --out. */
	for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-o") == 0)
			argv[i] = (char *)"--out";
	code = ctl_options(c, argc, argv, options, 3, &args, 2, 2);
	if (code == CTL_DONE && p.path == NULL)
		code = ctl_fail(CTL_USAGE, "%s",
		    T("say with -o into which file", "hãy nêu tệp cần ghi bằng -o"));
	if (code == CTL_DONE)
		code = ctl_open(c);
	if (code != CTL_DONE)
		return code;
	p.req.collection = (char *)args.item[0];
	p.req.key = (char *)args.item[1];
	p.req.unit = (char *)(unit != NULL ? unit : args.item[0][0] == '_' ? "_" : ctl_own_unit(c));
	return offline ? read_store(&p) : ask(&p);
}

/* ---- verify-proof ---- */

/* One change as it is told. */
struct told {
	const struct lt_proof_part *part;
	const struct lt_proof_change *change;
};

static int
in_time(const void *x, const void *y)
{
	const struct told *a = x, *b = y;
	int c;

	if (a->part->effective != b->part->effective)
		return a->part->effective < b->part->effective ? -1 : 1;
	c = lt_feed_id_cmp(&a->part->cs.feed, &b->part->cs.feed);
	if (c != 0)
		return c;
	if (a->part->cs.seq != b->part->cs.seq)
		return a->part->cs.seq < b->part->cs.seq ? -1 : 1;
	return (a->change->index > b->change->index) - (a->change->index < b->change->index);
}

static const char *
state_name(enum lt_proof_state s)
{
	return s == LT_PROOF_ACCEPTED ? "accepted" : s == LT_PROOF_REFUSED ? "refused" : "held";
}

static int64_t
stamp_ms(uint64_t stamp)
{
	return (int64_t)(stamp >> 16);
}

static const char *
author_of(struct ctl *c, const struct lt_proof_part *part)
{
	struct lt_id author = lt_feed_author(&part->cs.feed);

	if (part->by_hub)
		return T("the hub", "đầu mối");
	return part->label[0] != '\0' ? part->label : ctl_hex(&c->arena, author.b, LT_ID_LEN);
}

static json_t *
change_json(const struct told *t)
{
	const struct lt_change *ch = &t->change->change;
	struct lt_id author = lt_feed_author(&t->part->cs.feed);
	json_t *o = json_object(), *fields = json_object(), *withheld = json_array();
	size_t i;

	for (i = 0; i < ch->nset; i++)
		json_object_set_new(
		    fields, ch->set[i].pb->name, ctl_json_value(ch->set[i].pb->value));
	for (i = 0; i < ch->npersonal; i++) {
		const struct lt_opening *op = &t->change->opening[i];

		if (op->withheld)
			json_array_append_new(withheld, json_string(op->name));
		else
			json_object_set_new(fields, op->name, ctl_json_value(op->field.pb->value));
	}
	json_object_set_new(o, "kind", json_string(ch->is_delete ? "delete" : "put"));
	json_object_set_new(o, "fields", fields);
	json_object_set_new(o, "withheld", withheld);
	json_object_set_new(o, "cleared", ctl_json_texts(ch->ncleared, ch->cleared));
	json_object_set_new(o, "author", ctl_json_hex(author.b, LT_ID_LEN));
	json_object_set_new(o, "label", ctl_json_text(t->part->label));
	json_object_set_new(o, "by_hub", json_boolean(t->part->by_hub));
	json_object_set_new(o, "key_no", json_integer(t->part->cs.key_no));
	json_object_set_new(o, "stamp_ms", json_integer(stamp_ms(t->part->cs.stamp)));
	json_object_set_new(o, "effective_ms", json_integer(stamp_ms(t->part->effective)));
	json_object_set_new(o, "state", json_string(state_name(t->change->state)));
	if (t->change->state == LT_PROOF_REFUSED)
		json_object_set_new(o, "refused", json_string(lt_reason_name(t->change->reason)));
	if (!t->part->by_hub)
		json_object_set_new(o, "judged_ms", json_integer(stamp_ms(t->part->judged)));
	if (t->part->receipted)
		json_object_set_new(o, "since_ms", json_integer(t->part->since_ms));
	json_object_set_new(o, "feed", ctl_json_hex(t->part->cs.feed.b, LT_FEED_LEN));
	json_object_set_new(o, "seq", json_integer((json_int_t)t->part->cs.seq));
	json_object_set_new(o, "index", json_integer(t->change->index));
	json_object_set_new(o, "hash", ctl_json_hex(t->part->cs.hash.b, LT_HASH_LEN));
	return o;
}

static void
print_fields(struct ctl *c, const struct told *t)
{
	const struct lt_change *ch = &t->change->change;
	size_t i;

	for (i = 0; i < ch->nset; i++) {
		printf("    %s = ", ch->set[i].pb->name);
		ctl_say_text(stdout, ctl_value_text(&c->arena, ch->set[i].pb->value));
		(void)fputc('\n', stdout);
	}
	for (i = 0; i < ch->npersonal; i++) {
		const struct lt_opening *o = &t->change->opening[i];

		printf("    %s = ", o->name);
		if (o->withheld)
			(void)fputs("***", stdout);
		else
			ctl_say_text(stdout, ctl_value_text(&c->arena, o->field.pb->value));
		(void)fputc('\n', stdout);
	}
	for (i = 0; i < ch->ncleared; i++)
		printf("    %s %s\n", ch->cleared[i], T("cleared", "bỏ trống"));
}

static void
print_state(struct ctl *c, const struct told *t)
{
	const struct lt_proof_part *part = t->part;

	if (part->by_hub) {
		printf(
		    "    %s\n", T("the hub's own act: it counts", "do đầu mối lập: có hiệu lực"));
		return;
	}
	if (t->change->state == LT_PROOF_ACCEPTED)
		printf(T("    ACCEPTED by the hub, which said so on %s\n",
			   "    Đầu mối ĐÃ CHẤP NHẬN, phán quyết lúc %s\n"),
		    ctl_time(&c->arena, stamp_ms(part->judged)));
	else if (t->change->state == LT_PROOF_REFUSED)
		printf(T("    REFUSED by the hub, which said so on %s: %s\n",
			   "    Đầu mối TỪ CHỐI, phán quyết lúc %s: %s\n"),
		    ctl_time(&c->arena, stamp_ms(part->judged)),
		    lt_reason_text(t->change->reason, ctl_vietnamese));
	else
		printf(T("    HELD by the hub on %s: it waits for data before it\n",
			   "    Đầu mối ĐANG GIỮ CHỜ từ %s: còn thiếu dữ liệu trước đó\n"),
		    ctl_time(&c->arena, stamp_ms(part->judged)));
	if (part->effective != part->cs.stamp)
		printf(T("    its clock said %s; the hub corrected that\n",
			   "    đồng hồ máy ghi %s; đầu mối đã chỉnh lại\n"),
		    ctl_time(&c->arena, stamp_ms(part->cs.stamp)));
	if (part->receipted)
		printf(T("    receipt: the hub holds it since %s at the latest\n",
			   "    biên nhận: đầu mối giữ chậm nhất từ %s\n"),
		    ctl_time(&c->arena, part->since_ms));
}

static void
print_change(struct ctl *c, const struct told *t, size_t number)
{
	printf("%zu. %s  ", number, ctl_time(&c->arena, stamp_ms(t->part->effective)));
	ctl_say_text(stdout, author_of(c, t->part));
	printf("  %s\n", t->change->change.is_delete ? T("delete", "xóa") : T("put", "ghi"));
	print_fields(c, t);
	print_state(c, t);
	printf("    %s %s/%llu/%u\n", T("signed in", "đã ký ở gói"),
	    ctl_hex(&c->arena, t->part->cs.feed.b, LT_FEED_LEN),
	    (unsigned long long)t->part->cs.seq, t->change->index);
}

static void
print_meaning(const struct lt_proof *p, size_t nchange, size_t bytes)
{
	printf(T("\nProven, by the root key alone (%zu changes, %zu bytes): who signed each "
		 "change, for which "
		 "unit and with which stamp; that the hub let the author in with that key; what "
		 "the hub decided on each change, and when; values shown are the ones committed "
		 "to%s.\n",
		   "\nĐã chứng minh, chỉ cần khóa gốc (%zu thay đổi, %zu byte): ai đã ký từng thay "
		   "đổi, cho đơn vị nào, "
		   "dấu thời gian nào; đầu mối đã nhận tác giả với khóa đó; đầu mối đã quyết "
		   "định gì, lúc nào; giá trị hiện ra đúng là giá trị đã cam kết%s.\n"),
	    nchange, bytes,
	    p->nwithheld == 0 ? ""
			      : T(" (*** is committed to and not shown)",
				    " (*** là giá trị đã cam kết nhưng không hiện)"));
	printf("%s\n", T("Not proven: that nothing was left out (a change missing shows only where "
			 "another names "
			 "it), that nothing newer exists, that a key was not revoked since, that a "
			 "stamp is the "
			 "true time, or which person sat at the machine.",
			   "Không chứng minh: không có thay đổi nào bị bỏ ra (chỉ lộ khi thay đổi "
			   "khác nhắc tới), không có "
			   "thay đổi nào mới hơn, khóa chưa bị thu hồi sau đó, dấu thời gian là "
			   "giờ thật, hay người nào "
			   "ngồi ở máy."));
}

static enum ctl_exit
tell(struct ctl *c, const struct lt_proof *p, size_t bytes)
{
	struct told *t;
	size_t i, k, n = 0;

	for (i = 0; i < p->nrecord; i++)
		n += p->record[i].nchange;
	t = calloc(n + 1, sizeof(*t));
	if (t == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	for (n = 0, i = 0; i < p->nrecord; i++)
		for (k = 0; k < p->record[i].nchange; k++)
			t[n++] = (struct told){ &p->record[i], &p->record[i].change[k] };
	qsort(t, n, sizeof(*t), in_time);
	if (c->json) {
		json_t *o = json_object(), *list = json_array();

		for (i = 0; i < n; i++)
			json_array_append_new(list, change_json(&t[i]));
		json_object_set_new(o, "good", json_true());
		json_object_set_new(o, "collection", ctl_json_text(p->collection));
		json_object_set_new(o, "unit", ctl_json_text(p->unit));
		json_object_set_new(o, "key", ctl_json_text(p->key));
		json_object_set_new(o, "federation", ctl_json_hex(p->federation.b, LT_FED_LEN));
		json_object_set_new(o, "bytes", json_integer((json_int_t)bytes));
		json_object_set_new(o, "changes", list);
		ctl_print_json(o);
	} else {
		printf(T("The proof holds: %s ", "Chứng cứ đúng: %s "), p->collection);
		ctl_say_text(stdout, p->key);
		printf(T(" of unit %s.\n\n", " của đơn vị %s.\n\n"), p->unit);
		for (i = 0; i < n; i++)
			print_change(c, &t[i], i + 1);
		print_meaning(p, n, bytes);
	}
	free(t);
	return CTL_DONE;
}

static enum ctl_exit
say_no(struct ctl *c, const struct lt_proof *p, const struct lt_err *err)
{
	if (c->json) {
		json_t *o = json_object();

		json_object_set_new(o, "good", json_false());
		json_object_set_new(o, "error", ctl_json_text(err->text));
		json_object_set_new(
		    o, "error_vi", json_string(lt_proof_fault_text(p->fault, true)));
		ctl_print_json(o);
	}
	return ctl_fail(CTL_NO, "%s: %s", T("NOT PROVEN", "KHÔNG CHỨNG MINH ĐƯỢC"),
	    ctl_vietnamese ? lt_proof_fault_text(p->fault, true) : err->text);
}

/* Named on the command line, in hexadecimal or as words, else the one of this machine's federation. Never the file's own word. */
static enum ctl_exit
choose_root(struct ctl *c, const char *root, uint8_t key[32])
{
	struct lt_err err = { "" };
	enum ctl_exit code;

	if (root != NULL) {
		if (lt_unhex(key, 32, root) == LT_OK ||
		    (strchr(root, ' ') != NULL && lt_root_words_parse(root, key, &err) == LT_OK))
			return CTL_DONE;
		return ctl_fail(CTL_USAGE, "%s",
		    T("a root key is 64 hexadecimal digits, or the 33 words of the public key",
			"khóa gốc là 64 chữ số thập lục phân, hoặc 33 âm tiết của khóa công khai"));
	}
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
check_file(struct ctl *c, const char *path, const uint8_t root[32])
{
	struct lt_err err = { "" };
	struct lt_proof proof;
	struct lt_arena arena;
	struct lt_buf bytes;
	enum ctl_exit code;
	int rc;

	lt_buf_init(&bytes, LT_PROOF_MAX);
	rc = lt_file_read(path, LT_PROOF_MAX, &bytes, &err);
	if (rc != LT_OK) {
		lt_buf_fini(&bytes);
		return rc == LT_E_TOOBIG ? ctl_fail(CTL_NO, "%s", ctl_said(rc, &err))
					 : ctl_error(rc, &err);
	}
	lt_arena_init(&arena, LT_PROOF_ARENA);
	rc = lt_proof_check(lt_buf_slice(&bytes), root, &arena, &proof, &err);
	if (rc == LT_OK)
		code = tell(c, &proof, bytes.len);
	else
		code = rc == LT_E_NOMEM ? ctl_error(rc, &err) : say_no(c, &proof, &err);
	lt_arena_fini(&arena);
	lt_buf_fini(&bytes);
	return code;
}

enum ctl_exit
cmd_verify_proof(struct ctl *c, int argc, char **argv)
{
	const char *root = NULL;
	const struct ctl_option options[] = { { "root", CTL_TEXT, &root } };
	struct ctl_list args;
	uint8_t key[32];
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 1, 1);

	if (code == CTL_DONE)
		code = choose_root(c, root, key);
	return code == CTL_DONE ? check_file(c, args.item[0], key) : code;
}
