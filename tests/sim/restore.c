/* Backups at any time, and machines restored from any of them, by the tool's path: an old copy of the disk, marked as `ltctl restore` marks
 * it (lt_restore_mark()).
 *
 * One promise needs a second place that has what is lost. So no machine is restored while what it alone could give back to another one,
 * itself restored and not yet whole, would go with it: such an attempt is counted as put off. */
#include "proto/store/author.h"
#include "proto/store/backup.h"
#include "proto/store/kv_image.h"
#include "tests/sim/sim.h"

#include <stdlib.h>

#define KEPT 4 /* backups of each machine, the last and random older ones */

struct copy {
	struct lt_kv_image *img;
	struct lt_kv_image *derived; /* of the hub */
	struct sim_watch *watch;
};

struct sim_backups {
	struct copy of[1 + SIM_NODES][KEPT];
};

void
sim_backups_free(struct sim *s)
{
	int i, k;

	if (s->backups == NULL)
		return;
	for (i = 0; i <= SIM_NODES; i++)
		for (k = 0; k < KEPT; k++) {
			lt_kv_image_free(s->backups->of[i][k].img);
			lt_kv_image_free(s->backups->of[i][k].derived);
			free(s->backups->of[i][k].watch);
		}
	free(s->backups);
	s->backups = NULL;
}

static struct sim_machine *
some(struct sim *s)
{
	return &s->m[sim_rng_chance(&s->rng, 300) ? 0 : 1 + sim_rng_below(&s->rng, s->o.nodes)];
}

void
sim_backup(struct sim *s)
{
	struct sim_machine *m = some(s);
	struct copy *c;

	if (s->backups == NULL)
		s->backups = calloc(1, sizeof(*s->backups));
	if (s->backups == NULL)
		abort();
	c = &s->backups->of[m->no][sim_rng_below(&s->rng, KEPT)];
	lt_kv_image_free(c->img);
	lt_kv_image_free(c->derived);
	free(c->watch);
	c->derived = NULL;
	if (lt_kv_image_take(m->kv, &c->img) != LT_OK ||
	    (m->no == SIM_HUB && lt_kv_image_take(m->derived, &c->derived) != LT_OK))
		abort();
	c->watch = sim_watch_copy(m);
	sim_say(s, "a backup of machine %d", m->no);
}

static const struct copy *
some_copy(struct sim *s, int machine)
{
	const struct copy *c = NULL;
	size_t at = sim_rng_below(&s->rng, KEPT), k;

	if (s->backups == NULL)
		return NULL;
	for (k = 0; k < KEPT && (c == NULL || c->img == NULL); k++)
		c = &s->backups->of[machine][(at + k) % KEPT];
	return c->img != NULL ? c : NULL;
}

bool
sim_backup_of(
    struct sim *s, int machine, const struct lt_kv_image **img, const struct sim_watch **w)
{
	const struct copy *c = some_copy(s, machine);

	if (c == NULL)
		return false;
	*img = c->img;
	*w = c->watch;
	return true;
}

bool
sim_backup_of_hub(struct sim *s, const struct lt_kv_image **log, const struct lt_kv_image **derived,
    const struct sim_watch **w)
{
	const struct copy *c = some_copy(s, SIM_HUB);

	if (c == NULL)
		return false;
	*log = c->img;
	*derived = c->derived;
	*w = c->watch;
	return true;
}

/* ---- may it be lost now? ---- */

struct asking {
	struct sim *s;
	const struct sim_machine *m;
	struct lt_kv_txn *own, *other;
	bool ok;
};

bool
sim_recovering(struct sim *s)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	bool is;

	if (lt_kv_begin_read(s->m[SIM_HUB].kv, &txn) != LT_OK)
		abort();
	is = lt_local_get(txn, LT_LOCAL_RESTORED, &v) == LT_OK && v.data[0] == 1;
	lt_kv_abort(txn);
	return is;
}

/* The hub has what it gave this node a receipt for. */
static int
hub_has(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_id author = lt_feed_author(feed);
	struct asking *a = ctx;
	struct lt_head there = { 0 };
	struct lt_hash hash;
	uint64_t tied = 0, seq;

	if (!lt_id_eq(&author, &a->m->id.principal))
		return LT_OK;
	a->ok &= lt_node_tied(a->own, unit, feed, head, &tied) == LT_OK &&
		 lt_feed_log_head(a->other, unit, feed, &there) == LT_OK && there.seq >= tied;
	/* The receipt may have been lost on the way. */
	for (seq = there.seq + 1; a->ok && seq <= head->seq; seq++)
		a->ok = lt_feed_log_hash(a->own, unit, feed, seq, &hash) != LT_OK ||
			!sim_is_receipted(a->s, feed, seq, &hash);
	return LT_OK;
}

bool
sim_node_may_go(struct sim *s, const struct sim_machine *m)
{
	struct asking a = { .s = s, .m = m, .ok = true };

	if (sim_recovering(s))
		return false;
	if (lt_kv_begin_read(m->kv, &a.own) != LT_OK ||
	    lt_kv_begin_read(s->m[SIM_HUB].kv, &a.other) != LT_OK)
		abort();
	(void)lt_feed_log_each(a.own, NULL, hub_has, &a);
	lt_kv_abort(a.own);
	lt_kv_abort(a.other);
	return a.ok;
}

