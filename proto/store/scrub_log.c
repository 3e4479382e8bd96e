/* The log against itself: running hash, chains, signatures, openings, the way from a number to its position, heads. */
#include "proto/store/scrub_impl.h"

#include "proto/store/admit.h"
#include "proto/store/entry_check.h"
#include "proto/store/erase.h"

#include <string.h>

#define ARENA ((size_t)64 * 1024 * 1024)
#define SAMPLE 16 /* one signature of so many is verified, unless all are */

struct entry_check {
	struct lt_scrub *s;
	struct lt_entry e;
	struct lt_changeset cs;
	struct lt_arena arena;
	bool aside; /* it stands in a branch aside (FORMAT.md 9.11) */
};

static struct lt_slice
position_key(uint8_t b[8], uint64_t position)
{
	lt_store_u64(b, position);
	return lt_slice(b, 8);
}

static void
found_at(struct entry_check *c, unsigned table, enum lt_scrub_what what)
{
	uint8_t b[8];

	lt_scrub_found(c->s, table, position_key(b, c->e.position), what);
}

/* LT_OK: sound, or noted. */
static int
noted_at(struct entry_check *c, int rc, unsigned table)
{
	uint8_t b[8];

	if (rc == LT_OK || lt_scrub_is_damage(c->s, rc, table, position_key(b, c->e.position)))
		return LT_OK;
	return rc;
}

static bool
stands_at(struct entry_check *c, const struct lt_feed_id *feed, int *rc)
{
	uint64_t position = 0;

	*rc = lt_feed_log_find(c->s->log, &c->e.unit, feed, c->cs.seq, &position);
	return *rc == LT_OK && position == c->e.position;
}

/* A change-set is found under its number, or under that of a branch aside. */
static int
check_seq(struct entry_check *c)
{
	struct lt_feed_id aside = lt_feed_aside(&c->cs.feed);
	int rc, plain;

	if (stands_at(c, &c->cs.feed, &plain))
		return LT_OK;
	c->aside = stands_at(c, &aside, &rc);
	if (c->aside)
		return LT_OK;
	if (plain == LT_OK)
		found_at(c, LT_T_SEQ, LT_SCRUB_WRONG);
	return noted_at(c, plain, LT_T_SEQ);
}

