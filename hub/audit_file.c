/* The files of the read audit: begun, placed, let go, and the witness beside them. */
#include "hub/audit_impl.h"
#include "proto/base/file.h"
#include "proto/base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMPLAIN_MS 60000

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

/* A new file with a->frame in it. What stands under that name already is left as it is. */
static int
make_file(struct lt_audit *a, const char *next, int *fd, struct lt_err *err)
{
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	size_t done = 0;
	ssize_t n = 0;
	int e;

	*fd = open(next, flags, 0600);
	e = *fd < 0 ? errno : 0;
	while (e == 0 && done < a->frame.len) {
		n = write(*fd, a->frame.data + done, a->frame.len - done);
		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			e = n == 0 ? EIO : errno;
	}
	if (e == 0)
		return LT_OK;
	if (*fd >= 0) {
		(void)close(*fd);
		(void)unlink(next);
	}
	return lt_err_set(err,
	    e == ENOSPC || e == EDQUOT ? LT_E_NOSPACE
	    : e == EEXIST              ? LT_E_EXISTS
				       : LT_E_IO,
	    "cannot begin \"%s\": %s", next, strerror(e));
}

void
lt_audit_aside(struct lt_audit *a, uint64_t segment)
{
	char next[LT_AUDIT_PATH_MAX], to[LT_AUDIT_PATH_MAX + 32];
	uint64_t random;

	randombytes_buf(&random, sizeof(random));
	if (lt_audit_dir_next(a->o.dir, segment, next, NULL) != LT_OK || access(next, F_OK) != 0)
		return;
	(void)snprintf(to, sizeof(to), "%s.%016llx", next, (unsigned long long)random);
	if (lt_file_name(next, to, NULL) == LT_OK)
		lt_warn("the read audit does not go on in \"%s\": kept as \"%s\"", next, to);
}

void
lt_audit_keep_before(struct lt_audit *a)
{
	assert(a->before_fd < 0);
	a->before_fd = a->fd;
	a->before_size = a->size;
	a->before_synced = a->shown == a->segment ? a->synced : 0;
	a->before_again = a->leave;
	a->fd = -1;
}

/* Written to, but without its name. On error nothing has changed but, where anew, the chain. */
static int
make_next(struct lt_audit *a, bool anew, struct lt_err *err)
{
	char path[LT_AUDIT_PATH_MAX], next[LT_AUDIT_PATH_MAX];
	uint64_t segment = a->segment + 1;
	int rc = lt_audit_dir_path(a->o.dir, segment, path, err), fd = -1;

	/* No log goes on behind half an entry. */
	if (rc == LT_OK && !anew && a->fd < 0 && a->before_fd >= 0 && a->ragged) {
		a->ragged = ftruncate(a->before_fd, (off_t)a->before_size) != 0;
		if (a->ragged)
			rc = lt_err_set(err, LT_E_IO,
			    "the last one has half an entry at its end: %s", strerror(errno));
	}
	if (rc == LT_OK)
		rc = lt_audit_dir_next(a->o.dir, segment, next, err);
	if (rc == LT_OK && access(path, F_OK) == 0)
		rc = lt_err_set(err, LT_E_EXISTS, "\"%s\" is there, and not of this log", path);
	if (rc == LT_OK)
		rc = make_start(a, segment, anew, err);
	if (rc != LT_OK)
		return rc;
	lt_audit_aside(a, segment);
	rc = make_file(a, next, &fd, err);
	if (rc != LT_OK)
		return rc;
	if (anew) {
		lt_audit_chain_fini(&a->chain);
		lt_buf_clear(&a->head);
	}
	rc = lt_audit_chain_add(
	    &a->chain, LT_AUDIT_START, lt_buf_slice(&a->payload), a->o.identity->root_key, err);
	if (rc != LT_OK) {
		(void)close(fd);
		(void)unlink(next);
		return rc;
	}
	if (a->fd >= 0)
		lt_audit_keep_before(a);
	a->fd = fd;
	a->segment = segment;
	a->placed = a->named = a->ragged = a->leave = a->again = false;
	a->size = a->start = a->frame.len;
	a->bytes += a->frame.len;
	a->unsynced = true;
	return LT_OK;
}

int
lt_audit_next(struct lt_audit *a, struct lt_err *err)
{
	assert(a->named && a->fd >= 0);
	return make_next(a, false, err);
}

/* It never was; what came before it is still to be synced. */
static void
unmake(struct lt_audit *a)
{
	char next[LT_AUDIT_PATH_MAX];

	if (a->fd >= 0 && !a->placed) {
		if (lt_audit_dir_next(a->o.dir, a->segment, next, NULL) == LT_OK)
			(void)unlink(next);
		a->segment--;
		a->bytes -= a->size;
		(void)close(a->fd);
		a->fd = -1;
	} else if (a->fd >= 0) {
		lt_audit_keep_before(a);
	}
	a->size = a->start = 0;
	a->unsynced = a->leave = a->again = false;
	a->placed = a->named = true;
	if (a->anew)
		lt_audit_chain_fini(&a->chain);
}

