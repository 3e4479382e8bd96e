/* The look over the log: every position, and, where something cannot be read at all, every number. */
#include "proto/store/repair_impl.h"

#include "proto/base/log.h"

#include <string.h>

/* In one step; one position at least. */
#define STEP_POSITIONS 256
#define STEP_BYTES ((size_t)1 << 20)
#define STEP_ROWS 4096
#define FAILS_MAX \
	8 /* steps one after the other: then the look ends, and the next round of the scrub begins another */

struct step {
	struct lt_repairer *r;
	struct lt_repair_look *l;
	struct lt_kv_txn *txn;
	struct lt_arena arena;
};

static struct lt_repair_want *
add_want(struct lt_repair_look *l)
{
	if (l->nwant == LT_REPAIR_WANTS_MAX) {
		l->more = true;
		return NULL;
	}
	return &l->want[l->nwant++];
}

/* ---- positions ---- */

static int
begin_positions(struct step *s)
{
	struct lt_repair_look *l = s->l;
	uint64_t entries = 0, seqs = 0;
	int rc = lt_kv_count(s->txn, LT_T_ENTRY, &entries);

	if (rc == LT_OK)
		rc = lt_kv_count(s->txn, LT_T_SEQ, &seqs);
	/* A key that is not what it was: the positions are not to be counted up to it. */
	if (rc == LT_OK)
		rc = lt_repair_last(
		    s->txn, 2 * (entries > seqs ? entries : seqs) + LT_REPAIR_WANTS_MAX, &l->last);
	l->numbers = seqs > l->last;
	l->position = l->from < l->last ? l->from : 0;
	l->begun = true;
	return rc;
}

static void
add_lost(struct lt_repair_look *l, uint64_t position)
{
	if (l->nlost == LT_REPAIR_WANTS_MAX) {
		l->more = true;
		return;
	}
	l->found[l->nlost] = false;
	l->lost[l->nlost++] = position;
}

static void
add_mend(struct lt_repair_look *l, uint64_t position)
{
	if (l->nmend == LT_REPAIR_WANTS_MAX)
		l->more = true;
	else
		l->mend[l->nmend++] = position;
}

/* Of how many feeds there is no head that can be read; which one, when it is one. */
static int
check_head(struct step *s, const struct lt_repair_place *p)
{
	struct lt_repair_look *l = s->l;
	struct lt_head head;
	int rc;

	if (p->aside || p->way == LT_REPAIR_ASTRAY ||
	    (lt_unit_eq(&p->cs.unit, &l->checked_unit) &&
		lt_feed_id_cmp(&p->cs.feed, &l->checked_feed) == 0))
		return LT_OK;
	l->checked_unit = p->cs.unit;
	l->checked_feed = p->cs.feed;
	rc = lt_feed_log_head(s->txn, &p->cs.unit, &p->cs.feed, &head);
	if ((rc == LT_OK && head.seq != 0) || (rc != LT_OK && rc != LT_E_CORRUPT))
		return rc;
	if (l->nheadless != 0 && lt_unit_eq(&p->cs.unit, &l->head_unit) &&
	    lt_feed_id_cmp(&p->cs.feed, &l->head_feed) == 0)
		return LT_OK;
	l->nheadless++;
	l->head_unit = p->cs.unit;
	l->head_feed = p->cs.feed;
	return LT_OK;
}

static int
look_at(struct step *s, uint64_t position, size_t *bytes)
{
	struct lt_repair_look *l = s->l;
	struct lt_repair_place p;
	struct lt_repair_want *w;
	int rc;

	lt_arena_clear(&s->arena);
	rc = lt_repair_look_at(s->txn, &s->r->o, position, &s->arena, &p);
	if (rc != LT_OK)
		return rc;
	if (!p.sound) {
		add_lost(l, position);
		return LT_OK;
	}
	*bytes += p.e.changeset.len;
	if (p.way == LT_REPAIR_NO_WAY || p.seed_damaged || p.erased_here || p.nobodys)
		add_mend(l, position);
	w = p.openings ? add_want(l) : NULL;
	if (w != NULL)
		*w = (struct lt_repair_want){ .position = position,
			.unit = p.cs.unit,
			.feed = p.cs.feed,
			.seq = p.cs.seq,
			.parts = LT_REPAIR_OPENINGS,
			.aside = p.aside };
	return check_head(s, &p);
}

/* Each lost position needs a want as well, once its number is known. */
static bool
is_full(const struct lt_repair_look *l)
{
	return l->nwant + l->nlost == LT_REPAIR_WANTS_MAX || l->nmend == LT_REPAIR_WANTS_MAX;
}

