/* What must hold. A ledger outside of the machines knows every change-set that its author committed; a watch on each disk
 * reads what is new there after every step. */
#include "hub/scrub.h"
#include "node/scrub.h"
#include "proto/feed/trust.h"
#include "proto/base/wire.h"
#include "proto/store/projection.h"
#include "proto/store/rebuild.h"
#include "proto/store/short_row.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define FEEDS_MAX 512
#define DOT_KEY (LT_FEED_LEN + 8 + 4) /* the end of a key of table overlay (FORMAT.md 9.3) */

/* Under one number one, unless files were copied by hand. */
struct authored {
	bool used, receipted;
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_hash hash, prev;
	int64_t signed_ms;
};

struct sim_ledger {
	size_t n, cap;
	struct authored *at;
};

struct watched_feed {
	struct lt_feed_id feed;
	struct lt_unit unit;
	uint64_t seq, stamp;
	struct lt_hash hash;
};

/* What was seen on one disk up to a position. */
struct sim_watch {
	uint64_t last;
	struct lt_hash running;
	size_t n;
	struct watched_feed feed[FEEDS_MAX];
	uint64_t compared_hub, compared_here; /* positions at the last comparison of rows */
};

struct sim_watch *
sim_watch_copy(const struct sim_machine *m)
{
	struct sim_watch *w = malloc(sizeof(*w));

	if (w == NULL)
		abort();
	*w = *m->watch;
	return w;
}

void
sim_watch_put(struct sim_machine *m, const struct sim_watch *w)
{
	if (w == NULL)
		memset(m->watch, 0, sizeof(*m->watch));
	else
		*m->watch = *w;
	m->watch->compared_hub = m->watch->compared_here = 0;
}

/* ---- the ledger ---- */

static size_t
first_slot(const struct sim_ledger *l, const struct lt_feed_id *feed, uint64_t seq)
{
	uint64_t h = lt_load_u64(feed->b + LT_FEED_LEN - 8) ^ lt_load_u64(feed->b) ^
		     (uint64_t)feed->b[LT_ID_LEN] << 56 ^ seq * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(h ^ h >> 29) & (l->cap - 1);
}

static bool
same_place(const struct authored *a, const struct lt_feed_id *feed, uint64_t seq)
{
	return lt_feed_id_cmp(&a->feed, feed) == 0 && a->seq == seq;
}

/* Its own, or where it would go. */
static struct authored *
slot(const struct sim_ledger *l, const struct lt_feed_id *feed, uint64_t seq,
    const struct lt_hash *hash)
{
	size_t i = first_slot(l, feed, seq);

	while (l->at[i].used &&
	       !(same_place(&l->at[i], feed, seq) && lt_hash_eq(&l->at[i].hash, hash)))
		i = (i + 1) & (l->cap - 1);
	return &l->at[i];
}

/* Another one under the number. receipted: that the hub gave a receipt for. NULL: none. */
static const struct authored *
rival(const struct sim_ledger *l, const struct lt_feed_id *feed, uint64_t seq,
    const struct lt_hash *hash, bool receipted)
{
	size_t i = first_slot(l, feed, seq);

	for (; l->at[i].used; i = (i + 1) & (l->cap - 1))
		if (same_place(&l->at[i], feed, seq) && !lt_hash_eq(&l->at[i].hash, hash) &&
		    (l->at[i].receipted || !receipted))
			return &l->at[i];
	return NULL;
}

bool
sim_ledger_prev(const struct sim *s, const struct lt_feed_id *feed, uint64_t seq,
    const struct lt_hash *hash, struct lt_hash *prev)
{
	const struct authored *a = slot(s->ledger, feed, seq, hash);

	*prev = a->prev;
	return a->used;
}

int64_t
sim_signed_at(
    const struct sim *s, const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash)
{
	const struct authored *a = slot(s->ledger, feed, seq, hash);

	return a->used ? a->signed_ms : 0;
}

bool
sim_is_receipted(
    const struct sim *s, const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash)
{
	const struct authored *a = slot(s->ledger, feed, seq, hash);

	return a->used && a->receipted;
}

static void
ledger_grow(struct sim_ledger *l)
{
	struct sim_ledger wide = { .cap = l->cap == 0 ? 1024 : 2 * l->cap };
	size_t i;

	wide.at = calloc(wide.cap, sizeof(*wide.at));
	if (wide.at == NULL)
		abort();
	for (i = 0; i < l->cap; i++)
		if (l->at[i].used)
			*slot(&wide, &l->at[i].feed, l->at[i].seq, &l->at[i].hash) = l->at[i];
	wide.n = l->n;
	free(l->at);
	*l = wide;
}

void
sim_check_open(struct sim *s)
{
	int i;

	s->ledger = calloc(1, sizeof(*s->ledger));
	if (s->ledger == NULL)
		abort();
	ledger_grow(s->ledger);
	for (i = 0; i < SIM_MACHINES; i++) {
		s->m[i].watch = calloc(1, sizeof(struct sim_watch));
		if (s->m[i].watch == NULL)
			abort();
	}
}

void
sim_check_close(struct sim *s)
{
	int i;

	for (i = 0; i < SIM_MACHINES; i++)
		free(s->m[i].watch);
	if (s->ledger != NULL)
		free(s->ledger->at);
	free(s->ledger);
}

/* ---- each new entry of a disk ---- */

