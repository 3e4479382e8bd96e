#include "hub/recovery.h"
#include "hub/hub_impl.h"
#include "hub/keys.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/store/admit.h"
#include "proto/store/backup.h"
#include "proto/store/derived.h"
#include "proto/store/erase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEARD_MAX 8192 /* twice the country's communes */
#define ROW_HEAD (1 + 8 + LT_BACKUP_ID_LEN)
#define OVER_LEN (1 + 8) /* of the row when the wait is over */
#define FEEDS_MAX LT_PUSH_MAX
#define CLAIMED_MS INT64_C(3600000)
#define OUTLIVED_MAX 64 /* feeds an hour */

struct ids {
	size_t n;
	struct lt_id *id; /* HEARD_MAX, made when first used */
};

struct lt_recovery {
	struct lt_hub *h;
	atomic_bool on;
	atomic_bool ever; /* restored once: a node may come with what it lacks at any time */
	atomic_bool late; /* there are, or were, rows `late/...` */
	_Atomic uint64_t
	    ended; /* stamp: the last wait was over then, and what has a later one was signed since */
	pthread_mutex_t mx; /* guards what follows */
	bool ending; /* the job that ends it is on its way */
	uint64_t ending_stamp; /* of that job, which alone writes it */
	uint64_t looked; /* position up to which the tables said who is awaited, when it was sent */
	int64_t restored_ms;
	uint8_t backup[LT_BACKUP_ID_LEN];
	/* heard: since this process started, whatever came of it: files are put back while none runs. */
	struct ids heard, without;
	struct ids claimed; /* whose claim was logged since claimed_ms, on the monotonic clock */
	int64_t claimed_ms;
	/* Feeds of which it was logged since outlived_ms that they went on. */
	size_t noutlived;
	struct lt_feed_id outlived[OUTLIVED_MAX];
	int64_t outlived_ms;
};

/* With the mutex held. */
static bool
has(const struct ids *s, const struct lt_id *id)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (lt_id_eq(&s->id[i], id))
			return true;
	return false;
}

/* With the mutex held. */
static int
add(struct ids *s, const struct lt_id *id)
{
	if (has(s, id))
		return LT_OK;
	if (s->id == NULL)
		s->id = malloc(HEARD_MAX * sizeof(*s->id));
	if (s->id == NULL || s->n == HEARD_MAX)
		return LT_E_NOMEM;
	s->id[s->n++] = *id;
	return LT_OK;
}

bool
lt_hub_recovering(struct lt_hub *h)
{
	return h->recovery != NULL && atomic_load(&h->recovery->on);
}

/* ---- who is awaited ---- */

typedef int awaited_fn(void *ctx, const struct lt_principal *p);

/* Who is not let in cannot be heard: a revocation that stood in a branch of ours keeps it out already, and comes into the tables only once this
 * hub signs again. */
static bool
is_shut_out(struct lt_hub *h, const struct lt_principal *p)
{
	size_t i;

	for (i = 0; i < p->nkey; i++)
		if (!lt_hub_barred(h, &p->id, p->key[i].no))
			return false;
	return p->nkey != 0;
}

/* With the mutex held. */
static int
each_awaited(struct lt_recovery *r, const struct lt_registry *reg, awaited_fn *fn, void *ctx)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < lt_registry_count(reg); i++) {
		const struct lt_principal *p = lt_registry_at(reg, i);

		if (p->role == LTPB__ROLE__ROLE_NODE &&
		    p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE &&
		    !has(&r->heard, &p->id) && !has(&r->without, &p->id) && !is_shut_out(r->h, p))
			rc = fn(ctx, p);
	}
	return rc;
}

static int
count_one(void *ctx, const struct lt_principal *p)
{
	(void)p;
	++*(size_t *)ctx;
	return LT_OK;
}

size_t
lt_recovery_awaited(struct lt_hub *h)
{
	struct lt_recovery *r = h->recovery;
	struct lt_registry *reg;
	size_t n = 0;

	if (!lt_hub_recovering(h))
		return 0;
	reg = lt_hub_registry(h);
	pthread_mutex_lock(&r->mx);
	(void)each_awaited(r, reg, count_one, &n);
	pthread_mutex_unlock(&r->mx);
	lt_registry_unref(reg);
	return n;
}

struct telling {
	struct lt_arena *arena;
	Ltpb__RecoveryReply *r;
};

static int
tell_one(void *ctx, const struct lt_principal *p)
{
	struct telling *t = ctx;
	Ltpb__Awaited *a = lt_arena_alloc(t->arena, sizeof(*a));

	if (a == NULL)
		return LT_E_NOMEM;
	ltpb__awaited__init(a);
	a->principal.data = lt_arena_dup(t->arena, p->id.b, LT_ID_LEN);
	a->principal.len = LT_ID_LEN;
	a->unit = lt_arena_dup(t->arena, p->unit.s, strlen(p->unit.s));
	a->label = lt_arena_dup(t->arena, p->label, strlen(p->label));
	if (a->principal.data == NULL || a->unit == NULL || a->label == NULL)
		return LT_E_NOMEM;
	t->r->awaited[t->r->n_awaited++] = a;
	return LT_OK;
}

