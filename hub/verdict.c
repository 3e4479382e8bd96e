/* hub/verdict.c - verdicts as acts: what the hub judged, signed in its own feed of the judged unit, so that nodes
 * and mirrors judge alike (design section 6; FORMAT.md 8, `_verdict`).
 *
 * They are owed until written: table local remembers per feed how far verdicts reach (`verdicted/...`) and which held
 * dots were settled since (`settled/...`). One job of the writer writes all that is owed; while it waits and
 * commits, more gathers by itself. */
#include "hub/hub_impl.h"
#include "hub/recovery.h"
#include "hub/told.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/store/feed_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Feeds that owe at once: the 3,321 nodes of the whole country in 3 lanes are 9,963, and many have come back with a new
 * feed. What does not fit is found by a scan of the log. */
#define OWED_MAX 16384
#define OWED_SLOTS 32768 /* a power of 2, at most half full */
#define ASIDE_MS INT64_C(3600000) /* a feed whose rows cannot be read is tried again as often */
#define VERDICT_RANGE_MAX 4096 /* change-sets one verdict covers */
#define RETOLD_RANGE_MAX 65536 /* of one that comes back, whatever program wrote it */
#define VERDICT_LIST_MAX 1500 /* refused, held and clamp entries: keeps it under LT_VALUE_MAX */
#define UNIT_WRITES_MAX 64
/* Between two jobs while the writer has other work: so long, and long enough that they take it a twentieth of its time. Nodes have
 * their receipts, refused changes included, before that. */
#define BUSY_PAUSE_MS 50
#define BUSY_PAUSE_MAX_MS 2000
#define BUSY_SHARE 20

struct dirty {
	struct lt_unit unit;
	struct lt_feed_id feed;
	int rc; /* within a job: why this feed's verdicts cannot be written, LT_OK: nothing known */
};

/* Feeds in the order in which they came, none twice. */
struct feed_set {
	size_t n;
	struct dirty *feed; /* OWED_MAX */
	uint16_t *slot; /* OWED_SLOTS: 0 free, else a place in feed, counted from 1 */
};

struct lt_verdicts {
	struct lt_hub *h;
	pthread_mutex_t mx; /* guards what follows */
	struct feed_set owed;
	struct feed_set aside; /* their own rows are damaged; noted no more until aside_ms */
	int64_t aside_ms; /* on the monotonic clock */
	bool scan_owed; /* feeds were noted for which there was no room */
	bool pending; /* a job is queued or runs, or a scan */
	bool failed; /* the last one: what is owed waits for its time */
	int said; /* why it failed last, as logged; LT_OK: nothing to say */
	int64_t retry_ms; /* not before, on the monotonic clock */
	int64_t last_ms; /* when the last job was made */
	int64_t pause_ms; /* from then on while there is other work */
	bool watching; /* a job that does nothing but ask again waits for the writer */
	atomic_bool told; /* there are, or were, rows `told/...` or `again/...` */
};

/* ---- sets of feeds ---- */

static int
set_init(struct feed_set *s)
{
	s->feed = malloc(OWED_MAX * sizeof(*s->feed));
	s->slot = calloc(OWED_SLOTS, sizeof(*s->slot));
	return s->feed == NULL || s->slot == NULL ? LT_E_NOMEM : LT_OK;
}

static void
set_fini(struct feed_set *s)
{
	free(s->feed);
	free(s->slot);
}

static void
set_clear(struct feed_set *s)
{
	if (s->n != 0)
		memset(s->slot, 0, OWED_SLOTS * sizeof(*s->slot));
	s->n = 0;
}

/* The feed's slot, or the free one where it would stand. */
static uint16_t *
set_slot(const struct feed_set *s, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	const char *c;
	size_t i;

	for (i = 0; i < LT_FEED_LEN; i++)
		h = (h ^ feed->b[i]) * 16777619u;
	for (c = unit->s; *c != '\0'; c++)
		h = (h ^ (uint8_t)*c) * 16777619u;
	h ^= h >> 16;
	for (;; h++) {
		uint16_t *at = &s->slot[h % OWED_SLOTS];
		const struct dirty *d = *at != 0 ? &s->feed[*at - 1] : NULL;

		if (d == NULL ||
		    (lt_feed_id_cmp(&d->feed, feed) == 0 && lt_unit_eq(&d->unit, unit)))
			return at;
	}
}

/* LT_E_EXISTS: it is in there; LT_E_TOOBIG: full. */
static int
set_add(struct feed_set *s, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	uint16_t *at = set_slot(s, unit, feed);

	if (*at != 0)
		return LT_E_EXISTS;
	if (s->n == OWED_MAX)
		return LT_E_TOOBIG;
	s->feed[s->n] = (struct dirty){ .unit = *unit, .feed = *feed };
	*at = (uint16_t)++s->n;
	return LT_OK;
}

/* ---- what is owed ---- */

static void
local_name(
    char out[160], const char *what, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, feed->b, LT_FEED_LEN);
	(void)snprintf(out, 160, "%s/%s/%s", what, unit->s, hex);
}

/* ---- verdicts that came back after a restore ----
 *
 * `told/unit/feed/to` in table local, for as long as the change-sets that it covers are not all back. */

/* The clamp that a verdict gives one number. */
static struct lt_judgement
clamp_of(const Ltpb__Verdict *t, uint64_t seq)
{
	struct lt_judgement j = { 0 };
	size_t i;

	for (i = 0; i < t->n_clamp; i++)
		if (t->clamp[i]->from <= seq && seq <= t->clamp[i]->to) {
			j.clamped = true;
			j.floor = t->clamp[i]->floor;
			j.ceiling = t->clamp[i]->ceiling;
		}
	return j;
}

/* Both lists rise by index. Where both refuse, the reason that was said counts. */
static int
add_told_refused(const Ltpb__Verdict *t, const struct lt_changeset *cs, struct lt_arena *arena,
    struct lt_judgement *j)
{
	Ltpb__RefusedDot **both =
	    lt_arena_alloc(arena, (j->nrefused + t->n_refused + 1) * sizeof(Ltpb__RefusedDot *));
	size_t i = 0, k = 0, n = 0;

	if (both == NULL)
		return LT_E_NOMEM;
	while (i < j->nrefused || k < t->n_refused) {
		Ltpb__RefusedDot *dot;

		if (k < t->n_refused &&
		    (t->refused[k]->seq != cs->seq || t->refused[k]->index >= cs->nchange)) {
			k++;
			continue;
		}
		if (k < t->n_refused &&
		    (i == j->nrefused || t->refused[k]->index <= j->refused[i]->index))
			dot = t->refused[k++];
		else
			dot = j->refused[i++];
		if (n == 0 || dot->index > both[n - 1]->index)
			both[n++] = dot;
	}
	j->refused = both;
	j->nrefused = n;
	return LT_OK;
}

/* What becomes of a change-set that is here when a verdict on it comes back. */
enum again {
	LOOK, /* nothing: is it judged as the verdict says? */
	OBEY, /* no other one was said: it is judged as the verdict says */
	SETTLE /* another one was said: this one refuses what that one held, as at a node, and has no other effect */
};

static int
refuse_held(const Ltpb__Verdict *t, const struct lt_changeset *cs, struct lt_arena *arena,
    struct lt_judgement *j)
{
	const struct lt_judgement was = *j;
	Ltpb__Verdict of_held = *t;
	size_t i;
	int rc;

