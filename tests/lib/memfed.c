#include "tests/lib/memfed.h"
#include "tests/lib/random.h"

#include "proto/store/tables.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* 2026-11-22T00:00:00Z, by `date -u -d 2026-11-22 +%s` */
#define START_MS INT64_C(1795305600000)
#define WAIT_MS 20000

static void
check(int rc, const char *what, const char *why)
{
	if (rc != LT_OK)
		fail_msg("%s: %s %s", what, lt_strerror(rc), why);
}

static int64_t
now(void *ctx)
{
	return ((const struct memfed *)ctx)->now_ms;
}

struct lt_kv *
memfed_store(const struct fed *f, enum lt_kv_kind kind)
{
	const struct lt_kv_options o = {
		.kind = kind, .federation = f->hub_id->federation.b, .tables = lt_table_names
	};
	struct lt_err err = { "" };
	struct lt_kv *kv;

	check(lt_kv_open_mem(&o, &kv, &err), "store", err.text);
	return kv;
}

void
memfed_start_hub(struct memfed *m)
{
	const struct lt_hub_options ho = { .identity = m->f.hub_id,
		.clock = &m->clock,
		.log = m->log,
		.derived = m->derived,
		.manual = m->manual };
	struct lt_err err = { "" };

	check(lt_hub_open(&ho, &m->f.hub, &err), "hub", err.text);
	check(lt_enrol_open(m->f.hub, &m->f.enrol, &err), "enrol", err.text);
	check(lt_fresh_open(m->f.hub, &m->f.fresh), "fresh", "");
	m->f.service.hub = m->f.hub;
	m->f.service.enrol = m->f.enrol;
	m->f.service.fresh = m->f.fresh;
}

void
memfed_open(struct memfed *m, bool manual, struct memfed_marks *marks)
{
	memset(m, 0, sizeof(*m));
	m->now_ms = START_MS;
	m->clock.wall_ms = now;
	m->clock.mono_ms = now;
	m->clock.ctx = m;
	m->manual = manual;
	m->marks = marks;
	test_random_seed(1);
	fed_found(&m->f, &m->clock);
	test_random_constant();
	m->log = memfed_store(&m->f, LT_KV_HUB_LOG);
	m->derived = memfed_store(&m->f, LT_KV_HUB_DERIVED);
	memfed_start_hub(m);
	(void)snprintf(m->f.address, sizeof(m->f.address), "tcp://127.0.0.1:7340");
	m->f.addresses[0] = m->f.address;
	fed_publish(&m->f);
	memfed_settle(m);
}

void
memfed_close_hub(struct memfed *m)
{
	lt_fresh_close(m->f.fresh);
	lt_enrol_close(m->f.enrol);
	lt_hub_close(m->f.hub);
	m->f.hub = NULL;
}

void
memfed_close(struct memfed *m)
{
	if (m->f.hub != NULL)
		memfed_close_hub(m);
	lt_kv_close(m->log);
	lt_kv_close(m->derived);
	fed_remove(&m->f);
	test_random_system();
}

void
memfed_settle(struct memfed *m)
{
	if (m->manual) {
		while (lt_hub_step(m->f.hub))
			;
		assert_true(m->marks->n < MEMFED_MARKS_MAX);
		m->marks->at[m->marks->n++] = lt_hub_log_position(m->f.hub);
	} else {
		assert_true(m->mark < m->marks->n);
		check(lt_hub_wait_projected(m->f.hub, m->marks->at[m->mark++], WAIT_MS), "settle",
		    "");
		assert_int_equal(lt_hub_log_position(m->f.hub), m->marks->at[m->mark - 1]);
	}
	m->now_ms += 1000;
}

/* ---- asking ---- */

void
memfed_invite(struct memfed *m, struct fed_peer *p, uint64_t seed, const char *unit)
{
	memfed_settle(m); /* nobody else draws */
	test_random_seed(seed);
	fed_invite(&m->f, p, LTPB__ROLE__ROLE_NODE, unit, true);
	test_random_constant();
	memfed_settle(m);
}

struct lt_peer
memfed_line(const struct lt_identity *id)
{
	struct lt_peer peer = { .kind = LT_PEER_LINE, .address = "192.0.2.1", .conn_id = 9 };

	memcpy(peer.line_key, id->line_pk, sizeof(peer.line_key));
	return peer;
}

int
memfed_may(struct memfed *m, const struct lt_peer *peer, const char *method)
{
	struct lt_status st = { .code = LT_STATUS_UNIMPLEMENTED };
	size_t i;

	if (lt_service_admit(&m->f.service, peer) != LT_OK)
		return LT_STATUS_UNAUTHENTICATED;
	for (i = 0; i < lt_nmethods; i++)
		if (strcmp(lt_methods[i].name, method) == 0)
			lt_service_authorize(&m->f.service, peer, &lt_methods[i], &st);
	return (int)st.code;
}

/* What a push was answered, with or without threads. */
struct pushing {
	pthread_mutex_t mx; /* guards done, code */
	pthread_cond_t cv;
	bool done;
	int code;
	memfed_reply_fn *reply;
	void *ctx;
};

static void
pushed(void *ctx, const Ltpb__PushReply *r, const struct lt_status *st, const struct lt_took *took)
{
	struct pushing *p = ctx;

	(void)took;
	if (r != NULL && p->reply != NULL)
		p->reply(p->ctx, &r->base);
	pthread_mutex_lock(&p->mx);
	p->code = r != NULL ? LT_STATUS_OK : (int)st->code;
	p->done = true;
	pthread_cond_signal(&p->cv);
	pthread_mutex_unlock(&p->mx);
}

