/* Whatever is taken out of a store, put back as it was before or flipped in it, in any table of a node or a hub, the next scrub
 * finds; it finds nothing while others write; and what is derived becomes what it was. */
#include "hub/scrub.h"
#include "node/scrub.h"
#include "proto/store/kv_image.h"
#include "proto/store/kv_test.h"
#include "proto/store/mend.h"
#include "tests/lib/memnode.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of every table, spread over it. A sanitizer looks for other things than more rows show. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROWS_EACH 2
#else
#define ROWS_EACH 4
#endif
#define STEPS_MAX 100000
#define WRITES_BETWEEN 200

static struct memnode_story story;
static struct memfed_marks told;

/* The three environments of the story, as they were in the middle and as they are at the end. */
enum { NODE, LOG, DERIVED, ENVS };
static const enum lt_kv_kind kinds[ENVS] = { LT_KV_NODE, LT_KV_HUB_LOG, LT_KV_HUB_DERIVED };
static struct lt_kv_image *middle[ENVS], *last[ENVS];
static struct lt_scrub_options as_node, as_hub; /* with the worlds of the story's machines */

static struct lt_kv *
env_of(int e)
{
	return e == NODE ? story.a.kv : e == LOG ? story.m.log : story.m.derived;
}

static struct lt_kv *
open_image(const struct lt_kv_image *img, enum lt_kv_kind kind)
{
	const struct lt_kv_options o = {
		.kind = kind, .federation = story.m.f.hub_id->federation.b, .tables = lt_table_names
	};
	struct lt_err err = { "" };
	struct lt_kv *kv = NULL;

	if (lt_kv_open_image(&o, img, &kv, &err) != LT_OK)
		fail_msg("%s", err.text);
	return kv;
}

static void
take_images(struct lt_kv_image **img)
{
	int e;

	for (e = 0; e < ENVS; e++)
		assert_int_equal(lt_kv_image_take(env_of(e), &img[e]), LT_OK);
}

/* Records made and changed by both nodes, refused ones among them, receipts and verdicts; at the end some that wait for theirs. */
static int
tell(void **state)
{
	unsigned i;

	(void)state;
	memnode_begin(&story, true, &told);
	for (i = 1; i <= 6; i++)
		memnode_put(&story, &story.a, i, NULL);
	(void)memnode_sync(&story, &story.a);
	(void)memnode_sync(&story, &story.b);
	while (lt_node_step(story.a.n.node))
		;
	take_images(middle);
	memnode_put(&story, &story.b, 1, "tam_dung");
	memnode_put(&story, &story.a, 1, "dang_xu_ly");
	memnode_put(&story, &story.a, 2, "dang_xu_ly");
	memnode_put(&story, &story.b, 20, NULL);
	(void)memnode_sync(&story, &story.b);
	(void)memnode_sync(&story, &story.a);
	(void)memnode_sync(&story, &story.a);
	memnode_put(&story, &story.a, 3, "dang_xu_ly");
	memnode_put(&story, &story.a, 21, NULL);
	memfed_settle(&story.m);
	while (lt_node_step(story.a.n.node))
		;
	take_images(last);
	lt_node_scrub_options(story.a.n.node, &as_node);
	lt_hub_scrub_options(story.m.f.hub, &as_hub);
	return 0;
}

static int
forget(void **state)
{
	int e;

	(void)state;
	for (e = 0; e < ENVS; e++) {
		lt_kv_image_free(middle[e]);
		lt_kv_image_free(last[e]);
	}
	memnode_end(&story);
	return 0;
}

/* A node, or a hub with its two. */
struct stores {
	bool hub;
	struct lt_kv *env[ENVS]; /* those of the other kind are NULL */
	struct lt_scrub_options o;
};

