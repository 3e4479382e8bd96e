/* hub/project.c - the projector: from the feed log to the derived tables, with a cursor of its own.
 *
 * At once when idle; in batches of up to about a second when there is much to do, with pauses of at most PAUSE_MS_MAX for the log to gather
 * while what comes in is little but does not end. The cursor lies in the same
 * transaction as the rows (FORMAT.md 9.3, table cursor). A cursor that does not fit the log means: build anew.
 *
 * Two threads. The first reads the log and works batches out, from a snapshot of the tables. A batch that is large, with more behind it, is
 * ahead: the second writes it while the first works out the next one, from a snapshot of before it and from what it will leave. Every
 * other batch the first writes itself, after the one that is ahead: a small one, the last one, one with acts, all while stopping, after
 * a failure, and all of a manual hub. No more than one is ahead, so no more than two are in memory; what was worked out behind one that
 * could not be written is thrown away. The memory of one that is over is the next one's, as long as there is more to do. */
#include "hub/hub_impl.h"
#include "hub/recovery.h"
#include "proto/base/log.h"
#include "proto/base/thread.h"
#include "proto/base/simbug.h"
#include "proto/store/author.h"
#include "proto/store/derived.h"
#include "proto/store/erase.h"
#include "proto/store/projection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A full batch of creations (68,000 changes) takes 145 MB, two of them 290 MB, beside LMDB's pages, until there is no more to do. */
#define BATCH_ENTRIES 10000
#define BATCH_BYTES ((size_t)32 * 1024 * 1024)
#define BATCH_MS 1000
/* Below it to wake another thread costs more than it gains. */
#define AHEAD_BYTES ((size_t)256 * 1024)
/* Batches that take in little, each behind the other, cost more than they carry: their pages, their sync. From the fourth on the
 * projector waits three times as long as the last one took. Who finds it idle, and who waits for it, does not wait for that. */
#define PAUSE_AFTER 3
#define PAUSE_TIMES 3
#define PAUSE_MS_MAX 50
#define PAUSE_BYTES ((size_t)2 * 1024 * 1024)

#define REBUILT "rebuilt" /* of table cursor: see lt_projector_owe() */

struct cursor {
	uint64_t position;
	struct lt_hash hash; /* running hash of the log at that position */
	uint64_t catalogue_version;
};

static int
write_cursor(struct lt_hub *h, struct lt_kv_txn *txn, const struct cursor *c)
{
	uint8_t v[LT_DERIVED_CURSOR_LEN];

	memcpy(v, lt_kv_incarnation(h->log), 16);
	lt_store_u64(v + 16, c->position);
	memcpy(v + 24, c->hash.b, 32);
	lt_store_u32(v + 56, LT_MERGE_VERSION);
	lt_store_u64(v + 60, c->catalogue_version);
	return lt_kv_put(txn, LT_T_CURSOR, lt_slice_str(LT_DERIVED_CURSOR), lt_slice(v, sizeof(v)));
}

static int
entry_hash(struct lt_kv_txn *log, uint64_t position, struct lt_hash *out)
{
	struct lt_entry e;
	int rc = lt_feed_log_read(log, position, &e);

	if (rc == LT_OK)
		*out = e.running;
	return rc;
}

/* Rows without a cursor are nobody's. */
static int
is_empty(struct lt_kv_txn *derived, bool *empty)
{
	uint64_t records = 0, history = 0;
	int rc = lt_kv_count(derived, LT_T_RECORD, &records);

	if (rc == LT_OK)
		rc = lt_kv_count(derived, LT_T_HISTORY, &history);
	*empty = records == 0 && history == 0;
	return rc;
}

