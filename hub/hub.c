#include "hub/checkpoint.h"
#include "hub/hub_impl.h"
#include "hub/recovery.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/store/compact.h"
#include "proto/store/catalogue_store.h"
#include "proto/store/erase.h"
#include "proto/store/hub_cert.h"
#include "proto/store/feed_log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VISIBLE_MS 30000

static void
store_failed(void *ctx, int rc)
{
	(void)ctx;
	lt_error("the feed log could not commit (%s): stopping; check the disk, then start again",
	    lt_strerror(rc));
	_exit(1);
}

static int
read_position(struct lt_hub *h)
{
	struct lt_kv_txn *txn;
	uint64_t position;
	int rc = lt_kv_begin_read(h->log, &txn);

	if (rc != LT_OK)
		return rc;
	rc = lt_feed_log_last(txn, &position);
	if (rc == LT_OK)
		h->log_position = position;
	lt_kv_abort(txn);
	return rc;
}

static void
batch_committed(void *ctx, size_t njobs)
{
	struct lt_hub *h = ctx;

	(void)njobs;
	if (read_position(h) != LT_OK)
		lt_error("the feed log cannot be read after a commit");
	lt_projector_kick(h);
	lt_verdicts_after_commit(h->verdicts);
	lt_hub_tell_news(h);
}

/* ---- snapshots ---- */

int
lt_hub_reload(struct lt_hub *h, struct lt_err *err)
{
	struct lt_catalogue *cat = NULL, *old_cat = NULL;
	struct lt_registry *reg = NULL, *old_reg;
	struct lt_kv_txn *txn;
	uint64_t version;
	int rc = lt_kv_begin_read(h->derived, &txn);

	if (rc != LT_OK)
		return lt_err_set(err, rc, "cannot read the derived tables: %s", lt_strerror(rc));
	rc = lt_registry_load(txn, &h->self, 1, &reg, err);
	if (rc == LT_OK) {
		rc = lt_catalogue_newest(txn, &version);
		if (rc == LT_OK)
			rc = lt_catalogue_load(txn, version, &cat, err);
	}
	lt_kv_abort(txn);
	if (rc != LT_OK) {
		lt_registry_unref(reg);
		return rc;
	}
	pthread_mutex_lock(&h->mx);
	/* Tables half built show who was who once: the registry in memory stays until they are whole. */
	if (h->registry == NULL || h->rebuild_until == 0) {
		old_reg = h->registry;
		h->registry = reg;
		h->registry_old = h->rebuild_until != 0;
	} else {
		old_reg = reg;
	}
	/* While the derived tables are built anew, the catalogue in memory is ahead of theirs. */
	if (h->catalogue == NULL ||
	    lt_catalogue_version(cat) >= lt_catalogue_version(h->catalogue)) {
		old_cat = h->catalogue;
		h->catalogue = cat;
	} else {
		old_cat = cat;
	}
	pthread_mutex_unlock(&h->mx);
	lt_catalogue_unref(old_cat);
	lt_registry_unref(old_reg);
	return LT_OK;
}

struct lt_catalogue *
lt_hub_catalogue(struct lt_hub *h)
{
	struct lt_catalogue *c;

	pthread_mutex_lock(&h->mx);
	c = lt_catalogue_ref(h->catalogue);
	pthread_mutex_unlock(&h->mx);
	return c;
}

struct lt_registry *
lt_hub_registry(struct lt_hub *h)
{
	struct lt_registry *r;

	pthread_mutex_lock(&h->mx);
	r = lt_registry_ref(h->registry);
	pthread_mutex_unlock(&h->mx);
	return r;
}

/* ---- life ---- */

static int
open_env(struct lt_hub *h, const struct lt_hub_options *o, enum lt_kv_kind kind, const char *name,
    struct lt_kv *given, struct lt_kv **out, bool *own, struct lt_err *err)
{
	if (given != NULL) {
		*out = given;
		return LT_OK;
	}
	*own = true;
	return lt_tables_open(o->dir, name, kind, &h->identity->federation, o->map_bytes, out, err);
}