	of_held.refused = lt_arena_alloc(arena, (t->n_refused + 1) * sizeof(*of_held.refused));
	j->held = lt_arena_alloc(arena, (was.nheld + 1) * sizeof(*j->held));
	if (of_held.refused == NULL || j->held == NULL)
		return LT_E_NOMEM;
	of_held.n_refused = 0;
	for (i = 0; i < t->n_refused; i++)
		if (t->refused[i]->seq == cs->seq && lt_judgement_holds(&was, t->refused[i]->index))
			of_held.refused[of_held.n_refused++] = t->refused[i];
	rc = add_told_refused(&of_held, cs, arena, j);
	j->nheld = 0;
	for (i = 0; rc == LT_OK && i < was.nheld; i++)
		if (!lt_judgement_refuses(j, was.held[i]->index, NULL))
			j->held[j->nheld++] = was.held[i];
	return rc;
}

/* *j: what stands here of a change-set, made what this verdict says of it. sure: its hash vouches for what is here, so it refuses these and no
 * others, but for those that it held and that were settled since; else it adds refusals and takes none away. Held is what it held and is held
 * here: what another one names and is not here was here then. */
static int
refuse_as_said(const Ltpb__Verdict *t, const struct lt_changeset *cs, bool sure,
    struct lt_arena *arena, struct lt_judgement *j)
{
	struct lt_judgement was = *j;
	size_t i;
	int rc;

	j->refused = lt_arena_alloc(arena, (was.nrefused + 1) * sizeof(*j->refused));
	j->held = lt_arena_alloc(arena, (was.nheld + 1) * sizeof(*j->held));
	if (j->refused == NULL || j->held == NULL)
		return LT_E_NOMEM;
	j->nrefused = j->nheld = 0;
	for (i = 0; i < was.nrefused; i++)
		if (!sure || lt_verdict_names(t->n_held, t->held, cs->seq, was.refused[i]->index))
			j->refused[j->nrefused++] = was.refused[i];
	rc = add_told_refused(t, cs, arena, j);
	for (i = 0; rc == LT_OK && i < was.nheld; i++)
		if (!lt_judgement_refuses(j, was.held[i]->index, NULL) &&
		    lt_verdict_names(t->n_held, t->held, cs->seq, was.held[i]->index))
			j->held[j->nheld++] = was.held[i];
	return rc;
}

static bool
same_refused(const struct lt_judgement *a, const struct lt_judgement *b, bool reasons)
{
	size_t i;

	if (a->nrefused != b->nrefused)
		return false;
	for (i = 0; i < a->nrefused; i++)
		if (a->refused[i]->index != b->refused[i]->index ||
		    (reasons && a->refused[i]->reason != b->refused[i]->reason))
			return false;
	return true;
}

/* b is made of a. whole: the reasons of what was refused, too, which change no value, and what is held, which is settled in the end. */
static bool
same_judgement(const struct lt_judgement *a, const struct lt_judgement *b, bool whole)
{
	return a->clamped == b->clamped &&
	       (!a->clamped || (a->floor == b->floor && a->ceiling == b->ceiling)) &&
	       same_refused(a, b, whole) && (!whole || a->nheld == b->nheld);
}

/* From now on; in the list of what was refused, too. */
static int
judge_as(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, uint64_t position, uint64_t stamp, const struct lt_judgement *was,
    const struct lt_judgement *now)
{
	size_t i;
	int rc =
	    lt_feed_log_judge(txn, unit, feed, seq, position, lt_judgement_stamp(now, stamp), now);

	for (i = 0; rc == LT_OK && i < was->nrefused; i++)
		if (!lt_judgement_refuses(now, was->refused[i]->index, NULL))
			rc = lt_hub_unnote_refused(txn, position, was->refused[i]->index);
	for (i = 0; rc == LT_OK && i < now->nrefused; i++)
		rc = lt_hub_note_refused(
		    txn, position, now->refused[i]->index, now->refused[i]->reason);
	return rc;
}

/* A verdict that comes back, held against what is here. */
struct retold {
	struct lt_kv_txn *txn;
	const struct lt_unit *unit;
	struct lt_feed_id feed;
	const Ltpb__Verdict *t;
	enum again how;
	bool sure; /* its hash vouches for what is here */
	bool differs;
	bool settles; /* a settling verdict is owed */
};

/* Without its hash it is not known that it judged what is here: a clamp of it is taken over, and none that was given here taken away. */
static int
weigh_again(const struct retold *r, const struct lt_changeset *cs, struct lt_arena *arena,
    struct lt_judgement *j)
{
	struct lt_judgement said = clamp_of(r->t, cs->seq);

	if (r->how == SETTLE)
		return r->sure ? refuse_held(r->t, cs, arena, j) : LT_OK;
	if (r->sure || said.clamped) {
		j->clamped = said.clamped;
		j->floor = said.floor;
		j->ceiling = said.ceiling;
	}
	return refuse_as_said(r->t, cs, r->sure, arena, j);
}

/* What it held, and what is decided here: who has the verdict waits for one that says so, for all others that is a repetition. */
static int
settle_said(struct retold *r, const struct lt_changeset *cs, const struct lt_judgement *j)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < r->t->n_held; i++) {
		Ltpb__ReasonCode reason = LTPB__REASON_CODE__REASON_UNSPECIFIED;
		uint32_t index = r->t->held[i]->index;

		if (r->t->held[i]->seq != cs->seq || index >= cs->nchange ||
		    lt_judgement_holds(j, index))
			continue;
		(void)lt_judgement_refuses(j, index, &reason);
		rc = lt_verdicts_settle(r->txn, r->unit, &r->feed, cs->seq, index, reason);
		r->settles = true;
	}
	return rc;
}

/* j: with what is held here refused as it says. Who has it counts or refuses a dot the other way round, and no later one reaches that. */
static bool
settled_otherwise(
    const Ltpb__Verdict *t, const struct lt_changeset *cs, const struct lt_judgement *j)
{
	size_t i;

	for (i = 0; i < t->n_refused; i++)
		if (t->refused[i]->seq == cs->seq && t->refused[i]->index < cs->nchange &&
		    !lt_judgement_refuses(j, t->refused[i]->index, NULL))
			return true;
	for (i = 0; i < t->n_settled; i++)
		if (t->settled[i]->seq == cs->seq &&
		    lt_judgement_refuses(j, t->settled[i]->index, NULL))
			return true;
	return false;
}

static int
judge_read_again(struct retold *r, const struct lt_changeset *cs, uint64_t position,
    struct lt_arena *arena, struct lt_judgement *was)
{
	struct lt_judgement now;
	int rc = LT_OK;

	/* What it would settle here, as at nodes, contradicts nobody. */
	if (r->how == LOOK && r->sure)
		rc = refuse_held(r->t, cs, arena, was);
	if (r->how == LOOK && r->t->settling) {
		r->differs |= rc == LT_OK && r->sure && settled_otherwise(r->t, cs, was);
		return rc;
	}
	now = *was;
	if (rc == LT_OK)
		rc = weigh_again(r, cs, arena, &now);
	if (rc == LT_OK && !same_judgement(was, &now, r->how != LOOK)) {
		r->differs = true;
		if (r->how != LOOK)
			rc = judge_as(
			    r->txn, r->unit, &r->feed, cs->seq, position, cs->stamp, was, &now);
	}
	return rc == LT_OK && r->how != LOOK && r->sure ? settle_said(r, cs, &now) : rc;
}

/* One change-set that is here. How it was judged does not follow from the change-sets alone: who may write what, and when it came, the hub
 * knew otherwise then. */
