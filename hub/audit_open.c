/* The read audit as it is taken up at a start. */
#include "hub/audit_impl.h"
#include "proto/base/file.h"
#include "proto/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_VERSION 1 /* of an entry, a head and a start: the first byte */

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

/* Does a frame begin here? What cannot be one is told by its first bytes: length, type, and those of framed(body or entry). */
static bool
is_frame(struct lt_slice b)
{
	enum lt_audit_frame type;
	struct lt_slice payload;
	size_t used;

	return b.len > 9 &&
	       (b.data[4] == LT_AUDIT_START || b.data[4] == LT_AUDIT_ENTRY ||
		   b.data[4] == LT_AUDIT_HEAD) &&
	       lt_load_u32(b.data + 5) < lt_load_u32(b.data) && b.data[9] == BODY_VERSION &&
	       lt_audit_frame_read(b, &type, &payload, &used) == LT_OK;
}

/* What a power cut leaves of the last write has nothing behind it. Where whole frames follow, something in the middle is damaged. */
static bool
is_torn_end(struct lt_slice end)
{
	size_t i;

	for (i = 1; i < end.len; i++)
		if (is_frame(lt_slice(end.data + i, end.len - i)))
			return false;
	return true;
}

/* So much of the last file was on the disk once, and answered for: no stop tears that. */
static uint64_t
had_of(const struct lt_audit *a, const struct lt_audit_dir *d)
{
	return lt_audit_synced_of(&a->noted, a->chain.at.log, d->last);
}

/* The chain up to the end of a file that is whole; how much of it is. LT_E_GAP, LT_E_CORRUPT: its end is torn; LT_E_INVALID: damaged. */
static int
take_file(struct lt_audit *a, const struct lt_audit_dir *d, size_t *good, size_t *torn,
    char why[sizeof(((struct lt_err *)0)->text)], struct lt_err *err)
{
	struct taking t = { .a = a };
	struct lt_buf b = { 0 };
	int rc = lt_audit_dir_read(d, d->last, &b, err);

	lt_audit_chain_fini(&a->chain);
	*good = *torn = 0;
	if (rc == LT_OK) {
		rc = lt_audit_frames(lt_buf_slice(&b), take_frame, &t, good);
		*torn = b.len - *good;
		if ((rc == LT_E_GAP || rc == LT_E_CORRUPT) &&
		    !is_torn_end(lt_slice(b.data + *good, *torn)))
			rc = lt_err_set(&t.err, LT_E_INVALID,
			    "the bytes at %zu are damaged, and whole frames follow", *good);
		else if ((rc == LT_E_GAP || rc == LT_E_CORRUPT) && *good < had_of(a, d) &&
			 b.len >= had_of(a, d))
			rc = lt_err_set(&t.err, LT_E_INVALID,
			    "the bytes at %zu are damaged, and had been synced", *good);
		(void)snprintf(why, sizeof(t.err.text), "%s", t.err.text);
	}
	lt_buf_fini(&b);
	return rc;
}

/* Damage that keeps no hub from starting: a sector that cannot be read, or no end of bytes. */
static bool
cannot_be_read(int rc)
{
	return rc == LT_E_IO || rc == LT_E_TOOBIG;
}

/* ---- a file without its name ---- */

enum follows { FOLLOWS_NOT, FOLLOWS_ON, FOLLOWS_ANEW };

/* Behind its start: the gap that another log begins with. The first of all has none. */
static bool
has_its_gap(const struct lt_audit *a, const struct lt_audit_dir *d, struct lt_slice rest)
{
	enum lt_audit_frame type;
	struct lt_audit_seen seen;
	struct lt_audit_full full;
	struct lt_slice payload;
	size_t used;

	if (d->last == 0 && lt_audit_witness_read(a->o.dir, &seen, NULL) != LT_OK)
		return true;
	return lt_audit_frame_read(rest, &type, &payload, &used) == LT_OK &&
	       type == LT_AUDIT_ENTRY && lt_audit_full_read(payload, &full) == LT_OK &&
	       full.entry.kind == LT_AUDIT_GAP && full.entry.seq == 1;
}

