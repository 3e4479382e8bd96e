/* How much is missing from the read audit, where a restart finds it: a small file of one size beside the log, written over in place, so
 * that a disk that is full takes it, too. */
#include "hub/audit_impl.h"
#include "proto/base/file.h"
#include "proto/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
lost_path(const struct lt_audit *a, char path[LT_AUDIT_PATH_MAX])
{
	return snprintf(path, LT_AUDIT_PATH_MAX, "%s/" LT_AUDIT_LOST, a->o.dir) < LT_AUDIT_PATH_MAX;
}

/* Its place on the disk is taken when there is room; on a full disk the file may be there and empty, until there is. */
static bool
open_lost(struct lt_audit *a)
{
	char path[LT_AUDIT_PATH_MAX];
	struct stat st;

	if (a->lost_fd < 0 && lost_path(a, path)) {
		a->lost_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (a->lost_fd >= 0)
			(void)lt_dir_sync(a->o.dir, NULL);
		/* Else it would be damaged for ever. */
		if (a->lost_fd >= 0 && fstat(a->lost_fd, &st) == 0 &&
		    st.st_size > LT_AUDIT_LOST_BYTES &&
		    ftruncate(a->lost_fd, LT_AUDIT_LOST_BYTES) != 0)
			lt_warn("\"%s\" cannot be cut: %s", path, strerror(errno));
	}
	return a->lost_fd >= 0;
}

void
lt_audit_lost_open(struct lt_audit *a)
{
	(void)open_lost(a);
}

static bool
write_lost(struct lt_audit *a, const struct lt_audit_lost *l)
{
	uint8_t record[LT_AUDIT_LOST_BYTES];
	ssize_t n;

	if (!open_lost(a))
		return false;
	lt_audit_lost_put(l, record);
	do
		n = pwrite(a->lost_fd, record, sizeof(record), 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(record) && fdatasync(a->lost_fd) == 0;
}

void
lt_audit_recall(struct lt_audit *a)
{
	char path[LT_AUDIT_PATH_MAX];
	struct lt_buf b = { 0 };
	struct lt_audit_lost l;
	int rc;

	a->lost_news = true;
	rc = lost_path(a, path) ? lt_file_read(path, LT_AUDIT_LOST_BYTES, &b, NULL) : LT_E_NOTFOUND;
	if (rc == LT_E_NOTFOUND || (rc == LT_OK && b.len == 0))
		goto out;
	if (rc == LT_OK)
		rc = lt_audit_lost_parse(lt_buf_slice(&b), &l);
	if (rc != LT_OK) {
		lt_warn("\"%s\" cannot be read, or is damaged: whether entries are missing from "
			"the read audit is not "
			"known",
		    path);
		a->owed = "count-damaged";
		goto out;
	}
	/* The gap was written, and the process ended before this could be taken back. */
	if (l.count == 0 ||
	    (a->chain.begun && l.log == a->chain.at.log && l.seq < a->chain.next_seq))
		goto out;
	lt_warn("%llu entries are missing from the read audit since before this start (%s)",
	    (unsigned long long)l.count, l.why);
	l.count += a->lost.count; /* since this start */
	a->lost = l;
	a->told_ms = lt_mono_ms(a->o.clock);
out:
	lt_buf_fini(&b);
}

void
lt_audit_remember(struct lt_audit *a, bool settled)
{
	struct lt_audit_lost l = a->lost;
	bool kept;

	if (!a->lost_news || (l.count == 0 && !settled))
		return;
	/* Where its gap is going to stand: by that a restart knows whether it does. */
	l.log = a->fd < 0 && a->anew ? 0 : a->chain.at.log;
	l.seq = a->chain.next_seq + (a->owed != NULL);
	a->lost_news = false;
	pthread_mutex_unlock(&a->mx);
	kept = write_lost(a, &l);
	pthread_mutex_lock(&a->mx);
	a->lost_news = a->lost_news || !kept;
}
