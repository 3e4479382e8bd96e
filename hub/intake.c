/* hub/intake.c - change-sets from nodes: verify and judge on the caller's thread, append on the writer, then the
 * receipt, on a thread for such. Durable before acknowledged: receipts are made only after the commit.
 *
 * A validly signed change that policy refuses takes its seq and is receipted as refused; the feed goes on. */
#include "hub/hub_impl.h"
#include "hub/keys.h"
#include "hub/recovery.h"
#include "proto/base/failpoint.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/feed/trust.h"
#include "proto/store/access.h"
#include "proto/store/admit.h"
#include "proto/store/catalogue_store.h"
#include "proto/store/erase.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEEDS_MAX 8 /* different feeds in one push: 3 lanes and earlier epochs */
#define RECEIPT_LIST_MAX 1024 /* refused, held and clamp entries in a receipt, together */
#define SCRATCH_KEPT ((size_t)2 * 1024 * 1024) /* a change-set of 300 dossiers */
#define SCRATCH_ARENA lt_arena_cap_for(LT_MESSAGE_MAX)

enum outcome { PENDING, TAKEN, HAD, MISSING, FORKED, SKIPPED };

struct item {
	struct lt_changeset cs;
	struct lt_judgement judged; /* by the catalogue, before the transaction */
	struct lt_judgement final; /* with contexts and clamp, of the transaction that committed */
	bool known; /* held here when it came: not judged again, and never appended */
	enum outcome outcome;
	uint64_t position;
};

/* A feed of which a dot held before was decided: a verdict is owed. */
struct woken {
	struct lt_unit unit;
	struct lt_feed_id feed;
	struct woken *next;
};

struct intake {
	struct lt_hub *h;
	size_t given; /* change-sets of the push */
	struct lt_id pusher;
	lt_intake_fn *done;
	void *ctx;
	struct lt_arena arena;
	struct lt_err err;
	struct lt_registry *reg;
	struct lt_catalogue *cat;
	size_t n;
	struct item *item;
	int rc; /* of verification: items from n on were not taken */
	int64_t arrival_ms;
	uint64_t saw; /* the latest effective stamp of what was appended */
	bool again; /* change-sets before these were judged anew */
	struct woken *woken; /* of the transaction that committed; in the arena */
	size_t nfeed;
	struct lt_intake_feed feed[FEEDS_MAX];
	struct lt_buf receipt[FEEDS_MAX];
	struct lt_after after;
	int stored; /* of the writer */
};

static void
intake_free(struct intake *in)
{
	size_t i;

	for (i = 0; i < FEEDS_MAX; i++)
		lt_buf_fini(&in->receipt[i]);
	lt_registry_unref(in->reg);
	lt_catalogue_unref(in->cat);
	lt_arena_fini(&in->arena);
	free(in);
}

/* What a push has left to be said in verdicts. The receipt says it first, and the node waits for that. */
static void
note_verdicts(const struct intake *in)
{
	const struct woken *w;
	size_t i;

	for (w = in->woken; w != NULL; w = w->next)
		lt_verdicts_note(in->h->verdicts, &w->unit, &w->feed);
	for (i = 0; i < in->n; i++) {
		const struct lt_changeset *cs = &in->item[i].cs;

		if (in->item[i].outcome == TAKEN && (in->n > 1 || !LT_SIM_BUG(VERDICT_FORGOTTEN)))
			lt_verdicts_note(in->h->verdicts, &cs->unit, &cs->feed);
	}
}

bool
lt_intake_could_not(int rc)
{
	return rc == LT_E_UNAVAILABLE || rc == LT_E_NOSPACE || rc == LT_E_NOMEM ||
	       rc == LT_E_CLOSED || rc == LT_E_IO || rc == LT_E_CORRUPT;
}

/* What changed something, and what nothing; not where it is the hub that could not. */
static void
count(const struct intake *in, int rc, struct lt_intake_result *r)
{
	size_t i, taken = 0;

	for (i = 0; in->stored == LT_OK && i < in->n; i++)
		if (in->item[i].outcome == TAKEN) {
			taken++;
			r->changes += in->item[i].cs.nchange;
		}
	if (!lt_intake_could_not(rc))
		r->vain = in->given - taken;
}