int
lt_recovery_tell(struct lt_hub *h, struct lt_arena *arena, Ltpb__RecoveryReply *reply)
{
	struct telling t = { arena, reply };
	struct lt_recovery *r = h->recovery;
	struct lt_registry *reg;
	int rc;

	if (!lt_hub_recovering(h))
		return LT_OK;
	reg = lt_hub_registry(h);
	reply->recovering = true;
	reply->awaited =
	    lt_arena_alloc(arena, (lt_registry_count(reg) + 1) * sizeof(Ltpb__Awaited *));
	pthread_mutex_lock(&r->mx);
	reply->restored_ms = r->restored_ms;
	reply->heard = (uint32_t)r->heard.n;
	reply->without = (uint32_t)r->without.n;
	rc = reply->awaited == NULL ? LT_E_NOMEM : each_awaited(r, reg, tell_one, &t);
	pthread_mutex_unlock(&r->mx);
	lt_registry_unref(reg);
	return rc;
}

/* ---- the end of it ---- */

bool
lt_hub_was_restored(struct lt_hub *h)
{
	return h->recovery != NULL && atomic_load(&h->recovery->ever);
}

/* Does the row say that the wait is over? *ended: when, as a stamp; UINT64_MAX in that of a program which did not note it: then only what
 * is of the epoch of now proves anything. */
static bool
is_over(struct lt_slice v, uint64_t *ended)
{
	if (v.len == 0 || v.data[0] != 2 || (v.len != 1 && v.len != OVER_LEN))
		return false;
	*ended = v.len == 1 ? UINT64_MAX : lt_load_u64(v.data + 1);
	return true;
}

/* Nothing that was signed so far has a later stamp, and all that is signed from now on has. */
static int
write_over(struct lt_recovery *r, struct lt_kv_txn *txn)
{
	int64_t now = lt_wall_ms(r->h->clock);
	uint64_t stamp = now > 0 ? LT_STAMP((uint64_t)now, 0) : 0, hlc;
	uint8_t row[OVER_LEN] = { 2 };
	int rc = lt_local_get_u64(txn, "hlc", &hlc);

	if (rc == LT_E_CORRUPT)
		hlc = 0;
	else if (rc != LT_OK)
		return rc;
	if (stamp < hlc)
		stamp = hlc;
	rc = lt_author_saw(txn, 0, stamp);
	if (rc != LT_OK && rc != LT_E_CORRUPT)
		return rc;
	lt_store_u64(row + 1, stamp);
	r->ending_stamp = stamp;
	return lt_local_put(txn, LT_LOCAL_RESTORED, lt_slice(row, sizeof(row)));
}

static int
run_end(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_recovery *r = ctx;
	uint64_t looked, last;
	int rc = lt_feed_log_last(txn, &last);

	pthread_mutex_lock(&r->mx);
	looked = r->looked;
	pthread_mutex_unlock(&r->mx);
	/* What came back meanwhile may say of more nodes. */
	if (rc == LT_OK && last > looked)
		rc = LT_E_BUSY;
	if (rc != LT_OK)
		return rc;
	return write_over(r, txn);
}

static void
no_end_yet(struct lt_recovery *r)
{
	pthread_mutex_lock(&r->mx);
	r->ending = false;
	pthread_mutex_unlock(&r->mx);
}

static void
end_done(void *ctx, int rc)
{
	struct lt_recovery *r = ctx;

	if (rc != LT_OK) {
		no_end_yet(r); /* the next commit or login asks again */
		if (rc == LT_E_BUSY)
			lt_recovery_look(r->h); /* what came may be projected already */
		return;
	}
	atomic_store(&r->ended, r->ending_stamp);
	atomic_store(&r->on, false);
	no_end_yet(
	    r); /* it may find itself in doubt in this very process, and then that has an end, too */
	lt_info("this hub, restored from a backup, has heard whom it waited for: it takes in and "
		"signs again, in new epochs");
	(void)lt_verdicts_kick(r->h->verdicts);
}

void
lt_recovery_look(struct lt_hub *h)
{
	struct lt_recovery *r = h->recovery;
	struct lt_registry *reg;
	uint64_t projected = lt_hub_projected(h);
	size_t n = 0;
	bool end;
	int rc;

	/* Who is awaited stands in the tables: these have to show all that came back. */
	if (!lt_hub_recovering(h) || atomic_load(&h->doubt_owed) ||
	    projected < lt_hub_log_position(h) || !lt_hub_knows_principals(h))
		return;
	reg = lt_hub_registry(h);
	pthread_mutex_lock(&r->mx);
	(void)each_awaited(r, reg, count_one, &n);
	end = n == 0 && !r->ending;
	r->ending |= end;
	if (end)
		r->looked = projected;
	pthread_mutex_unlock(&r->mx);
	lt_registry_unref(reg);
	if (!end)
		return;
	rc = lt_writer_submit(h->writer, run_end, end_done, r);
	if (rc != LT_OK)
		no_end_yet(r);
}

void
lt_hub_heard(struct lt_hub *h, const struct lt_id *node)
{
	struct lt_recovery *r = h->recovery;

	pthread_mutex_lock(&r->mx);
	(void)add(&r->heard, node);
	pthread_mutex_unlock(&r->mx);
	if (lt_hub_recovering(h))
		lt_recovery_look(h);
}

bool
lt_recovery_claimed(struct lt_hub *h, const struct lt_id *node)
{
	struct lt_recovery *r = h->recovery;
	int64_t now = lt_mono_ms(h->clock);
	bool first;

	pthread_mutex_lock(&r->mx);
	if (r->claimed.n == 0 || now - r->claimed_ms >= CLAIMED_MS) {
		r->claimed.n = 0;
		r->claimed_ms = now;
	}
	first = !has(&r->claimed, node) && add(&r->claimed, node) == LT_OK;
	pthread_mutex_unlock(&r->mx);
	return first;
}

