/* The read audit as it is written. */
#include "hub/audit.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/base/thread.h"
#include "proto/store/audit_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WITNESS_MS 60000
#define MERGES_MAX 256
#define TELL_MS 60000

/* Denials like one that was noted a while ago. */
struct merge {
	struct lt_audit_who who;
	char method[LT_AUDIT_METHOD_MAX + 1];
	char unit[LT_UNIT_MAX + 1];
	uint8_t status;
	uint32_t count;
	int64_t first_ms, last_ms; /* wall clock, of those counted */
	int64_t due_ms; /* monotonic: then they are written; 0: the place is free */
};

/* Entries that could not be written. */
struct lost {
	uint64_t count;
	int64_t from_ms, to_ms;
	const char *why;
	int64_t told_ms;
};

struct lt_audit {
	struct lt_audit_options o;
	char dir[LT_AUDIT_PATH_MAX];
	pthread_t thread;
	bool running;
	uint8_t salt_key[32];
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cond;
	bool stopping;
	int fd;
	uint64_t size, bytes; /* of the file that is written; of all */
	uint64_t
	    synced; /* of the file that is written: as far as a power cut cannot take it back; behind a head */
	uint64_t start; /* of that file its start, with a table of units; 0: not known */
	uint64_t first, segment; /* files */
	bool full; /* the cap is reached */
	bool unsynced; /* written since the last sync */
	bool ragged; /* behind size stands half a frame that could not be cut */
	struct lt_audit_chain chain;
	struct lt_buf parts, entry, payload, frame; /* of the entry being made */
	struct lt_buf head; /* the last head's frame, for the witness */
	int64_t witness_ms;
	struct merge merge[MERGES_MAX];
	struct lost lost;
};

/* ---- writing frames; with mx held ---- */

static void
lose(struct lt_audit *a, const char *why, uint32_t count)
{
	int64_t now = lt_wall_ms(a->o.clock), mono = lt_mono_ms(a->o.clock);

	if (a->lost.count == 0) {
		a->lost.from_ms = now;
		a->lost.told_ms = mono - TELL_MS;
	}
	a->lost.count += count;
	a->lost.to_ms = now;
	a->lost.why = why;
	if (mono - a->lost.told_ms < TELL_MS)
		return;
	a->lost.told_ms = mono;
	lt_error("the read audit cannot be written (%s): %llu entries are missing from it; make "
		 "room on the disk, or raise max_bytes in section [audit]",
	    why, (unsigned long long)a->lost.count);
}

/* Back to size. What cannot be cut now is cut before anything is appended, or when the file is opened again. */
static bool
cut(struct lt_audit *a)
{
	a->ragged = ftruncate(a->fd, (off_t)a->size) != 0;
	if (a->ragged)
		lt_warn("the read audit has half an entry at its end: %s", strerror(errno));
	return !a->ragged;
}

