#include "node/checkpoint.h"
#include "node/node_impl.h"
#include "node/receipts.h"
#include "node/salvage_impl.h"
#include "proto/base/failpoint.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/store/compact.h"
#include "proto/store/admit.h"
#include "proto/store/hub_cert.h"
#include "proto/store/catalogue_store.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HUB_TIME_KEEP_MS 600000
#define PARSE_ARENA LT_NODE_ARENA

/* A commit that failed for another reason than a full disk: what is on disk is unknown until it is read
 * again. Never retried on the same descriptor; the supervisor starts us anew. */
static void
store_failed(void *ctx, int rc)
{
	(void)ctx;
	lt_error("the store could not commit (%s): stopping; check the disk, then start again",
	    lt_strerror(rc));
	_exit(1);
}

static void
batch_committed(void *ctx, size_t njobs)
{
	struct lt_node *n = ctx;
	struct lt_err err = { "" };

	(void)njobs;
	n->revoking = false;
	if (n->stale) {
		n->stale = false;
		n->rebuilding = true; /* the first step finds out whether there is anything to do */
		if (lt_node_reload(n, &err) != LT_OK)
			lt_error("catalogue and registry could not be read again: %s", err.text);
	}
	lt_node_rebuild_on(n);
	lt_node_mend_on(n);
}

/* ---- snapshots ---- */

static int
load_hub(struct lt_node *n, struct lt_kv_txn *txn, struct lt_err *err)
{
	struct lt_arena arena;
	Ltpb__CertificateBody *body;
	struct lt_slice cert;
	int rc = lt_local_get(txn, "hub_certificate", &cert);

	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	if (rc != LT_OK)
		return lt_err_set(err, rc, "the hub's certificate in the store cannot be read: %s",
		    lt_strerror(rc));
	lt_arena_init(&arena, PARSE_ARENA);
	rc = lt_certificate_verify(
	    cert, n->identity->root_key, &n->identity->federation, &arena, &body, err);
	if (rc == LT_OK) {
		pthread_mutex_lock(&n->mx);
		lt_principal_of_hub(&n->hub, &n->hub_key, body->principal.data, body->key_no,
		    body->sign_key.data, body->line_key.data);
		n->hub_known = true;
		pthread_mutex_unlock(&n->mx);
	}
	lt_arena_fini(&arena);
	return rc;
}

static int
load_province(struct lt_node *n, struct lt_kv_txn *txn, struct lt_err *err)
{
	struct lt_slice s;
	struct lt_unit u;
	int rc = lt_local_get(txn, "province", &s);

	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	if (rc == LT_OK && lt_unit_set(&u, s) != LT_OK)
		rc = LT_E_CORRUPT;
	if (rc != LT_OK)
		return lt_err_set(err, rc, "the province's code in the store cannot be read: %s",
		    lt_strerror(rc));
	pthread_mutex_lock(&n->mx);
	n->province = u;
	pthread_mutex_unlock(&n->mx);
	return LT_OK;
}

static int
reload(struct lt_node *n, struct lt_err *err)
{
	struct lt_catalogue *cat = NULL, *old_cat;
	struct lt_registry *reg = NULL, *old_reg;
	struct lt_kv_txn *txn;
	uint64_t version;
	int rc = lt_kv_begin_read(n->kv, &txn);

	if (rc != LT_OK)
		return lt_err_set(err, rc, "cannot read the store: %s", lt_strerror(rc));
	rc = load_hub(n, txn, err);
	if (rc == LT_OK)
		rc = load_province(n, txn, err);
	if (rc == LT_OK)
		rc = lt_registry_load(
		    txn, n->hub_known ? &n->hub : NULL, n->hub_known ? 1 : 0, &reg, err);
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
	pthread_mutex_lock(&n->mx);
	old_cat = n->catalogue;
	old_reg = n->registry;
	n->catalogue = cat;
	n->registry = reg;
	pthread_mutex_unlock(&n->mx);
	lt_catalogue_unref(old_cat);
	lt_registry_unref(old_reg);
	return LT_OK;
}

int
lt_node_reload(struct lt_node *n, struct lt_err *err)
{
	int rc;

	pthread_mutex_lock(&n->reload_mx);
	rc = reload(n, err);
	pthread_mutex_unlock(&n->reload_mx);
	return rc;
}

