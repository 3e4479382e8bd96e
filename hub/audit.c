/* The read audit: what is noted, denials alike, and the thread that signs and syncs. */
#include "hub/audit_impl.h"
#include "proto/base/log.h"
#include "proto/base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WITNESS_MS 60000
#define LEAVE_MS 60000 /* a disk that fails gets no more files than one in this time */

/* Is the file long enough? One that begins with a long table has as much of entries: else each would be full as it begins. */
static bool
is_long(const struct lt_audit *a)
{
	return a->size >= a->o.segment_bytes && a->size >= 2 * a->start;
}

/* Before its time. */
static bool
is_due(const struct lt_audit *a)
{
	return a->chain.nopen >= LT_AUDIT_BATCH || is_long(a);
}

static void
note(struct lt_audit *a, struct lt_audit_entry *e, struct lt_slice query,
    const struct lt_audit_share *share, size_t nshare)
{
	static const struct lt_audit_share all = { .unit = "*" };
	struct lt_audit_share sum = all;
	bool due = is_due(a);
	size_t i;
	int rc = lt_audit_own_up(a);

	if (rc == LT_OK && nshare <= LT_AUDIT_PARTS_MAX)
		rc = lt_audit_put_entry(a, e, query, share, nshare);
	if (rc == LT_E_TOOBIG || (rc == LT_OK && nshare > LT_AUDIT_PARTS_MAX)) {
		if (nshare != 0) {
			sum.collection = share[0].collection;
			sum.ncollection = share[0].ncollection;
		}
		for (i = 0; i < nshare; i++) {
			sum.rows += share[i].rows;
			sum.masked += share[i].masked;
			sum.withheld += share[i].withheld;
		}
		rc = lt_audit_put_entry(a, e, query, &sum, 1);
	}
	if (rc != LT_OK)
		lt_audit_lose(a,
		    rc == LT_E_NOSPACE
			? a->full || a->bytes >= a->o.max_bytes ? "cap-reached" : "disk-full"
			: "write-failed",
		    e->count);
	/* Once, not with each entry behind it. */
	if (!due && is_due(a))
		pthread_cond_signal(&a->cond);
}

/* ---- denials alike ---- */

static bool
is_like(const struct lt_audit_merge *m, const struct lt_audit_event *e, const char *unit)
{
	return m->due_ms != 0 && m->who.kind == e->who->kind && m->who.uid == e->who->uid &&
	       lt_id_eq(&m->who.id, &e->who->id) && m->status == e->status &&
	       strcmp(m->unit, unit) == 0 &&
	       strncmp(m->method, e->method, LT_AUDIT_METHOD_MAX) == 0;
}

static void flush(struct lt_audit *a, struct lt_audit_merge *m);

/* A denial like one before: counted, and true. Else it is the first of its kind; where there is no place for one more kind, the
 * one that is due soonest makes room. */
static bool
merged(struct lt_audit *a, const struct lt_audit_event *e, int64_t now)
{
	const char *unit = e->nshare != 0 ? e->share[0].unit : "";
	struct lt_audit_merge *free_one = &a->merge[0];
	size_t i;

	for (i = 0; i < LT_AUDIT_MERGES; i++) {
		struct lt_audit_merge *m = &a->merge[i];

		if (is_like(m, e, unit)) {
			if (m->count++ == 0)
				m->first_ms = now;
			m->last_ms = now;
			return true;
		}
		if (m->due_ms < free_one->due_ms)
			free_one = m;
	}
	flush(a, free_one);
	free_one->who = *e->who;
	free_one->status = (uint8_t)e->status;
	(void)snprintf(free_one->method, sizeof(free_one->method), "%s", e->method);
	(void)snprintf(free_one->unit, sizeof(free_one->unit), "%s", unit);
	free_one->due_ms = lt_mono_ms(a->o.clock) + LT_AUDIT_MERGE_MS;
	return false;
}

static void
flush(struct lt_audit *a, struct lt_audit_merge *m)
{
	struct lt_audit_entry e = { .kind = LT_AUDIT_DENIED };
	struct lt_audit_share share = { .unit = m->unit };

	m->due_ms = 0;
	if (m->count == 0)
		return;
	e.time_ms = m->first_ms;
	e.until_ms = m->last_ms;
	e.count = m->count;
	e.who = m->who;
	e.status = m->status;
	memcpy(e.method, m->method, sizeof(e.method));
	m->count = 0;
	note(a, &e, lt_slice(NULL, 0), &share, m->unit[0] != '\0');
}

static void
flush_due(struct lt_audit *a, bool all)
{
	int64_t now = lt_mono_ms(a->o.clock);
	size_t i;

	for (i = 0; i < LT_AUDIT_MERGES; i++)
		if (a->merge[i].due_ms != 0 && (all || a->merge[i].due_ms <= now))
			flush(a, &a->merge[i]);
}