bool
lt_recovery_outlived(struct lt_hub *h, const struct lt_feed_id *feed)
{
	struct lt_recovery *r = h->recovery;
	int64_t now = lt_mono_ms(h->clock);
	bool first;
	size_t i;

	pthread_mutex_lock(&r->mx);
	if (r->noutlived == 0 || now - r->outlived_ms >= CLAIMED_MS) {
		r->noutlived = 0;
		r->outlived_ms = now;
	}
	for (i = 0; i < r->noutlived && lt_feed_id_cmp(&r->outlived[i], feed) != 0; i++)
		;
	first = i == r->noutlived && i < OUTLIVED_MAX;
	if (first)
		r->outlived[r->noutlived++] = *feed;
	pthread_mutex_unlock(&r->mx);
	return first;
}

/* ---- without some ---- */

struct leaving {
	struct lt_recovery *r;
	const struct lt_unit *unit;
	size_t n;
	struct lt_id *id; /* HEARD_MAX */
	struct lt_buf row;
};

static int
leave_one(void *ctx, const struct lt_principal *p)
{
	struct leaving *l = ctx;

	if (l->unit != NULL && !lt_unit_eq(l->unit, &p->unit))
		return LT_OK;
	if (l->n + l->r->without.n >= HEARD_MAX)
		return LT_E_TOOBIG;
	l->id[l->n++] = p->id;
	return LT_OK;
}

static bool
row_has(const struct lt_buf *row, const struct lt_id *id)
{
	size_t at;

	for (at = ROW_HEAD; at + LT_ID_LEN <= row->len; at += LT_ID_LEN)
		if (memcmp(row->data + at, id->b, LT_ID_LEN) == 0)
			return true;
	return false;
}

/* To the row as it is now: another operator may have added to it since. */
static int
run_leave(struct lt_kv_txn *txn, void *ctx)
{
	struct leaving *l = ctx;
	struct lt_slice v;
	uint64_t ended;
	size_t i;
	int rc = lt_local_get(txn, LT_LOCAL_RESTORED, &v);

	if (rc != LT_OK)
		return rc;
	if (v.len < ROW_HEAD || v.data[0] != 1)
		return is_over(v, &ended) ? LT_E_EXISTS : LT_E_CORRUPT;
	l->row.len = 0; /* a job may run again */
	lt_buf_put(&l->row, v.data, v.len);
	for (i = 0; i < l->n; i++)
		if (!row_has(&l->row, &l->id[i]))
			lt_buf_put(&l->row, l->id[i].b, LT_ID_LEN);
	return l->row.err != LT_OK ? l->row.err
				   : lt_local_put(txn, LT_LOCAL_RESTORED, lt_buf_slice(&l->row));
}

static void
log_leave(const struct leaving *l, const struct lt_id *by)
{
	char hex[2 * LT_ID_LEN + 1], who[2 * LT_ID_LEN + 1] = "at the hub's machine";
	size_t i;

	if (by != NULL)
		lt_hex(who, by->b, LT_ID_LEN);
	for (i = 0; i < l->n; i++) {
		lt_hex(hex, l->id[i].b, LT_ID_LEN);
		lt_warn(
		    "the restored hub goes on without node %s: so said an operator (%s)", hex, who);
	}
}

int
lt_hub_go_on_without(struct lt_hub *h, const struct lt_unit *unit, const struct lt_id *by,
    size_t *n, struct lt_err *err)
{
	struct leaving l = { .r = h->recovery, .unit = unit };
	struct lt_registry *reg;
	size_t i;
	int rc;

	*n = 0;
	if (!lt_hub_recovering(h))
		return lt_err_both(err, LT_E_EXISTS, "this hub waits for nobody",
		    "đầu mối này không chờ máy nào; hãy xem 'ltctl recovery', không phải làm gì "
		    "thêm");
	rc = lt_recovery_durable(h);
	if (rc == LT_E_NOSPACE)
		return lt_err_both(err, rc,
		    "the hub's disk is full: it cannot even note that it is in doubt; make room",
		    "đĩa của đầu mối đã đầy, chưa ghi được gì; hãy giải phóng chỗ rồi thử lại");
	if (rc != LT_OK)
		return lt_err_both(err, rc,
		    "the hub cannot note that it is in doubt: %s; see its log",
		    "đầu mối chưa ghi được rằng nó đang phải chờ: %s; hãy xem nhật ký của nó",
		    lt_strerror(rc));
	l.id = malloc(HEARD_MAX * sizeof(*l.id));
	if (l.id == NULL)
		return LT_E_NOMEM;
	lt_buf_init(&l.row, ROW_HEAD + HEARD_MAX * LT_ID_LEN);
	reg = lt_hub_registry(h);
	pthread_mutex_lock(&l.r->mx);
	rc = each_awaited(l.r, reg, leave_one, &l);
	if (rc == LT_OK && l.n == 0)
		rc = lt_err_both(err, LT_E_NOTFOUND, "no node of it is waited for",
		    "không chờ máy nào của đơn vị này; hãy xem 'ltctl recovery'");
	pthread_mutex_unlock(&l.r->mx);
	lt_registry_unref(reg);
	if (rc == LT_OK)
		rc = lt_writer_run(h->writer, run_leave, &l);
	if (rc == LT_E_EXISTS)
		rc = lt_err_both(err, rc, "this hub waits for nobody any more",
		    "đầu mối này không chờ máy nào; hãy xem 'ltctl recovery', không phải làm gì "
		    "thêm");
	if (rc == LT_OK) {
		pthread_mutex_lock(&l.r->mx);
		for (i = 0; i < l.n; i++)
			(void)add(&l.r->without, &l.id[i]);
		pthread_mutex_unlock(&l.r->mx);
		log_leave(&l, by);
		*n = l.n;
		lt_recovery_look(h);
	}
	lt_buf_fini(&l.row);
	free(l.id);
	return rc;
}

