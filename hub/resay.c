/* hub/resay.c - acts of erasure that a restored hub has from a list alone are said again (FORMAT.md 12.8): nodes and mirrors get them from
 * its feed then, and lists have them. So are those, and revocations, in a branch of its own feed that does not count (12.7).
 *
 * Owed like verdicts, and written by the same job, in the transaction that drops the row. Under its number: where the act of before comes
 * back later, both say the same, and no field of theirs is in conflict. */
#include "hub/hub_impl.h"
#include "proto/base/log.h"
#include "proto/store/author.h"
#include "proto/store/erase.h"
#include "proto/store/erase_list.h"

#include <stdio.h>
#include <string.h>

struct saying {
	struct lt_hub *h;
	struct lt_kv_txn *txn;
	const struct lt_changeset *cs;
	struct lt_write *w;
	size_t n;
};

static int
obey(void *ctx, const struct lt_made *made)
{
	const struct saying *s = ctx;
	uint64_t removed;
	int rc = lt_erase_acts(s->txn, &made->cs, &removed);

	return rc == LT_OK ? lt_bars_note(s->h, &made->cs, made->position) : rc;
}

static bool
is_act(const struct lt_change *c)
{
	return (strcmp(c->collection, LT_ERASE_COLLECTION) == 0 ||
		   (strcmp(c->collection, "_revocation") == 0 && !lt_bar_says_rotated(c))) &&
	       !c->is_delete;
}

static int
make_writes(struct saying *s, struct lt_arena *arena)
{
	size_t i, k;

	s->w = lt_arena_alloc(arena, (s->cs->nchange + 1) * sizeof(*s->w));
	if (s->w == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < s->cs->nchange; i++) {
		const struct lt_change *c = &s->cs->change[i];
		struct lt_write *w = &s->w[s->n];
		Ltpb__FieldSet **set;

		if (!is_act(c))
			continue;
		set = lt_arena_alloc(arena, (c->nset + 1) * sizeof(Ltpb__FieldSet *));
		if (set == NULL)
			return LT_E_NOMEM;
		for (k = 0; k < c->nset; k++)
			set[k] = (Ltpb__FieldSet *)(uintptr_t)c->set[k].pb;
		*w = (struct lt_write){ .collection = c->collection,
			.key = c->key,
			.set = set,
			.nset = c->nset,
			.builtin = true,
			.writer = LT_WRITER_PROVINCE };
		s->n++;
	}
	return LT_OK;
}

static int
say(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs, struct lt_arena *arena)
{
	struct saying s = { .h = h, .txn = txn, .cs = cs };
	struct lt_catalogue *cat;
	struct lt_kv_txn *derived;
	struct lt_err err = { "" };
	size_t i;
	int rc = make_writes(&s, arena);

	if (rc != LT_OK || s.n == 0)
		return rc;
	rc = lt_kv_begin_read(h->derived, &derived);
	if (rc != LT_OK)
		return rc;
	cat = lt_hub_catalogue(h);
	rc = lt_author_write(
	    txn, derived, &h->author, cat, &cs->unit, s.w, s.n, arena, obey, &s, &err);
	for (i = 0; rc == LT_OK && i < s.n; i++)
		if (s.w[i].rc != LT_OK) {
			lt_error("an act of unit %s cannot be said again: %s", cs->unit.s,
			    s.w[i].violation.message);
			rc = s.w[i].rc;
		}
	lt_catalogue_unref(cat);
	lt_kv_abort(derived);
	if (rc == LT_OK)
		lt_info(
		    "%zu acts of unit %s, known from a list or from a branch that does not count, "
		    "are said again",
		    s.n, cs->unit.s);
	return rc;
}