void
lt_audit_note(struct lt_audit *a, const struct lt_audit_event *ev)
{
	struct lt_audit_entry e = { .count = 1 };

	if (a == NULL)
		return;
	e.kind = ev->kind;
	e.who = *ev->who;
	e.status = (uint8_t)ev->status;
	(void)snprintf(e.method, sizeof(e.method), "%s", ev->method);
	pthread_mutex_lock(&a->mx);
	e.time_ms = e.until_ms = lt_wall_ms(a->o.clock);
	if (ev->kind != LT_AUDIT_DENIED || !merged(a, ev, e.time_ms))
		note(a, &e, ev->query, ev->share, ev->nshare);
	pthread_mutex_unlock(&a->mx);
}

/* ---- the thread ---- */

/* With mx held; lets it go for the disk. Only this thread changes the file. */
static bool
sync_file(struct lt_audit *a)
{
	uint64_t size = a->size;
	bool sealed = a->chain.nopen == 0;
	int e;

	/* What a failed sync has left out is on the disk when its end was written again: lt_audit_place() of the next file. */
	if (a->leave)
		return false;
	if (!a->unsynced)
		return true;
	a->unsynced = false;
	pthread_mutex_unlock(&a->mx);
	e = fdatasync(a->fd) != 0 ? errno : 0;
	pthread_mutex_lock(&a->mx);
	if (e == 0)
		a->synced = sealed ? size : a->synced;
	else
		lt_audit_not_synced(a, e);
	a->leave = e != 0;
	return e == 0;
}

/* What stands in the old file gets its head, and on in the next one: whoever notes something waits for neither of them. */
static int
go_on(struct lt_audit *a, struct lt_err *err)
{
	int rc = lt_audit_seal(a);

	if (rc == LT_OK)
		return lt_audit_next(a, err);
	(void)lt_err_set(err, rc, "the head of the last one cannot be written");
	/* A disk that takes nothing more in this file may do so in another; one that is full will not. */
	if (!a->leave || rc == LT_E_NOSPACE)
		return rc;
	a->anew = true;
	a->anew_why = "sync-failed";
	return lt_audit_begin(a, err);
}

/* Another log has begun: what is missing is going to be said in it, which a restart has to know before it is. */
static void
remember_there(struct lt_audit *a)
{
	a->lost_news = true;
	lt_audit_remember(a, false);
}

/* false: there should be another file, and is not. */
static bool
next_file(struct lt_audit *a)
{
	int64_t now = lt_mono_ms(a->o.clock);
	uint64_t log = a->chain.at.log;
	bool leave = a->leave && (a->left_ms == 0 || now - a->left_ms >= LEAVE_MS);
	struct lt_err err = { "" };

	if (a->fd >= 0 && a->named && (is_long(a) || leave)) {
		if (go_on(a, &err) != LT_OK) {
			lt_audit_complain(a, err.text);
			return false;
		}
		if (leave)
			a->left_ms = now;
		if (a->chain.at.log != log)
			remember_there(a);
		lt_audit_make_room(a);
		return lt_audit_place(a);
	}
	if (a->bytes >= a->o.max_bytes)
		lt_audit_make_room(a);
	return a->named;
}

/* false: something could not be done, and is tried again in a while. */
static bool
work(struct lt_audit *a, bool last)
{
	bool witness = last || lt_mono_ms(a->o.clock) - a->witness_ms >= WITNESS_MS, done, synced,
	     settled;
	struct lt_err err = { "" };
	struct lt_buf head = { 0 };
	bool begins = a->fd < 0;
	uint64_t log;

	flush_due(a, last);
	if (a->full)
		lt_audit_make_room(a);
	if (a->fd < 0 && lt_audit_begin(a, &err) != LT_OK)
		lt_audit_complain(a, err.text);
	else if (begins)
		remember_there(a);
	(void)lt_audit_own_up(a);
	done = lt_audit_seal(a) == LT_OK && a->fd >= 0;
	if (!done && a->fd >= 0 && a->lost.count == 0)
		lt_warn("the head of the read audit cannot be written yet");
	settled = a->lost.count == 0;
	/* Nothing is witnessed that a power cut could take back. */
	if (witness)
		lt_buf_put_slice(&head, lt_buf_slice(&a->head));
	log = a->chain.at.log;
	synced = a->named ? sync_file(a) : lt_audit_place(a);
	done = next_file(a) && done && synced;
	lt_audit_remember(a, settled && synced);
	lt_audit_note_synced(a);
	/* Nor is what a log that was left since then ended with. */
	if (witness && synced && a->chain.at.log == log) {
		a->witness_ms = lt_mono_ms(a->o.clock);
		pthread_mutex_unlock(&a->mx);
		lt_audit_write_witness(a, lt_buf_slice(&head));
		pthread_mutex_lock(&a->mx);
	}
	lt_buf_fini(&head);
	return done;
}

