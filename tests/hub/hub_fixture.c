#include "tests/hub/hub_fixture.h"
#include "proto/store/feed_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int64_t
now(void *ctx)
{
	return ((struct hubfx *)ctx)->now_ms;
}

void
hubfx_found(struct hubfx *h)
{
	memset(h, 0, sizeof(*h));
	h->now_ms = HUB_NOW_MS;
	h->clock.wall_ms = now;
	h->clock.mono_ms = now;
	h->clock.ctx = h;
	lt_arena_init(&h->arena, (size_t)64 << 20);
	fed_found(&h->f, &h->clock);
}

void
hubfx_begin(struct hubfx *h)
{
	fed_hub_start(&h->f);
	fed_publish(&h->f);
}

void
hubfx_open(struct hubfx *h)
{
	hubfx_found(h);
	hubfx_begin(h);
}

void
hubfx_close(struct hubfx *h)
{
	fed_teardown(&h->f);
	lt_arena_fini(&h->arena);
}

void
hubfx_restart(struct hubfx *h)
{
	fed_hub_stop(&h->f);
	fed_hub_start(&h->f);
}

int
hubfx_join(struct hubfx *h, const struct fed_peer *p, Ltpb__PrincipalState *state)
{
	struct lt_err err = { "" };
	Ltpb__JoinRequest r;
	uint8_t proof[LT_SIG_LEN];

	fed_join_request(&p->id, proof, &r);
	return lt_enrol_join(h->f.enrol, &r, p->id.line_pk, "192.0.2.1", state, &err);
}

void
hubfx_node(struct hubfx *h, struct fed_peer *p, const char *unit)
{
	Ltpb__PrincipalState state;

	fed_invite(&h->f, p, LTPB__ROLE__ROLE_NODE, unit, true);
	assert_int_equal(hubfx_join(h, p, &state), LT_OK);
	assert_int_equal(state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
}

void
hubfx_settle(struct hubfx *h)
{
	struct lt_kv_txn *txn;
	uint64_t last = 0;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(h->f.hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	lt_kv_abort(txn);
	assert_int_equal(lt_hub_wait_projected(h->f.hub, last, HUB_WAIT_MS), LT_OK);
}

/* ---- intake ---- */

struct waiting {
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cv;
	struct answer *out;
};

static void
done(void *ctx, const struct lt_intake_result *r)
{
	struct waiting *w = ctx;
	size_t i;

	pthread_mutex_lock(&w->mx);
	w->out->rc = r->rc;
	w->out->nfeed = r->nfeed;
	w->out->position = r->position;
	for (i = 0; i < r->nfeed && i < 8; i++) {
		w->out->feed[i] = r->feed[i];
		w->out->has_receipt[i] = r->feed[i].receipt.len != 0;
		w->out->feed[i].receipt = lt_slice(NULL, 0);
	}
	w->out->calls++;
	pthread_cond_signal(&w->cv);
	pthread_mutex_unlock(&w->mx);
}

void
hubfx_intake(struct hubfx *h, const struct lt_id *pusher, const struct lt_buf *sets, size_t n,
    struct answer *out)
{
	struct waiting w = {
		.mx = PTHREAD_MUTEX_INITIALIZER, .cv = PTHREAD_COND_INITIALIZER, .out = out
	};
	struct lt_slice *bytes = calloc(n + 1, sizeof(*bytes));
	size_t i;

	assert_non_null(bytes);
	memset(out, 0, sizeof(*out));
	for (i = 0; i < n; i++)
		bytes[i] = lt_buf_slice(&sets[i]);
	lt_hub_intake(h->f.hub, pusher, bytes, n, done, &w);
	pthread_mutex_lock(&w.mx);
	while (out->calls == 0)
		pthread_cond_wait(&w.cv, &w.mx);
	pthread_mutex_unlock(&w.mx);
	pthread_cond_destroy(&w.cv);
	pthread_mutex_destroy(&w.mx);
	free(bytes);
}