static struct watched_feed *
watched(struct sim_watch *w, const struct lt_changeset *cs)
{
	struct watched_feed *f;
	size_t i;

	for (i = 0; i < w->n; i++)
		if (lt_feed_id_cmp(&w->feed[i].feed, &cs->feed) == 0 &&
		    lt_unit_eq(&w->feed[i].unit, &cs->unit))
			return &w->feed[i];
	if (w->n == FEEDS_MAX)
		return NULL;
	f = &w->feed[w->n++];
	memset(f, 0, sizeof(*f));
	f->feed = cs->feed;
	f->unit = cs->unit;
	return f;
}

static bool
may_hold(const struct sim *s, const struct sim_machine *m, const struct lt_unit *unit)
{
	(void)s;
	return m->no == SIM_HUB || strcmp(unit->s, "_") == 0 ||
	       strcmp(unit->s, SIM_PROVINCE) == 0 || lt_unit_eq(unit, &m->unit);
}

/* What its author committed is what everybody has under that number, and nothing else is. */
static void
check_author(struct sim *s, struct sim_machine *m, const struct lt_changeset *cs)
{
	struct sim_ledger *l = s->ledger;
	struct lt_id author = lt_feed_author(&cs->feed);
	struct authored *a = slot(l, &cs->feed, cs->seq, &cs->hash);

	if (a->used)
		return;
	if (!lt_id_eq(&author, &m->id.principal)) {
		sim_fail(s,
		    "machine %d holds change-set %llu of a feed of unit %s that its author never "
		    "committed",
		    m->no, (unsigned long long)cs->seq, cs->unit.s);
		return;
	}
	if (sim_is_closed(s, &cs->feed))
		sim_fail(s,
		    "the hub, in doubt since its files were put back, signs change-set %llu in an "
		    "epoch of before",
		    (unsigned long long)cs->seq);
	if (rival(l, &cs->feed, cs->seq, &cs->hash, false) != NULL &&
	    !sim_is_forkable(s, &cs->feed))
		sim_fail(s, "machine %d signed change-set %llu of a feed twice", m->no,
		    (unsigned long long)cs->seq);
	a->used = true;
	a->feed = cs->feed;
	a->seq = cs->seq;
	a->hash = cs->hash;
	a->prev = cs->prev;
	a->signed_ms = s->now;
	if (++l->n > l->cap / 2)
		ledger_grow(l);
}

/* The hub's branch of an own feed takes the place of ours, which stands aside from there on, to its end. */
static void
check_turned(struct sim *s, const struct sim_machine *m, struct lt_kv_txn *txn,
    const struct lt_changeset *cs, struct watched_feed *f)
{
	struct lt_id author = lt_feed_author(&cs->feed);
	uint64_t first = 0, last = 0;

	if (m->no == SIM_HUB || cs->seq > f->seq || !lt_id_eq(&author, &m->id.principal) ||
	    !sim_is_forkable(s, &cs->feed) ||
	    lt_feed_log_aside(txn, &cs->unit, &cs->feed, &first, &last) != LT_OK ||
	    first != cs->seq || last != f->seq)
		return;
	f->seq = cs->seq - 1;
	f->hash = cs->prev;
	f->stamp = 0;
	if (cs->seq > 1 && lt_feed_log_hash(txn, &cs->unit, &cs->feed, f->seq, &f->hash) != LT_OK)
		sim_fail(s, "machine %d has no change-set %llu any more", m->no,
		    (unsigned long long)f->seq);
}

/* Each collection goes in its lane. */
static void
check_lane(struct sim *s, const struct sim_machine *m, const struct lt_changeset *cs)
{
	size_t i;

	for (i = 0; i < cs->nchange; i++) {
		const char *c = cs->change[i].collection;
		enum lt_lane lane = strcmp(c, "alert") == 0   ? LT_LANE_URGENT
				    : strcmp(c, "paper") == 0 ? LT_LANE_BULK
							      : LT_LANE_NORMAL;

		if (c[0] != '_' && lt_feed_lane(&cs->feed) != lane)
			sim_fail(s, "machine %d holds a change of %s in lane %d", m->no, c,
			    (int)lt_feed_lane(&cs->feed));
	}
}

static void
check_entry(struct sim *s, struct sim_machine *m, struct lt_kv_txn *txn, const struct lt_entry *e)
{
	struct sim_watch *w = m->watch;
	struct lt_err err = { "" };
	struct watched_feed *f;
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_hash running;

	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	if (lt_changeset_parse(e->changeset, &arena, &cs, &err) != LT_OK) {
		sim_fail(s, "machine %d position %llu: %s", m->no, (unsigned long long)e->position,
		    err.text);
		lt_arena_fini(&arena);
		return;
	}
	lt_feed_log_running(&w->running, e->position, &cs.hash, &running);
	if (!lt_hash_eq(&running, &e->running))
		sim_fail(s, "machine %d position %llu: the running hash is wrong", m->no,
		    (unsigned long long)e->position);
	w->running = running;
	f = watched(w, &cs);
	if (f == NULL) {
		sim_fail(s, "machine %d holds more than %d feeds", m->no, FEEDS_MAX);
	} else {
		check_turned(s, m, txn, &cs, f);
		if (cs.seq != f->seq + 1 || (f->seq != 0 && !lt_hash_eq(&cs.prev, &f->hash)))
			sim_fail(s,
			    "machine %d: change-set %llu of a feed of unit %s does not follow %llu",
			    m->no, (unsigned long long)cs.seq, cs.unit.s,
			    (unsigned long long)f->seq);
		if (cs.stamp <= f->stamp)
			sim_fail(s, "machine %d: the clock of a feed of unit %s does not rise",
			    m->no, cs.unit.s);
		f->seq = cs.seq;
		f->hash = cs.hash;
		f->stamp = cs.stamp;
	}
	if (!may_hold(s, m, &cs.unit))
		sim_fail(s, "machine %d holds a feed of unit %s", m->no, cs.unit.s);
	check_author(s, m, &cs);
	check_lane(s, m, &cs);
	if (m->no == SIM_HUB) {
		sim_check_judged(s, txn, e, &cs);
		sim_check_late(s, txn, &cs);
	}
	sim_trace(s, lt_load_u64(cs.hash.b), (uint64_t)m->no);
	lt_arena_fini(&arena);
}

