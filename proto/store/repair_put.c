/* What a peer gave is put back, and what needs no peer is put right: in the writer's transaction, where everything is looked at once
 * more. */
#include "proto/store/repair_impl.h"

#include "proto/base/log.h"
#include "proto/store/damage_bug.h"
#include "proto/store/entry_check.h"
#include "proto/store/erase.h"
#include "proto/store/kv_sums.h"

#include <string.h>

#define HEAD_JUDGED_BACK 64 /* numbers below the head that its judged mark is looked for among */

/* ---- sums ---- */

/* The sums of a segment say what was written to it, so what comes back was counted before. The segment is read once, before anything is
 * written to it; what is here afterwards follows from how what it says has changed. */
struct sums {
	unsigned table;
	uint8_t key[8];
	size_t key_len;
	bool astray; /* it did not hold what it should */
	uint64_t count, sum; /* what it should */
	uint64_t had; /* rows that it held before */
	uint64_t n, seen; /* rows that it holds, and their sum */
	uint64_t damaged; /* of them, those that do not verify */
};

static struct lt_slice
sums_key(const struct sums *g)
{
	return lt_slice(g->key, g->key_len);
}

static int
sums_before(struct lt_kv_txn *txn, unsigned table, uint64_t position, struct sums *g)
{
	int rc;

	memset(g, 0, sizeof(*g));
	g->table = table;
	if (!lt_kv_summed(txn->kv, table))
		return LT_OK;
	if (position != 0) {
		lt_store_u64(g->key, position);
		g->key_len = sizeof(g->key);
	}
	rc = lt_kv_sums_said(txn, table, sums_key(g), &g->count, &g->sum);
	/* The row itself is damaged: nothing is known, and it stays so. */
	if (rc != LT_OK)
		return rc == LT_E_CORRUPT ? LT_OK : rc;
	rc = lt_kv_sums_seen(txn, table, sums_key(g), &g->n, &g->seen, &g->damaged);
	g->had = g->n;
	g->astray = g->damaged != 0 || g->n != g->count || g->seen != g->sum;
	return rc;
}

/* Of a row that is about to be written over or dropped. */
static void
sums_mend(struct lt_kv_txn *txn, struct sums *g, struct lt_slice key)
{
	struct lt_slice v;

	if (g->damaged != 0 && lt_kv_get(txn, g->table, key, &v) == LT_E_CORRUPT)
		g->damaged--;
}

/* Rows were written, or dropped, and nothing was said of the sums besides. */
static int
sums_after(struct lt_kv_txn *txn, struct sums *g)
{
	uint64_t count, sum;
	int rc = lt_kv_sums_said(txn, g->table, sums_key(g), &count, &sum);

	g->n += count - g->count;
	g->seen += sum - g->sum;
	return rc;
}

/* From now on the segment should hold this. */
static int
sums_say(struct lt_kv_txn *txn, const struct sums *g, uint64_t count, uint64_t sum)
{
	uint64_t n, was;
	int rc = lt_kv_sums_said(txn, g->table, sums_key(g), &n, &was);

	return rc == LT_OK ? lt_kv_sums_change(txn, g->table, sums_key(g), count - n, sum - was)
			   : rc;
}

/* From now on it should hold what is here. */
static int
sums_say_seen(struct lt_kv_txn *txn, const struct sums *g)
{
	return sums_say(txn, g, g->n, g->seen);
}

/* Rows were put. As many as there should be, and every one verifies: the sum is that of what is here, for a row may have come
 * back in another state than it had (a leaf for a value), and one that was dropped took a damaged checksum with it.
 * fresh: nothing of the change-set was here, and it may be that it came without: then only the sum tells whether they are rows that were
 * lost, or new ones. *unsettled: nothing tells it now; when nothing is missing any more, lt_repair_run_settle() does. */
