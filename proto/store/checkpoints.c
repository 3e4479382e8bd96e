#include "proto/store/checkpoints.h"

#include "proto/store/author.h"
#include "proto/store/feed_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW_NAME 80
#define ROW_CHECKPOINT "checkpoint"
#define IN_COSIGNED "cosigned/"
#define IN_EQUIVOCATION "equivocation/"
#define IN_PROMISED "promised/"
#define PROMISED_ID 16 /* of the hash of a checkpoint */
#define HEADER_MAX (512 * 1024) /* of a change-set, which bounds it */
#define BY_CHECKPOINT 1
#define BY_CHANGE_SET 2
#define OTHER_CHECKPOINT 1
#define OTHER_HEADER 2

/* ---- what the log says ---- */

struct newest {
	struct lt_id hub;
	size_t n;
	struct lt_checkpoint_head head[LT_CHECKPOINT_HEADS_MAX];
	uint64_t position[LT_CHECKPOINT_HEADS_MAX]; /* where each was written last */
};

static int
note_head(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_id author = lt_feed_author(feed);
	struct newest *t = ctx;
	size_t i, at = t->n;

	(void)unit;
	if (!lt_id_eq(&author, &t->hub) || lt_feed_is_aside(feed) || head->seq == 0)
		return LT_OK;
	if (at == LT_CHECKPOINT_HEADS_MAX) {
		for (i = 0, at = 0; i < t->n; i++)
			if (t->position[i] < t->position[at])
				at = i;
		if (t->position[at] > head->last_position)
			return LT_OK;
	} else {
		t->n++;
	}
	t->head[at] =
	    (struct lt_checkpoint_head){ .feed = *feed, .seq = head->seq, .hash = head->hash };
	t->position[at] = head->last_position;
	return LT_OK;
}

static int
by_feed(const void *a, const void *b)
{
	return lt_feed_id_cmp(&((const struct lt_checkpoint_head *)a)->feed,
	    &((const struct lt_checkpoint_head *)b)->feed);
}

int
lt_checkpoint_read_log(struct lt_kv_txn *txn, const struct lt_id *hub, struct lt_checkpoint *c)
{
	static const struct lt_unit federation = { "_" };
	struct newest t = { .hub = *hub };
	struct lt_entry e;
	int rc = lt_feed_log_each(txn, &federation, note_head, &t);

	if (rc == LT_OK)
		rc = lt_feed_log_last(txn, &c->position);
	if (rc == LT_OK && c->position != 0)
		rc = lt_feed_log_read(txn, c->position, &e);
	if (rc != LT_OK)
		return rc;
	c->hub = *hub;
	if (c->position != 0)
		c->running = e.running;
	qsort(t.head, t.n, sizeof(t.head[0]), by_feed);
	memcpy(c->head, t.head, sizeof(t.head));
	c->nhead = t.n;
	return LT_OK;
}

int
lt_checkpoint_weigh_head(
    struct lt_kv_txn *txn, const struct lt_checkpoint_head *h, enum lt_checkpoint_fit *fit)
{
	static const struct lt_unit federation = { "_" };
	struct lt_head here;
	struct lt_hash hash;
	int rc = lt_feed_log_head(txn, &federation, &h->feed, &here);

	*fit = LT_CHECKPOINT_AHEAD;
	if (rc == LT_OK && here.seq < h->seq)
		return LT_OK;
	hash = here.hash;
	if (rc == LT_OK && here.seq != h->seq)
		rc = lt_feed_log_hash(txn, &federation, &h->feed, h->seq, &hash);
	if (rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND) {
		*fit = LT_CHECKPOINT_UNREAD;
		return LT_OK;
	}
	if (rc == LT_OK)
		*fit = lt_hash_eq(&hash, &h->hash) ? LT_CHECKPOINT_FITS : LT_CHECKPOINT_OTHER;
	return rc;
}

int
lt_checkpoint_weigh(
    struct lt_kv_txn *txn, const struct lt_checkpoint *c, enum lt_checkpoint_fit *fit, size_t *at)
{
	size_t i;