static void
check_bounds(struct sim *s, const struct sim_machine *m)
{
	unsigned calls[8] = { 0 };
	size_t i;

	if (m->no == SIM_HUB || !m->up)
		return;
	if (lt_session_applying(m->session) > 64)
		sim_fail(s, "node %d: %u change-sets under way to the disk", m->no,
		    lt_session_applying(m->session));
	for (i = 0; i < SIM_CALLS; i++)
		if (m->call[i].open && m->line != NULL && m->call[i].line == m->line->id)
			calls[m->call[i].c.ev.kind - LT_SYNC_EV_JOINED]++;
	if (calls[LT_SYNC_EV_PUSHED - LT_SYNC_EV_JOINED] > 3 ||
	    calls[LT_SYNC_EV_GREETED - LT_SYNC_EV_JOINED] > 1 ||
	    calls[LT_SYNC_EV_ANNOUNCED - LT_SYNC_EV_JOINED] > 1 ||
	    calls[LT_SYNC_EV_PULL_ENDED - LT_SYNC_EV_JOINED] > 1)
		sim_fail(s, "node %d has more calls under way than it may", m->no);
}

/* Is this entry one of the push's change-sets? */
static bool
came_with(const Ltpb__PushRequest *req, const struct lt_entry *e)
{
	struct lt_changeset cs, sent;
	struct lt_arena arena;
	bool is = false;
	size_t i;

	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX) * (LT_PUSH_MAX + 1));
	for (i = 0; i < req->n_change_set && !is; i++)
		is = lt_changeset_open(e->changeset, &arena, &cs) == LT_OK &&
		     lt_changeset_open(lt_slice(req->change_set[i].data, req->change_set[i].len),
			 &arena, &sent) == LT_OK &&
		     lt_hash_eq(&cs.hash, &sent.hash);
	lt_arena_fini(&arena);
	return is;
}

/* What is new on the disk; with req up to the first entry that came with it, or all. */
static void
check_new(struct sim *s, struct sim_machine *m, struct lt_kv_txn *txn, uint64_t last,
    const Ltpb__PushRequest *req)
{
	struct lt_entry e;

	while (!s->failed && m->watch->last < last) {
		if (lt_feed_log_read(txn, m->watch->last + 1, &e) != LT_OK) {
			sim_fail(s, "machine %d: no entry at position %llu", m->no,
			    (unsigned long long)m->watch->last + 1);
			break;
		}
		if (req != NULL && came_with(req, &e))
			break;
		check_entry(s, m, txn, &e);
		m->watch->last++;
	}
}

void
sim_check_step(struct sim *s, int machine)
{
	struct sim_machine *m = &s->m[machine];
	struct lt_kv_txn *txn;
	uint64_t last = 0;

	if (m->kv == NULL || lt_kv_begin_read(m->kv, &txn) != LT_OK)
		return;
	if (lt_feed_log_last(txn, &last) != LT_OK || last < m->watch->last)
		sim_fail(s, "machine %d lost what was committed: %llu entries after %llu", machine,
		    (unsigned long long)last, (unsigned long long)m->watch->last);
	check_new(s, m, txn, last, NULL);
	lt_kv_abort(txn);
	if (!s->failed)
		check_bounds(s, m);
	if (!s->failed && machine == SIM_HUB)
		sim_check_hub_up(s);
}

void
sim_check_before_push(struct sim *s, const Ltpb__PushRequest *req)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	struct lt_kv_txn *txn;
	uint64_t last = 0;

	if (lt_kv_begin_read(hub->kv, &txn) != LT_OK)
		return;
	if (lt_feed_log_last(txn, &last) == LT_OK)
		check_new(s, hub, txn, last, req);
	lt_kv_abort(txn);
}

/* ---- acknowledged ---- */

void
sim_check_saved(struct sim *s, int node, const struct sim_saved *v)
{
	struct sim_machine *m = &s->m[node];
	struct lt_kv_txn *txn;
	uint64_t position;

	if (lt_kv_begin_read(m->kv, &txn) != LT_OK)
		return;
	if (lt_feed_log_find(txn, &m->unit, &v->dot.feed, v->dot.seq, &position) != LT_OK)
		sim_fail(s, "node %d said saved of %s/%s, and it is not on its disk", node,
		    v->collection, v->key);
	lt_kv_abort(txn);
}

