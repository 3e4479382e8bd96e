/* What stands only on a branch of an own feed that does not count is written again (FORMAT.md 8.6, 9.11), once the hub's ruling is here:
 * each record as it is shown, as an ordinary change in the present epoch that names its origin. In one transaction the change is made and
 * the record stands aside no more: so it is done once, whatever becomes of the machine in between. */
#include "node/node_impl.h"
#include "node/scrub.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/store/log_view.h"
#include "proto/store/ruling.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE LT_REISSUE_AT_ONCE
#define DOT_KEY (LT_FEED_LEN + 8 + 4) /* the end of a key of table overlay */
#define REISSUE_ARENA ((size_t)64 * 1024 * 1024)
/* Then the rest waits for the next announcement: the line is not kept waiting for long. */
#define REISSUE_SPAN_MS 1000

struct batch {
	struct lt_arena arena;
	size_t limit; /* of records */
	size_t n;
	struct lt_write write[AT_ONCE];
	uint8_t after[LT_KV_KEY_MAX]; /* the last record that was looked at */
	size_t after_len;
	bool last;
	/* The feed that was asked about last: a branch is asked about once for each of its changes. */
	struct lt_feed_id feed;
	bool feed_known, feed_ruled;
	size_t made, person; /* in this span */
};

/* Has the hub said that this branch does not count? A ruling names its first change-set, or one further along (8.6). */
static bool
is_ruled(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	struct lt_feed_id aside = lt_feed_aside(feed);
	uint64_t first, last, seq;
	struct lt_ruling r;
	struct lt_hash h;
	bool ruled = false;

	if (lt_feed_log_aside(txn, unit, feed, &first, &last) != LT_OK || first == 0)
		return false;
	for (seq = first; seq <= last && !ruled; seq++)
		ruled = lt_feed_log_hash(txn, unit, &aside, seq, &h) == LT_OK &&
			lt_ruling_get(txn, unit, feed, seq, &h, &r) == LT_OK;
	return ruled;
}

static bool
is_feed_ruled(struct batch *b, struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed)
{
	if (!b->feed_known || lt_feed_id_cmp(&b->feed, feed) != 0) {
		b->feed = *feed;
		b->feed_ruled = is_ruled(txn, unit, feed);
		b->feed_known = true;
	}
	return b->feed_ruled;
}

struct judged {
	struct lt_node *n;
	struct lt_kv_txn *txn;
	bool waits;
	bool others; /* wait, too, but for a while only */
};

/* The last change-set of an own feed was made here if what it says stands in the overlay. */
static int
came_unjudged(struct judged *j, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	const struct lt_dot dot = { *feed, head->seq, 0 };
	struct lt_log_view view;
	struct lt_change change;
	struct lt_arena arena;
	uint64_t position;
	bool shows = true;
	int rc = lt_feed_log_find(j->txn, unit, feed, head->seq, &position);

	memset(&view, 0, sizeof(view));
	lt_arena_init(&arena, LT_NODE_ARENA);
	if (rc == LT_OK)
		rc = lt_log_view_open(&view, j->txn, position);
	if (rc == LT_OK)
		rc = lt_log_view_change(&view, 0, &arena, &change);
	if (rc == LT_OK)
		rc = lt_record_in_overlay(
		    j->txn, change.collection, unit->s, change.key, &dot, &shows);
	j->waits = j->waits || !shows;
	lt_log_view_close(&view);
	lt_arena_fini(&arena);
	/* What is damaged may be mended, or come again. */
	if (rc != LT_E_NOTFOUND && rc != LT_E_CORRUPT)
		return rc;
	j->others = true;
	return LT_OK;
}

static int
look_judged(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct judged *j = ctx;
	struct lt_id author = lt_feed_author(feed);

	if (head->seq <= head->judged)
		return LT_OK;
	if (lt_id_eq(&author, &j->n->author.id))
		return came_unjudged(j, unit, feed, head);
	j->others = true;
	return LT_OK;
}

/* Others' feeds may stay unjudged, where one is damaged at the hub, say: that keeps nobody waiting for ever. */
static bool
is_patient(struct lt_node *n, bool others)
{
	struct lt_reissue *r = &n->reissue;
	int64_t now = lt_mono_ms(n->clock);

	if (others && !r->waiting)
		r->waits_since = now;
	r->waiting = others;
	return others && now - r->waits_since < LT_REISSUE_WAIT_MS;
}

/* What came down counts, and stands in the history of its records, when the hub's verdict is here: until then a record does not show what
 * the other branch says of it, nor whether somebody else wrote it again, nor what others of the unit wrote later. */
