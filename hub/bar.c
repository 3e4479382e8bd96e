/* hub/bar.c - who is revoked by a record that the registry in memory does not show yet. The log is ahead of the tables that the
 * registry is read from: for a moment when the record is written, or comes back after a restore, and after a kill until the projector has
 * caught up. */
#include "hub/hub_impl.h"
#include "hub/keys.h"
#include "proto/base/log.h"

#include <stdlib.h>
#include <string.h>

/* With mx held. */
static bool
is_up(const struct lt_hub *h, const struct lt_bar *b)
{
	return b->until > h->projected;
}

/* One that an earlier call left up, since its record could not be written: this call's record takes both down. With mx held. */
static bool
is_left(const struct lt_hub *h, const struct lt_bar *b)
{
	size_t i;

	for (i = 0; i < h->nbar && b->kind == LT_BAR_OUT && b->until == LT_BAR_WRITING; i++)
		if (h->bar[i].kind == LT_BAR_OUT && h->bar[i].until == LT_BAR_WRITING &&
		    h->bar[i].key_no == b->key_no && lt_id_eq(&h->bar[i].principal, &b->principal))
			return true;
	return false;
}

int
lt_bar_put(struct lt_hub *h, enum lt_bar_kind kind, const struct lt_id *principal, uint32_t key_no,
    uint64_t until)
{
	const struct lt_bar fresh = { kind, *principal, key_no, until };
	struct lt_bar *wider;
	size_t i, kept = 0;
	int rc = LT_OK;

	pthread_mutex_lock(&h->mx);
	for (i = 0; i < h->nbar; i++)
		if (is_up(h, &h->bar[i]))
			h->bar[kept++] = h->bar[i];
	h->nbar = kept;
	if (!is_left(h, &fresh)) {
		wider = realloc(h->bar, (h->nbar + 1) * sizeof(*wider));
		if (wider == NULL) {
			rc = LT_E_NOMEM;
		} else {
			h->bar = wider;
			h->bar[h->nbar++] = fresh;
		}
	}
	pthread_mutex_unlock(&h->mx);
	return rc;
}

void
lt_bar_until(struct lt_hub *h, enum lt_bar_kind kind, const struct lt_id *principal,
    uint32_t key_no, uint64_t until)
{
	size_t i;

	pthread_mutex_lock(&h->mx);
	for (i = 0; i < h->nbar; i++)
		if (h->bar[i].kind == kind && h->bar[i].until == LT_BAR_WRITING &&
		    h->bar[i].key_no == key_no && lt_id_eq(&h->bar[i].principal, principal)) {
			h->bar[i].until = until;
			break;
		}
	pthread_mutex_unlock(&h->mx);
}

static bool
is_barred(struct lt_hub *h, enum lt_bar_kind kind, const struct lt_id *principal, uint32_t key_no)
{
	bool barred = false;
	size_t i;

	pthread_mutex_lock(&h->mx);
	for (i = 0; i < h->nbar && !barred; i++)
		barred = h->bar[i].kind == kind && lt_id_eq(&h->bar[i].principal, principal) &&
			 (h->bar[i].key_no == 0 || h->bar[i].key_no == key_no) &&
			 is_up(h, &h->bar[i]);
	pthread_mutex_unlock(&h->mx);
	return barred;
}

bool
lt_hub_barred(struct lt_hub *h, const struct lt_id *principal, uint32_t key_no)
{
	return is_barred(h, LT_BAR_OUT, principal, key_no);
}

int
lt_bar_check(struct lt_hub *h, const struct lt_id *principal, uint32_t key_no)
{
	if (is_barred(h, LT_BAR_OUT, principal, key_no))
		return LT_E_REVOKED;
	return is_barred(h, LT_BAR_LATER, principal, key_no) ? LT_E_UNAVAILABLE : LT_OK;
}

/* ---- of what stands in the log ---- */

static int64_t
integer_of(const struct lt_change *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nset; i++)
		if (strcmp(c->set[i].pb->name, name) == 0 && c->set[i].pb->value != NULL &&
		    c->set[i].pb->value->v_case == LTPB__VALUE__V_INTEGER)
			return c->set[i].pb->value->integer;
	return 0;
}

