#include "hub/alarm.h"
#include "proto/base/log.h"
#include "proto/store/tables.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ROW_VERSION 1
#define ROW_MAX 1024
#define KEY_LEN (1 + LT_HASH_LEN)

struct kept {
	struct lt_alarm alarm;
	int64_t told_ms; /* monotonic; when it was last written and logged */
	bool dirty; /* counted since */
};

struct lt_alarms {
	struct lt_hub *h;
	pthread_mutex_t raise_mx; /* one at a time, held over disk; taken before mx */
	pthread_mutex_t mx; /* guards what follows; never held over disk */
	size_t n;
	struct kept kept[LT_ALARMS_MAX];
};

static void
put_row(struct lt_buf *b, const struct lt_alarm *a)
{
	lt_buf_u8(b, ROW_VERSION);
	lt_buf_u64(b, (uint64_t)a->first_ms);
	lt_buf_u64(b, (uint64_t)a->last_ms);
	lt_buf_u64(b, a->times);
	lt_buf_u8(b, (uint8_t)a->role);
	lt_buf_framed8(b, lt_slice_str(a->unit.s));
	lt_buf_framed8(b, lt_slice_str(a->org));
	lt_buf_put(b, a->by.b, LT_ID_LEN);
	lt_buf_framed8(b, lt_slice_str(a->address));
	if (a->acknowledged_ms == 0)
		return;
	lt_buf_u64(b, (uint64_t)a->acknowledged_ms);
	lt_buf_u64(b, a->acknowledged_times);
	lt_buf_put(b, a->acknowledged_by.b, LT_ID_LEN);
}

static void
get_acknowledged(struct lt_reader *r, struct lt_alarm *a)
{
	struct lt_slice by;

	if (lt_reader_left(r) == 0)
		return;
	a->acknowledged_ms = (int64_t)lt_read_u64(r);
	a->acknowledged_times = lt_read_u64(r);
	by = lt_read_bytes(r, LT_ID_LEN);
	if (r->err == LT_OK)
		memcpy(a->acknowledged_by.b, by.data, LT_ID_LEN);
}

static bool
is_open(const struct lt_alarm *a)
{
	return a->acknowledged_ms == 0 || a->times > a->acknowledged_times;
}

static int
get_row(struct lt_slice k, struct lt_slice v, struct lt_alarm *a)
{
	struct lt_slice unit, by;
	struct lt_reader r;

	memset(a, 0, sizeof(*a));
	memcpy(a->token.b, k.data + 1, LT_HASH_LEN);
	lt_reader_init(&r, v);
	if (lt_read_u8(&r) != ROW_VERSION)
		return LT_E_CORRUPT;
	a->first_ms = (int64_t)lt_read_u64(&r);
	a->last_ms = (int64_t)lt_read_u64(&r);
	a->times = lt_read_u64(&r);
	a->role = (Ltpb__Role)lt_read_u8(&r);
	unit = lt_read_framed8(&r);
	lt_slice_to_text(a->org, sizeof(a->org), lt_read_framed8(&r));
	by = lt_read_bytes(&r, LT_ID_LEN);
	lt_slice_to_text(a->address, sizeof(a->address), lt_read_framed8(&r));
	get_acknowledged(&r, a);
	if (r.err != LT_OK || (unit.len != 0 && lt_unit_set(&a->unit, unit) != LT_OK))
		return LT_E_CORRUPT;
	memcpy(a->by.b, by.data, LT_ID_LEN);
	return LT_OK;
}

/* ---- storing ---- */

struct save_job {
	const struct lt_hash *gone; /* NULL: none makes room */
	const struct lt_alarm *alarm;
};

static struct lt_slice
key_of(const struct lt_hash *token, uint8_t key[KEY_LEN])
{
	key[0] = 'a';
	memcpy(key + 1, token->b, LT_HASH_LEN);
	return lt_slice(key, KEY_LEN);
}

