/* A machine that was copied, or restored from an old copy: what the hub never had is never called receipted, nothing of it is
 * lost, the hub's branch comes down, and work goes on. */
#include "node/delivery.h"
#include "node/session.h"
#include "tests/lib/daemon.h"
#include "tests/lib/federation.h"
#include "tests/lib/proxy.h"

#include "proto/store/feed_log.h"
#include "proto/store/ruling.h"

#include "lienthong/v1/sync.pb-c.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 40000
#define UNIT "17254"

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) == 1;

	lt_catalogue_unref(c);
	return has;
}

struct expect {
	struct fed *f;
	struct fed_node *n;
	unsigned number;
	const char *status; /* shown */
	Ltpb__Delivery delivery; /* at the node */
};

static Ltpb__Delivery
delivery_of(struct fed_node *n, unsigned number)
{
	Ltpb__ReasonCode reason;
	Ltpb__Delivery d;
	struct lt_kv_txn *txn;
	char key[64];

	(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", number);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &txn), LT_OK);
	assert_int_equal(
	    lt_node_delivery(n->node, txn, "dossier", key, NULL, NULL, &d, &reason), LT_OK);
	lt_kv_abort(txn);
	return d;
}

static bool
node_shows(struct fed_node *n, unsigned number, const char *status)
{
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	Ltpb__Record *rec;
	bool found = false;
	char key[64];
	size_t i;

	(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", number);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &txn), LT_OK);
	lt_arena_init(&arena, 1 << 20);
	if (lt_record_get(txn, "dossier", UNIT, key, &arena, &rec) == LT_OK)
		for (i = 0; i < rec->n_field; i++)
			if (strcmp(rec->field[i]->name, "status") == 0)
				found = strcmp(rec->field[i]->value->enumeration, status) == 0;
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
	return found;
}

static bool
hub_shows(void *ctx)
{
	struct expect *e = ctx;
	char text[256];

	return fed_hub_field(e->f, UNIT, e->number, "status", text, sizeof(text)) &&
	       strcmp(text, e->status) == 0;
}

/* Shown and delivered as expected. */
static bool
node_has(void *ctx)
{
	struct expect *e = ctx;

	return node_shows(e->n, e->number, e->status) &&
	       delivery_of(e->n, e->number) == e->delivery;
}

static void
wait_node(struct fed *f, struct fed_node *n, unsigned number, const char *status,
    Ltpb__Delivery delivery, const char *what)
{
	struct expect e = { f, n, number, status, delivery };

	fed_wait(node_has, &e, WAIT_MS, what);
}

static void
wait_hub(struct fed *f, unsigned number, const char *status, const char *what)
{
	struct expect e = { .f = f, .number = number, .status = status };

	fed_wait(hub_shows, &e, WAIT_MS, what);
}

struct sameness {
	struct fed *f;
	struct fed_node *n;
	struct lt_kv_txn *hub;
	bool same;
};

/* The feeds that the node has are those of the hub, and judged. */
static int
same_as_hub(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct sameness *s = ctx;
	struct lt_head held;

	assert_false(lt_feed_is_aside(feed));
	assert_int_equal(lt_feed_log_head(s->hub, unit, feed, &held), LT_OK);
	s->same &= held.seq == head->seq && lt_hash_eq(&held.hash, &head->hash) &&
		   head->judged == head->seq;
	return LT_OK;
}

static bool
has_same_feeds(void *ctx)
{
	struct sameness *s = ctx;
	struct lt_unit unit = s->n->id->unit;
	struct lt_kv_txn *node;

	s->same = true;
	assert_int_equal(lt_kv_begin_read(lt_hub_log(s->f->hub), &s->hub), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(s->n->node), &node), LT_OK);
	assert_int_equal(lt_feed_log_each(node, &unit, same_as_hub, s), LT_OK);
	lt_kv_abort(node);
	lt_kv_abort(s->hub);
	return s->same;
}

static void
same_feeds(struct fed *f, struct fed_node *n)
{
	struct sameness s = { .f = f, .n = n };

	fed_wait(has_same_feeds, &s, WAIT_MS, "node and hub have the same feeds, all judged");
}

struct aside {
	struct fed_node *n;
	struct lt_kv_txn *txn;
	uint64_t dots;
};

static int
count_aside(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct aside *a = ctx;
	uint64_t first, last;

	(void)head;
	assert_int_equal(lt_feed_log_aside(a->txn, unit, feed, &first, &last), LT_OK);
	a->dots += first == 0 ? 0 : last - first + 1;
	return LT_OK;
}

static uint64_t
aside_of(struct fed_node *n)
{
	struct aside a = { .n = n };

	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &a.txn), LT_OK);
	assert_int_equal(lt_feed_log_each(a.txn, &n->id->unit, count_aside, &a), LT_OK);
	lt_kv_abort(a.txn);
	return a.dots;
}