static int
sums_put(struct lt_kv_txn *txn, struct sums *g, bool fresh, bool *unsettled)
{
	bool as_many, came;
	int rc;

	if (!g->astray)
		return LT_OK;
	rc = sums_after(txn, g);
	if (rc != LT_OK)
		return rc;
	as_many = g->n == g->count && (!fresh || g->seen == g->sum);
	came = fresh && g->had == g->count;
	if (g->damaged == 0 && (as_many || came))
		return sums_say_seen(txn, g);
	*unsettled = true;
	/* What was lost had been counted. */
	return g->had < g->count ? sums_say(txn, g, g->count, g->sum) : LT_OK;
}

/* Rows were dropped for good, sound or not. Of those only the number is known: when that is all there was, the rest is what it should be. */
static int
sums_dropped(struct lt_kv_txn *txn, struct sums *g, uint64_t dropped)
{
	int rc;

	if (!g->astray)
		return LT_OK;
	rc = sums_after(txn, g);
	return rc == LT_OK && g->damaged == 0 && g->n == g->count - dropped ? sums_say_seen(txn, g)
									    : rc;
}

/* ---- does it fit? ---- */

/* What else than its signature says that it stood there. */
struct fit {
	struct lt_kv_txn *txn;
	const struct lt_repair_put *put;
	unsigned links;
	bool wrong;
};

static int
link_says(struct fit *f, int rc, bool same)
{
	if (rc == LT_OK) {
		f->links++;
		f->wrong |= !same;
		return LT_OK;
	}
	return rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND || rc == LT_E_INVALID || rc == LT_E_TOOBIG
		   ? LT_OK
		   : rc;
}

/* This one only speaks against it: whatever its author signs on the one before fits there as well, a second branch too. */
static int
fit_before(struct fit *f)
{
	const struct lt_changeset *cs = f->put->cs;
	struct lt_feed_id feed = lt_repair_feed(&cs->feed, f->put->aside);
	struct lt_hash before;
	unsigned links = f->links;
	int rc;

	if (cs->seq == 1)
		return LT_OK; /* the parser wants zeros there */
	rc = lt_feed_log_hash(f->txn, &cs->unit, &feed, cs->seq - 1, &before);
	if (rc == LT_E_NOTFOUND && f->put->aside)
		rc = lt_feed_log_hash(f->txn, &cs->unit, &cs->feed, cs->seq - 1, &before);
	rc = link_says(f, rc, rc == LT_OK && lt_hash_eq(&before, &cs->prev));
	f->links = links;
	return rc;
}

static int
fit_behind(struct fit *f)
{
	const struct lt_changeset *cs = f->put->cs;
	struct lt_feed_id feed = lt_repair_feed(&cs->feed, f->put->aside);
	struct lt_changeset next;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t position;
	int rc = lt_feed_log_find(f->txn, &cs->unit, &feed, cs->seq + 1, &position);

	if (rc == LT_OK)
		rc = lt_feed_log_read(f->txn, position, &e);
	if (rc != LT_OK)
		return link_says(f, rc, false);
	lt_arena_init(&arena, LT_REPAIR_ARENA);
	rc = lt_changeset_open(e.changeset, &arena, &next);
	/* A row that leads to something else says nothing of this feed. */
	if (rc == LT_OK &&
	    (!lt_unit_eq(&next.unit, &cs->unit) || lt_feed_id_cmp(&next.feed, &cs->feed) != 0 ||
		next.seq != cs->seq + 1))
		rc = LT_E_CORRUPT;
	rc = link_says(f, rc, rc == LT_OK && lt_hash_eq(&next.prev, &cs->hash));
	lt_arena_fini(&arena);
	return rc;
}

static int
fit_head(struct fit *f)
{
	const struct lt_changeset *cs = f->put->cs;
	struct lt_head head;
	int rc;

	if (f->put->aside)
		return LT_OK;
	rc = lt_feed_log_head(f->txn, &cs->unit, &cs->feed, &head);
	if (rc == LT_OK && head.seq != 0 && head.seq < cs->seq)
		f->wrong = true;
	if (rc == LT_OK && head.seq != cs->seq)
		return LT_OK;
	return link_says(f, rc, rc == LT_OK && lt_hash_eq(&head.hash, &cs->hash));
}

