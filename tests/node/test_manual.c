/* A node without a thread that is told the same as one with its thread comes to the same bytes in every table, over the
 * talk with a hub as it goes on a line: joining, writing, pushing, receipts, verdicts, a neighbour's records, a second
 * catalogue that has every record worked out anew. */
#include "tests/lib/memfed.h"
#include "tests/lib/random.h"

#include "node/session.h"
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define UNIT "17254"
#define ITEMS_MAX 64

struct machine {
	struct fed_node n;
	struct lt_kv *kv;
	struct lt_session *session;
	struct lt_peer line;
	bool manual;
};

struct story {
	struct memfed m;
	struct machine a, b; /* of one commune; b always manual */
};

/* ---- one call ---- */

struct items {
	struct lt_arena arena;
	const ProtobufCMessageDescriptor *type;
	size_t n;
	ProtobufCMessage *item[ITEMS_MAX];
};

/* As they come off a line. */
static void
keep(void *ctx, const ProtobufCMessage *m)
{
	struct items *it = ctx;
	struct lt_err err = { "" };
	struct lt_buf b;
	uint8_t *copy;

	assert_true(it->n < ITEMS_MAX);
	lt_buf_init(&b, LT_MESSAGE_MAX);
	assert_int_equal(lt_wire_pack(m, LT_MESSAGE_MAX, &b), LT_OK);
	copy = lt_arena_dup(&it->arena, b.data, b.len);
	assert_non_null(copy);
	assert_int_equal(lt_wire_unpack(m->descriptor, lt_slice(copy, b.len), LT_MESSAGE_MAX,
			     &it->arena, &it->item[it->n++], &err),
	    LT_OK);
	lt_buf_fini(&b);
}

static void
await(struct machine *x, bool idle)
{
	if (x->manual)
		while (
		    idle ? lt_session_applying(x->session) > 0 : !lt_session_has_room(x->session))
			assert_true(lt_node_step(x->n.node));
	else if (idle)
		lt_session_await_idle(x->session);
	else
		lt_session_await_room(x->session);
}

static int
ask(struct story *s, struct machine *x, const struct lt_sync_action *action,
    struct lt_session_call *c)
{
	struct lt_status st = { .code = LT_STATUS_OK };
	struct lt_session_request req;
	struct items it = { .n = 0 };
	struct lt_arena arena;
	char method[128];
	size_t i;
	int rc;

	lt_arena_init(&arena, (size_t)8 << 20);
	lt_arena_init(&it.arena, (size_t)64 << 20);
	rc = lt_session_ask(x->session, action, &arena, c, &req);
	assert_int_equal(rc, LT_OK);
	(void)snprintf(method, sizeof(method), "/%s/%s", req.service->name, req.method);
	st.code = (enum lt_status_code)memfed_ask(&s->m, &x->line, method, req.message, keep, &it);
	for (i = 0; i < it.n; i++) {
		await(x, false);
		lt_session_take(x->session, c, it.item[i]);
	}
	await(x, true);
	lt_session_end(x->session, c, &st);
	lt_arena_fini(&it.arena);
	lt_arena_fini(&arena);
	s->m.now_ms += 1000;
	return (int)st.code;
}

static void
ask_ok(struct story *s, struct machine *x, enum lt_sync_action_kind kind, struct lt_session_call *c)
{
	const struct lt_sync_action a = { .kind = kind };

	assert_int_equal(ask(s, x, &a, c), LT_STATUS_OK);
	assert_true(c->ev.ok);
}

/* Greet, push what the hub lacks, pull. Returns the change-sets pushed. */
static uint64_t
sync_once(struct story *s, struct machine *x)
{
	struct lt_session_call hello, c;
	uint64_t pushed = 0;
	size_t i;

	ask_ok(s, x, LT_SYNC_DO_HELLO, &hello);
	for (i = 0; i < hello.ev.nfeed; i++) {
		const struct lt_sync_feed *f = &hello.feeds[i];
		const struct lt_sync_action push = { .kind = LT_SYNC_DO_PUSH,
			.feed = f->feed,
			.from_seq = f->held + 1,
			.max_bytes = LT_SYNC_BATCH_MAX };

		assert_true(f->usable);
		if (f->head == f->held)
			continue;
		assert_int_equal(ask(s, x, &push, &c), LT_STATUS_OK);
		assert_int_equal(c.ev.seq, f->head);
		pushed += f->head - f->held;
	}
	ask_ok(s, x, LT_SYNC_DO_PULL, &c);
	ask_ok(s, x, LT_SYNC_DO_ANNOUNCE, &c);
	return pushed;
}

/* ---- machines ---- */