/* Whole, or not at all. */
static int
append(struct lt_audit *a, struct lt_slice frame)
{
	size_t done = 0;
	ssize_t n;

	if (a->ragged && !cut(a))
		return LT_E_IO;
	while (done < frame.len) {
		n = write(a->fd, frame.data + done, frame.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (done == frame.len) {
		a->size += frame.len;
		a->bytes += frame.len;
		a->unsynced = true;
		return LT_OK;
	}
	n = errno;
	if (done != 0)
		(void)cut(a);
	return n == ENOSPC || n == EDQUOT ? LT_E_NOSPACE : LT_E_IO;
}

/* A salt that nobody else can work out; one hash in place of a call of the system for each entry. */
static void
make_salt(const struct lt_audit *a, uint64_t seq, uint8_t out[LT_AUDIT_SALT])
{
	uint8_t in[16];

	lt_store_u64(in, a->chain.at.log);
	lt_store_u64(in + 8, seq);
	(void)crypto_generichash_blake2b(
	    out, LT_AUDIT_SALT, in, sizeof(in), a->salt_key, sizeof(a->salt_key));
}

static void
put_share(const struct lt_audit *a, const struct lt_audit_share *s, struct lt_buf *b)
{
	const struct lt_audit_unit *u = lt_audit_chain_unit(&a->chain, s->unit);
	struct lt_audit_part p;
	size_t i;

	memset(&p, 0, sizeof(p));
	(void)snprintf(p.unit, sizeof(p.unit), "%s", s->unit);
	p.no = u == NULL ? 1 : u->no + 1;
	if (u != NULL)
		p.prev = u->leaf;
	p.rows = s->rows;
	p.masked = s->masked;
	p.withheld = s->withheld;
	for (i = 0; i < s->ncollection && p.ncollection < LT_AUDIT_COLLECTIONS_MAX; i++)
		(void)snprintf(
		    p.collection[p.ncollection++], LT_NAME_MAX + 1, "%s", s->collection[i]);
	lt_audit_part_put(b, &p);
}

static void
put_parts(struct lt_audit *a, const struct lt_audit_share *share, size_t n,
    const uint8_t salt[LT_AUDIT_SALT], struct lt_audit_entry *e)
{
	struct lt_merkle m;
	size_t i;

	lt_buf_clear(&a->parts);
	lt_merkle_init(&m);
	for (i = 0; i < n; i++) {
		uint8_t part_salt[LT_AUDIT_SALT];
		struct lt_hash leaf;

		lt_buf_clear(&a->entry);
		put_share(a, &share[i], &a->entry);
		lt_audit_part_salt(salt, (uint32_t)i, part_salt);
		lt_audit_leaf(part_salt, lt_buf_slice(&a->entry), &leaf);
		lt_merkle_add(&m, &leaf);
		lt_buf_framed(&a->parts, lt_buf_slice(&a->entry));
	}
	e->nparts = (uint16_t)n;
	lt_merkle_end(&m, &e->parts_root);
}

/* LT_E_TOOBIG: more parts than a frame holds. */
static int
make_frame(struct lt_audit *a, struct lt_audit_entry *e, struct lt_slice query,
    const struct lt_audit_share *share, size_t nshare)
{
	uint8_t salt[LT_AUDIT_SALT];

	e->seq = a->chain.next_seq;
	make_salt(a, e->seq, salt);
	if (query.len != 0)
		lt_audit_commit(salt, e->method, query, &e->query);
	put_parts(a, share, nshare, salt, e);
	lt_buf_clear(&a->entry);
	lt_audit_entry_put(&a->entry, e);
	lt_buf_clear(&a->payload);
	lt_buf_framed(&a->payload, lt_buf_slice(&a->entry));
	lt_buf_put(&a->payload, salt, sizeof(salt));
	lt_buf_put_slice(&a->payload, lt_buf_slice(&a->parts));
	if (a->payload.len > LT_AUDIT_FRAME_MAX)
		return LT_E_TOOBIG;
	lt_buf_clear(&a->frame);
	lt_audit_frame_put(&a->frame, LT_AUDIT_ENTRY, lt_buf_slice(&a->payload));
	return a->parts.err != LT_OK || a->entry.err != LT_OK || a->payload.err != LT_OK
		   ? LT_E_NOMEM
		   : a->frame.err;
}

static int seal(struct lt_audit *a);

/* Memory for its units, and always a place for "*" besides: what is too much can be noted under that. */
static int
reserve(struct lt_audit *a, const struct lt_audit_share *share, size_t nshare)
{
	bool all = lt_audit_chain_unit(&a->chain, "*") != NULL;
	size_t i, more = 0;

	for (i = 0; i < nshare; i++)
		if (strcmp(share[i].unit, "*") != 0 &&
		    lt_audit_chain_unit(&a->chain, share[i].unit) == NULL)
			more++;
	return lt_audit_chain_reserve(&a->chain, more + !all);
}

static int
put_frame(struct lt_audit *a)
{
	struct lt_audit_full full;
	uint64_t size = a->size;
	int rc = lt_audit_full_read(lt_buf_slice(&a->payload), &full);

	if (rc == LT_OK)
		rc = append(a, lt_buf_slice(&a->frame));
	if (rc != LT_OK)
		return rc;
	rc = lt_audit_chain_made(&a->chain, &full);
	if (rc == LT_OK)
		return LT_OK;
	a->bytes -= a->size - size;
	a->size = size;
	(void)cut(a);
	return LT_E_IO;
}

static int
put_entry(struct lt_audit *a, struct lt_audit_entry *e, struct lt_slice query,
    const struct lt_audit_share *share, size_t nshare)
{
	int rc = LT_OK;

	if (a->fd < 0 || a->size > LT_AUDIT_FILE_MAX / 2)
		return LT_E_IO;
	/* What is missing is told beyond the cap, too, before nobody knows of it any more. */
	if ((a->full || a->bytes >= a->o.max_bytes) && !(a->stopping && e->kind == LT_AUDIT_GAP))
		return LT_E_NOSPACE;
	if (a->chain.nopen == LT_AUDIT_ENTRIES_MAX)
		rc = seal(a);
	if (rc == LT_OK)
		rc = make_frame(a, e, query, share, nshare);
	if (rc == LT_OK)
		rc = reserve(a, share, nshare);
	return rc == LT_OK ? put_frame(a) : rc;
}

/* What is missing, before anything that follows it. */
static int
put_gap(struct lt_audit *a, const char *why, uint64_t count, int64_t from_ms, int64_t to_ms)
{
	struct lt_audit_entry e = { .kind = LT_AUDIT_GAP };

	e.time_ms = from_ms;
	e.until_ms = to_ms;
	e.count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
	(void)snprintf(e.method, sizeof(e.method), "%s", why);
	return put_entry(a, &e, lt_slice(NULL, 0), NULL, 0);
}

static int
own_up(struct lt_audit *a)
{
	int rc;

	if (a->lost.count == 0)
		return LT_OK;
	rc = put_gap(a, a->lost.why, a->lost.count, a->lost.from_ms, a->lost.to_ms);
	if (rc != LT_OK)
		return rc;
	lt_warn("the read audit is written again; %llu entries are missing from it",
	    (unsigned long long)a->lost.count);
	memset(&a->lost, 0, sizeof(a->lost));
	return LT_OK;
}

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
	int rc = own_up(a);

	if (rc == LT_OK && nshare <= LT_AUDIT_PARTS_MAX)
		rc = put_entry(a, e, query, share, nshare);
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
		rc = put_entry(a, e, query, &sum, 1);
	}
	if (rc != LT_OK)
		lose(a,
		    rc == LT_E_NOSPACE
			? a->full || a->bytes >= a->o.max_bytes ? "cap-reached" : "disk-full"
			: "write-failed",
		    e->count);
	/* Once, not with each entry behind it. */
	if (!due && is_due(a))
		pthread_cond_signal(&a->cond);
}

