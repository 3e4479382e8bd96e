/* Checkpoints in a store: what is read out of a log, what stands against one there, and rows as the second implementation makes them. */
#include "tests/lib/golden.h"
#include "world.h"

#include "proto/store/author.h"
#include "proto/store/checkpoints.h"

#include <string.h>

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author hub, other;
	struct lt_kv_txn *txn;
	uint64_t stamp;
	bool full;
};

static int
setup(void **state)
{
	static struct fix fix;
	struct fix *f = &fix;

	memset(f, 0, sizeof(*f));
	env_open(&f->env, false);
	lt_arena_init(&f->arena, (size_t)64 << 20);
	author_init(&f->hub, 1);
	author_init(&f->other, 2);
	ok(lt_kv_begin_write(f->env.kv, &f->txn));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_kv_abort(f->txn);
	env_close(&f->env);
	lt_arena_fini(&f->arena);
	return 0;
}

/* One more change-set of the feed, in this log. */
static struct lt_hash
write_one(struct fix *f, struct feed *feed, const char *key)
{
	struct lt_draft d = world_draft(&f->arena, "thing", key, NULL);
	struct lt_changeset cs;
	struct lt_buf b = { 0 };
	uint64_t position;

	feed_seal(feed, ++f->stamp << 16, &d, 1, &b);
	world_append(f->txn, lt_slice(lt_arena_dup(&f->arena, b.data, b.len), b.len), &f->arena,
	    &cs, &position);
	lt_buf_fini(&b);
	return cs.hash;
}

static void
heads_of_the_hub_in_the_federation(void **state)
{
	struct fix *f = *state;
	struct feed a, b, foreign, elsewhere;
	struct lt_checkpoint c = { 0 };
	struct lt_entry last;
	struct lt_hash h;

	ok(lt_checkpoint_read_log(f->txn, &f->hub.id, &c));
	assert_int_equal(c.nhead, 0);
	feed_init(&a, &f->hub, "_", LT_LANE_NORMAL, 9);
	feed_init(&b, &f->hub, "_", LT_LANE_URGENT, 20);
	feed_init(&foreign, &f->other, "_", LT_LANE_NORMAL, 9);
	feed_init(&elsewhere, &f->hub, WORLD_UNIT, LT_LANE_NORMAL, 9);
	write_one(f, &a, "1");
	write_one(f, &b, "1");
	h = write_one(f, &a, "2");
	write_one(f, &foreign, "1");
	write_one(f, &elsewhere, "1");
	ok(lt_checkpoint_read_log(f->txn, &f->hub.id, &c));
	assert_int_equal(c.nhead, 2);
	assert_int_equal(lt_feed_id_cmp(&c.head[0].feed, &b.id), 0); /* urgent is before normal */
	assert_int_equal(lt_feed_id_cmp(&c.head[1].feed, &a.id), 0);
	assert_int_equal(c.head[1].seq, 2);
	assert_true(lt_hash_eq(&c.head[1].hash, &h));
	assert_int_equal(c.position, 5);
	ok(lt_feed_log_read(f->txn, 5, &last));
	assert_true(lt_hash_eq(&c.running, &last.running));
}

/* More epochs than have room: those written last. */
static void
the_newest_heads_have_room(void **state)
{
	struct fix *f = *state;
	struct feed first, v[LT_CHECKPOINT_HEADS_MAX];
	struct lt_checkpoint c = { 0 };
	size_t i;

	feed_init(&first, &f->hub, "_", LT_LANE_NORMAL, 1);
	write_one(f, &first, "0");
	for (i = 0; i < LT_CHECKPOINT_HEADS_MAX; i++) {
		feed_init(&v[i], &f->hub, "_", LT_LANE_NORMAL, 1000 - i);
		write_one(f, &v[i], "1");
	}
	ok(lt_checkpoint_read_log(f->txn, &f->hub.id, &c));
	assert_int_equal(c.nhead, LT_CHECKPOINT_HEADS_MAX);
	assert_null(lt_checkpoint_find(&c, &first.id));
	assert_non_null(lt_checkpoint_find(&c, &v[0].id));
	write_one(f, &first, "2");
	ok(lt_checkpoint_read_log(f->txn, &f->hub.id, &c));
	assert_non_null(lt_checkpoint_find(&c, &first.id));
	assert_null(lt_checkpoint_find(&c, &v[0].id));
	assert_non_null(lt_checkpoint_find(&c, &v[1].id));
}

