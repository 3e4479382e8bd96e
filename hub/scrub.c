/* hub/scrub.c - the hub's two environments scrubbed, and the derived one built anew where that mends it. */
#include "hub/scrub.h"
#include "hub/hub_impl.h"

static int
world(void *ctx, struct lt_scrub_world *out)
{
	struct lt_hub *h = ctx;
	int rc;

	pthread_mutex_lock(&h->mx);
	rc = h->rebuild_until != 0 ? LT_E_UNAVAILABLE : LT_OK;
	out->builds = h->builds;
	out->catalogue = rc == LT_OK ? lt_catalogue_ref(h->catalogue) : NULL;
	out->registry = rc == LT_OK ? lt_registry_ref(h->registry) : NULL;
	out->province = h->identity->unit;
	pthread_mutex_unlock(&h->mx);
	return rc;
}

void
lt_hub_scrub_options(struct lt_hub *h, struct lt_scrub_options *o)
{
	*o = (struct lt_scrub_options){ .log = h->log,
		.derived = h->derived,
		.federation = &h->identity->federation,
		.clock = h->clock,
		.world = world,
		.ctx = h };
}

#define PROGRESS "scrub"

struct progress {
	struct lt_slice bytes;
};

static int
run_keep(struct lt_kv_txn *txn, void *ctx)
{
	const struct progress *p = ctx;

	return lt_local_put(txn, PROGRESS, p->bytes);
}

static void
keep(void *ctx, struct lt_slice bytes)
{
	struct lt_hub *h = ctx;
	struct progress p = { bytes };

	/* Not kept: a round begins again. */
	(void)lt_writer_run(h->writer, run_keep, &p);
}

static void
mend(void *ctx)
{
	lt_hub_rebuild(ctx);
}

static void
resume(struct lt_hub *h, struct lt_scrub *scrub)
{
	struct lt_kv_txn *txn;
	struct lt_slice saved;

	if (lt_kv_begin_read(h->log, &txn) != LT_OK)
		return;
	if (lt_local_get(txn, PROGRESS, &saved) == LT_OK)
		(void)lt_scrub_resume(scrub, saved);
	lt_kv_abort(txn);
}

int
lt_hub_scrubber_start(
    struct lt_hub *h, int64_t every_ms, unsigned percent, struct lt_scrubber **out)
{
	struct lt_scrubber_options o = {
		.every_ms = every_ms, .percent = percent, .keep = keep, .mend = mend, .ctx = h
	};
	struct lt_scrub_options so;
	int rc;

	lt_hub_scrub_options(h, &so);
	rc = lt_scrub_open(&so, &o.scrub);
	if (rc != LT_OK)
		return rc;
	resume(h, o.scrub);
	return lt_scrubber_start(&o, out);
}
