/* An import that is only checked: it says row by row what the import says then, and leaves no trace: no row of any table, no byte
 * of a file, no number taken, no epoch begun. */
#include "tests/lib/peer.h"

#include "proto/base/file.h"
#include "proto/store/rebuild.h"
#include "proto/store/tables.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT "17254"
#define WAIT_MS 30000
#define ROWS 9

/* ---- what stands there ---- */

/* Everything in a store, and the file itself. */
static struct lt_hash
state_of(struct lt_kv *kv, const char *dir, const char *folder)
{
	struct lt_buf all = { 0 }, file = { 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_kv_txn *txn;
	struct lt_hash h;
	char path[512];
	unsigned t;
	int rc;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	for (t = 0; t < LT_T_COUNT; t++) {
		lt_buf_u32(&all, t);
		assert_int_equal(lt_kv_cursor_open(txn, t, &c), LT_OK);
		for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
		     rc = lt_kv_next(c, &k, &v)) {
			lt_buf_framed(&all, k);
			lt_buf_framed(&all, v);
		}
		assert_int_equal(rc, LT_E_NOTFOUND);
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(txn);
	(void)snprintf(path, sizeof(path), "%s/%s/data.mdb", dir, folder);
	assert_int_equal(lt_file_read(path, (size_t)256 << 20, &file, NULL), LT_OK);
	lt_buf_framed(&all, lt_buf_slice(&file));
	assert_int_equal(all.err, LT_OK);
	lt_h1("lt1.value", lt_buf_slice(&all), &h);
	lt_buf_fini(&all);
	lt_buf_fini(&file);
	return h;
}

/* ---- at the hub, over its socket ---- */

struct rows {
	Ltpb__ImportRequest req;
	Ltpb__ImportRow row[ROWS], *list[ROWS];
	Ltpb__FieldSet *field[ROWS][16];
};

static void
directive(struct rows *r, size_t i, struct lt_arena *a, const char *key, const char *work)
{
	static const struct {
		const char *name;
		enum lt_type type;
		const char *text;
	} rest[] = { { "issuer_person", LT_TYPE_TEXT, "Nguyễn Văn Mẫu" },
		{ "issuer_role", LT_TYPE_TEXT, "Chủ tịch" },
		{ "issuing_body", LT_TYPE_TEXT, "ubnd_tinh" },
		{ "sector", LT_TYPE_ENUM, "giao_thong" }, { "lead_orgs", LT_TYPE_SET, "17254" },
		{ "deadline_kind", LT_TYPE_ENUM, "none" }, { "status", LT_TYPE_ENUM, "assigned" } };
	Ltpb__ImportRow *row = &r->row[i];
	size_t k;

	ltpb__import_row__init(row);
	row->row = (uint32_t)i + 1;
	row->key = (char *)key;
	row->field = r->field[i];
	row->field[row->n_field++] = fed_field(a, "work_text", LT_TYPE_TEXT, work);
	for (k = 0; k < sizeof(rest) / sizeof(rest[0]); k++)
		row->field[row->n_field++] = fed_field(a, rest[k].name, rest[k].type, rest[k].text);
	r->list[i] = row;
	r->req.row = r->list;
	r->req.n_row = i + 1;
}

static void
rows_init(struct rows *r)
{
	memset(r, 0, sizeof(*r));
	ltpb__import_request__init(&r->req);
	r->req.collection = (char *)"directive";
	r->req.unit = (char *)"40";
	r->req.actor = (char *)"vp01";
}

static Ltpb__ImportReply *
import(struct fed_peer *p, struct rows *r, bool check_only)
{
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	r->req.check_only = check_only;
	if (fed_ask(p, &ltpb__records__descriptor, "Import", &r->req.base, &m, &st) != LT_STATUS_OK)
		fail_msg("%s", st.message);
	return (Ltpb__ImportReply *)m;
}

/* Both good and bad ones; what is there already, one of them in another state. */
static void
mixed_rows(struct rows *r, struct lt_arena *a)
{
	rows_init(r);
	directive(r, 0, a, "CD-40-20261102-01", "as it stands");
	directive(r, 1, a, "CD-40-20261102-02", "changed");
	directive(r, 2, a, "CD-40-20261102-03", "new");
	directive(r, 3, a, "CD-40-20261102-04", "of another unit");
	r->row[3].unit = (char *)UNIT;
	directive(r, 4, a, "CD-40-x", "no such key can be");
	directive(r, 5, a, "CD-40-20261102-05", "a required field is missing");
	r->row[5].n_field--;
	directive(r, 6, a, "CD-40-20261102-06", "no such field");
	r->field[6][r->row[6].n_field++] = fed_field(a, "nonsense", LT_TYPE_TEXT, "x");
	directive(r, 7, a, "CD-40-20261102-07", "no such word");
	r->field[7][4] = fed_field(a, "sector", LT_TYPE_ENUM, "nonsense");
	directive(r, 8, a, "CD-40-20261102-03", "the same record once more");
}

static void
same_replies(const Ltpb__ImportReply *a, const Ltpb__ImportReply *b)
{
	size_t i;

	assert_int_equal(a->n_row, b->n_row);
	for (i = 0; i < a->n_row; i++) {
		assert_int_equal(a->row[i]->row, b->row[i]->row);
		assert_int_equal(a->row[i]->result, b->row[i]->result);
		assert_string_equal(a->row[i]->key, b->row[i]->key);
		assert_string_equal(a->row[i]->field, b->row[i]->field);
		assert_string_equal(a->row[i]->rule, b->row[i]->rule);
		assert_string_equal(a->row[i]->message, b->row[i]->message);
		assert_string_equal(a->row[i]->message_vi, b->row[i]->message_vi);
	}
}

static void
said_of_each(const Ltpb__ImportReply *r)
{
	static const struct {
		Ltpb__ImportResult result;
		const char *rule;
	} want[] = { { LTPB__IMPORT_RESULT__IMPORT_RESULT_UNCHANGED, "" },
		{ LTPB__IMPORT_RESULT__IMPORT_RESULT_UPDATED, "" },
		{ LTPB__IMPORT_RESULT__IMPORT_RESULT_CREATED, "" },
		{ LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED, "foreign_unit" },
		{ LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED, "pattern" },
		{ LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED, "required" },
		{ LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED, "unknown_field" },
		{ LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED, "enum" } };
	size_t i;

	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_int_equal(r->row[i]->result, want[i].result);
		assert_string_equal(r->row[i]->rule, want[i].rule);
		if (want[i].rule[0] == '\0')
			continue;
		assert_true(r->row[i]->message[0] != '\0' && r->row[i]->message_vi[0] != '\0');
		assert_string_not_equal(r->row[i]->message, r->row[i]->message_vi);
	}
}