static void
stores_open(struct stores *s, bool hub)
{
	int e;

	memset(s, 0, sizeof(*s));
	s->hub = hub;
	for (e = 0; e < ENVS; e++)
		if ((e != NODE) == hub)
			s->env[e] = open_image(last[e], kinds[e]);
	s->o = hub ? as_hub : as_node;
	s->o.log = s->env[hub ? LOG : NODE];
	s->o.derived = s->env[hub ? DERIVED : NODE];
}

static void
stores_close(struct stores *s)
{
	int e;

	for (e = 0; e < ENVS; e++)
		lt_kv_close(s->env[e]);
}

/* LT_OK; LT_E_UNAVAILABLE: it waits for ever, which nobody fails to notice. */
static int
scrub(const struct stores *s, struct lt_scrub_status *st)
{
	struct lt_scrub *scrub;
	bool done = false;
	unsigned i, waits = 0;
	int rc = lt_scrub_open(&s->o, &scrub);

	assert_int_equal(rc, LT_OK);
	lt_scrub_restart(scrub, true);
	for (i = 0; !done && waits < 3; i++) {
		assert_true(i < STEPS_MAX);
		rc = lt_scrub_step(scrub, NULL, &done);
		assert_true(rc == LT_OK || rc == LT_E_UNAVAILABLE);
		waits += rc == LT_E_UNAVAILABLE;
	}
	lt_scrub_status(scrub, st);
	lt_scrub_close(scrub);
	return rc;
}

static void
sound_stores(void **state)
{
	struct lt_scrub_status st;
	struct stores s;
	int hub;

	(void)state;
	for (hub = 0; hub < 2; hub++) {
		stores_open(&s, hub == 1);
		assert_int_equal(scrub(&s, &st), LT_OK);
		assert_int_equal(st.nfinding, 0);
		assert_int_equal(st.more, 0);
		assert_int_equal(st.rounds, 1);
		assert_true(st.round_full);
		assert_true(st.sampled > 10);
		assert_true(st.entries > 400);
		stores_close(&s);
	}
}

/* ---- damage ---- */

enum damage { FLIP, DROP, OLD, DAMAGES };
static const char *const damage_name[DAMAGES] = { "flipped", "dropped", "as it was before" };

struct row {
	int env;
	unsigned table;
	size_t len;
	uint8_t key[LT_KV_KEY_MAX];
};

static int
with_raw(struct lt_kv *kv, const struct row *r, struct lt_slice stored, bool drop)
{
	struct lt_slice key = lt_slice(r->key, r->len);
	struct lt_kv_txn *txn;
	int rc;

	assert_int_equal(lt_kv_begin_write(kv, &txn), LT_OK);
	rc = drop ? lt_kv_test_del_raw(txn, r->table, key)
		  : lt_kv_test_put_raw(txn, r->table, key, stored);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	return rc;
}

/* false: it was the same before, or not there. */
static bool
put_old(struct lt_kv *kv, const struct row *r)
{
	struct lt_kv *before = open_image(middle[r->env], kinds[r->env]);
	struct lt_slice key = lt_slice(r->key, r->len), was, is;
	struct lt_kv_txn *old, *now;
	struct lt_buf copy = { 0 };
	bool other;

	assert_int_equal(lt_kv_begin_read(before, &old), LT_OK);
	assert_int_equal(lt_kv_begin_read(kv, &now), LT_OK);
	assert_int_equal(lt_kv_test_get_raw(now, r->table, key, &is), LT_OK);
	other = lt_kv_test_get_raw(old, r->table, key, &was) == LT_OK && !lt_slice_eq(was, is);
	if (other)
		lt_buf_put_slice(&copy, was);
	lt_kv_abort(old);
	lt_kv_abort(now);
	lt_kv_close(before);
	if (other)
		assert_int_equal(with_raw(kv, r, lt_buf_slice(&copy), false), LT_OK);
	lt_buf_fini(&copy);
	return other;
}