/* *fits false: the derived tables belong to another log, merge or catalogue. */
static int
read_cursor(struct lt_hub *h, struct lt_kv_txn *log, struct lt_kv_txn *derived, struct cursor *c,
    bool *fits)
{
	struct lt_slice v;
	struct lt_hash have;
	uint64_t last;
	int rc = lt_kv_get(derived, LT_T_CURSOR, lt_slice_str(LT_DERIVED_CURSOR), &v);

	memset(c, 0, sizeof(*c));
	*fits = false;
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? is_empty(derived, fits) : rc;
	if (v.len != LT_DERIVED_CURSOR_LEN || memcmp(v.data, lt_kv_incarnation(h->log), 16) != 0 ||
	    lt_load_u32(v.data + 56) != LT_MERGE_VERSION)
		return LT_OK;
	c->position = lt_load_u64(v.data + 16);
	memcpy(c->hash.b, v.data + 24, 32);
	c->catalogue_version = lt_load_u64(v.data + 60);
	rc = lt_feed_log_last(log, &last);
	if (rc != LT_OK || c->position > last || c->position == 0)
		return rc;
	rc = entry_hash(log, c->position, &have);
	*fits = rc == LT_OK && lt_hash_eq(&have, &c->hash);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* ---- a rebuild that is owed ----
 *
 * Change-sets that are in the tables were judged anew, which the cursor does not tell: row `rebuild` of table local, in the log, and the same
 * number in the tables that were emptied since. */

int
lt_projector_owe(struct lt_kv_txn *log)
{
	uint64_t last;
	int rc = lt_feed_log_last(log, &last);

	return rc == LT_OK ? lt_local_put_u64(log, LT_LOCAL_REBUILD, last) : rc;
}

/* *owed: names the last time; 0: there was none. A damaged row has a name of its own. */
static int
look_owed(struct lt_hub *h, uint64_t *owed)
{
	struct lt_kv_txn *log;
	int rc = lt_kv_begin_read(h->log, &log);

	*owed = 0;
	if (rc != LT_OK)
		return rc;
	rc = lt_local_get_u64(log, LT_LOCAL_REBUILD, owed);
	if (rc == LT_E_CORRUPT)
		*owed = UINT64_MAX;
	lt_kv_abort(log);
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

static int
put_rebuilt(struct lt_kv_txn *derived, uint64_t owed)
{
	uint8_t v[8];

	lt_store_u64(v, owed);
	return lt_kv_put(derived, LT_T_CURSOR, lt_slice_str(REBUILT), lt_slice(v, sizeof(v)));
}

/* Of what time the tables are. */
static int
is_rebuilt(struct lt_hub *h, uint64_t owed, bool *is)
{
	struct lt_kv_txn *derived;
	struct lt_slice v;
	int rc = lt_kv_begin_read(h->derived, &derived);

	*is = false;
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_get(derived, LT_T_CURSOR, lt_slice_str(REBUILT), &v);
	if (rc == LT_OK)
		*is = v.len == 8 && lt_load_u64(v.data) == owed;
	if (rc == LT_E_NOTFOUND)
		*is = owed == 0;
	lt_kv_abort(derived);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

int
lt_projector_clear(struct lt_hub *h)
{
	static const enum lt_table tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_HISTORY,
		LT_T_DIGEST, LT_T_CURSOR };
	struct lt_kv_txn *txn;
	uint64_t owed;
	size_t i;
	int rc = look_owed(h, &owed);

	if (rc == LT_OK)
		rc = lt_kv_begin_write(h->derived, &txn);
	if (rc != LT_OK)
		return rc;
	for (i = 0; rc == LT_OK && i < sizeof(tables) / sizeof(tables[0]); i++)
		rc = lt_kv_clear(txn, tables[i]);
	if (rc == LT_OK && owed != 0)
		rc = put_rebuilt(txn, owed);
	if (rc == LT_OK)
		return lt_kv_commit(txn);
	lt_kv_abort(txn);
	return rc;
}

int
lt_projector_clear_owed(struct lt_hub *h, struct lt_err *err)
{
	uint64_t owed;
	bool is = true;
	int rc = look_owed(h, &owed);

	if (rc == LT_OK)
		rc = is_rebuilt(h, owed, &is);
	if (rc != LT_OK || is)
		return rc;
	lt_warn("change-sets were judged anew: the derived tables are built anew");
	if (atomic_load(&h->doubt_owed)) {
		lt_hub_rebuild(h);
		return LT_OK;
	}
	rc = lt_projector_clear(h);
	/* The registry in memory is of tables that are gone, and the log may have revoked since who is in it. */
	if (rc == LT_OK)
		return lt_hub_reload(h, err);
	if (rc != LT_E_NOSPACE)
		return rc;
	/* When there is room; until then answers say that they are being mended. */
	lt_hub_rebuild(h);
	return LT_OK;
}

/* ---- one batch ---- */

void
lt_projector_limit(struct lt_hub *h, const struct lt_projector_limits *l)
{
	pthread_mutex_lock(&h->mx);
	h->projector_limits = *l;
	pthread_mutex_unlock(&h->mx);
}

static struct lt_projector_limits
limits(struct lt_hub *h)
{
	struct lt_projector_limits l;

	pthread_mutex_lock(&h->mx);
	l = h->projector_limits;
	pthread_mutex_unlock(&h->mx);
	if (l.entries == 0)
		l = (struct lt_projector_limits){ BATCH_ENTRIES, BATCH_BYTES, AHEAD_BYTES, 0 };
	return l;
}

struct batch {
	struct lt_hub *h;
	struct lt_kv_txn *log, *derived; /* snapshots, while it is worked out */
	struct lt_projection *proj;
	const struct batch *before; /* the one that is ahead; NULL: none */
	struct lt_projection **spare; /* where the memory of one that is over is, and is left */
	struct lt_catalogue *cat;
	struct lt_registry *reg;
	struct lt_arena arena; /* one entry */
	struct cursor cursor;
	size_t entries, bytes;
	bool acts; /* registry or catalogue records changed: reload before going on */
};

/* A change that no row can take must not stop the province: it stays in the log, and the log line names it. */
static int
add_or_report(struct batch *b, const struct lt_unit *unit, const struct lt_merge_change *mc,
    uint64_t position)
{
	int rc = lt_projection_add(b->proj, unit, mc, position);

	if (rc != LT_E_TOOBIG && rc != LT_E_UNKNOWN && rc != LT_E_INVALID)
		return rc;
	lt_error("change %u of log position %llu (unit %s, %s) is not merged: %s", mc->dot.index,
	    (unsigned long long)position, unit->s, mc->change->collection, lt_strerror(rc));
	return LT_OK;
}

/* A dot that was held: it counts from here on. Read into memory of its own, a verdict may name many. */
static int
add_settled_dot(struct batch *b, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const Ltpb__HeldDot *dot)
{
	struct lt_merge_change mc = { .dot = { *feed, dot->seq, dot->index } };
	struct lt_arena arena;
	struct lt_judgement j;
	struct lt_changeset cs;
	struct lt_entry e;
	uint64_t position;
	int rc = lt_feed_log_find(b->log, unit, feed, dot->seq, &position);

	/* Of a verdict that came back after a restore: the change-set itself is still to come back, and is judged then. */
	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	if (rc == LT_OK)
		rc = lt_feed_log_read(b->log, position, &e);
	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, LT_HUB_ARENA);
	rc = lt_changeset_parse(e.changeset, &arena, &cs, NULL);
	if (rc == LT_OK)
		rc = lt_feed_log_judgement(b->log, position, &arena, &j);
	if (rc == LT_OK && dot->index >= cs.nchange)
		rc = LT_E_CORRUPT;
	/* Likewise: held here, and settled once more when what it waits for is back; or refused by another verdict that came back. */
	if (rc == LT_OK && !lt_judgement_holds(&j, dot->index) &&
	    !lt_judgement_refuses(&j, dot->index, NULL)) {
		mc.stamp = lt_judgement_stamp(&j, cs.stamp);
		mc.hash8 = lt_load_u64(cs.hash.b);
		mc.change = &cs.change[dot->index];
		rc = add_or_report(b, unit, &mc, position);
	}
	lt_arena_fini(&arena);
	return rc;
}

static int
add_settled(struct batch *b, const struct lt_unit *unit, const struct lt_change *c)
{
	ProtobufCMessage *msg;
	const Ltpb__Verdict *v;
	struct lt_feed_id feed;
	size_t i;
	int rc = LT_OK;

	if (c->nset != 1 || c->set[0].pb->value == NULL ||
	    c->set[0].pb->value->v_case != LTPB__VALUE__V_BYTES)
		return LT_OK;
	msg = protobuf_c_message_unpack(&ltpb__verdict__descriptor, &b->arena.pb,
	    c->set[0].pb->value->bytes.len,
	    c->set[0].pb->value->bytes.data); /* our own bytes, signed by us */
	v = (const Ltpb__Verdict *)msg;
	if (v == NULL || v->feed.len != LT_FEED_LEN)
		return v == NULL ? LT_E_NOMEM : LT_E_CORRUPT;
	memcpy(feed.b, v->feed.data, LT_FEED_LEN);
	for (i = 0; rc == LT_OK && i < v->n_settled; i++)
		rc = add_settled_dot(b, unit, &feed, v->settled[i]);
	return rc;
}

/* The openings went with the act, from the log; what the tables show of them goes now. */
static int
add_erasure(struct batch *b, const struct lt_unit *unit, const struct lt_change *c)
{
	struct lt_erased *e;
	size_t n;
	int rc = lt_erased_of(c, &b->arena, &e, &n);

	if (rc == LT_E_NOTFOUND || rc == LT_E_INVALID)
		return LT_OK;
	return rc == LT_OK ? lt_erase_reshow(b->proj, b->log, unit, e, n) : rc;
}

static int
add_change(struct batch *b, const struct lt_changeset *cs, const struct lt_judgement *j, uint32_t i,
    bool by_hub)
{
	struct lt_change change;
	const struct lt_change *c = &change;
	struct lt_merge_change mc = { .dot = { cs->feed, cs->seq, i },
		.stamp = lt_judgement_stamp(j, cs->stamp),
		.hash8 = lt_load_u64(cs->hash.b),
		.by_hub = by_hub,
		.change = c };
	Ltpb__ReasonCode reason;
	int rc = lt_change_skim(cs->change_raw[i], &b->arena, &change);

	if (rc != LT_OK)
		return rc;
	if (lt_judgement_refuses(j, i, &reason) || lt_judgement_holds(j, i))
		return lt_projection_note(b->proj, &cs->unit, &mc, b->cursor.position);
	if (strcmp(c->collection, "_verdict") == 0) {
		rc = lt_change_decode(cs->change_raw[i], &cs->feed, &b->arena, &change, NULL);
		return rc == LT_OK ? add_settled(b, &cs->unit, c) : rc;
	}
	if (lt_act_is_consumed(c->collection))
		return LT_OK; /* a ruling was kept when it was written */
	if (c->collection[0] == '_')
		b->acts = true;
	if (by_hub && strcmp(c->collection, LT_ERASE_COLLECTION) == 0) {
		rc = lt_change_decode(cs->change_raw[i], &cs->feed, &b->arena, &change, NULL);
		if (rc == LT_OK)
			rc = add_erasure(b, &cs->unit, c);
		if (rc != LT_OK)
			return rc;
	}
	return add_or_report(b, &cs->unit, &mc, b->cursor.position);
}

static int
add_entry(struct batch *b, uint64_t position)
{
	struct lt_judgement j;
	struct lt_changeset cs;
	struct lt_entry e;
	struct lt_id author;
	uint32_t i;
	bool by_hub;
	int rc;

	lt_arena_clear(&b->arena);
	rc = lt_feed_log_read(b->log, position, &e);
	if (rc == LT_OK)
		rc = lt_changeset_open(e.changeset, &b->arena, &cs);
	if (rc == LT_OK)
		rc = lt_feed_log_judgement(b->log, position, &b->arena, &j);
	if (rc != LT_OK) {
		lt_error("the feed log is damaged at position %llu: %s",
		    (unsigned long long)position, lt_strerror(rc));
		return rc == LT_E_INVALID ? LT_E_CORRUPT : rc;
	}
	b->cursor.position = position;
	b->cursor.hash = e.running;
	author = lt_feed_author(&cs.feed);
	by_hub = lt_registry_is_hub(b->reg, &author);
	for (i = 0; rc == LT_OK && i < cs.nchange; i++)
		rc = add_change(b, &cs, &j, i, by_hub);
	b->entries++;
	b->bytes += e.changeset.len;
	return rc;
}

static int
fill_batch(struct batch *b, uint64_t last)
{
	const struct lt_projector_limits max = limits(b->h);
	int64_t until = lt_mono_ms(b->h->clock) + BATCH_MS;
	int rc = LT_OK;

	while (rc == LT_OK && b->cursor.position < last && !b->acts && b->entries < max.entries &&
	       !b->h->hurry && b->bytes < max.bytes &&
	       (b->entries % 64 != 0 || lt_mono_ms(b->h->clock) < until))
		rc = add_entry(b, b->cursor.position + 1);
	return rc;
}

/* A planted bug: see proto/base/simbug.h. */
static int
cursor_apart(struct batch *b, uint64_t last)
{
	struct cursor c = { .position = last, .catalogue_version = lt_catalogue_version(b->cat) };
	struct lt_kv_txn *txn;
	int rc = entry_hash(b->log, last, &c.hash);

	if (rc == LT_OK)
		rc = lt_kv_begin_write(b->h->derived, &txn);
	if (rc != LT_OK)
		return rc;
	rc = write_cursor(b->h, txn, &c);
	if (rc == LT_OK)
		return lt_kv_commit(txn);
	lt_kv_abort(txn);
	return rc;
}

static struct batch *
batch_new(struct lt_hub *h, const struct cursor *from, const struct batch *before,
    struct lt_projection **spare)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->h = h;
	b->cursor = *from;
	b->before = before;
	b->spare = spare;
	b->cat = lt_hub_catalogue(h);
	b->reg = lt_hub_registry(h);
	lt_arena_init(&b->arena, LT_HUB_ARENA);
	return b;
}