struct lt_catalogue *
lt_node_catalogue(struct lt_node *n)
{
	struct lt_catalogue *c;

	pthread_mutex_lock(&n->mx);
	c = lt_catalogue_ref(n->catalogue);
	pthread_mutex_unlock(&n->mx);
	return c;
}

struct lt_registry *
lt_node_registry(struct lt_node *n)
{
	struct lt_registry *r;

	pthread_mutex_lock(&n->mx);
	r = lt_registry_ref(n->registry);
	pthread_mutex_unlock(&n->mx);
	return r;
}

void
lt_node_province(struct lt_node *n, struct lt_unit *out)
{
	pthread_mutex_lock(&n->mx);
	*out = n->province;
	pthread_mutex_unlock(&n->mx);
}

void
lt_node_unit_name(struct lt_node *n, char *out, size_t cap)
{
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	const char *name;

	(void)snprintf(out, cap, "%s", n->identity->unit.s);
	if (lt_kv_begin_read(n->kv, &txn) != LT_OK)
		return;
	lt_arena_init(&arena, PARSE_ARENA);
	name = lt_record_unit_name(txn, n->identity->unit.s, &arena);
	if (name[0] != '\0')
		(void)snprintf(out, cap, "%s", name);
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
}

/* ---- life ---- */

/* It cannot be opened, and err says why. */
static int
open_anew(struct lt_node *n, const struct lt_node_options *o, struct lt_err *err)
{
	struct lt_err why = { "" };
	int rc;

	lt_error("%s", err->text);
	rc = lt_node_salvage(o, &why);
	if (rc == LT_OK)
		return lt_tables_open(o->dir, "store", LT_KV_NODE, &n->identity->federation,
		    o->map_bytes, &n->kv, err);
	/* Told to stop, no room, no memory, no time: not for good, and the next start tries again. */
	if (rc != LT_E_CORRUPT && rc != LT_E_VERSION && rc != LT_E_NOTFOUND)
		return lt_err_set(err, rc, "the damaged store is not made anew now: %s", why.text);
	return lt_err_set(err, LT_E_CORRUPT,
	    "the damaged store cannot be made anew either: %s; nothing was changed in it: restore "
	    "a backup, or set the machine up anew (không thể tự dựng lại kho dữ liệu hỏng: hãy "
	    "phục "
	    "hồi từ bản sao lưu hoặc cài lại máy)",
	    why.text);
}

static int
open_store(struct lt_node *n, const struct lt_node_options *o, struct lt_err *err)
{
	enum lt_compact_due due;
	int rc;

	if (o->kv != NULL) {
		n->kv = o->kv;
		return LT_OK;
	}
	n->own_kv = true;
	rc = lt_tables_open(
	    o->dir, "store", LT_KV_NODE, &n->identity->federation, o->map_bytes, &n->kv, err);
	if (rc == LT_E_CORRUPT && o->salvage)
		rc = open_anew(n, o, err);
	if (rc == LT_OK && o->salvage)
		lt_node_salvage_clear(o);
	due = rc == LT_OK ? lt_compact_due(n->kv) : LT_COMPACT_NOTHING;
	if (due == LT_COMPACT_NOTHING)
		return rc;
	lt_kv_close(n->kv);
	n->kv = NULL;
	lt_compact_owed(due, o->dir, "store", NULL, LT_KV_NODE, &n->identity->federation);
	return lt_tables_open(
	    o->dir, "store", LT_KV_NODE, &n->identity->federation, o->map_bytes, &n->kv, err);
}

