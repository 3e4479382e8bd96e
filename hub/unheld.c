/* hub/unheld.c - dots that wait for what will not come (FORMAT.md 8.6): a machine that goes on in a new epoch, as another branch of its feed
 * counts, names its own branch until the other one has come down to it. Where the one that counts reaches so far, that is a wrong context;
 * where it is shorter, nobody could tell the dot from one that comes before what it names, and it waited for ever. Who wrote it says so: a
 * machine of this author's announces the feed, on which was ruled, as it is here, and has no more of it. */
#include "hub/hub_impl.h"
#include "hub/recovery.h"
#include "proto/base/log.h"
#include "proto/store/ruling.h"

#include <stdlib.h>
#include <string.h>

#define FEEDS_MAX \
	64 /* looked at in one announcement: of such feeds a machine has one in each lane, and a few of before */

struct ending {
	struct lt_hub *h;
	struct lt_id author;
	struct lt_unit unit;
	size_t nhead;
	struct told {
		struct lt_feed_id feed;
		uint64_t seq;
		struct lt_hash hash;
	} head[FEEDS_MAX];
	size_t nfeed; /* of which dots were refused in the transaction that committed */
	struct lt_feed_id feed[FEEDS_MAX];
	uint64_t refused;
};

/* Is this feed at the machine as it is here, and does anything wait for more of it? */
static int
has_waiting(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct told *t, bool *waiting)
{
	struct lt_head head;
	int rc = lt_feed_log_head(txn, unit, &t->feed, &head);

	*waiting = false;
	if (rc != LT_OK || head.seq != t->seq || !lt_hash_eq(&head.hash, &t->hash))
		return rc == LT_E_CORRUPT ? LT_OK : rc;
	return lt_held_waits(txn, unit, &t->feed, waiting);
}

struct asking {
	const struct lt_feed_id *feed;
	bool is;
};

static int
is_of(void *ctx, const struct lt_ruling *r)
{
	struct asking *a = ctx;

	a->is |= lt_feed_id_cmp(&r->feed, a->feed) == 0;
	return LT_OK;
}

static int
is_ruled_on(
    struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed, bool *is)
{
	struct asking a = { feed, false };
	int rc = lt_ruling_each(txn, unit, is_of, &a);

	*is = a.is;
	return rc;
}

/* ---- the job ---- */

static void
note_feed(struct ending *e, const struct lt_feed_id *feed)
{
	size_t i;

	for (i = 0; i < e->nfeed; i++)
		if (lt_feed_id_cmp(&e->feed[i], feed) == 0)
			return;
	if (e->nfeed < FEEDS_MAX) /* what finds no place is found at the next start */
		e->feed[e->nfeed++] = *feed;
}

/* What somebody else wrote, and what cannot be read, waits on. */
static int
refuse_one(struct ending *e, struct lt_kv_txn *txn, const struct lt_feed_id *missing,
    const struct lt_held_dot *dot)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry entry;
	struct lt_id author;
	uint8_t *copy = NULL;
	int rc = lt_feed_log_read(txn, dot->position, &entry);

	lt_arena_init(&arena, LT_HUB_ARENA);
	/* The entry's bytes move when the transaction writes. */
	if (rc == LT_OK)
		copy = lt_arena_dup(&arena, entry.changeset.data, entry.changeset.len);
	if (rc == LT_OK && copy == NULL)
		rc = LT_E_NOMEM;
	if (rc == LT_OK)
		rc = lt_changeset_open(lt_slice(copy, entry.changeset.len), &arena, &cs);
	if (rc == LT_OK) {
		author = lt_feed_author(&cs.feed);
		if (!lt_id_eq(&author, &e->author) || dot->change >= cs.nchange)
			rc = LT_E_NOTFOUND;
	}
	if (rc == LT_OK) {
		rc = lt_hub_settle_held(txn, &cs, dot->position, dot->change, false, &arena);
		note_feed(e, &cs.feed);
		e->refused++;
	} else if (rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT || rc == LT_E_INVALID) {
		rc = lt_held_add(
		    txn, &e->unit, missing, dot->missing_seq, dot->position, dot->change);
	}
	lt_arena_fini(&arena);
	return rc;
}