/* What is kept of a batch that is worked out is what writing it takes. */
static void
batch_end_reading(struct batch *b)
{
	lt_kv_abort(b->derived);
	lt_kv_abort(b->log);
	b->derived = b->log = NULL;
	b->before = NULL;
	lt_arena_fini(&b->arena);
}

static void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	batch_end_reading(b);
	if (b->proj != NULL && *b->spare == NULL) {
		lt_projection_end(b->proj);
		*b->spare = b->proj;
	} else {
		lt_projection_abort(b->proj);
	}
	lt_catalogue_unref(b->cat);
	lt_registry_unref(b->reg);
	free(b);
}

/* Read the log behind the batch's cursor, as far as a batch goes, and work out what that makes of the rows. */
static int
work_out(struct batch *b)
{
	struct lt_projection_options o = { .catalogue = b->cat,
		.province = b->h->identity->unit,
		.before = b->before == NULL ? NULL : b->before->proj };
	uint64_t last = 0;
	int rc = lt_kv_begin_read(b->h->log, &b->log);

	if (rc == LT_OK)
		rc = lt_feed_log_last(b->log, &last);
	if (rc == LT_OK && last > b->cursor.position && LT_SIM_BUG(CURSOR_APART))
		rc = cursor_apart(b, last);
	if (rc == LT_OK && last > b->cursor.position) {
		rc = lt_kv_begin_read(b->h->derived, &b->derived);
		o.log = b->log;
		o.derived = b->derived;
		if (rc == LT_OK) {
			o.spare = *b->spare;
			*b->spare = NULL;
			rc = lt_projection_begin(&o, &b->proj);
		}
		if (rc == LT_OK)
			rc = fill_batch(b, last);
		if (rc == LT_OK)
			rc = lt_projection_work(b->proj);
	}
	b->cursor.catalogue_version = lt_catalogue_version(b->cat);
	batch_end_reading(b);
	return rc;
}

