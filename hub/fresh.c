#include "hub/fresh.h"
#include "hub/outvoted.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"
#include "proto/store/tables.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 8192
#define SAVE_EVERY_MS 30000
#define LANES 4 /* 1 to 3 are used */

/* One feed a node announced. */
struct announced {
	struct lt_feed_id feed;
	uint64_t head, held;
	struct lt_hash hash; /* of the head */
	bool told; /* in this process: hash is known */
	bool foreign; /* the hub holds another change-set under the head's number */
};

#define FEEDS_MAX LT_ANNOUNCE_MAX

struct node {
	struct lt_fresh_node now;
	uint64_t conn_id;
	size_t nfeed;
	struct announced feed[FEEDS_MAX];
	bool clock_told; /* to this process: what was kept says what another clock said */
	bool more; /* it announced feeds beyond these: what it has nobody knows whole */
	bool changed;
};

struct lt_fresh {
	struct lt_hub *h;
	pthread_mutex_t mx; /* guards what follows */
	size_t n;
	struct node *node[NODES_MAX];
	int64_t saved_ms; /* monotonic */
	bool outvoted; /* as it was said last */
	int64_t offset[NODES_MAX]; /* room to weigh clocks in */
};

static int64_t
wall(const struct lt_fresh *f)
{
	return lt_wall_ms(lt_hub_clock(f->h));
}

static struct node *
find(struct lt_fresh *f, const struct lt_id *id)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (lt_id_eq(&f->node[i]->now.principal, id))
			return f->node[i];
	return NULL;
}

static struct node *
find_or_add(struct lt_fresh *f, const struct lt_id *id, const struct lt_unit *unit)
{
	struct node *n = find(f, id);

	if (n == NULL && f->n < NODES_MAX) {
		n = calloc(1, sizeof(*n));
		if (n == NULL)
			return NULL;
		n->now.principal = *id;
		f->node[f->n++] = n;
	}
	if (n != NULL)
		n->now.unit = *unit;
	return n;
}

/* ---- storing: key unit || 0 || principal; value: version, last seen, fresh times, offset, feeds ---- */

static void
put_node(struct lt_buf *b, const struct node *n)
{
	size_t i;

	lt_buf_u8(b, 1);
	lt_buf_u64(b, (uint64_t)n->now.last_seen_ms);
	for (i = 1; i < LANES; i++)
		lt_buf_u64(b, (uint64_t)n->now.fresh_ms[i]);
	lt_buf_u64(b, (uint64_t)n->now.clock_offset_ms);
	lt_buf_u8(b, (uint8_t)n->nfeed);
	for (i = 0; i < n->nfeed; i++) {
		lt_buf_put(b, n->feed[i].feed.b, LT_FEED_LEN);
		lt_buf_u64(b, n->feed[i].head);
		lt_buf_u64(b, n->feed[i].held);
	}
}

static void
recount(struct node *n)
{
	size_t i;

	memset(n->now.announced, 0, sizeof(n->now.announced));
	memset(n->now.held, 0, sizeof(n->now.held));
	n->now.foreign = false;
	for (i = 0; i < n->nfeed; i++) {
		int lane = (int)lt_feed_lane(&n->feed[i].feed);

		n->now.foreign |= n->feed[i].foreign;
		if (lane < 1 || lane >= LANES)
			continue;
		n->now.announced[lane] += n->feed[i].head;
		n->now.held[lane] +=
		    n->feed[i].held < n->feed[i].head ? n->feed[i].held : n->feed[i].head;
	}
}