static int
judge_again(struct retold *r, uint64_t seq)
{
	struct lt_judgement was = { 0 };
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t position;
	int rc = lt_feed_log_find(r->txn, r->unit, &r->feed, seq, &position);

	if (rc == LT_OK)
		rc = lt_feed_log_read(r->txn, position, &e);
	if (rc != LT_OK)
		return rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND ? LT_OK : rc;
	lt_arena_init(&arena, LT_HUB_ARENA);
	rc = lt_feed_log_judgement(r->txn, position, &arena, &was);
	if (rc == LT_OK)
		rc = lt_changeset_open(e.changeset, &arena, &cs);
	if (rc == LT_OK)
		rc = judge_read_again(r, &cs, position, &arena, &was);
	lt_arena_fini(&arena);
	return rc == LT_E_CORRUPT || rc == LT_E_INVALID ? LT_OK : rc;
}

/* The hash that change-set seq must have had, by the one that stands behind it. */
static int
hash_before(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, struct lt_hash *out)
{
	struct lt_changeset next;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t position;
	int rc = lt_feed_log_find(txn, unit, feed, seq, &position);

	if (rc == LT_OK)
		rc = lt_feed_log_read(txn, position, &e);
	lt_arena_init(&arena, LT_HUB_ARENA);
	if (rc == LT_OK)
		rc = lt_changeset_open(e.changeset, &arena, &next);
	if (rc == LT_OK)
		*out = next.prev;
	lt_arena_fini(&arena);
	return rc == LT_E_NOTFOUND || rc == LT_E_INVALID ? LT_E_CORRUPT : rc;
}

/* Is what stands here up to `to` the branch that this verdict covers? Also where that entry is damaged: the head, or the one behind it, names its hash. */
static int
is_covered(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head, const Ltpb__Verdict *t, bool *is)
{
	struct lt_hash have = head->hash;
	int rc = LT_OK;

	if (t->to != head->seq)
		rc = lt_feed_log_hash(txn, unit, feed, t->to, &have);
	if (rc == LT_E_CORRUPT)
		rc = hash_before(txn, unit, feed, t->to + 1, &have);
	*is = rc == LT_OK && memcmp(have.b, t->to_hash.data, LT_HASH_LEN) == 0;
	if (rc != LT_E_CORRUPT)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	lt_error("a verdict of this hub that came back (unit %s) cannot be compared with what is "
		 "here: change-sets %llu and %llu that it speaks of are damaged; they stay judged "
		 "as they are",
	    unit->s, (unsigned long long)t->to, (unsigned long long)t->to + 1);
	return LT_OK;
}

/* Those of the numbers above `from` up to `to` that it covers; they are here, and r->sure is known. */
static int
judge_range_again(struct retold *r, uint64_t from, uint64_t to, enum again how)
{
	uint64_t seq = from + 1 > r->t->from ? from + 1 : r->t->from;
	int rc = LT_OK;

	r->how = how;
	for (; rc == LT_OK && seq <= r->t->to && seq <= to; seq++)
		rc = judge_again(r, seq);
	return rc;
}

/* Of the numbers above `from` up to `to` that are here and that this verdict covers, of the branch that it covers. */
static int
judge_all_again(struct retold *r, uint64_t from, uint64_t to, enum again how)
{
	struct lt_head head;
	bool ours = true;
	int rc = lt_feed_log_head(r->txn, r->unit, &r->feed, &head);

	r->sure = rc == LT_OK && head.seq >= r->t->to;
	if (r->sure)
		rc = is_covered(r->txn, r->unit, &r->feed, &head, r->t, &ours);
	if (rc != LT_OK || !ours)
		return rc;
	return judge_range_again(r, from, to < head.seq ? to : head.seq, how);
}

/* r->t in the arena. LT_E_INVALID: no verdict. */
static int
retold_open(struct retold *r, struct lt_slice bytes, struct lt_arena *arena)
{
	ProtobufCMessage *m;
	int rc = lt_wire_unpack(&ltpb__verdict__descriptor, bytes, LT_VALUE_MAX, arena, &m, NULL);

	if (rc != LT_OK)
		return rc;
	r->t = (const Ltpb__Verdict *)m;
	if (r->t->feed.len != LT_FEED_LEN || r->t->from == 0 || r->t->to < r->t->from ||
	    r->t->to - r->t->from >= RETOLD_RANGE_MAX || r->t->to_hash.len != LT_HASH_LEN)
		return LT_E_INVALID;
	memcpy(r->feed.b, r->t->feed.data, LT_FEED_LEN);
	return LT_OK;
}

/* Of what is not here, by what those say of it that wait for it. */
static int
compare_told(const struct retold *r, bool *overlaps, bool *differs)
{
	struct lt_head head;
	int rc = lt_feed_log_head(r->txn, r->unit, &r->feed, &head);

	return rc == LT_OK
		   ? lt_told_compare(r->txn, r->unit, &r->feed, r->t, head.seq, overlaps, differs)
		   : rc;
}

int
lt_verdicts_contradicts(
    struct lt_kv_txn *txn, const struct lt_unit *unit, struct lt_slice verdict, bool *is)
{
	struct retold r = { .txn = txn, .unit = unit };
	bool overlaps, differs = false;
	struct lt_arena arena;
	char name[160];
	uint64_t covered;
	int rc;