static int
seal(struct lt_audit *a)
{
	struct lt_audit_head h = { .federation = a->chain.at.federation,
		.hub = a->chain.at.hub,
		.key_no = a->chain.at.key_no,
		.log = a->chain.at.log,
		.no = a->chain.next_head,
		.count = a->chain.nopen,
		.first = a->chain.next_seq - a->chain.nopen,
		.prev = a->chain.prev,
		.time_ms = lt_wall_ms(a->o.clock) };
	int rc;

	if (a->chain.nopen == 0)
		return LT_OK;
	lt_merkle_root(a->chain.open, a->chain.nopen, &h.root);
	lt_buf_clear(&a->entry);
	lt_audit_head_put(&a->entry, &h);
	lt_buf_clear(&a->payload);
	lt_audit_signed_put(
	    &a->payload, &a->o.identity->sign, LT_TAG_AUDIT_HEAD, lt_buf_slice(&a->entry));
	lt_buf_clear(&a->frame);
	lt_audit_frame_put(&a->frame, LT_AUDIT_HEAD, lt_buf_slice(&a->payload));
	rc = a->frame.err != LT_OK ? a->frame.err : append(a, lt_buf_slice(&a->frame));
	if (rc != LT_OK)
		return rc;
	lt_audit_chain_sealed(&a->chain, lt_buf_slice(&a->entry));
	lt_buf_clear(&a->head);
	lt_buf_put_slice(&a->head, lt_buf_slice(&a->frame));
	return LT_OK;
}

