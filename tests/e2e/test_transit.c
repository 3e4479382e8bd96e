/* Bits flipped on their way. On the line: each bit of what carries a change-set, up and down; the connection ends, nothing is merged,
 * the next try succeeds. Inside a valid session: each bit of the ChangeSet message itself; each is answered with a status, and
 * what is taken is what was signed. And hub and node as processes over a line that is damaged again and again.
 *
 *   LT_TRANSIT_STEP  every so many bits (1), for builds that are slow */
#include "proto/base/wire.h"
#include "tests/lib/province.h"
#include "tests/lib/proxy.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MS 30000
#define WAIT_MS 60000
#define CALL_MS 300
#define PULL_IDLE_MS 300
#define BAD_LINES 16
#define RECOVER_MS 150000 /* a length that grew is noticed by silence: 60 s */

struct transit {
	struct province p;
	struct proxy *proxy;
	int proxy_port;
	struct lt_conn *admin; /* of the hub */
	struct fed_feed feed;
	struct lt_buf cs; /* the next change-set of the peer, sealed */
	unsigned number;
};

static uint64_t
step(void)
{
	const char *s = getenv("LT_TRANSIT_STEP");
	uint64_t n = s != NULL ? strtoull(s, NULL, 10) : 1;

	return n > 0 ? n : 1;
}

static void
seal_next(struct transit *t, bool fresh)
{
	static const char *const status[] = { "dang_xu_ly", "tam_dung" };
	struct lt_draft draft;
	struct lt_arena arena;
	char key[40];

	if (fresh)
		t->number++;
	(void)snprintf(key, sizeof(key), "H41.65-261120-%06u", t->number);
	lt_arena_init(&arena, 1 << 20);
	if (fresh)
		fed_draft_dossier(&arena, &draft, key);
	else
		fed_draft_status(&arena, &draft, key, status[t->feed.seq % 2]);
	lt_buf_clear(&t->cs);
	fed_seal(&t->p.f, &t->feed, &draft, 1, &t->cs);
	lt_arena_fini(&arena);
}

static void
setup(struct transit *t)
{
	memset(t, 0, sizeof(*t));
	t->proxy_port = daemon_port();
	province_setup(&t->p, "17254", t->proxy_port);
	t->proxy = proxy_start(t->proxy_port, t->p.port);
	/* One push for each bit: more often than a node has reason to. */
	province_configure_hub(&t->p, "[quota]\nnode_calls = 1000000\nnode_vain = 1000000\n");
	daemon_start(&t->p.hub, NULL);
	t->admin = daemon_dial_wait(&t->p.hub, t->p.pool, START_MS);
	fed_feed_init(&t->feed, &t->p.peer, "16906", LT_LANE_NORMAL, 7);
	lt_buf_init(&t->cs, LT_MESSAGE_MAX);
}

static void
teardown(struct transit *t)
{
	fed_hang_up(&t->p.peer);
	lt_conn_close(t->admin);
	lt_buf_fini(&t->cs);
	proxy_stop(t->proxy);
	province_teardown(&t->p);
}

static void
connect_peer(struct transit *t, int port)
{
	int rc = province_dial(&t->p, port);

	if (rc != LT_OK)
		fail_msg("dial: %s", lt_strerror(rc));
}

static int
push(struct transit *t, const struct lt_buf *cs, uint32_t timeout_ms, struct lt_status *st)
{
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData d = { cs->len, cs->data };
	ProtobufCMessage *m = NULL;
	int code;

	r.n_change_set = 1;
	r.change_set = &d;
	code = lt_conn_call_wait(
	    t->p.peer.conn, &ltpb__sync__descriptor, "Push", &r.base, timeout_ms, &m, st);
	province_free(m);
	return code;
}

static uint64_t
log_head(struct transit *t)
{
	Ltpb__StatusReply *r = province_status(t->admin);
	uint64_t head = r->log_head;

	province_free(r);
	return head;
}

struct idle {
	struct transit *t;
	uint64_t head;
};

static bool
hub_idle(void *ctx)
{
	struct idle *i = ctx;
	Ltpb__StatusReply *r = province_status(i->t->admin);
	bool idle = r->projected == r->log_head && r->log_head >= i->head;

	province_free(r);
	return idle;
}

/* Until the hub has taken in the peer's change-sets and judged each with a verdict of its own. */
static uint64_t
wait_judged(struct transit *t, uint64_t head)
{
	struct idle i = { t, head };

	fed_wait(hub_idle, &i, WAIT_MS, "the verdict follows");
	return log_head(t);
}