	lt_arena_init(&arena, LT_HUB_ARENA);
	rc = retold_open(&r, verdict, &arena);
	if (rc == LT_OK) {
		local_name(name, "verdicted", unit, &r.feed);
		rc = lt_local_get_u64(txn, name, &covered);
	}
	/* One that settles may come before those that held. */
	if (rc == LT_OK)
		rc = judge_all_again(&r, 0, r.t->settling ? UINT64_MAX : covered, LOOK);
	if (rc == LT_OK)
		rc = compare_told(&r, &overlaps, &differs);
	lt_arena_fini(&arena);
	*is = r.differs || differs;
	/* What is malformed, or speaks of what is damaged here, contradicts nothing. */
	return rc == LT_E_INVALID || rc == LT_E_TOOBIG || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* Of what is here it is weighed once more when its last one comes: covered is how far other ones had spoken, up to here how far the feed reached. */
static int
keep_weigh(const struct retold *r, uint64_t covered, uint64_t here)
{
	char name[LT_TOLD_NAME];
	uint8_t weigh[16];

	if (here < r->t->from)
		return LT_OK;
	lt_store_u64(weigh, covered);
	lt_store_u64(weigh + 8, here);
	lt_told_name(name, "weigh", r->unit, &r->feed, r->t->to);
	return lt_local_put(r->txn, name, lt_slice(weigh, sizeof(weigh)));
}

/* A row of another one is damaged, and it is not known what that one decides. This one counts as said, so it must not be lost: should the row go,
 * it decides what that one did. */
static int
keep_beside_damage(const struct retold *r, struct lt_slice bytes, uint64_t covered, uint64_t here)
{
	char name[LT_TOLD_NAME];
	struct lt_slice row;
	int rc = lt_told_keep_again(r->txn, r->unit, &r->feed, r->t->to, bytes, false);

	lt_told_name(name, "told", r->unit, &r->feed, r->t->to);
	if (rc == LT_OK && !r->t->settling && lt_local_get(r->txn, name, &row) == LT_E_NOTFOUND) {
		rc = lt_local_put(r->txn, name, bytes);
		if (rc == LT_OK)
			rc = keep_weigh(r, covered, here);
	}
	return rc == LT_OK ? LT_E_CORRUPT : rc;
}

/* It waits for what it covers and is not here, and where another one waits that speaks of the same, to be weighed as a whole. */
static int
keep_told(struct lt_verdicts *v, const struct retold *r, struct lt_slice bytes, uint64_t covered,
    uint64_t here)
{
	bool overlaps, differs, last = false;
	int rc = compare_told(r, &overlaps, &differs);

	atomic_store(&v->told, true);
	if (rc == LT_E_CORRUPT)
		return keep_beside_damage(r, bytes, covered, here);
	if (rc == LT_OK && (overlaps || r->t->settling))
		rc = lt_told_keep_again(r->txn, r->unit, &r->feed, r->t->to, bytes, differs);
	if (rc == LT_OK && !r->t->settling)
		rc = lt_told_keep(r->txn, r->unit, &r->feed, r->t, bytes, here, &last);
	return rc == LT_OK && last ? keep_weigh(r, covered, here) : rc;
}

static void
say_contradicted(const struct lt_unit *unit)
{
	lt_error("ALARM: a node has a verdict of this hub (unit %s) that another one contradicts, "
		 "which was said since files were put back or came back before it, and which "
		 "counts: that node shows other values, and has to be set up anew",
	    unit->s);
}

/* Its `to` is about to come with the hash that it names: all before is what it judged. */
static int
weigh_told(struct retold *r)
{
	struct lt_slice row;
	uint64_t covered, here;
	char name[LT_TOLD_NAME];
	int rc;

	lt_told_name(name, "weigh", r->unit, &r->feed, r->t->to);
	rc = lt_local_get(r->txn, name, &row);
	if (rc != LT_OK && rc != LT_E_CORRUPT)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	if (rc == LT_E_CORRUPT || row.len != 16) {
		lt_error("how change-sets of unit %s were judged is not compared with a verdict "
			 "that came back: its row is damaged",
		    r->unit->s);
		return lt_kv_del(r->txn, LT_T_LOCAL, lt_slice_str(name));
	}
	covered = lt_load_u64(row.data);
	here = lt_load_u64(row.data + 8);
	r->sure = true;
	rc = judge_range_again(r, 0, covered < here ? covered : here, LOOK);
	if (r->differs)
		say_contradicted(r->unit);
	r->differs = false;
	if (rc == LT_OK)
		rc = judge_range_again(r, 0, covered < here ? covered : here, SETTLE);
	if (rc == LT_OK)
		rc = judge_range_again(r, covered, here, OBEY);
	return rc == LT_OK ? lt_kv_del(r->txn, LT_T_LOCAL, lt_slice_str(name)) : rc;
}

/* Of one that settles what it accepts is settled again when the change-sets that it waited for are back. */
static int
obey_settling(struct lt_verdicts *v, struct retold *r, struct lt_slice bytes)
{
	struct lt_head head;
	int rc = judge_all_again(r, 0, UINT64_MAX, SETTLE);

	if (rc == LT_OK)
		rc = lt_feed_log_head(r->txn, r->unit, &r->feed, &head);
	return rc == LT_OK && head.seq < r->t->to ? keep_told(v, r, bytes, 0, head.seq) : rc;
}

static int
obey_told(struct lt_verdicts *v, struct retold *r, struct lt_slice bytes)
{
	struct lt_head head;
	char name[160];
	uint64_t covered;
	int rc;

	if (r->t->settling)
		return obey_settling(v, r, bytes);
	local_name(name, "verdicted", r->unit, &r->feed);
	rc = lt_local_get_u64(r->txn, name, &covered);
	if (rc == LT_OK && covered < r->t->to)
		rc = lt_local_put_u64(r->txn, name, r->t->to);
	if (rc == LT_OK)
		rc = judge_all_again(r, 0, covered, SETTLE);
	if (rc == LT_OK)
		rc = judge_all_again(r, covered, UINT64_MAX, OBEY);
	if (rc == LT_OK)
		rc = lt_feed_log_head(r->txn, r->unit, &r->feed, &head);
	return rc == LT_OK && head.seq < r->t->to ? keep_told(v, r, bytes, covered, head.seq) : rc;
}

int
lt_verdicts_told(struct lt_verdicts *v, struct lt_kv_txn *txn, const struct lt_unit *unit,
    struct lt_slice bytes, bool *again)
{
	struct retold r = { .txn = txn, .unit = unit };
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, LT_HUB_ARENA);
	rc = retold_open(&r, bytes, &arena);
	if (rc == LT_OK)
		rc = obey_told(v, &r, bytes);
	*again |= r.differs;
	if (r.settles)
		lt_verdicts_note(v, unit, &r.feed);
	lt_arena_fini(&arena);
	return rc;
}

/* Held as it was then: a context that is not here again yet was here when it was accepted. */
static int
put_told_held(const Ltpb__Verdict *t, const struct lt_changeset *cs, struct lt_arena *arena,
    struct lt_judgement *j)
{
	size_t i;

	j->nheld = 0;
	j->held = lt_arena_alloc(arena, (t->n_held + 1) * sizeof(*j->held));
	if (j->held == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < t->n_held; i++) {
		Ltpb__HeldDot *dot = t->held[i];

		if (dot->seq == cs->seq && dot->index < cs->nchange &&
		    !lt_judgement_refuses(j, dot->index, NULL) &&
		    (j->nheld == 0 || dot->index > j->held[j->nheld - 1]->index))
			j->held[j->nheld++] = dot;
	}
	return LT_OK;
}

int
lt_verdicts_recall(struct lt_verdicts *v, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    struct lt_arena *arena, struct lt_judgement *j, bool *again)
{
	struct retold r = { .txn = txn, .unit = &cs->unit, .feed = cs->feed };
	char name[LT_TOLD_NAME];
	const Ltpb__Verdict *t;
	size_t i;
	int rc;

	if (!atomic_load(&v->told))
		return LT_E_NOTFOUND;
	rc = lt_told_find(txn, &cs->unit, &cs->feed, cs->seq, arena, name, &t);
	if (rc == LT_OK && t->from > cs->seq)
		rc = LT_E_NOTFOUND;
	if (rc != LT_OK)
		return rc;
	/* Part of one ends without a hash (told.h). */
	if (t->to == cs->seq && t->to_hash.len != 0 &&
	    (t->to_hash.len != LT_HASH_LEN ||
		memcmp(t->to_hash.data, cs->hash.b, LT_HASH_LEN) != 0))
		return LT_E_FORK;
	rc = add_told_refused(t, cs, arena, j);
	if (rc == LT_OK)
		rc = put_told_held(t, cs, arena, j);
	if (rc != LT_OK)
		return rc;
	for (i = 0; i < t->n_clamp; i++)
		if (t->clamp[i]->from <= cs->seq && cs->seq <= t->clamp[i]->to) {
			j->clamped = true;
			j->floor = t->clamp[i]->floor;
			j->ceiling = t->clamp[i]->ceiling;
		}
	if (t->to != cs->seq)
		return LT_OK;
	r.t = t;
	rc = weigh_told(&r);
	*again |= r.differs;
	if (r.settles)
		lt_verdicts_note(v, &cs->unit, &cs->feed);
	return rc == LT_OK ? lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(name)) : rc;
}

/* One that waited besides the one that decides. */
static int
weigh_again_kept(struct retold *r, const struct lt_changeset *cs, bool late)
{
	int rc;

	/* Of another branch it says nothing of what is here. */
	if (r->t->to != cs->seq || r->t->to_hash.len != LT_HASH_LEN ||
	    memcmp(r->t->to_hash.data, cs->hash.b, LT_HASH_LEN) != 0)
		return LT_OK;
	r->sure = true;
	rc = judge_range_again(r, 0, UINT64_MAX, LOOK);
	if (rc == LT_OK && r->differs && !late)
		say_contradicted(r->unit);
	r->differs = false;
	return rc == LT_OK ? judge_range_again(r, 0, UINT64_MAX, SETTLE) : rc;
}