static void
finish(struct intake *in, int rc)
{
	struct lt_hub *h = in->h;
	struct lt_intake_result r = { .rc = rc,
		.why = in->err.text[0] != '\0' ? in->err.text : lt_strerror(rc),
		.nfeed = in->nfeed,
		.feed = in->feed };
	size_t i;

	assert(in->n == 0 || in->item != NULL);
	count(in, rc, &r);
	for (i = 0; rc == LT_OK && i < in->n; i++)
		if (in->item[i].outcome == TAKEN && in->item[i].position > r.position)
			r.position = in->item[i].position;
	in->done(in->ctx, &r);
	if (in->stored == LT_OK)
		note_verdicts(in);
	intake_free(in);
	atomic_fetch_sub(&h->taking, 1);
	if (!h->manual) /* there the writer asks, when all is answered */
		lt_verdicts_after_commit(h->verdicts);
}

static struct lt_intake_feed *
feed_entry(struct intake *in, const struct lt_changeset *cs)
{
	size_t i;

	for (i = 0; i < in->nfeed; i++)
		if (lt_unit_eq(&in->feed[i].unit, &cs->unit) &&
		    lt_feed_id_cmp(&in->feed[i].feed, &cs->feed) == 0)
			return &in->feed[i];
	if (in->nfeed == FEEDS_MAX)
		return NULL;
	in->feed[in->nfeed].unit = cs->unit;
	in->feed[in->nfeed].feed = cs->feed;
	return &in->feed[in->nfeed++];
}

/* ---- before the transaction ---- */

/* Named by an act: then its leaf is all there is, anywhere. What an act names stays named, so this may be asked before the
 * transaction. */
static int
is_erased(struct lt_hub *h, const struct lt_changeset *cs, const struct lt_opening *o, bool *erased)
{
	struct lt_kv_txn *txn;
	int rc = lt_kv_begin_read(h->log, &txn);

	if (rc != LT_OK)
		return rc;
	rc = lt_erase_names(txn, cs, o->change, o->name, erased);
	lt_kv_abort(txn);
	return rc;
}

/* A receipt says that the values themselves are here: a leaf alone will not do, unless an act of erasure names it. */
static int
all_opened(struct lt_hub *h, const struct lt_changeset *cs, struct lt_err *err)
{
	bool erased = false;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < cs->nopening; i++) {
		if (!cs->opening[i].withheld)
			continue;
		rc = is_erased(h, cs, &cs->opening[i], &erased);
		if (rc == LT_OK && !erased)
			rc = lt_err_set(err, LT_E_INVALID,
			    "a personal value of change %u is withheld: who wrote it sends it",
			    cs->opening[i].change);
	}
	return rc;
}

/* Judged by the catalogue it names: the newest one, or one from the tables. */
static int
judge_one(struct intake *in, const struct lt_changeset *cs, struct item *it)
{
	struct lt_catalogue *other = NULL;
	struct lt_kv_txn *txn;
	int rc;

	if (cs->catalogue_version == lt_catalogue_version(in->cat))
		return lt_admit_judge(
		    cs, in->cat, in->reg, &in->h->identity->unit, &in->arena, &it->judged);
	rc = lt_kv_begin_read(in->h->derived, &txn);
	if (rc != LT_OK)
		return rc;
	rc = lt_catalogue_load(txn, cs->catalogue_version, &other, &in->err);
	lt_kv_abort(txn);
	if (rc == LT_OK)
		rc = lt_admit_judge(
		    cs, other, in->reg, &in->h->identity->unit, &in->arena, &it->judged);
	lt_catalogue_unref(other);
	return rc == LT_E_NOTFOUND ? LT_E_UNKNOWN : rc;
}

/* Held here already, with this hash and this signature: nodes that missed an answer push again, and who floods does so all day. What is
 * damaged here is not held. */