static void
test_at_the_hub(void **state)
{
	Ltpb__ImportReply *trial, *again, *done;
	struct lt_hash log, derived, now;
	struct fed_peer local;
	struct lt_arena arena;
	struct rows r;
	uint64_t position;
	struct fed f;

	(void)state;
	fed_setup(&f);
	fed_local(&f, &local);
	lt_arena_init(&arena, (size_t)16 << 20);
	rows_init(&r);
	directive(&r, 0, &arena, "CD-40-20261102-01", "as it stands");
	directive(&r, 1, &arena, "CD-40-20261102-02", "before");
	ltpb__import_reply__free_unpacked(import(&local, &r, false), NULL);
	mixed_rows(&r, &arena);
	position = lt_hub_log_position(f.hub);
	assert_int_equal(lt_hub_wait_projected(f.hub, position, WAIT_MS), LT_OK);
	log = state_of(lt_hub_log(f.hub), f.dir, "log");
	derived = state_of(lt_hub_derived(f.hub), f.dir, "derived");

	trial = import(&local, &r, true);
	said_of_each(trial);
	again = import(&local, &r, true);
	same_replies(trial, again);
	now = state_of(lt_hub_log(f.hub), f.dir, "log");
	assert_true(lt_hash_eq(&log, &now));
	now = state_of(lt_hub_derived(f.hub), f.dir, "derived");
	assert_true(lt_hash_eq(&derived, &now));
	assert_int_equal(lt_hub_log_position(f.hub), position);

	done = import(&local, &r, false);
	same_replies(trial, done);
	assert_true(lt_hub_log_position(f.hub) > position);
	ltpb__import_reply__free_unpacked(trial, NULL);
	ltpb__import_reply__free_unpacked(again, NULL);
	ltpb__import_reply__free_unpacked(done, NULL);
	lt_arena_fini(&arena);
	fed_hang_up(&local);
	fed_teardown(&f);
}