static int
open_log(struct lt_hub *h, const struct lt_hub_options *o, struct lt_err *err)
{
	return open_env(h, o, LT_KV_HUB_LOG, "log", o->log, &h->log, &h->own_log, err);
}

static int
open_derived(struct lt_hub *h, const struct lt_hub_options *o, struct lt_err *err)
{
	return open_env(
	    h, o, LT_KV_HUB_DERIVED, "derived", o->derived, &h->derived, &h->own_derived, err);
}

/* Values were erased since the last time. It needs the stores closed, and takes the derived tables away: what they tell has been heard. */
static int
compact_when_owed(struct lt_hub *h, const struct lt_hub_options *o, struct lt_err *err)
{
	/* Unless what they tell could not be written down yet. */
	enum lt_compact_due due = h->own_log && !atomic_load(&h->doubt_owed)
				      ? lt_compact_due(h->log)
				      : LT_COMPACT_NOTHING;
	int rc;

	if (due == LT_COMPACT_NOTHING)
		return LT_OK;
	lt_kv_close(h->log);
	h->log = NULL;
	if (h->own_derived) {
		lt_kv_close(h->derived);
		h->derived = NULL;
	}
	lt_compact_owed(due, o->dir, "log", h->own_derived ? "derived" : NULL, LT_KV_HUB_LOG,
	    &h->identity->federation);
	rc = open_log(h, o, err);
	return rc == LT_OK && h->own_derived ? open_derived(h, o, err) : rc;
}

static void
set_author(struct lt_hub *h, const struct lt_hub_options *o)
{
	const struct lt_identity *id = o->identity;

	lt_author_init(&h->author, id, o->clock);
	h->author.by_hub = true;
	h->author.province = id->unit;
	lt_principal_of_hub(
	    &h->self, &h->self_key, id->principal.b, id->key_no, id->sign.pk, id->line_pk);
}

int
lt_hub_open(const struct lt_hub_options *o, struct lt_hub **out, struct lt_err *err)
{
	struct lt_writer_options wo = { .manual = o->manual,
		.fatal = o->store_failed != NULL ? o->store_failed : store_failed,
		.fatal_ctx = o->store_failed_ctx,
		.committed = batch_committed };
	struct lt_hub *h = calloc(1, sizeof(*h));
	pthread_condattr_t attr;
	int rc;

	if (h == NULL)
		return lt_err_set(err, LT_E_NOMEM, "no memory for the hub");
	h->identity = o->identity;
	h->clock = o->clock;
	h->manual = o->manual;
	pthread_mutex_init(&h->mx, NULL);
	pthread_mutex_init(&h->author_mx, NULL);
	pthread_mutex_init(&h->scratch_mx, NULL);
	pthread_mutex_init(&h->news_mx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->cond, &attr);
	pthread_condattr_destroy(&attr);
	set_author(h, o);
	wo.committed_ctx = h;
	rc = open_log(h, o, err);
	if (rc == LT_OK)
		rc = open_derived(h, o, err);
	if (rc == LT_OK)
		rc = lt_recovery_ask_tables(h);
	if (rc == LT_OK)
		rc = compact_when_owed(h, o, err);
	if (rc == LT_OK)
		rc = read_position(h);
	h->must_see = h->log_position;
	if (rc == LT_OK)
		rc = lt_hub_reload(h, err);
	/* A log that cannot be opened is no reason to empty them, nor are there any then. */
	if (rc == LT_E_CORRUPT && h->derived != NULL && !atomic_load(&h->doubt_owed)) {
		lt_warn("the derived tables are damaged: they are built anew");
		rc = lt_projector_clear(h);
		if (rc == LT_OK)
			rc = lt_hub_reload(h, err);
	}
	if (rc == LT_OK)
		rc = lt_recovery_open(h, &h->recovery);
	/* What came back was judged anew, and the process ended before the tables were. */
	if (rc == LT_OK)
		rc = lt_projector_clear_owed(h, err);
	if (rc == LT_OK)
		rc = lt_verdicts_open(h, &h->verdicts);
	if (rc == LT_OK && !h->manual)
		rc = lt_receipts_open(&h->receipts);
	if (rc == LT_OK)
		rc = lt_checkpoints_open(h, &h->checkpoints);
	if (rc == LT_OK)
		rc = lt_writer_start(h->log, &wo, &h->writer);
	if (rc == LT_OK)
		rc = lt_projector_start(h, err);
	if (rc == LT_OK)
		rc = lt_bars_open(h);
	if (rc != LT_OK) {
		if (err != NULL && err->text[0] == '\0')
			(void)lt_err_set(
			    err, rc, "the hub's store cannot be opened: %s", lt_strerror(rc));
		lt_hub_close(h);
		return rc;
	}
	(void)lt_verdicts_kick(h->verdicts);
	lt_recovery_look(h);
	*out = h;
	return LT_OK;
}