static bool
is_known(struct lt_hub *h, const struct lt_changeset *cs, struct lt_arena *scratch)
{
	struct lt_changeset held;
	struct lt_kv_txn *txn;
	struct lt_entry e;
	uint64_t position;
	int rc = lt_kv_begin_read(h->log, &txn);

	if (rc != LT_OK)
		return false;
	rc = lt_feed_log_find(txn, &cs->unit, &cs->feed, cs->seq, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_read(txn, position, &e);
	if (rc == LT_OK)
		rc = lt_changeset_open(e.changeset, scratch, &held);
	if (rc == LT_OK &&
	    (!lt_hash_eq(&held.hash, &cs->hash) || !lt_slice_eq(held.signature, cs->signature)))
		rc = LT_E_NOTFOUND;
	lt_kv_abort(txn);
	return rc == LT_OK;
}

/* As new, or as known: for that neither the signature is worked out again nor what it may do judged. */
static int
admit(struct intake *in, const struct lt_changeset *cs, bool known, const struct lt_registry *reg)
{
	const struct lt_fed *fed = &in->h->identity->federation;
	int rc = LT_OK;

	if (known)
		rc = lt_admit_known(cs, fed, reg, true, true, &in->err);
	else if (!LT_SIM_BUG(UNSIGNED_AT_HUB))
		rc = lt_admit_signed(cs, fed, reg, true, true, &in->err);
	/* Openings left out: it is the message that lacks something, not the hub. */
	return rc == LT_E_NOTFOUND ? LT_E_INVALID : rc;
}

/* What is decoded only to be looked at lies in scratch. */
static int
verify_one(struct intake *in, struct lt_slice bytes, struct lt_arena *scratch, struct item *it)
{
	const struct lt_asker pusher = { .kind = LT_ASKER_PRINCIPAL,
		.principal = lt_registry_find(in->reg, &in->pusher) };
	struct lt_changeset cs;
	struct lt_id author;
	int rc;

	if (bytes.len > LT_MESSAGE_MAX)
		return lt_err_set(
		    &in->err, LT_E_TOOBIG, "a change-set is larger than a message may be");
	rc = lt_changeset_parse_lean(bytes, scratch, &in->arena, &cs, &in->err);
	if (rc != LT_OK)
		return rc;
	author = lt_feed_author(&cs.feed);
	if (pusher.principal != NULL && lt_principal_revoked(pusher.principal, 0))
		return lt_err_set(&in->err, LT_E_REVOKED, "who pushes was revoked, or has retired");
	if (!lt_access_push(&pusher, &author, &cs.unit))
		return lt_err_set(&in->err, LT_E_DENIED,
		    "a node may push only what it wrote itself, for its own commune");
	it->known = is_known(in->h, &cs, scratch);
	rc = admit(in, &cs, it->known, in->reg);
	if (rc == LT_OK)
		rc = all_opened(in->h, &cs, &in->err);
	if (rc == LT_OK && !it->known)
		rc = judge_one(in, &cs, it);
	if (rc == LT_OK)
		rc = lt_changeset_keep(&cs, &in->arena, &it->cs);
	return rc == LT_OK && !it->known ? lt_feed_log_prepare(&it->cs, &in->arena) : rc;
}

/* Memory for reading, as many pieces as threads take in at once: filled and emptied again and again, it stays near the processor, and
 * nobody asks the system for pages. */
static void
scratch_take(struct lt_hub *h, struct lt_arena *a)
{
	lt_arena_init(a, LT_HUB_ARENA);
	pthread_mutex_lock(&h->scratch_mx);
	if (h->nscratch != 0)
		*a = h->scratch[--h->nscratch];
	pthread_mutex_unlock(&h->scratch_mx);
	a->pb.allocator_data = a; /* it has moved */
}

static void
scratch_give(struct lt_hub *h, struct lt_arena *a)
{
	bool kept;

	pthread_mutex_lock(&h->scratch_mx);
	kept = h->nscratch < LT_HUB_SCRATCH_MAX;
	if (kept)
		h->scratch[h->nscratch++] = *a;
	pthread_mutex_unlock(&h->scratch_mx);
	if (!kept)
		lt_arena_fini(a);
}

/* What was verified before the first bad one is taken: the feed goes on from there. */
static void
verify_all(struct intake *in, const struct lt_slice *bytes, size_t n)
{
	struct lt_arena scratch;

	scratch_take(in->h, &scratch);
	while (in->n < n && in->rc == LT_OK) {
		in->rc = verify_one(in, bytes[in->n], &scratch, &in->item[in->n]);
		lt_arena_recycle(&scratch, SCRATCH_KEPT);
		if (in->rc == LT_OK && feed_entry(in, &in->item[in->n].cs) == NULL)
			in->rc = lt_err_set(&in->err, LT_E_INVALID,
			    "a push carries change-sets of at most %d feeds", FEEDS_MAX);
		if (in->rc == LT_OK)
			in->n++;
	}
	scratch_give(in->h, &scratch);
}

/* ---- inside the transaction ---- */

static int
copy_judgement(struct intake *in, const struct lt_judgement *from, struct lt_judgement *to)
{
	*to = *from;
	to->refused = lt_arena_alloc(&in->arena, (from->nrefused + 1) * sizeof(*to->refused));
	if (to->refused == NULL)
		return LT_E_NOMEM;
	if (from->nrefused != 0)
		memcpy(to->refused, from->refused, from->nrefused * sizeof(*to->refused));
	return LT_OK;
}

int
lt_hub_note_refused(
    struct lt_kv_txn *txn, uint64_t position, uint32_t change, Ltpb__ReasonCode reason)
{
	uint8_t key[12], value[2];

	lt_store_u64(key, position);
	lt_store_u32(key + 8, change);
	lt_store_u16(value, (uint16_t)reason);
	return lt_kv_put(
	    txn, LT_T_QUARANTINE, lt_slice(key, sizeof(key)), lt_slice(value, sizeof(value)));
}

int
lt_hub_unnote_refused(struct lt_kv_txn *txn, uint64_t position, uint32_t change)
{
	uint8_t key[12];
	int rc;

	lt_store_u64(key, position);
	lt_store_u32(key + 8, change);
	rc = lt_kv_del(txn, LT_T_QUARANTINE, lt_slice(key, sizeof(key)));
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
note_held(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint32_t index, uint64_t position)
{
	const struct lt_change *c = &cs->change[index];
	enum lt_context_answer a;
	size_t missing;
	int rc = lt_admit_context(txn, &cs->unit, c, &a, &missing);

	if (rc != LT_OK || a != LT_CONTEXT_MISSING)
		return rc;
	return lt_held_add(
	    txn, &cs->unit, &c->context[missing].feed, c->context[missing].seq, position, index);
}

int
lt_hub_settle_held(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position,
    uint32_t index, bool accepted, struct lt_arena *arena)
{
	struct lt_judgement j;
	Ltpb__RefusedDot *r;
	Ltpb__RefusedDot **refused;
	size_t i, k = 0;
	int rc = lt_feed_log_judgement(txn, position, arena, &j);

	/* Decided since, by a verdict that came back. */
	if (rc != LT_OK || !lt_judgement_holds(&j, index))
		return rc;
	for (i = 0; i < j.nheld; i++)
		if (j.held[i]->index != index)
			j.held[k++] = j.held[i];
	j.nheld = k;
	if (!accepted) {
		r = lt_arena_alloc(arena, sizeof(*r));
		refused = lt_arena_alloc(arena, (j.nrefused + 1) * sizeof(*refused));
		if (r == NULL || refused == NULL)
			return LT_E_NOMEM;
		ltpb__refused_dot__init(r);
		r->seq = cs->seq;
		r->index = index;
		r->reason = LTPB__REASON_CODE__REASON_BAD_CONTEXT;
		for (i = 0; i < j.nrefused && j.refused[i]->index < index; i++)
			refused[i] = j.refused[i];
		refused[i] = r;
		for (; i < j.nrefused; i++)
			refused[i + 1] = j.refused[i];
		j.refused = refused;
		j.nrefused++;
		rc = lt_hub_note_refused(txn, position, index, r->reason);
	}
	if (rc == LT_OK)
		rc = lt_feed_log_judge(txn, &cs->unit, &cs->feed, cs->seq, position,
		    lt_judgement_stamp(&j, cs->stamp), &j);
	if (rc == LT_OK)
		rc = lt_verdicts_settle(txn, &cs->unit, &cs->feed, cs->seq, index,
		    accepted ? LTPB__REASON_CODE__REASON_UNSPECIFIED
			     : LTPB__REASON_CODE__REASON_BAD_CONTEXT);
	return rc;
}

static int
note_woken(struct intake *in, const struct lt_changeset *cs)
{
	struct woken *w;

	for (w = in->woken; w != NULL; w = w->next)
		if (lt_feed_id_cmp(&w->feed, &cs->feed) == 0 && lt_unit_eq(&w->unit, &cs->unit))
			return LT_OK;
	w = lt_arena_alloc(&in->arena, sizeof(*w));
	if (w == NULL)
		return LT_E_NOMEM;
	w->unit = cs->unit;
	w->feed = cs->feed;
	w->next = in->woken;
	in->woken = w;
	return LT_OK;
}

static int
wake_one(struct intake *in, struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position,
    uint32_t index)
{
	struct lt_arena arena;
	enum lt_context_answer a;
	size_t missing;
	int rc = lt_admit_context(txn, &cs->unit, &cs->change[index], &a, &missing);

	if (rc != LT_OK)
		return rc;
	if (a == LT_CONTEXT_MISSING) {
		const struct lt_context *c = &cs->change[index].context[missing];

		return lt_held_add(txn, &cs->unit, &c->feed, c->seq, position, index);
	}
	lt_arena_init(&arena, SCRATCH_ARENA);
	rc = lt_hub_settle_held(txn, cs, position, index, a == LT_CONTEXT_HERE, &arena);
	lt_arena_fini(&arena);
	return rc == LT_OK ? note_woken(in, cs) : rc;
}

/* The dots from i on that stand in one change-set; it is read once, into memory of its own: a push may wake any number. */
static int
wake_entry(
    struct intake *in, struct lt_kv_txn *txn, const struct lt_held_dot *dots, size_t n, size_t *i)
{
	uint64_t position = dots[*i].position;
	struct lt_arena arena;
	struct lt_changeset cs;
	struct lt_entry e;
	uint8_t *copy;
	int rc = lt_feed_log_read(txn, position, &e);

	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, LT_MESSAGE_MAX + SCRATCH_ARENA);
	/* The entry's bytes move when the transaction writes. */
	copy = lt_arena_dup(&arena, e.changeset.data, e.changeset.len);
	rc = copy == NULL ? LT_E_NOMEM
			  : lt_changeset_parse(lt_slice(copy, e.changeset.len), &arena, &cs, NULL);
	if (rc != LT_OK && rc != LT_E_NOMEM)
		rc = LT_E_CORRUPT;
	for (; rc == LT_OK && *i < n && dots[*i].position == position; ++*i)
		rc = dots[*i].change >= cs.nchange
			 ? LT_E_CORRUPT
			 : wake_one(in, txn, &cs, position, dots[*i].change);
	lt_arena_fini(&arena);
	return rc;
}

/* What waited for this change-set can be judged now. */
static int
wake_held(struct intake *in, struct lt_kv_txn *txn, const struct lt_changeset *came)
{
	struct lt_held_dot *dots;
	size_t n, i = 0;
	int rc = lt_held_take(txn, &came->unit, &came->feed, came->seq, &in->arena, &dots, &n);

	while (rc == LT_OK && i < n)
		rc = wake_entry(in, txn, dots, n, &i);
	return rc;
}

/* Held here already; a receipt given anew says again what was decided. */
static int
had_before(struct intake *in, struct lt_kv_txn *txn, struct item *it)
{
	uint64_t position;
	int rc = lt_feed_log_find(txn, &it->cs.unit, &it->cs.feed, it->cs.seq, &position);

	it->outcome = LT_SIM_BUG(RECEIPT_NOT_GIVEN) ? SKIPPED : HAD;
	return rc == LT_OK ? lt_feed_log_judgement(txn, position, &in->arena, &it->final) : rc;
}

/* What was judged before a restore arrived then; no stamp that was left as it was is later than the verdict's own, which raised hlc. */
static int
clamp(struct intake *in, struct lt_kv_txn *txn, struct item *it, const struct lt_head *head,
    bool told)
{
	int64_t arrival_ms = in->arrival_ms;
	uint64_t hlc = 0;
	int rc = LT_OK;

	if (it->final.clamped)
		return LT_OK;
	if (told)
		rc = lt_local_get_u64(txn, "hlc", &hlc);
	if (LT_STAMP_MS(hlc) > arrival_ms)
		arrival_ms = LT_STAMP_MS(hlc);
	if (rc == LT_OK)
		lt_admit_clamp(&it->cs, arrival_ms, head->effective, &it->final);
	return rc;
}

static int
may_begin(struct intake *in, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	struct lt_id author = lt_feed_author(&cs->feed);

	return lt_author_may_begin(txn, &cs->unit, &author, &in->err);
}

static int
append_new(struct intake *in, struct lt_kv_txn *txn, struct item *it, const struct lt_head *head)
{
	struct lt_judgement *j = &it->final;
	uint64_t effective;
	bool told, weighed;
	size_t i;
	int rc;

	/* A key that was followed by another one comes no more: cut-offs count on it (key_span.h). */
	if (it->cs.key_no < head->key_no)
		return lt_err_set(&in->err, LT_E_REVOKED,
		    "key %u signed after key %u had taken its place", it->cs.key_no, head->key_no);
	rc = head->seq == 0 ? may_begin(in, txn, &it->cs) : LT_OK;
	if (rc != LT_OK)
		return rc;
	rc = copy_judgement(in, &it->judged, j);
	if (rc == LT_OK)
		rc = lt_admit_contexts(txn, &it->cs, &in->arena, j);
	if (rc != LT_OK)
		return rc;
	rc = lt_forks_check(in->h, txn, &it->cs);
	if (rc == LT_OK)
		rc = lt_verdicts_recall(in->h->verdicts, txn, &it->cs, &in->arena, j, &in->again);
	if (rc == LT_E_FORK) {
		it->outcome = FORKED;
		return lt_forks_keep(in->h, txn, &it->cs);
	}
	told = rc == LT_OK;
	if (told || rc == LT_E_NOTFOUND)
		rc = clamp(in, txn, it, head, told);
	if (rc != LT_OK)
		return rc;
	effective = lt_judgement_stamp(j, it->cs.stamp);
	rc = lt_feed_log_take(
	    txn, &it->cs, (uint64_t)in->arrival_ms, head, effective, j, &it->position);
	/* What was held once need not be any more. */
	for (i = 0; rc == LT_OK && i < j->nheld; i++)
		rc = told ? wake_one(in, txn, &it->cs, it->position, j->held[i]->index)
			  : note_held(txn, &it->cs, j->held[i]->index, it->position);
	for (i = 0; rc == LT_OK && i < j->nrefused; i++)
		rc = lt_hub_note_refused(
		    txn, it->position, j->refused[i]->index, j->refused[i]->reason);
	if (rc == LT_OK)
		rc = wake_held(in, txn, &it->cs);
	if (rc == LT_OK)
		rc = lt_verdicts_weigh(in->h->verdicts, txn, &it->cs, &weighed, &in->again);
	if (rc == LT_OK && weighed)
		rc = lt_feed_log_judgement(txn, it->position, &in->arena, j);
	if (effective > in->saw)
		in->saw = effective;
	it->outcome = TAKEN;
	return rc;
}

static int
take_one(struct intake *in, struct lt_kv_txn *txn, struct item *it)
{
	struct lt_head head;
	struct lt_hash have;
	int rc = lt_feed_log_head(txn, &it->cs.unit, &it->cs.feed, &head);

	if (rc != LT_OK)
		return rc;
	rc = lt_changeset_verify_chain(&it->cs, head.seq, &head.hash, head.stamp);
	if (it->known && rc != LT_E_EXISTS)
		return lt_err_set(&in->err, LT_E_CORRUPT,
		    "change-set %llu of a feed was held when it came, and is not any more",
		    (unsigned long long)it->cs.seq);
	if (rc == LT_OK)
		return append_new(in, txn, it, &head);
	if (rc == LT_E_GAP) {
		it->outcome = MISSING;
		return LT_OK;
	}
	if (rc == LT_E_EXISTS) {
		rc = lt_feed_log_hash(txn, &it->cs.unit, &it->cs.feed, it->cs.seq, &have);
		if (rc != LT_OK)
			return rc;
		if (lt_hash_eq(&have, &it->cs.hash) || LT_SIM_BUG(FORK_UNNOTICED))
			return had_before(in, txn, it);
		it->outcome = FORKED;
		return lt_forks_keep(in->h, txn, &it->cs);
	}
	/* prev_hash names another past, or the stamp does not rise: this branch is not ours. */
	it->outcome = FORKED;
	return lt_forks_keep(in->h, txn, &it->cs);
}

static bool
same_feed(const struct lt_changeset *a, const struct lt_changeset *b)
{
	return lt_unit_eq(&a->unit, &b->unit) && lt_feed_id_cmp(&a->feed, &b->feed) == 0;
}

static int
check_bars(struct intake *in)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < in->n; i++)
		rc = lt_bar_check(in->h, &in->pusher, in->item[i].cs.key_no);
	if (rc == LT_E_REVOKED)
		return lt_err_set(&in->err, rc, "the key that signed this was revoked");
	if (rc == LT_E_UNAVAILABLE)
		return lt_err_set(&in->err, rc,
		    "the key that signed this is being replaced; try again in a moment");
	return rc;
}