int
lt_node_open(const struct lt_node_options *o, struct lt_node **out, struct lt_err *err)
{
	struct lt_writer_options wo = { .manual = o->manual,
		.fatal = o->store_failed != NULL ? o->store_failed : store_failed,
		.fatal_ctx = o->store_failed_ctx,
		.committed = batch_committed };
	struct lt_node *n = calloc(1, sizeof(*n));
	int rc;

	if (n == NULL)
		return lt_err_set(err, LT_E_NOMEM, "no memory for the node");
	n->identity = o->identity;
	n->clock = o->clock;
	pthread_mutex_init(&n->mx, NULL);
	pthread_mutex_init(&n->reload_mx, NULL);
	pthread_mutex_init(&n->moved_mx, NULL);
	lt_author_init(&n->author, o->identity, o->clock);
	n->rebuild_records = o->rebuild_records;
	n->rows_unknown = n->rebuilding = true;
	rc = open_store(n, o, err);
	if (rc == LT_OK) {
		lt_node_salvage_begin(n);
		rc = lt_node_reload(n, err);
	}
	wo.committed_ctx = n;
	if (rc == LT_OK)
		rc = lt_watch_open(n, &n->watch);
	if (rc == LT_OK)
		rc = lt_writer_start(n->kv, &wo, &n->writer);
	if (rc != LT_OK) {
		if (err != NULL && err->text[0] == '\0')
			(void)lt_err_set(
			    err, rc, "the node's store cannot be opened: %s", lt_strerror(rc));
		lt_node_close(n);
		return rc;
	}
	n->aside = true; /* likewise */
	n->mending = true; /* the first step finds out whether there is anything to do */
	/* Its commit brings the first step of mending: from here on the writer's thread has both. */
	lt_node_rebuild_on(n);
	*out = n;
	return LT_OK;
}

void
lt_node_close(struct lt_node *n)
{
	if (n == NULL)
		return;
	lt_writer_stop(n->writer);
	lt_watch_close(n->watch);
	if (n->own_kv)
		lt_kv_close(n->kv);
	while (n->nfollowed > 0)
		lt_identity_free(n->followed[--n->nfollowed]);
	lt_catalogue_unref(n->catalogue);
	lt_registry_unref(n->registry);
	pthread_mutex_destroy(&n->mx);
	pthread_mutex_destroy(&n->reload_mx);
	pthread_mutex_destroy(&n->moved_mx);
	free(n);
}

bool
lt_node_step(struct lt_node *n)
{
	return lt_writer_step(n->writer);
}

const struct lt_identity *
lt_node_identity(const struct lt_node *n)
{
	return n->identity;
}

const struct lt_clock *
lt_node_clock(const struct lt_node *n)
{
	return n->clock;
}

struct follow_job {
	struct lt_node *n;
	struct lt_identity *next;
};

/* On the writer's thread, where everything is signed. */
static int
run_follow(struct lt_kv_txn *txn, void *ctx)
{
	struct follow_job *j = ctx;
	struct lt_node *n = j->n;

	(void)txn;
	if (j->next == NULL)
		return LT_OK; /* the job ran again */
	if (n->nfollowed == LT_KEYS_FOLLOWED_MAX)
		return LT_E_UNAVAILABLE;
	n->followed[n->nfollowed++] = j->next;
	n->author.key = &j->next->sign;
	n->author.key_no = j->next->key_no;
	n->identity = j->next;
	j->next = NULL;
	return LT_OK;
}

int
lt_node_follow(struct lt_node *n, struct lt_identity *next)
{
	struct follow_job j = { n, next };
	int rc = lt_writer_run(n->writer, run_follow, &j);

	lt_identity_free(j.next);
	return rc;
}

struct lt_kv *
lt_node_kv(struct lt_node *n)
{
	return n->kv;
}

void
lt_node_on_moved(struct lt_node *n, lt_node_moved_fn *fn, void *ctx)
{
	pthread_mutex_lock(&n->moved_mx);
	n->moved = fn;
	n->moved_ctx = ctx;
	pthread_mutex_unlock(&n->moved_mx);
}

/* ---- writing ---- */

#define MOVED_MAX 8

struct write_job {
	struct lt_node *n;
	struct lt_kv_txn *txn;
	struct lt_catalogue *cat;
	struct lt_write *writes;
	size_t count;
	const uint8_t *request_id;
	bool again;
	struct lt_arena *arena;
	struct lt_err *err;
	size_t nmoved;
	struct lt_feed_id moved[MOVED_MAX]; /* a lane each; the last head counts */
	uint64_t head[MOVED_MAX];
};