static enum lt_checkpoint_fit
weigh(struct fix *f, const struct lt_checkpoint *c, size_t *at)
{
	enum lt_checkpoint_fit fit;

	ok(lt_checkpoint_weigh(f->txn, c, &fit, at));
	return fit;
}

static void
against_the_log(void **state)
{
	struct fix *f = *state;
	struct lt_checkpoint c = { 0 }, old;
	struct feed a, b;
	size_t at = 99;

	feed_init(&a, &f->hub, "_", LT_LANE_NORMAL, 9);
	feed_init(&b, &f->hub, "_", LT_LANE_NORMAL, 10);
	write_one(f, &a, "1");
	write_one(f, &b, "1");
	ok(lt_checkpoint_read_log(f->txn, &f->hub.id, &old));
	write_one(f, &b, "2");
	ok(lt_checkpoint_read_log(f->txn, &f->hub.id, &c));
	assert_int_equal(weigh(f, &c, &at), LT_CHECKPOINT_FITS);
	assert_int_equal(weigh(f, &old, &at), LT_CHECKPOINT_FITS); /* shorter than the log */
	c.head[1].seq++;
	assert_int_equal(weigh(f, &c, &at), LT_CHECKPOINT_AHEAD);
	c.head[0].hash.b[3] ^= 1; /* another one, and beside it one that is not here yet */
	assert_int_equal(weigh(f, &c, &at), LT_CHECKPOINT_OTHER);
	assert_int_equal(at, 0);
	old.head[1].hash.b[0] ^= 1; /* under a number behind which the log goes on */
	assert_int_equal(weigh(f, &old, &at), LT_CHECKPOINT_OTHER);
	assert_int_equal(at, 1);
	old.head[1].feed = lt_feed_id_make(f->hub.id, LT_LANE_BULK, 1);
	assert_int_equal(weigh(f, &old, &at), LT_CHECKPOINT_AHEAD);
}

/* ---- rows ---- */

struct seen {
	unsigned n;
	struct lt_cosigned last;
	struct lt_equivocation q;
};

static int
note_cosigned(void *ctx, const struct lt_cosigned *c)
{
	struct seen *s = ctx;

	s->n++;
	s->last = *c;
	return LT_OK;
}

static int
note_equivocation(void *ctx, const struct lt_equivocation *q)
{
	struct seen *s = ctx;

	s->n++;
	s->q = *q;
	return LT_OK;
}

static void
row_is(struct fix *f, const char *name, struct lt_slice want)
{
	struct lt_slice v;

	ok(lt_local_get(f->txn, name, &v));
	golden_same(name, want, v);
}