static int
get_node(struct lt_fresh *f, struct lt_slice k, struct lt_slice v)
{
	struct lt_slice unit = { k.data, 0 };
	struct lt_reader r;
	struct lt_unit u;
	struct lt_id id;
	struct node *n;
	size_t i, feeds;

	if (k.len < LT_ID_LEN + 2)
		return LT_E_CORRUPT;
	unit.len = k.len - LT_ID_LEN - 1;
	memcpy(id.b, k.data + unit.len + 1, LT_ID_LEN);
	if (lt_unit_set(&u, unit) != LT_OK)
		return LT_E_CORRUPT;
	n = find_or_add(f, &id, &u);
	if (n == NULL)
		return LT_E_NOMEM;
	lt_reader_init(&r, v);
	if (lt_read_u8(&r) != 1)
		return LT_E_CORRUPT;
	n->now.last_seen_ms = (int64_t)lt_read_u64(&r);
	for (i = 1; i < LANES; i++)
		n->now.fresh_ms[i] = (int64_t)lt_read_u64(&r);
	n->now.clock_offset_ms = (int64_t)lt_read_u64(&r);
	feeds = lt_read_u8(&r);
	for (i = 0; i < feeds && i < FEEDS_MAX && r.err == LT_OK; i++) {
		struct lt_slice feed = lt_read_bytes(&r, LT_FEED_LEN);

		if (feed.len == LT_FEED_LEN)
			memcpy(n->feed[i].feed.b, feed.data, LT_FEED_LEN);
		n->feed[i].head = lt_read_u64(&r);
		n->feed[i].held = lt_read_u64(&r);
		n->nfeed = i + 1;
	}
	recount(n);
	return r.err == LT_OK ? LT_OK : LT_E_CORRUPT;
}

struct save_job {
	size_t n;
	struct lt_buf *key, *value; /* n each */
};

static int
run_save(struct lt_kv_txn *txn, void *ctx)
{
	struct save_job *j = ctx;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < j->n; i++)
		rc = lt_kv_put(
		    txn, LT_T_FRESH, lt_buf_slice(&j->key[i]), lt_buf_slice(&j->value[i]));
	return rc;
}

static void
save_done(void *ctx, int rc)
{
	struct save_job *j = ctx;
	size_t i;

	if (rc != LT_OK)
		lt_warn("freshness was not written: %s", lt_strerror(rc));
	for (i = 0; i < j->n; i++) {
		lt_buf_fini(&j->key[i]);
		lt_buf_fini(&j->value[i]);
	}
	free(j->key);
	free(j->value);
	free(j);
}

/* Called with the mutex held. What changed goes to the writer; nobody waits for it. */
static void
save_changed(struct lt_fresh *f)
{
	struct save_job *j = calloc(1, sizeof(*j));
	size_t i;

	f->saved_ms = lt_mono_ms(lt_hub_clock(f->h));
	if (j != NULL) {
		j->key = calloc(f->n + 1, sizeof(*j->key));
		j->value = calloc(f->n + 1, sizeof(*j->value));
	}
	if (j == NULL || j->key == NULL || j->value == NULL) {
		if (j != NULL)
			save_done(j, LT_E_NOMEM);
		return;
	}
	for (i = 0; i < f->n; i++) {
		struct node *n = f->node[i];

		if (!n->changed)
			continue;
		lt_buf_str(&j->key[j->n], n->now.unit.s);
		lt_buf_u8(&j->key[j->n], 0);
		lt_buf_put(&j->key[j->n], n->now.principal.b, LT_ID_LEN);
		put_node(&j->value[j->n], n);
		n->changed = false;
		j->n++;
	}
	if (j->n == 0)
		save_done(j, LT_OK);
	else if (lt_writer_submit(lt_hub_writer(f->h), run_save, save_done, j) != LT_OK)
		save_done(j, LT_E_UNAVAILABLE);
}

int
lt_fresh_open(struct lt_hub *h, struct lt_fresh **out)
{
	struct lt_fresh *f = calloc(1, sizeof(*f));
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	int rc;

	if (f == NULL)
		return LT_E_NOMEM;
	f->h = h;
	f->saved_ms = lt_mono_ms(lt_hub_clock(h));
	pthread_mutex_init(&f->mx, NULL);
	rc = lt_kv_begin_read(lt_hub_log(h), &txn);
	if (rc == LT_OK) {
		rc = lt_kv_cursor_open(txn, LT_T_FRESH, &c);
		if (rc == LT_OK) {
			rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
			while (rc == LT_OK) {
				rc = get_node(f, k, v);
				if (rc == LT_OK)
					rc = lt_kv_next(c, &k, &v);
			}
			lt_kv_cursor_close(c);
		}
		lt_kv_abort(txn);
	}
	if (rc != LT_E_NOTFOUND && rc != LT_OK) {
		lt_fresh_close(f);
		return rc;
	}
	*out = f;
	return LT_OK;
}