/* ---- rulings ---- */

struct rulings {
	struct fed *f;
	struct fed_node *n;
	size_t want;
	size_t here; /* at the hub */
	struct lt_ruling r, at_node; /* the last */
};

static int
note_ruling(void *ctx, const struct lt_ruling *r)
{
	struct rulings *k = ctx;

	k->r = *r;
	k->here++;
	return LT_OK;
}

static size_t
rulings_in(struct rulings *k, struct lt_kv *kv)
{
	struct lt_kv_txn *txn;

	k->here = 0;
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_ruling_each(txn, NULL, note_ruling, k), LT_OK);
	lt_kv_abort(txn);
	return k->here;
}

static bool
ruled(void *ctx)
{
	struct rulings *k = ctx;

	if (rulings_in(k, lt_node_kv(k->n->node)) != k->want)
		return false;
	k->at_node = k->r;
	return rulings_in(k, lt_hub_log(k->f->hub)) == k->want;
}

/* The act in a log: of the hub, in the unit, one change, and the same bytes as are kept. */
static void
act_says(struct fed *f, const struct lt_ruling *r)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	struct lt_entry e;
	struct lt_slice bytes;
	struct lt_ruling said;
	struct lt_id author;
	char key[120];

	lt_arena_init(&arena, 4 << 20);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_read(txn, r->position, &e), LT_OK);
	assert_int_equal(lt_changeset_parse(e.changeset, &arena, &cs, NULL), LT_OK);
	author = lt_feed_author(&cs.feed);
	assert_memory_equal(author.b, lt_hub_identity(f->hub)->principal.b, LT_ID_LEN);
	assert_string_equal(cs.unit.s, UNIT);
	assert_int_equal(lt_feed_lane(&cs.feed), LT_LANE_URGENT);
	assert_int_equal(cs.nchange, 1);
	assert_string_equal(cs.change[0].collection, "_ruling");
	lt_ruling_key(r, key, sizeof(key));
	assert_string_equal(cs.change[0].key, key);
	assert_int_equal(lt_ruling_of_change(&cs.change[0], &bytes), LT_OK);
	assert_int_equal(lt_ruling_parse(&cs.unit, bytes, &said), LT_OK);
	assert_memory_equal(said.counts.b, r->counts.b, LT_HASH_LEN);
	assert_memory_equal(said.other.b, r->other.b, LT_HASH_LEN);
	lt_kv_abort(txn);
	lt_arena_fini(&arena);
}

/* One ruling at hub and node: what the hub holds counts, what stands aside at the node does not. */
static void
one_ruling(struct fed *f, struct fed_node *n, struct rulings *out)
{
	struct rulings k = { .f = f, .n = n, .want = 1 };
	struct lt_feed_id aside;
	struct lt_hash here, there;
	struct lt_kv_txn *txn;
	uint64_t first, last;

	fed_wait(ruled, &k, WAIT_MS, "one ruling at hub and node");
	assert_memory_equal(k.r.counts.b, k.at_node.counts.b, LT_HASH_LEN);
	assert_memory_equal(k.r.other.b, k.at_node.other.b, LT_HASH_LEN);
	assert_int_equal(k.r.seq, k.at_node.seq);
	assert_string_equal(k.r.unit.s, UNIT);
	assert_int_equal(k.r.nkey, 1);
	assert_memory_equal(k.r.key[0].pk, n->id->sign.pk, 32);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_hash(txn, &k.r.unit, &k.r.feed, k.r.seq, &here), LT_OK);
	assert_memory_equal(here.b, k.r.counts.b, LT_HASH_LEN);
	lt_kv_abort(txn);
	aside = lt_feed_aside(&k.r.feed);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &txn), LT_OK);
	assert_int_equal(lt_feed_log_aside(txn, &k.r.unit, &k.r.feed, &first, &last), LT_OK);
	assert_int_equal(first, k.r.seq);
	assert_int_equal(lt_feed_log_hash(txn, &k.r.unit, &aside, first, &there), LT_OK);
	assert_memory_equal(there.b, k.r.other.b, LT_HASH_LEN);
	lt_kv_abort(txn);
	act_says(f, &k.r);
	if (out != NULL)
		*out = k;
}

