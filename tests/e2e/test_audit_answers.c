/* What the hub answers of its read audit when there is much of it, when a file is damaged, when the oldest are let go, and when its key
 * has changed. */
#include "tests/lib/peer.h"
#include "hub/audit.h"
#include "node/audit.h"
#include "proto/base/file.h"
#include "proto/base/limits.h"

#include "lienthong/v1/audit.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIT "17254"
#define OTHER "16906"
#define PAGE_BYTES (768 * 1024)

struct world {
	struct fed f;
	struct fed_peer op; /* at the hub's machine */
	struct fed_peer peer; /* asks as a node of UNIT */
	struct fed_node n; /* and believes, or not */
	struct lt_identity second; /* of the hub, with its next key */
	struct lt_buf second_cert;
	struct lt_audit_options o;
};

static void
audit_open(struct world *w)
{
	struct lt_err err = { "" };

	if (lt_audit_open(&w->o, &w->f.service.audit, &err) != LT_OK)
		fail_msg("%s", err.text);
}

/* All that was noted is under a head, and a file that is long enough has another behind it. */
static void
again(struct world *w)
{
	lt_audit_close(w->f.service.audit);
	w->f.service.audit = NULL;
	audit_open(w);
}

static int
setup(void **state)
{
	struct lt_node_options no = { .clock = lt_clock_system(), .map_bytes = (uint64_t)1 << 28 };
	struct world *w = calloc(1, sizeof(*w));
	struct lt_err err = { "" };

	fed_setup(&w->f);
	w->o = (struct lt_audit_options){ .dir = w->f.dir,
		.identity = w->f.hub_id,
		.clock = lt_clock_system(),
		.keep_ms = 86400000,
		.max_bytes = UINT64_C(1) << 30 };
	audit_open(w);
	fed_local(&w->f, &w->op);
	fed_enrol(&w->f, &w->peer, LTPB__ROLE__ROLE_NODE, UNIT, true);
	fed_node_setup(&w->f, &w->n, UNIT);
	no.dir = w->n.dir;
	no.identity = w->n.id;
	assert_int_equal(lt_node_open(&no, &w->n.node, &err), LT_OK);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	fed_hang_up(&w->op);
	fed_hang_up(&w->peer);
	lt_node_close(w->n.node);
	w->n.node = NULL;
	fed_node_teardown(&w->n);
	lt_audit_close(w->f.service.audit);
	fed_teardown(&w->f);
	lt_buf_fini(&w->second_cert);
	free(w);
	return 0;
}

static void
note(struct world *w, const char *unit, unsigned n)
{
	struct lt_audit_who who = { .kind = LT_AUDIT_LOCAL, .uid = 7 };
	struct lt_audit_share share = { .unit = unit, .rows = 3 };
	struct lt_audit_event e = { .kind = LT_AUDIT_READ,
		.who = &who,
		.method = "/lienthong.v1.Query/List",
		.share = &share,
		.nshare = 1 };

	while (n-- > 0)
		lt_audit_note(w->f.service.audit, &e);
}

/* One call about many units, each with many collections of long names. */
static void
note_wide(struct world *w, unsigned units, size_t collections)
{
	static const char *const name[] = { "collection_number_one", "collection_number_two",
		"collection_number_three", "collection_number_four", "collection_number_five",
		"collection_number_six", "collection_number_seven", "collection_number_eight",
		"collection_number_nine", "collection_number_ten", "collection_number_eleven",
		"collection_number_twelve" };
	struct lt_audit_who who = { .kind = LT_AUDIT_LOCAL, .uid = 7 };
	struct lt_audit_share *share = calloc(units, sizeof(*share));
	char(*code)[8] = calloc(units, sizeof(*code));
	struct lt_audit_event e = { .kind = LT_AUDIT_READ,
		.who = &who,
		.method = "/lienthong.v1.Query/Aggregate",
		.share = share,
		.nshare = units };
	unsigned i;

	for (i = 0; i < units; i++) {
		(void)snprintf(code[i], sizeof(code[i]), "%05u", 20000 + i);
		share[i].unit = code[i];
		share[i].rows = 1;
		share[i].collection = name;
		share[i].ncollection = collections;
	}
	lt_audit_note(w->f.service.audit, &e);
	free(share);
	free(code);
}

static Ltpb__AuditListReply *
page(struct world *w, Ltpb__AuditListRequest *req)
{
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	if (fed_ask(&w->op, &ltpb__audit__descriptor, "ListEntries", &req->base, &m, &st) !=
	    LT_STATUS_OK)
		fail_msg("%s: %s", st.reason, st.message);
	return (Ltpb__AuditListReply *)m;
}