static bool
is_next(const struct lt_repair_put *put, const struct lt_repair_candidate *c, uint64_t seq)
{
	return c->given && c->seq == seq && c->aside == put->aside &&
	       lt_unit_eq(&c->unit, &put->cs->unit) &&
	       lt_feed_id_cmp(&c->feed, &put->cs->feed) == 0;
}

/* Of the candidates with this number those that name one of these: *n of them, at most LT_REPAIR_CANDIDATES; in their place. */
static void
next_of(const struct lt_repair_put *put, uint64_t seq, struct lt_hash *hash, size_t *n)
{
	struct lt_hash next[LT_REPAIR_CANDIDATES];
	size_t i, k, m = 0;

	for (i = 0; i < put->ncandidate && m < LT_REPAIR_CANDIDATES; i++) {
		const struct lt_repair_candidate *c = &put->candidate[i];

		if (!is_next(put, c, seq))
			continue;
		for (k = 0; k < *n && !lt_hash_eq(&c->prev, &hash[k]); k++)
			;
		if (k < *n)
			next[m++] = c->hash;
	}
	memcpy(hash, next, m * sizeof(next[0]));
	*n = m;
}

/* Those behind it in its feed are missing as well, and given: does a chain of them, each naming the one before, end in what is here? */
static int
fit_chain(struct fit *f)
{
	struct lt_hash hash[LT_REPAIR_CANDIDATES] = { f->put->cs->hash };
	struct lt_changeset at = *f->put->cs;
	struct lt_repair_put put = *f->put;
	size_t i, n = 1;
	int rc = LT_OK;

	put.cs = &at;
	while (rc == LT_OK && n != 0 && f->links == 0) {
		next_of(&put, ++at.seq, hash, &n);
		for (i = 0; rc == LT_OK && i < n && f->links == 0; i++) {
			struct fit end = { .txn = f->txn, .put = &put };

			at.hash = hash[i];
			rc = fit_behind(&end);
			if (rc == LT_OK)
				rc = fit_head(&end);
			f->links += rc == LT_OK && end.links != 0 && !end.wrong;
		}
	}
	return rc;
}

/* The running hash of the next position is made of this one's. */
static int
fit_running(struct fit *f, uint64_t position, const struct lt_hash *running)
{
	struct lt_repair_near at = { .here = true, .running = *running }, next;
	int rc = lt_repair_near(f->txn, position + 1, &next);

	if (rc == LT_OK && next.here)
		rc = link_says(f, LT_OK, lt_repair_follows(&at, &next, position + 1));
	return rc;
}

static int
fits(struct lt_kv_txn *txn, const struct lt_repair_put *put, uint64_t position,
    const struct lt_hash *running)
{
	struct fit f = { .txn = txn, .put = put };
	int rc = fit_running(&f, position, running);

	/* Where it stood is not known: the running hash alone can say that it is here. */
	if (rc == LT_OK && put->position == 0 && f.links == 0)
		return LT_E_GAP;
	if (rc == LT_OK)
		rc = fit_before(&f);
	if (rc == LT_OK)
		rc = fit_behind(&f);
	if (rc == LT_OK)
		rc = fit_head(&f);
	if (rc == LT_OK && f.links == 0 && !f.wrong)
		rc = fit_chain(&f);
	if (rc == LT_OK && f.wrong)
		return LT_E_BADHASH;
	return rc == LT_OK && f.links == 0 ? LT_E_GAP : rc;
}

/* ---- openings ---- */

#define SEED_CHANGE UINT32_MAX /* of the row with a change-set's seed (opening.c) */

static struct lt_slice
opening_row(struct lt_log_key *k, uint64_t position, uint32_t change, const char *field)
{
	k->len = 0;
	lt_log_key_u64(k, position);
	lt_log_key_u32(k, change);
	lt_log_key_put(k, field, strlen(field));
	return lt_log_key_slice(k);
}

