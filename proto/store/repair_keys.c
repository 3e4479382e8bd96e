/* Rows under keys that no change-set has: found, and dropped once they are a witness of nothing any more (FORMAT.md 9.14). */
#include "proto/store/repair_impl.h"

#include "proto/store/kv_sums.h"

#include <string.h>

#define SEED_CHANGE UINT32_MAX /* of the row with a change-set's seed (opening.c) */
#define LAST_TRIES 256 /* rows behind the last position, of keys that cannot be */
#define STEP_ROWS 16384 /* keys in one step: values of other pages are not read for them */
#define OPENING_KEY 12 /* position and change, before the field's name */

/* ---- keys ---- */

static bool
is_feed(struct lt_slice key, size_t rest, bool aside, uint64_t *seq)
{
	struct lt_feed_id feed;
	struct lt_reader r;
	struct lt_unit unit;
	uint8_t lane;

	lt_reader_init(&r, key);
	if (lt_log_key_feed_read(&r, &unit, &feed) != LT_OK || lt_reader_left(&r) != rest)
		return false;
	*seq = rest != 0 ? lt_read_u64(&r) : 1;
	lane = feed.b[LT_ID_LEN];
	if (aside)
		lane &= (uint8_t)~LT_FEED_ASIDE;
	return lane >= LT_LANE_URGENT && lane <= LT_LANE_BULK;
}

bool
lt_repair_key_fits(unsigned table, struct lt_slice key)
{
	uint64_t n = 0;

	switch (table) {
	case LT_T_ENTRY:
		n = key.len == 8 ? lt_load_u64(key.data) : 0;
		return n != 0;
	case LT_T_SEQ:
		return is_feed(key, 8, true, &n) && n != 0;
	case LT_T_FEED:
		return is_feed(key, 0, false, &n);
	default:
		return true;
	}
}

/* As stored: a value whose length is damaged as well may have no checksum at all. */
static bool
verifies(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored)
{
	struct lt_slice v;

	return lt_kv_unseal(&txn->kv->table[table], key, stored, &v) == LT_OK;
}

static bool
is_nobodys(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored)
{
	return key.len != 0 && key.len <= LT_KV_KEY_MAX && !lt_repair_key_fits(table, key) &&
	       !verifies(txn, table, key, stored);
}

static void
key_set(struct lt_repair_key *k, unsigned table, struct lt_slice key)
{
	k->table = table;
	k->len = key.len;
	memcpy(k->b, key.data, key.len);
}

/* It goes, and what the sums say of its segment stays as it is: it was counted under the key that it had. */
static int
drop(struct lt_kv_txn *txn, unsigned table, struct lt_slice key)
{
	struct lt_slice stored;
	uint64_t sum;
	int rc = txn->kv->ops->get(txn, table, key, &stored);

	if (rc != LT_OK)
		return rc;
	sum = lt_kv_sum_of(stored);
	rc = lt_kv_del(txn, table, key);
	if (rc == LT_OK && lt_kv_summed(txn->kv, table))
		rc = lt_kv_sums_change(txn, table, key, 1, sum);
	return rc;
}