/* Is this the file behind d's last one: because it goes on there, or begins another log? */
static enum follows
is_next(struct lt_audit *a, const struct lt_audit_dir *d, struct lt_slice file)
{
	const uint8_t *root = a->o.identity->root_key;
	char why[sizeof(((struct lt_err *)0)->text)];
	struct lt_slice payload, body, sig;
	enum lt_audit_frame type;
	struct lt_audit_start s;
	size_t used, good, torn;

	if (lt_audit_frame_read(file, &type, &payload, &used) != LT_OK || type != LT_AUDIT_START ||
	    lt_audit_signed_read(payload, &body, &sig) != LT_OK ||
	    lt_audit_start_read(body, &s) != LT_OK || s.segment != d->last + 1)
		return FOLLOWS_NOT;
	if (d->last != 0 && take_file(a, d, &good, &torn, why, NULL) == LT_OK && torn == 0 &&
	    s.log == a->chain.at.log)
		return lt_audit_chain_add(&a->chain, type, payload, root, NULL) == LT_OK
			   ? FOLLOWS_ON
			   : FOLLOWS_NOT;
	lt_audit_chain_fini(&a->chain);
	return s.next_seq == 1 && s.next_head == 1 && s.nunits == 0 &&
		       has_its_gap(a, d, lt_slice(file.data + used, file.len - used)) &&
		       lt_audit_chain_add(&a->chain, type, payload, root, NULL) == LT_OK
		   ? FOLLOWS_ANEW
		   : FOLLOWS_NOT;
}

static int
any_frame(void *ctx, enum lt_audit_frame type, struct lt_slice payload)
{
	(void)ctx;
	(void)type;
	(void)payload;
	return LT_OK;
}

/* What is behind `from` the process that ended may have been told that the disk did not take. An end that is torn is synced as it is: it is
 * going to be cut. */
static int
sync_path(const char *path, uint64_t from, struct lt_err *err)
{
	struct lt_buf b = { 0 };
	size_t good = 0;
	int fd, e = 0;

	if (from != UINT64_MAX && lt_file_read(path, LT_AUDIT_FILE_MAX, &b, NULL) == LT_OK)
		(void)lt_audit_frames(lt_buf_slice(&b), any_frame, NULL, &good);
	lt_buf_fini(&b);
	if (from < good) {
		e = lt_audit_sync_again(path, from, good);
	} else {
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || fdatasync(fd) != 0)
			e = errno;
		if (fd >= 0)
			(void)close(fd);
	}
	return e == 0 ? LT_OK
		      : lt_err_set(err, LT_E_IO, "cannot sync \"%s\": %s", path, strerror(e));
}

/* As lt_audit_place(): the file before, the file, what is of the log before, the name. */
static int
name_next(struct lt_audit *a, const struct lt_audit_dir *d, enum follows how, const char *next,
    struct lt_err *err)
{
	char path[LT_AUDIT_PATH_MAX];
	int rc = LT_OK;

	if (d->last != 0)
		rc = lt_audit_dir_path(d->dir, d->last, path, err);
	/* Behind a file that is damaged another log begins; what is wrong with it stays as it is. */
	if (rc == LT_OK && d->last != 0)
		rc = sync_path(path, how == FOLLOWS_ON ? had_of(a, d) : UINT64_MAX, err);
	if (rc == LT_OK)
		rc = sync_path(next, 0, err);
	if (rc == LT_OK && how == FOLLOWS_ANEW && !lt_audit_forget_witness(a))
		rc = lt_err_set(err, LT_E_IO, "cannot remove the witness of the log before");
	if (rc == LT_OK)
		rc = lt_audit_dir_path(d->dir, d->last + 1, path, err);
	if (rc == LT_OK)
		rc = lt_file_name(next, path, err);
	/* Under either name it is found again. */
	if (rc == LT_OK && lt_dir_sync(a->dir, err) != LT_OK)
		lt_warn("the folder of the read audit cannot be synced");
	return rc;
}

