/* The list of what peers have to give, and what becomes of what they gave. */
#include "proto/store/repair_impl.h"

#include "proto/base/log.h"
#include "proto/store/admit.h"
#include "proto/store/damage_bug.h"

#include <stdlib.h>
#include <string.h>

int
lt_repairer_open(const struct lt_repairer_options *o, struct lt_repairer **out)
{
	struct lt_repairer *r = calloc(1, sizeof(*r));

	*out = r;
	if (r != NULL)
		r->look = calloc(1, sizeof(*r->look));
	if (r == NULL || r->look == NULL) {
		free(r);
		*out = NULL;
		return LT_E_NOMEM;
	}
	r->o = *o;
	r->pages_unknown = true;
	(void)pthread_mutex_init(&r->mx, NULL);
	return LT_OK;
}

void
lt_repairer_close(struct lt_repairer *r)
{
	if (r == NULL)
		return;
	(void)pthread_mutex_destroy(&r->mx);
	free(r->look);
	free(r);
}

void
lt_repairer_stop(struct lt_repairer *r)
{
	if (r != NULL)
		atomic_store(&r->stop, true);
}

/* ---- the look ---- */

void
lt_repairer_look(struct lt_repairer *r, bool pages)
{
	pthread_mutex_lock(&r->mx);
	r->begin = r->status.looking = true;
	r->begin_pages = r->begin_pages || pages;
	r->pages_unknown = r->pages_unknown || pages;
	pthread_mutex_unlock(&r->mx);
}

/* Those of which only the number is known come last: others may have to be put back first. */
static int
by_position(const void *a, const void *b)
{
	const struct lt_repair_want *x = a, *y = b;
	uint64_t p = x->position - 1, q = y->position - 1;

	return p < q ? -1 : p > q;
}

void
lt_repairer_looked(struct lt_repairer *r, const struct lt_repair_look *l)
{
	struct lt_repair_look *mine = r->look;
	bool whole;
	size_t i;

	qsort(mine->want, l->nwant, sizeof(mine->want[0]), by_position);
	mine->phase = LT_REPAIR_IDLE;
	pthread_mutex_lock(&r->mx);
	whole = !r->status.pages_broken;
	memset(r->slot, 0, sizeof(r->slot));
	r->nslot = whole ? l->nwant : 0;
	for (i = 0; i < r->nslot; i++)
		r->slot[i].w = l->want[i];
	r->nlost = whole ? l->nlost : 0;
	memcpy(r->lost, l->lost, sizeof(r->lost[0]) * r->nlost);
	r->status.looking = r->begin;
	r->status.wanted = r->nslot;
	r->status.more = whole && l->more;
	r->status.lost = r->nlost;
	pthread_mutex_unlock(&r->mx);
	if (l->nwant != 0)
		lt_error("repair: %zu change-sets of the log are missing or damaged, and are "
			 "wanted from peers",
		    l->nwant);
}

/* ---- what is asked of whom ---- */

static struct lt_repair_asked *
asked_of(struct lt_repair_slot *s, const struct lt_id *peer)
{
	size_t i;

	for (i = 0; i < s->nasked; i++)
		if (lt_id_eq(&s->asked[i].peer, peer))
			return &s->asked[i];
	return NULL;
}

static bool
ask(struct lt_repair_slot *s, const struct lt_id *peer)
{
	if (asked_of(s, peer) != NULL || s->nasked == LT_REPAIR_ASKED_MAX)
		return false;
	s->asked[s->nasked++] = (struct lt_repair_asked){ .peer = *peer };
	return true;
}

size_t
lt_repairer_wants(struct lt_repairer *r, const struct lt_id *peer,
    bool (*may_have)(void *ctx, const struct lt_repair_want *w), void *ctx,
    struct lt_repair_want *out, size_t cap)
{
	size_t i, n = 0;