static void *
run(void *arg)
{
	struct lt_audit *a = arg;
	bool done = true;

	lt_thread_begin("lt-audit", LT_NICE_NONE);
	pthread_mutex_lock(&a->mx);
	while (!a->stopping) {
		struct timespec ts;

		(void)clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_sec += LT_AUDIT_SEAL_MS / 1000;
		if (!done || !is_due(a))
			(void)pthread_cond_timedwait(&a->cond, &a->mx, &ts);
		done = work(a, false);
	}
	(void)work(a, true);
	pthread_mutex_unlock(&a->mx);
	return NULL;
}

/* ---- opening and asking ---- */

int
lt_audit_open(const struct lt_audit_options *o, struct lt_audit **out, struct lt_err *err)
{
	struct lt_audit *a = calloc(1, sizeof(*a));
	pthread_condattr_t attr;
	int rc;

	if (a == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	a->o = *o;
	a->fd = a->before_fd = a->lost_fd = a->synced_fd = -1;
	a->placed = a->named = true;
	if (a->o.segment_bytes == 0)
		a->o.segment_bytes = LT_AUDIT_SEGMENT_BYTES;
	randombytes_buf(a->salt_key, sizeof(a->salt_key));
	a->witness_ms = lt_mono_ms(o->clock);
	pthread_mutex_init(&a->mx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->cond, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_lock(&a->mx);
	rc = snprintf(a->dir, sizeof(a->dir), "%s/" LT_AUDIT_DIR, o->dir) < (int)sizeof(a->dir)
		 ? lt_audit_open_log(a, err)
		 : lt_err_set(err, LT_E_INVALID, "path too long");
	pthread_mutex_unlock(&a->mx);
	if (rc == LT_OK && pthread_create(&a->thread, NULL, run, a) != 0)
		rc = lt_err_set(err, LT_E_NOMEM, "cannot start a thread");
	if (rc == LT_OK) {
		a->running = true;
		*out = a;
		return LT_OK;
	}
	if (err != NULL && err->text[0] == '\0')
		(void)lt_err_set(err, rc, "the read audit cannot be opened: %s", lt_strerror(rc));
	lt_audit_close(a);
	return rc;
}

void
lt_audit_close(struct lt_audit *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->mx);
	a->stopping = true;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->mx);
	if (a->running)
		(void)pthread_join(a->thread, NULL);
	if (a->fd >= 0)
		(void)close(a->fd);
	if (a->before_fd >= 0)
		(void)close(a->before_fd);
	if (a->lost_fd >= 0)
		(void)close(a->lost_fd);
	if (a->synced_fd >= 0)
		(void)close(a->synced_fd);
	lt_audit_chain_fini(&a->chain);
	lt_buf_fini(&a->parts);
	lt_buf_fini(&a->entry);
	lt_buf_fini(&a->payload);
	lt_buf_fini(&a->frame);
	lt_buf_fini(&a->head);
	sodium_memzero(a->salt_key, sizeof(a->salt_key));
	pthread_cond_destroy(&a->cond);
	pthread_mutex_destroy(&a->mx);
	free(a);
}

void
lt_audit_status(struct lt_audit *a, struct lt_audit_status *out)
{
	memset(out, 0, sizeof(*out));
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->mx);
	out->stopped = a->lost.count != 0 || a->fd < 0;
	out->lost = a->lost.count;
	if (a->chain.begun) {
		out->seq = a->chain.next_seq - 1;
		out->head = a->chain.next_head - 1;
	}
	out->bytes = a->bytes;
	pthread_mutex_unlock(&a->mx);
}

static bool
files(struct lt_audit *a, bool synced, struct lt_audit_dir *out)
{
	if (a == NULL)
		return false;
	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&a->mx);
	out->dir = a->o.dir;
	out->first = a->first;
	out->bytes = a->bytes;
	out->last = a->segment;
	out->last_len = SIZE_MAX;
	if (synced) {
		out->last = a->shown;
		out->last_len = (size_t)a->synced;
	} else if (a->fd >= 0 && a->placed) {
		out->last_len = (size_t)a->size;
	} else if (a->fd >= 0) {
		out->last--; /* the one that is written has no name yet */
	}
	if (out->last < out->first)
		out->first = out->last = 0;
	pthread_mutex_unlock(&a->mx);
	return true;
}

bool
lt_audit_files(struct lt_audit *a, struct lt_audit_dir *out)
{
	return files(a, false, out);
}

bool
lt_audit_files_synced(struct lt_audit *a, struct lt_audit_dir *out)
{
	return files(a, true, out);
}

uint64_t
lt_audit_unit_no(struct lt_audit *a, const char *unit, uint64_t *log)
{
	const struct lt_audit_unit *u;
	uint64_t no;

	pthread_mutex_lock(&a->mx);
	u = lt_audit_chain_unit(&a->chain, unit);
	no = u == NULL ? 0 : u->no;
	*log = a->chain.at.log;
	pthread_mutex_unlock(&a->mx);
	return no;
}