static int
run_intake(struct lt_kv_txn *txn, void *ctx)
{
	struct intake *in = ctx;
	/* First: a bar comes down when the registry says the same, so the registry is the one of after that. */
	int rc = check_bars(in);
	struct lt_registry *now = lt_hub_registry(in->h);
	size_t i, k;

	in->woken = NULL; /* a job may run again */
	in->again = false;
	in->saw = 0;
	/* Shown to be in doubt by a job before this one: what it signed of these is not back yet. */
	if (rc == LT_OK && lt_hub_recovering(in->h))
		rc = lt_err_set(&in->err, LT_E_UNAVAILABLE,
		    "the hub takes nothing in before its nodes have given back what it signed");
	/* The registry may have moved since the signatures were checked: a key revoked meanwhile must not get in. */
	for (i = 0; rc == LT_OK && i < in->n; i++) {
		struct item *it = &in->item[i];

		it->outcome = PENDING;
		it->position = 0;
		if (lt_registry_generation(now) == lt_registry_generation(in->reg))
			continue;
		rc = admit(in, &it->cs, it->known, now);
	}
	lt_registry_unref(now);
	for (i = 0; rc == LT_OK && i < in->n; i++) {
		struct item *it = &in->item[i];

		for (k = 0; k < i; k++)
			if (same_feed(&in->item[k].cs, &it->cs) &&
			    (in->item[k].outcome == MISSING || in->item[k].outcome == FORKED))
				it->outcome = SKIPPED;
		if (it->outcome == PENDING)
			rc = take_one(in, txn, it);
	}
	if (rc == LT_OK && in->again)
		rc = lt_projector_owe(txn);
	return rc == LT_OK ? lt_author_saw(txn, 0, in->saw) : rc;
}