static void
done(Ltpb__AuditListReply *r)
{
	protobuf_c_message_free_unpacked(&r->base, NULL);
}

struct listed {
	size_t entries, parts, left, not_signed, pages, damaged, expired;
	uint64_t damaged_file, damaged_at, last_seq, not_signed_last;
};

/* From the request's token on, to the end. */
static struct listed
list_from(struct world *w, Ltpb__AuditListRequest *req)
{
	struct listed l = { 0 };
	uint8_t token[24];
	size_t i;

	do {
		Ltpb__AuditListReply *r = page(w, req);

		l.pages++;
		assert_true(protobuf_c_message_get_packed_size(&r->base) <= PAGE_BYTES + 1024);
		for (i = 0; i < r->n_entry; i++) {
			l.entries++;
			l.parts += r->entry[i]->n_part;
			l.left += r->entry[i]->parts_left;
			l.not_signed += !r->entry[i]->signed_head;
			l.last_seq = r->entry[i]->seq;
			if (!r->entry[i]->signed_head)
				l.not_signed_last = l.last_seq;
		}
		l.expired += r->expired;
		l.damaged += r->n_damaged;
		if (r->n_damaged != 0) {
			l.damaged_file = r->damaged[0]->file;
			l.damaged_at = r->damaged[0]->at;
		}
		req->page_token.len = r->next_page_token.len;
		req->page_token.data = token;
		if (r->next_page_token.len != 0) {
			assert_int_equal(r->next_page_token.len, sizeof(token));
			memcpy(token, r->next_page_token.data, sizeof(token));
		}
		done(r);
	} while (req->page_token.len != 0);
	req->page_token.data = NULL;
	return l;
}

static struct listed
list_all(struct world *w, uint32_t page_size, const char *unit)
{
	Ltpb__AuditListRequest req = LTPB__AUDIT_LIST_REQUEST__INIT;

	req.page_size = page_size;
	req.unit = (char *)unit;
	return list_from(w, &req);
}

/* Entries of many units each: pages end by their bytes, and every entry is on one of them. */
static void
test_pages_end_by_bytes(void **state)
{
	struct world *w = *state;
	struct listed l;
	unsigned i;

	for (i = 0; i < 60; i++)
		note_wide(w, 1000, 2);
	again(w);
	l = list_all(w, 1000, "");
	assert_int_equal(l.entries, 60);
	assert_int_equal(l.parts, 60 * 1000);
	assert_int_equal(l.left, 0);
	assert_int_equal(l.not_signed, 0);
	assert_true(l.pages > 3);
}

/* An entry larger than any answer: as many of its parts as there is room for, how many more, and each by its unit. */
static void
test_one_entry_is_too_large(void **state)
{
	struct world *w = *state;
	struct listed l;

	note(w, UNIT, 1);
	note_wide(w, 4000, 12);
	note(w, UNIT, 1);
	again(w);
	l = list_all(w, 1000, "");
	assert_int_equal(l.entries, 3);
	assert_true(l.left > 0 && l.parts > 1000);
	assert_int_equal(l.parts + l.left, 4002);
	l = list_all(w, 1000, "23999");
	assert_int_equal(l.entries, 1);
	assert_int_equal(l.parts, 1);
	assert_int_equal(l.left, 0);
}

static int
list_code(struct fed_peer *who, const char *unit, struct lt_status *st)
{
	Ltpb__AuditListRequest req = LTPB__AUDIT_LIST_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	int code;

	req.unit = (char *)(uintptr_t)unit;
	code = fed_ask(who, &ltpb__audit__descriptor, "ListEntries", &req.base, &m, st);
	if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
	return code;
}

/* A unit that is none is not one of which nothing was read; one that is no more, and of which something was, is found. Who may not ask is
 * told the same of both. */
