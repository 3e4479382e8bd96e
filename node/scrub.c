/* node/scrub.c - the node's store scrubbed, and what is derived put right, in steps between the writes of clerks. */
#include "node/scrub.h"
#include "node/node_impl.h"
#include "proto/base/log.h"
#include "proto/store/mend.h"
#include "proto/store/rebuild.h"

#define STEP_MS 50
static int
world(void *ctx, struct lt_scrub_world *out)
{
	struct lt_node *n = ctx;

	/* What differs now will be put right. The next step comes behind a commit: where one failed (a full disk) and nobody writes,
	 * none would come. */
	if (n->mending) {
		(void)lt_writer_submit(n->writer, lt_job_nothing, NULL, NULL);
		return LT_E_UNAVAILABLE;
	}
	out->catalogue = lt_node_catalogue(n);
	out->registry = lt_node_registry(n);
	lt_node_province(n, &out->province);
	return LT_OK;
}

void
lt_node_scrub_options(struct lt_node *n, struct lt_scrub_options *o)
{
	*o = (struct lt_scrub_options){ .log = n->kv,
		.derived = n->kv,
		.federation = &n->identity->federation,
		.author = &n->identity->principal,
		.clock = n->clock,
		.world = world,
		.ctx = n };
}

/* ---- putting right ---- */

static int
run_begin(struct lt_kv_txn *txn, void *ctx)
{
	(void)ctx;
	return lt_mend_begin(txn);
}

/* Before what comes after a commit, which queues the first step. */
static void
begin_done(void *ctx, int rc)
{
	struct lt_node *n = ctx;

	n->mending = true;
	if (rc == LT_OK)
		lt_warn("the derived tables are worked out anew from the log");
	else
		lt_error("the derived tables are not worked out anew: %s", lt_strerror(rc));
}

int
lt_node_mend(struct lt_node *n)
{
	n->mending = true;
	return lt_writer_submit(n->writer, run_begin, begin_done, n);
}

bool
lt_node_mending(struct lt_node *n)
{
	return n->mending;
}

static int
run_step(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_node *n = ctx;
	struct lt_mend_options o = { .txn = txn,
		.catalogue = lt_node_catalogue(n),
		.registry = lt_node_registry(n),
		.author = &n->identity->principal,
		.clock = n->clock,
		.ms = STEP_MS };
	bool building = false;
	int rc = lt_node_check_rows(n, txn, o.catalogue, &building);

	lt_node_province(n, &o.province);
	/* Rows of two catalogues: those of the old one go first. */
	n->mend_more = building;
	if (rc == LT_OK && !building)
		rc = lt_mend_step(&o, &n->mend_more);
	lt_catalogue_unref(o.catalogue);
	lt_registry_unref(o.registry);
	return rc;
}

static void
step_done(void *ctx, int rc)
{
	struct lt_node *n = ctx;

	n->mend_queued = false;
	if (rc != LT_OK)
		lt_error("the derived tables are not worked out anew for now: %s", lt_strerror(rc));
	else if (!n->mend_more)
		n->mending = false;
}

void
lt_node_mend_on(struct lt_node *n)
{
	if (!n->mending || n->mend_queued)
		return;
	n->mend_queued = true;
	if (lt_writer_submit(n->writer, run_step, step_done, n) != LT_OK)
		n->mend_queued = false;
}

/* ---- the thread ---- */

static void
mend(void *ctx)
{
	(void)lt_node_mend(ctx);
}

int
lt_node_scrubber_start(struct lt_node *n, struct lt_repairer *repairer, int64_t every_ms,
    unsigned percent, struct lt_scrubber **out)
{
	struct lt_scrub_options so;
	const struct lt_scrubber_options o = { .scrub = &so,
		.writer = n->writer,
		.every_ms = every_ms,
		.percent = percent,
		.repair = repairer,
		.mend = mend,
		.ctx = n };

	lt_node_scrub_options(n, &so);
	return lt_scrubber_start(&o, out);
}