int
lt_audit_begin(struct lt_audit *a, struct lt_err *err)
{
	int64_t now = lt_wall_ms(a->o.clock);
	int rc = lt_dir_make(a->dir, 0700, err);

	if (rc == LT_OK)
		rc = make_next(a, a->anew, err);
	if (rc == LT_OK && a->anew && a->anew_why != NULL) {
		a->beginning = true;
		rc = lt_audit_put_gap(a, a->anew_why, 0, now, now);
		a->beginning = false;
		if (rc == LT_OK)
			rc = lt_audit_seal(a);
		if (rc != LT_OK)
			(void)lt_err_set(
			    err, rc, "cannot write its first entry: %s", lt_strerror(rc));
	}
	if (rc != LT_OK) {
		unmake(a);
		a->begin_rc = rc;
		return rc;
	}
	a->forget = a->forget || a->anew;
	a->anew = false;
	a->anew_why = NULL;
	if (a->first == 0)
		a->first = a->segment;
	return LT_OK;
}

/* ---- what the disk has ---- */

void
lt_audit_not_synced(struct lt_audit *a, int error)
{
	lt_error("the read audit could not be synced: %s", strerror(error));
	lt_audit_lose(a, "sync-failed", 1);
}

bool
lt_audit_forget_witness(const struct lt_audit *a)
{
	char path[LT_AUDIT_PATH_MAX];

	return snprintf(path, sizeof(path), "%s/" LT_AUDIT_WITNESS, a->o.dir) < (int)sizeof(path) &&
	       (unlink(path) == 0 || errno == ENOENT) && lt_dir_sync(a->o.dir, NULL) == LT_OK;
}

/* Without mx. */
static bool
give_name(const struct lt_audit *a, bool forget, bool *placed, struct lt_err *err)
{
	char path[LT_AUDIT_PATH_MAX], next[LT_AUDIT_PATH_MAX];

	if (forget && !lt_audit_forget_witness(a)) {
		(void)lt_err_set(err, LT_E_IO, "cannot remove the witness of the log before");
		return false;
	}
	if (!*placed)
		*placed = lt_audit_dir_path(a->o.dir, a->segment, path, err) == LT_OK &&
			  lt_audit_dir_next(a->o.dir, a->segment, next, err) == LT_OK &&
			  lt_file_name(next, path, err) == LT_OK;
	/* Asked again until it works: what is synced later has a name then, and no file waits for a restart. */
	return *placed && lt_dir_sync(a->dir, err) == LT_OK;
}

static bool
are_frames(struct lt_slice b)
{
	enum lt_audit_frame type;
	struct lt_slice payload;
	size_t used;

	for (; b.len != 0; b = lt_slice(b.data + used, b.len - used))
		if (lt_audit_frame_read(b, &type, &payload, &used) != LT_OK)
			return false;
	return true;
}

int
lt_audit_sync_again(const char *path, uint64_t from, uint64_t to)
{
	struct lt_buf b = { 0 };
	ssize_t n = 0;
	int fd = -1, e = EIO;

	if (lt_file_read(path, LT_AUDIT_FILE_MAX, &b, NULL) == LT_OK && from <= to && to <= b.len &&
	    are_frames(lt_slice(b.data + from, to - from))) {
		/* Not the one that is written to: it appends, whatever the place is. */
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		e = fd < 0 ? errno : 0;
	}
	while (e == 0 && from < to) {
		n = pwrite(fd, b.data + from, to - from, (off_t)from);
		if (n > 0)
			from += (uint64_t)n;
		else if (n == 0 || errno != EINTR)
			e = n == 0 ? EIO : errno;
	}
	if (e == 0 && fdatasync(fd) != 0)
		e = errno;
	if (fd >= 0)
		(void)close(fd);
	lt_buf_fini(&b);
	return e;
}

/* These two without mx. An errno. */
static int
sync_before(const struct lt_audit *a)
{
	char path[LT_AUDIT_PATH_MAX];

	if (a->before_fd < 0)
		return 0;
	if (!a->before_again)
		return fdatasync(a->before_fd) != 0 ? errno : 0;
	return lt_audit_dir_path(a->o.dir, a->segment - 1, path, NULL) != LT_OK
		   ? EINVAL
		   : lt_audit_sync_again(path, a->before_synced, a->before_size);
}