static int
look_positions(struct step *s)
{
	struct lt_repair_look *l = s->l;
	size_t i, bytes = 0;
	int rc = l->begun ? LT_OK : begin_positions(s);

	for (i = 0; rc == LT_OK && l->position < l->last && !is_full(l) && i < STEP_POSITIONS &&
		    bytes < STEP_BYTES;
	     i++) {
		rc = look_at(s, l->position + 1, &bytes);
		if (rc == LT_OK)
			l->position++;
	}
	if (rc != LT_OK || (l->position < l->last && !is_full(l)))
		return rc;
	/* What nobody has must not keep the rest from being asked for: the next look goes on here, and at its end from the beginning. */
	l->more |= l->position < l->last || l->from != 0;
	s->r->from = l->position < l->last ? l->position : 0;
	l->phase = l->nlost != 0 || l->numbers ? LT_REPAIR_NUMBERS : LT_REPAIR_HEADS;
	return rc;
}

/* ---- numbers ---- */

static void
add_gone(struct lt_repair_look *l, bool aside, uint64_t seq)
{
	struct lt_repair_want *w;

	if (l->ngone == LT_REPAIR_WANTS_MAX) {
		l->more = true;
		return;
	}
	w = &l->gone[l->ngone++];
	*w = (struct lt_repair_want){ .unit = l->unit,
		.feed = l->feed,
		.seq = seq,
		.parts = LT_REPAIR_ENTRY,
		.aside = aside };
	w->feed.b[LT_ID_LEN] &= (uint8_t)~LT_FEED_ASIDE;
}

/* Numbers between the last one seen of the feed and this one. A branch aside begins anywhere. */
static void
add_between(struct lt_repair_look *l, uint64_t seq)
{
	bool aside = lt_feed_is_aside(&l->feed);
	uint64_t i;

	if (aside && l->seq == 0)
		return;
	for (i = l->seq + 1; i < seq && l->ngone < LT_REPAIR_WANTS_MAX; i++)
		add_gone(l, aside, i);
	l->more |= i < seq;
}