/* ---- in doubt ---- */

/* Files of this hub were put back without the tool. In the transaction that shows it: as if the tool had done it. shown_by: in place of the
 * backup. */
static int
mark(struct lt_kv_txn *txn, const uint8_t shown_by[LT_BACKUP_ID_LEN], int64_t now)
{
	uint64_t voided = 0;
	int rc = lt_restore_mark(txn, true, shown_by, now, &voided);

	if (rc == LT_OK && voided != 0)
		lt_warn(
		    "%llu invitations that may have been used since, or cannot be read, are void",
		    (unsigned long long)voided);
	return rc;
}

static int
doubt(struct lt_recovery *r, struct lt_kv_txn *txn)
{
	static const uint8_t by_a_node[LT_BACKUP_ID_LEN];
	int64_t now = lt_wall_ms(r->h->clock);
	int rc = mark(txn, by_a_node, now);

	if (rc != LT_OK)
		return rc;
	pthread_mutex_lock(&r->mx);
	r->restored_ms = now;
	memset(r->backup, 0, sizeof(r->backup));
	r->without.n = 0;
	r->ending = false;
	pthread_mutex_unlock(&r->mx);
	return LT_OK;
}

/* What was owed since the start, in a transaction that is committed before anything else counts. */
static int
mark_owed(struct lt_recovery *r, struct lt_kv_txn *txn)
{
	int64_t now = lt_wall_ms(r->h->clock);
	int rc = mark(txn, r->h->doubt_sign, now);

	if (rc != LT_OK)
		return rc;
	pthread_mutex_lock(&r->mx);
	r->restored_ms = now;
	pthread_mutex_unlock(&r->mx);
	return LT_OK;
}

static int
run_owed(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_recovery *r = ctx;

	/* Written by a job before this one, and the wait may be over since. */
	return atomic_load(&r->h->doubt_owed) ? mark_owed(r, txn) : LT_OK;
}

static void
owed_done(struct lt_hub *h)
{
	if (atomic_exchange(&h->doubt_owed, false))
		lt_info("that this hub is in doubt is written down: there is room again");
}

int
lt_recovery_durable(struct lt_hub *h)
{
	int rc;

	if (!atomic_load(&h->doubt_owed))
		return LT_OK;
	rc = lt_writer_run(h->writer, run_owed, h->recovery);
	if (rc == LT_OK)
		owed_done(h);
	return rc;
}

static void
say_doubt(const char *how)
{
	lt_error("ALARM: files of this hub were put back without 'ltctl restore', or its disk lost "
		 "what it had acknowledged: %s; it signs nothing before every active node has "
		 "given back what it has of the hub's feeds (ltctl recovery)",
	    how);
}

/* ---- what comes back ---- */

struct taking {
	struct lt_hub *h;
	lt_intake_fn *done;
	void *ctx;
	struct lt_arena arena;
	struct lt_err err;
	size_t given; /* change-sets of the push */
	size_t changed; /* of those, what changed something: appended, or new evidence */
	size_t n; /* of those that can be taken */
	struct lt_changeset *cs;
	int rc; /* of what was given; those before it are taken */
	bool again; /* change-sets were judged anew */
	bool erased; /* values, by acts that the log does not have */
	bool marked; /* the doubt of the start went with it */
	bool doubts, was_ever; /* it shows that files were put back by hand; before that */
	size_t nfeed;
	struct lt_intake_feed feed[FEEDS_MAX];
};

bool
lt_hub_wrote(struct lt_hub *h, struct lt_slice change_set)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_id author;
	bool own = false;

	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	if (change_set.len <= LT_MESSAGE_MAX &&
	    lt_changeset_open(change_set, &arena, &cs) == LT_OK) {
		author = lt_feed_author(&cs.feed);
		own = lt_id_eq(&author, &h->author.id);
	}
	lt_arena_fini(&arena);
	return own;
}

static int
read_one(
    struct taking *t, const struct lt_registry *reg, struct lt_slice bytes, struct lt_changeset *cs)
{
	struct lt_id author;
	int rc;

	if (bytes.len > LT_MESSAGE_MAX)
		return lt_err_set(
		    &t->err, LT_E_TOOBIG, "a change-set is larger than a message may be");
	rc = lt_changeset_parse(bytes, &t->arena, cs, &t->err);
	if (rc != LT_OK)
		return rc;
	author = lt_feed_author(&cs->feed);
	if (!lt_id_eq(&author, &t->h->author.id))
		return lt_err_set(&t->err, LT_E_DENIED, "not a change-set of this hub");
	rc = lt_admit_signed(cs, &t->h->identity->federation, reg, false, false, &t->err);
	return rc == LT_E_NOTFOUND ? LT_E_INVALID : rc;
}