static int
after_append(void *ctx, const struct lt_made *made)
{
	struct write_job *j = ctx;
	size_t i;

	for (i = 0; i < j->nmoved; i++)
		if (lt_feed_id_cmp(&j->moved[i], &made->cs.feed) == 0)
			break;
	if (i < MOVED_MAX) {
		j->moved[i] = made->cs.feed;
		j->head[i] = made->cs.seq;
		if (i == j->nmoved)
			j->nmoved++;
	}
	return lt_node_project_own(j->n, j->txn, j->cat, &made->cs, made->position);
}

static int
run_write(struct lt_kv_txn *txn, void *ctx)
{
	struct write_job *j = ctx;
	struct lt_author author = j->n->author;
	int rc;

	/* That of now: another may have come since the write was queued, and rows are to be of one only. */
	lt_catalogue_unref(j->cat);
	j->cat = lt_node_catalogue(j->n);
	lt_node_province(j->n, &author.province);
	j->txn = txn;
	j->nmoved = 0;
	j->again = false;
	if (j->request_id != NULL) {
		rc = lt_request_recall(txn, j->request_id, &j->writes[0], j->arena, j->err);
		j->again = rc == LT_OK;
		if (rc != LT_E_NOTFOUND)
			return rc;
	}
	/* Another branch went aside since these were gathered, or in this very transaction: nobody has ruled on that one yet. */
	if (j->writes[0].reissue && (j->n->aside_came || atomic_load(&j->n->aside)))
		return LT_E_UNAVAILABLE;
	rc = lt_node_rows_for(j->n, txn, j->cat, j->writes, j->count);
	if (rc != LT_OK)
		return rc;
	rc = lt_author_write(txn, txn, &author, j->cat, &j->n->identity->unit, j->writes, j->count,
	    j->arena, after_append, j, j->err);
	if (rc == LT_OK)
		rc = lt_node_drop_aside(j->n, txn, j->cat, j->writes, j->count);
	if (rc == LT_OK && j->request_id != NULL && !LT_SIM_BUG(REQUEST_APART))
		rc = lt_request_remember(txn, j->request_id, &j->n->identity->unit, &j->writes[0],
		    lt_wall_ms(j->n->clock));
	return rc;
}

/* A planted bug: see proto/base/simbug.h. */
static int
remember_apart(struct lt_kv_txn *txn, void *ctx)
{
	struct write_job *j = ctx;

	return lt_request_remember(
	    txn, j->request_id, &j->n->identity->unit, &j->writes[0], lt_wall_ms(j->n->clock));
}

/* Under the lock all the time: who takes the function away may free its context as soon as that returns. */
static void
tell_moved(struct lt_node *n, const struct write_job *j)
{
	size_t i;

	pthread_mutex_lock(&n->moved_mx);
	for (i = 0; n->moved != NULL && i < j->nmoved; i++)
		n->moved(n->moved_ctx, &j->moved[i], j->head[i]);
	pthread_mutex_unlock(&n->moved_mx);
}

static int
need_catalogue(struct write_job *j)
{
	assert(j->count > 0);
	j->cat = lt_node_catalogue(j->n);
	if (lt_catalogue_version(j->cat) != 0)
		return LT_OK;
	return lt_err_set(j->err, LT_E_UNAVAILABLE,
	    "the catalogue has not come down from the hub yet; connect once, then write");
}

int
lt_node_check(struct lt_node *n, struct lt_write *writes, size_t count, struct lt_arena *arena,
    struct lt_err *err)
{
	struct write_job j = {
		.n = n, .writes = writes, .count = count, .arena = arena, .err = err
	};
	int rc = need_catalogue(&j);

	if (rc == LT_OK)
		rc = lt_writer_try(n->writer, run_write, &j);
	lt_catalogue_unref(j.cat);
	return rc;
}

int
lt_node_write(struct lt_node *n, struct lt_write *writes, size_t count, const uint8_t *request_id,
    bool *again, struct lt_arena *arena, struct lt_err *err)
{
	struct write_job j = { .n = n,
		.writes = writes,
		.count = count,
		.request_id = request_id,
		.arena = arena,
		.err = err };
	int rc = need_catalogue(&j);

	if (rc != LT_OK)
		goto out;
	rc = lt_writer_run(n->writer, run_write, &j);
	if (LT_SIM_BUG(REQUEST_APART) && rc == LT_OK && request_id != NULL && !j.again)
		rc = lt_writer_run(n->writer, remember_apart, &j);
	LT_FAILPOINT("node.before_saved");
	if (rc == LT_OK)
		tell_moved(n, &j);
	if (again != NULL)
		*again = j.again;
out:
	lt_catalogue_unref(j.cat);
	return rc;
}