static int
awaits_verdict(struct lt_node *n, bool *waits)
{
	struct judged j = { .n = n };
	int rc = lt_kv_begin_read(n->kv, &j.txn);

	*waits = false;
	if (rc != LT_OK || LT_SIM_BUG(REISSUE_EARLY))
		goto out;
	rc = lt_feed_log_each(j.txn, &n->identity->unit, look_judged, &j);
	*waits = is_patient(n, j.others) || j.waits;
out:
	if (j.txn != NULL)
		lt_kv_abort(j.txn);
	return rc;
}

/* collection || 0 || unit || 0 || key: one write more. What is not of that form is passed over, a scrub finds it. */
static int
add_record(struct batch *b, struct lt_slice rk)
{
	struct lt_write *w = &b->write[b->n];
	char *text = lt_arena_alloc(&b->arena, rk.len + 1);
	size_t at;

	if (text == NULL)
		return LT_E_NOMEM;
	memcpy(text, rk.data, rk.len);
	text[rk.len] = '\0';
	at = strlen(text) + 1;
	if (at < rk.len)
		at += strlen(text + at) + 1;
	if (at >= rk.len)
		return LT_OK;
	memset(w, 0, sizeof(*w));
	w->collection = text;
	w->key = text + at;
	w->writer = LT_WRITER_COMMUNE;
	w->reissue = true;
	b->n++;
	return LT_OK;
}

/* The record that is being looked at. */
struct looked {
	uint8_t rk[LT_KV_KEY_MAX];
	size_t len; /* 0: none yet */
	bool ruled; /* all that stands aside of it so far */
};

static int
look_done(struct batch *b, const struct looked *at)
{
	if (at->len == 0)
		return LT_OK;
	memcpy(b->after, at->rk, at->len);
	b->after_len = at->len;
	return at->ruled ? add_record(b, lt_slice(at->rk, at->len)) : LT_OK;
}

/* One row of the overlay. *full: the batch is, and the row is of the next one. */
static int
look_at(struct lt_node *n, struct lt_kv_txn *txn, struct batch *b, struct looked *at,
    struct lt_slice k, bool *full)
{
	struct lt_feed_id feed;
	size_t len = k.len > DOT_KEY ? k.len - DOT_KEY - 1 : 0;
	int rc = LT_OK;

	if (len == 0 || len > LT_KV_KEY_MAX)
		return LT_OK;
	memcpy(feed.b, k.data + len + 1, LT_FEED_LEN);
	if (!lt_feed_is_aside(&feed))
		return LT_OK;
	if (at->len != len || memcmp(at->rk, k.data, len) != 0) {
		rc = look_done(b, at);
		*full = b->n == b->limit;
		if (rc != LT_OK || *full)
			return rc;
		memcpy(at->rk, k.data, len);
		at->len = len;
		at->ruled = true;
	}
	feed = lt_feed_plain(&feed);
	at->ruled = at->ruled && is_feed_ruled(b, txn, &n->identity->unit, &feed);
	return LT_OK;
}

/* The next records of which all that stands aside is ruled on. */
static int
gather(struct lt_node *n, struct lt_kv_txn *txn, struct batch *b)
{
	uint8_t from[LT_KV_KEY_MAX + 1];
	struct looked at = { .len = 0 };
	struct lt_slice k = { NULL, 0 }, v;
	struct lt_kv_cursor *c;
	bool full = false;
	int rc = lt_kv_cursor_open(txn, LT_T_OVERLAY, &c), looked = LT_OK;

	if (rc != LT_OK)
		return rc;
	b->feed_known = false;
	/* With a 1 in place of the 0 between record and dot nothing of that record stands behind, and all of the next. */
	memcpy(from, b->after, b->after_len);
	from[b->after_len] = 1;
	rc = lt_kv_seek(c, lt_slice(from, b->after_len == 0 ? 0 : b->after_len + 1), &k, &v);
	/* A damaged row still names its record, which then fails by itself. */
	while ((rc == LT_OK || (rc == LT_E_CORRUPT && k.len != 0)) && looked == LT_OK) {
		looked = look_at(n, txn, b, &at, k, &full);
		if (full)
			break;
		k = lt_slice(NULL, 0);
		rc = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	if (looked != LT_OK || full)
		return looked;
	b->last = true;
	looked = look_done(b, &at);
	/* Where there is no going on the rest waits for the next start: the tables are put right by then. */
	return looked != LT_OK || rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? looked : rc;
}

static void
count(struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		b->made += b->write[i].rc == LT_OK && !b->write[i].unchanged;
		b->person += b->write[i].rc != LT_OK && b->write[i].rc != LT_E_UNAVAILABLE;
	}
}