static void
start(struct story *s, struct machine *x)
{
	const struct lt_node_options no = { .identity = x->n.id,
		.clock = &s->m.clock,
		.kv = x->kv,
		.rebuild_records = 2,
		.manual = x->manual };
	struct lt_session_options so = { 0 };
	struct lt_err err = { "" };

	assert_int_equal(lt_node_open(&no, &x->n.node, &err), LT_OK);
	so.node = x->n.node;
	assert_int_equal(lt_session_new(&so, &x->session), LT_OK);
}

static void
stop(struct machine *x)
{
	lt_session_free(x->session);
	x->session = NULL;
	lt_node_close(x->n.node);
	x->n.node = NULL;
}

static void
make(struct story *s, struct machine *x, bool manual, uint64_t seed)
{
	struct lt_session_call c;

	x->manual = manual;
	test_random_seed(seed);
	fed_node_setup(&s->m.f, &x->n, UNIT);
	test_random_constant();
	memfed_settle(&s->m);
	x->line = memfed_line(x->n.id);
	x->kv = memfed_store(&s->m.f, LT_KV_NODE);
	start(s, x);
	ask_ok(s, x, LT_SYNC_DO_JOIN, &c);
	assert_true(c.ev.active);
	assert_int_equal(sync_once(s, x), 0); /* catalogue and registry come down */
}

static void
put(struct story *s, struct machine *x, unsigned number, const char *status)
{
	assert_int_equal(fed_put_dossier(&x->n, number, status, NULL), LT_OK);
	s->m.now_ms += 1000;
}

static void
begin(struct story *s, bool manual, struct memfed_marks *marks)
{
	memset(s, 0, sizeof(*s));
	memfed_open(&s->m, true, marks);
	make(s, &s->a, manual, 2);
	make(s, &s->b, true, 3);
}

static void
end(struct story *s)
{
	stop(&s->a);
	stop(&s->b);
	lt_kv_close(s->a.kv);
	lt_kv_close(s->b.kv);
	fed_node_teardown(&s->a.n);
	fed_node_teardown(&s->b.n);
	memfed_close(&s->m);
}

static void
tell(struct story *s)
{
	unsigned i;

	for (i = 1; i <= 9; i++)
		put(s, &s->a, i, NULL);
	put(s, &s->a, 1, "dang_xu_ly");
	assert_int_equal(sync_once(s, &s->a), 10);
	assert_int_equal(sync_once(s, &s->b), 0);
	put(s, &s->b, 1, "tam_dung");
	put(s, &s->b, 20, NULL);
	put(s, &s->a, 2, "dang_xu_ly"); /* each without the other's */
	put(s, &s->b, 2, "tam_dung");
	assert_int_equal(sync_once(s, &s->b), 3);
	stop(&s->a);
	start(s, &s->a);
	assert_int_equal(sync_once(s, &s->a), 1);
	fed_publish_second(&s->m.f);
	memfed_settle(&s->m);
	assert_int_equal(sync_once(s, &s->a), 0);
	put(s, &s->a, 3, "dang_xu_ly");
}

/* ---- comparing ---- */

struct wanted {
	struct lt_kv *kv;
	const struct lt_buf *want;
};

static bool
is_same(void *ctx)
{
	const struct wanted *w = ctx;
	struct lt_buf have = { 0 };
	bool same;

	memfed_dump(w->kv, &have);
	same = lt_slice_eq(lt_buf_slice(&have), lt_buf_slice(w->want));
	lt_buf_fini(&have);
	return same;
}

static void
with_and_without_a_thread(void **state)
{
	static struct memfed_marks marks;
	static struct story with, without;
	struct lt_buf node = { 0 }, log = { 0 };
	struct wanted w = { .want = &node };

	(void)state;
	begin(&without, true, &marks);
	tell(&without);
	while (lt_node_step(without.a.n.node))
		;
	memfed_dump(without.a.kv, &node);
	memfed_dump(without.m.log, &log);
	assert_true(node.len > 100000);
	end(&without);
	marks.n = 0;
	begin(&with, false, &marks);
	tell(&with);
	w.kv = with.a.kv; /* the thread has its steps of the second catalogue to do yet */
	fed_wait(is_same, &w, 20000, "the tables of the node with a thread are the same");
	w.kv = with.m.log;
	w.want = &log;
	assert_true(is_same(&w));
	end(&with);
	lt_buf_fini(&node);
	lt_buf_fini(&log);
}

static void
told(void *ctx, int rc, const char *why)
{
	(void)why;
	*(int *)ctx = rc;
}