static int
write_out(struct batch *b)
{
	struct lt_kv_txn *txn;
	int rc = lt_kv_begin_write(b->h->derived, &txn);

	if (rc != LT_OK)
		return rc;
	rc = lt_projection_write(b->proj, txn);
	if (rc == LT_OK)
		rc = write_cursor(b->h, txn, &b->cursor);
	if (rc == LT_OK)
		return lt_kv_commit(txn);
	lt_kv_abort(txn);
	return rc;
}

/* ---- the thread ---- */

/* not_yet: registry and catalogue in memory are of before the position. Bars (bar.c) stand until it is published. */
static void
publish(struct lt_hub *h, uint64_t position, bool not_yet, int rc)
{
	pthread_mutex_lock(&h->mx);
	if (!not_yet)
		h->projected = position;
	h->projector_rc = rc;
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->mx);
	lt_hub_tell_news(h);
}

static void
begin_rebuild(struct lt_hub *h)
{
	pthread_mutex_lock(&h->mx);
	h->rebuild_until = h->log_position;
	h->registry_old = h->rebuild_until != 0;
	h->mending = h->mending && h->rebuild_until != 0;
	h->builds++;
	pthread_mutex_unlock(&h->mx);
}

/* While the tables are built anew they show who was who long ago: a key revoked since must not come alive by that. */
static bool
rebuild_done(struct lt_hub *h, uint64_t position)
{
	bool done = false;

	pthread_mutex_lock(&h->mx);
	if (h->rebuild_until != 0 && position >= h->rebuild_until) {
		h->rebuild_until = 0;
		h->mending = h->rebuild_wanted;
		done = true;
	}
	pthread_mutex_unlock(&h->mx);
	return done;
}