/* ---- the line, upwards ---- */

static void
on_nothing(void *ctx, const ProtobufCMessage *m)
{
	(void)ctx;
	(void)m;
}

static void
count_end(void *ctx, const struct lt_status *st)
{
	atomic_uint *left = ctx;

	(void)st;
	atomic_fetch_sub(left, 1);
}

static bool
conn_dead(void *ctx)
{
	return !lt_conn_alive(ctx);
}

static bool
none_left(void *ctx)
{
	return atomic_load((atomic_uint *)ctx) == 0;
}

/* A length that grew makes the hub wait for the rest: send so much that it has it. */
static void
make_it_end(struct transit *t)
{
	static const struct lt_call_ops ops = { on_nothing, count_end };
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData d = { t->cs.len, t->cs.data };
	atomic_uint left = 0;
	unsigned i;

	r.n_change_set = 1;
	r.change_set = &d;
	for (i = 0; i < 60 && lt_conn_alive(t->p.peer.conn); i++) {
		atomic_fetch_add(&left, 1);
		if (lt_conn_call(t->p.peer.conn, &ltpb__sync__descriptor, "Push", &r.base, CALL_MS,
			&ops, &left, NULL) != LT_OK)
			atomic_fetch_sub(&left, 1);
	}
	fed_wait(conn_dead, t->p.peer.conn, WAIT_MS, "the connection ends");
	fed_wait(none_left, &left, WAIT_MS, "its calls end");
}

/* One flipped bit of a session that carries a change-set. true: the session was over before the bit came. */
static bool
one_bad_bit_up(struct transit *t, uint64_t bit)
{
	struct lt_status st;
	int code;

	proxy_flip(t->proxy, PROXY_TO_HUB, bit, false);
	if (province_dial(&t->p, t->proxy_port) == LT_OK) {
		code = push(t, &t->cs, CALL_MS, &st);
		if (code == LT_STATUS_OK) {
			if (proxy_flipped(t->proxy))
				fail_msg("bit %llu flipped and the push was answered",
				    (unsigned long long)bit);
			fed_hang_up(&t->p.peer);
			return true;
		}
		if (proxy_flipped(t->proxy))
			make_it_end(t);
	}
	if (!proxy_flipped(t->proxy))
		fail_msg("bit %llu was not reached and the push failed", (unsigned long long)bit);
	fed_hang_up(&t->p.peer);
	return false;
}

/* A session as it goes well; bytes of frames until the push was answered. */
static uint64_t
clean_push(struct transit *t)
{
	struct lt_status st;
	uint64_t bytes;

	proxy_clean(t->proxy);
	connect_peer(t, t->proxy_port);
	if (push(t, &t->cs, 20000, &st) != LT_STATUS_OK)
		fail_msg("push: %s", st.message);
	bytes = proxy_bytes(t->proxy, PROXY_TO_HUB);
	fed_hang_up(&t->p.peer);
	return bytes;
}

static void
test_line_up(void **state)
{
	struct transit *t = calloc(1, sizeof(*t));
	uint64_t bits, bit, head, flipped = 0, over = 0;

	(void)state;
	assert_non_null(t);
	setup(t);
	head = log_head(t);
	seal_next(t, true);
	(void)clean_push(t);
	head = wait_judged(t, head + 2);
	seal_next(t, false);
	bits = clean_push(t) * 8;
	head = wait_judged(t, head + 2);
	seal_next(t, false);
	for (bit = 0; bit < bits; bit += step()) {
		if (one_bad_bit_up(t, bit)) {
			over++;
			head = wait_judged(t, head + 2);
			seal_next(t, false);
			continue;
		}
		flipped++;
		assert_true(log_head(t) == head);
		/* Now and then the next try, which succeeds. */
		if (flipped % 97 == 1) {
			(void)clean_push(t);
			head = wait_judged(t, head + 2);
			seal_next(t, false);
		}
	}
	/* The requests' lengths differ by a byte or two between sessions, no more. */
	assert_true(over <= 4 * 8);
	(void)clean_push(t);
	print_message("%llu bits flipped on the way up\n", (unsigned long long)flipped);
	teardown(t);
	free(t);
}

/* ---- the line, downwards ---- */

#define ITEMS_MAX 256

struct pulled {
	pthread_mutex_t mx; /* guards all */
	size_t n;
	struct lt_buf item[ITEMS_MAX];
	bool ended, ok;
	const struct lt_buf *genuine; /* what alone may come, NULL: anything */
	bool false_one;
};