static void
check_refused(struct sim *s, struct lt_kv_txn *txn, const Ltpb__ReceiptBody *b, uint64_t position)
{
	struct lt_judgement j;
	struct lt_arena arena;
	size_t i, k, said = 0, held = 0;

	lt_arena_init(&arena, 1 << 20);
	if (lt_feed_log_judgement(txn, position, &arena, &j) == LT_OK && !b->more) {
		for (i = 0; i < b->n_refused; i++)
			said += b->refused[i]->seq == b->seq;
		for (i = 0; i < b->n_held; i++)
			held += b->held[i]->seq == b->seq;
		for (i = 0; i < b->n_refused; i++) {
			for (k = 0; k < j.nrefused; k++)
				if (j.refused[k]->index == b->refused[i]->index)
					break;
			if (b->refused[i]->seq == b->seq && k == j.nrefused)
				sim_fail(s, "a receipt refuses what the hub does not");
		}
		if (j.nrefused > said + held)
			sim_fail(s, "a receipt keeps silent about what was refused");
	}
	lt_arena_fini(&arena);
}

/* What is receipted counts for ever. */
static void
note_receipt(struct sim *s, const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash)
{
	struct authored *a = slot(s->ledger, feed, seq, hash);

	if (!a->used)
		return;
	a->receipted = true;
	if (rival(s->ledger, feed, seq, hash, true) != NULL)
		sim_fail(s, "the hub gives receipts for two branches of a feed, at change-set %llu",
		    (unsigned long long)seq);
}

/* A receipt covers what is on the hub's disk at this moment, and is the hub's. */
void
sim_check_receipt(struct sim *s, const Ltpb__Receipt *r)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	struct lt_err err = { "" };
	Ltpb__ReceiptBody *b;
	struct lt_kv_txn *txn;
	struct lt_feed_id feed;
	struct lt_arena arena;
	struct lt_hash have;
	struct lt_unit unit;
	struct lt_buf bytes;
	uint64_t position;

	lt_arena_init(&arena, 4 << 20);
	lt_buf_init(&bytes, LT_MESSAGE_MAX);
	if (lt_wire_pack(&r->base, LT_MESSAGE_MAX, &bytes) != LT_OK ||
	    lt_receipt_verify(lt_buf_slice(&bytes), hub->id.sign.pk, &hub->id.federation, &arena,
		&b, &err) != LT_OK) {
		sim_fail(s, "a receipt does not verify: %s", err.text);
	} else if (lt_kv_begin_read(hub->kv, &txn) == LT_OK) {
		memcpy(feed.b, b->feed.data, LT_FEED_LEN);
		(void)lt_unit_set(&unit, lt_slice_str(b->unit));
		if (lt_feed_log_hash(txn, &unit, &feed, b->seq, &have) != LT_OK ||
		    memcmp(have.b, b->hash.data, LT_HASH_LEN) != 0)
			sim_fail(s,
			    "a receipt for change-set %llu of unit %s that is not on the hub's "
			    "disk",
			    (unsigned long long)b->seq, unit.s);
		else if (lt_feed_log_find(txn, &unit, &feed, b->seq, &position) == LT_OK)
			check_refused(s, txn, b, position);
		note_receipt(s, &feed, b->seq, &have);
		lt_kv_abort(txn);
	}
	lt_buf_fini(&bytes);
	lt_arena_fini(&arena);
}

/* ---- two disks compared ---- */

struct pair {
	struct sim *s;
	struct sim_machine *m;
	struct lt_kv_txn *hub, *derived, *node;
	bool same, judged;
	char why[256];
};

static void
differ(struct pair *p, const char *what, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	if (p->same)
		(void)snprintf(p->why, sizeof(p->why),
		    "node %d: %s (unit %s, lane %d, epoch %016llx)", p->m->no, what, unit->s,
		    (int)lt_feed_lane(feed), (unsigned long long)lt_feed_epoch(feed));
	p->same = false;
}

static int
compare_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct pair *p = ctx;
	struct lt_head other;

	if (!may_hold(p->s, p->m, unit))
		return LT_OK;
	if (lt_feed_log_head(p->node, unit, feed, &other) != LT_OK || other.seq != head->seq ||
	    !lt_hash_eq(&other.hash, &head->hash))
		differ(p, "a feed of the hub is not all here", unit, feed);
	else if (other.judged != head->judged || head->judged != head->seq)
		differ(p, "a feed is not judged whole", unit, feed);
	return LT_OK;
}

static int
compare_back(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct pair *p = ctx;
	struct lt_id author = lt_feed_author(feed);
	struct lt_head other;
	uint64_t receipted = 0;

	if (lt_feed_log_head(p->hub, unit, feed, &other) != LT_OK || other.seq != head->seq)
		differ(p, "the hub lacks what is here", unit, feed);
	if (!lt_id_eq(&author, &p->m->id.principal))
		return LT_OK;
	if (lt_node_receipted(p->node, unit, feed, &receipted) != LT_OK ||
	    (receipted > other.seq && !sim_hub_was_back(p->s)))
		sim_fail(p->s, "node %d holds a receipt for %llu of a feed, the hub holds %llu",
		    p->m->no, (unsigned long long)receipted, (unsigned long long)other.seq);
	if (receipted != head->seq)
		differ(p, "an own feed is not receipted whole", unit, feed);
	return LT_OK;
}

/* Own changes that wait for a verdict; those of branches aside wait for none. */
static uint64_t
count_overlay(struct lt_kv_txn *txn)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	uint64_t n = 0;
	int rc;

	if (lt_kv_cursor_open(txn, LT_T_OVERLAY, &c) != LT_OK)
		abort();
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK; rc = lt_kv_next(c, &k, &v))
		n += (k.data[k.len - DOT_KEY + LT_ID_LEN] & LT_FEED_ASIDE) == 0;
	lt_kv_cursor_close(c);
	return n;
}