/* ---- files; with mx held, or before there is a thread ---- */

static void
put_units(const struct lt_audit *a, struct lt_buf *b)
{
	size_t i;

	for (i = 0; i < a->chain.nunit; i++) {
		lt_buf_framed8(b, lt_slice_str(a->chain.unit[i].unit));
		lt_buf_u64(b, a->chain.unit[i].no);
		lt_buf_put(b, a->chain.unit[i].leaf.b, LT_HASH_LEN);
	}
}

static int
make_start(struct lt_audit *a, uint64_t segment, bool anew, struct lt_err *err)
{
	const struct lt_identity *id = a->o.identity;
	struct lt_audit_start s = { .federation = id->federation,
		.hub = id->principal,
		.key_no = id->key_no,
		.certificate = id->certificate,
		.log = a->chain.at.log,
		.segment = segment,
		.next_seq = a->chain.next_seq,
		.next_head = a->chain.next_head,
		.prev = a->chain.prev,
		.time_ms = lt_wall_ms(a->o.clock) };
	struct lt_buf units = { 0 }, body = { 0 };
	int rc;

	if (anew) {
		randombytes_buf(&s.log, sizeof(s.log));
		s.next_seq = s.next_head = 1;
	} else {
		put_units(a, &units);
		s.nunits = (uint32_t)a->chain.nunit;
	}
	s.units = lt_buf_slice(&units);
	lt_audit_start_put(&body, &s);
	lt_buf_clear(&a->payload);
	lt_audit_signed_put(&a->payload, &id->sign, LT_TAG_AUDIT_START, lt_buf_slice(&body));
	lt_buf_clear(&a->frame);
	lt_audit_frame_put(&a->frame, LT_AUDIT_START, lt_buf_slice(&a->payload));
	rc = units.err != LT_OK || body.err != LT_OK || a->frame.err != LT_OK
		 ? lt_err_set(err, LT_E_NOMEM, "out of memory")
		 : LT_OK;
	lt_buf_fini(&units);
	lt_buf_fini(&body);
	return rc;
}

/* The next file, and on with it. The old one is whole and synced. anew: another log. */
static int
begin_file(struct lt_audit *a, bool anew, struct lt_err *err)
{
	char path[LT_AUDIT_PATH_MAX];
	uint64_t segment = a->segment + 1;
	int rc = lt_audit_dir_path(a->o.dir, segment, path, err), fd;

	if (rc == LT_OK)
		rc = make_start(a, segment, anew, err);
	if (rc == LT_OK)
		rc = lt_file_write(path, lt_buf_slice(&a->frame), 0600, true, err);
	if (rc != LT_OK)
		return rc;
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		(void)unlink(path);
		return lt_err_set(err, LT_E_IO, "cannot open \"%s\": %s", path, strerror(errno));
	}
	if (anew)
		lt_audit_chain_fini(&a->chain);
	rc = lt_audit_chain_add(
	    &a->chain, LT_AUDIT_START, lt_buf_slice(&a->payload), a->o.identity->root_key, err);
	if (rc != LT_OK) {
		(void)close(fd);
		(void)unlink(path);
		return rc;
	}
	if (a->fd >= 0)
		(void)close(a->fd);
	a->fd = fd;
	a->segment = segment;
	if (a->first == 0)
		a->first = segment;
	a->size = a->synced = a->start = a->frame.len;
	a->ragged = false;
	a->bytes += a->frame.len;
	return LT_OK;
}