static int
code_of(struct fed_peer *p, struct rows *r, struct lt_status *st)
{
	ProtobufCMessage *m = NULL;
	int code = fed_ask(p, &ltpb__records__descriptor, "Import", &r->req.base, &m, st);

	if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
	return code;
}

/* Whoever may not import may not ask either what an import would say. */
static void
test_rights_are_the_same(void **state)
{
	struct fed_peer local, node;
	struct lt_arena arena;
	struct lt_status st[2];
	struct rows r;
	struct fed f;
	int i;

	(void)state;
	fed_setup(&f);
	fed_local(&f, &local);
	fed_enrol(&f, &node, LTPB__ROLE__ROLE_NODE, UNIT, true);
	lt_arena_init(&arena, (size_t)4 << 20);
	rows_init(&r);
	directive(&r, 0, &arena, "CD-40-20261102-01", "x");
	for (i = 0; i < 2; i++) {
		r.req.check_only = i == 1;
		r.req.collection = (char *)"directive";
		r.req.unit = (char *)"40";
		r.req.n_row = 1;
		assert_int_equal(code_of(&node, &r, &st[i]), LT_STATUS_PERMISSION_DENIED);
		r.req.unit = (char *)UNIT; /* the province's alone */
		assert_int_equal(code_of(&local, &r, &st[i]), LT_STATUS_PERMISSION_DENIED);
		r.req.collection = (char *)"no_such";
		assert_int_equal(code_of(&local, &r, &st[i]), LT_STATUS_PERMISSION_DENIED);
		r.req.n_row = 0;
		assert_int_equal(code_of(&local, &r, &st[i]), LT_STATUS_INVALID_ARGUMENT);
	}
	assert_string_equal(st[0].reason, st[1].reason);
	assert_string_equal(st[0].message, st[1].message);
	lt_arena_fini(&arena);
	fed_hang_up(&local);
	fed_hang_up(&node);
	fed_teardown(&f);
}

/* ---- at a node ---- */

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) != 0;

	lt_catalogue_unref(c);
	return has;
}

static void
dossier(struct lt_arena *a, struct lt_write *w, const char *key)
{
	struct lt_draft d;
	size_t i;

	fed_draft_dossier(a, &d, key);
	memset(w, 0, sizeof(*w));
	w->collection = d.collection;
	w->key = key;
	w->set = lt_arena_alloc(a, (d.nset + d.npersonal) * sizeof(*w->set));
	assert_non_null(w->set);
	for (i = 0; i < d.nset; i++)
		w->set[w->nset++] = (Ltpb__FieldSet *)d.set[i];
	for (i = 0; i < d.npersonal; i++)
		if (strcmp(d.personal[i]->name, LT_ACTOR_FIELD) != 0)
			w->set[w->nset++] = (Ltpb__FieldSet *)d.personal[i];
	w->writer = LT_WRITER_COMMUNE;
	w->actor = "cb01";
}

static void
start_link(struct fed *f, struct fed_node *n)
{
	struct lt_link_options lo = { .node = n->node, .pool = n->pool, .addresses = f->address };

	assert_int_equal(lt_link_start(&lo, &n->link, NULL), LT_OK);
}

static bool
rows_are_whole(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_kv_txn *txn;
	bool whole = false;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &txn), LT_OK);
	assert_int_equal(lt_rebuild_indexed(txn, 1, &whole), LT_OK);
	lt_kv_abort(txn);
	return whole;
}

/* What came down is taken in, and no step of a rebuild waits: nobody writes but the test. */
static void
be_quiet(struct fed_node *n, struct lt_arena *a)
{
	struct lt_write w;

	lt_link_stop(n->link);
	dossier(a, &w, "H40.9-260722-0001");
	assert_int_equal(lt_node_check(n->node, &w, 1, a, NULL), LT_OK);
	fed_wait(rows_are_whole, n, WAIT_MS, "rows of the catalogue");
	assert_int_equal(lt_node_check(n->node, &w, 1, a, NULL), LT_OK);
}