/* Are feeds, verdicts and receipts of a node all that they should be? */
static bool
same_feeds(struct pair *p)
{
	uint64_t overlay = count_overlay(p->node);

	p->same = true;
	(void)lt_feed_log_each(p->hub, NULL, compare_feed, p);
	(void)lt_feed_log_each(p->node, NULL, compare_back, p);
	if (overlay != 0) {
		if (p->same)
			(void)snprintf(p->why, sizeof(p->why),
			    "node %d: %llu own changes wait for a verdict", p->m->no,
			    (unsigned long long)overlay);
		p->same = false;
	}
	return p->same;
}

static bool
of_node(const struct pair *p, struct lt_slice key)
{
	const uint8_t *at = memchr(key.data, 0, key.len);
	struct lt_unit unit = { "" };
	size_t left, n;

	if (p->m->no == SIM_HUB)
		return true;
	if (at == NULL)
		return false;
	left = (size_t)(key.data + key.len - ++at);
	for (n = 0; n < left && at[n] != 0; n++)
		;
	if (n > LT_UNIT_MAX)
		return false;
	memcpy(unit.s, at, n);
	return may_hold(p->s, p->m, &unit);
}

/* Every row of the hub that is of the node's units stands at the node byte for byte, and no other. */
static void
compare_table(struct pair *p, unsigned table, const char *what)
{
	struct lt_slice hk, hv, nk, nv;
	struct lt_buf mem = { 0 };
	struct lt_kv_cursor *h, *n;
	int hrc, nrc;

	if (lt_kv_cursor_open(p->derived, table, &h) != LT_OK ||
	    lt_kv_cursor_open(p->node, table, &n) != LT_OK)
		abort();
	hrc = lt_kv_seek(h, lt_slice(NULL, 0), &hk, &hv);
	nrc = lt_kv_seek(n, lt_slice(NULL, 0), &nk, &nv);
	for (;;) {
		while (hrc == LT_OK && !of_node(p, hk))
			hrc = lt_kv_next(h, &hk, &hv);
		if (hrc != LT_OK || nrc != LT_OK)
			break;
		/* A node's are whole. */
		if (table == LT_T_RECORD && !lt_short_row_is(nv) &&
		    lt_record_whole(p->derived, hk, hv, &mem, &hv) != LT_OK) {
			sim_fail(p->s, "a short row of the hub is none: %.*s", (int)hk.len,
			    (const char *)hk.data);
			break;
		}
		if (!lt_slice_eq(hk, nk) || !lt_slice_eq(hv, nv)) {
			sim_fail(p->s,
			    "hub and node %d have the same feeds and other %s: %.*s and %.*s",
			    p->m->no, what, (int)hk.len, (const char *)hk.data, (int)nk.len,
			    (const char *)nk.data);
			break;
		}
		hrc = lt_kv_next(h, &hk, &hv);
		nrc = lt_kv_next(n, &nk, &nv);
	}
	if (!p->s->failed && (hrc != LT_E_NOTFOUND || nrc != LT_E_NOTFOUND))
		sim_fail(
		    p->s, "hub and node %d have the same feeds and not as many %s", p->m->no, what);
	lt_kv_cursor_close(h);
	lt_kv_cursor_close(n);
	lt_buf_fini(&mem);
}

/* What was refused or held, and whose stamps were clamped, is the same at the node. */
static int
compare_judgements(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct pair *p = ctx;
	struct lt_judgement a, b;
	struct lt_arena arena;
	uint64_t seq, at_hub, at_node;
	size_t i;

	if (!may_hold(p->s, p->m, unit))
		return LT_OK;
	for (seq = 1; seq <= head->seq && !p->s->failed; seq++) {
		bool same;

		if (lt_feed_log_find(p->hub, unit, feed, seq, &at_hub) != LT_OK ||
		    lt_feed_log_find(p->node, unit, feed, seq, &at_node) != LT_OK)
			continue;
		lt_arena_init(&arena, 1 << 20);
		same = lt_feed_log_judgement(p->hub, at_hub, &arena, &a) == LT_OK &&
		       lt_feed_log_judgement(p->node, at_node, &arena, &b) == LT_OK &&
		       a.nrefused == b.nrefused && a.nheld == b.nheld && a.clamped == b.clamped &&
		       (!a.clamped || (a.floor == b.floor && a.ceiling == b.ceiling));
		for (i = 0; same && i < a.nrefused; i++)
			same = a.refused[i]->index == b.refused[i]->index &&
			       a.refused[i]->reason == b.refused[i]->reason;
		for (i = 0; same && i < a.nheld; i++)
			same = a.held[i]->index == b.held[i]->index;
		lt_arena_fini(&arena);
		if (!same)
			sim_fail(p->s,
			    "hub and node %d judge change-set %llu of unit %s differently",
			    p->m->no, (unsigned long long)seq, unit->s);
	}
	return LT_OK;
}

static bool
pair_open(struct pair *p, struct sim *s, int node)
{
	memset(p, 0, sizeof(*p));
	p->s = s;
	p->m = &s->m[node];
	return lt_kv_begin_read(s->m[SIM_HUB].kv, &p->hub) == LT_OK &&
	       lt_kv_begin_read(s->m[SIM_HUB].derived, &p->derived) == LT_OK &&
	       lt_kv_begin_read(p->m->kv, &p->node) == LT_OK;
}

static void
pair_close(struct pair *p)
{
	lt_kv_abort(p->hub);
	lt_kv_abort(p->derived);
	lt_kv_abort(p->node);
}