/* ---- re-issues ---- */

/* Changes in the hub's log that name an origin; the last origin. */
static unsigned
reissues(struct fed *f, struct lt_origin *origin)
{
	struct lt_kv_txn *txn;
	uint64_t at, last = 0;
	unsigned n = 0;
	size_t i;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	for (at = 1; at <= last; at++) {
		struct lt_changeset cs;
		struct lt_arena arena;
		struct lt_entry e;

		lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
		assert_int_equal(lt_feed_log_read(txn, at, &e), LT_OK);
		assert_int_equal(lt_changeset_parse(e.changeset, &arena, &cs, NULL), LT_OK);
		for (i = 0; i < cs.nchange; i++)
			n += lt_change_origin(&cs.change[i], origin);
		lt_arena_fini(&arena);
	}
	lt_kv_abort(txn);
	return n;
}

/* Three dossiers at hub and node, then a copy of the stopped node. */
static void
begin(struct fed *f, struct fed_node *n, struct fed_node *copy)
{
	unsigned i;

	fed_setup(f);
	fed_node_setup(f, n, UNIT);
	fed_node_start(f, n);
	fed_wait(has_catalogue, n, WAIT_MS, "the catalogue comes down");
	for (i = 1; i <= 3; i++)
		assert_int_equal(fed_put_dossier(n, i, NULL, NULL), LT_OK);
	for (i = 1; i <= 3; i++)
		wait_node(f, n, i, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "receipted");
	fed_node_stop(n);
	fed_node_copy(n, copy);
}

/* Numbers 4 to 6 go to the hub from the original in one verdict. */
static void
original_goes_on(struct fed *f, struct fed_node *n)
{
	unsigned i;

	fed_hub_stop(f);
	fed_node_start(f, n);
	for (i = 4; i <= 6; i++)
		assert_int_equal(fed_put_dossier(n, i, NULL, NULL), LT_OK);
	fed_hub_start(f);
	for (i = 4; i <= 6; i++)
		wait_node(f, n, i, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "receipted");
	fed_node_stop(n);
}

static void
end(struct fed *f, struct fed_node *n, struct fed_node *copy)
{
	fed_node_teardown(n);
	fed_node_teardown(copy);
	fed_teardown(f);
}

/* Restored from an old copy, nothing written in between: the tail comes down, work goes on in a new epoch. */
static void
test_restored(void **state)
{
	struct fed f;
	struct fed_node n, copy;
	struct lt_dot before, after;
	unsigned i;

	(void)state;
	begin(&f, &n, &copy);
	original_goes_on(&f, &n);
	fed_node_start(&f, &copy);
	for (i = 4; i <= 6; i++)
		wait_node(&f, &copy, i, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED,
		    "the lost tail comes down and is judged");
	same_feeds(&f, &copy);
	assert_int_equal(aside_of(&copy), 0);
	assert_int_equal(fed_put_dossier(&copy, 5, "dang_xu_ly", &after), LT_OK);
	wait_hub(&f, 5, "dang_xu_ly", "an edit of what came down");
	assert_int_equal(fed_put_dossier(&copy, 7, NULL, &before), LT_OK);
	assert_int_equal(lt_feed_id_cmp(&before.feed, &after.feed), 0);
	assert_int_equal(after.seq, 1);
	wait_node(
	    &f, &copy, 7, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "the new one receipted");
	same_feeds(&f, &copy);
	end(&f, &n, &copy);
}

