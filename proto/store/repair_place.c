/* One position of the log looked at: is what stands there what was put there, and what of it is missing? */
#include "proto/store/repair_impl.h"

#include "proto/store/entry_check.h"
#include "proto/store/erase.h"

#include <string.h>

static bool
is_damage(int rc)
{
	return rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND || rc == LT_E_INVALID || rc == LT_E_TOOBIG;
}

struct lt_feed_id
lt_repair_feed(const struct lt_feed_id *feed, bool aside)
{
	return aside ? lt_feed_aside(feed) : *feed;
}

/* ---- neighbours ---- */

int
lt_repair_near(struct lt_kv_txn *txn, uint64_t position, struct lt_repair_near *out)
{
	struct lt_slice header;
	struct lt_entry e;
	int rc;

	memset(out, 0, sizeof(*out));
	if (position == 0) {
		out->here = true;
		return LT_OK;
	}
	rc = lt_feed_log_read(txn, position, &e);
	if (rc == LT_OK)
		rc = lt_entry_header(e.changeset, &header);
	if (rc != LT_OK)
		return is_damage(rc) ? LT_OK : rc;
	out->here = true;
	out->arrival_ms = e.arrival_ms;
	out->running = e.running;
	lt_h1(LT_TAG_CHANGESET, header, &out->hash);
	return LT_OK;
}

bool
lt_repair_follows(
    const struct lt_repair_near *before, const struct lt_repair_near *at, uint64_t position)
{
	struct lt_hash running;

	lt_feed_log_running(&before->running, position, &at->hash, &running);
	return lt_hash_eq(&running, &at->running);
}

/* It can be read, but the running hash does not come from the entry before: which of the two is another than was put there? What those on
 * their other sides bear out is believed. */
static int
is_wrong(struct lt_kv_txn *txn, uint64_t position, const struct lt_repair_near *before,
    const struct lt_repair_near *at, bool *wrong)
{
	struct lt_repair_near other;
	int rc = lt_repair_near(txn, position + 1, &other);

	*wrong = true;
	if (rc != LT_OK)
		return rc;
	if (other.here) {
		*wrong = !lt_repair_follows(at, &other, position + 1);
		return LT_OK;
	}
	if (position < 2)
		return LT_OK;
	rc = lt_repair_near(txn, position - 2, &other);
	*wrong = other.here && lt_repair_follows(&other, before, position - 1);
	return rc;
}

static int
check_running(struct lt_kv_txn *txn, struct lt_repair_place *p)
{
	struct lt_repair_near before, at = { .here = true };
	bool wrong = false;
	int rc = lt_repair_near(txn, p->position - 1, &before);

	if (rc != LT_OK || !before.here)
		return rc;
	at.running = p->e.running;
	at.hash = p->cs.hash;
	if (!lt_repair_follows(&before, &at, p->position))
		rc = is_wrong(txn, p->position, &before, &at, &wrong);
	p->sound = !wrong;
	return rc;
}

/* ---- the way to it ---- */

enum row { LEADS, ELSEWHERE, NONE, DAMAGED };

static int
row_of(
    struct lt_kv_txn *txn, const struct lt_repair_place *p, bool aside, enum row *row, uint64_t *to)
{
	struct lt_feed_id feed = lt_repair_feed(&p->cs.feed, aside);
	int rc = lt_feed_log_find(txn, &p->cs.unit, &feed, p->cs.seq, to);

	*row = rc == LT_E_NOTFOUND  ? NONE
	       : rc != LT_OK        ? DAMAGED
	       : *to == p->position ? LEADS
				    : ELSEWHERE;
	return rc == LT_OK || is_damage(rc) ? LT_OK : rc;
}

/* Does the next of its branch, or the branch's head, name it? */
static int
is_named(struct lt_kv_txn *txn, const struct lt_repair_place *p, bool aside, bool *named)
{
	struct lt_feed_id feed = lt_repair_feed(&p->cs.feed, aside);
	struct lt_changeset next;
	struct lt_arena arena;
	struct lt_entry e;
	struct lt_head head;
	uint64_t position;
	int rc = lt_feed_log_find(txn, &p->cs.unit, &feed, p->cs.seq + 1, &position);

	*named = false;
	if (rc == LT_OK)
		rc = lt_feed_log_read(txn, position, &e);
	if (rc == LT_OK) {
		lt_arena_init(&arena, LT_REPAIR_ARENA);
		rc = lt_changeset_open(e.changeset, &arena, &next);
		*named = rc == LT_OK && lt_hash_eq(&next.prev, &p->cs.hash);
		lt_arena_fini(&arena);
	}
	if (rc != LT_OK && !is_damage(rc))
		return rc;
	if (*named || aside)
		return LT_OK;
	rc = lt_feed_log_head(txn, &p->cs.unit, &feed, &head);
	*named = rc == LT_OK && head.seq == p->cs.seq && lt_hash_eq(&head.hash, &p->cs.hash);
	return rc == LT_OK || is_damage(rc) ? LT_OK : rc;
}