/* What was begun when the process ended. A kill leaves both files whole, and what is noted in it was answered; a power cut may leave one that
 * does not follow any more. cut: so it is. */
static int
recover(struct lt_audit *a, struct lt_audit_dir *d, bool *cut, struct lt_err *err)
{
	char next[LT_AUDIT_PATH_MAX];
	enum follows how = FOLLOWS_NOT;
	struct lt_err own = { "" };
	struct lt_buf b = { 0 };
	int rc = lt_audit_dir_next(d->dir, d->last + 1, next, err);

	if (rc == LT_OK)
		rc = lt_file_read(next, LT_AUDIT_FILE_MAX, &b, err);
	if (rc == LT_OK)
		how = is_next(a, d, lt_buf_slice(&b));
	if (rc == LT_E_NOTFOUND) {
		rc = LT_OK;
	} else if (how != FOLLOWS_NOT && name_next(a, d, how, next, &own) == LT_OK) {
		rc = lt_audit_dir_list(d->dir, d, err);
	} else if (how != FOLLOWS_NOT) {
		/* A disk that fails keeps no hub from starting; nobody was shown a head of this file. */
		lt_warn("%s", own.text);
		lt_audit_aside(a, d->last + 1);
		*cut = true;
		rc = LT_OK;
	} else if (rc == LT_OK || cannot_be_read(rc)) {
		lt_audit_aside(a, d->last + 1);
		*cut = true;
		rc = LT_OK;
	}
	lt_audit_chain_fini(&a->chain);
	lt_buf_fini(&b);
	return rc;
}

/* ---- the last file ---- */

/* How the log that is there can go on: NULL, or why it cannot. */
static const char *
cannot_go_on(struct lt_audit *a, const struct lt_audit_dir *d, size_t good, int rc)
{
	struct lt_audit_seen seen;

	if (rc != LT_OK || !a->chain.begun)
		return "damaged";
	if (memcmp(a->chain.at.federation.b, a->o.identity->federation.b, LT_FED_LEN) != 0)
		return "of-another-hub";
	if (good < had_of(a, d) ||
	    (lt_audit_witness_read(a->o.dir, &seen, NULL) == LT_OK &&
		(seen.log != a->chain.at.log || seen.no >= a->chain.next_head)))
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
	if (a->fd < 0)
		return lt_err_set(err, LT_E_IO, "cannot open \"%s\": %s", path, strerror(errno));
	a->size = len;
	/* What cannot be cut now is cut before anything is written behind it. */
	a->ragged = ftruncate(a->fd, (off_t)len) != 0;
	if (a->ragged)
		lt_warn("half an entry cannot be cut from \"%s\" yet: %s", path, strerror(errno));
	return LT_OK;
}

/* The last file there is, and where it ends. Where it does not go on: a->anew. */
static int
take_up(struct lt_audit *a, const struct lt_audit_dir *d, size_t *torn, struct lt_err *err)
{
	char why[sizeof(((struct lt_err *)0)->text)] = "";
	struct lt_err own = { "" };
	size_t good;
	int rc = take_file(a, d, &good, torn, why, &own);

	a->bytes = d->bytes;
	/* Not read at all. */
	if (own.text[0] != '\0' && cannot_be_read(rc))
		(void)snprintf(why, sizeof(why), "%s", own.text);
	else if (rc != LT_OK && own.text[0] != '\0')
		return lt_err_set(err, rc, "%s", own.text);
	if (rc == LT_E_NOMEM)
		return rc;
	a->anew_why = cannot_go_on(a, d, good, rc == LT_E_GAP || rc == LT_E_CORRUPT ? LT_OK : rc);
	a->anew = a->anew_why != NULL;
	if (!a->anew) {
		a->bytes -= *torn < a->bytes ? *torn : 0;
		return open_last(a, good, err);
	}
	lt_error("the read audit in \"%s\" does not go on as signed (%s%s%s): a new log begins "
		 "behind it; see 'ltctl audit verify'",
	    a->dir, a->anew_why, why[0] != '\0' ? ": " : "", why);
	lt_audit_chain_fini(&a->chain);
	return LT_OK;
}