/* The epoch is one of before: nothing of ours stands behind what came back. */
static int
end_epoch(struct taking *t, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	enum lt_lane lane = lt_feed_lane(&cs->feed);
	struct lt_feed_id now;
	int rc = lt_author_feed(txn, &t->h->author, &cs->unit, lane, &now);

	/* Which one we are in cannot be read: it is over, too. */
	if (rc == LT_E_CORRUPT)
		return lt_author_end_epoch(txn, &cs->unit, lane);
	if (rc != LT_OK || lt_feed_id_cmp(&now, &cs->feed) != 0)
		return rc;
	return lt_author_end_epoch(txn, &cs->unit, lane);
}

static int
note_acts(struct taking *t, struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < cs->nchange; i++) {
		const struct lt_change *c = &cs->change[i];

		if (strcmp(c->collection, "_ruling") == 0) {
			rc = lt_forks_told(t->h, txn, &cs->unit, c, position);
			if (rc == LT_E_INVALID) {
				lt_error(
				    "a ruling of this hub that came back (unit %s) is malformed: "
				    "it counts for nothing",
				    cs->unit.s);
				rc = LT_OK; /* nothing was written for it */
			}
			if (rc == LT_E_CORRUPT) {
				lt_error("a ruling of this hub that came back (unit %s) cannot be "
					 "compared with the row that is here: that is damaged",
				    cs->unit.s);
				rc = LT_OK; /* as below */
			}
			continue;
		}
		if (strcmp(c->collection, "_verdict") != 0 || c->nset != 1 ||
		    c->set[0].pb->value == NULL ||
		    c->set[0].pb->value->v_case != LTPB__VALUE__V_BYTES)
			continue;
		rc = lt_verdicts_told(t->h->verdicts, txn, &cs->unit,
		    lt_slice(c->set[0].pb->value->bytes.data, c->set[0].pb->value->bytes.len),
		    &t->again);
		if (rc == LT_E_INVALID || rc == LT_E_TOOBIG) {
			lt_error("a verdict of this hub that came back (unit %s) is malformed: it "
				 "counts for nothing",
			    cs->unit.s);
			rc = LT_OK; /* nothing was written for it */
		}
		if (rc == LT_E_CORRUPT) {
			lt_error(
			    "a verdict of this hub that came back (unit %s) is not obeyed as a "
			    "whole: rows of the feed that it speaks of are damaged",
			    cs->unit.s);
			rc = LT_OK; /* one feed's damage does not keep back what else came */
		}
	}
	return rc;
}

/* The epoch that we sign in now: whoever has more of it has it from us, and we forgot. */
static int
is_present_epoch(struct lt_kv_txn *txn, const struct lt_changeset *cs, bool *is)
{
	char name[64];
	uint64_t epoch;
	int rc;

	(void)snprintf(name, sizeof(name), "epoch/%s/%d", cs->unit.s, (int)lt_feed_lane(&cs->feed));
	rc = lt_local_get_u64(txn, name, &epoch);
	/* One that cannot be read may be this one. */
	*is =
	    rc == LT_E_CORRUPT || (rc == LT_OK && epoch != 0 && epoch == lt_feed_epoch(&cs->feed));
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* Signed in an epoch that was over, later than the wait's end by its stamp. It is taken, and not without a word. */
static void
say_outlived(struct lt_hub *h, const struct lt_changeset *cs)
{
	char feed[2 * LT_FEED_LEN + 1];

	if (!lt_recovery_outlived(h, &cs->feed))
		return;
	lt_hex(feed, cs->feed.b, LT_FEED_LEN);
	lt_error("ALARM: a node has a change-set of this hub (unit %s, feed %s, number %llu) in an "
		 "epoch that was over when it was restored, with a later stamp: %s",
	    cs->unit.s, feed, (unsigned long long)cs->seq,
	    LT_STAMP_MS(cs->stamp) <= lt_wall_ms(h->clock)
		? "the machine of before may run beside this one: look for it, and switch it "
		  "off for good"
		: "its clock was ahead then, or is behind now");
}

/* Was it signed before the last wait was over, or by who knew nothing of that? */
static int
is_of_before(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs, bool *is)
{
	struct lt_head head;
	int rc = LT_OK;

	*is = cs->stamp <= atomic_load(&h->recovery->ended);
	if (*is)
		return LT_OK;
	/* The clock may have been ahead then. An epoch that is here and not the one of now is one that a wait ended, or it was given back since:
	 * nothing else ends epochs of ours, and in files of ours none goes on again. */
	rc = lt_feed_log_head(txn, &cs->unit, &cs->feed, &head);
	*is = rc == LT_OK && head.seq != 0;
	if (*is)
		say_outlived(h, cs);
	return rc;
}

/* We signed this, and do not have it. After a restore that is what we wait for, and a node that was left out may come with it at any time
 * later; where nothing was restored by the tool, or it was signed since (in the epoch of now, or in one that is not here and later than the last
 * wait was over), it is the proof that files were put back by hand. A claim would be none: whoever made it could hold the hub up. From here on, in
 * this very batch, nothing is signed. */
static int
look_for_doubt(struct taking *t, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	struct lt_recovery *r = t->h->recovery;
	bool present = false, before = false;
	int rc;

	if (atomic_load(&r->on))
		return LT_OK;
	rc = is_present_epoch(txn, cs, &present);
	if (rc == LT_OK && atomic_load(&r->ever) && !present)
		rc = is_of_before(t->h, txn, cs, &before);
	if (rc != LT_OK || before)
		return rc;
	t->was_ever = atomic_load(&r->ever);
	rc = doubt(r, txn);
	if (rc != LT_OK)
		return rc;
	t->doubts = true;
	atomic_store(&r->ever, true);
	atomic_store(&r->on, true);
	return LT_OK;
}

/* Another one stands under its number, or before it: kept as evidence, once. What counts is what is here; but what it erased stays erased, and
 * whom it revoked is out. */
static int
keep_other(struct taking *t, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	bool is_new = false, lost = false;
	int rc = LT_SIM_BUG(HUB_FORK_NOT_KEPT) ? LT_OK : lt_forks_keep_new(t->h, txn, cs, &is_new);

	if (rc == LT_OK)
		rc = lt_resay_lost(t->h, txn, cs, &lost, &t->erased);
	t->changed += is_new || lost;
	if (rc != LT_OK || !is_new)
		return rc;
	lt_error("ALARM: a node has another change-set %llu of one of this hub's own feeds (unit "
		 "%s): two hubs signed with one key, or one was restored by copying files",
	    (unsigned long long)cs->seq, cs->unit.s);
	return look_for_doubt(t, txn, cs);
}

/* *next: nothing was written yet, and cs is what comes next. What does not fit is left where it is. */
static int
look_at(struct taking *t, struct lt_kv_txn *txn, const struct lt_changeset *cs, bool *next)
{
	struct lt_head head;
	struct lt_hash have;
	bool lost = false;
	int chain, rc = lt_feed_log_head(txn, &cs->unit, &cs->feed, &head);

	*next = false;
	if (rc != LT_OK)
		return rc;
	chain = lt_changeset_verify_chain(cs, head.seq, &head.hash, head.stamp);
	if (chain == LT_E_EXISTS) {
		rc = lt_feed_log_hash(txn, &cs->unit, &cs->feed, cs->seq, &have);
		/* What is damaged here is the repair's matter, and no reason to leave the rest of what came. */
		if (rc == LT_E_CORRUPT)
			return LT_OK;
		if (rc != LT_OK || lt_hash_eq(&have, &cs->hash))
			return rc;
		chain = LT_E_FORK;
	}
	if (chain == LT_E_FORK || chain == LT_E_BADHASH)
		return keep_other(t, txn, cs);
	/* Further on in such a branch: it is ours, signed, and what it revoked and erased is in force wherever it stands. */
	if (chain == LT_E_GAP) {
		rc = lt_resay_lost(t->h, txn, cs, &lost, &t->erased);
		t->changed += lost;
		return rc;
	}
	*next = chain == LT_OK;
	return LT_OK;
}

/* `late/unit/feed/seq` in table local: this change-set of ours has a verdict that another one contradicts, which was said before it came back. */
static void
late_name(char out[160], const struct lt_unit *unit, const struct lt_feed_id *feed, uint64_t seq)
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, feed->b, LT_FEED_LEN);
	(void)snprintf(out, 160, "late/%s/%s/%016llx", unit->s, hex, (unsigned long long)seq);
}