void
lt_hub_close(struct lt_hub *h)
{
	if (h == NULL)
		return;
	lt_projector_stop(h); /* first: it hands the writer verdicts that failed */
	/* After the writer's last commit there are receipts to make, and who makes them may yet ask the writer for verdicts. */
	lt_writer_end(h->writer);
	lt_receipts_close(h->receipts);
	lt_writer_stop(h->writer);
	lt_checkpoints_close(h->checkpoints);
	lt_verdicts_close(h->verdicts);
	lt_recovery_close(h->recovery);
	if (h->own_log)
		lt_kv_close(h->log);
	if (h->own_derived)
		lt_kv_close(h->derived);
	lt_catalogue_unref(h->catalogue);
	lt_registry_unref(h->registry);
	free(h->bar);
	pthread_cond_destroy(&h->cond);
	pthread_mutex_destroy(&h->mx);
	pthread_mutex_destroy(&h->author_mx);
	while (h->nscratch > 0)
		lt_arena_fini(&h->scratch[--h->nscratch]);
	pthread_mutex_destroy(&h->scratch_mx);
	pthread_mutex_destroy(&h->news_mx);
	free(h);
}

bool
lt_hub_step(struct lt_hub *h)
{
	bool wrote = lt_writer_step(h->writer), projected = lt_projector_step(h);

	return lt_verdicts_step(h->verdicts) || wrote || projected;
}

const struct lt_identity *
lt_hub_identity(const struct lt_hub *h)
{
	return h->identity;
}

const struct lt_clock *
lt_hub_clock(const struct lt_hub *h)
{
	return h->clock;
}

struct lt_kv *
lt_hub_log(struct lt_hub *h)
{
	return h->log;
}

struct lt_kv *
lt_hub_derived(struct lt_hub *h)
{
	return h->derived;
}

struct lt_writer *
lt_hub_writer(struct lt_hub *h)
{
	return h->writer;
}

const struct lt_unit *
lt_hub_province(const struct lt_hub *h)
{
	return &h->identity->unit;
}

uint64_t
lt_hub_log_position(struct lt_hub *h)
{
	return h->log_position;
}

uint64_t
lt_hub_projected(struct lt_hub *h)
{
	uint64_t p;

	pthread_mutex_lock(&h->mx);
	p = h->projected;
	pthread_mutex_unlock(&h->mx);
	return p;
}

bool
lt_hub_knows_principals(struct lt_hub *h)
{
	bool knows;

	pthread_mutex_lock(&h->mx);
	/* Of a rebuild while serving, the registry of before is kept. */
	knows = !h->registry_old || lt_registry_count(h->registry) > 1;
	pthread_mutex_unlock(&h->mx);
	return knows;
}