/* Is its key still the hub's? */
static bool
is_ours(const struct lt_audit *a)
{
	return a->chain.at.key_no == a->o.identity->key_no &&
	       lt_id_eq(&a->chain.at.hub, &a->o.identity->principal);
}

/* A disk that is full or fails does not keep a hub from starting: what is read meanwhile is counted, and the file begins when it can. */
static int
begin(struct lt_audit *a, struct lt_err *err)
{
	struct lt_err own = { "" };
	int rc = lt_audit_begin(a, &own);

	if (rc == LT_OK) {
		(void)lt_audit_place(a);
		return LT_OK;
	}
	if (rc != LT_E_NOSPACE && rc != LT_E_IO)
		return lt_err_set(err, rc, "%s", own.text);
	lt_error(
	    "the read audit cannot begin (%s): what is read until it can is counted, and missing "
	    "from it",
	    own.text);
	return LT_OK;
}

/* The process before may have been told that the disk did not take the end of it, and a second sync says nothing of that. An errno. */
static int
sync_end(const struct lt_audit *a)
{
	uint64_t from = lt_audit_synced_of(&a->noted, a->chain.at.log, a->segment);
	char path[LT_AUDIT_PATH_MAX];

	return lt_audit_dir_path(a->o.dir, a->segment, path, NULL) != LT_OK
		   ? EINVAL
		   : lt_audit_sync_again(path, from, a->size);
}

static int
go_on(struct lt_audit *a, size_t torn, bool cut, struct lt_err *err)
{
	int rc = lt_audit_seal(a), e;

	if (torn != 0 || cut) {
		lt_warn("the read audit ended in the middle of an entry: %zu bytes were cut", torn);
		a->owed = "torn";
	}
	if (!is_ours(a)) {
		/* Nothing stands in it that has no head: cannot_go_on(). Nor is anything written to it any more; its end is written again. */
		lt_audit_keep_before(a);
		a->before_synced = lt_audit_synced_of(&a->noted, a->chain.at.log, a->segment);
		a->before_again = true;
		return begin(a, err);
	}
	/* Nobody is shown a head that is in memory alone. */
	a->unsynced = rc != LT_OK;
	e = sync_end(a);
	if (rc == LT_OK && e == 0)
		a->synced = a->size;
	if (e != 0) {
		lt_audit_not_synced(a, e);
		a->leave = true;
	}
	return rc == LT_E_NOSPACE || rc == LT_E_IO ? LT_OK : rc;
}

int
lt_audit_open_log(struct lt_audit *a, struct lt_err *err)
{
	struct lt_audit_seen seen;
	struct lt_audit_dir d;
	bool cut = false;
	size_t torn = 0;
	int rc = lt_audit_dir_list(a->o.dir, &d, err);

	lt_audit_synced_read(a->o.dir, &a->noted);
	if (rc == LT_E_NOTFOUND)
		rc = LT_OK;
	else if (rc == LT_OK)
		rc = recover(a, &d, &cut, err);
	if (rc != LT_OK)
		return rc;
	a->first = d.first;
	a->segment = a->shown = d.last;
	a->synced = d.last != 0 ? 0 : SIZE_MAX;
	if (d.last == 0) {
		a->anew = true;
		if (lt_audit_witness_read(a->o.dir, &seen, NULL) == LT_OK)
			a->anew_why = "log-lost";
	} else {
		rc = take_up(a, &d, &torn, err);
	}
	if (rc == LT_OK)
		rc = a->anew ? begin(a, err) : go_on(a, torn, cut, err);
	if (rc != LT_OK)
		return rc;
	lt_audit_recall(a);
	/* Where it is going to be said, before it is. */
	lt_audit_remember(a, false);
	(void)lt_audit_own_up(a);
	lt_audit_make_room(a);
	/* Before visitors take the descriptors; where that fails now, when it is needed. */
	lt_audit_lost_open(a);
	lt_audit_synced_open(a);
	return LT_OK;
}