int
lt_verdicts_weigh(struct lt_verdicts *v, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    bool *weighed, bool *again)
{
	struct retold r = { .txn = txn, .unit = &cs->unit, .feed = cs->feed };
	int rc = LT_OK;

	*weighed = false;
	while (rc == LT_OK && atomic_load(&v->told)) {
		struct lt_arena arena;
		bool late;

		lt_arena_init(&arena, LT_HUB_ARENA);
		rc = lt_told_take_again(txn, &cs->unit, &cs->feed, cs->seq, &arena, &r.t, &late);
		if (rc == LT_OK) {
			*weighed = true;
			rc = weigh_again_kept(&r, cs, late);
			*again |= r.differs;
			r.differs = false;
		} else if (rc == LT_E_CORRUPT) {
			lt_error("how change-sets of unit %s were judged is not compared with a "
				 "verdict that came back: its row is damaged",
			    cs->unit.s);
			rc = LT_OK;
		}
		lt_arena_fini(&arena);
	}
	if (r.settles)
		lt_verdicts_note(v, &cs->unit, &cs->feed);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* Does anything wait? */
static int
scan_told(struct lt_verdicts *v)
{
	struct lt_kv_txn *txn;
	bool any;
	int rc = lt_kv_begin_read(v->h->log, &txn);

	if (rc != LT_OK)
		return rc;
	rc = lt_told_any(txn, &any);
	lt_kv_abort(txn);
	if (rc == LT_OK && any)
		atomic_store(&v->told, true);
	return rc;
}

/* ---- settling ---- */

int
lt_verdicts_settle(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, uint32_t index, Ltpb__ReasonCode reason)
{
	char name[160], full[200];

	local_name(name, "settled", unit, feed);
	(void)snprintf(full, sizeof(full), "%s/%016llx/%08x", name, (unsigned long long)seq, index);
	return lt_local_put_u64(txn, full, (uint64_t)reason);
}

/* With the mutex held. */
static void
note_locked(struct lt_verdicts *v, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	if (*set_slot(&v->aside, unit, feed) != 0)
		return;
	if (set_add(&v->owed, unit, feed) != LT_E_TOOBIG)
		return;
	if (!v->scan_owed)
		lt_warn(
		    "more than %d feeds wait for verdicts: the log will be scanned for the rest",
		    OWED_MAX);
	v->scan_owed = true;
}

void
lt_verdicts_note(struct lt_verdicts *v, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	pthread_mutex_lock(&v->mx);
	note_locked(v, unit, feed);
	pthread_mutex_unlock(&v->mx);
}

/* ---- one verdict ---- */

struct drafting {
	struct lt_hub *h;
	struct lt_kv_txn *txn;
	struct lt_arena *arena;
};

static int
same_clamp(const Ltpb__Clamp *c, const struct lt_judgement *j)
{
	return c->floor == j->floor && c->ceiling == j->ceiling;
}

/* One more change-set's entries fit after a list is nearly full. */
#define LIST_ROOM (VERDICT_LIST_MAX + LT_CHANGES_MAX + 1)

/* Room for a list when it gets its first entry: nearly every verdict has none. NULL: out of memory. */
static void *
list_room(struct drafting *d, void *list)
{
	return list != NULL ? list : lt_arena_alloc(d->arena, LIST_ROOM * sizeof(void *));
}

static int
add_clamp(struct drafting *d, Ltpb__Verdict *v, uint64_t seq, const struct lt_judgement *j,
    size_t *entries)
{
	Ltpb__Clamp *c;

	if (v->n_clamp != 0 && v->clamp[v->n_clamp - 1]->to == seq - 1 &&
	    same_clamp(v->clamp[v->n_clamp - 1], j)) {
		v->clamp[v->n_clamp - 1]->to = seq;
		return LT_OK;
	}
	v->clamp = list_room(d, v->clamp);
	c = lt_arena_alloc(d->arena, sizeof(*c));
	if (v->clamp == NULL || c == NULL)
		return LT_E_NOMEM;
	ltpb__clamp__init(c);
	c->from = c->to = seq;
	c->floor = j->floor;
	c->ceiling = j->ceiling;
	v->clamp[v->n_clamp++] = c;
	(*entries)++;
	return LT_OK;
}

static int
add_judgement(struct drafting *d, Ltpb__Verdict *v, uint64_t seq, const struct lt_judgement *j,
    size_t *entries)
{
	size_t i;

	if (j->nrefused != 0 && (v->refused = list_room(d, v->refused)) == NULL)
		return LT_E_NOMEM;
	if (j->nheld != 0 && (v->held = list_room(d, v->held)) == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < j->nrefused; i++)
		v->refused[v->n_refused++] = j->refused[i];
	for (i = 0; i < j->nheld; i++)
		v->held[v->n_held++] = j->held[i];
	*entries += j->nrefused + j->nheld;
	return j->clamped ? add_clamp(d, v, seq, j, entries) : LT_OK;
}

static int
verdict_new(struct drafting *d, const struct lt_feed_id *feed, Ltpb__Verdict **out)
{
	Ltpb__Verdict *v = lt_arena_alloc(d->arena, sizeof(*v));

	if (v == NULL)
		return LT_E_NOMEM;
	ltpb__verdict__init(v);
	v->feed.data = lt_arena_dup(d->arena, feed->b, LT_FEED_LEN);
	v->feed.len = LT_FEED_LEN;
	*out = v;
	return v->feed.data == NULL ? LT_E_NOMEM : LT_OK;
}

/* The verdict from `from` on, as far as limits allow; v->to is set. */
static int
draft_range(
    struct drafting *d, const struct dirty *f, uint64_t from, uint64_t judged, Ltpb__Verdict **out)
{
	Ltpb__Verdict *v;
	struct lt_hash h;
	size_t entries = 0;
	uint64_t seq;
	int rc = verdict_new(d, &f->feed, &v);

	if (rc != LT_OK)
		return rc;
	v->from = from;
	for (seq = from;
	     seq <= judged && seq - from < VERDICT_RANGE_MAX && entries < VERDICT_LIST_MAX; seq++) {
		struct lt_judgement j;
		uint64_t position;

		rc = lt_feed_log_find(d->txn, &f->unit, &f->feed, seq, &position);
		if (rc == LT_OK)
			rc = lt_feed_log_judgement(d->txn, position, d->arena, &j);
		if (rc == LT_OK)
			rc = add_judgement(d, v, seq, &j, &entries);
		if (rc != LT_OK)
			return rc;
		v->to = seq;
	}
	rc = lt_feed_log_hash(d->txn, &f->unit, &f->feed, v->to, &h);
	v->to_hash.data = lt_arena_dup(d->arena, h.b, LT_HASH_LEN);
	v->to_hash.len = LT_HASH_LEN;
	*out = v;
	return v->to_hash.data == NULL ? LT_E_NOMEM : rc;
}

/* "/<seq: 16 hex digits>/<index: 8>", as lt_verdicts_settle() writes it. */
static int
read_tail(const char *tail, uint64_t *seq, uint32_t *index)
{
	uint8_t s[8], x[4];
	char hex[17];

	if (strlen(tail) != 26 || tail[0] != '/' || tail[17] != '/')
		return LT_E_CORRUPT;
	memcpy(hex, tail + 1, 16);
	hex[16] = '\0';
	if (lt_unhex(s, sizeof(s), hex) != LT_OK || lt_unhex(x, sizeof(x), tail + 18) != LT_OK)
		return LT_E_CORRUPT;
	*seq = lt_load_u64(s);
	*index = lt_load_u32(x);
	return LT_OK;
}

/* A dot that was settled: its row in table local. */
struct settled {
	char name[200];
	uint64_t seq, reason;
	uint32_t index;
};

/* The first row that is left of this feed. LT_E_NOTFOUND: none. Damage behind the last one is not this feed's. */
static int
next_settled(struct drafting *d, const struct dirty *f, struct settled *out)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, val, in;
	int rc = lt_kv_cursor_open(d->txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	local_name(out->name, "settled", &f->unit, &f->feed);
	in = lt_slice_str(out->name);
	rc = lt_kv_seek_at(c, in, in, &k, &val);
	lt_kv_cursor_close(c);
	if (rc != LT_OK)
		return rc;
	if (val.len != 8 || k.len >= sizeof(out->name))
		return LT_E_CORRUPT;
	out->reason = lt_load_u64(val.data);
	lt_slice_to_text(out->name, sizeof(out->name), k);
	return read_tail(out->name + in.len, &out->seq, &out->index);
}

static int
add_settled_dot(struct drafting *d, Ltpb__Verdict *v, const struct settled *s)
{
	Ltpb__HeldDot *dot = lt_arena_alloc(d->arena, sizeof(*dot));

	v->settled = list_room(d, v->settled);
	if (v->settled == NULL || dot == NULL)
		return LT_E_NOMEM;
	ltpb__held_dot__init(dot);
	dot->seq = s->seq;
	dot->index = s->index;
	v->settled[v->n_settled++] = dot;
	return LT_OK;
}

static int
add_refused_dot(struct drafting *d, Ltpb__Verdict *v, const struct settled *s)
{
	Ltpb__RefusedDot *dot = lt_arena_alloc(d->arena, sizeof(*dot));

	v->refused = list_room(d, v->refused);
	if (v->refused == NULL || dot == NULL)
		return LT_E_NOMEM;
	ltpb__refused_dot__init(dot);
	dot->seq = s->seq;
	dot->index = s->index;
	dot->reason = (Ltpb__ReasonCode)s->reason;
	v->refused[v->n_refused++] = dot;
	return LT_OK;
}

static int
verdict_ends(struct drafting *d, const struct dirty *f, Ltpb__Verdict *v)
{
	struct lt_hash h;
	int rc = lt_feed_log_hash(d->txn, &f->unit, &f->feed, v->to, &h);

	v->to_hash.data = lt_arena_dup(d->arena, h.b, LT_HASH_LEN);
	v->to_hash.len = LT_HASH_LEN;
	return v->to_hash.data == NULL ? LT_E_NOMEM : rc;
}

/* Dots settled since; their rows in table local are spent. Every one is named, also one that no verdict ever called
 * held: the projector passed it over and waits for this word. *out NULL: there are none. */
static int
draft_settled(struct drafting *d, const struct dirty *f, Ltpb__Verdict **out)
{
	Ltpb__Verdict *v = NULL;
	struct settled s;
	size_t n;
	int rc = LT_OK;

	*out = NULL;
	for (n = 0; n < VERDICT_LIST_MAX && rc == LT_OK; n++) {
		rc = next_settled(d, f, &s);
		/* Rows come in the order of seq. Who reads a settling verdict judges all of its range again. */
		if (rc != LT_OK || (v != NULL && s.seq - v->from >= VERDICT_RANGE_MAX))
			break;
		rc = lt_kv_del(d->txn, LT_T_LOCAL, lt_slice_str(s.name));
		if (rc == LT_OK && v == NULL) {
			rc = verdict_new(d, &f->feed, &v);
			if (rc != LT_OK)
				break;
			v->settling = true;
			v->from = s.seq;
		}
		if (rc != LT_OK)
			break;
		v->to = s.seq;
		rc = s.reason == 0 ? add_settled_dot(d, v, &s) : add_refused_dot(d, v, &s);
	}
	if (rc == LT_E_NOTFOUND)
		rc = LT_OK;
	if (rc != LT_OK || v == NULL)
		return rc;
	*out = v;
	return verdict_ends(d, f, v);
}

static int
write_verdict(struct drafting *d, const struct dirty *f, const Ltpb__Verdict *v)
{
	struct lt_write w = {
		.collection = "_verdict", .builtin = true, .writer = LT_WRITER_PROVINCE
	};
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT, *set[1] = { &fs };
	Ltpb__Value value = LTPB__VALUE__INIT;
	struct lt_catalogue *cat;
	struct lt_kv_txn *derived;
	struct lt_buf bytes;
	struct lt_err err = { "" };
	char hex[2 * LT_FEED_LEN + 1], key[120];
	int rc;

	lt_hex(hex, f->feed.b, LT_FEED_LEN);
	(void)snprintf(key, sizeof(key), "%s/%llu", hex, (unsigned long long)v->from);
	lt_buf_init(&bytes, LT_VALUE_MAX);
	rc = lt_wire_pack(&v->base, LT_VALUE_MAX, &bytes);
	if (rc != LT_OK)
		goto out;
	value.v_case = LTPB__VALUE__V_BYTES;
	value.bytes.data = bytes.data;
	value.bytes.len = bytes.len;
	fs.name = (char *)"verdict";
	fs.value = &value;
	w.key = key;
	w.set = set;
	w.nset = 1;
	rc = lt_kv_begin_read(d->h->derived, &derived);
	if (rc != LT_OK)
		goto out;
	cat = lt_hub_catalogue(d->h);
	rc = lt_author_write(
	    d->txn, derived, &d->h->author, cat, &f->unit, &w, 1, d->arena, NULL, NULL, &err);
	if (rc == LT_OK && w.rc != LT_OK) {
		lt_error("a verdict was not written: %s %s", w.violation.message, err.text);
		rc = w.rc;
	}
	lt_catalogue_unref(cat);
	lt_kv_abort(derived);
out:
	lt_buf_fini(&bytes);
	return rc;
}

/* The verdicts owed for one feed. */
static int
write_verdicts(struct drafting *d, const struct dirty *f)
{
	struct lt_head head;
	Ltpb__Verdict *v;
	char name[160];
	uint64_t covered;
	int rc;

	local_name(name, "verdicted", &f->unit, &f->feed);
	rc = lt_local_get_u64(d->txn, name, &covered);
	if (rc == LT_OK)
		rc = lt_feed_log_head(d->txn, &f->unit, &f->feed, &head);
	while (rc == LT_OK && covered < head.judged) {
		/* Each in memory of its own: after a long stop there may be any number. */
		lt_arena_fini(d->arena);
		lt_arena_init(d->arena, LT_HUB_ARENA);
		rc = draft_range(d, f, covered + 1, head.judged, &v);
		if (rc == LT_OK)
			rc = write_verdict(d, f, v);
		if (rc == LT_OK) {
			covered = v->to;
			rc = lt_local_put_u64(d->txn, name, covered);
		}
	}
	/* After the ranges: a settling verdict speaks of what is judged already. */
	do {
		v = NULL;
		lt_arena_fini(d->arena);
		lt_arena_init(d->arena, LT_HUB_ARENA);
		if (rc == LT_OK)
			rc = draft_settled(d, f, &v);
		if (rc == LT_OK && v != NULL)
			rc = write_verdict(d, f, v);
	} while (rc == LT_OK && v != NULL);
	return rc;
}

/* Everything owed for one feed. The hub's own has no verdicts, one of before a restore perhaps acts that are to be said again. */
static int
write_owed(struct drafting *d, const struct dirty *f)
{
	const struct lt_id author = lt_feed_author(&f->feed);
	int rc = LT_OK;

	if (!lt_id_eq(&author, &d->h->author.id))
		rc = write_verdicts(d, f);
	if (rc == LT_OK)
		rc = lt_forks_rule(d->h, d->txn, &f->unit, &f->feed);
	return rc == LT_OK ? lt_resay(d->h, d->txn, &f->unit, &f->feed) : rc;
}

struct verdict_job {
	struct lt_verdicts *v;
	size_t n;
	size_t nowed; /* the first of feed; those behind it were set aside before */
	struct dirty *feed;
	int64_t took_ms;
};

/* Of the machine, the store or its moment; anything else lies in what is stored of the one feed. */
static bool
concerns_all(int rc)
{
	switch (rc) {
	case LT_E_NOSPACE:
	case LT_E_IO:
	case LT_E_NOMEM:
	case LT_E_BUSY:
	case LT_E_CLOSED:
	case LT_E_TIMEOUT:
	case LT_E_CANCELLED:
	case LT_E_UNAVAILABLE:
		return true;
	default:
		return false;
	}
}

/* A feed that fails may have written half of what it owes: the job fails, and leaves that feed out when it runs again. The
 * others are looked at all the same, so that one more run is enough. */
static int
run_verdicts(struct lt_kv_txn *txn, void *ctx)
{
	struct verdict_job *j = ctx;
	struct drafting d = { .h = j->v->h, .txn = txn };
	struct lt_arena arena;
	size_t i;
	int64_t from = lt_mono_ms(d.h->clock);
	int rc, first = LT_OK;

	/* Shown to be in doubt by a job before this one. */
	if (lt_hub_recovering(d.h))
		return LT_E_UNAVAILABLE;
	d.arena = &arena;
	for (i = 0; i < j->n; i++) {
		if (j->feed[i].rc != LT_OK)
			continue;
		lt_arena_init(&arena, LT_HUB_ARENA);
		rc = write_owed(&d, &j->feed[i]);
		lt_arena_fini(&arena);
		if (concerns_all(rc))
			return rc;
		j->feed[i].rc = rc;
		if (first == LT_OK)
			first = rc;
	}
	j->took_ms = lt_mono_ms(d.h->clock) - from;
	return first;
}

static int64_t
pause_after(int64_t took_ms)
{
	int64_t ms = took_ms * BUSY_SHARE;

	return ms < BUSY_PAUSE_MS ? BUSY_PAUSE_MS : ms < BUSY_PAUSE_MAX_MS ? ms : BUSY_PAUSE_MAX_MS;
}

/* With the mutex held. Said once, not every second. */
static void
note_failed(struct lt_verdicts *v, int rc)
{
	v->failed = true;
	v->retry_ms = lt_mono_ms(v->h->clock) + LT_HUB_RETRY_MS;
	if (v->said != rc && rc != LT_E_CLOSED)
		lt_error(
		    "verdicts could not be written: %s; what is owed is tried again every second",
		    lt_strerror(rc));
	v->said = rc;
}

/* With the mutex held. The other feeds' verdicts go on. */
static void
set_aside(struct lt_verdicts *v, const struct dirty *f, bool known)
{
	char hex[2 * LT_FEED_LEN + 1];
	int rc = set_add(&v->aside, &f->unit, &f->feed);

	if (rc == LT_E_TOOBIG)
		lt_warn(
		    "more than %d feeds without verdicts: some wait for the next start", OWED_MAX);
	if (rc == LT_OK && v->aside.n == 1) /* one time for all: the first one's */
		v->aside_ms = lt_mono_ms(v->h->clock) + ASIDE_MS;
	if (known || rc == LT_E_EXISTS)
		return;
	lt_hex(hex, f->feed.b, LT_FEED_LEN);
	lt_error(
	    "no verdicts for feed %s of unit \"%s\": %s; it is set aside and tried again every "
	    "hour",
	    hex, f->unit.s, lt_strerror(f->rc));
}

/* With the mutex held. What the job would have written is owed again. true: a feed was left out, the next job is another. */
static bool
sort_out(struct verdict_job *j, int rc)
{
	struct lt_verdicts *v = j->v;
	bool fewer = false;
	size_t i;

	for (i = 0; i < j->n; i++) {
		const struct dirty *f = &j->feed[i];

		fewer |= f->rc != LT_OK;
		if (f->rc != LT_OK)
			set_aside(v, f, i >= j->nowed);
		else if (rc != LT_OK)
			note_locked(v, &f->unit, &f->feed);
		else if (i >= j->nowed)
			lt_info(
			    "a feed of unit \"%s\" that was set aside has its verdicts", f->unit.s);
	}
	return fewer;
}

/* Not tried at once, or a full disk would be written to in a circle; but without the feeds that failed it goes on at once. */
static void
job_done(void *ctx, int rc)
{
	struct verdict_job *j = ctx;
	struct lt_verdicts *v = j->v;
	bool fewer, wait;

	pthread_mutex_lock(&v->mx);
	v->pending = false;
	v->pause_ms = pause_after(j->took_ms);
	fewer = sort_out(j, rc);
	wait = rc != LT_OK && (!fewer || concerns_all(rc));
	if (wait) {
		note_failed(v, rc);
	} else {
		if (rc == LT_OK && v->said != LT_OK)
			lt_info("verdicts are written again");
		v->failed = false;
		v->said = LT_OK;
	}
	pthread_mutex_unlock(&v->mx);
	free(j->feed);
	free(j);
	if (wait)
		lt_projector_kick(v->h); /* its clock runs from now on */
	else if (rc != LT_OK)
		(void)lt_verdicts_kick(v);
}

bool
lt_verdicts_failed(struct lt_verdicts *v)
{
	bool failed;

	pthread_mutex_lock(&v->mx);
	failed = v->failed && !v->pending;
	pthread_mutex_unlock(&v->mx);
	return failed;
}

/* ---- finding what is owed ---- */

struct scan {
	struct lt_verdicts *v;
	struct lt_kv_txn *txn;
};

/* Was something of this feed settled that no verdict has said yet? */
static int
owes_settled(
    struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed, bool *owes)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v, in;
	char prefix[160];
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	*owes = false;
	if (rc != LT_OK)
		return rc;
	local_name(prefix, "settled", unit, feed);
	in = lt_slice_str(prefix);
	rc = lt_kv_seek_at(c, in, in, &k, &v);
	*owes = rc == LT_OK;
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
scan_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct scan *s = ctx;
	struct lt_id author = lt_feed_author(feed);
	char name[160];
	uint64_t covered;
	bool owes = false;
	int rc;

	if (lt_id_eq(&author, &s->v->h->author.id))
		return LT_OK;
	local_name(name, "verdicted", unit, feed);
	rc = lt_local_get_u64(s->txn, name, &covered);
	if (rc == LT_OK)
		rc = owes_settled(s->txn, unit, feed, &owes);
	if ((rc == LT_OK && (covered < head->judged || owes)) ||
	    (rc != LT_OK && !concerns_all(rc))) /* the job sets it aside */
		lt_verdicts_note(s->v, unit, feed);
	return concerns_all(rc) ? rc : LT_OK;
}

