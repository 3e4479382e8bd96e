#include "tests/lib/memnode.h"

#include "proto/base/wire.h"
#include "tests/lib/random.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define UNIT "17254"
#define ITEMS_MAX 64

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
await(struct memnode *x, bool idle)
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
ask(struct memnode_story *s, struct memnode *x, const struct lt_sync_action *action,
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
ask_ok(struct memnode_story *s, struct memnode *x, enum lt_sync_action_kind kind,
    struct lt_session_call *c)
{
	const struct lt_sync_action a = { .kind = kind };

	assert_int_equal(ask(s, x, &a, c), LT_STATUS_OK);
	assert_true(c->ev.ok);
}

/* Greet, push what the hub lacks, pull. Returns the change-sets pushed. */
uint64_t
memnode_sync(struct memnode_story *s, struct memnode *x)
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

void
memnode_start(struct memnode_story *s, struct memnode *x)
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

void
memnode_stop(struct memnode *x)
{
	lt_session_free(x->session);
	x->session = NULL;
	lt_node_close(x->n.node);
	x->n.node = NULL;
}

static bool
has_catalogue(void *ctx)
{
	struct lt_node *n = ctx;
	struct lt_catalogue *cat = lt_node_catalogue(n);
	bool has = lt_catalogue_version(cat) != 0;

	lt_catalogue_unref(cat);
	return has;
}

static void
make(struct memnode_story *s, struct memnode *x, bool manual, uint64_t seed)
{
	struct lt_session_call c;

	x->manual = manual;
	test_random_seed(seed);
	fed_node_setup(&s->m.f, &x->n, UNIT);
	test_random_constant();
	memfed_settle(&s->m);
	x->line = memfed_line(x->n.id);
	x->kv = memfed_store(&s->m.f, LT_KV_NODE);
	memnode_start(s, x);
	ask_ok(s, x, LT_SYNC_DO_JOIN, &c);
	assert_true(c.ev.active);
	assert_int_equal(memnode_sync(s, x), 0); /* catalogue and registry come down */
	/* The writer's thread reads them behind the commit, and perhaps behind our answer. */
	if (!manual)
		fed_wait(has_catalogue, x->n.node, 10000, "the catalogue is read");
}

void
memnode_put(struct memnode_story *s, struct memnode *x, unsigned number, const char *status)
{
	assert_int_equal(fed_put_dossier(&x->n, number, status, NULL), LT_OK);
	s->m.now_ms += 1000;
}

void
memnode_begin(struct memnode_story *s, bool manual, struct memfed_marks *marks)
{
	memset(s, 0, sizeof(*s));
	memfed_open(&s->m, true, marks);
	make(s, &s->a, manual, 2);
	make(s, &s->b, true, 3);
}

void
memnode_end(struct memnode_story *s)
{
	memnode_stop(&s->a);
	memnode_stop(&s->b);
	lt_kv_close(s->a.kv);
	lt_kv_close(s->b.kv);
	fed_node_teardown(&s->a.n);
	fed_node_teardown(&s->b.n);
	memfed_close(&s->m);
}