	*fit = LT_CHECKPOINT_FITS;
	for (i = 0; i < c->nhead; i++) {
		enum lt_checkpoint_fit one;
		int rc = lt_checkpoint_weigh_head(txn, &c->head[i], &one);

		if (rc != LT_OK)
			return rc;
		if (one > *fit)
			*fit = one;
		if (one == LT_CHECKPOINT_OTHER) {
			*at = i;
			return LT_OK;
		}
	}
	return LT_OK;
}

/* ---- rows ---- */

static void
put_signed(struct lt_buf *b, const struct lt_checkpoint_signed *c)
{
	lt_buf_framed(b, c->body);
	lt_buf_put_slice(b, c->signature);
}

static void
read_signed(struct lt_reader *r, struct lt_checkpoint_signed *out)
{
	out->body = lt_read_framed(r);
	out->signature = lt_read_bytes(r, LT_SIG_LEN);
	if (out->body.len == 0 || out->body.len > LT_CHECKPOINT_BYTES_MAX)
		r->err = LT_E_INVALID;
}

static bool
is_signed(const struct lt_checkpoint_signed *c)
{
	return c->body.len != 0 && c->body.len <= LT_CHECKPOINT_BYTES_MAX &&
	       c->signature.len == LT_SIG_LEN;
}

/* Read to its end, and nothing behind it. */
static int
ended(const struct lt_reader *r)
{
	return r->err == LT_OK && lt_reader_left(r) == 0 ? LT_OK : LT_E_CORRUPT;
}

static int
put_row(struct lt_kv_txn *txn, const char *name, struct lt_buf *b)
{
	int rc = b->err != LT_OK ? b->err : lt_local_put(txn, name, lt_buf_slice(b));

	lt_buf_fini(b);
	return rc;
}

int
lt_checkpoint_get(struct lt_kv_txn *txn, struct lt_checkpoint_signed *out)
{
	struct lt_reader r;
	struct lt_slice v;
	int rc = lt_local_get(txn, ROW_CHECKPOINT, &v);

	if (rc != LT_OK)
		return rc;
	lt_reader_init(&r, v);
	read_signed(&r, out);
	return ended(&r);
}

int
lt_checkpoint_put(struct lt_kv_txn *txn, const struct lt_checkpoint_signed *c)
{
	struct lt_buf b = { 0 };

	if (!is_signed(c))
		return LT_E_INVALID;
	put_signed(&b, c);
	return put_row(txn, ROW_CHECKPOINT, &b);
}

static void
name_of(char out[ROW_NAME], const char *in, const void *id, size_t len)
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, id, len);
	(void)snprintf(out, ROW_NAME, "%s%s", in, hex);
}

static int
read_cosigned(struct lt_slice v, struct lt_cosigned *out)
{
	struct lt_reader r;

	lt_reader_init(&r, v);
	if (lt_read_u8(&r) != 1)
		return LT_E_CORRUPT;
	out->seen_ms = lt_read_u64(&r);
	read_signed(&r, &out->checkpoint);
	out->key_no = lt_read_u32(&r);
	out->cosignature = lt_read_bytes(&r, LT_SIG_LEN);
	return ended(&r);
}

int
lt_cosigned_get(struct lt_kv_txn *txn, const struct lt_id *principal, struct lt_cosigned *out)
{
	char name[ROW_NAME];
	struct lt_slice v;
	int rc;

	name_of(name, IN_COSIGNED, principal->b, LT_ID_LEN);
	rc = lt_local_get(txn, name, &v);
	out->principal = *principal;
	return rc == LT_OK ? read_cosigned(v, out) : rc;
}

int
lt_cosigned_put(struct lt_kv_txn *txn, const struct lt_cosigned *c)
{
	struct lt_buf b = { 0 };
	char name[ROW_NAME];

	if (!is_signed(&c->checkpoint) || c->cosignature.len != LT_SIG_LEN)
		return LT_E_INVALID;
	lt_buf_u8(&b, 1);
	lt_buf_u64(&b, c->seen_ms);
	put_signed(&b, &c->checkpoint);
	lt_buf_u32(&b, c->key_no);
	lt_buf_put_slice(&b, c->cosignature);
	name_of(name, IN_COSIGNED, c->principal.b, LT_ID_LEN);
	return put_row(txn, name, &b);
}

