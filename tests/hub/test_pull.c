/* What a stream that has sent everything tells: how far each feed reaches of which it sent something. */
#include "hub_fixture.h"

#include <string.h>

struct heard {
	unsigned sets, caught_up;
	size_t nhead;
	struct lt_unit unit[64];
	struct lt_feed_id feed[64];
	uint64_t seq[64];
	struct lt_hash hash[64];
};

static void
item(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__PullItem *it = (const Ltpb__PullItem *)m;
	struct heard *h = ctx;
	size_t i;

	if (it->item_case == LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		h->sets++;
	if (it->item_case != LTPB__PULL_ITEM__ITEM_CAUGHT_UP)
		return;
	h->caught_up++;
	h->nhead = it->caught_up->n_head;
	assert_true(h->nhead <= 64);
	for (i = 0; i < h->nhead; i++) {
		const Ltpb__FeedHead *f = it->caught_up->head[i];

		assert_int_equal(f->feed.len, LT_FEED_LEN);
		assert_int_equal(f->hash.len, LT_HASH_LEN);
		assert_int_equal(lt_unit_set(&h->unit[i], lt_slice_str(f->unit)), LT_OK);
		memcpy(h->feed[i].b, f->feed.data, LT_FEED_LEN);
		h->seq[i] = f->seq;
		memcpy(h->hash[i].b, f->hash.data, LT_HASH_LEN);
	}
}

static void
pull(struct fed_peer *p, const struct heard *have, struct heard *out)
{
	Ltpb__PullRequest req = LTPB__PULL_REQUEST__INIT;
	Ltpb__FeedHead head[64], *list[64];
	struct lt_status st;
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; have != NULL && i < have->nhead; i++) {
		list[i] = &head[i];
		ltpb__feed_head__init(&head[i]);
		head[i].unit = (char *)have->unit[i].s;
		head[i].feed.data = (uint8_t *)have->feed[i].b;
		head[i].feed.len = LT_FEED_LEN;
		head[i].seq = have->seq[i];
		head[i].hash.data = (uint8_t *)have->hash[i].b;
		head[i].hash.len = LT_HASH_LEN;
	}
	req.have = list;
	req.n_have = i;
	assert_int_equal(
	    fed_call(p, &ltpb__sync__descriptor, "Pull", &req.base, item, out, &st), LT_STATUS_OK);
	assert_int_equal(out->caught_up, 1);
}

static int
note_hub_head(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct hubfx *h = ctx;
	struct lt_id author = lt_feed_author(feed);

	(void)unit;
	return lt_id_eq(&author, &h->f.hub_id->principal) && head->seq != 0 ? LT_E_CANCELLED
									    : LT_OK;
}

/* The hub's verdict on what was pushed is a change-set of its own, and comes by itself. */
static bool
verdict_is_there(void *ctx)
{
	struct hubfx *h = ctx;
	struct lt_unit unit;
	struct lt_kv_txn *txn;
	int rc;

	assert_int_equal(lt_unit_set(&unit, lt_slice_str(HUB_UNIT)), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(h->f.hub), &txn), LT_OK);
	rc = lt_feed_log_each(txn, &unit, note_hub_head, h);
	lt_kv_abort(txn);
	assert_true(rc == LT_OK || rc == LT_E_CANCELLED);
	return rc == LT_E_CANCELLED;
}

/* Each head told is the hub's, and together they account for every change-set that came; named as positions, they bring
 * nothing more, and nothing is told again. */
static void
heads_are_told_once(void **state)
{
	struct fed_peer node;
	struct fed_feed feed;
	struct lt_kv_txn *txn;
	struct lt_buf cs[3] = { { 0 } };
	struct heard first, second, third;
	struct lt_status st;
	struct lt_draft d;
	struct lt_head head;
	uint64_t sum = 0;
	struct hubfx h;
	size_t i;

	(void)state;
	hubfx_open(&h);
	fed_enrol(&h.f, &node, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	fed_feed_init(&feed, &node, HUB_UNIT, LT_LANE_NORMAL, 5);
	for (i = 0; i < 3; i++) {
		fed_draft_dossier(&h.arena, &d, "H41.65-261120-0001");
		fed_seal(&h.f, &feed, &d, 1, &cs[i]);
	}
	assert_int_equal(fed_push(&node, cs, 3, NULL, &st), LT_STATUS_OK);
	fed_wait(verdict_is_there, &h, 20000, "the verdict is written");
	hubfx_settle(&h);
	pull(&node, NULL, &first);
	assert_true(first.nhead >= 2); /* the node's own and the hub's in `_` at least */
	assert_int_equal(lt_kv_begin_read(lt_hub_log(h.f.hub), &txn), LT_OK);
	for (i = 0; i < first.nhead; i++) {
		assert_int_equal(
		    lt_feed_log_head(txn, &first.unit[i], &first.feed[i], &head), LT_OK);
		assert_int_equal(head.seq, first.seq[i]);
		assert_memory_equal(head.hash.b, first.hash[i].b, LT_HASH_LEN);
		sum += first.seq[i];
	}
	lt_kv_abort(txn);
	assert_int_equal(sum, first.sets);
	pull(&node, &first, &second);
	assert_int_equal(second.sets, 0);
	assert_int_equal(second.nhead, 0);
	first.seq[0]--; /* one behind in one feed; its hash is then another */
	first.nhead = 1;
	if (first.seq[0] > 0) {
		assert_int_equal(lt_kv_begin_read(lt_hub_log(h.f.hub), &txn), LT_OK);
		assert_int_equal(lt_feed_log_hash(txn, &first.unit[0], &first.feed[0], first.seq[0],
				     &first.hash[0]),
		    LT_OK);
		lt_kv_abort(txn);
	}
	pull(&node, &first, &third);
	for (i = 0; i < third.nhead; i++)
		if (lt_feed_id_cmp(&third.feed[i], &first.feed[0]) == 0)
			break;
	assert_true(i < third.nhead);
	assert_int_equal(third.seq[i], first.seq[0] + 1);
	for (i = 0; i < 3; i++)
		lt_buf_fini(&cs[i]);
	fed_hang_up(&node);
	hubfx_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