void
lt_hub_on_news(struct lt_hub *h, lt_hub_news_fn *fn, void *ctx)
{
	pthread_mutex_lock(&h->news_mx);
	h->news = fn;
	h->news_ctx = ctx;
	pthread_mutex_unlock(&h->news_mx);
}

void
lt_hub_tell_news(struct lt_hub *h)
{
	lt_recovery_look(h);
	pthread_mutex_lock(&h->news_mx);
	if (h->news != NULL)
		h->news(h->news_ctx);
	pthread_mutex_unlock(&h->news_mx);
}

/* Nobody else moves the tables, and time does not pass here: what does not come by steps does not come in time. */
static int
step_to(struct lt_hub *h, uint64_t position)
{
	while (h->projected < position && lt_projector_step(h))
		;
	if (h->projected >= position)
		return LT_OK;
	return h->projector_rc != LT_OK ? h->projector_rc : LT_E_TIMEOUT;
}

int
lt_hub_wait_projected(struct lt_hub *h, uint64_t position, int64_t timeout_ms)
{
	struct timespec ts;
	int rc = LT_OK;

	if (h->manual)
		return step_to(h, position);
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += timeout_ms / 1000;
	ts.tv_nsec += timeout_ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&h->mx);
	h->waiting++;
	if (h->projected < position)
		pthread_cond_broadcast(&h->cond);
	while (h->projected < position && rc == LT_OK) {
		if (h->projector_rc != LT_OK)
			rc = h->projector_rc;
		else if (h->stopping)
			rc = LT_E_CLOSED;
		else if (pthread_cond_timedwait(&h->cond, &h->mx, &ts) != 0)
			rc = h->projected < position ? LT_E_TIMEOUT : LT_OK;
	}
	h->waiting--;
	pthread_mutex_unlock(&h->mx);
	return rc;
}

/* ---- writing as the hub ---- */

struct hub_write {
	struct lt_hub *h;
	const uint8_t *request_id;
	const struct lt_unit *unit;
	struct lt_write *writes;
	size_t count;
	struct lt_arena *arena;
	struct lt_err *err;
	struct lt_catalogue *cat;
	lt_hub_prepare_fn *prepare;
	void *prepare_ctx;
	struct lt_kv_txn *log; /* while it runs */
	uint64_t position, erased;
};

static int
note_position(void *ctx, const struct lt_made *made)
{
	struct hub_write *w = ctx;

	const struct lt_slice certificate = w->h->identity->certificate;
	size_t i;
	int rc;

	w->position = made->position;
	/* In the very transaction: what the act names is gone when it is durable, and not before. */
	rc = lt_erase_acts(w->log, &made->cs, &w->erased);
	for (i = 0; i < made->cs.nchange; i++)
		if (strcmp(made->cs.change[i].collection, LT_ERASE_COLLECTION) == 0)
			break;
	/* A list of acts proves itself for ever, also when the hub has another key. */
	if (rc == LT_OK && i < made->cs.nchange && certificate.len != 0)
		rc = lt_hub_cert_keep(w->log, certificate);
	return rc;
}

static int
run_write(struct lt_kv_txn *txn, void *ctx)
{
	struct hub_write *w = ctx;
	struct lt_kv_txn *derived;
	int rc;

	w->position = 0;
	w->log = txn;
	/* Shown to be in doubt by a job before this one. */
	if (lt_hub_recovering(w->h))
		return lt_err_set(w->err, LT_E_UNAVAILABLE,
		    "this hub signs nothing before its nodes have given back what it signed; see "
		    "'ltctl recovery'");
	if (w->request_id != NULL) {
		rc = lt_request_recall(txn, w->request_id, &w->writes[0], w->arena, w->err);
		if (rc != LT_E_NOTFOUND)
			return rc;
	}
	if (w->prepare != NULL) {
		rc = w->prepare(txn, w->prepare_ctx);
		if (rc != LT_OK)
			return rc;
	}
	rc = lt_kv_begin_read(w->h->derived, &derived);
	if (rc != LT_OK)
		return rc;
	rc = lt_author_write(txn, derived, &w->h->author, w->cat, w->unit, w->writes, w->count,
	    w->arena, note_position, w, w->err);
	lt_kv_abort(derived);
	if (rc == LT_OK && w->request_id != NULL)
		rc = lt_request_remember(
		    txn, w->request_id, w->unit, &w->writes[0], lt_wall_ms(w->h->clock));
	return rc;
}

