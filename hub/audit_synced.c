/* How far the disk has taken the read audit, where a start finds it: a small file of one size beside the log, written over in place.
 *
 * Written after the sync that it tells of, and not synced itself: a kill leaves it as it is, and a power cut perhaps an older one, which says
 * less and never too much. By it a start tells damage from what was being written, and what it has to write again from what it can believe. */
#include "hub/audit_impl.h"
#include "proto/base/file.h"
#include "proto/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
lt_audit_synced_open(struct lt_audit *a)
{
	char path[LT_AUDIT_PATH_MAX];

	if (a->synced_fd < 0 &&
	    snprintf(path, sizeof(path), "%s/" LT_AUDIT_SYNCED, a->o.dir) < (int)sizeof(path))
		a->synced_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool
write_synced(struct lt_audit *a, const struct lt_audit_synced *s)
{
	uint8_t record[LT_AUDIT_SYNCED_BYTES];
	ssize_t n;

	lt_audit_synced_open(a);
	if (a->synced_fd < 0)
		return false;
	lt_audit_synced_put(s, record);
	do
		n = pwrite(a->synced_fd, record, sizeof(record), 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(record);
}

void
lt_audit_note_synced(struct lt_audit *a)
{
	const struct lt_audit_synced s = {
		.log = a->chain.at.log, .segment = a->shown, .bytes = a->synced
	};
	bool kept;

	/* Of the file that is written, and has its name: of one before it nothing is asked any more. */
	if (a->fd < 0 || !a->named || a->shown != a->segment ||
	    (s.log == a->noted.log && s.segment == a->noted.segment && s.bytes == a->noted.bytes))
		return;
	pthread_mutex_unlock(&a->mx);
	kept = write_synced(a, &s);
	pthread_mutex_lock(&a->mx);
	if (kept)
		a->noted = s;
}