static bool
do_damage(struct lt_kv *kv, const struct row *r, enum damage d, size_t bit)
{
	size_t nbits = 0;

	switch (d) {
	case FLIP:
		(void)lt_kv_test_flip(kv, r->table, lt_slice(r->key, r->len), SIZE_MAX, &nbits);
		return lt_kv_test_flip(kv, r->table, lt_slice(r->key, r->len), bit % nbits, NULL) ==
		       LT_OK;
	case DROP:
		return with_raw(kv, r, lt_slice(NULL, 0), true) == LT_OK;
	case OLD:
	case DAMAGES:
		break;
	}
	return put_old(kv, r);
}

static bool
table_is_derived(unsigned table)
{
	return table == LT_T_RECORD || table == LT_T_SHOWN || table == LT_T_INDEX ||
	       table == LT_T_HISTORY || table == LT_T_DIGEST || table == LT_T_OVERLAY ||
	       table == LT_T_CURSOR;
}

/* Every derived table, entry for entry. */
static void
dump_derived(struct lt_kv *kv, struct lt_buf *out)
{
	static const unsigned tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_HISTORY,
		LT_T_DIGEST, LT_T_OVERLAY };
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	size_t i;
	int rc;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		assert_int_equal(lt_kv_cursor_open(txn, tables[i], &c), LT_OK);
		for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
		     rc = lt_kv_next(c, &k, &v)) {
			lt_buf_framed(out, k);
			lt_buf_framed(out, v);
		}
		assert_int_equal(rc, LT_E_NOTFOUND);
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(txn);
}

static void
mend(struct stores *s)
{
	struct lt_scrub_world w = { .catalogue = NULL };
	struct lt_mend_options o = { .author = s->o.author, .clock = s->o.clock, .ms = 0 };
	struct lt_kv_txn *txn;
	bool more = true;
	unsigned i;

	assert_int_equal(s->o.world(s->o.ctx, &w), LT_OK);
	o.catalogue = w.catalogue;
	o.registry = w.registry;
	o.province = w.province;
	assert_int_equal(lt_kv_begin_write(s->o.log, &txn), LT_OK);
	assert_int_equal(lt_mend_begin(txn), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	for (i = 0; more; i++) {
		assert_true(i < STEPS_MAX);
		assert_int_equal(lt_kv_begin_write(s->o.log, &txn), LT_OK);
		o.txn = txn;
		assert_int_equal(lt_mend_step(&o, &more), LT_OK);
		assert_int_equal(lt_kv_commit(txn), LT_OK);
	}
	lt_catalogue_unref(w.catalogue);
	lt_registry_unref(w.registry);
}

static void
mended(struct stores *s, const char *what)
{
	struct lt_buf want = { 0 }, have = { 0 };
	struct lt_scrub_status st;

	mend(s);
	dump_derived(story.a.kv, &want);
	dump_derived(s->o.derived, &have);
	if (!lt_slice_eq(lt_buf_slice(&want), lt_buf_slice(&have)))
		fail_msg("%s: not what it was", what);
	assert_int_equal(scrub(s, &st), LT_OK);
	if (st.nfinding != 0)
		fail_msg("%s: still %s in %s", what, lt_scrub_what_name(st.finding[0].what),
		    lt_table_names[st.finding[0].table]);
	lt_buf_fini(&want);
	lt_buf_fini(&have);
}

/* 1 when it could be done at all. */
static unsigned
one_case(const struct row *r, enum damage d, size_t bit)
{
	struct lt_scrub_status st;
	struct stores s;
	char what[128];
	size_t i, same = 0;
	int rc;

	stores_open(&s, r->env != NODE);
	if (!do_damage(s.env[r->env], r, d, bit)) {
		stores_close(&s);
		return 0;
	}
	(void)snprintf(what, sizeof(what), "%s/%s %s", r->env == NODE ? "node" : "hub",
	    lt_table_names[r->table], damage_name[d]);
	rc = scrub(&s, &st);
	if (rc == LT_OK && st.nfinding == 0)
		fail_msg("%s: not found", what);
	for (i = 0; i < st.nfinding; i++) {
		same += st.finding[i].table == r->table;
		if (table_is_derived(r->table) && !st.finding[i].derived)
			fail_msg("%s: %s is no damage of the log", what,
			    lt_table_names[st.finding[i].table]);
	}
	if (d == FLIP && same == 0)
		fail_msg("%s: found elsewhere only", what);
	assert_true(rc != LT_OK || st.truth_clean == table_is_derived(r->table));
	if (r->env == NODE && table_is_derived(r->table))
		mended(&s, what);
	stores_close(&s);
	return 1;
}

/* Rows of a table, spread over it. */
static size_t
pick_rows(int env, unsigned table, struct row row[ROWS_EACH])
{
	struct lt_kv *kv = open_image(last[env], kinds[env]);
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	uint64_t n, i = 0;
	size_t picked = 0;
	int rc;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_count(txn, table, &n), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, table, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK && picked < ROWS_EACH;
	     rc = lt_kv_next(c, &k, &v), i++) {
		if (n > ROWS_EACH && i != picked * (n - 1) / (ROWS_EACH - 1))
			continue;
		row[picked].env = env;
		row[picked].table = table;
		row[picked].len = k.len;
		memcpy(row[picked++].key, k.data, k.len);
	}
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	lt_kv_close(kv);
	return picked;
}