static void
test_unknown_units(void **state)
{
	struct world *w = *state;
	struct lt_status st;

	note(w, UNIT, 1);
	note(w, "99998", 2);
	again(w);
	assert_int_equal(list_code(&w->op, "99999", &st), LT_STATUS_INVALID_ARGUMENT);
	assert_string_equal(st.reason, "UNIT");
	assert_non_null(strstr(st.message, "no unit '99999'"));
	assert_non_null(strstr(st.message_vi, "không có đơn vị '99999'"));
	assert_int_equal(list_code(&w->op, "khong phai ma", &st), LT_STATUS_INVALID_ARGUMENT);
	assert_string_equal(st.reason, "UNIT");
	assert_non_null(strstr(st.message, "no unit code"));
	assert_int_equal(list_all(w, 1000, "99998").entries, 2);
	assert_int_equal(list_code(&w->op, OTHER, &st), LT_STATUS_OK);
	assert_int_equal(list_code(&w->op, "_", &st), LT_STATUS_OK);
	assert_int_equal(list_code(&w->op, "*", &st), LT_STATUS_OK);
	assert_int_equal(list_code(&w->peer, "99999", &st), LT_STATUS_PERMISSION_DENIED);
	assert_int_equal(list_code(&w->peer, UNIT, &st), LT_STATUS_PERMISSION_DENIED);
}

/* Tens of thousands that a filter leaves out take no memory. */
static void
test_filter_comes_first(void **state)
{
	struct world *w = *state;
	struct listed l;

	note(w, OTHER, 60000);
	note(w, UNIT, 2);
	again(w);
	l = list_all(w, 1000, UNIT);
	assert_int_equal(l.entries, 2);
	assert_int_equal(l.pages, 1);
}

/* Whether a page is full or not: what stands under a head is shown so. */
static void
test_last_of_a_page_is_signed(void **state)
{
	struct world *w = *state;
	unsigned size;

	note(w, UNIT, 5);
	again(w);
	note(w, UNIT, 4);
	again(w);
	for (size = 1; size <= 10; size++) {
		struct listed l = list_all(w, size, "");

		assert_int_equal(l.entries, 9);
		assert_int_equal(l.not_signed, 0);
		assert_int_equal(l.pages, (9 + size - 1) / size);
	}
}

static void
path_of(struct world *w, unsigned n, char path[600])
{
	(void)snprintf(path, 600, "%s/audit/%010u", w->f.dir, n);
}

/* One bit, so far from the end of that file. */
static void
damage_at(struct world *w, unsigned n, size_t from_end)
{
	struct lt_buf b = { 0 };
	char path[600];
	FILE *f;

	path_of(w, n, path);
	assert_int_equal(lt_file_read(path, 1 << 24, &b, NULL), LT_OK);
	b.data[b.len - (from_end != 0 ? from_end : b.len / 2)] ^= 1;
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
	assert_int_equal(fclose(f), 0);
	lt_buf_fini(&b);
}

/* In the middle. */
static void
damage(struct world *w, unsigned n)
{
	damage_at(w, n, 0);
}

/* So many files of 20 entries each, and an empty one. A file ends as the log is closed, and at no other time. */
static void
files_of_20(struct world *w, const char *unit, unsigned n)
{
	struct lt_audit_dir d;
	unsigned i;

	for (i = 1; i <= n; i++) {
		note(w, unit, 20);
		lt_audit_close(w->f.service.audit);
		w->o.segment_bytes = 1;
		audit_open(w);
		lt_audit_close(w->f.service.audit);
		w->o.segment_bytes = 0;
		audit_open(w);
		assert_true(lt_audit_files(w->f.service.audit, &d));
		assert_int_equal(d.last, i + 1);
	}
}

/* A file is damaged: it is named, once, and all others are shown, whatever the pages are. */
static void
test_damaged_file_is_named(void **state)
{
	struct world *w = *state;
	struct listed l;
	uint32_t size;

	files_of_20(w, UNIT, 4);
	damage(w, 2);
	for (size = 3; size <= 1000; size = size * 7 + 2) {
		l = list_all(w, size, "");
		assert_int_equal(l.damaged, 1);
		assert_int_equal(l.damaged_file, 2);
		assert_true(l.damaged_at > 100);
		assert_true(l.entries >= 60 && l.entries < 80);
		assert_int_equal(l.last_seq, 80);
	}
	l = list_all(w, 100, OTHER);
	assert_int_equal(l.entries, 0);
	assert_int_equal(l.damaged, 1);
	/* Its last head: what has none is shown without, for the next file's stands over others. */
	damage_at(w, 3, 20);
	l = list_all(w, 1000, "");
	assert_int_equal(l.damaged, 2);
	assert_true(l.not_signed_last == 60);
	assert_int_equal(l.last_seq, 80);
}

