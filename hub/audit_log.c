/* The read audit as it is written: entries, heads, and what could not be written. */
#include "hub/audit_impl.h"
#include "proto/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TELL_MS 60000

void
lt_audit_lose(struct lt_audit *a, const char *why, uint32_t count)
{
	int64_t now = lt_wall_ms(a->o.clock), mono = lt_mono_ms(a->o.clock);

	if (a->lost.count == 0) {
		a->lost.from_ms = now;
		a->told_ms = mono - TELL_MS;
	}
	a->lost.count += count;
	a->lost.to_ms = now;
	(void)snprintf(a->lost.why, sizeof(a->lost.why), "%s", why);
	a->lost_news = true;
	if (mono - a->told_ms < TELL_MS)
		return;
	a->told_ms = mono;
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

int
lt_audit_put_entry(struct lt_audit *a, struct lt_audit_entry *e, struct lt_slice query,
    const struct lt_audit_share *share, size_t nshare)
{
	int rc = LT_OK;

	if (a->fd < 0)
		return a->begin_rc;
	if (a->size > LT_AUDIT_FILE_MAX / 2)
		return LT_E_IO;
	/* What is missing is told beyond the cap, too, before nobody knows of it any more. */
	if ((a->full || a->bytes >= a->o.max_bytes) &&
	    !((a->stopping || a->beginning) && e->kind == LT_AUDIT_GAP))
		return LT_E_NOSPACE;
	if (a->chain.nopen == LT_AUDIT_ENTRIES_MAX)
		rc = lt_audit_seal(a);
	if (rc == LT_OK)
		rc = make_frame(a, e, query, share, nshare);
	if (rc == LT_OK)
		rc = reserve(a, share, nshare);
	return rc == LT_OK ? put_frame(a) : rc;
}

/* What is missing, before anything that follows it. */
int
lt_audit_put_gap(
    struct lt_audit *a, const char *why, uint64_t count, int64_t from_ms, int64_t to_ms)
{
	struct lt_audit_entry e = { .kind = LT_AUDIT_GAP };

	e.time_ms = from_ms;
	e.until_ms = to_ms;
	e.count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
	(void)snprintf(e.method, sizeof(e.method), "%s", why);
	return lt_audit_put_entry(a, &e, lt_slice(NULL, 0), NULL, 0);
}

int
lt_audit_own_up(struct lt_audit *a)
{
	int64_t now = lt_wall_ms(a->o.clock);
	int rc = LT_OK;

	if (a->owed != NULL)
		rc = lt_audit_put_gap(a, a->owed, 0, now, now);
	if (rc != LT_OK)
		return rc;
	a->owed = NULL;
	if (a->lost.count == 0)
		return LT_OK;
	rc = lt_audit_put_gap(a, a->lost.why, a->lost.count, a->lost.from_ms, a->lost.to_ms);
	if (rc != LT_OK)
		return rc;
	lt_warn("the read audit is written again; %llu entries are missing from it",
	    (unsigned long long)a->lost.count);
	memset(&a->lost, 0, sizeof(a->lost));
	a->lost_news = true;
	return LT_OK;
}

int
lt_audit_seal(struct lt_audit *a)
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

	/* Nor does a file end with half an entry. */
	if (a->chain.nopen == 0)
		return a->ragged && !cut(a) ? LT_E_IO : LT_OK;
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