void
lt_fresh_close(struct lt_fresh *f)
{
	size_t i;

	if (f == NULL)
		return;
	/* A push that came just before the stop is still told here. */
	lt_hub_answer_all(f->h);
	pthread_mutex_lock(&f->mx);
	save_changed(f);
	pthread_mutex_unlock(&f->mx);
	for (i = 0; i < f->n; i++)
		free(f->node[i]);
	pthread_mutex_destroy(&f->mx);
	free(f);
}

/* ---- events ---- */

/* A lane is fresh at this moment when the hub holds every head announced in it. */
static void
weigh(struct lt_fresh *f, struct node *n)
{
	int64_t now = wall(f);
	int lane;

	recount(n);
	for (lane = 1; lane < LANES; lane++)
		if (!n->more && n->now.held[lane] >= n->now.announced[lane])
			n->now.fresh_ms[lane] = now;
	n->changed = true;
	if (lt_mono_ms(lt_hub_clock(f->h)) - f->saved_ms >= SAVE_EVERY_MS)
		save_changed(f);
}

void
lt_fresh_connected(
    struct lt_fresh *f, const struct lt_id *node, const struct lt_unit *unit, uint64_t conn_id)
{
	struct node *n;

	pthread_mutex_lock(&f->mx);
	n = find_or_add(f, node, unit);
	if (n != NULL) {
		n->now.connected = true;
		n->conn_id = conn_id;
		n->now.last_seen_ms = wall(f);
		n->changed = true;
	}
	pthread_mutex_unlock(&f->mx);
}

void
lt_fresh_gone(struct lt_fresh *f, uint64_t conn_id)
{
	size_t i;

	pthread_mutex_lock(&f->mx);
	for (i = 0; i < f->n; i++)
		if (f->node[i]->now.connected && f->node[i]->conn_id == conn_id) {
			f->node[i]->now.connected = false;
			f->node[i]->now.last_seen_ms = wall(f);
			f->node[i]->changed = true;
		}
	pthread_mutex_unlock(&f->mx);
}

/* How much of what was announced is here. Of a foreign head the hub does not know where the branches part: before it. */
static void
weigh_head(struct lt_kv_txn *log, const struct lt_unit *unit, const Ltpb__FeedHead *told,
    struct announced *a)
{
	struct lt_head head;
	struct lt_hash here;

	if (lt_feed_log_head(log, unit, &a->feed, &head) != LT_OK || a->head == 0)
		return;
	a->held = head.seq;
	if (head.seq < a->head)
		return;
	a->foreign = lt_feed_log_hash(log, unit, &a->feed, a->head, &here) != LT_OK ||
		     told->hash.len != LT_HASH_LEN ||
		     memcmp(here.b, told->hash.data, LT_HASH_LEN) != 0;
	if (a->foreign)
		a->held = a->head - 1;
}

/* false: there was no room for it. */
static bool
take_head(struct lt_kv_txn *log, const struct lt_id *node, const struct lt_unit *unit,
    const Ltpb__FeedHead *told, struct announced *feed, size_t *n)
{
	struct announced *a = &feed[*n];
	struct lt_feed_id id;
	struct lt_id author;

	if (told->feed.len != LT_FEED_LEN)
		return true;
	memcpy(id.b, told->feed.data, LT_FEED_LEN);
	author = lt_feed_author(&id);
	if (!lt_id_eq(&author, node))
		return true; /* what others wrote is not for this node to announce */
	if (*n == FEEDS_MAX)
		return false;
	memset(a, 0, sizeof(*a));
	a->feed = id;
	a->head = told->seq;
	if (told->hash.len == LT_HASH_LEN)
		memcpy(a->hash.b, told->hash.data, LT_HASH_LEN);
	a->told = true;
	if (log != NULL)
		weigh_head(log, unit, told, a);
	++*n;
	return true;
}

/* What came while the heads were weighed is not lost; in this process only, for a store may have been put back. */
static void
keep_held(struct announced *a, const struct node *x)
{
	const struct announced *was = NULL;
	size_t i;

	for (i = 0; i < x->nfeed && was == NULL; i++)
		if (lt_feed_id_cmp(&x->feed[i].feed, &a->feed) == 0)
			was = &x->feed[i];
	if (was == NULL || !was->told || was->held <= a->held || a->foreign)
		return;
	a->held = was->held;
	if (was->head == a->head && !lt_hash_eq(&was->hash, &a->hash))
		a->foreign = true;
	if (a->foreign && a->held >= a->head)
		a->held = a->head - 1;
}