bool
sim_same_feeds(struct sim *s, int machine)
{
	struct pair p;
	bool same;

	if (!pair_open(&p, s, machine))
		return false;
	same = same_feeds(&p);
	if (!same)
		(void)snprintf(s->waits_for, sizeof(s->waits_for), "%s", p.why);
	pair_close(&p);
	return same;
}

static bool
hub_is_done(const struct sim *s)
{
	return s->m[SIM_HUB].up && lt_hub_projected(s->hub) == lt_hub_log_position(s->hub) &&
	       lt_hub_knows_principals(s->hub);
}

/* Rows of one catalogue only: a node that still works them out anew is not compared. */
static bool
rows_are_done(struct sim *s, const struct sim_machine *m, struct lt_kv_txn *txn)
{
	struct lt_catalogue *at_hub = lt_hub_catalogue(s->hub), *here = lt_node_catalogue(m->node);
	bool indexed = false;
	bool done = lt_catalogue_version(at_hub) == lt_catalogue_version(here) &&
		    lt_rebuild_indexed(txn, lt_catalogue_version(here), &indexed) == LT_OK &&
		    indexed;

	lt_catalogue_unref(at_hub);
	lt_catalogue_unref(here);
	return done;
}

static void
compare_rows(struct pair *p, bool whole)
{
	if (!p->s->failed)
		(void)lt_feed_log_each(p->hub, NULL, compare_judgements, p);
	compare_table(p, LT_T_RECORD, "records");
	if (!p->s->failed && whole)
		compare_table(p, LT_T_DIGEST, "digests");
}

/* The hub and one node, unless both are as they were when it was last done. */
static void
compare_node(struct sim *s, int node, bool whole)
{
	struct sim_watch *w = s->m[node].watch;
	struct pair p;

	/* To be set up anew (hubhand.c). */
	if (!s->m[node].up || s->m[node].said_otherwise || !hub_is_done(s))
		return;
	if (!whole && w->compared_hub == s->m[SIM_HUB].watch->last && w->compared_here == w->last)
		return;
	if (!pair_open(&p, s, node))
		return;
	if (same_feeds(&p) && rows_are_done(s, p.m, p.node)) {
		compare_rows(&p, whole);
		w->compared_hub = s->m[SIM_HUB].watch->last;
		w->compared_here = w->last;
	}
	pair_close(&p);
}

void
sim_check_deep(struct sim *s)
{
	int node = 1 + (int)sim_rng_below(&s->rng, s->o.nodes != 0 ? s->o.nodes : SIM_NODES);

	if (!s->failed)
		compare_node(s, node, sim_rng_chance(&s->rng, 200));
	for (node = 1; node < SIM_MACHINES && !s->failed; node++)
		sim_check_histories(s, node);
}

/* ---- the end ---- */

/* Nothing that anybody has is missing, and what nobody has is told from what is missing. */
static uint64_t
count_held(struct sim *s)
{
	struct lt_kv_txn *txn;
	uint64_t held = 0;

	if (lt_kv_begin_read(s->m[SIM_HUB].kv, &txn) != LT_OK)
		abort();
	if (lt_kv_count(txn, LT_T_HELD, &held) != LT_OK)
		abort();
	lt_kv_abort(txn);
	return held;
}

bool
sim_converged(struct sim *s)
{
	struct pair p;
	bool all = true;
	int i;

	if (!hub_is_done(s)) {
		(void)snprintf(s->waits_for, sizeof(s->waits_for), "the hub is not done");
		return false;
	}
	if (s->o.copies != 0 &&
	    (!sim_hub_goes_on(s) || !sim_copies_settle(s) || !sim_hub_remedy(s)))
		return false;
	for (i = 1; i <= SIM_NODES && all; i++) {
		if (!s->m[i].enrolled)
			continue;
		if (!s->m[i].up || !pair_open(&p, s, i)) {
			(void)snprintf(s->waits_for, sizeof(s->waits_for), "node %d is down", i);
			return false;
		}
		all = same_feeds(&p) && rows_are_done(s, p.m, p.node);
		if (!all)
			(void)snprintf(s->waits_for, sizeof(s->waits_for), "%s",
			    p.why[0] != '\0' ? p.why : "rows are worked out anew");
		pair_close(&p);
		all = all && (s->o.copies == 0 ||
				 sim_branches_ruled(s, i, s->waits_for, sizeof(s->waits_for)));
	}
	/* What named a branch that does not count is refused when a machine of its author has told what it has. */
	if (all && !s->hub_forked && count_held(s) != 0) {
		(void)snprintf(s->waits_for, sizeof(s->waits_for), "the hub still holds back dots");
		return false;
	}
	return all;
}

/* Every entry of the hub's log once more into an empty store, feeds mixed in another order than they came in. */
struct replay {
	struct sim *s;
	struct lt_kv_txn *log;
	struct lt_projection *proj;
	struct lt_registry *reg;
	size_t n;
	struct {
		struct lt_unit unit;
		struct lt_feed_id feed;
		uint64_t next, last;
	} feed[FEEDS_MAX];
};

static int
note_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct replay *r = ctx;

	if (r->n == FEEDS_MAX)
		return LT_E_TOOBIG;
	r->feed[r->n].unit = *unit;
	r->feed[r->n].feed = *feed;
	r->feed[r->n].next = 1;
	r->feed[r->n].last = head->seq;
	r->n++;
	return LT_OK;
}