/* ---- after the commit ---- */

static size_t
lesser(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int
fill_lists(struct intake *in, const struct item *last, Ltpb__ReceiptBody *b)
{
	size_t i, k, room = RECEIPT_LIST_MAX, refused = 0, held = 0;

	for (i = 0; i < in->n; i++) {
		refused += in->item[i].final.nrefused;
		held += in->item[i].final.nheld;
	}
	b->refused = lt_arena_alloc(&in->arena, lesser(refused, room) * sizeof(*b->refused));
	b->held = lt_arena_alloc(&in->arena, lesser(held, room) * sizeof(*b->held));
	b->clamp = lt_arena_alloc(&in->arena, lesser(in->n, room) * sizeof(*b->clamp));
	if (b->refused == NULL || b->held == NULL || b->clamp == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < in->n; i++) {
		struct item *it = &in->item[i];

		if ((it->outcome != TAKEN && it->outcome != HAD) ||
		    !same_feed(&it->cs, &last->cs) || it->cs.seq > last->cs.seq)
			continue;
		for (k = 0; k < it->final.nrefused && room > 0; k++, room--)
			b->refused[b->n_refused++] = it->final.refused[k];
		b->more |= k < it->final.nrefused;
		for (k = 0; k < it->final.nheld && room > 0; k++, room--)
			b->held[b->n_held++] = it->final.held[k];
		b->more |= k < it->final.nheld;
		if (it->final.clamped && room > 0) {
			Ltpb__Clamp *c = lt_arena_alloc(&in->arena, sizeof(*c));

			if (c == NULL)
				return LT_E_NOMEM;
			ltpb__clamp__init(c);
			c->from = c->to = it->cs.seq;
			c->floor = it->final.floor;
			c->ceiling = it->final.ceiling;
			b->clamp[b->n_clamp++] = c;
			room--;
		} else {
			b->more |= it->final.clamped;
		}
	}
	return LT_OK;
}

static int
make_receipt(struct intake *in, struct item *last, struct lt_buf *out)
{
	const struct lt_identity *id = in->h->identity;
	Ltpb__ReceiptBody b = LTPB__RECEIPT_BODY__INIT;
	int rc;

	b.federation.data = (uint8_t *)id->federation.b;
	b.federation.len = LT_FED_LEN;
	b.hub.data = (uint8_t *)id->principal.b;
	b.hub.len = LT_ID_LEN;
	b.key_no = id->key_no;
	b.unit = last->cs.unit.s;
	b.feed.data = last->cs.feed.b;
	b.feed.len = LT_FEED_LEN;
	b.seq = last->cs.seq;
	b.hash.data = last->cs.hash.b;
	b.hash.len = LT_HASH_LEN;
	b.since_ms = lt_wall_ms(in->h->clock);
	rc = fill_lists(in, last, &b);
	return rc == LT_OK ? lt_receipt_make(&b, &id->sign, out) : rc;
}

static int
report(struct intake *in)
{
	struct lt_kv_txn *txn;
	struct lt_head head;
	size_t i, last;
	int rc = LT_OK;

	for (i = 0; i < in->n; i++) {
		struct lt_intake_feed *f = feed_entry(in, &in->item[i].cs);

		if (f == NULL)
			return LT_E_TOOBIG; /* not reached: counted before the transaction */
		if (in->item[i].outcome == MISSING)
			f->need = true;
		if (in->item[i].outcome == FORKED)
			rc = lt_err_set(&in->err, LT_E_FORK,
			    "another change-set %llu of this feed is held here: this machine, or a "
			    "copy of it, signed it before",
			    (unsigned long long)in->item[i].cs.seq);
	}
	for (i = 0; i < in->nfeed; i++) {
		size_t k;
		int rr = LT_OK;

		last = SIZE_MAX;
		for (k = 0; k < in->n; k++)
			if ((in->item[k].outcome == TAKEN || in->item[k].outcome == HAD) &&
			    lt_feed_id_cmp(&in->item[k].cs.feed, &in->feed[i].feed) == 0)
				last = k;
		if (last != SIZE_MAX) {
			in->feed[i].held = in->item[last].cs.seq;
			in->feed[i].held_hash = in->item[last].cs.hash;
			rr = make_receipt(in, &in->item[last], &in->receipt[i]);
			in->feed[i].receipt = lt_buf_slice(&in->receipt[i]);
		} else if (lt_kv_begin_read(in->h->log, &txn) == LT_OK) {
			rr = lt_feed_log_head(txn, &in->feed[i].unit, &in->feed[i].feed, &head);
			in->feed[i].held = head.seq;
			in->feed[i].held_hash = head.hash;
			lt_kv_abort(txn);
		}
		if (rr != LT_OK)
			return rr;
	}
	return rc;
}

static void
answer(struct lt_after *after)
{
	struct intake *in = (struct intake *)((char *)after - offsetof(struct intake, after));
	int rc = in->stored;

	LT_FAILPOINT("hub.before_receipt");
	if (rc == LT_OK)
		rc = report(in);
	finish(in, rc != LT_OK ? rc : in->rc);
}

static void
intake_done(void *ctx, int rc)
{
	struct intake *in = ctx;

	if (rc == LT_OK && in->again)
		lt_hub_rebuild(in->h);
	in->stored = rc;
	in->after.fn = answer;
	if (in->h->receipts != NULL)
		lt_receipts_give(in->h->receipts, &in->pusher, &in->after);
	else
		answer(&in->after);
}

void
lt_hub_answer_all(struct lt_hub *h)
{
	(void)lt_writer_run(h->writer, lt_job_nothing, NULL); /* jobs end in order */
	lt_receipts_wait(h->receipts);
}

void
lt_hub_intake(struct lt_hub *h, const struct lt_id *pusher, const struct lt_slice *bytes, size_t n,
    lt_intake_fn *done, void *ctx)
{
	struct intake *in = calloc(1, sizeof(*in));
	struct lt_intake_result none = { .rc = LT_E_NOMEM, .why = "out of memory" };
	int rc;

	if (in == NULL) {
		done(ctx, &none);
		return;
	}
	atomic_fetch_add(&h->taking, 1);
	in->h = h;
	in->stored = LT_E_CLOSED; /* nothing yet */
	in->pusher = *pusher;
	in->given = n;
	in->done = done;
	in->ctx = ctx;
	in->arrival_ms = lt_wall_ms(h->clock);
	in->reg = lt_hub_registry(h);
	in->cat = lt_hub_catalogue(h);
	lt_arena_init(&in->arena, LT_HUB_ARENA);
	if (lt_hub_recovering(h)) {
		finish(in, lt_err_set(&in->err, LT_E_UNAVAILABLE,
			       "the hub was restored from a backup and takes nothing in before its "
			       "nodes have given back what it signed since"));
		return;
	}
	if (n == 0 || n > LT_PUSH_MAX) {
		finish(in, lt_err_set(&in->err, LT_E_INVALID, "a push carries 1 to %d change-sets",
			       LT_PUSH_MAX));
		return;
	}
	in->item = lt_arena_alloc(&in->arena, n * sizeof(*in->item));
	if (in->item == NULL) {
		finish(in, LT_E_NOMEM);
		return;
	}
	verify_all(in, bytes, n);
	if (in->n == 0) {
		finish(in, in->rc);
		return;
	}
	rc = lt_writer_submit(h->writer, run_intake, intake_done, in);
	if (rc != LT_OK)
		finish(in, rc);
}