bool
lt_recovery_late(struct lt_hub *h, struct lt_kv_txn *log, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq)
{
	struct lt_slice v;
	char name[160];

	if (h->recovery == NULL || !atomic_load(&h->recovery->late))
		return false;
	late_name(name, unit, feed, seq);
	return lt_local_get(log, name, &v) != LT_E_NOTFOUND; /* also a damaged one */
}

/* What was judged anew in the meantime, and said, stays as that says; all else that the change-set brings counts. */
static int
look_for_contradiction(struct taking *t, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	static const uint8_t one = 1;
	char name[160];
	bool is = false;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < cs->nchange && !is; i++) {
		const struct lt_change *c = &cs->change[i];

		if (strcmp(c->collection, "_verdict") == 0 && c->nset == 1 &&
		    c->set[0].pb->value != NULL &&
		    c->set[0].pb->value->v_case == LTPB__VALUE__V_BYTES)
			rc = lt_verdicts_contradicts(txn, &cs->unit,
			    lt_slice(
				c->set[0].pb->value->bytes.data, c->set[0].pb->value->bytes.len),
			    &is);
	}
	if (rc != LT_OK || !is)
		return rc;
	lt_error(
	    "ALARM: a node has a verdict of this hub (unit %s) that another one contradicts, which "
	    "was said since files were put back or came back before it, and which counts: that "
	    "node, and any other that had it before, shows other values, and has to be set up anew",
	    cs->unit.s);
	late_name(name, &cs->unit, &cs->feed, cs->seq);
	rc = lt_local_put(txn, name, lt_slice(&one, 1));
	if (rc == LT_OK)
		atomic_store(&t->h->recovery->late, true);
	return rc;
}

