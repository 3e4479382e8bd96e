/* Damage in what a hub keeps of two branches of a feed, or right behind it, stops neither its start nor anybody's verdicts. */
#include "tests/hub/hub_fixture.h"
#include "hub/hub_impl.h"
#include "proto/feed/trust.h"
#include "proto/service/forks.h"
#include "proto/store/author.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv_test.h"
#include "proto/store/ruling.h"

#include <stdio.h>
#include <string.h>

struct fix {
	struct hubfx h;
	struct fed_peer node;
	struct fed_feed feed, other; /* the second branch goes on where the first did */
	unsigned n; /* dossiers written */
	uint64_t want; /* judged up to here */
};

static int
push(struct fix *x, struct fed_feed *w)
{
	struct lt_draft d = { 0 };
	struct answer a = { 0 };
	struct lt_buf b;
	char key[32];

	(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", ++x->n);
	fed_draft_dossier(&x->h.arena, &d, key);
	lt_buf_init(&b, LT_MESSAGE_MAX);
	fed_seal(&x->h.f, w, &d, 1, &b);
	hubfx_intake(&x->h, &x->node.id.principal, &b, 1, &a);
	lt_buf_fini(&b);
	return a.rc;
}

struct count {
	struct fix *x;
	size_t want, n;
};

static int
count_one(void *ctx, const struct lt_ruling *r)
{
	(void)r;
	((struct count *)ctx)->n++;
	return LT_OK;
}

static bool
ruled(void *ctx)
{
	struct count *c = ctx;
	struct lt_kv_txn *txn;

	c->n = 0;
	assert_int_equal(lt_kv_begin_read(lt_hub_log(c->x->h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_ruling_each(txn, NULL, count_one, c), LT_OK);
	lt_kv_abort(txn);
	return c->n == c->want;
}

/* A verdict stands for all that the feed has. */
static bool
has_verdicts(void *ctx)
{
	struct fix *x = ctx;
	struct lt_kv_txn *txn;
	char name[160], hex[2 * LT_FEED_LEN + 1];
	uint64_t covered;

	lt_hex(hex, x->feed.id.b, LT_FEED_LEN);
	(void)snprintf(name, sizeof(name), "verdicted/%s/%s", HUB_UNIT, hex);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(x->h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_local_get_u64(txn, name, &covered), LT_OK);
	lt_kv_abort(txn);
	return covered == x->feed.seq;
}

/* The first row of the prefix; key in `name`. */
static void
first_row(struct fix *x, const char *prefix, char name[256])
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(x->h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	assert_int_equal(lt_kv_seek_in(c, lt_slice_str(prefix), &k, &v), LT_OK);
	assert_true(k.len < 256);
	memcpy(name, k.data, k.len);
	name[k.len] = '\0';
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
}

static void
flip(struct fix *x, const char *name)
{
	assert_int_equal(
	    lt_kv_test_flip(lt_hub_log(x->h.f.hub), LT_T_LOCAL, lt_slice_str(name), 3, NULL),
	    LT_OK);
}

static void
put_row(struct fix *x, const char *name)
{
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_write(lt_hub_log(x->h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_local_put(txn, name, lt_slice_str("damaged soon")), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

/* Two of one branch, one of another under the number of the second, a ruling. */
static void
begin(struct fix *x)
{
	struct count c = { .x = x, .want = 1 };

	memset(x, 0, sizeof(*x));
	hubfx_open(&x->h);
	hubfx_node(&x->h, &x->node, HUB_UNIT);
	fed_feed_init(&x->feed, &x->node, HUB_UNIT, LT_LANE_URGENT, 7);
	assert_int_equal(push(x, &x->feed), LT_OK);
	x->other = x->feed;
	assert_int_equal(push(x, &x->feed), LT_OK);
	assert_int_equal(push(x, &x->other), LT_E_FORK);
	fed_wait(ruled, &c, HUB_WAIT_MS, "a ruling");
	hubfx_settle(&x->h);
}

/* It takes change-sets, judges them, and knows the second branch when it sees it. */
static void
works(struct fix *x)
{
	assert_int_equal(push(x, &x->feed), LT_OK);
	fed_wait(has_verdicts, x, HUB_WAIT_MS, "verdicts");
	assert_int_equal(push(x, &x->other), LT_E_FORK);
	hubfx_settle(&x->h);
}

static void
one_row_damaged(const char *prefix, const char *behind)
{
	char name[256];
	struct fix x;

	begin(&x);
	if (behind != NULL) {
		put_row(&x, behind);
		flip(&x, behind);
	} else {
		first_row(&x, prefix, name);
		flip(&x, name);
	}
	works(&x); /* as it runs */
	hubfx_restart(&x.h);
	works(&x);
	hubfx_close(&x.h);
}

static void
test_evidence(void **state)
{
	(void)state;
	one_row_damaged("fork/", NULL);
}

static void
test_behind_evidence(void **state)
{
	(void)state;
	one_row_damaged(NULL, "fork0");
}

static void
test_ruling(void **state)
{
	(void)state;
	one_row_damaged("ruling/", NULL);
}

static void
test_behind_rulings(void **state)
{
	(void)state;
	one_row_damaged(NULL, "ruling0");
}

static void
test_behind_settled(void **state)
{
	(void)state;
	one_row_damaged(NULL, "settled0");
}

static void
test_behind_told(void **state)
{
	(void)state;
	one_row_damaged(NULL, "told0");
}

/* Two rulings, the first damaged: the second is still found, and evidence that comes again is whole again. */
static void
test_passed_over(void **state)
{
	struct count c;
	struct fed_feed third;
	char name[256];
	struct fix x;
	uint64_t n;
	struct lt_kv_txn *txn;

	(void)state;
	begin(&x);
	c = (struct count){ .x = &x, .want = 2 };
	third = x.feed;
	assert_int_equal(push(&x, &x.feed), LT_OK);
	assert_int_equal(push(&x, &third), LT_E_FORK);
	fed_wait(ruled, &c, HUB_WAIT_MS, "two rulings");
	first_row(&x, "ruling/", name);
	flip(&x, name);
	c.want = 1;
	assert_true(ruled(&c));
	first_row(&x, "fork/", name);
	flip(&x, name);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(x.h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_hub_forks(txn, NULL, NULL, &n), LT_OK);
	assert_int_equal(n, 1);
	lt_kv_abort(txn);
	hubfx_close(&x.h);
}

static int
take_one(void *ctx, const struct lt_ruling *r)
{
	*(struct lt_ruling *)ctx = *r;
	return LT_OK;
}

/* Evidence from further along a branch: the ruling names the last number under which it shows two hashes. */
static void
test_further_along(void **state)
{
	struct count c;
	struct lt_draft d = { 0 };
	struct lt_err err = { "" };
	struct lt_ruling r;
	struct lt_buf b;
	struct lt_kv_txn *txn;
	struct lt_changeset cs;
	struct fix x;
	unsigned i;

	(void)state;
	memset(&x, 0, sizeof(x));
	c = (struct count){ .x = &x, .want = 1 };
	hubfx_open(&x.h);
	hubfx_node(&x.h, &x.node, HUB_UNIT);
	fed_feed_init(&x.feed, &x.node, HUB_UNIT, LT_LANE_URGENT, 7);
	assert_int_equal(push(&x, &x.feed), LT_OK);
	x.other = x.feed;
	for (i = 0; i < 3; i++)
		assert_int_equal(push(&x, &x.feed), LT_OK);
	lt_buf_init(&b, LT_MESSAGE_MAX);
	fed_draft_dossier(&x.h.arena, &d, "H41.65-261120-0099");
	for (i = 0; i < 3; i++) {
		lt_buf_clear(&b);
		fed_seal(&x.h.f, &x.other, &d, 1, &b);
	}
	assert_int_equal(lt_changeset_parse(lt_buf_slice(&b), &x.h.arena, &cs, NULL), LT_OK);
	assert_int_equal(cs.seq, 4);
	assert_int_equal(
	    lt_hub_evidence(x.h.f.hub, &x.node.id.principal, lt_buf_slice(&b), &err), LT_OK);
	fed_wait(ruled, &c, HUB_WAIT_MS, "a ruling");
	assert_int_equal(lt_kv_begin_read(lt_hub_log(x.h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_ruling_each(txn, NULL, take_one, &r), LT_OK);
	lt_kv_abort(txn);
	assert_int_equal(r.seq, 3);
	assert_true(lt_hash_eq(&r.other, &cs.prev));
	lt_buf_fini(&b);
	hubfx_close(&x.h);
}

/* ---- what waits for more of a branch that does not count ---- */

struct naming {
	struct fix x;
	struct fed_peer other; /* another node of the commune */
	struct fed_feed on; /* the epoch in which the node goes on */
	struct lt_unit unit;
};

/* A dossier by this author in a feed of its own, which names a number of x.feed and what stands there on the branch that does not count. */
static void
push_naming(struct naming *n, struct fed_peer *by, struct fed_feed *w, uint64_t seq)
{
	struct lt_context c = { .feed = n->x.feed.id, .seq = seq };
	struct fed_feed branch = n->x.other;
	struct lt_draft d = { 0 };
	struct answer a = { 0 };
	struct lt_buf b;

	lt_buf_init(&b, LT_MESSAGE_MAX);
	fed_draft_dossier(&n->x.h.arena, &d, "H41.65-261120-0777");
	while (branch.seq < seq) {
		lt_buf_clear(&b);
		fed_seal(&n->x.h.f, &branch, &d, 1, &b);
	}
	lt_buf_clear(&b);
	c.hash8 = lt_load_u64(branch.hash.b);
	d.context = &c;
	d.ncontext = 1;
	fed_seal(&n->x.h.f, w, &d, 1, &b);
	hubfx_intake(&n->x.h, &by->id.principal, &b, 1, &a);
	assert_int_equal(a.rc, LT_OK);
	lt_buf_fini(&b);
}

static void
announce(struct naming *n, const struct fed_peer *by, const char *unit, uint64_t seq,
    struct lt_hash hash)
{
	Ltpb__FeedHead h = LTPB__FEED_HEAD__INIT, *head = &h;
	struct lt_unit u;

	assert_int_equal(lt_unit_set(&u, lt_slice_str(unit)), LT_OK);
	h.unit = (char *)(uintptr_t)unit;
	h.feed.data = n->x.feed.id.b;
	h.feed.len = LT_FEED_LEN;
	h.seq = seq;
	h.hash.data = hash.b;
	h.hash.len = LT_HASH_LEN;
	lt_hub_end_waits(n->x.h.f.hub, &by->id.principal, &u, 1, &head);
	lt_hub_answer_all(n->x.h.f.hub); /* jobs end in order */
}

static void
judged(struct naming *n, const struct fed_feed *w, size_t nheld, size_t nrefused)
{
	struct lt_judgement j;
	struct lt_kv_txn *txn;
	uint64_t position;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(n->x.h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_find(txn, &n->unit, &w->id, 1, &position), LT_OK);
	assert_int_equal(lt_feed_log_judgement(txn, position, &n->x.h.arena, &j), LT_OK);
	lt_kv_abort(txn);
	assert_int_equal(j.nheld, nheld);
	assert_int_equal(j.nrefused, nrefused);
	if (nrefused != 0)
		assert_int_equal(j.refused[0]->reason, LTPB__REASON_CODE__REASON_BAD_CONTEXT);
}

static void
begin_naming(struct naming *n)
{
	memset(n, 0, sizeof(*n));
	begin(&n->x);
	hubfx_node(&n->x.h, &n->other, HUB_UNIT);
	assert_int_equal(lt_unit_set(&n->unit, lt_slice_str(HUB_UNIT)), LT_OK);
	fed_feed_init(&n->on, &n->x.node, HUB_UNIT, LT_LANE_NORMAL, 8);
}

/* No settling verdict is owed: it is written. */
static bool
nothing_owed(void *ctx)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_kv_txn *txn;
	int rc;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(((struct fix *)ctx)->h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	rc = lt_kv_seek_in(c, lt_slice_str("settled/"), &k, &v);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return rc == LT_E_NOTFOUND;
}

/* The machine has the branch that counts, and no more of it than is here: what names more of the feed named the other one. */
static void
test_named_other(void **state)
{
	struct naming n;
	bool waits = true;
	struct lt_kv_txn *txn;

	(void)state;
	begin_naming(&n);
	push_naming(&n, &n.x.node, &n.on, 4);
	judged(&n, &n.on, 1, 0);
	/* Its own branch still; one that is longer; somebody else; another commune. */
	announce(&n, &n.x.node, HUB_UNIT, 2, n.x.other.hash);
	announce(&n, &n.x.node, HUB_UNIT, 3, n.x.feed.hash);
	announce(&n, &n.x.node, HUB_UNIT, 1, n.x.feed.hash);
	announce(&n, &n.other, HUB_UNIT, 2, n.x.feed.hash);
	announce(&n, &n.x.node, "_", 2, n.x.feed.hash);
	judged(&n, &n.on, 1, 0);
	announce(&n, &n.x.node, HUB_UNIT, 2, n.x.feed.hash);
	judged(&n, &n.on, 0, 1);
	fed_wait(nothing_owed, &n.x, HUB_WAIT_MS, "a settling verdict");
	assert_int_equal(lt_kv_begin_read(lt_hub_log(n.x.h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_held_waits(txn, &n.unit, &n.x.feed.id, &waits), LT_OK);
	lt_kv_abort(txn);
	assert_false(waits);
	/* And again: nothing is left to refuse. */
	announce(&n, &n.x.node, HUB_UNIT, 2, n.x.feed.hash);
	judged(&n, &n.on, 0, 1);
	hubfx_close(&n.x.h);
}

/* What another node of the commune wrote has its own machine to speak for it, and waits on behind that. */
static void
test_named_by_another(void **state)
{
	struct fed_feed theirs;
	struct naming n;
	bool waits = false;
	struct lt_kv_txn *txn;

	(void)state;
	begin_naming(&n);
	fed_feed_init(&theirs, &n.other, HUB_UNIT, LT_LANE_NORMAL, 9);
	push_naming(&n, &n.other, &theirs, 4);
	push_naming(&n, &n.x.node, &n.on, 5);
	announce(&n, &n.x.node, HUB_UNIT, 2, n.x.feed.hash);
	judged(&n, &theirs, 1, 0);
	judged(&n, &n.on, 0, 1);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(n.x.h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_held_waits(txn, &n.unit, &n.x.feed.id, &waits), LT_OK);
	lt_kv_abort(txn);
	assert_true(waits);
	hubfx_close(&n.x.h);
}

/* Without a ruling a dot that comes before what it names is just that. */
static void
test_named_early(void **state)
{
	struct naming n;

	(void)state;
	memset(&n, 0, sizeof(n));
	hubfx_open(&n.x.h);
	hubfx_node(&n.x.h, &n.x.node, HUB_UNIT);
	assert_int_equal(lt_unit_set(&n.unit, lt_slice_str(HUB_UNIT)), LT_OK);
	fed_feed_init(&n.x.feed, &n.x.node, HUB_UNIT, LT_LANE_URGENT, 7);
	fed_feed_init(&n.on, &n.x.node, HUB_UNIT, LT_LANE_NORMAL, 8);
	assert_int_equal(push(&n.x, &n.x.feed), LT_OK);
	n.x.other = n.x.feed;
	push_naming(&n, &n.x.node, &n.on, 2);
	announce(&n, &n.x.node, HUB_UNIT, 1, n.x.feed.hash);
	judged(&n, &n.on, 1, 0);
	hubfx_close(&n.x.h);
}

static int
evidence(void *ctx, struct lt_kv_txn *log, const struct lt_unit *unit,
    int (*fn)(void *ctx, const struct lt_changeset *cs), void *fn_ctx)
{
	(void)ctx;
	return lt_forks_evidence(log, unit, fn, fn_ctx);
}

/* A ruling is proven by the key that signed it, whatever key the hub has by then. */
static void
test_key_of_before(void **state)
{
	static const struct lt_forks_from from = { evidence, NULL };
	Ltpb__ListForksRequest q = LTPB__LIST_FORKS_REQUEST__INIT;
	Ltpb__ListForksReply r = LTPB__LIST_FORKS_REPLY__INIT;
	Ltpb__CertificateBody *body;
	struct lt_err err = { "" };
	struct lt_registry *reg;
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_slice cert;
	struct fix x;

	(void)state;
	begin(&x);
	fed_hub_stop(&x.h.f);
	fed_hub_rekey(&x.h.f);
	fed_hub_start(&x.h.f);
	works(&x);
	reg = lt_hub_registry(x.h.f.hub);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(x.h.f.hub), &txn), LT_OK);
	q.evidence = true;
	assert_int_equal(lt_forks_list(txn, &q, reg, NULL, &from, &x.h.arena, &r, &err), LT_OK);
	assert_int_equal(r.n_fork, 1);
	assert_int_equal(r.fork[0]->hub_key_no, 1);
	assert_int_equal(x.h.f.hub_id->key_no, 2);
	cert = lt_slice(r.fork[0]->certificate.data, r.fork[0]->certificate.len);
	assert_int_equal(lt_certificate_verify(cert, x.h.f.hub_id->root_key,
			     &x.h.f.hub_id->federation, &x.h.arena, &body, &err),
	    LT_OK);
	assert_int_equal(body->key_no, 1);
	assert_int_equal(lt_changeset_parse(lt_slice(r.fork[0]->ruling.data, r.fork[0]->ruling.len),
			     &x.h.arena, &cs, NULL),
	    LT_OK);
	assert_int_equal(lt_changeset_verify_signature(&cs, body->sign_key.data), LT_OK);
	lt_kv_abort(txn);
	lt_registry_unref(reg);
	hubfx_close(&x.h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evidence),
		cmocka_unit_test(test_behind_evidence),
		cmocka_unit_test(test_ruling),
		cmocka_unit_test(test_behind_rulings),
		cmocka_unit_test(test_behind_settled),
		cmocka_unit_test(test_behind_told),
		cmocka_unit_test(test_passed_over),
		cmocka_unit_test(test_further_along),
		cmocka_unit_test(test_named_other),
		cmocka_unit_test(test_named_by_another),
		cmocka_unit_test(test_named_early),
		cmocka_unit_test(test_key_of_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