static int
push(struct memfed *m, struct lt_asking *a, const ProtobufCMessage *req, memfed_reply_fn *reply,
    void *ctx)
{
	struct pushing p = { .mx = PTHREAD_MUTEX_INITIALIZER,
		.cv = PTHREAD_COND_INITIALIZER,
		.reply = reply,
		.ctx = ctx };

	lt_answer_push(a, (const Ltpb__PushRequest *)req, pushed, &p);
	while (m->manual && !p.done)
		assert_true(lt_hub_step(m->f.hub));
	pthread_mutex_lock(&p.mx);
	while (!p.done)
		pthread_cond_wait(&p.cv, &p.mx);
	pthread_mutex_unlock(&p.mx);
	pthread_cond_destroy(&p.cv);
	pthread_mutex_destroy(&p.mx);
	return p.code;
}

struct sending {
	memfed_reply_fn *reply;
	void *ctx;
};

static int
send_item(void *ctx, const ProtobufCMessage *item)
{
	struct sending *s = ctx;

	s->reply(s->ctx, item);
	return LT_OK;
}

static int
pull(struct lt_asking *a, const ProtobufCMessage *req, memfed_reply_fn *reply, void *ctx)
{
	struct sending s = { reply, ctx };
	struct lt_pull_plan *plan;
	struct lt_status st;
	int rc;

	if (!lt_answer_pull(a, (const Ltpb__PullRequest *)req, &plan, &st))
		return (int)st.code;
	rc = lt_pull_plan_send(plan, send_item, &s);
	lt_pull_plan_free(plan);
	return (int)lt_status_from_error(rc);
}

static int
answer(struct memfed *m, struct lt_asking *a, const char *method, const ProtobufCMessage *req,
    memfed_reply_fn *reply, void *ctx)
{
	Ltpb__JoinReply join = LTPB__JOIN_REPLY__INIT;
	Ltpb__HelloReply hello = LTPB__HELLO_REPLY__INIT;
	Ltpb__AnnounceReply announce = LTPB__ANNOUNCE_REPLY__INIT;
	Ltpb__FetchReply fetch = LTPB__FETCH_REPLY__INIT;
	Ltpb__SupplyReply supply = LTPB__SUPPLY_REPLY__INIT;
	const ProtobufCMessage *out = NULL;
	struct lt_status st = { .code = LT_STATUS_UNIMPLEMENTED };

	if (strcmp(method, "/lienthong.v1.Sync/Push") == 0)
		return push(m, a, req, reply, ctx);
	if (strcmp(method, "/lienthong.v1.Sync/Pull") == 0)
		return pull(a, req, reply, ctx);
	if (strcmp(method, "/lienthong.v1.Enrol/Join") == 0 &&
	    lt_answer_join(a, (const Ltpb__JoinRequest *)req, &join, &st))
		out = &join.base;
	else if (strcmp(method, "/lienthong.v1.Sync/Hello") == 0 &&
		 lt_answer_hello(a, (const Ltpb__HelloRequest *)req, &hello, &st))
		out = &hello.base;
	else if (strcmp(method, "/lienthong.v1.Sync/Announce") == 0 &&
		 lt_answer_announce(a, (const Ltpb__AnnounceRequest *)req, &announce, &st))
		out = &announce.base;
	else if (strcmp(method, "/lienthong.v1.Sync/Fetch") == 0 &&
		 lt_answer_fetch(a, (const Ltpb__FetchRequest *)req, &fetch, &st))
		out = &fetch.base;
	else if (strcmp(method, "/lienthong.v1.Sync/Supply") == 0 &&
		 lt_answer_supply(a, (const Ltpb__SupplyRequest *)req, &supply, &st))
		out = &supply.base;
	if (out != NULL && reply != NULL)
		reply(ctx, out);
	return out != NULL ? LT_STATUS_OK : (int)st.code;
}

int
memfed_ask(struct memfed *m, const struct lt_peer *peer, const char *method,
    const ProtobufCMessage *req, memfed_reply_fn *reply, void *ctx)
{
	int code = memfed_may(m, peer, method);
	struct lt_asking a;

	if (code != LT_STATUS_OK)
		return code;
	lt_asking_open(&a, &m->f.service, peer);
	code = answer(m, &a, method, req, reply, ctx);
	lt_asking_end(&a);
	memfed_settle(m);
	return code;
}

/* ---- comparing ---- */

void
memfed_dump(struct lt_kv *kv, struct lt_buf *out)
{
	struct lt_slice k, v;
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	unsigned t;
	int rc;

	check(lt_kv_begin_read(kv, &txn), "read", "");
	for (t = 0; t < LT_T_COUNT; t++) {
		check(lt_kv_cursor_open(txn, t, &c), "cursor", "");
		for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
		     rc = lt_kv_next(c, &k, &v)) {
			lt_buf_u8(out, (uint8_t)t);
			lt_buf_u32(out, (uint32_t)k.len);
			lt_buf_put_slice(out, k);
			lt_buf_u32(out, (uint32_t)v.len);
			lt_buf_put_slice(out, v);
		}
		assert_int_equal(rc, LT_E_NOTFOUND);
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(txn);
	assert_int_equal(out->err, LT_OK);
}