/* Dots decided before a stop whose verdict was not written yet: `settled/unit/feed/seq/index`. */
static int
scan_settled(struct lt_verdicts *v, struct lt_kv_txn *txn)
{
	const struct lt_slice in = lt_slice_str("settled/");
	const size_t plen = in.len, tail = 1 + 2 * LT_FEED_LEN + 26;
	struct lt_kv_cursor *c;
	struct lt_slice k, val;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_at(c, in, in, &k, &val);
	/* A damaged row has its name: its feed's job finds it. */
	while ((rc == LT_OK || (rc == LT_E_CORRUPT && k.len != 0)) && k.len > plen + tail) {
		size_t ulen = k.len - plen - tail;
		char hex[2 * LT_FEED_LEN + 1] = "";
		struct lt_feed_id feed;
		struct lt_unit unit;

		memcpy(hex, k.data + plen + ulen + 1, 2 * LT_FEED_LEN);
		if (lt_unit_set(&unit, lt_slice(k.data + plen, ulen)) == LT_OK &&
		    lt_unhex(feed.b, LT_FEED_LEN, hex) == LT_OK)
			lt_verdicts_note(v, &unit, &feed);
		rc = lt_kv_next_at(c, in, &k, &val);
	}
	lt_kv_cursor_close(c);
	return concerns_all(rc) ? rc : LT_OK;
}