/* Somebody asked for it. */
static bool
take_wanted(struct lt_hub *h)
{
	bool wanted;

	pthread_mutex_lock(&h->mx);
	wanted = h->rebuild_wanted;
	h->rebuild_wanted = false;
	if (wanted)
		h->projector_rc = LT_OK;
	pthread_mutex_unlock(&h->mx);
	return wanted;
}

void
lt_hub_rebuild(struct lt_hub *h)
{
	pthread_mutex_lock(&h->mx);
	h->rebuild_wanted = h->mending = true;
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->mx);
}

bool
lt_hub_mending(struct lt_hub *h)
{
	bool mending;

	pthread_mutex_lock(&h->mx);
	mending = h->mending;
	pthread_mutex_unlock(&h->mx);
	return mending;
}

/* *clear_due: the tables must be emptied; stays until it was done. */
static int
after_acts(struct lt_hub *h, struct cursor *cursor, bool *clear_due)
{
	struct lt_catalogue *was = lt_hub_catalogue(h), *is;
	struct lt_err err = { "" };
	/* Tables that are to be emptied may be so damaged that nothing can be read from them. */
	int rc = *clear_due ? LT_OK : lt_hub_reload(h, &err);

	if (rc != LT_OK)
		lt_error("registry and catalogue cannot be read again: %s", err.text);
	is = lt_hub_catalogue(h);
	/* Other policies or indexes: rows made before may not be what this catalogue makes of the same feeds. */
	if (rc == LT_OK && lt_catalogue_version(was) != 0 &&
	    lt_catalogue_version(is) != lt_catalogue_version(was) && !LT_SIM_BUG(ROWS_OF_OLD)) {
		lt_info("catalogue version %llu: the derived tables are built anew",
		    (unsigned long long)lt_catalogue_version(is));
		begin_rebuild(h);
		*clear_due = true;
	}
	lt_catalogue_unref(was);
	lt_catalogue_unref(is);
	if (rc == LT_OK && *clear_due) {
		rc = lt_projector_clear(h);
		if (rc == LT_OK) {
			memset(cursor, 0, sizeof(*cursor));
			*clear_due = false;
		}
	}
	return rc;
}

struct lt_projector {
	pthread_t thread, second;
	bool runs, second_runs;
	struct cursor cursor; /* of the tables; of what is ahead no account */
	struct batch *ahead; /* owned */
	struct lt_projection *spare; /* owned; NULL: none */
	bool more; /* the log has more than the last batch took */
	bool reload; /* registry and catalogue are to be read again */
	bool clear_due;
	bool said; /* why it waits */
	unsigned in_row; /* batches since it had nothing to do */
	size_t bytes; /* of the last one */
	int64_t took_ms; /* and how long */
	int64_t retry_at_ms; /* manual: not before, on the monotonic clock */

	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cond;
	struct batch
	    *given; /* to the second thread, until it is written; borrowed, that of ahead */
	int given_rc; /* how that went */
	bool ending; /* nothing more will be given */
};

/* ---- the second thread ---- */