static int
sync_own(const struct lt_audit *a, uint64_t size)
{
	char path[LT_AUDIT_PATH_MAX];
	int rc;

	if (!a->again)
		return fdatasync(a->fd) != 0 ? errno : 0;
	rc = a->placed ? lt_audit_dir_path(a->o.dir, a->segment, path, NULL)
		       : lt_audit_dir_next(a->o.dir, a->segment, path, NULL);
	return rc != LT_OK ? EINVAL : lt_audit_sync_again(path, 0, size);
}

/* Said once, however often it is tried again. */
static void
note_failed(struct lt_audit *a, int error, bool *again)
{
	if (error != 0 && !*again)
		lt_audit_not_synced(a, error);
	*again = error != 0;
}

bool
lt_audit_place(struct lt_audit *a)
{
	bool sealed = a->chain.nopen == 0, placed = a->placed, forget = a->forget, named = false;
	uint64_t size = a->size;
	struct lt_err err = { "" };
	int before, own;

	if (a->named)
		return true;
	a->unsynced = false;
	pthread_mutex_unlock(&a->mx);
	/* In this order: no power cut leaves a hole before what stands behind it. */
	before = sync_before(a);
	own = sync_own(a, size);
	if (before == 0 && own == 0)
		named = give_name(a, forget, &placed, &err);
	else
		(void)lt_err_set(&err, LT_E_IO, "it, or the last one, cannot be synced: %s",
		    strerror(before != 0 ? before : own));
	pthread_mutex_lock(&a->mx);
	note_failed(a, before, &a->before_again);
	note_failed(a, own, &a->again);
	if (before == 0 && a->before_fd >= 0) {
		(void)close(a->before_fd);
		a->before_fd = -1;
	}
	a->placed = placed;
	a->named = named;
	if (named) {
		a->forget = false;
		a->shown = a->segment;
		a->synced = sealed ? size : a->start;
	} else {
		a->unsynced = true;
		lt_audit_complain(a, err.text);
	}
	return named;
}

void
lt_audit_complain(struct lt_audit *a, const char *words)
{
	int64_t now = lt_mono_ms(a->o.clock);

	if (a->complained_ms != 0 && now - a->complained_ms < COMPLAIN_MS)
		return;
	a->complained_ms = now;
	lt_warn("the read audit cannot begin its next file: %s", words);
}

/* May it go? *size: what it has. Without mx. */
static bool
may_go(const struct lt_audit *a, uint64_t segment, char path[LT_AUDIT_PATH_MAX], uint64_t *size)
{
	const struct lt_audit_dir d = { .dir = a->o.dir, .last_len = SIZE_MAX };
	struct lt_audit_start next;
	struct lt_buf b = { 0 };
	struct stat st;
	bool may = lt_audit_dir_start(&d, segment + 1, &b, &next, NULL) == LT_OK &&
		   lt_ms_between(lt_wall_ms(a->o.clock), next.time_ms) >= a->o.keep_ms &&
		   lt_audit_dir_path(a->o.dir, segment, path, NULL) == LT_OK &&
		   stat(path, &st) == 0;

	*size = may ? (uint64_t)st.st_size : 0;
	lt_buf_fini(&b);
	return may;
}

/* The oldest one. Whoever reads meanwhile is told first that it is gone: it is let go, and not missing. */
static bool
let_go(struct lt_audit *a)
{
	uint64_t segment = a->first, size;
	char path[LT_AUDIT_PATH_MAX];
	bool gone;

	pthread_mutex_unlock(&a->mx);
	gone = may_go(a, segment, path, &size);
	pthread_mutex_lock(&a->mx);
	if (!gone)
		return false;
	a->first++;
	pthread_mutex_unlock(&a->mx);
	gone = unlink(path) == 0;
	pthread_mutex_lock(&a->mx);
	if (!gone) {
		a->first--;
		return false;
	}
	a->bytes -= size < a->bytes ? size : a->bytes;
	lt_info("the read audit lets file %llu go: it is older than what is kept",
	    (unsigned long long)segment);
	return true;
}

void
lt_audit_make_room(struct lt_audit *a)
{
	while (a->bytes >= a->o.max_bytes && a->first != 0 && a->first < a->segment - !a->placed &&
	       let_go(a))
		;
	a->full = a->bytes >= a->o.max_bytes;
}

void
lt_audit_write_witness(struct lt_audit *a, struct lt_slice head)
{
	char path[LT_AUDIT_PATH_MAX];
	struct lt_err err = { "" };

	if (head.len == 0 ||
	    snprintf(path, sizeof(path), "%s/" LT_AUDIT_WITNESS, a->o.dir) >= (int)sizeof(path))
		return;
	if (lt_file_write(path, head, 0600, false, &err) != LT_OK)
		lt_warn("the witness of the read audit cannot be written: %s", err.text);
}