static int
replay_one(struct replay *r, size_t f)
{
	struct lt_id author = lt_feed_author(&r->feed[f].feed);
	struct lt_judgement j;
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	Ltpb__ReasonCode reason;
	uint64_t position;
	uint32_t i;
	int rc;

	lt_arena_init(&arena, (size_t)64 << 20);
	rc = lt_feed_log_find(
	    r->log, &r->feed[f].unit, &r->feed[f].feed, r->feed[f].next++, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_read(r->log, position, &e);
	if (rc == LT_OK)
		rc = lt_changeset_parse(e.changeset, &arena, &cs, NULL);
	if (rc == LT_OK)
		rc = lt_feed_log_judgement(r->log, position, &arena, &j);
	for (i = 0; rc == LT_OK && i < cs.nchange; i++) {
		struct lt_merge_change mc = { .dot = { cs.feed, cs.seq, i },
			.stamp = lt_judgement_stamp(&j, cs.stamp),
			.hash8 = lt_load_u64(cs.hash.b),
			.by_hub = lt_registry_is_hub(r->reg, &author),
			.change = &cs.change[i] };

		if (lt_act_is_consumed(cs.change[i].collection) ||
		    lt_judgement_refuses(&j, i, &reason) || lt_judgement_holds(&j, i))
			continue;
		rc = lt_projection_add(r->proj, &cs.unit, &mc, position);
		if (rc == LT_E_UNKNOWN || rc == LT_E_TOOBIG || rc == LT_E_INVALID)
			rc = LT_OK;
	}
	lt_arena_fini(&arena);
	return rc;
}

static int
replay_all(struct replay *r)
{
	size_t left = r->n, f;
	int rc = LT_OK;

	while (rc == LT_OK && left > 0) {
		f = sim_rng_below(&r->s->rng, r->n);
		while (r->feed[f].next > r->feed[f].last)
			f = (f + 1) % r->n;
		rc = replay_one(r, f);
		left -= r->feed[f].next > r->feed[f].last;
	}
	return rc;
}

static void
check_replay(struct sim *s)
{
	struct lt_kv_options ko = { .kind = LT_KV_HUB_DERIVED,
		.federation = s->m[SIM_HUB].id.federation.b,
		.tables = lt_table_names };
	struct lt_catalogue *cat = lt_hub_catalogue(s->hub);
	struct replay r = { .s = s, .reg = lt_hub_registry(s->hub) };
	struct sim_machine all = { .no = SIM_HUB };
	struct lt_projection_options po = { .catalogue = cat,
		.province = *lt_hub_province(s->hub) };
	struct pair p = { .s = s, .m = &all };
	struct lt_kv *fresh = NULL;
	struct lt_err err = { "" };
	int rc = lt_kv_open_mem(&ko, &fresh, &err);

	if (rc == LT_OK)
		rc = lt_kv_begin_read(s->m[SIM_HUB].kv, &r.log);
	if (rc == LT_OK)
		rc = lt_kv_begin_write(fresh, &p.node);
	po.log = r.log;
	po.derived = p.node;
	if (rc == LT_OK)
		rc = lt_feed_log_each(r.log, NULL, note_feed, &r);
	if (rc == LT_OK)
		rc = lt_projection_begin(&po, &r.proj);
	if (rc == LT_OK)
		rc = replay_all(&r);
	if (rc == LT_OK)
		rc = lt_projection_flush(r.proj, NULL, NULL);
	else
		lt_projection_abort(r.proj);
	if (rc != LT_OK)
		sim_fail(s, "the hub's log cannot be worked out anew: %s", lt_strerror(rc));
	if (rc == LT_OK && lt_kv_begin_read(s->m[SIM_HUB].derived, &p.derived) == LT_OK) {
		compare_table(&p, LT_T_RECORD, "records (worked out anew)");
		if (!s->failed)
			compare_table(&p, LT_T_DIGEST, "digests (worked out anew)");
		if (!s->failed)
			compare_table(&p, LT_T_SHOWN, "shown values (worked out anew)");
		if (!s->failed)
			compare_table(&p, LT_T_INDEX, "index entries (worked out anew)");
		lt_kv_abort(p.derived);
	}
	lt_kv_abort(p.node);
	lt_kv_abort(r.log);
	lt_kv_close(fresh);
	lt_catalogue_unref(cat);
	lt_registry_unref(r.reg);
}

/* ---- nothing twice, nothing lost ---- */

/* That counts: never 0. */
static uint64_t
stamp_at(struct lt_kv_txn *txn, uint64_t position, uint64_t stamp)
{
	struct lt_judgement j;
	struct lt_arena arena;

	lt_arena_init(&arena, 1 << 20);
	if (lt_feed_log_judgement(txn, position, &arena, &j) == LT_OK)
		stamp = lt_judgement_stamp(&j, stamp);
	lt_arena_fini(&arena);
	return stamp;
}

static int
count_tokens(struct sim *s, struct lt_kv_txn *txn, struct sim_machine *m, uint64_t *seen)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t last = 0, at;
	size_t i, k;
	int rc = lt_feed_log_last(txn, &last);

	for (at = 1; rc == LT_OK && at <= last; at++) {
		lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
		rc = lt_feed_log_read(txn, at, &e);
		if (rc == LT_OK)
			rc = lt_changeset_parse(e.changeset, &arena, &cs, NULL);
		for (i = 0; rc == LT_OK && i < cs.nchange; i++)
			for (k = 0; k < cs.change[i].nset; k++) {
				const Ltpb__FieldSet *f = cs.change[i].set[k].pb;
				uint64_t t;

				if (strcmp(f->name, "token") != 0)
					continue;
				t = strtoull(f->value->text + 1, NULL, 10);
				if (t > s->next_token)
					continue;
				if (seen[t] == 0)
					seen[t] = stamp_at(txn, at, cs.stamp);
				else
					sim_fail(s, "machine %d holds one write twice: %s/%s t%llu",
					    m->no, cs.change[i].collection, cs.change[i].key,
					    (unsigned long long)t);
			}
		lt_arena_fini(&arena);
	}
	return rc;
}