bool
lt_bar_says_rotated(const struct lt_change *c)
{
	size_t i;

	for (i = 0; i < c->nset; i++)
		if (strcmp(c->set[i].pb->name, "reason") == 0 && c->set[i].pb->value != NULL &&
		    c->set[i].pb->value->v_case == LTPB__VALUE__V_ENUMERATION)
			return strcmp(c->set[i].pb->value->enumeration, "rotated") == 0;
	return false;
}

static int
bar_change(struct lt_hub *h, const struct lt_change *c, uint64_t until)
{
	char hex[2 * LT_ID_LEN + 1];
	struct lt_id id;
	int64_t no;

	if (strcmp(c->collection, "_revocation") != 0 || strlen(c->key) < 2 * LT_ID_LEN)
		return LT_OK;
	memcpy(hex, c->key, 2 * LT_ID_LEN);
	hex[2 * LT_ID_LEN] = '\0';
	if (lt_unhex(id.b, LT_ID_LEN, hex) != LT_OK)
		return LT_OK;
	no = integer_of(c, "key_no");
	return lt_bar_put(h, lt_bar_says_rotated(c) ? LT_BAR_LATER : LT_BAR_OUT, &id,
	    no > 0 && no <= UINT32_MAX ? (uint32_t)no : 0, until);
}

int
lt_bars_note(struct lt_hub *h, const struct lt_changeset *cs, uint64_t until)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && strcmp(cs->unit.s, "_") == 0 && i < cs->nchange; i++)
		rc = bar_change(h, &cs->change[i], until);
	return rc;
}

int
lt_bars_owed(struct lt_hub *h, const struct lt_changeset *cs)
{
	size_t i;
	int rc = LT_OK;

	/* A change of keys is not said again: the new one would have to be, too. */
	for (i = 0; rc == LT_OK && strcmp(cs->unit.s, "_") == 0 && i < cs->nchange; i++)
		if (!lt_bar_says_rotated(&cs->change[i]))
			rc = bar_change(h, &cs->change[i], LT_BAR_WRITING);
	return rc;
}

static int
bar_entry(struct lt_hub *h, struct lt_kv_txn *txn, uint64_t position, struct lt_arena *arena)
{
	struct lt_changeset cs;
	struct lt_change c;
	struct lt_entry e;
	size_t i;
	int rc = lt_feed_log_read(txn, position, &e);

	if (rc != LT_OK || strcmp(e.unit.s, "_") != 0)
		return rc;
	rc = lt_changeset_open(e.changeset, arena, &cs);
	for (i = 0; rc == LT_OK && i < cs.nchange; i++) {
		rc = lt_change_decode(cs.change_raw[i], &cs.feed, arena, &c, NULL);
		if (rc == LT_OK)
			rc = bar_change(h, &c, h->log_position);
	}
	return rc;
}

int
lt_bars_open(struct lt_hub *h)
{
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	uint64_t position, projected;
	bool rebuilding;
	int rc;

	pthread_mutex_lock(&h->mx);
	rebuilding = h->rebuild_until != 0;
	projected = h->projected;
	pthread_mutex_unlock(&h->mx);
	/* While the tables are built anew from nothing nobody is let in at all. With a registry of before they are, but for whom the log revokes. */
	if (rebuilding && !lt_hub_knows_principals(h))
		return LT_OK;
	if (rebuilding)
		projected = 0;
	rc = lt_kv_begin_read(h->log, &txn);
	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, LT_HUB_ARENA);
	for (position = projected + 1; rc == LT_OK && position <= h->log_position; position++) {
		rc = bar_entry(h, txn, position, &arena);
		/* Something damaged is the projector's to tell of; what comes behind it counts. */
		if (rc == LT_E_CORRUPT || rc == LT_E_INVALID || rc == LT_E_NOTFOUND)
			rc = LT_OK;
		lt_arena_clear(&arena);
	}
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
	return rc;
}