static void *
second(void *arg)
{
	struct lt_hub *h = arg;
	struct lt_projector *p = h->projector;
	struct batch *b;
	int rc;

	lt_thread_begin("lt-project-2", LT_NICE_DERIVED);
	pthread_mutex_lock(&p->mx);
	for (;;) {
		while (p->given == NULL && !p->ending)
			pthread_cond_wait(&p->cond, &p->mx);
		b = p->given;
		if (b == NULL)
			break;
		pthread_mutex_unlock(&p->mx);
		rc = write_out(b);
		if (rc == LT_OK)
			publish(h, b->cursor.position, false, LT_OK);
		pthread_mutex_lock(&p->mx);
		p->given_rc = rc;
		p->given = NULL;
		pthread_cond_broadcast(&p->cond);
	}
	pthread_mutex_unlock(&p->mx);
	return NULL;
}

static void
give(struct lt_projector *p, struct batch *b)
{
	p->ahead = b;
	pthread_mutex_lock(&p->mx);
	p->given = b;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->mx);
	b->h->ahead++;
}

/* Wait until what is ahead is written; its code. Then nothing is ahead. */
static int
drain(struct lt_hub *h, struct lt_projector *p)
{
	int rc;

	if (p->ahead == NULL)
		return LT_OK;
	h->draining = true;
	pthread_mutex_lock(&p->mx);
	while (p->given != NULL)
		pthread_cond_wait(&p->cond, &p->mx);
	rc = p->given_rc;
	pthread_mutex_unlock(&p->mx);
	h->draining = false;
	if (rc == LT_OK)
		p->cursor = p->ahead->cursor;
	batch_free(p->ahead);
	p->ahead = NULL;
	return rc;
}

/* What went from the log without an act in it goes from the tables. */
static int
reshow_when_wanted(struct lt_hub *h, struct lt_projector *p)
{
	int rc;

	if (!atomic_exchange(&h->reshow_wanted, false))
		return LT_OK;
	rc = drain(h, p);
	if (rc == LT_OK)
		rc = lt_reshow(h);
	if (rc == LT_E_CORRUPT) {
		lt_warn("what was erased cannot be taken from the derived tables: they are "
			"damaged");
		lt_hub_rebuild(h);
		return LT_OK;
	}
	if (rc != LT_OK)
		lt_reshow_want(h);
	return rc;
}

/* Is the batch one to give to the second thread? Not when something else is to be done before the next one. */
static bool
goes_ahead(struct lt_hub *h, const struct lt_projector *p, const struct batch *b)
{
	bool last;

	if (!p->second_runs || !p->more || b->acts || b->bytes < limits(h).ahead_bytes ||
	    p->reload || p->said || h->hurry)
		return false;
	pthread_mutex_lock(&h->mx);
	last =
	    h->rebuild_wanted || (h->rebuild_until != 0 && b->cursor.position >= h->rebuild_until);
	pthread_mutex_unlock(&h->mx);
	return !last;
}

/* Take in what there is, as far as a batch goes. The one before it is written when this returns, and this one too, or it is ahead; on
 * failure nothing is ahead. */
static int
project_batch(struct lt_hub *h, struct lt_projector *p, bool *acts)
{
	const struct cursor *from = p->ahead == NULL ? &p->cursor : &p->ahead->cursor;
	int64_t begun = lt_mono_ms(h->clock);
	struct batch *b = batch_new(h, from, p->ahead, &p->spare);
	int worked = b == NULL ? LT_E_NOMEM : work_out(b), rc = drain(h, p);

	if (rc == LT_OK)
		rc = worked;
	p->bytes = b == NULL ? 0 : b->bytes;
	p->more = rc == LT_OK && b->entries != 0 && b->cursor.position < h->log_position;
	if (rc == LT_OK && b->entries != 0) {
		if (goes_ahead(h, p, b)) {
			give(p, b);
			return LT_OK;
		}
		rc = write_out(b);
		if (rc == LT_OK) {
			p->cursor = b->cursor;
			*acts = b->acts;
		}
	}
	batch_free(b);
	p->took_ms = lt_mono_ms(h->clock) - begun;
	if (!p->more) {
		lt_projection_abort(p->spare);
		p->spare = NULL;
	}
	return rc;
}

/* ---- the first ---- */

static bool
mends_itself(int rc)
{
	return rc == LT_E_NOSPACE || rc == LT_E_NOMEM;
}

static void
time_in(struct timespec *ts, int64_t ms)
{
	(void)clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += ms / 1000;
	ts->tv_nsec += ms % 1000 * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
}

static int64_t
pause_ms(const struct lt_projector *p, const struct lt_projector_limits *l)
{
	int64_t ms = PAUSE_TIMES * (p->took_ms + 1);

	return l->pause_ms != 0 ? l->pause_ms : ms < PAUSE_MS_MAX ? ms : PAUSE_MS_MAX;
}