/* What a row becomes; NONE: this peer does not have it. */
static int
becomes(struct lt_kv_txn *txn, const struct lt_repair_put *put, const struct lt_opening *given,
    const char *collection, enum lt_opening_state *out)
{
	const struct lt_changeset *cs = put->cs;
	const struct lt_repairer_options *o = put->o;
	bool named = false;
	int rc = LT_OK;

	if (!put->aside)
		rc = lt_erase_names(txn, cs, given->change, given->name, &named);
	if (named)
		*out = LT_OPENING_ERASED;
	else if (o->may_open != NULL && !o->may_open(o->ctx, &cs->unit, collection, given->name))
		*out = LT_OPENING_WITHHELD; /* also where a peer gave the value */
	else if (!given->withheld)
		*out = LT_OPENING_HERE;
	else
		*out = LT_OPENING_NONE;
	return rc;
}

static int
put_opening(struct lt_kv_txn *txn, struct lt_repair_put *put, const struct lt_opening *given,
    struct sums *g)
{
	const struct lt_changeset *cs = put->cs;
	const struct lt_change *c = &cs->change[given->change];
	struct lt_leaf_place place = { .unit = &cs->unit,
		.feed = &cs->feed,
		.seq = cs->seq,
		.index = given->change,
		.collection = c->collection,
		.key = c->key,
		.field = given->name };
	enum lt_opening_state state;
	struct lt_log_key k;
	struct lt_hash leaf;
	int rc = lt_opening_leaf(txn, &place, put->at, &state, &leaf);

	/* Sound: it stays as it is. */
	if (rc == LT_OK && state != LT_OPENING_NONE && lt_hash_eq(&leaf, &given->leaf))
		return LT_OK;
	if (rc == LT_OK || rc == LT_E_CORRUPT)
		rc = becomes(txn, put, given, c->collection, &state);
	if (rc != LT_OK)
		return rc;
	if (state == LT_OPENING_NONE) {
		put->left++;
		return LT_OK;
	}
	put->rows++;
	sums_mend(txn, g, opening_row(&k, put->at, given->change, given->name));
	return lt_opening_put_back(txn, given, put->at, state);
}

/* How many openings of it are here, damaged ones among them; LT_OK. */
static int
count_here(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position, size_t *here)
{
	enum lt_opening_state state;
	size_t i, f;
	int rc;

	*here = 0;
	for (i = 0; i < cs->nchange; i++)
		for (f = 0; f < cs->change[i].npersonal; f++) {
			rc = lt_opening_state(
			    txn, position, (uint32_t)i, cs->change[i].personal[f], &state);
			if (rc != LT_OK && rc != LT_E_CORRUPT)
				return rc;
			*here += rc == LT_E_CORRUPT || state != LT_OPENING_NONE;
		}
	return LT_OK;
}

/* A node has change-sets of others that came without any. */
static bool
may_lack(const struct lt_repairer_options *o, const struct lt_changeset *cs)
{
	struct lt_id author = lt_feed_author(&cs->feed);

	return o->may_open != NULL && !lt_id_eq(&author, o->self);
}

static int
put_openings(struct lt_kv_txn *txn, struct lt_repair_put *put)
{
	struct sums g;
	size_t i, here = 0;
	uint64_t weeds = 0, seeds = 0;
	int rc = lt_repair_openings_weed(txn, put->cs, put->at, &weeds, &seeds);

	if (rc == LT_OK)
		rc = sums_before(txn, LT_T_OPENING, put->at, &g);
	if (rc == LT_OK)
		rc = count_here(txn, put->cs, put->at, &here);
	for (i = 0; rc == LT_OK && i < put->cs->nopening; i++)
		rc = put_opening(txn, put, &put->cs->opening[i], &g);
	if (rc == LT_OK && put->rows != 0)
		rc = sums_put(txn, &g, here == 0 && may_lack(put->o, put->cs), &put->unsettled);
	/* And the seed, from which salts of what is erased could be told. */
	if (rc == LT_OK && !put->aside && put->rows != 0)
		rc = lt_erase_again(txn, put->cs, put->at);
	return rc;
}

/* ---- settling ---- */

/* What a segment of the openings holds when it is complete. */
struct complete {
	const struct lt_repairer_options *o;
	bool yes;
	bool without; /* a change-set is without any: whether they were lost nothing here tells */
	uint64_t rows;
};