	pthread_mutex_lock(&r->mx);
	for (i = 0; i < r->nslot && n < cap && !r->pages_unknown; i++)
		/* Who was asked is not looked at again: may_have takes a yes for a question. */
		if (asked_of(&r->slot[i], peer) == NULL &&
		    (may_have == NULL || may_have(ctx, &r->slot[i].w)) && ask(&r->slot[i], peer))
			out[n++] = r->slot[i].w;
	pthread_mutex_unlock(&r->mx);
	return n;
}

static void
forget_asked(struct lt_repair_slot *s, const struct lt_repair_asked *a)
{
	s->asked[a - s->asked] = s->asked[--s->nasked];
}

void
lt_repairer_unasked(struct lt_repairer *r, const struct lt_id *peer)
{
	const struct lt_repair_asked *a;
	size_t i;

	pthread_mutex_lock(&r->mx);
	for (i = 0; i < r->nslot; i++) {
		a = asked_of(&r->slot[i], peer);
		if (a != NULL && !a->answered)
			forget_asked(&r->slot[i], a);
	}
	pthread_mutex_unlock(&r->mx);
}

/* ---- what came ---- */

/* Every position and candidate there may be, and what an arena needs besides. */
#define LISTS_BYTES \
	(LT_REPAIR_WANTS_MAX * \
		(sizeof(uint64_t) + LT_REPAIR_CANDIDATES * sizeof(struct lt_repair_candidate)) + \
	    (size_t)64 * 1024)

struct answer {
	struct lt_repairer *r;
	const struct lt_id *peer;
	struct lt_changeset cs;
	struct lt_arena arena;
	bool by_hub;
	struct lt_repair_want want;
	struct lt_arena lists; /* of what follows: no more than there is */
	size_t nlost;
	uint64_t *lost; /* where it may have stood, when that is not known */
	size_t ncandidate;
	struct lt_repair_candidate *candidate; /* of its feed, behind it */
};

static bool
is_same(const struct lt_repair_want *w, const struct lt_repair_want *other)
{
	return w->position == other->position && w->seq == other->seq && w->aside == other->aside &&
	       lt_unit_eq(&w->unit, &other->unit) && lt_feed_id_cmp(&w->feed, &other->feed) == 0;
}

static bool
is_wanted(const struct lt_repair_want *w, const struct lt_changeset *cs)
{
	return w->seq == cs->seq && lt_unit_eq(&w->unit, &cs->unit) &&
	       lt_feed_id_cmp(&w->feed, &cs->feed) == 0;
}

/* May this peer say something to it? Once; whoever was not asked only while others could be. */
static bool
may_answer(struct lt_repair_slot *s, const struct lt_id *peer)
{
	const struct lt_repair_asked *asked = asked_of(s, peer);

	return asked != NULL ? !asked->answered : s->nasked < LT_REPAIR_ASKED_MAX;
}

/* Is there anything that this peer may still say something to? Before its message costs anything. */
static bool
may_speak(struct lt_repairer *r, const struct lt_id *peer)
{
	size_t i;

	for (i = 0; i < r->nslot; i++)
		if (may_answer(&r->slot[i], peer))
			return true;
	return false;
}

/* Copies what the writer needs to know of the rest: of candidates `out`, where there is room for them; how many. */
static size_t
candidates_of(const struct answer *a, struct lt_repair_candidate *out)
{
	const struct lt_repairer *r = a->r;
	size_t i, k, n = 0;

	for (i = 0; i < r->nslot; i++)
		for (k = 0; k < LT_REPAIR_CANDIDATES && r->slot[i].candidate[k].given; k++) {
			const struct lt_repair_candidate *c = &r->slot[i].candidate[k];

			if (c->seq <= a->cs.seq || c->aside != a->want.aside ||
			    !lt_unit_eq(&c->unit, &a->cs.unit) ||
			    lt_feed_id_cmp(&c->feed, &a->cs.feed) != 0)
				continue;
			if (out != NULL)
				out[n] = *c;
			n++;
		}
	return n;
}