/* Let the log gather, when that saves work. */
static void
pause_between(struct lt_hub *h, struct lt_projector *p)
{
	const struct lt_projector_limits l = limits(h);
	struct timespec ts;

	time_in(&ts, pause_ms(p, &l));
	pthread_mutex_lock(&h->mx);
	p->in_row = h->projected < h->log_position ? p->in_row + 1 : 0;
	if (p->in_row > PAUSE_AFTER && p->ahead == NULL && p->bytes < PAUSE_BYTES &&
	    h->rebuild_until == 0) {
		h->pauses++;
		while (!h->stopping && !h->rebuild_wanted && h->waiting == 0 &&
		       pthread_cond_timedwait(&h->cond, &h->mx, &ts) == 0)
			;
	}
	pthread_mutex_unlock(&h->mx);
}

/* Until there is news, the retry is due (retry_ms above 0, or verdicts that failed) or the hub stops; true: it stops. */
static bool
wait_for_work(struct lt_hub *h, bool more, int retry_ms)
{
	struct timespec ts;
	bool stop, late = false;

	time_in(&ts, LT_HUB_RETRY_MS);
	pthread_mutex_lock(&h->mx);
	if (retry_ms > 0) {
		while (!h->stopping && pthread_cond_timedwait(&h->cond, &h->mx, &ts) == 0)
			;
	} else {
		while (!more && !h->stopping && !h->rebuild_wanted && !h->reshow_wanted &&
		       h->projected >= h->log_position && !late) {
			if (!lt_verdicts_failed(h->verdicts)) {
				pthread_cond_wait(&h->cond, &h->mx);
				continue;
			}
			time_in(&ts, LT_HUB_RETRY_MS);
			while (!h->stopping && !h->rebuild_wanted && !h->reshow_wanted &&
			       h->projected >= h->log_position && !late)
				late = pthread_cond_timedwait(&h->cond, &h->mx, &ts) == ETIMEDOUT;
		}
	}
	stop = h->stopping;
	pthread_mutex_unlock(&h->mx);
	if (!stop && (late || retry_ms > 0) && lt_verdicts_failed(h->verdicts))
		(void)lt_verdicts_retry(h->verdicts);
	return stop;
}

/* One batch and what follows from it. LT_OK, a code that mends itself (again after LT_HUB_RETRY_MS), or one that ends the projector. */
static int
turn(struct lt_hub *h, struct lt_projector *p)
{
	bool acts = false;
	/* Until then the tables are what tells that this hub is in doubt. */
	int rc = lt_recovery_durable(h);

	if (rc != LT_OK && !mends_itself(rc)) {
		if (!p->said)
			lt_error("that this hub is in doubt cannot be written down: %s; that is "
				 "tried again every second",
			    lt_strerror(rc));
		p->said = true;
		rc = LT_E_NOSPACE; /* for this loop: again in its time */
	}
	if (rc == LT_OK && take_wanted(h)) {
		(void)drain(h, p); /* however it went: all is built anew */
		lt_warn("the derived tables are built anew from the feed log");
		begin_rebuild(h);
		p->clear_due = true;
	}
	if (rc == LT_OK && !p->clear_due)
		rc = reshow_when_wanted(h, p);
	if (rc == LT_OK && !p->clear_due)
		rc = project_batch(h, p, &acts);
	p->reload |= acts;
	if (rc == LT_OK && !p->clear_due && rebuild_done(h, p->cursor.position))
		p->reload = true;
	if (rc == LT_OK && (p->reload || p->clear_due))
		rc = after_acts(h, &p->cursor, &p->clear_due);
	if (rc == LT_OK) {
		p->reload = p->said = false;
	} else if (mends_itself(rc) && !p->said) {
		lt_error("the projector waits: %s; answers reach position %llu", lt_strerror(rc),
		    (unsigned long long)p->cursor.position);
		p->said = true;
	}
	/* Who waits for it waits on. What is ahead the second thread tells. */
	if ((rc == LT_OK || mends_itself(rc)) && p->ahead == NULL)
		publish(h, p->cursor.position, p->reload, LT_OK);
	return rc;
}

static void
stopped(struct lt_hub *h, const struct lt_projector *p, int rc)
{
	lt_error("the projector stopped: %s; answers reach position %llu", lt_strerror(rc),
	    (unsigned long long)p->cursor.position);
	publish(h, p->cursor.position, p->reload, rc);
}

/* What is damaged may be the tables, and then a rebuild mends it. true: one is wanted; false: the hub stops. */
static bool
wait_for_rebuild(struct lt_hub *h)
{
	bool wanted;

	pthread_mutex_lock(&h->mx);
	while (!h->stopping && !h->rebuild_wanted)
		pthread_cond_wait(&h->cond, &h->mx);
	wanted = !h->stopping;
	pthread_mutex_unlock(&h->mx);
	return wanted;
}