/* The oldest files go while there is too much, if nothing in them is younger than what must be kept. */
static void
make_room(struct lt_audit *a)
{
	const struct lt_audit_dir d = { .dir = a->o.dir, .last_len = SIZE_MAX };
	int64_t now = lt_wall_ms(a->o.clock);
	struct lt_buf b = { 0 };

	while (a->bytes >= a->o.max_bytes && a->first < a->segment) {
		char path[LT_AUDIT_PATH_MAX];
		struct lt_audit_start next;
		struct stat st;

		if (lt_audit_dir_start(&d, a->first + 1, &b, &next, NULL) != LT_OK ||
		    lt_ms_between(now, next.time_ms) < a->o.keep_ms ||
		    lt_audit_dir_path(a->o.dir, a->first, path, NULL) != LT_OK ||
		    stat(path, &st) != 0 || unlink(path) != 0)
			break;
		lt_info("the read audit lets file %llu go: it is older than what is kept",
		    (unsigned long long)a->first);
		a->bytes -= (uint64_t)st.st_size < a->bytes ? (uint64_t)st.st_size : a->bytes;
		a->first++;
	}
	lt_buf_fini(&b);
	a->full = a->bytes >= a->o.max_bytes;
}

static void
write_witness(struct lt_audit *a, struct lt_slice head)
{
	char path[LT_AUDIT_PATH_MAX];
	struct lt_err err = { "" };

	if (head.len == 0 ||
	    snprintf(path, sizeof(path), "%s/" LT_AUDIT_WITNESS, a->o.dir) >= (int)sizeof(path))
		return;
	if (lt_file_write(path, head, 0600, false, &err) != LT_OK)
		lt_warn("the witness of the read audit cannot be written: %s", err.text);
}

/* ---- denials alike ---- */

static bool
is_like(const struct merge *m, const struct lt_audit_event *e, const char *unit)
{
	return m->due_ms != 0 && m->who.kind == e->who->kind && m->who.uid == e->who->uid &&
	       lt_id_eq(&m->who.id, &e->who->id) && m->status == e->status &&
	       strcmp(m->unit, unit) == 0 &&
	       strncmp(m->method, e->method, LT_AUDIT_METHOD_MAX) == 0;
}

static void flush(struct lt_audit *a, struct merge *m);

/* A denial like one before: counted, and true. Else it is the first of its kind; where there is no place for one more kind, the
 * one that is due soonest makes room. */