static int
run_save(struct lt_kv_txn *txn, void *ctx)
{
	const struct save_job *j = ctx;
	uint8_t key[KEY_LEN];
	struct lt_buf b;
	int rc = j->gone == NULL ? LT_OK : lt_kv_del(txn, LT_T_ENROL, key_of(j->gone, key));

	if (rc != LT_OK && rc != LT_E_NOTFOUND)
		return rc;
	lt_buf_init(&b, ROW_MAX);
	put_row(&b, j->alarm);
	rc = b.err != LT_OK
		 ? b.err
		 : lt_kv_put(txn, LT_T_ENROL, key_of(&j->alarm->token, key), lt_buf_slice(&b));
	lt_buf_fini(&b);
	return rc;
}

static int
save(struct lt_alarms *a, const struct lt_hash *gone, const struct lt_alarm *alarm)
{
	struct save_job j = { gone, alarm };
	int rc = lt_writer_run(lt_hub_writer(a->h), run_save, &j);

	if (rc != LT_OK)
		lt_error("an alarm was not written: %s", lt_strerror(rc));
	return rc;
}

static int
load(struct lt_alarms *a, struct lt_kv_txn *txn)
{
	static const uint8_t from[] = { 'a' };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_ENROL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek(c, lt_slice(from, sizeof(from)), &k, &v);
	while (rc == LT_OK && k.data[0] == 'a' && a->n < LT_ALARMS_MAX) {
		/* The hash of a token may begin with this letter, too. */
		if (k.len == KEY_LEN)
			rc = get_row(k, v, &a->kept[a->n++].alarm);
		if (rc == LT_OK)
			rc = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_alarms_open(struct lt_hub *h, struct lt_alarms **out)
{
	struct lt_alarms *a = calloc(1, sizeof(*a));
	struct lt_kv_txn *txn;
	int rc;
	size_t i;

	if (a == NULL)
		return LT_E_NOMEM;
	a->h = h;
	pthread_mutex_init(&a->raise_mx, NULL);
	pthread_mutex_init(&a->mx, NULL);
	rc = lt_kv_begin_read(lt_hub_log(h), &txn);
	if (rc == LT_OK) {
		rc = load(a, txn);
		lt_kv_abort(txn);
	}
	for (i = 0; i < a->n; i++)
		a->kept[i].told_ms = lt_mono_ms(lt_hub_clock(h)) - LT_ALARM_QUIET_MS;
	if (rc == LT_OK)
		*out = a;
	else
		lt_alarms_close(a);
	return rc;
}

void
lt_alarms_close(struct lt_alarms *a)
{
	size_t i;

	if (a == NULL)
		return;
	for (i = 0; i < a->n; i++)
		if (a->kept[i].dirty)
			(void)save(a, NULL, &a->kept[i].alarm);
	pthread_mutex_destroy(&a->raise_mx);
	pthread_mutex_destroy(&a->mx);
	free(a);
}

/* ---- raising ---- */

/* Does x give way before y? Those seen to first, then the one not tried for longest. */
static bool
gives_way(const struct lt_alarm *x, const struct lt_alarm *y)
{
	return is_open(x) != is_open(y) ? is_open(y) : x->last_ms < y->last_ms;
}

/* The place of this invitation: its own, a new one, or that of the one that gives way. */
static struct kept *
place_of(struct lt_alarms *a, const struct lt_hash *token, bool *own)
{
	size_t i, oldest = 0;

	for (i = 0; i < a->n; i++) {
		*own = memcmp(a->kept[i].alarm.token.b, token->b, LT_HASH_LEN) == 0;
		if (*own)
			return &a->kept[i];
		if (gives_way(&a->kept[i].alarm, &a->kept[oldest].alarm))
			oldest = i;
	}
	*own = false;
	return a->n < LT_ALARMS_MAX ? &a->kept[a->n] : &a->kept[oldest];
}

static void
count_again(struct kept *k, const struct lt_alarm *what, int64_t now_ms)
{
	struct lt_alarm next = *what;

	next.first_ms = k->alarm.first_ms;
	next.times = k->alarm.times + 1;
	next.last_ms = now_ms;
	next.acknowledged_ms = k->alarm.acknowledged_ms;
	next.acknowledged_times = k->alarm.acknowledged_times;
	next.acknowledged_by = k->alarm.acknowledged_by;
	k->alarm = next;
}

void
lt_alarm_raise(struct lt_alarms *a, const struct lt_alarm *what)
{
	int64_t mono = lt_mono_ms(lt_hub_clock(a->h)), wall = lt_wall_ms(lt_hub_clock(a->h));
	struct lt_alarm now;
	struct lt_hash gone;
	struct kept *k;
	bool own, full, tell, was_open;

	pthread_mutex_lock(&a->raise_mx);
	pthread_mutex_lock(&a->mx);
	k = place_of(a, &what->token, &own);
	full = !own && k != &a->kept[a->n];
	gone = k->alarm.token;
	if (!own) {
		a->n += !full;
		memset(k, 0, sizeof(*k));
		k->alarm.first_ms = wall;
	}
	was_open = own && is_open(&k->alarm);
	/* What an operator has seen to becomes an alarm again at once. */
	tell = !was_open || mono - k->told_ms >= LT_ALARM_QUIET_MS;
	count_again(k, what, wall);
	if (tell)
		k->told_ms = mono;
	k->dirty = !tell;
	now = k->alarm;
	pthread_mutex_unlock(&a->mx);
	if (tell) {
		lt_error(
		    "ALARM: an invitation for %s%s was used a second time, from %s, attempt %llu; "
		    "see 'ltctl alarms'",
		    now.unit.s, now.org, now.address, (unsigned long long)now.times);
		(void)save(a, full ? &gone : NULL, &now);
	}
	pthread_mutex_unlock(&a->raise_mx);
}

/* ---- acknowledging ---- */

/* With mx held. NULL: there is none. */
static struct kept *
find(struct lt_alarms *a, const struct lt_hash *token)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (lt_hash_eq(&a->kept[i].alarm.token, token))
			return &a->kept[i];
	return NULL;
}

static void
log_acknowledged(const struct lt_alarm *a)
{
	char by[2 * LT_ID_LEN + 1], id[2 * LT_HASH_LEN + 1];
	static const struct lt_id nobody;

	lt_hex(by, a->acknowledged_by.b, LT_ID_LEN);
	lt_hex(id, a->token.b, LT_HASH_LEN);
	lt_info(
	    "the alarm %.16s of an invitation for %s%s was acknowledged, attempts up to %llu, by "
	    "%s",
	    id, a->unit.s, a->org, (unsigned long long)a->acknowledged_times,
	    lt_id_eq(&a->acknowledged_by, &nobody) ? "somebody at this machine" : by);
}

/* raise_mx is held all the time: nobody else changes an alarm, so that what was written is what then counts. */
int
lt_alarm_acknowledge(
    struct lt_alarms *a, const struct lt_hash *token, uint64_t times, const struct lt_id *by)
{
	static const struct lt_id nobody;
	struct lt_alarm now;
	struct kept *k;
	int rc = LT_OK;

	pthread_mutex_lock(&a->raise_mx);
	pthread_mutex_lock(&a->mx);
	k = find(a, token);
	if (k != NULL)
		now = k->alarm;
	pthread_mutex_unlock(&a->mx);
	if (k == NULL) {
		rc = LT_E_NOTFOUND;
		goto out;
	}
	if (times == 0 || times > now.times)
		times = now.times;
	if (now.acknowledged_ms != 0 && times <= now.acknowledged_times)
		goto out;
	now.acknowledged_ms = lt_wall_ms(lt_hub_clock(a->h));
	now.acknowledged_times = times;
	now.acknowledged_by = by != NULL ? *by : nobody;
	rc = save(a, NULL, &now);
	if (rc != LT_OK)
		goto out;
	log_acknowledged(&now);
	pthread_mutex_lock(&a->mx);
	k->alarm = now;
	k->dirty = false;
	pthread_mutex_unlock(&a->mx);
out:
	pthread_mutex_unlock(&a->raise_mx);
	return rc;
}

/* ---- telling ---- */

size_t
lt_alarms_count(struct lt_alarms *a)
{
	size_t i, n = 0;

	pthread_mutex_lock(&a->mx);
	for (i = 0; i < a->n; i++)
		n += is_open(&a->kept[i].alarm);
	pthread_mutex_unlock(&a->mx);
	return n;
}

static int
by_last(const void *a, const void *b)
{
	const Ltpb__InvitationAlarm *const *x = a, *const *y = b;

	return ((*y)->last_ms > (*x)->last_ms) - ((*y)->last_ms < (*x)->last_ms);
}

static int
to_acknowledged(const struct lt_alarm *a, struct lt_arena *arena, Ltpb__InvitationAlarm *m)
{
	static const struct lt_id nobody;

	if (a->acknowledged_ms == 0)
		return LT_OK;
	m->acknowledged_ms = a->acknowledged_ms;
	m->acknowledged_times = a->acknowledged_times;
	if (lt_id_eq(&a->acknowledged_by, &nobody))
		return LT_OK;
	m->acknowledged_by.data = lt_arena_dup(arena, a->acknowledged_by.b, LT_ID_LEN);
	m->acknowledged_by.len = LT_ID_LEN;
	return m->acknowledged_by.data == NULL ? LT_E_NOMEM : LT_OK;
}

static int
to_message(const struct lt_alarm *a, struct lt_arena *arena, Ltpb__InvitationAlarm **out)
{
	Ltpb__InvitationAlarm *m = lt_arena_alloc(arena, sizeof(*m));

	if (m == NULL)
		return LT_E_NOMEM;
	ltpb__invitation_alarm__init(m);
	m->role = a->role;
	m->unit = lt_arena_dup(arena, a->unit.s, strlen(a->unit.s));
	m->org = lt_arena_dup(arena, a->org, strlen(a->org));
	m->principal.data = lt_arena_dup(arena, a->by.b, LT_ID_LEN);
	m->principal.len = LT_ID_LEN;
	m->address = lt_arena_dup(arena, a->address, strlen(a->address));
	m->first_ms = a->first_ms;
	m->last_ms = a->last_ms;
	m->times = a->times;
	m->id.data = lt_arena_dup(arena, a->token.b, LT_HASH_LEN);
	m->id.len = LT_HASH_LEN;
	*out = m;
	return m->unit == NULL || m->org == NULL || m->principal.data == NULL ||
		       m->address == NULL || m->id.data == NULL
		   ? LT_E_NOMEM
		   : to_acknowledged(a, arena, m);
}

int
lt_alarm_find(struct lt_alarms *a, const struct lt_hash *token, struct lt_arena *arena,
    Ltpb__InvitationAlarm **out)
{
	struct kept *k;
	int rc;

	pthread_mutex_lock(&a->mx);
	k = find(a, token);
	rc = k == NULL ? LT_E_NOTFOUND : to_message(&k->alarm, arena, out);
	pthread_mutex_unlock(&a->mx);
	return rc;
}

int
lt_alarms_list(struct lt_alarms *a, bool acknowledged, struct lt_arena *arena,
    Ltpb__InvitationAlarm ***out, size_t *n)
{
	int rc = LT_OK;
	size_t i;

	*n = 0;
	pthread_mutex_lock(&a->mx);
	*out = lt_arena_alloc(arena, (a->n + 1) * sizeof(**out));
	if (*out == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < a->n; i++) {
		if (!acknowledged && !is_open(&a->kept[i].alarm))
			continue;
		rc = to_message(&a->kept[i].alarm, arena, &(*out)[*n]);
		*n += rc == LT_OK;
	}
	pthread_mutex_unlock(&a->mx);
	if (rc == LT_OK)
		qsort(*out, *n, sizeof(**out), by_last);
	return rc;
}
