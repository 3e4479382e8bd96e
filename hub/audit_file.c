/* The files of the read audit: begun, let go, and the witness beside them. */
#include "hub/audit_impl.h"
#include "proto/base/file.h"
#include "proto/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

int
lt_audit_begin_file(struct lt_audit *a, bool anew, struct lt_err *err)
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

void
lt_audit_make_room(struct lt_audit *a)
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

void
lt_audit_forget_witness(struct lt_audit *a)
{
	char path[LT_AUDIT_PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/" LT_AUDIT_WITNESS, a->o.dir) < (int)sizeof(path))
		(void)unlink(path);
	lt_buf_clear(&a->head);
}