/* Every feed that owes. */
static int
scan_log(struct lt_verdicts *v)
{
	struct scan s = { .v = v };
	int rc = lt_kv_begin_read(v->h->log, &s.txn);

	if (rc != LT_OK)
		return rc;
	rc = lt_feed_log_each(s.txn, NULL, scan_feed, &s);
	if (rc == LT_OK)
		rc = scan_settled(v, s.txn);
	if (rc == LT_OK)
		rc = lt_forks_scan(v->h, v, s.txn);
	if (rc == LT_OK)
		rc = lt_resay_scan(v->h, v, s.txn);
	lt_kv_abort(s.txn);
	return rc;
}

/* ---- the job ---- */

/* With the mutex held. */
static bool
aside_due(const struct lt_verdicts *v)
{
	return v->aside.n != 0 && lt_mono_ms(v->h->clock) >= v->aside_ms;
}

/* With the mutex held: all that is owed, as a job. Those set aside go with it when it is time; noted while it runs, they
 * are owed again. */
static struct verdict_job *
job_new(struct lt_verdicts *v)
{
	struct verdict_job *j = calloc(1, sizeof(*j));
	size_t naside = aside_due(v) ? v->aside.n : 0;

	if (j != NULL)
		j->feed = malloc((v->owed.n + naside) * sizeof(*j->feed));
	if (j == NULL || j->feed == NULL) {
		free(j);
		return NULL;
	}
	j->v = v;
	j->nowed = v->owed.n;
	j->n = v->owed.n + naside;
	memcpy(j->feed, v->owed.feed, j->nowed * sizeof(*j->feed));
	set_clear(&v->owed);
	if (naside != 0) {
		memcpy(j->feed + j->nowed, v->aside.feed, naside * sizeof(*j->feed));
		set_clear(&v->aside);
	}
	v->pending = true;
	v->last_ms = lt_mono_ms(v->h->clock);
	return j;
}