static void
every_table(void **state)
{
	struct row row[ROWS_EACH];
	unsigned table, cases[DAMAGES] = { 0 };
	size_t i, n, bit = 1;
	int env, d;

	(void)state;
	for (env = 0; env < ENVS; env++)
		for (table = 0; table < LT_T_COUNT; table++) {
			n = pick_rows(env, table, row);
			for (i = 0; i < n; i++)
				for (d = 0; d < DAMAGES; d++, bit = bit * 31 + 7)
					cases[d] += one_case(&row[i], (enum damage)d, bit);
		}
	print_message(
	    "%u flipped, %u dropped, %u as before\n", cases[FLIP], cases[DROP], cases[OLD]);
	assert_true(cases[FLIP] >= 15 * ROWS_EACH && cases[DROP] >= 15 * ROWS_EACH &&
		    cases[OLD] >= ROWS_EACH);
}

/* Many at once, and what no change ever made. */
static void
all_at_once(void **state)
{
	static const unsigned tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_HISTORY,
		LT_T_DIGEST };
	struct row row[ROWS_EACH], foreign;
	struct stores s;
	size_t i, k, n;

	(void)state;
	stores_open(&s, false);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		n = pick_rows(NODE, tables[i], row);
		for (k = 0; k < n; k++)
			assert_true(
			    do_damage(s.env[NODE], &row[k], k % 2 == 0 ? FLIP : DROP, 5 + k));
		/* A key that was hit keeps its value. */
		foreign = row[1];
		foreign.key[foreign.len - 1] ^= 1;
		assert_int_equal(
		    with_raw(s.env[NODE], &foreign, lt_slice("0123456789abcdef", 16), false),
		    LT_OK);
	}
	mended(&s, "all at once");
	stores_close(&s);
}

/* Keys of other tables in the history, as when two pages changed places. Each is a record's key with something behind it, shorter than a
 * dot, so that cutting one off leads back. */
