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

static void
mend(void *ctx)
{
	lt_hub_rebuild(ctx);
}

int
lt_hub_scrubber_start(struct lt_hub *h, struct lt_repairer *repairer, int64_t every_ms,
    unsigned percent, struct lt_scrubber **out)
{
	struct lt_scrub_options so;
	const struct lt_scrubber_options o = { .scrub = &so,
		.writer = h->writer,
		.every_ms = every_ms,
		.percent = percent,
		.repair = repairer,
		.mend = mend,
		.ctx = h };

	lt_hub_scrub_options(h, &so);
	return lt_scrubber_start(&o, out);
}