/* The next write must see the last one: the record it looks at is the projected one. With author_mx held. */
static int
see_what_was_written(struct lt_hub *h, struct lt_err *err)
{
	if (lt_hub_recovering(h))
		return lt_err_set(err, LT_E_UNAVAILABLE,
		    "this hub was restored from a backup and signs nothing before its nodes have "
		    "given "
		    "back what it signed since; see 'ltctl recovery'");
	if (lt_hub_wait_projected(h, h->must_see, VISIBLE_MS) == LT_OK)
		return LT_OK;
	return lt_err_set(err, LT_E_UNAVAILABLE,
	    "the hub's tables do not show yet what was written before; try again later");
}

int
lt_hub_check(struct lt_hub *h, const struct lt_unit *unit, struct lt_write *writes, size_t count,
    struct lt_arena *arena, struct lt_err *err)
{
	struct hub_write w = {
		.h = h, .unit = unit, .writes = writes, .count = count, .arena = arena, .err = err
	};
	int rc;

	pthread_mutex_lock(&h->author_mx);
	rc = see_what_was_written(h, err);
	if (rc == LT_OK) {
		w.cat = lt_hub_catalogue(h);
		rc = lt_writer_try(h->writer, run_write, &w);
		lt_catalogue_unref(w.cat);
	}
	pthread_mutex_unlock(&h->author_mx);
	return rc;
}

/* Written when the position is set: durable then, also with LT_E_TIMEOUT. */
static int
write_and_show(struct hub_write *w)
{
	struct lt_hub *h = w->h;
	int rc;

	pthread_mutex_lock(&h->author_mx);
	rc = see_what_was_written(h, w->err);
	if (rc != LT_OK) {
		pthread_mutex_unlock(&h->author_mx);
		return rc;
	}
	w->cat = lt_hub_catalogue(h);
	rc = lt_writer_run(h->writer, run_write, w);
	if (rc != LT_OK)
		w->position = 0;
	if (rc == LT_OK && w->position != 0) {
		h->must_see = w->position;
		rc = lt_hub_wait_projected(h, w->position, VISIBLE_MS);
	}
	lt_catalogue_unref(w->cat);
	pthread_mutex_unlock(&h->author_mx);
	return rc;
}

int
lt_hub_write_once(struct lt_hub *h, const uint8_t *request_id, const struct lt_unit *unit,
    struct lt_write *writes, size_t count, struct lt_arena *arena, struct lt_err *err)
{
	struct hub_write w = { .h = h,
		.request_id = request_id,
		.unit = unit,
		.writes = writes,
		.count = count,
		.arena = arena,
		.err = err };

	return write_and_show(&w);
}

int
lt_hub_write_prepared(struct lt_hub *h, const struct lt_unit *unit, struct lt_write *writes,
    size_t count, struct lt_arena *arena, lt_hub_prepare_fn *prepare, void *ctx, uint64_t *position,
    struct lt_err *err)
{
	struct hub_write w = { .h = h,
		.unit = unit,
		.writes = writes,
		.count = count,
		.arena = arena,
		.prepare = prepare,
		.prepare_ctx = ctx,
		.err = err };
	int rc = write_and_show(&w);

	*position = w.position;
	return rc;
}

int
lt_hub_write(struct lt_hub *h, const struct lt_unit *unit, struct lt_write *writes, size_t count,
    struct lt_arena *arena, struct lt_err *err)
{
	return lt_hub_write_once(h, NULL, unit, writes, count, arena, err);
}