/* A feed has been walked through: its head says how far it should have gone. */
static int
end_feed(struct step *s)
{
	struct lt_repair_look *l = s->l;
	struct lt_head head;
	int rc;

	if (l->unit.s[0] == '\0' || lt_feed_is_aside(&l->feed))
		return LT_OK;
	rc = lt_feed_log_head(s->txn, &l->unit, &l->feed, &head);
	if (rc == LT_OK && head.seq > l->seq)
		add_between(l, head.seq + 1);
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* A number leads there: is it one of those that cannot be read, or one behind the last that was here when the look began, and still is not? */
static int
is_lost(struct step *s, uint64_t position, bool *lost)
{
	struct lt_repair_look *l = s->l;
	struct lt_repair_near near;
	size_t i;
	int rc;

	*lost = false;
	for (i = 0; i < l->nlost && !*lost; i++) {
		*lost = l->lost[i] == position && !l->found[i];
		l->found[i] |= *lost;
	}
	if (*lost || !l->numbers || position <= l->last)
		return LT_OK;
	rc = lt_repair_near(s->txn, position, &near);
	*lost = rc == LT_OK && !near.here;
	return rc;
}

static int
place_found(struct step *s, uint64_t position, uint64_t seq)
{
	struct lt_repair_look *l = s->l;
	bool aside = lt_feed_is_aside(&l->feed), lost;
	struct lt_repair_want *w;
	int rc = is_lost(s, position, &lost);

	w = rc == LT_OK && lost ? add_want(l) : NULL;
	if (w == NULL)
		return rc;
	*w = (struct lt_repair_want){ .position = position,
		.unit = l->unit,
		.feed = l->feed,
		.seq = seq,
		.parts = LT_REPAIR_ENTRY,
		.aside = aside };
	w->feed.b[LT_ID_LEN] &= (uint8_t)~LT_FEED_ASIDE;
	return LT_OK;
}

/* rc: of the row. */
static int
number_row(struct step *s, int rc, struct lt_slice k, struct lt_slice v)
{
	struct lt_repair_look *l = s->l;
	struct lt_feed_id feed;
	struct lt_reader reader;
	struct lt_unit unit;
	uint64_t seq;
	int ended = LT_OK;

	lt_reader_init(&reader, k);
	if (k.len > sizeof(l->key) || lt_log_key_feed_read(&reader, &unit, &feed) != LT_OK)
		return LT_OK;
	seq = lt_read_u64(&reader);
	if (reader.err != LT_OK || lt_reader_left(&reader) != 0)
		return LT_OK;
	if (!lt_unit_eq(&unit, &l->unit) || lt_feed_id_cmp(&feed, &l->feed) != 0) {
		ended = end_feed(s);
		l->unit = unit;
		l->feed = feed;
		l->seq = 0;
	}
	add_between(l, seq);
	if (ended == LT_OK && rc == LT_OK && v.len == 8)
		ended = place_found(s, lt_load_u64(v.data), seq);
	else if (ended == LT_OK)
		add_gone(l, lt_feed_is_aside(&feed), seq);
	l->seq = seq;
	return ended;
}

/* What no number leads to is one of those that no number leads to any more: the running hash will say which. */
static void
end_numbers(struct lt_repair_look *l)
{
	size_t i, n = 0;

	for (i = 0; i < l->nlost; i++)
		if (!l->found[i])
			l->lost[n++] = l->lost[i];
	l->nlost = n;
	for (i = 0; n != 0 && i < l->ngone; i++) {
		struct lt_repair_want *w = add_want(l);

		if (w != NULL)
			*w = l->gone[i];
	}
}

static int
look_numbers(struct step *s)
{
	struct lt_repair_look *l = s->l;
	struct lt_slice k = { NULL, 0 }, v = { NULL, 0 };
	struct lt_kv_cursor *c;
	size_t rows = 0;
	int rc = lt_kv_cursor_open(s->txn, LT_T_SEQ, &c), got, done = LT_OK;

	if (rc != LT_OK)
		return rc;
	got = lt_kv_seek(c, lt_slice(l->key, l->key_len), &k, &v);
	if (l->key_len != 0 && k.len != 0 && lt_slice_eq(k, lt_slice(l->key, l->key_len))) {
		k = lt_slice(NULL, 0);
		got = lt_kv_next(c, &k, &v);
	}
	while ((got == LT_OK || (got == LT_E_CORRUPT && k.len != 0)) && k.len <= sizeof(l->key) &&
	       lt_slice_cmp(k, lt_slice(l->key, l->key_len)) > 0 && rows++ < STEP_ROWS &&
	       done == LT_OK) {
		done = number_row(s, got, k, v);
		memcpy(l->key, k.data, k.len);
		l->key_len = k.len;
		k = lt_slice(NULL, 0);
		got = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	if (done != LT_OK || (got != LT_OK && got != LT_E_CORRUPT && got != LT_E_NOTFOUND))
		return done != LT_OK ? done : got;
	if (rows > STEP_ROWS)
		return LT_OK;
	rc = end_feed(s);
	if (rc == LT_OK) {
		end_numbers(l);
		l->phase = LT_REPAIR_HEADS;
	}
	return rc;
}

/* ---- putting right ---- */

static void
count_mended(struct lt_repairer *r, uint64_t n)
{
	if (n == 0)
		return;
	pthread_mutex_lock(&r->mx);
	r->status.mended += n;
	pthread_mutex_unlock(&r->mx);
	lt_warn("repair: %llu rows of the log put right by what lies beside them",
	    (unsigned long long)n);
}

/* Each in its own transaction: the writer is not held for long, and one that fails keeps none behind it from being put right. */
static int
mend(struct lt_repairer *r, struct lt_repair_look *l)
{
	struct lt_repair_mend m = { .o = &r->o, .n = 1 };
	size_t at, failed = 0;
	int rc = LT_OK, why = LT_OK;

	for (at = 0; rc != LT_E_CLOSED && at < l->nmend && !atomic_load(&r->stop); at++) {
		m.position = l->mend + at;
		rc = lt_writer_run(r->o.writer, lt_repair_run_mend, &m);
		if (rc == LT_OK)
			count_mended(r, m.rows);
		else
			why = rc;
		failed += rc != LT_OK;
	}
	/* What could not be written now is found by the next look. */
	if (failed != 0)
		lt_warn("repair: %zu rows of the log are not put right now: %s", failed,
		    lt_strerror(why));
	l->nmend = 0;
	return rc == LT_E_CLOSED ? rc : LT_OK;
}

static int
look_heads(struct lt_repairer *r, struct lt_repair_look *l)
{
	struct lt_repair_head h = { .o = &r->o, .unit = l->head_unit, .feed = l->head_feed };
	int rc = LT_OK;

	/* The sum of the table tells one row, not two. */
	if (l->nheadless == 1)
		rc = lt_writer_run(r->o.writer, lt_repair_run_head, &h);
	if (rc == LT_OK && h.put)
		count_mended(r, 1);
	l->phase = LT_REPAIR_KEYS;
	return rc == LT_E_CLOSED ? rc : LT_OK;
}

/* Last of all: what was put right by then has nobody's row for a witness no more. */
static int
look_keys(struct lt_repairer *r, struct lt_repair_look *l)
{
	struct lt_repair_keys k = { .key = l->nobodys };
	struct lt_kv_txn *txn;
	bool through = false;
	int rc = lt_kv_begin_read(r->o.log, &txn);

	if (rc != LT_OK)
		return rc;
	rc = lt_repair_look_keys(txn, l, &through);
	lt_kv_abort(txn);
	if (rc != LT_OK || !through)
		return rc;
	k.n = l->nkey;
	k.numbers = l->numbers_nobodys;
	if (k.n != 0)
		rc = lt_writer_run(r->o.writer, lt_repair_run_keys, &k);
	if (rc == LT_OK)
		count_mended(r, k.rows);
	else
		lt_warn("repair: rows under keys that are none are not dropped now: %s",
		    lt_strerror(rc));
	lt_repairer_looked(r, l);
	return rc == LT_E_CLOSED ? rc : LT_OK;
}

/* ---- pages ---- */

/* Pages that cannot be read, or not in any bearable time, are no more to be trusted than broken ones. */
static bool
is_broken(int rc)
{
	return rc == LT_E_CORRUPT || rc == LT_E_IO || rc == LT_E_TIMEOUT;
}

static int
look_pages(struct lt_repairer *r, struct lt_repair_look *l)
{
	struct lt_err err = { "" };
	int rc = r->pages_whole ? LT_OK : lt_kv_look_pages(r->o.log, &r->stop, &err);

	if (rc != LT_OK && !is_broken(rc))
		return rc;
	r->pages_whole = rc == LT_OK;
	pthread_mutex_lock(&r->mx);
	r->status.pages_broken = rc != LT_OK;
	r->pages_unknown = r->begin_pages;
	pthread_mutex_unlock(&r->mx);
	if (rc == LT_OK) {
		l->phase = LT_REPAIR_POSITIONS;
		return LT_OK;
	}
	lt_error(
	    "repair: %s; nothing is written back into this store: start a node anew, which makes "
	    "its store anew from what can be read; of a hub restore a backup (các trang "
	    "của kho bị hỏng: hãy khởi động lại máy của xã để tự dựng lại kho; với đầu mối hãy "
	    "phục hồi từ bản sao lưu)",
	    err.text);
	lt_repairer_looked(r, l);
	return LT_OK;
}

static void
begin(struct lt_repairer *r)
{
	struct lt_repair_look *l = r->look;

	pthread_mutex_lock(&r->mx);
	if (r->begin) {
		r->pages_whole = r->pages_whole && !r->begin_pages;
		r->begin = r->begin_pages = false;
		r->status.looking = true;
		memset(l, 0, sizeof(*l));
		l->phase = LT_REPAIR_PAGES;
		l->from = r->from;
	}
	pthread_mutex_unlock(&r->mx);
}

static int
in_snapshot(struct lt_repairer *r, struct lt_repair_look *l)
{
	struct step s = { .r = r, .l = l };
	int rc = lt_kv_begin_read(r->o.log, &s.txn);

	if (rc != LT_OK)
		return rc;
	lt_arena_init(&s.arena, LT_REPAIR_ARENA);
	rc = l->phase == LT_REPAIR_POSITIONS ? look_positions(&s) : look_numbers(&s);
	lt_arena_fini(&s.arena);
	lt_kv_abort(s.txn);
	return rc;
}

int
lt_repairer_look_step(struct lt_repairer *r, bool *done)
{
	struct lt_repair_look *l = r->look;
	int rc = LT_OK;

	*done = false;
	if (atomic_load(&r->stop))
		return LT_E_CLOSED;
	begin(r);
	switch (l->phase) {
	case LT_REPAIR_IDLE:
		break;
	case LT_REPAIR_PAGES:
		rc = look_pages(r, l);
		break;
	case LT_REPAIR_POSITIONS:
	case LT_REPAIR_NUMBERS:
		rc = in_snapshot(r, l);
		if (rc == LT_OK && l->nmend != 0)
			rc = mend(r, l);
		break;
	case LT_REPAIR_HEADS:
		rc = look_heads(r, l);
		break;
	case LT_REPAIR_KEYS:
		rc = look_keys(r, l);
		break;
	}
	l->failed = rc == LT_OK ? 0 : l->failed + 1;
	if (rc != LT_OK && l->failed == FAILS_MAX)
		lt_error("repair: the look over the log is given up for now: %s", lt_strerror(rc));
	/* The tables cannot be walked: that is for the scrub to say, and for a backup to mend. */
	if (rc == LT_E_CORRUPT || l->failed == FAILS_MAX) {
		lt_repairer_looked(r, l);
		rc = LT_OK;
	}
	*done = l->phase == LT_REPAIR_IDLE;
	return rc;
}
