/* receipts: what the hub has signed for. verify-receipt: the same from a file, without anybody's help. */
#include "proto/base/file.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "tools/ctl_log.h"

#include <string.h>

#define RECEIPT_ARENA ((size_t)4 * 1024 * 1024)
#define RECEIPT_MAX (256 * 1024)
#define SAVED_MAX ((size_t)64 * 1024 * 1024)
#define SAVED_FORMAT "lienthong-receipts"

struct checking {
	struct ctl *c;
	uint8_t root_key[32];
	struct lt_fed federation;
	struct lt_arena arena; /* the hub's certificate */
	const Ltpb__CertificateBody *hub;
	struct ctl_table table;
	size_t good, bad;
};

/* ---- checking one ---- */

static int
check_certificate(struct checking *k, struct lt_slice cert, struct lt_err *err)
{
	Ltpb__CertificateBody *body;
	int rc = lt_certificate_verify(cert, k->root_key, &k->federation, &k->arena, &body, err);

	if (rc == LT_OK && body->role != LTPB__ROLE__ROLE_HUB)
		rc = lt_err_set(err, LT_E_DENIED, "%s",
		    T("the certificate is not a hub's", "chứng thư không phải của đầu mối"));
	if (rc == LT_OK)
		k->hub = body;
	return rc;
}

static int
check_receipt(struct checking *k, struct lt_slice bytes, struct lt_arena *arena,
    Ltpb__ReceiptBody **body, struct lt_err *err)
{
	int rc = lt_receipt_verify(bytes, k->hub->sign_key.data, &k->federation, arena, body, err);

	if (rc == LT_OK &&
	    ((*body)->key_no != k->hub->key_no || (*body)->hub.len != k->hub->principal.len ||
		memcmp((*body)->hub.data, k->hub->principal.data, k->hub->principal.len) != 0))
		rc = lt_err_set(err, LT_E_DENIED, "%s",
		    T("it is signed with another key than the certificate's",
			"ký bằng khóa khác với chứng thư"));
	return rc;
}

static void
show_receipt(struct checking *k, const Ltpb__ReceiptBody *b, int rc, const struct lt_err *err)
{
	struct ctl *c = k->c;

	if (c->json) {
		json_t *o = json_pack("{s:b}", "good", (int)(rc == LT_OK));

		if (rc != LT_OK) {
			json_object_set_new(o, "error",
			    ctl_json_text(err->text[0] != '\0' ? err->text : lt_strerror(rc)));
		} else {
			json_object_set_new(o, "unit", ctl_json_text(b->unit));
			json_object_set_new(o, "feed", ctl_json_hex(b->feed.data, b->feed.len));
			json_object_set_new(o, "seq", json_integer((json_int_t)b->seq));
			json_object_set_new(o, "hash", ctl_json_hex(b->hash.data, b->hash.len));
			json_object_set_new(o, "since_ms", json_integer(b->since_ms));
			json_object_set_new(o, "refused", json_integer((json_int_t)b->n_refused));
			json_object_set_new(o, "held", json_integer((json_int_t)b->n_held));
		}
		ctl_print_json(o);
		return;
	}
	if (rc != LT_OK) {
		ctl_complain("%s: %s", T("a receipt does not verify", "một biên nhận không đúng"),
		    ctl_said(rc, err));
		return;
	}
	ctl_cell(&k->table, "%s", b->unit);
	ctl_cell(
	    &k->table, "%s", b->feed.len == LT_FEED_LEN ? ctl_lane(b->feed.data[LT_ID_LEN]) : "?");
	ctl_cell(&k->table, "%llu", (unsigned long long)b->seq);
	ctl_cell(&k->table, "%s", ctl_time(&c->arena, b->since_ms));
	ctl_cell(&k->table, "%zu", b->n_refused);
	ctl_cell(&k->table, "%s", ctl_hex(&c->arena, b->hash.data, b->hash.len));
}

static void
begin_table(struct checking *k)
{
	ctl_table_init(&k->table, 6);
	if (k->c->json)
		return;
	ctl_cell(&k->table, "%s", T("unit", "đơn vị"));
	ctl_cell(&k->table, "%s", T("lane", "làn"));
	ctl_cell(&k->table, "%s", T("held up to", "giữ tới gói"));
	ctl_cell(&k->table, "%s", T("since", "từ lúc"));
	ctl_cell(&k->table, "%s", T("refused", "từ chối"));
	ctl_cell(&k->table, "%s", T("hash of the change-set", "băm của gói"));
}

static void
take_receipt(struct checking *k, struct lt_slice bytes)
{
	struct lt_err err = { "" };
	Ltpb__ReceiptBody *body = NULL;
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, RECEIPT_ARENA);
	rc = check_receipt(k, bytes, &arena, &body, &err);
	k->good += rc == LT_OK;
	k->bad += rc != LT_OK;
	show_receipt(k, body, rc, &err);
	lt_arena_fini(&arena);
}