static void *
projector(void *arg)
{
	struct lt_hub *h = arg;
	struct lt_projector *p = h->projector;
	bool stop = false;
	int rc = LT_OK;

	lt_thread_begin("lt-project", LT_NICE_DERIVED);
	while (!stop) {
		rc = turn(h, p);
		if (rc != LT_OK && !mends_itself(rc)) {
			stopped(h, p, rc);
			stop = !wait_for_rebuild(h);
			continue;
		}
		if (rc == LT_OK)
			pause_between(h, p);
		stop = wait_for_work(h, p->more, rc == LT_OK ? 0 : LT_HUB_RETRY_MS);
	}
	(void)drain(h, p); /* what could not be written is worked out again at the next start */
	return NULL;
}

bool
lt_projector_step(struct lt_hub *h)
{
	struct lt_projector *p = h->projector;
	int rc;

	if ((h->projector_rc != LT_OK && !h->rebuild_wanted) ||
	    lt_mono_ms(h->clock) < p->retry_at_ms)
		return false;
	if (!p->clear_due && !p->reload && !h->rebuild_wanted && !h->reshow_wanted &&
	    h->projected >= h->log_position)
		return false;
	rc = turn(h, p);
	p->retry_at_ms = 0;
	if (rc != LT_OK && mends_itself(rc))
		p->retry_at_ms = lt_mono_ms(h->clock) + LT_HUB_RETRY_MS;
	else if (rc != LT_OK)
		stopped(h, p, rc);
	return rc == LT_OK;
}

static int
place_cursor(struct lt_hub *h, struct lt_err *err)
{
	struct lt_kv_txn *log, *derived;
	struct cursor c = { 0 };
	bool fits = false;
	int rc = lt_kv_begin_read(h->log, &log);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_begin_read(h->derived, &derived);
	if (rc == LT_OK) {
		rc = read_cursor(h, log, derived, &c, &fits);
		lt_kv_abort(derived);
	}
	lt_kv_abort(log);
	if (rc != LT_OK && rc != LT_E_CORRUPT)
		return lt_err_set(
		    err, rc, "the projector's cursor cannot be read: %s", lt_strerror(rc));
	/* Killed between a new catalogue and the rows it calls for (version 0: no collections yet, so no rows). */
	if (c.catalogue_version != 0 && c.catalogue_version != lt_catalogue_version(h->catalogue))
		fits = false;
	if (atomic_load(&h->doubt_owed)) {
		/* They do not fit, and are the only ones that say so: emptied when that is written down. */
		lt_hub_rebuild(h);
		memset(&c, 0, sizeof(c));
		rc = LT_OK;
	} else if (rc == LT_E_CORRUPT || !fits) {
		lt_warn("the derived tables do not fit the feed log: they are built anew");
		rc = lt_projector_clear(h);
		memset(&c, 0, sizeof(c));
		if (rc == LT_OK) {
			rc = lt_hub_reload(h, err);
		} else if (rc == LT_E_NOSPACE && lt_hub_recovering(h)) {
			/* The disk is no reason not to hear the nodes. They are emptied when there is room. */
			lt_hub_rebuild(h);
			rc = LT_OK;
		}
	}
	if (c.position == 0) {
		h->mending = true;
		begin_rebuild(h);
	}
	h->projected = c.position;
	return rc;
}

int
lt_projector_start(struct lt_hub *h, struct lt_err *err)
{
	struct lt_projector *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return LT_E_NOMEM;
	(void)pthread_mutex_init(&p->mx, NULL);
	(void)pthread_cond_init(&p->cond, NULL);
	h->projector = p;
	rc = place_cursor(h, err);
	if (rc != LT_OK)
		return rc;
	p->cursor.position = h->projected;
	/* Before anything is answered; where it does not work (a full disk) the projector goes on trying. */
	if (h->projected != 0)
		(void)reshow_when_wanted(h, p);
	if (h->manual)
		return LT_OK;
	p->second_runs = pthread_create(&p->second, NULL, second, h) == 0;
	p->runs = p->second_runs && pthread_create(&p->thread, NULL, projector, h) == 0;
	if (!p->runs)
		return lt_err_set(err, LT_E_NOMEM, "cannot start a thread");
	return LT_OK;
}

static void
second_stop(struct lt_projector *p)
{
	pthread_mutex_lock(&p->mx);
	p->ending = true;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->mx);
	pthread_join(p->second, NULL);
}

static void
projector_free(struct lt_projector *p)
{
	if (p == NULL)
		return;
	lt_projection_abort(p->spare);
	(void)pthread_cond_destroy(&p->cond);
	(void)pthread_mutex_destroy(&p->mx);
	free(p);
}

void
lt_projector_stop(struct lt_hub *h)
{
	h->hurry = true;
	pthread_mutex_lock(&h->mx);
	h->stopping = true;
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->mx);
	if (h->projector != NULL && h->projector->runs)
		pthread_join(h->projector->thread, NULL);
	if (h->projector != NULL && h->projector->second_runs)
		second_stop(h->projector);
	projector_free(h->projector);
	h->projector = NULL;
}

void
lt_projector_kick(struct lt_hub *h)
{
	pthread_mutex_lock(&h->mx);
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->mx);
}