static void
rows_are_those_of_the_second_implementation(void **state)
{
	const json_t *g = golden("checkpoint"), *rows = golden_in(g, "rows"), *v;
	struct lt_checkpoint_signed one = { golden_bytes(g, "body"), golden_bytes(g, "signature") };
	struct lt_cosigned c = { .seen_ms = golden_number(g, "seen_ms"),
		.checkpoint = one,
		.key_no = 258,
		.cosignature = golden_bytes(g, "cosignature") };
	struct lt_checkpoint_signed back;
	struct seen s = { 0 };
	struct fix *f = *state;
	const char *name;

	assert_int_equal(lt_checkpoint_get(f->txn, &back), LT_E_NOTFOUND);
	ok(lt_checkpoint_put(f->txn, &one));
	memcpy(c.principal.b, golden_bytes(g, "principal").data, LT_ID_LEN);
	assert_int_equal(lt_cosigned_get(f->txn, &c.principal, &s.last), LT_E_NOTFOUND);
	ok(lt_cosigned_put(f->txn, &c));
	json_object_foreach((json_t *)rows, name, v) row_is(f, name, golden_hex(v));
	ok(lt_checkpoint_get(f->txn, &back));
	assert_true(lt_slice_eq(back.body, one.body));
	ok(lt_cosigned_each(f->txn, note_cosigned, &s));
	assert_int_equal(s.n, 1);
	assert_true(lt_id_eq(&s.last.principal, &c.principal));
	assert_int_equal(s.last.seen_ms, c.seen_ms);
	assert_int_equal(s.last.key_no, 258);
	assert_true(lt_slice_eq(s.last.cosignature, c.cosignature));
	/* One that is cut off is none, and in nobody's way. */
	ok(lt_local_put(f->txn, "cosigned/00", lt_slice("x", 1)));
	ok(lt_local_put(f->txn, "cosigned/00112233445566778899aabbccddeeff", lt_slice("\1x", 2)));
	ok(lt_cosigned_each(f->txn, note_cosigned, &s));
	assert_int_equal(s.n, 2);
}

static bool
all_but(void *ctx, const struct lt_id *principal)
{
	const struct lt_id *gone = ctx;

	return gone == NULL || !lt_id_eq(principal, gone);
}

static void
one_that_counts_gives_way_to_nobody(void **state)
{
	const json_t *g = golden("checkpoint");
	struct lt_cosigned c = { .checkpoint = { golden_bytes(g, "body"),
				     golden_bytes(g, "signature") },
		.cosignature = golden_bytes(g, "cosignature") };
	struct fix *f = *state;
	struct seen s = { 0 };
	struct lt_id gone, who;
	bool full = true;
	unsigned i;

	for (i = 0; i < LT_COSIGNERS_MAX; i++) {
		lt_store_u32(c.principal.b, i);
		if (i == LT_COSIGNERS_MAX - 1) /* nobody has to go yet */
			ok(lt_cosigned_room(f->txn, all_but, &c.principal, &full, &who));
		ok(lt_cosigned_put(f->txn, &c));
	}
	assert_false(full);
	assert_int_equal(lt_cosigned_room(f->txn, all_but, NULL, &full, &who), LT_E_REFUSED);
	ok(lt_cosigned_each(f->txn, note_cosigned, &s));
	assert_int_equal(s.n, LT_COSIGNERS_MAX);
	gone = c.principal;
	lt_store_u32(gone.b, 77);
	ok(lt_cosigned_room(f->txn, all_but, &gone, &full, &who));
	assert_true(full);
	assert_true(lt_id_eq(&who, &gone));
	ok(lt_cosigned_drop(f->txn, &who));
	assert_int_equal(lt_cosigned_get(f->txn, &gone, &c), LT_E_NOTFOUND);
	s.n = 0;
	ok(lt_cosigned_each(f->txn, note_cosigned, &s));
	assert_int_equal(s.n, LT_COSIGNERS_MAX - 1);
	ok(lt_cosigned_drop(f->txn, &gone)); /* not there */
}

static int
count_promised(void *ctx, const struct lt_checkpoint_signed *c)
{
	(void)c;
	++*(unsigned *)ctx;
	return LT_OK;
}

static unsigned
promised(struct fix *f)
{
	unsigned n = 0;

	ok(lt_promised_each(f->txn, count_promised, &n));
	return n;
}