/* ---- what comes down ---- */

struct apply_job {
	struct lt_node *n;
	uint8_t *bytes;
	size_t len;
	struct lt_arena arena;
	struct lt_changeset cs;
	bool alarm; /* it is not what the hub has told others */
	bool forked; /* signed by the hub, and does not fit */
	uint64_t number; /* proven to be signed twice by that; 0: not now */
	struct lt_err err;
	bool back; /* it was here before */
	lt_applied_fn *done;
	void *ctx;
};

/* That of the last commit; where a revocation has come since, that of this moment. */
static int
registry_now(struct lt_node *n, struct lt_kv_txn *txn, struct lt_registry **out, struct lt_err *err)
{
	struct lt_principal hub;
	struct lt_principal_key key;
	bool known;

	if (!n->revoking) {
		*out = lt_node_registry(n);
		return LT_OK;
	}
	pthread_mutex_lock(&n->mx);
	hub = n->hub;
	key = n->hub_key;
	known = n->hub_known;
	pthread_mutex_unlock(&n->mx);
	hub.key = &key;
	return lt_registry_load(txn, &hub, known ? 1 : 0, out, err);
}

/* The hub gives us what nobody may: that goes no further than here, and what comes after it goes on. */
static void
say_revoked(const struct lt_changeset *cs, const struct lt_err *err)
{
	lt_error("from the hub, and not taken: %s (unit %s); report this to the province",
	    err->text, cs->unit.s);
}

int
lt_node_take_kept(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    const struct lt_catalogue *cat, const struct lt_registry *reg, struct lt_arena *arena,
    struct lt_err *err)
{
	int rc = lt_admit_signed(cs, &n->identity->federation, reg, false, false, err);

	return rc == LT_OK ? lt_node_apply_in(n, txn, cs, cat, reg, arena, err) : rc;
}

static int
run_apply(struct lt_kv_txn *txn, void *ctx)
{
	struct apply_job *j = ctx;
	struct lt_id author = lt_feed_author(&j->cs.feed);
	struct lt_registry *reg;
	struct lt_catalogue *cat;
	bool admitted;
	int rc = registry_now(j->n, txn, &reg, &j->err);

	if (rc != LT_OK)
		return rc;
	cat = lt_node_catalogue(j->n);
	rc = LT_SIM_BUG(UNSIGNED_AT_NODE)
		 ? LT_OK
		 : lt_admit_signed(&j->cs, &j->n->identity->federation, reg, false, false, &j->err);
	j->alarm = false;
	admitted = rc == LT_OK;
	if (rc == LT_OK)
		rc = lt_node_apply_in(j->n, txn, &j->cs, cat, reg, &j->arena, &j->err);
	j->forked = rc == LT_E_FORK && admitted && strcmp(j->cs.unit.s, "_") == 0 &&
		    lt_registry_is_hub(reg, &author);
	if (rc == LT_OK && strcmp(j->cs.unit.s, "_") == 0)
		rc = lt_node_checkpoints_met(j->n, txn, &j->cs, &j->alarm);
	if (rc == LT_OK && j->back && lt_id_eq(&author, &j->n->author.id))
		rc = lt_node_show_own(j->n, txn, cat, &j->cs);
	/* What this machine signed and a cut-off bars now is kept. */
	if (rc == LT_E_REVOKED && !(j->back && lt_id_eq(&author, &j->n->author.id))) {
		say_revoked(&j->cs, &j->err);
		rc = LT_OK;
	}
	lt_registry_unref(reg);
	lt_catalogue_unref(cat);
	return rc;
}

static void
apply_over(struct apply_job *j)
{
	lt_arena_fini(&j->arena);
	free(j->bytes);
	free(j);
}

static int
run_forked(struct lt_kv_txn *txn, void *ctx)
{
	struct apply_job *j = ctx;

	return lt_node_forked(j->n, txn, &j->cs, &j->number);
}

static void
forked_done(void *ctx, int rc)
{
	struct apply_job *j = ctx;

	if (rc == LT_OK && j->number != 0)
		lt_node_equivocation(j->n, &j->cs.feed, j->number);
	apply_over(j);
}