/* mx held. */
static bool
outvoted(struct lt_fresh *f, int64_t *by)
{
	size_t i, n = 0;

	for (i = 0; i < f->n; i++)
		if (f->node[i]->now.connected && f->node[i]->clock_told)
			f->offset[n++] = f->node[i]->now.clock_offset_ms;
	return lt_outvoted(f->offset, n, by);
}

bool
lt_fresh_outvoted(struct lt_fresh *f, int64_t *by)
{
	bool wrong;

	pthread_mutex_lock(&f->mx);
	wrong = outvoted(f, by);
	pthread_mutex_unlock(&f->mx);
	return wrong;
}

/* Once each time it changes. mx held. */
static void
say_outvoted(struct lt_fresh *f)
{
	int64_t by;
	bool is = outvoted(f, &by);

	if (is && !f->outvoted)
		lt_error(
		    "ALARM: the clock of this hub is wrong: those of most nodes on the line are "
		    "%lld s away from it; set it, not theirs",
		    (long long)(by / 1000));
	else if (!is && f->outvoted)
		lt_info("the clock of this hub is that of most nodes on the line again");
	f->outvoted = is;
}

void
lt_fresh_announced(struct lt_fresh *f, const struct lt_id *node, const struct lt_unit *unit,
    size_t n, Ltpb__FeedHead *const *head, int64_t clock_ms)
{
	struct announced feed[FEEDS_MAX];
	struct lt_kv_txn *log = NULL;
	struct node *x;
	size_t i, k = 0;
	bool all = true;

	memset(feed, 0, sizeof(feed));
	/* What cannot be read is not held. */
	if (lt_kv_begin_read(lt_hub_log(f->h), &log) != LT_OK)
		log = NULL;
	for (i = 0; i < n && all; i++)
		all = take_head(log, node, unit, head[i], feed, &k);
	lt_kv_abort(log);
	pthread_mutex_lock(&f->mx);
	x = find_or_add(f, node, unit);
	if (x != NULL) {
		for (i = 0; i < k; i++)
			keep_held(&feed[i], x);
		memcpy(x->feed, feed, sizeof(feed));
		x->nfeed = k;
		x->more = !all;
		x->now.last_seen_ms = wall(f);
		x->now.clock_offset_ms = lt_ms_between(clock_ms, x->now.last_seen_ms);
		x->clock_told = true;
		say_outvoted(f);
		weigh(f, x);
	}
	pthread_mutex_unlock(&f->mx);
}

/* true: it is announced up to there at least, and so the moment says something of the lane. */
static bool
note_held(struct announced *a, uint64_t seq, const struct lt_hash *hash)
{
	bool announced = a->told && a->head >= seq;

	/* Of two machines with one key, the one announced it and the other sent it. */
	if (announced && a->head == seq && !lt_hash_eq(&a->hash, hash))
		a->foreign = true;
	if (a->head < seq) {
		/* What it sends, it has; and it may have more that it did not announce yet. */
		a->head = seq;
		a->hash = *hash;
	}
	if (a->held < seq)
		a->held = seq;
	if (a->foreign && a->held >= a->head)
		a->held = a->head - 1;
	return announced;
}

void
lt_fresh_held(
    struct lt_fresh *f, const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash)
{
	struct lt_id author = lt_feed_author(feed);
	int lane = (int)lt_feed_lane(feed);
	bool announced = false;
	struct node *n;
	size_t i;

	pthread_mutex_lock(&f->mx);
	n = find(f, &author);
	if (n != NULL) {
		for (i = 0; i < n->nfeed; i++)
			if (lt_feed_id_cmp(&n->feed[i].feed, feed) == 0)
				break;
		if (i == n->nfeed && n->nfeed < FEEDS_MAX)
			n->feed[n->nfeed++] = (struct announced){ .feed = *feed, .told = true };
		if (i < n->nfeed)
			announced = note_held(&n->feed[i], seq, hash);
		n->now.last_seen_ms = wall(f);
		recount(n);
		if (announced && !n->more && lane >= 1 && lane < LANES &&
		    n->now.held[lane] >= n->now.announced[lane])
			n->now.fresh_ms[lane] = n->now.last_seen_ms;
		n->changed = true;
	}
	pthread_mutex_unlock(&f->mx);
}