/* A checkpoint that says these heads. */
static int
promise(struct fix *f, const struct lt_checkpoint *c)
{
	static const uint8_t sig[LT_SIG_LEN];
	struct lt_checkpoint_signed s;
	struct lt_buf b = { 0 };
	int rc;

	ok(lt_checkpoint_pack(c, &b));
	s.body = lt_buf_slice(&b);
	s.signature = lt_slice(sig, sizeof(sig));
	rc = lt_promised_keep(f->txn, &s, &f->full);
	lt_buf_fini(&b);
	return rc;
}

static bool
has_promise(struct fix *f, const struct lt_checkpoint *c)
{
	char name[80] = "promised/";
	struct lt_buf b = { 0 };
	struct lt_hash hash;
	struct lt_slice v;
	int rc;

	ok(lt_checkpoint_pack(c, &b));
	lt_checkpoint_hash(lt_buf_slice(&b), &hash);
	lt_hex(name + strlen(name), hash.b, 16);
	rc = lt_local_get(f->txn, name, &v);
	lt_buf_fini(&b);
	return rc == LT_OK;
}

/* What is all here is no promise; the others stay until the last of what they say is here, as many as have room. */
static void
promises_stay_until_they_are_kept(void **state)
{
	const json_t *g = golden("checkpoint");
	struct lt_checkpoint_signed one = { golden_bytes(g, "body"), golden_bytes(g, "signature") };
	struct lt_checkpoint c = { .key_no = 1, .time_ms = 1 }, next, oldest = { .nhead = 0 };
	struct fix *f = *state;
	struct lt_slice cut = lt_slice("x", 1);
	struct feed a, b;
	unsigned i;

	ok(lt_promised_keep(f->txn, &one, &f->full));
	row_is(f, golden_text(g, "promised_name"), golden_bytes(g, "promised"));
	ok(lt_promised_keep(f->txn, &one, &f->full));
	assert_int_equal(promised(f), 1);
	one.signature.len--;
	assert_int_equal(lt_promised_keep(f->txn, &one, &f->full), LT_E_INVALID);
	ok(lt_local_put(f->txn, golden_text(g, "promised_name"), cut)); /* damaged: says nothing */
	assert_int_equal(promised(f), 0);
	ok(lt_promised_sweep(f->txn));
	assert_int_equal(
	    lt_local_get(f->txn, golden_text(g, "promised_name"), &cut), LT_E_NOTFOUND);

	feed_init(&a, &f->hub, "_", LT_LANE_NORMAL, 9);
	feed_init(&b, &f->hub, "_", LT_LANE_NORMAL, 10);
	write_one(f, &a, "1");
	write_one(f, &b, "1");
	ok(lt_checkpoint_read_log(f->txn, &f->hub.id, &c));
	ok(promise(f, &c));
	assert_int_equal(promised(f), 0); /* all of it is here */
	next = c;
	next.head[0].hash.b[0] ^= 1; /* another one stands here, which is told elsewhere; */
	next.head[1].seq++; /* and this is to come */
	ok(promise(f, &next));
	ok(lt_promised_sweep(f->txn));
	assert_int_equal(promised(f), 1);
	write_one(f, &b, "2");
	assert_int_equal(promised(f), 1);
	ok(lt_promised_sweep(f->txn));
	assert_int_equal(promised(f), 0);

	for (i = 0; i < LT_PROMISED_MAX; i++) {
		next.head[1].seq++;
		next.time_ms = 1000 + (i + 5) % LT_PROMISED_MAX;
		ok(promise(f, &next));
		assert_false(f->full);
		if (next.time_ms == 1000)
			oldest = next;
	}
	ok(promise(f, &next)); /* there already */
	assert_false(f->full);
	assert_true(has_promise(f, &oldest));
	next.head[1].seq++;
	ok(promise(f, &next));
	assert_true(f->full);
	assert_int_equal(promised(f), LT_PROMISED_MAX);
	assert_false(has_promise(f, &oldest));
	assert_true(has_promise(f, &next));
}