static void
check_tokens(struct sim *s)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	uint64_t *seen = calloc(s->next_token + 1, sizeof(*seen));
	struct lt_kv_txn *txn;
	size_t k;
	int i;

	if (seen == NULL || lt_kv_begin_read(hub->kv, &txn) != LT_OK)
		abort();
	if (count_tokens(s, txn, hub, seen) != LT_OK)
		sim_fail(s, "the hub's log cannot be read");
	for (i = 1; i < SIM_MACHINES; i++)
		for (k = 0; k < s->m[i].nsaved && !s->failed && !s->m[i].thief; k++) {
			const struct sim_saved *v = &s->m[i].saved[k];

			if (sim_disk_has(hub, &s->m[i].unit, v))
				continue;
			if (sim_is_forkable(s, &v->dot.feed))
				sim_check_aside(s, i, v, seen);
			else
				sim_fail(s, "%s/%s of node %d was saved and never came to the hub",
				    v->collection, v->key, i);
		}
	lt_kv_abort(txn);
	free(seen);
}

/* What the hub gave a receipt for is what it has, restored or not. */
static void
check_receipts(struct sim *s)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	struct lt_kv_txn *txn;
	struct lt_hash have;
	size_t i;
	int k;

	if (lt_kv_begin_read(hub->kv, &txn) != LT_OK)
		abort();
	for (i = 0; i < s->ledger->cap && !s->failed; i++) {
		const struct authored *a = &s->ledger->at[i];
		struct lt_id author = lt_feed_author(&a->feed);

		for (k = 1; a->used && a->receipted && k <= SIM_NODES; k++)
			if (lt_id_eq(&author, &s->m[k].id.principal) &&
			    (lt_feed_log_hash(txn, &s->m[k].unit, &a->feed, a->seq, &have) !=
				    LT_OK ||
				!lt_hash_eq(&have, &a->hash)))
				sim_fail(s,
				    "the hub gave a receipt for change-set %llu of node %d and has "
				    "it "
				    "no more",
				    (unsigned long long)a->seq, k);
	}
	lt_kv_abort(txn);
}

static void
check_held(struct sim *s)
{
	uint64_t held = count_held(s);

	if (held != 0 && !s->hub_forked)
		sim_fail(s, "the hub still holds back %llu dots though everything is here",
		    (unsigned long long)held);
}

/* ---- a scrub finds nothing ---- */

#define SCRUB_STEPS 1000000

static int
scrub_round(const struct lt_scrub_options *o, struct lt_node *node, struct lt_scrub_status *st)
{
	struct lt_scrub *scrub = NULL;
	bool done = false;
	unsigned steps;
	int rc = lt_scrub_open(o, &scrub);

	if (rc != LT_OK)
		return rc;
	lt_scrub_restart(scrub, true);
	for (steps = 0; rc == LT_OK && !done && steps < SCRUB_STEPS; steps++) {
		rc = lt_scrub_step(scrub, NULL, &done);
		/* As its thread does: again, when what is under way has gone on. */
		if (rc == LT_E_UNAVAILABLE && node != NULL && lt_node_step(node))
			rc = LT_OK;
	}
	lt_scrub_status(scrub, st);
	lt_scrub_close(scrub);
	return rc != LT_OK || done ? rc : LT_E_TIMEOUT;
}

static void
check_scrub(struct sim *s, int no)
{
	struct lt_scrub_status *st = calloc(1, sizeof(*st));
	struct lt_scrub_options o;
	int rc;

	if (st == NULL)
		abort();
	if (no == SIM_HUB)
		lt_hub_scrub_options(s->hub, &o);
	else if (s->m[no].node != NULL)
		lt_node_scrub_options(s->m[no].node, &o);
	else
		goto out;
	rc = scrub_round(&o, no == SIM_HUB ? NULL : s->m[no].node, st);
	if (rc != LT_OK)
		sim_fail(s, "machine %d cannot be scrubbed: %s", no, lt_strerror(rc));
	else if (st->nfinding != 0)
		sim_fail(s, "a scrub of machine %d finds %zu: %s in table %s", no, st->nfinding,
		    lt_scrub_what_name(st->finding[0].what), lt_table_names[st->finding[0].table]);
out:
	free(st);
}

void
sim_check_end(struct sim *s)
{
	int i;

	for (i = 0; i < SIM_MACHINES; i++)
		sim_check_step(s, i);
	for (i = 1; i < SIM_MACHINES && !s->failed; i++)
		sim_check_histories(s, i);
	for (i = 1; i <= SIM_NODES && !s->failed; i++)
		compare_node(s, i, (unsigned)i <= s->o.nodes || i > SIM_NODES - SIM_LATE);
	if (!s->failed && (s->o.restores != 0 || s->o.copies != 0))
		sim_check_forks(s);
	if (!s->failed)
		check_receipts(s);
	if (!s->failed)
		check_held(s);
	if (!s->failed)
		check_tokens(s);
	if (!s->failed)
		check_replay(s);
	for (i = 0; i <= SIM_NODES && !s->failed; i++)
		check_scrub(s, i);
	if (!s->failed)
		sim_two_faces(s);
}