/* The node does not have the ruling, and never will. */
static void
forget_ruling(struct fed_node *n)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_kv_txn *txn;
	uint8_t name[256];
	size_t len;

	assert_int_equal(lt_kv_begin_write(lt_node_kv(n->node), &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	assert_int_equal(lt_kv_seek_in(c, lt_slice_str("ruling/"), &k, &v), LT_OK);
	assert_true(k.len <= sizeof(name));
	len = k.len;
	memcpy(name, k.data, len);
	lt_kv_cursor_close(c);
	assert_int_equal(lt_kv_del(txn, LT_T_LOCAL, lt_slice(name, len)), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

/* Evidence goes once with an announcement, and then announcements go without. */
static void
brought_once(struct fed_node *n)
{
	const struct lt_session_options o = { .node = n->node };
	const struct lt_sync_action a = { .kind = LT_SYNC_DO_ANNOUNCE };
	struct lt_session_request req;
	struct lt_session_call *call = calloc(1, sizeof(*call));
	struct lt_session *s;
	struct lt_arena arena;
	unsigned i;

	forget_ruling(n);
	assert_non_null(call);
	assert_int_equal(lt_session_new(&o, &s), LT_OK);
	for (i = 0; i < 3; i++) {
		lt_arena_init(&arena, 4 << 20);
		assert_int_equal(lt_session_ask(s, &a, &arena, call, &req), LT_OK);
		assert_int_equal(
		    ((const Ltpb__AnnounceRequest *)req.message)->branch.len != 0, i == 0);
		lt_arena_fini(&arena);
	}
	lt_session_free(s);
	free(call);
}

/* What an announcement brings when it takes only so many bytes; 0: nothing. */
static uint64_t
brought_of(struct fed_node *n, size_t max, size_t *len)
{
	const struct lt_session_options o = { .node = n->node, .evidence_max = max };
	const struct lt_sync_action a = { .kind = LT_SYNC_DO_ANNOUNCE };
	struct lt_session_request req;
	struct lt_session_call *call = calloc(1, sizeof(*call));
	const Ltpb__AnnounceRequest *r;
	struct lt_changeset cs = { .seq = 0 };
	struct lt_session *s;
	struct lt_arena arena;

	assert_non_null(call);
	assert_int_equal(lt_session_new(&o, &s), LT_OK);
	lt_arena_init(&arena, 4 << 20);
	assert_int_equal(lt_session_ask(s, &a, &arena, call, &req), LT_OK);
	r = (const Ltpb__AnnounceRequest *)req.message;
	*len = r->branch.len;
	if (r->branch.len != 0)
		assert_int_equal(
		    lt_changeset_parse(lt_slice(r->branch.data, r->branch.len), &arena, &cs, NULL),
		    LT_OK);
	lt_arena_fini(&arena);
	lt_session_free(s);
	free(call);
	return cs.seq;
}

/* Of a branch whose first change-sets are too large one further on is brought, and none where all are. */
static void
brought_from_further_on(struct fed_node *n)
{
	uint64_t first, seq;
	size_t len, small;

	forget_ruling(n);
	first = brought_of(n, 0, &len);
	assert_true(first != 0);
	assert_int_equal(brought_of(n, len, &len), first);
	seq = brought_of(n, len - 1, &small); /* an edit, behind a record */
	assert_int_equal(seq, first + 2);
	assert_true(small < len);
	assert_int_equal(brought_of(n, small - 1, &len), 0);
}

/* Both wrote under the same numbers. The hub holds the original's. */
static void
test_divergent(void **state)
{
	struct rulings before, after;
	struct lt_origin origin;
	struct fed f;
	struct fed_node n, copy;
	char text[256];

	(void)state;
	begin(&f, &n, &copy);
	original_goes_on(&f, &n);
	fed_hub_stop(&f);
	fed_node_start(&f, &copy);
	assert_int_equal(fed_put_dossier(&copy, 50, NULL, NULL), LT_OK);
	fed_hub_start(&f);
	wait_hub(&f, 50, "tiep_nhan", "what only the copy had is written again");
	wait_node(&f, &copy, 50, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "receipted");
	assert_true(fed_hub_field(&f, UNIT, 50, "applicant_name", text, sizeof(text)));
	assert_string_equal(text, "Vi Văn Mẫu");
	wait_node(&f, &copy, 6, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED,
	    "the hub's branch comes down");
	assert_int_equal(aside_of(&copy), 1);
	same_feeds(&f, &copy);
	one_ruling(&f, &copy, &before);
	/* Over a restart of either, too, and it is written no second time. */
	fed_hub_stop(&f);
	fed_node_stop(&copy);
	fed_hub_start(&f);
	fed_node_start(&f, &copy);
	assert_int_equal(delivery_of(&copy, 50), LTPB__DELIVERY__DELIVERY_RECEIPTED);
	/* Others go on, and it is edited like any. */
	assert_int_equal(fed_put_dossier(&copy, 51, NULL, NULL), LT_OK);
	wait_node(&f, &copy, 51, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "a new one");
	assert_int_equal(fed_put_dossier(&copy, 50, "dang_xu_ly", NULL), LT_OK);
	wait_node(&f, &copy, 50, "dang_xu_ly", LTPB__DELIVERY__DELIVERY_RECEIPTED,
	    "the edit is receipted and not refused");
	wait_hub(&f, 50, "dang_xu_ly", "the edit at the hub");
	assert_true(fed_hub_field(&f, UNIT, 50, "applicant_name", text, sizeof(text)));
	assert_string_equal(text, "Vi Văn Mẫu");
	assert_int_equal(aside_of(&copy), 1); /* the signed bytes stay */
	/* Once, over restarts of both. */
	assert_int_equal(reissues(&f, &origin), 1);
	assert_int_equal(origin.dot.seq, before.r.seq);
	assert_int_equal(lt_feed_id_cmp(&origin.dot.feed, &before.r.feed), 0);
	assert_true(origin.hash8 == lt_load_u64(before.r.other.b));
	same_feeds(&f, &copy);
	one_ruling(&f, &copy, &after);
	assert_int_equal(before.r.position, after.r.position);
	brought_once(&copy);
	end(&f, &n, &copy);
}

/* The copy wrote more than the original, and on the same record under the same number. */
static void
test_longer_branch(void **state)
{
	struct lt_origin origin;
	struct fed f;
	struct fed_node n, copy;
	struct expect e;
	unsigned i;

	(void)state;
	begin(&f, &n, &copy);
	fed_hub_stop(&f);
	fed_node_start(&f, &n);
	assert_int_equal(fed_put_dossier(&n, 2, "dang_xu_ly", NULL), LT_OK);
	fed_hub_start(&f);
	wait_node(&f, &n, 2, "dang_xu_ly", LTPB__DELIVERY__DELIVERY_RECEIPTED, "the original's");
	fed_node_stop(&n);
	fed_hub_stop(&f);
	fed_node_start(&f, &copy);
	assert_int_equal(fed_put_dossier(&copy, 2, "da_giai_quyet", NULL), LT_OK);
	for (i = 60; i < 63; i++)
		assert_int_equal(fed_put_dossier(&copy, i, NULL, NULL), LT_OK);
	fed_hub_start(&f);
	for (i = 60; i < 63; i++)
		wait_node(
		    &f, &copy, i, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "written again");
	assert_true(node_shows(&copy, 2, "da_giai_quyet"));
	wait_hub(&f, 2, "da_giai_quyet", "the copy's, said later than the original's");
	assert_int_equal(aside_of(&copy), 4);
	assert_int_equal(reissues(&f, &origin), 4);
	one_ruling(&f, &copy, NULL); /* of the whole branch */
	same_feeds(&f, &copy);
	assert_int_equal(fed_put_dossier(&copy, 60, "dang_xu_ly", NULL), LT_OK);
	wait_node(&f, &copy, 60, "dang_xu_ly", LTPB__DELIVERY__DELIVERY_RECEIPTED, "goes on");
	e = (struct expect){ &f, &copy, 2, "da_giai_quyet", LTPB__DELIVERY__DELIVERY_RECEIPTED };
	fed_wait(node_has, &e, WAIT_MS, "receipted");
	fed_wait(hub_shows, &e, WAIT_MS, "at the hub");
	same_feeds(&f, &copy);
	end(&f, &n, &copy);
}

/* The first change-sets of a branch do not fit into an announcement. */
static void
test_large_branch(void **state)
{
	struct fed f;
	struct fed_node n, copy;

	(void)state;
	begin(&f, &n, &copy);
	original_goes_on(&f, &n);
	fed_hub_stop(&f);
	fed_node_start(&f, &copy);
	assert_int_equal(fed_put_dossier(&copy, 70, NULL, NULL), LT_OK);
	assert_int_equal(fed_put_dossier(&copy, 71, NULL, NULL), LT_OK);
	assert_int_equal(fed_put_dossier(&copy, 1, "dang_xu_ly", NULL), LT_OK);
	fed_hub_start(&f);
	wait_node(&f, &copy, 71, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "written again");
	one_ruling(&f, &copy, NULL);
	brought_from_further_on(&copy);
	end(&f, &n, &copy);
}

/* Both changed one record to the same: nothing of that is written again, and it is not called forked any more. */
static void
test_same_words(void **state)
{
	struct fed f;
	struct fed_node n, copy;
	struct lt_origin origin;
	struct expect e;

	(void)state;
	begin(&f, &n, &copy);
	fed_hub_stop(&f);
	fed_node_start(&f, &n);
	assert_int_equal(fed_put_dossier(&n, 2, "dang_xu_ly", NULL), LT_OK);
	fed_hub_start(&f);
	wait_node(&f, &n, 2, "dang_xu_ly", LTPB__DELIVERY__DELIVERY_RECEIPTED, "the original's");
	fed_node_stop(&n);
	fed_hub_stop(&f);
	fed_node_start(&f, &copy);
	assert_int_equal(fed_put_dossier(&copy, 2, "dang_xu_ly", NULL), LT_OK);
	/* One more, or the two branches could be the same bytes. */
	assert_int_equal(fed_put_dossier(&copy, 80, NULL, NULL), LT_OK);
	fed_hub_start(&f);
	wait_node(&f, &copy, 80, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "again");
	assert_int_equal(reissues(&f, &origin), 1);
	e = (struct expect){ &f, &copy, 2, "dang_xu_ly", LTPB__DELIVERY__DELIVERY_RECEIPTED };
	fed_wait(node_has, &e, WAIT_MS, "receipted");
	fed_wait(hub_shows, &e, WAIT_MS, "at the hub");
	same_feeds(&f, &copy);
	end(&f, &n, &copy);
}

/* Two texts of dossier 1 set, or cleared. */
static void
phone_and_address(struct fed_node *n, bool set)
{
	Ltpb__Value v[2] = { LTPB__VALUE__INIT, LTPB__VALUE__INIT };
	Ltpb__FieldSet fs[2] = { LTPB__FIELD_SET__INIT, LTPB__FIELD_SET__INIT };
	Ltpb__FieldSet *sets[2] = { &fs[0], &fs[1] };
	char phone[] = "applicant_phone", address[] = "applicant_address";
	char number[] = "0900000000", street[] = "Bản Một";
	char *clear[2] = { phone, address };
	struct lt_write w = {
		.collection = "dossier", .key = "H41.65-261120-0001", .writer = LT_WRITER_COMMUNE
	};
	struct lt_err err = { "" };
	struct lt_arena arena;
	size_t i;

	for (i = 0; i < 2; i++) {
		fs[i].name = clear[i];
		fs[i].value = &v[i];
		v[i].v_case = LTPB__VALUE__V_TEXT;
		v[i].text = i == 0 ? number : street;
	}
	w.set = sets;
	w.nset = set ? 2 : 0;
	w.clear = clear;
	w.nclear = set ? 0 : 2;
	lt_arena_init(&arena, 8 << 20);
	assert_int_equal(lt_node_write(n->node, &w, 1, NULL, NULL, &arena, &err), LT_OK);
	assert_int_equal(w.rc, LT_OK);
	lt_arena_fini(&arena);
}

/* The branch aside has cleared several fields: an edit of something else carries that along, too. */
static void
test_cleared_aside(void **state)
{
	struct fed f;
	struct fed_node n, copy;
	char text[256];

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, UNIT);
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue comes down");
	assert_int_equal(fed_put_dossier(&n, 1, NULL, NULL), LT_OK);
	phone_and_address(&n, true);
	wait_node(&f, &n, 1, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "receipted");
	fed_node_stop(&n);
	fed_node_copy(&n, &copy);
	original_goes_on(&f, &n);
	fed_hub_stop(&f);
	fed_node_start(&f, &copy);
	phone_and_address(&copy, false);
	fed_hub_start(&f);
	wait_node(
	    &f, &copy, 6, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "the other branch");
	assert_int_equal(aside_of(&copy), 1);
	assert_int_equal(fed_put_dossier(&copy, 1, "dang_xu_ly", NULL), LT_OK);
	wait_hub(&f, 1, "dang_xu_ly", "the edit");
	assert_false(fed_hub_field(&f, UNIT, 1, "applicant_phone", text, sizeof(text)));
	assert_false(fed_hub_field(&f, UNIT, 1, "applicant_address", text, sizeof(text)));
	assert_true(fed_hub_field(&f, UNIT, 1, "applicant_name", text, sizeof(text)));
	end(&f, &n, &copy);
}

/* ---- two at once ---- */

struct race {
	struct fed_node *n, *copy, *late;
};

static bool
one_is_forked(void *ctx)
{
	struct race *r = ctx;

	r->late = aside_of(r->n) != 0 ? r->n : aside_of(r->copy) != 0 ? r->copy : NULL;
	return r->late != NULL;
}

static void
wait_forked(struct fed_node *n, struct fed_node *copy, struct fed_node **late, unsigned *number)
{
	struct race r = { n, copy, NULL };

	fed_wait(one_is_forked, &r, WAIT_MS, "the later one is told");
	*late = r.late;
	*number = r.late == n ? 70 : 71;
}

/* Two live machines, where nobody tells them apart: both greeted the hub with the same head, then one pushes first. */
static void
test_both_live(void **state)
{
	struct fed f;
	struct fed_node n, copy, *late;
	unsigned number;

	(void)state;
	begin(&f, &n, &copy);
	fed_hub_stop(&f);
	f.no_twins = true;
	fed_hub_start(&f);
	fed_node_start(&f, &n);
	fed_node_start(&f, &copy);
	assert_int_equal(fed_put_dossier(&n, 70, NULL, NULL), LT_OK);
	assert_int_equal(fed_put_dossier(&copy, 71, NULL, NULL), LT_OK);
	/* Whichever came second was told so by the hub: it says it, and goes on behind what the hub holds. */
	wait_forked(&n, &copy, &late, &number);
	same_feeds(&f, late);
	assert_int_equal(fed_put_dossier(late, 72, NULL, NULL), LT_OK);
	wait_node(&f, late, 72, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "goes on");
	assert_int_equal(fed_put_dossier(late, number, "dang_xu_ly", NULL), LT_OK);
	wait_hub(&f, number, "dang_xu_ly", "what was only here, with its edit");
	/* An edit made before the other's came down may have named what the hub does not have; one made after does not. */
	assert_int_equal(fed_put_dossier(late, 72, "da_giai_quyet", NULL), LT_OK);
	wait_node(
	    &f, late, 72, "da_giai_quyet", LTPB__DELIVERY__DELIVERY_RECEIPTED, "a later edit");
	wait_hub(&f, 72, "da_giai_quyet", "at the hub");
	wait_node(&f, late, number == 70 ? 71 : 70, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED,
	    "the other's comes down");
	one_ruling(&f, late, NULL);
	end(&f, &n, &copy);
}

/* Two live machines, where nobody tells them apart. What the one signs the other one, at work and writing nothing, learns from the hub:
 * first behind its own last change-set, then in an epoch that it never began. */
static void
test_signed_elsewhere(void **state)
{
	struct fed f;
	struct fed_node n, copy;
	struct lt_dot there, here;

	(void)state;
	begin(&f, &n, &copy);
	fed_hub_stop(&f);
	f.no_twins = true;
	fed_hub_start(&f);
	fed_node_start(&f, &n);
	fed_node_start(&f, &copy);
	same_feeds(&f, &n);
	assert_int_equal(fed_put_dossier(&copy, 90, NULL, &there), LT_OK);
	assert_int_equal(there.seq, 4);
	wait_hub(&f, 90, "tiep_nhan", "the copy's at the hub");
	wait_node(&f, &n, 90, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "and at the other");
	assert_int_equal(aside_of(&n), 0);
	assert_int_equal(fed_put_dossier(&n, 91, NULL, &here), LT_OK);
	assert_int_not_equal(lt_feed_id_cmp(&here.feed, &there.feed), 0);
	wait_node(&f, &copy, 91, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "and back");
	same_feeds(&f, &n);
	same_feeds(&f, &copy);
	end(&f, &n, &copy);
}

/* ---- twins ---- */

static bool
is_refused(void *ctx)
{
	struct lt_link_status st;
	struct fed_node *n = ctx;

	lt_link_status(n->link, &st);
	return strstr(st.error, "another machine is at work with the keys of this one") != NULL &&
	       strstr(st.error_vi, "máy khác đang chạy bằng khóa của máy này") != NULL;
}

/* The first one answers: the second one is told, in both languages, and nothing of it comes; the first one works on. */
static void
test_twin_refused(void **state)
{
	struct fed f;
	struct fed_node n, copy;
	char text[256];

	(void)state;
	begin(&f, &n, &copy);
	fed_node_start(&f, &n);
	assert_int_equal(fed_put_dossier(&n, 4, NULL, NULL), LT_OK);
	wait_node(&f, &n, 4, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "the first is in");
	fed_node_start(&f, &copy);
	assert_int_equal(fed_put_dossier(&copy, 50, NULL, NULL), LT_OK);
	fed_wait(is_refused, &copy, WAIT_MS, "the second is refused, and told why");
	assert_true(lt_twins_refused(f.service.twins, &n.id->principal) >= 1);
	assert_int_equal(fed_put_dossier(&n, 5, NULL, NULL), LT_OK);
	wait_node(&f, &n, 5, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "the first works on");
	assert_false(fed_hub_field(&f, UNIT, 50, "status", text, sizeof(text)));
	assert_true(delivery_of(&copy, 50) != LTPB__DELIVERY__DELIVERY_RECEIPTED);
	/* Stopped, it makes room. A new process of the second one comes in at once. */
	fed_node_stop(&n);
	fed_node_stop(&copy);
	fed_node_start(&f, &copy);
	wait_node(&f, &copy, 5, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "what it lacked");
	same_feeds(&f, &copy);
	end(&f, &n, &copy);
}

/* The power went: the old session stands half open and does not answer. Who comes back gets in. */
static void
test_half_open(void **state)
{
	struct fed f;
	struct fed_node n, copy;
	struct proxy *proxy;
	char direct[sizeof(f.address)];
	int port = daemon_port();

	(void)state;
	begin(&f, &n, &copy);
	memcpy(direct, f.address, sizeof(direct));
	proxy = proxy_start(port, f.port);
	(void)snprintf(f.address, sizeof(f.address), "tcp://127.0.0.1:%d", port);
	fed_node_start(&f, &n);
	assert_int_equal(fed_put_dossier(&n, 4, NULL, NULL), LT_OK);
	wait_node(&f, &n, 4, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "the first is in");
	proxy_hold(proxy, PROXY_TO_HUB, true);
	proxy_hold(proxy, PROXY_FROM_HUB, true);
	memcpy(f.address, direct, sizeof(direct));
	fed_node_start(&f, &copy);
	wait_node(&f, &copy, 4, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "it is in");
	assert_int_equal(fed_put_dossier(&copy, 7, NULL, NULL), LT_OK);
	wait_node(&f, &copy, 7, "tiep_nhan", LTPB__DELIVERY__DELIVERY_RECEIPTED, "and works");
	assert_int_equal(lt_twins_refused(f.service.twins, NULL), 0);
	proxy_stop(proxy);
	end(&f, &n, &copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restored),
		cmocka_unit_test(test_divergent),
		cmocka_unit_test(test_longer_branch),
		cmocka_unit_test(test_large_branch),
		cmocka_unit_test(test_same_words),
		cmocka_unit_test(test_cleared_aside),
		cmocka_unit_test(test_both_live),
		cmocka_unit_test(test_signed_elsewhere),
		cmocka_unit_test(test_twin_refused),
		cmocka_unit_test(test_half_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
