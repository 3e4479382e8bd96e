/* node/rebuild.c - after a new catalogue the records are worked out anew, in steps between the writes of clerks.
 *
 * One transaction for all would hold back every write until it is through and keep all that it changed in memory; a step
 * holds them back for STEP_MS and a commit. */
#include "node/node_impl.h"
#include "proto/base/failpoint.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/store/rebuild.h"

#define STEP_RECORDS 512
#define STEP_MS 50

int
lt_node_check_rows(
    struct lt_node *n, struct lt_kv_txn *txn, const struct lt_catalogue *cat, bool *building)
{
	int rc = LT_SIM_BUG(ROWS_OF_OLD_NODE)
		     ? LT_OK
		     : lt_rebuild_check(txn, cat, n->rows_unknown, building);

	if (rc == LT_OK && *building)
		n->rebuilding = true;
	return rc;
}

bool
lt_node_by_hub(void *ctx, const struct lt_id *author)
{
	return lt_registry_is_hub(ctx, author);
}

static int
run_step(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_node *n = ctx;
	struct lt_catalogue *cat = lt_node_catalogue(n);
	struct lt_registry *reg = lt_node_registry(n);
	struct lt_rebuild_options o = { .txn = txn,
		.catalogue = cat,
		.overlay = true,
		.by_hub = lt_node_by_hub,
		.ctx = reg,
		.records = n->rebuild_records != 0 ? n->rebuild_records : STEP_RECORDS,
		.clock = n->clock,
		.ms = STEP_MS,
		.careful = n->rebuild_careful };
	bool building = false;
	int rc = lt_node_check_rows(n, txn, cat, &building);

	n->rebuild_more = false;
	lt_node_province(n, &o.province);
	if (rc == LT_OK && building)
		rc = lt_rebuild_step(&o, &n->rebuild_more);
	LT_FAILPOINT("node.rebuild_step");
	lt_registry_unref(reg);
	lt_catalogue_unref(cat);
	return rc;
}

int
lt_node_rows_for(struct lt_node *n, struct lt_kv_txn *txn, struct lt_catalogue *cat,
    const struct lt_write *writes, size_t count)
{
	struct lt_registry *reg = lt_node_registry(n);
	struct lt_rebuild_options o = {
		.txn = txn, .catalogue = cat, .overlay = true, .by_hub = lt_node_by_hub, .ctx = reg
	};
	bool building = false;
	size_t i;
	int rc = lt_node_check_rows(n, txn, cat, &building);

	lt_node_province(n, &o.province);
	for (i = 0; rc == LT_OK && building && i < count; i++)
		if (writes[i].key != NULL)
			rc = lt_rebuild_record(
			    &o, writes[i].collection, &n->identity->unit, writes[i].key);
	lt_registry_unref(reg);
	return rc;
}

/* A step that failed is tried again after the next commit: whatever stood in the way (a full disk) stood in its way too. Not so
 * what is damaged: at once, with care. */
static void
step_done(void *ctx, int rc)
{
	struct lt_node *n = ctx;
	bool careful = n->rebuild_careful;

	n->rebuild_queued = false;
	n->rebuild_careful = lt_rebuild_wants_care(rc);
	if (n->rebuild_careful && !careful) {
		lt_node_rebuild_on(n);
		return;
	}
	if (rc != LT_OK) {
		lt_error("records are not worked out anew for now: %s", lt_strerror(rc));
		return;
	}
	n->rows_unknown = false;
	n->rebuilding = n->rebuild_more;
}

void
lt_node_rebuild_on(struct lt_node *n)
{
	if (!n->rebuilding || n->rebuild_queued)
		return;
	n->rebuild_queued = true;
	/* A full queue empties with a commit, and a node that stops goes on at its next start. */
	if (lt_writer_submit(n->writer, run_step, step_done, n) != LT_OK)
		n->rebuild_queued = false;
}