/* All files but the last two go, as they do when they are old and there are too many. */
static void
let_go(struct world *w)
{
	struct lt_audit_dir d;
	char path[600];
	struct stat a, b;
	uint64_t last;

	assert_true(lt_audit_files(w->f.service.audit, &d));
	last = d.last;
	path_of(w, (unsigned)last - 1, path);
	assert_int_equal(stat(path, &a), 0);
	path_of(w, (unsigned)last, path);
	assert_int_equal(stat(path, &b), 0);
	w->o.keep_ms = 0;
	w->o.max_bytes = (uint64_t)a.st_size + (uint64_t)b.st_size + 1;
	again(w);
	assert_true(lt_audit_files(w->f.service.audit, &d));
	assert_int_equal(d.first, last - 1);
}

/* Let go between one page and the next: told, and on with what is kept. */
static void
test_let_go_between_pages(void **state)
{
	struct world *w = *state;
	Ltpb__AuditListRequest req = LTPB__AUDIT_LIST_REQUEST__INIT;
	Ltpb__AuditListReply *r;
	uint8_t token[24];
	struct listed l;

	files_of_20(w, UNIT, 5);
	req.page_size = 10;
	r = page(w, &req);
	assert_int_equal(r->n_entry, 10);
	assert_false(r->expired);
	memcpy(token, r->next_page_token.data, sizeof(token));
	done(r);
	let_go(w);
	req.page_token.data = token;
	req.page_token.len = sizeof(token);
	l = list_from(w, &req);
	assert_int_equal(l.expired, 1);
	assert_int_equal(l.damaged, 0);
	assert_int_equal(l.entries, 20);
	assert_int_equal(l.last_seq, 100);
	/* One that never was is none. */
	memset(token, 0xff, sizeof(token));
	req.page_token.data = token;
	req.page_token.len = sizeof(token);
	{
		ProtobufCMessage *m = NULL;
		struct lt_status st;

		assert_int_equal(
		    fed_ask(&w->op, &ltpb__audit__descriptor, "ListEntries", &req.base, &m, &st),
		    LT_STATUS_INVALID_ARGUMENT);
	}
}

static int
prove(struct world *w, uint64_t log, uint64_t seq, struct lt_status *st, uint64_t *got)
{
	Ltpb__AuditProveRequest req = LTPB__AUDIT_PROVE_REQUEST__INIT;
	const Ltpb__AuditProveReply *r;
	struct lt_audit_entry e;
	ProtobufCMessage *m = NULL;
	int code;

	req.log = log;
	req.seq = seq;
	code = fed_ask(&w->op, &ltpb__audit__descriptor, "ProveEntry", &req.base, &m, st);
	if (code != LT_STATUS_OK)
		return code;
	r = (const Ltpb__AuditProveReply *)m;
	assert_int_equal(lt_audit_entry_read(lt_slice(r->entry.data, r->entry.len), &e), LT_OK);
	*got = e.seq;
	protobuf_c_message_free_unpacked(m, NULL);
	return code;
}

/* Entries of the log before this one are proven, too; what was let go is told so, and what never was. */
static void
test_prove_of_an_older_log(void **state)
{
	struct world *w = *state;
	uint64_t old, log, got = 0;
	struct lt_status st;
	char path[600];
	struct stat s;

	files_of_20(w, UNIT, 3);
	(void)lt_audit_unit_no(w->f.service.audit, "*", &old);
	/* The end of the last file is gone, and with it a head that was witnessed: another log. */
	note(w, UNIT, 5);
	again(w);
	lt_audit_close(w->f.service.audit);
	path_of(w, 4, path);
	assert_int_equal(stat(path, &s), 0);
	assert_int_equal(truncate(path, s.st_size - 20), 0);
	audit_open(w);
	(void)lt_audit_unit_no(w->f.service.audit, "*", &log);
	assert_true(log != old);
	note(w, UNIT, 50);
	again(w);
	for (got = 0; got < 60;) {
		uint64_t want = got + 1;

		if (prove(w, old, want, &st, &got) != LT_STATUS_OK)
			fail_msg("%llu: %s", (unsigned long long)want, st.message);
		assert_int_equal(got, want);
	}
	/* No head is left over them. */
	assert_int_equal(prove(w, old, 65, &st, &got), LT_STATUS_DATA_LOSS);
	assert_non_null(strstr(st.message, "file 4 "));
	assert_int_equal(prove(w, 0, 51, &st, &got), LT_STATUS_OK);
	assert_int_equal(prove(w, log, 1, &st, &got), LT_STATUS_OK);
	assert_int_equal(prove(w, log, 52, &st, &got), LT_STATUS_NOT_FOUND);
	assert_string_equal(st.reason, "AUDIT_ENTRY");
	assert_int_equal(prove(w, log, 0, &st, &got), LT_STATUS_NOT_FOUND);
	assert_int_equal(prove(w, log + 1, 1, &st, &got), LT_STATUS_NOT_FOUND);
	assert_string_equal(st.reason, "AUDIT_ENTRY");
}