static int
take_one(struct taking *t, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	struct lt_judgement accepted = { 0 };
	uint64_t position, removed;
	bool next;
	int rc = look_at(t, txn, cs, &next);

	if (rc != LT_OK || !next)
		return rc;
	t->changed++;
	rc = look_for_doubt(t, txn, cs);
	if (rc == LT_OK)
		rc = look_for_contradiction(t, txn, cs);
	if (rc == LT_OK)
		rc = lt_feed_log_append(txn, cs, (uint64_t)lt_wall_ms(t->h->clock), &position);
	if (rc == LT_OK)
		rc = lt_feed_log_judge(
		    txn, &cs->unit, &cs->feed, cs->seq, position, cs->stamp, &accepted);
	/* Before the commit: from then on nobody is let in by what the tables do not show yet. */
	if (rc == LT_OK)
		rc = lt_bars_note(t->h, cs, position);
	if (rc == LT_OK)
		rc = note_acts(t, txn, cs, position);
	/* Said before the restore: what it named is in the backup again. */
	if (rc == LT_OK)
		rc = lt_erase_acts(txn, cs, &removed);
	if (rc == LT_OK)
		rc = end_epoch(t, txn, cs);
	if (rc != LT_OK)
		return rc;
	/* A clock's row that cannot be read keeps this hub from signing, not from taking back. */
	rc = lt_author_saw(txn, 0, cs->stamp);
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

static void
take_back_doubt(struct taking *t)
{
	if (!t->doubts)
		return;
	t->doubts = false;
	atomic_store(&t->h->recovery->on, false);
	atomic_store(&t->h->recovery->ever, t->was_ever);
}

static int
run_take(struct lt_kv_txn *txn, void *ctx)
{
	struct taking *t = ctx;
	size_t i;
	int rc = LT_OK;

	take_back_doubt(t); /* a job may run again */
	t->again = t->erased = false;
	t->changed = 0;
	/* What comes back must not cover what the tables tell. */
	t->marked = atomic_load(&t->h->doubt_owed);
	if (t->marked)
		rc = mark_owed(t->h->recovery, txn);
	for (i = 0; rc == LT_OK && i < t->n; i++)
		rc = take_one(t, txn, &t->cs[i]);
	return rc == LT_OK && t->again ? lt_projector_owe(txn) : rc;
}

static int
note_feed(struct taking *t, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	struct lt_intake_feed *f;
	struct lt_head head;
	size_t i;
	int rc;

	for (i = 0; i < t->nfeed; i++)
		if (lt_feed_id_cmp(&t->feed[i].feed, &cs->feed) == 0)
			return LT_OK;
	f = &t->feed[t->nfeed++];
	f->unit = cs->unit;
	f->feed = cs->feed;
	rc = lt_feed_log_head(txn, &cs->unit, &cs->feed, &head);
	f->held = head.seq;
	f->held_hash = head.hash;
	f->need = true;
	return rc;
}

static void
take_done(void *ctx, int rc)
{
	struct taking *t = ctx;
	struct lt_intake_result r = { 0 };
	struct lt_kv_txn *txn;
	size_t i;

	if (rc == LT_OK && t->again)
		lt_hub_rebuild(t->h);
	if (rc == LT_OK && t->erased)
		lt_reshow_want(t->h);
	if (rc == LT_OK && t->marked)
		owed_done(t->h);
	if (rc != LT_OK) {
		t->changed = 0;
		take_back_doubt(t);
	} else if (t->doubts) {
		say_doubt("a node has what it signed and does not have");
	}
	if (rc == LT_OK && t->n != 0) {
		rc = lt_kv_begin_read(t->h->log, &txn);
		if (rc == LT_OK) {
			for (i = 0; rc == LT_OK && i < t->n; i++)
				rc = note_feed(t, txn, &t->cs[i]);
			lt_kv_abort(txn);
		}
	}
	if (rc == LT_OK && t->n == 0)
		rc = t->rc;
	r.rc = rc;
	r.why = t->err.text[0] != '\0' ? t->err.text : lt_strerror(rc);
	r.nfeed = t->nfeed;
	r.feed = t->feed;
	/* While it recovers it asked for it, each node. */
	if (!lt_hub_recovering(t->h) && !lt_intake_could_not(rc))
		r.vain = t->given - t->changed;
	t->done(t->ctx, &r);
	lt_arena_fini(&t->arena);
	free(t);
}

void
lt_hub_take_back(
    struct lt_hub *h, const struct lt_slice *bytes, size_t n, lt_intake_fn *done, void *ctx)
{
	struct lt_intake_result none = { .rc = LT_E_NOMEM, .why = "out of memory" };
	struct taking *t = calloc(1, sizeof(*t));
	struct lt_registry *reg;
	size_t i;
	int rc;

	if (t == NULL) {
		done(ctx, &none);
		return;
	}
	t->h = h;
	t->done = done;
	t->ctx = ctx;
	t->given = n;
	lt_arena_init(&t->arena, LT_HUB_ARENA);
	t->cs = n > LT_PUSH_MAX ? NULL : lt_arena_alloc(&t->arena, (n + 1) * sizeof(*t->cs));
	t->rc = t->cs == NULL ? LT_E_INVALID : LT_OK;
	reg = lt_hub_registry(h);
	/* One that cannot be taken ends its own feed, as what follows it does not fit then. */
	for (i = 0; t->cs != NULL && i < n; i++) {
		rc = read_one(t, reg, bytes[i], &t->cs[t->n]);
		t->n += rc == LT_OK;
		if (t->rc == LT_OK)
			t->rc = rc;
	}
	lt_registry_unref(reg);
	if (t->n == 0) {
		take_done(t, LT_OK);
		return;
	}
	rc = lt_writer_submit(h->writer, run_take, take_done, t);
	if (rc != LT_OK)
		take_done(t, rc);
}

/* ---- life ---- */

static int
read_row(struct lt_recovery *r, struct lt_slice v)
{
	struct lt_reader rd;
	struct lt_slice id;
	struct lt_id p;
	uint64_t ended;
	int rc = LT_OK;

	atomic_store(&r->ever, true);
	if (is_over(v, &ended)) {
		atomic_store(&r->ended, ended);
		return LT_OK;
	}
	lt_reader_init(&rd, v);
	if (lt_read_u8(&rd) != 1)
		return LT_E_CORRUPT;
	r->restored_ms = (int64_t)lt_read_u64(&rd);
	id = lt_read_bytes(&rd, LT_BACKUP_ID_LEN);
	if (rd.err != LT_OK || (v.len - ROW_HEAD) % LT_ID_LEN != 0)
		return LT_E_CORRUPT;
	memcpy(r->backup, id.data, LT_BACKUP_ID_LEN);
	while (rc == LT_OK && r->without.n < (v.len - ROW_HEAD) / LT_ID_LEN) {
		memcpy(p.b, v.data + ROW_HEAD + r->without.n * LT_ID_LEN, LT_ID_LEN);
		if (has(&r->without, &p))
			return LT_E_CORRUPT;
		rc = add(&r->without, &p);
	}
	atomic_store(&r->on, true);
	return rc;
}

/* It waits since they told it, and could not empty them yet: what operators said in the meantime stands. */
static int
is_known_sign(struct lt_kv_txn *txn, const uint8_t sign[LT_BACKUP_ID_LEN], bool *is)
{
	struct lt_slice v;
	int rc = lt_local_get(txn, LT_LOCAL_RESTORED, &v);

	*is = rc == LT_OK && v.len >= ROW_HEAD && v.data[0] == 1 &&
	      memcmp(v.data + ROW_HEAD - LT_BACKUP_ID_LEN, sign, LT_BACKUP_ID_LEN) == 0;
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

static int
mark_now(struct lt_hub *h, const uint8_t sign[LT_BACKUP_ID_LEN])
{
	struct lt_kv_txn *txn;
	int rc = lt_kv_begin_write(h->log, &txn);

	if (rc != LT_OK)
		return rc;
	rc = mark(txn, sign, lt_wall_ms(h->clock));
	if (rc == LT_OK)
		return lt_kv_commit(txn);
	lt_kv_abort(txn);
	return rc;
}

int
lt_recovery_ask_tables(struct lt_hub *h)
{
	uint8_t sign[LT_DERIVED_SIGN_LEN];
	struct lt_kv_txn *txn;
	bool ahead, known = false, other;
	int rc = lt_derived_ahead(h->log, h->derived, &ahead, sign);

	if (rc != LT_OK || !ahead || LT_SIM_BUG(TABLES_NO_WITNESS))
		return rc;
	rc = lt_kv_begin_read(h->log, &txn);
	if (rc != LT_OK)
		return rc;
	rc = is_known_sign(txn, sign, &known);
	lt_kv_abort(txn);
	if (rc != LT_OK || known)
		return rc;
	rc = mark_now(h, sign);
	if (rc == LT_OK || rc == LT_E_NOSPACE)
		say_doubt("its tables show more than its log has");
	if (rc != LT_E_NOSPACE)
		return rc;
	/* It would answer from rows that it cannot read. */
	if (lt_derived_other_version(h->derived, &other) != LT_OK || other) {
		lt_error("the disk is full, and the tables that tell it are of another version of "
			 "this program: this hub starts when there is room");
		return LT_E_NOSPACE;
	}
	lt_error("the disk is full: that this hub is in doubt is written down when there is room");
	memcpy(h->doubt_sign, sign, sizeof(sign));
	atomic_store(&h->doubt_owed, true);
	return LT_OK;
}

/* Is there any? */
static int
scan_late(struct lt_recovery *r, struct lt_kv_txn *txn)
{
	const struct lt_slice in = lt_slice_str("late/");
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_at(c, in, in, &k, &v);
	atomic_store(&r->late, rc == LT_OK || rc == LT_E_CORRUPT);
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* Whatever the row says: the tables told more. */
static void
doubt_unwritten(struct lt_recovery *r)
{
	r->restored_ms = lt_wall_ms(r->h->clock);
	memcpy(r->backup, r->h->doubt_sign, sizeof(r->backup));
	r->without.n = 0;
	atomic_store(&r->ever, true);
	atomic_store(&r->on, true);
}

int
lt_recovery_open(struct lt_hub *h, struct lt_recovery **out)
{
	struct lt_recovery *r = calloc(1, sizeof(*r));
	struct lt_kv_txn *txn;
	struct lt_slice v;
	int rc;

	if (r == NULL)
		return LT_E_NOMEM;
	r->h = h;
	pthread_mutex_init(&r->mx, NULL);
	rc = lt_kv_begin_read(h->log, &txn);
	if (rc == LT_OK) {
		rc = lt_local_get(txn, LT_LOCAL_RESTORED, &v);
		if (rc == LT_OK)
			rc = read_row(r, v);
		else if (rc == LT_E_NOTFOUND)
			rc = LT_OK;
		if (rc == LT_OK)
			rc = scan_late(r, txn);
		lt_kv_abort(txn);
	}
	if (rc != LT_OK) {
		lt_recovery_close(r);
		return rc;
	}
	if (atomic_load(&h->doubt_owed))
		doubt_unwritten(r);
	if (atomic_load(&r->on))
		lt_warn("this hub was restored from a backup: it signs nothing before every active "
			"node has given back what it has of the hub's feeds (ltctl recovery)");
	*out = r;
	return LT_OK;
}

void
lt_recovery_close(struct lt_recovery *r)
{
	if (r == NULL)
		return;
	pthread_mutex_destroy(&r->mx);
	free(r->heard.id);
	free(r->without.id);
	free(r->claimed.id);
	free(r);
}