static void
evidence_is_kept_once_a_feed_and_bounded(void **state)
{
	const json_t *g = golden("checkpoint");
	struct lt_checkpoint_signed one = { golden_bytes(g, "body"), golden_bytes(g, "signature") };
	struct lt_equivocation q = { .seq = 70000, .found_ms = golden_number(g, "found_ms") };
	struct fix *f = *state;
	struct seen s = { 0 };
	uint64_t n;
	int i;

	memcpy(q.feed.b, golden_bytes(g, "feed").data, LT_FEED_LEN);
	q.one = one;
	assert_int_equal(lt_equivocation_put(f->txn, &q), LT_E_INVALID); /* half of it */
	q.other.body = golden_bytes(g, "other");
	q.other.signature = golden_bytes(g, "other_signature");
	ok(lt_equivocation_put(f->txn, &q));
	row_is(f, golden_text(g, "equivocation_name"), golden_bytes(g, "equivocation_two"));
	assert_int_equal(lt_equivocation_put(f->txn, &q), LT_E_EXISTS);
	assert_int_equal(
	    lt_kv_del(f->txn, LT_T_LOCAL, lt_slice_str(golden_text(g, "equivocation_name"))),
	    LT_OK);
	memset(&q.other, 0, sizeof(q.other));
	q.header = golden_bytes(g, "header");
	q.header_signature = golden_bytes(g, "header_signature");
	ok(lt_equivocation_put(f->txn, &q));
	row_is(f, golden_text(g, "equivocation_name"), golden_bytes(g, "equivocation_log"));
	ok(lt_kv_del(f->txn, LT_T_LOCAL, lt_slice_str(golden_text(g, "equivocation_name"))));
	q.came = golden_bytes(g, "came");
	q.came_signature = golden_bytes(g, "came_signature");
	assert_int_equal(lt_equivocation_put(f->txn, &q), LT_E_INVALID); /* a third half */
	memset(&q.one, 0, sizeof(q.one));
	ok(lt_equivocation_put(f->txn, &q));
	row_is(f, golden_text(g, "equivocation_name"), golden_bytes(g, "equivocation_came"));
	ok(lt_equivocation_each(f->txn, note_equivocation, &s));
	assert_int_equal(s.n, 1);
	assert_true(lt_slice_eq(s.q.came, q.came));
	assert_true(lt_slice_eq(s.q.header_signature, q.header_signature));
	assert_int_equal(s.q.one.body.len, 0);
	memset(&q.came, 0, sizeof(q.came));
	assert_int_equal(lt_equivocation_put(f->txn, &q), LT_E_INVALID);
	q.one = one;
	ok(lt_kv_del(f->txn, LT_T_LOCAL, lt_slice_str(golden_text(g, "equivocation_name"))));
	ok(lt_equivocation_put(f->txn, &q));
	s.n = 0;
	ok(lt_equivocation_each(f->txn, note_equivocation, &s));
	assert_int_equal(s.n, 1);
	assert_int_equal(s.q.other.body.len, 0);
	assert_true(lt_slice_eq(s.q.header, q.header));
	assert_int_equal(s.q.seq, 70000);
	for (i = 1; i < LT_EQUIVOCATIONS_MAX; i++) {
		q.feed.b[24] = (uint8_t)(100 + i);
		ok(lt_equivocation_put(f->txn, &q));
	}
	q.feed.b[24] = 99;
	assert_int_equal(lt_equivocation_put(f->txn, &q), LT_E_REFUSED);
	ok(lt_equivocation_count(f->txn, &n));
	assert_int_equal(n, LT_EQUIVOCATIONS_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    heads_of_the_hub_in_the_federation, setup, teardown),
		cmocka_unit_test_setup_teardown(the_newest_heads_have_room, setup, teardown),
		cmocka_unit_test_setup_teardown(against_the_log, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    rows_are_those_of_the_second_implementation, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    one_that_counts_gives_way_to_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(promises_stay_until_they_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    evidence_is_kept_once_a_feed_and_bounded, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