static void
keys_of_another_table(void **state)
{
	static const size_t tail[] = { 1, 10, LT_FEED_LEN + 8 + 4 };
	struct lt_scrub_status st;
	struct row row[ROWS_EACH], foreign;
	struct stores s;
	size_t i, k, n;
	int hub;

	(void)state;
	for (hub = 0; hub < 2; hub++) {
		n = pick_rows(hub ? DERIVED : NODE, LT_T_RECORD, row);
		assert_true(n >= 2);
		for (k = 0; k < 3; k++) {
			stores_open(&s, hub == 1);
			for (i = 0; i < n; i++) {
				foreign = row[i];
				foreign.table = LT_T_HISTORY;
				foreign.key[foreign.len++] = 1;
				memset(foreign.key + foreign.len, 'x', tail[k]);
				foreign.len += tail[k];
				assert_int_equal(with_raw(s.env[foreign.env], &foreign,
						     lt_slice("0123456789abcdef", 16), false),
				    LT_OK);
			}
			assert_int_equal(scrub(&s, &st), LT_OK);
			assert_true(st.nfinding + st.more >= n);
			if (!hub)
				mended(&s, "keys of another table");
			stores_close(&s);
		}
	}
}

/* ---- progress ---- */

static void
goes_on_after_a_restart(void **state)
{
	const struct lt_scrub_budget small = { 1, 1 };
	struct lt_scrub *one, *next;
	struct lt_scrub_status st;
	struct lt_buf saved = { 0 };
	struct row row[ROWS_EACH];
	struct stores s;
	bool done = false;
	int64_t since;
	unsigned i;

	(void)state;
	stores_open(&s, true);
	assert_true(pick_rows(LOG, LT_T_FRESH, row) > 0);
	assert_true(do_damage(s.env[LOG], &row[0], DROP, 0));
	assert_int_equal(lt_scrub_open(&s.o, &one), LT_OK);
	assert_int_equal(lt_scrub_round(one, false), LT_OK);
	lt_scrub_status(one, &st);
	assert_int_equal(st.nfinding, 1);
	since = st.finding[0].since_ms;
	story.m.now_ms += 5000;
	for (i = 0; !done; i++) {
		assert_true(i < STEPS_MAX);
		assert_int_equal(lt_scrub_step(one, &small, &done), LT_OK);
		lt_buf_clear(&saved);
		assert_int_equal(lt_scrub_save(one, &saved), LT_OK);
		assert_int_equal(lt_scrub_open(&s.o, &next), LT_OK);
		assert_int_equal(lt_scrub_resume(next, lt_buf_slice(&saved)), LT_OK);
		/* Cut anywhere, nothing of it is taken. */
		assert_int_equal(
		    lt_scrub_resume(one, lt_slice(saved.data, saved.len * (i % 97) / 97)),
		    LT_E_INVALID);
		lt_scrub_close(one);
		one = next;
	}
	assert_true(i > 500);
	lt_scrub_status(one, &st);
	assert_int_equal(st.rounds, 2);
	assert_int_equal(st.nfinding, 1);
	assert_int_equal(st.finding[0].table, LT_T_FRESH);
	assert_int_equal(st.finding[0].what, LT_SCRUB_COUNT);
	assert_true(st.finding[0].since_ms == since);
	assert_true(st.finding[0].last_ms == since + 5000);
	lt_buf_fini(&saved);
	lt_scrub_close(one);
	stores_close(&s);
}

/* ---- while others write ---- */

struct scrubbing {
	struct lt_scrub_options o;
	pthread_t thread;
	atomic_bool stop;
	struct lt_scrub_status st;
};

static void *
scrub_on(void *arg)
{
	struct scrubbing *b = arg;
	struct lt_scrub *s;
	bool done = false;
	int rc = lt_scrub_open(&b->o, &s);

	while (rc == LT_OK || rc == LT_E_UNAVAILABLE) {
		rc = lt_scrub_step(s, NULL, &done);
		lt_scrub_status(s, &b->st);
		if (b->stop && (b->st.rounds != 0 || b->st.nfinding != 0))
			break;
		if (rc == LT_E_UNAVAILABLE)
			(void)sched_yield();
	}
	lt_scrub_close(s);
	return NULL;
}

