/* hub/reshow.c - what the derived tables show of values that are gone from the log, where no act in the log tells the projector.
 *
 * Acts of erasure in a branch of the hub's own feed that does not count are obeyed in the log at once (resay.c); the log has no act of theirs
 * before the hub signs again, which may wait for days until the last node is heard. Until then their rows `unsaid/...` name what is to be
 * shown anew. Done again it has the same effect. */
#include "hub/hub_impl.h"
#include "proto/base/log.h"
#include "proto/store/erase.h"
#include "proto/store/erase_list.h"
#include "proto/store/projection.h"

static int
add_acts(struct lt_projection *p, struct lt_kv_txn *log, const struct lt_changeset *cs,
    struct lt_arena *arena)
{
	struct lt_erased *e;
	size_t i, n;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < cs->nchange; i++) {
		rc = lt_erased_of(&cs->change[i], arena, &e, &n);
		if (rc == LT_OK)
			rc = lt_erase_reshow(p, log, &cs->unit, e, n);
		else if (rc == LT_E_NOTFOUND || rc == LT_E_INVALID)
			rc = LT_OK; /* another act; or one that names nothing, anywhere */
	}
	return rc;
}

static int
write_out(struct lt_hub *h, struct lt_projection *p)
{
	struct lt_kv_txn *txn;
	int rc = lt_kv_begin_write(h->derived, &txn);

	if (rc != LT_OK)
		return rc;
	rc = lt_projection_write(p, txn);
	if (rc == LT_OK)
		return lt_kv_commit(txn);
	lt_kv_abort(txn);
	return rc;
}

/* One change-set's acts, in a transaction of their own: no more is in memory than what one of them names. */
static int
reshow_one(struct lt_hub *h, struct lt_kv_txn *log, const struct lt_catalogue *cat,
    const struct lt_changeset *cs, struct lt_arena *arena)
{
	struct lt_projection_options o = {
		.log = log, .catalogue = cat, .province = h->identity->unit
	};
	struct lt_projection *p = NULL;
	int rc = lt_kv_begin_read(h->derived, &o.derived);

	if (rc != LT_OK)
		return rc;
	rc = lt_projection_begin(&o, &p);
	if (rc == LT_OK)
		rc = add_acts(p, log, cs, arena);
	if (rc == LT_OK)
		rc = lt_projection_work(p);
	lt_kv_abort(o.derived);
	if (rc == LT_OK)
		rc = write_out(h, p);
	lt_projection_abort(p);
	return rc;
}

int
lt_reshow(struct lt_hub *h)
{
	char name[LT_UNSAID_NAME] = "";
	struct lt_catalogue *cat;
	struct lt_changeset cs;
	struct lt_kv_txn *log;
	struct lt_arena arena;
	int rc = lt_kv_begin_read(h->log, &log);

	if (rc != LT_OK)
		return rc;
	cat = lt_hub_catalogue(h);
	while (rc == LT_OK) {
		lt_arena_init(&arena, LT_HUB_ARENA);
		rc = lt_unsaid_next(log, NULL, NULL, name, &arena, &cs);
		if (rc == LT_E_CORRUPT) /* the rows end in damage, as when they are said */
			rc = LT_E_NOTFOUND;
		if (rc == LT_OK)
			rc = reshow_one(h, log, cat, &cs, &arena);
		lt_arena_fini(&arena);
	}
	lt_catalogue_unref(cat);
	lt_kv_abort(log);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

void
lt_reshow_want(struct lt_hub *h)
{
	pthread_mutex_lock(&h->mx);
	atomic_store(&h->reshow_wanted, true);
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->mx);
}