static bool
merged(struct lt_audit *a, const struct lt_audit_event *e, int64_t now)
{
	const char *unit = e->nshare != 0 ? e->share[0].unit : "";
	struct merge *free_one = &a->merge[0];
	size_t i;

	for (i = 0; i < MERGES_MAX; i++) {
		struct merge *m = &a->merge[i];

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
flush(struct lt_audit *a, struct merge *m)
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

	for (i = 0; i < MERGES_MAX; i++)
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

/* What the disk has of it is not known, and asking again would not tell: on in another file. */
static void
not_synced(struct lt_audit *a)
{
	struct lt_err err = { "" };

	lt_error("the read audit could not be synced: %s", strerror(errno));
	if (seal(a) != LT_OK || begin_file(a, a->chain.nopen != 0, &err) != LT_OK)
		lt_error("the read audit cannot go on: %s", err.text);
	lose(a, "sync-failed", 1);
}

/* With mx held; lets it go for the disk. Only this thread changes the file. */
static bool
sync_file(struct lt_audit *a)
{
	uint64_t size = a->size;
	bool sealed = a->chain.nopen == 0, failed;

	if (!a->unsynced)
		return true;
	a->unsynced = false;
	pthread_mutex_unlock(&a->mx);
	failed = fdatasync(a->fd) != 0;
	pthread_mutex_lock(&a->mx);
	if (!failed) {
		a->synced = sealed ? size : a->synced;
		return true;
	}
	not_synced(a);
	return false;
}

/* What came while the file was synced is sealed and synced here, with everybody waiting: else under load there would never be a next one.
 * false: the file is as long as it was. */
static bool
next_file(struct lt_audit *a)
{
	struct lt_err err = { "" };
	bool begun = true;

	if (is_long(a)) {
		begun = seal(a) == LT_OK;
		if (begun && a->unsynced && fdatasync(a->fd) != 0)
			not_synced(a);
		else if (begun)
			begun = begin_file(a, false, &err) == LT_OK;
		if (begun)
			a->unsynced = false;
		else
			lt_warn("the read audit cannot begin its next file: %s", err.text);
		make_room(a);
	} else if (a->bytes >= a->o.max_bytes) {
		make_room(a);
	}
	return begun;
}

/* false: something could not be done, and is tried again in a while. */
static bool
work(struct lt_audit *a, bool last)
{
	bool witness = last || lt_mono_ms(a->o.clock) - a->witness_ms >= WITNESS_MS, done, synced;
	struct lt_buf head = { 0 };

	flush_due(a, last);
	if (a->full)
		make_room(a);
	(void)own_up(a);
	done = seal(a) == LT_OK;
	if (!done && a->lost.count == 0)
		lt_warn("the head of the read audit cannot be written yet");
	/* Nothing is witnessed that a power cut could take back. */
	if (witness)
		lt_buf_put_slice(&head, lt_buf_slice(&a->head));
	synced = sync_file(a);
	done = next_file(a) && done && synced;
	if (witness && synced) {
		a->witness_ms = lt_mono_ms(a->o.clock);
		pthread_mutex_unlock(&a->mx);
		write_witness(a, lt_buf_slice(&head));
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

/* ---- opening ---- */

struct taking {
	struct lt_audit *a;
	struct lt_err err;
};

static int
take_frame(void *ctx, enum lt_audit_frame type, struct lt_slice payload)
{
	struct taking *t = ctx;
	int rc =
	    lt_audit_chain_add(&t->a->chain, type, payload, t->a->o.identity->root_key, &t->err);

	if (rc == LT_OK && type == LT_AUDIT_HEAD) {
		lt_buf_clear(&t->a->head);
		lt_audit_frame_put(&t->a->head, type, payload);
	}
	/* Not to be taken for a torn end. */
	return rc == LT_OK || rc == LT_E_NOMEM ? rc : LT_E_INVALID;
}

/* How the log that is there can go on: NULL, or why it cannot. */
static const char *
cannot_go_on(struct lt_audit *a, int rc)
{
	struct lt_audit_seen seen;

	if (rc != LT_OK || !a->chain.begun)
		return "damaged";
	if (memcmp(a->chain.at.federation.b, a->o.identity->federation.b, LT_FED_LEN) != 0)
		return "of-another-hub";
	if (lt_audit_witness_read(a->o.dir, &seen, NULL) == LT_OK &&
	    (seen.log != a->chain.at.log || seen.no >= a->chain.next_head))
		return "end-missing";
	if (a->chain.nopen != 0 && (a->chain.at.key_no != a->o.identity->key_no ||
				       !lt_id_eq(&a->chain.at.hub, &a->o.identity->principal)))
		return "key-changed";
	return NULL;
}

static int
open_last(struct lt_audit *a, size_t len, struct lt_err *err)
{
	char path[LT_AUDIT_PATH_MAX];
	int rc = lt_audit_dir_path(a->o.dir, a->segment, path, err);

	if (rc != LT_OK)
		return rc;
	a->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (a->fd < 0 || ftruncate(a->fd, (off_t)len) != 0)
		return lt_err_set(err, LT_E_IO, "cannot open \"%s\": %s", path, strerror(errno));
	a->size = len;
	return LT_OK;
}

/* The last file there is, and where it ends. */
static int
take_up(struct lt_audit *a, const struct lt_audit_dir *d, const char **anew, size_t *torn,
    struct lt_err *err)
{
	struct taking t = { .a = a };
	struct lt_buf b = { 0 };
	size_t good = 0;
	int rc = lt_audit_dir_read(d, d->last, &b, err), frames;

	a->first = d->first;
	a->segment = d->last;
	a->bytes = d->bytes;
	if (rc == LT_OK) {
		frames = lt_audit_frames(lt_buf_slice(&b), take_frame, &t, &good);
		*torn = b.len - good;
		*anew =
		    cannot_go_on(a, frames == LT_E_GAP || frames == LT_E_CORRUPT ? LT_OK : frames);
		if (*anew != NULL)
			lt_error("the read audit in \"%s\" does not go on as signed (%s%s%s): a "
				 "new log begins behind it; see 'ltctl audit verify'",
			    a->dir, *anew, t.err.text[0] != '\0' ? ": " : "", t.err.text);
		else
			rc = open_last(a, good, err);
		a->bytes -= *anew == NULL && *torn < a->bytes ? *torn : 0;
	}
	lt_buf_fini(&b);
	return rc;
}

static void
forget_witness(struct lt_audit *a)
{
	char path[LT_AUDIT_PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/" LT_AUDIT_WITNESS, a->o.dir) < (int)sizeof(path))
		(void)unlink(path);
	lt_buf_clear(&a->head);
}

static int
begin_log(struct lt_audit *a, const char *why, struct lt_err *err)
{
	struct lt_audit_seen seen;
	bool lost = lt_audit_witness_read(a->o.dir, &seen, NULL) == LT_OK;
	int64_t now = lt_wall_ms(a->o.clock);
	int rc;

	lt_audit_chain_fini(&a->chain);
	a->chain.next_seq = a->chain.next_head = 1;
	rc = begin_file(a, true, err);
	if (rc != LT_OK)
		return rc;
	forget_witness(a);
	if (why == NULL && lost)
		why = "log-lost";
	return why == NULL ? LT_OK : put_gap(a, why, 0, now, now);
}

static int
open_log(struct lt_audit *a, struct lt_err *err)
{
	int64_t now = lt_wall_ms(a->o.clock);
	const char *anew = NULL;
	struct lt_audit_dir d;
	size_t torn = 0;
	int rc = lt_dir_make(a->dir, 0700, err);

	if (rc == LT_OK)
		rc = lt_audit_dir_list(a->o.dir, &d, err);
	if (rc != LT_OK)
		return rc;
	if (d.last == 0)
		return begin_log(a, NULL, err);
	rc = take_up(a, &d, &anew, &torn, err);
	if (rc != LT_OK)
		return rc;
	if (anew != NULL)
		return begin_log(a, anew, err);
	rc = seal(a);
	if (rc == LT_OK && (a->chain.at.key_no != a->o.identity->key_no ||
			       !lt_id_eq(&a->chain.at.hub, &a->o.identity->principal)))
		rc = begin_file(a, false, err);
	if (rc == LT_OK && torn != 0) {
		lt_warn("the read audit ended in the middle of an entry: %zu bytes were cut", torn);
		rc = put_gap(a, "torn", 0, now, now);
	}
	/* A full disk does not keep a hub from starting: what is missing is told when there is room. */
	if (rc == LT_E_NOSPACE) {
		lose(a, "disk-full", 1);
		rc = LT_OK;
	}
	/* Nobody is shown a head that is in memory alone. */
	if (rc == LT_OK && a->chain.nopen == 0 && fdatasync(a->fd) == 0)
		a->synced = a->size;
	else
		a->unsynced = true;
	make_room(a);
	return rc;
}

int
lt_audit_open(const struct lt_audit_options *o, struct lt_audit **out, struct lt_err *err)
{
	struct lt_audit *a = calloc(1, sizeof(*a));
	pthread_condattr_t attr;
	int rc;

	if (a == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	a->o = *o;
	a->fd = -1;
	if (a->o.segment_bytes == 0)
		a->o.segment_bytes = LT_AUDIT_SEGMENT_BYTES;
	randombytes_buf(a->salt_key, sizeof(a->salt_key));
	a->witness_ms = lt_mono_ms(o->clock);
	pthread_mutex_init(&a->mx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->cond, &attr);
	pthread_condattr_destroy(&attr);
	rc = snprintf(a->dir, sizeof(a->dir), "%s/" LT_AUDIT_DIR, o->dir) < (int)sizeof(a->dir)
		 ? open_log(a, err)
		 : lt_err_set(err, LT_E_INVALID, "path too long");
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
	out->stopped = a->lost.count != 0;
	out->lost = a->lost.count;
	out->seq = a->chain.next_seq - 1;
	out->head = a->chain.next_head - 1;
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
	out->last = a->segment;
	out->bytes = a->bytes;
	out->last_len = (size_t)(synced ? a->synced : a->size);
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