static void
on_item(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__PullItem *it = (const Ltpb__PullItem *)m;
	struct pulled *p = ctx;
	struct lt_buf *b;

	if (it->item_case != LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		return;
	pthread_mutex_lock(&p->mx);
	if (p->genuine != NULL) {
		p->n++;
		p->false_one |= !lt_slice_eq(
		    lt_slice(it->change_set.data, it->change_set.len), lt_buf_slice(p->genuine));
	} else if (p->n < ITEMS_MAX) {
		b = &p->item[p->n++];
		lt_buf_init(b, 0);
		lt_buf_put(b, it->change_set.data, it->change_set.len);
	}
	pthread_mutex_unlock(&p->mx);
}

static void
on_end(void *ctx, const struct lt_status *st)
{
	struct pulled *p = ctx;

	pthread_mutex_lock(&p->mx);
	p->ended = true;
	p->ok = st->code == LT_STATUS_OK;
	pthread_mutex_unlock(&p->mx);
}

static bool
pull_ended(void *ctx)
{
	struct pulled *p = ctx;
	bool ended;

	pthread_mutex_lock(&p->mx);
	ended = p->ended;
	pthread_mutex_unlock(&p->mx);
	return ended;
}

static void
pull(struct transit *t, Ltpb__PullRequest *req, struct pulled *p)
{
	static const struct lt_call_ops ops = { on_item, on_end };

	p->ended = p->ok = false;
	p->n = 0;
	if (lt_conn_call(t->p.peer.conn, &ltpb__sync__descriptor, "Pull", &req->base, 5000, &ops, p,
		NULL) == LT_OK)
		fed_wait(pull_ended, p, WAIT_MS, "the pull ends");
}

/* Everything the hub has for the peer, and the request for only the last item of it. */
static void
last_item_only(
    struct transit *t, struct pulled *all, Ltpb__PullRequest *req, struct lt_arena *arena)
{
	size_t i, k;

	connect_peer(t, 0);
	pull(t, req, all);
	fed_hang_up(&t->p.peer);
	assert_true(all->ok);
	assert_true(all->n > 1);
	req->have = lt_arena_alloc(arena, all->n * sizeof(*req->have));
	for (i = 0; i < all->n; i++) {
		Ltpb__FeedHead *h = lt_arena_alloc(arena, sizeof(*h));
		struct lt_changeset *cs = lt_arena_alloc(arena, sizeof(*cs));
		bool last = i == all->n - 1;

		assert_int_equal(
		    lt_changeset_parse(lt_buf_slice(&all->item[i]), arena, cs, NULL), LT_OK);
		ltpb__feed_head__init(h);
		h->unit = cs->unit.s;
		h->feed.data = cs->feed.b;
		h->feed.len = LT_FEED_LEN;
		h->seq = last ? cs->seq - 1 : cs->seq;
		h->hash.data = last ? cs->prev.b : cs->hash.b;
		h->hash.len = LT_HASH_LEN;
		for (k = 0; k < req->n_have; k++)
			if (memcmp(req->have[k]->feed.data, h->feed.data, LT_FEED_LEN) == 0)
				break;
		req->have[k] = h;
		if (k == req->n_have)
			req->n_have++;
	}
}

static int
dial_impatient(struct transit *t)
{
	struct lt_dial_options o = { .pool = t->p.pool,
		.clock = lt_clock_system(),
		.line_sk = t->p.peer.id.line_sk,
		.remote_line_key = t->p.peer.id.hub_line_key,
		.federation = t->p.peer.id.federation.b,
		.idle_ms = PULL_IDLE_MS };
	struct lt_err err = { "" };
	char url[64];

	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", t->proxy_port);
	o.url = url;
	return lt_dial(&o, &t->p.peer.conn, &err);
}

static void
one_bad_bit_down(struct transit *t, uint64_t bit, Ltpb__PullRequest *req, struct pulled *one)
{
	proxy_flip(t->proxy, PROXY_FROM_HUB, bit, false);
	if (dial_impatient(t) == LT_OK) {
		pull(t, req, one);
		if (one->false_one)
			fail_msg(
			    "bit %llu: another change-set was handed up", (unsigned long long)bit);
		/* All of it may have come before the bit did. */
		if (proxy_flipped(t->proxy) && one->n == 0)
			assert_false(one->ok);
		if (proxy_flipped(t->proxy))
			fed_wait(conn_dead, t->p.peer.conn, WAIT_MS, "the connection ends");
		fed_hang_up(&t->p.peer);
	}
}

static void
test_line_down(void **state)
{
	struct transit *t = calloc(1, sizeof(*t));
	struct pulled *all = calloc(1, sizeof(*all)), *one = calloc(1, sizeof(*one));
	Ltpb__PullRequest req = LTPB__PULL_REQUEST__INIT;
	struct lt_arena arena;
	uint64_t bits, bit, flipped = 0, head;
	size_t i;

	(void)state;
	assert_non_null(t);
	assert_non_null(all);
	assert_non_null(one);
	setup(t);
	lt_arena_init(&arena, (size_t)256 << 20);
	(void)pthread_mutex_init(&all->mx, NULL);
	(void)pthread_mutex_init(&one->mx, NULL);
	head = log_head(t);
	seal_next(t, true);
	(void)clean_push(t);
	(void)wait_judged(t, head + 2);
	last_item_only(t, all, &req, &arena);
	one->genuine = &all->item[all->n - 1];
	connect_peer(t, t->proxy_port);
	pull(t, &req, one);
	assert_true(one->ok);
	assert_int_equal(one->n, 1);
	assert_false(one->false_one);
	bits = proxy_bytes(t->proxy, PROXY_FROM_HUB) * 8;
	fed_hang_up(&t->p.peer);
	for (bit = 0; bit < bits; bit += step()) {
		one_bad_bit_down(t, bit, &req, one);
		flipped += proxy_flipped(t->proxy);
	}
	proxy_clean(t->proxy);
	connect_peer(t, t->proxy_port);
	pull(t, &req, one);
	assert_true(one->ok);
	assert_int_equal(one->n, 1);
	print_message("%llu bits flipped on the way down\n", (unsigned long long)flipped);
	assert_true(flipped > bits / step() / 2);
	for (i = 0; i < all->n; i++)
		lt_buf_fini(&all->item[i]);
	lt_arena_fini(&arena);
	teardown(t);
	free(all);
	free(one);
	free(t);
}

/* ---- the message ---- */

/* Is it the same change-set, whatever stands around it? */
static bool
same_content(const struct lt_buf *a, const struct lt_buf *b)
{
	struct lt_changeset x, y;
	struct lt_arena arena;
	struct lt_buf sx = { 0 }, sy = { 0 };
	size_t i;
	bool same;

	lt_arena_init(&arena, (size_t)16 << 20);
	same = lt_changeset_parse(lt_buf_slice(a), &arena, &x, NULL) == LT_OK &&
	       lt_changeset_parse(lt_buf_slice(b), &arena, &y, NULL) == LT_OK &&
	       lt_changeset_strip(&x, &sx) == LT_OK && lt_changeset_strip(&y, &sy) == LT_OK &&
	       lt_slice_eq(lt_buf_slice(&sx), lt_buf_slice(&sy)) && x.nopening == y.nopening;
	for (i = 0; same && i < x.nopening; i++)
		same = lt_slice_eq(x.opening[i].field_set, y.opening[i].field_set) &&
		       lt_hash_eq(&x.opening[i].leaf, &y.opening[i].leaf);
	lt_buf_fini(&sx);
	lt_buf_fini(&sy);
	lt_arena_fini(&arena);
	return same;
}

static bool
defined_refusal(int code)
{
	return code == LT_STATUS_INVALID_ARGUMENT || code == LT_STATUS_PERMISSION_DENIED ||
	       code == LT_STATUS_UNAUTHENTICATED || code == LT_STATUS_FAILED_PRECONDITION ||
	       code == LT_STATUS_DATA_LOSS || code == LT_STATUS_OUT_OF_RANGE ||
	       code == LT_STATUS_UNAVAILABLE || code == LT_STATUS_RESOURCE_EXHAUSTED ||
	       code == LT_STATUS_ABORTED;
}

/* Each bit of the sealed message. Returns how many the hub took, which are all true. */
static unsigned
flip_message(struct transit *t, uint64_t head)
{
	unsigned taken = 0, by_code[17] = { 0 }, i;
	struct lt_status st;
	struct lt_buf bad;
	size_t bit;
	int code;

	lt_buf_init(&bad, LT_MESSAGE_MAX);
	for (bit = 0; bit < t->cs.len * 8; bit += step()) {
		lt_buf_clear(&bad);
		lt_buf_put_slice(&bad, lt_buf_slice(&t->cs));
		bad.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		code = push(t, &bad, 20000, &st);
		if (!lt_conn_alive(t->p.peer.conn))
			fail_msg("bit %zu: the session ended", bit);
		by_code[code]++;
		if (code == LT_STATUS_OK) {
			if (!same_content(&bad, &t->cs))
				fail_msg("bit %zu: taken, and not what was signed", bit);
			taken++;
		} else if (!defined_refusal(code)) {
			fail_msg("bit %zu: %s %s", bit, lt_status_name(code), st.message);
		} else if (taken == 0 && bit % 8 == 0) {
			assert_true(log_head(t) == head);
		}
	}
	for (i = 0; i < 17; i++)
		if (by_code[i] != 0)
			print_message("  %u times %s\n", by_code[i], lt_status_name((int)i));
	lt_buf_fini(&bad);
	return taken;
}

static void
test_message(void **state)
{
	struct transit *t = calloc(1, sizeof(*t));
	struct lt_status st;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_kv_txn *txn;
	struct stores s;
	uint64_t head, before;
	unsigned taken;

	(void)state;
	assert_non_null(t);
	setup(t);
	before = log_head(t);
	seal_next(t, true);
	(void)clean_push(t);
	before = wait_judged(t, before + 2);
	/* A whole dossier: clear and personal fields, openings with a seed. Before it is there, and when it is. */
	connect_peer(t, 0);
	seal_next(t, true);
	taken = flip_message(t, before);
	if (taken == 0)
		assert_true(log_head(t) == before);
	assert_int_equal(push(t, &t->cs, 20000, &st), LT_STATUS_OK);
	head = wait_judged(t, before + 2);
	assert_true(head == before + 2);
	(void)flip_message(t, head);
	assert_true(log_head(t) == head);
	fed_hang_up(&t->p.peer);
	lt_conn_close(t->admin);
	t->admin = NULL;
	(void)daemon_stop(&t->p.hub);
	/* What lies there is what was signed, and no damaged copy was kept as evidence of a fork. */
	daemon_start(&t->p.node, NULL); /* so that it has a store to open */
	lt_conn_close(daemon_dial_wait(&t->p.node, t->p.pool, START_MS));
	(void)daemon_stop(&t->p.node);
	stores_open(&s, &t->p, true);
	(void)verify_feeds(s.log, &t->p, true);
	assert_int_equal(lt_kv_begin_read(s.log, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	if (lt_kv_seek(c, lt_slice_str("fork/"), &k, &v) == LT_OK)
		assert_false(k.len > 5 && memcmp(k.data, "fork/", 5) == 0);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	stores_close(&s);
	teardown(t);
	free(t);
}

/* ---- the daemons ---- */

static void
put_one(struct transit *t, struct lt_conn *c)
{
	ProtobufCMessage *reply = NULL;
	struct dossier_put d;
	struct lt_status st;

	dossier_put_init(&d, ++t->number, true, "QD-1");
	if (lt_conn_call_wait(c, &ltpb__records__descriptor, "Put", &d.req.base, 10000, &reply,
		&st) != LT_STATUS_OK)
		fail_msg("put: %s", st.message);
	province_free(reply);
}

static void
test_daemons(void **state)
{
	struct transit *t = calloc(1, sizeof(*t));
	struct lt_conn *c;
	struct stores s;
	unsigned i, flipped = 0;

	(void)state;
	assert_non_null(t);
	setup(t);
	daemon_start(&t->p.node, NULL);
	c = daemon_dial_wait(&t->p.node, t->p.pool, START_MS);
	province_wait_catalogue(c);
	province_settle(&t->p, WAIT_MS);
	for (i = 0; i < BAD_LINES; i++) {
		proxy_flip(t->proxy, i % 2 == 0 ? PROXY_TO_HUB : PROXY_FROM_HUB,
		    randombytes_uniform(1000 * 8), true);
		while (!proxy_flipped(t->proxy)) {
			put_one(t, c);
			province_settle(&t->p, RECOVER_MS);
		}
		flipped++;
	}
	lt_conn_close(c);
	(void)daemon_stop(&t->p.node);
	lt_conn_close(t->admin);
	t->admin = NULL;
	(void)daemon_stop(&t->p.hub);
	stores_open(&s, &t->p, true);
	assert_true(verify_feeds(s.log, &t->p, true) == verify_feeds(s.node, &t->p, false));
	(void)verify_same_rows(&s);
	verify_receipts(&s, &t->p);
	stores_close(&s);
	print_message("%u damaged lines, %u dossiers arrived\n", flipped, t->number);
	teardown(t);
	free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_line_up),
		cmocka_unit_test(test_line_down),
		cmocka_unit_test(test_daemons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