/* What came down waits for a step; a write does not, and takes what waits with it. */
static void
one_step_at_a_time(void **state)
{
	static struct memfed_marks marks;
	static struct story s;
	struct lt_kv_txn *txn;
	struct lt_entry e;
	struct lt_err err = { "" };
	struct lt_buf cs;
	uint64_t last;
	int rc = 1;

	(void)state;
	marks.n = 0;
	begin(&s, true, &marks);
	while (lt_node_step(s.a.n.node)) /* of the first catalogue */
		;
	put(&s, &s.b, 7, NULL);
	assert_int_equal(lt_kv_begin_read(s.b.kv, &txn), LT_OK);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	assert_int_equal(lt_feed_log_read(txn, last, &e), LT_OK);
	lt_buf_init(&cs, LT_MESSAGE_MAX);
	assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, &cs, &err), LT_OK);
	lt_kv_abort(txn);
	assert_int_equal(sync_once(&s, &s.a), 0); /* who b is */
	assert_int_equal(lt_node_apply(s.a.n.node, lt_buf_slice(&cs), told, &rc), LT_OK);
	assert_int_equal(rc, 1);
	assert_true(lt_node_step(s.a.n.node));
	assert_int_equal(rc, LT_OK);
	assert_false(lt_node_step(s.a.n.node));
	rc = 1;
	assert_int_equal(lt_node_apply(s.a.n.node, lt_buf_slice(&cs), told, &rc), LT_OK);
	assert_int_equal(rc, 1);
	put(&s, &s.a, 8, NULL);
	assert_int_equal(rc, LT_OK);
	assert_false(lt_node_step(s.a.n.node));
	lt_buf_fini(&cs);
	end(&s);
}

static void
store_failed(void *ctx, int rc)
{
	*(int *)ctx = rc;
}

struct fault {
	uint64_t at;
	bool met;
};

static int
fail_at(void *ctx, uint64_t ordinal)
{
	struct fault *f = ctx;

	f->met |= ordinal == f->at;
	return ordinal == f->at ? LT_E_IO : LT_OK;
}

/* Every store call of a write fails in turn. None of it is kept; when it is the commit, that is told once and nothing more is
 * taken. Over the same disk another goes on. */
static void
a_disk_that_fails(void **state)
{
	static struct memfed_marks marks;
	static struct story s;
	struct lt_buf before = { 0 };
	struct lt_node_options no = { .manual = true, .store_failed = store_failed };
	struct wanted w = { .want = &before };
	struct lt_err err = { "" };
	struct fault f = { 0 };
	int failed = 0;

	(void)state;
	marks.n = 0;
	begin(&s, true, &marks);
	stop(&s.a);
	memfed_dump(s.a.kv, &before);
	w.kv = s.a.kv;
	no.identity = s.a.n.id;
	no.clock = &s.m.clock;
	no.kv = s.a.kv;
	no.store_failed_ctx = &failed;
	assert_int_equal(lt_node_open(&no, &s.a.n.node, &err), LT_OK);
	while (lt_node_step(s.a.n.node))
		;
	while (failed == 0) {
		f.at++;
		f.met = false;
		lt_kv_set_fault(s.a.kv, fail_at, &f);
		assert_int_equal(fed_put_dossier(&s.a.n, 1, NULL, NULL), LT_E_IO);
		assert_true(f.met);
		assert_true(is_same(&w));
	}
	assert_int_equal(failed, LT_E_IO);
	assert_true(f.at > 10);
	lt_kv_set_fault(s.a.kv, NULL, NULL);
	assert_int_equal(fed_put_dossier(&s.a.n, 1, NULL, NULL), LT_E_CLOSED);
	lt_node_close(s.a.n.node);
	assert_true(is_same(&w));
	start(&s, &s.a);
	put(&s, &s.a, 1, NULL);
	assert_false(is_same(&w));
	lt_buf_fini(&before);
	end(&s);
}

static void
put_local(struct lt_kv *kv, const char *name, const char *value)
{
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_write(kv, &txn), LT_OK);
	assert_int_equal(lt_local_put(txn, name, lt_slice_str(value)), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

/* A store that cannot be used says why: who reads it in a log has nothing else. */
static void
a_row_that_is_no_good(void **state)
{
	static const struct {
		const char *name, *value, *says;
	} row[] = { { "province", "not a unit", "province" },
		{ "hub_certificate", "not a certificate", "ertificate" } };
	static struct memfed_marks marks;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		static struct story s;
		struct lt_node_options no = { .manual = true };
		struct lt_node *n = NULL;
		struct lt_err err = { "" };

		marks.n = 0;
		begin(&s, true, &marks);
		stop(&s.a);
		put_local(s.a.kv, row[i].name, row[i].value);
		no.identity = s.a.n.id;
		no.clock = &s.m.clock;
		no.kv = s.a.kv;
		assert_int_not_equal(lt_node_open(&no, &n, &err), LT_OK);
		assert_null(n);
		if (strstr(err.text, row[i].says) == NULL)
			fail_msg("%s: \"%s\"", row[i].name, err.text);
		end(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_and_without_a_thread),
		cmocka_unit_test(one_step_at_a_time),
		cmocka_unit_test(a_disk_that_fails),
		cmocka_unit_test(a_row_that_is_no_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