/* This very head, or more behind it. */
static bool
reaches(struct sim_machine *m, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_kv_txn *txn;
	struct lt_hash have;
	bool is;

	if (lt_kv_begin_read(m->kv, &txn) != LT_OK)
		abort();
	is = lt_feed_log_hash(txn, unit, feed, head->seq, &have) == LT_OK &&
	     lt_hash_eq(&have, &head->hash);
	lt_kv_abort(txn);
	return is;
}

/* What a node wrote lies on its own disk, and the acts of the federation on somebody's. */
static int
somebody_has(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_id author = lt_feed_author(feed);
	struct asking *a = ctx;
	bool act = lt_id_eq(&author, &a->s->m[SIM_HUB].id.principal), has = false;
	int i;

	if (act && strcmp(unit->s, "_") != 0)
		return LT_OK;
	for (i = 1; i <= SIM_NODES && !has; i++)
		if (act || lt_id_eq(&author, &a->s->m[i].id.principal))
			has = reaches(&a->s->m[i], unit, feed, head);
	a->ok &= has;
	return LT_OK;
}

bool
sim_hub_may_go(struct sim *s)
{
	struct asking a = { .s = s, .ok = true };

	/* A copy that is still at work may bring another branch before the one that counted is back. */
	if (sim_copies_live(s))
		return false;
	if (lt_kv_begin_read(s->m[SIM_HUB].kv, &a.own) != LT_OK)
		abort();
	(void)lt_feed_log_each(a.own, NULL, somebody_has, &a);
	lt_kv_abort(a.own);
	return a.ok;
}

/* ---- a restore ---- */

void
sim_disk_put(struct sim *s, struct sim_machine *m, const struct lt_kv_image *img,
    const struct sim_watch *w, bool by_tool)
{
	bool hub = m->no == SIM_HUB;
	struct lt_kv_options o = { .kind = hub ? LT_KV_HUB_LOG : LT_KV_NODE,
		.federation = s->m[SIM_HUB].id.federation.b,
		.tables = lt_table_names };
	uint8_t id[LT_BACKUP_ID_LEN] = { 1 };
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	uint64_t voided;
	int rc;

	lt_kv_close(m->kv);
	rc = lt_kv_open_image(&o, img, &m->kv, &err);
	if (rc == LT_OK && by_tool)
		rc = lt_kv_begin_write(m->kv, &txn);
	if (rc == LT_OK && by_tool)
		rc = lt_restore_mark(txn, hub, id, lt_wall_ms(&m->clock), &voided);
	if (rc == LT_OK && by_tool)
		rc = lt_kv_commit(txn);
	if (rc == LT_OK && hub) { /* made anew from the log */
		lt_kv_close(m->derived);
		o.kind = LT_KV_HUB_DERIVED;
		rc = lt_kv_open_mem(&o, &m->derived, &err);
	}
	if (rc != LT_OK) {
		sim_fail(
		    s, "machine %d cannot be restored: %s %s", m->no, lt_strerror(rc), err.text);
		return;
	}
	lt_kv_set_fault(m->kv, sim_store_call, m);
	if (hub) {
		lt_kv_set_fault(m->derived, sim_store_call, m);
		s->news_seen = 0;
	}
	sim_watch_put(m, w);
}

/* What was saved and is neither in the backup nor with the hub is gone with the disk, and nobody was told that another had it. */
void
sim_forget_lost(struct sim *s, struct sim_machine *m, uint64_t *lost)
{
	size_t i, k = 0;

	for (i = 0; i < m->nsaved; i++) {
		const struct sim_saved *v = &m->saved[i];

		if (sim_disk_has(m, &m->unit, v) || sim_disk_has(&s->m[SIM_HUB], &m->unit, v))
			m->saved[k++] = *v;
		else
			++*lost;
	}
	m->nsaved = k;
	m->unsure.used = false; /* its program went with the machine */
}

void
sim_restore(struct sim *s)
{
	struct sim_machine *m = some(s);
	struct copy *c;

	if (s->backups == NULL || m->synced != NULL || m->synced_derived != NULL)
		return;
	c = &s->backups->of[m->no][sim_rng_below(&s->rng, KEPT)];
	if (c->img == NULL || (m->no == SIM_HUB ? !sim_hub_may_go(s) : !sim_node_may_go(s, m))) {
		s->restores_put_off++;
		return;
	}
	/* Committed up to the end of the old disk. */
	if (m->up)
		sim_crash(s, m->no, sim_rng_between(&s->rng, 100, 60000));
	sim_check_step(s, m->no);
	m->crash_in = 0;
	m->disk_full_until = 0;
	sim_disk_put(s, m, c->img, c->watch, true);
	if (m->no == SIM_HUB)
		s->restored_hub++;
	else
		sim_forget_lost(s, m, &s->lost_with_disk);
	s->restored_nodes += m->no != SIM_HUB;
	sim_say(s, "machine %d is restored from a backup", m->no);
}