/* `lost/unit/feed/seq/hash` of table local, the first 8 bytes of the hash: this was obeyed, and said again, or is to be. */
static int
note_lost(struct lt_kv_txn *txn, const struct lt_changeset *cs, bool *is_new)
{
	static const uint8_t one = 1;
	char name[160], feed[2 * LT_FEED_LEN + 1], hash[17];
	struct lt_slice v;

	lt_hex(feed, cs->feed.b, LT_FEED_LEN);
	lt_hex(hash, cs->hash.b, 8);
	(void)snprintf(name, sizeof(name), "lost/%s/%s/%016llx/%s", cs->unit.s, feed,
	    (unsigned long long)cs->seq, hash);
	*is_new = lt_local_get(txn, name, &v) == LT_E_NOTFOUND;
	return *is_new ? lt_local_put(txn, name, lt_slice(&one, 1)) : LT_OK;
}

int
lt_resay_lost(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs, bool *is_new,
    bool *erased)
{
	bool erases = false;
	uint64_t removed;
	size_t i, n = 0;
	int rc;

	for (i = 0; i < cs->nchange; i++) {
		n += is_act(&cs->change[i]);
		erases |= strcmp(cs->change[i].collection, LT_ERASE_COLLECTION) == 0;
	}
	*is_new = false;
	if (n == 0)
		return LT_OK;
	rc = note_lost(txn, cs, is_new);
	if (rc != LT_OK || !*is_new)
		return rc;
	rc = lt_erase_acts(txn, cs, &removed);
	if (rc == LT_OK)
		rc = lt_bars_owed(h, cs);
	if (rc == LT_OK)
		rc = lt_unsaid_keep(txn, cs);
	if (rc != LT_OK)
		return rc;
	lt_warn(
	    "%zu acts (erasures, revocations) of unit %s stand in a branch of this hub's feed that "
	    "does not count: they are obeyed, and said again",
	    n, cs->unit.s);
	*erased |= erases;
	atomic_store(&h->unsaid, true);
	lt_verdicts_note(h->verdicts, &cs->unit, &cs->feed);
	return LT_OK;
}

int
lt_resay(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed)
{
	char name[LT_UNSAID_NAME] = "";
	struct lt_changeset cs;
	struct lt_arena arena;
	bool here;
	int rc = LT_OK;

	if (!atomic_load(&h->unsaid))
		return LT_OK;
	while (rc == LT_OK) {
		lt_arena_init(&arena, LT_HUB_ARENA);
		rc = lt_unsaid_next(txn, unit, feed, name, &arena, &cs);
		if (rc == LT_E_CORRUPT) /* the rows end in damage: those before it are said */
			rc = LT_E_NOTFOUND;
		if (rc == LT_OK)
			rc = lt_unsaid_is_here(txn, &cs, &here);
		if (rc == LT_OK && !here)
			rc = say(h, txn, &cs, &arena);
		if (rc == LT_OK)
			rc = lt_unsaid_drop(txn, name);
		lt_arena_fini(&arena);
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* Damage is no reason not to start: what can be read is said, and the rest stays in its rows until a repair. */
static int
tell_unreadable(struct lt_kv_txn *txn)
{
	uint64_t n;
	int rc = lt_unsaid_unreadable(txn, &n);

	if (rc == LT_OK && n != 0)
		lt_error(
		    "%llu acts that are to be said again cannot be read, and are not: restore with "
		    "the list once more, or erase, or revoke, again",
		    (unsigned long long)n);
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

int
lt_resay_scan(struct lt_hub *h, struct lt_verdicts *v, struct lt_kv_txn *txn)
{
	char name[LT_UNSAID_NAME] = "";
	struct lt_changeset cs;
	struct lt_arena arena;
	int rc = LT_OK;

	while (rc == LT_OK) {
		lt_arena_init(&arena, LT_HUB_ARENA);
		rc = lt_unsaid_next(txn, NULL, NULL, name, &arena, &cs);
		if (rc == LT_OK) {
			atomic_store(&h->unsaid, true);
			atomic_store(
			    &h->reshow_wanted, true); /* the stop may have come in between */
			lt_verdicts_note(v, &cs.unit, &cs.feed);
			rc = lt_bars_owed(h, &cs);
		}
		lt_arena_fini(&arena);
	}
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? tell_unreadable(txn) : rc;
}