static void
while_others_write(void **state)
{
	static struct memnode_story s;
	static struct memfed_marks marks;
	struct scrubbing node = { .stop = false }, hub = { .stop = false };
	unsigned i;

	(void)state;
	memnode_begin(&s, false, &marks);
	lt_node_scrub_options(s.a.n.node, &node.o);
	lt_hub_scrub_options(s.m.f.hub, &hub.o);
	assert_int_equal(pthread_create(&node.thread, NULL, scrub_on, &node), 0);
	assert_int_equal(pthread_create(&hub.thread, NULL, scrub_on, &hub), 0);
	for (i = 0; i < 24; i++) {
		memnode_put(&s, &s.a, 1 + i % 7,
		    i < 7        ? NULL
		    : i % 2 == 0 ? "dang_xu_ly"
				 : "tam_dung");
		memnode_put(&s, &s.b, 1 + i % 5, i < 7 ? NULL : "tam_dung");
		if (i % 3 == 2)
			(void)memnode_sync(&s, &s.b);
		if (i % 2 == 1)
			(void)memnode_sync(&s, &s.a);
		if (i == 12) {
			fed_publish_second(&s.m.f);
			memfed_settle(&s.m);
		}
	}
	node.stop = hub.stop = true;
	/* The hub is manual: what the scrub waits for takes a step. */
	while (lt_hub_step(s.m.f.hub))
		;
	(void)pthread_join(node.thread, NULL);
	(void)pthread_join(hub.thread, NULL);
	assert_int_equal(node.st.nfinding, 0);
	assert_int_equal(hub.st.nfinding, 0);
	print_message("%llu rounds over the node, %llu over the hub\n",
	    (unsigned long long)node.st.rounds, (unsigned long long)hub.st.rounds);
	memnode_end(&s);
}

/* Steps of one segment each, and behind every one of them something is written: segments that were looked at grow. */
static void
between_steps(struct memnode_story *s, const struct lt_scrub_options *o, unsigned written)
{
	static const struct lt_scrub_budget budget = { .entries = 1 };
	struct lt_scrub_status st;
	struct lt_scrub *scrub;
	unsigned i = written, steps;
	bool done = false;

	assert_int_equal(lt_scrub_open(o, &scrub), LT_OK);
	for (steps = 0; !done && steps < STEPS_MAX; steps++) {
		int rc = lt_scrub_step(scrub, &budget, &done);

		assert_true(rc == LT_OK || rc == LT_E_UNAVAILABLE);
		while (lt_hub_step(s->m.f.hub))
			;
		/* A round ends only where nothing is written faster than it looks. */
		if (i == written + WRITES_BETWEEN)
			continue;
		memnode_put(s, &s->a, 1 + i % 7,
		    i < 7        ? NULL
		    : i % 2 == 0 ? "dang_xu_ly"
				 : "tam_dung");
		(void)memnode_sync(s, &s->a);
		s->m.marks->n = 0;
		i++;
	}
	lt_scrub_status(scrub, &st);
	lt_scrub_close(scrub);
	assert_true(done);
	assert_int_equal(st.nfinding, 0);
	assert_int_equal(i, written + WRITES_BETWEEN);
}

static void
writes_between_steps(void **state)
{
	static struct memnode_story s;
	static struct memfed_marks marks;
	struct lt_scrub_options node, hub;

	(void)state;
	memnode_begin(&s, true, &marks);
	lt_node_scrub_options(s.a.n.node, &node);
	lt_hub_scrub_options(s.m.f.hub, &hub);
	between_steps(&s, &node, 0);
	between_steps(&s, &hub, WRITES_BETWEEN);
	memnode_end(&s);
}

/* ---- by themselves ---- */

