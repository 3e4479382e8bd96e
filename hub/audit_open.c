/* The read audit as it is taken up at a start. */
#include "hub/audit_impl.h"
#include "proto/base/file.h"
#include "proto/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

static int
begin_log(struct lt_audit *a, const char *why, struct lt_err *err)
{
	struct lt_audit_seen seen;
	bool lost = lt_audit_witness_read(a->o.dir, &seen, NULL) == LT_OK;
	int64_t now = lt_wall_ms(a->o.clock);
	int rc;

	lt_audit_chain_fini(&a->chain);
	a->chain.next_seq = a->chain.next_head = 1;
	rc = lt_audit_begin_file(a, true, err);
	if (rc != LT_OK)
		return rc;
	lt_audit_forget_witness(a);
	if (why == NULL && lost)
		why = "log-lost";
	return why == NULL ? LT_OK : lt_audit_put_gap(a, why, 0, now, now);
}

int
lt_audit_open_log(struct lt_audit *a, struct lt_err *err)
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
	rc = lt_audit_seal(a);
	if (rc == LT_OK && (a->chain.at.key_no != a->o.identity->key_no ||
			       !lt_id_eq(&a->chain.at.hub, &a->o.identity->principal)))
		rc = lt_audit_begin_file(a, false, err);
	if (rc == LT_OK && torn != 0) {
		lt_warn("the read audit ended in the middle of an entry: %zu bytes were cut", torn);
		rc = lt_audit_put_gap(a, "torn", 0, now, now);
	}
	/* A full disk does not keep a hub from starting: what is missing is told when there is room. */
	if (rc == LT_E_NOSPACE) {
		lt_audit_lose(a, "disk-full", 1);
		rc = LT_OK;
	}
	/* Nobody is shown a head that is in memory alone. */
	if (rc == LT_OK && a->chain.nopen == 0 && fdatasync(a->fd) == 0)
		a->synced = a->size;
	else
		a->unsynced = true;
	lt_audit_make_room(a);
	return rc;
}