static void
test_prove_of_what_was_let_go(void **state)
{
	struct world *w = *state;
	struct lt_status st;
	uint64_t got;

	files_of_20(w, UNIT, 4);
	assert_int_equal(prove(w, 0, 1, &st, &got), LT_STATUS_OK);
	let_go(w);
	assert_int_equal(prove(w, 0, 1, &st, &got), LT_STATUS_NOT_FOUND);
	assert_string_equal(st.reason, "AUDIT_EXPIRED");
	assert_int_equal(prove(w, 0, 60, &st, &got), LT_STATUS_NOT_FOUND);
	assert_string_equal(st.reason, "AUDIT_EXPIRED");
	assert_int_equal(prove(w, 0, 61, &st, &got), LT_STATUS_OK);
	assert_int_equal(prove(w, 0, 81, &st, &got), LT_STATUS_NOT_FOUND);
	assert_string_equal(st.reason, "AUDIT_ENTRY");
}

/* In the way of a proof: which file is damaged is said. */
static void
test_prove_in_a_damaged_file(void **state)
{
	struct world *w = *state;
	struct lt_status st;
	uint64_t got;

	files_of_20(w, UNIT, 3);
	damage(w, 2);
	assert_int_equal(prove(w, 0, 40, &st, &got), LT_STATUS_DATA_LOSS);
	assert_non_null(strstr(st.message, "file 2 "));
	assert_int_equal(prove(w, 0, 20, &st, &got), LT_STATUS_OK);
	assert_int_equal(prove(w, 0, 41, &st, &got), LT_STATUS_OK);
}

/* ---- what a node is shown ---- */

struct rows {
	size_t shown, missing, wrong;
	uint64_t from, to;
};

static int
count(void *ctx, const struct lt_node_audit_entry *e)
{
	struct rows *r = ctx;

	r->shown += e->row == LT_NODE_AUDIT_SHOWN;
	r->wrong += e->row == LT_NODE_AUDIT_FALSE;
	if (e->row == LT_NODE_AUDIT_MISSING) {
		r->missing++;
		r->from = e->from;
		r->to = e->to;
	}
	return LT_OK;
}

/* The node asks until there is no more. */
static struct rows
take_all(struct world *w)
{
	struct lt_node_audit_at before, after;
	Ltpb__AuditUnitRequest req;
	Ltpb__AuditUnitReply *r;
	struct rows rows = { 0 };
	struct lt_kv_txn *txn;
	ProtobufCMessage *m;
	struct lt_status st;
	struct lt_err err;
	bool more;

	do {
		assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &before), LT_OK);
		assert_int_equal(lt_node_audit_ask(w->n.node, UNIT, &req), LT_OK);
		m = NULL;
		if (fed_ask(&w->peer, &ltpb__audit__descriptor, "UnitParts", &req.base, &m, &st) !=
		    LT_STATUS_OK)
			fail_msg("%s", st.message);
		r = (Ltpb__AuditUnitReply *)m;
		if (lt_node_audit_take(w->n.node, UNIT, r, &err) != LT_OK)
			fail_msg("%s", err.text);
		assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &after), LT_OK);
		more = lt_node_audit_more(&before, &after, r->more);
		protobuf_c_message_free_unpacked(m, NULL);
	} while (more);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(w->n.node), &txn), LT_OK);
	assert_int_equal(lt_node_audit_each(txn, UNIT, count, &rows), LT_OK);
	lt_kv_abort(txn);
	return rows;
}

static void
next_key(struct world *w)
{
	Ltpb__CertificateBody body = LTPB__CERTIFICATE_BODY__INIT;
	struct lt_identity *id = &w->second;
	uint8_t seed[32] = { 2 };

	*id = *w->f.hub_id;
	id->key_no++;
	lt_sign_key_from_seed(seed, &id->sign);
	body.federation.data = id->federation.b;
	body.federation.len = LT_FED_LEN;
	body.principal.data = id->principal.b;
	body.principal.len = LT_ID_LEN;
	body.role = LTPB__ROLE__ROLE_HUB;
	body.key_no = id->key_no;
	body.sign_key.data = id->sign.pk;
	body.sign_key.len = 32;
	body.line_key.data = id->line_pk;
	body.line_key.len = 32;
	body.generation = 1;
	body.purpose = (char *)"hub";
	lt_buf_init(&w->second_cert, 4096);
	assert_int_equal(lt_certificate_make(&body, &w->f.root, &w->second_cert), LT_OK);
	id->certificate = lt_buf_slice(&w->second_cert);
	w->o.identity = id;
}