static void
check_and_write(struct fed_node *n, struct lt_arena *a)
{
	struct lt_write w[4], done[4];
	struct lt_err err = { "" };
	struct lt_hash before, after;
	int i;

	dossier(a, &w[0], "H40.9-260722-0001");
	dossier(a, &w[1], "H40.9-260722-0002");
	w[1].nset--; /* no applicant_id_no */
	w[1].set[7] = fed_field(a, "status", LT_TYPE_ENUM, "nonsense");
	dossier(a, &w[2], "H40.9-260722-0001"); /* once more: by then it stands there */
	dossier(a, &w[3], "H40.9-260722-0003");
	w[3].collection = "directive";
	memcpy(done, w, sizeof(w));
	before = state_of(lt_node_kv(n->node), n->dir, "store");
	assert_int_equal(lt_node_check(n->node, w, 4, a, &err), LT_OK);
	after = state_of(lt_node_kv(n->node), n->dir, "store");
	assert_true(lt_hash_eq(&before, &after));
	assert_int_equal(w[0].rc, LT_OK);
	assert_true(w[0].created);
	assert_int_equal(w[1].rc, LT_E_REFUSED);
	assert_string_equal(w[1].violation.field, "status");
	assert_int_equal(w[2].rc, LT_OK);
	assert_true(w[2].unchanged);
	assert_int_equal(w[3].rc, LT_E_REFUSED);
	assert_int_equal(lt_node_write(n->node, done, 4, NULL, NULL, a, &err), LT_OK);
	for (i = 0; i < 4; i++) {
		assert_int_equal(w[i].rc, done[i].rc);
		assert_int_equal(w[i].created, done[i].created);
		assert_int_equal(w[i].unchanged, done[i].unchanged);
		assert_string_equal(w[i].violation.message, done[i].violation.message);
	}
	assert_int_equal(done[0].dot.seq, 1); /* the first of its feed: none was taken before */
}

static void
test_at_a_node(void **state)
{
	struct lt_arena arena;
	struct lt_err err = { "" };
	struct lt_write w;
	struct fed_node n;
	struct fed f;

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, UNIT);
	fed_node_start(&f, &n);
	lt_arena_init(&arena, (size_t)64 << 20);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue");
	be_quiet(&n, &arena);
	check_and_write(&n, &arena);
	start_link(&f, &n);
	fed_node_teardown(&n);
	/* Without a catalogue nothing can be checked. */
	fed_node_setup(&f, &n, UNIT);
	fed_hub_stop(&f);
	fed_node_start(&f, &n);
	dossier(&arena, &w, "H40.9-260722-0001");
	assert_int_equal(lt_node_check(n.node, &w, 1, &arena, &err), LT_E_UNAVAILABLE);
	fed_node_teardown(&n);
	fed_hub_start(&f);
	lt_arena_fini(&arena);
	fed_teardown(&f);
}

/* ---- beside writes ---- */

#define CHECKS 60

struct checker {
	struct fed_node *n;
	_Atomic bool stop;
	_Atomic unsigned checks;
	_Atomic int rc;
};

static void *
checker_main(void *arg)
{
	struct checker *c = arg;
	struct lt_arena arena;
	struct lt_write w;

	while (!c->stop && c->rc == LT_OK) {
		lt_arena_init(&arena, (size_t)16 << 20);
		dossier(&arena, &w, "H40.9-260722-9999");
		c->rc = lt_node_check(c->n->node, &w, 1, &arena, NULL);
		if (c->rc == LT_OK && (w.rc != LT_OK || !w.created))
			c->rc = LT_E_CORRUPT;
		c->checks++;
		lt_arena_fini(&arena);
	}
	return NULL;
}

static void
test_beside_writes(void **state)
{
	struct checker c = { .rc = LT_OK };
	struct lt_dot dot = { 0 };
	struct fed_node n;
	pthread_t thread;
	struct fed f;
	unsigned i = 0;

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, UNIT);
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue");
	c.n = &n;
	assert_int_equal(pthread_create(&thread, NULL, checker_main, &c), 0);
	while (c.checks < CHECKS && c.rc == LT_OK)
		assert_int_equal(fed_put_dossier(&n, ++i, NULL, &dot), LT_OK);
	c.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(c.rc, LT_OK);
	assert_int_equal(dot.seq, i); /* each write one number, no check any */
	fed_node_teardown(&n);
	fed_teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_the_hub),
		cmocka_unit_test(test_rights_are_the_same),
		cmocka_unit_test(test_at_a_node),
		cmocka_unit_test(test_beside_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