static void
apply_done(void *ctx, int rc)
{
	struct apply_job *j = ctx;

	if (j->n->aside_came) {
		j->n->aside_came = false;
		atomic_store(&j->n->aside, true);
	}
	if (rc == LT_OK && j->alarm)
		lt_node_equivocation(j->n, &j->cs.feed, j->cs.seq);
	j->done(j->ctx, rc, j->err.text);
	/* Its transaction was given up: the proof is written in another one. Where there is no room for that, it comes again on the next line. */
	if (rc != LT_E_FORK || !j->forked ||
	    lt_writer_submit(j->n->writer, run_forked, forked_done, j) != LT_OK)
		apply_over(j);
}

static int
submit_apply(
    struct lt_node *n, struct lt_slice change_set, bool back, lt_applied_fn *done, void *ctx)
{
	struct apply_job *j;
	int rc;

	if (change_set.len == 0 || change_set.len > LT_MESSAGE_MAX)
		return LT_E_TOOBIG;
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return LT_E_NOMEM;
	j->n = n;
	j->back = back;
	j->done = done;
	j->ctx = ctx;
	lt_arena_init(&j->arena, PARSE_ARENA);
	j->bytes = malloc(change_set.len);
	if (j->bytes == NULL) {
		rc = LT_E_NOMEM;
		goto fail;
	}
	memcpy(j->bytes, change_set.data, change_set.len);
	j->len = change_set.len;
	rc = lt_changeset_parse(lt_slice(j->bytes, j->len), &j->arena, &j->cs, &j->err);
	if (rc == LT_OK)
		rc = lt_writer_submit(n->writer, run_apply, apply_done, j);
	if (rc == LT_OK)
		return LT_OK;
fail:
	lt_arena_fini(&j->arena);
	free(j->bytes);
	free(j);
	return rc;
}

int
lt_node_apply(struct lt_node *n, struct lt_slice change_set, lt_applied_fn *done, void *ctx)
{
	return submit_apply(n, change_set, false, done, ctx);
}

int
lt_node_take_back(struct lt_node *n, struct lt_slice change_set, lt_applied_fn *done, void *ctx)
{
	return submit_apply(n, change_set, true, done, ctx);
}

struct meet_job {
	struct lt_slice certificate;
	const char *province;
	uint64_t hub_stamp;
	struct lt_slice receipt_key;
	struct lt_slice receipt;
};

static int
run_meet(struct lt_kv_txn *txn, void *ctx)
{
	struct meet_job *j = ctx;
	struct lt_slice before;
	int rc = lt_local_get(txn, "hub_certificate", &before);

	/* With the key of before acts were signed that are here. One that cannot be read proves nothing. */
	if (rc == LT_OK && !lt_slice_eq(before, j->certificate))
		rc = lt_hub_cert_keep(txn, before);
	if (rc != LT_OK && rc != LT_E_NOTFOUND && rc != LT_E_CORRUPT && rc != LT_E_INVALID)
		return rc;
	rc = lt_local_put(txn, "hub_certificate", j->certificate);
	return rc != LT_OK ? rc : lt_local_put(txn, "province", lt_slice_str(j->province));
}

int
lt_node_meet_hub(
    struct lt_node *n, struct lt_slice certificate, const char *province, struct lt_err *err)
{
	struct meet_job j = { .certificate = certificate, .province = province };
	Ltpb__CertificateBody *body;
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	struct lt_slice have;
	struct lt_unit u;
	bool known = false;
	int rc;

	lt_arena_init(&arena, PARSE_ARENA);
	rc = lt_certificate_verify(
	    certificate, n->identity->root_key, &n->identity->federation, &arena, &body, err);
	if (rc == LT_OK && body->role != LTPB__ROLE__ROLE_HUB)
		rc = lt_err_set(err, LT_E_DENIED, "the certificate shown is not that of a hub");
	if (rc == LT_OK &&
	    (lt_unit_set(&u, lt_slice_str(province)) != LT_OK || !lt_unit_is_province(&u)))
		rc = lt_err_set(err, LT_E_INVALID, "the hub names no province");
	lt_arena_fini(&arena);
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_begin_read(n->kv, &txn);
	if (rc != LT_OK)
		return rc;
	known =
	    lt_local_get(txn, "hub_certificate", &have) == LT_OK && lt_slice_eq(have, certificate);
	lt_kv_abort(txn);
	pthread_mutex_lock(&n->mx);
	known = known && n->hub_known;
	pthread_mutex_unlock(&n->mx);
	if (known)
		return LT_OK;
	rc = lt_writer_run(n->writer, run_meet, &j);
	return rc == LT_OK ? lt_node_reload(n, err) : rc;
}