static enum ctl_exit
finish(struct checking *k)
{
	ctl_table_print(&k->table);
	if (!k->c->json)
		printf(T("%zu receipts signed by the hub, %zu bad.\n",
			   "%zu biên nhận có chữ ký đầu mối, %zu sai.\n"),
		    k->good, k->bad);
	if (k->good + k->bad == 0)
		return ctl_fail(CTL_NO, "%s", T("there are no receipts", "không có biên nhận nào"));
	return k->bad != 0 ? CTL_NO : CTL_DONE;
}

/* ---- receipts ---- */

static enum ctl_exit
save(struct ctl *c, const char *path, struct lt_slice cert, const Ltpb__ListReceiptsReply *r)
{
	json_t *o = json_object(), *list = json_array();
	struct lt_err err = { "" };
	struct lt_buf b;
	size_t i;
	char *text;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < r->n_receipt; i++) {
		lt_buf_init(&b, RECEIPT_MAX);
		rc = lt_wire_pack(&r->receipt[i]->base, RECEIPT_MAX, &b);
		json_array_append_new(list, ctl_json_hex(b.data, b.len));
		lt_buf_fini(&b);
	}
	json_object_set_new(o, "format", json_string(SAVED_FORMAT));
	json_object_set_new(o, "version", json_integer(1));
	json_object_set_new(o, "root_key", ctl_json_hex(c->id->root_key, 32));
	json_object_set_new(o, "salt", ctl_json_hex(c->id->salt, 16));
	json_object_set_new(o, "certificate", ctl_json_hex(cert.data, cert.len));
	json_object_set_new(o, "receipts", list);
	text = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	if (rc == LT_OK)
		rc = text == NULL ? LT_E_NOMEM
				  : lt_file_write(path, lt_slice_str(text), 0644, false, &err);
	free(text);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
}

static enum ctl_exit
fetch(struct ctl *c, const char *unit, const char *feed, ProtobufCMessage **m)
{
	Ltpb__ListReceiptsRequest req = LTPB__LIST_RECEIPTS_REQUEST__INIT;
	uint8_t id[LT_FEED_LEN];
	enum ctl_exit code;

	if (feed != NULL) {
		if (lt_unhex(id, sizeof(id), feed) != LT_OK)
			return ctl_fail(CTL_USAGE, "%s",
			    T("a feed is 50 hexadecimal digits, see 'ltctl feeds'",
				"dòng là 50 chữ số thập lục phân, xem 'ltctl feeds'"));
		req.feed.data = id;
		req.feed.len = sizeof(id);
		req.unit = (char *)(unit != NULL ? unit : ctl_own_unit(c));
	}
	code = ctl_connect(c);
	if (code == CTL_DONE)
		code = ctl_call(c, &ltpb__admin__descriptor, "ListReceipts", &req.base, m);
	return code;
}

static enum ctl_exit
check_all(struct checking *k, const Ltpb__ListReceiptsReply *r, const char *path)
{
	struct lt_err err = { "" };
	struct lt_buf cert, b;
	enum ctl_exit code;
	size_t i;
	int rc;

	lt_buf_init(&cert, 0);
	code = ctl_hub_certificate(k->c, NULL, &cert);
	if (code == CTL_DONE) {
		rc = check_certificate(k, lt_buf_slice(&cert), &err);
		if (rc != LT_OK)
			code = ctl_fail(CTL_NO, "%s", ctl_said(rc, &err));
	}
	begin_table(k);
	for (i = 0; code == CTL_DONE && i < r->n_receipt; i++) {
		lt_buf_init(&b, RECEIPT_MAX);
		rc = lt_wire_pack(&r->receipt[i]->base, RECEIPT_MAX, &b);
		if (rc == LT_OK)
			take_receipt(k, lt_buf_slice(&b));
		else
			code = ctl_error(rc, NULL);
		lt_buf_fini(&b);
	}
	if (code == CTL_DONE)
		code = finish(k);
	if (code == CTL_DONE && path != NULL)
		code = save(k->c, path, lt_buf_slice(&cert), r);
	lt_buf_fini(&cert);
	return code;
}

enum ctl_exit
cmd_receipts(struct ctl *c, int argc, char **argv)
{
	const char *unit = NULL, *feed = NULL, *path = NULL;
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &unit },
		{ "feed", CTL_TEXT, &feed }, { "save", CTL_TEXT, &path } };
	struct checking k = { .c = c };
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 3, &args, 0, 0);

	if (code == CTL_DONE)
		code = ctl_open(c);
	if (code == CTL_DONE)
		code = fetch(c, unit, feed, &m);
	if (code == CTL_DONE) {
		memcpy(k.root_key, c->id->root_key, 32);
		k.federation = c->id->federation;
		lt_arena_init(&k.arena, RECEIPT_ARENA);
		code = check_all(&k, (const Ltpb__ListReceiptsReply *)m, path);
		lt_arena_fini(&k.arena);
	}
	ctl_reply_free(m);
	return code;
}