/* The hub's key has changed in the middle of what a node asks for: it believes both halves, each by its own certificate. */
static void
test_two_keys(void **state)
{
	struct world *w = *state;
	struct lt_status st;
	struct rows rows;
	uint64_t got;

	note(w, UNIT, 10);
	lt_audit_close(w->f.service.audit);
	next_key(w);
	audit_open(w);
	note(w, UNIT, 10);
	again(w);
	rows = take_all(w);
	assert_int_equal(rows.shown, 20);
	assert_int_equal(rows.wrong, 0);
	assert_int_equal(rows.missing, 0);
	assert_int_equal(prove(w, 0, 3, &st, &got), LT_STATUS_OK);
	assert_int_equal(prove(w, 0, 13, &st, &got), LT_STATUS_OK);
}

/* The key has changed, and what was noted since is of others: what is shown comes with the certificate of its own key. */
static void
test_two_keys_and_nothing_new(void **state)
{
	struct world *w = *state;
	struct rows rows;

	note(w, UNIT, 10);
	lt_audit_close(w->f.service.audit);
	next_key(w);
	audit_open(w);
	note(w, OTHER, 10);
	again(w);
	rows = take_all(w);
	assert_int_equal(rows.shown, 10);
	assert_int_equal(rows.wrong, 0);
}

/* A file that is damaged does not keep a node from what the others have; what it lacks it knows. */
static void
test_unit_behind_a_damaged_file(void **state)
{
	struct world *w = *state;
	struct rows rows;

	files_of_20(w, UNIT, 4);
	damage(w, 2);
	rows = take_all(w);
	assert_int_equal(rows.shown, 60);
	assert_int_equal(rows.wrong, 0);
	assert_int_equal(rows.missing, 1);
	assert_int_equal(rows.from, 21);
	assert_int_equal(rows.to, 40);
}

/* ---- verify ---- */

static void
verify(struct world *w, const struct lt_node_audit_at *at, bool good, bool expired)
{
	Ltpb__AuditVerifyRequest req = LTPB__AUDIT_VERIFY_REQUEST__INIT;
	const Ltpb__AuditVerifyReply *r;
	struct lt_hash hash = at->head_hash;
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	req.log = at->log;
	req.no = at->head;
	req.hash.data = hash.b;
	req.hash.len = LT_HASH_LEN;
	assert_int_equal(fed_ask(&w->op, &ltpb__audit__descriptor, "VerifyLog", &req.base, &m, &st),
	    LT_STATUS_OK);
	r = (const Ltpb__AuditVerifyReply *)m;
	if (r->good != good || r->expired != expired)
		fail_msg("%d %d: %s", r->good, r->expired, r->problem);
	protobuf_c_message_free_unpacked(m, NULL);
}

/* A head that a node has, of a file that was let go since: not to be told any more, which is no damage. */
static void
test_head_of_a_file_let_go(void **state)
{
	struct world *w = *state;
	struct lt_node_audit_at old, now;

	note(w, UNIT, 1);
	again(w);
	(void)take_all(w);
	assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &old), LT_OK);
	files_of_20(w, UNIT, 4);
	(void)take_all(w);
	assert_int_equal(lt_node_audit_at(w->n.node, UNIT, &now), LT_OK);
	verify(w, &old, true, false);
	let_go(w);
	verify(w, &old, false, true);
	old.head = now.head + 1000;
	verify(w, &old, false, false);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_pages_end_by_bytes),
		T(test_one_entry_is_too_large),
		T(test_unknown_units),
		T(test_filter_comes_first),
		T(test_last_of_a_page_is_signed),
		T(test_damaged_file_is_named),
		T(test_let_go_between_pages),
		T(test_prove_of_an_older_log),
		T(test_prove_of_what_was_let_go),
		T(test_prove_in_a_damaged_file),
		T(test_two_keys),
		T(test_two_keys_and_nothing_new),
		T(test_unit_behind_a_damaged_file),
		T(test_head_of_a_file_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