int
lt_repair_keys_count(struct lt_kv_txn *txn, unsigned table, uint64_t *n, uint64_t *sum)
{
	struct lt_slice k = { NULL, 0 }, s = { NULL, 0 };
	const struct lt_kv_ops *ops = txn->kv->ops;
	struct lt_kv_cursor *c;
	int rc = lt_kv_cursor_open(txn, table, &c);

	*n = *sum = 0;
	if (rc != LT_OK)
		return rc;
	for (rc = ops->seek(c, lt_slice(NULL, 0), &k, &s); rc == LT_OK; rc = ops->next(c, &k, &s))
		if (is_nobodys(txn, table, k, s)) {
			++*n;
			*sum += lt_kv_sum_of(s);
		}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* ---- openings ---- */

static bool
is_opening_of(const struct lt_changeset *cs, uint64_t position, struct lt_slice key)
{
	struct lt_slice name;
	uint32_t change;
	size_t f;

	if (key.len < OPENING_KEY || lt_load_u64(key.data) != position)
		return false;
	name = lt_slice(key.data + OPENING_KEY, key.len - OPENING_KEY);
	change = lt_load_u32(key.data + 8);
	if (change == SEED_CHANGE)
		return name.len == 0;
	for (f = 0; change < cs->nchange && f < cs->change[change].npersonal; f++)
		if (lt_slice_eq(name, lt_slice_str(cs->change[change].personal[f])))
			return true;
	return false;
}

/* Those between the positions beside it that are none of its own and do not verify; at most cap. */
static int
find_strange(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position,
    struct lt_repair_key *out, size_t cap, size_t *n)
{
	struct lt_slice k = { NULL, 0 }, s = { NULL, 0 };
	const struct lt_kv_ops *ops = txn->kv->ops;
	uint8_t from[LT_KV_KEY_MAX], to[8];
	struct lt_kv_cursor *c;
	int rc = lt_kv_cursor_open(txn, LT_T_OPENING, &c);

	*n = 0;
	if (rc != LT_OK)
		return rc;
	memset(from, 0xff, sizeof(from));
	lt_store_u64(from, position - 1);
	lt_store_u64(to, position + 1);
	rc = ops->seek(c, position == 1 ? lt_slice(NULL, 0) : lt_slice(from, sizeof(from)), &k, &s);
	for (; rc == LT_OK && lt_slice_cmp(k, lt_slice(to, sizeof(to))) < 0 && *n < cap;
	     rc = ops->next(c, &k, &s))
		if (k.len != 0 && k.len <= LT_KV_KEY_MAX && !is_opening_of(cs, position, k) &&
		    !verifies(txn, LT_T_OPENING, k, s))
			key_set(&out[(*n)++], LT_T_OPENING, k);
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_repair_openings_strange(
    struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position, bool *strange)
{
	struct lt_repair_key key;
	size_t n;
	int rc = find_strange(txn, cs, position, &key, 1, &n);

	*strange = n != 0;
	return rc;
}

/* No change has such a number: as much of a seed's key as is left of it. */
static bool
was_seed(struct lt_slice key)
{
	return key.len >= OPENING_KEY - 1 && key.data[8] == 0xff && key.data[9] == 0xff &&
	       key.data[10] == 0xff;
}

/* All are looked for before one is dropped: the change-set may lie in the store. */
int
lt_repair_openings_weed(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position,
    uint64_t *rows, uint64_t *seeds)
{
	struct lt_repair_key key[LT_REPAIR_KEYS_MAX];
	size_t i, n;
	int rc = find_strange(txn, cs, position, key, LT_REPAIR_KEYS_MAX, &n);

	for (i = 0; rc == LT_OK && i < n; i++) {
		struct lt_slice k = lt_slice(key[i].b, key[i].len);

		rc = drop(txn, LT_T_OPENING, k);
		*rows += rc == LT_OK;
		*seeds += rc == LT_OK && was_seed(k);
	}
	return rc;
}

/* ---- how far the log goes ---- */

int
lt_repair_last(struct lt_kv_txn *txn, uint64_t most, uint64_t *last)
{
	struct lt_slice k = { NULL, 0 }, s = { NULL, 0 };
	struct lt_kv_cursor *c;
	unsigned tries;
	int rc = lt_kv_cursor_open(txn, LT_T_ENTRY, &c);

	*last = 0;
	if (rc != LT_OK)
		return rc;
	rc = txn->kv->ops->seek_before(c, lt_slice(NULL, 0), &k, &s);
	for (tries = 0; rc == LT_OK; tries++) {
		if (lt_repair_key_fits(LT_T_ENTRY, k) && lt_load_u64(k.data) <= most) {
			*last = lt_load_u64(k.data);
			break;
		}
		rc = tries == LAST_TRIES || verifies(txn, LT_T_ENTRY, k, s)
			 ? LT_E_CORRUPT
			 : txn->kv->ops->prev(c, &k, &s);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* What says how many change-sets the log has, besides the table entry. */
struct ends {
	bool known; /* each head can be read */
	uint64_t numbers; /* rows of seq that may lead to one */
	uint64_t end; /* the last position that a head names, or that so many numbers need */
	uint64_t last; /* of the table entry, up to there */
};

static int
heads_end(struct lt_kv_txn *txn, struct ends *e)
{
	struct lt_slice k = { NULL, 0 }, s = { NULL, 0 };
	const struct lt_kv_ops *ops = txn->kv->ops;
	struct lt_feed_id feed;
	struct lt_kv_cursor *c;
	struct lt_reader r;
	struct lt_unit unit;
	struct lt_head head;
	int rc = lt_kv_cursor_open(txn, LT_T_FEED, &c), got;

	if (rc != LT_OK)
		return rc;
	e->known = true;
	for (rc = ops->seek(c, lt_slice(NULL, 0), &k, &s); rc == LT_OK; rc = ops->next(c, &k, &s)) {
		if (!lt_repair_key_fits(LT_T_FEED, k))
			continue;
		lt_reader_init(&r, k);
		got = lt_log_key_feed_read(&r, &unit, &feed);
		if (got == LT_OK)
			got = lt_feed_log_head(txn, &unit, &feed, &head);
		if (got == LT_OK && head.last_position > e->end)
			e->end = head.last_position;
		e->known = e->known && got == LT_OK;
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* nobodys: of the rows of seq, those that lead nowhere. */
static int
ends_of(struct lt_kv_txn *txn, uint64_t nobodys, struct ends *e)
{
	uint64_t n = 0;
	int rc = lt_kv_count(txn, LT_T_SEQ, &n);

	memset(e, 0, sizeof(*e));
	e->numbers = n > nobodys ? n - nobodys : 0;
	e->end = e->numbers;
	if (rc == LT_OK)
		rc = heads_end(txn, e);
	if (rc == LT_OK)
		rc = lt_repair_last(txn, e->end, &e->last);
	if (rc == LT_E_CORRUPT)
		e->known = false;
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* ---- what is found ---- */

/* A number behind the head of its feed, which can be read: none was ever given. */
static int
is_beyond_head(struct lt_kv_txn *txn, struct lt_slice key, bool *beyond)
{
	struct lt_feed_id feed;
	struct lt_reader r;
	struct lt_unit unit;
	struct lt_head head;
	int rc;

	*beyond = false;
	lt_reader_init(&r, key);
	if (lt_log_key_feed_read(&r, &unit, &feed) != LT_OK || lt_feed_is_aside(&feed))
		return LT_OK;
	rc = lt_feed_log_head(txn, &unit, &feed, &head);
	*beyond = rc == LT_OK && head.seq != 0 && lt_read_u64(&r) > head.seq;
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* end: behind which no position is, 0: not known. */
static int
is_dropped(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored,
    uint64_t end, bool *yes)
{
	*yes = is_nobodys(txn, table, key, stored);
	if (*yes || !lt_repair_key_fits(table, key))
		return LT_OK;
	switch (table) {
	case LT_T_ENTRY:
		*yes =
		    end != 0 && lt_load_u64(key.data) > end && !verifies(txn, table, key, stored);
		return LT_OK;
	case LT_T_SEQ:
		return verifies(txn, table, key, stored) ? LT_OK : is_beyond_head(txn, key, yes);
	default:
		return LT_OK;
	}
}

static void
note_key(struct lt_repair_look *l, unsigned table, struct lt_slice key)
{
	l->numbers_nobodys += table == LT_T_SEQ;
	if (l->nkey < LT_REPAIR_KEYS_MAX)
		key_set(&l->nobodys[l->nkey++], table, key);
}

/* Numbers before positions: how many there are says how far those go. */
static const unsigned tables[] = { LT_T_FEED, LT_T_SEQ, LT_T_ENTRY };

/* Every position has its row, and there are no more rows than positions. */
static int
is_full(struct lt_kv_txn *txn, const struct lt_repair_look *l, uint64_t end, bool *full)
{
	uint64_t n = 0, last = 0;
	int rc = lt_kv_count(txn, LT_T_ENTRY, &n);

	if (rc == LT_OK)
		rc = lt_repair_last(txn, end, &last);
	*full = rc == LT_OK && l->nlost == 0 && l->nwant == 0 && !l->more && n == last;
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

static int
walk(struct lt_kv_txn *txn, struct lt_repair_look *l, unsigned table, uint64_t end, bool *through)
{
	struct lt_slice k = { NULL, 0 }, s = { NULL, 0 };
	const struct lt_kv_ops *ops = txn->kv->ops;
	struct lt_repair_key *at = &l->at;
	struct lt_kv_cursor *c;
	size_t rows;
	bool yes = false;
	int rc = lt_kv_cursor_open(txn, table, &c), got = LT_OK;

	if (rc != LT_OK)
		return rc;
	rc = ops->seek(c, lt_slice(at->len == 0 ? NULL : at->b, at->len), &k, &s);
	if (rc == LT_OK && at->len != 0 && lt_slice_eq(k, lt_slice(at->b, at->len)))
		rc = ops->next(c, &k, &s);
	for (rows = 0; rc == LT_OK && got == LT_OK && rows < STEP_ROWS; rows++) {
		/* Keys that do not rise would send the walk in circles. */
		if (k.len > LT_KV_KEY_MAX || k.len == 0 ||
		    (at->len != 0 && lt_slice_cmp(k, lt_slice(at->b, at->len)) <= 0)) {
			rc = LT_E_CORRUPT;
			break;
		}
		got = is_dropped(txn, table, k, s, end, &yes);
		if (got == LT_OK && yes)
			note_key(l, table, k);
		key_set(at, table, k);
		rc = ops->next(c, &k, &s);
	}
	lt_kv_cursor_close(c);
	*through = rc == LT_E_NOTFOUND;
	return rc == LT_E_NOTFOUND || rc == LT_OK ? got : rc;
}

int
lt_repair_look_keys(struct lt_kv_txn *txn, struct lt_repair_look *l, bool *through)
{
	unsigned table = tables[l->walked];
	struct ends e = { .known = false };
	bool end = false;
	int rc = LT_OK;

	if (table == LT_T_ENTRY)
		rc = ends_of(txn, l->numbers_nobodys, &e);
	if (rc == LT_OK && table == LT_T_ENTRY && e.known && l->at.len == 0)
		rc = is_full(txn, l, e.end, &end);
	if (rc == LT_OK && !end)
		rc = walk(txn, l, table, e.known ? e.end : 0, &end);
	if (rc == LT_OK && end) {
		l->walked++;
		l->at.len = 0;
	}
	*through = l->walked == sizeof(tables) / sizeof(tables[0]);
	return rc;
}

/* ---- what goes ---- */

/* Without nobody's rows the table holds what it should, each head among it. */
static int
are_heads_whole(struct lt_kv_txn *txn, bool *whole)
{
	uint64_t n, sum, had, seen, damaged, count, said;
	int rc = lt_repair_keys_count(txn, LT_T_FEED, &n, &sum);

	*whole = false;
	if (rc != LT_OK || !lt_kv_summed(txn->kv, LT_T_FEED))
		return rc;
	rc = lt_kv_sums_seen(txn, LT_T_FEED, lt_slice(NULL, 0), &had, &seen, &damaged);
	if (rc == LT_OK)
		rc = lt_kv_sums_said(txn, LT_T_FEED, lt_slice(NULL, 0), &count, &said);
	*whole = rc == LT_OK && damaged == n && had - n == count && seen - sum == said;
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

struct going {
	struct lt_kv_txn *txn;
	struct lt_repair_keys *keys;
	bool heads; /* nothing is missing among them */
	struct ends e;
};

static bool
may_go(const struct going *g, unsigned table)
{
	const struct ends *e = &g->e;

	switch (table) {
	case LT_T_FEED:
		return g->heads;
	case LT_T_ENTRY:
		/* At the end it may be all that says that something stood there, and keeps the place from being taken. */
		return e->known && e->last == e->end;
	default:
		return e->known && e->last == e->end && e->numbers == e->last;
	}
}

static int
go(struct going *g, const struct lt_repair_key *key)
{
	struct lt_slice k = lt_slice(key->b, key->len), stored;
	bool yes = false;
	int rc = g->txn->kv->ops->get(g->txn, key->table, k, &stored);

	if (rc == LT_OK && may_go(g, key->table))
		rc = is_dropped(g->txn, key->table, k, stored, g->e.end, &yes);
	if (rc == LT_OK && yes)
		rc = drop(g->txn, key->table, k);
	g->keys->rows += rc == LT_OK && yes;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_repair_run_keys(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_repair_keys *k = ctx;
	struct going g = { .txn = txn, .keys = k };
	size_t i;
	int rc = are_heads_whole(txn, &g.heads);

	k->rows = 0;
	if (rc == LT_OK)
		rc = ends_of(txn, k->numbers, &g.e);
	for (i = 0; rc == LT_OK && i < k->n; i++)
		rc = go(&g, &k->key[i]);
	return rc;
}
