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

static void
save(struct lt_alarms *a, const struct lt_hash *gone, const struct lt_alarm *alarm)
{
	struct save_job j = { gone, alarm };
	int rc = lt_writer_run(lt_hub_writer(a->h), run_save, &j);

	if (rc != LT_OK)
		lt_error("an alarm was not written: %s", lt_strerror(rc));
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
			save(a, NULL, &a->kept[i].alarm);
	pthread_mutex_destroy(&a->raise_mx);
	pthread_mutex_destroy(&a->mx);
	free(a);
}

/* ---- raising ---- */

/* The place of this invitation: its own, a new one, or that of the one not tried for longest. */
static struct kept *
place_of(struct lt_alarms *a, const struct lt_hash *token, bool *own)
{
	size_t i, oldest = 0;

	for (i = 0; i < a->n; i++) {
		*own = memcmp(a->kept[i].alarm.token.b, token->b, LT_HASH_LEN) == 0;
		if (*own)
			return &a->kept[i];
		if (a->kept[i].alarm.last_ms < a->kept[oldest].alarm.last_ms)
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
	k->alarm = next;
}

void
lt_alarm_raise(struct lt_alarms *a, const struct lt_alarm *what)
{
	int64_t mono = lt_mono_ms(lt_hub_clock(a->h)), wall = lt_wall_ms(lt_hub_clock(a->h));
	struct lt_alarm now;
	struct lt_hash gone;
	struct kept *k;
	bool own, full, tell;

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
	tell = !own || mono - k->told_ms >= LT_ALARM_QUIET_MS;
	count_again(k, what, wall);
	if (tell)
		k->told_ms = mono;
	k->dirty = !tell;
	now = k->alarm;
	pthread_mutex_unlock(&a->mx);
	if (tell) {
		lt_error(
		    "ALARM: an invitation for %s%s was used a second time, from %s, attempt %llu; "
		    "see 'ltctl enrol list'",
		    now.unit.s, now.org, now.address, (unsigned long long)now.times);
		save(a, full ? &gone : NULL, &now);
	}
	pthread_mutex_unlock(&a->raise_mx);
}

/* ---- telling ---- */

size_t
lt_alarms_count(struct lt_alarms *a)
{
	size_t n;

	pthread_mutex_lock(&a->mx);
	n = a->n;
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
	*out = m;
	return m->unit == NULL || m->org == NULL || m->principal.data == NULL || m->address == NULL
		   ? LT_E_NOMEM
		   : LT_OK;
}

int
lt_alarms_list(struct lt_alarms *a, struct lt_arena *arena, Ltpb__InvitationAlarm ***out, size_t *n)
{
	int rc = LT_OK;
	size_t i;

	*n = 0;
	pthread_mutex_lock(&a->mx);
	*out = lt_arena_alloc(arena, (a->n + 1) * sizeof(**out));
	if (*out == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < a->n; i++) {
		rc = to_message(&a->kept[i].alarm, arena, &(*out)[i]);
		*n += rc == LT_OK;
	}
	pthread_mutex_unlock(&a->mx);
	if (rc == LT_OK)
		qsort(*out, *n, sizeof(**out), by_last);
	return rc;
}