static int
run_hub_time(struct lt_kv_txn *txn, void *ctx)
{
	const struct meet_job *j = ctx;

	return lt_author_saw(txn, j->hub_stamp, 0);
}

static bool
is_apart(int64_t ms, int64_t most)
{
	return ms > most || ms < -most;
}

/* A clock that goes wrong jumps, and one that is set right jumps back: then both agree again. */
static void
note_jump(struct lt_node *n, int64_t hub_time_ms)
{
	int64_t now = hub_time_ms - lt_mono_ms(n->clock),
		before = atomic_exchange(&n->hub_past_mono_ms, now);

	if (before != 0 && is_apart(now - before, LT_CLOCK_JUMP_MS)) {
		lt_warn("the hub's clock jumped by %lld s", (long long)((now - before) / 1000));
		n->hub_jumped = true;
	}
	if (!is_apart(n->clock_offset_ms, LT_CLOCK_WRONG_MS))
		n->hub_jumped = false;
}

int
lt_node_saw_hub_time(struct lt_node *n, int64_t hub_time_ms)
{
	struct meet_job j = { 0 };

	if (hub_time_ms <= 0 || hub_time_ms >= INT64_C(1) << 47)
		return LT_E_INVALID;
	n->clock_offset_ms = lt_wall_ms(n->clock) - hub_time_ms;
	note_jump(n, hub_time_ms);
	/* A floor for the next start with a dead clock; not worth a write to an old disk every few seconds. But while something stands aside
	 * it tells what was signed by a clock that is ahead from what was signed just now. */
	if (hub_time_ms - n->hub_time_kept_ms < HUB_TIME_KEEP_MS && !atomic_load(&n->aside))
		return LT_OK;
	n->hub_time_kept_ms = hub_time_ms;
	j.hub_stamp = LT_STAMP(hub_time_ms, 0);
	return lt_writer_run(n->writer, run_hub_time, &j);
}

int64_t
lt_node_clock_offset(struct lt_node *n)
{
	return n->clock_offset_ms;
}

void
lt_node_hub_outvoted(struct lt_node *n, bool is)
{
	n->hub_outvoted = is;
}

enum lt_clock_state
lt_node_clock_state(struct lt_node *n)
{
	if (!is_apart(n->clock_offset_ms, LT_CLOCK_WRONG_MS))
		return LT_CLOCK_AGREES;
	return n->hub_jumped || n->hub_outvoted ? LT_CLOCK_HUB_WRONG : LT_CLOCK_WRONG;
}

struct epoch_job {
	struct lt_node *n;
	const struct lt_feed_id *old;
};

static int
run_new_epoch(struct lt_kv_txn *txn, void *ctx)
{
	const struct epoch_job *j = ctx;
	struct lt_feed_id now;
	enum lt_lane lane = lt_feed_lane(j->old);
	int rc = lt_author_feed(txn, &j->n->author, &j->n->identity->unit, lane, &now);

	/* Another login may have begun a new one already. */
	if (rc != LT_OK || lt_feed_id_cmp(&now, j->old) != 0)
		return rc;
	return lt_author_end_epoch(txn, &j->n->identity->unit, lane);
}

int
lt_node_new_epoch(struct lt_node *n, const struct lt_feed_id *old)
{
	struct epoch_job j = { n, old };

	return lt_writer_run(n->writer, run_new_epoch, &j);
}

/* ---- receipts ---- */

static int
run_receipt(struct lt_kv_txn *txn, void *ctx)
{
	const struct meet_job *j = ctx;

	int rc = lt_kv_put(txn, LT_T_RECEIPT, j->receipt_key, j->receipt);

	return rc == LT_OK ? lt_receipts_thin(txn, j->receipt_key) : rc;
}