/* With the mutex held, which is let go meanwhile: feeds for which there was no room, when there is room again. */
static int
scan_when_owed(struct lt_verdicts *v)
{
	int rc;

	if (v->pending || !v->scan_owed || v->owed.n != 0)
		return LT_OK;
	v->scan_owed = false;
	v->pending = true;
	pthread_mutex_unlock(&v->mx);
	rc = scan_log(v);
	pthread_mutex_lock(&v->mx);
	v->pending = false;
	if (rc != LT_OK) {
		v->scan_owed = true;
		note_failed(v, rc);
	}
	return rc;
}

static bool
kick(struct lt_verdicts *v, bool now)
{
	struct verdict_job *j;
	bool due, wanted = false, failed = false;
	int rc;

	if (lt_hub_recovering(v->h))
		return false;
	pthread_mutex_lock(&v->mx);
	due = now || !v->failed || lt_mono_ms(v->h->clock) >= v->retry_ms;
	if (due) {
		failed = scan_when_owed(v) != LT_OK;
		wanted = !v->pending && (v->owed.n != 0 || aside_due(v));
	}
	if (due && !failed && !wanted && !v->pending)
		v->failed = false; /* nothing is left of what failed */
	j = wanted ? job_new(v) : NULL;
	if (wanted && j == NULL) {
		failed = true;
		note_failed(v, LT_E_NOMEM);
	}
	pthread_mutex_unlock(&v->mx);
	if (failed)
		lt_projector_kick(v->h);
	if (j == NULL)
		return false;
	rc = lt_writer_submit(v->h->writer, run_verdicts, job_done, j);
	if (rc != LT_OK)
		job_done(j, rc);
	return rc == LT_OK;
}

bool
lt_verdicts_kick(struct lt_verdicts *v)
{
	return kick(v, false);
}

static void
watched(void *ctx, int rc)
{
	struct lt_verdicts *v = ctx;

	(void)rc;
	pthread_mutex_lock(&v->mx);
	v->watching = false;
	pthread_mutex_unlock(&v->mx);
	lt_verdicts_after_commit(v);
}

void
lt_verdicts_after_commit(struct lt_verdicts *v)
{
	bool now, coming, watch;

	pthread_mutex_lock(&v->mx);
	/* The last of them asks again, taken or not; of a manual hub they wait for the writer. */
	coming = !v->h->manual && atomic_load(&v->h->taking) != 0;
	now = lt_mono_ms(v->h->clock) - v->last_ms >= v->pause_ms ||
	      (!coming && lt_writer_waiting(v->h->writer) == 0);
	watch = !now && !coming && !v->watching && (v->owed.n != 0 || v->scan_owed);
	v->watching |= watch;
	pthread_mutex_unlock(&v->mx);
	/* What waits now may all fail, and then no commit follows: a job of our own, behind it, asks again in any case. */
	if (watch && lt_writer_submit(v->h->writer, lt_job_nothing, watched, v) != LT_OK) {
		pthread_mutex_lock(&v->mx);
		v->watching = false;
		pthread_mutex_unlock(&v->mx);
		now = true;
	}
	if (now)
		(void)lt_verdicts_kick(v);
}

bool
lt_verdicts_retry(struct lt_verdicts *v)
{
	return kick(v, true);
}

bool
lt_verdicts_step(struct lt_verdicts *v)
{
	return lt_verdicts_failed(v) && lt_verdicts_kick(v);
}

/* ---- life ---- */

int
lt_verdicts_open(struct lt_hub *h, struct lt_verdicts **out)
{
	struct lt_verdicts *v = calloc(1, sizeof(*v));
	int rc;

	if (v == NULL)
		return LT_E_NOMEM;
	v->h = h;
	pthread_mutex_init(&v->mx, NULL);
	rc = set_init(&v->owed);
	if (rc == LT_OK)
		rc = set_init(&v->aside);
	if (rc == LT_OK)
		rc = scan_told(v);
	if (rc == LT_OK && !LT_SIM_BUG(OWED_FORGOTTEN))
		rc = scan_log(v);
	if (rc != LT_OK) {
		lt_verdicts_close(v);
		return rc;
	}
	*out = v;
	return LT_OK;
}

void
lt_verdicts_close(struct lt_verdicts *v)
{
	if (v == NULL)
		return;
	pthread_mutex_destroy(&v->mx);
	set_fini(&v->owed);
	set_fini(&v->aside);
	free(v);
}
