/* tools/bench/visible.c - from the commit at a node to an answer of the hub: real lt-node and lt-hub on loopback, line
 * and machine otherwise idle. */
#include "tools/bench/proc.h"

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/record.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_S 60
#define PAUSE_US 20000 /* between writes: the line is idle */
#define ASK_US \
	100 /* between questions: what is measured is not much finer than the answer itself */
#define ARENA ((size_t)64 * 1024 * 1024)

struct seeing {
	struct bench *b;
	struct bench_world w;
	struct bench_proc hub, node;
	struct lt_pool *pool;
	struct lt_conn *clerk, *department;
	int port;
};

static int
is_ready(struct seeing *s, bool *ready)
{
	Ltpb__StatusRequest req = LTPB__STATUS_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	int rc = bench_call(s->b, s->clerk, &ltpb__admin__descriptor, "Status", &req.base, &m);

	if (rc != LT_OK)
		return rc;
	*ready = ((const Ltpb__StatusReply *)m)->connected &&
		 ((const Ltpb__StatusReply *)m)->catalogue_version == 1;
	protobuf_c_message_free_unpacked(m, NULL);
	return LT_OK;
}

static int
setup(struct seeing *s)
{
	int64_t until = bench_now_ns() + (int64_t)WAIT_S * 1000000000;
	char dir[BENCH_PATH];
	bool ready = false;
	int rc = bench_world_make(s->b, "hub", 2, &s->w);

	if (rc == LT_OK)
		rc = bench_port(s->b, &s->port);
	if (rc == LT_OK)
		rc = bench_world_listen(s->b, &s->w, s->port, false);
	if (rc == LT_OK)
		rc = bench_world_node(s->b, &s->w, 0, s->port, dir);
	if (rc == LT_OK)
		rc = bench_proc_start(s->b, &s->hub, "lt-hub", s->w.dir);
	if (rc == LT_OK)
		rc = bench_proc_start(s->b, &s->node, "lt-node", dir);
	if (rc == LT_OK)
		rc = lt_pool_start(2, 256, &s->pool);
	if (rc == LT_OK)
		rc = bench_dial_local(s->b, s->pool, &s->node, &s->clerk);
	if (rc == LT_OK)
		rc = bench_dial(s->b, s->pool, &s->w, &s->w.reader, s->port, &s->department);
	while (rc == LT_OK && !ready) {
		rc = is_ready(s, &ready);
		if (rc == LT_OK && !ready && bench_now_ns() > until)
			rc = lt_err_set(&s->b->err, LT_E_TIMEOUT, "the node gets no catalogue");
		bench_sleep_us(5000);
	}
	return rc;
}

static int
put(struct seeing *s, const struct lt_draft *d, int64_t *took)
{
	Ltpb__PutRequest req = LTPB__PUT_REQUEST__INIT;
	Ltpb__FieldSet *field[64];
	ProtobufCMessage *m = NULL;
	uint8_t id[16];
	int64_t from;
	int rc;

	randombytes_buf(id, sizeof(id));
	req.collection = (char *)d->collection;
	req.key = (char *)d->key;
	req.field = field;
	/* All but the actor, which has a place of its own. */
	memcpy(field, d->set, d->nset * sizeof(*field));
	memcpy(field + d->nset, d->personal, (d->npersonal - 1) * sizeof(*field));
	req.n_field = d->nset + d->npersonal - 1;
	req.actor = (char *)"cb01@mc";
	req.request_id.data = id;
	req.request_id.len = sizeof(id);
	from = bench_now_ns();
	rc = bench_call(s->b, s->clerk, &ltpb__records__descriptor, "Put", &req.base, &m);
	*took = bench_now_ns() - from;
	if (rc == LT_OK)
		protobuf_c_message_free_unpacked(m, NULL);
	return rc;
}

/* Ask until it is there. */
static int
see(struct seeing *s, const char *key)
{
	int64_t until = bench_now_ns() + (int64_t)WAIT_S * 1000000000;
	Ltpb__GetRequest req = LTPB__GET_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	req.collection = (char *)"dossier";
	req.unit = s->w.node[0].unit.s;
	req.key = (char *)key;
	while (lt_conn_call_wait(s->department, &ltpb__query__descriptor, "Get", &req.base, 10000,
		   &m, &st) != LT_STATUS_OK) {
		if (st.code != LT_STATUS_NOT_FOUND || bench_now_ns() > until)
			return lt_err_set(&s->b->err, LT_E_REMOTE, "Get: %s %s",
			    lt_status_name(st.code), st.message);
		bench_sleep_us(ASK_US);
	}
	protobuf_c_message_free_unpacked(m, NULL);
	return LT_OK;
}

static int
measure(struct seeing *s, size_t n, int64_t *saved, int64_t *visible)
{
	struct lt_draft *d = NULL;
	struct lt_arena arena;
	size_t i;
	int rc;

	lt_arena_init(&arena, ARENA);
	rc = bench_drafts(s->b, &s->w, &s->w.node[0], n, &arena, &d);
	for (i = 0; rc == LT_OK && i < n; i++) {
		int64_t from;

		rc = put(s, &d[i], &saved[i]);
		from = bench_now_ns();
		if (rc == LT_OK)
			rc = see(s, d[i].key);
		visible[i] = bench_now_ns() - from;
		bench_sleep_us(PAUSE_US);
	}
	lt_arena_fini(&arena);
	return rc;
}

static int
tell(struct bench *b, size_t n, int64_t *saved, int64_t *visible)
{
	int rc = bench_result(b, "commit at the node to visible at the hub, p50",
	    (double)bench_percentile(visible, n, 50) / 1e6, "ms", BENCH_INFO, 0,
	    "%zu dossiers, one after the other", n);

	if (rc == LT_OK)
		rc = bench_result(b, "commit at the node to visible at the hub, p99",
		    (double)bench_percentile(visible, n, 99) / 1e6, "ms", BENCH_AT_MOST, 20, "%s",
		    "");
	if (rc == LT_OK)
		rc = bench_result(b, "a clerk's put until it is saved, p50",
		    (double)bench_percentile(saved, n, 50) / 1e6, "ms", BENCH_INFO, 0, "%s", "");
	if (rc == LT_OK)
		rc = bench_result(b, "a clerk's put until it is saved, p99",
		    (double)bench_percentile(saved, n, 99) / 1e6, "ms", BENCH_INFO, 0, "%s", "");
	return rc;
}

int
bench_visible(struct bench *b)
{
	size_t n = b->quick ? 20 : 300;
	int64_t *saved = calloc(n, sizeof(*saved)), *visible = calloc(n, sizeof(*visible));
	struct seeing s = { .b = b };
	int rc = saved == NULL || visible == NULL ? LT_E_NOMEM : setup(&s);

	if (rc == LT_OK)
		rc = measure(&s, n, saved, visible);
	if (rc == LT_OK)
		rc = tell(b, n, saved, visible);
	lt_conn_close(s.clerk);
	lt_conn_close(s.department);
	lt_pool_stop(s.pool);
	if (rc == LT_OK)
		rc = bench_proc_stop(b, &s.node);
	if (rc == LT_OK)
		rc = bench_proc_stop(b, &s.hub);
	bench_proc_kill(&s.node);
	bench_proc_kill(&s.hub);
	bench_remove(s.node.dir);
	bench_world_free(&s.w);
	free(saved);
	free(visible);
	return rc;
}