/* It must speak of what stands here: a receipt for another branch is none for ours. */
static int
fits_log(struct lt_node *n, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const Ltpb__ReceiptBody *body, struct lt_err *err)
{
	struct lt_kv_txn *txn;
	struct lt_hash have;
	int rc = lt_kv_begin_read(n->kv, &txn);

	if (rc != LT_OK)
		return rc;
	rc = lt_feed_log_hash(txn, unit, feed, body->seq, &have);
	lt_kv_abort(txn);
	if (rc == LT_E_NOTFOUND || body->seq == 0)
		return lt_err_set(err, LT_E_INVALID,
		    "a receipt of the hub names change-set %llu, which is not here",
		    (unsigned long long)body->seq);
	if (rc == LT_OK &&
	    (body->hash.len != LT_HASH_LEN || memcmp(have.b, body->hash.data, LT_HASH_LEN) != 0))
		return lt_err_set(err, LT_E_FORK,
		    "the hub holds another change-set %llu of this feed than the one here",
		    (unsigned long long)body->seq);
	return rc;
}

int
lt_node_receipt(struct lt_node *n, struct lt_slice receipt, struct lt_feed_id *feed, uint64_t *seq,
    struct lt_err *err)
{
	struct meet_job j = { .receipt = receipt };
	Ltpb__ReceiptBody *body;
	struct lt_arena arena;
	struct lt_unit unit;
	struct lt_buf key;
	uint8_t hub_key[32];
	bool known;
	int rc;

	*seq = 0;
	pthread_mutex_lock(&n->mx);
	known = n->hub_known;
	memcpy(hub_key, n->hub_key.sign_key, sizeof(hub_key));
	pthread_mutex_unlock(&n->mx);
	if (!known)
		return lt_err_set(err, LT_E_UNKNOWN, "a receipt came before the hub's certificate");
	lt_arena_init(&arena, PARSE_ARENA);
	lt_buf_init(&key, LT_KV_KEY_MAX);
	rc = lt_receipt_verify(receipt, hub_key, &n->identity->federation, &arena, &body, err);
	if (rc == LT_OK && (body->feed.len != LT_FEED_LEN ||
			       lt_unit_set(&unit, lt_slice_str(body->unit)) != LT_OK))
		rc = lt_err_set(err, LT_E_INVALID, "a receipt of the hub is malformed");
	if (rc == LT_OK) {
		memcpy(feed->b, body->feed.data, LT_FEED_LEN);
		rc = fits_log(n, &unit, feed, body, err);
	}
	if (rc == LT_OK) {
		*seq = body->seq;
		lt_key_feed(&key, &unit, feed);
		lt_buf_u64(&key, body->seq + LT_SIM_BUG(RECEIPT_FOR_MORE));
		j.receipt_key = lt_buf_slice(&key);
		LT_FAILPOINT("node.before_receipt_stored");
		rc = key.err != LT_OK ? key.err : lt_writer_run(n->writer, run_receipt, &j);
	}
	lt_buf_fini(&key);
	lt_arena_fini(&arena);
	return rc;
}

int
lt_node_receipted(
    struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed, uint64_t *seq)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_buf key;
	size_t plen;
	int rc;

	*seq = 0;
	lt_buf_init(&key, LT_KV_KEY_MAX);
	lt_key_feed(&key, unit, feed);
	plen = key.len;
	lt_buf_u64(&key, UINT64_MAX);
	rc = key.err != LT_OK ? key.err : lt_kv_cursor_open(txn, LT_T_RECEIPT, &c);
	if (rc == LT_OK) {
		rc = lt_kv_seek_before(c, lt_buf_slice(&key), &k, &v);
		if (rc == LT_OK && k.len == plen + 8 && memcmp(k.data, key.data, plen) == 0)
			*seq = lt_load_u64(k.data + plen);
		lt_kv_cursor_close(c);
	}
	lt_buf_fini(&key);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_node_tied(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head, uint64_t *seq)
{
	int rc = lt_node_receipted(txn, unit, feed, seq);

	if (*seq < head->judged)
		*seq = head->judged;
	if (*seq > head->seq)
		*seq = head->seq;
	return rc;
}