/* The rows whose names begin so, their ids in hexadecimal behind that. fn: LT_OK to go on. */
typedef int row_fn(void *ctx, const uint8_t *id, struct lt_slice v);

static int
each_row(struct lt_kv_txn *txn, const char *in, size_t len, row_fn *fn, void *ctx)
{
	struct lt_slice prefix = lt_slice_str(in), k, v;
	struct lt_kv_cursor *c;
	uint8_t id[LT_FEED_LEN];
	char name[ROW_NAME];
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_in(c, prefix, &k, &v);
	while (rc == LT_OK) {
		lt_slice_to_text(name, sizeof(name), k);
		if (k.len == prefix.len + 2 * len && lt_unhex(id, len, name + prefix.len) == LT_OK)
			rc = fn(ctx, id, v);
		if (rc == LT_OK)
			rc = lt_kv_next_in(c, prefix, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

struct each {
	lt_cosigned_fn *cosigned;
	lt_equivocation_fn *equivocation;
	void *ctx;
};

static int
one_cosigned(void *ctx, const uint8_t *id, struct lt_slice v)
{
	const struct each *e = ctx;
	struct lt_cosigned c;

	memcpy(c.principal.b, id, LT_ID_LEN);
	return read_cosigned(v, &c) == LT_OK ? e->cosigned(e->ctx, &c) : LT_OK;
}

int
lt_cosigned_each(struct lt_kv_txn *txn, lt_cosigned_fn *fn, void *ctx)
{
	struct each e = { .cosigned = fn, .ctx = ctx };

	return each_row(txn, IN_COSIGNED, LT_ID_LEN, one_cosigned, &e);
}

struct crowd {
	lt_cosigner_counts_fn *counts;
	void *ctx;
	size_t n;
	bool any; /* one that does not count */
	struct lt_id gone;
};

static int
look_in_crowd(void *ctx, const uint8_t *id, struct lt_slice v)
{
	struct crowd *w = ctx;
	struct lt_id who;

	(void)v;
	w->n++;
	memcpy(who.b, id, LT_ID_LEN);
	if (!w->any && !w->counts(w->ctx, &who)) {
		w->any = true;
		w->gone = who;
	}
	return LT_OK;
}

int
lt_cosigned_drop(struct lt_kv_txn *txn, const struct lt_id *principal)
{
	char name[ROW_NAME];
	int rc;

	name_of(name, IN_COSIGNED, principal->b, LT_ID_LEN);
	rc = lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(name));
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_cosigned_room(
    struct lt_kv_txn *txn, lt_cosigner_counts_fn *counts, void *ctx, bool *full, struct lt_id *gone)
{
	struct crowd w = { .counts = counts, .ctx = ctx };
	int rc = each_row(txn, IN_COSIGNED, LT_ID_LEN, look_in_crowd, &w);

	*full = rc == LT_OK && w.n >= LT_COSIGNERS_MAX;
	*gone = w.gone;
	return *full && !w.any ? LT_E_REFUSED : rc;
}

/* ---- what gave way and is still to come ---- */

struct promises {
	struct lt_kv_txn *txn;
	lt_promised_fn *fn;
	void *ctx;
	size_t n;
	size_t nover;
	uint8_t over[LT_PROMISED_MAX][PROMISED_ID];
	uint64_t oldest_ms; /* of the one that is oldest, or damaged */
	uint8_t oldest[PROMISED_ID];
};

/* Is something that it says not here yet? */
static int
is_open(struct lt_kv_txn *txn, const struct lt_checkpoint_signed *c, bool *is)
{
	enum lt_checkpoint_fit fit;
	struct lt_checkpoint parsed;
	size_t i;
	int rc = LT_OK;

	*is = false;
	if (lt_checkpoint_parse(c->body, &parsed, NULL) != LT_OK)
		return LT_OK; /* says nothing */
	for (i = 0; rc == LT_OK && !*is && i < parsed.nhead; i++) {
		rc = lt_checkpoint_weigh_head(txn, &parsed.head[i], &fit);
		*is = rc == LT_OK && fit == LT_CHECKPOINT_AHEAD;
	}
	return rc;
}

static int
read_promised(struct lt_slice v, struct lt_checkpoint_signed *out)
{
	struct lt_reader r;

	lt_reader_init(&r, v);
	read_signed(&r, out);
	return ended(&r);
}

static int
one_promised(void *ctx, const uint8_t *id, struct lt_slice v)
{
	struct lt_checkpoint_signed c;
	struct promises *p = ctx;

	(void)id;
	return read_promised(v, &c) == LT_OK ? p->fn(p->ctx, &c) : LT_OK;
}

int
lt_promised_each(struct lt_kv_txn *txn, lt_promised_fn *fn, void *ctx)
{
	struct promises p = { .fn = fn, .ctx = ctx };

	return each_row(txn, IN_PROMISED, PROMISED_ID, one_promised, &p);
}

static int
note_over(void *ctx, const uint8_t *id, struct lt_slice v)
{
	struct lt_checkpoint_signed c;
	struct promises *p = ctx;
	bool open = false;
	int rc = LT_OK;

	if (read_promised(v, &c) == LT_OK)
		rc = is_open(p->txn, &c, &open);
	if (rc == LT_OK && !open && p->nover < LT_PROMISED_MAX)
		memcpy(p->over[p->nover++], id, PROMISED_ID);
	return rc;
}

int
lt_promised_sweep(struct lt_kv_txn *txn)
{
	struct promises p = { .txn = txn };
	char name[ROW_NAME];
	size_t i;
	int rc = each_row(txn, IN_PROMISED, PROMISED_ID, note_over, &p);

	for (i = 0; rc == LT_OK && i < p.nover; i++) {
		name_of(name, IN_PROMISED, p.over[i], PROMISED_ID);
		rc = lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(name));
	}
	return rc;
}

static int
find_oldest(void *ctx, const uint8_t *id, struct lt_slice v)
{
	struct lt_checkpoint_signed row;
	struct lt_checkpoint c = { .time_ms = 0 };
	struct promises *p = ctx;

	if (read_promised(v, &row) == LT_OK && lt_checkpoint_parse(row.body, &c, NULL) != LT_OK)
		c.time_ms = 0;
	if (p->n++ == 0 || c.time_ms < p->oldest_ms) {
		p->oldest_ms = c.time_ms;
		memcpy(p->oldest, id, PROMISED_ID);
	}
	return LT_OK;
}

static int
make_room(struct lt_kv_txn *txn, bool *full)
{
	struct promises p = { .n = 0 };
	char name[ROW_NAME];
	int rc = each_row(txn, IN_PROMISED, PROMISED_ID, find_oldest, &p);

	*full = rc == LT_OK && p.n >= LT_PROMISED_MAX;
	if (!*full)
		return rc;
	name_of(name, IN_PROMISED, p.oldest, PROMISED_ID);
	return lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(name));
}

int
lt_promised_keep(struct lt_kv_txn *txn, const struct lt_checkpoint_signed *c, bool *full)
{
	struct lt_buf b = { 0 };
	char name[ROW_NAME];
	struct lt_hash hash;
	struct lt_slice v;
	bool open;
	int rc;

	*full = false;
	if (!is_signed(c))
		return LT_E_INVALID;
	lt_checkpoint_hash(c->body, &hash);
	name_of(name, IN_PROMISED, hash.b, PROMISED_ID);
	rc = is_open(txn, c, &open);
	if (rc != LT_OK || !open || lt_local_get(txn, name, &v) == LT_OK)
		return rc;
	put_signed(
	    &b, c); /* before anything is written: it may be borrowed from this transaction */
	rc = make_room(txn, full);
	if (rc == LT_OK)
		return put_row(txn, name, &b);
	lt_buf_fini(&b);
	return rc;
}

/* ---- evidence ---- */

static void
read_header(struct lt_reader *r, struct lt_slice *header, struct lt_slice *signature)
{
	*header = lt_read_framed(r);
	*signature = lt_read_bytes(r, LT_SIG_LEN);
	if (header->len == 0 || header->len > HEADER_MAX)
		r->err = LT_E_INVALID;
}

static int
read_equivocation(struct lt_slice v, struct lt_equivocation *out)
{
	const struct lt_feed_id feed = out->feed;
	struct lt_reader r;
	uint8_t kind;

	*out = (struct lt_equivocation){ .feed = feed };
	lt_reader_init(&r, v);
	kind = lt_read_u8(&r);
	out->found_ms = lt_read_u64(&r);
	out->seq = lt_read_u64(&r);
	if (kind == BY_CHANGE_SET) {
		read_header(&r, &out->came, &out->came_signature);
		read_header(&r, &out->header, &out->header_signature);
		return ended(&r);
	}
	if (kind != BY_CHECKPOINT)
		return LT_E_CORRUPT;
	read_signed(&r, &out->one);
	switch (lt_read_u8(&r)) {
	case OTHER_CHECKPOINT:
		read_signed(&r, &out->other);
		break;
	case OTHER_HEADER:
		read_header(&r, &out->header, &out->header_signature);
		break;
	default:
		return LT_E_CORRUPT;
	}
	return ended(&r);
}

static bool
is_header(struct lt_slice header, struct lt_slice signature)
{
	return header.len != 0 && header.len <= HEADER_MAX && signature.len == LT_SIG_LEN;
}

/* Both halves are there, and no third. */
static bool
is_evidence(const struct lt_equivocation *e)
{
	bool has_header = is_header(e->header, e->header_signature);

	if (e->came.len != 0)
		return e->one.body.len == 0 && e->other.body.len == 0 && has_header &&
		       is_header(e->came, e->came_signature);
	return is_signed(&e->one) && (e->other.body.len != 0 ? is_signed(&e->other) : has_header);
}

static void
put_header(struct lt_buf *b, struct lt_slice header, struct lt_slice signature)
{
	lt_buf_framed(b, header);
	lt_buf_put_slice(b, signature);
}

static void
pack_equivocation(const struct lt_equivocation *e, struct lt_buf *b)
{
	bool has_other = e->other.body.len != 0;

	lt_buf_u8(b, e->came.len != 0 ? BY_CHANGE_SET : BY_CHECKPOINT);
	lt_buf_u64(b, e->found_ms);
	lt_buf_u64(b, e->seq);
	if (e->came.len != 0) {
		put_header(b, e->came, e->came_signature);
	} else {
		put_signed(b, &e->one);
		lt_buf_u8(b, has_other ? OTHER_CHECKPOINT : OTHER_HEADER);
	}
	if (has_other)
		put_signed(b, &e->other);
	else
		put_header(b, e->header, e->header_signature);
}

int
lt_equivocation_put(struct lt_kv_txn *txn, const struct lt_equivocation *e)
{
	struct lt_buf b = { 0 };
	char name[ROW_NAME];
	struct lt_slice v;
	uint64_t n;
	int rc;

	if (!is_evidence(e))
		return LT_E_INVALID;
	name_of(name, IN_EQUIVOCATION, e->feed.b, LT_FEED_LEN);
	rc = lt_local_get(txn, name, &v);
	if (rc != LT_E_NOTFOUND)
		return rc == LT_OK || rc == LT_E_CORRUPT ? LT_E_EXISTS : rc;
	rc = lt_equivocation_count(txn, &n);
	if (rc != LT_OK || n >= LT_EQUIVOCATIONS_MAX)
		return rc != LT_OK ? rc : LT_E_REFUSED;
	pack_equivocation(e, &b);
	return put_row(txn, name, &b);
}

static int
one_equivocation(void *ctx, const uint8_t *id, struct lt_slice v)
{
	const struct each *e = ctx;
	struct lt_equivocation q;

	memcpy(q.feed.b, id, LT_FEED_LEN);
	return read_equivocation(v, &q) == LT_OK ? e->equivocation(e->ctx, &q) : LT_OK;
}

int
lt_equivocation_each(struct lt_kv_txn *txn, lt_equivocation_fn *fn, void *ctx)
{
	struct each e = { .equivocation = fn, .ctx = ctx };

	return each_row(txn, IN_EQUIVOCATION, LT_FEED_LEN, one_equivocation, &e);
}

static int
count_one(void *ctx, const uint8_t *id, struct lt_slice v)
{
	(void)id;
	(void)v;
	*(uint64_t *)ctx += 1;
	return LT_OK;
}

int
lt_equivocation_count(struct lt_kv_txn *txn, uint64_t *n)
{
	*n = 0;
	return each_row(txn, IN_EQUIVOCATION, LT_FEED_LEN, count_one, n);
}