/* ---- verify-receipt ---- */

/* Which root is trusted: named on the command line, else the one of this machine. Never the file's own word. */
static enum ctl_exit
choose_root(struct checking *k, const char *root, const json_t *saved)
{
	const char *salt = json_string_value(json_object_get(saved, "salt"));
	uint8_t salt_bytes[16];
	enum ctl_exit code;

	if (root == NULL) {
		code = ctl_open(k->c);
		if (code != CTL_DONE)
			return ctl_fail(code, "%s",
			    T("whose root key is to be trusted? name it with --root, or a machine "
			      "of the federation with -C",
				"tin khóa gốc nào? hãy nêu bằng --root, hoặc chỉ một máy của liên "
				"thông bằng -C"));
		memcpy(k->root_key, k->c->id->root_key, 32);
		k->federation = k->c->id->federation;
		return CTL_DONE;
	}
	if (lt_unhex(k->root_key, 32, root) != LT_OK)
		return ctl_fail(CTL_USAGE, "%s",
		    T("a root key is 64 hexadecimal digits",
			"khóa gốc là 64 chữ số thập lục phân"));
	if (salt == NULL || lt_unhex(salt_bytes, 16, salt) != LT_OK)
		return ctl_fail(CTL_NO, "%s", T("the file is damaged", "tệp bị hỏng"));
	lt_federation_id(k->root_key, salt_bytes, &k->federation);
	return CTL_DONE;
}

/* Bytes of a hexadecimal text, appended. */
static bool
from_hex(const json_t *v, struct lt_buf *out)
{
	const char *hex = json_string_value(v);
	size_t n = hex != NULL ? strlen(hex) : 0;
	uint8_t *p;

	if (n == 0 || n % 2 != 0 || n / 2 > RECEIPT_MAX)
		return false;
	p = lt_buf_reserve(out, n / 2);
	if (p == NULL || lt_unhex(p, n / 2, hex) != LT_OK)
		return false;
	lt_buf_added(out, n / 2);
	return true;
}

static enum ctl_exit
check_saved(struct checking *k, const json_t *saved)
{
	const json_t *list = json_object_get(saved, "receipts");
	struct lt_err err = { "" };
	struct lt_buf b;
	size_t i;
	bool ok;

	lt_buf_init(&b, RECEIPT_MAX);
	ok = from_hex(json_object_get(saved, "certificate"), &b) && json_is_array(list);
	if (ok && check_certificate(k, lt_buf_slice(&b), &err) != LT_OK) {
		lt_buf_fini(&b);
		return ctl_fail(CTL_NO, "%s: %s",
		    T("the hub's certificate does not verify", "chứng thư của đầu mối không đúng"),
		    ctl_said(LT_E_BADSIG, &err));
	}
	begin_table(k);
	for (i = 0; ok && i < json_array_size(list); i++) {
		lt_buf_clear(&b);
		ok = from_hex(json_array_get(list, i), &b);
		if (ok)
			take_receipt(k, lt_buf_slice(&b));
	}
	lt_buf_fini(&b);
	if (!ok) {
		ctl_table_print(&k->table);
		return ctl_fail(CTL_NO, "%s", T("the file is damaged", "tệp bị hỏng"));
	}
	return finish(k);
}

enum ctl_exit
cmd_verify_receipt(struct ctl *c, int argc, char **argv)
{
	const char *root = NULL;
	const struct ctl_option options[] = { { "root", CTL_TEXT, &root } };
	struct checking k = { .c = c };
	struct lt_err err = { "" };
	struct ctl_list args;
	struct lt_buf text;
	json_t *saved;
	int rc;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 1, 1);

	if (code != CTL_DONE)
		return code;
	lt_buf_init(&text, SAVED_MAX);
	rc = lt_file_read(args.item[0], SAVED_MAX, &text, &err);
	if (rc != LT_OK) {
		lt_buf_fini(&text);
		return ctl_error(rc, &err);
	}
	saved = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	lt_buf_fini(&text);
	if (saved == NULL || json_integer_value(json_object_get(saved, "version")) != 1 ||
	    json_string_value(json_object_get(saved, "format")) == NULL ||
	    strcmp(json_string_value(json_object_get(saved, "format")), SAVED_FORMAT) != 0) {
		json_decref(saved);
		return ctl_fail(CTL_NO,
		    T("'%s' is no file of saved receipts, or it is damaged",
			"'%s' không phải tệp biên nhận, hoặc đã hỏng"),
		    args.item[0]);
	}
	code = choose_root(&k, root, saved);
	if (code == CTL_DONE) {
		lt_arena_init(&k.arena, RECEIPT_ARENA);
		code = check_saved(&k, saved);
		lt_arena_fini(&k.arena);
	}
	json_decref(saved);
	return code;
}