static int
refuse_waiting(struct ending *e, struct lt_kv_txn *txn, const struct lt_feed_id *feed)
{
	struct lt_held_dot *dots;
	struct lt_arena arena;
	size_t n = 0, i;
	int rc;

	lt_arena_init(&arena, LT_HUB_ARENA);
	rc = lt_held_take(txn, &e->unit, feed, UINT64_MAX, &arena, &dots, &n);
	for (i = 0; rc == LT_OK && i < n; i++)
		rc = refuse_one(e, txn, feed, &dots[i]);
	lt_arena_fini(&arena);
	return rc;
}

static int
run_end(struct lt_kv_txn *txn, void *ctx)
{
	struct ending *e = ctx;
	size_t i;
	int rc = LT_OK;

	e->nfeed = 0; /* a job may run again */
	e->refused = 0;
	if (lt_hub_recovering(e->h))
		return LT_OK;
	for (i = 0; rc == LT_OK && i < e->nhead; i++) {
		bool waiting = false, ruled = false;

		/* More may have come since it was looked at. */
		rc = has_waiting(txn, &e->unit, &e->head[i], &waiting);
		if (rc == LT_OK && waiting)
			rc = is_ruled_on(txn, &e->unit, &e->head[i].feed, &ruled);
		if (rc == LT_OK && ruled)
			rc = refuse_waiting(e, txn, &e->head[i].feed);
	}
	return rc;
}

static void
end_done(void *ctx, int rc)
{
	struct ending *e = ctx;
	size_t i;

	for (i = 0; rc == LT_OK && i < e->nfeed; i++)
		lt_verdicts_note(e->h->verdicts, &e->unit, &e->feed[i]);
	if (rc == LT_OK && e->refused != 0)
		lt_warn("%llu changes of unit %s that named a branch that does not count, further "
			"than the one that counts reaches, are refused",
		    (unsigned long long)e->refused, e->unit.s);
	free(e);
}

/* ---- an announcement ---- */

/* Own feeds of the machine, which are here as they are there, and for more of which something waits. */
static int
gather(struct ending *e, struct lt_kv_txn *txn, size_t n, Ltpb__FeedHead *const *head)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < n && e->nhead < FEEDS_MAX; i++) {
		struct told *t = &e->head[e->nhead];
		struct lt_id author;
		bool waiting = false;

		if (head[i]->feed.len != LT_FEED_LEN || head[i]->hash.len != LT_HASH_LEN ||
		    strcmp(head[i]->unit, e->unit.s) != 0)
			continue;
		memcpy(t->feed.b, head[i]->feed.data, LT_FEED_LEN);
		memcpy(t->hash.b, head[i]->hash.data, LT_HASH_LEN);
		t->seq = head[i]->seq;
		author = lt_feed_author(&t->feed);
		if (lt_id_eq(&author, &e->author))
			rc = has_waiting(txn, &e->unit, t, &waiting);
		e->nhead += rc == LT_OK && waiting;
	}
	return rc;
}

void
lt_hub_end_waits(struct lt_hub *h, const struct lt_id *node, const struct lt_unit *unit, size_t n,
    Ltpb__FeedHead *const *head)
{
	struct lt_kv_txn *txn;
	struct ending *e;
	int rc;

	if (!atomic_load(&h->ruled) || lt_hub_recovering(h))
		return;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return; /* it announces again */
	e->h = h;
	e->author = *node;
	e->unit = *unit;
	rc = lt_kv_begin_read(h->log, &txn);
	if (rc == LT_OK) {
		rc = gather(e, txn, n, head);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK && e->nhead != 0)
		rc = lt_writer_submit(h->writer, run_end, end_done, e);
	else
		rc = LT_E_NOTFOUND;
	if (rc != LT_OK)
		free(e);
}