static void
report(const struct batch *b)
{
	if (b->made != 0)
		lt_warn(
		    "%zu records that only a branch which does not count had were written again",
		    b->made);
	if (b->person != 0)
		lt_warn(
		    "%zu records stay on this machine alone, as the two branches contradict each "
		    "other there or a rule forbids it: open and save them ('ltctl list', delivery "
		    "forked)",
		    b->person);
}

static int
write_batch(struct lt_node *n, struct batch *b, struct lt_err *err)
{
	struct lt_kv_txn *txn;
	int rc;

	lt_arena_init(&b->arena, REISSUE_ARENA);
	b->n = 0;
	b->last = false;
	rc = lt_kv_begin_read(n->kv, &txn);
	if (rc == LT_OK) {
		rc = gather(n, txn, b);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK && b->n != 0)
		rc = lt_node_write(n, b->write, b->n, NULL, NULL, &b->arena, err);
	if (rc == LT_OK)
		count(b);
	lt_arena_fini(&b->arena);
	return rc;
}

/* What concerns all records alike, and may be over with the next call; anything else is of one of them. */
static bool
is_of_all(int rc)
{
	return rc == LT_E_NOSPACE || rc == LT_E_IO || rc == LT_E_BUSY || rc == LT_E_CLOSED ||
	       rc == LT_E_UNAVAILABLE || rc == LT_E_REFUSED;
}

/* One that is damaged, or too large to be held in memory twice, is told from the others by taking them singly, and does not stand in their
 * way. *rc: of the attempt; LT_OK: go on. false: nothing was done, and the same is taken again. */
static bool
pass_over(struct batch *b, int *rc)
{
	if (*rc == LT_OK || is_of_all(*rc) || b->n == 0)
		return true;
	if (b->limit > 1) {
		b->limit = 1;
		*rc = LT_OK;
		return false;
	}
	lt_error("a record of %s that stands on a branch which does not count could not be written "
		 "again: %s",
	    (const char *)b->after, lt_strerror(*rc)); /* its key begins with the collection */
	b->person++;
	*rc = LT_OK;
	return true;
}

static int
write_span(struct lt_node *n, struct batch *b, struct lt_err *err)
{
	int64_t end = lt_mono_ms(n->clock) + REISSUE_SPAN_MS;
	struct lt_reissue *r = &n->reissue;
	bool again;
	int rc = LT_OK;

	b->limit = AT_ONCE;
	do {
		memcpy(b->after, r->after, r->after_len);
		b->after_len = r->after_len;
		rc = write_batch(n, b, err);
		again = !pass_over(b, &rc);
		if (again || rc != LT_OK)
			continue;
		memcpy(r->after, b->after, b->after_len);
		r->after_len = b->after_len;
		r->under_way = !b->last;
	} while (rc == LT_OK && r->under_way && (again || lt_mono_ms(n->clock) < end));
	return rc;
}

static int
reissue(struct lt_node *n)
{
	struct lt_err err = { "" };
	struct batch *b = NULL;
	bool waits, came;
	int rc;

	/* Tables that are being put right do not show all yet. */
	if (lt_node_mending(n) || (!n->reissue.under_way && !atomic_load(&n->aside)))
		return LT_OK;
	/* Before it is looked for what there is to wait for: what comes aside from here on sets it again, and is not written in this call. */
	came = atomic_exchange(&n->aside, false);
	rc = awaits_verdict(n, &waits);
	if (rc == LT_OK && !waits) {
		b = calloc(1, sizeof(*b));
		rc = b == NULL ? LT_E_NOMEM : LT_OK;
	}
	if (b == NULL) {
		if (came)
			atomic_store(&n->aside, true);
		return rc;
	}
	if (came) {
		n->reissue.under_way = true;
		n->reissue.after_len = 0;
	}
	rc = write_span(n, b, &err);
	report(b);
	/* Another branch, or a ruling, came in between: begin anew when all is here again. */
	if (rc == LT_E_UNAVAILABLE && atomic_load(&n->aside))
		rc = LT_OK;
	/* Once, not with every announcement. */
	if (rc != LT_OK && rc != n->reissue.failed)
		lt_warn(
		    "what stands on a branch that does not count could not be written again: %s",
		    err.text[0] != '\0' ? err.text : lt_strerror(rc));
	n->reissue.failed = rc;
	free(b);
	return rc;
}

int
lt_node_reissue(struct lt_node *n)
{
	int rc;

	/* A line that was lost may still have its thread in here. */
	if (atomic_exchange(&n->reissue.busy, true))
		return LT_OK;
	rc = reissue(n);
	atomic_store(&n->reissue.busy, false);
	return rc;
}