static int
check_chain(struct entry_check *c)
{
	struct lt_feed_id feed = c->cs.feed;
	struct lt_hash before;
	int rc;

	if (c->cs.seq == 1)
		return LT_OK; /* the parser wants zeros there */
	if (c->aside) {
		feed = lt_feed_aside(&feed);
		rc = lt_feed_log_hash(c->s->log, &c->e.unit, &feed, c->cs.seq - 1, &before);
		if (rc == LT_E_NOTFOUND)
			rc = lt_feed_log_hash(
			    c->s->log, &c->e.unit, &c->cs.feed, c->cs.seq - 1, &before);
	} else {
		rc = lt_feed_log_hash(c->s->log, &c->e.unit, &feed, c->cs.seq - 1, &before);
	}
	if (rc == LT_OK && !lt_hash_eq(&before, &c->cs.prev))
		found_at(c, LT_T_ENTRY, LT_SCRUB_WRONG);
	/* What is damaged there has its own finding. */
	if (rc == LT_E_NOTFOUND)
		found_at(c, LT_T_SEQ, LT_SCRUB_MISSING);
	return rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
check_signature(struct entry_check *c)
{
	struct lt_scrub *s = c->s;
	int rc;

	if (!s->full && (c->e.position + s->round) % SAMPLE != 0)
		return LT_OK;
	s->st.sampled++;
	rc = lt_admit_signed(&c->cs, s->o.federation, s->world.registry, false, false, NULL);
	if (rc == LT_E_BADSIG || rc == LT_E_BADHASH)
		found_at(c, LT_T_ENTRY, LT_SCRUB_WRONG);
	/* An author that the registry does not show here, or not any more as it was then: nothing to compare with. */
	return rc == LT_E_NOMEM ? rc : LT_OK;
}

/* What is erased is no damage; what should be, and is here, is. */
static int
check_erased(struct entry_check *c)
{
	uint64_t left = 0;
	int rc = c->aside ? LT_OK : lt_erase_left(c->s->log, &c->cs, c->e.position, &left);

	if (rc == LT_OK && left != 0)
		found_at(c, LT_T_OPENING, LT_SCRUB_EXTRA);
	return noted_at(c, rc, LT_T_OPENING);
}

static int
check_openings(struct entry_check *c)
{
	size_t bytes;
	int rc;

	if (lt_entry_leaves(&c->cs) == 0)
		return LT_OK;
	rc = lt_entry_openings(c->s->log, &c->e, &c->arena, &bytes);
	/* What came down to a node may have come without. */
	if (rc == LT_E_NOTFOUND && c->s->node)
		rc = LT_OK;
	if (rc == LT_E_BADHASH) {
		found_at(c, LT_T_OPENING, LT_SCRUB_WRONG);
		rc = LT_OK;
	}
	lt_scrub_took(c->s, bytes);
	return rc == LT_OK ? check_erased(c) : noted_at(c, rc, LT_T_OPENING);
}

static int
check_refused(struct entry_check *c, const Ltpb__RefusedDot *dot)
{
	struct lt_slice v;
	uint8_t key[12];
	int rc;

	lt_store_u64(key, c->e.position);
	lt_store_u32(key + 8, dot->index);
	rc = lt_kv_get(c->s->log, LT_T_QUARANTINE, lt_slice(key, sizeof(key)), &v);
	if (rc == LT_OK && (v.len != 2 || lt_load_u16(v.data) != (uint16_t)dot->reason))
		lt_scrub_found(c->s, LT_T_QUARANTINE, lt_slice(key, sizeof(key)), LT_SCRUB_WRONG);
	if (rc == LT_OK ||
	    lt_scrub_is_damage(c->s, rc, LT_T_QUARANTINE, lt_slice(key, sizeof(key))))
		return LT_OK;
	return rc;
}

static int
check_judgement(struct entry_check *c)
{
	struct lt_judgement j;
	bool wrong = false;
	size_t i;
	int rc = lt_feed_log_judgement(c->s->log, c->e.position, &c->arena, &j);

	if (rc != LT_OK)
		return noted_at(c, rc, LT_T_JUDGEMENT);
	for (i = 0; i < j.nheld; i++)
		wrong |= j.held[i]->index >= c->cs.nchange;
	for (i = 0; rc == LT_OK && i < j.nrefused; i++) {
		wrong |= j.refused[i]->index >= c->cs.nchange;
		rc = check_refused(c, j.refused[i]);
	}
	if (wrong)
		found_at(c, LT_T_JUDGEMENT, LT_SCRUB_WRONG);
	return rc;
}

static int
check_entry(struct entry_check *c)
{
	struct lt_hash running;
	int rc = lt_changeset_parse(c->e.changeset, &c->arena, &c->cs, NULL);

	if (rc != LT_OK) {
		if (rc != LT_E_NOMEM)
			found_at(c, LT_T_ENTRY, LT_SCRUB_WRONG);
		return rc == LT_E_NOMEM ? rc : LT_OK;
	}
	lt_feed_log_running(&c->s->at.running, c->e.position, &c->cs.hash, &running);
	if ((c->s->at.begun && !lt_hash_eq(&running, &c->e.running)) ||
	    !lt_unit_eq(&c->cs.unit, &c->e.unit))
		found_at(c, LT_T_ENTRY, LT_SCRUB_WRONG);
	rc = check_seq(c);
	if (rc == LT_OK)
		rc = check_chain(c);
	if (rc == LT_OK)
		rc = check_signature(c);
	if (rc == LT_OK)
		rc = check_openings(c);
	return rc == LT_OK ? check_judgement(c) : rc;
}

/* begun: running is that of the position before. */
static int
check_position(struct lt_scrub *s, uint64_t position)
{
	struct entry_check c = { .s = s };
	int rc = lt_feed_log_read(s->log, position, &c.e);

	c.e.position = position;
	s->at.begun = s->at.begun || position == 1;
	if (rc != LT_OK) {
		s->at.begun = false;
		lt_scrub_took(s, 0);
		return noted_at(&c, rc, LT_T_ENTRY);
	}
	lt_scrub_took(s, c.e.changeset.len);
	lt_arena_init(&c.arena, ARENA);
	rc = check_entry(&c);
	lt_arena_fini(&c.arena);
	s->at.running = c.e.running;
	s->at.begun = true;
	return rc;
}

/* As many entries as positions, and as many numbers that lead to one. */
static int
check_counts(struct lt_scrub *s, uint64_t last)
{
	uint64_t entries = 0, seqs = 0;
	int rc = lt_kv_count(s->log, LT_T_ENTRY, &entries);

	if (rc == LT_OK)
		rc = lt_kv_count(s->log, LT_T_SEQ, &seqs);
	if (rc == LT_OK && entries != last)
		lt_scrub_found(s, LT_T_ENTRY, lt_slice(NULL, 0), LT_SCRUB_COUNT);
	if (rc == LT_OK && seqs != last)
		lt_scrub_found(s, LT_T_SEQ, lt_slice(NULL, 0), LT_SCRUB_COUNT);
	return rc;
}

int
lt_scrub_entries(struct lt_scrub *s, bool *done)
{
	uint64_t last;
	int rc = lt_feed_log_last(s->log, &last);

	if (rc == LT_E_CORRUPT) {
		lt_scrub_found(s, LT_T_ENTRY, lt_slice(NULL, 0), LT_SCRUB_UNREADABLE);
		*done = true;
		return LT_OK;
	}
	while (rc == LT_OK && s->at.position < last && lt_scrub_more(s)) {
		rc = check_position(s, s->at.position + 1);
		if (rc == LT_OK)
			s->at.position++;
	}
	if (rc == LT_OK && s->at.position >= last) {
		rc = check_counts(s, last);
		*done = true;
	}
	return rc;
}

/* ---- heads ---- */

static int
check_head(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_scrub *s = ctx;
	struct lt_buf key = { 0 };
	struct lt_hash hash;
	uint64_t position = 0, beyond;
	int rc, more;

	lt_key_feed(&key, unit, feed);
	rc =
	    key.err != LT_OK ? key.err : lt_feed_log_find(s->log, unit, feed, head->seq, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_hash(s->log, unit, feed, head->seq, &hash);
	more = lt_feed_log_find(s->log, unit, feed, head->seq + 1, &beyond);
	if (rc == LT_OK && (position != head->last_position || !lt_hash_eq(&hash, &head->hash) ||
			       more != LT_E_NOTFOUND))
		lt_scrub_found(s, LT_T_FEED, lt_buf_slice(&key), LT_SCRUB_WRONG);
	/* The entry or its number: what is damaged there has its own finding; that nothing is there is one of the head. */
	if (rc == LT_E_NOTFOUND)
		lt_scrub_found(s, LT_T_FEED, lt_buf_slice(&key), LT_SCRUB_WRONG);
	lt_scrub_took(s, key.len);
	lt_buf_fini(&key);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

int
lt_scrub_heads(struct lt_scrub *s, bool *done)
{
	int rc = lt_feed_log_each(s->log, NULL, check_head, s);

	*done = true;
	/* The damaged row was named where the table was walked. */
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}