/* ---- answers ---- */

bool
lt_fresh_node(struct lt_fresh *f, const struct lt_id *node, struct lt_fresh_node *out)
{
	struct node *n;

	pthread_mutex_lock(&f->mx);
	n = find(f, node);
	if (n != NULL)
		*out = n->now;
	pthread_mutex_unlock(&f->mx);
	return n != NULL;
}

static void
worse(int64_t *age, int64_t now, int64_t fresh_ms)
{
	int64_t a = fresh_ms == 0 ? -1 : now > fresh_ms ? now - fresh_ms : 0;

	if (*age == -1 || a == -1)
		*age = -1; /* a node that never was fresh: nothing is known of its part */
	else if (a > *age)
		*age = a;
}

/* Revoked nodes no longer count: what they had and did not send will not come. */
static bool
counts(const struct lt_registry *reg, const struct node *n)
{
	const struct lt_principal *p = lt_registry_find(reg, &n->now.principal);

	return p != NULL && p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
}

static void
unit_locked(
    struct lt_fresh *f, const struct lt_registry *reg, const char *unit, Ltpb__UnitFreshness *out)
{
	int64_t now = wall(f);
	size_t i;
	int lane;

	for (i = 0; i < f->n; i++) {
		const struct lt_fresh_node *n = &f->node[i]->now;

		if (strcmp(n->unit.s, unit) != 0 || !counts(reg, f->node[i]))
			continue;
		out->known = true;
		out->connected |= n->connected;
		worse(&out->urgent_age_ms, now, n->fresh_ms[1]);
		worse(&out->normal_age_ms, now, n->fresh_ms[2]);
		worse(&out->bulk_age_ms, now, n->fresh_ms[3]);
		for (lane = 1; lane < LANES; lane++)
			out->behind += n->announced[lane] - n->held[lane];
	}
}

void
lt_fresh_unit(struct lt_fresh *f, const char *unit, Ltpb__UnitFreshness *out)
{
	struct lt_registry *reg = lt_hub_registry(f->h);

	pthread_mutex_lock(&f->mx);
	unit_locked(f, reg, unit, out);
	pthread_mutex_unlock(&f->mx);
	lt_registry_unref(reg);
}

static int64_t
lane_age(const Ltpb__UnitFreshness *u, int lane)
{
	int64_t a[3] = { u->urgent_age_ms, u->normal_age_ms, u->bulk_age_ms }, worst = 0;
	int i;

	if (lane >= 1 && lane <= 3)
		return a[lane - 1];
	for (i = 0; i < 3; i++) {
		if (a[i] == -1)
			return -1;
		if (a[i] > worst)
			worst = a[i];
	}
	return worst;
}

void
lt_fresh_summary(
    struct lt_fresh *f, const char *const *units, size_t n, int lane, Ltpb__FreshnessSummary *out)
{
	struct lt_registry *reg = lt_hub_registry(f->h);
	size_t i;

	out->units = (uint32_t)n;
	out->as_of_ms = wall(f);
	out->position = lt_hub_projected(f->h);
	out->log_head = lt_hub_log_position(f->h);
	pthread_mutex_lock(&f->mx);
	for (i = 0; i < n; i++) {
		Ltpb__UnitFreshness u = LTPB__UNIT_FRESHNESS__INIT;
		int64_t age;

		/* The hub writes the province's own records and the federation's: always fresh. */
		if (strlen(units[i]) != 5) {
			out->within_minute++;
			continue;
		}
		unit_locked(f, reg, units[i], &u);
		age = u.known ? lane_age(&u, lane) : -1;
		if (age == -1)
			out->never++;
		else if (age <= 60000)
			out->within_minute++;
		else if (age <= 3600000)
			out->within_hour++;
		else if (age <= 86400000)
			out->within_day++;
		else
			out->older++;
		if (age > out->oldest_age_ms) {
			out->oldest_age_ms = age;
			out->oldest_unit = (char *)units[i];
		}
	}
	pthread_mutex_unlock(&f->mx);
	lt_registry_unref(reg);
}