/* A hub that is told to builds its derived tables anew, also when the projector has stopped at what is damaged. */
static void
hub_builds_anew(void **state)
{
	struct lt_buf want = { 0 }, have = { 0 };
	struct row row[ROWS_EACH] = { { .env = DERIVED } };
	size_t i, n;

	(void)state;
	dump_derived(story.m.derived, &want);
	n = pick_rows(DERIVED, LT_T_RECORD, row);
	assert_true(n > 0);
	for (i = 0; i < n; i++)
		assert_true(do_damage(story.m.derived, &row[i], FLIP, i));
	assert_true(do_damage(story.m.derived, &row[0], DROP, 0));
	assert_false(lt_hub_mending(story.m.f.hub));
	lt_hub_rebuild(story.m.f.hub);
	assert_true(lt_hub_mending(story.m.f.hub));
	while (lt_hub_step(story.m.f.hub))
		;
	assert_false(lt_hub_mending(story.m.f.hub));
	dump_derived(story.m.derived, &have);
	assert_true(lt_slice_eq(lt_buf_slice(&want), lt_buf_slice(&have)));
	lt_buf_fini(&want);
	lt_buf_fini(&have);
}

/* The thread: a round as soon as it is asked for; what it finds derived damaged is mended by the node itself. */
struct waiting {
	struct lt_scrubber *s;
	struct lt_node *node;
	uint64_t rounds;
	struct lt_scrub_status st;
};

static bool
round_is_done(void *ctx)
{
	struct waiting *w = ctx;
	bool asked;

	lt_scrubber_status(w->s, &w->st, &asked);
	return !asked && w->st.rounds >= w->rounds;
}

static bool
is_mended(void *ctx)
{
	struct waiting *w = ctx;

	return !lt_node_mending(w->node);
}

static void
node_mends_itself(void **state)
{
	static struct memnode_story s;
	static struct memfed_marks marks;
	struct waiting w = { .rounds = 1 };
	struct row row = { .env = NODE, .table = LT_T_SHOWN };
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_buf want = { 0 }, have = { 0 };
	unsigned i;

	(void)state;
	memnode_begin(&s, false, &marks);
	for (i = 1; i <= 3; i++)
		memnode_put(&s, &s.a, i, NULL);
	w.node = s.a.n.node;
	fed_wait(is_mended, &w, 20000, "the start");
	dump_derived(s.a.kv, &want);
	assert_int_equal(lt_kv_begin_read(s.a.kv, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_SHOWN, &c), LT_OK);
	assert_int_equal(lt_kv_seek_before(c, lt_slice(NULL, 0), &k, &v), LT_OK);
	row.len = k.len;
	memcpy(row.key, k.data, k.len);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	assert_true(do_damage(s.a.kv, &row, FLIP, 99));
	assert_int_equal(lt_node_scrubber_start(w.node, NULL, 0, 100, &w.s), LT_OK);
	lt_scrubber_ask(w.s, true);
	fed_wait(round_is_done, &w, 20000, "a round");
	assert_true(w.st.nfinding > 0);
	assert_true(w.st.truth_clean);
	fed_wait(is_mended, &w, 20000, "mended");
	dump_derived(s.a.kv, &have);
	assert_true(lt_slice_eq(lt_buf_slice(&want), lt_buf_slice(&have)));
	lt_scrubber_ask(w.s, false);
	w.rounds = 2;
	fed_wait(round_is_done, &w, 20000, "another round");
	assert_int_equal(w.st.nfinding, 0);
	lt_scrubber_stop(w.s);
	/* How far it was is known to the next. */
	assert_int_equal(lt_node_scrubber_start(w.node, NULL, 0, 100, &w.s), LT_OK);
	assert_true(round_is_done(&w));
	lt_scrubber_stop(w.s);
	lt_buf_fini(&want);
	lt_buf_fini(&have);
	memnode_end(&s);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_stores),
		cmocka_unit_test(every_table),
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(keys_of_another_table),
		cmocka_unit_test(goes_on_after_a_restart),
		cmocka_unit_test(hub_builds_anew),
		cmocka_unit_test(while_others_write),
		cmocka_unit_test(writes_between_steps),
		cmocka_unit_test(node_mends_itself),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, tell, forget);
}