static int
add_seed(struct lt_kv_txn *txn, uint64_t position, uint64_t *rows)
{
	struct lt_log_key k;
	struct lt_slice v;
	int rc = lt_kv_get(txn, LT_T_OPENING, opening_row(&k, position, SEED_CHANGE, ""), &v);

	*rows += rc == LT_OK;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
add_position(struct lt_kv_txn *txn, struct complete *c, uint64_t position)
{
	struct lt_repair_place p;
	struct lt_arena arena;
	size_t here = 0;
	int rc;

	lt_arena_init(&arena, LT_REPAIR_ARENA);
	rc = lt_repair_look_at(txn, c->o, position, &arena, &p);
	c->yes = rc == LT_OK && p.sound && !p.openings && !p.seed_damaged && !p.erased_here;
	if (c->yes) {
		rc = count_here(txn, &p.cs, position, &here);
		if (rc == LT_OK)
			rc = add_seed(txn, position, &c->rows);
		c->rows += here;
		c->without |= lt_entry_leaves(&p.cs) != 0 && here == 0;
	}
	lt_arena_fini(&arena);
	return rc;
}

int
lt_repair_run_settle(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_repair_settle *s = ctx;
	struct complete c = { .o = s->o, .yes = true };
	uint64_t position = s->position & ~(uint64_t)(LT_REPAIR_SEGMENT - 1), last, end;
	struct sums g;
	int rc = sums_before(txn, LT_T_OPENING, s->position, &g);

	s->settled = false;
	if (rc == LT_OK)
		rc = lt_feed_log_last(txn, &last);
	if (rc != LT_OK || !g.astray || g.damaged != 0)
		return rc;
	end = position + LT_REPAIR_SEGMENT;
	if (position == 0)
		position = 1;
	for (; rc == LT_OK && c.yes && position < end && position <= last; position++)
		rc = add_position(txn, &c, position);
	/* Every row stands for a leaf that was signed, and none besides. Fewer than there should be, or as many but others, where some
	 * may have been lost unseen: that stays reported. */
	if (rc != LT_OK || !c.yes || c.rows != g.n || (c.without && g.n <= g.count))
		return rc;
	s->settled = true;
	return sums_say_seen(txn, &g);
}

/* ---- the entry ---- */

static int
put_entry(struct lt_kv_txn *txn, struct lt_repair_put *put, uint64_t position)
{
	const struct lt_changeset *cs = put->cs;
	struct lt_repair_near before, next;
	struct lt_hash running;
	struct lt_feed_id feed = lt_repair_feed(&cs->feed, put->aside);
	uint64_t arrival, to = 0;
	int rc = lt_repair_near(txn, position - 1, &before);

	if (rc == LT_OK && !before.here)
		return LT_E_GAP;
	if (rc == LT_OK)
		rc = lt_repair_near(txn, position + 1, &next);
	if (rc != LT_OK)
		return rc;
	lt_feed_log_running(&before.running, position, &cs->hash, &running);
	rc = fits(txn, put, position, &running);
	if (rc != LT_OK)
		return rc;
	arrival = position > 1 ? before.arrival_ms
		  : next.here  ? next.arrival_ms
			       : (uint64_t)lt_wall_ms(put->o->clock);
	rc = lt_feed_log_find(txn, &cs->unit, &feed, cs->seq, &to);
	if (rc == LT_OK && to != position)
		return LT_E_REFUSED; /* its number leads to another entry */
	if (rc != LT_OK && rc != LT_E_NOTFOUND && rc != LT_E_CORRUPT)
		return rc;
	put->entry = true;
	if (rc != LT_OK)
		rc = lt_seq_put_back(txn, &cs->unit, &feed, cs->seq, position);
	return rc == LT_OK ? lt_entry_put_back(txn, cs, position, arrival, &running) : rc;
}

/* One position; LT_E_NOTFOUND: nothing is missing there. */
static int
put_at(struct lt_kv_txn *txn, struct lt_repair_put *put, uint64_t position)
{
	struct lt_repair_place place;
	struct lt_arena arena;
	uint64_t removed;
	int rc;

	lt_arena_init(&arena, LT_REPAIR_ARENA);
	rc = lt_repair_look_at(txn, put->o, position, &arena, &place);
	put->at = position;
	if (rc == LT_OK && place.sound && !place.openings)
		rc = LT_E_NOTFOUND;
	else if (rc == LT_OK && place.sound && !lt_hash_eq(&place.cs.hash, &put->cs->hash))
		rc = LT_E_BADHASH;
	else if (rc == LT_OK && !place.sound)
		rc = put_entry(txn, put, position);
	lt_arena_clear(&arena);
	if (rc == LT_OK && put->cs->has_openings && !LT_DAMAGE_BUG(REPAIR_HALF))
		rc = put_openings(txn, put);
	/* What was noted of it may have been lost with it. */
	if (rc == LT_OK && put->entry && put->by_hub && !put->aside)
		rc = lt_erase_acts(txn, put->cs, &removed);
	/* What is here now: it may be that nothing more was missing. */
	if (rc == LT_OK)
		rc = lt_repair_look_at(txn, put->o, position, &arena, &place);
	if (rc == LT_OK && !place.sound)
		rc = LT_E_BADHASH;
	if (rc == LT_OK && place.openings && put->left == 0)
		put->left = 1;
	if (rc == LT_OK && !place.openings)
		put->left = 0;
	if (rc == LT_OK && !put->entry && put->rows == 0)
		rc = LT_E_REFUSED;
	lt_arena_fini(&arena);
	return rc;
}

static int
run_put(struct lt_kv_txn *txn, struct lt_repair_put *put)
{
	size_t i;
	int rc, no = LT_E_NOTFOUND;

	if (put->position != 0)
		return put_at(txn, put, put->position);
	for (i = 0; i < put->nlost; i++) {
		rc = put_at(txn, put, put->lost[i]);
		if (put->entry || (rc != LT_E_NOTFOUND && rc != LT_E_GAP && rc != LT_E_REFUSED &&
				      rc != LT_E_BADHASH))
			return rc;
		if (no != LT_E_GAP && rc != LT_E_NOTFOUND)
			no = rc == LT_E_GAP ? rc : LT_E_REFUSED;
	}
	return no;
}

/* A job that fails has all that share its transaction done again, one by one: not for what a peer sends. */
int
lt_repair_run_put(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_repair_put *put = ctx;
	int rc;

	put->entry = put->unsettled = false;
	put->rows = put->left = 0;
	put->rc = LT_OK;
	rc = run_put(txn, put);
	if (put->entry || put->rows != 0)
		return rc;
	switch (rc) {
	case LT_E_NOTFOUND:
	case LT_E_GAP:
	case LT_E_REFUSED:
	case LT_E_BADHASH:
		put->rc = rc;
		return LT_OK;
	default:
		return rc;
	}
}

/* ---- without a peer ---- */

static int
mend_openings(struct lt_kv_txn *txn, const struct lt_repair_place *p, uint64_t *rows)
{
	struct lt_log_key k;
	struct sums g;
	int rc = sums_before(txn, LT_T_OPENING, p->position, &g);

	/* The salts stand in the rows. */
	if (rc == LT_OK && p->seed_damaged) {
		++*rows;
		sums_mend(txn, &g, opening_row(&k, p->position, SEED_CHANGE, ""));
		rc = lt_opening_erase_seed(txn, p->position);
		if (rc == LT_OK)
			rc = sums_dropped(txn, &g, 1);
	}
	if (rc == LT_OK && p->erased_here) {
		++*rows;
		rc = lt_erase_again(txn, &p->cs, p->position);
	}
	return rc;
}

/* What the sums of the segment lack then is to be put back, but for seeds. */
static int
weed(struct lt_kv_txn *txn, const struct lt_repair_place *p, uint64_t *rows)
{
	uint64_t seeds = 0;
	struct sums g;
	int rc = lt_repair_openings_weed(txn, &p->cs, p->position, rows, &seeds);

	if (rc == LT_OK && seeds != 0)
		rc = sums_before(txn, LT_T_OPENING, p->position, &g);
	if (rc == LT_OK && seeds != 0 && g.astray)
		rc = sums_dropped(txn, &g, seeds);
	return rc;
}

static int
mend_one(struct lt_kv_txn *txn, const struct lt_repair_mend *m, uint64_t position, uint64_t *rows)
{
	struct lt_repair_place p;
	struct lt_arena arena;
	struct lt_feed_id feed;
	int rc;

	lt_arena_init(&arena, LT_REPAIR_ARENA);
	rc = lt_repair_look_at(txn, m->o, position, &arena, &p);
	if (rc == LT_OK && p.sound && p.way == LT_REPAIR_NO_WAY) {
		feed = lt_repair_feed(&p.cs.feed, p.aside);
		++*rows;
		rc = lt_seq_put_back(txn, &p.cs.unit, &feed, p.cs.seq, position);
		/* What was borrowed of the transaction is gone. */
		lt_arena_clear(&arena);
		if (rc == LT_OK)
			rc = lt_repair_look_at(txn, m->o, position, &arena, &p);
	}
	if (rc == LT_OK && p.sound && p.nobodys) {
		rc = weed(txn, &p, rows);
		lt_arena_clear(&arena);
		if (rc == LT_OK)
			rc = lt_repair_look_at(txn, m->o, position, &arena, &p);
	}
	if (rc == LT_OK && p.sound && (p.erased_here || p.seed_damaged))
		rc = mend_openings(txn, &p, rows);
	lt_arena_fini(&arena);
	return rc;
}

int
lt_repair_run_mend(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_repair_mend *m = ctx;
	size_t i;
	int rc = LT_OK;

	m->rows = 0;
	for (i = 0; rc == LT_OK && i < m->n; i++)
		rc = mend_one(txn, m, m->position[i], &m->rows);
	return rc;
}

/* ---- heads ---- */

/* The highest number of a feed that leads somewhere. */
static int
highest(struct lt_kv_txn *txn, const struct lt_repair_head *h, uint64_t *seq, uint64_t *position)
{
	struct lt_log_key from = { .len = 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t len;
	int rc = lt_kv_cursor_open(txn, LT_T_SEQ, &c);

	if (rc != LT_OK)
		return rc;
	lt_log_key_feed(&from, &h->unit, &h->feed);
	len = from.len;
	lt_log_key_u64(&from, UINT64_MAX);
	rc = lt_kv_seek_before(c, lt_log_key_slice(&from), &k, &v);
	/* A row that does not verify and has no key of this table leads nowhere. */
	while (rc == LT_E_CORRUPT && k.len != 0 && !lt_repair_key_fits(LT_T_SEQ, k)) {
		k = lt_slice(NULL, 0);
		rc = lt_kv_prev(c, &k, &v);
	}
	if (rc == LT_OK && (k.len != len + 8 || memcmp(k.data, from.b, len) != 0 || v.len != 8))
		rc = LT_E_NOTFOUND;
	if (rc == LT_OK) {
		*seq = lt_load_u64(k.data + len);
		*position = lt_load_u64(v.data);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_CORRUPT ? LT_E_NOTFOUND : rc;
}

static int
head_of(struct lt_kv_txn *txn, const struct lt_repair_head *h, struct lt_head *head)
{
	struct lt_repair_place p;
	struct lt_arena arena;
	int rc = highest(txn, h, &head->seq, &head->last_position);

	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, LT_REPAIR_ARENA);
	rc = lt_repair_look_at(txn, h->o, head->last_position, &arena, &p);
	if (rc == LT_OK &&
	    (!p.sound || p.way != LT_REPAIR_LEADS || p.aside || !lt_unit_eq(&p.cs.unit, &h->unit) ||
		p.cs.seq != head->seq || lt_feed_id_cmp(&p.cs.feed, &h->feed) != 0))
		rc = LT_E_NOTFOUND;
	if (rc == LT_OK) {
		head->hash = p.cs.hash;
		head->stamp = p.cs.stamp;
		head->key_no = p.cs.key_no;
	}
	lt_arena_fini(&arena);
	return rc;
}

/* As it would be, were everything up to seq judged and no more. */
static int
effective_of(
    struct lt_kv_txn *txn, const struct lt_repair_head *h, uint64_t seq, uint64_t *effective)
{
	struct lt_changeset cs;
	struct lt_judgement j;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t position;
	int rc;

	*effective = 0;
	if (seq == 0)
		return LT_OK;
	lt_arena_init(&arena, LT_REPAIR_ARENA);
	rc = lt_feed_log_find(txn, &h->unit, &h->feed, seq, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_read(txn, position, &e);
	if (rc == LT_OK)
		rc = lt_changeset_open(e.changeset, &arena, &cs);
	if (rc == LT_OK)
		rc = lt_feed_log_judgement(txn, position, &arena, &j);
	if (rc == LT_OK)
		*effective = lt_judgement_stamp(&j, cs.stamp);
	lt_arena_fini(&arena);
	return rc;
}

/* The sum of the table without this row says which one stood there: nothing else tells how far the feed was judged. */
static int
put_head(struct lt_kv_txn *txn, const struct lt_repair_head *h, const struct sums *g,
    struct lt_slice key, uint64_t sum, struct lt_head *head)
{
	uint8_t row[LT_HEAD_BYTES], is[LT_KV_SUM_LEN];
	uint64_t tries;
	int rc;

	head->judged = head->seq;
	for (tries = 0; tries < HEAD_JUDGED_BACK; tries++) {
		rc = effective_of(txn, h, head->judged, &head->effective);
		if (rc == LT_E_CORRUPT || rc == LT_E_INVALID)
			return LT_E_NOTFOUND;
		if (rc != LT_OK)
			return rc;
		lt_feed_log_head_row(head, row);
		lt_kv_sum(&txn->kv->table[LT_T_FEED], key, lt_slice(row, sizeof(row)), is);
		if (lt_load_u64(is) == sum) {
			rc = lt_feed_log_head_put(txn, &h->unit, &h->feed, head);
			return rc == LT_OK ? sums_say(txn, g, g->count, g->sum) : rc;
		}
		if (head->judged-- == 0)
			break;
	}
	return LT_E_NOTFOUND;
}

static int
run_head(struct lt_kv_txn *txn, const struct lt_repair_head *h)
{
	struct lt_id author = lt_feed_author(&h->feed);
	struct lt_log_key k = { .len = 0 };
	struct lt_slice key, stored;
	struct lt_head head;
	uint64_t n, sum;
	struct sums g;
	int rc = lt_feed_log_head(txn, &h->unit, &h->feed, &head);

	if (lt_id_eq(&author, h->o->self) || (rc == LT_OK && head.seq != 0))
		return LT_E_NOTFOUND;
	if (rc != LT_OK && rc != LT_E_CORRUPT)
		return rc;
	memset(&head, 0, sizeof(head));
	rc = sums_before(txn, LT_T_FEED, 0, &g);
	if (rc != LT_OK || !g.astray)
		return rc == LT_OK ? LT_E_NOTFOUND : rc;
	/* Nobody's rows were never counted. */
	rc = lt_repair_keys_count(txn, LT_T_FEED, &n, &sum);
	if (rc != LT_OK)
		return rc;
	g.n -= n;
	g.damaged -= n;
	g.seen -= sum;
	lt_log_key_feed(&k, &h->unit, &h->feed);
	key = lt_log_key_slice(&k);
	sums_mend(txn, &g, key);
	/* What the others hold. */
	rc = txn->kv->ops->get(txn, LT_T_FEED, key, &stored);
	if (rc == LT_OK) {
		g.n--;
		g.seen -= lt_kv_sum_of(stored);
	} else if (rc != LT_E_NOTFOUND) {
		return rc;
	}
	if (g.damaged != 0 || g.n + 1 != g.count)
		return LT_E_NOTFOUND;
	rc = head_of(txn, h, &head);
	return rc == LT_OK ? put_head(txn, h, &g, key, g.sum - g.seen, &head) : rc;
}

int
lt_repair_run_head(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_repair_head *h = ctx;
	int rc = run_head(txn, h);

	/* Nothing was written: whoever shares the transaction keeps his. */
	h->put = rc == LT_OK;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}