static int
copy_lists(struct answer *a)
{
	const struct lt_repairer *r = a->r;

	lt_arena_clear(&a->lists);
	a->nlost = a->want.position == 0 ? r->nlost : 0;
	a->ncandidate = candidates_of(a, NULL);
	a->lost = lt_arena_room(&a->lists, (a->nlost + 1) * sizeof(a->lost[0]));
	a->candidate = lt_arena_room(&a->lists, (a->ncandidate + 1) * sizeof(a->candidate[0]));
	if (a->lost == NULL || a->candidate == NULL)
		return LT_E_NOMEM;
	memcpy(a->lost, r->lost, sizeof(a->lost[0]) * a->nlost);
	(void)candidates_of(a, a->candidate);
	return LT_OK;
}

/* The next want behind the first `from` that this change-set may be; where it stands, plus one, or 0. */
static size_t
wanted(struct answer *a, size_t from)
{
	struct lt_repairer *r = a->r;
	size_t i, found = 0;

	pthread_mutex_lock(&r->mx);
	for (i = from; i < r->nslot && found == 0; i++) {
		if (!is_wanted(&r->slot[i].w, &a->cs) || !may_answer(&r->slot[i], a->peer))
			continue;
		a->want = r->slot[i].w;
		found = i + 1;
	}
	pthread_mutex_unlock(&r->mx);
	return found;
}

/* Its peer has answered to this want. One that was not asked takes a place among those who were only with what its author signed:
 * lies would fill them. */
static void
note_answered(struct answer *a, bool is_signed)
{
	struct lt_repairer *r = a->r;
	struct lt_repair_asked *asked;
	size_t i;

	pthread_mutex_lock(&r->mx);
	for (i = 0; i < r->nslot; i++) {
		if (!is_same(&r->slot[i].w, &a->want))
			continue;
		if (is_signed)
			(void)ask(&r->slot[i], a->peer);
		asked = asked_of(&r->slot[i], a->peer);
		if (asked != NULL)
			asked->answered = true;
	}
	pthread_mutex_unlock(&r->mx);
}

/* Wants that an entry put back at `at` may have been in the way of: their peers may be asked again. */
static void
ask_again(struct lt_repairer *r, uint64_t at)
{
	size_t i;

	for (i = 0; i < r->nslot; i++)
		if (r->slot[i].w.position == at + 1 || r->slot[i].w.position == 0)
			r->slot[i].nasked = 0;
}

/* There is no position left at which one of them could stand. */
static void
drop_unplaced(struct lt_repairer *r)
{
	size_t i, n = 0;

	for (i = 0; i < r->nslot; i++)
		if (r->slot[i].w.position != 0)
			r->slot[n++] = r->slot[i];
	r->nslot = n;
}

static void
settle(struct answer *a, const struct lt_repair_put *put, int rc)
{
	struct lt_repairer *r = a->r;
	size_t i;

	pthread_mutex_lock(&r->mx);
	for (i = 0; i < r->nslot && !is_same(&r->slot[i].w, &a->want); i++)
		;
	if (i < r->nslot && (rc == LT_E_NOTFOUND || put->left == 0)) {
		memmove(&r->slot[i], &r->slot[i + 1], (r->nslot - i - 1) * sizeof(r->slot[0]));
		r->nslot--;
	} else if (i < r->nslot) {
		r->slot[i].w.position = put->at;
		r->slot[i].w.parts = LT_REPAIR_OPENINGS;
	}
	for (i = 0; i < r->nlost && put->entry; i++)
		if (r->lost[i] == put->at)
			r->lost[i--] = r->lost[--r->nlost];
	r->status.lost = r->nlost;
	if (put->entry)
		ask_again(r, put->at);
	if (r->nlost == 0)
		drop_unplaced(r);
	r->status.wanted = r->nslot;
	r->status.repaired += rc == LT_OK;
	pthread_mutex_unlock(&r->mx);
}