/* No row leads here. Only this machine's own feeds have branches aside, and neither is to become the other. */
static int
find_way(struct lt_kv_txn *txn, const struct lt_repairer_options *o, struct lt_repair_place *p,
    enum row plain, enum row aside)
{
	struct lt_id author = lt_feed_author(&p->cs.feed);
	bool named = false;
	int rc = LT_OK;

	p->way = LT_REPAIR_ASTRAY;
	if (!lt_id_eq(&author, o->self)) {
		if (plain != ELSEWHERE)
			p->way = LT_REPAIR_NO_WAY;
		return LT_OK;
	}
	if (plain != ELSEWHERE)
		rc = is_named(txn, p, false, &named);
	if (rc == LT_OK && !named && aside != ELSEWHERE) {
		rc = is_named(txn, p, true, &named);
		p->aside = named;
	}
	if (named)
		p->way = LT_REPAIR_NO_WAY;
	return rc;
}

static int
check_way(struct lt_kv_txn *txn, const struct lt_repairer_options *o, struct lt_repair_place *p)
{
	enum row plain, aside;
	uint64_t to;
	int rc = row_of(txn, p, false, &plain, &to);

	p->way = LT_REPAIR_LEADS;
	if (rc != LT_OK || plain == LEADS)
		return rc;
	rc = row_of(txn, p, true, &aside, &to);
	p->aside = aside == LEADS;
	return rc != LT_OK || p->aside ? rc : find_way(txn, o, p, plain, aside);
}

/* ---- openings ---- */

/* Is one of them missing or damaged? Some are here. */
static int
any_missing(struct lt_kv_txn *txn, struct lt_repair_place *p)
{
	struct lt_leaf_place place = { .unit = &p->cs.unit, .feed = &p->cs.feed, .seq = p->cs.seq };
	enum lt_opening_state state;
	struct lt_hash leaf;
	size_t i, f;
	int rc;

	for (i = 0; i < p->cs.nchange; i++) {
		place.index = (uint32_t)i;
		place.collection = p->cs.change[i].collection;
		place.key = p->cs.change[i].key;
		for (f = 0; f < p->cs.change[i].npersonal; f++) {
			place.field = p->cs.change[i].personal[f];
			rc = lt_opening_leaf(txn, &place, p->position, &state, &leaf);
			p->openings |= rc == LT_E_CORRUPT || state == LT_OPENING_NONE;
			if (rc != LT_OK && rc != LT_E_CORRUPT)
				return rc;
		}
	}
	return LT_OK;
}

static int
check_openings(struct lt_kv_txn *txn, const struct lt_repairer_options *o, struct lt_arena *arena,
    struct lt_repair_place *p)
{
	struct lt_id author = lt_feed_author(&p->cs.feed);
	uint64_t left = 0;
	size_t bytes;
	int rc;

	rc = lt_opening_seed_check(txn, p->position);
	p->seed_damaged = rc == LT_E_CORRUPT;
	if (rc == LT_OK || rc == LT_E_CORRUPT)
		rc = lt_entry_openings(txn, &p->e, arena, &bytes);
	if (rc == LT_E_CORRUPT) {
		rc = any_missing(txn, p);
	} else if (rc == LT_E_NOTFOUND) {
		/* What came down to a node may have come without. */
		p->openings = o->may_open == NULL || lt_id_eq(&author, o->self);
		rc = LT_OK;
	} else if (rc == LT_E_BADHASH || rc == LT_E_INVALID || rc == LT_E_TOOBIG) {
		p->openings = true;
		rc = LT_OK;
	}
	if (rc == LT_OK && !p->aside) {
		rc = lt_erase_left(txn, &p->cs, p->position, &left);
		rc = rc == LT_E_CORRUPT ? LT_OK : rc;
	}
	p->erased_here = left != 0;
	return rc;
}

int
lt_repair_look_at(struct lt_kv_txn *txn, const struct lt_repairer_options *o, uint64_t position,
    struct lt_arena *arena, struct lt_repair_place *out)
{
	int rc;

	memset(out, 0, sizeof(*out));
	out->position = position;
	rc = lt_feed_log_read(txn, position, &out->e);
	if (rc == LT_OK)
		rc = lt_changeset_parse(out->e.changeset, arena, &out->cs, NULL);
	if (rc != LT_OK)
		return is_damage(rc) || rc == LT_E_BADHASH ? LT_OK : rc;
	if (!lt_unit_eq(&out->cs.unit, &out->e.unit))
		return LT_OK;
	out->sound = true;
	rc = check_running(txn, out);
	if (rc != LT_OK || !out->sound)
		return rc;
	rc = check_way(txn, o, out);
	if (rc == LT_OK && lt_entry_leaves(&out->cs) != 0)
		rc = check_openings(txn, o, arena, out);
	if (rc == LT_OK)
		rc = lt_repair_openings_strange(txn, &out->cs, position, &out->nobodys);
	return rc;
}