/* True: another than those that are kept, of a peer that none of them is of, and there are not too many: the first that came stay. */
static bool
add_candidate(struct lt_repair_slot *s, const struct lt_repair_candidate *c)
{
	size_t i;

	for (i = 0; i < LT_REPAIR_CANDIDATES; i++) {
		if (!s->candidate[i].given) {
			s->candidate[i] = *c;
			return true;
		}
		if (lt_hash_eq(&s->candidate[i].hash, &c->hash) ||
		    lt_id_eq(&s->candidate[i].from, &c->from))
			return false;
	}
	return false;
}

/* It may be the one, and others may say so. Those before it that could not be told either may be asked for again: once for each. */
static void
note_candidate(struct answer *a)
{
	const struct lt_repair_candidate new = { .given = true,
		.from = *a->peer,
		.unit = a->cs.unit,
		.feed = a->cs.feed,
		.aside = a->want.aside,
		.seq = a->cs.seq,
		.hash = a->cs.hash,
		.prev = a->cs.prev };
	struct lt_repairer *r = a->r;
	bool added = false;
	size_t i;

	pthread_mutex_lock(&r->mx);
	for (i = 0; i < r->nslot; i++)
		if (is_same(&r->slot[i].w, &a->want))
			added = add_candidate(&r->slot[i], &new);
	for (i = 0; i < r->nslot && added; i++) {
		const struct lt_repair_candidate *c = &r->slot[i].candidate[0];

		if (c->given && c->seq < a->cs.seq && c->aside == a->want.aside &&
		    lt_unit_eq(&c->unit, &a->cs.unit) && lt_feed_id_cmp(&c->feed, &a->cs.feed) == 0)
			r->slot[i].nasked = 0;
	}
	pthread_mutex_unlock(&r->mx);
}

/* Nothing more is wanted in the segment of what was put back: then its sums can be told. */
static void
settle_sums(struct lt_repairer *r, const struct lt_repair_put *put)
{
	struct lt_repair_settle s = { .o = &r->o, .position = put->at };
	bool last;
	size_t i;
	int rc;

	pthread_mutex_lock(&r->mx);
	r->unsettled = r->unsettled || put->unsettled;
	last = r->unsettled;
	for (i = 0; i < r->nslot && last; i++)
		last = r->slot[i].w.position / LT_REPAIR_SEGMENT != put->at / LT_REPAIR_SEGMENT;
	pthread_mutex_unlock(&r->mx);
	rc = last ? lt_writer_run(r->o.writer, lt_repair_run_settle, &s) : LT_OK;
	/* They stay reported until the next look. */
	if (rc != LT_OK)
		lt_warn("repair: sums of the log are not settled now: %s", lt_strerror(rc));
}

/* Codes of the peer's making. */
static bool
is_refusal(int rc)
{
	switch (rc) {
	case LT_E_INVALID:
	case LT_E_TOOBIG:
	case LT_E_BADSIG:
	case LT_E_BADHASH:
	case LT_E_DENIED:
	case LT_E_REVOKED:
	case LT_E_UNKNOWN:
	case LT_E_REFUSED:
		return true;
	default:
		return false;
	}
}

static int
put_back(struct answer *a, struct lt_err *err)
{
	struct lt_repair_put put = { .o = &a->r->o,
		.cs = &a->cs,
		.aside = a->want.aside,
		.by_hub = a->by_hub,
		.position = a->want.position };
	int rc;

	pthread_mutex_lock(&a->r->mx);
	rc = copy_lists(a);
	pthread_mutex_unlock(&a->r->mx);
	if (rc != LT_OK)
		return lt_err_set(err, rc, "out of memory");
	put.lost = a->lost;
	put.nlost = a->nlost;
	put.candidate = a->candidate;
	put.ncandidate = a->ncandidate;
	rc = lt_writer_run(a->r->o.writer, lt_repair_run_put, &put);
	/* A store that could not write now is no fault of the peer's. */
	if (rc == LT_OK || is_refusal(rc))
		note_answered(a, true);
	if (rc == LT_OK)
		rc = put.rc;
	if (rc == LT_E_GAP)
		note_candidate(a);
	if (rc != LT_OK && rc != LT_E_NOTFOUND)
		return lt_err_set(err, rc, "change-set %llu is not put back: %s",
		    (unsigned long long)a->cs.seq, lt_strerror(rc));
	settle(a, &put, rc);
	if (rc == LT_OK)
		lt_warn(
		    "repair: position %llu of the log: %s%zu openings put back from a peer, %zu "
		    "still missing",
		    (unsigned long long)put.at, put.entry ? "the change-set and " : "", put.rows,
		    put.left);
	if (rc == LT_OK)
		settle_sums(a->r, &put);
	return rc;
}

/* Whose it is, and whether all that it says of itself is true. */
static int
verify(struct answer *a, struct lt_err *err)
{
	struct lt_repairer *r = a->r;
	struct lt_registry *registry = r->o.registry == NULL ? NULL : r->o.registry(r->o.ctx);
	struct lt_id author = lt_feed_author(&a->cs.feed);
	int rc;

	if (registry == NULL)
		return lt_err_set(err, LT_E_UNAVAILABLE, "there is no registry now");
	rc = LT_DAMAGE_BUG(REPAIR_BELIEVES)
		 ? LT_OK
		 : lt_admit_signed(&a->cs, r->o.federation, registry, false, false, err);
	a->by_hub = lt_registry_is_hub(registry, &author);
	lt_registry_unref(registry);
	return rc;
}

/* One change-set may be wanted in a feed and in its branch aside. */
static int
answer(struct answer *a, struct lt_slice changeset, struct lt_err *err)
{
	size_t at;
	int rc = lt_changeset_parse(changeset, &a->arena, &a->cs, err), got;

	if (rc != LT_OK)
		return rc;
	at = wanted(a, 0);
	if (at == 0)
		return lt_err_set(err, LT_E_NOTFOUND, "nobody wants this change-set");
	rc = verify(a, err);
	if (rc != LT_OK && rc != LT_E_UNAVAILABLE)
		note_answered(a, false);
	if (rc != LT_OK)
		return rc;
	rc = put_back(a, err);
	for (; rc != LT_OK && (at = wanted(a, at)) != 0; rc = got == LT_OK ? got : rc)
		got = put_back(a, err);
	return rc;
}

/* LT_OK: it may be looked at. */
static int
may_take(struct lt_repairer *r, const struct lt_id *peer, struct lt_err *err)
{
	bool broken, any;

	pthread_mutex_lock(&r->mx);
	broken = r->status.pages_broken || r->pages_unknown;
	any = may_speak(r, peer);
	pthread_mutex_unlock(&r->mx);
	if (broken)
		return lt_err_set(err, LT_E_UNAVAILABLE,
		    "nothing is written into a store whose pages are broken, or not looked at yet");
	return any ? LT_OK : lt_err_set(err, LT_E_NOTFOUND, "nobody wants this change-set");
}

int
lt_repairer_take(
    struct lt_repairer *r, const struct lt_id *peer, struct lt_slice changeset, struct lt_err *err)
{
	struct answer a = { .r = r, .peer = peer };
	int rc = may_take(r, peer, err);

	if (rc != LT_OK)
		return rc;
	lt_arena_init(&a.arena, lt_arena_cap_for(changeset.len));
	lt_arena_init(&a.lists, LISTS_BYTES);
	rc = answer(&a, changeset, err);
	lt_arena_fini(&a.arena);
	lt_arena_fini(&a.lists);
	if (is_refusal(rc)) {
		pthread_mutex_lock(&r->mx);
		r->status.refused++;
		pthread_mutex_unlock(&r->mx);
		if (err != NULL)
			lt_warn("repair: what a peer gave is not put back: %s", err->text);
	}
	return rc;
}

void
lt_repairer_status(struct lt_repairer *r, struct lt_repair_status *out)
{
	pthread_mutex_lock(&r->mx);
	*out = r->status;
	pthread_mutex_unlock(&r->mx);
}
